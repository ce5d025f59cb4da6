#include "kit_address.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct network {
    uint8_t bytes[16];
    unsigned bits;
};

static const struct network not_public4[] = {
    {{0}, 8},
    {{10}, 8},
    {{100, 64}, 10},
    {{127}, 8},
    {{169, 254}, 16},
    {{172, 16}, 12},
    {{192, 0, 0}, 24},
    {{192, 0, 2}, 24},
    {{192, 88, 99}, 24},
    {{192, 168}, 16},
    {{198, 18}, 15},
    {{198, 51, 100}, 24},
    {{203, 0, 113}, 24},
    {{224}, 3},
};
static const struct network not_public6[] = {
    {{0x01, 0x00}, 64}, {{0x20, 0x01, 0x0d, 0xb8}, 32}, {{0x20, 0x01, 0x00}, 23}, {{0xfc}, 7}, {{0xfe}, 7}, {{0}, 64},
};
/* IPv6 prefixes that hold an IPv4 address, and where. */
static const struct {
    struct network network;
    size_t at;
} embedded4[] = {
    {{{[10] = 0xff, [11] = 0xff}, 96}, 12}, /* mapped */
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},   /* NAT64 */
    {{{0x20, 0x02}, 16}, 2},                /* 6to4 */
};

static bool is_in(const uint8_t *address, const struct network *network)
{
    size_t whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    if (memcmp(address, network->bytes, whole)) return false;
    return !rest || !((address[whole] ^ network->bytes[whole]) >> (8 - rest));
}

static bool is_in_any(const uint8_t *address, const struct network *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_in(address, &list[i])) return true;
    return false;
}

static bool is_public4(const uint8_t address[4])
{
    return !is_in_any(address, not_public4, sizeof not_public4 / sizeof not_public4[0]);
}

static bool is_public6(const uint8_t address[16])
{
    for (size_t i = 0; i < sizeof embedded4 / sizeof embedded4[0]; i++)
        if (is_in(address, &embedded4[i].network)) return is_public4(address + embedded4[i].at);
    return !is_in_any(address, not_public6, sizeof not_public6 / sizeof not_public6[0]);
}

bool kit_address_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return is_public4((const uint8_t *)&in.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        return is_public6(in6.sin6_addr.s6_addr);
    }
    return false;
}
