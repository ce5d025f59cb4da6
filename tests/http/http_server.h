/* The server that the raw-socket tests talk to: a loop with a fake clock, a few routes, and a log of what reached them.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http_client.h"

#include "eio_http_int.h"

struct server {
    struct eio_loop *loop;
    struct eio_http *http;
    uint16_t port;
    struct eio_http_request *parked;
    unsigned parked_count, aborted, calls, upgrades;
    char last_target[256];
    int taken_fd;
    struct eio__io *taken_io;
    struct eio_http_head *taken_head;
    uint8_t *taken_rest;
    size_t taken_rest_size;
    bool refuse_upgrade;
};

static inline void server_reply(struct eio_http_request *request, int status, const char *body, size_t size)
{
    struct eio_http_reply reply = {.status = status, .content_type = "text/plain", .body = body, .body_size = size};
    eio_http_reply(request, &reply);
}

static inline void server_note(struct server *server, struct eio_http_request *request)
{
    struct eio_str target = eio_http_head_target(eio_http_request_head(request));
    server->calls++;
    snprintf(server->last_target, sizeof server->last_target, "%.*s", (int)target.n, target.p);
}

/* Answers "<target>|<body>". */
static inline void on_echo(struct eio_http_request *request, void *ctx)
{
    server_note(ctx, request);
    struct eio_str target = eio_http_head_target(eio_http_request_head(request));
    struct eio_str body = eio_http_request_body(request);
    char *out = malloc(target.n + 1 + body.n + 1);
    memcpy(out, target.p, target.n);
    out[target.n] = '|';
    if (body.n) memcpy(out + target.n + 1, body.p, body.n);
    server_reply(request, 200, out, target.n + 1 + body.n);
    free(out);
}

static inline void on_parked_abort(void *ctx)
{
    struct server *server = ctx;
    server->aborted++;
    server->parked = NULL;
}

static inline void on_park(struct eio_http_request *request, void *ctx)
{
    struct server *server = ctx;
    server_note(server, request);
    server->parked = request;
    server->parked_count++;
    eio_http_request_on_abort(request, on_parked_abort, server);
}

static inline void on_big(struct eio_http_request *request, void *ctx)
{
    server_note(ctx, request);
    size_t size = 8u << 20;
    char *body = calloc(1, size);
    memset(body, 'x', size);
    server_reply(request, 200, body, size);
    free(body);
}

static inline void on_upgrade(struct eio_http_request *request, void *ctx)
{
    struct server *server = ctx;
    server->upgrades++;
    if (server->refuse_upgrade) {
        struct eio_http_reply reply = {.status = 400, .content_type = "text/plain", .body = "no", .body_size = 2};
        eio_http_reply(request, &reply);
        return;
    }
    struct eio__taken taken;
    if (request->ops->take(request, &taken) != 0) return;
    server->taken_fd = taken.wire.fd;
    server->taken_io = taken.wire.io;
    server->taken_head = taken.head;
    server->taken_rest = taken.rest;
    server->taken_rest_size = taken.rest_size;
}

static inline void server_start(struct server *server, const struct eio_http_options *options)
{
    *server = (struct server){.taken_fd = -1};
    server->loop = eio_loop_new_with_fake_clock();
    server->http = eio_http_new(server->loop, options);
    assert_non_null(server->http);
    assert_int_equal(eio_http_route(server->http, "/*", 1000, on_echo, server), 0);
    assert_int_equal(eio_http_route(server->http, "/large", 4u << 20, on_echo, server), 0);
    assert_int_equal(eio_http_route(server->http, "/park", 0, on_park, server), 0);
    assert_int_equal(eio_http_route(server->http, "/big", 0, on_big, server), 0);
    const struct eio__route_spec upgrades = {.fn = on_echo, .upgrade = on_upgrade, .ctx = server};
    assert_int_equal(eio__http_route_add(server->http, "/ws", &upgrades), 0);
    assert_int_equal(eio_http_listen(server->http, "127.0.0.1", 0), 0);
    server->port = eio_http_port(server->http);
}

static inline void server_stop(struct server *server)
{
    eio__wire_close(server->loop, (struct eio__wire){server->taken_fd, server->taken_io});
    free(server->taken_head);
    free(server->taken_rest);
    eio_http_free(server->http);
    eio_loop_turn(server->loop, 0);
    eio_loop_free(server->loop);
}

static inline struct eio_http_stats server_stats(const struct server *server)
{
    struct eio_http_stats stats;
    eio_http_get_stats(server->http, &stats);
    return stats;
}
#endif
