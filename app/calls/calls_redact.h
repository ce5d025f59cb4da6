/* What must not be stored: card numbers, IBANs, e-mail addresses, telephone numbers, and what the patterns of a file
 * find, in texts before anything else sees them. Pure but for calls_redaction_open(); any thread. */
#ifndef CALLS_REDACT_H
#define CALLS_REDACT_H

#include "kit_str.h"

struct calls_redaction;

/* Rules out of text, a line each: `name: card`, `iban`, `email`, `phone`, or `name: /pattern/` (PCRE2). What a rule
 * finds is replaced by "[name]". NULL with a line in error, which names the line. */
struct calls_redaction *calls_redaction_new(struct eio_str text, char *error, size_t error_size);
/* which: "off" (NULL, and error is ""), "default", or a file. NULL with a line in error. */
struct calls_redaction *calls_redaction_open(const char *which, char *error, size_t error_size);
/* Accepts NULL. */
void calls_redaction_free(struct calls_redaction *redaction);

/* The text without what the rules find: *out and *size, malloc, with a terminator; *out NULL: there is nothing in it.
 * is_partial: more of it may follow (an interim line), so that digits at its end may be the beginning of a number.
 * redaction NULL: nothing is looked for. Returns 0 or EIO_ENOMEM. A pattern that takes too long hides the whole text.
 */
int calls_redact(const struct calls_redaction *redaction, struct eio_str text, bool is_partial, char **out,
                 size_t *size);

/* ------------------------------------------------------------------ finders */

enum { CALLS_CARD_MIN = 13, CALLS_CARD_MAX = 19 }; /* digits */
/* ISO/IEC 7812-1, annex B, of the digits in a text. */
bool calls_fits_luhn(struct eio_str text);

/* A place in a text; end == begin: none. */
struct calls_span {
    size_t begin, end;
};
/* The first from `from` on. */
typedef struct calls_span (*calls_find_fn)(struct eio_str text, size_t from, bool is_partial);
struct calls_span calls_find_card(struct eio_str text, size_t from, bool is_partial);
struct calls_span calls_find_spoken_card(struct eio_str text, size_t from, bool is_partial); /* in words */
struct calls_span calls_find_iban(struct eio_str text, size_t from, bool is_partial);
struct calls_span calls_find_email(struct eio_str text, size_t from, bool is_partial);
struct calls_span calls_find_phone(struct eio_str text, size_t from, bool is_partial);

/* What one look at each byte of a text shows, and whether a finder may find something then: most texts have nothing. */
struct calls_glance {
    size_t digits, size;
    bool has_at, has_high; /* an @; bytes beyond ASCII */
};
struct calls_glance calls_glance_at(struct eio_str text);
bool calls_may_find(calls_find_fn find, const struct calls_glance *glance, bool is_partial);

#endif
