/* What is SQLite's alone: files, locks of other programs, databases of former versions. */
#include "kit_store_fixture.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>

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

/* Counts how often a lock is waited for: what that takes on a busy machine says nothing. */
static atomic_uint naps;
int __real_sqlite3_sleep(int ms);
int __wrap_sqlite3_sleep(int ms);
int __wrap_sqlite3_sleep(int ms)
{
    atomic_fetch_add(&naps, 1);
    return __real_sqlite3_sleep(ms);
}

static void a_lock_is_waited_for_once_a_batch(void **state)
{
    char path[128];
    sqlite3 *other;
    (void)state;
    snprintf(path, sizeof path, "%s/parley.db", f.directory);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    atomic_store(&naps, 0);
    put("a");
    kit_work_wait(f.work);
    unsigned once = atomic_exchange(&naps, 0);
    assert_true(once > 0);
    for (int i = 0; i < 200; i++) put("c");
    kit_work_wait(f.work);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_in_range(atomic_load(&naps), once, 100 * once); /* one by one it would be 200 times */
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
    const struct CMUnitTest tests[] = {
        TEST(a_full_disk_fails_what_was_not_committed_and_loses_nothing_else),
        TEST(a_quota_that_is_used_up_is_a_full_disk),
        TEST(a_lock_held_by_another_program_is_503_until_it_is_gone),
        TEST(a_lock_is_waited_for_once_a_batch),
        TEST(a_damaged_database_is_a_clear_error),
        TEST(a_database_of_a_later_version_is_refused),
        TEST(a_database_from_before_the_modules_counted_keeps_what_it_has),
        TEST(a_database_of_any_former_version_gets_the_steps_that_it_lacks),
        TEST(a_module_of_a_later_version_is_refused),
        TEST(memory_keeps_nothing_and_both_connections_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
