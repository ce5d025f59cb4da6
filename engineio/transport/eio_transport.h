/* What a transport is to a session: how its packets travel. Private to this library.
 *
 * A session has one transport, and while an upgrade is tried a candidate beside it. A new transport is a file with its
 * operations and a line in eio_transport.c; nothing else compares transports with one another. */
#ifndef EIO_TRANSPORT_H
#define EIO_TRANSPORT_H

#include "engineio_http.h"

#include "eio_http_int.h"
#include "eio_turn.h"

struct eio__transport_ops;

/* The part that all have, a member of each transport's own struct. */
struct eio__transport {
    const struct eio__transport_ops *ops;
    struct eio_session *session;
    int fd;              /* of its connection; -1: it has none of its own, or none any more */
    bool sends_common;   /* the common form of a frame is what it sends, and write_now() takes it */
    bool blocked;        /* it took less than it was offered: write() has to wait */
    bool read_paused;    /* the peer does not read: nothing is read of it */
    bool is_busy : 1;    /* what was read of it takes several turns: nothing more is read */
    bool is_forming : 1; /* what it is to be sent next is being compressed, over several turns */
};

/* What a handshake asked for. */
struct eio__opening {
    int protocol;   /* 4, 3, or 0 without Engine.IO */
    const char *id; /* the application's; NULL: one of ours */
};

struct eio__transport_ops {
    const char *name;        /* in a query and in the open packet */
    enum eio_transport kind; /* in options.transports */
    unsigned upgrades_to;    /* of enum eio_transport */
    bool is_polled;          /* what is sent waits until the client asks for it */
    size_t size;             /* of its struct, if a session keeps to it: there is room for it in the session */

    /* Requests of a client. Each answers it, now or later. */

    /* Whether an upgrade request is sound; false: it has answered. NULL: sessions open with a plain request. */
    bool (*check_upgrade)(struct eio_http_request *request);
    /* An admitted handshake: opens a session. */
    void (*open)(struct eio_server *server, struct eio_http_request *request, const struct eio__opening *opening);
    /* A session on another transport is to go on here. NULL: none can. */
    void (*probe)(struct eio_session *session, struct eio_http_request *request);
    /* A plain request of a session, and before it the connection that its body comes by. NULL: it takes none. */
    void (*on_request)(struct eio__transport *transport, struct eio_http_request *request);
    void (*on_body)(struct eio__transport *transport, struct eio__line *line);

    /* What a session wants of its transport. */

    /* Sends from the queue, at the end of a turn. 0: what it could take is on its way. EIO_EAGAIN: it takes nothing
     * now, and asks for another flush when that changes. Another error: it has ended the session. */
    int (*write)(struct eio__transport *transport);
    /* Sends one frame past an empty queue, without calling back; what is left is queued. */
    void (*write_now)(struct eio__transport *transport, struct eio_frame *frame);
    /* Queues a message whose bytes are written later; NULL: out of memory. */
    uint8_t *(*reserve)(struct eio__transport *transport, enum eio_kind kind, size_t size);
    /* A flush now would send something. */
    bool (*is_writable)(const struct eio__transport *transport);
    /* Everything is sent and the session is closing: says goodbye to the peer. EIO_EAGAIN: after another write(). Else
     * as abort().
     */
    int (*close)(struct eio__transport *transport);
    /* The session ends now: tells the peer why, behind what is queued. True: the session lingers for that. Of a
     * candidate: the same at once, and false. */
    bool (*abort)(struct eio__transport *transport, enum eio_close_reason reason);
    /* The session is over: lets go of its connections and answers what waits there. Harmless a second time. */
    void (*detach)(struct eio__transport *transport);
    /* Frees it; without detach() another transport has taken over. */
    void (*free)(struct eio__transport *transport);
    /* Packets of the peer began to wait (eio__session_is_held()), or do so no longer. */
    void (*on_held)(struct eio__transport *transport);
    /* What moves on its connections. */
    void (*look)(const struct eio__transport *transport, struct eio__traffic *out);

    /* Upgrades. */

    /* Answers what the client waits for, so that it can go on elsewhere. NULL: it never waits. */
    void (*release)(struct eio__transport *transport);
    /* Sends a packet at once, as a candidate. 0 or negative. */
    int (*answer_probe)(struct eio__transport *transport, const char *packet, size_t size);
};

/* The transport of that name, or NULL. */
const struct eio__transport_ops *eio__transport_named(struct eio_str name);
/* Of the largest that a session keeps to. */
size_t eio__transport_room(void);
/* Memory for a transport with ops->size, zeroed: the session's own, unless another one has it. NULL: none left. */
void *eio__transport_alloc(struct eio_session *session, const struct eio__transport_ops *ops);
void eio__transport_release(struct eio_session *session, void *take_memory);
/* Writes what a session may upgrade to, as JSON: "websocket" in quotes. Returns the end. */
char *eio__transport_put_upgrades(const struct eio__transport *transport, char *out);

extern const struct eio__transport_ops eio__polling_ops, eio__ws_ops;

/* ----------------------------------------------------------------- opening */

/* Reads from the handshake what the session needs to know of its client. */
void eio__opening_read(struct eio_session *session, const struct eio_http_head *head);
enum { EIO__OPEN_PACKET_BYTES = 256 + EIO_ID_BYTES_MAX };
/* The open packet "0{…}" of a session; returns its size. */
size_t eio__opening_packet(const struct eio_session *session, char out[EIO__OPEN_PACKET_BYTES]);
/* Queues options.initial_packet, if there is one. */
void eio__opening_push_initial(struct eio_session *session);
/* The session is open: its heartbeat begins, and the application hears of it. */
void eio__opening_end(struct eio_session *session);

/* ---------------------------------------------------------------- upgrades */

/* A transport that may take over from the session's. */
struct eio__candidate {
    struct eio__turn_item item; /* of one that was dropped: this may be called from inside its decoder */
    struct eio_session *session;
    struct eio__transport *transport;
    struct eio_deadline due;  /* it must have taken over by then */
    struct eio_deadline noop; /* once probed: the next time that the client is released from its poll */
};

/* Why no upgrade of the session can begin. */
enum eio__candidate_refusal {
    EIO__CANDIDATE_OK,
    EIO__CANDIDATE_TAKEN,  /* one is being tried, or was done */
    EIO__CANDIDATE_CLOSED, /* the session is closing, or the option forbids it */
    EIO__CANDIDATE_LIMIT,  /* max_upgrades */
};
enum eio__candidate_refusal eio__candidate_check(const struct eio_session *session,
                                                 const struct eio__transport_ops *ops);
/* Makes it the session's candidate. 0 or EIO_ENOMEM: it is detached and freed. */
int eio__candidate_begin(struct eio_session *session, struct eio__transport *take_transport);
/* A candidate has received a message. Non-zero: it is detached, nothing more of it is wanted. */
int eio__upgrade_on_message(struct eio_session *session, enum eio_kind kind, const uint8_t *p, size_t n);
/* Ends the attempt. Harmless without one. */
void eio__candidate_drop(struct eio_session *session);
/* The session has none any more: its deadlines stop. */
void eio__candidate_forget(struct eio__candidate *candidate);
/* Packets of the session began to wait, or do so no longer. Harmless without one. */
void eio__candidate_on_held(struct eio_session *session);
/* Deadlines of an attempt; ctx: the server. */
void eio__candidate_on_due(struct eio_deadline *due, void *ctx);
void eio__upgrade_on_noop_due(struct eio_deadline *due, void *ctx);

#endif
