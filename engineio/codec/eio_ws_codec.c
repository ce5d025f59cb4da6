/* WebSocket frames, server side (RFC 6455, section 5): decodes what a client sends and writes the headers of what it
 * gets. Many small whole frames in one read are the case that matters: they are unmasked, checked and delivered where
 * they lie, and leave no state. Not its job: the handshake (eio_ws_accept.c), answering pings and closes, and
 * the compression itself (eio_deflate.c).
 *
 *   0                   1                   2                   3
 *   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *  +-+-+-+-+-------+-+-------------+-------------------------------+
 *  |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
 *  |I|S|S|S|  (4)  |A|     (7)     |            (16/64)            |
 *  |N|V|V|V|       |S|             |  (if payload len is 126/127)  |
 *  | |1|2|3|       |K|             |                               |
 *  +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - +
 *  |   Extended payload length continued, if payload len is 127    |
 *  + - - - - - - - - - - - - - - - +-------------------------------+
 *  |                               |          Masking-key          |
 *  +-------------------------------+-------------------------------+
 *  |      Masking-key (continued)  |         Payload data          |
 *  +---------------------------------------------------------------+ */
#include "eio_ws_partial.h"

#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define FIN EIO__WS_FIN
#define RSV 0x70
#define RSV1 0x40 /* permessage-deflate: this message is compressed (RFC 7692, section 6) */
#define OPCODE 0x0F
#define CONTROL 0x08 /* the opcode bit of control frames */
#define MASK 0x80
#define LENGTH 0x7F
#define LENGTH_16 126
#define LENGTH_64 127

#define MIN_CAPACITY_BYTES 256

/* One call of eio__ws_decode. */
struct run {
    struct eio__ws_partial **partial;
    const struct eio__ws_limits *limits;
    const struct eio__ws_events *events;
    void *ctx;
    uint8_t *p;
    size_t n, pos, base; /* base: where p stood in what was given, after a pause */
    size_t inflated;     /* for may_inflate */
    struct eio__fault *fault;
};

/* Results of the steps below: negative errors, too. */
enum { GO_ON = EIO__WS_CONSUMED, STOPPED = EIO__WS_STOPPED, PAUSED = EIO__WS_PAUSED };

static int refuse_frame(struct run *run, size_t at, uint16_t close_code, const char *why)
{
    int code = close_code == EIO__CODE_INVALID_DATA ? EIO_EUTF8
               : close_code == EIO__CODE_TOO_BIG    ? EIO_ETOOBIG
               : close_code == EIO__CODE_ERROR      ? EIO_ENOMEM
                                                    : EIO_EPROTO;
    *run->fault = (struct eio__fault){.code = code, .close_code = close_code, .at = run->base + at, .why = why};
    return code;
}

/* ------------------------------------------------------------------------------------------------------- masking */

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, 4);
    return word;
}

/* XORs p with the key, in place (section 5.3). Returns true if the result is all ASCII.
 * Ends overlap what came before them instead of going byte by byte: they are loaded first, and their key is rotated. */
static inline bool unmask(uint8_t *p, size_t n, const uint8_t mask[4])
{
    uint8_t keys[8];
    memcpy(keys, mask, 4);
    memcpy(keys + 4, mask, 4);
    uint32_t key = load32(keys), end_key = load32(keys + (n & 3));
    uint64_t key64 = (uint64_t)key << 32 | key, end_key64 = (uint64_t)end_key << 32 | end_key;
    if (n < 8) {
        uint8_t seen = 0;
        for (size_t i = 0; i < n; i++) seen |= p[i] ^= mask[i & 3];
        return seen < 0x80;
    }
    uint64_t seen;
    uint8_t *p_end = p + n;
#ifdef __SSE2__
    if (n >= 16) {
        __m128i key128 = _mm_set1_epi32((int)key);
        __m128i end = _mm_loadu_si128((const __m128i *)(const void *)(p_end - 16));
        end = _mm_xor_si128(end, _mm_set1_epi32((int)end_key));
        __m128i all = end;
        for (; p + 16 <= p_end; p += 16) {
            __m128i block = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)p), key128);
            _mm_storeu_si128((__m128i *)(void *)p, block);
            all = _mm_or_si128(all, block);
        }
        _mm_storeu_si128((__m128i *)(void *)(p_end - 16), end);
        return _mm_movemask_epi8(all) == 0;
    }
#endif
    uint64_t end = load64(p_end - 8) ^ end_key64;
    seen = end;
    for (; p + 8 <= p_end; p += 8) {
        uint64_t block = load64(p) ^ key64;
        memcpy(p, &block, 8);
        seen |= block;
    }
    memcpy(p_end - 8, &end, 8);
    return (seen & UINT64_C(0x8080808080808080)) == 0;
}

/* ------------------------------------------------------------------------------------------------------- partial */

static struct eio__ws_partial *need_partial(struct run *run)
{
    if (!*run->partial) *run->partial = calloc(1, sizeof **run->partial);
    return *run->partial;
}

void eio__ws_partial_free(struct eio__ws_partial *partial)
{
    if (!partial) return;
    eio__inflation_clear(&partial->inflation);
    free(partial->rest);
    free(partial->data);
    free(partial);
}

/* After a control frame: at rest, unless the frame came inside a message. */
static void drop_unless_in_message(struct run *run)
{
    if (!*run->partial || (*run->partial)->in_message) return;
    eio__ws_partial_free(*run->partial);
    *run->partial = NULL;
}

static int out_of_memory(struct run *run)
{
    return refuse_frame(run, run->pos, EIO__CODE_ERROR, "out of memory");
}

/* Doubling makes growth cheap; the frame's length is used to make it smaller only, so that a peer has to send bytes to
 * make us hold them. */
static int append(struct run *run, const uint8_t *p, size_t n)
{
    struct eio__ws_partial *partial = *run->partial;
    if (n == 0) return GO_ON;
    size_t needed = partial->size + n;
    if (needed > partial->capacity) {
        size_t capacity = needed > SIZE_MAX / 2 ? needed : needed * 2;
        if (capacity < MIN_CAPACITY_BYTES) capacity = MIN_CAPACITY_BYTES;
        if (capacity > run->limits->max_message_bytes) capacity = run->limits->max_message_bytes;
        size_t left = (size_t)partial->frame.left; /* includes these n */
        if (partial->frame.fin && capacity - partial->size > left) capacity = partial->size + left;
        uint8_t *data = realloc(partial->data, capacity);
        if (!data) return out_of_memory(run);
        partial->data = data;
        partial->capacity = capacity;
    }
    memcpy(partial->data + partial->size, p, n);
    partial->size = needed;
    return GO_ON;
}

/* ---------------------------------------------------------------------------------------------------- deliveries */

/* Where text went wrong; `before` is the state in front of p. Errors only: byte by byte. */
static int bad_text(struct run *run, struct base_utf8 before, const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && base_utf8_feed(&before, p + i, 1)) i++;
    return refuse_frame(run, (size_t)(p - run->p) + i, EIO__CODE_INVALID_DATA, "text is not valid UTF-8");
}

static int cut_text(struct run *run)
{
    return refuse_frame(run, run->pos - 1, EIO__CODE_INVALID_DATA, "text ends inside a character");
}

static bool close_code_allowed(unsigned code)
{
    /* Section 7.4: 1004 is reserved, 1005, 1006 and 1015 are never sent; 1012 to 1014 were registered later. */
    if (code >= 1000 && code <= 1014) return code < 1004 || code > 1006;
    return code >= 3000 && code < 5000;
}

static int deliver_control(struct run *run, uint8_t opcode, const uint8_t *p, size_t n)
{
    if (opcode == EIO__WS_CLOSE && n) {
        if (!close_code_allowed((unsigned)p[0] << 8 | p[1]))
            return refuse_frame(run, run->pos - 1, EIO__CODE_PROTOCOL, "close code is not allowed");
        if (!base_utf8_valid(p + 2, n - 2))
            return refuse_frame(run, run->pos - 1, EIO__CODE_INVALID_DATA, "close reason is not valid UTF-8");
    }
    return run->events->on_control(run->ctx, (enum eio__ws_opcode)opcode, p, n) ? STOPPED : GO_ON;
}

/* Nothing may be touched after a callback that stops: it may have freed the owner of everything. */
static int deliver_partial(struct run *run)
{
    struct eio__ws_partial *partial = *run->partial;
    uint8_t *data = partial->data, none[1];
    size_t size = partial->size;
    enum eio_kind kind = partial->kind;
    *run->partial = NULL;
    free(partial);
    int stop = run->events->on_message(run->ctx, kind, data ? data : none, size);
    free(data);
    return stop ? STOPPED : GO_ON;
}

/* ------------------------------------------------------------------------------------------------------- headers */

static const char *bad_first_byte(uint8_t byte, bool in_message, bool deflate)
{
    uint8_t opcode = byte & OPCODE;
    bool begins = opcode == EIO__WS_TEXT || opcode == EIO__WS_BINARY;
    if (byte & RSV & ~(deflate && begins ? RSV1 : 0)) return "reserved bit is set";
    if ((opcode > EIO__WS_BINARY && opcode < EIO__WS_CLOSE) || opcode > EIO__WS_PONG) return "reserved opcode";
    if (opcode & CONTROL) return byte & FIN ? NULL : "control frame is fragmented";
    if (opcode == EIO__WS_CONTINUATION) return in_message ? NULL : "continuation without a message";
    return in_message ? "new message inside a fragmented one" : NULL;
}

static const char *bad_second_byte(uint8_t opcode, uint8_t byte)
{
    uint8_t length = byte & LENGTH;
    if (!(byte & MASK)) return "client frame is not masked";
    if (opcode & CONTROL && length > EIO__WS_CONTROL_BYTES) return "control frame is too long";
    if (opcode == EIO__WS_CLOSE && length == 1) return "close frame with a one-byte code";
    return NULL;
}

static uint64_t load_length(const uint8_t *p, size_t n)
{
    uint64_t length = 0;
    for (size_t i = 0; i < n; i++) length = length << 8 | p[i];
    return length;
}

/* Reads a header of which n bytes are there; each rule is applied as soon as its bytes are. at: where h[0] lies in the
 * input, negative if an earlier call brought it. Returns its size, 0 = need more, negative = refused. */
static int parse_header(struct run *run, const uint8_t *h, size_t n, ptrdiff_t at, struct eio__ws_frame *frame)
{
    const struct eio__ws_partial *partial = *run->partial;
    bool in_message = partial && partial->in_message;
    uint8_t opcode = h[0] & OPCODE;
    const char *why = bad_first_byte(h[0], in_message, run->limits->deflate);
    if (why) return refuse_frame(run, (size_t)at, EIO__CODE_PROTOCOL, why);
    if (!(opcode & CONTROL) && (in_message ? partial->fragments : 0) >= run->limits->max_fragments)
        return refuse_frame(run, (size_t)at, EIO__CODE_POLICY, "too many fragments");
    if (n < 2) return 0;

    why = bad_second_byte(opcode, h[1]);
    if (why) return refuse_frame(run, (size_t)(at + 1), EIO__CODE_PROTOCOL, why);
    size_t extended = (h[1] & LENGTH) == LENGTH_16 ? 2 : (h[1] & LENGTH) == LENGTH_64 ? 8 : 0;
    if (extended == 8 && n > 2 && h[2] & 0x80)
        return refuse_frame(run, (size_t)(at + 2), EIO__CODE_PROTOCOL, "length has its top bit set");
    if (n < 2 + extended) return 0;

    uint64_t length = extended ? load_length(h + 2, extended) : h[1] & LENGTH;
    size_t room = run->limits->max_message_bytes - (in_message ? partial->size : 0);
    if (!(opcode & CONTROL) && length > room)
        return refuse_frame(run, (size_t)(at + 1) + extended, EIO__CODE_TOO_BIG, "message is too big");
    if (n < 6 + extended) return 0;
    *frame = (struct eio__ws_frame){.left = length, .opcode = opcode, .fin = h[0] & FIN, .compressed = h[0] & RSV1};
    memcpy(frame->mask, h + 2 + extended, 4);
    return (int)(6 + extended);
}

/* ------------------------------------------------------------------------------------------------------ payloads */

static int take_control(struct run *run, struct eio__ws_frame *frame)
{
    size_t there = run->n - run->pos, size = frame->left;
    if (there >= size) {
        uint8_t *p = run->p + run->pos;
        unmask(p, size, frame->mask);
        run->pos += size;
        drop_unless_in_message(run);
        return deliver_control(run, frame->opcode, p, size);
    }
    struct eio__ws_partial *partial = need_partial(run);
    if (!partial) return out_of_memory(run);
    partial->frame = *frame;
    partial->in_frame = true;
    return GO_ON;
}

/* A message begins or goes on with this frame, whose payload may be here or not. */
static int begin_data(struct run *run, const struct eio__ws_frame *frame)
{
    struct eio__ws_partial *partial = need_partial(run);
    if (!partial) return out_of_memory(run);
    if (!partial->in_message) {
        partial->in_message = true;
        partial->kind = frame->opcode == EIO__WS_TEXT ? EIO_TEXT : EIO_BINARY;
        partial->compressed = frame->compressed;
    }
    partial->fragments++;
    partial->frame = *frame;
    partial->in_frame = true;
    return GO_ON;
}

static int end_control(struct run *run)
{
    struct eio__ws_partial *partial = *run->partial;
    uint8_t opcode = partial->frame.opcode, control[EIO__WS_CONTROL_BYTES];
    size_t size = partial->control_size;
    memcpy(control, partial->control, size);
    partial->in_frame = false;
    partial->control_size = 0;
    drop_unless_in_message(run);
    return deliver_control(run, opcode, control, size);
}

/* Text is checked as it comes out: a bad byte fails at once. */
static bool check_inflated(struct eio__ws_partial *partial, size_t before)
{
    const struct eio__inflation *inflation = &partial->inflation;
    return partial->kind == EIO_BINARY ||
           base_utf8_feed(&partial->utf8, inflation->bytes + before, inflation->size - before);
}

/* Goes on with the inflation, and in the end puts the message in the place of its compressed form. */
static int inflate_partial(struct run *run)
{
    enum { STEP_COST_BYTES = 64 };
    struct eio__ws_partial *partial = *run->partial;
    struct eio__inflation *inflation = &partial->inflation;
    for (int more = 1; more;) {
        if (run->events->may_inflate && !run->events->may_inflate(run->ctx, run->inflated)) return PAUSED;
        size_t left = inflation->n, size = inflation->size;
        more = eio__inflation_step(inflation, run->fault);
        run->fault->at = run->base + run->pos - 1;
        if (more < 0) return more;
        size_t read = left > inflation->n ? left - inflation->n : 0;
        run->inflated += STEP_COST_BYTES + read + inflation->size - size;
        if (!check_inflated(partial, size))
            return refuse_frame(run, run->pos - 1, EIO__CODE_INVALID_DATA, "text is not valid UTF-8");
    }
    free(partial->data);
    partial->data = inflation->bytes;
    partial->size = partial->capacity = inflation->size;
    inflation->bytes = NULL;
    eio__inflation_clear(inflation);
    return GO_ON;
}

/* The message is there, maybe compressed. */
static int end_message(struct run *run)
{
    struct eio__ws_partial *partial = *run->partial;
    int result = partial->compressed ? inflate_partial(run) : GO_ON;
    if (result != GO_ON) return result;
    if (!base_utf8_complete(&partial->utf8)) return cut_text(run);
    return deliver_partial(run);
}

static int end_data(struct run *run)
{
    struct eio__ws_partial *partial = *run->partial;
    partial->in_frame = false;
    if (!partial->frame.fin) return GO_ON;
    if (partial->compressed)
        eio__inflation_init(&partial->inflation, partial->data, partial->size, run->limits->max_message_bytes);
    return end_message(run);
}

/* The next piece of the payload of the frame in *partial, down to an empty one that ends it. */
static int take_payload(struct run *run)
{
    struct eio__ws_partial *partial = *run->partial;
    struct eio__ws_frame *frame = &partial->frame;
    uint8_t *p = run->p + run->pos;
    size_t there = run->n - run->pos, n = frame->left < there ? (size_t)frame->left : there;
    bool ascii = unmask(p, n, frame->mask);
    uint8_t turned[4];
    for (size_t i = 0; i < 4; i++) turned[i] = frame->mask[(i + n) & 3];
    memcpy(frame->mask, turned, 4);

    if (frame->opcode & CONTROL) {
        memcpy(partial->control + partial->control_size, p, n);
        partial->control_size = (uint8_t)(partial->control_size + n);
    } else {
        struct base_utf8 before = partial->utf8;
        if (partial->kind == EIO_TEXT && !partial->compressed && !(ascii && base_utf8_complete(&before)) &&
            !base_utf8_feed(&partial->utf8, p, n))
            return bad_text(run, before, p, n);
        if (append(run, p, n)) return run->fault->code;
    }
    run->pos += n;
    frame->left -= n;
    if (frame->left) return GO_ON;
    return frame->opcode & CONTROL ? end_control(run) : end_data(run);
}

/* --------------------------------------------------------------------------------------------------------- steps */

/* A header that the last call did not get whole. */
static int take_kept_header(struct run *run, struct eio__ws_frame *frame)
{
    struct eio__ws_partial *partial = *run->partial;
    size_t kept = partial->header_size, there = run->n - run->pos;
    size_t n = there < EIO__WS_HEADER_BYTES - kept ? there : EIO__WS_HEADER_BYTES - kept;
    memcpy(partial->header + kept, run->p + run->pos, n);
    int size = parse_header(run, partial->header, kept + n, (ptrdiff_t)run->pos - (ptrdiff_t)kept, frame);
    if (size < 0) return size;
    run->pos += size ? (size_t)size - kept : n;
    partial->header_size = size ? 0 : (uint8_t)(kept + n);
    return size;
}

static int take_header(struct run *run, struct eio__ws_frame *frame)
{
    if (*run->partial && (*run->partial)->header_size) return take_kept_header(run, frame);
    size_t there = run->n - run->pos;
    int size = parse_header(run, run->p + run->pos, there, (ptrdiff_t)run->pos, frame);
    if (size < 0) return size;
    if (size) {
        run->pos += (size_t)size;
        return size;
    }
    struct eio__ws_partial *partial = need_partial(run);
    if (!partial) return out_of_memory(run);
    memcpy(partial->header, run->p + run->pos, there);
    partial->header_size = (uint8_t)there;
    run->pos = run->n;
    return 0;
}

/* One frame by the book, as far as it is here. */
static int take_frame(struct run *run)
{
    struct eio__ws_frame frame;
    if (!*run->partial || !(*run->partial)->in_frame) {
        int size = take_header(run, &frame);
        if (size <= 0) return size;
        int failed = frame.opcode & CONTROL ? take_control(run, &frame) : begin_data(run, &frame);
        if (failed || !*run->partial || !(*run->partial)->in_frame) return failed;
    }
    return take_payload(run);
}

/* Whole, unfragmented messages one after the other, without state. Whatever is not that is left for take_frame(). */
static int take_whole_messages(struct run *run)
{
    uint8_t *p = run->p + run->pos, *end = run->p + run->n;
    size_t max = run->limits->max_message_bytes;
    while (end - p >= 6) {
        bool text = p[0] == (FIN | EIO__WS_TEXT);
        if (!text && p[0] != (FIN | EIO__WS_BINARY)) break;
        size_t size = (size_t)(p[1] ^ MASK), header = 6;
        if (size == LENGTH_16) {
            size = (size_t)p[2] << 8 | p[3];
            header = 8;
        } else if (size > LENGTH_16) {
            break;
        }
        if (size > max || (size_t)(end - p) < header + size) break;
        uint8_t *payload = p + header;
        bool ascii = unmask(payload, size, payload - 4);
        p = payload + size;
        run->pos = (size_t)(p - run->p);
        if (text && !ascii) {
            struct base_utf8 utf8 = {0};
            if (!base_utf8_feed(&utf8, payload, size)) return bad_text(run, (struct base_utf8){0}, payload, size);
            if (!base_utf8_complete(&utf8)) return cut_text(run);
        }
        if (run->events->on_message(run->ctx, text ? EIO_TEXT : EIO_BINARY, payload, size)) return STOPPED;
    }
    return GO_ON;
}

static int decode_all(struct run *run)
{
    int result = GO_ON;
    while (result == GO_ON && run->pos < run->n) {
        if (!*run->partial) result = take_whole_messages(run);
        if (result == GO_ON && run->pos < run->n) result = take_frame(run);
    }
    return result;
}

/* Paused: behind what is kept already. */
static int keep_rest(struct run *run)
{
    struct eio__ws_partial *partial = *run->partial;
    size_t n = run->n - run->pos;
    uint8_t *rest = realloc(partial->rest, partial->rest_size + n + 1);
    if (!rest) return out_of_memory(run);
    if (!partial->rest) partial->rest_at = run->pos;
    memcpy(rest + partial->rest_size, run->p + run->pos, n);
    partial->rest = rest;
    partial->rest_size += n;
    return PAUSED;
}

int eio__ws_decode(struct eio__ws_partial **partial, const struct eio__ws_limits *limits,
                   const struct eio__ws_events *events, void *ctx, uint8_t *p, size_t n, struct eio__fault *fault)
{
    struct run run = {
        .partial = partial, .limits = limits, .events = events, .ctx = ctx, .p = p, .n = n, .fault = fault};
    if (*partial && (*partial)->rest) return keep_rest(&run);
    int result = decode_all(&run);
    return result == PAUSED ? keep_rest(&run) : result;
}

int eio__ws_resume(struct eio__ws_partial **partial, const struct eio__ws_limits *limits,
                   const struct eio__ws_events *events, void *ctx, struct eio__fault *fault)
{
    struct run run = {.partial = partial,
                      .limits = limits,
                      .events = events,
                      .ctx = ctx,
                      .p = (*partial)->rest,
                      .n = (*partial)->rest_size,
                      .base = (*partial)->rest_at,
                      .fault = fault};
    /* Taken off: the partial may go. */
    (*partial)->rest = NULL;
    (*partial)->rest_size = 0;
    int result = end_message(&run);
    if (result == GO_ON) result = decode_all(&run);
    if (result != PAUSED) {
        free(run.p);
        return result;
    }
    /* Maybe another message than before; its rest keeps its place. */
    memmove(run.p, run.p + run.pos, run.n - run.pos);
    (*partial)->rest = run.p;
    (*partial)->rest_size = run.n - run.pos;
    (*partial)->rest_at = run.base + run.pos;
    return PAUSED;
}

/* ------------------------------------------------------------------------------------------------------- sending */

size_t eio__ws_put_long_header(uint8_t *out, enum eio__ws_opcode opcode, size_t n)
{
    size_t size = eio__ws_header_size(n);
    out[0] = (uint8_t)(FIN | opcode);
    out[1] = size == 4 ? LENGTH_16 : LENGTH_64;
    uint64_t length = n;
    for (size_t i = size; i-- > 2; length >>= 8) out[i] = (uint8_t)length;
    return size;
}
