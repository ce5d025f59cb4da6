/* Checks a payload against a schema of app/schemas/. The schemas are JSON Schema files that keep to this subset: type
 * (one), required, properties, enum, minLength, maxLength (bytes), format "id" and "date-time", minimum, maximum,
 * items, minItems, maxItems. Fields that a schema does not name are allowed. */
#ifndef KIT_SCHEMA_H
#define KIT_SCHEMA_H

#include "engineio.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kit_schemas;

/* The schemas embedded in the program. NULL: out of memory, or one of them is outside the subset (then `error` says
 * which: a mistake of ours that a test finds). */
struct kit_schemas *kit_schemas_new(char *error, size_t error_size);
void kit_schemas_free(struct kit_schemas *schemas);
/* The schema of an event: "call:subscribe" is call_subscribe.json, "chat.message" chat_message.json. NULL if absent.
 * Borrowed. */
const json_t *kit_schema_find(const struct kit_schemas *schemas, const char *event);
/* True if the schema uses only what the checker knows; else *what names the rest. */
bool kit_schema_is_supported(const json_t *schema, const char **what);

/* Where and why a value is wrong: a JSON pointer (RFC 6901) and English text. */
struct kit_schema_error {
    char pointer[128];
    char message[128];
};
/* Returns true if the value fits. value NULL fits nothing. */
bool kit_schema_check(const json_t *schema, const json_t *value, struct kit_schema_error *error);
/* The same of an object that lacks a required field which is known otherwise, and checked. */
bool kit_schema_check_but(const json_t *schema, const json_t *value, const char *given, struct kit_schema_error *error);

#define KIT_ID_SIZE 129   /* an id with its terminator */
#define KIT_USER_SIZE 257 /* a user's name, which may be any text, with its terminator */
/* 1 to 128 of A-Z a-z 0-9 _ . : - */
bool kit_is_id(const char *text, size_t size);
/* A user's name is any text of 1 to 256 bytes: "ann@acme.com", "auth0|5f7c". */
bool kit_is_user(const char *text, size_t size);
/* RFC 3339 date-time. */
bool kit_is_date_time(const char *text);
/* The same as Unix time. Returns false if the text is not a date-time. */
bool kit_read_date_time(const char *text, int64_t *unix_ms);

/* A number from outside as an integer, a fraction rounded down. False, and *out untouched, if it is not a number or not
 * within low and high. What comes as a double is never cast unchecked. */
bool kit_json_int64(const json_t *value, int64_t low, int64_t high, int64_t *out);
/* The same of text: digits, before which a minus may stand, and nothing else. */
bool kit_text_int64(struct eio_str text, int64_t low, int64_t high, int64_t *out);

#endif
