/* How a payload is dressed for the poll that carries it: JSONP, and gzip or deflate. */
#include "eio_int.h"

#include <string.h>
#include <zlib.h>

/* ------------------------------------------------------------------- JSONP */

static int jsonp_index(const struct eio_session *session, char index[32])
{
    return eio_query_get(eio_http_head_query(session->head), "j", index, 32);
}

bool eio__polling_is_jsonp(const struct eio_session *session)
{
    char index[32];
    return jsonp_index(session, index) != EIO_EINVAL;
}

/* The reference: the field `d` of an urlencoded form; without it the body is empty. */
size_t eio__polling_form_value(uint8_t *body, size_t n)
{
    struct eio_str rest = {(const char *)body, n}, name, value;
    while (eio_query_next(&rest, &name, &value)) {
        if (!eio_str_is(name, "d")) continue;
        /* Decoding shrinks, and what it writes stands before what it reads. */
        char *text = malloc(value.n + 1);
        int size = text ? eio_query_decode(value, text, value.n) : 0;
        if (size > 0) memcpy(body, text, (size_t)size);
        free(text);
        return size > 0 ? eio__jsonp_unescape((char *)body, (size_t)size) : 0;
    }
    return 0;
}

/* ------------------------------------------------------------- compression */

/* The encoding a client prefers of gzip and deflate: the one of the higher weight, gzip first. NULL: neither. */
static const char *accepted_encoding(struct eio_str accept)
{
    double best = 0;
    const char *choice = NULL;
    while (accept.n) {
        const char *comma = memchr(accept.p, ',', accept.n);
        size_t n = comma ? (size_t)(comma - accept.p) : accept.n;
        char part[64];
        snprintf(part, sizeof part, "%.*s", (int)n, accept.p);
        char *name = part + strspn(part, " \t");
        char *weight = strstr(name, "q=");
        double q = weight ? strtod(weight + 2, NULL) : 1;
        name[strcspn(name, "; \t")] = '\0';
        const char *found = strcmp(name, "gzip") == 0 || strcmp(name, "*") == 0 ? "gzip"
                            : strcmp(name, "deflate") == 0                      ? "deflate"
                                                                                : NULL;
        if (found && (q > best || (q == best && q > 0 && strcmp(found, "gzip") == 0))) {
            best = q;
            choice = found;
        }
        accept.p += comma ? n + 1 : n;
        accept.n -= comma ? n + 1 : n;
    }
    return choice;
}

/* Compresses into malloc'd memory; NULL: no memory, or it does not shrink. */
static uint8_t *compress_body(const void *body, size_t n, bool gzip, size_t *size)
{
    enum { WINDOW = 15, GZIP = 16, MEMORY_LEVEL = 8 };
    z_stream stream = {0};
    uint8_t *out = malloc(n);
    if (!out || deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW + (gzip ? GZIP : 0), MEMORY_LEVEL,
                             Z_DEFAULT_STRATEGY) != Z_OK) {
        free(out);
        return NULL;
    }
    stream.next_in = (z_const Bytef *)(uintptr_t)body;
    stream.avail_in = (uInt)n;
    stream.next_out = out;
    stream.avail_out = (uInt)n;
    int result = deflate(&stream, Z_FINISH);
    *size = stream.total_out;
    deflateEnd(&stream);
    if (result == Z_STREAM_END) return out;
    free(out);
    return NULL;
}

/* ------------------------------------------------------------------- reply */

static void reply_compressed(struct eio_session *session, struct eio_http_request *request, struct eio__answer *answer,
                             bool compress)
{
    const struct eio_options *options = &session->server->options;
    uint8_t *compressed = NULL;
    const char *encoding = NULL;
    size_t size;
    if (compress && options->http_compression && answer->size >= options->http_compression_threshold_bytes)
        encoding = accepted_encoding(eio_http_head_field(request->head, "accept-encoding"));
    if (encoding) compressed = compress_body(answer->body, answer->size, encoding[0] == 'g', &size);
    if (compressed) {
        answer->body = compressed;
        answer->size = size;
        answer->encoding = encoding;
    }
    eio__server_reply(session->server, request, answer);
    free(compressed);
}

void eio__polling_reply(struct eio_session *session, struct eio_http_request *request, struct eio__answer *answer,
                        bool compress)
{
    char index[32];
    int index_size = jsonp_index(session, index);
    if (index_size == EIO_EINVAL) {
        reply_compressed(session, request, answer, compress);
        return;
    }
    char *script = malloc(eio__jsonp_bound(answer->size));
    if (!script) {
        eio__server_reply(session->server, request, &(struct eio__answer){.status = 503});
        return;
    }
    struct eio_str digits = {index, index_size > 0 ? (size_t)index_size : 0};
    answer->size = eio__jsonp_put(script, digits, answer->body, answer->size);
    answer->body = script;
    reply_compressed(session, request, answer, compress);
    free(script);
}
