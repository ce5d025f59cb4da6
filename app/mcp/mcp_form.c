#include "mcp_form.h"

#include <string.h>

/* ------------------------------------------------------------------ schema */

static const char *text_of(const json_t *schema, const char *key)
{
    const char *text = json_string_value(json_object_get(schema, key));
    return text ? text : "";
}

static bool is_type(const json_t *schema, const char *type)
{
    return !strcmp(text_of(schema, "type"), type);
}

static bool is_one_of(const json_t *list, const char *value)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *text = json_string_value(json_is_object(one) ? json_object_get(one, "const") : one);
        if (text && !strcmp(text, value)) return true;
    }
    return false;
}

/* Of `enum`, or of `oneOf` or `anyOf` with titles. NULL: any value will do. */
static const json_t *choices_of(const json_t *schema)
{
    static const char *const names[] = {"enum", "oneOf", "anyOf"};
    const json_t *list = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !list; i++) list = json_object_get(schema, names[i]);
    return list;
}

static const char *check_choices(const json_t *list)
{
    size_t i, count = json_array_size(list);
    json_t *one;
    if (!count) return "has no choices";
    if (count > MCP_FORM_CHOICES_MAX) return "has too many choices";
    json_array_foreach(list, i, one)
    {
        if (!json_is_string(json_is_object(one) ? json_object_get(one, "const") : one))
            return "has a choice that is not a text";
    }
    return NULL;
}

static const char *check_field(const json_t *schema)
{
    const json_t *choices = choices_of(schema);
    if (!json_is_object(schema)) return "is not an object";
    if (is_type(schema, "array")) {
        const json_t *items = json_object_get(schema, "items");
        return choices_of(items) ? check_choices(choices_of(items)) : "has no choices";
    }
    if (is_type(schema, "string")) return choices ? check_choices(choices) : NULL;
    if (is_type(schema, "number") || is_type(schema, "integer") || is_type(schema, "boolean")) return NULL;
    return "is of a type that forms do not have";
}

const char *mcp_form_check_schema(const json_t *schema)
{
    const json_t *properties = json_object_get(schema, "properties");
    const char *name, *why;
    json_t *one;
    if (!json_is_object(schema) || (json_object_get(schema, "type") && !is_type(schema, "object")))
        return "the form is not an object";
    if (properties && !json_is_object(properties)) return "the form's properties are not an object";
    if (json_object_size(properties) > MCP_FORM_FIELDS_MAX) return "the form has too many fields";
    json_object_foreach((json_t *)(uintptr_t)properties, name, one)
    {
        if ((why = check_field(one))) return why;
    }
    return NULL;
}

/* ------------------------------------------------------------------- texts */

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++) count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool is_email(const char *text)
{
    const char *at = strrchr(text, '@');
    return at && at != text && at[1] && at[1] != '.' && !strpbrk(text, " \t\r\n<>") && text[strlen(text) - 1] != '.';
}

static bool is_uri(const char *text)
{
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-");
    return n && text[n] == ':' && text[n + 1] && !strpbrk(text, " \t\r\n<>\"{}|\\^`");
}

static bool is_date(const char *text)
{
    char time[32];
    if (strlen(text) != 10) return false;
    snprintf(time, sizeof time, "%sT00:00:00Z", text);
    return kit_is_date_time(time);
}

static const char *check_format(const char *format, const char *text)
{
    if (!strcmp(format, "email")) return is_email(text) ? NULL : "must be an e-mail address";
    if (!strcmp(format, "uri")) return is_uri(text) ? NULL : "must be a URI";
    if (!strcmp(format, "date")) return is_date(text) ? NULL : "must be a date like 2026-01-31";
    if (!strcmp(format, "date-time")) return kit_is_date_time(text) ? NULL : "must be a time like 2026-01-31T12:00:00Z";
    return NULL;
}

/* ------------------------------------------------------------------ values */

/* Why a value is wrong, in out; false: it is. */
static bool wrong(char out[96], const char *why)
{
    snprintf(out, 96, "%s", why);
    return false;
}

static bool exceeds(char out[96], const char *why, const json_t *limit, const char *unit)
{
    char number[40] = "";
    if (json_is_integer(limit))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(limit));
    else if (json_is_real(limit))
        snprintf(number, sizeof number, "%g", json_real_value(limit));
    snprintf(out, 96, "must %s %s%s", why, number, unit);
    return false;
}

static bool is_below(double value, const json_t *limit)
{
    return json_is_number(limit) && value < json_number_value(limit);
}

static bool is_above(double value, const json_t *limit)
{
    return json_is_number(limit) && value > json_number_value(limit);
}

static bool check_text(const json_t *schema, const json_t *value, char out[96])
{
    const json_t *min = json_object_get(schema, "minLength"), *max = json_object_get(schema, "maxLength");
    const char *text = json_string_value(value), *why;
    if (!text) return wrong(out, "must be a text");
    if (choices_of(schema)) return is_one_of(choices_of(schema), text) || wrong(out, "must be one of the choices");
    double size = (double)count_characters(text);
    if (is_below(size, min)) return exceeds(out, "have at least", min, " characters");
    if (is_above(size, max)) return exceeds(out, "have at most", max, " characters");
    why = check_format(text_of(schema, "format"), text);
    return !why || wrong(out, why);
}

static bool check_number(const json_t *schema, const json_t *value, char out[96])
{
    const json_t *min = json_object_get(schema, "minimum"), *max = json_object_get(schema, "maximum");
    int64_t whole;
    double number = json_number_value(value);
    if (!json_is_number(value)) return wrong(out, "must be a number");
    if (is_type(schema, "integer") &&
        (!kit_json_int64(value, INT64_MIN, INT64_MAX, &whole) || (json_is_real(value) && (double)whole != number)))
        return wrong(out, "must be a whole number");
    if (is_below(number, min)) return exceeds(out, "be at least", min, "");
    if (is_above(number, max)) return exceeds(out, "be at most", max, "");
    return true;
}

static bool check_several(const json_t *schema, const json_t *value, char out[96])
{
    const json_t *min = json_object_get(schema, "minItems"), *max = json_object_get(schema, "maxItems");
    const json_t *choices = choices_of(json_object_get(schema, "items"));
    double count = (double)json_array_size(value);
    size_t i;
    json_t *one;
    if (!json_is_array(value)) return wrong(out, "must be a list");
    if (is_below(count, min)) return exceeds(out, "have at least", min, " of the choices");
    if (is_above(count, max)) return exceeds(out, "have at most", max, " of the choices");
    json_array_foreach(value, i, one)
    {
        const char *text = json_string_value(one);
        if (!text || !is_one_of(choices, text)) return wrong(out, "must be some of the choices");
    }
    return true;
}

static bool check_answer(const json_t *schema, const json_t *value, char out[96])
{
    if (is_type(schema, "boolean")) return json_is_boolean(value) || wrong(out, "must be true or false");
    if (is_type(schema, "array")) return check_several(schema, value, out);
    if (is_type(schema, "string")) return check_text(schema, value, out);
    return check_number(schema, value, out);
}

static bool is_required(const json_t *schema, const char *name)
{
    return is_one_of(json_object_get(schema, "required"), name);
}

/* Returns the field's value, borrowed; NULL: it has none, or *failed. */
static const json_t *pick_answer(const json_t *schema, const json_t *field, const char *name, const json_t *given,
                                 struct kit_failure *failure)
{
    char why[96] = "is missing", pointer[80];
    const json_t *fallback = json_object_get(field, "default");
    char ignored[96];
    if (json_is_null(given)) given = NULL;
    if (given && check_answer(field, given, why)) return given;
    if (!given && fallback && check_answer(field, fallback, ignored)) return fallback;
    if (!given && !is_required(schema, name)) return NULL;
    snprintf(pointer, sizeof pointer, "/%s", name);
    kit_fail(failure, 400, pointer, "%s", why);
    return NULL;
}

json_t *mcp_form_fill(const json_t *schema, const json_t *content, struct kit_failure *failure)
{
    const char *name;
    json_t *field, *filled = json_object();
    failure->code = 0;
    if (content && !json_is_object(content)) kit_fail(failure, 400, NULL, "the answer must be an object");
    json_object_foreach(json_object_get(schema, "properties"), name, field)
    {
        if (failure->code) break;
        const json_t *value = pick_answer(schema, field, name, json_object_get(content, name), failure);
        if (value && json_object_set_new(filled, name, json_deep_copy(value)))
            kit_fail(failure, 503, NULL, "out of memory");
    }
    if (!filled && !failure->code) kit_fail(failure, 503, NULL, "out of memory");
    if (!failure->code) return filled;
    json_decref(filled);
    return NULL;
}
