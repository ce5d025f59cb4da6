/* Sessions across machines: a connection whose session is elsewhere is carried there through Redis as a stream of bytes
 * and adopted; both ends are descriptors here, numbered messages in between. Bounded both ways by windows. What Redis
 * may have lost ends its tunnels: a client that sees its connection end connects anew. */
#include "sio_codec.h"
#include "sio_tunnel_peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>
#include <poll.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUCKETS = 1024,
    READ_BYTES = 16384,
    LINGER_MS = 2000,  /* for the client's end, when it has everything */
    DRAIN_MS = 60000,  /* without a byte taken, when one end is gone */
    GONE_MS = 120000,  /* without a word of the other node, when this side has ended */
    SLACK_BYTES = 1024 /* no node sends more than the window; a little to spare */
};

struct tunnel {
    struct tunnel *next; /* of its bucket */
    struct sio_tunnels *all;
    uint64_t id;
    struct sio__tunnel_peer *peer;
    int fd; /* opener: the client's connection; else one end of a pair, the other is adopted */
    struct event event;
    short watched;
    bool opener;
    bool open; /* accepted */
    bool ended, end_came,
        end_passed; /* fd sends no more, and the other node knows; it sends no more, and fd is shut for writing */
    bool deaf;      /* the adopted side takes no more: what comes is thrown away */
    uint32_t sent, received; /* messages */
    size_t window;           /* may still be sent */
    size_t untold;           /* taken from the window, passed on, and not reported to the other node yet */
    uint8_t *held;           /* came, and the descriptor did not take it yet */
    size_t held_at, held_size;
    uint64_t given, given_before; /* bytes that the descriptor took; at the last look of the timer */
    struct eio_timer timer;
    struct eio_http_handover handover; /* opener, until it is accepted */
};

struct sio_tunnels {
    struct sio_server *io;
    struct eio_http *http;
    struct eio_loop *loop;
    struct rooms_mailbox *mailbox;
    struct sio_tunnel_options options;
    char name[SIO__TUNNEL_NAME_MAX + 1];
    struct sio__tunnel_peers peers;
    struct tunnel *buckets[BUCKETS];
    struct eio_limit_counter full;
    struct sio_tunnel_stats stats;
    uint8_t message[SIO__TUNNEL_HEAD_BYTES + SIO__TUNNEL_OPEN_BYTES + EIO_HANDOVER_BYTES_MAX];
};

void sio_tunnel_options_init(struct sio_tunnel_options *options)
{
    *options = (struct sio_tunnel_options){
        .open_timeout_ms = 5000,
        .heartbeat_interval_ms = 5000,
        .heartbeat_timeout_ms = 10000,
        .window_bytes = 262144,
        .max_tunnels = 16384,
    };
}

void sio_tunnels_get_stats(const struct sio_tunnels *tunnels, struct sio_tunnel_stats *stats)
{
    *stats = tunnels->stats;
    stats->peers_lost = tunnels->peers.lost;
}

/* --------------------------------------------------------------- the table */

static struct tunnel **bucket_of(struct sio_tunnels *all, uint64_t id)
{
    return &all->buckets[id % BUCKETS];
}

static struct tunnel *find_tunnel(struct sio_tunnels *all, uint64_t id)
{
    struct tunnel *tunnel = *bucket_of(all, id);
    while (tunnel && tunnel->id != id) tunnel = tunnel->next;
    return tunnel;
}

static void on_timer(void *ctx);

static struct tunnel *tunnel_new(struct sio_tunnels *all, uint64_t id, struct eio_str peer, bool opener)
{
    struct tunnel *tunnel = calloc(1, sizeof *tunnel);
    struct sio__tunnel_peer *with = tunnel ? sio__tunnel_peers_enter(&all->peers, peer) : NULL;
    if (!with) {
        free(tunnel);
        return NULL;
    }
    tunnel->peer = with;
    tunnel->all = all;
    tunnel->id = id;
    tunnel->fd = tunnel->handover.fd = -1;
    tunnel->opener = opener;
    eio_timer_init(&tunnel->timer, all->loop, on_timer, tunnel);
    struct tunnel **bucket = bucket_of(all, id);
    tunnel->next = *bucket;
    *bucket = tunnel;
    all->stats.tunnels++;
    return tunnel;
}

static void tunnel_free(struct tunnel *tunnel)
{
    struct sio_tunnels *all = tunnel->all;
    struct tunnel **link = bucket_of(all, tunnel->id);
    while (*link != tunnel) link = &(*link)->next;
    *link = tunnel->next;
    all->stats.tunnels--;
    eio_timer_stop(&tunnel->timer);
    if (tunnel->opener) all->mailbox->ops->cancel(all->mailbox, tunnel);
    if (tunnel->watched) event_del(&tunnel->event);
    if (tunnel->fd >= 0) close(tunnel->fd);
    eio_http_handover_clear(&tunnel->handover);
    sio__tunnel_peers_leave(tunnel->peer);
    free(tunnel->held);
    free(tunnel);
}

/* ----------------------------------------------------------------- sending */

/* The bytes stand in all->message already, where the head ends, if there are any. */
static int tell_node(struct tunnel *tunnel, struct sio__tunnel_message message)
{
    struct sio_tunnels *all = tunnel->all;
    message.id = tunnel->id;
    message.number = tunnel->sent++;
    size_t n = sio__tunnel_encode(&message, all->message) + message.size;
    all->stats.messages_out++;
    return all->mailbox->ops->send(all->mailbox, tunnel->peer->name, all->message, n);
}

static void refuse_tunnel(struct sio_tunnels *all, const struct sio__tunnel_message *to)
{
    char name[SIO__TUNNEL_NAME_MAX + 1] = "";
    uint8_t message[SIO__TUNNEL_HEAD_BYTES];
    memcpy(name, to->name.p, to->name.n);
    struct sio__tunnel_message reset = {.type = SIO__TUNNEL_RESET, .id = to->id};
    all->mailbox->ops->send(all->mailbox, name, message, sio__tunnel_encode(&reset, message));
    all->stats.refused++;
}

/* Ends it on both sides. */
static void reset(struct tunnel *tunnel)
{
    tell_node(tunnel, (struct sio__tunnel_message){.type = SIO__TUNNEL_RESET});
    tunnel->all->stats.resets++;
    tunnel_free(tunnel);
}

/* The owner is not there, and knows of no tunnel: this node answers, though it does not know the session. */
static void give_back(struct tunnel *tunnel)
{
    tunnel->all->stats.given_back++;
    eio_http_adopt(tunnel->all->http, &tunnel->handover);
    tunnel_free(tunnel);
}

/* The owner may have accepted it meanwhile. */
static void withdraw(struct tunnel *tunnel)
{
    tell_node(tunnel, (struct sio__tunnel_message){.type = SIO__TUNNEL_RESET});
    give_back(tunnel);
}

/* ------------------------------------------------------------ both ways */

static void on_event(evutil_socket_t fd, short what, void *ctx);

static bool update_events(struct tunnel *tunnel)
{
    short wanted = 0;
    if (tunnel->open && !tunnel->ended && tunnel->window) wanted |= EV_READ;
    if (tunnel->held_size) wanted |= EV_WRITE;
    if (wanted == tunnel->watched) return true;
    if (tunnel->watched) event_del(&tunnel->event);
    tunnel->watched = wanted;
    if (!wanted) return true;
    event_assign(&tunnel->event, eio_loop_base(tunnel->all->loop), tunnel->fd, wanted | EV_PERSIST, on_event, tunnel);
    return event_add(&tunnel->event, NULL) == 0;
}

/* One piece a turn for each: all have their share. False: the tunnel is over. */
static bool from_descriptor(struct tunnel *tunnel)
{
    struct sio_tunnels *all = tunnel->all;
    size_t room = tunnel->window < READ_BYTES ? tunnel->window : READ_BYTES;
    ssize_t n = recv(tunnel->fd, all->message + SIO__TUNNEL_HEAD_BYTES, room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n < 0 && tunnel->opener) return false;
    if (n > 0) {
        tunnel->window -= (size_t)n;
        all->stats.bytes_out += (uint64_t)n;
        struct sio__tunnel_message data = {.type = SIO__TUNNEL_DATA, .size = (size_t)n};
        return tell_node(tunnel, data) == 0;
    }
    tunnel->ended = true; /* of what was adopted, an error too: it comes after the last byte */
    return tell_node(tunnel, (struct sio__tunnel_message){.type = SIO__TUNNEL_END}) == 0;
}

/* How much the descriptor took; -1: it is broken. */
static ssize_t put_to_fd(struct tunnel *tunnel, const uint8_t *p, size_t n)
{
    if (tunnel->deaf || n == 0) return (ssize_t)n;
    ssize_t taken = send(tunnel->fd, p, n, MSG_NOSIGNAL);
    if (taken >= 0) return taken;
    if (errno == EAGAIN || errno == EINTR) return 0;
    if (tunnel->opener) return -1;
    tunnel->deaf = true; /* it may still have an answer for the client */
    return (ssize_t)n;
}

static bool count_given(struct tunnel *tunnel, size_t n)
{
    tunnel->given += n;
    tunnel->untold += n;
    if (tunnel->untold < tunnel->all->options.window_bytes / 4) return true;
    struct sio__tunnel_message window = {.type = SIO__TUNNEL_WINDOW, .window = (uint32_t)tunnel->untold};
    tunnel->untold = 0;
    return tell_node(tunnel, window) == 0;
}

static bool flush_held(struct tunnel *tunnel)
{
    ssize_t n = put_to_fd(tunnel, tunnel->held + tunnel->held_at, tunnel->held_size);
    if (n < 0) return false;
    tunnel->held_at += (size_t)n;
    tunnel->held_size -= (size_t)n;
    if (tunnel->held_size == 0) {
        free(tunnel->held);
        tunnel->held = NULL;
        tunnel->held_at = 0;
    }
    return n == 0 || count_given(tunnel, (size_t)n);
}

static bool hold(struct tunnel *tunnel, const uint8_t *p, size_t n)
{
    if (n == 0) return true;
    if (tunnel->held_size + n > tunnel->all->options.window_bytes + SLACK_BYTES) return false;
    uint8_t *grown = malloc(tunnel->held_size + n);
    if (!grown) return false;
    if (tunnel->held_size) memcpy(grown, tunnel->held + tunnel->held_at, tunnel->held_size);
    memcpy(grown + tunnel->held_size, p, n);
    free(tunnel->held);
    tunnel->held = grown;
    tunnel->held_at = 0;
    tunnel->held_size += n;
    return true;
}

/* The other node takes no more, so this end is not read, and whether it has gone does not show by reading. */
static bool is_stalled(const struct tunnel *tunnel)
{
    return tunnel->open && !tunnel->ended && tunnel->window == 0 && !(tunnel->end_came && tunnel->opener);
}

static bool is_gone(const struct tunnel *tunnel)
{
    struct pollfd look = {.fd = tunnel->fd, .events = POLLRDHUP};
    return poll(&look, 1, 0) == 1 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* After each step: passes ends on, and ends the tunnel when both ways have. */
static void go_on(struct tunnel *tunnel, bool ok)
{
    if (ok && tunnel->end_came && tunnel->held_size == 0 && !tunnel->end_passed) {
        tunnel->end_passed = true;
        shutdown(tunnel->fd, SHUT_WR);
        eio_timer_stop(&tunnel->timer);
    }
    if (!ok || !update_events(tunnel)) {
        reset(tunnel);
        return;
    }
    if (tunnel->ended && tunnel->end_passed) {
        tunnel_free(tunnel);
        return;
    }
    if (tunnel->ended)
        eio_timer_start(&tunnel->timer, GONE_MS);
    else if (tunnel->end_came && tunnel->opener && !eio_timer_running(&tunnel->timer))
        eio_timer_start(&tunnel->timer, tunnel->held_size ? DRAIN_MS : LINGER_MS);
    else if (is_stalled(tunnel) && !eio_timer_running(&tunnel->timer))
        eio_timer_start(&tunnel->timer, DRAIN_MS);
}

static void on_event(evutil_socket_t fd, short what, void *ctx)
{
    struct tunnel *tunnel = ctx;
    (void)fd;
    bool ok = !(what & EV_WRITE) || flush_held(tunnel);
    if (ok && (what & EV_READ)) ok = from_descriptor(tunnel);
    go_on(tunnel, ok);
}

static void on_timer(void *ctx)
{
    struct tunnel *tunnel = ctx;
    if (!tunnel->open) {
        withdraw(tunnel);
        return;
    }
    if (is_stalled(tunnel) && !is_gone(tunnel)) {
        eio_timer_start(&tunnel->timer, DRAIN_MS);
        return;
    }
    bool moves = tunnel->given != tunnel->given_before;
    tunnel->given_before = tunnel->given;
    if (tunnel->held_size && moves)
        eio_timer_start(&tunnel->timer, DRAIN_MS);
    else
        reset(tunnel);
}

/* ----------------------------------------------------------------- opening */

static bool may_open(struct sio_tunnels *all)
{
    if (all->stats.tunnels < all->options.max_tunnels) return true;
    eio_limit_hit(&all->full, all->loop, "max_tunnels", NULL);
    return false;
}

static void on_heard(void *ctx, int listeners)
{
    struct tunnel *tunnel = ctx;
    if (tunnel->open || listeners > 0) return;
    if (listeners == 0)
        give_back(tunnel);
    else
        withdraw(tunnel);
}

static int tell_open(struct tunnel *tunnel)
{
    struct sio_tunnels *all = tunnel->all;
    const struct eio_http_handover *handover = &tunnel->handover;
    struct sio__tunnel_message message = {.type = SIO__TUNNEL_OPEN,
                                          .id = tunnel->id,
                                          .number = tunnel->sent++,
                                          .window = (uint32_t)all->options.window_bytes,
                                          .secure = handover->secure,
                                          .hops = handover->hops,
                                          .name = eio_str(all->name),
                                          .address = eio_str(handover->address)};
    size_t n = sio__tunnel_encode(&message, all->message);
    memcpy(all->message + n, handover->bytes, handover->size);
    all->stats.messages_out++;
    return all->mailbox->ops->send_and_count(all->mailbox, tunnel->peer->name, all->message, n + handover->size,
                                             on_heard, tunnel);
}

static void name_of(const uint8_t machine[EIO_MACHINE_BYTES], unsigned owner, char out[SIO__TUNNEL_NAME_MAX + 1])
{
    sodium_bin2hex(out, 2 * EIO_MACHINE_BYTES + 1, machine, EIO_MACHINE_BYTES);
    snprintf(out + 2 * EIO_MACHINE_BYTES, 8, "-%u", owner % EIO_OWNERS_MAX);
}

static void on_remote(struct eio_offer *offer, const uint8_t machine[EIO_MACHINE_BYTES], unsigned owner, void *ctx)
{
    struct sio_tunnels *all = ctx;
    char peer[SIO__TUNNEL_NAME_MAX + 1];
    uint64_t id;
    randombytes_buf(&id, sizeof id);
    name_of(machine, owner, peer);
    struct tunnel *tunnel = may_open(all) && !find_tunnel(all, id) ? tunnel_new(all, id, eio_str(peer), true) : NULL;
    if (!tunnel || eio_offer_take(offer, &tunnel->handover) != 0) {
        if (tunnel) tunnel_free(tunnel);
        all->stats.declined++;
        return;
    }
    all->stats.opened++;
    if (tell_open(tunnel) != 0 || eio_timer_start(&tunnel->timer, all->options.open_timeout_ms) != 0) give_back(tunnel);
}

static void on_accept(struct tunnel *tunnel, const struct sio__tunnel_message *message)
{
    tunnel->open = true;
    tunnel->window = message->window;
    tunnel->fd = tunnel->handover.fd;
    tunnel->handover.fd = -1;
    eio_http_handover_clear(&tunnel->handover);
    eio_timer_stop(&tunnel->timer);
    go_on(tunnel, true);
}

/* A connection comes: it is adopted as one end of a pair of sockets. */
static void on_open(struct sio_tunnels *all, const struct sio__tunnel_message *message)
{
    int pair[2];
    uint8_t *bytes = NULL;
    bool sound = message->number == 0 && !find_tunnel(all, message->id) && may_open(all);
    if (sound) bytes = malloc(message->size ? message->size : 1);
    struct tunnel *tunnel = bytes ? tunnel_new(all, message->id, message->name, false) : NULL;
    if (!tunnel || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        if (tunnel) tunnel_free(tunnel);
        free(bytes);
        refuse_tunnel(all, message);
        return;
    }
    memcpy(bytes, message->bytes, message->size);
    struct eio_http_handover handover = {.fd = pair[0],
                                         .secure = message->secure,
                                         .bytes = bytes,
                                         .size = message->size,
                                         .hops = message->hops < UINT8_MAX ? message->hops + 1 : UINT8_MAX};
    memcpy(handover.address, message->address.p, message->address.n);
    tunnel->fd = pair[1];
    tunnel->open = true;
    tunnel->received = 1;
    tunnel->window = message->window;
    all->stats.accepted++;
    struct sio__tunnel_message accept = {.type = SIO__TUNNEL_ACCEPT, .window = (uint32_t)all->options.window_bytes};
    bool ok = tell_node(tunnel, accept) == 0;
    /* A limit on connections is answered by HTTP itself. */
    int result = eio_http_adopt(all->http, &handover);
    go_on(tunnel, ok && (result == 0 || result == EIO_EAGAIN));
}

/* --------------------------------------------------------------- receiving */

static bool on_data(struct tunnel *tunnel, const uint8_t *p, size_t n)
{
    tunnel->all->stats.bytes_in += n;
    ssize_t taken = tunnel->held_size ? 0 : put_to_fd(tunnel, p, n);
    if (taken < 0 || !hold(tunnel, p + taken, n - (size_t)taken)) return false;
    return taken == 0 || count_given(tunnel, (size_t)taken);
}

static void on_window(struct tunnel *tunnel, uint32_t more)
{
    if (is_stalled(tunnel)) eio_timer_stop(&tunnel->timer);
    tunnel->window += more;
}

static void on_numbered(struct tunnel *tunnel, const struct sio__tunnel_message *message)
{
    bool ok = message->number == tunnel->received++;
    if (!tunnel->open) {
        if (ok && message->type == SIO__TUNNEL_ACCEPT)
            on_accept(tunnel, message);
        else
            withdraw(tunnel);
        return;
    }
    if (message->type == SIO__TUNNEL_DATA)
        ok = ok && !tunnel->end_came && on_data(tunnel, message->bytes, message->size);
    else if (message->type == SIO__TUNNEL_WINDOW)
        on_window(tunnel, message->window);
    else if (message->type == SIO__TUNNEL_END)
        tunnel->end_came = true;
    else
        ok = false;
    go_on(tunnel, ok);
}

static void on_message(void *ctx, const uint8_t *bytes, size_t size)
{
    struct sio_tunnels *all = ctx;
    struct sio__tunnel_message message;
    if (!sio__tunnel_decode(bytes, size, &message)) {
        all->stats.ignored++;
        return;
    }
    all->stats.messages_in++;
    if (message.type == SIO__TUNNEL_OPEN) {
        on_open(all, &message);
        return;
    }
    if (message.type == SIO__TUNNEL_BEAT) {
        sio__tunnel_peers_on_beat(&all->peers, message.name);
        return;
    }
    struct tunnel *tunnel = find_tunnel(all, message.id);
    if (tunnel) sio__tunnel_peer_heard(tunnel->peer);
    if (!tunnel)
        all->stats.ignored++; /* of one that is over */
    else if (message.type != SIO__TUNNEL_RESET)
        on_numbered(tunnel, &message);
    else if (tunnel->open)
        tunnel_free(tunnel);
    else
        give_back(tunnel);
}

/* Those with a peer, or all. */
static void end_tunnels(struct sio_tunnels *all, const struct sio__tunnel_peer *peer)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct tunnel *next;
        for (struct tunnel *tunnel = all->buckets[i]; tunnel; tunnel = next) {
            next = tunnel->next;
            if (peer && tunnel->peer != peer) continue;
            if (tunnel->open)
                reset(tunnel);
            else
                withdraw(tunnel);
        }
    }
}

static void on_lost(struct sio__tunnel_peer *peer, void *ctx)
{
    end_tunnels(ctx, peer);
}

/* Something may be lost, and it is unknown what. */
static void on_down(void *ctx)
{
    end_tunnels(ctx, NULL);
}

/* ---------------------------------------------------------------- lifetime */

struct sio_tunnels *sio_tunnels_new(struct sio_server *io, const struct sio_tunnel_options *options)
{
    static const struct rooms_mailbox_handlers handlers = {on_message, on_down};
    struct sio_tunnels *all = options && options->machine && options->mailbox ? calloc(1, sizeof *all) : NULL;
    if (!all) return NULL;
    all->io = io;
    all->http = sio_server_http(io);
    all->loop = sio_server_loop(io);
    all->options = *options;
    name_of(options->machine, options->owner, all->name);
    all->options.machine = NULL; /* the caller's memory */
    all->mailbox = options->mailbox(options->mailbox_ctx, all->name, &handlers, all);
    if (!all->mailbox) {
        free(all);
        return NULL;
    }
    all->peers = (struct sio__tunnel_peers){.loop = all->loop,
                                            .mailbox = all->mailbox,
                                            .name = all->name,
                                            .interval_ms = options->heartbeat_interval_ms,
                                            .timeout_ms = options->heartbeat_timeout_ms,
                                            .on_lost = on_lost,
                                            .ctx = all};
    sio__tunnel_peers_init(&all->peers);
    eio_server_set_remote(sio_server_engine(io), on_remote, all);
    return all;
}

void sio_tunnels_free(struct sio_tunnels *tunnels)
{
    if (!tunnels) return;
    eio_server_set_remote(sio_server_engine(tunnels->io), NULL, NULL);
    on_down(tunnels);
    tunnels->mailbox->ops->free(tunnels->mailbox);
    free(tunnels);
}
