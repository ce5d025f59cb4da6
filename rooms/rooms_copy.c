/* Copies in one block: measured first, then cut into pieces. Slices come first, so that they are aligned. */
#include "rooms_int.h"

#include <string.h>

void *rooms__cut(struct rooms_arena *arena, size_t size)
{
    void *piece = arena->at;
    arena->at += size;
    return piece;
}

struct rooms_name rooms__cut_name(struct rooms_arena *arena, struct rooms_name name)
{
    char *copy = rooms__cut(arena, name.n);
    if (name.n) memcpy(copy, name.p, name.n);
    return (struct rooms_name){copy, name.n};
}

struct rooms_bytes rooms__cut_bytes(struct rooms_arena *arena, struct rooms_bytes bytes)
{
    struct rooms_name copy = rooms__cut_name(arena, (struct rooms_name){(const char *)bytes.p, bytes.n});
    return (struct rooms_bytes){(const uint8_t *)copy.p, copy.n};
}

void rooms__cut_names(struct rooms_arena *text, struct rooms_name *out, const struct rooms_name *names, size_t count)
{
    for (size_t i = 0; i < count; i++) out[i] = rooms__cut_name(text, names[i]);
}

size_t rooms__names_size(const struct rooms_name *names, size_t count)
{
    size_t size = count * sizeof *names;
    for (size_t i = 0; i < count; i++) size += names[i].n;
    return size;
}
