/* Packets: decoding stays in bounds and says the truth about what it found; what was decoded, encoded and decoded again
 * is the same packet; renumbering stays within the size it promises and brings placeholders in order. */
#include "sio_codec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

static const struct sio__packet_limits limits = {{32}, 10, 64};

static bool same(struct eio_str a, struct eio_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static bool is_event(const struct sio__packet *packet)
{
    return packet->type == SIO__EVENT || packet->type == SIO__BINARY_EVENT;
}

static bool is_list(const struct sio__packet *packet)
{
    return is_event(packet) || packet->type == SIO__ACK || packet->type == SIO__BINARY_ACK;
}

static void check_inside(struct eio_str part, const uint8_t *p, size_t n)
{
    const uint8_t *at = (const uint8_t *)part.p;
    if (part.n > 0) MUST(at >= p && at + part.n <= p + n);
}

/* Through the encoder and the decoder; text names only, since a number cannot be sent as a name. */
static void check_round_trip(const struct sio__packet *packet, struct eio_str json)
{
    char name[256];
    bool text = packet->name.n > 2 && packet->name.n < sizeof name && packet->name.p[0] == '"';
    if (is_event(packet) && !text) return;
    struct sio__outgoing outgoing = {
        .type = packet->type, .has_id = packet->has_id, .id = packet->id, .nsp = packet->nsp};
    outgoing.attachment_count = packet->attachment_count;
    outgoing.json = is_list(packet) ? json : packet->data;
    if (text) outgoing.name = (struct eio_str){name, sio__json_decode_text(packet->name, name)};
    size_t size = sio__packet_size(&outgoing);
    uint8_t *bytes = malloc(size);
    MUST(bytes);
    sio__packet_put(&outgoing, bytes);
    struct sio__packet again;
    struct sio__fault fault;
    MUST(sio__packet_decode(bytes, size, &limits, &again, &fault) == 0);
    MUST(again.type == packet->type && again.has_id == packet->has_id && again.id == packet->id);
    MUST(again.attachment_count == packet->attachment_count && same(again.nsp, packet->nsp));
    if (is_list(packet)) {
        MUST(same(again.args, json));
        MUST(json.p != packet->args.p || again.placeholders_in_order == packet->placeholders_in_order);
    } else {
        MUST(same(again.data, packet->data));
    }
    free(bytes);
}

/* In order, each once: all the attachments there are. */
static void check_numbers(struct eio_str json, size_t count)
{
    struct sio__placeholder found = {0};
    for (size_t k = 0; k < count; k++) {
        MUST(sio__placeholder_next(json, found.at + found.size, &found) == SIO__PLACEHOLDER_GOOD);
        MUST(found.number == k);
        uint64_t number;
        MUST(sio__placeholder_parse((struct eio_str){json.p + found.at, found.size}, &number) && number == k);
    }
    MUST(sio__placeholder_next(json, found.at + found.size, &found) == SIO__PLACEHOLDER_NONE);
}

static void check_renumbering(const struct sio__packet *packet)
{
    size_t count = sio__placeholder_count(packet->args), room = packet->args.n + 20 * count;
    MUST(count <= limits.max_attachments);
    char *out = malloc(room ? room : 1);
    uint16_t *order = malloc((count ? count : 1) * sizeof *order);
    MUST(out && order);
    struct eio_str json = {out, sio__placeholder_renumber(packet->args, 0, out, order, count)};
    MUST(json.n <= room);
    for (size_t k = 0; k < count; k++) MUST(order[k] < packet->attachment_count);
    check_numbers(json, count);
    struct sio__packet renumbered = *packet;
    renumbered.attachment_count = (uint16_t)count;
    if (count > 0) check_round_trip(&renumbered, json);
    free(order);
    free(out);
}

/* On text that is JSON but no packet's, with what the builder makes of it. */
static void check_builder(struct eio_str json)
{
    static const struct rooms_bytes attachments[3];
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_binary(&builder, (const uint8_t *)"x", 1);
    sio_builder_slice(&builder, (struct sio_args){json, attachments, 3}, json);
    struct sio_args args = sio_builder_args(&builder);
    MUST(builder.error || sio_args_count(args) == 1 + sio_args_count((struct sio_args){json, NULL, 0}));
    sio_builder_clear(&builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sio__packet packet;
    struct sio__fault fault = {0};
    int error = sio__packet_decode(data, size, &limits, &packet, &fault);
    if (error) {
        MUST(fault.code == error && fault.at <= size && fault.why);
        return 0;
    }
    bool binary = packet.type == SIO__BINARY_EVENT || packet.type == SIO__BINARY_ACK;
    MUST(binary == (packet.attachment_count > 0) && packet.attachment_count <= limits.max_attachments);
    MUST(packet.nsp.n >= 1 && packet.nsp.p[0] == '/' && packet.nsp.n <= limits.max_namespace_bytes);
    MUST(packet.id <= SIO__ID_MAX && (packet.has_id || packet.id == 0));
    if (packet.nsp.n > 1) check_inside(packet.nsp, data, size);
    check_inside(packet.query, data, size);
    check_inside(packet.data, data, size);
    check_inside(packet.name, data, size);
    check_inside(packet.args, data, size);
    if (packet.data.p || !is_list(&packet)) check_round_trip(&packet, packet.args);
    if (binary && packet.data.p) check_renumbering(&packet);
    if (is_list(&packet)) check_builder(packet.args);
    return 0;
}
