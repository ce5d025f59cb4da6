/* rooms: which members are in which room, and how a broadcast reaches them, on this node and on others.
 *
 * The index is two-way: a room has a dense array of its members, a member has a list of (room, position). So join and
 * leave are O(1), a broadcast walks contiguous pointers, and leaving all rooms is O(rooms of that member). A member is
 * any object that embeds struct rooms_member; this library does not know sockets.
 *
 * Every member is also alone in a room with its own id as the name, until it leaves it (as in socket.io). That room
 * costs no memory: it is found through the table of ids.
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

/* What functions return; rooms_strerror() has the texts. */
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

/* One of a member's rooms. Fields are private. */
struct rooms_link {
    struct rooms_room *room;
    uint32_t position;
};

/* Embedded in the owner's object. Fields are private. */
struct rooms_member {
    const char *id; /* the owner's memory; constant while in the index */
    union {
        struct rooms_link link;   /* link_capacity 1: most are in one room */
        struct rooms_link *links; /* above */
    };
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

/* Options of an index, with the defaults beside the fields. */
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

/* The member with that id, or NULL; how many members there are; whether one is in a room. */
ROOMS_API struct rooms_member *rooms_member_find(struct rooms_index *index, struct rooms_name id);
ROOMS_API size_t rooms_member_count(const struct rooms_index *index);
ROOMS_API bool rooms_is_in(struct rooms_index *index, const struct rooms_member *member, struct rooms_name room);
/* The i-th room of a member, its own first. Returns false past the end. */
ROOMS_API bool rooms_member_room_at(const struct rooms_member *member, size_t i, struct rooms_name *room);

/* The room of that name if members joined it, or NULL (own rooms are not found here). Valid until it is deleted. */
ROOMS_API struct rooms_room *rooms_find(struct rooms_index *index, struct rooms_name room);
/* The members that joined, in no order; changes with every join and leave. */
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

/* Borrowed bytes. */
struct rooms_bytes {
    const uint8_t *p;
    size_t n;
};
/* A message in the namespace's own encoded form: a member of its struct. */
struct rooms_prepared {
    size_t bytes;
};
/* An event as the adapters carry it: `json` is the array ["name",arg,…] with placeholders, then its attachments.
 * `prepared` is for the local part, or NULL if the event came from another node. */
struct rooms_message {
    struct rooms_bytes json;
    const struct rooms_bytes *attachments;
    size_t attachment_count;
    struct rooms_prepared *prepared;
    struct rooms_name offset; /* set by an adapter that logs: plain ASCII, delivered as one more argument; n 0: none */
};
struct rooms_flags {
    bool local;          /* this node only */
    bool is_volatile;    /* may be dropped */
    bool compress;       /* false only if the caller asked for no compression */
    uint32_t timeout_ms; /* of requests and acks; 0: the adapter's default */
};

/* Where the answers to a broadcast with acks go. The caller keeps the timeout: it drops what comes after it. */
struct rooms_ack_sink {
    void (*clients)(void *ctx, size_t count); /* that many more answers are expected; once per server */
    void (*counted)(void *ctx);               /* every server has sent its count */
    void (*ack)(void *ctx, const struct rooms_message *answer); /* json: array of the ack's arguments */
    void *ctx;
};

/* Limits of connection state recovery, of one namespace. */
struct rooms_recovery {
    uint32_t max_disconnection_ms; /* how long a session is kept */
    uint32_t liveness_ms;          /* what was sent that long before a connection broke did arrive */
    size_t max_log_bytes; /* above: the oldest messages are dropped, and clients that missed them are not recovered */
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
/* session NULL: it is unknown or too old, or the log does not reach back far enough. */
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
    /* May be NULL. Another node is about to restore that session: if the session is still connected here, it is
     * disconnected and passed to session_save() before this returns. */
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

/* What an adapter does. */
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
    /* During a done with ROOMS_ETIMEOUT: which nodes did not answer, as text. May be NULL. */
    struct rooms_name (*missing)(struct rooms_adapter *adapter);
    /* Called by the namespace, so that an adapter can subscribe to what it needs. May be NULL. */
    void (*room_created)(struct rooms_adapter *adapter, struct rooms_name room);
    void (*room_deleted)(struct rooms_adapter *adapter, struct rooms_name room);
    /* Of a room with members here: false while what other nodes send to it may not reach this one yet. True also if
     * nothing can be waited for: the way to the others is broken, or refuses. NULL: always true. */
    bool (*hears)(struct rooms_adapter *adapter, struct rooms_name room);

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
    /* Called from time to time, to drop what is too old. May be NULL. */
    void (*expire)(struct rooms_adapter *adapter);
};

/* First member of every adapter's own struct. */
struct rooms_adapter {
    const struct rooms_adapter_ops *ops;
    struct rooms_local local;
};

/* Creates the adapter of one namespace; `local` is copied. */
typedef struct rooms_adapter *(*rooms_adapter_factory)(void *ctx, const char *namespace_name,
                                                       const struct rooms_local *local);
/* A single node: everything is local, server_count is 1, server_side_emit reaches no other. A rooms_adapter_factory. */
ROOMS_API struct rooms_adapter *rooms_adapter_memory(void *ctx, const char *namespace_name,
                                                     const struct rooms_local *local);

/* ----------------------------------------------------------------- mailbox */

/* The second seam between nodes, beside the adapter's: bytes to one node, by its name. Messages arrive in the order in
 * which they were sent, at most once; those sent while the carrier is disconnected, on either side, may be lost. While
 * it is disconnected none arrive: who remembers nothing at on_down has missed nothing since. */
struct rooms_mailbox_handlers {
    void (*on_message)(void *ctx, const uint8_t *bytes, size_t size); /* borrowed */
    void (*on_down)(void *ctx); /* the carrier was disconnected: messages may have been lost. May be NULL */
};
/* listeners: how many mailboxes of that name there were; -1: unknown. */
typedef void (*rooms_mailbox_count_fn)(void *ctx, int listeners);

struct rooms_mailbox;

/* What a mailbox does. */
struct rooms_mailbox_ops {
    void (*free)(struct rooms_mailbox *mailbox);
    /* The bytes are copied, and leave at the end of this turn of the loop. Returns 0, ROOMS_EINVAL (the name cannot be
     * used), ROOMS_ELIMIT or ROOMS_ENOMEM. Never calls back before it returns. */
    int (*send)(struct rooms_mailbox *mailbox, const char *name, const uint8_t *bytes, size_t size);
    /* The same, and calls fn once, later. May also fail with ROOMS_EAWAY, without a connection; after a failure fn is
     * not called. */
    int (*send_and_count)(struct rooms_mailbox *mailbox, const char *name, const uint8_t *bytes, size_t size,
                          rooms_mailbox_count_fn fn, void *ctx);
    /* Calls no fn with that ctx any more. */
    void (*cancel)(struct rooms_mailbox *mailbox, const void *ctx);
};
/* First member of every mailbox's own struct. */
struct rooms_mailbox {
    const struct rooms_mailbox_ops *ops;
};
/* Opens the mailbox of that name; name and handlers are copied. NULL: out of memory, or the name cannot be used. */
typedef struct rooms_mailbox *(*rooms_mailbox_factory)(void *ctx, const char *name,
                                                       const struct rooms_mailbox_handlers *handlers,
                                                       void *handlers_ctx);

#ifdef __cplusplus
}
#endif
#endif
