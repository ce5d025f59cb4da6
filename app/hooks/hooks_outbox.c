/* What the store knows of the outbox. All of it runs on the thread of the writes, one operation after another; so does
 * the count by source, which is refreshed now and then for what other nodes put in and what undone transactions left.
 */
#include "hooks_outbox.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define COUNT_AGE_MS 5000
#define SERVER_SOURCE "" /* the server's own events: demo, alerts of the clock, summaries */

const char *const hooks_migrations[] = {
    /* 1 */
    "CREATE TABLE webhook_ids (id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX webhook_ids_by_time ON webhook_ids(at_ms);",
    /* 2 */
    "CREATE TABLE hook_outbox ("
    " id INTEGER PRIMARY KEY,"
    " batch TEXT NOT NULL," /* its webhook-id; '': in none yet */
    " source TEXT NOT NULL,"
    " call_id TEXT NOT NULL," /* '': about none */
    " size INTEGER NOT NULL,"
    " at_ms INTEGER NOT NULL,"
    " json TEXT NOT NULL);"
    "CREATE INDEX hook_outbox_by_batch ON hook_outbox(batch, id);"
    "CREATE INDEX hook_outbox_by_source ON hook_outbox(source);"
    "CREATE INDEX hook_outbox_by_call ON hook_outbox(call_id) WHERE call_id <> '';"
    /* The node that sends. */
    "CREATE TABLE hook_sender (one INTEGER PRIMARY KEY, owner TEXT NOT NULL, until_ms INTEGER NOT NULL);"
    "INSERT INTO hook_sender(one, owner, until_ms) VALUES (1, '', 0);",
    NULL,
};

struct source {
    UT_hash_handle hh;
    int64_t count;
    char name[KIT_USER_SIZE + 2];
};

struct hooks_outbox {
    struct hooks *hooks;
    char node[17];
    struct source *sources; /* a table */
    int64_t total, counted_ms;
    atomic_uint_fast64_t put, over_share, over_queue, waiting;
};

/* --------------------------------------------------------------- the counts */

static void forget_sources(struct hooks_outbox *outbox)
{
    struct source *source, *next;
    HASH_ITER(hh, outbox->sources, source, next)
    {
        HASH_DEL(outbox->sources, source);
        free(source);
    }
    outbox->total = 0;
}

/* Out of memory: the source is not counted until the next time. */
static void count_source(struct hooks_outbox *outbox, const char *name, int64_t by)
{
    struct source *source;
    outbox->total += by;
    if (outbox->total < 0) outbox->total = 0;
    atomic_store(&outbox->waiting, (uint_fast64_t)outbox->total);
    HASH_FIND_STR(outbox->sources, name, source);
    if (!source && by > 0 && (source = calloc(1, sizeof *source))) {
        snprintf(source->name, sizeof source->name, "%s", name);
        HASH_ADD_STR(outbox->sources, name, source);
    }
    if (!source) return;
    source->count += by;
    if (source->count > 0) return;
    HASH_DEL(outbox->sources, source);
    free(source);
}

static int count_all(struct hooks_outbox *outbox, struct kit_db *db, int64_t now_ms, struct kit_failure *failure)
{
    struct kit_rows rows;
    if (outbox->counted_ms && llabs(now_ms - outbox->counted_ms) < COUNT_AGE_MS) return 0;
    forget_sources(outbox);
    atomic_store(&outbox->waiting, 0);
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT source, count(*) FROM hook_outbox GROUP BY source ORDER BY source", "");
    for (; step == KIT_ROW; step = kit_rows_next(&rows))
        count_source(outbox, kit_rows_text(&rows, 0), kit_rows_int(&rows, 1));
    outbox->counted_ms = now_ms;
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

static bool has_room(struct hooks_outbox *outbox, const char *name)
{
    const struct hooks_config *config = outbox->hooks->config;
    struct source *source;
    HASH_FIND_STR(outbox->sources, name, source);
    if (source && source->count >= config->source_queue_max)
        atomic_fetch_add(&outbox->over_share, 1);
    else if (outbox->total >= config->queue_max)
        atomic_fetch_add(&outbox->over_queue, 1);
    else
        return true;
    return false;
}

/* ------------------------------------------------------------------ putting in */

/* A tenant, or a user who has none. */
static void name_source(const struct kit_claims *claims, char name[KIT_USER_SIZE + 2])
{
    const char *tenant = claims ? claims->tenant : "", *sub = claims ? claims->sub : SERVER_SOURCE;
    snprintf(name, KIT_USER_SIZE + 2, "%s%s", tenant[0] ? "/" : "", tenant[0] ? tenant : sub);
}

void hooks_put_head(struct sio_builder *json, const char *name, const char *call_id, int64_t at_ms)
{
    unsigned char random[12];
    char id[sizeof random * 2 + 1];
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(id, sizeof id, random, sizeof random);
    sio_builder_put(json, "{\"id\":\"evt_");
    sio_builder_put(json, id);
    sio_builder_put(json, "\",\"event\":");
    kit_put_text(json, name);
    if (call_id) sio_builder_put(json, ",\"call_id\":");
    if (call_id) kit_put_text(json, call_id);
    sio_builder_put(json, ",\"at\":");
    kit_put_time(json, at_ms);
}

void hooks_put_from(struct sio_builder *json, const struct kit_claims *claims)
{
    if (!claims) return;
    sio_builder_put(json, ",\"from\":{\"user\":");
    kit_put_text(json, claims->sub);
    sio_builder_put(json, ",\"role\":");
    kit_put_text(json, kit_role_text(claims->role));
    if (claims->tenant[0]) sio_builder_put(json, ",\"tenant\":");
    if (claims->tenant[0]) kit_put_text(json, claims->tenant);
    sio_builder_put(json, "}");
}

static int insert(struct kit_db *db, const struct hooks_event *event, const char *source, struct kit_failure *failure)
{
    struct sio_builder json;
    sio_builder_init(&json);
    sio_builder_open(&json);
    hooks_put_head(&json, event->name, event->call_id, event->at_ms);
    hooks_put_from(&json, event->claims);
    sio_builder_put(&json, ",\"data\":");
    sio_builder_put_slice(&json, sio_args_none(), event->json);
    sio_builder_put(&json, "}");
    int code = json.error ? kit_fail(failure, 503, NULL, "out of memory") : 0;
    if (!code &&
        kit_db_run(db, "INSERT INTO hook_outbox(batch, source, call_id, size, at_ms, json) VALUES ('',?,?,?,?,?)",
                   "ttiib", source, event->call_id ? event->call_id : "", (int64_t)json.size, event->at_ms, json.json,
                   json.size))
        code = kit_db_fail(db, failure);
    sio_builder_clear(&json);
    return code;
}

bool hooks_wants(const struct hooks *hooks, const char *name)
{
    return hooks && hooks->outbox && hooks_matches(hooks->config->events, eio_str(name));
}

int hooks_put(struct hooks *hooks, struct kit_db *db, const struct hooks_event *event, struct kit_failure *failure)
{
    char source[KIT_USER_SIZE + 2];
    if (!hooks_wants(hooks, event->name)) return 0;
    struct hooks_outbox *outbox = hooks->outbox;
    int code = count_all(outbox, db, event->at_ms, failure);
    if (code) return code;
    name_source(event->claims, source);
    if (!has_room(outbox, source))
        return event->must ? kit_fail(failure, 503, NULL, "too many events wait for the service") : 0;
    code = insert(db, event, source, failure);
    if (code) return code;
    count_source(outbox, source, 1);
    atomic_fetch_add(&outbox->put, 1);
    return 0;
}

int hooks_forget(struct hooks *hooks, struct kit_db *db, const char *call_id, struct kit_failure *failure)
{
    if (!hooks || !hooks->outbox || !call_id[0]) return 0;
    hooks->outbox->counted_ms = 0;
    return kit_db_run(db, "DELETE FROM hook_outbox WHERE call_id=? AND call_id <> ''", "t", call_id)
               ? kit_db_fail(db, failure)
               : 0;
}

/* ------------------------------------------------------------------ taking out */

static int end_batch(struct hooks_outbox *outbox, struct kit_db *db, const struct hooks_take *take,
                     struct kit_failure *failure)
{
    struct kit_rows rows;
    if (take->result == HOOKS_SPLIT)
        return kit_db_run(db, "UPDATE hook_outbox SET batch='' WHERE batch=?", "t", take->ended)
                   ? kit_db_fail(db, failure)
                   : 0;
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT source, count(*) FROM hook_outbox WHERE batch=? GROUP BY source ORDER BY source", "t",
        take->ended);
    for (; step == KIT_ROW; step = kit_rows_next(&rows))
        count_source(outbox, kit_rows_text(&rows, 0), -kit_rows_int(&rows, 1));
    if (step == KIT_FAILED || kit_db_run(db, "DELETE FROM hook_outbox WHERE batch=?", "t", take->ended))
        return kit_db_fail(db, failure);
    return 0;
}

/* One node sends at a time, so that events leave in their order. Its turn counts from now: what waited in the store's
 * queue would have lost a part of it, or all. */
static int take_turn(struct hooks_outbox *outbox, struct kit_db *db, struct hooks_take *take)
{
    int64_t now_ms = kit_unix_ms(), until_ms = now_ms + HOOKS_LEASE_MS + outbox->hooks->config->timeout_ms;
    int64_t count =
        kit_db_change(db, "UPDATE hook_sender SET owner=?1, until_ms=?2 WHERE one=1 AND (owner=?1 OR until_ms<?3)",
                      "tii", outbox->node, until_ms, take->is_alone ? INT64_MAX : now_ms);
    take->is_ours = count > 0;
    return count < 0 ? kit_db_fail(db, &take->op.failure) : 0;
}

/* The id of a batch that was not over when it was asked for last, or of one that is made now. */
static int choose_batch(struct kit_db *db, struct hooks_take *take, size_t bytes)
{
    unsigned char random[12];
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT batch FROM hook_outbox WHERE batch > '' ORDER BY batch LIMIT 1", "");
    if (step == KIT_FAILED) return kit_db_fail(db, &take->op.failure);
    if (step == KIT_ROW) {
        snprintf(take->batch.id, sizeof take->batch.id, "%s", kit_rows_text(&row, 0));
        kit_rows_end(&row);
        return 0;
    }
    randombytes_buf(random, sizeof random);
    memcpy(take->batch.id, "msg_", 4);
    sodium_bin2hex(take->batch.id + 4, sizeof take->batch.id - 4, random, sizeof random);
    if (kit_db_run(db,
                   "UPDATE hook_outbox SET batch=?1 WHERE id IN (SELECT id FROM (SELECT id, size, sum(size) OVER (ORDER"
                   " BY id) AS total FROM (SELECT id, size FROM hook_outbox WHERE batch='' ORDER BY id LIMIT ?2) AS"
                   " latest) AS latest WHERE total - size < ?3)",
                   "tii", take->batch.id, (int64_t)take->count_max, (int64_t)bytes))
        return kit_db_fail(db, &take->op.failure);
    return 0;
}

/* The same bytes each time: nothing in it depends on when it is read. */
static int read_batch(struct kit_db *db, struct hooks_take *take)
{
    struct hooks_batch *batch = &take->batch;
    struct sio_builder *body = &batch->body;
    struct kit_rows rows;
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT json, at_ms FROM hook_outbox WHERE batch=? ORDER BY id", "t", batch->id);
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        if (!batch->count++) {
            batch->at_ms = kit_rows_int(&rows, 1);
            sio_builder_put(body, "{\"type\":\"events\",\"timestamp\":");
            kit_put_time(body, batch->at_ms);
            sio_builder_put(body, ",\"data\":[");
        } else {
            sio_builder_put(body, ",");
        }
        sio_builder_put_slice(body, sio_args_none(), kit_rows_bytes(&rows, 0));
    }
    if (step == KIT_FAILED) return kit_db_fail(db, &take->op.failure);
    sio_builder_put(body, "]}");
    if (!batch->count) batch->id[0] = 0;
    return body->error ? kit_fail(&take->op.failure, 503, NULL, "out of memory") : 0;
}

int hooks_take(struct kit_db *db, struct kit_store_op *op)
{
    struct hooks_take *take = (struct hooks_take *)(void *)op;
    struct hooks_outbox *outbox = take->hooks->outbox;
    sio_builder_clear(&take->batch.body); /* of a run that was undone */
    memset(&take->batch, 0, sizeof take->batch);
    sio_builder_init(&take->batch.body);
    sio_builder_open(&take->batch.body);
    int code = count_all(outbox, db, kit_unix_ms(), &op->failure);
    if (!code && take->ended[0]) code = end_batch(outbox, db, take, &op->failure);
    if (!code) code = take_turn(outbox, db, take);
    if (code || !take->is_ours) return code;
    code = choose_batch(db, take, take->hooks->config->batch_bytes);
    return code ? code : read_batch(db, take);
}

int hooks_give_up_turn(struct kit_db *db, struct kit_store_op *op)
{
    const struct hooks_outbox *outbox = ((struct hooks_take *)(void *)op)->hooks->outbox;
    return kit_db_run(db, "UPDATE hook_sender SET until_ms=0 WHERE one=1 AND owner=?", "t", outbox->node)
               ? kit_db_fail(db, &op->failure)
               : 0;
}

/* ------------------------------------------------------------------- lifetime */

struct hooks_outbox *hooks_outbox_new(struct hooks *hooks)
{
    unsigned char random[8];
    struct hooks_outbox *outbox = calloc(1, sizeof *outbox);
    if (!outbox) return NULL;
    outbox->hooks = hooks;
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(outbox->node, sizeof outbox->node, random, sizeof random);
    return outbox;
}

void hooks_outbox_free(struct hooks_outbox *outbox)
{
    if (!outbox) return;
    forget_sources(outbox);
    free(outbox);
}

void hooks_outbox_get_stats(const struct hooks_outbox *outbox, struct hooks_outbox_stats *stats)
{
    if (!outbox) return;
    stats->put = atomic_load(&outbox->put);
    stats->over_share = atomic_load(&outbox->over_share);
    stats->over_queue = atomic_load(&outbox->over_queue);
    stats->waiting = atomic_load(&outbox->waiting);
}
