/* Patterns that people wrote (PCRE2), which may be mistakes: each look at a text has a limit of steps and memory. Pure;
 * a pattern may be used by several threads. */
#ifndef CALLS_PATTERN_H
#define CALLS_PATTERN_H

#include "kit_str.h"

struct calls_pattern;

/* caseless: letters of either case are the same. NULL with a line in error. */
struct calls_pattern *calls_pattern_new(struct eio_str pattern, bool caseless, char *error, size_t error_size);
/* For words in their order, with any white space between them, not within longer words. NULL likewise. */
struct calls_pattern *calls_pattern_new_phrase(const char *phrase, char *error, size_t error_size);
/* Accepts NULL. */
void calls_pattern_free(struct calls_pattern *pattern);

enum calls_match { CALLS_MATCH_NONE, CALLS_MATCH_FOUND, CALLS_MATCH_LIMIT /* it took too long, or memory is short */ };
/* The next place from `from` on that is not empty. */
enum calls_match calls_pattern_find(const struct calls_pattern *pattern, struct eio_str text, size_t from,
                                    size_t *begin, size_t *end);

#endif
