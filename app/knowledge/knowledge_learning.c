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

static int run(struct lesson *lesson, sqlite3_stmt *statement, int step)
{
    (void)statement;
    return step == SQLITE_DONE ? 0 : kit_db_fail(lesson->db, lesson->failure);
}

/* ------------------------------------------------------------------ counts */

static int add_feature(struct lesson *lesson, const char *feature, size_t size, int64_t n)
{
    sqlite3_stmt *s = kit_db_statement(lesson->db, "INSERT INTO learned(doc_id, feature, n) VALUES (?,?,?)"
                                                   " ON CONFLICT(doc_id, feature) DO UPDATE SET n = n + excluded.n");
    sqlite3_bind_text(s, 1, lesson->doc_id, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, feature, (int)size, SQLITE_STATIC);
    sqlite3_bind_int64(s, 3, n);
    return run(lesson, s, sqlite3_step(s));
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
    sqlite3_stmt *s = kit_db_statement(lesson->db, "DELETE FROM learned WHERE doc_id=? AND n <= 0");
    return run(lesson, s, kit_db_step(s, "t", lesson->doc_id));
}

static int read_sum(struct lesson *lesson, int32_t sum[KNOWLEDGE_VECTOR])
{
    sqlite3_stmt *row = kit_db_statement(lesson->db, "SELECT vector FROM learned_calls WHERE doc_id=?");
    int step = kit_db_step(row, "t", lesson->doc_id);
    memset(sum, 0, KNOWLEDGE_VECTOR * sizeof *sum);
    if (step == SQLITE_ROW && sqlite3_column_bytes(row, 0) == KNOWLEDGE_VECTOR * (int)sizeof *sum)
        memcpy(sum, sqlite3_column_blob(row, 0), KNOWLEDGE_VECTOR * sizeof *sum);
    if (row) sqlite3_reset(row);
    return step == SQLITE_ROW || step == SQLITE_DONE ? 0 : kit_db_fail(lesson->db, lesson->failure);
}

/* A call more, or less, of that weight; its vector is added by its share. Notes that the document changed. */
static int add_call(struct lesson *lesson, const int16_t vector[KNOWLEDGE_VECTOR], int64_t weight)
{
    int32_t sum[KNOWLEDGE_VECTOR];
    int code = read_sum(lesson, sum);
    if (code) return code;
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) sum[i] += (int32_t)weight * vector[i] / KNOWLEDGE_WEIGHT_ONE;
    sqlite3_stmt *s = kit_db_statement(lesson->db, "UPDATE knowledge_changes SET learned = learned + 1 WHERE id = 1");
    code = run(lesson, s, kit_db_step(s, ""));
    if (code) return code;
    s = kit_db_statement(lesson->db,
                         "INSERT INTO learned_calls(doc_id, n, vector, changed)"
                         " VALUES (?1, ?2, ?3, (SELECT learned FROM knowledge_changes WHERE id = 1))"
                         " ON CONFLICT(doc_id) DO UPDATE SET n = n + ?2, vector = ?3, changed = excluded.changed");
    sqlite3_bind_text(s, 1, lesson->doc_id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, weight);
    sqlite3_bind_blob(s, 3, sum, sizeof sum, SQLITE_STATIC);
    return run(lesson, s, sqlite3_step(s));
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

static int learn(struct lesson *lesson, const struct knowledge_vote *vote, const struct knowledge_call *call)
{
    int16_t vector[KNOWLEDGE_VECTOR];
    char *features = join_features(call);
    if (!features) return kit_fail(lesson->failure, 503, NULL, "out of memory");
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) vector[i] = (int16_t)lrintf(call->first_vector[i] * SCALE);
    sqlite3_stmt *s = kit_db_statement(
        lesson->db, "INSERT INTO learned_votes(call_id, doc_id, agent, features, vector, weight) VALUES (?,?,?,?,?,?)");
    sqlite3_bind_text(s, 1, vote->call_id, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, vote->doc_id, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 3, vote->agent, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 4, features, -1, SQLITE_STATIC);
    sqlite3_bind_blob(s, 5, vector, sizeof vector, SQLITE_STATIC);
    sqlite3_bind_int64(s, 6, vote->weight);
    int code = run(lesson, s, sqlite3_step(s));
    if (!code) code = add_features(lesson, features, vote->weight);
    if (!code) code = add_call(lesson, vector, vote->weight);
    free(features);
    return code;
}

/* Takes back what the vote added; nothing if it added nothing. */
static int unlearn(struct lesson *lesson, const struct knowledge_vote *vote)
{
    int16_t vector[KNOWLEDGE_VECTOR] = {0};
    sqlite3_stmt *row =
        kit_db_statement(lesson->db, "DELETE FROM learned_votes WHERE call_id=? AND doc_id=? AND agent=?"
                                     " RETURNING features, vector, weight");
    int step = kit_db_step(row, "ttt", vote->call_id, vote->doc_id, vote->agent);
    if (step != SQLITE_ROW) return run(lesson, row, step);
    char *features = strdup((const char *)sqlite3_column_text(row, 0));
    if (sqlite3_column_bytes(row, 1) == sizeof vector) memcpy(vector, sqlite3_column_blob(row, 1), sizeof vector);
    int64_t weight = sqlite3_column_int64(row, 2);
    sqlite3_reset(row);
    if (!features) return kit_fail(lesson->failure, 503, NULL, "out of memory");
    int code = add_features(lesson, features, -weight);
    if (!code) code = add_call(lesson, vector, -weight);
    free(features);
    return code;
}

int knowledge_learn_vote(const struct knowledge_reader *reader, struct kit_db *db, const struct knowledge_vote *vote,
                         struct kit_failure *failure)
{
    struct lesson lesson = {db, failure, vote->doc_id};
    struct knowledge_call call;
    int code = unlearn(&lesson, vote);
    if (code || !vote->weight) return code;
    if (knowledge_call_read(&call, reader, vote->turns, vote->turn_count))
        code = kit_fail(failure, 503, NULL, "out of memory");
    else if (call.feature_count)
        code = learn(&lesson, vote, &call);
    knowledge_call_clear(&call);
    return code;
}

/* -------------------------------------------------------------------- load */

/* What stands in the store in weights. */
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
    sqlite3_stmt *rows = kit_db_statement(lesson->db, "SELECT feature, n FROM learned WHERE doc_id=?");
    int step = kit_db_step(rows, "t", lesson->doc_id);
    for (; step == SQLITE_ROW && !failed; step = sqlite3_step(rows))
        failed = add_count(counts, (const char *)sqlite3_column_text(rows, 0), in_calls(sqlite3_column_int64(rows, 1)));
    if (failed) return kit_fail(lesson->failure, 503, NULL, "out of memory");
    return run(lesson, rows, step);
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

int knowledge_load_learned(struct knowledge_index *index, struct kit_db *db, int64_t since, struct kit_failure *failure)
{
    int code = 0;
    for (;;) {
        char doc_id[KIT_ID_SIZE];
        struct lesson lesson = {db, failure, doc_id};
        sqlite3_stmt *row = kit_db_statement(db, "SELECT doc_id, n, changed FROM learned_calls WHERE changed > ?"
                                                 " ORDER BY changed LIMIT 1");
        int step = kit_db_step(row, "i", since);
        if (step != SQLITE_ROW) return run(&lesson, row, step);
        snprintf(doc_id, sizeof doc_id, "%s", (const char *)sqlite3_column_text(row, 0));
        int64_t calls = sqlite3_column_int64(row, 1);
        since = sqlite3_column_int64(row, 2);
        sqlite3_reset(row);
        uint32_t document = knowledge_index_find(index, doc_id);
        if (document != UINT32_MAX) code = load_document(index, &lesson, document, in_calls(calls));
        if (code) return code;
    }
}
