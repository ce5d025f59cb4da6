/* permessage-deflate (RFC 7692): negotiation, and messages one by one through streams that the thread keeps. */
#include "eio_deflate.h"

#include "eio_text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { BITS_MIN = 9, BITS_MAX = 15, MEMORY_LEVEL = 8, OUT_START_BYTES = 1024 };

/* ------------------------------------------------------------- negotiation */

/* Cuts off what stands before a separator; false at the end. */
static bool next_part(struct eio_str *rest, char separator, struct eio_str *part)
{
    if (!rest->p) return false;
    const char *end = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
    *part = eio__trim((struct eio_str){rest->p, end ? (size_t)(end - rest->p) : rest->n});
    if (end)
        *rest = (struct eio_str){end + 1, rest->n - (size_t)(end + 1 - rest->p)};
    else
        *rest = (struct eio_str){NULL, 0};
    return true;
}

struct offer {
    bool seen[4]; /* by enum parameter */
    int server_bits;
};
enum parameter { SERVER_NO_TAKEOVER, CLIENT_NO_TAKEOVER, SERVER_BITS, CLIENT_BITS, UNKNOWN };

static enum parameter parameter_named(struct eio_str name)
{
    static const char *const names[] = {"server_no_context_takeover", "client_no_context_takeover",
                                        "server_max_window_bits", "client_max_window_bits"};
    int i = 0;
    while (i < UNKNOWN && !eio_str_is(name, names[i])) i++;
    return (enum parameter)i;
}

/* "8" to "15", quoted or not (RFC 7692, section 7.1.2); 0: bad. */
static int parse_bits(struct eio_str value)
{
    if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"') value.p++, value.n -= 2;
    if (value.n == 1 && value.p[0] >= '8' && value.p[0] <= '9') return value.p[0] - '0';
    if (value.n == 2 && value.p[0] == '1' && value.p[1] >= '0' && value.p[1] <= '5') return 10 + value.p[1] - '0';
    return 0;
}

static bool take_parameter(struct offer *offer, struct eio_str text)
{
    const char *equals = memchr(text.p, '=', text.n);
    struct eio_str name = text, value = {NULL, 0};
    if (equals) {
        name = eio__trim((struct eio_str){text.p, (size_t)(equals - text.p)});
        value = eio__trim((struct eio_str){equals + 1, text.n - (size_t)(equals + 1 - text.p)});
    }
    enum parameter parameter = parameter_named(name);
    if (parameter == UNKNOWN || offer->seen[parameter]) return false;
    offer->seen[parameter] = true;
    if (parameter == SERVER_NO_TAKEOVER || parameter == CLIENT_NO_TAKEOVER) return !equals;
    if (parameter == CLIENT_BITS && !equals) return true;
    int bits = parse_bits(value);
    if (parameter == SERVER_BITS) offer->server_bits = bits;
    return bits > 0;
}

static bool take_offer(struct eio_str text, struct offer *offer)
{
    struct eio_str part;
    *offer = (struct offer){.server_bits = BITS_MAX};
    if (!next_part(&text, ';', &part) || !eio_str_is(part, "permessage-deflate")) return false;
    while (next_part(&text, ';', &part))
        if (part.n == 0 || !take_parameter(offer, part)) return false;
    return true;
}

int eio__deflate_negotiate(struct eio_str offers, char response[EIO__DEFLATE_RESPONSE_BYTES])
{
    struct eio_str text;
    struct offer offer;
    while (offers.n && next_part(&offers, ',', &text)) {
        if (text.n == 0 || !take_offer(text, &offer)) continue;
        int n = snprintf(response, EIO__DEFLATE_RESPONSE_BYTES,
                         "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
        if (offer.seen[SERVER_BITS])
            snprintf(response + n, EIO__DEFLATE_RESPONSE_BYTES - (size_t)n, "; server_max_window_bits=%d",
                     offer.server_bits);
        /* zlib makes no raw stream of 8 bits, but looks back by no more than 2^bits - 262 bytes: with 9 bits these are
         * 250, which a window of 256 holds. */
        return offer.server_bits < BITS_MIN ? BITS_MIN : offer.server_bits;
    }
    return 0;
}

/* ----------------------------------------------------------------- streams */

static _Thread_local z_stream *deflaters[BITS_MAX + 1];
static _Thread_local z_stream *inflater; /* at rest; each message that is being inflated has its own */

static void free_deflater(z_stream *stream)
{
    if (stream) deflateEnd(stream);
    free(stream);
}

static z_stream *take_deflater(int bits, int level)
{
    z_stream *stream = deflaters[bits];
    deflaters[bits] = NULL;
    if (stream) {
        deflateReset(stream);
        deflateParams(stream, level, Z_DEFAULT_STRATEGY);
        return stream;
    }
    stream = calloc(1, sizeof *stream);
    if (stream && deflateInit2(stream, level, Z_DEFLATED, -bits, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK)
        return stream;
    free(stream);
    return NULL;
}

static void give_deflater_back(z_stream *stream, int bits)
{
    if (deflaters[bits])
        free_deflater(stream);
    else
        deflaters[bits] = stream;
}

void eio__deflation_init(struct eio__deflation *deflation, const uint8_t *p, size_t n, int window_bits, int level)
{
    *deflation =
        (struct eio__deflation){.window_bits = window_bits, .level = level, .p = p, .n = n, .capacity = n + 16};
}

void eio__deflation_clear(struct eio__deflation *deflation)
{
    if (deflation->stream) give_deflater_back(deflation->stream, deflation->window_bits);
    free(deflation->bytes);
    *deflation = (struct eio__deflation){0};
}

static bool begin_deflation(struct eio__deflation *deflation)
{
    if (deflation->capacity > UINT32_MAX / 2) return false;
    deflation->bytes = malloc(deflation->capacity);
    deflation->stream = deflation->bytes ? take_deflater(deflation->window_bits, deflation->level) : NULL;
    return deflation->stream;
}

int eio__deflation_step(struct eio__deflation *deflation)
{
    if (!deflation->stream && !begin_deflation(deflation)) return EIO_ENOMEM;
    z_stream *stream = deflation->stream;
    size_t given = deflation->n < EIO__DEFLATION_STEP_BYTES ? deflation->n : EIO__DEFLATION_STEP_BYTES;
    size_t room = deflation->capacity - deflation->size;
    bool is_last = given == deflation->n;
    stream->next_in = (z_const Bytef *)(uintptr_t)deflation->p;
    stream->avail_in = (uInt)given;
    stream->next_out = deflation->bytes + deflation->size;
    stream->avail_out = (uInt)room;
    int result = deflate(stream, is_last ? Z_SYNC_FLUSH : Z_NO_FLUSH);
    if (result != Z_OK || stream->avail_in > 0 || stream->avail_out == 0) return EIO_ETOOBIG;
    deflation->size += room - stream->avail_out;
    if (given) deflation->p += given;
    deflation->n -= given;
    if (!is_last) return 1;
    /* The four bytes 00 00 ff ff of the flush are left out (RFC 7692, section 7.2.1). */
    size_t before = deflation->capacity - 16;
    if (deflation->size < 5 || deflation->size - 4 >= before) return EIO_ETOOBIG;
    deflation->size -= 4;
    return 0;
}

static int set_fault(struct eio__fault *fault, uint16_t close_code, int code, const char *why)
{
    *fault = (struct eio__fault){.code = code, .close_code = close_code, .why = why};
    return code;
}

static z_stream *take_inflater(void)
{
    z_stream *stream = inflater;
    inflater = NULL;
    if (stream) {
        inflateReset(stream);
        return stream;
    }
    stream = calloc(1, sizeof *stream);
    if (stream && inflateInit2(stream, -BITS_MAX) == Z_OK) return stream;
    free(stream);
    return NULL;
}

static void free_inflater(z_stream *stream)
{
    if (stream) inflateEnd(stream);
    free(stream);
}

static void give_inflater_back(z_stream *stream)
{
    if (inflater)
        free_inflater(stream);
    else
        inflater = stream;
}

void eio__inflation_init(struct eio__inflation *inflation, const uint8_t *p, size_t n, size_t limit)
{
    *inflation = (struct eio__inflation){.p = p, .n = n, .limit = limit};
}

void eio__inflation_clear(struct eio__inflation *inflation)
{
    give_inflater_back(inflation->stream);
    free(inflation->bytes);
    *inflation = (struct eio__inflation){0};
}

/* Room for more output, at most one byte above the limit so that its crossing is seen. */
static bool grow_output(struct eio__inflation *inflation)
{
    size_t capacity = inflation->capacity ? inflation->capacity * 2 : OUT_START_BYTES;
    if (capacity > inflation->limit + 1) capacity = inflation->limit + 1;
    uint8_t *bytes = realloc(inflation->bytes, capacity);
    if (!bytes) return false;
    inflation->bytes = bytes;
    inflation->capacity = capacity;
    return true;
}

static size_t step_bytes(size_t n)
{
    return n < EIO__INFLATION_STEP_BYTES ? n : EIO__INFLATION_STEP_BYTES;
}

int eio__inflation_step(struct eio__inflation *inflation, struct eio__fault *fault)
{
    static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};
    if (!inflation->stream && !(inflation->stream = take_inflater()))
        return set_fault(fault, EIO__CODE_ERROR, EIO_ENOMEM, "out of memory");
    if (inflation->size == inflation->capacity && !grow_output(inflation))
        return set_fault(fault, EIO__CODE_ERROR, EIO_ENOMEM, "out of memory");
    z_stream *stream = inflation->stream;
    size_t given = step_bytes(inflation->n), room = step_bytes(inflation->capacity - inflation->size);
    stream->next_in = (z_const Bytef *)(uintptr_t)inflation->p;
    stream->avail_in = (uInt)given;
    stream->next_out = inflation->bytes + inflation->size;
    stream->avail_out = (uInt)room;
    int result = inflate(stream, Z_SYNC_FLUSH);
    given -= stream->avail_in;
    if (given) inflation->p += given;
    inflation->n -= given;
    inflation->size += room - stream->avail_out;
    if (inflation->size > inflation->limit)
        return set_fault(fault, EIO__CODE_TOO_BIG, EIO_ETOOBIG, "message is larger than the limit");
    if (result == Z_STREAM_END) {
        /* A final block inside a message: what follows starts anew (RFC 7692, section 7.2.3.5). */
        if (inflation->n == 0) return 0;
        inflateReset(stream);
        return 1;
    }
    bool is_stuck = result == Z_BUF_ERROR && stream->avail_in > 0 && stream->avail_out > 0;
    if ((result != Z_OK && result != Z_BUF_ERROR) || is_stuck)
        return set_fault(fault, EIO__CODE_INVALID_DATA, EIO_EPROTO, "corrupt compressed data");
    if (inflation->n > 0 || stream->avail_out == 0) return 1;
    if (inflation->in_tail) return 0;
    inflation->in_tail = true;
    inflation->p = tail;
    inflation->n = sizeof tail;
    return 1;
}

void eio__deflate_clear(void)
{
    for (int bits = 0; bits <= BITS_MAX; bits++) {
        free_deflater(deflaters[bits]);
        deflaters[bits] = NULL;
    }
    free_inflater(inflater);
    inflater = NULL;
}
