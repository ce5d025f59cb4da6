/* The namespace "/": agents say who they are, watch calls, list them, and see who else is watching. */
#include "app.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* Changes of who watches a call are told together after this time, so that many who join at once cost one message. */
#define PRESENCE_DELAY_MS 50
/* Names in one agent:presence; above it only the number grows. */
#define PRESENCE_NAMES_MAX 200

/* ---------------------------------------------------------- agent:connect */

static void on_agent_connect(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct app *app = ctx;
    struct app_failure failure;
    json_t *payload = app_answer_payload(app, event);
    if (!payload) return;
    const char *agent_id = json_string_value(json_object_get(payload, "agent_id"));
    struct app_answer answer = app_answer_later(app, event);
    struct app_claims *claims =
        app_auth_check(app, eio_str(json_string_value(json_object_get(payload, "auth_token"))), &failure);
    bool failed = !claims;
    if (claims && strcmp(claims->sub, agent_id)) {
        failed = app_fail(&failure, 403, "/agent_id", "the token is for another user");
        app_claims_unref(claims);
    } else if (claims) {
        failed = app_auth_set(socket, claims, &failure);
    }
    if (failed) {
        app_answer_failure(&answer, &failure);
    } else {
        const struct app_claims *own = app_auth_claims(socket);
        struct sio_builder json;
        sio_builder_init(&json);
        sio_builder_open(&json);
        sio_builder_put(&json, "{\"ok\":true,\"agent_id\":");
        app_put_text(&json, own->sub);
        sio_builder_put(&json, ",\"role\":");
        app_put_text(&json, app_role_text(own->role));
        sio_builder_put(&json, "}");
        app_answer_json(&answer, &json);
        sio_builder_clear(&json);
    }
    json_decref(payload);
}

/* --------------------------------------------------------------- presence */

struct presence_call {
    char call_id[APP_ID_SIZE];
    uint64_t told; /* hash of the names sent last */
    bool dirty;
    UT_hash_handle hh;
};

struct app_presence {
    struct app *app;
    struct presence_call *calls; /* those with watchers */
    struct eio_timer timer;
};

struct watchers {
    const char **names;
    size_t count, capacity;
};

static void add_watcher(struct sio_socket *socket, void *ctx)
{
    struct watchers *watchers = ctx;
    const struct app_claims *claims = app_auth_claims(socket);
    if (!claims) return;
    if (watchers->count == watchers->capacity) {
        size_t capacity = watchers->capacity ? watchers->capacity * 2 : 16;
        const char **names = realloc(watchers->names, capacity * sizeof *names);
        if (!names) return;
        watchers->names = names;
        watchers->capacity = capacity;
    }
    watchers->names[watchers->count++] = claims->sub;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts, drops repeats (one agent, several tabs) and returns a hash of what is left. */
static uint64_t settle(struct watchers *watchers)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    size_t kept = 0;
    if (watchers->count) qsort(watchers->names, watchers->count, sizeof *watchers->names, compare_names);
    for (size_t i = 0; i < watchers->count; i++) {
        if (kept && !strcmp(watchers->names[kept - 1], watchers->names[i])) continue;
        watchers->names[kept++] = watchers->names[i];
        for (const char *c = watchers->names[i];; c++) {
            hash = (hash ^ (unsigned char)*c) * 1099511628211u;
            if (!*c) break;
        }
    }
    watchers->count = kept;
    return hash;
}

static void tell_presence(struct app_presence *presence, struct presence_call *call)
{
    char room[APP_ROOM_SIZE];
    struct watchers watchers = {NULL, 0, 0};
    struct sio_builder json;
    app_call_room(room, APP_CALL_ROOM, call->call_id);
    struct sio_target target = sio_to(sio_all(presence->app->agents), room);
    sio_target_each_local(target, add_watcher, &watchers);
    uint64_t hash = settle(&watchers);
    call->dirty = false;
    if (hash != call->told && watchers.count) {
        call->told = hash;
        sio_builder_init(&json);
        sio_builder_open(&json);
        sio_builder_put(&json, "{\"call_id\":");
        app_put_text(&json, call->call_id);
        sio_builder_put(&json, ",\"agents\":[");
        for (size_t i = 0; i < watchers.count && i < PRESENCE_NAMES_MAX; i++) {
            if (i) sio_builder_put(&json, ",");
            app_put_text(&json, watchers.names[i]);
        }
        sio_builder_put(&json, "],\"count\":");
        app_put_int(&json, (int64_t)watchers.count);
        sio_builder_put(&json, "}");
        sio_emit(target, "agent:presence", sio_builder_args(&json));
        sio_builder_clear(&json);
    }
    if (!watchers.count) {
        HASH_DEL(presence->calls, call);
        free(call);
    }
    free(watchers.names);
}

static void on_presence_timer(void *ctx)
{
    struct app_presence *presence = ctx;
    struct presence_call *call, *next;
    HASH_ITER(hh, presence->calls, call, next)
    {
        if (call->dirty) tell_presence(presence, call);
    }
}

/* Who watches this call may have changed. joined: somebody is new, even if under a name that is there already, and has
 * to be told who watches. */
static void touch_presence(struct app_presence *presence, const char *call_id, bool joined)
{
    struct presence_call *call;
    HASH_FIND_STR(presence->calls, call_id, call);
    if (!call) {
        call = calloc(1, sizeof *call);
        if (!call) return;
        snprintf(call->call_id, sizeof call->call_id, "%s", call_id);
        HASH_ADD_STR(presence->calls, call_id, call);
    }
    call->dirty = true;
    if (joined) call->told = 0;
    if (!eio_timer_running(&presence->timer)) eio_timer_start(&presence->timer, PRESENCE_DELAY_MS);
}

static void on_disconnecting(struct sio_socket *socket, const char *reason, void *ctx)
{
    struct app *app = ctx;
    struct eio_str room;
    const size_t prefix = sizeof APP_CALL_ROOM - 1;
    (void)reason;
    for (size_t i = 0; sio_socket_room_at(socket, i, &room); i++) {
        char call_id[APP_ID_SIZE];
        if (room.n <= prefix || room.n - prefix >= sizeof call_id || memcmp(room.p, APP_CALL_ROOM, prefix)) continue;
        memcpy(call_id, room.p + prefix, room.n - prefix);
        call_id[room.n - prefix] = 0;
        touch_presence(app->presence, call_id, false);
    }
}

/* ---------------------------------------------------------- subscriptions */

/* Both directions go through the store's write strand: the answer to a subscription runs between the broadcasts of the
 * writes before it, which the snapshot holds, and of those after it, which the room gets. An unsubscription takes the
 * same way so that it cannot overtake. */
struct watch_op {
    struct app_store_op op;
    struct app *app;
    struct app_answer answer;
    struct app_claims *claims;
    char call_id[APP_ID_SIZE];
    int64_t since_seq, now_ms;
    bool leaves;
    struct sio_builder json;
};

static int run_watch(struct app_db *db, struct app_store_op *op)
{
    struct watch_op *watch = (struct watch_op *)(void *)op;
    struct app_call call;
    if (watch->leaves) return 0;
    int code = app_calls_find_allowed(db, watch->claims, watch->call_id, &call, &op->failure);
    if (code) return code;
    return app_calls_snapshot(db, watch->app->config, watch->call_id, watch->since_seq, watch->now_ms, &watch->json,
                              &op->failure);
}

static void free_watch(struct watch_op *watch)
{
    app_claims_unref(watch->claims);
    sio_builder_clear(&watch->json);
    free(watch);
}

static void enter(struct watch_op *watch, struct sio_socket *socket)
{
    char room[APP_ROOM_SIZE];
    int error;
    app_call_room(room, APP_CALL_ROOM, watch->call_id);
    error = sio_join(socket, eio_str(room));
    if (!error && (watch->claims->role & (APP_ROLE_SUPERVISOR | APP_ROLE_ADMIN))) {
        app_call_room(room, APP_SUPERVISOR_ROOM, watch->call_id);
        error = sio_join(socket, eio_str(room));
    }
    if (error) {
        app_fail(&watch->op.failure, 503, NULL, "no more calls can be watched by this socket");
        app_answer_failure(&watch->answer, &watch->op.failure);
        return;
    }
    watch->app->counters.snapshots++;
    app_answer_json(&watch->answer, &watch->json);
    touch_presence(watch->app->presence, watch->call_id, true);
}

static void leave(struct watch_op *watch, struct sio_socket *socket)
{
    char room[APP_ROOM_SIZE];
    app_call_room(room, APP_SUPERVISOR_ROOM, watch->call_id);
    sio_leave(socket, eio_str(room));
    app_call_room(room, APP_CALL_ROOM, watch->call_id);
    sio_leave(socket, eio_str(room));
    sio_builder_open(&watch->json);
    sio_builder_put(&watch->json, "{\"ok\":true}");
    app_answer_json(&watch->answer, &watch->json);
    touch_presence(watch->app->presence, watch->call_id, false);
}

static void on_watch_done(struct app_store_op *op)
{
    struct watch_op *watch = (struct watch_op *)(void *)op;
    struct sio_socket *socket = app_answer_socket(&watch->answer);
    if (op->failure.code)
        app_answer_failure(&watch->answer, &op->failure);
    else if (socket && watch->leaves)
        leave(watch, socket);
    else if (socket && app_auth_claims(socket))
        enter(watch, socket);
    free_watch(watch);
}

static void watch_call(struct sio_socket *socket, const struct sio_event *event, struct app *app, bool leaves)
{
    json_t *payload = app_answer_payload(app, event);
    if (!payload) return;
    struct watch_op *watch = calloc(1, sizeof *watch);
    if (!watch) {
        app_answer_refuse(app, event, 503, NULL, "out of memory");
        json_decref(payload);
        return;
    }
    watch->op.run = run_watch;
    watch->op.done = on_watch_done;
    watch->app = app;
    watch->answer = app_answer_later(app, event);
    watch->claims = app_claims_ref(app_auth_claims(socket));
    watch->leaves = leaves;
    watch->now_ms = (int64_t)eio_loop_unix_ms(app->loop);
    watch->since_seq = json_integer_value(json_object_get(payload, "since_seq"));
    sio_builder_init(&watch->json);
    if (!leaves) sio_builder_open(&watch->json);
    snprintf(watch->call_id, sizeof watch->call_id, "%s", json_string_value(json_object_get(payload, "call_id")));
    json_decref(payload);
    if (!app_store_submit(app->store, &watch->op, sizeof *watch)) return;
    app_fail(&watch->op.failure, 503, NULL, "too much is waiting; try again");
    app_answer_failure(&watch->answer, &watch->op.failure);
    free_watch(watch);
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
    struct app_store_op op;
    struct app *app;
    struct app_answer answer;
    struct app_claims *claims;
    char status[16]; /* "": all */
    int64_t now_ms;
    struct sio_builder json;
};

static int run_list(struct app_db *db, struct app_store_op *op)
{
    struct list_op *list = (struct list_op *)(void *)op;
    return app_calls_list(db, list->app->config, list->claims, list->status[0] ? list->status : NULL, list->now_ms,
                          &list->json, &op->failure);
}

static void free_list(struct list_op *list)
{
    app_claims_unref(list->claims);
    sio_builder_clear(&list->json);
    free(list);
}

static void on_list_done(struct app_store_op *op)
{
    struct list_op *list = (struct list_op *)(void *)op;
    if (op->failure.code)
        app_answer_failure(&list->answer, &op->failure);
    else
        app_answer_json(&list->answer, &list->json);
    free_list(list);
}

static void on_list(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct app *app = ctx;
    json_t *payload = app_answer_payload(app, event);
    if (!payload) return;
    struct list_op *list = calloc(1, sizeof *list);
    if (!list) {
        app_answer_refuse(app, event, 503, NULL, "out of memory");
        json_decref(payload);
        return;
    }
    const char *status = json_string_value(json_object_get(payload, "status"));
    list->op.run = run_list;
    list->op.done = on_list_done;
    list->app = app;
    list->answer = app_answer_later(app, event);
    list->claims = app_claims_ref(app_auth_claims(socket));
    list->now_ms = (int64_t)eio_loop_unix_ms(app->loop);
    snprintf(list->status, sizeof list->status, "%s", status ? status : "");
    sio_builder_init(&list->json);
    sio_builder_open(&list->json);
    json_decref(payload);
    if (!app_store_submit_read(app->store, &list->op, sizeof *list)) return;
    app_fail(&list->op.failure, 503, NULL, "too much is waiting; try again");
    app_answer_failure(&list->answer, &list->op.failure);
    free_list(list);
}

/* ------------------------------------------------------------------- init */

int app_agents_init(struct app *app)
{
    static const struct {
        const char *event;
        sio_event_fn fn;
    } handlers[] = {{"agent:connect", on_agent_connect},
                    {"call:subscribe", on_subscribe},
                    {"call:unsubscribe", on_unsubscribe},
                    {"call:list", on_list}};
    app->presence = calloc(1, sizeof *app->presence);
    if (!app->presence) return EIO_ENOMEM;
    app->presence->app = app;
    eio_timer_init(&app->presence->timer, app->loop, on_presence_timer, app->presence);
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
        int error = sio_on(app->agents, handlers[i].event, handlers[i].fn, app);
        if (error) return error;
    }
    return sio_on_disconnecting(app->agents, on_disconnecting, app);
}

void app_agents_clear(struct app *app)
{
    struct presence_call *call, *next;
    if (!app->presence) return;
    eio_timer_stop(&app->presence->timer);
    HASH_ITER(hh, app->presence->calls, call, next)
    {
        HASH_DEL(app->presence->calls, call);
        free(call);
    }
    free(app->presence);
    app->presence = NULL;
}
