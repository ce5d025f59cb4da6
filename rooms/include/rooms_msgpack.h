/* Converts between messages as rooms.h has them (JSON text with placeholders, and attachments) and msgpack, in the
 * dialect of notepack.io, which Socket.IO's adapters and its msgpack parser use. Pure: no I/O, no state. LC_NUMERIC
 * must be that of C, as it is unless the program calls setlocale(). */
#ifndef ROOMS_MSGPACK_H
#define ROOMS_MSGPACK_H

#include "rooms.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ROOMS_MSGPACK_DEPTH_MAX 1024 /* arrays and maps within each other; a larger max_depth counts as this */

/* What is refused. */
struct rooms_msgpack_limits {
    size_t max_depth;       /* arrays and maps within each other; 0: none at all */
    size_t max_attachments; /* at most 65536: what placeholders can number */
};
/* Why something was refused. */
struct rooms_msgpack_fault {
    size_t at;       /* byte offset, of the value that was refused or near it */
    const char *why; /* English, constant */
};
/* What was decoded. Attachments are slices of the input, numbered in order of appearance. */
struct rooms_decoded {
    char *json; /* not terminated */
    size_t json_size, json_capacity;
    struct rooms_bytes *attachments;
    size_t attachment_count, attachment_capacity;
};
/* Decodes the one value at p, and not what follows it. Returns the bytes it takes, or with fault ROOMS_EINVAL,
 * ROOMS_ELIMIT (a limit was exceeded), ROOMS_ENOMEM; after an error there is nothing to clear. Memory is allocated for
 * what was read, never for what a size claims: at most some 6 bytes for each byte, and 64 for an attachment.
 * - bin, and extension 0 of a variable size (ArrayBuffer of older versions): an attachment.
 * - Timestamps (extension -1, or 0 of 8 bytes: milliseconds): the text that Date.prototype.toJSON() returns, or null.
 * - undefined (d4 00 xx): left out of maps, else null. NaN and infinities: null.
 * - Other extensions: [type, attachment].
 * - Keys: strings, or integers, which become strings; others are refused. Duplicate keys are kept: JSON readers take
 *   the last.
 * - Strings that are not UTF-8 are refused. Half a surrogate pair encoded as three bytes becomes \\ud800 and the like.
 * - A map with "_placeholder":true is refused if there are attachments: it could not be distinguished from theirs. */
ROOMS_API long rooms_msgpack_decode(const uint8_t *p, size_t n, const struct rooms_msgpack_limits *limits,
                                    struct rooms_decoded *decoded, struct rooms_msgpack_fault *fault);
ROOMS_API void rooms_decoded_clear(struct rooms_decoded *decoded);

/* Writes msgpack. Errors stick (ROOMS_ENOMEM, ROOMS_EINVAL, ROOMS_ELIMIT); bytes are not to be used then. */
struct rooms_packer {
    uint8_t *bytes;
    size_t size, capacity;
    int error;
};
ROOMS_API void rooms_packer_init(struct rooms_packer *packer);
ROOMS_API void rooms_packer_clear(struct rooms_packer *packer);
/* The head of an array or map; that many elements or pairs follow. */
ROOMS_API void rooms_pack_array(struct rooms_packer *packer, size_t count);
ROOMS_API void rooms_pack_map(struct rooms_packer *packer, size_t count);
ROOMS_API void rooms_pack_text(struct rooms_packer *packer, const char *text, size_t size); /* UTF-8 */
ROOMS_API void rooms_pack_binary(struct rooms_packer *packer, struct rooms_bytes bytes);
ROOMS_API void rooms_pack_uint(struct rooms_packer *packer, uint64_t value);
/* Valid JSON text: one value, or several separated by commas, which are packed one after another; empty text packs
 * nothing.
 * - Placeholders become bin; without attachments such an object is data.
 * - Integers of 64 bits stay exact and take as few bytes as possible, as do other whole numbers; the rest is float 64.
 * - Lone surrogates become U+FFFD. Keys keep their order, duplicates included.
 * ROOMS_EINVAL: not JSON in UTF-8, or a placeholder without its attachment. ROOMS_ELIMIT: deeper than
 * ROOMS_MSGPACK_DEPTH_MAX. */
ROOMS_API void rooms_pack_json(struct rooms_packer *packer, struct rooms_bytes json,
                               const struct rooms_bytes *attachments, size_t attachment_count);

#ifdef __cplusplus
}
#endif
#endif
