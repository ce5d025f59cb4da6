/* The object tree of a chat, and changes to it. Pure: JSON in, JSON out.
 *
 * {"root":{"id","value","children":[…]}}; each node has an id that is unique in its tree, and may have members of its
 * own. A path is a JSON Pointer (RFC 6901) in which the segment after "children" is a node's id; where no node there
 * has that id, a position: /root/children/a/children/0.
 *
 * A change ("delta") is one of
 *     {"action":"add","path":P,"node":N}       P: a node's …/children (at the end), or a place in it (before that node)
 *     {"action":"update","path":P,"node":N}    the members of N replace the node's; null takes one away
 *     {"action":"remove","path":P}             with all below it
 *     {"action":"move","path":P,"from":F}      the node F to the place P, as in add */
#ifndef CHAT_TREE_H
#define CHAT_TREE_H

#include "kit_db.h"

#include <jansson.h>

struct chat_tree_limits {
    size_t nodes, depth; /* the root is at depth 1 */
};
#define CHAT_TREE_DEPTH_MAX 64 /* limits.depth is no larger */

/* What a change came to. */
struct chat_tree_change {
    json_t *delta; /* with ids in its paths, and whole nodes */
    json_t *patch; /* the same as JSON Patch (RFC 6902), for the tree as it was */
};

/* A tree with nothing but its root. */
#define CHAT_TREE_EMPTY "{\"root\":{\"id\":\"root\",\"value\":\"root\",\"children\":[]}}"
/* NULL: out of memory. */
json_t *chat_tree_new(void);
/* Changes the tree. Returns 0, or the code of failure, and the tree is as it was: 400 malformed, 409 it does not fit
 * the tree (any more), 413 above the limits. take_change->delta and patch are the caller's on success. */
int chat_tree_apply(json_t *tree, const json_t *delta, const struct chat_tree_limits *limits,
                    struct chat_tree_change *take_change, struct kit_failure *failure);
/* The first node, in reading order, whose value or id is that text; ASCII letters of either case are the same. Its
 * path, with ids; malloc. NULL: none, or out of memory. */
char *chat_tree_find(const json_t *tree, const char *text);

#endif
