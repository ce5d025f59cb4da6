/* A node's connections to Redis together: publishing, watchers of the connection, the address shared by all, health. */
#include "rooms_redis_conn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_BYTES_MAX ((size_t)512 << 20) /* Redis' own limit */
#define IGNORED_SAID_US ((uint64_t)10000000)

void rooms_redis_options_init(struct rooms_redis_options *options)
{
    *options = (struct rooms_redis_options){.url = "redis://127.0.0.1:6379",
                                            .sentinels = "",
                                            .tls_ca = "",
                                            .tls_cert = "",
                                            .tls_key = "",
                                            .tls_name = "",
                                            .tls_verify = true,
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

struct event_base *rooms__redis_base(const struct rooms_redis *redis)
{
    return redis->base;
}

struct base_timers *rooms__redis_timers(struct rooms_redis *redis)
{
    return &redis->timers;
}

const struct rooms_redis_options *rooms__redis_options(const struct rooms_redis *redis)
{
    return &redis->options;
}

void rooms__redis_cluster_options(const struct rooms_redis *redis, struct rooms_cluster_options *options)
{
    rooms_cluster_options_init(options);
    options->request_timeout_ms = redis->options.request_timeout_ms;
    options->heartbeat_interval_ms = redis->options.heartbeat_interval_ms;
    options->heartbeat_timeout_ms = redis->options.heartbeat_timeout_ms;
}

struct rooms_cluster_stats *rooms__redis_cluster_stats(struct rooms_redis *redis)
{
    return &redis->cluster;
}

void **rooms__redis_streams(struct rooms_redis *redis)
{
    return &redis->streams;
}

bool rooms__redis_is_up(const struct rooms_redis *redis)
{
    return redis->up;
}

/* --------------------------------------------------------------------- log */

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

void rooms__redis_trouble(struct rooms_redis *redis, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(redis->why, sizeof redis->why, format, args);
    va_end(args);
}

void rooms__redis_timed_out(struct rooms_redis *redis)
{
    redis->stats.request_timeouts++;
}

void rooms__redis_ignored(struct rooms_redis *redis, const char *why)
{
    uint64_t now_us = base_clock_us();
    redis->stats.ignored++;
    if (redis->ignored_said_us && now_us - redis->ignored_said_us < IGNORED_SAID_US) return;
    redis->ignored_said_us = now_us;
    rooms__redis_log(redis, ROOMS_LOG_WARN, "redis: message ignored: %s (%llu so far)", why,
                     (unsigned long long)redis->stats.ignored);
}

/* ------------------------------------------------------------------ health */

void rooms__redis_update_health(struct rooms_redis *redis)
{
    bool well = redis->up && !redis->refusing && redis->names.refused == 0;
    if (well)
        redis->degraded_from_us = 0;
    else if (redis->degraded_from_us == 0)
        redis->degraded_from_us = base_clock_us();
}

bool rooms__redis_is_useless(const char *error)
{
    static const char *const prefixes[] = {"LOADING ", "READONLY ", "MASTERDOWN ", "NOAUTH ", "WRONGPASS "};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(error, prefixes[i], strlen(prefixes[i])) == 0) return true;
    return false;
}

/* Errors that concern one command only, which adapters may expect, do not affect health. */
void rooms__redis_refused(struct rooms_redis *redis, const char *error)
{
    static const char *const prefixes[] = {"OOM ",        "MISCONF ",     "NOPERM ", "BUSY ",
                                           "NOREPLICAS ", "CLUSTERDOWN ", "MOVED "};
    bool refusing = false;
    if (redis->shards && strncmp(error, "MOVED ", 6) == 0) return; /* followed */
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes && !refusing; i++)
        refusing = strncmp(error, prefixes[i], strlen(prefixes[i])) == 0;
    if (!refusing) return;
    if (!redis->refusing) {
        rooms__redis_trouble(redis, "%s", error);
        rooms__redis_log(redis, ROOMS_LOG_WARN, "redis: refusing commands: %s", error);
    }
    redis->refusing = true;
    rooms__redis_update_health(redis);
}

void rooms__redis_accepted(struct rooms_redis *redis)
{
    if (!redis->refusing) return;
    redis->refusing = false;
    rooms__redis_log(redis, ROOMS_LOG_INFO, "redis: accepting commands again");
    rooms__redis_update_health(redis);
}

void rooms_redis_get_stats(const struct rooms_redis *redis, struct rooms_redis_stats *stats)
{
    const struct rooms__redis_queue *queue = &redis->conns[ROOMS__CONN_PUB].queue;
    *stats = redis->stats;
    stats->connected = redis->up;
    stats->ignored += redis->cluster.ignored;
    stats->request_timeouts += redis->cluster.request_timeouts;
    stats->nodes_lost = redis->cluster.nodes_lost;
    stats->log_late = redis->cluster.log_late;
    if (redis->degraded_from_us) stats->degraded_ms = (base_clock_us() - redis->degraded_from_us) / 1000u + 1;
    stats->why = redis->why;
    stats->address = redis->addresses.list[redis->address].text;
    stats->subscriptions = redis->names.subscriptions;
    stats->requests = redis->requests.count;
    stats->pending = queue->posts;
    stats->pending_bytes = rooms__redis_queue_size(queue);
}

/* ---------------------------------------------------------------- watchers */

static bool all_ready(const struct rooms_redis *redis)
{
    const struct rooms__redis_conn *block = &redis->conns[ROOMS__CONN_BLOCK];
    return redis->conns[ROOMS__CONN_PUB].state == ROOMS__CONN_READY &&
           redis->conns[ROOMS__CONN_SUB].state == ROOMS__CONN_READY &&
           (block->state == ROOMS__CONN_IDLE || block->state == ROOMS__CONN_READY) &&
           rooms__shards_are_ready(redis->shards);
}

void rooms__redis_changed(struct rooms_redis *redis)
{
    bool up = all_ready(redis);
    if (up == redis->up || redis->freeing) return;
    redis->up = up;
    if (up) {
        redis->dropping = false;
        rooms__redis_log(redis, ROOMS_LOG_INFO, "redis: connected to %s", redis->addresses.list[redis->address].text);
    }
    rooms__redis_update_health(redis);
    for (struct rooms__redis_watcher *watcher = redis->watcher_first; watcher; watcher = redis->watcher_walk) {
        redis->watcher_walk = watcher->next;
        void (*fn)(void *) = up ? watcher->on_up : watcher->on_down;
        if (fn) fn(watcher->ctx);
    }
}

void rooms__redis_watch(struct rooms_redis *redis, struct rooms__redis_watcher *watcher)
{
    watcher->next = NULL;
    watcher->previous = redis->watcher_last;
    if (redis->watcher_last)
        redis->watcher_last->next = watcher;
    else
        redis->watcher_first = watcher;
    redis->watcher_last = watcher;
}

void rooms__redis_unwatch(struct rooms_redis *redis, struct rooms__redis_watcher *watcher)
{
    if (redis->watcher_walk == watcher) redis->watcher_walk = watcher->next;
    if (watcher->previous)
        watcher->previous->next = watcher->next;
    else
        redis->watcher_first = watcher->next;
    if (watcher->next)
        watcher->next->previous = watcher->previous;
    else
        redis->watcher_last = watcher->previous;
    watcher->next = watcher->previous = NULL;
}

/* All connections use one address: what one server publishes, another does not receive. */
void rooms__redis_connected(struct rooms_redis *redis, const struct rooms__redis_conn *conn)
{
    redis->address = conn->address;
    for (size_t i = 0; i < ROOMS__CONN_COUNT; i++) {
        struct rooms__redis_conn *other = &redis->conns[i];
        if (other->state > ROOMS__CONN_AWAY && other->address != conn->address)
            rooms__conn_lose(other, "moving to the address of the other connections", false);
    }
    rooms__shards_refresh(redis->shards);
}

/* What it was before is not left to time: a master that was replaced may still answer. */
void rooms__redis_moved_to(struct rooms_redis *redis, const char *host, uint16_t port)
{
    struct rooms__redis_address *address = &redis->addresses.list[0];
    size_t size = strlen(host) + sizeof "[]:65535";
    bool is_new = address->port != port || strcmp(address->host, host) != 0;
    if (!is_new) return;
    char *copy = strdup(host), *text = malloc(size);
    if (!copy || !text) {
        free(copy);
        free(text);
        return; /* it is asked for again */
    }
    snprintf(text, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    rooms__redis_log(redis, ROOMS_LOG_INFO, "redis: the master is %s", text);
    for (size_t i = 0; i < ROOMS__CONN_COUNT; i++)
        rooms__conn_lose(&redis->conns[i], "the Sentinels name another master", false);
    free(address->host);
    free(address->text);
    address->host = copy;
    address->text = text;
    address->port = port;
    for (size_t i = 0; i < ROOMS__CONN_COUNT; i++) rooms__conn_hurry(&redis->conns[i]);
}

/* -------------------------------------------------------------- publishing */

static void on_flush(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct rooms_redis *redis = ctx;
    redis->flush_due = false;
    rooms__listen_flush(redis);
    rooms__shards_flush(redis->shards);
    for (size_t i = 0; i < ROOMS__CONN_COUNT; i++) rooms__conn_flush(&redis->conns[i]);
    rooms__redis_changed(redis); /* a third connection may have become wanted */
}

/* An event that is made active runs after those that are active already: at the end of this pass. */
void rooms__redis_schedule(struct rooms_redis *redis)
{
    if (redis->flush_due || redis->freeing) return;
    redis->flush_due = true;
    event_active(&redis->flush_event, EV_TIMEOUT, 0);
}

static void dropped(struct rooms_redis *redis, const char *why)
{
    redis->stats.dropped++;
    if (redis->dropping) return;
    redis->dropping = true;
    rooms__redis_log(redis, ROOMS_LOG_WARN, "redis: %s; message not published", why);
}

bool rooms__redis_make_room(struct rooms_redis *redis, struct rooms__redis_conn *conn, size_t size)
{
    while (rooms__redis_queue_size(&conn->queue) + size > redis->options.max_pending_bytes) {
        if (!rooms__redis_queue_drop(&conn->queue)) return false;
        dropped(redis, "max_pending_bytes are waiting to be written");
    }
    return true;
}

int rooms__redis_post(struct rooms_redis *redis, const struct rooms_bytes *args, size_t arg_count)
{
    struct rooms__redis_conn *conn = &redis->conns[ROOMS__CONN_PUB];
    size_t size = rooms__resp_command_size(args, arg_count);
    if (size > redis->options.max_message_bytes) {
        dropped(redis, "a message is larger than max_message_bytes");
        return ROOMS_ELIMIT;
    }
    if (!rooms__redis_make_room(redis, conn, size)) {
        dropped(redis, "max_pending_bytes are waiting to be written");
        return ROOMS_ELIMIT;
    }
    const struct rooms__redis_record record = {(uint32_t)size, ROOMS__RECORD_POST, {NULL}};
    uint8_t *bytes = rooms__redis_queue_add(&conn->queue, &record);
    if (!bytes) {
        dropped(redis, "out of memory");
        return ROOMS_ENOMEM;
    }
    rooms__resp_command_write(bytes, args, arg_count);
    rooms__redis_schedule(redis);
    return ROOMS_OK;
}

int rooms__redis_publish(struct rooms_redis *redis, bool sharded, struct rooms_name channel, struct rooms_bytes payload)
{
    if (sharded && redis->shards) return rooms__shards_publish(redis->shards, channel, payload);
    const struct rooms_bytes args[] = {rooms__text(sharded ? "SPUBLISH" : "PUBLISH"), rooms__bytes(channel), payload};
    return rooms__redis_post(redis, args, 3);
}

struct rooms__redis_conn *rooms__redis_conn_of(struct rooms_redis *redis, struct rooms_name channel, bool *away)
{
    struct rooms__redis_shard *shard = redis->shards ? rooms__shards_owner(redis->shards, channel) : NULL;
    *away = redis->shards && !shard;
    return shard ? &shard->pub : NULL;
}

void rooms__redis_need_blocking(struct rooms_redis *redis)
{
    rooms__conn_start(&redis->conns[ROOMS__CONN_BLOCK], 0);
    rooms__redis_schedule(redis);
}

/* ------------------------------------------------------------ from the start */

static const char *options_fault(const struct rooms_redis_options *options)
{
    if (!options->url || !options->client_name || !options->key_prefix || !options->session_prefix)
        return "url, client_name, key_prefix and session_prefix are required";
    if (!options->sentinels || !options->tls_ca || !options->tls_cert || !options->tls_key || !options->tls_name)
        return "sentinels, tls_ca, tls_cert, tls_key and tls_name may be empty, not NULL";
    if (strlen(options->client_name) > 64) return "client_name is longer than 64 characters";
    for (const char *c = options->client_name; *c; c++)
        if (*c < '!' || *c > '~') return "client_name contains spaces or special characters";
    if (!options->connect_timeout_ms || !options->liveness_ms || !options->reconnect_min_ms ||
        !options->request_timeout_ms)
        return "connect_timeout_ms, liveness_ms, reconnect_min_ms and request_timeout_ms must not be 0";
    if (options->reconnect_max_ms < options->reconnect_min_ms) return "reconnect_max_ms is less than reconnect_min_ms";
    if (options->max_message_bytes < 1024 || options->max_message_bytes > MESSAGE_BYTES_MAX)
        return "max_message_bytes must be from 1024 to 536870912";
    return NULL;
}

enum { STRINGS = 8 };

/* Those of the options that are kept. */
static void strings_of(struct rooms_redis_options *options, const char **strings[STRINGS])
{
    const char **all[STRINGS] = {&options->client_name, &options->key_prefix, &options->session_prefix,
                                 &options->sentinels,   &options->tls_ca,     &options->tls_cert,
                                 &options->tls_key,     &options->tls_name};
    memcpy(strings, all, sizeof all);
}

static bool copy_strings(struct rooms_redis_options *options)
{
    const char **strings[STRINGS];
    bool all = true;
    options->url = NULL; /* has a password in it, perhaps */
    strings_of(options, strings);
    for (size_t i = 0; i < STRINGS; i++) {
        *strings[i] = strdup(*strings[i]);
        all = all && *strings[i];
    }
    return all;
}

static void free_strings(struct rooms_redis_options *options)
{
    const char **strings[STRINGS];
    strings_of(options, strings);
    for (size_t i = 0; i < STRINGS; i++) free((char *)(uintptr_t)*strings[i]);
}

/* With Sentinels the host is the name of the master, whose address they know. */
static bool ask_sentinels(struct rooms_redis *redis, const char **why)
{
    struct rooms__redis_address *address = &redis->addresses.list[0];
    if (!*redis->options.sentinels) return true;
    if (redis->addresses.count > 1) {
        *why = "with Sentinels there is one address, that of the master's name";
        return false;
    }
    address->port = 0;
    memcpy(address->text, address->host, strlen(address->host) + 1); /* it has room for more */
    redis->sentinel = rooms__sentinel_new(redis, address->host, why);
    return redis->sentinel != NULL;
}

static bool prepare_tls(struct rooms_redis *redis, const char **why)
{
    if (!redis->addresses.list[0].tls) return true;
    redis->tls = rooms__tls_context_new(&redis->options, why);
    return redis->tls != NULL;
}

int rooms_redis_reload_tls(struct rooms_redis *redis, const char **why)
{
    if (!redis->tls) return 0;
    SSL_CTX *context = rooms__tls_context_new(&redis->options, why);
    if (!context) return ROOMS_EINVAL;
    SSL_CTX_free(redis->tls); /* connections hold references of their own */
    redis->tls = context;
    return 0;
}

static void clear_parts(struct rooms_redis *redis)
{
    for (size_t i = 0; i < ROOMS__CONN_COUNT; i++) rooms__conn_clear(&redis->conns[i]);
    rooms__asks_clear(redis);
    rooms__listen_clear(redis);
    /* The callbacks of a lost connection may have started one of these again. */
    for (size_t i = 0; i < ROOMS__CONN_COUNT; i++) base_timer_clear(&redis->conns[i].timer);
    base_timers_clear(&redis->timers);
}

static int init_parts(struct rooms_redis *redis)
{
    if (event_assign(&redis->flush_event, redis->base, -1, 0, on_flush, redis) != 0) return ROOMS_ENOMEM;
    if (base_timers_init(&redis->timers, redis->base, NULL, NULL) != BASE_OK) return ROOMS_ENOMEM;
    int error = rooms__listen_init(redis);
    if (!error) error = rooms__asks_init(redis);
    for (unsigned i = 0; !error && i < ROOMS__CONN_COUNT; i++)
        error = rooms__conn_init(&redis->conns[i], redis, (enum rooms__redis_role)i);
    if (error) clear_parts(redis);
    return error;
}

static void free_rest(struct rooms_redis *redis)
{
    rooms__redis_addresses_clear(&redis->addresses);
    SSL_CTX_free(redis->tls);
    free_strings(&redis->options);
    free(redis);
}

struct rooms_redis *rooms_redis_new(struct event_base *base, const struct rooms_redis_options *options,
                                    const char **why)
{
    struct rooms_redis_options defaults;
    const char *unused;
    if (!why) why = &unused;
    if (!options) {
        rooms_redis_options_init(&defaults);
        options = &defaults;
    }
    *why = options_fault(options);
    if (*why) return NULL;
    *why = "out of memory";
    struct rooms_redis *redis = calloc(1, sizeof *redis);
    if (!redis) return NULL;
    redis->base = base;
    redis->options = *options;
    if (!copy_strings(&redis->options) ||
        rooms__redis_addresses_parse(&redis->addresses, options->url, why) != ROOMS_OK || !prepare_tls(redis, why) ||
        init_parts(redis) != ROOMS_OK) {
        free_rest(redis);
        return NULL;
    }
    if (options->cluster) redis->shards = rooms__shards_new(redis);
    if ((options->cluster && !redis->shards) || !ask_sentinels(redis, why)) {
        rooms_redis_free(redis);
        return NULL;
    }
    *why = NULL;
    rooms__redis_update_health(redis);
    rooms__conn_start(&redis->conns[ROOMS__CONN_PUB], 0);
    rooms__conn_start(&redis->conns[ROOMS__CONN_SUB], 0);
    return redis;
}

void rooms_redis_free(struct rooms_redis *redis)
{
    if (!redis) return;
    redis->freeing = true;
    rooms__conn_flush(&redis->conns[ROOMS__CONN_PUB]);
    rooms__sentinel_free(redis->sentinel);
    redis->sentinel = NULL;
    rooms__shards_flush(redis->shards);
    rooms__shards_free(redis->shards);
    redis->shards = NULL;
    clear_parts(redis);
    event_del(&redis->flush_event);
    free_rest(redis);
}
