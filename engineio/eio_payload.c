/* Polling payloads (engine.io-protocol v4): packets separated by 0x1e, binary as "b" and base64. */
#include "eio_codec.h"

#include <sodium.h>
#include <string.h>

static int fail(struct eio__fault *fault, const char *why)
{
    fault->code = EIO_EPROTO;
    fault->close_code = 400;
    fault->why = why;
    return EIO_EPROTO;
}

/* Base64 in place: the decoded bytes are never longer. JavaScript's decoder takes missing padding and so do we. */
static int decode_binary(uint8_t *p, size_t n, struct eio__packet *packet, struct eio__fault *fault)
{
    while (n > 0 && p[n - 1] == '=') n--;
    size_t size;
    uint8_t *out = p;
    if (sodium_base642bin(out, n, (const char *)p, n, NULL, &size, NULL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING) !=
        0)
        return fail(fault, "invalid base64");
    *packet = (struct eio__packet){EIO__MESSAGE, EIO_BINARY, out, size};
    return 1;
}

int eio__payload_next(uint8_t **p, size_t *n, struct eio__packet *packet, struct eio__fault *fault)
{
    if (!*p) return 0;
    uint8_t *start = *p, *separator = *n ? memchr(start, 0x1e, *n) : NULL;
    size_t size = separator ? (size_t)(separator - start) : *n;
    if (separator) {
        *p = separator + 1;
        *n -= size + 1;
    } else {
        *p = NULL; /* an empty packet after a last separator is still one: it is told from the end by this */
        *n = 0;
    }
    if (size == 0) return fail(fault, "empty packet");
    if (start[0] == 'b') return decode_binary(start + 1, size - 1, packet, fault);
    if (start[0] < EIO__OPEN || start[0] > EIO__NOOP) return fail(fault, "unknown packet type");
    *packet = (struct eio__packet){(enum eio__packet_type)start[0], EIO_TEXT, start + 1, size - 1};
    return 1;
}

size_t eio__payload_size(enum eio_kind kind, size_t n)
{
    return kind == EIO_TEXT ? 1 + n : 1 + (n + 2) / 3 * 4;
}

uint8_t *eio__payload_put(uint8_t *out, enum eio__packet_type type, enum eio_kind kind, const uint8_t *p, size_t n)
{
    if (kind == EIO_TEXT) {
        *out++ = (uint8_t)type;
        if (n) memcpy(out, p, n);
        return out + n;
    }
    *out++ = 'b';
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3, out += 4) {
        uint32_t group = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        out[0] = (uint8_t)alphabet[group >> 18];
        out[1] = (uint8_t)alphabet[group >> 12 & 63];
        out[2] = i + 1 < n ? (uint8_t)alphabet[group >> 6 & 63] : '=';
        out[3] = i + 2 < n ? (uint8_t)alphabet[group & 63] : '=';
    }
    return out;
}
