/* Redaction of JSON text that is checked (kit_json_check(), or a socket's payload). It goes by the text and not by a
 * tree, which lacks what an object says before it says it again. As deep as the text, which is limited. Any thread. */
#ifndef CALLS_REDACT_JSON_H
#define CALLS_REDACT_JSON_H

#include "kit_answer.h"

struct calls_redaction;

bool calls_json_is_number(struct eio_str value);
/* Whether a string, a key or a number in it must not be stored. True, too, if memory is short: what cannot be looked
 * through does not go on. value: without white space around it, as of kit_json_each(). */
bool calls_json_has_secret(const struct calls_redaction *redaction, struct eio_str value);
/* Appends the value with what the rules find replaced in each string, key and number; a number becomes a string then.
 * Returns 0 or EIO_ENOMEM. */
int calls_json_redact(const struct calls_redaction *redaction, struct eio_str value, struct sio_builder *out);

#endif
