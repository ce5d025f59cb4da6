/* Serves the embedded console: clients/dist/console, each text also compressed. Everything is in memory and immutable,
 * so an answer is a lookup; entity tags are made once from the content. Browsers ask again each time and mostly get
 * 304: the names carry no version. Who asks "/" for JSON gets what this server understands instead of the page. */
#include "web.h"

#include "kit_embed.h"
#include "kit_http.h"
#include "kit_request.h"

#include <sodium.h>

#include <string.h>

#define ASSETS_MAX 64
#define ETAG_HASH_BYTES 16
#define ETAG_SIZE (2 + 2 * ETAG_HASH_BYTES + 1)

/* The page runs its own scripts and talks to its own server, nothing else. */
#define CONTENT_SECURITY_POLICY                                                                  \
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; " \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* Folders of the console that are served by their names. */
static const char *const folders[] = {"/assets/", "/r/"};

struct asset {
    const struct kit_embedded_file *file, *gzip, *brotli; /* NULL: not compressed */
    const char *content_type;
    char etag[ETAG_SIZE];
};

static struct asset assets[ASSETS_MAX];
static size_t asset_count;

static const char *content_type(const char *name)
{
    static const struct {
        const char *suffix, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".woff2", "font/woff2"},
        {".json", "application/json; charset=utf-8"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(dot, types[i].suffix) == 0) return types[i].type;
    return "application/octet-stream";
}

static void make_etag(const struct kit_embedded_file *file, char etag[ETAG_SIZE])
{
    unsigned char hash[ETAG_HASH_BYTES];
    char hex[2 * ETAG_HASH_BYTES + 1];
    crypto_generichash(hash, sizeof hash, file->data, kit_embedded_size(file), NULL, 0);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    etag[0] = '"';
    memcpy(etag + 1, hex, sizeof hex - 1);
    memcpy(etag + sizeof hex, "\"", 2);
}

static const struct asset *find(struct eio_str path)
{
    struct eio_str name = path.n > 1 ? (struct eio_str){path.p + 1, path.n - 1} : eio_str("index.html");
    for (size_t i = 0; i < asset_count; i++)
        if (eio_str_is(name, assets[i].file->name)) return &assets[i];
    return NULL;
}

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

static void reply_plain(struct eio_http_request *request, int status, const char *text,
                        const struct eio_http_reply_field *field)
{
    struct eio_http_reply reply = {.status = status,
                                   .content_type = "text/plain; charset=utf-8",
                                   .body = text,
                                   .body_size = strlen(text),
                                   .fields = field,
                                   .field_count = field ? 1 : 0};
    eio_http_reply(request, &reply);
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

static void reply_index(struct kit *kit, struct eio_http_request *request)
{
    struct sio_builder json;
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put(&json, "{\"ok\":true,\"name\":\"parley\",\"version\":\"" PARLEY_VERSION "\",\"events\":[");
    for (size_t i = 0; i < kit->route_count; i++) {
        if (is_named_before(kit, i)) continue;
        if (i) sio_builder_put(&json, ",");
        kit_put_text(&json, kit->routes[i].event->name);
    }
    sio_builder_put(&json, "]}");
    kit_http_reply_builder(kit, request, 200, &json);
}

static void reply_asset(struct eio_http_request *request, const struct asset *asset)
{
    const struct eio_http_head *head = eio_http_request_head(request);
    const struct kit_embedded_file *file = asset->file;
    struct eio_http_reply_field fields[] = {
        {"ETag", asset->etag},
        {"Cache-Control", "no-cache"},
        {"Vary", "Accept, Accept-Encoding"},
        {"Content-Security-Policy", CONTENT_SECURITY_POLICY},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {NULL, NULL},
    };
    struct eio_http_reply reply = {
        .status = 200, .fields = fields, .field_count = sizeof fields / sizeof fields[0] - 1};
    if (web_assets_etag_matches(eio_http_head_field(head, "if-none-match"), asset->etag)) {
        reply.status = 304;
        eio_http_reply(request, &reply);
        return;
    }
    const char *coding = NULL;
    if (asset->brotli && eio_http_head_accepts(head, "br"))
        file = asset->brotli, coding = "br";
    else if (asset->gzip && eio_http_head_accepts(head, "gzip"))
        file = asset->gzip, coding = "gzip";
    if (coding) fields[reply.field_count++] = (struct eio_http_reply_field){"Content-Encoding", coding};
    reply.content_type = asset->content_type;
    reply.body = file->data;
    reply.body_size = kit_embedded_size(file);
    eio_http_reply(request, &reply);
}

static void on_request(struct eio_http_request *request, void *ctx)
{
    const struct eio_http_head *head = eio_http_request_head(request);
    if (head->method != EIO_HTTP_GET && head->method != EIO_HTTP_HEAD) {
        struct eio_http_reply_field allow = {"Allow", "GET, HEAD"};
        reply_plain(request, 405, "only GET and HEAD\n", &allow);
        return;
    }
    if (wants_json(head)) {
        reply_index(ctx, request);
        return;
    }
    const struct asset *asset = find(eio_http_head_path(head));
    if (asset)
        reply_asset(request, asset);
    else
        reply_plain(request, 404, "not found\n", NULL);
}

static const struct kit_embedded_file *find_coded(const char *name, const char *suffix)
{
    char full[128];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    return kit_embedded_find(kit_embedded_assets, full);
}

static bool is_coded(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (!strcmp(dot, ".gz") || !strcmp(dot, ".br"));
}

int web_assets_start(struct kit *kit)
{
    asset_count = 0;
    for (const struct kit_embedded_file *file = kit_embedded_assets; file->name; file++) {
        if (is_coded(file->name)) continue;
        if (asset_count == ASSETS_MAX) return EIO_ETOOBIG;
        struct asset *asset = &assets[asset_count++];
        asset->file = file;
        asset->gzip = find_coded(file->name, ".gz");
        asset->brotli = find_coded(file->name, ".br");
        asset->content_type = content_type(file->name);
        make_etag(file, asset->etag);
    }
    struct eio_http *http = sio_server_http(kit->io);
    int rc = eio_http_route(http, "/", 0, on_request, kit);
    for (size_t i = 0; rc == 0 && i < sizeof folders / sizeof folders[0]; i++) {
        char pattern[32];
        snprintf(pattern, sizeof pattern, "%s*", folders[i]);
        rc = eio_http_route(http, pattern, 0, on_request, kit);
    }
    return rc;
}
