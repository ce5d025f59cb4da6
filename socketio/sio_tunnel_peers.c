/* Signs of life between nodes that have tunnels with each other: one each interval and peer, however many tunnels there
 * are. A peer from which nothing comes for the timeout, or whose channel has no listener any more, is lost: its
 * clients would wait for a dead node, and connect anew once their connections end. */
#include "sio_tunnel_peers.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BEAT_SHARE = 5 }; /* of the interval */

static void lose_peer(struct sio__tunnel_peer *peer, const char *why)
{
    struct sio__tunnel_peers *peers = peer->all;
    if (peer->lost) return;
    peer->lost = true;
    peers->lost++;
    eio_log(EIO_LOG_WARN, "tunnels: node %s %s; ended what was carried to or from it (connections: %zu)", peer->name,
            why, peer->tunnels);
    peers->on_lost(peer, peers->ctx);
}

static void on_heard(void *ctx, int listeners)
{
    if (listeners == 0) lose_peer(ctx, "no longer listens to its mailbox");
}

static void send_beat(struct sio__tunnel_peer *peer)
{
    uint8_t bytes[SIO__TUNNEL_HEAD_BYTES + SIO__TUNNEL_OPEN_BYTES];
    struct sio__tunnel_message message = {.type = SIO__TUNNEL_BEAT, .name = eio_str(peer->all->name)};
    size_t n = sio__tunnel_encode(&message, bytes);
    peer->all->mailbox->ops->send_and_count(peer->all->mailbox, peer->name, bytes, n, on_heard, peer);
}

static bool is_silent(const struct sio__tunnel_peer *peer)
{
    return peer->beats && !peer->lost && eio_loop_now_ms(peer->all->loop) - peer->heard_ms >= peer->all->timeout_ms;
}

static struct sio__tunnel_peer *find_silent(const struct sio__tunnel_peers *peers)
{
    struct sio__tunnel_peer *peer = peers->first;
    while (peer && !is_silent(peer)) peer = peer->next;
    return peer;
}

static void on_timer(void *ctx)
{
    struct sio__tunnel_peers *peers = ctx;
    for (struct sio__tunnel_peer *peer; (peer = find_silent(peers)) != NULL;) lose_peer(peer, "is unresponsive");
    for (struct sio__tunnel_peer *peer = peers->first; peer; peer = peer->next) send_beat(peer);
    if (peers->first) eio_timer_start(&peers->timer, peers->interval_ms);
}

void sio__tunnel_peers_init(struct sio__tunnel_peers *peers)
{
    eio_timer_init(&peers->timer, peers->loop, on_timer, peers);
}

static struct sio__tunnel_peer *find_peer(const struct sio__tunnel_peers *peers, struct eio_str name)
{
    struct sio__tunnel_peer *peer = peers->first;
    while (peer && !eio_str_is(name, peer->name)) peer = peer->next;
    return peer;
}

struct sio__tunnel_peer *sio__tunnel_peers_enter(struct sio__tunnel_peers *peers, struct eio_str name)
{
    struct sio__tunnel_peer *peer = find_peer(peers, name);
    if (!peer) {
        peer = calloc(1, sizeof *peer);
        if (!peer) return NULL;
        peer->all = peers;
        memcpy(peer->name, name.p, name.n);
        sio__tunnel_peer_heard(peer);
        peer->next = peers->first;
        peers->first = peer;
        /* Soon: what shows that it beats shows that it stops. Not at once: most polls are over before. */
        if (!eio_timer_running(&peers->timer)) eio_timer_start(&peers->timer, peers->interval_ms / FIRST_BEAT_SHARE);
    }
    peer->tunnels++;
    return peer;
}

void sio__tunnel_peers_leave(struct sio__tunnel_peer *peer)
{
    struct sio__tunnel_peers *peers = peer->all;
    if (--peer->tunnels) return;
    struct sio__tunnel_peer **link = &peers->first;
    while (*link != peer) link = &(*link)->next;
    *link = peer->next;
    peers->mailbox->ops->cancel(peers->mailbox, peer);
    free(peer);
    if (!peers->first) eio_timer_stop(&peers->timer);
}

void sio__tunnel_peers_on_beat(struct sio__tunnel_peers *peers, struct eio_str name)
{
    struct sio__tunnel_peer *peer = find_peer(peers, name);
    if (!peer) return;
    peer->beats = true;
    sio__tunnel_peer_heard(peer);
}
