/* Suggestions for a call: after each final line of the customer the knowledge base is searched; if the best documents
 * changed, the suggestion is stored, numbered and sent. One search per call at a time: further lines cause one more
 * search afterwards. */
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#define QUOTE_BYTES 140 /* of the customer's last line in the summary */

/* A call whose search is under way. */
struct search {
    char call_id[KIT_ID_SIZE];
    bool again;
    UT_hash_handle hh;
};

struct calls_suggest {
    struct search *running;
};

/* The operation, used for both steps: search on the read strand, store on the write strand. */
struct suggest_op {
    struct kit_store_op op;
    struct calls *calls;
    char call_id[KIT_ID_SIZE];
    struct knowledge_vector *vector; /* of what was said, from an embeddings service; NULL: the search is local */
    struct calls_said said;
    char last[QUOTE_BYTES + 8];
    struct knowledge_result results[KNOWLEDGE_RESULTS_MAX];
    size_t count;
    char top[KNOWLEDGE_RESULTS_MAX * KIT_ID_SIZE + 1];
    struct sio_builder json; /* without seq and the closing brace */
    int64_t seq;             /* 0: nothing new */
    int64_t now_ms;
    uint64_t since_ms; /* loop time */
};

static void start(struct calls *calls, const char *call_id, struct knowledge_vector *take_vector);

/* ------------------------------------------------------------------ search */

/* Cuts a quotation between characters and marks the cut. */
static void cut_quote(char *text)
{
    size_t n = strlen(text);
    if (n < QUOTE_BYTES) return;
    n = QUOTE_BYTES;
    while (n && ((unsigned char)text[n] & 0xc0) == 0x80) n--;
    while (n && text[n - 1] == ' ') n--;
    strcpy(text + n, "…");
}

static void put_suggestion(struct suggest_op *s)
{
    struct sio_builder *json = &s->json;
    char summary[512];
    sio_builder_open(json);
    sio_builder_put(json, "{\"call_id\":");
    kit_put_text(json, s->call_id);
    calls_put_documents(json, s->results, s->count);
    for (size_t i = 0; i < s->count; i++) {
        strcat(s->top, s->results[i].id);
        strcat(s->top, " ");
    }
    cut_quote(s->last);
    snprintf(summary, sizeof summary, "The customer seems to need \"%s\" (%.*s) and said last: \"%s\"",
             s->results[0].title, (int)strcspn(s->results[0].topic, ":"), s->results[0].topic, s->last);
    sio_builder_put(json, ",\"summary\":");
    kit_put_text(json, summary);
}

static int run_search(struct kit_db *db, struct kit_store_op *op)
{
    struct suggest_op *s = (struct suggest_op *)(void *)op;
    size_t latest = calls_config(s->calls->kit->config)->suggest_turns;
    int code = calls_said_read(db, s->call_id, KNOWLEDGE_LEARN_TURNS, latest, &s->said, &op->failure);
    if (!code && s->said.count) {
        const struct knowledge_question question = {s->said.turns, s->said.count, s->vector, false};
        snprintf(s->last, sizeof s->last, "%s", s->said.texts[s->said.count - 1]);
        code = knowledge_search_question(s->calls->knowledge, db, &question, s->results, &s->count, &op->failure);
    }
    if (!code && s->count) put_suggestion(s);
    return code;
}

/* ------------------------------------------------------------------- store */

static int tell_service(struct kit_db *db, struct suggest_op *s)
{
    struct hooks *hooks = s->calls->hooks;
    struct sio_builder json;
    if (!hooks_wants(hooks, "ai:suggestion")) return 0;
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put_slice(&json, sio_args_none(), (struct eio_str){s->json.json, s->json.size});
    sio_builder_put(&json, ",\"seq\":");
    kit_put_int(&json, s->seq);
    sio_builder_put(&json, "}");
    struct hooks_event event = {
        .name = "ai:suggestion", .call_id = s->call_id, .json = {json.json, json.size}, .at_ms = s->now_ms};
    int code = json.error ? kit_fail(&s->op.failure, 503, NULL, "out of memory")
                          : hooks_put(hooks, db, &event, &s->op.failure);
    sio_builder_clear(&json);
    return code;
}

static int run_store(struct kit_db *db, struct kit_store_op *op)
{
    struct suggest_op *s = (struct suggest_op *)(void *)op;
    struct calls_call call;
    s->seq = 0;
    int code = calls_find(db, s->call_id, &call, &op->failure);
    if (code) return code;
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT top FROM suggestions WHERE call=? ORDER BY seq DESC LIMIT 1", "i", call.id);
    if (step == KIT_FAILED) return kit_db_fail(db, &op->failure);
    bool same = step == KIT_ROW && !strcmp(kit_rows_text(&row, 0), s->top);
    kit_rows_end(&row);
    if (same || call.ended_ms) return 0;
    code = calls_next_seq(db, &call, &op->failure);
    if (code) return code;
    if (kit_db_run(db, "INSERT INTO suggestions(call, seq, top, json) VALUES (?,?,?,? || '}')", "iitb", call.id,
                   call.seq, s->top, s->json.json, s->json.size))
        return kit_db_fail(db, &op->failure);
    s->seq = call.seq;
    code = tell_service(db, s);
    return code ? code : knowledge_note_shown(db, s->results, s->count, &op->failure);
}

static void free_op(struct suggest_op *s)
{
    sio_builder_clear(&s->json);
    calls_said_clear(&s->said);
    free(s->vector);
    free(s);
}

static void finish(struct suggest_op *s)
{
    struct calls *calls = s->calls;
    struct search *search;
    char call_id[KIT_ID_SIZE];
    HASH_FIND_STR(calls->suggest->running, s->call_id, search);
    bool again = search && search->again;
    if (search) {
        HASH_DEL(calls->suggest->running, search);
        free(search);
    }
    snprintf(call_id, sizeof call_id, "%s", s->call_id);
    free_op(s);
    if (again) start(calls, call_id, NULL);
}

static void on_stored(struct kit_store_op *op)
{
    struct suggest_op *s = (struct suggest_op *)(void *)op;
    char room[CALLS_ROOM_SIZE];
    if (!op->failure.code && s->seq) {
        s->calls->counters.suggestions++;
        kit_delays_count(&s->calls->counters.suggestion_delays,
                         (eio_loop_now_ms(s->calls->kit->loop) - s->since_ms) * 1000);
        sio_builder_put(&s->json, ",\"seq\":");
        kit_put_int(&s->json, s->seq);
        sio_builder_put(&s->json, "}");
        calls_room(room, CALLS_ROOM, s->call_id);
        sio_emit(sio_to(sio_all(s->calls->agents), room), "ai:suggestion", sio_builder_args(&s->json));
    }
    finish(s);
}

/* A call whose customer's words are on their way to an embeddings service. */
struct question {
    struct calls *calls;
    char call_id[KIT_ID_SIZE];
};

static void on_embedded(void *ctx, struct knowledge_vector *take_vector)
{
    struct question *question = ctx;
    struct search *search;
    HASH_FIND_STR(question->calls->suggest->running, question->call_id, search);
    if (take_vector && !search)
        start(question->calls, question->call_id, take_vector);
    else
        free(take_vector); /* more was said meanwhile, and is asked for next */
    free(question);
}

/* The local answer goes out at once; a better one follows if the service has it in time. */
static void ask_for_better(struct suggest_op *s)
{
    struct question *question = calloc(1, sizeof *question);
    if (!question) return;
    question->calls = s->calls;
    snprintf(question->call_id, sizeof question->call_id, "%s", s->call_id);
    if (knowledge_embed(s->calls->knowledge, s->said.turns, s->said.count, on_embedded, question)) free(question);
}

static void on_searched(struct kit_store_op *op)
{
    struct suggest_op *s = (struct suggest_op *)(void *)op;
    s->calls->counters.searches++;
    if (!op->failure.code && !s->vector && s->said.count) ask_for_better(s);
    if (op->failure.code)
        kit_log(EIO_LOG_WARN, "search for documents failed", "call_id", s->call_id, "why", op->failure.message, NULL);
    if (op->failure.code || !s->count || s->json.error) {
        finish(s);
        return;
    }
    op->run = run_store;
    op->done = on_stored;
    op->writes = true;
    op->locks[0] = s->call_id;
    op->locks[1] = KNOWLEDGE_SHOWN_LOCK;
    if (kit_store_submit(s->calls->kit->store, op, sizeof *s + s->json.size)) finish(s);
}

static void start(struct calls *calls, const char *call_id, struct knowledge_vector *take_vector)
{
    struct search *search = calloc(1, sizeof *search);
    struct suggest_op *s = calloc(1, sizeof *s);
    if (!search || !s) goto fail;
    snprintf(search->call_id, sizeof search->call_id, "%s", call_id);
    snprintf(s->call_id, sizeof s->call_id, "%s", call_id);
    s->calls = calls;
    s->vector = take_vector;
    s->now_ms = (int64_t)eio_loop_unix_ms(calls->kit->loop);
    s->since_ms = eio_loop_now_ms(calls->kit->loop);
    s->op.run = run_search;
    s->op.done = on_searched;
    sio_builder_init(&s->json);
    if (kit_store_submit_read(calls->kit->store, &s->op, sizeof *s)) goto fail;
    HASH_ADD_STR(calls->suggest->running, call_id, search);
    return;
fail:
    /* A missed suggestion does no harm: the next line searches again. */
    free(search);
    free(s);
    free(take_vector);
}

void calls_suggest_line(struct calls *calls, const char *call_id, const char *speaker)
{
    struct search *search;
    if (strcasecmp(speaker, "customer") && strcasecmp(speaker, "caller")) return;
    HASH_FIND_STR(calls->suggest->running, call_id, search);
    if (search)
        search->again = true;
    else
        start(calls, call_id, NULL);
}

static int run_prepare(struct kit_db *db, struct kit_store_op *op)
{
    struct suggest_op *s = (struct suggest_op *)(void *)op;
    return knowledge_prepare(s->calls->knowledge, db, &op->failure);
}

static void on_prepared(struct kit_store_op *op)
{
    if (op->failure.code) kit_log(EIO_LOG_WARN, "documents cannot be read", "why", op->failure.message, NULL);
    free(op);
}

int calls_suggest_start(struct calls *calls)
{
    struct suggest_op *s = calloc(1, sizeof *s);
    calls->suggest = calloc(1, sizeof *calls->suggest);
    if (!s || !calls->suggest) {
        free(s);
        return EIO_ENOMEM;
    }
    s->op.run = run_prepare;
    s->op.done = on_prepared;
    s->calls = calls;
    if (kit_store_submit_read(calls->kit->store, &s->op, 0)) on_prepared(&s->op); /* the first search reads them */
    return 0;
}

void calls_suggest_stop(struct calls *calls)
{
    struct search *search, *next;
    if (!calls->suggest) return;
    HASH_ITER(hh, calls->suggest->running, search, next)
    {
        HASH_DEL(calls->suggest->running, search);
        free(search);
    }
    free(calls->suggest);
    calls->suggest = NULL;
}
