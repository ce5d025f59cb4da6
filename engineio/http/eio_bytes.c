#include "eio_bytes.h"

#include <stdlib.h>
#include <string.h>

enum { START_BYTES = 1000 }; /* malloc() has blocks of this size at hand */

uint8_t *eio__bytes_reserve(struct eio__bytes *bytes, size_t n)
{
    size_t needed = bytes->size + n;
    if (bytes->memory && (size_t)(bytes->p - bytes->memory) + needed <= bytes->capacity) return bytes->p + bytes->size;
    if (bytes->memory && needed <= bytes->capacity) {
        memmove(bytes->memory, bytes->p, bytes->size);
        bytes->p = bytes->memory;
        return bytes->p + bytes->size;
    }
    size_t capacity = bytes->capacity ? 2 * bytes->capacity : START_BYTES;
    if (capacity < needed) capacity = needed;
    uint8_t *memory = malloc(capacity);
    if (!memory) return NULL;
    if (bytes->size) memcpy(memory, bytes->p, bytes->size);
    free(bytes->memory);
    bytes->p = bytes->memory = memory;
    bytes->capacity = capacity;
    return memory + bytes->size;
}

bool eio__bytes_add(struct eio__bytes *bytes, const void *p, size_t n)
{
    if (n == 0) return true;
    uint8_t *room = eio__bytes_reserve(bytes, n);
    if (!room) return false;
    memcpy(room, p, n);
    bytes->size += n;
    return true;
}

void eio__bytes_lend(struct eio__bytes *bytes, uint8_t *p, size_t n)
{
    *bytes = (struct eio__bytes){.p = p, .size = n};
}

bool eio__bytes_keep(struct eio__bytes *bytes)
{
    return bytes->memory || bytes->size == 0 || eio__bytes_reserve(bytes, 0);
}

void eio__bytes_clear(struct eio__bytes *bytes)
{
    free(bytes->memory);
    *bytes = (struct eio__bytes){0};
}
