/* Reading and writing the adapters' wire formats: JSON as exact slices, msgpack as heads, lists of room names. Pure: no
 * I/O, libc only, no state. */
#ifndef ROOMS_WIRE_H
#define ROOMS_WIRE_H

#include "base_json.h"
#include "base_utf8.h"
#include "rooms_int.h"
#include "rooms_msgpack.h"

/* -------------------------------------------------------------- rooms_json.c */

/* Checks that the text is one JSON value with nothing but space around it, as JSON.parse would, and UTF-8. The rest of
 * this file works on slices of text that passed. Returns 0, ROOMS_EINVAL or ROOMS_ELIMIT (arrays and objects nested
 * deeper than ROOMS_MSGPACK_DEPTH_MAX). */
int rooms__json_check(struct rooms_bytes text);

/* A walk over the members of an object or the elements of an array. */
/* Returns false if the value is neither an object nor an array. */
bool rooms__json_open(struct base_json_walk *walk, struct rooms_bytes value);
/* Returns false at the end. The value has no space around it; the key keeps its quotes. key may be NULL. */
bool rooms__json_next(struct base_json_walk *walk, struct rooms_bytes *key, struct rooms_bytes *value);

/* The names to look for in an object, and the values found: slices, n 0 if missing. Of duplicate names the last counts,
 * as in JavaScript. Returns false if the value is not an object. */
bool rooms__json_find(struct rooms_bytes object, const char *const *names, size_t count, struct rooms_bytes *found);

bool rooms__json_is_text(struct rooms_bytes value);
bool rooms__json_is_array(struct rooms_bytes value);
bool rooms__json_is(struct rooms_bytes value, const char *literal);
/* Decodes a string; out has room for value.n. Returns the number of bytes, or -1 if it is not a string. Lone surrogates
 * become U+FFFD. */
long rooms__json_text(struct rooms_bytes value, char *out);
/* Returns true if the string is exactly these bytes. */
bool rooms__json_text_is(struct rooms_bytes value, struct rooms_name text);
/* Reads a non-negative integer of up to 64 bits. Returns false if the value is not one. */
bool rooms__json_uint(struct rooms_bytes value, uint64_t *number);

/* Writing into a packer, a buffer of bytes whose errors stick: bytes as they are, a literal, a quoted string (invalid
 * UTF-8 becomes U+FFFD), a number. */
uint8_t *rooms__packer_reserve(struct rooms_packer *packer, size_t n); /* NULL: it has an error now */
void rooms__put_bytes(struct rooms_packer *packer, const void *p, size_t n);
void rooms__put(struct rooms_packer *packer, const char *literal);
void rooms__put_text(struct rooms_packer *packer, struct rooms_name text);
void rooms__put_uint(struct rooms_packer *packer, uint64_t number);

/* ----------------------------------------------------- rooms_msgpack_decode.c */

#define ROOMS__ATTACHMENTS_MAX 65536 /* of a message from another node: what placeholders can number */

/* ------------------------------------------------------ rooms_msgpack_walk.c */

enum rooms__msgpack_kind {
    ROOMS__MSGPACK_NIL,
    ROOMS__MSGPACK_UNDEFINED, /* as notepack 2 writes it */
    ROOMS__MSGPACK_BOOL,
    ROOMS__MSGPACK_UINT,
    ROOMS__MSGPACK_NUMBER, /* negative, or a float */
    ROOMS__MSGPACK_TEXT,
    ROOMS__MSGPACK_BINARY,
    ROOMS__MSGPACK_ARRAY,
    ROOMS__MSGPACK_MAP,
    ROOMS__MSGPACK_EXTENSION,
};
struct rooms__msgpack_head {
    enum rooms__msgpack_kind kind;
    uint64_t number;         /* UINT; BOOL: 0 or 1; ARRAY: elements; MAP: pairs */
    struct rooms_bytes body; /* TEXT, BINARY, EXTENSION: a slice of the input */
};
/* Reads the value at p, or the head of an array or map. Returns the bytes it takes, or ROOMS_EINVAL if it is not
 * msgpack or incomplete; so is an array or map that claims more elements than n bytes can hold. */
long rooms__msgpack_head(const uint8_t *p, size_t n, struct rooms__msgpack_head *head);
/* The bytes the value at p takes, with all that is in it, at any depth; or ROOMS_EINVAL. */
long rooms__msgpack_skip(const uint8_t *p, size_t n);

/* A walk over the values of an array or the pairs of a map. */
struct rooms__msgpack_walk {
    const uint8_t *p, *end;
    uint64_t left; /* elements or pairs */
    bool is_map;
};
/* Returns false if p is not at an array or map. */
bool rooms__msgpack_open(struct rooms__msgpack_walk *walk, const uint8_t *p, size_t n);
/* Reads the next value, whole. Returns 1, 0 at the end, with walk->p after the array or map, or ROOMS_EINVAL. In a map,
 * key is the string before it (p NULL if the key is not a string). */
int rooms__msgpack_next(struct rooms__msgpack_walk *walk, struct rooms_name *key, struct rooms_bytes *value);
/* As rooms__json_find(). Returns the bytes of the map, or ROOMS_EINVAL. */
long rooms__msgpack_find(const uint8_t *p, size_t n, const char *const *names, size_t count, struct rooms_bytes *found);

/* ------------------------------------------------------------- rooms_names.c */

/* Names of rooms as a message lists them: strings, or numbers, which become strings as in JavaScript. Other values
 * match no room: they are kept as empty names, so that a list of them does not become an empty list, which means all
 * members. */
struct rooms__names {
    struct rooms_name *names; /* point into the message or into `text` */
    size_t count;
    char *text; /* of numbers, and of what had escapes */
    size_t text_size;
};
/* The list is a whole array, a slice of JSON that was checked or of msgpack; n 0, null and undefined are an empty list.
 * Returns 0, ROOMS_EINVAL or ROOMS_ENOMEM; on failure there is nothing to clear. */
int rooms__names_of_json(struct rooms__names *names, struct rooms_bytes list);
int rooms__names_of_msgpack(struct rooms__names *names, struct rooms_bytes list);
void rooms__names_clear(struct rooms__names *names);

/* Whether the name is an integer as JavaScript writes it. Rooms of Node's servers may be numbers, and 42 is not "42" to
 * them, while a channel's name and our rooms are text: a selection that is sent out lists such a name as both. */
bool rooms__name_is_number(struct rooms_name name);
/* A JSON array of the names, numbers as both when `numbers`. */
void rooms__put_names(struct rooms_packer *packer, const struct rooms_name *names, size_t count, bool numbers);

#endif
