/* Hosts and ports, as they stand in URLs and behind "Host:". Pure. */
#ifndef BASE_AUTHORITY_H
#define BASE_AUTHORITY_H

#include "base_str.h"

/* uri-host [ ":" port ] (RFC 3986, section 3.2; RFC 9110, section 7.2): the host may be empty, so may the port. */
bool base_authority_is_valid(struct base_str authority);

/* Whether it names one host that can be connected to: an address, an IPv6 address in brackets, or a name of letters,
 * digits and "-._~"; and, if there is a colon, a port from 1 to 65535. */
bool base_authority_is_endpoint(struct base_str authority);

/* The same of a host alone. Here an IPv6 address has no brackets, and may have a zone: fe80::1%eth0. */
bool base_host_is_name_or_address(struct base_str host);

#endif
