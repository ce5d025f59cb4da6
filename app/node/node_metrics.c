/* The numbers of what moves between nodes. They are there, and zero, where a process is alone. */
#include "node_cluster.h"

#include "kit_metrics.h"

/* ----------------------------------------------------------- other workers */

#define KIT_NUMBERS struct rooms_bus_stats

static void read_bus(void *ctx, void *numbers)
{
    if (ctx) rooms_bus_get_stats(ctx, numbers);
}

static const struct kit_metric bus_rows[] = {
    KIT_GAUGE_ROW("bus_peers", peers, "Other workers this worker is connected to."),
    KIT_GAUGE_ROW("bus_silent", silent, "Connected workers that are unresponsive."),
    KIT_GAUGE_ROW("bus_queued_bytes", queued_bytes, "Bytes queued for other workers."),
    KIT_COUNTER_ROW("bus_sent_total", sent, "Messages sent to other workers, counted per receiver."),
    KIT_COUNTER_ROW("bus_sent_bytes_total", sent_bytes, "Bytes sent to other workers."),
    KIT_COUNTER_ROW("bus_filtered_total", filtered,
                    "Messages not sent because the worker has no sockets in their rooms."),
    KIT_COUNTER_ROW("bus_received_total", received, "Messages received from other workers."),
    KIT_COUNTER_ROW("bus_received_bytes_total", received_bytes, "Bytes received from other workers."),
    KIT_COUNTER_ROW("bus_dropped_total", dropped,
                    "Messages dropped because of bus_max_queue_bytes or bus_max_message_bytes."),
    KIT_COUNTER_ROW("bus_garbage_total", garbage, "Connections to other workers closed because of malformed messages."),
    KIT_COUNTER_ROW("bus_sessions_given_total", sessions_given, "Sessions recovered by other workers."),
    KIT_COUNTER_ROW("bus_sessions_taken_total", sessions_taken, "Sessions recovered from other workers."),
    KIT_COUNTER_ROW("bus_writes_total", writes, "Write system calls to other workers."),
    KIT_COUNTER_ROW("bus_requests_total", requests, "Requests to other workers."),
    KIT_COUNTER_ROW("bus_request_timeouts_total", request_timeouts, "Requests that not all workers answered in time."),
};
static const struct kit_metric_set bus_set = KIT_METRIC_SET(bus_rows, read_bus);
#undef KIT_NUMBERS

/* ------------------------------------------------------------------- Redis */

#define KIT_NUMBERS struct rooms_redis_stats

static void read_redis(void *ctx, void *numbers)
{
    if (ctx) rooms_redis_get_stats(ctx, numbers);
}

static const struct kit_metric redis_rows[] = {
    KIT_GAUGE_ROW("redis_up", connected, "1 if Redis is connected and all subscriptions are active, else 0."),
    KIT_GAUGE_MS_ROW("redis_degraded_seconds", degraded_ms,
                     "Time since Redis became unavailable; 0 while it is available."),
    KIT_GAUGE_ROW("redis_subscriptions", subscriptions, "Channels and patterns subscribed to."),
    KIT_GAUGE_ROW("redis_requests", requests, "Pending requests to Redis."),
    KIT_GAUGE_ROW("redis_pending", pending, "Messages waiting to be published."),
    KIT_GAUGE_ROW("redis_pending_bytes", pending_bytes, "Bytes of them."),
    KIT_COUNTER_ROW("redis_published_total", published, "Messages published."),
    KIT_COUNTER_ROW("redis_published_bytes_total", published_bytes, "Bytes of them."),
    KIT_COUNTER_ROW("redis_received_total", received, "Messages received from subscriptions."),
    KIT_COUNTER_ROW("redis_received_bytes_total", received_bytes, "Bytes of them."),
    KIT_COUNTER_ROW("redis_ignored_total", ignored, "Malformed messages, ignored."),
    KIT_COUNTER_ROW("redis_dropped_total", dropped,
                    "Messages dropped because of redis_max_pending_bytes or redis_max_message_bytes."),
    KIT_COUNTER_ROW("redis_refused_total", refused, "Messages Redis refused."),
    KIT_COUNTER_ROW("redis_lost_total", lost, "Connections lost, and failed attempts to connect."),
    KIT_COUNTER_ROW("redis_request_timeouts_total", request_timeouts, "Requests to Redis not answered in time."),
};
static const struct kit_metric_set redis_set = KIT_METRIC_SET(redis_rows, read_redis);
#undef KIT_NUMBERS

/* -------------------------------------------------------------- PostgreSQL */

#define KIT_NUMBERS struct rooms_postgresql_stats

static void read_postgresql(void *ctx, void *numbers)
{
    if (ctx) rooms_postgresql_get_stats(ctx, numbers);
}

static const struct kit_metric postgresql_rows[] = {
    KIT_GAUGE_ROW("cluster_up", connected, "1 if both connections to the cluster's PostgreSQL are ready, else 0."),
    KIT_GAUGE_MS_ROW("cluster_degraded_seconds", degraded_ms,
                     "Time since it became unavailable or refused commands; 0 while it is available."),
    KIT_GAUGE_ROW("cluster_channels", channels, "Channels listened to, one for each namespace."),
    KIT_GAUGE_ROW("cluster_pending", pending, "Messages waiting to be published."),
    KIT_GAUGE_ROW("cluster_pending_bytes", pending_bytes, "Bytes of them."),
    KIT_GAUGE_ROW("cluster_waiting", waiting, "Messages that arrived behind one whose attachment is being read."),
    KIT_GAUGE_ROW("cluster_waiting_bytes", waiting_bytes, "Bytes of them."),
    KIT_COUNTER_ROW("cluster_published_total", published, "Messages published."),
    KIT_COUNTER_ROW("cluster_published_bytes_total", published_bytes, "Bytes of them."),
    KIT_COUNTER_ROW("cluster_transactions_total", transactions, "Transactions that published them."),
    KIT_COUNTER_ROW("cluster_received_total", received, "Messages received from other nodes."),
    KIT_COUNTER_ROW("cluster_received_bytes_total", received_bytes, "Bytes of them, without attachments."),
    KIT_COUNTER_ROW("cluster_attachments_sent_total", attachments_sent, "Messages stored as attachments."),
    KIT_COUNTER_ROW("cluster_attachments_read_total", attachments_read, "Attachments of other nodes read."),
    KIT_COUNTER_ROW("cluster_attachments_missed_total", attachments_missed,
                    "Attachments that were gone, too large, or not read in time."),
    KIT_COUNTER_ROW("cluster_attachments_deleted_total", attachments_deleted,
                    "Attachments deleted by this node because of cluster_cleanup_interval_ms."),
    KIT_COUNTER_ROW("cluster_ignored_total", ignored, "Malformed messages, ignored."),
    KIT_COUNTER_ROW(
        "cluster_dropped_total", dropped,
        "Messages dropped because of cluster_max_pending_bytes, cluster_max_message_bytes, or a namespace's "
        "long name."),
    KIT_COUNTER_ROW("cluster_refused_total", refused, "Messages PostgreSQL refused."),
    KIT_COUNTER_ROW("cluster_lost_total", lost, "Connections lost, and failed attempts to connect."),
    KIT_COUNTER_ROW("cluster_request_timeouts_total", request_timeouts,
                    "Requests that not all other nodes answered in time."),
    KIT_COUNTER_ROW("cluster_nodes_lost_total", nodes_lost, "Other nodes considered gone because of their silence."),
};
static const struct kit_metric_set postgresql_set = KIT_METRIC_SET(postgresql_rows, read_postgresql);
#undef KIT_NUMBERS

/* ----------------------------------------------------------------- tunnels */

struct tunnel_numbers {
    struct sio_tunnel_stats stats;
    uint64_t declined;
};
#define KIT_NUMBERS struct tunnel_numbers

static void read_tunnels(void *ctx, void *numbers)
{
    struct tunnel_numbers *out = numbers;
    if (!ctx) return;
    sio_tunnels_get_stats(ctx, &out->stats);
    out->declined = out->stats.declined + out->stats.refused;
}

static const struct kit_metric tunnel_rows[] = {
    KIT_GAUGE_ROW("tunnels", stats.tunnels, "Open connections carried through Redis, to or from another machine."),
    KIT_COUNTER_ROW("tunnels_opened_total", stats.opened, "Connections carried to another machine."),
    KIT_COUNTER_ROW("tunnels_accepted_total", stats.accepted, "Connections carried from another machine."),
    KIT_COUNTER_ROW("tunnels_declined_total", declined,
                    "Connections that could not be carried because of limits or memory."),
    KIT_COUNTER_ROW("tunnels_given_back_total", stats.given_back, "Connections whose owning node did not answer."),
    KIT_COUNTER_ROW("tunnels_resets_total", stats.resets, "Carried connections that failed."),
    KIT_COUNTER_ROW("tunnels_peers_lost_total", stats.peers_lost,
                    "Machines considered gone because their heartbeats stopped."),
    KIT_COUNTER_ROW("tunnels_ignored_total", stats.ignored, "Malformed messages about carried connections, ignored."),
};
static const struct kit_metric_set tunnel_set = KIT_METRIC_SET(tunnel_rows, read_tunnels);

int node_metrics_add(struct kit *kit, const struct node_sources *sources)
{
    int failed = kit_metrics_add(kit, &tunnel_set, sources->tunnels);
    if (!failed) failed = kit_metrics_add(kit, &bus_set, sources->bus);
    if (!failed) failed = kit_metrics_add(kit, &postgresql_set, sources->postgresql);
    return failed ? failed : kit_metrics_add(kit, &redis_set, sources->redis);
}
