/* What calls of one document say, counted: the features of each call once, and their vectors added up. */
#ifndef KNOWLEDGE_LESSON_H
#define KNOWLEDGE_LESSON_H

#include "knowledge_index.h"

struct knowledge_lesson_count;
struct knowledge_lesson {
    struct knowledge_lesson_count *table; /* private */
    uint32_t count;                       /* of calls and phrases */
    double calls;                         /* their weights */
    float sum[KNOWLEDGE_VECTOR];
};

/* A call more, or a phrase that counts as a part of one. Returns 0 or EIO_ENOMEM. */
int knowledge_lesson_add(struct knowledge_lesson *lesson, const struct knowledge_reader *reader,
                         const struct eio_str *turns, size_t turn_count, double weight);
/* The counts as a list, whose names are the lesson's; malloc. NULL: out of memory. */
struct knowledge_count *knowledge_lesson_list(const struct knowledge_lesson *lesson, size_t *count);
void knowledge_lesson_clear(struct knowledge_lesson *lesson);

#endif
