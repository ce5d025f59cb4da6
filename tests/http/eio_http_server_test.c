/* The server around its connections: routes, listening, running out of descriptors, and torture by chance. */
#include "http_server.h"

#include <sys/resource.h>

#define END "Host: a\r\n\r\n"

static void on_name(struct eio_http_request *request, void *ctx)
{
    server_reply(request, 200, ctx, strlen(ctx));
}

static char exact[] = "exact", prefix[] = "prefix", longer[] = "longer";

static void expect_route(struct server *server, const char *path, const char *wanted)
{
    struct client client;
    char text[128], end[64];
    client_open(&client, server->loop, server->port);
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nConnection: close\r\n" END, path);
    snprintf(end, sizeof end, "\r\n\r\n%s", wanted);
    client_send(&client, text);
    client_expect_eof(&client);
    assert_string_equal(strstr(client.text, "\r\n\r\n"), end);
    client_close(&client);
}

static void longest_route_wins(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    assert_int_equal(eio_http_route(server.http, "/a", 0, on_name, exact), 0);
    assert_int_equal(eio_http_route(server.http, "/a*", 0, on_name, prefix), 0);
    assert_int_equal(eio_http_route(server.http, "/a/b/*", 0, on_name, longer), 0);
    assert_int_equal(eio_http_route(server.http, "/a", 0, on_name, exact), EIO_EEXIST);
    assert_int_equal(eio_http_route(server.http, "/a*", 0, on_name, exact), EIO_EEXIST);
    expect_route(&server, "/a", "exact");
    expect_route(&server, "/a?b=/a/b/", "exact");
    expect_route(&server, "/ab", "prefix");
    expect_route(&server, "/a/b", "prefix");
    expect_route(&server, "/a/b/", "longer");
    expect_route(&server, "/a/b/c", "longer");
    expect_route(&server, "/", "/|");
    server_stop(&server);
}

static void listening_reports_what_is_wrong(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    struct eio_http *other = eio_http_new(server.loop, NULL);
    assert_int_equal(eio_http_port(other), 0);
    assert_int_equal(eio_http_listen(other, "example.org", 0), EIO_EINVAL);
    assert_int_equal(eio_http_listen(other, NULL, 0), EIO_EINVAL);
    assert_int_equal(eio_http_listen(other, "127.0.0.1", server.port), EIO_ESYS);
    assert_int_equal(eio_http_listen(other, "::1", 0), 0);
    assert_int_equal(eio_http_listen(other, "::1", eio_http_port(other)), EIO_ESYS);
    assert_true(eio_http_port(other) != 0);
    eio_http_free(other);
    struct eio_http_options options;
    eio_http_options_init(&options);
    options.trusted_proxies = "10.0.0.0/99";
    assert_null(eio_http_new(server.loop, &options));
    server_stop(&server);
}

static void expect_at(struct server *server, uint16_t port, const char *path, const char *wanted)
{
    uint16_t first = server->port;
    server->port = port;
    expect_route(server, path, wanted);
    server->port = first;
}

static uint16_t open_door(struct server *server, uint8_t door)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof any;
    struct eio_http_listener listener = {.take_fd = socket(AF_INET, SOCK_STREAM, 0), .door = door};
    assert_int_equal(bind(listener.take_fd, (struct sockaddr *)&any, size), 0);
    assert_int_equal(getsockname(listener.take_fd, (struct sockaddr *)&any, &size), 0);
    assert_int_equal(eio_http_listen_on(server->http, &listener), 0);
    return ntohs(any.sin_port);
}

static void routes_are_open_at_their_doors(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    uint16_t second = open_door(&server, 0), apart = open_door(&server, 3);
    assert_int_equal(eio_http_route(server.http, "/d", 0, on_name, exact), 0);
    assert_int_equal(eio_http_route(server.http, "/d*", 0, on_name, prefix), 0);
    assert_int_equal(eio_http_route_doors(server.http, "/none", 1), EIO_EINVAL);
    expect_at(&server, second, "/d", "exact");
    expect_at(&server, apart, "/d", "not found\n");
    /* The longest that is open. */
    assert_int_equal(eio_http_route_doors(server.http, "/d*", EIO_HTTP_DOOR(0) | EIO_HTTP_DOOR(3)), 0);
    expect_at(&server, apart, "/d", "prefix");
    assert_int_equal(eio_http_route_doors(server.http, "/d", EIO_HTTP_DOOR(3)), 0);
    expect_at(&server, apart, "/d", "exact");
    expect_route(&server, "/d", "prefix");
    assert_int_equal(eio_http_port(server.http), server.port);
    server_stop(&server);
}

static void open_connections_go_on_after_listening_stopped(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    server_start(&server, NULL);
    client_open(&client, server.loop, server.port);
    client_send(&client, "GET /1 HTTP/1.1\r\n" END);
    client_expect(&client, "/1|");
    eio_http_stop_listening(server.http);
    eio_http_stop_listening(server.http);
    client_send(&client, "GET /2 HTTP/1.1\r\n" END);
    client_expect(&client, "/2|");
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(server.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), -1);
    close(fd);
    client_close(&client);
    server_stop(&server);
}

/* A listener that cannot accept must not spin, and must come back. */
static void accepting_goes_on_after_descriptors_ran_out(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    struct rlimit old, low;
    server_start(&server, NULL);
    client_open(&client, server.loop, server.port);
    eio_log_set(NULL, NULL, EIO_LOG_ERROR);
    getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = (rlim_t)client.fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    client_send(&client, "GET /1 HTTP/1.1\r\n" END);
    client_expect_quiet(&client);
    assert_int_equal(server_stats(&server).accepted, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    client_expect_quiet(&client);
    eio_loop_advance(server.loop, 100);
    client_expect(&client, "/1|");
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
    client_close(&client);
    server_stop(&server);
}

static int warnings;

static void count_warning(enum eio_log_level level, const char *text, void *ctx)
{
    (void)ctx;
    if (level == EIO_LOG_WARN && strstr(text, "not accepting new connections")) warnings++;
}

/* What the process needs for itself: a log that is opened anew, a store, Redis. */
static void a_few_descriptors_are_never_given_to_connections(void **state)
{
    (void)state;
    enum { RESERVED = 4, CLIENTS = 12 };
    struct server server;
    struct client clients[CLIENTS];
    struct eio_http_options options;
    struct rlimit old, low;
    eio_http_options_init(&options);
    options.reserved_descriptors = RESERVED;
    options.idle_timeout_ms = 600000;
    server_start(&server, &options);
    for (int i = 0; i < CLIENTS; i++) client_open(&clients[i], server.loop, server.port);
    warnings = 0;
    eio_log_set(count_warning, NULL, EIO_LOG_WARN);
    getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = (rlim_t)clients[CLIENTS - 1].fd + 1 + 3 + RESERVED; /* three connections */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int i = 0; i < CLIENTS; i++) client_send(&clients[i], "GET /1 HTTP/1.1\r\n" END);
    eio_loop_advance(server.loop, 60000 - 100);
    assert_int_equal(server_stats(&server).accepted, 3);
    assert_int_equal(warnings, 1); /* in a minute */
    assert_true(server_stats(&server).limit_hits[EIO_LIMIT_RESERVED_DESCRIPTORS] > 1);
    int own[RESERVED];
    for (int i = 0; i < RESERVED; i++) assert_true((own[i] = dup(0)) >= 0);
    for (int i = 0; i < RESERVED; i++) close(own[i]);
    for (int i = 0; i < 3; i++) client_expect(&clients[i], "/1|");
    client_close(&clients[0]); /* two descriptors: both ends are of this process */
    eio_loop_advance(server.loop, 200);
    assert_int_equal(server_stats(&server).accepted, 5);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    eio_loop_advance(server.loop, 100);
    for (int i = 3; i < CLIENTS; i++) client_expect(&clients[i], "/1|");
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
    for (int i = 1; i < CLIENTS; i++) client_close(&clients[i]);
    server_stop(&server);
}

static void break_in_a_reply_header_is_dropped(struct eio_http_request *request, void *ctx)
{
    (void)ctx;
    static const struct eio_http_reply_field fields[] = {
        {"X-Bad", "a\r\nX-Injected: b"}, {"X-Bad\r\nX-Injected", "c"}, {"Content-Length", "99"}, {"X-Good", "d"}};
    struct eio_http_reply reply = {
        .status = 200, .body = "e", .body_size = 1, .fields = fields, .field_count = 4, .close = true};
    eio_http_reply(request, &reply);
}

static void replies_cannot_be_split(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    server_start(&server, NULL);
    eio_http_route(server.http, "/h", 0, break_in_a_reply_header_is_dropped, NULL);
    client_open(&client, server.loop, server.port);
    client_send(&client, "GET /h HTTP/1.1\r\n" END);
    client_expect_eof(&client);
    assert_null(strstr(client.text, "X-Injected"));
    assert_non_null(strstr(client.text, "Content-Length: 1\r\n"));
    assert_int_equal(client_count(&client, "Content-Length"), 1);
    assert_non_null(strstr(client.text, "X-Good: d\r\n"));
    client_close(&client);
    server_stop(&server);
}

/* ----------------------------------------------------------------- torture */

static uint32_t chance_state = 1;

static uint32_t chance(uint32_t below)
{
    chance_state = chance_state * 1664525u + 1013904223u;
    return (chance_state >> 8) % below;
}

static size_t random_requests(char *out, size_t size)
{
    static const char *const parts[] = {
        "GET /x HTTP/1.1\r\n" END,
        "GET /park HTTP/1.1\r\n" END,
        "POST /y HTTP/1.1\r\nContent-Length: 4\r\n" END "body",
        "POST /z HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "3\r\nabc\r\n0\r\nT: v\r\n\r\n",
        "HEAD /h HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /big HTTP/1.1\r\n" END,
        "GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" END,
        "\r\n",
        "BAD\x01",
        "POST /l HTTP/1.1\r\nContent-Length: 99999\r\n" END,
        "GET /c HTTP/1.1\r\nConnection: close\r\n" END,
    };
    size_t n = 0;
    for (uint32_t left = 1 + chance(6); left > 0; left--) {
        /* The ends of the list, which end a connection, seldom. */
        const char *part = parts[chance(chance(4) ? 6 : sizeof parts / sizeof *parts)];
        if (n + strlen(part) < size) n += (size_t)snprintf(out + n, size - n, "%s", part);
    }
    return n;
}

static void torture_one(struct server *server)
{
    struct client client;
    char text[2048];
    size_t n = random_requests(text, sizeof text), at = 0;
    client_open(&client, server->loop, server->port);
    while (at < n) {
        size_t piece = 1 + chance((uint32_t)(n - at));
        if (chance(50) == 0) break;
        if (!client_send_bytes(&client, text + at, piece)) break;
        at += piece;
        if (chance(3) == 0) client_take(&client);
        if (chance(4) == 0 && server->parked) {
            struct eio_http_request *parked = server->parked;
            server->parked = NULL;
            server_reply(parked, 200, "poll", 4);
        }
        if (chance(20) == 0) eio_loop_advance(server->loop, chance(15000));
    }
    if (chance(3) == 0) shutdown(client.fd, SHUT_WR);
    for (uint32_t turns = chance(6); turns > 0; turns--) eio_loop_turn(server->loop, 0);
    if (chance(2) == 0) client_reset(&client);
    client_close(&client);
    if (server->taken_fd >= 0) close(server->taken_fd);
    free(server->taken_head);
    free(server->taken_rest);
    server->taken_fd = -1;
    server->taken_head = NULL;
    server->taken_rest = NULL;
}

/* Nothing to compare with: no crash, no leak, and in the end nobody is left. */
static void nothing_is_left_after_chaos(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    for (int i = 0; i < 400; i++) {
        server.refuse_upgrade = chance(3) == 0;
        torture_one(&server);
        server.parked = NULL; /* another one may have been parked since */
    }
    for (int i = 0; i < 200 && server_stats(&server).connections; i++) {
        eio_loop_turn(server.loop, 0);
        eio_loop_advance(server.loop, 10000);
    }
    assert_int_equal(server_stats(&server).connections, 0);
    assert_int_equal(server_stats(&server).parked, 0);
    server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longest_route_wins),
        cmocka_unit_test(listening_reports_what_is_wrong),
        cmocka_unit_test(routes_are_open_at_their_doors),
        cmocka_unit_test(open_connections_go_on_after_listening_stopped),
        cmocka_unit_test(accepting_goes_on_after_descriptors_ran_out),
        cmocka_unit_test(a_few_descriptors_are_never_given_to_connections),
        cmocka_unit_test(replies_cannot_be_split),
        cmocka_unit_test(nothing_is_left_after_chaos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
