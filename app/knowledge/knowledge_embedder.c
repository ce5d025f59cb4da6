/* What an embeddings service is asked: vectors for documents and learned calls, in batches beside everything else, and
 * one for what a customer says, which is waited for only so long. While the service fails it is left alone. */
#include "knowledge_embedder.h"

#include "knowledge_int.h"
#include "kit_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 32                   /* texts in a request */
#define CATCH_UP_MS 5000           /* between looks for texts without a vector */
#define CATCH_UP_TIMEOUT_MS 120000 /* for a batch: models on small machines are slow */
#define RESPONSE_BYTES (16u * 1024 * 1024)
#define FAILURES_MAX 3 /* in a row, then it is left alone */
#define REST_MS 10000
#define REST_MS_MAX 300000
#define QUESTIONS_MAX 64 /* at a time; above, only the local answer is used */

struct knowledge_embedder {
    struct kit *kit;
    struct knowledge *knowledge;
    const struct knowledge_config *config;
    char *url, *authorization;
    struct eio_timer timer;
    struct catch_up *catch_up; /* NULL: nothing is under way */
    struct kit_fetch *fetch;   /* of it */
    struct question *questions;
    size_t question_count;
    unsigned failures;
    uint64_t rests_until_ms, rest_ms;
    bool stopping;
    struct knowledge_embedder_stats stats;
};

/* A customer's words, until their vector is there. */
struct question {
    struct knowledge_embedder *embedder;
    struct question *prev, *next;
    struct kit_fetch *fetch;
    knowledge_embedded_fn done;
    void *ctx;
};

/* Texts without a vector, on their way through the service into the store. */
struct catch_up {
    struct kit_store_op op;
    struct knowledge_embedder *embedder;
    char *texts[BATCH];
    struct knowledge_vector *vectors[BATCH];
    size_t count;
};

/* ----------------------------------------------------------- what it says */

static char *request_body(const struct knowledge_embedder *e, char *const *texts, size_t count)
{
    json_t *input = json_array(), *body = json_object();
    for (size_t i = 0; i < count; i++) json_array_append_new(input, json_string(texts[i]));
    json_object_set_new(body, "model", json_string(e->config->embeddings_model));
    json_object_set_new(body, "input", input);
    json_object_set_new(body, "encoding_format", json_string("float"));
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

static struct knowledge_vector *read_vector(const json_t *numbers)
{
    float x[KNOWLEDGE_EMBEDDING_DIMENSIONS_MAX];
    size_t n = json_array_size(numbers);
    if (n > KNOWLEDGE_EMBEDDING_DIMENSIONS_MAX) return NULL;
    for (size_t i = 0; i < n; i++) x[i] = (float)json_number_value(json_array_get(numbers, i));
    return knowledge_vector_new(x, n);
}

/* {"data":[{"index":0,"embedding":[…]},…]}; without an index they come in order. NULL, or what is wrong. */
static const char *read_response(const struct kit_fetch_result *result, struct knowledge_vector **vectors, size_t count)
{
    const char *wrong = NULL;
    if (result->error) return result->error;
    if (result->status != 200) return "the response is not a 200";
    json_t *root = json_loadb(result->body.p ? result->body.p : "", result->body.n, 0, NULL);
    const json_t *data = json_object_get(root, "data");
    if (json_array_size(data) != count) wrong = "the response is not a list of as many embeddings";
    for (size_t i = 0; i < count && !wrong; i++) {
        const json_t *one = json_array_get(data, i), *index = json_object_get(one, "index");
        size_t at = json_is_integer(index) ? (size_t)json_integer_value(index) : i;
        if (at >= count || vectors[at]) {
            wrong = "the response has an index that is out of range or there twice";
            break;
        }
        vectors[at] = read_vector(json_object_get(one, "embedding"));
        if (!vectors[at]) wrong = "an embedding is not a list of numbers, or is too long";
    }
    json_decref(root);
    return wrong;
}

/* ----------------------------------------------------------------- failures */

static bool rests(const struct knowledge_embedder *e)
{
    return e->stopping || eio_loop_now_ms(e->kit->loop) < e->rests_until_ms;
}

static void count_result(struct knowledge_embedder *e, const char *wrong, int status)
{
    if (!wrong) {
        if (e->rest_ms) kit_log(EIO_LOG_INFO, "embeddings: the service answers again", "url", e->url, NULL);
        e->failures = 0;
        e->rest_ms = 0;
        return;
    }
    e->stats.failures++;
    if (++e->failures < FAILURES_MAX) return;
    e->rest_ms = e->rest_ms ? e->rest_ms * 2 : REST_MS;
    if (e->rest_ms > REST_MS_MAX) e->rest_ms = REST_MS_MAX;
    e->rests_until_ms = eio_loop_now_ms(e->kit->loop) + e->rest_ms;
    kit_log(EIO_LOG_WARN, "embeddings: the service fails; suggestions are local meanwhile", "url", e->url, "why", wrong,
            "status", kit_number(status).text, "retry_ms", kit_number((long long)e->rest_ms).text, NULL);
}

static struct kit_fetch *ask(struct knowledge_embedder *e, char *const *texts, size_t count, uint32_t timeout_ms,
                             void (*on_done)(void *ctx, const struct kit_fetch_result *result), void *ctx)
{
    const char *headers[] = {"Content-Type: application/json", e->authorization, NULL};
    char *body = request_body(e, texts, count);
    if (!body) return NULL;
    struct kit_fetch_options options = {.url = e->url,
                                        .headers = headers,
                                        .body = eio_str(body),
                                        .max_bytes = RESPONSE_BYTES,
                                        .timeout_ms = timeout_ms,
                                        .on_done = on_done,
                                        .ctx = ctx};
    struct kit_fetch *fetch = kit_fetch_start(e->kit->fetcher, &options);
    free(body);
    return fetch;
}

/* ---------------------------------------------------------------- catch up */

static void begin_catch_up(void *ctx);

static void free_catch_up(struct catch_up *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->texts[i]);
        free(c->vectors[i]);
    }
    if (c->embedder->catch_up == c) c->embedder->catch_up = NULL;
    free(c);
}

static void end_catch_up(struct catch_up *c, uint64_t again_ms)
{
    struct knowledge_embedder *e = c->embedder;
    free_catch_up(c);
    if (!e->stopping) eio_timer_start(&e->timer, again_ms);
}

static bool take_text(struct catch_up *c, const char *text)
{
    for (size_t i = 0; i < c->count; i++)
        if (!strcmp(c->texts[i], text)) return true;
    c->texts[c->count] = strdup(text);
    c->count += c->texts[c->count] != NULL;
    return c->count < BATCH;
}

static int run_gather(struct kit_db *db, struct kit_store_op *op)
{
    struct catch_up *c = (struct catch_up *)(void *)op;
    struct knowledge *k = c->embedder->knowledge;
    const char *missing[BATCH];
    struct kit_rows rows;
    int code = knowledge_prepare(k, db, &op->failure);
    if (code) return code;
    size_t count = knowledge_embeddings_missing(k->embeddings, missing, BATCH);
    for (size_t i = 0; i < count; i++) take_text(c, missing[i]);
    if (c->count == BATCH) return 0;
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT text FROM embeddings_wanted WHERE hash > ? ORDER BY hash LIMIT 32", "t", "");
    while (step == KIT_ROW && take_text(c, kit_rows_text(&rows, 0))) step = kit_rows_next(&rows);
    kit_rows_end(&rows);
    return step == KIT_FAILED ? kit_db_fail(db, &op->failure) : 0;
}

static int run_keep(struct kit_db *db, struct kit_store_op *op)
{
    struct catch_up *c = (struct catch_up *)(void *)op;
    int code = 0;
    for (size_t i = 0; i < c->count && !code; i++)
        code = knowledge_embeddings_keep(db, c->embedder->config->embeddings_model, c->texts[i], c->vectors[i],
                                         &op->failure);
    return code;
}

static void on_kept(struct kit_store_op *op)
{
    struct catch_up *c = (struct catch_up *)(void *)op;
    if (!op->failure.code) c->embedder->stats.texts += c->count;
    end_catch_up(c, op->failure.code ? CATCH_UP_MS : 0);
}

static void on_batch(void *ctx, const struct kit_fetch_result *result)
{
    struct catch_up *c = ctx;
    struct knowledge_embedder *e = c->embedder;
    const char *wrong = read_response(result, c->vectors, c->count);
    e->fetch = NULL;
    count_result(e, wrong, result->status);
    c->op.run = run_keep;
    c->op.done = on_kept;
    c->op.writes = true;
    if (wrong || kit_store_submit(e->kit->store, &c->op, BATCH * 4096)) end_catch_up(c, CATCH_UP_MS);
}

static void on_gathered(struct kit_store_op *op)
{
    struct catch_up *c = (struct catch_up *)(void *)op;
    struct knowledge_embedder *e = c->embedder;
    if (!op->failure.code && c->count && !rests(e))
        e->fetch = ask(e, c->texts, c->count, CATCH_UP_TIMEOUT_MS, on_batch, c);
    if (!e->fetch) end_catch_up(c, CATCH_UP_MS);
}

static void begin_catch_up(void *ctx)
{
    struct knowledge_embedder *e = ctx;
    struct catch_up *c = e->catch_up || rests(e) ? NULL : calloc(1, sizeof *c);
    if (c) {
        c->embedder = e;
        c->op.run = run_gather;
        c->op.done = on_gathered;
        e->catch_up = c;
        if (kit_store_submit_read(e->kit->store, &c->op, sizeof *c)) end_catch_up(c, CATCH_UP_MS);
    } else {
        eio_timer_start(&e->timer, CATCH_UP_MS);
    }
}

/* --------------------------------------------------------------- questions */

static void finish_question(struct question *q, struct knowledge_vector *take_vector)
{
    struct knowledge_embedder *e = q->embedder;
    if (q->prev)
        q->prev->next = q->next;
    else
        e->questions = q->next;
    if (q->next) q->next->prev = q->prev;
    e->question_count--;
    q->done(q->ctx, take_vector);
    free(q);
}

static void on_answer(void *ctx, const struct kit_fetch_result *result)
{
    struct question *q = ctx;
    struct knowledge_embedder *e = q->embedder;
    struct knowledge_vector *vector = NULL;
    const char *wrong = read_response(result, &vector, 1);
    e->stats.late += result->is_timeout;
    count_result(e, wrong, result->status);
    if (wrong) {
        free(vector);
        vector = NULL;
    }
    finish_question(q, vector);
}

bool knowledge_embedder_is_ready(const struct knowledge_embedder *e)
{
    return e && !rests(e) && e->question_count < QUESTIONS_MAX && atomic_load(&e->knowledge->has_embeddings);
}

int knowledge_embedder_ask(struct knowledge_embedder *e, const char *text, knowledge_embedded_fn done, void *ctx)
{
    struct question *q = calloc(1, sizeof *q);
    char *texts[] = {(char *)(uintptr_t)text};
    if (!q) return EIO_ENOMEM;
    *q = (struct question){.embedder = e, .next = e->questions, .done = done, .ctx = ctx};
    q->fetch = ask(e, texts, 1, e->config->embeddings_timeout_ms, on_answer, q);
    if (!q->fetch) {
        free(q);
        return EIO_ENOMEM;
    }
    if (q->next) q->next->prev = q;
    e->questions = q;
    e->question_count++;
    e->stats.questions++;
    return 0;
}

/* -------------------------------------------------------------- new, free */

/* The endpoint itself, or what it stands under: a host, or …/v1. malloc. */
static char *endpoint(const char *url)
{
    static const char path[] = "/embeddings";
    size_t n = strlen(url);
    while (n && url[n - 1] == '/') n--;
    char *full = malloc(n + sizeof "/v1" + sizeof path);
    if (!full) return NULL;
    memcpy(full, url, n);
    full[n] = 0;
    bool is_whole = n >= sizeof path && !strcmp(full + n - (sizeof path - 1), path);
    bool has_version = n > 3 && !strcmp(full + n - 3, "/v1");
    if (!is_whole) strcat(full, has_version ? path : "/v1/embeddings");
    return full;
}

static int read_key(struct knowledge_embedder *e, char *error, size_t error_size)
{
    size_t size;
    const char *path = e->config->embeddings_key_file;
    char *text = path[0] ? kit_file_read(path, KIT_FILE_ANY, KNOWLEDGE_FILE_BYTES_MAX, &size) : NULL;
    if (!path[0]) return 0;
    struct eio_str key = text ? knowledge_trim((struct eio_str){text, size}) : (struct eio_str){NULL, 0};
    bool is_good = key.n > 0 && key.n < 4096 && !memchr(key.p, '\n', key.n) && !memchr(key.p, '\r', key.n);
    if (is_good && (e->authorization = malloc(key.n + 64)))
        sprintf(e->authorization, "Authorization: Bearer %.*s", (int)key.n, key.p);
    free(text);
    if (e->authorization) return 0;
    return kit_config_refuse(e->kit->config, "embeddings_key_file", "a file with a key in one line", error, error_size);
}

int knowledge_embedder_new(struct kit *kit, struct knowledge *knowledge, const struct knowledge_config *config,
                           struct knowledge_embedder **out, char *error, size_t error_size)
{
    struct knowledge_embedder *e = calloc(1, sizeof *e);
    *out = e;
    if (!e) return EIO_ENOMEM;
    *e = (struct knowledge_embedder){.kit = kit, .knowledge = knowledge, .config = config};
    eio_timer_init(&e->timer, kit->loop, begin_catch_up, e);
    e->url = endpoint(config->embeddings_url);
    if (!e->url) return EIO_ENOMEM;
    if (read_key(e, error, error_size)) return EIO_EINVAL;
    /* One process of a machine is enough: the others find in the store what it brought. */
    return kit->processes.index == 0 ? eio_timer_start(&e->timer, 0) : 0;
}

void knowledge_embedder_pause(struct knowledge_embedder *e)
{
    if (!e) return;
    e->stopping = true;
    eio_timer_stop(&e->timer);
    if (e->fetch) {
        kit_fetch_cancel(e->fetch);
        e->fetch = NULL;
        free_catch_up(e->catch_up);
    }
    while (e->questions) {
        kit_fetch_cancel(e->questions->fetch);
        finish_question(e->questions, NULL);
    }
}

void knowledge_embedder_free(struct knowledge_embedder *e)
{
    if (!e) return;
    knowledge_embedder_pause(e);
    free(e->url);
    free(e->authorization);
    free(e);
}

void knowledge_embedder_get_stats(const struct knowledge_embedder *e, struct knowledge_embedder_stats *stats)
{
    if (e) *stats = e->stats;
}
