/* Descriptors in the loop's own epoll: what is told of them, and in which order. */
#include "test.h"

#include "eio_int.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 200 };

struct end {
    struct eio__polled polled;
    int fd, peer;
    int number;
    short watched, last;
    int calls;
};

static struct {
    struct eio_loop *loop;
    struct end ends[MANY];
    int order[4 * MANY], calls;
    int stop_after; /* so many calls the turn is cut; 0: not */
    int close_next; /* by the one that is called: another one's number; -1: none */
} all;

static void close_end(struct end *end)
{
    if (end->fd < 0) return;
    assert_int_equal(eio__poll(all.loop, end->fd, &end->polled, end->watched, 0), 0);
    close(end->fd);
    close(end->peer);
    end->fd = -1;
}

static void on_ready(struct eio__polled *polled, short what)
{
    struct end *end = container_of(polled, struct end, polled);
    assert_true(end->fd >= 0);
    end->calls++;
    end->last = what;
    all.order[all.calls++] = end->number;
    if (all.stop_after && all.calls % all.stop_after == 0) all.loop->cut = true;
    if (all.close_next >= 0) close_end(&all.ends[all.close_next]);
}

static void open_ends(int count)
{
    memset(&all, 0, sizeof all);
    all.loop = eio_loop_new();
    all.close_next = -1;
    for (int i = 0; i < count; i++) {
        struct end *end = &all.ends[i];
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        *end = (struct end){.polled = {on_ready}, .fd = pair[0], .peer = pair[1], .number = i, .watched = EV_READ};
        assert_int_equal(eio__poll(all.loop, end->fd, &end->polled, 0, EV_READ), 0);
        assert_int_equal(write(end->peer, "x", 1), 1);
    }
}

static void close_ends(int count)
{
    for (int i = 0; i < count; i++) close_end(&all.ends[i]);
    eio_loop_free(all.loop);
}

static void watch(struct end *end, short wanted)
{
    assert_int_equal(eio__poll(all.loop, end->fd, &end->polled, end->watched, wanted), 0);
    end->watched = wanted;
}

TEST(eio_poll, what_is_wanted_is_told_and_no_more)
{
    open_ends(1);
    struct end *end = &all.ends[0];
    eio_loop_turn(all.loop, 0);
    assert_int_equal(end->last, EV_READ);
    watch(end, EV_READ | EV_WRITE);
    eio_loop_turn(all.loop, 0);
    assert_int_equal(end->last, EV_READ | EV_WRITE);
    watch(end, 0);
    shutdown(end->peer, SHUT_RDWR); /* nor is the end of a connection of which nothing is wanted */
    eio_loop_turn(all.loop, 0);
    assert_int_equal(end->calls, 2);
    watch(end, EV_READ);
    eio_loop_turn(all.loop, 0);
    assert_int_equal(end->calls, 3);
    close_ends(1);
}

/* Each turn is cut after seven: all come in turn, though those before them are ready again. */
TEST(eio_poll, a_turn_that_is_cut_goes_on_with_those_that_are_left)
{
    open_ends(MANY);
    all.stop_after = 7;
    for (int i = 0; i < 3 * MANY / 7; i++) {
        assert_int_equal(eio_loop_turn(all.loop, 0), 0);
        all.loop->cut = false;
    }
    for (int i = 0; i < MANY; i++)
        if (all.ends[i].calls < 2 || all.ends[i].calls > 4) fail_msg("%d was called %d times", i, all.ends[i].calls);
    close_ends(MANY);
}

TEST(eio_poll, one_that_is_closed_in_the_same_turn_is_not_called)
{
    open_ends(3);
    all.close_next = 1;
    eio_loop_turn(all.loop, 0);
    assert_int_equal(all.ends[1].calls, 0);
    assert_int_equal(all.ends[2].calls, 1);
    /* Nor is one that was left over from a turn that was cut. */
    all.close_next = -1;
    all.stop_after = 1;
    all.calls = 0;
    eio_loop_turn(all.loop, 0);
    all.loop->cut = false;
    struct end *other = &all.ends[all.order[0] == 0 ? 2 : 0];
    int calls = other->calls;
    close_end(other);
    eio_loop_turn(all.loop, 0);
    assert_int_equal(other->calls, calls);
    close_ends(3);
}

TEST_MAIN
