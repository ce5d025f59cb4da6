/* rooms: who is in which room, and how a broadcast finds them, on this node and on others.
 *
 * The index is two-way: a room has a dense array of its members, a member has a list of (room, position), so that
 * join and leave are O(1), a broadcast is a walk over contiguous pointers, and leaving all rooms is O(rooms of that
 * member). A member is any object that embeds struct rooms_member; this library knows nothing of sockets.
 *
 * Every member is also alone in a room named like its id, until it leaves it (as in socket.io). That room costs no
 * memory: it is found through the table of ids.
 *
 * One index and one adapter per namespace; one thread. Functions return 0 or a negative enum rooms_error. */
#ifndef ROOMS_H
#define ROOMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ROOMS_API __attribute__((visibility("default")))
#else
#define ROOMS_API
#endif

enum rooms_error {
    ROOMS_OK = 0,
    ROOMS_EINVAL = -1,
    ROOMS_ENOMEM = -2,
    ROOMS_ELIMIT = -3,   /* the member is in max_rooms_per_member rooms already, or the name is too long */
    ROOMS_EEXIST = -4,   /* a member of that id is there already */
    ROOMS_ETIMEOUT = -5, /* some answers are missing; what arrived is given */
    ROOMS_EAWAY = -6,    /* there is no connection now */
};
ROOMS_API const char *rooms_strerror(int error);

/* A borrowed name: of a room or a member. Any bytes, 1 to max_name_bytes. */
struct rooms_name {
    const char *p;
    size_t n;
};

/* ------------------------------------------------------------------- index */

struct rooms_index;
struct rooms_room;

/* Embedded in the owner's object. Fields are private. */
struct rooms_member {
    const char *id; /* the owner's memory; constant while in the index */
    struct rooms_link *links;
    uint32_t link_count, link_capacity;
    uint32_t visit; /* the last walk that saw this member */
    uint8_t id_size;
    bool in_own_room;
    bool in_index;
};

/* What happened, after it happened. Any may be NULL. They must not change the index. */
struct rooms_events {
    void (*room_created)(void *ctx, struct rooms_name room);
    void (*room_deleted)(void *ctx, struct rooms_name room);
    void (*joined)(void *ctx, struct rooms_name room, struct rooms_member *member);
    void (*left)(void *ctx, struct rooms_name room, struct rooms_member *member);
};

struct rooms_options {
    size_t max_name_bytes;       /* 1024 */
    size_t max_rooms_per_member; /* 65536 */
};
ROOMS_API void rooms_options_init(struct rooms_options *options);

/* options and events may be NULL; both are copied. */
ROOMS_API struct rooms_index *rooms_index_new(const struct rooms_options *options, const struct rooms_events *events,
                                              void *ctx);
/* All members must have been removed. Accepts NULL. */
ROOMS_API void rooms_index_free(struct rooms_index *index);

/* Enters a zeroed member under its id (the bytes stay the owner's, 1 to 255), in its own room only. O(1). */
ROOMS_API int rooms_add(struct rooms_index *index, struct rooms_member *member, const char *id, size_t id_size);
/* Leaves all rooms and the index. Harmless if it is not in it. O(its rooms). */
ROOMS_API void rooms_remove(struct rooms_index *index, struct rooms_member *member);
/* Joins; harmless if it is in already. The room is made by its first member. O(1) amortised, but for seeing whether it
 * is in already: O(the fewer of its rooms and the room's members). */
ROOMS_API int rooms_join(struct rooms_index *index, struct rooms_member *member, struct rooms_name room);
/* Leaves; harmless if it is not in. The last member's leaving deletes the room. O(its rooms). */
ROOMS_API void rooms_leave(struct rooms_index *index, struct rooms_member *member, struct rooms_name room);

ROOMS_API struct rooms_member *rooms_member_find(struct rooms_index *index, struct rooms_name id);
ROOMS_API size_t rooms_member_count(const struct rooms_index *index);
ROOMS_API bool rooms_is_in(struct rooms_index *index, const struct rooms_member *member, struct rooms_name room);
/* The i-th room of a member, its own first. Returns false past the end. */
ROOMS_API bool rooms_member_room_at(const struct rooms_member *member, size_t i, struct rooms_name *room);

/* The room of that name if members joined it, or NULL (own rooms are not found here). Valid until it is deleted. */
ROOMS_API struct rooms_room *rooms_find(struct rooms_index *index, struct rooms_name room);
/* The members who joined, in no order; changes with every join and leave. */
ROOMS_API struct rooms_member *const *rooms_room_members(const struct rooms_room *room, size_t *count);
ROOMS_API struct rooms_name rooms_room_name(const struct rooms_room *room);
/* True if the member joined exactly this room object. O(rooms of that member). */
ROOMS_API bool rooms_room_has(const struct rooms_room *room, const struct rooms_member *member);
ROOMS_API size_t rooms_room_count(const struct rooms_index *index);
/* Calls fn for each joined room; fn must not change the index. */
ROOMS_API void rooms_each_room(struct rooms_index *index, void (*fn)(void *ctx, struct rooms_room *room), void *ctx);

/* Who is meant: members in any of `rooms` (none given: all members), less those in any of `except`. */
struct rooms_selector {
    const struct rooms_name *rooms;
    size_t room_count;
    const struct rooms_name *except;
    size_t except_count;
};
/* Calls fn once for each selected member. fn may remove or move members, that one included: the set is taken
 * before the first call, and members removed meanwhile are skipped. Returns how many were called, or ROOMS_ENOMEM. */
ROOMS_API long rooms_each(struct rooms_index *index, const struct rooms_selector *selector,
                          void (*fn)(void *ctx, struct rooms_member *member), void *ctx);
/* The same for callers whose fn changes nothing: no set is made where one room is named. */
ROOMS_API long rooms_each_unchanged(struct rooms_index *index, const struct rooms_selector *selector,
                                    void (*fn)(void *ctx, struct rooms_member *member), void *ctx);

/* ----------------------------------------------------------------- adapter */

/* The seam between one node and many. The namespace calls the adapter for everything that may concern other nodes;
 * the adapter calls back through struct rooms_local for what concerns members here: at once for the caller's own
 * part, later for what other nodes ask. `memory` is the adapter of a single node. */

struct rooms_bytes {
    const uint8_t *p;
    size_t n;
};
/* An event as the adapters carry it: `json` is the array ["name",arg,…] with placeholders, then its attachments.
 * `prepared` is the namespace's own encoded form for the local part, or NULL if it came from another node. */
struct rooms_message {
    struct rooms_bytes json;
    const struct rooms_bytes *attachments;
    size_t attachment_count;
    void *prepared;
    struct rooms_name offset; /* set by an adapter that logs: plain ASCII, delivered as one more argument; n 0: none */
};
struct rooms_flags {
    bool local;          /* this node only */
    bool is_volatile;    /* may be dropped */
    bool compress;       /* true unless the caller said not to */
    uint32_t timeout_ms; /* of requests and acks; 0: the adapter's default */
};

/* Where the answers to a broadcast with acks go. The caller keeps the timeout: it drops what comes after it. */
struct rooms_ack_sink {
    void (*clients)(void *ctx, size_t count); /* that many more answers are expected; once per server */
    void (*counted)(void *ctx);               /* every server has said its count */
    void (*ack)(void *ctx, const struct rooms_message *answer); /* json: array of the ack's arguments */
    void *ctx;
};

/* Limits of connection state recovery, of one namespace. */
struct rooms_recovery {
    uint32_t max_disconnection_ms; /* how long a session is kept */
    uint32_t liveness_ms;          /* what was sent that long before a connection broke did arrive */
    size_t max_log_bytes;          /* above: the oldest messages go, and who missed them is not recovered */
    size_t max_log_packets;
    size_t max_sessions; /* above: the oldest go */
};
/* What a member leaves behind when its connection breaks. */
struct rooms_session {
    struct rooms_name sid, pid;
    const struct rooms_name *rooms; /* its own included */
    size_t room_count;
    struct rooms_bytes data; /* a JSON object */
    uint64_t connected_ms;   /* saved: when, on the clock of rooms_local */
    /* saved: the log's offset when the member connected; restored: what to replay from */
    struct rooms_name offset;
};
/* NULL: there is no such session, it is too old, or the log does not reach back far enough. */
typedef void (*rooms_restore_fn)(void *ctx, const struct rooms_session *session);
typedef void (*rooms_replay_fn)(void *ctx, const struct rooms_selector *who, const struct rooms_message *message);

#define ROOMS_OFFSET_SIZE 64 /* of an offset, with terminator */

/* What the namespace offers to its adapter. Pointers given are borrowed for the call. */
struct rooms_local {
    void (*deliver)(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                    const struct rooms_message *message);
    /* Emits with an ack asked for; calls sink->clients at once and sink->ack per answer, until timeout_ms. */
    void (*deliver_with_ack)(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                             const struct rooms_message *message, const struct rooms_ack_sink *sink);
    void (*join)(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t room_count);
    void (*leave)(void *ctx, const struct rooms_selector *who, const struct rooms_name *rooms, size_t room_count);
    void (*disconnect)(void *ctx, const struct rooms_selector *who, bool close);
    /* Calls each() with the JSON object {id,handshake,rooms,data} of every selected socket. */
    void (*fetch)(void *ctx, const struct rooms_selector *who, void (*each)(void *each_ctx, struct rooms_bytes json),
                  void *each_ctx);
    /* A server-side event of another node. answer (may be NULL) is called at most once, now or later. Returns true if
     * it may still be called after this, until the adapter is freed; else answer_ctx is not needed any more. */
    bool (*server_side_event)(void *ctx, const struct rooms_message *message,
                              void (*answer)(void *answer_ctx, const struct rooms_message *args), void *answer_ctx);
    /* May be NULL. Before another node restores that session: whoever still has it here is no longer connected, which
     * is told by session_save() before this returns. */
    void (*evict)(void *ctx, struct rooms_name pid);
    struct rooms_index *index;
    /* NULL: off. On: every broadcast that is not volatile is logged before it is delivered, with its offset. */
    const struct rooms_recovery *recovery;
    uint64_t (*now_ms)(void *ctx); /* monotonic */
    void *ctx;
};

struct rooms_adapter;

/* Results that may need other nodes. Called once; error 0 or ROOMS_ETIMEOUT with what arrived. */
typedef void (*rooms_done_fn)(void *ctx, int error);
typedef void (*rooms_fetch_fn)(void *ctx, struct rooms_bytes json);           /* one socket; before done */
typedef void (*rooms_answer_fn)(void *ctx, const struct rooms_message *args); /* one server; before done */

struct rooms_adapter_ops {
    const char *name; /* "memory", "redis" */
    void (*free)(struct rooms_adapter *adapter);
    int (*broadcast)(struct rooms_adapter *adapter, const struct rooms_selector *who, const struct rooms_flags *flags,
                     const struct rooms_message *message);
    int (*broadcast_with_ack)(struct rooms_adapter *adapter, const struct rooms_selector *who,
                              const struct rooms_flags *flags, const struct rooms_message *message,
                              const struct rooms_ack_sink *sink);
    int (*join)(struct rooms_adapter *adapter, const struct rooms_selector *who, const struct rooms_flags *flags,
                const struct rooms_name *rooms, size_t room_count);
    int (*leave)(struct rooms_adapter *adapter, const struct rooms_selector *who, const struct rooms_flags *flags,
                 const struct rooms_name *rooms, size_t room_count);
    int (*disconnect)(struct rooms_adapter *adapter, const struct rooms_selector *who, const struct rooms_flags *flags,
                      bool close);
    int (*fetch)(struct rooms_adapter *adapter, const struct rooms_selector *who, const struct rooms_flags *flags,
                 rooms_fetch_fn each, rooms_done_fn done, void *ctx);
    /* To all other nodes; answer may be NULL (then done may be too). */
    int (*server_side_emit)(struct rooms_adapter *adapter, const struct rooms_flags *flags,
                            const struct rooms_message *message, rooms_answer_fn answer, rooms_done_fn done, void *ctx);
    int (*server_count)(struct rooms_adapter *adapter, void (*result)(void *ctx, int error, size_t servers), void *ctx);
    /* During a done that is given ROOMS_ETIMEOUT: which nodes did not answer, as text. May be NULL. */
    struct rooms_name (*missing)(struct rooms_adapter *adapter);
    /* Told by the namespace so that an adapter subscribes to what is needed. May be NULL. */
    void (*room_created)(struct rooms_adapter *adapter, struct rooms_name room);
    void (*room_deleted)(struct rooms_adapter *adapter, struct rooms_name room);

    /* Connection state recovery; all NULL: this adapter has none. */
    int (*session_save)(struct rooms_adapter *adapter, const struct rooms_session *session);
    /* Takes the session out and gives it to done, once; with NULL when the adapter is freed before. offset n 0: the
     * peer has none, so from where it connected. */
    void (*session_restore)(struct rooms_adapter *adapter, struct rooms_name pid, struct rooms_name offset,
                            rooms_restore_fn done, void *ctx);
    /* Everything logged after that offset, oldest first; then done, with ROOMS_ELIMIT if some of it is gone. */
    void (*replay)(struct rooms_adapter *adapter, struct rooms_name offset, rooms_replay_fn each, rooms_done_fn done,
                   void *ctx);
    /* The offset of what was logged last, at most ROOMS_OFFSET_SIZE with its terminator. */
    struct rooms_name (*last_offset)(struct rooms_adapter *adapter, char *out);
    /* Called now and then: lets go of what is too old. May be NULL. */
    void (*expire)(struct rooms_adapter *adapter);
};

/* First member of every adapter's own struct. */
struct rooms_adapter {
    const struct rooms_adapter_ops *ops;
    struct rooms_local local;
};

/* Makes the adapter of one namespace; `local` is copied. */
typedef struct rooms_adapter *(*rooms_adapter_factory)(void *ctx, const char *namespace_name,
                                                       const struct rooms_local *local);
/* One node: everything is local, server_count is 1, server_side_emit reaches nobody. A rooms_adapter_factory. */
ROOMS_API struct rooms_adapter *rooms_adapter_memory(void *ctx, const char *namespace_name,
                                                     const struct rooms_local *local);

/* ------------------------------------------------------------------- redis */

/* A node's connections to Redis, which the adapters of all its namespaces share: one publishes and asks, one listens,
 * and the streams adapter has a third, for what blocks. They stand on the caller's event_base and never block it. When
 * one is lost, all subscriptions come back with the next, and what is published meanwhile waits, up to a limit. Nothing
 * is published twice: what was handed to a connection that was lost is not sent again. */
struct event_base;
struct rooms_redis;

enum rooms_log_level { ROOMS_LOG_ERROR, ROOMS_LOG_WARN, ROOMS_LOG_INFO, ROOMS_LOG_DEBUG };
/* One line without its end, borrowed; never has a password in it. */
typedef void (*rooms_log_fn)(void *ctx, enum rooms_log_level level, const char *line);

/* Which rooms have a channel of their own (classic, sharded): all public ones, none, all. As in socket.io. */
enum rooms_redis_mode { ROOMS_REDIS_DYNAMIC, ROOMS_REDIS_STATIC, ROOMS_REDIS_DYNAMIC_PRIVATE };

/* Strings are copied. */
struct rooms_redis_options {
    /* redis://[[user]:password@]host[:port][/database], percent-encoded; several, with commas between, at most 16:
     * those of one Redis, tried in turn, replicas passed over. Default redis://127.0.0.1:6379. There is no TLS. */
    const char *url;
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
    uint32_t heartbeat_timeout_ms;  /* 10000: a node that was not heard for that long is gone */
    const char *session_prefix;     /* "sio:session:"; streams: keys of saved sessions */
    uint32_t stream_count;          /* 1 */
    uint32_t stream_max_length;     /* 10000 entries, about */
    uint32_t stream_read_count;     /* 100 entries at once */
    uint32_t stream_block_ms;       /* 5000 */
    rooms_log_fn log;               /* NULL: nothing is said */
    void *log_ctx;
};
ROOMS_API void rooms_redis_options_init(struct rooms_redis_options *options);

/* True if url can be given as options.url; else *why is an English text. */
ROOMS_API bool rooms_redis_url_is_valid(const char *url, const char **why);
/* Starts connecting on the next turns of the loop; it need not succeed. options NULL: the defaults. Returns NULL if
 * memory is short or the options are not valid; why (may be NULL) is then an English text. */
ROOMS_API struct rooms_redis *rooms_redis_new(struct event_base *base, const struct rooms_redis_options *options,
                                              const char **why);
/* After all its adapters, and never from one of its own callbacks. What waits is written if it can be at once. Accepts
 * NULL. */
ROOMS_API void rooms_redis_free(struct rooms_redis *redis);

struct rooms_redis_stats {
    bool connected;                /* all connections stand and all subscriptions are confirmed */
    uint64_t degraded_ms;          /* how long that is not so, or Redis refuses what it is told; 0: all is well */
    const char *why;               /* the last trouble, "" if there was none; valid until the next call of anything */
    const char *address;           /* host:port that is used or tried; likewise */
    size_t subscriptions;          /* that are wanted */
    size_t requests;               /* that wait for an answer */
    size_t pending, pending_bytes; /* published and not written */
    uint64_t published, published_bytes; /* written */
    uint64_t received, received_bytes;   /* messages of subscriptions */
    uint64_t ignored;                    /* messages nobody could use: garbage, or of what is not subscribed any more */
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

/* ------------------------------------------------------------------- inbox */

/* Bytes from node to node through Redis, beside the adapters: to whoever listens under a name, on the channel
 * "<key_prefix>-inbox#<name>#". In the order of telling, at most once: what is told while a connection to Redis is lost
 * on either side may not arrive. */
struct rooms_inbox;
struct rooms_inbox_handlers {
    void (*on_message)(void *ctx, const uint8_t *bytes, size_t size); /* borrowed */
    void (*on_down)(void *ctx); /* Redis went: something may have been lost. May be NULL */
};
/* Listens as soon as Redis is there. NULL: out of memory, or no name. The redis must outlive it. */
ROOMS_API struct rooms_inbox *rooms_inbox_new(struct rooms_redis *redis, const char *name,
                                              const struct rooms_inbox_handlers *handlers, void *ctx);
ROOMS_API void rooms_inbox_free(struct rooms_inbox *inbox); /* Accepts NULL. */

/* Copied; leaves at the end of this pass of the loop. 0, ROOMS_ELIMIT, ROOMS_ENOMEM. */
ROOMS_API int rooms_inbox_tell(struct rooms_inbox *inbox, const char *name, const uint8_t *bytes, size_t size);
/* The same, and fn is told later, once, how many listened; -1: nobody knows. Fails, and then fn is not called, with
 * ROOMS_EAWAY too, if Redis is not there. */
typedef void (*rooms_heard_fn)(void *ctx, int listeners);
ROOMS_API int rooms_inbox_tell_and_count(struct rooms_inbox *inbox, const char *name, const uint8_t *bytes, size_t size,
                                         rooms_heard_fn fn, void *ctx);
/* No fn with that ctx is called any more. */
ROOMS_API void rooms_inbox_cancel(struct rooms_inbox *inbox, const void *ctx);

/* --------------------------------------------------------------------- bus */

/* Between processes of one machine: each is a node, connected with every other by a pair of local stream sockets. A
 * broadcast goes to the processes that have members in its rooms, and to others whose rooms have the same hash. What a
 * process does not take, because it stands still, waits up to a limit; nobody waits for its answers. */
struct rooms_bus;

struct rooms_bus_options {
    size_t max_queue_bytes;      /* 16 MiB wait for one process; what is more is dropped for it */
    size_t max_message_bytes;    /* 16 MiB; larger ones are dropped, and close the connection that they arrive on */
    uint32_t request_timeout_ms; /* 5000: of questions to the others */
    uint32_t silent_ms;          /* 1500: one that says nothing for so long is not waited for */
    rooms_log_fn log;            /* NULL: nothing is said */
    void *log_ctx;
};
ROOMS_API void rooms_bus_options_init(struct rooms_bus_options *options);

/* options NULL: the defaults. NULL: out of memory. */
ROOMS_API struct rooms_bus *rooms_bus_new(struct event_base *base, const struct rooms_bus_options *options);
/* After all its adapters. Accepts NULL. */
ROOMS_API void rooms_bus_free(struct rooms_bus *bus);
/* Connects it with another process by one end of a non-blocking pair. number: the caller's name for it; the former one
 * of that number is removed. Takes the descriptor, also on failure: ROOMS_ENOMEM. A peer whose connection ends, or that
 * sends what is none of this, is removed by itself. */
ROOMS_API int rooms_bus_add_peer(struct rooms_bus *bus, uint64_t number, int take_fd);
/* Harmless if there is none. */
ROOMS_API void rooms_bus_remove_peer(struct rooms_bus *bus, uint64_t number);
/* Reads what has come and writes what was said; may call what adapters call. Done without being asked on the next turn
 * of the loop; whoever calls it before a turn's messages go to clients makes sure that the other processes are told
 * first, so that whatever the clients do next finds them informed. */
ROOMS_API void rooms_bus_flush(struct rooms_bus *bus);

struct rooms_bus_stats {
    size_t peers, silent;              /* now */
    size_t queued_bytes;               /* now, for all peers */
    uint64_t sent, sent_bytes;         /* frames, one for each peer */
    uint64_t filtered;                 /* not sent to a peer, since it has nobody in those rooms */
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

/* ----------------------------------------------------------------- msgpack */

/* Between messages as they are carried here (JSON text with placeholders, and attachments) and msgpack, in the dialect
 * of notepack.io, which Socket.IO's adapters and its msgpack parser use. Pure: no I/O, nothing is kept. LC_NUMERIC must
 * be C's, as it is unless somebody calls setlocale(). */

#define ROOMS_MSGPACK_DEPTH_MAX 1024 /* arrays and maps within each other; a larger max_depth counts as this */

struct rooms_msgpack_limits {
    size_t max_depth;       /* arrays and maps within each other; 0: none at all */
    size_t max_attachments; /* at most 65536: what placeholders can number */
};
struct rooms_msgpack_fault {
    size_t at;       /* byte offset, of the value that was refused or near it */
    const char *why; /* English, constant */
};
/* What was decoded. Attachments are slices of the input, numbered in order of appearance. */
struct rooms_decoded {
    char *json; /* not terminated */
    size_t json_size, json_capacity;
    struct rooms_bytes *attachments;
    size_t attachment_count, attachment_capacity;
};
/* Decodes the one value at p; what follows it is the caller's. Returns the bytes it takes, or with fault ROOMS_EINVAL,
 * ROOMS_ELIMIT (a limit was passed), ROOMS_ENOMEM; there is nothing to clear then. Memory is taken for what was read,
 * never for what a size claims: at most some 6 bytes for one, and 64 for an attachment.
 *  - bin, and extension 0 of a variable size (ArrayBuffer of older versions): an attachment.
 *  - Timestamps (extension -1, or 0 of 8 bytes: milliseconds): text as Date.prototype.toJSON() gives, or null.
 *  - undefined (d4 00 xx): left out of maps, else null. NaN and infinities: null.
 *  - Other extensions: [type, attachment].
 *  - Keys: text, or integers, which become text. Others are refused. Of a key that stands twice both are kept: readers
 *    of JSON take the last.
 *  - Text that is not UTF-8 is refused. Half of a surrogate pair as three bytes is taken, and becomes \ud800 and the
 * like.
 *  - A map with "_placeholder":true is refused if there are attachments: it could not be told from theirs. */
ROOMS_API long rooms_msgpack_decode(const uint8_t *p, size_t n, const struct rooms_msgpack_limits *limits,
                                    struct rooms_decoded *decoded, struct rooms_msgpack_fault *fault);
ROOMS_API void rooms_decoded_clear(struct rooms_decoded *decoded);

/* Writes msgpack. Errors stick (ROOMS_ENOMEM, ROOMS_EINVAL, ROOMS_ELIMIT); bytes are not to be used then. */
struct rooms_packer {
    uint8_t *bytes;
    size_t size, capacity;
    int error;
};
ROOMS_API void rooms_packer_init(struct rooms_packer *packer);
ROOMS_API void rooms_packer_clear(struct rooms_packer *packer);
/* The head of an array or map; that many elements or pairs follow. */
ROOMS_API void rooms_pack_array(struct rooms_packer *packer, size_t count);
ROOMS_API void rooms_pack_map(struct rooms_packer *packer, size_t count);
ROOMS_API void rooms_pack_text(struct rooms_packer *packer, const char *text, size_t size); /* UTF-8 */
ROOMS_API void rooms_pack_binary(struct rooms_packer *packer, struct rooms_bytes bytes);
ROOMS_API void rooms_pack_uint(struct rooms_packer *packer, uint64_t value);
/* JSON text that was checked: a value, or several with commas, which are packed one after another; none packs nothing.
 *  - Placeholders become bin; without attachments there are none, and such an object is data.
 *  - Integers of 64 bits stay exact and take as few bytes as possible, other whole numbers too; the rest is float 64.
 *  - Lone surrogates become U+FFFD. Keys stay in order, those that stand twice too.
 * ROOMS_EINVAL: not JSON in UTF-8, or a placeholder without its attachment. ROOMS_ELIMIT: deeper than
 * ROOMS_MSGPACK_DEPTH_MAX. */
ROOMS_API void rooms_pack_json(struct rooms_packer *packer, struct rooms_bytes json,
                               const struct rooms_bytes *attachments, size_t attachment_count);

#ifdef __cplusplus
}
#endif
#endif
