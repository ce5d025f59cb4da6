/* Tools' input schemas: what of them a client must check, and the parameters that are mirrored in headers
 * (2026-07-28, streamable HTTP, "Custom headers from tool parameters"). Pure. */
#ifndef MCP_SCHEMA_H
#define MCP_SCHEMA_H

#include "kit.h"

#define MCP_SCHEMA_DEPTH_MAX 64   /* levels of objects and arrays in a schema */
#define MCP_SCHEMA_COUNT_MAX 4096 /* values in a schema */

/* Returns NULL if the schema is an object of bounded size whose references all stay within it, else why not, in
 * English. Nothing is ever fetched. */
const char *mcp_schema_check(const json_t *schema);

/* A parameter that goes into the header Mcp-Param-<name>: "x-mcp-header" of a property. */
struct mcp_mirror {
    const char *header;      /* borrowed from the schema */
    const char *const *path; /* names of properties, from the outermost; ended by NULL */
    struct mcp_mirror *next;
};

/* The parameters to mirror, NULL if there are none. False with *why if an annotation is invalid, then the tool must
 * not be used; or out of memory. The list points into the schema. */
bool mcp_mirrors_read(const json_t *schema, struct mcp_mirror **list, const char **why);
void mcp_mirrors_free(struct mcp_mirror *list);
/* The value of a parameter as a header "Mcp-Param-…: …" that the caller frees. *out is NULL if the arguments do not
 * have it. False: out of memory. */
bool mcp_mirror_header(const struct mcp_mirror *mirror, const json_t *arguments, char **out);

/* A header's value: as it is if it is plain ASCII without blanks at its ends, otherwise in base64 between marks. The
 * caller frees "name: value"; NULL: out of memory. */
char *mcp_header(const char *name, struct eio_str value);

#endif
