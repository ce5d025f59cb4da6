/* The official client's builds, served beside the Socket.IO endpoint as the reference's serveClient does. They are in
 * the binary if npm's packages were there when it was built; not here: the page, which loads a copy of its own. */
#include "web.h"

#include "kit_embed.h"

#include <stdio.h>

static const char *const names[] = {
    "socket.io.js",         "socket.io.js.map",         "socket.io.min.js",         "socket.io.min.js.map",
    "socket.io.esm.min.js", "socket.io.esm.min.js.map", "socket.io.msgpack.min.js", "socket.io.msgpack.min.js.map",
};
enum { FILES = sizeof names / sizeof *names };
static struct sio_asset files[FILES]; /* what the server's routes point at */

static struct eio_str embedded(const char *name, const char *suffix)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    const struct kit_embedded_file *file = kit_embedded_find(kit_embedded_client, full);
    if (!file) return (struct eio_str){NULL, 0};
    return (struct eio_str){(const char *)file->data, kit_embedded_size(file)};
}

int web_client_files_start(struct kit *kit)
{
    size_t count = 0;
    if (!kit->config->serve_client) return 0;
    for (size_t i = 0; i < FILES; i++) {
        struct sio_asset file = {names[i], embedded(names[i], ""), embedded(names[i], ".gz"),
                                 embedded(names[i], ".br")};
        if (file.body.n) files[count++] = file;
    }
    if (!count)
        kit_log(EIO_LOG_INFO, "this binary was built without the client's files; not serving them", "option",
                "serve_client", NULL);
    return sio_serve_client(kit->io, files, count, CLIENT_VERSION);
}
