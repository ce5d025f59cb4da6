/* A parser of the application's own: between the packets that it sees (struct sio_parser_packet) and ours. What its
 * decoder gives is checked as if it had come from the default parser. */
#include "sio_emit.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>

#define ID_MAX ((UINT64_C(1) << 53) - 1)

/* ---------------------------------------------------------------- decoding */

struct sio_parser_in {
    struct sio_client *client;
};

static const enum sio__packet_type inner_types[] = {
    [SIO_CONNECT] = SIO__CONNECT, [SIO_DISCONNECT] = SIO__DISCONNECT,       [SIO_EVENT] = SIO__EVENT,
    [SIO_ACK] = SIO__ACK,         [SIO_CONNECT_ERROR] = SIO__CONNECT_ERROR,
};

/* Each must name an attachment that is there. */
static bool names_attachments(struct eio_str args, size_t attachment_count)
{
    struct sio__placeholder found;
    enum sio__placeholder_kind kind;
    for (size_t at = 0; (kind = sio__placeholder_next(args, at, &found)) != SIO__PLACEHOLDER_NONE;
         at = found.at + found.size)
        if (kind != SIO__PLACEHOLDER_GOOD || found.number >= attachment_count) return false;
    return true;
}

/* NULL, or what is wrong with it. */
static const char *take_packet(const struct sio_parser_packet *from, const struct sio__packet_limits *limits,
                               struct sio__packet *packet, struct sio__fault *fault)
{
    if ((unsigned)from->type > SIO_CONNECT_ERROR) return "unknown packet type";
    if (from->nsp.n == 0 || from->nsp.p[0] != '/') return "the namespace does not start with a slash";
    if (from->nsp.n > limits->max_namespace_bytes) {
        *fault = (struct sio__fault){.code = EIO_ETOOBIG, .limit = SIO_LIMIT_NAMESPACE_BYTES};
        return "the namespace name is too long";
    }
    if (from->has_id && from->id > ID_MAX) return "id above 2^53-1";
    *packet =
        (struct sio__packet){.type = inner_types[from->type], .nsp = from->nsp, .has_id = from->has_id, .id = from->id};
    bool is_list = from->type == SIO_EVENT || from->type == SIO_ACK;
    if (is_list && from->data.n == 0) return "data is not an array";
    if (sio__packet_decode_data(from->data, limits, packet, fault) != 0) return fault->why;
    if (from->attachment_count == 0) return NULL;
    return is_list && names_attachments(packet->args, from->attachment_count) ? NULL
                                                                              : "placeholder without an attachment";
}

void sio_parser_packet(struct sio_parser_in *in, const struct sio_parser_packet *from)
{
    struct sio_client *client = in->client;
    struct sio__packet packet;
    struct sio__fault fault = {0};
    if (client->closing) return;
    const char *why = take_packet(from, &client->io->limits, &packet, &fault);
    if (why && fault.code == EIO_ETOOBIG) {
        sio__client_too_big(client, (enum sio_limit)fault.limit, why);
    } else if (why) {
        sio__client_parse_error(client, why);
    } else {
        struct sio_args args = {packet.args, from->attachments, from->attachment_count};
        sio__client_packet(client, &packet, &args);
    }
}

static void forget_state(const struct sio__parser *parser, void *state)
{
    if (state && parser->ops->forget) parser->ops->forget(state, parser->ctx);
}

static void own_forget(struct sio_client *client)
{
    forget_state(client->io->parser, client->parser_state);
    client->parser_state = NULL;
}

static void own_receive(struct sio_client *client, enum eio_kind kind, const uint8_t *p, size_t n)
{
    const struct sio__parser *parser = client->io->parser;
    struct sio_parser_in in = {client};
    if (n > client->io->max_packet_bytes) {
        sio__client_too_big(client, SIO_LIMIT_PACKET_BYTES, "the packet is too large");
        return;
    }
    /* Ours while it decodes: handlers may close the client. */
    void *state = client->parser_state;
    client->parser_state = NULL;
    const char *why = parser->ops->decode(&in, &state, kind, p, n, parser->ctx);
    if (why && !client->closing) sio__client_parse_error(client, why);
    if (client->closing)
        forget_state(parser, state);
    else
        client->parser_state = state;
}

/* ---------------------------------------------------------------- encoding */

struct sio_parser_out {
    struct sio__prepared *prepared;
    size_t left; /* messages that there is room for */
};

uint8_t *sio_parser_message(struct sio_parser_out *out, enum eio_kind kind, size_t size)
{
    uint8_t *bytes;
    if (out->left == 0 || sio__prepared_add(out->prepared, kind, size, &bytes) != 0) return NULL;
    out->left--;
    return bytes;
}

/* The data of a packet as one JSON text; *memory is to be freed. */
static int put_data(struct sio__prepared *prepared, const struct sio__outgoing *packet, char **memory,
                    struct eio_str *data)
{
    struct eio_str args = prepared->args.json;
    size_t size;
    *data = args;
    if (packet->type == SIO__EVENT) {
        prepared->json_memory = sio__event_array(packet->name, args, &size);
        if (!prepared->json_memory) return EIO_ENOMEM;
        prepared->json = (struct rooms_bytes){prepared->json_memory, size};
        *data = (struct eio_str){prepared->json_memory, size};
    } else if (packet->type == SIO__ACK) {
        *memory = sio__json_array(args);
        if (!*memory) return EIO_ENOMEM;
        *data = (struct eio_str){*memory, args.n + 2};
    }
    return 0;
}

static int own_encode(const struct sio__parser *self, struct sio__prepared *prepared,
                      const struct sio__outgoing *packet)
{
    static const enum sio_packet_type types[] = {
        [SIO__CONNECT] = SIO_CONNECT, [SIO__DISCONNECT] = SIO_DISCONNECT,       [SIO__EVENT] = SIO_EVENT,
        [SIO__ACK] = SIO_ACK,         [SIO__CONNECT_ERROR] = SIO_CONNECT_ERROR,
    };
    struct sio_parser_out out = {prepared, 1 + prepared->args.attachment_count};
    struct sio_parser_packet full = {
        .type = types[packet->type],
        .nsp = packet->nsp,
        .has_id = packet->has_id,
        .id = packet->id,
        .attachments = prepared->args.attachments,
        .attachment_count = prepared->args.attachment_count,
    };
    char *memory = NULL;
    int result = put_data(prepared, packet, &memory, &full.data);
    if (result == 0) result = self->ops->encode(&full, &out, self->ctx);
    if (result == 0 && prepared->count == 0) result = EIO_EINVAL;
    free(memory);
    return result;
}

static int send_packet(struct sio_client *client, const struct sio__outgoing *packet)
{
    struct sio__prepared prepared;
    int result = sio__prepare(&prepared, client->io->parser, packet, (struct sio_args){packet->json, NULL, 0});
    if (result != 0) return result;
    result = sio__prepared_send(&prepared, client->session, false);
    sio__prepared_clear(&prepared);
    return result;
}

const struct sio__parser sio__parser_own = {own_receive, send_packet, own_encode, own_forget, NULL, NULL};
