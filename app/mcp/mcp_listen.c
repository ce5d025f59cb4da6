/* A session's stream for what concerns no request: GET in the older era, subscriptions/listen in the newer one. It is
 * opened again when it ends, and the list of tools is read again, for it may have changed meanwhile. */
#include "mcp_int.h"

#define FIRST_DELAY_MS 1000
#define WAIT_MS 2000 /* for the stream, before calls go on without it */

static void start_listening(void *ctx);

static void on_listen_done(void *owner, const struct mcp_reply *reply)
{
    struct mcp_session *session = owner;
    struct mcp_listener *listener = &session->listener;
    bool is_refusal = reply->status / 100 == 4 || (reply->message && reply->message->kind == MCP_ERROR);
    uint32_t max_ms = session->server->mcp->config->retry_max_ms;
    listener->request = NULL;
    listener->is_refused = is_refusal && reply->status != 404;
    mcp_session_listens(session);
    if (listener->is_refused || session->server->mcp->is_draining) return;
    listener->is_late = true;
    eio_timer_start(&listener->timer, listener->delay_ms);
    listener->delay_ms = listener->delay_ms > max_ms / 2 ? max_ms : listener->delay_ms * 2;
}

/* A message shows that the stream stands. */
static bool on_listen_message(void *owner, const struct mcp_message *message)
{
    struct mcp_session *session = owner;
    session->listener.delay_ms = FIRST_DELAY_MS;
    return mcp_ask_take_stray(session, message);
}

static void on_wait_timer(void *ctx)
{
    mcp_session_listens(ctx);
}

void mcp_listener_stand(struct mcp_session *session)
{
    eio_timer_stop(&session->listener.wait_timer);
    mcp_session_listens(session);
}

/* Users are asked on it. */
static bool has_users(const struct mcp_session *session)
{
    return !mcp_session_is_modern(session) && (session->user || session->server->config.shares_session);
}

static void start_listening(void *ctx)
{
    static const struct mcp_request_ops ops = {on_listen_message, on_listen_done};
    struct mcp_session *session = ctx;
    struct mcp_listener *listener = &session->listener;
    bool is_modern = mcp_session_is_modern(session);
    const struct mcp_request_options options = {
        .kind = MCP_R_LISTEN,
        .method = is_modern ? "subscriptions/listen" : NULL,
        .take_params = is_modern ? json_pack("{s:{s:b}}", "notifications", "toolsListChanged", 1) : json_object(),
        .ops = &ops,
        .owner = session};
    /* A session that was closed opens it when it is ready again. */
    if (listener->request || listener->is_refused || session->state < MCP_S_LISTENING) {
        json_decref(options.take_params);
        return;
    }
    listener->request = mcp_request_new(session, &options);
    if (!listener->request) return;
    mcp_request_send(listener->request);
    if (listener->is_late) mcp_tools_refresh(session->server);
    listener->is_late = false;
}

bool mcp_listener_open(struct mcp_session *session)
{
    struct mcp_listener *listener = &session->listener;
    if (!has_users(session) && !session->server->can_listen) return false;
    if (!eio_timer_running(&listener->timer)) start_listening(session);
    bool waits = has_users(session) && listener->request && listener->request->state == MCP_R_SENT;
    if (waits) eio_timer_start(&listener->wait_timer, WAIT_MS);
    return waits;
}

void mcp_listener_init(struct mcp_session *session)
{
    session->listener.delay_ms = FIRST_DELAY_MS;
    eio_timer_init(&session->listener.timer, session->server->mcp->loop, start_listening, session);
    eio_timer_init(&session->listener.wait_timer, session->server->mcp->loop, on_wait_timer, session);
}

void mcp_listener_close(struct mcp_session *session)
{
    eio_timer_stop(&session->listener.timer);
    eio_timer_stop(&session->listener.wait_timer);
    if (session->listener.request) mcp_request_cancel(session->listener.request, NULL);
    session->listener.request = NULL;
}
