/* This node among others: which adapter the namespaces get, the siblings of one machine, and connections of sessions
 * that a sibling owns. */
#include "app.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct app_peer {
    struct app_nodes *nodes;
    struct eio_handoff *handoff; /* NULL: it does not run */
    bool gone;                   /* freed at the end of the turn that told us */
};

struct app_nodes {
    struct app *app;
    struct rooms_bus *bus;  /* NULL: the namespaces' adapter is another */
    struct eio_timer sweep; /* frees what is gone, outside of its callbacks */
    struct app_peer peers[APP_WORKERS_MAX];
};

/* ---------------------------------------------------------------- handover */

static void on_foreign(struct eio_offer *offer, unsigned owner, void *ctx)
{
    struct app_nodes *nodes = ctx;
    struct app_peer *peer = owner < APP_WORKERS_MAX ? &nodes->peers[owner] : NULL;
    /* Without the owner the session is unknown here, and its client opens a new one. */
    if (peer && peer->handoff && !peer->gone) eio_handoff_offer(peer->handoff, offer);
}

static void on_sweep(void *ctx)
{
    struct app_nodes *nodes = ctx;
    for (size_t i = 0; i < APP_WORKERS_MAX; i++) {
        struct app_peer *peer = &nodes->peers[i];
        if (!peer->gone) continue;
        eio_handoff_free(peer->handoff);
        *peer = (struct app_peer){.nodes = nodes};
    }
}

static void on_handoff_closed(void *ctx)
{
    struct app_peer *peer = ctx;
    peer->gone = true;
    eio_timer_start(&peer->nodes->sweep, 0);
}

void app_nodes_add_peer(struct app *app, uint32_t number, int take_fds[2])
{
    struct app_nodes *nodes = app->nodes;
    if (number >= APP_WORKERS_MAX || !nodes->bus)
        close(take_fds[0]);
    else if (rooms_bus_add_peer(nodes->bus, number, take_fds[0]))
        app_log(EIO_LOG_ERROR, "no messages can go to a worker", "number", app_number(number).text, NULL);
    if (number >= APP_WORKERS_MAX) {
        close(take_fds[1]);
        return;
    }
    struct app_peer *peer = &nodes->peers[number];
    eio_handoff_free(peer->handoff);
    *peer = (struct app_peer){.nodes = nodes, .handoff = eio_handoff_new(sio_server_http(app->io), take_fds[1], NULL)};
    if (peer->handoff)
        eio_handoff_on_closed(peer->handoff, on_handoff_closed, peer);
    else
        app_log(EIO_LOG_ERROR, "no connections can go to a worker", "number", app_number(number).text, NULL);
}

int app_nodes_listen(struct app *app, int *take_fd)
{
    int fd = *take_fd;
    *take_fd = -1;
    return eio_http_listen_fd(sio_server_http(app->io), fd);
}

/* ---------------------------------------------------------------- lifetime */

static void on_bus_line(void *ctx, enum rooms_log_level level, const char *line)
{
    static const enum eio_log_level levels[] = {
        [ROOMS_LOG_ERROR] = EIO_LOG_ERROR,
        [ROOMS_LOG_WARN] = EIO_LOG_WARN,
        [ROOMS_LOG_INFO] = EIO_LOG_INFO,
        [ROOMS_LOG_DEBUG] = EIO_LOG_DEBUG,
    };
    (void)ctx;
    app_log(levels[level], line, NULL);
}

static void on_turn_end(void *ctx)
{
    rooms_bus_flush(ctx);
}

/* Its hook comes before the server's: the siblings are told before clients are. */
static int make_bus(struct app_nodes *nodes, struct sio_options *io)
{
    struct app *app = nodes->app;
    struct rooms_bus_options options;
    rooms_bus_options_init(&options);
    options.max_queue_bytes = app->config->bus_max_queue_bytes;
    options.max_message_bytes = app->config->bus_max_message_bytes;
    options.log = on_bus_line;
    nodes->bus = rooms_bus_new(eio_loop_base(app->loop), &options);
    if (!nodes->bus) return EIO_ENOMEM;
    io->adapter = rooms_adapter_bus;
    io->adapter_ctx = nodes->bus;
    return eio_loop_add_flush_hook(app->loop, on_turn_end, nodes->bus);
}

int app_nodes_prepare(struct app *app, struct sio_options *io)
{
    const struct app_worker *worker = app->worker;
    if (!worker) return 0;
    app->nodes = calloc(1, sizeof *app->nodes);
    if (!app->nodes) return EIO_ENOMEM;
    app->nodes->app = app;
    eio_timer_init(&app->nodes->sweep, app->loop, on_sweep, app->nodes);
    io->engine.owner = worker->index;
    io->engine.owner_key = worker->owner_key;
    return make_bus(app->nodes, io);
}

int app_nodes_init(struct app *app)
{
    if (app->nodes) eio_server_set_foreign(sio_server_engine(app->io), on_foreign, app->nodes);
    return 0;
}

void app_nodes_disconnect(struct app *app)
{
    struct app_nodes *nodes = app->nodes;
    if (!nodes) return;
    eio_timer_stop(&nodes->sweep);
    for (size_t i = 0; i < APP_WORKERS_MAX; i++) {
        eio_handoff_free(nodes->peers[i].handoff);
        nodes->peers[i] = (struct app_peer){.nodes = nodes};
    }
}

void app_nodes_clear(struct app *app)
{
    if (!app->nodes) return;
    if (app->nodes->bus) {
        eio_loop_remove_flush_hook(app->loop, on_turn_end, app->nodes->bus);
        rooms_bus_free(app->nodes->bus);
    }
    free(app->nodes);
    app->nodes = NULL;
}

void app_nodes_bus_stats(const struct app *app, struct rooms_bus_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    if (app->nodes && app->nodes->bus) rooms_bus_get_stats(app->nodes->bus, stats);
}
