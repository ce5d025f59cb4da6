#include "kit_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

struct fixture {
    char directory[64];
    struct kit_config config;
    struct kit_work *work;
    struct kit_store *store;
    char log[8192]; /* what done() saw, "a0 b404 …" */
};

static struct fixture f;

static void open_store(void)
{
    struct kit_work_options options = {2, 10000, 1 << 24};
    char error[512] = "";
    f.work = kit_work_new(NULL, &options);
    f.store = kit_store_open(f.work, &f.config, error, sizeof error);
    if (!f.store) fail_msg("%s", error);
}

static void close_store(void)
{
    kit_work_free(f.work);
    kit_store_close(f.store);
    f.work = NULL;
    f.store = NULL;
}

static int set_up(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    fixture_directory(f.directory);
    fixture_config_data(&f.config, f.directory);
    open_store();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (f.store) close_store();
    kit_config_clear(&f.config);
    fixture_remove(f.directory);
    return 0;
}

/* An operation that inserts or counts calls. */
struct op {
    struct kit_store_op op;
    char name[32];
    int fail_after; /* code to fail with after inserting */
    int64_t count;
    pthread_mutex_t *gate;
};

static void done(struct kit_store_op *op)
{
    struct op *o = (struct op *)op;
    size_t n = strlen(f.log);
    snprintf(f.log + n, sizeof f.log - n, op->writes ? "%s%d " : "%s%d=%d ", o->name, op->failure.code, (int)o->count);
    free(op);
}

static int run_insert(struct kit_db *db, struct kit_store_op *op)
{
    struct op *o = (struct op *)op;
    if (o->gate) pthread_mutex_lock(o->gate), pthread_mutex_unlock(o->gate);
    if (kit_db_run(db, "INSERT INTO calls(call_id, status, started_ms) VALUES (?, 'active', 1)", "t", o->name))
        return kit_db_fail(db, &op->failure);
    return o->fail_after ? kit_fail(&op->failure, o->fail_after, NULL, "as told") : 0;
}

static int run_count(struct kit_db *db, struct kit_store_op *op)
{
    struct op *o = (struct op *)op;
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT count(*) FROM calls", "") != KIT_ROW) return kit_db_fail(db, &op->failure);
    o->count = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return 0;
}

static int run_fill(struct kit_db *db, struct kit_store_op *op)
{
    bool failed = kit_db_run(db, "UPDATE calls SET metadata = hex(zeroblob(4000000))", "");
    return failed ? kit_db_fail(db, &op->failure) : 0;
}

static int run_limit(struct kit_db *db, struct kit_store_op *op)
{
    char pages[16];
    return kit_db_ask(db, "PRAGMA max_page_count=100", pages, sizeof pages) ? kit_db_fail(db, &op->failure) : 0;
}

static struct op *make(const char *name, bool writes, int (*run)(struct kit_db *db, struct kit_store_op *op))
{
    struct op *o = calloc(1, sizeof *o);
    snprintf(o->name, sizeof o->name, "%s", name);
    o->op.writes = writes;
    o->op.run = run;
    o->op.done = done;
    return o;
}

static void put(const char *name)
{
    assert_int_equal(kit_store_submit(f.store, &make(name, true, run_insert)->op, 0), 0);
}

static void count(void)
{
    assert_int_equal(kit_store_submit(f.store, &make("n", false, run_count)->op, 0), 0);
}

static void what_was_stored_is_there_after_a_restart(void **state)
{
    (void)state;
    put("a");
    put("b");
    kit_work_wait(f.work);
    assert_string_equal(f.log, "a0 b0 ");
    close_store();
    open_store();
    f.log[0] = 0;
    count();
    kit_work_wait(f.work);
    assert_string_equal(f.log, "n0=2 ");
}

/* Holds the first write on its thread until the rest is queued, so that they form one batch. */
static void batch_begin(pthread_mutex_t *gate)
{
    struct op *o = make("first", true, run_insert);
    pthread_mutex_init(gate, NULL);
    pthread_mutex_lock(gate);
    o->gate = gate;
    assert_int_equal(kit_store_submit(f.store, &o->op, 0), 0);
}

static void batch_end(pthread_mutex_t *gate)
{
    pthread_mutex_unlock(gate);
    kit_work_wait(f.work);
    pthread_mutex_destroy(gate);
}

static void writes_that_wait_together_share_a_transaction_and_keep_their_order(void **state)
{
    struct kit_store_stats stats;
    pthread_mutex_t gate;
    char name[16], expected[2048] = "first0 ";
    (void)state;
    batch_begin(&gate);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "c%d_", i);
        put(name);
        strcat(strcat(expected, name), "0 ");
    }
    batch_end(&gate);
    assert_string_equal(f.log, expected);
    kit_store_get_stats(f.store, &stats);
    assert_int_equal(stats.writes, 101);
    assert_in_range(stats.commits, 1, 2);
}

static void a_write_that_fails_is_undone_alone(void **state)
{
    pthread_mutex_t gate;
    (void)state;
    batch_begin(&gate);
    put("a");
    struct op *o = make("b", true, run_insert);
    o->fail_after = 409;
    assert_int_equal(kit_store_submit(f.store, &o->op, 0), 0);
    put("a"); /* not unique: the database's own error */
    put("c");
    count();
    batch_end(&gate);
    assert_string_equal(f.log, "first0 a0 b409 a500 c0 n0=3 ");
}

static void a_read_sees_the_writes_before_it_and_none_after(void **state)
{
    pthread_mutex_t gate;
    (void)state;
    batch_begin(&gate);
    count();
    put("a");
    put("b");
    count();
    put("c");
    count();
    batch_end(&gate);
    assert_string_equal(f.log, "first0 n0=1 a0 b0 n0=3 c0 n0=4 ");
}

static void a_full_disk_fails_what_was_not_committed_and_loses_nothing_else(void **state)
{
    pthread_mutex_t gate;
    (void)state;
    put("kept");
    assert_int_equal(kit_store_submit(f.store, &make("limit", false, run_limit)->op, 0), 0);
    kit_work_wait(f.work);
    f.log[0] = 0;
    batch_begin(&gate);
    put("a");
    assert_int_equal(kit_store_submit(f.store, &make("fill", true, run_fill)->op, 0), 0);
    batch_end(&gate);
    /* The transaction may survive the failure or not; either way nobody is told a lie. */
    assert_non_null(strstr(f.log, "fill507 "));
    bool survived = strstr(f.log, "a0 ") != NULL;
    assert_true(survived || strstr(f.log, "a507 "));
    f.log[0] = 0;
    put("b");
    count();
    kit_work_wait(f.work);
    assert_string_equal(f.log, survived ? "b0 n0=4 " : "b0 n0=2 ");
}

/* setrlimit(RLIMIT_FSIZE) stands for a quota: a write beyond it fails with EFBIG. */
static void a_quota_that_is_used_up_is_a_full_disk(void **state)
{
    struct rlimit old, low;
    char path[128];
    struct stat info;
    (void)state;
    put("kept");
    kit_work_wait(f.work);
    f.log[0] = 0;
    signal(SIGXFSZ, SIG_IGN);
    snprintf(path, sizeof path, "%s/parley.db-wal", f.directory);
    assert_int_equal(stat(path, &info), 0);
    getrlimit(RLIMIT_FSIZE, &old);
    low = old;
    low.rlim_cur = (rlim_t)info.st_size + 100;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    put("a");
    kit_work_wait(f.work);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_string_equal(f.log, "a507 ");
    f.log[0] = 0;
    put("b");
    count();
    kit_work_wait(f.work);
    assert_string_equal(f.log, "b0 n0=2 ");
}

static void a_lock_held_by_another_program_is_503_until_it_is_gone(void **state)
{
    char path[128];
    sqlite3 *other;
    (void)state;
    snprintf(path, sizeof path, "%s/parley.db", f.directory);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    put("a");
    kit_work_wait(f.work);
    assert_string_equal(f.log, "a503 ");
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    put("a");
    kit_work_wait(f.work);
    assert_string_equal(f.log, "a503 a0 ");
}

static void a_lock_is_waited_for_once_a_batch(void **state)
{
    char path[128];
    sqlite3 *other;
    struct timespec before, after;
    (void)state;
    snprintf(path, sizeof path, "%s/parley.db", f.directory);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 200; i++) put("c");
    kit_work_wait(f.work);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_true(after.tv_sec - before.tv_sec < 5); /* one by one it would be 200 × 50 ms */
}

static void an_abandoned_store_refuses_what_waits(void **state)
{
    (void)state;
    put("a");
    kit_work_wait(f.work);
    kit_store_abandon(f.store);
    put("b");
    kit_work_wait(f.work);
    assert_string_equal(f.log, "a0 b503 ");
}

static void a_damaged_database_is_a_clear_error(void **state)
{
    char path[128], error[512] = "";
    (void)state;
    close_store();
    snprintf(path, sizeof path, "%s/parley.db-wal", f.directory);
    remove(path);
    snprintf(path, sizeof path, "%s/parley.db", f.directory);
    fixture_write(path,
                  "this is no database, and it is long enough to be looked at; this is no database at all ......");
    struct kit_work_options options = {1, 10, 1000};
    f.work = kit_work_new(NULL, &options);
    assert_null(kit_store_open(f.work, &f.config, error, sizeof error));
    assert_non_null(strstr(error, "not a database"));
    kit_work_free(f.work);
}

static void a_database_of_a_later_version_is_refused(void **state)
{
    char path[128], error[512] = "";
    sqlite3 *other;
    (void)state;
    close_store();
    snprintf(path, sizeof path, "%s/parley.db", f.directory);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "PRAGMA user_version=999", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    struct kit_work_options options = {1, 10, 1000};
    f.work = kit_work_new(NULL, &options);
    assert_null(kit_store_open(f.work, &f.config, error, sizeof error));
    assert_non_null(strstr(error, "version 999"));
    kit_work_free(f.work);
}

/* The schema as SQLite has it, without what the layout of the statements adds. */
static void read_schema(sqlite3 *database, char *out, size_t size)
{
    sqlite3_stmt *rows;
    size_t n = 0;
    assert_int_equal(sqlite3_prepare_v2(database, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name",
                                        -1, &rows, NULL),
                     SQLITE_OK);
    while (sqlite3_step(rows) == SQLITE_ROW)
        n += (size_t)snprintf(out + n, size - n, "%s\n", (const char *)sqlite3_column_text(rows, 0));
    sqlite3_finalize(rows);
    assert_true(n < size);
}

static sqlite3 *open_file(void)
{
    char path[128];
    sqlite3 *database;
    snprintf(path, sizeof path, "%s/parley.db", f.directory);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    return database;
}

static int64_t read_number(sqlite3 *database, const char *sql)
{
    sqlite3_stmt *row;
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return number;
}

static int steps_of(const struct kit_module *module)
{
    int count = 0;
    while (module->migrations[count]) count++;
    return count;
}

static void a_database_from_before_the_modules_counted_keeps_what_it_has(void **state)
{
    static char fresh[16384], migrated[16384];
    char path[128];
    (void)state;
    sqlite3 *database = open_file();
    read_schema(database, fresh, sizeof fresh);
    sqlite3_close(database);
    close_store();
    snprintf(path, sizeof path, "%s/parley.db", f.directory);
    assert_int_equal(remove(path), 0);
    char *sql = fixture_read_project("tests/unit/databases/version-4.sql");
    database = open_file();
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    free(sql);
    open_store();
    close_store();
    open_store(); /* and finds its own counting the next time */
    database = open_file();
    read_schema(database, migrated, sizeof migrated);
    assert_string_equal(migrated, fresh);
    assert_int_equal(read_number(database, "SELECT count(*) FROM segments"), 3);
    assert_int_equal(read_number(database, "SELECT count(*) FROM call_agents"), 1);
    assert_int_equal(read_number(database, "SELECT count(*) FROM feedback"), 1);
    assert_int_equal(read_number(database, "SELECT count(*) FROM learned_votes"), 1);
    assert_int_equal(read_number(database, "SELECT steps FROM migrations WHERE module='calls'"),
                     steps_of(&calls_module));
    assert_int_equal(read_number(database, "SELECT steps FROM migrations WHERE module='knowledge'"),
                     steps_of(&knowledge_module));
    sqlite3_close(database);
}

/* Each version that there was: what it lacks is added, and nothing of what it has is made twice. */
static void a_database_of_any_former_version_gets_the_steps_that_it_lacks(void **state)
{
    static const struct {
        int calls, knowledge;
    } had[] = {{0, 0}, {1, 1}, {1, 2}, {1, 3}, {2, 3}};
    static char fresh[16384], migrated[16384];
    char path[128], version[64];
    (void)state;
    sqlite3 *database = open_file();
    read_schema(database, fresh, sizeof fresh);
    sqlite3_close(database);
    for (int v = 0; v < 5; v++) {
        close_store();
        snprintf(path, sizeof path, "%s/parley.db", f.directory);
        assert_int_equal(remove(path), 0);
        database = open_file();
        for (int i = 0; i < had[v].calls; i++)
            assert_int_equal(sqlite3_exec(database, calls_module.migrations[i], NULL, NULL, NULL), SQLITE_OK);
        for (int i = 0; i < had[v].knowledge; i++)
            assert_int_equal(sqlite3_exec(database, knowledge_module.migrations[i], NULL, NULL, NULL), SQLITE_OK);
        snprintf(version, sizeof version, "PRAGMA user_version=%d", v);
        assert_int_equal(sqlite3_exec(database, version, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(database);
        open_store();
        database = open_file();
        read_schema(database, migrated, sizeof migrated);
        assert_string_equal(migrated, fresh);
        sqlite3_close(database);
    }
}

static void a_module_of_a_later_version_is_refused(void **state)
{
    char error[512] = "", expected[128];
    (void)state;
    sqlite3 *database = open_file();
    assert_int_equal(sqlite3_exec(database, "UPDATE migrations SET steps=99 WHERE module='calls'", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(database);
    close_store();
    struct kit_work_options options = {1, 10, 1000};
    f.work = kit_work_new(NULL, &options);
    assert_null(kit_store_open(f.work, &f.config, error, sizeof error));
    snprintf(expected, sizeof expected, "the database has version 99 of calls; this program supports up to %d",
             steps_of(&calls_module));
    assert_string_equal(error, expected);
    kit_work_free(f.work);
}

static void the_reader_cannot_write_and_sees_what_is_committed(void **state)
{
    (void)state;
    put("a");
    kit_work_wait(f.work);
    assert_int_equal(kit_store_submit_read(f.store, &make("n", false, run_count)->op, 0), 0);
    assert_int_equal(kit_store_submit_read(f.store, &make("x", false, run_insert)->op, 0), 0);
    kit_work_wait(f.work);
    assert_string_equal(f.log, "a0 n0=1 x500=0 ");
}

static void memory_keeps_nothing_and_both_connections_share_it(void **state)
{
    (void)state;
    close_store();
    kit_config_clear(&f.config);
    fixture_config_data(&f.config, ":memory:");
    for (int i = 0; i < 2; i++) {
        f.log[0] = 0;
        open_store();
        put("a");
        kit_work_wait(f.work);
        assert_int_equal(kit_store_submit_read(f.store, &make("n", false, run_count)->op, 0), 0);
        kit_work_wait(f.work);
        assert_string_equal(f.log, "a0 n0=1 ");
        close_store();
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_stored_is_there_after_a_restart),
        TEST(writes_that_wait_together_share_a_transaction_and_keep_their_order),
        TEST(a_write_that_fails_is_undone_alone),
        TEST(a_read_sees_the_writes_before_it_and_none_after),
        TEST(a_full_disk_fails_what_was_not_committed_and_loses_nothing_else),
        TEST(a_quota_that_is_used_up_is_a_full_disk),
        TEST(a_lock_held_by_another_program_is_503_until_it_is_gone),
        TEST(a_lock_is_waited_for_once_a_batch),
        TEST(an_abandoned_store_refuses_what_waits),
        TEST(a_damaged_database_is_a_clear_error),
        TEST(a_database_of_a_later_version_is_refused),
        TEST(a_database_from_before_the_modules_counted_keeps_what_it_has),
        TEST(a_database_of_any_former_version_gets_the_steps_that_it_lacks),
        TEST(a_module_of_a_later_version_is_refused),
        TEST(the_reader_cannot_write_and_sees_what_is_committed),
        TEST(memory_keeps_nothing_and_both_connections_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
