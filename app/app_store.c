/* Group commit and failure handling. Not its job: what is stored (each concern has its own SQL) and the schema
 * (app_store_schema.c). */
#include "app_store_int.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct app_store {
    struct app_db *writer, *reader;
    struct app_strand write_strand, read_strand;
    atomic_uint_fast64_t writes, reads, commits;
    atomic_bool abandoned;
};

int app_fail(struct app_failure *failure, int code, const char *field, const char *format, ...)
{
    va_list args;
    failure->code = code;
    snprintf(failure->field, sizeof failure->field, "%s", field ? field : "");
    va_start(args, format);
    vsnprintf(failure->message, sizeof failure->message, format, args);
    va_end(args);
    return code;
}

static struct app_store_op *op_of(struct app_job *job)
{
    return (struct app_store_op *)(void *)((char *)job - offsetof(struct app_store_op, job));
}

/* ------------------------------------------------------- transactions */

/* A transaction being filled: the operations from `first` on are in it. */
struct group {
    struct app_job *first;
    bool open;
    struct app_failure locked; /* code 0: not */
};

static void fail_group(struct group *group, const struct app_job *end, const struct app_failure *why)
{
    for (struct app_job *job = group->first; job != end; job = job->next) {
        struct app_store_op *op = op_of(job);
        if (op->writes && !op->failure.code) op->failure = *why;
    }
}

static void commit_group(struct app_store *store, struct group *group, const struct app_job *end)
{
    struct app_db *db = store->writer;
    if (!group->open) return;
    group->open = false;
    if (app_db_exec(db, "COMMIT")) {
        struct app_failure why;
        app_db_fail(db, &why);
        fail_group(group, end, &why);
        if (!sqlite3_get_autocommit(app_db_sqlite(db))) app_db_exec(db, "ROLLBACK");
        return;
    }
    atomic_fetch_add(&store->commits, 1);
}

static void run_read(struct app_store *store, struct app_db *db, struct app_store_op *op)
{
    atomic_fetch_add(&store->reads, 1);
    if (app_db_exec(db, "BEGIN")) {
        app_db_fail(db, &op->failure);
        return;
    }
    op->run(db, op);
    app_db_reset_all(db);
    if (app_db_exec(db, "COMMIT")) app_db_exec(db, "ROLLBACK");
}

/* False: the operation failed because no transaction can be had. Waiting for a lock happens once a batch, not once for
 * each of its operations. */
static bool begin_group(struct app_store *store, struct group *group, struct app_job *job)
{
    struct app_store_op *op = op_of(job);
    if (group->open) return true;
    group->first = job;
    if (atomic_load(&store->abandoned))
        app_fail(&group->locked, 503, NULL, "the server is stopping; nothing was stored");
    else if (!group->locked.code && app_db_exec(store->writer, "BEGIN IMMEDIATE"))
        app_db_fail(store->writer, &group->locked);
    if (group->locked.code) op->failure = group->locked;
    group->open = !group->locked.code;
    return group->open;
}

static void run_write(struct app_store *store, struct group *group, struct app_job *job)
{
    struct app_db *db = store->writer;
    struct app_store_op *op = op_of(job);
    atomic_fetch_add(&store->writes, 1);
    if (!begin_group(store, group, job)) return;
    if (app_db_exec(db, "SAVEPOINT op")) {
        app_db_fail(db, &op->failure);
    } else {
        op->run(db, op);
    }
    /* Statements that stand on a row would keep the savepoint or the commit from ending. */
    app_db_reset_all(db);
    if (sqlite3_get_autocommit(app_db_sqlite(db))) {
        /* A full disk and the like end the whole transaction: nothing in it was acknowledged yet, all of it fails. */
        if (!op->failure.code) app_db_fail(db, &op->failure);
        fail_group(group, job, &op->failure);
        group->open = false;
        return;
    }
    if (op->failure.code && app_db_exec(db, "ROLLBACK TO op")) app_db_fail(db, &op->failure);
    app_db_exec(db, "RELEASE op");
}

static void run_write_batch(void *ctx, struct app_job *list)
{
    struct app_store *store = ctx;
    struct group group = {NULL, false, {0, "", ""}};
    struct app_job *job;
    for (job = list; job; job = job->next) {
        struct app_store_op *op = op_of(job);
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

static void run_read_batch(void *ctx, struct app_job *list)
{
    struct app_store *store = ctx;
    for (struct app_job *job = list; job; job = job->next) run_read(store, store->reader, op_of(job));
}

/* -------------------------------------------------------------- interface */

struct app_store *app_store_open(struct app_work *work, const struct app_config *config, char *error, size_t error_size)
{
    struct app_store *store = calloc(1, sizeof *store);
    char path[1200];
    if (!store) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    if (app_store_path(config, path, sizeof path, error, error_size)) goto fail;
    store->writer = app_db_open(path, config, true, error, error_size);
    if (!store->writer || app_store_migrate(store->writer, error, error_size)) goto fail;
    store->reader = app_db_open(path, config, false, error, error_size);
    if (!store->reader) goto fail;
    app_strand_init(&store->write_strand, work, config->work_batch_max, run_write_batch, store);
    app_strand_init(&store->read_strand, work, 1, run_read_batch, store);
    return store;
fail:
    app_store_close(store);
    return NULL;
}

void app_store_close(struct app_store *store)
{
    if (!store) return;
    app_db_close(store->reader);
    app_db_close(store->writer);
    free(store);
}

static void on_done(struct app_job *job)
{
    struct app_store_op *op = op_of(job);
    op->done(op);
}

static int submit(struct app_strand *strand, struct app_store_op *op, size_t bytes)
{
    op->job.done = on_done;
    op->job.bytes = bytes + sizeof *op;
    op->failure.code = 0;
    return app_strand_submit(strand, &op->job);
}

int app_store_submit(struct app_store *store, struct app_store_op *op, size_t bytes)
{
    return submit(&store->write_strand, op, bytes);
}

int app_store_submit_read(struct app_store *store, struct app_store_op *op, size_t bytes)
{
    op->writes = false;
    return submit(&store->read_strand, op, bytes);
}

int app_store_run_now(struct app_store *store, struct app_store_op *op)
{
    op->failure.code = 0;
    op->job.next = NULL;
    run_write_batch(store, &op->job);
    return op->failure.code;
}

void app_store_abandon(struct app_store *store)
{
    atomic_store(&store->abandoned, true);
    app_db_abandon(store->writer);
}

void app_store_get_stats(const struct app_store *store, struct app_store_stats *stats)
{
    stats->writes = atomic_load(&store->writes);
    stats->reads = atomic_load(&store->reads);
    stats->commits = atomic_load(&store->commits);
    stats->sqlite_errors = app_db_error_count(store->writer) + app_db_error_count(store->reader);
}
