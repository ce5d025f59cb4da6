/* base_json.h in this library's types, and writing JSON into packers. */
#include "rooms_wire.h"

#include <stdio.h>
#include <string.h>

static struct base_str str_of(struct rooms_bytes bytes)
{
    return (struct base_str){(const char *)bytes.p, bytes.n};
}

static struct rooms_bytes bytes_of(struct base_str text)
{
    return (struct rooms_bytes){(const uint8_t *)text.p, text.n};
}

int rooms__json_check(struct rooms_bytes text)
{
    struct base_json_fault fault;
    ssize_t size = base_json_scan(text.p, text.n, ROOMS_MSGPACK_DEPTH_MAX, false, &fault);
    if (size < 0) return size == BASE_JSON_DEPTH ? ROOMS_ELIMIT : ROOMS_EINVAL;
    return (size_t)size == text.n ? ROOMS_OK : ROOMS_EINVAL;
}

/* ------------------------------------------------------------------- walks */

bool rooms__json_open(struct base_json_walk *walk, struct rooms_bytes value)
{
    return base_json_open(walk, str_of(value));
}

bool rooms__json_next(struct base_json_walk *walk, struct rooms_bytes *key, struct rooms_bytes *value)
{
    struct base_str of_key = {NULL, 0}, of_value;
    if (!base_json_each(walk, &of_key, &of_value)) return false;
    if (key) *key = bytes_of(of_key);
    *value = bytes_of(of_value);
    return true;
}

bool rooms__json_find(struct rooms_bytes object, const char *const *names, size_t count, struct rooms_bytes *found)
{
    struct base_json_walk walk;
    struct base_str key, value;
    for (size_t i = 0; i < count; i++) found[i] = (struct rooms_bytes){NULL, 0};
    if (!rooms__json_open(&walk, object) || !walk.is_object) return false;
    while (base_json_each(&walk, &key, &value)) {
        for (size_t i = 0; i < count; i++)
            if (base_json_text_is(key, (struct base_str){names[i], strlen(names[i])})) found[i] = bytes_of(value);
    }
    return true;
}

/* ----------------------------------------------------------------- scalars */

bool rooms__json_is_text(struct rooms_bytes value)
{
    return value.n > 0 && value.p[0] == '"';
}

bool rooms__json_is_array(struct rooms_bytes value)
{
    return value.n > 0 && value.p[0] == '[';
}

bool rooms__json_is(struct rooms_bytes value, const char *literal)
{
    return value.n == strlen(literal) && memcmp(value.p, literal, value.n) == 0;
}

long rooms__json_text(struct rooms_bytes value, char *out)
{
    return rooms__json_is_text(value) ? (long)base_json_decode(str_of(value), out) : -1;
}

bool rooms__json_text_is(struct rooms_bytes value, struct rooms_name text)
{
    return base_json_text_is(str_of(value), (struct base_str){text.p, text.n});
}

bool rooms__json_uint(struct rooms_bytes value, uint64_t *number)
{
    return base_json_uint(str_of(value), number);
}

/* ----------------------------------------------------------------- writing */

void rooms__put(struct rooms_packer *packer, const char *literal)
{
    rooms__put_bytes(packer, literal, strlen(literal));
}

void rooms__put_text(struct rooms_packer *packer, struct rooms_name text)
{
    size_t size = base_json_quoted_size(text.p, text.n);
    char *to = (char *)rooms__packer_reserve(packer, size);
    if (!to) return;
    base_json_put_quoted(to, text.p, text.n);
    packer->size += size;
}

void rooms__put_uint(struct rooms_packer *packer, uint64_t number)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    rooms__put_bytes(packer, digits, (size_t)n);
}
