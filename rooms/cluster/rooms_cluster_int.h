/* The conversation between nodes, that of socket.io's cluster adapter, over any carrier.
 *
 *     rooms_cluster.c           the adapter's operations; applying other nodes' messages
 *     rooms_cluster_requests.c  requests to all nodes and their responses; responses to others that come later
 *     rooms_cluster_nodes.c     which nodes are there: heartbeats, goodbyes, silence
 *     rooms_cluster_lane.c      the order of deliveries that wait for the log
 *
 * What carriers see of it is cluster.h. */
#ifndef ROOMS_CLUSTER_INT_H
#define ROOMS_CLUSTER_INT_H

#include "base_check.h"
#include "base_timer.h"
#include "cluster.h"
#include "rooms_int.h"

enum { ROOMS__MISSING_SIZE = 256 };

/* ----------------------------------------------------------------- internal */

struct rooms__node {
    struct rooms__node *prev, *next; /* by seen_ms */
    uint64_t seen_ms;
    bool beats; /* sends heartbeats, so that its silence means something */
    bool lost;  /* silent for too long, while the carrier may still count it */
    uint8_t uid_size;
    char uid[ROOMS_UID_MAX + 1];
};

struct rooms__lane_entry;

/* Messages to be applied here in order, while the first of them waits for the log. */
struct rooms__lane {
    struct rooms__lane_entry *first, *last;
    size_t bytes;
    uint64_t ticket; /* the last one given */
    bool late;       /* the log did not answer in time: deliveries do not wait for it until it does */
    struct base_timer timer;
};

enum { ROOMS__HEARD_SIZE = 256 };

struct rooms_cluster_state {
    const struct rooms_carrier_ops *carrier;
    struct rooms_cluster_options options;
    struct rooms_cluster_stats *stats;
    struct rooms_cluster_stats own_stats; /* for carriers that give none */
    char uid[ROOMS_UID_SIZE + 1];
    char *nsp; /* with its slash */
    size_t nsp_size;
    uint8_t key[16];
    struct base_timers timers; /* on the namespace's clock */
    struct base_timer heartbeat, sweep;
    struct rooms_table nodes;
    struct rooms__node silent_longest; /* head of the list */
    struct rooms_table requests;
    struct rooms__request *first_request;
    struct rooms__served *first_served;
    size_t served_count;
    uint64_t heard[ROOMS__HEARD_SIZE]; /* hashes of recent requests, so that none is served twice */
    size_t heard_at;
    struct rooms__lane lane;
    char missing[ROOMS__MISSING_SIZE];
};

/* ------------------------------------------------------- between the files */

/* One block with the message first, of which packet.prepared is left out; free() it. NULL: out of memory. */
struct rooms_cluster_message *rooms__cluster_copy(const struct rooms_cluster_message *message, size_t *bytes);

static inline struct rooms_cluster *rooms__cluster_of(const struct rooms_adapter *adapter)
{
    return container_of(adapter, struct rooms_cluster, adapter);
}
static inline uint64_t rooms__cluster_now(const struct rooms_cluster *cluster)
{
    return cluster->adapter.local.now_ms(cluster->adapter.local.ctx);
}

/* Publishes a message as this node's. */
int rooms__cluster_say(struct rooms_cluster *cluster, struct rooms_cluster_message *message);
/* Applies messages 3 to 6 here; sink: for 3 with acks. */
void rooms__cluster_apply(struct rooms_cluster *cluster, const struct rooms_cluster_message *message,
                          const struct rooms_ack_sink *sink);

/* rooms_cluster_nodes.c */
/* Returns 0 or ROOMS_ENOMEM; clear() in both cases. */
int rooms__nodes_init(struct rooms_cluster *cluster);
void rooms__nodes_clear(struct rooms_cluster *cluster);
/* Notes that a node is alive. Returns false if there are too many. */
bool rooms__nodes_heard(struct rooms_cluster *cluster, struct rooms_name uid, bool beats);

/* rooms_cluster_requests.c */
enum rooms__request_kind { ROOMS__ASK_SOCKETS, ROOMS__ASK_EVENT, ROOMS__ASK_ACKS, ROOMS__ASK_COUNT };

/* The caller of a request. Only the functions that the kind needs are set. */
struct rooms__asker {
    enum rooms__request_kind kind;
    rooms_fetch_fn each;
    rooms_answer_fn answer;
    rooms_done_fn done;
    void (*count)(void *ctx, int error, size_t servers);
    void *ctx;
    struct rooms_ack_sink sink;
};

void rooms__requests_init(struct rooms_cluster *cluster);
void rooms__requests_clear(struct rooms_cluster *cluster);
/* Sends `message` to all others (NULL: only counts them). After 0 the asker is called, perhaps before this returns. */
int rooms__request(struct rooms_cluster *cluster, const struct rooms__asker *asker, uint32_t timeout_ms,
                   struct rooms_cluster_message *message);
void rooms__request_answered(struct rooms_cluster *cluster, const struct rooms_cluster_message *answer);
void rooms__requests_node_gone(struct rooms_cluster *cluster, struct rooms_name uid);
/* True if that request of that node came before. */
bool rooms__request_is_repeated(struct rooms_cluster *cluster, const struct rooms_cluster_message *message);
void rooms__serve_acks(struct rooms_cluster *cluster, const struct rooms_cluster_message *message);
void rooms__serve_event(struct rooms_cluster *cluster, const struct rooms_cluster_message *message);
void rooms__serve_sockets(struct rooms_cluster *cluster, const struct rooms_cluster_message *message);

/* rooms_cluster_lane.c */
int rooms__lane_init(struct rooms_cluster *cluster); /* 0 or ROOMS_ENOMEM */
/* Applies now, or after all that waits. waits: not before its ticket is logged. */
void rooms__lane_apply(struct rooms_cluster *cluster, const struct rooms_cluster_message *message,
                       const struct rooms_ack_sink *sink, bool waits);
void rooms__lane_flush(struct rooms_cluster *cluster); /* applies all of it */

#endif
