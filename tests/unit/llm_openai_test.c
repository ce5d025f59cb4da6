/* Providers with /chat/completions: what they are sent, when they are asked again, who comes next, and what the user
 * gets when all of it fails. */
#include "llm_fixture.h"

#define CHUNK(delta, finish) \
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}\n\n"
#define HELLO CHUNK("{\"role\":\"assistant\",\"content\":\"Hello\"}", "null")
#define STOP CHUNK("{}", "\"stop\"")
#define DONE "data: [DONE]\n\n"
#define GOOD                                   \
    {                                          \
        NULL, HELLO STOP DONE, UPSTREAM_CLOSES \
    }
#define GOOD_LOG "text Hello\nend stop by "
#define ERROR_FIELDS "Content-Type: application/json\r\n"

static const char *const no_words[] = {NULL};
static const char *const quick[] = {
    "--models-idle-timeout-ms", "100", "--models-start-timeout-ms", "150", "--models-timeout-ms", "1000", NULL};

static struct llm_seen seen;

/* One provider, or two, with a key. */
static void open_models(int count, const char *const *words)
{
    char text[2048], key[128];
    size_t n = 0;
    snprintf(key, sizeof key, "%s/key", f.directory);
    fixture_write(key, "sk-secret-of-ours\n");
    n += (size_t)snprintf(text + n, sizeof text - n, "{\"providers\":[");
    for (int i = 0; i < count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "%s{\"id\":\"p%d\",\"base_url\":\"http://127.0.0.1:%u/v1/?v=1\",\"model\":\"m%d\","
                              "\"key_file\":\"%s\",\"max_tokens\":99,\"max_tokens_name\":\"max_completion_tokens\","
                              "\"headers\":{\"X-Team\":\"desk\"},\"extra\":{\"temperature\":0.5}}",
                              i ? "," : "", i, f.upstream[i].port, i, key);
    snprintf(text + n, sizeof text - n, "]}");
    llm_fixture_open(text, words);
}

static json_t *talk(void)
{
    json_t *messages = json_loads("[{\"role\":\"system\",\"content\":\"Be kind.\"},"
                                  "{\"role\":\"user\",\"content\":\"Hi\",\"id\":\"u1\"}]",
                                  0, NULL);
    assert_non_null(messages);
    return messages;
}

static void ask_provider(const char *provider)
{
    json_t *messages = talk();
    const struct llm_request request = {.messages = messages, .provider = provider};
    llm_forget(&seen);
    llm_ask(&seen, &request);
    json_decref(messages);
}

static void ask(void)
{
    ask_provider(NULL);
}

static void check(const struct upstream_script *first, const struct upstream_script *second, const char *wanted)
{
    f.upstream[0].scripts = first;
    f.upstream[1].scripts = second;
    ask();
    llm_wait(&seen);
    assert_string_equal(seen.log, wanted);
}

/* --------------------------------------------------------------- requests */

static void assert_json(const char *text, const char *wanted)
{
    json_t *is = json_loads(text, 0, NULL), *should = json_loads(wanted, 0, NULL);
    assert_non_null(should);
    if (!json_equal(is, should)) fail_msg("wanted %s, got %s", wanted, text);
    json_decref(is);
    json_decref(should);
}

static void a_request_is_as_the_server_takes_it(void **state)
{
    static const struct upstream_script script[] = {GOOD};
    const char *head = f.upstream[0].peers[0].request;
    (void)state;
    open_models(1, no_words);
    check(script, NULL, GOOD_LOG "p0\n");
    assert_non_null(strstr(head, "POST /v1/chat/completions?v=1 HTTP/1.1\r\n"));
    assert_non_null(strstr(head, "Authorization: Bearer sk-secret-of-ours\r\n"));
    assert_non_null(strstr(head, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(head, "X-Team: desk\r\n"));
    assert_json(upstream_body(&f.upstream[0], 0),
                "{\"model\":\"m0\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                "\"max_completion_tokens\":99,\"temperature\":0.5,\"messages\":[{\"role\":\"system\",\"content\":"
                "\"Be kind.\"},{\"role\":\"user\",\"content\":\"Hi\"}]}");
    assert_string_equal(json_string_value(json_object_get(seen.message, "content")), "Hello");
}

/* Names that models do not take are mapped, there and back; in the conversation they are the tools' own. */
static void tools_keep_their_names(void **state)
{
    static const char name[] = "weather/of the world.get";
    char wire[LLM_WIRE_NAME_SIZE], script_text[2048];
    json_t *schema = json_pack("{s:s}", "type", "object"), *messages = talk();
    const struct llm_tool tools[] = {
        {.name = name, .description = "Weather", .parameters = schema}, {.name = "plain_one"}, {.name = "plain_one"}};
    const struct llm_request request = {.messages = messages, .tools = tools, .tool_count = 3, .no_calls = true};
    struct upstream_script script[] = {{NULL, script_text, UPSTREAM_CLOSES}, GOOD};
    (void)state;
    llm_wire_name(name, wire);
    assert_int_equal(strspn(wire, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(wire));
    snprintf(script_text, sizeof script_text,
             CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"%s\",\"arguments\":\"{}\"},"
                   "\"extra_content\":{\"google\":{\"thought_signature\":\"c2ln\"}}},{\"index\":1,\"id\":\"c2\","
                   "\"function\":{\"name\":\"unknown\",\"arguments\":\"{}\"}},{\"index\":2,\"id\":\"c3\","
                   "\"function\":{\"name\":\"plain_one\",\"arguments\":\"{oops\"}}]}",
                   "\"tool_calls\"") DONE,
             wire);
    f.upstream[0].scripts = script;
    open_models(1, no_words);
    llm_forget(&seen);
    llm_ask(&seen, &request);
    llm_wait(&seen);
    assert_string_equal(seen.log, "open 0 weather/of the world.get\nopen 1 unknown\nopen 2 plain_one\n"
                                  "ready 0 weather/of the world.get {}\nready 1 unknown there is no tool of that name\n"
                                  "ready 2 plain_one the arguments are not a JSON object\nend calls by p0\n");
    json_t *body = json_loads(upstream_body(&f.upstream[0], 0), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(body, "tool_choice")), "none");
    assert_int_equal(json_array_size(json_object_get(body, "tools")), 2);
    json_decref(body);
    /* The next step of the loop: the signature goes back, the names as the model knows them. */
    json_array_append(messages, seen.message);
    json_array_append_new(messages, llm_tool_message("c1", "sunny"));
    llm_forget(&seen);
    llm_ask(&seen, &request);
    llm_wait(&seen);
    body = json_loads(upstream_body(&f.upstream[0], 1), 0, NULL);
    json_t *sent = json_array_get(json_object_get(body, "messages"), 2);
    char *text = json_dumps(sent, JSON_COMPACT);
    char wanted[1024];
    snprintf(
        wanted, sizeof wanted,
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\","
        "\"function\":{\"name\":\"%s\",\"arguments\":\"{}\"},\"extra_content\":{\"google\":{\"thought_signature\":"
        "\"c2ln\"}}},{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"unknown\",\"arguments\":\"{}\"}},"
        "{\"id\":\"c3\",\"type\":\"function\",\"function\":{\"name\":\"plain_one\",\"arguments\":\"{}\"}}]}",
        wire);
    assert_json(text, wanted);
    free(text);
    json_decref(body);
    json_decref(messages);
    json_decref(schema);
}

static void names_stay_apart(void **state)
{
    char one[LLM_WIRE_NAME_SIZE], other[LLM_WIRE_NAME_SIZE], text[100], twin[100];
    (void)state;
    llm_wire_name("good_Name-1", one);
    assert_string_equal(one, "good_Name-1");
    memset(text, 'x', 80);
    strcpy(text + 79, "a");
    strcpy(twin, text);
    twin[79] = 'b';
    llm_wire_name(text, one);
    llm_wire_name(twin, other);
    assert_int_equal(strlen(one), 64);
    assert_string_not_equal(one, other);
    llm_wire_name("a.b", one);
    llm_wire_name("a/b", other);
    assert_string_not_equal(one, other);
    llm_wire_name("", one);
    assert_true(one[0]);
    memset(text, 'x', 64);
    text[64] = 0;
    llm_wire_name(text, one);
    assert_string_equal(one, text);
}

/* ------------------------------------------------------------------ again */

static void what_may_pass_is_tried_again(void **state)
{
    static const struct upstream_script script[] = {
        {"503 Busy\r\nRetry-After-Ms: 20\r\n" ERROR_FIELDS, "{\"error\":{\"message\":\"loading\"}}", UPSTREAM_CLOSES},
        {NULL, CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null"), UPSTREAM_CLOSES},
        GOOD};
    (void)state;
    open_models(1, no_words);
    check(script, NULL, "wait\nwait\n" GOOD_LOG "p0\n");
    assert_int_equal(f.llm->numbers.retries, 2);
    assert_int_equal(f.llm->numbers.fallbacks, 0);
}

static void the_server_decides_whether_to_try_again(void **state)
{
    static const struct upstream_script no[] = {
        {"500 Oops\r\nX-Should-Retry: false\r\n" ERROR_FIELDS, "{}", UPSTREAM_CLOSES}, GOOD};
    static const struct upstream_script yes[] = {
        {"400 Odd\r\nX-Should-Retry: true\r\nRetry-After: 0\r\n" ERROR_FIELDS, "{}", UPSTREAM_CLOSES}, GOOD};
    (void)state;
    open_models(2, no_words);
    check(no, yes, "wait\n" GOOD_LOG "p1\n");
    assert_int_equal(f.upstream[0].count, 1);
}

static void a_wait_that_is_too_long_is_not_waited_for(void **state)
{
    static const struct upstream_script script[] = {
        {"429 Slow\r\nRetry-After: 86400\r\n" ERROR_FIELDS, "{\"error\":{\"code\":\"rate_limit\"}}", UPSTREAM_CLOSES}};
    (void)state;
    open_models(1, no_words);
    check(script, NULL, "failure 503 the model is overloaded; try again later\n");
    assert_int_equal(f.llm->numbers.hits[LLM_LIMIT_WAIT], 1);
}

/* An hour is more than the limit allows, a moment is not. */
static void the_longest_wait_is_an_option(void **state)
{
    static const char *const words[] = {"--models-retry-wait-max-ms", "30", NULL};
    static const struct upstream_script script[] = {
        {"503 Busy\r\nRetry-After-Ms: 20\r\n" ERROR_FIELDS, "{}", UPSTREAM_CLOSES},
        {"503 Busy\r\nRetry-After-Ms: 40\r\n" ERROR_FIELDS, "{}", UPSTREAM_CLOSES},
        GOOD};
    (void)state;
    open_models(1, words);
    check(script, NULL, "wait\nfailure 503 the model is overloaded; try again later\n");
    assert_int_equal(f.llm->numbers.hits[LLM_LIMIT_WAIT], 1);
}

/* The time for an answer has room for its tries, and for the waits between them. */
static void a_wait_beyond_the_answers_time_is_not_begun(void **state)
{
    static const char *const words[] = {"--models-timeout-ms", "1000", NULL};
    static const struct upstream_script script[] = {
        {"503 Busy\r\nRetry-After-Ms: 2000\r\n" ERROR_FIELDS, "{}", UPSTREAM_CLOSES}, GOOD};
    (void)state;
    open_models(1, words);
    check(script, NULL, "failure 503 the model is overloaded; try again later\n");
}

/* Each failure doubles the rest, up to a limit. */
static void a_rest_has_a_limit(void **state)
{
    static const char *const words[] = {"--models-rest-ms", "1000", "--models-rest-max-ms", "3000", NULL};
    static const struct upstream_script bad[] = {{"401 No\r\n" ERROR_FIELDS, "{}", UPSTREAM_CLOSES},
                                                 {"401 No\r\n" ERROR_FIELDS, "{}", UPSTREAM_CLOSES},
                                                 {"401 No\r\n" ERROR_FIELDS, "{}", UPSTREAM_CLOSES}};
    static const uint64_t rests[] = {1000, 2000, 3000};
    (void)state;
    open_models(1, words);
    for (size_t i = 0; i < 3; i++) {
        f.llm->providers->list[0].rests_until_ms = 0;
        check(bad, NULL, "failure 502 the model is not available\n");
        assert_int_equal(f.llm->providers->list[0].rest_ms, rests[i]);
    }
}

static void an_empty_quota_and_a_bad_key_go_to_the_next_at_once(void **state)
{
    static const struct upstream_script quota[] = {{"429 No\r\n" ERROR_FIELDS,
                                                    "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"pay\"}}",
                                                    UPSTREAM_CLOSES}};
    static const struct upstream_script key[] = {
        {"401 No\r\n" ERROR_FIELDS,
         "{\"error\":{\"code\":\"invalid_api_key\",\"message\":\"Incorrect API key provided: sk-secret-of-ours.\"}}",
         UPSTREAM_CLOSES}};
    (void)state;
    open_models(2, no_words);
    check(quota, key, "failure 502 the model is not available\n");
    assert_int_equal(f.llm->numbers.faults[LLM_FAULT_QUOTA - 1], 1);
    assert_int_equal(f.llm->numbers.faults[LLM_FAULT_KEY - 1], 1);
    assert_int_equal(f.llm->numbers.retries, 0);
    char *log = fixture_read(f.log_path);
    assert_non_null(strstr(log, "kind=quota"));
    assert_non_null(strstr(log, "kind=key"));
    assert_non_null(strstr(log, "Incorrect API key provided: *****************."));
    assert_null(strstr(log, "sk-secret"));
    free(log);
}

static void a_provider_that_failed_rests(void **state)
{
    static const struct upstream_script bad[] = {{"401 No\r\n" ERROR_FIELDS, "{}", UPSTREAM_CLOSES}, GOOD};
    static const struct upstream_script good[] = {GOOD, GOOD};
    (void)state;
    open_models(2, no_words);
    check(bad, good, GOOD_LOG "p1\n");
    check(bad, good, GOOD_LOG "p1\n");
    assert_int_equal(f.upstream[0].count, 1);
    assert_int_equal(f.upstream[1].count, 2);
    f.llm->providers->list[0].rests_until_ms = 0;
    check(bad, good, GOOD_LOG "p0\n");
    assert_int_equal(f.llm->providers->list[0].rest_ms, 0);
}

/* A request that is refused for what is in it says nothing about the next. */
static void one_bad_request_does_not_make_it_rest(void **state)
{
    static const struct upstream_script bad[] = {
        {"400 No\r\n" ERROR_FIELDS, "{\"error\":{\"message\":\"bad schema\"}}", UPSTREAM_CLOSES}, GOOD};
    static const struct upstream_script good[] = {GOOD};
    (void)state;
    open_models(2, no_words);
    check(bad, good, GOOD_LOG "p1\n");
    check(bad, good, GOOD_LOG "p0\n");
}

/* Ten answers that fail together make one rest, not one that is doubled ten times. */
static void answers_that_fail_together_are_one_failure(void **state)
{
    static struct llm_seen many[10];
    json_t *messages = talk();
    const struct llm_request request = {.messages = messages, .provider = "p0"};
    static const char *const words[] = {"--models-retries", "0", NULL};
    (void)state;
    open_models(1, words);
    evconnlistener_free(f.upstream[0].listener);
    f.upstream[0].listener = NULL;
    for (size_t i = 0; i < 10; i++) llm_ask(&many[i], &request);
    for (size_t i = 0; i < 10; i++) llm_wait(&many[i]);
    assert_int_equal(f.llm->providers->list[0].rest_ms, f.llm->config->rest_ms);
    for (size_t i = 0; i < 10; i++) llm_forget(&many[i]);
    json_decref(messages);
}

/* -------------------------------------------------------------- once said */

static void after_the_first_token_there_is_no_other_try(void **state)
{
    static const struct upstream_script breaks[] = {{NULL, HELLO, UPSTREAM_RESETS}, GOOD};
    static const struct upstream_script ends[] = {{NULL, HELLO, UPSTREAM_CLOSES}, GOOD};
    static const struct upstream_script reports[] = {
        {NULL, HELLO "data: {\"error\":{\"message\":\"gone\",\"code\":503}}\n\n", UPSTREAM_CLOSES}, GOOD};
    const struct upstream_script *const all[] = {breaks, ends, reports};
    static const char *const reasons[] = {"502 the model's answer broke off", "502 the model's answer broke off",
                                          "503 the model is overloaded; try again later"};
    (void)state;
    open_models(2, no_words);
    for (size_t i = 0; i < 3; i++) {
        char wanted[128];
        f.llm->providers->list[0].rests_until_ms = 0;
        f.upstream[0].count = 0;
        memset(f.upstream[0].peers, 0, sizeof f.upstream[0].peers);
        snprintf(wanted, sizeof wanted, "text Hello\nfailure %s\n", reasons[i]);
        check(all[i], NULL, wanted);
        assert_int_equal(f.upstream[0].count, 1);
        assert_int_equal(f.upstream[1].count, 0);
    }
}

static void an_answer_that_is_whole_is_not_spoilt_by_its_connection(void **state)
{
    static const struct upstream_script script[] = {{NULL, HELLO STOP DONE, UPSTREAM_STAYS},
                                                    {NULL, HELLO STOP, UPSTREAM_RESETS},
                                                    {NULL, HELLO STOP, UPSTREAM_STAYS}};
    (void)state;
    open_models(1, quick);
    check(script, NULL, GOOD_LOG "p0\n");
    assert_non_null(f.llm->drains); /* the connection, for a moment */
    check(script, NULL, GOOD_LOG "p0\n");
    check(script, NULL, GOOD_LOG "p0\n");
}

/* -------------------------------------------------------------- bad servers */

static void silence_has_an_end(void **state)
{
    static const struct upstream_script never[] = {{NULL, "", UPSTREAM_STAYS}};
    static const struct upstream_script half[] = {{NULL, HELLO, UPSTREAM_STAYS}};
    (void)state;
    open_models(2, quick);
    check(never, half, "text Hello\nfailure 504 the model did not answer in time\n");
    assert_int_equal(f.llm->numbers.faults[LLM_FAULT_TIMEOUT - 1], 2);
    assert_int_equal(f.llm->numbers.fallbacks, 1);
}

static void comments_do_not_keep_it_alive_for_ever(void **state)
{
    static const struct upstream_script script[] = {{NULL, "", UPSTREAM_DRIPS}};
    (void)state;
    open_models(1, quick);
    check(script, NULL, "failure 504 the model did not answer in time\n");
}

/* Each time alone: the others are too long to help. */
static void each_time_is_a_limit_of_its_own(void **state)
{
    static const struct {
        const char *option, *value, *wanted;
        struct upstream_script script;
    } rows[] = {
        {"--models-start-timeout-ms",
         "150",
         "failure 504 the model did not answer in time\n",
         {NULL, "", UPSTREAM_STAYS}},
        {"--models-idle-timeout-ms",
         "100",
         "text Hello\nfailure 504 the model did not answer in time\n",
         {NULL, HELLO, UPSTREAM_STAYS}},
        {"--models-timeout-ms", "1000", "failure 504 the model did not answer in time\n", {NULL, "", UPSTREAM_DRIPS}},
    };
    static const char *const times[] = {"--models-start-timeout-ms", "--models-idle-timeout-ms", "--models-timeout-ms"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const char *words[] = {times[0], "3600000", times[1], "3600000", times[2], "3600000", NULL};
        words[2 * i + 1] = rows[i].value;
        if (i) llm_fixture_tear_down(state), llm_fixture_set_up(state);
        open_models(1, words);
        check(&rows[i].script, NULL, rows[i].wanted);
    }
}

/* The time for one try may be shorter than that for the answer. */
static void a_provider_may_have_its_own_time(void **state)
{
    static const struct upstream_script drips[] = {{NULL, "", UPSTREAM_DRIPS}}, good[] = {GOOD};
    char text[512];
    (void)state;
    snprintf(
        text, sizeof text,
        "{\"providers\":[{\"id\":\"p0\",\"base_url\":\"http://127.0.0.1:%u/v1\",\"model\":\"m\",\"timeout_ms\":1000},"
        "{\"id\":\"p1\",\"base_url\":\"http://127.0.0.1:%u/v1\",\"model\":\"m\"}]}",
        f.upstream[0].port, f.upstream[1].port);
    llm_fixture_open(text, no_words);
    check(drips, good, GOOD_LOG "p1\n");
}

static void a_flood_is_cut_off(void **state)
{
    static const char *const words[] = {"--models-answer-max-bytes", "2000", "--models-stream-max-bytes", "500000",
                                        NULL};
    static const struct upstream_script text[] = {{NULL, HELLO, UPSTREAM_FLOODS}};
    static const struct upstream_script nothing[] = {{NULL, ": 0123456789012345678901234567890\n", UPSTREAM_FLOODS}};
    (void)state;
    open_models(2, words);
    f.upstream[0].scripts = text;
    ask();
    llm_wait(&seen);
    assert_non_null(strstr(seen.log, "failure 502 the model's answer is too large\n"));
    assert_int_equal(seen.text_size, 2000);
    f.upstream[1].scripts = nothing;
    ask_provider("p1");
    llm_wait(&seen);
    assert_string_equal(seen.log, "failure 502 the model's answer is too large\n");
    assert_int_equal(f.llm->numbers.hits[LLM_LIMIT_SIZE], 2);
}

#define CALL(arguments)                                                                                        \
    CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"" arguments \
          "\"}}]}",                                                                                            \
          "null")
#define ITEMS10 "1,1,1,1,1,1,1,1,1,1,"
#define ITEMS60 ITEMS10 ITEMS10 ITEMS10 ITEMS10 ITEMS10 ITEMS10
#define BYTES60 "012345678901234567890123456789012345678901234567890123456789"
#define BYTES300 BYTES60 BYTES60 BYTES60 BYTES60 BYTES60

/* What one answer may hold: above each of these options it is too large, just below it is not. */
static void each_limit_of_an_answer_is_an_option(void **state)
{
    static const struct {
        const char *option, *value, *reason;
        struct upstream_script script;
    } rows[] = {
        {"--models-calls-max",
         "1",
         "calls too many tools (limit: 1)",
         {NULL,
          CALL("{}") CHUNK(
              "{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}", "null"),
          UPSTREAM_CLOSES}},
        {"--models-args-max-bytes",
         "256",
         "the arguments of a call pass 256 bytes",
         {NULL, CALL("{\\\"x\\\":\\\"" BYTES300), UPSTREAM_CLOSES}},
        {"--models-event-max-bytes",
         "1024",
         "an event of the stream passes 1024 bytes",
         {NULL, "data: {\"x\":\"" BYTES300 BYTES300 BYTES300 BYTES300 "\"}\n\n", UPSTREAM_CLOSES}},
        {"--models-values-max",
         "100",
         "an event of the stream has more values than 100",
         {NULL, "data: {\"x\":[" ITEMS60 ITEMS60 "1]}\n\n", UPSTREAM_CLOSES}},
        {"--models-values-max",
         "100",
         "the arguments of a call have more values than 100",
         {NULL, CALL("{\\\"x\\\":[" ITEMS60 ITEMS60 "1]}") CHUNK("{}", "\"tool_calls\"") DONE, UPSTREAM_CLOSES}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *const words[] = {"--models-retries", "0", rows[i].option, rows[i].value, NULL};
        if (i) llm_fixture_tear_down(state), llm_fixture_set_up(state);
        open_models(1, words);
        f.upstream[0].scripts = &rows[i].script;
        ask();
        llm_wait(&seen);
        assert_non_null(strstr(seen.log, "failure 502 the model's answer is too large\n"));
        char *log = fixture_read(f.log_path);
        if (!strstr(log, rows[i].reason)) fail_msg("%s: %s", rows[i].option, log);
        free(log);
    }
}

static void other_nonsense_is_an_error_of_its_own(void **state)
{
    static const struct {
        struct upstream_script script;
        const char *wanted;
    } rows[] = {
        {{"302 There\r\nLocation: http://127.0.0.1:1/\r\n", "", UPSTREAM_CLOSES}, "502 the model is not available"},
        {{"200 OK\r\n", "<html>", UPSTREAM_CLOSES}, "502 the model's answer broke off"},
        {{"404 No\r\n", "no such model", UPSTREAM_CLOSES}, "502 the model is not available"},
        {{"400 No\r\n" ERROR_FIELDS, "{\"error\":{\"code\":\"context_length_exceeded\"}}", UPSTREAM_CLOSES},
         "502 the conversation is too long for the model"},
        {{NULL, "data: {broken\n\n", UPSTREAM_CLOSES}, "502 the model's answer broke off"},
        {{NULL, DONE, UPSTREAM_CLOSES}, "502 the model's answer broke off"},
        {{"500 No\r\n", "", UPSTREAM_CLOSES}, "502 the model failed"},
        {{"500 No\r\n", "{\"error\":", UPSTREAM_FLOODS}, "502 the model failed"},
    };
    static const char *const words[] = {"--models-retries", "0", NULL};
    (void)state;
    open_models(1, words);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char wanted[128];
        f.upstream[0].count = 0;
        upstream_close(&f.upstream[0].peers[0]);
        memset(f.upstream[0].peers, 0, sizeof f.upstream[0].peers);
        snprintf(wanted, sizeof wanted, "failure %s\n", rows[i].wanted);
        check(&rows[i].script, NULL, wanted);
        assert_int_equal(f.upstream[0].count, 1);
    }
}

static void who_does_not_listen_is_unreachable(void **state)
{
    static const char *const words[] = {"--models-retries", "0", NULL};
    (void)state;
    open_models(1, words);
    evconnlistener_free(f.upstream[0].listener);
    f.upstream[0].listener = NULL;
    check(NULL, NULL, "failure 503 the model cannot be reached\n");
}

/* --------------------------------------------------------------- cancelled */

static void wait_for_the_end_of(const struct upstream_peer *peer)
{
    time_t end = time(NULL) + 300;
    while (!peer->closed && time(NULL) < end) eio_loop_turn(f.loop, 50);
    assert_true(peer->closed);
}

/* Within an event, while waiting for the next try, from outside: nothing comes afterwards, and the request ends. */
static void a_cancelled_answer_ends_the_request(void **state)
{
    static const struct upstream_script half[] = {{NULL, HELLO HELLO, UPSTREAM_STAYS}, {NULL, "", UPSTREAM_STAYS}};
    static const struct upstream_script busy[] = {{"503 Busy\r\nRetry-After: 1\r\n", "", UPSTREAM_CLOSES},
                                                  {NULL, HELLO STOP DONE, UPSTREAM_STAYS}};
    (void)state;
    open_models(2, no_words);
    f.upstream[0].scripts = half;
    ask();
    seen.cancels = true;
    seen.cancels_at = LLM_TEXT;
    llm_wait(&seen);
    assert_string_equal(seen.log, "text Hello\ncancelled\n");
    wait_for_the_end_of(&f.upstream[0].peers[0]);
    ask();
    while (!f.upstream[0].peers[1].answered) eio_loop_turn(f.loop, 50);
    llm_cancel(seen.answer);
    wait_for_the_end_of(&f.upstream[0].peers[1]);
    assert_string_equal(seen.log, "");
    f.llm->providers->list[0].rests_until_ms = UINT64_MAX;
    f.upstream[1].scripts = busy;
    ask();
    seen.cancels = true;
    seen.cancels_at = LLM_WAIT;
    llm_wait(&seen);
    assert_int_equal(f.llm->numbers.running, 0);
    ask();
    seen.cancels = true;
    seen.cancels_at = LLM_END;
    f.upstream[1].count = 1;
    llm_wait(&seen);
    assert_string_equal(seen.log, "text Hello\nend stop by p1\ncancelled\n");
    assert_int_equal(f.llm->numbers.running, 0);
}

static void what_runs_ends_with_the_module(void **state)
{
    static const struct upstream_script half[] = {{NULL, HELLO, UPSTREAM_STAYS},
                                                  {NULL, HELLO STOP DONE, UPSTREAM_STAYS}};
    static struct llm_seen other;
    json_t *messages = talk();
    const struct llm_request request = {.messages = messages};
    (void)state;
    open_models(1, no_words);
    f.upstream[0].scripts = half;
    ask();
    while (!seen.text_size) eio_loop_turn(f.loop, 50);
    llm_ask(&other, &request);
    llm_wait(&other);
    llm_forget(&other);
    json_decref(messages);
}

/* ------------------------------------------------------------------ limits */

static void too_many_answers_at_once_are_refused(void **state)
{
    static const char *const words[] = {"--models-answers-max", "1", NULL};
    static const struct upstream_script half[] = {{NULL, HELLO, UPSTREAM_STAYS}};
    static struct llm_seen other;
    json_t *messages = talk();
    const struct llm_request request = {.messages = messages};
    (void)state;
    open_models(1, words);
    f.upstream[0].scripts = half;
    ask();
    llm_ask(&other, &request);
    llm_wait(&other);
    assert_string_equal(other.log, "failure 503 the model is overloaded; try again later\n");
    assert_int_equal(f.llm->numbers.hits[LLM_LIMIT_ANSWERS], 1);
    llm_cancel(seen.answer);
    json_decref(messages);
}

static void a_request_may_name_its_provider(void **state)
{
    static const struct upstream_script bad[] = {{"401 No\r\n", "", UPSTREAM_CLOSES}};
    json_t *messages = talk();
    struct llm_request request = {.messages = messages, .provider = "p1"};
    (void)state;
    open_models(2, no_words);
    f.upstream[1].scripts = bad;
    llm_forget(&seen);
    llm_ask(&seen, &request);
    llm_wait(&seen);
    assert_string_equal(seen.log, "failure 502 the model is not available\n");
    request.provider = "p9";
    assert_null(llm_start(f.llm, &request, llm_on_event, &seen));
    assert_int_equal(f.llm->numbers.running, 0);
    json_decref(messages);
}

/* ------------------------------------------------------------------- files */

static void mistakes_in_the_file_are_named(void **state)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"", "line 1"},
        {"{}", "must be {\"providers\": [1 to 32 objects]}"},
        {"{\"providers\":[]}", "must be"},
        {"{\"providers\":[7]}", "providers[0]: each must be an object"},
        {"{\"providers\":[{\"kind\":\"local\"}]}", "providers[0]: id must be"},
        {"{\"providers\":[{\"id\":\"a\",\"kind\":\"local\"},{\"id\":\"a\",\"kind\":\"local\"}]}", "providers[1]: id"},
        {"{\"providers\":[{\"id\":\"a\",\"kind\":\"magic\"}]}", "kind must be openai or local"},
        {"{\"providers\":[{\"id\":\"a\",\"kind\":\"local\",\"model\":\"x\"}]}", "unknown field model"},
        {"{\"providers\":[{\"id\":\"a\",\"base_url\":\"ftp://x\",\"model\":\"x\"}]}", "base_url must be a URL"},
        {"{\"providers\":[{\"id\":\"a\",\"base_url\":\"http://u:p@x\",\"model\":\"x\"}]}", "without a user"},
        {"{\"providers\":[{\"id\":\"a\",\"base_url\":\"http://x\"}]}", "model must be"},
        {"{\"providers\":[{\"id\":\"a\",\"base_url\":\"http://x\",\"model\":\"m\",\"headers\":{\"a b\":\"\"}}]}",
         "headers"},
        {"{\"providers\":[{\"id\":\"a\",\"base_url\":\"http://x\",\"model\":\"m\",\"headers\":{\"a\":\"b\\nc: d\"}}]}",
         "headers"},
        {"{\"providers\":[{\"id\":\"a\",\"base_url\":\"http://x\",\"model\":\"m\",\"timeout_ms\":0}]}", "timeout_ms"},
        {"{\"providers\":[{\"id\":\"a\",\"base_url\":\"http://x\",\"model\":\"m\",\"usage\":1}]}",
         "usage must be true"},
        {"{\"providers\":[{\"id\":\"a\",\"base_url\":\"http://x\",\"model\":\"m\",\"key_file\":\"/nowhere\"}]}",
         "/nowhere: No such file"},
        {"{\"providers\":[{\"id\":\"a\",\"base_url\":\"http://x\",\"model\":\"m\",\"key_file\":\"/dev/null\"}]}",
         "key_file must be a file with a key"},
        {"{\"providers\":[{\"id\":\"a\",\"base_url\":\"http://x\",\"model\":\"m\",\"key_header\":\"a:\"}]}",
         "key_header"},
    };
    char error[512];
    (void)state;
    open_models(1, no_words);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture_write(f.models, rows[i].text);
        assert_null(llm__providers_read(f.llm, error, sizeof error));
        if (!strstr(error, rows[i].wanted)) fail_msg("%s: wanted %s, got %s", rows[i].text, rows[i].wanted, error);
    }
}

/* SIGHUP: a new key from now on; a file with a mistake changes nothing. Answers under way end as they began. */
static void the_file_is_read_again(void **state)
{
    static const struct upstream_script script[] = {{NULL, HELLO, UPSTREAM_STAYS}, GOOD, GOOD};
    char key[128];
    static struct llm_seen other;
    json_t *messages = talk();
    const struct llm_request request = {.messages = messages};
    (void)state;
    open_models(1, no_words);
    f.upstream[0].scripts = script;
    ask();
    while (!seen.text_size) eio_loop_turn(f.loop, 50);
    snprintf(key, sizeof key, "%s/key", f.directory);
    fixture_write(key, "a-new-key");
    llm_module.reload(f.llm);
    llm_ask(&other, &request);
    llm_wait(&other);
    assert_non_null(strstr(f.upstream[0].peers[1].request, "Bearer a-new-key\r\n"));
    fixture_write(f.models, "{");
    llm_module.reload(f.llm);
    llm_forget(&other);
    llm_ask(&other, &request);
    llm_wait(&other);
    assert_string_equal(other.log, GOOD_LOG "p0\n");
    llm_cancel(seen.answer);
    llm_forget(&other);
    json_decref(messages);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, llm_fixture_set_up, llm_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_as_the_server_takes_it),
        TEST(tools_keep_their_names),
        TEST(names_stay_apart),
        TEST(what_may_pass_is_tried_again),
        TEST(the_server_decides_whether_to_try_again),
        TEST(a_wait_that_is_too_long_is_not_waited_for),
        TEST(the_longest_wait_is_an_option),
        TEST(an_empty_quota_and_a_bad_key_go_to_the_next_at_once),
        TEST(a_wait_beyond_the_answers_time_is_not_begun),
        TEST(a_provider_that_failed_rests),
        TEST(a_rest_has_a_limit),
        TEST(one_bad_request_does_not_make_it_rest),
        TEST(answers_that_fail_together_are_one_failure),
        TEST(after_the_first_token_there_is_no_other_try),
        TEST(an_answer_that_is_whole_is_not_spoilt_by_its_connection),
        TEST(silence_has_an_end),
        TEST(comments_do_not_keep_it_alive_for_ever),
        TEST(each_time_is_a_limit_of_its_own),
        TEST(a_provider_may_have_its_own_time),
        TEST(a_flood_is_cut_off),
        TEST(each_limit_of_an_answer_is_an_option),
        TEST(other_nonsense_is_an_error_of_its_own),
        TEST(who_does_not_listen_is_unreachable),
        TEST(a_cancelled_answer_ends_the_request),
        TEST(what_runs_ends_with_the_module),
        TEST(too_many_answers_at_once_are_refused),
        TEST(a_request_may_name_its_provider),
        TEST(mistakes_in_the_file_are_named),
        TEST(the_file_is_read_again),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    llm_forget(&seen);
    return failed;
}
