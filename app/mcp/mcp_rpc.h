/* JSON-RPC messages of servers (JSON-RPC 2.0; MCP "Messages"). Pure: no I/O. */
#ifndef MCP_RPC_H
#define MCP_RPC_H

#include "kit.h"

/* Error codes of the protocol. */
enum mcp_code {
    MCP_NO_METHOD = -32601,
    MCP_BAD_PARAMS = -32602,
    MCP_SERVER_ERROR = -32000,
    MCP_HEADER_MISMATCH = -32020,     /* 2026-07-28: a header does not mirror the body */
    MCP_MISSING_CAPABILITY = -32021,  /* 2026-07-28 */
    MCP_UNSUPPORTED_VERSION = -32022, /* 2026-07-28: data.supported lists versions */
    MCP_URL_REQUIRED = -32042,        /* 2025-11-25: data.elicitations lists URLs to visit first */
};

enum mcp_message_kind { MCP_REQUEST, MCP_NOTIFICATION, MCP_RESULT, MCP_ERROR };

/* What it points at is part of root. */
struct mcp_message {
    enum mcp_message_kind kind;
    json_t *root;
    const json_t *id;     /* string, integer, or NULL: absent or null */
    const char *method;   /* of requests and notifications */
    const json_t *params; /* of requests and notifications: an object, or NULL if absent */
    const json_t *result; /* an object */
    int64_t code;         /* of errors */
    const char *text;     /* of errors; "" if absent */
    const json_t *data;   /* of errors; NULL if absent */
    char *words;          /* of a result that was too long to keep: its text (mcp_result.h); else NULL */
};

#define MCP_DEPTH_MAX 128 /* levels of a message */

/* Reads one message. U+0000 in its strings becomes U+FFFD, so that they are texts everywhere. Returns 0 and the caller
 * clears it, or EIO_EPROTO or EIO_ENOMEM with *why, and there is nothing to clear. */
int mcp_message_read(struct eio_str text, struct mcp_message *message, const char **why);
void mcp_message_clear(struct mcp_message *message);
/* Keeps of a tool's result its text, of that many bytes at most, and whether it is an error. structured: as in
 * mcp_result_text_of(). Returns 0, or EIO_ENOMEM and the message is cleared. */
int mcp_message_shorten(struct mcp_message *message, struct eio_str structured, size_t text_max_bytes);
/* True if it answers the request of that number. An error that names no request answers the only one. */
bool mcp_message_answers(const struct mcp_message *message, int64_t id);

/* The text of a request or, with id 0, of a notification; params may be NULL. The caller frees it; NULL: out of memory.
 */
char *mcp_rpc_request(int64_t id, const char *method, const json_t *params);
/* The text of an answer to a server's request: its result, or an error. */
char *mcp_rpc_result(const json_t *id, const json_t *result);
char *mcp_rpc_error(const json_t *id, int code, const char *text);

#endif
