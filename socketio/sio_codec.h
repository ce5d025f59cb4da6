/* The pure codecs of socketio: packets, and JSON by base_json.h. No I/O, no globals, libc only but for
 * sio__json_tree(). Private to this library. */
#ifndef SIO_CODEC_H
#define SIO_CODEC_H

#include "base_json.h"
#include "socketio.h"

#include <string.h>
#include <sys/types.h>

struct sio__fault {
    int code;        /* enum eio_error */
    size_t at;       /* byte offset */
    const char *why; /* English, constant */
    uint8_t limit;   /* enum sio_limit, with EIO_ETOOBIG */
};

/* ------------------------------------------------- JSON: base_json.h in this library's types */

#define SIO__JSON_DEPTH_MAX BASE_JSON_DEPTH_MAX

struct sio__json_limits {
    size_t max_depth; /* arrays and objects within each other; 0: none at all */
};
/* Fills in the fault, its `limit` too, and returns its code. */
ssize_t sio__json_fail(const struct base_json_fault *from, struct sio__fault *fault);
static inline ssize_t sio__json_scan(const uint8_t *p, size_t n, const struct sio__json_limits *limits,
                                     bool utf8_checked, struct sio__fault *fault)
{
    struct base_json_fault found;
    ssize_t size = base_json_scan(p, n, limits->max_depth, utf8_checked, &found);
    return size < 0 ? sio__json_fail(&found, fault) : size;
}
static inline ssize_t sio__json_scan_named(const uint8_t *p, size_t n, const struct sio__json_limits *limits,
                                           struct base_json_named *named, struct sio__fault *fault)
{
    struct base_json_fault found;
    ssize_t size = base_json_scan_named(p, n, limits->max_depth, named, &found);
    return size < 0 ? sio__json_fail(&found, fault) : size;
}
/* Pieces of an argument, for what is built often. */
void sio__builder_append(struct sio_builder *builder, const char *text, size_t n);
void sio__builder_put_unsigned(struct sio_builder *builder, uint64_t value);
/* Makes room for n more bytes, so that less is measured. */
void sio__builder_reserve(struct sio_builder *builder, size_t n);
static inline void sio__put_bytes(struct sio_builder *builder, const char *p, size_t n)
{
    if (builder->error || n > builder->capacity - builder->size) {
        sio__builder_append(builder, p, n);
        return;
    }
    memcpy(builder->json + builder->size, p, n);
    builder->size += n;
}
#define sio__put_literal(builder, text) sio__put_bytes(builder, "" text, sizeof text - 1)

static inline struct base_str sio__base_str(struct eio_str text)
{
    return (struct base_str){text.p, text.n};
}
static inline struct eio_str sio__eio_str(struct base_str text)
{
    return (struct eio_str){text.p, text.n};
}
static inline struct eio_str sio__json_trim(struct eio_str text)
{
    return sio__eio_str(base_json_trim(sio__base_str(text)));
}
static inline struct eio_str sio__json_next(struct eio_str *list)
{
    return sio__eio_str(base_json_take(&list->p, &list->n));
}
/* jansson's tree of a scanned value; the caller owns it. Whatever was accepted becomes one: lone surrogates are U+FFFD,
 * integers above 64 bits reals, numbers beyond a double null (as JavaScript writes them). NULL: out of memory. */
json_t *sio__json_tree(struct eio_str value);
static inline size_t sio__json_decode_text(struct eio_str quoted, char *out)
{
    return base_json_decode(sio__base_str(quoted), out);
}

/* ----------------------------------------------------------------- packets (socket.io-protocol v5, default parser) */

enum sio__packet_type {
    SIO__CONNECT,
    SIO__DISCONNECT,
    SIO__EVENT,
    SIO__ACK,
    SIO__CONNECT_ERROR,
    SIO__BINARY_EVENT,
    SIO__BINARY_ACK
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
    bool name_is_plain;         /* events: it is a string without escapes */
    bool placeholders_in_order; /* binary: the placeholders are 0,1,2,… each once, in order of their appearance */
    uint16_t attachment_count;  /* announced; 0 for the other types */
    uint64_t id;
    struct eio_str nsp;   /* "/" if none was given; without its query */
    struct eio_str query; /* what followed '?' in it (Engine.IO 3 clients), raw */
    struct eio_str data;  /* the JSON value as it stands; {NULL,0} if absent */
    struct eio_str name;  /* events: the first element of the array as it stands ("\"chat\"", "5") */
    struct eio_str args;  /* events: what follows it, without brackets; acks: what is between the brackets */
};
/* Decodes a text packet, checked as the reference does and stricter where its file says "must": reserved event names,
 * integer names, id and attachment digits, payload shape by type, CONNECT data must be an object or absent, placeholder
 * numbers must be integers within the announced count, trailing bytes refused. Slices point into p.
 * Text is taken as valid UTF-8 (the transport checked it). Returns 0 or negative with fault: EIO_EPROTO, or EIO_ETOOBIG
 * if one of the limits was passed.
 *  - An event without any data (`42`, `451-`) succeeds with name.p == NULL: to be ignored, after its attachments.
 *  - Binary packets: an object with "_placeholder":true that has other keys than "num", another number than plain
 * digits, or spells its keys with escapes is refused: passed on, it would make other peers refuse the packet. So are
 * more placeholders than max_attachments, since every one becomes an attachment when the packet is passed on.
 *  - Whitespace between the head and the data is JSON's. (The reference takes it for digits of the id: `42 ["a"]` has
 *    the id 0 there, `421 2["a"]` the id NaN and is refused here.)
 *  - With a query, the name as it was sent (what Engine.IO 4 means by it) is nsp.p, nsp.n + 1 + query.n.
 *    max_namespace_bytes is for the name alone. */
int sio__packet_decode(const uint8_t *p, size_t n, const struct sio__packet_limits *limits, struct sio__packet *packet,
                       struct sio__fault *fault);
/* The same for the data alone ({NULL,0}: no data) of a packet whose type is set: checks it and sets data, name
 * and args. */
int sio__packet_decode_data(struct eio_str json, const struct sio__packet_limits *limits, struct sio__packet *packet,
                            struct sio__fault *fault);

/* A placeholder is an object that is exactly {"_placeholder":true,"num":N}: either order of keys, any whitespace, no
 * escapes, N in plain digits and below 65536. All of the following take scanned text: a value, or several with commas.
 */
struct sio__placeholder {
    size_t at, size; /* where it stands in the text */
    uint16_t number;
};
enum sio__placeholder_kind {
    SIO__PLACEHOLDER_NONE,
    SIO__PLACEHOLDER_GOOD,
    SIO__PLACEHOLDER_BAD /* JavaScript peers take it for one, but it is not of that form; found->at is within it */
};
/* Looks for the next one from byte `from` on; go on at found->at + found->size. */
enum sio__placeholder_kind sio__placeholder_next(struct eio_str json, size_t from, struct sio__placeholder *found);

/* Rewrites `json` so that its placeholders are numbered from first_number on in order of appearance; order[k] is the
 * old number of new attachment k (a number that stands twice appears twice). out: at most json.n + 20 bytes per
 * placeholder; the caller sizes it by sio__placeholder_count(). Returns the new size. Placeholders past order_size are
 * left as they are. */
size_t sio__placeholder_count(struct eio_str json);
size_t sio__placeholder_renumber(struct eio_str json, size_t first_number, char *out, uint16_t *order,
                                 size_t order_size);
/* True with its number if the value is exactly one placeholder. */
bool sio__placeholder_parse(struct eio_str value, uint64_t *number);

/* What is to be encoded; the opposite of sio__packet. Exact size first, then the bytes. */
struct sio__outgoing {
    enum sio__packet_type type; /* EVENT and ACK become BINARY_… when attachment_count > 0 */
    bool has_id;
    uint64_t id;
    struct eio_str nsp;
    struct eio_str name; /* events: plain text, quoted here */
    struct eio_str
        json; /* events, acks: arguments without brackets; connect, connect_error: the value; disconnect: empty */
    size_t attachment_count;
};
size_t sio__packet_size(const struct sio__outgoing *packet);
/* Writes exactly sio__packet_size() bytes, without the Engine.IO type. */
void sio__packet_put(const struct sio__outgoing *packet, uint8_t *out);
/* True if an event without an offset would be misunderstood: clients take text at its end for one. */
bool sio__args_end_with_text(struct sio_args args);

#endif
