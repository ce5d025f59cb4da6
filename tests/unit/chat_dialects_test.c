/* The dialects of plain WebSockets against the messages of the designs that they come from, word by word: what a client
 * sends becomes an event of `/chat`, and an entry of the log becomes what the design shows. */
#include "chat_dialect.h"

#include "test.h"

#include <string.h>

#define NOW_MS INT64_C(1763721000000) /* 2025-11-21T10:30:00.000Z */

/* ---------------------------------------------------------------- scripts */

struct scene {
    const struct chat_dialect *dialect;
    struct chat_voice voice;
    struct chat_out out;
    char *lines[32]; /* what was sent */
    size_t count, read;
};
static struct scene scene;

static void on_out(void *ctx, struct eio_str text)
{
    struct scene *s = ctx;
    assert_true(s->count < sizeof s->lines / sizeof s->lines[0]);
    s->lines[s->count++] = strndup(text.p, text.n);
}

static void begin(const struct chat_dialect *dialect)
{
    memset(&scene, 0, sizeof scene);
    scene.dialect = dialect;
    scene.voice.now_ms = NOW_MS;
    snprintf(scene.voice.connection_id, sizeof scene.voice.connection_id, "socket_abc");
    scene.out.fn = on_out;
    scene.out.ctx = &scene;
}

static void end(void)
{
    if (scene.read != scene.count) fail_msg("not expected: %s", scene.lines[scene.read]);
    for (size_t i = 0; i < scene.count; i++) free(scene.lines[i]);
    chat_voice_clear(&scene.voice);
}

static json_t *load(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_DECODE_ANY, &error);
    if (!json) fail_msg("%s in %s", error.text, text);
    return json;
}

/* Every member that the design shows is there, with the same value; the server may say more. An empty object, and the
 * text "...", stand for any. */
static bool shows(const json_t *shown, const json_t *actual)
{
    const char *name;
    json_t *value;
    if (json_is_string(shown) && !strcmp(json_string_value(shown), "...")) return json_is_string(actual);
    if (!json_is_object(shown)) return json_equal(shown, actual);
    json_object_foreach((json_t *)(uintptr_t)shown, name, value)
    {
        if (!shows(value, json_object_get(actual, name))) return false;
    }
    return json_is_object(actual);
}

static json_t *next_line(const char *wanted)
{
    if (scene.read == scene.count) fail_msg("nothing was sent, wanted %s", wanted);
    return load(scene.lines[scene.read++]);
}

/* The next message is as the design shows it. */
static void quote(const char *design)
{
    json_t *shown = load(design), *actual = next_line(design);
    if (!shows(shown, actual)) fail_msg("the design has %s, sent was %s", design, scene.lines[scene.read - 1]);
    json_decref(shown);
    json_decref(actual);
}

/* The next message is exactly this. */
static void exact(const char *wanted)
{
    json_decref(next_line(wanted));
    assert_string_equal(scene.lines[scene.read - 1], wanted);
}

static void hear(const char *event, int64_t seq, const char *payload)
{
    struct chat_entry entry = {.chat_id = "chat_123", .event = event, .seq = seq, .payload = eio_str(payload)};
    chat_voice_hear(&scene.voice, &entry);
    scene.dialect->put_entry(&scene.voice, &entry, &scene.out);
}

/* A client's message, as it stands in the design, is this event with this payload. */
static void says(const char *message, enum chat_wish_kind kind, const char *event, const char *payload)
{
    struct chat_wish wish = {0};
    struct kit_failure failure = {0, "", ""};
    json_t *json = chat_message_parse(eio_str(message), 32, &failure);
    assert_non_null(json);
    int code = scene.dialect->read(&scene.voice, json, &wish, &failure);
    if (code) fail_msg("%s: %d %s", message, code, failure.message);
    assert_int_equal(wish.kind, kind);
    if (event) assert_string_equal(wish.event, event);
    json_t *wanted = payload ? load(payload) : NULL;
    if (wanted && !json_equal(wanted, wish.payload))
        fail_msg("%s: wanted %s, got %s", message, payload, json_dumps(wish.payload, JSON_COMPACT));
    json_decref(wanted);
    json_decref(json);
    chat_wish_clear(&wish);
}

/* A bad message is refused with that code and field, and the dialect's error is sent. */
static void refuses(const char *message, int code, const char *field, const char *design)
{
    struct chat_wish wish = {0};
    struct kit_failure failure = {0, "", ""};
    json_t *json = chat_message_parse(eio_str(message), 32, &failure);
    if (json) scene.dialect->read(&scene.voice, json, &wish, &failure);
    if (failure.code != code || strcmp(failure.field, field))
        fail_msg("%s: %d %s %s", message, failure.code, failure.field, failure.message);
    scene.dialect->put_failure(&scene.voice, &failure, wish.ref_id, &scene.out);
    quote(design);
    json_decref(json);
    chat_wish_clear(&wish);
}

/* -------------------------------------------------- seed 000: typed events */

TEST(typed, client_messages_of_the_design)
{
    begin(&chat_typed);
    says("{ \"type\": \"chat.message\", \"content\": \"Book a meeting\", \"id\": \"msg_123\" }", CHAT_WISH_ASK,
         "chat.message", "{\"content\":\"Book a meeting\",\"id\":\"msg_123\"}");
    says("{ \"type\": \"elicitation.submit\", \"content\": { \"slot\": \"2pm\" }, \"reply_to\": \"evt_456\" }",
         CHAT_WISH_ASK, "elicitation.submit", "{\"content\":{\"slot\":\"2pm\"},\"reply_to\":\"evt_456\"}");
    says("{ \"type\": \"signal.stop\", \"content\": {} }", CHAT_WISH_ASK, "signal.stop", "{}");
    end();
}

TEST(typed, server_messages_of_the_design)
{
    begin(&chat_typed);
    hear("chat.token", 4, "{\"content\":\"Sure\",\"ref_id\":\"msg_123\",\"chat_id\":\"chat_123\",\"seq\":4}");
    exact("{\"type\":\"chat.token\",\"content\":\"Sure\",\"ref_id\":\"msg_123\"}");
    hear("tool.start", 5,
         "{\"call_id\":\"c1\",\"tool\":\"calendar_api\",\"args\":{},\"ref_id\":\"msg_123\",\"chat_id\":\"chat_123\","
         "\"seq\":5}");
    quote("{ \"type\": \"tool.start\", \"content\": { \"tool\": \"calendar_api\" } }");
    hear(
        "elicitation.start", 6,
        "{\"id\":\"evt_456\",\"mode\":\"form\",\"message\":\"When?\",\"schema\":{\"type\":\"object\"},\"ref_id\":\"msg_"
        "123\",\"chat_id\":\"chat_123\",\"seq\":6}");
    quote("{ \"type\": \"elicitation.start\", \"id\": \"evt_456\", \"content\": { \"schema\": {}, \"mode\": \"form\" } "
          "}");
    hear("chat.done", 7,
         "{\"final_text\":\"Sure\",\"is_complete\":true,\"ref_id\":\"msg_123\",\"chat_id\":\"chat_123\",\"seq\":7}");
    quote("{ \"type\": \"chat.done\", \"content\": { \"final_text\": \"...\" } }");
    end();
}

TEST(typed, other_events_go_by_their_names)
{
    begin(&chat_typed);
    says("{\"type\":\"elicitation.submit\",\"reply_to\":\"e\",\"action\":\"decline\"}", CHAT_WISH_ASK,
         "elicitation.submit", "{\"reply_to\":\"e\",\"action\":\"decline\"}");
    says("{\"type\":\"signal.stop\"}", CHAT_WISH_ASK, "signal.stop", "{}");
    says("{\"type\":\"chat.regenerate\",\"content\":{\"ref_id\":\"m\"}}", CHAT_WISH_ASK, "chat.regenerate",
         "{\"ref_id\":\"m\"}");
    says("{\"type\":\"chat.edit\",\"id\":\"m\",\"content\":\"No, this\"}", CHAT_WISH_ASK, "chat.edit",
         "{\"id\":\"m\",\"content\":\"No, this\"}");
    says("{\"type\":\"chat.history\",\"content\":{\"limit\":5}}", CHAT_WISH_ASK, "chat.history", "{\"limit\":5}");
    says("{\"type\":\"ping\"}", CHAT_WISH_PING, NULL, NULL);
    scene.dialect->put_pong(&scene.voice, &scene.out);
    exact("{\"type\":\"pong\"}");
    scene.dialect->put_answer(&scene.voice, "chat.history", eio_str("{\"ok\":true,\"messages\":[]}"), &scene.out);
    exact("{\"type\":\"chat.history\",\"content\":{\"ok\":true,\"messages\":[]}}");
    scene.dialect->put_answer(&scene.voice, "chat.message", eio_str("{\"ok\":true}"), &scene.out);
    hear("error", 9, "{\"code\":503,\"message\":\"interrupted\",\"ref_id\":\"m\",\"chat_id\":\"chat_123\",\"seq\":9}");
    exact("{\"type\":\"error\",\"content\":{\"code\":503,\"message\":\"interrupted\"},\"ref_id\":\"m\"}");
    end();
}

/* Seed 000, "Scaling": an external webhook reaches the socket of a session. */
TEST(typed, a_backends_event_is_an_event_with_its_data_as_content)
{
    begin(&chat_typed);
    scene.dialect->put_event(&scene.voice, "order.shipped", eio_str("{\"id\":7}"), &scene.out);
    exact("{\"type\":\"order.shipped\",\"content\":{\"id\":7}}");
    scene.dialect->put_event(&scene.voice, "nothing.more", (struct eio_str){NULL, 0}, &scene.out);
    exact("{\"type\":\"nothing.more\",\"content\":null}");
    end();
}

TEST(typed, a_client_that_counts_gets_the_seq)
{
    begin(&chat_typed);
    scene.voice.with_seq = true;
    hear("chat.token", 4, "{\"content\":\"\\u00fc\\n\",\"ref_id\":\"m\",\"attempt\":2,\"chat_id\":\"c\",\"seq\":4}");
    exact("{\"type\":\"chat.token\",\"content\":\"\\u00fc\\n\",\"ref_id\":\"m\",\"seq\":4}");
    hear("session.ready", 0, "{\"session_id\":\"s\",\"chat_id\":\"c\",\"seq\":4}");
    exact("{\"type\":\"session.ready\",\"content\":{\"session_id\":\"s\"}}");
    end();
}

TEST(typed, bad_messages)
{
    begin(&chat_typed);
    refuses("{\"type\":\"chat.message\",\"id\":\"m1\"}", 400, "/content",
            "{\"type\":\"error\",\"content\":{\"code\":400,\"message\":\"must be a string\"},\"ref_id\":\"m1\"}");
    refuses("{\"type\":\"chat.message\",\"id\":\"not an id\",\"content\":7}", 400, "/content",
            "{\"type\":\"error\",\"content\":{\"code\":400}}");
    refuses("{\"type\":\"elicitation.submit\",\"reply_to\":\"e\",\"content\":\"2pm\"}", 400, "/content",
            "{\"type\":\"error\",\"content\":{\"code\":400,\"message\":\"must be an object\"}}");
    refuses("{\"type\":\"connect\"}", 400, "/type",
            "{\"type\":\"error\",\"content\":{\"code\":400,\"message\":\"unknown type\"}}");
    refuses("{\"content\":\"x\"}", 400, "/type", "{\"type\":\"error\",\"content\":{\"code\":400}}");
    refuses("[1]", 400, "", "{\"type\":\"error\",\"content\":{\"code\":400}}");
    refuses("{\"type\":", 400, "", "{\"type\":\"error\",\"content\":{\"code\":400}}");
    refuses("{\"type\":\"a\\u0000b\"}", 400, "", "{\"type\":\"error\",\"content\":{\"code\":400}}");
    refuses("{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", 413, "",
            "{\"type\":\"error\",\"content\":{\"code\":413}}");
    end();
}

/* ------------------------------------------------------ seed 001: tree chat */

#define READY                                                                                              \
    "{\"session_id\":\"session_789\",\"chat_id\":\"abc-123\",\"initial_tree\":{\"root\":{\"id\":\"root\"," \
    "\"value\":\"\",\"children\":[]}},\"tree_version\":0,\"seq\":0}"

static void begin_tree(void)
{
    begin(&chat_tree_talk);
    hear("session.ready", 0, READY);
    quote("{\"type\": \"session_ready\", \"data\": {\"session_id\": \"abc-123\", \"initial_tree\": {}}}");
}

TEST(tree, a_session_begins)
{
    begin(&chat_tree_talk);
    says("{\"type\": \"init_session\", \"data\": {}}", CHAT_WISH_INIT, NULL, "{}");
    hear("session.ready", 0, READY);
    exact(
        "{\"type\":\"session_ready\",\"data\":{\"session_id\":\"abc-123\",\"initial_tree\":{\"root\":{\"id\":\"root\","
        "\"value\":\"\",\"children\":[]}},\"tree_version\":0},\"session_id\":\"abc-123\",\"timestamp\":\"2025-11-21T10:"
        "30:00.000Z\"}");
    /* "allows resuming across disconnects" */
    says("{\"type\": \"init_session\", \"data\": {}, \"session_id\": \"abc-123\"}", CHAT_WISH_INIT, NULL,
         "{\"chat_id\":\"abc-123\"}");
    says("{\"type\":\"init_session\",\"data\":{\"debug\":true}}", CHAT_WISH_INIT, NULL, "{\"want\":[\"debug\"]}");
    end();
}

TEST(tree, client_messages_of_the_design)
{
    begin_tree();
    says("{ \"type\": \"user_prompt\", \"data\": { \"prompt\": \"Add a new node with value 'Task 1' under root\" },"
         " \"session_id\": \"abc-123\" }",
         CHAT_WISH_SAY, "chat.message", "{\"content\":\"Add a new node with value 'Task 1' under root\"}");
    says("{\"type\": \"ping\"}", CHAT_WISH_PING, NULL, NULL);
    scene.dialect->put_pong(&scene.voice, &scene.out);
    quote("{\"type\": \"pong\"}");
    says("{\"type\": \"close_session\", \"data\": {}}", CHAT_WISH_CLOSE, NULL, NULL);
    says("{\"type\":\"tree_edit\",\"data\":{\"delta\":{\"action\":\"remove\",\"path\":\"/root/children/a\"}}}",
         CHAT_WISH_ASK, "tree.edit", "{\"delta\":{\"action\":\"remove\",\"path\":\"/root/children/a\"}}");
    end();
}

TEST(tree, server_messages_of_the_design)
{
    begin_tree();
    hear("chat.token", 5, "{\"content\":\"Node 'Task 1' added successfully under root.\",\"ref_id\":\"m\",\"seq\":5}");
    quote("{ \"type\": \"assistant_response\", \"data\": { \"text\": \"Node 'Task 1' added successfully under root.\","
          " \"chunk\": true }, \"session_id\": \"abc-123\" }");
    hear("chat.done", 6, "{\"final_text\":\"Node 'Task 1' added successfully under root.\",\"is_complete\":true}");
    quote("{ \"type\": \"assistant_response\", \"data\": { \"text\": \"Node 'Task 1' added successfully under root.\","
          " \"chunk\": false }, \"session_id\": \"abc-123\" }");
    hear("chat.thinking", 3,
         "{\"step\":\"Parsing prompt: Identify action 'add' and target 'root'.\",\"ref_id\":\"m\"}");
    quote("{ \"type\": \"reasoning\", \"data\": { \"steps\": [\"Parsing prompt: Identify action 'add' and target "
          "'root'.\"] }, \"session_id\": \"abc-123\" }");
    hear("debug", 0, "{\"message\":\"LLM API latency: 250ms\",\"level\":\"info\",\"chat_id\":\"abc-123\",\"seq\":3}");
    quote("{ \"type\": \"debug\", \"data\": { \"message\": \"LLM API latency: 250ms\", \"level\": \"info\" },"
          " \"session_id\": \"abc-123\" }");
    hear("tree.update", 4,
         "{\"delta\":{\"action\":\"add\",\"path\":\"/root/children\",\"node\":{\"id\":\"node-1\",\"value\":\"Task "
         "1\",\"children\":[]}},\"version\":1,\"chat_id\":\"abc-123\",\"seq\":4}");
    quote("{ \"type\": \"tree_update\", \"data\": { \"delta\": { \"action\": \"add\", \"path\": \"/root/children\","
          " \"node\": { \"id\": \"node-1\", \"value\": \"Task 1\", \"children\": [] } } }, \"session_id\": \"abc-123\" "
          "}");
    scene.dialect->put_answer(&scene.voice, "chat.history",
                              eio_str("{\"ok\":true,\"messages\":[{\"id\":1,\"type\":\"user\",\"content\":\"Hi\"},"
                                      "{\"id\":2,\"type\":\"thinking\",\"content\":\"Hm\"},"
                                      "{\"id\":3,\"type\":\"ai\",\"content\":\"Hello\"}]}"),
                              &scene.out);
    quote("{\"type\": \"chat_history\", \"data\": {\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"},"
          " {\"role\": \"assistant\", \"content\": \"Hello\"}]}}");
    end();
}

TEST(tree, errors)
{
    begin_tree();
    refuses("{\"type\":\"user_prompt\",\"data\":{\"prompt\":7}}", 400, "/data/prompt",
            "{ \"type\": \"error\", \"data\": {}, \"error\": { \"code\": 400, \"message\": \"Invalid prompt format\" },"
            " \"session_id\": \"abc-123\" }");
    refuses("{\"type\":\"user_prompt\"}", 400, "/data", "{\"type\":\"error\",\"data\":{},\"error\":{\"code\":400}}");
    refuses("{\"type\":\"init_session\",\"session_id\":\"not an id\"}", 400, "/session_id",
            "{\"type\":\"error\",\"data\":{},\"error\":{\"code\":400}}");
    hear("error", 9, "{\"code\":503,\"message\":\"interrupted\",\"ref_id\":\"m\",\"seq\":9}");
    quote("{\"type\":\"error\",\"data\":{},\"error\":{\"code\":503,\"message\":\"interrupted\"}}");
    end();
}

/* /ws/tree. */
TEST(tree, a_connection_for_the_tree_gets_the_tree_only)
{
    begin(&chat_tree_talk);
    scene.voice.tree_only = true;
    hear("session.ready", 0, READY);
    quote("{\"type\":\"session_ready\"}");
    static const char *const events[] = {"chat.token", "chat.done",  "chat.thinking",     "chat.message",
                                         "tool.start", "tool.end",   "elicitation.start", "elicitation.end",
                                         "error",      "chat.source"};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        hear(events[i], 5, "{\"content\":\"x\",\"final_text\":\"x\",\"step\":\"x\",\"id\":\"x\",\"message\":\"x\"}");
    assert_int_equal(scene.count, scene.read);
    hear("tree.update", 6, "{\"delta\":{\"action\":\"remove\",\"path\":\"/root/children/a\"},\"version\":2,\"seq\":6}");
    quote("{\"type\":\"tree_update\",\"data\":{\"delta\":{\"action\":\"remove\",\"path\":\"/root/children/a\"}}}");
    refuses("{\"type\":\"user_prompt\",\"data\":{\"prompt\":\"Hi\"}}", 400, "/type", "{\"type\":\"error\"}");
    says("{\"type\":\"ping\"}", CHAT_WISH_PING, NULL, NULL);
    end();
}

TEST(tree, a_question_is_text_too_and_other_tabs_see_the_prompt)
{
    begin_tree();
    hear("elicitation.start", 5, "{\"id\":\"e\",\"mode\":\"approval\",\"message\":\"Remove it?\",\"seq\":5}");
    quote("{\"type\":\"assistant_response\",\"data\":{\"text\":\"Remove it?\",\"chunk\":false}}");
    quote("{\"type\":\"elicitation_start\",\"data\":{\"id\":\"e\",\"mode\":\"approval\",\"message\":\"Remove it?\"}}");
    says("{\"type\":\"elicitation_response\",\"data\":{\"id\":\"e\",\"action\":\"accept\"}}", CHAT_WISH_ASK,
         "elicitation.submit", "{\"reply_to\":\"e\",\"action\":\"accept\"}");
    hear("chat.message", 6, "{\"id\":\"m2\",\"content\":\"Hi\",\"from\":\"ann\",\"seq\":6}");
    quote("{\"type\":\"user_prompt\",\"data\":{\"prompt\":\"Hi\",\"from\":\"ann\"}}");
    snprintf(scene.voice.own_id, sizeof scene.voice.own_id, "m3");
    hear("chat.message", 7, "{\"id\":\"m3\",\"content\":\"Hi\",\"from\":\"ann\",\"seq\":7}");
    end();
}

/* ------------------------------------------------------- seed 002: teaching */

TEST(teaching, messages_of_the_design)
{
    begin(&chat_teaching);
    scene.dialect->put_welcome(&scene.voice, &scene.out);
    quote("{\"type\":\"response\",\"response\":\"...\",\"mode\":\"chat\",\"current_topic\":null}");
    says("{ \"type\": \"message\", \"content\": \"user message text\" }", CHAT_WISH_SAY, "chat.message",
         "{\"content\":\"user message text\",\"queue\":true}");
    says("{\"type\":\"message\",\"content\":\"teach me about India\"}", CHAT_WISH_SAY, "chat.message",
         "{\"content\":\"teach me about India\",\"queue\":true}");
    hear("chat.token", 3, "{\"content\":\"agent response\",\"ref_id\":\"m\",\"seq\":3}");
    hear("tool.end", 4,
         "{\"call_id\":\"c\",\"ok\":true,\"result\":{\"topic\":\"Indus Valley\",\"mode\":\"teaching\"},\"seq\":4}");
    hear("chat.done", 5, "{\"final_text\":\"agent response text\",\"is_complete\":false,\"ref_id\":\"m\",\"seq\":5}");
    exact("{\"type\":\"response\",\"response\":\"agent response text\",\"mode\":\"teaching\",\"current_topic\":\"Indus "
          "Valley\",\"timestamp\":\"2025-11-21T10:30:00.000Z\"}");
    end();
}

/* Beyond the design: a client that knows it can open the passages; the response without any is the design's. */
TEST(teaching, a_response_has_its_sources)
{
    begin(&chat_teaching);
    for (int i = 0; i < 2; i++)
        hear("chat.source", 3 + i,
             "{\"doc_id\":\"d1\",\"title\":\"India\",\"excerpt\":\"In 1947\",\"ref_id\":\"m\",\"seq\":3}");
    hear("chat.done", 5, "{\"final_text\":\"1947.\",\"is_complete\":true,\"ref_id\":\"m\",\"seq\":5}");
    exact("{\"type\":\"response\",\"response\":\"1947.\",\"mode\":\"chat\",\"current_topic\":null,\"sources\":[{\"doc_"
          "id\":"
          "\"d1\",\"title\":\"India\",\"excerpt\":\"In 1947\"},{\"doc_id\":\"d1\",\"title\":\"India\",\"excerpt\":\"In "
          "1947\"}],"
          "\"timestamp\":\"2025-11-21T10:30:00.000Z\"}");
    hear("chat.done", 6, "{\"final_text\":\"More.\",\"is_complete\":true,\"ref_id\":\"m\",\"seq\":6}");
    exact("{\"type\":\"response\",\"response\":\"More.\",\"mode\":\"chat\",\"current_topic\":null,"
          "\"timestamp\":\"2025-11-21T10:30:00.000Z\"}");
    hear("chat.source", 7, "{\"doc_id\":\"d1\",\"title\":\"India\",\"excerpt\":\"In 1947\",\"seq\":7}");
    end();
}

TEST(teaching, errors_and_questions)
{
    begin(&chat_teaching);
    refuses("{\"type\":\"message\"}", 400, "/content", "{\"type\":\"error\",\"message\":\"...\",\"code\":400}");
    refuses("{\"type\":\"message\",\"content\":\"\"}", 400, "/content", "{\"type\":\"error\",\"code\":400}");
    refuses("{\"type\":\"chat.message\",\"content\":\"x\"}", 400, "/type", "{\"type\":\"error\",\"code\":400}");
    hear("error", 5, "{\"code\":503,\"message\":\"interrupted\",\"seq\":5}");
    quote("{\"type\":\"error\",\"message\":\"interrupted\",\"code\":503}");
    hear("elicitation.start", 6, "{\"id\":\"e\",\"mode\":\"form\",\"message\":\"Which topic?\",\"seq\":6}");
    quote("{\"type\":\"response\",\"response\":\"Which topic?\"}");
    end();
}

/* ---------------------------------------------------- seed 004: chat widget */

#define WIDGET_IDS                                                                                    \
    "\"session_id\":\"session_789\",\"user_chat_id\":\"chat_123\",\"user_intent_id\":\"intent_456\"," \
    "\"socket_connection_id\":\"socket_abc\",\"timestamp\":\"2025-11-21T10:30:00.000Z\"}"

static void step(const char *text)
{
    char wanted[512];
    snprintf(wanted, sizeof wanted, "{\"type\":\"thinking\",\"step\":\"%s\"}", text);
    quote(wanted);
}

/* "Example Flow" and "Add Real-time Step Updates". */
TEST(widget, the_flow_of_the_design)
{
    begin(&chat_widget);
    scene.dialect->put_welcome(&scene.voice, &scene.out);
    quote("{\"type\":\"connection\",\"socket_connection_id\":\"socket_abc\"}");
    says("{\"type\":\"message\",\"message\":\"Create alarm\",\"user_chat_id\":\"chat_123\"}", CHAT_WISH_SAY,
         "chat.message", "{\"content\":\"Create alarm\",\"chat_id\":\"chat_123\"}");
    snprintf(scene.voice.own_id, sizeof scene.voice.own_id, "m1");
    hear("session.ready", 0, "{\"session_id\":\"session_789\",\"chat_id\":\"chat_123\",\"intent_id\":\"intent_456\"}");
    step("Initializing session...");
    hear("chat.message", 1, "{\"id\":\"m1\",\"content\":\"Create alarm\",\"seq\":1}");
    step("Processing your message...");
    hear("chat.thinking", 2, "{\"step\":\"Analyzing your request...\",\"ref_id\":\"m1\",\"seq\":2}");
    exact("{\"type\":\"thinking\",\"step\":\"Analyzing your request...\"," WIDGET_IDS);
    hear("chat.thinking", 3, "{\"step\":\"Intent recognized: create_alarm\",\"ref_id\":\"m1\",\"seq\":3}");
    step("Intent recognized: create_alarm");
    hear(
        "elicitation.start", 3,
        "{\"id\":\"e1\",\"mode\":\"form\",\"message\":\"When?\",\"schema\":{\"type\":\"object\"},\"values\":{\"label\":"
        "\"Tea\"},\"source\":{\"kind\":\"tool\",\"name\":\"create_alarm\"},\"ref_id\":\"m1\",\"seq\":3}");
    step("Generating follow-up question...");
    exact("{\"type\":\"response\",\"message\":\"When?\",\"is_complete\":false," WIDGET_IDS);
    exact("{\"type\":\"component\",\"component\":\"form\",\"props\":{\"id\":\"e1\",\"mode\":\"form\",\"message\":"
          "\"When?\","
          "\"schema\":{\"type\":\"object\"},\"values\":{\"label\":\"Tea\"},\"source\":{\"kind\":\"tool\",\"name\":"
          "\"create_"
          "alarm\"}}," WIDGET_IDS);
    says("{\"type\":\"component\",\"id\":\"e1\",\"content\":{\"time\":\"07:00\"}}", CHAT_WISH_ASK, "elicitation.submit",
         "{\"reply_to\":\"e1\",\"content\":{\"time\":\"07:00\"}}");
    hear("elicitation.end", 4, "{\"id\":\"e1\",\"action\":\"accept\",\"seq\":4}");
    step("Extracting additional parameters...");
    quote("{\"type\":\"component_end\",\"id\":\"e1\",\"action\":\"accept\"}");
    hear("chat.thinking", 5, "{\"step\":\"Executing your request...\",\"seq\":5}");
    step("Executing your request...");
    hear("chat.thinking", 6, "{\"step\":\"Generating final response...\",\"seq\":6}");
    step("Generating final response...");
    hear("chat.token", 7, "{\"content\":\"Done\",\"seq\":7}");
    hear("chat.done", 8, "{\"final_text\":\"Done.\",\"is_complete\":true,\"ref_id\":\"m1\",\"seq\":8}");
    exact("{\"type\":\"response\",\"message\":\"Done.\",\"is_complete\":true," WIDGET_IDS);
    end();
}

TEST(widget, errors_and_another_attempt)
{
    begin(&chat_widget);
    refuses("{\"type\":\"message\"}", 400, "/message", "{\"type\":\"error\",\"message\":\"...\",\"code\":400}");
    refuses("{\"type\":\"message\",\"message\":\"x\",\"user_chat_id\":\"a b\"}", 400, "/user_chat_id",
            "{\"type\":\"error\",\"code\":400}");
    refuses("{\"type\":\"nonsense\"}", 400, "/type", "{\"type\":\"error\",\"code\":400}");
    hear("chat.message", 1, "{\"id\":\"m1\",\"content\":\"Create alarm\",\"attempt\":2,\"seq\":1}");
    quote("{\"type\":\"message\",\"message\":\"Create alarm\"}");
    step("Retrying intent recognition (attempt 2)...");
    hear("error", 2, "{\"code\":502,\"message\":\"the model failed\",\"seq\":2}");
    quote("{\"type\":\"error\",\"message\":\"the model failed\",\"code\":502}");
    says("{\"type\":\"component\",\"id\":\"e1\",\"action\":\"cancel\"}", CHAT_WISH_ASK, "elicitation.submit",
         "{\"reply_to\":\"e1\",\"action\":\"cancel\"}");
    says("{\"type\":\"stop\"}", CHAT_WISH_ASK, "signal.stop", "{}");
    end();
}

/* ------------------------------------------------------------ what is open */

TEST(guess, the_first_message_decides)
{
    static const struct {
        const char *message;
        const struct chat_dialect *dialect;
    } rows[] = {
        {"{\"type\":\"message\",\"content\":\"teach me\"}", &chat_teaching},
        {"{\"type\":\"chat.message\",\"content\":\"x\",\"id\":\"m\"}", &chat_typed},
        {"{\"type\":\"signal.stop\"}", &chat_typed},
        {"{\"no\":\"type\"}", &chat_typed},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *message = load(rows[i].message);
        assert_ptr_equal(chat_dialect_guess(message), rows[i].dialect);
        json_decref(message);
    }
    assert_ptr_equal(chat_dialect_named("widget"), &chat_widget);
    assert_null(chat_dialect_named("other"));
}

/* "In dialects 002 and 004 the text is first tried as an answer to the form." */
TEST(question, a_text_answers_the_one_thing_that_is_missing)
{
    static const struct {
        const char *mode, *schema, *values, *text, *answer; /* answer NULL: it is none */
    } rows[] = {
#define ONE(type) \
    "{\"type\":\"object\",\"properties\":{\"a\":{" type "},\"b\":{\"type\":\"string\"}},\"required\":[\"a\"]}"
        {"form", ONE("\"type\":\"string\""), NULL, "7 in the morning", "{\"content\":{\"a\":\"7 in the morning\"}}"},
        {"form", ONE("\"type\":\"string\",\"format\":\"date-time\""), NULL, "2099-01-01T07:00:00Z",
         "{\"content\":{\"a\":\"2099-01-01T07:00:00Z\"}}"},
        {"form", ONE("\"type\":\"string\",\"format\":\"date-time\""), NULL, "Create another alarm", NULL},
        {"form", ONE("\"type\":\"integer\""), NULL, " 7. ", "{\"content\":{\"a\":7}}"},
        {"form", ONE("\"type\":\"integer\""), NULL, "seven", NULL},
        {"form", ONE("\"type\":\"integer\""), NULL, "99999999999999999999", NULL},
        {"form", ONE("\"type\":\"number\""), NULL, "7.5", "{\"content\":{\"a\":7.5}}"},
        {"form", ONE("\"type\":\"number\""), NULL, "nan", NULL},
        {"form", ONE("\"type\":\"boolean\""), NULL, "Yes!", "{\"content\":{\"a\":true}}"},
        {"form", ONE("\"type\":\"boolean\""), NULL, "no", "{\"content\":{\"a\":false}}"},
        {"form", ONE("\"type\":\"string\",\"enum\":[\"red\",\"blue\"]"), NULL, "Blue",
         "{\"content\":{\"a\":\"blue\"}}"},
        {"form", ONE("\"type\":\"string\",\"enum\":[\"red\",\"blue\"]"), NULL, "green", NULL},
        {"form", ONE("\"type\":\"string\",\"oneOf\":[{\"const\":\"r\",\"title\":\"Red\"}]"), NULL, "red",
         "{\"content\":{\"a\":\"r\"}}"},
        {"form", ONE("\"type\":\"array\""), NULL, "x", NULL},
        {"form", ONE("\"type\":\"string\""), "{\"b\":\"known\"}", "x", "{\"content\":{\"a\":\"x\",\"b\":\"known\"}}"},
        {"form", ONE("\"type\":\"string\""), "{\"a\":\"known\"}", "x", NULL},
        {"form",
         "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"string\"}},"
         "\"required\":[\"a\",\"b\"]}",
         NULL, "x", NULL},
        {"form", ONE("\"type\":\"string\""), NULL, "Never mind.", "{\"action\":\"cancel\"}"},
        {"approval", NULL, NULL, "yes", "{\"action\":\"accept\"}"},
        {"approval", NULL, NULL, "No", "{\"action\":\"decline\"}"},
        {"approval", NULL, NULL, "what is this?", NULL},
        {"url", NULL, NULL, "ok", "{\"action\":\"accept\"}"},
        {"url", NULL, NULL, "cancel", "{\"action\":\"cancel\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct chat_question_open question = {.id = "e"};
        snprintf(question.mode, sizeof question.mode, "%s", rows[i].mode);
        if (rows[i].schema) question.schema = load(rows[i].schema);
        if (rows[i].values) question.values = load(rows[i].values);
        json_t *answer = chat_answer_of_text(&question, rows[i].text);
        json_t *wanted = rows[i].answer ? load(rows[i].answer) : NULL;
        if (!answer != !wanted || (wanted && !json_equal(answer, wanted)))
            fail_msg("row %zu, \"%s\": %s", i, rows[i].text, answer ? json_dumps(answer, JSON_COMPACT) : "none");
        json_decref(answer);
        json_decref(wanted);
        json_decref(question.schema);
        json_decref(question.values);
    }
    struct chat_question_open none = {.id = ""};
    assert_null(chat_answer_of_text(&none, "yes"));
}

TEST(question, the_voice_knows_which_one_waits)
{
    begin(&chat_teaching);
    struct chat_entry ready = {.event = "session.ready",
                               .payload = eio_str("{\"session_id\":\"s\",\"chat_id\":\"c\",\"pending\":[{\"id\":\"e0\","
                                                  "\"mode\":\"form\"},{\"id\":\"e1\",\"mode\":\"approval\"}]}")};
    chat_voice_hear(&scene.voice, &ready);
    assert_string_equal(scene.voice.question.id, "e1");
    struct chat_entry other = {.event = "elicitation.end", .payload = eio_str("{\"id\":\"e0\",\"action\":\"expire\"}")};
    chat_voice_hear(&scene.voice, &other);
    assert_string_equal(scene.voice.question.mode, "approval");
    struct chat_entry start = {.event = "elicitation.start",
                               .payload =
                                   eio_str("{\"id\":\"e2\",\"mode\":\"form\",\"schema\":{\"type\":\"object\"}}")};
    chat_voice_hear(&scene.voice, &start);
    assert_non_null(scene.voice.question.schema);
    struct chat_entry gone = {.event = "elicitation.end", .payload = eio_str("{\"id\":\"e2\",\"action\":\"cancel\"}")};
    chat_voice_hear(&scene.voice, &gone);
    assert_string_equal(scene.voice.question.id, "");
    assert_null(scene.voice.question.schema);
    end();
}

/* Texts longer than what is kept of them are cut between characters. */
TEST(fields, are_found_and_cut)
{
    char out[8];
    struct eio_str object = eio_str("{\"a\":\"\\u00e4\\u00e4\\u00e4\\u00e4\\u00e4\",\"b\":7,\"c\":\"\",\"a2\":true}");
    chat_copy_field(out, sizeof out, object, "a");
    assert_string_equal(out, "äää");
    chat_copy_field(out, sizeof out, object, "b");
    assert_string_equal(out, "");
    chat_copy_field(out, sizeof out, object, "c");
    assert_string_equal(out, "");
    assert_true(chat_field_is_true(object, "a2"));
    assert_false(chat_field_is_true(object, "a"));
    assert_int_equal(chat_field(object, "d").n, 0);
    assert_int_equal(chat_field(eio_str("7"), "d").n, 0);
}

TEST_MAIN
