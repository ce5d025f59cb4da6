/* The adapter over a carrier: every operation is told to the other nodes, then done here; what they tell is done here.
 */
#include "rooms_cluster_int.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

void rooms__cluster_options_init(struct rooms__cluster_options *options)
{
    *options = (struct rooms__cluster_options){
        .request_timeout_ms = 5000,
        .heartbeat_interval_ms = 5000,
        .heartbeat_timeout_ms = 10000,
        .log_wait_ms = 1000,
        .max_log_wait_bytes = (size_t)16 << 20,
        .max_requests = 10000,
        .max_nodes = 1024,
    };
}

int rooms__cluster_init(struct rooms__cluster *cluster, const struct rooms__cluster_setup *setup)
{
    uint8_t random[ROOMS__UID_SIZE / 2];
    cluster->carrier = setup->carrier;
    cluster->options = *setup->options;
    cluster->stats = setup->stats;
    cluster->adapter.local = *setup->local;
    cluster->nsp = strdup(setup->nsp);
    if (!cluster->nsp) return ROOMS_ENOMEM;
    cluster->nsp_size = strlen(setup->nsp);
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(cluster->uid, sizeof cluster->uid, random, sizeof random);
    randombytes_buf(cluster->key, sizeof cluster->key);
    if (rooms__dues_init(cluster, setup->base) != ROOMS_OK) {
        free(cluster->nsp);
        return ROOMS_ENOMEM;
    }
    rooms__nodes_init(cluster);
    rooms__requests_init(cluster);
    rooms__lane_init(cluster);
    return ROOMS_OK;
}

void rooms__cluster_clear(struct rooms__cluster *cluster)
{
    rooms__cluster_say(cluster, &(struct rooms__cluster_message){.type = ROOMS__ADAPTER_CLOSE});
    rooms__lane_clear(cluster);
    rooms__requests_clear(cluster);
    rooms__dues_clear(cluster);
    rooms__nodes_clear(cluster);
    free(cluster->nsp);
}

/* -------------------------------------------------------------- operations */

int rooms__cluster_say(struct rooms__cluster *cluster, struct rooms__cluster_message *message)
{
    message->uid = (struct rooms_name){cluster->uid, ROOMS__UID_SIZE};
    return cluster->carrier->publish(cluster, message);
}

void rooms__cluster_apply(struct rooms__cluster *cluster, const struct rooms__cluster_message *message,
                          const struct rooms_ack_sink *sink)
{
    const struct rooms_local *local = &cluster->adapter.local;
    switch (message->type) {
    case ROOMS__BROADCAST:
        if (sink)
            local->deliver_with_ack(local->ctx, &message->who, &message->flags, &message->packet, sink);
        else
            local->deliver(local->ctx, &message->who, &message->flags, &message->packet);
        break;
    case ROOMS__SOCKETS_JOIN:
        local->join(local->ctx, &message->who, message->rooms, message->room_count);
        break;
    case ROOMS__SOCKETS_LEAVE:
        local->leave(local->ctx, &message->who, message->rooms, message->room_count);
        break;
    case ROOMS__DISCONNECT_SOCKETS:
        local->disconnect(local->ctx, &message->who, message->close);
        break;
    default:
        break;
    }
}

/* Told first, whether that succeeds or not, then done here: handlers that emit while it is done are told later. */
static int tell_and_apply(struct rooms__cluster *cluster, struct rooms__cluster_message *message)
{
    if (!message->flags.local) rooms__cluster_say(cluster, message);
    rooms__lane_apply(cluster, message, NULL, false);
    return ROOMS_OK;
}

int rooms__cluster_broadcast(struct rooms_adapter *adapter, const struct rooms_selector *who,
                             const struct rooms_flags *flags, const struct rooms_message *message)
{
    struct rooms__cluster *cluster = rooms__cluster_of(adapter);
    struct rooms__cluster_message event = {.type = ROOMS__BROADCAST, .who = *who, .flags = *flags, .packet = *message};
    bool is_logged = cluster->carrier->log && adapter->local.recovery && !flags->is_volatile && !flags->local;
    if (!is_logged) return tell_and_apply(cluster, &event);
    event.uid = (struct rooms_name){cluster->uid, ROOMS__UID_SIZE};
    uint64_t ticket = ++cluster->lane.ticket;
    bool waits = cluster->carrier->log(cluster, &event, ticket) == ROOMS_OK;
    rooms__lane_apply(cluster, &event, NULL, waits);
    return ROOMS_OK;
}

int rooms__cluster_broadcast_with_ack(struct rooms_adapter *adapter, const struct rooms_selector *who,
                                      const struct rooms_flags *flags, const struct rooms_message *message,
                                      const struct rooms_ack_sink *sink)
{
    struct rooms__cluster *cluster = rooms__cluster_of(adapter);
    struct rooms__cluster_message event = {.type = ROOMS__BROADCAST, .who = *who, .flags = *flags, .packet = *message};
    struct rooms_ack_sink kept = *sink;
    struct rooms__asker asker = {.kind = ROOMS__ASK_ACKS, .sink = kept};
    /* Here first, since the asker must know of these clients before it is told that all are counted. It does not wait
     * for the log either. */
    rooms__cluster_apply(cluster, &event, &kept);
    if (flags->local) {
        kept.counted(kept.ctx);
        return ROOMS_OK;
    }
    event.packet.prepared = NULL;
    /* Above the limit only this node's clients are asked. */
    if (rooms__request(cluster, &asker, flags->timeout_ms, &event) != ROOMS_OK) kept.counted(kept.ctx);
    return ROOMS_OK;
}

static int change_rooms(struct rooms_adapter *adapter, enum rooms__cluster_type type, const struct rooms_selector *who,
                        const struct rooms_flags *flags, struct rooms__cluster_message *message)
{
    message->type = type;
    message->who = *who;
    message->flags = *flags;
    return tell_and_apply(rooms__cluster_of(adapter), message);
}

int rooms__cluster_join(struct rooms_adapter *adapter, const struct rooms_selector *who,
                        const struct rooms_flags *flags, const struct rooms_name *rooms, size_t room_count)
{
    return change_rooms(adapter, ROOMS__SOCKETS_JOIN, who, flags,
                        &(struct rooms__cluster_message){.rooms = rooms, .room_count = room_count});
}

int rooms__cluster_leave(struct rooms_adapter *adapter, const struct rooms_selector *who,
                         const struct rooms_flags *flags, const struct rooms_name *rooms, size_t room_count)
{
    return change_rooms(adapter, ROOMS__SOCKETS_LEAVE, who, flags,
                        &(struct rooms__cluster_message){.rooms = rooms, .room_count = room_count});
}

int rooms__cluster_disconnect(struct rooms_adapter *adapter, const struct rooms_selector *who,
                              const struct rooms_flags *flags, bool close)
{
    return change_rooms(adapter, ROOMS__DISCONNECT_SOCKETS, who, flags,
                        &(struct rooms__cluster_message){.close = close});
}

int rooms__cluster_fetch(struct rooms_adapter *adapter, const struct rooms_selector *who,
                         const struct rooms_flags *flags, rooms_fetch_fn each, rooms_done_fn done, void *ctx)
{
    struct rooms__cluster *cluster = rooms__cluster_of(adapter);
    struct rooms__cluster_message message = {.type = ROOMS__FETCH_SOCKETS, .who = *who, .flags = *flags};
    struct rooms__asker asker = {.kind = ROOMS__ASK_SOCKETS, .each = each, .done = done, .ctx = ctx};
    adapter->local.fetch(adapter->local.ctx, who, each, ctx);
    if (flags->local)
        done(ctx, ROOMS_OK);
    else if (rooms__request(cluster, &asker, flags->timeout_ms, &message) != ROOMS_OK)
        done(ctx, ROOMS_ETIMEOUT);
    return ROOMS_OK;
}

int rooms__cluster_server_side_emit(struct rooms_adapter *adapter, const struct rooms_flags *flags,
                                    const struct rooms_message *event, rooms_answer_fn answer, rooms_done_fn done,
                                    void *ctx)
{
    struct rooms__cluster *cluster = rooms__cluster_of(adapter);
    struct rooms__cluster_message message = {.type = ROOMS__SERVER_SIDE_EMIT, .flags = *flags, .packet = *event};
    struct rooms__asker asker = {.kind = ROOMS__ASK_EVENT, .answer = answer, .done = done, .ctx = ctx};
    if (answer && done) return rooms__request(cluster, &asker, flags->timeout_ms, &message);
    int result = rooms__cluster_say(cluster, &message);
    if (result == ROOMS_OK && done) done(ctx, ROOMS_OK);
    return result;
}

int rooms__cluster_server_count(struct rooms_adapter *adapter, void (*result)(void *ctx, int error, size_t servers),
                                void *ctx)
{
    struct rooms__asker asker = {.kind = ROOMS__ASK_COUNT, .count = result, .ctx = ctx};
    return rooms__request(rooms__cluster_of(adapter), &asker, 0, NULL);
}

/* --------------------------------------------------------------- receiving */

static bool is_own(const struct rooms__cluster *cluster, struct rooms_name uid)
{
    return uid.n == ROOMS__UID_SIZE && memcmp(uid.p, cluster->uid, uid.n) == 0;
}

/* Programs that only emit: no node, nobody to wait for. */
static bool is_emitter(struct rooms_name uid)
{
    return uid.n == 0 || (uid.n == 7 && memcmp(uid.p, "emitter", 7) == 0);
}

/* Rooms of which nobody is a member here: then a broadcast is not even looked at. */
static bool is_for_nobody(const struct rooms__cluster *cluster, const struct rooms_selector *who)
{
    struct rooms_index *index = cluster->adapter.local.index;
    if (!index || who->room_count == 0) return false;
    for (size_t i = 0; i < who->room_count; i++)
        if (rooms_find(index, who->rooms[i]) || rooms_member_find(index, who->rooms[i])) return false;
    return true;
}

static void receive_request(struct rooms__cluster *cluster, const struct rooms__cluster_message *message)
{
    if (rooms__request_is_repeated(cluster, message)) return;
    if (message->type == ROOMS__BROADCAST)
        rooms__serve_acks(cluster, message);
    else if (message->type == ROOMS__SERVER_SIDE_EMIT)
        rooms__serve_event(cluster, message);
    else
        rooms__serve_sockets(cluster, message);
}

static void receive(struct rooms__cluster *cluster, const struct rooms__cluster_message *message)
{
    switch (message->type) {
    case ROOMS__INITIAL_HEARTBEAT:
        if (cluster->options.heartbeat_interval_ms)
            rooms__cluster_say(cluster, &(struct rooms__cluster_message){.type = ROOMS__HEARTBEAT});
        break;
    case ROOMS__HEARTBEAT:
        break;
    case ROOMS__BROADCAST:
    case ROOMS__SERVER_SIDE_EMIT:
        if (message->request.n)
            receive_request(cluster, message);
        else if (message->type == ROOMS__SERVER_SIDE_EMIT)
            rooms__serve_event(cluster, message);
        else if (!is_for_nobody(cluster, &message->who))
            rooms__cluster_apply(cluster, message, NULL);
        break;
    case ROOMS__FETCH_SOCKETS:
        if (message->request.n)
            receive_request(cluster, message);
        else
            cluster->stats->ignored++;
        break;
    case ROOMS__SOCKETS_JOIN:
    case ROOMS__SOCKETS_LEAVE:
    case ROOMS__DISCONNECT_SOCKETS:
        rooms__cluster_apply(cluster, message, NULL);
        break;
    case ROOMS__FETCH_SOCKETS_RESPONSE:
    case ROOMS__SERVER_SIDE_EMIT_RESPONSE:
    case ROOMS__BROADCAST_CLIENT_COUNT:
    case ROOMS__BROADCAST_ACK:
        rooms__request_answered(cluster, message);
        break;
    case ROOMS__ADAPTER_CLOSE:
        rooms__cluster_node_gone(cluster, message->uid);
        break;
    default:
        cluster->stats->ignored++;
    }
}

void rooms__cluster_receive(struct rooms__cluster *cluster, const struct rooms__cluster_message *message)
{
    if (is_own(cluster, message->uid)) return;
    bool beats = message->type == ROOMS__INITIAL_HEARTBEAT || message->type == ROOMS__HEARTBEAT;
    if (!is_emitter(message->uid) && message->type != ROOMS__ADAPTER_CLOSE)
        rooms__nodes_heard(cluster, message->uid, beats);
    receive(cluster, message);
}
