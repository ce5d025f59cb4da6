/* What the sharded and the streams adapter have in common. */
#include "rooms_redis_carrier.h"

#include <stdlib.h>

enum { LOST_MAX = 16, KEPT_CAPACITY = 65536 };

struct rooms_name rooms__redis_carrier_channel(struct rooms__redis_carrier *carrier, struct rooms_name what)
{
    struct rooms_packer *channel = &carrier->channel;
    channel->size = carrier->channel_size;
    if (what.n) {
        rooms__put_bytes(channel, what.p, what.n);
        rooms__put(channel, "#");
    }
    if (!channel->error) return (struct rooms_name){(const char *)channel->bytes, channel->size};
    channel->error = 0;
    return (struct rooms_name){NULL, 0};
}

int rooms__redis_carrier_publish(struct rooms__redis_carrier *carrier, struct rooms_name what,
                                 const struct rooms_cluster_message *message, enum rooms__cluster_form form)
{
    struct rooms_packer *payload = &carrier->payload;
    struct rooms_name channel = rooms__redis_carrier_channel(carrier, what);
    if (!channel.p) return ROOMS_ENOMEM;
    payload->size = 0;
    payload->error = 0;
    rooms__cluster_put(payload, message, rooms_cluster_nsp(&carrier->cluster), form);
    int error = payload->error;
    if (!error)
        error = rooms__redis_publish(carrier->redis, carrier->kind == ROOMS__REDIS_SHARD, channel,
                                     (struct rooms_bytes){payload->bytes, payload->size});
    if (payload->capacity > KEPT_CAPACITY) rooms_packer_clear(payload);
    return error;
}

/* ----------------------------------------------------------------- counting */

static bool read_count(const struct redisReply *reply, size_t i, uint64_t *count)
{
    if (reply->elements <= 2 * i + 1 || reply->element[2 * i + 1]->type != REDIS_REPLY_INTEGER) return false;
    *count = (uint64_t)reply->element[2 * i + 1]->integer;
    return true;
}

/* All subscribers but those that are counted and do not answer: this node itself, and nodes that fell silent while
 * their connections are open. Silent nodes that are not counted are gone. */
static int count_of(struct rooms__redis_carrier *carrier, const struct redisReply *reply, size_t *others)
{
    uint64_t all, counted;
    struct rooms_name lost[LOST_MAX];
    char uids[LOST_MAX][ROOMS_UID_MAX];
    if (!reply || reply->type != REDIS_REPLY_ARRAY || !read_count(reply, 0, &all)) return ROOMS_EINVAL;
    size_t lost_count = rooms_cluster_lost(&carrier->cluster, lost, LOST_MAX);
    for (size_t i = 0; i < lost_count; i++) memcpy(uids[i], lost[i].p, lost[i].n);
    for (size_t i = 1; read_count(reply, i, &counted); i++) {
        const struct redisReply *name = reply->element[2 * i];
        if (counted > 0 && all > 0) all--;
        for (size_t k = 0; counted == 0 && k < lost_count; k++) {
            struct rooms_name uid = {uids[k], lost[k].n};
            struct rooms_name channel = rooms__redis_carrier_channel(carrier, uid);
            if (channel.p && name->len == channel.n && !memcmp(name->str, channel.p, channel.n))
                rooms_cluster_node_gone(&carrier->cluster, uid);
        }
    }
    *others = (size_t)all;
    return ROOMS_OK;
}

static void on_count(void *ctx, const struct redisReply *reply)
{
    struct rooms__redis_carrier *carrier = ctx;
    size_t others = 0;
    uint64_t ticket = carrier->tickets[0];
    memmove(carrier->tickets, carrier->tickets + 1, --carrier->ticket_count * sizeof *carrier->tickets);
    int error = count_of(carrier, reply, &others);
    rooms_cluster_counted(&carrier->cluster, ticket, error, others);
}

static int keep_ticket(struct rooms__redis_carrier *carrier, uint64_t ticket)
{
    if (carrier->ticket_count == carrier->ticket_capacity) {
        size_t capacity = carrier->ticket_capacity ? carrier->ticket_capacity * 2 : 16;
        uint64_t *tickets = realloc(carrier->tickets, capacity * sizeof *tickets);
        if (!tickets) return ROOMS_ENOMEM;
        carrier->tickets = tickets;
        carrier->ticket_capacity = capacity;
    }
    carrier->tickets[carrier->ticket_count++] = ticket;
    return ROOMS_OK;
}

/* In a Redis Cluster each channel is counted where its slot is. */
struct rooms__redis_carrier_count {
    struct rooms__redis_carrier_count *next;
    struct rooms__redis_carrier *carrier;
    uint64_t ticket;
    size_t pending, lost_count;
    bool failed;
    struct count_part {
        struct rooms__redis_carrier_count *count;
        uint64_t subscribers;
    } parts[2 + LOST_MAX]; /* of all, of this node, of those that fell silent */
    uint8_t uid_sizes[LOST_MAX];
    char uids[LOST_MAX][ROOMS_UID_MAX];
};

static void count_free(struct rooms__redis_carrier_count *count)
{
    struct rooms__redis_carrier_count **link = &count->carrier->counts;
    while (*link != count) link = &(*link)->next;
    *link = count->next;
    for (size_t i = 0; i < count->lost_count + 2; i++) rooms__redis_cancel(count->carrier->redis, &count->parts[i]);
    free(count);
}

static void count_done(struct rooms__redis_carrier_count *count)
{
    struct rooms__redis_carrier *carrier = count->carrier;
    uint64_t ticket = count->ticket, all = count->parts[0].subscribers;
    int error = count->failed ? ROOMS_EINVAL : ROOMS_OK;
    for (size_t i = 1; !error && i < count->lost_count + 2; i++) {
        struct rooms_name uid = {i < 2 ? "" : count->uids[i - 2], i < 2 ? 0 : count->uid_sizes[i - 2]};
        if (count->parts[i].subscribers > 0 && all > 0)
            all--;
        else if (uid.n)
            rooms_cluster_node_gone(&carrier->cluster, uid);
    }
    count_free(count);
    rooms_cluster_counted(&carrier->cluster, ticket, error, (size_t)all);
}

static void on_part(void *ctx, const struct redisReply *reply)
{
    struct count_part *part = ctx;
    struct rooms__redis_carrier_count *count = part->count;
    bool is_count = reply && reply->type == REDIS_REPLY_ARRAY && read_count(reply, 0, &part->subscribers);
    count->failed = count->failed || !is_count;
    if (--count->pending == 0) count_done(count);
}

static int ask_part(struct rooms__redis_carrier_count *count, size_t i, struct rooms_name what)
{
    struct rooms__redis_carrier *carrier = count->carrier;
    struct rooms_name channel = rooms__redis_carrier_channel(carrier, what);
    bool away;
    if (!channel.p) return ROOMS_ENOMEM;
    const struct rooms_bytes args[] = {rooms__text("PUBSUB"), rooms__text("SHARDNUMSUB"), rooms__bytes(channel)};
    const struct rooms__redis_command command = {.conn = rooms__redis_conn_of(carrier->redis, channel, &away),
                                                 .args = args,
                                                 .arg_count = 3,
                                                 .fn = on_part,
                                                 .ctx = &count->parts[i]};
    count->parts[i].count = count;
    int error = away ? ROOMS_EAWAY : rooms__redis_ask(carrier->redis, &command);
    if (!error) count->pending++;
    return error;
}

static int count_in_shards(struct rooms__redis_carrier *carrier, uint64_t ticket)
{
    struct rooms_name lost[LOST_MAX], none = {NULL, 0};
    struct rooms__redis_carrier_count *count = calloc(1, sizeof *count);
    if (!count) return ROOMS_ENOMEM;
    count->carrier = carrier;
    count->ticket = ticket;
    count->next = carrier->counts;
    carrier->counts = count;
    count->lost_count = rooms_cluster_lost(&carrier->cluster, lost, LOST_MAX);
    for (size_t i = 0; i < count->lost_count; i++) {
        count->uid_sizes[i] = (uint8_t)lost[i].n;
        memcpy(count->uids[i], lost[i].p, lost[i].n);
    }
    int error = ask_part(count, 0, none);
    if (!error) error = ask_part(count, 1, rooms_cluster_uid(&carrier->cluster));
    for (size_t i = 0; !error && i < count->lost_count; i++)
        error = ask_part(count, i + 2, (struct rooms_name){count->uids[i], count->uid_sizes[i]});
    if (error) count_free(count);
    return error;
}

int rooms__redis_carrier_count(struct rooms_cluster *cluster, uint64_t ticket)
{
    struct rooms__redis_carrier *carrier = rooms__redis_carrier_of(cluster);
    if (carrier->kind == ROOMS__REDIS_SHARD && rooms__redis_options(carrier->redis)->cluster)
        return count_in_shards(carrier, ticket);
    struct rooms_name lost[LOST_MAX], none = {NULL, 0};
    struct rooms_bytes args[4 + LOST_MAX] = {
        rooms__text("PUBSUB"), rooms__text(carrier->kind == ROOMS__REDIS_SHARD ? "SHARDNUMSUB" : "NUMSUB")};
    char *names[2 + LOST_MAX];
    size_t count = rooms_cluster_lost(cluster, lost, LOST_MAX), named = 0;
    for (size_t i = 0; i < count + 2; i++) {
        struct rooms_name channel =
            rooms__redis_carrier_channel(carrier, i == 0   ? none
                                                  : i == 1 ? rooms_cluster_uid(&carrier->cluster)
                                                           : lost[i - 2]);
        names[i] = channel.p ? malloc(channel.n) : NULL;
        if (!names[i]) break;
        memcpy(names[i], channel.p, channel.n);
        args[2 + named++] = (struct rooms_bytes){(const uint8_t *)names[i], channel.n};
    }
    struct rooms__redis_command command = {
        .via = ROOMS__REDIS_PUBLISHER, .args = args, .arg_count = 2 + named, .fn = on_count, .ctx = carrier};
    int result = named < 2 ? ROOMS_ENOMEM : keep_ticket(carrier, ticket);
    if (result == ROOMS_OK) {
        result = rooms__redis_ask(carrier->redis, &command);
        if (result != ROOMS_OK) carrier->ticket_count--;
    }
    while (named > 0) free(names[--named]);
    return result;
}

void rooms__redis_carrier_incomplete(struct rooms_cluster *cluster, const char *missing)
{
    rooms__redis_log(rooms__redis_carrier_of(cluster)->redis, ROOMS_LOG_WARN,
                     "a request in %s ended without all responses; missing: %s", rooms_cluster_nsp(cluster).p,
                     missing[0] ? missing : "unknown");
}

/* ---------------------------------------------------------------- listening */

void rooms__redis_carrier_heard(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    struct rooms__redis_carrier *carrier = ctx;
    struct rooms__cluster_reading reading;
    (void)channel;
    if (rooms__cluster_ends_match(&carrier->own, payload)) return;
    if (rooms__cluster_read(&reading, payload, rooms_cluster_nsp(&carrier->cluster)) != ROOMS_OK) {
        rooms__redis_ignored(carrier->redis, "not a message of socket.io's cluster adapters");
        return;
    }
    rooms_cluster_receive(&carrier->cluster, &reading.message);
    rooms__cluster_reading_clear(&reading);
}

/* Answers can arrive, too: their channel was subscribed to before. */
static void on_active(void *ctx)
{
    struct rooms__redis_carrier *carrier = ctx;
    rooms_cluster_announce(&carrier->cluster);
}

/* --------------------------------------------------------------------- life */

void rooms__redis_carrier_clear(struct rooms__redis_carrier *carrier)
{
    rooms__redis_unsubscribe(carrier->redis, &carrier->answers);
    rooms__redis_unsubscribe(carrier->redis, &carrier->all);
    rooms_cluster_clear(&carrier->cluster);
    rooms__redis_cancel(carrier->redis, carrier);
    while (carrier->counts) count_free(carrier->counts);
    rooms__cluster_ends_clear(&carrier->own);
    rooms_packer_clear(&carrier->channel);
    rooms_packer_clear(&carrier->payload);
    free(carrier->tickets);
}

/* Answers' channel first: when the other one is confirmed, both are. */
static int subscribe_both(struct rooms__redis_carrier *carrier)
{
    struct rooms_name none = {NULL, 0}, uid = rooms_cluster_uid(&carrier->cluster);
    struct rooms_name nsp = rooms_cluster_nsp(&carrier->cluster);
    rooms__put(&carrier->channel, rooms__redis_options(carrier->redis)->key_prefix);
    rooms__put(&carrier->channel, "#");
    rooms__put_bytes(&carrier->channel, nsp.p, nsp.n);
    rooms__put(&carrier->channel, "#");
    carrier->channel_size = carrier->channel.size;
    if (carrier->channel.error) return carrier->channel.error;
    carrier->all = (struct rooms__redis_subscription){
        .kind = carrier->kind, .on_message = rooms__redis_carrier_heard, .on_active = on_active, .ctx = carrier};
    carrier->answers = (struct rooms__redis_subscription){
        .kind = carrier->kind, .on_message = rooms__redis_carrier_heard, .ctx = carrier};
    int error = rooms__redis_subscribe(carrier->redis, &carrier->answers, rooms__redis_carrier_channel(carrier, uid));
    if (error) return error;
    return rooms__redis_subscribe(carrier->redis, &carrier->all, rooms__redis_carrier_channel(carrier, none));
}

int rooms__redis_carrier_init(struct rooms__redis_carrier *carrier, const struct rooms__redis_carrier_setup *setup)
{
    struct rooms_cluster_options options;
    rooms__redis_cluster_options(setup->redis, &options);
    struct rooms_cluster_setup of_cluster = {
        .carrier = setup->carrier,
        .options = &options,
        .stats = rooms__redis_cluster_stats(setup->redis),
        .base = rooms__redis_base(setup->redis),
        .nsp = setup->nsp,
        .local = setup->local,
    };
    carrier->cluster.adapter.ops = setup->ops;
    carrier->redis = setup->redis;
    carrier->kind = setup->kind;
    int error = rooms_cluster_init(&carrier->cluster, &of_cluster);
    if (error) return error;
    error = rooms__cluster_ends_init(&carrier->own, rooms_cluster_uid(&carrier->cluster),
                                     rooms_cluster_nsp(&carrier->cluster));
    if (!error) error = subscribe_both(carrier);
    if (error) rooms__redis_carrier_clear(carrier);
    return error;
}
