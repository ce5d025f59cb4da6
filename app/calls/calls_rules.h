/* Alert rules: what they say, and whether a line fits. Pure; docs/events.md. */
#ifndef CALLS_RULES_H
#define CALLS_RULES_H

#include "calls_pattern.h"
#include "kit_db.h"
#include "kit_schema.h"

struct calls_rule {
    char name[KIT_ID_SIZE], level[16];
    char speaker[KIT_ID_SIZE]; /* "": anybody */
    char *message;             /* NULL: none */
    struct calls_pattern *pattern;
    int64_t not_within_ms; /* it fires if nothing fits so long after the call began; 0: it fires if a line fits */
    bool repeats;          /* it may fire in every line, not only in the first of a call that fits */
    int64_t since_ms;      /* Unix time since when it has been as it is */
};

/* Out of an object that fits the schema of rule:write. Returns 0 or 400, 503; calls_rule_clear() in either case. */
int calls_rule_read(struct calls_rule *rule, const json_t *object, struct kit_failure *failure);
void calls_rule_clear(struct calls_rule *rule);
/* Whether a line fits it. *begin: where. *is_over: the pattern took too long. */
bool calls_rule_fits(const struct calls_rule *rule, const char *speaker, struct eio_str text, size_t *begin,
                     bool *is_over);

#endif
