/* The candidate of a session: a transport that is tried beside the session's, and dropped unless it takes over in time
 * (eio_upgrade.c). */
#include "eio_int.h"

static void free_dropped(struct eio__turn_item *item)
{
    struct eio__candidate *candidate = container_of(item, struct eio__candidate, item);
    candidate->transport->ops->free(candidate->transport);
    free(candidate);
}

static const struct eio__turn_ops dropped_ops = {NULL, free_dropped};

enum eio__candidate_refusal eio__candidate_check(const struct eio_session *session,
                                                 const struct eio__transport_ops *ops)
{
    const struct eio_server *server = session->server;
    if (session->candidate || !(session->transport->ops->upgrades_to & ops->kind)) return EIO__CANDIDATE_TAKEN;
    if (session->state != EIO__S_OPEN || !server->options.allow_upgrades) return EIO__CANDIDATE_CLOSED;
    bool is_full = server->options.max_upgrades && server->stats.upgrading >= server->options.max_upgrades;
    return is_full ? EIO__CANDIDATE_LIMIT : EIO__CANDIDATE_OK;
}

int eio__candidate_begin(struct eio_session *session, struct eio__transport *take_transport)
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

void eio__candidate_forget(struct eio__candidate *candidate)
{
    struct eio_server *server = candidate->session->server;
    eio_deadline_stop(&server->upgrade, &candidate->due);
    eio_deadline_stop(&server->noop, &candidate->noop);
    server->stats.upgrading--;
    candidate->session->candidate = NULL;
}

void eio__candidate_drop(struct eio_session *session)
{
    struct eio__candidate *candidate = session->candidate;
    if (!candidate) return;
    struct eio__transport *transport = candidate->transport;
    eio__candidate_forget(candidate);
    transport->ops->abort(transport, EIO_CLOSE_TRANSPORT_CLOSE);
    transport->ops->detach(transport);
    eio__loop_want_free(session->server->loop, &candidate->item);
}

void eio__candidate_on_held(struct eio_session *session)
{
    struct eio__transport *transport = session->candidate ? session->candidate->transport : NULL;
    if (transport) transport->ops->on_held(transport);
}

void eio__candidate_on_due(struct eio_deadline *due, void *ctx)
{
    struct eio_session *session = container_of(due, struct eio__candidate, due)->session;
    eio__server_hit(ctx, EIO_LIMIT_UPGRADE_TIMEOUT, session->head);
    eio__candidate_drop(session);
}
