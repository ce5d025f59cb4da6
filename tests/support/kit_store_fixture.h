/* A store with operations that insert and count calls, for the tests of the store and of its engines. */
#ifndef KIT_STORE_FIXTURE_H
#define KIT_STORE_FIXTURE_H

#include "kit_fixture.h"

#include <pthread.h>

struct fixture {
    char directory[64];
    struct kit_config config;
    struct kit_work *work;
    struct kit_store *store;
    char log[8192]; /* what done() saw, "a0 b404 …" */
};

static struct fixture f;

static inline void open_store(void)
{
    struct kit_work_options options = {2, 10000, 1 << 24};
    char error[512] = "";
    f.work = kit_work_new(NULL, &options);
    f.store = kit_store_open(f.work, &f.config, error, sizeof error);
    if (!f.store) fail_msg("%s", error);
}

static inline void close_store(void)
{
    kit_work_free(f.work);
    kit_store_close(f.store);
    f.work = NULL;
    f.store = NULL;
}

static inline int set_up(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    fixture_directory(f.directory);
    fixture_config_data(&f.config, f.directory);
    open_store();
    return 0;
}

static inline int tear_down(void **state)
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

static inline void done(struct kit_store_op *op)
{
    struct op *o = (struct op *)op;
    size_t n = strlen(f.log);
    snprintf(f.log + n, sizeof f.log - n, op->writes ? "%s%d " : "%s%d=%d ", o->name, op->failure.code, (int)o->count);
    free(op);
}

static inline int run_insert(struct kit_db *db, struct kit_store_op *op)
{
    struct op *o = (struct op *)op;
    if (o->gate) pthread_mutex_lock(o->gate), pthread_mutex_unlock(o->gate);
    if (kit_db_run(db, "INSERT INTO calls(call_id, status, started_ms) VALUES (?, 'active', 1)", "t", o->name))
        return kit_db_fail(db, &op->failure);
    return o->fail_after ? kit_fail(&op->failure, o->fail_after, NULL, "as told") : 0;
}

static inline int run_count(struct kit_db *db, struct kit_store_op *op)
{
    struct op *o = (struct op *)op;
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT count(*) FROM calls", "") != KIT_ROW) return kit_db_fail(db, &op->failure);
    o->count = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return 0;
}

static inline struct op *make(const char *name, bool writes, int (*run)(struct kit_db *db, struct kit_store_op *op))
{
    struct op *o = calloc(1, sizeof *o);
    snprintf(o->name, sizeof o->name, "%s", name);
    o->op.writes = writes;
    o->op.run = run;
    o->op.done = done;
    return o;
}

static inline void put(const char *name)
{
    assert_int_equal(kit_store_submit(f.store, &make(name, true, run_insert)->op, 0), 0);
}

static inline void count(void)
{
    assert_int_equal(kit_store_submit(f.store, &make("n", false, run_count)->op, 0), 0);
}

/* Holds the first write on its thread until the rest is queued, so that they form one batch. */
static inline void batch_begin(pthread_mutex_t *gate)
{
    struct op *o = make("first", true, run_insert);
    pthread_mutex_init(gate, NULL);
    pthread_mutex_lock(gate);
    o->gate = gate;
    assert_int_equal(kit_store_submit(f.store, &o->op, 0), 0);
}

static inline void batch_end(pthread_mutex_t *gate)
{
    pthread_mutex_unlock(gate);
    kit_work_wait(f.work);
    pthread_mutex_destroy(gate);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
