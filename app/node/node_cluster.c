#include "node_cluster.h"
#include "node_pulse.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct node_peer {
    struct node_cluster *cluster;
    struct eio_handoff *handoff; /* NULL: it does not run */
    bool gone;                   /* freed at the end of the turn that noticed it */
};

struct node_cluster {
    struct kit *kit;
    const struct node_worker *worker; /* NULL: there is only one */
    struct rooms_bus *bus;            /* one of these is there */
    struct rooms_redis *redis;
    struct rooms_postgresql *postgresql;
    struct sio_tunnels *tunnels; /* NULL: sessions are not found across machines */
    uint8_t machine[EIO_MACHINE_BYTES], machine_key[EIO_OWNER_KEY_BYTES];
    struct node_pulse *pulse; /* NULL: the other processes are the master's, which knows who is there */
    struct eio_timer sweep;   /* frees what is gone, outside of its callbacks */
    struct node_peer peers[NODE_WORKERS_MAX];
};

/* ---------------------------------------------------------------- handover */

static void on_foreign(struct eio_offer *offer, unsigned owner, void *ctx)
{
    struct node_cluster *cluster = ctx;
    struct node_peer *peer = owner < NODE_WORKERS_MAX ? &cluster->peers[owner] : NULL;
    /* Without the owner the session is unknown here, and its client opens a new one. */
    if (peer && peer->handoff && !peer->gone) eio_handoff_offer(peer->handoff, offer);
}

static void on_sweep(void *ctx)
{
    struct node_cluster *cluster = ctx;
    for (size_t i = 0; i < NODE_WORKERS_MAX; i++) {
        struct node_peer *peer = &cluster->peers[i];
        if (!peer->gone) continue;
        eio_handoff_free(peer->handoff);
        *peer = (struct node_peer){.cluster = cluster};
        kit_peers_changed(cluster->kit);
    }
}

static void on_handoff_closed(void *ctx)
{
    struct node_peer *peer = ctx;
    peer->gone = true;
    eio_timer_start(&peer->cluster->sweep, 0);
}

void node_cluster_add_peer(struct node_cluster *cluster, uint32_t number, int take_fds[2])
{
    if (number >= NODE_WORKERS_MAX || !cluster->bus)
        close(take_fds[0]);
    else if (rooms_bus_add_peer(cluster->bus, number, take_fds[0]))
        kit_log(EIO_LOG_ERROR, "cannot send messages to a worker", "number", kit_number(number).text, NULL);
    if (number >= NODE_WORKERS_MAX) {
        close(take_fds[1]);
        return;
    }
    struct node_peer *peer = &cluster->peers[number];
    kit_peers_changed(cluster->kit); /* who was at its predecessor is gone */
    eio_handoff_free(peer->handoff);
    *peer = (struct node_peer){.cluster = cluster,
                               .handoff = eio_handoff_new(sio_server_http(cluster->kit->io), take_fds[1], NULL)};
    if (peer->handoff)
        eio_handoff_on_closed(peer->handoff, on_handoff_closed, peer);
    else
        kit_log(EIO_LOG_ERROR, "cannot hand over connections to a worker", "number", kit_number(number).text, NULL);
}

/* ---------------------------------------------------------------- lifetime */

static void on_line(void *ctx, enum rooms_log_level level, const char *line)
{
    static const enum eio_log_level levels[] = {
        [ROOMS_LOG_ERROR] = EIO_LOG_ERROR,
        [ROOMS_LOG_WARN] = EIO_LOG_WARN,
        [ROOMS_LOG_INFO] = EIO_LOG_INFO,
        [ROOMS_LOG_DEBUG] = EIO_LOG_DEBUG,
    };
    (void)ctx;
    kit_log(levels[level], line, NULL);
}

static void on_turn_end(void *ctx)
{
    rooms_bus_flush(ctx);
}

/* Its hook runs before the server's: siblings get their messages before clients do. */
static int make_bus(struct node_cluster *cluster)
{
    struct kit *kit = cluster->kit;
    struct rooms_bus_options options;
    rooms_bus_options_init(&options);
    options.max_queue_bytes = kit->config->bus_max_queue_bytes;
    options.max_message_bytes = kit->config->bus_max_message_bytes;
    options.log = on_line;
    cluster->bus = rooms_bus_new(eio_loop_base(kit->loop), &options);
    if (!cluster->bus) return EIO_ENOMEM;
    cluster->kit->peers.make_adapter = rooms_adapter_bus;
    cluster->kit->peers.make_ctx = cluster->bus;
    return eio_loop_add_flush_hook(kit->loop, on_turn_end, cluster->bus);
}

static int make_redis(struct node_cluster *cluster, char *error, size_t error_size)
{
    static const rooms_adapter_factory factories[] = {
        [KIT_ADAPTER_REDIS] = rooms_adapter_redis,
        [KIT_ADAPTER_REDIS_SHARDED] = rooms_adapter_redis_sharded,
        [KIT_ADAPTER_REDIS_STREAMS] = rooms_adapter_redis_streams,
    };
    const struct kit_config *config = cluster->kit->config;
    struct rooms_redis_options options = config->redis_options;
    const char *why = "";
    options.log = on_line;
    cluster->redis = rooms_redis_new(eio_loop_base(cluster->kit->loop), &options, &why);
    cluster->kit->peers.make_adapter = factories[config->adapter];
    cluster->kit->peers.make_ctx = cluster->redis;
    if (cluster->redis) return 0;
    if (!strncmp(why, "tls_ca ", sizeof "tls_ca " - 1))
        return kit_config_refuse(config, "redis_tls_ca", "a file of certificates in PEM", error, error_size);
    if (!strncmp(why, "tls_cert ", sizeof "tls_cert " - 1))
        return kit_config_refuse(config, "redis_tls_cert", "a file with a certificate in PEM, and its key", error,
                                 error_size);
    snprintf(error, error_size, "option redis: %s", why);
    return EIO_EINVAL;
}

void node_cluster_reload(struct node_cluster *cluster)
{
    const char *why;
    if (!cluster || !cluster->redis || strncmp(cluster->kit->config->redis, "rediss:", 7)) return;
    if (rooms_redis_reload_tls(cluster->redis, &why) == 0)
        kit_log(EIO_LOG_INFO, "redis: certificates reloaded", NULL);
    else
        kit_log(EIO_LOG_ERROR, "redis: cannot reload certificates; the former ones stay", "why", why, NULL);
}

static int make_postgresql(struct node_cluster *cluster, char *error, size_t error_size)
{
    struct rooms_postgresql_options options = cluster->kit->config->cluster_options;
    const char *why = "";
    options.log = on_line;
    cluster->postgresql = rooms_postgresql_new(eio_loop_base(cluster->kit->loop), &options, &why);
    cluster->kit->peers.make_adapter = rooms_adapter_postgresql;
    cluster->kit->peers.make_ctx = cluster->postgresql;
    if (cluster->postgresql) return 0;
    snprintf(error, error_size, "option cluster: %s", why);
    return EIO_EINVAL;
}

/* Workers of one master have a key in common, and so a machine. */
static void name_machine(struct node_cluster *cluster, struct eio_options *engine)
{
    const struct kit_config *config = cluster->kit->config;
    const struct node_worker *worker = cluster->worker;
    if (!config->redis[0] || !config->redis_sessions) return;
    randombytes_buf(cluster->machine, sizeof cluster->machine);
    if (worker) {
        uint8_t hash[crypto_generichash_BYTES_MIN];
        crypto_generichash(hash, sizeof hash, worker->owner_key, sizeof worker->owner_key, NULL, 0);
        memcpy(cluster->machine, hash, sizeof cluster->machine);
    }
    crypto_generichash(cluster->machine_key, sizeof cluster->machine_key, (const uint8_t *)config->redis_sessions_key,
                       strlen(config->redis_sessions_key), NULL, 0);
    engine->machine = cluster->machine;
    engine->machine_key = cluster->machine_key;
}

static int open_tunnels(struct node_cluster *cluster)
{
    struct sio_tunnel_options options;
    if (!cluster->redis || !cluster->kit->config->redis_sessions) return 0;
    sio_tunnel_options_init(&options);
    options.mailbox = rooms_mailbox_redis;
    options.mailbox_ctx = cluster->redis;
    options.machine = cluster->machine;
    options.heartbeat_interval_ms = cluster->kit->config->redis_options.heartbeat_interval_ms;
    options.heartbeat_timeout_ms = cluster->kit->config->redis_options.heartbeat_timeout_ms;
    options.owner = cluster->worker ? cluster->worker->index : 0;
    cluster->tunnels = sio_tunnels_new(cluster->kit->io, &options);
    return cluster->tunnels ? 0 : EIO_ENOMEM;
}

static bool postgresql_is_degraded(const struct node_cluster *cluster, const char **why)
{
    struct rooms_postgresql_stats stats;
    rooms_postgresql_get_stats(cluster->postgresql, &stats);
    *why = stats.why;
    return !stats.connected || stats.degraded_ms > 0;
}

static bool is_degraded(void *ctx, const char **why)
{
    const struct node_cluster *cluster = ctx;
    struct rooms_redis_stats stats;
    *why = "";
    if (cluster->postgresql) return postgresql_is_degraded(cluster, why);
    if (!cluster->redis) return false;
    rooms_redis_get_stats(cluster->redis, &stats);
    *why = stats.why;
    return !stats.connected || stats.degraded_ms > 0;
}

static uint64_t count_breaks(void *ctx)
{
    const struct node_cluster *cluster = ctx;
    struct rooms_redis_stats redis = {.lost = 0};
    struct rooms_postgresql_stats postgresql = {.lost = 0};
    if (cluster->redis) rooms_redis_get_stats(cluster->redis, &redis);
    if (cluster->postgresql) rooms_postgresql_get_stats(cluster->postgresql, &postgresql);
    return redis.lost + postgresql.lost;
}

int node_cluster_new(struct kit *kit, const struct node_worker *worker, struct sio_options *io,
                     struct node_cluster **out, char *error, size_t error_size)
{
    *out = NULL;
    if (!worker && !kit->config->redis[0] && !kit->config->cluster[0]) return 0;
    snprintf(error, error_size, "out of memory");
    struct node_cluster *cluster = *out = calloc(1, sizeof *cluster);
    if (!cluster) return EIO_ENOMEM;
    cluster->kit = kit;
    cluster->worker = worker;
    eio_timer_init(&cluster->sweep, kit->loop, on_sweep, cluster);
    if (worker) {
        io->engine.owner = worker->index;
        io->engine.owner_key = worker->owner_key;
        io->http.tls_ticket_secret = worker->owner_key;
    }
    name_machine(cluster, &io->engine);
    kit->peers.is_degraded = is_degraded;
    if (kit->config->redis[0] || kit->config->cluster[0]) kit->peers.count_breaks = count_breaks;
    kit->peers.ctx = cluster;
    if (kit->config->cluster[0]) return make_postgresql(cluster, error, error_size);
    return kit->config->redis[0] ? make_redis(cluster, error, error_size) : make_bus(cluster);
}

/* ------------------------------------------------------------ start, stop */

static int start_pulse(struct node_cluster *cluster)
{
    const struct kit_config *config = cluster->kit->config;
    uint32_t interval_ms = config->redis_options.heartbeat_interval_ms;
    uint32_t timeout_ms = config->redis_options.heartbeat_timeout_ms;
    if (cluster->bus) return 0;
    if (cluster->postgresql) {
        interval_ms = config->cluster_options.heartbeat_interval_ms;
        timeout_ms = config->cluster_options.heartbeat_timeout_ms;
    }
    cluster->pulse = node_pulse_new(cluster->kit, interval_ms, timeout_ms);
    return cluster->pulse ? 0 : EIO_ENOMEM;
}

int node_cluster_start(struct node_cluster *cluster, struct kit *kit)
{
    struct node_sources none = {0};
    if (!cluster) return node_metrics_add(kit, &none);
    eio_server_set_foreign(sio_server_engine(kit->io), on_foreign, cluster);
    int error = open_tunnels(cluster);
    if (!error) error = start_pulse(cluster);
    struct node_sources sources = {cluster->bus, cluster->redis, cluster->postgresql, cluster->tunnels};
    return error ? error : node_metrics_add(kit, &sources);
}

void node_cluster_disconnect(struct node_cluster *cluster)
{
    if (!cluster) return;
    node_pulse_stop(cluster->pulse);
    sio_tunnels_free(cluster->tunnels);
    cluster->tunnels = NULL;
    eio_timer_stop(&cluster->sweep);
    for (size_t i = 0; i < NODE_WORKERS_MAX; i++) {
        eio_handoff_free(cluster->peers[i].handoff);
        cluster->peers[i] = (struct node_peer){.cluster = cluster};
    }
}

void node_cluster_free(struct node_cluster *cluster)
{
    if (!cluster) return;
    if (cluster->bus) {
        eio_loop_remove_flush_hook(cluster->kit->loop, on_turn_end, cluster->bus);
        rooms_bus_free(cluster->bus);
    }
    rooms_redis_free(cluster->redis);
    rooms_postgresql_free(cluster->postgresql);
    node_pulse_free(cluster->pulse);
    free(cluster);
}
