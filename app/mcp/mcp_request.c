/* One JSON-RPC request: sending it, reading what comes back as JSON or as a stream of events, resuming a stream that
 * broke off (the older era), its time. */
#include "mcp_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RESUME_MS 1000 /* unless the server says when */
#define RESUME_MIN_MS 10
#define RESUME_MAX_MS 60000
#define RESUME_ATTEMPTS 5 /* without an event that has an id */

/* What was received and not read yet. */
static void forget_unread(struct mcp_request *request)
{
    mcp_reading_forget(request);
    request->ending.is_set = false;
    while (request->late) {
        struct mcp_late *late = request->late;
        request->late = late->next;
        free(late);
    }
}

static void free_request(struct mcp_request *request)
{
    struct mcp_request **link = &request->session->requests;
    while (*link && *link != request) link = &(*link)->next;
    if (*link) *link = request->next;
    if (request->fetch) kit_fetch_cancel(request->fetch);
    eio_timer_stop(&request->idle_timer);
    eio_timer_stop(&request->deadline_timer);
    eio_timer_stop(&request->resume_timer);
    forget_unread(request);
    mcp_message_clear(&request->answer);
    mcp_strings_free(request->headers);
    json_decref(request->params);
    kit_sse_clear(&request->sse);
    free(request->session_id);
    free(request->body);
    free(request);
}

/* Takes it off its session's list first, so that on_done sees none of it there. */
void mcp_request_finish(struct mcp_request *request, const struct mcp_reply *reply)
{
    struct mcp_session *session = request->session;
    struct mcp_request **link = &session->requests;
    while (*link && *link != request) link = &(*link)->next;
    if (*link) *link = request->next;
    request->next = NULL;
    request->ops->on_done(request->owner, reply);
    free_request(request);
}

static void fail_request(struct mcp_request *request, int code, const char *error, int status)
{
    struct mcp *mcp = request->session->server->mcp;
    char text[160];
    snprintf(text, sizeof text, "%s", error);
    mcp->counters.failures++;
    if (code == 504) mcp->counters.timeouts++;
    mcp_request_finish(request, &(struct mcp_reply){NULL, status, code, text, NULL});
}

static void tell_cancelled(const struct mcp_request *request, const char *reason)
{
    bool is_told = request->kind == MCP_R_CALL || request->kind == MCP_R_LIST;
    if (!is_told || request->state == MCP_R_WAITING || mcp_session_is_modern(request->session)) return;
    json_t *params = json_pack("{s:I, s:s}", "requestId", (json_int_t)request->id, "reason", reason);
    char *text = params ? mcp_rpc_request(0, "notifications/cancelled", params) : NULL;
    json_decref(params);
    mcp_post_send(request->session, text, NULL, NULL);
}

void mcp_request_cancel(struct mcp_request *request, const char *reason)
{
    tell_cancelled(request, reason);
    if (request->is_reading)
        request->is_cancelled = true;
    else
        free_request(request);
}

/* -------------------------------------------------------------------- time */

static void expire_request(struct mcp_request *request, const char *why)
{
    tell_cancelled(request, why);
    fail_request(request, 504, why, 0);
}

static void on_idle(void *ctx)
{
    expire_request(ctx, "it did not answer in time");
}

static void on_deadline(void *ctx)
{
    expire_request(ctx, "its time is over");
}

static void restart_idle(struct mcp_request *request)
{
    uint32_t idle_ms = request->session->server->mcp->config->idle_timeout_ms;
    if (request->kind != MCP_R_LISTEN && !request->is_held) eio_timer_start(&request->idle_timer, idle_ms);
}

static void run_clock(struct mcp_request *request)
{
    restart_idle(request);
    if (!request->max_ms) return;
    request->deadline_ms = eio_loop_now_ms(request->session->server->mcp->loop) + request->max_ms;
    eio_timer_start(&request->deadline_timer, request->max_ms);
}

void mcp_request_hold(struct mcp_request *request, bool is_held)
{
    uint64_t now_ms = eio_loop_now_ms(request->session->server->mcp->loop);
    if (request->is_held == is_held) return;
    request->is_held = is_held;
    if (!is_held) {
        run_clock(request);
        return;
    }
    eio_timer_stop(&request->idle_timer);
    eio_timer_stop(&request->deadline_timer);
    if (request->max_ms)
        request->max_ms = request->deadline_ms > now_ms ? (uint32_t)(request->deadline_ms - now_ms) : 1;
}

/* ----------------------------------------------------------------- resuming */

static bool can_resume(const struct mcp_request *request)
{
    return !mcp_session_is_modern(request->session) && kit_sse_last_id(&request->sse).n &&
           request->attempts < RESUME_ATTEMPTS;
}

static void pause_request(struct mcp_request *request)
{
    int64_t delay_ms = request->sse.has_retry ? request->sse.retry_ms : RESUME_MS;
    if (delay_ms < RESUME_MIN_MS) delay_ms = RESUME_MIN_MS;
    if (delay_ms > RESUME_MAX_MS) delay_ms = RESUME_MAX_MS;
    request->state = MCP_R_PAUSED;
    request->attempts++;
    request->session->server->mcp->counters.resumed++;
    kit_sse_restart(&request->sse);
    eio_timer_start(&request->resume_timer, (uint64_t)delay_ms);
}

/* The end of a request that could not even be sent comes from here, too. */
static void on_resume(void *ctx)
{
    struct mcp_request *request = ctx;
    if (request->fault[0]) {
        fail_request(request, request->fault_code, request->fault, 0);
        return;
    }
    request->state = MCP_R_RESUMED;
    mcp_request_send(request);
}

/* ------------------------------------------------------------------ reading */

static int fault_request(struct mcp_request *request, int code, const char *what, const char *why)
{
    snprintf(request->fault, sizeof request->fault, "%s%s", what, why);
    request->fault_code = code;
    return -1;
}

static int fault_size(struct mcp_request *request)
{
    request->session->server->mcp->counters.too_large++;
    return fault_request(request, 502, "its answer is too large", "");
}

static void handle_message(struct mcp_request *request, const struct mcp_message *message)
{
    struct mcp_session *session = request->session;
    bool is_request = message->kind == MCP_REQUEST;
    if (is_request && mcp_session_is_modern(session)) return; /* which has none of these */
    if (request->ops->on_message && request->ops->on_message(request->owner, message)) return;
    if (is_request)
        mcp_session_answer(session, message);
    else
        mcp_server_notice(session->server, message);
}

static void finish_answer(struct mcp_request *request, int status);

/* Some servers send the answer to one request on the stream of another. Takes the message if it is one. */
static void answer_other(struct mcp_request *request, struct mcp_message *message)
{
    struct mcp_request *other = request->session->requests;
    while (other && (other == request || !message->id || !mcp_message_answers(message, other->id))) other = other->next;
    if (!other || other->is_reading || other->state == MCP_R_WAITING) return;
    other->answer = *message;
    memset(message, 0, sizeof *message);
    finish_answer(other, 200);
}

/* Takes a message, or why it cannot be read. Returns 1 if it is the answer. */
static int take_message(struct mcp_request *request, struct mcp_message *message, const char *why, bool is_flushing)
{
    if (why) return is_flushing ? 0 : fault_request(request, 502, "it sent a message that ", why);
    if (mcp_message_answers(message, request->id)) {
        request->answer = *message;
        memset(message, 0, sizeof *message);
        return 1;
    }
    if (message->kind == MCP_REQUEST || message->kind == MCP_NOTIFICATION)
        handle_message(request, message);
    else
        answer_other(request, message);
    return request->is_cancelled ? -1 : 0;
}

static int keep_late(struct mcp_request *request, struct eio_str text)
{
    struct mcp_late *late = malloc(sizeof *late + text.n), **tail = &request->late;
    if (!late) return fault_request(request, 503, "out of memory", "");
    *late = (struct mcp_late){.is_flushing = request->is_flushing, .size = text.n};
    memcpy(late->text, text.p, text.n);
    while (*tail) tail = &(*tail)->next;
    *tail = late;
    return 0;
}

/* Messages are taken in their order: behind a long one, they wait. */
static int take_text(struct mcp_request *request, struct eio_str text, bool is_flushing)
{
    struct mcp_message message;
    const char *why = NULL;
    if (mcp_reading_is_long(request->session->server->mcp, text.n)) {
        int failed = mcp_reading_start(request, text, is_flushing);
        if (failed == EIO_EAGAIN) return fault_request(request, 503, "this server has too much to read", "");
        return failed ? fault_request(request, 503, "out of memory", "") : 0;
    }
    if (!mcp_message_read(text, &message, &why)) why = NULL;
    int result = take_message(request, &message, why, is_flushing);
    mcp_message_clear(&message);
    return result;
}

static int receive_text(struct mcp_request *request, struct eio_str text)
{
    if (request->reading) return keep_late(request, text);
    int result = take_text(request, text, request->is_flushing);
    if (request->reading && request->fetch) kit_fetch_pause(request->fetch, true);
    return result;
}

/* An event without data only sets the place to resume from. */
static int on_event(void *ctx, const struct kit_sse_event *event)
{
    struct mcp_request *request = ctx;
    if (kit_sse_last_id(&request->sse).n) request->attempts = 0;
    if (!event->data.n || (event->name.n && !eio_str_is(event->name, "message"))) return 0;
    return receive_text(request, event->data);
}

static int keep_body(struct mcp_request *request, struct eio_str data)
{
    size_t wanted = request->body_size + data.n;
    if (wanted > request->session->server->mcp->config->message_max_bytes) return fault_size(request);
    if (wanted > request->body_capacity) {
        char *body = realloc(request->body, wanted * 2);
        if (!body) return fault_request(request, 503, "out of memory", "");
        request->body = body;
        request->body_capacity = wanted * 2;
    }
    memcpy(request->body + request->body_size, data.p, data.n);
    request->body_size = wanted;
    return 0;
}

static int feed_stream(struct mcp_request *request, struct eio_str data)
{
    int result = kit_sse_feed(&request->sse, data, on_event, request);
    if (result == EIO_ETOOBIG) return fault_size(request);
    if (result == EIO_ENOMEM) return fault_request(request, 503, "out of memory", "");
    return result;
}

/* What the head of the response says. */
static void read_head(struct mcp_request *request, int status)
{
    const char *type = kit_fetch_header(request->fetch, "content-type");
    const char *id = kit_fetch_header(request->fetch, "mcp-session-id");
    request->is_typed = true;
    request->status = status;
    request->is_stream = status / 100 == 2 && type && !strncasecmp(type, "text/event-stream", 17);
    if (request->kind == MCP_R_OPEN && id && status / 100 == 2 && !request->session_id)
        request->session_id = strdup(id);
}

static void on_head(void *ctx, int status)
{
    struct mcp_request *request = ctx;
    if (status / 100 == 2) mcp_listener_stand(request->session);
}

static bool on_data(void *ctx, int status, struct eio_str data)
{
    struct mcp_request *request = ctx;
    struct mcp *mcp = request->session->server->mcp;
    int result;
    if (!request->is_typed) read_head(request, status);
    restart_idle(request);
    request->received += data.n;
    request->is_reading = true;
    if (request->received > mcp->config->stream_max_bytes && request->kind != MCP_R_LISTEN)
        result = fault_size(request);
    else
        result = request->is_stream ? feed_stream(request, data) : keep_body(request, data);
    request->is_reading = false;
    if (request->is_cancelled)
        free_request(request);
    else if (result == 1)
        finish_answer(request, status);
    else
        return !result; /* on_fetched() reports the fault */
    return false;
}

/* ------------------------------------------------------------------- ending */

static bool mentions_session(const struct mcp_message *message)
{
    return message->code == MCP_SERVER_ERROR && strcasestr(message->text, "session");
}

/* True if the request was put back to be sent in a new session, or in the other era. */
static bool renew_request(struct mcp_request *request, int status)
{
    struct mcp_session *session = request->session;
    struct mcp_server *server = session->server;
    const struct mcp_message *answer = &request->answer;
    bool is_error = answer->root && answer->kind == MCP_ERROR, renews;
    if (request->is_renewed || (request->kind != MCP_R_CALL && request->kind != MCP_R_LIST)) return false;
    if (!mcp_session_is_modern(session)) {
        renews = session->id && (status == 404 || (status == 400 && is_error && mentions_session(answer)));
    } else {
        bool is_refused = status == 400 || status == 404 || status == 405;
        renews = server->config.era == MCP_AUTO && ((is_error && answer->code == MCP_UNSUPPORTED_VERSION) ||
                                                    (is_refused && (!is_error || answer->code == MCP_SERVER_ERROR)));
        if (renews) mcp_server_set_era(server, MCP_AUTO);
    }
    if (!renews) return false;
    /* A stream that was resumed in vain belongs to a call that may have been carried out. */
    bool is_lost = request->state == MCP_R_RESUMED;
    mcp_session_forget(session, request->generation);
    if (is_lost) return false;
    request->is_renewed = true;
    request->state = MCP_R_WAITING;
    mcp_message_clear(&request->answer);
    mcp_session_advance(session);
    return true;
}

static void finish_answer(struct mcp_request *request, int status)
{
    if (request->fetch) kit_fetch_cancel(request->fetch);
    request->fetch = NULL;
    forget_unread(request);
    if (renew_request(request, status)) return;
    mcp_request_finish(request, &(struct mcp_reply){&request->answer, status, 0, NULL, request->session_id});
}

static void fail_by_status(struct mcp_request *request, const struct mcp_ending *ending)
{
    char text[96];
    int status = ending->status, code = status == 429 || status == 503 ? 503 : 502;
    if (status == 401 || status == 403)
        snprintf(text, sizeof text, "it refused the credentials (HTTP %d)", status);
    else if (status / 100 == 3)
        snprintf(text, sizeof text, "it redirects (HTTP %d), which is not followed", status);
    else if (status / 100 != 2)
        snprintf(text, sizeof text, "it answered with HTTP %d", status);
    else if (request->is_stream)
        snprintf(text, sizeof text, "its stream ended without the answer");
    else if (!request->body_size)
        snprintf(text, sizeof text, "its answer was empty (HTTP %d)", status);
    else
        snprintf(text, sizeof text, "it answered with %.40s instead of JSON",
                 *ending->type ? ending->type : "something");
    fail_request(request, code, text, status);
}

static void fail_fetch(struct mcp_request *request, const struct mcp_ending *ending)
{
    bool was_reached = request->received || ending->status;
    char text[160];
    snprintf(text, sizeof text, "%s: %s", was_reached ? "its answer broke off" : "it cannot be reached", ending->error);
    fail_request(request, ending->is_timeout ? 504 : was_reached ? 502 : 503, text, ending->status);
}

/* Takes what is left in the stream or the body. Returns 1 if it is the answer. */
static int take_rest(struct mcp_request *request)
{
    request->is_flushing = request->is_stream || !request->is_typed;
    request->is_reading = true;
    int found = 0;
    if (request->is_stream)
        found = kit_sse_end(&request->sse, on_event, request);
    else if (request->body_size)
        found = receive_text(request, (struct eio_str){request->body, request->body_size});
    request->is_reading = false;
    request->is_flushing = false;
    return found;
}

/* The response has ended, and all that it said is read. */
static void end_response(struct mcp_request *request, int found)
{
    const struct mcp_ending ending = request->ending;
    int status = ending.status;
    forget_unread(request);
    if (request->is_cancelled) {
        free_request(request);
    } else if (found == 1) {
        finish_answer(request, status);
    } else if (request->fault[0] && status / 100 == 2) {
        fail_request(request, request->fault_code, request->fault, status);
    } else if (status / 100 != 2 && status && renew_request(request, status)) {
        return;
    } else if (can_resume(request) && (ending.error[0] || request->is_stream || status >= 500)) {
        pause_request(request);
    } else if (ending.error[0] && !request->fault[0]) {
        fail_fetch(request, &ending);
    } else {
        fail_by_status(request, &ending);
    }
}

static void on_fetched(void *ctx, const struct kit_fetch_result *result)
{
    struct mcp_request *request = ctx;
    if (!request->is_typed && result->status) read_head(request, result->status);
    request->fetch = NULL;
    request->ending = (struct mcp_ending){.is_set = true, .status = result->status, .is_timeout = result->is_timeout};
    snprintf(request->ending.error, sizeof request->ending.error, "%s", result->error ? result->error : "");
    snprintf(request->ending.type, sizeof request->ending.type, "%s", result->type);
    int found = request->fault[0] ? 0 : take_rest(request);
    if (request->is_cancelled || found || request->fault[0] || !request->reading) end_response(request, found);
}

/* Goes on with what came behind the long message, up to the next long one. */
static int take_late(struct mcp_request *request)
{
    int result = 0;
    while (!result && !request->reading && request->late) {
        struct mcp_late *late = request->late;
        request->late = late->next;
        result = take_text(request, (struct eio_str){late->text, late->size}, late->is_flushing);
        free(late);
    }
    return result;
}

void mcp_request_read(struct mcp_request *request, struct mcp_message *message, const char *why, bool is_flushing)
{
    request->is_reading = true;
    int result = why || message->root ? take_message(request, message, why, is_flushing) : 0;
    if (!result) result = take_late(request);
    request->is_reading = false;
    if (!result && request->reading) return;
    if (result && request->fetch) {
        kit_fetch_cancel(request->fetch);
        request->fetch = NULL;
    }
    if (result || request->ending.is_set) {
        if (!request->ending.is_set) request->ending = (struct mcp_ending){.status = request->status};
        end_response(request, result);
    } else if (request->fetch) {
        kit_fetch_pause(request->fetch, false);
    }
}

/* ------------------------------------------------------------------ sending */

static json_t *meta_of(const struct mcp_request *request)
{
    bool is_modern = mcp_session_is_modern(request->session);
    json_t *meta =
        is_modern
            ? json_pack("{s:s, s:{s:s, s:s}, s:{s:{s:{}, s:{}}}}", "io.modelcontextprotocol/protocolVersion",
                        MCP_VERSION_MODERN, "io.modelcontextprotocol/clientInfo", "name", "parley", "version",
                        PARLEY_VERSION, "io.modelcontextprotocol/clientCapabilities", "elicitation", "form", "url")
            : json_object();
    if (meta && request->kind == MCP_R_CALL && json_object_set_new(meta, "progressToken", json_integer(request->id)))
        json_decref(meta), meta = NULL;
    return meta;
}

/* The body of a POST, with what the era puts into _meta. NULL: out of memory. */
static char *write_body(const struct mcp_request *request)
{
    json_t *params = json_copy(request->params), *meta = params ? meta_of(request) : NULL;
    bool is_good = meta != NULL;
    if (is_good && json_object_size(meta)) is_good = !json_object_set(params, "_meta", meta);
    json_decref(meta);
    char *text = is_good ? mcp_rpc_request(request->id, request->method, params) : NULL;
    json_decref(params);
    return text;
}

static void reset_reader(struct mcp_request *request)
{
    forget_unread(request);
    request->is_typed = request->is_stream = false;
    request->body_size = request->received = 0;
}

static bool start_fetch(struct mcp_request *request)
{
    const struct mcp_server *server = request->session->server;
    bool is_get = request->state == MCP_R_RESUMED || !request->method;
    char *body = is_get ? NULL : write_body(request);
    char **headers = body || is_get ? mcp_http_headers(request->session, request) : NULL;
    const struct kit_fetch_options options = {.url = server->config.url,
                                              .headers = (const char *const *)headers,
                                              .body = body ? eio_str(body) : (struct eio_str){NULL, 0},
                                              .only_public = !server->config.is_private,
                                              .on_head = request->kind == MCP_R_LISTEN ? on_head : NULL,
                                              .on_data = on_data,
                                              .on_done = on_fetched,
                                              .ctx = request};
    if (headers) request->fetch = kit_fetch_start(server->mcp->fetcher, &options);
    mcp_strings_free(headers);
    free(body);
    return request->fetch != NULL;
}

void mcp_request_send(struct mcp_request *request)
{
    struct mcp_session *session = request->session;
    reset_reader(request);
    if (request->state == MCP_R_WAITING) request->state = MCP_R_SENT;
    request->generation = session->generation;
    session->server->mcp->counters.requests++;
    if (start_fetch(request)) return;
    mcp_request_fail_later(request, 503, "out of memory");
}

void mcp_request_fail_later(struct mcp_request *request, int code, const char *error)
{
    fault_request(request, code, error, "");
    eio_timer_start(&request->resume_timer, 0);
}

struct mcp_request *mcp_request_new(struct mcp_session *session, const struct mcp_request_options *options)
{
    struct mcp *mcp = session->server->mcp;
    struct mcp_request *request = options->take_params ? calloc(1, sizeof *request) : NULL, **tail = &session->requests;
    if (!request) {
        json_decref(options->take_params);
        mcp_strings_free(options->take_headers);
        return NULL;
    }
    request->session = session;
    request->kind = options->kind;
    request->id = ++mcp->last_id;
    request->method = options->method;
    request->user = options->user ? options->user : "";
    request->params = options->take_params;
    request->headers = options->take_headers;
    request->ops = options->ops;
    request->owner = options->owner;
    request->max_ms = options->max_ms;
    request->sse.max_bytes = mcp->config->message_max_bytes;
    eio_timer_init(&request->idle_timer, mcp->loop, on_idle, request);
    eio_timer_init(&request->deadline_timer, mcp->loop, on_deadline, request);
    eio_timer_init(&request->resume_timer, mcp->loop, on_resume, request);
    while (*tail) tail = &(*tail)->next;
    *tail = request;
    run_clock(request);
    return request;
}

void mcp_request_move(struct mcp_request *request, struct mcp_session *session)
{
    struct mcp_request **link = &request->session->requests;
    while (*link != request) link = &(*link)->next;
    *link = request->next;
    request->next = NULL;
    request->session = session;
    for (link = &session->requests; *link;) link = &(*link)->next;
    *link = request;
}
