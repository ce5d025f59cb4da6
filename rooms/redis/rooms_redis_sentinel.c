/* Which server is the master, as Sentinels say. The connections to them are those to a Redis, of which all answer
 * alike: one asks, one hears of failovers; the next Sentinel is taken if one is silent. What they say is not believed
 * blindly: a server that calls itself a replica is left, and another Sentinel is asked. */
#include "rooms_redis_conn.h"

#include <stdio.h>
#include <stdlib.h>

struct rooms__redis_sentinel {
    struct rooms_redis *redis;     /* whose master it is */
    struct rooms_redis *sentinels; /* the connections to them */
    struct rooms__redis_subscription switched;
    struct rooms__redis_watcher watcher;
    bool is_asking, said;
    char master[]; /* its name */
};

static bool read_port(const redisReply *reply, uint16_t *port)
{
    char *end;
    if (reply->type != REDIS_REPLY_STRING) return false;
    unsigned long value = strtoul(reply->str, &end, 10);
    *port = (uint16_t)value;
    return value > 0 && value <= UINT16_MAX && *end == '\0';
}

static void on_reply(void *ctx, const struct redisReply *reply)
{
    struct rooms__redis_sentinel *sentinel = ctx;
    uint16_t port;
    sentinel->is_asking = false;
    if (!reply) return; /* asked again once another one is there */
    bool is_named = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                    reply->element[0]->type == REDIS_REPLY_STRING && read_port(reply->element[1], &port);
    if (is_named) {
        sentinel->said = false;
        rooms__redis_moved_to(sentinel->redis, reply->element[0]->str, port);
        return;
    }
    rooms__redis_trouble(sentinel->redis, "the Sentinels know no master named %s", sentinel->master);
    if (!sentinel->said)
        rooms__redis_log(sentinel->redis, ROOMS_LOG_WARN, "sentinel: the Sentinels know no master named %s",
                         sentinel->master);
    sentinel->said = true;
}

void rooms__sentinel_ask(struct rooms__redis_sentinel *sentinel)
{
    if (!sentinel || sentinel->is_asking || !rooms__redis_is_up(sentinel->sentinels)) return;
    const struct rooms_bytes args[] = {rooms__text("SENTINEL"), rooms__text("GET-MASTER-ADDR-BY-NAME"),
                                       rooms__text(sentinel->master)};
    const struct rooms__redis_command command = {
        .via = ROOMS__REDIS_PUBLISHER, .args = args, .arg_count = 3, .fn = on_reply, .ctx = sentinel};
    sentinel->is_asking = rooms__redis_ask(sentinel->sentinels, &command) == ROOMS_OK;
}

void rooms__sentinel_doubt(struct rooms__redis_sentinel *sentinel)
{
    if (!sentinel || sentinel->sentinels->addresses.count < 2) return;
    for (size_t i = 0; i <= ROOMS__CONN_SUB; i++)
        rooms__conn_lose(&sentinel->sentinels->conns[i], "it names a replica as the master", i == 0);
}

static void on_up(void *ctx)
{
    rooms__sentinel_ask(ctx);
}

/* "<name> <old host> <old port> <new host> <new port>" */
static void on_switched(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    struct rooms__redis_sentinel *sentinel = ctx;
    size_t n = strlen(sentinel->master);
    (void)channel;
    if (payload.n > n && memcmp(payload.p, sentinel->master, n) == 0 && payload.p[n] == ' ')
        rooms__sentinel_ask(sentinel);
}

/* Lines begin with "redis". */
static void on_line(void *ctx, enum rooms_log_level level, const char *line)
{
    const struct rooms__redis_sentinel *sentinel = ctx;
    rooms__redis_log(sentinel->redis, level, "sentinel%s", line + (strncmp(line, "redis", 5) == 0 ? 5 : 0));
}

struct rooms__redis_sentinel *rooms__sentinel_new(struct rooms_redis *redis, const char *master, const char **why)
{
    size_t size = strlen(master) + 1;
    struct rooms__redis_sentinel *sentinel = calloc(1, sizeof *sentinel + size);
    *why = "out of memory";
    if (!sentinel) return NULL;
    memcpy(sentinel->master, master, size);
    sentinel->redis = redis;
    struct rooms_redis_options options = redis->options;
    options.url = redis->options.sentinels;
    options.sentinels = "";
    options.cluster = false;
    options.log = on_line;
    options.log_ctx = sentinel;
    sentinel->sentinels = rooms_redis_new(redis->base, &options, why);
    if (!sentinel->sentinels) {
        free(sentinel);
        return NULL;
    }
    sentinel->watcher = (struct rooms__redis_watcher){.on_up = on_up, .ctx = sentinel};
    sentinel->switched =
        (struct rooms__redis_subscription){.kind = ROOMS__REDIS_CHANNEL, .on_message = on_switched, .ctx = sentinel};
    rooms__redis_watch(sentinel->sentinels, &sentinel->watcher);
    const struct rooms_name channel = {"+switch-master", 14};
    if (rooms__redis_subscribe(sentinel->sentinels, &sentinel->switched, channel) == ROOMS_OK) return sentinel;
    rooms__sentinel_free(sentinel);
    *why = "out of memory";
    return NULL;
}

void rooms__sentinel_free(struct rooms__redis_sentinel *sentinel)
{
    if (!sentinel) return;
    rooms__redis_unsubscribe(sentinel->sentinels, &sentinel->switched);
    rooms__redis_unwatch(sentinel->sentinels, &sentinel->watcher);
    rooms__redis_cancel(sentinel->sentinels, sentinel);
    rooms_redis_free(sentinel->sentinels);
    free(sentinel);
}
