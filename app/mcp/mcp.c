/* The module: options, metrics, the servers of the file, and how it ends. */
#include "mcp_int.h"

#include "kit_metrics.h"
#include "kit_options.h"

#include <stdlib.h>
#include <string.h>

#define KIT_VALUES struct mcp_config
static const struct kit_option option_rows[] = {
    KIT_TEXT_ROW("mcp_file", file, "", "MCP",
                 "JSON file that names MCP servers, whose tools the assistant uses (docs/mcp.md); empty: no servers"),
    KIT_U32_ROW("mcp_probe_timeout_ms", probe_timeout_ms, "5000", 10, KIT_DAY_MS, "MCP",
                "time for a server to show that it speaks the newer protocol; then the older one is tried"),
    KIT_U32_ROW("mcp_idle_timeout_ms", idle_timeout_ms, "60000", 10, KIT_DAY_MS, "MCP",
                "a request without a byte from the server for this time fails; progress and comments count"),
    KIT_U32_ROW("mcp_call_timeout_ms", call_timeout_ms, "600000", 10, KIT_DAY_MS, "MCP",
                "longest time of a tool's call, whatever the server sends; waiting for a user does not count"),
    KIT_U32_ROW("mcp_ask_timeout_ms", ask_timeout_ms, "600000", 10, KIT_DAY_MS, "MCP",
                "a question of a server of the older protocol is cancelled after this time without an answer"),
    KIT_U32_ROW("mcp_session_idle_ms", session_idle_ms, "300000", 10, KIT_DAY_MS, "MCP",
                "a user's session with a server of the older protocol is closed after this time without a call"),
    KIT_U32_ROW("mcp_retry_max_ms", retry_max_ms, "300000", 1000, KIT_DAY_MS, "MCP",
                "longest delay before a server that failed is asked for its tools again"),
    KIT_SIZE_ROW("mcp_message_max_bytes", message_max_bytes, "8388608", 1024, "MCP",
                 "one message of a server; above: the request fails"),
    KIT_SIZE_ROW("mcp_stream_max_bytes", stream_max_bytes, "67108864", 1024, "MCP",
                 "all that a server sends for one request; above: it fails"),
    KIT_SIZE_ROW("mcp_text_max_bytes", text_max_bytes, "65536", 256, "MCP",
                 "text of a tool's answer that the model gets; the rest is cut, with a note"),
    KIT_U32_ROW("mcp_tools_max", tools_max, "256", 1, 10000, "MCP", "tools of one server; the others are left out"),
    KIT_SIZE_ROW("mcp_tools_max_bytes", tools_max_bytes, "1048576", 1024, "MCP",
                 "JSON of all tools of one server; those beyond are left out"),
    KIT_U32_ROW("mcp_calls_max", calls_max, "256", 1, 100000, "MCP",
                "calls of one server's tools at a time; above: they fail"),
    KIT_U32_ROW("mcp_user_calls_max", user_calls_max, "16", 1, 100000, "MCP",
                "calls of one user at a time; above: they fail"),
    KIT_U32_ROW("mcp_rounds_max", rounds_max, "16", 1, 1000, "MCP",
                "how often a server may ask the user in one call; above: it fails"),
    KIT_U32_ROW("mcp_sessions_max", sessions_max, "1000", 2, 100000, "MCP",
                "users' sessions with one server of the older protocol; above: the calls of others fail"),
};
static const struct kit_option_set options = KIT_OPTION_SET(option_rows);

#define KIT_NUMBERS struct mcp_counters
static void read_numbers(void *ctx, void *numbers);
static const struct kit_metric metric_rows[] = {
    KIT_GAUGE_ROW("mcp_servers", servers, "MCP servers configured."),
    KIT_GAUGE_ROW("mcp_servers_ready", servers_ready, "MCP servers whose tools are known."),
    KIT_GAUGE_ROW("mcp_calls_running", calls_running, "Calls of MCP tools under way."),
    KIT_COUNTER_ROW("mcp_calls_total", calls, "Calls of MCP tools."),
    KIT_COUNTER_ROW("mcp_calls_failed_total", calls_failed, "Calls of MCP tools that failed, for whatever reason."),
    KIT_COUNTER_ROW("mcp_requests_total", requests, "Requests sent to MCP servers."),
    KIT_COUNTER_ROW("mcp_request_failures_total", failures, "Requests to MCP servers that got no answer."),
    KIT_COUNTER_ROW("mcp_timeouts_total", timeouts, "Requests to MCP servers that timed out."),
    KIT_COUNTER_ROW("mcp_too_large_total", too_large,
                    "Answers of MCP servers above mcp_message_max_bytes or mcp_stream_max_bytes."),
    KIT_COUNTER_ROW("mcp_refused_total", refused,
                    "Calls and sessions beyond mcp_calls_max, mcp_user_calls_max or mcp_sessions_max."),
    KIT_COUNTER_ROW("mcp_tools_dropped_total", tools_dropped,
                    "Tools of MCP servers that cannot be used, or exceed mcp_tools_max or mcp_tools_max_bytes."),
    KIT_COUNTER_ROW("mcp_questions_total", asks, "Questions of MCP servers to users."),
    KIT_COUNTER_ROW("mcp_resumed_total", resumed, "Streams of MCP servers that broke off and were resumed."),
    KIT_COUNTER_ROW("mcp_sessions_opened_total", sessions_opened, "Sessions opened with MCP servers."),
};
static const struct kit_metric_set metrics = KIT_METRIC_SET(metric_rows, read_numbers);

static void read_numbers(void *ctx, void *numbers)
{
    const struct mcp *mcp = ctx;
    struct mcp_counters *counters = numbers;
    *counters = mcp->counters;
    counters->servers = mcp->server_count;
    for (size_t i = 0; i < mcp->server_count; i++) counters->servers_ready += mcp->servers[i].has_tools;
}

/* ---------------------------------------------------------------- lifetime */

struct mcp *mcp_new(struct kit *kit, const struct mcp_config *config)
{
    struct mcp *mcp = calloc(1, sizeof *mcp);
    if (!mcp) return NULL;
    mcp->kit = kit;
    mcp->loop = kit->loop;
    mcp->fetcher = kit->fetcher;
    mcp->config = config;
    if (kit->work) kit_strand_init(&mcp->strand, kit->work, 1, NULL, NULL);
    return mcp;
}

int mcp_add_servers(struct mcp *mcp, struct mcp_server_config *take_list, size_t count, char *error, size_t error_size)
{
    int failed = 0;
    mcp->servers = calloc(count + 1, sizeof *mcp->servers);
    if (!mcp->servers) failed = EIO_ENOMEM;
    for (size_t i = 0; i < count && !failed; i++) {
        struct mcp_server *server = &mcp->servers[i];
        failed = mcp_server_init(server, mcp, &take_list[i]);
        mcp->server_count++;
        if (failed) break;
        char reason[256];
        server->headers = mcp_config_headers(&server->config, reason, sizeof reason);
        if (server->headers) continue;
        snprintf(error, error_size, "server '%s': %s", server->config.id, reason);
        failed = EIO_EINVAL;
    }
    for (size_t i = 0; i < count; i++) mcp_config_clear(&take_list[i]);
    free(take_list);
    for (size_t i = 0; i < mcp->server_count && !failed; i++) mcp_tools_refresh(&mcp->servers[i]);
    return failed;
}

void mcp_settle_drain(struct mcp *mcp)
{
    if (!mcp->is_draining || mcp->calls) return;
    for (size_t i = 0; i < mcp->server_count; i++)
        for (struct mcp_session *session = mcp->servers[i].sessions; session; session = session->next) {
            mcp_listener_close(session);
            mcp_post_delete(session);
        }
}

void mcp_drain(struct mcp *mcp)
{
    mcp->is_draining = true;
    mcp_settle_drain(mcp);
}

void mcp_free(struct mcp *mcp)
{
    if (!mcp) return;
    mcp->is_draining = false;
    mcp_calls_cancel(mcp);
    for (size_t i = 0; i < mcp->server_count; i++) mcp_server_clear(&mcp->servers[i]);
    mcp_posts_cancel(mcp);
    if (mcp->kit->work) kit_work_wait(mcp->kit->work); /* what is on a thread needs the strand */
    free(mcp->servers);
    free(mcp);
}

/* ------------------------------------------------------------------ module */

static int start(struct kit *kit, void **state, char *error, size_t error_size)
{
    const struct mcp_config *config = kit_config_values(kit->config, &options);
    struct mcp_server_config *list = NULL;
    size_t count = 0;
    struct mcp *mcp = mcp_new(kit, config);
    *state = mcp;
    if (!mcp) return EIO_ENOMEM;
    char why[400] = "", allowed[sizeof why + 32];
    int failed = config->file[0] ? mcp_config_load(config->file, &list, &count, why, sizeof why) : 0;
    if (!failed) failed = mcp_add_servers(mcp, list, count, why, sizeof why);
    if (!failed || !why[0]) return failed;
    snprintf(allowed, sizeof allowed, "a JSON file of MCP servers; %s", why);
    return kit_config_refuse(kit->config, "mcp_file", allowed, error, error_size);
}

/* Tokens and other secrets, from now on. */
static void reload(void *state)
{
    struct mcp *mcp = state;
    for (size_t i = 0; i < mcp->server_count; i++) {
        struct mcp_server *server = &mcp->servers[i];
        char reason[256];
        char **headers = mcp_config_headers(&server->config, reason, sizeof reason);
        if (!headers) {
            mcp_server_log(server, EIO_LOG_ERROR, "cannot read an mcp server's secrets again", reason);
            continue;
        }
        mcp_strings_free(server->headers);
        server->headers = headers;
        mcp_tools_refresh(server);
    }
}

static void drain(void *state)
{
    mcp_drain(state);
}

static void stop(void *state)
{
    mcp_free(state);
}

const struct kit_module mcp_module = {.name = "mcp",
                                      .options = &options,
                                      .metrics = &metrics,
                                      .start = start,
                                      .reload = reload,
                                      .drain = drain,
                                      .stop = stop};

struct mcp *mcp_of(const struct kit *kit)
{
    return kit_state(kit, &mcp_module);
}

const struct mcp_config *mcp_config_of(const struct kit_config *config)
{
    return kit_config_values(config, &options);
}
