/* The turn of a node that sends, when the store is busy. */
#include "kit_fixture.h"

#include "hooks_outbox.h"

#include <pthread.h>

static struct {
    struct kit_config config;
    struct kit_work *work;
    struct kit_store *store;
    struct hooks hooks[2]; /* of two nodes */
    pthread_mutex_t gate;
    int64_t opened_ms;
} f;

static int set_up(void **state)
{
    struct kit_work_options options = {1, 100, 1 << 20};
    char error[512] = "";
    (void)state;
    memset(&f, 0, sizeof f);
    fixture_config_data(&f.config, ":memory:");
    f.work = kit_work_new(NULL, &options);
    f.store = kit_store_open(f.work, &f.config, error, sizeof error);
    if (!f.store) fail_msg("%s", error);
    for (size_t i = 0; i < 2; i++) {
        f.hooks[i].config = hooks_config(&f.config);
        f.hooks[i].outbox = hooks_outbox_new(&f.hooks[i]);
        assert_non_null(f.hooks[i].outbox);
    }
    pthread_mutex_init(&f.gate, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kit_work_free(f.work);
    kit_store_close(f.store);
    for (size_t i = 0; i < 2; i++) hooks_outbox_free(f.hooks[i].outbox);
    kit_config_clear(&f.config);
    pthread_mutex_destroy(&f.gate);
    return 0;
}

static void on_done(struct kit_store_op *op)
{
    assert_int_equal(op->failure.code, 0);
}

static int run_gate(struct kit_db *db, struct kit_store_op *op)
{
    (void)db;
    (void)op;
    pthread_mutex_lock(&f.gate);
    pthread_mutex_unlock(&f.gate);
    return 0;
}

static void submit_take(struct hooks_take *take, struct hooks *hooks)
{
    memset(take, 0, sizeof *take);
    take->op = (struct kit_store_op){.run = hooks_take, .done = on_done, .writes = true};
    take->hooks = hooks;
    take->count_max = 10;
    assert_int_equal(kit_store_submit(f.store, &take->op, 0), 0);
}

static int64_t until_ms;

static int run_until(struct kit_db *db, struct kit_store_op *op)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT until_ms FROM hook_sender", "") != KIT_ROW) return kit_db_fail(db, &op->failure);
    until_ms = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return 0;
}

static int run_expire(struct kit_db *db, struct kit_store_op *op)
{
    return kit_db_run(db, "UPDATE hook_sender SET owner='other', until_ms=?", "i", f.opened_ms)
               ? kit_db_fail(db, &op->failure)
               : 0;
}

/* Waits until the clock has moved by ms. */
static int64_t pass(int64_t ms)
{
    int64_t end = kit_unix_ms() + ms;
    while (kit_unix_ms() < end) nanosleep(&(struct timespec){0, 1000000}, NULL);
    return kit_unix_ms();
}

static void a_turn_counts_from_when_it_is_written(void **state)
{
    struct kit_store_op gate = {.run = run_gate, .done = on_done, .writes = true, .is_alone = true};
    struct kit_store_op look = {.run = run_until};
    struct hooks_take take;
    (void)state;
    pthread_mutex_lock(&f.gate);
    assert_int_equal(kit_store_submit(f.store, &gate, 0), 0);
    submit_take(&take, &f.hooks[0]);
    f.opened_ms = pass(5);
    pthread_mutex_unlock(&f.gate);
    kit_work_wait(f.work);
    assert_true(take.is_ours);
    assert_int_equal(kit_store_run_now(f.store, &look), 0);
    assert_true(until_ms >= f.opened_ms + HOOKS_LEASE_MS + f.hooks[0].config->timeout_ms);
    sio_builder_clear(&take.batch.body);
}

/* Also the other's is over when it is over as the store is asked, not as the store was to be asked. */
static void a_turn_that_ended_meanwhile_is_taken(void **state)
{
    struct kit_store_op gate = {.run = run_gate, .done = on_done, .writes = true, .is_alone = true};
    struct kit_store_op expire = {.run = run_expire, .done = on_done, .writes = true};
    struct hooks_take take, other;
    (void)state;
    pthread_mutex_lock(&f.gate);
    assert_int_equal(kit_store_submit(f.store, &gate, 0), 0);
    assert_int_equal(kit_store_submit(f.store, &expire, 0), 0);
    submit_take(&take, &f.hooks[0]);
    submit_take(&other, &f.hooks[1]);
    f.opened_ms = pass(5);
    pass(2);
    pthread_mutex_unlock(&f.gate);
    kit_work_wait(f.work);
    assert_true(take.is_ours);
    assert_false(other.is_ours);
    sio_builder_clear(&take.batch.body);
    sio_builder_clear(&other.batch.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_turn_counts_from_when_it_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_turn_that_ended_meanwhile_is_taken, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
