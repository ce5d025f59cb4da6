/* The adapter on Redis 7's sharded channels, in the format of createShardedAdapter() of @socket.io/redis-adapter 8.
 *
 *   <prefix>#<nsp>#          everything that is not elsewhere
 *   <prefix>#<nsp>#<uid>#    answers for that node
 *   <prefix>#<nsp>#<room>#   broadcasts to exactly that room
 *
 * Which rooms have a channel: in static mode none, in dynamic-private mode all. In dynamic mode Node's publishers take
 * every name of 20 characters for a socket's id, and use the channel of all; its listeners subscribe to every room that
 * is not the id of a socket of theirs. So to such a name only that channel reaches all who may listen, unless it cannot
 * be an id, being no base64. */
#include "rooms_cluster_wire.h"
#include "rooms_redis_int.h"

#include <stdlib.h>

enum { NODE_ID_SIZE = 20, LOST_MAX = 16 };

/* A room's channel, listened to while the room has members here. */
struct room {
    struct rooms__redis_subscription subscription; /* first */
    struct sharded *sharded;
};

struct sharded {
    struct rooms__cluster cluster; /* first */
    struct rooms_redis *redis;
    enum rooms_redis_mode mode;
    struct rooms_packer channel; /* <prefix>#<nsp>#, and behind it what is being named */
    size_t channel_size;
    struct rooms_packer payload;
    struct rooms__cluster_ends own;
    struct rooms__redis_subscription all, answers;
    struct rooms_table rooms;
    uint64_t *tickets; /* of the counts that were asked for; Redis answers in their order */
    size_t ticket_count, ticket_capacity;
};

static struct rooms_name own_uid(const struct sharded *sharded)
{
    return (struct rooms_name){sharded->cluster.uid, ROOMS__UID_SIZE};
}

static struct rooms_name own_nsp(const struct sharded *sharded)
{
    return (struct rooms_name){sharded->cluster.nsp, sharded->cluster.nsp_size};
}

/* The name of a channel, valid until the next; n 0 for that of all. p NULL: out of memory. */
static struct rooms_name channel_of(struct sharded *sharded, struct rooms_name what)
{
    struct rooms_packer *channel = &sharded->channel;
    channel->size = sharded->channel_size;
    if (what.n) {
        rooms__put_bytes(channel, what.p, what.n);
        rooms__put(channel, "#");
    }
    if (!channel->error) return (struct rooms_name){(const char *)channel->bytes, channel->size};
    channel->error = 0;
    return (struct rooms_name){NULL, 0};
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

/* --------------------------------------------------------------- publishing */

static int publish_to(struct sharded *sharded, struct rooms_name what, const struct rooms__cluster_message *message)
{
    struct rooms_packer *payload = &sharded->payload;
    struct rooms_name channel = channel_of(sharded, what);
    if (!channel.p) return ROOMS_ENOMEM;
    payload->size = 0;
    payload->error = 0;
    rooms__cluster_put(payload, message, own_nsp(sharded), rooms__cluster_form_of(message));
    if (payload->error) return payload->error;
    return rooms__redis_publish(sharded->redis, true, channel, (struct rooms_bytes){payload->bytes, payload->size});
}

/* Questions that nobody answers in time are not kept for later. */
static int sharded_publish(struct rooms__cluster *cluster, const struct rooms__cluster_message *message)
{
    struct sharded *sharded = (struct sharded *)cluster;
    struct rooms_name all = {NULL, 0};
    bool is_broadcast = message->type == ROOMS__BROADCAST && message->request.n == 0;
    if (message->request.n && !rooms__redis_is_up(sharded->redis)) return ROOMS_EAWAY;
    if (is_broadcast && message->who.room_count == 1 && has_channel(sharded, message->who.rooms[0]))
        return publish_to(sharded, message->who.rooms[0], message);
    return publish_to(sharded, all, message);
}

static int sharded_respond(struct rooms__cluster *cluster, struct rooms_name uid,
                           const struct rooms__cluster_message *message)
{
    return publish_to((struct sharded *)cluster, uid, message);
}

/* ----------------------------------------------------------------- counting */

static bool read_count(const struct redisReply *reply, size_t i, uint64_t *count)
{
    if (reply->elements <= 2 * i + 1 || reply->element[2 * i + 1]->type != REDIS_REPLY_INTEGER) return false;
    *count = (uint64_t)reply->element[2 * i + 1]->integer;
    return true;
}

/* All who listen, without those who are counted though they do not answer: this node itself, and those who fell silent
 * while their connections stand. The others of these are gone. */
static int count_of(struct sharded *sharded, const struct redisReply *reply, size_t *others)
{
    uint64_t all, counted;
    struct rooms_name lost[LOST_MAX];
    char uids[LOST_MAX][ROOMS__UID_MAX];
    if (!reply || reply->type != REDIS_REPLY_ARRAY || !read_count(reply, 0, &all)) return ROOMS_EINVAL;
    size_t lost_count = rooms__cluster_lost(&sharded->cluster, lost, LOST_MAX);
    for (size_t i = 0; i < lost_count; i++) memcpy(uids[i], lost[i].p, lost[i].n);
    for (size_t i = 1; read_count(reply, i, &counted); i++) {
        const struct redisReply *name = reply->element[2 * i];
        if (counted > 0 && all > 0) all--;
        for (size_t k = 0; counted == 0 && k < lost_count; k++) {
            struct rooms_name uid = {uids[k], lost[k].n};
            struct rooms_name channel = channel_of(sharded, uid);
            if (channel.p && name->len == channel.n && !memcmp(name->str, channel.p, channel.n))
                rooms__cluster_node_gone(&sharded->cluster, uid);
        }
    }
    *others = (size_t)all;
    return ROOMS_OK;
}

static void on_count(void *ctx, const struct redisReply *reply)
{
    struct sharded *sharded = ctx;
    size_t others = 0;
    uint64_t ticket = sharded->tickets[0];
    memmove(sharded->tickets, sharded->tickets + 1, --sharded->ticket_count * sizeof *sharded->tickets);
    int error = count_of(sharded, reply, &others);
    rooms__cluster_counted(&sharded->cluster, ticket, error, others);
}

static int keep_ticket(struct sharded *sharded, uint64_t ticket)
{
    if (sharded->ticket_count == sharded->ticket_capacity) {
        size_t capacity = sharded->ticket_capacity ? sharded->ticket_capacity * 2 : 16;
        uint64_t *tickets = realloc(sharded->tickets, capacity * sizeof *tickets);
        if (!tickets) return ROOMS_ENOMEM;
        sharded->tickets = tickets;
        sharded->ticket_capacity = capacity;
    }
    sharded->tickets[sharded->ticket_count++] = ticket;
    return ROOMS_OK;
}

static int sharded_count_others(struct rooms__cluster *cluster, uint64_t ticket)
{
    struct sharded *sharded = (struct sharded *)cluster;
    struct rooms_name lost[LOST_MAX], none = {NULL, 0};
    struct rooms_bytes args[4 + LOST_MAX] = {rooms__text("PUBSUB"), rooms__text("SHARDNUMSUB")};
    char *names[2 + LOST_MAX];
    size_t count = rooms__cluster_lost(cluster, lost, LOST_MAX), named = 0;
    for (size_t i = 0; i < count + 2; i++) {
        struct rooms_name channel = channel_of(sharded, i == 0 ? none : i == 1 ? own_uid(sharded) : lost[i - 2]);
        names[i] = channel.p ? malloc(channel.n) : NULL;
        if (!names[i]) break;
        memcpy(names[i], channel.p, channel.n);
        args[2 + named++] = (struct rooms_bytes){(const uint8_t *)names[i], channel.n};
    }
    struct rooms__redis_command command = {
        .via = ROOMS__REDIS_PUBLISHER, .args = args, .arg_count = 2 + named, .fn = on_count, .ctx = sharded};
    int result = named < 2 ? ROOMS_ENOMEM : keep_ticket(sharded, ticket);
    if (result == ROOMS_OK) {
        result = rooms__redis_ask(sharded->redis, &command);
        if (result != ROOMS_OK) sharded->ticket_count--;
    }
    while (named > 0) free(names[--named]);
    return result;
}

/* ---------------------------------------------------------------- listening */

static void on_message(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    struct sharded *sharded = ctx;
    struct rooms__cluster_reading reading;
    (void)channel;
    if (rooms__cluster_ends_match(&sharded->own, payload)) return;
    if (rooms__cluster_read(&reading, payload, own_nsp(sharded)) != ROOMS_OK) {
        rooms__redis_ignored(sharded->redis, "not of the sharded adapter's form");
        return;
    }
    rooms__cluster_receive(&sharded->cluster, &reading.message);
    rooms__cluster_reading_clear(&reading);
}

/* Answers can arrive, too: their channel was subscribed to before. */
static void on_active(void *ctx)
{
    struct sharded *sharded = ctx;
    rooms__cluster_announce(&sharded->cluster);
}

static struct rooms_name room_name(const void *item)
{
    const struct room *room = item;
    struct rooms_name channel = rooms__redis_subscribed_name(&room->subscription);
    size_t prefix = room->sharded->channel_size;
    return (struct rooms_name){channel.p + prefix, channel.n - prefix - 1};
}

static void room_free(struct sharded *sharded, struct room *room)
{
    rooms__redis_unsubscribe(sharded->redis, &room->subscription);
    free(room);
}

/* Without memory the room does not hear of others until it is made anew; what is published reaches the others. */
static void sharded_room_created(struct rooms_adapter *adapter, struct rooms_name name)
{
    struct sharded *sharded = (struct sharded *)adapter;
    struct rooms_name channel = {NULL, 0};
    if (!has_channel(sharded, name) || rooms__table_find(&sharded->rooms, name)) return;
    struct room *room = calloc(1, sizeof *room);
    if (room) channel = channel_of(sharded, name);
    if (!channel.p) {
        free(room);
        return;
    }
    room->sharded = sharded;
    room->subscription.kind = ROOMS__REDIS_SHARD;
    room->subscription.on_message = on_message;
    room->subscription.ctx = sharded;
    if (rooms__redis_subscribe(sharded->redis, &room->subscription, channel) != ROOMS_OK)
        free(room);
    else if (rooms__table_insert(&sharded->rooms, room) != ROOMS_OK)
        room_free(sharded, room);
}

static void sharded_room_deleted(struct rooms_adapter *adapter, struct rooms_name name)
{
    struct sharded *sharded = (struct sharded *)adapter;
    struct room *room = rooms__table_find(&sharded->rooms, name);
    if (!room) return;
    rooms__table_remove(&sharded->rooms, room);
    room_free(sharded, room);
}

/* --------------------------------------------------------------------- life */

static void free_parts(struct sharded *sharded)
{
    rooms__redis_cancel(sharded->redis, sharded);
    rooms__redis_unsubscribe(sharded->redis, &sharded->answers);
    rooms__redis_unsubscribe(sharded->redis, &sharded->all);
    for (size_t i = 0; i < sharded->rooms.slot_count; i++)
        if (sharded->rooms.items[i]) room_free(sharded, sharded->rooms.items[i]);
    rooms__table_clear(&sharded->rooms);
    rooms__cluster_ends_clear(&sharded->own);
    rooms_packer_clear(&sharded->channel);
    rooms_packer_clear(&sharded->payload);
    free(sharded->tickets);
    free(sharded);
}

static void sharded_free(struct rooms_adapter *adapter)
{
    struct sharded *sharded = (struct sharded *)adapter;
    rooms__cluster_clear(&sharded->cluster);
    free_parts(sharded);
}

static const struct rooms_adapter_ops sharded_ops = {
    .name = "redis-sharded",
    .free = sharded_free,
    ROOMS__CLUSTER_OPS,
    .room_created = sharded_room_created,
    .room_deleted = sharded_room_deleted,
};

static const struct rooms__carrier_ops carrier_ops = {
    .publish = sharded_publish,
    .respond = sharded_respond,
    .count_others = sharded_count_others,
};

/* Answers' channel first: when the other one is confirmed, both are. */
static int start(struct sharded *sharded)
{
    struct rooms_name none = {NULL, 0};
    const char *prefix = rooms__redis_options(sharded->redis)->key_prefix;
    rooms__put(&sharded->channel, prefix);
    rooms__put(&sharded->channel, "#");
    rooms__put_bytes(&sharded->channel, sharded->cluster.nsp, sharded->cluster.nsp_size);
    rooms__put(&sharded->channel, "#");
    sharded->channel_size = sharded->channel.size;
    if (sharded->channel.error) return sharded->channel.error;
    sharded->all = (struct rooms__redis_subscription){
        .kind = ROOMS__REDIS_SHARD, .on_message = on_message, .on_active = on_active, .ctx = sharded};
    sharded->answers =
        (struct rooms__redis_subscription){.kind = ROOMS__REDIS_SHARD, .on_message = on_message, .ctx = sharded};
    int error = rooms__redis_subscribe(sharded->redis, &sharded->answers, channel_of(sharded, own_uid(sharded)));
    if (!error) error = rooms__redis_subscribe(sharded->redis, &sharded->all, channel_of(sharded, none));
    return error;
}

struct rooms_adapter *rooms_adapter_redis_sharded(void *ctx, const char *namespace_name,
                                                  const struct rooms_local *local)
{
    struct rooms_redis *redis = ctx;
    struct rooms__cluster_options options;
    struct sharded *sharded = calloc(1, sizeof *sharded);
    if (!sharded) return NULL;
    rooms__redis_cluster_options(redis, &options);
    struct rooms__cluster_setup setup = {
        .carrier = &carrier_ops,
        .options = &options,
        .stats = rooms__redis_cluster_stats(redis),
        .base = rooms__redis_base(redis),
        .nsp = namespace_name,
        .local = local,
    };
    sharded->cluster.adapter.ops = &sharded_ops;
    sharded->redis = redis;
    sharded->mode = rooms__redis_options(redis)->mode;
    if (rooms__cluster_init(&sharded->cluster, &setup) != ROOMS_OK) {
        free(sharded);
        return NULL;
    }
    rooms__table_init(&sharded->rooms, room_name, sharded->cluster.key);
    if (rooms__cluster_ends_init(&sharded->own, own_uid(sharded), own_nsp(sharded)) == ROOMS_OK &&
        start(sharded) == ROOMS_OK)
        return &sharded->cluster.adapter;
    sharded_free(&sharded->cluster.adapter);
    return NULL;
}
