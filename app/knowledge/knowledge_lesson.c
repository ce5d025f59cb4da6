/* Counts of what calls say, in memory. */
#include "knowledge_lesson.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct knowledge_lesson_count {
    char *feature;
    double n;
    UT_hash_handle hh;
};

static int add_feature(struct knowledge_lesson *lesson, const char *feature, double weight)
{
    struct knowledge_lesson_count *count;
    HASH_FIND_STR(lesson->table, feature, count);
    if (count) {
        count->n += weight;
        return 0;
    }
    count = calloc(1, sizeof *count);
    if (count) count->feature = strdup(feature);
    if (!count || !count->feature) {
        free(count);
        return EIO_ENOMEM;
    }
    count->n = weight;
    HASH_ADD_KEYPTR(hh, lesson->table, count->feature, strlen(count->feature), count);
    return 0;
}

int knowledge_lesson_add(struct knowledge_lesson *lesson, const struct knowledge_reader *reader,
                         const struct eio_str *turns, size_t turn_count, double weight)
{
    struct knowledge_call call;
    int failed = knowledge_call_read(&call, reader, turns, turn_count);
    for (size_t i = 0; i < call.feature_count && !failed; i++) failed = add_feature(lesson, call.features[i], weight);
    for (int i = 0; i < KNOWLEDGE_VECTOR && !failed; i++) lesson->sum[i] += (float)weight * call.first_vector[i];
    if (!failed && call.feature_count) {
        lesson->calls += weight;
        lesson->count++;
    }
    knowledge_call_clear(&call);
    return failed;
}

struct knowledge_count *knowledge_lesson_list(const struct knowledge_lesson *lesson, size_t *count)
{
    size_t i = 0;
    *count = HASH_COUNT(lesson->table);
    struct knowledge_count *list = calloc(*count + 1, sizeof *list);
    if (!list) return NULL;
    for (struct knowledge_lesson_count *c = lesson->table; c; c = c->hh.next)
        list[i++] = (struct knowledge_count){c->feature, c->n};
    return list;
}

void knowledge_lesson_clear(struct knowledge_lesson *lesson)
{
    struct knowledge_lesson_count *count, *next;
    HASH_ITER(hh, lesson->table, count, next)
    {
        HASH_DEL(lesson->table, count);
        free(count->feature);
        free(count);
    }
}
