/* Descriptors in an epoll of the loop's own: what a connection costs in libevent, a struct event and its entry in a
 * map, would be more than all that a WebSocket keeps. The loop waits in it, with libevent as one of the descriptors
 * (eio_guest.c), or, where that cannot be had, it is one event of libevent's. */
#include "eio_int.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { READY_MIN = 64, READY_MAX = 4096 };

static uint32_t mask_of(short what)
{
    return (what & EV_READ ? EPOLLIN : 0u) | (what & EV_WRITE ? EPOLLOUT : 0u);
}

/* A connection that broke is both: reading or writing says why. */
static short what_of(uint32_t mask)
{
    if (mask & (EPOLLERR | EPOLLHUP)) return EV_READ | EV_WRITE;
    return (short)((mask & EPOLLIN ? EV_READ : 0) | (mask & EPOLLOUT ? EV_WRITE : 0));
}

/* ------------------------------------------------------------- descriptors */

/* What was ready of it and is not handled yet. */
static void forget_ready(struct eio__poller *poller, const struct eio__polled *polled)
{
    for (size_t i = poller->next; i < poller->count; i++)
        if (poller->ready[i].data.ptr == polled) poller->ready[i].data.ptr = NULL;
}

int eio__poll(struct eio_loop *loop, int fd, struct eio__polled *polled, short before, short wanted)
{
    struct epoll_event event = {.events = mask_of(wanted), .data.ptr = polled};
    /* Errors are reported whatever is asked for: one of which nothing is wanted must not be in there. */
    int op = !before ? EPOLL_CTL_ADD : wanted ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    if (before == wanted) return 0;
    if (before & ~wanted) forget_ready(&loop->poller, polled);
    return epoll_ctl(loop->poller.fd, op, fd, &event) == 0 ? 0 : EIO_ESYS;
}

/* -------------------------------------------------------------------- turns */

static void grow_ready(struct eio__poller *poller)
{
    if (poller->count < poller->capacity || poller->capacity >= READY_MAX) return;
    struct epoll_event *more = malloc(2 * poller->capacity * sizeof *more);
    if (!more) return; /* the others are the next turn's */
    free(poller->ready);
    poller->ready = more;
    poller->capacity *= 2;
    poller->next = poller->count = 0;
}

void eio__poller_wait(struct eio_loop *loop, int timeout_ms)
{
    struct eio__poller *poller = &loop->poller;
    if (poller->next < poller->count) return;
    grow_ready(poller);
    int n = epoll_wait(poller->fd, poller->ready, (int)poller->capacity, timeout_ms);
    poller->next = 0;
    poller->count = n > 0 ? (size_t)n : 0;
}

void eio__poller_run(struct eio_loop *loop)
{
    struct eio__poller *poller = &loop->poller;
    while (poller->next < poller->count && !loop->cut && !loop->stopping) {
        const struct epoll_event *event = &poller->ready[poller->next++];
        struct eio__polled *polled = event->data.ptr;
        if (polled) polled->fn(polled, what_of(event->events));
    }
}

/* Within libevent: what is ready again stands behind its other events. */
static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
    struct eio_loop *loop = ctx;
    (void)fd;
    (void)what;
    eio__loop_begin_work(loop);
    eio__poller_wait(loop, 0);
    eio__poller_run(loop);
}

int eio__poller_init(struct eio_loop *loop)
{
    struct eio__poller *poller = &loop->poller;
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    poller->capacity = READY_MIN;
    poller->ready = malloc(poller->capacity * sizeof *poller->ready);
    return poller->fd >= 0 && poller->ready ? 0 : EIO_ENOMEM;
}

int eio__poller_join_base(struct eio_loop *loop)
{
    struct eio__poller *poller = &loop->poller;
    poller->event = event_new(loop->base, poller->fd, EV_READ | EV_PERSIST, on_ready, loop);
    return poller->event && event_add(poller->event, NULL) == 0 ? 0 : EIO_ENOMEM;
}

void eio__poller_clear(struct eio_loop *loop)
{
    struct eio__poller *poller = &loop->poller;
    if (poller->event) event_free(poller->event);
    if (poller->fd >= 0) close(poller->fd);
    free(poller->ready);
}
