/* A node's connections to Redis. So far they never come about. */
#include "rooms_redis_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct rooms_redis {
    struct event_base *base;
    struct rooms_redis_options options;
    struct rooms_redis_stats stats;
};

void rooms_redis_options_init(struct rooms_redis_options *options)
{
    *options = (struct rooms_redis_options){.url = "redis://127.0.0.1:6379",
                                            .client_name = "parley",
                                            .connect_timeout_ms = 5000,
                                            .liveness_ms = 5000,
                                            .reconnect_min_ms = 100,
                                            .reconnect_max_ms = 10000,
                                            .request_timeout_ms = 5000,
                                            .max_pending_bytes = (size_t)16 << 20,
                                            .max_message_bytes = (size_t)16 << 20,
                                            .max_requests = 65536,
                                            .key_prefix = "socket.io",
                                            .mode = ROOMS_REDIS_DYNAMIC,
                                            .heartbeat_interval_ms = 5000,
                                            .heartbeat_timeout_ms = 10000,
                                            .session_prefix = "sio:session:",
                                            .stream_count = 1,
                                            .stream_max_length = 10000,
                                            .stream_read_count = 100,
                                            .stream_block_ms = 5000};
}

struct rooms_redis *rooms_redis_new(struct event_base *base, const struct rooms_redis_options *options,
                                    const char **why)
{
    struct rooms_redis *redis = calloc(1, sizeof *redis);
    if (!redis) {
        if (why) *why = "out of memory";
        return NULL;
    }
    redis->base = base;
    if (options)
        redis->options = *options;
    else
        rooms_redis_options_init(&redis->options);
    redis->stats.why = redis->stats.address = "";
    return redis;
}

void rooms_redis_free(struct rooms_redis *redis)
{
    free(redis);
}

void rooms_redis_get_stats(const struct rooms_redis *redis, struct rooms_redis_stats *stats)
{
    *stats = redis->stats;
}

struct event_base *rooms__redis_base(const struct rooms_redis *redis)
{
    return redis->base;
}

const struct rooms_redis_options *rooms__redis_options(const struct rooms_redis *redis)
{
    return &redis->options;
}

void rooms__redis_log(struct rooms_redis *redis, enum rooms_log_level level, const char *format, ...)
{
    if (!redis->options.log) return;
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    redis->options.log(redis->options.log_ctx, level, line);
}

void rooms__redis_ignored(struct rooms_redis *redis, const char *why)
{
    redis->stats.ignored++;
    rooms__redis_log(redis, ROOMS_LOG_DEBUG, "redis: message ignored: %s", why);
}

bool rooms__redis_is_up(const struct rooms_redis *redis)
{
    return redis->stats.connected;
}

int rooms__redis_publish(struct rooms_redis *redis, bool sharded, struct rooms_name channel, struct rooms_bytes payload)
{
    (void)redis, (void)sharded, (void)channel, (void)payload;
    return ROOMS_OK;
}

int rooms__redis_post(struct rooms_redis *redis, const struct rooms_bytes *args, size_t arg_count)
{
    (void)redis, (void)args, (void)arg_count;
    return ROOMS_OK;
}

int rooms__redis_ask(struct rooms_redis *redis, const struct rooms__redis_command *command)
{
    (void)redis, (void)command;
    return ROOMS_EAWAY;
}

void rooms__redis_cancel(struct rooms_redis *redis, const void *ctx)
{
    (void)redis, (void)ctx;
}

void rooms__redis_need_blocking(struct rooms_redis *redis)
{
    (void)redis;
}

int rooms__redis_subscribe(struct rooms_redis *redis, struct rooms__redis_subscription *subscription,
                           struct rooms_name name)
{
    (void)redis, (void)subscription, (void)name;
    return ROOMS_OK;
}

void rooms__redis_unsubscribe(struct rooms_redis *redis, struct rooms__redis_subscription *subscription)
{
    (void)redis, (void)subscription;
}

void rooms__redis_watch(struct rooms_redis *redis, struct rooms__redis_watcher *watcher)
{
    (void)redis, (void)watcher;
}

void rooms__redis_unwatch(struct rooms_redis *redis, struct rooms__redis_watcher *watcher)
{
    (void)redis, (void)watcher;
}
