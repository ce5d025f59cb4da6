/* The operation behind a tool's call (chat_work.h). */
#include "chat_work.h"

#include <stdlib.h>

static void free_work(struct chat_work *work)
{
    if (work->ops->clear) work->ops->clear(work);
    chat_batch_clear(&work->batch);
    json_decref(work->args);
    free(work);
}

static int run_work(struct kit_db *db, struct kit_store_op *op)
{
    struct chat_work *work = KIT_OWNER(op, struct chat_work, op);
    if (work->ops->clear) work->ops->clear(work);
    chat_batch_rewind(&work->batch);
    int code = work->ops->run(db, work, &op->failure);
    return code || !work->ops->writes ? code : chat_batch_write(db, work->chat_key, &work->batch, &op->failure);
}

static void work_done(struct kit_store_op *op)
{
    struct chat_work *work = KIT_OWNER(op, struct chat_work, op);
    if (!op->failure.code && work->ops->writes) chat_batch_send(work->chat, &work->batch);
    if (op->failure.code == 413 || op->failure.code == 429) work->chat->counters.refused_changes++;
    if (work->call) {
        chat_tool_set_data(work->call, NULL);
        if (op->failure.code)
            chat_tool_fail(work->call, op->failure.message);
        else
            work->ops->end(work);
    }
    free_work(work);
}

void *chat_work_new(struct chat_tool_call *call, size_t size, const struct chat_work_ops *ops)
{
    const struct chat_tool_info *info = chat_tool_info(call);
    struct chat_work *work = calloc(1, size);
    json_t *args = work ? json_deep_copy(info->args) : NULL;
    if (!args) {
        free(work);
        chat_tool_fail(call, "out of memory");
        return NULL;
    }
    work->op = (struct kit_store_op){.source = info->source, .writes = ops->writes, .run = run_work, .done = work_done};
    work->ops = ops;
    work->chat = info->chat;
    work->call = call;
    work->ctx = info->ctx;
    work->chat_key = info->chat_key;
    work->now_ms = (int64_t)eio_loop_unix_ms(info->kit->loop);
    work->args = args;
    snprintf(work->chat_id, sizeof work->chat_id, "%s", info->chat_id);
    snprintf(work->user, sizeof work->user, "%s", info->user);
    work->op.locks[0] = ops->writes ? work->chat_id : NULL;
    chat_batch_init(&work->batch, work->chat_id);
    chat_batch_set_ref(&work->batch, info->ref_id, info->attempt);
    return work;
}

void chat_work_submit(struct chat_work *work)
{
    struct kit_store *store = work->chat->kit->store;
    struct chat_tool_call *call = work->call;
    chat_tool_set_data(call, work);
    int code = work->ops->writes ? kit_store_submit(store, &work->op, 0) : kit_store_submit_read(store, &work->op, 0);
    if (!code) return;
    chat_tool_set_data(call, NULL);
    chat_tool_fail(call, work->op.failure.message);
    free_work(work);
}

void chat_work_drop(struct chat_work *work, const char *why)
{
    chat_tool_fail(work->call, why);
    free_work(work);
}

void chat_work_cancel(struct chat_tool_call *call)
{
    struct chat_work *work = chat_tool_data(call);
    if (work) work->call = NULL;
}

const char *chat_work_text(const struct chat_work *work, const char *name)
{
    const char *text = json_string_value(json_object_get(work->args, name));
    return text ? text : "";
}
