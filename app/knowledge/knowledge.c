/* The knowledge base: documents in the store, their index in memory, and the search. Everything but the import runs
 * inside store operations, on a thread: the index belongs to the read strand, what learns to the write strand. */
#include "knowledge_int.h"

#include "kit.h"
#include "kit_embed.h"
#include "kit_metrics.h"
#include "kit_options.h"
#include "kit_file.h"

#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Building a large index may take a tenth of the time: while files are imported one by one, it is that much too old. */
#define REST_FACTOR 9
#define QUICK_BUILD_S 0.1

/* ----------------------------------------------------------------- options */

#define KIT_VALUES struct knowledge_config

static const struct kit_option option_rows[] = {
    KIT_TEXT_ROW("glossary", glossary, "", "Knowledge",
                 "files of synonymous phrases, separated by commas; empty: the demo's, if `demo` is on"),
    KIT_CHECKED_ROW(
        "embeddings_url", embeddings_url, "", kit_fetch_check_url, "Knowledge",
        "a service of sentence vectors in the format of OpenAI's /v1/embeddings, which improves suggestions; "
        "empty: none"),
    KIT_TEXT_ROW("embeddings_model", embeddings_model, "default", "Knowledge",
                 "the model that it is asked for; vectors are stored by this name"),
    KIT_TEXT_ROW("embeddings_key_file", embeddings_key_file, "", "Knowledge",
                 "a file with the key that it wants; empty: none"),
    KIT_U32_ROW("embeddings_timeout_ms", embeddings_timeout_ms, "300", 1, 60000, "Knowledge",
                "how long a better suggestion is waited for; the local one is sent at once in any case"),
    KIT_REAL_ROW("weight_title", weight_title, "3", 0, 1000, "Knowledge",
                 "how much more the glossary's concepts count in a document whose title's concepts were all said"),
    KIT_REAL_ROW("weight_words", weight_words, "0.6", 0, 1000, "Knowledge",
                 "weight of words in a document's score, where there is no glossary (docs/knowledge.md)"),
    KIT_REAL_ROW("weight_words_beside_glossary", weight_words_beside_glossary, "0.3", 0, 1000, "Knowledge",
                 "the same where there is one"),
    KIT_REAL_ROW("weight_learned", weight_learned, "0.3", 0, 1000, "Knowledge",
                 "weight of what was learned from calls; 0: nothing learned counts, but for the vectors"),
    KIT_REAL_ROW("weight_table", weight_table, "16", 0, 1000, "Knowledge",
                 "weight of the table of word pieces, which knows English alone"),
    KIT_REAL_ROW("weight_embeddings", weight_embeddings, "36", 0, 1000, "Knowledge",
                 "weight of vectors from `embeddings_url`, in place of the table's"),
};
static const struct kit_option_set options = KIT_OPTION_SET(option_rows);

/* ------------------------------------------------------------------- store */

int knowledge_count(struct kit_db *db, int64_t *count, struct kit_failure *failure)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT count(*) FROM documents", "") != KIT_ROW) return kit_db_fail(db, failure);
    *count = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return 0;
}

int knowledge_note_change(struct kit_db *db, struct kit_failure *failure)
{
    bool failed = kit_db_run(db, "UPDATE knowledge_changes SET documents = documents + 1 WHERE id = 1", "");
    return failed ? kit_db_fail(db, failure) : 0;
}

struct import_op {
    struct kit_store_op op;
    const struct knowledge_documents *documents;
    struct knowledge_import *import;
};

static int run_import(struct kit_db *db, struct kit_store_op *op)
{
    struct import_op *o = (struct import_op *)(void *)op;
    return knowledge_store(db, o->documents, o->import, &op->failure);
}

int knowledge_import(struct kit_store *store, struct knowledge_import *import, char *error, size_t error_size)
{
    struct knowledge_documents documents = {NULL, 0, 0};
    const char *name = import->name ? import->name : import->source;
    struct import_op o = {.op = {.run = run_import, .writes = true, .locks = {KNOWLEDGE_LOCK}},
                          .documents = &documents,
                          .import = import};
    int failed = knowledge_documents_parse(&documents, name, import->text, error, error_size);
    if (!failed) {
        failed = kit_store_run_now(store, &o.op);
        if (failed) snprintf(error, error_size, "%s: %s", name, o.op.failure.message);
    }
    knowledge_documents_clear(&documents);
    return failed ? EIO_EINVAL : 0;
}

/* --------------------------------------------------------------- new, free */

static int read_glossary(struct knowledge *knowledge, const char *path, char *error, size_t error_size)
{
    size_t size;
    char *text = kit_file_read(path, KIT_FILE_ANY, KNOWLEDGE_FILE_BYTES_MAX, &size);
    if (!text) {
        snprintf(error, error_size, "%s: %s", path, kit_file_error());
        return EIO_ESYS;
    }
    struct knowledge_text decoded = {NULL, 0, 0, false};
    struct eio_str bytes = {text, size};
    int failed = knowledge_decode(path, bytes, &decoded, error, error_size);
    struct eio_str lines = {decoded.p, decoded.n};
    if (!failed)
        failed =
            knowledge_glossary_read(&knowledge->glossary, knowledge->learner.words, path, lines, error, error_size);
    knowledge_text_clear(&decoded);
    free(text);
    return failed;
}

static int read_glossaries(struct knowledge *knowledge, const struct kit_config *config, char *error, size_t error_size)
{
    static const char demo_name[] = "glossary-retail.txt";
    const struct kit_embedded_file *file = kit_embedded_find(kit_embedded_demo, demo_name);
    const struct knowledge_config *own = kit_config_values(config, &options);
    if (!own->glossary[0]) {
        if (!config->demo || !file) return 0;
        struct eio_str text = {(const char *)file->data, kit_embedded_size(file)};
        return knowledge_glossary_read(&knowledge->glossary, knowledge->learner.words, demo_name, text, error,
                                       error_size);
    }
    if (kit_list_has_gap(own->glossary))
        return kit_config_refuse(config, "glossary", "names of files with one comma between two", error, error_size);
    char *paths = strdup(own->glossary), *rest = paths, *path;
    int failed = paths ? 0 : EIO_ENOMEM;
    while (!failed && (path = strsep(&rest, ",")))
        if (path[0]) failed = read_glossary(knowledge, path, error, error_size);
    free(paths);
    if (!failed || failed == EIO_ENOMEM) return failed;
    char allowed[400];
    snprintf(allowed, sizeof allowed, "files of lines `concept: phrase, phrase`: %.350s", error);
    return kit_config_refuse(config, "glossary", allowed, error, error_size);
}

struct knowledge *knowledge_new(const struct kit_config *config, char *error, size_t error_size)
{
    struct knowledge *knowledge = calloc(1, sizeof *knowledge);
    const struct kit_embedded_file *file = kit_embedded_find(kit_embedded_knowledge, "table-128.bin");
    snprintf(error, error_size, "out of memory");
    if (!knowledge) return NULL;
    knowledge->searcher.words = kit_words_new();
    knowledge->learner.words = kit_words_new();
    if (file)
        knowledge->table = knowledge_table_new((struct eio_str){(const char *)file->data, kit_embedded_size(file)});
    if (!knowledge->searcher.words || !knowledge->learner.words || !knowledge->table ||
        read_glossaries(knowledge, config, error, error_size)) {
        knowledge_free(knowledge);
        return NULL;
    }
    const struct knowledge_config *own = kit_config_values(config, &options);
    knowledge->model = own->embeddings_url[0] ? own->embeddings_model : NULL;
    knowledge->searcher.glossary = knowledge->learner.glossary = knowledge->glossary;
    knowledge->searcher.table = knowledge->learner.table = knowledge->table;
    knowledge->weights =
        (struct knowledge_weights){.title = own->weight_title,
                                   .word = knowledge->glossary ? own->weight_words_beside_glossary : own->weight_words,
                                   .learned = own->weight_learned,
                                   .vector = own->weight_table};
    knowledge->embedding_weight = own->weight_embeddings;
    return knowledge;
}

void knowledge_free(struct knowledge *knowledge)
{
    if (!knowledge) return;
    knowledge_embedder_free(knowledge->embedder);
    knowledge_embeddings_free(knowledge->embeddings);
    knowledge_index_free(knowledge->index);
    kit_words_free(knowledge->searcher.words);
    kit_words_free(knowledge->learner.words);
    knowledge_glossary_free(knowledge->glossary);
    knowledge_table_free(knowledge->table);
    free(knowledge);
}

int knowledge_vote(struct knowledge *knowledge, struct kit_db *db, const struct knowledge_vote *vote,
                   struct kit_failure *failure)
{
    return knowledge_learn_vote(knowledge, db, vote, failure);
}

/* ------------------------------------------------------------------- index */

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int add_documents(struct knowledge *knowledge, struct knowledge_index *index, struct kit_db *db,
                         struct kit_failure *failure)
{
    int failed = 0;
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows, "SELECT doc_id, title, topic, text FROM documents ORDER BY id", "");
    for (; step == KIT_ROW && !failed; step = kit_rows_next(&rows)) {
        struct knowledge_indexed one = {kit_rows_text(&rows, 0), kit_rows_text(&rows, 1), kit_rows_text(&rows, 2),
                                        kit_rows_text(&rows, 3)};
        failed = knowledge_index_add(index, &knowledge->searcher, &one);
    }
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    kit_rows_end(&rows);
    return failed ? kit_fail(failure, 503, NULL, "out of memory") : 0;
}

/* The texts whose vectors are wanted; after the index, which knows what is boilerplate. */
static int add_embeddings(struct knowledge *knowledge, const struct knowledge_index *index,
                          struct knowledge_embeddings *embeddings, struct kit_db *db, struct kit_failure *failure)
{
    int failed = 0;
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows, "SELECT doc_id, title, topic, text FROM documents ORDER BY id", "");
    for (; step == KIT_ROW && !failed; step = kit_rows_next(&rows)) {
        struct knowledge_indexed one = {kit_rows_text(&rows, 0), kit_rows_text(&rows, 1), kit_rows_text(&rows, 2),
                                        kit_rows_text(&rows, 3)};
        failed = knowledge_embeddings_add(embeddings, index, &one);
    }
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    kit_rows_end(&rows);
    if (failed) return kit_fail(failure, 503, NULL, "out of memory");
    knowledge_embeddings_inherit(embeddings, knowledge->embeddings);
    return knowledge_embeddings_load(embeddings, index, db, failure);
}

static int build(struct knowledge *knowledge, struct kit_db *db, struct kit_failure *failure)
{
    double begin_s = now_s();
    struct knowledge_index *index = knowledge_index_new();
    struct knowledge_embeddings *embeddings = knowledge->model ? knowledge_embeddings_new(knowledge->model) : NULL;
    bool has_memory = index && (embeddings || !knowledge->model);
    int code =
        has_memory ? add_documents(knowledge, index, db, failure) : kit_fail(failure, 503, NULL, "out of memory");
    if (!code) code = knowledge_load_phrases(index, &knowledge->searcher, db, failure);
    if (!code && knowledge_index_finish(index)) code = kit_fail(failure, 503, NULL, "out of memory");
    if (!code && embeddings) code = add_embeddings(knowledge, index, embeddings, db, failure);
    if (!code) code = knowledge_load_learned(index, embeddings, db, 0, failure);
    if (code) {
        knowledge_index_free(index);
        knowledge_embeddings_free(embeddings);
        return code;
    }
    knowledge_index_free(knowledge->index);
    knowledge_embeddings_free(knowledge->embeddings);
    knowledge->index = index;
    knowledge->embeddings = embeddings;
    knowledge->built_s = now_s();
    knowledge->build_s = knowledge->built_s - begin_s;
    if (knowledge->build_s > QUICK_BUILD_S) malloc_trim(0); /* building takes twice what is kept */
    return 0;
}

/* Brings the index to what the store has, whichever process put it there. */
static int refresh(struct knowledge *knowledge, struct kit_db *db, struct kit_failure *failure)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT documents, learned FROM knowledge_changes WHERE id=1", "") != KIT_ROW)
        return kit_db_fail(db, failure);
    int64_t documents = kit_rows_int(&row, 0), learned = kit_rows_int(&row, 1);
    int code = 0;
    kit_rows_end(&row);
    bool rests = knowledge->index && knowledge->build_s > QUICK_BUILD_S &&
                 now_s() - knowledge->built_s < REST_FACTOR * knowledge->build_s;
    if (documents != knowledge->documents && !rests) {
        code = build(knowledge, db, failure);
        if (!code) knowledge->documents = documents;
    } else if (learned != knowledge->learned) {
        code = knowledge_load_learned(knowledge->index, knowledge->embeddings, db, knowledge->learned, failure);
    }
    if (!code) knowledge->learned = learned;
    if (!code && knowledge->embeddings) {
        code = knowledge_embeddings_load(knowledge->embeddings, knowledge->index, db, failure);
        atomic_store(&knowledge->has_embeddings, knowledge_embeddings_are_complete(knowledge->embeddings));
    }
    return code;
}

/* ----------------------------------------------------------------- results */

/* A search under way. */
struct ask {
    struct knowledge *knowledge;
    struct knowledge_call call;
    float *cosines; /* of an embeddings service's vectors; NULL: those of the table are used */
    bool is_typed;
};

/* Copies as one line, cut between characters; a cut is marked. */
static void copy_line(struct eio_str text, char *out, size_t size)
{
    static const char mark[] = "…";
    size_t k = 0, n = text.n;
    if (n > size - sizeof mark) {
        n = size - sizeof mark;
        while (n && ((unsigned char)text.p[n] & 0xc0) == 0x80) n--;
    }
    for (size_t i = 0; i < n; i++) {
        char c = strchr("\t\r\n", text.p[i]) ? ' ' : text.p[i];
        if (c != ' ' || (k && out[k - 1] != ' ')) out[k++] = c;
    }
    while (k && out[k - 1] == ' ') k--;
    strcpy(out + k, n < text.n ? mark : "");
}

/* The share of the customer's words that is in a passage of the document. */
static double passage_score(struct knowledge *knowledge, const struct knowledge_call *call, uint32_t document,
                            struct eio_str passage)
{
    struct knowledge_token *tokens;
    double score = 0;
    size_t count = knowledge_glossary_scan(knowledge->glossary, knowledge->searcher.words, passage, &tokens);
    for (size_t i = 0; i < call->term_count; i++) {
        const char *name = call->terms[i].name;
        size_t k = 0;
        while (k < count && (tokens[k].is_concept != (name[0] == 'c') || strcmp(tokens[k].term, name + 1))) k++;
        if (k < count) score += knowledge_index_weight(knowledge->index, name, document);
    }
    free(tokens);
    return score;
}

/* The passage that explains the match; boilerplate explains none. */
static void choose_excerpt(struct knowledge *knowledge, const struct knowledge_call *call, uint32_t document,
                           const char *text, struct knowledge_result *result)
{
    struct eio_str phrases, rest = knowledge_says_split(eio_str(text), &phrases), passage, best = {NULL, 0},
                            first = {NULL, 0};
    double best_score = 0;
    while (knowledge_next_passage(&rest, &passage)) {
        if (!first.p) first = passage;
        if (knowledge_index_is_boilerplate(knowledge->index, passage)) continue;
        double score = passage_score(knowledge, call, document, passage);
        if (best.p && score <= best_score) continue;
        best = passage;
        best_score = score;
    }
    copy_line(best.p ? best : first, result->excerpt, sizeof result->excerpt);
}

static void say_why(struct knowledge *knowledge, const struct knowledge_call *call, uint32_t document, char *why,
                    size_t size)
{
    size_t n = 0;
    why[0] = 0;
    for (size_t i = 0; i < call->term_count; i++) {
        const struct knowledge_term *term = &call->terms[i];
        size_t m = strlen(term->said);
        if (n + m + 2 > size || knowledge_index_weight(knowledge->index, term->name, document) <= 0) continue;
        if (n) why[n++] = '\n';
        memcpy(why + n, term->said, m + 1);
        n += m;
    }
}

/* Units of score in which the odds of being right grow by e, fitted to calls whose document is known. */
#define ODDS_WIDTH 3.1
#define ODDS_WIDTH_WITHOUT_VECTOR 1.6
#define ODDS_WIDTH_OF_EMBEDDINGS 3.1
#define RIVALS_MAX 100.0 /* of more documents most are about other things altogether */

/* As in a short text that has nothing else: what somebody typed is found, however deep in a long one it stands. */
#define TYPED_WEIGHT 0.6

/* The chance that this is the document, comparable between calls: one of all, and by its score more likely than that.
 */
static double relevance_of(const struct ask *ask, const struct knowledge_hit *hit)
{
    double rivals = fmin(fmax((double)knowledge_index_count(ask->knowledge->index) - 1, 1), RIVALS_MAX);
    double width = hit->vector != 0 ? ODDS_WIDTH : ODDS_WIDTH_WITHOUT_VECTOR;
    if (ask->cosines) width = ODDS_WIDTH_OF_EMBEDDINGS;
    return 1 / (1 + rivals * exp(-hit->excess / width));
}

/* KIT_DONE: the document is gone since the index was built. */
static enum kit_step read_result(const struct ask *ask, struct kit_db *db, const struct knowledge_hit *hit,
                                 struct knowledge_result *result)
{
    struct knowledge *knowledge = ask->knowledge;
    const struct knowledge_call *call = &ask->call;
    const char *id = knowledge_index_id(knowledge->index, hit->document);
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT title, topic, substr(text, 1, 65536) FROM documents WHERE doc_id=?", "t", id);
    if (step != KIT_ROW) return step;
    memset(result, 0, sizeof *result);
    snprintf(result->id, sizeof result->id, "%s", id);
    copy_line(eio_str(kit_rows_text(&row, 0)), result->title, sizeof result->title);
    copy_line(eio_str(kit_rows_text(&row, 1)), result->topic, sizeof result->topic);
    choose_excerpt(knowledge, call, hit->document, kit_rows_text(&row, 2), result);
    say_why(knowledge, call, hit->document, result->why, sizeof result->why);
    result->relevance = relevance_of(ask, hit);
    kit_rows_end(&row);
    return step;
}

static int read_results(const struct ask *ask, struct kit_db *db, struct knowledge_result *results, size_t *count,
                        struct kit_failure *failure)
{
    struct knowledge_hit hits[KNOWLEDGE_RESULTS_MAX];
    struct knowledge_weights weights = ask->knowledge->weights;
    if (ask->is_typed) weights.typed = TYPED_WEIGHT;
    size_t n = KNOWLEDGE_RESULTS_MAX;
    if (ask->cosines) weights.vector = ask->knowledge->embedding_weight;
    knowledge_index_search(ask->knowledge->index, &ask->call, &weights, ask->cosines, hits, &n);
    for (size_t i = 0; i < n; i++) {
        enum kit_step step = read_result(ask, db, &hits[i], &results[*count]);
        if (step == KIT_FAILED) return kit_db_fail(db, failure);
        *count += step == KIT_ROW;
    }
    return 0;
}

/* NULL: there is no vector, or not one for each document. malloc. */
static float *cosines_of(const struct knowledge *knowledge, const struct knowledge_vector *vector)
{
    if (!vector || !knowledge->embeddings || !atomic_load(&knowledge->has_embeddings)) return NULL;
    float *cosines = calloc(knowledge_index_count(knowledge->index) + 1, sizeof *cosines);
    if (cosines && knowledge_embeddings_score(knowledge->embeddings, vector, cosines)) return cosines;
    free(cosines);
    return NULL;
}

int knowledge_prepare(struct knowledge *knowledge, struct kit_db *db, struct kit_failure *failure)
{
    return refresh(knowledge, db, failure);
}

int knowledge_search_question(struct knowledge *knowledge, struct kit_db *db, const struct knowledge_question *question,
                              struct knowledge_result results[KNOWLEDGE_RESULTS_MAX], size_t *count,
                              struct kit_failure *failure)
{
    struct ask ask = {.knowledge = knowledge, .is_typed = question->is_typed};
    *count = 0;
    int code = refresh(knowledge, db, failure);
    if (code) return code;
    if (knowledge_call_read(&ask.call, &knowledge->searcher, question->turns, question->turn_count)) {
        code = kit_fail(failure, 503, NULL, "out of memory");
    } else {
        ask.cosines = cosines_of(knowledge, question->vector);
        code = read_results(&ask, db, results, count, failure);
    }
    knowledge_call_clear(&ask.call);
    free(ask.cosines);
    return code;
}

int knowledge_search(struct knowledge *knowledge, struct kit_db *db, const struct eio_str *turns, size_t turn_count,
                     struct knowledge_result results[KNOWLEDGE_RESULTS_MAX], size_t *count, struct kit_failure *failure)
{
    const struct knowledge_question question = {.turns = turns, .turn_count = turn_count};
    return knowledge_search_question(knowledge, db, &question, results, count, failure);
}

/* -------------------------------------------------------------- embeddings */

#define QUESTION_WORDS 48 /* the newest; models read little more, and the latest says what it is about */

char *knowledge_question_text(const struct eio_str *turns, size_t turn_count)
{
    struct knowledge_text joined = {NULL, 0, 0, false};
    for (size_t i = 0; i < turn_count; i++) {
        if (i) knowledge_text_put(&joined, " ");
        knowledge_text_append(&joined, turns[i].p, turns[i].n);
    }
    char *text = knowledge_text_take(&joined), *p = text ? text + strlen(text) : NULL;
    for (size_t words = 0; p && p > text && words < QUESTION_WORDS; words++) {
        while (p > text && p[-1] == ' ') p--;
        while (p > text && p[-1] != ' ') p--;
    }
    if (p) memmove(text, p, strlen(p) + 1);
    return text;
}

int knowledge_embed(struct knowledge *knowledge, const struct eio_str *turns, size_t turn_count,
                    knowledge_embedded_fn done, void *ctx)
{
    if (!knowledge_embedder_is_ready(knowledge->embedder)) return EIO_EAGAIN;
    char *text = knowledge_question_text(turns, turn_count);
    int failed = text ? knowledge_embedder_ask(knowledge->embedder, text, done, ctx) : EIO_ENOMEM;
    free(text);
    return failed;
}

/* ------------------------------------------------------------------ module */

#define KIT_NUMBERS struct knowledge_embedder_stats

static void read_numbers(void *ctx, void *numbers)
{
    knowledge_embedder_get_stats(((const struct knowledge *)ctx)->embedder, numbers);
}

static const struct kit_metric metric_rows[] = {
    KIT_COUNTER_ROW("embeddings_texts_total", texts, "Texts of documents and learned calls that got their vector."),
    KIT_COUNTER_ROW("embeddings_questions_total", questions, "Vectors asked for what customers said."),
    KIT_COUNTER_ROW("embeddings_late_total", late, "Vectors that did not come in time."),
    KIT_COUNTER_ROW("embeddings_failures_total", failures, "Requests that the embeddings service did not answer well."),
};
static const struct kit_metric_set metrics = KIT_METRIC_SET(metric_rows, read_numbers);

static int start(struct kit *kit, void **state, char *error, size_t error_size)
{
    const struct knowledge_config *own = kit_config_values(kit->config, &options);
    struct knowledge *knowledge = *state = knowledge_new(kit->config, error, error_size);
    int failed = knowledge ? knowledge_http_start(kit) : EIO_EINVAL;
    if (!failed) failed = knowledge_phrases_start(kit);
    if (!failed && knowledge->model)
        failed = knowledge_embedder_new(kit, knowledge, own, &knowledge->embedder, error, error_size);
    return failed;
}

static void pause_knowledge(void *state)
{
    struct knowledge *knowledge = state;
    if (knowledge) knowledge_embedder_pause(knowledge->embedder);
}

static void stop(void *state)
{
    knowledge_free(state);
}

const struct kit_module knowledge_module = {.name = "knowledge",
                                            .options = &options,
                                            .metrics = &metrics,
                                            .migrations = knowledge_migrations,
                                            .start = start,
                                            .pause = pause_knowledge,
                                            .stop = stop};
