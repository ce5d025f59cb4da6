/* WebSocket frames, as a server reads and writes them (RFC 6455). No I/O: bytes in, events out.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-------+-+-------------+-------------------------------+
 *   |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
 *   |I|S|S|S|  (4)  |A|     (7)     |             (16/64)           |
 *   |N|V|V|V|       |S|             |   (if payload len==126/127)   |
 *   | |1|2|3|       |K|             |                               |
 *   +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - +
 *   |             masking key (0 or 4 bytes), then the payload      |
 *   +---------------------------------------------------------------+
 *                                             (RFC 6455, section 5.2) */
#include "eio_codec.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 14, CONTROL_MAX = 125, FIN = 0x80, RSV = 0x70, MASKED = 0x80 };

struct eio__ws_partial {
    uint8_t header[HEADER_MAX]; /* of a frame whose header is not complete */
    uint8_t header_size;
    bool in_frame;   /* a header was read, its payload is not complete */
    bool in_message; /* a fragmented message is under way */
    bool frame_fin;
    uint8_t frame_opcode;
    uint8_t message_opcode;
    uint8_t control_size; /* of the interleaved control frame so far */
    uint8_t control[CONTROL_MAX];
    uint8_t mask[4];
    uint32_t mask_at; /* bytes of this frame unmasked so far, mod 4 */
    uint64_t frame_left;
    size_t fragments;
    struct eio__utf8 utf8;
    uint8_t *message;
    size_t size, capacity;
};

struct header {
    uint8_t opcode;
    bool fin;
    uint8_t mask[4];
    uint64_t size;
};

struct decoder {
    struct eio__ws_partial **partial;
    const struct eio__ws_limits *limits;
    const struct eio__ws_events *events;
    void *ctx;
    struct eio__fault *fault;
};

static int fail(struct decoder *d, uint16_t close_code, int code, const char *why)
{
    d->fault->code = code;
    d->fault->close_code = close_code;
    d->fault->why = why;
    return code;
}

/* -------------------------------------------------------------------- mask */

static void unmask(uint8_t *p, size_t n, const uint8_t mask[4], uint32_t at)
{
    uint8_t turned[4];
    for (uint32_t i = 0; i < 4; i++) turned[i] = mask[(at + i) & 3];
    uint32_t word;
    memcpy(&word, turned, 4);
    uint64_t wide = (uint64_t)word << 32 | word;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t block;
        memcpy(&block, p + i, 8);
        block ^= wide;
        memcpy(p + i, &block, 8);
    }
    for (; i < n; i++) p[i] ^= turned[i & 3];
}

/* ------------------------------------------------------------------ header */

static int check_header(struct decoder *d, uint8_t first, uint8_t second)
{
    uint8_t opcode = first & 0x0f;
    if (first & RSV) return fail(d, 1002, EIO_EPROTO, "reserved bits are set");
    if (opcode > EIO__WS_PONG || (opcode > EIO__WS_BINARY && opcode < EIO__WS_CLOSE))
        return fail(d, 1002, EIO_EPROTO, "unknown opcode");
    if (!(second & MASKED)) return fail(d, 1002, EIO_EPROTO, "client frame is not masked");
    if (opcode >= EIO__WS_CLOSE) {
        if (!(first & FIN)) return fail(d, 1002, EIO_EPROTO, "control frame is fragmented");
        if ((second & 0x7f) > CONTROL_MAX) return fail(d, 1002, EIO_EPROTO, "control frame is too long");
        return 0;
    }
    bool in_message = *d->partial && (*d->partial)->in_message;
    if (opcode == EIO__WS_CONTINUATION && !in_message) return fail(d, 1002, EIO_EPROTO, "nothing to continue");
    if (opcode != EIO__WS_CONTINUATION && in_message)
        return fail(d, 1002, EIO_EPROTO, "new message inside a fragmented one");
    return 0;
}

static int check_size(struct decoder *d, const struct header *header)
{
    if (header->opcode >= EIO__WS_CLOSE) return 0;
    size_t before = *d->partial && (*d->partial)->in_message ? (*d->partial)->size : 0;
    if (header->size > d->limits->max_message_bytes - before)
        return fail(d, 1009, EIO_ETOOBIG, "message is larger than the limit");
    return 0;
}

/* Reads a header; returns its size, 0 for more, negative for bad. */
static int read_header(struct decoder *d, const uint8_t *p, size_t n, struct header *header)
{
    if (n < 2) return 0;
    int result = check_header(d, p[0], p[1]);
    if (result != 0) return result;
    header->opcode = p[0] & 0x0f;
    header->fin = p[0] & FIN;
    header->size = p[1] & 0x7f;
    size_t at = 2;
    if (header->size == 126) {
        if (n < 4) return 0;
        header->size = (uint64_t)p[2] << 8 | p[3];
        at = 4;
    } else if (header->size == 127) {
        if (n < 10) return 0;
        header->size = 0;
        for (size_t i = 2; i < 10; i++) header->size = header->size << 8 | p[i];
        if (header->size >> 63) return fail(d, 1002, EIO_EPROTO, "length has its top bit set");
        at = 10;
    }
    result = check_size(d, header);
    if (result != 0) return result;
    if (n < at + 4) return 0;
    memcpy(header->mask, p + at, 4);
    return (int)at + 4;
}

/* ---------------------------------------------------------------- delivery */

static bool close_code_valid(unsigned code)
{
    if (code >= 3000) return code <= 4999;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

static int deliver_control(struct decoder *d, uint8_t opcode, const uint8_t *p, size_t n)
{
    if (opcode == EIO__WS_CLOSE && n > 0) {
        if (n == 1) return fail(d, 1002, EIO_EPROTO, "close payload of one byte");
        if (!close_code_valid((unsigned)p[0] << 8 | p[1])) return fail(d, 1002, EIO_EPROTO, "invalid close code");
        if (!eio__utf8_valid(p + 2, n - 2)) return fail(d, 1007, EIO_EUTF8, "close reason is not UTF-8");
    }
    return d->events->on_control(d->ctx, (enum eio__ws_opcode)opcode, p, n) ? 1 : 0;
}

static int deliver_message(struct decoder *d, uint8_t opcode, uint8_t *p, size_t n)
{
    return d->events->on_message(d->ctx, opcode == EIO__WS_TEXT ? EIO_TEXT : EIO_BINARY, p, n) ? 1 : 0;
}

/* ----------------------------------------------------------------- partial */

static struct eio__ws_partial *partial_of(struct decoder *d)
{
    if (!*d->partial) *d->partial = calloc(1, sizeof **d->partial);
    if (!*d->partial) fail(d, 1011, EIO_ENOMEM, "out of memory");
    return *d->partial;
}

static void drop_if_idle(struct decoder *d)
{
    struct eio__ws_partial *partial = *d->partial;
    if (!partial || partial->in_frame || partial->in_message || partial->header_size) return;
    eio__ws_partial_free(partial);
    *d->partial = NULL;
}

static int append(struct decoder *d, struct eio__ws_partial *partial, const uint8_t *p, size_t n)
{
    if (n == 0) return 0;
    if (partial->size + n > partial->capacity) {
        size_t capacity = partial->capacity ? partial->capacity * 2 : 256;
        while (capacity < partial->size + n) capacity *= 2;
        uint8_t *message = realloc(partial->message, capacity);
        if (!message) return fail(d, 1011, EIO_ENOMEM, "out of memory");
        partial->message = message;
        partial->capacity = capacity;
    }
    memcpy(partial->message + partial->size, p, n);
    partial->size += n;
    return 0;
}

/* A frame that is not delivered whole begins. */
static int begin_frame(struct decoder *d, const struct header *header)
{
    struct eio__ws_partial *partial = partial_of(d);
    if (!partial) return EIO_ENOMEM;
    partial->in_frame = true;
    partial->frame_fin = header->fin;
    partial->frame_opcode = header->opcode;
    partial->frame_left = header->size;
    partial->mask_at = 0;
    memcpy(partial->mask, header->mask, 4);
    if (header->opcode >= EIO__WS_CLOSE) {
        partial->control_size = 0;
        return 0;
    }
    if (header->opcode != EIO__WS_CONTINUATION) {
        partial->in_message = true;
        partial->message_opcode = header->opcode;
        partial->fragments = 0;
        partial->utf8.state = 0;
        partial->size = 0;
    }
    if (++partial->fragments > d->limits->max_fragments) return fail(d, 1008, EIO_ETOOBIG, "too many fragments");
    return 0;
}

static int end_message(struct decoder *d, struct eio__ws_partial *partial)
{
    if (partial->message_opcode == EIO__WS_TEXT && !eio__utf8_complete(&partial->utf8))
        return fail(d, 1007, EIO_EUTF8, "text ends inside a character");
    partial->in_message = false;
    /* The callback may not find a message under way; the bytes stay ours until it returns. */
    uint8_t *message = partial->message;
    size_t size = partial->size;
    partial->message = NULL;
    partial->size = partial->capacity = 0;
    uint8_t none = 0;
    int result = deliver_message(d, partial->message_opcode, message ? message : &none, size);
    free(message);
    return result;
}

/* Payload of the frame under way. Returns what was consumed through *used. */
static int continue_frame(struct decoder *d, uint8_t *p, size_t n, size_t *used)
{
    struct eio__ws_partial *partial = *d->partial;
    size_t take = n < partial->frame_left ? n : (size_t)partial->frame_left;
    *used = take;
    unmask(p, take, partial->mask, partial->mask_at);
    partial->mask_at = (uint32_t)((partial->mask_at + take) & 3);
    partial->frame_left -= take;
    bool control = partial->frame_opcode >= EIO__WS_CLOSE;
    if (control) {
        memcpy(partial->control + partial->control_size, p, take);
        partial->control_size = (uint8_t)(partial->control_size + take);
    } else {
        if (partial->message_opcode == EIO__WS_TEXT && !eio__utf8_feed(&partial->utf8, p, take))
            return fail(d, 1007, EIO_EUTF8, "text is not UTF-8");
        int result = append(d, partial, p, take);
        if (result != 0) return result;
    }
    if (partial->frame_left > 0) return 0;
    partial->in_frame = false;
    if (control) return deliver_control(d, partial->frame_opcode, partial->control, partial->control_size);
    return partial->frame_fin ? end_message(d, partial) : 0;
}

/* ------------------------------------------------------------------ decode */

/* The common case: a whole frame that is a whole message, delivered where it lies. */
static int whole_frame(struct decoder *d, const struct header *header, uint8_t *p)
{
    size_t n = (size_t)header->size;
    unmask(p, n, header->mask, 0);
    if (header->opcode >= EIO__WS_CLOSE) return deliver_control(d, header->opcode, p, n);
    if (header->opcode == EIO__WS_TEXT && !eio__utf8_valid(p, n)) return fail(d, 1007, EIO_EUTF8, "text is not UTF-8");
    return deliver_message(d, header->opcode, p, n);
}

static bool is_whole(const struct decoder *d, const struct header *header, size_t available)
{
    (void)d;
    if (header->size > available) return false;
    return header->opcode >= EIO__WS_CLOSE || (header->fin && header->opcode != EIO__WS_CONTINUATION);
}

/* A header that came in pieces. Returns 0 when it is still not complete, 1 when a frame began, negative. */
static int finish_header(struct decoder *d, const uint8_t *p, size_t n, size_t *used)
{
    struct eio__ws_partial *partial = *d->partial;
    struct header header;
    *used = 0;
    while (*used < n) {
        partial->header[partial->header_size++] = p[(*used)++];
        int size = read_header(d, partial->header, partial->header_size, &header);
        if (size < 0) return size;
        if (size == 0) continue;
        partial->header_size = 0;
        int result = begin_frame(d, &header);
        return result < 0 ? result : 1;
    }
    return 0;
}

static int keep_header(struct decoder *d, const uint8_t *p, size_t n)
{
    struct eio__ws_partial *partial = partial_of(d);
    if (!partial) return EIO_ENOMEM;
    memcpy(partial->header, p, n);
    partial->header_size = (uint8_t)n;
    return 0;
}

/* One step: a frame, or what there is of it. */
static int step(struct decoder *d, uint8_t *p, size_t n, size_t *used)
{
    struct eio__ws_partial *partial = *d->partial;
    if (partial && partial->in_frame) return continue_frame(d, p, n, used);
    if (partial && partial->header_size) {
        int result = finish_header(d, p, n, used);
        if (result <= 0 || (*d->partial)->frame_left > 0) return result < 0 ? result : 0;
        size_t none;
        return continue_frame(d, p + *used, 0, &none);
    }
    struct header header;
    int size = read_header(d, p, n, &header);
    if (size < 0) return size;
    if (size == 0) {
        *used = n;
        return keep_header(d, p, n);
    }
    if (is_whole(d, &header, n - (size_t)size)) {
        *used = (size_t)size + (size_t)header.size;
        return whole_frame(d, &header, p + size);
    }
    int result = begin_frame(d, &header);
    if (result != 0) return result;
    result = continue_frame(d, p + size, n - (size_t)size, used);
    *used += (size_t)size;
    return result;
}

int eio__ws_decode(struct eio__ws_partial **partial, const struct eio__ws_limits *limits,
                   const struct eio__ws_events *events, void *ctx, uint8_t *p, size_t n, struct eio__fault *fault)
{
    struct decoder d = {partial, limits, events, ctx, fault};
    size_t at = 0;
    while (at < n) {
        size_t used = 0;
        int result = step(&d, p + at, n - at, &used);
        if (result < 0) fault->at = at;
        if (result != 0) return result;
        at += used;
    }
    drop_if_idle(&d);
    return 0;
}

void eio__ws_partial_free(struct eio__ws_partial *partial)
{
    if (!partial) return;
    free(partial->message);
    free(partial);
}

size_t eio__ws_partial_bytes(const struct eio__ws_partial *partial)
{
    return partial ? sizeof *partial + partial->capacity : 0;
}

size_t eio__ws_put_header(uint8_t *out, enum eio__ws_opcode opcode, size_t n)
{
    out[0] = (uint8_t)(FIN | opcode);
    if (n < 126) {
        out[1] = (uint8_t)n;
        return 2;
    }
    if (n < 65536) {
        out[1] = 126;
        out[2] = (uint8_t)(n >> 8);
        out[3] = (uint8_t)n;
        return 4;
    }
    out[1] = 127;
    for (size_t i = 0; i < 8; i++) out[2 + i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
    return 10;
}
