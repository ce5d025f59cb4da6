/* Upgrades: a candidate beside the session's transport, which takes over or is dropped (engine.io-protocol, "Upgrade").
 * Not its job: whether a request for one is sound, and how bytes travel; that is each transport's. */
#include "eio_int.h"

#include <string.h>

static void free_dropped(struct eio__turn_item *item)
{
    struct eio__candidate *candidate = container_of(item, struct eio__candidate, item);
    candidate->transport->ops->free(candidate->transport);
    free(candidate);
}

static const struct eio__turn_ops dropped_ops = {NULL, free_dropped};

enum eio__upgrade_refusal eio__upgrade_check(const struct eio_session *session, const struct eio__transport_ops *ops)
{
    const struct eio_server *server = session->server;
    if (session->candidate || !(session->transport->ops->upgrades_to & ops->kind)) return EIO__UPGRADE_TAKEN;
    if (session->state != EIO__S_OPEN || !server->options.allow_upgrades) return EIO__UPGRADE_CLOSED;
    bool is_full = server->options.max_upgrades && server->stats.upgrading >= server->options.max_upgrades;
    return is_full ? EIO__UPGRADE_LIMIT : EIO__UPGRADE_OK;
}

int eio__upgrade_begin(struct eio_session *session, struct eio__transport *take_transport)
{
    struct eio_server *server = session->server;
    struct eio__candidate *candidate = calloc(1, sizeof *candidate);
    if (!candidate) {
        take_transport->ops->detach(take_transport);
        take_transport->ops->free(take_transport);
        return EIO_ENOMEM;
    }
    candidate->item.ops = &dropped_ops;
    candidate->session = session;
    candidate->transport = take_transport;
    session->candidate = candidate;
    server->stats.upgrading++;
    eio_deadlines_add(&server->upgrade, &candidate->due);
    return 0;
}

static void forget(struct eio__candidate *candidate)
{
    struct eio_server *server = candidate->session->server;
    eio_deadline_stop(&server->upgrade, &candidate->due);
    eio_deadline_stop(&server->noop, &candidate->noop);
    server->stats.upgrading--;
    candidate->session->candidate = NULL;
}

void eio__upgrade_drop(struct eio_session *session)
{
    struct eio__candidate *candidate = session->candidate;
    if (!candidate) return;
    struct eio__transport *transport = candidate->transport;
    forget(candidate);
    transport->ops->abort(transport, EIO_CLOSE_TRANSPORT_CLOSE);
    transport->ops->detach(transport);
    eio__loop_want_free(session->server->loop, &candidate->item);
}

void eio__upgrade_on_held(struct eio_session *session)
{
    struct eio__transport *transport = session->candidate ? session->candidate->transport : NULL;
    if (transport) transport->ops->on_held(transport);
}

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
        eio__upgrade_drop(session);
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
    forget(candidate);
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
    eio__upgrade_drop(session); /* anything else ends the attempt */
    return 1;
}

/* --------------------------------------------------------------- deadlines */

void eio__upgrade_on_due(struct eio_deadline *due, void *ctx)
{
    struct eio_session *session = container_of(due, struct eio__candidate, due)->session;
    eio__server_hit(ctx, EIO_LIMIT_UPGRADE_TIMEOUT, session->head);
    eio__upgrade_drop(session);
}

void eio__upgrade_on_noop_due(struct eio_deadline *due, void *ctx)
{
    struct eio_server *server = ctx;
    release(container_of(due, struct eio__candidate, noop)->session);
    eio_deadlines_add(&server->noop, due);
}
