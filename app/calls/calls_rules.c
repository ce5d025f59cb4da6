/* Alert rules out of JSON. */
#include "calls_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void copy_text(char *out, size_t size, const json_t *object, const char *name)
{
    const char *text = text_of(object, name);
    snprintf(out, size, "%s", text ? text : "");
}

int calls_rule_read(struct calls_rule *rule, const json_t *object, struct kit_failure *failure)
{
    const char *phrase = text_of(object, "phrase"), *pattern = text_of(object, "pattern");
    const char *message = text_of(object, "message");
    const json_t *within = json_object_get(object, "not_within_s");
    char why[160];
    memset(rule, 0, sizeof *rule);
    copy_text(rule->name, sizeof rule->name, object, "name");
    copy_text(rule->level, sizeof rule->level, object, "level");
    copy_text(rule->speaker, sizeof rule->speaker, object, "speaker");
    if (!rule->level[0]) strcpy(rule->level, "warning");
    rule->repeats = json_is_true(json_object_get(object, "repeat"));
    if (within) kit_json_int64(within, 1, 86400, &rule->not_within_ms);
    rule->not_within_ms *= 1000;
    if (!phrase == !pattern) return kit_fail(failure, 400, "/phrase", "a rule needs either phrase or pattern");
    if (message && !(rule->message = strdup(message))) return kit_fail(failure, 503, NULL, "out of memory");
    rule->pattern = phrase ? calls_pattern_new_phrase(phrase, why, sizeof why)
                           : calls_pattern_new(eio_str(pattern), true, why, sizeof why);
    return rule->pattern ? 0 : kit_fail(failure, 400, phrase ? "/phrase" : "/pattern", "%s", why);
}

void calls_rule_clear(struct calls_rule *rule)
{
    calls_pattern_free(rule->pattern);
    free(rule->message);
    rule->pattern = NULL;
    rule->message = NULL;
}

static bool is_customer(const char *speaker)
{
    return !strcasecmp(speaker, "customer") || !strcasecmp(speaker, "caller");
}

bool calls_rule_fits(const struct calls_rule *rule, const char *speaker, struct eio_str text, size_t *begin,
                     bool *is_over)
{
    size_t end;
    bool is_speaker = !rule->speaker[0] || !strcasecmp(rule->speaker, speaker) ||
                      (is_customer(rule->speaker) && is_customer(speaker));
    *is_over = false;
    if (!is_speaker) return false;
    enum calls_match match = calls_pattern_find(rule->pattern, text, 0, begin, &end);
    *is_over = match == CALLS_MATCH_LIMIT;
    return match == CALLS_MATCH_FOUND;
}
