#include "mcp_schema.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIRRORS_MAX 64
#define ANNOTATION "x-mcp-header"

/* -------------------------------------------------------------- the schema */

struct bounds {
    const json_t *root;
    size_t count;
    const char *why;
};

static bool is_in(const char *word, const char *const *list)
{
    while (*list && strcmp(*list, word)) list++;
    return *list != NULL;
}

/* True if a schema within this one calls itself so: then a reference to it stays within. */
static bool has_id(const json_t *schema, const char *id, size_t depth)
{
    const char *key, *own = json_string_value(json_object_get(schema, "$id"));
    size_t i;
    json_t *one;
    if (own && !strcmp(own, id)) return true;
    if (depth > MCP_SCHEMA_DEPTH_MAX) return false;
    json_object_foreach((json_t *)(uintptr_t)schema, key, one)
    {
        if (has_id(one, id, depth + 1)) return true;
    }
    json_array_foreach(schema, i, one)
    {
        if (has_id(one, id, depth + 1)) return true;
    }
    return false;
}

static bool stays_within(const struct bounds *bounds, const char *reference)
{
    size_t n = strcspn(reference, "#");
    char *document = strndup(reference, n);
    bool is_own = document && (!n || has_id(bounds->root, document, 0));
    free(document);
    return is_own;
}

enum place { SCHEMA, MAP_OF_SCHEMAS, DATA }; /* what a value in a schema is */

static bool check_value(struct bounds *bounds, const json_t *value, size_t depth, enum place place);

static bool check_member(struct bounds *bounds, const char *key, const json_t *value, size_t depth)
{
    static const char *const references[] = {"$ref", "$dynamicRef", "$recursiveRef", NULL};
    static const char *const data[] = {"const", "enum", "default", "examples", "example", NULL};
    static const char *const maps[] = {"properties",       "patternProperties", "$defs", "definitions",
                                       "dependentSchemas", "dependencies",      NULL};
    if (is_in(key, references) && json_is_string(value) && !stays_within(bounds, json_string_value(value)))
        return (bounds->why = "it refers to another document", false);
    return check_value(bounds, value, depth, is_in(key, maps) ? MAP_OF_SCHEMAS : is_in(key, data) ? DATA : SCHEMA);
}

static bool check_value(struct bounds *bounds, const json_t *value, size_t depth, enum place place)
{
    const char *key;
    size_t i;
    json_t *one;
    enum place within = place == DATA ? DATA : SCHEMA;
    if (++bounds->count > MCP_SCHEMA_COUNT_MAX) return (bounds->why = "it is too large", false);
    if (depth > MCP_SCHEMA_DEPTH_MAX) return (bounds->why = "it is nested too deeply", false);
    json_object_foreach((json_t *)(uintptr_t)value, key, one)
    {
        bool is_good =
            place == SCHEMA ? check_member(bounds, key, one, depth + 1) : check_value(bounds, one, depth + 1, within);
        if (!is_good) return false;
    }
    json_array_foreach(value, i, one)
    {
        if (!check_value(bounds, one, depth + 1, within)) return false;
    }
    return true;
}

const char *mcp_schema_check(const json_t *schema)
{
    struct bounds bounds = {schema, 0, NULL};
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (!json_is_object(schema)) return "it is not an object";
    if (!type || strcmp(type, "object")) return "its type is not object";
    check_value(&bounds, schema, 0, SCHEMA);
    return bounds.why;
}

/* ----------------------------------------------------------------- mirrors */

struct mirror_walk {
    struct mcp_mirror **tail, *first;
    const char *path[MCP_SCHEMA_DEPTH_MAX + 2];
    size_t depth, count;
    const char *why;
};

/* RFC 9110, section 5.6.2. */
static bool is_token(const char *text, size_t size)
{
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    return size && size <= 128 && strspn(text, allowed) == size;
}

static bool is_taken(const struct mcp_mirror *list, const char *header)
{
    while (list && strcasecmp(list->header, header)) list = list->next;
    return list != NULL;
}

static bool add_mirror(struct mirror_walk *walk, const char *header)
{
    struct mcp_mirror *mirror = calloc(1, sizeof *mirror + (walk->depth + 1) * sizeof *mirror->path);
    if (!mirror) return (walk->why = "out of memory", false);
    const char **path = (const char **)(mirror + 1);
    memcpy(path, walk->path, walk->depth * sizeof *path);
    mirror->header = header;
    mirror->path = path;
    *walk->tail = mirror;
    walk->tail = &mirror->next;
    return true;
}

static bool read_annotation(struct mirror_walk *walk, const json_t *schema, const json_t *annotation)
{
    static const char *const types[] = {"string", "integer", "boolean", NULL};
    const char *type = json_string_value(json_object_get(schema, "type")), *header = json_string_value(annotation);
    if (!header || !is_token(header, json_string_length(annotation)))
        return (walk->why = ANNOTATION " is not the name of a header", false);
    if (!type || !is_in(type, types))
        return (walk->why = ANNOTATION " is on a type other than string, integer, boolean", false);
    if (is_taken(walk->first, header)) return (walk->why = ANNOTATION " names one header twice", false);
    if (++walk->count > MIRRORS_MAX) return (walk->why = "too many of " ANNOTATION, false);
    return add_mirror(walk, header);
}

static bool walk_mirrors(struct mirror_walk *walk, const json_t *schema, bool is_reachable);

static bool walk_properties(struct mirror_walk *walk, const json_t *properties, bool is_reachable)
{
    const char *name;
    json_t *one;
    json_object_foreach((json_t *)(uintptr_t)properties, name, one)
    {
        walk->path[walk->depth++] = name;
        bool is_good = walk_mirrors(walk, one, is_reachable);
        walk->path[--walk->depth] = NULL;
        if (!is_good) return false;
    }
    return true;
}

/* What is not below `properties` alone may not have an annotation. */
static bool walk_mirrors(struct mirror_walk *walk, const json_t *schema, bool is_reachable)
{
    static const char *const data[] = {"const", "enum", "default", "examples", ANNOTATION, NULL};
    const char *key;
    size_t i;
    json_t *one;
    if (walk->depth > MCP_SCHEMA_DEPTH_MAX) return (walk->why = "it is nested too deeply", false);
    json_t *annotation = json_object_get(schema, ANNOTATION);
    if (annotation && (!is_reachable || !walk->depth))
        return (walk->why = ANNOTATION " is not reachable through properties alone", false);
    if (annotation && !read_annotation(walk, schema, annotation)) return false;
    json_object_foreach((json_t *)(uintptr_t)schema, key, one)
    {
        if (is_in(key, data)) continue;
        bool is_map = !strcmp(key, "properties");
        if (is_map ? !walk_properties(walk, one, is_reachable) : !walk_mirrors(walk, one, false)) return false;
    }
    json_array_foreach(schema, i, one)
    {
        if (!walk_mirrors(walk, one, false)) return false;
    }
    return true;
}

bool mcp_mirrors_read(const json_t *schema, struct mcp_mirror **list, const char **why)
{
    struct mirror_walk walk = {.why = NULL};
    walk.tail = &walk.first;
    bool is_good = walk_mirrors(&walk, schema, true);
    *why = walk.why;
    *list = is_good ? walk.first : NULL;
    if (!is_good) mcp_mirrors_free(walk.first);
    return is_good;
}

void mcp_mirrors_free(struct mcp_mirror *list)
{
    while (list) {
        struct mcp_mirror *next = list->next;
        free(list);
        list = next;
    }
}

bool mcp_mirror_header(const struct mcp_mirror *mirror, const json_t *arguments, char **out)
{
    char name[160], number[32];
    const json_t *value = arguments;
    for (const char *const *step = mirror->path; *step && value; step++) value = json_object_get(value, *step);
    struct eio_str text = eio_str(json_is_true(value) ? "true" : "false");
    *out = NULL;
    if (json_is_string(value)) {
        text = (struct eio_str){json_string_value(value), json_string_length(value)};
    } else if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        text = eio_str(number);
    } else if (json_is_real(value) && json_real_value(value) >= -9e15 && json_real_value(value) <= 9e15) {
        snprintf(number, sizeof number, "%.0f", json_real_value(value)); /* an integer that a model wrote as 3.0 */
        text = eio_str(number);
    } else if (!json_is_boolean(value)) {
        return true;
    }
    snprintf(name, sizeof name, "Mcp-Param-%s", mirror->header);
    *out = mcp_header(name, text);
    return *out != NULL;
}

/* ----------------------------------------------------------------- headers */

static bool is_plain(struct eio_str value)
{
    static const char mark[] = "=?base64?";
    if (value.n &&
        (value.p[0] == ' ' || value.p[value.n - 1] == ' ' || value.p[0] == '\t' || value.p[value.n - 1] == '\t'))
        return false;
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] < ' ' || (unsigned char)value.p[i] > '~') return false;
    return value.n < sizeof mark - 1 || memcmp(value.p, mark, sizeof mark - 1) != 0;
}

char *mcp_header(const char *name, struct eio_str value)
{
    size_t name_size = strlen(name);
    size_t size = name_size + sodium_base64_encoded_len(value.n, sodium_base64_VARIANT_ORIGINAL) + 32;
    char *out = malloc(size);
    if (!out) return NULL;
    /* libcurl drops a header without a value unless it ends with a semicolon. */
    if (!value.n) {
        snprintf(out, size, "%s;", name);
    } else if (is_plain(value)) {
        snprintf(out, size, "%s: %.*s", name, (int)value.n, value.p);
    } else {
        size_t n = (size_t)snprintf(out, size, "%s: =?base64?", name);
        sodium_bin2base64(out + n, size - n, (const unsigned char *)value.p, value.n, sodium_base64_VARIANT_ORIGINAL);
        strcat(out, "?=");
    }
    return out;
}
