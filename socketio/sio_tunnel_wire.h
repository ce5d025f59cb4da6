/* Messages of a tunnel: a connection's bytes between two nodes, in pieces. Private to this library. */
#ifndef SIO_TUNNEL_WIRE_H
#define SIO_TUNNEL_WIRE_H

#include <engineio_http.h>

enum sio__tunnel_type {
    SIO__TUNNEL_OPEN = 1, /* here is a connection: who sends, of whom, what was read of it */
    SIO__TUNNEL_ACCEPT,   /* it is adopted: more may come */
    SIO__TUNNEL_DATA,
    SIO__TUNNEL_WINDOW, /* so much more may be sent */
    SIO__TUNNEL_END,    /* this side sends no more */
    SIO__TUNNEL_RESET,  /* it is over, or there is no tunnel of that id */
    SIO__TUNNEL_BEAT,   /* of no tunnel: the node that sends lives */
};

enum { SIO__TUNNEL_HEAD_BYTES = 16, SIO__TUNNEL_OPEN_BYTES = 128, SIO__TUNNEL_NAME_MAX = 40 };

/* Every message but RESET and BEAT is numbered by its side of the tunnel, from 0: a gap means that something was lost.
 */
struct sio__tunnel_message {
    enum sio__tunnel_type type;
    uint64_t id;
    uint32_t number;
    uint32_t window; /* OPEN, ACCEPT: how much may be sent at first; WINDOW: how much more */
    bool secure;     /* OPEN, and the four below */
    uint8_t hops;
    struct eio_str name; /* of the node that sends; of BEAT too */
    struct eio_str address;
    const uint8_t *bytes; /* of DATA too */
    size_t size;
};

/* Writes all but the bytes, which follow. Returns the size; out has SIO__TUNNEL_HEAD_BYTES + SIO__TUNNEL_OPEN_BYTES. */
size_t sio__tunnel_encode(const struct sio__tunnel_message *message, uint8_t *out);
/* Slices of p. Returns false for a malformed message. */
bool sio__tunnel_decode(const uint8_t *p, size_t n, struct sio__tunnel_message *out);

#endif
