/* Clients that break off and come back, with recovery, middleware that takes its time, matched namespaces that are
 * cleaned up, and a client of Socket.IO 2. Input: a byte of options, then steps of two bytes: what and who. Besides
 * not crashing: a client that is recovered has its id. */
#include "sio_server.h"

#include "eio_test.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS = 4, HELD_MAX = 16 };

struct peer {
    int fd; /* -1: not connected */
    char session[21], sid[21], pid[21], offset[ROOMS_OFFSET_SIZE];
};

static struct sio_server *io;
static struct peer peers[CLIENTS];
static struct sio_admission *held[HELD_MAX];
static size_t held_count;

static bool match(struct eio_str name, void *ctx)
{
    (void)ctx;
    return name.n > 2 && name.p[1] == 'd';
}

static void on_middleware(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    const uint8_t *options = ctx;
    (void)socket;
    if (*options & 8 && held_count < HELD_MAX)
        held[held_count++] = admission;
    else
        sio_next(admission);
}

static bool on_recover(struct sio_socket *socket, void *ctx)
{
    const uint8_t *options = ctx;
    if (*options & 16 && sio_socket_is_in(socket, eio_str("room"))) sio_leave(socket, eio_str("room"));
    return !(*options & 32);
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    for (int i = 0; i < CLIENTS; i++) {
        if (strcmp(eio_session_id(sio_socket_session(socket)), peers[i].session) != 0 || !socket->recovery) continue;
        if (sio_socket_recovered(socket)) BASE_CHECK(strcmp(peers[i].sid, socket->id) == 0);
        snprintf(peers[i].sid, sizeof peers[i].sid, "%s", socket->id);
        snprintf(peers[i].pid, sizeof peers[i].pid, "%s", socket->recovery->pid);
    }
}

static void on_disconnecting(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)ctx;
    (void)reason;
    sio_emit(sio_only(socket), "bye", sio_args_none());
    sio_emit(sio_broadcast(socket), "left", sio_args_json("\"text\""));
}

static void watch(struct sio_namespace *nsp, uint8_t *options)
{
    sio_use(nsp, on_middleware, options);
    sio_on_recover(nsp, on_recover, options);
    sio_on_connection(nsp, on_connection, NULL);
    sio_on_disconnecting(nsp, on_disconnecting, NULL);
}

static void say(const struct peer *peer, const char *text)
{
    struct eio_session *session = eio_server_find(io->engine, peer->session, strlen(peer->session));
    if (session && eio_session_data(session))
        sio__client_message(eio_session_data(session), EIO_TEXT, (const uint8_t *)text, strlen(text));
}

static void break_off(struct peer *peer)
{
    if (peer->fd >= 0) close(peer->fd);
    peer->fd = -1;
}

/* The old connection may still be there. */
static void come(struct peer *peer, uint8_t how)
{
    char text[200];
    break_off(peer);
    struct eio_session *session = eio__test_websocket_of(io->engine, how == 7 ? 3 : 4, &peer->fd);
    if (!session) return;
    snprintf(peer->session, sizeof peer->session, "%s", eio_session_id(session));
    const char *nsp = how & 4 ? "/d1," : "";
    if (peer->pid[0] && how & 1)
        snprintf(text, sizeof text, "0%s{\"pid\":\"%s\",\"offset\":\"%s\"}", nsp, peer->pid,
                 how & 2 ? peer->offset : "x");
    else if (peer->pid[0])
        snprintf(text, sizeof text, "0%s{\"pid\":\"%s\"}", nsp, peer->pid);
    else
        snprintf(text, sizeof text, "0%s", nsp);
    say(peer, text);
}

static void answer(uint8_t refuse)
{
    if (held_count == 0) return;
    struct sio_admission *admission = held[--held_count];
    if (refuse)
        sio_refuse(admission, "no", NULL);
    else
        sio_next(admission);
}

static void step(uint8_t what, struct peer *peer, uint8_t how)
{
    struct sio_namespace *root = sio_of(io, "/");
    struct sio_socket *socket = sio_socket_find(root, peer->sid, strlen(peer->sid));
    switch (what % 12) {
    case 0:
        come(peer, how & 7);
        break;
    case 1:
        break_off(peer);
        break;
    case 2:
        eio_loop_turn(sio_server_loop(io), 0);
        break;
    case 3:
        eio_loop_advance(sio_server_loop(io), (uint64_t)how * 50);
        break;
    case 4:
        sio_emit(sio_all(root), "ev", sio_args_json("1"));
        break;
    case 5:
        sio_emit(how & 1 ? sio_except(sio_all(root), "room") : sio_to(sio_all(root), "room"), "ev",
                 sio_args_json("\"x\""));
        break;
    case 6:
        sio_emit(sio_volatile(sio_all(root)), "ev", how & 1 ? sio_args_none() : sio_args_json("\"x\""));
        break;
    case 7:
        if (socket) sio_join(socket, eio_str("room"));
        break;
    case 8:
        if (socket) sio_emit(sio_only(socket), "ev", sio_args_json("{}"));
        break;
    case 9:
        say(peer, how & 1 ? "1" : "1/d1,");
        break;
    case 10:
        answer(how & 1);
        break;
    default: /* the offset of what was sent last */
        root->adapter->ops->last_offset(root->adapter, peer->offset);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    uint8_t flags = data[0];
    struct sio_options options;
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    sio_options_init(&options);
    options.engine.allow_eio3 = true;
    options.engine.ping_interval_ms = 500;
    options.engine.ping_timeout_ms = 500;
    options.cleanup_empty_child_namespaces = flags & 1;
    options.recovery = (struct sio_recovery){
        .enabled = true,
        .max_disconnection_ms = 5000,
        .skip_middlewares = flags & 2,
        .max_log_bytes = flags & 4 ? 300 : 100000,
        .max_log_packets = flags & 4 ? 3 : 1000,
        .max_sessions = flags & 4 ? 1 : 100,
    };
    io = sio_server_new_on(loop, &options);
    held_count = 0;
    watch(sio_of(io, "/"), &flags);
    watch(sio_of_matching(io, match, NULL), &flags);
    memset(peers, 0, sizeof peers);
    for (int i = 0; i < CLIENTS; i++) peers[i].fd = -1;
    for (size_t i = 1; i + 1 < size; i += 2) step(data[i], &peers[data[i + 1] & 3], data[i + 1] >> 2);
    sio_server_free(io);
    eio_loop_free(loop);
    for (int i = 0; i < CLIENTS; i++) break_off(&peers[i]);
    return 0;
}
