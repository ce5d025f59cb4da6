/* A compressed message at once. */
#ifndef INFLATE_WHOLE_H
#define INFLATE_WHOLE_H

#include "eio_deflate.h"

/* 0 and *out is the caller's to free, or negative with fault. */
static inline int inflate_whole(const uint8_t *p, size_t n, size_t limit, uint8_t **out, size_t *out_size,
                                struct eio__fault *fault)
{
    struct eio__inflation inflation;
    int result;
    eio__inflation_init(&inflation, p, n, limit);
    while ((result = eio__inflation_step(&inflation, fault)) > 0) continue;
    if (result == 0) {
        *out = inflation.bytes;
        *out_size = inflation.size;
        inflation.bytes = NULL;
    }
    eio__inflation_clear(&inflation);
    return result;
}
#endif
