/* What has to happen though nobody asks for it: leases are renewed; turns of processes that died are ended, questions
 * expire, sessions are closed that were idle for long, intents are abandoned whose user left. */
#include "chat_nodes.h"
#include "chat_pieces.h"
#include "chat_room.h"
#include "chat_turn.h"

#include <stdlib.h>
#include <string.h>

#define FOUND_MAX 32 /* of a kind at a time; the next round has the others */

enum due { DUE_INTERRUPTED, DUE_EXPIRED, DUE_IDLE, DUE_QUEUED, DUE_ABANDONED };

/* A chat that its user has left in this process. */
struct chat_left {
    char chat_id[KIT_ID_SIZE];
    uint64_t since_ms;
    bool is_asked;
    UT_hash_handle hh;
};

/* A turn whose lease has run out. Its process may only be late, as all that waits for a busy store is: it is believed
 * dead when it has had time to renew the lease since it was seen to be late, and has not. */
struct late {
    int64_t turn, lease_ms;
    uint64_t since_ms;
};

struct chat_sweep {
    struct chat *chat;
    struct eio_timer timer;
    struct late late[FOUND_MAX];
    size_t late_count;
    struct chat_left *left;
    bool is_looking, is_renewing, is_stopping;
};

/* ----------------------------------------------------------------- leases */

struct renewal {
    struct kit_store_op op;
    struct chat *chat;
    bool is_first; /* what ran in a former life of this process has ended with it */
    size_t count;
    int64_t ids[];
};

static int run_renewal(struct kit_db *db, struct kit_store_op *op)
{
    const struct renewal *renewal = KIT_OWNER(op, struct renewal, op);
    const struct chat *chat = renewal->chat;
    size_t n = strlen(chat->place);
    if (renewal->is_first && n &&
        kit_db_run(db,
                   "UPDATE chat_turns SET lease_ms=0 WHERE state='running' AND state<>'ended' AND substr(owner, 1, "
                   "?)=? AND owner<>?",
                   "itt", (int64_t)n, chat->place, chat->owner))
        return kit_db_fail(db, &op->failure);
    int64_t until_ms = chat_lease_until(chat->config);
    for (size_t i = 0; i < renewal->count; i++)
        if (kit_db_run(db, "UPDATE chat_turns SET lease_ms=? WHERE id=? AND state='running' AND owner=?", "iit",
                       until_ms, renewal->ids[i], chat->owner))
            return kit_db_fail(db, &op->failure);
    int code = chat_pieces_drop(db, chat->owner, &op->failure);
    return code ? code : chat_pieces_drop_others(db, chat->owner, &op->failure);
}

static void on_renewed(struct kit_store_op *op)
{
    struct renewal *renewal = KIT_OWNER(op, struct renewal, op);
    if (op->failure.code)
        kit_log(EIO_LOG_WARN, "the leases of turns are not renewed", "why", op->failure.message, NULL);
    renewal->chat->sweep->is_renewing = false;
    free(renewal);
}

static void renew_leases(struct chat_sweep *sweep, bool is_first)
{
    struct chat *chat = sweep->chat;
    size_t count = HASH_COUNT(chat->turns);
    struct renewal *renewal =
        (count || is_first) && !sweep->is_renewing ? calloc(1, sizeof *renewal + count * sizeof renewal->ids[0]) : NULL;
    if (!renewal) return;
    renewal->op = (struct kit_store_op){.run = run_renewal, .done = on_renewed, .writes = true, .is_urgent = true};
    renewal->chat = chat;
    renewal->is_first = is_first;
    for (const struct chat_turn *turn = chat->turns; turn; turn = turn->hh.next)
        renewal->ids[renewal->count++] = turn->row.id;
    if (kit_store_submit(chat->kit->store, &renewal->op, count * sizeof renewal->ids[0]))
        free(renewal);
    else
        sweep->is_renewing = true;
}

/* -------------------------------------------------------------- what is due */

/* Something that is due in a chat; looked at again under its lock. */
struct task {
    struct kit_store_op op;
    struct chat *chat;
    enum due due;
    char chat_id[KIT_ID_SIZE], id[KIT_ID_SIZE]; /* id: of a question */
    int64_t chat_key, turn, now_ms;
    struct chat_batch batch;
    struct chat_answer answer;
    struct chat_turn_load next;
    bool begins, is_taken; /* is_taken: a turn that begins is another process's */
};

static int load_next(struct kit_db *db, struct task *task, int64_t next, struct kit_failure *failure)
{
    task->begins = next != 0;
    return next ? chat_turn_load(db, task->chat->config, next, &task->next, failure) : 0;
}

/* The turn waited for an answer: it goes on here. */
static int take_over(struct kit_db *db, struct task *task, const struct chat_turn_row *turn,
                     struct kit_failure *failure)
{
    const struct chat *chat = task->chat;
    if (kit_db_run(db, "UPDATE chat_turns SET owner=?, lease_ms=? WHERE id=?", "tii", chat->owner,
                   chat_lease_until(chat->config), turn->id))
        return kit_db_fail(db, failure);
    chat_batch_set_ref(&task->batch, turn->ref_id, turn->attempt);
    int code = load_next(db, task, turn->id, failure);
    if (!code) code = chat_questions_withdraw(db, task->next.pending, &task->batch, failure);
    return code ? code : chat_batch_write(db, turn->chat_key, &task->batch, failure);
}

static int end_interrupted(struct kit_db *db, struct task *task, const struct chat_row *row,
                           const struct chat_turn_row *turn, struct kit_failure *failure)
{
    struct chat_turn_end end = {.chat = task->chat,
                                .row = row,
                                .turn = turn,
                                .batch = &task->batch,
                                .now_ms = task->now_ms,
                                .code = 503,
                                .message = "interrupted"};
    int code = chat_turn_close(db, &end, failure);
    if (!code) code = chat_batch_write(db, row->key, &task->batch, failure);
    return code ? code : load_next(db, task, end.next, failure);
}

static int run_interrupted(struct kit_db *db, struct task *task, const struct chat_row *row,
                           struct kit_failure *failure)
{
    struct chat_turn_row turn;
    struct kit_rows rows;
    enum kit_step step = kit_db_query(
        db, &rows,
        "SELECT EXISTS (SELECT 1 FROM chat_elicitations e WHERE e.turn = t.id AND e.state='open') FROM chat_turns t"
        " WHERE t.id=? AND t.state='running' AND t.lease_ms<?",
        "ii", task->turn, task->now_ms);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    bool has_question = step == KIT_ROW && kit_rows_int(&rows, 0);
    kit_rows_end(&rows);
    if (step == KIT_DONE) return 0;
    int code = chat_turn_read_row(db, task->turn, &turn, failure);
    if (code) return code;
    task->is_taken = has_question;
    return has_question ? take_over(db, task, &turn, failure) : end_interrupted(db, task, row, &turn, failure);
}

static int run_expired(struct kit_db *db, struct task *task, const struct chat_row *row, struct kit_failure *failure)
{
    task->answer.chat = task->chat;
    task->answer.row = *row;
    task->answer.now_ms = task->now_ms;
    memcpy(task->answer.id, task->id, sizeof task->id);
    snprintf(task->answer.action, sizeof task->answer.action, "expire");
    return chat_answer_store(db, &task->answer, failure);
}

static int is_running(struct kit_db *db, int64_t chat_key, bool *running, struct kit_failure *failure)
{
    struct chat_turn_row turn;
    int code = chat_turn_find_open(db, chat_key, &turn, running, failure);
    *running = *running && !strcmp(turn.state, "running");
    return code;
}

static int run_idle(struct kit_db *db, struct task *task, const struct chat_row *row, struct kit_failure *failure)
{
    bool running = false;
    int code = is_running(db, row->key, &running, failure);
    if (code || running || row->updated_ms > task->now_ms - (int64_t)task->chat->config->session_idle_s * 1000)
        return code;
    return chat_session_end(db, row, "idle", &task->batch, failure);
}

static int run_queued(struct kit_db *db, struct task *task, const struct chat_row *row, struct kit_failure *failure)
{
    int64_t next = 0;
    int code = chat_turn_next(db, task->chat, row->key, &next, failure);
    return code ? code : load_next(db, task, next, failure);
}

static int run_abandoned(struct kit_db *db, struct task *task, const struct chat_row *row, struct kit_failure *failure)
{
    bool running = false;
    (void)task;
    int code = is_running(db, row->key, &running, failure);
    if (code || running || strcmp(row->intent_state, "active")) return code;
    if (kit_db_run(db, "UPDATE chats SET intent_state='abandoned' WHERE id=?", "i", row->key) ||
        kit_db_run(db, "UPDATE chat_history SET abandoned=1 WHERE chat=? AND user_intent_id=?", "it", row->key,
                   row->intent_id))
        return kit_db_fail(db, failure);
    return 0;
}

static int run_task(struct kit_db *db, struct kit_store_op *op)
{
    static int (*const runs[])(struct kit_db *, struct task *, const struct chat_row *, struct kit_failure *) = {
        [DUE_INTERRUPTED] = run_interrupted, [DUE_EXPIRED] = run_expired,     [DUE_IDLE] = run_idle,
        [DUE_QUEUED] = run_queued,           [DUE_ABANDONED] = run_abandoned,
    };
    struct task *task = KIT_OWNER(op, struct task, op);
    struct chat_row row;
    chat_batch_clear(&task->batch);
    chat_batch_init(&task->batch, task->chat_id);
    chat_turn_load_clear(&task->next);
    task->begins = task->is_taken = false;
    int code = chat_read_row(db, task->chat_key, &row, &op->failure);
    if (!code && strcmp(row.chat_id, task->chat_id)) code = kit_fail(&op->failure, 404, NULL, "chat not found");
    return code ? code : runs[task->due](db, task, &row, &op->failure);
}

static void on_task(struct kit_store_op *op)
{
    struct task *task = KIT_OWNER(op, struct task, op);
    struct chat *chat = task->chat;
    bool is_news = op->failure.code == 404 || op->failure.code == 409;
    if (op->failure.code && !is_news)
        kit_log(EIO_LOG_ERROR, "what is due in a chat is put off", "chat", task->chat_id, "why", op->failure.message,
                NULL);
    if (!op->failure.code) {
        chat_batch_send(chat, &task->batch);
        if (task->due == DUE_EXPIRED) chat_answer_send(&task->answer, NULL);
        if (task->due == DUE_INTERRUPTED && task->batch.count && !task->is_taken) chat->counters.turns_interrupted++;
        if (task->begins) chat_turn_begin(chat, &task->next, NULL);
    }
    chat_batch_clear(&task->batch);
    chat_turn_load_clear(&task->next);
    chat_answer_clear(&task->answer);
    free(task);
}

/* Consumes the task. */
static void submit_task(struct task *take_task)
{
    take_task->op = (struct kit_store_op){.run = run_task, .done = on_task, .writes = true};
    take_task->op.locks[0] = take_task->chat_id;
    take_task->now_ms = (int64_t)eio_loop_unix_ms(take_task->chat->kit->loop);
    if (kit_store_submit(take_task->chat->kit->store, &take_task->op, sizeof *take_task)) free(take_task);
}

/* ------------------------------------------------------------------ looking */

struct look {
    struct kit_store_op op;
    struct chat *chat;
    int64_t now_ms;
    uint64_t since_ms; /* the loop's time when it was asked for */
    struct found {
        enum due due;
        int64_t chat_key, turn, lease_ms;
        char chat_id[KIT_ID_SIZE], id[KIT_ID_SIZE]; /* id: of a question; of a turn, its owner */
    } list[4 * FOUND_MAX];
    size_t count;
};

static int take_rows(struct kit_db *db, struct look *look, enum due due, enum kit_step step, struct kit_rows *rows)
{
    for (; step == KIT_ROW; step = kit_rows_next(rows)) {
        struct found *found = &look->list[look->count];
        if (look->count == sizeof look->list / sizeof look->list[0]) break;
        *found = (struct found){.due = due,
                                .chat_key = kit_rows_int(rows, 0),
                                .turn = kit_rows_int(rows, 2),
                                .lease_ms = kit_rows_int(rows, 4)};
        snprintf(found->chat_id, sizeof found->chat_id, "%s", kit_rows_text(rows, 1));
        snprintf(found->id, sizeof found->id, "%s", kit_rows_text(rows, 3));
        look->count++;
    }
    if (step == KIT_FAILED) return kit_db_fail(db, &look->op.failure);
    if (step == KIT_ROW) kit_rows_end(rows);
    return 0;
}

static int run_look(struct kit_db *db, struct kit_store_op *op)
{
    struct look *look = KIT_OWNER(op, struct look, op);
    const struct chat_config *config = look->chat->config;
    struct kit_rows rows;
    look->count = 0;
    enum kit_step step =
        kit_db_query(db, &rows,
                     "SELECT c.id, c.chat_id, t.id, t.owner, t.lease_ms FROM chat_turns t CROSS JOIN chats c WHERE"
                     " c.id = t.chat AND t.state='running' AND t.state<>'ended' AND t.lease_ms<? LIMIT ?",
                     "ii", look->now_ms, (int64_t)FOUND_MAX);
    int code = take_rows(db, look, DUE_INTERRUPTED, step, &rows);
    if (code) return code;
    step =
        kit_db_query(db, &rows,
                     "SELECT c.id, c.chat_id, t.id, '', 0 FROM chat_turns t CROSS JOIN chats c WHERE c.id = t.chat AND"
                     " t.state='queued' AND t.state<>'ended' AND NOT EXISTS (SELECT 1 FROM chat_turns o WHERE o.chat ="
                     " t.chat AND o.state IN ('running', 'waiting')) LIMIT ?",
                     "i", (int64_t)FOUND_MAX);
    code = take_rows(db, look, DUE_QUEUED, step, &rows);
    if (code) return code;
    step =
        kit_db_query(db, &rows,
                     "SELECT c.id, c.chat_id, e.turn, e.elicitation_id, 0 FROM chat_elicitations e CROSS JOIN chats c"
                     " WHERE c.id = e.chat AND e.state='open' AND e.expires_ms<=? LIMIT ?",
                     "ii", look->now_ms, (int64_t)FOUND_MAX);
    code = take_rows(db, look, DUE_EXPIRED, step, &rows);
    if (code) return code;
    step =
        kit_db_query(db, &rows, "SELECT id, chat_id, 0, '', 0 FROM chats WHERE session_id<>'' AND updated_ms<? LIMIT ?",
                     "ii", look->now_ms - (int64_t)config->session_idle_s * 1000, (int64_t)FOUND_MAX);
    return take_rows(db, look, DUE_IDLE, step, &rows);
}

static void begin_task(struct chat *chat, const struct found *found)
{
    struct task *task = calloc(1, sizeof *task);
    if (!task) return;
    task->chat = chat;
    task->due = found->due;
    task->chat_key = found->chat_key;
    task->turn = found->turn;
    memcpy(task->chat_id, found->chat_id, sizeof task->chat_id);
    memcpy(task->id, found->id, sizeof task->id);
    submit_task(task);
}

/* A turn that runs in this process, which is not dead: what waits behind the look is its next sign of life. */
static bool is_own(const struct chat *chat, const struct found *found)
{
    const struct chat_turn *turn = chat_turn_find(chat, found->chat_id);
    return turn && turn->row.id == found->turn && !strcmp(found->id, chat->owner);
}

static const struct late *find_late(const struct late *late, size_t count, const struct found *found)
{
    for (size_t i = 0; i < count; i++)
        if (late[i].turn == found->turn && late[i].lease_ms == found->lease_ms) return &late[i];
    return NULL;
}

/* Those of the look whose process is dead, or gave them up; notes the others, which are looked at again. */
static void sort_late(struct chat_sweep *sweep, const struct look *look)
{
    struct late before[FOUND_MAX];
    size_t count = sweep->late_count;
    uint64_t now = eio_loop_now_ms(sweep->chat->kit->loop);
    memcpy(before, sweep->late, sizeof before);
    sweep->late_count = 0;
    for (size_t i = 0; i < look->count; i++) {
        const struct found *found = &look->list[i];
        if (found->due != DUE_INTERRUPTED || is_own(sweep->chat, found)) continue;
        const struct late *late = find_late(before, count, found);
        if (!found->lease_ms || (late && look->since_ms >= late->since_ms + sweep->chat->config->turn_lease_ms / 4))
            begin_task(sweep->chat, found);
        else
            sweep->late[sweep->late_count++] =
                late ? *late : (struct late){.turn = found->turn, .lease_ms = found->lease_ms, .since_ms = now};
    }
}

static void on_looked(struct kit_store_op *op)
{
    struct look *look = KIT_OWNER(op, struct look, op);
    struct chat *chat = look->chat;
    chat->sweep->is_looking = false;
    if (!op->failure.code && !chat->sweep->is_stopping) {
        sort_late(chat->sweep, look);
        for (size_t i = 0; i < look->count; i++)
            if (look->list[i].due != DUE_INTERRUPTED) begin_task(chat, &look->list[i]);
    }
    free(look);
}

static void look_around(struct chat_sweep *sweep)
{
    struct look *look = sweep->is_looking ? NULL : calloc(1, sizeof *look);
    if (!look) return;
    look->op = (struct kit_store_op){.run = run_look, .done = on_looked};
    look->chat = sweep->chat;
    look->now_ms = (int64_t)eio_loop_unix_ms(sweep->chat->kit->loop);
    look->since_ms = eio_loop_now_ms(sweep->chat->kit->loop);
    /* Behind the writes, so that leases that are being renewed have not ended. */
    if (kit_store_submit(sweep->chat->kit->store, &look->op, sizeof *look))
        free(look);
    else
        sweep->is_looking = true;
}

void chat_sweep_expire(struct chat *chat, const struct chat_row *row, const char *elicitation_id)
{
    struct found found = {.due = DUE_EXPIRED, .chat_key = row->key};
    memcpy(found.chat_id, row->chat_id, sizeof found.chat_id);
    snprintf(found.id, sizeof found.id, "%s", elicitation_id);
    begin_task(chat, &found);
}

/* -------------------------------------------------------------------- left */

struct leaving {
    struct kit_store_op op;
    struct chat *chat;
    char chat_id[KIT_ID_SIZE];
    int64_t key;
};

static int run_leaving(struct kit_db *db, struct kit_store_op *op)
{
    struct leaving *leaving = KIT_OWNER(op, struct leaving, op);
    return chat_find_key(db, leaving->chat_id, &leaving->key, &op->failure);
}

static void on_leaving(struct kit_store_op *op)
{
    struct leaving *leaving = KIT_OWNER(op, struct leaving, op);
    struct found found = {.due = DUE_ABANDONED, .chat_key = leaving->key};
    memcpy(found.chat_id, leaving->chat_id, sizeof found.chat_id);
    if (!op->failure.code && leaving->key && !leaving->chat->sweep->is_stopping) begin_task(leaving->chat, &found);
    free(leaving);
}

/* The answer of the other processes. ctx: a struct leaving. */
static void on_asked(void *ctx, bool listens)
{
    struct leaving *leaving = ctx;
    struct chat *chat = leaving->chat;
    struct chat_left *left;
    HASH_FIND_STR(chat->sweep->left, leaving->chat_id, left);
    if (left) {
        HASH_DEL(chat->sweep->left, left);
        free(left);
    }
    if (listens || chat_room_owner_count(chat, leaving->chat_id) || chat->sweep->is_stopping ||
        kit_store_submit_read(chat->kit->store, &leaving->op, sizeof *leaving))
        free(leaving);
}

static void look_at_left(struct chat_sweep *sweep)
{
    struct chat *chat = sweep->chat;
    struct chat_left *left, *next;
    uint64_t now = eio_loop_now_ms(chat->kit->loop);
    HASH_ITER(hh, sweep->left, left, next)
    {
        if (left->is_asked || now - left->since_ms < chat->config->abandon_after_ms) continue;
        struct leaving *leaving = calloc(1, sizeof *leaving);
        if (!leaving) return;
        leaving->op = (struct kit_store_op){.run = run_leaving, .done = on_leaving};
        leaving->chat = chat;
        memcpy(leaving->chat_id, left->chat_id, sizeof leaving->chat_id);
        left->is_asked = true;
        chat_nodes_ask_owner(chat, left->chat_id, on_asked, leaving);
    }
}

void chat_sweep_left(struct chat *chat, const char *chat_id)
{
    struct chat_sweep *sweep = chat->sweep;
    struct chat_left *left;
    HASH_FIND_STR(sweep->left, chat_id, left);
    if (left || sweep->is_stopping) return;
    left = calloc(1, sizeof *left);
    if (!left) return;
    snprintf(left->chat_id, sizeof left->chat_id, "%s", chat_id);
    left->since_ms = eio_loop_now_ms(chat->kit->loop);
    HASH_ADD_STR(sweep->left, chat_id, left);
}

/* ------------------------------------------------------------------- module */

static void on_timer(void *ctx)
{
    struct chat_sweep *sweep = ctx;
    renew_leases(sweep, false);
    look_around(sweep);
    look_at_left(sweep);
    eio_timer_start(&sweep->timer, sweep->chat->config->turn_lease_ms / 3);
}

int chat_sweep_start(struct chat *chat)
{
    struct chat_sweep *sweep = chat->sweep = calloc(1, sizeof *sweep);
    if (!sweep) return EIO_ENOMEM;
    sweep->chat = chat;
    eio_timer_init(&sweep->timer, chat->kit->loop, on_timer, sweep);
    renew_leases(sweep, true);
    look_around(sweep);
    return eio_timer_start(&sweep->timer, chat->config->turn_lease_ms / 3);
}

void chat_sweep_pause(struct chat *chat)
{
    if (!chat->sweep) return;
    chat->sweep->is_stopping = true;
    eio_timer_stop(&chat->sweep->timer);
}

void chat_sweep_stop(struct chat *chat)
{
    struct chat_left *left, *next;
    if (!chat->sweep) return;
    HASH_ITER(hh, chat->sweep->left, left, next)
    {
        HASH_DEL(chat->sweep->left, left);
        free(left);
    }
    free(chat->sweep);
    chat->sweep = NULL;
}
