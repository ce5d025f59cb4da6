/* JSON text (RFC 8259) read in place, without a tree: for long or untrusted payloads of which little is needed. A tree
 * is jansson's. Pure. */
#ifndef KIT_JSON_H
#define KIT_JSON_H

#include "kit_db.h"
#include "kit_str.h"

/* Checks text that did not come over a socket by the rules for what does; afterwards socketio.h's functions and those
 * below may look at it. Returns 0 or the code of failure: 400, or 413 if it is nested more deeply than max_depth. Over
 * a socket, the packet's array is one level of config->io.max_depth. Any thread. */
int kit_json_check(struct eio_str text, size_t max_depth, struct kit_failure *failure);

/* A walk over the members of an object or the elements of an array. Fields are private. */
struct kit_json_walk {
    struct eio_str rest;
    bool is_object;
};
/* Returns false if the value is neither an object nor an array. */
bool kit_json_open(struct kit_json_walk *walk, struct eio_str value);
/* Returns false at the end. The value has no whitespace around it; the key keeps its quotes. key may be NULL. */
bool kit_json_each(struct kit_json_walk *walk, struct eio_str *key, struct eio_str *value);
/* Decodes a string (quotes included) to UTF-8; lone surrogates become U+FFFD. Never longer than the input. Returns the
 * size. */
size_t kit_json_decode(struct eio_str quoted, char *out);
bool kit_json_is_utf8(struct eio_str text);
/* How many values a tree of the text would have, about: what a tree costs goes by them, not by bytes. Stops counting
 * above most. */
size_t kit_json_count(struct eio_str text, size_t most);
/* True if the value is a string of exactly that text. */
bool kit_json_text_is(struct eio_str quoted, const char *text);

#endif
