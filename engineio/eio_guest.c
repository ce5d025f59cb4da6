/* libevent as a guest of the loop. What is on its base (the listener, TLS before a WebSocket takes it, Redis, signals)
 * runs as ever, but the loop does not wait in it: each wait there costs as many instructions as half a message, and a
 * system call more. Its epoll tells when a descriptor of it is ready; only its timers have to be asked for. */
#include "eio_guest.h"
#include "eio_int.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    LOOK_US = 50000,     /* between two looks at its timers: one that was started just now may be late by that */
    QUIET_US = 1000000,  /* the same if it has no timers and nothing shows that it has got one */
    LOOK_EVENTS_US = 10, /* more for each of its events: a look goes through all of them */
    FDS_BEYOND = 64,     /* so many above those that were opened with it are tried */
};

/* ----------------------------------------------------------------- its epoll */

/* The epoll that knows a descriptor which only libevent was given. Its number is not to be had otherwise. */
static int find_epoll(int known, int last)
{
    for (int fd = 0; fd <= last; fd++) {
        struct epoll_event nothing = {.events = 0};
        if (fd == known) continue;
        if (epoll_ctl(fd, EPOLL_CTL_ADD, known, &nothing) == 0)
            epoll_ctl(fd, EPOLL_CTL_DEL, known, NULL); /* somebody else's */
        else if (errno == EEXIST)
            return fd;
    }
    return -1;
}

static void on_readable(struct eio__polled *polled, short what)
{
    (void)what;
    eio__guest_run(container_of(polled, struct eio_loop, guest.polled));
}

bool eio__guest_init(struct eio_loop *loop, int known)
{
    struct eio__guest *guest = &loop->guest;
    int last = (known > loop->poller.fd ? known : loop->poller.fd) + FDS_BEYOND;
    int fd = strcmp(event_base_get_method(loop->base), "epoll") == 0 ? find_epoll(known, last) : -1;
    guest->polled.fn = on_readable;
    guest->is_stale = true;
    guest->is_guest = fd >= 0 && eio__poll(loop, fd, &guest->polled, 0, EV_READ) == 0;
    return guest->is_guest;
}

/* ------------------------------------------------------------------- running */

bool eio__guest_has_active(const struct eio_loop *loop)
{
    return event_base_get_num_events(loop->base, EVENT_BASE_COUNT_ACTIVE) > 0;
}

void eio__guest_run(struct eio_loop *loop)
{
    loop->guest.is_stale = true;
    /* ONCE, too: NONBLOCK alone goes on as long as a descriptor stays ready, and ours do until the flush. */
    event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    loop->guest.was_cut = loop->cut;
}

void eio__guest_run_due(struct eio_loop *loop)
{
    struct eio__guest *guest = &loop->guest;
    bool is_due = guest->due_us != UINT64_MAX && guest->due_us <= base_clock_coarse_us();
    if (is_due) { /* the next one is looked for before the loop waits */
        guest->due_us = UINT64_MAX;
        guest->look_us = 0;
    }
    if (is_due || eio__guest_has_active(loop)) eio__guest_run(loop);
}

/* ------------------------------------------------------------------- waiting */

struct look {
    uint64_t due_us;
    uint64_t events;
};

/* Its clock is the coarse one, too. */
static int look_at_event(const struct event_base *base, const struct event *event, void *ctx)
{
    enum { MICROSECONDS = 0xFFFFF }; /* above them libevent keeps other things */
    struct look *look = ctx;
    (void)base;
    look->events++;
    if (!event_pending(event, EV_TIMEOUT, NULL)) return 0;
    struct timeval at = event->ev_timeout;
    uint64_t at_us = (uint64_t)at.tv_sec * 1000000u + ((uint64_t)at.tv_usec & MICROSECONDS);
    if (at_us < look->due_us) look->due_us = at_us;
    return 0;
}

static int count_events(const struct eio_loop *loop)
{
    return event_base_get_num_events(loop->base, EVENT_BASE_COUNT_ADDED);
}

/* Without timers and with as many events as at the last look, it hardly has one now: only if as many others went. Their
 * number is asked for as seldom as they are looked at, whatever a busy loop does meanwhile. */
static uint64_t next_look_us(struct eio_loop *loop, uint64_t now_us)
{
    struct eio__guest *guest = &loop->guest;
    if (now_us < guest->look_us) return guest->look_us;
    bool is_quiet = guest->quiet_us > guest->look_us && guest->event_count == count_events(loop);
    if (!is_quiet) return guest->look_us;
    guest->look_us = now_us + LOOK_US;
    return guest->quiet_us;
}

static void look_at_timers(struct eio_loop *loop, uint64_t now_us)
{
    struct eio__guest *guest = &loop->guest;
    struct look look = {.due_us = UINT64_MAX};
    event_base_foreach_event(loop->base, look_at_event, &look);
    guest->due_us = look.due_us;
    guest->event_count = count_events(loop);
    guest->look_us = now_us + LOOK_US + look.events * LOOK_EVENTS_US;
    guest->quiet_us = now_us + (look.due_us == UINT64_MAX ? QUIET_US : 0);
    guest->is_stale = false;
}

static uint64_t time_until(uint64_t at_us, uint64_t now_us)
{
    return at_us > now_us ? at_us - now_us : 0;
}

int eio__guest_wait_ms(struct eio_loop *loop)
{
    struct eio__guest *guest = &loop->guest;
    uint64_t now_us = loop->ended_us ? loop->ended_us : base_clock_coarse_us();
    uint64_t timer_ms = eio__timers_next_ms(loop), wait_us = UINT64_MAX;
    uint64_t look_us = guest->is_stale ? next_look_us(loop, now_us) : UINT64_MAX;
    if (now_us >= look_us) {
        look_at_timers(loop, now_us);
        look_us = UINT64_MAX;
    }
    if (guest->due_us != UINT64_MAX) wait_us = time_until(guest->due_us, now_us);
    if (look_us != UINT64_MAX && time_until(look_us, now_us) < wait_us) wait_us = time_until(look_us, now_us);
    if (timer_ms != UINT64_MAX && time_until(timer_ms * 1000u, now_us + EIO__CLOCK_STEP_US) < wait_us) {
        uint64_t timer_us = time_until(timer_ms * 1000u, base_clock_us()); /* ours are not to be late */
        if (timer_us < wait_us) wait_us = timer_us;
    }
    if (wait_us == UINT64_MAX) return -1;
    uint64_t wait_ms = (wait_us + 999) / 1000;
    return wait_ms < INT32_MAX ? (int)wait_ms : INT32_MAX;
}
