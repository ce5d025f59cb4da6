/* Engine.IO v4 packets as text, and the payloads of long-polling: packets joined by U+001E, binary ones as "b" and
 * base64 (engine.io-protocol, "Packet encoding"). Not its job: UTF-8 checks and limits, which the caller does once
 * for a whole body. Base64 is our own: libsodium's runs in constant time, which makes a large body hold up the loop. */
#include "eio_codec.h"

#include <string.h>

#define SEPARATOR 0x1E

static int bad_packet(struct eio__fault *fault, const char *why)
{
    *fault = (struct eio__fault){.code = EIO_EPROTO, .close_code = 400, .why = why};
    return EIO_EPROTO;
}

/* Values of the characters from '+' to 'z'; 64: not base64. */
static const uint8_t base64_values['z' - '+' + 1] = {
    62, 64, 64, 64, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64, 64, 0,  1,  2,  3,  4,
    5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 64, 64,
    26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51};

static inline uint32_t base64_value(uint8_t character)
{
    uint8_t place = (uint8_t)(character - '+');
    return place < sizeof base64_values ? base64_values[place] : 64;
}

/* Decodes in place: bytes written never pass the characters read. Padding may be missing, as the reference has it, but
 * not be wrong. Returns the size or -1. */
static ssize_t decode_base64(uint8_t *p, size_t n)
{
    size_t padding = 0;
    while (padding < 2 && padding < n && p[n - 1 - padding] == '=') padding++;
    if (padding && n % 4) return -1;
    n -= padding;
    if (n % 4 == 1) return -1;

    uint8_t *out = p;
    const uint8_t *in = p, *end = p + n;
    for (; end - in >= 4; in += 4, out += 3) {
        uint32_t a = base64_value(in[0]), b = base64_value(in[1]), c = base64_value(in[2]), d = base64_value(in[3]);
        if ((a | b | c | d) & 64) return -1;
        uint32_t group = a << 18 | b << 12 | c << 6 | d;
        out[0] = (uint8_t)(group >> 16);
        out[1] = (uint8_t)(group >> 8);
        out[2] = (uint8_t)group;
    }
    if (in < end) {
        uint32_t a = base64_value(in[0]), b = base64_value(in[1]), c = end - in == 3 ? base64_value(in[2]) : 0;
        if ((a | b | c) & 64 || (end - in == 3 ? c & 3 : b & 15)) return -1;
        uint8_t second = (uint8_t)(b << 4 | c >> 2);
        *out++ = (uint8_t)(a << 2 | b >> 4);
        if (end - in == 3) *out++ = second;
    }
    return out - p;
}

static int decode_packet(uint8_t *p, size_t n, struct eio__packet *packet, struct eio__fault *fault)
{
    if (n == 0) return bad_packet(fault, "empty packet");
    if (p[0] == 'b') {
        ssize_t size = decode_base64(p + 1, n - 1);
        if (size < 0) return bad_packet(fault, "bad base64");
        *packet = (struct eio__packet){EIO__MESSAGE, EIO_BINARY, p + 1, (size_t)size};
        return 1;
    }
    if (p[0] < EIO__OPEN || p[0] > EIO__NOOP) return bad_packet(fault, "unknown packet type");
    *packet = (struct eio__packet){(enum eio__packet_type)p[0], EIO_TEXT, p + 1, n - 1};
    return 1;
}

int eio__payload_next(uint8_t **p, size_t *n, struct eio__packet *packet, struct eio__fault *fault)
{
    if (*n == 0) return 0;
    uint8_t *packet_p = *p;
    uint8_t *separator = memchr(packet_p, SEPARATOR, *n);
    size_t size = separator ? (size_t)(separator - packet_p) : *n;
    /* A separator at the very end stays: it announces one more packet, and the next call finds that one empty. */
    size_t taken = separator && size + 1 < *n ? size + 1 : size;
    *p += taken;
    *n -= taken;
    return decode_packet(packet_p, size, packet, fault);
}

size_t eio__payload_size(enum eio_kind kind, size_t n)
{
    return kind == EIO_TEXT ? 1 + n : 1 + (n + 2) / 3 * 4;
}

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static uint8_t *put_base64(uint8_t *out, const uint8_t *p, size_t n)
{
    const uint8_t *alphabet = (const uint8_t *)base64_alphabet;
    for (; n >= 3; p += 3, n -= 3, out += 4) {
        uint32_t group = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        out[0] = alphabet[group >> 18];
        out[1] = alphabet[group >> 12 & 63];
        out[2] = alphabet[group >> 6 & 63];
        out[3] = alphabet[group & 63];
    }
    if (n == 0) return out;
    uint32_t group = (uint32_t)p[0] << 8 | (n == 2 ? p[1] : 0);
    out[0] = alphabet[group >> 10];
    out[1] = alphabet[group >> 4 & 63];
    out[2] = n == 2 ? alphabet[group << 2 & 63] : '=';
    out[3] = '=';
    return out + 4;
}

uint8_t *eio__payload_put(uint8_t *out, enum eio__packet_type type, enum eio_kind kind, const uint8_t *p, size_t n)
{
    if (kind == EIO_BINARY) {
        *out++ = 'b';
        return put_base64(out, p, n);
    }
    *out++ = (uint8_t)type;
    if (n) memcpy(out, p, n);
    return out + n;
}
