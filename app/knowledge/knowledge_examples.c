/* Calls whose document is known: what they teach, without the store, and how often they find it. */
#include "knowledge_examples.h"

#include "knowledge_lesson.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int teach(struct knowledge_index *index, uint32_t document, const struct knowledge_lesson *lesson)
{
    size_t count;
    struct knowledge_count *list = knowledge_lesson_list(lesson, &count);
    if (!list) return EIO_ENOMEM;
    int failed = knowledge_index_learn(index, document, lesson->calls, list, count, lesson->sum);
    free(list);
    return failed;
}

int knowledge_examples_learn(struct knowledge_index *index, const struct knowledge_reader *reader,
                             const struct knowledge_examples *examples, knowledge_choose_fn is_learned,
                             unsigned parameter)
{
    size_t documents = knowledge_index_count(index);
    struct knowledge_lesson *lessons = calloc(documents + 1, sizeof *lessons);
    int failed = lessons ? 0 : EIO_ENOMEM;
    for (size_t i = 0; i < examples->count && !failed; i++) {
        const struct knowledge_example *example = &examples->list[i];
        if (is_learned(example, parameter))
            failed = knowledge_lesson_add(&lessons[example->document], reader, example->turns, example->turn_count, 1);
    }
    for (size_t i = 0; i < documents && !failed; i++) failed = teach(index, (uint32_t)i, &lessons[i]);
    for (size_t i = 0; i < documents && lessons; i++) knowledge_lesson_clear(&lessons[i]);
    free(lessons);
    return failed;
}

int knowledge_examples_ask(struct knowledge_index *index, const struct knowledge_reader *reader,
                           const struct knowledge_weights *weights, const struct knowledge_example *example,
                           size_t turns, struct knowledge_score *score)
{
    struct knowledge_call call;
    struct knowledge_hit hits[3];
    size_t count = 3;
    if (turns > example->turn_count) turns = example->turn_count;
    int failed = knowledge_call_read(&call, reader, example->turns, turns);
    if (!failed) failed = knowledge_index_search(index, &call, weights, NULL, hits, &count);
    knowledge_call_clear(&call);
    if (failed) return failed;
    score->asked++;
    for (size_t i = 0; i < count; i++) {
        if (hits[i].document != example->document) continue;
        score->first += i == 0;
        score->three++;
    }
    return 0;
}

double knowledge_score_interval(unsigned right, unsigned asked)
{
    double n = asked, p = right / n, z = 1.96;
    return 100 * z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
}

int knowledge_examples_add(struct knowledge_examples *examples, uint32_t document, struct knowledge_example **out)
{
    if (examples->count == examples->capacity) {
        size_t capacity = examples->capacity ? examples->capacity * 2 : 64;
        struct knowledge_example *list = realloc(examples->list, capacity * sizeof *list);
        if (!list) return EIO_ENOMEM;
        examples->list = list;
        examples->capacity = capacity;
    }
    struct knowledge_example *example = *out = &examples->list[examples->count++];
    memset(example, 0, sizeof *example);
    example->document = document;
    for (size_t i = 0; i + 1 < examples->count; i++) example->number += examples->list[i].document == document;
    return 0;
}
