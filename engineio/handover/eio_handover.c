/* Connections between nodes: offered with their request's head read and nothing done, taken with every byte of it,
 * adopted with all that is counted of an accepted one. Not here: how they travel (eio_handoff.c). */
#include "eio_http_conn.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void eio_http_handover_clear(struct eio_http_handover *handover)
{
    if (handover->fd >= 0) close(handover->fd);
    free(handover->bytes);
    *handover = (struct eio_http_handover){.fd = -1};
}

/* ---------------------------------------------------------------- offering */

/* What a connection over TLS needs besides: its plain bytes get their own descriptor. */
struct outfit {
    struct eio__tls_io *io;
    struct eio__pump *pump;
    int fd; /* of the pair's other end */
};

static bool outfit_make(struct eio_http *http, struct outfit *outfit)
{
    int pair[2];
    *outfit = (struct outfit){.fd = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) return false;
    outfit->io = eio__tls_io_new(http);
    if (outfit->io)
        outfit->pump = eio__pump_new(http, pair[0]);
    else
        close(pair[0]);
    if (outfit->pump) {
        outfit->fd = pair[1];
        return true;
    }
    free(outfit->io);
    close(pair[1]);
    return false;
}

int eio_offer_take(struct eio_offer *offer, struct eio_http_handover *handover)
{
    struct eio__conn *conn = offer->conn;
    if (!conn) return EIO_EINVAL;
    struct eio_http *http = conn->http;
    size_t size = conn->in.size;
    if (size > EIO_HANDOVER_BYTES_MAX) return EIO_ETOOBIG;
    uint8_t *bytes = malloc(size);
    if (!bytes) return EIO_ENOMEM;
    bool tls = conn->tls, ended = conn->eof;
    struct outfit outfit = {.fd = -1};
    if (tls && !outfit_make(http, &outfit)) {
        free(bytes);
        return EIO_ENOMEM;
    }
    memcpy(bytes, conn->in.p, size);
    *handover = (struct eio_http_handover){
        .secure = conn->secure, .bytes = bytes, .size = size, .hops = conn->hops, .door = conn->door};
    eio__address_print(&conn->peer, handover->address);
    offer->conn = NULL;
    http->stats.handed_over++;
    if (tls) eio__conn_lease(conn); /* the client's descriptor stays here */
    struct eio__wire wire = eio__conn_release(conn, outfit.io);
    handover->fd = tls ? outfit.fd : wire.fd;
    if (tls) eio__pump_begin(outfit.pump, wire.io, ended);
    return 0;
}

/* ---------------------------------------------------------------- adopting */

static bool is_sound(const struct eio_http_handover *handover, struct eio__address *peer)
{
    size_t n = strnlen(handover->address, sizeof handover->address);
    return handover->fd >= 0 && handover->door < EIO_HTTP_DOORS && handover->size <= EIO_HANDOVER_BYTES_MAX &&
           (handover->bytes || !handover->size) && n < sizeof handover->address &&
           eio__address_parse((struct eio_str){handover->address, n}, peer);
}

int eio_http_adopt(struct eio_http *http, struct eio_http_handover *take_handover)
{
    struct eio_http_handover handover = *take_handover;
    struct eio__address peer;
    *take_handover = (struct eio_http_handover){.fd = -1};
    bool sound = is_sound(&handover, &peer);
    enum eio_limit limit = sound ? eio__http_limit(http, &peer) : EIO_LIMIT_COUNT;
    if (!sound || eio__http_is_flooded(http, limit)) {
        eio_http_handover_clear(&handover);
        return sound ? EIO_EAGAIN : EIO_EINVAL;
    }
    evutil_make_socket_nonblocking(handover.fd);
    evutil_make_socket_closeonexec(handover.fd);
    struct eio__bytes bytes = {.p = handover.bytes, handover.size, handover.bytes, handover.size};
    struct eio__conn *conn = eio__conn_new(http, handover.fd, &peer);
    if (!conn) {
        eio_http_handover_clear(&handover);
        return EIO_ENOMEM;
    }
    conn->in = bytes;
    conn->secure = handover.secure;
    conn->settled = true;
    conn->hops = handover.hops;
    conn->door = handover.door;
    http->private_connections += conn->door > 0;
    http->stats.adopted++;
    eio__http_enter(conn, limit);
    eio__conn_poke(conn);
    return limit == EIO_LIMIT_COUNT ? 0 : EIO_EAGAIN;
}
