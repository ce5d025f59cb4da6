/* The processes that serve together on this machine (`--workers N`): a page of shared memory in which each shows its
 * numbers. node/ fills it in; metrics and health read it. */
#ifndef KIT_PROCESSES_H
#define KIT_PROCESSES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define KIT_PROCESSES_MAX 64
#define KIT_PAGE_VALUES_MAX 1024

/* What a worker tells about itself. Each number is whole by itself; together they may be a moment apart. */
struct kit_process_page {
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
    atomic_uint_fast64_t values[KIT_PAGE_VALUES_MAX]; /* of /metrics, in the order of the rows */
};

struct kit_processes_page {
    uint64_t started_ms;            /* CLOCK_MONOTONIC */
    atomic_uint_fast64_t inquiries; /* numbers them */
    struct kit_process_page workers[KIT_PROCESSES_MAX];
};

/* CLOCK_MONOTONIC, the same in all processes. */
uint64_t kit_monotonic_ms(void);

/* A worker that has shown no sign of life for so long is not waited for. */
#define KIT_PROCESS_SILENT_MS 1500
bool kit_process_is_up(const struct kit_process_page *page, uint64_t now_ms);

/* This process as one of several. */
struct kit_processes {
    unsigned index, count;
    const struct kit_processes_page *page;
    /* Calls fn with fn_ctx once the numbers of all workers in the page are fresh, or of those that answer in time;
     * later, or at once if there are no others; also when this process stops. Returns 0 or a negative code. */
    int (*refresh)(void *ctx, void (*fn)(void *fn_ctx), void *fn_ctx);
    void *ctx;
};

#endif
