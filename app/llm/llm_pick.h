/* Which tools a message asks for: by the phrases they declare, and by their names. Pure. */
#ifndef LLM_PICK_H
#define LLM_PICK_H

#include "llm_fill.h"
#include "llm_tools.h"

#define LLM_INTENTS_MAX 8 /* of a message */

/* A part of the message and the tool it asks for. */
struct llm_intent {
    const struct llm_tools_entry *tool; /* NULL: none; the part is a question or a statement */
    struct llm_range at;
    double score;
    struct llm_slot slots[LLM_SLOTS_MAX];
    size_t slot_count;
    uint8_t used[LLM_LEX_MAX]; /* LLM_OF_PHRASE: the words that named the tool */
};

struct llm_pick {
    const struct llm_lexed *lexed; /* the message */
    struct kit_words *words;
    struct llm_lexed *scratch;
    const struct llm_clock *clock;
    const struct llm_tools *tools;
    struct llm_intent list[LLM_INTENTS_MAX];
    size_t count;

    /* Private. */
    struct llm_phrase *phrases;
    size_t phrase_count;
    uint8_t is_moment[LLM_LEX_MAX];
    struct llm_intent best, other;
};

/* Fills in list, in the order of the message: every sentence is there, with or without a tool. */
void llm_pick(struct llm_pick *pick);

#endif
