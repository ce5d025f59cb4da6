/* The tools of a request, copied, and their names as models accept them: 1 to 64 characters of [A-Za-z0-9_-]. */
#ifndef LLM_TOOLS_H
#define LLM_TOOLS_H

#include "llm.h"

#define LLM_WIRE_NAME_SIZE 65

struct llm_tools_entry {
    char *name, *description;
    char wire_name[LLM_WIRE_NAME_SIZE];
    json_t *parameters;
    char **phrases; /* ended by NULL; NULL: none */
    size_t prefix_bytes;
};

struct llm_tools {
    struct llm_tools_entry *list;
    size_t count;
};

/* A name that fits stays; any other is made to fit and gets a hash of the whole, so that it stays apart from others and
 * is the same after a restart, whichever tools there are. */
void llm_wire_name(const char *name, char out[LLM_WIRE_NAME_SIZE]);

/* A tool whose name was there before is left out. Returns 0 or EIO_ENOMEM; llm_tools_clear() in either case. */
int llm_tools_init(struct llm_tools *tools, const struct llm_tool *list, size_t count);
void llm_tools_clear(struct llm_tools *tools);
/* NULL: none is called that. */
const struct llm_tools_entry *llm_tools_find_wire(const struct llm_tools *tools, const char *wire_name);
/* The list as chat completions want it; NULL: out of memory. */
json_t *llm_tools_json(const struct llm_tools *tools);

#endif
