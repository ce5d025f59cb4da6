/* JSON text (RFC 8259): accepts what JavaScript's JSON.parse accepts, and works on the bytes in place. Pure: no I/O, no
 * globals, no allocation, no recursion.
 *
 * base_json_scan() checks; all other functions here expect text that has passed it, or parts of it. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base_str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* -------------------------------------------------------------------- checking */

#define BASE_JSON_DEPTH_MAX 1024 /* levels the scanner has room for; a larger max_depth counts as this */

enum base_json_error { BASE_JSON_SYNTAX = -1, BASE_JSON_UTF8 = -2, BASE_JSON_DEPTH = -3 };
struct base_json_fault {
    int code;        /* enum base_json_error */
    size_t at;       /* byte offset */
    const char *why; /* English, constant */
};
/* Checks one value at p (whitespace before and after it is consumed). max_depth: of arrays and objects within each
 * other; 0: none at all. utf8_checked: the text is known to be UTF-8. Returns the bytes consumed, or an enum
 * base_json_error with fault. Never reads past n. */
ssize_t base_json_scan(const uint8_t *p, size_t n, size_t max_depth, bool utf8_checked, struct base_json_fault *fault);
/* The same for an array that begins at p with its bracket, of text known to be UTF-8, whose first element, its name, is
 * a string or a number, as its first character shows the caller. Says where they are. */
struct base_json_named {
    size_t at, end; /* the name */
    bool has_escapes;
    size_t closed; /* behind the array's closing bracket */
};
ssize_t base_json_scan_named(const uint8_t *p, size_t n, size_t max_depth, struct base_json_named *named,
                             struct base_json_fault *fault);
/* Checks one string or number at p, for callers that check the rest themselves. Returns its size, or 0 if there is
 * none. */
size_t base_json_scan_text(const uint8_t *p, size_t n);
size_t base_json_scan_number(const uint8_t *p, size_t n);

/* --------------------------------------------------------------------- walking */

static inline bool base_json_is_space(uint8_t c)
{
    return c <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t'); /* most bytes need one comparison */
}
static inline const uint8_t *base_json_skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && base_json_is_space(*p)) p++;
    return p;
}
/* Skips one value at p, which must not begin with whitespace. Returns its size. */
size_t base_json_skip(const uint8_t *p, size_t n);
/* Without the whitespace at both ends. */
static inline struct base_str base_json_trim(struct base_str text)
{
    while (text.n > 0 && base_json_is_space((uint8_t)text.p[0])) {
        text.p++;
        text.n--;
    }
    while (text.n > 0 && base_json_is_space((uint8_t)text.p[text.n - 1])) text.n--;
    return text;
}
/* Takes the first of several values separated by commas, together with its comma, off the list. Returns {NULL,0} if the
 * list is empty. */
struct base_str base_json_take(const char **p, size_t *n);

/* A walk over the members of an object or the elements of an array. */
struct base_json_walk {
    struct base_str rest;
    bool is_object;
};
/* Returns false if the value is neither an object nor an array. */
bool base_json_open(struct base_json_walk *walk, struct base_str value);
/* Returns false at the end. The value has no whitespace around it; the key keeps its quotes. key may be NULL. */
bool base_json_each(struct base_json_walk *walk, struct base_str *key, struct base_str *value);

/* ---------------------------------------------------------------------- values */

/* Decodes a string (quotes included) to UTF-8; lone surrogates become U+FFFD. Never longer than the input. Returns the
 * size. out NULL: the size only. */
size_t base_json_decode(struct base_str quoted, char *out);
/* True if the value is a string of exactly that text. */
bool base_json_text_is(struct base_str quoted, struct base_str text);
/* Reads a non-negative integer of up to 64 bits, without fraction or exponent. Returns false if the value is not one.
 */
bool base_json_uint(struct base_str value, uint64_t *number);

/* --------------------------------------------------------------------- writing */

/* Size of text as a quoted string, and writing it (returns the end). Invalid UTF-8 becomes U+FFFD. */
size_t base_json_quoted_size(const char *text, size_t n);
char *base_json_put_quoted(char *out, const char *text, size_t n);

#endif
