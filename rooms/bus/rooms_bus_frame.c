/* Frames of the bus. Both ends are the same program on the same machine, so numbers are in its byte order; still, no
 * size in a frame is trusted beyond the frame's own. */
#include "rooms_bus_int.h"
#include "rooms_wire.h"

#include <stdlib.h>
#include <string.h>

enum { FLAG_VOLATILE = 1, FLAG_COMPRESS = 2, FLAG_CLOSE = 4 };

/* ----------------------------------------------------------------- writing */

void rooms__bus_put_u32(struct rooms_packer *out, uint32_t value)
{
    rooms__put_bytes(out, &value, sizeof value);
}

void rooms__bus_put_u64(struct rooms_packer *out, uint64_t value)
{
    rooms__put_bytes(out, &value, sizeof value);
}

void rooms__bus_put_bytes(struct rooms_packer *out, const void *p, size_t n)
{
    if (n > UINT32_MAX && !out->error) out->error = ROOMS_ELIMIT;
    rooms__bus_put_u32(out, (uint32_t)n);
    rooms__put_bytes(out, p, n);
}

size_t rooms__bus_begin(struct rooms_packer *out, enum rooms__bus_kind kind)
{
    size_t start = out->size;
    uint8_t byte = (uint8_t)kind;
    rooms__bus_put_u32(out, 0);
    rooms__put_bytes(out, &byte, 1);
    return start;
}

void rooms__bus_end(struct rooms_packer *out, size_t start)
{
    if (out->error) return;
    size_t size = out->size - start - sizeof(uint32_t);
    uint32_t value = (uint32_t)size;
    if (size > UINT32_MAX)
        out->error = ROOMS_ELIMIT;
    else
        memcpy(out->bytes + start, &value, sizeof value);
}

static void put_names(struct rooms_packer *out, const struct rooms_name *names, size_t count)
{
    rooms__bus_put_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) rooms__bus_put_bytes(out, names[i].p, names[i].n);
}

static void put_slices(struct rooms_packer *out, const struct rooms_bytes *slices, size_t count)
{
    rooms__bus_put_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) rooms__bus_put_bytes(out, slices[i].p, slices[i].n);
}

void rooms__bus_put_message(struct rooms_packer *out, struct rooms_name nsp, uint64_t seq,
                            const struct rooms_cluster_message *message)
{
    size_t start = rooms__bus_begin(out, ROOMS__BUS_MESSAGE);
    uint8_t bytes[2] = {(uint8_t)message->type,
                        (uint8_t)((message->flags.is_volatile ? FLAG_VOLATILE : 0) |
                                  (message->flags.compress ? FLAG_COMPRESS : 0) | (message->close ? FLAG_CLOSE : 0))};
    rooms__bus_put_bytes(out, nsp.p, nsp.n);
    rooms__put_bytes(out, bytes, sizeof bytes);
    rooms__bus_put_u32(out, message->flags.timeout_ms);
    rooms__bus_put_u64(out, seq);
    rooms__bus_put_u64(out, message->client_count);
    rooms__bus_put_bytes(out, message->request.p, message->request.n);
    rooms__bus_put_bytes(out, message->packet.json.p, message->packet.json.n);
    put_names(out, message->who.rooms, message->who.room_count);
    put_names(out, message->who.except, message->who.except_count);
    put_names(out, message->rooms, message->room_count);
    put_slices(out, message->packet.attachments, message->packet.attachment_count);
    put_slices(out, message->sockets, message->socket_count);
    rooms__bus_end(out, start);
}

/* ----------------------------------------------------------------- reading */

static const uint8_t *read_slice(struct rooms__bus_reader *in, size_t n)
{
    if (in->failed || (size_t)(in->end - in->p) < n) {
        in->failed = true;
        return NULL;
    }
    const uint8_t *p = in->p;
    in->p += n;
    return p;
}

uint8_t rooms__bus_u8(struct rooms__bus_reader *in)
{
    const uint8_t *p = read_slice(in, 1);
    return p ? *p : 0;
}

uint32_t rooms__bus_u32(struct rooms__bus_reader *in)
{
    uint32_t value = 0;
    const uint8_t *p = read_slice(in, sizeof value);
    if (p) memcpy(&value, p, sizeof value);
    return value;
}

uint64_t rooms__bus_u64(struct rooms__bus_reader *in)
{
    uint64_t value = 0;
    const uint8_t *p = read_slice(in, sizeof value);
    if (p) memcpy(&value, p, sizeof value);
    return value;
}

struct rooms_bytes rooms__bus_bytes(struct rooms__bus_reader *in)
{
    uint32_t n = rooms__bus_u32(in);
    const uint8_t *p = read_slice(in, n);
    return (struct rooms_bytes){p, p ? n : 0};
}

struct rooms_name rooms__bus_name(struct rooms__bus_reader *in)
{
    struct rooms_bytes bytes = rooms__bus_bytes(in);
    return (struct rooms_name){(const char *)bytes.p, bytes.n};
}

/* struct rooms_name and struct rooms_bytes in one list: they are a pointer and a size both. */
struct lists {
    struct rooms_name *names;
    struct rooms_bytes *slices;
    size_t name_count, slice_count;
};

/* Counts what a list holds, or skips over it; each element takes 4 bytes at least. */
static size_t skip_list(struct rooms__bus_reader *in)
{
    size_t count = rooms__bus_u32(in);
    if (count > (size_t)(in->end - in->p) / sizeof(uint32_t)) in->failed = true;
    for (size_t i = 0; i < count && !in->failed; i++) rooms__bus_bytes(in);
    return in->failed ? 0 : count;
}

static const struct rooms_name *read_names(struct rooms__bus_reader *in, struct lists *lists, size_t *count)
{
    struct rooms_name *names = lists->names ? lists->names + lists->name_count : NULL;
    *count = rooms__bus_u32(in);
    for (size_t i = 0; i < *count; i++) names[i] = rooms__bus_name(in);
    lists->name_count += *count;
    return names;
}

static const struct rooms_bytes *read_slices(struct rooms__bus_reader *in, struct lists *lists, size_t *count)
{
    struct rooms_bytes *slices = lists->slices ? lists->slices + lists->slice_count : NULL;
    *count = rooms__bus_u32(in);
    for (size_t i = 0; i < *count; i++) slices[i] = rooms__bus_bytes(in);
    lists->slice_count += *count;
    return slices;
}

int rooms__bus_read_message(struct rooms__bus_reader *in, struct rooms__bus_message *out)
{
    struct rooms_cluster_message *message = &out->message;
    *out = (struct rooms__bus_message){.nsp = rooms__bus_name(in)};
    uint8_t type = rooms__bus_u8(in), flags = rooms__bus_u8(in);
    message->type = (enum rooms_cluster_type)type;
    message->flags = (struct rooms_flags){
        .is_volatile = flags & FLAG_VOLATILE, .compress = flags & FLAG_COMPRESS, .timeout_ms = rooms__bus_u32(in)};
    message->close = flags & FLAG_CLOSE;
    out->seq = rooms__bus_u64(in);
    message->client_count = (size_t)rooms__bus_u64(in);
    message->request = rooms__bus_name(in);
    message->packet.json = rooms__bus_bytes(in);
    struct rooms__bus_reader ahead = *in;
    size_t names = skip_list(&ahead), slices;
    names += skip_list(&ahead);
    names += skip_list(&ahead);
    slices = skip_list(&ahead);
    slices += skip_list(&ahead);
    bool is_known = type >= ROOMS_CLUSTER_INITIAL_HEARTBEAT && type <= ROOMS_CLUSTER_ADAPTER_CLOSE;
    if (ahead.failed || ahead.p != ahead.end || !is_known) return ROOMS_EINVAL;
    struct lists lists = {0};
    if (names + slices) {
        out->memory = malloc(names * sizeof *lists.names + slices * sizeof *lists.slices);
        if (!out->memory) return ROOMS_ENOMEM;
        lists.names = out->memory;
        lists.slices = (struct rooms_bytes *)(void *)(lists.names + names);
    }
    message->who.rooms = read_names(in, &lists, &message->who.room_count);
    message->who.except = read_names(in, &lists, &message->who.except_count);
    message->rooms = read_names(in, &lists, &message->room_count);
    message->packet.attachments = read_slices(in, &lists, &message->packet.attachment_count);
    message->sockets = read_slices(in, &lists, &message->socket_count);
    return ROOMS_OK;
}
