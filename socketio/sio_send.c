/* Packets to one client: behind what the open batch holds for it, into its session's own memory if that is possible. */
#include "sio_emit.h"
#include "sio_server.h"
#include "sio_socket.h"

int sio__client_send(struct sio_client *client, const struct sio__outgoing *packet)
{
    if (!client->session) return EIO_ECLOSED;
    sio__batch_before_send(client);
    return client->io->parser->send(client, packet);
}

/* A text packet into the session's own memory; nothing is allocated. */
static int send_text(struct sio_socket *socket, const struct sio__outgoing *packet, bool is_volatile)
{
    if (is_volatile && !eio_session_is_writable(socket->session)) {
        eio_session_count_drop(socket->session);
        return 0;
    }
    return sio__client_send(socket->client, packet);
}

/* In frames of its own: with attachments, or with flags that belong to frames. */
static __attribute__((noinline)) int send_frames(struct sio_socket *socket, const struct sio__outgoing *packet,
                                                 struct sio_args args, const struct rooms_flags *flags)
{
    struct sio__prepared prepared;
    int result = sio__prepare(&prepared, socket->nsp->io->parser, packet, args);
    if (result != 0) return result;
    sio__prepared_set_compress(&prepared, flags->compress);
    sio__batch_before_send(socket->client);
    result = sio__prepared_send(&prepared, socket->session, flags->is_volatile);
    sio__prepared_clear(&prepared);
    return result;
}

int sio__socket_send(struct sio_socket *socket, struct sio__outgoing *packet, struct sio_args args,
                     const struct rooms_flags *flags)
{
    if (socket->state != SIO__S_CONNECTED && socket->state != SIO__S_LEAVING) return EIO_ECLOSED;
    packet->nsp = (struct eio_str){socket->nsp->name, socket->nsp->name_size};
    packet->json = args.json;
    if (packet->type == SIO__EVENT) sio__outgoing_one(socket, packet->name, args);
    if (args.attachment_count > 0 || !flags->compress) return send_frames(socket, packet, args, flags);
    return send_text(socket, packet, flags->is_volatile);
}
