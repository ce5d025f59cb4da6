#include "chat_toolbox.h"

#include "chat_int.h"
#include "mcp.h"

#include <stdlib.h>
#include <string.h>

int chat_tools_add(struct chat *chat, const struct chat_tool *tool, void *ctx)
{
    json_t *parameters = json_loads(tool->parameters, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(parameters) || chat_tool_find(chat, tool->name)) {
        json_decref(parameters);
        return EIO_EINVAL;
    }
    if (!chat->tools) chat->tools = calloc(CHAT_TOOLS_MAX, sizeof *chat->tools);
    if (!chat->tools || chat->tool_count == CHAT_TOOLS_MAX) {
        json_decref(parameters);
        return chat->tools ? EIO_ETOOBIG : EIO_ENOMEM;
    }
    chat->tools[chat->tool_count++] = (struct chat_tool_row){tool, parameters, ctx};
    return 0;
}

void chat_tools_free(struct chat *chat)
{
    for (size_t i = 0; i < chat->tool_count; i++) json_decref(chat->tools[i].parameters);
    free(chat->tools);
    chat->tools = NULL;
    chat->tool_count = 0;
}

const struct chat_tool_row *chat_tool_find(const struct chat *chat, const char *name)
{
    for (size_t i = 0; i < chat->tool_count; i++)
        if (!strcmp(chat->tools[i].tool->name, name)) return &chat->tools[i];
    return NULL;
}

enum chat_policy chat_tool_policy(const struct chat_assistant *assistant, const struct chat_tool *tool)
{
    enum chat_policy policy = chat_assistant_policy(assistant, NULL, tool->name);
    if (policy) return policy;
    if (tool->policy) return tool->policy;
    return tool->is_destructive ? CHAT_POLICY_ASK : CHAT_POLICY_RUN;
}

static int add_tool(struct chat_toolbox *box, const struct llm_tool *tool)
{
    if (box->count == box->capacity) {
        size_t capacity = box->capacity ? box->capacity * 2 : 16;
        struct llm_tool *list = realloc(box->list, capacity * sizeof *list);
        if (!list) return EIO_ENOMEM;
        box->list = list;
        box->capacity = capacity;
    }
    box->list[box->count++] = *tool;
    return 0;
}

struct adding {
    struct chat_toolbox *box;
    const struct chat_assistant *assistant;
    int error;
};

static bool add_mcp_tool(void *ctx, const struct mcp_tool *tool)
{
    struct adding *adding = ctx;
    const struct llm_tool shown = {.name = tool->id,
                                   .description = tool->description,
                                   .parameters = (json_t *)(uintptr_t)tool->input_schema,
                                   .prefix_bytes = strlen(tool->server) + 1}; /* "server_" */
    if (chat_assistant_policy(adding->assistant, tool->server, tool->id) != CHAT_POLICY_NEVER)
        adding->error = add_tool(adding->box, &shown);
    return !adding->error;
}

int chat_toolbox_open(struct chat_toolbox *box, struct chat *chat, const struct chat_assistant *assistant)
{
    int error = 0;
    memset(box, 0, sizeof *box);
    for (size_t i = 0; i < chat->tool_count && !error; i++) {
        const struct chat_tool *tool = chat->tools[i].tool;
        const struct llm_tool shown = {.name = tool->name,
                                       .description = tool->description,
                                       .parameters = chat->tools[i].parameters,
                                       .phrases = tool->phrases};
        if (chat_tool_policy(assistant, tool) != CHAT_POLICY_NEVER) error = add_tool(box, &shown);
    }
    struct adding adding = {box, assistant, error};
    if (!error) mcp_each_tool(mcp_of(chat->kit), add_mcp_tool, &adding);
    return adding.error;
}

void chat_toolbox_close(struct chat_toolbox *box)
{
    free(box->list);
    memset(box, 0, sizeof *box);
}
