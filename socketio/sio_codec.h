/* The pure codecs of socketio: JSON scanner and packets. No I/O, no globals, libc only. Private to this library. */
#ifndef SIO_CODEC_H
#define SIO_CODEC_H

#include "socketio.h"

struct sio__fault {
    int code;        /* enum eio_error */
    size_t at;       /* byte offset */
    const char *why; /* English, constant */
};

/* ------------------------------------------------------------- JSON (RFC 8259, strict), one pass, not recursive */

struct sio__json_limits {
    size_t max_depth;
};
/* Checks one JSON value at p (leading and trailing whitespace is consumed). Text is checked for valid UTF-8 unless
 * `utf8_checked`. Returns the bytes consumed, negative with fault. Never reads past n, bounded stack. */
ssize_t sio__json_scan(const uint8_t *p, size_t n, const struct sio__json_limits *limits, bool utf8_checked,
                       struct sio__fault *fault);
/* Skips one value in text that was scanned before; returns its size (without surrounding whitespace). */
size_t sio__json_skip(const uint8_t *p, size_t n);
/* Decodes a scanned JSON string (quotes included) to UTF-8; lone surrogates become U+FFFD. Never longer than the
 * input. Returns the size. */
size_t sio__json_decode_text(struct eio_str quoted, char *out);
/* Size of text as a quoted JSON string, and writing it (returns the end). Invalid UTF-8 becomes U+FFFD. */
size_t sio__json_quoted_size(const char *text, size_t n);
char *sio__json_put_quoted(char *out, const char *text, size_t n);

/* ----------------------------------------------------------------- packets (socket.io-protocol v5, default parser) */

enum sio__packet_type {
    SIO__CONNECT, SIO__DISCONNECT, SIO__EVENT, SIO__ACK, SIO__CONNECT_ERROR, SIO__BINARY_EVENT, SIO__BINARY_ACK
};

#define SIO__ID_MAX 9007199254740991ull /* 2^53-1: what a JavaScript peer can count to; above: refused */

struct sio__packet_limits {
    struct sio__json_limits json;
    size_t max_attachments;
    size_t max_namespace_bytes;
};
struct sio__packet {
    enum sio__packet_type type;
    bool has_id;
    bool placeholders_in_order; /* binary: the placeholders are 0,1,2,… each once, in order of their appearance */
    uint16_t attachment_count;  /* announced; 0 for the other types */
    uint64_t id;
    struct eio_str nsp;   /* "/" if none was given; without its query */
    struct eio_str query; /* what followed '?' in it (Engine.IO 3 clients), raw */
    struct eio_str data;  /* the JSON value as it stands; {NULL,0} if there is none */
    struct eio_str name;  /* events: the first element of the array as it stands ("\"chat\"", "5") */
    struct eio_str args;  /* events: what follows it, without brackets; acks: what is between the brackets */
};
/* Decodes a text packet, checked as the reference does and stricter where its file says "must": reserved event names,
 * integer names, id and attachment digits, payload shape by type, CONNECT data must be an object or absent, placeholder
 * numbers must be integers within the announced count, trailing bytes refused. Slices point into p.
 * Text is taken as valid UTF-8 (the transport checked it). Returns 0 or negative with fault. */
int sio__packet_decode(const uint8_t *p, size_t n, const struct sio__packet_limits *limits, struct sio__packet *packet,
                       struct sio__fault *fault);

/* Rewrites `json` so that its placeholders are numbered in order of appearance; order[k] is the old number of new
 * attachment k (a number that stands twice appears twice). out: at most json.n + 20 bytes per placeholder; the caller
 * sizes it by sio__placeholder_count(). Returns the new size. Only objects that are exactly {"_placeholder":true,
 * "num":N} (in either order of keys, any whitespace) with N < attachment_count count. */
size_t sio__placeholder_count(struct eio_str json);
size_t sio__placeholder_renumber(struct eio_str json, size_t first_number, char *out, uint16_t *order, size_t order_size);
/* True with its number if the value is exactly one placeholder. */
bool sio__placeholder_parse(struct eio_str value, uint64_t *number);

/* What is to be encoded; the opposite of sio__packet. Exact size first, then the bytes. */
struct sio__outgoing {
    enum sio__packet_type type; /* EVENT and ACK become BINARY_… when attachment_count > 0 */
    bool has_id;
    uint64_t id;
    struct eio_str nsp;
    struct eio_str name; /* events: plain text, quoted here */
    struct eio_str json; /* events, acks: arguments without brackets; connect, connect_error: the value; disconnect: empty */
    size_t attachment_count;
};
size_t sio__packet_size(const struct sio__outgoing *packet);
/* Writes exactly sio__packet_size() bytes, without the Engine.IO type. */
void sio__packet_put(const struct sio__outgoing *packet, uint8_t *out);
#endif
