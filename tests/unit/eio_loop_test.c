/* Turns: posts from other threads, flush hooks, the order in which things happen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>

#include <cmocka.h>

#include "eio_int.h"

enum { THREADS = 4, POSTS = 2000 };

static struct eio_loop *loop;
static char order[64];
#define TEXT(literal) ((void *)(uintptr_t)(literal))

static void note(void *ctx)
{
    strncat(order, ctx, sizeof order - strlen(order) - 1);
}

/* ------------------------------------------------------------------- posts */

struct poster {
    pthread_t thread;
    int posted, received;
};
static struct poster posters[THREADS];
static int received;

static void on_post(void *ctx)
{
    struct poster *poster = ctx;
    poster->received++;
    if (++received == THREADS * POSTS) eio_loop_stop(loop);
}

static void *post_all(void *ctx)
{
    for (int i = 0; i < POSTS; i++)
        if (eio_loop_post(loop, on_post, ctx) == 0) ((struct poster *)ctx)->posted++;
    return NULL;
}

static void nothing_posted_from_threads_is_lost(void **state)
{
    (void)state;
    loop = eio_loop_new();
    received = 0;
    memset(posters, 0, sizeof posters);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    assert_int_equal(eio_loop_run(loop), 0); /* wakes up for each, or the test hangs */
    for (int i = 0; i < THREADS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(posters[i].posted, POSTS);
        assert_int_equal(posters[i].received, POSTS);
    }
    eio_loop_free(loop);
}

static void post_again(void *ctx)
{
    note(TEXT("a"));
    eio_loop_post(loop, note, ctx);
}

static void posts_keep_their_order_and_may_post(void **state)
{
    (void)state;
    order[0] = '\0';
    loop = eio_loop_new_with_fake_clock();
    eio_loop_post(loop, post_again, TEXT("c"));
    eio_loop_post(loop, note, TEXT("b"));
    eio_loop_turn(loop, 0);
    assert_string_equal(order, "ab"); /* what a post posts is the next turn's */
    eio_loop_turn(loop, 0);
    assert_string_equal(order, "abc");
    eio_loop_post(loop, note, TEXT("never")); /* freed with the loop */
    eio_loop_free(loop);
}

static void stop_loop(void *ctx)
{
    (void)ctx;
    eio_loop_stop(loop);
}

static void single_turns_go_on_after_a_stop(void **state)
{
    (void)state;
    order[0] = '\0';
    loop = eio_loop_new();
    eio_loop_post(loop, stop_loop, NULL);
    assert_int_equal(eio_loop_run(loop), 0);
    eio_loop_post(loop, note, TEXT("a"));
    eio_loop_turn(loop, 0);
    assert_string_equal(order, "a");
    eio_loop_free(loop);
}

/* ------------------------------------------------------------------- turns */

static void a_turn_is_events_then_timers_then_hooks(void **state)
{
    (void)state;
    order[0] = '\0';
    loop = eio_loop_new_with_fake_clock();
    assert_int_equal(eio_loop_add_flush_hook(loop, note, TEXT("h")), 0);
    assert_int_equal(eio_loop_add_flush_hook(loop, note, TEXT("k")), 0);
    struct eio_timer timer;
    eio_timer_init(&timer, loop, note, TEXT("t"));
    eio_timer_start(&timer, 0);
    eio_loop_post(loop, note, TEXT("p"));
    eio_loop_turn(loop, 0);
    assert_string_equal(order, "pthk");
    eio_loop_remove_flush_hook(loop, note, TEXT("h"));
    eio_loop_remove_flush_hook(loop, note, TEXT("not one"));
    eio_loop_turn(loop, 0);
    assert_string_equal(order, "pthkk");
    eio_loop_free(loop);
}

static void remove_itself(void *ctx)
{
    note(ctx);
    eio_loop_remove_flush_hook(loop, remove_itself, ctx);
}

static void hooks_are_eight_and_may_go_while_they_run(void **state)
{
    (void)state;
    order[0] = '\0';
    loop = eio_loop_new_with_fake_clock();
    assert_int_equal(eio_loop_add_flush_hook(loop, remove_itself, TEXT("1")), 0);
    assert_int_equal(eio_loop_add_flush_hook(loop, note, TEXT("2")), 0);
    assert_int_equal(eio_loop_add_flush_hook(loop, note, TEXT("3")), 0);
    for (int i = 0; i < 5; i++) assert_int_equal(eio_loop_add_flush_hook(loop, note, TEXT("4")), 0);
    assert_int_equal(eio_loop_add_flush_hook(loop, note, TEXT("5")), EIO_EINVAL);
    eio_loop_turn(loop, 0);
    assert_string_equal(order, "12344444"); /* the others still run, once, in their order */
    eio_loop_turn(loop, 0);
    assert_string_equal(order, "123444442344444");
    eio_loop_free(loop);
}

static void fake_time_moves_by_advance_only(void **state)
{
    (void)state;
    order[0] = '\0';
    loop = eio_loop_new_with_fake_clock();
    uint64_t from = eio_loop_now_ms(loop);
    struct eio_timer late, soon;
    eio_timer_init(&late, loop, note, TEXT("l"));
    eio_timer_init(&soon, loop, note, TEXT("s"));
    eio_timer_start(&late, 50);
    eio_timer_start(&soon, 20);
    eio_loop_add_flush_hook(loop, note, TEXT("."));
    eio_loop_turn(loop, 0);
    assert_int_equal(eio_loop_now_ms(loop), from);
    eio_loop_advance(loop, 50);
    assert_int_equal(eio_loop_now_ms(loop), from + 50);
    assert_string_equal(order, ".s.l.."); /* each in a turn of its own */
    eio_loop_free(loop);
}

/* ----------------------------------------------------------- turns too long */

enum { BUSY_EVENTS = 60, BUSY_US = 2000, DUE_AFTER_MS = 30, STOPPED_MS = 500 };
static int busy_done, busy_when_due;
static unsigned busy_us = BUSY_US;
static uint64_t frozen_us; /* the time, if it is not 0: nobody else makes these events long */

uint64_t __real_base_clock_us(void);
uint64_t __wrap_base_clock_us(void);

uint64_t __wrap_base_clock_us(void)
{
    return frozen_us ? frozen_us : __real_base_clock_us();
}

uint64_t __wrap_base_clock_coarse_us(void);
uint64_t __real_base_clock_coarse_us(void);
uint64_t __wrap_base_clock_coarse_us(void)
{
    return frozen_us ? frozen_us : __real_base_clock_coarse_us();
}

static unsigned waited_us; /* by each wait, in the time that stands still */
int __real_epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
    frozen_us += frozen_us ? waited_us : 0;
    return __real_epoll_wait(fd, events, count, timeout_ms);
}

/* As a connection does with what it reads. */
static void on_busy(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    (void)ctx;
    eio__loop_on_event(loop);
    frozen_us += busy_us;
    busy_done++;
}

static void on_due(void *ctx)
{
    (void)ctx;
    busy_when_due = busy_done;
}

/* Events that all are active at once, and a timer; first the process stands still for so long. */
static void be_busy(unsigned stopped_ms)
{
    struct event *events[BUSY_EVENTS];
    struct eio_timer timer;
    frozen_us = __real_base_clock_us();
    loop = eio_loop_new();
    busy_done = busy_when_due = 0;
    for (int i = 0; i < BUSY_EVENTS; i++) {
        events[i] = event_new(eio_loop_base(loop), -1, 0, on_busy, NULL);
        event_active(events[i], EV_READ, 0);
    }
    eio_timer_init(&timer, loop, on_due, NULL);
    eio_timer_start(&timer, DUE_AFTER_MS);
    frozen_us += stopped_ms * 1000;
    while (busy_done < BUSY_EVENTS || !busy_when_due) eio_loop_turn(loop, -1);
    for (int i = 0; i < BUSY_EVENTS; i++) event_free(events[i]);
    frozen_us = 0;
}

static void much_to_read_does_not_make_timers_late(void **state)
{
    (void)state;
    struct eio_loop_stats stats;
    be_busy(0);
    eio_loop_get_stats(loop, &stats);
    assert_in_range(busy_when_due, 1, BUSY_EVENTS - 1);
    assert_true(stats.turns_cut >= 2);
    assert_int_equal(stats.long_turns, 0);
    eio_loop_free(loop);
}

/* A pong that waited in the socket counts before the timeout does. */
static void after_standing_still_everything_is_heard_before_timers_run(void **state)
{
    (void)state;
    be_busy(STOPPED_MS);
    assert_int_equal(busy_when_due, BUSY_EVENTS);
    eio_loop_free(loop);
}

/* As a connection whose packets take long, each of them. */
static void on_long(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what, (void)ctx;
    enum { LONG_US = 6000, BYTES = 1 << 20 };
    eio__loop_on_event(loop);
    eio__loop_begin_slice(loop);
    eio__loop_slice_is_over(loop, BYTES, LONG_US);
    frozen_us += LONG_US;
    busy_done++;
}

static void after_an_event_that_may_be_long_the_clock_is_read(void **state)
{
    (void)state;
    struct event *events[EIO__TURN_EVENTS];
    struct eio_loop_stats stats;
    frozen_us = __real_base_clock_us();
    loop = eio_loop_new();
    busy_done = 0;
    for (int i = 0; i < EIO__TURN_EVENTS; i++) {
        events[i] = event_new(eio_loop_base(loop), -1, 0, on_long, NULL);
        event_active(events[i], EV_READ, 0);
    }
    while (busy_done < EIO__TURN_EVENTS) eio_loop_turn(loop, -1);
    for (int i = 0; i < EIO__TURN_EVENTS; i++) event_free(events[i]);
    eio_loop_get_stats(loop, &stats);
    assert_int_equal(stats.long_turns, 0);
    assert_int_equal(stats.turns_cut, 1);
    eio_loop_free(loop);
    frozen_us = 0;
}

static void what_comes_in_slices_has_less_of_a_turn_that_is_long_already(void **state)
{
    (void)state;
    enum { SHARE_US = 5000 };
    static const struct {
        unsigned lasted_us, share_us;
    } cases[] = {{0, SHARE_US}, {5000, SHARE_US}, {7000, 3000}, {9500, 1000}, {30000, 1000}};
    frozen_us = __real_base_clock_us();
    loop = eio_loop_new();
    loop->began_us = frozen_us;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t now_us = frozen_us + cases[i].lasted_us;
        assert_int_equal(eio__loop_share_end_us(loop, now_us, SHARE_US), now_us + cases[i].share_us);
    }
    eio_loop_free(loop);
    frozen_us = 0;
}

static void work_for(void *ctx)
{
    frozen_us += *(const unsigned *)ctx;
}

static void turns_that_take_long_are_counted_without_their_wait(void **state)
{
    (void)state;
    static const struct {
        unsigned took_us;
        uint64_t long_turns;
    } cases[] = {{EIO_LONG_TURN_MS * 1000, 0}, {EIO_LONG_TURN_MS * 1000 + 1, 1}, {1000, 1}, {90000, 2}};
    struct eio_loop_stats stats;
    frozen_us = __real_base_clock_us();
    loop = eio_loop_new();
    waited_us = 100000;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned took_us = cases[i].took_us;
        eio_loop_post(loop, work_for, &took_us);
        eio_loop_turn(loop, -1);
        eio_loop_get_stats(loop, &stats);
        assert_int_equal(stats.long_turns, cases[i].long_turns);
    }
    assert_int_equal(stats.turn_max_us, 90000);
    waited_us = 0;
    eio_loop_free(loop);
    frozen_us = 0;
}

/* ------------------------------------------------------------------ writes */

enum { PEERS = 500, WRITE_US = 100 };

struct writer {
    struct eio__turn_item item;
    int written, first_at, last_at;
};
static struct writer writers[PEERS];
static int writes;

static void write_to_peer(struct eio__turn_item *item)
{
    struct writer *writer = container_of(item, struct writer, item);
    if (!writer->written++) writer->first_at = writes;
    writer->last_at = writes++;
    frozen_us += WRITE_US;
    if (writes == 1) eio__loop_want_flush(loop, item); /* it has more, which waits behind the others */
}

static void what_a_turn_has_no_time_to_write_waits_in_its_place(void **state)
{
    (void)state;
    static const struct eio__turn_ops ops = {write_to_peer, NULL};
    struct eio_loop_stats stats;
    frozen_us = __real_base_clock_us();
    loop = eio_loop_new();
    writes = 0;
    memset(writers, 0, sizeof writers);
    for (int i = 0; i < PEERS; i++) {
        writers[i].item.ops = &ops;
        eio__loop_want_flush(loop, &writers[i].item);
    }
    eio_loop_post(loop, note, TEXT("p"));
    eio_loop_turn(loop, -1);
    assert_in_range(writes, PEERS / 10, PEERS - 1);
    int turns = 1;
    for (; writes <= PEERS; turns++) eio_loop_turn(loop, -1); /* does not wait, or the test hangs */
    assert_in_range(turns, 3, 10);
    for (int i = 0; i < PEERS; i++) assert_int_equal(writers[i].first_at, i);
    assert_int_equal(writers[0].last_at, PEERS);
    eio_loop_get_stats(loop, &stats);
    assert_int_equal(stats.long_turns, 0);
    assert_int_equal(stats.writes_cut, turns - 1);
    eio_loop_free(loop);
    frozen_us = 0;
}

/* Who writes without end is not read from as if nobody waited. */
static void while_writes_are_left_over_little_is_read(void **state)
{
    (void)state;
    static const struct eio__turn_ops ops = {write_to_peer, NULL};
    struct event *events[BUSY_EVENTS];
    frozen_us = __real_base_clock_us();
    loop = eio_loop_new();
    memset(writers, 0, sizeof writers);
    writes = 1;
    for (int i = 0; i < PEERS; i++) {
        writers[i].item.ops = &ops;
        eio__loop_want_flush(loop, &writers[i].item);
    }
    busy_done = 0;
    eio_loop_post(loop, note, TEXT("p"));
    eio_loop_turn(loop, -1);
    for (int i = 0; i < BUSY_EVENTS; i++) {
        events[i] = event_new(eio_loop_base(loop), -1, 0, on_busy, NULL);
        event_active(events[i], EV_READ, 0);
    }
    busy_us = BUSY_US / 4;
    eio_loop_turn(loop, -1);
    busy_us = BUSY_US;
    assert_in_range(busy_done, 1, 2 * EIO__TURN_EVENTS);
    assert_true(writes < PEERS);
    while (busy_done < BUSY_EVENTS) eio_loop_turn(loop, -1);
    assert_int_equal(writes, PEERS + 1);
    for (int i = 0; i < BUSY_EVENTS; i++) event_free(events[i]);
    eio_loop_free(loop);
    frozen_us = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_posted_from_threads_is_lost),
        cmocka_unit_test(posts_keep_their_order_and_may_post),
        cmocka_unit_test(single_turns_go_on_after_a_stop),
        cmocka_unit_test(a_turn_is_events_then_timers_then_hooks),
        cmocka_unit_test(hooks_are_eight_and_may_go_while_they_run),
        cmocka_unit_test(fake_time_moves_by_advance_only),
        cmocka_unit_test(much_to_read_does_not_make_timers_late),
        cmocka_unit_test(after_standing_still_everything_is_heard_before_timers_run),
        cmocka_unit_test(turns_that_take_long_are_counted_without_their_wait),
        cmocka_unit_test(after_an_event_that_may_be_long_the_clock_is_read),
        cmocka_unit_test(what_comes_in_slices_has_less_of_a_turn_that_is_long_already),
        cmocka_unit_test(what_a_turn_has_no_time_to_write_waits_in_its_place),
        cmocka_unit_test(while_writes_are_left_over_little_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
