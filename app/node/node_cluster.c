/* This node among others: which adapter the namespaces get, the siblings of one machine, and connections of sessions
 * that a sibling owns. */
#include "app.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct node_peer {
    struct node_cluster *nodes;
    struct eio_handoff *handoff; /* NULL: it does not run */
    bool gone;                   /* freed at the end of the turn that told us */
};

struct node_cluster {
    struct app *app;
    struct rooms_bus *bus; /* one of these is there */
    struct rooms_redis *redis;
    rooms_adapter_factory make_adapter;
    void *make_ctx;
    struct sio_tunnels *tunnels; /* NULL: sessions are not found across machines */
    uint8_t machine[EIO_MACHINE_BYTES], machine_key[EIO_OWNER_KEY_BYTES];
    struct eio_timer sweep; /* frees what is gone, outside of its callbacks */
    struct node_peer peers[NODE_WORKERS_MAX];
};

/* ---------------------------------------------------------------- handover */

static void on_foreign(struct eio_offer *offer, unsigned owner, void *ctx)
{
    struct node_cluster *nodes = ctx;
    struct node_peer *peer = owner < NODE_WORKERS_MAX ? &nodes->peers[owner] : NULL;
    /* Without the owner the session is unknown here, and its client opens a new one. */
    if (peer && peer->handoff && !peer->gone) eio_handoff_offer(peer->handoff, offer);
}

static void on_sweep(void *ctx)
{
    struct node_cluster *nodes = ctx;
    for (size_t i = 0; i < NODE_WORKERS_MAX; i++) {
        struct node_peer *peer = &nodes->peers[i];
        if (!peer->gone) continue;
        eio_handoff_free(peer->handoff);
        *peer = (struct node_peer){.nodes = nodes};
        calls_presence_touch_all(nodes->app);
    }
}

static void on_handoff_closed(void *ctx)
{
    struct node_peer *peer = ctx;
    peer->gone = true;
    eio_timer_start(&peer->nodes->sweep, 0);
}

void node_cluster_add_peer(struct app *app, uint32_t number, int take_fds[2])
{
    struct node_cluster *nodes = app->nodes;
    if (number >= NODE_WORKERS_MAX || !nodes->bus)
        close(take_fds[0]);
    else if (rooms_bus_add_peer(nodes->bus, number, take_fds[0]))
        kit_log(EIO_LOG_ERROR, "no messages can go to a worker", "number", kit_number(number).text, NULL);
    if (number >= NODE_WORKERS_MAX) {
        close(take_fds[1]);
        return;
    }
    struct node_peer *peer = &nodes->peers[number];
    calls_presence_touch_all(app); /* who was at its predecessor is gone */
    eio_handoff_free(peer->handoff);
    *peer = (struct node_peer){.nodes = nodes, .handoff = eio_handoff_new(sio_server_http(app->io), take_fds[1], NULL)};
    if (peer->handoff)
        eio_handoff_on_closed(peer->handoff, on_handoff_closed, peer);
    else
        kit_log(EIO_LOG_ERROR, "no connections can go to a worker", "number", kit_number(number).text, NULL);
}

int node_cluster_listen(struct app *app, int *take_fd)
{
    int fd = *take_fd;
    *take_fd = -1;
    return eio_http_listen_fd(sio_server_http(app->io), fd);
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

struct rooms_adapter *node_cluster_make_adapter(struct app *app, const char *namespace_name,
                                                const struct rooms_local *local)
{
    return app->nodes->make_adapter(app->nodes->make_ctx, namespace_name, local);
}

/* Its hook comes before the server's: the siblings are told before clients are. */
static int make_bus(struct node_cluster *nodes)
{
    struct app *app = nodes->app;
    struct rooms_bus_options options;
    rooms_bus_options_init(&options);
    options.max_queue_bytes = app->config->bus_max_queue_bytes;
    options.max_message_bytes = app->config->bus_max_message_bytes;
    options.log = on_line;
    nodes->bus = rooms_bus_new(eio_loop_base(app->loop), &options);
    if (!nodes->bus) return EIO_ENOMEM;
    nodes->make_adapter = rooms_adapter_bus;
    nodes->make_ctx = nodes->bus;
    return eio_loop_add_flush_hook(app->loop, on_turn_end, nodes->bus);
}

static int make_redis(struct node_cluster *nodes, char *error, size_t error_size)
{
    static const rooms_adapter_factory factories[] = {
        [KIT_ADAPTER_REDIS] = rooms_adapter_redis,
        [KIT_ADAPTER_REDIS_SHARDED] = rooms_adapter_redis_sharded,
        [KIT_ADAPTER_REDIS_STREAMS] = rooms_adapter_redis_streams,
    };
    const struct kit_config *config = nodes->app->config;
    struct rooms_redis_options options = config->redis_options;
    const char *why = "";
    options.log = on_line;
    nodes->redis = rooms_redis_new(eio_loop_base(nodes->app->loop), &options, &why);
    nodes->make_adapter = factories[config->adapter];
    nodes->make_ctx = nodes->redis;
    if (nodes->redis) return 0;
    snprintf(error, error_size, "option redis: %s", why);
    return EIO_EINVAL;
}

/* Workers of one master have a key in common, and so a machine. */
static void name_machine(struct node_cluster *nodes, struct eio_options *engine)
{
    const struct kit_config *config = nodes->app->config;
    const struct node_worker *worker = nodes->app->worker;
    if (!config->redis[0] || !config->redis_sessions) return;
    randombytes_buf(nodes->machine, sizeof nodes->machine);
    if (worker) {
        uint8_t hash[crypto_generichash_BYTES_MIN];
        crypto_generichash(hash, sizeof hash, worker->owner_key, sizeof worker->owner_key, NULL, 0);
        memcpy(nodes->machine, hash, sizeof nodes->machine);
    }
    crypto_generichash(nodes->machine_key, sizeof nodes->machine_key, (const uint8_t *)config->redis_sessions_key,
                       strlen(config->redis_sessions_key), NULL, 0);
    engine->machine = nodes->machine;
    engine->machine_key = nodes->machine_key;
}

static int open_tunnels(struct node_cluster *nodes)
{
    struct sio_tunnel_options options;
    if (!nodes->redis || !nodes->app->config->redis_sessions) return 0;
    sio_tunnel_options_init(&options);
    options.machine = nodes->machine;
    options.owner = nodes->app->worker ? nodes->app->worker->index : 0;
    nodes->tunnels = sio_tunnels_new(nodes->app->io, nodes->redis, &options);
    return nodes->tunnels ? 0 : EIO_ENOMEM;
}

int node_cluster_prepare(struct app *app, struct sio_options *io, char *error, size_t error_size)
{
    const struct node_worker *worker = app->worker;
    if (!worker && !app->config->redis[0]) return 0;
    snprintf(error, error_size, "out of memory");
    app->nodes = calloc(1, sizeof *app->nodes);
    if (!app->nodes) return EIO_ENOMEM;
    app->nodes->app = app;
    eio_timer_init(&app->nodes->sweep, app->loop, on_sweep, app->nodes);
    if (worker) {
        io->engine.owner = worker->index;
        io->engine.owner_key = worker->owner_key;
    }
    name_machine(app->nodes, &io->engine);
    io->adapter = calls_hold_adapter;
    io->adapter_ctx = app;
    return app->config->redis[0] ? make_redis(app->nodes, error, error_size) : make_bus(app->nodes);
}

int node_cluster_init(struct app *app)
{
    if (!app->nodes) return 0;
    eio_server_set_foreign(sio_server_engine(app->io), on_foreign, app->nodes);
    return open_tunnels(app->nodes);
}

void node_cluster_disconnect(struct app *app)
{
    struct node_cluster *nodes = app->nodes;
    if (!nodes) return;
    sio_tunnels_free(nodes->tunnels);
    nodes->tunnels = NULL;
    eio_timer_stop(&nodes->sweep);
    for (size_t i = 0; i < NODE_WORKERS_MAX; i++) {
        eio_handoff_free(nodes->peers[i].handoff);
        nodes->peers[i] = (struct node_peer){.nodes = nodes};
    }
}

void node_cluster_clear(struct app *app)
{
    if (!app->nodes) return;
    if (app->nodes->bus) {
        eio_loop_remove_flush_hook(app->loop, on_turn_end, app->nodes->bus);
        rooms_bus_free(app->nodes->bus);
    }
    rooms_redis_free(app->nodes->redis);
    free(app->between);
    app->between = NULL;
    free(app->nodes);
    app->nodes = NULL;
}

void node_cluster_bus_stats(const struct app *app, struct rooms_bus_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    if (app->nodes && app->nodes->bus) rooms_bus_get_stats(app->nodes->bus, stats);
}

void node_cluster_redis_stats(const struct app *app, struct rooms_redis_stats *stats)
{
    *stats = (struct rooms_redis_stats){.why = "", .address = ""};
    if (app->nodes && app->nodes->redis) rooms_redis_get_stats(app->nodes->redis, stats);
}

void node_cluster_tunnel_stats(const struct app *app, struct sio_tunnel_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    if (app->nodes && app->nodes->tunnels) sio_tunnels_get_stats(app->nodes->tunnels, stats);
}

bool node_cluster_is_degraded(const struct app *app, const char **why)
{
    struct rooms_redis_stats stats;
    *why = "";
    if (!app->nodes || !app->nodes->redis) return false;
    rooms_redis_get_stats(app->nodes->redis, &stats);
    *why = stats.why;
    return !stats.connected || stats.degraded_ms > 0;
}
