/* Descriptors of which the loop says what is ready, in EV_READ and EV_WRITE of libevent. Private to this library. */
#ifndef EIO_POLL_H
#define EIO_POLL_H

#include <event2/event.h>
#include <stddef.h>

struct eio_loop;

/* One descriptor, a member of its owner's. */
struct eio__polled {
    void (*fn)(struct eio__polled *polled, short what); /* EV_READ, EV_WRITE; of a broken connection both */
};
/* A member of the loop. */
struct eio__poller {
    int fd;                    /* an epoll */
    struct event *event;       /* of the epoll, or NULL: the loop waits in it (eio_guest.h) */
    struct epoll_event *ready; /* from next up to count: not handled yet */
    size_t next, count, capacity;
};

int eio__poller_init(struct eio_loop *loop);
/* Makes it an event of libevent, in which the loop waits then. */
int eio__poller_join_base(struct eio_loop *loop);
/* Waits so long at most (-1: for ever) for descriptors that are ready, unless some are left from the turn before. */
void eio__poller_wait(struct eio_loop *loop, int timeout_ms);
/* Handles those that are ready, unless the turn is cut: the rest is the next turn's, which begins with it. */
void eio__poller_run(struct eio_loop *loop);
void eio__poller_clear(struct eio_loop *loop);
/* Changes what is wanted of a descriptor, EV_READ and EV_WRITE, from `before`; to nothing (0) before it is closed.
 * Returns 0 or EIO_ESYS. */
int eio__poll(struct eio_loop *loop, int fd, struct eio__polled *polled, short before, short wanted);

#endif
