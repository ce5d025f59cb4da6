/* How long what the MCP client knows is good for: lists of tools, sessions, secrets. The clock is the test's. */
#define MCP_FIXTURE_LOOP eio_loop_new_with_fake_clock()
#define MCP_FIXTURE_TURN(loop) (eio_loop_turn(loop, 2), eio_loop_advance(loop, 1))
#include "mcp_fixture.h"

#define TOOLS_LATER "{\"tools\":[{\"name\":\"later\",\"inputSchema\":{\"type\":\"object\"}}]}"

static bool is_known(const char *id)
{
    return mcp_find_tool(t.mcp, id) != NULL;
}

static bool go_on(void *ctx, const struct mcp_tool *tool)
{
    (void)ctx, (void)tool;
    return true;
}

/* As before each step of a model: what is stale is read again. */
static void look_at_tools(void)
{
    mcp_each_tool(t.mcp, go_on, NULL);
}

/* Nothing is asked for while this passes. */
static void pass_quietly(uint64_t ms)
{
    size_t count = fake.count;
    eio_loop_advance(t.kit.loop, ms);
    look_at_tools();
    for (int i = 0; i < 5; i++) eio_loop_turn(t.kit.loop, 2);
    assert_int_equal(fake.count, count);
}

/* ------------------------------------------------------------------- lists */

static void serve_changing(struct fake_request *request)
{
    const char *method = request->method;
    if (!strcmp(method, "tools/list") && fake_count("tools/list") > 1)
        fake_json(request, fake_result(request, TOOLS_LATER));
    else if (!strcmp(method, "initialize"))
        fake_reply(request, "200 OK", "Content-Type: application/json\r\nMcp-Session-Id: s1\r\n",
                   fake_result(request, "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{"
                                        "\"listChanged\":true}},\"serverInfo\":{\"name\":\"x\",\"version\":\"1\"}}"));
    else if (!strcmp(method, "server/discover"))
        fake_json(request, fake_result(request, "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{"
                                                "\"listChanged\":true}}}"));
    else if (!strcmp(method, "GET") || !strcmp(method, "subscriptions/listen"))
        fake_stream(t.stream = request, ": it stands\n\n");
    else
        serve_basics(request);
}

static void check_change(const char *stream)
{
    start_listed(serve_changing);
    TURN_UNTIL(fake_count(stream));
    assert_true(is_known("peer_echo"));
    fake_send(t.stream, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n");
    TURN_UNTIL(is_known("peer_later"));
    assert_false(is_known("peer_echo"));
    assert_int_equal(fake_count("tools/list"), 2);
}

static void a_list_that_has_changed_is_read_again_in_the_older_era(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    check_change("GET");
}

static void a_list_that_has_changed_is_read_again_in_the_newer_era(void **state)
{
    (void)state;
    t.era = MCP_MODERN;
    check_change("subscriptions/listen");
    const json_t *params = json_object_get(fake_last("subscriptions/listen")->body, "params");
    assert_true(json_is_true(json_object_get(json_object_get(params, "notifications"), "toolsListChanged")));
}

/* What happened while the stream was down may have been missed. */
static void a_stream_that_broke_off_stands_again_and_the_list_is_read_again(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    start_listed(serve_changing);
    TURN_UNTIL(fake_count("GET") == 1);
    fake_end(t.stream);
    TURN_UNTIL(fake_count("GET") == 2);
    TURN_UNTIL(is_known("peer_later"));
}

/* A wait is doubled each time, up to a limit. */
static void waits_for_a_server_have_a_limit(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    t.config.retry_max_ms = 1500;
    start_listed(serve_changing);
    TURN_UNTIL(fake_count("GET") == 1);
    fake_end(t.stream);
    TURN_UNTIL(eio_timer_running(&t.mcp->servers->sessions->listener.timer));
    assert_int_equal(t.mcp->servers->sessions->listener.delay_ms, 1500);
    mcp_free(t.mcp);
    t.is_public = true; /* it cannot be reached */
    t.mcp = make_client();
    TURN_UNTIL(eio_timer_running(&t.mcp->servers->retry_timer));
    assert_int_equal(t.mcp->servers->retry_ms, 1500);
}

static void serve_with_ttl(struct fake_request *request)
{
    bool is_first = fake_count("tools/list") < 2;
    if (strcmp(request->method, "tools/list"))
        serve_basics(request);
    else
        fake_json(request, fake_result(request, is_first ? "{\"tools\":[{\"name\":\"echo\",\"inputSchema\":{\"type\":"
                                                           "\"object\"}}],\"ttlMs\":10000}"
                                                         : "{\"tools\":[{\"name\":\"later\",\"inputSchema\":{\"type\":"
                                                           "\"object\"}}],\"ttlMs\":10000}"));
}

static void a_list_is_good_for_its_ttl(void **state)
{
    (void)state;
    t.era = MCP_MODERN;
    start_listed(serve_with_ttl);
    pass_quietly(9000);
    assert_true(is_known("peer_echo"));
    eio_loop_advance(t.kit.loop, 2000);
    look_at_tools();
    assert_true(is_known("peer_echo")); /* until the newer one is there */
    TURN_UNTIL(is_known("peer_later"));
    assert_int_equal(fake_count("tools/list"), 2);
}

static void without_a_ttl_a_list_is_good_until_the_server_says_otherwise(void **state)
{
    (void)state;
    start_listed(serve_simply);
    pass_quietly(24 * 3600 * 1000);
}

/* ---------------------------------------------------------------- sessions */

static void a_users_session_ends_when_it_is_idle(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    t.call_answer = SAID;
    start_listed(serve_simply);
    call_and_wait();
    assert_int_equal(t.mcp->servers->session_count, 2);
    eio_loop_advance(t.kit.loop, t.config.session_idle_ms - 1000);
    assert_int_equal(fake_count("DELETE"), 0);
    call_and_wait(); /* begins the time anew */
    eio_loop_advance(t.kit.loop, t.config.session_idle_ms - 1000);
    assert_int_equal(t.mcp->servers->session_count, 2);
    eio_loop_advance(t.kit.loop, 2000);
    assert_int_equal(t.mcp->servers->session_count, 1); /* the server's own stays */
    TURN_UNTIL(fake_count("DELETE") == 1);
    call_and_wait();
    assert_true(t.ok);
    assert_int_equal(fake_count("initialize"), 3);
}

static void serve_slow_calls(struct fake_request *request)
{
    if (!strcmp(request->method, "tools/call") && !t.call_answer)
        t.stream = request;
    else
        serve_basics(request);
}

/* The server's own session counts: with room for three, two users have one. */
static void the_session_of_an_idle_user_makes_room_and_that_of_a_busy_one_does_not(void **state)
{
    static const char *const users[] = {"ann", "bob", "cid", "dan"};
    (void)state;
    t.era = MCP_LEGACY;
    t.config.sessions_max = 3;
    t.call_answer = SAID;
    start_listed(serve_slow_calls);
    for (size_t i = 0; i < 3; i++) {
        t.user = users[i];
        call_and_wait();
        assert_true(t.ok);
    }
    assert_int_equal(t.mcp->servers->session_count, 3);
    TURN_UNTIL(fake_count("DELETE") == 1);

    t.call_answer = NULL;
    for (size_t i = 1; i < 3; i++) {
        size_t calls = fake_count("tools/call");
        t.user = users[i];
        call_tool();
        TURN_UNTIL(fake_count("tools/call") > calls);
    }
    t.user = users[3];
    call_and_wait();
    assert_false(t.ok);
    assert_int_equal(t.code, 503);
    assert_int_equal(t.mcp->counters.refused, 1);
    mcp_calls_cancel(t.mcp);
}

static void of_idle_sessions_the_one_that_was_used_longest_ago_makes_room(void **state)
{
    static const char *const users[] = {"ann", "bob", "ann", "cid", "ann"};
    (void)state;
    t.era = MCP_LEGACY;
    t.config.sessions_max = 3;
    t.call_answer = SAID;
    start_listed(serve_slow_calls);
    for (size_t i = 0; i < 5; i++) {
        t.user = users[i];
        call_and_wait();
        assert_true(t.ok);
    }
    assert_int_equal(fake_count("initialize"), 1 + 3); /* the server's own; ann's is still there for her last call */
}

static void a_user_of_another_tenant_is_another_user(void **state)
{
    static const char *const tenants[] = {"", "one", "two", "one"};
    (void)state;
    t.era = MCP_LEGACY;
    t.call_answer = SAID;
    start_listed(serve_slow_calls);
    for (size_t i = 0; i < 4; i++) {
        t.tenant = tenants[i];
        call_and_wait();
        assert_true(t.ok);
    }
    assert_int_equal(fake_count("initialize"), 1 + 3);
    t.call_answer = NULL;
    t.config.user_calls_max = 1;
    call_tool();
    t.tenant = "two"; /* whose share is its own */
    size_t calls = fake_count("tools/call");
    call_tool();
    TURN_UNTIL(fake_count("tools/call") == calls + 2);
    assert_int_equal(t.done, 4);
    mcp_calls_cancel(t.mcp);
}

/* ------------------------------------------------------------------ reload */

static void secrets_are_read_again(void **state)
{
    char directory[64], path[128], line[256];
    (void)state;
    fixture_directory(directory);
    snprintf(path, sizeof path, "%s/token", directory);
    fixture_write(path, "first\n");
    start_client(serve_simply);
    free(t.mcp->servers->config.token_file);
    t.mcp->servers->config.token_file = strdup(path);
    mcp_module.reload(t.mcp);
    TURN_UNTIL(t.mcp->servers->has_tools);
    t.call_answer = SAID;
    call_and_wait();
    assert_string_equal(fake_field(fake_last("tools/call"), "Authorization"), "Bearer first");
    fixture_write(path, "second\n");
    mcp_module.reload(t.mcp);
    call_and_wait();
    assert_string_equal(fake_field(fake_last("tools/call"), "Authorization"), "Bearer second");
    /* What cannot be read leaves what there was. */
    snprintf(line, sizeof line, "%s", path);
    unlink(line);
    mcp_module.reload(t.mcp);
    call_and_wait();
    assert_string_equal(fake_field(fake_last("tools/call"), "Authorization"), "Bearer second");
    fixture_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_list_that_has_changed_is_read_again_in_the_older_era),
        CASE(a_list_that_has_changed_is_read_again_in_the_newer_era),
        CASE(a_stream_that_broke_off_stands_again_and_the_list_is_read_again),
        CASE(waits_for_a_server_have_a_limit),
        CASE(a_list_is_good_for_its_ttl),
        CASE(without_a_ttl_a_list_is_good_until_the_server_says_otherwise),
        CASE(a_users_session_ends_when_it_is_idle),
        CASE(the_session_of_an_idle_user_makes_room_and_that_of_a_busy_one_does_not),
        CASE(of_idle_sessions_the_one_that_was_used_longest_ago_makes_room),
        CASE(a_user_of_another_tenant_is_another_user),
        CASE(secrets_are_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
