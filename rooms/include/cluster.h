/* Several nodes: the adapter over a carrier, and the carriers of this library.
 *
 * rooms.h has the seam between a namespace and its adapter. An adapter written on that seam alone would have to invent
 * how nodes send requests and collect responses. struct rooms_cluster does that, as socket.io's cluster adapter does:
 * it tracks the other nodes, sends requests, collects responses until a deadline, and responds. A carrier only moves
 * messages, over NATS, PostgreSQL or anything else that reaches all nodes:
 *
 *     struct carrier {
 *         struct rooms_cluster cluster;
 *         ...
 *     };
 *     static int publish(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
 *     {
 *         struct carrier *carrier = (struct carrier *)cluster;
 *         ... rooms_cluster_encode(cluster, message, &packer), and send the bytes to all other nodes
 *     }
 *     static int respond(struct rooms_cluster *cluster, struct rooms_name uid, const struct rooms_cluster_message
 * *message)
 *     {
 *         ... the same, to the node with that uid
 *     }
 *     static const struct rooms_carrier_ops carrier_ops = {.publish = publish, .respond = respond};
 *     static const struct rooms_adapter_ops adapter_ops = {.name = "mine", .free = carrier_free, ROOMS_CLUSTER_OPS};
 *
 * A factory (rooms_adapter_factory) allocates the carrier, sets cluster.adapter.ops, calls rooms_cluster_init() and
 * rooms_cluster_announce(), and returns &carrier->cluster.adapter. Bytes that arrive go to
 * rooms_cluster_receive_encoded(). docs/examples/own_adapter.c is a complete one.
 *
 * Everything runs on the loop's thread. Pointer arguments are borrowed for the call. Functions return 0 or a negative
 * enum rooms_error. */
#ifndef ROOMS_CLUSTER_H
#define ROOMS_CLUSTER_H

#include "rooms_msgpack.h"

#ifdef __cplusplus
extern "C" {
#endif

struct event_base;

/* How urgent a line is. */
enum rooms_log_level { ROOMS_LOG_ERROR, ROOMS_LOG_WARN, ROOMS_LOG_INFO, ROOMS_LOG_DEBUG };
/* One line without its end, borrowed; never has a password in it. */
typedef void (*rooms_log_fn)(void *ctx, enum rooms_log_level level, const char *line);

/* ----------------------------------------------------------------- messages */

/* Sizes of uids. */
enum {
    ROOMS_UID_SIZE = 16, /* characters of this node's uid; those of others may have up to ROOMS_UID_MAX */
    ROOMS_UID_MAX = 63,
};

/* The numbers are those on the wire. */
enum rooms_cluster_type {
    ROOMS_CLUSTER_INITIAL_HEARTBEAT = 1, /* a node has started, and asks which others are there */
    ROOMS_CLUSTER_HEARTBEAT,
    ROOMS_CLUSTER_BROADCAST,     /* packet, who, flags; with a request: asks for acks */
    ROOMS_CLUSTER_SOCKETS_JOIN,  /* who, rooms */
    ROOMS_CLUSTER_SOCKETS_LEAVE, /* who, rooms */
    ROOMS_CLUSTER_DISCONNECT_SOCKETS,
    ROOMS_CLUSTER_FETCH_SOCKETS,
    ROOMS_CLUSTER_FETCH_SOCKETS_RESPONSE,
    ROOMS_CLUSTER_SERVER_SIDE_EMIT, /* packet; with a request: asks for an answer */
    ROOMS_CLUSTER_SERVER_SIDE_EMIT_RESPONSE,
    ROOMS_CLUSTER_BROADCAST_CLIENT_COUNT,
    ROOMS_CLUSTER_BROADCAST_ACK,
    ROOMS_CLUSTER_ADAPTER_CLOSE, /* the node leaves */
};

/* One message, independent of its encoding. */
struct rooms_cluster_message {
    enum rooms_cluster_type type;
    struct rooms_name uid;     /* of the sender; set in what publish() and respond() are given */
    struct rooms_name request; /* its id; n 0: not a request. A response has the id of its request */
    struct rooms_selector who; /* 3 to 7 */
    struct rooms_flags flags;  /* 3 to 7: is_volatile, compress, timeout_ms; `local` is never sent */
    /* 3, 9: the event's array; 10, 12: an array of the answer's arguments, of which the first counts (a carrier whose
     * format has room for one value sends only that). A carrier does not use `prepared`. 3: offset, if it was read from
     * a log. */
    struct rooms_message packet;
    const struct rooms_name *rooms; /* 4, 5 */
    size_t room_count;
    bool close;                        /* 6: also close the connections */
    const struct rooms_bytes *sockets; /* 8: JSON objects */
    size_t socket_count;
    size_t client_count; /* 11 */
};

/* ------------------------------------------------------------------ carrier */

struct rooms_cluster_state; /* private */

/* A member of the carrier's own struct, which must not move. */
struct rooms_cluster {
    struct rooms_adapter adapter;
    struct rooms_cluster_state *state;
};

/* What a carrier does for its cluster. */
struct rooms_carrier_ops {
    /* Sends to all other nodes. Returns 0 if the message was sent or queued. The message is only valid during the call.
     * Must not call rooms_cluster_receive() or another function of this header that delivers before it returns. */
    int (*publish)(struct rooms_cluster *cluster, const struct rooms_cluster_message *message);
    /* Sends to the node with that uid, likewise. A node that is gone is not an error worth reporting: the one that
     * asked waits for a deadline. */
    int (*respond)(struct rooms_cluster *cluster, struct rooms_name uid, const struct rooms_cluster_message *message);
    /* NULL: the other nodes are those heard from (rooms_cluster_receive, rooms_cluster_node_seen). Otherwise called
     * once per request; the carrier answers with rooms_cluster_counted(), during the call or later. An error means that
     * there will be no answer. */
    int (*count_others)(struct rooms_cluster *cluster, uint64_t ticket);
    /* NULL: there is no log. Publishes a broadcast that is to have an offset. After 0 the carrier calls
     * rooms_cluster_logged() for it, later, in the order of the tickets; after an error the broadcast is delivered
     * without an offset. */
    int (*log)(struct rooms_cluster *cluster, const struct rooms_cluster_message *message, uint64_t ticket);
    /* May be NULL. A request has ended without all responses, which is worth a line in a log. missing: the uids that
     * did not answer, as text; "" if they are not known. */
    void (*incomplete)(struct rooms_cluster *cluster, const char *missing);
};

/* Options of a cluster; rooms_cluster_options_init() has the defaults that stand beside the fields. */
struct rooms_cluster_options {
    uint32_t request_timeout_ms;    /* 5000; a caller may name another for its request */
    uint32_t heartbeat_interval_ms; /* 5000; 0: no heartbeats, the carrier itself knows which nodes are there */
    uint32_t heartbeat_timeout_ms;  /* 10000: a node that was silent for so long is gone */
    uint32_t log_wait_ms;           /* 1000: a delivery waits no longer for rooms_cluster_logged() */
    size_t max_log_wait_bytes;      /* 16 MiB: of deliveries that wait for it */
    size_t max_requests;            /* 10000 pending at once, own and others' each */
    size_t max_nodes;               /* 1024 */
    bool responses_reach_all;       /* false; a response arrives at all nodes: those to others are not malformed */
};
ROOMS_API void rooms_cluster_options_init(struct rooms_cluster_options *options);

/* Counters; several clusters may share one struct. */
struct rooms_cluster_stats {
    uint64_t requests;
    uint64_t request_timeouts;
    uint64_t nodes_lost; /* fell silent */
    uint64_t ignored;    /* malformed messages, and responses without a request */
    uint64_t repeated;   /* requests and responses that came twice */
    uint64_t limit_requests, limit_nodes;
    uint64_t log_late; /* times that deliveries stopped waiting for the log */
};

/* What a cluster is made of. */
struct rooms_cluster_setup {
    const struct rooms_carrier_ops *carrier;     /* kept; usually static */
    const struct rooms_cluster_options *options; /* copied; NULL: the defaults */
    struct rooms_cluster_stats *stats;           /* kept, must outlive the cluster; NULL: not counted */
    struct event_base *base;                     /* for timers; NULL: the carrier calls rooms_cluster_tick() */
    const char *uid;                             /* ROOMS_UID_SIZE characters; NULL: random */
    const char *nsp;                             /* the namespace, with its slash */
    const struct rooms_local *local;             /* copied */
};
/* Fills a zeroed struct, whose adapter.ops the carrier has set. Sends nothing. Returns 0, ROOMS_EINVAL (uid) or
 * ROOMS_ENOMEM; after an error there is nothing to clear. */
ROOMS_API int rooms_cluster_init(struct rooms_cluster *cluster, const struct rooms_cluster_setup *setup);
/* For the carrier's free(): publishes ADAPTER_CLOSE, ends all requests with what has arrived, and frees. Then the
 * carrier frees its own struct. */
ROOMS_API void rooms_cluster_clear(struct rooms_cluster *cluster);
/* Publishes an INITIAL_HEARTBEAT and starts heartbeats: when the carrier is connected, and again after each reconnect.
 */
ROOMS_API void rooms_cluster_announce(struct rooms_cluster *cluster);
ROOMS_API struct rooms_name rooms_cluster_uid(const struct rooms_cluster *cluster);
ROOMS_API struct rooms_name rooms_cluster_nsp(const struct rooms_cluster *cluster);

/* A message of another node. Messages of this node, and requests that came before, are ignored, so a carrier may
 * deliver them. May call the namespace's functions, and through them everything else, freeing the adapter excepted. */
ROOMS_API void rooms_cluster_receive(struct rooms_cluster *cluster, const struct rooms_cluster_message *message);
/* For carriers that know which nodes are there: a node has come; a node is gone and will not answer. */
ROOMS_API void rooms_cluster_node_seen(struct rooms_cluster *cluster, struct rooms_name uid);
ROOMS_API void rooms_cluster_node_gone(struct rooms_cluster *cluster, struct rooms_name uid);
/* For carriers with count_others: nodes that fell silent, at most `max`, which the carrier may still count. It calls
 * rooms_cluster_node_gone() for those that it does not. The uids are valid until the next call. */
ROOMS_API size_t rooms_cluster_lost(const struct rooms_cluster *cluster, struct rooms_name *uids, size_t max);
/* The answer to count_others. error: the number is unknown, and the request ends at once. */
ROOMS_API void rooms_cluster_counted(struct rooms_cluster *cluster, uint64_t ticket, int error, size_t others);
/* The answer to log. offset n 0: the broadcast was not logged after all. */
ROOMS_API void rooms_cluster_logged(struct rooms_cluster *cluster, uint64_t ticket, struct rooms_name offset);
/* Does what is due; only without an event_base. */
ROOMS_API void rooms_cluster_tick(struct rooms_cluster *cluster);

/* The wire format of socket.io's cluster adapters, for a carrier that has no format of its own: JSON, or msgpack if
 * there are attachments. Appends to `out`; returns its error. */
ROOMS_API int rooms_cluster_encode(const struct rooms_cluster *cluster, const struct rooms_cluster_message *message,
                                   struct rooms_packer *out);
/* Decodes that format and receives it. ROOMS_EINVAL: malformed, or of another namespace; ROOMS_ELIMIT, ROOMS_ENOMEM. */
ROOMS_API int rooms_cluster_receive_encoded(struct rooms_cluster *cluster, struct rooms_bytes payload);
/* The same for a carrier with a channel for each namespace: a message need not name its namespace, which programs that
 * only emit may leave out. */
ROOMS_API int rooms_cluster_receive_of_channel(struct rooms_cluster *cluster, struct rooms_bytes payload);

/* The operations of struct rooms_adapter_ops. A carrier that has something of its own for one names it after
 * ROOMS_CLUSTER_OPS, or lists these without that one. */
ROOMS_API int rooms_cluster_broadcast(struct rooms_adapter *adapter, const struct rooms_selector *who,
                                      const struct rooms_flags *flags, const struct rooms_message *message);
ROOMS_API int rooms_cluster_broadcast_with_ack(struct rooms_adapter *adapter, const struct rooms_selector *who,
                                               const struct rooms_flags *flags, const struct rooms_message *message,
                                               const struct rooms_ack_sink *sink);
ROOMS_API int rooms_cluster_join(struct rooms_adapter *adapter, const struct rooms_selector *who,
                                 const struct rooms_flags *flags, const struct rooms_name *rooms, size_t room_count);
ROOMS_API int rooms_cluster_leave(struct rooms_adapter *adapter, const struct rooms_selector *who,
                                  const struct rooms_flags *flags, const struct rooms_name *rooms, size_t room_count);
ROOMS_API int rooms_cluster_disconnect(struct rooms_adapter *adapter, const struct rooms_selector *who,
                                       const struct rooms_flags *flags, bool close);
ROOMS_API int rooms_cluster_fetch(struct rooms_adapter *adapter, const struct rooms_selector *who,
                                  const struct rooms_flags *flags, rooms_fetch_fn each, rooms_done_fn done, void *ctx);
ROOMS_API int rooms_cluster_server_side_emit(struct rooms_adapter *adapter, const struct rooms_flags *flags,
                                             const struct rooms_message *message, rooms_answer_fn answer,
                                             rooms_done_fn done, void *ctx);
ROOMS_API int rooms_cluster_server_count(struct rooms_adapter *adapter,
                                         void (*result)(void *ctx, int error, size_t servers), void *ctx);
ROOMS_API struct rooms_name rooms_cluster_missing(struct rooms_adapter *adapter);

#define ROOMS_CLUSTER_OPS                                                                             \
    .broadcast = rooms_cluster_broadcast, .broadcast_with_ack = rooms_cluster_broadcast_with_ack,     \
    .join = rooms_cluster_join, .leave = rooms_cluster_leave, .disconnect = rooms_cluster_disconnect, \
    .fetch = rooms_cluster_fetch, .server_side_emit = rooms_cluster_server_side_emit,                 \
    .server_count = rooms_cluster_server_count, .missing = rooms_cluster_missing

/* ------------------------------------------------------------------- redis */

/* A node's connections to Redis, shared by the adapters of all its namespaces: one publishes and sends requests, one
 * subscribes; the streams adapter has a third, for commands that block. They use the caller's event_base and never
 * block it. After a reconnect all subscriptions are restored; what is published meanwhile waits, up to a limit. Nothing
 * is published twice: what a lost connection had already taken is not sent again. */
struct rooms_redis;

/* Which rooms have a channel of their own (classic, sharded): all public ones, none, all. As in socket.io. */
enum rooms_redis_mode { ROOMS_REDIS_DYNAMIC, ROOMS_REDIS_STATIC, ROOMS_REDIS_DYNAMIC_PRIVATE };

/* Strings are copied. */
struct rooms_redis_options {
    /* redis://[[user]:password@]host[:port][/database], percent-encoded, rediss:// with TLS; several, with commas
     * between, at most 16: those of one Redis, tried in turn, replicas passed over. Default redis://127.0.0.1:6379. */
    const char *url;
    /* "": none. URLs of Sentinels, as above, with their own users and TLS; then the host of `url` is the name of the
     * master that they watch. */
    const char *sentinels;
    bool cluster;         /* false; a Redis Cluster, of which `url` names members: sharded channels go to their slots */
    const char *tls_ca;   /* "": the system's authorities; else a file of certificates */
    const char *tls_cert; /* "": none; the client's certificate, a file; */
    const char *tls_key;  /* and its key, "" if that is in the same file */
    const char *tls_name; /* "": the host of the URL; what the server's certificate must name, and SNI says */
    bool tls_verify;      /* true: only a certificate that an authority has signed, with that name */
    const char *client_name;        /* "parley"; what CLIENT LIST shows, with pub, sub or block after it. "": none */
    uint32_t connect_timeout_ms;    /* 5000: until a connection has introduced itself */
    uint32_t liveness_ms;           /* 5000: a PING after that long without a word; lost after that long again */
    uint32_t reconnect_min_ms;      /* 100: before the second attempt; doubles, and half of it is random */
    uint32_t reconnect_max_ms;      /* 10000 */
    uint32_t request_timeout_ms;    /* 5000: of questions to other nodes and to Redis itself */
    size_t max_pending_bytes;       /* 16 MiB, of what was published and not written; the oldest are dropped */
    size_t max_message_bytes;       /* 16 MiB: larger is not published, and closes a connection that it arrives on */
    size_t max_requests;            /* 65536 questions to Redis that wait for their answers */
    const char *key_prefix;         /* "socket.io": of channels, and the name of the stream */
    bool specific_response_channel; /* false; classic: answers go to the asking node's own channel */
    enum rooms_redis_mode mode;     /* ROOMS_REDIS_DYNAMIC */
    uint32_t heartbeat_interval_ms; /* 5000 */
    uint32_t heartbeat_timeout_ms;  /* 10000: a node that was silent for so long is gone */
    const char *session_prefix;     /* "sio:session:"; streams: keys of saved sessions */
    uint32_t stream_count;          /* 1 */
    uint32_t stream_max_length;     /* 10000 entries, about */
    uint32_t stream_read_count;     /* 100 entries at once */
    uint32_t stream_block_ms;       /* 5000 */
    rooms_log_fn log;               /* NULL: nothing is logged */
    void *log_ctx;
};
ROOMS_API void rooms_redis_options_init(struct rooms_redis_options *options);

/* True if url can be given as options.url; else *why is an English text. */
ROOMS_API bool rooms_redis_url_is_valid(const char *url, const char **why);
/* Starts connecting on the next turns of the loop; it need not succeed. options NULL: the defaults. Returns NULL if
 * memory is short or the options are not valid; why (may be NULL) is then an English text. */
ROOMS_API struct rooms_redis *rooms_redis_new(struct event_base *base, const struct rooms_redis_options *options,
                                              const char **why);
/* Reads the certificates and the authority of the options anew, for connections from now on. ROOMS_EINVAL, with an
 * English text in why: they cannot be used, the former ones stay. Without TLS nothing happens. */
ROOMS_API int rooms_redis_reload_tls(struct rooms_redis *redis, const char **why);
/* After all its adapters, and never from one of its own callbacks. What waits is written if it can be at once. Accepts
 * NULL. */
ROOMS_API void rooms_redis_free(struct rooms_redis *redis);

/* How the connections are, and counters since they were made; rooms_redis_get_stats() fills them in. */
struct rooms_redis_stats {
    bool connected;       /* all connections are ready and all subscriptions confirmed */
    uint64_t degraded_ms; /* for how long it has not been connected, or Redis has refused commands; 0: all is well */
    const char *why;      /* the last failure, "" before the first; valid until the next call of any function */
    const char *address;  /* host:port that is used or tried; likewise */
    size_t subscriptions; /* that are wanted */
    size_t requests;      /* that wait for an answer */
    size_t pending, pending_bytes;       /* published and not written */
    uint64_t published, published_bytes; /* written */
    uint64_t received, received_bytes;   /* messages of subscriptions */
    uint64_t ignored;                    /* messages that were malformed, or of a channel no longer subscribed to */
    uint64_t dropped;                    /* published, and gone: max_pending_bytes, max_message_bytes */
    uint64_t refused;                    /* published, and answered with an error */
    uint64_t lost;                       /* connections that were lost, and attempts that failed */
    uint64_t request_timeouts;
    uint64_t requests_refused; /* not asked: max_requests, max_pending_bytes, max_message_bytes */
    uint64_t nodes_lost;       /* sharded, streams: other nodes that fell silent */
    uint64_t log_late;         /* streams: times that delivery stopped waiting for the log */
};
ROOMS_API void rooms_redis_get_stats(const struct rooms_redis *redis, struct rooms_redis_stats *stats);

/* rooms_adapter_factory each; ctx is the struct rooms_redis, which must outlive them. In the formats of
 * @socket.io/redis-adapter, its sharded adapter (Redis 7), and @socket.io/redis-streams-adapter. */
ROOMS_API struct rooms_adapter *rooms_adapter_redis(void *ctx, const char *namespace_name,
                                                    const struct rooms_local *local);
ROOMS_API struct rooms_adapter *rooms_adapter_redis_sharded(void *ctx, const char *namespace_name,
                                                            const struct rooms_local *local);
ROOMS_API struct rooms_adapter *rooms_adapter_redis_streams(void *ctx, const char *namespace_name,
                                                            const struct rooms_local *local);

/* A rooms_mailbox_factory; ctx is the struct rooms_redis, which must outlive it. The mailbox "x" is the channel
 * "<key_prefix>-inbox#x#". */
ROOMS_API struct rooms_mailbox *rooms_mailbox_redis(void *ctx, const char *name,
                                                    const struct rooms_mailbox_handlers *handlers, void *handlers_ctx);

/* -------------------------------------------------------------- postgresql */

/* A node's connections to PostgreSQL, shared by the adapters of all its namespaces: one listens, one does everything
 * else. They use the caller's event_base and never block it; connecting happens on threads. After a reconnect the node
 * listens again; what is published meanwhile waits, up to a limit. Nothing is published twice: what a lost connection
 * had already taken is not sent again. */
struct rooms_postgresql;

/* Strings are copied. */
struct rooms_postgresql_options {
    /* postgresql://[user[:password]@][host][:port][/database][?parameters], as libpq reads it: several hosts are tried
     * in turn until one can be written to; TLS by sslmode and its like. Required. */
    const char *url;
    const char *client_name;        /* "parley"; the application_name, with -sender or -listener after it */
    const char *channel_prefix;     /* "socket.io" */
    const char *table;              /* "socket_io_attachments", made if it does not exist; may name a schema */
    uint32_t cleanup_interval_ms;   /* 30000: attachments older than that are deleted, that often */
    uint32_t connect_timeout_ms;    /* 5000 */
    uint32_t liveness_ms;           /* 5000: a query after that long without a word; lost after that long again */
    uint32_t reconnect_min_ms;      /* 100: before the second attempt; doubles, and half of it is random */
    uint32_t reconnect_max_ms;      /* 10000 */
    uint32_t request_timeout_ms;    /* 5000: of questions to other nodes; an attachment is not waited for any longer */
    uint32_t heartbeat_interval_ms; /* 5000 */
    uint32_t heartbeat_timeout_ms;  /* 10000: a node that was silent for so long is gone */
    size_t max_pending_bytes;       /* 16 MiB, of what was published and not sent; the oldest are dropped */
    size_t max_message_bytes;       /* 16 MiB: larger is not published, and not read */
    size_t max_waiting_bytes;       /* 16 MiB have arrived and wait for an attachment: more is not read meanwhile */
    rooms_log_fn log;               /* NULL: nothing is logged */
    void *log_ctx;
};
ROOMS_API void rooms_postgresql_options_init(struct rooms_postgresql_options *options);

/* True if url can be given as options.url. */
ROOMS_API bool rooms_postgresql_url_is_valid(const char *url);
/* True if table can be given as options.table: letters, digits and underscores, a schema and a dot before it. */
ROOMS_API bool rooms_postgresql_table_is_valid(const char *table);
/* Starts connecting; it need not succeed. Returns NULL if memory is short or the options are not valid; why (may be
 * NULL) is then an English text. */
ROOMS_API struct rooms_postgresql *rooms_postgresql_new(struct event_base *base,
                                                        const struct rooms_postgresql_options *options,
                                                        const char **why);
/* After all its adapters, and never from one of its own callbacks. What waits is sent if it can be at once. Accepts
 * NULL. */
ROOMS_API void rooms_postgresql_free(struct rooms_postgresql *postgresql);

/* How the connections are, and counters since they were made; rooms_postgresql_get_stats() fills them in. */
struct rooms_postgresql_stats {
    bool connected;       /* both connections are ready, and all namespaces are listened to */
    uint64_t degraded_ms; /* for how long it has not been connected, or PostgreSQL has refused; 0: all is well */
    const char *why;      /* the last failure, "" before the first; valid until the next call of any function */
    size_t channels;      /* that are wanted */
    size_t pending, pending_bytes;       /* published and not sent */
    size_t waiting, waiting_bytes;       /* arrived, and an attachment comes first */
    uint64_t published, published_bytes; /* committed */
    uint64_t transactions;               /* that they took */
    uint64_t received, received_bytes;   /* notifications of others */
    uint64_t attachments_sent, attachments_read, attachments_missed;
    uint64_t attachments_deleted; /* by this node, because of their age */
    uint64_t ignored;             /* malformed messages */
    uint64_t dropped; /* published, and gone: max_pending_bytes, max_message_bytes, a namespace's long name */
    uint64_t refused; /* published, and answered with an error */
    uint64_t lost;    /* connections that were lost, and attempts that failed */
    uint64_t request_timeouts;
    uint64_t nodes_lost; /* other nodes that fell silent */
};
ROOMS_API void rooms_postgresql_get_stats(const struct rooms_postgresql *postgresql,
                                          struct rooms_postgresql_stats *stats);

/* A rooms_adapter_factory; ctx is the struct rooms_postgresql, which must outlive it. In the format of
 * @socket.io/postgres-adapter. */
ROOMS_API struct rooms_adapter *rooms_adapter_postgresql(void *ctx, const char *namespace_name,
                                                         const struct rooms_local *local);

/* --------------------------------------------------------------------- bus */

/* Between processes of one machine. Each is a node, connected with every other by a pair of local stream sockets. A
 * broadcast goes to the processes that have members in its rooms, and to others with rooms of the same hash. What a
 * process does not read in time is queued, up to a limit; requests do not wait for a process that is unresponsive. */
struct rooms_bus;

/* Options of a bus; rooms_bus_options_init() has the defaults that stand beside the fields. */
struct rooms_bus_options {
    size_t max_queue_bytes;      /* 16 MiB wait for one process; what is more is dropped for it */
    size_t max_message_bytes;    /* 16 MiB; larger ones are dropped, and close the connection that they arrive on */
    uint32_t request_timeout_ms; /* 5000: of questions to the others */
    uint32_t silent_ms;          /* 1500: a process that is silent for so long is unresponsive */
    rooms_log_fn log;            /* NULL: nothing is logged */
    void *log_ctx;
};
ROOMS_API void rooms_bus_options_init(struct rooms_bus_options *options);

/* options NULL: the defaults. NULL: out of memory. */
ROOMS_API struct rooms_bus *rooms_bus_new(struct event_base *base, const struct rooms_bus_options *options);
/* After all its adapters. Accepts NULL. */
ROOMS_API void rooms_bus_free(struct rooms_bus *bus);
/* Connects it with another process by one end of a non-blocking pair. number: the caller's name for that process; a
 * former peer of that number is removed. Takes the descriptor, also on failure: ROOMS_ENOMEM. A peer whose connection
 * ends, or that sends malformed frames, is removed without being asked. */
ROOMS_API int rooms_bus_add_peer(struct rooms_bus *bus, uint64_t number, int take_fd);
/* Harmless if absent. */
ROOMS_API void rooms_bus_remove_peer(struct rooms_bus *bus, uint64_t number);
/* Reads what has arrived and writes what is queued; may call whatever adapters call. Happens by itself on the next turn
 * of the loop. A caller that calls it before a turn's messages go to clients ensures that the other processes know
 * first, whatever the clients do next. */
ROOMS_API void rooms_bus_flush(struct rooms_bus *bus);

/* Counters since the bus was made, unless the field says otherwise; rooms_bus_get_stats() fills them in. */
struct rooms_bus_stats {
    size_t peers, silent;              /* now */
    size_t queued_bytes;               /* now, for all peers */
    uint64_t sent, sent_bytes;         /* frames, one for each peer */
    uint64_t filtered;                 /* not sent to a peer that has no members in those rooms */
    uint64_t received, received_bytes; /* frames */
    uint64_t dropped;                  /* by max_queue_bytes, max_message_bytes, or want of memory */
    uint64_t garbage;                  /* connections closed because of what came on them */
    uint64_t writes;                   /* system calls */
    uint64_t requests, request_timeouts;
    uint64_t sessions_given, sessions_taken; /* by connection state recovery: to and from other processes */
};
ROOMS_API void rooms_bus_get_stats(const struct rooms_bus *bus, struct rooms_bus_stats *stats);

/* A rooms_adapter_factory; ctx is the struct rooms_bus. */
ROOMS_API struct rooms_adapter *rooms_adapter_bus(void *ctx, const char *namespace_name,
                                                  const struct rooms_local *local);

#ifdef __cplusplus
}
#endif
#endif
