/* Looking at arguments: slices of checked JSON text. */
#include "sio_codec.h"

#include <limits.h>
#include <string.h>

size_t sio_args_count(struct sio_args args)
{
    size_t count = 0;
    while (sio__json_next(&args.json).n > 0) count++;
    return count;
}

struct eio_str sio_args_at(struct sio_args args, size_t i)
{
    struct eio_str value = sio__json_next(&args.json);
    while (i-- > 0 && value.n > 0) value = sio__json_next(&args.json);
    return value;
}

struct sio_args sio_args_skip(struct sio_args args, size_t n)
{
    while (n-- > 0 && args.json.n > 0) sio__json_next(&args.json);
    return args;
}

struct sio_args sio_args_drop_last(struct sio_args args)
{
    struct eio_str rest = args.json, value = sio__json_next(&rest);
    const char *end = args.json.p;
    while (value.n > 0 && rest.n > 0) {
        end = value.p + value.n;
        value = sio__json_next(&rest);
    }
    args.json.n = end == args.json.p ? 0 : (size_t)(end - args.json.p);
    return args;
}

json_t *sio_args_parse(struct sio_args args, size_t i)
{
    struct eio_str value = sio_args_at(args, i);
    return value.n > 0 ? sio__json_tree(value) : NULL;
}

int sio_args_text(struct sio_args args, size_t i, char *out, size_t out_size)
{
    struct eio_str value = sio_args_at(args, i);
    if (value.n < 2 || value.p[0] != '"') return EIO_EINVAL;
    /* Decoding makes text shorter at most: only what seems too large needs to be counted first. */
    if (value.n - 2 >= out_size || value.n > INT_MAX) {
        size_t size = sio__json_decode_text(value, NULL);
        if (size >= out_size || size > INT_MAX) return EIO_ETOOBIG;
    }
    size_t size = sio__json_decode_text(value, out);
    out[size] = '\0';
    return (int)size;
}

bool sio_args_binary(struct sio_args args, size_t i, struct rooms_bytes *bytes)
{
    uint64_t number;
    if (args.attachment_count == 0) return false;
    if (!sio__placeholder_parse(sio_args_at(args, i), &number) || number >= args.attachment_count) return false;
    *bytes = args.attachments[number];
    return true;
}

struct eio_str sio_json_member(struct eio_str object, const char *name)
{
    struct base_str found = {NULL, 0}, key, value, wanted = {name, strlen(name)};
    struct base_json_walk walk;
    if (!base_json_open(&walk, sio__base_str(object)) || !walk.is_object) return sio__eio_str(found);
    while (base_json_each(&walk, &key, &value))
        if (base_json_text_is(key, wanted)) found = value;
    return sio__eio_str(found);
}

bool sio__args_end_with_text(struct sio_args args)
{
    return args.json.n == 0 || args.json.p[args.json.n - 1] == '"'; /* without arguments the name is the last text */
}
