/* Heartbeats: is the peer alive? A pong in time says so. One that is late is waited for while bytes move: the peer
 * takes what stands before its ping, or is in the middle of sending. Moving means that the peer's system acknowledged
 * them; what merely went into our kernel's buffer proves nothing. */
#include "eio_int.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

/* A timer that is late by more than this part of the ping timeout means that the process stood still. */
#define LATENESS_SHARE 2

enum {
    REST_MIN_MS = 5000,
    SLOW_SHARE = 4, /* of the time for which a peer has been slow: it may rest for that */
};

uint32_t eio__fd_unsent(int fd)
{
    int bytes = 0;
    return fd >= 0 && ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (uint32_t)bytes : 0;
}

static struct eio__traffic traffic_of(const struct eio_session *session)
{
    struct eio__traffic traffic = {0};
    session->transport->ops->look(session->transport, &traffic);
    return traffic;
}

/* Before the ping is queued: what stands before it must be taken first. */
void eio__heartbeat_watch(struct eio_session *session)
{
    struct eio__traffic now = traffic_of(session);
    session->pulse = (struct eio__pulse){
        .target = now.given,
        .taken = now.taken,
        .received = now.received,
        .is_behind = now.given - now.taken > session->server->options.high_water_bytes,
    };
}

/* Something moved since the last look that lets the pong be late. */
static bool has_moved(struct eio_session *session)
{
    struct eio__pulse *pulse = &session->pulse;
    struct eio__traffic now = traffic_of(session);
    bool was_behind = pulse->is_behind;
    /* A peer that we do not read may have answered already. */
    bool is_before = now.is_before_ping || session->transport->read_paused || (int32_t)(pulse->target - now.taken) > 0;
    bool took = (int32_t)(now.taken - pulse->taken) > 0 || (was_behind && pulse->is_new);
    bool sent = now.is_receiving && now.received != pulse->received;
    if (took) pulse->taken = now.taken;
    pulse->received = now.received;
    pulse->is_new = false;
    pulse->is_behind = now.given != now.taken && is_before;
    /* When it has caught up, the peer's system has all of it, and the peer itself may have to read for a while yet. */
    return sent || (took && (pulse->is_behind || was_behind));
}

bool eio__heartbeat_is_taking(struct eio_session *session)
{
    return has_moved(session) && session->pulse.is_behind;
}

/* How long a peer that has moved may rest. What it reads now shows here in large steps only, when the window of its
 * system opens again, and its end not at all: the slower it is, the longer it takes between them. */
static uint64_t rest_max_ms(const struct eio_session *session)
{
    const struct eio_options *o = &session->server->options;
    uint64_t usual_ms = (uint64_t)o->ping_interval_ms + o->ping_timeout_ms;
    uint64_t slow_ms = (uint64_t)session->pulse.looks * o->ping_timeout_ms / SLOW_SHARE;
    uint64_t max_ms = usual_ms > slow_ms ? usual_ms : slow_ms;
    return max_ms > REST_MIN_MS ? max_ms : REST_MIN_MS;
}

static bool is_moving(struct eio_session *session)
{
    struct eio__pulse *pulse = &session->pulse;
    if (has_moved(session)) {
        pulse->moved = true;
        pulse->rests = 0;
        pulse->rest_max_ms = rest_max_ms(session);
    } else {
        pulse->rests++;
    }
    return pulse->moved && pulse->rests * (uint64_t)session->server->options.ping_timeout_ms < pulse->rest_max_ms;
}

void eio__heartbeat_on_upgrade(struct eio_session *session)
{
    if (session->awaiting_pong) eio__heartbeat_watch(session);
}

void eio__heartbeat_tie(struct eio_session *session, struct eio__tie *tie, struct eio__line *line)
{
    eio__tie(tie, line);
    if (!line) return;
    struct eio__traffic now = traffic_of(session);
    session->pulse.taken = now.taken;
    session->pulse.received = now.received;
    session->pulse.is_new = true;
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
    eio__heartbeat_watch(session);
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
    if (!is_moving(session)) return false;
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
    if (eio__session_is_held(
            session)) { /* its sign of life may be among what we chose not to read yet: it has its time afterwards */
        eio_deadlines_add(session->protocol == 3 ? &server->silence : &server->pong, due);
        return;
    }
    const char *missing = session->protocol == 3 ? "no ping in time" : "no pong in time";
    if (!is_waited_for(session)) eio_session_abort(session, EIO_CLOSE_PING_TIMEOUT, missing);
}

/* --------------------------------------------------------------- heartbeat */

/* Engine.IO 3: the client pings. */
static void await_ping(struct eio_session *session)
{
    session->awaiting_pong = true;
    eio__heartbeat_watch(session);
    eio_deadlines_add(&session->server->silence, &session->deadline);
}

void eio__heartbeat_start(struct eio_session *session)
{
    if (session->protocol == 3)
        await_ping(session);
    else
        eio_deadlines_add(&session->server->ping, &session->deadline);
}

static void tell(struct eio_session *session)
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
    tell(session);
}

void eio__heartbeat_on_pong(struct eio_session *session)
{
    if (!session->awaiting_pong || session->state != EIO__S_OPEN) return;
    session->awaiting_pong = false;
    eio_deadlines_add(&session->server->ping, &session->deadline);
    tell(session);
}

/* It is alive, though busy: the reference waits once more (engine.io 6.6.11). */
void eio__heartbeat_on_other_packet(struct eio_session *session)
{
    if (!session->awaiting_pong || session->extended || session->protocol == 3) return;
    session->extended = true;
    eio_deadlines_add(&session->server->pong, &session->deadline);
}
