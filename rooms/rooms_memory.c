/* The adapter of a single node: everything is local and answered before the call returns. */
#include "base_check.h"
#include "rooms_int.h"

#include <stdlib.h>

struct memory {
    struct rooms_adapter adapter;
    struct rooms_log *log; /* NULL: no recovery */
};

static struct rooms_log *log_of(const struct rooms_adapter *adapter)
{
    return container_of(adapter, struct memory, adapter)->log;
}

static uint64_t now_ms(const struct rooms_adapter *adapter)
{
    return adapter->local.now_ms(adapter->local.ctx);
}

static void memory_free(struct rooms_adapter *adapter)
{
    rooms__log_free(log_of(adapter));
    free(container_of(adapter, struct memory, adapter));
}

/* A message that cannot be logged is still delivered, without an offset of its own. */
static int memory_broadcast(struct rooms_adapter *adapter, const struct rooms_selector *who,
                            const struct rooms_flags *flags, const struct rooms_message *message)
{
    struct rooms_log *log = log_of(adapter);
    struct rooms_message logged = *message;
    char offset[ROOMS_OFFSET_SIZE];
    if (log && !flags->is_volatile) {
        rooms__log_add(log, now_ms(adapter), who, message);
        logged.offset = rooms__log_offset(log, offset);
    }
    adapter->local.deliver(adapter->local.ctx, who, flags, &logged);
    return ROOMS_OK;
}

/* ---------------------------------------------------------------- recovery */

static int memory_session_save(struct rooms_adapter *adapter, const struct rooms_session *session)
{
    return log_of(adapter) ? rooms__log_save(log_of(adapter), now_ms(adapter), session) : ROOMS_OK;
}

static void memory_session_restore(struct rooms_adapter *adapter, struct rooms_name pid, struct rooms_name offset,
                                   rooms_restore_fn done, void *ctx)
{
    struct rooms_log *log = log_of(adapter);
    struct rooms_session *session = log ? rooms__log_restore(log, now_ms(adapter), pid, offset) : NULL;
    done(ctx, session);
    free(session);
}

static void memory_replay(struct rooms_adapter *adapter, struct rooms_name offset, rooms_replay_fn each,
                          rooms_done_fn done, void *ctx)
{
    struct rooms_log *log = log_of(adapter);
    done(ctx, log ? rooms__log_replay(log, offset, each, ctx) : ROOMS_OK);
}

static struct rooms_name memory_last_offset(struct rooms_adapter *adapter, char *out)
{
    if (log_of(adapter)) return rooms__log_offset(log_of(adapter), out);
    return (struct rooms_name){NULL, 0};
}

static void memory_expire(struct rooms_adapter *adapter)
{
    if (log_of(adapter)) rooms__log_expire(log_of(adapter), now_ms(adapter));
}

/* ------------------------------------------------------------------ others */

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
    .session_save = memory_session_save,
    .session_restore = memory_session_restore,
    .replay = memory_replay,
    .last_offset = memory_last_offset,
    .expire = memory_expire,
};

struct rooms_adapter *rooms_adapter_memory(void *ctx, const char *namespace_name, const struct rooms_local *local)
{
    (void)ctx, (void)namespace_name;
    struct memory *memory = calloc(1, sizeof *memory);
    if (!memory) return NULL;
    memory->adapter.ops = &memory_ops;
    memory->adapter.local = *local;
    if (!local->recovery) return &memory->adapter;
    memory->log = rooms__log_new(local->recovery);
    if (memory->log) return &memory->adapter;
    free(memory);
    return NULL;
}
