/* agent:help: an agent raises a hand in a call, or lowers it. Every supervisor who may see the call is shown the hands
 * that are up in it, whether they watch the call or not; the end of a call lowers them all. A state: the newest counts.
 */
#include "calls_listing.h"

#include <stdlib.h>
#include <string.h>

#define HANDS_MAX 100 /* shown of a call */

struct help {
    struct kit_request request;
    char call_id[KIT_ID_SIZE];
    struct calls_written reason;
    bool lowers;
    char *agents; /* the call's own list, as JSON */
    struct sio_builder event;
};

static int read_help(struct kit_request *request, const json_t *payload)
{
    struct help *help = KIT_REQUEST(help, request);
    sio_builder_init(&help->event);
    kit_copy_text(help->call_id, sizeof help->call_id, payload, "call_id");
    help->lowers = json_is_true(json_object_get(payload, "cancel"));
    if (!calls_written_read(&help->reason, payload, "reason")) return 0;
    return kit_fail(&request->op.failure, 503, NULL, "out of memory");
}

/* ------------------------------------------------------------------- store */

/* The hands of a call as a JSON list. */
static int put_hands(struct kit_db *db, int64_t call, struct sio_builder *out, struct kit_failure *failure)
{
    size_t count = 0;
    struct kit_rows rows;
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT agent, since_ms, reason FROM call_help WHERE call=? ORDER BY since_ms, agent LIMIT ?", "ii",
        call, (int64_t)HANDS_MAX);
    sio_builder_put(out, "[");
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        const char *reason = kit_rows_text(&rows, 2);
        sio_builder_put(out, count++ ? ",{\"agent_id\":" : "{\"agent_id\":");
        kit_put_text(out, kit_rows_text(&rows, 0));
        sio_builder_put(out, ",\"since\":");
        kit_put_time(out, kit_rows_int(&rows, 1));
        if (reason) sio_builder_put(out, ",\"reason\":");
        if (reason) kit_put_text(out, reason);
        sio_builder_put(out, "}");
    }
    sio_builder_put(out, "]");
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

int calls_help_put(struct kit_db *db, int64_t call, struct sio_builder *out, struct kit_failure *failure)
{
    sio_builder_put(out, ",\"help\":");
    return put_hands(db, call, out, failure);
}

int calls_help_end(struct kit_db *db, int64_t call, bool *lowered, struct kit_failure *failure)
{
    int64_t count = kit_db_change(db, "DELETE FROM call_help WHERE call=?", "i", call);
    *lowered = count > 0;
    return count < 0 ? kit_db_fail(db, failure) : 0;
}

static int change(struct kit_db *db, struct help *help, int64_t call)
{
    const struct kit_request *request = &help->request;
    int failed = help->lowers ? kit_db_run(db, "DELETE FROM call_help WHERE call=? AND agent=?", "it", call,
                                           request->claims->sub)
                              : kit_db_run(db,
                                           "INSERT INTO call_help(call, agent, reason, since_ms) VALUES (?,?,?,?)"
                                           " ON CONFLICT(call, agent) DO UPDATE SET reason=excluded.reason",
                                           "itti", call, request->claims->sub, help->reason.text, request->now_ms);
    return failed ? kit_db_fail(db, &help->request.op.failure) : 0;
}

static int run_help(struct kit_db *db, struct kit_request *request)
{
    struct help *help = KIT_REQUEST(help, request);
    struct kit_failure *failure = &request->op.failure;
    struct calls_call call;
    int code = calls_written_redact(&help->reason, request, failure);
    if (!code) code = calls_find_allowed(db, request->claims, help->call_id, &call, failure);
    if (code) return code;
    if (call.ended_ms && !help->lowers) return kit_fail(failure, 409, "/call_id", "the call has ended");
    code = change(db, help, call.id);
    if (!code) code = calls_read_agents(db, call.id, &help->agents, failure);
    if (code) return code;
    sio_builder_clear(&help->event); /* of a run that was undone */
    sio_builder_init(&help->event);
    sio_builder_open(&help->event);
    sio_builder_put(&help->event, "{\"call_id\":");
    kit_put_text(&help->event, help->call_id);
    sio_builder_put(&help->event, ",\"agents\":");
    code = put_hands(db, call.id, &help->event, failure);
    sio_builder_put(&help->event, "}");
    if (!code && help->event.error) code = kit_fail(failure, 503, NULL, "out of memory");
    return code ? code : calls_tell_request(db, request, help->call_id, &help->event);
}

static void reply_help(struct kit_request *request)
{
    const struct help *help = KIT_REQUEST(help, request);
    calls_help_send(request->state, help->call_id, help->agents, sio_builder_args(&help->event));
}

static void clear_help(struct kit_request *request)
{
    struct help *help = KIT_REQUEST(help, request);
    sio_builder_clear(&help->event);
    free(help->reason.text);
    free(help->agents);
}

void calls_help_send_none(struct calls *calls, const char *call_id, const char *agents)
{
    struct sio_builder json;
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put(&json, "{\"call_id\":");
    kit_put_text(&json, call_id);
    sio_builder_put(&json, ",\"agents\":[]}");
    calls_help_send(calls, call_id, agents, sio_builder_args(&json));
    sio_builder_clear(&json);
}

int calls_help_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {.name = "agent:help",
         .size = sizeof(struct help),
         .way = KIT_WRITE,
         .about = "call_id",
         .read = read_help,
         .run = run_help,
         .reply = reply_help,
         .clear = clear_help},
    };
    return kit_open_events(calls->kit, calls->agents, events, 1, calls);
}
