/* UTF-8 (RFC 3629): checking text at once or as it arrives, and single characters. Pure: no I/O, no globals. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Resumable and fail-fast. */
struct base_utf8 {
    uint32_t state; /* 0: between characters */
};
/* Feeds bytes; false as soon as they cannot become valid UTF-8. */
bool base_utf8_feed(struct base_utf8 *utf8, const uint8_t *p, size_t n);
static inline bool base_utf8_complete(const struct base_utf8 *utf8)
{
    return utf8->state == 0;
}
/* The whole text at once. ASCII runs at memory speed. */
bool base_utf8_valid(const uint8_t *p, size_t n);

/* The size of the character at p (p < end, not ASCII). If it is not valid, *valid is false and the size is that of the
 * part to be replaced by one U+FFFD (Unicode, section 3.9, "maximal subpart"). */
static inline size_t base_utf8_sequence(const uint8_t *p, const uint8_t *end, bool *valid)
{
    uint8_t c = *p, low = 0x80, high = 0xbf;
    size_t size = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    *valid = false;
    if (c < 0xc2 || c > 0xf4) return 1;
    if (c == 0xe0) low = 0xa0;  /* overlong */
    if (c == 0xed) high = 0x9f; /* surrogates */
    if (c == 0xf0) low = 0x90;
    if (c == 0xf4) high = 0x8f; /* above U+10FFFF */
    for (size_t i = 1; i < size; i++) {
        if (p + i >= end || p[i] < low || p[i] > high) return i;
        low = 0x80;
        high = 0xbf;
    }
    *valid = true;
    return size;
}

/* Writes a code point other than a surrogate; returns the size. */
static inline size_t base_utf8_put(uint32_t code, char out[4])
{
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(lead[size] | code);
    return size;
}

/* U+FFFD, which replaces invalid bytes. */
#define BASE_UTF8_REPLACEMENT "\xef\xbf\xbd"

#endif
