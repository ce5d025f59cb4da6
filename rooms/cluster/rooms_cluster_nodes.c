/* Which nodes are there. A node is known from its first message on. One that sent heartbeats and then falls silent is
 * gone, and no request waits for it. Nodes that never send any (Node's sharded and streams adapters) are only counted,
 * by the carrier, and forgotten after a while. */
#include "rooms_cluster_int.h"

#include <stdlib.h>
#include <string.h>

enum { SWEEP_MS = 1000, FORGET_MS = 60000 };

static struct rooms_name node_uid(const void *item)
{
    const struct rooms__node *node = item;
    return (struct rooms_name){node->uid, node->uid_size};
}

static bool counts(const struct rooms_cluster *cluster)
{
    return cluster->state->carrier->count_others != NULL;
}

static void unlink_node(struct rooms__node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

static void link_last(struct rooms_cluster *cluster, struct rooms__node *node)
{
    node->next = &cluster->state->silent_longest;
    node->prev = cluster->state->silent_longest.prev;
    node->prev->next = node->next->prev = node;
}

static void node_free(struct rooms_cluster *cluster, struct rooms__node *node)
{
    unlink_node(node);
    rooms__table_remove(&cluster->state->nodes, node);
    free(node);
}

static struct rooms__node *node_new(struct rooms_cluster *cluster, struct rooms_name uid)
{
    if (uid.n == 0 || uid.n > ROOMS_UID_MAX) return NULL;
    if (cluster->state->nodes.table.count >= cluster->state->options.max_nodes) {
        cluster->state->stats->limit_nodes++;
        return NULL;
    }
    struct rooms__node *node = calloc(1, sizeof *node);
    if (!node) return NULL;
    memcpy(node->uid, uid.p, uid.n);
    node->uid_size = (uint8_t)uid.n;
    if (rooms__table_insert(&cluster->state->nodes, node) != ROOMS_OK) {
        free(node);
        return NULL;
    }
    link_last(cluster, node);
    return node;
}

bool rooms__nodes_heard(struct rooms_cluster *cluster, struct rooms_name uid, bool beats)
{
    struct rooms__node *node = rooms__table_find(&cluster->state->nodes, uid);
    if (!node) node = node_new(cluster, uid);
    if (!node) return false;
    node->seen_ms = rooms__cluster_now(cluster);
    node->beats = node->beats || beats;
    node->lost = false;
    unlink_node(node);
    link_last(cluster, node);
    return true;
}

void rooms_cluster_node_seen(struct rooms_cluster *cluster, struct rooms_name uid)
{
    rooms__nodes_heard(cluster, uid, false);
}

void rooms_cluster_node_gone(struct rooms_cluster *cluster, struct rooms_name uid)
{
    char kept[ROOMS_UID_MAX];
    struct rooms__node *node = rooms__table_find(&cluster->state->nodes, uid);
    if (!node) return;
    struct rooms_name gone = {kept, uid.n}; /* uid may be the node's own memory */
    memcpy(kept, uid.p, uid.n);
    node_free(cluster, node);
    rooms__requests_node_gone(cluster, gone);
}

/* A carrier that counts may count it still: it is asked, next time. */
static void lose_node(struct rooms_cluster *cluster, struct rooms__node *node)
{
    cluster->state->stats->nodes_lost++;
    if (!counts(cluster)) {
        rooms_cluster_node_gone(cluster, node_uid(node));
        return;
    }
    node->lost = true;
    rooms__requests_node_gone(cluster, node_uid(node));
}

static void on_sweep(void *ctx)
{
    struct rooms_cluster *cluster = ctx;
    uint64_t now = rooms__cluster_now(cluster);
    struct rooms__node *head = &cluster->state->silent_longest, *node = head->next;
    base_timer_start_at(&cluster->state->sweep, now + SWEEP_MS);
    while (node != head && node->seen_ms + cluster->state->options.heartbeat_timeout_ms < now) {
        struct rooms__node *next = node->next;
        bool silent = (node->beats || !counts(cluster)) && !node->lost;
        if (silent) {
            lose_node(cluster, node);
            next = head->next; /* callbacks may have changed the list */
        } else if (node->seen_ms + FORGET_MS + cluster->state->options.heartbeat_timeout_ms < now) {
            node_free(cluster, node);
        }
        node = next;
    }
}

static void send_beat(struct rooms_cluster *cluster, enum rooms_cluster_type type)
{
    rooms__cluster_say(cluster, &(struct rooms_cluster_message){.type = type});
    base_timer_start(&cluster->state->heartbeat, cluster->state->options.heartbeat_interval_ms);
}

static void on_heartbeat(void *ctx)
{
    send_beat(ctx, ROOMS_CLUSTER_HEARTBEAT);
}

void rooms_cluster_announce(struct rooms_cluster *cluster)
{
    if (cluster->state->options.heartbeat_interval_ms) send_beat(cluster, ROOMS_CLUSTER_INITIAL_HEARTBEAT);
}

size_t rooms_cluster_lost(const struct rooms_cluster *cluster, struct rooms_name *uids, size_t max)
{
    size_t count = 0;
    const struct rooms__node *head = &cluster->state->silent_longest;
    for (const struct rooms__node *node = head->next; node != head && count < max; node = node->next)
        if (node->lost) uids[count++] = node_uid(node);
    return count;
}

int rooms__nodes_init(struct rooms_cluster *cluster)
{
    struct rooms_cluster_state *state = cluster->state;
    rooms__table_init(&state->nodes, node_uid, state->key);
    state->silent_longest.prev = state->silent_longest.next = &state->silent_longest;
    if (base_timer_init(&state->heartbeat, &state->timers, on_heartbeat, cluster) != BASE_OK) return ROOMS_ENOMEM;
    if (base_timer_init(&state->sweep, &state->timers, on_sweep, cluster) != BASE_OK) return ROOMS_ENOMEM;
    if (state->options.heartbeat_interval_ms) base_timer_start(&state->sweep, SWEEP_MS);
    return ROOMS_OK;
}

void rooms__nodes_clear(struct rooms_cluster *cluster)
{
    struct rooms_cluster_state *state = cluster->state;
    if (!state->silent_longest.next) return;
    while (state->silent_longest.next != &state->silent_longest) node_free(cluster, state->silent_longest.next);
    base_timer_clear(&state->heartbeat);
    base_timer_clear(&state->sweep);
    rooms__table_clear(&state->nodes);
}
