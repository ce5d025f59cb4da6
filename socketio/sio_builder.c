/* Building arguments: JSON text that grows, and the attachments it names. */
#include "sio_codec.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 128
#define FIRST_ATTACHMENTS 4
#define QUOTED_GROWTH 6       /* bytes at most of one that is quoted */
#define PLACEHOLDER_GROWTH 20 /* sio__placeholder_renumber: bytes more, each */
#define ATTACHMENTS_MAX 65535 /* as many as a placeholder can name */

void sio_builder_init(struct sio_builder *builder)
{
    memset(builder, 0, sizeof *builder);
}

void sio_builder_clear(struct sio_builder *builder)
{
    free(builder->json);
    free(builder->attachments);
    sio_builder_init(builder);
}

/* The capacity that holds `needed`, at least doubled; 0 if that cannot be. */
static size_t grown(size_t capacity, size_t first, size_t needed)
{
    size_t doubled = capacity ? capacity : first;
    while (doubled < needed) {
        if (doubled > SIZE_MAX / 4) return 0;
        doubled *= 2;
    }
    return doubled;
}

/* Room for n more bytes, or NULL with the error set. */
static char *make_room(struct sio_builder *builder, size_t n)
{
    if (builder->error) return NULL;
    if (!builder->json || n > builder->capacity - builder->size) {
        size_t capacity = n > SIZE_MAX / 4 ? 0 : grown(builder->capacity, FIRST_CAPACITY, builder->size + n);
        char *json = capacity ? realloc(builder->json, capacity) : NULL;
        if (!json) {
            builder->error = EIO_ENOMEM;
            return NULL;
        }
        builder->json = json;
        builder->capacity = capacity;
    }
    return builder->json + builder->size;
}

static struct rooms_bytes *reserve_attachments(struct sio_builder *builder, size_t n)
{
    if (builder->error) return NULL;
    if (n > ATTACHMENTS_MAX - builder->attachment_count) {
        builder->error = EIO_ETOOBIG;
        return NULL;
    }
    size_t needed = builder->attachment_count + n;
    if (!builder->attachments || needed > builder->attachment_capacity) {
        size_t capacity = grown(builder->attachment_capacity, FIRST_ATTACHMENTS, needed);
        struct rooms_bytes *attachments = realloc(builder->attachments, capacity * sizeof *attachments);
        if (!attachments) {
            builder->error = EIO_ENOMEM;
            return NULL;
        }
        builder->attachments = attachments;
        builder->attachment_capacity = capacity;
    }
    return builder->attachments + builder->attachment_count;
}

void sio__builder_append(struct sio_builder *builder, const char *text, size_t n)
{
    char *out = n > 0 ? make_room(builder, n) : NULL;
    if (!out) return;
    memcpy(out, text, n);
    builder->size += n;
}

void sio__builder_reserve(struct sio_builder *builder, size_t n)
{
    make_room(builder, n);
}

void sio_builder_open(struct sio_builder *builder)
{
    if (builder->size > 0) sio__builder_append(builder, ",", 1);
}

void sio_builder_put(struct sio_builder *builder, const char *json)
{
    sio__builder_append(builder, json, strlen(json));
}

void sio_builder_put_text(struct sio_builder *builder, const char *text, size_t size)
{
    if (size > SIZE_MAX / 8) {
        if (!builder->error) builder->error = EIO_ETOOBIG;
        return;
    }
    /* Measured first only if there might be no room. */
    if (!builder->error && QUOTED_GROWTH * size + 2 <= builder->capacity - builder->size) {
        char *end = base_json_put_quoted(builder->json + builder->size, text, size);
        builder->size = (size_t)(end - builder->json);
        return;
    }
    size_t quoted = base_json_quoted_size(text, size);
    char *out = make_room(builder, quoted);
    if (!out) return;
    base_json_put_quoted(out, text, size);
    builder->size += quoted;
}

void sio_builder_text(struct sio_builder *builder, const char *text, size_t size)
{
    sio_builder_open(builder);
    sio_builder_put_text(builder, text, size);
}

void sio__builder_put_unsigned(struct sio_builder *builder, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    sio__builder_append(builder, digits + at, sizeof digits - at);
}

void sio_builder_int(struct sio_builder *builder, int64_t value)
{
    sio_builder_open(builder);
    if (value < 0) sio__builder_append(builder, "-", 1);
    sio__builder_put_unsigned(builder, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void sio_builder_bool(struct sio_builder *builder, bool value)
{
    sio_builder_open(builder);
    sio_builder_put(builder, value ? "true" : "false");
}

void sio_builder_null(struct sio_builder *builder)
{
    sio_builder_open(builder);
    sio__builder_append(builder, "null", 4);
}

void sio_builder_raw(struct sio_builder *builder, struct eio_str json)
{
    struct eio_str text = sio__json_trim(json);
    if (text.n == 0) return;
    sio_builder_open(builder);
    sio__builder_append(builder, text.p, text.n);
}

static int append_dumped(const char *text, size_t n, void *ctx)
{
    struct sio_builder *builder = ctx;
    sio__builder_append(builder, text, n);
    return builder->error ? -1 : 0;
}

void sio_builder_json(struct sio_builder *builder, const json_t *value)
{
    sio_builder_open(builder);
    if (json_dump_callback(value, append_dumped, builder, JSON_COMPACT | JSON_ENCODE_ANY) != 0 && !builder->error) {
        builder->error = EIO_EINVAL;
    }
}

void sio_builder_binary(struct sio_builder *builder, const uint8_t *bytes, size_t size)
{
    struct rooms_bytes *attachment = reserve_attachments(builder, 1);
    if (!attachment) return;
    sio_builder_open(builder);
    sio_builder_put(builder, "{\"_placeholder\":true,\"num\":");
    sio__builder_put_unsigned(builder, builder->attachment_count);
    sio__builder_append(builder, "}", 1);
    *attachment = (struct rooms_bytes){bytes, size};
    builder->attachment_count++;
}

/* The attachments that order[] names, after those there are. */
static void add_attachments(struct sio_builder *builder, struct sio_args from, const uint16_t *order, size_t count)
{
    struct rooms_bytes *attachments = reserve_attachments(builder, count);
    for (size_t k = 0; attachments && k < count; k++) {
        if (order[k] >= from.attachment_count) {
            builder->error = EIO_EINVAL;
            return;
        }
        attachments[k] = from.attachments[order[k]];
    }
    if (attachments) builder->attachment_count += count;
}

static void put_renumbered(struct sio_builder *builder, struct sio_args from, struct eio_str json, size_t count)
{
    uint16_t *order = count <= ATTACHMENTS_MAX ? malloc(count * sizeof *order) : NULL;
    char *out = order ? make_room(builder, json.n + count * PLACEHOLDER_GROWTH) : NULL;
    if (!order && !builder->error) builder->error = count <= ATTACHMENTS_MAX ? EIO_ENOMEM : EIO_ETOOBIG;
    if (out) {
        builder->size += sio__placeholder_renumber(json, builder->attachment_count, out, order, count);
        add_attachments(builder, from, order, count);
    }
    free(order);
}

void sio_builder_put_slice(struct sio_builder *builder, struct sio_args from, struct eio_str json)
{
    /* Without attachments there is nothing to number: what looks like a placeholder is data. */
    size_t count = from.attachment_count > 0 ? sio__placeholder_count(json) : 0;
    if (count == 0) {
        sio__builder_append(builder, json.p, json.n);
    } else {
        put_renumbered(builder, from, json, count);
    }
}

void sio_builder_slice(struct sio_builder *builder, struct sio_args from, struct eio_str json)
{
    struct eio_str text = sio__json_trim(json);
    if (text.n == 0) return;
    sio_builder_open(builder);
    sio_builder_put_slice(builder, from, text);
}

struct sio_args sio_builder_args(const struct sio_builder *builder)
{
    if (builder->error) return sio_args_none();
    return (struct sio_args){{builder->json, builder->size}, builder->attachments, builder->attachment_count};
}
