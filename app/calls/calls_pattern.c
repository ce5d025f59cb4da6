/* Patterns by PCRE2. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "calls_pattern.h"

#include <ctype.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Steps of a pattern through one text, and memory: one that needs more is a mistake. */
#define MATCH_STEPS_MAX 100000
#define HEAP_KIB_MAX 1024

struct calls_pattern {
    pcre2_code *code;
    pcre2_match_context *limits;
};

struct calls_pattern *calls_pattern_new(struct eio_str text, bool caseless, char *error, size_t error_size)
{
    int fault = 0;
    size_t at;
    const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
    struct calls_pattern *pattern = calloc(1, sizeof *pattern);
    snprintf(error, error_size, "out of memory");
    if (!pattern) return NULL;
    pattern->limits = pcre2_match_context_create(NULL);
    if (pattern->limits)
        pattern->code =
            pcre2_compile((PCRE2_SPTR)text.p, text.n, options | (caseless ? PCRE2_CASELESS : 0), &fault, &at, NULL);
    if (pattern->code) {
        pcre2_set_match_limit(pattern->limits, MATCH_STEPS_MAX);
        pcre2_set_heap_limit(pattern->limits, HEAP_KIB_MAX);
        pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE); /* without it, it is slower */
        return pattern;
    }
    if (fault) pcre2_get_error_message(fault, (PCRE2_UCHAR *)error, error_size);
    calls_pattern_free(pattern);
    return NULL;
}

struct calls_pattern *calls_pattern_new_phrase(const char *phrase, char *error, size_t error_size)
{
    size_t size = 6 * strlen(phrase) + 32;
    char *text = malloc(size), *p = text;
    snprintf(error, error_size, "out of memory");
    if (!text) return NULL;
    p = stpcpy(p, "(?<!\\w)");
    while (*phrase) {
        size_t blanks = strspn(phrase, " \t\r\n");
        phrase += blanks;
        if (blanks && *phrase && p > text + strlen("(?<!\\w)")) p = stpcpy(p, "\\s+");
        if (!*phrase) break;
        if (isascii((unsigned char)*phrase) && !isalnum((unsigned char)*phrase)) *p++ = '\\';
        *p++ = *phrase++;
    }
    p = stpcpy(p, "(?!\\w)");
    struct calls_pattern *pattern =
        calls_pattern_new((struct eio_str){text, (size_t)(p - text)}, true, error, error_size);
    free(text);
    return pattern;
}

void calls_pattern_free(struct calls_pattern *pattern)
{
    if (!pattern) return;
    pcre2_code_free(pattern->code);
    pcre2_match_context_free(pattern->limits);
    free(pattern);
}

enum calls_match calls_pattern_find(const struct calls_pattern *pattern, struct eio_str text, size_t from,
                                    size_t *begin, size_t *end)
{
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(pattern->code, NULL);
    if (!data) return CALLS_MATCH_LIMIT;
    int found = pcre2_match(pattern->code, (PCRE2_SPTR)text.p, text.n, from, PCRE2_NOTEMPTY, data, pattern->limits);
    const PCRE2_SIZE *places = pcre2_get_ovector_pointer(data);
    *begin = found > 0 ? places[0] : 0;
    *end = found > 0 ? places[1] : 0;
    pcre2_match_data_free(data);
    if (found == PCRE2_ERROR_NOMATCH) return CALLS_MATCH_NONE;
    /* \K may put the beginning behind the end. */
    return found > 0 && *begin < *end && *end <= text.n ? CALLS_MATCH_FOUND : CALLS_MATCH_LIMIT;
}
