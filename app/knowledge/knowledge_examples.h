/* Calls whose document is known, for learning from files and for measuring. */
#ifndef KNOWLEDGE_EXAMPLES_H
#define KNOWLEDGE_EXAMPLES_H

#include "knowledge_index.h"

#define KNOWLEDGE_EXAMPLE_TURNS 16

struct knowledge_example {
    uint32_t document;                             /* its number in the index */
    unsigned number;                               /* among the examples of its document, from 0 */
    struct eio_str turns[KNOWLEDGE_EXAMPLE_TURNS]; /* what the customer said, borrowed */
    size_t turn_count;
};
struct knowledge_examples {
    struct knowledge_example *list;
    size_t count, capacity;
};
/* Returns 0 or EIO_ENOMEM. The list is freed by the owner. */
int knowledge_examples_add(struct knowledge_examples *examples, uint32_t document, struct knowledge_example **out);

typedef bool (*knowledge_choose_fn)(const struct knowledge_example *example, unsigned parameter);
/* Teaches the index the chosen examples, in place of what it learned before. Returns 0 or EIO_ENOMEM. */
int knowledge_examples_learn(struct knowledge_index *index, const struct knowledge_reader *reader,
                             const struct knowledge_examples *examples, knowledge_choose_fn is_learned,
                             unsigned parameter);

struct knowledge_score {
    unsigned asked, first, three; /* right first, among the first three */
};
/* Searches with the first `turns` turns. Returns 0 or EIO_ENOMEM. */
int knowledge_examples_ask(struct knowledge_index *index, const struct knowledge_reader *reader,
                           const struct knowledge_weights *weights, const struct knowledge_example *example,
                           size_t turns, struct knowledge_score *score);
/* Half of Wilson's 95 % interval, in per cent. */
double knowledge_score_interval(unsigned right, unsigned asked);

#endif
