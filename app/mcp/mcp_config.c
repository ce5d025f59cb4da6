/* The file that mcp_file names, {"servers": […]}, and the files with secrets that it names. docs/mcp.md shows it. */
#include "mcp_int.h"

#include "kit_options.h"
#include "kit_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILE_MAX 1048576
#define SECRETS_MAX 65536
#define HEADERS_MAX 16

static const struct kit_choice eras[] = {{"auto", MCP_AUTO}, {"2026", MCP_MODERN}, {"2025", MCP_LEGACY}, {NULL, 0}};
static const struct kit_choice policies[] = {{"run", MCP_RUN}, {"ask", MCP_ASK}, {"never", MCP_NEVER}, {NULL, 0}};

/* Where a value stands, for messages. */
struct place {
    const char *server; /* "": not known yet */
    char *error;
    size_t error_size;
};

static bool refuse(const struct place *place, const char *field, const char *why)
{
    snprintf(place->error, place->error_size, "server '%s': %s %s", place->server, field, why);
    return false;
}

static bool read_choice(const struct place *place, const char *field, const json_t *value,
                        const struct kit_choice *choices, int *out)
{
    char allowed[96] = "must be one of";
    if (!value) return true;
    for (const struct kit_choice *choice = choices; choice->name; choice++) {
        snprintf(allowed + strlen(allowed), sizeof allowed - strlen(allowed), " %s", choice->name);
        if (!json_is_string(value) || strcmp(choice->name, json_string_value(value))) continue;
        *out = choice->value;
        return true;
    }
    return refuse(place, field, allowed);
}

static bool read_text(const struct place *place, const char *field, const json_t *value, char **out)
{
    if (!value) return true;
    if (!json_is_string(value) || !json_string_length(value)) return refuse(place, field, "must be a text");
    *out = strdup(json_string_value(value));
    return *out || refuse(place, field, "does not fit into memory");
}

static bool read_policy(const struct place *place, const json_t *policy, struct mcp_server_config *config)
{
    const char *key;
    json_t *one;
    int value = 0;
    if (!policy) return true;
    if (!json_is_object(policy)) return refuse(place, "policy", "must be an object");
    json_object_foreach((json_t *)(uintptr_t)policy, key, one)
    {
        if (strcmp(key, "default") && strcmp(key, "tools")) return refuse(place, key, "is not a part of policy");
    }
    const json_t *fallback = json_object_get(policy, "default");
    if (!read_choice(place, "policy.default", fallback, policies, &value)) return false;
    config->has_policy = fallback != NULL;
    config->policy = (enum mcp_policy)value;
    json_t *tools = json_object_get(policy, "tools");
    if (tools && !json_is_object(tools)) return refuse(place, "policy.tools", "must be an object");
    json_object_foreach(tools, key, one)
    {
        if (!read_choice(place, key, one, policies, &value)) return false;
    }
    config->policies = json_incref(tools);
    return true;
}

/* Names of tools for models begin with it; an underscore would end it there. */
static bool is_server_id(const char *text)
{
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-");
    return n && n < MCP_SERVER_ID_SIZE && !text[n];
}

static bool check_keys(const struct place *place, const json_t *entry)
{
    static const char *const known[] = {"id",      "url",     "era",    "token_file", "headers_file",
                                        "private", "session", "policy", "comment",    NULL};
    const char *key;
    json_t *one;
    json_object_foreach((json_t *)(uintptr_t)entry, key, one)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key)) i++;
        if (!known[i]) return refuse(place, key, "is not known");
    }
    return true;
}

static bool read_server(struct place *place, const json_t *entry, struct mcp_server_config *config)
{
    static const struct kit_choice sessions[] = {{"user", false}, {"shared", true}, {NULL, 0}};
    const char *id = json_string_value(json_object_get(entry, "id"));
    const json_t *is_private = json_object_get(entry, "private");
    int era = MCP_AUTO, shares = false;
    place->server = id ? id : "";
    if (!json_is_object(entry)) return refuse(place, "it", "must be an object");
    if (!id || !is_server_id(id)) return refuse(place, "id", "must be 1 to 32 of A-Z a-z 0-9 -");
    memcpy(config->id, id, strlen(id));
    bool is_good = check_keys(place, entry) && read_text(place, "url", json_object_get(entry, "url"), &config->url) &&
                   read_text(place, "token_file", json_object_get(entry, "token_file"), &config->token_file) &&
                   read_text(place, "headers_file", json_object_get(entry, "headers_file"), &config->headers_file) &&
                   read_choice(place, "era", json_object_get(entry, "era"), eras, &era) &&
                   read_choice(place, "session", json_object_get(entry, "session"), sessions, &shares) &&
                   read_policy(place, json_object_get(entry, "policy"), config);
    if (!is_good) return false;
    config->era = (enum mcp_era)era;
    config->shares_session = shares;
    config->is_private = json_is_true(is_private);
    if (is_private && !json_is_boolean(is_private)) return refuse(place, "private", "must be true or false");
    if (!config->url || kit_fetch_check_url(config->url))
        return refuse(place, "url", "must be a URL that begins with http:// or https:// and names a host");
    return true;
}

static bool is_twice(const struct mcp_server_config *list, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++)
        if (!strcasecmp(list[i].id, list[count - 1].id)) return true;
    return false;
}

/* Returns a file's bytes with a zero behind them; NULL with error. */
static char *read_file(const char *path, size_t max_bytes, char *error, size_t error_size)
{
    size_t n;
    char *text = kit_file_read(path, KIT_FILE_ANY, max_bytes, &n);
    bool is_good = text && !memchr(text, 0, n);
    if (!is_good)
        snprintf(error, error_size, "cannot read %s: %s", path,
                 text             ? "it is not a text"
                 : errno == EFBIG ? "it is too large"
                                  : kit_file_error());
    if (is_good) return text;
    free(text);
    return NULL;
}

int mcp_config_load(const char *path, struct mcp_server_config **list, size_t *count, char *error, size_t error_size)
{
    struct place place = {"", error, error_size};
    json_error_t where;
    json_t *entry;
    size_t i;
    *count = 0;
    *list = NULL;
    char *text = read_file(path, FILE_MAX, error, error_size);
    json_t *root = text ? json_loads(text, JSON_REJECT_DUPLICATES, &where) : NULL;
    json_t *servers = json_object_get(root, "servers");
    if (text && !root) snprintf(error, error_size, "%s, line %d: %s", path, where.line, where.text);
    if (root && !json_is_array(servers)) snprintf(error, error_size, "%s: must be {\"servers\": [...]}", path);
    free(text);
    int failed = json_is_array(servers) ? 0 : EIO_EINVAL;
    if (!failed) *list = calloc(json_array_size(servers) + 1, sizeof **list);
    if (!failed && !*list) failed = EIO_ENOMEM;
    json_array_foreach(servers, i, entry)
    {
        if (failed) break;
        if (!read_server(&place, entry, &(*list)[(*count)++])) failed = EIO_EINVAL;
        if (!failed && is_twice(*list, *count)) failed = (refuse(&place, "id", "is that of another one"), EIO_EINVAL);
    }
    json_decref(root);
    if (!failed) return 0;
    while (*count) mcp_config_clear(&(*list)[--*count]);
    free(*list);
    *list = NULL;
    return failed;
}

void mcp_config_clear(struct mcp_server_config *config)
{
    free(config->url);
    free(config->token_file);
    free(config->headers_file);
    json_decref(config->policies);
    memset(config, 0, sizeof *config);
}

/* ----------------------------------------------------------------- secrets */

void mcp_strings_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++) free(list[i]);
    free(list);
}

static char *trim(char *text)
{
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1])) text[--n] = 0;
    while (isspace((unsigned char)*text)) text++;
    return text;
}

/* What the client itself sends. */
static bool is_own_header(const char *line)
{
    static const char *const own[] = {"accept",     "content-type", "content-length", "host", "transfer-encoding",
                                      "connection", "last-event-id"};
    size_t n = strcspn(line, ":");
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strlen(own[i]) == n && !strncasecmp(line, own[i], n)) return true;
    return !strncasecmp(line, "mcp-", 4);
}

static bool is_header(const char *line)
{
    size_t n = strspn(line, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    if (!n || line[n] != ':' || is_own_header(line)) return false;
    for (const char *c = line + n; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) return false;
    return true;
}

static bool read_token(const char *path, char **out, char *error, size_t error_size)
{
    char *text = read_file(path, SECRETS_MAX, error, error_size);
    if (!text) return false;
    const char *token = trim(text);
    size_t size = strlen(token) + sizeof "Authorization: Bearer ";
    bool is_good = *token && !strpbrk(token, " \t\r\n");
    *out = is_good ? malloc(size) : NULL;
    if (*out) snprintf(*out, size, "Authorization: Bearer %s", token);
    if (!*out) snprintf(error, error_size, "%s must hold one token", path);
    free(text);
    return *out != NULL;
}

static bool read_headers(const char *path, char **list, size_t count, char *error, size_t error_size)
{
    char *rest, *text = read_file(path, SECRETS_MAX, error, error_size);
    bool is_good = text != NULL;
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line && is_good; line = strtok_r(NULL, "\n", &rest)) {
        line = trim(line);
        if (!*line || *line == '#') continue;
        is_good = is_header(line) && count < HEADERS_MAX && (list[count++] = strdup(line));
        if (!is_good)
            snprintf(error, error_size, "%s must hold at most %d lines such as `X-Api-Key: secret`", path, HEADERS_MAX);
    }
    free(text);
    return is_good;
}

char **mcp_config_headers(const struct mcp_server_config *config, char *error, size_t error_size)
{
    char **list = calloc(HEADERS_MAX + 1, sizeof *list);
    bool is_good = list != NULL;
    size_t count = 0;
    if (!is_good) snprintf(error, error_size, "out of memory");
    if (is_good && config->token_file) is_good = read_token(config->token_file, &list[count++], error, error_size);
    if (is_good && config->headers_file) is_good = read_headers(config->headers_file, list, count, error, error_size);
    if (is_good) return list;
    mcp_strings_free(list);
    return NULL;
}
