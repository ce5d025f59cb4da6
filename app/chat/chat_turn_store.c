/* Turns in the store (chat_turn_store.h). */
#include "chat_turn_store.h"

#include "chat_pending.h"
#include "chat_turn.h"

#include <stdlib.h>
#include <string.h>

int64_t chat_lease_until(const struct chat_config *config)
{
    return kit_unix_ms() + config->turn_lease_ms;
}

/* -------------------------------------------------------------------- rows */

static void copy_column(char *out, size_t size, const struct kit_rows *rows, int column)
{
    const char *text = kit_rows_text(rows, column);
    snprintf(out, size, "%s", text ? text : "");
}

static void take_row(const struct kit_rows *rows, struct chat_turn_row *turn)
{
    *turn = (struct chat_turn_row){.id = kit_rows_int(rows, 0),
                                   .chat_key = kit_rows_int(rows, 1),
                                   .attempt = kit_rows_int(rows, 3),
                                   .first_seq = kit_rows_int(rows, 6),
                                   .started_ms = kit_rows_int(rows, 10),
                                   .history = kit_rows_int(rows, 11)};
    copy_column(turn->ref_id, sizeof turn->ref_id, rows, 2);
    copy_column(turn->state, sizeof turn->state, rows, 4);
    copy_column(turn->owner, sizeof turn->owner, rows, 5);
    copy_column(turn->session_id, sizeof turn->session_id, rows, 7);
    copy_column(turn->intent_id, sizeof turn->intent_id, rows, 8);
    copy_column(turn->connection_id, sizeof turn->connection_id, rows, 9);
}

int chat_turn_find_open(struct kit_db *db, int64_t chat_key, struct chat_turn_row *turn, bool *found,
                        struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT id FROM chat_turns WHERE chat=? AND state IN ('running', 'waiting') ORDER BY id LIMIT 1",
        "i", chat_key);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    *found = step == KIT_ROW;
    int64_t id = *found ? kit_rows_int(&rows, 0) : 0;
    kit_rows_end(&rows);
    return *found ? chat_turn_read_row(db, id, turn, failure) : 0;
}

int chat_turn_read_row(struct kit_db *db, int64_t id, struct chat_turn_row *turn, struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT id, chat, ref_id, attempt, state, owner, first_seq, session_id,"
                                      " intent_id, connection_id, started_ms, history FROM chat_turns WHERE id=?",
                                      "i", id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, NULL, "turn not found");
    take_row(&rows, turn);
    kit_rows_end(&rows);
    return 0;
}

/* -------------------------------------------------------------------- load */

static json_t *parse_column(const struct kit_rows *rows, int column)
{
    struct eio_str text = kit_rows_bytes(rows, column);
    return text.n ? json_loadb(text.p, text.n, 0, NULL) : NULL;
}

/* What was said in earlier turns, the latest first, as much as the limits allow; then in its order. */
static int load_context(struct kit_db *db, const struct chat_config *config, struct chat_turn_load *load,
                        struct kit_failure *failure)
{
    struct kit_rows rows;
    size_t bytes = 0;
    json_t *turns = json_array();
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT messages FROM chat_turns WHERE chat=? AND id<? AND state='ended' AND"
                                      " is_replaced=0 ORDER BY id DESC LIMIT ?",
                                      "iii", load->chat.key, load->row.id, (int64_t)config->context_turns_max);
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        bytes += kit_rows_bytes(&rows, 0).n;
        if (bytes > config->context_bytes_max) break;
        json_array_append_new(turns, parse_column(&rows, 0));
    }
    if (step == KIT_ROW) kit_rows_end(&rows);
    load->context = json_array();
    for (size_t i = json_array_size(turns); i > 0; i--) json_array_extend(load->context, json_array_get(turns, i - 1));
    json_decref(turns);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    return load->context ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

static int load_answers(struct kit_db *db, struct chat_turn_load *load, struct kit_failure *failure)
{
    struct kit_rows rows;
    load->answers = json_object();
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT elicitation_id, state, answer FROM chat_elicitations WHERE turn=? AND state<>'open'", "i",
        load->row.id);
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        json_t *answer = json_pack("{s:s}", "action", kit_rows_text(&rows, 1));
        json_t *content = parse_column(&rows, 2);
        if (content) json_object_set_new(answer, "content", content);
        json_object_set_new(load->answers, kit_rows_text(&rows, 0), answer);
    }
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

static int load_texts(struct kit_db *db, struct chat_turn_load *load, struct kit_failure *failure)
{
    struct kit_rows rows;
    if (kit_db_query(db, &rows, "SELECT content, text, messages, pending FROM chat_turns WHERE id=?", "i",
                     load->row.id) != KIT_ROW)
        return kit_db_fail(db, failure);
    load->content = strdup(kit_rows_text(&rows, 0));
    load->text = strdup(kit_rows_text(&rows, 1));
    load->messages = parse_column(&rows, 2);
    load->pending = parse_column(&rows, 3);
    kit_rows_end(&rows);
    if (load->content && load->text && load->messages) return 0;
    return kit_fail(failure, 503, NULL, "out of memory");
}

static int count_questions(struct kit_db *db, struct chat_turn_load *load, struct kit_failure *failure)
{
    struct kit_rows rows;
    if (kit_db_query(
            db, &rows,
            "SELECT count(*) FROM chats c CROSS JOIN chat_elicitations e WHERE e.chat = c.id AND c.tenant=? AND"
            " c.user_id=? AND e.state='open'",
            "tt", load->chat.tenant, load->chat.user) != KIT_ROW)
        return kit_db_fail(db, failure);
    load->questions = kit_rows_int(&rows, 0);
    kit_rows_end(&rows);
    return 0;
}

int chat_turn_load(struct kit_db *db, const struct chat_config *config, int64_t id, struct chat_turn_load *load,
                   struct kit_failure *failure)
{
    int code = chat_turn_read_row(db, id, &load->row, failure);
    if (!code) code = chat_read_row(db, load->row.chat_key, &load->chat, failure);
    if (!code) code = load_texts(db, load, failure);
    if (!code) code = load_context(db, config, load, failure);
    if (!code) code = count_questions(db, load, failure);
    return code ? code : load_answers(db, load, failure);
}

void chat_turn_load_clear(struct chat_turn_load *load)
{
    free(load->content);
    free(load->text);
    json_decref(load->context);
    json_decref(load->messages);
    json_decref(load->pending);
    json_decref(load->answers);
    memset(load, 0, sizeof *load);
}

/* ----------------------------------------------------------------- history */

int chat_history_add(struct kit_db *db, const struct chat_row *chat, const struct chat_turn_row *turn,
                     const struct chat_history_row *message, int64_t now_ms, struct kit_failure *failure)
{
    char *data = message->data ? json_dumps(message->data, JSON_COMPACT) : NULL;
    int failed =
        kit_db_run(db,
                   "INSERT INTO chat_history(user_id, user_chat_id, socket_connection_id, session_id,"
                   " user_intent_id, message_type, content, timestamp, chat, ref_id, attempt, data)"
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   "tttttttiitit", chat->user, chat->chat_id, turn->connection_id, turn->session_id, turn->intent_id,
                   message->type, message->content, now_ms, chat->key, turn->ref_id, turn->attempt, data ? data : "");
    free(data);
    return failed ? kit_db_fail(db, failure) : 0;
}

int chat_intent_enter(struct kit_db *db, struct chat_row *chat, struct chat_turn_row *turn, struct kit_failure *failure)
{
    if (!chat->session_id[0]) chat_make_id(chat->session_id, "session_");
    if (!chat->intent_id[0]) chat_make_id(chat->intent_id, "intent_");
    snprintf(chat->intent_state, sizeof chat->intent_state, "active");
    memcpy(turn->session_id, chat->session_id, sizeof turn->session_id);
    memcpy(turn->intent_id, chat->intent_id, sizeof turn->intent_id);
    if (kit_db_run(db, "UPDATE chats SET session_id=?, intent_id=?, intent_state='active' WHERE id=?", "tti",
                   chat->session_id, chat->intent_id, chat->key) ||
        kit_db_run(db, "UPDATE chat_turns SET session_id=?, intent_id=? WHERE id=?", "tti", turn->session_id,
                   turn->intent_id, turn->id) ||
        kit_db_run(db, "UPDATE chat_history SET session_id=?, user_intent_id=? WHERE id=?", "tti", turn->session_id,
                   turn->intent_id, turn->history))
        return kit_db_fail(db, failure);
    return 0;
}

/* --------------------------------------------------------------------- end */

static int close_questions(struct kit_db *db, struct chat_turn_end *end, struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step =
        kit_db_query(db, &rows,
                     "UPDATE chat_elicitations SET state='cancel' WHERE turn=? AND state='open' RETURNING"
                     " elicitation_id",
                     "i", end->turn->id);
    for (; step == KIT_ROW; step = kit_rows_next(&rows))
        chat_batch_add(end->batch, "elicitation.end",
                       json_pack("{s:s, s:s}", "id", kit_rows_text(&rows, 0), "action", "cancel"));
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

static int withdraw_question(struct kit_db *db, const char *id, struct chat_batch *batch, struct kit_failure *failure)
{
    int64_t changed = kit_db_change(
        db, "UPDATE chat_elicitations SET state='cancel' WHERE elicitation_id=? AND state='open'", "t", id);
    if (changed < 0) return kit_db_fail(db, failure);
    if (changed) chat_batch_add(batch, "elicitation.end", json_pack("{s:s, s:s}", "id", id, "action", "cancel"));
    return 0;
}

int chat_questions_withdraw(struct kit_db *db, const json_t *pending, struct chat_batch *batch,
                            struct kit_failure *failure)
{
    size_t i, k;
    json_t *call, *question;
    json_array_foreach(json_object_get(pending, "calls"), i, call)
    {
        if (json_integer_value(json_object_get(call, "stage")) != CHAT_CALL_RUNS) continue;
        json_array_foreach(json_object_get(call, "questions"), k, question)
        {
            int code = withdraw_question(db, json_string_value(json_object_get(question, "id")), batch, failure);
            if (code) return code;
        }
    }
    return 0;
}

/* What the conversation keeps of a turn that ended in the middle: whole steps, and what was said after them. */
static json_t *complete_messages(const struct chat_turn_load *load, const char *text)
{
    json_t *messages = json_deep_copy(load->messages);
    size_t said = strlen(load->text);
    if (messages) chat_pending_complete(messages, load->pending);
    if (messages && strlen(text) > said)
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "assistant", "content", text + said));
    return messages;
}

static int store_messages(struct kit_db *db, const struct chat_turn_end *end, const char *text,
                          struct kit_failure *failure)
{
    struct chat_turn_load load = {.row = *end->turn};
    json_t *own = NULL;
    int code = end->messages ? 0 : load_texts(db, &load, failure);
    if (!code && !end->messages) own = complete_messages(&load, text);
    char *messages = code ? NULL : json_dumps(end->messages ? end->messages : own, JSON_COMPACT);
    if (!code && !messages) code = kit_fail(failure, 503, NULL, "out of memory");
    if (!code &&
        kit_db_run(db, "UPDATE chat_turns SET state='ended', owner='', pending='', messages=?, text='' WHERE id=?",
                   "ti", messages, end->turn->id))
        code = kit_db_fail(db, failure);
    free(messages);
    json_decref(own);
    chat_turn_load_clear(&load);
    return code;
}

static void put_member(struct sio_builder *json, const char *name, const char *text)
{
    sio_builder_put(json, json->size > 1 ? "," : "");
    kit_put_text(json, name);
    sio_builder_put(json, ":");
    sio_builder_put_text(json, text, strlen(text));
}

/* Written by hand, since a tree of a long text costs as much as all that was done to stream it. */
static void put_last(struct sio_builder *json, const struct chat_turn_end *end, const char *text)
{
    char *usage = end->usage ? json_dumps(end->usage, JSON_COMPACT) : NULL;
    sio_builder_put(json, "{");
    if (end->code) {
        sio_builder_put(json, "\"code\":");
        kit_put_int(json, end->code);
        put_member(json, "message", end->message);
    }
    put_member(json, "final_text", text);
    if (!end->code) sio_builder_put(json, end->is_complete ? ",\"is_complete\":true" : ",\"is_complete\":false");
    if (end->is_stopped) sio_builder_put(json, ",\"stopped\":true");
    if (end->by) put_member(json, "by", end->by);
    if (usage) sio_builder_put(json, ",\"usage\":");
    if (usage) sio_builder_put(json, usage);
    free(usage);
}

/* The last entry; also kept with the turn, for who asks with the same id again. */
static int add_last(struct kit_db *db, const struct chat_turn_end *end, const char *text, struct kit_failure *failure)
{
    struct sio_builder json;
    sio_builder_init(&json);
    sio_builder_open(&json);
    put_last(&json, end, text);
    size_t fields = json.size;
    sio_builder_put(&json, "}");
    int code = json.error ? kit_fail(failure, 503, NULL, "out of memory") : 0;
    if (!code && kit_db_run(db, "UPDATE chat_turns SET final=? WHERE id=?", "bi", json.json, json.size, end->turn->id))
        code = kit_db_fail(db, failure);
    if (!code)
        chat_batch_add_fields(end->batch, end->code ? "error" : "chat.done", (struct eio_str){json.json, fields});
    sio_builder_clear(&json);
    return code;
}

static int add_history(struct kit_db *db, const struct chat_turn_end *end, const char *text,
                       struct kit_failure *failure)
{
    json_t *data = json_pack("{s:b, s:s?}", "stopped", end->is_stopped, "by", end->by);
    if (end->usage) json_object_set(data, "usage", (json_t *)(uintptr_t)end->usage);
    struct chat_history_row said = {"ai", text, data}, error = {"error", end->message, NULL};
    int code = 0;
    if (*text || !end->code) code = chat_history_add(db, end->row, end->turn, &said, end->now_ms, failure);
    if (!code && end->code) code = chat_history_add(db, end->row, end->turn, &error, end->now_ms, failure);
    json_decref(data);
    return code;
}

/* Nothing of the intent is open any more: what comes next is another, in a session of its own. */
static int complete_intent(struct kit_db *db, const struct chat_turn_end *end, struct kit_failure *failure)
{
    char session_id[KIT_ID_SIZE];
    if (!end->is_complete) return 0;
    chat_make_id(session_id, "session_");
    if (kit_db_run(db, "UPDATE chat_history SET is_complete=1 WHERE chat=? AND user_intent_id=?", "it", end->row->key,
                   end->turn->intent_id) ||
        kit_db_run(db,
                   "UPDATE chats SET intent_id='', intent_state='', session_id=? WHERE id=? AND intent_id=? AND"
                   " session_id<>''",
                   "tit", session_id, end->row->key, end->turn->intent_id) ||
        kit_db_run(db, "UPDATE chats SET intent_id='', intent_state='' WHERE id=? AND intent_id=?", "it", end->row->key,
                   end->turn->intent_id))
        return kit_db_fail(db, failure);
    return 0;
}

int chat_turn_next(struct kit_db *db, struct chat *chat, int64_t chat_key, int64_t *next, struct kit_failure *failure)
{
    struct chat_turn_row turn;
    struct chat_row row;
    struct kit_rows rows;
    *next = 0;
    if (atomic_load(&chat->is_stopping)) return 0;
    enum kit_step step = kit_db_query(
        db, &rows,
        "SELECT id FROM chat_turns WHERE chat=?1 AND state='queued' AND NOT EXISTS (SELECT 1 FROM chat_turns WHERE"
        " chat=?1 AND state IN ('running', 'waiting')) ORDER BY id LIMIT 1",
        "i", chat_key);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_ROW) *next = kit_rows_int(&rows, 0);
    kit_rows_end(&rows);
    if (!*next) return 0;
    int code = chat_read_row(db, chat_key, &row, failure);
    if (!code) code = chat_turn_read_row(db, *next, &turn, failure);
    if (!code) code = chat_intent_enter(db, &row, &turn, failure);
    if (!code && kit_db_run(db, "UPDATE chat_turns SET state='running', owner=?, lease_ms=?, first_seq=? WHERE id=?",
                            "tiii", chat->owner, chat_lease_until(chat->config), row.seq, *next))
        code = kit_db_fail(db, failure);
    return code;
}

int chat_turn_close(struct kit_db *db, struct chat_turn_end *end, struct kit_failure *failure)
{
    char *read = NULL;
    int code = end->text ? 0 : chat_turn_read_text(db, end->row->key, end->turn, &read, failure);
    const char *text = end->text ? end->text : read;
    chat_batch_set_ref(end->batch, end->turn->ref_id, end->turn->attempt);
    if (!code) code = close_questions(db, end, failure);
    if (!code) code = store_messages(db, end, text, failure);
    if (!code) code = add_last(db, end, text, failure);
    if (!code) code = add_history(db, end, text, failure);
    if (!code) code = complete_intent(db, end, failure);
    if (!code) code = chat_turn_next(db, end->chat, end->row->key, &end->next, failure);
    free(read);
    return code;
}
