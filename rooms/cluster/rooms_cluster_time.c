/* Deadlines of one cluster: a list by time, and one timer for the first of it. Most are made in the order in which they
 * are due, so the place of a new one is looked for from the end. */
#include "rooms_cluster_int.h"

#include <event2/event.h>

static void arm(struct rooms_cluster *cluster)
{
    if (!cluster->state->timer || cluster->state->dues.next == &cluster->state->dues) return;
    uint64_t at_ms = cluster->state->dues.next->at_ms, now = rooms__cluster_now(cluster);
    /* Too early does no harm: what is armed for a deadline that went away finds the next one. */
    if (cluster->state->armed_ms && cluster->state->armed_ms <= at_ms) return;
    uint64_t wait_ms = at_ms > now ? at_ms - now : 0;
    struct timeval delay = {(time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000) * 1000};
    if (event_add(cluster->state->timer, &delay) == 0) cluster->state->armed_ms = at_ms ? at_ms : 1;
}

void rooms__due_stop(struct rooms__due *due)
{
    if (!due->next) return;
    due->prev->next = due->next;
    due->next->prev = due->prev;
    due->prev = due->next = NULL;
}

void rooms__due_at(struct rooms_cluster *cluster, struct rooms__due *due, uint64_t at_ms)
{
    rooms__due_stop(due);
    struct rooms__due *before = cluster->state->dues.prev;
    while (before != &cluster->state->dues && before->at_ms > at_ms) before = before->prev;
    due->at_ms = at_ms;
    due->prev = before;
    due->next = before->next;
    before->next = due->next->prev = due;
    if (before == &cluster->state->dues) arm(cluster);
}

void rooms_cluster_tick(struct rooms_cluster *cluster)
{
    uint64_t now = rooms__cluster_now(cluster);
    while (cluster->state->dues.next != &cluster->state->dues && cluster->state->dues.next->at_ms <= now) {
        struct rooms__due *due = cluster->state->dues.next;
        rooms__due_stop(due);
        due->fn(cluster, due);
    }
    arm(cluster);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct rooms_cluster *cluster = ctx;
    (void)fd, (void)what;
    cluster->state->armed_ms = 0;
    rooms_cluster_tick(cluster);
}

int rooms__dues_init(struct rooms_cluster *cluster, struct event_base *base)
{
    cluster->state->dues.prev = cluster->state->dues.next = &cluster->state->dues;
    if (!base) return ROOMS_OK;
    cluster->state->timer = event_new(base, -1, 0, on_timer, cluster);
    return cluster->state->timer ? ROOMS_OK : ROOMS_ENOMEM;
}

void rooms__dues_clear(struct rooms_cluster *cluster)
{
    while (cluster->state->dues.next != &cluster->state->dues) rooms__due_stop(cluster->state->dues.next);
    if (cluster->state->timer) event_free(cluster->state->timer);
    cluster->state->timer = NULL;
}
