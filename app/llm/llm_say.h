/* What the embedded model says without a tool: greetings, thanks, what it can do; and what it makes of tools' results.
 * Pure. */
#ifndef LLM_SAY_H
#define LLM_SAY_H

#include "llm_pick.h"
#include "llm_reader.h"

/* Text for a part of a message that is small talk: true if it is, with what to say about it added to out. Out of memory
 * shows in out->p. */
bool llm_say_small_talk(const struct llm_lexed *lexed, struct llm_range at, const struct llm_tools *tools,
                        struct llm_text *out);
/* "I found nothing about that", and what can be asked for. topics: an array of texts, or NULL. */
void llm_say_nothing(const struct llm_tools *tools, const json_t *topics, struct llm_text *out);
/* From the content of a tool's message. */
void llm_say_result(const char *content, const struct llm_tools *tools, struct llm_text *out);

#endif
