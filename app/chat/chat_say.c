/* Pieces of answers, written together (chat_say.h). */
#include "chat_say.h"

#include <stdlib.h>
#include <string.h>

#define PIECES_MAX 256 /* in one operation; the others are the next one's */
#define RUN_MS 2000    /* after this time pieces go into the chat's own log */
#define DROP_MS 500    /* how often rows that nobody needs are deleted */

/* A piece of a turn. */
struct piece {
    struct chat_turn *turn; /* NULL: it was dropped */
    char chat_id[KIT_ID_SIZE], ref_id[KIT_ID_SIZE];
    struct chat_piece_line line; /* its texts are in the operation's builders */
    int64_t turn_id;
    size_t at, size; /* of the fields, in the operation's text */
    struct chat_run run;
    bool stores_run;

    /* What run found out. */
    bool is_open;
    int code;
};

struct say_op {
    struct kit_store_op op;
    struct chat *chat;
    struct piece *pieces;
    size_t count;
    struct sio_builder text; /* the fields of all */
    const char **names;      /* of the chats, to be locked */
    bool drops;              /* rows that nobody needs */
    int64_t *settled;        /* out: chats whose runs others have stored */
    size_t settled_count;
};

struct chat_say {
    struct chat *chat;
    struct chat_turn *first; /* those that are due */
    struct say_op *out;      /* what is on its way; NULL: nothing */
    struct eio_timer timer;  /* for another try */
    uint64_t dropped_ms;
};

/* ------------------------------------------------------------------- store */

static void free_op(struct say_op *op)
{
    for (size_t i = 0; i < op->count; i++) chat_run_clear(&op->pieces[i].run);
    sio_builder_clear(&op->text);
    free(op->settled);
    free(op->names);
    free(op->pieces);
    free(op);
}

static bool is_settled(const struct say_op *op, int64_t chat_key)
{
    for (size_t i = 0; i < op->settled_count; i++)
        if (op->settled[i] == chat_key) return true;
    return false;
}

/* Others may have put what was said into the chats' own logs, to add something behind it. */
static int read_settled(struct kit_db *db, struct say_op *op, struct kit_failure *failure)
{
    struct kit_rows rows;
    free(op->settled);
    op->settled = NULL;
    op->settled_count = 0;
    enum kit_step step = kit_db_query(db, &rows, "SELECT chat FROM chat_settled WHERE owner=?", "t", op->chat->owner);
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        int64_t *settled = realloc(op->settled, (op->settled_count + 1) * sizeof *settled);
        if (!settled) return kit_fail(failure, 503, NULL, "out of memory");
        op->settled = settled;
        op->settled[op->settled_count++] = kit_rows_int(&rows, 0);
    }
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    for (size_t i = 0; i < op->settled_count; i++)
        if (kit_db_run(db, "DELETE FROM chat_settled WHERE owner=? AND chat=?", "ti", op->chat->owner, op->settled[i]))
            return kit_db_fail(db, failure);
    return 0;
}

/* The first piece after something else: the chat's row says from now on that more of its entries are with this process.
 * A piece whose turn was ended from outside, or whose chat was deleted, fails alone: the keys of both may be others'
 * now.
 */
static int open_run(struct kit_db *db, const struct say_op *op, struct piece *piece, struct kit_failure *failure)
{
    struct kit_rows row;
    char owner[64] = "";
    enum kit_step step = kit_db_query(db, &row,
                                      "SELECT c.seq, c.pieces FROM chat_turns t CROSS JOIN chats c WHERE t.id=? AND"
                                      " t.state='running' AND t.owner=? AND c.id = t.chat AND c.chat_id=?",
                                      "itt", piece->turn_id, op->chat->owner, piece->chat_id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) {
        piece->code = 409;
        return 0;
    }
    piece->line.seq = kit_rows_int(&row, 0);
    snprintf(owner, sizeof owner, "%s", kit_rows_text(&row, 1));
    kit_rows_end(&row);
    struct chat_settle settle = {.owner = owner,
                                 .chat_key = piece->line.chat_key,
                                 .after_seq = piece->line.seq,
                                 .tells = strcmp(owner, op->chat->owner) != 0};
    int code = owner[0] ? chat_pieces_settle(db, &settle, failure) : 0;
    piece->line.seq += settle.count;
    return code ? code : chat_run_begin(db, op->chat->owner, piece->line.chat_key, failure);
}

static int store_piece(struct kit_db *db, const struct say_op *op, struct piece *piece, struct sio_builder *data,
                       struct kit_failure *failure)
{
    piece->code = 0;
    piece->is_open = piece->run.is_open && !is_settled(op, piece->line.chat_key);
    piece->line.seq = piece->run.seq;
    piece->line.ref_id = eio_str(piece->ref_id);
    piece->line.fields = (struct eio_str){op->text.json + piece->at, piece->size};
    int code = piece->is_open ? 0 : open_run(db, op, piece, failure);
    if (code || piece->code) return code;
    piece->line.seq++;
    chat_piece_put(data, &piece->line);
    if (!piece->stores_run || !piece->is_open) return 0;
    return chat_run_store(db, op->chat->owner, &piece->line, &piece->run, true, failure);
}

static int store_data(struct kit_db *db, const struct say_op *op, const struct sio_builder *data,
                      struct kit_failure *failure)
{
    if (data->error) return kit_fail(failure, 503, NULL, "out of memory");
    if (data->size && kit_db_run(db, "INSERT INTO chat_pieces(owner, data) VALUES (?, ?)", "tb", op->chat->owner,
                                 data->json, data->size))
        return kit_db_fail(db, failure);
    return op->drops ? chat_pieces_drop(db, op->chat->owner, failure) : 0;
}

static int run_say(struct kit_db *db, struct kit_store_op *store_op)
{
    struct say_op *op = KIT_OWNER(store_op, struct say_op, op);
    struct kit_failure *failure = &store_op->failure;
    struct sio_builder data;
    if (store_op->is_alone && kit_db_lock(db, op->names, op->count)) return kit_db_fail(db, failure);
    sio_builder_init(&data);
    sio_builder_open(&data);
    int code = read_settled(db, op, failure);
    for (size_t i = 0; i < op->count && !code; i++) code = store_piece(db, op, &op->pieces[i], &data, failure);
    if (!code) code = store_data(db, op, &data, failure);
    sio_builder_clear(&data);
    return code;
}

/* -------------------------------------------------------------- after that */

/* What others have stored is not to be stored again. */
static void close_settled(const struct say_op *op)
{
    if (!op->settled_count) return;
    for (struct chat_turn *turn = op->chat->turns; turn; turn = turn->hh.next)
        if (is_settled(op, turn->about.key)) chat_run_clear(&turn->run);
}

/* The turn's run, with this piece. */
static void extend_run(struct chat_turn *turn, const struct say_op *op, const struct piece *piece)
{
    struct chat_run *run = &turn->run;
    if (!piece->is_open || piece->stores_run) chat_run_clear(run);
    run->is_open = true;
    run->seq = piece->line.seq;
    turn->about.seq = run->seq;
    if (piece->stores_run && piece->is_open) return;
    if (!run->count) {
        sio_builder_init(&run->lines);
        sio_builder_open(&run->lines);
        run->since_ms = eio_loop_now_ms(op->chat->kit->loop);
    }
    if (run->count++) sio_builder_put(&run->lines, "\n");
    sio_builder_put_slice(&run->lines, sio_args_none(), piece->line.fields);
}

static void take_piece(const struct say_op *op, const struct piece *piece)
{
    struct chat_turn *turn = piece->turn;
    if (!piece->code) chat_entry_send(op->chat, piece->chat_id, CHAT_TOKEN, piece->line.fields, piece->line.seq);
    if (!turn) return;
    turn->says = CHAT_SAYS_NOTHING;
    if (piece->code) {
        kit_log(EIO_LOG_INFO, "a turn was ended from outside", "chat", piece->chat_id, "why", "the turn is over", NULL);
        chat_turn_drop(turn);
        return;
    }
    extend_run(turn, op, piece);
    turn->retried_ms = 0;
    chat_turn_write(turn);
}

/* The store did not take it. */
static void give_back(const struct say_op *op, const struct piece *piece)
{
    struct chat_turn *turn = piece->turn;
    if (!turn) return;
    turn->says = CHAT_SAYS_NOTHING;
    chat_turn_unsay(turn, (struct eio_str){op->text.json + piece->at, piece->size}, &op->op.failure);
}

static void on_said(struct kit_store_op *store_op)
{
    struct say_op *op = KIT_OWNER(store_op, struct say_op, op);
    struct chat_say *say = op->chat->say;
    if (!store_op->failure.code) close_settled(op);
    for (size_t i = 0; i < op->count; i++) {
        if (store_op->failure.code)
            give_back(op, &op->pieces[i]);
        else
            take_piece(op, &op->pieces[i]);
    }
    say->out = NULL;
    free_op(op);
}

/* ------------------------------------------------------------- what is due */

static void copy_run(struct piece *piece, const struct chat_run *run)
{
    piece->run = *run;
    sio_builder_init(&piece->run.lines);
    if (!piece->stores_run) return;
    sio_builder_open(&piece->run.lines);
    sio_builder_put_slice(&piece->run.lines, sio_args_none(), (struct eio_str){run->lines.json, run->lines.size});
    sio_builder_put(&piece->run.lines, "\n");
    piece->run.count++;
}

/* Moves what the turn has said into a piece. */
static void fill_piece(struct say_op *op, struct piece *piece, struct chat_turn *turn)
{
    uint64_t now = eio_loop_now_ms(op->chat->kit->loop);
    *piece = (struct piece){.turn = turn, .turn_id = turn->row.id, .at = op->text.size};
    memcpy(piece->chat_id, turn->about.chat_id, sizeof piece->chat_id);
    memcpy(piece->ref_id, turn->row.ref_id, sizeof piece->ref_id);
    piece->line.chat_key = turn->about.key;
    piece->line.attempt = turn->row.attempt;
    chat_turn_put_said(turn, &op->text);
    piece->size = op->text.size - piece->at;
    piece->stores_run = turn->run.is_open && turn->run.count && now - turn->run.since_ms >= RUN_MS;
    copy_run(piece, &turn->run);
    if (piece->stores_run)
        sio_builder_put_slice(&piece->run.lines, sio_args_none(),
                              (struct eio_str){op->text.json + piece->at, piece->size});
    turn->says = CHAT_SAYS_OUT;
}

static void unlist(struct chat_say *say, struct chat_turn *turn)
{
    DL_DELETE2(say->first, turn, prev_due, next_due);
    turn->says = CHAT_SAYS_NOTHING;
}

static size_t count_due(const struct chat_say *say)
{
    size_t count = 0;
    for (const struct chat_turn *turn = say->first; turn && count < PIECES_MAX; turn = turn->next_due) count++;
    return count;
}

static struct say_op *make_op(struct chat_say *say)
{
    struct say_op *op = calloc(1, sizeof *op);
    if (!op) return NULL;
    op->chat = say->chat;
    op->pieces = calloc(count_due(say), sizeof *op->pieces);
    op->names = calloc(count_due(say), sizeof *op->names);
    if (!op->pieces || !op->names) {
        free_op(op);
        return NULL;
    }
    op->op = (struct kit_store_op){.run = run_say, .done = on_said, .writes = true, .is_alone = !say->chat->place[0]};
    sio_builder_init(&op->text);
    sio_builder_open(&op->text);
    while (say->first && op->count < PIECES_MAX) {
        struct chat_turn *turn = say->first;
        unlist(say, turn);
        op->names[op->count] = op->pieces[op->count].chat_id;
        fill_piece(op, &op->pieces[op->count++], turn);
    }
    return op;
}

/* At the end of a turn of the loop, when all that is due in it is there: a row, and its way to the disk, for all of it.
 */
static void on_turn_end(void *ctx)
{
    struct chat_say *say = ctx;
    uint64_t now = eio_loop_now_ms(say->chat->kit->loop);
    if (say->out || !say->first) return;
    struct say_op *op = say->out = make_op(say);
    if (!op) {
        eio_timer_start(&say->timer, 1);
        return;
    }
    op->drops = now - say->dropped_ms >= DROP_MS;
    if (op->drops) say->dropped_ms = now;
    if (kit_store_submit(say->chat->kit->store, &op->op, op->text.size)) on_said(&op->op);
}

void chat_say_add(struct chat_turn *turn)
{
    struct chat_say *say = turn->chat->say;
    if (turn->says) return;
    DL_APPEND2(say->first, turn, prev_due, next_due);
    turn->says = CHAT_SAYS_DUE;
}

void chat_say_forget(struct chat_turn *turn)
{
    struct chat_say *say = turn->chat->say;
    if (turn->says == CHAT_SAYS_DUE) unlist(say, turn);
    if (turn->says != CHAT_SAYS_OUT) return;
    for (size_t i = 0; i < say->out->count; i++)
        if (say->out->pieces[i].turn == turn) say->out->pieces[i].turn = NULL;
}

int chat_say_start(struct chat *chat)
{
    struct chat_say *say = chat->say = calloc(1, sizeof *say);
    if (!say) return EIO_ENOMEM;
    say->chat = chat;
    eio_timer_init(&say->timer, chat->kit->loop, on_turn_end, say);
    return eio_loop_add_flush_hook(chat->kit->loop, on_turn_end, say);
}

void chat_say_stop(struct chat *chat)
{
    if (!chat->say) return;
    eio_loop_remove_flush_hook(chat->kit->loop, on_turn_end, chat->say);
    eio_timer_stop(&chat->say->timer);
    free(chat->say);
    chat->say = NULL;
}
