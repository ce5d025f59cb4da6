/* A Redis Cluster: which master has which slot, a pair of connections to each, and what is published to slots that have
 * moved. Subscriptions stay in rooms_redis_listen.c, which asks here where a name belongs. Everything that is not
 * sharded uses the node's ordinary connections, to any member of the cluster. */
#include "rooms_redis_conn.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    REFRESH_MS = 20,  /* before a question for the map: several may want it */
    AGAIN_MS = 250,   /* between two of them: the members may not agree yet */
    FAILED_MS = 1000, /* after one without an answer */
    TRIES_MAX = 16,   /* of a message whose slot moves on and on */
};

/* A message to a slot, until Redis has accepted it. */
struct post {
    struct post *prev, *next;
    struct rooms__redis_shards *shards;
    unsigned slot, tries;
    bool is_held; /* waits for its shard; else it has been sent */
    size_t channel_size, size;
    char bytes[];
};

struct rooms__redis_shards {
    struct rooms_redis *redis;
    struct rooms__redis_shard *first;
    struct rooms__redis_shard *owner[ROOMS__REDIS_SLOTS]; /* NULL: no member's, as far as is known */
    uint32_t held_of[ROOMS__REDIS_SLOTS];                 /* messages that wait, by slot: the next ones wait behind */
    struct post posts;                                    /* head of the list, in order */
    size_t held_bytes;
    bool is_asking, is_known;
    uint64_t known_us; /* when the map came */
    struct base_timer refresh;
    struct rooms__redis_sum *sums;
};

/* --------------------------------------------------------------------- map */

static struct rooms__redis_shard *find_shard(struct rooms__redis_shards *shards, const char *host, uint16_t port)
{
    for (struct rooms__redis_shard *shard = shards->first; shard; shard = shard->next)
        if (shard->address.port == port && strcmp(shard->address.host, host) == 0) return shard;
    return NULL;
}

static void shard_free(struct rooms__redis_shard *shard)
{
    if (!shard) return;
    rooms__conn_clear(&shard->pub);
    rooms__conn_clear(&shard->sub);
    base_timer_clear(&shard->pub.timer);
    base_timer_clear(&shard->sub.timer);
    free(shard->address.host);
    free(shard->address.text);
    free(shard);
}

static struct rooms__redis_shard *shard_new(struct rooms__redis_shards *shards, const char *host, uint16_t port)
{
    struct rooms_redis *redis = shards->redis;
    size_t size = strlen(host) + sizeof "[]:65535";
    struct rooms__redis_shard *shard = calloc(1, sizeof *shard);
    if (!shard) return NULL;
    shard->address = redis->addresses.list[redis->address]; /* user, password, TLS */
    shard->address.host = strdup(host);
    shard->address.text = malloc(size);
    shard->address.port = port;
    shard->address.database = 0;
    if (!shard->address.host || !shard->address.text ||
        rooms__conn_init(&shard->pub, redis, ROOMS__CONN_PUB) != ROOMS_OK ||
        rooms__conn_init(&shard->sub, redis, ROOMS__CONN_SUB) != ROOMS_OK) {
        shard_free(shard);
        return NULL;
    }
    snprintf(shard->address.text, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    shard->pub.shard = shard->sub.shard = shard;
    shard->next = shards->first;
    shards->first = shard;
    rooms__conn_start(&shard->pub, 0);
    rooms__conn_start(&shard->sub, 0);
    return shard;
}

/* [first slot, last slot, [host, port, id, …], replicas…] */
static void take_range(struct rooms__redis_shards *shards, const redisReply *range)
{
    if (range->type != REDIS_REPLY_ARRAY || range->elements < 3) return;
    const redisReply *from = range->element[0], *to = range->element[1], *master = range->element[2];
    if (from->type != REDIS_REPLY_INTEGER || to->type != REDIS_REPLY_INTEGER || from->integer < 0 ||
        to->integer >= ROOMS__REDIS_SLOTS)
        return;
    if (master->type != REDIS_REPLY_ARRAY || master->elements < 2 || master->element[0]->type != REDIS_REPLY_STRING ||
        master->element[1]->type != REDIS_REPLY_INTEGER || master->element[0]->len == 0 ||
        master->element[1]->integer < 1 || master->element[1]->integer > UINT16_MAX)
        return;
    const char *host = master->element[0]->str;
    uint16_t port = (uint16_t)master->element[1]->integer;
    struct rooms__redis_shard *shard = find_shard(shards, host, port);
    if (!shard) shard = shard_new(shards, host, port);
    if (!shard) return;
    shard->is_wanted = true;
    for (long long slot = from->integer; slot <= to->integer; slot++) shards->owner[slot] = shard;
}

static void forget_unwanted(struct rooms__redis_shards *shards)
{
    for (struct rooms__redis_shard **link = &shards->first, *shard; (shard = *link) != NULL;) {
        if (shard->is_wanted) {
            link = &shard->next;
            continue;
        }
        *link = shard->next;
        rooms__listen_lost(&shard->sub);
        shard_free(shard);
    }
}

static char *copy_of(const char *text)
{
    return text ? strdup(text) : NULL;
}

/* Should the members that were configured be gone, the others are tried. */
static void learn(struct rooms__redis_addresses *addresses, const struct rooms__redis_address *address)
{
    for (size_t i = 0; i < addresses->count; i++)
        if (addresses->list[i].port == address->port && strcmp(addresses->list[i].host, address->host) == 0) return;
    if (addresses->count == ROOMS__ADDRESSES_MAX) return;
    struct rooms__redis_address *added = &addresses->list[addresses->count];
    *added = *address;
    added->host = strdup(address->host);
    added->text = strdup(address->text);
    added->user = copy_of(address->user);
    added->password = copy_of(address->password);
    if (added->host && added->text && !added->user == !address->user && !added->password == !address->password) {
        addresses->count++;
        return;
    }
    free(added->host);
    free(added->text);
    free(added->user);
    free(added->password);
}

static void on_map(void *ctx, const struct redisReply *reply)
{
    struct rooms__redis_shards *shards = ctx;
    shards->is_asking = false;
    if (!reply || reply->type != REDIS_REPLY_ARRAY) {
        if (reply && reply->type == REDIS_REPLY_ERROR)
            rooms__redis_trouble(shards->redis, "CLUSTER SLOTS: %s", reply->str);
        base_timer_start(&shards->refresh, FAILED_MS);
        return;
    }
    for (struct rooms__redis_shard *shard = shards->first; shard; shard = shard->next) shard->is_wanted = false;
    memset(shards->owner, 0, sizeof shards->owner);
    for (size_t i = 0; i < reply->elements; i++) take_range(shards, reply->element[i]);
    forget_unwanted(shards);
    for (const struct rooms__redis_shard *shard = shards->first; shard; shard = shard->next)
        learn(&shards->redis->addresses, &shard->address);
    shards->is_known = true;
    shards->known_us = base_clock_us();
    rooms__redis_log(shards->redis, ROOMS_LOG_DEBUG, "redis: map of slots read; ranges: %zu", reply->elements);
    rooms__listen_moved(shards->redis);
    rooms__redis_changed(shards->redis);
    rooms__redis_schedule(shards->redis);
    rooms__asks_tell_failed(shards->redis);
}

static void ask_for_map(void *ctx)
{
    struct rooms__redis_shards *shards = ctx;
    const struct rooms_bytes args[] = {rooms__text("CLUSTER"), rooms__text("SLOTS")};
    const struct rooms__redis_command command = {
        .via = ROOMS__REDIS_PUBLISHER, .args = args, .arg_count = 2, .fn = on_map, .ctx = shards};
    if (shards->is_asking) return;
    shards->is_asking = rooms__redis_ask(shards->redis, &command) == ROOMS_OK;
}

void rooms__shards_refresh(struct rooms__redis_shards *shards)
{
    if (!shards || shards->is_asking || base_timer_is_running(&shards->refresh)) return;
    uint64_t now_us = base_clock_us(), earliest_us = shards->known_us + (uint64_t)AGAIN_MS * 1000u;
    base_timer_start(&shards->refresh, now_us < earliest_us ? (earliest_us - now_us) / 1000u + 1 : REFRESH_MS);
}

struct rooms__redis_shard *rooms__shards_owner(struct rooms__redis_shards *shards, struct rooms_name name)
{
    return shards->owner[rooms__redis_slot(name)];
}

bool rooms__shards_are_ready(const struct rooms__redis_shards *shards)
{
    if (!shards) return true;
    for (const struct rooms__redis_shard *shard = shards->first; shard; shard = shard->next)
        if (shard->pub.state != ROOMS__CONN_READY || shard->sub.state != ROOMS__CONN_READY) return false;
    return shards->is_known;
}

void rooms__shards_flush(struct rooms__redis_shards *shards)
{
    if (!shards) return;
    rooms__shards_send_held(shards);
    for (struct rooms__redis_shard *shard = shards->first; shard; shard = shard->next) {
        rooms__conn_flush(&shard->pub);
        rooms__conn_flush(&shard->sub);
    }
}

/* -------------------------------------------------------------- publishing */

static void post_free(struct post *post)
{
    if (post->is_held) {
        post->shards->held_of[post->slot]--;
        post->shards->held_bytes -= post->size;
    }
    post->prev->next = post->next;
    post->next->prev = post->prev;
    free(post);
}

static void hold_post(struct post *post)
{
    if (post->is_held) return;
    post->is_held = true;
    post->shards->held_of[post->slot]++;
    post->shards->held_bytes += post->size;
}

/* The slot has moved, or is on its way: the message goes where the next map says. */
static bool is_elsewhere(const struct redisReply *reply)
{
    static const char *const words[] = {"MOVED ", "ASK ", "TRYAGAIN ", "CLUSTERDOWN "};
    if (reply->type != REDIS_REPLY_ERROR) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(reply->str, words[i], strlen(words[i])) == 0) return true;
    return false;
}

static void on_published(void *ctx, const struct redisReply *reply)
{
    struct post *post = ctx;
    struct rooms__redis_shards *shards = post->shards;
    struct rooms_redis *redis = shards->redis;
    if (reply && is_elsewhere(reply) && post->tries < TRIES_MAX) {
        hold_post(post);
        rooms__shards_refresh(shards);
        return;
    }
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        redis->stats.refused++;
    } else if (reply) {
        redis->stats.published++;
        redis->stats.published_bytes += post->size;
    }
    post_free(post);
}

static bool send_post(struct post *post)
{
    struct rooms__redis_shards *shards = post->shards;
    struct rooms__redis_shard *shard = shards->owner[post->slot];
    if (!shard || !rooms__conn_is_ready(&shard->pub)) return false;
    const struct rooms_bytes args[] = {
        rooms__text("SPUBLISH"),
        {(const uint8_t *)post->bytes, post->channel_size},
        {(const uint8_t *)post->bytes + post->channel_size, post->size - post->channel_size}};
    const struct rooms__redis_command command = {
        .conn = &shard->pub, .args = args, .arg_count = 3, .fn = on_published, .ctx = post};
    if (rooms__redis_ask(shards->redis, &command) != ROOMS_OK) return false;
    post->tries++;
    if (!post->is_held) return true;
    post->is_held = false;
    shards->held_of[post->slot]--;
    shards->held_bytes -= post->size;
    return true;
}

/* Those of one slot keep their order: where one waits, the others do. */
void rooms__shards_send_held(struct rooms__redis_shards *shards)
{
    for (struct post *post = shards->posts.next, *next; post != &shards->posts; post = next) {
        next = post->next;
        if (shards->held_bytes == 0) return;
        if (post->is_held && !base_timer_is_running(&shards->refresh) && !shards->is_asking) send_post(post);
    }
}

static void drop_oldest(struct rooms__redis_shards *shards, size_t size)
{
    for (struct post *post = shards->posts.next, *next; post != &shards->posts; post = next) {
        next = post->next;
        if (shards->held_bytes + size <= shards->redis->options.max_pending_bytes) return;
        if (!post->is_held) continue;
        shards->redis->stats.dropped++;
        post_free(post);
    }
}

int rooms__shards_publish(struct rooms__redis_shards *shards, struct rooms_name channel, struct rooms_bytes payload)
{
    size_t size = channel.n + payload.n;
    if (size > shards->redis->options.max_message_bytes) {
        shards->redis->stats.dropped++;
        return ROOMS_ELIMIT;
    }
    struct post *post = malloc(sizeof *post + size);
    if (!post) {
        shards->redis->stats.dropped++;
        return ROOMS_ENOMEM;
    }
    *post = (struct post){.shards = shards,
                          .slot = rooms__redis_slot(channel),
                          .channel_size = channel.n,
                          .size = size,
                          .next = &shards->posts,
                          .prev = shards->posts.prev};
    memcpy(post->bytes, channel.p, channel.n);
    if (payload.n) memcpy(post->bytes + channel.n, payload.p, payload.n);
    post->prev->next = post->next->prev = post;
    bool must_wait = shards->held_of[post->slot] > 0;
    if (must_wait || !send_post(post)) {
        drop_oldest(shards, size);
        hold_post(post);
    }
    rooms__redis_schedule(shards->redis);
    return ROOMS_OK;
}

/* ---------------------------------------------------------------- counting */

/* What every master was asked, until all have answered. */
struct rooms__redis_sum {
    struct rooms__redis_sum *next;
    struct rooms__redis_shards *shards;
    rooms__redis_reply_fn fn;
    void *ctx;
    size_t pending;
    long long total;
    bool failed;
};

static void sum_free(struct rooms__redis_sum *sum)
{
    struct rooms__redis_sum **link = &sum->shards->sums;
    while (*link != sum) link = &(*link)->next;
    *link = sum->next;
    free(sum);
}

/* The answer is one as of a single Redis. */
static void sum_done(struct rooms__redis_sum *sum)
{
    char name[] = "";
    redisReply channel = {.type = REDIS_REPLY_STRING, .str = name},
               number = {.type = REDIS_REPLY_INTEGER, .integer = sum->total};
    redisReply *elements[] = {&channel, &number};
    const redisReply reply = {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = elements};
    rooms__redis_reply_fn fn = sum->fn;
    void *ctx = sum->ctx;
    bool failed = sum->failed;
    sum_free(sum);
    fn(ctx, failed ? NULL : &reply);
}

static void on_number(void *ctx, const struct redisReply *reply)
{
    struct rooms__redis_sum *sum = ctx;
    bool is_number = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                     reply->element[1]->type == REDIS_REPLY_INTEGER;
    if (is_number)
        sum->total += reply->element[1]->integer;
    else
        sum->failed = true;
    if (--sum->pending == 0) sum_done(sum);
}

int rooms__shards_sum(struct rooms__redis_shards *shards, const struct rooms__redis_command *command)
{
    struct rooms__redis_sum *sum = calloc(1, sizeof *sum);
    if (!sum) return ROOMS_ENOMEM;
    *sum = (struct rooms__redis_sum){shards->sums, shards, command->fn, command->ctx, 0, 0, false};
    shards->sums = sum;
    int error = shards->first ? ROOMS_OK : ROOMS_EAWAY;
    for (struct rooms__redis_shard *shard = shards->first; shard && !error; shard = shard->next) {
        struct rooms__redis_command part = *command;
        part.conn = &shard->pub;
        part.fn = on_number;
        part.ctx = sum;
        error = rooms__redis_ask(shards->redis, &part);
        if (!error) sum->pending++;
    }
    if (!error) return ROOMS_OK;
    rooms__redis_cancel(shards->redis, sum);
    sum_free(sum);
    return error;
}

void rooms__shards_cancel(struct rooms__redis_shards *shards, const void *ctx)
{
    struct rooms__redis_sum *next;
    for (struct rooms__redis_sum *sum = shards ? shards->sums : NULL; sum; sum = next) {
        next = sum->next;
        if (sum->ctx != ctx) continue;
        rooms__redis_cancel(shards->redis, sum);
        sum_free(sum);
    }
}

/* --------------------------------------------------------------------- life */

struct rooms__redis_shards *rooms__shards_new(struct rooms_redis *redis)
{
    struct rooms__redis_shards *shards = calloc(1, sizeof *shards);
    if (!shards) return NULL;
    shards->redis = redis;
    shards->posts.prev = shards->posts.next = &shards->posts;
    if (base_timer_init(&shards->refresh, &redis->timers, ask_for_map, shards) != BASE_OK) {
        free(shards);
        return NULL;
    }
    return shards;
}

void rooms__shards_free(struct rooms__redis_shards *shards)
{
    if (!shards) return;
    base_timer_clear(&shards->refresh);
    while (shards->first) {
        struct rooms__redis_shard *shard = shards->first;
        shards->first = shard->next;
        shard_free(shard);
    }
    while (shards->posts.next != &shards->posts) post_free(shards->posts.next);
    while (shards->sums) sum_free(shards->sums);
    free(shards);
}
