/* The owner of a TLS connection that was taken from HTTP, as a WebSocket is, and the peer at its other end. */
#ifndef HTTP_OWNER_H
#define HTTP_OWNER_H

#include "http_server.h"

#include "http_peer.h"

#include <event2/event.h>

static inline void start(struct server *server, struct eio_http_options *options)
{
    struct eio_http_options defaults;
    eio_http_options_init(&defaults);
    if (!options) options = &defaults;
    options->tls_cert_file = cert_file;
    options->tls_key_file = key_file;
    server_start(server, options);
}

static inline void peer_connect(struct peer *peer, struct server *server)
{
    peer_open(peer, server->loop, server->port);
    peer_say(peer, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    UNTIL(peer, peer_has(peer, "/hello|"));
}

static const char upgrade_text[] = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

struct owner {
    struct eio__io *io;
    short happened; /* all that was reported */
    size_t read;
    unsigned reads; /* that gave bytes */
    uint32_t sum;   /* of the bytes and their places */
    char text[64];  /* the first bytes read */
    ssize_t last;   /* of the last read */
    bool close_on_read;
    bool stops;      /* wanting, at each read */
    bool reads_much; /* at a time: as a WebSocket does; else little */
};

static inline void on_io(short what, void *ctx)
{
    struct owner *owner = ctx;
    static uint8_t bytes[65536];
    size_t most = owner->reads_much ? sizeof bytes : 1000;
    owner->happened |= what;
    if (!(what & EV_READ)) return;
    owner->last = owner->io->ops->read(owner->io, bytes, most);
    if (owner->last > 0) {
        owner->reads++;
        for (size_t i = 0; i < (size_t)owner->last; i++) owner->sum = owner->sum * 31 + bytes[i];
        if (owner->read == 0) snprintf(owner->text, sizeof owner->text, "%.*s", (int)owner->last, (char *)bytes);
        owner->read += (size_t)owner->last;
    }
    if (owner->stops) owner->io->ops->watch(owner->io, 0);
    if (!owner->close_on_read) return;
    owner->io->ops->close(owner->io);
    owner->io = NULL;
}

static inline void take(struct owner *owner, struct peer *peer, struct server *server)
{
    peer_open(peer, server->loop, server->port);
    peer_say(peer, upgrade_text);
    UNTIL(peer, server->taken_fd >= 0);
    assert_non_null(server->taken_io);
    *owner = (struct owner){.io = server->taken_io};
    owner->io->fn = on_io;
    owner->io->ctx = owner;
    server->taken_io = NULL;
    server->taken_fd = -1;
    assert_int_equal(server_stats(server).connections, 0);
}

static inline void finish(struct owner *owner, struct peer *peer, struct server *server)
{
    if (owner->io) owner->io->ops->close(owner->io);
    peer_close(peer);
    server_stop(server);
}

static inline size_t fill(struct owner *owner)
{
    static char zeros[20000];
    struct iovec part = {zeros, sizeof zeros};
    size_t written = 0;
    for (;;) {
        ssize_t n = owner->io->ops->write(owner->io, &part, 1);
        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            return written;
        }
        written += (size_t)n;
    }
}

#endif
