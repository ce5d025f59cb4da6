/* What MCP servers ask users in the middle of a call, in both eras. */
#include "mcp_fixture.h"

/* ------------------------------------------------------------------ questions */

static void serve_question(struct fake_request *request)
{
    char text[4096];
    if (!strcmp(request->method, "tools/call")) {
        t.stream = request;
        fake_stream(request,
                    "data: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"elicitation/create\",\"params\":{" FORM "}}\n\n");
    } else if (!strcmp(request->method, "answer") && t.stream) {
        fake_reply(request, t.step ? "404 Not Found" : "202 Accepted", "", "");
        snprintf(text, sizeof text, "data: %s\n\n", fake_result(t.stream, SAID));
        if (!t.step) fake_send(t.stream, text);
    } else {
        serve_basics(request);
    }
}

static void ask_in_the_older_era(void)
{
    t.era = MCP_LEGACY;
    start_listed(serve_question);
    call_tool();
    TURN_UNTIL(t.asked);
    assert_null(t.state);
    assert_string_equal(t.key, "0");
    assert_string_equal(t.question, "Which day?");
}

static void a_question_of_the_older_era_waits_for_its_answer(void **state)
{
    (void)state;
    ask_in_the_older_era();
    assert_int_equal(answer_with("{\"action\":\"maybe\"}"), 400);
    assert_int_equal(answer_with("{\"action\":\"accept\",\"content\":{\"count\":\"three\"}}"), 400);
    assert_int_equal(answer_with("{\"action\":\"accept\",\"content\":{\"count\":3,\"more\":1}}"), 0);
    assert_int_equal(answer_with("{\"action\":\"cancel\"}"), 409);
    TURN_UNTIL(t.done);
    assert_true(t.ok);
    const json_t *body = fake_last("answer")->body,
                 *content = json_object_get(json_object_get(body, "result"), "content");
    assert_int_equal(json_integer_value(json_object_get(body, "id")), 0);
    assert_string_equal(text_at(body, "result", "action"), "accept");
    assert_string_equal(json_string_value(json_object_get(content, "day")), "Monday"); /* the default */
    assert_int_equal(json_object_size(content), 2);
}

static void a_refusal_has_no_content(void **state)
{
    (void)state;
    ask_in_the_older_era();
    assert_int_equal(answer_with("{\"action\":\"decline\",\"content\":{\"day\":\"Tuesday\"}}"), 0);
    TURN_UNTIL(t.done);
    assert_int_equal(json_object_size(json_object_get(fake_last("answer")->body, "result")), 1);
}

static void without_an_answer_a_question_is_cancelled(void **state)
{
    (void)state;
    t.config.ask_timeout_ms = 50;
    ask_in_the_older_era();
    TURN_UNTIL(t.done);
    assert_int_equal(t.withdrawn, 1);
    assert_string_equal(text_at(fake_last("answer")->body, "result", "action"), "cancel");
}

static void an_answer_that_comes_too_late_ends_the_call(void **state)
{
    (void)state;
    t.step = 1;
    ask_in_the_older_era();
    assert_int_equal(answer_with("{\"action\":\"decline\"}"), 0);
    TURN_UNTIL(t.done);
    assert_non_null(strstr(t.error, "too late"));
}

static void a_question_may_be_withdrawn(void **state)
{
    (void)state;
    ask_in_the_older_era();
    fake_send(t.stream,
              "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":0}}\n\n");
    TURN_UNTIL(t.withdrawn);
    assert_int_equal(answer_with("{\"action\":\"decline\"}"), 409);
}

/* On the session's own stream, without a word about which call it is for. */
static void serve_stray_question(struct fake_request *request)
{
    char text[4096];
    if (!strcmp(request->method, "GET")) {
        t.stream = request;
        fake_stream(request, ": it stands\n\n");
    } else if (!strcmp(request->method, "tools/call")) {
        assert_non_null(t.stream); /* else the question would be lost */
        fake_send(t.stream,
                  "data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"elicitation/create\",\"params\":{" FORM
                  "}}\n\n");
        t.stream = request;
    } else if (!strcmp(request->method, "answer")) {
        fake_reply(request, "202 Accepted", "", "");
        snprintf(text, sizeof text, "%s", fake_result(t.stream, SAID));
        fake_json(t.stream, text);
    } else {
        serve_basics(request);
    }
}

static void a_question_on_the_sessions_own_stream_is_for_its_call(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    start_listed(serve_stray_question);
    call_tool();
    TURN_UNTIL(t.asked);
    assert_string_equal(t.key, "\"q\"");
    assert_int_equal(answer_with("{\"action\":\"accept\"}"), 0);
    TURN_UNTIL(t.done);
    assert_true(t.ok);
}

static void serve_input_required(struct fake_request *request)
{
    const json_t *params = json_object_get(request->body, "params");
    if (strcmp(request->method, "tools/call"))
        serve_basics(request);
    else if (json_object_get(params, "inputResponses"))
        fake_json(request, fake_result(request, SAID));
    else
        fake_json(request,
                  fake_result(request,
                              "{\"resultType\":\"input_required\",\"requestState\":\"sealed \\u00e9\","
                              "\"inputRequests\":{\"main:ask\":{\"method\":\"elicitation/create\",\"params\":{" FORM
                              "}}}}"));
}

static void a_question_of_the_newer_era_is_answered_in_another_process(void **state)
{
    (void)state;
    start_listed(serve_input_required);
    call_tool();
    TURN_UNTIL(t.asked);
    assert_string_equal(t.key, "main:ask");
    assert_non_null(t.state);
    assert_int_equal(t.mcp->counters.calls_running, 0);
    int64_t first_id = json_integer_value(json_object_get(fake_last("tools/call")->body, "id"));
    mcp_free(t.mcp);
    t.mcp = make_client(); /* knows nothing of the server yet */
    t.mcp->last_id = 100;
    resume_with("{\"main:ask\":{\"action\":\"accept\",\"content\":{\"day\":\"Friday\"}}}");
    TURN_UNTIL(t.done);
    assert_true(t.ok);
    const json_t *body = fake_last("tools/call")->body, *params = json_object_get(body, "params");
    assert_int_not_equal(json_integer_value(json_object_get(body, "id")), first_id);
    assert_string_equal(json_string_value(json_object_get(params, "requestState")), "sealed \xc3\xa9");
    assert_string_equal(text_at(params, "arguments", "message"), "hello");
    const json_t *answer = json_object_get(json_object_get(params, "inputResponses"), "main:ask");
    assert_string_equal(text_at(answer, "content", "day"), "Friday");
}

static void answers_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    start_listed(serve_input_required);
    call_tool();
    TURN_UNTIL(t.asked);
    resume_with("{\"other\":{\"action\":\"accept\"}}");
    TURN_UNTIL(t.done);
    assert_int_equal(t.code, 400);
    assert_int_equal(fake_count("tools/call"), 1);
}

static void serve_state_alone(struct fake_request *request)
{
    const json_t *params = json_object_get(request->body, "params");
    if (strcmp(request->method, "tools/call"))
        serve_basics(request);
    else if (t.step && json_object_get(params, "requestState"))
        fake_json(request, fake_result(request, SAID));
    else
        fake_json(request, fake_result(request, "{\"resultType\":\"input_required\",\"requestState\":\"x\"}"));
}

static void a_state_without_questions_is_sent_back_at_once_but_not_for_ever(void **state)
{
    (void)state;
    t.step = 1;
    start_listed(serve_state_alone);
    call_and_wait();
    assert_true(t.ok);
    t.step = 0;
    call_and_wait();
    assert_non_null(strstr(t.error, "again and again"));
    assert_int_equal(t.asked, 0);
}

static void serve_page(struct fake_request *request)
{
    if (!strcmp(request->method, "tools/call") && !t.step++)
        fake_json(request,
                  fake_error(request, "{\"code\":-32042,\"message\":\"visit\",\"data\":{\"elicitations\":[{\"mode\":"
                                      "\"url\",\"url\":\"https://pay.example/1\",\"elicitationId\":\"e\",\"message\":"
                                      "\"Pay\"}]}}"));
    else
        serve_basics(request);
}

static void a_page_to_visit_first_is_shown_and_the_call_made_again(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    t.call_answer = SAID;
    start_listed(serve_page);
    call_tool();
    TURN_UNTIL(t.asked);
    assert_string_equal(t.url, "https://pay.example/1");
    resume_with("{\"page-1\":{\"action\":\"accept\"}}");
    TURN_UNTIL(t.done);
    assert_true(t.ok);
    assert_null(json_object_get(json_object_get(fake_last("tools/call")->body, "params"), "inputResponses"));
    resume_with("{\"page-1\":{\"action\":\"decline\"}}");
    TURN_UNTIL(t.done == 2);
    assert_false(t.ok);
    assert_int_equal(fake_count("tools/call"), 2);
}

static void serve_pages(struct fake_request *request)
{
    t.step = 0;
    serve_page(request);
}

static void pages_are_shown_again_but_not_for_ever(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    start_listed(serve_pages);
    call_tool();
    for (size_t round = 1; round <= t.config.rounds_max; round++) {
        TURN_UNTIL(t.asked == round);
        resume_with("{\"page-1\":{\"action\":\"accept\"}}");
    }
    TURN_UNTIL(t.done);
    assert_non_null(strstr(t.error, "again and again"));
    assert_int_equal(t.asked, t.config.rounds_max);
}

static void serve_many_questions(struct fake_request *request)
{
    char text[4096];
    size_t n = 0;
    if (strcmp(request->method, "tools/call")) {
        serve_basics(request);
        return;
    }
    for (int id = 0; id < 5; id++)
        n += (size_t)snprintf(
            text + n, sizeof text - n,
            "data: {\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"elicitation/create\",\"params\":{" FORM "}}\n\n", id);
    t.stream = request;
    fake_stream(request, text);
}

static void a_call_of_the_older_era_asks_only_so_much(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    start_listed(serve_many_questions);
    call_tool();
    TURN_UNTIL(fake_count("answer"));
    assert_int_equal(t.asked, t.config.rounds_max);
    const json_t *error = json_object_get(fake_last("answer")->body, "error");
    assert_string_equal(json_string_value(json_object_get(error, "message")), "too many questions");
    mcp_calls_cancel(t.mcp);
}

static void serve_bad_question(struct fake_request *request)
{
    static const char *const bad[] = {
        "{\"method\":\"sampling/createMessage\",\"params\":{}}",
        "{\"method\":\"elicitation/"
        "create\",\"params\":{\"mode\":\"url\",\"url\":\"javascript:alert(1)\",\"message\":\"x\"}}",
        "{\"method\":\"elicitation/create\",\"params\":{\"message\":\"x\",\"requestedSchema\":{\"type\":\"object\","
        "\"properties\":{\"a\":{\"type\":\"object\"}}}}}",
    };
    char text[1024];
    if (strcmp(request->method, "tools/call")) {
        serve_basics(request);
        return;
    }
    snprintf(text, sizeof text, "{\"resultType\":\"input_required\",\"inputRequests\":{\"q\":%s}}", bad[t.step]);
    fake_json(request, fake_result(request, text));
}

static void questions_that_cannot_be_shown_fail_the_call(void **state)
{
    (void)state;
    start_listed(serve_bad_question);
    for (t.step = 0; t.step < 3; t.step++) {
        call_and_wait();
        assert_non_null(strstr(t.error, "cannot be shown"));
    }
    assert_int_equal(t.asked, 0);
}

static void a_cancelled_call_of_the_older_era_is_reported(void **state)
{
    (void)state;
    t.era = MCP_LEGACY;
    start_listed(serve_question);
    call_tool();
    TURN_UNTIL(t.asked);
    mcp_call_cancel(t.call);
    TURN_UNTIL(fake_count("notifications/cancelled"));
    const json_t *params = json_object_get(fake_last("notifications/cancelled")->body, "params");
    assert_true(json_equal(json_object_get(params, "requestId"), json_object_get(fake_last("tools/call")->body, "id")));
    assert_int_equal(t.done, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_question_of_the_older_era_waits_for_its_answer),
        CASE(a_refusal_has_no_content),
        CASE(without_an_answer_a_question_is_cancelled),
        CASE(an_answer_that_comes_too_late_ends_the_call),
        CASE(a_question_may_be_withdrawn),
        CASE(a_question_on_the_sessions_own_stream_is_for_its_call),
        CASE(a_question_of_the_newer_era_is_answered_in_another_process),
        CASE(answers_that_do_not_fit_are_refused),
        CASE(a_state_without_questions_is_sent_back_at_once_but_not_for_ever),
        CASE(a_page_to_visit_first_is_shown_and_the_call_made_again),
        CASE(pages_are_shown_again_but_not_for_ever),
        CASE(a_call_of_the_older_era_asks_only_so_much),
        CASE(questions_that_cannot_be_shown_fail_the_call),
        CASE(a_cancelled_call_of_the_older_era_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
