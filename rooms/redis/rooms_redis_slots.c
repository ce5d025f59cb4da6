/* Redis Cluster's slots. Pure. */
#include "rooms_redis_conn.h"

/* CRC-16/XMODEM (Redis Cluster Specification, appendix A). */
static uint16_t crc16(const uint8_t *p, size_t n)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc ^= (uint16_t)(p[i] << 8);
        for (int bit = 0; bit < 8; bit++) crc = (uint16_t)(crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

/* "Keys hash tags": what is between the first { and the } after it counts alone, unless it is empty. */
unsigned rooms__redis_slot(struct rooms_name name)
{
    const char *open = memchr(name.p, '{', name.n);
    size_t left = open ? name.n - (size_t)(open + 1 - name.p) : 0;
    const char *close = left ? memchr(open + 1, '}', left) : NULL;
    if (close && close > open + 1) name = (struct rooms_name){open + 1, (size_t)(close - open - 1)};
    return crc16((const uint8_t *)name.p, name.n) % ROOMS__REDIS_SLOTS;
}
