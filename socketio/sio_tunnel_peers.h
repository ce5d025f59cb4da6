/* The nodes that tunnels lead to or come from, and their signs of life. Private to this library. */
#ifndef SIO_TUNNEL_PEERS_H
#define SIO_TUNNEL_PEERS_H

#include "sio_tunnel_wire.h"

#include <engineio_http.h>
#include <rooms.h>

struct sio__tunnel_peers;

struct sio__tunnel_peer {
    struct sio__tunnel_peer *next;
    struct sio__tunnel_peers *all;
    size_t tunnels;    /* at least one */
    uint64_t heard_ms; /* when anything came of it, or it was entered */
    bool beats;        /* a sign of life came: it is missed when the next do not */
    bool lost;         /* its tunnels are being ended */
    char name[SIO__TUNNEL_NAME_MAX + 1];
};

struct sio__tunnel_peers {
    struct eio_loop *loop;
    struct rooms_mailbox *mailbox;
    const char *name; /* this node's */
    uint32_t interval_ms, timeout_ms;
    /* Ends all its tunnels, so that it leaves. */
    void (*on_lost)(struct sio__tunnel_peer *peer, void *ctx);
    void *ctx;
    struct sio__tunnel_peer *first;
    struct eio_timer timer; /* runs while there is one */
    uint64_t lost;
};

void sio__tunnel_peers_init(struct sio__tunnel_peers *peers);
/* One more tunnel with that node. NULL: out of memory. */
struct sio__tunnel_peer *sio__tunnel_peers_enter(struct sio__tunnel_peers *peers, struct eio_str name);
/* One less; the last frees it. */
void sio__tunnel_peers_leave(struct sio__tunnel_peer *peer);
/* A sign of life came. */
void sio__tunnel_peers_on_beat(struct sio__tunnel_peers *peers, struct eio_str name);

static inline void sio__tunnel_peer_heard(struct sio__tunnel_peer *peer)
{
    peer->heard_ms = eio_loop_now_ms(peer->all->loop);
}

#endif
