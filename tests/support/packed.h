/* Messages compressed and inflated at once. */
#ifndef PACKED_H
#define PACKED_H

#include "eio_deflate.h"

/* 0 and *out is the caller's to free, or negative with fault. */
static inline int inflate_whole(const uint8_t *p, size_t n, size_t limit, uint8_t **out, size_t *out_size,
                                struct eio__fault *fault)
{
    struct eio__inflation inflation;
    int result;
    *out = NULL;
    *out_size = 0;
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

/* True: *out is the caller's to free, and *out_size is smaller than n. */
static inline bool deflate_whole(const uint8_t *p, size_t n, int window_bits, int level, uint8_t **out,
                                 size_t *out_size)
{
    struct eio__deflation deflation;
    int result;
    *out = NULL;
    *out_size = 0;
    eio__deflation_init(&deflation, p, n, window_bits, level);
    while ((result = eio__deflation_step(&deflation)) > 0) continue;
    if (result == 0) {
        *out = deflation.bytes;
        *out_size = deflation.size;
        deflation.bytes = NULL;
    }
    eio__deflation_clear(&deflation);
    return result == 0;
}
#endif
