/* Long messages of MCP servers: read on a thread, in their order, and left alone by who has gone meanwhile. */
#include "mcp_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define VALUES 100000

static pthread_t loop_thread;
static atomic_size_t loop_allocations, other_allocations; /* of jansson, on the loop's thread and on others */

static void *count_allocation(size_t size)
{
    if (pthread_equal(pthread_self(), loop_thread))
        loop_allocations++;
    else
        other_allocations++;
    return malloc(size);
}

static int set_up_threads(void **state)
{
    struct kit_work_options options = {1, 100, 1 << 26};
    set_up(state);
    t.config.message_max_bytes = 1 << 23;
    t.config.stream_max_bytes = 1 << 25;
    t.config.tools_max = 5000;
    t.config.tools_max_bytes = 1 << 20;
    t.kit.work = kit_work_new(t.kit.loop, &options);
    assert_non_null(t.kit.work);
    loop_thread = pthread_self();
    json_set_alloc_funcs(count_allocation, free);
    loop_allocations = other_allocations = 0;
    return 0;
}

static int tear_down_threads(void **state)
{
    mcp_free(t.mcp);
    t.mcp = NULL;
    kit_work_free(t.kit.work);
    tear_down(state);
    json_set_alloc_funcs(malloc, free);
    return 0;
}

/* A text in front of as many values, and one behind them. */
static char *with_values(const char *front, size_t count, const char *value, const char *behind)
{
    size_t size = strlen(value) + 1, n = strlen(front);
    char *text = malloc(n + count * size + strlen(behind) + 1);
    assert_non_null(text);
    memcpy(text, front, n);
    for (size_t i = 0; i < count; i++) {
        memcpy(text + n, value, size - 1);
        text[n + size - 1] = ',';
        n += size;
    }
    strcpy(text + n - 1, behind); /* in place of the last comma */
    return text;
}

static void send_answer(struct fake_request *request, const char *front, size_t count, const char *value,
                        const char *behind)
{
    char head[160], start[512];
    char *id = json_dumps(json_object_get(request->body, "id"), JSON_ENCODE_ANY);
    snprintf(start, sizeof start, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s", id, front);
    char *text = with_values(start, count, value, behind);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             strlen(text));
    fake_send(request, head);
    fake_send(request, text);
    free(text);
    free(id);
}

static void send_event(struct fake_request *request, const char *text)
{
    fake_send(request, "data: ");
    fake_send(request, text);
    fake_send(request, "\n\n");
}

static void serve_long_result(struct fake_request *request)
{
    if (strcmp(request->method, "tools/call"))
        serve_basics(request);
    else
        send_answer(request, "{\"content\":[{\"type\":\"text\",\"text\":\"hello\"}],\"structuredContent\":[", VALUES,
                    "1", "]}}");
}

static void a_long_result_is_read_on_a_thread(void **state)
{
    (void)state;
    start_listed(serve_long_result);
    loop_allocations = 0;
    call_and_wait();
    assert_true(t.ok);
    assert_string_equal(t.text, "hello");
    assert_true(loop_allocations < 1000 && other_allocations < 1000);
}

static void serve_structured(struct fake_request *request)
{
    if (strcmp(request->method, "tools/call"))
        serve_basics(request);
    else
        send_answer(request, "{\"content\":[],\"isError\":true,\"structuredContent\":[", VALUES, "1", "]}}");
}

static void what_the_model_gets_of_it_is_cut(void **state)
{
    (void)state;
    start_listed(serve_structured);
    loop_allocations = 0;
    call_and_wait();
    assert_false(t.ok);
    assert_int_equal(t.code, 0);
    assert_memory_equal(t.text, "[1,1,1", 6);
    assert_true(loop_allocations < 1000 && other_allocations < 1000);
}

static void serve_blocks(struct fake_request *request)
{
    if (strcmp(request->method, "tools/call")) {
        serve_basics(request);
        return;
    }
    size_t size = 0;
    char *front = NULL;
    FILE *file = open_memstream(&front, &size);
    fprintf(file, "{\"content\":[{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"%0*d\"},", 1000000, 0);
    fprintf(file, "{\"type\":\"text\",\"text\":\"first\",\"extra\":[%0*d]},", 1, 0);
    fprintf(file, "{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///a\",\"text\":\"%0*d\"}},", 3000, 7);
    fprintf(file, "{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///b\",\"blob\":\"%0*d\"}},", 1000000, 0);
    fprintf(file, "{\"type\":\"text\",\"text\":\"last\"}],\"_meta\":[");
    fclose(file);
    char start[64], *text;
    char *id = json_dumps(json_object_get(request->body, "id"), JSON_ENCODE_ANY);
    snprintf(start, sizeof start, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":", id);
    text = with_values(front, VALUES, "{}", "]}}");
    fake_send(request, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
    fake_send(request, start);
    fake_send(request, text);
    fake_end(request);
    free(front);
    free(text);
    free(id);
}

static void of_a_long_result_texts_stay_and_media_are_named(void **state)
{
    (void)state;
    start_listed(serve_blocks);
    loop_allocations = other_allocations = 0;
    call_and_wait();
    assert_true(t.ok);
    const char *first = strstr(t.text, "\nfirst\n"), *last = strstr(t.text, "\nlast");
    assert_non_null(first);
    assert_non_null(last);
    assert_memory_equal(t.text, "[an image, which is not shown to the model, image/png]", 54);
    assert_non_null(strstr(first, "0007\n[a file, which is not shown to the model, file:///b]"));
    assert_true(loop_allocations < 1000 && other_allocations < 1000);
}

static void serve_stream(struct fake_request *request)
{
    if (strcmp(request->method, "tools/call")) {
        serve_basics(request);
        return;
    }
    char *id = json_dumps(json_object_get(request->body, "id"), JSON_ENCODE_ANY), front[256], last[128];
    snprintf(front, sizeof front,
             "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,"
             "\"progress\":1,\"message\":[",
             id);
    char *chatter = with_values(front, VALUES, "1", "]}}");
    fake_stream(request, "");
    send_event(request, chatter);
    snprintf(last, sizeof last,
             "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,"
             "\"progress\":2}}",
             id);
    send_event(request, last);
    free(chatter);
    snprintf(front, sizeof front, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[],\"structuredContent\":[",
             id);
    char *answer = with_values(front, VALUES, "2", "]}}");
    send_event(request, answer);
    free(answer);
    free(id);
    fake_end(request);
}

static void messages_of_a_stream_keep_their_order_behind_a_long_one(void **state)
{
    (void)state;
    start_listed(serve_stream);
    loop_allocations = 0;
    call_and_wait();
    assert_true(t.ok);
    assert_memory_equal(t.text, "[2,2,2", 6);
    assert_int_equal(t.progressed, 1); /* of the long one only that it came */
    assert_true(t.progress > 1.5);
    assert_true(loop_allocations < 2000);
}

static void serve_wordy(struct fake_request *request)
{
    if (strcmp(request->method, "tools/call")) {
        serve_basics(request);
        return;
    }
    char *id = json_dumps(json_object_get(request->body, "id"), JSON_ENCODE_ANY), front[160];
    snprintf(front, sizeof front,
             "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,"
             "\"progress\":1,\"message\":\"",
             id);
    char *text = with_values(front, 10000, "\u00e4", "\"}}");
    fake_stream(request, "");
    send_event(request, text);
    free(text);
    send_event(request, fake_result(request, SAID));
    free(id);
}

/* It is stored in the log of a chat. */
static void a_long_message_of_progress_is_cut_between_characters(void **state)
{
    (void)state;
    start_listed(serve_wordy);
    call_and_wait();
    assert_true(t.ok);
    assert_int_equal(t.progressed, 1);
    assert_true(strlen(t.message) > 1000 && strlen(t.message) < 1024);
    json_t *text = json_string(t.message);
    assert_non_null(text); /* UTF-8 */
    json_decref(text);
}

static void serve_long_question(struct fake_request *request)
{
    if (strcmp(request->method, "tools/call"))
        serve_basics(request);
    else
        send_answer(request, "{\"resultType\":\"input_required\",\"requestState\":\"x\",\"inputRequests\":{\"a\":[",
                    VALUES, "1", "]}}}");
}

static void a_question_that_is_too_long_fails_the_call(void **state)
{
    (void)state;
    start_listed(serve_long_question);
    call_and_wait();
    assert_false(t.ok);
    assert_int_equal(t.code, 502);
    assert_non_null(strstr(t.error, "too long for what it is"));
}

static void serve_half(struct fake_request *request)
{
    if (strcmp(request->method, "tools/call"))
        serve_basics(request);
    else
        send_answer(request, "{\"content\":[", VALUES, "1", "]");
}

static void what_is_not_json_fails_the_call(void **state)
{
    (void)state;
    start_listed(serve_half);
    call_and_wait();
    assert_int_equal(t.code, 502);
    assert_non_null(strstr(t.error, "not JSON"));
}

static void a_call_that_is_cancelled_meanwhile_is_not_answered(void **state)
{
    (void)state;
    start_listed(serve_long_result);
    call_tool();
    struct mcp_request *request = t.call->request;
    assert_non_null(request);
    TURN_UNTIL(request->reading);
    mcp_call_cancel(t.call);
    kit_work_wait(t.kit.work);
    eio_loop_turn(t.kit.loop, 0);
    assert_int_equal(t.done, 0);
}

static void serve_long_list(struct fake_request *request)
{
    if (strcmp(request->method, "tools/list")) {
        serve_basics(request);
        return;
    }
    char *id = json_dumps(json_object_get(request->body, "id"), JSON_ENCODE_ANY);
    size_t size = 0;
    char *list = NULL;
    FILE *file = open_memstream(&list, &size);
    fprintf(file, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"tools\":[", id);
    for (int i = 0; i < 3000; i++)
        fprintf(file, "{\"name\":\"tool%d\",\"description\":\"%0*d\",\"inputSchema\":{\"type\":\"object\"}},", i, 300,
                i);
    fprintf(file, "{}]}}");
    fclose(file);
    fake_send(request, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
    fake_send(request, list);
    fake_end(request);
    free(list);
    free(id);
}

static void a_long_list_is_read_in_slices_up_to_its_limit(void **state)
{
    unsigned turns = 0;
    size_t before = 0, most = 0;
    (void)state;
    t.config.tools_max_bytes = 500000;
    start_client(serve_long_list);
    TURN_UNTIL(({
        size_t now = t.mcp->servers->listing.found.count;
        if (now > before && now - before > most) most = now - before;
        turns += now > before;
        before = now;
        t.mcp->servers->has_tools;
    }));
    assert_true(turns > 3);
    assert_true(most <= 400);
    assert_true(t.mcp->servers->tools.count > 1000 && t.mcp->servers->tools.count < 1600);
    assert_int_equal(t.mcp->servers->tools.count + t.mcp->counters.tools_dropped, 3001);
}

#define LONG(test) cmocka_unit_test_setup_teardown(test, set_up_threads, tear_down_threads)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LONG(a_long_result_is_read_on_a_thread),
        LONG(what_the_model_gets_of_it_is_cut),
        LONG(of_a_long_result_texts_stay_and_media_are_named),
        LONG(messages_of_a_stream_keep_their_order_behind_a_long_one),
        LONG(a_long_message_of_progress_is_cut_between_characters),
        LONG(a_question_that_is_too_long_fails_the_call),
        LONG(what_is_not_json_fails_the_call),
        LONG(a_call_that_is_cancelled_meanwhile_is_not_answered),
        LONG(a_long_list_is_read_in_slices_up_to_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
