/* `--workers N`: a master that forks N workers, each a node of its own with its own listening socket on the shared
 * port, and starts those again that die. Master and worker talk through a socket pair (struct node_order one way, one
 * byte the other); what is told to the outside about all workers stands in a page of shared memory.
 *
 * The master holds no loop, no threads and no database: what a worker inherits is this struct and the configuration. */
#ifndef NODE_WORKERS_H
#define NODE_WORKERS_H

#include "kit_config.h"

#include <stdatomic.h>
#include <sys/types.h>

#define NODE_WORKERS_MAX 64
#define NODE_PAGE_VALUES_MAX 512

/* ------------------------------------------------------------------- page */

/* What a worker tells about itself. Each number is whole by itself; together they may be a moment apart. */
struct node_worker_page {
    /* The master's. */
    atomic_int pid;                /* 0: it does not run */
    atomic_uint_fast64_t restarts; /* how often it was started again */
    atomic_uint_fast64_t hangs;    /* how often it was ended because it did not show a sign of life */
    /* The worker's. */
    atomic_uint_fast64_t alive_ms; /* CLOCK_MONOTONIC of its last sign of life; 0: it is starting */
    atomic_uint_fast64_t answered; /* the last inquiry that the values below answer */
    atomic_uint_fast64_t askers;   /* bit i: worker i waits for the answer */
    atomic_uint_fast64_t sessions, sockets;
    atomic_uint_fast64_t degraded;                     /* it reaches its other nodes through something that is away */
    atomic_uint_fast64_t values[NODE_PAGE_VALUES_MAX]; /* of /metrics, in the order of kit_metrics.c */
};

struct node_workers_page {
    uint64_t started_ms;            /* CLOCK_MONOTONIC */
    atomic_uint_fast64_t inquiries; /* numbers them */
    struct node_worker_page workers[NODE_WORKERS_MAX];
};

/* CLOCK_MONOTONIC, the same in all processes. */
uint64_t node_monotonic_ms(void);

/* A worker that has shown no sign of life for so long is not waited for. */
#define NODE_WORKER_SILENT_MS 1500
#define NODE_WORKER_SIGN_MS 250
bool node_worker_page_is_up(const struct node_worker_page *page, uint64_t now_ms);

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

struct app;
struct event;

/* Inside one of several workers; `node_workers_run` fills in the first part. */
struct node_worker {
    unsigned index, count;
    uint8_t owner_key[EIO_OWNER_KEY_BYTES];
    struct node_workers_page *page;
    int control_fd, listen_fd;
    int ask_fds[NODE_WORKERS_MAX], answer_fds[NODE_WORKERS_MAX]; /* eventfds: "publish your numbers", "it is done" */

    /* Private to node_worker.c. */
    struct app *app;
    struct event *control_event, *ask_event, *answer_event;
    struct eio_timer sign_timer, inquiry_timer;
    struct node_inquiry *asked, *next_asked; /* of the inquiry that is under way; of the one after it */
    uint64_t inquiry;
};

/* Forks the workers and looks after them until a signal ends all. Returns the exit status; in a worker returns -1 with
 * *worker filled in. */
int node_workers_run(const struct kit_config *config, struct node_worker *worker);

/* The worker's part on its loop: obeys the master, shows signs of life. Returns 0 or a negative code. */
int node_worker_start(struct node_worker *worker, struct app *app);
void node_worker_stop(struct node_worker *worker);
/* Closes what the master gave. */
void node_worker_clear(struct node_worker *worker);

/* Calls fn once the numbers of all workers in the page are fresh, or of those that answer in time; always later or at
 * once when nobody else is there. fn runs with ctx even if the worker is being stopped. */
typedef void (*node_inquiry_fn)(void *ctx);
int node_worker_inquire(struct node_worker *worker, node_inquiry_fn fn, void *ctx);

#endif
