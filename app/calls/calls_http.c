/* The feed's events as POST requests; deletion of calls. */
#include "calls_life.h"
#include "kit_http.h"

#include <stdlib.h>
#include <string.h>

#define CALLS_PATH "/api/v1/calls"

/* A request on its way. */
struct post {
    struct calls *calls;
    struct eio_http_request *request; /* NULL: the client went away */
    struct kit_claims *claims;
    struct kit_http_user *user;
    enum calls_feed_kind kind;
    char call_id[KIT_ID_SIZE]; /* "": in the object */
};

static void free_post(struct post *post)
{
    if (!post) return;
    if (post->user) kit_http_user_unref(post->calls->kit, post->user);
    kit_claims_unref(post->claims);
    free(post);
}

static void on_abort(void *ctx)
{
    ((struct post *)ctx)->request = NULL;
}

/* -------------------------------------------------------------- one object */

static void answer_one(const struct post *post, const struct calls_feed_result *result)
{
    struct sio_builder json;
    if (result->failure.code) {
        kit_http_reply_failure(post->calls->kit, post->request, &result->failure);
        return;
    }
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put(&json, "{\"ok\":true,\"call_id\":");
    kit_put_text(&json, result->call_id);
    if (result->duplicate) sio_builder_put(&json, ",\"duplicate\":true");
    sio_builder_put(&json, ",\"seq\":");
    kit_put_int(&json, result->seq);
    sio_builder_put(&json, "}");
    kit_http_reply_builder(post->request, post->kind == CALLS_FEED_START && !result->duplicate ? 201 : 200, &json);
}

static void on_result(void *ctx, const struct calls_feed_result *result)
{
    struct post *post = ctx;
    if (post->request) answer_one(post, result);
    free_post(post);
}

/* ------------------------------------------------------------------ a list */

static void put_list_error(struct sio_builder *json, const struct calls_list_error *error)
{
    sio_builder_put(json, "{\"index\":");
    kit_put_int(json, (int64_t)error->index);
    sio_builder_put(json, ",");
    kit_answer_put_error(json, &error->failure);
    sio_builder_put(json, "}");
}

/* The first one's, for those who look at nothing else; its field is that of the whole body. */
static void put_first_error(struct sio_builder *json, const struct calls_list_error *error)
{
    struct kit_failure failure = error->failure;
    snprintf(failure.field, sizeof failure.field, "/%zu%.60s", error->index, error->failure.field);
    sio_builder_put(json, ",\"error\":{");
    kit_answer_put_error(json, &failure);
    sio_builder_put(json, "}");
}

static void put_list(struct sio_builder *json, const struct post *post, const struct calls_list_result *result)
{
    sio_builder_put(json, result->failed ? "{\"ok\":false,\"call_id\":" : "{\"ok\":true,\"call_id\":");
    kit_put_text(json, post->call_id);
    sio_builder_put(json, ",\"stored\":");
    kit_put_int(json, (int64_t)result->stored);
    sio_builder_put(json, ",\"duplicates\":");
    kit_put_int(json, (int64_t)result->duplicates);
    sio_builder_put(json, ",\"seq\":");
    kit_put_int(json, result->seq);
    if (result->failed) {
        sio_builder_put(json, ",\"failed\":");
        kit_put_int(json, (int64_t)result->failed);
        put_first_error(json, &result->errors[0]);
        sio_builder_put(json, ",\"errors\":[");
        for (size_t i = 0; i < result->error_count; i++) {
            if (i) sio_builder_put(json, ",");
            put_list_error(json, &result->errors[i]);
        }
        sio_builder_put(json, "]");
    }
    sio_builder_put(json, "}");
}

static void answer_list(const struct post *post, const struct calls_list_result *result)
{
    struct sio_builder json;
    if (result->failure.code) {
        kit_http_reply_failure(post->calls->kit, post->request, &result->failure);
        return;
    }
    bool nothing = !result->stored && !result->duplicates;
    int status = nothing && result->failed ? result->errors[0].failure.code : 200;
    if (result->failed) kit_count_failure(post->calls->kit, result->errors[0].failure.code);
    sio_builder_init(&json);
    sio_builder_open(&json);
    put_list(&json, post, result);
    kit_http_reply_builder(post->request, status, &json);
}

static void on_list(void *ctx, const struct calls_list_result *result)
{
    struct post *post = ctx;
    if (post->request) answer_list(post, result);
    free_post(post);
}

/* ----------------------------------------------------------------- requests */

/* application/x-ndjson and what else it is called. */
static bool says_lines(struct eio_http_request *request)
{
    static const char *const types[] = {"ndjson", "jsonl", "jsonlines"};
    struct eio_str type = eio_http_head_field(eio_http_request_head(request), "content-type");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (type.n && memmem(type.p, type.n, types[i], strlen(types[i]))) return true;
    return false;
}

static bool is_array(struct eio_str body)
{
    while (body.n && (*body.p == ' ' || *body.p == '\t' || *body.p == '\r' || *body.p == '\n')) {
        body.p++;
        body.n--;
    }
    return body.n && *body.p == '[';
}

static void submit(struct post *post, struct eio_http_request *request)
{
    struct eio_str body = eio_http_request_body(request);
    bool lines = post->kind == CALLS_FEED_LINE && says_lines(request);
    bool list = lines || (post->kind == CALLS_FEED_LINE && is_array(body));
    struct calls_feed_event event = {.kind = post->kind,
                                     .raw = body,
                                     .call_id = post->call_id,
                                     .claims = post->claims,
                                     .source = kit_http_source(post->user, list),
                                     .is_lines = lines};
    struct calls_feed_result refused = {.seq = 0};
    post->request = request;
    eio_http_request_on_abort(request, on_abort, post);
    if (list)
        calls_list_submit(post->calls, &event, on_list, post);
    else if (body.n <= post->calls->kit->config->event_max_bytes &&
             kit_json_check(body, post->calls->kit->config->io.max_depth - 1, &refused.failure))
        on_result(post, &refused);
    else
        calls_feed_submit(post->calls, &event, on_result, post);
}

/* -------------------------------------------------------------------- deletion */

static void on_deleted(void *ctx, const struct kit_failure *failure)
{
    struct post *post = ctx;
    struct sio_builder json;
    if (post->request && failure->code) {
        kit_http_reply_failure(post->calls->kit, post->request, failure);
    } else if (post->request) {
        sio_builder_init(&json);
        sio_builder_open(&json);
        sio_builder_put(&json, "{\"ok\":true,\"call_id\":");
        kit_put_text(&json, post->call_id);
        sio_builder_put(&json, "}");
        kit_http_reply_builder(post->request, 200, &json);
    }
    free_post(post);
}

static void submit_delete(struct post *post, struct eio_http_request *request)
{
    struct kit_failure failure = {0, "", ""};
    post->request = request;
    eio_http_request_on_abort(request, on_abort, post);
    if (!kit_claims_allow(post->claims, post->call_id)) {
        kit_fail(&failure, 403, "/call_id", "this call is not yours");
        on_deleted(post, &failure);
        return;
    }
    calls_delete(post->calls, post->call_id, kit_http_source(post->user, true), on_deleted, post);
}

/* ---------------------------------------------------------------------- routes */

#define FEEDS (KIT_ROLE_FEED | KIT_ROLE_ADMIN)

static const struct route {
    const char *behind; /* the call's id, or NULL */
    enum eio_http_method method;
    unsigned roles;
    void (*submit)(struct post *post, struct eio_http_request *request);
    enum calls_feed_kind kind;
} routes[] = {
    {NULL, EIO_HTTP_POST, FEEDS, submit, CALLS_FEED_START},
    {"", EIO_HTTP_DELETE, KIT_ROLE_ADMIN, submit_delete, CALLS_FEED_END},
    {"transcription", EIO_HTTP_POST, FEEDS, submit, CALLS_FEED_LINE},
    {"status", EIO_HTTP_POST, FEEDS, submit, CALLS_FEED_STATUS},
};

static const struct route *find_route(const char *behind, size_t size)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const char *own = routes[i].behind;
        if (behind && own ? strlen(own) == size && !memcmp(own, behind, size) : !behind && !own) return &routes[i];
    }
    return NULL;
}

/* Of "/api/v1/calls" or "/api/v1/calls/{id}/…". NULL: there is nothing at this path. */
static const struct route *read_path(struct eio_str path, char call_id[KIT_ID_SIZE])
{
    static const char base[] = CALLS_PATH "/";
    call_id[0] = 0;
    if (eio_str_is(path, CALLS_PATH)) return find_route(NULL, 0);
    struct eio_str rest = {path.p + sizeof base - 1, path.n - (sizeof base - 1)};
    const char *slash = memchr(rest.p, '/', rest.n);
    struct eio_str raw = {rest.p, slash ? (size_t)(slash - rest.p) : rest.n};
    int n = eio_query_decode(raw, call_id, KIT_ID_SIZE - 1);
    if (n < 0 || !kit_is_id(call_id, (size_t)n)) return NULL;
    call_id[n] = 0;
    return slash ? find_route(slash + 1, rest.n - raw.n - 1) : find_route("", 0);
}

static void on_calls(struct eio_http_request *request, void *ctx)
{
    struct calls *calls = ctx;
    struct kit *kit = calls->kit;
    struct kit_failure failure = {0, "", ""};
    char call_id[KIT_ID_SIZE];
    const struct route *route = read_path(eio_http_head_path(eio_http_request_head(request)), call_id);
    if (!route) {
        kit_http_reply_nothing(kit, request);
        return;
    }
    if (!kit_http_method_is(kit, request, route->method)) return;
    struct post *post = calloc(1, sizeof *post);
    struct kit_claims *claims = kit_http_authorize(kit, request, route->roles, &failure);
    if (post && claims) {
        *post = (struct post){
            .calls = calls, .claims = claims, .kind = route->kind, .user = kit_http_user_ref(kit, claims)};
        snprintf(post->call_id, sizeof post->call_id, "%s", call_id);
    }
    if (post && post->user) {
        route->submit(post, request);
        return;
    }
    if (!failure.code) kit_fail(&failure, 503, NULL, "out of memory");
    kit_http_reply_failure(kit, request, &failure);
    if (!post || !post->claims) kit_claims_unref(claims);
    free_post(post);
}

/* ------------------------------------------------------------------- init */

int calls_http_start(struct calls *calls)
{
    struct eio_http *http = sio_server_http(calls->kit->io);
    int error = eio_http_route(http, CALLS_PATH, 0, on_calls, calls);
    return error ? error : eio_http_route(http, CALLS_PATH "/*", 0, on_calls, calls);
}
