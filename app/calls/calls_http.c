/* HTTP: health, readiness, metrics, and the feed's events as POST requests. */
#include "app.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CALLS_PATH "/api/v1/calls"
#define JSON_TYPE "application/json; charset=utf-8"

static void reply(struct eio_http_request *request, int status, const char *type, const char *body, size_t size)
{
    static const struct eio_http_reply_field fields[] = {{"Cache-Control", "no-store"},
                                                         {"X-Content-Type-Options", "nosniff"}};
    struct eio_http_reply answer = {
        .status = status, .content_type = type, .body = body, .body_size = size, .fields = fields, .field_count = 2};
    eio_http_reply(request, &answer);
}

static void reply_text(struct eio_http_request *request, int status, const char *json)
{
    reply(request, status, JSON_TYPE, json, strlen(json));
}

static void reply_builder(struct eio_http_request *request, int status, struct sio_builder *json)
{
    if (json->error)
        reply_text(request, 503, "{\"ok\":false}");
    else
        reply(request, status, JSON_TYPE, json->json, json->size);
    sio_builder_clear(json);
}

static void reply_failure(struct app *app, struct eio_http_request *request, const struct kit_failure *failure)
{
    struct sio_builder json;
    if (failure->code == 401) app->counters.auth_failures++;
    if (failure->code == 403) app->counters.forbidden++;
    if (failure->code == 400) app->counters.invalid++;
    sio_builder_init(&json);
    sio_builder_open(&json);
    kit_answer_put_failure(&json, failure);
    reply_builder(request, failure->code, &json);
}

static bool method_is(struct app *app, struct eio_http_request *request, enum eio_http_method wanted)
{
    struct kit_failure failure;
    enum eio_http_method method = (enum eio_http_method)eio_http_request_head(request)->method;
    if (method == wanted || (wanted == EIO_HTTP_GET && method == EIO_HTTP_HEAD)) return true;
    kit_fail(&failure, 405, NULL, "only %s", wanted == EIO_HTTP_GET ? "GET and HEAD" : "POST");
    reply_failure(app, request, &failure);
    return false;
}

/* ----------------------------------------------------------------- health */

struct health {
    struct app *app;
    struct eio_http_request *request; /* NULL: the client went away */
    struct kit_store_op op;
    int64_t calls;
};

static struct health *health_of(struct kit_store_op *op)
{
    return (struct health *)(void *)((char *)op - offsetof(struct health, op));
}

static int run_health(struct kit_db *db, struct kit_store_op *op)
{
    sqlite3_stmt *row =
        kit_db_statement(db, "SELECT count(*) FROM calls WHERE status IN ('ringing','active','on_hold')");
    if (kit_db_step(row, "") != SQLITE_ROW) return kit_db_fail(db, &op->failure);
    health_of(op)->calls = sqlite3_column_int64(row, 0);
    return 0;
}

static void on_health_abort(void *ctx)
{
    ((struct health *)ctx)->request = NULL;
}

/* What is added up over all workers. */
struct totals {
    uint64_t sessions, sockets, uptime_ms;
    unsigned up;
    bool is_alone; /* other nodes are not reached, by one worker at least */
};

static struct totals sum(const struct app *app)
{
    struct totals totals = {0, 0, 0, 1, false};
    const char *why;
    if (app->worker) {
        const struct node_workers_page *page = app->worker->page;
        uint64_t now_ms = node_monotonic_ms();
        totals = (struct totals){0, 0, now_ms - page->started_ms, 0, false};
        for (unsigned i = 0; i < app->worker->count; i++) {
            const struct node_worker_page *worker = &page->workers[i];
            if (!atomic_load(&worker->pid)) continue;
            totals.up += node_worker_page_is_up(worker, now_ms);
            totals.sessions += atomic_load(&worker->sessions);
            totals.sockets += atomic_load(&worker->sockets);
            totals.is_alone |= atomic_load(&worker->degraded) != 0;
        }
    } else {
        struct sio_stats stats;
        sio_server_get_stats(app->io, &stats);
        totals.uptime_ms = eio_loop_now_ms(app->loop) - app->started_ms;
        totals.sessions = eio_server_session_count(sio_server_engine(app->io));
        totals.sockets = stats.sockets;
        totals.is_alone = node_cluster_is_degraded(app, &why);
    }
    return totals;
}

static void answer_health(void *ctx)
{
    struct health *health = ctx;
    struct app *app = health->app;
    struct sio_builder json;
    struct totals totals = sum(app);
    bool degraded = health->op.failure.code || totals.is_alone || (app->worker && totals.up < app->worker->count);
    if (health->request) {
        sio_builder_init(&json);
        sio_builder_open(&json);
        sio_builder_put(&json, degraded ? "{\"status\":\"degraded\"" : "{\"status\":\"ok\"");
        sio_builder_put(&json, ",\"version\":\"" PARLEY_VERSION "\",\"uptime_s\":");
        kit_put_int(&json, (int64_t)totals.uptime_ms / 1000);
        sio_builder_put(&json, ",\"connections\":");
        kit_put_int(&json, (int64_t)totals.sessions);
        sio_builder_put(&json, ",\"sockets\":");
        kit_put_int(&json, (int64_t)totals.sockets);
        sio_builder_put(&json, ",\"calls\":");
        kit_put_int(&json, health->calls);
        if (app->worker) {
            sio_builder_put(&json, ",\"workers\":");
            kit_put_int(&json, app->worker->count);
            sio_builder_put(&json, ",\"workers_up\":");
            kit_put_int(&json, totals.up);
        }
        if (app->config->redis[0]) {
            sio_builder_put(&json, ",\"redis\":");
            sio_builder_put(&json, totals.is_alone ? "\"away\"" : "\"ok\"");
        }
        sio_builder_put(&json, "}");
        reply_builder(health->request, 200, &json);
    }
    free(health);
}

static void on_health_done(struct kit_store_op *op)
{
    struct health *health = health_of(op);
    struct node_worker *worker = health->app->worker;
    if (!worker || node_worker_inquire(worker, answer_health, health)) answer_health(health);
}

static void on_health(struct eio_http_request *request, void *ctx)
{
    struct app *app = ctx;
    if (!method_is(app, request, EIO_HTTP_GET)) return;
    struct health *health = calloc(1, sizeof *health);
    if (!health) {
        reply_text(request, 503, "{\"ok\":false}");
        return;
    }
    health->app = app;
    health->request = request;
    health->op.run = run_health;
    health->op.done = on_health_done;
    eio_http_request_on_abort(request, on_health_abort, health);
    if (!kit_store_submit_read(app->store, &health->op, 0)) return;
    /* Too much work is waiting to ask the store: still alive, and that is the question. */
    kit_fail(&health->op.failure, 503, NULL, "busy");
    on_health_done(&health->op);
}

static void on_ready(struct eio_http_request *request, void *ctx)
{
    struct app *app = ctx;
    if (!method_is(app, request, EIO_HTTP_GET)) return;
    if (app->draining)
        reply_text(request, 503, "{\"ready\":false,\"reason\":\"draining\"}");
    else
        reply_text(request, 200, "{\"ready\":true}");
}

/* ------------------------------------------------------------------ calls */

/* A POST on its way: one or several events, answered together. */
struct post {
    struct app *app;
    struct eio_http_request *request; /* NULL: the client went away */
    struct kit_claims *claims;
    enum calls_feed_kind kind;
    char call_id[KIT_ID_SIZE]; /* "": in the object */
    bool is_list;
    size_t waiting, stored, duplicates;
    int64_t seq;
    struct kit_failure failure; /* the first */
};

static void free_post(struct post *post)
{
    kit_claims_unref(post->claims);
    free(post);
}

static void answer_post(struct post *post)
{
    struct sio_builder json;
    if (!post->request) return;
    if (post->failure.code) {
        reply_failure(post->app, post->request, &post->failure);
        return;
    }
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put(&json, "{\"ok\":true,\"call_id\":");
    kit_put_text(&json, post->call_id);
    if (post->is_list) {
        sio_builder_put(&json, ",\"stored\":");
        kit_put_int(&json, (int64_t)post->stored);
        sio_builder_put(&json, ",\"duplicates\":");
        kit_put_int(&json, (int64_t)post->duplicates);
    } else if (post->duplicates) {
        sio_builder_put(&json, ",\"duplicate\":true");
    }
    sio_builder_put(&json, ",\"seq\":");
    kit_put_int(&json, post->seq);
    sio_builder_put(&json, "}");
    reply_builder(post->request, post->kind == CALLS_FEED_START && !post->duplicates ? 201 : 200, &json);
}

static void on_abort(void *ctx)
{
    ((struct post *)ctx)->request = NULL;
}

static void on_result(void *ctx, const struct calls_feed_result *result)
{
    struct post *post = ctx;
    if (result->failure.code) {
        if (!post->failure.code) post->failure = result->failure;
    } else {
        snprintf(post->call_id, sizeof post->call_id, "%s", result->call_id);
        if (result->seq > post->seq) post->seq = result->seq;
        if (result->duplicate)
            post->duplicates++;
        else
            post->stored++;
    }
    if (--post->waiting) return;
    answer_post(post);
    free_post(post);
}

/* A copy of the object with the path's call_id, checked; NULL with failure. */
static json_t *complete_object(struct post *post, const json_t *value, size_t position, struct kit_failure *failure)
{
    struct kit_schema_error error;
    char field[200];
    json_t *object = json_is_object(value) ? json_copy((json_t *)(uintptr_t)value) : NULL;
    if (object && post->call_id[0] && !json_object_get(object, "call_id"))
        json_object_set_new(object, "call_id", json_string(post->call_id));
    const json_t *schema = kit_schema_find(post->app->schemas, calls_feed_event_name(post->kind));
    bool fits = kit_schema_check(schema, object, &error);
    const char *call_id = json_string_value(json_object_get(object, "call_id"));
    if (!fits) {
        snprintf(field, sizeof field, "%s%s%s", post->is_list ? "/" : "",
                 post->is_list ? kit_number((long long)position).text : "", error.pointer);
        kit_fail(failure, 400, field, "%s", error.message);
    } else if (post->call_id[0] && strcmp(call_id, post->call_id)) {
        kit_fail(failure, 400, "/call_id", "differs from the path's");
    } else if (!kit_claims_allow(post->claims, call_id)) {
        kit_fail(failure, 403, "/call_id", "this call is not yours");
    } else {
        return object;
    }
    json_decref(object);
    return NULL;
}

/* All are checked before the first is stored. The list holds new references. */
static json_t *complete_all(struct post *post, const json_t *body, struct kit_failure *failure)
{
    json_t *all = json_array();
    size_t count = post->is_list ? json_array_size(body) : 1;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = post->is_list ? json_array_get(body, i) : body;
        json_t *object = complete_object(post, value, i, failure);
        if (!object || json_array_append_new(all, object)) {
            if (object) kit_fail(failure, 503, NULL, "out of memory");
            json_decref(all);
            return NULL;
        }
    }
    if (!count) {
        kit_fail(failure, 400, NULL, "the list is empty");
        json_decref(all);
        return NULL;
    }
    return all;
}

static void submit_all(struct post *post, const json_t *all, struct eio_str raw)
{
    size_t count = json_array_size(all);
    struct app *app = post->app;
    post->waiting = count + 1; /* one of our own, so that the answer waits for the last to be handed over */
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_array_get(all, i);
        char *text = NULL;
        /* A lone object goes on as it came. */
        if (post->is_list) text = json_dumps(object, JSON_COMPACT);
        struct calls_feed_event event = {post->kind, text ? eio_str(text) : raw, object,
                                         post->is_list || !post->call_id[0] ? NULL : post->call_id};
        calls_feed_submit(app, &event, on_result, post);
        free(text);
    }
    if (--post->waiting) return;
    answer_post(post);
    free_post(post);
}

static struct kit_claims *authorize(struct app *app, struct eio_http_request *request, struct kit_failure *failure)
{
    static const char scheme[] = "Bearer ";
    struct eio_str field = eio_http_head_field(eio_http_request_head(request), "authorization");
    if (field.n <= sizeof scheme - 1 || strncasecmp(field.p, scheme, sizeof scheme - 1)) {
        kit_fail(failure, 401, NULL, "a bearer token is needed");
        return NULL;
    }
    struct eio_str token = {field.p + sizeof scheme - 1, field.n - (sizeof scheme - 1)};
    struct kit_claims *claims = kit_auth_check(app, token, failure);
    if (!claims || claims->role == KIT_ROLE_FEED || claims->role == KIT_ROLE_ADMIN) return claims;
    kit_fail(failure, 403, NULL, "the role %s may not use this", kit_role_text(claims->role));
    kit_claims_unref(claims);
    return NULL;
}

/* "/api/v1/calls", "/api/v1/calls/{id}/transcription", "/api/v1/calls/{id}/status". */
static bool read_path(struct eio_str path, enum calls_feed_kind *kind, char call_id[KIT_ID_SIZE])
{
    static const char base[] = CALLS_PATH "/";
    call_id[0] = 0;
    *kind = CALLS_FEED_START;
    if (eio_str_is(path, CALLS_PATH)) return true;
    if (path.n < sizeof base || memcmp(path.p, base, sizeof base - 1)) return false;
    struct eio_str rest = {path.p + sizeof base - 1, path.n - (sizeof base - 1)};
    const char *slash = memchr(rest.p, '/', rest.n);
    if (!slash) return false;
    struct eio_str raw = {rest.p, (size_t)(slash - rest.p)};
    struct eio_str what = {slash + 1, rest.n - raw.n - 1};
    int n = eio_query_decode(raw, call_id, KIT_ID_SIZE - 1);
    if (n < 0) return false;
    call_id[n] = 0;
    *kind = eio_str_is(what, "transcription") ? CALLS_FEED_LINE : CALLS_FEED_STATUS;
    return (*kind == CALLS_FEED_LINE || eio_str_is(what, "status")) && kit_is_id(call_id, (size_t)n);
}

static struct post *read_post(struct app *app, struct eio_http_request *request, struct kit_failure *failure)
{
    struct post *post = calloc(1, sizeof *post);
    if (!post) {
        kit_fail(failure, 503, NULL, "out of memory");
        return NULL;
    }
    post->app = app;
    post->claims = authorize(app, request, failure);
    if (post->claims && !read_path(eio_http_head_path(eio_http_request_head(request)), &post->kind, post->call_id))
        kit_fail(failure, 404, NULL, "there is nothing at this path");
    if (!failure->code) return post;
    free_post(post);
    return NULL;
}

static void on_calls(struct eio_http_request *request, void *ctx)
{
    struct app *app = ctx;
    struct kit_failure failure = {0, "", ""};
    if (!method_is(app, request, EIO_HTTP_POST)) return;
    struct post *post = read_post(app, request, &failure);
    if (!post) {
        reply_failure(app, request, &failure);
        return;
    }
    json_error_t where;
    struct eio_str raw = eio_http_request_body(request);
    json_t *body = json_loadb(raw.p ? raw.p : "", raw.n, 0, &where);
    post->is_list = json_is_array(body) && post->kind == CALLS_FEED_LINE;
    json_t *all = NULL;
    if (!body)
        kit_fail(&failure, 400, NULL, "the body is not JSON: %s", where.text);
    else
        all = complete_all(post, body, &failure);
    if (all) {
        post->request = request;
        eio_http_request_on_abort(request, on_abort, post);
        submit_all(post, all, raw);
    } else {
        reply_failure(app, request, &failure);
        free_post(post);
    }
    json_decref(all);
    json_decref(body);
}

/* ------------------------------------------------------------------- init */

int calls_http_init(struct app *app)
{
    struct eio_http *http = sio_server_http(app->io);
    int error = eio_http_route(http, "/health", 0, on_health, app);
    if (!error) error = eio_http_route(http, "/ready", 0, on_ready, app);
    if (!error) error = eio_http_route(http, CALLS_PATH, 0, on_calls, app);
    if (!error) error = eio_http_route(http, CALLS_PATH "/*", 0, on_calls, app);
    return error;
}
