/* The tools that there are, and those that an assistant may use in a turn. */
#ifndef CHAT_TOOLBOX_H
#define CHAT_TOOLBOX_H

#include "chat_assistants.h"
#include "llm.h"

#define CHAT_TOOLS_MAX 64 /* built in */

/* A tool of chat_tools_add(). */
struct chat_tool_row {
    const struct chat_tool *tool;
    json_t *parameters;
    void *ctx;
};

struct chat_toolbox {
    struct llm_tool *list;
    size_t count, capacity;
};
/* What the model is shown; borrowed until the loop goes on. Returns 0 or EIO_ENOMEM; chat_toolbox_close() in either
 * case. */
int chat_toolbox_open(struct chat_toolbox *box, struct chat *chat, const struct chat_assistant *assistant);
void chat_toolbox_close(struct chat_toolbox *box);
/* NULL: none of the built-in ones is called that. */
const struct chat_tool_row *chat_tool_find(const struct chat *chat, const char *name);
/* What is done about a call. */
enum chat_policy chat_tool_policy(const struct chat_assistant *assistant, const struct chat_tool *tool);
void chat_tools_free(struct chat *chat);

#endif
