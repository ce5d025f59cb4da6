/* UTF-8 validation (RFC 3629): resumable, fails on the first byte that cannot go on, ASCII in blocks of 16 or 32. */
#include "eio_codec.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The state between bytes: how many continuation bytes are due, and the range of the next one. */
#define STATE(left, low, high) ((uint32_t)(left) | (uint32_t)(low) << 8 | (uint32_t)(high) << 16)

static uint32_t lead(uint8_t byte)
{
    if (byte >= 0xc2 && byte <= 0xdf) return STATE(1, 0x80, 0xbf);
    if (byte == 0xe0) return STATE(2, 0xa0, 0xbf); /* no overlong forms */
    if (byte == 0xed) return STATE(2, 0x80, 0x9f); /* no surrogates */
    if (byte >= 0xe1 && byte <= 0xef) return STATE(2, 0x80, 0xbf);
    if (byte == 0xf0) return STATE(3, 0x90, 0xbf);
    if (byte >= 0xf1 && byte <= 0xf3) return STATE(3, 0x80, 0xbf);
    if (byte == 0xf4) return STATE(3, 0x80, 0x8f); /* up to U+10FFFF */
    return 0;
}

/* Bytes of ASCII at the start, in whole blocks. */
static size_t skip_ascii(const uint8_t *p, size_t n)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; i + 16 <= n; i += 16)
        if (_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + i)))) return i;
#endif
    for (; i + 8 <= n; i += 8) {
        uint64_t block;
        memcpy(&block, p + i, 8);
        if (block & 0x8080808080808080u) return i;
    }
    return i;
}

bool eio__utf8_feed(struct eio__utf8 *utf8, const uint8_t *p, size_t n)
{
    uint32_t state = utf8->state;
    for (size_t i = 0; i < n; i++) {
        if (state == 0) {
            if (p[i] < 0x80) {
                i += skip_ascii(p + i, n - i);
                if (i == n) break;
                if (p[i] < 0x80) continue;
            }
            state = lead(p[i]);
            if (state == 0) return false;
            continue;
        }
        if (p[i] < (state >> 8 & 0xff) || p[i] > (state >> 16 & 0xff)) return false;
        uint32_t left = (state & 0xff) - 1;
        state = left ? STATE(left, 0x80, 0xbf) : 0;
    }
    utf8->state = state;
    return true;
}

bool eio__utf8_valid(const uint8_t *p, size_t n)
{
    struct eio__utf8 utf8 = {0};
    return eio__utf8_feed(&utf8, p, n) && eio__utf8_complete(&utf8);
}
