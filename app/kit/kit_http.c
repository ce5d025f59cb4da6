/* Replies of the HTTP API and its bearer tokens. */
#include "kit_http.h"
#include "kit_listen.h"

#include "kit_answer.h"
#include "kit_auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIELDS_OF_ALL                       \
    {"Cache-Control", "no-store"},          \
    {                                       \
        "X-Content-Type-Options", "nosniff" \
    }

/* more: one more field; name NULL: none. */
static void reply_with(struct kit *kit, struct eio_http_request *request, struct eio_http_reply *answer,
                       struct eio_http_reply_field more)
{
    struct eio_http_reply_field fields[] = {FIELDS_OF_ALL, more};
    answer->fields = fields;
    answer->field_count = more.name ? 3 : 2;
    eio_server_reply(sio_server_engine(kit->io), request, answer);
}

struct eio_http_stream *kit_http_stream(struct kit *kit, struct eio_http_request *request, const char *type,
                                        struct eio_http_reply_field more, const struct eio_http_stream_options *options)
{
    struct eio_http_reply_field fields[] = {FIELDS_OF_ALL, more};
    struct eio_http_reply answer = {.status = 200, .content_type = type, .fields = fields};
    answer.field_count = more.name ? 3 : 2;
    struct eio_http_stream *stream = eio_server_stream(sio_server_engine(kit->io), request, &answer, options);
    if (!stream) kit_http_reply_text(kit, request, 503, "{\"ok\":false}");
    return stream;
}

void kit_http_reply(struct kit *kit, struct eio_http_request *request, int status, const char *type, const char *body,
                    size_t size)
{
    struct eio_http_reply answer = {.status = status, .content_type = type, .body = body, .body_size = size};
    reply_with(kit, request, &answer, (struct eio_http_reply_field){NULL, NULL});
}

void kit_http_reply_text(struct kit *kit, struct eio_http_request *request, int status, const char *json)
{
    kit_http_reply(kit, request, status, KIT_HTTP_JSON, json, strlen(json));
}

void kit_http_reply_builder(struct kit *kit, struct eio_http_request *request, int status, struct sio_builder *json)
{
    if (json->error)
        kit_http_reply_text(kit, request, 503, "{\"ok\":false}");
    else
        kit_http_reply(kit, request, status, KIT_HTTP_JSON, json->json, json->size);
    sio_builder_clear(json);
}

static void put_failure(struct sio_builder *json, const struct kit_failure *failure)
{
    sio_builder_init(json);
    sio_builder_open(json);
    kit_answer_put_failure(json, failure);
}

void kit_http_reply_failure(struct kit *kit, struct eio_http_request *request, const struct kit_failure *failure)
{
    struct sio_builder json;
    struct eio_http_reply_field more = {NULL, NULL};
    struct eio_http_reply answer = {.status = failure->code, .content_type = KIT_HTTP_JSON};
    uint32_t retry_after_ms = kit_retry_after_ms(failure);
    char seconds[16];
    kit_count_failure(kit, failure->code);
    put_failure(&json, failure);
    answer.body = json.json;
    answer.body_size = json.error ? 0 : json.size;
    snprintf(seconds, sizeof seconds, "%u", retry_after_ms / 1000 + (retry_after_ms % 1000 != 0));
    if (retry_after_ms) more = (struct eio_http_reply_field){"Retry-After", seconds};
    if (failure->code == 401) more = (struct eio_http_reply_field){"WWW-Authenticate", "Bearer"};
    reply_with(kit, request, &answer, more);
    sio_builder_clear(&json);
}

void kit_http_reply_allowed(struct kit *kit, struct eio_http_request *request, const char *allowed)
{
    struct kit_failure failure;
    struct sio_builder json;
    bool asks = eio_http_request_head(request)->method == EIO_HTTP_OPTIONS;
    struct eio_http_reply answer = {.status = asks ? 204 : 405};
    kit_fail(&failure, 405, NULL, "this path allows %s only", allowed);
    put_failure(&json, &failure);
    if (!asks) {
        kit_count_failure(kit, failure.code);
        answer.content_type = KIT_HTTP_JSON;
        answer.body = json.json;
        answer.body_size = json.size;
    }
    reply_with(kit, request, &answer, (struct eio_http_reply_field){"Allow", allowed});
    sio_builder_clear(&json);
}

bool kit_http_is_get(struct kit *kit, struct eio_http_request *request)
{
    enum eio_http_method method = (enum eio_http_method)eio_http_request_head(request)->method;
    if (method == EIO_HTTP_GET || method == EIO_HTTP_HEAD) return true;
    kit_http_reply_allowed(kit, request, "GET, HEAD");
    return false;
}

void kit_http_reply_nothing(struct kit *kit, struct eio_http_request *request)
{
    struct kit_failure failure;
    kit_fail(&failure, 404, NULL, "no such path");
    kit_http_reply_failure(kit, request, &failure);
}

struct kit_claims *kit_http_authorize(struct kit *kit, struct eio_http_request *request, struct kit_failure *failure)
{
    static const char scheme[] = "Bearer ";
    struct eio_str field = eio_http_head_field(eio_http_request_head(request), "authorization");
    if (field.n <= sizeof scheme - 1 || strncasecmp(field.p, scheme, sizeof scheme - 1)) {
        kit_fail(failure, 401, NULL, "bearer token required");
        return NULL;
    }
    struct eio_str token = {field.p + sizeof scheme - 1, field.n - (sizeof scheme - 1)};
    return kit_auth_check(kit, token, failure);
}

int kit_http_query(const struct eio_http_head *head, const char *name, char *out, size_t size)
{
    int n = eio_query_get(eio_http_head_query(head), name, out, size);
    return n > 0 && memchr(out, 0, (size_t)n) ? EIO_EPROTO : n;
}

/* --------------------------------------------------------------- operators */

int kit_http_for_operators(struct kit *kit, const char *path, bool also_public)
{
    unsigned doors = EIO_HTTP_DOOR(KIT_DOOR_OPERATOR) | (also_public ? EIO_HTTP_DOOR(KIT_DOOR_PUBLIC) : 0);
    return kit->config->has_operators ? eio_http_route_doors(sio_server_http(kit->io), path, doors) : 0;
}

bool kit_http_is_outside(const struct kit *kit, const struct eio_http_request *request)
{
    return kit->config->has_operators && eio_http_request_head(request)->door == KIT_DOOR_PUBLIC;
}
