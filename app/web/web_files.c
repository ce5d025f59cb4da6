/* Sets of embedded files as HTTP answers. Everything is in memory and immutable, so an answer is a lookup; entity tags
 * are made once from the content. Browsers ask again each time and mostly get 304: the names carry no version. */
#include "web.h"

#include "kit_embed.h"
#include "kit_http.h"

#include <sodium.h>

#include <stdlib.h>
#include <string.h>

#define ETAG_HASH_BYTES 16

struct web_file {
    const struct kit_embedded_file *plain, *gzip, *brotli; /* NULL: not compressed */
    const char *content_type;
    char etag[2 + 2 * ETAG_HASH_BYTES + 1];
};

struct web_files {
    size_t count;
    struct web_file list[];
};

static const char *content_type(const char *name)
{
    static const struct {
        const char *suffix, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".woff2", "font/woff2"},
        {".json", "application/json; charset=utf-8"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(dot, types[i].suffix) == 0) return types[i].type;
    return "application/octet-stream";
}

static void make_etag(struct web_file *file)
{
    unsigned char hash[ETAG_HASH_BYTES];
    char hex[2 * ETAG_HASH_BYTES + 1];
    crypto_generichash(hash, sizeof hash, file->plain->data, kit_embedded_size(file->plain), NULL, 0);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    snprintf(file->etag, sizeof file->etag, "\"%s\"", hex);
}

static bool is_coded(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (!strcmp(dot, ".gz") || !strcmp(dot, ".br"));
}

static const struct kit_embedded_file *find_coded(const struct kit_embedded_file *set, const char *name,
                                                  const char *suffix)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    return kit_embedded_find(set, full);
}

struct web_files *web_files_new(const struct kit_embedded_file *set)
{
    size_t count = 0;
    while (set[count].name) count++;
    struct web_files *files = calloc(1, sizeof *files + count * sizeof files->list[0]);
    if (!files) return NULL;
    for (const struct kit_embedded_file *plain = set; plain->name; plain++) {
        if (is_coded(plain->name)) continue;
        struct web_file *file = &files->list[files->count++];
        file->plain = plain;
        file->gzip = find_coded(set, plain->name, ".gz");
        file->brotli = find_coded(set, plain->name, ".br");
        file->content_type = content_type(plain->name);
        make_etag(file);
    }
    return files;
}

void web_files_free(struct web_files *files)
{
    free(files);
}

const struct web_file *web_files_find(const struct web_files *files, struct eio_str name)
{
    for (size_t i = 0; i < files->count; i++)
        if (eio_str_is(name, files->list[i].plain->name)) return &files->list[i];
    return NULL;
}

void web_file_reply(const struct kit *kit, struct eio_http_request *request, const struct web_file *file,
                    const char *security_policy)
{
    const struct eio_http_head *head = eio_http_request_head(request);
    const struct kit_embedded_file *body = file->plain;
    struct eio_http_reply_field fields[] = {
        {"ETag", file->etag},
        {"Cache-Control", "no-cache"},
        {"Vary", "Accept, Accept-Encoding"},
        {"Content-Security-Policy", security_policy},
        {"Cross-Origin-Resource-Policy", "cross-origin"}, /* sites that isolate themselves load them too */
        {"Content-Encoding", NULL},
    };
    enum { FIELDS = sizeof fields / sizeof fields[0] };
    struct eio_http_reply reply = {.status = 304, .fields = fields, .field_count = FIELDS - 1};
    if (web_assets_etag_matches(eio_http_head_field(head, "if-none-match"), file->etag)) {
        kit_http_send(kit, request, &reply);
        return;
    }
    if (file->brotli && eio_http_head_accepts(head, "br"))
        body = file->brotli, fields[FIELDS - 1].value = "br";
    else if (file->gzip && eio_http_head_accepts(head, "gzip"))
        body = file->gzip, fields[FIELDS - 1].value = "gzip";
    if (fields[FIELDS - 1].value) reply.field_count = FIELDS;
    reply.status = 200;
    reply.content_type = file->content_type;
    reply.body = body->data;
    reply.body_size = kit_embedded_size(body);
    kit_http_send(kit, request, &reply);
}
