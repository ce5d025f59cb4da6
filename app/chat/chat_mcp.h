/* Calls of MCP servers' tools, as calls of a turn (mcp.h). What a server asks is asked like any other question: with a
 * state it may be answered days later and in another process; without one the call waits in this process. */
#ifndef CHAT_MCP_H
#define CHAT_MCP_H

#include "chat_turn.h"
#include "mcp.h"

/* The call is for an MCP server's tool, if there is one of its name. Returns 0 or EIO_ENOMEM. */
int chat_mcp_find(struct chat_tool_call *call);
/* It is, whether or not the tool is known now. */
int chat_mcp_make(struct chat_tool_call *call);
void chat_mcp_free(struct chat_tool_call *call);
/* NULL: the tool is not known any more. */
const struct mcp_tool *chat_mcp_tool(const struct chat_tool_call *call);
void chat_mcp_start(struct chat_tool_call *call);
/* All questions are answered, of which the call had a state. */
void chat_mcp_resume(struct chat_tool_call *call, const json_t *state);
/* True: the call waits in this process, and has got the answer. */
bool chat_mcp_answer(struct chat_tool_call *call, const json_t *question);
void chat_mcp_cancel(struct chat_tool_call *call);

#endif
