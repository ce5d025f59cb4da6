/* What eio_http.c shares with the Engine.IO side of this library. Private. */
#ifndef EIO_HTTP_INT_H
#define EIO_HTTP_INT_H

#include "engineio_http.h"

#include <sys/types.h>
#include <sys/uio.h>

/* A connection taken from HTTP whose bytes are not those of its descriptor: TLS (eio_tls_io.c). A plain one is its bare
 * descriptor, which eio_ws.c uses directly. */
struct eio__io {
    const struct eio__io_ops *ops;
    /* What happened, EV_READ or EV_WRITE; may close the io. The owner sets both right after it got the io. */
    void (*fn)(short what, void *ctx);
    void *ctx;
};
struct eio__io_ops {
    /* As sendmsg() and recv(): how much was taken or read, 0 is the end, -1 with errno. */
    ssize_t (*write)(struct eio__io *io, const struct iovec *parts, size_t count);
    ssize_t (*read)(struct eio__io *io, uint8_t *p, size_t size);
    /* Which of EV_READ and EV_WRITE are wanted. At first: EV_READ. */
    void (*watch)(struct eio__io *io, short wanted);
    /* Sends no more, once what was written is out. */
    void (*shutdown)(struct eio__io *io);
    /* What was written and is not with the kernel yet. */
    size_t (*pending)(struct eio__io *io);
    /* Closes and frees it; what was written still goes out, as with a descriptor. fn is not called any more. */
    void (*close)(struct eio__io *io);
};

/* A connection that was taken: the non-blocking descriptor, and NULL or the io that owns it. */
struct eio__wire {
    int fd;
    struct eio__io *io;
};
/* As send(). */
ssize_t eio__wire_send(struct eio__wire wire, const void *p, size_t n);
void eio__wire_close(struct eio_loop *loop, struct eio__wire take_wire);

struct eio__taken {
    struct eio__wire wire;
    struct eio_http_head *head; /* free() */
    uint8_t *rest;              /* bytes that came with or after the head (free()), NULL if none */
    size_t rest_size;
};

/* How the bytes of a connection move. Counts are modulo 2^32. */
struct eio__traffic {
    uint32_t given;      /* to be sent to the peer */
    uint32_t taken;      /* of those: acknowledged by its system */
    uint32_t received;   /* from the peer */
    bool is_receiving;   /* something of the peer has begun to come and is not whole */
    bool is_before_ping; /* all that was given is before a ping of now, as a poll's answer is */
};
/* What is written to a descriptor and not acknowledged by the peer's system (of a UNIX socket: not read). */
uint32_t eio__fd_unsent(int fd);

/* An HTTP connection as a session that depends on it sees it, and the session's end of the tie. One line has one tie; *
 * whichever goes first takes itself out of the other. */
struct eio__tie {
    struct eio__line *line; /* NULL: none */
};
struct eio__line {
    void (*look)(const struct eio__line *line, struct eio__traffic *out);
    struct eio__tie *tie; /* NULL: none */
};
/* Each leaves whom it had before. Either may be NULL: then the other is alone. */
static inline void eio__tie(struct eio__tie *tie, struct eio__line *line)
{
    if (tie && tie->line) tie->line->tie = NULL;
    if (line && line->tie) line->tie->line = NULL;
    if (tie) tie->line = line;
    if (line) line->tie = tie;
}

/* How a request is answered: by eio_http.c on a connection, by tests in memory. */
struct eio__request_ops {
    void (*reply)(struct eio_http_request *request, const struct eio_http_reply *reply);
    /* WebSocket upgrades only: takes the connection away; everything in *taken is the caller's, the request is gone.
     * Negative: it cannot be taken (the request lives on and wants a reply). */
    int (*take)(struct eio_http_request *request, struct eio__taken *taken);
    /* As eio_http_stream_begin(); NULL: there is nothing to stream to. */
    struct eio_http_stream *(*stream)(struct eio_http_request *request, const struct eio_http_reply *reply,
                                      const struct eio_http_stream_options *options);
};

/* The public part of a request; eio_http.c embeds it in a larger struct. */
struct eio_http_request {
    const struct eio__request_ops *ops;
    struct eio_http_head *head; /* owned by the request */
    struct eio_str body;        /* writable memory of the request */
    struct eio_loop *loop;
    eio_loop_fn on_abort; /* runs once if the client goes away before the reply */
    void *abort_ctx;
    struct eio__line *line; /* its connection, which outlives it; NULL: none */
    bool is_upgrade;        /* asks for a WebSocket: may be taken */
    bool is_early;          /* its body is still coming */
    bool is_paused;         /* and is not read now */
    eio_http_piece_fn on_piece;
    eio_loop_fn on_end;
    void *read_ctx;
};

/* Some parameters of a query, found in one walk; of each the last one of that name. */
struct eio__pick {
    struct eio_str name, raw; /* raw.p NULL: absent */
};
void eio__query_pick(struct eio_str query, struct eio__pick *picks, size_t count);
/* As eio_query_get(). */
int eio__pick_decode(const struct eio__pick *pick, char *out, size_t out_size);

/* A copy in one allocation; the caller frees it with free(). */
struct eio_http_head *eio__http_head_copy(const struct eio_http_head *head);

/* Offers a request to another node before anything is done with it: takes the offer, or leaves it. */
typedef void (*eio__offer_fn)(struct eio_offer *offer, const struct eio_http_head *head, void *ctx);
/* The head of a request has come and its body is still to: before any other call about it. */
typedef void (*eio__body_fn)(struct eio__line *line, const struct eio_http_head *head, void *ctx);
/* A route with everything that eio_http_route() does not offer. What is zero or NULL is as there. */
struct eio__route_spec {
    size_t max_body_bytes;    /* above: 413 */
    size_t max_body_pieces;   /* in which a body arrives; above: 413 */
    uint32_t body_timeout_ms; /* instead of the option; 408 */
    eio_http_fn fn;
    /* Gets requests that ask for a WebSocket, and replies or takes, now or later. Without it they are plain requests.
     */
    eio_http_fn upgrade;
    eio_http_refused_fn refused; /* as eio_http_route_refused() */
    eio__offer_fn offer;
    eio__body_fn body;
    /* Whether the handler gets the request before its body (eio_http_route_early()). */
    bool (*is_early)(const struct eio_http_head *head, void *ctx);
    void *ctx;
};
int eio__http_route_add(struct eio_http *http, const char *path, const struct eio__route_spec *spec);
#endif
