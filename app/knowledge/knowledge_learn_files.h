/* Past calls in other formats, as the objects that `parley learn` takes a line. */
#ifndef KNOWLEDGE_LEARN_FILES_H
#define KNOWLEDGE_LEARN_FILES_H

#include "kit_str.h"
#include <jansson.h>

/* A list of calls or of conversations ({"scenario": {"flow", "subflow"}, "original": [[speaker, text]]}), whose
 * document is the subflow and may be completed by "topic", the flow. */
json_t *knowledge_conversations_read(const json_t *list);
/* A call in WebVTT. beside: {"document": id or title, "customer": who the customer is; missing: "customer" or
 * "caller"}. */
json_t *knowledge_vtt_read(struct eio_str text, const json_t *beside);

#endif
