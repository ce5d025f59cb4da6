/* call:wrapup: how a call ended for an agent. Once per agent and call; a repeat replaces it. */
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>

#define WRAPUPS_MAX 100 /* shown of a call */

struct wrapup {
    struct kit_request request;
    char call_id[KIT_ID_SIZE];
    struct calls_written outcome, notes;
};

static int read_wrapup(struct kit_request *request, const json_t *payload)
{
    struct wrapup *w = KIT_REQUEST(wrapup, request);
    kit_copy_text(w->call_id, sizeof w->call_id, payload, "call_id");
    if (!calls_written_read(&w->outcome, payload, "outcome") && !calls_written_read(&w->notes, payload, "notes"))
        return 0;
    return kit_fail(&request->op.failure, 503, NULL, "out of memory");
}

static int tell_service(struct kit_db *db, struct kit_request *request)
{
    const struct wrapup *w = KIT_REQUEST(wrapup, request);
    struct sio_builder json;
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put(&json, "{\"call_id\":");
    kit_put_text(&json, w->call_id);
    sio_builder_put(&json, ",\"agent_id\":");
    kit_put_text(&json, request->claims->sub);
    sio_builder_put(&json, ",\"outcome\":");
    kit_put_text(&json, w->outcome.text);
    if (w->notes.text) sio_builder_put(&json, ",\"notes\":");
    if (w->notes.text) kit_put_text(&json, w->notes.text);
    sio_builder_put(&json, "}");
    int code = calls_tell_request(db, request, w->call_id, &json);
    sio_builder_clear(&json);
    return code;
}

static int run_wrapup(struct kit_db *db, struct kit_request *request)
{
    struct wrapup *w = KIT_REQUEST(wrapup, request);
    struct kit_failure *failure = &request->op.failure;
    struct calls_call call;
    if (calls_written_redact(&w->outcome, request, failure) || calls_written_redact(&w->notes, request, failure))
        return failure->code;
    int code = calls_find_allowed(db, request->claims, w->call_id, &call, failure);
    if (code) return code;
    if (!call.ended_ms) return kit_fail(failure, 409, "/call_id", "the call has not ended");
    int failed = kit_db_run(db,
                            "INSERT INTO wrapups(call, agent, outcome, notes, at_ms) VALUES (?,?,?,?,?)"
                            " ON CONFLICT(call, agent) DO UPDATE SET outcome=excluded.outcome, notes=excluded.notes,"
                            " at_ms=excluded.at_ms",
                            "ittti", call.id, request->claims->sub, w->outcome.text, w->notes.text, request->now_ms);
    return failed ? kit_db_fail(db, failure) : tell_service(db, request);
}

static void clear_wrapup(struct kit_request *request)
{
    struct wrapup *w = KIT_REQUEST(wrapup, request);
    free(w->outcome.text);
    free(w->notes.text);
}

int calls_wrapup_put(struct kit_db *db, int64_t call, struct sio_builder *out, struct kit_failure *failure)
{
    size_t count = 0;
    struct kit_rows rows;
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT agent, outcome, at_ms, notes FROM wrapups WHERE call=? ORDER BY at_ms, agent LIMIT ?", "ii",
        call, (int64_t)WRAPUPS_MAX);
    sio_builder_put(out, ",\"wrapups\":[");
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        const char *notes = kit_rows_text(&rows, 3);
        sio_builder_put(out, count++ ? ",{\"agent_id\":" : "{\"agent_id\":");
        kit_put_text(out, kit_rows_text(&rows, 0));
        sio_builder_put(out, ",\"outcome\":");
        kit_put_text(out, kit_rows_text(&rows, 1));
        sio_builder_put(out, ",\"timestamp\":");
        kit_put_time(out, kit_rows_int(&rows, 2));
        if (notes) sio_builder_put(out, ",\"notes\":");
        if (notes) kit_put_text(out, notes);
        sio_builder_put(out, "}");
    }
    sio_builder_put(out, "]");
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

int calls_wrapup_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {.name = "call:wrapup",
         .size = sizeof(struct wrapup),
         .way = KIT_WRITE,
         .about = "call_id",
         .read = read_wrapup,
         .run = run_wrapup,
         .clear = clear_wrapup},
    };
    return kit_open_events(calls->kit, calls->agents, events, 1, calls);
}
