/* The headers of requests, by era. */
#include "mcp_int.h"

#include <stdlib.h>
#include <string.h>

#define OWN_MAX 8

static size_t count_strings(char **list)
{
    size_t count = 0;
    while (list && list[count]) count++;
    return count;
}

static bool add_field(char **list, size_t *count, const char *name, struct eio_str value)
{
    size_t size = strlen(name) + value.n + 3;
    char *line = malloc(size);
    if (line) snprintf(line, size, "%s: %.*s", name, (int)value.n, value.p);
    list[*count] = line;
    *count += line != NULL;
    return line != NULL;
}

static bool add_header(char **list, size_t *count, const char *name, const char *value)
{
    return add_field(list, count, name, eio_str(value));
}

static bool copy_headers(char **list, size_t *count, char **from)
{
    for (; from && *from; from++) {
        list[*count] = strdup(*from);
        if (!list[*count]) return false;
        ++*count;
    }
    return true;
}

/* What the body says, for those on the way who do not read it. */
static bool add_mirrors(char **list, size_t *count, const struct mcp_request *request)
{
    const json_t *name = json_object_get(request->params, "name");
    if (!add_header(list, count, "Mcp-Method", request->method)) return false;
    if (!json_is_string(name)) return true;
    list[*count] = mcp_header("Mcp-Name", (struct eio_str){json_string_value(name), json_string_length(name)});
    if (!list[*count]) return false;
    ++*count;
    return copy_headers(list, count, request->headers);
}

char **mcp_http_headers(const struct mcp_session *session, const struct mcp_request *request)
{
    char **configured = session->server->headers;
    size_t count = 0, room = OWN_MAX + count_strings(configured) + (request ? count_strings(request->headers) : 0);
    char **list = calloc(room + 1, sizeof *list);
    bool is_resumed = request && request->state == MCP_R_RESUMED;
    struct eio_str cursor = is_resumed ? kit_sse_last_id(&request->sse) : (struct eio_str){"", 0};
    bool is_modern = !strcmp(session->version, MCP_VERSION_MODERN);
    if (!list) return NULL;
    bool is_good = copy_headers(list, &count, configured) &&
                   (is_resumed ? add_header(list, &count, "Accept", "text/event-stream")
                               : add_header(list, &count, "Accept", "application/json, text/event-stream") &&
                                     add_header(list, &count, "Content-Type", "application/json"));
    if (is_good && (!request || request->kind != MCP_R_OPEN))
        is_good = add_header(list, &count, "MCP-Protocol-Version", session->version);
    if (is_good && session->id) is_good = add_header(list, &count, "Mcp-Session-Id", session->id);
    if (is_good && cursor.n) is_good = add_field(list, &count, "Last-Event-ID", cursor);
    if (is_good && is_modern && request) is_good = add_mirrors(list, &count, request);
    if (is_good) return list;
    mcp_strings_free(list);
    return NULL;
}
