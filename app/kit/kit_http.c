/* Replies of the HTTP API and its bearer tokens. */
#include "kit_http.h"
#include "kit_listen.h"

#include "kit_answer.h"
#include "kit_auth.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The fields of an answer, those of all answers with them. */
struct fields {
    size_t count;
    char hsts[sizeof "max-age=" + 10];
    struct eio_http_reply_field list[16];
};

static void add_field(struct fields *fields, struct eio_http_reply_field field)
{
    for (size_t i = 0; i < fields->count; i++)
        if (strcasecmp(fields->list[i].name, field.name) == 0) return;
    if (fields->count < sizeof fields->list / sizeof fields->list[0]) fields->list[fields->count++] = field;
}

/* What every answer tells a browser, unless it says otherwise by itself. No Cross-Origin-Opener-Policy: a site that
 * opens the console in a window of its own would lose hold of it. */
static void add_fields_of_all(const struct kit *kit, const struct eio_http_request *request,
                              struct eio_http_reply *answer, struct fields *fields)
{
    static const struct eio_http_reply_field of_all[] = {
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    fields->count = 0;
    for (size_t i = 0; i < answer->field_count; i++) add_field(fields, answer->fields[i]);
    for (size_t i = 0; i < sizeof of_all / sizeof of_all[0]; i++) add_field(fields, of_all[i]);
    if (kit->config->hsts_max_age_s && eio_http_request_head(request)->secure) {
        snprintf(fields->hsts, sizeof fields->hsts, "max-age=%" PRIu32, kit->config->hsts_max_age_s);
        add_field(fields, (struct eio_http_reply_field){"Strict-Transport-Security", fields->hsts});
    }
    answer->fields = fields->list;
    answer->field_count = fields->count;
}

void kit_http_send(const struct kit *kit, struct eio_http_request *request, const struct eio_http_reply *answer)
{
    struct fields fields;
    struct eio_http_reply full = *answer;
    add_fields_of_all(kit, request, &full, &fields);
    eio_http_reply(request, &full);
}

/* more: one more field; name NULL: none. */
static void reply_with(struct kit *kit, struct eio_http_request *request, struct eio_http_reply *answer,
                       struct eio_http_reply_field more)
{
    struct fields fields;
    answer->fields = &more;
    answer->field_count = more.name ? 1 : 0;
    add_fields_of_all(kit, request, answer, &fields);
    eio_server_reply(sio_server_engine(kit->io), request, answer);
}

struct eio_http_stream *kit_http_stream(struct kit *kit, struct eio_http_request *request, const char *type,
                                        struct eio_http_reply_field more, const struct eio_http_stream_options *options)
{
    struct fields fields;
    struct eio_http_reply answer = {.status = 200, .content_type = type, .fields = &more};
    answer.field_count = more.name ? 1 : 0;
    add_fields_of_all(kit, request, &answer, &fields);
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
