/* The end of calls. A call whose feed disconnected without ending it ends by itself; a call that ended long ago is
 * deleted with all its lines; an administrator may delete one at once. A connected feed keeps its calls alive: its
 * socket is in a room for each, and they are marked at every check. So any process sees in the store which calls the
 * feeds of the others keep. */
#include "calls_life.h"
#include "calls_text.h"

#include <stdlib.h>
#include <string.h>

#define FEED_ROOM "fed:"
#define LOOKS 4                   /* at calls, within call_idle_timeout_s */
#define LOOK_MAX_MS 60000         /* between two looks */
#define HEARD_STEPS 64            /* of call_idle_timeout_s, by which last_ms is written */
#define ENDS_MAX 100              /* calls ended in one operation */
#define RETENTION_LOOK_MS 3600000 /* between two looks at what is old */
#define PIECE_LINES 1000          /* deleted in one operation */
#define DAY_MS 86400000

struct calls_life {
    struct calls *calls;
    struct eio_timer end_timer, delete_timer;
};

/* ------------------------------------------------------------ who has a feed */

void calls_life_said(struct sio_socket *socket, enum calls_feed_kind kind, const char *call_id)
{
    char room[CALLS_ROOM_SIZE];
    snprintf(room, sizeof room, FEED_ROOM "%s", call_id);
    if (kind == CALLS_FEED_END)
        sio_leave(socket, eio_str(room));
    else
        sio_join(socket, eio_str(room)); /* without it the call ends early, and the feed gets 409 */
}

struct kept {
    char (*ids)[KIT_ID_SIZE];
    size_t count, capacity;
};

static void keep_calls(struct sio_socket *socket, void *ctx)
{
    struct kept *kept = ctx;
    struct eio_str room;
    size_t prefix = strlen(FEED_ROOM);
    for (size_t i = 0; sio_socket_room_at(socket, i, &room); i++) {
        if (room.n <= prefix || room.n - prefix >= KIT_ID_SIZE || memcmp(room.p, FEED_ROOM, prefix)) continue;
        if (kept->count == kept->capacity) {
            size_t capacity = kept->capacity ? kept->capacity * 2 : 64;
            char(*ids)[KIT_ID_SIZE] = realloc(kept->ids, capacity * sizeof *ids);
            if (!ids) return;
            kept->ids = ids;
            kept->capacity = capacity;
        }
        memcpy(kept->ids[kept->count], room.p + prefix, room.n - prefix);
        kept->ids[kept->count++][room.n - prefix] = 0;
    }
}

/* --------------------------------------------------------- ends by themselves */

struct end_op {
    struct kit_store_op op;
    struct calls *calls;
    int64_t now_ms;
    struct kept kept;
    size_t marked, marking; /* of those that are kept: done, and with the piece that runs */
    struct calls_record records[ENDS_MAX];
    size_t count;
};

static int lock_calls(struct kit_db *db, struct end_op *end, char (*ids)[KIT_ID_SIZE], size_t count)
{
    const char *names[ENDS_MAX];
    for (size_t i = 0; i < count; i++) names[i] = ids[i];
    return kit_db_lock(db, names, count) ? kit_db_fail(db, &end->op.failure) : 0;
}

/* A piece of those that are kept, so that others come in between. */
static int mark_kept(struct kit_db *db, struct end_op *end)
{
    size_t left = end->kept.count - end->marked;
    end->marking = end->marked + (left < ENDS_MAX ? left : ENDS_MAX);
    int code = lock_calls(db, end, end->kept.ids + end->marked, end->marking - end->marked);
    for (size_t i = end->marked; i < end->marking && !code; i++)
        if (kit_db_run(db, "UPDATE calls SET last_ms=? WHERE call_id=? AND ended_ms IS NULL", "it", end->now_ms,
                       end->kept.ids[i]))
            code = kit_db_fail(db, &end->op.failure);
    return code;
}

static int make_end(struct calls_record *record, const char *call_id, int64_t now_ms)
{
    *record = (struct calls_record){.now_ms = now_ms};
    record->entry.kind = CALLS_FEED_END;
    record->entry.status = "ended";
    snprintf(record->entry.call_id, sizeof record->entry.call_id, "%s", call_id);
    sio_builder_init(&record->entry.json);
    sio_builder_open(&record->entry.json);
    sio_builder_put(&record->entry.json, "{\"call_id\":");
    kit_put_text(&record->entry.json, call_id);
    sio_builder_put(&record->entry.json, ",\"status\":\"ended\",\"reason\":\"no feed\"");
    return record->entry.json.error;
}

static void clear_records(struct end_op *end)
{
    for (size_t i = 0; i < end->count; i++) calls_entry_clear(&end->records[i].entry);
    end->count = 0;
}

int64_t calls_heard_step_ms(const struct kit_config *config)
{
    return (int64_t)calls_config(config)->call_idle_timeout_s * 1000 / HEARD_STEPS;
}

static int find_idle(struct kit_db *db, struct end_op *end, char (*ids)[KIT_ID_SIZE], size_t *count)
{
    const struct calls_config *config = calls_config(end->calls->kit->config);
    struct kit_rows rows;
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT call_id FROM calls WHERE ended_ms IS NULL AND last_ms < ? ORDER BY last_ms LIMIT ?", "ii",
        end->now_ms - (int64_t)config->call_idle_timeout_s * 1000 - calls_heard_step_ms(end->calls->kit->config),
        (int64_t)ENDS_MAX);
    for (*count = 0; step == KIT_ROW && *count < ENDS_MAX; step = kit_rows_next(&rows))
        snprintf(ids[(*count)++], KIT_ID_SIZE, "%s", kit_rows_text(&rows, 0));
    if (step == KIT_FAILED) return kit_db_fail(db, &end->op.failure);
    kit_rows_end(&rows);
    return 0;
}

static bool is_among(const char *id, char (*ids)[KIT_ID_SIZE], size_t count)
{
    size_t i = 0;
    while (i < count && strcmp(ids[i], id)) i++;
    return i < count;
}

/* Calls that are idle, and still are under a lock. */
static int end_idle(struct kit_db *db, struct end_op *end)
{
    const struct kit_config *config = end->calls->kit->config;
    char locked[ENDS_MAX][KIT_ID_SIZE], ids[ENDS_MAX][KIT_ID_SIZE];
    size_t locked_count, count = 0;
    int code = find_idle(db, end, locked, &locked_count);
    if (!code && locked_count) code = lock_calls(db, end, locked, locked_count);
    if (!code && locked_count) code = find_idle(db, end, ids, &count);
    for (size_t i = 0; i < count && !code; i++) {
        if (!is_among(ids[i], locked, locked_count)) continue;
        struct calls_record *record = &end->records[end->count++];
        if (make_end(record, ids[i], end->now_ms)) return kit_fail(&end->op.failure, 503, NULL, "out of memory");
        code = calls_record_store(db, record, config, &end->op.failure);
    }
    return code;
}

static int run_end(struct kit_db *db, struct kit_store_op *op)
{
    struct end_op *end = (struct end_op *)(void *)op;
    clear_records(end);
    return end->marked < end->kept.count ? mark_kept(db, end) : end_idle(db, end);
}

static void on_ended(struct kit_store_op *op)
{
    struct end_op *end = (struct end_op *)(void *)op;
    bool more = !op->failure.code && (end->count == ENDS_MAX || end->marked < end->kept.count);
    end->marked = end->marking;
    if (op->failure.code)
        kit_log(EIO_LOG_WARN, "calls without a feed cannot be ended", "why", op->failure.message, NULL);
    for (size_t i = 0; i < end->count && !op->failure.code; i++) {
        kit_log(EIO_LOG_INFO, "call ended: no feed", "call_id", end->records[i].entry.call_id, NULL);
        end->calls->counters.abandoned++;
        calls_record_send(end->calls, &end->records[i]);
    }
    clear_records(end);
    if (more) {
        kit_store_again(op);
        return;
    }
    free(end->kept.ids);
    free(end);
}

static void end_abandoned(struct calls *calls)
{
    struct end_op *end = calloc(1, sizeof *end);
    if (!end) return;
    end->op.run = run_end;
    end->op.done = on_ended;
    end->op.writes = true;
    end->op.is_alone = true;
    end->calls = calls;
    end->now_ms = (int64_t)eio_loop_unix_ms(calls->kit->loop);
    sio_target_each_local(sio_all(calls->feed), keep_calls, &end->kept);
    if (!kit_store_submit(calls->kit->store, &end->op, sizeof *end + end->kept.capacity * KIT_ID_SIZE)) return;
    free(end->kept.ids);
    free(end);
}

static uint64_t look_ms(const struct calls *calls)
{
    uint64_t ms = (uint64_t)calls_config(calls->kit->config)->call_idle_timeout_s * 1000 / LOOKS;
    return ms < LOOK_MAX_MS ? ms : LOOK_MAX_MS;
}

static void on_end_timer(void *ctx)
{
    struct calls_life *life = ctx;
    end_abandoned(life->calls);
    eio_timer_start(&life->end_timer, look_ms(life->calls));
}

/* ------------------------------------------------------------------- deletion */

struct delete_op {
    struct kit_store_op op;
    struct calls *calls;
    int64_t before_ms;         /* by age: those that ended before; 0: the one of this id */
    char call_id[KIT_ID_SIZE]; /* by age: the one that run found; "" if absent */
    bool is_gone;
    calls_delete_fn fn; /* NULL: by age */
    void *ctx;
};

static int find_old(struct kit_db *db, struct delete_op *delete)
{
    struct kit_rows row;
    delete->call_id[0] = 0;
    if (!kit_db_try_lock(db, "retention")) return 0; /* another node does it */
    enum kit_step step = kit_db_query(
        db, &row, "SELECT call_id FROM calls WHERE ended_ms IS NOT NULL AND ended_ms < ? ORDER BY ended_ms LIMIT 1",
        "i", delete->before_ms);
    if (step == KIT_FAILED) return kit_db_fail(db, &delete->op.failure);
    snprintf(delete->call_id, sizeof delete->call_id, "%s", step == KIT_ROW ? kit_rows_text(&row, 0) : "");
    kit_rows_end(&row);
    return 0;
}

/* What hangs on the call by its text id, and the call itself. */
static int delete_call(struct kit_db *db, struct delete_op *delete, int64_t call)
{
    if (hooks_forget(delete->calls->hooks, db, delete->call_id, &delete->op.failure)) return delete->op.failure.code;
    if (kit_db_run(db, "DELETE FROM feedback WHERE call_id=?", "t", delete->call_id) ||
        kit_db_run(db, "DELETE FROM calls WHERE id=?", "i", call))
        return kit_db_fail(db, &delete->op.failure);
    int code = knowledge_forget_call(db, delete->call_id, &delete->op.failure);
    if (!code) code = calls_text_must_forget(db, &delete->op.failure);
    if (code) return code;
    delete->is_gone = true;
    return 0;
}

/* The number of the last line of the first piece; 0: there are no lines. */
static int find_piece(struct kit_db *db, int64_t call, int64_t *last, struct kit_failure *failure)
{
    struct kit_rows row;
    if (kit_db_query(db, &row,
                     "SELECT max(seq) FROM (SELECT seq FROM segments WHERE call=? ORDER BY seq LIMIT ?) AS latest",
                     "ii", call, (int64_t)PIECE_LINES) != KIT_ROW)
        return kit_db_fail(db, failure);
    *last = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return 0;
}

/* Lines first and in pieces, so that a long call does not delay others. */
static int run_delete(struct kit_db *db, struct kit_store_op *op)
{
    struct delete_op *delete = (struct delete_op *)(void *)op;
    struct calls_call call;
    delete->is_gone = false;
    if (delete->before_ms) {
        int code = find_old(db, delete);
        if (code || !delete->call_id[0]) return code;
        const char *name = delete->call_id;
        if (kit_db_lock(db, &name, 1)) return kit_db_fail(db, &op->failure);
    }
    int code = calls_find(db, delete->call_id, &call, &op->failure);
    if (code) return code;
    int64_t last = 0;
    code = find_piece(db, call.id, &last, &op->failure);
    if (code) return code;
    if (!last) return delete_call(db, delete, call.id);
    code = calls_text_drop(db, call.id, 0, last, &op->failure);
    if (code) return code;
    int failed = kit_db_run(db, "DELETE FROM segments WHERE call=? AND seq<=?", "ii", call.id, last);
    return failed ? kit_db_fail(db, &op->failure) : 0;
}

static void finish_delete(struct delete_op *delete)
{
    if (delete->fn)
        delete->fn(delete->ctx, &delete->op.failure);
    else if (delete->op.failure.code)
        kit_log(EIO_LOG_WARN, "old calls cannot be deleted", "why", delete->op.failure.message, NULL);
    free(delete);
}

static void on_deleted(struct kit_store_op *op)
{
    struct delete_op *delete = (struct delete_op *)(void *)op;
    struct calls *calls = delete->calls;
    bool is_over = op->failure.code || !delete->call_id[0] || (!delete->before_ms && delete->is_gone);
    if (!op->failure.code && delete->is_gone) {
        calls->counters.deleted++;
        kit_log(EIO_LOG_INFO, "call deleted", "call_id", delete->call_id, NULL);
        calls_index_forget(calls);
        calls_access_empty(calls, delete->call_id);
        calls_refresh_live(calls);
    }
    if (is_over)
        finish_delete(delete);
    else
        kit_store_again(op);
}

static void submit_delete(struct delete_op *delete)
{
    delete->op.run = run_delete;
    delete->op.done = on_deleted;
    delete->op.writes = true;
    delete->op.is_alone = delete->before_ms != 0;
    delete->op.locks[0] = delete->before_ms ? NULL : delete->call_id;
    if (!kit_store_submit(delete->calls->kit->store, &delete->op, sizeof *delete)) return;
    finish_delete(delete);
}

void calls_delete(struct calls *calls, const char *call_id, struct kit_source *source, calls_delete_fn fn, void *ctx)
{
    struct delete_op *delete = calloc(1, sizeof *delete);
    if (!delete) {
        struct kit_failure failure;
        kit_fail(&failure, 503, NULL, "out of memory");
        fn(ctx, &failure);
        return;
    }
    delete->calls = calls;
    delete->op.source = source;
    delete->fn = fn;
    delete->ctx = ctx;
    snprintf(delete->call_id, sizeof delete->call_id, "%s", call_id);
    submit_delete(delete);
}

static void on_delete_timer(void *ctx)
{
    struct calls_life *life = ctx;
    struct calls *calls = life->calls;
    struct delete_op *delete = calls->kit->draining ? NULL : calloc(1, sizeof *delete);
    eio_timer_start(&life->delete_timer, RETENTION_LOOK_MS);
    if (!delete) return;
    delete->calls = calls;
    delete->before_ms = (int64_t)eio_loop_unix_ms(calls->kit->loop) -
                        (int64_t)calls_config(calls->kit->config)->retention_days * DAY_MS;
    submit_delete(delete);
}

/* ----------------------------------------------------------------------- init */

int calls_life_start(struct calls *calls)
{
    const struct kit *kit = calls->kit;
    struct calls_life *life = calls->life = calloc(1, sizeof *life);
    if (!life) return EIO_ENOMEM;
    life->calls = calls;
    eio_timer_init(&life->end_timer, kit->loop, on_end_timer, life);
    eio_timer_init(&life->delete_timer, kit->loop, on_delete_timer, life);
    /* Feeds that were connected when the server stopped have time to come back. */
    if (calls_config(kit->config)->call_idle_timeout_s)
        eio_timer_start(&life->end_timer, (uint64_t)calls_config(kit->config)->call_idle_timeout_s * 1000);
    /* Of several processes one is enough. */
    if (calls_config(kit->config)->retention_days && kit->processes.index == 0) eio_timer_start(&life->delete_timer, 1);
    return 0;
}

void calls_life_drain(struct calls *calls)
{
    if (!calls->life) return;
    eio_timer_stop(&calls->life->end_timer);
    eio_timer_stop(&calls->life->delete_timer);
}

void calls_life_stop(struct calls *calls)
{
    calls_life_drain(calls);
    free(calls->life);
    calls->life = NULL;
}
