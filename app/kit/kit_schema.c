/* The validator. It walks schema and value together; depth is bounded by the schema's, not by the value's. */
#include "kit_schema.h"
#include "kit_embed.h"
#include "kit_str.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern const struct kit_embedded_file kit_embedded_schemas[];

struct kit_schemas {
    json_t *by_name;
};

/* ------------------------------------------------------------------ set */

static const char *const keywords[] = {"$schema",    "$id",   "title",     "description", "type",   "required",
                                       "properties", "enum",  "minLength", "maxLength",   "format", "minimum",
                                       "maximum",    "items", "minItems",  "maxItems",    NULL};

bool kit_schema_is_supported(const json_t *schema, const char **what)
{
    const char *key;
    json_t *value;
    if (!json_is_object(schema)) return (*what = "a schema must be an object", false);
    json_object_foreach((json_t *)(uintptr_t)schema, key, value)
    {
        size_t i = 0;
        while (keywords[i] && strcmp(keywords[i], key)) i++;
        if (!keywords[i]) return (*what = key, false);
    }
    json_t *properties = json_object_get(schema, "properties");
    json_object_foreach(properties, key, value)
    {
        if (!kit_schema_is_supported(value, what)) return false;
    }
    json_t *items = json_object_get(schema, "items");
    return !items || kit_schema_is_supported(items, what);
}

struct kit_schemas *kit_schemas_new(char *error, size_t error_size)
{
    struct kit_schemas *schemas = calloc(1, sizeof *schemas);
    if (schemas) schemas->by_name = json_object();
    if (!schemas || !schemas->by_name) goto fail;
    for (const struct kit_embedded_file *file = kit_embedded_schemas; file->name; file++) {
        json_error_t where;
        const char *what = "";
        json_t *schema = json_loadb((const char *)file->data, kit_embedded_size(file), JSON_REJECT_DUPLICATES, &where);
        if (!schema || !kit_schema_is_supported(schema, &what)) {
            snprintf(error, error_size, "schema %s: %s%s", file->name, schema ? "not supported: " : where.text, what);
            json_decref(schema);
            kit_schemas_free(schemas);
            return NULL;
        }
        if (json_object_set_new(schemas->by_name, file->name, schema)) goto fail;
    }
    return schemas;
fail:
    snprintf(error, error_size, "out of memory");
    kit_schemas_free(schemas);
    return NULL;
}

void kit_schemas_free(struct kit_schemas *schemas)
{
    if (!schemas) return;
    json_decref(schemas->by_name);
    free(schemas);
}

const json_t *kit_schema_find(const struct kit_schemas *schemas, const char *event)
{
    char name[128], file[sizeof name + sizeof ".json"];
    snprintf(name, sizeof name, "%s", event);
    for (char *c = name; *c; c++)
        if (*c == ':' || *c == '.') *c = '_';
    snprintf(file, sizeof file, "%s.json", name);
    return json_object_get(schemas->by_name, file);
}

/* -------------------------------------------------------------- formats */

bool kit_is_id(const char *text, size_t size)
{
    if (size < 1 || size > 128) return false;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && c != '.' && c != ':' && c != '-') return false;
    }
    return true;
}

bool kit_is_user(const char *text, size_t size)
{
    return size >= 1 && size < KIT_USER_SIZE && !memchr(text, 0, size);
}

bool kit_json_int64(const json_t *value, int64_t low, int64_t high, int64_t *out)
{
    int64_t number;
    if (json_is_integer(value)) {
        number = json_integer_value(value);
    } else if (json_is_real(value)) {
        double real = json_real_value(value);
        /* -2^63 and 2^63 as doubles are exact; written so that NaN fails. */
        if (!(real >= -9223372036854775808.0 && real < 9223372036854775808.0)) return false;
        number = (int64_t)real;
        if ((double)number > real) number--;
    } else {
        return false;
    }
    if (number < low || number > high) return false;
    *out = number;
    return true;
}

bool kit_text_int64(struct eio_str text, int64_t low, int64_t high, int64_t *out)
{
    int64_t number = 0;
    bool is_negative = text.n && text.p[0] == '-';
    size_t i = is_negative ? 1 : 0;
    if (i == text.n) return false;
    for (; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return false;
        int digit = text.p[i] - '0';
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, is_negative ? -digit : digit, &number))
            return false;
    }
    if (number < low || number > high) return false;
    *out = number;
    return true;
}

/* Takes exactly n digits; returns the value or -1. */
static int digits(const char **text, int n)
{
    int value = 0;
    for (; n; n--, (*text)++) {
        if (**text < '0' || **text > '9') return -1;
        value = value * 10 + (**text - '0');
    }
    return value;
}

static bool in_range(int value, int low, int high)
{
    return value >= low && value <= high;
}

static bool literal(const char **text, const char *set)
{
    if (!**text || !strchr(set, **text)) return false;
    (*text)++;
    return true;
}

static bool is_offset(const char *t)
{
    if (*t == 'Z' || *t == 'z') return !t[1];
    if (!literal(&t, "+-")) return false;
    if (!in_range(digits(&t, 2), 0, 23) || !literal(&t, ":")) return false;
    return in_range(digits(&t, 2), 0, 59) && !*t;
}

bool kit_is_date_time(const char *t)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = digits(&t, 4);
    if (year < 0 || !literal(&t, "-")) return false;
    int month = digits(&t, 2);
    if (!in_range(month, 1, 12) || !literal(&t, "-")) return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (!in_range(digits(&t, 2), 1, days[month - 1] + (month == 2 && leap)) || !literal(&t, "Tt ")) return false;
    if (!in_range(digits(&t, 2), 0, 23) || !literal(&t, ":")) return false;
    if (!in_range(digits(&t, 2), 0, 59) || !literal(&t, ":")) return false;
    if (!in_range(digits(&t, 2), 0, 60)) return false;
    if (*t == '.') {
        if (!isdigit((unsigned char)*++t)) return false;
        while (isdigit((unsigned char)*t)) t++;
    }
    return is_offset(t);
}

bool kit_read_date_time(const char *text, int64_t *unix_ms)
{
    struct tm tm = {0};
    int n = 0, hours = 0, minutes = 0;
    char sign = 'Z';
    double seconds;
    if (!kit_is_date_time(text) || sscanf(text, "%d-%d-%d%*c%d:%d:%lf%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                                          &tm.tm_hour, &tm.tm_min, &seconds, &n) != 6)
        return false;
    if (sscanf(text + n, "%c%d:%d", &sign, &hours, &minutes) < 1) return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    int64_t offset_s = (sign == '-' ? -1 : sign == '+' ? 1 : 0) * (hours * 3600 + minutes * 60);
    *unix_ms = ((int64_t)timegm(&tm) - offset_s) * 1000 + (int64_t)(seconds * 1000);
    return true;
}

/* -------------------------------------------------------------- checker */

/* The path to the value being looked at, as text. */
struct walk {
    struct kit_schema_error *error;
    size_t size; /* of error->pointer that is in use */
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct walk *walk, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(walk->error->message, sizeof walk->error->message, format, args);
    va_end(args);
    return false;
}

static long long limit_of(const json_t *limit)
{
    return (long long)json_integer_value(limit);
}

static const char *plural_of(const json_t *limit)
{
    return kit_s((unsigned long long)json_integer_value(limit));
}

static bool has_type(const json_t *value, const char *type)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return !strcmp(type, "object");
    case JSON_ARRAY:
        return !strcmp(type, "array");
    case JSON_STRING:
        return !strcmp(type, "string");
    case JSON_INTEGER:
        return !strcmp(type, "integer") || !strcmp(type, "number");
    case JSON_REAL:
        return !strcmp(type, "number");
    case JSON_TRUE:
    case JSON_FALSE:
        return !strcmp(type, "boolean");
    default:
        return !strcmp(type, "null");
    }
}

static bool check_string(const json_t *schema, const json_t *value, struct walk *walk)
{
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);
    const json_t *min = json_object_get(schema, "minLength"), *max = json_object_get(schema, "maxLength");
    const char *format = json_string_value(json_object_get(schema, "format"));
    if (min && size < (size_t)json_integer_value(min))
        return wrong(walk, "must be at least %lld byte%s", limit_of(min), plural_of(min));
    if (max && size > (size_t)json_integer_value(max))
        return wrong(walk, "must be at most %lld byte%s", limit_of(max), plural_of(max));
    if (format && !strcmp(format, "id") && !kit_is_id(text, size))
        return wrong(walk, "must be 1 to 128 characters from %s", "A-Z a-z 0-9 _ . : -");
    if (format && !strcmp(format, "date-time") && (strlen(text) != size || !kit_is_date_time(text)))
        return wrong(walk, "must be a time like %s", "2026-01-31T12:00:00.000Z");
    return true;
}

static bool check_number(const json_t *schema, const json_t *value, struct walk *walk)
{
    const json_t *min = json_object_get(schema, "minimum"), *max = json_object_get(schema, "maximum");
    double number = json_number_value(value);
    if (min && number < json_number_value(min)) return wrong(walk, "must be at least %lld", limit_of(min));
    if (max && number > json_number_value(max)) return wrong(walk, "must be at most %lld", limit_of(max));
    return true;
}

static bool check_enum(const json_t *list, const json_t *value, struct walk *walk)
{
    char names[96] = "";
    size_t i, n = 0;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (json_equal(one, value)) return true;
        if (json_is_string(one) && n < sizeof names)
            n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", json_string_value(one));
    }
    return wrong(walk, "must be one of %s", names);
}

static bool check_value(const json_t *schema, const json_t *value, struct walk *walk);

/* RFC 6901: '~' is ~0 and '/' is ~1. */
static bool check_at(const json_t *schema, const json_t *value, struct walk *walk, const char *token)
{
    char *pointer = walk->error->pointer;
    size_t before = walk->size, limit = sizeof walk->error->pointer - 3;
    if (walk->size < limit) pointer[walk->size++] = '/';
    for (; *token && walk->size < limit; token++) {
        if (*token == '~' || *token == '/') {
            pointer[walk->size++] = '~';
            pointer[walk->size++] = *token == '~' ? '0' : '1';
        } else {
            pointer[walk->size++] = *token;
        }
    }
    pointer[walk->size] = 0;
    if (!value) return wrong(walk, "is missing");
    if (!check_value(schema, value, walk)) return false;
    walk->size = before;
    pointer[before] = 0;
    return true;
}

static bool check_object(const json_t *schema, const json_t *value, struct walk *walk)
{
    const char *name;
    size_t i;
    json_t *one, *required = json_object_get(schema, "required");
    json_t *properties = json_object_get(schema, "properties");
    json_array_foreach(required, i, one)
    {
        const char *wanted = json_string_value(one);
        if (!json_object_get(value, wanted)) return check_at(NULL, NULL, walk, wanted);
    }
    json_object_foreach(properties, name, one)
    {
        const json_t *field = json_object_get(value, name);
        if (field && !check_at(one, field, walk, name)) return false;
    }
    return true;
}

static bool check_array(const json_t *schema, const json_t *value, struct walk *walk)
{
    const json_t *items = json_object_get(schema, "items");
    const json_t *min = json_object_get(schema, "minItems"), *max = json_object_get(schema, "maxItems");
    size_t size = json_array_size(value);
    if (min && size < (size_t)json_integer_value(min))
        return wrong(walk, "must have at least %lld element%s", limit_of(min), plural_of(min));
    if (max && size > (size_t)json_integer_value(max))
        return wrong(walk, "must have at most %lld element%s", limit_of(max), plural_of(max));
    for (size_t i = 0; items && i < size; i++) {
        char position[24];
        snprintf(position, sizeof position, "%zu", i);
        if (!check_at(items, json_array_get(value, i), walk, position)) return false;
    }
    return true;
}

static bool check_value(const json_t *schema, const json_t *value, struct walk *walk)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    const json_t *list = json_object_get(schema, "enum");
    if (type && !has_type(value, type)) return wrong(walk, "must be of type %s", type);
    if (list && !check_enum(list, value, walk)) return false;
    if (json_is_string(value)) return check_string(schema, value, walk);
    if (json_is_number(value)) return check_number(schema, value, walk);
    if (json_is_object(value)) return check_object(schema, value, walk);
    if (json_is_array(value)) return check_array(schema, value, walk);
    return true;
}

bool kit_schema_check(const json_t *schema, const json_t *value, struct kit_schema_error *error)
{
    struct walk walk = {error, 0};
    error->pointer[0] = error->message[0] = 0;
    if (!schema) return wrong(&walk, "this event has no schema");
    if (!value) return wrong(&walk, "must be one JSON object");
    return check_value(schema, value, &walk);
}
