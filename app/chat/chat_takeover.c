/* chat.takeover: a supervisor answers in place of the assistant. What the user says is held meanwhile; what the
 * supervisor says ends all that is held. When the chat is handed back, the assistant answers what is still held. */
#include "chat_nodes.h"
#include "chat_turn.h"

#include <stdlib.h>
#include <string.h>

struct takeover {
    struct kit_request request;
    bool releases;
    struct chat_row row;
    struct chat_turn_row turn; /* that runs elsewhere and has to stop */
    bool is_elsewhere, begins;
    struct chat_batch batch;
    struct chat_turn_load next;
};

static int read_takeover(struct kit_request *request, const json_t *payload)
{
    KIT_REQUEST(takeover, request)->releases = json_is_true(json_object_get(payload, "release"));
    return chat_read_about(request, payload);
}

static int check_right(const struct takeover *takeover, struct kit_failure *failure)
{
    const struct kit_claims *claims = takeover->request.claims;
    const char *by = takeover->row.taken_by;
    if (!kit_claims_allow_chat(claims, takeover->row.chat_id))
        return kit_fail(failure, 403, NULL, "this token may not take over chats");
    if (by[0] && strcmp(by, claims->sub))
        return kit_fail(failure, 409, NULL, "another supervisor answers in this chat");
    return 0;
}

/* What runs ends, as if the user had stopped it. */
static int stop_turn(struct kit_db *db, struct takeover *takeover, struct kit_failure *failure)
{
    bool found;
    int code = chat_turn_find_open(db, takeover->row.key, &takeover->turn, &found, failure);
    if (code || !found) return code;
    takeover->is_elsewhere = !strcmp(takeover->turn.state, "running");
    struct chat_turn_end end = {.chat = takeover->request.state,
                                .row = &takeover->row,
                                .turn = &takeover->turn,
                                .batch = &takeover->batch,
                                .now_ms = takeover->request.now_ms,
                                .is_stopped = true};
    return takeover->is_elsewhere ? 0 : chat_turn_close(db, &end, failure);
}

static int store_takeover(struct kit_db *db, struct takeover *takeover, struct kit_failure *failure)
{
    const char *sub = takeover->request.claims->sub;
    if (kit_db_run(db, "UPDATE chats SET taken_by=?, updated_ms=? WHERE id=?", "tii", takeover->releases ? "" : sub,
                   takeover->request.now_ms, takeover->row.key))
        return kit_db_fail(db, failure);
    /* Queued or held: it is the new one who answers these. */
    if (kit_db_run(db, "UPDATE chat_turns SET state=? WHERE chat=? AND state=?", "tit",
                   takeover->releases ? "queued" : "held", takeover->row.key, takeover->releases ? "held" : "queued"))
        return kit_db_fail(db, failure);
    chat_batch_set_ref(&takeover->batch, "", 0);
    chat_batch_add(&takeover->batch, "chat.takeover",
                   json_pack("{s:s, s:b}", "by", sub, "release", takeover->releases));
    return chat_batch_write(db, takeover->row.key, &takeover->batch, failure);
}

static int begin_held(struct kit_db *db, struct takeover *takeover, struct kit_failure *failure)
{
    struct chat *chat = takeover->request.state;
    int64_t next;
    if (!takeover->releases) return 0;
    int code = chat_turn_next(db, chat, takeover->row.key, &next, failure);
    takeover->begins = !code && next;
    return takeover->begins ? chat_turn_load(db, chat->config, next, &takeover->next, failure) : code;
}

static int run_takeover(struct kit_db *db, struct kit_request *request)
{
    struct takeover *takeover = KIT_REQUEST(takeover, request);
    struct kit_failure *failure = &request->op.failure;
    chat_batch_clear(&takeover->batch);
    chat_batch_init(&takeover->batch, request->about);
    chat_turn_load_clear(&takeover->next);
    takeover->is_elsewhere = takeover->begins = false;
    int code = chat_find(db, request->claims, request->about, CHAT_WATCH, &takeover->row, failure);
    if (!code) code = check_right(takeover, failure);
    if (code || (takeover->releases && !takeover->row.taken_by[0])) return code;
    if (!takeover->releases && takeover->row.taken_by[0]) return 0;
    if (!takeover->releases) code = stop_turn(db, takeover, failure);
    if (!code) code = store_takeover(db, takeover, failure);
    return code ? code : begin_held(db, takeover, failure);
}

static void reply_takeover(struct kit_request *request)
{
    struct takeover *takeover = KIT_REQUEST(takeover, request);
    struct chat *chat = request->state;
    struct chat_turn *turn = takeover->is_elsewhere ? chat_turn_find(chat, request->about) : NULL;
    chat_batch_send(chat, &takeover->batch);
    if (turn && turn->row.id == takeover->turn.id)
        chat_turn_stop(turn);
    else if (takeover->is_elsewhere)
        chat_nodes_stop(chat, request->about, takeover->turn.id);
    if (takeover->begins) chat_turn_begin(chat, &takeover->next, NULL);
}

static void clear_takeover(struct kit_request *request)
{
    struct takeover *takeover = KIT_REQUEST(takeover, request);
    chat_batch_clear(&takeover->batch);
    chat_turn_load_clear(&takeover->next);
}

/* ------------------------------------------------------------------- answers */

struct held {
    int64_t ids[64];
    size_t count;
};

static int read_held(struct kit_db *db, int64_t chat_key, struct held *held, struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT id FROM chat_turns WHERE chat=? AND state='held' ORDER BY id LIMIT 64", "i", chat_key);
    for (held->count = 0; step == KIT_ROW; step = kit_rows_next(&rows))
        held->ids[held->count++] = kit_rows_int(&rows, 0);
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

/* The message in the log and in the history: those of the conversation that it answers have theirs there, too. */
static int add_said(struct kit_db *db, struct kit_request *request, const struct chat_row *row, const char *id,
                    const char *content, struct chat_batch *batch)
{
    struct kit_failure *failure = &request->op.failure;
    char at[25];
    kit_time_text((uint64_t)request->now_ms, at);
    chat_batch_add(batch, "chat.message",
                   json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", id, "content", content, "from", request->claims->sub,
                             "by", request->claims->sub, "timestamp", at));
    if (kit_db_run(db, "UPDATE chats SET updated_ms=? WHERE id=?", "ii", request->now_ms, row->key))
        return kit_db_fail(db, failure);
    return 0;
}

/* The answer to one that was held; those before the last one are answered by it, too. */
static int answer_held(struct kit_db *db, struct kit_request *request, const struct chat_row *row,
                       const struct chat_turn_row *turn, const char *content, struct chat_batch *batch)
{
    struct kit_failure *failure = &request->op.failure;
    json_t *messages = NULL;
    struct kit_rows rows;
    if (kit_db_query(db, &rows, "SELECT content FROM chat_turns WHERE id=?", "i", turn->id) != KIT_ROW)
        return kit_db_fail(db, failure);
    messages = json_pack("[{s:s, s:s}]", "role", "user", "content", kit_rows_text(&rows, 0));
    kit_rows_end(&rows);
    if (*content) json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "assistant", "content", content));
    struct chat_turn_end end = {.chat = request->state,
                                .row = row,
                                .turn = turn,
                                .batch = batch,
                                .now_ms = request->now_ms,
                                .is_complete = *content != 0,
                                .by = request->claims->sub,
                                .text = content,
                                .messages = messages};
    int code = chat_turn_close(db, &end, failure);
    json_decref(messages);
    return code;
}

/* Without a message that waits for it, it stands for itself. */
static int add_alone(struct kit_db *db, struct kit_request *request, const struct chat_row *row, const char *id,
                     const char *content)
{
    struct kit_failure *failure = &request->op.failure;
    struct chat_turn_row turn = {.attempt = 1};
    json_t *data = json_pack("{s:s}", "by", request->claims->sub);
    struct chat_history_row said = {"ai", content, data};
    snprintf(turn.ref_id, sizeof turn.ref_id, "%s", id);
    memcpy(turn.session_id, row->session_id, sizeof turn.session_id);
    memcpy(turn.intent_id, row->intent_id, sizeof turn.intent_id);
    int code = chat_history_add(db, row, &turn, &said, request->now_ms, failure);
    json_decref(data);
    return code;
}

static int is_repeat(struct kit_db *db, int64_t chat_key, const char *id, bool *repeat, struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT chat FROM chat_said WHERE chat=? AND message_id=?", "it", chat_key, id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    *repeat = step == KIT_ROW;
    kit_rows_end(&rows);
    if (*repeat) return 0;
    if (kit_db_run(db, "INSERT INTO chat_said(chat, message_id) VALUES (?, ?)", "it", chat_key, id))
        return kit_db_fail(db, failure);
    return 0;
}

int chat_takeover_answer(struct kit_db *db, struct kit_request *request, const struct chat_row *row, const char *id,
                         const char *content, struct chat_batch *batch)
{
    struct kit_failure *failure = &request->op.failure;
    struct held held;
    bool repeat = false;
    if (strcmp(row->taken_by, request->claims->sub))
        return kit_fail(failure, 403, "/chat_id", "you may only watch this chat; chat.takeover first");
    int code = is_repeat(db, row->key, id, &repeat, failure);
    if (code || repeat) return code;
    code = read_held(db, row->key, &held, failure);
    if (!code) code = add_said(db, request, row, id, content, batch);
    for (size_t i = 0; i < held.count && !code; i++) {
        struct chat_turn_row turn;
        code = chat_turn_read_row(db, held.ids[i], &turn, failure);
        if (!code) code = answer_held(db, request, row, &turn, i + 1 == held.count ? content : "", batch);
    }
    if (!code && !held.count) code = add_alone(db, request, row, id, content);
    return code ? code : chat_batch_write(db, row->key, batch, failure);
}

int chat_takeover_start(struct chat *chat)
{
    static const struct kit_event events[] = {
        {.name = "chat.takeover",
         .size = sizeof(struct takeover),
         .way = KIT_WRITE,
         .roles = KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN,
         .read = read_takeover,
         .run = run_takeover,
         .reply = reply_takeover,
         .clear = clear_takeover},
    };
    return chat_open_events(chat, events, sizeof events / sizeof events[0]);
}
