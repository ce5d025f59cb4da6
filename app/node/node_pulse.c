#include "node_pulse.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ALIVE_EVENT "parley:alive"
#define GONE_EVENT "parley:gone"
#define ID_SIZE 17
#define NODES_MAX 10000 /* that are remembered */

struct node {
    char id[ID_SIZE];
    uint64_t seen_ms;
};

struct node_pulse {
    struct kit *kit;
    uint32_t interval_ms, timeout_ms;
    char id[ID_SIZE];
    struct eio_timer timer;
    bool has_stopped;
    size_t count, capacity;
    struct node *nodes;
};

static struct node *find(const struct node_pulse *pulse, const char *id)
{
    for (size_t i = 0; i < pulse->count; i++)
        if (!strcmp(pulse->nodes[i].id, id)) return &pulse->nodes[i];
    return NULL;
}

static struct node *add(struct node_pulse *pulse, const char *id)
{
    if (pulse->count == NODES_MAX) return NULL;
    if (pulse->count == pulse->capacity) {
        size_t capacity = pulse->capacity ? 2 * pulse->capacity : 16;
        struct node *nodes = realloc(pulse->nodes, capacity * sizeof *nodes);
        if (!nodes) return NULL;
        pulse->nodes = nodes;
        pulse->capacity = capacity;
    }
    struct node *node = &pulse->nodes[pulse->count++];
    snprintf(node->id, sizeof node->id, "%s", id);
    return node;
}

static void forget(struct node_pulse *pulse, struct node *node)
{
    *node = pulse->nodes[--pulse->count];
}

static void on_alive(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct node_pulse *pulse = ctx;
    char id[ID_SIZE];
    (void)socket;
    if (sio_args_text(event->args, 0, id, sizeof id) <= 0) return;
    struct node *node = find(pulse, id);
    if (!node) node = add(pulse, id);
    if (node) node->seen_ms = eio_loop_now_ms(pulse->kit->loop);
}

static void on_gone(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct node_pulse *pulse = ctx;
    char id[ID_SIZE];
    (void)socket;
    struct node *node = sio_args_text(event->args, 0, id, sizeof id) > 0 ? find(pulse, id) : NULL;
    if (!node || pulse->has_stopped) return;
    forget(pulse, node);
    kit_peers_changed(pulse->kit);
}

static void say(const struct node_pulse *pulse, const char *event)
{
    struct sio_builder args;
    sio_builder_init(&args);
    sio_builder_text(&args, pulse->id, strlen(pulse->id));
    if (!args.error) sio_server_side_emit(sio_of(pulse->kit->io, "/"), event, sio_builder_args(&args), NULL, NULL);
    sio_builder_clear(&args);
}

/* While the way to the others is broken no greeting arrives, and nobody is taken for dead for that. */
static void sweep(struct node_pulse *pulse)
{
    uint64_t now_ms = eio_loop_now_ms(pulse->kit->loop);
    const char *why;
    bool is_cut_off = pulse->kit->peers.is_degraded && pulse->kit->peers.is_degraded(pulse->kit->peers.ctx, &why);
    bool has_lost = false;
    for (size_t i = pulse->count; i--;) {
        struct node *node = &pulse->nodes[i];
        if (is_cut_off) node->seen_ms = now_ms;
        if (now_ms < node->seen_ms + pulse->timeout_ms) continue;
        kit_log(EIO_LOG_WARN, "a node of the cluster is silent; its users are taken for gone", "node", node->id, NULL);
        forget(pulse, node);
        has_lost = true;
    }
    if (has_lost) kit_peers_changed(pulse->kit);
}

static void on_timer(void *ctx)
{
    struct node_pulse *pulse = ctx;
    say(pulse, ALIVE_EVENT);
    sweep(pulse);
    eio_timer_start(&pulse->timer, pulse->interval_ms);
}

struct node_pulse *node_pulse_new(struct kit *kit, uint32_t interval_ms, uint32_t timeout_ms)
{
    struct node_pulse *pulse = calloc(1, sizeof *pulse);
    struct sio_namespace *nsp = sio_of(kit->io, "/");
    uint8_t bytes[(ID_SIZE - 1) / 2];
    if (!pulse) return NULL;
    *pulse = (struct node_pulse){.kit = kit, .interval_ms = interval_ms, .timeout_ms = timeout_ms};
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(pulse->id, sizeof pulse->id, bytes, sizeof bytes);
    eio_timer_init(&pulse->timer, kit->loop, on_timer, pulse);
    if (!nsp || sio_on_server_event(nsp, ALIVE_EVENT, on_alive, pulse) ||
        sio_on_server_event(nsp, GONE_EVENT, on_gone, pulse)) {
        node_pulse_free(pulse);
        return NULL;
    }
    eio_timer_start(&pulse->timer, 0);
    return pulse;
}

void node_pulse_stop(struct node_pulse *pulse)
{
    if (!pulse || pulse->has_stopped) return;
    pulse->has_stopped = true;
    eio_timer_stop(&pulse->timer);
    say(pulse, GONE_EVENT);
}

void node_pulse_free(struct node_pulse *pulse)
{
    if (!pulse) return;
    free(pulse->nodes);
    free(pulse);
}
