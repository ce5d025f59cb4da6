/* The body of a request to /chat/completions. Pure. */
#ifndef LLM_REQUEST_H
#define LLM_REQUEST_H

#include "llm_int.h"

/* The conversation as this provider takes it: with the tools' names as models accept them, the fields of the protocol
 * alone, and of what a model added (reasoning, signatures) what this provider itself has added. NULL: out of memory. */
json_t *llm_request_messages(const struct llm_answer *answer, const struct llm_provider *provider);
/* The whole body, to be freed; NULL: out of memory. */
char *llm_request_body(const struct llm_answer *answer, const struct llm_provider *provider);

#endif
