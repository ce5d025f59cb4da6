/* What nodes say to each other: the conversation of socket.io's cluster adapter, over any carrier.
 *
 *     rooms_cluster.c           the adapter's operations; what other nodes' messages do here
 *     rooms_cluster_requests.c  questions to all nodes and their answers; questions of others that are answered later
 *     rooms_cluster_nodes.c     who is there: heartbeats, nodes that say goodbye or fall silent
 *     rooms_cluster_lane.c      the order of what waits for the log's answer
 *     rooms_cluster_time.c      deadlines on one timer
 *
 * A carrier is an adapter whose struct contains a struct rooms__cluster. It only moves messages: it encodes and sends
 * what publish() and respond() are given, and hands what it hears to rooms__cluster_receive(). It has the ops of
 * ROOMS__CLUSTER_OPS and those of its own. */
#ifndef ROOMS_CLUSTER_INT_H
#define ROOMS_CLUSTER_INT_H

#include "base_check.h"
#include "rooms_int.h"

struct event;
struct event_base;

enum {
    ROOMS__UID_SIZE = 16, /* of our own; others' may be up to ROOMS__UID_MAX */
    ROOMS__UID_MAX = 63,
    ROOMS__MISSING_SIZE = 256,
};

/* ---------------------------------------------------------------- messages */

/* The numbers stand on the wire. */
enum rooms__cluster_type {
    ROOMS__INITIAL_HEARTBEAT = 1, /* I am new: who is there? */
    ROOMS__HEARTBEAT,
    ROOMS__BROADCAST,     /* packet, who, flags; with a request: acks are asked for */
    ROOMS__SOCKETS_JOIN,  /* who, rooms */
    ROOMS__SOCKETS_LEAVE, /* who, rooms */
    ROOMS__DISCONNECT_SOCKETS,
    ROOMS__FETCH_SOCKETS,
    ROOMS__FETCH_SOCKETS_RESPONSE,
    ROOMS__SERVER_SIDE_EMIT, /* packet; with a request: an answer is asked for */
    ROOMS__SERVER_SIDE_EMIT_RESPONSE,
    ROOMS__BROADCAST_CLIENT_COUNT,
    ROOMS__BROADCAST_ACK,
    ROOMS__ADAPTER_CLOSE,
};

/* One message, independent of how a carrier encodes it. Everything is borrowed for the call. */
struct rooms__cluster_message {
    enum rooms__cluster_type type;
    struct rooms_name uid;     /* of the node that says it; publish() and respond() are given it */
    struct rooms_name request; /* id; n 0: none. Answers name what they answer */
    struct rooms_selector who; /* 3 to 7 */
    struct rooms_flags flags;  /* 3 to 7: is_volatile, compress, timeout_ms; `local` is never sent */
    /* 3, 9: the event's array; 10, 12: an array of the answer's arguments, of which the first counts (a carrier whose
     * format has one value only sends that). prepared is not for carriers. 3: offset, if it came out of a log. */
    struct rooms_message packet;
    const struct rooms_name *rooms; /* 4, 5 */
    size_t room_count;
    bool close;                        /* 6: the connection, too */
    const struct rooms_bytes *sockets; /* 8: JSON objects */
    size_t socket_count;
    size_t client_count; /* 11 */
};

/* ------------------------------------------------------------------ carrier */

struct rooms__cluster;

struct rooms__carrier_ops {
    /* To all other nodes. 0: sent or kept to be sent. Never calls rooms__cluster_… before it returns. */
    int (*publish)(struct rooms__cluster *cluster, const struct rooms__cluster_message *message);
    int (*respond)(struct rooms__cluster *cluster, struct rooms_name uid, const struct rooms__cluster_message *message);
    /* NULL: the others are the nodes heard of (rooms__cluster_node_seen). Else asked once per request; the answer is
     * rooms__cluster_counted(), now or later. 0, or nobody will answer. */
    int (*count_others)(struct rooms__cluster *cluster, uint64_t ticket);
    /* NULL: no log. Publishes a broadcast that is to have an offset. 0: rooms__cluster_logged() will be called for it,
     * later, in the order of the tickets; else it is delivered without. */
    int (*log)(struct rooms__cluster *cluster, const struct rooms__cluster_message *message, uint64_t ticket);
    /* May be NULL. A request ended without all answers: to be said in a log. missing: who did not answer, "" unknown.
     */
    void (*incomplete)(struct rooms__cluster *cluster, const char *missing);
};

struct rooms__cluster_options {
    uint32_t request_timeout_ms;    /* 5000; what a caller names wins */
    uint32_t heartbeat_interval_ms; /* 5000; 0: the carrier knows by itself who is there */
    uint32_t heartbeat_timeout_ms;  /* 10000: a node that was silent for so long is gone */
    uint32_t log_wait_ms;           /* 1000: delivery waits for the log's answer no longer */
    size_t max_log_wait_bytes;      /* 16 MiB: nor for more than that */
    size_t max_requests;            /* 10000 that wait at once, own and others' each */
    size_t max_nodes;               /* 1024 */
};
void rooms__cluster_options_init(struct rooms__cluster_options *options);

/* Counters, of all clusters that are given the same struct. */
struct rooms__cluster_stats {
    uint64_t requests;
    uint64_t request_timeouts;
    uint64_t nodes_lost; /* fell silent */
    uint64_t ignored;    /* messages that make no sense, and answers to nothing */
    uint64_t repeated;   /* messages and answers that came twice */
    uint64_t limit_requests, limit_nodes;
    uint64_t log_late; /* times that delivery stopped waiting for the log */
};

/* ----------------------------------------------------------------- internal */

/* A moment at which something is due. Embedded; zeroed: not waiting. */
struct rooms__due {
    struct rooms__due *prev, *next; /* by time; next NULL: not waiting */
    uint64_t at_ms;
    void (*fn)(struct rooms__cluster *cluster, struct rooms__due *due);
};

struct rooms__node {
    struct rooms__node *prev, *next; /* by seen_ms */
    uint64_t seen_ms;
    bool beats; /* sends heartbeats, so that its silence means something */
    bool lost;  /* silent for too long, while the carrier may still count it */
    uint8_t uid_size;
    char uid[ROOMS__UID_MAX + 1];
};

struct rooms__lane_entry;

/* What has to be applied here in order while the first of it waits for the log. */
struct rooms__lane {
    struct rooms__lane_entry *first, *last;
    size_t bytes;
    uint64_t ticket; /* the last one given */
    bool late;       /* the log did not answer in time: nobody waits for it until it does */
    struct rooms__due due;
};

enum { ROOMS__HEARD_SIZE = 256 };

/* A member of every carrier's own struct. */
struct rooms__cluster {
    struct rooms_adapter adapter;
    const struct rooms__carrier_ops *carrier;
    struct rooms__cluster_options options;
    struct rooms__cluster_stats *stats;
    char uid[ROOMS__UID_SIZE + 1];
    char *nsp; /* with its slash */
    size_t nsp_size;
    uint8_t key[16];
    struct event *timer; /* NULL: rooms__cluster_tick() is called by somebody else */
    uint64_t armed_ms;   /* 0: not */
    struct rooms__due dues;
    struct rooms__due heartbeat, sweep;
    struct rooms_table nodes;
    struct rooms__node silent_longest; /* head of the list */
    struct rooms_table requests;
    struct rooms__request *first_request;
    struct rooms__served *first_served;
    size_t served_count;
    uint64_t heard[ROOMS__HEARD_SIZE]; /* requests that came lately, hashed, so that none is done twice */
    size_t heard_at;
    struct rooms__lane lane;
    char missing[ROOMS__MISSING_SIZE];
};

/* ------------------------------------------------------------ for carriers */

/* Fills a zeroed struct: options and local are copied, stats stay the caller's. base NULL: no timer, for tests.
 * The carrier has set adapter.ops. Returns 0 or ROOMS_ENOMEM, then there is nothing to clear. */
struct rooms__cluster_setup {
    const struct rooms__carrier_ops *carrier;
    const struct rooms__cluster_options *options;
    struct rooms__cluster_stats *stats;
    struct event_base *base;
    const char *nsp;
    const struct rooms_local *local;
};
int rooms__cluster_init(struct rooms__cluster *cluster, const struct rooms__cluster_setup *setup);
/* Says goodbye through publish(), ends all requests with what arrived, and frees; then the carrier frees its own. */
void rooms__cluster_clear(struct rooms__cluster *cluster);
/* Tells the others that this node is there, and starts heartbeats; again whenever the carrier has come back. */
void rooms__cluster_announce(struct rooms__cluster *cluster);
/* What another node said. Own messages and those said twice are ignored. */
void rooms__cluster_receive(struct rooms__cluster *cluster, const struct rooms__cluster_message *message);
/* A carrier that knows who is there: a node came, or is gone and will not answer. */
void rooms__cluster_node_seen(struct rooms__cluster *cluster, struct rooms_name uid);
void rooms__cluster_node_gone(struct rooms__cluster *cluster, struct rooms_name uid);
/* Nodes that fell silent, for carriers that count: at most `max`; whose that are not counted, node_gone(). */
size_t rooms__cluster_lost(const struct rooms__cluster *cluster, struct rooms_name *uids, size_t max);
/* How many others there are; error: it cannot be known, and nobody is waited for. */
void rooms__cluster_counted(struct rooms__cluster *cluster, uint64_t ticket, int error, size_t others);
/* The log's answer; offset n 0: it was not logged after all. */
void rooms__cluster_logged(struct rooms__cluster *cluster, uint64_t ticket, struct rooms_name offset);
/* Does what is due; for those who have no timer. */
void rooms__cluster_tick(struct rooms__cluster *cluster);

int rooms__cluster_broadcast(struct rooms_adapter *adapter, const struct rooms_selector *who,
                             const struct rooms_flags *flags, const struct rooms_message *message);
int rooms__cluster_broadcast_with_ack(struct rooms_adapter *adapter, const struct rooms_selector *who,
                                      const struct rooms_flags *flags, const struct rooms_message *message,
                                      const struct rooms_ack_sink *sink);
int rooms__cluster_join(struct rooms_adapter *adapter, const struct rooms_selector *who,
                        const struct rooms_flags *flags, const struct rooms_name *rooms, size_t room_count);
int rooms__cluster_leave(struct rooms_adapter *adapter, const struct rooms_selector *who,
                         const struct rooms_flags *flags, const struct rooms_name *rooms, size_t room_count);
int rooms__cluster_disconnect(struct rooms_adapter *adapter, const struct rooms_selector *who,
                              const struct rooms_flags *flags, bool close);
int rooms__cluster_fetch(struct rooms_adapter *adapter, const struct rooms_selector *who,
                         const struct rooms_flags *flags, rooms_fetch_fn each, rooms_done_fn done, void *ctx);
int rooms__cluster_server_side_emit(struct rooms_adapter *adapter, const struct rooms_flags *flags,
                                    const struct rooms_message *message, rooms_answer_fn answer, rooms_done_fn done,
                                    void *ctx);
int rooms__cluster_server_count(struct rooms_adapter *adapter, void (*result)(void *ctx, int error, size_t servers),
                                void *ctx);
struct rooms_name rooms__cluster_missing(struct rooms_adapter *adapter);

#define ROOMS__CLUSTER_OPS                                                                               \
    .broadcast = rooms__cluster_broadcast, .broadcast_with_ack = rooms__cluster_broadcast_with_ack,      \
    .join = rooms__cluster_join, .leave = rooms__cluster_leave, .disconnect = rooms__cluster_disconnect, \
    .fetch = rooms__cluster_fetch, .server_side_emit = rooms__cluster_server_side_emit,                  \
    .server_count = rooms__cluster_server_count, .missing = rooms__cluster_missing

/* One block with the message first, of which packet.prepared is left out; free() it. NULL: out of memory. */
struct rooms__cluster_message *rooms__cluster_copy(const struct rooms__cluster_message *message, size_t *bytes);

/* ------------------------------------------------------- between the files */

static inline struct rooms__cluster *rooms__cluster_of(const struct rooms_adapter *adapter)
{
    return container_of(adapter, struct rooms__cluster, adapter);
}
static inline uint64_t rooms__cluster_now(const struct rooms__cluster *cluster)
{
    return cluster->adapter.local.now_ms(cluster->adapter.local.ctx);
}

/* Publishes with this node's uid. */
int rooms__cluster_say(struct rooms__cluster *cluster, struct rooms__cluster_message *message);
/* Does here what the message says (3 to 6); sink: 3 with acks. */
void rooms__cluster_apply(struct rooms__cluster *cluster, const struct rooms__cluster_message *message,
                          const struct rooms_ack_sink *sink);

/* rooms_cluster_time.c */
int rooms__dues_init(struct rooms__cluster *cluster, struct event_base *base);
void rooms__dues_clear(struct rooms__cluster *cluster);
/* Again: moves it. */
void rooms__due_at(struct rooms__cluster *cluster, struct rooms__due *due, uint64_t at_ms);
void rooms__due_stop(struct rooms__due *due);

/* rooms_cluster_nodes.c */
void rooms__nodes_init(struct rooms__cluster *cluster);
void rooms__nodes_clear(struct rooms__cluster *cluster);
/* What a heartbeat, or any other message, says of its sender. False: there are too many. */
bool rooms__nodes_heard(struct rooms__cluster *cluster, struct rooms_name uid, bool beats);

/* rooms_cluster_requests.c */
enum rooms__request_kind { ROOMS__ASK_SOCKETS, ROOMS__ASK_EVENT, ROOMS__ASK_ACKS, ROOMS__ASK_COUNT };

/* Who asks. Of the functions only those that the kind needs. */
struct rooms__asker {
    enum rooms__request_kind kind;
    rooms_fetch_fn each;
    rooms_answer_fn answer;
    rooms_done_fn done;
    void (*count)(void *ctx, int error, size_t servers);
    void *ctx;
    struct rooms_ack_sink sink;
};

void rooms__requests_init(struct rooms__cluster *cluster);
void rooms__requests_clear(struct rooms__cluster *cluster);
/* Asks all others with `message` (NULL: only how many there are). 0: the asker will be told, perhaps already. */
int rooms__request(struct rooms__cluster *cluster, const struct rooms__asker *asker, uint32_t timeout_ms,
                   struct rooms__cluster_message *message);
void rooms__request_answered(struct rooms__cluster *cluster, const struct rooms__cluster_message *answer);
void rooms__requests_node_gone(struct rooms__cluster *cluster, struct rooms_name uid);
/* True if that request of that node came before. */
bool rooms__request_is_repeated(struct rooms__cluster *cluster, const struct rooms__cluster_message *message);
void rooms__serve_acks(struct rooms__cluster *cluster, const struct rooms__cluster_message *message);
void rooms__serve_event(struct rooms__cluster *cluster, const struct rooms__cluster_message *message);
void rooms__serve_sockets(struct rooms__cluster *cluster, const struct rooms__cluster_message *message);

/* rooms_cluster_lane.c */
void rooms__lane_init(struct rooms__cluster *cluster);
/* Applies now, or after all that waits. waits: not before its ticket is logged. */
void rooms__lane_apply(struct rooms__cluster *cluster, const struct rooms__cluster_message *message,
                       const struct rooms_ack_sink *sink, bool waits);
void rooms__lane_clear(struct rooms__cluster *cluster); /* applies all of it */

#endif
