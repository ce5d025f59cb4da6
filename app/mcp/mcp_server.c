/* A configured server: its sessions, its era, what it notifies of. */
#include "mcp_int.h"

#include <stdlib.h>
#include <string.h>

int mcp_server_init(struct mcp_server *server, struct mcp *mcp, struct mcp_server_config *take_config)
{
    memset(server, 0, sizeof *server);
    server->mcp = mcp;
    server->config = *take_config;
    memset(take_config, 0, sizeof *take_config);
    server->era = server->config.era;
    server->stale_ms = UINT64_MAX;
    mcp_tools_init(server);
    return mcp_session_new(server, NULL) ? 0 : EIO_ENOMEM;
}

void mcp_server_clear(struct mcp_server *server)
{
    mcp_tools_clear(server);
    while (server->sessions) mcp_session_free(server->sessions, false);
    mcp_strings_free(server->headers);
    mcp_config_clear(&server->config);
    free(server->title);
}

struct mcp_server *mcp_find_server(struct mcp *mcp, const char *id)
{
    for (size_t i = 0; i < mcp->server_count; i++)
        if (!strcmp(mcp->servers[i].config.id, id)) return &mcp->servers[i];
    return NULL;
}

void mcp_server_log(const struct mcp_server *server, enum eio_log_level level, const char *message, const char *why)
{
    kit_log(level, message, "server", server->config.id, "name", server->title ? server->title : "", "why", why, NULL);
}

/* Ends the one that has not been in use for longest. */
static bool evict_session(struct mcp_server *server)
{
    struct mcp_session *session = server->sessions->next;
    while (session && !mcp_session_is_idle(session)) session = session->next;
    if (session) mcp_session_free(session, true);
    return session != NULL;
}

struct mcp_session *mcp_server_session(struct mcp_server *server, const char *user)
{
    struct mcp_session *session = server->sessions->next;
    if (server->era != MCP_LEGACY || server->config.shares_session || !*user) return server->sessions;
    while (session && strcmp(session->user, user)) session = session->next;
    if (session) {
        mcp_session_move_last(session);
        return session;
    }
    if (server->session_count >= server->mcp->config->sessions_max && !evict_session(server)) {
        server->mcp->counters.refused++;
        return NULL;
    }
    return mcp_session_new(server, user);
}

/* Calls that waited for the era to be known go to their users' sessions. */
static void spread_requests(struct mcp_server *server)
{
    struct mcp_request *next;
    for (struct mcp_request *request = server->sessions->requests; request; request = next) {
        next = request->next;
        if (request->state != MCP_R_WAITING || !*request->user) continue;
        struct mcp_session *session = mcp_server_session(server, request->user);
        if (session == server->sessions) continue;
        if (!session) {
            mcp_request_fail_later(request, 503, "too many users have sessions with it");
            continue;
        }
        mcp_request_move(request, session);
        mcp_session_advance(session);
    }
}

void mcp_server_set_era(struct mcp_server *server, enum mcp_era era)
{
    static const char *const names[] = {"unknown", MCP_VERSION_MODERN, MCP_VERSION_LEGACY};
    if (server->era == era) return;
    mcp_server_log(server, EIO_LOG_INFO, "mcp server's era", names[era]);
    server->era = era;
    server->is_probed = false;
    server->sessions->listener.is_refused = false;
    if (era == MCP_LEGACY) spread_requests(server);
}

void mcp_server_notice(struct mcp_server *server, const struct mcp_message *message)
{
    const char *data = json_string_value(json_object_get(message->params, "data"));
    if (!strcmp(message->method, "notifications/tools/list_changed"))
        mcp_tools_refresh(server);
    else if (!strcmp(message->method, "notifications/message") && data)
        mcp_server_log(server, EIO_LOG_DEBUG, "mcp server's message", data);
}
