#include "kit_store_fixture.h"

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
    if (!getenv("TEST_STORE_FAULTS")) assert_in_range(stats.commits, 1, 2);
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

static int run_missing(struct kit_db *db, struct kit_store_op *op)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT id FROM calls WHERE call_id='nobody'", "") != KIT_ROW)
        return kit_db_fail(db, &op->failure);
    kit_rows_end(&row);
    return 0;
}

/* Nothing failed in the database: it has no reason of its own. */
static void a_row_that_must_be_there_and_is_not_is_said_to_be_missing(void **state)
{
    struct kit_store_op op = {.run = run_missing};
    (void)state;
    assert_int_equal(kit_store_run_now(f.store, &op), 500);
    assert_string_equal(op.failure.message, "the store failed (a row is missing); nothing was stored");
}

static int64_t asked;

static int run_number(struct kit_db *db, struct kit_store_op *op)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT count(*) FROM calls WHERE started_ms=2", "") != KIT_ROW)
        return kit_db_fail(db, &op->failure);
    asked = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return 0;
}

/* Of the calls that run_all() inserted. */
static int64_t count_alike(void)
{
    struct kit_store_op op = {.run = run_number};
    assert_int_equal(kit_store_run_now(f.store, &op), 0);
    return asked;
}

/* Inserts for all; the rest of `op` decides what becomes of one. */
static int run_all(struct kit_db *db, struct kit_store_op *const *ops, size_t count, struct kit_failure *why)
{
    for (size_t i = 0; i < count; i++) {
        struct op *o = (struct op *)ops[i];
        o->count = (int64_t)count;
        if (o->fail_after == 404)
            kit_fail(&ops[i]->failure, 404, NULL, "as told");
        else if (o->fail_after)
            return kit_fail(why, 500, NULL, "as told");
        else if (kit_db_run(db, "INSERT INTO calls(call_id, status, started_ms) VALUES (?, 'active', 2)", "t", o->name))
            return kit_db_fail(db, why);
    }
    return 0;
}

static void put_alike(const char *name, int fail_after)
{
    struct op *o = make(name, true, run_insert);
    o->op.run_together = run_all;
    o->fail_after = fail_after;
    assert_int_equal(kit_store_submit(f.store, &o->op, 0), 0);
}

static void writes_that_are_alike_are_run_at_once(void **state)
{
    pthread_mutex_t gate;
    (void)state;
    batch_begin(&gate);
    put_alike("a", 0);
    put_alike("b", 404);
    put_alike("c", 0);
    put("d");
    put_alike("e", 0);
    count();
    batch_end(&gate);
    assert_string_equal(f.log, "first0 a0 b404 c0 d0 e0 n0=5 ");
    /* The thread may have taken the first of them with what holds it. */
    if (!getenv("TEST_STORE_FAULTS")) assert_in_range(count_alike(), 1, 2);
}

/* By the reason that the function gives, and by the database's own, which may show only at the commit. */
static void writes_that_fail_at_once_are_run_one_by_one(void **state)
{
    pthread_mutex_t gate;
    (void)state;
    batch_begin(&gate);
    put_alike("a", 0);
    put_alike("b", 409);
    put_alike("c", 0);
    put("d");
    count();
    batch_end(&gate);
    assert_string_equal(f.log, "first0 a0 b409 c0 d0 n0=4 ");
    f.log[0] = 0;
    batch_begin(&gate); /* fails now, for it is there */
    put_alike("e", 0);
    put_alike("a", 0);
    put_alike("f", 0);
    count();
    batch_end(&gate);
    assert_string_equal(f.log, "first500 e0 a500 f0 n0=6 ");
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

static int run_sums(struct kit_db *db, struct kit_store_op *op)
{
    static const int64_t numbers[] = {0,    1, -1, 9999, 10000, 20000, 100000000, 123456789012345678, -5000000000000,
                                      70001};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct kit_rows row;
        enum kit_step step = kit_db_query(
            db, &row, "SELECT sum(v), count(v), max(v) FROM (SELECT ? AS v UNION ALL SELECT 0) AS t", "i", numbers[i]);
        if (step != KIT_ROW) return kit_db_fail(db, &op->failure);
        assert_int_equal(kit_rows_int(&row, 0), numbers[i]);
        assert_int_equal(kit_rows_int(&row, 1), 2);
        assert_int_equal(kit_rows_int(&row, 2), numbers[i] > 0 ? numbers[i] : 0);
        kit_rows_end(&row);
    }
    return 0;
}

/* What sum() makes of integers is of another type in some engines. */
static void sums_are_whole_numbers(void **state)
{
    struct kit_store_op op = {.run = run_sums};
    (void)state;
    assert_int_equal(kit_store_run_now(f.store, &op), 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_stored_is_there_after_a_restart),
        TEST(writes_that_wait_together_share_a_transaction_and_keep_their_order),
        TEST(a_write_that_fails_is_undone_alone),
        TEST(a_row_that_must_be_there_and_is_not_is_said_to_be_missing),
        TEST(writes_that_are_alike_are_run_at_once),
        TEST(writes_that_fail_at_once_are_run_one_by_one),
        TEST(a_read_sees_the_writes_before_it_and_none_after),
        TEST(sums_are_whole_numbers),
        TEST(an_abandoned_store_refuses_what_waits),
        TEST(the_reader_cannot_write_and_sees_what_is_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
