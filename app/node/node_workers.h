/* `--workers N`: a master that forks N workers, each a separate node with its own listening socket on the shared port,
 * and restarts those that die. Master and worker talk through a socket pair (struct node_order one way, one byte the
 * other); figures about all workers are in a page of shared memory. The master has no loop, no threads and no database:
 * a worker inherits only this struct and the configuration. */
#ifndef NODE_WORKERS_H
#define NODE_WORKERS_H

#include "kit_config.h"
#include "kit_listen.h"
#include "kit_processes.h"

#include <sys/types.h>

#define NODE_WORKERS_MAX KIT_PROCESSES_MAX
#define NODE_WORKER_SIGN_MS 250

/* ----------------------------------------------------------------- orders */

/* From the master to a worker; one packet each. */
enum node_order_kind {
    NODE_ORDER_PEER = 1, /* with two descriptors: adapter messages, whole connections */
    NODE_ORDER_LISTEN,   /* all peers that there are have been named */
    NODE_ORDER_DRAIN,
    NODE_ORDER_STOP_NOW, /* do not wait any longer */
    NODE_ORDER_RELOAD,
    NODE_ORDER_DESCRIBE,
};
struct node_order {
    uint32_t kind;
    uint32_t peer; /* its number */
};
/* From a worker to the master: it listens. */
#define NODE_WORKER_READY 'r'

/* ----------------------------------------------------------------- worker */

struct event;
struct kit;
struct node_cluster;

/* What the master may order, with the application as ctx. */
struct node_orders {
    void (*drain)(void *ctx);
    void (*stop_now)(void *ctx);
    void (*reload)(void *ctx);
    void (*describe)(void *ctx);
    void *ctx;
};

/* Inside one of several workers; `node_workers_run` fills in the first part. */
struct node_worker {
    unsigned index, count;
    uint8_t owner_key[EIO_OWNER_KEY_BYTES];
    struct kit_processes_page *page;
    int control_fd;
    struct eio_http_listener listeners[KIT_LISTENERS_MAX]; /* take_fd -1: given away */
    size_t listener_count;
    int ask_fds[NODE_WORKERS_MAX], answer_fds[NODE_WORKERS_MAX]; /* eventfds: "publish your numbers", "it is done" */

    /* Private to node_worker.c. */
    struct kit *kit;
    struct node_cluster *cluster;
    struct node_orders orders;
    bool failed; /* the process ends with a failure */
    struct event *control_event, *ask_event, *answer_event;
    struct eio_timer sign_timer, inquiry_timer;
    struct node_inquiry *asked, *next_asked; /* of the inquiry that is under way; of the one after it */
    uint64_t inquiry;
};

/* Forks the workers and looks after them until a signal ends all. Returns the exit status; in a worker returns -1 with
 * *worker filled in. */
int node_workers_run(const struct kit_config *config, struct node_worker *worker);

/* The worker as one of the kit's processes; before the server is made. */
void node_worker_join(struct node_worker *worker, struct kit *kit);
/* The worker's part on its loop: obeys the master, shows signs of life. Returns 0 or a negative code. */
int node_worker_start(struct node_worker *worker, struct node_cluster *cluster, const struct node_orders *orders);
void node_worker_stop(struct node_worker *worker);
/* Closes what the master gave. */
void node_worker_clear(struct node_worker *worker);

#endif
