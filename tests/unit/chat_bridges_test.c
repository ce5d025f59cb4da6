/* The bridges as tables: a body becomes events of `/chat`, entries of a log become the other protocol's stream. */
#include "chat_bridge.h"

#include "test.h"

#include <string.h>

static char told[16384];
static struct chat_teller teller;
static struct chat_out out;

static void on_out(void *ctx, struct eio_str text)
{
    size_t n = strlen(told);
    (void)ctx;
    assert_true(n + text.n + 2 < sizeof told);
    memcpy(told + n, text.p, text.n);
    strcpy(told + n + text.n, "\n");
}

static void begin(const struct chat_bridge *bridge)
{
    told[0] = 0;
    out = (struct chat_out){.fn = on_out};
    chat_teller_init(&teller, bridge);
    snprintf(teller.chat_id, sizeof teller.chat_id, "c1");
    snprintf(teller.run_id, sizeof teller.run_id, "r1");
    snprintf(teller.ref_id, sizeof teller.ref_id, "m1");
}

static void start(const char *ready)
{
    teller.bridge->begin(&teller, eio_str(ready), &out);
}

static void hear(const char *event, const char *payload)
{
    struct chat_entry entry = {.chat_id = "c1", .event = event, .seq = 1, .payload = eio_str(payload)};
    chat_teller_hear(&teller, &entry, &out);
}

/* What was told since the last look is exactly this. */
static void tells(const char *wanted)
{
    assert_string_equal(told, wanted);
    told[0] = 0;
}

static void end(void)
{
    tells("");
    chat_teller_clear(&teller);
}

#define REF ",\"ref_id\":\"m1\",\"chat_id\":\"c1\",\"seq\":7}"

/* ----------------------------------------------------------------- AI SDK */

TEST(ui, a_turn_with_a_tool)
{
    begin(&chat_ui);
    start("{}");
    tells("{\"type\":\"start\",\"messageId\":\"answer_m1\"}\n{\"type\":\"start-step\"}\n");
    hear("chat.message", "{\"id\":\"m1\",\"content\":\"Hi\",\"chat_id\":\"c1\",\"seq\":1}");
    hear("chat.token", "{\"content\":\"not this turn\",\"ref_id\":\"m0\"}");
    tells("");
    hear("chat.thinking", "{\"step\":\"Analyzing your request...\"" REF);
    tells("{\"type\":\"data-thinking\",\"data\":{\"step\":\"Analyzing your request...\"}}\n");
    hear("chat.reasoning", "{\"content\":\"Hm\"" REF);
    tells("{\"type\":\"reasoning-start\",\"id\":\"reasoning1\"}\n"
          "{\"type\":\"reasoning-delta\",\"id\":\"reasoning1\",\"delta\":\"Hm\"}\n");
    hear("tool.start", "{\"call_id\":\"k\",\"tool\":\"search\",\"title\":\"Search\",\"args\":{\"q\":\"a\"}" REF);
    tells("{\"type\":\"reasoning-end\",\"id\":\"reasoning1\"}\n"
          "{\"type\":\"tool-input-available\",\"toolCallId\":\"k\",\"toolName\":\"search\",\"input\":{\"q\":\"a\"},"
          "\"title\":\"Search\",\"dynamic\":true}\n");
    hear("tool.progress", "{\"call_id\":\"k\",\"progress\":1" REF);
    tells("{\"type\":\"data-tool-progress\",\"id\":\"k\",\"data\":{\"call_id\":\"k\",\"progress\":1}}\n");
    hear("tool.end", "{\"call_id\":\"k\",\"tool\":\"search\",\"ok\":true,\"result\":{\"n\":2}" REF);
    tells("{\"type\":\"tool-output-available\",\"toolCallId\":\"k\",\"output\":{\"n\":2},\"dynamic\":true}\n");
    hear("chat.source", "{\"doc_id\":\"d\",\"title\":\"T\",\"excerpt\":\"E\"" REF);
    tells("{\"type\":\"source-document\",\"sourceId\":\"d\",\"mediaType\":\"text/plain\",\"title\":\"T\","
          "\"providerMetadata\":{\"parley\":{\"excerpt\":\"E\"}}}\n");
    hear("chat.token", "{\"content\":\"Su\"" REF);
    hear("chat.token", "{\"content\":\"re\"" REF);
    tells("{\"type\":\"text-start\",\"id\":\"text2\"}\n{\"type\":\"text-delta\",\"id\":\"text2\",\"delta\":\"Su\"}\n"
          "{\"type\":\"text-delta\",\"id\":\"text2\",\"delta\":\"re\"}\n");
    hear("tree.update", "{\"delta\":{\"action\":\"remove\",\"path\":\"/root/children/a\"},\"version\":3,\"seq\":8}");
    tells(
        "{\"type\":\"text-end\",\"id\":\"text2\"}\n{\"type\":\"data-tree\",\"data\":{\"delta\":{\"action\":\"remove\","
        "\"path\":\"/root/children/a\"},\"version\":3}}\n");
    hear("chat.done", "{\"final_text\":\"Sure\",\"is_complete\":true,\"usage\":{\"input_tokens\":1}" REF);
    tells("{\"type\":\"finish-step\"}\n{\"type\":\"finish\",\"finishReason\":\"stop\",\"messageMetadata\":{\"usage\":"
          "{\"input_tokens\":1}}}\n");
    assert_true(teller.is_over);
    hear("chat.token", "{\"content\":\"late\"" REF);
    end();
}

TEST(ui, failures_stops_and_answers_that_were_not_streamed)
{
    begin(&chat_ui);
    hear("tool.end", "{\"call_id\":\"k\",\"tool\":\"t\",\"ok\":false,\"text\":\"no\"" REF);
    tells("{\"type\":\"tool-input-available\",\"toolCallId\":\"k\",\"toolName\":\"t\",\"input\":{},\"dynamic\":true}\n"
          "{\"type\":\"tool-output-error\",\"toolCallId\":\"k\",\"errorText\":\"no\",\"dynamic\":true}\n");
    hear("chat.token", "{\"content\":\"Su\"" REF);
    tells("{\"type\":\"text-start\",\"id\":\"text1\"}\n{\"type\":\"text-delta\",\"id\":\"text1\",\"delta\":\"Su\"}\n");
    hear("error", "{\"code\":503,\"message\":\"interrupted\"" REF);
    tells("{\"type\":\"text-end\",\"id\":\"text1\"}\n{\"type\":\"error\",\"errorText\":\"interrupted\"}\n");
    end();
    begin(&chat_ui);
    hear("chat.done", "{\"final_text\":\"by hand\",\"is_complete\":true,\"by\":\"sue\"" REF);
    tells(
        "{\"type\":\"text-start\",\"id\":\"text1\"}\n{\"type\":\"text-delta\",\"id\":\"text1\",\"delta\":\"by hand\"}\n"
        "{\"type\":\"text-end\",\"id\":\"text1\"}\n{\"type\":\"finish-step\"}\n"
        "{\"type\":\"finish\",\"finishReason\":\"stop\"}\n");
    end();
    begin(&chat_ui);
    hear("chat.done", "{\"final_text\":\"\",\"is_complete\":false,\"stopped\":true" REF);
    tells("{\"type\":\"abort\",\"reason\":\"stopped\"}\n");
    end();
}

#define APPROVAL                                                                                               \
    "{\"id\":\"e1\",\"mode\":\"approval\",\"message\":\"Remove?\",\"call_id\":\"k\",\"tool\":\"remove_node\"," \
    "\"args\":{\"id\":\"a\"}"

TEST(ui, an_approval_is_a_request_and_the_stream_waits)
{
    begin(&chat_ui);
    hear("tool.start", "{\"call_id\":\"other\",\"tool\":\"t\"" REF);
    told[0] = 0;
    hear("elicitation.start", APPROVAL REF);
    tells(
        "{\"type\":\"data-elicitation\",\"id\":\"e1\",\"data\":{\"id\":\"e1\",\"mode\":\"approval\",\"message\":"
        "\"Remove?\","
        "\"call_id\":\"k\",\"tool\":\"remove_node\",\"args\":{\"id\":\"a\"}}}\n"
        "{\"type\":\"tool-input-available\",\"toolCallId\":\"k\",\"toolName\":\"remove_node\",\"input\":{\"id\":\"a\"},"
        "\"dynamic\":true}\n"
        "{\"type\":\"tool-approval-request\",\"approvalId\":\"e1\",\"toolCallId\":\"k\"}\n");
    assert_false(chat_teller_waits(&teller)); /* another tool still runs */
    hear("tool.end", "{\"call_id\":\"other\",\"ok\":true" REF);
    assert_true(chat_teller_waits(&teller));
    told[0] = 0;
    teller.bridge->wait(&teller, &out);
    tells("{\"type\":\"finish-step\"}\n{\"type\":\"finish\",\"finishReason\":\"tool-calls\"}\n");
    hear("elicitation.end", "{\"id\":\"e1\",\"action\":\"decline\"" REF);
    assert_false(chat_teller_waits(&teller));
    tells("{\"type\":\"data-elicitation\",\"id\":\"e1\",\"data\":{\"id\":\"e1\",\"mode\":\"approval\",\"message\":"
          "\"Remove?\","
          "\"call_id\":\"k\",\"tool\":\"remove_node\",\"args\":{\"id\":\"a\"},\"action\":\"decline\"}}\n"
          "{\"type\":\"tool-output-denied\",\"toolCallId\":\"k\"}\n");
    end();
}

static json_t *load(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!json) fail_msg("not JSON: %s", text);
    return json;
}

struct body {
    const char *text;
    int code;
    const char *wanted; /* {message, again, answers, chat, run} */
};

static void read_bodies(const struct chat_bridge *bridge, const struct body *bodies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct chat_wanted wanted = {0};
        struct kit_failure failure = {0, "", ""};
        json_t *body = chat_body_parse(eio_str(bodies[i].text), 32, 200, &failure);
        int code = body ? bridge->read(body, &wanted, &failure) : failure.code;
        if (code != bodies[i].code) fail_msg("%s: %d %s", bodies[i].text, code, failure.message);
        json_t *got = json_pack("{s:O*, s:O*, s:O*}", "message", wanted.message, "again", wanted.again, "answers",
                                wanted.answers);
        if (wanted.chat_id[0]) json_object_set_new(got, "chat", json_string(wanted.chat_id));
        if (wanted.run_id[0]) json_object_set_new(got, "run", json_string(wanted.run_id));
        json_t *expected = load(bodies[i].wanted ? bodies[i].wanted : "{}");
        if (!code && !json_equal(got, expected))
            fail_msg("%s: wanted %s, got %s", bodies[i].text, bodies[i].wanted, json_dumps(got, JSON_COMPACT));
        json_decref(got);
        json_decref(expected);
        json_decref(body);
        chat_wanted_clear(&wanted);
    }
}

#define FIFTY "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LONG FIFTY FIFTY FIFTY FIFTY

/* No tree is made of a conversation, nor of parts beyond a number. */
TEST(ui, long_bodies)
{
    size_t size = 0;
    char *text = NULL;
    struct kit_failure failure = {0, "", ""};
    FILE *file = open_memstream(&text, &size);
    fprintf(file, "{\"messages\":[");
    for (int i = 0; i < 5000; i++) fprintf(file, "{\"role\":\"assistant\",\"parts\":[1,2,3]},");
    fprintf(file, "{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"text\":\"Hi\"}");
    long end = ftell(file);
    fprintf(file, "]}]}");
    fflush(file);
    json_t *body = chat_body_parse((struct eio_str){text, size}, 32, 200, &failure);
    assert_int_equal(json_array_size(json_object_get(body, "messages")), 1);
    json_decref(body);
    fseek(file, end, SEEK_SET);
    for (int i = 0; i < 5000; i++) fprintf(file, ",{\"type\":\"text\",\"text\":\"Hi\"}");
    fprintf(file, "]}]}");
    fflush(file);
    assert_null(chat_body_parse((struct eio_str){text, size}, 32, 200, &failure));
    assert_int_equal(failure.code, 413);
    fclose(file);
    free(text);
}

TEST(ui, bodies)
{
#define SAID                                                                                                         \
    "{\"id\":\"m1\",\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"text\":\"Hi\"},{\"type\":\"file\"},{\"type\":" \
    "\"text\",\"text\":\"you\"}]}"
    static const struct body bodies[] = {
        {"{\"id\":\"c\",\"trigger\":\"submit-message\",\"messages\":[" SAID "]}", 0,
         "{\"message\":{\"id\":\"m1\",\"content\":\"Hi\\nyou\"}}"},
        {"{\"trigger\":\"regenerate-message\",\"messageId\":\"answer_m1\",\"messages\":[" SAID "]}", 0,
         "{\"again\":{\"ref_id\":\"m1\"}}"},
        {"{\"trigger\":\"submit-message\",\"messages\":[" SAID
         ",{\"id\":\"answer_m1\",\"role\":\"assistant\",\"parts\":["
         "{\"type\":\"dynamic-tool\",\"state\":\"approval-responded\",\"approval\":{\"id\":\"e1\",\"approved\":false}},"
         "{\"type\":\"dynamic-tool\",\"state\":\"approval-responded\",\"approval\":{\"id\":\"e2\",\"approved\":true}},"
         "{\"type\":\"dynamic-tool\",\"state\":\"output-available\",\"approval\":{\"id\":\"e0\",\"approved\":true}}]}]"
         "}",
         0,
         "{\"answers\":[{\"id\":\"e1\",\"status\":\"resolved\",\"action\":\"decline\"},{\"id\":\"e2\",\"status\":"
         "\"resolved\",\"action\":\"accept\"}]}"},
        {"{\"messages\":[" SAID "],\"elicitation\":{\"reply_to\":\"e1\",\"content\":{\"a\":1}}}", 0,
         "{\"answers\":[{\"id\":\"e1\",\"payload\":{\"a\":1}}]}"},
        {"{\"messages\":[" SAID ",{\"id\":\"m2\",\"role\":\"user\",\"parts\":[]}]}", 400, NULL},
        {"{\"time_zone\":\"Asia/Kolkata\",\"messages\":[" SAID "]}", 0,
         "{\"message\":{\"id\":\"m1\",\"content\":\"Hi\\nyou\",\"time_zone\":\"Asia/Kolkata\"}}"},
        {"{\"messages\":[" SAID "],\"elicitation\":{\"reply_to\":\"e1\",\"content\":{\"a\":\"" LONG "\"}}}", 413, NULL},
        {"{\"messages\":[{\"role\":\"user\",\"parts\":[{\"type\":\"file\",\"url\":\"" LONG
         "\"},{\"type\":\"text\",\"text\":\"Hi\"}]}],\"more\":\"" LONG "\"}",
         0, "{\"message\":{\"content\":\"Hi\"}}"},
        {"{\"messages\":[]}", 400, NULL},
        {"{\"messages\":[7]}", 400, NULL},
        {"{\"messages\":7}", 400, NULL},
        {"{}", 400, NULL},
        {"[]", 400, NULL},
    };
    read_bodies(&chat_ui, bodies, sizeof bodies / sizeof bodies[0]);
}

/* ------------------------------------------------------------------ AG-UI */

TEST(agui, a_turn_with_a_tool)
{
    begin(&chat_agui);
    start("{\"initial_tree\":{\"root\":{\"id\":\"root\"}}}");
    tells("{\"type\":\"RUN_STARTED\",\"threadId\":\"c1\",\"runId\":\"r1\"}\n"
          "{\"type\":\"STATE_SNAPSHOT\",\"snapshot\":{\"tree\":{\"root\":{\"id\":\"root\"}}}}\n");
    hear("chat.thinking", "{\"step\":\"One\"" REF);
    hear("chat.thinking", "{\"step\":\"Two\"" REF);
    tells("{\"type\":\"STEP_STARTED\",\"stepName\":\"One\"}\n{\"type\":\"STEP_FINISHED\",\"stepName\":\"One\"}\n"
          "{\"type\":\"STEP_STARTED\",\"stepName\":\"Two\"}\n");
    hear("chat.reasoning", "{\"content\":\"Hm\"" REF);
    tells("{\"type\":\"REASONING_START\",\"messageId\":\"answer_m1.1\"}\n"
          "{\"type\":\"REASONING_MESSAGE_START\",\"messageId\":\"answer_m1.1\",\"role\":\"reasoning\"}\n"
          "{\"type\":\"REASONING_MESSAGE_CONTENT\",\"messageId\":\"answer_m1.1\",\"delta\":\"Hm\"}\n");
    hear("tool.start", "{\"call_id\":\"k\",\"tool\":\"search\",\"args\":{\"q\":\"\\u00fc\"}" REF);
    tells("{\"type\":\"REASONING_MESSAGE_END\",\"messageId\":\"answer_m1.1\"}\n"
          "{\"type\":\"REASONING_END\",\"messageId\":\"answer_m1.1\"}\n"
          "{\"type\":\"TOOL_CALL_START\",\"toolCallId\":\"k\",\"toolCallName\":\"search\"}\n"
          "{\"type\":\"TOOL_CALL_ARGS\",\"toolCallId\":\"k\",\"delta\":\"{\\\"q\\\":\\\"\\\\u00fc\\\"}\"}\n"
          "{\"type\":\"TOOL_CALL_END\",\"toolCallId\":\"k\"}\n");
    hear("tool.end", "{\"call_id\":\"k\",\"tool\":\"search\",\"ok\":true,\"result\":{\"n\":2}" REF);
    tells(
        "{\"type\":\"TOOL_CALL_RESULT\",\"messageId\":\"result_k\",\"toolCallId\":\"k\",\"content\":\"{\\\"n\\\":2}\","
        "\"role\":\"tool\"}\n");
    hear("chat.token", "{\"content\":\"\"" REF);
    tells("");
    hear("chat.token", "{\"content\":\"Su\"" REF);
    tells("{\"type\":\"TEXT_MESSAGE_START\",\"messageId\":\"answer_m1.2\",\"role\":\"assistant\"}\n"
          "{\"type\":\"TEXT_MESSAGE_CONTENT\",\"messageId\":\"answer_m1.2\",\"delta\":\"Su\"}\n");
    hear("tree.update", "{\"delta\":{},\"version\":2,\"patch\":[{\"op\":\"remove\",\"path\":\"/tree\"}]" REF);
    tells("{\"type\":\"STATE_DELTA\",\"delta\":[{\"op\":\"remove\",\"path\":\"/tree\"}]}\n");
    hear("chat.done", "{\"final_text\":\"Su\",\"is_complete\":true" REF);
    tells("{\"type\":\"TEXT_MESSAGE_END\",\"messageId\":\"answer_m1.2\"}\n{\"type\":\"STEP_FINISHED\",\"stepName\":"
          "\"Two\"}\n"
          "{\"type\":\"RUN_FINISHED\",\"threadId\":\"c1\",\"runId\":\"r1\",\"outcome\":{\"type\":\"success\"}}\n");
    end();
}

TEST(agui, questions_are_interrupts)
{
    begin(&chat_agui);
    hear("elicitation.start", APPROVAL REF);
    hear("elicitation.start",
         "{\"id\":\"e2\",\"mode\":\"form\",\"message\":\"When?\",\"schema\":{\"type\":\"object\"},\"values\":{\"a\":1},"
         "\"expires_at\":\"2026-01-01T00:00:00.000Z\"" REF);
    tells("{\"type\":\"TOOL_CALL_START\",\"toolCallId\":\"k\",\"toolCallName\":\"remove_node\"}\n"
          "{\"type\":\"TOOL_CALL_ARGS\",\"toolCallId\":\"k\",\"delta\":\"{\\\"id\\\":\\\"a\\\"}\"}\n"
          "{\"type\":\"TOOL_CALL_END\",\"toolCallId\":\"k\"}\n");
    assert_true(chat_teller_waits(&teller));
    teller.bridge->wait(&teller, &out);
    tells("{\"type\":\"RUN_FINISHED\",\"threadId\":\"c1\",\"runId\":\"r1\",\"outcome\":{\"type\":\"interrupt\","
          "\"interrupts\":["
          "{\"id\":\"e1\",\"reason\":\"tool_call\",\"message\":\"Remove?\",\"toolCallId\":\"k\",\"metadata\":{\"mode\":"
          "\"approval\",\"tool\":\"remove_node\",\"args\":{\"id\":\"a\"}}},"
          "{\"id\":\"e2\",\"reason\":\"input_required\",\"message\":\"When?\",\"responseSchema\":{\"type\":\"object\"},"
          "\"expiresAt\":\"2026-01-01T00:00:00.000Z\",\"metadata\":{\"mode\":\"form\",\"values\":{\"a\":1}}}]}}\n");
    end();
    /* The next run knows the call. */
    begin(&chat_agui);
    teller.ref_id[0] = 0;
    chat_teller_hear_ready(&teller, eio_str("{\"pending\":[" APPROVAL ",\"ref_id\":\"m1\"}]}"));
    assert_string_equal(teller.ref_id, "m1");
    assert_true(chat_teller_waits(&teller));
    hear("elicitation.end", "{\"id\":\"e1\",\"action\":\"accept\"" REF);
    tells("{\"type\":\"CUSTOM\",\"name\":\"elicitation.end\",\"value\":{\"id\":\"e1\",\"action\":\"accept\"}}\n");
    assert_false(chat_teller_waits(&teller));
    hear("tool.start", "{\"call_id\":\"k\",\"tool\":\"remove_node\",\"args\":{}" REF);
    tells("");
    hear("tool.end", "{\"call_id\":\"k\",\"tool\":\"remove_node\",\"ok\":false,\"text\":\"no\"" REF);
    tells("{\"type\":\"TOOL_CALL_RESULT\",\"messageId\":\"result_k\",\"toolCallId\":\"k\",\"content\":\"no\",\"role\":"
          "\"tool\"}\n");
    hear("error", "{\"code\":504,\"message\":\"timeout\"" REF);
    tells("{\"type\":\"RUN_ERROR\",\"message\":\"timeout\",\"code\":\"504\"}\n");
    end();
}

TEST(agui, a_stop_is_a_cancelled_run_and_attempts_are_apart)
{
    begin(&chat_agui);
    teller.attempt = 2;
    hear("chat.token", "{\"content\":\"old\"" REF);
    hear("chat.token", "{\"content\":\"new\",\"attempt\":2" REF);
    tells("{\"type\":\"TEXT_MESSAGE_START\",\"messageId\":\"answer_m1_2.1\",\"role\":\"assistant\"}\n"
          "{\"type\":\"TEXT_MESSAGE_CONTENT\",\"messageId\":\"answer_m1_2.1\",\"delta\":\"new\"}\n");
    hear("chat.done", "{\"final_text\":\"old\"" REF);
    hear("chat.done", "{\"final_text\":\"new\",\"stopped\":true,\"attempt\":2" REF);
    tells("{\"type\":\"TEXT_MESSAGE_END\",\"messageId\":\"answer_m1_2.1\"}\n"
          "{\"type\":\"RUN_FINISHED\",\"threadId\":\"c1\",\"runId\":\"r1\",\"outcome\":{\"type\":\"cancelled\"}}\n");
    end();
}

TEST(agui, bodies)
{
#define RUN "\"threadId\":\"c1\",\"runId\":\"r1\",\"tools\":[],\"context\":[]"
    static const struct body bodies[] = {
        {"{" RUN ",\"messages\":[{\"id\":\"m1\",\"role\":\"user\",\"content\":\"Hi\"}]}", 0,
         "{\"chat\":\"c1\",\"run\":\"r1\",\"message\":{\"id\":\"m1\",\"content\":\"Hi\"}}"},
        {"{" RUN ",\"messages\":[{\"id\":\"m1\",\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Hi\"}]}]}",
         0, "{\"chat\":\"c1\",\"run\":\"r1\",\"message\":{\"id\":\"m1\",\"content\":\"Hi\"}}"},
        {"{" RUN
         ",\"messages\":[{\"id\":\"m1\",\"role\":\"user\",\"content\":\"Hi\"}],\"forwardedProps\":{\"more\":\"" LONG
         "\",\"time_zone\":\"Asia/Kathmandu\"}}",
         0,
         "{\"chat\":\"c1\",\"run\":\"r1\",\"message\":{\"id\":\"m1\",\"content\":\"Hi\",\"time_zone\":\"Asia/"
         "Kathmandu\"}}"},
        {"{" RUN ",\"messages\":[],\"resume\":[{\"interruptId\":\"e1\",\"status\":\"resolved\",\"payload\":{\"a\":1}},"
         "{\"interruptId\":\"e2\",\"status\":\"cancelled\"}]}",
         0,
         "{\"chat\":\"c1\",\"run\":\"r1\",\"answers\":[{\"id\":\"e1\",\"status\":\"resolved\",\"payload\":{\"a\":1}},"
         "{\"id\":\"e2\",\"status\":\"cancelled\"}]}"},
        {"{" RUN ",\"messages\":[],\"resume\":[7]}", 400, NULL},
        {"{" RUN ",\"messages\":[]}", 400, NULL},
        {"{" RUN ",\"messages\":[{\"id\":\"m\",\"role\":\"assistant\",\"content\":\"Hi\"}]}", 400, NULL},
        {"{" RUN ",\"messages\":[{\"id\":\"m\",\"role\":\"user\",\"content\":\"\"}]}", 400, NULL},
        {"{\"threadId\":\"a b\",\"runId\":\"r\",\"messages\":[]}", 400, NULL},
        {"{\"runId\":\"r\",\"messages\":[]}", 400, NULL},
    };
    read_bodies(&chat_agui, bodies, sizeof bodies / sizeof bodies[0]);
}

TEST(agui, answers)
{
    static const struct {
        const char *answer, *question, *submitted;
    } rows[] = {
        {"{\"id\":\"e\",\"status\":\"resolved\",\"payload\":{\"a\":1}}", "{\"mode\":\"form\"}",
         "{\"reply_to\":\"e\",\"content\":{\"a\":1}}"},
        {"{\"id\":\"e\",\"status\":\"cancelled\"}", "{\"mode\":\"form\"}",
         "{\"reply_to\":\"e\",\"action\":\"cancel\"}"},
        {"{\"id\":\"e\",\"status\":\"resolved\"}", "{\"mode\":\"approval\"}",
         "{\"reply_to\":\"e\",\"action\":\"accept\"}"},
        {"{\"id\":\"e\",\"status\":\"resolved\",\"payload\":{\"approved\":false}}", "{\"mode\":\"approval\"}",
         "{\"reply_to\":\"e\",\"action\":\"decline\"}"},
        {"{\"id\":\"e\",\"status\":\"resolved\",\"payload\":false}", "{\"mode\":\"url\"}",
         "{\"reply_to\":\"e\",\"action\":\"decline\"}"},
        {"{\"id\":\"e\",\"status\":\"resolved\",\"payload\":{\"a\":1}}", "",
         "{\"reply_to\":\"e\",\"content\":{\"a\":1}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *answer = load(rows[i].answer), *wanted = load(rows[i].submitted);
        json_t *got = chat_agui.read_answer(answer, eio_str(rows[i].question));
        if (!json_equal(got, wanted)) fail_msg("row %zu: %s", i, json_dumps(got, JSON_COMPACT));
        json_decref(answer);
        json_decref(wanted);
        json_decref(got);
    }
}

TEST_MAIN
