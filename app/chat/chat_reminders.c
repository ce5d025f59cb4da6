/* Each process looks for what is due when the next one is that it knows of, and every few seconds for those of others.
 * Who marks a reminder as said, in the transaction that puts it into the log, has said it. */
#include "chat_reminders.h"

#include "chat_turn_store.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 5000, DUE_MAX = 32 /* at a time */, TEXT_SIZE = 1024 };

struct chat_reminders {
    struct chat *chat;
    struct eio_timer timer;
    bool is_looking, is_stopping;
};

int chat_reminder_add(struct kit_db *db, const struct chat *chat, int64_t chat_key,
                      const struct chat_reminder *reminder, struct kit_failure *failure)
{
    struct kit_rows rows;
    if (kit_db_query(db, &rows, "SELECT count(*) FROM chat_reminders WHERE chat=? AND is_said=0", "i", chat_key) !=
        KIT_ROW)
        return kit_db_fail(db, failure);
    int64_t count = kit_rows_int(&rows, 0);
    kit_rows_end(&rows);
    if (count >= (int64_t)chat->config->reminders_max)
        return kit_fail(failure, 429, NULL, "this chat has %lld reminder%s already", (long long)count,
                        kit_s((unsigned long long)count));
    if (kit_db_run(db, "INSERT INTO chat_reminders(reminder_id, chat, text, at_ms) VALUES (?, ?, ?, ?)", "titi",
                   reminder->id, chat_key, reminder->text, reminder->at_ms))
        return kit_db_fail(db, failure);
    return 0;
}

/* --------------------------------------------------------------------- due */

struct due {
    struct kit_store_op op;
    struct chat *chat;
    int64_t key, chat_key, at_ms, now_ms;
    char id[KIT_ID_SIZE], chat_id[KIT_ID_SIZE], text[TEXT_SIZE];
    struct chat_batch batch;
};

static int add_history(struct kit_db *db, struct due *due)
{
    struct chat_turn_row turn = {.attempt = 1};
    struct chat_row row;
    char at[25];
    kit_time_text((uint64_t)due->at_ms, at);
    json_t *data = json_pack("{s:s, s:s}", "reminder", due->id, "at", at);
    struct chat_history_row said = {"component", due->text, data};
    int code = chat_read_row(db, due->chat_key, &row, &due->op.failure);
    snprintf(turn.ref_id, sizeof turn.ref_id, "%s", due->id);
    if (!code) memcpy(turn.session_id, row.session_id, sizeof turn.session_id);
    if (!code) memcpy(turn.intent_id, row.intent_id, sizeof turn.intent_id);
    if (!code) code = chat_history_add(db, &row, &turn, &said, due->now_ms, &due->op.failure);
    json_decref(data);
    return code;
}

static int run_due(struct kit_db *db, struct kit_store_op *op)
{
    struct due *due = KIT_OWNER(op, struct due, op);
    char at[25];
    chat_batch_rewind(&due->batch);
    int64_t changed = kit_db_change(db, "UPDATE chat_reminders SET is_said=1 WHERE id=? AND is_said=0", "i", due->key);
    if (changed == KIT_FAILED) return kit_db_fail(db, &op->failure);
    if (!changed) return 0; /* another process was faster */
    kit_time_text((uint64_t)due->at_ms, at);
    chat_batch_add(&due->batch, "reminder.due",
                   json_pack("{s:s, s:s, s:s}", "id", due->id, "text", due->text, "at", at));
    int code = add_history(db, due);
    return code ? code : chat_batch_write(db, due->chat_key, &due->batch, &op->failure);
}

static void on_due(struct kit_store_op *op)
{
    struct due *due = KIT_OWNER(op, struct due, op);
    if (!op->failure.code && due->batch.count) {
        due->chat->counters.reminders++;
        chat_batch_send(due->chat, &due->batch);
    }
    chat_batch_clear(&due->batch);
    free(due);
}

static void begin_due(struct chat *chat, const struct due *found)
{
    struct due *due = malloc(sizeof *due);
    if (!due) return; /* it is still due at the next look */
    *due = *found;
    due->op = (struct kit_store_op){.writes = true, .locks = {due->chat_id}, .run = run_due, .done = on_due};
    chat_batch_init(&due->batch, due->chat_id);
    if (!kit_store_submit(chat->kit->store, &due->op, sizeof *due)) return;
    chat_batch_clear(&due->batch);
    free(due);
}

/* -------------------------------------------------------------------- look */

struct look {
    struct kit_store_op op;
    struct chat *chat;
    int64_t now_ms, next_ms; /* next_ms 0: none before the next look */
    size_t count;
    struct due list[DUE_MAX];
};

static void copy_column(char *out, size_t size, const struct kit_rows *rows, int column)
{
    const char *text = kit_rows_text(rows, column);
    snprintf(out, size, "%s", text ? text : "");
}

static int run_look(struct kit_db *db, struct kit_store_op *op)
{
    struct look *look = KIT_OWNER(op, struct look, op);
    struct kit_rows rows;
    look->count = 0;
    look->next_ms = 0;
    enum kit_step step =
        kit_db_query(db, &rows,
                     "SELECT r.id, r.reminder_id, r.chat, c.chat_id, r.text, r.at_ms"
                     " FROM chat_reminders r CROSS JOIN chats c WHERE c.id = r.chat AND r.is_said=0 AND r.at_ms<=?"
                     " ORDER BY r.at_ms LIMIT ?",
                     "ii", look->now_ms + LOOK_MS, (int64_t)DUE_MAX);
    for (; step == KIT_ROW && !look->next_ms; step = kit_rows_next(&rows)) {
        struct due *due = &look->list[look->count];
        due->at_ms = kit_rows_int(&rows, 5);
        if (due->at_ms > look->now_ms) {
            look->next_ms = due->at_ms;
            continue;
        }
        *due = (struct due){.chat = look->chat,
                            .key = kit_rows_int(&rows, 0),
                            .chat_key = kit_rows_int(&rows, 2),
                            .at_ms = due->at_ms,
                            .now_ms = look->now_ms};
        copy_column(due->id, sizeof due->id, &rows, 1);
        copy_column(due->chat_id, sizeof due->chat_id, &rows, 3);
        copy_column(due->text, sizeof due->text, &rows, 4);
        look->count++;
    }
    if (step == KIT_ROW) kit_rows_end(&rows);
    return step == KIT_FAILED ? kit_db_fail(db, &op->failure) : 0;
}

static void set_timer(struct chat_reminders *reminders, int64_t at_ms)
{
    int64_t now_ms = (int64_t)eio_loop_unix_ms(reminders->chat->kit->loop), wait_ms = at_ms - now_ms;
    if (wait_ms < 0) wait_ms = 0;
    if (wait_ms > LOOK_MS || !at_ms) wait_ms = LOOK_MS;
    if (!reminders->is_stopping) eio_timer_start(&reminders->timer, (uint64_t)wait_ms);
}

static void on_looked(struct kit_store_op *op)
{
    struct look *look = KIT_OWNER(op, struct look, op);
    struct chat_reminders *reminders = look->chat->reminders;
    reminders->is_looking = false;
    for (size_t i = 0; i < look->count && !op->failure.code && !reminders->is_stopping; i++)
        begin_due(look->chat, &look->list[i]);
    /* Those that did not fit into the list are due as well. */
    set_timer(reminders, look->count == DUE_MAX ? look->now_ms : look->next_ms);
    free(look);
}

static void on_timer(void *ctx)
{
    struct chat_reminders *reminders = ctx;
    struct chat *chat = reminders->chat;
    struct look *look = reminders->is_looking ? NULL : calloc(1, sizeof *look);
    if (!look) return set_timer(reminders, 0);
    look->op = (struct kit_store_op){.run = run_look, .done = on_looked};
    look->chat = chat;
    look->now_ms = (int64_t)eio_loop_unix_ms(chat->kit->loop);
    /* Behind the writes: what is on its way to be said is not looked at again. */
    reminders->is_looking = !kit_store_submit(chat->kit->store, &look->op, sizeof *look);
    if (reminders->is_looking) return;
    free(look);
    set_timer(reminders, 0);
}

void chat_reminders_look_at(struct chat *chat, int64_t at_ms)
{
    struct chat_reminders *reminders = chat->reminders;
    int64_t now_ms = (int64_t)eio_loop_unix_ms(chat->kit->loop);
    if (at_ms - now_ms < LOOK_MS && !reminders->is_looking) set_timer(reminders, at_ms);
}

int chat_reminders_start(struct chat *chat)
{
    chat->reminders = calloc(1, sizeof *chat->reminders);
    if (!chat->reminders) return EIO_ENOMEM;
    chat->reminders->chat = chat;
    eio_timer_init(&chat->reminders->timer, chat->kit->loop, on_timer, chat->reminders);
    return eio_timer_start(&chat->reminders->timer, 0);
}

void chat_reminders_pause(struct chat *chat)
{
    if (!chat->reminders) return;
    chat->reminders->is_stopping = true;
    eio_timer_stop(&chat->reminders->timer);
}

void chat_reminders_stop(struct chat *chat)
{
    free(chat->reminders);
    chat->reminders = NULL;
}
