/* call:summary: what was needed, done and left open in a call. At its end, and on request; by this program alone, out
 * of the lines and the steps of the document that was suggested last. An event of the call's log. */
#include "calls_extract.h"
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINES_MAX 400 /* the first half and the latest */

struct summary {
    char call_id[KIT_ID_SIZE];
    struct sio_builder json;
    char title[200];
    struct hooks *hooks;
};

struct lines {
    struct calls_spoken list[LINES_MAX];
    char *texts[LINES_MAX];
    size_t count;
};

/* ------------------------------------------------------------------- lines */

static bool is_customer(const char *speaker)
{
    return !strcasecmp(speaker, "customer") || !strcasecmp(speaker, "caller");
}

static int take_lines(struct kit_db *db, struct kit_rows *rows, enum kit_step step, struct lines *lines,
                      struct kit_failure *failure)
{
    for (; step == KIT_ROW && lines->count < LINES_MAX; step = kit_rows_next(rows)) {
        char *text = strdup(kit_rows_text(rows, 1));
        if (!text) return kit_fail(failure, 503, NULL, "out of memory");
        lines->texts[lines->count] = text;
        lines->list[lines->count++] = (struct calls_spoken){is_customer(kit_rows_text(rows, 0)), eio_str(text)};
    }
    kit_rows_end(rows);
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

static int read_lines(struct kit_db *db, int64_t call, struct lines *lines, struct kit_failure *failure)
{
    struct kit_rows rows;
    int64_t last = 0;
    memset(lines, 0, sizeof *lines);
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT seq FROM segments WHERE call=? AND is_final <> 0 ORDER BY seq LIMIT 1 OFFSET ?",
                     "ii", call, (int64_t)LINES_MAX / 2);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    last = step == KIT_ROW ? kit_rows_int(&rows, 0) : INT64_MAX;
    kit_rows_end(&rows);
    step = kit_db_query(db, &rows,
                        "SELECT speaker, substr(text, 1, 2000) FROM segments WHERE call=? AND is_final <> 0 AND seq < ?"
                        " ORDER BY seq",
                        "ii", call, last);
    int code = take_lines(db, &rows, step, lines, failure);
    if (code || last == INT64_MAX) return code;
    step =
        kit_db_query(db, &rows,
                     "SELECT speaker, text FROM (SELECT speaker, substr(text, 1, 2000) AS text, seq FROM segments"
                     " WHERE call=? AND is_final <> 0 AND seq >= ? ORDER BY seq DESC LIMIT ?) AS latest ORDER BY seq",
                     "iii", call, last, (int64_t)LINES_MAX / 2);
    return take_lines(db, &rows, step, lines, failure);
}

static void clear_lines(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++) free(lines->texts[i]);
    lines->count = 0;
}

/* The document that was suggested last: its title, and its text in *steps, to be freed; NULL if absent. */
static int read_document(struct kit_db *db, int64_t call, struct summary *summary, char **steps,
                         struct kit_failure *failure)
{
    char doc_id[KIT_ID_SIZE] = "";
    struct kit_rows row;
    *steps = NULL;
    summary->title[0] = 0;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT top FROM suggestions WHERE call=? ORDER BY seq DESC LIMIT 1", "i", call);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return 0;
    const char *top = kit_rows_text(&row, 0);
    snprintf(doc_id, sizeof doc_id, "%.*s", (int)strcspn(top, " "), top);
    kit_rows_end(&row);
    step = kit_db_query(db, &row, "SELECT title, substr(text, 1, 16384) FROM documents WHERE doc_id=?", "t", doc_id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return 0;
    snprintf(summary->title, sizeof summary->title, "%s", kit_rows_text(&row, 0));
    *steps = strdup(kit_rows_text(&row, 1));
    kit_rows_end(&row);
    return *steps ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

/* -------------------------------------------------------------------- JSON */

/* first: what stands before the sentences; "": nothing. */
static void put_section(struct sio_builder *json, const char *title, const struct calls_section *section,
                        const char *first)
{
    char text[4096];
    size_t n = (size_t)snprintf(text, sizeof text, "%s", first);
    for (size_t i = 0; i < section->count; i++) {
        struct eio_str s = section->sentences[i];
        if (n + s.n + 2 > sizeof text) break;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", n ? "\n" : "", (int)s.n, s.p);
    }
    sio_builder_put(json, "{\"title\":");
    kit_put_text(json, title);
    sio_builder_put(json, ",\"text\":");
    kit_put_text(json, text);
    sio_builder_put(json, "}");
}

static void put_summary(struct summary *summary, const struct calls_extract *extract, int64_t now_ms)
{
    struct sio_builder *json = &summary->json;
    sio_builder_clear(json); /* of a run that was undone */
    sio_builder_init(json);
    sio_builder_open(json);
    sio_builder_put(json, "{\"call_id\":");
    kit_put_text(json, summary->call_id);
    sio_builder_put(json, ",\"by\":\"local\",\"sections\":[");
    put_section(json, "Need", &extract->need, summary->title);
    sio_builder_put(json, ",");
    put_section(json, "Done", &extract->done, "");
    sio_builder_put(json, ",");
    put_section(json, "Open", &extract->open, "");
    sio_builder_put(json, "],\"timestamp\":");
    kit_put_time(json, now_ms);
}

/* ------------------------------------------------------------------- store */

static int make_summary(struct kit_db *db, struct summary *summary, int64_t now_ms, struct kit_failure *failure)
{
    struct calls_call call;
    struct calls_extract extract;
    char *steps = NULL;
    int code = calls_find(db, summary->call_id, &call, failure);
    if (code) return code;
    struct lines *lines = malloc(sizeof *lines);
    code = lines ? read_lines(db, call.id, lines, failure) : kit_fail(failure, 503, NULL, "out of memory");
    if (!code) code = read_document(db, call.id, summary, &steps, failure);
    if (!code && lines->count) {
        calls_extract_make(&extract, lines->list, lines->count, steps ? eio_str(steps) : (struct eio_str){"", 0});
        put_summary(summary, &extract, now_ms);
        code = calls_next_seq(db, &call, failure);
    }
    bool is_empty = !code && !lines->count;
    if (lines) clear_lines(lines);
    free(lines);
    free(steps);
    if (is_empty) return kit_fail(failure, 404, "/call_id", "nothing was said in this call");
    if (code) return code;
    if (kit_db_run(db, "INSERT INTO summaries(call, seq, json) VALUES (?,?,? || '}')", "iib", call.id, call.seq,
                   summary->json.json, summary->json.size))
        return kit_db_fail(db, failure);
    sio_builder_put(&summary->json, ",\"seq\":");
    kit_put_int(&summary->json, call.seq);
    sio_builder_put(&summary->json, "}");
    if (summary->json.error) return kit_fail(failure, 503, NULL, "out of memory");
    struct hooks_event event = {.name = "call:summary",
                                .call_id = summary->call_id,
                                .json = {summary->json.json, summary->json.size},
                                .at_ms = now_ms};
    return hooks_put(summary->hooks, db, &event, failure);
}

static void send_summary(struct calls *calls, const struct summary *summary)
{
    char room[CALLS_ROOM_SIZE];
    calls->counters.summaries++;
    calls_room(room, CALLS_ROOM, summary->call_id);
    sio_emit(sio_to(sio_all(calls->agents), room), "call:summary", sio_builder_args(&summary->json));
}

int calls_summary_put(struct kit_db *db, int64_t call, int64_t since_seq, struct sio_builder *out,
                      struct kit_failure *failure)
{
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT json, seq FROM summaries WHERE call=? AND seq>? ORDER BY seq DESC LIMIT 1", "ii",
                     call, since_seq);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return 0;
    struct eio_str json = kit_rows_bytes(&row, 0);
    sio_builder_put(out, ",\"summary\":");
    sio_builder_put_slice(out, sio_args_none(), (struct eio_str){json.p, json.n - 1});
    sio_builder_put(out, ",\"seq\":");
    kit_put_int(out, kit_rows_int(&row, 1));
    sio_builder_put(out, "}");
    kit_rows_end(&row);
    return 0;
}

/* --------------------------------------------------------------- at the end */

struct end_op {
    struct kit_store_op op;
    struct calls *calls;
    struct summary summary;
    int64_t now_ms;
};

static int run_end(struct kit_db *db, struct kit_store_op *op)
{
    struct end_op *end = (struct end_op *)(void *)op;
    return make_summary(db, &end->summary, end->now_ms, &op->failure);
}

static void on_end(struct kit_store_op *op)
{
    struct end_op *end = (struct end_op *)(void *)op;
    if (!op->failure.code) send_summary(end->calls, &end->summary);
    if (op->failure.code && op->failure.code != 404)
        kit_log(EIO_LOG_WARN, "a call has no summary", "call_id", end->summary.call_id, "why", op->failure.message,
                NULL);
    sio_builder_clear(&end->summary.json);
    free(end);
}

void calls_summary_end(struct calls *calls, const char *call_id)
{
    struct end_op *end = calloc(1, sizeof *end);
    if (!end) return;
    end->op.run = run_end;
    end->op.done = on_end;
    end->op.writes = true;
    end->op.locks[0] = end->summary.call_id;
    end->calls = calls;
    end->now_ms = (int64_t)eio_loop_unix_ms(calls->kit->loop);
    end->summary.hooks = calls->hooks;
    snprintf(end->summary.call_id, sizeof end->summary.call_id, "%s", call_id);
    sio_builder_init(&end->summary.json);
    if (kit_store_submit(calls->kit->store, &end->op, sizeof *end)) free(end); /* it can be asked for later */
}

/* --------------------------------------------------------------- on request */

struct asked {
    struct kit_request request;
    struct summary summary;
};

static int read_asked(struct kit_request *request, const json_t *payload)
{
    struct asked *asked = KIT_REQUEST(asked, request);
    (void)payload;
    sio_builder_init(&asked->summary.json);
    asked->summary.hooks = ((struct calls *)request->state)->hooks;
    memcpy(asked->summary.call_id, request->about, sizeof asked->summary.call_id);
    return 0;
}

static int run_asked(struct kit_db *db, struct kit_request *request)
{
    return make_summary(db, &KIT_REQUEST(asked, request)->summary, request->now_ms, &request->op.failure);
}

static void reply_asked(struct kit_request *request)
{
    const struct asked *asked = KIT_REQUEST(asked, request);
    const struct sio_builder *json = &asked->summary.json;
    send_summary(request->state, &asked->summary);
    sio_builder_put(&request->json, ",\"summary\":");
    sio_builder_put_slice(&request->json, sio_args_none(), (struct eio_str){json->json, json->size});
}

static void clear_asked(struct kit_request *request)
{
    sio_builder_clear(&KIT_REQUEST(asked, request)->summary.json);
}

int calls_summary_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {.size = sizeof(struct asked),
         .way = KIT_WRITE,
         .roles = KIT_ROLE_AGENT | KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN,
         .about = "call_id",
         .allow = calls_allow,
         .read = read_asked,
         .run = run_asked,
         .reply = reply_asked,
         .clear = clear_asked,
         .method = EIO_HTTP_POST,
         .path = "/api/v1/calls/{call_id}/summary"},
    };
    return kit_open_paths(calls->kit, events, 1, calls);
}
