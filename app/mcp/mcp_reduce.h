/* A long message made short before a tree is made of it: what nobody looks at is left out, so that neither the tree nor
 * freeing it takes memory or time in proportion to what a server sends. Pure. */
#ifndef MCP_REDUCE_H
#define MCP_REDUCE_H

#include "kit_json.h"

struct mcp_reducing {
    size_t value_max_bytes; /* of a member that is kept whatever it is; longer ones stay if they are texts */
    size_t text_max_bytes;  /* that a model gets of a result */
    size_t tools_max_bytes; /* of a list of tools; from the first tool beyond on each is a number */
    /* Out: structuredContent of a result, which is left out if it is long; n 0: it is not. Borrowed from the message.
     */
    struct eio_str structured;
};

/* message: checked JSON. Of a result stay texts, short members, the blocks of its content without pictures and sound,
 * and tools; of other messages what is short or a text. The caller frees it. NULL: out of memory, or the message is not
 * an object. */
char *mcp_reduce(struct eio_str message, struct mcp_reducing *options, size_t *size);

#endif
