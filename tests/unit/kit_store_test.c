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
        TEST(a_read_sees_the_writes_before_it_and_none_after),
        TEST(sums_are_whole_numbers),
        TEST(an_abandoned_store_refuses_what_waits),
        TEST(the_reader_cannot_write_and_sees_what_is_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
