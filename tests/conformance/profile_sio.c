/* Profile sio-proto: what the Socket.IO protocol suite talks to, in `/` and `/custom`. */
#include "conformance.h"

static void on_connection(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    struct sio_args auth = {sio_socket_auth(socket), NULL, 0};
    sio_emit(sio_only(socket), "auth", auth);
}

static void on_message(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    sio_emit(sio_only(socket), "message-back", event->args);
}

static void on_message_with_ack(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    (void)ctx;
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
        error = sio_on_connection(nsp, on_connection, NULL);
        if (error == 0) error = sio_on(nsp, "message", on_message, NULL);
        if (error == 0) error = sio_on(nsp, "message-with-ack", on_message_with_ack, NULL);
    }
    return error;
}

const struct conformance_profile conformance_sio_proto = {"sio-proto", open_sio_proto};
