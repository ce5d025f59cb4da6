/* The step of a turn that is not whole yet, as it is stored: {"message": the assistant's, "calls": [{"id", "model_id",
 * "name", "args", "stage", "result", "ok", "keeps_open", "questions": [{"id", "key"}], "state"}]}. Pure. */
#ifndef CHAT_PENDING_H
#define CHAT_PENDING_H

#include <jansson.h>

/* Appends a step to a conversation so that each of its calls has a result: a neutral one where it has none. pending may
 * be NULL. */
void chat_pending_complete(json_t *messages, const json_t *pending);

#endif
