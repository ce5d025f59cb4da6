/* What feeds say, in the store: numbered, kept, and then sent to those who watch. Each call is one log; its events are
 * sent in the order of their numbers. */
#include "calls_listing.h"
#include "calls_text.h"
#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------------- calls */

static int insert_agents(struct kit_db *db, const struct calls_record *record, struct kit_failure *failure)
{
    struct kit_json_walk walk;
    struct eio_str value;
    const char *agents = record->entry.agents;
    char name[KIT_USER_SIZE];
    if (!kit_json_open(&walk, (struct eio_str){agents, strlen(agents)})) return 0;
    while (kit_json_each(&walk, NULL, &value)) {
        if (sio_args_text((struct sio_args){value, NULL, 0}, 0, name, sizeof name) <= 0) continue;
        if (kit_db_run(db, "INSERT INTO call_agents(agent, call) VALUES (?,?) ON CONFLICT DO NOTHING", "ti", name,
                       record->call.id))
            return kit_db_fail(db, failure);
    }
    return 0;
}

static int store_start(struct kit_db *db, struct calls_record *record, struct kit_failure *failure)
{
    const struct calls_entry *entry = &record->entry;
    struct kit_failure missing;
    int code = calls_find(db, entry->call_id, &record->call, &missing);
    if (!code && record->call.ended_ms)
        return kit_fail(failure, 409, "/call_id", "a call with this id has already ended");
    record->duplicate = !code;
    if (!code) return 0;
    if (code != 404) {
        *failure = missing;
        return code;
    }
    if (kit_db_run(
            db, "INSERT INTO calls(call_id, status, started_ms, last_ms, agents, metadata) VALUES (?1,?2,?3,?3,?4,?5)",
            "ttitt", entry->call_id, entry->status, record->now_ms, entry->agents, entry->metadata))
        return kit_db_fail(db, failure);
    code = calls_find(db, entry->call_id, &record->call, failure);
    return code ? code : insert_agents(db, record, failure);
}

static int next_seq(struct kit_db *db, struct calls_record *record, struct kit_failure *failure)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "UPDATE calls SET seq = seq + 1, last_ms = ? WHERE id=? RETURNING seq", "ii",
                     record->now_ms, record->call.id) != KIT_ROW)
        return kit_db_fail(db, failure);
    record->call.seq = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return 0;
}

static int store_status(struct kit_db *db, struct calls_record *record, struct kit_failure *failure)
{
    const char *status = record->entry.status;
    int code = calls_find(db, record->entry.call_id, &record->call, failure);
    if (code) return code;
    record->duplicate = !strcmp(record->call.status, status);
    if (record->duplicate) return 0;
    if (record->call.ended_ms) return kit_fail(failure, 409, "/call_id", "the call has ended");
    code = next_seq(db, record, failure);
    if (code) return code;
    if (!strcmp(status, "ended")) {
        record->call.ended_ms = record->now_ms;
        code = calls_help_end(db, record->call.id, &record->lowers_hands, failure);
        if (code) return code;
    }
    if (kit_db_run(db, "UPDATE calls SET status=?, ended_ms=nullif(?,0) WHERE id=?", "tii", status,
                   record->call.ended_ms, record->call.id))
        return kit_db_fail(db, failure);
    return calls_read_agents(db, record->call.id, &record->entry.agents, failure);
}

/* -------------------------------------------------------------------- lines */

static bool column_is(const struct kit_rows *row, int column, const char *text, size_t size)
{
    struct eio_str value = kit_rows_bytes(row, column);
    return value.n == size && (!size || !memcmp(value.p, text, size));
}

/* The line that has this segment_id: its row in *id (0: none), and whether this one repeats it. */
static int find_segment(struct kit_db *db, struct calls_record *record, int64_t *id, struct kit_failure *failure)
{
    const struct calls_entry *entry = &record->entry;
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT id, is_final, text, speaker, seq FROM segments WHERE call=? AND segment_id=?",
                     "it", record->call.id, entry->segment_id);
    if (step == KIT_DONE) return 0;
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    *id = kit_rows_int(&row, 0);
    bool was_final = kit_rows_int(&row, 1);
    bool same =
        column_is(&row, 2, entry->text, entry->text_size) && column_is(&row, 3, entry->speaker, strlen(entry->speaker));
    int64_t seq = kit_rows_int(&row, 4);
    kit_rows_end(&row);
    /* What a recogniser guessed before the final text arrives late; the same thing twice is a repeat. */
    record->duplicate = was_final == entry->is_final ? same : was_final;
    if (record->duplicate) record->call.seq = seq;
    if (was_final && !record->duplicate) record->replaces = seq;
    return 0;
}

static int put_segment(struct kit_db *db, const struct calls_record *record, int64_t id, struct kit_failure *failure)
{
    const struct calls_entry *entry = &record->entry;
    const struct sio_builder *json = &entry->json;
    const char *segment_id = entry->segment_id[0] ? entry->segment_id : NULL;
    int failed =
        id ? kit_db_run(db, "UPDATE segments SET seq=?, is_final=?, speaker=?, text=?, json=? || '}' WHERE id=?",
                        "iitbbi", record->call.seq, (int64_t)entry->is_final, entry->speaker, entry->text,
                        entry->text_size, json->json, json->size, id)
           : kit_db_run(db,
                        "INSERT INTO segments(call, seq, segment_id, is_final, speaker, text, json)"
                        " VALUES (?,?,?,?,?,?,? || '}')",
                        "iititbb", record->call.id, record->call.seq, segment_id, (int64_t)entry->is_final,
                        entry->speaker, entry->text, entry->text_size, json->json, json->size);
    return failed ? kit_db_fail(db, failure) : 0;
}

static int store_segment(struct kit_db *db, const struct calls_record *record, int64_t id, struct kit_failure *failure)
{
    int64_t call = record->call.id, old = record->replaces;
    int code = old ? calls_text_drop(db, call, old, old, failure) : 0;
    if (!code) code = put_segment(db, record, id, failure);
    return code || !record->entry.is_final ? code : calls_text_put(db, call, record->call.seq, failure);
}

/* The last words of a call come after its end, since who recognises them needs a moment. */
static bool is_too_late(const struct calls_record *record, const struct kit_config *config)
{
    if (!record->call.ended_ms) return false;
    uint32_t late_final_s = calls_config(config)->late_final_s;
    return !record->entry.is_final || record->now_ms - record->call.ended_ms > (int64_t)late_final_s * 1000 ||
           !late_final_s;
}

static int store_line(struct kit_db *db, struct calls_record *record, const struct kit_config *config,
                      struct kit_failure *failure)
{
    struct sio_builder *json = &record->entry.json;
    int64_t id = 0;
    int code = calls_find(db, record->entry.call_id, &record->call, failure);
    if (!code && record->entry.segment_id[0]) code = find_segment(db, record, &id, failure);
    if (code || record->duplicate) return code;
    if (is_too_late(record, config)) return kit_fail(failure, 409, "/call_id", "the call has ended");
    code = next_seq(db, record, failure);
    if (code) return code;
    if (record->replaces) {
        sio_builder_put(json, ",\"replaces\":");
        kit_put_int(json, record->replaces);
    }
    return store_segment(db, record, id, failure);
}

/* ---------------------------------------------------------------------- all */

static void complete_json(struct calls_record *record)
{
    struct sio_builder *json = &record->entry.json;
    if (record->entry.kind == CALLS_FEED_START) {
        sio_builder_put(json, ",\"status\":");
        kit_put_text(json, record->call.status);
        sio_builder_put(json, ",\"started_at\":");
        kit_put_time(json, record->call.started_ms);
    }
    if (record->entry.kind != CALLS_FEED_LINE) {
        sio_builder_put(json, ",\"duration\":");
        kit_put_int(json, calls_duration_s(&record->call, record->now_ms));
    }
    sio_builder_put(json, ",\"seq\":");
    kit_put_int(json, record->call.seq);
    sio_builder_put(json, "}");
}

int calls_tell_request(struct kit_db *db, struct kit_request *request, const char *call_id,
                       const struct sio_builder *json)
{
    const struct calls *calls = request->state;
    struct hooks_event event = {.name = request->event->name,
                                .call_id = call_id,
                                .claims = request->claims,
                                .json = {json->json, json->size},
                                .at_ms = request->now_ms};
    if (json->error) return kit_fail(&request->op.failure, 503, NULL, "out of memory");
    return hooks_put(calls->hooks, db, &event, &request->op.failure);
}

/* Interim lines are guesses, and are not told. */
static int tell_service(struct kit_db *db, const struct calls_record *record, struct kit_failure *failure)
{
    const struct calls_entry *entry = &record->entry;
    enum calls_feed_kind kind = entry->kind == CALLS_FEED_END ? CALLS_FEED_STATUS : entry->kind;
    struct hooks_event event = {.name = calls_feed_event_name(kind),
                                .call_id = entry->call_id,
                                .claims = record->claims,
                                .json = {entry->json.json, entry->json.size},
                                .at_ms = record->now_ms};
    if (record->duplicate || (kind == CALLS_FEED_LINE && !entry->is_final)) return 0;
    return hooks_put(record->hooks, db, &event, failure);
}

/* The operation may run more than once: what an earlier time added is void. */
static void begin_again(struct calls_record *record)
{
    struct calls_entry *entry = &record->entry;
    if (record->has_begun) {
        entry->json.size = record->read_size;
        calls_alerts_free(entry->alerts);
        entry->alerts = NULL;
        record->duplicate = record->lowers_hands = false;
        record->replaces = 0;
        if (entry->kind != CALLS_FEED_START) {
            free(entry->agents);
            entry->agents = NULL;
        }
    }
    record->has_begun = true;
    record->read_size = entry->json.size;
}

int calls_record_store(struct kit_db *db, struct calls_record *record, const struct kit_config *config,
                       struct kit_failure *failure)
{
    int code;
    begin_again(record);
    if (record->entry.kind == CALLS_FEED_START)
        code = store_start(db, record, failure);
    else if (record->entry.kind == CALLS_FEED_LINE)
        code = store_line(db, record, config, failure);
    else
        code = store_status(db, record, failure);
    if (code) return code;
    complete_json(record);
    if (record->entry.json.error) return kit_fail(failure, 503, NULL, "out of memory");
    code = tell_service(db, record, failure);
    if (code) return code;
    bool is_final_line = record->entry.kind == CALLS_FEED_LINE && record->entry.is_final && !record->duplicate;
    return is_final_line && record->rules ? calls_alerts_line(record->rules, db, record, failure) : 0;
}

static void broadcast(struct calls *calls, const struct calls_record *record)
{
    char room[CALLS_ROOM_SIZE];
    const struct calls_entry *entry = &record->entry;
    struct sio_args args = sio_builder_args(&entry->json);
    if (entry->kind != CALLS_FEED_LINE) {
        calls_listing_send(calls, entry->call_id, entry->agents, args);
        if (record->lowers_hands) calls_help_send_none(calls, entry->call_id, entry->agents);
        return;
    }
    calls_room(room, CALLS_ROOM, entry->call_id);
    sio_emit(sio_to(sio_all(calls->agents), room), "transcription:update", args);
}

void calls_record_send(struct calls *calls, struct calls_record *record)
{
    const struct calls_entry *entry = &record->entry;
    if (record->duplicate) {
        calls->counters.duplicates++;
        return;
    }
    broadcast(calls, record);
    calls_alerts_send(calls, entry->alerts);
    if (entry->kind == CALLS_FEED_LINE) calls->counters.lines++;
    calls->counters.redacted += entry->is_redacted;
    if (record->call.ended_ms && entry->kind != CALLS_FEED_LINE)
        calls_summary_end(calls, entry->call_id, record->claims);
    if (entry->kind == CALLS_FEED_START || entry->kind == CALLS_FEED_END) calls_refresh_live(calls);
    if (entry->kind == CALLS_FEED_LINE && entry->is_final) calls_suggest_line(calls, entry->call_id, entry->speaker);
}
