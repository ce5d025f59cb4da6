/* engineio_http: the HTTP/1.1 server (TLS if wanted) of engineio.h: requests and their answers, whole or in pieces, and
 * connections that move to another process or machine. Loops, errors and conventions are those of engineio.h.
 *
 * RFC 9110, RFC 9112. */
#ifndef ENGINEIO_HTTP_H
#define ENGINEIO_HTTP_H

#include "engineio.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- requests */

/* Methods that handlers see. */
enum eio_http_method {
    EIO_HTTP_GET,
    EIO_HTTP_HEAD,
    EIO_HTTP_POST,
    EIO_HTTP_PUT,
    EIO_HTTP_PATCH,
    EIO_HTTP_DELETE,
    EIO_HTTP_OPTIONS
};

/* A checked request head, read-only. One allocation. */
struct eio_http_head {
    const char *text;    /* request target, then header names, in lower case, and values */
    const char *address; /* the client's as text, after the trusted-proxy rule */
    uint64_t issued_ms;  /* Unix milliseconds */
    uint16_t field_count;
    uint16_t target_size; /* the target starts at text[0] */
    uint16_t path_size;   /* the part before '?' */
    uint8_t method;       /* enum eio_http_method */
    bool secure;          /* arrived over TLS, here or at a trusted proxy */
    bool keep_alive;
    uint8_t minor_version; /* of HTTP/1: 0 or 1 */
    uint8_t door;          /* of the listener at which it came: struct eio_http_listener */
};

EIO_API struct eio_str eio_http_head_target(const struct eio_http_head *head); /* "/socket.io/?EIO=4" */
EIO_API struct eio_str eio_http_head_path(const struct eio_http_head *head);   /* not percent-decoded */
EIO_API struct eio_str eio_http_head_query(const struct eio_http_head *head);  /* after '?', raw */
/* Value of the first header of that (lower-case) name; {NULL,0} if absent. */
EIO_API struct eio_str eio_http_head_field(const struct eio_http_head *head, const char *name);
/* True if an Accept-Encoding allows this coding by its name, with a weight other than 0 (RFC 9110, section 12.5.3). */
EIO_API bool eio_http_head_accepts(const struct eio_http_head *head, const char *coding);
/* The i-th header. Returns false past the end. */
EIO_API bool eio_http_head_field_at(const struct eio_http_head *head, size_t i, struct eio_str *name,
                                    struct eio_str *value);

/* Walks a query string or an urlencoded form: *rest is advanced; name and value are raw. Returns false at the end. */
EIO_API bool eio_query_next(struct eio_str *rest, struct eio_str *name, struct eio_str *value);
/* Percent-decodes ('+' is a space) into out; at most out_size bytes, no terminator.
 * Returns the decoded size, or EIO_ETOOBIG. Never longer than the input. A bad escape is kept as it stands. */
EIO_API int eio_query_decode(struct eio_str raw, char *out, size_t out_size);
/* The decoded, terminated value of a parameter (the last one of that name, as the reference).
 * Returns its size, EIO_EINVAL if absent, EIO_ETOOBIG. */
EIO_API int eio_query_get(struct eio_str query, const char *name, char *out, size_t out_size);
/* One request, from its route's handler until it is answered. */
struct eio_http_request;

/* The request line and headers; valid until the reply. */
EIO_API const struct eio_http_head *eio_http_request_head(const struct eio_http_request *request);
/* The whole body, decoded from chunks; valid until the reply. */
EIO_API struct eio_str eio_http_request_body(const struct eio_http_request *request);
/* Of a request that came before its body (eio_http_route_early()): hands on what comes, decoded, from the loop. An
 * answer before on_end closes the connection. After body_timeout_ms without a byte: 408, aborted. False: the body is
 * whole. */
typedef void (*eio_http_piece_fn)(void *ctx, struct eio_str piece);
EIO_API bool eio_http_request_read(struct eio_http_request *request, eio_http_piece_fn on_piece, eio_loop_fn on_end,
                                   void *ctx);
/* Stops reading, so that what comes waits at the client; or goes on, from the next turn. */
EIO_API void eio_http_request_pause(struct eio_http_request *request, bool pause);
EIO_API struct eio_loop *eio_http_request_loop(const struct eio_http_request *request);

/* ----------------------------------------------------------------- replies */

/* A header of a reply. */
struct eio_http_reply_field {
    const char *name, *value;
};
/* A whole reply; what it points to is copied. */
struct eio_http_reply {
    int status;               /* 200, 404, … */
    const char *content_type; /* NULL: none */
    const void *body;
    size_t body_size;
    const struct eio_http_reply_field *fields;
    size_t field_count;
    bool close; /* close the connection afterwards */
};
/* Answers, now or later; everything in `reply` is copied. HEAD gets no body. The request is gone afterwards. */
EIO_API void eio_http_reply(struct eio_http_request *request, const struct eio_http_reply *reply);

/* Called once if the client goes away before the reply; the request is gone when it returns. */
EIO_API void eio_http_request_on_abort(struct eio_http_request *request, eio_loop_fn fn, void *ctx);

/* An answer in pieces, sent while it is being made: from eio_http_stream_begin() to the first of eio_http_stream_end(),
 * eio_http_stream_abort() and on_abort. Callbacks may be NULL, and never come from within another call about it. */
struct eio_http_stream;
struct eio_http_stream_options {
    size_t max_queue_bytes;      /* that wait for the client; above: it is closed; 0: the option's */
    void (*on_drain)(void *ctx); /* all that was written is with the kernel: time for more, or for the end */
    void (*on_abort)(void *ctx); /* once: the client went away or was too slow; afterwards the stream is gone */
    void *ctx;
};
/* Answers with status and headers now and the body in pieces: chunked, or up to the end of the connection for HTTP/1.0.
 * `reply` is copied; its body, if any, is the first piece. The request is gone afterwards. To HEAD, and with a status
 * that has no body, pieces are accepted and dropped. NULL: out of memory, or the client is gone; the request is still
 * there then and wants its reply. */
EIO_API struct eio_http_stream *eio_http_stream_begin(struct eio_http_request *request,
                                                      const struct eio_http_reply *reply,
                                                      const struct eio_http_stream_options *options);
/* Appends a copy of the piece; all pieces of a turn leave together at its end. A piece of any size is taken when
 * nothing waits. EIO_EAGAIN: more than max_queue_bytes would wait, and on_abort follows from the loop; EIO_ECLOSED:
 * since then. A source that can wait stops at some amount queued, until on_drain. Returns 0, those, or EIO_ENOMEM (as
 * EIO_EAGAIN). */
EIO_API int eio_http_stream_write(struct eio_http_stream *stream, const void *piece, size_t size);
/* Bytes that were written and are not with the kernel yet. */
EIO_API size_t eio_http_stream_queued(const struct eio_http_stream *stream);
/* The body is whole. Once it is out, the connection goes on with its next request. */
EIO_API void eio_http_stream_end(struct eio_http_stream *stream);
/* It cannot be completed: closes the connection without the end of the body, so that the client notices. */
EIO_API void eio_http_stream_abort(struct eio_http_stream *stream);

/* ------------------------------------------------------------------ server */

struct eio_http;

/* Sizes of a key of session tickets, and of what one is derived from. */
enum { EIO_TLS_TICKET_KEY_BYTES = 80, EIO_TLS_TICKET_SECRET_BYTES = 16 };
/* Options of the HTTP server, with the defaults beside the fields. */
struct eio_http_options {
    size_t max_head_bytes;    /* 16384: request line and headers; above: 431 */
    size_t max_line_bytes;    /* 8192: the request line (414) or one header (431) */
    size_t max_fields;        /* 100 headers; above: 431 */
    size_t max_body_bytes;    /* 1000000: for routes that set no own limit; above: 413 */
    uint32_t head_timeout_ms; /* 60000, absolute, from the first byte (or the accept) to the last of the head; 408 */
    size_t max_half_open; /* 4096 connections whose head is not whole; above: the one that waits longest is closed */
    uint32_t body_timeout_ms;      /* 60000, absolute; 408 */
    uint32_t idle_timeout_ms;      /* 60000 between requests of a kept-alive connection */
    size_t max_stream_queue_bytes; /* 1048576 of an answer in pieces that wait for the client; above: it is closed */
    uint32_t linger_ms;            /* 2000: an error reply is followed by reading this long, so that it arrives */
    size_t max_connections;        /* WebSockets included; 0 = no limit besides descriptors; above: 503 and close */
    size_t max_connections_per_address; /* the same from one peer (IPv6: from one /64), trusted proxies excepted; 0 = no
                                         * limit; above: 429 and close */
    size_t max_addresses;           /* 65536 peers are distinguished; new ones beyond that have no limit of their own */
    const char *trusted_proxies;    /* NULL, or a list of CIDRs, "127.0.0.1/32,10.0.0.0/8": whose X-Forwarded-For
                                     * and X-Forwarded-Proto count; the rightmost untrusted address is the client */
    int backlog;                    /* 1024 */
    size_t max_private_connections; /* 64 at doors other than 0, for which the two limits above do not count; above: 503
                                     * and close; 0 = no limit */
    const char *proxy_networks; /* "127.0.0.0/8,::1", as trusted_proxies: who may connect to a listener that is proxied;
                                 * who can open a UNIX socket's file always may */
    uint32_t proxy_header_timeout_ms; /* 3000: for the header of the PROXY protocol to arrive */
    uint32_t reserved_descriptors;   /* 32 of the process's limit are not given to connections, but stay for files, logs
                                      * and connections of the process itself; those beyond wait to be accepted */
    bool reuse_port;                 /* false */
    const char *tls_cert_file;       /* NULL: plain HTTP. PEM: the certificate, then its chain; copied */
    const char *tls_key_file;        /* PEM, without a passphrase; copied. TLS 1.2 and 1.3 */
    const char *tls_ticket_key_file; /* NULL, or keys of session tickets for several servers: lines of 160 hexadecimal
                                      * digits, the first one for new tickets, the others for former ones; copied */
    const uint8_t *tls_ticket_secret; /* without that file, NULL, or EIO_TLS_TICKET_SECRET_BYTES that other processes
                                       * have as well, from which the key is derived; copied */
};
/* Fills in the defaults above. */
EIO_API void eio_http_options_init(struct eio_http_options *options);

/* Whether the options' texts are usable, for a clear message before the start: trusted_proxies; cors.origin (which also
 * logs what is wrong with an expression). NULL is usable. */
EIO_API bool eio_trusted_proxies_are_valid(const char *list);
EIO_API bool eio_cors_origin_is_valid(const char *origin);
/* The same of allowed_origins. */
EIO_API bool eio_allowed_origins_are_valid(const char *origins);

/* The same of a file with keys of session tickets. */
EIO_API bool eio_tls_ticket_keys_are_valid(const char *path);

/* Returns NULL if out of memory, or if trusted_proxies or the TLS files are bad; what is wrong with them is logged. */
EIO_API struct eio_http *eio_http_new(struct eio_loop *loop, const struct eio_http_options *options);
/* Closes the listener and all HTTP connections (not WebSockets). Accepts NULL. */
EIO_API void eio_http_free(struct eio_http *http);
/* Listens on a numeric address or "localhost"; port 0 takes a free one. Returns 0, EIO_EINVAL, EIO_ESYS. */
EIO_API int eio_http_listen(struct eio_http *http, const char *host, uint16_t port);
/* The same on a socket that is bound already, or listens: a parent's, made before it forked. Consumed, also on failure.
 * EIO_ESYS. */
EIO_API int eio_http_listen_fd(struct eio_http *http, int take_fd);

/* A door says which routes are open to those who come by it (eio_http_route_doors()); 0 is the public's. */
#define EIO_HTTP_DOORS 8
#define EIO_HTTP_DOOR(number) (1u << (number))
/* One of several sockets to listen on, TCP or UNIX. */
struct eio_http_listener {
    int take_fd; /* as that of eio_http_listen_fd() */
    uint8_t door;
    bool plain; /* does not speak TLS, even if there is a certificate */
    /* Each connection begins with a header of the PROXY protocol, version 1 or 2, before TLS: its peer is who that
     * says. Without one it is closed; nothing is guessed. */
    bool proxied;
};
/* Returns 0, EIO_EINVAL (no such door), EIO_ENOMEM, EIO_ESYS. */
EIO_API int eio_http_listen_on(struct eio_http *http, const struct eio_http_listener *listener);
/* Reads the certificate, the key and the keys of tickets anew, for connections made from now on. EIO_EINVAL: it does
 * not speak TLS, or they cannot be used (the reason is logged) and the former ones stay. */
EIO_API int eio_http_reload_tls(struct eio_http *http);
/* The port of the first socket that has one and is listened on; 0: there is none. */
EIO_API uint16_t eio_http_port(const struct eio_http *http);
/* Stops accepting, at all sockets; open connections go on. */
EIO_API void eio_http_stop_listening(struct eio_http *http);
EIO_API struct eio_loop *eio_http_loop(struct eio_http *http);

/* Handles a request: it replies now, or keeps the request and replies later. */
typedef void (*eio_http_fn)(struct eio_http_request *request, void *ctx);
/* Sends requests whose path is `path` (or starts with it, if it ends in '*') to fn; the longest match wins.
 * Without a match: 404. max_body_bytes 0: the option's. Returns 0, EIO_EEXIST, EIO_ENOMEM. */
EIO_API int eio_http_route(struct eio_http *http, const char *path, size_t max_body_bytes, eio_http_fn fn, void *ctx);

/* The route's handler gets requests for which is_early() is true before their body. EIO_EINVAL: no such route. */
EIO_API int eio_http_route_early(struct eio_http *http, const char *path,
                                 bool (*is_early)(const struct eio_http_head *head, void *ctx));

/* What the route answers to a request whose body is not taken, with that status: 408, 413. The connection is closed
 * afterwards. Without it the answer says why, as plain text, and a page of another origin may not read it. EIO_EINVAL:
 * no such route. */
typedef void (*eio_http_refused_fn)(struct eio_http_request *request, int status, const char *why, void *ctx);
EIO_API int eio_http_route_refused(struct eio_http *http, const char *path, eio_http_refused_fn fn);

/* At which doors the route is open; a request that comes by another does not see it. At first: EIO_HTTP_DOOR(0).
 * EIO_EINVAL: no such route. */
EIO_API int eio_http_route_doors(struct eio_http *http, const char *path, unsigned doors);

/* Counters since the server was made; eio_http_get_stats() fills them in. */
struct eio_http_stats {
    uint64_t accepted, requests, refused, timeouts, aborted, tls_errors;
    uint64_t proxy_errors;         /* connections closed for want of a sound header of the PROXY protocol */
    uint64_t adopted, handed_over; /* connections that came from another node, or went there */
    uint64_t bytes_in, bytes_out;
    uint64_t limit_hits[EIO_LIMIT_COUNT];
    size_t connections, parked; /* now; without WebSockets */
    size_t streams, draining;   /* now: answers in pieces; answers that are whole and not all with the kernel */
    size_t pumps;               /* now: handed over, but their TLS stays here */
};
EIO_API void eio_http_get_stats(const struct eio_http *http, struct eio_http_stats *stats);

/* --------------------------------------------------------------- handovers */

/* A request for a session that another node owns gets there as a connection, with what was read of it: see
 * eio_server_set_foreign(). The session id names the owner. */

/* A connection between two nodes. Its holder owns the descriptor and the bytes. */
struct eio_http_handover {
    int fd;           /* plain HTTP, also if the client speaks TLS: then it is a pair of sockets' other end */
    bool secure;      /* the client speaks TLS */
    char address[46]; /* the peer's, before the trusted-proxy rule; numeric */
    uint8_t *bytes;   /* malloc()ed: a whole request head, then what came after it */
    size_t size;      /* of bytes; at most EIO_HANDOVER_BYTES_MAX */
    uint8_t hops;     /* machines that carry it. From EIO_HOPS_MAX on it is closed after the first answer: a connection
                       * that many clients share (a proxy's) would wander from machine to machine for ever */
    uint8_t door;     /* struct eio_http_listener */
};
#define EIO_HOPS_MAX 2
#define EIO_HANDOVER_BYTES_MAX 131072

/* Closes and frees what is in it. */
EIO_API void eio_http_handover_clear(struct eio_http_handover *handover);

/* A connection that could go to another node: good for the call of the hook that got it. */
struct eio_offer;
/* Takes it: it is gone from here. Negative (out of memory or descriptors, too many bytes): it stays. */
EIO_API int eio_offer_take(struct eio_offer *offer, struct eio_http_handover *handover);

/* Goes on with it as with one accepted here: limits by address, deadlines, everything. Its first request is answered
 * here even if another node owns the session (so a connection never circles); later ones may move it on. Consumed, also
 * on failure: EIO_EINVAL (bad address or too many bytes), EIO_ENOMEM, EIO_EAGAIN (a limit on connections). */
EIO_API int eio_http_adopt(struct eio_http *http, struct eio_http_handover *take_handover);

/* Carries handovers between two processes of one machine, both ways, on one end of a
 * socketpair(AF_UNIX, SOCK_SEQPACKET): descriptors as SCM_RIGHTS. What arrives is adopted. */
struct eio_handoff;

/* Options of a handover, with the defaults beside the fields. */
struct eio_handoff_options {
    size_t max_queue;       /* 256 handovers that the socket did not take yet; above: EIO_EAGAIN */
    size_t max_queue_bytes; /* 4194304: the same */
};
EIO_API void eio_handoff_options_init(struct eio_handoff_options *options);
/* Options NULL: the defaults. Takes the descriptor, also on failure (NULL). Freed before `http`. */
EIO_API struct eio_handoff *eio_handoff_new(struct eio_http *http, int take_fd,
                                            const struct eio_handoff_options *options);
/* Handovers that wait are adopted by `http` itself, so that they are answered. Not from its callbacks. Accepts NULL. */
EIO_API void eio_handoff_free(struct eio_handoff *handoff);
/* Called once, from the loop, when the peer is gone; what waited for it was adopted here. The owner frees it later. */
EIO_API void eio_handoff_on_closed(struct eio_handoff *handoff, eio_loop_fn fn, void *ctx);
/* Sends an offered connection. What may come of it, in the order of likelihood: it is gone to the peer, or waits in
 * the queue for it; 0. It was not taken: EIO_EAGAIN (queue full), EIO_ECLOSED (the peer is gone), as eio_offer_take().
 */
EIO_API int eio_handoff_offer(struct eio_handoff *handoff, struct eio_offer *offer);
/* The same for one that is in hand. On failure it stays the caller's. */
EIO_API int eio_handoff_send(struct eio_handoff *handoff, struct eio_http_handover *handover);

/* Counters since the handover was made; eio_handoff_get_stats() fills them in. */
struct eio_handoff_stats {
    uint64_t sent, received;
    uint64_t declined;  /* queue full or peer gone */
    uint64_t malformed; /* malformed messages, ignored */
    uint64_t lost;      /* arrived without a descriptor, for want of a free one */
    size_t queued;      /* now */
};
EIO_API void eio_handoff_get_stats(const struct eio_handoff *handoff, struct eio_handoff_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
