/* The orchestrator on a whole application without clients: tools of the test, which the embedded model finds by their
 * phrases; what comes of it is read out of the log. */
#include "kit_fixture.h"

#include "chat_nodes.h"
#include "chat_room.h"
#include "chat_toolbox.h"
#include "chat_turn.h"

#include <pthread.h>
#include <time.h>

enum { HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS };

static struct {
    struct kit_config config;
    char data[64];
    struct app *app;
    struct chat *chat;
    struct kit_claims *claims;
    struct chat_peer *peer, *newcomer;
    json_t *log; /* [{event, …}] of the chat */
    json_t *newcomer_log;
    json_t *answer;
    int code;
    int started, resumed, cancelled, changing;
    struct chat_tool_call *call; /* of the tool that takes its time */
} f;

/* -------------------------------------------------------------------- tools */

static void start_echo(struct chat_tool_call *call)
{
    const char *text = json_string_value(json_object_get(chat_tool_info(call)->args, "text"));
    f.started++;
    chat_tool_progress(call, 1, 2, "half");
    chat_tool_emit(call, "chat.source", json_pack("{s:s, s:s}", "doc_id", "d1", "title", "t"));
    chat_tool_end(call,
                  &(struct chat_tool_result){
                      .ok = true, .take_result = json_pack("{s:s}", "said", text), .text = text, .is_answer = true});
}

static void start_slow(struct chat_tool_call *call)
{
    f.started++;
    f.call = call;
}

static void cancel_slow(struct chat_tool_call *call)
{
    assert_ptr_equal(call, f.call);
    f.cancelled++;
    f.call = NULL;
}

static void start_asking(struct chat_tool_call *call)
{
    json_t *schema = json_pack("{s:s, s:{s:{s:s}}, s:[s]}", "type", "object", "properties", "seat", "type", "string",
                               "required", "seat");
    const struct chat_question question = {.mode = "form", .message = "Which seat?", .schema = schema};
    f.started++;
    chat_tool_ask(call, &question, json_pack("{s:s}", "kept", "yes"));
    json_decref(schema);
}

/* For a day. */
static void start_hurried(struct chat_tool_call *call)
{
    const struct chat_question question = {.mode = "approval",
                                           .message = "Still?",
                                           .expires_ms =
                                               (int64_t)eio_loop_unix_ms(chat_tool_info(call)->kit->loop) + DAY_MS};
    f.started++;
    chat_tool_ask(call, &question, json_pack("{s:s}", "kept", "no"));
}

static void resume_asking(struct chat_tool_call *call, const json_t *state, const char *action, const json_t *content)
{
    char text[128];
    const char *seat = json_string_value(json_object_get(content, "seat"));
    f.resumed++;
    snprintf(text, sizeof text, "%s %s %s", json_string_value(json_object_get(state, "kept")), action,
             seat ? seat : "-");
    chat_tool_end(call, &(struct chat_tool_result){.ok = true, .text = text, .is_answer = true});
}

#define TEXT "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}},\"required\":[\"text\"]}"
#define TABLE                                                                                                 \
    "{\"type\":\"object\",\"properties\":{\"place\":{\"type\":\"string\",\"enum\":[\"inside\",\"outside\"]}," \
    "\"guests\":{\"type\":\"integer\",\"minimum\":1},\"note\":{\"type\":\"string\"},\"quiet\":{\"type\":"     \
    "\"boolean\",\"default\":true}},\"required\":[\"place\",\"guests\"]}"
#define NOTHING "{\"type\":\"object\",\"properties\":{}}"

static const char *const hurried_phrases[] = {"hurry up", NULL};
static const char *const echo_phrases[] = {"echo {text}", NULL}, *const table_phrases[] = {"reserve a table", NULL},
                         *const drop_phrases[] = {"wipe everything", NULL}, *const slow_phrases[] = {"dawdle", NULL},
                         *const asking_phrases[] = {"pick seating", NULL}, *const never_phrases[] = {"forbid", NULL};

static void start_table(struct chat_tool_call *call)
{
    char *args = json_dumps(chat_tool_info(call)->args, JSON_COMPACT | JSON_SORT_KEYS);
    f.started++;
    chat_tool_end(call, &(struct chat_tool_result){.ok = true, .text = args, .is_answer = true});
    free(args);
}

static const struct chat_tool tools[] = {
    {.name = "test_echo", .description = "x", .parameters = TEXT, .phrases = echo_phrases, .start = start_echo},
    {.name = "test_table", .description = "x", .parameters = TABLE, .phrases = table_phrases, .start = start_table},
    {.name = "test_drop",
     .description = "x",
     .parameters = NOTHING,
     .phrases = drop_phrases,
     .is_destructive = true,
     .start = start_table},
    {.name = "test_slow",
     .description = "x",
     .parameters = NOTHING,
     .phrases = slow_phrases,
     .start = start_slow,
     .cancel = cancel_slow},
    {.name = "test_asking",
     .description = "x",
     .parameters = NOTHING,
     .phrases = asking_phrases,
     .start = start_asking,
     .resume = resume_asking},
    {.name = "test_hurried",
     .description = "x",
     .parameters = NOTHING,
     .phrases = hurried_phrases,
     .start = start_hurried,
     .resume = resume_asking},
    {.name = "test_never",
     .description = "x",
     .parameters = NOTHING,
     .phrases = never_phrases,
     .policy = CHAT_POLICY_NEVER,
     .start = start_table},
};

/* --------------------------------------------------------------------- peer */

static void on_entry(struct chat_peer *peer, const struct chat_entry *entry)
{
    json_t *payload = json_loadb(entry->payload.p, entry->payload.n, 0, NULL);
    assert_non_null(payload);
    json_object_set_new(payload, "event", json_string(entry->event));
    if (entry->seq) assert_int_equal(json_integer_value(json_object_get(payload, "seq")), entry->seq);
    if (entry->seq) json_array_append(peer == f.newcomer ? f.newcomer_log : f.log, payload);
    json_decref(payload);
}

static const struct chat_peer_ops peer_ops = {on_entry, NULL, NULL};

static void on_reply(void *ctx, const struct kit_failure *failure, struct eio_str json)
{
    (void)ctx;
    f.code = failure->code;
    json_decref(f.answer);
    f.answer = json.p ? json_loadb(json.p, json.n, 0, NULL) : NULL;
}

static void turn_until(bool (*holds)(const void *ctx), const void *ctx, const char *what)
{
    time_t deadline = time(NULL) + 300;
    while (!holds(ctx)) {
        if (time(NULL) > deadline) fail_msg("not in time: %s\n%s", what, json_dumps(f.log, JSON_INDENT(1)));
        eio_loop_turn(f.app->kit.loop, 2);
    }
}

static bool is_answered(const void *ctx)
{
    (void)ctx;
    return f.code >= 0;
}

static int ask_as(struct chat_peer *peer, const char *event, json_t *take_payload)
{
    assert_non_null(take_payload);
    f.code = -1;
    chat_peer_ask(peer, event, take_payload, on_reply, NULL);
    json_decref(take_payload);
    turn_until(is_answered, NULL, event);
    return f.code;
}

/* The code of the answer; 0: ok. */
static int ask(const char *event, json_t *take_payload)
{
    return ask_as(f.peer, event, take_payload);
}

/* The latest entry of an event; NULL. */
static const json_t *find(const char *event)
{
    for (size_t i = json_array_size(f.log); i > 0; i--) {
        const json_t *entry = json_array_get(f.log, i - 1);
        if (!strcmp(json_string_value(json_object_get(entry, "event")), event)) return entry;
    }
    return NULL;
}

static const char *text_of(const json_t *entry, const char *name)
{
    return json_string_value(json_object_get(entry, name));
}

static bool is_there(const void *event)
{
    return find(event) != NULL;
}

static const json_t *wait_for(const char *event)
{
    turn_until(is_there, event, event);
    return find(event);
}

static int say(const char *id, const char *text)
{
    json_array_clear(f.log);
    return ask("chat.message", json_pack("{s:s, s:s}", "id", id, "content", text));
}

/* The answer to what is said. */
static const char *reply_to(const char *id, const char *text)
{
    assert_int_equal(say(id, text), 0);
    return text_of(wait_for("chat.done"), "final_text");
}

static int submit(const char *id, json_t *take_content)
{
    return ask("elicitation.submit", json_pack("{s:s, s:o}", "reply_to", id, "content", take_content));
}

static int answer(const char *id, const char *action)
{
    return ask("elicitation.submit", json_pack("{s:s, s:s}", "reply_to", id, "action", action));
}

/* ----------------------------------------------------------------- fixture */

/* To be changed before what reads it starts. */
static struct chat_config *chat_config(void)
{
    return (struct chat_config *)(uintptr_t)kit_config_values(&f.config, &chat_options);
}

static struct chat_peer *new_peer(const char *connection_id)
{
    const struct chat_peer_options options = {
        .ops = &peer_ops, .claims = f.claims, .address = "::1", .connection_id = connection_id, .makes_chats = true};
    return chat_peer_new(f.chat, &options);
}

static void open_app(const char *chat_id)
{
    char error[512] = "";
    f.app = app_new(&f.config, NULL, error, sizeof error);
    if (!f.app) fail_msg("%s", error);
    f.chat = kit_state(&f.app->kit, &chat_module);
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++)
        assert_int_equal(chat_tools_add(f.chat, &tools[i], NULL), 0);
    json_t *token = json_pack("{s:s, s:s, s:I}", "sub", "ann", "role", "user", "exp", (json_int_t)9999999999);
    f.claims = kit_claims_new(token);
    json_decref(token);
    f.peer = new_peer("test");
    assert_int_equal(ask("session.init", json_pack("{s:s}", "chat_id", chat_id)), 0);
}

static void close_app(void)
{
    chat_peer_free(f.peer);
    kit_claims_unref(f.claims);
    app_free(f.app);
}

static int set_up(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    f.log = json_array();
    fixture_directory(f.data);
    fixture_config_data(&f.config, f.data);
    chat_config()->turn_lease_ms = 300; /* what is due is looked for three times in this */
    open_app("c1");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_app();
    kit_config_clear(&f.config);
    json_decref(f.log);
    json_decref(f.answer);
    fixture_remove(f.data);
    return 0;
}

/* As after a crash or a restart: nothing is left but the store. */
static void restart(void)
{
    close_app();
    f.call = NULL;
    json_array_clear(f.log);
    open_app("c1");
}

/* ----------------------------------------------------------------- the past */

struct change {
    struct kit_store_op op;
    const char *sql;
    int64_t ms;
    bool is_done;
};

static int run_change(struct kit_db *db, struct kit_store_op *op)
{
    const struct change *change = KIT_OWNER(op, struct change, op);
    return kit_db_run(db, change->sql, "i", change->ms) ? kit_db_fail(db, &op->failure) : 0;
}

static void on_changed(struct kit_store_op *op)
{
    KIT_OWNER(op, struct change, op)->is_done = true;
}

static bool is_changed(const void *ctx)
{
    return ((const struct change *)ctx)->is_done;
}

/* As if that time had passed for what the statement is about. */
static void pass(const char *sql, int64_t ms)
{
    struct change change = {
        .op = {.run = run_change, .done = on_changed, .writes = true, .locks = {"c1"}}, .sql = sql, .ms = ms};
    assert_int_equal(kit_store_submit(f.app->kit.store, &change.op, 0), 0);
    turn_until(is_changed, &change, sql);
    assert_int_equal(change.op.failure.code, 0);
}

static void pass_idle(int64_t ms)
{
    pass("UPDATE chats SET updated_ms=updated_ms-?", ms);
}

/* Several looks at what is due. */
static void look_around(void)
{
    uint64_t end = eio_loop_now_ms(f.app->kit.loop) + 2 * chat_config()->turn_lease_ms;
    while (eio_loop_now_ms(f.app->kit.loop) < end) eio_loop_turn(f.app->kit.loop, 10);
}

/* ------------------------------------------------------------------- tests */

static void a_tool_runs_with_what_was_said(void **state)
{
    (void)state;
    assert_string_equal(reply_to("m1", "echo blue sky"), "blue sky");
    const json_t *start = find("tool.start"), *end = find("tool.end"), *progress = find("tool.progress");
    assert_string_equal(text_of(start, "tool"), "test_echo");
    assert_string_equal(text_of(json_object_get(start, "args"), "text"), "blue sky");
    assert_string_equal(text_of(start, "call_id"), text_of(end, "call_id"));
    assert_string_equal(text_of(progress, "call_id"), text_of(end, "call_id"));
    assert_true(json_is_true(json_object_get(end, "ok")));
    assert_string_equal(text_of(json_object_get(end, "result"), "said"), "blue sky");
    assert_string_equal(text_of(find("chat.source"), "ref_id"), "m1");
    assert_true(json_is_true(json_object_get(find("chat.done"), "is_complete")));
}

/* What is missing is asked for by a form with the tool's own schema; it is checked, answered once, and the turn goes on
 * where it stopped. */
static void missing_parameters_are_a_form(void **state)
{
    (void)state;
    assert_int_equal(say("m1", "reserve a table"), 0);
    const json_t *form = wait_for("elicitation.start");
    char id[KIT_ID_SIZE];
    snprintf(id, sizeof id, "%s", text_of(form, "id"));
    assert_string_equal(text_of(form, "mode"), "form");
    const json_t *fields = json_object_get(json_object_get(form, "schema"), "properties");
    assert_non_null(json_object_get(fields, "place"));
    assert_non_null(json_object_get(fields, "guests"));
    assert_null(json_object_get(fields, "note"));
    assert_null(find("tool.start"));
    assert_int_equal(ask("chat.message", json_pack("{s:s, s:s}", "id", "m2", "content", "x")), 409);

    assert_int_equal(submit("unknown", json_object()), 404);
    assert_int_equal(submit(id, json_pack("{s:s}", "place", "inside")), 400);
    assert_int_equal(submit(id, json_pack("{s:s, s:i}", "place", "roof", "guests", 2)), 400);
    assert_int_equal(submit(id, json_pack("{s:s, s:i}", "place", "inside", "guests", 0)), 400);
    assert_int_equal(f.started, 0);
    assert_int_equal(submit(id, json_pack("{s:s, s:i}", "place", "inside", "guests", 2)), 0);
    const json_t *done = wait_for("chat.done");
    assert_string_equal(text_of(done, "final_text"), "{\"guests\":2,\"place\":\"inside\",\"quiet\":true}");
    assert_string_equal(text_of(find("elicitation.end"), "action"), "accept");
    assert_string_equal(text_of(find("elicitation.end"), "id"), id);
    assert_int_equal(submit(id, json_pack("{s:s, s:i}", "place", "inside", "guests", 3)), 409);
    assert_int_equal(f.started, 1);
}

static void a_form_that_is_declined_is_no_call(void **state)
{
    static const char *const actions[] = {"decline", "cancel"};
    char id[KIT_ID_SIZE], message[16];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        snprintf(message, sizeof message, "m%zu", i);
        assert_int_equal(say(message, "reserve a table"), 0);
        snprintf(id, sizeof id, "%s", text_of(wait_for("elicitation.start"), "id"));
        assert_int_equal(answer(id, actions[i]), 0);
        wait_for("chat.done");
        assert_string_equal(text_of(find("elicitation.end"), "action"), actions[i]);
        assert_null(find("tool.start"));
        assert_null(find("tool.end"));
    }
    assert_int_equal(f.started, 0);
}

static void a_destructive_tool_asks_first(void **state)
{
    char id[KIT_ID_SIZE];
    (void)state;
    assert_int_equal(say("m1", "wipe everything"), 0);
    const json_t *question = wait_for("elicitation.start");
    assert_string_equal(text_of(question, "mode"), "approval");
    assert_string_equal(text_of(question, "tool"), "test_drop");
    snprintf(id, sizeof id, "%s", text_of(question, "id"));
    assert_int_equal(f.started, 0);
    assert_int_equal(answer(id, "accept"), 0);
    wait_for("chat.done");
    assert_int_equal(f.started, 1);
}

static void a_tool_that_may_never_run_is_not_shown_to_the_model(void **state)
{
    (void)state;
    reply_to("m1", "forbid");
    assert_int_equal(f.started, 0);
    const json_t *start = find("tool.start"); /* a search for an answer */
    assert_true(!start || strcmp(text_of(start, "tool"), "test_never"));
}

/* Its turn has no memory while it waits: it goes on in another life of the server, with what the tool kept. */
static void a_question_is_answered_after_a_restart(void **state)
{
    char id[KIT_ID_SIZE];
    (void)state;
    assert_int_equal(say("m1", "pick seating"), 0);
    snprintf(id, sizeof id, "%s", text_of(wait_for("elicitation.start"), "id"));
    restart();
    const json_t *pending = json_object_get(f.answer, "pending");
    assert_int_equal(json_array_size(pending), 1);
    assert_string_equal(text_of(json_array_get(pending, 0), "id"), id);
    assert_string_equal(text_of(json_array_get(pending, 0), "ref_id"), "m1");
    assert_string_equal(text_of(json_object_get(f.answer, "running"), "ref_id"), "m1");
    assert_int_equal(submit(id, json_pack("{s:s}", "seat", "12A")), 0);
    assert_string_equal(text_of(wait_for("chat.done"), "final_text"), "yes accept 12A");
    assert_int_equal(f.started, 1);
    assert_int_equal(f.resumed, 1);
}

static void a_form_of_parameters_is_answered_after_a_restart(void **state)
{
    char id[KIT_ID_SIZE];
    (void)state;
    assert_int_equal(say("m1", "reserve a table"), 0);
    snprintf(id, sizeof id, "%s", text_of(wait_for("elicitation.start"), "id"));
    restart();
    assert_int_equal(submit(id, json_pack("{s:s, s:i}", "place", "outside", "guests", 5)), 0);
    assert_string_equal(text_of(wait_for("chat.done"), "final_text"),
                        "{\"guests\":5,\"place\":\"outside\",\"quiet\":true}");
}

static void a_stop_ends_the_tool_and_closes_the_form(void **state)
{
    char id[KIT_ID_SIZE];
    (void)state;
    assert_int_equal(say("m1", "dawdle"), 0);
    wait_for("tool.start");
    assert_non_null(f.call);
    assert_int_equal(ask("signal.stop", json_object()), 0);
    const json_t *done = wait_for("chat.done");
    assert_true(json_is_true(json_object_get(done, "stopped")));
    assert_int_equal(f.cancelled, 1);

    assert_int_equal(say("m2", "reserve a table"), 0);
    snprintf(id, sizeof id, "%s", text_of(wait_for("elicitation.start"), "id"));
    assert_int_equal(ask("signal.stop", json_object()), 0);
    done = wait_for("chat.done");
    assert_true(json_is_true(json_object_get(done, "stopped")));
    assert_string_equal(text_of(find("elicitation.end"), "action"), "cancel");
    assert_string_equal(text_of(find("elicitation.end"), "id"), id);
    assert_int_equal(submit(id, json_pack("{s:s, s:i}", "place", "inside", "guests", 2)), 409);
    assert_string_equal(reply_to("m3", "echo again"), "again");
}

/* A strict model refuses a conversation in which a call has no result. */
static void a_stopped_call_has_a_neutral_result_in_the_conversation(void **state)
{
    struct chat_turn_load load;
    (void)state;
    assert_int_equal(say("m1", "dawdle"), 0);
    wait_for("tool.start");
    assert_int_equal(ask("signal.stop", json_object()), 0);
    wait_for("chat.done");
    assert_int_equal(say("m2", "dawdle"), 0);
    wait_for("tool.start");
    const struct chat_turn *turn = chat_turn_find(f.chat, "c1");
    assert_int_equal(json_array_size(turn->context), 3);
    assert_string_equal(text_of(json_array_get(turn->context, 0), "role"), "user");
    const json_t *asks = json_array_get(turn->context, 1), *result = json_array_get(turn->context, 2);
    const json_t *call = json_array_get(json_object_get(asks, "tool_calls"), 0);
    assert_string_equal(text_of(result, "role"), "tool");
    assert_string_equal(text_of(result, "tool_call_id"), text_of(call, "id"));
    assert_string_equal(text_of(result, "content"), "No result is available.");
    assert_int_equal(ask("signal.stop", json_object()), 0);
    (void)load;
}

/* The tool learns it as an answer, and the turn goes on; the user's answer comes too late. */
static void a_question_expires(void **state)
{
    char id[KIT_ID_SIZE];
    (void)state;
    assert_int_equal(say("m1", "hurry up"), 0);
    const json_t *question = wait_for("elicitation.start");
    assert_non_null(text_of(question, "expires_at"));
    snprintf(id, sizeof id, "%s", text_of(question, "id"));
    pass("UPDATE chat_elicitations SET expires_ms=expires_ms-?", DAY_MS - HOUR_MS);
    look_around();
    assert_null(find("elicitation.end"));
    pass("UPDATE chat_elicitations SET expires_ms=expires_ms-?", HOUR_MS);
    assert_string_equal(text_of(wait_for("chat.done"), "final_text"), "no expire -");
    assert_string_equal(text_of(find("elicitation.end"), "action"), "expire");
    assert_string_equal(text_of(find("elicitation.end"), "id"), id);
    assert_int_equal(f.resumed, 1);
    assert_int_equal(answer(id, "accept"), 409);
}

/* In another life of the server than it was asked in. */
static void a_question_expires_after_a_restart(void **state)
{
    (void)state;
    assert_int_equal(say("m1", "hurry up"), 0);
    wait_for("elicitation.start");
    restart();
    pass("UPDATE chat_elicitations SET expires_ms=expires_ms-?", DAY_MS);
    assert_string_equal(text_of(wait_for("chat.done"), "final_text"), "no expire -");
}

static void a_session_is_closed_when_it_was_idle_for_an_hour(void **state)
{
    (void)state;
    reply_to("m1", "echo one");
    pass_idle(HOUR_MS - 60000);
    look_around();
    assert_null(find("session.closed"));
    pass_idle(60000);
    assert_string_equal(text_of(wait_for("session.closed"), "reason"), "idle");
    char id[KIT_ID_SIZE];
    snprintf(id, sizeof id, "%s", text_of(find("session.closed"), "session_id"));
    assert_string_equal(reply_to("m2", "echo two"), "two"); /* in a session of its own */
    assert_int_equal(ask("session.init", json_pack("{s:s}", "chat_id", "c1")), 0);
    assert_string_not_equal(text_of(f.answer, "session_id"), id);
    assert_string_not_equal(text_of(f.answer, "session_id"), "closed");
}

/* Its intent is abandoned, its form is not: it is resumed with the chat. */
static void an_idle_session_leaves_its_form_open(void **state)
{
    char id[KIT_ID_SIZE];
    (void)state;
    assert_int_equal(say("m1", "pick seating"), 0);
    snprintf(id, sizeof id, "%s", text_of(wait_for("elicitation.start"), "id"));
    pass_idle(HOUR_MS);
    wait_for("session.closed");
    assert_int_equal(ask("session.init", json_pack("{s:s}", "chat_id", "c1")), 0);
    assert_int_equal(json_array_size(json_object_get(f.answer, "pending")), 1);
    assert_int_equal(submit(id, json_pack("{s:s}", "seat", "3C")), 0);
    assert_string_equal(text_of(wait_for("chat.done"), "final_text"), "yes accept 3C");
}

static void a_running_turn_is_not_idle(void **state)
{
    (void)state;
    assert_int_equal(say("m1", "dawdle"), 0);
    wait_for("tool.start");
    pass_idle(2 * HOUR_MS);
    look_around();
    assert_null(find("session.closed"));
    assert_int_equal(ask("signal.stop", json_object()), 0);
    wait_for("chat.done");
}

/* A user has a share of open questions, in all chats; what is refused fails the tool, not the turn. */
static void too_many_questions_are_not_asked(void **state)
{
    char id[KIT_ID_SIZE];
    (void)state;
    chat_config()->questions_per_user_max = 1;
    assert_int_equal(say("m1", "pick seating"), 0);
    snprintf(id, sizeof id, "%s", text_of(wait_for("elicitation.start"), "id"));
    json_array_clear(f.log);
    assert_int_equal(ask("session.init", json_pack("{s:s}", "chat_id", "c2")), 0);
    static const char *const words[] = {"pick seating", "reserve a table", "wipe everything"};
    for (size_t i = 0; i < 3; i++) {
        char message[8];
        snprintf(message, sizeof message, "n%zu", i);
        assert_non_null(strstr(reply_to(message, words[i]), "too many questions"));
        assert_null(find("elicitation.start"));
    }
    assert_int_equal(f.chat->counters.refused_questions, 3);
    assert_int_equal(ask("elicitation.submit",
                         json_pack("{s:s, s:s, s:{s:s}}", "chat_id", "c1", "reply_to", id, "content", "seat", "1A")),
                     0);
    wait_for("chat.done");
    assert_int_equal(say("n9", "reserve a table"), 0);
    wait_for("elicitation.start");
}

static void a_turn_that_takes_too_long_ends(void **state)
{
    (void)state;
    chat_config()->turn_time_max_ms = 12345;
    chat_config()->turn_lease_ms = 60000; /* so long what a busy store refuses is tried again */
    assert_int_equal(say("m1", "dawdle"), 0);
    wait_for("tool.start"); /* however long that takes */
    struct chat_turn *turn = chat_turn_find(f.chat, "c1");
    assert_int_equal(turn->limit_left_ms, 12345);
    assert_int_equal(eio_timer_start(&turn->limit, 0), 0);
    const json_t *error = wait_for("error");
    assert_int_equal(json_integer_value(json_object_get(error, "code")), 504);
    assert_int_equal(f.cancelled, 1);
}

/* ------------------------------------------------------------------- leases */

static pthread_mutex_t gates[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};

static int run_gate(struct kit_db *db, struct kit_store_op *op)
{
    pthread_mutex_t *gate = &gates[KIT_OWNER(op, struct change, op)->ms];
    (void)db;
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return 0;
}

static void free_change(struct kit_store_op *op)
{
    assert_int_equal(op->failure.code, 0);
    f.changing--;
    free(KIT_OWNER(op, struct change, op));
}

/* sql NULL: the store does nothing else until the gate of that number is open. */
static void submit_change(const char *sql, int64_t ms)
{
    struct change *change = calloc(1, sizeof *change);
    change->op = (struct kit_store_op){.run = sql ? run_change : run_gate, .done = free_change, .writes = true};
    change->op.is_alone = !sql;
    change->sql = sql;
    change->ms = ms;
    f.changing++;
    assert_int_equal(kit_store_submit(f.app->kit.store, &change->op, 0), 0);
}

static void close_gate(int number)
{
    pthread_mutex_lock(&gates[number]);
    submit_change(NULL, number);
}

/* What waits for the store does not end together. */
static void restart_one_by_one(void)
{
    f.config.work_batch_max = 1;
    restart();
}

/* A message that has waited for the store for longer than a lease is no turn of a dead process. */
static void a_turn_that_was_stored_late_goes_on(void **state)
{
    (void)state;
    restart_one_by_one();
    close_gate(0);
    look_around(); /* one look waits at the first gate */
    close_gate(1);
    f.code = -1;
    json_t *message = json_pack("{s:s, s:s}", "id", "m1", "content", "dawdle");
    chat_peer_ask(f.peer, "chat.message", message, on_reply, NULL);
    json_decref(message);
    look_around();
    pthread_mutex_unlock(&gates[0]);
    look_around(); /* the next waits behind the message */
    pthread_mutex_unlock(&gates[1]);
    wait_for("tool.start");
    look_around();
    assert_null(find("error"));
}

/* Whatever the store has about its lease. */
static void a_process_does_not_take_itself_for_dead(void **state)
{
    (void)state;
    restart_one_by_one();
    assert_int_equal(say("m1", "dawdle"), 0);
    wait_for("tool.start");
    for (int i = 0; i < 4; i++) {
        close_gate(0);
        submit_change("UPDATE chat_turns SET lease_ms=? WHERE state='running'", 1); /* in front of the look */
        look_around();
        pthread_mutex_unlock(&gates[0]);
    }
    look_around();
    assert_null(find("error"));
}

/* Its lease is renewed, though always too late: the process lives. */
static void a_turn_of_a_process_that_is_late_is_ended_when_its_lease_stands_still(void **state)
{
    (void)state;
    assert_int_equal(say("m1", "dawdle"), 0);
    wait_for("tool.start");
    pass("UPDATE chat_turns SET owner='other', lease_ms=?", 1);
    uint64_t end = eio_loop_now_ms(f.app->kit.loop) + 4 * chat_config()->turn_lease_ms;
    while (eio_loop_now_ms(f.app->kit.loop) < end) {
        if (!f.changing) submit_change("UPDATE chat_turns SET lease_ms=lease_ms+?", 1);
        eio_loop_turn(f.app->kit.loop, 10);
    }
    assert_null(find("error"));
    assert_string_equal(text_of(wait_for("error"), "message"), "interrupted");
    assert_int_equal(f.chat->counters.turns_interrupted, 1);
}

static bool has_both(const void *text)
{
    const json_t *entry;
    size_t i, count = 0;
    json_array_foreach(f.log, i, entry) count += !strcmp(text_of(entry, "event"), text);
    json_array_foreach(f.newcomer_log, i, entry) count += !strcmp(text_of(entry, "event"), text);
    return count == 2;
}

/* A worker that died after it had stored the entry, and before it had sent it. */
static void an_entry_that_was_never_sent_reaches_all_when_one_learns_of_it(void **state)
{
    (void)state;
    assert_string_equal(reply_to("m1", "echo blue sky"), "blue sky");
    json_int_t seq = json_integer_value(json_object_get(find("chat.done"), "seq"));
    json_array_clear(f.log);
    pass("INSERT INTO chat_log(chat, seq, ref_id, attempt, type, payload)"
         " SELECT id, seq + ?, 'm1', 1, 'test.lost', '{\"ref_id\":\"m1\"' FROM chats WHERE chat_id='c1'",
         1);
    pass("UPDATE chats SET seq=seq+? WHERE chat_id='c1'", 1);
    f.newcomer = new_peer("newcomer");
    f.newcomer_log = json_array();
    assert_int_equal(ask_as(f.newcomer, "session.init", json_pack("{s:s, s:I}", "chat_id", "c1", "since_seq", seq)), 0);
    turn_until(has_both, "test.lost", "the entry at both");
    assert_int_equal(json_integer_value(json_object_get(find("test.lost"), "seq")), seq + 1);
    assert_int_equal(json_array_size(f.log), 1);
    chat_peer_free(f.newcomer);
    json_decref(f.newcomer_log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_tool_runs_with_what_was_said),
        TEST(missing_parameters_are_a_form),
        TEST(a_form_that_is_declined_is_no_call),
        TEST(a_destructive_tool_asks_first),
        TEST(a_tool_that_may_never_run_is_not_shown_to_the_model),
        TEST(a_question_is_answered_after_a_restart),
        TEST(a_form_of_parameters_is_answered_after_a_restart),
        TEST(a_stop_ends_the_tool_and_closes_the_form),
        TEST(a_stopped_call_has_a_neutral_result_in_the_conversation),
        TEST(a_turn_that_takes_too_long_ends),
        TEST(too_many_questions_are_not_asked),
        TEST(a_question_expires),
        TEST(a_question_expires_after_a_restart),
        TEST(a_session_is_closed_when_it_was_idle_for_an_hour),
        TEST(an_idle_session_leaves_its_form_open),
        TEST(a_running_turn_is_not_idle),
        TEST(a_turn_that_was_stored_late_goes_on),
        TEST(a_process_does_not_take_itself_for_dead),
        TEST(a_turn_of_a_process_that_is_late_is_ended_when_its_lease_stands_still),
        TEST(an_entry_that_was_never_sent_reaches_all_when_one_learns_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
