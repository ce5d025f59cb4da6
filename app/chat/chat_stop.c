/* signal.stop: ends the turn of a chat wherever it is: here at once, in the store if it waits, by a message to the
 * process that runs it. */
#include "chat_nodes.h"
#include "chat_turn.h"

#include <string.h>

struct stop {
    struct kit_request request;
    char ref_id[KIT_ID_SIZE]; /* "": whatever runs */
    bool is_done;             /* it ran here */
    struct chat_row row;
    struct chat_turn_row turn;
    struct chat_batch batch;
    bool found, is_elsewhere, begins;
    struct chat_turn_load next;
};

static int read_stop(struct kit_request *request, const json_t *payload)
{
    struct stop *stop = KIT_REQUEST(stop, request);
    kit_copy_text(stop->ref_id, sizeof stop->ref_id, payload, "ref_id");
    return chat_read_about(request, payload);
}

/* A turn knows whose it is: the store need not be asked. */
static struct chat_turn *find_here(const struct kit_request *request, const char *ref_id)
{
    struct chat_turn *turn = chat_turn_find(request->state, request->about);
    const struct kit_claims *claims = request->claims;
    if (!turn || strcmp(turn->about.user, claims->sub) || strcmp(turn->about.tenant, claims->tenant)) return NULL;
    return !ref_id[0] || !strcmp(turn->row.ref_id, ref_id) ? turn : NULL;
}

static void start_stop(struct kit_request *request)
{
    struct stop *stop = KIT_REQUEST(stop, request);
    struct chat_turn *turn = find_here(request, stop->ref_id);
    if (!turn) {
        kit_request_submit(request);
        return;
    }
    stop->is_done = stop->found = true;
    snprintf(stop->turn.ref_id, sizeof stop->turn.ref_id, "%s", turn->row.ref_id);
    chat_turn_stop(turn);
    kit_request_finish(request);
}

/* The one of that message that has not ended, or the one that runs. */
static int find_stored(struct kit_db *db, struct stop *stop, struct kit_failure *failure)
{
    struct kit_rows rows;
    if (!stop->ref_id[0]) return chat_turn_find_open(db, stop->row.key, &stop->turn, &stop->found, failure);
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT id FROM chat_turns WHERE chat=? AND ref_id=? AND state<>'ended' ORDER BY"
                                      " attempt DESC LIMIT 1",
                                      "it", stop->row.key, stop->ref_id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    stop->found = step == KIT_ROW;
    int64_t id = stop->found ? kit_rows_int(&rows, 0) : 0;
    kit_rows_end(&rows);
    return stop->found ? chat_turn_read_row(db, id, &stop->turn, failure) : 0;
}

static int close_turn(struct kit_db *db, struct stop *stop, struct kit_failure *failure)
{
    struct chat *chat = stop->request.state;
    struct chat_turn_end end = {.chat = chat,
                                .row = &stop->row,
                                .turn = &stop->turn,
                                .batch = &stop->batch,
                                .now_ms = stop->request.now_ms,
                                .is_stopped = true};
    int code = chat_turn_close(db, &end, failure);
    if (!code) code = chat_batch_write(db, stop->row.key, &stop->batch, failure);
    stop->begins = !code && end.next;
    return stop->begins ? chat_turn_load(db, chat->config, end.next, &stop->next, failure) : code;
}

static int run_stop(struct kit_db *db, struct kit_request *request)
{
    struct stop *stop = KIT_REQUEST(stop, request);
    struct kit_failure *failure = &request->op.failure;
    chat_batch_clear(&stop->batch);
    chat_batch_init(&stop->batch, request->about);
    chat_turn_load_clear(&stop->next);
    stop->found = stop->is_elsewhere = stop->begins = false;
    int code = chat_find(db, request->claims, request->about, CHAT_OWN, &stop->row, failure);
    if (!code) code = find_stored(db, stop, failure);
    if (code || !stop->found) return code;
    stop->is_elsewhere = !strcmp(stop->turn.state, "running");
    return stop->is_elsewhere ? 0 : close_turn(db, stop, failure);
}

static void reply_stop(struct kit_request *request)
{
    struct stop *stop = KIT_REQUEST(stop, request);
    struct chat *chat = request->state;
    struct chat_turn *turn = stop->is_elsewhere ? chat_turn_find(chat, request->about) : NULL;
    sio_builder_put(&request->json, stop->found ? ",\"stopped\":true,\"ref_id\":" : ",\"stopped\":false");
    if (stop->found) kit_put_text(&request->json, stop->turn.ref_id);
    chat_batch_send(chat, &stop->batch);
    if (turn && turn->row.id == stop->turn.id)
        chat_turn_stop(turn);
    else if (stop->is_elsewhere)
        chat_nodes_stop(chat, request->about, stop->turn.id);
    if (stop->begins) chat_turn_begin(chat, &stop->next, request->claims);
}

static void clear_stop(struct kit_request *request)
{
    struct stop *stop = KIT_REQUEST(stop, request);
    chat_batch_clear(&stop->batch);
    chat_turn_load_clear(&stop->next);
}

int chat_stop_start(struct chat *chat)
{
    static const struct kit_event events[] = {
        {.name = "signal.stop",
         .size = sizeof(struct stop),
         .way = KIT_WRITE,
         .read = read_stop,
         .start = start_stop,
         .run = run_stop,
         .reply = reply_stop,
         .clear = clear_stop,
         .roles = CHAT_ROLES,
         .admits_guests = true,
         .method = EIO_HTTP_POST,
         .path = CHATS_PATH "/{chat_id}/stop"},
    };
    return chat_open_events(chat, events, sizeof events / sizeof events[0]);
}
