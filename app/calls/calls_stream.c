/* Lines of a transcript that are posted while they are said: NDJSON, of which each line is stored when it is here and
 * not when the body ends. What has come while lines are being stored waits, up to a limit; then the client does. */
#include "calls_int.h"
#include "kit_dismiss.h"

#include <stdlib.h>
#include <string.h>

#define WAITING_BYTES 65536 /* above, nothing more is read */

struct calls_stream {
    struct calls *calls;
    struct kit_request *request;
    char *text; /* that waits; what is behind the last line break is not whole yet */
    size_t size, capacity;
    bool is_storing, has_ended, is_lost /* the client is gone */;
    struct kit_stay stay;
    struct kit_failure dismissal; /* code 0: the user may still post */
    struct eio_timer timer;       /* when the user may ask for more */
    size_t index;                 /* of the next line */
    struct calls_list_result total;
    struct calls_list_error errors[CALLS_LIST_ERRORS_MAX];
};

static void store_lines(struct calls_stream *stream);

/* ---------------------------------------------------------------------- end */

static void end_stream(struct calls_stream *stream, int status)
{
    struct kit_request *request = stream->request;
    struct calls_list_result total = stream->total;
    struct calls_list_error *errors = stream->errors;
    if (status) request->status = status;
    if (!total.failure.code && !stream->index) kit_fail(&total.failure, 400, NULL, "the list is empty");
    total.errors = errors;
    eio_timer_stop(&stream->timer);
    kit_stay_end(&stream->stay);
    if (request->http) eio_http_request_on_abort(request->http, NULL, NULL);
    calls_http_finish_list(request, &total);
    free(stream->text);
    free(stream);
}

static void fail_stream(struct calls_stream *stream, int code, const char *why)
{
    struct calls_list_result *total = &stream->total;
    total->failed++;
    if (total->error_count < CALLS_LIST_ERRORS_MAX) {
        struct calls_list_error *error = &stream->errors[total->error_count++];
        error->index = stream->index;
        kit_fail(&error->failure, code, NULL, "%s", why);
    }
    stream->index++;
    end_stream(stream, code);
}

/* What concerns all that is left: an answer of its own if nothing was stored. */
static void refuse_stream(struct calls_stream *stream, const struct kit_failure *failure)
{
    if (!stream->index) stream->total.failure = *failure;
    fail_stream(stream, failure->code, failure->message);
}

/* The user may not any longer: what is being stored is, what waits is not. */
static void on_dismissed(struct kit_stay *stay, const struct kit_failure *failure)
{
    struct calls_stream *stream = KIT_OWNER(stay, struct calls_stream, stay);
    stream->dismissal = *failure;
    if (!stream->is_storing) refuse_stream(stream, failure);
}

/* ------------------------------------------------------------------- storing */

/* Returns the code of a failure after which no more is read: the client sends the rest again. */
static int add_result(struct calls_stream *stream, const struct calls_list_result *result)
{
    struct calls_list_result *total = &stream->total;
    int code = 0;
    total->stored += result->stored;
    total->duplicates += result->duplicates;
    total->failed += result->failed;
    if (result->seq > total->seq) total->seq = result->seq;
    for (size_t i = 0; i < result->error_count; i++) {
        if (result->errors[i].failure.code >= 500) code = result->errors[i].failure.code;
        if (total->error_count == CALLS_LIST_ERRORS_MAX) continue;
        stream->errors[total->error_count] = result->errors[i];
        stream->errors[total->error_count++].index += stream->index;
    }
    stream->index += result->stored + result->duplicates + result->failed;
    return code;
}

static void on_stored(void *ctx, const struct calls_list_result *result)
{
    struct calls_stream *stream = ctx;
    stream->is_storing = false;
    if (result->failure.code) {
        refuse_stream(stream, &result->failure);
        return;
    }
    int code = add_result(stream, result);
    if (code)
        end_stream(stream, code);
    else if (stream->dismissal.code)
        refuse_stream(stream, &stream->dismissal);
    else
        store_lines(stream);
}

/* The bytes of whole lines that wait. */
static size_t whole_lines(const struct calls_stream *stream)
{
    if (!stream->size || (stream->has_ended && !stream->is_lost)) return stream->size;
    const char *last = memrchr(stream->text, '\n', stream->size);
    return last ? (size_t)(last - stream->text) + 1 : 0;
}

static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!memchr(" \t\r\n", text[i], 4)) return false;
    return true;
}

/* False: not yet; the timer goes on with it. */
static bool may_store(struct calls_stream *stream, size_t size)
{
    struct kit_failure failure = {0, "", ""};
    if (!stream->request->http || !kit_request_spend(stream->request, size, &failure)) return true;
    eio_timer_start(&stream->timer, failure.retry_after_ms ? failure.retry_after_ms : KIT_RETRY_AFTER_MS);
    return false;
}

/* The lines may be stored, and the stream gone, before this returns. */
static void submit(struct calls_stream *stream, size_t size)
{
    const struct kit_request *request = stream->request;
    char *text = stream->text;
    size_t left = stream->size - size;
    char *rest = malloc(left + 1);
    if (!rest) {
        fail_stream(stream, 503, "out of memory");
        return;
    }
    memcpy(rest, text + size, left);
    stream->text = rest;
    stream->size = left;
    stream->capacity = left + 1;
    stream->is_storing = true;
    if (request->http) eio_http_request_pause(request->http, left >= WAITING_BYTES);
    struct calls_feed_event event = {.kind = CALLS_FEED_LINE,
                                     .raw = {text, size},
                                     .call_id = request->about,
                                     .claims = request->claims,
                                     .source = request->op.source,
                                     .is_lines = true};
    calls_list_submit(stream->calls, &event, on_stored, stream);
    free(text);
}

/* May free the stream. */
static void store_lines(struct calls_stream *stream)
{
    const struct kit_request *request = stream->request;
    size_t size = whole_lines(stream);
    if (stream->is_storing || eio_timer_running(&stream->timer)) return;
    if (size && is_blank(stream->text, size)) {
        memmove(stream->text, stream->text + size, stream->size - size);
        stream->size -= size;
        size = 0;
    }
    if (size) {
        if (may_store(stream, size)) submit(stream, size);
    } else if (stream->has_ended) {
        end_stream(stream, 0);
    } else if (stream->size > request->kit->config->event_max_bytes) {
        fail_stream(stream, 413, "the line is too long");
    } else if (request->http) {
        eio_http_request_pause(request->http, false);
    }
}

static void on_timer(void *ctx)
{
    store_lines(ctx);
}

/* ------------------------------------------------------------------- reading */

static void on_piece(void *ctx, struct eio_str piece)
{
    struct calls_stream *stream = ctx;
    if (stream->size + piece.n > stream->capacity) {
        size_t capacity = (stream->size + piece.n) * 2;
        char *text = realloc(stream->text, capacity);
        if (!text) {
            if (!stream->is_storing) fail_stream(stream, 503, "out of memory");
            return;
        }
        stream->text = text;
        stream->capacity = capacity;
    }
    memcpy(stream->text + stream->size, piece.p, piece.n);
    stream->size += piece.n;
    if (stream->size >= WAITING_BYTES) eio_http_request_pause(stream->request->http, true);
    store_lines(stream);
}

static void on_end(void *ctx)
{
    struct calls_stream *stream = ctx;
    stream->has_ended = true;
    store_lines(stream);
}

/* Whole lines that have come are stored all the same. */
static void on_abort(void *ctx)
{
    struct calls_stream *stream = ctx;
    stream->request->http = NULL;
    stream->has_ended = stream->is_lost = true;
    eio_timer_stop(&stream->timer);
    store_lines(stream);
}

void calls_stream_begin(struct kit_request *request)
{
    struct calls_stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        kit_fail(&request->op.failure, 503, NULL, "out of memory");
        kit_request_finish(request);
        return;
    }
    stream->calls = request->state;
    stream->request = request;
    eio_timer_init(&stream->timer, request->kit->loop, on_timer, stream);
    kit_stay_begin(&stream->stay, request, on_dismissed);
    eio_http_request_on_abort(request->http, on_abort, stream);
    if (!eio_http_request_read(request->http, on_piece, on_end, stream)) on_end(stream); /* it has no body */
}
