/* Two Socket.IO servers on one loop with a fake clock, and between them, instead of Redis, mailboxes in memory that
 * lose what a test wants lost. */
#ifndef TUNNEL_NODES_H
#define TUNNEL_NODES_H

#include "../http/http_client.h"
#include "test.h"

#include <rooms.h>
#include <socketio.h>

#ifndef MAILBOX_MALLOC
#define MAILBOX_MALLOC malloc
#endif

enum { TUNNEL_NODES = 2, SID_CHARS = 32 };

struct mailbox {
    struct rooms_mailbox mailbox; /* first */
    char name[64];
    struct rooms_mailbox_handlers handlers;
    void *ctx;
    bool is_gone;  /* nobody listens to it */
    bool is_stuck; /* it is counted, and neither hears nor says anything */
    bool is_deaf;  /* it is counted, and hears nothing */
};

/* What was told, or the answer how many heard it. */
struct parcel {
    struct parcel *next;
    struct mailbox *from;
    char to[64];
    rooms_mailbox_count_fn fn;
    void *ctx;
    size_t size;
    uint8_t bytes[];
};

static struct {
    struct mailbox *box[TUNNEL_NODES];
    struct parcel *first, **last;
} net;

static inline struct mailbox *box_of(const char *name)
{
    for (size_t i = 0; i < TUNNEL_NODES; i++)
        if (net.box[i] && strcmp(net.box[i]->name, name) == 0) return net.box[i];
    return NULL;
}

static inline int post(struct rooms_mailbox *mailbox, const char *name, const uint8_t *bytes, size_t size,
                       rooms_mailbox_count_fn fn, void *ctx)
{
    struct parcel *parcel = MAILBOX_MALLOC(sizeof *parcel + size);
    if (!parcel) return ROOMS_ENOMEM;
    *parcel = (struct parcel){.from = (struct mailbox *)mailbox, .fn = fn, .ctx = ctx, .size = size};
    snprintf(parcel->to, sizeof parcel->to, "%s", name);
    memcpy(parcel->bytes, bytes, size);
    if (!net.first) net.last = &net.first;
    *net.last = parcel;
    net.last = &parcel->next;
    return 0;
}

static inline int mailbox_send(struct rooms_mailbox *mailbox, const char *name, const uint8_t *bytes, size_t size)
{
    return post(mailbox, name, bytes, size, NULL, NULL);
}

static inline int mailbox_send_and_count(struct rooms_mailbox *mailbox, const char *name, const uint8_t *bytes,
                                         size_t size, rooms_mailbox_count_fn fn, void *ctx)
{
    return post(mailbox, name, bytes, size, fn, ctx);
}

static inline void mailbox_cancel(struct rooms_mailbox *mailbox, const void *ctx)
{
    for (struct parcel *parcel = net.first; parcel; parcel = parcel->next)
        if (parcel->from == (struct mailbox *)mailbox && parcel->ctx == ctx) parcel->fn = NULL;
}

static inline void mailbox_free(struct rooms_mailbox *mailbox)
{
    struct mailbox *box = (struct mailbox *)mailbox;
    for (size_t i = 0; i < TUNNEL_NODES; i++)
        if (net.box[i] == box) net.box[i] = NULL;
    for (struct parcel *parcel = net.first; parcel; parcel = parcel->next)
        if (parcel->from == box) parcel->from = NULL, parcel->fn = NULL;
    free(box);
}

/* A rooms_mailbox_factory. */
static inline struct rooms_mailbox *mailbox_new(void *ctx, const char *name,
                                                const struct rooms_mailbox_handlers *handlers, void *handlers_ctx)
{
    static const struct rooms_mailbox_ops ops = {mailbox_free, mailbox_send, mailbox_send_and_count, mailbox_cancel};
    struct mailbox *box = calloc(1, sizeof *box);
    (void)ctx;
    if (!box) return NULL;
    box->mailbox.ops = &ops;
    snprintf(box->name, sizeof box->name, "%s", name);
    box->handlers = *handlers;
    box->ctx = handlers_ctx;
    net.box[net.box[0] ? 1 : 0] = box;
    return &box->mailbox;
}

/* All that was told up to now. */
static inline void net_deliver(void)
{
    struct parcel *parcel = net.first, *next;
    net.first = NULL;
    for (; parcel; parcel = next) {
        struct mailbox *to = box_of(parcel->to);
        bool is_heard = to && !to->is_gone, is_lost = !parcel->from || parcel->from->is_stuck;
        next = parcel->next;
        if (is_heard && !is_lost && !to->is_stuck && !to->is_deaf)
            to->handlers.on_message(to->ctx, parcel->bytes, parcel->size);
        if (parcel->fn) parcel->fn(parcel->ctx, is_heard);
        free(parcel);
    }
}

/* ------------------------------------------------------------------- nodes */

struct tunnel_node {
    struct sio_server *io;
    struct sio_tunnels *tunnels;
    struct mailbox *box;
};

struct tunnel_nodes {
    struct eio_loop *loop;
    struct tunnel_node node[TUNNEL_NODES]; /* sessions are the first one's, clients come to the second */
};

static inline void tunnel_nodes_start(struct tunnel_nodes *nodes)
{
    static const uint8_t machines[TUNNEL_NODES][EIO_MACHINE_BYTES] = {"machine", "another"};
    static const uint8_t key[EIO_OWNER_KEY_BYTES] = "the machines' k";
    memset(&net, 0, sizeof net);
    nodes->loop = eio_loop_new_with_fake_clock();
    for (size_t i = 0; i < TUNNEL_NODES; i++) {
        struct tunnel_node *node = &nodes->node[i];
        struct sio_options options;
        struct sio_tunnel_options tunnels;
        sio_options_init(&options);
        options.engine.path = "/engine.io";
        options.engine.machine = machines[i];
        options.engine.machine_key = key;
        node->io = sio_server_new_on(nodes->loop, &options);
        assert_non_null(node->io);
        assert_non_null(sio_of(node->io, "/"));
        sio_tunnel_options_init(&tunnels);
        tunnels.mailbox = mailbox_new;
        tunnels.machine = machines[i];
        node->tunnels = sio_tunnels_new(node->io, &tunnels);
        assert_non_null(node->tunnels);
        node->box = net.box[i];
        assert_int_equal(sio_listen(node->io, "127.0.0.1", 0), 0);
    }
}

static inline void tunnel_nodes_stop(struct tunnel_nodes *nodes)
{
    for (size_t i = 0; i < TUNNEL_NODES; i++) {
        sio_tunnels_free(nodes->node[i].tunnels);
        sio_server_free(nodes->node[i].io);
    }
    net_deliver();
    for (int i = 0; i < 4; i++) eio_loop_turn(nodes->loop, 0);
    eio_loop_free(nodes->loop);
}

static inline void turn(struct tunnel_nodes *nodes)
{
    eio_loop_turn(nodes->loop, 1);
    net_deliver();
}

static inline void settle(struct tunnel_nodes *nodes)
{
    for (int i = 0; i < 30; i++) turn(nodes);
}

/* Turns until it holds; its end is for what hangs. The machine's sockets deliver when the machine has time for it. */
#define TURN_UNTIL(nodes, condition) \
    for (uint64_t turn_end = client_now_ms() + CLIENT_WAIT_MS; !(condition) && client_now_ms() < turn_end;) turn(nodes)

/* Time passes in steps in which all that is told arrives. */
static inline void pass(struct tunnel_nodes *nodes, uint64_t ms)
{
    enum { STEP_MS = 500 };
    for (uint64_t at = 0; at < ms; at += STEP_MS) {
        eio_loop_advance(nodes->loop, ms - at < STEP_MS ? ms - at : STEP_MS);
        for (int i = 0; i < 4; i++) {
            net_deliver();
            eio_loop_turn(nodes->loop, 0);
        }
    }
}

static inline struct sio_tunnel_stats stats_of(const struct tunnel_node *node)
{
    struct sio_tunnel_stats stats;
    sio_tunnels_get_stats(node->tunnels, &stats);
    return stats;
}

/* ----------------------------------------------------------------- clients */

static inline void connect_to(struct client *client, struct tunnel_nodes *nodes, size_t i)
{
    client_open(client, nodes->loop, eio_http_port(sio_server_http(nodes->node[i].io)));
}

/* A session of the first node. */
static inline void open_session(struct tunnel_nodes *nodes, char sid[SID_CHARS + 1])
{
    struct client client;
    connect_to(&client, nodes, 0);
    client_send(&client, "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n\r\n");
    client_expect(&client, "\"sid\":\"");
    client_expect(&client, "}");
    memcpy(sid, strstr(client.text, "\"sid\":\"") + 7, SID_CHARS);
    sid[SID_CHARS] = '\0';
    client_close(&client);
}

static inline void say(struct client *client, const char *text)
{
    uint8_t frame[128] = {0x81, (uint8_t)(0x80 | strlen(text))}; /* the mask is zero */
    memcpy(frame + 6, text, strlen(text));
    client_send_bytes(client, (const char *)frame, 6 + strlen(text));
}

static inline void ask_upgrade(struct client *client, const char *sid)
{
    char text[512];
    snprintf(text, sizeof text,
             "GET /engine.io/?EIO=4&transport=websocket&sid=%s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
             "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             sid);
    client_send(client, text);
}

/* What came, with nothing of it forgotten; the ends of strings do not matter. */
static inline bool came(struct client *client, const char *text)
{
    client_take(client);
    return memmem(client->text, client->size, text, strlen(text)) != NULL;
}

static inline void assert_comes(struct tunnel_nodes *nodes, struct client *client, const char *what)
{
    TURN_UNTIL(nodes, came(client, what));
    if (!came(client, what)) fail_msg("\"%s\" does not come: \"%s\"", what, client->text);
}

/* A WebSocket at the second node whose session is the first one's. */
static inline void open_carried(struct client *client, struct tunnel_nodes *nodes, char sid[SID_CHARS + 1])
{
    open_session(nodes, sid);
    connect_to(client, nodes, 1);
    ask_upgrade(client, sid);
    assert_comes(nodes, client, "101 Switching");
    say(client, "2probe");
    assert_comes(nodes, client, "3probe");
    say(client, "5");
    say(client, "40");
    assert_comes(nodes, client, "40{\"sid\"");
}

#endif
