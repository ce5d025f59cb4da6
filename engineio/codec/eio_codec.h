/* The pure codecs of engineio: no I/O, no globals, libc only (but OpenSSL and libsodium for the handshake key). Private
 * to this library.
 * Return convention: bytes consumed, 0 = more input is needed, negative = bad, with eio__fault filled in. */
#ifndef EIO_CODEC_H
#define EIO_CODEC_H

#include "base_utf8.h"
#include "engineio_http.h"

#include <sys/types.h>

/* Close codes of WebSockets (RFC 6455, section 7.4) that are sent of this side's own accord. */
enum {
    EIO__CODE_NORMAL = 1000,
    EIO__CODE_GOING_AWAY = 1001,
    EIO__CODE_PROTOCOL = 1002,
    EIO__CODE_INVALID_DATA = 1007,
    EIO__CODE_POLICY = 1008,
    EIO__CODE_TOO_BIG = 1009,
    EIO__CODE_ERROR = 1011,
    EIO__CODE_TRY_LATER = 1013,
};

/* Why a codec gave up. `code` is an enum eio_error; `close_code` a WebSocket close code or an HTTP status. */
struct eio__fault {
    int code;
    uint16_t close_code;
    uint8_t limit;   /* enum eio_limit, where the gate met one: EIO_ETOOBIG */
    size_t at;       /* byte offset in what was given */
    const char *why; /* English, constant */
};

/* --------------------------------------------------------------- WebSocket frames (RFC 6455, server side) */

enum eio__ws_opcode {
    EIO__WS_CONTINUATION = 0x0,
    EIO__WS_TEXT = 0x1,
    EIO__WS_BINARY = 0x2,
    EIO__WS_CLOSE = 0x8,
    EIO__WS_PING = 0x9,
    EIO__WS_PONG = 0xA,
};

/* What a decoder keeps between reads; NULL pointer at rest, so that an idle connection pays one pointer.
 * Made on the first incomplete frame or message, freed when the message is complete. */
struct eio__ws_partial;

struct eio__ws_limits {
    size_t max_message_bytes; /* also after inflating */
    size_t max_fragments;
    bool deflate; /* permessage-deflate was negotiated: messages may be compressed */
};

struct eio__ws_events {
    /* A whole message; text has been checked. The bytes are in the caller's buffer or in the partial: valid during
     * the call, and may be overwritten by it. Non-zero stops decoding (the connection is gone). */
    int (*on_message)(void *ctx, enum eio_kind kind, uint8_t *p, size_t n);
    /* Ping, pong or close, n <= 125; a close payload has been checked (length, code, UTF-8 of the reason). */
    int (*on_control)(void *ctx, enum eio__ws_opcode opcode, const uint8_t *p, size_t n);
    /* Asked before each step of inflating a message; `done`: bytes that this call has inflated or read for that, and
     * something for each step. False pauses. NULL: as long as it takes. */
    bool (*may_inflate)(void *ctx, size_t done);
};

enum { EIO__WS_CONSUMED = 0, EIO__WS_STOPPED = 1, EIO__WS_PAUSED = 2 };
/* Decodes all bytes given, unmasking in place. Whole frames are delivered without a copy; the rest is kept in
 * *partial, whose memory grows with the bytes that arrived, never with what a length field claims.
 * Text is checked as it arrives: a bad byte fails at once, not at the end of the frame.
 * Returns EIO__WS_CONSUMED; EIO__WS_STOPPED when a callback stopped it; EIO__WS_PAUSED when may_inflate did: then
 * *partial keeps the bytes that were not decoded, and more that is given, until eio__ws_resume(); negative with `fault`
 * (close_code 1002, 1007, 1008 too many fragments, 1009). After that the decoder must not be fed again. */
int eio__ws_decode(struct eio__ws_partial **partial, const struct eio__ws_limits *limits,
                   const struct eio__ws_events *events, void *ctx, uint8_t *p, size_t n, struct eio__fault *fault);
/* Goes on after a pause, with the same limits, events and results. A fault's `at` counts from where the input began
 * that was paused in. */
int eio__ws_resume(struct eio__ws_partial **partial, const struct eio__ws_limits *limits,
                   const struct eio__ws_events *events, void *ctx, struct eio__fault *fault);
void eio__ws_partial_free(struct eio__ws_partial *partial);

/* Size of the header of a server's frame with n payload bytes: 2, 4 or 10. */
static inline size_t eio__ws_header_size(size_t n)
{
    return n < 126 ? 2 : n < 65536 ? 4 : 10;
}
/* Writes an unmasked FIN header; returns its size. */
enum { EIO__WS_FIN = 0x80 };
size_t eio__ws_put_long_header(uint8_t *out, enum eio__ws_opcode opcode, size_t n);
static inline size_t eio__ws_put_header(uint8_t *out, enum eio__ws_opcode opcode, size_t n)
{
    if (n >= 126) return eio__ws_put_long_header(out, opcode, n);
    out[0] = (uint8_t)(EIO__WS_FIN | opcode);
    out[1] = (uint8_t)n;
    return 2;
}
/* Sec-WebSocket-Accept for a key (28 characters and a terminator). */
void eio__ws_accept(struct eio_str key, char out[29]);
/* True if it is base64 of 16 bytes. */
bool eio__ws_key_valid(struct eio_str key);

/* What the handshake of a WebSocket asks for; slices of the head. */
struct eio__ws_offer {
    struct eio_str key;
    struct eio_str protocol; /* the first subprotocol; p NULL: none */
    bool has_version;        /* 13, once */
};
/* Reads and checks it. Returns NULL, or what is wrong with it (English, constant). The version is the caller's to look
 * at first: its answer is another. */
const char *eio__ws_offer_read(const struct eio_http_head *head, struct eio__ws_offer *offer);
/* Reads one that was checked. */
void eio__ws_offer_take(const struct eio_http_head *head, struct eio__ws_offer *offer);
/* The grammar of one Sec-WebSocket-Extensions value; empty elements are passed over. */
bool eio__ws_extensions_valid(struct eio_str list);
/* The fields of that name, one after the other: *i is 0 at first. */
bool eio__ws_next_extensions(const struct eio_http_head *head, size_t *i, struct eio_str *list);

/* ------------------------------------------------------------------------------------------ base64 (RFC 4648) */

/* Decodes in place: what is written never passes what is read. Returns the size. Nothing is refused, as with Node's
 * Buffer.from(text, "base64"): both alphabets, padding right, wrong or missing, anything else between digits (the line
 * feeds of java.util and android.util) skipped. */
size_t eio__base64_decode(uint8_t *p, size_t n);
size_t eio__base64_size(size_t n);
/* Writes it with padding; returns the end. */
uint8_t *eio__base64_put(uint8_t *out, const uint8_t *p, size_t n);

/* ---------------------------------------------------------- polling payloads (engine.io-protocol v4, "Payload") */

enum eio__packet_type {
    EIO__OPEN = '0',
    EIO__CLOSE = '1',
    EIO__PING = '2',
    EIO__PONG = '3',
    EIO__MESSAGE = '4',
    EIO__UPGRADE = '5',
    EIO__NOOP = '6',
};
struct eio__packet {
    enum eio__packet_type type;
    enum eio_kind kind; /* binary only for messages */
    const uint8_t *p;   /* after the type; decoded bytes if binary */
    size_t n;
};
/* One packet as text, alone in a WebSocket's frame or in a payload. Base64 ("b…") is decoded in place. Returns 1,
 * negative with fault. */
int eio__packet_decode(uint8_t *p, size_t n, struct eio__packet *packet, struct eio__fault *fault);
/* Takes the next packet of a body: *p, *n are advanced past it and its separator. Binary is decoded into the body
 * itself (base64 shrinks). Returns 1, 0 at the end, negative on a bad packet (unknown type, empty packet; text is
 * checked by the caller for the whole body). */
int eio__payload_next(uint8_t **p, size_t *n, struct eio__packet *packet, struct eio__fault *fault);
/* Writes a packet of a polling payload, without a separator: 1 + n bytes, or 1 + base64 length ("b…"). Returns the end.
 */
uint8_t *eio__payload_put(uint8_t *out, enum eio__packet_type type, enum eio_kind kind, const uint8_t *p, size_t n);

/* ------------------------------------------------------ Engine.IO 3 (engine.io-protocol v3), and JSONP of both */

/* UTF-16 code units of valid UTF-8: what a JavaScript peer calls the length of a text. */
size_t eio__utf16_size(const uint8_t *p, size_t n);
/* One packet: text, or a WebSocket's or payload's binary form (a type byte 0 to 6 first). Base64 ("b4…") is decoded in
 * place. Returns 1, negative with fault. */
int eio__packet3_decode(uint8_t *p, size_t n, enum eio_kind kind, struct eio__packet *packet, struct eio__fault *fault);
/* As eio__payload_next(), for "<length>:<packet>" (valid UTF-8) or the binary form. */
int eio__payload3_next(uint8_t **p, size_t *n, bool binary_form, struct eio__packet *packet, struct eio__fault *fault);
/* At most so many bytes for a packet in a payload; writing it (binary as base64 unless binary_form); returns the end.
 */
size_t eio__payload3_bound(enum eio_kind kind, size_t n);
uint8_t *eio__payload3_put(uint8_t *out, bool binary_form, const struct eio__packet *packet);

/* A payload as a JSONP response, ___eio[<digits of index>]("…"); at most eio__jsonp_bound() bytes. */
size_t eio__jsonp_bound(size_t n);
size_t eio__jsonp_put(char *out, struct eio_str index, const uint8_t *p, size_t n);
/* Undoes the client's escaping of newlines in a decoded form value, in place; returns the size. */
size_t eio__jsonp_unescape(char *text, size_t n);

/* ------------------------------------------------------------------------ the request gate (RFC 9112, strict) */

/* tchar of RFC 9110 section 5.6.2, mapped to lower case; 0: not allowed in a token. */
extern const uint8_t eio__token[256];
/* Walks a comma-separated list; elements are trimmed, empty ones skipped (RFC 9110 section 5.6.1). */
bool eio__list_next(struct eio_str *list, struct eio_str *element);

struct eio__gate_limits {
    size_t max_head_bytes, max_line_bytes, max_fields;
};
/* Where a header stands in the text of a head; they follow its struct. */
struct eio_http_field {
    uint16_t name, name_size, value, value_size;
};
static inline struct eio_http_field *eio__http_head_fields(const struct eio_http_head *head)
{
    return (struct eio_http_field *)(uintptr_t)(head + 1);
}
enum { EIO__ADDRESS_CHARS = 46 }; /* with its end */
/* Of a head that was just made: room for the address. */
static inline char *eio__http_head_address(struct eio_http_head *head)
{
    return (char *)(uintptr_t)head->address;
}

/* Parses a request head. Accepts origin-form and absolute-form (whose authority replaces Host), HTTP/1.0 and 1.1, the
 * methods of enum eio_http_method, Host required on 1.1; refuses everything ambiguous: CL with TE, repeated or odd
 * CL, any TE but one "chunked", whitespace before a colon, obs-fold, control bytes, bare CR or LF, other versions.
 * On success *take_head is one malloc'd block owned by the caller (free()), address and issued_ms unset.
 * Returns the size of the head, 0 = need more (sooner or later a limit), negative with fault.close_code = the HTTP
 * status 400, 408.., 413, 414, 417, 431, 501, 505. */
struct eio__gate_head {
    struct eio_http_head *take_head;
    int64_t content_length; /* -1: chunked */
    bool expect_continue;
    bool upgrade_websocket; /* GET, Connection: upgrade, Upgrade: websocket */
    uint8_t minor_version;
};
ssize_t eio__gate_parse(const uint8_t *p, size_t n, const struct eio__gate_limits *limits, struct eio__gate_head *out,
                        struct eio__fault *fault);

/* Which bytes of a head were looked at already: tells cheaply whether a parse can tell anything new, so that a head
 * that arrives byte by byte is not parsed at each of them. Zero at the start of a head. */
struct eio__gate_scan {
    uint32_t at, line, lines;
};
/* p, n: the head from its start. True if eio__gate_parse() is to be called now. */
bool eio__gate_scan(struct eio__gate_scan *scan, const uint8_t *p, size_t n, const struct eio__gate_limits *limits);

/* De-chunking, resumable. Trailers are parsed, bounded and dropped; chunk extensions are bounded and ignored. */
struct eio__chunked {
    uint64_t left;
    uint32_t line_bytes, trailer_bytes;
    uint32_t pieces; /* of data, up to now: a chunk, or a part of one */
    uint8_t state;
};
/* Consumes from p and copies data to out (never more than was consumed). Returns bytes consumed; *done when the last
 * chunk and its trailers are through. Negative with fault. */
ssize_t eio__chunked_feed(struct eio__chunked *chunked, const uint8_t *p, size_t n, uint8_t *out, size_t *out_size,
                          bool *done, struct eio__fault *fault);
/* -------------------------------------------------------------- handovers between processes */

enum { EIO__HANDOVER_HEAD_BYTES = 64 };
/* What precedes the bytes of a handover. */
void eio__handover_encode(const struct eio_http_handover *handover, uint8_t out[EIO__HANDOVER_HEAD_BYTES]);
/* The same back, for a record with so many bytes behind it; neither they nor the descriptor are filled in. */
bool eio__handover_decode(const uint8_t head[EIO__HANDOVER_HEAD_BYTES], size_t size, struct eio_http_handover *out);

#endif
