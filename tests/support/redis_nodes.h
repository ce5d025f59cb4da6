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

static inline void node_open(size_t i, rooms_adapter_factory factory, const struct rooms_recovery *recovery)
{
    struct rooms_local local = peer_local(&peer_of[i], recovery);
    node_start(&nodes[i]);
    peer_of[i] = (struct peer){.name = (char)('A' + i), .adapter = factory(nodes[i].redis, "/", &local)};
    assert_non_null(peer_of[i].adapter);
    peers[i] = &peer_of[i];
}

static inline void node_close(size_t i)
{
    if (!peers[i]) return;
    peers[i]->adapter->ops->free(peers[i]->adapter);
    peers[i] = NULL;
    rooms_redis_free(nodes[i].redis);
    nodes[i].redis = NULL;
}

/* All connected, and all subscriptions confirmed. */
static inline void nodes_wait(size_t count)
{
    for (size_t i = 0; i < count; i++) RUN_UNTIL(&nodes[0], node_is_up(&nodes[i]));
    node_run(&nodes[0], 30);
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

/* Waits until that was said, and nothing else. */
static inline void wait_said(const char *expected)
{
    for (int i = 0; i < 1000 && strlen(said) < strlen(expected); i++) node_run(&nodes[0], 2);
    node_run(&nodes[0], 5);
    assert_said(expected);
}

/* Lines in any order. */
static inline void wait_said_lines(const char *const *lines)
{
    size_t total = 0;
    for (size_t i = 0; lines[i]; i++) total += strlen(lines[i]) + 1;
    for (int i = 0; i < 1000 && strlen(said) < total; i++) node_run(&nodes[0], 2);
    node_run(&nodes[0], 5);
    for (size_t i = 0; lines[i]; i++)
        if (!strstr(said, lines[i])) fail_msg("not said: %s\n%s", lines[i], said);
    assert_int_equal(strlen(said), total);
    said[0] = '\0';
}
#define WAIT_LINES(...) wait_said_lines((const char *const[]){__VA_ARGS__, NULL})

#endif
