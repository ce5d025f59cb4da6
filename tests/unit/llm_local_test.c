/* The embedded model: which tools a sentence calls, with which parameters, and what is said about results. It is
 * Monday, 30 November 2026, 10:00, an hour east of Greenwich. */
#include "llm_fixture.h"

#define NOW_MS 1796029200000 /* 2026-11-30T09:00:00Z */

#define OBJECT(required, properties) "{\"type\":\"object\",\"required\":[" required "],\"properties\":{" properties "}}"

static const struct {
    const char *name, *description, *schema;
    const char *const phrases[8];
} tools[] = {
    {"create_alarm",
     "Set a reminder. It fires at its time.",
     OBJECT("\"text\",\"time\"",
            "\"text\":{\"type\":\"string\"},\"time\":{\"type\":\"string\",\"format\":\"date-time\"}"),
     {"remind me to {text}", "remind me about {text}", "erinnere mich an {text}", "set a reminder", "wake me",
      "create an alarm"}},
    {"weather",
     "Show the weather",
     OBJECT("\"city\"", "\"city\":{\"type\":\"string\"},\"date\":{\"type\":\"string\",\"format\":\"date\"},"
                        "\"unit\":{\"type\":\"string\",\"enum\":[\"celsius\",\"fahrenheit\"]}"),
     {"weather in {city}", "forecast for {city}", "how warm is it in {city}"}},
    {"add_node",
     "Add something to the tree",
     OBJECT("\"name\"",
            "\"name\":{\"type\":\"string\"},\"parent\":{\"type\":\"string\"},\"kind\":{\"type\":\"string\",\"enum\":["
            "\"folder\",\"work_item\"]}"),
     {"add a node", "add {name} to {parent}", "create a folder"}},
    {"move_node",
     "Move something in the tree",
     OBJECT("\"node\",\"parent\"", "\"node\":{\"type\":\"string\"},\"parent\":{\"type\":\"string\"}"),
     {"move {node} to {parent}"}},
    {"book_table",
     "Book a table",
     OBJECT(
         "\"guests\",\"date\",\"time\"",
         "\"guests\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":20},\"date\":{\"type\":\"string\"},"
         "\"time\":{\"type\":\"string\"},\"terrace\":{\"type\":\"boolean\"},\"email\":{\"type\":\"string\",\"format\":"
         "\"email\"}"),
     {"book a table", "reserve a table"}},
    {"start_timer",
     "Start a timer",
     OBJECT("\"seconds\"", "\"seconds\":{\"type\":\"integer\"},\"label\":{\"type\":\"string\"}"),
     {"set a timer", "start a timer", "count down"}},
    {"send_mail",
     "Send a mail",
     OBJECT("\"to\",\"subject\"", "\"to\":{\"type\":\"string\",\"format\":\"email\"},\"subject\":{\"type\":\"string\"},"
                                  "\"attachments\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"),
     {"send an email", "send a mail", "mail {to}"}},
    {"light",
     "Switch a light",
     OBJECT("\"room\"",
            "\"room\":{\"type\":\"string\",\"oneOf\":[{\"const\":\"r1\",\"title\":\"Living room\"},{\"const\":"
            "\"r2\",\"title\":\"Kitchen\"}]},\"brightness\":{\"type\":\"number\",\"minimum\":0,\"maximum\":100},"
            "\"on\":{\"type\":\"boolean\"}"),
     {"light in the {room}", "switch the light", "lamp"}},
    {"order_pizza",
     "Order a pizza",
     OBJECT("\"toppings\"",
            "\"toppings\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":[\"ham\",\"mushrooms\","
            "\"extra cheese\"]}},\"size\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}]}"),
     {"order a pizza", "pizza with {toppings}"}},
    {"teach",
     "Teach a topic",
     OBJECT("\"topic\"", "\"topic\":{\"type\":\"string\"}"),
     {"teach me {topic}", "explain {topic} step by step"}},
    {"show_tree", "Show the tree", "{\"type\":\"object\",\"properties\":{}}", {"show the tree", "what is in the tree"}},
    {"continue_lesson",
     "Go on with the lesson",
     "{\"type\":\"object\"}",
     {"continue", "go on", "next", "resume the lesson"}},
    {"create_meeting",
     "Plan a meeting",
     OBJECT("\"start\"", "\"start\":{\"type\":\"string\",\"format\":\"date-time\"},\"minutes\":{\"type\":\"integer\"}"),
     {"plan a meeting at {start}", "meet at {start}"}},
    {"basket",
     "Fill the basket",
     OBJECT("\"name\"", "\"name\":{\"type\":\"string\"}"),
     {"drop {name} into the basket", "turn {name} on"}},
    {"server/get-sum",
     "Returns the sum of two numbers",
     OBJECT("\"a\",\"b\"", "\"a\":{\"type\":\"number\"},\"b\":{\"type\":\"number\"}"),
     {NULL}},
    {"server/echo", "Echoes back the input", OBJECT("\"message\"", "\"message\":{\"type\":\"string\"}"), {NULL}},
    {"demo_traffic", "What the streets are like", OBJECT("\"city\"", "\"city\":{\"type\":\"string\"}"), {NULL}},
    {"demo_horoscope", "What the stars say", OBJECT("\"sign\"", "\"sign\":{\"type\":\"string\"}"), {NULL}},
    {"search",
     "Search the knowledge base",
     OBJECT("\"query\"", "\"query\":{\"type\":\"string\"}"),
     {"search for {query}", "look up {query}"}},
};
#define TOOL_COUNT (sizeof tools / sizeof tools[0])

static struct llm_seen seen;
static struct llm_tool list[TOOL_COUNT];

static int set_up(void **state)
{
    static const char *const words[] = {"--models-local-pace-ms", "0", NULL};
    llm_fixture_set_up(state);
    llm_fixture_open(NULL, words);
    for (size_t i = 0; i < TOOL_COUNT; i++)
        list[i] = (struct llm_tool){.name = tools[i].name,
                                    .description = tools[i].description,
                                    .parameters = json_loads(tools[i].schema, 0, NULL),
                                    .phrases = tools[i].phrases[0] ? tools[i].phrases : NULL,
                                    .prefix_bytes = strncmp(tools[i].name, "demo_", 5) ? 0 : 5};
    return 0;
}

static int tear_down(void **state)
{
    for (size_t i = 0; i < TOOL_COUNT; i++) json_decref(list[i].parameters);
    llm_forget(&seen);
    return llm_fixture_tear_down(state);
}

static const char *zone = "Europe/Berlin";

static void ask_messages(json_t *take_messages, size_t tool_count)
{
    const struct llm_request request = {.messages = take_messages,
                                        .tools = list,
                                        .tool_count = tool_count,
                                        .now_ms = NOW_MS,
                                        .zone = zone,
                                        .search_tool = "search"};
    llm_forget(&seen);
    llm_ask(&seen, &request);
    json_decref(take_messages);
    llm_wait(&seen);
}

static void ask(const char *text)
{
    ask_messages(json_pack("[{s:s, s:s}]", "role", "user", "content", text), TOOL_COUNT);
}

/* "tool {args}; tool {args}", or "> text". */
static void put_answer(char *out, size_t size)
{
    const char *at = seen.log;
    size_t n = 0;
    out[0] = 0;
    if (seen.text_size) {
        snprintf(out, size, "> %.*s", (int)seen.text_size, seen.text);
        return;
    }
    while ((at = strstr(at, "ready "))) {
        at += strcspn(at, " ") + 1;
        at += strcspn(at, " ") + 1;
        n += (size_t)snprintf(out + n, size - n, "%s%.*s", n ? "; " : "", (int)strcspn(at, "\n"), at);
    }
}

/* --------------------------------------------------------------- sentences */

static const struct {
    const char *sentence, *wanted;
} rows[] = {
    {"What is the horoscope for Leo?", "demo_horoscope {\"sign\":\"Leo\"}"},
    {"What is the traffic in Berlin?", "demo_traffic {\"city\":\"Berlin\"}"},
    {"Show me the traffic near New York", "demo_traffic {\"city\":\"New York\"}"},
#include "llm_local_rows.inc"
};

static void sentences_call_tools(void **state)
{
    char got[4096];
    size_t failed = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ask(rows[i].sentence);
        put_answer(got, sizeof got);
        /* A text is given by its beginning. */
        bool is_good = rows[i].wanted[0] == '>' ? !strncmp(got, rows[i].wanted, strlen(rows[i].wanted))
                                                : !strcmp(got, rows[i].wanted);
        if (is_good) continue;
        failed++;
        print_error("%s\n  wanted %s\n  got    %s\n", rows[i].sentence, rows[i].wanted, got);
    }
    assert_int_equal(failed, 0);
    assert_true(sizeof rows / sizeof rows[0] >= 60);
}

/* What a day and an hour are is the user's zone's, summer time of that day included; what is so long from now is the
 * same moment everywhere. */
static void a_time_is_the_users(void **state)
{
    static const struct {
        const char *zone, *sentence, *time;
    } cases[] = {
        {"Europe/Berlin", "Remind me to pay tomorrow at 9:00", "2026-12-01T09:00:00+01:00"},
        {"Asia/Kolkata", "Remind me to pay tomorrow at 9:00", "2026-12-01T09:00:00+05:30"},
        {"America/New_York", "Remind me to pay tomorrow at 9:00", "2026-12-01T09:00:00-05:00"},
        {"Pacific/Auckland", "Remind me to pay tomorrow at 9:00", "2026-12-01T09:00:00+13:00"},
        {"Europe/Berlin", "Remind me to pay on 2027-07-01 at 9:00", "2027-07-01T09:00:00+02:00"},
        {"America/New_York", "Remind me to pay on 2027-07-01 at 9:00", "2027-07-01T09:00:00-04:00"},
        {"America/New_York", "Remind me to pay in two hours", "2026-11-30T06:00:00-05:00"},
        {"America/New_York", "Remind me to pay at 2026-12-24T18:30:00Z", "2026-12-24T18:30:00+00:00"},
    };
    char got[4096], wanted[256];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        zone = cases[i].zone;
        ask(cases[i].sentence);
        put_answer(got, sizeof got);
        snprintf(wanted, sizeof wanted, "create_alarm {\"text\":\"pay\",\"time\":\"%s\"}", cases[i].time);
        assert_string_equal(got, wanted);
    }
    zone = "Europe/Berlin";
}

/* ----------------------------------------------------------------- results */

static const struct {
    const char *content, *wanted;
} results[] = {
    {"{\"documents\":[{\"id\":\"d1\",\"title\":\"Refunds\",\"excerpt\":\"Send it back.\",\"relevance\":0.9},"
     "{\"id\":\"d2\",\"title\":\"Returns\",\"excerpt\":\"Within 30 days.\",\"relevance\":0.8},"
     "{\"id\":\"d3\",\"title\":\"Tea\",\"excerpt\":\"Boil water.\",\"relevance\":0.2}]}",
     "Send it back.\n\nSource: Refunds\n\nWithin 30 days.\n\nSource: Returns"},
    {"{\"documents\":[],\"topics\":[\"Refunds\",\"Delivery\"]}",
     "I found nothing about that. I know about: Refunds, Delivery.\n\nYou can say:\n- “remind me to …”: Set a "
     "reminder"},
    {"{\"documents\":[]}", "I found nothing about that.\n\nYou can say:\n- “remind me to …”: Set a reminder"},
    {"{\"documents\":[],\"then\":\"Back to our topic.\"}", "I found nothing about that.\n\nBack to our topic."},
    {"{\"documents\":[{\"title\":\"Tea\",\"excerpt\":\"Boil water.\"}],\"then\":\"Back to our topic.\"}",
     "Boil water.\n\nSource: Tea\n\nBack to our topic."},
    /* Passages of one source, and what they have in common. */
    {"{\"documents\":[{\"title\":\"Tea\",\"excerpt\":\"Boil the water first. Then wait.\"},"
     "{\"title\":\"Tea\",\"excerpt\":\"Boil the water first. Pour it on the leaves.\"},"
     "{\"title\":\"Coffee\",\"excerpt\":\"Boil the water first.\"}]}",
     "Boil the water first. Then wait.\n\nPour it on the leaves.\n\nSource: Tea"},
    {"The reminder is set.", "The reminder is set."},
    {"{\"ok\":true,\"message\":\"The reminder is set.\"}", "The reminder is set."},
    {"{\"temperature\":21.5,\"skyCover\":\"clear\",\"wind\":null,\"tags\":[1,2]}",
     "temperature: 21.5\nsky Cover: clear\ntags: [1,2]"},
    {"{}", "Done."},
    {"", "Done."},
    {"[1,2]", "[1,2]"},
    {"{broken", "{broken"},
};

static json_t *messages_with(const char *const *contents)
{
    json_t *messages = json_pack("[{s:s, s:s}, {s:s, s:n, s:[]}]", "role", "user", "content", "x", "role", "assistant",
                                 "content", "tool_calls");
    for (; *contents; contents++) json_array_append_new(messages, llm_tool_message("c", *contents));
    return messages;
}

static void results_are_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        const char *const contents[] = {results[i].content, NULL};
        ask_messages(messages_with(contents), TOOL_COUNT);
        if (strncmp(seen.text, results[i].wanted, strlen(results[i].wanted)) != 0)
            fail_msg("%s: wanted %s, got %s", results[i].content, results[i].wanted, seen.text);
        assert_string_equal(json_string_value(json_object_get(seen.message, "content")), seen.text);
    }
    /* Several at once, in order; the messages before them do not matter. */
    const char *const two[] = {"One.", "{\"text\":\"Two.\"}", NULL};
    ask_messages(messages_with(two), 1);
    assert_string_equal(seen.text, "One.\n\nTwo.");
}

/* Word by word, whatever it says; without tools or with calls forbidden it does not call. */
static void answers_come_word_by_word(void **state)
{
    const char *const contents[] = {"one two  three\nfour", NULL};
    (void)state;
    f.llm->config = kit_config_values(&f.config, &llm_options);
    struct llm_config paced = *f.llm->config;
    paced.local_pace_ms = 1;
    f.llm->config = &paced;
    ask_messages(messages_with(contents), 1);
    assert_string_equal(seen.log, "text one \ntext two  \ntext three\n\ntext four\nend stop by local\n");
    ask_messages(json_pack("[{s:s, s:s}]", "role", "user", "content", "remind me to run at 7"), 0);
    assert_non_null(strstr(seen.text, "I found nothing"));
    const struct llm_request request = {.messages = json_pack("[{s:s, s:[{s:s, s:s}]}]", "role", "user", "content",
                                                              "type", "text", "text", "remind me to run at 7"),
                                        .tools = list,
                                        .tool_count = 1,
                                        .no_calls = true};
    llm_forget(&seen);
    llm_ask(&seen, &request);
    llm_wait(&seen);
    assert_non_null(strstr(seen.text, "I found nothing"));
    json_decref(request.messages);
    ask_messages(json_array(), 1);
    assert_non_null(strstr(seen.text, "I found nothing"));
}

static void a_cancelled_answer_says_nothing_more(void **state)
{
    static const enum llm_event_kind kinds[] = {LLM_CALL_OPEN, LLM_CALL_READY, LLM_TEXT, LLM_END};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", i < 2 ? "weather in Rome" : "hi");
        const struct llm_request request = {.messages = messages, .tools = list, .tool_count = TOOL_COUNT};
        llm_forget(&seen);
        llm_ask(&seen, &request);
        seen.cancels = true;
        seen.cancels_at = kinds[i];
        llm_wait(&seen);
        eio_loop_turn(f.loop, 0);
        assert_int_equal(f.llm->numbers.running, 0);
        json_decref(messages);
    }
}

/* -------------------------------------------------------------- properties */

static const char *const parts[] = {"remind",
                                    "me",
                                    "to",
                                    "weather",
                                    "in",
                                    "and",
                                    "tomorrow",
                                    "at",
                                    "7",
                                    "7pm",
                                    "14:30",
                                    "2026-12-24",
                                    "T",
                                    "Z",
                                    "\"",
                                    "'",
                                    "\n",
                                    ".",
                                    "?",
                                    ",",
                                    "{",
                                    "}",
                                    "half",
                                    "past",
                                    "six",
                                    "the",
                                    "24th",
                                    "of",
                                    "May",
                                    "next",
                                    "Monday",
                                    "in",
                                    "three",
                                    "hours",
                                    "é",

                                    "\xf0\x9f\x98\x80",
                                    "我的",
                                    "a@b.example",
                                    "http://x.example/y",
                                    "no",
                                    "terrace",
                                    "-",
                                    "3.5",
                                    "1,000",
                                    "table",
                                    "for",
                                    "guests",
                                    "4",
                                    "99999999999",
                                    "00:00",
                                    "31.02.2026",
                                    "server",
                                    "echo"};

/* Whatever the words, it ends, by a text or by calls whose parameters fit their types and stand in the schema. */
static void check_args(const struct llm_seen *answer)
{
    size_t i;
    json_t *call;
    json_array_foreach(json_object_get(answer->message, "tool_calls"), i, call)
    {
        const json_t *function = json_object_get(call, "function");
        const char *name = json_string_value(json_object_get(function, "name")), *key;
        json_t *args = json_loads(json_string_value(json_object_get(function, "arguments")), 0, NULL), *value;
        size_t tool = 0;
        while (tool < TOOL_COUNT && strcmp(tools[tool].name, name) != 0) tool++;
        assert_true(tool < TOOL_COUNT && json_is_object(args));
        json_object_foreach(args, key, value)
        {
            const json_t *schema = json_object_get(json_object_get(list[tool].parameters, "properties"), key);
            const char *type = json_string_value(json_object_get(schema, "type"));
            assert_non_null(schema);
            if (type && !strcmp(type, "integer")) assert_true(json_is_integer(value));
            if (type && !strcmp(type, "string")) assert_true(json_string_length(value) > 0);
        }
        json_decref(args);
    }
}

static void any_words_have_an_answer(void **state)
{
    uint32_t random = 12345;
    char text[2048];
    (void)state;
    for (int round = 0; round < 1500; round++) {
        size_t n = 0;
        random = random * 1664525u + 1013904223u;
        for (unsigned words = random >> 27; words; words--) {
            random = random * 1664525u + 1013904223u;
            const char *part = parts[(random >> 8) % (sizeof parts / sizeof parts[0])];
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", part, random >> 30 ? " " : "");
        }
        text[n] = 0;
        json_t *content = json_string(text);
        ask_messages(json_pack("[{s:s, s:o}]", "role", "user", "content", content), TOOL_COUNT);
        assert_true(seen.text_size || strstr(seen.log, "ready "));
        check_args(&seen);
    }
}

/* A long text costs no long turn. */
static void a_long_message_is_read_in_time(void **state)
{
    static char text[200000];
    struct timespec before, after;
    (void)state;
    while (strlen(text) < sizeof text - 100) strcat(text + strlen(text), "remind me and then to weather in the table ");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    ask(text);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double ms = (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6;
    print_message("%.1f ms\n", ms);
    assert_true(ms < 500); /* with sanitizers */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sentences_call_tools),
        TEST(a_time_is_the_users),
        TEST(results_are_told),
        TEST(answers_come_word_by_word),
        TEST(a_cancelled_answer_says_nothing_more),
        TEST(any_words_have_an_answer),
        TEST(a_long_message_is_read_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
