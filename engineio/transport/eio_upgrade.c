/* Upgrades: what a candidate receives, until it takes over (engine.io-protocol, "Upgrade"). Not its job: whether a
 * request for one is sound, and how bytes travel; that is each transport's. */
#include "eio_int.h"

#include <string.h>

static void release(struct eio_session *session)
{
    struct eio__transport *transport = session->transport;
    if (transport->ops->release) transport->ops->release(transport);
}

/* The client sends "5" only after its last poll has returned: waiting for that would deadlock the upgrade. */
static int on_probed(struct eio_session *session)
{
    struct eio_server *server = session->server;
    struct eio__candidate *candidate = session->candidate;
    if (candidate->transport->ops->answer_probe(candidate->transport, "3probe", 6) != 0) {
        eio__candidate_drop(session);
        return 1;
    }
    release(session);
    eio_deadlines_add(&server->noop, &candidate->noop);
    if (!server->watch || !server->watch->fn.on_upgrading) return 0;
    server->watch->fn.on_upgrading(session, server->watch->ctx);
    return session->candidate != candidate;
}

static int take_over(struct eio_session *session)
{
    struct eio_server *server = session->server;
    struct eio__candidate *candidate = session->candidate;
    struct eio__transport *before = session->transport, *transport = candidate->transport;
    release(session);
    eio__candidate_forget(candidate);
    free(candidate);
    eio__session_set_transport(session, transport, "upgrade");
    before->ops->free(before);
    eio__heartbeat_on_upgrade(session);
    if (session->state == EIO__S_CLOSING) eio__session_await_last(session);
    server->stats.upgrades++;
    eio__session_want_flush(session);
    if (server->handlers.on_upgrade) server->handlers.on_upgrade(session, server->ctx);
    if (session->state != EIO__S_CLOSED && server->watch && server->watch->fn.on_upgrade)
        server->watch->fn.on_upgrade(session, server->watch->ctx);
    return session->state == EIO__S_CLOSED;
}

int eio__upgrade_on_message(struct eio_session *session, enum eio_kind kind, const uint8_t *p, size_t n)
{
    if (kind == EIO_TEXT && n == 6 && memcmp(p, "2probe", 6) == 0) return on_probed(session);
    if (kind == EIO_TEXT && n == 1 && p[0] == EIO__UPGRADE && session->state <= EIO__S_CLOSING)
        return take_over(session);
    eio__candidate_drop(session); /* anything else ends the attempt */
    return 1;
}

/* --------------------------------------------------------------- deadlines */

void eio__upgrade_on_noop_due(struct eio_deadline *due, void *ctx)
{
    struct eio_server *server = ctx;
    release(container_of(due, struct eio__candidate, noop)->session);
    eio_deadlines_add(&server->noop, due);
}
