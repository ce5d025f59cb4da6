/* A summary out of what was said: sentences are chosen, none is written. Pure. English. */
#ifndef CALLS_EXTRACT_H
#define CALLS_EXTRACT_H

#include "kit_str.h"

struct calls_spoken {
    bool by_customer;
    struct eio_str text;
};

#define CALLS_EXTRACT_MAX 6 /* sentences of a section */
struct calls_section {
    struct eio_str sentences[CALLS_EXTRACT_MAX]; /* of the lines, or of the steps */
    size_t count;
};
struct calls_extract {
    struct calls_section need, done, open;
};
/* steps: the text of the document that fits best, a step in each line; n 0 if absent. */
void calls_extract_make(struct calls_extract *extract, const struct calls_spoken *lines, size_t count,
                        struct eio_str steps);

#endif
