/* engineio: an Engine.IO server (v4, and v3 if allowed; HTTP long-polling, WebSocket, upgrade; TLS) on libevent.
 *
 * Order of use: a loop, an HTTP server on it (engineio_http.h), an Engine.IO server attached to that.
 * Everything belongs to its loop and is used from the loop's thread only;
 * eio_loop_post() is the one call that other threads may make.
 *
 * Conventions
 *  - Functions return 0 or a negative enum eio_error; pointers returned may be NULL when memory is out.
 *  - Pointer arguments are borrowed until the call returns. A parameter named take_… is consumed, even on failure.
 *  - Pairs: new/free (heap), init/clear (embedded in the caller's struct), ref/unref (frames only).
 *  - Sessions are freed by the library, after on_close, at the end of the loop turn. Any callback may close anything.
 *
 * Protocol: https://github.com/socketio/engine.io-protocol (v4), RFC 6455. */
#ifndef ENGINEIO_H
#define ENGINEIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define EIO_API __attribute__((visibility("default")))
#else
#define EIO_API
#endif

struct event_base;

/* engineio_http.h */
struct eio_http;
struct eio_http_head;
struct eio_http_request;
struct eio_http_reply;
struct eio_http_stream;
struct eio_http_stream_options;
struct eio_http_handover;
struct eio_offer;

/* ------------------------------------------------------------------ errors */

#define EIO_ERRORS(X)                                \
    X(EIO_EINVAL, -1, "invalid argument")            \
    X(EIO_ENOMEM, -2, "out of memory")               \
    X(EIO_EAGAIN, -3, "the queue is full")           \
    X(EIO_ECLOSED, -4, "the session is closed")      \
    X(EIO_EPROTO, -5, "protocol error")              \
    X(EIO_EUTF8, -6, "invalid UTF-8")                \
    X(EIO_ETOOBIG, -7, "larger than the limit")      \
    X(EIO_ESYS, -8, "system call failed, see errno") \
    X(EIO_EEXIST, -9, "exists already")

/* What functions return; eio_strerror() has the texts. */
enum eio_error {
    EIO_OK = 0,
#define X(name, value, text) name = value,
    EIO_ERRORS(X)
#undef X
};

/* English text of an error code; never NULL. */
EIO_API const char *eio_strerror(int error);

/* Borrowed text, not terminated. p may be NULL when n is 0. */
struct eio_str {
    const char *p;
    size_t n;
};

/* Text of a C string. */
static inline struct eio_str eio_str(const char *text)
{
    struct eio_str s = {text, 0};
    while (text && text[s.n]) s.n++;
    return s;
}

/* True if s holds exactly the text of the C string. */
EIO_API bool eio_str_is(struct eio_str s, const char *text);

/* --------------------------------------------------------------------- log */

/* How urgent a line is. */
enum eio_log_level { EIO_LOG_ERROR, EIO_LOG_WARN, EIO_LOG_INFO, EIO_LOG_DEBUG };

/* Receives finished lines without a newline. */
typedef void (*eio_log_fn)(enum eio_log_level level, const char *line, void *ctx);

/* Sets where this process's lines go and the most verbose level wanted.
 * fn NULL: standard error. Default: standard error, EIO_LOG_WARN. */
EIO_API void eio_log_set(eio_log_fn fn, void *ctx, enum eio_log_level level);
/* True if lines of that level are wanted: ask before formatting on a hot path. */
EIO_API bool eio_log_wants(enum eio_log_level level);
EIO_API void eio_log(enum eio_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* -------------------------------------------------------------------- loop */

struct eio_loop;

/* Called on the loop's thread. */
typedef void (*eio_loop_fn)(void *ctx);

/* A loop on a new event_base and the real monotonic clock. */
EIO_API struct eio_loop *eio_loop_new(void);
/* A loop for tests: time stands still and moves by eio_loop_advance() only. File descriptors work as ever. */
EIO_API struct eio_loop *eio_loop_new_with_fake_clock(void);
/* Frees the loop. Everything on it must be gone. Accepts NULL. */
EIO_API void eio_loop_free(struct eio_loop *loop);
/* The event_base, for other libraries on the same loop, which runs it. Its timers may be late by 50 ms; eio_timer's are
 * not. */
EIO_API struct event_base *eio_loop_base(struct eio_loop *loop);
/* Runs turns until eio_loop_stop(). A turn: wait for events, run what is due, run the flush hooks,
 * flush all queues, free what was closed. */
EIO_API int eio_loop_run(struct eio_loop *loop);
/* Runs one turn; wait_ms 0 does not wait, -1 waits for the next event. */
EIO_API int eio_loop_turn(struct eio_loop *loop, int wait_ms);
EIO_API void eio_loop_stop(struct eio_loop *loop);
/* Fake clock only: moves time on by ms, running what becomes due in order, each in a turn of its own. */
EIO_API void eio_loop_advance(struct eio_loop *loop, uint64_t ms);
/* Monotonic milliseconds, read once a turn. */
EIO_API uint64_t eio_loop_now_ms(const struct eio_loop *loop);
/* Wall clock: milliseconds since 1970-01-01 UTC. */
EIO_API uint64_t eio_loop_unix_ms(const struct eio_loop *loop);
/* Runs fn(ctx) on the loop, soon. The only call allowed from other threads. Returns 0 or EIO_ENOMEM. */
EIO_API int eio_loop_post(struct eio_loop *loop, eio_loop_fn fn, void *ctx);
/* Calls fn(ctx) at the end of every turn, before queues are flushed. At most 8 hooks; EIO_EINVAL above. */
EIO_API int eio_loop_add_flush_hook(struct eio_loop *loop, eio_loop_fn fn, void *ctx);
EIO_API void eio_loop_remove_flush_hook(struct eio_loop *loop, eio_loop_fn fn, void *ctx);
/* How late what was timed ran: timers, and each deadline of a queue, by the clock at that moment. A loop that never
 * does too much in one turn is never late. */
enum { EIO_LATE_SLOTS = 10 };
struct eio_loop_stats {
    uint64_t turns;
    uint64_t turns_cut;            /* with so much to read that the rest waited for the next turn */
    uint64_t writes_cut;           /* with so much to write that the rest waited for the next turn */
    uint64_t late[EIO_LATE_SLOTS]; /* how many were late by at most eio_late_bound_ms(slot), and more than the former */
    uint64_t late_sum_us, late_max_us;
    /* From the first event of a turn to its end, give or take a tick of the kernel. */
    uint64_t long_turns; /* that took longer than EIO_LONG_TURN_MS */
    uint64_t turn_max_us;
};
enum { EIO_LONG_TURN_MS = 20 };
EIO_API void eio_loop_get_stats(const struct eio_loop *loop, struct eio_loop_stats *stats);
/* 1, 2, 5, 10, 20, 50, 100, 200, 500 ms; the last slot has none: UINT32_MAX. */
EIO_API uint32_t eio_late_bound_ms(int slot);
/* A one-shot timer, embedded in the owner's struct. Fields are private. O(log timers). */
struct eio_timer {
    struct eio_loop *loop;
    uint64_t at_ms;
    size_t slot; /* 1 + position in the heap, 0 = not running */
    eio_loop_fn fn;
    void *ctx;
};
EIO_API void eio_timer_init(struct eio_timer *timer, struct eio_loop *loop, eio_loop_fn fn, void *ctx);
/* Starts or restarts; fires once, delay_ms from now. Returns 0 or EIO_ENOMEM. */
EIO_API int eio_timer_start(struct eio_timer *timer, uint64_t delay_ms);
/* Stops it; harmless when it does not run. */
EIO_API void eio_timer_stop(struct eio_timer *timer);
EIO_API bool eio_timer_running(const struct eio_timer *timer);
/* Many deadlines of the same length: a FIFO list with one timer, O(1) to add and remove. Fields are private. */
struct eio_deadline {
    struct eio_deadline *prev, *next; /* NULL: not running */
    uint64_t at_ms;
};
typedef void (*eio_deadline_fn)(struct eio_deadline *due, void *ctx);
struct eio_deadlines {
    struct eio_deadline head;
    struct eio_timer timer;
    uint64_t length_ms;
    eio_deadline_fn fn;
    void *ctx;
    bool has_place; /* in the heap of timers */
};
/* Returns 0 or EIO_ENOMEM: it can be used then too, but a deadline may be late without memory. */
EIO_API int eio_deadlines_init(struct eio_deadlines *queue, struct eio_loop *loop, uint64_t length_ms,
                               eio_deadline_fn fn, void *ctx);
EIO_API void eio_deadlines_clear(struct eio_deadlines *queue);
/* (Re)starts a deadline: fn(deadline) runs length_ms from now. Never fails: the queue's timer has a place of its own,
 * taken at init. */
EIO_API void eio_deadlines_add(struct eio_deadlines *queue, struct eio_deadline *deadline);
/* The same, counted from an earlier moment, for deadlines that follow one another without drifting. A start older than
 * the youngest deadline's is raised to it. */
EIO_API void eio_deadlines_add_from(struct eio_deadlines *queue, struct eio_deadline *deadline, uint64_t start_ms);
/* Stops it; harmless when it does not run. */
EIO_API void eio_deadline_stop(struct eio_deadlines *queue, struct eio_deadline *deadline);

/* ------------------------------------------------------------------ limits */

/* Limits of this library, by the names of their options. Each is counted when it is hit (limit_hits in the stats) and
 * logged, one line in EIO_LIMIT_LOG_MS for each at most, so that clients cannot flood the log. */
#define EIO_LIMITS(X)                                                                       \
    X(EIO_LIMIT_CONNECTIONS, "max_connections")                                             \
    X(EIO_LIMIT_CONNECTIONS_PER_ADDRESS, "max_connections_per_address")                     \
    X(EIO_LIMIT_RESERVED_DESCRIPTORS, "reserved_descriptors")                               \
    X(EIO_LIMIT_HEAD_BYTES, "max_head_bytes")                                               \
    X(EIO_LIMIT_LINE_BYTES, "max_line_bytes")                                               \
    X(EIO_LIMIT_FIELDS, "max_fields")                                                       \
    X(EIO_LIMIT_BODY_BYTES, "max_body_bytes")                                               \
    X(EIO_LIMIT_HALF_OPEN, "max_half_open")                                                 \
    X(EIO_LIMIT_HEAD_TIMEOUT, "head_timeout_ms")                                            \
    X(EIO_LIMIT_BODY_TIMEOUT, "body_timeout_ms")                                            \
    X(EIO_LIMIT_REQUEST_BODY_TIMEOUT, "http_request_body_timeout_ms")                       \
    X(EIO_LIMIT_BUFFERED_CHUNKS, "max_buffered_chunks")                                     \
    X(EIO_LIMIT_DRAIN_TIMEOUT, "idle_timeout_ms")                                           \
    X(EIO_LIMIT_STREAM_QUEUE_BYTES, "max_stream_queue_bytes")                               \
    X(EIO_LIMIT_SESSIONS, "max_sessions")                                                   \
    X(EIO_LIMIT_SESSIONS_PER_ADDRESS, "max_sessions_per_address")                           \
    X(EIO_LIMIT_HANDSHAKES_PER_SECOND, "max_handshakes_per_second")                         \
    X(EIO_LIMIT_HANDSHAKES_PER_SECOND_PER_ADDRESS, "max_handshakes_per_second_per_address") \
    X(EIO_LIMIT_UPGRADES, "max_upgrades")                                                   \
    X(EIO_LIMIT_UPGRADE_TIMEOUT, "upgrade_timeout_ms")                                      \
    X(EIO_LIMIT_PAYLOAD_BYTES, "max_payload_bytes")                                         \
    X(EIO_LIMIT_FRAGMENTS, "max_fragments")                                                 \
    X(EIO_LIMIT_MESSAGE_TIMEOUT, "message_timeout_ms")                                      \
    X(EIO_LIMIT_SLOW_PEER_TIMEOUT, "slow_peer_timeout_ms")                                  \
    X(EIO_LIMIT_LINGER_TIMEOUT, "linger_timeout_ms")                                        \
    X(EIO_LIMIT_LAST_POLL_TIMEOUT, "last_poll_timeout_ms")                                  \
    X(EIO_LIMIT_QUEUE_BYTES, "max_queue_bytes")                                             \
    X(EIO_LIMIT_QUEUE_MESSAGES, "max_queue_messages")

/* What a limit is called: an index of limit_hits in the stats. */
enum eio_limit {
#define X(name, text) name,
    EIO_LIMITS(X)
#undef X
        EIO_LIMIT_COUNT
};
/* The option's name, "max_sessions". */
EIO_API const char *eio_limit_name(enum eio_limit limit);

#define EIO_LIMIT_LOG_MS 10000
#define EIO_DESCRIPTORS_LOG_MS 60000 /* for want of descriptors */

/* How often a limit was hit. Zero at first; fields other than hits are private. */
struct eio_limit_counter {
    uint64_t hits, unsaid, quiet_until_ms;
};
/* Counts, and logs `name` and `who` (may be NULL) unless it did so a moment ago; the next line has the number of hits
 * in between. */
EIO_API void eio_limit_hit(struct eio_limit_counter *counter, const struct eio_loop *loop, const char *name,
                           const char *who);

/* A token bucket that holds one second's worth: as many at once after a second of rest. Zero at first. */
struct eio_rate {
    uint64_t busy_until_us;
};
/* Takes one. Returns false if none is left. per_second 1 to 1000000. */
EIO_API bool eio_rate_take(struct eio_rate *rate, uint64_t now_ms, uint32_t per_second);

/* ------------------------------------------------------------------ frames */

/* What a message is: UTF-8 text, or bytes. */
enum eio_kind { EIO_TEXT, EIO_BINARY };

/* One message, encoded once, immutable after the first send, shared by all its receivers by reference. */
struct eio_frame;

/* A message of `size` bytes with one reference, owned by the caller. *message points at the bytes to fill in
 * before the first send; text must be valid UTF-8. */
EIO_API struct eio_frame *eio_frame_new(enum eio_kind kind, size_t size, uint8_t **message);
EIO_API struct eio_frame *eio_frame_ref(struct eio_frame *frame);
/* Drops a reference; the last one frees. Accepts NULL. */
EIO_API void eio_frame_unref(struct eio_frame *frame);
/* Marks the next frame sent to the same peer as belonging to this one (a packet and its attachments):
 * a queue drops all of them or none. Before the first send only. */
EIO_API void eio_frame_set_more(struct eio_frame *frame);
/* Who wants to know how much memory its frames hold, in queues too. */
struct eio_frame_account {
    /* bytes more, or less (negative) as they are freed: from within the library, so it may start a timer, no more. */
    void (*on_change)(struct eio_frame_account *account, ptrdiff_t bytes);
};
/* The frame, and the forms of it that peers need, count here; the account must outlive them. Once, before the first
 * send. */
EIO_API void eio_frame_set_account(struct eio_frame *frame, struct eio_frame_account *account);
/* false: never compressed, whatever was negotiated (the reference's compress flag). Before the first send only. */
EIO_API void eio_frame_set_compress(struct eio_frame *frame, bool compress);
/* Frames that go to the same receivers in one go. Not reference-counted; the caller's until free. */
struct eio_batch;
EIO_API struct eio_batch *eio_batch_new(void);
EIO_API void eio_batch_free(struct eio_batch *batch);
/* Appends; the batch takes its own reference. Not after the batch was sent to anybody: eio_batch_clear() first.
 * Returns 0 or EIO_ENOMEM. */
EIO_API int eio_batch_add(struct eio_batch *batch, struct eio_frame *frame);
EIO_API void eio_batch_clear(struct eio_batch *batch);
EIO_API size_t eio_batch_count(const struct eio_batch *batch);
/* The frame at a position, borrowed. */
EIO_API struct eio_frame *eio_batch_frame(const struct eio_batch *batch, size_t position);

/* --------------------------------------------------------------- Engine.IO */

/* Transports; a set of them is their sum. */
enum eio_transport { EIO_POLLING = 1, EIO_WEBSOCKET = 2 };

#define EIO_CLOSE_REASONS(X)                           \
    X(EIO_CLOSE_TRANSPORT_CLOSE, "transport close")    \
    X(EIO_CLOSE_TRANSPORT_ERROR, "transport error")    \
    X(EIO_CLOSE_PING_TIMEOUT, "ping timeout")          \
    X(EIO_CLOSE_PARSE_ERROR, "parse error")            \
    X(EIO_CLOSE_FORCED, "forced close")                \
    X(EIO_CLOSE_QUEUE_FULL, "queue full")              \
    X(EIO_CLOSE_SHUTTING_DOWN, "server shutting down") \
    X(EIO_CLOSE_POLICY, "policy violation") /* a limit was hit; a WebSocket is closed with 1008 */

/* Why a session ended; eio_close_reason_text() has the reference's words. */
enum eio_close_reason {
#define X(name, text) name,
    EIO_CLOSE_REASONS(X)
#undef X
};
/* The reference's word for a reason, "ping timeout". */
EIO_API const char *eio_close_reason_text(enum eio_close_reason reason);

struct eio_session;

/* What happens above max_queue_bytes and max_queue_messages. */
enum eio_queue_policy { EIO_QUEUE_CLOSE, EIO_QUEUE_DROP_OLDEST };

/* The headers of CORS; `origin` NULL: none are sent. */
struct eio_cors {
    const char *origin;          /* NULL: CORS off; "*": any, sent as "*" ; "reflect": any, echoed;
                                  * else a comma-separated list of allowed origins; an entry in slashes is a POSIX
                                  * extended regular expression, with an i behind it in either case of letters:
                                  * "https://a.example,/^https:\\/\\/[a-z]+\\.b\\.example$/i" */
    const char *methods;         /* "GET,HEAD,PUT,PATCH,POST,DELETE" */
    const char *allowed_headers; /* NULL: what the preflight asks for */
    const char *exposed_headers; /* NULL: none */
    bool credentials;
    int max_age_s;              /* -1: none */
    int options_success_status; /* 204, of the answer to a preflight */
    bool preflight_continue;    /* false; true: OPTIONS is not answered here, only has the headers of a preflight */
    /* Asked instead of `origin`, if set: true: the origin (n 0: the request has none) is allowed and echoed; false: as
     * without CORS. */
    bool (*allow_origin)(struct eio_str origin, void *ctx);
    void *allow_origin_ctx;
};

/* The session id as a cookie of the polling handshake's response, for load balancers. As an URI component: what of the
 * id is no letter, digit or one of -_.!~*'() is percent-encoded. */
struct eio_cookie {
    const char *name;      /* NULL: no cookie; the reference's `true` is "io" */
    const char *path;      /* "/" */
    const char *domain;    /* NULL: none */
    const char *same_site; /* "Lax"; NULL: none */
    int64_t max_age_s;     /* -1: none */
    int64_t expires_s;     /* Unix seconds; -1: none */
    bool http_only;        /* true */
    bool secure;
};

#define EIO_OWNER_KEY_BYTES 16
#define EIO_MACHINE_BYTES 8
#define EIO_OWNERS_MAX 256

/* A server's options; eio_options_init() has the defaults that stand beside the fields. */
struct eio_options {
    const char *path;           /* "/engine.io", a prefix as in the reference; trailing slash added */
    bool add_trailing_slash;    /* true; false: the prefix is `path` itself */
    unsigned transports;        /* EIO_POLLING | EIO_WEBSOCKET */
    bool allow_eio3;            /* false; true: also clients of Engine.IO 3 (Socket.IO 2) */
    const char *initial_packet; /* NULL, or a text message sent right after the open packet */
    struct eio_cookie cookie;
    bool allow_upgrades;           /* true */
    uint32_t ping_interval_ms;     /* 25000 */
    uint32_t ping_timeout_ms;      /* 20000 to answer a ping */
    uint32_t slow_peer_timeout_ms; /* 300000 from a ping on: to answer it, for a peer that takes or sends bytes all the
                                    * time; looked at each ping_timeout_ms */
    uint32_t upgrade_timeout_ms;   /* 10000 */
    uint32_t close_timeout_ms;     /* 30000: to deliver the last bytes of a session that is closing */
    uint32_t linger_timeout_ms;    /* 30000: the same for a WebSocket whose session is over: an error or a limit ended
                                    * it while messages were queued, or its peer is slow to take the last ones */
    uint32_t last_poll_timeout_ms; /* 3000: for the next poll of a client, when the server shuts down */
    size_t max_payload_bytes;      /* 1000000: a POST body (413), a WebSocket message (1009) */
    size_t max_buffered_chunks;    /* 10000 pieces in which a POST's body arrives; above: 413, the session closes */
    uint32_t http_request_body_timeout_ms; /* 30000, absolute, for a POST's body; 408, the session closes */
    size_t max_fragments;                  /* 131072 frames of one WebSocket message; above: 1008 */
    size_t high_water_bytes;         /* 65536 queued: volatile messages are dropped, reading pauses for this session */
    size_t max_queue_bytes;          /* 16777216 queued: the policy applies */
    size_t max_queue_messages;       /* 262144 queued: the policy applies; 0: no limit but that in bytes */
    uint32_t message_timeout_ms;     /* 60000 from a WebSocket message's first byte to its last; 0: none; above: 1008 */
    size_t max_sessions;             /* 0: no limit; above: 503 */
    size_t max_sessions_per_address; /* 0: no limit; above: 429. The client's address, after the
                                      * trusted-proxy rule; of an IPv6 address its /64 */
    uint32_t max_handshakes_per_second;             /* 0: no limit; above: 503 */
    uint32_t max_handshakes_per_second_per_address; /* 0: no limit; above: 429 */
    size_t max_addresses; /* 65536 are distinguished; new ones beyond that have no limit of their own */
    size_t max_upgrades;  /* that are going on at once; 0: no limit; above: 503, the session stays on polling */
    enum eio_queue_policy queue_policy;
    bool http_compression;                   /* true; gzip or deflate of polling responses, as the client accepts */
    size_t http_compression_threshold_bytes; /* 1024 */
    bool per_message_deflate;                /* false; RFC 7692 without context takeover: no memory per connection */
    size_t deflate_threshold_bytes;          /* 1024: smaller messages are not compressed */
    int deflate_level;                       /* 1 (fastest) to 9; 6 */
    unsigned owner;                          /* 0 to 255: this node's number among those that share owner_key */
    const uint8_t *owner_key; /* EIO_OWNER_KEY_BYTES, secret, the same for all nodes that hand connections to one
                               * another; copied. NULL: a node by itself, its ids name no owner */
    const uint8_t *machine;   /* EIO_MACHINE_BYTES, random, the same for all nodes of one machine; copied. NULL: ids do
                               * not name it. Else ids have 32 characters */
    const uint8_t *machine_key; /* EIO_OWNER_KEY_BYTES, the same on all machines: hides the names; copied */
    struct eio_cors cors;
    /* NULL: all. Else a session opens only without an Origin, as programs ask, or with one of these:
     * "https://a.example,
     * /\\.b\\.example$/", as cors.origin. Cookies or an address that a browser has must not open one for a strange
     * page, and a WebSocket is not protected by CORS. 403 */
    const char *allowed_origins;
};
EIO_API void eio_options_init(struct eio_options *options);

/* One message of a peer, valid during on_message. */
struct eio_message {
    enum eio_kind kind;
    const uint8_t *bytes; /* text is valid UTF-8 */
    size_t size;
    const struct eio_http_head *head; /* of the POST that brought it just now; else the handshake's */
};

/* What the application is called for. Any may be NULL. */
struct eio_handlers {
    /* A session is open. Returning does not send anything; eio_session_set_data() is usual here. */
    void (*on_open)(struct eio_session *session, void *ctx);
    void (*on_message)(struct eio_session *session, const struct eio_message *message, void *ctx);
    /* Once, last. detail: English, never NULL. */
    void (*on_close)(struct eio_session *session, enum eio_close_reason reason, const char *detail, void *ctx);
    /* The WebSocket took over from polling. */
    void (*on_upgrade)(struct eio_session *session, void *ctx);
};

struct eio_server;

/* An Engine.IO server. Handlers may be NULL where not wanted; options NULL = defaults. Strings are copied. NULL: out of
 * memory, or a malformed cookie or regular expression of the origins, which is logged as an error. */
EIO_API struct eio_server *eio_server_new(struct eio_loop *loop, const struct eio_options *options,
                                          const struct eio_handlers *handlers, void *ctx);
/* Closes all sessions (on_close fires) and frees. Not from a callback of a session; the HTTP server it is attached to
 * is freed next, before the loop turns again. Accepts NULL. */
EIO_API void eio_server_free(struct eio_server *server);
/* Where hooks add headers to a response. Name and value are copied; line breaks in them are refused. */
struct eio_headers;
EIO_API void eio_headers_add(struct eio_headers *headers, const char *name, const char *value);

#define EIO_ID_BYTES_MAX 64 /* of a session's id */

/* A handshake that waits for a decision: exactly one of these, now or later; the client may go away meanwhile. Within
 * the hook's own call a second answer is ignored; what follows from the first happens when the hook has returned. Once
 * it has been answered later, the admission is gone. */
struct eio_admission;
EIO_API void eio_admit(struct eio_admission *admission);
/* Admits it under an id of the application's, which must be hard to guess: knowing it is enough to act as that client.
 * 1 to EIO_ID_BYTES_MAX characters from ! to ~ without " , ; and \. A bad one, NULL, or one that a session has already:
 * 400 {"code":3,…}, context ID_GENERATION_ERROR. It names no owner (eio_server_owner_of): among several nodes it needs
 * sticky sessions, and a length other than 20. */
EIO_API void eio_admit_as(struct eio_admission *admission, const char *id);
/* 403 {"code":4,"message":message}; a WebSocket's gets 400 with the text. message NULL: "Forbidden". */
EIO_API void eio_deny(struct eio_admission *admission, const char *message);

/* Each may be NULL. `head` is borrowed for the call. */
struct eio_hooks {
    /* The reference's allowRequest: asked for every handshake, not for requests of a session. */
    void (*allow_request)(struct eio_admission *admission, const struct eio_http_head *head, void *ctx);
    /* The reference's `initial_headers` (initial: the handshake's response) and `headers` (every response, the 101
     * too). */
    void (*on_headers)(struct eio_headers *headers, const struct eio_http_head *head, bool initial, void *ctx);
    /* The reference's `connection_error`: code 0 to 5, its message, and the name of the context or NULL. */
    void (*on_connection_error)(const struct eio_http_head *head, int code, const char *message, const char *context,
                                void *ctx);
    /* The reference's generateId: asked for every session that is about to open, after allow_request. eio_admit() gives
     * it an id of the library's, eio_admit_as() another, eio_deny() refuses the handshake since no id could be made. */
    void (*generate_id)(struct eio_admission *admission, const struct eio_http_head *head, void *ctx);
};
EIO_API void eio_server_set_hooks(struct eio_server *server, const struct eio_hooks *hooks, void *ctx);

/* Called for a request (polling, JSONP, an upgrade; not OPTIONS) of a session whose id names another owner, when its
 * head is here and nothing of it was done: take the offer, or leave it and the request is answered as one of an unknown
 * session. fn NULL: none are offered. */
typedef void (*eio_foreign_fn)(struct eio_offer *offer, unsigned owner, void *ctx);
EIO_API void eio_server_set_foreign(struct eio_server *server, eio_foreign_fn fn, void *ctx);
/* The same for an owner on another machine. */
typedef void (*eio_remote_fn)(struct eio_offer *offer, const uint8_t machine[EIO_MACHINE_BYTES], unsigned owner,
                              void *ctx);
EIO_API void eio_server_set_remote(struct eio_server *server, eio_remote_fn fn, void *ctx);
/* The owner that a session id names; EIO_EINVAL for a malformed id, or if this node is one by itself. Any 20 *
 * characters name some number: the caller knows whether there is such a node. */
EIO_API int eio_server_owner_of(const struct eio_server *server, const char *sid, size_t size);

/* What sessions do, for those who watch: the events of the reference's conn besides open, message and close. Each may
 * be NULL. type: '2' ping, '4' message, …; data: without it. All may close the session. */
struct eio_watch {
    /* A packet came, before anything else is done with it ("packet"). */
    void (*on_packet)(struct eio_session *session, char type, enum eio_kind kind, const uint8_t *data, size_t size,
                      void *ctx);
    /* A packet was queued ("packetCreate"): called before it is written, at the end of the turn, in order. What is
     * queued by then goes one by one, not merged: watching costs. */
    void (*on_packet_create)(struct eio_session *session, char type, enum eio_kind kind, const uint8_t *data,
                             size_t size, void *ctx);
    void (*on_flush)(struct eio_session *session, void *ctx);     /* what is queued is about to be written */
    void (*on_drain)(struct eio_session *session, void *ctx);     /* all of it is with the kernel, or with a poll */
    void (*on_heartbeat)(struct eio_session *session, void *ctx); /* a pong; of Engine.IO 3 a ping, answered */
    void (*on_upgrading)(struct eio_session *session, void *ctx); /* the probe of a WebSocket was answered */
    void (*on_upgrade)(struct eio_session *session, void *ctx);   /* the WebSocket took over */
};
/* watch NULL: ends watching. Returns 0 or EIO_ENOMEM. */
EIO_API int eio_server_watch(struct eio_server *server, const struct eio_watch *watch, void *ctx);

/* Serves options.path on an HTTP server. */
EIO_API int eio_server_attach(struct eio_server *server, struct eio_http *http);
/* Serves bare WebSockets, without Engine.IO, at `path` (as eio_http_route): sessions with protocol 0, whose messages
 * are the WebSocket's, kept alive by WebSocket pings; closed with 1000 (forced), 1001 (shutting down), 1008 or 1013. */
EIO_API int eio_server_attach_websocket(struct eio_server *server, struct eio_http *http, const char *path);
/* As eio_http_reply, with the headers of options.cors; OPTIONS is answered as a preflight instead, if CORS is on. For
 * what is served beside options.path. */
EIO_API void eio_server_reply(struct eio_server *server, struct eio_http_request *request,
                              const struct eio_http_reply *reply);
/* The same for eio_http_stream_begin(), without an answer to OPTIONS. */
EIO_API struct eio_http_stream *eio_server_stream(struct eio_server *server, struct eio_http_request *request,
                                                  const struct eio_http_reply *reply,
                                                  const struct eio_http_stream_options *options);
/* No more sessions open: 503, and the connection is closed, so that the next attempt reaches another node. */
EIO_API void eio_server_stop_opening(struct eio_server *server);
/* Closes all sessions gracefully with this reason, by eio_server_sweep(); new handshakes get 503 from then on. */
EIO_API void eio_server_close_all(struct eio_server *server, enum eio_close_reason reason);

/* How many sessions are open. */
EIO_API size_t eio_server_session_count(const struct eio_server *server);
/* The open session of that id, or NULL. */
EIO_API struct eio_session *eio_server_find(struct eio_server *server, const char *sid, size_t size);
/* Calls fn for each session; fn may close it. */
EIO_API void eio_server_each(struct eio_server *server, void (*fn)(struct eio_session *session, void *ctx), void *ctx);
/* The same for what takes a while, such as closing them: a few are reached in place; of more than 64, slices in the
 * turns to come, with those that are there then. One at a time: another begins from the first and takes its place. */
EIO_API void eio_server_sweep(struct eio_server *server, void (*fn)(struct eio_session *session, void *ctx), void *ctx);
/* The rest of it, in place. */
EIO_API void eio_server_sweep_finish(struct eio_server *server);

/* Counters since the server was made; eio_server_get_stats() fills them in. */
struct eio_server_stats {
    uint64_t opened, closed[8 /* by enum eio_close_reason */], handshakes_refused, posts_refused, upgrades;
    uint64_t origins_refused; /* of those handshakes: allowed_origins */
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    uint64_t dropped_volatile, dropped_oldest, queue_full, reads_paused, reads_sliced, deflates_sliced, writes,
        partial_writes;
    uint64_t limit_hits[EIO_LIMIT_COUNT];
    size_t sessions, polling_sessions, upgrading, queued_bytes; /* now */
};
EIO_API void eio_server_get_stats(const struct eio_server *server, struct eio_server_stats *stats);

/* 20 characters of base64url, or the application's own (eio_admit_as); NUL-terminated. */
EIO_API const char *eio_session_id(const struct eio_session *session);
EIO_API enum eio_transport eio_session_transport(const struct eio_session *session);
/* 4, 3, or 0 for a bare WebSocket. */
EIO_API int eio_session_protocol(const struct eio_session *session);
/* The head of the request that opened it; lives as long as the session. */
EIO_API const struct eio_http_head *eio_session_head(const struct eio_session *session);
EIO_API struct eio_server *eio_session_server(const struct eio_session *session);
/* False from the moment that closing began. */
EIO_API bool eio_session_is_open(const struct eio_session *session);
EIO_API void eio_session_set_data(struct eio_session *session, void *data);
EIO_API void *eio_session_data(const struct eio_session *session);
EIO_API size_t eio_session_queued_bytes(const struct eio_session *session);

/* Queues one message; the session takes its own reference. It is written at the end of the turn.
 * Returns 0, EIO_EAGAIN (nothing was queued; under EIO_QUEUE_CLOSE the session is closing), EIO_ECLOSED.
 * Never calls back before returning. */
EIO_API int eio_session_send(struct eio_session *session, struct eio_frame *frame);
/* Queues all frames of a batch, in order. From a flush hook, with nothing else queued for the session,
 * it writes at once. Returns as eio_session_send. */
EIO_API int eio_session_send_batch(struct eio_session *session, struct eio_batch *batch);
/* Queues a message for this session alone without a frame of its own: returns where its `size` bytes are to be
 * written, before the next call on this session or any return to the loop; NULL: EIO_ECLOSED or EIO_EAGAIN. */
EIO_API uint8_t *eio_session_reserve(struct eio_session *session, enum eio_kind kind, size_t size);
/* True if a message sent now would leave with this turn: what `volatile` asks. */
EIO_API bool eio_session_is_writable(const struct eio_session *session);
/* Counts a volatile message that the caller dropped because the session was not writable. */
EIO_API void eio_session_count_drop(struct eio_session *session);

/* While held, on_message is not called for this session and nothing is read from its peer; what had been read waits.
 * For an application that has enough to do for this peer: its kernel then holds it back. It counts as alive meanwhile.
 * Released as often as it was held, what waits is handled from the next turn on. Returns 0 or EIO_ENOMEM. */
EIO_API int eio_session_hold(struct eio_session *session, bool hold);
/* Packets that have arrived wait, held or not. */
EIO_API bool eio_session_has_waiting(const struct eio_session *session);
/* Sends what is queued, then closes: on_close fires with this reason when the last byte is with the kernel or with
 * the poll that carries it, at the end of this turn at the earliest, after close_timeout_ms at the latest, and with
 * EIO_CLOSE_SHUTTING_DOWN when a client on polling has not polled for last_poll_timeout_ms.
 * detail is kept until then, not copied: a literal, or NULL for the reason's text. */
EIO_API void eio_session_close(struct eio_session *session, enum eio_close_reason reason, const char *detail);
/* The peer broke the protocol, or must go now. on_close fires before this returns; what was queued before still goes
 * out on a WebSocket, then a close frame, to a peer that takes it, for linger_timeout_ms at most, and with the poll
 * that hangs, if one does. A peer whose socket is full when its ping timeout is over gets nothing more. */
EIO_API void eio_session_abort(struct eio_session *session, enum eio_close_reason reason, const char *detail);

/* Prints `key=value …` about a session, as SIGUSR1 does. Returns what snprintf would. */
EIO_API int eio_session_describe(const struct eio_session *session, char *out, size_t size);

#ifdef __cplusplus
}
#endif
#endif
