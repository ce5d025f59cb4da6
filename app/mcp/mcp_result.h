/* What tools answer, as text for models, and pages of tools. Pure. */
#ifndef MCP_RESULT_H
#define MCP_RESULT_H

#include "mcp_rpc.h"

/* The text of a result {content, structuredContent, isError} for a model, never empty: its texts and embedded texts,
 * one after another; where they hold nothing, the structured content; links by name and address, media and unknown
 * blocks by a note in brackets. Cut at max_bytes, with a note. The caller frees it; NULL: out of memory. */
char *mcp_result_text(const json_t *result, size_t max_bytes);
/* The same of a result whose structured content is JSON text of its own; n 0: it is not. */
char *mcp_result_text_of(const json_t *result, struct eio_str structured, size_t max_bytes);

/* A page of tools/list. */
struct mcp_page {
    const json_t *tools; /* an array */
    const char *cursor;  /* of the next page, which may be ""; NULL: this is the last */
    int64_t ttl_ms;      /* how long the list stays fresh; -1: not said */
};
/* False if it is not one. */
bool mcp_page_read(const json_t *result, struct mcp_page *page);

/* A tool's name for models: the server's id, an underscore and the tool's name, if all of it fits into 64 of
 * [A-Za-z0-9_-]; otherwise cut and with a hash of both at its end. A server's id has no underscore. */
#define MCP_TOOL_ID_SIZE 65
void mcp_tool_id(const char *server, const char *tool, char out[MCP_TOOL_ID_SIZE]);

#endif
