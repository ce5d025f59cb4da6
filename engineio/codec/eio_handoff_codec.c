/* The record in which a handover travels between processes: 64 bytes that say what it is, then what was read of the
 * connection. Pure; the descriptor goes beside it. */
#include "eio_codec.h"

#include "eio_address.h"

#include <string.h>

/*   0 "EIOH"   4 version   5 flags   6 hops   7 door   8 size of the bytes, little-endian (4)
 *  12 the peer's address, text, padded with zeros (46)   58 zero (6) */
enum {
    AT_VERSION = 4,
    AT_FLAGS = 5,
    AT_HOPS = 6,
    AT_DOOR = 7,
    AT_SIZE = 8,
    AT_ADDRESS = 12,
    ADDRESS_BYTES = 46,
    VERSION = 1,
    FLAG_SECURE = 1,
};

void eio__handover_encode(const struct eio_http_handover *handover, uint8_t out[EIO__HANDOVER_HEAD_BYTES])
{
    memset(out, 0, EIO__HANDOVER_HEAD_BYTES);
    memcpy(out, "EIOH", 4);
    out[AT_VERSION] = VERSION;
    out[AT_FLAGS] = handover->secure ? FLAG_SECURE : 0;
    out[AT_HOPS] = handover->hops;
    out[AT_DOOR] = handover->door;
    for (size_t i = 0; i < 4; i++) out[AT_SIZE + i] = (uint8_t)(handover->size >> 8 * i);
    memcpy(out + AT_ADDRESS, handover->address, strnlen(handover->address, ADDRESS_BYTES - 1));
}

static bool all_zero(const uint8_t *p, size_t n)
{
    while (n && !*p) p++, n--;
    return n == 0;
}

bool eio__handover_decode(const uint8_t head[EIO__HANDOVER_HEAD_BYTES], size_t size, struct eio_http_handover *out)
{
    const uint8_t *address = head + AT_ADDRESS;
    uint32_t said = 0;
    for (size_t i = 4; i-- > 0;) said = said << 8 | head[AT_SIZE + i];
    struct eio__address parsed;
    size_t n = strnlen((const char *)address, ADDRESS_BYTES);
    bool sound = memcmp(head, "EIOH", 4) == 0 && head[AT_VERSION] == VERSION && !(head[AT_FLAGS] & ~FLAG_SECURE) &&
                 head[AT_DOOR] < EIO_HTTP_DOORS && said == size && size <= EIO_HANDOVER_BYTES_MAX &&
                 all_zero(address + n, EIO__HANDOVER_HEAD_BYTES - AT_ADDRESS - n) &&
                 eio__address_parse((struct eio_str){(const char *)address, n}, &parsed);
    if (!sound) return false;
    *out = (struct eio_http_handover){
        .fd = -1, .secure = head[AT_FLAGS] & FLAG_SECURE, .size = size, .hops = head[AT_HOPS], .door = head[AT_DOOR]};
    eio__address_print(&parsed, out->address);
    return true;
}
