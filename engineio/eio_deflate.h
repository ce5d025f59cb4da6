/* permessage-deflate (RFC 7692) without context takeover, in both directions: no connection keeps zlib state, and one
 * compressed copy of a message serves everybody who negotiated the same window. Private to this library. */
#ifndef EIO_DEFLATE_H
#define EIO_DEFLATE_H

#include "eio_codec.h"

enum { EIO__DEFLATE_RESPONSE_BYTES = 128 };

/* Picks the first acceptable offer of a Sec-WebSocket-Extensions value. Returns the window bits for what the server
 * sends (9 to 15; 9 also for a peer of 8) and writes the response's value, or 0: none is acceptable. Pure. */
int eio__deflate_negotiate(struct eio_str offers, char response[EIO__DEFLATE_RESPONSE_BYTES]);

/* Compresses a message with the calling thread's stream of that window. On success *out is malloc'd and *out_size is
 * smaller than n; false: no memory, or it would not shrink. */
bool eio__deflate(const uint8_t *p, size_t n, int window_bits, int level, uint8_t **out, size_t *out_size);

/* Inflates a message of at most `limit` bytes. *out is malloc'd. 0, or negative with fault: close code 1009 above the
 * limit, 1007 for data that is not deflate. Memory grows with what comes out. */
int eio__inflate(const uint8_t *p, size_t n, size_t limit, uint8_t **out, size_t *out_size, struct eio__fault *fault);

/* Frees the calling thread's streams. */
void eio__deflate_clear(void);
#endif
