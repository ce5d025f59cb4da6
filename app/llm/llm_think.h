/* Some models write what they think into the text, between <think> and </think>, before the answer. Pure. */
#ifndef LLM_THINK_H
#define LLM_THINK_H

#include "kit.h"

/* Zeroed: the start of an answer. */
struct llm_think {
    enum { LLM_THINK_START, LLM_THINK_INSIDE, LLM_THINK_TEXT } state;
    char held[16]; /* what may become a tag */
    size_t held_size;
};

/* A part of the text: thought or said. What fn returns other than 0 ends the call, which returns it. */
typedef int (*llm_think_fn)(void *ctx, bool is_thought, struct eio_str text);

int llm_think_feed(struct llm_think *think, struct eio_str text, llm_think_fn fn, void *ctx);
/* No more text comes: hands on what is held, unless it begins a closing tag. */
int llm_think_end(struct llm_think *think, llm_think_fn fn, void *ctx);

#endif
