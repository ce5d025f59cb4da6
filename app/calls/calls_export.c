/* GET /api/v1/calls/{call_id}/export: the final lines of a call as WebVTT, SubRip, JSON or text. A long call is read in
 * pieces, one export of a user at a time, so that others' reads come in between. */
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MS 2000 /* how long a line is shown if it does not name its end */
#define PIECE_LINES 200
#define PIECE_BYTES 131072

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
    size_t end = export->out.size + PIECE_BYTES, count = 0;
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT seq, json, speaker, text FROM segments WHERE call=? AND is_final <> 0 "
                                      "AND seq > ? ORDER BY seq LIMIT ?",
                                      "iii", call, export->seq, (int64_t)PIECE_LINES);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    for (; step == KIT_ROW && export->out.size < end && !failure->code; step = kit_rows_next(&rows), count++)
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
    if (export->out.size > calls_config(request->kit->config)->export_bytes_max)
        return kit_fail(failure, 413, NULL, "the call is longer than export_bytes_max");
    return 0;
}

static void start_export(struct kit_request *request)
{
    request->op.source = kit_user_source(request->user, true);
    kit_request_submit(request);
}

static void step_export(struct kit_request *request)
{
    struct export *export = KIT_REQUEST(export, request);
    bool is_wanted = request->http && !request->op.failure.code;
    if (is_wanted && !export->is_whole)
        kit_store_again(&request->op);
    else
        kit_request_finish(request);
}

static void reply_export(struct kit_request *request)
{
    static const char *const types[] = {"text/vtt; charset=utf-8", "application/x-subrip; charset=utf-8",
                                        "application/json; charset=utf-8", "text/plain; charset=utf-8"};
    struct export *export = KIT_REQUEST(export, request);
    kit_request_set_type(request, types[export->format]);
    sio_builder_put_slice(&request->json, sio_args_none(), (struct eio_str){export->out.json, export->out.size});
}

static void clear_export(struct kit_request *request)
{
    struct export *export = KIT_REQUEST(export, request);
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
         .reply = reply_export,
         .clear = clear_export,
         .start = start_export,
         .step = step_export,
         .method = EIO_HTTP_GET,
         .path = "/api/v1/calls/{call_id}/export"},
    };
    return kit_open_paths(calls->kit, events, 1, calls);
}
