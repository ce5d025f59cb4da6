/* The adapter over a carrier. Each operation is published to the other nodes and then applied here; messages of other
 * nodes are applied here. */
#include "rooms_cluster_int.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rooms_cluster_options_init(struct rooms_cluster_options *options)
{
    *options = (struct rooms_cluster_options){
        .request_timeout_ms = 5000,
        .heartbeat_interval_ms = 5000,
        .heartbeat_timeout_ms = 10000,
        .log_wait_ms = 1000,
        .max_log_wait_bytes = (size_t)16 << 20,
        .max_requests = 10000,
        .max_nodes = 1024,
    };
}

static void set_uid(struct rooms_cluster_state *state, const char *uid)
{
    uint8_t random[ROOMS_UID_SIZE / 2];
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(state->uid, sizeof state->uid, random, sizeof random);
    if (uid) snprintf(state->uid, sizeof state->uid, "%s", uid);
}

static void state_free(struct rooms_cluster *cluster)
{
    struct rooms_cluster_state *state = cluster->state;
    rooms__nodes_clear(cluster);
    base_timer_clear(&state->lane.timer);
    base_timers_clear(&state->timers);
    free(state->nsp);
    free(state);
    cluster->state = NULL;
}

int rooms_cluster_init(struct rooms_cluster *cluster, const struct rooms_cluster_setup *setup)
{
    if (setup->uid && strlen(setup->uid) != ROOMS_UID_SIZE) return ROOMS_EINVAL;
    struct rooms_cluster_state *state = calloc(1, sizeof *state);
    if (!state) return ROOMS_ENOMEM;
    cluster->state = state;
    cluster->adapter.local = *setup->local;
    state->carrier = setup->carrier;
    if (setup->options)
        state->options = *setup->options;
    else
        rooms_cluster_options_init(&state->options);
    state->stats = setup->stats ? setup->stats : &state->own_stats;
    set_uid(state, setup->uid);
    randombytes_buf(state->key, sizeof state->key);
    state->nsp = strdup(setup->nsp);
    state->nsp_size = strlen(setup->nsp);
    const struct rooms_local *local = &cluster->adapter.local;
    if (!state->nsp || base_timers_init(&state->timers, setup->base, local->now_ms, local->ctx) != BASE_OK) {
        state_free(cluster);
        return ROOMS_ENOMEM;
    }
    rooms__requests_init(cluster);
    int error = rooms__nodes_init(cluster);
    if (!error) error = rooms__lane_init(cluster);
    if (error) state_free(cluster);
    return error;
}

void rooms_cluster_clear(struct rooms_cluster *cluster)
{
    rooms__cluster_say(cluster, &(struct rooms_cluster_message){.type = ROOMS_CLUSTER_ADAPTER_CLOSE});
    rooms__lane_flush(cluster);
    rooms__requests_clear(cluster);
    state_free(cluster);
}

void rooms_cluster_tick(struct rooms_cluster *cluster)
{
    base_timers_run(&cluster->state->timers);
}

struct rooms_name rooms_cluster_uid(const struct rooms_cluster *cluster)
{
    return (struct rooms_name){cluster->state->uid, ROOMS_UID_SIZE};
}

struct rooms_name rooms_cluster_nsp(const struct rooms_cluster *cluster)
{
    return (struct rooms_name){cluster->state->nsp, cluster->state->nsp_size};
}

/* -------------------------------------------------------------- operations */

int rooms__cluster_say(struct rooms_cluster *cluster, struct rooms_cluster_message *message)
{
    message->uid = rooms_cluster_uid(cluster);
    return cluster->state->carrier->publish(cluster, message);
}

void rooms__cluster_apply(struct rooms_cluster *cluster, const struct rooms_cluster_message *message,
                          const struct rooms_ack_sink *sink)
{
    const struct rooms_local *local = &cluster->adapter.local;
    switch (message->type) {
    case ROOMS_CLUSTER_BROADCAST:
        if (sink)
            local->deliver_with_ack(local->ctx, &message->who, &message->flags, &message->packet, sink);
        else
            local->deliver(local->ctx, &message->who, &message->flags, &message->packet);
        break;
    case ROOMS_CLUSTER_SOCKETS_JOIN:
        local->join(local->ctx, &message->who, message->rooms, message->room_count);
        break;
    case ROOMS_CLUSTER_SOCKETS_LEAVE:
        local->leave(local->ctx, &message->who, message->rooms, message->room_count);
        break;
    case ROOMS_CLUSTER_DISCONNECT_SOCKETS:
        local->disconnect(local->ctx, &message->who, message->close);
        break;
    default:
        break;
    }
}

/* Published first, and applied here whether or not that succeeds: what handlers emit meanwhile is published after it.
 */
static int tell_and_apply(struct rooms_cluster *cluster, struct rooms_cluster_message *message)
{
    if (!message->flags.local) rooms__cluster_say(cluster, message);
    rooms__lane_apply(cluster, message, NULL, false);
    return ROOMS_OK;
}

int rooms_cluster_broadcast(struct rooms_adapter *adapter, const struct rooms_selector *who,
                            const struct rooms_flags *flags, const struct rooms_message *message)
{
    struct rooms_cluster *cluster = rooms__cluster_of(adapter);
    struct rooms_cluster_message event = {
        .type = ROOMS_CLUSTER_BROADCAST, .who = *who, .flags = *flags, .packet = *message};
    bool is_logged = cluster->state->carrier->log && adapter->local.recovery && !flags->is_volatile && !flags->local;
    if (!is_logged) return tell_and_apply(cluster, &event);
    event.uid = rooms_cluster_uid(cluster);
    uint64_t ticket = ++cluster->state->lane.ticket;
    bool waits = cluster->state->carrier->log(cluster, &event, ticket) == ROOMS_OK;
    rooms__lane_apply(cluster, &event, NULL, waits);
    return ROOMS_OK;
}

int rooms_cluster_broadcast_with_ack(struct rooms_adapter *adapter, const struct rooms_selector *who,
                                     const struct rooms_flags *flags, const struct rooms_message *message,
                                     const struct rooms_ack_sink *sink)
{
    struct rooms_cluster *cluster = rooms__cluster_of(adapter);
    struct rooms_cluster_message event = {
        .type = ROOMS_CLUSTER_BROADCAST, .who = *who, .flags = *flags, .packet = *message};
    struct rooms_ack_sink kept = *sink;
    struct rooms__asker asker = {.kind = ROOMS__ASK_ACKS, .sink = kept};
    /* Here first: the caller must know of these clients before it learns that all are counted. Does not wait for the
     * log either. */
    rooms__cluster_apply(cluster, &event, &kept);
    if (flags->local) {
        kept.counted(kept.ctx);
        return ROOMS_OK;
    }
    event.packet.prepared = NULL;
    /* Above the limit only this node's clients are asked for acks. */
    if (rooms__request(cluster, &asker, flags->timeout_ms, &event) != ROOMS_OK) kept.counted(kept.ctx);
    return ROOMS_OK;
}

static int change_rooms(struct rooms_adapter *adapter, enum rooms_cluster_type type, const struct rooms_selector *who,
                        const struct rooms_flags *flags, struct rooms_cluster_message *message)
{
    message->type = type;
    message->who = *who;
    message->flags = *flags;
    return tell_and_apply(rooms__cluster_of(adapter), message);
}

int rooms_cluster_join(struct rooms_adapter *adapter, const struct rooms_selector *who, const struct rooms_flags *flags,
                       const struct rooms_name *rooms, size_t room_count)
{
    return change_rooms(adapter, ROOMS_CLUSTER_SOCKETS_JOIN, who, flags,
                        &(struct rooms_cluster_message){.rooms = rooms, .room_count = room_count});
}

int rooms_cluster_leave(struct rooms_adapter *adapter, const struct rooms_selector *who,
                        const struct rooms_flags *flags, const struct rooms_name *rooms, size_t room_count)
{
    return change_rooms(adapter, ROOMS_CLUSTER_SOCKETS_LEAVE, who, flags,
                        &(struct rooms_cluster_message){.rooms = rooms, .room_count = room_count});
}

int rooms_cluster_disconnect(struct rooms_adapter *adapter, const struct rooms_selector *who,
                             const struct rooms_flags *flags, bool close)
{
    return change_rooms(adapter, ROOMS_CLUSTER_DISCONNECT_SOCKETS, who, flags,
                        &(struct rooms_cluster_message){.close = close});
}

int rooms_cluster_fetch(struct rooms_adapter *adapter, const struct rooms_selector *who,
                        const struct rooms_flags *flags, rooms_fetch_fn each, rooms_done_fn done, void *ctx)
{
    struct rooms_cluster *cluster = rooms__cluster_of(adapter);
    struct rooms_cluster_message message = {.type = ROOMS_CLUSTER_FETCH_SOCKETS, .who = *who, .flags = *flags};
    struct rooms__asker asker = {.kind = ROOMS__ASK_SOCKETS, .each = each, .done = done, .ctx = ctx};
    adapter->local.fetch(adapter->local.ctx, who, each, ctx);
    if (flags->local)
        done(ctx, ROOMS_OK);
    else if (rooms__request(cluster, &asker, flags->timeout_ms, &message) != ROOMS_OK)
        done(ctx, ROOMS_ETIMEOUT);
    return ROOMS_OK;
}

int rooms_cluster_server_side_emit(struct rooms_adapter *adapter, const struct rooms_flags *flags,
                                   const struct rooms_message *event, rooms_answer_fn answer, rooms_done_fn done,
                                   void *ctx)
{
    struct rooms_cluster *cluster = rooms__cluster_of(adapter);
    struct rooms_cluster_message message = {.type = ROOMS_CLUSTER_SERVER_SIDE_EMIT, .flags = *flags, .packet = *event};
    struct rooms__asker asker = {.kind = ROOMS__ASK_EVENT, .answer = answer, .done = done, .ctx = ctx};
    if (answer && done) return rooms__request(cluster, &asker, flags->timeout_ms, &message);
    int result = rooms__cluster_say(cluster, &message);
    if (result == ROOMS_OK && done) done(ctx, ROOMS_OK);
    return result;
}

int rooms_cluster_server_count(struct rooms_adapter *adapter, void (*result)(void *ctx, int error, size_t servers),
                               void *ctx)
{
    struct rooms__asker asker = {.kind = ROOMS__ASK_COUNT, .count = result, .ctx = ctx};
    return rooms__request(rooms__cluster_of(adapter), &asker, 0, NULL);
}

/* --------------------------------------------------------------- receiving */

static bool is_own(const struct rooms_cluster *cluster, struct rooms_name uid)
{
    return uid.n == ROOMS_UID_SIZE && memcmp(uid.p, cluster->state->uid, uid.n) == 0;
}

/* Programs that only emit are not nodes, and never answer. */
static bool is_emitter(struct rooms_name uid)
{
    return uid.n == 0 || (uid.n == 7 && memcmp(uid.p, "emitter", 7) == 0);
}

/* Returns true if no member is in any of the rooms, so that the broadcast need not be looked at. */
static bool is_for_nobody(const struct rooms_cluster *cluster, const struct rooms_selector *who)
{
    struct rooms_index *index = cluster->adapter.local.index;
    if (!index || who->room_count == 0) return false;
    for (size_t i = 0; i < who->room_count; i++)
        if (rooms_find(index, who->rooms[i]) || rooms_member_find(index, who->rooms[i])) return false;
    return true;
}

static void receive_request(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    if (rooms__request_is_repeated(cluster, message)) return;
    if (message->type == ROOMS_CLUSTER_BROADCAST)
        rooms__serve_acks(cluster, message);
    else if (message->type == ROOMS_CLUSTER_SERVER_SIDE_EMIT)
        rooms__serve_event(cluster, message);
    else
        rooms__serve_sockets(cluster, message);
}

static void receive(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    switch (message->type) {
    case ROOMS_CLUSTER_INITIAL_HEARTBEAT:
        if (cluster->state->options.heartbeat_interval_ms)
            rooms__cluster_say(cluster, &(struct rooms_cluster_message){.type = ROOMS_CLUSTER_HEARTBEAT});
        break;
    case ROOMS_CLUSTER_HEARTBEAT:
        break;
    case ROOMS_CLUSTER_BROADCAST:
    case ROOMS_CLUSTER_SERVER_SIDE_EMIT:
        if (message->request.n)
            receive_request(cluster, message);
        else if (message->type == ROOMS_CLUSTER_SERVER_SIDE_EMIT)
            rooms__serve_event(cluster, message);
        else if (!is_for_nobody(cluster, &message->who))
            rooms__cluster_apply(cluster, message, NULL);
        break;
    case ROOMS_CLUSTER_FETCH_SOCKETS:
        if (message->request.n)
            receive_request(cluster, message);
        else
            cluster->state->stats->ignored++;
        break;
    case ROOMS_CLUSTER_SOCKETS_JOIN:
    case ROOMS_CLUSTER_SOCKETS_LEAVE:
    case ROOMS_CLUSTER_DISCONNECT_SOCKETS:
        rooms__cluster_apply(cluster, message, NULL);
        break;
    case ROOMS_CLUSTER_FETCH_SOCKETS_RESPONSE:
    case ROOMS_CLUSTER_SERVER_SIDE_EMIT_RESPONSE:
    case ROOMS_CLUSTER_BROADCAST_CLIENT_COUNT:
    case ROOMS_CLUSTER_BROADCAST_ACK:
        rooms__request_answered(cluster, message);
        break;
    case ROOMS_CLUSTER_ADAPTER_CLOSE:
        rooms_cluster_node_gone(cluster, message->uid);
        break;
    default:
        cluster->state->stats->ignored++;
    }
}

void rooms_cluster_receive(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    if (is_own(cluster, message->uid)) return;
    bool beats = message->type == ROOMS_CLUSTER_INITIAL_HEARTBEAT || message->type == ROOMS_CLUSTER_HEARTBEAT;
    if (!is_emitter(message->uid) && message->type != ROOMS_CLUSTER_ADAPTER_CLOSE)
        rooms__nodes_heard(cluster, message->uid, beats);
    receive(cluster, message);
}
