/* What feeds say about calls: stored first, then acknowledged and broadcast, in order. Used by the namespace /feed, the
 * HTTP API and the demo alike. */
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>

/* One event on its way through the store. */
struct feed_op {
    struct kit_store_op op;
    struct calls *calls;
    calls_feed_fn fn;
    void *ctx;
    enum calls_feed_kind kind;
    struct calls_feed_result result;
    struct calls_call call;
    int64_t now_ms;
    const char *status; /* a literal */
    char segment_id[KIT_ID_SIZE];
    char speaker[KIT_ID_SIZE];
    bool is_final;
    char *text;   /* the line's text */
    char *agents; /* call:start: JSON */
    char *metadata;
    struct sio_builder json; /* the event as it is sent, without seq (and duration) and without its closing brace */
};

static const char *const names[] = {"call:start", "transcription:update", "call:status", "call:end"};

const char *calls_feed_event_name(enum calls_feed_kind kind)
{
    return names[kind];
}

/* ------------------------------------------------------------ on a thread */

static int run_start(struct kit_db *db, struct feed_op *feed)
{
    struct kit_failure *failure = &feed->op.failure;
    struct kit_failure missing;
    int code = calls_find(db, feed->result.call_id, &feed->call, &missing);
    if (!code && feed->call.ended_ms) return kit_fail(failure, 409, "/call_id", "a call of this id has ended");
    feed->result.duplicate = !code;
    if (!code) return 0;
    if (code != 404) {
        *failure = missing;
        return code;
    }
    sqlite3_stmt *insert =
        kit_db_statement(db, "INSERT INTO calls(call_id, status, started_ms, agents, metadata) VALUES (?,?,?,?,?)");
    int step =
        kit_db_step(insert, "ttitt", feed->result.call_id, feed->status, feed->now_ms, feed->agents, feed->metadata);
    if (step != SQLITE_DONE) return kit_db_fail(db, failure);
    sqlite3_reset(insert);
    return calls_find(db, feed->result.call_id, &feed->call, failure);
}

/* The line that has this segment_id: its row in *id (0: none) and whether the new one says nothing new. */
static int find_segment(struct kit_db *db, struct feed_op *feed, int64_t *id, bool *known)
{
    sqlite3_stmt *row =
        kit_db_statement(db, "SELECT id, is_final, text, speaker, seq FROM segments WHERE call=? AND segment_id=?");
    int step = kit_db_step(row, "it", feed->call.id, feed->segment_id);
    *id = 0;
    *known = false;
    if (step == SQLITE_DONE) return 0;
    if (step != SQLITE_ROW) return kit_db_fail(db, &feed->op.failure);
    *id = sqlite3_column_int64(row, 0);
    /* A final line stays as it is. An interim one is replaced, unless this is the same thing sent again. */
    *known = sqlite3_column_int(row, 1) ||
             (!feed->is_final && !strcmp((const char *)sqlite3_column_text(row, 2), feed->text) &&
              !strcmp((const char *)sqlite3_column_text(row, 3), feed->speaker));
    if (*known) feed->call.seq = sqlite3_column_int64(row, 4);
    sqlite3_reset(row);
    return 0;
}

static int store_segment(struct kit_db *db, struct feed_op *feed, int64_t id)
{
    const char *segment_id = feed->segment_id[0] ? feed->segment_id : NULL;
    int step;
    if (id) {
        sqlite3_stmt *update =
            kit_db_statement(db, "UPDATE segments SET seq=?, is_final=?, speaker=?, text=?, json=? || '}' WHERE id=?");
        step = kit_db_step(update, "iittbi", feed->call.seq, (int64_t)feed->is_final, feed->speaker, feed->text,
                           feed->json.json, feed->json.size, id);
    } else {
        sqlite3_stmt *insert =
            kit_db_statement(db, "INSERT INTO segments(call, seq, segment_id, is_final, speaker, text, json)"
                                 " VALUES (?,?,?,?,?,?,? || '}')");
        step = kit_db_step(insert, "iitittb", feed->call.id, feed->call.seq, segment_id, (int64_t)feed->is_final,
                           feed->speaker, feed->text, feed->json.json, feed->json.size);
    }
    return step == SQLITE_DONE ? 0 : kit_db_fail(db, &feed->op.failure);
}

static int run_line(struct kit_db *db, struct feed_op *feed)
{
    int64_t id = 0;
    int code = calls_find(db, feed->result.call_id, &feed->call, &feed->op.failure);
    if (!code && feed->segment_id[0]) code = find_segment(db, feed, &id, &feed->result.duplicate);
    if (code || feed->result.duplicate) return code;
    if (feed->call.ended_ms) return kit_fail(&feed->op.failure, 409, "/call_id", "the call has ended");
    code = calls_next_seq(db, &feed->call, &feed->op.failure);
    return code ? code : store_segment(db, feed, id);
}

static int run_status(struct kit_db *db, struct feed_op *feed)
{
    bool ends = !strcmp(feed->status, "ended");
    int code = calls_find(db, feed->result.call_id, &feed->call, &feed->op.failure);
    if (code) return code;
    feed->result.duplicate = !strcmp(feed->call.status, feed->status);
    if (feed->result.duplicate) return 0;
    if (feed->call.ended_ms) return kit_fail(&feed->op.failure, 409, "/call_id", "the call has ended");
    code = calls_next_seq(db, &feed->call, &feed->op.failure);
    if (code) return code;
    if (ends) feed->call.ended_ms = feed->now_ms;
    sqlite3_stmt *update = kit_db_statement(db, "UPDATE calls SET status=?, ended_ms=nullif(?,0) WHERE id=?");
    int step = kit_db_step(update, "tii", feed->status, feed->call.ended_ms, feed->call.id);
    return step == SQLITE_DONE ? 0 : kit_db_fail(db, &feed->op.failure);
}

static int run(struct kit_db *db, struct kit_store_op *op)
{
    struct feed_op *feed = (struct feed_op *)(void *)op;
    if (feed->kind == CALLS_FEED_START) return run_start(db, feed);
    if (feed->kind == CALLS_FEED_LINE) return run_line(db, feed);
    return run_status(db, feed);
}

/* ------------------------------------------------------------ on the loop */

static void free_op(struct feed_op *feed)
{
    sio_builder_clear(&feed->json);
    free(feed->text);
    free(feed->agents);
    free(feed->metadata);
    free(feed);
}

static void broadcast(struct feed_op *feed)
{
    char room[CALLS_ROOM_SIZE];
    struct sio_builder *json = &feed->json;
    /* A new call has nobody watching, and its first event is number 1. */
    if (feed->kind == CALLS_FEED_START) return;
    if (feed->kind != CALLS_FEED_LINE) {
        sio_builder_put(json, ",\"duration\":");
        kit_put_int(json, calls_duration_s(&feed->call, feed->now_ms));
    }
    sio_builder_put(json, ",\"seq\":");
    kit_put_int(json, feed->call.seq);
    sio_builder_put(json, "}");
    calls_room(room, CALLS_ROOM, feed->result.call_id);
    sio_emit(sio_to(sio_all(feed->calls->agents), room),
             feed->kind == CALLS_FEED_LINE ? "transcription:update" : "call:status", sio_builder_args(json));
}

static void done(struct kit_store_op *op)
{
    struct feed_op *feed = (struct feed_op *)(void *)op;
    struct calls *calls = feed->calls;
    feed->result.failure = op->failure;
    feed->result.seq = feed->call.seq;
    if (feed->result.duplicate) calls->counters.duplicates++;
    if (!op->failure.code && !feed->result.duplicate) {
        broadcast(feed);
        if (feed->kind == CALLS_FEED_LINE) calls->counters.lines++;
        if (feed->kind == CALLS_FEED_START || feed->kind == CALLS_FEED_END) calls_refresh_live(calls);
        if (feed->kind == CALLS_FEED_LINE && feed->is_final)
            calls_suggest_line(calls, feed->result.call_id, feed->speaker);
    }
    if (feed->fn) feed->fn(feed->ctx, &feed->result);
    free_op(feed);
}

/* Begins the event as it will be sent. The text goes on as it came, so that numbers and unknown fields are untouched;
 * only what the server itself says is taken out. */
static int begin_json(struct feed_op *feed, const struct calls_feed_event *event)
{
    static const char *const own[] = {"seq", "duration"};
    struct sio_builder *json = &feed->json;
    bool is_line = event->kind == CALLS_FEED_LINE;
    bool rewrite = false;
    const char *call_id = json_string_value(json_object_get(event->object, "call_id"));
    for (size_t i = 0; i < (is_line ? 1 : 2); i++) rewrite |= json_object_get(event->object, own[i]) != NULL;
    if (event->kind == CALLS_FEED_END) rewrite |= json_object_get(event->object, "status") != NULL;
    if (event->call_id && call_id) rewrite |= strcmp(event->call_id, call_id) != 0;

    sio_builder_open(json);
    struct eio_str raw = event->raw;
    char *text = NULL;
    if (rewrite) {
        json_t *copy = json_copy((json_t *)(uintptr_t)event->object);
        for (size_t i = 0; i < (is_line ? 1 : 2); i++) json_object_del(copy, own[i]);
        if (event->kind == CALLS_FEED_END) json_object_del(copy, "status");
        json_object_del(copy, "call_id");
        json_object_set_new(copy, "call_id", json_string(feed->result.call_id));
        text = copy ? json_dumps(copy, JSON_COMPACT) : NULL;
        json_decref(copy);
        if (!text) return EIO_ENOMEM;
        raw = eio_str(text);
    }
    while (raw.n && raw.p[raw.n - 1] != '}') raw.n--;
    raw.n--;
    sio_builder_put_slice(json, sio_args_none(), raw);
    free(text);
    if (!rewrite && !call_id) {
        sio_builder_put(json, json_object_size(event->object) ? ",\"call_id\":" : "\"call_id\":");
        kit_put_text(json, feed->result.call_id);
    }
    if (is_line && !json_object_get(event->object, "timestamp")) {
        sio_builder_put(json, ",\"timestamp\":");
        kit_put_time(json, feed->now_ms);
    }
    if (event->kind == CALLS_FEED_END) sio_builder_put(json, ",\"status\":\"ended\"");
    return json->error;
}

static char *dump_or(const json_t *value, const char *otherwise)
{
    return value ? json_dumps(value, JSON_COMPACT) : strdup(otherwise);
}

/* Status words as literals, so that the operation need not copy. */
static const char *status_of(const struct calls_feed_event *event)
{
    static const char *const all[] = {"ringing", "active", "on_hold", "ended"};
    const char *status = json_string_value(json_object_get(event->object, "status"));
    if (event->kind == CALLS_FEED_END) return "ended";
    for (size_t i = 0; status && i < sizeof all / sizeof all[0]; i++)
        if (!strcmp(all[i], status)) return all[i];
    return "active";
}

static void copy_text(char *out, size_t size, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    snprintf(out, size, "%s", text ? text : "");
}

static struct feed_op *make_op(struct calls *calls, const struct calls_feed_event *event)
{
    struct feed_op *feed = calloc(1, sizeof *feed);
    if (!feed) return NULL;
    const json_t *is_final = json_object_get(event->object, "is_final");
    feed->calls = calls;
    feed->kind = event->kind;
    feed->now_ms = (int64_t)eio_loop_unix_ms(calls->kit->loop);
    feed->status = status_of(event);
    feed->is_final = !is_final || json_is_true(is_final);
    sio_builder_init(&feed->json);
    if (event->call_id)
        snprintf(feed->result.call_id, sizeof feed->result.call_id, "%s", event->call_id);
    else
        copy_text(feed->result.call_id, sizeof feed->result.call_id, event->object, "call_id");
    copy_text(feed->segment_id, sizeof feed->segment_id, event->object, "segment_id");
    copy_text(feed->speaker, sizeof feed->speaker, event->object, "speaker");
    if (event->kind == CALLS_FEED_START) {
        feed->agents = dump_or(json_object_get(event->object, "agents"), "[]");
        feed->metadata = dump_or(json_object_get(event->object, "metadata"), "{}");
    } else if (begin_json(feed, event)) {
        goto fail;
    }
    if (event->kind == CALLS_FEED_LINE) feed->text = strdup(json_string_value(json_object_get(event->object, "text")));
    if (event->kind == CALLS_FEED_START ? feed->agents && feed->metadata : event->kind != CALLS_FEED_LINE || feed->text)
        return feed;
fail:
    free_op(feed);
    return NULL;
}

static int check(const struct calls *calls, const struct calls_feed_event *event, struct kit_failure *failure)
{
    const json_t *text = json_object_get(event->object, "text");
    if (calls->kit->draining) return kit_fail(failure, 503, NULL, "the server is stopping");
    if (event->kind == CALLS_FEED_LINE && json_string_length(text) > calls->kit->config->text_max_bytes)
        return kit_fail(failure, 413, "/text", "must have %u bytes or fewer", calls->kit->config->text_max_bytes);
    return 0;
}

void calls_feed_submit(struct calls *calls, const struct calls_feed_event *event, calls_feed_fn fn, void *ctx)
{
    struct calls_feed_result refused = {{0, "", ""}, "", 0, false};
    struct feed_op *feed = NULL;
    if (check(calls, event, &refused.failure)) goto refuse;
    feed = make_op(calls, event);
    if (!feed) {
        kit_fail(&refused.failure, 503, NULL, "out of memory");
        goto refuse;
    }
    feed->op.run = run;
    feed->op.done = done;
    feed->op.writes = true;
    feed->op.source = event->source;
    feed->fn = fn;
    feed->ctx = ctx;
    if (!kit_store_submit(calls->kit->store, &feed->op, sizeof *feed + feed->json.size)) return;
    kit_fail(&refused.failure, 503, NULL, "too many writes are waiting; try again");
    free_op(feed);
refuse:
    if (fn) fn(ctx, &refused);
}

/* ------------------------------------------------------------------ /feed */

static void on_result(void *ctx, const struct calls_feed_result *result)
{
    struct kit_answer *answer = ctx;
    struct sio_builder json;
    if (result->failure.code) {
        kit_answer_failure(answer, &result->failure);
    } else if (answer->reply.wanted) {
        sio_builder_init(&json);
        sio_builder_open(&json);
        sio_builder_put(&json, "{\"ok\":true,\"call_id\":");
        kit_put_text(&json, result->call_id);
        sio_builder_put(&json, ",\"seq\":");
        kit_put_int(&json, result->seq);
        sio_builder_put(&json, result->duplicate ? ",\"duplicate\":true}" : "}");
        kit_answer_json(answer, &json);
        sio_builder_clear(&json);
    }
    free(answer);
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, enum calls_feed_kind kind,
                     struct calls *calls)
{
    struct kit_answer *answer;
    json_t *payload = kit_answer_payload(calls->kit, event);
    if (!payload) return;
    struct calls_feed_event said = {kind, sio_args_at(event->args, 0), payload, NULL, kit_auth_source(socket)};
    if (!kit_claims_allow(kit_auth_claims(socket), json_string_value(json_object_get(payload, "call_id")))) {
        kit_answer_refuse(calls->kit, event, 403, "/call_id", "this call is not yours");
    } else if ((answer = malloc(sizeof *answer))) {
        *answer = kit_answer_later(calls->kit, event);
        calls_feed_submit(calls, &said, on_result, answer);
    } else {
        kit_answer_refuse(calls->kit, event, 503, NULL, "out of memory");
    }
    json_decref(payload);
}

static void on_start(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    on_event(socket, event, CALLS_FEED_START, ctx);
}

static void on_line(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    on_event(socket, event, CALLS_FEED_LINE, ctx);
}

static void on_status(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    on_event(socket, event, CALLS_FEED_STATUS, ctx);
}

static void on_end(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    on_event(socket, event, CALLS_FEED_END, ctx);
}

int calls_feed_start(struct calls *calls)
{
    static const sio_event_fn handlers[] = {on_start, on_line, on_status, on_end};
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
        int error = sio_on(calls->feed, names[i], handlers[i], calls);
        if (error) return error;
    }
    return 0;
}
