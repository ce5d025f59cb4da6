/* What moves on a session's connections: the peer takes what stands before its ping, or is in the middle of sending.
 * Moving means that the peer's system acknowledged bytes; what merely went into our kernel's buffer proves nothing. */
#include "eio_int.h"

enum {
    REST_MIN_MS = 5000,
    SLOW_SHARE = 4, /* of the time for which a peer has been slow: it may rest for that */
};

static struct eio__traffic traffic_of(const struct eio_session *session)
{
    struct eio__traffic traffic = {0};
    session->transport->ops->look(session->transport, &traffic);
    return traffic;
}

static bool is_much(const struct eio_session *session, struct eio__traffic now)
{
    return now.given - now.taken > session->server->options.high_water_bytes;
}

bool eio__pulse_is_behind(const struct eio_session *session)
{
    return is_much(session, traffic_of(session));
}

/* Before the ping is queued: what stands before it must be taken first. */
void eio__pulse_watch(struct eio_session *session)
{
    struct eio__traffic now = traffic_of(session);
    session->pulse = (struct eio__pulse){
        .target = now.given,
        .taken = now.taken,
        .received = now.received,
        .is_behind = is_much(session, now),
    };
}

/* Something moved since the last look that lets the pong be late. */
static bool has_moved(struct eio_session *session)
{
    struct eio__pulse *pulse = &session->pulse;
    if (session->transport->is_forming) { /* it waits for us */
        pulse->is_behind = true;
        return true;
    }
    struct eio__traffic now = traffic_of(session);
    bool was_behind = pulse->is_behind;
    bool is_unread = session->transport->read_paused || eio__session_is_held(session);
    /* A peer that we do not read may have answered already. */
    bool is_before = now.is_before_ping || is_unread || (int32_t)(pulse->target - now.taken) > 0;
    bool took = (int32_t)(now.taken - pulse->taken) > 0 || (was_behind && pulse->is_new);
    bool sent = now.is_receiving && now.received != pulse->received;
    if (took) pulse->taken = now.taken;
    pulse->received = now.received;
    pulse->is_new = false;
    pulse->is_behind = now.given != now.taken && is_before;
    /* When it has caught up, the peer's system has all of it, and the peer itself may have to read for a while yet. */
    return sent || (took && (pulse->is_behind || was_behind));
}

bool eio__pulse_is_taking(struct eio_session *session)
{
    return has_moved(session) && session->pulse.is_behind;
}

/* How long a peer that has moved may rest. What it reads now shows here in large steps only, when the window of its
 * system opens again, and its end not at all: the slower it is, the longer it takes between them. */
static uint32_t rest_max_ms(const struct eio_session *session)
{
    const struct eio_options *o = &session->server->options;
    uint64_t usual_ms = (uint64_t)o->ping_interval_ms + o->ping_timeout_ms;
    uint64_t slow_ms = (uint64_t)session->pulse.looks * o->ping_timeout_ms / SLOW_SHARE;
    uint64_t max_ms = usual_ms > slow_ms ? usual_ms : slow_ms;
    if (max_ms > UINT32_MAX) return UINT32_MAX;
    return max_ms > REST_MIN_MS ? (uint32_t)max_ms : REST_MIN_MS;
}

bool eio__pulse_is_moving(struct eio_session *session)
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

void eio__pulse_tie(struct eio_session *session, struct eio__tie *tie, struct eio__line *line)
{
    if (line && tie->line == line) return; /* as it was: looking costs a system call */
    eio__tie(tie, line);
    if (!line) return;
    struct eio__traffic now = traffic_of(session);
    session->pulse.taken = now.taken;
    session->pulse.received = now.received;
    session->pulse.is_new = true;
}
