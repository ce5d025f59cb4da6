/* Timers and deadline queues on a fake clock, against a list that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eio_int.h"

enum { TIMERS = 200, DEADLINES = 60, STEPS = 4000 };

static struct eio_loop *loop;
static uint32_t seed;

static uint32_t random_below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* ------------------------------------------------------------------ timers */

struct probe {
    struct eio_timer timer;
    uint64_t at_ms; /* when the model expects it, 0: not running */
};
static struct probe probes[TIMERS];
static size_t fired;

static void probe_start(struct probe *probe)
{
    uint64_t delay_ms = 1 + random_below(500);
    assert_int_equal(eio_timer_start(&probe->timer, delay_ms), 0);
    probe->at_ms = eio_loop_now_ms(loop) + delay_ms;
}

static void on_probe(void *ctx)
{
    struct probe *probe = ctx;
    assert_int_equal(probe->at_ms, eio_loop_now_ms(loop));
    assert_false(eio_timer_running(&probe->timer));
    for (size_t i = 0; i < TIMERS; i++) assert_true(probes[i].at_ms == 0 || probes[i].at_ms >= probe->at_ms);
    probe->at_ms = 0;
    fired++;
    if (random_below(4) == 0) probe_start(&probes[random_below(TIMERS)]);
    if (random_below(4) == 0) {
        struct probe *other = &probes[random_below(TIMERS)];
        eio_timer_stop(&other->timer);
        other->at_ms = 0;
    }
}

static void timers_fire_in_order_whatever_is_started_and_stopped(void **state)
{
    (void)state;
    loop = eio_loop_new_with_fake_clock();
    seed = 7;
    fired = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        eio_timer_init(&probes[i].timer, loop, on_probe, &probes[i]);
        probes[i].at_ms = 0;
    }
    for (int step = 0; step < STEPS; step++) {
        struct probe *probe = &probes[random_below(TIMERS)];
        uint32_t what = random_below(10);
        if (what < 6) {
            probe_start(probe);
        } else if (what < 8) {
            eio_timer_stop(&probe->timer);
            probe->at_ms = 0;
        } else {
            eio_loop_advance(loop, random_below(40));
        }
        uint64_t first = UINT64_MAX;
        for (size_t i = 0; i < TIMERS; i++) {
            assert_int_equal(eio_timer_running(&probes[i].timer), probes[i].at_ms != 0);
            if (probes[i].at_ms && probes[i].at_ms < first) first = probes[i].at_ms;
        }
        assert_true(eio__timers_next_ms(loop) == first);
        assert_true(first > eio_loop_now_ms(loop));
    }
    assert_true(fired > 500);
    for (size_t i = 0; i < TIMERS; i++) eio_timer_stop(&probes[i].timer);
    eio_loop_free(loop);
}

static void count_and_restart(void *ctx)
{
    struct probe *probe = ctx;
    if (++probe->at_ms < 100) eio_timer_start(&probe->timer, 0);
}

static void a_timer_without_delay_does_not_hold_the_turn(void **state)
{
    (void)state;
    loop = eio_loop_new_with_fake_clock();
    struct probe probe = {.at_ms = 0};
    eio_timer_init(&probe.timer, loop, count_and_restart, &probe);
    eio_timer_start(&probe.timer, 0);
    eio_loop_turn(loop, 0);
    assert_int_equal(probe.at_ms, 1);
    eio_loop_turn(loop, 0);
    assert_int_equal(probe.at_ms, 2);
    eio_timer_stop(&probe.timer);
    eio_loop_free(loop);
}

static void an_endless_delay_does_not_overflow(void **state)
{
    (void)state;
    loop = eio_loop_new_with_fake_clock();
    struct probe probe = {.at_ms = 0};
    eio_timer_init(&probe.timer, loop, count_and_restart, &probe);
    eio_timer_start(&probe.timer, UINT64_MAX);
    eio_loop_advance(loop, UINT32_MAX);
    assert_int_equal(probe.at_ms, 0);
    eio_timer_stop(&probe.timer);
    eio_loop_free(loop);
}

static void real_timers_fire_in_time(void **state)
{
    (void)state;
    loop = eio_loop_new();
    struct probe probe = {.at_ms = 99};
    eio_timer_init(&probe.timer, loop, count_and_restart, &probe);
    uint64_t from = eio_loop_now_ms(loop);
    eio_timer_start(&probe.timer, 30);
    while (probe.at_ms == 99) eio_loop_turn(loop, -1);
    assert_true(eio_loop_now_ms(loop) >= from + 30);
    eio_loop_free(loop);
}

/* --------------------------------------------------------------- deadlines */

struct dated {
    struct eio_deadline deadline;
    uint64_t at_ms; /* the model's, 0: not running */
};
static struct dated dated[DEADLINES];
static struct eio_deadlines queue;

static void on_due(struct eio_deadline *due, void *ctx)
{
    assert_ptr_equal(ctx, &queue);
    struct dated *self = (struct dated *)(void *)due;
    assert_int_equal(self->at_ms, eio_loop_now_ms(loop));
    self->at_ms = 0;
    fired++;
    uint32_t what = random_below(3);
    struct dated *other = &dated[random_below(DEADLINES)];
    if (what == 0) { /* itself or another one, again */
        eio_deadlines_add(&queue, &other->deadline);
        other->at_ms = eio_loop_now_ms(loop) + 100;
    } else if (what == 1) { /* maybe one that is due at this very moment */
        eio_deadline_stop(&queue, &other->deadline);
        other->at_ms = 0;
    }
}

static void deadlines_are_kept_to_the_millisecond(void **state)
{
    (void)state;
    loop = eio_loop_new_with_fake_clock();
    seed = 3;
    fired = 0;
    eio_deadlines_init(&queue, loop, 100, on_due, &queue);
    for (size_t i = 0; i < DEADLINES; i++) dated[i] = (struct dated){.at_ms = 0};
    for (int step = 0; step < STEPS; step++) {
        struct dated *one = &dated[random_below(DEADLINES)];
        uint32_t what = random_below(10);
        if (what < 5) {
            eio_deadlines_add(&queue, &one->deadline);
            one->at_ms = eio_loop_now_ms(loop) + 100;
        } else if (what < 7) {
            eio_deadline_stop(&queue, &one->deadline);
            one->at_ms = 0;
        } else {
            eio_loop_advance(loop, random_below(30));
        }
        for (size_t i = 0; i < DEADLINES; i++) {
            assert_int_equal(dated[i].deadline.next != NULL, dated[i].at_ms != 0);
            assert_true(dated[i].at_ms == 0 || dated[i].at_ms > eio_loop_now_ms(loop));
        }
    }
    assert_true(fired > 500);
    eio_deadlines_clear(&queue);
    for (size_t i = 0; i < DEADLINES; i++) assert_null(dated[i].deadline.next);
    eio_loop_free(loop);
}

static void an_older_start_is_raised_to_the_youngest(void **state)
{
    (void)state;
    loop = eio_loop_new_with_fake_clock();
    seed = 3;
    eio_deadlines_init(&queue, loop, 100, on_due, &queue);
    uint64_t now = eio_loop_now_ms(loop);
    struct eio_deadline first = {0}, second = {0}, third = {0};
    eio_deadlines_add_from(&queue, &first, now - 20);
    eio_deadlines_add_from(&queue, &second, now - 50);
    eio_deadlines_add(&queue, &third);
    assert_int_equal(first.at_ms, now + 80);
    assert_int_equal(second.at_ms, now + 80);
    assert_int_equal(third.at_ms, now + 100);
    eio_deadlines_clear(&queue);
    eio_loop_free(loop);
}

static void no_op(void *ctx)
{
    (void)ctx;
}

static void no_op_due(struct eio_deadline *due, void *ctx)
{
    (void)due;
    (void)ctx;
}

/* A process that stood still for 60 ms has late timers, and says so. */
static void the_loop_counts_how_late_timers_run(void **state)
{
    (void)state;
    loop = eio_loop_new_with_fake_clock();
    seed = 4;
    eio_deadlines_init(&queue, loop, 100, no_op_due, NULL);
    struct eio_timer timer;
    struct eio_deadline deadline = {0};
    struct eio_loop_stats stats;
    eio_timer_init(&timer, loop, no_op, NULL);
    eio_timer_start(&timer, 10);
    eio_loop_advance(loop, 20);
    eio_loop_get_stats(loop, &stats);
    assert_int_equal(stats.late[0], 1);
    assert_int_equal(stats.late_max_us, 0);
    eio_timer_start(&timer, 10);
    loop->now_ms += 10 + 60;
    eio_loop_turn(loop, 0);
    eio_loop_get_stats(loop, &stats);
    assert_int_equal(eio_late_bound_ms(6), 100);
    assert_int_equal(stats.late[6], 1);
    assert_int_equal(stats.late_max_us, 60000);
    eio_deadlines_add(&queue, &deadline);
    loop->now_ms += 100 + 3;
    eio_loop_turn(loop, 0);
    eio_loop_get_stats(loop, &stats);
    assert_int_equal(eio_late_bound_ms(2), 5);
    assert_int_equal(stats.late[2], 2); /* the queue's timer and the deadline */
    assert_int_equal(stats.late_sum_us, 66000);
    assert_true(stats.turns >= 4);
    eio_deadlines_clear(&queue);
    eio_loop_free(loop);
}

struct again {
    struct eio_timer timer;
    int runs;
};

static void on_again(void *ctx)
{
    struct again *again = ctx;
    again->runs++;
    eio_timer_start(&again->timer, 0);
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static void a_timer_that_starts_itself_at_once_waits_for_the_next_turn(void **state)
{
    enum { OTHERS = 100 };
    struct eio_loop *own = eio_loop_new_with_fake_clock();
    struct eio_timer others[OTHERS];
    struct again again = {.runs = 0};
    (void)state;
    for (int i = 0; i < OTHERS; i++) {
        eio_timer_init(&others[i], own, nothing, NULL);
        eio_timer_start(&others[i], 60000);
    }
    eio_timer_init(&again.timer, own, on_again, &again);
    eio_timer_start(&again.timer, 0);
    for (int turn = 1; turn <= 3; turn++) {
        eio_loop_turn(own, 0);
        assert_int_equal(again.runs, turn);
    }
    for (int i = 0; i < OTHERS; i++) eio_timer_stop(&others[i]);
    eio_timer_stop(&again.timer);
    eio_loop_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_that_starts_itself_at_once_waits_for_the_next_turn),
        cmocka_unit_test(timers_fire_in_order_whatever_is_started_and_stopped),
        cmocka_unit_test(a_timer_without_delay_does_not_hold_the_turn),
        cmocka_unit_test(an_endless_delay_does_not_overflow),
        cmocka_unit_test(real_timers_fire_in_time),
        cmocka_unit_test(deadlines_are_kept_to_the_millisecond),
        cmocka_unit_test(an_older_start_is_raised_to_the_youngest),
        cmocka_unit_test(the_loop_counts_how_late_timers_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
