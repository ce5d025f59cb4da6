/* Signatures of vendors that sign their webhooks instead of having a token. No I/O; compared in constant time. */
#ifndef CALLS_VENDOR_SIGN_H
#define CALLS_VENDOR_SIGN_H

#include "kit_http.h"
#include <jansson.h>

#define CALLS_VENDOR_WINDOW_MS 300000 /* a webhook older than this, or later, is not taken: it may be a replay */

/* NULL: a list of `KEY:SECRET` with commas between, as the options have them; else what it should be. */
const char *calls_vendor_check_secrets(const char *secrets);
const char *calls_vendor_check_base64_secrets(const char *secrets);

/* Twilio: HMAC-SHA1 over the URL that it called and the fields of the form by name. `form` NULL: the body is JSON, and
 * its SHA-256 stands in the query as bodySHA256. */
bool calls_vendor_signed_by_twilio(const char *token, const char *url, const json_t *form, struct eio_str body,
                                   struct eio_str signature);
/* Vonage: a bearer token, HS256 with the secret of its api_key, whose payload_hash is the body's SHA-256. NULL: it is;
 * else an English reason. */
const char *calls_vendor_check_vonage(const char *secrets, const struct eio_http_head *head, struct eio_str body,
                                      int64_t now_ms);
/* Sinch: HMAC-SHA256 over method, MD5 of the body, type, x-timestamp and path. Likewise. */
const char *calls_vendor_check_sinch(const char *secrets, const struct eio_http_head *head, struct eio_str body,
                                     int64_t now_ms);

#endif
