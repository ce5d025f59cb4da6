/* The forms of frames, and the row of those that are being compressed. Private to this library. */
#ifndef EIO_FORM_H
#define EIO_FORM_H

#include "eio_codec.h"

struct eio__deflating;

/* A session that waits for a frame's compressed form. */
struct eio__form_waiter {
    struct eio__form_waiter *next, **at; /* those of the same frame */
    struct eio__deflating *deflating;
    struct eio_session *session;
};

/* The common form of a frame is what an Engine.IO 4 WebSocket without compression is sent. Others take another.
 * *form: a new reference, often to the frame itself. deflate_bits: the peer's window, 0: none. Returns 0; EIO_EAGAIN:
 * *form is being compressed, and is to be asked for again once that is done (eio__form_await()); EIO_ENOMEM. */
int eio__form_for(const struct eio_session *session, int deflate_bits, struct eio_frame *frame,
                  struct eio_frame **form);

/* Flushes the session when the frame, which is being compressed, has its form. NULL: out of memory. */
struct eio__form_waiter *eio__form_await(struct eio_session *session, const struct eio_frame *frame);
/* Frees the waiter; a frame without waiters is not compressed further. Accepts NULL. */
void eio__form_forget(struct eio__form_waiter *take_waiter);

/* ----------------------------------------------------------- eio_deflating.c */

/* The frames that are being compressed for the peers of a server: short ones and long ones, in order. Both have their
 * share of each turn, so that no message, however long, holds up the loop, and none waits behind all others. */
struct eio__deflating_row {
    struct eio__deflating *first[2], **last[2];
    struct eio_timer timer; /* the next turn's share */
    uint64_t turn;          /* in which until_us was set */
    uint64_t until_us;      /* the share of the turn is over by then */
};
void eio__deflating_init(struct eio_server *server);
void eio__deflating_clear(struct eio_server *server);
/* The time by the slices' clock; what is to be compressed in this turn is so before server->deflating.until_us. */
uint64_t eio__deflating_begin_share(struct eio_server *server);
/* Begins to compress the frame. 0: done, it has its compressed form unless it did not shrink; EIO_EAGAIN: it goes on in
 * later turns. */
int eio__deflating_begin(struct eio_server *server, struct eio_frame *frame, int window_bits);

#endif
