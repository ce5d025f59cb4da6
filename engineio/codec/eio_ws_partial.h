/* What the WebSocket decoder keeps between two reads: of a message that is not whole, or that it was paused in. Its
 * fields are the decoder's own. Private to this library. */
#ifndef EIO_WS_PARTIAL_H
#define EIO_WS_PARTIAL_H

#include "eio_deflate.h"

#include "base_utf8.h"

enum { EIO__WS_HEADER_BYTES = 14, EIO__WS_CONTROL_BYTES = 125 };

struct eio__ws_frame {
    uint64_t left; /* payload bytes still to come */
    uint8_t opcode;
    bool fin, compressed;
    uint8_t mask[4]; /* mask[0] belongs to the next payload byte */
};

struct eio__ws_partial {
    struct eio__ws_frame frame;
    bool in_frame;   /* its header is through */
    bool in_message; /* a data frame has begun and its message has not ended */
    bool compressed; /* that message is */
    uint8_t header_size, control_size;
    uint8_t header[EIO__WS_HEADER_BYTES];
    uint8_t control[EIO__WS_CONTROL_BYTES];

    enum eio_kind kind;
    struct base_utf8 utf8;
    size_t fragments;
    uint8_t *data;
    size_t size, capacity;

    struct eio__inflation inflation; /* from the message's last frame on, if it is compressed */
    uint8_t *rest;                   /* paused: the input that was not decoded; else NULL */
    size_t rest_size, rest_at;       /* and where that stood in what was given */
};

#endif
