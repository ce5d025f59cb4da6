/* Replies of the HTTP API and its bearer tokens. */
#include "kit_http.h"

#include "kit_answer.h"
#include "kit_auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#define JSON_TYPE "application/json; charset=utf-8"

#define RETRY_AFTER_S "1"
_Static_assert(KIT_RETRY_AFTER_MS == 1000, "RETRY_AFTER_S says the same");

/* more: one more field; name NULL: none. */
static void reply_with(struct eio_http_request *request, struct eio_http_reply *answer,
                       struct eio_http_reply_field more)
{
    struct eio_http_reply_field fields[] = {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}, more};
    answer->fields = fields;
    answer->field_count = more.name ? 3 : 2;
    eio_http_reply(request, answer);
}

void kit_http_reply(struct eio_http_request *request, int status, const char *type, const char *body, size_t size)
{
    struct eio_http_reply answer = {.status = status, .content_type = type, .body = body, .body_size = size};
    struct eio_http_reply_field more = {NULL, NULL};
    if (status == 503) more = (struct eio_http_reply_field){"Retry-After", RETRY_AFTER_S};
    reply_with(request, &answer, more);
}

void kit_http_reply_text(struct eio_http_request *request, int status, const char *json)
{
    kit_http_reply(request, status, JSON_TYPE, json, strlen(json));
}

void kit_http_reply_builder(struct eio_http_request *request, int status, struct sio_builder *json)
{
    if (json->error)
        kit_http_reply_text(request, 503, "{\"ok\":false}");
    else
        kit_http_reply(request, status, JSON_TYPE, json->json, json->size);
    sio_builder_clear(json);
}

void kit_http_reply_failure(struct kit *kit, struct eio_http_request *request, const struct kit_failure *failure)
{
    struct sio_builder json;
    kit_count_failure(kit, failure->code);
    sio_builder_init(&json);
    sio_builder_open(&json);
    kit_answer_put_failure(&json, failure);
    kit_http_reply_builder(request, failure->code, &json);
}

bool kit_http_method_is(struct kit *kit, struct eio_http_request *request, enum eio_http_method wanted)
{
    static const char *const allowed[] = {
        [EIO_HTTP_GET] = "GET, HEAD", [EIO_HTTP_POST] = "POST", [EIO_HTTP_DELETE] = "DELETE"};
    struct kit_failure failure;
    struct sio_builder json;
    enum eio_http_method method = (enum eio_http_method)eio_http_request_head(request)->method;
    if (method == wanted || (wanted == EIO_HTTP_GET && method == EIO_HTTP_HEAD)) return true;
    kit_fail(&failure, 405, NULL, "this path allows %s only", allowed[wanted]);
    kit_count_failure(kit, failure.code);
    sio_builder_init(&json);
    sio_builder_open(&json);
    kit_answer_put_failure(&json, &failure);
    struct eio_http_reply answer = {
        .status = failure.code, .content_type = JSON_TYPE, .body = json.json, .body_size = json.size};
    reply_with(request, &answer, (struct eio_http_reply_field){"Allow", allowed[wanted]});
    sio_builder_clear(&json);
    return false;
}

void kit_http_reply_nothing(struct kit *kit, struct eio_http_request *request)
{
    struct kit_failure failure;
    kit_fail(&failure, 404, NULL, "no such path");
    kit_http_reply_failure(kit, request, &failure);
}

static void on_api(struct eio_http_request *request, void *ctx)
{
    kit_http_reply_nothing(ctx, request);
}

int kit_http_start(struct kit *kit)
{
    struct eio_http *http = sio_server_http(kit->io);
    int error = eio_http_route(http, "/api", 0, on_api, kit);
    return error ? error : eio_http_route(http, "/api/*", 0, on_api, kit);
}

struct kit_claims *kit_http_authorize(struct kit *kit, struct eio_http_request *request, unsigned roles,
                                      struct kit_failure *failure)
{
    static const char scheme[] = "Bearer ";
    struct eio_str field = eio_http_head_field(eio_http_request_head(request), "authorization");
    if (field.n <= sizeof scheme - 1 || strncasecmp(field.p, scheme, sizeof scheme - 1)) {
        kit_fail(failure, 401, NULL, "bearer token required");
        return NULL;
    }
    struct eio_str token = {field.p + sizeof scheme - 1, field.n - (sizeof scheme - 1)};
    struct kit_claims *claims = kit_auth_check(kit, token, failure);
    if (!claims || claims->role & roles) return claims;
    kit_fail(failure, 403, NULL, "role %s may not use this path", kit_role_text(claims->role));
    kit_claims_unref(claims);
    return NULL;
}

/* ------------------------------------------------------------------- users */

struct kit_http_user {
    char sub[KIT_USER_SIZE];
    unsigned requests; /* under way */
    struct kit_source *lines, *lists;
    UT_hash_handle hh;
};

static void free_user(struct kit_http_user *user)
{
    if (!user) return;
    kit_source_close(user->lines);
    kit_source_close(user->lists);
    free(user);
}

static struct kit_http_user *make_user(struct kit *kit, const struct kit_claims *claims)
{
    const struct kit_config *config = kit->config;
    bool feeds = claims->role == KIT_ROLE_FEED;
    struct kit_source_options options = {.share = feeds ? config->feed_jobs_max : config->socket_jobs_max,
                                         .max_jobs = config->source_queue_max,
                                         .max_bytes = config->source_queue_bytes,
                                         .reserve = feeds};
    struct kit_http_user *user = calloc(1, sizeof *user);
    if (!user) return NULL;
    snprintf(user->sub, sizeof user->sub, "%s", claims->sub);
    user->lines = kit_source_new(&options);
    options.share = 1;
    user->lists = kit_source_new(&options);
    if (user->lines && user->lists) return user;
    free_user(user);
    return NULL;
}

struct kit_http_user *kit_http_user_ref(struct kit *kit, const struct kit_claims *claims)
{
    struct kit_http_user *user;
    HASH_FIND_STR(kit->http_users, claims->sub, user);
    if (!user) {
        user = make_user(kit, claims);
        if (!user) return NULL;
        HASH_ADD_STR(kit->http_users, sub, user);
    }
    user->requests++;
    return user;
}

void kit_http_user_unref(struct kit *kit, struct kit_http_user *user)
{
    if (!user || --user->requests) return;
    HASH_DEL(kit->http_users, user);
    free_user(user);
}

struct kit_source *kit_http_source(const struct kit_http_user *user, bool is_list)
{
    return is_list ? user->lists : user->lines;
}
