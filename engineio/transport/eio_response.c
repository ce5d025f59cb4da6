/* What the Engine.IO path answers: headers of the reference, CORS, the cookie, what hooks add; refusals; the 101. */
#include "base_str.h"
#include "eio_deflate.h"
#include "eio_int.h"
#include "eio_text.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { SUBPROTOCOL_MAX_BYTES = 2048 }; /* a longer one is not taken; some carry a token */

static const char *const error_texts[] = {
    "Transport unknown", "Session ID unknown", "Bad handshake method",
    "Bad request",       "Forbidden",          "Unsupported protocol version",
};

/* ----------------------------------------------------------------- headers */

/* No line break or other control character becomes part of a header. */
static bool is_clean(const char *text)
{
    for (const char *c = text; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f) return false;
    return true;
}

void eio_headers_add(struct eio_headers *headers, const char *name, const char *value)
{
    if (!*name || !is_clean(name) || !is_clean(value) || headers->count == EIO__HEADERS_MAX) return;
    size_t name_size = strlen(name) + 1, value_size = strlen(value) + 1;
    if (name_size + value_size > sizeof headers->memory - headers->used) return;
    char *copy = headers->memory + headers->used;
    memcpy(copy, name, name_size);
    memcpy(copy + name_size, value, value_size);
    headers->used += name_size + value_size;
    headers->fields[headers->count++] = (struct eio_http_reply_field){copy, copy + name_size};
}

/* Of texts that live as long as the reply is being made. */
static void add_lasting(struct eio_headers *headers, const char *name, const char *value)
{
    if (headers->count < EIO__HEADERS_MAX)
        headers->fields[headers->count++] = (struct eio_http_reply_field){name, value};
}

/* As the reference writes it, however it was given. */
static const char *same_site_text(const char *value)
{
    static const char *const texts[] = {"Strict", "Lax", "None"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcasecmp(value, texts[i]) == 0) return texts[i];
    return value;
}

/* RFC 6265, section 4.1.1: the name is a token; an attribute ends at a semicolon. */
bool eio__cookie_is_good(const struct eio_cookie *cookie)
{
    const char *const texts[] = {cookie->path, cookie->domain, cookie->same_site};
    for (const char *c = cookie->name; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", *c)) return false;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (const char *c = texts[i]; c && *c; c++)
            if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f || *c == ';') return false;
    return *cookie->name != '\0';
}

/* As JavaScript's encodeURIComponent. */
static void encode_component(const char *text, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-_.!~*'()", c)) {
            *out++ = *text;
            continue;
        }
        *out++ = '%';
        *out++ = digits[c >> 4];
        *out++ = digits[c & 15];
    }
    *out = '\0';
}

static void add_cookie(struct eio_headers *headers, const struct eio_cookie *cookie, const char *id)
{
    char value[1024], encoded[3 * EIO_ID_BYTES_MAX + 1], time[EIO__DATE_CHARS];
    encode_component(id, encoded);
    const char *expires = cookie->expires_s >= 0 && eio__date_put(time, cookie->expires_s) ? time : NULL;
    int n = snprintf(value, sizeof value, "%s=%s", cookie->name, encoded);
#define ADD(condition, ...)                               \
    if ((condition) && n > 0 && (size_t)n < sizeof value) \
    n += snprintf(value + n, sizeof value - (size_t)n, __VA_ARGS__)
    ADD(cookie->max_age_s >= 0, "; Max-Age=%lld", (long long)cookie->max_age_s);
    ADD(cookie->domain, "; Domain=%s", cookie->domain);
    ADD(cookie->path, "; Path=%s", cookie->path);
    ADD(expires, "; Expires=%s", expires);
    ADD(cookie->http_only, "; HttpOnly");
    ADD(cookie->secure, "; Secure");
    ADD(cookie->same_site, "; SameSite=%s", same_site_text(cookie->same_site));
#undef ADD
    if (n > 0 && (size_t)n < sizeof value) eio_headers_add(headers, "Set-Cookie", value);
}

/* What hooks add, as the reference's "headers" listeners run. */
static void add_hooks(struct eio_headers *headers, struct eio_server *server, const struct eio_http_head *head,
                      const struct eio_session *opened)
{
    if (server->hooks.on_headers) server->hooks.on_headers(headers, head, opened != NULL, server->hooks_ctx);
}

/* ----------------------------------------------------------------- replies */

void eio__server_reply(struct eio_server *server, struct eio_http_request *request, const struct eio__answer *answer)
{
    struct eio__cors_reply cors;
    struct eio_headers headers;
    headers.count = headers.used = 0;
    if (answer->status == 200) add_lasting(&headers, "cache-control", "no-store");
    struct eio_str agent = eio_http_head_field(request->head, "user-agent");
    if (agent.n && (memmem(agent.p, agent.n, ";MSIE", 5) || memmem(agent.p, agent.n, "Trident/", 8)))
        add_lasting(&headers, "X-XSS-Protection", "0");
    if (answer->encoding) add_lasting(&headers, "Content-Encoding", answer->encoding);
    if (answer->status == 429 || answer->status == 503) add_lasting(&headers, "Retry-After", "1");
    eio__cors_fields(&server->options.cors, &server->origins, request->head, &cors);
    for (size_t i = 0; i < cors.count; i++) add_lasting(&headers, cors.fields[i].name, cors.fields[i].value);
    const struct eio_cookie *cookie = &server->options.cookie;
    if (answer->opened && cookie->name) add_cookie(&headers, cookie, eio_session_id(answer->opened));
    if (answer->status == 200) add_hooks(&headers, server, request->head, answer->opened);
    struct eio_http_reply reply = {answer->status, answer->type,  answer->body, answer->size,
                                   headers.fields, headers.count, false};
    eio_http_reply(request, &reply);
}

void eio__server_preflight(struct eio_server *server, struct eio_http_request *request)
{
    struct eio__cors_reply cors;
    eio__cors_fields(&server->options.cors, &server->origins, request->head, &cors);
    struct eio_http_reply reply = {
        server->options.cors.options_success_status, NULL, NULL, 0, cors.fields, cors.count, false};
    eio_http_reply(request, &reply);
}

/* full: the reply with the headers of options.cors too, all of them in `headers`. */
static void add_cors(struct eio_server *server, const struct eio_http_request *request,
                     const struct eio_http_reply *reply, struct eio_headers *headers, struct eio_http_reply *full)
{
    struct eio__cors_reply cors;
    headers->count = headers->used = 0;
    for (size_t i = 0; i < reply->field_count; i++)
        eio_headers_add(headers, reply->fields[i].name, reply->fields[i].value);
    eio__cors_fields(&server->options.cors, &server->origins, request->head, &cors);
    for (size_t i = 0; i < cors.count; i++) eio_headers_add(headers, cors.fields[i].name, cors.fields[i].value);
    *full = *reply;
    full->fields = headers->fields;
    full->field_count = headers->count;
}

void eio_server_reply(struct eio_server *server, struct eio_http_request *request, const struct eio_http_reply *reply)
{
    if (eio__cors_answers(&server->options.cors, request->head)) {
        eio__server_preflight(server, request);
        return;
    }
    struct eio_headers headers;
    struct eio_http_reply full;
    add_cors(server, request, reply, &headers, &full);
    eio_http_reply(request, &full);
}

struct eio_http_stream *eio_server_stream(struct eio_server *server, struct eio_http_request *request,
                                          const struct eio_http_reply *reply,
                                          const struct eio_http_stream_options *options)
{
    struct eio_headers headers;
    struct eio_http_reply full;
    add_cors(server, request, reply, &headers, &full);
    return eio_http_stream_begin(request, &full, options);
}

/* A JSON text of the error; the message may be a hook's. */
static size_t put_error(char *out, size_t size, int error, const char *message)
{
    int n = snprintf(out, size, "{\"code\":%d,\"message\":\"", error);
    size_t at = (size_t)n;
    for (const char *c = message; *c && at + 12 < size; c++) {
        if (*c == '"' || *c == '\\') out[at++] = '\\';
        if ((unsigned char)*c < 0x20)
            at += (size_t)snprintf(out + at, size - at, "\\u%04x", *c);
        else
            out[at++] = *c;
    }
    memcpy(out + at, "\"}", 2);
    return at + 2;
}

void eio__server_refuse(struct eio_server *server, struct eio_http_request *request, int error, const char *context,
                        const char *message)
{
    server->stats.handshakes_refused++;
    if (!message || !*message) message = error_texts[error];
    if (server->hooks.on_connection_error)
        server->hooks.on_connection_error(request->head, error, error_texts[error], context, server->hooks_ctx);
    if (request->is_upgrade) {
        struct eio_http_reply reply = {400, "text/html", message, strlen(message), NULL, 0, true};
        eio_http_reply(request, &reply);
        return;
    }
    char body[512];
    size_t n = put_error(body, sizeof body, error, message);
    eio__server_reply(
        server, request,
        &(struct eio__answer){
            .status = error == EIO__ERROR_FORBIDDEN ? 403 : 400, .type = "application/json", .body = body, .size = n});
}

void eio__server_refuse_origin(struct eio_server *server, struct eio_http_request *request)
{
    static const char text[] = "Origin not allowed";
    server->stats.handshakes_refused++;
    server->stats.origins_refused++;
    if (server->hooks.on_connection_error)
        server->hooks.on_connection_error(request->head, EIO__ERROR_FORBIDDEN, error_texts[EIO__ERROR_FORBIDDEN],
                                          "ORIGIN", server->hooks_ctx);
    if (request->is_upgrade) {
        struct eio_http_reply reply = {403, "text/plain", text, sizeof text - 1, NULL, 0, true};
        eio_http_reply(request, &reply);
        return;
    }
    char body[128];
    size_t n = put_error(body, sizeof body, EIO__ERROR_FORBIDDEN, text);
    eio__server_reply(server, request,
                      &(struct eio__answer){.status = 403, .type = "application/json", .body = body, .size = n});
}

void eio__server_refuse_limit(struct eio_server *server, struct eio_http_request *request, enum eio_limit limit)
{
    static const struct eio_http_reply_field again = {"Retry-After", "1"};
    bool one_address = limit == EIO_LIMIT_SESSIONS_PER_ADDRESS || limit == EIO_LIMIT_HANDSHAKES_PER_SECOND_PER_ADDRESS;
    int status = one_address ? 429 : 503;
    const char *text = one_address ? "Too many requests from this address" : "The server is busy";
    server->stats.handshakes_refused++;
    eio__server_hit(server, limit, request->head);
    if (request->is_upgrade) {
        struct eio_http_reply reply = {status, "text/plain", text, strlen(text), &again, 1, true};
        eio_http_reply(request, &reply);
        return;
    }
    eio__server_reply(
        server, request,
        &(struct eio__answer){.status = status, .type = "text/plain", .body = text, .size = strlen(text)});
}

/* --------------------------------------------------------------- the 101 */

/* The first subprotocol offered, as ws does: a browser that offers some refuses a server that takes none. */
static void add_subprotocol(struct eio_headers *headers, struct eio_str protocol)
{
    char name[SUBPROTOCOL_MAX_BYTES + 1];
    if (!protocol.p || protocol.n > SUBPROTOCOL_MAX_BYTES) return;
    memcpy(name, protocol.p, protocol.n);
    name[protocol.n] = '\0';
    eio_headers_add(headers, "Sec-WebSocket-Protocol", name);
}

/* The first acceptable offer of compression, in whichever of the fields. Returns the window, 0: none. */
static int add_extension(struct eio_headers *headers, const struct eio_http_head *head)
{
    char extension[EIO__DEFLATE_RESPONSE_BYTES];
    struct eio_str offers;
    for (size_t i = 0; eio__ws_next_extensions(head, &i, &offers);) {
        int bits = eio__deflate_negotiate(offers, extension);
        if (bits) eio_headers_add(headers, "Sec-WebSocket-Extensions", extension);
        if (bits) return bits;
    }
    return 0;
}

struct eio_frame *eio__server_switching(struct eio_server *server, const struct eio_http_head *head,
                                        const struct eio_session *opened, int *deflate_bits)
{
    char accept[29];
    struct eio_headers headers;
    struct eio__ws_offer offer;
    headers.count = headers.used = 0;
    eio__ws_offer_take(head, &offer);
    eio__ws_accept(offer.key, accept);
    add_lasting(&headers, "Sec-WebSocket-Accept", accept);
    add_subprotocol(&headers, offer.protocol);
    *deflate_bits = server->options.per_message_deflate ? add_extension(&headers, head) : 0;
    add_hooks(&headers, server, head, opened); /* no cookie: the reference's comes with polling only */
    static const char start[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    enum { ACCEPT_BYTES = 64 }; /* does not stand in headers.memory */
    char text[sizeof start + ACCEPT_BYTES + sizeof headers.memory + 4 * EIO__HEADERS_MAX + 2];
    char *end = base_put_text(text, start);
    for (size_t i = 0; i < headers.count; i++) {
        end = base_put_text(base_put_text(end, headers.fields[i].name), ": ");
        end = base_put_text(base_put_text(end, headers.fields[i].value), "\r\n");
    }
    end = base_put_text(end, "\r\n");
    size_t n = (size_t)(end - text);
    struct eio_frame *frame = eio__frame_new_wire(n);
    if (frame) memcpy(frame->bytes, text, n);
    return frame;
}
