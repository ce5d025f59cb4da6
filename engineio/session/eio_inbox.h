/* Packets that have arrived and wait. Private to this library; eio_receive.c decides which do. */
#ifndef EIO_INBOX_H
#define EIO_INBOX_H

#include "eio_codec.h"
#include "engineio.h"

struct eio__kept_packet {
    struct eio__kept_packet *next;
    struct eio__packet packet;
    uint8_t bytes[];
};

struct eio__inbox {
    struct eio_session *session;
    struct eio__kept_packet *first, **last;
    size_t size;   /* bytes of all */
    unsigned held; /* how often by the application */
    bool waits;    /* for the timer */
    struct eio_timer timer;
};

/* An empty one as the session's; its timer calls due(inbox). NULL: out of memory. */
struct eio__inbox *eio__inbox_new(struct eio_session *session, eio_loop_fn due);
/* Keeps a copy. 0 or EIO_ENOMEM. */
int eio__inbox_add(struct eio__inbox *inbox, const struct eio__packet *packet);
/* Takes the first off, which is the caller's to free. */
struct eio__kept_packet *eio__inbox_take_first(struct eio__inbox *inbox);
/* Starts the timer, for the next turn, or stops it. The first returns 0 or EIO_ENOMEM. */
int eio__inbox_await_turn(struct eio__inbox *inbox);
void eio__inbox_stop_waiting(struct eio__inbox *inbox);
/* Frees the session's inbox and what waits in it. Harmless without one. */
void eio__inbox_clear(struct eio_session *session);

#endif
