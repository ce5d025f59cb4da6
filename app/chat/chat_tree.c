/* Resolves paths, checks what a change brings, carries it out. A change is checked whole before the tree is touched. */
#include "chat_tree.h"
#include "kit_schema.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PATH_MAX_BYTES 4096
#define ID_MAX 128
#define FRESH_TRIES 1000000

/* A node where it stands. parent NULL: the root. */
struct place {
    json_t *node, *parent;
    size_t index; /* in the parent's children; of a place to insert at: 0 to their number */
};

struct change {
    json_t *root;
    const struct chat_tree_limits *limits;
    struct kit_failure *failure;
    json_t *ids; /* of the tree: an object; NULL until it is needed */
    size_t nodes;
};

static json_t *children_of(const json_t *node)
{
    return json_object_get(node, "children");
}

static const char *id_of(const json_t *node)
{
    return json_string_value(json_object_get(node, "id"));
}

static int out_of_memory(struct change *change)
{
    return kit_fail(change->failure, 503, NULL, "out of memory");
}

json_t *chat_tree_new(void)
{
    return json_loads(CHAT_TREE_EMPTY, 0, NULL);
}

/* ------------------------------------------------------------------ pointers */

/* Takes the next segment off a pointer, with ~0 and ~1 decoded. False: it is at its end, malformed or too long. */
static bool take_segment(const char **pointer, char out[ID_MAX + 1])
{
    const char *p = *pointer;
    size_t n = 0;
    if (*p++ != '/') return false;
    for (; *p && *p != '/'; p++) {
        if (n == ID_MAX) return false;
        if (*p == '~' && p[1] != '0' && p[1] != '1') return false;
        out[n++] = *p != '~' ? *p : *++p == '0' ? '~' : '/';
    }
    out[n] = 0;
    *pointer = p;
    return true;
}

/* The child of that id, or else at that position; the number of children if neither exists. */
static size_t find_child(const json_t *children, const char *segment)
{
    size_t count = json_array_size(children), position = 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(id_of(json_array_get(children, i)), segment) == 0) return i;
    size_t digits = strspn(segment, "0123456789");
    if (!digits || segment[digits] || digits > 9 || (segment[0] == '0' && digits > 1)) return count;
    for (const char *c = segment; *c; c++) position = position * 10 + (size_t)(*c - '0');
    return position < count ? position : count;
}

static int no_such_node(struct change *change, const char *field, const char *path)
{
    return kit_fail(change->failure, 409, field, "there is no node at %.80s", path);
}

/* Follows a path; inserts: it ends with a list of children, or with a place in one. */
static int resolve(struct change *change, const char *field, const char *path, bool inserts, struct place *place)
{
    char segment[ID_MAX + 1];
    const char *rest = path;
    *place = (struct place){.node = change->root};
    if (!take_segment(&rest, segment) || strcmp(segment, "root") != 0)
        return kit_fail(change->failure, 400, field, "a path begins with /root");
    while (*rest) {
        if (!take_segment(&rest, segment) || strcmp(segment, "children") != 0)
            return kit_fail(change->failure, 400, field, "a path is /root, then /children and an id, again and again");
        json_t *children = children_of(place->node);
        size_t count = json_array_size(children);
        if (inserts && (!*rest || strcmp(rest, "/-") == 0)) {
            *place = (struct place){NULL, place->node, count};
            return 0;
        }
        if (!take_segment(&rest, segment))
            return kit_fail(change->failure, 400, field, "a path to a node ends with its id");
        size_t at = find_child(children, segment);
        if (at == count) return no_such_node(change, field, path);
        *place = (struct place){json_array_get(children, at), place->node, at};
    }
    if (!inserts) return 0;
    return place->parent ? 0 : kit_fail(change->failure, 400, field, "the path must lead into a node's children");
}

struct text {
    char *p;
    size_t n;
    bool is_full;
};

static void put_text(struct text *out, const char *text)
{
    size_t n = strlen(text);
    if (out->is_full || out->n + n >= PATH_MAX_BYTES) {
        out->is_full = true;
        return;
    }
    memcpy(out->p + out->n, text, n + 1);
    out->n += n;
}

/* Writes the path of a node below the one that the text leads to. False: it is not there. */
static bool put_path(struct text *out, const json_t *from, const json_t *node, bool by_position)
{
    size_t i, before = out->n;
    json_t *child;
    char position[32];
    if (from == node) return true;
    json_array_foreach(children_of(from), i, child)
    {
        snprintf(position, sizeof position, "%zu", i);
        put_text(out, "/children/");
        put_text(out, by_position ? position : id_of(child));
        if (put_path(out, child, node, by_position)) return true;
        out->n = before;
        out->p[before] = 0;
    }
    return false;
}

/* The path of a node, with a suffix, as a new JSON string; NULL: out of memory, or too long. */
static json_t *path_to(const json_t *root, const json_t *node, bool by_position, const char *suffix)
{
    char space[PATH_MAX_BYTES] = "/root";
    struct text text = {space, strlen(space), false};
    if (!put_path(&text, root, node, by_position)) return NULL;
    put_text(&text, suffix);
    return text.is_full ? NULL : json_string(space);
}

/* Into a place among its children. */
static json_t *path_into(const json_t *root, const json_t *parent, bool by_position, size_t index)
{
    char suffix[ID_MAX + 16];
    const json_t *next = json_array_get(children_of(parent), index);
    if (by_position)
        snprintf(suffix, sizeof suffix, "/children/%zu", index);
    else
        snprintf(suffix, sizeof suffix, next ? "/children/%s" : "/children", next ? id_of(next) : "");
    return path_to(root, parent, by_position, suffix);
}

/* ----------------------------------------------------------------------- nodes */

static size_t depth_of(const json_t *from, const json_t *node)
{
    size_t i;
    json_t *child;
    if (from == node) return 1;
    json_array_foreach(children_of(from), i, child)
    {
        size_t below = depth_of(child, node);
        if (below) return below + 1;
    }
    return 0;
}

static size_t height_of(const json_t *node)
{
    size_t i, highest = 0;
    json_t *child;
    json_array_foreach(children_of(node), i, child)
    {
        size_t height = height_of(child);
        if (height > highest) highest = height;
    }
    return highest + 1;
}

static bool is_below(const json_t *node, const json_t *above)
{
    return depth_of(above, node) != 0;
}

static int collect_ids(struct change *change, const json_t *node)
{
    size_t i;
    json_t *child;
    int failed = json_object_set_new(change->ids, id_of(node), json_true()) ? out_of_memory(change) : 0;
    change->nodes++;
    json_array_foreach(children_of(node), i, child)
    {
        if (!failed) failed = collect_ids(change, child);
    }
    return failed;
}

/* Gives the node an id that its tree does not have. */
static int make_id(struct change *change, json_t *node)
{
    char id[32];
    for (size_t i = change->nodes; i < FRESH_TRIES; i++) {
        snprintf(id, sizeof id, "node-%zu", i);
        if (json_object_get(change->ids, id)) continue;
        return json_object_set_new(node, "id", json_string(id)) ? out_of_memory(change) : 0;
    }
    return kit_fail(change->failure, 413, "/delta/node", "the tree has too many nodes");
}

static int check_id(struct change *change, json_t *node)
{
    const json_t *id = json_object_get(node, "id");
    if (!id) return make_id(change, node);
    if (!json_is_string(id) || !kit_is_id(json_string_value(id), json_string_length(id)))
        return kit_fail(change->failure, 400, "/delta/node/id", "an id is 1 to 128 of A-Z a-z 0-9 _ . : -");
    if (json_object_get(change->ids, json_string_value(id)))
        return kit_fail(change->failure, 409, "/delta/node/id", "the tree has a node %.100s", json_string_value(id));
    return 0;
}

/* Makes a new node whole: ids, values and children of it and all below. */
static int complete_node(struct change *change, json_t *node, size_t depth)
{
    size_t i;
    json_t *child, *children;
    if (!json_is_object(node)) return kit_fail(change->failure, 400, "/delta/node", "a node is an object");
    if (depth > change->limits->depth)
        return kit_fail(change->failure, 413, "/delta/node", "the tree is at most %zu deep", change->limits->depth);
    if (++change->nodes > change->limits->nodes)
        return kit_fail(change->failure, 413, "/delta/node", "the tree would have too many nodes (limit: %zu)",
                        change->limits->nodes);
    int failed = check_id(change, node);
    if (failed) return failed;
    if (json_object_set_new(change->ids, id_of(node), json_true())) return out_of_memory(change);
    if (!json_object_get(node, "value") && json_object_set_new(node, "value", json_string("")))
        return out_of_memory(change);
    children = children_of(node);
    if (!children && json_object_set_new(node, "children", json_array())) return out_of_memory(change);
    if (children && !json_is_array(children))
        return kit_fail(change->failure, 400, "/delta/node/children", "children are an array");
    json_array_foreach(children, i, child)
    {
        if ((failed = complete_node(change, child, depth + 1))) return failed;
    }
    return 0;
}

/* --------------------------------------------------------------------- changes */

static int finish(struct change *change, struct chat_tree_change *made, json_t *take_delta, json_t *take_patch)
{
    if (take_delta && take_patch) {
        *made = (struct chat_tree_change){take_delta, take_patch};
        return 0;
    }
    json_decref(take_delta);
    json_decref(take_patch);
    return out_of_memory(change);
}

static int add_node(struct change *change, const json_t *delta, const char *path, struct chat_tree_change *made)
{
    struct place at;
    int failed = resolve(change, "/delta/path", path, true, &at);
    if (failed) return failed;
    json_t *node = json_deep_copy(json_object_get(delta, "node"));
    if (!node) return kit_fail(change->failure, 400, "/delta/node", "add needs a node");
    change->ids = json_object();
    failed = change->ids ? collect_ids(change, change->root) : out_of_memory(change);
    if (!failed) failed = complete_node(change, node, depth_of(change->root, at.parent) + 1);
    if (!failed)
        failed = finish(change, made,
                        json_pack("{s:s, s:o, s:O}", "action", "add", "path",
                                  path_into(change->root, at.parent, false, at.index), "node", node),
                        json_pack("[{s:s, s:o, s:O}]", "op", "add", "path",
                                  path_into(change->root, at.parent, true, at.index), "value", node));
    /* Its own copy: what was made of the change does not change with the tree. */
    if (!failed && json_array_insert_new(children_of(at.parent), at.index, json_deep_copy(node)))
        failed = out_of_memory(change);
    json_decref(node);
    return failed;
}

/* One operation of the patch for each member. */
static json_t *patch_members(const json_t *root, const json_t *node, const json_t *members)
{
    const char *name;
    json_t *value, *patch = json_array(), *place = path_to(root, node, true, "/");
    json_object_foreach((json_t *)(uintptr_t)members, name, value)
    {
        char path[PATH_MAX_BYTES + 2 * 256];
        struct text text = {path, 0, false};
        bool is_there = json_object_get(node, name) != NULL;
        if (json_is_null(value) && !is_there) continue;
        put_text(&text, json_string_value(place) ? json_string_value(place) : "");
        for (const char *c = name; *c; c++) put_text(&text, *c == '~' ? "~0" : *c == '/' ? "~1" : (char[2]){*c, 0});
        json_t *operation = text.is_full          ? NULL
                            : json_is_null(value) ? json_pack("{s:s, s:s}", "op", "remove", "path", path)
                                                  : json_pack("{s:s, s:s, s:O}", "op", is_there ? "replace" : "add",
                                                              "path", path, "value", value);
        if (json_array_append_new(patch, operation)) {
            json_decref(patch);
            patch = NULL;
        }
    }
    json_decref(place);
    return patch;
}

static int check_members(struct change *change, const json_t *node, const json_t *members)
{
    const json_t *id = json_object_get(members, "id"), *children = json_object_get(members, "children");
    if (!json_is_object(members) || !json_object_size(members))
        return kit_fail(change->failure, 400, "/delta/node", "update needs a node with the members that change");
    if (id && !json_equal(id, json_object_get(node, "id")))
        return kit_fail(change->failure, 400, "/delta/node/id", "a node keeps its id");
    if (children && json_array_size(children))
        return kit_fail(change->failure, 400, "/delta/node/children",
                        "children are added, removed and moved one by one");
    return 0;
}

static int update_node(struct change *change, const json_t *delta, const char *path, struct chat_tree_change *made)
{
    struct place at;
    const char *name;
    json_t *value;
    int failed = resolve(change, "/delta/path", path, false, &at);
    if (!failed) failed = check_members(change, at.node, json_object_get(delta, "node"));
    if (failed) return failed;
    json_t *members = json_deep_copy(json_object_get(delta, "node"));
    json_object_del(members, "id");
    json_object_del(members, "children");
    if (json_is_null(json_object_get(members, "value"))) json_object_set_new(members, "value", json_string(""));
    failed = finish(change, made,
                    json_pack("{s:s, s:o, s:O}", "action", "update", "path", path_to(change->root, at.node, false, ""),
                              "node", members),
                    patch_members(change->root, at.node, members));
    if (!failed) json_object_foreach(members, name, value)
        {
            if (json_is_null(value))
                json_object_del(at.node, name);
            else if (json_object_set_new(at.node, name, json_deep_copy(value)))
                failed = out_of_memory(change);
        }
    json_decref(members);
    return failed;
}

static int remove_node(struct change *change, const json_t *delta, const char *path, struct chat_tree_change *made)
{
    struct place at;
    (void)delta;
    int failed = resolve(change, "/delta/path", path, false, &at);
    if (!failed && !at.parent) failed = kit_fail(change->failure, 400, "/delta/path", "the root cannot be removed");
    if (failed) return failed;
    failed = finish(change, made,
                    json_pack("{s:s, s:o}", "action", "remove", "path", path_to(change->root, at.node, false, "")),
                    json_pack("[{s:s, s:o}]", "op", "remove", "path", path_to(change->root, at.node, true, "")));
    if (!failed) json_array_remove(children_of(at.parent), at.index);
    return failed;
}

static int check_move(struct change *change, const struct place *from, const struct place *to)
{
    if (!from->parent) return kit_fail(change->failure, 400, "/delta/from", "the root cannot be moved");
    if (is_below(to->parent, from->node))
        return kit_fail(change->failure, 409, "/delta/path", "a node cannot be moved into itself");
    if (depth_of(change->root, to->parent) + height_of(from->node) > change->limits->depth)
        return kit_fail(change->failure, 413, "/delta/path", "the tree is at most %zu deep", change->limits->depth);
    return 0;
}

static int move_node(struct change *change, const json_t *delta, const char *path, struct chat_tree_change *made)
{
    struct place from, to;
    const char *source = json_string_value(json_object_get(delta, "from"));
    if (!source) return kit_fail(change->failure, 400, "/delta/from", "move needs from, the node's path");
    int failed = resolve(change, "/delta/from", source, false, &from);
    if (!failed) failed = resolve(change, "/delta/path", path, true, &to);
    if (!failed) failed = check_move(change, &from, &to);
    if (failed) return failed;
    json_t *from_id = path_to(change->root, from.node, false, ""),
           *from_at = path_to(change->root, from.node, true, "");
    json_t *node = json_incref(from.node);
    json_array_remove(children_of(from.parent), from.index);
    /* Paths into the tree are those without the node (RFC 6902, 4.4). */
    size_t index = to.index - (from.parent == to.parent && from.index < to.index);
    failed = finish(change, made,
                    json_pack("{s:s, s:o, s:o}", "action", "move", "path",
                              path_into(change->root, to.parent, false, index), "from", from_id),
                    json_pack("[{s:s, s:o, s:o}]", "op", "move", "from", from_at, "path",
                              path_into(change->root, to.parent, true, index)));
    struct place end = failed ? from : (struct place){node, to.parent, index};
    if (json_array_insert(children_of(end.parent), end.index, node) && !failed) failed = out_of_memory(change);
    json_decref(node);
    return failed;
}

int chat_tree_apply(json_t *tree, const json_t *delta, const struct chat_tree_limits *limits,
                    struct chat_tree_change *take_change, struct kit_failure *failure)
{
    static const struct {
        const char *name;
        int (*run)(struct change *change, const json_t *delta, const char *path, struct chat_tree_change *made);
    } actions[] = {{"add", add_node}, {"update", update_node}, {"remove", remove_node}, {"move", move_node}};
    struct change change = {.root = json_object_get(tree, "root"), .limits = limits, .failure = failure};
    const char *action = json_string_value(json_object_get(delta, "action"));
    const char *path = json_string_value(json_object_get(delta, "path"));
    int (*run)(struct change * change, const json_t *delta, const char *path, struct chat_tree_change *made) = NULL;
    *take_change = (struct chat_tree_change){NULL, NULL};
    for (size_t i = 0; action && i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(action, actions[i].name) == 0) run = actions[i].run;
    if (!run) return kit_fail(failure, 400, "/delta/action", "an action is add, update, remove or move");
    if (!path) return kit_fail(failure, 400, "/delta/path", "a delta needs a path");
    int failed = run(&change, delta, path, take_change);
    json_decref(change.ids);
    if (failed) {
        json_decref(take_change->delta);
        json_decref(take_change->patch);
        *take_change = (struct chat_tree_change){NULL, NULL};
    }
    return failed;
}

/* ------------------------------------------------------------------------ find */

static const json_t *find_node(const json_t *node, const char *text)
{
    const char *value = json_string_value(json_object_get(node, "value"));
    size_t i;
    json_t *child;
    if ((value && strcasecmp(value, text) == 0) || strcasecmp(id_of(node), text) == 0) return node;
    json_array_foreach(children_of(node), i, child)
    {
        const json_t *found = find_node(child, text);
        if (found) return found;
    }
    return NULL;
}

char *chat_tree_find(const json_t *tree, const char *text)
{
    const json_t *root = json_object_get(tree, "root"), *node = find_node(root, text);
    json_t *path = node ? path_to(root, node, false, "") : NULL;
    char *copy = path ? strdup(json_string_value(path)) : NULL;
    json_decref(path);
    return copy;
}
