/* A server with handlers that do everything, and clients that say anything; the last is one of Socket.IO 2. Input:
 * messages, each a byte of what to do (bit 0: binary, bits 1-2: which client, bit 3: end the turn, bit 4: time passes),
 * then its bytes up to a newline. */
#include "sio_server.h"

#include "../../engineio/codec/eio_codec.h"
#include "eio_test.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS = 4 };

static void on_answer(void *ctx, int error, struct sio_args answer)
{
    (void)ctx;
    (void)error;
    sio_args_count(answer);
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    struct sio_namespace *nsp = sio_socket_namespace(socket);
    struct eio_str first = sio_args_at(event->args, 0);
    sio_ack(event, sio_args_skip(event->args, 1));
    sio_emit(sio_only(socket), "back", event->args);
    sio_emit(sio_to(sio_broadcast(socket), "room"), "said", sio_args_drop_last(event->args));
    switch (event->name.n ? event->name.p[0] : 0) {
    case 'j':
        sio_join(socket, first.n ? first : eio_str("room"));
        break;
    case 'l':
        sio_leave(socket, first.n ? first : eio_str("room"));
        break;
    case 'a':
        sio_emit_with_ack(sio_timeout(sio_only(socket), 50), "q", event->args, on_answer, NULL);
        break;
    case 's':
        sio_emit_to_all_with_ack(sio_timeout(sio_all(nsp), 50), "q", event->args, on_answer, NULL);
        break;
    case 'f':
        sio_target_fetch(sio_all(nsp), on_answer, NULL);
        break;
    case 'd':
        sio_socket_disconnect(socket, first.n > 0);
        break;
    case 'k':
        sio_target_disconnect(sio_to(sio_broadcast(socket), "room"), first.n > 0);
        break;
    default:
        sio_emit(sio_except(sio_all(nsp), "room"), "else", event->args);
    }
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    sio_join(socket, eio_str("room"));
    sio_emit(sio_to(sio_all(sio_socket_namespace(socket)), "room"), "new", sio_args_none());
}

static struct sio_admission *held;

static void on_middleware(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    struct eio_str auth = sio_socket_auth(socket);
    (void)ctx;
    if (auth.n > 20)
        sio_refuse(admission, auth.p[1] == '"' ? "no" : "\xff", NULL);
    else if (auth.n > 2 && !held)
        held = admission;
    else
        sio_next(admission);
}

static bool match(struct eio_str name, void *ctx)
{
    (void)ctx;
    return name.n > 2 && name.p[1] == 'd';
}

static void feed(struct sio_server *io, struct eio_session **sessions, const uint8_t *p, size_t n)
{
    struct eio_session *session = sessions[p[0] >> 1 & 3];
    enum eio_kind kind = p[0] & 1 ? EIO_BINARY : EIO_TEXT;
    struct sio_client *client = session ? eio_session_data(session) : NULL;
    if (client && (kind == EIO_BINARY || base_utf8_valid(p + 1, n - 1)))
        sio__client_message(client, kind, p + 1, n - 1);
    if (p[0] & 16 && held) {
        struct sio_admission *admission = held;
        held = NULL;
        sio_next(admission);
    }
    if (p[0] & 8) eio_loop_turn(sio_server_loop(io), 0);
    if (p[0] & 16) eio_loop_advance(sio_server_loop(io), 60);
}

static void watch(struct sio_namespace *nsp)
{
    sio_on_connection(nsp, on_connection, NULL);
    sio_on_any(nsp, on_event, NULL);
    sio_use(nsp, on_middleware, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct eio_session *sessions[CLIENTS];
    char ids[CLIENTS][21];
    int fds[CLIENTS];
    struct sio_options options;
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    sio_options_init(&options);
    options.engine.allow_eio3 = true;
    struct sio_server *io = sio_server_new_on(loop, &options);
    held = NULL;
    watch(sio_of(io, "/"));
    watch(sio_of(io, "/b"));
    watch(sio_of_matching(io, match, NULL));
    for (int i = 0; i < CLIENTS; i++) {
        sessions[i] = eio__test_websocket_of(sio_server_engine(io), i == CLIENTS - 1 ? 3 : 4, &fds[i]);
        memcpy(ids[i], eio_session_id(sessions[i]), sizeof ids[i]);
        if (i < 2) sio__client_message(eio_session_data(sessions[i]), EIO_TEXT, (const uint8_t *)"0", 1);
    }
    while (size > 0) {
        const uint8_t *newline = memchr(data, '\n', size);
        size_t n = newline ? (size_t)(newline - data) : size;
        for (int i = 0; i < CLIENTS; i++) sessions[i] = eio_server_find(sio_server_engine(io), ids[i], 20);
        if (n > 0) feed(io, sessions, data, n);
        data += newline ? n + 1 : n;
        size -= newline ? n + 1 : n;
    }
    sio_server_free(io);
    eio_loop_free(loop);
    for (int i = 0; i < CLIENTS; i++) close(fds[i]);
    return 0;
}
