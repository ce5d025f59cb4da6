/* The msgpack parser (socket.io-msgpack-parser 3): a packet is one binary message, the map {type,nsp,data,id}, with its
 * attachments inline. Handlers see what they see of the default parser: JSON text with placeholders, and attachments.
 */
#include "sio_emit.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>
#include <rooms_msgpack.h>

/* Members of the map as they stand; {NULL,0}: absent. */
struct fields {
    struct eio_str type, nsp, data, id;
};

/* ---------------------------------------------------------------- decoding */

/* object: as rooms_msgpack_decode() writes it, without whitespace or needless escapes. Of a key that stands twice the
 * last counts; unknown ones are ignored (the JavaScript client sends `options`). */
static void split(struct eio_str object, struct fields *fields)
{
    struct base_json_walk walk;
    struct base_str name, value;
    base_json_open(&walk, sio__base_str(object));
    while (base_json_each(&walk, &name, &value)) {
        struct eio_str key = sio__eio_str(name);
        if (eio_str_is(key, "\"type\"")) fields->type = sio__eio_str(value);
        if (eio_str_is(key, "\"nsp\"")) fields->nsp = sio__eio_str(value);
        if (eio_str_is(key, "\"data\"")) fields->data = sio__eio_str(value);
        if (eio_str_is(key, "\"id\"")) fields->id = sio__eio_str(value);
    }
}

static const char *take_id(struct eio_str id, struct sio__packet *packet)
{
    packet->has_id = id.p != NULL;
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] < '0' || id.p[i] > '9') return "id must be a non-negative integer";
        packet->id = packet->id * 10 + (uint64_t)(id.p[i] - '0');
        if (packet->id > SIO__ID_MAX) return "id above 2^53-1";
    }
    return NULL;
}

/* *decoded is to be freed. */
static const char *take_namespace(struct eio_str nsp, size_t max_bytes, struct sio__packet *packet, char **decoded)
{
    if (nsp.n < 2 || nsp.p[0] != '"') return "the namespace is not a string";
    packet->nsp = (struct eio_str){nsp.p + 1, nsp.n - 2};
    if (memchr(nsp.p, '\\', nsp.n)) {
        *decoded = malloc(nsp.n);
        if (!*decoded) return "out of memory";
        packet->nsp = (struct eio_str){*decoded, sio__json_decode_text(nsp, *decoded)};
    }
    if (packet->nsp.n == 0 || packet->nsp.p[0] != '/') return "the namespace does not start with a slash";
    return packet->nsp.n > max_bytes ? "the namespace name is too long" : NULL;
}

static bool is_list(enum sio__packet_type type)
{
    return type == SIO__EVENT || type == SIO__ACK;
}

/* The map in `message` as a packet, or what is wrong with it. */
static const char *take_packet(const struct rooms_decoded *message, const struct sio__packet_limits *limits,
                               struct sio__packet *packet, char **decoded, struct sio__fault *fault)
{
    struct fields fields = {0};
    if (message->json_size < 2 || message->json[0] != '{') return "a packet must be a map";
    split((struct eio_str){message->json, message->json_size}, &fields);
    if (fields.type.n != 1 || fields.type.p[0] < '0' || fields.type.p[0] > '4') return "unknown packet type";
    packet->type = (enum sio__packet_type)(fields.type.p[0] - '0');
    const char *why = take_namespace(fields.nsp, limits->max_namespace_bytes, packet, decoded);
    if (why && packet->nsp.n > limits->max_namespace_bytes)
        *fault = (struct sio__fault){.code = EIO_ETOOBIG, .limit = SIO_LIMIT_NAMESPACE_BYTES};
    if (!why) why = take_id(fields.id, packet);
    if (why) return why;
    if (is_list(packet->type) && !fields.data.p) return "data is not an array";
    if (sio__packet_decode_data(fields.data, limits, packet, fault) != 0) return fault->why;
    /* Attachments are numbered through the whole map: all must be the data's. */
    size_t named = is_list(packet->type) && message->attachment_count > 0 ? sio__placeholder_count(packet->args) : 0;
    return named == message->attachment_count ? NULL : "binary data is allowed only in events and acks";
}

static void msgpack_receive(struct sio_client *client, enum eio_kind kind, const uint8_t *p, size_t n)
{
    const struct sio__packet_limits *limits = &client->io->limits;
    struct rooms_msgpack_limits within = {limits->json.max_depth + 1, SIO__MSGPACK_ATTACHMENTS_MAX};
    struct rooms_msgpack_fault fault;
    struct rooms_decoded message;
    if (kind == EIO_TEXT) {
        sio__client_parse_error(client, "text received instead of msgpack");
        return;
    }
    if (n > client->io->max_packet_bytes) {
        sio__client_too_big(client, SIO_LIMIT_PACKET_BYTES, "the packet is too large");
        return;
    }
    long used = rooms_msgpack_decode(p, n, &within, &message, &fault);
    if (used < 0) {
        /* Of binary parts there may be more than anybody sends: what is left is the depth. */
        if (used == ROOMS_ELIMIT)
            sio__client_too_big(client, SIO_LIMIT_DEPTH, fault.why);
        else
            sio__client_parse_error(client, fault.why);
        return;
    }
    struct sio__packet packet = {0};
    struct sio__fault bad = {0};
    char *decoded = NULL;
    const char *why = "bytes after the packet";
    if ((size_t)used == n) why = take_packet(&message, limits, &packet, &decoded, &bad);
    if (why && bad.code == EIO_ETOOBIG) {
        sio__client_too_big(client, (enum sio_limit)bad.limit, why);
    } else if (why) {
        sio__client_parse_error(client, why);
    } else {
        struct sio_args args = {packet.args, message.attachments, message.attachment_count};
        sio__client_packet(client, &packet, &args);
    }
    free(decoded);
    rooms_decoded_clear(&message);
}

/* ---------------------------------------------------------------- encoding */

static void pack_key(struct rooms_packer *packer, const char *key)
{
    rooms_pack_text(packer, key, strlen(key));
}

static void pack_data(struct rooms_packer *packer, const struct sio__outgoing *packet, struct sio_args args)
{
    bool is_event = packet->type == SIO__EVENT;
    pack_key(packer, "data");
    if (is_list(packet->type)) rooms_pack_array(packer, is_event + sio_args_count(args));
    if (is_event) rooms_pack_text(packer, packet->name.p, packet->name.n);
    rooms_pack_json(packer, (struct rooms_bytes){(const uint8_t *)args.json.p, args.json.n}, args.attachments,
                    args.attachment_count);
}

/* To be cleared, however it ends. */
static int pack(struct rooms_packer *packer, const struct sio__outgoing *packet, struct sio_args args)
{
    bool has_data = is_list(packet->type) || args.json.n > 0;
    rooms_packer_init(packer);
    rooms_pack_map(packer, 2u + has_data + packet->has_id);
    pack_key(packer, "type");
    rooms_pack_uint(packer, packet->type);
    pack_key(packer, "nsp");
    rooms_pack_text(packer, packet->nsp.p, packet->nsp.n);
    if (has_data) pack_data(packer, packet, args);
    if (packet->has_id) {
        pack_key(packer, "id");
        rooms_pack_uint(packer, packet->id);
    }
    return sio__rooms_result(packer->error);
}

static int send_packed(struct sio_client *client, const struct sio__outgoing *packet)
{
    struct rooms_packer packer;
    int result = pack(&packer, packet, (struct sio_args){packet->json, NULL, 0});
    uint8_t *out = result == 0 ? eio_session_reserve(client->session, EIO_BINARY, packer.size) : NULL;
    if (out)
        memcpy(out, packer.bytes, packer.size);
    else if (result == 0)
        result = eio_session_is_open(client->session) ? EIO_EAGAIN : EIO_ECLOSED;
    rooms_packer_clear(&packer);
    return result;
}

/* The array as JSON, for adapters: it does not stand in the frame. */
static int make_json(struct sio__prepared *prepared, struct eio_str name)
{
    size_t size;
    prepared->json_memory = sio__event_array(name, prepared->args.json, &size);
    if (!prepared->json_memory) return EIO_ENOMEM;
    prepared->json = (struct rooms_bytes){prepared->json_memory, size};
    return 0;
}

static int msgpack_encode(const struct sio__parser *self, struct sio__prepared *prepared,
                          const struct sio__outgoing *packet)
{
    (void)self;
    struct rooms_packer packer;
    uint8_t *out;
    int result = pack(&packer, packet, prepared->args);
    if (result == 0) result = sio__prepared_add(prepared, EIO_BINARY, packer.size, &out);
    if (result == 0) memcpy(out, packer.bytes, packer.size);
    if (result == 0 && packet->type == SIO__EVENT) result = make_json(prepared, packet->name);
    rooms_packer_clear(&packer);
    return result;
}

static void msgpack_forget(struct sio_client *client)
{
    (void)client; /* a packet is a message */
}

const struct sio__parser sio__parser_msgpack = {msgpack_receive, send_packed, msgpack_encode,
                                                msgpack_forget,  NULL,        NULL};
