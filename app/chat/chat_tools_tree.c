/* Tools that read and change the object tree. Nodes are named as people and models name them: by value, by id, or by
 * path. */
#include "chat_edit.h"
#include "chat_tree.h"
#include "chat_work.h"

#include <stdlib.h>
#include <string.h>

struct tree_work {
    struct chat_work work;
    char *answer; /* what was done, for the model */
    json_t *tree; /* of show_tree */
};

/* ------------------------------------------------------------------- paths */

/* The path of the node that a text names; malloc. NULL with failure. */
static char *path_of(const json_t *tree, const char *name, struct kit_failure *failure)
{
    char *path = strncmp(name, "/root", 5) == 0 ? strdup(name) : chat_tree_find(tree, name);
    if (!path) kit_fail(failure, 404, NULL, "the tree has no node \"%.80s\"", name);
    return path;
}

/* The same, of its children. */
static char *children_of(const json_t *tree, const char *name, struct kit_failure *failure)
{
    char *path = path_of(tree, *name ? name : "/root", failure), *longer;
    size_t n = path ? strlen(path) : 0;
    longer = path ? realloc(path, n + sizeof "/children") : NULL;
    if (longer)
        memcpy(longer + n, "/children", sizeof "/children");
    else
        free(path);
    if (path && !longer) kit_fail(failure, 503, NULL, "out of memory");
    return longer;
}

/* ------------------------------------------------------------------ changes */

/* Consumes the path. NULL: it failed already, or out of memory. */
static json_t *make_valued(const struct chat_work *work, const char *action, char *take_path)
{
    json_t *delta = take_path ? json_pack("{s:s, s:s, s:{s:s}}", "action", action, "path", take_path, "node", "value",
                                          chat_work_text(work, "value"))
                              : NULL;
    free(take_path);
    return delta;
}

static json_t *make_add(const struct chat_work *work, const json_t *tree, struct kit_failure *failure)
{
    return make_valued(work, "add", children_of(tree, chat_work_text(work, "parent"), failure));
}

static json_t *make_update(const struct chat_work *work, const json_t *tree, struct kit_failure *failure)
{
    return make_valued(work, "update", path_of(tree, chat_work_text(work, "node"), failure));
}

static json_t *make_remove(const struct chat_work *work, const json_t *tree, struct kit_failure *failure)
{
    char *path = path_of(tree, chat_work_text(work, "node"), failure);
    json_t *delta = path ? json_pack("{s:s, s:s}", "action", "remove", "path", path) : NULL;
    free(path);
    return delta;
}

static json_t *make_move(const struct chat_work *work, const json_t *tree, struct kit_failure *failure)
{
    char *from = path_of(tree, chat_work_text(work, "node"), failure);
    char *path = from ? children_of(tree, chat_work_text(work, "parent"), failure) : NULL;
    json_t *delta = path ? json_pack("{s:s, s:s, s:s}", "action", "move", "path", path, "from", from) : NULL;
    free(path);
    free(from);
    return delta;
}

struct change_kind {
    const char *name;
    json_t *(*make)(const struct chat_work *work, const json_t *tree, struct kit_failure *failure);
    const char *subject, *done; /* "Node 'subject' done." */
};

static const struct change_kind kinds[] = {
    {"add_node", make_add, "value", "added to the tree"},
    {"update_node", make_update, "node", "changed"},
    {"remove_node", make_remove, "node", "removed from the tree"},
    {"move_node", make_move, "node", "moved"},
};

static int run_change(struct kit_db *db, struct chat_work *work, struct kit_failure *failure)
{
    struct tree_work *change = KIT_OWNER(work, struct tree_work, work);
    const struct change_kind *kind = work->ctx;
    int64_t version;
    json_t *tree = chat_edit_read(db, work->chat_key, &version, failure);
    json_t *delta = tree ? kind->make(work, tree, failure) : NULL;
    json_decref(tree);
    if (!delta) return failure->code ? failure->code : kit_fail(failure, 503, NULL, "out of memory");
    int code = chat_edit_apply(db, work->chat, work->chat_key, delta, -1, &version, &work->batch, failure);
    json_decref(delta);
    if (code) return code;
    json_t *text = json_sprintf("Node '%s' %s.", chat_work_text(work, kind->subject), kind->done);
    change->answer = text ? strdup(json_string_value(text)) : NULL;
    json_decref(text);
    return change->answer ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

static void end_change(struct chat_work *work)
{
    const struct tree_work *change = KIT_OWNER(work, struct tree_work, work);
    chat_tool_end(work->call, &(struct chat_tool_result){.ok = true,
                                                         .take_result = json_pack("{s:s}", "message", change->answer),
                                                         .text = change->answer});
}

static void clear_tree(struct chat_work *work)
{
    struct tree_work *change = KIT_OWNER(work, struct tree_work, work);
    free(change->answer);
    change->answer = NULL;
    json_decref(change->tree);
    change->tree = NULL;
}

static void start_change(struct chat_tool_call *call)
{
    static const struct chat_work_ops ops = {.writes = true, .run = run_change, .end = end_change, .clear = clear_tree};
    struct tree_work *change = chat_work_new(call, sizeof *change, &ops);
    if (change) chat_work_submit(&change->work);
}

/* ---------------------------------------------------------------- show_tree */

static int run_show(struct kit_db *db, struct chat_work *work, struct kit_failure *failure)
{
    struct tree_work *show = KIT_OWNER(work, struct tree_work, work);
    int64_t version;
    show->tree = chat_edit_read(db, work->chat_key, &version, failure);
    return show->tree ? 0 : failure->code;
}

static void put_outline(struct sio_builder *out, const json_t *node, unsigned depth)
{
    const json_t *value = json_object_get(node, "value");
    size_t i;
    json_t *child;
    for (unsigned level = 0; level < depth; level++) sio_builder_put(out, "  ");
    sio_builder_put(out, "- ");
    if (json_is_string(value)) {
        sio_builder_put(out, json_string_value(value));
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        sio_builder_put(out, text ? text : "");
        free(text);
    }
    sio_builder_put(out, "\n");
    json_array_foreach(json_object_get(node, "children"), i, child) put_outline(out, child, depth + 1);
}

static void end_show(struct chat_work *work)
{
    const struct tree_work *show = KIT_OWNER(work, struct tree_work, work);
    struct sio_builder text;
    sio_builder_init(&text);
    sio_builder_open(&text);
    put_outline(&text, json_object_get(show->tree, "root"), 0);
    char *outline = text.error ? NULL : strndup(text.json, text.size);
    sio_builder_clear(&text);
    if (outline)
        chat_tool_end(work->call,
                      &(struct chat_tool_result){.ok = true, .take_result = json_incref(show->tree), .text = outline});
    else
        chat_tool_fail(work->call, "out of memory");
    free(outline);
}

static void start_show(struct chat_tool_call *call)
{
    static const struct chat_work_ops ops = {.run = run_show, .end = end_show, .clear = clear_tree};
    struct tree_work *show = chat_work_new(call, sizeof *show, &ops);
    if (show) chat_work_submit(&show->work);
}

/* -------------------------------------------------------------------- rows */

#define NODE "{\"type\":\"string\",\"title\":\"Node\",\"description\":\"its value, id or path\",\"minLength\":1}"
#define PARENT                                                                                            \
    "{\"type\":\"string\",\"title\":\"Below\",\"description\":\"value, id or path of the node above it; " \
    "without it: the root\"}"
#define VALUE "{\"type\":\"string\",\"title\":\"Value\",\"minLength\":1,\"maxLength\":1000}"

static const char *const add_phrases[] = {"add a new node with value {value} under {parent}",
                                          "add a node {value} under {parent}",
                                          "add {value} to the tree",
                                          "add node {value} to the tree",
                                          "add {value} under {parent}",
                                          "add node {value}",
                                          "create a node {value}",
                                          NULL};
static const char *const update_phrases[] = {"rename {node} to {value}", "change node {node} to {value}",
                                             "update node {node} to {value}", NULL};
static const char *const remove_phrases[] = {"remove node {node}", "delete node {node}", "remove {node} from the tree",
                                             NULL};
static const char *const move_phrases[] = {"move node {node} under {parent}", "move {node} under {parent}", NULL};
static const char *const show_phrases[] = {"show the tree", "what is in the tree", NULL};

static const struct chat_tool tools[] = {
    {.name = "add_node",
     .title = "Add to the tree",
     .description = "Adds a node to the chat's object tree.",
     .parameters =
         "{\"type\":\"object\",\"required\":[\"value\"],\"properties\":{\"value\":" VALUE ",\"parent\":" PARENT "}}",
     .phrases = add_phrases,
     .start = start_change,
     .cancel = chat_work_cancel},
    {.name = "update_node",
     .title = "Change a node",
     .description = "Gives a node of the chat's object tree another value.",
     .parameters = "{\"type\":\"object\",\"required\":[\"node\",\"value\"],\"properties\":{\"node\":" NODE
                   ",\"value\":" VALUE "}}",
     .phrases = update_phrases,
     .start = start_change,
     .cancel = chat_work_cancel},
    {.name = "remove_node",
     .title = "Remove a node",
     .description = "Removes a node of the chat's object tree, and all below it.",
     .parameters = "{\"type\":\"object\",\"required\":[\"node\"],\"properties\":{\"node\":" NODE "}}",
     .phrases = remove_phrases,
     .is_destructive = true,
     .start = start_change,
     .cancel = chat_work_cancel},
    {.name = "move_node",
     .title = "Move a node",
     .description = "Moves a node of the chat's object tree, with all below it, to another one.",
     .parameters = "{\"type\":\"object\",\"required\":[\"node\",\"parent\"],\"properties\":{\"node\":" NODE
                   ",\"parent\":" PARENT "}}",
     .phrases = move_phrases,
     .start = start_change,
     .cancel = chat_work_cancel},
};

static const struct chat_tool show_tree = {.name = "show_tree",
                                           .title = "Look at the tree",
                                           .description = "Shows the chat's object tree: the values, indented.",
                                           .parameters = "{\"type\":\"object\",\"properties\":{}}",
                                           .phrases = show_phrases,
                                           .start = start_show,
                                           .cancel = chat_work_cancel};

int chat_tools_tree_start(struct chat *chat)
{
    int error = chat_tools_add(chat, &show_tree, NULL);
    for (size_t i = 0; i < sizeof tools / sizeof tools[0] && !error; i++)
        error = chat_tools_add(chat, &tools[i], (void *)(uintptr_t)&kinds[i]);
    return error;
}
