/* Which sockets are connected to a namespace, and which namespaces are empty. */
#include "sio_namespace.h"
#include "sio_server.h"
#include "sio_socket.h"

#include <stdlib.h>

int sio__namespace_enter(struct sio_namespace *nsp, struct sio_socket *socket)
{
    if (nsp->socket_count == nsp->socket_capacity) {
        uint32_t capacity = nsp->socket_capacity ? nsp->socket_capacity * 2 : 8;
        struct sio_socket **sockets = realloc(nsp->sockets, capacity * sizeof(struct sio_socket *));
        if (!sockets) return EIO_ENOMEM;
        nsp->sockets = sockets;
        nsp->socket_capacity = capacity;
    }
    socket->slot = nsp->socket_count;
    nsp->sockets[nsp->socket_count++] = socket;
    nsp->io->stats.sockets++;
    return 0;
}

void sio__namespace_leave(struct sio_namespace *nsp, struct sio_socket *socket)
{
    struct sio_socket *last = nsp->sockets[--nsp->socket_count];
    nsp->sockets[socket->slot] = last;
    last->slot = socket->slot;
    nsp->io->stats.sockets--;
}

void sio__namespace_left(struct sio_namespace *nsp)
{
    struct sio_server *io = nsp->io;
    if (!nsp->parent || !io->options.cleanup_empty_child_namespaces || rooms_member_count(nsp->index) > 0) return;
    nsp->empty_ms = eio_loop_now_ms(io->loop);
    io->cleanup_due = io->cleanup_due || !nsp->recovers; /* else the interval does it */
    if (nsp->is_listed) return;
    nsp->is_listed = true;
    nsp->next_empty = io->empty_namespaces;
    io->empty_namespaces = nsp;
}
