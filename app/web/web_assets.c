/* Serves the embedded console: clients/dist/console, each text also compressed. Everything is in memory and immutable,
 * so an answer is a lookup; entity tags are made once from the content. Browsers ask again each time and mostly get
 * 304: the names carry no version. Who asks "/" for JSON gets what this server understands instead of the page. */
#include "web.h"

#include "kit_embed.h"
#include "kit_http.h"
#include "kit_request.h"

#include <string.h>

/* The page runs its own scripts and talks to its own server, nothing else. */
#define CONTENT_SECURITY_POLICY                                                                  \
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; " \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "

/* Folders of the console that are served by their names. */
static const char *const folders[] = {"/assets/", "/r/"};
/* Pages, which have their own. */
static const struct {
    const char *path, *file;
} pages[] = {{"/", "index.html"}, {"/demo", "demo.html"}};
#define PAGE_COUNT (sizeof pages / sizeof pages[0])

static struct web_files *files;
static char policy[sizeof CONTENT_SECURITY_POLICY + WEB_FRAME_ANCESTORS_MAX];

bool web_assets_etag_matches(struct eio_str if_none_match, const char *etag)
{
    if (if_none_match.n == 0) return false;
    const char *p = if_none_match.p, *end = p + if_none_match.n;
    size_t etag_size = strlen(etag);
    while (p < end) {
        const char *stop = memchr(p, ',', (size_t)(end - p));
        const char *next = stop ? stop + 1 : end;
        if (!stop) stop = end;
        while (p < stop && (*p == ' ' || *p == '\t')) p++;
        while (stop > p && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
        if (stop - p == 1 && *p == '*') return true;
        if (stop - p > 2 && p[0] == 'W' && p[1] == '/') p += 2;
        if ((size_t)(stop - p) == etag_size && memcmp(p, etag, etag_size) == 0) return true;
        p = next;
    }
    return false;
}

static void reply_plain(const struct kit *kit, struct eio_http_request *request, int status, const char *text,
                        const struct eio_http_reply_field *field)
{
    struct eio_http_reply reply = {.status = status,
                                   .content_type = "text/plain; charset=utf-8",
                                   .body = text,
                                   .body_size = strlen(text),
                                   .fields = field,
                                   .field_count = field ? 1 : 0};
    kit_http_send(kit, request, &reply);
}

static bool names(struct eio_str list, const char *type)
{
    return list.n && memmem(list.p, list.n, type, strlen(type));
}

/* The page is for people: who names JSON and not HTML is a program. */
static bool wants_json(const struct eio_http_head *head)
{
    struct eio_str accept = eio_http_head_field(head, "accept");
    return eio_http_head_path(head).n == 1 && names(accept, "application/json") && !names(accept, "text/html");
}

static bool is_named_before(const struct kit *kit, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(kit->routes[k].event->name, kit->routes[i].event->name) == 0) return true;
    return false;
}

/* With the time: tokens end by this clock, and a page knows only its reader's. */
static void reply_index(struct kit *kit, struct eio_http_request *request)
{
    struct sio_builder json;
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put(&json, "{\"ok\":true,\"name\":\"parley\",\"version\":\"" PARLEY_VERSION "\",\"time\":");
    kit_put_time(&json, (int64_t)eio_loop_unix_ms(kit->loop));
    sio_builder_put(&json, ",\"events\":[");
    for (size_t i = 0; i < kit->route_count; i++) {
        if (is_named_before(kit, i)) continue;
        if (i) sio_builder_put(&json, ",");
        kit_put_text(&json, kit->routes[i].event->name);
    }
    sio_builder_put(&json, "],\"paths\":[");
    for (size_t i = 0; i < kit->path_count; i++) {
        char text[256];
        const struct kit_event *event = kit->paths[i].event;
        snprintf(text, sizeof text, "%s %s", kit_method_name(event->method), event->path);
        if (i) sio_builder_put(&json, ",");
        kit_put_text(&json, text);
    }
    sio_builder_put(&json, "]}");
    kit_http_reply_builder(kit, request, 200, &json);
}

/* The name of the file that a path is for. */
static struct eio_str name_of(struct eio_str path)
{
    for (size_t i = 0; i < PAGE_COUNT; i++)
        if (path.n == strlen(pages[i].path) && memcmp(path.p, pages[i].path, path.n) == 0)
            return eio_str(pages[i].file);
    return (struct eio_str){path.p + 1, path.n - 1};
}

static void on_request(struct eio_http_request *request, void *ctx)
{
    const struct eio_http_head *head = eio_http_request_head(request);
    if (head->method != EIO_HTTP_GET && head->method != EIO_HTTP_HEAD) {
        struct eio_http_reply_field allow = {"Allow", "GET, HEAD"};
        reply_plain(ctx, request, 405, "only GET and HEAD\n", &allow);
        return;
    }
    if (wants_json(head)) {
        reply_index(ctx, request);
        return;
    }
    const struct web_file *file = web_files_find(files, name_of(eio_http_head_path(head)));
    if (file)
        web_file_reply(ctx, request, file, policy);
    else
        reply_plain(ctx, request, 404, "not found\n", NULL);
}

int web_assets_start(struct kit *kit)
{
    web_files_free(files);
    files = web_files_new(kit_embedded_assets);
    if (!files) return EIO_ENOMEM;
    memcpy(policy, CONTENT_SECURITY_POLICY, sizeof CONTENT_SECURITY_POLICY);
    web_put_frame_ancestors(kit->config, policy + strlen(policy), WEB_FRAME_ANCESTORS_MAX);
    struct eio_http *http = sio_server_http(kit->io);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < PAGE_COUNT; i++) rc = eio_http_route(http, pages[i].path, 0, on_request, kit);
    for (size_t i = 0; rc == 0 && i < sizeof folders / sizeof folders[0]; i++) {
        char pattern[32];
        snprintf(pattern, sizeof pattern, "%s*", folders[i]);
        rc = eio_http_route(http, pattern, 0, on_request, kit);
    }
    return rc;
}

void web_assets_stop(void)
{
    web_files_free(files);
    files = NULL;
}
