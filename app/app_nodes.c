/* This node among others: which adapter the namespaces get, the siblings of one machine, and connections of sessions
 * that a sibling owns. */
#include "app.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct app_nodes {
    struct app *app;
};

void app_nodes_add_peer(struct app *app, uint32_t number, uint64_t incarnation, int take_fds[2])
{
    (void)app, (void)number, (void)incarnation;
    close(take_fds[0]);
    close(take_fds[1]);
}

int app_nodes_listen(struct app *app, int *take_fd)
{
    int fd = *take_fd;
    *take_fd = -1;
    return eio_http_listen_fd(sio_server_http(app->io), fd);
}

int app_nodes_prepare(struct app *app, struct sio_options *io)
{
    if (!app->worker) return 0;
    app->nodes = calloc(1, sizeof *app->nodes);
    if (!app->nodes) return EIO_ENOMEM;
    app->nodes->app = app;
    io->engine.owner = app->worker->index;
    io->engine.owner_key = app->worker->owner_key;
    return 0;
}

int app_nodes_init(struct app *app)
{
    (void)app;
    return 0;
}

void app_nodes_disconnect(struct app *app)
{
    (void)app;
}

void app_nodes_clear(struct app *app)
{
    free(app->nodes);
    app->nodes = NULL;
}
