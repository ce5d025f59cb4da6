/* libevent as a guest: what is on its base runs as if the loop waited there. */
#include "test.h"

#include "eio_int.h"

#include <string.h>
#include <unistd.h>

static struct eio_loop *loop;
static char order[64];
#define TEXT(literal) ((void *)(uintptr_t)(literal))

static void note(void *ctx)
{
    strncat(order, ctx, sizeof order - strlen(order) - 1);
}

static void on_event(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    note(ctx);
}

static struct event *event_on(int fd, const char *text)
{
    return event_new(eio_loop_base(loop), fd, fd < 0 ? 0 : EV_READ, on_event, TEXT(text));
}

/* Returns after how many turns something was noted. */
static int turns_until_noted(void)
{
    int turns = 0;
    for (size_t before = strlen(order); strlen(order) == before; turns++) eio_loop_turn(loop, -1);
    return turns;
}

static int open_loop(void **state)
{
    (void)state;
    order[0] = '\0';
    loop = eio_loop_new();
    return 0;
}

static int close_loop(void **state)
{
    (void)state;
    eio_loop_free(loop);
    return 0;
}

static void descriptors_of_libevent_end_the_wait(void **state)
{
    (void)state;
    int ends[2];
    assert_true(loop->guest.is_guest);
    assert_int_equal(pipe(ends), 0);
    struct event *event = event_on(ends[0], "r");
    event_add(event, NULL);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_in_range(turns_until_noted(), 1, 3);
    event_free(event);
    close(ends[0]);
    close(ends[1]);
}

static void timers_of_libevent_run_and_nothing_spins_until_then(void **state)
{
    (void)state;
    const struct timeval soon = {0, 60000};
    struct event *event = event_on(-1, "t");
    event_add(event, &soon);
    assert_in_range(turns_until_noted(), 1, 20);
    event_free(event);
}

/* Not only when somebody looks: libevent is told of nothing. */
static const struct timeval at_once = {0, 1000}, some_day = {3600, 0};
static void bring_forward(void *ctx)
{
    event_add(ctx, &at_once);
}

static int turns_in(uint64_t ms)
{
    int turns = 0;
    for (uint64_t until_us = base_clock_us() + ms * 1000u; base_clock_us() < until_us; turns++) {
        struct eio_timer timer;
        eio_timer_init(&timer, loop, note, TEXT(""));
        eio_timer_start(&timer, 5);
        eio_loop_turn(loop, -1);
        eio_timer_stop(&timer);
    }
    return turns;
}

static void nothing_spins_after_a_timer_of_libevent_either(void **state)
{
    (void)state;
    const struct timeval soon = {0, 20000};
    struct event *event = event_on(-1, "t");
    event_add(event, &soon);
    turns_until_noted();
    assert_in_range(turns_in(40), 1, 30); /* it has 40 ms of 5 ms each */
    event_free(event);
}

static void timers_that_come_after_a_look_are_found(void **state)
{
    (void)state;
    struct event *event = event_on(-1, "t");
    eio_loop_post(loop, note, TEXT("p"));
    turns_until_noted(); /* its timers were looked at: there was none */
    eio_loop_post(loop, bring_forward, event);
    eio_loop_turn(loop, -1);
    assert_in_range(eio__guest_wait_ms(loop), 0, 60); /* it is not thought to have none for a second */
    while (strcmp(order, "pt") != 0) eio_loop_turn(loop, -1);
    event_free(event);
}

static void timers_that_are_brought_forward_by_others_run(void **state)
{
    (void)state;
    struct event *event = event_on(-1, "t");
    event_add(event, &some_day);
    for (int i = 0; i < 5; i++) {
        eio_loop_post(loop, note, TEXT("p"));
        turns_until_noted();
    }
    eio_loop_post(loop, bring_forward, event);
    assert_in_range(turns_until_noted(), 1, 20);
    assert_string_equal(order, "pppppt");
    event_free(event);
}

static void activate(void *ctx)
{
    event_active(ctx, EV_TIMEOUT, 0);
    note(TEXT("-"));
}

static void what_is_activated_runs_before_the_turn_is_flushed(void **state)
{
    (void)state;
    struct event *event = event_on(-1, "a");
    struct eio_timer timer;
    eio_loop_add_flush_hook(loop, note, TEXT("."));
    eio_loop_post(loop, activate, event);
    eio_loop_turn(loop, -1);
    assert_string_equal(order, "-a.");
    eio_timer_init(&timer, loop, activate, event);
    eio_timer_start(&timer, 0);
    eio_loop_turn(loop, -1);
    assert_string_equal(order, "-a.-a.");
    event_free(event);
}

/* The next turn does not wait, or the test hangs. */
static void what_a_flush_activates_is_the_next_turns(void **state)
{
    (void)state;
    struct event *event = event_on(-1, "a");
    eio_loop_add_flush_hook(loop, activate, event);
    eio_loop_turn(loop, 0);
    eio_loop_remove_flush_hook(loop, activate, event);
    eio_loop_turn(loop, -1);
    assert_string_equal(order, "-a");
    event_free(event);
}

static void cut_turn(evutil_socket_t fd, short what, void *ctx)
{
    on_event(fd, what, ctx);
    loop->cut = true;
    event_base_loopbreak(loop->base);
}

/* Two sides that take a whole turn each have every other one. */
static void neither_side_keeps_the_other_waiting(void **state)
{
    (void)state;
    struct event *events[4];
    for (int i = 0; i < 4; i++) {
        events[i] = event_new(eio_loop_base(loop), -1, 0, cut_turn, TEXT("g"));
        event_active(events[i], EV_TIMEOUT, 0);
    }
    eio_loop_turn(loop, -1);
    eio_loop_post(loop, note, TEXT("p"));
    eio_loop_turn(loop, -1);
    assert_string_equal(order, "gpg");
    for (int i = 0; i < 4; i++) event_free(events[i]);
}

static void without_an_epoll_the_loop_waits_in_libevent(void **state)
{
    (void)state;
    struct eio_timer timer;
    setenv("EVENT_NOEPOLL", "1", 1);
    struct eio_loop *usual = loop;
    loop = eio_loop_new();
    unsetenv("EVENT_NOEPOLL");
    assert_false(loop->guest.is_guest);
    eio_loop_post(loop, note, TEXT("p"));
    eio_loop_turn(loop, -1);
    eio_timer_init(&timer, loop, note, TEXT("t"));
    eio_timer_start(&timer, 1);
    turns_until_noted();
    assert_string_equal(order, "pt");
    eio_loop_free(loop);
    loop = usual;
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, open_loop, close_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(descriptors_of_libevent_end_the_wait),
        WITH_LOOP(timers_of_libevent_run_and_nothing_spins_until_then),
        WITH_LOOP(nothing_spins_after_a_timer_of_libevent_either),
        WITH_LOOP(timers_that_are_brought_forward_by_others_run),
        WITH_LOOP(timers_that_come_after_a_look_are_found),
        WITH_LOOP(what_is_activated_runs_before_the_turn_is_flushed),
        WITH_LOOP(what_a_flush_activates_is_the_next_turns),
        WITH_LOOP(neither_side_keeps_the_other_waiting),
        WITH_LOOP(without_an_epoll_the_loop_waits_in_libevent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
