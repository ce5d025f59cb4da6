/* The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt, 2020/03/05): what a proxy says of its client
 * before the client's first byte. Pure. Private to this library. */
#ifndef EIO_PROXY_H
#define EIO_PROXY_H

#include "eio_address.h"
#include "eio_codec.h"

/* Of a whole header. Version 1 has at most 107; version 2 may have more, for TLVs. */
#define EIO__PROXY_HEADER_MAX 4096

struct eio__proxy_header {
    bool has_client;             /* false: LOCAL, UNKNOWN, UNSPEC: the peer speaks for itself */
    struct eio__address address; /* of the client; of a UNIX socket: all zero */
    bool secure;                 /* the client came to the proxy over TLS (PP2_CLIENT_SSL) */
};
/* Decodes what stands at the start of p. Returns the size of the header, 0 if it is not whole (then all of p belongs to
 * it), or negative. */
ssize_t eio__proxy_decode(const uint8_t *p, size_t n, struct eio__proxy_header *out, struct eio__fault *fault);

#endif
