/* Packets that have arrived and wait. Private to this library; eio_receive.c decides which do. */
#ifndef EIO_INBOX_H
#define EIO_INBOX_H

#include "eio_codec.h"
#include "engineio.h"

/* Longer than this packets are not handled at a stretch: a peer's, or those of all that wait. */
enum { EIO__SLICE_US = 5000 };

struct eio__kept_packet {
    struct eio__kept_packet *next;
    struct eio__packet packet;
    uint8_t bytes[];
};

struct eio__inbox;
/* Handles what waits until then, one packet at least. */
typedef void (*eio__deliver_fn)(struct eio__inbox *inbox, uint64_t until_us);

struct eio__inbox {
    struct eio_session *session;
    struct eio__kept_packet *first, **last;
    size_t size;                   /* bytes of all */
    unsigned held;                 /* how often by the application */
    bool waits;                    /* in the row */
    uint8_t fault;                 /* enum eio_close_reason, for which the session ends behind what waits */
    const char *fault_detail;      /* NULL: none */
    struct eio__inbox *next, **at; /* there; what points at it */
    uint64_t turn;                 /* of the loop, which had no time for its first packet; 0: another reason */
    eio__deliver_fn deliver;
};

void eio__inboxes_init(struct eio_server *server);
/* No session may be left. */
void eio__inboxes_clear(struct eio_server *server);
/* An empty one as the session's. NULL: out of memory. */
struct eio__inbox *eio__inbox_new(struct eio_session *session, eio__deliver_fn deliver);
/* Keeps a copy. 0 or EIO_ENOMEM. */
int eio__inbox_add(struct eio__inbox *inbox, const struct eio__packet *packet);
/* Takes the first off, which is the caller's to free. */
struct eio__kept_packet *eio__inbox_take_first(struct eio__inbox *inbox);
/* Goes to the end of the row of those whose turn is to come, or leaves it. The first returns 0 or EIO_ENOMEM. */
int eio__inbox_await_turn(struct eio__inbox *inbox);
void eio__inbox_stop_waiting(struct eio__inbox *inbox);
/* Frees the session's inbox and what waits in it. Harmless without one. */
void eio__inbox_clear(struct eio_session *session);

#endif
