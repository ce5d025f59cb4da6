/* The sockets that the server listens on: bound from the configuration, or inherited from the service manager. With
 * workers their master holds them: a port is bound once more for each worker, all else is shared by them. */
#ifndef NODE_LISTEN_H
#define NODE_LISTEN_H

#include "kit_config.h"
#include "kit_listen.h"

#include <sys/socket.h>
#include <sys/stat.h>

struct node_listener {
    struct kit_listen listen; /* with the real port */
    enum kit_door door;
    int fd;         /* bound; with workers a port's does not listen, but keeps it while no worker does */
    bool is_shared; /* workers get copies of the descriptor */
    struct sockaddr_storage address;
    socklen_t address_size;
    struct stat file; /* of a UNIX socket that was made here; st_ino 0: none was */
};

struct node_listeners {
    struct node_listener list[KIT_LISTENERS_MAX];
    size_t count;
};

/* The configuration's, the public ones first. Returns 0, or a negative code with a line in error. */
int node_listeners_open(struct node_listeners *listeners, const struct kit_config *config, char *error,
                        size_t error_size);
/* Of a worker: bound and not listening yet, or a copy. -1 with errno. */
int node_listener_for_worker(const struct node_listener *listener);
/* How the HTTP server is to use a descriptor of it. */
struct eio_http_listener node_listener_kind(const struct node_listener *listener, int fd);
/* Prints and logs where the server listens, one line each. */
void node_listeners_announce(const struct node_listeners *listeners, const struct kit_config *config);
/* Closes descriptors only. */
void node_listeners_close(struct node_listeners *listeners);
/* Removes the UNIX sockets that were made here and are still there. */
void node_listeners_remove_files(const struct node_listeners *listeners);

#endif
