/* `--workers N`: a master that forks N workers, each a node of its own with its own listening socket on the shared
 * port, and starts those again that die. Master and worker talk through a socket pair (struct app_order one way, one
 * byte the other); what is told to the outside about all workers stands in a page of shared memory.
 *
 * The master holds no loop, no threads and no database: what a worker inherits is this struct and the configuration. */
#ifndef APP_WORKERS_H
#define APP_WORKERS_H

#include "app_config.h"

#include <stdatomic.h>
#include <sys/types.h>

#define APP_WORKERS_MAX 64
#define APP_PAGE_VALUES_MAX 512

/* ------------------------------------------------------------------- page */

/* What a worker tells about itself. Each number is whole by itself; together they may be a moment apart. */
struct app_worker_page {
    /* The master's. */
    atomic_int pid;                /* 0: it does not run */
    atomic_uint_fast64_t restarts; /* how often it was started again */
    atomic_uint_fast64_t hangs;    /* how often it was ended because it did not show a sign of life */
    /* The worker's. */
    atomic_uint_fast64_t alive_ms; /* CLOCK_MONOTONIC of its last sign of life; 0: it is starting */
    atomic_uint_fast64_t answered; /* the last inquiry that the values below answer */
    atomic_uint_fast64_t askers;   /* bit i: worker i waits for the answer */
    atomic_uint_fast64_t sessions, sockets;
    atomic_uint_fast64_t degraded;                    /* it reaches its other nodes through something that is away */
    atomic_uint_fast64_t values[APP_PAGE_VALUES_MAX]; /* of /metrics, in the order of app_metrics.c */
};

struct app_workers_page {
    uint64_t started_ms;            /* CLOCK_MONOTONIC */
    atomic_uint_fast64_t inquiries; /* numbers them */
    struct app_worker_page workers[APP_WORKERS_MAX];
};

/* CLOCK_MONOTONIC, the same in all processes. */
uint64_t app_monotonic_ms(void);

/* A worker that has shown no sign of life for so long is not waited for. */
#define APP_WORKER_SILENT_MS 1500
#define APP_WORKER_SIGN_MS 250
bool app_worker_page_is_up(const struct app_worker_page *page, uint64_t now_ms);

/* ----------------------------------------------------------------- orders */

/* From the master to a worker; one packet each. */
enum app_order_kind {
    APP_ORDER_PEER = 1, /* with two descriptors: adapter messages, whole connections */
    APP_ORDER_LISTEN,   /* all peers that there are have been named */
    APP_ORDER_DRAIN,
    APP_ORDER_HURRY, /* do not wait any longer */
    APP_ORDER_RELOAD,
    APP_ORDER_DESCRIBE,
};
struct app_order {
    uint32_t kind;
    uint32_t peer; /* its number */
};
/* From a worker to the master: it listens. */
#define APP_WORKER_READY 'r'

/* ----------------------------------------------------------------- worker */

struct app;
struct event;

/* Inside one of several workers; `app_workers_run` fills in the first part. */
struct app_worker {
    unsigned index, count;
    uint8_t owner_key[EIO_OWNER_KEY_BYTES];
    struct app_workers_page *page;
    int control_fd, listen_fd;
    int ask_fds[APP_WORKERS_MAX], answer_fds[APP_WORKERS_MAX]; /* eventfds: "publish your numbers", "it is done" */

    /* Private to app_worker.c. */
    struct app *app;
    struct event *control_event, *ask_event, *answer_event;
    struct eio_timer sign_timer, inquiry_timer;
    struct app_inquiry *asked, *next_asked; /* of the inquiry that is under way; of the one after it */
    uint64_t inquiry;
};

/* Forks the workers and looks after them until a signal ends all. Returns the exit status; in a worker returns -1 with
 * *worker filled in. */
int app_workers_run(const struct app_config *config, struct app_worker *worker);

/* The worker's part on its loop: obeys the master, shows signs of life. Returns 0 or a negative code. */
int app_worker_start(struct app_worker *worker, struct app *app);
void app_worker_stop(struct app_worker *worker);
/* Closes what the master gave. */
void app_worker_clear(struct app_worker *worker);

/* Calls fn once the numbers of all workers in the page are fresh, or of those that answer in time; always later or at
 * once when nobody else is there. fn runs with ctx even if the worker is being stopped. */
typedef void (*app_inquiry_fn)(void *ctx);
int app_worker_inquire(struct app_worker *worker, app_inquiry_fn fn, void *ctx);

#endif
