/* Replies of the HTTP API: JSON, failures in the same words as acks, /health and /ready. */
#ifndef KIT_HTTP_H
#define KIT_HTTP_H

#include "kit.h"

struct kit_claims;

/* Nothing of the API is kept by caches. */
void kit_http_reply(struct eio_http_request *request, int status, const char *type, const char *body, size_t size);
void kit_http_reply_text(struct eio_http_request *request, int status, const char *json);
/* Clears the builder; 503 if it failed. */
void kit_http_reply_builder(struct eio_http_request *request, int status, struct sio_builder *json);
/* {"ok":false,"error":{…}} with the failure's code as the status. */
void kit_http_reply_failure(struct kit *kit, struct eio_http_request *request, const struct kit_failure *failure);
/* False: answered 405. HEAD is as good as GET. */
bool kit_http_method_is(struct kit *kit, struct eio_http_request *request, enum eio_http_method wanted);
/* The claims of the request's bearer token if its role is one of these; NULL with failure (401, 403). */
struct kit_claims *kit_http_authorize(struct kit *kit, struct eio_http_request *request, unsigned roles,
                                      struct kit_failure *failure);

/* Opens /health and /ready. */
int kit_health_start(struct kit *kit);

#endif
