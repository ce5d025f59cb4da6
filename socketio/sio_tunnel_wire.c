/* Messages of a tunnel. Pure.
 *
 *   0 "PT"   2 version   3 type   4 id (8)   12 number (4)   16 depends on the type, numbers little-endian:
 *   OPEN     window (4), secure (1), hops (1), size of the name (1), size of the address (1), name, address, bytes
 *   ACCEPT, WINDOW   window (4)
 *   DATA     bytes
 *   BEAT     name */
#include "sio_tunnel_wire.h"

#include <string.h>

enum { VERSION = 1, OPEN_FIXED_BYTES = 8, ADDRESS_MAX = 45 };

static void put_number(uint8_t *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) out[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get_number(const uint8_t *p, size_t size)
{
    uint64_t value = 0;
    while (size-- > 0) value = value << 8 | p[size];
    return value;
}

size_t sio__tunnel_encode(const struct sio__tunnel_message *message, uint8_t *out)
{
    uint8_t *at = out + SIO__TUNNEL_HEAD_BYTES;
    memcpy(out, "PT", 2);
    out[2] = VERSION;
    out[3] = (uint8_t)message->type;
    put_number(out + 4, message->id, 8);
    put_number(out + 12, message->number, 4);
    if (message->type == SIO__TUNNEL_OPEN || message->type == SIO__TUNNEL_ACCEPT ||
        message->type == SIO__TUNNEL_WINDOW) {
        put_number(at, message->window, 4);
        at += 4;
    }
    if (message->type == SIO__TUNNEL_OPEN) {
        *at++ = message->secure;
        *at++ = message->hops;
        *at++ = (uint8_t)message->name.n;
        *at++ = (uint8_t)message->address.n;
        memcpy(at, message->name.p, message->name.n);
        at += message->name.n;
        memcpy(at, message->address.p, message->address.n);
        at += message->address.n;
    }
    if (message->type == SIO__TUNNEL_BEAT) {
        memcpy(at, message->name.p, message->name.n);
        at += message->name.n;
    }
    return (size_t)(at - out);
}

static bool is_name(struct eio_str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!strchr("0123456789abcdef-", name.p[i]) || !name.p[i]) return false;
    return name.n > 0 && name.n <= SIO__TUNNEL_NAME_MAX;
}

static bool decode_open(const uint8_t *p, size_t n, struct sio__tunnel_message *out)
{
    if (n < OPEN_FIXED_BYTES) return false;
    size_t name = p[6], address = p[7];
    if (n < OPEN_FIXED_BYTES + name + address || p[4] > 1) return false;
    out->secure = p[4];
    out->hops = p[5];
    out->name = (struct eio_str){(const char *)p + OPEN_FIXED_BYTES, name};
    out->address = (struct eio_str){(const char *)p + OPEN_FIXED_BYTES + name, address};
    out->bytes = p + OPEN_FIXED_BYTES + name + address;
    out->size = n - OPEN_FIXED_BYTES - name - address;
    return is_name(out->name) && address > 0 && address <= ADDRESS_MAX && out->size <= EIO_HANDOVER_BYTES_MAX;
}

bool sio__tunnel_decode(const uint8_t *p, size_t n, struct sio__tunnel_message *out)
{
    *out = (struct sio__tunnel_message){0};
    if (n < SIO__TUNNEL_HEAD_BYTES || memcmp(p, "PT", 2) != 0 || p[2] != VERSION) return false;
    if (p[3] < SIO__TUNNEL_OPEN || p[3] > SIO__TUNNEL_BEAT) return false;
    out->type = (enum sio__tunnel_type)p[3];
    out->id = get_number(p + 4, 8);
    out->number = (uint32_t)get_number(p + 12, 4);
    p += SIO__TUNNEL_HEAD_BYTES;
    n -= SIO__TUNNEL_HEAD_BYTES;
    switch (out->type) {
    case SIO__TUNNEL_OPEN:
        if (!decode_open(p, n, out)) return false;
        out->window = (uint32_t)get_number(p, 4);
        return true;
    case SIO__TUNNEL_ACCEPT:
    case SIO__TUNNEL_WINDOW:
        if (n != 4) return false;
        out->window = (uint32_t)get_number(p, 4);
        return true;
    case SIO__TUNNEL_DATA:
        out->bytes = p;
        out->size = n;
        return n > 0;
    case SIO__TUNNEL_BEAT:
        out->name = (struct eio_str){(const char *)p, n};
        return is_name(out->name);
    default:
        return n == 0;
    }
}
