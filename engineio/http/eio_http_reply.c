/* Requests as their handlers see them, and their answers: ours, or evhtp's where it has the request (over TLS, but not
 * for errors of the gate and refused upgrades). */
#include "base_memory.h"
#include "base_str.h"
#include "eio_http_conn.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---------------------------------------------------------------- requests */

struct eio__request *eio__request_new(struct eio__conn *conn, struct eio_http_head *take_head, uint8_t *take_body,
                                      size_t body_size)
{
    struct eio__request *request = base_zalloc(sizeof *request);
    if (!request) {
        free(take_head);
        free(take_body);
        return NULL;
    }
    request->base.ops = &eio__http_ops;
    request->base.head = take_head;
    request->base.body = (struct eio_str){(const char *)take_body, body_size};
    request->base.loop = conn->http->loop;
    request->base.line = &conn->line;
    request->conn = conn;
    request->body = take_body;
    return request;
}

void eio__request_free(struct eio__request *request)
{
    free(request->base.head);
    free(request->body);
    free(request);
}

const struct eio_http_head *eio_http_request_head(const struct eio_http_request *request)
{
    return request->head;
}

struct eio_str eio_http_request_body(const struct eio_http_request *request)
{
    return request->body;
}

struct eio_loop *eio_http_request_loop(const struct eio_http_request *request)
{
    return request->loop;
}

void eio_http_request_on_abort(struct eio_http_request *request, eio_loop_fn fn, void *ctx)
{
    request->on_abort = fn;
    request->abort_ctx = ctx;
}

void eio_http_reply(struct eio_http_request *request, const struct eio_http_reply *reply)
{
    request->ops->reply(request, reply);
}

/* ----------------------------------------------------------------- replies */

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status) return texts[i].text;
    return "Error";
}

enum { BAD_NAME = 1, BAD_VALUE = 2 };
static const uint8_t bad_chars[256] = {
    ['\t'] = BAD_NAME,
    [' '] = BAD_NAME,
    [':'] = BAD_NAME,
    [0x7f] = BAD_NAME | BAD_VALUE,
    [1 ... 8] = BAD_NAME | BAD_VALUE,
    [10 ... 31] = BAD_NAME | BAD_VALUE,
};

static bool is_ours(const char *name, size_t size)
{
    switch (size) {
    case sizeof "connection" - 1:
        return strcasecmp(name, "connection") == 0;
    case sizeof "content-length" - 1:
        return strcasecmp(name, "content-length") == 0;
    case sizeof "transfer-encoding" - 1:
        return strcasecmp(name, "transfer-encoding") == 0;
    default:
        return false;
    }
}

/* Returns the size, or 0 for a text that has a bad character. */
static size_t good_size(const char *text, uint8_t bad)
{
    const char *c = text;
    while (*c && !(bad_chars[(uint8_t)*c] & bad)) c++;
    return *c ? 0 : (size_t)(c - text);
}

/* A handler may pass on what a client sent: a line break in it must not become a header of ours. */
static bool field_ok(const struct eio_http_reply_field *field)
{
    if (!field->name || !field->value) return false;
    size_t size = good_size(field->name, BAD_NAME);
    return size && !is_ours(field->name, size) && (!*field->value || good_size(field->value, BAD_VALUE));
}

bool eio__http_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* RFC 9110, section 6.6.1: the time of the answer. The text is made once a second. */
static const char *date_text(struct eio_http *http)
{
    int64_t now_s = (int64_t)(eio_loop_unix_ms(http->loop) / 1000);
    if (now_s != http->date_s && eio__date_put(http->date, now_s)) http->date_s = now_s;
    return http->date;
}

static char *put_field(char *to, const char *name, const char *value)
{
    to = base_put_text(base_put_text(to, name), ": ");
    return base_put_text(base_put_text(to, value), "\r\n");
}

static size_t head_bound(const struct eio_http_reply *reply, const char *framing)
{
    enum { LINES = 200 }; /* the status, Date, Content-Type's name, Connection */
    size_t n = LINES + strlen(framing) + (reply->content_type ? strlen(reply->content_type) : 0);
    for (size_t i = 0; i < reply->field_count; i++) {
        const struct eio_http_reply_field *field = &reply->fields[i];
        n += (field->name ? strlen(field->name) : 0) + (field->value ? strlen(field->value) : 0) + 4;
    }
    return n;
}

void eio__http_put_head(struct eio__conn *conn, const struct eio_http_reply *reply, const char *framing,
                        bool keep_alive)
{
    char *start = (char *)eio__bytes_reserve(&conn->out, head_bound(reply, framing)), *to = start;
    if (!start) {
        eio__conn_break(conn);
        return;
    }
    to = base_put_decimal(base_put_text(to, "HTTP/1.1 "), (unsigned)reply->status);
    *to++ = ' ';
    to = base_put_text(base_put_text(to, status_text(reply->status)), "\r\n");
    to = put_field(to, "Date", date_text(conn->http));
    if (reply->content_type) to = put_field(to, "Content-Type", reply->content_type);
    for (size_t i = 0; i < reply->field_count; i++)
        if (field_ok(&reply->fields[i])) to = put_field(to, reply->fields[i].name, reply->fields[i].value);
    to = base_put_text(to, framing);
    to = base_put_text(to, keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
    conn->out.size += (size_t)(to - start);
    eio__conn_count(conn, (size_t)(to - start));
}

static void put_body(struct eio__conn *conn, const void *body, size_t n)
{
    if (eio__conn_put(conn, body, n) != 0) eio__conn_break(conn);
}

static void put_raw(struct eio__conn *conn, const struct eio_http_reply *reply, bool head_only, bool keep_alive)
{
    enum { NAME_SIZE = sizeof "Content-Length: " - 1 };
    char framing[NAME_SIZE + BASE_DECIMAL_CHARS + 3] = "Content-Length: ";
    memcpy(base_put_decimal(framing + NAME_SIZE, reply->body_size), "\r\n", 3);
    bool has_body = eio__http_has_body(reply->status);
    /* Without one not even 0: of a 304 it would be the length of the 200 (RFC 9110, section 8.6). */
    eio__http_put_head(conn, reply, has_body ? framing : "", keep_alive);
    if (!head_only && has_body) put_body(conn, reply->body, reply->body_size);
}

const struct eio_http_reply_field eio__http_nosniff = {"X-Content-Type-Options", "nosniff"};

/* The reference's 413 has no body, and its client's tests look. */
enum { CONTENT_TOO_LARGE = 413 };

void eio__http_put_error(struct eio__conn *conn, int status, const char *why)
{
    char text[160];
    int n = snprintf(text, sizeof text, "%s\n", why);
    struct eio_http_reply reply = {.status = status};
    if (status != CONTENT_TOO_LARGE) {
        reply.fields = &eio__http_nosniff;
        reply.field_count = 1;
        reply.content_type = "text/plain";
        reply.body = text;
        reply.body_size = (size_t)n;
    }
    put_raw(conn, &reply, false, false);
}

static void add_header(evhtp_request_t *request, const char *name, const char *value)
{
    evhtp_headers_add_header(request->headers_out, evhtp_header_new(name, value, 1, 1));
}

static void put_evhtp(struct eio__conn *conn, const struct eio_http_reply *reply, const struct eio_http_head *head,
                      bool keep_alive)
{
    evhtp_request_t *request = conn->evhtp->request;
    struct evbuffer *output = bufferevent_get_output(conn->bev);
    size_t before = evbuffer_get_length(output); /* of a 100 Continue */
    char size[24];
    add_header(request, "Date", date_text(conn->http));
    if (reply->content_type) add_header(request, "Content-Type", reply->content_type);
    for (size_t i = 0; i < reply->field_count; i++)
        if (field_ok(&reply->fields[i])) add_header(request, reply->fields[i].name, reply->fields[i].value);
    snprintf(size, sizeof size, "%zu", reply->body_size);
    add_header(request, "Content-Length", size);
    add_header(request, "Connection", keep_alive ? "keep-alive" : "close");
    evhtp_send_reply_start(request, (evhtp_res)reply->status);
    eio__conn_count(conn, evbuffer_get_length(output) - before);
    bool wants_body = head->method != EIO_HTTP_HEAD && eio__http_has_body(reply->status);
    if (wants_body) put_body(conn, reply->body, reply->body_size);
    evhtp_send_reply_end(request);
}

static void http_reply(struct eio_http_request *base, const struct eio_http_reply *reply)
{
    struct eio__request *request = container_of(base, struct eio__request, base);
    struct eio__conn *conn = request->conn;
    if (!conn) return; /* in on_abort: too late */
    bool keep_alive =
        base->head->keep_alive && !reply->close && !base->is_early && !base->is_upgrade && conn->hops < EIO_HOPS_MAX;
    /* evhtp would give what has no type one of its own: the reference's preflights, 304 and bare 400 have none; and
     * what has no body a length. */
    bool raw =
        base->is_upgrade || request->raw || !conn->tls || !reply->content_type || !eio__http_has_body(reply->status);
    if (raw)
        put_raw(conn, reply, base->head->method == EIO_HTTP_HEAD, keep_alive);
    else
        put_evhtp(conn, reply, base->head, keep_alive);
    if (raw && !base->is_upgrade && !request->raw && conn->tls) evhtp_send_reply_end(conn->evhtp->request);
    conn->request = NULL;
    eio__request_free(request);
    eio__conn_answered(conn, keep_alive);
}

static int http_take(struct eio_http_request *base, struct eio__taken *taken)
{
    struct eio__request *request = container_of(base, struct eio__request, base);
    struct eio__conn *conn = request->conn;
    if (!conn || !base->is_upgrade) return EIO_EINVAL;
    size_t n = conn->in.size;
    uint8_t *rest = n ? malloc(n) : NULL;
    struct eio__tls_io *io = conn->tls ? eio__tls_io_new(conn->http) : NULL;
    if ((n && !rest) || (conn->tls && !io)) {
        free(rest);
        free(io);
        return EIO_ENOMEM;
    }
    if (n) memcpy(rest, conn->in.p, n);
    taken->head = base->head;
    taken->rest = rest;
    taken->rest_size = n;
    free(request);
    eio__conn_lease(conn);
    taken->wire = eio__conn_release(conn, io);
    return 0;
}

const struct eio__request_ops eio__http_ops = {http_reply, http_take, eio__stream_begin};
