/* A session with a server: which era it speaks, the handshake of the older one, and beginning anew. */
#include "mcp_int.h"

#include <stdlib.h>
#include <string.h>

/* What this client knows of the older era, its own first. */
static const char *const legacy_versions[] = {MCP_VERSION_LEGACY, "2025-06-18", "2025-03-26", "2024-11-05"};
#define LEGACY_VERSIONS (sizeof legacy_versions / sizeof legacy_versions[0])

bool mcp_session_is_modern(const struct mcp_session *session)
{
    return !strcmp(session->version, MCP_VERSION_MODERN);
}

bool mcp_session_is_idle(const struct mcp_session *session)
{
    const struct mcp_request *request = session->requests;
    while (request && request->kind == MCP_R_LISTEN) request = request->next;
    return !request;
}

/* ------------------------------------------------------------------ states */

static void set_state(struct mcp_session *session, enum mcp_session_state state, const char *why)
{
    static const char *const names[] = {"closed", "probing", "opening", "confirming", "listening", "ready"};
    static const unsigned allowed[] = {
        [MCP_S_CLOSED] = 1 << MCP_S_PROBING | 1 << MCP_S_OPENING | 1 << MCP_S_READY,
        [MCP_S_PROBING] = 1 << MCP_S_CLOSED | 1 << MCP_S_OPENING | 1 << MCP_S_READY,
        [MCP_S_OPENING] = 1 << MCP_S_CLOSED | 1 << MCP_S_CONFIRMING,
        [MCP_S_CONFIRMING] = 1 << MCP_S_CLOSED | 1 << MCP_S_LISTENING,
        [MCP_S_LISTENING] = 1 << MCP_S_CLOSED | 1 << MCP_S_READY,
        [MCP_S_READY] = 1 << MCP_S_CLOSED,
    };
    if (!(allowed[session->state] & 1u << state)) abort();
    kit_log(EIO_LOG_DEBUG, "mcp session", "server", session->server->config.id, "from", names[session->state], "to",
            names[state], "why", why, NULL);
    session->state = state;
    if (state == MCP_S_READY) session->generation++;
}

static void close_session(struct mcp_session *session, const char *why)
{
    if (session->state != MCP_S_CLOSED) set_state(session, MCP_S_CLOSED, why);
    free(session->id);
    session->id = NULL;
}

/* Those that were waiting when it failed; what their owners ask next is another attempt. */
static void fail_waiting(struct mcp_session *session, const struct mcp_reply *reply)
{
    int64_t last_id = session->server->mcp->last_id;
    struct mcp_request *request = session->requests;
    while (request) {
        if (request->state == MCP_R_WAITING && request->id <= last_id) {
            mcp_request_finish(request, reply);
            request = session->requests;
        } else {
            request = request->next;
        }
    }
}

static void fail_session(struct mcp_session *session, int code, const char *error)
{
    const struct mcp_reply reply = {NULL, 0, code, error, NULL};
    close_session(session, error);
    fail_waiting(session, &reply);
}

static void get_ready(struct mcp_session *session)
{
    set_state(session, MCP_S_READY, session->version);
    session->server->mcp->counters.sessions_opened++;
    mcp_session_advance(session);
}

void mcp_session_listens(struct mcp_session *session)
{
    if (session->state == MCP_S_LISTENING) get_ready(session);
}

/* ------------------------------------------------------------------ opening */

static bool is_in_list(const json_t *list, const char *version)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (json_is_string(one) && !strcmp(json_string_value(one), version)) return true;
    }
    return false;
}

static const char *known_version(const char *version)
{
    for (size_t i = 0; version && i < LEGACY_VERSIONS; i++)
        if (!strcmp(version, legacy_versions[i])) return legacy_versions[i];
    return NULL;
}

/* What a server says about itself: its name is for logs. */
static void read_about(struct mcp_server *server, const json_t *result)
{
    const json_t *tools = json_object_get(json_object_get(result, "capabilities"), "tools");
    const json_t *info = json_object_get(result, "serverInfo");
    if (!info) info = json_object_get(json_object_get(result, "_meta"), "io.modelcontextprotocol/serverInfo");
    const char *name = json_string_value(json_object_get(info, "name"));
    server->can_listen = json_is_true(json_object_get(tools, "listChanged"));
    free(server->title);
    server->title = name ? strdup(name) : NULL;
}

static void on_confirmed(void *ctx, int status)
{
    struct mcp_session *session = ctx;
    if (session->state != MCP_S_CONFIRMING) return;
    if (status / 100 != 2) {
        fail_session(session, 502, "it did not accept notifications/initialized");
        return;
    }
    set_state(session, MCP_S_LISTENING, session->version);
    if (!mcp_listener_open(session)) get_ready(session);
}

static void confirm_session(struct mcp_session *session)
{
    char *text = mcp_rpc_request(0, "notifications/initialized", NULL);
    set_state(session, MCP_S_CONFIRMING, session->version);
    if (text)
        mcp_post_send(session, text, on_confirmed, session);
    else
        fail_session(session, 503, "out of memory");
}

static void on_opened(void *owner, const struct mcp_reply *reply)
{
    struct mcp_session *session = owner;
    const json_t *result = reply->message ? reply->message->result : NULL;
    const char *version = known_version(json_string_value(json_object_get(result, "protocolVersion")));
    char text[160];
    if (!reply->message) {
        fail_session(session, reply->code, reply->error);
    } else if (!result) {
        snprintf(text, sizeof text, "it refused initialize: %s", reply->message->text);
        fail_session(session, 502, text);
    } else if (!version) {
        fail_session(session, 502, "it answered initialize with a version that is not supported here");
    } else {
        session->version = version;
        session->id = reply->session_id ? strdup(reply->session_id) : NULL;
        read_about(session->server, result);
        mcp_server_set_era(session->server, MCP_LEGACY);
        confirm_session(session);
    }
}

/* Without a call back from within what somebody has just asked for. */
static void fail_later(struct mcp_session *session)
{
    close_session(session, "out of memory");
    for (struct mcp_request *request = session->requests; request; request = request->next)
        if (request->state == MCP_R_WAITING) mcp_request_fail_later(request, 503, "out of memory");
}

static void start_request(struct mcp_session *session, const struct mcp_request_options *options)
{
    struct mcp_request *request = mcp_request_new(session, options);
    if (request)
        mcp_request_send(request);
    else
        fail_later(session);
}

static void open_session(struct mcp_session *session)
{
    static const struct mcp_request_ops ops = {NULL, on_opened};
    const struct mcp_request_options options = {
        .kind = MCP_R_OPEN,
        .method = "initialize",
        .take_params =
            json_pack("{s:s, s:{s:{s:{}, s:{}}}, s:{s:s, s:s}}", "protocolVersion", MCP_VERSION_LEGACY, "capabilities",
                      "elicitation", "form", "url", "clientInfo", "name", "parley", "version", PARLEY_VERSION),
        .ops = &ops,
        .owner = session,
        .max_ms = session->server->mcp->config->idle_timeout_ms};
    session->version = MCP_VERSION_LEGACY;
    set_state(session, MCP_S_OPENING, "initialize");
    start_request(session, &options);
}

/* ------------------------------------------------------------------ probing */

static void open_modern(struct mcp_session *session)
{
    mcp_server_set_era(session->server, MCP_MODERN);
    session->server->is_probed = true;
    session->version = MCP_VERSION_MODERN;
    get_ready(session);
    mcp_listener_open(session);
}

/* What a server supports, by a list of versions. */
static void choose_version(struct mcp_session *session, const json_t *supported)
{
    if (!json_is_array(supported) || is_in_list(supported, MCP_VERSION_MODERN)) {
        open_modern(session);
        return;
    }
    for (size_t i = 0; i < LEGACY_VERSIONS; i++) {
        if (!is_in_list(supported, legacy_versions[i])) continue;
        open_session(session);
        return;
    }
    fail_session(session, 502, "it supports no version of the protocol that is known here");
}

/* What is neither a result nor an error that the newer era alone has leads to the older one. */
static void on_probed(void *owner, const struct mcp_reply *reply)
{
    struct mcp_session *session = owner;
    const struct mcp_message *message = reply->message;
    bool is_error = message && message->kind == MCP_ERROR;
    int64_t code = is_error ? message->code : 0;
    bool is_known = code == MCP_HEADER_MISMATCH || code == MCP_MISSING_CAPABILITY ||
                    (code == MCP_NO_METHOD && reply->status == 404);
    bool is_fixed = session->server->config.era == MCP_MODERN;
    bool is_dead = !message && ((!reply->status && reply->code != 504) || reply->status == 401 || reply->status == 403);
    if (message && message->result) {
        read_about(session->server, message->result);
        choose_version(session, json_object_get(message->result, "supportedVersions"));
    } else if (code == MCP_UNSUPPORTED_VERSION && !is_fixed) {
        choose_version(session, json_object_get(message->data, "supported"));
    } else if (is_dead) {
        fail_session(session, reply->code, reply->error);
    } else if (is_known || is_fixed) {
        open_modern(session);
    } else {
        open_session(session);
    }
}

static void probe_session(struct mcp_session *session)
{
    static const struct mcp_request_ops ops = {NULL, on_probed};
    const struct mcp_request_options options = {.kind = MCP_R_PROBE,
                                                .method = "server/discover",
                                                .take_params = json_object(),
                                                .ops = &ops,
                                                .owner = session,
                                                .max_ms = session->server->mcp->config->probe_timeout_ms};
    session->version = MCP_VERSION_MODERN;
    set_state(session, MCP_S_PROBING, "server/discover");
    start_request(session, &options);
}

/* ------------------------------------------------------------------ session */

static void on_idle(void *ctx)
{
    struct mcp_session *session = ctx;
    if (!session->user) return;
    if (!mcp_session_is_idle(session))
        eio_timer_start(&session->idle_timer, session->server->mcp->config->session_idle_ms);
    else
        mcp_session_free(session, true);
}

void mcp_session_advance(struct mcp_session *session)
{
    enum mcp_era era = session->server->era;
    eio_timer_start(&session->idle_timer, session->server->mcp->config->session_idle_ms);
    if (session->state == MCP_S_CLOSED) {
        if (era == MCP_LEGACY)
            open_session(session);
        else if (era == MCP_MODERN && session->server->is_probed)
            open_modern(session);
        else
            probe_session(session);
        return;
    }
    if (session->state != MCP_S_READY) return;
    for (struct mcp_request *request = session->requests; request; request = request->next)
        if (request->state == MCP_R_WAITING) mcp_request_send(request);
}

void mcp_session_forget(struct mcp_session *session, unsigned generation)
{
    if (session->state == MCP_S_READY && session->generation == generation)
        close_session(session, "the server does not know it any more");
}

void mcp_session_answer(struct mcp_session *session, const struct mcp_message *message)
{
    json_t *nothing = json_object();
    bool is_ping = !strcmp(message->method, "ping");
    char *text = is_ping ? mcp_rpc_result(message->id, nothing)
                         : mcp_rpc_error(message->id, MCP_NO_METHOD, "this client does not offer that");
    json_decref(nothing);
    mcp_post_send(session, text, NULL, NULL);
}

void mcp_session_move_last(struct mcp_session *session)
{
    struct mcp_session **link = &session->server->sessions;
    while (*link != session) link = &(*link)->next;
    *link = session->next;
    session->next = NULL;
    while (*link) link = &(*link)->next;
    *link = session;
}

struct mcp_session *mcp_session_new(struct mcp_server *server, const char *user)
{
    struct mcp_session *session = calloc(1, sizeof *session), **tail = &server->sessions;
    if (session && user) session->user = strdup(user);
    if (!session || (user && !session->user)) {
        free(session);
        return NULL;
    }
    session->server = server;
    session->version = MCP_VERSION_MODERN;
    eio_timer_init(&session->idle_timer, server->mcp->loop, on_idle, session);
    mcp_listener_init(session);
    while (*tail) tail = &(*tail)->next;
    *tail = session;
    server->session_count++;
    return session;
}

void mcp_session_free(struct mcp_session *session, bool is_polite)
{
    struct mcp_server *server = session->server;
    struct mcp_session **link = &server->sessions;
    while (*link != session) link = &(*link)->next;
    *link = session->next;
    server->session_count--;
    mcp_posts_forget(server->mcp, session);
    mcp_listener_close(session);
    while (session->requests) mcp_request_cancel(session->requests, "the client has ended");
    if (is_polite) mcp_post_delete(session);
    eio_timer_stop(&session->idle_timer);
    free(session->user);
    free(session->id);
    free(session);
}
