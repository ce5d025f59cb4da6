/* The adapter on Redis streams. Changes and broadcasts go into the stream, where nodes that were away find them;
 * requests go to channels.
 *
 * With recovery on, this node delivers its own broadcasts when the reader comes to them, not when Redis has accepted
 * them: so every client gets the log's order, and its last offset covers all it has received. */
#include "rooms_redis_streams.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { XADD_ARGS = 13, NUMBER_SIZE = 24, KEPT_CAPACITY = 65536 };

/* --------------------------------------------------------------- publishing */

static void on_added(void *ctx, const struct redisReply *reply);

static bool is_for_channels(const struct rooms_cluster_message *message)
{
    switch (message->type) {
    case ROOMS_CLUSTER_SOCKETS_JOIN:
    case ROOMS_CLUSTER_SOCKETS_LEAVE:
    case ROOMS_CLUSTER_DISCONNECT_SOCKETS:
        return false;
    case ROOMS_CLUSTER_BROADCAST:
        return message->request.n > 0;
    default:
        return true;
    }
}

static uint64_t hash_of(const struct rooms__streams_adapter *adapter, struct rooms_bytes data)
{
    uint64_t hash;
    crypto_shorthash((uint8_t *)&hash, data.p, data.n, adapter->carrier.cluster.state->key);
    return hash;
}

/* pending NULL: posted, and the id does not matter. */
static int add_entry(struct rooms__streams_adapter *adapter, const struct rooms_cluster_message *message,
                     struct rooms__stream_pending *pending)
{
    struct rooms__redis_carrier *carrier = &adapter->carrier;
    struct rooms_packer *data = &carrier->payload;
    char length[NUMBER_SIZE], type[NUMBER_SIZE];
    snprintf(length, sizeof length, "%u", rooms__redis_options(carrier->redis)->stream_max_length);
    snprintf(type, sizeof type, "%d", (int)message->type);
    data->size = 0;
    data->error = 0;
    rooms__cluster_put_field(data, message);
    if (data->error) return data->error;
    const struct rooms_bytes args[XADD_ARGS] = {
        rooms__text("XADD"),   rooms__text(adapter->stream->name),
        rooms__text("MAXLEN"), rooms__text("~"),
        rooms__text(length),   rooms__text("*"),
        rooms__text("uid"),    rooms__bytes(rooms_cluster_uid(&carrier->cluster)),
        rooms__text("nsp"),    rooms__bytes(rooms_cluster_nsp(&carrier->cluster)),
        rooms__text("type"),   rooms__text(type),
        rooms__text("data"),
    };
    struct rooms_bytes all[XADD_ARGS + 1];
    memcpy(all, args, sizeof args);
    all[XADD_ARGS] = (struct rooms_bytes){data->bytes, data->size};
    struct rooms__redis_command command = {.args = all, .arg_count = XADD_ARGS + 1, .fn = on_added, .ctx = adapter};
    if (pending) pending->hash = hash_of(adapter, all[XADD_ARGS]);
    int error =
        pending ? rooms__redis_ask(carrier->redis, &command) : rooms__redis_post(carrier->redis, all, XADD_ARGS + 1);
    if (data->capacity > KEPT_CAPACITY) rooms_packer_clear(data);
    return error;
}

/* Requests that would not be answered in time are not queued. */
static int streams_publish(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    struct rooms__streams_adapter *adapter = rooms__streams_adapter_of(cluster);
    struct rooms_name all = {NULL, 0};
    if (!is_for_channels(message)) return add_entry(adapter, message, NULL);
    if (message->request.n && !rooms__redis_is_up(adapter->carrier.redis)) return ROOMS_EAWAY;
    return rooms__redis_carrier_publish(&adapter->carrier, all, message, ROOMS__FORM_MSGPACK);
}

static int streams_respond(struct rooms_cluster *cluster, struct rooms_name uid,
                           const struct rooms_cluster_message *message)
{
    return rooms__redis_carrier_publish(rooms__redis_carrier_of(cluster), uid, message, ROOMS__FORM_MSGPACK);
}

/* ------------------------------------------------------------ own broadcasts */

static void logged(struct rooms__streams_adapter *adapter, struct rooms__stream_pending *pending)
{
    char offset[ROOMS_OFFSET_SIZE];
    pending->done = true;
    rooms_cluster_logged(&adapter->carrier.cluster, pending->ticket, rooms__stream_id_put(pending->id, offset));
}

/* Those in front that Redis has answered and that were delivered. */
static void forget_done(struct rooms__streams_adapter *adapter)
{
    while (adapter->pending_first && adapter->pending_first->replied && adapter->pending_first->done) {
        struct rooms__stream_pending *pending = adapter->pending_first;
        adapter->pending_first = pending->next;
        if (!adapter->pending_first) adapter->pending_last = NULL;
        free(pending);
    }
}

static struct rooms__stream_pending *first_unanswered(struct rooms__streams_adapter *adapter)
{
    struct rooms__stream_pending *pending = adapter->pending_first;
    while (pending && pending->replied) pending = pending->next;
    return pending;
}

/* Redis answers in order; without an answer it is unknown whether the entry is in the log. */
static void on_added(void *ctx, const struct redisReply *reply)
{
    struct rooms__streams_adapter *adapter = ctx;
    struct rooms__stream_pending *pending = first_unanswered(adapter);
    if (!pending) return;
    struct rooms_name text = {NULL, 0};
    struct rooms_name none = {NULL, 0};
    if (reply && reply->type == REDIS_REPLY_STRING) text = (struct rooms_name){reply->str, (size_t)reply->len};
    pending->replied = true;
    if (!pending->done && !rooms__stream_id_read(text, &pending->id)) {
        pending->done = true;
        rooms_cluster_logged(&adapter->carrier.cluster, pending->ticket, none);
    } else if (!pending->done && !rooms__stream_id_after(pending->id, adapter->stream->last)) {
        logged(adapter, pending); /* the reader was faster, or is not there yet */
    }
    forget_done(adapter);
}

/* The reader may come to an entry before Redis' answer arrives: then it is recognised by its contents. */
static void own_entry(struct rooms__streams_adapter *adapter, const struct rooms__stream_entry *entry)
{
    struct rooms__stream_pending *pending = adapter->pending_first;
    uint64_t hash = pending ? hash_of(adapter, entry->data) : 0;
    while (pending && (pending->done || pending->hash != hash ||
                       (pending->replied && (pending->id.ms != entry->id.ms || pending->id.seq != entry->id.seq))))
        pending = pending->next;
    if (!pending) return;
    pending->id = entry->id;
    logged(adapter, pending);
    forget_done(adapter);
}

/* What the reader has passed without seeing it was trimmed from the log before it could be read. */
void rooms__streams_moved(struct rooms__streams_adapter *adapter)
{
    struct rooms__stream_pending *pending = adapter->pending_first;
    while (pending && pending->replied && !rooms__stream_id_after(pending->id, adapter->stream->last)) {
        if (!pending->done) logged(adapter, pending);
        pending = pending->next;
    }
    forget_done(adapter);
    rooms__sessions_moved(adapter);
}

static int streams_log(struct rooms_cluster *cluster, const struct rooms_cluster_message *message, uint64_t ticket)
{
    struct rooms__streams_adapter *adapter = rooms__streams_adapter_of(cluster);
    struct rooms__stream_pending *pending = calloc(1, sizeof *pending);
    int error = pending ? add_entry(adapter, message, pending) : ROOMS_ENOMEM;
    if (error) {
        free(pending);
        add_entry(adapter, message, NULL); /* for the others, later */
        return error;
    }
    pending->ticket = ticket;
    if (adapter->pending_last)
        adapter->pending_last->next = pending;
    else
        adapter->pending_first = pending;
    adapter->pending_last = pending;
    return ROOMS_OK;
}

/* ------------------------------------------------------------------ reading */

void rooms__streams_take(struct rooms__streams_adapter *adapter, const struct rooms__stream_entry *entry)
{
    struct rooms_cluster *cluster = &adapter->carrier.cluster;
    struct rooms__cluster_reading reading;
    char offset[ROOMS_OFFSET_SIZE];
    bool is_own = entry->uid.n == ROOMS_UID_SIZE && memcmp(entry->uid.p, cluster->state->uid, entry->uid.n) == 0;
    if (!is_own || rooms__sessions_listen(adapter)) {
        if (rooms__cluster_read_fields(&reading, entry->uid, entry->type, entry->data) != ROOMS_OK) {
            rooms__redis_ignored(adapter->carrier.redis, "stream entry is not a message");
            return;
        }
        struct rooms_cluster_message *message = &reading.message;
        bool is_event =
            message->type == ROOMS_CLUSTER_BROADCAST && message->request.n == 0 && !message->flags.is_volatile;
        if (is_event && cluster->adapter.local.recovery) {
            message->packet.offset = rooms__stream_id_put(entry->id, offset);
            rooms__sessions_take(adapter, message);
        }
        rooms_cluster_receive(cluster, message);
        rooms__cluster_reading_clear(&reading);
    }
    if (is_own) own_entry(adapter, entry);
}

/* --------------------------------------------------------------------- life */

static void streams_free(struct rooms_adapter *base)
{
    struct rooms__streams_adapter *adapter = rooms__streams_adapter_of(rooms__cluster_of(base));
    rooms__sessions_clear(adapter);
    rooms__evictions_leave(adapter);
    rooms__redis_carrier_clear(&adapter->carrier); /* publishes the goodbye, and delivers what waits for the log */
    rooms__streams_leave(adapter);
    while (adapter->pending_first) {
        adapter->pending_first->replied = adapter->pending_first->done = true;
        forget_done(adapter);
    }
    free(adapter);
}

static const struct rooms_adapter_ops streams_ops = {
    .name = "redis-streams",
    .free = streams_free,
    ROOMS_CLUSTER_OPS,
    .session_save = rooms__sessions_save,
    .session_restore = rooms__sessions_restore,
    .replay = rooms__sessions_replay,
    .last_offset = rooms__sessions_last_offset,
};

static const struct rooms_carrier_ops carrier_ops = {
    .publish = streams_publish,
    .respond = streams_respond,
    .count_others = rooms__redis_carrier_count,
    .incomplete = rooms__redis_carrier_incomplete,
    .log = streams_log,
};

struct rooms_adapter *rooms_adapter_redis_streams(void *ctx, const char *namespace_name,
                                                  const struct rooms_local *local)
{
    struct rooms__streams_adapter *adapter = calloc(1, sizeof *adapter);
    if (!adapter) return NULL;
    struct rooms__redis_carrier_setup setup = {
        .redis = ctx,
        .kind = ROOMS__REDIS_CHANNEL,
        .ops = &streams_ops,
        .carrier = &carrier_ops,
        .nsp = namespace_name,
        .local = local,
    };
    if (rooms__redis_carrier_init(&adapter->carrier, &setup) != ROOMS_OK) {
        free(adapter);
        return NULL;
    }
    if (rooms__evictions_enter(adapter) == ROOMS_OK) {
        if (rooms__streams_enter(adapter) == ROOMS_OK) return &adapter->carrier.cluster.adapter;
        rooms__evictions_leave(adapter);
    }
    rooms__redis_carrier_clear(&adapter->carrier);
    free(adapter);
    return NULL;
}
