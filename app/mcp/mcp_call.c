/* Calls of tools: as many requests as one takes, and how it ends. */
#include "mcp_int.h"

#include <stdlib.h>
#include <string.h>

#define PROGRESS_MS 50              /* no more often; the last one is always passed on */
#define PROGRESS_MESSAGE_BYTES 1024 /* it goes into a log for good */

static void on_answered(void *owner, const struct mcp_reply *reply);
static bool on_message(void *owner, const struct mcp_message *message);

/* ---------------------------------------------------------------- lifetime */

static void on_end_timer(void *ctx)
{
    struct mcp_call *call = ctx;
    mcp_call_fail(call, call->code, call->error);
}

/* A user of another tenant is another user. NULL: out of memory. */
static char *name_caller(const struct mcp_caller *caller)
{
    char *name = NULL;
    if (!*caller->tenant && !*caller->user) return strdup("");
    return asprintf(&name, "%zu:%s%s", strlen(caller->tenant), caller->tenant, caller->user) < 0 ? NULL : name;
}

struct mcp_call *mcp_call_new(struct mcp_server *server, const char *tool, const json_t *arguments,
                              const struct mcp_caller *caller)
{
    struct mcp *mcp = server->mcp;
    struct mcp_call *call = calloc(1, sizeof *call);
    if (!call) return NULL;
    call->server = server;
    call->name = strdup(tool);
    call->user = name_caller(caller);
    call->arguments = arguments ? json_deep_copy(arguments) : json_object();
    call->ops = caller->ops;
    call->ctx = caller->ctx;
    call->number = ++mcp->counters.calls;
    eio_timer_init(&call->end_timer, mcp->loop, on_end_timer, call);
    call->next = mcp->calls;
    mcp->calls = call;
    server->running++;
    mcp->counters.calls_running++;
    if (call->name && call->user && call->arguments) return call;
    mcp_call_free(call);
    return NULL;
}

void mcp_call_free(struct mcp_call *call)
{
    struct mcp *mcp = call->server->mcp;
    struct mcp_call **link = &mcp->calls;
    while (*link != call) link = &(*link)->next;
    *link = call->next;
    call->server->running--;
    mcp->counters.calls_running--;
    mcp_asks_free(call);
    mcp_posts_forget(mcp, call);
    if (call->request) mcp_request_cancel(call->request, "the user has stopped it");
    eio_timer_stop(&call->end_timer);
    json_decref(call->arguments);
    json_decref(call->request_state);
    json_decref(call->responses);
    json_decref(call->refused);
    json_decref(call->asked);
    free(call->name);
    free(call->user);
    free(call);
    mcp_settle_drain(mcp);
}

void mcp_call_cancel(struct mcp_call *call)
{
    mcp_call_free(call);
}

void mcp_calls_cancel(struct mcp *mcp)
{
    while (mcp->calls) mcp_call_free(mcp->calls);
}

/* The owner may start others in its function: the call is off the list before. */
static void finish_call(struct mcp_call *call, const struct mcp_result *result)
{
    const struct mcp_call_ops *ops = call->ops;
    void *ctx = call->ctx;
    if (!result->ok) call->server->mcp->counters.calls_failed++;
    mcp_call_free(call);
    ops->on_done(ctx, result);
}

void mcp_call_fail(struct mcp_call *call, int code, const char *error)
{
    char text[256], words[320];
    snprintf(text, sizeof text, "MCP server %s: %s", call->server->config.id, error);
    snprintf(words, sizeof words, "The tool could not be used. %s", text);
    kit_log(EIO_LOG_WARN, "mcp call failed", "server", call->server->config.id, "tool", call->name, "why", error, NULL);
    finish_call(call, &(struct mcp_result){false, text, code, NULL, eio_str(words)});
}

void mcp_call_fail_later(struct mcp_call *call, int code, const char *error)
{
    snprintf(call->error, sizeof call->error, "%s", error);
    call->code = code;
    eio_timer_start(&call->end_timer, 0);
}

/* words: of a result that was too long to keep; NULL: all of it is there. */
static void finish_result(struct mcp_call *call, const json_t *result, const char *words)
{
    json_t *kept = json_incref((json_t *)(uintptr_t)result);
    char *text = words ? strdup(words) : mcp_result_text(result, call->server->mcp->config->text_max_bytes);
    bool ok = !json_is_true(json_object_get(result, "isError"));
    if (text)
        finish_call(call, &(struct mcp_result){ok, NULL, 0, words ? NULL : kept, eio_str(text)});
    else
        mcp_call_fail(call, 503, "out of memory");
    free(text);
    json_decref(kept);
}

/* ----------------------------------------------------------------- sending */

/* The parameters that the tool wants mirrored in headers; false: out of memory. */
static bool read_mirrors(const struct mcp_call *call, char ***out)
{
    const struct mcp_entry *entry = mcp_find_entry(call->server, call->name);
    size_t count = 0;
    for (const struct mcp_mirror *mirror = entry ? entry->mirrors : NULL; mirror; mirror = mirror->next) count++;
    char **list = calloc(count + 1, sizeof *list);
    bool is_good = list != NULL;
    count = 0;
    for (const struct mcp_mirror *mirror = entry ? entry->mirrors : NULL; mirror && is_good; mirror = mirror->next) {
        is_good = mcp_mirror_header(mirror, call->arguments, &list[count]);
        count += list[count] != NULL;
    }
    *out = list;
    if (!is_good) mcp_strings_free(list);
    return is_good;
}

static void send_request(struct mcp_call *call, struct mcp_session *session)
{
    static const struct mcp_request_ops ops = {on_message, on_answered};
    char **mirrors;
    if (!read_mirrors(call, &mirrors)) {
        mcp_call_fail_later(call, 503, "out of memory");
        return;
    }
    json_t *params = json_pack("{s:s, s:O, s:O*, s:O*}", "name", call->name, "arguments", call->arguments,
                               "inputResponses", call->responses, "requestState", call->request_state);
    const struct mcp_request_options options = {.kind = MCP_R_CALL,
                                                .method = "tools/call",
                                                .take_params = params,
                                                .take_headers = mirrors,
                                                .user = call->user,
                                                .ops = &ops,
                                                .owner = call,
                                                .max_ms = call->server->mcp->config->call_timeout_ms};
    call->request = mcp_request_new(session, &options);
    if (call->request)
        mcp_session_advance(session);
    else
        mcp_call_fail_later(call, 503, "out of memory");
}

/* In the newer era, what to mirror must be known. */
void mcp_call_send(struct mcp_call *call)
{
    struct mcp_server *server = call->server;
    if (server->era != MCP_LEGACY && !server->has_tools) {
        call->waits_for_list = true;
        if (!server->listing.request && !server->listing.page) mcp_tools_refresh(server);
        return;
    }
    struct mcp_session *session = mcp_server_session(server, call->user);
    if (session)
        send_request(call, session);
    else
        mcp_call_fail_later(call, 503, "too many users have sessions with it");
}

static struct mcp_call *find_waiting(const struct mcp_server *server, uint64_t last_number)
{
    struct mcp_call *call = server->mcp->calls;
    while (call && (call->server != server || !call->waits_for_list || call->number > last_number)) call = call->next;
    return call;
}

void mcp_calls_listed(struct mcp_server *server)
{
    uint64_t last_number = server->mcp->counters.calls;
    struct mcp_call *call;
    while ((call = find_waiting(server, last_number))) {
        call->waits_for_list = false;
        if (server->has_tools)
            mcp_call_send(call);
        else
            mcp_call_fail(call, 503, "its list of tools cannot be read");
    }
}

/* ---------------------------------------------------------------- answers */

/* Servers made with fastmcp have forms in the older era alone, and say it in the tool's own words. */
static bool lacks_forms(const struct mcp_call *call, const json_t *result)
{
    static const char words[] = "elicitation via server-initiated requests is unavailable";
    const struct mcp_server *server = call->server;
    bool may_change = server->config.era == MCP_AUTO && server->era == MCP_MODERN && !server->lacks_legacy;
    if (!may_change || !json_is_true(json_object_get(result, "isError"))) return false;
    char *text = mcp_result_text(result, 4096);
    bool is_found = text && strstr(text, words);
    free(text);
    return is_found;
}

static void fall_back(struct mcp_call *call, const json_t *result)
{
    struct mcp_server *server = call->server;
    mcp_server_log(server, EIO_LOG_WARN, "mcp server has forms in the older era alone", "its tool reports it");
    call->refused = json_incref((json_t *)(uintptr_t)result);
    mcp_server_set_era(server, MCP_LEGACY);
    mcp_session_forget(server->sessions, server->sessions->generation);
    mcp_call_send(call);
}

/* The older era is not there either: the newer one stays, and the tool's own answer is what there is. */
static void undo_fall(struct mcp_call *call)
{
    json_t *result = call->refused;
    call->refused = NULL;
    call->server->lacks_legacy = true;
    mcp_server_set_era(call->server, MCP_AUTO);
    finish_result(call, result, NULL);
    json_decref(result);
}

static void take_result(struct mcp_call *call, const struct mcp_message *message)
{
    const json_t *result = message->result;
    const char *type = json_string_value(json_object_get(result, "resultType"));
    bool is_modern = call->server->era == MCP_MODERN;
    if (is_modern && type && !strcmp(type, "input_required"))
        mcp_ask_inputs(call, result);
    else if (is_modern && json_object_get(result, "resultType") && (!type || strcmp(type, "complete")))
        mcp_call_fail(call, 502, "its result is of an unknown type");
    else if (!message->words && lacks_forms(call, result))
        fall_back(call, result);
    else
        finish_result(call, result, message->words);
}

static void take_error(struct mcp_call *call, const struct mcp_message *message)
{
    char text[160];
    int code = message->code == MCP_BAD_PARAMS ? 400 : message->code == MCP_NO_METHOD ? 404 : 502;
    bool is_modern = call->server->era == MCP_MODERN;
    if (message->code == MCP_URL_REQUIRED && !is_modern &&
        json_is_array(json_object_get(message->data, "elicitations"))) {
        mcp_ask_urls(call, message->data);
        return;
    }
    if (message->code == MCP_HEADER_MISMATCH && is_modern && !call->is_relisted) {
        call->is_relisted = call->waits_for_list = true;
        mcp_tools_refresh(call->server);
        return;
    }
    snprintf(text, sizeof text, "it refused the call: %s (%lld)", message->text, (long long)message->code);
    mcp_call_fail(call, code, text);
}

static void on_answered(void *owner, const struct mcp_reply *reply)
{
    struct mcp_call *call = owner;
    call->request = NULL;
    mcp_asks_free(call);
    if (!reply->message && call->refused)
        undo_fall(call);
    else if (!reply->message)
        mcp_call_fail(call, reply->code, reply->error);
    else if (reply->message->kind == MCP_ERROR)
        take_error(call, reply->message);
    else
        take_result(call, reply->message);
}

/* --------------------------------------------------------------- progress */

/* Cuts between characters. */
static void copy_message(char *out, size_t size, const char *text)
{
    size_t n = strnlen(text, size);
    if (n == size) n--;
    while (n && ((unsigned char)text[n] & 0xc0) == 0x80) n--;
    memcpy(out, text, n);
    out[n] = 0;
}

static void take_progress(struct mcp_call *call, const json_t *params)
{
    const json_t *progress = json_object_get(params, "progress"), *total = json_object_get(params, "total");
    const char *message = json_string_value(json_object_get(params, "message"));
    double value = json_number_value(progress), whole = json_number_value(total);
    uint64_t now_ms = eio_loop_now_ms(call->server->mcp->loop);
    if (!json_is_number(progress) || (call->has_progress && value <= call->progress)) return;
    bool is_first = !call->has_progress, is_last = whole > 0 && value >= whole;
    call->progress = value;
    call->has_progress = true;
    if (!call->ops->on_progress || (!is_first && !is_last && now_ms - call->progress_ms < PROGRESS_MS)) return;
    call->progress_ms = now_ms;
    char text[PROGRESS_MESSAGE_BYTES];
    copy_message(text, sizeof text, message ? message : "");
    call->ops->on_progress(call->ctx, value, whole > 0 ? whole : 0, text);
}

static bool on_message(void *owner, const struct mcp_message *message)
{
    struct mcp_call *call = owner;
    if (message->kind == MCP_NOTIFICATION && !strcmp(message->method, "notifications/progress")) {
        const json_t *token = json_object_get(message->params, "progressToken");
        if (json_is_integer(token) && json_integer_value(token) == call->request->id)
            take_progress(call, message->params);
        return true;
    }
    return mcp_ask_take(call, call->request->session, message);
}

/* ------------------------------------------------------------------ public */

int mcp_call_check_limits(const struct mcp_server *server, const char *user, const char **why)
{
    const struct mcp *mcp = server->mcp;
    size_t own = 0;
    for (const struct mcp_call *call = mcp->calls; call; call = call->next) own += !strcmp(call->user, user);
    *why = mcp->is_draining                           ? "this server is stopping"
           : own > mcp->config->user_calls_max        ? "the user has too many calls under way"
           : server->running > mcp->config->calls_max ? "too many calls of it are under way"
                                                      : NULL;
    return *why ? 503 : 0;
}

struct mcp_call *mcp_call_start(struct mcp *mcp, const struct mcp_tool *tool, const json_t *arguments,
                                const struct mcp_caller *caller)
{
    const char *why;
    struct mcp_server *server = mcp_find_server(mcp, tool->server);
    struct mcp_call *call = server ? mcp_call_new(server, tool->name, arguments, caller) : NULL;
    if (!call) return NULL;
    int code = mcp_call_check_limits(server, call->user, &why);
    if (code) {
        mcp->counters.refused++;
        mcp_call_fail_later(call, code, why);
    } else {
        mcp_call_send(call);
    }
    return call;
}
