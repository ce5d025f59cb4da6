/* Reading and writing what @socket.io/redis-adapter publishes. */
#include "rooms_classic_wire.h"

#include <string.h>

enum { PACKET_EVENT = 2, PACKET_BINARY_EVENT = 5 };

void rooms__classic_opts_clear(struct rooms__classic_opts *opts)
{
    rooms__names_clear(&opts->rooms);
    rooms__names_clear(&opts->except);
}

struct rooms_selector rooms__classic_selector(const struct rooms__classic_opts *opts)
{
    return (struct rooms_selector){opts->rooms.names, opts->rooms.count, opts->except.names, opts->except.count};
}

static uint32_t timeout_of(uint64_t ms)
{
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

/* --------------------------------------------------------------- broadcasts */

/* Behind the array's head, which must have at least three elements. */
static int open_triple(struct rooms_bytes payload, struct rooms__msgpack_walk *walk)
{
    bool ok = rooms__msgpack_open(walk, payload.p, payload.n) && !walk->is_map && walk->left >= 3;
    return ok ? ROOMS_OK : ROOMS_EINVAL;
}

int rooms__classic_read_uid(struct rooms_bytes payload, struct rooms_name *uid)
{
    struct rooms__msgpack_walk walk;
    struct rooms__msgpack_head head;
    *uid = (struct rooms_name){NULL, 0};
    if (open_triple(payload, &walk) || rooms__msgpack_head(walk.p, (size_t)(walk.end - walk.p), &head) < 0)
        return ROOMS_EINVAL;
    if (head.kind == ROOMS__MSGPACK_TEXT) *uid = (struct rooms_name){(const char *)head.body.p, head.body.n};
    return ROOMS_OK;
}

static bool is_event(struct rooms_bytes type, struct rooms_bytes data)
{
    struct rooms__msgpack_head head;
    if (rooms__msgpack_head(type.p, type.n, &head) < 0 || head.kind != ROOMS__MSGPACK_UINT) return false;
    if (head.number != PACKET_EVENT && head.number != PACKET_BINARY_EVENT) return false;
    return rooms__msgpack_head(data.p, data.n, &head) > 0 && head.kind == ROOMS__MSGPACK_ARRAY;
}

/* Leaves name->p NULL if the member is missing. Returns false if it is not a string. */
static bool read_name(struct rooms_bytes value, struct rooms_name *name)
{
    struct rooms__msgpack_head head;
    *name = (struct rooms_name){NULL, 0};
    if (value.n == 0) return true;
    if (rooms__msgpack_head(value.p, value.n, &head) < 0) return false;
    if (head.kind == ROOMS__MSGPACK_UNDEFINED) return true;
    if (head.kind != ROOMS__MSGPACK_TEXT) return false;
    *name = (struct rooms_name){(const char *)head.body.p, head.body.n};
    return true;
}

int rooms__classic_read_broadcast(struct rooms_bytes payload, struct rooms__classic_broadcast *broadcast)
{
    static const char *const of_packet[] = {"type", "data", "nsp"}, *const of_opts[] = {"rooms", "except", "flags"};
    struct rooms__msgpack_walk walk;
    struct rooms_bytes element[3], packet[3], opts[3];
    if (open_triple(payload, &walk)) return ROOMS_EINVAL;
    for (size_t i = 0; i < 3; i++)
        if (rooms__msgpack_next(&walk, NULL, &element[i]) <= 0) return ROOMS_EINVAL;
    if (rooms__msgpack_find(element[1].p, element[1].n, of_packet, 3, packet) < 0 ||
        rooms__msgpack_find(element[2].p, element[2].n, of_opts, 3, opts) < 0)
        return ROOMS_EINVAL;
    if (!is_event(packet[0], packet[1]) || !read_name(packet[2], &broadcast->nsp)) return ROOMS_EINVAL;
    broadcast->data = packet[1];
    broadcast->rooms = opts[0];
    broadcast->except = opts[1];
    broadcast->flags = opts[2];
    return ROOMS_OK;
}

static void read_flags(struct rooms_bytes bytes, struct rooms_flags *flags)
{
    static const char *const names[] = {"volatile", "compress", "timeout"};
    struct rooms_bytes found[3];
    struct rooms__msgpack_head head;
    *flags = (struct rooms_flags){.compress = true};
    if (bytes.n == 0 || rooms__msgpack_find(bytes.p, bytes.n, names, 3, found) < 0) return;
    if (rooms__msgpack_head(found[0].p, found[0].n, &head) > 0 && head.kind == ROOMS__MSGPACK_BOOL)
        flags->is_volatile = head.number;
    if (rooms__msgpack_head(found[1].p, found[1].n, &head) > 0 && head.kind == ROOMS__MSGPACK_BOOL)
        flags->compress = head.number;
    if (rooms__msgpack_head(found[2].p, found[2].n, &head) > 0 && head.kind == ROOMS__MSGPACK_UINT)
        flags->timeout_ms = timeout_of(head.number);
}

int rooms__classic_read_broadcast_opts(const struct rooms__classic_broadcast *broadcast,
                                       struct rooms__classic_opts *opts)
{
    int error = rooms__names_of_msgpack(&opts->rooms, broadcast->rooms);
    if (error) return error;
    error = rooms__names_of_msgpack(&opts->except, broadcast->except);
    if (error) {
        rooms__names_clear(&opts->rooms);
        return error;
    }
    read_flags(broadcast->flags, &opts->flags);
    return ROOMS_OK;
}

/* ---------------------------------------------------- requests and answers */

void rooms__classic_clear(struct rooms__classic_message *message)
{
    rooms_decoded_clear(&message->decoded);
}

/* The payload as JSON that was checked. */
static int to_json(struct rooms_bytes payload, struct rooms_decoded *decoded, struct rooms_bytes *json)
{
    static const struct rooms_msgpack_limits limits = {ROOMS_MSGPACK_DEPTH_MAX, ROOMS__ATTACHMENTS_MAX};
    struct rooms_msgpack_fault fault;
    *decoded = (struct rooms_decoded){0};
    *json = payload;
    if (payload.n > 0 && payload.p[0] == '{') return rooms__json_check(payload);
    long size = rooms_msgpack_decode(payload.p, payload.n, &limits, decoded, &fault);
    if (size < 0) return (int)size;
    *json = (struct rooms_bytes){(const uint8_t *)decoded->json, decoded->json_size};
    return ROOMS_OK;
}

int rooms__classic_read(struct rooms_bytes payload, struct rooms__classic_message *message)
{
    static const char *const names[] = {"type", "uid",   "requestId", "opts",   "rooms",   "sid",
                                        "room", "close", "data",      "packet", "sockets", "clientCount"};
    struct rooms_bytes json;
    uint64_t type;
    int error = to_json(payload, &message->decoded, &json);
    if (error) return error;
    if (!rooms__json_find(json, names, ROOMS__CLASSIC_FIELDS, message->field)) {
        rooms__classic_clear(message);
        return ROOMS_EINVAL;
    }
    bool known = rooms__json_uint(message->field[ROOMS__CLASSIC_F_TYPE], &type) && type < ROOMS__CLASSIC_NO_TYPE;
    message->type = known ? (enum rooms__classic_type)type : ROOMS__CLASSIC_NO_TYPE;
    return ROOMS_OK;
}

static void read_json_flags(struct rooms_bytes json, struct rooms_flags *flags)
{
    static const char *const names[] = {"volatile", "compress", "timeout"};
    struct rooms_bytes found[3];
    uint64_t timeout;
    *flags = (struct rooms_flags){.compress = true};
    if (!rooms__json_find(json, names, 3, found)) return;
    flags->is_volatile = rooms__json_is(found[0], "true");
    flags->compress = !rooms__json_is(found[1], "false");
    if (rooms__json_uint(found[2], &timeout)) flags->timeout_ms = timeout_of(timeout);
}

int rooms__classic_read_opts(const struct rooms__classic_message *message, struct rooms__classic_opts *opts)
{
    static const char *const names[] = {"rooms", "except", "flags"};
    struct rooms_bytes found[3];
    if (!rooms__json_find(message->field[ROOMS__CLASSIC_F_OPTS], names, 3, found)) return ROOMS_EINVAL;
    int error = rooms__names_of_json(&opts->rooms, found[0]);
    if (error) return error;
    error = rooms__names_of_json(&opts->except, found[1]);
    if (error) {
        rooms__names_clear(&opts->rooms);
        return error;
    }
    read_json_flags(found[2], &opts->flags);
    return ROOMS_OK;
}

struct rooms_bytes rooms__classic_packet_data(const struct rooms__classic_message *message)
{
    static const char *const names[] = {"data"};
    struct rooms_bytes data;
    rooms__json_find(message->field[ROOMS__CLASSIC_F_PACKET], names, 1, &data);
    return rooms__json_is_array(data) ? data : (struct rooms_bytes){NULL, 0};
}

/* --------------------------------------------------------- writing msgpack */

static void pack_word(struct rooms_packer *packer, const char *text)
{
    rooms_pack_text(packer, text, strlen(text));
}

static void pack_name(struct rooms_packer *packer, const char *key, struct rooms_name name)
{
    pack_word(packer, key);
    rooms_pack_text(packer, name.p, name.n);
}

static void pack_names(struct rooms_packer *packer, const char *key, const struct rooms_name *names, size_t count)
{
    size_t numbers = 0;
    for (size_t i = 0; i < count; i++) numbers += rooms__name_is_number(names[i]);
    pack_word(packer, key);
    rooms_pack_array(packer, count + numbers);
    for (size_t i = 0; i < count; i++) {
        rooms_pack_text(packer, names[i].p, names[i].n);
        if (rooms__name_is_number(names[i]))
            rooms_pack_json(packer, (struct rooms_bytes){(const uint8_t *)names[i].p, names[i].n}, NULL, 0);
    }
}

static void pack_bool(struct rooms_packer *packer, const char *key, bool value)
{
    pack_word(packer, key);
    rooms__put_bytes(packer, value ? "\xc3" : "\xc2", 1);
}

static void pack_opts(struct rooms_packer *packer, const struct rooms_selector *who, const struct rooms_flags *flags)
{
    rooms_pack_map(packer, 3);
    pack_names(packer, "rooms", who->rooms, who->room_count);
    pack_names(packer, "except", who->except, who->except_count);
    pack_word(packer, "flags");
    rooms_pack_map(packer, (size_t)flags->is_volatile + !flags->compress + (flags->timeout_ms > 0));
    if (flags->is_volatile) pack_bool(packer, "volatile", true);
    if (!flags->compress) pack_bool(packer, "compress", false);
    if (flags->timeout_ms == 0) return;
    pack_word(packer, "timeout");
    rooms_pack_uint(packer, flags->timeout_ms);
}

static void pack_packet(struct rooms_packer *packer, struct rooms_name nsp, const struct rooms_message *message)
{
    rooms_pack_map(packer, 3);
    pack_word(packer, "type");
    rooms_pack_uint(packer, PACKET_EVENT);
    pack_word(packer, "data");
    rooms_pack_json(packer, message->json, message->attachments, message->attachment_count);
    pack_name(packer, "nsp", nsp);
}

void rooms__classic_put_broadcast(struct rooms_packer *packer, struct rooms_name uid,
                                  const struct rooms__classic_event *event)
{
    rooms_pack_array(packer, 3);
    rooms_pack_text(packer, uid.p, uid.n);
    pack_packet(packer, event->nsp, event->message);
    pack_opts(packer, event->who, event->flags);
}

static void pack_type(struct rooms_packer *packer, enum rooms__classic_type type)
{
    pack_word(packer, "type");
    rooms_pack_uint(packer, (uint64_t)type);
}

void rooms__classic_put_ask(struct rooms_packer *packer, const struct rooms__classic_asker *asker,
                            const struct rooms__classic_event *event)
{
    rooms_pack_map(packer, 5);
    pack_name(packer, "uid", asker->uid);
    pack_name(packer, "requestId", asker->request_id);
    pack_type(packer, ROOMS__CLASSIC_BROADCAST);
    pack_word(packer, "packet");
    pack_packet(packer, event->nsp, event->message);
    pack_word(packer, "opts");
    pack_opts(packer, event->who, event->flags);
}

/* ------------------------------------------------------------ writing JSON */

static void put_asker(struct rooms_packer *packer, const struct rooms__classic_asker *asker,
                      enum rooms__classic_type type)
{
    rooms__put(packer, "{\"uid\":");
    rooms__put_text(packer, asker->uid);
    if (asker->request_id.p) {
        rooms__put(packer, ",\"requestId\":");
        rooms__put_text(packer, asker->request_id);
    }
    rooms__put(packer, ",\"type\":");
    rooms__put_uint(packer, (uint64_t)type);
}

static void put_opts(struct rooms_packer *packer, const struct rooms_selector *who)
{
    rooms__put(packer, ",\"opts\":{\"rooms\":");
    rooms__put_names(packer, who->rooms, who->room_count, true);
    rooms__put(packer, ",\"except\":");
    rooms__put_names(packer, who->except, who->except_count, true);
    rooms__put(packer, "}");
}

void rooms__classic_put_change(struct rooms_packer *packer, struct rooms_name uid, enum rooms__classic_type type,
                               const struct rooms_selector *who, const struct rooms_selector *rooms)
{
    put_asker(packer, &(struct rooms__classic_asker){.uid = uid}, type);
    put_opts(packer, who);
    rooms__put(packer, ",\"rooms\":");
    rooms__put_names(packer, rooms->rooms, rooms->room_count, type == ROOMS__CLASSIC_LEAVE);
    rooms__put(packer, "}");
}

void rooms__classic_put_disconnect(struct rooms_packer *packer, struct rooms_name uid, const struct rooms_selector *who,
                                   bool close)
{
    put_asker(packer, &(struct rooms__classic_asker){.uid = uid}, ROOMS__CLASSIC_DISCONNECT);
    put_opts(packer, who);
    rooms__put(packer, close ? ",\"close\":true}" : ",\"close\":false}");
}

void rooms__classic_put_fetch(struct rooms_packer *packer, const struct rooms__classic_asker *asker,
                              const struct rooms_selector *who)
{
    put_asker(packer, asker, ROOMS__CLASSIC_FETCH);
    put_opts(packer, who);
    rooms__put(packer, "}");
}

static void pack_server_side_emit(struct rooms_packer *packer, const struct rooms__classic_asker *asker,
                                  const struct rooms_message *message)
{
    rooms_pack_map(packer, asker->request_id.p ? 4 : 3);
    pack_name(packer, "uid", asker->uid);
    if (asker->request_id.p) pack_name(packer, "requestId", asker->request_id);
    pack_type(packer, ROOMS__CLASSIC_SERVER_SIDE_EMIT);
    pack_word(packer, "data");
    rooms_pack_json(packer, message->json, message->attachments, message->attachment_count);
}

void rooms__classic_put_server_side_emit(struct rooms_packer *packer, const struct rooms__classic_asker *asker,
                                         const struct rooms_message *message)
{
    if (message->attachment_count > 0) {
        pack_server_side_emit(packer, asker, message);
        return;
    }
    put_asker(packer, asker, ROOMS__CLASSIC_SERVER_SIDE_EMIT);
    rooms__put(packer, ",\"data\":");
    rooms__put_bytes(packer, message->json.p, message->json.n);
    rooms__put(packer, "}");
}

/* ----------------------------------------------------------------- answers */

static void put_request_id(struct rooms_packer *packer, struct rooms_bytes request_id)
{
    rooms__put(packer, "\"requestId\":");
    rooms__put_bytes(packer, request_id.p, request_id.n);
}

void rooms__classic_put_answer_list(struct rooms_packer *packer, struct rooms_bytes request_id, const char *name)
{
    rooms__put(packer, "{");
    put_request_id(packer, request_id);
    rooms__put(packer, ",\"");
    rooms__put(packer, name);
    rooms__put(packer, "\":[");
}

void rooms__classic_end_answer_list(struct rooms_packer *packer)
{
    rooms__put(packer, "]}");
}

void rooms__classic_put_done(struct rooms_packer *packer, struct rooms_bytes request_id)
{
    rooms__put(packer, "{");
    put_request_id(packer, request_id);
    rooms__put(packer, "}");
}

static void put_typed_answer(struct rooms_packer *packer, enum rooms__classic_type type, struct rooms_bytes request_id)
{
    rooms__put(packer, "{\"type\":");
    rooms__put_uint(packer, (uint64_t)type);
    rooms__put(packer, ",");
    put_request_id(packer, request_id);
}

void rooms__classic_put_client_count(struct rooms_packer *packer, struct rooms_bytes request_id, size_t count)
{
    put_typed_answer(packer, ROOMS__CLASSIC_CLIENT_COUNT, request_id);
    rooms__put(packer, ",\"clientCount\":");
    rooms__put_uint(packer, count);
    rooms__put(packer, "}");
}

/* Returns n 0 if there is no argument, JavaScript's undefined. */
static struct rooms_bytes first_of(const struct rooms_message *args)
{
    struct base_json_walk walk;
    struct rooms_bytes first = {NULL, 0};
    if (rooms__json_open(&walk, args->json)) rooms__json_next(&walk, NULL, &first);
    return first;
}

static void pack_answer(struct rooms_packer *packer, enum rooms__classic_type type, struct rooms_bytes request_id,
                        const struct rooms_message *args)
{
    struct rooms_bytes first = first_of(args);
    rooms_pack_map(packer, first.n ? 3 : 2);
    pack_type(packer, type);
    pack_word(packer, "requestId");
    rooms_pack_json(packer, request_id, NULL, 0);
    if (first.n == 0) return;
    pack_word(packer, type == ROOMS__CLASSIC_ACK ? "packet" : "data");
    rooms_pack_json(packer, first, args->attachments, args->attachment_count);
}

void rooms__classic_put_ack(struct rooms_packer *packer, struct rooms_bytes request_id,
                            const struct rooms_message *args)
{
    pack_answer(packer, ROOMS__CLASSIC_ACK, request_id, args);
}

void rooms__classic_put_server_side_answer(struct rooms_packer *packer, struct rooms_bytes request_id,
                                           const struct rooms_message *args)
{
    struct rooms_bytes first = first_of(args);
    if (args->attachment_count > 0) {
        pack_answer(packer, ROOMS__CLASSIC_SERVER_SIDE_EMIT, request_id, args);
        return;
    }
    put_typed_answer(packer, ROOMS__CLASSIC_SERVER_SIDE_EMIT, request_id);
    if (first.n) rooms__put(packer, ",\"data\":");
    rooms__put_bytes(packer, first.p, first.n);
    rooms__put(packer, "}");
}
