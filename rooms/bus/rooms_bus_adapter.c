/* The adapter of a namespace on the bus: the conversation of rooms_cluster.c as frames. */
#include "rooms_bus_int.h"

#include <stdlib.h>
#include <string.h>

static struct rooms__bus_adapter *adapter_of(struct rooms_cluster *cluster)
{
    return container_of(cluster, struct rooms__bus_adapter, cluster);
}

/* ----------------------------------------------------------------- carrier */

/* Only a message without effect where the rooms have no members may skip a process. */
static bool is_for_rooms(const struct rooms_cluster_message *message)
{
    switch (message->type) {
    case ROOMS_CLUSTER_BROADCAST:
        return message->request.n == 0;
    case ROOMS_CLUSTER_SOCKETS_JOIN:
    case ROOMS_CLUSTER_SOCKETS_LEAVE:
    case ROOMS_CLUSTER_DISCONNECT_SOCKETS:
        return true;
    default:
        return false;
    }
}

void rooms__bus_put(struct rooms__bus_adapter *adapter, struct rooms__bus_peer *only,
                    const struct rooms_cluster_message *message, const struct rooms_selector *who)
{
    struct rooms_bus *bus = adapter->bus;
    size_t from = bus->pass.size;
    rooms__bus_put_message(&bus->pass, rooms__bus_nsp(adapter), adapter->seq, message);
    rooms__bus_commit(bus, from, only, rooms__bus_nsp(adapter), who);
}

static int bus_publish(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    struct rooms__bus_adapter *adapter = adapter_of(cluster);
    if (adapter->bus->peers) rooms__bus_put(adapter, NULL, message, is_for_rooms(message) ? &message->who : NULL);
    return ROOMS_OK;
}

static int bus_respond(struct rooms_cluster *cluster, struct rooms_name uid,
                       const struct rooms_cluster_message *message)
{
    struct rooms__bus_adapter *adapter = adapter_of(cluster);
    struct rooms__bus_peer *peer = rooms__bus_find_uid(adapter->bus, uid);
    if (!peer) return ROOMS_EAWAY;
    rooms__bus_put(adapter, peer, message, NULL);
    return ROOMS_OK;
}

static const struct rooms_carrier_ops carrier_ops = {.publish = bus_publish, .respond = bus_respond};

void rooms__bus_introduce(struct rooms__bus_adapter *adapter, struct rooms__bus_peer *only)
{
    struct rooms_cluster_message message = {.type = ROOMS_CLUSTER_HEARTBEAT};
    if (adapter->bus->peers) rooms__bus_put(adapter, only, &message, NULL);
}

/* --------------------------------------------------------------- receiving */

static struct rooms__bus_adapter *find_adapter(const struct rooms_bus *bus, struct rooms_name nsp)
{
    for (struct rooms__bus_adapter *adapter = bus->adapters; adapter; adapter = adapter->next)
        if (rooms__bus_nsp(adapter).n == nsp.n && memcmp(rooms__bus_nsp(adapter).p, nsp.p, nsp.n) == 0) return adapter;
    return NULL;
}

int rooms__bus_receive(struct rooms_bus *bus, struct rooms__bus_peer *peer, enum rooms__bus_kind kind,
                       struct rooms__bus_reader *in)
{
    struct rooms__bus_message read;
    char offset[ROOMS_OFFSET_SIZE];
    if (kind == ROOMS__BUS_TAKE || kind == ROOMS__BUS_SESSION) {
        struct rooms__bus_adapter *adapter = find_adapter(bus, rooms__bus_name(in));
        if (in->failed) return ROOMS_EINVAL;
        if (!adapter) return ROOMS_OK;
        return kind == ROOMS__BUS_TAKE ? rooms__bus_give(adapter, peer, in) : rooms__bus_given(adapter, peer, in);
    }
    if (kind != ROOMS__BUS_MESSAGE) return ROOMS_EINVAL;
    int result = rooms__bus_read_message(in, &read);
    if (result == ROOMS_ENOMEM) bus->stats.dropped++;
    if (result != ROOMS_OK) return result;
    struct rooms__bus_adapter *adapter = find_adapter(bus, read.nsp);
    read.message.uid = (struct rooms_name){peer->uid, ROOMS_UID_SIZE};
    if (adapter && adapter->log) rooms__bus_heard(adapter, peer, &read, offset);
    if (adapter) rooms_cluster_receive(&adapter->cluster, &read.message);
    free(read.memory);
    return ROOMS_OK;
}

void rooms__bus_peer_gone(struct rooms_bus *bus, struct rooms__bus_peer *peer)
{
    if (!peer->uid[0]) return;
    for (struct rooms__bus_adapter *adapter = bus->adapters, *next; adapter; adapter = next) {
        next = adapter->next;
        rooms__bus_takes_gone(adapter, peer);
        rooms_cluster_node_gone(&adapter->cluster, (struct rooms_name){peer->uid, ROOMS_UID_SIZE});
    }
}

/* ----------------------------------------------------------------- adapter */

static void bus_room_created(struct rooms_adapter *base, struct rooms_name room)
{
    struct rooms__bus_adapter *adapter = adapter_of(rooms__cluster_of(base));
    rooms__bus_count_room(adapter->bus, rooms__bus_nsp(adapter), room, 1);
}

static void bus_room_deleted(struct rooms_adapter *base, struct rooms_name room)
{
    struct rooms__bus_adapter *adapter = adapter_of(rooms__cluster_of(base));
    rooms__bus_count_room(adapter->bus, rooms__bus_nsp(adapter), room, -1);
}

static void bus_free(struct rooms_adapter *base)
{
    struct rooms__bus_adapter *adapter = adapter_of(rooms__cluster_of(base));
    struct rooms_bus *bus = adapter->bus;
    if (adapter->prev)
        adapter->prev->next = adapter->next;
    else
        bus->adapters = adapter->next;
    if (adapter->next) adapter->next->prev = adapter->prev;
    rooms__bus_takes_gone(adapter, NULL);
    rooms_cluster_clear(&adapter->cluster);
    rooms__log_free(adapter->log);
    free(adapter);
}

static const struct rooms_adapter_ops bus_ops = {
    .name = "bus",
    .free = bus_free,
    .broadcast = rooms__bus_broadcast,
    .broadcast_with_ack = rooms_cluster_broadcast_with_ack,
    .join = rooms_cluster_join,
    .leave = rooms_cluster_leave,
    .disconnect = rooms_cluster_disconnect,
    .fetch = rooms_cluster_fetch,
    .server_side_emit = rooms_cluster_server_side_emit,
    .server_count = rooms_cluster_server_count,
    .missing = rooms_cluster_missing,
    .room_created = bus_room_created,
    .room_deleted = bus_room_deleted,
    .session_save = rooms__bus_session_save,
    .session_restore = rooms__bus_session_restore,
    .replay = rooms__bus_replay,
    .last_offset = rooms__bus_last_offset,
    .expire = rooms__bus_expire,
};

struct rooms_adapter *rooms_adapter_bus(void *ctx, const char *namespace_name, const struct rooms_local *local)
{
    struct rooms_bus *bus = ctx;
    struct rooms__bus_adapter *adapter = calloc(1, sizeof *adapter);
    struct rooms_cluster_options options;
    rooms_cluster_options_init(&options);
    options.request_timeout_ms = bus->options.request_timeout_ms;
    options.heartbeat_interval_ms = 0;
    struct rooms_cluster_setup setup = {.carrier = &carrier_ops,
                                        .options = &options,
                                        .stats = &bus->cluster_stats,
                                        .base = bus->base,
                                        .uid = bus->uid, /* in all namespaces, so that its silence is noticed once */
                                        .nsp = namespace_name,
                                        .local = local};
    if (!adapter) return NULL;
    adapter->cluster.adapter.ops = &bus_ops;
    adapter->bus = bus;
    if (local->recovery) adapter->log = rooms__log_new(local->recovery);
    if ((local->recovery && !adapter->log) || rooms_cluster_init(&adapter->cluster, &setup) != ROOMS_OK) {
        rooms__log_free(adapter->log);
        free(adapter);
        return NULL;
    }
    adapter->origin = rooms__bus_origin(bus->uid);
    adapter->next = bus->adapters;
    if (adapter->next) adapter->next->prev = adapter;
    bus->adapters = adapter;
    rooms__bus_introduce(adapter, NULL);
    return &adapter->cluster.adapter;
}
