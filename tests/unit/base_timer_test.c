/* base_timer.c on a clock of its own, and once on libevent's. */
#include "base_timer.h"

#include "base_clock.h"
#include "test.h"

#include <event2/event.h>

enum { THINGS = 40, STEPS = 20000 };

static struct base_timers timers;
static uint64_t now_ms;

static uint64_t now(void *ctx)
{
    (void)ctx;
    return now_ms;
}

struct thing {
    struct base_timer timer;
    uint64_t at_ms; /* 0: it does not run */
    unsigned fired;
};
static struct thing things[THINGS];
static uint64_t last_ms;

static void on_thing(void *ctx)
{
    struct thing *thing = ctx;
    assert_true(thing->at_ms && thing->at_ms <= now_ms && thing->at_ms >= last_ms);
    last_ms = thing->at_ms;
    thing->at_ms = 0;
    thing->fired++;
}

TEST(base_timers, each_fires_once_in_order_whatever_was_moved_and_stopped)
{
    unsigned seed = 1;
    assert_int_equal(base_timers_init(&timers, NULL, now, NULL), 0);
    for (size_t i = 0; i < THINGS; i++)
        assert_int_equal(base_timer_init(&things[i].timer, &timers, on_thing, &things[i]), 0);
    for (size_t step = 0; step < STEPS; step++) {
        seed = seed * 1103515245u + 12345u;
        struct thing *thing = &things[(seed >> 16) % THINGS];
        if ((seed >> 8) % 4 == 0) {
            base_timer_stop(&thing->timer);
            thing->at_ms = 0;
        } else {
            thing->at_ms = now_ms + 1 + (seed >> 20) % 50;
            base_timer_start_at(&thing->timer, thing->at_ms);
        }
        assert_int_equal(base_timer_is_running(&thing->timer), thing->at_ms != 0);
        now_ms += (seed >> 12) % 3;
        last_ms = 0;
        base_timers_run(&timers);
        for (size_t i = 0; i < THINGS; i++) assert_true(things[i].at_ms == 0 || things[i].at_ms > now_ms);
    }
    for (size_t i = 0; i < THINGS; i++) assert_true(things[i].fired > 0);
    for (size_t i = 0; i < THINGS; i++) base_timer_clear(&things[i].timer);
    base_timers_clear(&timers);
}

static struct base_timer again, other;
static unsigned again_count, other_count;

static void on_again(void *ctx)
{
    (void)ctx;
    again_count++;
    base_timer_start(&again, 0);
}

TEST(base_timers, one_that_starts_itself_anew_does_not_keep_the_loop)
{
    assert_int_equal(base_timers_init(&timers, NULL, now, NULL), 0);
    assert_int_equal(base_timer_init(&again, &timers, on_again, NULL), 0);
    base_timer_start(&again, 1);
    base_timers_run(&timers);
    assert_int_equal(again_count, 0);
    now_ms++;
    for (unsigned run = 1; run < 4; run++) {
        base_timers_run(&timers);
        assert_int_equal(again_count, run);
    }
    base_timer_clear(&again);
    base_timers_clear(&timers);
    base_timers_clear(&timers); /* a second time */
}

static void on_ending(void *ctx)
{
    base_timer_clear(ctx);
    base_timer_clear(&other);
}

static void on_other(void *ctx)
{
    (void)ctx;
    other_count++;
}

TEST(base_timers, a_callback_may_end_its_own_and_others)
{
    struct base_timer ending;
    assert_int_equal(base_timers_init(&timers, NULL, now, NULL), 0);
    assert_int_equal(base_timer_init(&ending, &timers, on_ending, &ending), 0);
    assert_int_equal(base_timer_init(&other, &timers, on_other, NULL), 0);
    base_timer_start(&ending, 1);
    base_timer_start(&other, 2);
    now_ms += 2;
    base_timers_run(&timers);
    assert_int_equal(other_count, 0);
    base_timer_clear(&other); /* a second time */
    base_timers_clear(&timers);
}

static void on_end(void *ctx)
{
    event_base_loopbreak(ctx);
}

TEST(base_timers, on_libevent_an_earlier_one_is_not_held_up_by_a_later_one)
{
    struct event_base *base = event_base_new();
    struct base_timer late, soon;
    assert_int_equal(base_timers_init(&timers, base, NULL, NULL), 0);
    assert_int_equal(base_timer_init(&late, &timers, on_end, base), 0);
    assert_int_equal(base_timer_init(&soon, &timers, on_end, base), 0);
    uint64_t begin_ms = base_clock_ms();
    base_timer_start(&late, UINT64_MAX);
    base_timer_start(&soon, 20);
    event_base_dispatch(base);
    assert_true(base_clock_ms() >= begin_ms + 20);
    assert_false(base_timer_is_running(&soon));
    assert_true(base_timer_is_running(&late));
    base_timer_clear(&late);
    base_timer_clear(&soon);
    base_timers_clear(&timers);
    event_base_free(base);
}

TEST_MAIN
