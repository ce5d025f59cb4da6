/* Group commit and failure handling. Not its job: what is stored (each concern has its own SQL) and the schema
 * (kit_store_schema.c). */
#include "kit_engine.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct kit_store {
    const struct kit_engine *engine;
    struct kit_db *writer, *reader;
    struct kit_strand write_strand, read_strand;
    atomic_uint_fast64_t writes, reads, commits;
    atomic_bool abandoned;
};

static struct kit_store_op *op_of(struct kit_job *job)
{
    return (struct kit_store_op *)(void *)((char *)job - offsetof(struct kit_store_op, job));
}

/* ------------------------------------------------------- transactions */

/* A transaction being filled: the operations from `first` on are in it. */
struct group {
    struct kit_job *first;
    bool open;
    struct kit_failure locked; /* code 0: not */
};

static void fail_group(struct group *group, const struct kit_job *end, const struct kit_failure *why)
{
    for (struct kit_job *job = group->first; job != end; job = job->next) {
        struct kit_store_op *op = op_of(job);
        if (op->writes && !op->failure.code) op->failure = *why;
    }
}

static void commit_group(struct kit_store *store, struct group *group, const struct kit_job *end)
{
    struct kit_db *db = store->writer;
    if (!group->open) return;
    group->open = false;
    if (db->engine->commit(db)) {
        struct kit_failure why;
        kit_db_fail(db, &why);
        fail_group(group, end, &why);
        db->engine->roll_back(db);
        return;
    }
    atomic_fetch_add(&store->commits, 1);
}

static void run_read(struct kit_store *store, struct kit_db *db, struct kit_store_op *op)
{
    atomic_fetch_add(&store->reads, 1);
    if (db->engine->begin(db, KIT_ACCESS_READ)) {
        kit_db_fail(db, &op->failure);
        return;
    }
    op->run(db, op);
    if (db->engine->commit(db)) db->engine->roll_back(db);
}

/* False: the operation failed because no transaction can be had. Waiting for a lock happens once a batch, not once for
 * each of its operations. */
static bool begin_group(struct kit_store *store, struct group *group, struct kit_job *job)
{
    struct kit_store_op *op = op_of(job);
    if (group->open) return true;
    group->first = job;
    if (atomic_load(&store->abandoned))
        kit_fail(&group->locked, 503, NULL, "the server is stopping; nothing was stored");
    else if (!group->locked.code && store->engine->begin(store->writer, KIT_ACCESS_WRITE))
        kit_db_fail(store->writer, &group->locked);
    if (group->locked.code) op->failure = group->locked;
    group->open = !group->locked.code;
    return group->open;
}

static void run_write(struct kit_store *store, struct group *group, struct kit_job *job)
{
    struct kit_db *db = store->writer;
    struct kit_store_op *op = op_of(job);
    atomic_fetch_add(&store->writes, 1);
    if (!begin_group(store, group, job)) return;
    if (db->engine->begin_part(db))
        kit_db_fail(db, &op->failure);
    else
        op->run(db, op);
    if (!db->engine->is_open(db)) {
        /* A full disk and the like end the whole transaction: nothing in it was acknowledged yet, all of it fails. */
        if (!op->failure.code) kit_db_fail(db, &op->failure);
        fail_group(group, job, &op->failure);
        group->open = false;
        return;
    }
    if (db->engine->end_part(db, op->failure.code != 0)) kit_db_fail(db, &op->failure);
}

static void run_write_batch(void *ctx, struct kit_job *list)
{
    struct kit_store *store = ctx;
    struct group group = {NULL, false, {0, "", ""}};
    struct kit_job *job;
    for (job = list; job; job = job->next) {
        struct kit_store_op *op = op_of(job);
        if (op->writes) {
            run_write(store, &group, job);
            continue;
        }
        /* A read shows only what is durable. */
        commit_group(store, &group, job);
        run_read(store, store->writer, op);
    }
    commit_group(store, &group, NULL);
}

static void run_read_batch(void *ctx, struct kit_job *list)
{
    struct kit_store *store = ctx;
    for (struct kit_job *job = list; job; job = job->next) run_read(store, store->reader, op_of(job));
}

/* -------------------------------------------------------------- interface */

struct kit_store *kit_store_open(struct kit_work *work, const struct kit_config *config, char *error, size_t error_size)
{
    struct kit_store *store = calloc(1, sizeof *store);
    char place[1200];
    if (!store) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    store->engine = &kit_sqlite;
    if (store->engine->place(config, place, sizeof place, error, error_size)) goto fail;
    store->writer = store->engine->open(place, config, KIT_ACCESS_WRITE, error, error_size);
    if (!store->writer || kit_store_migrate(store->writer, config->modules, error, error_size)) goto fail;
    store->reader = store->engine->open(place, config, KIT_ACCESS_READ, error, error_size);
    if (!store->reader) goto fail;
    kit_strand_init(&store->write_strand, work, config->work_batch_max, run_write_batch, store);
    kit_strand_init(&store->read_strand, work, 1, run_read_batch, store);
    return store;
fail:
    kit_store_close(store);
    return NULL;
}

void kit_store_close(struct kit_store *store)
{
    if (!store) return;
    store->engine->close(store->reader);
    store->engine->close(store->writer);
    free(store);
}

static void on_done(struct kit_job *job)
{
    struct kit_store_op *op = op_of(job);
    op->done(op);
}

static int submit(struct kit_strand *strand, struct kit_store_op *op, size_t bytes)
{
    op->job.done = on_done;
    op->job.bytes = bytes + sizeof *op;
    op->failure.code = 0;
    return kit_strand_submit(strand, op->source, &op->job);
}

int kit_store_submit(struct kit_store *store, struct kit_store_op *op, size_t bytes)
{
    return submit(&store->write_strand, op, bytes);
}

void kit_store_again(struct kit_store_op *op)
{
    op->failure.code = 0;
    kit_strand_again(&op->job);
}

int kit_store_submit_read(struct kit_store *store, struct kit_store_op *op, size_t bytes)
{
    op->writes = false;
    return submit(&store->read_strand, op, bytes);
}

int kit_store_run_now(struct kit_store *store, struct kit_store_op *op)
{
    op->failure.code = 0;
    op->job.next = NULL;
    run_write_batch(store, &op->job);
    return op->failure.code;
}

void kit_store_abandon(struct kit_store *store)
{
    atomic_store(&store->abandoned, true);
    store->engine->abandon(store->writer);
}

void kit_store_get_stats(const struct kit_store *store, struct kit_store_stats *stats)
{
    stats->writes = atomic_load(&store->writes);
    stats->reads = atomic_load(&store->reads);
    stats->commits = atomic_load(&store->commits);
    stats->errors = store->engine->error_count(store->writer) + store->engine->error_count(store->reader);
}
