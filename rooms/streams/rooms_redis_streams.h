/* The adapter on Redis streams, in the format of @socket.io/redis-streams-adapter 0.3:
 *
 *     rooms_redis_streams.c  the adapter: what goes to the stream, what to channels; delivery in the log's order
 *     rooms_redis_reader.c   reading the streams, for all adapters of the node
 *     rooms_redis_session.c  connection state recovery: sessions, and what was missed
 *     rooms_redis_evict.c    the old connection of a client that is back, at another node
 *     rooms_redis_entry.c    pure: ids, entries, sessions as Redis holds them */
#ifndef ROOMS_REDIS_STREAMS_H
#define ROOMS_REDIS_STREAMS_H

#include "rooms_redis_carrier.h"

/* ----------------------------------------------------- rooms_redis_entry.c */

/* <ms>-<seq>; {0, 0} is before all. */
struct rooms__stream_id {
    uint64_t ms, seq;
};
/* Digits, a dash, digits; nothing else. */
bool rooms__stream_id_read(struct rooms_name text, struct rooms__stream_id *id);
struct rooms_name rooms__stream_id_put(struct rooms__stream_id id, char *out); /* ROOMS_OFFSET_SIZE */
static inline bool rooms__stream_id_after(struct rooms__stream_id a, struct rooms__stream_id b)
{
    return a.ms != b.ms ? a.ms > b.ms : a.seq > b.seq;
}

/* An entry of a reply to XREAD or XRANGE: [id, [field, value, …]]. Slices of the reply. */
struct rooms__stream_entry {
    struct rooms__stream_id id;
    struct rooms_name uid, nsp, type;
    struct rooms_bytes data;
};
/* Returns false if the id is missing or a field is not a string. Missing fields have n 0. */
bool rooms__stream_entry_read(const struct redisReply *reply, struct rooms__stream_entry *entry);

/* The reply to XINFO STREAM. An error "no such key" means a stream that is empty and was never trimmed. */
struct rooms__stream_info {
    struct rooms__stream_id first, last; /* first: {0, 0} if it is empty */
    bool whole;                          /* nothing was ever taken out of it */
};
bool rooms__stream_info_read(const struct redisReply *reply, struct rooms__stream_info *info);
/* Returns true if all entries after `id` are still there. */
bool rooms__stream_reaches(const struct rooms__stream_info *info, struct rooms__stream_id id);

/* The number of a namespace's stream, as the official adapter counts it: from -(count - 1) to count - 1, since its hash
 * is signed. What is below 0 no node of that kind reads, but all write. */
int32_t rooms__stream_number(struct rooms_name nsp, uint32_t count);

/* base64 of msgpack {sid, pid, rooms, data}, and of our own: from where the member's connection began, and what surely
 * arrived (n 0: not known). */
struct rooms__stream_session {
    struct rooms_session session; /* offset: where it began */
    struct rooms_name arrived;
    struct rooms_decoded decoded; /* memory of what was read */
    struct rooms__names rooms;
    uint8_t *binary;
    char *text;
};
void rooms__stream_session_put(struct rooms_packer *packer, const struct rooms_session *session,
                               struct rooms_name arrived);
/* Returns 0, ROOMS_EINVAL, ROOMS_ELIMIT or ROOMS_ENOMEM; on failure there is nothing to clear. */
int rooms__stream_session_read(struct rooms__stream_session *session, struct rooms_bytes text);
void rooms__stream_session_clear(struct rooms__stream_session *session);

/* ---------------------------------------------------- rooms_redis_reader.c */

struct rooms__streams_adapter;

/* One of the node's streams. */
struct rooms__stream {
    struct rooms__streams *streams;
    char *name;
    struct rooms__stream_id last; /* delivered */
    bool is_known;                /* whether its end has been found */
};

/* What the streams adapters of a node share; made by the first, freed when the last is gone. */
struct rooms__streams {
    struct rooms_redis *redis;
    struct rooms__redis_watcher watcher;
    struct base_timer retry;
    struct rooms__streams_adapter *adapters;
    struct rooms__stream *list; /* 2 * stream_count - 1, by number; of one stream: the only one */
    size_t count;
    uint32_t stream_count;
    size_t looking;  /* answers about where streams end that did not come yet */
    bool is_reading; /* an XREAD is under way */
    bool is_busy;    /* in a reply: freeing waits */
};
/* Returns 0 or ROOMS_ENOMEM. */
int rooms__streams_enter(struct rooms__streams_adapter *adapter);
void rooms__streams_leave(struct rooms__streams_adapter *adapter);

/* --------------------------------------------------- rooms_redis_streams.c */

/* A broadcast of this node whose id is to come. In the order of publishing. */
struct rooms__stream_pending {
    struct rooms__stream_pending *next;
    uint64_t ticket;
    uint64_t hash; /* of the value of "data" */
    struct rooms__stream_id id;
    bool replied, done; /* Redis has returned the id; it was delivered */
};

enum { ROOMS__SAMPLES = 32, ROOMS__PID_MAX = 63 };

struct rooms__streams_adapter {
    struct rooms__redis_carrier carrier;
    struct rooms__streams *streams;
    struct rooms__streams_adapter *prev, *next;
    struct rooms__stream *stream;
    struct rooms__stream_pending *pending_first, *pending_last;
    /* rooms_redis_session.c */
    struct rooms__stream_question *questions;
    struct rooms__stream_copy *tail_first, *tail_last; /* what was read during a replay */
    size_t tail_bytes;
    uint64_t moved_ms; /* the last entry was delivered */
    struct rooms__stream_id moved_to;
    struct {
        uint64_t at_ms;
        struct rooms__stream_id id;
    } samples[ROOMS__SAMPLES]; /* what had been delivered when: a ring */
    size_t sample_count;
    uint64_t saved; /* sessions */
    /* rooms_redis_evict.c */
    struct rooms__redis_subscription evict_questions, evict_answers;
    struct rooms__eviction *evictions;
    size_t eviction_count;
    uint64_t last_eviction;
};

static inline struct rooms__streams_adapter *rooms__streams_adapter_of(const struct rooms_cluster *cluster)
{
    return container_of(rooms__redis_carrier_of(cluster), struct rooms__streams_adapter, carrier);
}
/* What the reader found for this namespace; then stream->last becomes its id. */
void rooms__streams_take(struct rooms__streams_adapter *adapter, const struct rooms__stream_entry *entry);
/* stream->last has moved, past an entry of this or another namespace. */
void rooms__streams_moved(struct rooms__streams_adapter *adapter);

/* --------------------------------------------------- rooms_redis_session.c */

/* An event of the log was read: message->packet.offset is its id. */
void rooms__sessions_take(struct rooms__streams_adapter *adapter, const struct rooms_cluster_message *message);
/* stream->last has moved. */
void rooms__sessions_moved(struct rooms__streams_adapter *adapter);
/* Returns true during a replay, which needs to see what is read. */
bool rooms__sessions_listen(const struct rooms__streams_adapter *adapter);
void rooms__sessions_clear(struct rooms__streams_adapter *adapter);

int rooms__sessions_save(struct rooms_adapter *adapter, const struct rooms_session *session);
void rooms__sessions_restore(struct rooms_adapter *adapter, struct rooms_name pid, struct rooms_name offset,
                             rooms_restore_fn done, void *ctx);
void rooms__sessions_replay(struct rooms_adapter *adapter, struct rooms_name offset, rooms_replay_fn each,
                            rooms_done_fn done, void *ctx);
struct rooms_name rooms__sessions_last_offset(struct rooms_adapter *adapter, char *out);

/* ----------------------------------------------------- rooms_redis_evict.c */

/* A request to all other nodes to end the connection with that pid, if it counts as alive there, and to save its
 * session. Embedded, zeroed. */
struct rooms__eviction {
    struct base_timer timer;
    struct rooms__eviction *prev, *next;
    struct rooms__streams_adapter *adapter; /* NULL: nothing is asked */
    uint64_t id;
    bool is_counted; /* Redis has returned how many nodes got it */
    uint64_t others, answers;
    void (*done)(struct rooms__eviction *eviction); /* once, later: the one that had it, or all, have answered, or the
                                                       time is up */
};
/* 0, or an error and done will not be called. */
int rooms__evict(struct rooms__streams_adapter *adapter, struct rooms__eviction *eviction, struct rooms_name pid);
/* Harmless if nothing is asked. */
void rooms__evict_stop(struct rooms__eviction *eviction);
/* Nothing to do without recovery. Returns 0, or an error and there is nothing to leave. */
int rooms__evictions_enter(struct rooms__streams_adapter *adapter);
void rooms__evictions_leave(struct rooms__streams_adapter *adapter);

#endif
