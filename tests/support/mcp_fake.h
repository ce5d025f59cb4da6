/* An MCP server that a test scripts: raw HTTP on the test's own loop. It keeps what it is asked, and its answers can be
 * cut at any byte. */
#ifndef MCP_FAKE_H
#define MCP_FAKE_H

#include "mcp_int.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <arpa/inet.h>

#define FAKE_REQUESTS_MAX 256

struct fake_request {
    char head[2048];
    json_t *body;       /* NULL: none */
    const char *method; /* of JSON-RPC; "GET", "DELETE", or "answer": a response */
    struct bufferevent *connection;
};

struct fake {
    struct eio_loop *loop;
    struct evconnlistener *listener;
    uint16_t port;
    void (*serve)(struct fake_request *request);
    struct fake_request requests[FAKE_REQUESTS_MAX];
    size_t count;
    size_t cut; /* bytes of each answer that are sent before the rest; 0: all at once */
    struct bufferevent *connections[FAKE_REQUESTS_MAX];
    size_t connection_count;
};

static struct fake fake;

/* ------------------------------------------------------------------ answers */

struct fake_rest {
    struct eio_timer timer;
    struct bufferevent *connection;
    char *text;
    size_t n;
    bool closes;
};

static inline void fake_close(struct bufferevent *connection)
{
    for (size_t i = 0; i < fake.connection_count; i++)
        if (fake.connections[i] == connection) fake.connections[i] = NULL;
    bufferevent_free(connection);
}

static inline void fake_send_rest(void *ctx)
{
    struct fake_rest *rest = ctx;
    bool is_open = false;
    for (size_t i = 0; i < fake.connection_count; i++) is_open |= fake.connections[i] == rest->connection;
    if (is_open) bufferevent_write(rest->connection, rest->text, rest->n);
    free(rest->text);
    free(rest);
}

/* Text as it is. */
static inline void fake_send(struct fake_request *request, const char *text)
{
    size_t n = strlen(text), first = fake.cut && fake.cut < n ? fake.cut : n;
    bufferevent_write(request->connection, text, first);
    if (first == n) return;
    struct fake_rest *rest = calloc(1, sizeof *rest);
    rest->connection = request->connection;
    rest->text = strdup(text + first);
    rest->n = n - first;
    eio_timer_init(&rest->timer, fake.loop, fake_send_rest, rest);
    eio_timer_start(&rest->timer, 1);
}

static inline void fake_reply(struct fake_request *request, const char *status, const char *fields, const char *body)
{
    char text[16384];
    snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, fields, strlen(body), body);
    fake_send(request, text);
}

static inline void fake_json(struct fake_request *request, const char *body)
{
    fake_reply(request, "200 OK", "Content-Type: application/json\r\n", body);
}

/* {"jsonrpc":"2.0","id":…,"result":…} with the request's id. */
static inline const char *fake_result(const struct fake_request *request, const char *result)
{
    static char text[2048];
    char *id = json_dumps(json_object_get(request->body, "id"), JSON_ENCODE_ANY);
    snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}", id ? id : "null", result);
    free(id);
    return text;
}

static inline const char *fake_error(const struct fake_request *request, const char *error)
{
    static char text[4096];
    char *id = json_dumps(json_object_get(request->body, "id"), JSON_ENCODE_ANY);
    snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":%s}", id ? id : "null", error);
    free(id);
    return text;
}

/* A stream that goes on until fake_end(). */
static inline void fake_stream(struct fake_request *request, const char *events)
{
    char text[16384];
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n%s",
             events);
    fake_send(request, text);
}

static inline void fake_written(struct bufferevent *connection, void *ctx)
{
    (void)ctx;
    fake_close(connection);
}

/* Ends the response with its connection, once it is sent. */
static inline void fake_end(struct fake_request *request)
{
    if (evbuffer_get_length(bufferevent_get_output(request->connection)))
        bufferevent_setcb(request->connection, NULL, fake_written, NULL, NULL);
    else
        fake_close(request->connection);
}

/* ----------------------------------------------------------------- requests */

static inline const char *fake_method(const struct fake_request *request)
{
    const char *method = json_string_value(json_object_get(request->body, "method"));
    if (method) return method;
    if (!strncmp(request->head, "GET ", 4)) return "GET";
    return strncmp(request->head, "DELETE ", 7) ? "answer" : "DELETE";
}

static inline void fake_read(struct bufferevent *connection, void *ctx)
{
    struct evbuffer *in = bufferevent_get_input(connection);
    struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    struct fake_request *request = &fake.requests[fake.count];
    char body[16384];
    (void)ctx;
    if (end.pos < 0 || (size_t)end.pos >= sizeof request->head - 4) return;
    evbuffer_copyout(in, request->head, (size_t)end.pos + 4);
    request->head[end.pos + 4] = 0;
    const char *length = strcasestr(request->head, "content-length:");
    size_t size = length ? strtoul(length + 15, NULL, 10) : 0;
    assert_true(size < sizeof body && fake.count < FAKE_REQUESTS_MAX);
    if (evbuffer_get_length(in) < (size_t)end.pos + 4 + size) return;
    evbuffer_drain(in, (size_t)end.pos + 4);
    evbuffer_remove(in, body, size);
    request->body = size ? json_loadb(body, size, 0, NULL) : NULL;
    request->connection = connection;
    request->method = fake_method(request);
    fake.count++;
    fake.serve(request);
}

static inline void fake_event(struct bufferevent *connection, short what, void *ctx)
{
    (void)ctx;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) fake_close(connection);
}

static inline void fake_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                               void *ctx)
{
    (void)listener, (void)address, (void)size, (void)ctx;
    struct bufferevent *connection = bufferevent_socket_new(eio_loop_base(fake.loop), fd, BEV_OPT_CLOSE_ON_FREE);
    assert_true(fake.connection_count < FAKE_REQUESTS_MAX);
    fake.connections[fake.connection_count++] = connection;
    bufferevent_setcb(connection, fake_read, NULL, fake_event, NULL);
    bufferevent_enable(connection, EV_READ | EV_WRITE);
}

static inline void fake_start(struct eio_loop *loop)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    memset(&fake, 0, sizeof fake);
    fake.loop = loop;
    fake.listener = evconnlistener_new_bind(eio_loop_base(loop), fake_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 64,
                                            (struct sockaddr *)&address, sizeof address);
    assert_non_null(fake.listener);
    getsockname(evconnlistener_get_fd(fake.listener), (struct sockaddr *)&address, &size);
    fake.port = ntohs(address.sin_port);
}

static inline void fake_stop(void)
{
    for (size_t i = 0; i < fake.connection_count; i++)
        if (fake.connections[i]) bufferevent_free(fake.connections[i]);
    for (size_t i = 0; i < fake.count; i++) json_decref(fake.requests[i].body);
    evconnlistener_free(fake.listener);
}

/* How often a method was asked for. */
static inline size_t fake_count(const char *method)
{
    size_t count = 0;
    for (size_t i = 0; i < fake.count; i++) count += !strcmp(fake.requests[i].method, method);
    return count;
}

/* The last request of a method; NULL: none. */
static inline struct fake_request *fake_last(const char *method)
{
    for (size_t i = fake.count; i-- > 0;)
        if (!strcmp(fake.requests[i].method, method)) return &fake.requests[i];
    return NULL;
}

/* The value of a field of a request's head, in a static buffer; NULL: it is absent. */
static inline const char *fake_field(const struct fake_request *request, const char *name)
{
    static char value[512];
    char pattern[128];
    snprintf(pattern, sizeof pattern, "\r\n%s:", name);
    const char *found = strcasestr(request->head, pattern);
    if (!found) return NULL;
    found += strlen(pattern);
    found += strspn(found, " ");
    snprintf(value, sizeof value, "%.*s", (int)strcspn(found, "\r"), found);
    return value;
}

#endif
