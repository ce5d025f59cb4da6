/* GET /api/v1/calls/{call_id}/export: the final lines of a call as WebVTT, SubRip, JSON or text. It is read
 * and sent in pieces, the next when the client has taken the last, and one export of a user is read at a time, so that
 * others' reads come in between. What the pieces take is charged to the user like snapshots. */
#include "calls_int.h"
#include "kit_http.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MS 2000                                       /* how long a line is shown if it does not name its end */
#define CLOCK_MAX_MS (999999 * INT64_C(3600000) + 3599999) /* above: hours that readers of subtitles do not take */
#define PIECE_LINES 200
#define PIECE_BYTES 131072
#define EXPORT_BYTES (2 * PIECE_BYTES) /* that an export takes: a piece being made or sent */
#define RETRY_MS 1000

enum format { VTT, SRT, JSON, TEXT };
static const char *const format_names[] = {"vtt", "srt", "json", "text"};

/* A line, which is put once the next one's begin is known. */
struct cue {
    bool is_set;
    int64_t begin_ms, end_ms; /* since the call began; end -1: it does not say */
    char speaker[KIT_ID_SIZE];
    char *text; /* as one line */
    size_t size;
};

struct export
{
    struct kit_request request;
    enum format format;
    struct sio_builder out;
    size_t count;
    int64_t started_ms;
    bool has_begun, is_whole;
    struct eio_http_stream *stream; /* NULL: not begun, or gone */
    bool is_reading, is_gone;       /* a piece is being read; the client went away */
    size_t charge, sent;
    int64_t seq; /* of the last line that was read */
    struct cue cue;
};

static int read_export(struct kit_request *request, const json_t *payload)
{
    struct export *export = KIT_REQUEST(export, request);
    const char *format = json_string_value(json_object_get(payload, "format"));
    sio_builder_init(&export->out);
    sio_builder_open(&export->out);
    export->format = JSON;
    for (int i = 0; format && i < 4; i++)
        if (!strcmp(format, format_names[i])) export->format = (enum format)i;
    return 0;
}

/* -------------------------------------------------------------------- times */

bool calls_read_time(struct eio_str json, int64_t *ms)
{
    char text[48];
    if (json.n < 20 || json.n > sizeof text) return false;
    snprintf(text, sizeof text, "%.*s", (int)json.n - 2, json.p + 1);
    return kit_read_date_time(text, ms);
}

/* A number of milliseconds of the line's object; -1: it has none. */
static int64_t read_ms(struct eio_str json, const char *name)
{
    struct eio_str value = sio_json_member(json, name);
    if (!value.n || value.n > 15 || (value.p[0] < '0' || value.p[0] > '9')) return -1;
    return strtoll(value.p, NULL, 10);
}

static void put_clock(struct sio_builder *out, int64_t ms, char mark)
{
    char text[48];
    snprintf(text, sizeof text, "%02lld:%02d:%02d%c%03d", (long long)(ms / 3600000), (int)(ms / 60000 % 60),
             (int)(ms / 1000 % 60), mark, (int)(ms % 1000));
    sio_builder_put(out, text);
}

/* --------------------------------------------------------------------- cues */

/* Text in which nothing is a mark of the format: line ends become blanks, and for WebVTT "<", ">" and "&" entities. */
static void put_plain(struct sio_builder *out, const char *p, size_t n, enum format format)
{
    for (size_t i = 0; i < n;) {
        size_t run = 0;
        while (i + run < n && !strchr("<>&\r\n", p[i + run])) run++;
        sio_builder_put_slice(out, sio_args_none(), (struct eio_str){p + i, run});
        i += run;
        if (i == n) break;
        char c = p[i++];
        if (c == '\r' || c == '\n' || !c)
            sio_builder_put(out, " ");
        else if (format != VTT)
            sio_builder_put(out, c == '<' ? "<" : c == '>' ? ">" : "&");
        else
            sio_builder_put(out, c == '<' ? "&lt;" : c == '>' ? "&gt;" : "&amp;");
    }
}

static void put_times(struct export *export, const struct cue *cue, int64_t next_ms)
{
    struct sio_builder *out = &export->out;
    char mark = export->format == VTT ? '.' : ',';
    int64_t end_ms = cue->end_ms;
    if (end_ms <= cue->begin_ms) end_ms = next_ms > cue->begin_ms ? next_ms : cue->begin_ms + LINE_MS;
    kit_put_int(out, (int64_t) export->count);
    sio_builder_put(out, "\n");
    put_clock(out, cue->begin_ms, mark);
    sio_builder_put(out, " --> ");
    put_clock(out, end_ms, mark);
    sio_builder_put(out, "\n");
}

static void put_cue(struct export *export, struct cue *cue, int64_t next_ms)
{
    struct sio_builder *out = &export->out;
    if (!cue->is_set) return;
    export->count++;
    if (export->format == TEXT) {
        sio_builder_put(out, "[");
        put_clock(out, cue->begin_ms, '.');
        sio_builder_put(out, "] ");
    } else {
        put_times(export, cue, next_ms);
    }
    sio_builder_put(out, export->format == VTT ? "<v " : "");
    put_plain(out, cue->speaker, strlen(cue->speaker), export->format);
    sio_builder_put(out, export->format == VTT ? ">" : ": ");
    put_plain(out, cue->text, cue->size, export->format);
    sio_builder_put(out, export->format == TEXT ? "\n" : "\n\n");
    free(cue->text);
    cue->text = NULL;
    cue->is_set = false;
}

/* Of a row of (seq, json, speaker, text). */
static int read_cue(const struct export *export, const struct kit_rows *row, struct cue *cue)
{
    struct eio_str json = kit_rows_bytes(row, 1), text = kit_rows_bytes(row, 3);
    int64_t at_ms;
    cue->begin_ms = read_ms(json, "start_ms");
    cue->end_ms = read_ms(json, "end_ms");
    if (cue->begin_ms < 0 && calls_read_time(sio_json_member(json, "timestamp"), &at_ms))
        cue->begin_ms = at_ms - export->started_ms;
    if (cue->begin_ms < 0) cue->begin_ms = 0;
    if (cue->begin_ms > CLOCK_MAX_MS - LINE_MS) cue->begin_ms = CLOCK_MAX_MS - LINE_MS;
    if (cue->end_ms > CLOCK_MAX_MS) cue->end_ms = CLOCK_MAX_MS;
    snprintf(cue->speaker, sizeof cue->speaker, "%s", kit_rows_text(row, 2));
    cue->text = malloc(text.n + 1);
    if (!cue->text) return EIO_ENOMEM;
    if (text.n) memcpy(cue->text, text.p, text.n);
    cue->size = text.n;
    cue->is_set = true;
    return 0;
}

/* --------------------------------------------------------------------- JSON */

static void put_line(struct export *export, const struct kit_rows *row)
{
    struct sio_builder *out = &export->out;
    struct eio_str json = kit_rows_bytes(row, 1);
    if (export->count++) sio_builder_put(out, ",");
    sio_builder_put_slice(out, sio_args_none(), (struct eio_str){json.p, json.n ? json.n - 1 : 0});
    sio_builder_put(out, ",\"seq\":");
    kit_put_int(out, kit_rows_int(row, 0));
    sio_builder_put(out, "}");
}

static int put_call(struct kit_db *db, struct export *export, int64_t call, struct kit_failure *failure)
{
    struct sio_builder *out = &export->out;
    struct kit_rows row;
    if (kit_db_query(db, &row,
                     "SELECT id, status, started_ms, ended_ms, seq, call_id, metadata, agents FROM calls WHERE id=?",
                     "i", call) != KIT_ROW)
        return kit_db_fail(db, failure);
    sio_builder_put(out, "{\"call\":");
    calls_put_row(out, &row, export->request.now_ms);
    kit_rows_end(&row);
    sio_builder_put(out, "}");
    int code = calls_wrapup_put(db, call, out, failure);
    if (!code) code = calls_summary_put(db, call, 0, out, failure);
    sio_builder_put(out, ",\"transcript\":[");
    return code;
}

/* ---------------------------------------------------------------------- run */

static int put_row(struct export *export, const struct kit_rows *row, struct kit_failure *failure)
{
    struct cue next = {.is_set = false};
    export->seq = kit_rows_int(row, 0);
    if (export->format == JSON) {
        put_line(export, row);
        return 0;
    }
    if (read_cue(export, row, &next)) return kit_fail(failure, 503, NULL, "out of memory");
    put_cue(export, &export->cue, next.begin_ms);
    export->cue = next;
    return 0;
}

/* The next lines, as many as make a piece. */
static int put_rows(struct kit_db *db, struct export *export, int64_t call, struct kit_failure *failure)
{
    struct kit_rows rows;
    size_t count = 0;
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT seq, json, speaker, text FROM segments WHERE call=? AND is_final <> 0 "
                                      "AND seq > ? ORDER BY seq LIMIT ?",
                                      "iii", call, export->seq, (int64_t)PIECE_LINES);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    for (; step == KIT_ROW && export->out.size < PIECE_BYTES && !failure->code; step = kit_rows_next(&rows), count++)
        put_row(export, &rows, failure);
    if (step == KIT_FAILED) kit_db_fail(db, failure);
    kit_rows_end(&rows);
    export->is_whole = step != KIT_ROW && count < PIECE_LINES;
    return failure->code;
}

static int begin_export(struct kit_db *db, struct export *export, const struct calls_call *call,
                        struct kit_failure *failure)
{
    export->has_begun = true;
    export->started_ms = call->started_ms;
    if (export->format == VTT) sio_builder_put(&export->out, "WEBVTT\n\n");
    return export->format == JSON ? put_call(db, export, call->id, failure) : 0;
}

/* One piece. */
static int run_export(struct kit_db *db, struct kit_request *request)
{
    struct export *export = KIT_REQUEST(export, request);
    struct kit_failure *failure = &request->op.failure;
    struct calls_call call;
    int code = calls_find(db, request->about, &call, failure);
    if (!code && !export->has_begun) code = begin_export(db, export, &call, failure);
    if (!code) code = put_rows(db, export, call.id, failure);
    if (code) return code;
    if (export->is_whole) put_cue(export, &export->cue, -1);
    if (export->is_whole && export->format == JSON) sio_builder_put(&export->out, "]}");
    if (export->out.error) return kit_fail(failure, 503, NULL, "out of memory");
    if (export->sent + export->out.size > calls_config(request->kit->config)->export_bytes_max)
        return kit_fail(failure, 413, NULL, "the call is longer than export_bytes_max");
    return 0;
}

/* -------------------------------------------------------------------- sending */

static void charge_export(struct export *export, size_t bytes)
{
    ptrdiff_t more = (ptrdiff_t)bytes - (ptrdiff_t) export->charge;
    export->charge = bytes;
    if (more) kit_user_charge(export->request.user, more);
}

/* One always fits. */
static bool has_room(const struct kit_request *request)
{
    const struct calls_config *config = calls_config(request->kit->config);
    size_t of_user = kit_user_answer_bytes(request->user), of_all = request->kit->answer_bytes;
    return (!of_user || of_user + EXPORT_BYTES <= config->snapshot_memory_per_user_bytes) &&
           (!of_all || of_all + EXPORT_BYTES <= config->snapshot_memory_bytes);
}

static void read_piece(struct export *export)
{
    export->is_reading = true;
    export->request.op.source = kit_user_source(export->request.user, true);
    kit_request_submit(&export->request);
}

static void start_export(struct kit_request *request)
{
    struct export *export = KIT_REQUEST(export, request);
    struct calls *calls = request->state;
    if (has_room(request)) {
        charge_export(export, EXPORT_BYTES);
        read_piece(export);
        return;
    }
    calls->counters.exports_refused++;
    kit_fail(&request->op.failure, 429, NULL, "too many exports are being sent; try again");
    request->op.failure.retry_after_ms = RETRY_MS;
    kit_request_finish(request);
}

static void on_drain(void *ctx)
{
    struct export *export = ctx;
    if (export->is_reading) return;
    if (!export->is_whole) {
        read_piece(export);
        return;
    }
    eio_http_stream_end(export->stream);
    kit_request_finish(&export->request);
}

static void on_abort(void *ctx)
{
    struct export *export = ctx;
    export->stream = NULL;
    export->is_gone = true;
    if (!export->is_reading) kit_request_finish(&export->request);
}

/* The rest of the request is the stream's. */
static int begin_stream(struct export *export)
{
    static const char *const types[] = {"text/vtt; charset=utf-8", "application/x-subrip; charset=utf-8",
                                        "application/json; charset=utf-8", "text/plain; charset=utf-8"};
    struct kit_request *request = &export->request;
    const struct eio_http_stream_options options = {.on_drain = on_drain, .on_abort = on_abort, .ctx = export};
    if (eio_http_request_head(request->http)->method == EIO_HTTP_HEAD) export->is_whole = true;
    eio_http_request_on_abort(request->http, NULL, NULL);
    export->stream = kit_http_stream(request->kit, request->http, types[export->format],
                                     (struct eio_http_reply_field){NULL, NULL}, &options);
    request->http = NULL;
    if (!export->stream) return kit_fail(&request->op.failure, 503, NULL, "out of memory");
    ((struct calls *)request->state)->counters.exports++;
    return 0;
}

/* If that fails the client is gone, and on_abort() follows. */
static void send_piece(struct export *export)
{
    export->sent += export->out.size;
    eio_http_stream_write(export->stream, export->out.json, export->out.size);
    sio_builder_clear(&export->out);
    sio_builder_init(&export->out);
    sio_builder_open(&export->out);
}

static void step_export(struct kit_request *request)
{
    struct export *export = KIT_REQUEST(export, request);
    export->is_reading = false;
    bool is_wanted = !export->is_gone && (export->stream || request->http);
    if (is_wanted && !request->op.failure.code && !export->stream) begin_stream(export);
    if (is_wanted && !request->op.failure.code) {
        send_piece(export);
        return;
    }
    if (export->stream) eio_http_stream_abort(export->stream);
    kit_request_finish(request);
}

static void clear_export(struct kit_request *request)
{
    struct export *export = KIT_REQUEST(export, request);
    charge_export(export, 0);
    sio_builder_clear(&export->out);
    free(export->cue.text);
}

int calls_export_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {.name = "call:export",
         .size = sizeof(struct export),
         .way = KIT_READ,
         .roles = KIT_ROLE_AGENT | KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN,
         .about = "call_id",
         .allow = calls_allow,
         .read = read_export,
         .run = run_export,
         .clear = clear_export,
         .start = start_export,
         .step = step_export,
         .method = EIO_HTTP_GET,
         .path = "/api/v1/calls/{call_id}/export"},
    };
    return kit_open_paths(calls->kit, events, 1, calls);
}
