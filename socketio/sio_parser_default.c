/* The default parser (socket.io-parser): a packet is a text message, and a binary message for each of its attachments.
 */
#include "sio_emit.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <string.h>

static void on_text(struct sio_client *client, const uint8_t *p, size_t n)
{
    struct sio__packet packet;
    struct sio__fault fault = {0};
    if (client->pending) {
        sio__client_parse_error(client, "text received instead of an attachment");
        return;
    }
    if (n > client->io->max_packet_bytes) {
        sio__client_too_big(client, SIO_LIMIT_PACKET_BYTES, "the packet is too large");
        return;
    }
    if (sio__packet_decode(p, n, &client->io->limits, &packet, &fault) != 0) {
        if (fault.code == EIO_ETOOBIG)
            sio__client_too_big(client, (enum sio_limit)fault.limit, fault.why);
        else
            sio__client_parse_error(client, fault.why);
        return;
    }
    if (packet.attachment_count > 0) {
        if (sio__pending_begin(client, &packet, p, n) != 0) sio__client_parse_error(client, "out of memory");
        return;
    }
    const struct sio_args args = {packet.args, NULL, 0};
    sio__client_packet(client, &packet, &args);
}

static void on_attachment(struct sio_client *client, const uint8_t *p, size_t n)
{
    if (!client->pending) {
        sio__client_parse_error(client, "attachment without a packet");
        return;
    }
    int result = sio__pending_add(client, p, n);
    if (result == EIO_ETOOBIG)
        sio__client_too_big(client, SIO_LIMIT_PACKET_BYTES, "the packet with its attachments is too large");
    else if (result < 0)
        sio__client_parse_error(client, "out of memory");
    if (result <= 0) return;
    /* Taken off first: handlers may close the client, or the next packet may come. */
    struct sio__pending *pending = client->pending;
    struct sio_args args;
    client->pending = NULL;
    if (sio__pending_finish(pending, &args) != 0)
        sio__client_parse_error(client, "out of memory");
    else
        sio__client_packet(client, sio__pending_packet(pending), &args);
    sio__pending_free(pending);
}

static void default_receive(struct sio_client *client, enum eio_kind kind, const uint8_t *p, size_t n)
{
    if (kind == EIO_TEXT)
        on_text(client, p, n);
    else
        on_attachment(client, p, n);
}

static int send_text(struct sio_client *client, const struct sio__outgoing *packet)
{
    uint8_t *out = eio_session_reserve(client->session, EIO_TEXT, sio__packet_size(packet));
    if (!out) return eio_session_is_open(client->session) ? EIO_EAGAIN : EIO_ECLOSED;
    sio__packet_put(packet, out);
    return 0;
}

static int default_encode(const struct sio__parser *self, struct sio__prepared *prepared,
                          const struct sio__outgoing *packet)
{
    (void)self;
    const struct sio_args *args = &prepared->args;
    uint8_t *out;
    size_t size = sio__packet_size(packet);
    if (sio__prepared_add(prepared, EIO_TEXT, size, &out) != 0) return EIO_ENOMEM;
    sio__packet_put(packet, out);
    /* The array stands at the end of the text: adapters that need it read it there. */
    size_t array = base_json_quoted_size(packet->name.p, packet->name.n) + args->json.n + (args->json.n > 0) + 2;
    prepared->json = (struct rooms_bytes){out + size - array, array};

    for (size_t i = 0; i < args->attachment_count; i++) {
        struct rooms_bytes bytes = args->attachments[i];
        if (sio__prepared_add(prepared, EIO_BINARY, bytes.n, &out) != 0) return EIO_ENOMEM;
        if (bytes.n) memcpy(out, bytes.p, bytes.n);
    }
    return 0;
}

static void default_forget(struct sio_client *client)
{
    sio__pending_free(client->pending);
    client->pending = NULL;
}

const struct sio__parser sio__parser_default = {default_receive, send_text, default_encode, default_forget, NULL, NULL};
