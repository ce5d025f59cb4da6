/* Serves the embedded page. Everything is in memory and immutable, so an answer is a lookup; entity tags are made once
 * from the content. Browsers ask again each time and mostly get 304: the names carry no version. */
#include "web.h"

#include "kit_embed.h"

#include <sodium.h>

#include <string.h>

#define ASSETS_PATH "/assets/"
#define ASSETS_MAX 64
#define ETAG_HASH_BYTES 16
#define ETAG_SIZE (2 + 2 * ETAG_HASH_BYTES + 1)

/* The page runs its own scripts and talks to its own server, nothing else. */
#define CONTENT_SECURITY_POLICY                                                                                      \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " \
    "form-action 'none'; frame-ancestors 'none'"

struct asset {
    const struct kit_embedded_file *file;
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
        {".mjs", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
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
    const char prefix[] = ASSETS_PATH;
    struct eio_str name = eio_str("index.html");
    if (!eio_str_is(path, "/")) {
        if (path.n < sizeof prefix || memcmp(path.p, prefix, sizeof prefix - 1) != 0) return NULL;
        name = (struct eio_str){path.p + sizeof prefix - 1, path.n - (sizeof prefix - 1)};
    }
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

static void on_request(struct eio_http_request *request, void *ctx)
{
    (void)ctx;
    const struct eio_http_head *head = eio_http_request_head(request);
    if (head->method != EIO_HTTP_GET && head->method != EIO_HTTP_HEAD) {
        struct eio_http_reply_field allow = {"Allow", "GET, HEAD"};
        reply_plain(request, 405, "only GET and HEAD\n", &allow);
        return;
    }
    const struct asset *asset = find(eio_http_head_path(head));
    if (!asset) {
        reply_plain(request, 404, "not found\n", NULL);
        return;
    }
    const struct eio_http_reply_field fields[] = {
        {"ETag", asset->etag},
        {"Cache-Control", "no-cache"},
        {"Content-Security-Policy", CONTENT_SECURITY_POLICY},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
    };
    struct eio_http_reply reply = {.status = 200, .fields = fields, .field_count = sizeof fields / sizeof fields[0]};
    if (web_assets_etag_matches(eio_http_head_field(head, "if-none-match"), asset->etag)) {
        reply.status = 304;
    } else {
        reply.content_type = asset->content_type;
        reply.body = asset->file->data;
        reply.body_size = kit_embedded_size(asset->file);
    }
    eio_http_reply(request, &reply);
}

int web_assets_start(struct kit *kit)
{
    asset_count = 0;
    for (const struct kit_embedded_file *file = kit_embedded_assets; file->name; file++) {
        if (asset_count == ASSETS_MAX) return EIO_ETOOBIG;
        struct asset *asset = &assets[asset_count++];
        asset->file = file;
        asset->content_type = content_type(file->name);
        make_etag(file, asset->etag);
    }
    struct eio_http *http = sio_server_http(kit->io);
    int rc = eio_http_route(http, "/", 0, on_request, NULL);
    if (rc == 0) rc = eio_http_route(http, ASSETS_PATH "*", 0, on_request, NULL);
    return rc;
}
