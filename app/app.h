/* The application: the modules put together. Only options.c, app.c and main.c know every module. */
#ifndef APP_H
#define APP_H

#include "kit.h"
#include "node_workers.h"

/* The modules, ended by NULL: in the order in which they start. */
extern const struct kit_module *const app_modules[];

struct app {
    struct kit kit;
    struct node_worker *worker;   /* NULL: there is only one */
    struct node_cluster *cluster; /* NULL: the same, and no Redis */
    struct eio_timer wave_timer;  /* while clients go */
    struct eio_timer drain_timer;
    struct eio_timer streams_timer; /* after the sockets, for answers that are still being sent */
    uint64_t drain_until_ms;
};

/* Makes the store, the key and the demo's documents if need be, so that several workers find them. Blocking. Returns 0
 * or a negative code with a line in error. */
int app_prepare(const struct kit_config *config, char *error, size_t error_size);
/* Builds everything on a new loop; does not listen. worker: NULL, or which of several this is; it outlives the app.
 * NULL with a line in error. */
struct app *app_new(const struct kit_config *config, struct node_worker *worker, char *error, size_t error_size);
/* Accepts NULL. */
void app_free(struct app *app);
/* Stops accepting, sends clients away in waves until few are left, lets the store's queue run empty so that what was
 * accepted is acknowledged, tells the sockets, then stops the loop; all of that within drain_timeout_ms. */
void app_drain(struct app *app);
/* Stops without waiting any longer. */
void app_stop_now(struct app *app);
/* Opens the log and reads the certificate anew. */
void app_reload(struct app *app);
/* One line for every live object, to the log. */
void app_describe(struct app *app);
/* A worker among several: obeys its master on the loop. Returns 0 or a negative code. */
int app_start_worker(struct app *app);

#endif
