/* The WebSocket transport: what its files share. Private to this library. */
#ifndef EIO_WS_H
#define EIO_WS_H

#include "eio_transport.h"

#include "base_check.h"
#include "eio_codec.h"
#include "eio_poll.h"

/* A WebSocket's end, in this order; some are left out. From PEER_CLOSED on what comes is thrown away. */
enum eio__closing {
    EIO__WS_OPEN,
    EIO__WS_CLOSE_HEARD,  /* the peer's close frame waits behind its packets, and is not answered yet */
    EIO__WS_CLOSE_QUEUED, /* ours is queued: the last of this side */
    EIO__WS_CLOSE_SENT,   /* and is with the kernel */
    EIO__WS_PEER_CLOSED,  /* ours is queued or sent, and the peer has closed or its bytes make no sense */
    EIO__WS_SHUT,         /* our end of the connection is closed for writing */
};

/* What comes last of a peer. */
enum eio__ws_end {
    EIO__WS_NO_END,
    EIO__WS_END_CLOSE, /* its close frame */
    EIO__WS_END_FAULT, /* what is no frame */
};

struct eio__ws;

/* A message that has begun must end by then. */
struct eio__slow_message {
    struct eio_deadline deadline;
    struct eio__ws *ws;
};

/* A WebSocket whose message is being inflated, a slice in each turn; nothing is read of it until that is done. */
struct eio__inflating {
    struct eio__inflating *next; /* in the server's row */
    struct eio__ws *ws;
    bool queued;
};
/* Those of a server, one behind the other. */
struct eio__inflations {
    struct eio__inflating *first, **last;
    struct eio_timer timer; /* the next turn's slice */
    uint64_t turn;          /* in which until_us was set */
    uint64_t until_us;      /* by then the inflating is to end: the turn's, or (running) one session's */
    bool running;           /* the timer's slice: whose share it is does not stand behind the others */
};

struct eio__ws {
    struct eio__transport base;
    uint8_t closing;            /* enum eio__closing; set in eio_ws_close.c */
    uint8_t deflate_bits;       /* window for what is sent, if permessage-deflate was negotiated; else 0 */
    uint8_t end_waits;          /* enum eio__ws_end, behind the peer's packets */
    uint8_t watched;            /* EV_READ, EV_WRITE */
    uint16_t peer_code;         /* of the peer's close frame; 0: it has none */
    bool has_io : 1;            /* the descriptor is the io's */
    bool progressed : 1;        /* a message was complete in the bytes just read */
    bool deaf : 1;              /* the peer takes nothing any more; what it has sent is still read */
    uint32_t written, received; /* bytes, modulo 2^32 */
    struct eio__ws_partial *partial;
    struct eio__slow_message *slow;   /* while a message is incomplete, or NULL */
    struct eio__inflating *inflating; /* the decoder was paused, and nothing is read; NULL: it is as usual */
    struct eio__form_waiter *forming; /* base.is_forming: what is to be sent next is being compressed; else NULL */
    union {
        struct eio__polled polled; /* of fd */
        struct eio__io *io;        /* has_io */
    };
};

static inline struct eio__ws *eio__ws_of(struct eio__transport *transport)
{
    return container_of(transport, struct eio__ws, base);
}
static inline const struct eio__ws *eio__ws_of_const(const struct eio__transport *transport)
{
    return container_of(transport, struct eio__ws, base);
}

/* ---------------------------------------------------------------- eio_ws.c */

/* A WebSocket for a session, on a connection just taken from HTTP. Takes the connection, also on failure (NULL). */
struct eio__ws *eio__ws_new(struct eio_session *session, struct eio__wire take_wire);
/* What was negotiated for it. */
void eio__ws_set_deflate(struct eio__ws *ws, int window_bits);
/* Decodes bytes that came with the request: a client need not wait for the answer. Unmasks in place. */
void eio__ws_feed(struct eio__ws *ws, uint8_t *p, size_t n);
/* Messages that take long to inflate pause the decoder, whose session waits for its slice of a later turn. */
void eio__ws_pauses_init(struct eio_server *server);
void eio__ws_pauses_clear(struct eio_server *server);
/* A message took too long; ctx: the server. */
void eio__ws_on_message_due(struct eio_deadline *due, void *ctx);
/* Queues a control frame; without memory it is left out. */
void eio__ws_push_control(struct eio__ws *ws, enum eio__ws_opcode opcode, const uint8_t *p, size_t n);
/* Sends no more, once what was written is out. */
void eio__ws_shutdown(struct eio__ws *ws);

/* ----------------------------------------------------------- eio_ws_open.c */

bool eio__ws_check_upgrade(struct eio_http_request *request);
void eio__ws_open(struct eio_server *server, struct eio_http_request *request, const struct eio__opening *opening);
void eio__ws_probe(struct eio_session *session, struct eio_http_request *request);
/* Opens a session on a connection taken from HTTP, with the 101 response queued first if wanted. Takes both, also on
 * failure (NULL). */
struct eio_session *eio__ws_open_on(struct eio_server *server, const struct eio__opening *opening,
                                    struct eio__wire take_wire, struct eio_http_head *take_head, bool with_response);

/* ---------------------------------------------------------- eio_ws_close.c */

/* What comes is thrown away. */
static inline bool eio__ws_close_ignores_input(const struct eio__ws *ws)
{
    return ws->closing == EIO__WS_CLOSE_HEARD || ws->closing >= EIO__WS_PEER_CLOSED;
}
/* Queues a close frame (code 0: without a payload), once; the second: with the code of a reason. */
void eio__ws_close_begin(struct eio__ws *ws, uint16_t code);
void eio__ws_close_for(struct eio__ws *ws, enum eio_close_reason reason);
/* The peer's close frame came. */
void eio__ws_close_on_frame(struct eio__ws *ws, const uint8_t *p, size_t n);
/* No packets wait before a close frame any more: it is answered with the same code, and the session ends. Harmless if
 * none came. */
void eio__ws_close_on_handled(struct eio__ws *ws);
/* What came makes no sense. */
void eio__ws_close_on_fault(struct eio__ws *ws, const struct eio__fault *fault);
/* The connection is over, by its end or an error. */
void eio__ws_close_on_broken(struct eio__ws *ws, enum eio_close_reason reason, const char *detail);
/* The queue is empty. */
void eio__ws_close_on_flushed(struct eio__ws *ws);

#endif
