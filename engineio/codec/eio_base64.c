/* Base64 (RFC 4648) as Node's Buffer reads and writes it: engine.io-parser hands it whatever a client sent. Pure. Our
 * own: libsodium's runs in constant time, which makes a large body hold up the loop. */
#include "base_base64.h"
#include "eio_codec.h"

enum { NONE = 64 }; /* no digit */

/* Both alphabets, from '+' to 'z'. */
static const uint8_t digits['z' - '+' + 1] = {
    62, 64, 62, 64, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64, 64, 0,  1,  2,  3,  4,
    5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 63, 64,
    26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51};

static inline uint32_t digit_of(uint8_t character)
{
    uint8_t place = (uint8_t)(character - '+');
    return place < sizeof digits ? digits[place] : NONE;
}

/* From the first group that is not four digits: what is no digit is skipped, and padding ends the text wherever it
 * stands. Of an incomplete last group only whole bytes count. */
static uint8_t *decode_loosely(uint8_t *out, const uint8_t *in, const uint8_t *end)
{
    uint32_t bits = 0, count = 0;
    for (; in < end && *in != '='; in++) {
        uint32_t digit = digit_of(*in);
        if (digit == NONE) continue;
        bits = bits << 6 | digit;
        count += 6;
        if (count < 8) continue;
        count -= 8;
        *out++ = (uint8_t)(bits >> count);
    }
    return out;
}

size_t eio__base64_decode(uint8_t *p, size_t n)
{
    uint8_t *out = p;
    const uint8_t *in = p, *end = p + n;
    for (; end - in >= 4; in += 4, out += 3) {
        uint32_t a = digit_of(in[0]), b = digit_of(in[1]), c = digit_of(in[2]), d = digit_of(in[3]);
        if ((a | b | c | d) & NONE) break;
        uint32_t group = a << 18 | b << 12 | c << 6 | d;
        out[0] = (uint8_t)(group >> 16);
        out[1] = (uint8_t)(group >> 8);
        out[2] = (uint8_t)group;
    }
    return (size_t)(decode_loosely(out, in, end) - p);
}

size_t eio__base64_size(size_t n)
{
    return (n + 2) / 3 * 4;
}

uint8_t *eio__base64_put(uint8_t *out, const uint8_t *p, size_t n)
{
    return (uint8_t *)base_base64_put((char *)out, p, n);
}
