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
    char file[128 + sizeof ".json"];
    size_t n = strnlen(event, 128);
    for (size_t i = 0; i < n; i++) file[i] = event[i] == ':' || event[i] == '.' ? '_' : event[i];
    memcpy(file + n, ".json", sizeof ".json");
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

/* The way to the value being looked at. It is written down only for what is wrong. */
struct step {
    const struct step *before;
    const char *token; /* NULL: the element of an array */
    size_t index;
};

struct walk {
    struct kit_schema_error *error;
    const char *given; /* a field of the whole that is there for sure; NULL */
};

/* RFC 6901: '~' is ~0 and '/' is ~1. Returns how long it is. */
static size_t put_pointer(char *pointer, const struct step *step)
{
    const size_t limit = sizeof((struct kit_schema_error *)NULL)->pointer - 3;
    char number[24];
    if (!step) return 0;
    size_t n = put_pointer(pointer, step->before);
    const char *token = step->token;
    if (!token) snprintf(number, sizeof number, "%zu", step->index);
    if (n < limit) pointer[n++] = '/';
    for (token = token ? token : number; *token && n < limit; token++) {
        if (*token == '~' || *token == '/') {
            pointer[n++] = '~';
            pointer[n++] = *token == '~' ? '0' : '1';
        } else {
            pointer[n++] = *token;
        }
    }
    return n;
}

__attribute__((format(printf, 3, 4))) static bool wrong(const struct walk *walk, const struct step *at,
                                                        const char *format, ...)
{
    va_list args;
    walk->error->pointer[put_pointer(walk->error->pointer, at)] = 0;
    va_start(args, format);
    vsnprintf(walk->error->message, sizeof walk->error->message, format, args);
    va_end(args);
    return false;
}

/* What a schema says: its keywords, each looked at once. */
struct rules {
    const char *type, *format;
    const json_t *list, *required, *properties, *items;
    const json_t *min_length, *max_length, *minimum, *maximum, *min_items, *max_items;
};

static void read_rules(const json_t *schema, struct rules *rules)
{
    const struct {
        const char *name;
        const json_t **value;
    } known[] = {{"minLength", &rules->min_length}, {"maxLength", &rules->max_length},
                 {"minimum", &rules->minimum},      {"maximum", &rules->maximum},
                 {"items", &rules->items},          {"minItems", &rules->min_items},
                 {"maxItems", &rules->max_items},   {"enum", &rules->list},
                 {"required", &rules->required},    {"properties", &rules->properties}};
    const char *key;
    json_t *value;
    memset(rules, 0, sizeof *rules);
    json_object_foreach((json_t *)(uintptr_t)schema, key, value)
    {
        if (key[0] == 't' && !strcmp(key, "type")) {
            rules->type = json_string_value(value);
        } else if (key[0] == 'f' && !strcmp(key, "format")) {
            rules->format = json_string_value(value);
        } else if (strchr("mierp", key[0])) {
            for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                if (!strcmp(known[i].name, key)) *known[i].value = value;
        }
    }
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

static bool check_string(const struct rules *rules, const json_t *value, const struct walk *walk, const struct step *at)
{
    const char *text = json_string_value(value), *format = rules->format;
    size_t size = json_string_length(value);
    const json_t *min = rules->min_length, *max = rules->max_length;
    if (min && size < (size_t)json_integer_value(min))
        return wrong(walk, at, "must be at least %lld byte%s", limit_of(min), plural_of(min));
    if (max && size > (size_t)json_integer_value(max))
        return wrong(walk, at, "must be at most %lld byte%s", limit_of(max), plural_of(max));
    if (format && !strcmp(format, "id") && !kit_is_id(text, size))
        return wrong(walk, at, "must be 1 to 128 characters from %s", "A-Z a-z 0-9 _ . : -");
    if (format && !strcmp(format, "date-time") && (strlen(text) != size || !kit_is_date_time(text)))
        return wrong(walk, at, "must be a time like %s", "2026-01-31T12:00:00.000Z");
    return true;
}

static bool check_number(const struct rules *rules, const json_t *value, const struct walk *walk, const struct step *at)
{
    const json_t *min = rules->minimum, *max = rules->maximum;
    double number = json_number_value(value);
    if (min && number < json_number_value(min)) return wrong(walk, at, "must be at least %lld", limit_of(min));
    if (max && number > json_number_value(max)) return wrong(walk, at, "must be at most %lld", limit_of(max));
    return true;
}

static bool check_enum(const json_t *list, const json_t *value, const struct walk *walk, const struct step *at)
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
    return wrong(walk, at, "must be one of %s", names);
}

static bool check_value(const json_t *schema, const json_t *value, const struct walk *walk, const struct step *at);

static bool check_object(const struct rules *rules, const json_t *value, const struct walk *walk, const struct step *at)
{
    const char *name;
    size_t i;
    json_t *one;
    json_array_foreach(rules->required, i, one)
    {
        const struct step missing = {at, json_string_value(one), 0};
        bool is_given = !at && walk->given && !strcmp(walk->given, missing.token);
        if (!is_given && !json_object_get(value, missing.token)) return wrong(walk, &missing, "is missing");
    }
    json_object_foreach((json_t *)(uintptr_t)rules->properties, name, one)
    {
        const struct step inner = {at, name, 0};
        const json_t *field = json_object_get(value, name);
        if (field && !check_value(one, field, walk, &inner)) return false;
    }
    return true;
}

static bool check_array(const struct rules *rules, const json_t *value, const struct walk *walk, const struct step *at)
{
    const json_t *min = rules->min_items, *max = rules->max_items;
    size_t size = json_array_size(value);
    if (min && size < (size_t)json_integer_value(min))
        return wrong(walk, at, "must have at least %lld element%s", limit_of(min), plural_of(min));
    if (max && size > (size_t)json_integer_value(max))
        return wrong(walk, at, "must have at most %lld element%s", limit_of(max), plural_of(max));
    for (size_t i = 0; rules->items && i < size; i++) {
        const struct step inner = {at, NULL, i};
        if (!check_value(rules->items, json_array_get(value, i), walk, &inner)) return false;
    }
    return true;
}

static bool check_value(const json_t *schema, const json_t *value, const struct walk *walk, const struct step *at)
{
    struct rules rules;
    read_rules(schema, &rules);
    if (rules.type && !has_type(value, rules.type)) return wrong(walk, at, "must be of type %s", rules.type);
    if (rules.list && !check_enum(rules.list, value, walk, at)) return false;
    if (json_is_string(value)) return check_string(&rules, value, walk, at);
    if (json_is_number(value)) return check_number(&rules, value, walk, at);
    if (json_is_object(value)) return check_object(&rules, value, walk, at);
    if (json_is_array(value)) return check_array(&rules, value, walk, at);
    return true;
}

bool kit_schema_check_but(const json_t *schema, const json_t *value, const char *given, struct kit_schema_error *error)
{
    struct walk walk = {error, given};
    error->pointer[0] = error->message[0] = 0;
    if (!schema) return wrong(&walk, NULL, "this event has no schema");
    if (!value) return wrong(&walk, NULL, "must be one JSON object");
    return check_value(schema, value, &walk, NULL);
}

bool kit_schema_check(const json_t *schema, const json_t *value, struct kit_schema_error *error)
{
    return kit_schema_check_but(schema, value, NULL, error);
}
