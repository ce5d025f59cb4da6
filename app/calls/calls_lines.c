/* Many lines at once, as programs post them that come with a whole transcript. What takes time runs on a thread: the
 * text is checked, lines are read, numbered and stored. One piece of the list is one operation and one transaction;
 * between two pieces others have their turn, on the thread and on the loop. */
#include "calls_entry.h"

#include <stdlib.h>
#include <string.h>

#define PIECE_LINES 500
#define PIECE_BYTES 131072
#define SEND_LINES 8 /* at a stretch: each goes to all who watch */

struct list_op {
    struct kit_store_op op;
    struct calls *calls;
    struct kit_claims *claims;
    struct calls_reader reader;
    char call_id[KIT_ID_SIZE];
    calls_list_fn fn;
    void *ctx;
    char *text;
    size_t size;
    bool is_lines; /* one JSON object a line; else an array */
    bool is_open;
    struct sio_args rest; /* the elements that are not read */
    size_t index, count;  /* of the first of these; of all */
    /* The piece: those to be sent when it is durable, and where it began. */
    struct calls_record *records;
    size_t record_count, sent_count, piece_index, piece_duplicates, piece_failed;
    struct sio_args piece_rest;
    bool has_begun; /* the piece */
    int64_t piece_seq;
    struct calls_list_error errors[CALLS_LIST_ERRORS_MAX];
    struct calls_list_result result;
};

/* ------------------------------------------------------------ on a thread */

static void add_error(struct list_op *list, size_t index, const struct kit_failure *failure)
{
    if (list->result.error_count == CALLS_LIST_ERRORS_MAX) return;
    list->errors[list->result.error_count++] = (struct calls_list_error){index, *failure};
}

/* One element of the array, or one line of NDJSON, taken off the front of the text. n 0: the end. */
static struct eio_str next_text(struct list_op *list, struct sio_args *rest)
{
    if (!list->is_lines) {
        struct eio_str text = sio_args_at(*rest, 0);
        *rest = sio_args_skip(*rest, 1);
        return text;
    }
    struct eio_str text = {NULL, 0}, *all = &rest->json;
    while (all->n && !text.n) {
        const char *end = memchr(all->p, '\n', all->n);
        text = (struct eio_str){all->p, end ? (size_t)(end - all->p) : all->n};
        size_t taken = text.n + (end != NULL);
        *all = (struct eio_str){all->p + taken, all->n - taken};
        while (text.n && strchr(" \t\r", text.p[text.n - 1]) && text.p[text.n - 1]) text.n--;
    }
    return text;
}

static size_t count_texts(struct list_op *list)
{
    struct sio_args rest = list->rest;
    size_t count = 0;
    while (next_text(list, &rest).n) count++;
    return count;
}

static int open_array(struct list_op *list, struct eio_str text)
{
    struct kit_failure *failure = &list->result.failure;
    int code = kit_json_check(text, SIZE_MAX, failure); /* how deep a line is, is looked at with that line */
    if (code) return code;
    struct eio_str array = sio_args_at((struct sio_args){text, NULL, 0}, 0);
    if (array.p[0] != '[') return kit_fail(failure, 400, NULL, "the body is not a list");
    list->rest.json = (struct eio_str){array.p + 1, array.n - 2};
    return 0;
}

static int open_list(struct list_op *list)
{
    list->rest.json = (struct eio_str){list->text, list->size};
    if (!list->is_lines && open_array(list, list->rest.json)) return list->result.failure.code;
    if (!list->records) list->records = malloc(PIECE_LINES * sizeof *list->records);
    if (!list->records) return kit_fail(&list->result.failure, 503, NULL, "out of memory");
    list->count = count_texts(list);
    if (!list->count) return kit_fail(&list->result.failure, 400, NULL, "the list is empty");
    list->is_open = true;
    return 0;
}

/* Reads one line into the next record; what is wrong with it is the record's failure. Returns a code from 500 on if the
 * operation must fail. */
static int read_line(struct list_op *list, struct eio_str text)
{
    struct calls_record *record = &list->records[list->record_count++];
    *record = (struct calls_record){.now_ms = list->reader.now_ms,
                                    .rules = list->calls->alerts,
                                    .hooks = list->calls->hooks,
                                    .claims = list->claims};
    int code = kit_json_check(text, list->reader.config->io.max_depth - 1, &record->failure);
    if (!code) code = calls_entry_read(&record->entry, &list->reader, text, &record->failure);
    if (code < 500) return 0;
    list->op.failure = record->failure;
    return code;
}

/* Stores those that could be read. Returns a code from 500 on if the operation must fail. */
static int store_lines(struct kit_db *db, struct list_op *list)
{
    struct calls_record **good = malloc((list->record_count + 1) * sizeof *good);
    size_t count = 0;
    if (!good) return kit_fail(&list->op.failure, 503, NULL, "out of memory");
    for (size_t i = 0; i < list->record_count; i++)
        if (!list->records[i].failure.code) good[count++] = &list->records[i];
    int code = calls_batch_store(db, good, count, list->reader.config, &list->op.failure);
    free(good);
    return code;
}

/* Takes out of the piece what failed. */
static void count_piece(struct list_op *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->record_count; i++) {
        struct calls_record *record = &list->records[i];
        if (record->failure.code) {
            add_error(list, list->piece_index + i, &record->failure);
            calls_entry_clear(&record->entry);
            list->piece_failed++;
            continue;
        }
        if (record->call.seq > list->piece_seq) list->piece_seq = record->call.seq;
        list->piece_duplicates += record->duplicate;
        list->records[kept++] = *record;
    }
    list->record_count = kept;
}

static void clear_records(struct list_op *list)
{
    for (size_t i = 0; i < list->record_count; i++) calls_entry_clear(&list->records[i].entry);
    list->record_count = list->sent_count = list->piece_duplicates = list->piece_failed = 0;
    list->piece_seq = 0;
}

static void forget_errors(struct list_op *list)
{
    struct calls_list_result *result = &list->result;
    while (result->error_count && list->errors[result->error_count - 1].index >= list->piece_index)
        result->error_count--;
}

/* The operation may run more than once. */
static void begin_piece(struct list_op *list)
{
    if (list->has_begun) {
        list->rest = list->piece_rest;
        list->index = list->piece_index;
        forget_errors(list);
        clear_records(list);
    }
    list->has_begun = true;
    list->piece_rest = list->rest;
    list->piece_index = list->index;
}

static int run(struct kit_db *db, struct kit_store_op *op)
{
    struct list_op *list = (struct list_op *)(void *)op;
    size_t bytes = 0;
    if (!list->is_open && open_list(list)) return 0;
    begin_piece(list);
    for (size_t i = 0; i < PIECE_LINES && bytes < PIECE_BYTES; i++, list->index++) {
        struct eio_str text = next_text(list, &list->rest);
        if (!text.n) break;
        bytes += text.n;
        int code = read_line(list, text);
        if (code) return code;
    }
    int code = store_lines(db, list);
    if (!code) count_piece(list);
    return code;
}

/* ------------------------------------------------------------ on the loop */

static void free_list(struct list_op *list)
{
    if (!list) return;
    clear_records(list);
    kit_claims_unref(list->claims);
    free(list->records);
    free(list->text);
    free(list);
}

static void finish(struct list_op *list)
{
    list->result.errors = list->errors;
    list->fn(list->ctx, &list->result);
    free_list(list);
}

/* The piece was undone, and the store will not take the next one either. Unread, the whole list fails: how many lines
 * it has is unknown. */
static void fail_rest(struct list_op *list, const struct kit_failure *failure)
{
    struct calls_list_result *result = &list->result;
    if (list->is_open) {
        forget_errors(list);
        add_error(list, list->piece_index, failure);
        result->failed = list->count - result->stored - result->duplicates;
    } else {
        result->failure = *failure;
    }
    finish(list);
}

static void done(struct kit_store_op *op)
{
    struct list_op *list = (struct list_op *)(void *)op;
    struct calls_list_result *result = &list->result;
    if (op->failure.code) {
        fail_rest(list, &op->failure);
        return;
    }
    for (size_t i = 0; i < SEND_LINES && list->sent_count < list->record_count; i++)
        calls_record_send(list->calls, &list->records[list->sent_count++]);
    if (list->sent_count < list->record_count) {
        kit_job_put_off(&op->job);
        return;
    }
    result->stored += list->record_count - list->piece_duplicates;
    result->duplicates += list->piece_duplicates;
    result->failed += list->piece_failed;
    if (list->piece_seq > result->seq) result->seq = list->piece_seq;
    clear_records(list);
    list->has_begun = false;
    if (result->failure.code || list->index >= list->count)
        finish(list);
    else
        kit_store_again(op);
}

static struct list_op *make_list(struct calls *calls, const struct calls_feed_event *event)
{
    const struct kit *kit = calls->kit;
    struct list_op *list = calloc(1, sizeof *list);
    if (!list) return NULL;
    list->text = malloc(event->raw.n + 1);
    if (!list->text) {
        free_list(list);
        return NULL;
    }
    if (event->raw.n) memcpy(list->text, event->raw.p, event->raw.n);
    list->size = event->raw.n;
    list->op.run = run;
    list->op.done = done;
    list->op.writes = true;
    list->op.source = event->source;
    list->op.locks[0] = list->call_id;
    list->is_lines = event->is_lines;
    list->calls = calls;
    list->claims = kit_claims_ref((struct kit_claims *)(uintptr_t)event->claims);
    snprintf(list->call_id, sizeof list->call_id, "%s", event->call_id ? event->call_id : "");
    list->reader = (struct calls_reader){.config = kit->config,
                                         .schemas = kit->schemas,
                                         .redaction = calls->redaction,
                                         .kind = event->kind,
                                         .call_id = list->call_id,
                                         .claims = list->claims,
                                         .now_ms = (int64_t)eio_loop_unix_ms(kit->loop)};
    return list;
}

void calls_list_submit(struct calls *calls, const struct calls_feed_event *event, calls_list_fn fn, void *ctx)
{
    struct calls_list_result refused = {.seq = 0};
    struct list_op *list = calls->kit->draining ? NULL : make_list(calls, event);
    if (!list) {
        kit_fail(&refused.failure, 503, NULL, calls->kit->draining ? "the server is stopping" : "out of memory");
        fn(ctx, &refused);
        return;
    }
    list->fn = fn;
    list->ctx = ctx;
    if (!kit_store_submit(calls->kit->store, &list->op, sizeof *list + list->size)) return;
    refused.failure = list->op.failure;
    free_list(list);
    fn(ctx, &refused);
}
