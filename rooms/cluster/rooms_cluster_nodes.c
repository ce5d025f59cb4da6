/* Who is there. A node is known once anything was heard of it. With heartbeats, one that sent some and then fell silent
 * is gone: nobody waits for its answers. Nodes of a kind that sends none (Node's sharded and streams adapters) are only
 * counted, by the carrier, and forgotten after a while. */
#include "rooms_cluster_int.h"

#include <stdlib.h>
#include <string.h>

enum { SWEEP_MS = 1000, FORGET_MS = 60000 };

static struct rooms_name node_uid(const void *item)
{
    const struct rooms__node *node = item;
    return (struct rooms_name){node->uid, node->uid_size};
}

static bool counts(const struct rooms__cluster *cluster)
{
    return cluster->carrier->count_others != NULL;
}

static void unlink_node(struct rooms__node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

static void link_last(struct rooms__cluster *cluster, struct rooms__node *node)
{
    node->next = &cluster->silent_longest;
    node->prev = cluster->silent_longest.prev;
    node->prev->next = node->next->prev = node;
}

static void node_free(struct rooms__cluster *cluster, struct rooms__node *node)
{
    unlink_node(node);
    rooms__table_remove(&cluster->nodes, node);
    free(node);
}

static struct rooms__node *node_new(struct rooms__cluster *cluster, struct rooms_name uid)
{
    if (uid.n == 0 || uid.n > ROOMS__UID_MAX) return NULL;
    if (cluster->nodes.table.count >= cluster->options.max_nodes) {
        cluster->stats->limit_nodes++;
        return NULL;
    }
    struct rooms__node *node = calloc(1, sizeof *node);
    if (!node) return NULL;
    memcpy(node->uid, uid.p, uid.n);
    node->uid_size = (uint8_t)uid.n;
    if (rooms__table_insert(&cluster->nodes, node) != ROOMS_OK) {
        free(node);
        return NULL;
    }
    link_last(cluster, node);
    return node;
}

bool rooms__nodes_heard(struct rooms__cluster *cluster, struct rooms_name uid, bool beats)
{
    struct rooms__node *node = rooms__table_find(&cluster->nodes, uid);
    if (!node) node = node_new(cluster, uid);
    if (!node) return false;
    node->seen_ms = rooms__cluster_now(cluster);
    node->beats = node->beats || beats;
    node->lost = false;
    unlink_node(node);
    link_last(cluster, node);
    return true;
}

void rooms__cluster_node_seen(struct rooms__cluster *cluster, struct rooms_name uid)
{
    rooms__nodes_heard(cluster, uid, false);
}

void rooms__cluster_node_gone(struct rooms__cluster *cluster, struct rooms_name uid)
{
    char kept[ROOMS__UID_MAX];
    struct rooms__node *node = rooms__table_find(&cluster->nodes, uid);
    if (!node) return;
    struct rooms_name gone = {kept, uid.n}; /* uid may be the node's own memory */
    memcpy(kept, uid.p, uid.n);
    node_free(cluster, node);
    rooms__requests_node_gone(cluster, gone);
}

/* A carrier that counts may count it still: it is asked, next time. */
static void lose(struct rooms__cluster *cluster, struct rooms__node *node)
{
    cluster->stats->nodes_lost++;
    if (!counts(cluster)) {
        rooms__cluster_node_gone(cluster, node_uid(node));
        return;
    }
    node->lost = true;
    rooms__requests_node_gone(cluster, node_uid(node));
}

static void on_sweep(struct rooms__cluster *cluster, struct rooms__due *due)
{
    uint64_t now = rooms__cluster_now(cluster);
    struct rooms__node *head = &cluster->silent_longest, *node = head->next;
    rooms__due_at(cluster, due, now + SWEEP_MS);
    while (node != head && node->seen_ms + cluster->options.heartbeat_timeout_ms < now) {
        struct rooms__node *next = node->next;
        bool silent = (node->beats || !counts(cluster)) && !node->lost;
        if (silent) {
            lose(cluster, node);
            next = head->next; /* whoever was told may have changed the list */
        } else if (node->seen_ms + FORGET_MS + cluster->options.heartbeat_timeout_ms < now) {
            node_free(cluster, node);
        }
        node = next;
    }
}

static void beat(struct rooms__cluster *cluster, enum rooms__cluster_type type)
{
    rooms__cluster_say(cluster, &(struct rooms__cluster_message){.type = type});
    rooms__due_at(cluster, &cluster->heartbeat, rooms__cluster_now(cluster) + cluster->options.heartbeat_interval_ms);
}

static void on_heartbeat(struct rooms__cluster *cluster, struct rooms__due *due)
{
    (void)due;
    beat(cluster, ROOMS__HEARTBEAT);
}

void rooms__cluster_announce(struct rooms__cluster *cluster)
{
    if (cluster->options.heartbeat_interval_ms) beat(cluster, ROOMS__INITIAL_HEARTBEAT);
}

size_t rooms__cluster_lost(const struct rooms__cluster *cluster, struct rooms_name *uids, size_t max)
{
    size_t count = 0;
    const struct rooms__node *head = &cluster->silent_longest;
    for (const struct rooms__node *node = head->next; node != head && count < max; node = node->next)
        if (node->lost) uids[count++] = node_uid(node);
    return count;
}

void rooms__nodes_init(struct rooms__cluster *cluster)
{
    rooms__table_init(&cluster->nodes, node_uid, cluster->key);
    cluster->silent_longest.prev = cluster->silent_longest.next = &cluster->silent_longest;
    cluster->heartbeat.fn = on_heartbeat;
    cluster->sweep.fn = on_sweep;
    if (cluster->options.heartbeat_interval_ms)
        rooms__due_at(cluster, &cluster->sweep, rooms__cluster_now(cluster) + SWEEP_MS);
}

void rooms__nodes_clear(struct rooms__cluster *cluster)
{
    while (cluster->silent_longest.next != &cluster->silent_longest) node_free(cluster, cluster->silent_longest.next);
    rooms__table_clear(&cluster->nodes);
}
