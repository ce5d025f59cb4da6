/* A store that an earlier Parley filled: each schema that there was is made again by the steps of that time, gets a row
 * in each of its tables, and is opened by this Parley. Also run on PostgreSQL. */
#include "kit_engine.h"
#include "kit_store_fixture.h"

#include "app.h"

enum { CALLS, KNOWLEDGE, USERS, HOOKS, CHAT, MODULES };
static const char *const names[MODULES] = {"calls", "knowledge", "users", "hooks", "chat"};

/* How many steps of each module a Parley had. The last row is that of 0.2.0. */
static const int schemas[][MODULES] = {
    {2, 3, 0, 0, 0}, {2, 4, 0, 0, 0}, {3, 5, 0, 0, 0}, {3, 6, 0, 0, 0}, {3, 6, 1, 0, 0},
    {4, 6, 1, 0, 0}, {4, 7, 1, 0, 0}, {5, 7, 1, 0, 0}, {6, 7, 1, 0, 0}, {7, 7, 1, 0, 0},
    {7, 7, 1, 0, 1}, {7, 7, 1, 2, 1}, {7, 8, 1, 2, 2}, {7, 8, 2, 2, 2}, {7, 8, 2, 2, 3},
    {7, 8, 2, 2, 4}, {7, 8, 2, 2, 5}, {8, 8, 2, 2, 5}, {8, 9, 2, 2, 5},
};
#define SCHEMAS (sizeof schemas / sizeof schemas[0])

/* Before version 5 of the database, which SQLite alone had. */
static const int uncounted[][MODULES] = {{0}, {1, 1}, {1, 2}, {1, 3}, {2, 3}};

/* Rows as they were written by a Parley with at least this many steps of the module, and at most that many (0: all). */
static const struct {
    int module, from, up_to;
    const char *sql;
} rows[] = {
    {CALLS, 1, 1,
     "INSERT INTO calls(call_id, status, started_ms, ended_ms, seq, agents, metadata) VALUES"
     " ('over', 'ended', 1000, 2000, 3, '[\"ann\"]', '{\"customer\":\"J\xc3\xb6rg\"}'),"
     " ('live', 'active', 1500, NULL, 1, '[]', '{}')"},
    {CALLS, 2, 0,
     "INSERT INTO calls(call_id, status, started_ms, ended_ms, seq, agents, metadata, last_ms) VALUES"
     " ('over', 'ended', 1000, 2000, 3, '[\"ann\"]', '{\"customer\":\"J\xc3\xb6rg\"}', 2000),"
     " ('live', 'active', 1500, NULL, 1, '[]', '{}', 1500)"},
    {CALLS, 2, 0, "INSERT INTO call_agents(agent, call) SELECT 'ann', id FROM calls WHERE call_id='over'"},
    {CALLS, 1, 0,
     "INSERT INTO segments(call, seq, segment_id, is_final, speaker, text, json)"
     " SELECT id, 1, 's1', 1, 'customer', 'my invoice is wrong', '{\"text\":\"my invoice is wrong\"}' FROM calls"},
    {CALLS, 1, 0, "INSERT INTO suggestions(call, seq, top, json) SELECT id, 2, 'd1', '{}' FROM calls"},
    {CALLS, 3, 0, "INSERT INTO notes(call, note_id, recipient, json) SELECT id, 'n1', 'ann', '{}' FROM calls"},
    {CALLS, 3, 0, "INSERT INTO call_help(call, agent, reason, since_ms) SELECT id, 'ann', 'lost', 1 FROM calls"},
    {CALLS, 3, 0, "INSERT INTO wrapups(call, agent, outcome, at_ms) SELECT id, 'ann', 'solved', 1 FROM calls"},
    {CALLS, 3, 0,
     "INSERT INTO document_uses(call, doc_id, agent, weight, at_ms) SELECT id, 'd1', 'ann', 1, 1 FROM calls"},
    {CALLS, 4, 0,
     "/*sqlite*/INSERT INTO segments_text(rowid, text, call) SELECT id, text, call FROM segments WHERE is_final <> 0"
     "/*end*/"},
    {CALLS, 5, 0, "INSERT INTO alert_rules(name, rule, source, since_ms) VALUES ('cancel', '{}', 'http', 1)"},
    {CALLS, 5, 0, "INSERT INTO call_rules(call, rule) SELECT id, 'cancel' FROM calls"},
    {CALLS, 5, 0, "INSERT INTO alerts(call, seq, json) SELECT id, 3, '{}' FROM calls"},
    {CALLS, 6, 0, "INSERT INTO summaries(call, seq, json) SELECT id, 4, '{}' FROM calls"},
    {CALLS, 7, 0, "INSERT INTO node_agents(node, agents, at_ms) VALUES ('n', 2, 1)"},
    {CALLS, 8, 0, "/*sqlite*/UPDATE segments_text_state SET indexed = (SELECT max(id) FROM segments)/*end*/"},
    {KNOWLEDGE, 1, 0,
     "INSERT INTO documents(doc_id, source, topic, title, text, helpful) VALUES ('d1', 'faq.md', 'Money', 'Refunds',"
     " 'Within 30 days.', 1)"},
    {KNOWLEDGE, 1, 0,
     "INSERT INTO feedback(call_id, doc_id, agent, helpful, at_ms) VALUES ('over', 'd1', 'ann', 1, 1)"},
    {KNOWLEDGE, 2, 0,
     "INSERT INTO document_ids(doc_id, source, heading, text_hash, position) VALUES ('d1', 'faq.md', 'Refunds', 'h', "
     "0)"},
    {KNOWLEDGE, 3, 4, "INSERT INTO learned(doc_id, feature, n) VALUES ('d1', 'invoice', 1)"},
    {KNOWLEDGE, 5, 0, "INSERT INTO learned(doc_id, feature, n) VALUES ('d1', 'invoice', 4)"},
    {KNOWLEDGE, 3, 4, "INSERT INTO learned_calls(doc_id, n, vector, changed) VALUES ('d1', 1, 'v', 1)"},
    {KNOWLEDGE, 5, 0, "INSERT INTO learned_calls(doc_id, n, vector, changed) VALUES ('d1', 4, 'v', 1)"},
    {KNOWLEDGE, 3, 0,
     "INSERT INTO learned_votes(call_id, doc_id, agent, features, vector) VALUES ('over', 'd1', 'ann', 'invoice', "
     "'v')"},
    {KNOWLEDGE, 6, 0, "INSERT INTO document_shown(doc_id, n) VALUES ('d1', 7)"},
    {KNOWLEDGE, 7, 0, "INSERT INTO embeddings(model, hash, vector) VALUES ('m', 'h', 'v')"},
    {KNOWLEDGE, 7, 0, "INSERT INTO embeddings_wanted(hash, text) VALUES ('h2', 'my invoice')"},
    {KNOWLEDGE, 9, 0, "INSERT INTO document_phrases(doc_id, phrase, by_model) VALUES ('d1', 'money back', 1)"},
    {KNOWLEDGE, 9, 0, "INSERT INTO document_expansions(doc_id, text_hash) VALUES ('d1', 'h')"},
    {USERS, 1, 0,
     "INSERT INTO users(name, hash, role, calls, created_ms, changed_ms) VALUES ('ann', '$argon2id$', 'agent', '*', 1, "
     "2)"},
    {USERS, 2, 0, "INSERT INTO user_cutoffs(tenant, name, seq, not_before_s) VALUES ('', 'bob', 1, 9)"},
    {HOOKS, 1, 0, "INSERT INTO webhook_ids(id, at_ms) VALUES ('w1', 1)"},
    {HOOKS, 2, 0,
     "INSERT INTO hook_outbox(batch, source, call_id, size, at_ms, json) VALUES ('', 'ann', 'over', 2, 1, '{}')"},
    {CHAT, 1, 0,
     "INSERT INTO chats(chat_id, user_id, tenant, assistant, title, created_ms, updated_ms, seq, session_id, tree,"
     " tree_version) VALUES ('chat', 'ann', '', 'default', 'Orders', 1, 2, 3, 'sess', '{\"a\":1}', 4)"},
    {CHAT, 1, 0,
     "INSERT INTO chat_log(chat, seq, ref_id, attempt, type, payload) SELECT id, 1, 'r1', 1, 'chat.source', '{' FROM "
     "chats"},
    {CHAT, 1, 0,
     "INSERT INTO chat_turns(chat, ref_id, attempt, state, content, session_id, intent_id, connection_id, started_ms)"
     " SELECT id, 'r1', 1, 'waiting', 'Where is it?', 'sess', 'i', 'c', 1 FROM chats"},
    {CHAT, 1, 0,
     "INSERT INTO chat_elicitations(elicitation_id, chat, turn, call_id, state, question)"
     " SELECT 'e1', chat, id, 'c1', 'open', '{}' FROM chat_turns"},
    {CHAT, 1, 0,
     "INSERT INTO chat_history(user_id, user_chat_id, socket_connection_id, session_id, user_intent_id, message_type,"
     " content, timestamp, chat, ref_id, attempt) SELECT 'ann', 'chat', 'c', 'sess', 'i', 'user', 'Where is it?', 1, "
     "id,"
     " 'r1', 1 FROM chats"},
    {CHAT, 1, 0, "INSERT INTO chat_said(chat, message_id) SELECT id, 'm1' FROM chats"},
    {CHAT, 1, 0,
     "INSERT INTO chat_feedback(chat, ref_id, attempt, user_id, helpful, at_ms) SELECT id, 'r1', 1, 'ann', 1, 1 FROM "
     "chats"},
    {CHAT, 2, 0,
     "INSERT INTO chat_reminders(reminder_id, chat, text, at_ms) SELECT 'm1', id, 'call back', 99 FROM chats"},
    {CHAT, 2, 0, "INSERT INTO chat_lessons(chat, doc_id, document, byte) SELECT id, 'd1', 0, 5 FROM chats"},
    {CHAT, 3, 0, "UPDATE chats SET time_zone = 'Europe/Berlin'"},
    {CHAT, 5, 0, "INSERT INTO chat_pieces(owner, data) VALUES ('n', 'x')"},
    {CHAT, 5, 0, "INSERT INTO chat_settled(owner, chat, at) SELECT 'n', id, 1 FROM chats"},
};

/* What this Parley finds in a store of at least that many steps. */
static const struct {
    int module, from;
    const char *sql, *expected;
} checks[] = {
    {CALLS, 1, "SELECT metadata FROM calls WHERE call_id='over' AND ended_ms=2000 AND seq=3",
     "{\"customer\":\"J\xc3\xb6rg\"}"},
    {CALLS, 1, "SELECT sum(last_ms) FROM calls", "3500"},
    {CALLS, 1, "SELECT c.call_id FROM call_agents a JOIN calls c ON c.id = a.call WHERE a.agent='ann'", "over"},
    {CALLS, 1, "SELECT count(*) FROM segments WHERE json='{\"text\":\"my invoice is wrong\"}' AND is_final=1", "2"},
    {CALLS, 1, "SELECT count(*) FROM suggestions", "2"},
    {CALLS, 1, "SELECT n FROM alert_changes", "1"},
    {CALLS, 3, "SELECT count(*) FROM notes WHERE recipient='ann'", "2"},
    {CALLS, 3, "SELECT count(*) FROM call_help WHERE reason='lost'", "2"},
    {CALLS, 3, "SELECT count(*) FROM wrapups WHERE outcome='solved'", "2"},
    {CALLS, 3, "SELECT count(*) FROM document_uses", "2"},
    {CALLS, 5, "SELECT count(*) FROM alert_rules r JOIN call_rules c ON c.rule = r.name", "2"},
    {CALLS, 5, "SELECT count(*) FROM alerts", "2"},
    {CALLS, 6, "SELECT count(*) FROM summaries", "2"},
    {KNOWLEDGE, 1, "SELECT text FROM documents WHERE doc_id='d1' AND helpful=1", "Within 30 days."},
    {KNOWLEDGE, 1, "SELECT source FROM document_ids WHERE doc_id='d1'", "faq.md"},
    {KNOWLEDGE, 1, "SELECT helpful FROM feedback WHERE agent='ann'", "1"},
    {KNOWLEDGE, 1, "SELECT learned FROM knowledge_changes", "1"},
    {KNOWLEDGE, 3, "SELECT n FROM learned WHERE feature='invoice'", "4"},
    {KNOWLEDGE, 3, "SELECT n FROM learned_calls", "4"},
    {KNOWLEDGE, 3, "SELECT weight FROM learned_votes", "4"},
    {KNOWLEDGE, 6, "SELECT n FROM document_shown", "7"},
    {KNOWLEDGE, 7, "SELECT count(*) FROM embeddings", "1"},
    {KNOWLEDGE, 7, "SELECT text FROM embeddings_wanted", "my invoice"},
    {USERS, 1, "SELECT '(' || calls || ')(' || chats || ')' FROM users WHERE name='ann'", "(*)()"},
    {KNOWLEDGE, 9, "SELECT phrase FROM document_phrases", "money back"},
    {USERS, 1, "SELECT hash FROM users WHERE name='ann' AND role='agent'", "$argon2id$"},
    {USERS, 2, "SELECT not_before_s FROM user_cutoffs WHERE name='bob'", "9"},
    {HOOKS, 1, "SELECT id FROM webhook_ids", "w1"},
    {HOOKS, 2, "SELECT source FROM hook_outbox", "ann"},
    {CHAT, 1, "SELECT title FROM chats WHERE tree='{\"a\":1}' AND tree_version=4 AND seq=3 AND pieces=''", "Orders"},
    {CHAT, 1, "SELECT type FROM chat_log WHERE payload='{'", "chat.source"},
    {CHAT, 1, "SELECT t.state FROM chat_elicitations e JOIN chat_turns t ON t.id = e.turn WHERE e.state='open'",
     "waiting"},
    {CHAT, 1, "SELECT content FROM chat_history", "Where is it?"},
    {CHAT, 1, "SELECT message_id FROM chat_said", "m1"},
    {CHAT, 1, "SELECT helpful FROM chat_feedback", "1"},
    {CHAT, 2, "SELECT text FROM chat_reminders WHERE is_said=0", "call back"},
    {CHAT, 2, "SELECT byte FROM chat_lessons", "5"},
    {CHAT, 3, "SELECT time_zone FROM chats", "Europe/Berlin"},
    {CHAT, 5, "SELECT data FROM chat_pieces", "x"},
};

/* ------------------------------------------------------------- the stores */

struct store {
    struct kit_config config;
    struct kit_home *home;
    struct kit_db *db;
    char directory[64];
};

static const struct kit_module *module_of(int which)
{
    for (size_t i = 0; app_modules[i]; i++)
        if (!strcmp(app_modules[i]->name, names[which])) return app_modules[i];
    fail_msg("no module %s", names[which]);
    return NULL;
}

static void open_db(struct store *store)
{
    char error[512] = "";
    const struct kit_engine *engine = store->config.store[0] ? &kit_postgresql : &kit_sqlite;
    store->home = engine->open_home(&store->config, error, sizeof error);
    if (store->home) store->db = engine->open(store->home, KIT_ACCESS_WRITE, error, sizeof error);
    if (!store->db) fail_msg("%s", error);
}

static void close_db(struct store *store)
{
    const struct kit_engine *engine = store->home->engine;
    engine->close(store->db);
    engine->close_home(store->home);
}

static void make_store(struct store *store)
{
    memset(store, 0, sizeof *store);
    fixture_directory(store->directory);
    fixture_config_data(&store->config, store->directory);
    open_db(store);
}

static void remove_store(struct store *store)
{
    close_db(store);
    kit_config_clear(&store->config);
    fixture_remove(store->directory);
}

static void run(struct store *store, const char *sql)
{
    struct kit_failure why = {0};
    if (!store->db->engine->run_script(store->db, sql)) return;
    kit_db_fail(store->db, &why);
    fail_msg("%s: %s", sql, why.message);
}

static void ask(struct store *store, const char *sql, char *out, size_t size)
{
    struct kit_failure why = {0};
    if (!kit_db_ask(store->db, sql, out, size)) return;
    kit_db_fail(store->db, &why);
    fail_msg("%s: %s", sql, why.message);
}

static void migrate(struct store *store, const struct kit_module *const *modules)
{
    char error[512] = "";
    if (kit_store_migrate(store->db, modules, error, sizeof error)) fail_msg("%s", error);
}

/* As a Parley with these steps made it. */
static void migrate_to(struct store *store, const int steps[MODULES])
{
    static const char *kept[MODULES][64];
    struct kit_module cut[MODULES];
    const struct kit_module *list[MODULES + 1] = {NULL};
    for (int m = 0, n = 0; m < MODULES; m++) {
        if (!steps[m]) continue;
        cut[m] = *module_of(m);
        memset(kept[m], 0, sizeof kept[m]);
        memcpy(kept[m], cut[m].migrations, (size_t)steps[m] * sizeof kept[m][0]);
        cut[m].migrations = kept[m];
        list[n++] = &cut[m];
    }
    migrate(store, list);
}

/* Before each module counted its own steps. */
static void make_uncounted(struct store *store, int version)
{
    const struct kit_engine *engine = store->db->engine;
    assert_int_equal(engine->begin_schema(store->db), 0);
    for (int m = 0; m < MODULES; m++)
        for (int i = 0; i < uncounted[version][m]; i++) run(store, module_of(m)->migrations[i]);
    assert_int_equal(engine->set_version(store->db, version), 0);
    assert_int_equal(engine->commit(store->db), 0);
}

static void fill(struct store *store, const int steps[MODULES])
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (steps[rows[i].module] >= rows[i].from && (!rows[i].up_to || steps[rows[i].module] <= rows[i].up_to))
            run(store, rows[i].sql);
}

static bool is_sqlite(const struct store *store)
{
    return store->db->engine == &kit_sqlite;
}

/* Tables, columns and indexes, a line each. */
static void describe(struct store *store, char *out, size_t size)
{
    ask(store,
        is_sqlite(store)
            ? "SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
              " ORDER BY name)"
            : "SELECT string_agg(line, chr(10) ORDER BY line) FROM (SELECT table_name || ' ' || column_name"
              " || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(regexp_replace(column_default,"
              " '[a-z_0-9]+\\.', ''), '') AS line FROM information_schema.columns"
              " WHERE table_schema = current_schema() UNION ALL SELECT regexp_replace(indexdef,"
              " current_schema() || '\\.', '') FROM pg_indexes WHERE schemaname = current_schema()) AS lines",
        out, size);
    assert_true(out[0] && strlen(out) + 1 < size);
}

/* ---------------------------------------------------------------- the tests */

static char fresh[65536], upgraded[65536];

static void check_upgrade(struct store *store, const int steps[MODULES])
{
    char found[256];
    /* The program is another one: nothing of the former connection is left. */
    close_db(store);
    open_db(store);
    migrate(store, app_modules);
    describe(store, upgraded, sizeof upgraded);
    assert_string_equal(upgraded, fresh);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        if (steps[checks[i].module] < checks[i].from) continue;
        ask(store, checks[i].sql, found, sizeof found);
        if (strcmp(found, checks[i].expected) != 0)
            fail_msg("from %d %d %d %d %d: %s: %s instead of %s", steps[0], steps[1], steps[2], steps[3], steps[4],
                     checks[i].sql, found, checks[i].expected);
    }
    if (is_sqlite(store) && steps[CALLS]) { /* found by its words, whether they were in the index or not */
        ask(store, "SELECT count(*) FROM segments_text WHERE segments_text MATCH 'invoice'", found, sizeof found);
        assert_string_equal(found, "2");
        ask(store, "PRAGMA foreign_key_check", found, sizeof found);
        assert_string_equal(found, "");
        ask(store, "PRAGMA integrity_check", found, sizeof found);
        assert_string_equal(found, "ok");
    }
}

static int describe_fresh(void **state)
{
    struct store store;
    (void)state;
    make_store(&store);
    migrate(&store, app_modules);
    describe(&store, fresh, sizeof fresh);
    remove_store(&store);
    return 0;
}

static void a_store_of_any_former_parley_is_upgraded_with_all_that_is_in_it(void **state)
{
    struct store store;
    (void)state;
    for (size_t i = 0; i < SCHEMAS; i++) {
        make_store(&store);
        migrate_to(&store, schemas[i]);
        fill(&store, schemas[i]);
        check_upgrade(&store, schemas[i]);
        remove_store(&store);
    }
}

static void a_file_from_before_the_modules_counted_their_steps_is_upgraded_with_all_that_is_in_it(void **state)
{
    struct store store;
    (void)state;
    for (int version = 1; version < (int)(sizeof uncounted / sizeof uncounted[0]); version++) {
        make_store(&store);
        if (!is_sqlite(&store)) { /* which had no such version */
            remove_store(&store);
            skip();
        }
        make_uncounted(&store, version);
        fill(&store, uncounted[version]);
        check_upgrade(&store, uncounted[version]);
        remove_store(&store);
    }
}

/* Else the tests above show less than they say. */
static void each_table_has_a_row_here(void **state)
{
    struct store store;
    char tables[4096], sql[256], found[16];
    (void)state;
    make_store(&store);
    migrate_to(&store, schemas[SCHEMAS - 1]);
    fill(&store, schemas[SCHEMAS - 1]);
    ask(&store,
        is_sqlite(&store) ? "SELECT group_concat(name, ' ') FROM sqlite_master WHERE type = 'table' AND name NOT LIKE"
                            " 'sqlite_%' AND sql NOT LIKE '%fts5%' AND name NOT LIKE 'segments_text_%'"
                          : "SELECT string_agg(table_name, ' ') FROM information_schema.tables WHERE table_schema ="
                            " current_schema() AND table_name NOT IN ('store_nodes', 'faults')",
        tables, sizeof tables);
    int count = 0;
    for (char *rest, *name = strtok_r(tables, " ", &rest); name; name = strtok_r(NULL, " ", &rest), count++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", name);
        ask(&store, sql, found, sizeof found);
        if (!strcmp(found, "0")) fail_msg("no row for %s", name);
    }
    assert_true(count > 30);
    remove_store(&store);
}

/* Stores of 0.2.0 have run these. A change is a new step behind them. */
static void the_steps_of_a_release_are_never_edited(void **state)
{
    static const uint64_t released[MODULES] = {0x76579402c2112740, 0xb7b622d1b0616e70, 0x7d12a99a98fb8f5b,
                                               0xf22a4f4bcacaa306, 0x942db1aa8e219ef6};
    (void)state;
    for (int m = 0; m < MODULES; m++) {
        uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
        for (int i = 0; i < schemas[SCHEMAS - 1][m]; i++)
            for (const char *p = module_of(m)->migrations[i]; *p; p++)
                hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
        if (hash != released[m])
            fail_msg("a step of %s that was released is another one (%#llx)", names[m], (unsigned long long)hash);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_of_any_former_parley_is_upgraded_with_all_that_is_in_it),
        cmocka_unit_test(a_file_from_before_the_modules_counted_their_steps_is_upgraded_with_all_that_is_in_it),
        cmocka_unit_test(each_table_has_a_row_here),
        cmocka_unit_test(the_steps_of_a_release_are_never_edited),
    };
    return cmocka_run_group_tests(tests, describe_fresh, NULL);
}
