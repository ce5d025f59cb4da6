/* This process among others: which adapter the namespaces get, the siblings of one machine, and connections of sessions
 * that a sibling or another machine owns. */
#ifndef NODE_CLUSTER_H
#define NODE_CLUSTER_H

#include "kit.h"
#include "node_workers.h"

struct node_cluster;

/* Before the server is made: completes its options and tells the kit of its peers. worker: NULL, or which of several
 * processes this is. *out is NULL where this process is alone. Returns 0 or a negative code with a line in error. */
int node_cluster_new(struct kit *kit, const struct node_worker *worker, struct sio_options *io,
                     struct node_cluster **out, char *error, size_t error_size);
/* Once the server is made. This and all that follow accept NULL as the cluster. */
int node_cluster_start(struct node_cluster *cluster, struct kit *kit);
/* Before the server is freed, and after. */
void node_cluster_disconnect(struct node_cluster *cluster);
void node_cluster_free(struct node_cluster *cluster);

/* SIGHUP: reads the certificates for Redis anew, and logs how it went. */
void node_cluster_reload(struct node_cluster *cluster);

/* A sibling runs: takes the descriptors for adapter messages and for connections. */
void node_cluster_add_peer(struct node_cluster *cluster, uint32_t number, int take_fds[2]);

struct node_sources {
    struct rooms_bus *bus;
    struct rooms_redis *redis;
    struct rooms_postgresql *postgresql;
    struct sio_tunnels *tunnels;
};
/* For node_cluster.c: adds the numbers of what is there, and zeros for what is NULL. Returns 0 or a negative code. */
int node_metrics_add(struct kit *kit, const struct node_sources *sources);

#endif
