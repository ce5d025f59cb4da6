/* Parameters of a tool out of what the user wrote, by their JSON Schema: what is not there is left out. Pure. */
#ifndef LLM_FILL_H
#define LLM_FILL_H

#include "llm_time.h"

#include <jansson.h>

#define LLM_SLOTS_MAX 8
#define LLM_PROPERTIES_MAX 64 /* of a schema; further ones stay empty */

/* Lexemes from `from` to before `to`. */
struct llm_range {
    size_t from, to;
};

/* Where a phrase of the tool has put a parameter. */
struct llm_slot {
    char name[64];
    struct llm_range at;
};

enum llm_used { LLM_FREE, LLM_OF_PHRASE, LLM_OF_VALUE };

struct llm_fill {
    const struct llm_lexed *lexed;
    struct kit_words *words;
    struct llm_lexed *scratch; /* for names and values of the schema */
    const struct llm_clock *clock;
    json_t *schema;      /* of the parameters: an object */
    struct llm_range at; /* the part of the text that is about this tool */
    const struct llm_slot *slots;
    size_t slot_count;
    uint8_t used[LLM_LEX_MAX]; /* enum llm_used, of each lexeme; the words of the phrase are marked by the caller */

    /* Private. */
    json_t *args;
    uint8_t is_quoted[LLM_LEX_MAX]; /* a quotation is one text: numbers and dates in it are part of that */
};

/* The arguments, an object; NULL: out of memory. */
json_t *llm_fill(struct llm_fill *fill);

#endif
