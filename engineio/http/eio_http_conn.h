/* What the files of the HTTP layer share: eio_http.c (routes), eio_http_listen.c (accepting), eio_http_conn.c (a
 * connection's life), eio_http_io.c (its bytes), eio_http_reply.c (answers), eio_http_stream.c (answers in pieces),
 * eio_tls.c (certificates), eio_tls_io.c (what is taken from TLS), eio_handover.c and eio_pump.c (connections between
 * nodes). Private to them: the rest of the library knows engineio_http.h and eio_http_int.h. */
#ifndef EIO_HTTP_CONN_H
#define EIO_HTTP_CONN_H

#include "eio_address.h"
#include "eio_bytes.h"
#include "eio_codec.h"
#include "eio_http_int.h"
#include "eio_int.h"
#include "eio_text.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <evhtp/evhtp.h>

enum {
    EIO__HTTP_INPUT_BYTES = 16384,   /* held behind an unanswered request; above: the socket is not read */
    EIO__HTTP_REFUSALS_MAX = 256,    /* connections above max_connections that get their 503 with a linger */
    EIO__HTTP_ACCEPT_PAUSE_MS = 100, /* after accept() failed for want of descriptors */
    EIO__HTTP_BODY_START_BYTES = 4096,
    EIO__TLS_OUTPUT_BYTES = 65536, /* encrypted for one WebSocket and then sent together */
};

struct eio__route {
    char *path; /* without the '*' */
    size_t path_size;
    bool prefix;
    struct eio__route_spec spec;          /* with max_body_bytes filled in */
    struct eio_deadlines *body_deadlines; /* of spec.body_timeout_ms, or NULL: the server's */
    unsigned doors;                       /* EIO_HTTP_DOOR() of each at which it is open */
};

struct eio_http {
    struct eio_loop *loop;
    struct eio_http_options options;
    struct eio__gate_limits limits;
    struct eio__proxies proxies;
    struct eio__listener *listeners; /* in the order in which they were opened */
    struct eio__listener *stopped;   /* whose connections are evhtp's */
    /* evhtp's own callbacks, the same for all its connections; ours stand in front. */
    bufferevent_data_cb evhtp_read, evhtp_write;
    struct eio__route *routes; /* longest path first */
    size_t route_count;
    struct eio__conn *first;
    struct eio__turn_item flush_item; /* for the streams that were written to in this turn: */
    struct eio_http_stream *flush_first;
    struct eio__conn *poke_first; /* answered from outside, with more to do; see eio__conn_poke() */
    struct event *poke_event;
    struct eio_timer accept_timer;
    struct eio__proxies greeters; /* who may say for whom it speaks */
    struct eio_limit_counter greeting_faults;
    BIO_METHOD *greeting_method; /* NULL until it is needed */
    struct eio_deadlines greeting_deadlines;
    struct eio_deadlines head_deadlines, body_deadlines, idle_deadlines, drain_deadlines, linger_deadlines;
    size_t half_open;           /* connections in head_deadlines */
    size_t refusals;            /* connections above the limit that still linger */
    size_t private_connections; /* of doors other than 0 */
    size_t leased; /* descriptors that left as WebSockets and are open yet; only with limits on connections */
    struct eio__visitors visitors; /* peers, only with a limit by address */
    struct eio_limit_counter hits[EIO_LIMIT_COUNT];
    uint16_t port;
    SSL_CTX *tls;            /* NULL: plain. The listeners' ssl_ctx is the same, borrowed */
    struct eio__tls_io *ios; /* taken by WebSockets, and closed ones with bytes still to send */
    struct eio_deadlines io_deadlines;
    struct eio__pump *pumps;
    struct eio_deadlines pump_drain_deadlines, pump_linger_deadlines;
    struct eio_http_stats stats;
    int64_t date_s; /* that date says */
    char date[EIO__DATE_CHARS];
};

enum eio__conn_state {
    EIO__H_HEAD,      /* waits for, or collects, a request head */
    EIO__H_BODY,      /* the head is checked; collects the body */
    EIO__H_READING,   /* a handler has the request and gets the body as it comes */
    EIO__H_WAITING,   /* a handler has the request: parked until it answers */
    EIO__H_STREAMING, /* the answer is being made, piece by piece */
    EIO__H_DRAINING,  /* answered; the reply is on its way to the kernel */
    EIO__H_LINGERING, /* the last reply is out; what still comes is read and thrown away, so that it arrives */
};

struct eio__tls_io;

struct eio__conn {
    struct eio_http *http;
    int fd;
    struct eio__polled polled; /* plain: the descriptor is ours */
    evhtp_connection_t *evhtp; /* over TLS: owns the bufferevent, which owns the descriptor */
    struct bufferevent *bev;
    struct eio__bytes in, out; /* read and not handled yet; to be written. Under TLS more is in the bufferevent */
    struct eio__conn *next, *prev;
    struct eio__conn *poke_next;
    struct eio__greeting *greeting; /* that is still to come; NULL: none is */
    struct eio__request *request;   /* while READING and WAITING */
    struct eio_http_stream *stream; /* while STREAMING; NULL: it was given up, the connection is to be closed */
    struct eio_deadline deadline;
    struct eio_deadlines *deadlines; /* the queue it stands in, NULL: none */
    size_t linger_left;              /* what the peer had not taken at the last look */
    struct eio__line line;
    uint32_t given;      /* bytes of answers, modulo 2^32 */
    uint32_t drain_mark; /* of those: with the kernel at the last look */
    uint8_t state;       /* enum eio__conn_state, set by set_state() */
    uint8_t watched;     /* plain: EV_READ, EV_WRITE */
    bool *gone;          /* set when it is freed: watched around calls of handlers */
    bool poked : 1;
    bool advancing : 1; /* inside eio__conn_advance(): no poke is needed */
    bool served : 1;    /* had a request before: waiting for the next is idling */
    bool read_paused : 1;
    bool eof : 1;     /* the peer sends no more */
    bool broken : 1;  /* to be dropped: eio__conn_break() */
    bool close : 1;   /* close after the reply */
    bool refused : 1; /* counted in http->refusals */
    bool counted : 1; /* in http->visitors */
    bool chunked : 1;
    bool writing : 1; /* something is left that the socket did not take */
    bool tls : 1;
    bool secure : 1;  /* the client's side is TLS, here or at the node that handed it over */
    bool settled : 1; /* adopted: the first request is answered here */
    struct eio__gate_scan scan;
    struct eio_http_head *head; /* while BODY */
    const struct eio__route *route;
    struct eio__chunked chunks;
    uint8_t *body;
    size_t body_size, body_capacity, body_limit,
        body_expected;  /* expected: of a Content-Length; READING: of what is left */
    size_t body_pieces; /* in which it came */
    struct eio__address peer;
    uint8_t hops; /* machines that carry it */
    uint8_t door; /* at which it came in */
};

struct eio__request {
    struct eio_http_request base;
    struct eio__conn *conn; /* NULL: being aborted, answers are ignored */
    uint8_t *body;
    bool raw; /* evhtp knows nothing of it */
};

/* An answer in pieces. */
struct eio_http_stream {
    struct eio__conn *conn;                           /* NULL: in on_abort */
    struct eio_http_stream *flush_next, **flush_link; /* link NULL: nothing was written in this turn */
    struct eio_http_stream_options options;
    bool chunked : 1;
    bool bodiless : 1; /* pieces are dropped */
    bool keep_alive : 1;
    bool doomed : 1;  /* the client was too slow, or memory is out: closed from the loop */
    bool drained : 1; /* on_drain is due */
};

extern const struct eio__request_ops eio__http_ops;
extern const struct eio__turn_ops eio__streams_ops;

struct eio_http_stream *eio__stream_begin(struct eio_http_request *request, const struct eio_http_reply *reply,
                                          const struct eio_http_stream_options *options);
/* Its connection is gone: calls on_abort and frees it. Accepts NULL. */
void eio__stream_lost(struct eio_http_stream *stream);

/* Accepts on a socket that is bound. Returns 0; negative: it is still the caller's. */
int eio__http_accept_on(struct eio_http *http, const struct eio_http_listener *kind);
void eio__http_on_accept_timer(void *ctx);
void eio__http_on_lease_end(const struct eio__lease *lease);
/* No connection is left. */
void eio__http_listeners_clear(struct eio_http *http);
/* EIO_LIMIT_COUNT: one more connection from there is within the limits. */
enum eio_limit eio__http_limit(struct eio_http *http, const struct eio__address *peer);
/* For one that is not: true if it gets no answer but the end. */
bool eio__http_is_flooded(struct eio_http *http, enum eio_limit limit);
/* Counts a new connection, or refuses it because of a limit. */
void eio__http_enter(struct eio__conn *conn, enum eio_limit limit);

/* NULL: out of memory, the descriptor is still the caller's. */
struct eio__conn *eio__conn_new(struct eio_http *http, int fd, const struct eio__address *peer);
/* Puts our callbacks before evhtp's. NULL: out of memory, the connection is still evhtp's. */
struct eio__conn *eio__conn_new_tls(struct eio_http *http, evhtp_connection_t *evhtp, const struct eio__address *peer);
/* A connection that another node may want; eio_handover.c takes it. */
struct eio_offer {
    struct eio__conn *conn; /* NULL: taken */
};
/* A header of the PROXY protocol is to come first. 0 or EIO_ENOMEM. */
int eio__greeting_expect(struct eio__conn *conn);
int eio__greeting_expect_tls(struct eio__conn *conn, SSL *ssl);
void eio__greeting_refuse(struct eio_http *http, const struct eio__address *peer, const char *why);
/* It was read, and says who the peer is: only now it is counted, and may be refused. */
void eio__http_greeted(struct eio__conn *conn);
/* The result of a step: it needs more bytes, it did something, the connection is gone. */
enum eio__step { EIO__STEP_WAIT, EIO__STEP_MORE, EIO__STEP_GONE };
/* Takes what has come of the header. MORE: it is whole; GONE: the connection is to be dropped, the reason is logged. */
enum eio__step eio__greeting_read(struct eio__conn *conn);
/* Collects the body (BODY); hands it on (READING). */
enum eio__step eio__body_step(struct eio__conn *conn);
enum eio__step eio__reading_step(struct eio__conn *conn);
/* Head and body are whole: makes the request of them and hands it over. */
enum eio__step eio__conn_dispatch(struct eio__conn *conn, bool upgrade);
/* The body is not taken: the route may have something to say, and to do, about that. */
enum eio__step eio__conn_refuse_body(struct eio__conn *conn, int status, enum eio_limit limit, const char *why);
enum eio__step eio__conn_refuse_size(struct eio__conn *conn);
/* A fault of the gate or of a chunked body. */
void eio__conn_refuse_fault(struct eio__conn *conn, const struct eio__fault *fault);
/* The one function that changes the state; each state has its deadline. */
void eio__conn_set_state(struct eio__conn *conn, enum eio__conn_state state);
/* Goes as far as the bytes that are there allow. May free it. */
void eio__conn_advance(struct eio__conn *conn);
/* Counts a hit of a limit and logs it. */
void eio__conn_hit(struct eio__conn *conn, enum eio_limit limit);
/* Closes it now; an unanswered request is aborted. */
void eio__conn_drop(struct eio__conn *conn);
/* It is about to be released and goes on counting as a connection, until its descriptor is closed. Without memory it
 * does not. */
void eio__conn_lease(struct eio__conn *conn);
/* Detaches it from evhtp and frees everything but the wire, which is returned. take_io: NULL if it is plain. */
struct eio__wire eio__conn_release(struct eio__conn *conn, struct eio__tls_io *take_io);
/* The request was answered (and is freed), its reply is in the output buffer. Never frees the connection. */
void eio__conn_answered(struct eio__conn *conn, bool keep_alive);
/* Writes what is in the output; the rest follows as the socket takes it, within the time for that. */
void eio__conn_flush(struct eio__conn *conn);
/* A stream begins, and ends: as eio__conn_answered(). */
void eio__conn_stream(struct eio__conn *conn, struct eio_http_stream *stream);
void eio__conn_streamed(struct eio__conn *conn, bool keep_alive);
/* Writes an error reply past evhtp and lingers; a request whose body is still coming is aborted. */
void eio__conn_refuse(struct eio__conn *conn, int status, const char *why);
/* Goes on with it from the loop, not from inside somebody's reply. */
void eio__conn_poke(struct eio__conn *conn);
void eio__http_run_pokes(evutil_socket_t fd, short what, void *ctx);
/* A deadline of a connection is due; ctx: the struct eio_http. */
void eio__conn_on_head_deadline(struct eio_deadline *due, void *ctx);
void eio__conn_on_greeting_deadline(struct eio_deadline *due, void *ctx);
void eio__conn_on_body_deadline(struct eio_deadline *due, void *ctx);
void eio__conn_on_idle_deadline(struct eio_deadline *due, void *ctx);
void eio__conn_on_drain_deadline(struct eio_deadline *due, void *ctx);
void eio__conn_on_linger_deadline(struct eio_deadline *due, void *ctx);

struct eio__request *eio__request_new(struct eio__conn *conn, struct eio_http_head *take_head, uint8_t *take_body,
                                      size_t body_size);
void eio__request_free(struct eio__request *request);
/* The route of a path at a door, or NULL. */
const struct eio__route *eio__http_find_route(const struct eio_http *http, struct eio_str path, uint8_t door);
/* A context of the options' files, or NULL; what is wrong with them is logged. */
SSL_CTX *eio__tls_load(const struct eio_http_options *options);
/* Gives it the keys of session tickets: those of the file, else of the secret; NULL, both: OpenSSL's own stay. 0 or
 * negative; what is wrong with the file is logged. */
int eio__tls_set_tickets(SSL_CTX *tls, const char *path, const uint8_t *secret);
/* Closes our side of the connection. The output must be empty. */
void eio__tls_shutdown(struct bufferevent *bev);
/* The handshake failed, or the connection later: counts and logs; a client that spoke plain HTTP gets an error in plain
 * HTTP. */
void eio__tls_on_error(struct eio_http *http, struct bufferevent *bev);
/* The same of a connection that is not libevent's any more. */
void eio__tls_count_error(struct eio_http *http, unsigned long error);
/* Makes an io of a TLS connection that is being taken; eio__tls_io_own() gives it the bufferevent. */
struct eio__tls_io *eio__tls_io_new(struct eio_http *http);
struct eio__io *eio__tls_io_own(struct eio__tls_io *io, struct bufferevent *take_bev);
void eio__tls_io_on_deadline(struct eio_deadline *due, void *ctx);
/* The HTTP server goes: ios live on without it, closed ones are freed. */
void eio__tls_ios_forget(struct eio_http *http);

/* ------------------------------------------------------------------- pumps */

struct eio__pump;
/* Makes a pump to the owner's socket, all that can fail of it. Takes the descriptor, also on failure (NULL). */
struct eio__pump *eio__pump_new(struct eio_http *http, int take_fd);
/* Starts it; it frees itself. ended: the client sends no more. */
void eio__pump_begin(struct eio__pump *pump, struct eio__io *take_io, bool ended);
void eio__pump_on_drain_deadline(struct eio_deadline *due, void *ctx);
void eio__pump_on_linger_deadline(struct eio_deadline *due, void *ctx);
/* The HTTP server goes. */
void eio__pumps_close(struct eio_http *http);

/* ------------------------------------------------------------------- bytes */

/* Begins to read. Returns 0 or EIO_ESYS. */
int eio__conn_io_begin(struct eio__conn *conn);
/* Nothing is read, written or kept any more; the descriptor stays. */
void eio__conn_io_end(struct eio__conn *conn);
void eio__conn_pause_reading(struct eio__conn *conn, bool pause);
/* Appends to what is to be written, and counts it. Returns 0 or EIO_ENOMEM. */
int eio__conn_put(struct eio__conn *conn, const void *p, size_t n);
/* Counts bytes of an answer, which somebody else has put into the bufferevent. */
void eio__conn_count(struct eio__conn *conn, size_t n);
/* Without memory it ends, from the loop: a part of an answer would be misread. */
void eio__conn_break(struct eio__conn *conn);
/* Writes as much as it can. True: all is with the kernel. Under TLS the bufferevent encrypts, in its own time. */
bool eio__conn_write(struct eio__conn *conn);
void eio__conn_stop_writing(struct eio__conn *conn);
/* All that was put is with the kernel, later. Frees nothing. */
void eio__conn_on_written(struct eio__conn *conn);
/* We send no more. Everything was written. */
void eio__conn_shut(struct eio__conn *conn);
/* What was put and is not with the kernel; with what it has and the peer's has not acknowledged. */
size_t eio__conn_unwritten(const struct eio__conn *conn);
uint32_t eio__conn_unsent(const struct eio__conn *conn);

/* Puts the head of an answer into the output buffer, past evhtp; framing: how its body ends, "Content-Length: 3\r\n".
 */
void eio__http_put_head(struct eio__conn *conn, const struct eio_http_reply *reply, const char *framing,
                        bool keep_alive);
/* False for 204, 304 and 1xx. */
bool eio__http_has_body(int status);
/* Of answers of its own: no browser makes more of a text. */
extern const struct eio_http_reply_field eio__http_nosniff;
/* Puts an error reply with a line of text into the output buffer, past evhtp. */
void eio__http_put_error(struct eio__conn *conn, int status, const char *why);
#endif
