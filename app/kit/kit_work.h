/* A small pool of threads for what would block the loop. Jobs are put on strands: jobs of one strand run one batch
 * after another, in order (urgent ones in front), never at the same time; different strands run side by side. A job's
 * `done` runs on the loop, in the order of the strand. */
#ifndef KIT_WORK_H
#define KIT_WORK_H

#include "kit_delays.h"

#include <engineio.h>

struct kit_work;
struct kit_source;

/* The struct of that type whose member the pointer points to. Does not compile with a pointer to anything else. */
#define KIT_OWNER(pointer, type, member) \
    ((type *)((uintptr_t)(1 ? (pointer) : &((type *)0)->member) - offsetof(type, member)))

/* Embedded in the owner's struct, which must live until done() has run. */
struct kit_job {
    struct kit_job *next;
    void (*run)(struct kit_job *job);  /* on a thread; unused if the strand has a run_batch */
    void (*done)(struct kit_job *job); /* on the loop; may free the job */
    size_t bytes;                      /* what it holds, for the limit */
    bool is_urgent;                    /* goes in front of those that wait on its strand */

    /* Private. */
    uint64_t since_us; /* when it was submitted */
    struct kit_strand *strand;
    struct kit_source *source;
};

/* Fields are private. */
struct kit_strand {
    struct kit_work *work;
    struct kit_job *head, **tail;
    struct kit_strand *next_ready;
    bool scheduled;
    void (*run_batch)(void *ctx, struct kit_job *list); /* NULL: run() of each */
    void *ctx;
    size_t batch_max;
    struct kit_delays delays; /* from kit_strand_submit() to the end of done(); read on the loop's thread */
};

struct kit_work_options {
    unsigned threads;           /* at least; one for each strand in any case */
    size_t max_jobs, max_bytes; /* submitted and not done; a quarter is kept for sources with a reserve */
};

struct kit_work_stats {
    uint64_t submitted, finished, refused, batches, delayed;
    size_t jobs, bytes; /* now: submitted and not done */
};

/* Who gives work: a socket, a feed, a user over HTTP. No more of its jobs than its share are on the strands at a time;
 * the others wait here, and only for each other. */
struct kit_source_options {
    unsigned share;             /* jobs on the strands at a time */
    size_t max_jobs, max_bytes; /* that wait; above: EIO_EAGAIN */
    bool reserve;               /* a feed's: may use what is kept back */
    /* On the loop. full: jobs wait, it should give no more; then: none waits any longer. May be NULL. */
    void (*on_full)(void *ctx, bool full);
    void *ctx;
};

/* loop NULL: done() runs inside kit_work_wait() only (tests, commands). NULL: out of memory or threads. */
struct kit_work *kit_work_new(struct eio_loop *loop, const struct kit_work_options *options);
/* Finishes what was submitted, runs every done(), ends the threads. Accepts NULL. */
void kit_work_free(struct kit_work *work);
/* Blocks until everything submitted is finished, and runs done() of it. On the loop's thread. */
void kit_work_wait(struct kit_work *work);
void kit_work_get_stats(struct kit_work *work, struct kit_work_stats *stats);

void kit_strand_init(struct kit_strand *strand, struct kit_work *work, size_t batch_max,
                     void (*run_batch)(void *ctx, struct kit_job *list), void *ctx);
/* Puts a job at the end of the strand, or of the source's queue in front of it. source NULL: the server itself. Returns
 * 0, or EIO_EAGAIN when limits are reached: then the job was not taken and done() will not run. From the loop's
 * thread; threads get it at the end of the turn, with all else that came in it. */
int kit_strand_submit(struct kit_strand *strand, struct kit_source *source, struct kit_job *job);

/* Within the job's own done(): it goes to the end of its strand once more, and keeps its place in the limits and in its
 * source's share. For work that is done in pieces, so that others come in between. Cannot fail. */
void kit_strand_again(struct kit_job *job);

/* Within the job's own done(): that is called once more before any other job's, in this slice of the loop or in a later
 * one. For results that are long to handle. Cannot fail. */
void kit_job_put_off(struct kit_job *job);

/* NULL: out of memory. On the loop's thread, as all of a source. */
struct kit_source *kit_source_new(const struct kit_source_options *options);
/* Its owner is gone; jobs hold references of their own: on_full is not called any more; what waits still runs. Accepts
 * NULL.
 */
void kit_source_close(struct kit_source *source);
bool kit_source_is_full(const struct kit_source *source);

#endif
