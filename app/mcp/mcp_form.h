/* Forms that servers have users fill in (MCP "Elicitation", form mode): a flat object of texts, numbers, yes or no, one
 * of several and several of several. Pure. */
#ifndef MCP_FORM_H
#define MCP_FORM_H

#include "mcp.h"

#define MCP_FORM_FIELDS_MAX 64
#define MCP_FORM_CHOICES_MAX 1000

/* Returns NULL if the schema can be shown as a form, else why not, in English. A form without fields is one: it asks
 * for consent. */
const char *mcp_form_check_schema(const json_t *schema);
#endif
