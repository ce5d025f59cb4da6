/* Any callback may do anything: each way of closing is tried from inside each callback. What is asked is that nothing
 * is used after it is gone (the sanitizer's part), that each connected socket is told once, and that nothing is left.
 */
#include "sio_fixture.h"

static struct talk t;

/* ----------------------------------------------------------------- closing */

static void close_nothing(struct sio_socket *socket)
{
    (void)socket;
}

static void close_namespace(struct sio_socket *socket)
{
    sio_socket_disconnect(socket, false);
}

static void close_connection(struct sio_socket *socket)
{
    sio_socket_disconnect(socket, true);
}

static void close_session(struct sio_socket *socket)
{
    eio_session_close(sio_socket_session(socket), EIO_CLOSE_FORCED, NULL);
}

static void abort_session(struct sio_socket *socket)
{
    eio_session_abort(sio_socket_session(socket), EIO_CLOSE_FORCED, NULL);
}

static void close_everybody(struct sio_socket *socket)
{
    struct sio_namespace *nsp = sio_socket_namespace(socket);
    sio_emit(sio_all(nsp), "farewell", sio_args_none());
    sio_target_disconnect(sio_all(nsp), true);
}

static void emit_and_join(struct sio_socket *socket)
{
    struct sio_target room = sio_to(sio_broadcast(socket), "room");
    sio_emit(room, "x", sio_args_none());
    sio_join(socket, eio_str("room"));
    sio_emit(sio_to(sio_all(sio_socket_namespace(socket)), "room"), "y", sio_args_none());
    sio_emit(sio_only(socket), "z", sio_args_none());
    sio_leave(socket, eio_str("room"));
    sio_target_join(sio_only(socket), &(struct rooms_name){"other", 5}, 1);
}

static void drain_all(struct sio_socket *socket)
{
    sio_drain(sio_namespace_server(sio_socket_namespace(socket)), 1000, NULL, NULL);
}

static void (*const closers[])(struct sio_socket *) = {
    close_nothing, close_namespace, close_connection, close_session,
    abort_session, close_everybody, emit_and_join,    drain_all,
};
enum { CLOSERS = sizeof closers / sizeof closers[0] };

/* --------------------------------------------------------------- callbacks */

enum place {
    IN_MIDDLEWARE,
    IN_CONNECTION,
    IN_ANY,
    IN_PACKET_MIDDLEWARE,
    IN_EVENT,
    IN_BINARY_EVENT,
    IN_ANSWER,
    IN_ANSWERS,
    IN_EACH,
    IN_FETCH,
    IN_DISCONNECTING,
    IN_DISCONNECT,
    PLACES,
};
static enum place active;
static void (*closer)(struct sio_socket *socket);
static struct sio_socket *kept;
static int connected, disconnecting, disconnected;

static void at(enum place place, struct sio_socket *socket)
{
    if (place == active && socket) closer(socket);
}

static void on_middleware(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)ctx;
    at(IN_MIDDLEWARE, socket);
    sio_next(admission);
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    connected++;
    sio_join(socket, eio_str("room"));
    at(IN_CONNECTION, socket);
}

static void on_connection_later(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    assert_true(sio_socket_is_connected(socket)); /* or it would not be called */
    kept = socket;
}

static void on_any(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    at(IN_ANY, socket);
    sio_ack(event, event->args);
}

static bool on_packet(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    (void)event;
    at(IN_PACKET_MIDDLEWARE, socket);
    return true;
}

static void on_answer(void *ctx, int error, struct sio_args answer)
{
    (void)error;
    (void)answer;
    if (error != EIO_ECLOSED) at(IN_ANSWER, ctx);
}

static void on_answers(void *ctx, int error, struct sio_args answers)
{
    struct sio_namespace *nsp = ctx; /* the socket that asked may be gone */
    (void)error;
    (void)answers;
    if (nsp->socket_count) at(IN_ANSWERS, nsp->sockets[0]);
}

static void on_fetched(void *ctx, int error, struct sio_args sockets)
{
    (void)error;
    (void)sockets;
    at(IN_FETCH, ctx);
}

static void on_each(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    at(IN_EACH, socket);
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    at(event->args.attachment_count ? IN_BINARY_EVENT : IN_EVENT, socket);
    sio_emit(sio_to(sio_broadcast(socket), "room"), "said", event->args);
    sio_ack(event, event->args);
    if (!sio_socket_is_connected(socket)) return;
    sio_emit_with_ack(sio_only(socket), "single", sio_args_none(), on_answer, socket);
    struct sio_namespace *nsp = sio_socket_namespace(socket);
    sio_emit_to_all_with_ack(sio_timeout(sio_all(nsp), 10), "all", sio_args_none(), on_answers, nsp);
}

static void on_event_later(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    (void)event;
    assert_true(sio_socket_is_connected(socket));
    sio_target_fetch(sio_all(sio_socket_namespace(socket)), on_fetched, socket);
    if (!sio_socket_is_connected(socket)) return;
    sio_target_each_local(sio_all(sio_socket_namespace(socket)), on_each, NULL);
}

static void on_disconnecting(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)ctx;
    assert_non_null(reason);
    disconnecting++;
    at(IN_DISCONNECTING, socket);
}

static void on_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)ctx;
    assert_non_null(reason);
    disconnected++;
    if (socket == kept) kept = NULL;
    at(IN_DISCONNECT, socket);
}

static void watch(struct sio_namespace *nsp)
{
    sio_use(nsp, on_middleware, NULL);
    sio_on_connection(nsp, on_connection, NULL);
    sio_on_connection(nsp, on_connection_later, NULL);
    sio_on_any(nsp, on_any, NULL);
    sio_use_packet(nsp, on_packet, NULL);
    sio_on(nsp, "say", on_event, NULL);
    sio_on(nsp, "say", on_event_later, NULL);
    sio_on_disconnecting(nsp, on_disconnecting, NULL);
    sio_on_disconnect(nsp, on_disconnect, NULL);
}

/* ------------------------------------------------------------ conversation */

/* What a client says without looking at the answers; the server may have closed the connection. */
static void say(int fd, const char *text)
{
    uint8_t wire[256] = {0x81, (uint8_t)(0x80 | strlen(text))};
    memcpy(wire + 6, text, strlen(text));
    if (send(fd, wire, 6 + strlen(text), MSG_NOSIGNAL) < 0) return;
    talk_turn(&t);
    peer_read(fd);
}

static void say_binary(int fd)
{
    static const uint8_t wire[] = {0x82, 0x81, 0, 0, 0, 0, 'x'};
    if (send(fd, wire, sizeof wire, MSG_NOSIGNAL) < 0) return;
    talk_turn(&t);
    peer_read(fd);
}

static void converse(int fd)
{
    say(fd, "40");
    say(fd, "40/b,");
    say(fd, "421[\"say\",1]");
    say(fd, "430[\"answer\"]");
    say(fd, "431[\"answer\"]");
    say(fd, "451-/b,2[\"say\",{\"_placeholder\":true,\"num\":0}]");
    say_binary(fd);
    say(fd, "43/b,0[\"answer\"]");
    say(fd, "43/b,1[\"answer\"]");
    say(fd, "41/b,");
}

static void run(enum place place, void (*how)(struct sio_socket *))
{
    int fds[3];
    talk_init(&t);
    talk_start(&t);
    watch(t.root);
    watch(sio_of(t.io, "/b"));
    active = place;
    closer = how;
    connected = disconnecting = disconnected = 0;
    for (int i = 0; i < 3; i++) {
        if (t.io->draining) continue;
        fds[i] = client_open(&t);
        converse(fds[i]);
        eio_loop_advance(t.loop, 20);
        close(fds[i]);
        if (i == 1) talk_turn(&t); /* the others are still there when the server goes */
    }
    active = PLACES;
    sio_server_free(t.io);
    eio_loop_free(t.loop);
    if (place != IN_MIDDLEWARE) assert_true(connected > 0);
    assert_int_equal(disconnecting, connected);
    assert_int_equal(disconnected, connected);
}

static void every_callback_may_close_anything(void **state)
{
    (void)state;
    for (int place = 0; place < PLACES; place++)
        for (int i = 0; i < CLOSERS; i++) run((enum place)place, closers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_callback_may_close_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
