/* How a payload is dressed for the poll that carries it: JSONP, and gzip or deflate. */
#include "eio_polling.h"

#include "eio_int.h"

#include <string.h>
#include <strings.h>
#include <zlib.h>

/* ------------------------------------------------------------------- JSONP */

static int jsonp_index(const struct eio_session *session, char index[32])
{
    return eio_query_get(eio_http_head_query(session->head), "j", index, 32);
}

bool eio__polling_asks_for_jsonp(const struct eio_session *session)
{
    char index[32];
    return jsonp_index(session, index) != EIO_EINVAL;
}

bool eio__polling_form_value(uint8_t *body, size_t *n)
{
    struct eio_str rest = {(const char *)body, *n}, name, value, found = {NULL, 0};
    char decoded[1];
    while (eio_query_next(&rest, &name, &value)) {
        if (eio_query_decode(name, decoded, sizeof decoded) != 1 || decoded[0] != 'd') continue;
        if (found.p) return false; /* twice is a list, which the reference does not read */
        found = value;
    }
    if (!found.p) return false;
    /* Decoding shrinks, and what it writes stands before what it reads. */
    char *text = malloc(found.n + 1);
    int size = text ? eio_query_decode(found, text, found.n) : 0;
    if (size > 0) memcpy(body, text, (size_t)size);
    free(text);
    *n = size > 0 ? eio__jsonp_unescape((char *)body, (size_t)size) : 0;
    return true;
}

/* ------------------------------------------------------------- compression */

/* The weight of one encoding in an Accept-Encoding. */
struct weight {
    double q;
    bool exact;   /* by its name, not by "*" */
    size_t order; /* of the item */
};

static struct weight weight_of(struct eio_str accept, const char *encoding)
{
    struct weight weight = {0};
    for (size_t order = 0; accept.n; order++) {
        const char *comma = memchr(accept.p, ',', accept.n);
        size_t n = comma ? (size_t)(comma - accept.p) : accept.n;
        char part[64];
        snprintf(part, sizeof part, "%.*s", (int)n, accept.p);
        char *name = part + strspn(part, " \t");
        char *q = strstr(name, "q=");
        struct weight said = {q ? strtod(q + 2, NULL) : 1, true, order};
        name[strcspn(name, "; \t")] = '\0';
        said.exact = strcasecmp(name, encoding) == 0;
        if (said.exact || (strcmp(name, "*") == 0 && !weight.exact)) weight = said;
        accept.p += comma ? n + 1 : n;
        accept.n -= comma ? n + 1 : n;
    }
    return weight;
}

/* The encoding a client prefers of gzip and deflate, as the reference chooses: by weight, a named one before "*", then
 * the first one. NULL: neither. */
static const char *accepted_encoding(struct eio_str accept)
{
    struct weight gzip = weight_of(accept, "gzip"), deflate = weight_of(accept, "deflate");
    if (!(gzip.q > 0)) return deflate.q > 0 ? "deflate" : NULL;
    if (!(deflate.q > 0) || gzip.q > deflate.q) return "gzip";
    if (gzip.q < deflate.q) return "deflate";
    if (gzip.exact != deflate.exact) return gzip.exact ? "gzip" : "deflate";
    return gzip.order <= deflate.order ? "gzip" : "deflate";
}

/* Z_STREAM_END, or what came before it when the turn's share was over. */
static int compress_in_share(struct eio_server *server, z_stream *stream, const uint8_t *p, size_t n)
{
    enum { STEP_BYTES = 16384 };
    int result = Z_OK;
    stream->next_in = (z_const Bytef *)(uintptr_t)p;
    while (result == Z_OK && eio__deflating_begin_share(server) < server->deflating.until_us) {
        size_t given = n < STEP_BYTES ? n : STEP_BYTES;
        n -= given;
        stream->avail_in = (uInt)given;
        result = deflate(stream, n ? Z_NO_FLUSH : Z_FINISH);
        if (stream->avail_in > 0) break;
    }
    return result;
}

/* Compresses into malloc'd memory; NULL: no memory, it does not shrink, or it would take too long: a poll does not wait
 * for other turns. */
static uint8_t *compress_body(struct eio_server *server, const struct eio__answer *answer, bool gzip, size_t *size)
{
    enum { WINDOW = 15, GZIP = 16, MEMORY_LEVEL = 8 };
    size_t n = answer->size;
    z_stream stream = {0};
    uint8_t *out = malloc(n);
    if (!out || deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW + (gzip ? GZIP : 0), MEMORY_LEVEL,
                             Z_DEFAULT_STRATEGY) != Z_OK) {
        free(out);
        return NULL;
    }
    stream.next_out = out;
    stream.avail_out = (uInt)n;
    int result = compress_in_share(server, &stream, answer->body, n);
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
    if (encoding) compressed = compress_body(session->server, answer, encoding[0] == 'g', &size);
    if (compressed) {
        answer->body = compressed;
        answer->size = size;
        answer->encoding = encoding;
    }
    eio__server_reply(session->server, request, answer);
    free(compressed);
}

void eio__polling_reply(struct eio__polling *polling, struct eio_http_request *request, struct eio__answer *answer,
                        bool compress)
{
    struct eio_session *session = polling->base.session;
    char index[32];
    int index_size = polling->is_jsonp ? jsonp_index(session, index) : EIO_EINVAL;
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
