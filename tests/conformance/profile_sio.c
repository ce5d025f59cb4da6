/* Profile sio-proto: what the Socket.IO protocol suite talks to, in `/` and `/custom`. */
#include "conformance.h"

#include <stdlib.h>

/* The suite waits for one message at a time with a listener that serves once. What arrives in the same segment as the
 * CONNECT answer finds no listener: its client emits both before the test runs on. So the greeting comes in a segment
 * of its own, or before the first answer. */
#define GREETING_DELAY_MS 40

struct greeting {
    struct eio_timer timer;
    struct sio_socket *socket;
    bool sent;
};

static void send_greeting(void *ctx)
{
    struct greeting *greeting = ctx;
    if (!greeting || greeting->sent) return;
    greeting->sent = true;
    eio_timer_stop(&greeting->timer);
    struct sio_args auth = {sio_socket_auth(greeting->socket), NULL, 0};
    sio_emit(sio_only(greeting->socket), "auth", auth);
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    struct greeting *greeting = calloc(1, sizeof *greeting);
    if (!greeting) return;
    greeting->socket = socket;
    sio_socket_set_user(socket, greeting);
    eio_timer_init(&greeting->timer, ctx, send_greeting, greeting);
    if (eio_timer_start(&greeting->timer, GREETING_DELAY_MS) != 0) send_greeting(greeting);
}

static void on_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)reason;
    (void)ctx;
    struct greeting *greeting = sio_socket_user(socket);
    if (!greeting) return;
    eio_timer_stop(&greeting->timer);
    free(greeting);
}

static void on_message(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    send_greeting(sio_socket_user(socket));
    sio_emit(sio_only(socket), "message-back", event->args);
}

static void on_message_with_ack(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    send_greeting(sio_socket_user(socket));
    sio_ack(event, event->args);
}

static int open_sio_proto(struct conformance *conformance)
{
    static const char *const names[] = {"/", "/custom"};
    struct sio_options options;
    sio_options_init(&options);
    options.engine.ping_interval_ms = 300;
    options.engine.ping_timeout_ms = 200;
    options.engine.cors.origin = "*";
    options.connect_timeout_ms = 1000;
    int error = conformance_open_socketio(conformance, &options);
    for (size_t i = 0; i < 2 && error == 0; i++) {
        struct sio_namespace *nsp = sio_of(conformance->io, names[i]);
        if (!nsp) return EIO_ENOMEM;
        error = sio_on_connection(nsp, on_connection, conformance->loop);
        if (error == 0) error = sio_on_disconnect(nsp, on_disconnect, NULL);
        if (error == 0) error = sio_on(nsp, "message", on_message, NULL);
        if (error == 0) error = sio_on(nsp, "message-with-ack", on_message_with_ack, NULL);
    }
    return error;
}

const struct conformance_profile conformance_sio_proto = {"sio-proto", open_sio_proto};
