/* An MCP client and a scripted server on one loop, for the tests of the client. */
#ifndef MCP_FIXTURE_H
#define MCP_FIXTURE_H

#include "kit_fixture.h"

#include "mcp_fake.h"

#include <time.h>

#define TOOLS "{\"tools\":[{\"name\":\"echo\",\"inputSchema\":{\"type\":\"object\"}}]}"
#define SAID "{\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]}"
#define FORM                                                                                        \
    "\"message\":\"Which "                                                                          \
    "day?\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{\"day\":{\"type\":\"string\"," \
    "\"default\":\"Monday\"},\"count\":{\"type\":\"integer\"}},\"required\":[\"day\"]}"

/* A test with a clock of its own says so before it includes this. */
#ifndef MCP_FIXTURE_LOOP
#define MCP_FIXTURE_LOOP eio_loop_new()
#define MCP_FIXTURE_TURN(loop) eio_loop_turn(loop, 20)
#endif

static struct {
    struct kit kit;
    struct mcp_config config;
    struct mcp *mcp;
    struct mcp_call *call;
    enum mcp_era era;
    const char *tenant, *user;
    bool is_public;
    const char *call_answer; /* what tools/call answers with, if serve_basics() does */
    size_t asked, withdrawn, done, progressed;
    char key[64], question[128], error[300], text[4096], url[128], message[4096];
    double progress;
    int code;
    bool ok;
    json_t *state;
    struct fake_request *stream; /* one that a test goes on with */
    size_t step;
} t;

/* ------------------------------------------------------------------ fixture */

static inline int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    t.tenant = "";
    t.user = "ann";
    t.kit.loop = MCP_FIXTURE_LOOP;
    t.kit.fetcher = kit_fetcher_new(t.kit.loop);
    t.config = (struct mcp_config){.probe_timeout_ms = 30000,
                                   .idle_timeout_ms = 30000,
                                   .call_timeout_ms = 60000,
                                   .ask_timeout_ms = 60000,
                                   .session_idle_ms = 60000,
                                   .retry_max_ms = 60000,
                                   .message_max_bytes = 65536,
                                   .stream_max_bytes = 262144,
                                   .text_max_bytes = 4096,
                                   .tools_max = 8,
                                   .tools_max_bytes = 65536,
                                   .calls_max = 8,
                                   .user_calls_max = 4,
                                   .rounds_max = 4,
                                   .sessions_max = 4};
    fake_start(t.kit.loop);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    mcp_free(t.mcp);
    kit_fetcher_free(t.kit.fetcher);
    fake_stop();
    eio_loop_free(t.kit.loop);
    json_decref(t.state);
    return 0;
}

static inline struct mcp *make_client(void)
{
    char error[256] = "", url[64];
    struct mcp_server_config *list = calloc(1, sizeof *list);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/mcp", fake.port);
    strcpy(list->id, "peer");
    list->url = strdup(url);
    list->era = t.era;
    list->is_private = !t.is_public;
    struct mcp *mcp = mcp_new(&t.kit, &t.config);
    assert_int_equal(mcp_add_servers(mcp, list, 1, error, sizeof error), 0);
    return mcp;
}

#define TURN_UNTIL(condition)                                                   \
    do {                                                                        \
        time_t end_ = time(NULL) + 300;                                         \
        while (!(condition) && time(NULL) < end_) MCP_FIXTURE_TURN(t.kit.loop); \
        assert_true(condition);                                                 \
    } while (0)

static inline void start_client(void (*serve)(struct fake_request *request))
{
    fake.serve = serve;
    t.mcp = make_client();
}

static inline void start_listed(void (*serve)(struct fake_request *request))
{
    start_client(serve);
    TURN_UNTIL(t.mcp->servers->has_tools);
}

/* What servers of either era answer, but for what a test does itself. True: answered. */
static inline bool serve_basics(struct fake_request *request)
{
    const char *method = request->method;
    if (!strcmp(method, "server/discover") && t.era != MCP_LEGACY)
        fake_json(request,
                  fake_result(request, "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{}}}"));
    else if (!strcmp(method, "initialize"))
        fake_reply(request, "200 OK", "Content-Type: application/json\r\nMcp-Session-Id: s1\r\n",
                   fake_result(request, "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
                                        "\"serverInfo\":{\"name\":\"fake\",\"version\":\"1\"}}"));
    else if (!strncmp(method, "notifications/", 14) || !strcmp(method, "answer") || !strcmp(method, "DELETE"))
        fake_reply(request, "202 Accepted", "", "");
    else if (!strcmp(method, "GET"))
        fake_reply(request, "405 Method Not Allowed", "", "");
    else if (!strcmp(method, "tools/list"))
        fake_json(request, fake_result(request, TOOLS));
    else if (!strcmp(method, "tools/call") && t.call_answer)
        fake_json(request, fake_result(request, t.call_answer));
    else
        return false;
    return true;
}

static inline void serve_simply(struct fake_request *request)
{
    serve_basics(request);
}

static inline void on_progress(void *ctx, double progress, double total, const char *message)
{
    (void)ctx, (void)total;
    snprintf(t.message, sizeof t.message, "%s", message);
    t.progressed++;
    t.progress = progress;
}

static inline void on_ask(void *ctx, const struct mcp_question *questions, size_t count, const json_t *state)
{
    (void)ctx;
    assert_int_equal(count, 1);
    t.asked++;
    snprintf(t.key, sizeof t.key, "%s", questions[0].key);
    snprintf(t.question, sizeof t.question, "%s", questions[0].message);
    snprintf(t.url, sizeof t.url, "%s", questions[0].url ? questions[0].url : "");
    json_decref(t.state);
    t.state = state ? json_deep_copy(state) : NULL;
    if (state) t.call = NULL;
}

static inline void on_withdrawn(void *ctx, const char *key)
{
    (void)ctx;
    assert_string_equal(key, t.key);
    t.withdrawn++;
}

static inline void on_done(void *ctx, const struct mcp_result *result)
{
    (void)ctx;
    t.done++;
    t.call = NULL;
    t.ok = result->ok;
    t.code = result->code;
    snprintf(t.error, sizeof t.error, "%s", result->error ? result->error : "");
    snprintf(t.text, sizeof t.text, "%.*s", (int)result->text.n, result->text.p);
    assert_true(result->text.n);
}

static const struct mcp_call_ops ops = {on_progress, on_ask, on_withdrawn, on_done};
static inline struct mcp_caller make_caller(void)
{
    return (struct mcp_caller){.tenant = t.tenant, .user = t.user, .ops = &ops};
}

static inline void call_tool(void)
{
    const struct mcp_caller caller = make_caller();
    const struct mcp_tool *tool = mcp_find_tool(t.mcp, "peer_echo");
    json_t *arguments = json_pack("{s:s}", "message", "hello");
    assert_non_null(tool);
    t.call = mcp_call_start(t.mcp, tool, arguments, &caller);
    assert_non_null(t.call);
    json_decref(arguments);
}

static inline void call_and_wait(void)
{
    size_t done = t.done;
    call_tool();
    assert_int_equal(t.done, done); /* never within */
    TURN_UNTIL(t.done > done);
}

static inline void resume_with(const char *answers)
{
    const struct mcp_caller caller = make_caller();
    json_t *parsed = json_loads(answers, 0, NULL);
    assert_non_null(parsed);
    t.call = mcp_call_resume(t.mcp, t.state, parsed, &caller);
    assert_non_null(t.call);
    json_decref(parsed);
}

static inline int answer_with(const char *text)
{
    struct kit_failure failure = {0};
    json_t *answer = json_loads(text, 0, NULL);
    assert_non_null(answer);
    int code = mcp_call_answer(t.call, t.key, answer, &failure);
    json_decref(answer);
    return code;
}

static inline const char *text_at(const json_t *value, const char *first, const char *second)
{
    const char *text = json_string_value(json_object_get(json_object_get(value, first), second));
    return text ? text : "";
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
