/* The namespace "/": agents say who they are, watch calls, list them, and see who else is watching. */
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------- agent:connect */

static void on_agent_connect(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct calls *calls = ctx;
    struct kit_failure failure;
    json_t *payload = kit_answer_payload(calls->kit, event);
    if (!payload) return;
    const char *agent_id = json_string_value(json_object_get(payload, "agent_id"));
    struct kit_answer answer = kit_answer_later(calls->kit, event);
    struct kit_claims *claims =
        kit_auth_check(calls->kit, eio_str(json_string_value(json_object_get(payload, "auth_token"))), &failure);
    bool failed = !claims;
    if (claims && strcmp(claims->sub, agent_id)) {
        failed = kit_fail(&failure, 403, "/agent_id", "the token is for another user");
        kit_claims_unref(claims);
    } else if (claims) {
        failed = kit_auth_set(socket, claims, &failure);
    }
    if (failed) {
        kit_answer_failure(&answer, &failure);
    } else {
        const struct kit_claims *own = kit_auth_claims(socket);
        struct sio_builder json;
        sio_builder_init(&json);
        sio_builder_open(&json);
        sio_builder_put(&json, "{\"ok\":true,\"agent_id\":");
        kit_put_text(&json, own->sub);
        sio_builder_put(&json, ",\"role\":");
        kit_put_text(&json, kit_role_text(own->role));
        sio_builder_put(&json, "}");
        kit_answer_json(&answer, &json);
        sio_builder_clear(&json);
    }
    json_decref(payload);
}

/* --------------------------------------------------------- coming and going */

/* Somebody came or went with the calls that he watches. */
static void touch_calls(struct calls *calls, const struct sio_socket *socket, bool joined)
{
    struct eio_str room;
    const size_t prefix = sizeof CALLS_ROOM - 1;
    for (size_t i = 0; sio_socket_room_at(socket, i, &room); i++) {
        char call_id[KIT_ID_SIZE];
        if (room.n <= prefix || room.n - prefix >= sizeof call_id || memcmp(room.p, CALLS_ROOM, prefix)) continue;
        memcpy(call_id, room.p + prefix, room.n - prefix);
        call_id[room.n - prefix] = 0;
        calls_presence_touch(calls, call_id, joined);
    }
}

static void on_disconnecting(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)reason;
    touch_calls(ctx, socket, false);
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    if (sio_socket_recovered(socket)) touch_calls(ctx, socket, true);
}

/* ---------------------------------------------------------- subscriptions */

/* Both directions go through the store's write strand: the answer to a subscription runs between the broadcasts of the
 * writes before it, which the snapshot holds, and of those after it, which the room gets. An unsubscription takes the
 * same way so that it cannot overtake.
 *
 * What other processes write comes at any time. So with several the socket joins first, the others are told of it, then
 * the snapshot is read; what is broadcast meanwhile is held back and follows the answer, if it is not in the snapshot.
 */
struct watch_op {
    struct kit_store_op op;
    struct calls *calls;
    struct kit_answer answer;
    struct kit_claims *claims;
    char call_id[KIT_ID_SIZE];
    int64_t since_seq, now_ms, seq; /* of the snapshot */
    bool leaves;
    bool was_in;             /* before it asked */
    struct calls_hold *hold; /* NULL: there is one process, or it leaves */
    struct sio_builder json;
};

static int run_watch(struct kit_db *db, struct kit_store_op *op)
{
    struct watch_op *watch = (struct watch_op *)(void *)op;
    struct calls_call call;
    if (watch->leaves) return 0;
    int code = calls_find_allowed(db, watch->claims, watch->call_id, &call, &op->failure);
    if (code) return code;
    watch->seq = call.seq;
    return calls_snapshot(db, watch->calls->kit->config, watch->call_id, watch->since_seq, watch->now_ms, &watch->json,
                          &op->failure);
}

static void free_watch(struct watch_op *watch)
{
    calls_hold_free(watch->hold);
    kit_claims_unref(watch->claims);
    sio_builder_clear(&watch->json);
    free(watch);
}

static int join(struct watch_op *watch, struct sio_socket *socket)
{
    char room[CALLS_ROOM_SIZE];
    calls_room(room, CALLS_ROOM, watch->call_id);
    watch->was_in = sio_socket_is_in(socket, eio_str(room));
    int error = sio_join(socket, eio_str(room));
    if (!error && (watch->claims->role & (KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN))) {
        calls_room(room, CALLS_SUPERVISOR_ROOM, watch->call_id);
        error = sio_join(socket, eio_str(room));
    }
    return error;
}

static void leave_rooms(const struct watch_op *watch, struct sio_socket *socket)
{
    char room[CALLS_ROOM_SIZE];
    calls_room(room, CALLS_SUPERVISOR_ROOM, watch->call_id);
    sio_leave(socket, eio_str(room));
    calls_room(room, CALLS_ROOM, watch->call_id);
    sio_leave(socket, eio_str(room));
}

static void release(struct watch_op *watch, struct sio_socket *socket, int64_t seq)
{
    calls_hold_release(watch->hold, socket, seq);
    watch->hold = NULL;
}

static void refuse(struct watch_op *watch, struct sio_socket *socket)
{
    if (socket && watch->hold && !watch->was_in) leave_rooms(watch, socket);
    if (socket && watch->hold && watch->was_in) release(watch, socket, 0);
    kit_answer_failure(&watch->answer, &watch->op.failure);
}

static void enter(struct watch_op *watch, struct sio_socket *socket)
{
    if (!watch->hold && join(watch, socket)) {
        kit_fail(&watch->op.failure, 503, NULL, "no more calls can be watched by this socket");
        refuse(watch, socket);
        return;
    }
    if (watch->hold && calls_hold_is_lost(watch->hold)) {
        kit_fail(&watch->op.failure, 503, NULL, "too much is said in this call; try again");
        refuse(watch, socket);
        return;
    }
    watch->calls->counters.snapshots++;
    kit_answer_json(&watch->answer, &watch->json);
    if (watch->hold) release(watch, socket, watch->seq);
    calls_presence_touch(watch->calls, watch->call_id, true);
}

static void leave(struct watch_op *watch, struct sio_socket *socket)
{
    leave_rooms(watch, socket);
    sio_builder_open(&watch->json);
    sio_builder_put(&watch->json, "{\"ok\":true}");
    kit_answer_json(&watch->answer, &watch->json);
    calls_presence_touch(watch->calls, watch->call_id, false);
}

static void on_watch_done(struct kit_store_op *op)
{
    struct watch_op *watch = (struct watch_op *)(void *)op;
    struct sio_socket *socket = kit_answer_socket(&watch->answer);
    if (op->failure.code)
        refuse(watch, socket);
    else if (socket && watch->leaves)
        leave(watch, socket);
    else if (socket && kit_auth_claims(socket))
        enter(watch, socket);
    free_watch(watch);
}

static void submit_watch(void *ctx)
{
    struct watch_op *watch = ctx;
    if (!kit_store_submit(watch->calls->kit->store, &watch->op, sizeof *watch)) return;
    kit_fail(&watch->op.failure, 503, NULL, "too much is waiting; try again");
    refuse(watch, kit_answer_socket(&watch->answer));
    free_watch(watch);
}

/* The store is asked when the other processes know of this member, which is when this turn has ended. */
static void submit_after_join(struct watch_op *watch, struct sio_socket *socket)
{
    watch->hold = calls_hold_new(watch->calls, watch->answer.sid, watch->call_id);
    bool failed = !watch->hold || join(watch, socket) || eio_loop_post(watch->calls->kit->loop, submit_watch, watch);
    if (!failed) return;
    kit_fail(&watch->op.failure, 503, NULL, "no more calls can be watched by this socket");
    refuse(watch, socket);
    free_watch(watch);
}

static void watch_call(struct sio_socket *socket, const struct sio_event *event, struct calls *calls, bool leaves)
{
    json_t *payload = kit_answer_payload(calls->kit, event);
    if (!payload) return;
    struct watch_op *watch = calloc(1, sizeof *watch);
    if (!watch) {
        kit_answer_refuse(calls->kit, event, 503, NULL, "out of memory");
        json_decref(payload);
        return;
    }
    watch->op.run = run_watch;
    watch->op.done = on_watch_done;
    watch->calls = calls;
    watch->answer = kit_answer_later(calls->kit, event);
    watch->claims = kit_claims_ref(kit_auth_claims(socket));
    watch->leaves = leaves;
    watch->now_ms = (int64_t)eio_loop_unix_ms(calls->kit->loop);
    watch->since_seq = json_integer_value(json_object_get(payload, "since_seq"));
    sio_builder_init(&watch->json);
    if (!leaves) sio_builder_open(&watch->json);
    snprintf(watch->call_id, sizeof watch->call_id, "%s", json_string_value(json_object_get(payload, "call_id")));
    json_decref(payload);
    if (kit_has_peers(calls->kit) && !leaves)
        submit_after_join(watch, socket);
    else
        submit_watch(watch);
}

static void on_subscribe(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    watch_call(socket, event, ctx, false);
}

static void on_unsubscribe(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    watch_call(socket, event, ctx, true);
}

/* -------------------------------------------------------------- call:list */

struct list_op {
    struct kit_store_op op;
    struct calls *calls;
    struct kit_answer answer;
    struct kit_claims *claims;
    char status[16]; /* "": all */
    int64_t now_ms;
    struct sio_builder json;
};

static int run_list(struct kit_db *db, struct kit_store_op *op)
{
    struct list_op *list = (struct list_op *)(void *)op;
    return calls_list(db, list->calls->kit->config, list->claims, list->status[0] ? list->status : NULL, list->now_ms,
                      &list->json, &op->failure);
}

static void free_list(struct list_op *list)
{
    kit_claims_unref(list->claims);
    sio_builder_clear(&list->json);
    free(list);
}

static void on_list_done(struct kit_store_op *op)
{
    struct list_op *list = (struct list_op *)(void *)op;
    if (op->failure.code)
        kit_answer_failure(&list->answer, &op->failure);
    else
        kit_answer_json(&list->answer, &list->json);
    free_list(list);
}

static void on_list(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct calls *calls = ctx;
    json_t *payload = kit_answer_payload(calls->kit, event);
    if (!payload) return;
    struct list_op *list = calloc(1, sizeof *list);
    if (!list) {
        kit_answer_refuse(calls->kit, event, 503, NULL, "out of memory");
        json_decref(payload);
        return;
    }
    const char *status = json_string_value(json_object_get(payload, "status"));
    list->op.run = run_list;
    list->op.done = on_list_done;
    list->calls = calls;
    list->answer = kit_answer_later(calls->kit, event);
    list->claims = kit_claims_ref(kit_auth_claims(socket));
    list->now_ms = (int64_t)eio_loop_unix_ms(calls->kit->loop);
    snprintf(list->status, sizeof list->status, "%s", status ? status : "");
    sio_builder_init(&list->json);
    sio_builder_open(&list->json);
    json_decref(payload);
    if (!kit_store_submit_read(calls->kit->store, &list->op, sizeof *list)) return;
    kit_fail(&list->op.failure, 503, NULL, "too much is waiting; try again");
    kit_answer_failure(&list->answer, &list->op.failure);
    free_list(list);
}

/* ------------------------------------------------------------------- init */

int calls_agents_start(struct calls *calls)
{
    static const struct {
        const char *event;
        sio_event_fn fn;
    } handlers[] = {{"agent:connect", on_agent_connect},
                    {"call:subscribe", on_subscribe},
                    {"call:unsubscribe", on_unsubscribe},
                    {"call:list", on_list}};
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
        int error = sio_on(calls->agents, handlers[i].event, handlers[i].fn, calls);
        if (error) return error;
    }
    int error = sio_on_connection(calls->agents, on_connection, calls);
    return error ? error : sio_on_disconnecting(calls->agents, on_disconnecting, calls);
}
