/* A text as the answer to an open question, for those who have no forms: the value of the one thing that is missing. */
#include "chat_dialect.h"

#include "kit_schema.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_word(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (!strcasecmp(text, *words)) return true;
    return false;
}

static const char *const yes[] = {"yes",   "y",        "ok",        "okay", "sure", "true",
                                  "do it", "go ahead", "please do", "ja",   NULL};
static const char *const no[] = {"no", "n", "false", "don't", "do not", "nein", NULL};
static const char *const never_mind[] = {"cancel", "never mind", "nevermind", "abbrechen", NULL};

/* Without what surrounds a word in a sentence. */
static void trim(char *out, size_t size, const char *text)
{
    while (*text && strchr(" \t\r\n\"", *text)) text++;
    size_t n = strlen(text);
    while (n && strchr(" \t\r\n.!\"", text[n - 1])) n--;
    snprintf(out, size, "%.*s", n < size ? (int)n : (int)size - 1, text);
}

static json_t *read_number(const char *text, bool is_integer)
{
    char *end;
    errno = 0;
    if (is_integer) {
        long long value = strtoll(text, &end, 10);
        return end == text || *end || errno ? NULL : json_integer(value);
    }
    double value = strtod(text, &end);
    return end == text || *end || !isfinite(value) ? NULL : json_real(value);
}

/* One of a list, by its name or its title. */
static json_t *read_choice(const json_t *schema, const char *text)
{
    const json_t *values = json_object_get(schema, "enum"), *choices = json_object_get(schema, "oneOf");
    for (size_t i = 0; i < json_array_size(values); i++) {
        const char *value = json_string_value(json_array_get(values, i));
        if (value && !strcasecmp(value, text)) return json_string(value);
    }
    for (size_t i = 0; i < json_array_size(choices); i++) {
        const json_t *choice = json_array_get(choices, i);
        const char *value = json_string_value(json_object_get(choice, "const"));
        const char *title = json_string_value(json_object_get(choice, "title"));
        if (value && (!strcasecmp(value, text) || (title && !strcasecmp(title, text)))) return json_string(value);
    }
    return NULL;
}

/* A day or an address is not any text. */
static json_t *read_text(const json_t *schema, const char *text)
{
    struct kit_schema_error error;
    json_t *value = json_string(text);
    if (kit_schema_check(schema, value, &error)) return value;
    json_decref(value);
    return NULL;
}

/* NULL: the text is no value of that kind. */
static json_t *read_value(const json_t *schema, const char *text)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    char word[256];
    trim(word, sizeof word, text);
    if (json_object_get(schema, "enum") || json_object_get(schema, "oneOf")) return read_choice(schema, word);
    if (!type) return NULL;
    if (!strcmp(type, "string")) return read_text(schema, text);
    if (!strcmp(type, "integer") || !strcmp(type, "number")) return read_number(word, type[0] == 'i');
    if (!strcmp(type, "boolean") && is_word(word, yes)) return json_true();
    if (!strcmp(type, "boolean") && is_word(word, no)) return json_false();
    return NULL;
}

/* The required member that is not known. Returns NULL unless exactly one is unknown. */
static const char *find_missing(const struct chat_question_open *question)
{
    const json_t *required = json_object_get(question->schema, "required");
    const char *missing = NULL;
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (!name || json_object_get(question->values, name)) continue;
        if (missing) return NULL;
        missing = name;
    }
    return missing;
}

json_t *chat_answer_of_values(const struct chat_question_open *question, const json_t *values)
{
    size_t i;
    json_t *name;
    if (strcmp(question->mode, "form") || !json_object_size(values)) return NULL;
    json_t *content = question->values ? json_copy(question->values) : json_object();
    json_object_update(content, (json_t *)(uintptr_t)values);
    json_array_foreach(json_object_get(question->schema, "required"), i, name)
    {
        const char *key = json_string_value(name);
        if (key && json_object_get(content, key)) continue;
        json_decref(content);
        return NULL;
    }
    return json_pack("{s:o}", "content", content);
}

json_t *chat_answer_of_text(const struct chat_question_open *question, const char *text)
{
    char word[256];
    trim(word, sizeof word, text);
    if (!question->id[0]) return NULL;
    if (is_word(word, never_mind)) return json_pack("{s:s}", "action", "cancel");
    if (strcmp(question->mode, "form")) {
        if (is_word(word, yes)) return json_pack("{s:s}", "action", "accept");
        return is_word(word, no) ? json_pack("{s:s}", "action", "decline") : NULL;
    }
    const char *name = find_missing(question);
    const json_t *schema = json_object_get(json_object_get(question->schema, "properties"), name ? name : "");
    json_t *value = schema ? read_value(schema, text) : NULL;
    if (!value) return NULL;
    json_t *content = question->values ? json_copy(question->values) : json_object();
    json_object_set_new(content, name, value);
    return json_pack("{s:o}", "content", content);
}
