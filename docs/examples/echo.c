/* An echo server: "message" with an acknowledgement is answered, without one it comes back as "message-back".
 * usage: echo [PORT] */
#include <socketio.h>

#include <stdio.h>
#include <stdlib.h>

static void on_message(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    if (event->wants_ack)
        sio_ack(event, event->args);
    else
        sio_emit(sio_only(socket), "message-back", event->args);
}

int main(int argc, char **argv)
{
    struct sio_server *io = sio_server_new(NULL);
    if (!io) return 1;
    sio_on(sio_of(io, "/"), "message", on_message, NULL);
    int error = sio_listen(io, "127.0.0.1", (uint16_t)(argc > 1 ? atoi(argv[1]) : 3000));
    if (error)
        fprintf(stderr, "cannot listen: %s\n", eio_strerror(error));
    else
        error = sio_run(io);
    sio_server_free(io);
    return error ? 1 : 0;
}
