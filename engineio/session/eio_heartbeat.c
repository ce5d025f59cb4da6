/* Heartbeats: is the peer alive? It is if its pong comes in time. A late pong is awaited while bytes move
 * (eio_pulse.c).
 */
#include "eio_int.h"

/* A timer that is late by more than this part of the ping timeout means that the process stood still. */
#define LATENESS_SHARE 2

void eio__heartbeat_on_upgrade(struct eio_session *session)
{
    if (session->awaiting_pong) eio__pulse_watch(session);
}

/* ---------------------------------------------------------------- deadlines */

static struct eio_session *session_of(struct eio_deadline *due)
{
    return container_of(due, struct eio_session, deadline);
}

void eio__heartbeat_on_ping_due(struct eio_deadline *due, void *ctx)
{
    struct eio_server *server = ctx;
    struct eio_session *session = session_of(due);
    session->awaiting_pong = true;
    session->extended = false;
    eio__pulse_watch(session);
    if (session->protocol == 0)
        eio__session_push(session, eio__frame_new_control(EIO__WS_PING, NULL, 0));
    else
        eio__session_push(session, eio_frame_ref(server->ping_frame));
    /* From when it was due, so that a heartbeat ends on time though timers are some milliseconds late; but from now if
     * this process stood still: a peer has its time to answer. */
    uint64_t now = eio_loop_now_ms(server->loop);
    bool stood_still = now - due->at_ms > server->options.ping_timeout_ms / LATENESS_SHARE;
    eio_deadlines_add_from(&server->pong, due, stood_still ? now : due->at_ms);
}

/* True: it is alive, and looked at again when another ping timeout is over. */
static bool is_waited_for(struct eio_session *session)
{
    struct eio_server *server = session->server;
    if (!eio__pulse_is_moving(session)) return false;
    if (++session->pulse.looks * (uint64_t)server->options.ping_timeout_ms < server->options.slow_peer_timeout_ms) {
        eio_deadlines_add(&server->pong, &session->deadline);
        return true;
    }
    eio__server_hit(server, EIO_LIMIT_SLOW_PEER_TIMEOUT, session->head);
    return false;
}

void eio__heartbeat_on_pong_due(struct eio_deadline *due, void *ctx)
{
    struct eio_server *server = ctx;
    struct eio_session *session = session_of(due);
    /* Its sign of life may be among what we chose not to read yet: it has its time afterwards. But it has to take what
     * it was sent. */
    if (eio__session_is_held(session) && !eio__pulse_is_behind(session)) {
        eio_deadlines_add(session->protocol == 3 ? &server->silence : &server->pong, due);
        return;
    }
    const char *missing = session->protocol == 3 ? "no ping in time" : "no pong in time";
    if (!is_waited_for(session)) eio_session_abort(session, EIO_CLOSE_PING_TIMEOUT, missing);
}

/* Descriptors are served before timers: a request may come in the turn in which its session is overdue. */
struct eio_session *eio__heartbeat_find(struct eio_server *server, const char *sid, size_t size)
{
    struct eio_session *session = eio_server_find(server, sid, size);
    if (!session || session->state != EIO__S_OPEN || !session->awaiting_pong) return session;
    if (!session->deadline.next || session->deadline.at_ms > eio_loop_now_ms(server->loop)) return session;
    eio_deadline_stop(&server->pong, &session->deadline);
    eio__heartbeat_on_pong_due(&session->deadline, server);
    return eio_server_find(server, sid, size);
}

/* --------------------------------------------------------------- heartbeat */

/* Engine.IO 3: the client pings. */
static void await_ping(struct eio_session *session)
{
    session->awaiting_pong = true;
    eio__pulse_watch(session);
    eio_deadlines_add(&session->server->silence, &session->deadline);
}

void eio__heartbeat_start(struct eio_session *session)
{
    if (session->protocol == 3)
        await_ping(session);
    else
        eio_deadlines_add(&session->server->ping, &session->deadline);
}

static void notify_heartbeat(struct eio_session *session)
{
    const struct eio__watch *watch = session->server->watch;
    if (watch && watch->fn.on_heartbeat) watch->fn.on_heartbeat(session, watch->ctx);
}

void eio__heartbeat_on_ping(struct eio_session *session)
{
    if (session->protocol != 3) {
        eio_session_abort(session, EIO_CLOSE_TRANSPORT_ERROR, "invalid heartbeat direction");
        return;
    }
    await_ping(session);
    eio__session_push(session, eio__frame_new_packet("3", 1));
    notify_heartbeat(session);
}

void eio__heartbeat_on_pong(struct eio_session *session)
{
    if (!session->awaiting_pong || session->state != EIO__S_OPEN) return;
    session->awaiting_pong = false;
    eio_deadlines_add(&session->server->ping, &session->deadline);
    notify_heartbeat(session);
}

/* It is alive, though busy: the reference waits once more (engine.io 6.6.11). */
void eio__heartbeat_on_other_packet(struct eio_session *session)
{
    if (!session->awaiting_pong || session->extended || session->protocol == 3) return;
    session->extended = true;
    eio_deadlines_add(&session->server->pong, &session->deadline);
}
