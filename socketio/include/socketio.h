/* socketio: a Socket.IO v5 server: namespaces, rooms, events, acknowledgements, broadcast.
 *
 *     static void on_message(struct sio_socket *socket, const struct sio_event *event, void *ctx)
 *     {
 *         sio_emit(sio_to(sio_broadcast(socket), "lobby"), "message", event->args);
 *         sio_ack_pack(event, "{s:b}", "ok", 1);
 *     }
 *     int main(void)
 *     {
 *         struct sio_server *io = sio_server_new(NULL);
 *         sio_on(sio_of(io, "/"), "message", on_message, NULL);
 *         return sio_listen(io, "127.0.0.1", 3000) || sio_run(io);
 *     }
 *
 * Handlers belong to a namespace: one table serves all its sockets. Payloads stay the bytes that arrived, checked and
 * sliced but not parsed: passing them on copies bytes; a handler that looks inside calls sio_arg_json() (jansson).
 * An emit encodes once for all its receivers.
 *
 * One thread: the loop's. Functions return 0 or a negative code (enum eio_error). Nothing here calls a handler of
 * yours before it returns, unless its comment states otherwise. Sockets are freed by the library after on_disconnect.
 *
 * Protocol: https://github.com/socketio/socket.io-protocol (v5). */
#ifndef SOCKETIO_H
#define SOCKETIO_H

#include <engineio_http.h>
#include <rooms.h>

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SIO_API __attribute__((visibility("default")))
#else
#define SIO_API
#endif

struct sio_server;
struct sio_namespace;
struct sio_socket;

/* -------------------------------------------------------------- arguments */

/* Arguments of an event or ack. `json` is what stands between the brackets of the JSON array: `"a",{"b":1}`; empty for
 * none. Attachments are named in it by {"_placeholder":true,"num":N}. Borrowed, checked JSON. */
struct sio_args {
    struct eio_str json;
    const struct rooms_bytes *attachments;
    size_t attachment_count;
};

/* No arguments. */
static inline struct sio_args sio_args_none(void)
{
    struct sio_args none = {{NULL, 0}, NULL, 0};
    return none;
}
/* Text that the caller knows to be valid JSON values separated by commas. */
static inline struct sio_args sio_args_json(const char *json)
{
    struct sio_args args = {eio_str(json), NULL, 0};
    return args;
}
/* How many there are. */
SIO_API size_t sio_args_count(struct sio_args args);
/* The i-th argument as JSON text, {NULL,0} past the end. O(size of the arguments). */
SIO_API struct eio_str sio_args_at(struct sio_args args, size_t i);
/* All but the first n / all but the last. Attachments stay: numbers keep their meaning. */
SIO_API struct sio_args sio_args_skip(struct sio_args args, size_t n);
SIO_API struct sio_args sio_args_drop_last(struct sio_args args);
/* The i-th argument parsed, or NULL if absent (or memory is out). The caller owns it (json_decref). */
SIO_API json_t *sio_args_parse(struct sio_args args, size_t i);
/* The i-th argument as decoded text: bytes are written to out with a terminator. Returns the size, EIO_EINVAL for
 * another * value than a string, EIO_ETOOBIG. */
SIO_API int sio_args_text(struct sio_args args, size_t i, char *out, size_t out_size);
/* The bytes of the i-th argument if that is an attachment. Returns false otherwise. */
SIO_API bool sio_args_binary(struct sio_args args, size_t i, struct rooms_bytes *bytes);
/* The value of a member of a JSON object, as JSON text; of several of that name the last. {NULL,0} if absent, or
 * * for another value than an object. Names are compared decoded. O(size of the object). For handlers that need one
 * field and pass the rest on: sio_args_text() decodes it, sio_builder_slice() passes it on.
 */
SIO_API struct eio_str sio_json_member(struct eio_str object, const char *name);

/* Builds arguments; init/clear, embedded or on the stack. Errors stick: sio_builder_args() of a failed one is empty
 * and `error` says why. */
struct sio_builder {
    char *json;
    size_t size, capacity;
    struct rooms_bytes *attachments;
    size_t attachment_count, attachment_capacity;
    int error;
};
SIO_API void sio_builder_init(struct sio_builder *builder);
SIO_API void sio_builder_clear(struct sio_builder *builder);
/* Each appends one argument. Text is escaped; it must be UTF-8 (invalid bytes become U+FFFD). */
SIO_API void sio_builder_text(struct sio_builder *builder, const char *text, size_t size);
SIO_API void sio_builder_int(struct sio_builder *builder, int64_t value);
SIO_API void sio_builder_bool(struct sio_builder *builder, bool value);
SIO_API void sio_builder_null(struct sio_builder *builder);
/* Checked JSON text: a value, or several with commas; none adds nothing. */
SIO_API void sio_builder_raw(struct sio_builder *builder, struct eio_str json);
SIO_API void sio_builder_json(struct sio_builder *builder, const json_t *value);
/* An attachment; the bytes are borrowed until the builder is cleared. */
SIO_API void sio_builder_binary(struct sio_builder *builder, const uint8_t *bytes, size_t size);
/* JSON text out of `from`, with the attachments it names: renumbered, in the order of their appearance. */
SIO_API void sio_builder_slice(struct sio_builder *builder, struct sio_args from, struct eio_str json);
/* Pieces of one argument, for those who write objects by hand: raw text, no comma is added. */
SIO_API void sio_builder_open(struct sio_builder *builder); /* begins an argument (adds the comma) */
SIO_API void sio_builder_put(struct sio_builder *builder, const char *json);
SIO_API void sio_builder_put_text(struct sio_builder *builder, const char *text, size_t size); /* "quoted" */
SIO_API void sio_builder_put_slice(struct sio_builder *builder, struct sio_args from, struct eio_str json);
/* What was built; valid until the next call on the builder. */
SIO_API struct sio_args sio_builder_args(const struct sio_builder *builder);

/* ----------------------------------------------------------------- events */

/* One event from a client; valid during the handler. */
struct sio_event {
    struct eio_str name; /* decoded; an integer name as its digits */
    struct sio_args args;
    bool wants_ack;
    uint64_t ack_id;
    struct sio_socket *socket;
    void *private_state;
};

/* Handles an event of a socket, or any of them. Both are valid until it returns. */
typedef void (*sio_event_fn)(struct sio_socket *socket, const struct sio_event *event, void *ctx);
typedef void (*sio_socket_fn)(struct sio_socket *socket, void *ctx);
/* reason: the reference's word, "transport close". */
typedef void (*sio_disconnect_fn)(struct sio_socket *socket, const char *reason, void *ctx);

/* Answers; harmless without effect if the client asked for none, was answered, or is gone. */
SIO_API int sio_ack(const struct sio_event *event, struct sio_args args);
/* The same, with jansson's json_pack format for the list of arguments: sio_ack_pack(e, "{s:b}, i", "ok", 1, 5). */
SIO_API int sio_ack_pack(const struct sio_event *event, const char *format, ...);

/* An answer to be given later, to a client or to another server: sio_ack() is without effect from then on. Holds no
 * reference to the socket: it outlives it harmlessly, but not the server. Of answers to servers max_pending_acks may
 * wait; above, none is wanted. */
struct sio_reply {
    struct sio_server *io;
    const struct sio_namespace *nsp;             /* may be gone: compared only */
    char session[EIO_ID_BYTES_MAX + 1], sid[21]; /* empty: it is a server that asks */
    uint64_t ack_id;
    bool wanted;
};
SIO_API struct sio_reply sio_reply_later(const struct sio_event *event);
SIO_API int sio_reply(struct sio_reply *reply, struct sio_args args);

/* The same answer to many, now or later: held once, encoded once for all clients whose question had the same number.
 * json: JSON values separated by commas, copied; without attachments. NULL: out of memory. */
struct sio_shared;
SIO_API struct sio_shared *sio_shared_new(struct eio_str json);
/* account: what counts the frames that are made for this answer; may be NULL. */
SIO_API int sio_reply_shared(struct sio_reply *reply, struct sio_shared *shared, struct eio_frame_account *account);
/* Lets go of the encodings that it keeps for those who numbered their question alike; what was sent is not affected. */
SIO_API void sio_shared_trim(struct sio_shared *shared);
/* What was sent is not affected. Accepts NULL. */
SIO_API void sio_shared_free(struct sio_shared *shared);

/* ----------------------------------------------------------------- server */

/* Connection state recovery: a client that comes back in time keeps its id, rooms and data, and gets what it missed.
 * With it, every event that is neither volatile nor asks for an ack is logged (one copy for all receivers) and
 * has one more argument, its offset; so have volatile events that end with text, since clients take that for one. */
struct sio_recovery {
    bool enabled;                  /* false */
    uint32_t max_disconnection_ms; /* 120000 */
    bool skip_middlewares;         /* true: sio_on_recover() is what may refuse then */
    size_t max_log_bytes;          /* 16777216 per namespace; who missed what had to go is not recovered */
    size_t max_log_packets;        /* 100000 per namespace */
    size_t max_sessions;           /* 100000 disconnected clients per namespace; above: the oldest go */
};

/* How packets are encoded. All clients of a server must use the same: they cannot be distinguished at connect. */
enum sio_parser {
    SIO_PARSER_DEFAULT, /* socket.io-parser: JSON, attachments in messages of their own */
    SIO_PARSER_MSGPACK, /* socket.io-msgpack-parser 3: each packet is one msgpack map in a binary message */
    SIO_PARSER_OWN      /* options.own_parser */
};

/* A packet as parsers of the application's own see it. */
enum sio_packet_type { SIO_CONNECT, SIO_DISCONNECT, SIO_EVENT, SIO_ACK, SIO_CONNECT_ERROR };
struct sio_parser_packet {
    enum sio_packet_type type;
    struct eio_str nsp; /* "/chat" */
    bool has_id;
    uint64_t id; /* at most 2^53-1 */
    /* JSON text: of an event the array ["name",…], of an ack the array of its arguments, of a connect or an error what
     * goes with it, n 0: nothing. Attachments are named in it as in struct sio_args. */
    struct eio_str data;
    const struct rooms_bytes *attachments;
    size_t attachment_count;
};
/* A place for what is encoded, and for what is decoded. */
struct sio_parser_out;
struct sio_parser_in;
/* One Engine.IO message of the packet, in order: its `size` bytes are to be written before the encoder returns; text
 * must be UTF-8. NULL: out of memory, or more messages than 1 and one for each attachment. */
SIO_API uint8_t *sio_parser_message(struct sio_parser_out *out, enum eio_kind kind, size_t size);
/* A whole packet came, borrowed. It is checked as one of the default parser's; runs handlers, which may close the
 * client: a decoder goes on or returns, as it likes. */
SIO_API void sio_parser_packet(struct sio_parser_in *in, const struct sio_parser_packet *packet);
/* The reference's option `parser`. */
struct sio_parser_ops {
    /* Writes a packet: 0 or negative. Once for all receivers. Attachments are named by 0, 1, … in order. */
    int (*encode)(const struct sio_parser_packet *packet, struct sio_parser_out *out, void *ctx);
    /* A message of a client came, of at most max_packet_bytes. *state is the decoder's for that client, NULL at first:
     * what waits for more, which it must bound. NULL, or why the client is to be closed ("parse error"). */
    const char *(*decode)(struct sio_parser_in *in, void **state, enum eio_kind kind, const uint8_t *p, size_t n,
                          void *ctx);
    void (*forget)(void *state, void *ctx); /* the client is gone; not called for NULL */
};

/* Limits of this library and of rooms, by the names of their options; counted and logged as EIO_LIMITS. */
#define SIO_LIMITS(X)                                               \
    X(SIO_LIMIT_CONNECT_TIMEOUT, "connect_timeout_ms")              \
    X(SIO_LIMIT_ATTACHMENTS, "max_attachments")                     \
    X(SIO_LIMIT_DEPTH, "max_depth")                                 \
    X(SIO_LIMIT_PACKET_BYTES, "max_packet_bytes")                   \
    X(SIO_LIMIT_NAMESPACE_BYTES, "max_namespace_bytes")             \
    X(SIO_LIMIT_NAMESPACES_PER_CLIENT, "max_namespaces_per_client") \
    X(SIO_LIMIT_MATCHED_NAMESPACES, "max_matched_namespaces")       \
    X(SIO_LIMIT_PENDING_ACKS, "max_pending_acks")                   \
    X(SIO_LIMIT_EVENTS_PER_SECOND, "max_events_per_second")         \
    X(SIO_LIMIT_NAME_BYTES, "max_name_bytes")                       \
    X(SIO_LIMIT_ROOMS, "max_rooms_per_member")

/* What a limit is called: an index of sio_stats.limit_hits. */
enum sio_limit {
#define X(name, text) name,
    SIO_LIMITS(X)
#undef X
        SIO_LIMIT_COUNT
};
/* The option's name. */
SIO_API const char *sio_limit_name(enum sio_limit limit);

/* A server's options; sio_options_init() has the defaults that stand beside the fields. */
struct sio_options {
    struct eio_options engine; /* path "/socket.io" */
    struct eio_http_options http;
    enum sio_parser parser;                  /* SIO_PARSER_DEFAULT */
    const struct sio_parser_ops *own_parser; /* SIO_PARSER_OWN; outlives the server */
    void *own_parser_ctx;
    uint32_t connect_timeout_ms;      /* 45000 to join a namespace */
    size_t max_attachments;           /* 10 per packet; not for msgpack, where 65535 may be inline */
    size_t max_depth;                 /* 128 nested arrays and objects; deeper: the connection is closed */
    size_t max_packet_bytes;          /* 0: engine.max_payload_bytes; a packet with all its attachments */
    size_t max_namespace_bytes;       /* 512: of a namespace's name */
    size_t max_namespaces_per_client; /* 64 */
    size_t max_matched_namespaces;    /* 10000 made by sio_of_matching(); above: "Invalid namespace" */
    /* false: those stay. true: an empty one is freed at the end of the turn, which invalidates pointers to it; with *
     * recovery on, once no client can come back. */
    bool cleanup_empty_child_namespaces;
    size_t max_pending_acks; /* 65536 per socket; above: sio_emit_with_ack gives EIO_EAGAIN */
    struct sio_recovery recovery;
    uint32_t max_events_per_second; /* 0: no limit; of one socket, as many at once after a second of rest; above: the
                                     * connection is closed, "policy violation" */
    struct rooms_options rooms;
    rooms_adapter_factory adapter; /* rooms_adapter_memory */
    void *adapter_ctx;
};
SIO_API void sio_options_init(struct sio_options *options);

/* A server with a loop and an HTTP server of its own; options NULL = defaults. */
SIO_API struct sio_server *sio_server_new(const struct sio_options *options);
/* The same on a loop of the caller's, which outlives it. */
SIO_API struct sio_server *sio_server_new_on(struct eio_loop *loop, const struct sio_options *options);
/* Disconnects everybody and frees. Accepts NULL. */
SIO_API void sio_server_free(struct sio_server *io);
SIO_API int sio_listen(struct sio_server *io, const char *host, uint16_t port);
/* Runs the loop until sio_stop(). */
SIO_API int sio_run(struct sio_server *io);
SIO_API void sio_stop(struct sio_server *io);
/* Stops accepting, disconnects every socket ("server shutting down"; by eio_server_sweep(), and at limit_ms the rest at
 * once), flushes; `done` runs when no session is left and all that was queued is sent, or after limit_ms. */
SIO_API void sio_drain(struct sio_server *io, uint32_t limit_ms, eio_loop_fn done, void *ctx);

/* What the server runs on: its loop, its HTTP server, its Engine.IO. They live as long as it does. */
SIO_API struct eio_loop *sio_server_loop(struct sio_server *io);
SIO_API struct eio_http *sio_server_http(struct sio_server *io);
SIO_API struct eio_server *sio_server_engine(struct sio_server *io);

/* Sessions across machines: a request that reaches another machine than its session's is carried there, with its
 * connection, so that nothing in front of the nodes needs to be sticky. Only among nodes with the same
 * engine.machine_key, each with an engine.machine of its own; Node servers take no part. */
struct sio_tunnels;
struct sio_tunnel_options {
    rooms_mailbox_factory mailbox; /* what carries it, such as rooms_mailbox_redis with its struct rooms_redis as ctx */
    void *mailbox_ctx;
    const uint8_t *machine;   /* engine.machine; copied */
    unsigned owner;           /* engine.owner */
    uint32_t open_timeout_ms; /* 5000; then the request is answered here, as one of an unknown session */
    /* 5000 between signs of life to each node that has a tunnel with this one; 10000 without any: its tunnels end, so
     * that their clients connect anew. */
    uint32_t heartbeat_interval_ms, heartbeat_timeout_ms;
    size_t window_bytes; /* 262144 of one connection, each way, that wait for their reader; 65536 to 2^30 */
    size_t max_tunnels;  /* 16384; above: the same answer */
};
SIO_API void sio_tunnel_options_init(struct sio_tunnel_options *options);
/* NULL: out of memory, or no mailbox or machine. The server and mailbox_ctx must outlive it. */
SIO_API struct sio_tunnels *sio_tunnels_new(struct sio_server *io, const struct sio_tunnel_options *options);
/* Ends what is carried. Accepts NULL. */
SIO_API void sio_tunnels_free(struct sio_tunnels *tunnels);

/* Counters since the tunnels were made; sio_tunnels_get_stats() fills them in. */
struct sio_tunnel_stats {
    uint64_t opened, accepted;  /* here for another machine; for another machine here */
    uint64_t declined, refused; /* a limit, or no memory, on this side; for the other side */
    uint64_t given_back;        /* the owner did not answer: the client got the error for an unknown session */
    uint64_t resets, ignored;   /* ended by a fault; messages that were no use */
    uint64_t peers_lost;        /* nodes whose tunnels ended because they gave no sign of life */
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    size_t tunnels; /* now */
};
SIO_API void sio_tunnels_get_stats(const struct sio_tunnels *tunnels, struct sio_tunnel_stats *stats);

/* A file of the official client's build, with what it is in other codings. */
struct sio_asset {
    const char *name; /* "socket.io.min.js" */
    struct eio_str body;
    struct eio_str gzip, brotli; /* n 0: not to be had */
};
/* Serves them beside engine.path, "/socket.io/socket.io.min.js", as the reference's serveClient: ETag "<version>" (304
 * if the client has it), Cache-Control public, max-age=0, CORS as the engine's. The table stays the caller's and must
 * outlive the server. Once; EIO_EEXIST. */
SIO_API int sio_serve_client(struct sio_server *io, const struct sio_asset *assets, size_t count, const char *version);

/* socket is NULL where a room is created (before its first one joins) or deleted (after its last one left). */
enum sio_room_event { SIO_ROOM_CREATED, SIO_ROOM_DELETED, SIO_ROOM_JOINED, SIO_ROOM_LEFT };

/* What sockets do, in every namespace, those that come later included: for who shows a server to people. Each may be
 * NULL. They run before the handlers of the namespaces, and may disconnect the socket, except on_room and on_outgoing.
 * Without a watcher it costs a test of one flag. */
struct sio_watch {
    void (*on_connection)(struct sio_socket *socket, void *ctx);
    void (*on_upgrade)(struct sio_socket *socket, void *ctx); /* its session moved to a WebSocket */
    /* It has left its rooms, which on_room reported; it is freed at the end of the turn. */
    void (*on_disconnect)(struct sio_socket *socket, const char *reason, void *ctx);
    void (*on_event)(struct sio_socket *socket, const struct sio_event *event, void *ctx);
    /* Before the on_outgoing of one event, once, however many get it. Without on_outgoing it is not called. */
    void (*on_sending)(struct sio_namespace *nsp, struct eio_str name, struct sio_args args, void *ctx);
    /* As sio_on_any_outgoing(). */
    void (*on_outgoing)(struct sio_socket *socket, struct eio_str name, struct sio_args args, void *ctx);
    /* As sio_on_room(). */
    void (*on_room)(enum sio_room_event what, struct eio_str room, struct sio_socket *socket, struct sio_namespace *nsp,
                    void *ctx);
    /* sio_socket_data() is about to be handed out: the data may be different at the end of this turn. */
    void (*on_data)(struct sio_socket *socket, void *ctx);
};
/* So many may watch a server at a time. */
#define SIO_WATCHERS_MAX 4
/* One for each ctx, which is replaced; watch NULL: ends it. Allowed within any handler. Returns 0, or EIO_ETOOBIG if
 * SIO_WATCHERS_MAX watch already. */
SIO_API int sio_server_watch(struct sio_server *io, const struct sio_watch *watch, void *ctx);

/* Counters since the server was made; sio_server_get_stats() fills them in. */
struct sio_stats {
    uint64_t recoveries, recoveries_failed; /* of clients that asked for it */
    uint64_t connects, connects_refused, disconnects, events_in, acks_in, emits, deliveries, parse_errors;
    uint64_t limit_hits[SIO_LIMIT_COUNT];
    size_t sockets, namespaces, pending_acks; /* now */
};
SIO_API void sio_server_get_stats(const struct sio_server *io, struct sio_stats *stats);

/* ------------------------------------------------------------- namespaces */

/* The namespace of that name, made if need be; a missing leading slash is added. One that a parent of sio_of_matching()
 * accepts becomes its child. NULL: out of memory. */
SIO_API struct sio_namespace *sio_of(struct sio_server *io, const char *name);
/* Namespaces that are made when a client asks for one that `match` accepts. What is returned is their parent: its
 * handlers and middleware are those of all its children, an emit to it goes to all of them. */
SIO_API struct sio_namespace *sio_of_matching(struct sio_server *io, bool (*match)(struct eio_str name, void *ctx),
                                              void *ctx);
/* The same by a function that looks at the client's auth too (JSON text, "{}" if it sent none) and answers now or
 * later: the reference's `of` with a function. Of several parents each is asked in turn until one allows it. Exactly
 * one sio_decide() for each question; if the client goes away meanwhile, it is without effect. Clients that are *
 * allowed in at the same time come to the same namespace. */
struct sio_question;
typedef void (*sio_question_fn)(struct sio_question *question, struct eio_str name, struct eio_str auth, void *ctx);
SIO_API struct sio_namespace *sio_of_deciding(struct sio_server *io, sio_question_fn fn, void *ctx);
SIO_API void sio_decide(struct sio_question *question, bool allowed);
/* Called for every namespace that is made after this call, before a client is in it. */
SIO_API int sio_on_new_namespace(struct sio_server *io, void (*fn)(struct sio_namespace *nsp, void *ctx), void *ctx);
SIO_API const char *sio_namespace_name(const struct sio_namespace *nsp);
SIO_API struct sio_server *sio_namespace_server(const struct sio_namespace *nsp);
SIO_API size_t sio_namespace_socket_count(const struct sio_namespace *nsp);
/* The namespaces that exist (children included); fn must not make any. */
SIO_API void sio_each_namespace(struct sio_server *io, void (*fn)(struct sio_namespace *nsp, void *ctx), void *ctx);

/* Handlers; several for one event run in the order of registration. Register before clients come. */
SIO_API int sio_on(struct sio_namespace *nsp, const char *event, sio_event_fn fn, void *ctx);
/* True if there is a handler for the event itself. */
SIO_API bool sio_handles(const struct sio_namespace *nsp, struct eio_str event);
SIO_API int sio_on_any(struct sio_namespace *nsp, sio_event_fn fn, void *ctx); /* before the event's own */
/* Each event that goes to a socket, alone or with others, before it is sent. args are without what recovery adds. */
typedef void (*sio_outgoing_fn)(struct sio_socket *socket, struct eio_str name, struct sio_args args, void *ctx);
SIO_API int sio_on_any_outgoing(struct sio_namespace *nsp, sio_outgoing_fn fn, void *ctx);
/* The same, before those that are there. */
SIO_API int sio_prepend_any(struct sio_namespace *nsp, sio_event_fn fn, void *ctx);
SIO_API int sio_prepend_any_outgoing(struct sio_namespace *nsp, sio_outgoing_fn fn, void *ctx);
/* Take off the first one of that function and ctx; fn NULL: all of them. Allowed within any handler: one that was taken
 * off is not called any more. Return how many it were. */
SIO_API size_t sio_off(struct sio_namespace *nsp, const char *event, sio_event_fn fn, void *ctx);
SIO_API size_t sio_off_any(struct sio_namespace *nsp, sio_event_fn fn, void *ctx);
SIO_API size_t sio_off_any_outgoing(struct sio_namespace *nsp, sio_outgoing_fn fn, void *ctx);
/* What happened to rooms, a socket's own included; fn must neither join nor leave. */
typedef void (*sio_room_fn)(enum sio_room_event what, struct eio_str room, struct sio_socket *socket,
                            struct sio_namespace *nsp, void *ctx);
SIO_API int sio_on_room(struct sio_namespace *nsp, sio_room_fn fn, void *ctx);
SIO_API int sio_on_connection(struct sio_namespace *nsp, sio_socket_fn fn, void *ctx);
/* disconnecting: the socket is still in its rooms; disconnect: it has left them, and is freed afterwards. */
SIO_API int sio_on_disconnecting(struct sio_namespace *nsp, sio_disconnect_fn fn, void *ctx);
SIO_API int sio_on_disconnect(struct sio_namespace *nsp, sio_disconnect_fn fn, void *ctx);
/* A socket that never connected is freed after this: a middleware refused it, or its client went away meanwhile. The
 * place to free what middleware gave to it. */
SIO_API int sio_on_dismissed(struct sio_namespace *nsp, sio_disconnect_fn fn, void *ctx);

/* Middleware at connect, in order of registration. Each calls sio_next() or sio_refuse() exactly once, now or later;
 * if the client goes away meanwhile, the call is without effect. Within the middleware's own call a second answer is
 * ignored; once it has been answered later, the admission is gone. What follows (the next middleware, on_connection)
 * runs when the middleware has returned; within sio_next(), if that is called later. */
struct sio_admission;
typedef void (*sio_middleware_fn)(struct sio_socket *socket, struct sio_admission *admission, void *ctx);
SIO_API int sio_use(struct sio_namespace *nsp, sio_middleware_fn fn, void *ctx);
SIO_API void sio_next(struct sio_admission *admission);
/* Whom it is about, for a middleware that answers later; NULL: the client is gone. */
SIO_API struct sio_socket *sio_admission_socket(const struct sio_admission *admission);
/* CONNECT_ERROR {"message":…,"data":…}; data_json NULL: without. */
SIO_API void sio_refuse(struct sio_admission *admission, const char *message, const char *data_json);
/* A client came back and has its id, rooms and data again: the place to look whether it still may. Asked before any
 * middleware; false: it is a new client, goes through the middleware and gets nothing it missed. */
typedef bool (*sio_recover_fn)(struct sio_socket *socket, void *ctx);
SIO_API int sio_on_recover(struct sio_namespace *nsp, sio_recover_fn fn, void *ctx);
/* Middleware for every event: false keeps it from the handlers (it may ack or emit itself first). */
typedef bool (*sio_packet_middleware_fn)(struct sio_socket *socket, const struct sio_event *event, void *ctx);
SIO_API int sio_use_packet(struct sio_namespace *nsp, sio_packet_middleware_fn fn, void *ctx);

/* Server-side events of other nodes, on this namespace; socket is NULL. event->wants_ack: sio_ack() answers within the
 * handler, sio_reply() later; as the reference's, without attachments: EIO_EINVAL. */
SIO_API int sio_on_server_event(struct sio_namespace *nsp, const char *event, sio_event_fn fn, void *ctx);

/* ---------------------------------------------------------------- sockets */

/* Who a socket is, and where. Valid as long as the socket. */
SIO_API const char *sio_socket_id(const struct sio_socket *socket); /* 20 characters; a Socket.IO 2 client's:
                                                                     * its session's id, after "/name#" */
SIO_API struct sio_namespace *sio_socket_namespace(const struct sio_socket *socket);
/* To close it use sio_socket_disconnect(socket, true): broadcasts of this turn are sent first then. */
SIO_API struct eio_session *sio_socket_session(const struct sio_socket *socket);
SIO_API bool sio_socket_is_connected(const struct sio_socket *socket);
/* True if it came back (sio_recovery). Its user pointer is NULL again. */
SIO_API bool sio_socket_recovered(const struct sio_socket *socket);
/* For an adapter that keeps events back from a socket (sio_recovery): from begin to end the client's last offset stays
 * where it is, so that a client that comes back also gets what had been kept back, and perhaps what came after that a
 * second time. The holds of a socket are independent of each other; its end ends them. Nothing happens without
 * recovery, and when a hold begins or ends twice. */
struct sio_hold {
    struct sio_socket *socket;    /* NULL: it has ended; zeroed before the first time */
    struct sio_hold *prev, *next; /* of that socket, in the order in which they began */
    char offset[ROOMS_OFFSET_SIZE];
};
SIO_API void sio_hold_begin(struct sio_hold *hold, struct sio_socket *socket);
SIO_API void sio_hold_end(struct sio_hold *hold);
/* The connected socket of that id, or NULL. */
SIO_API struct sio_socket *sio_socket_find(struct sio_namespace *nsp, const char *id, size_t id_size);
/* The head of the HTTP request: url, query, headers, address. */
SIO_API const struct eio_http_head *sio_socket_head(const struct sio_socket *socket);
/* The auth payload as JSON text, "{}" if none was sent. */
SIO_API struct eio_str sio_socket_auth(const struct sio_socket *socket);
/* Appends the handshake object {headers,time,address,xdomain,secure,issued,url,query,auth} to a builder as pieces. */
SIO_API void sio_socket_put_handshake(const struct sio_socket *socket, struct sio_builder *builder);
/* The same to be shown to people: without auth, and without the values of the headers that hold secrets (authorization,
 * cookie, proxy-authorization). */
SIO_API void sio_socket_put_request(const struct sio_socket *socket, struct sio_builder *builder);
/* The application's own. on_disconnect frees it. */
SIO_API void sio_socket_set_user(struct sio_socket *socket, void *user);
SIO_API void *sio_socket_user(const struct sio_socket *socket);
/* socket.data: a JSON object that other nodes see (fetch). Borrowed; made on first use; may be changed in place. */
SIO_API json_t *sio_socket_data(struct sio_socket *socket);

/* Joining after the disconnect is without effect. Allowed in middleware: undone if it refuses. */
SIO_API int sio_join(struct sio_socket *socket, struct eio_str room);
SIO_API void sio_leave(struct sio_socket *socket, struct eio_str room);
SIO_API bool sio_socket_is_in(const struct sio_socket *socket, struct eio_str room);
/* The i-th room, its own first; false past the end. */
SIO_API bool sio_socket_room_at(const struct sio_socket *socket, size_t i, struct eio_str *room);
/* Disconnects from the namespace, "server namespace disconnect"; with `close` from all, and closes the connection once
 * what was emitted is sent. on_disconnecting and on_disconnect run before it returns. No effect in middleware. */
SIO_API void sio_socket_disconnect(struct sio_socket *socket, bool close);
/* Prints `key=value …` about a socket, as SIGUSR1 does. Returns what snprintf would. */
SIO_API int sio_socket_describe(const struct sio_socket *socket, char *out, size_t size);

/* ------------------------------------------------------ emit and broadcast */

/* Who an emit is for: a value, built up by the functions below; names are borrowed until it is used.
 * Errors stick and are what the final call returns (EIO_EINVAL: more than SIO_TARGET_NAMES names; use the _all forms).
 */
#define SIO_TARGET_NAMES 8
/* Who an emit is meant for. A value: it is copied, and nothing has to be freed. Fields are private. */
struct sio_target {
    struct sio_namespace *nsp;
    struct sio_socket *only;                   /* this socket alone */
    const struct sio_socket *but;              /* everybody but this socket */
    struct rooms_name names[SIO_TARGET_NAMES]; /* rooms from the front, excepted ones from the back */
    const struct rooms_name *rooms, *except;   /* NULL: those in names[] */
    size_t room_count, except_count;
    struct rooms_flags flags;
    int error;
};

SIO_API struct sio_target sio_all(struct sio_namespace *nsp);             /* everybody in the namespace */
SIO_API struct sio_target sio_only(struct sio_socket *socket);            /* this socket */
SIO_API struct sio_target sio_broadcast(const struct sio_socket *socket); /* everybody but this socket */
SIO_API struct sio_target sio_to(struct sio_target target,
                                 const char *room); /* adds a room; `in` of the reference too */
/* The same for names of any bytes, for several rooms, and for rooms that are left out. */
SIO_API struct sio_target sio_to_name(struct sio_target target, struct eio_str room);
SIO_API struct sio_target sio_to_all(struct sio_target target, const struct rooms_name *rooms, size_t count);
SIO_API struct sio_target sio_except(struct sio_target target, const char *room);
SIO_API struct sio_target sio_except_name(struct sio_target target, struct eio_str room);
SIO_API struct sio_target sio_except_all(struct sio_target target, const struct rooms_name *rooms, size_t count);
/* On this node only, and not logged for recovery. With sio_only() the event goes straight to the socket, before what
 * its namespace still waits for the log with (an event that ends with text excepted). */
SIO_API struct sio_target sio_local(struct sio_target target);
SIO_API struct sio_target sio_volatile(struct sio_target target);
/* false: not compressed, whatever was negotiated. */
SIO_API struct sio_target sio_compress(struct sio_target target, bool compress);
SIO_API struct sio_target sio_timeout(struct sio_target target, uint32_t ms);

/* Sends an event. Returns 0 (also without receivers), EIO_EINVAL, EIO_ENOMEM, or for sio_only() the session's error.
 */
SIO_API int sio_emit(struct sio_target target, const char *event, struct sio_args args);
/* With jansson's format for the list of arguments. */
SIO_API int sio_emit_pack(struct sio_target target, const char *event, const char *format, ...);

/* The answer of one socket: error 0, or EIO_EAGAIN at the timeout, EIO_ECLOSED when it disconnected. Called once. */
typedef void (*sio_answer_fn)(void *ctx, int error, struct sio_args answer);
/* To sio_only(); without sio_timeout() it waits as long as the socket is connected. */
SIO_API int sio_emit_with_ack(struct sio_target target, const char *event, struct sio_args args, sio_answer_fn fn,
                              void *ctx);
/* The answers of a whole target: each answer's first argument in `answers`, in order of arrival (JSON list, attachments
 * renumbered); error 0, EIO_EAGAIN when some were missing at the timeout, or EIO_ECLOSED when the server is freed.
 * Called once; at once without receivers. Default timeout as the reference: none given means 1 ms. */
typedef void (*sio_answers_fn)(void *ctx, int error, struct sio_args answers);
SIO_API int sio_emit_to_all_with_ack(struct sio_target target, const char *event, struct sio_args args,
                                     sio_answers_fn fn, void *ctx);

/* By target, on all nodes (unless sio_local): */
SIO_API int sio_target_join(struct sio_target target, const struct rooms_name *rooms, size_t count);
SIO_API int sio_target_leave(struct sio_target target, const struct rooms_name *rooms, size_t count);
/* As sio_socket_disconnect(). More than 64 sockets of this node end in slices, in this turn and the next ones: from now
 * on they receive nothing, nothing is taken from them, and on_disconnecting and on_disconnect run when each ends. */
SIO_API int sio_target_disconnect(struct sio_target target, bool close);
/* done(ctx, error, sockets): JSON list of {id,handshake,rooms,data}. May be called at once. Not for parents. */
SIO_API int sio_target_fetch(struct sio_target target, sio_answers_fn done, void *ctx);
/* fn for each socket here; it may disconnect any. */
SIO_API int sio_target_each_local(struct sio_target target, sio_socket_fn fn, void *ctx);

/* To the other nodes' sio_on_server_event handlers. done NULL: no answers wanted. */
SIO_API int sio_server_side_emit(struct sio_namespace *nsp, const char *event, struct sio_args args,
                                 sio_answers_fn done, void *ctx);
SIO_API int sio_server_count(struct sio_namespace *nsp, void (*result)(void *ctx, int error, size_t servers),
                             void *ctx);

#ifdef __cplusplus
}
#endif
#endif
