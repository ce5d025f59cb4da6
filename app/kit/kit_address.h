/* Which addresses are of the public internet. Pure. */
#ifndef KIT_ADDRESS_H
#define KIT_ADDRESS_H

#include <stdbool.h>

struct sockaddr;

/* False for loopback, private and shared networks, link-local, multicast, reserved ones, what is embedded of these in
 * an IPv6 address, and every family but IPv4 and IPv6 (RFC 6890 and its registries). */
bool kit_address_is_public(const struct sockaddr *address);

#endif
