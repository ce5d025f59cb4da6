/* A small pool of threads for what would block the loop. Jobs are put on strands: jobs of one strand run one batch
 * after another, in order, never at the same time; different strands run side by side. A job's `done` runs on the
 * loop, in the order of the strand. */
#ifndef APP_WORK_H
#define APP_WORK_H

#include <engineio.h>

struct app_work;

/* Embedded in the owner's struct, which must live until done() has run. */
struct app_job {
    struct app_job *next;
    void (*run)(struct app_job *job);  /* on a thread; unused if the strand has a run_batch */
    void (*done)(struct app_job *job); /* on the loop; may free the job */
    size_t bytes;                      /* what it holds, for the limit */
};

/* Fields are private. */
struct app_strand {
    struct app_work *work;
    struct app_job *head, **tail;
    struct app_strand *next_ready;
    bool scheduled;
    void (*run_batch)(void *ctx, struct app_job *list); /* NULL: run() of each */
    void *ctx;
    size_t batch_max;
};

struct app_work_options {
    unsigned threads;
    size_t max_jobs, max_bytes;
};

struct app_work_stats {
    uint64_t submitted, finished, refused, batches;
    size_t jobs, bytes; /* now: submitted and not done */
};

/* loop NULL: done() runs inside app_work_wait() only (tests, commands). NULL: out of memory or threads. */
struct app_work *app_work_new(struct eio_loop *loop, const struct app_work_options *options);
/* Finishes what was submitted, runs every done(), ends the threads. Accepts NULL. */
void app_work_free(struct app_work *work);
/* Blocks until everything submitted is finished, and runs done() of it. On the loop's thread. */
void app_work_wait(struct app_work *work);
void app_work_get_stats(struct app_work *work, struct app_work_stats *stats);

void app_strand_init(struct app_strand *strand, struct app_work *work, size_t batch_max,
                     void (*run_batch)(void *ctx, struct app_job *list), void *ctx);
/* Puts a job at the end of the strand. Returns 0, or EIO_EAGAIN when the pool's limits are reached: then the job was
 * not taken and done() will not run. From the loop's thread. */
int app_strand_submit(struct app_strand *strand, struct app_job *job);

#endif
