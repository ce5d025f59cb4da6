/* The adapter of a single node: everything is local and answered before the call returns. */
#include "rooms.h"

#include <stdlib.h>

static void memory_free(struct rooms_adapter *adapter)
{
    free(adapter);
}

static int memory_broadcast(struct rooms_adapter *adapter, const struct rooms_selector *who,
                            const struct rooms_flags *flags, const struct rooms_message *message)
{
    adapter->local.deliver(adapter->local.ctx, who, flags, message);
    return ROOMS_OK;
}

static int memory_broadcast_with_ack(struct rooms_adapter *adapter, const struct rooms_selector *who,
                                     const struct rooms_flags *flags, const struct rooms_message *message,
                                     const struct rooms_ack_sink *sink)
{
    /* The answers may come after *sink is gone: what is called last is taken first. */
    struct rooms_ack_sink kept = *sink;
    adapter->local.deliver_with_ack(adapter->local.ctx, who, flags, message, &kept);
    kept.counted(kept.ctx);
    return ROOMS_OK;
}

static int memory_join(struct rooms_adapter *adapter, const struct rooms_selector *who, const struct rooms_flags *flags,
                       const struct rooms_name *rooms, size_t room_count)
{
    (void)flags;
    adapter->local.join(adapter->local.ctx, who, rooms, room_count);
    return ROOMS_OK;
}

static int memory_leave(struct rooms_adapter *adapter, const struct rooms_selector *who,
                        const struct rooms_flags *flags, const struct rooms_name *rooms, size_t room_count)
{
    (void)flags;
    adapter->local.leave(adapter->local.ctx, who, rooms, room_count);
    return ROOMS_OK;
}

static int memory_disconnect(struct rooms_adapter *adapter, const struct rooms_selector *who,
                             const struct rooms_flags *flags, bool close)
{
    (void)flags;
    adapter->local.disconnect(adapter->local.ctx, who, close);
    return ROOMS_OK;
}

static int memory_fetch(struct rooms_adapter *adapter, const struct rooms_selector *who,
                        const struct rooms_flags *flags, rooms_fetch_fn each, rooms_done_fn done, void *ctx)
{
    (void)flags;
    adapter->local.fetch(adapter->local.ctx, who, each, ctx);
    done(ctx, ROOMS_OK);
    return ROOMS_OK;
}

static int memory_server_side_emit(struct rooms_adapter *adapter, const struct rooms_flags *flags,
                                   const struct rooms_message *message, rooms_answer_fn answer, rooms_done_fn done,
                                   void *ctx)
{
    (void)adapter, (void)flags, (void)message, (void)answer;
    if (done) done(ctx, ROOMS_OK);
    return ROOMS_OK;
}

static int memory_server_count(struct rooms_adapter *adapter, void (*result)(void *ctx, int error, size_t servers),
                               void *ctx)
{
    (void)adapter;
    result(ctx, ROOMS_OK, 1);
    return ROOMS_OK;
}

static const struct rooms_adapter_ops memory_ops = {
    .name = "memory",
    .free = memory_free,
    .broadcast = memory_broadcast,
    .broadcast_with_ack = memory_broadcast_with_ack,
    .join = memory_join,
    .leave = memory_leave,
    .disconnect = memory_disconnect,
    .fetch = memory_fetch,
    .server_side_emit = memory_server_side_emit,
    .server_count = memory_server_count,
};

struct rooms_adapter *rooms_adapter_memory(void *ctx, const char *namespace_name, const struct rooms_local *local)
{
    (void)ctx, (void)namespace_name;
    struct rooms_adapter *adapter = malloc(sizeof *adapter);
    if (!adapter) return NULL;
    adapter->ops = &memory_ops;
    adapter->local = *local;
    return adapter;
}
