/* Files out of the binary: the console at GET / with what it loads from /assets/ and the registry of its components at
 * /r/, and the official client's builds. */
#ifndef WEB_H
#define WEB_H

#include "kit.h"

extern const struct kit_module web_module;

#define WEB_FRAME_ANCESTORS_MAX 2048
struct web_config {
    const char *frame_ancestors;
};
/* The option as the policy frame-ancestors wants it: "'self' https://crm.example". At most WEB_FRAME_ANCESTORS_MAX
 * bytes with the terminator. */
void web_put_frame_ancestors(const struct kit_config *config, char *out, size_t size);

/* Registers the routes "/", "/assets/" and "/r/". Call once, before listening. Returns 0 or a negative enum eio_error.
 */
int web_assets_start(struct kit *kit);
/* When the server is gone. */
void web_assets_stop(void);

/* Serves the official client beside the Socket.IO endpoint, as the reference's serveClient does. Returns 0 or a
 * negative code. */
int web_client_files_start(struct kit *kit);
/* Opens /asyncapi.json and /openapi.json. NULL: out of memory. */
struct web_descriptions;
struct web_descriptions *web_descriptions_open(struct kit *kit);
/* When the server is gone. Accepts NULL. */
void web_descriptions_free(struct web_descriptions *descriptions);

struct kit_embedded_file;
/* A set of embedded files, with types and entity tags; one with ".gz" or ".br" behind its name is another compressed.
 */
struct web_files;
struct web_file;
/* set: ended by a NULL name, borrowed until it is freed. NULL: out of memory. */
struct web_files *web_files_new(const struct kit_embedded_file *set);
/* Accepts NULL. */
void web_files_free(struct web_files *files);
/* NULL if absent. */
const struct web_file *web_files_find(const struct web_files *files, struct eio_str name);
/* Answers a GET or HEAD with the file, compressed as the client accepts, or 304. security_policy:
 * Content-Security-Policy. */
void web_file_reply(const struct kit *kit, struct eio_http_request *request, const struct web_file *file,
                    const char *security_policy);

/* Serves such a set below a path. */
struct web_folder;
struct web_folder_options {
    const char *path;                    /* "/admin/"; "/admin" leads there */
    const char *index;                   /* the file at the path itself */
    const char *security_policy;         /* Content-Security-Policy of all of them */
    const struct kit_embedded_file *set; /* as the texts borrowed until the folder is freed */
};
/* NULL: out of memory, or the path is taken. */
struct web_folder *web_folder_open(struct kit *kit, const struct web_folder_options *options);
/* When the server is gone. Accepts NULL. */
void web_folder_free(struct web_folder *folder);

/* True if the value of If-None-Match names this entity tag ("\"…\"", quotes included): a list, weak tags and "*"
 * count (RFC 9110, section 13.1.2). */
bool web_assets_etag_matches(struct eio_str if_none_match, const char *etag);

#endif
