/* A Redis in memory under the classic adapter, with a clock of its own: what rooms_redis.c gives the adapters, for
 * several nodes, without sockets. It is linked instead of the real one. What happens is said in a log. */
#ifndef CLASSIC_BUS_H
#define CLASSIC_BUS_H

#include "rooms_classic_int.h"
#include "test.h"

#include <string.h>

/* Of the bus itself: those of a test whose allocations fail do not. */
#ifndef BUS_MALLOC
#define BUS_MALLOC malloc
#endif

enum { NODES_MAX = 4, BUS_MAX = 256, MEMBERS_MAX = 4, SUBSCRIPTIONS_MAX = 64 };

struct member {
    struct rooms_member member; /* first */
    char id[32];
};

/* A node: its connection, its adapter, the sockets it has. */
struct rooms_redis {
    char name;
    struct rooms_redis_options options;
    struct rooms_adapter *adapter;
    struct rooms_index *index;
    struct member members[MEMBERS_MAX];
    size_t member_count;
    struct rooms__redis_watcher *watcher;
    bool is_away, is_stuck; /* stuck: hears nothing and says nothing, and Redis counts it all the same */
    unsigned ignored, timed_out;
    struct rooms_ack_sink sink; /* of the last delivery with ack */
    void (*answer)(void *ctx, const struct rooms_message *args);
    void *answer_ctx;
    bool answers_late, answers_never;
    size_t acks; /* sockets here say they are as many, if they are asked for acks */
};

static struct rooms_redis nodes[NODES_MAX];
static size_t node_count;
static uint64_t now_ms = 1000;
static char said[8192];

__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...)
{
    va_list arguments;
    size_t at = strlen(said);
    va_start(arguments, format);
    vsnprintf(said + at, sizeof said - at, format, arguments);
    va_end(arguments);
}

/* Uids are random: they are said as the letters of their nodes. */
static inline void put_letters(char *text)
{
    for (size_t i = 0; i < node_count; i++) {
        const struct classic *classic = (const struct classic *)nodes[i].adapter;
        char *at = classic ? strstr(text, classic->uid) : NULL;
        if (!at) continue;
        *at = nodes[i].name;
        memmove(at + 1, at + CLASSIC_ID_SIZE, strlen(at + CLASSIC_ID_SIZE) + 1);
    }
}

static inline void assert_said(const char *expected)
{
    assert_string_equal(said, expected);
    said[0] = '\0';
}

/* --------------------------------------------------------------------- time */

static struct base_timers timers; /* of all nodes */

uint64_t base_clock_us(void)
{
    return now_ms * 1000;
}

struct base_timers *rooms__redis_timers(struct rooms_redis *redis)
{
    (void)redis;
    if (!timers.now) base_timers_init(&timers, NULL, NULL, NULL);
    return &timers;
}

/* ---------------------------------------------------------------------- bus */

/* What is under way, in order: a message, or a question. */
struct under_way {
    struct rooms_redis *from;
    char *channel;
    uint8_t *payload;
    size_t channel_size, size;
    rooms__redis_reply_fn fn; /* a question: how many listen to the channel? */
    bool asks_names;          /* or: which channels are there that the pattern fits? */
    void *ctx;
};
static struct under_way bus[BUS_MAX];
static size_t bus_begin, bus_end;
static size_t subscribe_fails_at; /* 1: the next one */
static char last_channel[128];    /* that a node published to */
static struct rooms__redis_subscription *subscriptions[SUBSCRIPTIONS_MAX];
static struct rooms_redis *subscribers[SUBSCRIPTIONS_MAX];
static char *subscribed[SUBSCRIPTIONS_MAX]; /* names */

static inline void put_on_bus(struct rooms_redis *from, struct rooms_name channel, struct rooms_bytes payload,
                              rooms__redis_reply_fn fn, void *ctx)
{
    assert_true(bus_end < BUS_MAX);
    struct under_way *item = &bus[bus_end++];
    *item = (struct under_way){.from = from,
                               .channel = BUS_MALLOC(channel.n + 1),
                               .payload = BUS_MALLOC(payload.n + 1),
                               .channel_size = channel.n,
                               .size = payload.n,
                               .fn = fn,
                               .ctx = ctx};
    memcpy(item->channel, channel.p, channel.n);
    if (payload.n) memcpy(item->payload, payload.p, payload.n);
}

int rooms__redis_publish(struct rooms_redis *redis, bool sharded, struct rooms_name channel, struct rooms_bytes payload)
{
    assert_false(sharded);
    if (redis->is_away) return ROOMS_ENOMEM; /* as bad as it gets */
    snprintf(last_channel, sizeof last_channel, "%.*s", (int)channel.n, channel.p);
    put_on_bus(redis, channel, payload, NULL, NULL);
    return ROOMS_OK;
}

int rooms__redis_ask(struct rooms_redis *redis, const struct rooms__redis_command *command)
{
    assert_int_equal(command->arg_count, 3);
    if (redis->is_away) return ROOMS_EAWAY;
    struct rooms_name channel = {(const char *)command->args[2].p, command->args[2].n};
    put_on_bus(redis, channel, (struct rooms_bytes){NULL, 0}, command->fn, command->ctx);
    bus[bus_end - 1].asks_names = command->args[1].n == strlen("CHANNELS");
    return ROOMS_OK;
}

int rooms__redis_ask_number(struct rooms_redis *redis, const struct rooms__redis_command *command)
{
    return rooms__redis_ask(redis, command);
}

void rooms__redis_cancel(struct rooms_redis *redis, const void *ctx)
{
    (void)redis;
    for (size_t i = bus_begin; i < bus_end; i++)
        if (bus[i].fn && bus[i].ctx == ctx) bus[i].fn = NULL, bus[i].from = NULL;
}

int rooms__redis_subscribe(struct rooms_redis *redis, struct rooms__redis_subscription *subscription,
                           struct rooms_name name)
{
    size_t i = 0;
    if (subscribe_fails_at && --subscribe_fails_at == 0) return ROOMS_ENOMEM;
    while (subscriptions[i]) assert_true(++i < SUBSCRIPTIONS_MAX);
    subscriptions[i] = subscription;
    subscribers[i] = redis;
    subscribed[i] = BUS_MALLOC(name.n + 1);
    memcpy(subscribed[i], name.p, name.n);
    subscribed[i][name.n] = '\0';
    if (subscription->on_active) subscription->on_active(subscription->ctx);
    return ROOMS_OK;
}

void rooms__redis_unsubscribe(struct rooms_redis *redis, struct rooms__redis_subscription *subscription)
{
    (void)redis;
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        if (subscriptions[i] != subscription) continue;
        subscriptions[i] = NULL;
        free(subscribed[i]);
    }
}

bool rooms__redis_is_heard(const struct rooms_redis *redis, const struct rooms__redis_subscription *subscription)
{
    (void)redis;
    (void)subscription;
    return true;
}

/* What a node listens to, in the order it began. */
static inline void say_subscriptions(size_t node)
{
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; i++)
        if (subscriptions[i] && subscribers[i] == &nodes[node])
            say("%s%s\n", subscriptions[i]->kind == ROOMS__REDIS_PATTERN ? "P " : "", subscribed[i]);
}

/* Redis' globs, as far as they are used here. */
static inline bool glob(const char *pattern, const char *p, const char *end)
{
    for (; *pattern; pattern++) {
        if (*pattern == '*') {
            for (; p <= end; p++)
                if (glob(pattern + 1, p, end)) return true;
            return false;
        }
        if (p == end) return false;
        if (*pattern == '?') {
            p++;
            continue;
        }
        if (*pattern == '\\' && pattern[1]) pattern++;
        if (*p++ != *pattern) return false;
    }
    return p == end;
}

static inline bool listens(size_t i, const struct under_way *item)
{
    if (!subscriptions[i]) return false;
    if (subscriptions[i]->kind == ROOMS__REDIS_PATTERN)
        return glob(subscribed[i], item->channel, item->channel + item->channel_size);
    return strlen(subscribed[i]) == item->channel_size && memcmp(subscribed[i], item->channel, item->channel_size) == 0;
}

static inline void reply_count(const struct under_way *item)
{
    struct redisReply name = {.type = REDIS_REPLY_STRING}, number = {.type = REDIS_REPLY_INTEGER};
    struct redisReply *elements[] = {&name, &number};
    struct redisReply reply = {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = elements};
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; i++) number.integer += listens(i, item);
    item->fn(item->ctx, &reply);
}

static inline void reply_names(const struct under_way *item)
{
    struct redisReply channels[SUBSCRIPTIONS_MAX], *elements[SUBSCRIPTIONS_MAX];
    struct redisReply reply = {.type = REDIS_REPLY_ARRAY, .element = elements};
    char pattern[128];
    snprintf(pattern, sizeof pattern, "%.*s", (int)item->channel_size, item->channel);
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        if (!subscriptions[i] || !glob(pattern, subscribed[i], subscribed[i] + strlen(subscribed[i]))) continue;
        struct redisReply *channel = elements[reply.elements] = &channels[reply.elements];
        *channel = (struct redisReply){.type = REDIS_REPLY_STRING, .str = subscribed[i], .len = strlen(subscribed[i])};
        reply.elements++;
    }
    item->fn(item->ctx, &reply);
}

/* Until nothing is under way. */
static inline void settle_up_to(size_t end)
{
    while (bus_begin < end && bus_begin < bus_end) {
        struct under_way item = bus[bus_begin++];
        for (size_t i = 0; i < SUBSCRIPTIONS_MAX && !item.fn && item.from; i++) {
            if (!listens(i, &item) || subscribers[i]->is_stuck) continue;
            uint8_t *copy = BUS_MALLOC(item.size); /* an exact block: reading too far is noticed */
            memcpy(copy, item.payload, item.size);
            subscriptions[i]->on_message(subscriptions[i]->ctx, (struct rooms_name){item.channel, item.channel_size},
                                         (struct rooms_bytes){copy, item.size});
            free(copy);
        }
        if (item.fn && item.asks_names)
            reply_names(&item);
        else if (item.fn)
            reply_count(&item);
        free(item.channel);
        free(item.payload);
    }
    if (bus_begin == bus_end) bus_begin = bus_end = 0;
}

static inline void settle(void)
{
    settle_up_to(SIZE_MAX);
}

static inline void publish(const char *channel, const void *payload, size_t size)
{
    put_on_bus(&nodes[0], (struct rooms_name){channel, strlen(channel)}, (struct rooms_bytes){payload, size}, NULL,
               NULL);
    settle();
}

static inline void publish_text(const char *channel, const char *text)
{
    publish(channel, text, strlen(text));
}

/* Lets time pass, in steps, and what then happens. */
static inline void pass(uint32_t ms)
{
    for (uint64_t end = now_ms + ms; now_ms < end;) {
        now_ms += 10;
        base_timers_run(&timers);
        settle();
    }
}

static inline size_t timers_running(void)
{
    return timers.heap.count;
}

void rooms__redis_watch(struct rooms_redis *redis, struct rooms__redis_watcher *watcher)
{
    redis->watcher = watcher;
}

void rooms__redis_unwatch(struct rooms_redis *redis, struct rooms__redis_watcher *watcher)
{
    (void)watcher;
    redis->watcher = NULL;
}

const struct rooms_redis_options *rooms__redis_options(const struct rooms_redis *redis)
{
    return &redis->options;
}

void rooms__redis_log(struct rooms_redis *redis, enum rooms_log_level level, const char *format, ...)
{
    (void)redis, (void)level;
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    put_letters(line);
    say("log: %s\n", line);
}

void rooms__redis_ignored(struct rooms_redis *redis, const char *why)
{
    assert_true(strlen(why) > 0);
    redis->ignored++;
}

void rooms__redis_timed_out(struct rooms_redis *redis)
{
    redis->timed_out++;
}

/* -------------------------------------------------------------------- local */

static inline char name_of(void *ctx)
{
    return ((struct rooms_redis *)ctx)->name;
}

static inline void say_who(const struct rooms_selector *who)
{
    for (size_t i = 0; i < who->room_count; i++) say(" +%.*s", (int)who->rooms[i].n, who->rooms[i].p);
    for (size_t i = 0; i < who->except_count; i++) say(" -%.*s", (int)who->except[i].n, who->except[i].p);
}

static inline void say_message(const struct rooms_message *message)
{
    say(" %.*s", (int)message->json.n, (const char *)message->json.p);
    for (size_t i = 0; i < message->attachment_count; i++)
        say(" <%.*s>", (int)message->attachments[i].n, (const char *)message->attachments[i].p);
}

static inline void local_deliver(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                                 const struct rooms_message *message)
{
    say("%c deliver%s%s", name_of(ctx), flags->is_volatile ? " volatile" : "", flags->compress ? "" : " uncompressed");
    say_who(who);
    say_message(message);
    say("\n");
}

static inline void local_deliver_with_ack(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                                          const struct rooms_message *message, const struct rooms_ack_sink *sink)
{
    struct rooms_redis *node = ctx;
    struct rooms_ack_sink kept = *sink;
    say("%c ask %u", name_of(ctx), flags->timeout_ms);
    say_who(who);
    say_message(message);
    say("\n");
    node->sink = kept;
    kept.clients(kept.ctx, node->acks);
}

static inline void say_change(void *ctx, const char *what, const struct rooms_selector *who,
                              const struct rooms_name *names, size_t count)
{
    say("%c %s", name_of(ctx), what);
    say_who(who);
    for (size_t i = 0; i < count; i++) say(" %.*s", (int)names[i].n, names[i].p);
    say("\n");
}

static inline void local_join(void *ctx, const struct rooms_selector *who, const struct rooms_name *names, size_t count)
{
    say_change(ctx, "join", who, names, count);
}

static inline void local_leave(void *ctx, const struct rooms_selector *who, const struct rooms_name *names,
                               size_t count)
{
    say_change(ctx, "leave", who, names, count);
}

static inline void local_disconnect(void *ctx, const struct rooms_selector *who, bool close)
{
    say_change(ctx, close ? "disconnect close" : "disconnect", who, NULL, 0);
}

static inline void local_fetch(void *ctx, const struct rooms_selector *who, void (*each)(void *, struct rooms_bytes),
                               void *each_ctx)
{
    char socket[32];
    (void)who;
    for (int i = 1; i <= 2; i++) {
        int n = snprintf(socket, sizeof socket, "{\"%c\":%d.10}", name_of(ctx), i);
        each(each_ctx, (struct rooms_bytes){(const uint8_t *)socket, (size_t)n});
    }
}

static inline bool local_server_side_event(void *ctx, const struct rooms_message *message,
                                           void (*answer)(void *, const struct rooms_message *), void *answer_ctx)
{
    struct rooms_redis *node = ctx;
    char json[16];
    say("%c event%s", name_of(ctx), answer ? "?" : "");
    say_message(message);
    say("\n");
    if (!answer || node->answers_never) return false;
    node->answer = answer;
    node->answer_ctx = answer_ctx;
    if (node->answers_late) return true;
    int n = snprintf(json, sizeof json, "[\"%c\",5]", name_of(ctx));
    answer(answer_ctx, &(struct rooms_message){.json = {(const uint8_t *)json, (size_t)n}});
    return false;
}

static inline void on_room_created(void *ctx, struct rooms_name room)
{
    struct rooms_redis *node = ctx;
    node->adapter->ops->room_created(node->adapter, room);
}

static inline void on_room_deleted(void *ctx, struct rooms_name room)
{
    struct rooms_redis *node = ctx;
    node->adapter->ops->room_deleted(node->adapter, room);
}

/* -------------------------------------------------------------------- nodes */

static inline struct rooms_redis *node_new(const char *nsp, const struct rooms_redis_options *options)
{
    static const struct rooms_events events = {.room_created = on_room_created, .room_deleted = on_room_deleted};
    struct rooms_redis *node = &nodes[node_count];
    *node = (struct rooms_redis){.name = (char)('A' + node_count), .options = *options};
    node->index = rooms_index_new(NULL, &events, node);
    struct rooms_local local = {
        .deliver = local_deliver,
        .deliver_with_ack = local_deliver_with_ack,
        .join = local_join,
        .leave = local_leave,
        .disconnect = local_disconnect,
        .fetch = local_fetch,
        .server_side_event = local_server_side_event,
        .index = node->index,
        .ctx = node,
    };
    node->adapter = rooms_adapter_redis(node, nsp, &local);
    assert_non_null(node->adapter);
    node_count++;
    return node;
}

static inline struct rooms_redis_options default_options(void)
{
    return (struct rooms_redis_options){.key_prefix = "socket.io", .request_timeout_ms = 2000, .max_requests = 8};
}

/* Nodes of the root namespace, with one member each, whose id is 20 times the node's letter. */
static inline void setup(size_t count)
{
    struct rooms_redis_options options = default_options();
    said[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        struct rooms_redis *node = node_new("/", &options);
        struct member *member = &node->members[node->member_count++];
        memset(member->id, node->name, CLASSIC_SOCKET_SIZE);
        assert_int_equal(rooms_add(node->index, &member->member, member->id, CLASSIC_SOCKET_SIZE), 0);
    }
}

static inline void node_free(size_t i)
{
    struct rooms_redis *node = &nodes[i];
    if (!node->adapter) return;
    for (size_t k = 0; k < node->member_count; k++) rooms_remove(node->index, &node->members[k].member);
    node->adapter->ops->free(node->adapter);
    rooms_index_free(node->index);
    node->adapter = NULL;
}

static inline void teardown(void)
{
    settle();
    for (size_t i = 0; i < node_count; i++) node_free(i);
    settle();
    node_count = 0;
    base_timers_clear(&timers); /* none is left */
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; i++) assert_null(subscriptions[i]);
}

#endif
