/* Calls from the feed's events to the snapshot, on a whole application without clients. */
#include "kit_fixture.h"

#include "calls_alerts.h"
#include "calls_life.h"

#include <pthread.h>

static struct {
    struct kit_config config;
    struct app *app;
    struct calls_feed_result last;
    int answers;
} f;

static int set_up(void **state)
{
    char error[512] = "";
    (void)state;
    memset(&f, 0, sizeof f);
    fixture_config_data(&f.config, ":memory:");
    f.app = app_new(&f.config, NULL, error, sizeof error);
    if (!f.app) fail_msg("%s", error);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    app_free(f.app);
    kit_config_clear(&f.config);
    return 0;
}

static void on_result(void *ctx, const struct calls_feed_result *result)
{
    (void)ctx;
    f.last = *result;
    f.answers++;
}

static void submit(enum calls_feed_kind kind, const char *text)
{
    struct kit_failure failure;
    struct calls_feed_event event = {.kind = kind, .raw = eio_str(text)};
    assert_int_equal(kit_json_check(event.raw, 127, &failure), 0);
    calls_feed_submit(kit_state(&f.app->kit, &calls_module), &event, on_result, NULL);
}

/* What a feed says and what it is told: the code, or the seq, or -seq for what was known. */
static int64_t say(enum calls_feed_kind kind, const char *text)
{
    int before = f.answers;
    submit(kind, text);
    kit_work_wait(f.app->kit.work);
    assert_int_equal(f.answers, before + 1);
    if (f.last.failure.code) return f.last.failure.code;
    return f.last.duplicate ? -f.last.seq : f.last.seq;
}

struct snapshot {
    struct kit_store_op op;
    const char *call_id;
    int64_t since;
    struct sio_builder json;
};

static int run_snapshot(struct kit_db *db, struct kit_store_op *op)
{
    struct snapshot *s = (struct snapshot *)op;
    struct calls_view view = {.call_id = s->call_id, .since_seq = s->since, .now_ms = 5000};
    int code = calls_snapshot(db, &f.config, &view, &s->json, &op->failure);
    json_decref(view.voters);
    return code;
}

/* The snapshot's JSON, to be decref'ed. */
static json_t *snapshot(const char *call_id, int64_t since)
{
    struct snapshot s;
    memset(&s, 0, sizeof s);
    s.op.run = run_snapshot;
    s.call_id = call_id;
    s.since = since;
    sio_builder_init(&s.json);
    sio_builder_open(&s.json);
    sio_builder_put(&s.json, "{\"ok\":true");
    assert_int_equal(kit_store_run_now(f.app->kit.store, &s.op), 0);
    sio_builder_put(&s.json, "}");
    json_t *value = json_loadb(s.json.json, s.json.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(value);
    sio_builder_clear(&s.json);
    return value;
}

/* "seq:text seq:text … |seq" */
static const char *transcript(const char *call_id, int64_t since)
{
    static char out[1024];
    size_t i, n = 0;
    json_t *line, *all = snapshot(call_id, since);
    json_array_foreach(json_object_get(all, "transcript"), i, line) n +=
        (size_t)snprintf(out + n, sizeof out - n, "%d:%s ", (int)json_integer_value(json_object_get(line, "seq")),
                         json_string_value(json_object_get(line, "text")));
    snprintf(out + n, sizeof out - n, "|%d", (int)json_integer_value(json_object_get(all, "seq")));
    json_decref(all);
    return out;
}

#define START(id) say(CALLS_FEED_START, "{\"call_id\":\"" id "\"}")
#define LINE(id, more) say(CALLS_FEED_LINE, "{\"call_id\":\"" id "\",\"speaker\":\"agent\"," more "}")

static void seq_grows_by_one_per_call(void **state)
{
    (void)state;
    assert_int_equal(START("a"), 0);
    assert_int_equal(START("b"), 0);
    assert_int_equal(LINE("a", "\"text\":\"1\""), 1);
    assert_int_equal(LINE("b", "\"text\":\"1\""), 1);
    assert_int_equal(LINE("a", "\"text\":\"2\""), 2);
    assert_int_equal(say(CALLS_FEED_STATUS, "{\"call_id\":\"a\",\"status\":\"on_hold\"}"), 3);
    assert_int_equal(LINE("a", "\"text\":\"3\""), 4);
    assert_string_equal(transcript("a", 0), "1:1 2:2 4:3 |4");
    assert_string_equal(transcript("a", 2), "4:3 |4");
    assert_string_equal(transcript("a", 4), "|4");
    assert_string_equal(transcript("b", 0), "1:1 |1");
}

static void an_interim_line_is_replaced_until_it_is_final(void **state)
{
    (void)state;
    START("a");
    assert_int_equal(LINE("a", "\"text\":\"I\",\"segment_id\":\"s\",\"is_final\":false"), 1);
    assert_int_equal(LINE("a", "\"text\":\"other\",\"segment_id\":\"t\""), 2);
    assert_int_equal(LINE("a", "\"text\":\"I want\",\"segment_id\":\"s\",\"is_final\":false"), 3);
    assert_string_equal(transcript("a", 0), "2:other 3:I want |3");
    assert_int_equal(LINE("a", "\"text\":\"I want it\",\"segment_id\":\"s\",\"is_final\":true"), 4);
    assert_string_equal(transcript("a", 0), "2:other 4:I want it |4");
    assert_string_equal(transcript("a", 3), "4:I want it |4");
}

static void a_repeat_is_accepted_once(void **state)
{
    (void)state;
    START("a");
    assert_int_equal(START("a"), 0);
    assert_true(f.last.duplicate);
    assert_int_equal(LINE("a", "\"text\":\"x\",\"segment_id\":\"s\",\"is_final\":false"), 1);
    assert_int_equal(LINE("a", "\"text\":\"x\",\"segment_id\":\"s\",\"is_final\":false"), -1);
    assert_int_equal(LINE("a", "\"text\":\"x y\",\"segment_id\":\"s\""), 2);
    assert_int_equal(LINE("a", "\"text\":\"x y\",\"segment_id\":\"s\""), -2);
    /* An interim one that arrives after the final one changes nothing. */
    assert_int_equal(LINE("a", "\"text\":\"x\",\"segment_id\":\"s\",\"is_final\":false"), -2);
    assert_int_equal(say(CALLS_FEED_END, "{\"call_id\":\"a\"}"), 3);
    assert_int_equal(say(CALLS_FEED_END, "{\"call_id\":\"a\"}"), -4); /* the summary came after the end */
    assert_int_equal(LINE("a", "\"text\":\"x y\",\"segment_id\":\"s\""), -2);
    assert_string_equal(transcript("a", 0), "2:x y |4");
}

static void what_is_not_possible_is_refused(void **state)
{
    (void)state;
    assert_int_equal(LINE("a", "\"text\":\"x\""), 404);
    assert_string_equal(f.last.failure.field, "/call_id");
    assert_int_equal(say(CALLS_FEED_END, "{\"call_id\":\"a\"}"), 404);
    START("a");
    fixture_calls_config(&f.config)->late_final_s = 0;
    assert_int_equal(say(CALLS_FEED_END, "{\"call_id\":\"a\"}"), 1);
    assert_int_equal(LINE("a", "\"text\":\"x\""), 409);
    assert_int_equal(START("a"), 409);
    assert_int_equal(say(CALLS_FEED_STATUS, "{\"call_id\":\"a\",\"status\":\"active\"}"), 409);
    assert_string_equal(transcript("a", 0), "|1");
}

static void last_words_may_come_after_the_end_for_a_while(void **state)
{
    (void)state;
    START("a");
    LINE("a", "\"text\":\"Thank you and\",\"segment_id\":\"s\",\"is_final\":false");
    assert_int_equal(say(CALLS_FEED_END, "{\"call_id\":\"a\"}"), 2);
    assert_int_equal(LINE("a", "\"text\":\"Thank you and good\",\"segment_id\":\"s\",\"is_final\":false"), 409);
    assert_int_equal(LINE("a", "\"text\":\"Thank you and goodbye\",\"segment_id\":\"s\""), 3);
    assert_int_equal(LINE("a", "\"text\":\"Bye\",\"segment_id\":\"t\""), 4);
    fixture_calls_config(&f.config)->late_final_s = 0;
    assert_int_equal(LINE("a", "\"text\":\"Bye\",\"segment_id\":\"t\""), -4);
    assert_int_equal(LINE("a", "\"text\":\"more\",\"segment_id\":\"u\""), 409);
    assert_string_equal(transcript("a", 0), "3:Thank you and goodbye 4:Bye |4");
}

static void a_corrected_final_line_replaces_the_first(void **state)
{
    (void)state;
    START("a");
    assert_int_equal(LINE("a", "\"text\":\"fourteen\",\"segment_id\":\"s\""), 1);
    assert_int_equal(LINE("a", "\"text\":\"forty\",\"segment_id\":\"s\",\"replaces\":77"), 2);
    assert_int_equal(LINE("a", "\"text\":\"forty\",\"segment_id\":\"s\""), -2);
    assert_int_equal(LINE("a", "\"text\":\"fourteen\",\"segment_id\":\"s\",\"is_final\":false"), -2);
    json_t *all = snapshot("a", 0), *line = json_array_get(json_object_get(all, "transcript"), 0);
    assert_int_equal(json_array_size(json_object_get(all, "transcript")), 1);
    assert_int_equal(json_integer_value(json_object_get(line, "replaces")), 1);
    assert_int_equal(json_integer_value(json_object_get(line, "seq")), 2);
    json_decref(all);
    /* A final text that differs by nothing but what follows a NUL is another text. */
    assert_int_equal(LINE("a", "\"text\":\"forty\\u0000two\",\"segment_id\":\"s\""), 3);
    assert_int_equal(LINE("a", "\"text\":\"forty\\u0000two\",\"segment_id\":\"s\""), -3);
}

/* The first line as it stands in the store. */
static const char *stored_json(const char *call_id)
{
    static char out[1024];
    struct snapshot s;
    memset(&s, 0, sizeof s);
    s.op.run = run_snapshot;
    s.call_id = call_id;
    sio_builder_init(&s.json);
    assert_int_equal(kit_store_run_now(f.app->kit.store, &s.op), 0);
    sio_builder_put(&s.json, "}");
    struct eio_str object = {s.json.json, s.json.size};
    ((char *)s.json.json)[0] = '{'; /* was the comma */
    struct eio_str list = sio_json_member(object, "transcript");
    struct eio_str first = sio_args_at((struct sio_args){{list.p + 1, list.n - 2}, NULL, 0}, 0);
    snprintf(out, sizeof out, "%.*s", (int)first.n, first.p);
    sio_builder_clear(&s.json);
    return out;
}

static void values_that_cannot_be_written_again_go_on_byte_by_byte(void **state)
{
    static const char odd[] = "\"text\":\"so \\ud83d\\u0000.\",\"id\":123456789012345678901234567890,\"x\":1e400,"
                              "\"y\":[-0.0,1e-400],\"\":{\"__proto__\":\"\\udc00\"},\"y\" : 2";
    (void)state;
    START("a");
    assert_int_equal(LINE("a", "\"text\":\"so \\ud83d\\u0000.\",\"id\":123456789012345678901234567890,\"x\":1e400,"
                               "\"y\":[-0.0,1e-400],\"\":{\"__proto__\":\"\\udc00\"},\"y\" : 2"),
                     1);
    assert_non_null(strstr(stored_json("a"), odd));
    /* What the server says itself is said once, and the rest stays. */
    START("b");
    assert_int_equal(LINE("b", "\"seq\":5 , \"text\":\"t\",\"s\\u0065q\":6,\"x\": 1e400,\"replaces\":1"), 1);
    const char *stored = stored_json("b");
    assert_non_null(strstr(stored, "\"text\":\"t\",\"x\":1e400,\"timestamp\""));
    assert_null(strstr(stored, "replaces"));
    assert_null(strstr(stored, "\"seq\":5"));
    assert_null(strstr(stored, "065q"));
}

static void the_call_is_named_whoever_wrote_the_line(void **state)
{
    struct calls_feed_event event = {
        .kind = CALLS_FEED_LINE, .raw = eio_str("{\"speaker\":\"agent\",\"text\":\"x\"}"), .call_id = "a"};
    (void)state;
    START("a");
    calls_feed_submit(kit_state(&f.app->kit, &calls_module), &event, on_result, NULL);
    kit_work_wait(f.app->kit.work);
    assert_int_equal(f.last.failure.code, 0);
    assert_non_null(strstr(stored_json("a"), "\"call_id\":\"a\""));
}

/* A number out of the store. */
static struct {
    struct kit_store_op op;
    const char *sql;
    int64_t value;
} number;

static int run_number(struct kit_db *db, struct kit_store_op *op)
{
    char value[32];
    if (kit_db_ask(db, number.sql, value, sizeof value)) return kit_db_fail(db, &op->failure);
    number.value = value[0] ? atoll(value) : -1;
    return 0;
}

static int64_t query(const char *sql)
{
    number.op = (struct kit_store_op){.run = run_number, .writes = true};
    number.sql = sql;
    kit_work_wait(f.app->kit.work); /* the connection is one thread's at a time */
    assert_int_equal(kit_store_run_now(f.app->kit.store, &number.op), 0);
    return number.value;
}

/* ------------------------------------------------------------------- lists */

static struct calls_list_result listed;
static struct calls_list_error first_error;
static int list_answers;

static void on_list(void *ctx, const struct calls_list_result *result)
{
    (void)ctx;
    listed = *result;
    first_error = result->error_count ? result->errors[0] : (struct calls_list_error){0};
    list_answers++;
}

static void post_list(const char *call_id, const char *text)
{
    struct calls_feed_event event = {.kind = CALLS_FEED_LINE, .raw = eio_str(text), .call_id = call_id};
    list_answers = 0;
    calls_list_submit(kit_state(&f.app->kit, &calls_module), &event, on_list, NULL);
    kit_work_wait(f.app->kit.work);
    assert_int_equal(list_answers, 1);
}

static void a_bad_line_of_a_list_costs_that_line(void **state)
{
    (void)state;
    START("a");
    post_list("a", " [{\"speaker\":\"agent\",\"text\":\"1\",\"segment_id\":\"1\"} ,"
                   "{\"speaker\":\"agent\"}, 7, null,{\"speaker\":\"agent\",\"text\":\"2\",\"call_id\":\"b\"},"
                   "{\"speaker\":\"agent\",\"text\":\"1\",\"segment_id\":\"1\"},"
                   "{\"speaker\":\"agent\",\"text\":\"3\"}] ");
    assert_int_equal(listed.failure.code, 0);
    assert_int_equal(listed.stored, 2);
    assert_int_equal(listed.duplicates, 1);
    assert_int_equal(listed.failed, 4);
    assert_int_equal(listed.error_count, 4);
    assert_int_equal(listed.seq, 2);
    assert_int_equal(first_error.index, 1);
    assert_int_equal(first_error.failure.code, 400);
    assert_string_equal(first_error.failure.field, "/text");
    assert_string_equal(transcript("a", 0), "1:1 2:3 |2");
    post_list("none", "[{\"speaker\":\"agent\",\"text\":\"1\"}]");
    assert_int_equal(first_error.failure.code, 404);
    post_list("a", "[{\"speaker\":\"agent\",\"text\":\"1\"},]");
    assert_int_equal(listed.failure.code, 400);
    post_list("a", "[]");
    assert_int_equal(listed.failure.code, 400);
    assert_string_equal(transcript("a", 0), "1:1 2:3 |2");
}

/* As text of `count` lines; to be freed. */
/* Nothing of it was read yet, and how many lines it has is unknown. */
static void a_list_that_the_store_does_not_take_is_refused_whole(void **state)
{
    (void)state;
    START("a");
    kit_store_abandon(f.app->kit.store);
    post_list("a", "[{\"speaker\":\"agent\",\"text\":\"1\"},{\"speaker\":\"agent\",\"text\":\"2\"}]");
    assert_int_equal(listed.failure.code, 503);
    assert_int_equal(listed.stored + listed.duplicates + listed.failed, 0);
}

static char *long_list(size_t count, const char *segments)
{
    size_t n = 0, size = count * 96 + 8;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        n += (size_t)snprintf(text + n, size - n,
                              segments ? "%c{\"speaker\":\"agent\",\"text\":\"%zu\",\"segment_id\":\"%s%zu\"}"
                                       : "%c{\"speaker\":\"agent\",\"text\":\"%zu\"}",
                              i ? ',' : '[', i, segments, i);
    snprintf(text + n, size - n, "]");
    return text;
}

/* A list costs what its rows cost: on PostgreSQL, where each statement is a way there and back, the same few statements
 * whatever its length; on SQLite at most the search for what a line repeats, and its two rows, for each. */
static void a_list_costs_few_statements(void **state)
{
    enum { COUNT = 400 };
    char *text = long_list(COUNT, "x");
    struct kit_store_stats before, after;
    (void)state;
    START("a");
    kit_store_get_stats(f.app->kit.store, &before);
    post_list("a", text);
    kit_store_get_stats(f.app->kit.store, &after);
    free(text);
    assert_int_equal(listed.stored, COUNT);
    assert_int_equal(listed.seq, COUNT);
    if (!getenv("TEST_STORE_FAULTS"))
        assert_in_range(after.statements - before.statements, 1, 12 + (getenv("TEST_STORE") ? 0 : 3 * COUNT));
}

/* Segments that are said more than once in one list: each has its number, the last is stored. */
static void a_list_may_correct_itself(void **state)
{
    (void)state;
    START("a");
    post_list("a", "[{\"speaker\":\"agent\",\"text\":\"old\",\"segment_id\":\"s\"}]");
    post_list("a", "[{\"speaker\":\"agent\",\"text\":\"gu\",\"segment_id\":\"t\",\"is_final\":false},"
                   "{\"speaker\":\"agent\",\"text\":\"guess\",\"segment_id\":\"t\"},"
                   "{\"speaker\":\"agent\",\"text\":\"late\",\"segment_id\":\"t\",\"is_final\":false},"
                   "{\"speaker\":\"agent\",\"text\":\"guess\",\"segment_id\":\"t\"},"
                   "{\"speaker\":\"agent\",\"text\":\"new\",\"segment_id\":\"s\"},"
                   "{\"speaker\":\"agent\",\"text\":\"right\",\"segment_id\":\"t\"},"
                   "{\"speaker\":\"agent\",\"text\":\"newer\",\"segment_id\":\"s\"}]");
    assert_int_equal(listed.failed, 0);
    assert_int_equal(listed.stored, 5);
    assert_int_equal(listed.duplicates, 2);
    assert_int_equal(listed.seq, 6);
    assert_string_equal(transcript("a", 0), "5:right 6:newer |6");
    assert_non_null(strstr(stored_json("a"), "\"replaces\":3"));
    if (!getenv("TEST_STORE")) {
        while (query("SELECT indexed < (SELECT max(id) FROM segments) FROM segments_text_state"))
            eio_loop_turn(f.app->kit.loop, -1);
        assert_int_equal(query("SELECT count(*) FROM segments_text WHERE segments_text MATCH 'old OR new OR guess'"),
                         0);
        assert_int_equal(query("SELECT count(*) FROM segments_text WHERE segments_text MATCH 'right OR newer'"), 2);
        assert_int_equal(query("SELECT count(*) FROM segments_text s JOIN segments l ON l.id = s.rowid WHERE "
                               "segments_text MATCH 'right'"),
                         1);
    }
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static int run_gate(struct kit_db *db, struct kit_store_op *op)
{
    (void)db, (void)op;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return 0;
}

static void on_gate(struct kit_store_op *op)
{
    (void)op;
}

/* What feeds say one by one and waits together is stored together; what is wrong with one is its own. */
static void a_bad_line_among_those_of_others_costs_that_line(void **state)
{
    struct kit_store_stats before, after;
    (void)state;
    START("a");
    START("b");
    kit_work_wait(f.app->kit.work);
    kit_store_get_stats(f.app->kit.store, &before);
    int answers = f.answers;
    struct kit_store_op waits = {.run = run_gate, .done = on_gate};
    pthread_mutex_lock(&gate);
    assert_int_equal(kit_store_submit(f.app->kit.store, &waits, 0), 0);
    for (int i = 0; i < 100; i++) {
        char text[200];
        const char *call = i == 50 ? "none" : i % 2 ? "a" : "b";
        snprintf(text, sizeof text, "{\"call_id\":\"%s\",\"speaker\":\"agent\",\"text\":\"%d\",\"segment_id\":\"%d\"}",
                 call, i, i == 70 ? 68 : i);
        submit(CALLS_FEED_LINE, text);
    }
    pthread_mutex_unlock(&gate);
    kit_work_wait(f.app->kit.work);
    kit_store_get_stats(f.app->kit.store, &after);
    assert_int_equal(f.answers, answers + 100);
    assert_string_equal(transcript("a", 47), "48:95 49:97 50:99 |50");
    assert_string_equal(transcript("b", 46), "47:94 48:96 49:98 |49");
    if (getenv("TEST_STORE_FAULTS")) return;
    assert_int_equal(after.retries, before.retries);
    assert_in_range(after.statements - before.statements, 1, 20 + (getenv("TEST_STORE") ? 0 : 300));
}

static void a_long_list_lets_others_pass(void **state)
{
    char *text = long_list(3000, NULL);
    struct calls *calls = kit_state(&f.app->kit, &calls_module);
    struct calls_feed_event list = {.kind = CALLS_FEED_LINE, .raw = eio_str(text), .call_id = "a"};
    (void)state;
    START("a");
    START("b");
    list_answers = 0;
    calls_list_submit(calls, &list, on_list, NULL);
    free(text);
    int before = f.answers;
    submit(CALLS_FEED_LINE, "{\"call_id\":\"b\",\"speaker\":\"agent\",\"text\":\"x\"}");
    while (f.answers == before) eio_loop_turn(f.app->kit.loop, 10);
    assert_int_equal(list_answers, 0);
    kit_work_wait(f.app->kit.work);
    assert_int_equal(list_answers, 1);
    assert_int_equal(listed.stored, 3000);
    assert_int_equal(listed.seq, 3000);
    fixture_calls_config(&f.config)->snapshot_lines_max = 2;
    assert_string_equal(transcript("a", 0), "2999:2998 3000:2999 |3000");
}

/* --------------------------------------------------------------------- ends */

static struct kit_failure deleted;
static int delete_answers;

static void on_deleted(void *ctx, const struct kit_failure *failure)
{
    (void)ctx;
    deleted = *failure;
    delete_answers++;
}

static int delete_call(const char *call_id)
{
    int before = delete_answers;
    calls_delete(kit_state(&f.app->kit, &calls_module), call_id, NULL, on_deleted, NULL);
    kit_work_wait(f.app->kit.work);
    assert_int_equal(delete_answers, before + 1);
    return deleted.code;
}

static void a_deleted_call_leaves_nothing(void **state)
{
    char *text = long_list(2500, NULL);
    (void)state;
    START("a");
    START("b");
    post_list("a", text);
    free(text);
    LINE("b", "\"text\":\"1\"");
    query("INSERT INTO feedback VALUES ('a', 'd', 'ann', 1, 1), ('b', 'd', 'ann', 1, 1)");
    query("INSERT INTO learned_votes(call_id, doc_id, agent, features, vector)"
          " VALUES ('a', 'd', 'ann', '', ''), ('b', 'd', 'ann', '', '')");
    assert_int_equal(query("SELECT count(*) FROM segments"), 2501);
    assert_int_equal(delete_call("a"), 0);
    assert_int_equal(query("SELECT count(*) FROM segments"), 1);
    assert_int_equal(query("SELECT count(*) FROM calls"), 1);
    assert_int_equal(query("SELECT count(*) FROM feedback"), 1);
    assert_int_equal(query("SELECT count(*) FROM learned_votes"), 1);
    assert_int_equal(delete_call("a"), 404);
    assert_int_equal(START("a"), 0);
    assert_string_equal(transcript("a", 0), "|0");
}

static void turn_until(const char *sql, int64_t wanted)
{
    for (int i = 0; i < 6000 && query(sql) != wanted; i++) eio_loop_turn(f.app->kit.loop, 10);
    assert_int_equal(query(sql), wanted);
}

/* The application again on the same data, with other options. */
static void restart(void)
{
    char error[512] = "";
    app_free(f.app);
    f.app = app_new(&f.config, NULL, error, sizeof error);
    if (!f.app) fail_msg("%s", error);
}

/* A word that the index takes out stays in its tables, with its places, beside the note that it is out: until a merge,
 * which the next process makes if this one ends before. */
static void a_deleted_call_leaves_no_word_in_the_index(void **state)
{
    static const char pieces[] = "SELECT count(*) FROM segments_text_data WHERE instr(block, CAST('lophone' AS BLOB))";
    char path[64];
    (void)state;
    if (getenv("TEST_STORE")) return; /* PostgreSQL's own index */
    fixture_directory(path);
    f.config.data = path;
    restart();
    START("b");
    for (int ends = 0; ends < 2; ends++) {
        START("a");
        for (int i = 0; i < 3; i++) { /* parts of the index, which is of lines that stay as well */
            LINE("a", "\"text\":\"a xylophone\"");
            LINE("b", "\"text\":\"other words\"");
            turn_until("SELECT indexed < (SELECT max(id) FROM segments) FROM segments_text_state", 0);
        }
        assert_true(query(pieces) > 0);
        assert_int_equal(delete_call("a"), 0);
        if (ends) restart();
        assert_true(query(pieces) > 0);
        turn_until(pieces, 0);
        turn_until("SELECT count(*) FROM segments_text_state", 1); /* it is done */
        assert_int_equal(query("SELECT count(*) FROM segments_text WHERE segments_text MATCH 'other'"), 3 + 3 * ends);
    }
    app_free(f.app);
    f.app = NULL;
    fixture_remove(path);
}

static void calls_that_ended_long_ago_are_deleted(void **state)
{
    char path[64];
    (void)state;
    fixture_directory(path);
    f.config.data = path;
    restart();
    START("old");
    START("new");
    START("live");
    LINE("old", "\"text\":\"1\"");
    say(CALLS_FEED_END, "{\"call_id\":\"old\"}");
    say(CALLS_FEED_END, "{\"call_id\":\"new\"}");
    query("UPDATE calls SET ended_ms = ended_ms - 31622400000 WHERE call_id='old'");
    query("UPDATE calls SET started_ms = started_ms - 31622400000");
    restart();
    turn_until("SELECT count(*) FROM calls", 2);
    assert_int_equal(query("SELECT count(*) FROM calls WHERE call_id='old'"), 0);
    assert_int_equal(query("SELECT count(*) FROM segments"), 0);
    app_free(f.app);
    f.app = NULL;
    fixture_remove(path);
}

static void a_call_that_nobody_speaks_of_ends(void **state)
{
    (void)state;
    fixture_calls_config(&f.config)->call_idle_timeout_s = 1;
    restart();
    for (int i = 0; i < 150; i++) { /* more than are ended at once */
        char text[64];
        snprintf(text, sizeof text, "{\"call_id\":\"c%d\"}", i);
        say(CALLS_FEED_START, text);
    }
    turn_until("SELECT count(*) FROM calls WHERE status='ended' AND ended_ms IS NOT NULL AND seq=1", 150);
    assert_int_equal(calls_get_counters(kit_state(&f.app->kit, &calls_module))->abandoned, 150);
}

/* It would change an index with each line. What is behind by so much is no reason to end a call: the next look is
 * later. */
static void when_a_call_was_heard_of_is_written_once_in_a_while(void **state)
{
    (void)state;
    fixture_calls_config(&f.config)->call_idle_timeout_s = 64000; /* a step is 1000 s */
    restart();
    START("a");
    LINE("a", "\"text\":\"1\"");
    assert_int_equal(query("SELECT last_ms - started_ms FROM calls WHERE call_id='a' AND seq=1"), 0);
    query("UPDATE calls SET last_ms = last_ms - 900000, started_ms = last_ms - 900000 WHERE call_id='a' RETURNING 1");
    LINE("a", "\"text\":\"2\"");
    assert_int_equal(query("SELECT last_ms - started_ms FROM calls WHERE call_id='a' AND seq=2"), 0);
    query("UPDATE calls SET last_ms = last_ms - 100001 WHERE call_id='a' RETURNING 1");
    LINE("a", "\"text\":\"3\"");
    assert_in_range(query("SELECT last_ms - started_ms FROM calls WHERE call_id='a' AND seq=3"), 900000, 1500000);
}

static void unknown_fields_are_kept_as_they_came(void **state)
{
    (void)state;
    START("a");
    LINE("a",
         "\"text\":\"x\",\"n\":0.1,\"deep\":{\"a\":[1,null,true]},\"seq\":77,\"timestamp\":\"2026-01-01T00:00:00Z\"");
    json_t *all = snapshot("a", 0), *line = json_array_get(json_object_get(all, "transcript"), 0);
    assert_int_equal(json_integer_value(json_object_get(line, "seq")), 1);
    assert_true(json_real_value(json_object_get(line, "n")) == 0.1);
    assert_int_equal(json_array_size(json_object_get(json_object_get(line, "deep"), "a")), 3);
    assert_string_equal(json_string_value(json_object_get(line, "timestamp")), "2026-01-01T00:00:00Z");
    json_decref(all);
    LINE("a", "\"text\":\"y\"");
    all = snapshot("a", 1);
    line = json_array_get(json_object_get(all, "transcript"), 0);
    const char *timestamp = json_string_value(json_object_get(line, "timestamp"));
    assert_non_null(timestamp);
    assert_true(kit_is_date_time(timestamp));
    json_decref(all);
}

static void a_text_above_the_limit_is_413(void **state)
{
    char text[2000];
    (void)state;
    START("a");
    fixture_calls_config(&f.config)->text_max_bytes = 1000;
    snprintf(text, sizeof text, "{\"call_id\":\"a\",\"speaker\":\"agent\",\"text\":\"%01000d\"}", 0);
    assert_int_equal(say(CALLS_FEED_LINE, text), 1);
    snprintf(text, sizeof text, "{\"call_id\":\"a\",\"speaker\":\"agent\",\"text\":\"%01001d\"}", 0);
    assert_int_equal(say(CALLS_FEED_LINE, text), 413);
}

static void a_snapshot_is_bounded_and_says_so(void **state)
{
    (void)state;
    START("a");
    fixture_calls_config(&f.config)->snapshot_lines_max = 2;
    LINE("a", "\"text\":\"1\"");
    json_t *all = snapshot("a", 0);
    assert_null(json_object_get(all, "truncated"));
    json_decref(all);
    LINE("a", "\"text\":\"2\"");
    LINE("a", "\"text\":\"3\"");
    assert_string_equal(transcript("a", 0), "2:2 3:3 |3");
    all = snapshot("a", 0);
    assert_true(json_is_true(json_object_get(all, "truncated")));
    json_decref(all);
    all = snapshot("a", 1);
    assert_null(json_object_get(all, "truncated"));
    json_decref(all);
}

static void a_customers_line_brings_a_suggestion_once_per_change(void **state)
{
    static const char guide[] = "# Refunds\nHow to give a refund.\n# Passwords\nHow to reset a password.\n";
    struct knowledge_import import = {.source = "g.md", .text = eio_str(guide)};
    char error[256];
    (void)state;
    assert_int_equal(knowledge_import(f.app->kit.store, &import, error, sizeof error), 0);
    START("a");
    say(CALLS_FEED_LINE, "{\"call_id\":\"a\",\"speaker\":\"agent\",\"text\":\"a refund?\"}");
    say(CALLS_FEED_LINE,
        "{\"call_id\":\"a\",\"speaker\":\"customer\",\"text\":\"a refund?\",\"segment_id\":\"1\",\"is_final\":false}");
    assert_int_equal(calls_get_counters(kit_state(&f.app->kit, &calls_module))->searches, 0);
    say(CALLS_FEED_LINE,
        "{\"call_id\":\"a\",\"speaker\":\"customer\",\"text\":\"I want a refund\",\"segment_id\":\"1\"}");
    json_t *all = snapshot("a", 0), *list = json_object_get(all, "suggestions");
    assert_int_equal(json_array_size(list), 1);
    json_t *documents = json_object_get(json_array_get(list, 0), "documents");
    assert_string_equal(json_string_value(json_object_get(json_array_get(documents, 0), "id")), "g.refunds");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "seq")), 4);
    json_decref(all);
    say(CALLS_FEED_LINE, "{\"call_id\":\"a\",\"speaker\":\"customer\",\"text\":\"yes, a refund\"}");
    assert_int_equal(calls_get_counters(kit_state(&f.app->kit, &calls_module))->searches, 2);
    assert_int_equal(calls_get_counters(kit_state(&f.app->kit, &calls_module))->suggestions, 1);
    say(CALLS_FEED_LINE, "{\"call_id\":\"a\",\"speaker\":\"Customer\",\"text\":\"and my password passwords\"}");
    assert_int_equal(calls_get_counters(kit_state(&f.app->kit, &calls_module))->suggestions, 2);
}

/* How many alerts a look at this time after now brings. */
static int alerts_after(int64_t ms)
{
    struct calls *calls = kit_state(&f.app->kit, &calls_module);
    uint64_t before = calls_get_counters(calls)->alerts;
    calls_alerts_look(calls, (int64_t)eio_loop_unix_ms(f.app->kit.loop) + ms);
    kit_work_wait(f.app->kit.work);
    return (int)(calls_get_counters(calls)->alerts - before);
}

static void what_is_not_said_in_time_fires_once(void **state)
{
    (void)state;
    query("INSERT INTO alert_rules(name, rule, source, since_ms) VALUES ('hello',"
          " '{\"name\":\"hello\",\"phrase\":\"good day\",\"speaker\":\"agent\",\"not_within_s\":60}', 'http', 1)");
    query("UPDATE alert_changes SET n = n + 1");
    assert_int_equal(alerts_after(0), 0);
    START("silent");
    START("polite");
    START("over");
    LINE("polite", "\"text\":\"Good day!\"");
    LINE("silent", "\"text\":\"a good daydream\"");
    say(CALLS_FEED_LINE, "{\"call_id\":\"silent\",\"speaker\":\"customer\",\"text\":\"good day\"}");
    say(CALLS_FEED_END, "{\"call_id\":\"over\"}");
    assert_int_equal(alerts_after(50000), 0);
    assert_int_equal(alerts_after(61000), 1);
    assert_int_equal(alerts_after(62000), 0);
    LINE("silent", "\"text\":\"good day\"");
    json_t *all = snapshot("silent", 0), *alert = json_array_get(json_object_get(all, "alerts"), 0);
    assert_int_equal(json_array_size(json_object_get(all, "alerts")), 1);
    assert_string_equal(json_string_value(json_object_get(alert, "text")), "not said within 60 s");
    assert_int_equal(json_integer_value(json_object_get(alert, "seq")), 3);
    assert_int_equal(json_integer_value(json_object_get(all, "seq")), 4);
    json_decref(all);
    /* A server that was away for longer does not come back with old alerts. */
    START("forgotten");
    assert_int_equal(alerts_after(60000 + 600000 + 60000), 0);
}

static void too_much_at_once_is_refused_and_the_rest_is_kept(void **state)
{
    char error[512];
    (void)state;
    app_free(f.app);
    f.config.work_queue_max = 10;
    f.app = app_new(&f.config, NULL, error, sizeof error);
    START("a");
    int before = f.answers;
    for (int i = 0; i < 100; i++) submit(CALLS_FEED_LINE, "{\"call_id\":\"a\",\"speaker\":\"agent\",\"text\":\"x\"}");
    kit_work_wait(f.app->kit.work);
    assert_int_equal(f.answers, before + 100);
    assert_string_equal(transcript("a", 9), "10:x |10");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(seq_grows_by_one_per_call),
        TEST(an_interim_line_is_replaced_until_it_is_final),
        TEST(a_repeat_is_accepted_once),
        TEST(what_is_not_possible_is_refused),
        TEST(last_words_may_come_after_the_end_for_a_while),
        TEST(a_corrected_final_line_replaces_the_first),
        TEST(values_that_cannot_be_written_again_go_on_byte_by_byte),
        TEST(the_call_is_named_whoever_wrote_the_line),
        TEST(a_bad_line_of_a_list_costs_that_line),
        TEST(a_list_that_the_store_does_not_take_is_refused_whole),
        TEST(a_list_costs_few_statements),
        TEST(a_list_may_correct_itself),
        TEST(a_bad_line_among_those_of_others_costs_that_line),
        TEST(a_long_list_lets_others_pass),
        TEST(a_deleted_call_leaves_nothing),
        TEST(a_deleted_call_leaves_no_word_in_the_index),
        TEST(calls_that_ended_long_ago_are_deleted),
        TEST(a_call_that_nobody_speaks_of_ends),
        TEST(when_a_call_was_heard_of_is_written_once_in_a_while),
        TEST(unknown_fields_are_kept_as_they_came),
        TEST(a_text_above_the_limit_is_413),
        TEST(a_snapshot_is_bounded_and_says_so),
        TEST(a_customers_line_brings_a_suggestion_once_per_change),
        TEST(what_is_not_said_in_time_fires_once),
        TEST(too_much_at_once_is_refused_and_the_rest_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
