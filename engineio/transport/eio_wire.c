/* Connections that were taken from HTTP, plain or over TLS: sending at once, closing, what the peer has not got yet. */
#include "eio_int.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

ssize_t eio__wire_send(struct eio__wire wire, const void *p, size_t n)
{
    if (!wire.io) return send(wire.fd, p, n, MSG_NOSIGNAL);
    struct iovec part = {(void *)(uintptr_t)p, n};
    return wire.io->ops->write(wire.io, &part, 1);
}

void eio__wire_close(struct eio_loop *loop, struct eio__wire take_wire)
{
    if (take_wire.io)
        take_wire.io->ops->close(take_wire.io);
    else if (take_wire.fd >= 0)
        eio__fd_close(loop, take_wire.fd);
}

uint32_t eio__fd_unsent(int fd)
{
    int bytes = 0;
    return fd >= 0 && ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (uint32_t)bytes : 0;
}
