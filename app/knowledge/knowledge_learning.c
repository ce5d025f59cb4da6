/* What calls teach: counts of what the customers of helpful documents said, in the store. Only counts are kept, so
 * their order does not matter, and what a vote added is taken back exactly, since it is kept with the vote. */
#include "knowledge_int.h"

#include "knowledge_index.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCALE 4096.0f /* of a vector's numbers: whole ones add up to the same whatever their order */

struct lesson {
    struct kit_db *db;
    struct kit_failure *failure;
    const char *doc_id;
};

static int code_of(struct lesson *lesson, int failed)
{
    return failed ? kit_db_fail(lesson->db, lesson->failure) : 0;
}

/* ------------------------------------------------------------------ counts */

static int add_feature(struct lesson *lesson, const char *feature, size_t size, int64_t n)
{
    return code_of(lesson, kit_db_run(lesson->db,
                                      "INSERT INTO learned(doc_id, feature, n) VALUES (?,?,?)"
                                      " ON CONFLICT(doc_id, feature) DO UPDATE SET n = learned.n + excluded.n",
                                      "tbi", lesson->doc_id, feature, size, n));
}

/* Features are separated by line ends. */
static int add_features(struct lesson *lesson, const char *features, int64_t n)
{
    int code = 0;
    while (*features && !code) {
        size_t size = strcspn(features, "\n");
        code = add_feature(lesson, features, size, n);
        features += size + (features[size] == '\n');
    }
    if (code || n > 0) return code;
    return code_of(lesson,
                   kit_db_run(lesson->db, "DELETE FROM learned WHERE doc_id=? AND n <= 0", "t", lesson->doc_id));
}

static int read_sum(struct lesson *lesson, int32_t sum[KNOWLEDGE_VECTOR])
{
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(lesson->db, &row, "SELECT vector FROM learned_calls WHERE doc_id=?", "t", lesson->doc_id);
    struct eio_str vector = step == KIT_ROW ? kit_rows_bytes(&row, 0) : (struct eio_str){NULL, 0};
    memset(sum, 0, KNOWLEDGE_VECTOR * sizeof *sum);
    if (vector.n == KNOWLEDGE_VECTOR * sizeof *sum) memcpy(sum, vector.p, vector.n);
    kit_rows_end(&row);
    return code_of(lesson, step == KIT_FAILED);
}

/* A call more, or less, of that weight; its vector is added by its share. Notes that the document changed. */
static int add_call(struct lesson *lesson, const int16_t vector[KNOWLEDGE_VECTOR], int64_t weight)
{
    int32_t sum[KNOWLEDGE_VECTOR];
    int code = read_sum(lesson, sum);
    if (code) return code;
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) sum[i] += (int32_t)weight * vector[i] / KNOWLEDGE_WEIGHT_ONE;
    bool failed =
        kit_db_run(lesson->db, "UPDATE knowledge_changes SET learned = learned + 1 WHERE id = 1", "") ||
        kit_db_run(
            lesson->db,
            "INSERT INTO learned_calls(doc_id, n, vector, changed)"
            " VALUES (?1, ?2, ?3, (SELECT learned FROM knowledge_changes WHERE id = 1))"
            " ON CONFLICT(doc_id) DO UPDATE SET n = learned_calls.n + ?2, vector = ?3, changed = excluded.changed",
            "tix", lesson->doc_id, weight, sum, sizeof sum);
    return code_of(lesson, failed);
}

/* ------------------------------------------------------------------- votes */

static char *join_features(const struct knowledge_call *call)
{
    struct knowledge_text text = {NULL, 0, 0, false};
    for (size_t i = 0; i < call->feature_count; i++) {
        knowledge_text_put(&text, call->features[i]);
        knowledge_text_put(&text, "\n");
    }
    return knowledge_text_take(&text);
}

static int learn(struct lesson *lesson, const struct knowledge_vote *vote, const struct knowledge_call *call,
                 const char *text_hash)
{
    int16_t vector[KNOWLEDGE_VECTOR];
    char *features = join_features(call);
    if (!features) return kit_fail(lesson->failure, 503, NULL, "out of memory");
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) vector[i] = (int16_t)lrintf(call->first_vector[i] * SCALE);
    int code = code_of(
        lesson, kit_db_run(lesson->db,
                           "INSERT INTO learned_votes(call_id, doc_id, agent, features, vector, weight, text_hash)"
                           " VALUES (?,?,?,?,?,?,?)",
                           "ttttxit", vote->call_id, vote->doc_id, vote->agent, features, vector, sizeof vector,
                           vote->weight, text_hash));
    if (!code) code = add_features(lesson, features, vote->weight);
    if (!code) code = add_call(lesson, vector, vote->weight);
    free(features);
    return code;
}

/* Takes back what the vote added; nothing if it added nothing. */
static int unlearn(struct lesson *lesson, const struct knowledge_vote *vote)
{
    int16_t vector[KNOWLEDGE_VECTOR] = {0};
    struct kit_rows row;
    enum kit_step step = kit_db_query(lesson->db, &row,
                                      "DELETE FROM learned_votes WHERE call_id=? AND doc_id=? AND agent=?"
                                      " RETURNING features, vector, weight, coalesce(text_hash, '')",
                                      "ttt", vote->call_id, vote->doc_id, vote->agent);
    if (step != KIT_ROW) return code_of(lesson, step == KIT_FAILED);
    char *features = strdup(kit_rows_text(&row, 0));
    struct eio_str bytes = kit_rows_bytes(&row, 1);
    int64_t weight = kit_rows_int(&row, 2);
    char text_hash[KNOWLEDGE_TEXT_HASH_SIZE];
    snprintf(text_hash, sizeof text_hash, "%s", kit_rows_text(&row, 3));
    if (bytes.n == sizeof vector) memcpy(vector, bytes.p, sizeof vector);
    kit_rows_end(&row);
    if (!features) return kit_fail(lesson->failure, 503, NULL, "out of memory");
    int code = code_of(lesson, kit_db_run(lesson->db, "DELETE FROM embeddings_wanted WHERE hash=?", "t", text_hash));
    if (!code) code = add_features(lesson, features, -weight);
    if (!code) code = add_call(lesson, vector, -weight);
    free(features);
    return code;
}

/* The call's text waits for its vector; hash: what it will be found by. */
static int want_vector(struct lesson *lesson, const struct knowledge_vote *vote, char hash[KNOWLEDGE_TEXT_HASH_SIZE])
{
    char *text = knowledge_question_text(vote->turns, vote->turn_count);
    if (!text) return kit_fail(lesson->failure, 503, NULL, "out of memory");
    knowledge_text_hash(eio_str(text), hash);
    int code = knowledge_embeddings_want(lesson->db, text, lesson->failure);
    free(text);
    return code;
}

int knowledge_learn_vote(const struct knowledge *knowledge, struct kit_db *db, const struct knowledge_vote *vote,
                         struct kit_failure *failure)
{
    const struct knowledge_reader *reader = &knowledge->learner;
    char text_hash[KNOWLEDGE_TEXT_HASH_SIZE];
    struct lesson lesson = {db, failure, vote->doc_id};
    struct knowledge_call call;
    int code = unlearn(&lesson, vote);
    if (code || !vote->weight) return code;
    if (knowledge_call_read(&call, reader, vote->turns, vote->turn_count))
        code = kit_fail(failure, 503, NULL, "out of memory");
    else if (call.feature_count && knowledge->model)
        code = want_vector(&lesson, vote, text_hash);
    if (!code && call.feature_count) code = learn(&lesson, vote, &call, knowledge->model ? text_hash : NULL);
    knowledge_call_clear(&call);
    return code;
}

int knowledge_forget_call(struct kit_db *db, const char *call_id, struct kit_failure *failure)
{
    bool failed = kit_db_run(db,
                             "DELETE FROM embeddings_wanted WHERE hash IN"
                             " (SELECT text_hash FROM learned_votes WHERE call_id=?)",
                             "t", call_id) ||
                  kit_db_run(db, "DELETE FROM learned_votes WHERE call_id=?", "t", call_id);
    return failed ? kit_db_fail(db, failure) : 0;
}

/* -------------------------------------------------------------------- load */

/* The stored counts as weights. */
static double in_calls(int64_t weight)
{
    return weight > 0 ? (double)weight / KNOWLEDGE_WEIGHT_ONE : 0;
}

struct counts {
    struct knowledge_count *list;
    size_t count, capacity;
};

static int add_count(struct counts *counts, const char *feature, double n)
{
    if (counts->count == counts->capacity) {
        size_t capacity = counts->capacity ? counts->capacity * 2 : 64;
        struct knowledge_count *list = realloc(counts->list, capacity * sizeof *list);
        if (!list) return EIO_ENOMEM;
        counts->list = list;
        counts->capacity = capacity;
    }
    char *copy = strdup(feature);
    if (!copy) return EIO_ENOMEM;
    counts->list[counts->count++] = (struct knowledge_count){copy, n};
    return 0;
}

static void clear_counts(struct counts *counts)
{
    for (size_t i = 0; i < counts->count; i++) free((void *)(uintptr_t)counts->list[i].feature);
    free(counts->list);
}

static int load_counts(struct lesson *lesson, struct counts *counts)
{
    int failed = 0;
    struct kit_rows rows;
    enum kit_step step =
        kit_db_query(lesson->db, &rows, "SELECT feature, n FROM learned WHERE doc_id=?", "t", lesson->doc_id);
    for (; step == KIT_ROW && !failed; step = kit_rows_next(&rows))
        failed = add_count(counts, kit_rows_text(&rows, 0), in_calls(kit_rows_int(&rows, 1)));
    if (step == KIT_FAILED) return code_of(lesson, true);
    kit_rows_end(&rows);
    return failed ? kit_fail(lesson->failure, 503, NULL, "out of memory") : 0;
}

static int load_document(struct knowledge_index *index, struct lesson *lesson, uint32_t document, double calls)
{
    struct counts counts = {NULL, 0, 0};
    int32_t sum[KNOWLEDGE_VECTOR];
    float vector[KNOWLEDGE_VECTOR];
    int code = read_sum(lesson, sum);
    if (!code) code = load_counts(lesson, &counts);
    for (int i = 0; i < KNOWLEDGE_VECTOR && !code; i++) vector[i] = (float)sum[i] / SCALE;
    if (!code && knowledge_index_learn(index, document, calls, counts.list, counts.count, vector))
        code = kit_fail(lesson->failure, 503, NULL, "out of memory");
    clear_counts(&counts);
    return code;
}

int knowledge_load_learned(struct knowledge_index *index, struct knowledge_embeddings *embeddings, struct kit_db *db,
                           int64_t since, struct kit_failure *failure)
{
    int code = 0;
    for (;;) {
        char doc_id[KIT_ID_SIZE];
        struct lesson lesson = {db, failure, doc_id};
        struct kit_rows row;
        enum kit_step step = kit_db_query(
            db, &row, "SELECT doc_id, n, changed FROM learned_calls WHERE changed > ? ORDER BY changed LIMIT 1", "i",
            since);
        if (step != KIT_ROW) return code_of(&lesson, step == KIT_FAILED);
        snprintf(doc_id, sizeof doc_id, "%s", kit_rows_text(&row, 0));
        int64_t calls = kit_rows_int(&row, 1);
        since = kit_rows_int(&row, 2);
        kit_rows_end(&row);
        uint32_t document = knowledge_index_find(index, doc_id);
        if (document != UINT32_MAX) code = load_document(index, &lesson, document, in_calls(calls));
        if (!code && document != UINT32_MAX)
            code = knowledge_embeddings_load_calls(embeddings, index, db, doc_id, failure);
        if (code) return code;
    }
}
