#include "base_base64.h"

#include "base_str.h"

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The whole groups of three; what is left is the caller's. */
static inline char *put_groups(char *out, const uint8_t **p, size_t *n, const char *alphabet)
{
    for (; *n >= 3; *p += 3, *n -= 3, out += 4) {
        uint32_t group = (uint32_t)(*p)[0] << 16 | (uint32_t)(*p)[1] << 8 | (*p)[2];
        out[0] = alphabet[group >> 18];
        out[1] = alphabet[group >> 12 & 63];
        out[2] = alphabet[group >> 6 & 63];
        out[3] = alphabet[group & 63];
    }
    return out;
}

/* One byte or two as two characters or three. */
static inline char *put_rest(char *out, const uint8_t *p, size_t n, const char *alphabet)
{
    if (n == 0) return out;
    uint32_t group = (uint32_t)p[0] << 8 | (n == 2 ? p[1] : 0);
    *out++ = alphabet[group >> 10];
    *out++ = alphabet[group >> 4 & 63];
    if (n == 2) *out++ = alphabet[group << 2 & 63];
    return out;
}

char *base_base64_put(char *out, const uint8_t *p, size_t n)
{
    out = put_groups(out, &p, &n, plain);
    out = put_rest(out, p, n, plain);
    if (n == 1) *out++ = '=';
    if (n > 0) *out++ = '=';
    return out;
}

char *base_base64url_put(char *out, const uint8_t *p, size_t n)
{
    out = put_groups(out, &p, &n, url);
    return put_rest(out, p, n, url);
}

enum { NONE = 64 }; /* no digit */

/* From '-' to 'z'. */
static const uint8_t digits['z' - '-' + 1] = {
    62, 64, 64, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64, 64, 0,  1,  2,  3,  4,  5,
    6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 63, 64,
    26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51};

static inline uint32_t digit_of(char c)
{
    uint8_t place = (uint8_t)((uint8_t)c - '-');
    return place < sizeof digits ? digits[place] : NONE;
}

bool base_base64url_read(uint8_t *out, const char *p, size_t n)
{
    uint32_t bits = 0, count = 0;
    for (; n >= 4; p += 4, n -= 4, out += 3) {
        uint32_t a = digit_of(p[0]), b = digit_of(p[1]), c = digit_of(p[2]), d = digit_of(p[3]);
        if ((a | b | c | d) & NONE) return false;
        uint32_t group = a << 18 | b << 12 | c << 6 | d;
        out[0] = (uint8_t)(group >> 16);
        out[1] = (uint8_t)(group >> 8);
        out[2] = (uint8_t)group;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t digit = digit_of(p[i]);
        if (digit == NONE) return false;
        bits = bits << 6 | digit;
        count += 6;
        if (count < 8) continue;
        count -= 8;
        *out++ = (uint8_t)(bits >> count);
        bits &= (1u << count) - 1;
    }
    return count < 6 && bits == 0;
}
