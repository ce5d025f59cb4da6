/* Bytes that wait in order: taken from the front, added behind. Private to this library. */
#ifndef EIO_BYTES_H
#define EIO_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct eio__bytes {
    uint8_t *p; /* the first */
    size_t size;
    uint8_t *memory; /* NULL if empty, or if the bytes are lent: the caller's until eio__bytes_keep() */
    size_t capacity;
};

/* Room for n more behind the last, which are counted when they are there (size). NULL: out of memory. */
uint8_t *eio__bytes_reserve(struct eio__bytes *bytes, size_t n);
/* Appends a copy. False: out of memory. */
bool eio__bytes_add(struct eio__bytes *bytes, const void *p, size_t n);
/* Fills an empty buffer with the caller's bytes, which must stay valid until they are kept or taken. */
void eio__bytes_lend(struct eio__bytes *bytes, uint8_t *p, size_t n);
/* Copies the bytes that are still lent. False: out of memory. */
bool eio__bytes_keep(struct eio__bytes *bytes);
void eio__bytes_clear(struct eio__bytes *bytes);
/* The first n are done with. Without any left there is no memory either. */
static inline void eio__bytes_take(struct eio__bytes *bytes, size_t n)
{
    if (n == bytes->size) {
        eio__bytes_clear(bytes);
        return;
    }
    bytes->p += n;
    bytes->size -= n;
}
#endif
