/* The adapter of a namespace over PostgreSQL, in the format of @socket.io/postgres-adapter 0.5: one channel,
 * <prefix>#<namespace>, for everything that nodes say. */
#include "rooms_postgresql_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_CAPACITY = 65536 };

static struct rooms__pg_adapter *adapter_of(const struct rooms_cluster *cluster)
{
    return container_of(cluster, struct rooms__pg_adapter, cluster);
}

/* ------------------------------------------------------------------ sending */

/* As JSON, if that fits into a notification; else as msgpack, for a row of the table. Returns what precedes the row's
 * number in its notification, for the caller to clear. */
static int encode(struct rooms__pg_adapter *adapter, const struct rooms_cluster_message *message,
                  struct rooms_packer *header)
{
    struct rooms_packer *payload = &adapter->payload;
    payload->size = 0;
    payload->error = 0;
    int error = rooms_cluster_encode(&adapter->cluster, message, payload);
    bool is_json = message->packet.attachment_count == 0;
    if (error || (is_json && payload->size <= ROOMS__PG_PAYLOAD_MAX)) return error;
    if (is_json) {
        struct rooms_packer json = *payload;
        rooms_packer_init(payload);
        rooms_pack_json(payload, (struct rooms_bytes){json.bytes, json.size}, NULL, 0);
        rooms_packer_clear(&json);
    }
    rooms__pg_header_put(header, rooms_cluster_uid(&adapter->cluster), message->type);
    rooms__put_bytes(header, "", 1);
    return payload->error ? payload->error : header->error;
}

/* PostgreSQL refuses what is not UTF-8, and with it the messages of the same transaction. */
static bool is_valid(const struct rooms_packer *payload, const struct rooms_packer *header)
{
    return header->size > 0 || base_utf8_valid(payload->bytes, payload->size);
}

static int send_message(struct rooms__pg_adapter *adapter, const struct rooms_cluster_message *message)
{
    struct rooms_packer header;
    if (!adapter->channel) {
        rooms__pg_dropped(adapter->pg, "the name of a namespace is too long for a channel");
        return ROOMS_ELIMIT;
    }
    rooms_packer_init(&header);
    int error = encode(adapter, message, &header);
    if (!error && !is_valid(&adapter->payload, &header)) error = ROOMS_EINVAL;
    if (error) {
        rooms__pg_dropped(adapter->pg, error == ROOMS_EINVAL ? "a message is not UTF-8" : "out of memory");
    } else {
        const struct rooms__pg_message sent = {
            .channel = adapter->channel,
            .header = header.size ? (const char *)header.bytes : NULL,
            .payload = {adapter->payload.bytes, adapter->payload.size},
        };
        error = rooms__pg_publish(adapter->pg, &sent);
    }
    rooms_packer_clear(&header);
    if (adapter->payload.capacity > KEPT_CAPACITY) rooms_packer_clear(&adapter->payload);
    return error;
}

/* Requests that would not be answered in time are not queued, nor is what is of no use later. */
static int publish(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    struct rooms__pg_adapter *adapter = adapter_of(cluster);
    bool is_for_now = message->request.n > 0 || message->type == ROOMS_CLUSTER_HEARTBEAT;
    if (is_for_now && !adapter->pg->is_up) return ROOMS_EAWAY;
    return send_message(adapter, message);
}

/* There is one channel: all others get it, and one has asked. */
static int respond(struct rooms_cluster *cluster, struct rooms_name uid, const struct rooms_cluster_message *message)
{
    (void)uid;
    return send_message(adapter_of(cluster), message);
}

static void incomplete(struct rooms_cluster *cluster, const char *missing)
{
    rooms__pg_log(adapter_of(cluster)->pg, ROOMS_LOG_WARN, "a request in %s ended without all responses; missing: %s",
                  rooms_cluster_nsp(cluster).p, missing[0] ? missing : "unknown");
}

/* ---------------------------------------------------------------- receiving */

/* The sender and the namespace come last in what this node writes; nothing that a client says can look like the end of
 * the document. */
bool rooms__pg_adapter_is_own(const struct rooms__pg_adapter *adapter, const struct rooms__pg_header *header,
                              struct rooms_bytes payload)
{
    struct rooms_name uid = rooms_cluster_uid(&adapter->cluster);
    if (header) return strlen(header->uid) == uid.n && memcmp(header->uid, uid.p, uid.n) == 0;
    const struct rooms_packer *own = &adapter->own;
    return payload.n > own->size && memcmp(payload.p + payload.n - own->size, own->bytes, own->size) == 0;
}

void rooms__pg_adapter_take(struct rooms__pg_adapter *adapter, struct rooms_bytes payload)
{
    struct rooms_postgresql *pg = adapter->pg;
    if (rooms_cluster_receive_of_channel(&adapter->cluster, payload) != ROOMS_OK)
        rooms__pg_ignored(pg, "not a message of socket.io's cluster adapters");
}

void rooms__pg_adapter_listening(struct rooms__pg_adapter *adapter)
{
    rooms_cluster_announce(&adapter->cluster);
}

/* --------------------------------------------------------------------- life */

static void adapter_free(struct rooms_adapter *of)
{
    struct rooms__pg_adapter *adapter = adapter_of(container_of(of, struct rooms_cluster, adapter));
    if (adapter->channel) rooms__pg_adapter_remove(adapter->pg, adapter);
    rooms_cluster_clear(&adapter->cluster); /* still says goodbye */
    rooms_packer_clear(&adapter->own);
    rooms_packer_clear(&adapter->payload);
    free(adapter->channel);
    free(adapter);
}

static int name_channel(struct rooms__pg_adapter *adapter)
{
    struct rooms_name nsp = rooms_cluster_nsp(&adapter->cluster), uid = rooms_cluster_uid(&adapter->cluster);
    const char *prefix = adapter->pg->options.channel_prefix;
    size_t size = strlen(prefix) + 1 + nsp.n;
    rooms__put(&adapter->own, ",\"uid\":");
    rooms__put_text(&adapter->own, uid);
    rooms__put(&adapter->own, ",\"nsp\":");
    rooms__put_text(&adapter->own, nsp);
    rooms__put(&adapter->own, "}");
    if (adapter->own.error) return adapter->own.error;
    if (size > ROOMS__PG_CHANNEL_MAX) {
        rooms__pg_log(adapter->pg, ROOMS_LOG_WARN,
                      "postgresql: the namespace %.100s stays on this node: its name is too long for a channel", nsp.p);
        return ROOMS_OK;
    }
    adapter->channel = malloc(size + 1);
    if (!adapter->channel) return ROOMS_ENOMEM;
    snprintf(adapter->channel, size + 1, "%s#%s", prefix, nsp.p);
    int error = rooms__pg_adapter_add(adapter->pg, adapter);
    if (!error) return ROOMS_OK;
    free(adapter->channel);
    adapter->channel = NULL;
    return error;
}

static const struct rooms_adapter_ops adapter_ops = {
    .name = "postgresql",
    .free = adapter_free,
    ROOMS_CLUSTER_OPS,
};
static const struct rooms_carrier_ops carrier_ops = {.publish = publish, .respond = respond, .incomplete = incomplete};

struct rooms_adapter *rooms_adapter_postgresql(void *ctx, const char *namespace_name, const struct rooms_local *local)
{
    struct rooms_postgresql *pg = ctx;
    struct rooms__pg_adapter *adapter = calloc(1, sizeof *adapter);
    if (!adapter) return NULL;
    struct rooms_cluster_options options;
    rooms_cluster_options_init(&options);
    options.request_timeout_ms = pg->options.request_timeout_ms;
    options.heartbeat_interval_ms = pg->options.heartbeat_interval_ms;
    options.heartbeat_timeout_ms = pg->options.heartbeat_timeout_ms;
    options.responses_reach_all = true;
    const struct rooms_cluster_setup setup = {
        .carrier = &carrier_ops,
        .options = &options,
        .stats = &pg->cluster,
        .base = pg->base,
        .nsp = namespace_name,
        .local = local,
    };
    adapter->pg = pg;
    adapter->cluster.adapter.ops = &adapter_ops;
    rooms_packer_init(&adapter->own);
    rooms_packer_init(&adapter->payload);
    if (rooms_cluster_init(&adapter->cluster, &setup) != ROOMS_OK) {
        free(adapter);
        return NULL;
    }
    if (name_channel(adapter) == ROOMS_OK) return &adapter->cluster.adapter;
    adapter_free(&adapter->cluster.adapter);
    return NULL;
}
