/* call:subscribe and call:unsubscribe. Requests of a socket about one call are handled in order. The right is checked
 * first; then the socket joins and is held back, and the snapshot is read, beside the writes; broadcasts meanwhile
 * follow the answer, unless they are in the snapshot. Other processes learn of the member before that. If only the
 * call's own list of agents gives the right, the operation that reads checks it again. */
#include "calls_watch.h"

#include <string.h>

#define HEARD_MAX_MS 1000 /* how long Redis may take to subscribe; after that, numbers show what is missing */
#define HEARD_LOOK_MS 1

static struct calls_watch *watch_of(struct calls_turn *turn)
{
    return KIT_OWNER(turn, struct calls_watch, turn);
}

static struct calls *calls_of(const struct calls_watch *watch)
{
    return watch->request.state;
}

static struct sio_socket *socket_of(const struct calls_watch *watch)
{
    return kit_answer_socket(&watch->request.answer);
}

static int read_watch(struct kit_request *request, const json_t *payload)
{
    struct calls_watch *watch = KIT_REQUEST(calls_watch, request);
    const json_t *since_seq = json_object_get(payload, "since_seq");
    kit_copy_text(watch->call_id, sizeof watch->call_id, payload, "call_id");
    if (!since_seq || kit_json_int64(since_seq, 0, INT64_MAX, &watch->since_seq)) return 0;
    return kit_fail(&request->op.failure, 400, "/since_seq", "must be a non-negative integer");
}

/* Answers, then lets the gate go on; what was kept back comes after the answer. seq -1: there is nothing to open. */
static void finish(struct calls_watch *watch, int64_t seq)
{
    struct calls_gate *gate = calls_gate_end_turn(&watch->turn);
    struct kit_answer answer = watch->request.answer;
    kit_request_finish(&watch->request);
    struct sio_socket *socket = kit_answer_socket(&answer);
    if (socket && seq >= 0) calls_gate_open(gate, socket, seq);
    if (!socket) calls_gate_drop(gate);
    calls_gate_next(gate);
}

static void start_turn(struct kit_request *request, void (*begin)(struct calls_turn *turn))
{
    struct calls_watch *watch = KIT_REQUEST(calls_watch, request);
    watch->turn.begin = begin;
    int error = calls_gate_enter(request->state, request->answer.sid, watch->call_id, &watch->turn);
    if (!error) return;
    kit_fail(&request->op.failure, 503, NULL,
             error == EIO_EAGAIN ? "too many requests are queued; try again" : "out of memory");
    kit_request_finish(request);
}

/* --------------------------------------------------------- call:subscribe */

/* The right alone: what is read of the call is calls_snapshot.c's. */
static int run_subscribe(struct kit_db *db, struct kit_request *request)
{
    struct calls_watch *watch = KIT_REQUEST(calls_watch, request);
    struct calls_call call;
    return calls_find_allowed(db, request->claims, watch->call_id, &call, &request->op.failure);
}

/* A socket that was in the call and may be stays in it, if it is not for want of rights. */
static void refuse(struct calls_watch *watch, struct sio_socket *socket)
{
    int code = watch->request.op.failure.code;
    if (watch->was_admitted && code != 403 && code != 404) {
        calls_gate_open(watch->turn.gate, socket, -1);
    } else {
        calls_access_take_out(calls_of(watch), socket, watch->call_id);
        calls_gate_drop(watch->turn.gate);
    }
    finish(watch, -1);
}

static void enter(struct calls_watch *watch, struct sio_socket *socket)
{
    struct calls *calls = calls_of(watch);
    struct kit_failure *failure = &watch->request.op.failure;
    if (calls_gate_is_lost(watch->turn.gate))
        kit_fail(failure, 503, NULL, "too many events in this call; try again");
    else if (calls_access_put_in(calls, socket, watch->request.claims, watch->call_id))
        kit_fail(failure, 503, NULL, "this socket is watching too many calls");
    if (failure->code) {
        refuse(watch, socket);
        return;
    }
    calls->counters.snapshots++;
    calls_presence_touch(calls, watch->call_id, true);
    finish(watch, watch->seq);
}

static void ask_all(struct calls_watch **list)
{
    while (*list) {
        struct calls_watch *watch = *list;
        *list = watch->next;
        calls_snapshot_ask(watch);
    }
}

/* A SUBSCRIBE that has left may be read after what others published later, on another connection: only its answer says
 * that nothing is missed from now on. */
static bool is_heard(const struct calls_watch *watch)
{
    const struct calls *calls = calls_of(watch);
    const struct sio_socket *socket = socket_of(watch);
    return !socket || calls_proxy_hears(calls, socket, watch->call_id) ||
           eio_loop_now_ms(calls->kit->loop) - watch->asked_ms >= HEARD_MAX_MS;
}

static void on_told(void *ctx)
{
    struct calls *calls = ctx;
    struct calls_watch **at = &calls->told, *heard = NULL, **last = &heard;
    while (*at) {
        struct calls_watch *watch = *at;
        if (!is_heard(watch)) {
            at = &watch->next;
            continue;
        }
        *at = watch->next;
        watch->next = NULL;
        *last = watch;
        last = &watch->next;
    }
    ask_all(&heard);
    if (calls->told) eio_timer_start(&calls->told_timer, HEARD_LOOK_MS);
}

/* After the hook that informs the other processes: they know of these members when the next turn begins. */
static void on_turn_end(void *ctx)
{
    struct calls *calls = ctx;
    struct calls_watch **last = &calls->told;
    if (!calls->joined) return;
    while (*last) last = &(*last)->next;
    *last = calls->joined;
    calls->joined = NULL;
    eio_timer_start(&calls->told_timer, 0);
}

/* The store is asked when the other processes know of this member. */
static void ask_after_join(struct calls_watch *watch)
{
    struct calls *calls = calls_of(watch);
    struct calls_watch **last = &calls->joined;
    watch->next = NULL;
    watch->asked_ms = eio_loop_now_ms(calls->kit->loop);
    if (calls->is_stopping || !kit_has_peers(calls->kit)) {
        calls_snapshot_ask(watch);
        return;
    }
    while (*last) last = &(*last)->next;
    *last = watch;
}

static void take_snapshot(struct calls_watch *watch, struct sio_socket *socket)
{
    struct calls *calls = calls_of(watch);
    watch->is_checked = true;
    watch->request.way = KIT_READ;
    calls_gate_hold(watch->turn.gate);
    if (!calls_access_put_in(calls, socket, watch->request.claims, watch->call_id)) {
        ask_after_join(watch);
        return;
    }
    kit_fail(&watch->request.op.failure, 503, NULL, "this socket is watching too many calls");
    refuse(watch, socket);
}

/* Also when its claims changed while something ran. */
static void begin_subscribe(struct calls_turn *turn)
{
    struct calls_watch *watch = watch_of(turn);
    struct kit_request *request = &watch->request;
    struct sio_socket *socket = socket_of(watch);
    struct kit_claims *claims = socket ? kit_auth_claims(socket) : NULL;
    if (!claims) {
        finish(watch, -1);
        return;
    }
    request->shared = NULL;
    request->op.failure.code = 0;
    kit_claims_unref(request->claims);
    request->claims = kit_claims_ref(claims);
    bool names_call = kit_claims_allow(claims, watch->call_id);
    if (!watch->has_begun)
        watch->was_admitted = calls_access_is_in(socket, watch->call_id);
    else
        watch->was_admitted = watch->was_admitted && names_call;
    watch->has_begun = true;
    watch->is_checked = names_call;
    if (watch->is_checked) {
        take_snapshot(watch, socket);
        return;
    }
    request->way = KIT_READ;
    kit_request_submit(request);
}

static void start_subscribe(struct kit_request *request)
{
    start_turn(request, begin_subscribe);
}

static void step_subscribe(struct kit_request *request)
{
    struct calls_watch *watch = KIT_REQUEST(calls_watch, request);
    struct sio_socket *socket = socket_of(watch);
    const struct kit_claims *claims = socket ? kit_auth_claims(socket) : NULL;
    if (!claims)
        finish(watch, -1);
    else if (claims != request->claims)
        begin_subscribe(&watch->turn);
    else if (request->op.failure.code)
        refuse(watch, socket);
    else if (!watch->is_checked)
        take_snapshot(watch, socket);
    else
        enter(watch, socket);
}

void calls_watch_take_snapshot(struct calls_watch *watch, struct sio_shared *shared, int64_t seq,
                               const struct kit_failure *failure)
{
    watch->request.op.failure = *failure;
    watch->request.shared = shared;
    watch->seq = seq;
    step_subscribe(&watch->request);
}

/* ------------------------------------------------------- call:unsubscribe */

static void begin_unsubscribe(struct calls_turn *turn)
{
    struct calls_watch *watch = watch_of(turn);
    struct sio_socket *socket = socket_of(watch);
    if (socket) calls_access_take_out(calls_of(watch), socket, watch->call_id);
    calls_gate_drop(turn->gate);
    finish(watch, -1);
}

static void start_unsubscribe(struct kit_request *request)
{
    start_turn(request, begin_unsubscribe);
}

/* ------------------------------------------------------------------- init */

int calls_watch_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {.name = "call:subscribe",
         .size = sizeof(struct calls_watch),
         .read = read_watch,
         .start = start_subscribe,
         .run = run_subscribe,
         .step = step_subscribe},
        {.name = "call:unsubscribe",
         .size = sizeof(struct calls_watch),
         .read = read_watch,
         .start = start_unsubscribe},
    };
    int error = 0;
    calls_snapshot_start(calls);
    eio_timer_init(&calls->told_timer, calls->kit->loop, on_told, calls);
    if (kit_has_peers(calls->kit)) error = eio_loop_add_flush_hook(calls->kit->loop, on_turn_end, calls);
    return error ? error : kit_open_events(calls->kit, calls->agents, events, sizeof events / sizeof events[0], calls);
}

void calls_watch_pause(struct calls *calls)
{
    calls->is_stopping = true;
    eio_timer_stop(&calls->told_timer);
    eio_loop_remove_flush_hook(calls->kit->loop, on_turn_end, calls);
    ask_all(&calls->told);
    ask_all(&calls->joined);
    calls_snapshot_pause(calls);
}
