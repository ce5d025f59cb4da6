/* /asyncapi.json and /openapi.json: the events and the routes, made of the same schema files and rows by which the
 * server checks what it is sent. */
#include "kit_auth.h"
#include "kit_embed.h"
#include "kit_http.h"
#include "kit_request.h"
#include "web.h"

#include <stdlib.h>
#include <string.h>

extern const struct kit_embedded_file kit_embedded_schemas[], kit_embedded_server_schemas[];

/* ----------------------------------------------------------------- AsyncAPI */

/* A message of each namespace that its description names: "Client to server, /feed: …", "…, every namespace: …". */
static void add_message(json_t *document, const char *side, const struct kit_embedded_file *file)
{
    static const char *const namespaces[] = {"/", "/chat", "/feed"};
    json_t *schema = json_loadb((const char *)file->data, kit_embedded_size(file), 0, NULL);
    const char *about = json_string_value(json_object_get(schema, "description"));
    const char *title = json_string_value(json_object_get(schema, "title"));
    const char *where = about ? strstr(about, ", ") : NULL, *end = where ? strchr(where, ':') : NULL;
    bool is_event = about && title && end && strncmp(about, "HTTP", 4);
    for (size_t i = 0; is_event && i < sizeof namespaces / sizeof namespaces[0]; i++) {
        char key[160], reference[256];
        size_t n = (size_t)(end - where - 2);
        bool is_every = n == strlen("every namespace") && !memcmp(where + 2, "every namespace", n);
        if (!is_every && (n != strlen(namespaces[i]) || memcmp(where + 2, namespaces[i], n))) continue;
        snprintf(key, sizeof key, "%s.%s", side, title);
        snprintf(reference, sizeof reference, "#/components/messages/%s", key);
        json_t *messages =
            json_object_get(json_object_get(json_object_get(document, "channels"), namespaces[i]), "messages");
        json_object_set_new(messages, key, json_pack("{s:s}", "$ref", reference));
        json_object_set_new(json_object_get(json_object_get(document, "components"), "messages"), key,
                            json_pack("{s:s, s:s, s:O}", "name", title, "summary", end + 2, "payload", schema));
    }
    json_decref(schema);
}

static json_t *make_asyncapi(const struct kit *kit)
{
    (void)kit;
    json_t *document = json_pack("{s:s, s:{s:s, s:s}, s:{s:{s:s, s:{}}, s:{s:s, s:{}}, s:{s:s, s:{}}}, s:{s:{}}}",
                                 "asyncapi", "3.0.0", "info", "title", "Parley", "version", PARLEY_VERSION, "channels",
                                 "/", "address", "/", "messages", "/chat", "address", "/chat", "messages", "/feed",
                                 "address", "/feed", "messages", "components", "messages");
    for (const struct kit_embedded_file *file = kit_embedded_schemas; document && file->name; file++)
        add_message(document, "client", file);
    for (const struct kit_embedded_file *file = kit_embedded_server_schemas; document && file->name; file++)
        add_message(document, "server", file);
    return document;
}

/* ------------------------------------------------------------------ OpenAPI */

/* As OpenAPI writes parameters: <user> is {user}. */
static void rewrite_path(const char *path, char *out, size_t size)
{
    snprintf(out, size, "%s", path);
    for (char *c = out; *c; c++) *c = *c == '<' ? '{' : *c == '>' ? '}' : *c;
}

static void add_parameter(json_t *parameters, const char *name, size_t n, const char *in, const json_t *schema)
{
    json_t *own = schema ? json_deep_copy(schema) : json_pack("{s:s}", "type", "string");
    json_array_append_new(parameters, json_pack("{s:s%, s:s, s:b, s:o}", "name", name, n, "in", in, "required",
                                                !strcmp(in, "path"), "schema", own));
}

static json_t *describe(const struct kit *kit, const struct kit_event *event, const char *path)
{
    const json_t *schema = event->name ? kit_schema_find(kit->schemas, event->name) : NULL, *field;
    bool has_query = event->method == EIO_HTTP_GET || event->method == EIO_HTTP_DELETE;
    const char *name, *about = json_string_value(json_object_get(schema, "description"));
    json_t *parameters = json_array(), *roles = json_array();
    for (const char *p = strchr(path, '{'); p; p = strchr(p + 1, '{'))
        add_parameter(parameters, p + 1, strcspn(p + 1, "}"), "path", NULL);
    json_object_foreach((json_t *)(uintptr_t)json_object_get(schema, "properties"), name, field)
    {
        char in_path[160];
        snprintf(in_path, sizeof in_path, "{%s}", name);
        if (has_query && !strstr(path, in_path)) add_parameter(parameters, name, strlen(name), "query", field);
    }
    for (unsigned role = 1; role < 1u << 16; role <<= 1)
        if (event->roles & role) json_array_append_new(roles, json_string(kit_role_text((enum kit_role)role)));
    json_t *operation =
        json_pack("{s:s, s:o, s:o, s:{s:{s:s}, s:{s:s}}}", "summary", about ? about : path, "parameters", parameters,
                  "x-roles", roles, "responses", "2XX", "description", "done", "default", "description",
                  "{\"ok\":false,\"error\":{code,message,field?,retry_after_ms?}}");
    if (schema && !has_query)
        json_object_set_new(operation, "requestBody",
                            json_pack("{s:{s:{s:O}}}", "content", "application/json", "schema", schema));
    /* An empty alternative: a token is optional here (OpenAPI 3.1, Security Requirement Object). */
    if (!event->is_open)
        json_object_set_new(operation, "security",
                            event->admits_guests ? json_pack("[{s:[]}, {}]", "bearer")
                                                 : json_pack("[{s:[]}]", "bearer"));
    return operation;
}

static json_t *make_openapi(const struct kit *kit)
{
    static const char *const methods[] = {
        [EIO_HTTP_GET] = "get",     [EIO_HTTP_HEAD] = "head",     [EIO_HTTP_POST] = "post",      [EIO_HTTP_PUT] = "put",
        [EIO_HTTP_PATCH] = "patch", [EIO_HTTP_DELETE] = "delete", [EIO_HTTP_OPTIONS] = "options"};
    json_t *paths = json_object();
    for (size_t i = 0; i < kit->path_count; i++) {
        const struct kit_event *event = kit->paths[i].event;
        char path[256];
        rewrite_path(event->path, path, sizeof path);
        if (!json_object_get(paths, path)) json_object_set_new(paths, path, json_object());
        json_object_set_new(json_object_get(paths, path), methods[event->method], describe(kit, event, path));
    }
    return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:{s:{s:s, s:s, s:s}}}}", "openapi", "3.1.0", "info", "title",
                     "Parley", "version", PARLEY_VERSION, "paths", paths, "components", "securitySchemes", "bearer",
                     "type", "http", "scheme", "bearer", "bearerFormat", "JWT");
}

/* ------------------------------------------------------------------- routes */

/* Made when it is first asked for: by then all modules have opened their paths. Kept, since anybody may ask for it, and
 * to make it takes the loop a millisecond. */
struct description {
    struct kit *kit;
    json_t *(*make)(const struct kit *kit);
    char *text;
};

struct web_descriptions {
    struct description asyncapi, openapi;
};

static void on_request(struct eio_http_request *request, void *ctx)
{
    struct description *description = ctx;
    struct kit *kit = description->kit;
    if (!kit_http_is_get(kit, request)) return;
    if (!description->text) {
        json_t *document = description->make(kit);
        description->text = document ? json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        json_decref(document);
    }
    static const char failure[] = "{\"ok\":false}";
    const char *text = description->text ? description->text : failure;
    kit_http_reply(kit, request, description->text ? 200 : 503, KIT_HTTP_JSON, text, strlen(text));
}

struct web_descriptions *web_descriptions_open(struct kit *kit)
{
    struct eio_http *http = sio_server_http(kit->io);
    struct web_descriptions *descriptions = calloc(1, sizeof *descriptions);
    if (!descriptions) return NULL;
    descriptions->asyncapi = (struct description){kit, make_asyncapi, NULL};
    descriptions->openapi = (struct description){kit, make_openapi, NULL};
    if (!eio_http_route(http, "/asyncapi.json", 0, on_request, &descriptions->asyncapi) &&
        !eio_http_route(http, "/openapi.json", 0, on_request, &descriptions->openapi))
        return descriptions;
    web_descriptions_free(descriptions);
    return NULL;
}

void web_descriptions_free(struct web_descriptions *descriptions)
{
    if (!descriptions) return;
    free(descriptions->asyncapi.text);
    free(descriptions->openapi.text);
    free(descriptions);
}
