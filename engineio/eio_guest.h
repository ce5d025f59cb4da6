/* libevent as a guest of the loop: the loop waits in its own epoll, in which libevent's is one descriptor of many.
 * Private to this library. */
#ifndef EIO_GUEST_H
#define EIO_GUEST_H

#include "eio_poll.h"

#include <stdbool.h>
#include <stdint.h>

/* A member of the loop. */
struct eio__guest {
    bool is_guest; /* false: the loop waits in libevent, and its own epoll is an event there */
    bool is_stale; /* something ran since its timers were looked at */
    bool was_cut;  /* its events ended the last turn: in the next the others come first */
    struct eio__polled polled;
    uint64_t due_us;   /* when its first timer is, by the coarse clock; UINT64_MAX: it has none */
    uint64_t look_us;  /* not before then are its timers looked at again, */
    uint64_t quiet_us; /* nor before then if it had none, and has as many events as it had: event_count */
    int event_count;
};

/* Makes libevent the guest, whose only descriptors are those of its own and `known`. False: it has no epoll. */
bool eio__guest_init(struct eio_loop *loop, int known);
/* Events of it are to run, whatever its descriptors say. */
bool eio__guest_has_active(const struct eio_loop *loop);
/* Runs what is ready of it. */
void eio__guest_run(struct eio_loop *loop);
/* The same if it has something to run that no descriptor tells. */
void eio__guest_run_due(struct eio_loop *loop);
/* How long the loop may wait for descriptors, in ms; -1: for ever. */
int eio__guest_wait_ms(struct eio_loop *loop);

#endif
