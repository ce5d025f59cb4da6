/* Chunks of an answer that say a piece of text and nothing else: nearly all of a stream. They are read in place,
 * without a tree. Pure. */
#ifndef LLM_CHUNK_H
#define LLM_CHUNK_H

#include "kit_json.h"

/* What stands before the text in the last chunk that was read: most servers repeat it. Zeroed: nothing yet. */
struct llm_chunk_head {
    char *p;
    size_t n;
};

/* True if the chunk is such a one; *content is then the piece as a JSON string with its quotes, or {NULL, 0} if the
 * chunk has no text. False: whatever it is, it has to be read as a whole: an end, usage, calls, thoughts, an error, or
 * not JSON. */
bool llm_chunk_scan(struct llm_chunk_head *head, struct eio_str text, struct eio_str *content);
/* Zeroes it, too. */
void llm_chunk_head_clear(struct llm_chunk_head *head);

#endif
