/* note:send: private notes of supervisors to the agents of a call, or to one of them. They are a separate log and take
 * no seq of the call, so that a gap does not reveal them; their ids are random for the same reason. A client that gets
 * a note both live and in its snapshot recognises it by its id. */
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NOTE_ID_BYTES 12

struct note {
    struct kit_request request;
    char call_id[KIT_ID_SIZE], to[KIT_USER_SIZE] /* "": all agents of the call */;
    char id[2 * NOTE_ID_BYTES + 1];
    struct calls_written text;
    struct sio_builder event;
};

static int make_id(struct note *note)
{
    uint8_t bytes[NOTE_ID_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) return EIO_ESYS;
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(note->id + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static int put_event(struct note *note, struct kit_failure *failure)
{
    struct sio_builder *json = &note->event;
    sio_builder_clear(json); /* of a run that was undone */
    sio_builder_init(json);
    sio_builder_open(json);
    sio_builder_put(json, "{\"call_id\":");
    kit_put_text(json, note->call_id);
    sio_builder_put(json, ",\"id\":");
    kit_put_text(json, note->id);
    sio_builder_put(json, ",\"from\":");
    kit_put_text(json, note->request.claims->sub);
    if (note->to[0]) {
        sio_builder_put(json, ",\"to\":");
        kit_put_text(json, note->to);
    }
    sio_builder_put(json, ",\"text\":");
    sio_builder_put_text(json, note->text.text, note->text.size);
    sio_builder_put(json, ",\"timestamp\":");
    kit_put_time(json, note->request.now_ms);
    sio_builder_put(json, "}");
    return json->error ? kit_fail(failure, 503, NULL, "out of memory") : 0;
}

static int read_note(struct kit_request *request, const json_t *payload)
{
    struct note *note = KIT_REQUEST(note, request);
    sio_builder_init(&note->event);
    kit_copy_text(note->call_id, sizeof note->call_id, payload, "call_id");
    kit_copy_text(note->to, sizeof note->to, payload, "to");
    if (make_id(note)) return kit_fail(&request->op.failure, 503, NULL, "no random numbers; try again");
    if (!calls_written_read(&note->text, payload, "text")) return 0;
    return kit_fail(&request->op.failure, 503, NULL, "out of memory");
}

static int run_note(struct kit_db *db, struct kit_request *request)
{
    struct note *note = KIT_REQUEST(note, request);
    struct kit_failure *failure = &request->op.failure;
    struct calls_call call;
    int code = calls_written_redact(&note->text, request, failure);
    if (!code) code = calls_find_allowed(db, request->claims, note->call_id, &call, failure);
    if (!code) code = put_event(note, failure);
    if (code) return code;
    if (!kit_db_run(db, "INSERT INTO notes(call, note_id, recipient, json) VALUES (?,?,?,?)", "ittb", call.id, note->id,
                    note->to[0] ? note->to : NULL, note->event.json, note->event.size))
        return calls_tell_request(db, request, note->call_id, &note->event);
    return kit_db_fail(db, failure);
}

static void reply_note(struct kit_request *request)
{
    const struct note *note = KIT_REQUEST(note, request);
    struct calls *calls = request->state;
    char room[CALLS_ROOM_SIZE], own[CALLS_AGENT_ROOM_SIZE];
    struct sio_target target = sio_all(calls->agents);
    calls->counters.notes++;
    sio_builder_put(&request->json, ",\"id\":");
    kit_put_text(&request->json, note->id);
    if (note->to[0]) {
        calls_room(room, CALLS_SUPERVISOR_ROOM, note->call_id);
        calls_agent_room(own, note->call_id, note->to);
        target = sio_to(sio_to(target, room), own);
    } else {
        calls_room(room, CALLS_ROOM, note->call_id);
        target = sio_to(target, room);
    }
    sio_emit(target, "call:note", sio_builder_args(&note->event));
}

static void clear_note(struct kit_request *request)
{
    struct note *note = KIT_REQUEST(note, request);
    sio_builder_clear(&note->event);
    free(note->text.text);
}

/* ---------------------------------------------------------------- snapshot */

/* Whether there are notes that the view does not show. */
static int look_for_others(struct kit_db *db, int64_t call, struct calls_view *view, struct kit_failure *failure)
{
    if (view->all_notes || view->agent) return 0;
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT 1 FROM notes WHERE call=? AND recipient IS NOT NULL LIMIT 1", "i", call);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    view->lacks_notes = step == KIT_ROW;
    kit_rows_end(&row);
    return 0;
}

int calls_notes_put(struct kit_db *db, int64_t call, uint32_t most, struct calls_view *view, struct sio_builder *out,
                    struct kit_failure *failure)
{
    size_t count = 0;
    int code = look_for_others(db, call, view, failure);
    if (code) return code;
    struct kit_rows rows;
    enum kit_step step = kit_db_query(
        db, &rows,
        "SELECT json FROM (SELECT id, json FROM notes WHERE call=?1 AND (?2 <> 0 OR recipient IS NULL OR recipient=?3)"
        " ORDER BY id DESC LIMIT ?4) AS latest ORDER BY id",
        "iiti", call, (int64_t)view->all_notes, view->agent, (int64_t)most);
    sio_builder_put(out, ",\"notes\":[");
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        if (count++) sio_builder_put(out, ",");
        sio_builder_put_slice(out, sio_args_none(), kit_rows_bytes(&rows, 0));
    }
    sio_builder_put(out, "]");
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    return 0;
}

int calls_notes_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {.name = "note:send",
         .size = sizeof(struct note),
         .way = KIT_WRITE,
         .roles = KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN,
         .about = "call_id",
         .read = read_note,
         .run = run_note,
         .reply = reply_note,
         .clear = clear_note},
    };
    return kit_open_events(calls->kit, calls->agents, events, 1, calls);
}
