/* Engine.IO v4 packets as text, and the payloads of long-polling: packets joined by U+001E, binary ones as "b" and
 * base64 (engine.io-protocol, "Packet encoding"). Not its job: UTF-8 checks and limits, which the caller does once
 * for a whole body. */
#include "eio_codec.h"

#include <string.h>

#define SEPARATOR 0x1E

static int bad_packet(struct eio__fault *fault, const char *why)
{
    *fault = (struct eio__fault){.code = EIO_EPROTO, .close_code = 400, .why = why};
    return EIO_EPROTO;
}

int eio__packet_decode(uint8_t *p, size_t n, struct eio__packet *packet, struct eio__fault *fault)
{
    if (n == 0) return bad_packet(fault, "empty packet");
    if (p[0] == 'b') {
        *packet = (struct eio__packet){EIO__MESSAGE, EIO_BINARY, p + 1, eio__base64_decode(p + 1, n - 1)};
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
    return eio__packet_decode(packet_p, size, packet, fault);
}

uint8_t *eio__payload_put(uint8_t *out, enum eio__packet_type type, enum eio_kind kind, const uint8_t *p, size_t n)
{
    if (kind == EIO_BINARY) {
        *out++ = 'b';
        return eio__base64_put(out, p, n);
    }
    *out++ = (uint8_t)type;
    if (n) memcpy(out, p, n);
    return out + n;
}
