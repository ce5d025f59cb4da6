/* The demo: the embedded conversations play one after another, for ever, as live calls, through the same code as a
 * feed's events. GET /demo/token gives anybody a token for these calls and no others, as an agent or, with
 * ?role=supervisor, as a supervisor. */
#include "calls_int.h"
#include "kit_embed.h"
#include "kit_http.h"

#include <stdlib.h>
#include <string.h>

#define DEMO_PREFIX "demo-" /* of call ids; real feeds should not use it while a demo runs */
#define DOCUMENTS_FILE "guidelines.json"
#define CONVERSATIONS_FILE "conversations.json"
#define TOKEN_TTL_S 86400
#define AVERAGE_LINE_BYTES 50 /* takes demo_line_ms */
#define SHORT_LINE_BYTES 24   /* lines up to this are not announced by an interim one */

/* The position in the play. */
enum phase { PHASE_CLEAN_UP, PHASE_START, PHASE_LINE, PHASE_LINE_FINAL, PHASE_END, PHASE_PRUNE };

struct calls_demo {
    struct calls *calls;
    json_t *conversations;
    struct eio_timer timer;
    enum phase phase;
    size_t conversation, line;
    unsigned visitors; /* tokens given */
    char call_id[KIT_ID_SIZE];
};

static const json_t *lines_of(const struct calls_demo *demo)
{
    return json_object_get(json_array_get(demo->conversations, demo->conversation), "original");
}

static const char *line_part(const struct calls_demo *demo, size_t part)
{
    const char *text = json_string_value(json_array_get(json_array_get(lines_of(demo), demo->line), part));
    return text ? text : "";
}

/* An action is what the agent did in another program; it is not spoken. */
static const char *speaker_of(const struct calls_demo *demo)
{
    const char *speaker = line_part(demo, 0);
    return strcmp(speaker, "action") ? speaker : "system";
}

/* ------------------------------------------------------------------- play */

static void on_result(void *ctx, const struct calls_feed_result *result)
{
    (void)ctx;
    if (result->failure.code)
        kit_log(EIO_LOG_WARN, "demo event failed", "call_id", result->call_id, "why", result->failure.message, NULL);
}

static void say(struct calls_demo *demo, enum calls_feed_kind kind, json_t *take_object)
{
    char *text = take_object ? json_dumps(take_object, JSON_COMPACT) : NULL;
    if (text) {
        struct calls_feed_event event = {.kind = kind, .raw = eio_str(text)};
        calls_feed_submit(demo->calls, &event, on_result, demo);
    }
    free(text);
    json_decref(take_object);
}

static void begin_call(struct calls_demo *demo)
{
    const json_t *conversation = json_array_get(demo->conversations, demo->conversation);
    const json_t *scenario = json_object_get(conversation, "scenario");
    const char *customer = json_string_value(json_object_get(json_object_get(scenario, "personal"), "customer_name"));
    const char *subject = json_string_value(json_object_get(scenario, "subflow"));
    snprintf(demo->call_id, sizeof demo->call_id, DEMO_PREFIX "%llu",
             (unsigned long long)eio_loop_unix_ms(demo->calls->kit->loop));
    demo->line = 0;
    say(demo, CALLS_FEED_START,
        json_pack("{s:s, s:{s:s, s:s, s:b}}", "call_id", demo->call_id, "metadata", "customer",
                  customer ? customer : "", "subject", subject ? subject : "", "demo", 1));
}

/* The first words of a line, as a recogniser would have them before it is done. */
static size_t interim_size(const char *text)
{
    size_t n = strlen(text) / 2;
    while (text[n] && text[n] != ' ') n++;
    return n;
}

static void say_line(struct calls_demo *demo, bool is_final)
{
    char segment_id[32];
    const char *text = line_part(demo, 1);
    size_t size = is_final ? strlen(text) : interim_size(text);
    snprintf(segment_id, sizeof segment_id, "s%zu", demo->line + 1);
    say(demo, CALLS_FEED_LINE,
        json_pack("{s:s, s:s, s:s%, s:s, s:b}", "call_id", demo->call_id, "speaker", speaker_of(demo), "text", text,
                  size, "segment_id", segment_id, "is_final", (int)is_final));
}

/* Long lines take longer, and each at least a third of the average. */
static uint64_t line_ms(const struct calls_demo *demo)
{
    uint64_t average = calls_config(demo->calls->kit->config)->demo_line_ms;
    uint64_t ms = average * strlen(line_part(demo, 1)) / AVERAGE_LINE_BYTES;
    if (ms < average / 3) ms = average / 3;
    return ms > average * 3 ? average * 3 : ms;
}

struct prune_op {
    struct kit_store_op op;
    int64_t keep, now_ms;
    bool end_all;
};

/* Begins with "demo-": '.' is the character after '-'. */
#define IS_DEMO "call_id >= 'demo-' AND call_id < 'demo.'"

static int run_prune(struct kit_db *db, struct kit_store_op *op)
{
    struct prune_op *prune = (struct prune_op *)(void *)op;
    if (prune->end_all) {
        /* Calls that a stopped server left open. */
        if (kit_db_run(db,
                       "UPDATE calls SET status='ended', ended_ms=?, seq=seq+1 WHERE " IS_DEMO " AND status<>'ended'",
                       "i", prune->now_ms))
            return kit_db_fail(db, &op->failure);
    }
    if (kit_db_run(db,
                   "DELETE FROM segments WHERE call IN (SELECT id FROM calls WHERE " IS_DEMO " AND status='ended'"
                   " AND id NOT IN"
                   " (SELECT id FROM calls WHERE " IS_DEMO " AND status='ended' ORDER BY id DESC LIMIT ?))",
                   "i", prune->keep) ||
        kit_db_run(db,
                   "DELETE FROM calls WHERE " IS_DEMO " AND status='ended' AND id NOT IN"
                   " (SELECT id FROM calls WHERE " IS_DEMO " AND status='ended' ORDER BY id DESC LIMIT ?)",
                   "i", prune->keep))
        return kit_db_fail(db, &op->failure);
    return 0;
}

static void on_pruned(struct kit_store_op *op)
{
    if (op->failure.code) kit_log(EIO_LOG_WARN, "cannot delete old demo calls", "why", op->failure.message, NULL);
    free(op);
}

static void prune(struct calls_demo *demo, bool end_all)
{
    struct prune_op *op = calloc(1, sizeof *op);
    if (!op) return;
    op->op.run = run_prune;
    op->op.done = on_pruned;
    op->op.writes = true;
    op->op.locks[0] = "demo";
    op->keep = calls_config(demo->calls->kit->config)->demo_keep;
    op->now_ms = (int64_t)eio_loop_unix_ms(demo->calls->kit->loop);
    op->end_all = end_all;
    if (kit_store_submit(demo->calls->kit->store, &op->op, 0)) free(op);
}

/* Does what is due and returns after how long the next step is. */
static uint64_t step(struct calls_demo *demo)
{
    const uint64_t average = calls_config(demo->calls->kit->config)->demo_line_ms;
    bool is_long = strlen(line_part(demo, 1)) > SHORT_LINE_BYTES;
    switch (demo->phase) {
    case PHASE_CLEAN_UP:
        prune(demo, true);
        demo->phase = PHASE_START;
        return 1;
    case PHASE_START:
        begin_call(demo);
        demo->phase = PHASE_LINE;
        return average;
    case PHASE_LINE:
        say_line(demo, !is_long);
        if (is_long) {
            demo->phase = PHASE_LINE_FINAL;
            return line_ms(demo) / 2;
        }
        break;
    case PHASE_LINE_FINAL:
        say_line(demo, true);
        break;
    case PHASE_END:
        say(demo, CALLS_FEED_END, json_pack("{s:s}", "call_id", demo->call_id));
        demo->conversation = (demo->conversation + 1) % json_array_size(demo->conversations);
        demo->phase = PHASE_PRUNE;
        return calls_config(demo->calls->kit->config)->demo_pause_ms;
    case PHASE_PRUNE:
        prune(demo, false);
        demo->phase = PHASE_START;
        return 1;
    }
    uint64_t ms = line_ms(demo) / (is_long ? 2 : 1);
    demo->line++;
    demo->phase = demo->line < json_array_size(lines_of(demo)) ? PHASE_LINE : PHASE_END;
    return ms;
}

static void on_timer(void *ctx)
{
    struct calls_demo *demo = ctx;
    eio_timer_start(&demo->timer, step(demo));
}

/* ------------------------------------------------------------------ token */

static void on_token(struct eio_http_request *request, void *ctx)
{
    struct calls_demo *demo = ctx;
    struct calls *calls = demo->calls;
    char sub[32], role[16], body[KIT_JWT_TOKEN_MAX + 128];
    unsigned index = calls->kit->processes.index, workers = calls->kit->processes.count;
    if (!workers) workers = 1;
    int size_of_role = kit_http_query(eio_http_request_head(request), "role", role, sizeof role);
    bool is_supervisor = size_of_role > 0 && !strcmp(role, "supervisor");
    snprintf(sub, sizeof sub, "%s-%u", is_supervisor ? "supervisor" : "guest", demo->visitors++ * workers + index + 1);
    char *token = kit_auth_make_token(&calls->kit->jwt, sub, is_supervisor ? "supervisor" : "agent", DEMO_PREFIX "*",
                                      "", (int64_t)(eio_loop_unix_ms(calls->kit->loop) / 1000), TOKEN_TTL_S);
    int size = snprintf(body, sizeof body, "{\"token\":\"%s\",\"expires_in\":%d}", token ? token : "", TOKEN_TTL_S);
    struct eio_http_reply reply = {.status = token ? 200 : 503,
                                   .content_type = "application/json; charset=utf-8",
                                   .body = body,
                                   .body_size = (size_t)size};
    kit_http_send(calls->kit, request, &reply);
    free(token);
}

/* ------------------------------------------------------------------- init */

struct count_op {
    struct kit_store_op op;
    int64_t count;
};

static int run_count(struct kit_db *db, struct kit_store_op *op)
{
    return knowledge_count(db, &((struct count_op *)(void *)op)->count, &op->failure);
}

int calls_demo_import(struct kit_store *store, char *error, size_t error_size)
{
    const struct kit_embedded_file *file = kit_embedded_find(kit_embedded_demo, DOCUMENTS_FILE);
    struct count_op count;
    memset(&count, 0, sizeof count);
    count.op.run = run_count;
    if (kit_store_run_now(store, &count.op)) {
        snprintf(error, error_size, "%s", count.op.failure.message);
        return EIO_ESYS;
    }
    if (count.count || !file) return 0;
    struct knowledge_import import = {.source = DOCUMENTS_FILE,
                                      .text = {(const char *)file->data, kit_embedded_size(file)}};
    if (knowledge_import(store, &import, error, error_size)) return EIO_EINVAL;
    kit_log(EIO_LOG_INFO, "demo documents imported", "count", kit_number((long long)import.count).text, NULL);
    return 0;
}

int calls_demo_start(struct calls *calls, char *error, size_t error_size)
{
    struct kit *kit = calls->kit;
    const struct kit_embedded_file *file = kit_embedded_find(kit_embedded_demo, CONVERSATIONS_FILE);
    if (!kit_jwt_can_sign(&kit->jwt)) {
        return kit_config_refuse(kit->config, "demo", "false with a public key alone (jwt_key_file): it signs tokens",
                                 error, error_size);
    }
    if (calls_demo_import(kit->store, error, error_size)) return EIO_EINVAL;
    struct calls_demo *demo = calls->demo = calloc(1, sizeof *demo);
    if (!demo) return EIO_ENOMEM;
    demo->calls = calls;
    eio_timer_init(&demo->timer, kit->loop, on_timer, demo);
    if (file) demo->conversations = json_loadb((const char *)file->data, kit_embedded_size(file), 0, NULL);
    if (!json_array_size(demo->conversations)) return EIO_EINVAL;
    /* Runs with the loop, that is once the port is ours: another server on the same data is left in peace. Of several
     * workers one plays. */
    if (kit->processes.index == 0) eio_timer_start(&demo->timer, 1);
    return eio_http_route(sio_server_http(kit->io), "/demo/token", 0, on_token, demo);
}

void calls_demo_drain(struct calls *calls)
{
    if (calls->demo) eio_timer_stop(&calls->demo->timer);
}

void calls_demo_stop(struct calls *calls)
{
    if (!calls->demo) return;
    calls_demo_drain(calls);
    json_decref(calls->demo->conversations);
    free(calls->demo);
    calls->demo = NULL;
}
