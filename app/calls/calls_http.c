/* The feed's events as POST requests. */
#include "calls_int.h"
#include "kit_http.h"

#include <stdlib.h>
#include <string.h>

#define CALLS_PATH "/api/v1/calls"

/* A POST on its way: one or several events, answered together. */
struct post {
    struct calls *calls;
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
        kit_http_reply_failure(post->calls->kit, post->request, &post->failure);
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
    kit_http_reply_builder(post->request, post->kind == CALLS_FEED_START && !post->duplicates ? 201 : 200, &json);
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
    const json_t *schema = kit_schema_find(post->calls->kit->schemas, calls_feed_event_name(post->kind));
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
    struct calls *calls = post->calls;
    post->waiting = count + 1; /* one of our own, so that the answer waits for the last to be handed over */
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_array_get(all, i);
        char *text = NULL;
        /* A lone object goes on as it came. */
        if (post->is_list) text = json_dumps(object, JSON_COMPACT);
        struct calls_feed_event event = {post->kind, text ? eio_str(text) : raw, object,
                                         post->is_list || !post->call_id[0] ? NULL : post->call_id, NULL};
        calls_feed_submit(calls, &event, on_result, post);
        free(text);
    }
    if (--post->waiting) return;
    answer_post(post);
    free_post(post);
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

static struct post *read_post(struct calls *calls, struct eio_http_request *request, struct kit_failure *failure)
{
    struct post *post = calloc(1, sizeof *post);
    if (!post) {
        kit_fail(failure, 503, NULL, "out of memory");
        return NULL;
    }
    post->calls = calls;
    post->claims = kit_http_authorize(calls->kit, request, KIT_ROLE_FEED | KIT_ROLE_ADMIN, failure);
    if (post->claims && !read_path(eio_http_head_path(eio_http_request_head(request)), &post->kind, post->call_id))
        kit_fail(failure, 404, NULL, "there is nothing at this path");
    if (!failure->code) return post;
    free_post(post);
    return NULL;
}

static void on_calls(struct eio_http_request *request, void *ctx)
{
    struct calls *calls = ctx;
    struct kit_failure failure = {0, "", ""};
    if (!kit_http_method_is(calls->kit, request, EIO_HTTP_POST)) return;
    struct post *post = read_post(calls, request, &failure);
    if (!post) {
        kit_http_reply_failure(calls->kit, request, &failure);
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
        kit_http_reply_failure(calls->kit, request, &failure);
        free_post(post);
    }
    json_decref(all);
    json_decref(body);
}

/* ------------------------------------------------------------------- init */

int calls_http_start(struct calls *calls)
{
    struct eio_http *http = sio_server_http(calls->kit->io);
    int error = eio_http_route(http, CALLS_PATH, 0, on_calls, calls);
    return error ? error : eio_http_route(http, CALLS_PATH "/*", 0, on_calls, calls);
}
