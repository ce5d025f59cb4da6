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

void calls_record_begin(struct calls_record *record)
{
    struct calls_entry *entry = &record->entry;
    if (record->has_begun) {
        entry->json.size = record->read_size;
        calls_alerts_free(entry->alerts);
        entry->alerts = NULL;
        record->duplicate = record->lowers_hands = record->is_overwritten = false;
        record->replaces = record->row = 0;
        record->failure.code = 0;
        if (entry->kind != CALLS_FEED_START) {
            free(entry->agents);
            entry->agents = NULL;
        }
    }
    record->has_begun = true;
    record->read_size = entry->json.size;
}

int calls_record_complete(struct kit_db *db, struct calls_record *record, struct kit_failure *failure)
{
    const struct calls_entry *entry = &record->entry;
    complete_json(record);
    if (entry->json.error) return kit_fail(failure, 503, NULL, "out of memory");
    int code = tell_service(db, record, failure);
    bool is_final_line = entry->kind == CALLS_FEED_LINE && entry->is_final && !record->duplicate;
    if (code || !is_final_line || !record->rules) return code;
    return calls_alerts_line(record->rules, db, record, failure);
}

static int store_one_line(struct kit_db *db, struct calls_record *record, const struct kit_config *config,
                          struct kit_failure *failure)
{
    int code = calls_batch_store(db, &record, 1, config, failure);
    if (code || !record->failure.code) return code;
    *failure = record->failure;
    return failure->code;
}

int calls_record_store(struct kit_db *db, struct calls_record *record, const struct kit_config *config,
                       struct kit_failure *failure)
{
    if (record->entry.kind == CALLS_FEED_LINE) return store_one_line(db, record, config, failure);
    calls_record_begin(record);
    int code =
        record->entry.kind == CALLS_FEED_START ? store_start(db, record, failure) : store_status(db, record, failure);
    return code ? code : calls_record_complete(db, record, failure);
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
    if (entry->kind == CALLS_FEED_LINE && entry->is_final) calls_index_note(calls);
    calls->counters.redacted += entry->is_redacted;
    if (record->call.ended_ms && entry->kind != CALLS_FEED_LINE)
        calls_summary_end(calls, entry->call_id, record->claims);
    if (entry->kind == CALLS_FEED_START || entry->kind == CALLS_FEED_END) calls_refresh_live(calls);
    if (entry->kind == CALLS_FEED_LINE && entry->is_final) calls_suggest_line(calls, entry->call_id, entry->speaker);
}
