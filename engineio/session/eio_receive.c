/* Packets of a peer: handled as they come, or kept behind those that wait, because the application holds the session
 * (eio_session_hold()) or because one read brought so many that the rest is the next turn's. Meanwhile nothing more is
 * read from that peer, so its own kernel holds it back, and other peers' requests do not wait for it. Heartbeats never
 * wait.
 */
#include "eio_inbox.h"
#include "eio_int.h"

/* Everything of a packet but its transport. Returns non-zero if the session went away. */
static int on_packet(struct eio_session *session, const struct eio__packet *packet, const struct eio_http_head *head)
{
    struct eio_server *server = session->server;
    if (session->state != EIO__S_OPEN) return session->state != EIO__S_CLOSING;
    if (server->watch && server->watch->fn.on_packet) {
        server->watch->fn.on_packet(session, (char)packet->type, packet->kind, packet->p, packet->n,
                                    server->watch->ctx);
        if (session->state != EIO__S_OPEN) return session->state != EIO__S_CLOSING;
    }
    if (session->awaiting_pong && packet->type != EIO__PONG) eio__heartbeat_on_other_packet(session);
    switch (packet->type) {
    case EIO__MESSAGE:
        eio__receive_message(session, packet->kind, packet->p, packet->n, head);
        break;
    case EIO__PONG:
        if (session->protocol == 3)
            eio_session_abort(session, EIO_CLOSE_TRANSPORT_ERROR, "invalid heartbeat direction");
        else
            eio__heartbeat_on_pong(session);
        break;
    case EIO__CLOSE:
        if (session->transport->ops->release) session->transport->ops->release(session->transport);
        eio_session_abort(session, EIO_CLOSE_TRANSPORT_CLOSE, "the client closed the session");
        break;
    case EIO__PING:
        eio__heartbeat_on_ping(session);
        break;
    case EIO__OPEN:
    case EIO__UPGRADE:
    case EIO__NOOP:
        break; /* as the reference: without effect on an open session */
    }
    return session->state >= EIO__S_LINGERING;
}

/* Whether packets wait has changed. */
static void tell_transports(struct eio_session *session)
{
    eio__candidate_on_held(session);
    session->transport->ops->on_held(session->transport);
}

static void deliver_kept(struct eio__inbox *inbox, uint64_t until_us);

static struct eio__inbox *open_inbox(struct eio_session *session)
{
    if (session->inbox) return session->inbox;
    struct eio__inbox *inbox = eio__inbox_new(session, deliver_kept);
    if (inbox) tell_transports(session);
    return inbox;
}

int eio__receive(struct eio_session *session, const struct eio__packet *packet, const struct eio_http_head *head)
{
    bool waits = packet->type == EIO__MESSAGE || packet->type == EIO__CLOSE;
    if (session->inbox && session->inbox->fault_detail) return 1; /* nothing of this peer is understood any more */
    struct eio_loop *loop = session->server->loop;
    bool is_over = !session->inbox && eio__loop_slice_is_over(loop, packet->n, EIO__SLICE_US);
    bool has_time = session->inbox || eio__loop_has_time_for(loop, packet->n);
    if (is_over || !has_time) {
        if (open_inbox(session)) eio__inbox_await_turn(session->inbox);
        if (session->inbox && !has_time) session->inbox->turn = loop->stats.turns;
        session->server->stats.reads_sliced++;
    }
    if (!session->inbox || !waits) return on_packet(session, packet, head);
    if (eio__inbox_add(session->inbox, packet) == 0) return 0;
    eio_session_abort(session, EIO_CLOSE_TRANSPORT_ERROR, "out of memory");
    return 1;
}

void eio__receive_fault(struct eio_session *session, enum eio_close_reason reason, const char *detail)
{
    if (session->state == EIO__S_OPEN && eio__receive_is_waiting(session)) {
        session->inbox->fault = (uint8_t)reason;
        session->inbox->fault_detail = detail;
    } else {
        eio_session_abort(session, reason, detail);
    }
}

bool eio__receive_is_waiting(const struct eio_session *session)
{
    return session->inbox && session->inbox->first;
}

static void deliver_kept(struct eio__inbox *inbox, uint64_t until_us)
{
    struct eio_session *session = inbox->session;
    while (inbox->first && !inbox->held) {
        /* Taken off first: what it leads to may end the session, or hold it again. */
        struct eio__kept_packet *kept = eio__inbox_take_first(inbox);
        on_packet(session, &kept->packet, session->head);
        free(kept);
        if (session->inbox != inbox) return; /* the session is over */
        if (inbox->first && !inbox->held && eio__loop_slice_clock_us(session->server->loop) >= until_us) {
            eio__inbox_await_turn(inbox);
            return;
        }
    }
    if (inbox->held) return;
    if (inbox->fault_detail) {
        eio_session_abort(session, (enum eio_close_reason)inbox->fault, inbox->fault_detail);
        return;
    }
    eio__inbox_clear(session);
    tell_transports(session);
}

int eio_session_hold(struct eio_session *session, bool hold)
{
    if (session->state != EIO__S_OPEN) return 0;
    if (!hold && !session->inbox) return 0;
    struct eio__inbox *inbox = open_inbox(session);
    if (!inbox) return EIO_ENOMEM;
    if (hold)
        inbox->held++;
    else if (inbox->held)
        inbox->held--;
    /* Not at once: this may be called out of a handler that it would call again. */
    return inbox->held ? 0 : eio__inbox_await_turn(inbox);
}

bool eio_session_has_waiting(const struct eio_session *session)
{
    return eio__receive_is_waiting(session);
}
