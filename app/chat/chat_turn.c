/* A turn from its beginning to its end, and the one place that writes it (chat_turn.h). */
#include "chat_turn.h"

#include "chat_pending.h"
#include "chat_room.h"
#include "chat_say.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_STEP_MS 5 /* pieces of many turns are written together */
#define RETRY_MS 200    /* a write that the store did not take */

/* One write of a turn. */
struct chat_turn_write {
    struct kit_store_op op;
    struct chat *chat;
    struct chat_turn *turn; /* NULL: it was dropped */
    struct kit_user *user;
    struct chat_row about;
    struct chat_turn_row row;
    struct chat_run run; /* what was said before */
    struct chat_batch batch;
    json_t *history, *questions, *waits_for;
    char *messages, *pending, *text; /* of a checkpoint; NULL: it is not one */
    size_t text_whole;
    bool waits, ends, is_stopped, is_complete;
    int code;
    char message[160];
    json_t *usage, *conversation; /* of an end */
    char *all_text;
    int64_t now_ms;

    /* What run found out. */
    bool is_answered;           /* it wanted to wait, and an answer was there already */
    struct chat_turn_load next; /* a turn that begins now; or, if it is answered, this one again */
    bool has_next;
};

/* ----------------------------------------------------------------- writing */

static void free_write(struct chat_turn_write *write)
{
    chat_run_clear(&write->run);
    chat_batch_clear(&write->batch);
    chat_turn_load_clear(&write->next);
    json_decref(write->history);
    json_decref(write->questions);
    json_decref(write->waits_for);
    json_decref(write->usage);
    json_decref(write->conversation);
    kit_user_unref(write->user);
    free(write->messages);
    free(write->pending);
    free(write->text);
    free(write->all_text);
    free(write);
}

/* The turn may have been ended meanwhile, by a stop elsewhere or because this process was believed dead; or its chat
 * was deleted, and the numbers of both are others' on SQLite. */
static int check_own(struct kit_db *db, const struct chat_turn_write *write, struct kit_failure *failure)
{
    struct kit_rows row;
    enum kit_step step = kit_db_query(db, &row,
                                      "SELECT t.id FROM chat_turns t CROSS JOIN chats c WHERE t.id=? AND"
                                      " t.state='running' AND t.owner=? AND c.id = t.chat AND c.chat_id=?",
                                      "itt", write->row.id, write->chat->owner, write->about.chat_id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    kit_rows_end(&row);
    return step == KIT_ROW ? 0 : kit_fail(failure, 409, NULL, "the turn is over");
}

static int store_run(struct kit_db *db, const struct chat_turn_write *write, struct kit_failure *failure)
{
    const struct chat_piece_line last = {.chat_key = write->about.key,
                                         .seq = write->run.seq,
                                         .attempt = write->row.attempt,
                                         .ref_id = eio_str(write->row.ref_id)};
    return chat_run_store(db, write->chat->owner, &last, &write->run, false, failure);
}

static int store_history(struct kit_db *db, const struct chat_turn_write *write, struct kit_failure *failure)
{
    size_t i;
    json_t *message;
    json_array_foreach(write->history, i, message)
    {
        struct chat_history_row row = {json_string_value(json_object_get(message, "type")),
                                       json_string_value(json_object_get(message, "content")),
                                       json_object_get(message, "data")};
        int code = chat_history_add(db, &write->about, &write->row, &row, write->now_ms, failure);
        if (code) return code;
    }
    return 0;
}

static int store_question(struct kit_db *db, const struct chat_turn_write *write, const json_t *question,
                          struct kit_failure *failure)
{
    char *text = json_dumps(json_object_get(question, "question"), JSON_COMPACT);
    const char *id = json_string_value(json_object_get(question, "id"));
    const char *call_id = json_string_value(json_object_get(question, "call_id"));
    int64_t expires_ms = json_integer_value(json_object_get(question, "expires_ms"));
    int failed = text ? kit_db_run(db,
                                   "INSERT INTO chat_elicitations(elicitation_id, chat, turn, call_id, state, question,"
                                   " expires_ms) VALUES (?, ?, ?, ?, 'open', ?, nullif(?, 0))",
                                   "tiitti", id, write->about.key, write->row.id, call_id, text, expires_ms)
                      : 0;
    free(text);
    return failed ? kit_db_fail(db, failure) : 0;
}

static int store_questions(struct kit_db *db, const struct chat_turn_write *write, struct kit_failure *failure)
{
    size_t i;
    int code = 0;
    for (i = 0; i < json_array_size(write->questions) && !code; i++)
        code = store_question(db, write, json_array_get(write->questions, i), failure);
    return code;
}

static int store_checkpoint(struct kit_db *db, const struct chat_turn_write *write, struct kit_failure *failure)
{
    if (!write->messages) return 0;
    if (kit_db_run(db, "UPDATE chat_turns SET messages=?, pending=?, text=? WHERE id=?", "ttti", write->messages,
                   write->pending, write->text, write->row.id))
        return kit_db_fail(db, failure);
    return 0;
}

/* It waits without an owner, unless an answer came meanwhile: then it goes on here. */
static int store_wait(struct kit_db *db, struct chat_turn_write *write, struct kit_failure *failure)
{
    struct kit_rows row;
    size_t count = json_array_size(write->waits_for);
    if (!write->waits) return 0;
    for (size_t i = 0; i < count && !write->is_answered; i++) {
        const char *id = json_string_value(json_array_get(write->waits_for, i));
        enum kit_step step = kit_db_query(
            db, &row, "SELECT id FROM chat_elicitations WHERE elicitation_id=? AND state<>'open'", "t", id);
        if (step == KIT_FAILED) return kit_db_fail(db, failure);
        write->is_answered = step == KIT_ROW;
        kit_rows_end(&row);
    }
    if (write->is_answered) return chat_turn_load(db, write->chat->config, write->row.id, &write->next, failure);
    if (kit_db_run(db, "UPDATE chat_turns SET state='waiting', owner='' WHERE id=?", "i", write->row.id))
        return kit_db_fail(db, failure);
    return 0;
}

static int store_end(struct kit_db *db, struct chat_turn_write *write, struct kit_failure *failure)
{
    struct chat_turn_end end = {.chat = write->chat,
                                .row = &write->about,
                                .turn = &write->row,
                                .batch = &write->batch,
                                .now_ms = write->now_ms,
                                .code = write->code,
                                .message = write->message,
                                .is_stopped = write->is_stopped,
                                .is_complete = write->is_complete,
                                .text = write->all_text,
                                .messages = write->conversation,
                                .usage = write->usage};
    if (!write->ends) return 0;
    int code = chat_turn_close(db, &end, failure);
    if (code || !end.next) return code;
    write->has_next = true;
    return chat_turn_load(db, write->chat->config, end.next, &write->next, failure);
}

static int run_write(struct kit_db *db, struct kit_store_op *op)
{
    struct chat_turn_write *write = KIT_OWNER(op, struct chat_turn_write, op);
    struct kit_failure *failure = &op->failure;
    chat_batch_rewind(&write->batch);
    chat_turn_load_clear(&write->next);
    write->has_next = write->is_answered = false;
    int code = check_own(db, write, failure);
    if (!code) code = store_run(db, write, failure);
    if (!code) code = store_history(db, write, failure);
    if (!code) code = store_questions(db, write, failure);
    if (!code) code = store_checkpoint(db, write, failure);
    if (!code) code = store_wait(db, write, failure);
    if (!code) code = store_end(db, write, failure);
    return code ? code : chat_batch_write(db, write->about.key, &write->batch, failure);
}

/* -------------------------------------------------------------- after that */

static void unlink_turn(struct chat_turn *turn)
{
    struct chat *chat = turn->chat;
    struct chat_turn *found;
    HASH_FIND_STR(chat->turns, turn->about.chat_id, found);
    if (found != turn) return;
    HASH_DEL(chat->turns, turn);
    chat->turns_running--;
}

static void free_turn(struct chat_turn *turn)
{
    unlink_turn(turn);
    chat_say_forget(turn);
    chat_run_clear(&turn->run);
    chat_model_cancel(turn);
    chat_calls_cancel(turn);
    eio_timer_stop(&turn->limit);
    eio_timer_stop(&turn->write_timer);
    sio_builder_clear(&turn->text);
    chat_batch_clear(&turn->out);
    json_decref(turn->context);
    json_decref(turn->messages);
    json_decref(turn->step_message);
    json_decref(turn->history);
    json_decref(turn->questions);
    json_decref(turn->sources);
    kit_user_unref(turn->user);
    if (turn->has_share) chat_share_return(turn->chat, turn->about.tenant, turn->about.user);
    free(turn->content);
    free(turn);
}

void chat_turn_drop(struct chat_turn *turn)
{
    if (turn->writing) turn->writing->turn = NULL;
    turn->writing = NULL;
    free_turn(turn);
}

bool chat_turn_is_leaving(const struct chat_turn *turn)
{
    return turn->writing && turn->writing->waits;
}

/* What it may do next. */
static void go_on(struct chat_turn *turn, struct chat_turn_write *write)
{
    turn->writing = NULL;
    turn->retried_ms = 0;
    if (write->batch.count) turn->about.seq = write->batch.last_seq;
    if (write->ends || (write->waits && !write->is_answered)) {
        free_turn(turn);
        return;
    }
    if (write->is_answered) {
        turn->waits = false;
        chat_calls_answers(turn, write->next.answers);
    }
    if (!turn->out.count && !turn->ends) chat_calls_logged(turn);
    chat_turn_write(turn);
}

static void take_back(struct chat_turn *turn, struct chat_turn_write *write);
static void wait_for_store(struct chat_turn *turn, const char *why);

static void on_written(struct kit_store_op *op)
{
    struct chat_turn_write *write = KIT_OWNER(op, struct chat_turn_write, op);
    struct chat_turn *turn = write->turn;
    struct chat *chat = write->chat;
    if (!op->failure.code) {
        chat_batch_send(chat, &write->batch);
        if (turn) go_on(turn, write);
        if (write->has_next) chat_turn_begin(chat, &write->next, NULL);
        free_write(write);
    } else if (turn && op->failure.code == 503) {
        take_back(turn, write); /* and frees it */
    } else {
        if (turn) {
            kit_log(op->failure.code == 409 ? EIO_LOG_INFO : EIO_LOG_ERROR, "a turn was ended from outside", "chat",
                    write->about.chat_id, "why", op->failure.message, NULL);
            write->turn = NULL;
            turn->writing = NULL;
            chat_turn_drop(turn);
        }
        free_write(write);
    }
}

/* ------------------------------------------------------- what is to be written */

static bool has_text(const struct chat_turn *turn)
{
    return turn->text.size > turn->text_out;
}

static void note_said(struct chat_turn *turn)
{
    uint64_t now = eio_loop_now_ms(turn->chat->kit->loop);
    turn->text_out = turn->text.size;
    turn->token_ms = now - now % PIECE_STEP_MS;
}

/* Moves what was said into the batch, in front of what is added next. */
static void add_said(struct chat_turn *turn)
{
    if (!has_text(turn)) return;
    struct eio_str text = {turn->text.json + turn->text_out, turn->text.size - turn->text_out};
    chat_batch_add_text(&turn->out, "chat.token", "content", text);
    note_said(turn);
}

void chat_turn_add(struct chat_turn *turn, const char *event, json_t *take_payload)
{
    add_said(turn);
    chat_batch_add(&turn->out, event, take_payload);
    chat_turn_write(turn);
}

void chat_turn_say(struct chat_turn *turn, struct eio_str text, bool is_gathered)
{
    sio_builder_put_slice(&turn->text, sio_args_none(), text);
    if (is_gathered) turn->token_ms = 0;
    chat_turn_write(turn);
}

void chat_turn_put_said(struct chat_turn *turn, struct sio_builder *fields)
{
    struct eio_str text = {turn->text.json + turn->text_out, turn->text.size - turn->text_out};
    chat_batch_put_said(&turn->out, fields, text);
    note_said(turn);
}

void chat_turn_remember(struct chat_turn *turn, const char *type, const char *content, json_t *take_data)
{
    if (!turn->history) turn->history = json_array();
    json_array_append_new(turn->history,
                          json_pack("{s:s, s:s, s:o*}", "type", type, "content", content, "data", take_data));
}

void chat_turn_think(struct chat_turn *turn, const char *step)
{
    chat_turn_remember(turn, "thinking", step, NULL);
    chat_turn_add(turn, "chat.thinking", json_pack("{s:s}", "step", step));
}

void chat_turn_debug(struct chat_turn *turn, const char *level, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    chat_send_aside(turn->chat, turn->about.chat_id, CHAT_WANT_DEBUG,
                    json_pack("{s:s, s:s, s:s, s:s, s:I}", "message", text, "level", level, "ref_id", turn->row.ref_id,
                              "chat_id", turn->about.chat_id, "seq", (json_int_t)turn->about.seq));
}

/* How long until text may be written again; 0: now. */
static uint64_t text_wait_ms(const struct chat_turn *turn)
{
    uint64_t interval = turn->chat->config->token_interval_ms, now = eio_loop_now_ms(turn->chat->kit->loop);
    return !turn->token_ms || now - turn->token_ms >= interval ? 0 : interval - (now - turn->token_ms);
}

static char *dump(const json_t *value)
{
    return value ? json_dumps(value, JSON_COMPACT) : strdup("");
}

static bool fill_checkpoint(struct chat_turn *turn, struct chat_turn_write *write)
{
    json_t *pending = chat_calls_pending(turn);
    write->messages = dump(turn->messages);
    write->pending = dump(pending);
    write->text = strndup(turn->text.json ? turn->text.json : "", turn->text_whole);
    json_decref(pending);
    return write->messages && write->pending && write->text;
}

/* The conversation as later turns see it: whole steps, what was said after them. */
static json_t *complete_conversation(struct chat_turn *turn)
{
    json_t *messages = json_copy(turn->messages), *pending = chat_calls_pending(turn);
    if (messages) chat_pending_complete(messages, pending);
    if (messages && !pending && turn->text.size > turn->text_whole)
        json_array_append_new(messages,
                              json_pack("{s:s, s:s%}", "role", "assistant", "content",
                                        turn->text.json + turn->text_whole, turn->text.size - turn->text_whole));
    json_decref(pending);
    return messages;
}

static bool fill_end(struct chat_turn *turn, struct chat_turn_write *write)
{
    write->conversation = complete_conversation(turn);
    write->all_text = strndup(turn->text.json ? turn->text.json : "", turn->text.size);
    write->is_stopped = turn->is_stopped;
    write->is_complete = turn->is_complete;
    write->code = turn->code;
    memcpy(write->message, turn->message, sizeof write->message);
    if (turn->tokens_in || turn->tokens_out)
        write->usage = json_pack("{s:I, s:I}", "input_tokens", (json_int_t)turn->tokens_in, "output_tokens",
                                 (json_int_t)turn->tokens_out);
    return write->conversation && write->all_text;
}

/* NULL: out of memory, and nothing was moved. */
static struct chat_turn_write *make_write(struct chat_turn *turn)
{
    struct chat_turn_write *write = calloc(1, sizeof *write);
    if (!write) return NULL;
    write->op = (struct kit_store_op){.run = run_write, .done = on_written, .writes = true};
    write->chat = turn->chat;
    write->about = turn->about;
    write->row = turn->row;
    write->op.locks[0] = write->about.chat_id;
    write->op.source = kit_user_source(turn->user, false);
    write->now_ms = (int64_t)eio_loop_unix_ms(turn->chat->kit->loop);
    write->waits = turn->waits;
    if (turn->waits) write->waits_for = chat_calls_waits_for(turn);
    write->ends = turn->ends;
    if ((turn->ends && !fill_end(turn, write)) || (!turn->ends && turn->checkpoint && !fill_checkpoint(turn, write))) {
        free_write(write);
        return NULL;
    }
    chat_say_forget(turn);
    add_said(turn);
    write->run = turn->run;
    memset(&turn->run, 0, sizeof turn->run);
    chat_batch_init(&write->batch, turn->about.chat_id);
    struct chat_batch empty = write->batch;
    chat_batch_set_ref(&empty, turn->row.ref_id, turn->row.attempt);
    write->batch = turn->out;
    turn->out = empty;
    chat_batch_mark(&write->batch);
    write->history = turn->history;
    write->questions = turn->questions;
    turn->history = turn->questions = NULL;
    turn->checkpoint = false;
    write->turn = turn;
    write->user = kit_user_share(turn->user);
    return write;
}

static void wait_for_store(struct chat_turn *turn, const char *why)
{
    uint64_t now = eio_loop_now_ms(turn->chat->kit->loop);
    if (!turn->retried_ms) turn->retried_ms = now;
    if (now - turn->retried_ms < turn->chat->config->turn_lease_ms) {
        eio_timer_start(&turn->write_timer, RETRY_MS);
        return;
    }
    /* Its lease ends, and the sweep of some process ends it. */
    kit_log(EIO_LOG_ERROR, "a turn cannot be stored, and is given up", "chat", turn->about.chat_id, "why", why, NULL);
    chat_turn_drop(turn);
}

static void put_list_back(json_t **list, json_t *older)
{
    if (older && *list) json_array_extend(older, *list);
    if (older) {
        json_decref(*list);
        *list = json_incref(older);
    }
}

/* Before what gathered meanwhile. */
static void put_back(struct chat_turn *turn, struct chat_batch *take_older)
{
    struct chat_batch newer = turn->out;
    turn->out = *take_older;
    memset(take_older, 0, sizeof *take_older);
    chat_batch_set_ref(&turn->out, turn->row.ref_id, turn->row.attempt);
    chat_batch_append(&turn->out, &newer);
}

void chat_turn_unsay(struct chat_turn *turn, struct eio_str fields, const struct kit_failure *why)
{
    struct chat_batch said;
    chat_batch_init(&said, turn->about.chat_id);
    chat_batch_set_ref(&said, turn->row.ref_id, turn->row.attempt);
    chat_batch_add_said(&said, fields);
    put_back(turn, &said);
    if (why->code == 503) {
        wait_for_store(turn, why->message);
        return;
    }
    kit_log(EIO_LOG_ERROR, "a turn was ended from outside", "chat", turn->about.chat_id, "why", why->message, NULL);
    chat_turn_drop(turn);
}

/* The store did not take it: it is put before what gathered meanwhile. What was said before is found in the store
 * again, when more is said or the turn ends. */
static void take_back(struct chat_turn *turn, struct chat_turn_write *write)
{
    char why[160];
    snprintf(why, sizeof why, "%s", write->op.failure.message);
    chat_batch_rewind(&write->batch);
    put_back(turn, &write->batch);
    put_list_back(&turn->history, write->history);
    put_list_back(&turn->questions, write->questions);
    turn->checkpoint |= write->messages != NULL;
    turn->writing = NULL;
    free_write(write);
    wait_for_store(turn, why);
}

static void submit(struct chat_turn *turn)
{
    struct chat_turn_write *write = make_write(turn);
    if (!write) {
        wait_for_store(turn, "out of memory");
        return;
    }
    turn->writing = write;
    if (kit_store_submit(turn->chat->kit->store, &write->op, write->batch.count * 128)) take_back(turn, write);
}

/* Something besides text. */
static bool is_due(const struct chat_turn *turn)
{
    return turn->out.count || turn->history || turn->checkpoint || turn->waits || turn->ends;
}

void chat_turn_write(struct chat_turn *turn)
{
    bool has_more = is_due(turn);
    uint64_t wait_ms = text_wait_ms(turn);
    if (turn->writing || turn->says == CHAT_SAYS_OUT || turn->retried_ms || (!has_more && !has_text(turn))) return;
    if (atomic_load(&turn->chat->is_stopping)) {
        submit(turn); /* the queue is waited for then, timers are not */
        return;
    }
    if (has_more)
        eio_timer_start(&turn->write_timer, 0); /* with what else comes in this turn of the loop */
    else if (wait_ms)
        eio_timer_start(&turn->write_timer, wait_ms);
    else
        chat_say_add(turn);
}

static void on_write_timer(void *ctx)
{
    struct chat_turn *turn = ctx;
    if (turn->writing || turn->says == CHAT_SAYS_OUT) return;
    if (turn->retried_ms || is_due(turn))
        submit(turn);
    else if (has_text(turn))
        chat_say_add(turn);
}

/* ------------------------------------------------------------------- ends */

static void end_turn(struct chat_turn *turn)
{
    chat_model_cancel(turn);
    eio_timer_stop(&turn->limit);
    turn->ends = true;
    turn->waits = turn->checkpoint = false;
    chat_turn_write(turn);
}

void chat_turn_finish(struct chat_turn *turn, bool is_complete)
{
    if (turn->ends) return;
    turn->is_complete = is_complete;
    turn->chat->counters.turns_done++;
    end_turn(turn);
}

void chat_turn_stop(struct chat_turn *turn)
{
    if (turn->ends) return;
    turn->is_stopped = true;
    turn->chat->counters.turns_stopped++;
    end_turn(turn);
    chat_calls_cancel_running(turn);
}

void chat_turn_fail(struct chat_turn *turn, int code, const char *message)
{
    if (turn->ends) return;
    turn->code = code;
    snprintf(turn->message, sizeof turn->message, "%s", message);
    turn->chat->counters.turns_failed++;
    end_turn(turn);
    chat_calls_cancel_running(turn);
}

static void on_limit(void *ctx)
{
    struct chat_turn *turn = ctx;
    turn->chat->counters.turn_limits++;
    chat_turn_fail(turn, 504, "the turn took too long");
}

static void start_limit(struct chat_turn *turn)
{
    turn->limit_since_ms = eio_loop_now_ms(turn->chat->kit->loop);
    eio_timer_start(&turn->limit, turn->limit_left_ms);
}

void chat_turn_hold(struct chat_turn *turn, bool waits_for_user)
{
    bool is_running = eio_timer_running(&turn->limit);
    if (turn->ends || is_running != waits_for_user) return;
    if (!waits_for_user) {
        start_limit(turn);
        return;
    }
    uint64_t passed = eio_loop_now_ms(turn->chat->kit->loop) - turn->limit_since_ms;
    turn->limit_left_ms = passed < turn->limit_left_ms ? turn->limit_left_ms - passed : 0;
    eio_timer_stop(&turn->limit);
}

/* ------------------------------------------------------------------ begins */

struct chat_turn *chat_turn_find(const struct chat *chat, const char *chat_id)
{
    struct chat_turn *turn;
    HASH_FIND_STR(chat->turns, chat_id, turn);
    return turn;
}

static void take_load(struct chat_turn *turn, struct chat_turn_load *load)
{
    turn->about = load->chat;
    turn->row = load->row;
    turn->content = load->content;
    turn->context = load->context;
    turn->messages = load->messages;
    turn->open_questions = load->questions;
    sio_builder_put(&turn->text, load->text);
    turn->text_out = turn->text_whole = turn->text.size;
    load->content = NULL;
    load->context = load->messages = NULL;
}

static struct chat_turn *make_turn(struct chat *chat, struct chat_turn_load *load, const struct kit_claims *claims)
{
    struct chat_turn *turn = calloc(1, sizeof *turn);
    if (!turn) return NULL;
    turn->chat = chat;
    turn->began_ms = (int64_t)eio_loop_unix_ms(chat->kit->loop);
    sio_builder_init(&turn->text);
    sio_builder_open(&turn->text);
    take_load(turn, load);
    turn->assistant = chat_assistant_find(chat, turn->about.assistant);
    if (!turn->assistant) turn->assistant = chat_assistant_find(chat, "");
    if (claims && !strcmp(claims->sub, turn->about.user)) turn->user = kit_user_ref(chat->kit, claims, "");
    turn->has_share = !chat_share_add(chat, turn->about.tenant, turn->about.user);
    eio_timer_init(&turn->limit, chat->kit->loop, on_limit, turn);
    eio_timer_init(&turn->write_timer, chat->kit->loop, on_write_timer, turn);
    turn->limit_left_ms = chat->config->turn_time_max_ms;
    start_limit(turn);
    chat_batch_init(&turn->out, turn->about.chat_id);
    chat_batch_set_ref(&turn->out, turn->row.ref_id, turn->row.attempt);
    return turn;
}

void chat_turn_begin(struct chat *chat, struct chat_turn_load *load, const struct kit_claims *claims)
{
    struct chat_turn *before = chat_turn_find(chat, load->chat.chat_id);
    if (before) chat_turn_drop(before); /* the store knows better */
    struct chat_turn *turn = make_turn(chat, load, claims);
    if (!turn) {
        kit_log(EIO_LOG_ERROR, "out of memory: a turn does not begin, and ends with its lease", NULL);
        return;
    }
    HASH_ADD_STR(chat->turns, about.chat_id, turn);
    chat->turns_running++;
    if (atomic_load(&chat->is_stopping)) {
        chat_turn_fail(turn, 503, "interrupted: the server is stopping");
    } else if (load->pending) {
        chat_calls_resume(turn, load->pending, load->answers);
    } else {
        if (!json_array_size(turn->messages))
            json_array_append_new(turn->messages, json_pack("{s:s, s:s}", "role", "user", "content", turn->content));
        chat_model_ask(turn);
    }
}

/* What else the turn was doing has ended with this process; the process that takes it over when its lease ends knows
 * that. */
static void leave_turn(struct chat_turn *turn)
{
    chat_turn_write(turn);
    if (!turn->waits) chat_turn_drop(turn);
}

static bool waits_for_user(const struct chat_turn *turn)
{
    json_t *questions = chat_calls_waits_for(turn);
    bool waits = json_array_size(questions) > 0;
    json_decref(questions);
    return waits;
}

void chat_turns_drain(struct chat *chat)
{
    struct chat_turn *turn, *next;
    atomic_store(&chat->is_stopping, true);
    HASH_ITER(hh, chat->turns, turn, next)
    {
        if (!turn->ends && waits_for_user(turn))
            leave_turn(turn);
        else
            chat_turn_fail(turn, 503, "interrupted: the server is stopping");
    }
}

void chat_turns_stop(struct chat *chat)
{
    while (chat->turns) chat_turn_drop(chat->turns);
}
