/* Replies of the HTTP API: JSON, failures in the same words as acks, /health and /ready. */
#ifndef KIT_HTTP_H
#define KIT_HTTP_H

#include "kit.h"

struct kit_claims;

#define KIT_HTTP_JSON "application/json; charset=utf-8"

/* Answers as eio_http_reply(), with the headers that every answer of the product has: those of `answer` take
 * precedence. All answers but Engine.IO's go through here or through what follows. */
void kit_http_send(const struct kit *kit, struct eio_http_request *request, const struct eio_http_reply *answer);
/* Nothing of the API is kept by caches; CORS as configured. */
void kit_http_reply(struct kit *kit, struct eio_http_request *request, int status, const char *type, const char *body,
                    size_t size);
void kit_http_reply_text(struct kit *kit, struct eio_http_request *request, int status, const char *json);
/* Answers in pieces (eio_http_stream_begin) with the same headers and `more` ones; 200. NULL: out of memory, answered
 * so.
 */
struct eio_http_stream *kit_http_stream(struct kit *kit, struct eio_http_request *request, const char *type,
                                        struct eio_http_reply_field more,
                                        const struct eio_http_stream_options *options);
/* Clears the builder; 503 if it failed. */
void kit_http_reply_builder(struct kit *kit, struct eio_http_request *request, int status, struct sio_builder *json);
/* {"ok":false,"error":{…}} with the failure's code as the status. */
void kit_http_reply_failure(struct kit *kit, struct eio_http_request *request, const struct kit_failure *failure);
/* 404: nothing is at the request's path. */
void kit_http_reply_nothing(struct kit *kit, struct eio_http_request *request);
/* The method is not one of these: 405, or 204 to OPTIONS, which asks for them. */
void kit_http_reply_allowed(struct kit *kit, struct eio_http_request *request, const char *allowed);
/* False: answered 405. HEAD is as good as GET. */
bool kit_http_is_get(struct kit *kit, struct eio_http_request *request);
/* Of routes that are opened already: if operators have listeners of their own, the path is open there, and to the
 * public only if also_public. Returns 0 or a negative code. */
int kit_http_for_operators(struct kit *kit, const char *path, bool also_public);
/* True if it came by a listener of the public's while operators have their own. */
bool kit_http_is_outside(const struct kit *kit, const struct eio_http_request *request);
/* The claims of the request's bearer token; NULL with failure (401, 403). */
struct kit_claims *kit_http_authorize(struct kit *kit, struct eio_http_request *request, struct kit_failure *failure);

/* As eio_query_get(); EIO_EPROTO for a value with U+0000, which as a C string would look shorter than it is. */
int kit_http_query(const struct eio_http_head *head, const char *name, char *out, size_t size);

/* What stands in a path for the names between braces. */
struct kit_parameters {
    size_t count;
    struct {
        struct eio_str name; /* in the pattern */
        char value[KIT_USER_SIZE];
    } list[4];
};
/* Whether a path is as the pattern says: kit_event.path. */
bool kit_path_match(const char *pattern, struct eio_str path, struct kit_parameters *parameters);
/* "GET" */
const char *kit_method_name(enum eio_http_method method);
/* Opens the paths of the API (kit_request.h); answers 404 for what else is below /api/. */
int kit_path_start(struct kit *kit);
/* Opens /health and /ready. */
int kit_health_start(struct kit *kit);

#endif
