/* Documents and their vectors in memory, read from the store by the hash of their texts. */
#include "knowledge_embeddings.h"

#include "knowledge_int.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define SENTENCES_MAX 24    /* of a document; those that follow have no vector */
#define SENTENCES_SCORED 3  /* the best ones */
#define SENTENCE_BYTES 8    /* shorter ones are too vague */
#define TEXT_BYTES 2000     /* of a text; models read little more */
#define OWN_FACTOR 2.0f     /* a document's own vector counts like this many calls */
#define CALLS_MAX 200       /* learned calls of a document, the latest */
#define STORED_ONE 16384.0f /* of a stored vector's numbers */

/* A text, and its vector once that is known. */
struct text {
    char hash[KNOWLEDGE_TEXT_HASH_SIZE];
    char *text;  /* NULL: the vector is known */
    int8_t *x;   /* NULL: it is not */
    float scale; /* of its numbers */
    UT_hash_handle hh;
};

struct document {
    struct text *main; /* title, topic and lead */
    struct text *sentences[SENTENCES_MAX];
    size_t sentence_count;
    float *calls;     /* the vectors of learned calls added up; NULL if absent */
    float call_count; /* a vote that weighs less counts less */
};

struct knowledge_embeddings {
    const char *model;
    size_t dimensions; /* 0: no vector is known yet */
    struct document *documents;
    size_t count, capacity;
    struct text *texts;
    int64_t loaded; /* the latest vector of the store that was looked for */
};

/* ----------------------------------------------------------------- vectors */

struct knowledge_vector *knowledge_vector_new(const float *x, size_t dimensions)
{
    double square = 0;
    if (!dimensions || dimensions > KNOWLEDGE_EMBEDDING_DIMENSIONS_MAX) return NULL;
    for (size_t i = 0; i < dimensions; i++) square += (double)x[i] * x[i];
    if (!(square > 0) || !isfinite(square)) return NULL;
    struct knowledge_vector *vector = malloc(sizeof *vector + dimensions * sizeof vector->x[0]);
    if (!vector) return NULL;
    vector->dimensions = dimensions;
    for (size_t i = 0; i < dimensions; i++) vector->x[i] = (float)(x[i] / sqrt(square));
    return vector;
}

void knowledge_text_hash(struct eio_str text, char hash[KNOWLEDGE_TEXT_HASH_SIZE])
{
    unsigned char bytes[(KNOWLEDGE_TEXT_HASH_SIZE - 1) / 2];
    crypto_generichash(bytes, sizeof bytes, (const unsigned char *)text.p, text.n, NULL, 0);
    sodium_bin2hex(hash, KNOWLEDGE_TEXT_HASH_SIZE, bytes, sizeof bytes);
}

static float dot(const struct text *text, const float *x, size_t dimensions)
{
    float sum = 0;
    for (size_t i = 0; i < dimensions; i++) sum += (float)text->x[i] * x[i];
    return sum * text->scale;
}

/* As the store has them: whole numbers of 16 bits, STORED_ONE for one. */
static bool set_vector(struct knowledge_embeddings *e, struct text *text, struct eio_str stored)
{
    int16_t x[KNOWLEDGE_EMBEDDING_DIMENSIONS_MAX];
    size_t dimensions = stored.n / sizeof x[0];
    int max = 1;
    if (!dimensions || stored.n % sizeof x[0] || stored.n > sizeof x) return false;
    if (e->dimensions && e->dimensions != dimensions) return false;
    memcpy(x, stored.p, stored.n);
    for (size_t i = 0; i < dimensions; i++) max = abs(x[i]) > max ? abs(x[i]) : max;
    text->x = malloc(dimensions);
    if (!text->x) return false;
    for (size_t i = 0; i < dimensions; i++) text->x[i] = (int8_t)lrintf(127.0f * (float)x[i] / (float)max);
    text->scale = (float)max / 127.0f / STORED_ONE;
    e->dimensions = dimensions;
    free(text->text);
    text->text = NULL;
    return true;
}

/* --------------------------------------------------------------- new, free */

struct knowledge_embeddings *knowledge_embeddings_new(const char *model)
{
    struct knowledge_embeddings *e = calloc(1, sizeof *e);
    if (e) e->model = model;
    return e;
}

void knowledge_embeddings_free(struct knowledge_embeddings *e)
{
    struct text *text, *next;
    if (!e) return;
    HASH_ITER(hh, e->texts, text, next)
    {
        HASH_DEL(e->texts, text);
        free(text->text);
        free(text->x);
        free(text);
    }
    for (size_t i = 0; i < e->count; i++) free(e->documents[i].calls);
    free(e->documents);
    free(e);
}

/* --------------------------------------------------------------------- add */

/* NULL: out of memory. */
static struct text *add_text(struct knowledge_embeddings *e, struct eio_str s)
{
    char hash[KNOWLEDGE_TEXT_HASH_SIZE];
    struct text *text;
    if (s.n > TEXT_BYTES)
        for (s.n = TEXT_BYTES; s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80;) s.n--;
    knowledge_text_hash(s, hash);
    HASH_FIND_STR(e->texts, hash, text);
    if (text) return text;
    text = calloc(1, sizeof *text);
    if (text) text->text = strndup(s.p, s.n);
    if (!text || !text->text) {
        free(text);
        return NULL;
    }
    memcpy(text->hash, hash, sizeof hash);
    HASH_ADD_STR(e->texts, hash, text);
    return text;
}

/* "title. topic. lead" */
static struct text *add_main(struct knowledge_embeddings *e, const struct knowledge_indexed *from)
{
    struct knowledge_text joined = {NULL, 0, 0, false};
    struct eio_str lead = knowledge_trim((struct eio_str){from->text, knowledge_lead_size(eio_str(from->text))});
    knowledge_text_put(&joined, from->title);
    if (from->topic[0]) knowledge_text_put(&joined, ". ");
    knowledge_text_put(&joined, from->topic);
    if (lead.n) knowledge_text_put(&joined, ". ");
    knowledge_text_append(&joined, lead.p, lead.n);
    struct text *text = joined.failed ? NULL : add_text(e, (struct eio_str){joined.p, joined.n});
    knowledge_text_clear(&joined);
    return text;
}

static int add_sentence(struct knowledge_embeddings *e, struct document *d, struct eio_str sentence)
{
    if (d->sentence_count == SENTENCES_MAX || sentence.n < SENTENCE_BYTES) return 0;
    struct text *text = add_text(e, sentence);
    if (!text) return EIO_ENOMEM;
    d->sentences[d->sentence_count++] = text;
    return 0;
}

int knowledge_embeddings_add(struct knowledge_embeddings *e, const struct knowledge_index *index,
                             const struct knowledge_indexed *from)
{
    if (e->count == e->capacity) {
        size_t capacity = e->capacity ? e->capacity * 2 : 64;
        struct document *list = realloc(e->documents, capacity * sizeof *list);
        if (!list) return EIO_ENOMEM;
        e->documents = list;
        e->capacity = capacity;
    }
    struct document *d = &e->documents[e->count];
    struct eio_str phrases, rest = knowledge_says_split(eio_str(from->text), &phrases), passage;
    memset(d, 0, sizeof *d);
    d->main = add_main(e, from);
    if (!d->main) return EIO_ENOMEM;
    int failed = 0;
    while (!failed && knowledge_next_phrase(&phrases, &passage)) failed = add_sentence(e, d, passage);
    while (!failed && knowledge_next_passage(&rest, &passage))
        if (!knowledge_index_is_boilerplate(index, passage)) failed = add_sentence(e, d, passage);
    e->count += !failed;
    return failed;
}

void knowledge_embeddings_inherit(struct knowledge_embeddings *e, struct knowledge_embeddings *former)
{
    if (!former) return;
    for (struct text *text = e->texts; text; text = text->hh.next) {
        struct text *known;
        HASH_FIND_STR(former->texts, text->hash, known);
        if (!known || !known->x) continue;
        free(text->text);
        text->text = NULL;
        text->x = known->x;
        text->scale = known->scale;
        known->x = NULL;
    }
    e->dimensions = former->dimensions;
}

/* -------------------------------------------------------------------- load */

static int load_text(struct knowledge_embeddings *e, struct text *text, struct kit_db *db, struct kit_failure *failure)
{
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT vector FROM embeddings WHERE model=? AND hash=?", "tt", e->model, text->hash);
    if (step == KIT_ROW) set_vector(e, text, kit_rows_bytes(&row, 0));
    kit_rows_end(&row);
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

/* Adds the calls' vectors of one document up. */
static int load_calls(struct knowledge_embeddings *e, struct document *d, struct kit_db *db, const char *doc_id,
                      struct kit_failure *failure)
{
    int16_t x[KNOWLEDGE_EMBEDDING_DIMENSIONS_MAX];
    struct kit_rows rows;
    enum kit_step step =
        kit_db_query(db, &rows,
                     "SELECT e.vector, v.weight FROM learned_votes v JOIN embeddings e ON e.hash = v.text_hash"
                     " AND e.model = ?2 WHERE v.doc_id=?1 ORDER BY e.id DESC LIMIT ?3",
                     "tti", doc_id, e->model, (int64_t)CALLS_MAX);
    if (d->calls) memset(d->calls, 0, e->dimensions * sizeof *d->calls);
    d->call_count = 0;
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        struct eio_str stored = kit_rows_bytes(&rows, 0);
        if (!e->dimensions || stored.n != e->dimensions * sizeof x[0]) continue;
        if (!d->calls) d->calls = calloc(e->dimensions, sizeof *d->calls);
        if (!d->calls) break;
        float weight = (float)kit_rows_int(&rows, 1) / KNOWLEDGE_WEIGHT_ONE;
        memcpy(x, stored.p, stored.n);
        for (size_t i = 0; i < e->dimensions; i++) d->calls[i] += weight * (float)x[i] / STORED_ONE;
        d->call_count += weight;
    }
    kit_rows_end(&rows);
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

int knowledge_embeddings_load_calls(struct knowledge_embeddings *e, const struct knowledge_index *index,
                                    struct kit_db *db, const char *doc_id, struct kit_failure *failure)
{
    uint32_t i = e ? knowledge_index_find(index, doc_id) : UINT32_MAX;
    return e && i < e->count ? load_calls(e, &e->documents[i], db, doc_id, failure) : 0;
}

/* The documents one of whose calls has a vector that is new. */
static int load_new_calls(struct knowledge_embeddings *e, const struct knowledge_index *index, struct kit_db *db,
                          struct kit_failure *failure)
{
    struct knowledge_text ids = {NULL, 0, 0, false};
    struct kit_rows rows;
    int code = 0;
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT DISTINCT v.doc_id FROM embeddings e JOIN learned_votes v"
                                      " ON v.text_hash = e.hash WHERE e.id > ? AND e.model=?",
                                      "it", e->loaded, e->model);
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        knowledge_text_put(&ids, kit_rows_text(&rows, 0));
        knowledge_text_put(&ids, "\n");
    }
    if (step == KIT_FAILED) code = kit_db_fail(db, failure);
    char *rest = ids.p, *id;
    while (!code && rest && (id = strsep(&rest, "\n")))
        if (*id) code = knowledge_embeddings_load_calls(e, index, db, id, failure);
    knowledge_text_clear(&ids);
    return code;
}

int knowledge_embeddings_load(struct knowledge_embeddings *e, const struct knowledge_index *index, struct kit_db *db,
                              struct kit_failure *failure)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT coalesce(max(id), 0) FROM embeddings", "") != KIT_ROW)
        return kit_db_fail(db, failure);
    int64_t latest = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    int code = 0;
    if (latest == e->loaded) return 0;
    for (struct text *text = e->texts; text && !code; text = text->hh.next)
        if (!text->x) code = load_text(e, text, db, failure);
    if (!code) code = load_new_calls(e, index, db, failure);
    if (!code) e->loaded = latest;
    return code;
}

/* ------------------------------------------------------------------ search */

size_t knowledge_embeddings_missing(const struct knowledge_embeddings *e, const char **texts, size_t max)
{
    size_t count = 0;
    for (struct text *text = e->texts; text && count < max; text = text->hh.next)
        if (!text->x) texts[count++] = text->text;
    return count;
}

bool knowledge_embeddings_are_complete(const struct knowledge_embeddings *e)
{
    for (size_t i = 0; i < e->count; i++)
        if (!e->documents[i].main->x) return false;
    return e->count > 0;
}

/* The cosine with the document's own vector, moved by what its calls said. */
static float score_main(const struct document *d, const float *x, size_t dimensions)
{
    float sum = 0, square = 0;
    if (d->call_count <= 0) return dot(d->main, x, dimensions);
    for (size_t i = 0; i < dimensions; i++) {
        float v = OWN_FACTOR * d->main->scale * (float)d->main->x[i] + d->calls[i];
        sum += v * x[i];
        square += v * v;
    }
    return square > 0 ? sum / sqrtf(square) : 0;
}

/* The sum of the best sentences' cosines; *count is how many. */
static float score_sentences(const struct document *d, const float *x, size_t dimensions, size_t *count)
{
    float best[SENTENCES_SCORED], sum = 0;
    *count = 0;
    for (size_t i = 0; i < d->sentence_count; i++) {
        if (!d->sentences[i]->x) continue;
        float score = dot(d->sentences[i], x, dimensions);
        size_t k = *count < SENTENCES_SCORED ? (*count)++ : SENTENCES_SCORED;
        if (k == SENTENCES_SCORED && best[--k] >= score) continue;
        for (; k > 0 && best[k - 1] < score; k--) best[k] = best[k - 1];
        best[k] = score;
    }
    for (size_t i = 0; i < *count; i++) sum += best[i];
    return sum;
}

bool knowledge_embeddings_score(const struct knowledge_embeddings *e, const struct knowledge_vector *vector,
                                float *scores)
{
    if (vector->dimensions != e->dimensions) return false;
    for (size_t i = 0; i < e->count; i++) {
        const struct document *d = &e->documents[i];
        size_t sentences;
        float weight = 1 + d->call_count;
        float sum = weight * score_main(d, vector->x, e->dimensions);
        sum += score_sentences(d, vector->x, e->dimensions, &sentences);
        scores[i] = sum / (weight + (float)sentences);
    }
    return true;
}

/* ------------------------------------------------------------------- store */

int knowledge_embeddings_keep(struct kit_db *db, const char *model, const char *text,
                              const struct knowledge_vector *vector, struct kit_failure *failure)
{
    int16_t x[KNOWLEDGE_EMBEDDING_DIMENSIONS_MAX];
    char hash[KNOWLEDGE_TEXT_HASH_SIZE];
    for (size_t i = 0; i < vector->dimensions; i++) x[i] = (int16_t)lrintf(vector->x[i] * STORED_ONE);
    knowledge_text_hash(eio_str(text), hash);
    bool failed = kit_db_run(db,
                             "INSERT INTO embeddings(model, hash, vector) VALUES (?,?,?)"
                             " ON CONFLICT(model, hash) DO NOTHING",
                             "ttx", model, hash, x, vector->dimensions * sizeof x[0]) ||
                  kit_db_run(db, "DELETE FROM embeddings_wanted WHERE hash=?", "t", hash);
    return failed ? kit_db_fail(db, failure) : 0;
}

int knowledge_embeddings_want(struct kit_db *db, const char *text, struct kit_failure *failure)
{
    char hash[KNOWLEDGE_TEXT_HASH_SIZE];
    knowledge_text_hash(eio_str(text), hash);
    return kit_db_run(db, "INSERT INTO embeddings_wanted(hash, text) VALUES (?,?) ON CONFLICT(hash) DO NOTHING", "tt",
                      hash, text)
               ? kit_db_fail(db, failure)
               : 0;
}
