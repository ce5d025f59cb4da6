/* Forms out of a tool's parameters. Pure. */
#ifndef CHAT_FORM_H
#define CHAT_FORM_H

#include "kit_db.h"

#include <jansson.h>

/* True if a required parameter is not among the arguments, or empty. */
bool chat_form_is_needed(const json_t *parameters, const json_t *args);
/* The schema of a form with the parameters that are missing, and those that are known, to be looked over. NULL: one
 * that is missing cannot be asked for, or memory is out. */
json_t *chat_form_make(const json_t *parameters, const json_t *args);
/* What was filled in, with the defaults of fields that were left out; NULL with failure: 400 and the field. */
json_t *chat_form_read(const json_t *schema, const json_t *content, struct kit_failure *failure);

#endif
