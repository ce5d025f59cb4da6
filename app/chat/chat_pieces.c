/* Pieces of text that wait for their chats' own logs (chat_pieces.h). */
#include "chat_pieces.h"

#include "kit_answer.h"
#include "kit_str.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ------------------------------------------------------------------- lines */

static void put_number(struct sio_builder *data, int64_t number)
{
    kit_put_int(data, number);
    sio_builder_put(data, "\t");
}

void chat_piece_put(struct sio_builder *data, const struct chat_piece_line *line)
{
    put_number(data, line->chat_key);
    put_number(data, line->seq);
    put_number(data, line->attempt);
    sio_builder_put_slice(data, sio_args_none(), line->ref_id);
    sio_builder_put(data, "\t");
    sio_builder_put_slice(data, sio_args_none(), line->fields);
    sio_builder_put(data, "\n");
}

/* Takes what stands before the separator off the text. */
static struct eio_str take_field(struct eio_str *text, char separator)
{
    const char *end = text->n ? memchr(text->p, separator, text->n) : NULL;
    struct eio_str field = {text->p, end ? (size_t)(end - text->p) : text->n};
    text->p += field.n + (end ? 1 : 0);
    text->n -= field.n + (end ? 1 : 0);
    return field;
}

static struct chat_piece_line read_line(struct eio_str text)
{
    struct chat_piece_line line;
    line.chat_key = strtoll(take_field(&text, '\t').p, NULL, 10);
    line.seq = strtoll(take_field(&text, '\t').p, NULL, 10);
    line.attempt = strtoll(take_field(&text, '\t').p, NULL, 10);
    line.ref_id = take_field(&text, '\t');
    line.fields = text;
    return line;
}

void chat_run_open(struct chat_run_walk *walk, const char *type, int64_t seq, struct eio_str payload)
{
    int64_t count = 1;
    if (!strcmp(type, CHAT_RUN))
        for (size_t i = 0; i < payload.n; i++) count += payload.p[i] == '\n';
    *walk = (struct chat_run_walk){.rest = payload, .seq = seq - count};
}

bool chat_run_each(struct chat_run_walk *walk, struct eio_str *fields)
{
    if (!walk->rest.n) return false;
    *fields = take_field(&walk->rest, '\n');
    walk->seq++;
    return true;
}

/* ----------------------------------------------------------------- reading */

/* Of a row's lines, those of the chat. Rows are of many chats: most lines are passed over without being read. */
static bool give_lines(struct eio_str data, int64_t chat_key, int64_t after_seq, chat_piece_fn fn, void *ctx)
{
    char mark[32];
    size_t n = (size_t)snprintf(mark, sizeof mark, "\n%lld\t", (long long)chat_key);
    bool is_first = data.n >= n - 1 && !memcmp(data.p, mark + 1, n - 1);
    const char *end = data.p + data.n, *at = is_first ? data.p : memmem(data.p, data.n, mark, n);
    while (at) {
        struct eio_str rest = {at + (*at == '\n'), 0};
        rest.n = (size_t)(end - rest.p);
        struct chat_piece_line line = read_line(take_field(&rest, '\n'));
        if (line.seq > after_seq && !fn(ctx, &line)) return false;
        at = memmem(rest.p - 1, rest.n + 1, mark, n);
    }
    return true;
}

int chat_pieces_each(struct kit_db *db, const char *owner, int64_t chat_key, int64_t after_seq, chat_piece_fn fn,
                     void *ctx, struct kit_failure *failure)
{
    struct kit_rows rows;
    if (!owner || !owner[0]) return 0;
    enum kit_step step = kit_db_query(db, &rows, "SELECT data FROM chat_pieces WHERE owner=? ORDER BY id", "t", owner);
    for (; step == KIT_ROW; step = kit_rows_next(&rows))
        if (!give_lines(kit_rows_bytes(&rows, 0), chat_key, after_seq, fn, ctx)) break;
    if (step == KIT_ROW) kit_rows_end(&rows);
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

static bool note_seq(void *ctx, const struct chat_piece_line *line)
{
    *(int64_t *)ctx = line->seq;
    return true;
}

int chat_pieces_last(struct kit_db *db, const char *owner, int64_t chat_key, int64_t *seq, struct kit_failure *failure)
{
    return chat_pieces_each(db, owner, chat_key, *seq, note_seq, seq, failure);
}

/* ----------------------------------------------------------------- settling */

static int store_run(struct kit_db *db, const struct chat_piece_line *last, const struct sio_builder *lines,
                     int64_t count, struct kit_failure *failure)
{
    if (kit_db_run(db, "INSERT INTO chat_log(chat, seq, ref_id, attempt, type, payload) VALUES (?, ?, ?, ?, ?, ?)",
                   "iibitb", last->chat_key, last->seq, last->ref_id.p, last->ref_id.n, last->attempt,
                   count > 1 ? CHAT_RUN : CHAT_TOKEN, lines->json, lines->size))
        return kit_db_fail(db, failure);
    return 0;
}

struct settling {
    struct sio_builder lines, ref_id;
    struct chat_piece_line last;
    int64_t count;
};

static bool add_line(void *ctx, const struct chat_piece_line *line)
{
    struct settling *settling = ctx;
    if (settling->count++)
        sio_builder_put(&settling->lines, "\n");
    else
        sio_builder_put_slice(&settling->ref_id, sio_args_none(), line->ref_id);
    sio_builder_put_slice(&settling->lines, sio_args_none(), line->fields);
    settling->last = *line;
    return true;
}

static int tell_owner(struct kit_db *db, const char *owner, int64_t chat_key, struct kit_failure *failure)
{
    if (kit_db_run(db, "INSERT INTO chat_settled(owner, chat, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", "tii",
                   owner, chat_key, (int64_t)time(NULL)))
        return kit_db_fail(db, failure);
    return 0;
}

static int store_settled(struct kit_db *db, const struct chat_settle *settle, struct settling *settling,
                         struct kit_failure *failure)
{
    if (settling->lines.error || settling->ref_id.error) return kit_fail(failure, 503, NULL, "out of memory");
    settling->last.ref_id = (struct eio_str){settling->ref_id.json, settling->ref_id.size};
    if (settling->count) {
        int code = store_run(db, &settling->last, &settling->lines, settling->count, failure);
        if (code) return code;
    }
    if (kit_db_run(db, "UPDATE chats SET seq = seq + ?, log_bytes = log_bytes + ?, pieces='' WHERE id=?", "iii",
                   settling->count, (int64_t)settling->lines.size, settle->chat_key))
        return kit_db_fail(db, failure);
    return settle->tells ? tell_owner(db, settle->owner, settle->chat_key, failure) : 0;
}

int chat_pieces_settle(struct kit_db *db, struct chat_settle *settle, struct kit_failure *failure)
{
    struct settling settling = {.count = 0};
    sio_builder_init(&settling.lines);
    sio_builder_open(&settling.lines);
    sio_builder_init(&settling.ref_id);
    sio_builder_open(&settling.ref_id);
    int code = chat_pieces_each(db, settle->owner, settle->chat_key, settle->after_seq, add_line, &settling, failure);
    if (!code) code = store_settled(db, settle, &settling, failure);
    settle->count = settling.count;
    sio_builder_clear(&settling.lines);
    sio_builder_clear(&settling.ref_id);
    return code;
}

int chat_run_store(struct kit_db *db, const char *owner, const struct chat_piece_line *last, const struct chat_run *run,
                   bool stays_open, struct kit_failure *failure)
{
    if (!run->is_open) return 0;
    int64_t changed = kit_db_change(
        db,
        "UPDATE chats SET seq=?, log_bytes = log_bytes + ?, pieces=?, pieces_row=(SELECT coalesce(max(id), 0) FROM"
        " chat_pieces) WHERE id=? AND pieces=? AND seq=?",
        "iititi", last->seq, (int64_t)run->lines.size, stays_open ? owner : "", last->chat_key, owner,
        last->seq - run->count);
    if (changed < 0) return kit_db_fail(db, failure);
    return changed && run->count ? store_run(db, last, &run->lines, run->count, failure) : 0;
}

int chat_run_begin(struct kit_db *db, const char *owner, int64_t chat_key, struct kit_failure *failure)
{
    if (kit_db_run(db,
                   "UPDATE chats SET pieces=?, pieces_row=(SELECT coalesce(max(id), 0) FROM chat_pieces) WHERE id=?",
                   "ti", owner, chat_key))
        return kit_db_fail(db, failure);
    return 0;
}

/* ---------------------------------------------------------------- dropping */

int chat_pieces_drop(struct kit_db *db, const char *owner, struct kit_failure *failure)
{
    if (kit_db_run(db,
                   "DELETE FROM chat_pieces WHERE owner=?1 AND id <= (SELECT coalesce(min(pieces_row),"
                   " 9000000000000000000) FROM chats WHERE pieces=?1 AND pieces<>'')",
                   "t", owner))
        return kit_db_fail(db, failure);
    return 0;
}

/* A process that lives and has nothing to say at the moment loses what it does not need. Its notices are kept for an
 * hour: if it lives, it has seen them long before. */
int chat_pieces_drop_others(struct kit_db *db, const char *owner, struct kit_failure *failure)
{
    if (kit_db_run(db,
                   "DELETE FROM chat_pieces WHERE owner<>? AND NOT EXISTS (SELECT 1 FROM chats WHERE pieces ="
                   " chat_pieces.owner AND pieces<>'')",
                   "t", owner) ||
        kit_db_run(db, "DELETE FROM chat_settled WHERE at<?", "i", (int64_t)time(NULL) - 3600))
        return kit_db_fail(db, failure);
    return 0;
}

/* The lines of other chats. */
static void put_others(struct sio_builder *out, struct eio_str data, int64_t chat_key)
{
    while (data.n) {
        struct eio_str line = take_field(&data, '\n');
        if (read_line(line).chat_key == chat_key) continue;
        sio_builder_put_slice(out, sio_args_none(), line);
        sio_builder_put(out, "\n");
    }
}

/* On PostgreSQL another deletion may have changed the row since it was read: *from stays, and it is read again. */
static int replace_data(struct kit_db *db, int64_t *from, struct eio_str data, const struct sio_builder *others,
                        struct kit_failure *failure)
{
    if (others->error) return kit_fail(failure, 503, NULL, "out of memory");
    int64_t changed =
        others->size ? kit_db_change(db, "UPDATE chat_pieces SET data=? WHERE id=? AND data=?", "bib", others->json,
                                     others->size, *from, data.p, data.n)
                     : kit_db_change(db, "DELETE FROM chat_pieces WHERE id=? AND data=?", "ib", *from, data.p, data.n);
    if (changed > 0) (*from)++;
    return changed < 0 ? kit_db_fail(db, failure) : 0;
}

/* The first row from this one on that has lines of the chat. */
static int forget_in_row(struct kit_db *db, int64_t chat_key, int64_t *from, bool *found, struct kit_failure *failure)
{
    struct kit_rows row;
    char first[32], later[32];
    snprintf(first, sizeof first, "%lld\t%%", (long long)chat_key);
    snprintf(later, sizeof later, "%%\n%lld\t%%", (long long)chat_key);
    enum kit_step step = kit_db_query(
        db, &row, "SELECT id, data FROM chat_pieces WHERE id>=? AND (data LIKE ? OR data LIKE ?) ORDER BY id LIMIT 1",
        "itt", *from, first, later);
    *found = step == KIT_ROW;
    if (!*found) return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
    *from = kit_rows_int(&row, 0);
    struct sio_builder data, others;
    sio_builder_init(&data);
    sio_builder_open(&data);
    sio_builder_init(&others);
    sio_builder_open(&others);
    sio_builder_put_slice(&data, sio_args_none(), kit_rows_bytes(&row, 1));
    kit_rows_end(&row);
    struct eio_str text = {data.json, data.size};
    put_others(&others, text, chat_key);
    int code = data.error ? kit_fail(failure, 503, NULL, "out of memory") : 0;
    if (!code) code = replace_data(db, from, text, &others, failure);
    sio_builder_clear(&data);
    sio_builder_clear(&others);
    return code;
}

int chat_pieces_forget(struct kit_db *db, const char *owner, int64_t chat_key, struct kit_failure *failure)
{
    int64_t from = 0;
    bool found = true;
    int code = owner[0] ? tell_owner(db, owner, chat_key, failure) : 0;
    if (!code) code = chat_pieces_drop_others(db, "", failure);
    while (!code && found) code = forget_in_row(db, chat_key, &from, &found, failure);
    return code;
}

void chat_run_clear(struct chat_run *run)
{
    sio_builder_clear(&run->lines);
    memset(run, 0, sizeof *run);
}
