/* POST /api/v1/feeds/{vendor}: messages of speech vendors, one or a list of them, in the vendor's own shape. Who sends
 * them has a feed's token and names the call; Twilio signs its webhooks instead, and names the call by its CallSid.
 *
 * What is remembered of a call between two messages (vendors/calls_vendors.h) stands in the process that got them. */
#include "calls_int.h"
#include "calls_vendors.h"
#include "kit_http.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define WINDOW_MS 300000 /* a webhook older than this is not taken: it may be a replay */
#define CALLS_MAX 10000  /* of which something is remembered; above, the one that began first is forgotten */
#define FIELD_MAX 65536
#define URL_SIZE 4096

struct calls_vendor_call {
    char key[2 * KIT_ID_SIZE + 2]; /* vendor, '/', call */
    struct calls_vendor_state state;
    UT_hash_handle hh;
};

struct message {
    struct kit_request request;
    char call_id[KIT_ID_SIZE];
    struct calls_list_result result;
    struct calls_list_error first;
};

/* ----------------------------------------------------------------- memory */

static struct calls_vendor_call *remember(struct calls *calls, const char *vendor, const char *call_id)
{
    struct calls_vendor_call *call;
    char key[sizeof call->key];
    if ((size_t)snprintf(key, sizeof key, "%s/%s", vendor, call_id) >= sizeof key) return NULL;
    HASH_FIND_STR(calls->vendor_calls, key, call);
    if (call) return call;
    call = calloc(1, sizeof *call);
    if (!call) return NULL;
    memcpy(call->key, key, sizeof key);
    HASH_ADD_STR(calls->vendor_calls, key, call);
    if (HASH_COUNT(calls->vendor_calls) <= CALLS_MAX) return call;
    struct calls_vendor_call *oldest = calls->vendor_calls;
    HASH_DEL(calls->vendor_calls, oldest);
    calls_vendor_clear(&oldest->state);
    free(oldest);
    return call;
}

void calls_vendor_stop(struct calls *calls)
{
    struct calls_vendor_call *call, *next;
    HASH_ITER(hh, calls->vendor_calls, call, next)
    {
        HASH_DEL(calls->vendor_calls, call);
        calls_vendor_clear(&call->state);
        free(call);
    }
}

/* ------------------------------------------------------------------ answers */

static void fail(struct kit_request *request, int code, const char *field, const char *text)
{
    kit_fail(&request->op.failure, code, field, "%s", text);
    kit_request_finish(request);
}

static void on_list(void *ctx, const struct calls_list_result *result)
{
    struct message *message = ctx;
    message->result = *result;
    if (result->error_count) message->first = result->errors[0];
    message->request.op.failure = result->failure;
    bool nothing = !result->stored && !result->duplicates && result->failed;
    if (!result->failure.code && nothing) message->request.op.failure = message->first.failure;
    kit_request_finish(&message->request);
}

static void on_event(void *ctx, const struct calls_feed_result *result)
{
    struct message *message = ctx;
    message->request.op.failure = result->failure;
    kit_request_finish(&message->request);
}

static void reply_message(struct kit_request *request)
{
    const struct message *message = KIT_REQUEST(message, request);
    struct sio_builder *json = &request->json;
    sio_builder_put(json, ",\"call_id\":");
    kit_put_text(json, message->call_id);
    sio_builder_put(json, ",\"stored\":");
    kit_put_int(json, (int64_t)message->result.stored);
    sio_builder_put(json, ",\"duplicates\":");
    kit_put_int(json, (int64_t)message->result.duplicates);
    sio_builder_put(json, ",\"failed\":");
    kit_put_int(json, (int64_t)message->result.failed);
}

/* ------------------------------------------------------------------- lines */

/* One message or a list of them; then the lines are those of a list of lines. */
static void submit_lines(struct kit_request *request, const struct calls_vendor *vendor, const json_t *messages)
{
    struct message *message = KIT_REQUEST(message, request);
    struct calls *calls = request->state;
    struct calls_vendor_call *call = remember(calls, request->about, message->call_id);
    struct sio_builder lines;
    size_t i;
    const json_t *one;
    int failed = call ? 0 : EIO_ENOMEM;
    sio_builder_init(&lines);
    sio_builder_open(&lines);
    if (!failed && json_is_object(messages)) failed = calls_vendor_map(vendor, messages, &call->state, &lines);
    json_array_foreach(messages, i, one)
    {
        if (!failed) failed = calls_vendor_map(vendor, one, &call->state, &lines);
    }
    struct calls_feed_event event = {.kind = CALLS_FEED_LINE,
                                     .raw = {lines.json, lines.size},
                                     .call_id = message->call_id,
                                     .claims = request->claims,
                                     .source = kit_user_source(request->user, true),
                                     .is_lines = true};
    if (failed)
        fail(request, 503, NULL, "out of memory");
    else if (!lines.size)
        kit_request_finish(request); /* a message without lines is no mistake */
    else
        calls_list_submit(calls, &event, on_list, message);
    sio_builder_clear(&lines);
}

/* The call that the query names; false if it names none, or something that cannot be an id. */
static bool read_call_id(struct kit_request *request, char call_id[KIT_ID_SIZE])
{
    struct eio_str query = eio_http_head_query(eio_http_request_head(request->http)), name, value;
    while (eio_query_next(&query, &name, &value)) {
        if (!eio_str_is(name, "call_id")) continue;
        int n = eio_query_decode(value, call_id, KIT_ID_SIZE - 1);
        if (n < 0 || !kit_is_id(call_id, (size_t)n)) return false;
        call_id[n] = 0;
        return true;
    }
    return false;
}

static void take_message(struct kit_request *request, struct eio_str body)
{
    struct message *message = KIT_REQUEST(message, request);
    const struct kit_config *config = request->kit->config;
    const struct calls_vendor *vendor = calls_vendor_find(request->about);
    struct kit_failure *failure = &request->op.failure;
    if (!vendor || !strcmp(request->about, "twilio")) {
        fail(request, 404, "/vendor", "no such vendor");
    } else if (!read_call_id(request, message->call_id)) {
        fail(request, 400, "/call_id", "the query must have the call's id");
    } else if (body.n > config->event_max_bytes) {
        fail(request, 413, NULL, "the messages are larger than event_max_bytes");
    } else if (kit_json_check(body, config->io.max_depth - 1, failure)) {
        kit_request_finish(request);
    } else {
        json_t *messages = json_loadb(body.p, body.n, 0, NULL);
        if (json_is_object(messages) || json_is_array(messages))
            submit_lines(request, vendor, messages);
        else
            fail(request, 400, NULL, "must be a message or a list of messages");
        json_decref(messages);
    }
}

/* ------------------------------------------------------------------- Twilio */

/* The fields of a form; a field that comes twice is no form of Twilio's. NULL: out of memory, or malformed. */
static json_t *read_form(struct eio_str body)
{
    struct eio_str name, value;
    json_t *form = json_object();
    char *text = malloc(FIELD_MAX);
    bool fails = !form || !text;
    while (!fails && eio_query_next(&body, &name, &value)) {
        char key[128];
        int n = eio_query_decode(name, key, sizeof key - 1), m = eio_query_decode(value, text, FIELD_MAX - 1);
        fails = n < 0 || m < 0 || memchr(key, 0, (size_t)n);
        if (fails) break;
        key[n] = 0;
        fails = json_object_get(form, key) || json_object_set_new(form, key, json_stringn(text, (size_t)m));
    }
    free(text);
    if (!fails) return form;
    json_decref(form);
    return NULL;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The URL that Twilio called, then the fields by name: name and value of each (Twilio, "Security"). */
static bool sign(const char *secret, const char *url, const json_t *form, char signature[64])
{
    size_t count = 0, size = 0;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    const char *key;
    const json_t *value;
    const char **keys = malloc((json_object_size(form) + 1) * sizeof *keys);
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);
    if (!keys || !out) goto fail;
    json_object_foreach((json_t *)(uintptr_t)form, key, value) keys[count++] = key;
    qsort(keys, count, sizeof *keys, compare_keys);
    fputs(url, out);
    for (size_t i = 0; i < count; i++) {
        value = json_object_get(form, keys[i]);
        fputs(keys[i], out);
        fwrite(json_string_value(value), 1, json_string_length(value), out);
    }
    if (fclose(out)) out = NULL;
    if (out) HMAC(EVP_sha1(), secret, (int)strlen(secret), (const unsigned char *)text, size, digest, &digest_size);
    out = NULL;
    if (digest_size) sodium_bin2base64(signature, 64, digest, digest_size, sodium_base64_VARIANT_ORIGINAL);
fail:
    if (out) fclose(out);
    free(text);
    free(keys);
    return digest_size > 0;
}

static bool is_signed(const struct kit_request *request, const json_t *form)
{
    const struct calls_config *config = calls_config(request->kit->config);
    const struct eio_http_head *head = eio_http_request_head(request->http);
    struct eio_str given = eio_http_head_field(head, "x-twilio-signature");
    struct eio_str path = eio_http_head_path(head), query = eio_http_head_query(head);
    char url[URL_SIZE], own[64];
    int n = snprintf(url, sizeof url, "%s%.*s%s%.*s", config->public_url, (int)path.n, path.p, query.n ? "?" : "",
                     (int)query.n, query.p);
    if (n < 0 || (size_t)n >= sizeof url || !sign(config->twilio_auth_token, url, form, own)) return false;
    return given.n == strlen(own) && !sodium_memcmp(given.p, own, given.n);
}

static bool is_fresh(const struct kit_request *request, const json_t *form)
{
    char quoted[64];
    int64_t at_ms;
    const char *text = json_string_value(json_object_get(form, "Timestamp"));
    int n = snprintf(quoted, sizeof quoted, "\"%s\"", text ? text : "");
    if (!text || n < 0 || (size_t)n >= sizeof quoted) return false;
    if (!calls_read_time((struct eio_str){quoted, (size_t)n}, &at_ms)) return false;
    return llabs(request->now_ms - at_ms) <= WINDOW_MS;
}

static void submit_event(struct kit_request *request, enum calls_feed_kind kind)
{
    struct message *message = KIT_REQUEST(message, request);
    char json[KIT_ID_SIZE + 32];
    snprintf(json, sizeof json, "{\"call_id\":\"%s\"}", message->call_id);
    struct calls_feed_event event = {.kind = kind, .raw = eio_str(json), .source = request->op.source};
    calls_feed_submit(request->state, &event, on_event, message);
}

static void take_form(struct kit_request *request, const json_t *form)
{
    struct message *message = KIT_REQUEST(message, request);
    const char *sid = json_string_value(json_object_get(form, "CallSid"));
    bool has_id = read_call_id(request, message->call_id);
    if (!has_id && sid && kit_is_id(sid, strlen(sid))) snprintf(message->call_id, KIT_ID_SIZE, "%s", sid);
    snprintf(request->about, sizeof request->about, "twilio");
    if (!is_signed(request, form))
        fail(request, 403, NULL, "the signature does not fit");
    else if (!is_fresh(request, form))
        fail(request, 403, "/Timestamp", "is older than five minutes");
    else if (!message->call_id[0])
        fail(request, 400, "/CallSid", "must be an id");
    else if (calls_twilio_kind(form) == CALLS_TWILIO_STARTED)
        submit_event(request, CALLS_FEED_START);
    else if (calls_twilio_kind(form) == CALLS_TWILIO_STOPPED)
        submit_event(request, CALLS_FEED_END);
    else
        submit_lines(request, calls_vendor_find("twilio"), form);
}

static void take_twilio(struct kit_request *request, struct eio_str body)
{
    const struct calls_config *config = calls_config(request->kit->config);
    if (!config->twilio_auth_token[0] || !config->public_url[0]) {
        fail(request, 404, "/vendor", "twilio_auth_token and public_url are not set");
    } else if (body.n > request->kit->config->event_max_bytes) {
        fail(request, 413, NULL, "the form is larger than event_max_bytes");
    } else {
        json_t *form = read_form(body);
        if (form)
            take_form(request, form);
        else
            fail(request, 400, NULL, "must be a form");
        json_decref(form);
    }
}

int calls_vendor_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {.size = sizeof(struct message),
         .is_open = true,
         .take = take_twilio,
         .reply = reply_message,
         .method = EIO_HTTP_POST,
         .path = "/api/v1/feeds/twilio"},
        {.size = sizeof(struct message),
         .roles = KIT_ROLE_FEED | KIT_ROLE_ADMIN,
         .about = "vendor",
         .take = take_message,
         .reply = reply_message,
         .method = EIO_HTTP_POST,
         .path = "/api/v1/feeds/{vendor}"},
    };
    return kit_open_paths(calls->kit, events, 2, calls);
}
