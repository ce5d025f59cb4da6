/* Serves a set of embedded files below a path. */
#include "web.h"

#include "kit_http.h"

#include <stdlib.h>
#include <string.h>

struct web_folder {
    const struct kit *kit;
    const char *path, *index, *security_policy;
    struct web_files *files;
};

static void reply_text(const struct kit *kit, struct eio_http_request *request, int status, const char *text,
                       const char *field, const char *value)
{
    struct eio_http_reply_field extra = {field, value};
    struct eio_http_reply reply = {.status = status,
                                   .content_type = "text/plain; charset=utf-8",
                                   .body = text,
                                   .body_size = strlen(text),
                                   .fields = &extra,
                                   .field_count = field ? 1 : 0};
    kit_http_send(kit, request, &reply);
}

static void on_request(struct eio_http_request *request, void *ctx)
{
    const struct web_folder *folder = ctx;
    const struct eio_http_head *head = eio_http_request_head(request);
    struct eio_str path = eio_http_head_path(head);
    size_t n = strlen(folder->path);
    if (head->method != EIO_HTTP_GET && head->method != EIO_HTTP_HEAD) {
        reply_text(folder->kit, request, 405, "only GET and HEAD\n", "Allow", "GET, HEAD");
        return;
    }
    if (path.n < n) { /* without the slash at its end */
        reply_text(folder->kit, request, 308, "moved\n", "Location", folder->path);
        return;
    }
    struct eio_str name = {path.p + n, path.n - n};
    const struct web_file *file = web_files_find(folder->files, name.n ? name : eio_str(folder->index));
    if (file)
        web_file_reply(folder->kit, request, file, folder->security_policy);
    else
        reply_text(folder->kit, request, 404, "not found\n", NULL, NULL);
}

static int open_routes(struct eio_http *http, struct web_folder *folder)
{
    char route[128];
    size_t n = strlen(folder->path);
    snprintf(route, sizeof route, "%s*", folder->path);
    int failed = eio_http_route(http, route, 0, on_request, folder);
    snprintf(route, sizeof route, "%.*s", (int)n - 1, folder->path);
    return failed ? failed : eio_http_route(http, route, 0, on_request, folder);
}

struct web_folder *web_folder_open(struct kit *kit, const struct web_folder_options *options)
{
    struct web_folder *folder = calloc(1, sizeof *folder);
    if (!folder) return NULL;
    folder->kit = kit;
    folder->path = options->path;
    folder->index = options->index;
    folder->security_policy = options->security_policy;
    folder->files = web_files_new(options->set);
    if (folder->files && open_routes(sio_server_http(kit->io), folder) == 0) return folder;
    web_folder_free(folder);
    return NULL;
}

void web_folder_free(struct web_folder *folder)
{
    if (!folder) return;
    web_files_free(folder->files);
    free(folder);
}
