/* The adapter on Redis 7's sharded channels, in the format of createShardedAdapter() of @socket.io/redis-adapter 8.
 *
 *   <prefix>#<nsp>#          everything else
 *   <prefix>#<nsp>#<uid>#    responses to that node
 *   <prefix>#<nsp>#<room>#   broadcasts to exactly that room
 *
 * Which rooms have a channel: in static mode none, in dynamic-private mode all. In dynamic mode Node's publishers take
 * every name of 20 characters for the id of a socket, and use the channel of all nodes; its subscribers use one for
 * every room that is not the id of a socket of theirs. So for such a name only the channel of all nodes reaches every
 * subscriber, unless the name cannot be an id, since it is not base64. */
#include "rooms_redis_carrier.h"

#include <stdlib.h>

enum { NODE_ID_SIZE = 20 };

/* A room's channel, listened to while the room has members here. */
struct room {
    struct rooms__redis_subscription subscription;
    struct sharded *sharded;
};

struct sharded {
    struct rooms__redis_carrier carrier;
    enum rooms_redis_mode mode;
    struct rooms_table rooms;
};

static struct sharded *sharded_of(const struct rooms_cluster *cluster)
{
    return container_of(rooms__redis_carrier_of(cluster), struct sharded, carrier);
}

static bool looks_like_an_id(struct rooms_name room)
{
    if (room.n != NODE_ID_SIZE) return false;
    for (size_t i = 0; i < room.n; i++) {
        char c = room.p[i], letter = (char)(c | 0x20);
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_') return false;
    }
    return true;
}

static bool has_channel(const struct sharded *sharded, struct rooms_name room)
{
    if (sharded->mode == ROOMS_REDIS_STATIC || room.n == 0) return false;
    return sharded->mode == ROOMS_REDIS_DYNAMIC_PRIVATE || !looks_like_an_id(room);
}

/* Requests that would not be answered in time are not queued. */
static int sharded_publish(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    struct sharded *sharded = sharded_of(cluster);
    struct rooms_name all = {NULL, 0};
    enum rooms__cluster_form form = rooms__cluster_form_of(message);
    bool is_broadcast = message->type == ROOMS_CLUSTER_BROADCAST && message->request.n == 0;
    if (message->request.n && !rooms__redis_is_up(sharded->carrier.redis)) return ROOMS_EAWAY;
    if (is_broadcast && message->who.room_count == 1 && has_channel(sharded, message->who.rooms[0]))
        return rooms__redis_carrier_publish(&sharded->carrier, message->who.rooms[0], message, form);
    return rooms__redis_carrier_publish(&sharded->carrier, all, message, form);
}

static int sharded_respond(struct rooms_cluster *cluster, struct rooms_name uid,
                           const struct rooms_cluster_message *message)
{
    return rooms__redis_carrier_publish(rooms__redis_carrier_of(cluster), uid, message,
                                        rooms__cluster_form_of(message));
}

/* -------------------------------------------------------------------- rooms */

static struct rooms_name room_name(const void *item)
{
    const struct room *room = item;
    struct rooms_name channel = rooms__redis_subscribed_name(&room->subscription);
    size_t prefix = room->sharded->carrier.channel_size;
    return (struct rooms_name){channel.p + prefix, channel.n - prefix - 1};
}

static void room_free(struct sharded *sharded, struct room *room)
{
    rooms__redis_unsubscribe(sharded->carrier.redis, &room->subscription);
    free(room);
}

/* Without memory the room gets no messages of others until it is created anew; its own messages reach the others. */
static void sharded_room_created(struct rooms_adapter *adapter, struct rooms_name name)
{
    struct sharded *sharded = sharded_of(rooms__cluster_of(adapter));
    struct rooms_name channel = {NULL, 0};
    if (!has_channel(sharded, name) || rooms__table_find(&sharded->rooms, name)) return;
    struct room *room = calloc(1, sizeof *room);
    if (room) channel = rooms__redis_carrier_channel(&sharded->carrier, name);
    if (!channel.p) {
        free(room);
        return;
    }
    room->sharded = sharded;
    room->subscription.kind = ROOMS__REDIS_SHARD;
    room->subscription.on_message = rooms__redis_carrier_heard;
    room->subscription.ctx = &sharded->carrier;
    if (rooms__redis_subscribe(sharded->carrier.redis, &room->subscription, channel) != ROOMS_OK)
        free(room);
    else if (rooms__table_insert(&sharded->rooms, room) != ROOMS_OK)
        room_free(sharded, room);
}

static void sharded_room_deleted(struct rooms_adapter *adapter, struct rooms_name name)
{
    struct sharded *sharded = sharded_of(rooms__cluster_of(adapter));
    struct room *room = rooms__table_find(&sharded->rooms, name);
    if (!room) return;
    rooms__table_remove(&sharded->rooms, room);
    room_free(sharded, room);
}

static bool sharded_hears(struct rooms_adapter *adapter, struct rooms_name name)
{
    struct sharded *sharded = sharded_of(rooms__cluster_of(adapter));
    const struct room *room = rooms__table_find(&sharded->rooms, name);
    return !room || rooms__redis_is_heard(sharded->carrier.redis, &room->subscription);
}

/* --------------------------------------------------------------------- life */

static void sharded_free(struct rooms_adapter *adapter)
{
    struct sharded *sharded = sharded_of(rooms__cluster_of(adapter));
    rooms__redis_carrier_clear(&sharded->carrier);
    for (size_t i = 0; i < sharded->rooms.table.slot_count; i++)
        if (sharded->rooms.table.items[i]) room_free(sharded, sharded->rooms.table.items[i]);
    rooms__table_clear(&sharded->rooms);
    free(sharded);
}

static const struct rooms_adapter_ops sharded_ops = {
    .name = "redis-sharded",
    .free = sharded_free,
    ROOMS_CLUSTER_OPS,
    .room_created = sharded_room_created,
    .room_deleted = sharded_room_deleted,
    .hears = sharded_hears,
};

static const struct rooms_carrier_ops carrier_ops = {
    .publish = sharded_publish,
    .respond = sharded_respond,
    .count_others = rooms__redis_carrier_count,
    .incomplete = rooms__redis_carrier_incomplete,
};

struct rooms_adapter *rooms_adapter_redis_sharded(void *ctx, const char *namespace_name,
                                                  const struct rooms_local *local)
{
    struct sharded *sharded = calloc(1, sizeof *sharded);
    if (!sharded) return NULL;
    struct rooms__redis_carrier_setup setup = {
        .redis = ctx,
        .kind = ROOMS__REDIS_SHARD,
        .ops = &sharded_ops,
        .carrier = &carrier_ops,
        .nsp = namespace_name,
        .local = local,
    };
    sharded->mode = rooms__redis_options(ctx)->mode;
    if (rooms__redis_carrier_init(&sharded->carrier, &setup) != ROOMS_OK) {
        free(sharded);
        return NULL;
    }
    rooms__table_init(&sharded->rooms, room_name, sharded->carrier.cluster.state->key);
    return &sharded->carrier.cluster.adapter;
}
