/* What the adapters on Redis see of its connections. They publish, subscribe and send requests, and are notified when
 * Redis is lost or back; sockets, timeouts and reconnecting are handled here.
 *
 * Nothing here calls back before it returns. Callbacks may call everything here except rooms_redis_free. */
#ifndef ROOMS_REDIS_INT_H
#define ROOMS_REDIS_INT_H

#include "base_check.h"
#include "base_clock.h"
#include "base_timer.h"
#include "cluster.h"
#include "rooms_int.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <hiredis/hiredis.h>
#include <string.h>

static inline struct rooms_bytes rooms__text(const char *text)
{
    return (struct rooms_bytes){(const uint8_t *)text, strlen(text)};
}

static inline struct rooms_bytes rooms__bytes(struct rooms_name name)
{
    return (struct rooms_bytes){(const uint8_t *)name.p, name.n};
}

/* ------------------------------------------------------------ rooms_redis.c */

struct event_base *rooms__redis_base(const struct rooms_redis *redis);
struct base_timers *rooms__redis_timers(struct rooms_redis *redis);
/* Defaults filled in; strings live as long as redis. */
const struct rooms_redis_options *rooms__redis_options(const struct rooms_redis *redis);
void rooms__redis_log(struct rooms_redis *redis, enum rooms_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Counts a malformed message; logs only some. `why` is a constant text. */
void rooms__redis_ignored(struct rooms_redis *redis, const char *why);
/* Counts a request that not all other nodes answered in time. */
void rooms__redis_timed_out(struct rooms_redis *redis);
/* For adapters that share rooms_cluster.c. */
void rooms__redis_cluster_options(const struct rooms_redis *redis, struct rooms_cluster_options *options);
struct rooms_cluster_stats *rooms__redis_cluster_stats(struct rooms_redis *redis);
void **rooms__redis_streams(struct rooms_redis *redis); /* theirs: what they share */
/* All connections are ready and all subscriptions made before the last on_up are confirmed. */
bool rooms__redis_is_up(const struct rooms_redis *redis);

/* PUBLISH, or SPUBLISH; both are copied. Written at the end of this pass of the loop together with all else, in order;
 * kept while Redis is away. Returns 0, ROOMS_ELIMIT (above max_message_bytes; counted), ROOMS_ENOMEM. */
int rooms__redis_publish(struct rooms_redis *redis, bool sharded, struct rooms_name channel,
                         struct rooms_bytes payload);
/* The same for any command of whose reply only errors matter, which are counted and logged. */
int rooms__redis_post(struct rooms_redis *redis, const struct rooms_bytes *args, size_t arg_count);

/* PUBLISHER: in order with what is published. BLOCKING: the third connection, which exists after the first
 * rooms__redis_need_blocking; a command that is late closes it. */
enum rooms__redis_via { ROOMS__REDIS_PUBLISHER, ROOMS__REDIS_BLOCKING };
/* reply: borrowed; errors are given as REDIS_REPLY_ERROR. NULL: it was late, or the connection was lost; then it is
 * unknown whether the command was executed. */
typedef void (*rooms__redis_reply_fn)(void *ctx, const struct redisReply *reply);
struct rooms__redis_conn;
struct rooms__redis_command {
    enum rooms__redis_via via;
    const struct rooms_bytes *args; /* copied */
    size_t arg_count;
    uint32_t timeout_ms; /* 0: request_timeout_ms */
    rooms__redis_reply_fn fn;
    void *ctx;
    struct rooms__redis_conn *conn; /* NULL: that of `via`; else one of a shard */
};
/* Sends a command; fn is called once, later, unless it is cancelled or redis is freed. Commands are never sent again,
 * and never kept while Redis is away. Returns 0, or an error after which fn is not called: ROOMS_EAWAY (that connection
 * is not ready), ROOMS_ELIMIT, ROOMS_ENOMEM. */
int rooms__redis_ask(struct rooms_redis *redis, const struct rooms__redis_command *command);
/* The same for PUBSUB NUMSUB of one channel: in a Redis Cluster each member counts its own, and the answer is the sum.
 */
int rooms__redis_ask_number(struct rooms_redis *redis, const struct rooms__redis_command *command);
/* Where a sharded channel is, for such a command. NULL: it is a single Redis, or *away is set: no member has its slot
 * now. */
struct rooms__redis_conn *rooms__redis_conn_of(struct rooms_redis *redis, struct rooms_name channel, bool *away);
/* No fn with that ctx is called any more. O(what waits). */
void rooms__redis_cancel(struct rooms_redis *redis, const void *ctx);
/* Opens the third connection, for commands that block; from now on Redis is up only with it. */
void rooms__redis_need_blocking(struct rooms_redis *redis);

/* ----------------------------------------------------- rooms_redis_listen.c */

enum rooms__redis_kind {
    ROOMS__REDIS_CHANNEL, /* SUBSCRIBE */
    ROOMS__REDIS_PATTERN, /* PSUBSCRIBE */
    ROOMS__REDIS_SHARD,   /* SSUBSCRIBE */
};
/* Embedded in its owner, zeroed, then the first part filled in. Several owners may subscribe to the same name; each is
 * called, in the order of subscribing. */
struct rooms__redis_subscription {
    enum rooms__redis_kind kind;
    /* channel: where it was published, which for a pattern is not its name. Both borrowed. */
    void (*on_message)(void *ctx, struct rooms_name channel, struct rooms_bytes payload);
    /* Redis has confirmed it: again after each reconnect. May be NULL. */
    void (*on_active)(void *ctx);
    void *ctx;
    /* private */
    struct rooms__redis_entry *entry; /* NULL: not subscribed */
    struct rooms__redis_subscription *next, *previous;
    bool told; /* that it is active */
};
/* The name is copied. Commands leave at the end of the pass; what is taken back in the same pass costs nothing.
 * Comes back after a reconnect. Returns 0, ROOMS_EINVAL (empty), ROOMS_ELIMIT (1 MiB), ROOMS_ENOMEM. */
int rooms__redis_subscribe(struct rooms_redis *redis, struct rooms__redis_subscription *subscription,
                           struct rooms_name name);
/* Not called any more from now on. Harmless if it is not subscribed. */
void rooms__redis_unsubscribe(struct rooms_redis *redis, struct rooms__redis_subscription *subscription);
/* Redis has confirmed it; or there is nothing to wait for: Redis is away, or has refused it. */
bool rooms__redis_is_heard(const struct rooms_redis *redis, const struct rooms__redis_subscription *subscription);
/* The name it subscribed to. */
struct rooms_name rooms__redis_subscribed_name(const struct rooms__redis_subscription *subscription);

/* Embedded, zeroed, filled in. Either may be NULL. A watcher added while Redis is up gets no on_up for that. */
struct rooms__redis_watcher {
    void (*on_up)(void *ctx);   /* rooms__redis_is_up() became true */
    void (*on_down)(void *ctx); /* became false; questions that waited on a lost connection were answered with NULL */
    void *ctx;
    /* private */
    struct rooms__redis_watcher *next, *previous;
};
void rooms__redis_watch(struct rooms_redis *redis, struct rooms__redis_watcher *watcher);
void rooms__redis_unwatch(struct rooms_redis *redis, struct rooms__redis_watcher *watcher);

#endif
