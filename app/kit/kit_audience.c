#include "kit_audience.h"

#include <string.h>

/* ------------------------------------------------- what the adapter calls */

static void on_deliver(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                       const struct rooms_message *message)
{
    const struct kit_audience *audience = ctx;
    (void)flags;
    audience->deliver(audience->ctx, who, message);
}

static void on_deliver_with_ack(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                                const struct rooms_message *message, const struct rooms_ack_sink *sink)
{
    (void)ctx, (void)who, (void)flags, (void)message;
    sink->clients(sink->ctx, 0);
}

static void ignore_rooms(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t count)
{
    (void)ctx, (void)who, (void)rooms, (void)count;
}

static void ignore_disconnect(void *ctx, const struct rooms_selector *who, bool close)
{
    (void)ctx, (void)who, (void)close;
}

static void ignore_fetch(void *ctx, const struct rooms_selector *who,
                         void (*each)(void *each_ctx, struct rooms_bytes json), void *each_ctx)
{
    (void)ctx, (void)who, (void)each, (void)each_ctx;
}

static bool ignore_event(void *ctx, const struct rooms_message *message,
                         void (*answer)(void *answer_ctx, const struct rooms_message *args), void *answer_ctx)
{
    (void)ctx, (void)message, (void)answer, (void)answer_ctx;
    return false;
}

static uint64_t now_ms(void *ctx)
{
    return eio_loop_now_ms(((const struct kit_audience *)ctx)->kit->loop);
}

/* ----------------------------------------------------- what the index calls */

static void on_room_created(void *ctx, struct rooms_name room)
{
    struct rooms_adapter *adapter = ((const struct kit_audience *)ctx)->adapter;
    if (adapter && adapter->ops->room_created) adapter->ops->room_created(adapter, room);
}

static void on_room_deleted(void *ctx, struct rooms_name room)
{
    struct rooms_adapter *adapter = ((const struct kit_audience *)ctx)->adapter;
    if (adapter && adapter->ops->room_deleted) adapter->ops->room_deleted(adapter, room);
}

/* --------------------------------------------------------------- the owner */

int kit_audience_start(struct kit_audience *audience, struct kit *kit, const char *name, kit_audience_fn deliver,
                       void *ctx)
{
    static const struct rooms_events events = {.room_created = on_room_created, .room_deleted = on_room_deleted};
    *audience = (struct kit_audience){.kit = kit, .deliver = deliver, .ctx = ctx};
    audience->index = rooms_index_new(NULL, &events, audience);
    if (!audience->index) return EIO_ENOMEM;
    const struct rooms_local local = {.deliver = on_deliver,
                                      .deliver_with_ack = on_deliver_with_ack,
                                      .join = ignore_rooms,
                                      .leave = ignore_rooms,
                                      .disconnect = ignore_disconnect,
                                      .fetch = ignore_fetch,
                                      .server_side_event = ignore_event,
                                      .index = audience->index,
                                      .now_ms = now_ms,
                                      .ctx = audience};
    audience->adapter = kit_make_adapter(kit, name, &local);
    return audience->adapter ? 0 : EIO_ENOMEM;
}

void kit_audience_send(struct kit_audience *audience, const char *room, const struct sio_builder *json)
{
    const struct rooms_name name = {room, strlen(room)};
    const struct rooms_selector who = {.rooms = &name, .room_count = 1};
    const struct rooms_flags flags = {.compress = true};
    const struct rooms_message message = {.json = {(const uint8_t *)json->json, json->size}};
    if (audience->adapter) audience->adapter->ops->broadcast(audience->adapter, &who, &flags, &message);
}

void kit_audience_stop(struct kit_audience *audience)
{
    if (audience->adapter) audience->adapter->ops->free(audience->adapter);
    audience->adapter = NULL;
}

void kit_audience_clear(struct kit_audience *audience)
{
    rooms_index_free(audience->index);
    audience->index = NULL;
}
