/* What the sharded and the streams adapter have in common: a channel of all nodes, one for responses to each, and
 * counting subscribers. */
#ifndef ROOMS_REDIS_CARRIER_H
#define ROOMS_REDIS_CARRIER_H

#include "rooms_cluster_wire.h"
#include "rooms_redis_int.h"

/* A member of the adapter's own struct. */
struct rooms__redis_carrier {
    struct rooms_cluster cluster;
    struct rooms_redis *redis;
    enum rooms__redis_kind kind; /* ROOMS__REDIS_SHARD or ROOMS__REDIS_CHANNEL */
    struct rooms_packer channel; /* <prefix>#<nsp>#, and behind it what is being named */
    size_t channel_size;
    struct rooms_packer payload;
    struct rooms__cluster_ends own;
    struct rooms__redis_subscription all, answers;
    uint64_t *tickets; /* of the counts that were asked for; Redis answers in their order */
    size_t ticket_count, ticket_capacity;
    struct rooms__redis_carrier_count *counts; /* in a Redis Cluster */
};

struct rooms__redis_carrier_setup {
    struct rooms_redis *redis;
    enum rooms__redis_kind kind;
    const struct rooms_adapter_ops *ops;
    const struct rooms_carrier_ops *carrier;
    const char *nsp;
    const struct rooms_local *local;
};
/* Fills a zeroed struct and subscribes to both channels. Returns 0, or an error and there is nothing to clear. */
int rooms__redis_carrier_init(struct rooms__redis_carrier *carrier, const struct rooms__redis_carrier_setup *setup);
/* Publishes the goodbye, ends requests, and sends nothing after that. Then the adapter frees its own parts, and the
 * struct. */
void rooms__redis_carrier_clear(struct rooms__redis_carrier *carrier);

/* The name of a channel, valid until the next; n 0 for that of all. p NULL: out of memory. */
struct rooms_name rooms__redis_carrier_channel(struct rooms__redis_carrier *carrier, struct rooms_name what);
/* Publishes on such a channel. */
int rooms__redis_carrier_publish(struct rooms__redis_carrier *carrier, struct rooms_name what,
                                 const struct rooms_cluster_message *message, enum rooms__cluster_form form);
/* For subscriptions of the adapter's own; ctx is the carrier. */
void rooms__redis_carrier_heard(void *ctx, struct rooms_name channel, struct rooms_bytes payload);
/* struct rooms_carrier_ops: incomplete, count_others */
void rooms__redis_carrier_incomplete(struct rooms_cluster *cluster, const char *missing);
int rooms__redis_carrier_count(struct rooms_cluster *cluster, uint64_t ticket);

static inline struct rooms__redis_carrier *rooms__redis_carrier_of(const struct rooms_cluster *cluster)
{
    return container_of(cluster, struct rooms__redis_carrier, cluster);
}

#endif
