/* The official client's files, as the reference's serveClient. */
#include "sio_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sio__assets {
    struct sio__assets *next;
    struct sio_server *io;
    const struct sio_asset *asset;
    char etag[];
};

void sio__assets_free(struct sio_server *io)
{
    while (io->assets) {
        struct sio__assets *next = io->assets->next;
        free(io->assets);
        io->assets = next;
    }
}

/* Takes the part before the next comma off the text. */
static struct eio_str take_item(struct eio_str *rest)
{
    const char *at = memchr(rest->p, ',', rest->n);
    struct eio_str part = {rest->p, at ? (size_t)(at - rest->p) : rest->n};
    size_t taken = part.n + (at ? 1 : 0);
    *rest = (struct eio_str){rest->p + taken, rest->n - taken};
    base_str_trim(&part.p, &part.n);
    return part;
}

static bool matches(struct eio_str list, const char *etag)
{
    while (list.n) {
        struct eio_str item = take_item(&list);
        if (item.n > 2 && item.p[0] == 'W' && item.p[1] == '/') item.p += 2, item.n -= 2;
        if (eio_str_is(item, etag)) return true;
    }
    return false;
}

static const char *content_type(const char *name)
{
    size_t n = strlen(name);
    bool is_map = n > 4 && strcmp(name + n - 4, ".map") == 0;
    return is_map ? "application/json; charset=utf-8" : "application/javascript; charset=utf-8";
}

static void reply_file(struct eio_http_request *request, const struct sio__assets *assets)
{
    const struct sio_asset *asset = assets->asset;
    const struct eio_http_head *head = eio_http_request_head(request);
    struct eio_http_reply_field fields[4] = {
        {"Cache-Control", "public, max-age=0"}, {"ETag", assets->etag}, {"Vary", "Accept-Encoding"}};
    struct eio_http_reply reply = {.status = 304, .fields = fields, .field_count = 3};
    struct eio_str body = asset->body;
    const char *coding = NULL;
    /* Fields for caches are in it too (RFC 9110, section 15.4.5). */
    if (matches(eio_http_head_field(head, "if-none-match"), assets->etag)) {
        eio_server_reply(assets->io->engine, request, &reply);
        return;
    }
    reply.status = 200;
    reply.content_type = content_type(asset->name);
    if (asset->brotli.n && eio_http_head_accepts(head, "br")) {
        body = asset->brotli;
        coding = "br";
    } else if (asset->gzip.n && eio_http_head_accepts(head, "gzip")) {
        body = asset->gzip;
        coding = "gzip";
    }
    if (coding) fields[reply.field_count++] = (struct eio_http_reply_field){"Content-Encoding", coding};
    reply.body = body.p;
    reply.body_size = body.n;
    eio_server_reply(assets->io->engine, request, &reply);
}

static void on_request(struct eio_http_request *request, void *ctx)
{
    const struct sio__assets *assets = ctx;
    const struct eio_http_head *head = eio_http_request_head(request);
    struct eio_http_reply_field allow = {"Allow", "GET, HEAD"};
    struct eio_http_reply reply = {.status = 405, .fields = &allow, .field_count = 1};
    if (head->method == EIO_HTTP_GET || head->method == EIO_HTTP_HEAD)
        reply_file(request, assets);
    else
        eio_server_reply(assets->io->engine, request, &reply);
}

static int serve(struct sio_server *io, const struct sio_asset *asset, const char *version)
{
    char path[512];
    struct eio_str base = eio_str(io->options.engine.path);
    size_t size = strlen(version) + 3;
    while (base.n && base.p[base.n - 1] == '/') base.n--;
    int n = snprintf(path, sizeof path, "%.*s/%s", (int)base.n, base.p, asset->name);
    if (n < 0 || (size_t)n >= sizeof path) return EIO_ETOOBIG;
    struct sio__assets *assets = calloc(1, sizeof *assets + size);
    if (!assets) return EIO_ENOMEM;
    assets->next = io->assets;
    assets->io = io;
    assets->asset = asset;
    snprintf(assets->etag, size, "\"%s\"", version);
    io->assets = assets;
    return eio_http_route(io->http, path, 0, on_request, assets);
}

int sio_serve_client(struct sio_server *io, const struct sio_asset *assets, size_t count, const char *version)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) result = serve(io, &assets[i], version);
    return result;
}
