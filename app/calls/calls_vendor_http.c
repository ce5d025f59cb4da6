/* POST /api/v1/feeds/{vendor}: messages of speech vendors, one or a list of them, in the vendor's own shape. Who sends
 * them has a feed's token, and names the call where the vendor does not; Twilio, Vonage and Sinch sign instead.
 *
 * What is remembered of a call between two messages (vendors/calls_vendors.h) stands in the process that got them.
 * Which segments are open, where they have no names, is looked up in the store if other processes get messages, too. */
#include "calls_int.h"
#include "calls_vendor_sign.h"
#include "calls_vendors.h"
#include "kit_http.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define CALLS_MAX 10000 /* of which something is remembered; above, the one that began first is forgotten */
#define FIELD_MAX 65536
#define OFFSET_MAX_MS 86400000
#define URL_SIZE 4096

struct calls_vendor_call {
    char key[2 * KIT_ID_SIZE + 2]; /* vendor, '/', call */
    struct calls_vendor_state state;
    UT_hash_handle hh;
};

struct message {
    struct kit_request request;
    const struct calls_vendor *vendor;
    /* Of the query, or "". */
    char call_id[KIT_ID_SIZE], customer[CALLS_VENDOR_CHANNEL_SIZE], connection[CALLS_VENDOR_CHANNEL_SIZE], offset[16];
    /* Of a vendor whose segments have no name, where others get messages of the call, too. */
    json_t *messages;
    char open[CALLS_VENDOR_OPEN_MAX][KIT_ID_SIZE];
    size_t open_count;
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

static void fail_request(struct kit_request *request, int code, const char *field, const char *text)
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

static void submit_lines(struct kit_request *request, const json_t *messages, struct calls_vendor_state *state)
{
    struct message *message = KIT_REQUEST(message, request);
    struct sio_builder lines;
    size_t i;
    const json_t *one;
    int failed = 0;
    sio_builder_init(&lines);
    sio_builder_open(&lines);
    if (json_is_object(messages)) failed = calls_vendor_map(message->vendor, messages, state, &lines);
    json_array_foreach(messages, i, one)
    {
        if (!failed) failed = calls_vendor_map(message->vendor, one, state, &lines);
    }
    struct calls_feed_event event = {.kind = CALLS_FEED_LINE,
                                     .raw = {lines.json, lines.size},
                                     .call_id = message->call_id,
                                     .claims = request->claims,
                                     .source = kit_user_source(request->user, true),
                                     .is_lines = true};
    if (failed)
        fail_request(request, 503, NULL, "out of memory");
    else if (!lines.size)
        kit_request_finish(request); /* a message without lines is no mistake */
    else
        calls_list_submit(request->state, &event, on_list, message);
    sio_builder_clear(&lines);
}

static void submit_event(struct kit_request *request, enum calls_feed_kind kind, const char *more)
{
    struct message *message = KIT_REQUEST(message, request);
    char json[KIT_ID_SIZE + 64];
    snprintf(json, sizeof json, "{\"call_id\":\"%s\"%s}", message->call_id, more);
    struct calls_feed_event event = {
        .kind = kind, .raw = eio_str(json), .claims = request->claims, .source = kit_user_source(request->user, true)};
    calls_feed_submit(request->state, &event, on_event, message);
}

/* No other process gets messages. */
static bool sees_all(const struct kit_config *config)
{
    return config->workers <= 1 && !config->store[0];
}

/* What the query says of the messages. */
static void set_state(const struct message *message, struct calls_vendor_state *state)
{
    state->sees_all = sees_all(message->request.kit->config);
    if (message->customer[0]) memcpy(state->customer, message->customer, sizeof state->customer);
    state->is_named = message->connection[0] != 0;
    if (state->is_named) memcpy(state->connection, message->connection, sizeof state->connection);
    state->offset_ms = 0;
    kit_text_int64(eio_str(message->offset), 0, OFFSET_MAX_MS, &state->offset_ms);
}

/* One message or a list of them. One alone may say that its call begins, is answered, or ends. */
static void submit(struct kit_request *request, const json_t *messages)
{
    struct message *message = KIT_REQUEST(message, request);
    struct calls_vendor_call *call = remember(request->state, request->about, message->call_id);
    if (!call) {
        fail_request(request, 503, NULL, "out of memory");
        return;
    }
    set_state(message, &call->state);
    if (message->messages) calls_vendor_clear(&call->state);
    for (size_t i = message->open_count; i > 0; i--)
        calls_vendor_adopt(message->vendor, &call->state, message->open[i - 1]);
    switch (calls_vendor_kind(message->vendor, messages, &call->state)) {
    case CALLS_VENDOR_BEGINS:
        submit_event(request, CALLS_FEED_START, "");
        break;
    case CALLS_VENDOR_IS_ACTIVE:
        submit_event(request, CALLS_FEED_STATUS, ",\"status\":\"active\"");
        break;
    case CALLS_VENDOR_ENDS:
        submit_event(request, CALLS_FEED_END, "");
        break;
    default:
        submit_lines(request, messages, &call->state);
    }
}

/* A parameter of the query of a size; false: it does not fit, which was answered. */
static bool read_parameter(struct kit_request *request, struct eio_str value, const char *field, char *out, size_t size)
{
    int64_t offset_ms;
    int n = eio_query_decode(value, out, size - 1);
    bool fits = n >= 0 && !memchr(out, 0, (size_t)n);
    if (fits) out[n] = 0;
    if (!strcmp(field, "/offset_ms"))
        fits = fits && kit_text_int64(eio_str(out), 0, OFFSET_MAX_MS, &offset_ms);
    else if (strcmp(field, "/customer") != 0)
        fits = fits && kit_is_id(out, (size_t)n);
    if (!fits) fail_request(request, 400, field, "does not fit");
    return fits;
}

/* What the query says; false: something in it does not fit. */
static bool read_query(struct kit_request *request)
{
    struct message *message = KIT_REQUEST(message, request);
    const struct {
        const char *field;
        char *out;
        size_t size;
    } parameters[] = {{"/call_id", message->call_id, sizeof message->call_id},
                      {"/customer", message->customer, sizeof message->customer},
                      {"/connection", message->connection, sizeof message->connection},
                      {"/offset_ms", message->offset, sizeof message->offset}};
    struct eio_str query = eio_http_head_query(eio_http_request_head(request->http)), name, value;
    while (eio_query_next(&query, &name, &value))
        for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
            if (eio_str_is(name, parameters[i].field + 1) &&
                !read_parameter(request, value, parameters[i].field, parameters[i].out, parameters[i].size))
                return false;
    return true;
}

/* The call that the messages name, if the query names none; false: none, or not all the same. */
static bool read_own_call(struct kit_request *request, const json_t *messages)
{
    struct message *message = KIT_REQUEST(message, request);
    char id[CALLS_VENDOR_ID_SIZE];
    size_t i, count = json_is_array(messages) ? json_array_size(messages) : 1;
    if (message->call_id[0]) return true;
    for (i = 0; i < count; i++) {
        calls_vendor_call(message->vendor, json_is_array(messages) ? json_array_get(messages, i) : messages, id);
        if (!i) memcpy(message->call_id, id, sizeof id);
        if (strcmp(message->call_id, id))
            return fail_request(request, 400, "/call_id", "the messages are of several calls; the query may name one"),
                   false;
    }
    if (message->call_id[0]) return true;
    return fail_request(request, 400, "/call_id", "the query must have the call's id"), false;
}

#define RECENT_LINES 64 /* among which an open segment is looked for */

/* Which segments are open, the latest first. */
static int run_open(struct kit_db *db, struct kit_request *request)
{
    struct message *message = KIT_REQUEST(message, request);
    const char *prefix = calls_vendor_unnamed(message->vendor);
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT segment_id, is_final FROM segments WHERE call = (SELECT id FROM calls"
                                      " WHERE call_id=?) ORDER BY seq DESC LIMIT ?",
                                      "ti", message->call_id, (int64_t)RECENT_LINES);
    message->open_count = 0;
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        const char *id = kit_rows_text(&rows, 0);
        if (!id || kit_rows_int(&rows, 1) || !strstr(id, prefix) || message->open_count == CALLS_VENDOR_OPEN_MAX)
            continue;
        snprintf(message->open[message->open_count++], KIT_ID_SIZE, "%s", id);
    }
    return step == KIT_FAILED ? kit_db_fail(db, &request->op.failure) : 0;
}

static void step_open(struct kit_request *request)
{
    struct message *message = KIT_REQUEST(message, request);
    if (request->op.failure.code)
        kit_request_finish(request);
    else
        submit(request, message->messages);
}

static void clear_message(struct kit_request *request)
{
    struct message *message = KIT_REQUEST(message, request);
    json_decref(message->messages);
}

/* What a feed may not say is not remembered either. Webhooks that are signed have no claims. */
static bool may_feed(struct kit_request *request)
{
    const struct message *message = KIT_REQUEST(message, request);
    if (!request->claims || kit_claims_allow(request->claims, message->call_id)) return true;
    fail_request(request, 403, "/call_id", "this call is not yours");
    return false;
}

/* Of who is known: reads the call and submits. */
static void take_messages(struct kit_request *request, json_t *messages)
{
    struct message *message = KIT_REQUEST(message, request);
    if (!read_query(request) || !read_own_call(request, messages) || !may_feed(request)) return;
    if (!calls_vendor_unnamed(message->vendor)[0] || sees_all(request->kit->config)) {
        submit(request, messages);
        return;
    }
    message->messages = json_incref(messages);
    kit_request_submit(request);
}

/* A JSON body of at most event_max_bytes as a tree; NULL: it was answered. */
static json_t *read_json(struct kit_request *request, struct eio_str body)
{
    const struct kit_config *config = request->kit->config;
    if (body.n > config->event_max_bytes) {
        fail_request(request, 413, NULL, "the messages are larger than event_max_bytes");
        return NULL;
    }
    if (kit_json_check(body, config->io.max_depth - 1, &request->op.failure)) {
        kit_request_finish(request);
        return NULL;
    }
    json_t *messages = json_loadb(body.p, body.n, 0, NULL);
    if (json_is_object(messages) || json_is_array(messages)) return messages;
    json_decref(messages);
    fail_request(request, 400, NULL, "must be a message or a list of messages");
    return NULL;
}

static void take_message(struct kit_request *request, struct eio_str body)
{
    struct message *message = KIT_REQUEST(message, request);
    message->vendor = calls_vendor_find(request->about);
    if (!message->vendor || calls_vendor_signs(message->vendor)) {
        fail_request(request, 404, "/vendor", "no such vendor");
        return;
    }
    json_t *messages = read_json(request, body);
    if (messages) take_messages(request, messages);
    json_decref(messages);
}

/* The request is one of a vendor that signs, which is configured. */
static bool begin_signed(struct kit_request *request, const char *name, const char *secrets, const char *missing)
{
    struct message *message = KIT_REQUEST(message, request);
    message->vendor = calls_vendor_find(name);
    snprintf(request->about, sizeof request->about, "%s", name);
    if (!secrets[0]) fail_request(request, 404, "/vendor", missing);
    return secrets[0] != 0;
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

/* `form` NULL: JSON. */
static bool is_twilios(const struct kit_request *request, const json_t *form, struct eio_str body)
{
    const struct calls_config *config = calls_config(request->kit->config);
    const struct eio_http_head *head = eio_http_request_head(request->http);
    struct eio_str given = eio_http_head_field(head, "x-twilio-signature");
    struct eio_str path = eio_http_head_path(head), query = eio_http_head_query(head);
    char url[URL_SIZE];
    int n = snprintf(url, sizeof url, "%s%.*s%s%.*s", config->public_url, (int)path.n, path.p, query.n ? "?" : "",
                     (int)query.n, query.p);
    if (n < 0 || (size_t)n >= sizeof url) return false;
    return calls_vendor_signed_by_twilio(config->twilio_auth_token, url, form, body, given);
}

static bool is_fresh(const struct kit_request *request, const json_t *form)
{
    int64_t at_ms;
    const char *text = json_string_value(json_object_get(form, "Timestamp"));
    return text && kit_read_date_time(text, &at_ms) && llabs(request->now_ms - at_ms) <= CALLS_VENDOR_WINDOW_MS;
}

static bool is_form(const struct kit_request *request)
{
    struct eio_str type = eio_http_head_field(eio_http_request_head(request->http), "content-type");
    return type.n < 16 || strncasecmp(type.p, "application/json", 16) != 0;
}

static void take_twilio(struct kit_request *request, struct eio_str body)
{
    const struct calls_config *config = calls_config(request->kit->config);
    bool has_form = is_form(request), is_set = config->twilio_auth_token[0] && config->public_url[0];
    if (!begin_signed(request, "twilio", is_set ? config->twilio_auth_token : "",
                      "twilio_auth_token and public_url are not set"))
        return;
    if (has_form && body.n > request->kit->config->event_max_bytes) {
        fail_request(request, 413, NULL, "the form is larger than event_max_bytes");
        return;
    }
    json_t *form = has_form ? read_form(body) : read_json(request, body);
    if (!form && has_form)
        fail_request(request, 400, NULL, "must be a form");
    else if (form && !is_twilios(request, has_form ? form : NULL, body))
        fail_request(request, 403, NULL, "the signature does not fit");
    else if (form && !is_fresh(request, form))
        fail_request(request, 403, "/Timestamp", "is older than five minutes");
    else if (form)
        take_messages(request, form);
    json_decref(form);
}

/* --------------------------------------------------------- Vonage and Sinch */

static void take_checked(struct kit_request *request, struct eio_str body, const char *why)
{
    json_t *messages = why ? NULL : read_json(request, body);
    if (why) fail_request(request, 403, NULL, why);
    if (messages) take_messages(request, messages);
    json_decref(messages);
}

static void take_vonage(struct kit_request *request, struct eio_str body)
{
    const char *secrets = calls_config(request->kit->config)->vonage_secrets;
    if (!begin_signed(request, "vonage", secrets, "vonage_secrets is not set")) return;
    take_checked(request, body,
                 calls_vendor_check_vonage(secrets, eio_http_request_head(request->http), body, request->now_ms));
}

static void take_sinch(struct kit_request *request, struct eio_str body)
{
    const char *secrets = calls_config(request->kit->config)->sinch_secrets;
    if (!begin_signed(request, "sinch", secrets, "sinch_secrets is not set")) return;
    take_checked(request, body,
                 calls_vendor_check_sinch(secrets, eio_http_request_head(request->http), body, request->now_ms));
}

#define MESSAGES                                                                                                 \
    .size = sizeof(struct message), .way = KIT_READ, .run = run_open, .step = step_open, .clear = clear_message, \
    .reply = reply_message, .method = EIO_HTTP_POST

int calls_vendor_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {MESSAGES, .is_open = true, .take = take_twilio, .path = "/api/v1/feeds/twilio"},
        {MESSAGES, .is_open = true, .take = take_vonage, .path = "/api/v1/feeds/vonage"},
        {MESSAGES, .is_open = true, .take = take_sinch, .path = "/api/v1/feeds/sinch"},
        {MESSAGES, .roles = KIT_ROLE_FEED | KIT_ROLE_ADMIN, .about = "vendor", .take = take_message,
         .path = "/api/v1/feeds/{vendor}"},
    };
    return kit_open_paths(calls->kit, events, sizeof events / sizeof events[0], calls);
}
