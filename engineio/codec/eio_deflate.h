/* permessage-deflate (RFC 7692) without context takeover, in both directions: no connection keeps zlib state, and one
 * compressed copy of a message serves everybody who negotiated the same window. Private to this library. */
#ifndef EIO_DEFLATE_H
#define EIO_DEFLATE_H

#include "eio_codec.h"

enum { EIO__DEFLATE_RESPONSE_BYTES = 128 };

/* Picks the first acceptable offer of a Sec-WebSocket-Extensions value. Returns the window bits for what the server
 * sends (9 to 15; 9 also for a peer of 8) and writes the response's value, or 0: none is acceptable. Pure. */
int eio__deflate_negotiate(struct eio_str offers, char response[EIO__DEFLATE_RESPONSE_BYTES]);

/* A message that is being compressed, step by step: what is left of it (borrowed), and what came out. All zero: nothing
 * is held. */
struct eio__deflation {
    struct z_stream_s *stream; /* its own while it lasts */
    int window_bits, level;
    const uint8_t *p;
    size_t n;
    uint8_t *bytes;
    size_t size, capacity;
};
void eio__deflation_init(struct eio__deflation *deflation, const uint8_t *p, size_t n, int window_bits, int level);
/* One step: reads at most EIO__DEFLATION_STEP_BYTES. 1: there is more to do, 0: the message is complete and has become
 * smaller; negative: it does not shrink, or no memory. */
enum { EIO__DEFLATION_STEP_BYTES = 16384 };
int eio__deflation_step(struct eio__deflation *deflation);
/* Frees what it holds, except what the caller took: bytes is NULL then. */
void eio__deflation_clear(struct eio__deflation *deflation);

/* A message that is being inflated, step by step: what is there of it so far, and what is left of its compressed form
 * (borrowed). All zero: nothing is held. */
struct eio__inflation {
    struct z_stream_s *stream; /* its own while it lasts */
    const uint8_t *p;
    size_t n, limit;
    bool in_tail; /* what is left is the end that senders leave out */
    uint8_t *bytes;
    size_t size, capacity;
};
void eio__inflation_init(struct eio__inflation *inflation, const uint8_t *p, size_t n, size_t limit);
/* One step: reads at most EIO__INFLATION_STEP_BYTES and writes as many. 1: there is more to do, 0: the message is
 * complete, negative with fault: close code 1009 as soon as it passes the limit, 1007 for data that is not deflate.
 * Memory grows with what comes out. */
enum { EIO__INFLATION_STEP_BYTES = 16384 };
int eio__inflation_step(struct eio__inflation *inflation, struct eio__fault *fault);
/* Frees what it holds, but for what the caller took: bytes is NULL then. */
void eio__inflation_clear(struct eio__inflation *inflation);

/* Frees the calling thread's streams. */
void eio__deflate_clear(void);
#endif
