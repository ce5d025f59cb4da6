/* Lines, stored together: their calls, and the lines that they repeat or correct, are looked up at once; they are
 * numbered here, one after another, and written at once. On PostgreSQL, where each statement is a way there and back,
 * there are as many statements for one line as for 500. */
#include "calls_entry.h"
#include "calls_text.h"
#include "kit_json.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* A call that lines of the batch are of. */
struct batch_call {
    char call_id[KIT_ID_SIZE];
    struct calls_call call; /* id 0: unknown call_id */
    int64_t now_ms;         /* of its last line; 0: nothing of it was stored */
    int64_t last_ms;        /* when the store heard of it last */
    UT_hash_handle hh;
};

struct segment_key {
    int64_t call;
    char segment_id[KIT_ID_SIZE];
};

/* The line that has a segment_id: stored before, or earlier in the batch. */
struct batch_segment {
    struct segment_key key;
    int64_t row; /* where it is stored; 0: it will be a new one */
    int64_t seq; /* 0: not stored yet */
    bool is_final;
    bool is_indexed; /* its words are in the index of texts */
    char *text, *speaker;
    size_t text_size;
    struct calls_record *record; /* of the batch; NULL: it was stored before */
    UT_hash_handle hh;
};

struct batch {
    struct kit_db *db;
    const struct kit_config *config;
    struct kit_failure *failure;
    struct calls_record *const *records;
    size_t count;
    struct batch_call *calls, *last_call;
    struct batch_segment *segments;
};

static int fail_memory(const struct batch *batch)
{
    return kit_fail(batch->failure, 503, NULL, "out of memory");
}

/* -------------------------------------------------------------------- calls */

/* Lines of one call stand together most of the time. */
static struct batch_call *find_call(struct batch *batch, const char *call_id)
{
    struct batch_call *call = batch->last_call;
    if (call && !strcmp(call->call_id, call_id)) return call;
    HASH_FIND_STR(batch->calls, call_id, call);
    if (call) batch->last_call = call;
    return call;
}

static int add_call(struct batch *batch, const char *call_id, struct kit_many *asked)
{
    if (find_call(batch, call_id)) return 0;
    struct batch_call *call = calloc(1, sizeof *call);
    if (!call) return fail_memory(batch);
    calls_copy_id(call->call_id, call_id);
    HASH_ADD_STR(batch->calls, call_id, call);
    batch->last_call = call;
    kit_many_add(asked, call->call_id);
    return 0;
}

static int ask_calls(struct batch *batch, const struct kit_many *asked)
{
    struct kit_rows rows;
    enum kit_step step =
        kit_db_query_many(batch->db, &rows, asked,
                          "SELECT c.id, c.status, c.started_ms, c.ended_ms, c.seq, c.call_id, c.last_ms FROM "
                          "/*sqlite*/calls AS c WHERE c.call_id = ?1/*end*/"
                          /* As in ask_segments(). */
                          "/*postgresql: unnest($1) AS g(call_id) CROSS JOIN LATERAL"
                          " (SELECT * FROM calls WHERE call_id = g.call_id LIMIT 1) AS c*/");
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        struct batch_call *call = find_call(batch, kit_rows_text(&rows, 5));
        if (!call) continue;
        calls_read_row(&rows, &call->call);
        call->last_ms = kit_rows_int(&rows, 6);
    }
    return step == KIT_FAILED ? kit_db_fail(batch->db, batch->failure) : 0;
}

static int load_calls(struct batch *batch)
{
    struct kit_many asked;
    int code = 0;
    kit_many_init(&asked, "t");
    for (size_t i = 0; i < batch->count && !code; i++) code = add_call(batch, batch->records[i]->entry.call_id, &asked);
    if (!code) code = ask_calls(batch, &asked);
    kit_many_clear(&asked);
    return code;
}

/* ----------------------------------------------------------------- segments */

static struct segment_key key_of(int64_t call, const char *segment_id)
{
    struct segment_key key = {.call = call};
    memcpy(key.segment_id, segment_id, strnlen(segment_id, sizeof key.segment_id - 1));
    return key;
}

static struct batch_segment *find_segment(const struct batch *batch, int64_t call, const char *segment_id)
{
    struct segment_key key = key_of(call, segment_id);
    struct batch_segment *segment;
    size_t size = offsetof(struct segment_key, segment_id) + strlen(segment_id);
    HASH_FIND(hh, batch->segments, &key, size, segment);
    return segment;
}

static int add_segment(struct batch *batch, int64_t call, const char *segment_id, struct kit_many *asked)
{
    if (find_segment(batch, call, segment_id)) return 0;
    struct batch_segment *segment = calloc(1, sizeof *segment);
    if (!segment) return fail_memory(batch);
    segment->key = key_of(call, segment_id);
    HASH_ADD(hh, batch->segments, key, offsetof(struct segment_key, segment_id) + strlen(segment_id), segment);
    kit_many_add(asked, call, segment->key.segment_id);
    return 0;
}

static int read_segment(const struct batch *batch, const struct kit_rows *rows)
{
    struct batch_segment *segment = find_segment(batch, kit_rows_int(rows, 5), kit_rows_text(rows, 6));
    if (!segment) return 0;
    struct eio_str text = kit_rows_bytes(rows, 2);
    segment->row = kit_rows_int(rows, 0);
    segment->is_final = segment->is_indexed = kit_rows_int(rows, 1);
    segment->seq = kit_rows_int(rows, 4);
    segment->text = malloc(text.n + 1);
    segment->speaker = strdup(kit_rows_text(rows, 3));
    if (!segment->text || !segment->speaker) return fail_memory(batch);
    if (text.n) memcpy(segment->text, text.p, text.n);
    segment->text_size = text.n;
    return 0;
}

static int ask_segments(const struct batch *batch, const struct kit_many *asked)
{
    struct kit_rows rows;
    int code = 0;
    enum kit_step step = kit_db_query_many(
        batch->db, &rows, asked,
        "/*sqlite*/"
        "SELECT id, is_final, text, speaker, seq, call, segment_id FROM segments WHERE call=? AND segment_id=?"
        "/*end*/"
        /* LIMIT keeps the planner from reading the table instead of the index while it is small. */
        "/*postgresql: SELECT s.id, s.is_final, s.text, s.speaker, s.seq, s.call, s.segment_id"
        " FROM unnest($1, $2) AS g(call, segment_id) CROSS JOIN LATERAL"
        " (SELECT * FROM segments WHERE call = g.call AND segment_id = g.segment_id LIMIT 1) AS s*/");
    for (; step == KIT_ROW && !code; step = kit_rows_next(&rows)) code = read_segment(batch, &rows);
    if (code) kit_rows_end(&rows);
    return step == KIT_FAILED && !code ? kit_db_fail(batch->db, batch->failure) : code;
}

static int load_segments(struct batch *batch)
{
    struct kit_many asked;
    int code = 0;
    kit_many_init(&asked, "it");
    for (size_t i = 0; i < batch->count && !code; i++) {
        const struct calls_entry *entry = &batch->records[i]->entry;
        const struct batch_call *call = find_call(batch, entry->call_id);
        if (call->call.id && entry->segment_id[0]) code = add_segment(batch, call->call.id, entry->segment_id, &asked);
    }
    if (!code) code = ask_segments(batch, &asked);
    kit_many_clear(&asked);
    return code;
}

/* ---------------------------------------------------------------- numbering */

/* The last words of a call come after its end, since who recognises them needs a moment. */
static bool is_too_late(const struct calls_record *record, const struct kit_config *config)
{
    if (!record->call.ended_ms) return false;
    uint32_t late_final_s = calls_config(config)->late_final_s;
    return !record->entry.is_final || record->now_ms - record->call.ended_ms > (int64_t)late_final_s * 1000 ||
           !late_final_s;
}

/* What a recogniser guessed before the final text arrives late; the same thing twice is a repeat. */
static void compare(struct calls_record *record, const struct batch_segment *segment)
{
    const struct calls_entry *entry = &record->entry;
    const struct calls_record *other = segment->record;
    const char *text = other ? other->entry.text : segment->text;
    const char *speaker = other ? other->entry.speaker : segment->speaker;
    size_t size = other ? other->entry.text_size : segment->text_size;
    bool same = size == entry->text_size && !memcmp(text, entry->text, size) && !strcmp(speaker, entry->speaker);
    record->duplicate = segment->is_final == entry->is_final ? same : segment->is_final;
    if (record->duplicate) record->call.seq = segment->seq;
    if (segment->is_final && !record->duplicate) record->replaces = segment->seq;
}

/* The line takes the place of what has its segment_id. */
static int overwrite(struct batch *batch, struct batch_segment *segment, struct calls_record *record)
{
    int code = 0;
    if (segment->is_indexed)
        code = calls_text_drop(batch->db, record->call.id, segment->seq, segment->seq, batch->failure);
    segment->is_indexed = false;
    if (segment->record) segment->record->is_overwritten = true;
    segment->record = record;
    segment->seq = record->call.seq;
    segment->is_final = record->entry.is_final;
    record->row = segment->row;
    return code;
}

static int number(struct batch *batch, struct calls_record *record)
{
    struct sio_builder *json = &record->entry.json;
    struct batch_call *call = find_call(batch, record->entry.call_id);
    struct batch_segment *segment = NULL;
    if (!call->call.id) {
        kit_fail(&record->failure, 404, "/call_id", "call not found");
        return 0;
    }
    record->call = call->call;
    record->numbers = &call->call;
    if (record->entry.segment_id[0]) segment = find_segment(batch, call->call.id, record->entry.segment_id);
    if (segment && segment->seq) compare(record, segment);
    if (record->duplicate) return 0;
    if (is_too_late(record, batch->config)) {
        kit_fail(&record->failure, 409, "/call_id", "the call has ended");
        return 0;
    }
    record->call.seq = ++call->call.seq;
    call->now_ms = record->now_ms;
    if (record->replaces) {
        sio_builder_put(json, ",\"replaces\":");
        kit_put_int(json, record->replaces);
    }
    record->stored_size = json->size;
    int code = segment ? overwrite(batch, segment, record) : 0;
    return code ? code : calls_record_complete(batch->db, record, batch->failure);
}

/* ------------------------------------------------------------------ writing */

/* What is written, with the arguments of the statements. */
struct writing {
    struct kit_many fresh, changed, texts, calls, heard;
    int64_t last_row, indexed; /* ids: of the last line, and up to where the index of texts is */
    char *words;               /* of all lines, where the engine gets them as such; else NULL */
    size_t words_size;
};

static bool is_written(const struct calls_record *record)
{
    return !record->failure.code && !record->duplicate && !record->is_overwritten;
}

/* Guesses are not searched. */
static struct eio_str put_words(struct writing *writing, const struct calls_entry *entry)
{
    struct eio_str words = {NULL, 0};
    if (!writing->words || !entry->is_final) return words;
    words.p = writing->words + writing->words_size;
    words.n =
        calls_text_words((struct eio_str){entry->text, entry->text_size}, " ", writing->words + writing->words_size);
    writing->words_size += words.n + 1;
    return words;
}

static void add_line(struct writing *writing, struct calls_record *record)
{
    const struct calls_entry *entry = &record->entry;
    const char *segment_id = entry->segment_id[0] ? entry->segment_id : NULL;
    int64_t call = record->call.id, seq = record->call.seq, is_final = entry->is_final;
    struct eio_str words = put_words(writing, entry);
    if (record->row) {
        kit_many_add(&writing->changed, seq, is_final, entry->speaker, entry->text, entry->text_size, entry->json.json,
                     record->stored_size, record->row, words.p, words.n);
    } else {
        record->row = ++writing->last_row;
        kit_many_add(&writing->fresh, call, seq, segment_id, is_final, entry->speaker, entry->text, entry->text_size,
                     entry->json.json, record->stored_size, record->row, words.p, words.n);
    }
    if (is_final && record->row <= writing->indexed)
        kit_many_add(&writing->texts, record->row, entry->text, entry->text_size, call);
}

static int write_all(struct kit_db *db, const struct writing *writing, struct kit_failure *failure)
{
    if (kit_db_run_many(
            db, &writing->fresh,
            "INSERT INTO segments(call, seq, segment_id, is_final, speaker, text, json"
            "/*sqlite*/, id/*end*//*postgresql: , words*/)"
            "/*sqlite*/ VALUES (?,?,?,?,?,?,? || '}',?)/*end*/"
            "/*postgresql: SELECT call, seq, segment_id, is_final, speaker, text, json || '}', CAST(words AS tsvector)"
            " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)"
            " AS g(call, seq, segment_id, is_final, speaker, text, json, row, words)*/") ||
        kit_db_run_many(db, &writing->changed,
                        "/*sqlite*/UPDATE segments SET seq=?, is_final=?, speaker=?, text=?, json=? || '}' WHERE id=?"
                        "/*end*/"
                        "/*postgresql: UPDATE segments SET seq = g.seq, is_final = g.is_final, speaker = g.speaker,"
                        " text = g.text, json = g.json || '}', words = CAST(g.words AS tsvector)"
                        " FROM unnest($1, $2, $3, $4, $5, $6, $7) AS g(seq, is_final, speaker, text, json, row, words)"
                        " WHERE segments.id = g.row*/") ||
        kit_db_run_many(db, &writing->calls,
                        "/*sqlite*/UPDATE calls SET seq=? WHERE id=?/*end*/"
                        "/*postgresql: UPDATE calls SET seq = g.seq"
                        " FROM unnest($1, $2) AS g(seq, id) WHERE calls.id = g.id*/") ||
        kit_db_run_many(db, &writing->heard,
                        "/*sqlite*/UPDATE calls SET seq=?, last_ms=? WHERE id=?/*end*/"
                        "/*postgresql: UPDATE calls SET seq = g.seq, last_ms = g.last_ms"
                        " FROM unnest($1, $2, $3) AS g(seq, last_ms, id) WHERE calls.id = g.id*/"))
        return kit_db_fail(db, failure);
    return calls_text_put(db, &writing->texts, failure);
}

/* An engine that numbers its rows by itself has no answer. */
static int find_last_row(struct batch *batch, struct writing *writing)
{
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(batch->db, &row,
                     "/*sqlite*/"
                     "SELECT coalesce(max(id), 0), (SELECT indexed FROM segments_text_state WHERE id = 1) FROM segments"
                     "/*end*/",
                     "");
    writing->last_row = step == KIT_ROW ? kit_rows_int(&row, 0) : 0;
    writing->indexed = step == KIT_ROW ? kit_rows_int(&row, 1) : 0;
    kit_rows_end(&row);
    return step == KIT_FAILED ? kit_db_fail(batch->db, batch->failure) : 0;
}

/* The time of the last line changes an index, so it is written once in a while: calls_heard_step_ms(). */
static void add_call_changes(const struct batch *batch, struct writing *writing)
{
    int64_t step_ms = calls_heard_step_ms(batch->config);
    for (const struct batch_call *call = batch->calls; call; call = call->hh.next) {
        if (!call->now_ms) continue;
        if (call->now_ms - call->last_ms < step_ms)
            kit_many_add(&writing->calls, call->call.seq, call->call.id);
        else
            kit_many_add(&writing->heard, call->call.seq, call->now_ms, call->call.id);
    }
}

static int make_room_for_words(const struct batch *batch, struct writing *writing)
{
    size_t size = 1;
    if (!batch->config->store[0]) return 0; /* calls_text_put() */
    for (size_t i = 0; i < batch->count; i++) size += CALLS_TEXT_WORDS_SIZE(batch->records[i]->entry.text_size);
    writing->words = malloc(size);
    return writing->words ? 0 : fail_memory(batch);
}

static int write_lines(struct batch *batch)
{
    struct writing writing = {.words = NULL};
    bool has_words = batch->config->store[0] != 0;
    kit_many_init(&writing.fresh, has_words ? "iititbbib" : "iititbbi");
    kit_many_init(&writing.changed, has_words ? "iitbbib" : "iitbbi");
    kit_many_init(&writing.texts, CALLS_TEXT_FORMAT);
    kit_many_init(&writing.calls, "ii");
    kit_many_init(&writing.heard, "iii");
    int code = find_last_row(batch, &writing);
    if (!code) code = make_room_for_words(batch, &writing);
    for (size_t i = 0; i < batch->count && !code; i++)
        if (is_written(batch->records[i])) add_line(&writing, batch->records[i]);
    add_call_changes(batch, &writing);
    if (!code) code = write_all(batch->db, &writing, batch->failure);
    kit_many_clear(&writing.fresh);
    kit_many_clear(&writing.changed);
    kit_many_clear(&writing.texts);
    kit_many_clear(&writing.calls);
    kit_many_clear(&writing.heard);
    free(writing.words);
    return code;
}

/* ---------------------------------------------------------------------- all */

static void clear_batch(struct batch *batch)
{
    struct batch_call *call, *next_call;
    struct batch_segment *segment, *next_segment;
    for (size_t i = 0; i < batch->count; i++) batch->records[i]->numbers = NULL;
    HASH_ITER(hh, batch->calls, call, next_call)
    {
        HASH_DEL(batch->calls, call);
        free(call);
    }
    HASH_ITER(hh, batch->segments, segment, next_segment)
    {
        HASH_DEL(batch->segments, segment);
        free(segment->text);
        free(segment->speaker);
        free(segment);
    }
}

int calls_batch_store(struct kit_db *db, struct calls_record *const *records, size_t count,
                      const struct kit_config *config, struct kit_failure *failure)
{
    struct batch batch = {.db = db, .config = config, .failure = failure, .records = records, .count = count};
    for (size_t i = 0; i < count; i++) calls_record_begin(records[i]);
    int code = load_calls(&batch);
    if (!code) code = load_segments(&batch);
    for (size_t i = 0; i < count && !code; i++) code = number(&batch, records[i]);
    if (!code) code = write_lines(&batch);
    clear_batch(&batch);
    return code;
}
