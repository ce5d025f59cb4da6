/* The file of models: which providers there are, checked field by field, with their keys out of files of their own. */
#include "llm_int.h"
#include "kit_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES_MAX 8192
#define FILE_BYTES_MAX 1048576

/* Where a mistake is, for its message. */
struct place {
    const struct llm *llm;
    size_t index;
    char *error;
    size_t error_size;
};

static bool refuse(const struct place *place, const char *field, const char *allowed)
{
    snprintf(place->error, place->error_size, "%s: providers[%zu]: %s must be %s", place->llm->config->models_file,
             place->index, field, allowed);
    return false;
}

/* ----------------------------------------------------------------- fields */

static bool take_text(const struct place *place, const json_t *object, const char *field, const char *fallback,
                      char **out)
{
    const json_t *value = json_object_get(object, field);
    if (value && (!json_is_string(value) || memchr(json_string_value(value), 0, json_string_length(value))))
        return refuse(place, field, "a text");
    const char *text = value ? json_string_value(value) : fallback;
    *out = text ? strdup(text) : NULL;
    return !text || *out;
}

static bool take_bool(const struct place *place, const json_t *object, const char *field, bool fallback, bool *out)
{
    const json_t *value = json_object_get(object, field);
    *out = value ? json_is_true(value) : fallback;
    return !value || json_is_boolean(value) || refuse(place, field, "true or false");
}

static bool take_number(const struct place *place, const json_t *object, const char *field, uint32_t fallback,
                        uint32_t *out)
{
    const json_t *value = json_object_get(object, field);
    json_int_t number = value ? json_integer_value(value) : (json_int_t)fallback;
    *out = (uint32_t)number;
    return !value || (json_is_integer(value) && number > 0 && number <= INT32_MAX) ||
           refuse(place, field, "a number from 1 to 2147483647");
}

static bool is_known(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (!strcmp(*names, name)) return true;
    return false;
}

static bool check_fields(const struct place *place, json_t *object, const char *const *names)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (is_known(names, name)) continue;
        snprintf(place->error, place->error_size, "%s: providers[%zu]: unknown field %s",
                 place->llm->config->models_file, place->index, name);
        return false;
    }
    return true;
}

/* --------------------------------------------------------------- headers */

static bool is_header_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";
    return name[0] && strspn(name, allowed) == strlen(name);
}

static bool is_one_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' && *text != '\t') return false;
    return true;
}

static bool add_header(struct llm_provider *provider, const char *name, const char *prefix, const char *value)
{
    size_t count = 0, size = strlen(name) + strlen(prefix) + strlen(value) + 3;
    while (provider->headers && provider->headers[count]) count++;
    char **headers = realloc(provider->headers, (count + 2) * sizeof *headers);
    if (!headers) return false;
    provider->headers = headers;
    headers[count] = malloc(size);
    headers[count + 1] = NULL;
    if (headers[count]) snprintf(headers[count], size, "%s: %s%s", name, prefix, value);
    return headers[count] != NULL;
}

static bool take_headers(const struct place *place, struct llm_provider *provider, const json_t *object)
{
    json_t *headers = json_object_get(object, "headers");
    const char *name;
    json_t *value;
    if (headers && !json_is_object(headers)) return refuse(place, "headers", "an object of texts");
    json_object_foreach(headers, name, value)
    {
        const char *text = json_string_value(value);
        if (!text || !is_header_name(name) || !is_one_line(text))
            return refuse(place, "headers", "an object of texts in one line, by names of HTTP headers");
        if (!add_header(provider, name, "", text)) return false;
    }
    return add_header(provider, "Content-Type", "", "application/json") &&
           add_header(provider, "Accept", "", "text/event-stream, application/json");
}

/* The key in one line, without the blanks around it. */
static bool read_key(const struct place *place, struct llm_provider *provider, const char *path)
{
    size_t size, start = 0;
    char *text = kit_file_read(path, KIT_FILE_ANY, KEY_BYTES_MAX, &size);
    if (!text) {
        snprintf(place->error, place->error_size, "%s: providers[%zu]: %s: %s", place->llm->config->models_file,
                 place->index, path, kit_file_error());
        return false;
    }
    while (size && strchr(" \t\r\n", text[size - 1])) text[--size] = 0;
    while (text[start] && strchr(" \t\r\n", text[start])) start++;
    bool is_good = text[start] && is_one_line(text + start) && strlen(text) == size;
    provider->key = is_good ? strdup(text + start) : NULL;
    explicit_bzero(text, size);
    free(text);
    return provider->key || refuse(place, "key_file", "a file with a key in one line");
}

/* By default as a bearer token; with key_header as it is. */
static bool take_key(const struct place *place, struct llm_provider *provider, const json_t *object)
{
    char *path = NULL, *header = NULL;
    bool is_good =
        take_text(place, object, "key_file", NULL, &path) && take_text(place, object, "key_header", NULL, &header);
    if (is_good && header && !is_header_name(header)) is_good = refuse(place, "key_header", "the name of a header");
    if (is_good && path) is_good = read_key(place, provider, path);
    if (is_good && path)
        is_good = header ? add_header(provider, header, "", provider->key)
                         : add_header(provider, "Authorization", "Bearer ", provider->key);
    free(path);
    free(header);
    return is_good;
}

/* ------------------------------------------------------------------ URL */

/* The path behind the base, before a query, which Azure's has. */
static char *endpoint(const char *base)
{
    static const char path[] = "/chat/completions";
    size_t n = strcspn(base, "?#"), query = n;
    while (n && base[n - 1] == '/') n--;
    bool has_path = n >= sizeof path - 1 && !strncmp(base + n - (sizeof path - 1), path, sizeof path - 1);
    char *url = malloc(strlen(base) + sizeof path);
    if (url) sprintf(url, "%.*s%s%s", (int)n, base, has_path ? "" : path, base + query);
    return url;
}

static bool take_url(const struct place *place, struct llm_provider *provider, const json_t *object)
{
    const char *base = json_string_value(json_object_get(object, "base_url"));
    if (!base || kit_fetch_check_url(base) || strchr(base, '@'))
        return refuse(place, "base_url", "a URL such as https://api.example/v1, without a user or a password");
    provider->url = endpoint(base);
    return provider->url != NULL;
}

/* ------------------------------------------------------------- providers */

static bool take_openai(const struct place *place, struct llm_provider *provider, json_t *object)
{
    static const char *const names[] = {"id",
                                        "kind",
                                        "base_url",
                                        "model",
                                        "key_file",
                                        "key_header",
                                        "headers",
                                        "max_tokens_name",
                                        "max_tokens",
                                        "timeout_ms",
                                        "idle_timeout_ms",
                                        "extra",
                                        "start_timeout_ms",
                                        "sends_reasoning",
                                        "think_tags",
                                        "usage",
                                        NULL};
    const struct llm_config *config = place->llm->config;
    json_t *extra = json_object_get(object, "extra");
    if (!check_fields(place, object, names) || !take_url(place, provider, object)) return false;
    if (extra && !json_is_object(extra)) return refuse(place, "extra", "an object");
    provider->extra = json_incref(extra);
    if (!take_text(place, object, "model", NULL, &provider->model) ||
        !take_text(place, object, "max_tokens_name", "max_tokens", &provider->max_tokens_name))
        return false;
    if (!provider->model || !provider->model[0]) return refuse(place, "model", "the name of a model");
    if (json_object_get(object, "max_tokens") && !take_number(place, object, "max_tokens", 0, &provider->max_tokens))
        return false;
    return take_number(place, object, "timeout_ms", config->timeout_ms, &provider->timeout_ms) &&
           take_number(place, object, "start_timeout_ms", config->start_timeout_ms, &provider->start_timeout_ms) &&
           take_number(place, object, "idle_timeout_ms", config->idle_timeout_ms, &provider->idle_timeout_ms) &&
           take_bool(place, object, "sends_reasoning", false, &provider->sends_reasoning) &&
           take_bool(place, object, "think_tags", true, &provider->splits_thoughts) &&
           take_bool(place, object, "usage", true, &provider->wants_usage) && take_headers(place, provider, object) &&
           take_key(place, provider, object);
}

static bool take_local(const struct place *place, struct llm_provider *provider, json_t *object)
{
    static const char *const names[] = {"id", "kind", NULL};
    provider->ops = &llm__local_ops;
    return check_fields(place, object, names);
}

static bool is_twice(const struct llm_providers *providers, const char *id)
{
    for (size_t i = 0; i < providers->count; i++)
        if (!strcmp(providers->list[i].id, id)) return true;
    return false;
}

static bool take_provider(const struct place *place, struct llm_providers *providers, json_t *object)
{
    struct llm_provider *provider = &providers->list[providers->count];
    const char *kind = json_string_value(json_object_get(object, "kind"));
    const char *id = json_string_value(json_object_get(object, "id"));
    if (!json_is_object(object)) return refuse(place, "each", "an object");
    if (!id || !id[0] || strlen(id) > 64 || !is_one_line(id) || is_twice(providers, id))
        return refuse(place, "id", "a text of 1 to 64 bytes that no other provider has");
    providers->count++;
    if (!(provider->id = strdup(id))) return false;
    provider->ops = &llm__openai_ops;
    if (kind && !strcmp(kind, "local")) return take_local(place, provider, object);
    if (kind && strcmp(kind, "openai") != 0) return refuse(place, "kind", "openai or local");
    return take_openai(place, provider, object);
}

static bool take_file(struct place *place, struct llm_providers *providers)
{
    const char *path = place->llm->config->models_file;
    size_t size;
    json_error_t wrong;
    char *text = kit_file_read(path, KIT_FILE_ANY, FILE_BYTES_MAX, &size);
    if (!text) {
        snprintf(place->error, place->error_size, "%s: %s", path, kit_file_error());
        return false;
    }
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &wrong);
    const json_t *list = json_object_get(root, "providers");
    size_t count = json_array_size(list);
    bool is_good = root && count > 0 && count <= LLM_PROVIDERS_MAX;
    if (!root)
        snprintf(place->error, place->error_size, "%s: line %d: %s", path, wrong.line, wrong.text);
    else if (!is_good)
        snprintf(place->error, place->error_size, "%s: must be {\"providers\": [1 to %d objects]}", path,
                 LLM_PROVIDERS_MAX);
    for (place->index = 0; place->index < count && is_good; place->index++)
        is_good = take_provider(place, providers, json_array_get(list, place->index));
    json_decref(root);
    free(text);
    return is_good;
}

static bool take_default(struct llm_providers *providers)
{
    providers->count = 1;
    providers->list[0].ops = &llm__local_ops;
    providers->list[0].id = strdup("local");
    return providers->list[0].id != NULL;
}

struct llm_providers *llm__providers_read(const struct llm *llm, char *error, size_t error_size)
{
    struct llm_providers *providers = calloc(1, sizeof *providers);
    struct place place = {.llm = llm, .error = error, .error_size = error_size};
    snprintf(error, error_size, "out of memory");
    if (!providers) return NULL;
    providers->refs = 1;
    bool is_good = llm->config->models_file[0] ? take_file(&place, providers) : take_default(providers);
    if (is_good) return providers;
    llm__providers_unref(providers);
    return NULL;
}

static void wipe(char *secret)
{
    if (secret) explicit_bzero(secret, strlen(secret));
    free(secret);
}

void llm__providers_unref(struct llm_providers *providers)
{
    if (!providers || --providers->refs) return;
    for (size_t i = 0; i < providers->count; i++) {
        struct llm_provider *provider = &providers->list[i];
        for (char **header = provider->headers; header && *header; header++) wipe(*header);
        free(provider->headers);
        wipe(provider->key);
        free(provider->id);
        free(provider->url);
        free(provider->model);
        free(provider->max_tokens_name);
        json_decref(provider->extra);
    }
    free(providers);
}
