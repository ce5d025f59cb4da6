/* call:summary: what was needed, done and left open in a call. At its end, and on request; by a model if one is
 * configured, else, or if that fails, by this program alone, out of the lines and the steps of the document that was
 * suggested last. An event of the call's log. */
#include "calls_redact.h"
#include "calls_summary_model.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINES_MAX 400 /* the first half and the latest */

struct summary {
    char call_id[KIT_ID_SIZE];
    struct sio_builder json;
    char title[401]; /* 100 characters */
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

#define LEAST_RELEVANCE 0.3 /* as the console has it: what is low, or hardly before the next, is a possible topic */
#define LEAST_LEAD 1.35

/* The id of a suggestion's first document if it is clearly the best; "" otherwise. */
static void read_certain(const char *suggestion, char doc_id[KIT_ID_SIZE])
{
    json_t *object = json_loads(suggestion, 0, NULL);
    const json_t *documents = json_object_get(object, "documents"), *first = json_array_get(documents, 0);
    double relevance = json_number_value(json_object_get(first, "relevance"));
    double next = json_number_value(json_object_get(json_array_get(documents, 1), "relevance"));
    doc_id[0] = 0;
    if (relevance >= LEAST_RELEVANCE && relevance >= next * LEAST_LEAD) kit_copy_text(doc_id, KIT_ID_SIZE, first, "id");
    json_decref(object);
}

/* The document that was suggested last, if it is certain: its title, and its text in *steps, to be freed; NULL if
 * absent. */
static int read_document(struct kit_db *db, int64_t call, struct summary *summary, char **steps,
                         struct kit_failure *failure)
{
    char doc_id[KIT_ID_SIZE] = "";
    struct kit_rows row;
    *steps = NULL;
    summary->title[0] = 0;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT json FROM suggestions WHERE call=? ORDER BY seq DESC LIMIT 1", "i", call);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return 0;
    read_certain(kit_rows_text(&row, 0), doc_id);
    kit_rows_end(&row);
    if (!doc_id[0]) return 0;
    step = kit_db_query(db, &row, "SELECT substr(title, 1, 100), substr(text, 1, 16384) FROM documents WHERE doc_id=?",
                        "t", doc_id);
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

static void open_summary(struct summary *summary, const char *by)
{
    struct sio_builder *json = &summary->json;
    sio_builder_clear(json); /* of a run that was undone */
    sio_builder_init(json);
    sio_builder_open(json);
    sio_builder_put(json, "{\"call_id\":");
    kit_put_text(json, summary->call_id);
    sio_builder_put(json, ",\"by\":");
    kit_put_text(json, by);
    sio_builder_put(json, ",\"sections\":[");
}

static void close_summary(struct summary *summary, int64_t now_ms)
{
    sio_builder_put(&summary->json, "],\"timestamp\":");
    kit_put_time(&summary->json, now_ms);
}

static void put_extract(struct summary *summary, const struct calls_extract *extract)
{
    struct sio_builder *json = &summary->json;
    open_summary(summary, "local");
    put_section(json, "Need", &extract->need, summary->title);
    sio_builder_put(json, ",");
    put_section(json, "Done", &extract->done, "");
    sio_builder_put(json, ",");
    put_section(json, "Open", &extract->open, "");
}

/* What a model wrote is looked through like what people write. Returns 0 or EIO_ENOMEM. */
static int put_written(struct summary *summary, const struct calls_redaction *redaction,
                       const struct calls_sections *sections)
{
    const struct {
        const char *title, *text;
    } list[] = {{"Need", sections->need}, {"Done", sections->done}, {"Open", sections->open}};
    struct sio_builder *json = &summary->json;
    open_summary(summary, "model");
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        char *out = NULL;
        size_t size;
        if (calls_redact(redaction, eio_str(list[i].text), false, &out, &size)) return EIO_ENOMEM;
        sio_builder_put(json, i ? ",{\"title\":" : "{\"title\":");
        kit_put_text(json, list[i].title);
        sio_builder_put(json, ",\"text\":");
        kit_put_text(json, out ? out : list[i].text);
        sio_builder_put(json, "}");
        free(out);
    }
    return 0;
}

/* ------------------------------------------------------------------- store */

/* A summary on its way: the call is read for a model, which writes; then it is made and stored. */
struct calls_summing {
    struct kit_store_op op;
    struct calls *calls;
    struct kit_claims *claims; /* NULL: the server's own */
    struct summary summary;
    char *text; /* for a model; NULL: it is not asked */
    bool is_written;
    struct calls_sections sections; /* by a model */
    int64_t now_ms;
    /* On the loop, with op.failure; then it is freed. */
    void (*fn)(void *ctx, struct calls_summing *summing);
    void *ctx;
};

static struct calls_summing *summing_of(struct kit_store_op *op)
{
    return (struct calls_summing *)(void *)op;
}

/* What a call has to say, for one run. */
struct material {
    struct calls_call call;
    struct lines lines;
    char *steps; /* NULL: no document was suggested */
};

static int read_material(struct kit_db *db, struct summary *summary, struct material *material,
                         struct kit_failure *failure)
{
    int code = calls_find(db, summary->call_id, &material->call, failure);
    if (!code) code = read_lines(db, material->call.id, &material->lines, failure);
    if (!code) code = read_document(db, material->call.id, summary, &material->steps, failure);
    if (!code && !material->lines.count) code = kit_fail(failure, 404, "/call_id", "nothing was said in this call");
    return code;
}

static void free_material(struct material *material)
{
    if (!material) return;
    clear_lines(&material->lines);
    free(material->steps);
    free(material);
}

static int run_text(struct kit_db *db, struct kit_store_op *op)
{
    struct calls_summing *summing = summing_of(op);
    struct material *material = calloc(1, sizeof *material);
    int code = material ? read_material(db, &summing->summary, material, &op->failure)
                        : kit_fail(&op->failure, 503, NULL, "out of memory");
    if (!code) {
        free(summing->text);
        summing->text =
            calls_summary_text(material->lines.list, material->lines.count, summing->summary.title, material->steps,
                               calls_config(summing->calls->kit->config)->summary_text_bytes);
    }
    free_material(material);
    return code;
}

/* Puts the whole object but for its seq. */
static int put_summary(struct calls_summing *summing, const struct material *material)
{
    struct calls_extract extract;
    struct summary *summary = &summing->summary;
    int failed = 0;
    if (summing->is_written) {
        failed = put_written(summary, summing->calls->redaction, &summing->sections);
    } else {
        calls_extract_make(&extract, material->lines.list, material->lines.count,
                           material->steps ? eio_str(material->steps) : (struct eio_str){"", 0});
        put_extract(summary, &extract);
    }
    close_summary(summary, summing->now_ms);
    return failed ? failed : summary->json.error;
}

static int store_summary(struct kit_db *db, struct calls_summing *summing, struct material *material,
                         struct kit_failure *failure)
{
    struct sio_builder *json = &summing->summary.json;
    if (calls_next_seq(db, &material->call, failure)) return failure->code;
    if (put_summary(summing, material)) return kit_fail(failure, 503, NULL, "out of memory");
    if (kit_db_run(db, "INSERT INTO summaries(call, seq, json) VALUES (?,?,? || '}')", "iib", material->call.id,
                   material->call.seq, json->json, json->size))
        return kit_db_fail(db, failure);
    sio_builder_put(json, ",\"seq\":");
    kit_put_int(json, material->call.seq);
    sio_builder_put(json, "}");
    if (json->error) return kit_fail(failure, 503, NULL, "out of memory");
    struct hooks_event event = {.name = "call:summary",
                                .call_id = summing->summary.call_id,
                                .json = {json->json, json->size},
                                .at_ms = summing->now_ms};
    return hooks_put(summing->calls->hooks, db, &event, failure);
}

static int run_store(struct kit_db *db, struct kit_store_op *op)
{
    struct calls_summing *summing = summing_of(op);
    struct material *material = calloc(1, sizeof *material);
    int code = material ? read_material(db, &summing->summary, material, &op->failure)
                        : kit_fail(&op->failure, 503, NULL, "out of memory");
    if (!code) code = store_summary(db, summing, material, &op->failure);
    free_material(material);
    return code;
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

/* ------------------------------------------------------------------- making */

static void free_summing(struct calls_summing *summing)
{
    kit_claims_unref(summing->claims);
    sio_builder_clear(&summing->summary.json);
    calls_sections_clear(&summing->sections);
    free(summing->text);
    free(summing);
}

static void end_summing(struct calls_summing *summing)
{
    if (!summing->op.failure.code) {
        send_summary(summing->calls, &summing->summary);
        summing->calls->counters.summaries_by_model += summing->is_written;
    }
    summing->fn(summing->ctx, summing);
    free_summing(summing);
}

static void on_stored(struct kit_store_op *op)
{
    end_summing(summing_of(op));
}

static void store(struct calls_summing *summing)
{
    summing->op.run = run_store;
    summing->op.done = on_stored;
    summing->op.writes = true;
    summing->op.locks[0] = summing->summary.call_id;
    summing->now_ms = (int64_t)eio_loop_unix_ms(summing->calls->kit->loop);
    if (kit_store_submit(summing->calls->kit->store, &summing->op, sizeof *summing)) end_summing(summing);
}

static void on_written(void *ctx, struct calls_sections *take_sections)
{
    struct calls_summing *summing = ctx;
    if (take_sections) {
        summing->is_written = true;
        summing->sections = *take_sections;
        *take_sections = (struct calls_sections){NULL, NULL, NULL};
    }
    store(summing);
}

static void on_text(struct kit_store_op *op)
{
    struct calls_summing *summing = summing_of(op);
    if (op->failure.code) {
        end_summing(summing);
        return;
    }
    bool is_asked = summing->text && !summing->calls->is_draining &&
                    !calls_writing_start(summing->calls, summing->claims, summing->text, on_written, summing);
    if (!is_asked) store(summing);
}

/* Returns 0 or EIO_ENOMEM; fn is not called then. */
static int begin(struct calls *calls, const char *call_id, const struct kit_claims *claims,
                 void (*fn)(void *ctx, struct calls_summing *summing), void *ctx)
{
    struct calls_summing *summing = calloc(1, sizeof *summing);
    if (!summing) return EIO_ENOMEM;
    summing->calls = calls;
    summing->claims = claims ? kit_claims_ref((struct kit_claims *)(uintptr_t)claims) : NULL;
    summing->fn = fn;
    summing->ctx = ctx;
    snprintf(summing->summary.call_id, sizeof summing->summary.call_id, "%s", call_id);
    sio_builder_init(&summing->summary.json);
    summing->op.run = run_text;
    summing->op.done = on_text;
    if (!calls_writing_is_wanted(calls, call_id, claims) ||
        kit_store_submit_read(calls->kit->store, &summing->op, sizeof *summing))
        store(summing);
    return 0;
}

void calls_summary_drain(struct calls *calls)
{
    calls->is_draining = true;
    calls_writing_stop(calls);
}

/* --------------------------------------------------------------- at the end */

static void on_end(void *ctx, struct calls_summing *summing)
{
    const struct kit_failure *failure = &summing->op.failure;
    (void)ctx;
    if (failure->code && failure->code != 404) /* it can be asked for later */
        kit_log(EIO_LOG_WARN, "a call has no summary", "call_id", summing->summary.call_id, "why", failure->message,
                NULL);
}

void calls_summary_end(struct calls *calls, const char *call_id, const struct kit_claims *claims)
{
    begin(calls, call_id, claims, on_end, NULL);
}

/* --------------------------------------------------------------- on request */

struct asked {
    struct kit_request request;
};

/* It is allowed: that is all that is asked of the store before a summary is begun. */
static int run_asked(struct kit_db *db, struct kit_request *request)
{
    (void)db;
    (void)request;
    return 0;
}

static void on_asked(void *ctx, struct calls_summing *summing)
{
    struct kit_request *request = ctx;
    const struct sio_builder *json = &summing->summary.json;
    request->op.failure = summing->op.failure;
    if (!request->op.failure.code) {
        sio_builder_put(&request->json, ",\"summary\":");
        kit_put_json(&request->json, (struct eio_str){json->json, json->size});
    }
    kit_request_finish(request);
}

static void step_asked(struct kit_request *request)
{
    if (!request->op.failure.code) {
        if (!begin(request->state, request->about, request->claims, on_asked, request)) return;
        kit_fail(&request->op.failure, 503, NULL, "out of memory");
    }
    kit_request_finish(request);
}

int calls_summary_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {.size = sizeof(struct asked),
         .way = KIT_READ,
         .roles = KIT_ROLE_AGENT | KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN,
         .about = "call_id",
         .allow = calls_allow,
         .run = run_asked,
         .step = step_asked,
         .method = EIO_HTTP_POST,
         .path = "/api/v1/calls/{call_id}/summary"},
    };
    return kit_open_paths(calls->kit, events, 1, calls);
}
