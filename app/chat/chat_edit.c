/* tree.edit: a user's own change to the object tree; what the tools change goes the same way. */
#include "chat_edit.h"

#include "chat_tree.h"

#include <stdlib.h>
#include <string.h>

json_t *chat_edit_read(struct kit_db *db, int64_t chat_key, int64_t *version, struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows, "SELECT tree, tree_version FROM chats WHERE id=?", "i", chat_key);
    if (step == KIT_FAILED) return kit_db_fail(db, failure), NULL;
    if (step == KIT_DONE) return kit_fail(failure, 404, "/chat_id", "chat not found"), NULL;
    const char *text = kit_rows_text(&rows, 0);
    json_t *tree = text && *text ? json_loads(text, 0, NULL) : chat_tree_new();
    *version = kit_rows_int(&rows, 1);
    kit_rows_end(&rows);
    if (!tree) kit_fail(failure, 503, NULL, "out of memory");
    return tree;
}

static int store_tree(struct kit_db *db, const struct chat *chat, int64_t chat_key, const json_t *tree,
                      int64_t new_version, struct kit_failure *failure)
{
    char *text = json_dumps(tree, JSON_COMPACT);
    size_t size = text ? strlen(text) : 0, max = chat->config->tree_max_bytes;
    int code = 0;
    if (!text)
        code = kit_fail(failure, 503, NULL, "out of memory");
    else if (size > max)
        code = kit_fail(failure, 413, "/delta/node", "the tree would have %zu bytes, more than the limit of %zu", size,
                        max);
    else if (kit_db_run(db, "UPDATE chats SET tree=?, tree_version=? WHERE id=?", "bii", text, size, new_version,
                        chat_key))
        code = kit_db_fail(db, failure);
    free(text);
    return code;
}

int chat_edit_apply(struct kit_db *db, const struct chat *chat, int64_t chat_key, const json_t *delta,
                    int64_t base_version, int64_t *version, struct chat_batch *batch, struct kit_failure *failure)
{
    struct chat_tree_limits limits = {chat->config->tree_nodes_max, CHAT_TREE_DEPTH_MAX};
    struct chat_tree_change change = {NULL, NULL};
    json_t *tree = chat_edit_read(db, chat_key, version, failure);
    if (!tree) return failure->code;
    int code = 0;
    if (base_version >= 0 && base_version != *version)
        code = kit_fail(failure, 409, "/base_version", "the change was made on version %lld", (long long)base_version);
    if (!code) code = chat_tree_apply(tree, delta, &limits, &change, failure);
    if (code == 409) {
        size_t n = strlen(failure->message);
        snprintf(failure->message + n, sizeof failure->message - n, "; the tree is at version %lld",
                 (long long)*version);
    }
    if (!code) code = store_tree(db, chat, chat_key, tree, *version + 1, failure);
    if (!code)
        chat_batch_add(batch, "tree.update",
                       json_pack("{s:O, s:I, s:O}", "delta", change.delta, "version", (json_int_t)++ * version, "patch",
                                 change.patch));
    json_decref(change.delta);
    json_decref(change.patch);
    json_decref(tree);
    return code;
}

/* --------------------------------------------------------------- tree.edit */

struct edit {
    struct kit_request request;
    json_t *delta;
    int64_t base_version, version;
    struct chat_batch batch;
};

static int read_edit(struct kit_request *request, const json_t *payload)
{
    struct edit *edit = KIT_REQUEST(edit, request);
    const json_t *base = json_object_get(payload, "base_version");
    edit->base_version = base ? json_integer_value(base) : -1;
    edit->delta = json_deep_copy(json_object_get(payload, "delta"));
    if (!edit->delta) return kit_fail(&request->op.failure, 503, NULL, "out of memory");
    return chat_read_about(request, payload);
}

static int run_edit(struct kit_db *db, struct kit_request *request)
{
    struct edit *edit = KIT_REQUEST(edit, request);
    struct kit_failure *failure = &request->op.failure;
    struct chat_row row;
    chat_batch_clear(&edit->batch);
    chat_batch_init(&edit->batch, request->about);
    int code = chat_find(db, request->claims, request->about, CHAT_OWN, &row, failure);
    if (!code)
        code = chat_edit_apply(db, request->state, row.key, edit->delta, edit->base_version, &edit->version,
                               &edit->batch, failure);
    return code ? code : chat_batch_write(db, row.key, &edit->batch, failure);
}

static void reply_edit(struct kit_request *request)
{
    struct edit *edit = KIT_REQUEST(edit, request);
    chat_batch_send(request->state, &edit->batch);
    sio_builder_put(&request->json, ",\"version\":");
    kit_put_int(&request->json, edit->version);
}

static void clear_edit(struct kit_request *request)
{
    struct edit *edit = KIT_REQUEST(edit, request);
    struct chat *chat = request->state;
    if (request->op.failure.code == 413) chat->counters.refused_changes++;
    chat_batch_clear(&edit->batch);
    json_decref(edit->delta);
}

int chat_edit_start(struct chat *chat)
{
    static const struct kit_event events[] = {
        {.name = "tree.edit",
         .size = sizeof(struct edit),
         .way = KIT_WRITE,
         .read = read_edit,
         .run = run_edit,
         .reply = reply_edit,
         .clear = clear_edit},
    };
    return chat_open_events(chat, events, sizeof events / sizeof events[0]);
}
