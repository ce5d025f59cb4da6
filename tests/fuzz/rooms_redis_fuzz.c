/* Bytes of a Redis that is none, as the connections take them: in pieces, in the middle of a conversation. Input: a
 * byte that says which connection, one that says how large the pieces are, then what Redis says. */
#include "rooms_redis_conn.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

struct world {
    struct rooms_redis *redis;
    struct rooms__redis_subscription subscriptions[4];
    size_t messages, answers, asked;
};

static void on_message(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    struct world *world = ctx;
    uint8_t sum = 0;
    for (size_t i = 0; i < channel.n; i++) sum ^= (uint8_t)channel.p[i];
    for (size_t i = 0; i < payload.n; i++) sum ^= payload.p[i];
    world->messages += 1 + (sum == 0);
    /* Now and then it goes and comes back. */
    if (world->messages % 5 == 0) {
        rooms__redis_unsubscribe(world->redis, &world->subscriptions[1]);
        rooms__redis_subscribe(world->redis, &world->subscriptions[1], (struct rooms_name){"b", 1});
    }
}

static void walk(const struct redisReply *reply)
{
    MUST(reply->type >= REDIS_REPLY_STRING && reply->type <= REDIS_REPLY_ERROR);
    if (reply->type != REDIS_REPLY_ARRAY) return;
    for (size_t i = 0; i < reply->elements; i++) walk(reply->element[i]);
}

static void on_reply(void *ctx, const struct redisReply *reply)
{
    struct world *world = ctx;
    world->answers++;
    if (reply) walk(reply);
}

static void subscribe(struct world *world, size_t i, enum rooms__redis_kind kind, const char *text)
{
    world->subscriptions[i] = (struct rooms__redis_subscription){.kind = kind, .on_message = on_message, .ctx = world};
    MUST(rooms__redis_subscribe(world->redis, &world->subscriptions[i], (struct rooms_name){text, 1}) == ROOMS_OK);
}

/* All that waits counts as written. */
static void write_all(struct rooms__redis_conn *conn)
{
    rooms__redis_queue_wrote(&conn->queue, rooms__redis_queue_unwritten(&conn->queue).n);
}

static void converse(struct world *world, struct rooms__redis_conn *conn)
{
    const struct rooms_bytes args[] = {rooms__text("PING")};
    const struct rooms__redis_command command = {
        conn->role == ROOMS__CONN_BLOCK ? ROOMS__REDIS_BLOCKING : ROOMS__REDIS_PUBLISHER,
        args,
        1,
        1000,
        on_reply,
        world};
    for (size_t i = 0; i < 3; i++) {
        rooms__redis_publish(world->redis, i == 1, (struct rooms_name){"a", 1}, args[0]);
        if (conn->role != ROOMS__CONN_SUB) world->asked += rooms__redis_ask(world->redis, &command) == ROOMS_OK;
    }
    if (conn->role == ROOMS__CONN_SUB) rooms__listen_flush(world->redis);
    write_all(conn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    static struct event_base *base; /* never runs */
    if (!base) base = event_base_new();
    struct world world = {.redis = NULL};
    struct rooms_redis_options options;
    rooms_redis_options_init(&options);
    options.max_message_bytes = 4096;
    options.max_pending_bytes = 4096;
    world.redis = rooms_redis_new(base, &options, NULL);
    struct rooms__redis_conn *conn = &world.redis->conns[data[0] % ROOMS__CONN_COUNT];
    size_t piece = (size_t)data[1] + 1;
    subscribe(&world, 0, ROOMS__REDIS_CHANNEL, "a");
    subscribe(&world, 1, ROOMS__REDIS_CHANNEL, "b");
    subscribe(&world, 2, ROOMS__REDIS_PATTERN, "p");
    subscribe(&world, 3, ROOMS__REDIS_SHARD, "s");
    rooms__conn_start(conn, 1000);
    rooms__conn_pretend(conn, data[0] & 0x80 ? ROOMS__CONN_GREETING : ROOMS__CONN_SETTLING);
    for (size_t at = 2; at < size && conn->state >= ROOMS__CONN_GREETING; at += piece) {
        if (rooms__conn_is_ready(conn)) converse(&world, conn);
        rooms__conn_take(conn, data + at, size - at < piece ? size - at : piece);
    }
    size_t waits = world.redis->requests.count;
    MUST(world.answers + waits == world.asked);
    for (size_t i = 0; i < 4; i++) rooms__redis_unsubscribe(world.redis, &world.subscriptions[i]);
    rooms_redis_free(world.redis);
    MUST(world.answers + waits == world.asked);
    return 0;
}
