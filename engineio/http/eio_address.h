/* Who the client is, when proxies stand in between. Private to this library. */
#ifndef EIO_ADDRESS_H
#define EIO_ADDRESS_H

#include "engineio_http.h"

struct sockaddr;

/* An address as 16 bytes; IPv4 is mapped (::ffff:a.b.c.d), so that both are compared alike. */
struct eio__address {
    uint8_t bytes[16];
};
struct eio__network {
    struct eio__address address;
    uint8_t bits; /* of 128 */
};
struct eio__proxies {
    struct eio__network *networks;
    size_t count;
};

/* "10.0.0.0/8, ::1": networks or single addresses. NULL or "": none. Returns 0, EIO_EINVAL or EIO_ENOMEM. */
int eio__proxies_init(struct eio__proxies *proxies, const char *list);
void eio__proxies_clear(struct eio__proxies *proxies);
bool eio__proxies_trust(const struct eio__proxies *proxies, const struct eio__address *address);

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80" */
bool eio__address_parse(struct eio_str text, struct eio__address *out);
/* Of a UNIX socket's peer: all zero, printed and parsed as "unix". */
bool eio__address_is_unix(const struct eio__address *address);
void eio__address_of(const struct sockaddr *from, struct eio__address *out);
/* At most 45 characters and a terminator. */
void eio__address_print(const struct eio__address *address, char out[46]);

/* Fills in address and secure: the peer's, or, if the peer is a trusted proxy, the rightmost address of
 * X-Forwarded-For that is not, and the last word of X-Forwarded-Proto. */
void eio__address_resolve(const struct eio__proxies *proxies, const struct eio__address *peer,
                          struct eio_http_head *head);
#endif
