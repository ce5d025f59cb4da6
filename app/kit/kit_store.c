/* Group commit and failure handling. Not its job: what is stored (each concern has its own SQL) and the schema
 * (kit_store_schema.c). */
#include "kit_engine.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct kit_store {
    const struct kit_config *config;
    struct kit_home *home;
    struct kit_db *writer, *reader;
    struct kit_strand write_strand, read_strand;
    atomic_uint_fast64_t writes, reads, commits, retries, refused_away;
    atomic_bool abandoned;
};

static struct kit_store_op *op_of(struct kit_job *job)
{
    return (struct kit_store_op *)(void *)((char *)job - offsetof(struct kit_store_op, job));
}

/* ------------------------------------------------------- transactions */

#define TRIES_MAX 5 /* of an operation that others' transactions got in the way of */

/* Operations that share a transaction, from first up to end. */
struct group {
    struct kit_job *first;
    const struct kit_job *end;
};

/* An operation that failed by itself keeps its own reason. */
static void fail_group(struct group group, const struct kit_failure *why)
{
    for (struct kit_job *job = group.first; job != group.end; job = job->next)
        if (!op_of(job)->failure.code) op_of(job)->failure = *why;
}

static int compare_keys(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* In the same order everywhere, so that no two wait for each other. */
static int lock_keys(struct kit_db *db, int64_t *keys, size_t count)
{
    size_t kept = 0;
    qsort(keys, count, sizeof *keys, compare_keys);
    for (size_t i = 0; i < count; i++)
        if (!i || keys[i] != keys[i - 1]) keys[kept++] = keys[i];
    return kept ? db->engine->lock(db, keys, kept) : 0;
}

/* FNV-1a. Two names with one key only wait for each other. */
static int64_t key_of(const char *name)
{
    uint64_t key = 0xcbf29ce484222325u;
    for (; *name; name++) key = (key ^ (unsigned char)*name) * 0x100000001b3u;
    return (int64_t)key;
}

int kit_db_lock(struct kit_db *db, const char *const *names, size_t count)
{
    int64_t *keys = db->engine->lock ? malloc((count + 1) * sizeof *keys) : NULL;
    if (!db->engine->lock) return 0;
    if (!keys) return KIT_FAILED;
    for (size_t i = 0; i < count; i++) keys[i] = key_of(names[i]);
    int failed = lock_keys(db, keys, count);
    free(keys);
    return failed;
}

bool kit_db_try_lock(struct kit_db *db, const char *name)
{
    return !db->engine->try_lock || !db->engine->try_lock(db, key_of(name));
}

static int lock_group(struct kit_db *db, struct group group)
{
    size_t count = 0;
    if (!db->engine->lock) return 0;
    for (const struct kit_job *job = group.first; job != group.end; job = job->next) count += KIT_STORE_LOCKS;
    int64_t *keys = malloc(count * sizeof *keys);
    if (!keys) return KIT_FAILED;
    count = 0;
    for (struct kit_job *job = group.first; job != group.end; job = job->next)
        for (size_t i = 0; i < KIT_STORE_LOCKS; i++)
            if (op_of(job)->locks[i]) keys[count++] = key_of(op_of(job)->locks[i]);
    int failed = lock_keys(db, keys, count);
    free(keys);
    return failed;
}

static int begin_group(struct kit_store *store, struct group group, struct kit_failure *why)
{
    struct kit_db *db = store->writer;
    if (atomic_load(&store->abandoned)) return kit_fail(why, 503, NULL, "the server is stopping; nothing was stored");
    int failed = db->engine->begin(db, KIT_ACCESS_WRITE);
    if (!failed && !(failed = lock_group(db, group))) return 0;
    kit_db_fail(db, why);
    db->engine->roll_back(db);
    return why->code;
}

static int commit_group(struct kit_store *store, struct kit_failure *why)
{
    struct kit_db *db = store->writer;
    if (!db->engine->commit(db)) {
        atomic_fetch_add(&store->commits, 1);
        return 0;
    }
    kit_db_fail(db, why);
    db->engine->roll_back(db);
    return why->code;
}

static bool may_retry(const struct kit_db *db)
{
    return db->engine->may_retry && db->engine->may_retry(db);
}

/* A statement failed, not the database. */
static bool is_stuck(const struct kit_db *db)
{
    return db->engine->is_stuck && db->engine->is_stuck(db);
}

/* An operation in a transaction of its own. */
static void run_alone(struct kit_store *store, struct kit_job *job)
{
    struct kit_db *db = store->writer;
    struct kit_store_op *op = op_of(job);
    struct group group = {job, job->next};
    for (int i = 0; i < TRIES_MAX; i++) {
        op->failure.code = 0;
        if (!begin_group(store, group, &op->failure)) {
            db->engine->begin_part(db);
            op->run(db, op);
            if (!op->failure.code && !commit_group(store, &op->failure)) return;
            if (op->failure.code) db->engine->roll_back(db);
        }
        if (!may_retry(db)) return;
        atomic_fetch_add(&store->retries, 1);
    }
}

static void run_each_alone(struct kit_store *store, struct group group)
{
    for (struct kit_job *job = group.first; job != group.end; job = job->next) {
        atomic_fetch_add(&store->retries, 1);
        run_alone(store, job);
    }
}

static enum kit_part run_part(struct kit_store *store, struct kit_store_op *op)
{
    struct kit_db *db = store->writer;
    if (db->engine->begin_part(db))
        kit_db_fail(db, &op->failure);
    else
        op->run(db, op);
    enum kit_part part = db->engine->end_part(db, op->failure.code != 0);
    if (part == KIT_PART_GONE && !op->failure.code) kit_db_fail(db, &op->failure);
    return part;
}

/* Those from the first on that can be run at once. */
static struct group take_alike(struct group group)
{
    struct kit_job *job = group.first->next;
    const struct kit_store_op *first = op_of(group.first);
    while (first->run_together && job != group.end && op_of(job)->run_together == first->run_together) job = job->next;
    return (struct group){group.first, job};
}

/* One by one, after what they did at once was undone. */
static enum kit_part run_parts(struct kit_store *store, struct group group, struct kit_job **last)
{
    enum kit_part part = KIT_PART_DONE;
    for (struct kit_job *job = group.first; job != group.end && part == KIT_PART_DONE; job = job->next) {
        op_of(job)->failure.code = 0;
        part = run_part(store, op_of(*last = job));
    }
    return part;
}

/* Operations that are alike, as one part of the transaction. *last: up to where they were run. */
static enum kit_part run_alike(struct kit_store *store, struct group group, struct kit_job **last)
{
    struct kit_db *db = store->writer;
    struct kit_failure why = {0, "", ""};
    size_t count = 0;
    *last = group.first;
    if (group.first->next == group.end) return run_part(store, op_of(group.first));
    for (const struct kit_job *job = group.first; job != group.end; job = job->next) count++;
    struct kit_store_op **ops = malloc(count * sizeof *ops);
    if (!ops) return run_parts(store, group, last);
    for (struct kit_job *job = group.first; job != group.end; job = job->next) {
        *ops++ = op_of(job);
        *last = job;
    }
    ops -= count;
    if (db->engine->begin_part(db))
        kit_db_fail(db, &why);
    else
        op_of(group.first)->run_together(db, ops, count, &why);
    free(ops);
    enum kit_part part = db->engine->end_part(db, why.code != 0);
    if (part == KIT_PART_GONE) {
        if (!why.code) kit_db_fail(db, &why);
        op_of(*last)->failure = why;
    }
    if (part != KIT_PART_DONE || !why.code) return part;
    atomic_fetch_add(&store->retries, count);
    return run_parts(store, group, last);
}

/* Runs operations in one transaction, which is begun. Returns the first of those that need another. */
static struct kit_job *run_together(struct kit_store *store, struct group group)
{
    struct kit_failure why = {0, "", ""};
    for (struct kit_job *job = group.first; job != group.end; job = job->next) {
        enum kit_part part = run_alike(store, take_alike((struct group){job, group.end}), &job);
        if (part == KIT_PART_DONE) continue;
        if (part == KIT_PART_STUCK) {
            store->writer->engine->roll_back(store->writer);
            run_each_alone(store, group);
            return (struct kit_job *)(uintptr_t)group.end;
        }
        /* Nothing in it was acknowledged yet, all of it fails. */
        fail_group((struct group){group.first, job->next}, &op_of(job)->failure);
        return job->next;
    }
    if (commit_group(store, &why)) {
        /* One that shows its failure only now is not the others' fault. */
        bool is_shared = group.first->next != group.end;
        if (may_retry(store->writer) || (is_shared && is_stuck(store->writer)))
            run_each_alone(store, group);
        else
            fail_group(group, &why);
    }
    return (struct kit_job *)(uintptr_t)group.end;
}

/* Writes that wait together, up to a read or to one that must be alone. */
static struct group take_group(struct kit_job *first)
{
    struct kit_job *job = first->next;
    while (job && op_of(job)->writes && !op_of(job)->is_alone && !op_of(first)->is_alone) job = job->next;
    return (struct group){first, job};
}

/* Waiting for a lock that somebody else holds happens once a batch, not once for each of its groups. */
static struct kit_job *run_writes(struct kit_store *store, struct kit_job *first, struct kit_failure *locked)
{
    struct group group = take_group(first);
    struct kit_job *job = first;
    for (; job != group.end; job = job->next) atomic_fetch_add(&store->writes, 1);
    for (job = first; job != group.end;) {
        group.first = job;
        if (!locked->code) begin_group(store, group, locked);
        if (!locked->code) {
            job = run_together(store, group);
        } else if (may_retry(store->writer)) {
            locked->code = 0;
            run_each_alone(store, group);
            break;
        } else {
            fail_group(group, locked);
            break;
        }
    }
    return (struct kit_job *)(uintptr_t)group.end;
}

static void run_read(struct kit_store *store, struct kit_db *db, struct kit_store_op *op)
{
    atomic_fetch_add(&store->reads, 1);
    if (db->engine->begin(db, KIT_ACCESS_READ)) {
        kit_db_fail(db, &op->failure);
        return;
    }
    op->run(db, op);
    if (!db->engine->commit(db)) return;
    if (!op->failure.code) kit_db_fail(db, &op->failure);
    db->engine->roll_back(db);
}

static void run_write_batch(void *ctx, struct kit_job *list)
{
    struct kit_store *store = ctx;
    struct kit_failure locked = {0, "", ""};
    while (list) {
        if (op_of(list)->writes) {
            list = run_writes(store, list, &locked);
            continue;
        }
        run_read(store, store->writer, op_of(list));
        list = list->next;
    }
}

static void run_read_batch(void *ctx, struct kit_job *list)
{
    struct kit_store *store = ctx;
    for (struct kit_job *job = list; job; job = job->next) run_read(store, store->reader, op_of(job));
}

/* -------------------------------------------------------------- interface */

struct kit_store *kit_store_open(struct kit_work *work, const struct kit_config *config, char *error, size_t error_size)
{
    const struct kit_engine *engine = config->store[0] ? &kit_postgresql : &kit_sqlite;
    struct kit_store *store = calloc(1, sizeof *store);
    if (!store) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    store->config = config;
    store->home = engine->open_home(config, error, error_size);
    if (!store->home) goto fail;
    store->writer = engine->open(store->home, KIT_ACCESS_WRITE, error, error_size);
    if (!store->writer || kit_store_migrate(store->writer, config->modules, error, error_size)) goto fail;
    store->reader = engine->open(store->home, KIT_ACCESS_READ, error, error_size);
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
    if (store->reader) store->reader->engine->close(store->reader);
    if (store->writer) store->writer->engine->close(store->writer);
    if (store->home) store->home->engine->close_home(store->home);
    free(store);
}

bool kit_store_is_away(const struct kit_store *store)
{
    return store->home->engine->is_away && store->home->engine->is_away(store->home);
}

static void on_done(struct kit_job *job)
{
    struct kit_store_op *op = op_of(job);
    op->done(op);
}

static int submit(struct kit_store *store, struct kit_strand *strand, struct kit_store_op *op, size_t bytes)
{
    op->failure.code = 0;
    if (kit_store_is_away(store)) {
        atomic_fetch_add(&store->refused_away, 1);
        return kit_fail(&op->failure, 503, NULL, KIT_STORE_AWAY);
    }
    op->job.done = on_done;
    op->job.bytes = bytes + sizeof *op;
    op->job.is_urgent = op->is_urgent;
    if (!kit_strand_submit(strand, op->source, &op->job)) return 0;
    return kit_fail(&op->failure, 503, NULL, "too many requests are queued; try again");
}

int kit_store_submit(struct kit_store *store, struct kit_store_op *op, size_t bytes)
{
    return submit(store, &store->write_strand, op, bytes);
}

void kit_store_again(struct kit_store_op *op)
{
    op->failure.code = 0;
    kit_strand_again(&op->job);
}

int kit_store_submit_read(struct kit_store *store, struct kit_store_op *op, size_t bytes)
{
    op->writes = false;
    return submit(store, &store->read_strand, op, bytes);
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
    store->writer->engine->abandon(store->writer);
    store->reader->engine->abandon(store->reader);
}

void kit_store_get_stats(const struct kit_store *store, struct kit_store_stats *stats)
{
    stats->writes = atomic_load(&store->writes);
    stats->reads = atomic_load(&store->reads);
    stats->commits = atomic_load(&store->commits);
    stats->retries = atomic_load(&store->retries);
    stats->refused_away = atomic_load(&store->refused_away);
    stats->is_away = kit_store_is_away(store);
    stats->write_delays = store->write_strand.delays;
    stats->read_delays = store->read_strand.delays;
    stats->statements = atomic_load(&store->writer->statements) + atomic_load(&store->reader->statements);
    stats->errors = store->home->engine->error_count(store->writer) + store->home->engine->error_count(store->reader);
}
