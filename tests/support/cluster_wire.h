/* Several nodes in one process, over a wire that can lose, delay and repeat messages. */
#ifndef CLUSTER_WIRE_H
#define CLUSTER_WIRE_H

#include "cluster_local.h"

enum { NODES_MAX = PEERS_MAX, WIRE_MAX = 64 };

/* -------------------------------------------------------------------- wire */

struct node {
    struct rooms_cluster cluster; /* first */
    struct peer peer;
    bool is_cut; /* hears and says nothing */
};

struct sent {
    struct rooms_cluster_message *message;
    struct node *to;
};

static struct node *nodes[NODES_MAX];
static size_t node_count;
static struct sent wire[WIRE_MAX];
static size_t wire_count;
static bool counts, heartbeats, logs, count_fails;
static size_t count_extra; /* nodes that are counted, but that nobody ever heard of */
static uint64_t tickets[WIRE_MAX];
static size_t ticket_count;
static struct rooms_cluster_stats stats;
static const struct rooms_recovery recovery = {.max_disconnection_ms = 1000};

static inline void put_on_wire(struct node *to, const struct rooms_cluster_message *message)
{
    assert_true(wire_count < WIRE_MAX);
    wire[wire_count++] = (struct sent){rooms__cluster_copy(message, NULL), to};
}

static inline int wire_publish(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    struct node *from = (struct node *)cluster;
    assert_false(message->flags.local);
    if (from->is_cut) return ROOMS_EINVAL;
    for (size_t i = 0; i < node_count; i++)
        if (nodes[i] && nodes[i] != from && !nodes[i]->is_cut) put_on_wire(nodes[i], message);
    return ROOMS_OK;
}

static inline int wire_respond(struct rooms_cluster *cluster, struct rooms_name uid,
                               const struct rooms_cluster_message *message)
{
    struct node *from = (struct node *)cluster;
    for (size_t i = 0; i < node_count && !from->is_cut; i++)
        if (nodes[i] && uid.n == ROOMS_UID_SIZE && !memcmp(uid.p, nodes[i]->cluster.state->uid, uid.n))
            put_on_wire(nodes[i], message);
    return ROOMS_OK;
}

static inline int wire_count_others(struct rooms_cluster *cluster, uint64_t ticket)
{
    size_t others = count_extra;
    for (size_t i = 0; i < node_count; i++) others += nodes[i] && &nodes[i]->cluster != cluster;
    if (((struct node *)cluster)->is_cut) return ROOMS_EINVAL;
    rooms_cluster_counted(cluster, ticket, count_fails ? ROOMS_EINVAL : 0, others);
    return ROOMS_OK;
}

static inline int wire_log(struct rooms_cluster *cluster, const struct rooms_cluster_message *message, uint64_t ticket)
{
    int result = wire_publish(cluster, message);
    if (result == ROOMS_OK) tickets[ticket_count++] = ticket;
    return result;
}

/* Hands over what stands at that place of the wire; it stays there if it is to come again. */
static inline void hand_over(size_t i, bool again)
{
    struct sent sent = wire[i];
    if (!again) memmove(&wire[i], &wire[i + 1], (--wire_count - i) * sizeof *wire);
    if (!sent.to->is_cut) rooms_cluster_receive(&sent.to->cluster, sent.message);
    if (!again) free(sent.message);
}

static inline void lose(size_t i)
{
    free(wire[i].message);
    memmove(&wire[i], &wire[i + 1], (--wire_count - i) * sizeof *wire);
}

static inline void settle(void)
{
    while (wire_count) hand_over(0, false);
}

static inline void pass(uint64_t ms)
{
    for (uint64_t end = now + ms; now < end;) {
        now += ms < 100 ? ms : 100;
        for (size_t i = 0; i < node_count; i++)
            if (nodes[i]) rooms_cluster_tick(&nodes[i]->cluster);
        settle();
    }
}

/* ------------------------------------------------------------------- nodes */

static const struct rooms_carrier_ops heard_ops = {.publish = wire_publish, .respond = wire_respond};
static const struct rooms_carrier_ops counting_ops = {
    .publish = wire_publish, .respond = wire_respond, .count_others = wire_count_others};
static const struct rooms_carrier_ops logging_ops = {.publish = wire_publish, .respond = wire_respond, .log = wire_log};

static inline struct node *node_new(void)
{
    struct node *node = calloc(1, sizeof *node);
    struct rooms_cluster_options options;
    rooms_cluster_options_init(&options);
    options.max_requests = 3;
    options.max_nodes = 5;
    if (!heartbeats) options.heartbeat_interval_ms = 0;
    node->peer.name = (char)('A' + node_count);
    node->peer.adapter = &node->cluster.adapter;
    struct rooms_local local = peer_local(&node->peer, logs ? &recovery : NULL);
    struct rooms_cluster_setup setup = {
        .carrier = logs     ? &logging_ops
                   : counts ? &counting_ops
                            : &heard_ops,
        .options = &options,
        .stats = &stats,
        .nsp = "/",
        .local = &local,
    };
    assert_int_equal(rooms_cluster_init(&node->cluster, &setup), 0);
    peers[node_count] = &node->peer;
    nodes[node_count++] = node;
    rooms_cluster_announce(&node->cluster);
    settle();
    return node;
}

/* What it says goodbye with is heard, unless it is cut. */
static inline void node_free(size_t i)
{
    struct node *node = nodes[i];
    for (size_t w = wire_count; w-- > 0;)
        if (wire[w].to == node) lose(w);
    rooms_cluster_clear(&node->cluster);
    nodes[i] = NULL;
    peers[i] = NULL;
    for (size_t w = wire_count; w-- > 0;)
        if (wire[w].to == node) lose(w);
    free(node);
    settle();
}

static inline void setup(size_t count)
{
    memset(&stats, 0, sizeof stats);
    now = 1000;
    for (size_t i = 0; i < count; i++) node_new();
    said[0] = '\0';
}

static inline void teardown(void)
{
    for (size_t i = 0; i < node_count; i++)
        if (nodes[i]) node_free(i);
    while (wire_count) lose(0);
    node_count = ticket_count = count_extra = 0;
    counts = heartbeats = logs = count_fails = false;
    said[0] = '\0';
}

#endif
