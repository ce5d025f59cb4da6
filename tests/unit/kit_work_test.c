#include "kit_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { MANY = 2000 };

static struct {
    int run_order[MANY], done_order[MANY];
    atomic_int run_count, inside, overlaps;
    int done_count;
    pthread_t loop_thread;
    bool wrong_thread;
} seen;

struct job {
    struct kit_job job;
    int number;
};

static void run(struct kit_job *job)
{
    if (atomic_fetch_add(&seen.inside, 1)) atomic_fetch_add(&seen.overlaps, 1);
    int at = atomic_fetch_add(&seen.run_count, 1);
    if (at < MANY) seen.run_order[at] = ((struct job *)job)->number;
    atomic_fetch_sub(&seen.inside, 1);
}

static void done(struct kit_job *job)
{
    if (!pthread_equal(pthread_self(), seen.loop_thread)) seen.wrong_thread = true;
    if (seen.done_count < MANY) seen.done_order[seen.done_count] = ((struct job *)job)->number;
    seen.done_count++;
    free(job);
}

static int submit_from(struct kit_source *source, struct kit_strand *strand, int number, size_t bytes)
{
    struct job *job = calloc(1, sizeof *job);
    job->job.run = run;
    job->job.done = done;
    job->job.bytes = bytes;
    job->number = number;
    int error = kit_strand_submit(strand, source, &job->job);
    if (error) free(job);
    return error;
}

static int submit(struct kit_strand *strand, int number, size_t bytes)
{
    return submit_from(NULL, strand, number, bytes);
}

static int set_up(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    seen.loop_thread = pthread_self();
    return 0;
}

static void jobs_of_a_strand_run_and_end_in_order_one_at_a_time(void **state)
{
    struct kit_work_options options = {4, MANY, 1 << 20};
    struct kit_work *work = kit_work_new(NULL, &options);
    struct kit_strand strand;
    (void)state;
    kit_strand_init(&strand, work, 7, NULL, NULL);
    for (int i = 0; i < MANY; i++) assert_int_equal(submit(&strand, i, 1), 0);
    kit_work_wait(work);
    assert_int_equal(seen.done_count, MANY);
    assert_int_equal(seen.overlaps, 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(seen.run_order[i], i);
        assert_int_equal(seen.done_order[i], i);
    }
    assert_false(seen.wrong_thread);
    kit_work_free(work);
}

/* A gate that keeps a thread busy. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void wait_at_gate(struct kit_job *job)
{
    (void)job;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static void nothing(struct kit_job *job)
{
    (void)job;
}

/* Whoever keeps all the others busy. */
static void a_strand_goes_on_while_all_others_wait(void **state)
{
    enum { SLOW = 3 };
    struct kit_work_options options = {2, MANY, 1 << 20};
    struct kit_work *work = kit_work_new(NULL, &options);
    struct kit_strand slow[SLOW], quick;
    struct kit_job blockers[SLOW];
    (void)state;
    for (int i = 0; i < SLOW; i++) kit_strand_init(&slow[i], work, 10, NULL, NULL);
    kit_strand_init(&quick, work, 10, NULL, NULL);
    pthread_mutex_lock(&gate);
    for (int i = 0; i < SLOW; i++) {
        blockers[i] = (struct kit_job){.run = wait_at_gate, .done = nothing};
        assert_int_equal(kit_strand_submit(&slow[i], NULL, &blockers[i]), 0);
    }
    assert_int_equal(submit(&slow[0], 1, 1), 0);
    for (int i = 2; i < 50; i++) assert_int_equal(submit(&quick, i, 1), 0);
    struct timespec nap = {0, 1000000};
    for (int i = 0; i < 60000 && atomic_load(&seen.run_count) < 48; i++) nanosleep(&nap, NULL);
    assert_int_equal(atomic_load(&seen.run_count), 48);
    pthread_mutex_unlock(&gate);
    kit_work_free(work); /* finishes what waits */
    assert_int_equal(seen.done_count, 49);
}

/* And in spite of the limits. */
static void what_is_urgent_goes_in_front(void **state)
{
    struct kit_work_options options = {1, 4, 1 << 20};
    struct kit_work *work = kit_work_new(NULL, &options);
    struct kit_strand strand;
    struct kit_job blocker = {.run = wait_at_gate, .done = nothing};
    (void)state;
    kit_strand_init(&strand, work, 1, NULL, NULL);
    pthread_mutex_lock(&gate);
    assert_int_equal(kit_strand_submit(&strand, NULL, &blocker), 0);
    for (int i = 1; i < 4; i++) assert_int_equal(submit(&strand, i, 1), 0);
    assert_int_equal(submit(&strand, 9, 1), EIO_EAGAIN);
    struct job *urgent = calloc(1, sizeof *urgent);
    *urgent = (struct job){.job = {.run = run, .done = done, .is_urgent = true}, .number = 0};
    assert_int_equal(kit_strand_submit(&strand, NULL, &urgent->job), 0);
    pthread_mutex_unlock(&gate);
    kit_work_wait(work);
    assert_int_equal(seen.done_count, 4);
    for (int i = 0; i < 4; i++) assert_int_equal(seen.run_order[i], i);
    assert_int_equal(submit(&strand, 4, 1), 0); /* the end of the queue is where it was */
    kit_work_free(work);
    assert_int_equal(seen.run_order[4], 4);
}

static void the_queue_is_bounded_in_jobs_and_bytes(void **state)
{
    struct kit_work_options options = {1, 3, 100};
    struct kit_work *work = kit_work_new(NULL, &options);
    struct kit_work_stats stats;
    struct kit_strand strand;
    (void)state;
    kit_strand_init(&strand, work, 10, NULL, NULL);
    assert_int_equal(submit(&strand, 0, 101), EIO_EAGAIN);
    assert_int_equal(submit(&strand, 0, 60), 0);
    assert_int_equal(submit(&strand, 1, 60), EIO_EAGAIN); /* finished or not: done() has not run */
    assert_int_equal(submit(&strand, 2, 20), 0);
    assert_int_equal(submit(&strand, 3, 20), 0);
    assert_int_equal(submit(&strand, 4, 0), EIO_EAGAIN);
    kit_work_get_stats(work, &stats);
    assert_int_equal(stats.refused, 3);
    assert_int_equal(stats.jobs, 3);
    assert_int_equal(stats.bytes, 100);
    kit_work_wait(work);
    kit_work_get_stats(work, &stats);
    assert_int_equal(stats.jobs, 0);
    assert_int_equal(stats.bytes, 0);
    assert_int_equal(submit(&strand, 5, 100), 0);
    kit_work_free(work);
    assert_int_equal(seen.done_count, 4);
}

static void results_come_back_on_the_loop(void **state)
{
    struct kit_work_options options = {2, MANY, 1 << 20};
    struct eio_loop *loop = eio_loop_new();
    struct kit_work *work = kit_work_new(loop, &options);
    struct kit_strand strand;
    (void)state;
    kit_strand_init(&strand, work, 10, NULL, NULL);
    for (int i = 0; i < 100; i++) assert_int_equal(submit(&strand, i, 1), 0);
    for (int i = 0; i < 1000 && seen.done_count < 100; i++) eio_loop_turn(loop, -1);
    assert_int_equal(seen.done_count, 100);
    /* Freed with a result under way to the loop. */
    assert_int_equal(submit(&strand, 100, 1), 0);
    kit_work_free(work);
    assert_int_equal(seen.done_count, 101);
    eio_loop_free(loop);
    assert_false(seen.wrong_thread);
}

static int batches, in_last_batch;

static void count_batch(void *ctx, struct kit_job *list)
{
    (void)ctx;
    batches++;
    for (in_last_batch = 0; list; list = list->next) {
        in_last_batch++;
        run(list);
    }
}

static struct kit_strand late_strand;
static bool is_late_given;

static void give_late(void *ctx)
{
    (void)ctx;
    if (is_late_given || seen.done_count < 16) return;
    assert_int_equal(submit(&late_strand, 16, 1), 0);
    is_late_given = true;
}

/* 16 lines that one read brought are one transaction. And what comes behind the turn's end does not wait for another
 * one. */
static void what_a_turn_gives_is_one_batch(void **state)
{
    struct kit_work_options options = {2, MANY, 1 << 20};
    struct eio_loop *loop = eio_loop_new();
    struct kit_work *work = kit_work_new(loop, &options);
    struct timespec nap = {0, 20000000};
    (void)state;
    batches = 0;
    is_late_given = false;
    eio_loop_add_flush_hook(loop, give_late, NULL);
    kit_strand_init(&late_strand, work, 100, count_batch, NULL);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(submit(&late_strand, i, 1), 0);
        if (i == 0) nanosleep(&nap, NULL); /* a thread that got the first would have begun */
    }
    while (seen.done_count < 17) eio_loop_turn(loop, -1);
    assert_int_equal(batches, 2);
    assert_int_equal(in_last_batch, 1);
    kit_work_free(work);
    eio_loop_free(loop);
}

/* Many do not wait for a long turn to end. */
static void a_turn_that_gives_much_is_several_batches(void **state)
{
    struct kit_work_options options = {1, MANY, 1 << 20};
    struct eio_loop *loop = eio_loop_new();
    struct kit_work *work = kit_work_new(loop, &options);
    struct kit_strand strand;
    struct timespec nap = {0, 1000000};
    (void)state;
    kit_strand_init(&strand, work, 10, NULL, NULL);
    for (int i = 0; i < 1000; i++) assert_int_equal(submit(&strand, i, 1), 0);
    for (int i = 0; i < 60000 && atomic_load(&seen.run_count) < 900; i++) nanosleep(&nap, NULL);
    assert_true(atomic_load(&seen.run_count) >= 900);
    kit_work_free(work);
    assert_int_equal(seen.done_count, 1000);
    for (int i = 0; i < 1000; i++) assert_int_equal(seen.done_order[i], i);
    eio_loop_free(loop);
}

struct fullness {
    int calls;
    bool full;
};

static void on_full(void *ctx, bool full)
{
    struct fullness *fullness = ctx;
    fullness->calls++;
    fullness->full = full;
}

static void who_has_its_share_waits_for_itself_alone(void **state)
{
    struct kit_work_options options = {1, MANY, 1 << 20};
    struct kit_work *work = kit_work_new(NULL, &options);
    struct kit_strand strand;
    struct fullness fullness = {0, false};
    struct kit_source_options share = {
        .share = 2, .max_jobs = 10, .max_bytes = 1000, .on_full = on_full, .ctx = &fullness};
    struct kit_source *greedy = kit_source_new(&share), *modest = kit_source_new(&share);
    struct kit_job blocker = {.run = wait_at_gate, .done = nothing};
    (void)state;
    kit_strand_init(&strand, work, 1, NULL, NULL);
    pthread_mutex_lock(&gate);
    assert_int_equal(kit_strand_submit(&strand, NULL, &blocker), 0);
    for (int i = 0; i < 12; i++) assert_int_equal(submit_from(greedy, &strand, i, 1), 0);
    assert_int_equal(submit_from(greedy, &strand, 12, 1), EIO_EAGAIN); /* its queue is full, nobody else's */
    assert_true(kit_source_is_full(greedy));
    assert_int_equal(fullness.calls, 1);
    assert_int_equal(submit_from(modest, &strand, 100, 1), 0);
    assert_false(kit_source_is_full(modest));
    pthread_mutex_unlock(&gate);
    kit_work_wait(work);
    assert_int_equal(seen.done_count, 13);
    int expected[] = {0, 1, 100, 2, 3};
    for (size_t i = 0; i < 5; i++) assert_int_equal(seen.done_order[i], expected[i]);
    assert_false(fullness.full);
    assert_int_equal(fullness.calls, 2);
    kit_source_close(greedy);
    kit_source_close(modest);
    kit_work_free(work);
}

static void what_waits_runs_though_its_source_is_gone(void **state)
{
    struct kit_work_options options = {1, MANY, 1 << 20};
    struct kit_work *work = kit_work_new(NULL, &options);
    struct kit_strand strand;
    struct fullness fullness = {0, false};
    struct kit_source_options share = {
        .share = 1, .max_jobs = 10, .max_bytes = 1000, .on_full = on_full, .ctx = &fullness};
    struct kit_source *source = kit_source_new(&share);
    (void)state;
    kit_strand_init(&strand, work, 10, NULL, NULL);
    for (int i = 0; i < 5; i++) assert_int_equal(submit_from(source, &strand, i, 1), 0);
    kit_source_close(source);
    kit_work_wait(work);
    assert_int_equal(seen.done_count, 5);
    assert_int_equal(fullness.calls, 1); /* nobody is there to be told that it may give more */
    kit_work_free(work);
}

static void a_quarter_is_kept_for_feeds(void **state)
{
    struct kit_work_options options = {1, 8, 1000};
    struct kit_work *work = kit_work_new(NULL, &options);
    struct kit_strand strand;
    struct kit_source_options share = {.share = 100, .max_jobs = 10, .max_bytes = 1000};
    struct kit_source *agent = kit_source_new(&share);
    share.reserve = true;
    struct kit_source *feed = kit_source_new(&share);
    (void)state;
    kit_strand_init(&strand, work, 10, NULL, NULL);
    for (int i = 0; i < 6; i++) assert_int_equal(submit_from(agent, &strand, i, 1), 0);
    assert_int_equal(submit_from(agent, &strand, 6, 1), EIO_EAGAIN);
    assert_int_equal(submit_from(feed, &strand, 7, 1), 0);
    assert_int_equal(submit_from(feed, &strand, 8, 1), 0);
    assert_int_equal(submit_from(feed, &strand, 9, 1), EIO_EAGAIN);
    kit_source_close(agent);
    kit_source_close(feed);
    kit_work_free(work);
    assert_int_equal(seen.done_count, 8);
}

static void slow_done(struct kit_job *job)
{
    struct timespec nap = {0, 2000000};
    nanosleep(&nap, NULL);
    done(job);
}

/* A turn of the loop is not as long as all results together. */
static void results_are_handled_in_slices(void **state)
{
    struct kit_work_options options = {1, MANY, 1 << 20};
    struct eio_loop *loop = eio_loop_new();
    struct kit_work *work = kit_work_new(loop, &options);
    struct kit_strand strand;
    (void)state;
    kit_strand_init(&strand, work, 20, NULL, NULL);
    for (int i = 0; i < 20; i++) {
        struct job *job = calloc(1, sizeof *job);
        job->job.run = run;
        job->job.done = slow_done;
        assert_int_equal(kit_strand_submit(&strand, NULL, &job->job), 0);
    }
    int turns = 0, most = 0;
    while (seen.done_count < 20) {
        int before = seen.done_count;
        eio_loop_turn(loop, -1);
        if (seen.done_count - before > most) most = seen.done_count - before;
        turns++;
    }
    assert_in_range(most, 1, 3); /* 5 ms */
    assert_in_range(turns, 7, 1000);
    kit_work_free(work);
    eio_loop_free(loop);
}

static int pieces;

static void done_in_pieces(struct kit_job *job)
{
    if (++pieces < 3)
        kit_strand_again(job);
    else
        done(job);
}

static void a_job_in_pieces_lets_others_in_between_and_keeps_its_place(void **state)
{
    struct kit_work_options options = {1, 8, 1 << 20};
    struct kit_source_options share = {.share = 1, .max_jobs = 8, .max_bytes = 1 << 20};
    struct kit_work *work = kit_work_new(NULL, &options);
    struct kit_source *source = kit_source_new(&share);
    struct kit_strand strand;
    struct job *long_one = calloc(1, sizeof *long_one);
    (void)state;
    pieces = 0;
    long_one->job = (struct kit_job){.run = run, .done = done_in_pieces, .bytes = 1};
    kit_strand_init(&strand, work, 1, NULL, NULL);
    long_one->number = 7;
    assert_int_equal(kit_strand_submit(&strand, source, &long_one->job), 0);
    assert_int_equal(submit_from(source, &strand, 8, 1), 0); /* waits for its source's share */
    assert_int_equal(submit(&strand, 9, 1), 0);
    kit_work_wait(work);
    static const int order[] = {7, 9, 7, 7, 8};
    struct kit_work_stats stats;
    for (int i = 0; i < 5; i++) assert_int_equal(seen.run_order[i], order[i]);
    kit_work_get_stats(work, &stats);
    assert_int_equal(stats.jobs, 0);
    assert_int_equal(stats.bytes, 0);
    assert_int_equal(stats.finished, 3);
    kit_source_close(source);
    kit_work_free(work);
}

static void done_in_stretches(struct kit_job *job)
{
    if (++pieces < 4)
        kit_job_put_off(job);
    else
        done(job);
}

static void a_long_result_is_handled_in_stretches_and_before_all_others(void **state)
{
    struct kit_work_options options = {1, 8, 1 << 20};
    struct kit_work *work = kit_work_new(NULL, &options);
    struct kit_strand strand;
    struct kit_work_stats stats;
    (void)state;
    kit_strand_init(&strand, work, 8, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        struct job *job = calloc(1, sizeof *job);
        job->job = (struct kit_job){.run = run, .done = i ? done : done_in_stretches, .bytes = 1};
        job->number = i;
        assert_int_equal(kit_strand_submit(&strand, NULL, &job->job), 0);
        pieces = 0;
    }
    kit_work_wait(work);
    assert_int_equal(pieces, 4);
    assert_int_equal(seen.done_count, 2);
    assert_int_equal(seen.done_order[0], 0);
    assert_int_equal(seen.done_order[1], 1);
    kit_work_get_stats(work, &stats);
    assert_int_equal(stats.jobs, 0);
    assert_int_equal(stats.finished, 2);
    kit_work_free(work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_has_its_share_waits_for_itself_alone, set_up),
        cmocka_unit_test_setup(what_waits_runs_though_its_source_is_gone, set_up),
        cmocka_unit_test_setup(a_quarter_is_kept_for_feeds, set_up),
        cmocka_unit_test_setup(a_job_in_pieces_lets_others_in_between_and_keeps_its_place, set_up),
        cmocka_unit_test_setup(a_long_result_is_handled_in_stretches_and_before_all_others, set_up),
        cmocka_unit_test_setup(results_are_handled_in_slices, set_up),
        cmocka_unit_test_setup(jobs_of_a_strand_run_and_end_in_order_one_at_a_time, set_up),
        cmocka_unit_test_setup(a_strand_goes_on_while_all_others_wait, set_up),
        cmocka_unit_test_setup(what_is_urgent_goes_in_front, set_up),
        cmocka_unit_test_setup(the_queue_is_bounded_in_jobs_and_bytes, set_up),
        cmocka_unit_test_setup(results_come_back_on_the_loop, set_up),
        cmocka_unit_test_setup(what_a_turn_gives_is_one_batch, set_up),
        cmocka_unit_test_setup(a_turn_that_gives_much_is_several_batches, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
