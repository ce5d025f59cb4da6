/* What happens to one user or one call, live, for operators: GET /trace and `parley trace`. */
#ifndef TRACE_H
#define TRACE_H

#include "kit.h"

extern const struct kit_module trace_module;

struct trace_command {
    const char *user, *call, *tenant, *url; /* NULL: not given */
    const char *seconds;                    /* after which it ends; NULL: when it is ended */
    bool is_json;                           /* lines as they come, instead of words */
};
/* Prints lines until the server ends them. Returns the exit status. */
int trace_run_command(const struct kit_config *config, const struct trace_command *command);

#endif
