/* The official front end below /admin/, file by file as it came; and one file of our own, preset.js, which tells it
 * where the server is. */
#include "admin_int.h"
#include "kit_embed.h"
#include "kit_http.h"

#include <stdlib.h>
#include <string.h>

/* Its framework writes styles into the page. It talks to this server alone. */
#define SECURITY_POLICY                                                                                                \
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; " \
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

static char *make_preset(const struct kit *kit)
{
    const struct kit_embedded_file *file = kit_embedded_find(kit_embedded_admin_own, "preset.js");
    const struct sio_options *io = &kit->config->io;
    struct sio_builder text;
    sio_builder_init(&text);
    sio_builder_put(&text, "(\n");
    sio_builder_put(&text, file ? (const char *)file->data : "() => {}\n");
    sio_builder_put(&text, ")({\"path\":");
    sio_builder_put_text(&text, io->engine.path, strlen(io->engine.path));
    sio_builder_put(&text,
                    io->parser == SIO_PARSER_MSGPACK ? ",\"parser\":\"msgpack\"});\n" : ",\"parser\":\"default\"});\n");
    struct eio_str whole = sio_builder_args(&text).json;
    char *preset = text.error ? NULL : strndup(whole.p, whole.n);
    sio_builder_clear(&text);
    return preset;
}

static void on_preset(struct eio_http_request *request, void *ctx)
{
    const struct admin *admin = ctx;
    struct eio_http_reply reply = {.status = 200,
                                   .content_type = "text/javascript; charset=utf-8",
                                   .body = admin->preset,
                                   .body_size = strlen(admin->preset)};
    kit_http_send(admin->kit, request, &reply);
}

int admin_page_start(struct admin *admin)
{
    static const struct web_folder_options options = {
        .path = "/admin/", .index = "parley.html", .security_policy = SECURITY_POLICY, .set = kit_embedded_admin};
    admin->preset = make_preset(admin->kit);
    if (!admin->preset) return EIO_ENOMEM;
    admin->page = web_folder_open(admin->kit, &options);
    if (!admin->page) return EIO_ENOMEM;
    int failed = eio_http_route(sio_server_http(admin->kit->io), "/admin/preset.js", 0, on_preset, admin);
    static const char *const paths[] = {"/admin/preset.js", "/admin/*", "/admin"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0] && !failed; i++)
        failed = kit_http_for_operators(admin->kit, paths[i], false);
    return failed;
}
