#include "chat_form.h"

#include "kit_schema.h"

#include <string.h>

static bool is_missing(const json_t *args, const char *name)
{
    const json_t *value = json_object_get(args, name);
    return !value || json_is_null(value) || (json_is_string(value) && !json_string_length(value));
}

bool chat_form_is_needed(const json_t *parameters, const json_t *args)
{
    const json_t *required = json_object_get(parameters, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (name && is_missing(args, name)) return true;
    }
    return false;
}

/* Of the kinds that a form has: text, number, yes or no, one of several, several of several. */
static bool is_field(const json_t *schema)
{
    static const char *const plain[] = {"string", "number", "integer", "boolean"};
    const char *type = json_string_value(json_object_get(schema, "type"));
    for (size_t i = 0; type && i < sizeof plain / sizeof plain[0]; i++)
        if (!strcmp(type, plain[i])) return true;
    const json_t *items = json_object_get(schema, "items");
    return type && !strcmp(type, "array") && (json_object_get(items, "enum") || json_object_get(items, "anyOf"));
}

static bool is_required(const json_t *parameters, const char *name)
{
    const json_t *required = json_object_get(parameters, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *one = json_string_value(json_array_get(required, i));
        if (one && !strcmp(one, name)) return true;
    }
    return false;
}

json_t *chat_form_make(const json_t *parameters, const json_t *args)
{
    json_t *form = json_pack("{s:s, s:{}, s:[]}", "type", "object", "properties", "required"), *field;
    json_t *fields = json_object_get(form, "properties"), *required = json_object_get(form, "required");
    const char *name;
    json_object_foreach(json_object_get(parameters, "properties"), name, field)
    {
        bool needed = is_required(parameters, name), missing = is_missing(args, name);
        if ((!needed && missing) || (!missing && !is_field(field))) continue;
        if (!is_field(field)) {
            json_decref(form);
            return NULL;
        }
        json_object_set(fields, name, field);
        if (needed) json_array_append_new(required, json_string(name));
    }
    return form;
}

json_t *chat_form_read(const json_t *schema, const json_t *content, struct kit_failure *failure)
{
    struct kit_schema_error error;
    json_t *read = content ? json_deep_copy(content) : json_object(), *field;
    const char *name;
    json_object_foreach(json_object_get(schema, "properties"), name, field)
    {
        json_t *value = json_object_get(field, "default");
        if (value && !json_object_get(read, name)) json_object_set(read, name, value);
    }
    if (read && kit_schema_check(schema, read, &error)) return read;
    if (read)
        kit_fail(failure, 400, error.pointer, "%s", error.message);
    else
        kit_fail(failure, 503, NULL, "out of memory");
    json_decref(read);
    return NULL;
}
