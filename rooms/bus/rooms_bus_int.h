/* The bus between processes of one machine: the carrier of rooms_cluster.c over pairs of local sockets.
 *
 *     rooms_bus_frame.c    pure: frames and messages as bytes
 *     rooms_bus.c          peers: sockets, queues, which messages each of them needs
 *     rooms_bus_adapter.c  the adapter of a namespace
 *     rooms_bus_recovery.c its log, and sessions that another process kept
 *
 * JSON and attachments travel as they are. All messages of one pass of the loop leave in one write per peer. */
#ifndef ROOMS_BUS_INT_H
#define ROOMS_BUS_INT_H

#include "base_clock.h"
#include "rooms_cluster_int.h"

#include <event2/event.h>

/* ------------------------------------------------------- rooms_bus_frame.c */

/* A frame: its size without these 4 bytes, in the machine's order, a kind, then what belongs to it. */
enum rooms__bus_kind {
    ROOMS__BUS_HELLO = 1, /* version, uid */
    ROOMS__BUS_PING,
    ROOMS__BUS_WHO,     /* introduce your namespaces again */
    ROOMS__BUS_FILTER,  /* all buckets as bits: which have rooms here */
    ROOMS__BUS_BUCKET,  /* one that changed */
    ROOMS__BUS_MESSAGE, /* of a namespace */
    ROOMS__BUS_TAKE,    /* a session is asked for */
    ROOMS__BUS_SESSION, /* the answer */
};
enum { ROOMS__BUS_VERSION = 1, ROOMS__BUS_HEAD = 5 };

/* Writing: errors stick in the packer, which is a buffer of bytes. begin() returns where the frame starts. */
size_t rooms__bus_begin(struct rooms_packer *out, enum rooms__bus_kind kind);
void rooms__bus_end(struct rooms_packer *out, size_t start);
void rooms__bus_put_u32(struct rooms_packer *out, uint32_t value);
void rooms__bus_put_u64(struct rooms_packer *out, uint64_t value);
void rooms__bus_put_bytes(struct rooms_packer *out, const void *p, size_t n); /* with their size */
/* A whole frame; its sender's uid is the link's. seq: of the sender's log in that namespace. */
void rooms__bus_put_message(struct rooms_packer *out, struct rooms_name nsp, uint64_t seq,
                            const struct rooms_cluster_message *message);

/* Reading: never past the end; once false, always false. */
struct rooms__bus_reader {
    const uint8_t *p, *end;
    bool failed;
};
uint8_t rooms__bus_u8(struct rooms__bus_reader *in);
uint32_t rooms__bus_u32(struct rooms__bus_reader *in);
uint64_t rooms__bus_u64(struct rooms__bus_reader *in);
struct rooms_bytes rooms__bus_bytes(struct rooms__bus_reader *in);
struct rooms_name rooms__bus_name(struct rooms__bus_reader *in);

struct rooms__bus_message {
    struct rooms_name nsp;
    uint64_t seq;
    struct rooms_cluster_message message; /* uid: not set */
    void *memory;                         /* of its lists; free() */
};
/* Reads what follows the head of such a frame; the message points into it. Returns 0, ROOMS_EINVAL or ROOMS_ENOMEM;
 * after an error there is nothing to free. */
int rooms__bus_read_message(struct rooms__bus_reader *in, struct rooms__bus_message *out);

/* ------------------------------------------------------------- rooms_bus.c */

/* Rooms are grouped into buckets by a hash. A peer with a room in a bucket gets the broadcasts to any room of that
 * bucket. */
enum { ROOMS__BUS_BUCKETS = 1 << 18, ROOMS__BUS_FILTER_BYTES = ROOMS__BUS_BUCKETS / 8 };
/* Sockets are rooms, too, which no peer names: names of that size go to all. */
enum { ROOMS__BUS_ID_SIZE = 20 };

struct rooms__bus_adapter;

struct rooms__bus_peer {
    struct rooms__bus_peer *next;
    struct rooms_bus *bus;
    uint64_t number;
    int fd;
    struct event *read_event, *write_event;
    char uid[ROOMS_UID_SIZE + 1]; /* "": before its HELLO */
    uint8_t *filter;              /* NULL: not known, it gets everything */
    struct rooms_packer queue;    /* what its socket did not take, from `sent` on */
    size_t sent;
    bool waits;        /* for its socket */
    bool owes_filter;  /* our filter has changed, and it could not be sent the changes */
    bool silent;       /* unresponsive: no request waits for it */
    bool failed;       /* to be closed once nothing is written any more */
    bool closed;       /* to be freed */
    uint64_t heard_ms; /* when anything was read */
    uint8_t *in;
    size_t in_size, in_capacity;
};

/* A frame queued in this pass, and its recipients. */
struct rooms__bus_item {
    size_t from, size;            /* in the pass's bytes */
    struct rooms__bus_peer *only; /* NULL: all that want it */
    uint32_t bucket_count;        /* 0: all */
    uint32_t buckets[4];
};

struct rooms_bus {
    struct rooms_bus_options options;
    struct event_base *base;
    struct event *flush_event, *ping_event;
    char uid[ROOMS_UID_SIZE + 1];
    struct rooms__bus_peer *peers;
    struct rooms__bus_adapter *adapters;
    struct rooms_packer pass;
    struct rooms__bus_item *items;
    size_t item_count, item_capacity;
    uint32_t *changed; /* buckets whose changes are still to be sent */
    size_t changed_count, changed_capacity;
    bool flush_due, in_flush;
    unsigned depth;     /* of nested walks over the peers: closed ones are freed after the last */
    uint32_t *rooms_in; /* by bucket: how many rooms here */
    uint8_t *filter;    /* the same as bits */
    struct rooms_cluster_stats cluster_stats;
    struct rooms_bus_stats stats;
};

uint32_t rooms__bus_bucket(struct rooms_name nsp, struct rooms_name room);
void rooms__bus_count_room(struct rooms_bus *bus, struct rooms_name nsp, struct rooms_name room, int by);
/* Queues the frame begun at `from` in bus->pass. only NULL: for all peers. who NULL: regardless of their rooms. */
void rooms__bus_commit(struct rooms_bus *bus, size_t from, struct rooms__bus_peer *only, struct rooms_name nsp,
                       const struct rooms_selector *who);
struct rooms__bus_peer *rooms__bus_find_uid(struct rooms_bus *bus, struct rooms_name uid);
/* True: it answers. */
bool rooms__bus_is_there(const struct rooms__bus_peer *peer);
void rooms__bus_log(struct rooms_bus *bus, enum rooms_log_level level, const struct rooms__bus_peer *peer,
                    const char *what);

/* ----------------------------------------------------- rooms_bus_adapter.c */

struct rooms__bus_take; /* rooms_bus_recovery.c */

struct rooms__bus_adapter {
    struct rooms_cluster cluster;
    struct rooms_bus *bus;
    struct rooms__bus_adapter *prev, *next;
    struct rooms_log *log; /* NULL: no recovery */
    uint64_t origin;       /* of this process, in logs */
    uint64_t seq;          /* how many of its messages were logged, in this namespace */
    struct rooms__bus_take *takes;
    uint64_t last_take;
};

static inline struct rooms_name rooms__bus_nsp(const struct rooms__bus_adapter *adapter)
{
    return rooms_cluster_nsp(&adapter->cluster);
}

/* Announces this namespace to a peer, or to all (NULL). */
void rooms__bus_introduce(struct rooms__bus_adapter *adapter, struct rooms__bus_peer *only);
/* Handles a frame that concerns a namespace. Returns 0, or ROOMS_EINVAL if it is malformed. */
int rooms__bus_receive(struct rooms_bus *bus, struct rooms__bus_peer *peer, enum rooms__bus_kind kind,
                       struct rooms__bus_reader *in);
/* Queues a message. */
void rooms__bus_put(struct rooms__bus_adapter *adapter, struct rooms__bus_peer *only,
                    const struct rooms_cluster_message *message, const struct rooms_selector *who);

/* ---------------------------------------------------- rooms_bus_recovery.c */

/* A process's number in logs, derived from its uid. */
uint64_t rooms__bus_origin(const char *uid);
int rooms__bus_broadcast(struct rooms_adapter *adapter, const struct rooms_selector *who,
                         const struct rooms_flags *flags, const struct rooms_message *message);
int rooms__bus_session_save(struct rooms_adapter *adapter, const struct rooms_session *session);
void rooms__bus_session_restore(struct rooms_adapter *adapter, struct rooms_name pid, struct rooms_name offset,
                                rooms_restore_fn done, void *ctx);
void rooms__bus_replay(struct rooms_adapter *adapter, struct rooms_name offset, rooms_replay_fn each,
                       rooms_done_fn done, void *ctx);
struct rooms_name rooms__bus_last_offset(struct rooms_adapter *adapter, char *out);
void rooms__bus_expire(struct rooms_adapter *adapter);
/* Logs a peer's message if recovery needs it, and sets its offset; out: ROOMS_OFFSET_SIZE. */
void rooms__bus_heard(struct rooms__bus_adapter *adapter, const struct rooms__bus_peer *peer,
                      struct rooms__bus_message *read, char *out);
/* A peer asks for a session; a peer's answer. ROOMS_EINVAL: malformed. */
int rooms__bus_give(struct rooms__bus_adapter *adapter, struct rooms__bus_peer *peer, struct rooms__bus_reader *in);
int rooms__bus_given(struct rooms__bus_adapter *adapter, struct rooms__bus_peer *peer, struct rooms__bus_reader *in);
/* Ends requests that this peer will not answer. NULL: those that no peer will. */
void rooms__bus_takes_gone(struct rooms__bus_adapter *adapter, const struct rooms__bus_peer *peer);

/* The peer is gone, or fell silent. */
void rooms__bus_peer_gone(struct rooms_bus *bus, struct rooms__bus_peer *peer);

#endif
