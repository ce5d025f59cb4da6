/* Several nodes on one loop, each with its own connections to one real redis-server and an adapter that shares
 * rooms_cluster.c. */
#ifndef REDIS_NODES_H
#define REDIS_NODES_H

#include "cluster_local.h"
#include "rooms_redis_fixture.h"

enum { REDIS_NODES = 3 };

static struct redis_server server;
static struct node nodes[REDIS_NODES];
static struct peer peer_of[REDIS_NODES];
static struct listener marks[REDIS_NODES];

static inline void node_open(size_t i, rooms_adapter_factory factory, const struct rooms_recovery *recovery)
{
    struct rooms_local local = peer_local(&peer_of[i], recovery);
    node_start(&nodes[i]);
    peer_of[i] = (struct peer){.name = (char)('A' + i), .adapter = factory(nodes[i].redis, "/", &local)};
    assert_non_null(peer_of[i].adapter);
    peers[i] = &peer_of[i];
    listen_to(&nodes[i], &marks[i], ROOMS__REDIS_CHANNEL, "mark");
}

static inline bool marks_arrived(size_t count)
{
    for (size_t i = 0; i < REDIS_NODES; i++)
        if (peers[i] && marks[i].count < count) return false;
    return true;
}

/* Runs until all that was published so far has arrived, and what was published because of it: what a node publishes
 * now arrives after that. All nodes are connected. */
static inline void nodes_settle(void)
{
    for (int round = 0; round < 3; round++) {
        size_t open = 0;
        for (size_t i = 0; i < REDIS_NODES; i++) {
            if (!peers[i]) continue;
            marks[i].count = marks[i].used = 0;
            open++;
        }
        for (size_t i = 0; i < REDIS_NODES; i++)
            if (peers[i]) publish(&nodes[i], "mark", "");
        RUN_UNTIL(&nodes[0], marks_arrived(open));
    }
}

static inline void node_close(size_t i)
{
    if (!peers[i]) return;
    unlisten(&nodes[i], &marks[i]);
    peers[i]->adapter->ops->free(peers[i]->adapter);
    peers[i] = NULL;
    rooms_redis_free(nodes[i].redis);
    nodes[i].redis = NULL;
}

/* All connected, and all subscriptions confirmed. */
static inline void nodes_wait(size_t count)
{
    for (size_t i = 0; i < count; i++) RUN_UNTIL(&nodes[0], node_is_up(&nodes[i]));
    nodes_settle();
    said[0] = '\0';
}

static inline void nodes_open(size_t count, rooms_adapter_factory factory, const struct rooms_recovery *recovery,
                              void (*prepare)(struct rooms_redis_options *options))
{
    server_start(&server);
    now = 0;
    for (size_t i = 0; i < REDIS_NODES; i++) {
        node_init(&nodes[i], &server);
        if (i > 0) event_base_free(nodes[i].base);
        nodes[i].base = nodes[0].base;
        if (prepare) prepare(&nodes[i].options);
    }
    for (size_t i = 0; i < count; i++) node_open(i, factory, recovery);
    nodes_wait(count);
}

static inline void nodes_close(void)
{
    for (size_t i = 0; i < REDIS_NODES; i++) node_close(i);
    event_base_free(nodes[0].base);
    server_kill(&server);
    server.port = 0;
    said[0] = '\0';
}

/* Not RUN_UNTIL: what was said instead is shown by who asks. */
static inline void run_until_said(size_t bytes)
{
    uint64_t end_us = base_clock_us() + 300000000;
    while (strlen(said) < bytes && base_clock_us() < end_us) node_run(&nodes[0], 2);
}

/* Waits until that was said, and nothing else. */
static inline void wait_said(const char *expected)
{
    run_until_said(strlen(expected));
    nodes_settle();
    assert_said(expected);
}

/* Lines in any order. */
static inline void wait_said_lines(const char *const *lines)
{
    size_t total = 0;
    for (size_t i = 0; lines[i]; i++) total += strlen(lines[i]) + 1;
    run_until_said(total);
    nodes_settle();
    for (size_t i = 0; lines[i]; i++)
        if (!strstr(said, lines[i])) fail_msg("not said: %s\n%s", lines[i], said);
    assert_int_equal(strlen(said), total);
    said[0] = '\0';
}
#define WAIT_LINES(...) wait_said_lines((const char *const[]){__VA_ARGS__, NULL})

#endif
