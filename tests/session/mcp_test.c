/* The MCP client against a scripted server on the same loop: eras, sessions, streams that break off, limits. */
#include "mcp_fixture.h"

/* --------------------------------------------------------------------- eras */

static void a_call_of_the_newer_era_is_one_request_with_mirrored_headers(void **state)
{
    (void)state;
    t.call_answer = SAID;
    start_listed(serve_simply);
    call_and_wait();
    assert_true(t.ok);
    assert_string_equal(t.text, "hello");
    const struct fake_request *request = fake_last("tools/call");
    assert_string_equal(fake_field(request, "MCP-Protocol-Version"), "2026-07-28");
    assert_string_equal(fake_field(request, "Mcp-Method"), "tools/call");
    assert_string_equal(fake_field(request, "Mcp-Name"), "echo");
    assert_string_equal(fake_field(request, "Accept"), "application/json, text/event-stream");
    const json_t *meta = json_object_get(json_object_get(request->body, "params"), "_meta");
    assert_non_null(
        json_object_get(json_object_get(meta, "io.modelcontextprotocol/clientCapabilities"), "elicitation"));
    assert_null(fake_field(request, "Mcp-Session-Id"));
    assert_int_equal(fake_count("initialize"), 0);
}

static void a_session_of_the_older_era_is_opened_named_and_ended(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    t.call_answer = SAID;
    start_listed(serve_simply);
    call_and_wait();
    assert_true(t.ok);
    assert_string_equal(fake_field(fake_last("tools/call"), "Mcp-Session-Id"), "s1");
    assert_string_equal(fake_field(fake_last("tools/call"), "MCP-Protocol-Version"), "2025-11-25");
    assert_null(fake_field(fake_last("initialize"), "MCP-Protocol-Version"));
    assert_int_equal(fake_count("initialize"), 2); /* for the list, and the user's own */
    assert_int_equal(fake_count("notifications/initialized"), 2);
    mcp_drain(t.mcp);
    TURN_UNTIL(fake_count("DELETE") == 2 && !t.mcp->posts);
}

/* How a server of the older era may take the probe. */
static const char *const refusals[][3] = {
    {"400 Bad Request", "Content-Type: text/plain\r\n", "Bad Request"},
    {"400 Bad Request", "Content-Type: application/json\r\n",
     "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32000,\"message\":\"Bad Request: Server not "
     "initialized\"},\"id\":null}"},
    {"404 Not Found", "Content-Type: text/html\r\n", "<html>"},
    {"405 Method Not Allowed", "", ""},
    {"422 Unprocessable", "Content-Type: application/json\r\n", "{\"detail\":\"no\"}"},
    {"200 OK", "Content-Type: application/json\r\n",
     "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32601,\"message\":\"Method not found\"},\"id\":1}"},
    {"200 OK", "Content-Type: text/html\r\n", "<html>welcome"},
    {"500 Internal Server Error", "", "oops"},
    {"400 Bad Request", "Content-Type: application/json\r\n",
     "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32022,\"message\":\"no\",\"data\":{\"supported\":[\"2025-06-18\"]}},"
     "\"id\":1}"},
};

static void serve_refusal(struct fake_request *request)
{
    const char *const *refusal = refusals[t.step];
    if (!strcmp(request->method, "server/discover"))
        fake_reply(request, refusal[0], refusal[1], refusal[2]);
    else
        serve_basics(request);
}

static void whatever_is_not_of_the_newer_era_leads_to_the_older(void **state)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (i) set_up(state);
        t.step = i;
        t.call_answer = SAID;
        start_listed(serve_refusal);
        assert_int_equal(t.mcp->servers->era, MCP_LEGACY);
        call_and_wait();
        assert_true(t.ok);
        assert_int_equal(fake_count("server/discover"), 1); /* it is remembered */
        if (i + 1 < sizeof refusals / sizeof refusals[0]) tear_down(state);
    }
}

static void serve_silence(struct fake_request *request)
{
    if (strcmp(request->method, "server/discover")) serve_basics(request);
}

static void silence_leads_to_the_older_era_too(void **state)
{
    (void)state;
    t.config.probe_timeout_ms = 50;
    t.config.idle_timeout_ms = t.config.call_timeout_ms = 3600000;
    start_listed(serve_silence);
    assert_int_equal(t.mcp->servers->era, MCP_LEGACY);
}

static void serve_other_version(struct fake_request *request)
{
    fake_reply(request, "400 Bad Request", "Content-Type: application/json\r\n",
               fake_error(request, "{\"code\":-32022,\"message\":\"no\",\"data\":{\"supported\":[\"2030-01-01\"]}}"));
}

static void no_version_in_common_is_an_error_without_initialize(void **state)
{
    (void)state;
    start_client(serve_other_version);
    TURN_UNTIL(eio_timer_running(&t.mcp->servers->retry_timer));
    assert_false(t.mcp->servers->has_tools);
    assert_int_equal(fake_count("initialize"), 0);
}

static void serve_fastmcp(struct fake_request *request)
{
    bool is_modern = !strcmp(
        fake_field(request, "MCP-Protocol-Version") ? fake_field(request, "MCP-Protocol-Version") : "", "2026-07-28");
    if (!strcmp(request->method, "tools/call") && is_modern)
        fake_json(request,
                  fake_result(request,
                              "{\"resultType\":\"complete\",\"isError\":true,\"content\":[{\"type\":\"text\",\"text\":"
                              "\"Error calling tool 'ask': elicitation via server-initiated requests is "
                              "unavailable on 2026-07-28 connections\"}]}"));
    else if (!strcmp(request->method, "initialize") && t.step)
        fake_reply(request, "400 Bad Request", "", "");
    else
        serve_basics(request);
}

static void a_server_whose_forms_are_of_the_older_era_is_used_in_it(void **state)
{
    (void)state;
    t.call_answer = SAID;
    start_listed(serve_fastmcp);
    call_and_wait();
    assert_true(t.ok);
    assert_string_equal(t.text, "hello");
    assert_int_equal(t.mcp->servers->era, MCP_LEGACY);
    size_t calls = fake_count("tools/call");
    call_and_wait();
    assert_int_equal(fake_count("tools/call"), calls + 1); /* it is remembered */
}

static void if_the_older_era_is_missing_the_tools_own_error_stands(void **state)
{
    (void)state;
    t.step = 1;
    start_listed(serve_fastmcp);
    call_and_wait();
    assert_false(t.ok);
    assert_string_equal(t.error, "");
    assert_non_null(strstr(t.text, "unavailable"));
    call_and_wait();
    assert_int_equal(fake_count("initialize"), 1);
}

/* ------------------------------------------------------------------ sessions */

static void serve_forgetful(struct fake_request *request)
{
    if (strcmp(request->method, "tools/call") || t.step++) {
        serve_basics(request);
        return;
    }
    if (t.is_public)
        fake_reply(request, "404 Not Found", "", "");
    else
        fake_reply(request, "400 Bad Request", "Content-Type: application/json\r\n",
                   "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32000,\"message\":\"Bad Request: No valid session ID "
                   "provided\"},\"id\":null}");
}

static void a_session_that_the_server_forgot_is_opened_anew(void **state)
{
    t.era = MCP_LEGACY;
    t.call_answer = SAID;
    start_listed(serve_forgetful);
    call_and_wait();
    assert_true(t.ok);
    assert_int_equal(fake_count("initialize"), 3);
    tear_down(state);
    set_up(state);
    t.era = MCP_LEGACY;
    t.call_answer = SAID;
    start_listed(serve_forgetful);
    t.is_public = true; /* for serve_forgetful() alone: the client is made */
    call_and_wait();
    assert_true(t.ok);
    assert_int_equal(fake_count("initialize"), 3);
}

/* ------------------------------------------------------------------- streams */

static void serve_stream(struct fake_request *request)
{
    char text[4096];
    if (strcmp(request->method, "tools/call")) {
        serve_basics(request);
        return;
    }
    t.stream = request;
    switch (t.step) {
    case 0: /* ends empty */
        fake_stream(request, "");
        fake_end(request);
        break;
    case 1: /* breaks off after a comment and progress */
        fake_stream(request,
                    ": hello\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n");
        fake_end(request);
        break;
    case 2: /* the answer, and then it stays open */
        snprintf(text, sizeof text, "data: %s\n\n", fake_result(request, SAID));
        fake_stream(request, text);
        break;
    case 3: /* not closed by an empty line */
        snprintf(text, sizeof text, "data: %s", fake_result(request, SAID));
        fake_stream(request, text);
        fake_end(request);
        break;
    default: /* garbage */
        fake_stream(request, "data: {\"jsonrpc\":\n\n");
    }
}

static void a_stream_that_ends_without_the_answer_fails_at_once(void **state)
{
    static const char *const errors[] = {"its stream ended without the answer", "its stream ended without the answer",
                                         "", "", "it sent a message that"};
    (void)state;
    start_listed(serve_stream);
    for (t.step = 0; t.step < 5; t.step++) {
        call_and_wait();
        if (*errors[t.step] ? !strstr(t.error, errors[t.step]) : !t.ok) fail_msg("step %zu: %s", t.step, t.error);
        if (*errors[t.step]) assert_int_equal(t.code, 502);
        if (*errors[t.step]) assert_non_null(strstr(t.error, "MCP server peer: "));
    }
}

static void serve_broken(struct fake_request *request)
{
    char text[4096];
    const char *cursor = fake_field(request, "Last-Event-ID");
    if (!strcmp(request->method, "tools/call")) {
        t.stream = request;
        fake_stream(request, "id: e1\nretry: 20\ndata: \n\n");
        fake_end(request);
    } else if (!strcmp(request->method, "GET") && cursor) {
        assert_string_equal(cursor, "e1"); /* the same until a newer one comes */
        if (t.is_public) {
            fake_reply(request, "404 Not Found", "", "");
        } else if (!t.step++) {
            fake_stream(request, "");
            fake_end(request);
        } else {
            snprintf(text, sizeof text, "id: e2\ndata: %s\n\n", fake_result(t.stream, SAID));
            fake_stream(request, text);
        }
    } else {
        serve_basics(request);
    }
}

static void a_stream_of_the_older_era_is_resumed_from_its_last_event(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    start_listed(serve_broken);
    call_and_wait();
    assert_true(t.ok);
    assert_int_equal(t.mcp->counters.resumed, 2);
    t.is_public = true; /* for serve_broken() alone */
    call_and_wait();
    assert_false(t.ok);
    assert_int_equal(t.code, 502);
}

static void serve_empty_cursor(struct fake_request *request)
{
    if (strcmp(request->method, "tools/call")) {
        assert_null(fake_field(request, "Last-Event-ID"));
        serve_basics(request);
        return;
    }
    fake_stream(request, "id: e1\nretry: 20\ndata: \n\nid\ndata: \n\n");
    fake_end(request);
}

static void an_empty_id_takes_the_place_to_resume_from_away(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    start_listed(serve_empty_cursor);
    call_and_wait();
    assert_string_equal(t.error, "MCP server peer: its stream ended without the answer");
}

static void serve_progress(struct fake_request *request)
{
    char text[4096];
    size_t n = 0;
    static const char *const values[] = {"1", "4", "4", "0.5", "5"};
    if (strcmp(request->method, "tools/call")) {
        serve_basics(request);
        return;
    }
    long long id = json_integer_value(json_object_get(request->body, "id"));
    for (size_t i = 0; i < 5; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
                              "\"progressToken\":%lld,\"progress\":%s,\"total\":4}}\n\n",
                              id, values[i]);
    snprintf(text + n, sizeof text - n, "data: %s\n\n", fake_result(request, SAID));
    fake_stream(request, text);
}

static void progress_only_grows(void **state)
{
    (void)state;
    start_listed(serve_progress);
    call_and_wait();
    assert_true(t.ok);
    assert_int_equal(t.progressed, 3);
    assert_true(t.progress == 5);
}

/* The whole conversation, each answer cut at every second byte. */
static void answers_may_be_cut_anywhere(void **state)
{
    for (size_t cut = 1; cut < 900; cut += 2) {
        if (cut > 1) set_up(state);
        fake.cut = cut;
        start_listed(serve_progress);
        call_and_wait();
        assert_true(t.ok);
        assert_string_equal(t.text, "hello");
        assert_int_equal(t.progressed, 3);
        if (cut < 899) tear_down(state);
    }
}

/* ---------------------------------------------------------------- the others */

static void serve_requests(struct fake_request *request)
{
    char text[4096];
    if (strcmp(request->method, "tools/call")) {
        serve_basics(request);
        return;
    }
    snprintf(text, sizeof text,
             "data: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}\n\n"
             "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sampling/createMessage\",\"params\":{}}\n\n"
             "data: %s\n\n",
             fake_result(request, SAID));
    fake_stream(request, text);
}

static void pings_are_answered_and_what_is_not_offered_is_refused(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    start_listed(serve_requests);
    call_and_wait();
    TURN_UNTIL(fake_count("answer") == 2);
    size_t pongs = 0, refused = 0;
    for (size_t i = 0; i < fake.count; i++) {
        pongs += json_is_object(json_object_get(fake.requests[i].body, "result"));
        refused +=
            json_integer_value(json_object_get(json_object_get(fake.requests[i].body, "error"), "code")) == -32601;
    }
    assert_int_equal(pongs, 1);
    assert_int_equal(refused, 1);
}

static void serve_pages(struct fake_request *request)
{
    static const char *const pages[] = {
        "{\"tools\":[{\"name\":\"a\",\"inputSchema\":{\"type\":\"object\"}}],\"nextCursor\":\"\"}",
        "{\"tools\":[{\"name\":\"b\",\"inputSchema\":{\"type\":\"object\"}},{\"name\":\"a\",\"inputSchema\":{\"type\":"
        "\"object\"}}],"
        "\"nextCursor\":\"x\"}",
        "{\"tools\":[{\"name\":\"c\",\"inputSchema\":{\"type\":\"object\"}},{\"name\":\"d\",\"inputSchema\":{\"type\":"
        "\"object\","
        "\"$ref\":\"https://evil.example/x\"}}],\"nextCursor\":\"x\"}"};
    const json_t *params = json_object_get(request->body, "params");
    const char *cursor = json_string_value(json_object_get(params, "cursor"));
    if (strcmp(request->method, "tools/list"))
        serve_basics(request);
    else
        fake_json(request, fake_result(request, pages[!cursor ? 0 : *cursor ? 2 : 1]));
}

static bool count_tool(void *ctx, const struct mcp_tool *tool)
{
    (void)tool;
    ++*(size_t *)ctx;
    return true;
}

static void all_pages_are_read_and_a_loop_of_them_ends(void **state)
{
    size_t count = 0;
    (void)state;
    start_listed(serve_pages);
    mcp_each_tool(t.mcp, count_tool, &count);
    assert_int_equal(count, 3);
    assert_int_equal(t.mcp->counters.tools_dropped, 2);
    assert_non_null(mcp_find_tool(t.mcp, "peer_c"));
    assert_int_equal(fake_count("tools/list"), 3);
}

static void serve_mismatch(struct fake_request *request)
{
    if (!strcmp(request->method, "tools/list") && t.step)
        fake_json(request,
                  fake_result(request,
                              "{\"tools\":[{\"name\":\"echo\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
                              "\"message\":{\"type\":\"string\",\"x-mcp-header\":\"Message\"}}}}]}"));
    else if (!strcmp(request->method, "tools/call") && !fake_field(request, "Mcp-Param-Message")) {
        t.step = 1;
        fake_reply(request, "400 Bad Request", "Content-Type: application/json\r\n",
                   fake_error(request, "{\"code\":-32020,\"message\":\"Header mismatch\"}"));
    } else
        serve_basics(request);
}

static void a_header_that_is_missing_is_found_in_a_newer_list(void **state)
{
    (void)state;
    t.call_answer = SAID;
    start_listed(serve_mismatch);
    call_and_wait();
    assert_true(t.ok);
    assert_string_equal(fake_field(fake_last("tools/call"), "Mcp-Param-Message"), "hello");
    assert_int_equal(fake_count("tools/call"), 2);
}

static void a_cancelled_call_of_the_newer_era_closes_its_stream(void **state)
{
    (void)state;
    start_listed(serve_simply); /* which does not answer it */
    call_tool();
    TURN_UNTIL(fake_last("tools/call"));
    struct bufferevent *connection = fake_last("tools/call")->connection;
    mcp_call_cancel(t.call);
    bool is_open = true;
    TURN_UNTIL(({
        is_open = false;
        for (size_t i = 0; i < fake.connection_count; i++) is_open |= fake.connections[i] == connection;
        !is_open;
    }));
    assert_int_equal(fake_count("notifications/cancelled"), 0);
    assert_int_equal(t.done, 0);
}

static void a_server_that_never_answers_times_out(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    start_listed(serve_simply);
    t.config.idle_timeout_ms = 50;
    t.user = ""; /* whose session is open: only the call itself can time out */
    call_and_wait();
    assert_int_equal(t.code, 504);
    assert_non_null(strstr(t.error, "in time"));
    TURN_UNTIL(fake_count("notifications/cancelled"));
}

static void serve_chatter(struct fake_request *request)
{
    if (strcmp(request->method, "tools/call")) {
        serve_basics(request);
        return;
    }
    t.stream = request;
    fake_stream(request, ": hello\n\n");
}

static void chatter_does_not_extend_the_longest_time(void **state)
{
    (void)state;
    start_listed(serve_chatter);
    t.config.call_timeout_ms = 100;
    call_tool();
    time_t end = time(NULL) + 300;
    while (!t.done && time(NULL) < end) {
        if (t.stream && fake.connections[fake.connection_count - 1] == t.stream->connection)
            fake_send(t.stream, ": more\n\n");
        eio_loop_turn(t.kit.loop, 10);
    }
    assert_int_equal(t.code, 504);
}

static void serve_excess(struct fake_request *request)
{
    static char large[200000];
    char head[128];
    if (strcmp(request->method, "tools/call")) {
        serve_basics(request);
        return;
    }
    if (t.step == 0) {
        fake_reply(request, "302 Found", "Location: http://127.0.0.1:1/\r\n", "");
        return;
    }
    memset(large, 'x', sizeof large - 1);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n\r\ndata: ",
             t.step == 1 ? "application/json" : "text/event-stream");
    fake_send(request, head);
    fake_send(request, large);
}

static void what_is_too_large_or_leads_elsewhere_fails_the_call(void **state)
{
    static const char *const errors[] = {"redirects", "too large", "too large"};
    (void)state;
    start_listed(serve_excess);
    for (t.step = 0; t.step < 3; t.step++) {
        call_and_wait();
        if (!strstr(t.error, errors[t.step])) fail_msg("step %zu: %s", t.step, t.error);
    }
    assert_int_equal(t.mcp->counters.too_large, 2);
}

static void a_private_address_must_be_configured(void **state)
{
    (void)state;
    t.is_public = true;
    start_client(serve_simply);
    TURN_UNTIL(eio_timer_running(&t.mcp->servers->retry_timer));
    assert_int_equal(fake.count, 0);
}

static void one_user_has_a_share_of_the_calls(void **state)
{
    (void)state;
    t.config.user_calls_max = 2;
    start_listed(serve_simply);
    call_tool();
    call_tool();
    call_and_wait();
    assert_int_equal(t.code, 503);
    assert_int_equal(t.mcp->counters.refused, 1);
    mcp_calls_cancel(t.mcp);
}

static void the_calls_of_a_server_have_a_limit(void **state)
{
    (void)state;
    t.config.calls_max = 2;
    start_listed(serve_simply);
    call_tool();
    call_tool();
    call_and_wait();
    assert_int_equal(t.code, 503);
    assert_non_null(strstr(t.error, "too many calls of it are under way"));
    assert_int_equal(t.mcp->counters.refused, 1);
    mcp_calls_cancel(t.mcp);
}

/* Pages of four tools each, for ever. */
static void serve_pages_of_tools(struct fake_request *request)
{
    char text[1024];
    size_t n = 0, page = t.step;
    if (strcmp(request->method, "tools/list")) {
        serve_basics(request);
        return;
    }
    t.step++;
    for (size_t i = 0; i < 4; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s{\"name\":\"t%zu\",\"inputSchema\":{\"type\":\"object\"}}",
                              i ? "," : "{\"tools\":[", page * 4 + i);
    snprintf(text + n, sizeof text - n, "],\"nextCursor\":\"%zu\"}", page);
    fake_json(request, fake_result(request, text));
}

static void the_tools_of_a_server_have_a_limit(void **state)
{
    (void)state;
    t.config.tools_max = 6;
    start_listed(serve_pages_of_tools);
    assert_int_equal(t.mcp->servers->tools.count, 6);
    assert_int_equal(t.mcp->counters.tools_dropped, 2);
    assert_int_equal(fake_count("tools/list"), 2);
}

static void the_tools_of_a_server_have_a_limit_of_bytes(void **state)
{
    static const char tool[] = "{\"name\":\"t0\",\"inputSchema\":{\"type\":\"object\"}}";
    (void)state;
    t.config.tools_max = 10;
    t.config.tools_max_bytes = 3 * (sizeof tool - 1);
    start_client(serve_pages_of_tools);
    TURN_UNTIL(t.mcp->counters.tools_dropped >= 5);
    assert_true(t.mcp->servers->listing.found.count <= 3);
}

static void a_long_text_is_cut(void **state)
{
    static char answer[900] = "{\"content\":[{\"type\":\"text\",\"text\":\"";
    (void)state;
    memset(answer + strlen(answer), 'x', 800);
    strcat(answer, "\"}]}");
    t.config.text_max_bytes = 300;
    t.call_answer = answer;
    start_listed(serve_simply);
    call_and_wait();
    assert_true(t.ok);
    assert_true(strlen(t.text) > 200 && strlen(t.text) < 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_call_of_the_newer_era_is_one_request_with_mirrored_headers),
        CASE(a_session_of_the_older_era_is_opened_named_and_ended),
        CASE(whatever_is_not_of_the_newer_era_leads_to_the_older),
        CASE(silence_leads_to_the_older_era_too),
        CASE(no_version_in_common_is_an_error_without_initialize),
        CASE(a_server_whose_forms_are_of_the_older_era_is_used_in_it),
        CASE(if_the_older_era_is_missing_the_tools_own_error_stands),
        CASE(a_session_that_the_server_forgot_is_opened_anew),
        CASE(a_stream_that_ends_without_the_answer_fails_at_once),
        CASE(a_stream_of_the_older_era_is_resumed_from_its_last_event),
        CASE(an_empty_id_takes_the_place_to_resume_from_away),
        CASE(progress_only_grows),
        CASE(answers_may_be_cut_anywhere),
        CASE(pings_are_answered_and_what_is_not_offered_is_refused),
        CASE(all_pages_are_read_and_a_loop_of_them_ends),
        CASE(a_header_that_is_missing_is_found_in_a_newer_list),
        CASE(a_cancelled_call_of_the_newer_era_closes_its_stream),
        CASE(a_server_that_never_answers_times_out),
        CASE(chatter_does_not_extend_the_longest_time),
        CASE(what_is_too_large_or_leads_elsewhere_fails_the_call),
        CASE(a_private_address_must_be_configured),
        CASE(one_user_has_a_share_of_the_calls),
        CASE(the_calls_of_a_server_have_a_limit),
        CASE(the_tools_of_a_server_have_a_limit),
        CASE(the_tools_of_a_server_have_a_limit_of_bytes),
        CASE(a_long_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
