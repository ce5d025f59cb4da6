/* What is PostgreSQL's alone: connections that break, other nodes. Runs under tests/support/with-postgresql. */
#include "kit_store_fixture.h"

#include <time.h>

/* Waits until the query of another connection gives this. */
static void wait_for(const char *sql, const char *value)
{
    for (int i = 0; i < 6000; i++) {
        char *found = fixture_psql(sql);
        bool is_there = !strcmp(found, value);
        free(found);
        if (is_there) return;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    fail_msg("never %s: %s", value, sql);
}

/* Of clients: what PostgreSQL does by itself (autovacuum) may wait as well. */
#define WAITING_COMMITS \
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'"

/* With the test's own tables. */
static const char *in_schema(const char *sql)
{
    static char both[1024];
    snprintf(both, sizeof both, "SET search_path = %s; %s", strstr(f.config.store, "%3D") + 3, sql);
    return both;
}

static void assert_count(const char *count)
{
    char *found = fixture_psql(in_schema("SELECT count(*) FROM calls"));
    assert_string_equal(found, count);
    free(found);
}

/* A write is being done on the server: it waits for a lock of ours. */
static PGconn *hold_calls(void)
{
    PGconn *conn = PQconnectdb(getenv("TEST_STORE"));
    PQclear(PQexec(conn, "BEGIN"));
    PGresult *result = PQexec(conn, in_schema("LOCK TABLE calls IN EXCLUSIVE MODE"));
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    return conn;
}

static void end_backends(const char *where)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND %s",
             where);
    wait_for(sql, "1");
}

/* Nothing ends by itself before the test has seen it. */
static void open_patient_store(void)
{
    close_store();
    f.config.store_busy_timeout_ms = f.config.store_statement_timeout_ms = 60000;
    open_store();
}

static void a_connection_that_breaks_in_a_transaction_costs_that_transaction(void **state)
{
    (void)state;
    open_patient_store();
    put("kept");
    kit_work_wait(f.work);
    PGconn *conn = hold_calls();
    put("a");
    end_backends("wait_event_type = 'Lock'");
    kit_work_wait(f.work);
    PQfinish(conn);
    put("b");
    kit_work_wait(f.work);
    assert_string_equal(f.log, "kept0 a503 b0 ");
    assert_count("2");
}

/* The commit is done, its answer is lost: with a standby that never answers, it waits after the commit. */
static void a_commit_whose_answer_is_lost_is_acknowledged_if_it_was_done(void **state)
{
    (void)state;
    open_patient_store();
    put("kept");
    kit_work_wait(f.work);
    free(fixture_psql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'"));
    free(fixture_psql("SELECT pg_reload_conf()"));
    wait_for("SHOW synchronous_standby_names", "nobody");
    put("a");
    wait_for(WAITING_COMMITS, "1");
    free(fixture_psql("ALTER SYSTEM RESET synchronous_standby_names"));
    end_backends("wait_event = 'SyncRep'");
    free(fixture_psql("SELECT pg_reload_conf()"));
    kit_work_wait(f.work);
    assert_string_equal(f.log, "kept0 a0 ");
    assert_count("2");
}

/* The same, but the transaction waits before its commit, and ends undone. */
static void a_commit_that_was_not_done_is_not_acknowledged(void **state)
{
    (void)state;
    open_patient_store();
    put("kept");
    kit_work_wait(f.work);
    free(fixture_psql(
        in_schema("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
                  " $$ BEGIN PERFORM pg_sleep(100); RETURN NULL; END $$;"
                  "CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON store_nodes DEFERRABLE INITIALLY DEFERRED"
                  " FOR EACH ROW EXECUTE FUNCTION slow()")));
    put("a");
    end_backends("wait_event = 'PgSleep'");
    kit_work_wait(f.work);
    assert_string_equal(f.log, "kept0 a503 ");
    assert_count("1");
    /* A server that was slow may do it after all, and is not taken for having done the next one. */
    free(fixture_psql(in_schema("ALTER TABLE store_nodes DISABLE TRIGGER slow; UPDATE store_nodes SET n = n + 1;"
                                "ALTER TABLE store_nodes ENABLE TRIGGER slow")));
    put("b");
    end_backends("wait_event = 'PgSleep'");
    kit_work_wait(f.work);
    assert_string_equal(f.log, "kept0 a503 b503 ");
    assert_count("1");
}

static void note_message(struct kit_store_op *op)
{
    size_t n = strlen(f.log);
    snprintf(f.log + n, sizeof f.log - n, "%d %s", op->failure.code, op->failure.message);
    free(op);
}

/* The server stops before it knows. */
static void a_commit_that_nobody_knows_of_is_not_said_to_be_undone(void **state)
{
    (void)state;
    open_patient_store();
    put("kept");
    kit_work_wait(f.work);
    free(fixture_psql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'"));
    free(fixture_psql("SELECT pg_reload_conf()"));
    wait_for("SHOW synchronous_standby_names", "nobody");
    struct op *o = make("a", true, run_insert);
    o->op.done = note_message;
    assert_int_equal(kit_store_submit(f.store, &o->op, 0), 0);
    wait_for(WAITING_COMMITS, "1");
    kit_store_abandon(f.store);
    kit_work_wait(f.work);
    free(fixture_psql("ALTER SYSTEM RESET synchronous_standby_names"));
    free(fixture_psql("SELECT pg_reload_conf()"));
    assert_string_equal(f.log, "kept0 503 the server is stopping; whether this was stored is not known");
    wait_for(in_schema("SELECT count(*) FROM calls"), "2");
}

static void a_statement_that_takes_too_long_is_503(void **state)
{
    (void)state;
    PGconn *conn = hold_calls();
    put("a"); /* store_busy_timeout_ms is 50 */
    kit_work_wait(f.work);
    PQfinish(conn);
    put("a");
    kit_work_wait(f.work);
    assert_string_equal(f.log, "a503 a0 ");
}

static int run_read_only(struct kit_db *db, struct kit_store_op *op)
{
    return kit_db_run(db, "SET default_transaction_read_only = on", "") ? kit_db_fail(db, &op->failure) : 0;
}

/* A connection whose server takes no writes any more, as behind a proxy after a failover: the next attempt is made on a
 * new one. */
static void a_connection_that_became_read_only_is_left(void **state)
{
    (void)state;
    assert_int_equal(kit_store_submit(f.store, &make("z", true, run_read_only)->op, 0), 0);
    kit_work_wait(f.work);
    put("a");
    kit_work_wait(f.work);
    put("b");
    kit_work_wait(f.work);
    assert_string_equal(f.log, "z0 a503 b0 ");
    assert_count("1");
}

static int run_both(struct kit_db *db, struct kit_store_op *op)
{
    struct op *o = (struct op *)op;
    struct kit_rows row;
    if (kit_db_run(db, "UPDATE calls SET seq = seq + 1 WHERE call_id=?", "t", o->name) ||
        kit_db_query(db, &row, "SELECT 1 FROM pg_sleep(0.01)", "") != KIT_ROW ||
        kit_db_change(db, "UPDATE calls SET seq = seq + 1 WHERE call_id=?", "t", o->name[0] == 'a' ? "b" : "a") < 0)
        return kit_db_fail(db, &op->failure);
    return 0;
}

/* With time to wait for each other's locks. */
static struct kit_store *open_two(void)
{
    char error[512] = "";
    open_patient_store();
    struct kit_store *other = kit_store_open(f.work, &f.config, error, sizeof error);
    if (!other) fail_msg("%s", error);
    return other;
}

static size_t count_in_log(const char *what)
{
    size_t count = 0;
    for (const char *at = f.log; (at = strstr(at, what)); at += strlen(what)) count++;
    return count;
}

/* Operations that do not name what they change. */
static void a_deadlock_between_nodes_is_run_again(void **state)
{
    struct kit_store_stats own, others;
    (void)state;
    free(fixture_psql("ALTER SYSTEM SET deadlock_timeout = '10ms'"));
    free(fixture_psql("SELECT pg_reload_conf()"));
    struct kit_store *other = open_two();
    put("a");
    put("b");
    kit_work_wait(f.work);
    f.log[0] = 0;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(kit_store_submit(f.store, &make("a", true, run_both)->op, 0), 0);
        assert_int_equal(kit_store_submit(other, &make("b", true, run_both)->op, 0), 0);
    }
    kit_work_wait(f.work);
    kit_store_get_stats(f.store, &own);
    kit_store_get_stats(other, &others);
    kit_store_close(other);
    size_t done_count = count_in_log("a0 ") + count_in_log("b0 ");
    assert_int_equal(done_count + count_in_log("503 "), 40);
    assert_in_range(done_count, 20, 40);
    assert_true(own.retries + others.retries > 0);
    char *sum = fixture_psql(in_schema("SELECT sum(seq) FROM calls"));
    assert_int_equal(atoi(sum), 2 * done_count);
    free(sum);
}

static int run_next(struct kit_db *db, struct kit_store_op *op)
{
    struct op *o = (struct op *)op;
    struct kit_rows row;
    if (kit_db_query(db, &row, "UPDATE calls SET seq = seq + 1 WHERE call_id='a' RETURNING seq", "") != KIT_ROW)
        return kit_db_fail(db, &op->failure);
    o->count = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return 0;
}

static int64_t numbers[400];
static size_t number_count;

static void note_number(struct kit_store_op *op)
{
    assert_int_equal(op->failure.code, 0);
    numbers[number_count++] = ((struct op *)op)->count;
    free(op);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void nodes_that_write_to_one_call_number_it_without_a_hole(void **state)
{
    (void)state;
    number_count = 0;
    struct kit_store *other = open_two();
    put("a");
    kit_work_wait(f.work);
    for (int i = 0; i < 400; i++) {
        struct op *o = make("a", true, run_next);
        o->op.locks[0] = "a";
        o->op.done = note_number;
        assert_int_equal(kit_store_submit(i % 2 ? f.store : other, &o->op, 0), 0);
    }
    kit_work_wait(f.work);
    kit_store_close(other);
    qsort(numbers, number_count, sizeof *numbers, compare);
    assert_int_equal(number_count, 400);
    for (size_t i = 0; i < number_count; i++) assert_int_equal(numbers[i], i + 1);
}

static void a_database_that_will_not_do_is_a_clear_error(void **state)
{
    static const char *const bad[][2] = {
        {"postgresql:///nothing_here?user=parley&host=", "does not exist"},
        {"postgresql://127.0.0.1:1/x?connect_timeout=2", "refused"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char url[512], error[512] = "";
        const char *own = f.config.store;
        snprintf(url, sizeof url, "%s%s", bad[i][0], i ? "" : getenv("TEST_STORE_FOLDER"));
        f.config.store = url;
        assert_null(kit_store_open(f.work, &f.config, error, sizeof error));
        f.config.store = own;
        assert_non_null(strstr(error, "option store"));
        if (!strstr(error, bad[i][1])) fail_msg("%s", error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_that_breaks_in_a_transaction_costs_that_transaction),
        TEST(a_commit_whose_answer_is_lost_is_acknowledged_if_it_was_done),
        TEST(a_commit_that_was_not_done_is_not_acknowledged),
        TEST(a_commit_that_nobody_knows_of_is_not_said_to_be_undone),
        TEST(a_statement_that_takes_too_long_is_503),
        TEST(a_connection_that_became_read_only_is_left),
        TEST(a_deadlock_between_nodes_is_run_again),
        TEST(nodes_that_write_to_one_call_number_it_without_a_hole),
        TEST(a_database_that_will_not_do_is_a_clear_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
