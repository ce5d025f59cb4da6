/* Assistants out of their file (chat_assistants.h). */
#include "chat_assistants.h"

#include "chat_int.h"
#include "kit_file.h"

#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX 1048576

static const char embedded[] =
    "{\"assistants\":[{\"id\":\"assistant\",\"title\":\"Assistant\",\"prompt\":\"You are a helpful assistant. Answer "
    "from what the tools find, name the sources, and admit it when nothing is found. Answer in the user's "
    "language.\",\"welcome\":\"Hello! How can I help you?\",\"search_tool\":\"search_knowledge\"}]}";

struct chat_assistants {
    json_t *document;
    struct chat_assistant *list;
    size_t count;
};

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static enum chat_policy policy_of(const json_t *value)
{
    static const char *const names[] = {NULL, "run", "ask", "never"};
    const char *text = json_string_value(value);
    for (size_t i = 1; text && i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(names[i], text)) return (enum chat_policy)i;
    return CHAT_POLICY_DEFAULT;
}

/* ------------------------------------------------------------------- check */

static int refuse(const struct chat *chat, char *error, size_t error_size, const char *wanted, const char *what)
{
    char why[300];
    snprintf(why, sizeof why, "%s%s", wanted, what);
    return kit_config_refuse(chat->kit->config, "assistants_file", why, error, error_size);
}

static int check_tools(const struct chat *chat, const json_t *tree, char *error, size_t error_size)
{
    const char *name;
    json_t *policy, *tools = json_object_get(tree, "tools");
    if (tools && !json_is_object(tools))
        return refuse(chat, error, error_size, "a file in which tools is an object of names and policies", "");
    json_object_foreach(tools, name, policy)
    {
        if (!policy_of(policy))
            return refuse(chat, error, error_size, "a file in which each tool is run, ask or never: ", name);
    }
    return 0;
}

static int read_assistant(const struct chat *chat, json_t *tree, struct chat_assistant *out, char *error,
                          size_t error_size)
{
    const json_t *id = json_object_get(tree, "id");
    const char *text = json_string_value(id);
    if (!text || !kit_is_id(text, json_string_length(id)))
        return refuse(chat, error, error_size, "a file in which each assistant has an id", "");
    *out = (struct chat_assistant){.title = text_of(tree, "title"),
                                   .prompt = text_of(tree, "prompt"),
                                   .welcome = text_of(tree, "welcome"),
                                   .provider = json_string_value(json_object_get(tree, "provider")),
                                   .search_tool = json_string_value(json_object_get(tree, "search_tool")),
                                   .tree = tree};
    snprintf(out->id, sizeof out->id, "%s", text);
    return check_tools(chat, tree, error, error_size);
}

/* -------------------------------------------------------------------- load */

static json_t *read_document(const struct chat *chat, char *error, size_t error_size)
{
    const char *path = chat->config->assistants_file;
    char why[256];
    if (!path[0]) return json_loads(embedded, 0, NULL);
    json_t *document = kit_file_read_json(path, KIT_FILE_ANY, why, sizeof why);
    if (!document) refuse(chat, error, error_size, "a readable JSON file: ", why);
    return document;
}

int chat_assistants_load(struct chat *chat, char *error, size_t error_size)
{
    struct chat_assistants *own = chat->assistants = calloc(1, sizeof *own);
    size_t i;
    json_t *tree;
    if (!own) return EIO_ENOMEM;
    own->document = read_document(chat, error, error_size);
    if (!own->document) return EIO_EINVAL;
    const json_t *list = json_object_get(own->document, "assistants");
    if (!json_array_size(list)) return refuse(chat, error, error_size, "a file with a list of assistants", "");
    own->list = calloc(json_array_size(list), sizeof *own->list);
    if (!own->list) return EIO_ENOMEM;
    json_array_foreach((json_t *)(uintptr_t)list, i, tree)
    {
        int failed = read_assistant(chat, tree, &own->list[own->count], error, error_size);
        if (failed) return failed;
        own->count++;
    }
    return 0;
}

void chat_assistants_free(struct chat *chat)
{
    if (!chat->assistants) return;
    json_decref(chat->assistants->document);
    free(chat->assistants->list);
    free(chat->assistants);
    chat->assistants = NULL;
}

const struct chat_assistant *chat_assistant_find(const struct chat *chat, const char *id)
{
    const struct chat_assistants *own = chat->assistants;
    if (!id[0]) return &own->list[0];
    for (size_t i = 0; i < own->count; i++)
        if (!strcmp(own->list[i].id, id)) return &own->list[i];
    return NULL;
}

/* The tool's own name before its server's with a star, and that before the star alone. */
enum chat_policy chat_assistant_policy(const struct chat_assistant *assistant, const char *server, const char *tool)
{
    const json_t *tools = json_object_get(assistant->tree, "tools");
    char name[300];
    enum chat_policy policy = policy_of(json_object_get(tools, tool));
    snprintf(name, sizeof name, "%s.*", server ? server : "");
    if (!policy && server) policy = policy_of(json_object_get(tools, name));
    return policy ? policy : policy_of(json_object_get(tools, "*"));
}
