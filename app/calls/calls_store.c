/* Calls in the store: lookup, numbering, access, snapshot, list. Everything here runs inside store operations. */
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>

void calls_room(char room[CALLS_ROOM_SIZE], const char *prefix, const char *call_id)
{
    snprintf(room, CALLS_ROOM_SIZE, "%s%s", prefix, call_id);
}

int64_t calls_duration_s(const struct calls_call *call, int64_t now_ms)
{
    int64_t ms = (call->ended_ms ? call->ended_ms : now_ms) - call->started_ms;
    return ms > 0 ? ms / 1000 : 0;
}

void calls_read_row(const struct kit_rows *row, struct calls_call *call)
{
    call->id = kit_rows_int(row, 0);
    snprintf(call->status, sizeof call->status, "%s", kit_rows_text(row, 1));
    call->started_ms = kit_rows_int(row, 2);
    call->ended_ms = kit_rows_int(row, 3);
    call->seq = kit_rows_int(row, 4);
}

int calls_find(struct kit_db *db, const char *call_id, struct calls_call *call, struct kit_failure *failure)
{
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT id, status, started_ms, ended_ms, seq FROM calls WHERE call_id=?", "t", call_id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, "/call_id", "call not found");
    calls_read_row(&row, call);
    kit_rows_end(&row);
    return 0;
}

int calls_next_seq(struct kit_db *db, struct calls_call *call, struct kit_failure *failure)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "UPDATE calls SET seq = seq + 1 WHERE id=? RETURNING seq", "i", call->id) != KIT_ROW)
        return kit_db_fail(db, failure);
    call->seq = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return 0;
}

/* True if the call's own list names the user. */
static int find_agent(struct kit_db *db, const char *call_id, const char *sub, bool *is_named,
                      struct kit_failure *failure)
{
    struct kit_rows row;
    enum kit_step step = kit_db_query(
        db, &row,
        "SELECT c.id FROM calls c CROSS JOIN call_agents a WHERE a.call = c.id AND a.agent=?2 AND c.call_id=?1", "tt",
        call_id, sub);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    *is_named = step == KIT_ROW;
    kit_rows_end(&row);
    return 0;
}

int calls_find_allowed(struct kit_db *db, const struct kit_claims *claims, const char *call_id, struct calls_call *call,
                       struct kit_failure *failure)
{
    bool allowed = kit_claims_allow(claims, call_id);
    int code = allowed ? 0 : find_agent(db, call_id, claims->sub, &allowed, failure);
    if (code) return code;
    /* Only users who may see a call learn whether it exists. */
    if (!allowed) return kit_fail(failure, 403, "/call_id", "this call is not yours");
    return calls_find(db, call_id, call, failure);
}

int calls_read_agents(struct kit_db *db, int64_t call, char **agents, struct kit_failure *failure)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT agents FROM calls WHERE id=?", "i", call) != KIT_ROW)
        return kit_db_fail(db, failure);
    free(*agents);
    *agents = strdup(kit_rows_text(&row, 0));
    kit_rows_end(&row);
    return *agents ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

int calls_allow(struct kit_db *db, struct kit_request *request)
{
    struct calls_call call;
    return calls_find_allowed(db, request->claims, request->about, &call, &request->op.failure);
}

/* The fields of {call_id, status, started_at, duration}, without braces. */
static void put_call(struct sio_builder *out, const char *call_id, const struct calls_call *call, int64_t now_ms)
{
    sio_builder_put(out, "\"call_id\":");
    kit_put_text(out, call_id);
    sio_builder_put(out, ",\"status\":");
    kit_put_text(out, call->status);
    sio_builder_put(out, ",\"started_at\":");
    kit_put_time(out, call->started_ms);
    sio_builder_put(out, ",\"duration\":");
    kit_put_int(out, calls_duration_s(call, now_ms));
    if (call->ended_ms) {
        sio_builder_put(out, ",\"ended_at\":");
        kit_put_time(out, call->ended_ms);
    }
}

/* Appends the events of a query of (seq, json) as a JSON list. Returns 0 or EIO_ESYS. */
static int put_events(struct kit_rows *rows, enum kit_step step, struct sio_builder *out)
{
    long count = 0;
    sio_builder_put(out, "[");
    for (; step == KIT_ROW; step = kit_rows_next(rows)) {
        struct eio_str json = kit_rows_bytes(rows, 1);
        struct eio_str open_object = {json.p, json.n ? json.n - 1 : 0}; /* all but the closing brace */
        if (!json.p) continue;
        if (count++) sio_builder_put(out, ",");
        sio_builder_put_slice(out, sio_args_none(), open_object);
        sio_builder_put(out, ",\"seq\":");
        kit_put_int(out, kit_rows_int(rows, 0));
        sio_builder_put(out, "}");
    }
    sio_builder_put(out, "]");
    return step == KIT_DONE ? 0 : EIO_ESYS;
}

/* Lines of a call from one seq to another, both included. */
struct range {
    int64_t first, last;
    bool is_cut; /* there are more than the limits allow */
};

static enum kit_step query_range(struct kit_db *db, struct kit_rows *rows, int64_t call, int64_t since_seq,
                                 int64_t limit)
{
    if (since_seq > 0)
        return kit_db_query(db, rows, "SELECT seq, json FROM segments WHERE call=? AND seq>? ORDER BY seq LIMIT ?",
                            "iii", call, since_seq, limit);
    return kit_db_query(db, rows, "SELECT seq, json FROM segments WHERE call=? AND seq>? ORDER BY seq DESC LIMIT ?",
                        "iii", call, since_seq, limit);
}

/* Finds how many lines after since_seq fit: the latest, or for who has some already the ones that follow those. */
static int find_range(struct kit_db *db, const struct kit_config *config, int64_t call, int64_t since_seq,
                      struct range *range)
{
    const struct calls_config *own = calls_config(config);
    bool pages = since_seq > 0;
    size_t bytes = 0, count = 0;
    struct kit_rows rows;
    enum kit_step step = query_range(db, &rows, call, since_seq, (int64_t)own->snapshot_lines_max + 1);
    *range = (struct range){since_seq + 1, since_seq, false};
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        int64_t seq = kit_rows_int(&rows, 0);
        bytes += kit_rows_bytes(&rows, 1).n;
        range->is_cut = count && (count == own->snapshot_lines_max || bytes > own->snapshot_bytes_max);
        if (range->is_cut) break;
        if (!count || !pages) range->first = seq;
        if (!count || pages) range->last = seq;
        count++;
    }
    if (step == KIT_FAILED) return EIO_ESYS;
    kit_rows_end(&rows);
    return 0;
}

static int put_transcript(struct kit_db *db, const struct calls_call *call, const struct range *range,
                          struct sio_builder *out)
{
    sio_builder_put(out, "},\"transcript\":");
    struct kit_rows rows;
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT seq, json FROM segments WHERE call=? AND seq BETWEEN ? AND ? ORDER BY seq",
                     "iii", call->id, range->first, range->last);
    return put_events(&rows, step, out);
}

int calls_alerts_put(struct kit_db *db, int64_t call, int64_t since_seq, uint32_t most, struct sio_builder *out,
                     struct kit_failure *failure)
{
    struct kit_rows rows;
    sio_builder_put(out, ",\"alerts\":");
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT seq, json FROM (SELECT seq, json FROM alerts WHERE call=? AND seq>?"
                                      " ORDER BY seq DESC LIMIT ?) AS latest ORDER BY seq",
                                      "iii", call, since_seq, (int64_t)most);
    return put_events(&rows, step, out) ? kit_db_fail(db, failure) : 0;
}

/* What is not part of the call's log. */
static int put_beside(struct kit_db *db, const struct kit_config *config, int64_t call, struct calls_view *view,
                      struct sio_builder *out, struct kit_failure *failure)
{
    int code = calls_notes_put(db, call, calls_config(config)->snapshot_notes_max, view, out, failure);
    if (!code) code = calls_help_put(db, call, out, failure);
    if (!code) code = calls_wrapup_put(db, call, out, failure);
    if (!code) code = calls_votes_put(db, view, out, failure);
    return code ? code : calls_summary_put(db, call, view->since_seq, out, failure);
}

int calls_snapshot(struct kit_db *db, const struct kit_config *config, struct calls_view *view, struct sio_builder *out,
                   struct kit_failure *failure)
{
    struct calls_call call;
    struct range range;
    int64_t since_seq = view->since_seq;
    int code = calls_find(db, view->call_id, &call, failure);
    if (code) return code;
    struct kit_rows rows;
    if (kit_db_query(db, &rows, "SELECT metadata FROM calls WHERE id=?", "i", call.id) != KIT_ROW)
        return kit_db_fail(db, failure);
    sio_builder_put(out, ",\"call\":{");
    put_call(out, view->call_id, &call, view->now_ms);
    sio_builder_put(out, ",\"metadata\":");
    sio_builder_put(out, kit_rows_text(&rows, 0));
    kit_rows_end(&rows);
    if (find_range(db, config, call.id, since_seq, &range) || put_transcript(db, &call, &range, out))
        return kit_db_fail(db, failure);
    bool has_more = range.is_cut && since_seq > 0;
    if (range.is_cut) sio_builder_put(out, has_more ? ",\"more\":true" : ",\"truncated\":true");

    sio_builder_put(out, ",\"suggestions\":");
    enum kit_step step = kit_db_query(
        db, &rows,
        "SELECT seq, json FROM (SELECT seq, json FROM suggestions WHERE call=? AND seq>? ORDER BY seq DESC LIMIT ?)"
        " AS latest ORDER BY seq",
        "iii", call.id, since_seq, (int64_t)calls_config(config)->snapshot_suggestions_max);
    if (put_events(&rows, step, out)) return kit_db_fail(db, failure);
    code = calls_alerts_put(db, call.id, since_seq, calls_config(config)->snapshot_alerts_max, out, failure);
    if (code) return code;
    code = put_beside(db, config, call.id, view, out, failure);
    if (code) return code;
    sio_builder_put(out, ",\"seq\":");
    kit_put_int(out, has_more ? range.last : call.seq);
    return out->error ? kit_fail(failure, 503, NULL, "out of memory") : 0;
}

void calls_put_row(struct sio_builder *out, const struct kit_rows *row, int64_t now_ms)
{
    struct calls_call call;
    calls_read_row(row, &call);
    sio_builder_put(out, "{");
    put_call(out, kit_rows_text(row, 5), &call, now_ms);
    sio_builder_put(out, ",\"seq\":");
    kit_put_int(out, call.seq);
    sio_builder_put(out, ",\"metadata\":");
    sio_builder_put(out, kit_rows_text(row, 6));
    sio_builder_put(out, ",\"agents\":");
    sio_builder_put(out, kit_rows_text(row, 7));
}

int calls_count_live(struct kit_db *db, int64_t *count, struct kit_failure *failure)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT count(*) FROM calls WHERE status IN ('ringing','active','on_hold')", "") !=
        KIT_ROW)
        return kit_db_fail(db, failure);
    *count = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return 0;
}
