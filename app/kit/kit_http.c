/* Replies of the HTTP API and its bearer tokens. */
#include "kit_http.h"

#include "kit_answer.h"
#include "kit_auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define JSON_TYPE "application/json; charset=utf-8"

void kit_http_reply(struct eio_http_request *request, int status, const char *type, const char *body, size_t size)
{
    static const struct eio_http_reply_field fields[] = {{"Cache-Control", "no-store"},
                                                         {"X-Content-Type-Options", "nosniff"}};
    struct eio_http_reply answer = {
        .status = status, .content_type = type, .body = body, .body_size = size, .fields = fields, .field_count = 2};
    eio_http_reply(request, &answer);
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
    struct kit_failure failure;
    enum eio_http_method method = (enum eio_http_method)eio_http_request_head(request)->method;
    if (method == wanted || (wanted == EIO_HTTP_GET && method == EIO_HTTP_HEAD)) return true;
    kit_fail(&failure, 405, NULL, "only %s", wanted == EIO_HTTP_GET ? "GET and HEAD" : "POST");
    kit_http_reply_failure(kit, request, &failure);
    return false;
}

struct kit_claims *kit_http_authorize(struct kit *kit, struct eio_http_request *request, unsigned roles,
                                      struct kit_failure *failure)
{
    static const char scheme[] = "Bearer ";
    struct eio_str field = eio_http_head_field(eio_http_request_head(request), "authorization");
    if (field.n <= sizeof scheme - 1 || strncasecmp(field.p, scheme, sizeof scheme - 1)) {
        kit_fail(failure, 401, NULL, "a bearer token is needed");
        return NULL;
    }
    struct eio_str token = {field.p + sizeof scheme - 1, field.n - (sizeof scheme - 1)};
    struct kit_claims *claims = kit_auth_check(kit, token, failure);
    if (!claims || claims->role & roles) return claims;
    kit_fail(failure, 403, NULL, "the role %s may not use this", kit_role_text(claims->role));
    kit_claims_unref(claims);
    return NULL;
}
