/* Writing and reading what socket.io's cluster adapters say. One form is written by hand, JSON; msgpack is made of it,
 * and read as JSON, too. */
#include "rooms_cluster_wire.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { PACKET_EVENT = 2, PACKET_BINARY_EVENT = 5 };

/* ------------------------------------------------------------------ writing */

enum rooms__cluster_form rooms__cluster_form_of(const struct rooms_cluster_message *message)
{
    return message->packet.attachment_count > 0 ? ROOMS__FORM_MSGPACK : ROOMS__FORM_JSON;
}

static void put_flags(struct rooms_packer *packer, const struct rooms_flags *flags)
{
    const char *comma = "";
    rooms__put(packer, ",\"flags\":{");
    if (flags->is_volatile) {
        rooms__put(packer, "\"volatile\":true");
        comma = ",";
    }
    if (!flags->compress) {
        rooms__put(packer, comma);
        rooms__put(packer, "\"compress\":false");
        comma = ",";
    }
    if (flags->timeout_ms) {
        rooms__put(packer, comma);
        rooms__put(packer, "\"timeout\":");
        rooms__put_uint(packer, flags->timeout_ms);
    }
    rooms__put(packer, "}");
}

static void put_opts(struct rooms_packer *packer, const struct rooms_cluster_message *message)
{
    rooms__put(packer, "\"opts\":{\"rooms\":");
    rooms__put_names(packer, message->who.rooms, message->who.room_count, true);
    rooms__put(packer, ",\"except\":");
    rooms__put_names(packer, message->who.except, message->who.except_count, true);
    put_flags(packer, &message->flags);
    rooms__put(packer, "}");
}

static void put_request(struct rooms_packer *packer, const struct rooms_cluster_message *message, const char *then)
{
    if (message->request.n == 0) return;
    rooms__put(packer, "\"requestId\":");
    rooms__put_text(packer, message->request);
    rooms__put(packer, then);
}

static void put_bytes(struct rooms_packer *packer, struct rooms_bytes bytes)
{
    rooms__put_bytes(packer, bytes.p, bytes.n);
}

static void put_sockets(struct rooms_packer *packer, const struct rooms_cluster_message *message)
{
    rooms__put(packer, "\"sockets\":[");
    for (size_t i = 0; i < message->socket_count; i++) {
        if (i > 0) rooms__put(packer, ",");
        put_bytes(packer, message->sockets[i]);
    }
    rooms__put(packer, "]");
}

/* Of what was answered only the first argument has a place; none is as JavaScript's undefined: no key. */
static void put_answer(struct rooms_packer *packer, const struct rooms_cluster_message *message)
{
    struct base_json_walk walk;
    struct rooms_bytes first;
    put_request(packer, message, "");
    if (!rooms__json_open(&walk, message->packet.json) || !rooms__json_next(&walk, NULL, &first)) return;
    rooms__put(packer, ",\"packet\":");
    put_bytes(packer, first);
}

static bool has_data(enum rooms_cluster_type type)
{
    return type != ROOMS_CLUSTER_INITIAL_HEARTBEAT && type != ROOMS_CLUSTER_HEARTBEAT &&
           type != ROOMS_CLUSTER_ADAPTER_CLOSE;
}

static void put_members(struct rooms_packer *packer, const struct rooms_cluster_message *message)
{
    switch (message->type) {
    case ROOMS_CLUSTER_BROADCAST:
        rooms__put(packer, "\"packet\":{\"type\":2,\"data\":");
        put_bytes(packer, message->packet.json);
        rooms__put(packer, "},");
        put_request(packer, message, ",");
        put_opts(packer, message);
        break;
    case ROOMS_CLUSTER_SOCKETS_JOIN:
    case ROOMS_CLUSTER_SOCKETS_LEAVE:
        put_opts(packer, message);
        rooms__put(packer, ",\"rooms\":");
        rooms__put_names(packer, message->rooms, message->room_count, message->type == ROOMS_CLUSTER_SOCKETS_LEAVE);
        break;
    case ROOMS_CLUSTER_DISCONNECT_SOCKETS:
        put_opts(packer, message);
        rooms__put(packer, message->close ? ",\"close\":true" : ",\"close\":false");
        break;
    case ROOMS_CLUSTER_FETCH_SOCKETS:
        put_opts(packer, message);
        rooms__put(packer, ",");
        put_request(packer, message, "");
        break;
    case ROOMS_CLUSTER_FETCH_SOCKETS_RESPONSE:
        put_request(packer, message, ",");
        put_sockets(packer, message);
        break;
    case ROOMS_CLUSTER_SERVER_SIDE_EMIT:
        put_request(packer, message, ",");
        rooms__put(packer, "\"packet\":");
        put_bytes(packer, message->packet.json);
        break;
    case ROOMS_CLUSTER_SERVER_SIDE_EMIT_RESPONSE:
    case ROOMS_CLUSTER_BROADCAST_ACK:
        put_answer(packer, message);
        break;
    case ROOMS_CLUSTER_BROADCAST_CLIENT_COUNT:
        put_request(packer, message, ",\"clientCount\":");
        rooms__put_uint(packer, message->client_count);
        break;
    default:
        break;
    }
}

static void put_data(struct rooms_packer *packer, const struct rooms_cluster_message *message)
{
    rooms__put(packer, "{");
    put_members(packer, message);
    rooms__put(packer, "}");
}

static void put_json(struct rooms_packer *packer, const struct rooms_cluster_message *message, struct rooms_name nsp)
{
    rooms__put(packer, "{\"type\":");
    rooms__put_uint(packer, (uint64_t)message->type);
    if (has_data(message->type)) {
        rooms__put(packer, ",\"data\":");
        put_data(packer, message);
    }
    rooms__put(packer, ",\"uid\":");
    rooms__put_text(packer, message->uid);
    rooms__put(packer, ",\"nsp\":");
    rooms__put_text(packer, nsp);
    rooms__put(packer, "}");
}

/* Turns JSON that was put into another packer into msgpack. */
static void pack_as_msgpack(struct rooms_packer *packer, struct rooms_packer *json, const struct rooms_message *packet)
{
    if (json->error && !packer->error) packer->error = json->error;
    rooms_pack_json(packer, (struct rooms_bytes){json->bytes, json->size}, packet->attachments,
                    packet->attachment_count);
    rooms_packer_clear(json);
}

void rooms__cluster_put(struct rooms_packer *packer, const struct rooms_cluster_message *message, struct rooms_name nsp,
                        enum rooms__cluster_form form)
{
    struct rooms_packer json;
    if (form == ROOMS__FORM_JSON) {
        put_json(packer, message, nsp);
        return;
    }
    rooms_packer_init(&json);
    put_json(&json, message, nsp);
    pack_as_msgpack(packer, &json, &message->packet);
}

static void put_base64(struct rooms_packer *packer, const struct rooms_packer *binary)
{
    size_t size = sodium_base64_encoded_len(binary->size, sodium_base64_VARIANT_ORIGINAL); /* with terminator */
    char *text = binary->error ? NULL : malloc(size);
    if (text) {
        sodium_bin2base64(text, size, binary->bytes, binary->size, sodium_base64_VARIANT_ORIGINAL);
        rooms__put_bytes(packer, text, size - 1);
    } else if (!packer->error) {
        packer->error = binary->error ? binary->error : ROOMS_ENOMEM;
    }
    free(text);
}

void rooms__cluster_put_field(struct rooms_packer *packer, const struct rooms_cluster_message *message)
{
    struct rooms_packer json, binary;
    if (!has_data(message->type)) return;
    if (rooms__cluster_form_of(message) == ROOMS__FORM_JSON) {
        put_data(packer, message);
        return;
    }
    rooms_packer_init(&json);
    rooms_packer_init(&binary);
    put_data(&json, message);
    pack_as_msgpack(&binary, &json, &message->packet);
    put_base64(packer, &binary);
    rooms_packer_clear(&binary);
}

/* ------------------------------------------------------------------ reading */

int rooms__cluster_ends_init(struct rooms__cluster_ends *ends, struct rooms_name uid, struct rooms_name nsp)
{
    rooms_packer_init(&ends->json);
    rooms_packer_init(&ends->msgpack);
    rooms__put(&ends->json, "},\"uid\":");
    rooms__put_text(&ends->json, uid);
    rooms__put(&ends->json, ",\"nsp\":");
    rooms__put_text(&ends->json, nsp);
    rooms__put(&ends->json, "}");
    rooms_pack_text(&ends->msgpack, "uid", 3);
    rooms_pack_text(&ends->msgpack, uid.p, uid.n);
    rooms_pack_text(&ends->msgpack, "nsp", 3);
    rooms_pack_text(&ends->msgpack, nsp.p, nsp.n);
    if (!ends->json.error && !ends->msgpack.error) return ROOMS_OK;
    rooms__cluster_ends_clear(ends);
    return ROOMS_ENOMEM;
}

void rooms__cluster_ends_clear(struct rooms__cluster_ends *ends)
{
    rooms_packer_clear(&ends->json);
    rooms_packer_clear(&ends->msgpack);
}

/* The sender and the namespace come last; nothing a client says can look like the end of the document. */
bool rooms__cluster_ends_match(const struct rooms__cluster_ends *ends, struct rooms_bytes payload)
{
    const struct rooms_packer *end = payload.n > 0 && payload.p[0] == '{' ? &ends->json : &ends->msgpack;
    return payload.n > end->size && memcmp(payload.p + payload.n - end->size, end->bytes, end->size) == 0;
}

void rooms__cluster_reading_clear(struct rooms__cluster_reading *reading)
{
    rooms__names_clear(&reading->in);
    rooms__names_clear(&reading->except);
    rooms__names_clear(&reading->rooms);
    rooms_decoded_clear(&reading->decoded);
    free(reading->sockets);
    free(reading->answer);
    free(reading->binary);
}

static bool is_there(struct rooms_bytes value)
{
    return value.n > 0 && !rooms__json_is(value, "null");
}

/* Reads a string of up to ROOMS_UID_MAX bytes; n 0 if it is missing. Returns false if the value is not a string. */
static bool read_id(struct rooms_bytes value, char *out, struct rooms_name *id)
{
    char text[ROOMS_UID_MAX * 6 + 2]; /* each character may be an escape */
    *id = (struct rooms_name){out, 0};
    if (!is_there(value)) return true;
    long size = value.n <= sizeof text ? rooms__json_text(value, text) : -1;
    if (size < 0 || size > ROOMS_UID_MAX) return false;
    memcpy(out, text, (size_t)size);
    id->n = (size_t)size;
    return true;
}

static void read_flags(struct rooms_bytes json, struct rooms_flags *flags)
{
    static const char *const names[] = {"volatile", "compress", "timeout"};
    struct rooms_bytes found[3];
    uint64_t timeout_ms;
    flags->compress = true;
    if (!is_there(json) || !rooms__json_find(json, names, 3, found)) return;
    flags->is_volatile = rooms__json_is(found[0], "true");
    flags->compress = !rooms__json_is(found[1], "false");
    if (!rooms__json_uint(found[2], &timeout_ms)) return;
    flags->timeout_ms = timeout_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)timeout_ms;
}

static int read_opts(struct rooms__cluster_reading *reading, struct rooms_bytes opts)
{
    static const char *const names[] = {"rooms", "except", "flags"};
    struct rooms_bytes found[3];
    struct rooms_selector *who = &reading->message.who;
    if (!is_there(opts) || !rooms__json_find(opts, names, 3, found)) return ROOMS_EINVAL;
    int error = rooms__names_of_json(&reading->in, found[0]);
    if (!error) error = rooms__names_of_json(&reading->except, found[1]);
    if (error) return error;
    *who = (struct rooms_selector){reading->in.names, reading->in.count, reading->except.names, reading->except.count};
    read_flags(found[2], &reading->message.flags);
    return ROOMS_OK;
}

static void take_packet(struct rooms__cluster_reading *reading, struct rooms_bytes json)
{
    reading->message.packet = (struct rooms_message){
        .json = json,
        .attachments = reading->decoded.attachments,
        .attachment_count = reading->decoded.attachment_count,
    };
}

static int read_event(struct rooms__cluster_reading *reading, struct rooms_bytes packet)
{
    static const char *const names[] = {"type", "data"};
    struct rooms_bytes found[2];
    uint64_t type;
    if (!is_there(packet) || !rooms__json_find(packet, names, 2, found)) return ROOMS_EINVAL;
    if (!rooms__json_uint(found[0], &type) || (type != PACKET_EVENT && type != PACKET_BINARY_EVENT))
        return ROOMS_EINVAL;
    if (!rooms__json_is_array(found[1])) return ROOMS_EINVAL;
    take_packet(reading, found[1]);
    return ROOMS_OK;
}

/* The value, or nothing, as an array of arguments. */
static int read_answer(struct rooms__cluster_reading *reading, struct rooms_bytes value)
{
    reading->answer = malloc(value.n + 2);
    if (!reading->answer) return ROOMS_ENOMEM;
    reading->answer[0] = '[';
    if (value.n) memcpy(reading->answer + 1, value.p, value.n);
    reading->answer[value.n + 1] = ']';
    take_packet(reading, (struct rooms_bytes){(const uint8_t *)reading->answer, value.n + 2});
    return ROOMS_OK;
}

static int read_sockets(struct rooms__cluster_reading *reading, struct rooms_bytes list)
{
    struct base_json_walk walk, again;
    struct rooms_bytes value;
    size_t count = 0;
    if (list.n == 0 || !rooms__json_open(&walk, list) || walk.is_object) return ROOMS_EINVAL;
    again = walk;
    while (rooms__json_next(&walk, NULL, &value)) count++;
    if (count == 0) return ROOMS_OK;
    reading->sockets = calloc(count, sizeof *reading->sockets);
    if (!reading->sockets) return ROOMS_ENOMEM;
    for (size_t i = 0; rooms__json_next(&again, NULL, &value); i++) {
        if (value.p[0] != '{') return ROOMS_EINVAL;
        reading->sockets[i] = value;
    }
    reading->message.sockets = reading->sockets;
    reading->message.socket_count = count;
    return ROOMS_OK;
}

enum field { OPTS, PACKET, REQUEST, ROOMS, CLOSE, SOCKETS, CLIENT_COUNT, FIELDS };

static int read_change(struct rooms__cluster_reading *reading, const struct rooms_bytes *field)
{
    struct rooms_cluster_message *message = &reading->message;
    int error = read_opts(reading, field[OPTS]);
    message->close = rooms__json_is(field[CLOSE], "true");
    if (error || message->type == ROOMS_CLUSTER_DISCONNECT_SOCKETS || message->type == ROOMS_CLUSTER_FETCH_SOCKETS)
        return error;
    if (!rooms__json_is_array(field[ROOMS])) return ROOMS_EINVAL;
    error = rooms__names_of_json(&reading->rooms, field[ROOMS]);
    message->rooms = reading->rooms.names;
    message->room_count = reading->rooms.count;
    return error;
}

static int read_members(struct rooms__cluster_reading *reading, const struct rooms_bytes *field)
{
    struct rooms_cluster_message *message = &reading->message;
    uint64_t count;
    int error;
    switch (message->type) {
    case ROOMS_CLUSTER_BROADCAST:
        error = read_opts(reading, field[OPTS]);
        return error ? error : read_event(reading, field[PACKET]);
    case ROOMS_CLUSTER_SOCKETS_JOIN:
    case ROOMS_CLUSTER_SOCKETS_LEAVE:
    case ROOMS_CLUSTER_DISCONNECT_SOCKETS:
    case ROOMS_CLUSTER_FETCH_SOCKETS:
        return read_change(reading, field);
    case ROOMS_CLUSTER_FETCH_SOCKETS_RESPONSE:
        return read_sockets(reading, field[SOCKETS]);
    case ROOMS_CLUSTER_SERVER_SIDE_EMIT:
        take_packet(reading, field[PACKET]);
        return rooms__json_is_array(field[PACKET]) ? ROOMS_OK : ROOMS_EINVAL;
    case ROOMS_CLUSTER_SERVER_SIDE_EMIT_RESPONSE:
    case ROOMS_CLUSTER_BROADCAST_ACK:
        return read_answer(reading, field[PACKET]);
    case ROOMS_CLUSTER_BROADCAST_CLIENT_COUNT:
        if (!rooms__json_uint(field[CLIENT_COUNT], &count) || count > UINT32_MAX) return ROOMS_EINVAL;
        message->client_count = (size_t)count;
        return ROOMS_OK;
    default:
        return ROOMS_EINVAL;
    }
}

static bool is_about_request(enum rooms_cluster_type type)
{
    return type == ROOMS_CLUSTER_FETCH_SOCKETS || type == ROOMS_CLUSTER_FETCH_SOCKETS_RESPONSE ||
           type >= ROOMS_CLUSTER_SERVER_SIDE_EMIT_RESPONSE;
}

/* Others may bring an id that means nothing. */
static bool may_be_about_request(enum rooms_cluster_type type)
{
    return is_about_request(type) || type == ROOMS_CLUSTER_BROADCAST || type == ROOMS_CLUSTER_SERVER_SIDE_EMIT;
}

static int read_data(struct rooms__cluster_reading *reading, struct rooms_bytes data)
{
    static const char *const names[FIELDS] = {"opts",  "packet",  "requestId",  "rooms",
                                              "close", "sockets", "clientCount"};
    struct rooms_bytes field[FIELDS];
    if (!has_data(reading->message.type)) return ROOMS_OK;
    if (!is_there(data) || !rooms__json_find(data, names, FIELDS, field)) return ROOMS_EINVAL;
    if (may_be_about_request(reading->message.type) &&
        !read_id(field[REQUEST], reading->request, &reading->message.request))
        return ROOMS_EINVAL;
    if (is_about_request(reading->message.type) && reading->message.request.n == 0) return ROOMS_EINVAL;
    return read_members(reading, field);
}

/* What begins with { is JSON, all else msgpack, which becomes JSON. */
static int to_json(struct rooms__cluster_reading *reading, struct rooms_bytes payload, struct rooms_bytes *json)
{
    static const struct rooms_msgpack_limits limits = {ROOMS_MSGPACK_DEPTH_MAX, ROOMS__ATTACHMENTS_MAX};
    struct rooms_msgpack_fault fault;
    *json = payload;
    if (payload.n > 0 && payload.p[0] == '{') return rooms__json_check(payload);
    long size = rooms_msgpack_decode(payload.p, payload.n, &limits, &reading->decoded, &fault);
    if (size < 0) {
        reading->decoded = (struct rooms_decoded){0};
        return (int)size;
    }
    *json = (struct rooms_bytes){(const uint8_t *)reading->decoded.json, reading->decoded.json_size};
    return ROOMS_OK;
}

static bool take_type(struct rooms__cluster_reading *reading, uint64_t type)
{
    reading->message.type = (enum rooms_cluster_type)(type <= ROOMS_CLUSTER_ADAPTER_CLOSE ? type : 0);
    return type >= ROOMS_CLUSTER_INITIAL_HEARTBEAT && type <= ROOMS_CLUSTER_ADAPTER_CLOSE;
}

static int read_document(struct rooms__cluster_reading *reading, struct rooms_bytes payload, struct rooms_name nsp,
                         bool of_channel)
{
    static const char *const names[] = {"type", "data", "uid", "nsp"};
    struct rooms_bytes json, found[4];
    uint64_t type;
    int error = to_json(reading, payload, &json);
    if (error) return error;
    if (!rooms__json_find(json, names, 4, found)) return ROOMS_EINVAL;
    if (!rooms__json_uint(found[0], &type) || !take_type(reading, type)) return ROOMS_EINVAL;
    if (!rooms__json_text_is(found[3], nsp) && !(of_channel && found[3].n == 0)) return ROOMS_EINVAL;
    if (!read_id(found[2], reading->uid, &reading->message.uid)) return ROOMS_EINVAL;
    return read_data(reading, found[1]);
}

static int read_payload(struct rooms__cluster_reading *reading, struct rooms_bytes payload, struct rooms_name nsp,
                        bool of_channel)
{
    *reading = (struct rooms__cluster_reading){0};
    int error = read_document(reading, payload, nsp, of_channel);
    if (error) rooms__cluster_reading_clear(reading);
    return error;
}

int rooms__cluster_read(struct rooms__cluster_reading *reading, struct rooms_bytes payload, struct rooms_name nsp)
{
    return read_payload(reading, payload, nsp, false);
}

int rooms__cluster_read_of_channel(struct rooms__cluster_reading *reading, struct rooms_bytes payload,
                                   struct rooms_name nsp)
{
    return read_payload(reading, payload, nsp, true);
}

/* As parseInt() reads it, of what was written. */
static bool read_type(struct rooms__cluster_reading *reading, struct rooms_name text)
{
    uint64_t type;
    return rooms__json_uint((struct rooms_bytes){(const uint8_t *)text.p, text.n}, &type) && take_type(reading, type);
}

/* base64 of msgpack. */
static int read_base64(struct rooms__cluster_reading *reading, struct rooms_bytes text, struct rooms_bytes *json)
{
    size_t size;
    uint8_t *binary = malloc(text.n / 4 * 3 + 3);
    if (!binary) return ROOMS_ENOMEM;
    int error = sodium_base642bin(binary, text.n / 4 * 3 + 3, (const char *)text.p, text.n, NULL, &size, NULL,
                                  sodium_base64_VARIANT_ORIGINAL)
                    ? ROOMS_EINVAL
                    : to_json(reading, (struct rooms_bytes){binary, size}, json);
    reading->binary = binary;
    return error;
}

int rooms__cluster_read_fields(struct rooms__cluster_reading *reading, struct rooms_name uid, struct rooms_name type,
                               struct rooms_bytes data)
{
    *reading = (struct rooms__cluster_reading){0};
    struct rooms_bytes json = data;
    int error = ROOMS_EINVAL;
    if (uid.n <= ROOMS_UID_MAX && read_type(reading, type)) error = ROOMS_OK;
    if (!error && data.n > 0) error = data.p[0] == '{' ? rooms__json_check(data) : read_base64(reading, data, &json);
    reading->message.uid = uid;
    if (!error) error = read_data(reading, json);
    if (error) rooms__cluster_reading_clear(reading);
    return error;
}

/* ------------------------------------------------------------ for carriers */

int rooms_cluster_encode(const struct rooms_cluster *cluster, const struct rooms_cluster_message *message,
                         struct rooms_packer *out)
{
    rooms__cluster_put(out, message, rooms_cluster_nsp(cluster), rooms__cluster_form_of(message));
    return out->error;
}

static int receive_payload(struct rooms_cluster *cluster, struct rooms_bytes payload, bool of_channel)
{
    struct rooms__cluster_reading reading;
    int error = read_payload(&reading, payload, rooms_cluster_nsp(cluster), of_channel);
    if (error != ROOMS_OK) return error;
    rooms_cluster_receive(cluster, &reading.message);
    rooms__cluster_reading_clear(&reading);
    return ROOMS_OK;
}

int rooms_cluster_receive_encoded(struct rooms_cluster *cluster, struct rooms_bytes payload)
{
    return receive_payload(cluster, payload, false);
}

int rooms_cluster_receive_of_channel(struct rooms_cluster *cluster, struct rooms_bytes payload)
{
    return receive_payload(cluster, payload, true);
}
