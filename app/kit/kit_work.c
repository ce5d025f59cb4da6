/* The thread pool. One mutex guards the queues that threads see. The loop takes it at the end of a turn, for all that
 * the turn gave, and once for all results that are there: what arrives together is one batch, which is one transaction
 * of the store and one answer to each who waits, and costs one waking of a thread. */
#include "kit_work.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define MAX_THREADS 64
#define GIVEN_MAX 64 /* jobs of a turn; more are not kept from the threads until its end */

struct kit_work {
    struct eio_loop *loop;
    struct kit_work_options options;
    pthread_mutex_t mutex;
    pthread_cond_t ready_cond, idle_cond;
    struct kit_strand *ready, **ready_tail; /* strands with jobs that no thread runs */
    struct kit_job *done, **done_tail;
    unsigned running; /* threads inside a batch */
    bool posted;      /* deliver_results() is on its way to the loop */
    bool stopping, *is_gone;
    uint64_t batches;

    /* The loop's thread only. */
    struct kit_job *given, **given_tail; /* of this turn */
    size_t given_count;
    struct eio_timer timer;  /* hands over what was given behind the turn's end */
    struct kit_job *results; /* taken from `done` */
    bool again;              /* the job whose done() runs is not over */
    struct kit_work_stats stats;

    unsigned strand_count, thread_count;
    pthread_t threads[MAX_THREADS];
};

static void make_ready(struct kit_work *work, struct kit_strand *strand)
{
    strand->next_ready = NULL;
    *work->ready_tail = strand;
    work->ready_tail = &strand->next_ready;
}

static struct kit_strand *take_ready(struct kit_work *work)
{
    struct kit_strand *strand = work->ready;
    work->ready = strand->next_ready;
    if (!work->ready) work->ready_tail = &work->ready;
    return strand;
}

static struct kit_job *take_batch(struct kit_strand *strand)
{
    struct kit_job *list = strand->head, *last = list;
    for (size_t n = 1; last->next && n < strand->batch_max; n++) last = last->next;
    strand->head = last->next;
    if (!strand->head) strand->tail = &strand->head;
    last->next = NULL;
    return list;
}

static void run_batch(struct kit_strand *strand, struct kit_job *list)
{
    if (strand->run_batch) {
        strand->run_batch(strand->ctx, list);
        return;
    }
    for (struct kit_job *job = list; job; job = job->next) job->run(job);
}

/* ----------------------------------------------------------------- sources */

struct kit_source {
    struct kit_source_options options;
    unsigned refs;
    unsigned running; /* on strands */
    struct kit_job *first, **last;
    size_t jobs, bytes; /* that wait */
    bool full, closed;
};

struct kit_source *kit_source_new(const struct kit_source_options *options)
{
    struct kit_source *source = calloc(1, sizeof *source);
    if (!source) return NULL;
    source->options = *options;
    source->refs = 1;
    source->last = &source->first;
    return source;
}

static void set_full(struct kit_source *source, bool full)
{
    if (source->full == full) return;
    source->full = full;
    if (source->options.on_full && !source->closed) source->options.on_full(source->options.ctx, full);
}

static struct kit_source *source_ref(struct kit_source *source)
{
    if (source) source->refs++;
    return source;
}

static void source_unref(struct kit_source *source)
{
    if (source && --source->refs == 0) free(source);
}

void kit_source_close(struct kit_source *source)
{
    if (source) source->closed = true;
    source_unref(source);
}

bool kit_source_is_full(const struct kit_source *source)
{
    return source && source->full;
}

static void put_on_strand(struct kit_job *job);

/* A job of this source is done: the next that waits comes onto its strand. */
static void on_source_done(struct kit_source *source)
{
    if (!source) return;
    source->running--;
    while (source->first && source->running < source->options.share) {
        struct kit_job *job = source->first;
        source->first = job->next;
        if (!source->first) source->last = &source->first;
        source->jobs--;
        source->bytes -= job->bytes;
        source->running++;
        put_on_strand(job);
    }
    if (!source->first) set_full(source, false);
    source_unref(source);
}

static bool has_room(const struct kit_source *source, const struct kit_job *job)
{
    if (!source || source->running < source->options.share) return true;
    return source->jobs < source->options.max_jobs && source->bytes + job->bytes <= source->options.max_bytes;
}

/* ----------------------------------------------------------------- results */

#define SLICE_US 5000 /* results are handled at a stretch of at most this length */

static uint64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void deliver_results(void *ctx);

/* With the mutex held. Out of memory here only delays: the next batch tries again. */
static void post_delivery(struct kit_work *work)
{
    if (work->loop && !work->posted && !work->stopping)
        work->posted = eio_loop_post(work->loop, deliver_results, work) == 0;
}

static void take_results(struct kit_work *work)
{
    pthread_mutex_lock(&work->mutex);
    work->results = work->done;
    work->done = NULL;
    work->done_tail = &work->done;
    pthread_mutex_unlock(&work->mutex);
}

/* Runs done() of the first finished job. Returns false if no job has finished. */
static bool deliver_one(struct kit_work *work)
{
    if (!work->results) take_results(work);
    struct kit_job *job = work->results;
    if (!job) return false;
    work->results = job->next;
    struct kit_source *source = job->source;
    struct kit_strand *strand = job->strand;
    size_t bytes = job->bytes;
    uint64_t since_us = job->since_us;
    work->again = false;
    job->done(job);
    if (work->again) return true;
    kit_delays_count(&strand->delays, clock_us() - since_us);
    work->stats.jobs--;
    work->stats.bytes -= bytes;
    work->stats.finished++;
    on_source_done(source);
    return true;
}

/* Runs done() of finished jobs, on the loop's thread; what does not fit into a slice is the next turn's. */
static void deliver_results(void *ctx)
{
    struct kit_work *work = ctx;
    uint64_t end_us = clock_us() + SLICE_US;
    pthread_mutex_lock(&work->mutex);
    work->posted = false;
    pthread_mutex_unlock(&work->mutex);
    while (deliver_one(work) && clock_us() < end_us) {
    }
    pthread_mutex_lock(&work->mutex);
    if (work->results || work->done) post_delivery(work);
    pthread_mutex_unlock(&work->mutex);
}

/* With the mutex held. */
static void finish_batch(struct kit_work *work, struct kit_strand *strand, struct kit_job *list)
{
    *work->done_tail = list;
    while (list->next) list = list->next;
    work->done_tail = &list->next;
    work->batches++;
    work->running--;
    if (strand->head)
        make_ready(work, strand);
    else
        strand->scheduled = false;
    post_delivery(work);
    pthread_cond_broadcast(&work->idle_cond);
}

static void *thread_main(void *ctx)
{
    struct kit_work *work = ctx;
    pthread_mutex_lock(&work->mutex);
    for (;;) {
        while (!work->ready && !work->stopping) pthread_cond_wait(&work->ready_cond, &work->mutex);
        if (!work->ready) break;
        struct kit_strand *strand = take_ready(work);
        struct kit_job *list = take_batch(strand);
        work->running++;
        pthread_mutex_unlock(&work->mutex);
        run_batch(strand, list);
        pthread_mutex_lock(&work->mutex);
        finish_batch(work, strand, list);
    }
    pthread_mutex_unlock(&work->mutex);
    return NULL;
}

static bool add_thread(struct kit_work *work)
{
    if (work->thread_count == MAX_THREADS) return false;
    if (pthread_create(&work->threads[work->thread_count], NULL, thread_main, work)) return false;
    work->thread_count++;
    return true;
}

/* ----------------------------------------------------------------- handing over */

/* With the mutex held. True: a thread has to wake for it. */
static bool append_to_strand(struct kit_job *job)
{
    struct kit_strand *strand = job->strand;
    job->next = job->is_urgent ? strand->head : NULL;
    *(job->is_urgent ? &strand->head : strand->tail) = job;
    if (!job->next) strand->tail = &job->next;
    if (strand->scheduled) return false;
    strand->scheduled = true;
    make_ready(strand->work, strand);
    return true;
}

static void hand_over(struct kit_work *work)
{
    size_t wakes = 0;
    struct kit_job *job = work->given, *next;
    if (!job) return;
    work->given = NULL;
    work->given_tail = &work->given;
    work->given_count = 0;
    if (work->loop) eio_timer_stop(&work->timer);
    pthread_mutex_lock(&work->mutex);
    for (; job; job = next) {
        next = job->next;
        wakes += append_to_strand(job);
    }
    pthread_mutex_unlock(&work->mutex);
    while (wakes--) pthread_cond_signal(&work->ready_cond);
}

static void on_turn_end(void *ctx)
{
    hand_over(ctx);
}

static void put_on_strand(struct kit_job *job)
{
    struct kit_work *work = job->strand->work;
    job->next = NULL;
    *work->given_tail = job;
    work->given_tail = &job->next;
    bool is_now = !work->loop || ++work->given_count == GIVEN_MAX;
    /* Whatever gives something behind the turn's end has no end of a turn to wait for. */
    if (is_now || (work->given == job && eio_timer_start(&work->timer, 0))) hand_over(work);
}

/* -------------------------------------------------------------------- life */

struct kit_work *kit_work_new(struct eio_loop *loop, const struct kit_work_options *options)
{
    struct kit_work *work = calloc(1, sizeof *work);
    if (!work) return NULL;
    work->loop = loop;
    work->options = *options;
    work->ready_tail = &work->ready;
    work->done_tail = &work->done;
    work->given_tail = &work->given;
    if (loop) eio_timer_init(&work->timer, loop, on_turn_end, work);
    if (loop && eio_loop_add_flush_hook(loop, on_turn_end, work)) {
        free(work);
        return NULL;
    }
    pthread_mutex_init(&work->mutex, NULL);
    pthread_cond_init(&work->ready_cond, NULL);
    pthread_cond_init(&work->idle_cond, NULL);
    while (work->thread_count < options->threads && add_thread(work)) {
    }
    if (work->thread_count) return work;
    kit_work_free(work);
    return NULL;
}

void kit_work_wait(struct kit_work *work)
{
    bool idle;
    do {
        hand_over(work);
        pthread_mutex_lock(&work->mutex);
        while (work->ready || work->running) pthread_cond_wait(&work->idle_cond, &work->mutex);
        pthread_mutex_unlock(&work->mutex);
        while (deliver_one(work)) {
        } /* may submit more */
        pthread_mutex_lock(&work->mutex);
        idle = !work->ready && !work->running && !work->done && !work->given;
        pthread_mutex_unlock(&work->mutex);
    } while (!idle);
}

/* The last post may still be on its way to the loop and must find the pool; a post of our own, made after it and
 * therefore run after it, frees it. */
static void destroy(void *ctx)
{
    struct kit_work *work = ctx;
    pthread_mutex_destroy(&work->mutex);
    pthread_cond_destroy(&work->ready_cond);
    pthread_cond_destroy(&work->idle_cond);
    if (work->is_gone) *work->is_gone = true;
    free(work);
}

void kit_work_free(struct kit_work *work)
{
    if (!work) return;
    if (work->thread_count) kit_work_wait(work);
    if (work->loop) eio_loop_remove_flush_hook(work->loop, on_turn_end, work);
    if (work->loop) eio_timer_stop(&work->timer);
    pthread_mutex_lock(&work->mutex);
    work->stopping = true;
    bool posted = work->posted;
    pthread_cond_broadcast(&work->ready_cond);
    pthread_mutex_unlock(&work->mutex);
    for (unsigned i = 0; i < work->thread_count; i++) pthread_join(work->threads[i], NULL);
    if (posted && work->loop) {
        bool is_gone = false;
        work->is_gone = &is_gone;
        int error = eio_loop_post(work->loop, destroy, work);
        while (!error && !is_gone) eio_loop_turn(work->loop, 0);
        return;
    }
    destroy(work);
}

void kit_work_get_stats(struct kit_work *work, struct kit_work_stats *stats)
{
    pthread_mutex_lock(&work->mutex);
    *stats = work->stats;
    stats->batches = work->batches;
    pthread_mutex_unlock(&work->mutex);
}

void kit_strand_init(struct kit_strand *strand, struct kit_work *work, size_t batch_max,
                     void (*run_batch_fn)(void *ctx, struct kit_job *list), void *ctx)
{
    struct kit_strand fresh = {.work = work, .run_batch = run_batch_fn, .ctx = ctx, .batch_max = batch_max};
    *strand = fresh;
    strand->tail = &strand->head;
    /* One thread stays free for this strand, whatever keeps the others busy. Without it, it waits for theirs. */
    if (++work->strand_count > work->thread_count) add_thread(work);
}

void kit_strand_again(struct kit_job *job)
{
    job->strand->work->again = true;
    put_on_strand(job);
}

void kit_job_put_off(struct kit_job *job)
{
    struct kit_work *work = job->strand->work;
    work->again = true;
    job->next = work->results;
    work->results = job;
}

/* Counts the job against the pool's limits. False: they are reached. */
static bool take_room(struct kit_work *work, const struct kit_source *source, const struct kit_job *job, bool waits)
{
    const struct kit_work_options *options = &work->options;
    bool reserve = !source || source->options.reserve;
    size_t max_jobs = reserve ? options->max_jobs : options->max_jobs - options->max_jobs / 4;
    size_t max_bytes = reserve ? options->max_bytes : options->max_bytes - options->max_bytes / 4;
    bool fits = has_room(source, job) && work->stats.jobs < max_jobs && work->stats.bytes + job->bytes <= max_bytes;
    if (job->is_urgent) fits = true; /* they are few */
    if (fits) {
        work->stats.submitted++;
        work->stats.jobs++;
        work->stats.bytes += job->bytes;
        work->stats.delayed += waits;
    } else {
        work->stats.refused++;
    }
    return fits;
}

int kit_strand_submit(struct kit_strand *strand, struct kit_source *source, struct kit_job *job)
{
    bool waits = source && source->running >= source->options.share;
    if (!take_room(strand->work, source, job, waits)) return EIO_EAGAIN;
    job->strand = strand;
    job->since_us = clock_us();
    job->source = source_ref(source);
    job->next = NULL;
    if (!waits) {
        if (source) source->running++;
        put_on_strand(job);
        return 0;
    }
    *source->last = job;
    source->last = &job->next;
    source->jobs++;
    source->bytes += job->bytes;
    set_full(source, true);
    return 0;
}
