/* Reads the schema of a tool's parameters for the embedded model. Names count where a format is not given. */
#include "llm_schema.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void llm_schema_name(const char *name, char *out, size_t size)
{
    size_t n = 0;
    for (const char *p = name; *p && n + 2 < size; p++) {
        bool is_hump = p > name && isupper((unsigned char)*p) && islower((unsigned char)p[-1]);
        if (is_hump) out[n++] = ' ';
        out[n++] = isalnum((unsigned char)*p) || (unsigned char)*p >= 0x80 ? *p : ' ';
    }
    out[n] = 0;
}

static const char *text_of(const json_t *schema, const char *field)
{
    const char *text = json_string_value(json_object_get(schema, field));
    return text ? text : "";
}

/* Of several types the first that is not null. */
static const char *type_of(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    size_t i;
    json_t *one;
    if (json_is_string(type)) return json_string_value(type);
    json_array_foreach(type, i, one)
    {
        const char *name = json_string_value(one);
        if (name && strcmp(name, "null") != 0) return name;
    }
    return "";
}

static json_t *concrete(json_t *schema)
{
    static const char *const fields[] = {"anyOf", "oneOf"};
    for (size_t k = 0; k < 2 && !json_object_get(schema, "type") && !json_object_get(schema, "enum"); k++) {
        size_t i;
        json_t *one;
        json_array_foreach(json_object_get(schema, fields[k]), i, one)
        {
            const char *type = type_of(one);
            if (type[0] && strcmp(type, "null") != 0) return one;
        }
    }
    return schema;
}

/* Texts to choose from: enum, or oneOf with const. */
static bool is_choice(const json_t *schema)
{
    const json_t *first = json_array_get(json_object_get(schema, "oneOf"), 0);
    if (!first) first = json_array_get(json_object_get(schema, "anyOf"), 0);
    return json_is_string(json_array_get(json_object_get(schema, "enum"), 0)) || json_object_get(first, "const");
}

static bool has_word(const struct llm_lexed *lexed, const char *words)
{
    for (size_t i = 0; i < lexed->count; i++)
        if (llm_lex_is_any(lexed, i, words)) return true;
    return false;
}

static enum llm_property_kind kind_of_text(const json_t *schema, const struct llm_lexed *name)
{
    static const struct {
        const char *format;
        enum llm_property_kind kind;
    } formats[] = {{"date-time", LLM_PROPERTY_DATE_TIME},
                   {"date", LLM_PROPERTY_DATE},
                   {"time", LLM_PROPERTY_TIME},
                   {"email", LLM_PROPERTY_MAIL},
                   {"uri", LLM_PROPERTY_URL}};
    const char *format = text_of(schema, "format");
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (!strcmp(format, formats[i].format)) return formats[i].kind;
    if (format[0] || has_word(name, "zone")) return LLM_PROPERTY_TEXT;
    if (has_word(name, "email mail")) return LLM_PROPERTY_MAIL;
    if (has_word(name, "url uri")) return LLM_PROPERTY_URL;
    bool is_date = has_word(name, "date day"), is_time = has_word(name, "time when datetime deadline due until");
    if (is_date && !is_time) return LLM_PROPERTY_DATE;
    return is_time ? LLM_PROPERTY_DATE_TIME : LLM_PROPERTY_TEXT;
}

static enum llm_property_kind kind_of(json_t *schema, const struct llm_lexed *name)
{
    const char *type = type_of(schema);
    json_t *items = json_object_get(schema, "items");
    if (is_choice(schema)) return LLM_PROPERTY_ENUM;
    if (!strcmp(type, "string")) return kind_of_text(schema, name);
    if (!strcmp(type, "number") || !strcmp(type, "integer")) return LLM_PROPERTY_NUMBER;
    if (!strcmp(type, "boolean")) return LLM_PROPERTY_BOOLEAN;
    if (strcmp(type, "array") != 0) return LLM_PROPERTY_OTHER;
    if (is_choice(items)) return LLM_PROPERTY_ENUM_LIST;
    return !strcmp(type_of(items), "string") ? LLM_PROPERTY_TEXT_LIST : LLM_PROPERTY_OTHER;
}

static int64_t unit_of(const struct llm_lexed *lexed)
{
    static const struct {
        const char *words;
        int64_t ms;
    } units[] = {{"milliseconds millisecond ms", 1},
                 {"seconds second secs sec", 1000},
                 {"minutes minute mins min", 60000},
                 {"hours hour", 3600000},
                 {"days", 86400000},
                 {"weeks", 604800000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (has_word(lexed, units[i].words)) return units[i].ms;
    return 0;
}

static bool is_required(const json_t *schema, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(schema, "required"), i, one)
    {
        if (json_is_string(one) && !strcmp(json_string_value(one), name)) return true;
    }
    return false;
}

static void read_property(struct llm_property *property, struct kit_words *words, struct llm_lexed *scratch)
{
    char name[128];
    llm_schema_name(property->name, name, sizeof name);
    llm_lex_read(scratch, words, eio_str(name));
    property->kind = kind_of(property->schema, scratch);
    property->is_integer = !strcmp(type_of(property->schema), "integer");
    if (property->kind != LLM_PROPERTY_NUMBER) return;
    property->unit_ms = unit_of(scratch);
    if (property->unit_ms) return;
    llm_lex_read(scratch, words, eio_str(text_of(property->schema, "description")));
    property->unit_ms = unit_of(scratch);
}

/* "time" beside "date" is the time of that day. */
static void split_times(struct llm_property *list, size_t count)
{
    bool has_date = false;
    for (size_t i = 0; i < count; i++) has_date = has_date || list[i].kind == LLM_PROPERTY_DATE;
    for (size_t i = 0; i < count && has_date; i++)
        if (list[i].kind == LLM_PROPERTY_DATE_TIME && !text_of(list[i].schema, "format")[0])
            list[i].kind = LLM_PROPERTY_TIME;
}

size_t llm_schema_read(json_t *schema, struct kit_words *words, struct llm_lexed *scratch,
                       struct llm_property list[LLM_PROPERTIES_MAX])
{
    const char *name;
    json_t *property;
    size_t count = 0;
    json_object_foreach(json_object_get(schema, "properties"), name, property)
    {
        if (count == LLM_PROPERTIES_MAX) break;
        list[count] =
            (struct llm_property){.name = name, .schema = concrete(property), .is_required = is_required(schema, name)};
        read_property(&list[count++], words, scratch);
    }
    split_times(list, count);
    return count;
}
