/* A server with the msgpack parser, and two clients that send it anything. Input: messages, each a byte of what to do
 * (bit 0: which client, bit 1: end the turn, bit 2: as text) and one of its size, then its bytes. What a handler is
 * given must be JSON whose placeholders are those of its attachments, in order. */
#include "sio_server.h"

#include "../../engineio/codec/eio_codec.h"
#include "eio_test.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

enum { CLIENTS = 2 };

static void check_args(struct sio_args args)
{
    struct sio__fault fault;
    struct sio__json_limits limits = {.max_depth = 128};
    char *json = sio__json_array(args.json);
    MUST(json);
    MUST(sio__json_scan((const uint8_t *)json, args.json.n + 2, &limits, false, &fault) == (ssize_t)args.json.n + 2);
    free(json);
    if (args.attachment_count == 0) return;
    struct sio__placeholder found = {0};
    for (size_t i = 0; i < args.attachment_count; i++) {
        MUST(sio__placeholder_next(args.json, found.at + found.size, &found) == SIO__PLACEHOLDER_GOOD);
        MUST(found.number == i);
    }
    MUST(sio__placeholder_next(args.json, found.at + found.size, &found) == SIO__PLACEHOLDER_NONE);
}

static void on_answer(void *ctx, int error, struct sio_args answer)
{
    (void)ctx;
    if (error == 0) check_args(answer);
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    check_args(event->args);
    int result = sio_ack(event, event->args);
    MUST(result == 0 || result == EIO_EAGAIN || result == EIO_ECLOSED);
    sio_emit(sio_all(sio_socket_namespace(socket)), "all", event->args);
    sio_emit_with_ack(sio_only(socket), "q", sio_args_skip(event->args, 1), on_answer, NULL);
    if (event->name.n > 0 && event->name.p[0] == 'd') sio_socket_disconnect(socket, event->name.n > 1);
}

static void say(struct sio_server *io, const char *id, enum eio_kind kind, const uint8_t *p, size_t n)
{
    struct eio_session *session = eio_server_find(sio_server_engine(io), id, 20);
    struct sio_client *client = session ? eio_session_data(session) : NULL;
    if (client && (kind == EIO_BINARY || base_utf8_valid(p, n))) sio__client_message(client, kind, p, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char connect[] = "\x82\xa4type\x00\xa3nsp\xa1/";
    char ids[CLIENTS][21];
    int fds[CLIENTS];
    struct sio_options options;
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    sio_options_init(&options);
    options.parser = SIO_PARSER_MSGPACK;
    struct sio_server *io = sio_server_new_on(loop, &options);
    sio_on_any(sio_of(io, "/"), on_event, NULL);
    sio_on_any(sio_of(io, "/b"), on_event, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        struct eio_session *session = eio__test_websocket(sio_server_engine(io), &fds[i]);
        memcpy(ids[i], eio_session_id(session), sizeof ids[i]);
        say(io, ids[i], EIO_BINARY, (const uint8_t *)connect, sizeof connect - 1);
    }
    while (size > 2) {
        size_t n = data[1] < size - 2 ? data[1] : size - 2;
        say(io, ids[data[0] & 1], data[0] & 4 ? EIO_TEXT : EIO_BINARY, data + 2, n);
        if (data[0] & 2) eio_loop_turn(loop, 0);
        data += 2 + n;
        size -= 2 + n;
    }
    sio_server_free(io);
    eio_loop_free(loop);
    for (int i = 0; i < CLIENTS; i++) close(fds[i]);
    return 0;
}
