/* msgpack without decoding it: heads, sizes, and the values of an array or map as slices. Messages of other nodes are
 * inspected with it first, since most need no decoding. */
#include "rooms_wire.h"

#include <string.h>

/* Big-endian. */
static uint64_t number_at(const uint8_t *p, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) value = value << 8 | p[i];
    return value;
}

/* A value of `size` bytes behind a head of `head_size`. */
static long with_body(const uint8_t *p, size_t n, size_t head_size, uint64_t size, struct rooms__msgpack_head *head)
{
    if (n < head_size || n - head_size < size) return ROOMS_EINVAL;
    head->body = (struct rooms_bytes){p + head_size, (size_t)size};
    return (long)(head_size + size);
}

static long with_length(const uint8_t *p, size_t n, size_t length_size, struct rooms__msgpack_head *head)
{
    if (n < 1 + length_size) return ROOMS_EINVAL;
    return with_body(p, n, 1 + length_size, number_at(p + 1, length_size), head);
}

/* Each element is at least one byte: what claims more than there can be is refused at once. */
static long with_count(size_t n, size_t head_size, uint64_t count, struct rooms__msgpack_head *head)
{
    uint64_t least = head->kind == ROOMS__MSGPACK_MAP ? 2 * count : count;
    if (n < head_size || least > n - head_size) return ROOMS_EINVAL;
    head->number = count;
    return (long)head_size;
}

static long counted(const uint8_t *p, size_t n, size_t count_size, struct rooms__msgpack_head *head)
{
    return n < 1 + count_size ? ROOMS_EINVAL : with_count(n, 1 + count_size, number_at(p + 1, count_size), head);
}

static long read_number(const uint8_t *p, size_t n, size_t size, struct rooms__msgpack_head *head)
{
    if (n < 1 + size) return ROOMS_EINVAL;
    head->number = number_at(p + 1, size);
    head->body = (struct rooms_bytes){p, 1 + size};
    return (long)(1 + size);
}

/* Signed ones that are not negative are whole numbers like any other. */
static long signed_number(const uint8_t *p, size_t n, size_t size, struct rooms__msgpack_head *head)
{
    long taken = read_number(p, n, size, head);
    if (taken > 0 && p[1] < 0x80) head->kind = ROOMS__MSGPACK_UINT;
    return taken;
}

/* The type follows the size. */
static long extension(const uint8_t *p, size_t n, size_t length_size, struct rooms__msgpack_head *head)
{
    if (n < 1 + length_size) return ROOMS_EINVAL;
    return with_body(p, n, 2 + length_size, number_at(p + 1, length_size), head);
}

static long fixed_extension(const uint8_t *p, size_t n, struct rooms__msgpack_head *head)
{
    size_t size = (size_t)1 << (p[0] - 0xd4);
    if (n > 1 && size == 1 && p[1] == 0) head->kind = ROOMS__MSGPACK_UNDEFINED;
    return with_body(p, n, 2, size, head);
}

/* 0xc0 to 0xdf: the first byte says what it is, and the size of its number or length. */
static long by_first_byte(const uint8_t *p, size_t n, struct rooms__msgpack_head *head)
{
    enum { NIL, NEVER, FALSE_, TRUE_, BODY, EXT, FLOAT, UNSIGNED, SIGNED, FIXEXT, COUNT };
    static const struct {
        uint8_t kind, how, size;
    } table[32] = {
        {ROOMS__MSGPACK_NIL, NIL, 0},          {ROOMS__MSGPACK_NIL, NEVER, 0},
        {ROOMS__MSGPACK_BOOL, FALSE_, 0},      {ROOMS__MSGPACK_BOOL, TRUE_, 0},
        {ROOMS__MSGPACK_BINARY, BODY, 1},      {ROOMS__MSGPACK_BINARY, BODY, 2},
        {ROOMS__MSGPACK_BINARY, BODY, 4},      {ROOMS__MSGPACK_EXTENSION, EXT, 1},
        {ROOMS__MSGPACK_EXTENSION, EXT, 2},    {ROOMS__MSGPACK_EXTENSION, EXT, 4},
        {ROOMS__MSGPACK_NUMBER, FLOAT, 4},     {ROOMS__MSGPACK_NUMBER, FLOAT, 8},
        {ROOMS__MSGPACK_UINT, UNSIGNED, 1},    {ROOMS__MSGPACK_UINT, UNSIGNED, 2},
        {ROOMS__MSGPACK_UINT, UNSIGNED, 4},    {ROOMS__MSGPACK_UINT, UNSIGNED, 8},
        {ROOMS__MSGPACK_NUMBER, SIGNED, 1},    {ROOMS__MSGPACK_NUMBER, SIGNED, 2},
        {ROOMS__MSGPACK_NUMBER, SIGNED, 4},    {ROOMS__MSGPACK_NUMBER, SIGNED, 8},
        {ROOMS__MSGPACK_EXTENSION, FIXEXT, 0}, {ROOMS__MSGPACK_EXTENSION, FIXEXT, 0},
        {ROOMS__MSGPACK_EXTENSION, FIXEXT, 0}, {ROOMS__MSGPACK_EXTENSION, FIXEXT, 0},
        {ROOMS__MSGPACK_EXTENSION, FIXEXT, 0}, {ROOMS__MSGPACK_TEXT, BODY, 1},
        {ROOMS__MSGPACK_TEXT, BODY, 2},        {ROOMS__MSGPACK_TEXT, BODY, 4},
        {ROOMS__MSGPACK_ARRAY, COUNT, 2},      {ROOMS__MSGPACK_ARRAY, COUNT, 4},
        {ROOMS__MSGPACK_MAP, COUNT, 2},        {ROOMS__MSGPACK_MAP, COUNT, 4},
    };
    size_t at = p[0] - 0xc0u, size = table[at].size;
    head->kind = (enum rooms__msgpack_kind)table[at].kind;
    switch (table[at].how) {
    case NEVER:
        return ROOMS_EINVAL;
    case TRUE_:
        head->number = 1;
        return 1;
    case BODY:
        return with_length(p, n, size, head);
    case EXT:
        return extension(p, n, size, head);
    case FLOAT:
    case UNSIGNED:
        return read_number(p, n, size, head);
    case SIGNED:
        return signed_number(p, n, size, head);
    case FIXEXT:
        return fixed_extension(p, n, head);
    case COUNT:
        return counted(p, n, size, head);
    default:
        return 1;
    }
}

long rooms__msgpack_head(const uint8_t *p, size_t n, struct rooms__msgpack_head *head)
{
    if (n == 0) return ROOMS_EINVAL;
    *head = (struct rooms__msgpack_head){.number = 0};
    uint8_t first = p[0];
    if (first < 0x80 || first >= 0xe0) {
        head->kind = first < 0x80 ? ROOMS__MSGPACK_UINT : ROOMS__MSGPACK_NUMBER;
        head->number = first;
        head->body = (struct rooms_bytes){p, 1};
        return 1;
    }
    if (first < 0xa0) {
        head->kind = first < 0x90 ? ROOMS__MSGPACK_MAP : ROOMS__MSGPACK_ARRAY;
        return with_count(n, 1, first & 0x0f, head);
    }
    if (first < 0xc0) {
        head->kind = ROOMS__MSGPACK_TEXT;
        return with_body(p, n, 1, first & 0x1f, head);
    }
    return by_first_byte(p, n, head);
}

long rooms__msgpack_skip(const uint8_t *p, size_t n)
{
    struct rooms__msgpack_head head;
    size_t at = 0;
    for (uint64_t left = 1; left > 0; left--) {
        long size = left > n - at ? ROOMS_EINVAL : rooms__msgpack_head(p + at, n - at, &head);
        if (size < 0) return size;
        at += (size_t)size;
        if (head.kind == ROOMS__MSGPACK_ARRAY) left += head.number;
        if (head.kind == ROOMS__MSGPACK_MAP) left += 2 * head.number;
    }
    return (long)at;
}

bool rooms__msgpack_open(struct rooms__msgpack_walk *walk, const uint8_t *p, size_t n)
{
    struct rooms__msgpack_head head;
    long size = rooms__msgpack_head(p, n, &head);
    if (size < 0 || (head.kind != ROOMS__MSGPACK_ARRAY && head.kind != ROOMS__MSGPACK_MAP)) return false;
    *walk = (struct rooms__msgpack_walk){p + size, p + n, head.number, head.kind == ROOMS__MSGPACK_MAP};
    return true;
}

int rooms__msgpack_next(struct rooms__msgpack_walk *walk, struct rooms_name *key, struct rooms_bytes *value)
{
    if (walk->left == 0) return 0;
    if (walk->is_map) {
        struct rooms__msgpack_head head;
        long size = rooms__msgpack_head(walk->p, (size_t)(walk->end - walk->p), &head);
        if (size < 0 || head.kind == ROOMS__MSGPACK_ARRAY || head.kind == ROOMS__MSGPACK_MAP) return ROOMS_EINVAL;
        walk->p += size;
        *key = (struct rooms_name){NULL, 0};
        if (head.kind == ROOMS__MSGPACK_TEXT) *key = (struct rooms_name){(const char *)head.body.p, head.body.n};
    }
    long size = rooms__msgpack_skip(walk->p, (size_t)(walk->end - walk->p));
    if (size < 0) return ROOMS_EINVAL;
    *value = (struct rooms_bytes){walk->p, (size_t)size};
    walk->p += size;
    walk->left--;
    return 1;
}

long rooms__msgpack_find(const uint8_t *p, size_t n, const char *const *names, size_t count, struct rooms_bytes *found)
{
    struct rooms__msgpack_walk walk;
    struct rooms_name key;
    struct rooms_bytes value;
    int more;
    for (size_t i = 0; i < count; i++) found[i] = (struct rooms_bytes){NULL, 0};
    if (!rooms__msgpack_open(&walk, p, n) || !walk.is_map) return ROOMS_EINVAL;
    while ((more = rooms__msgpack_next(&walk, &key, &value)) > 0) {
        for (size_t i = 0; i < count; i++)
            if (key.p && strlen(names[i]) == key.n && memcmp(names[i], key.p, key.n) == 0) found[i] = value;
    }
    return more < 0 ? more : walk.p - p;
}
