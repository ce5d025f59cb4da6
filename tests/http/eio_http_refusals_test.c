/* What a client may not send: every row of the list of libevhtp's defects that is about refusing, and the limits. */
#include "http_server.h"

#define HOST "Host: a\r\n"
#define END HOST "\r\n"

struct fixture {
    struct server server;
    struct client client;
};

static int setup(void **state)
{
    static struct fixture fixture;
    struct eio_http_options options;
    eio_http_options_init(&options);
    options.max_connections = 3;
    options.head_timeout_ms = 5000;
    server_start(&fixture.server, &options);
    client_open(&fixture.client, fixture.server.loop, fixture.server.port);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    client_close(&f->client);
    server_stop(&f->server);
    return 0;
}

/* The input is answered with this status and a close, and no handler sees a request. */
static void refused_bytes(struct fixture *f, const char *p, size_t n, int status)
{
    struct client client;
    char line[32];
    unsigned calls = f->server.calls;
    client_open(&client, f->server.loop, f->server.port);
    client_send_bytes(&client, p, n);
    client_expect_eof(&client);
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    if (strncmp(client.text, line, strlen(line)) != 0)
        fail_msg("wanted %d for \"%.60s\", got \"%s\"", status, p, client.text);
    assert_int_equal(client_count(&client, "HTTP/1.1 "), 1);
    assert_non_null(strstr(client.text, "Connection: close\r\n"));
    assert_int_equal(f->server.calls, calls);
    client_close(&client);
}

static void refused(struct fixture *f, const char *text, int status)
{
    refused_bytes(f, text, strlen(text), status);
}

/* --------------------------------------------------------------- smuggling */

static void smuggling_by_lengths(void **state)
{
    struct fixture *f = *state;
    static const char *const heads[] = {
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length:\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5\v\r\n",
        "Content-Length : 5\r\n",
        "Content-Length\t: 5\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \x0b"
        "chunked\r\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        char text[512];
        snprintf(text, sizeof text, "POST /s HTTP/1.1\r\n" HOST "%s\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n" END,
                 heads[i]);
        refused(f, text, 400);
    }
    refused(f, "POST /s HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501);
    refused(f, "POST /s HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 400);
    refused(f, "POST /s HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400);
    refused(f, "POST /s HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

static void chunked_in_capitals_is_chunked(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "POST /c HTTP/1.1\r\nTransfer-Encoding: CHUNKED\r\n" END "3\r\nabc\r\n0\r\n\r\n");
    client_expect(&f->client, "/c|abc");
}

/* evhtp ended the message after the first trailer and ran the rest as a request. Nor is a request swallowed as one. */
static void trailers_are_not_a_request(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "POST /t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END
                            "1;x=y\r\na\r\n0\r\nT: v\r\nGET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n");
    client_expect(&f->client, "HTTP/1.1 400 ");
    client_expect_eof(&f->client);
    assert_int_equal(f->server.calls, 0);
}

static void bad_chunks(void **state)
{
    struct fixture *f = *state;
#define CHUNKED "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END
    refused(f, CHUNKED "10000000000000003\r\nabc\r\n0\r\n\r\n", 413);
    refused(f, CHUNKED "x\r\n", 400);
    refused(f, CHUNKED "-1\r\n", 400);
    refused(f, CHUNKED "3 \r\nabc\r\n", 400);
    refused(f, CHUNKED "3\nabc\r\n", 400);
    refused(f, CHUNKED "3\r\nabcd\r\n", 400);
    refused(f, CHUNKED "0\r\n folded\r\n\r\n", 400);
    refused(f, CHUNKED "0\r\nT: v\n\r\n", 400);
    char text[12000];
    size_t n = (size_t)sprintf(text, CHUNKED "1;");
    memset(text + n, 'x', 1000);
    refused_bytes(f, text, n + 1000, 400);
    n = (size_t)sprintf(text, CHUNKED "0\r\nT: ");
    memset(text + n, 'x', 9000);
    refused_bytes(f, text, n + 9000, 431);
}

/* ------------------------------------------------------------------- heads */

static void bad_heads(void **state)
{
    struct fixture *f = *state;
    refused_bytes(f, "GET /a\0b HTTP/1.1\r\n" END, 31, 400);
    refused_bytes(f, "GET /a HTTP/1.1\r\nX: a\0b\r\n" END, 36, 400);
    refused(f, "GET / HTTP/1.1\r\n\r\n", 400);
    refused(f, "GET / HTTP/1.1\r\n" HOST END, 400);
    refused(f, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
    refused(f, "GET / HTTP/9.9\r\n" END, 505);
    refused(f, "GET / HTTP/1.2\r\n" END, 505);
    refused(f, "GET / HTTP/2.0\r\n" END, 505);
    refused(f, "GET / http/1.1\r\n" END, 400);
    refused(f, "GET /\r\n", 400);
    refused(f, "GET  / HTTP/1.1\r\n" END, 400);
    refused(f, "GET / HTTP/1.1 \r\n" END, 400);
    refused(f, "GET / HTTP/1.1\n" HOST "\n", 400);
    refused(f, "GET / HTTP/1.1\r\nHost: a\n\r\n", 400);
    refused(f, "GET / HTTP/1.1\r\nX: a\rb\r\n" END, 400);
    refused(f, "BREW / HTTP/1.1\r\n" END, 501);
    refused(f, "get / HTTP/1.1\r\n" END, 501);
    refused(f, "TRACE / HTTP/1.1\r\n" END, 501);
    refused(f, "CONNECT a:443 HTTP/1.1\r\n" END, 501);
    refused(f, " / HTTP/1.1\r\n", 400);
    refused(f, "\r\n\r\nGET / HTTP/1.1\r\n" END, 400);
    refused(f, "\nGET / HTTP/1.1\r\n" END, 400);
    refused(f, "GET * HTTP/1.1\r\n" END, 400);
    refused(f, "GET a HTTP/1.1\r\n" END, 400);
    refused(f, "GET http:// HTTP/1.1\r\n" END, 400);
    refused(f, "GET http://u@a/ HTTP/1.1\r\n" END, 400);
    refused(f, "GET /\xc3\xa4 HTTP/1.1\r\n" END, 400);
    refused(f, "GET / HTTP/1.1\r\nno colon\r\n" END, 400);
    refused(f, "GET / HTTP/1.1\r\n: empty\r\n" END, 400);
    refused(f, "GET / HTTP/1.1\r\n" HOST "X: a\r\n folded\r\n\r\n", 400);
    refused(f, "GET / HTTP/1.1\r\n folded\r\n" END, 400);
    refused(f, "GET / HTTP/1.1\r\nContent-Length: five\r\n" END, 400);
    refused(f, "POST / HTTP/1.1\r\nExpect: 200-ok\r\n" END, 417);
}

/* Nobody waits for the rest of what cannot become a request. */
static void tls_hello_is_refused_at_its_first_byte(void **state)
{
    struct fixture *f = *state;
    refused(f, "\x16", 400);
    refused(f, "\x16\x03\x01\x02", 400);
    refused(f, "{\"", 400);
    refused(f, "GETTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT", 501);
}

static void long_uri_is_414(void **state)
{
    struct fixture *f = *state;
    char *text = malloc(9100);
    size_t n = (size_t)sprintf(text, "GET /");
    memset(text + n, 'a', 9000);
    refused_bytes(f, text, 9000, 414);
    free(text);
}

static void long_header_is_431(void **state)
{
    struct fixture *f = *state;
    char *text = malloc(10000);
    size_t n = (size_t)sprintf(text, "GET / HTTP/1.1\r\n" HOST "X: ");
    memset(text + n, 'a', 9000);
    refused_bytes(f, text, n + 9000, 431);
    free(text);
}

static void too_many_headers_are_431(void **state)
{
    struct fixture *f = *state;
    char text[2000];
    size_t n = (size_t)sprintf(text, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 100; i++) n += (size_t)sprintf(text + n, "a: b\r\n");
    refused_bytes(f, text, n, 431);
}

static void four_megabytes_of_headers_are_431(void **state)
{
    struct fixture *f = *state;
    char line[1025];
    memset(line, 'x', sizeof line);
    memcpy(line, "X: ", 3);
    memcpy(line + 1022, "\r\n", 3);
    client_send(&f->client, "GET / HTTP/1.1\r\n" HOST);
    bool open = true;
    for (int i = 0; i < 4000 && open; i++) open = client_send_bytes(&f->client, line, 1024);
    client_expect(&f->client, "HTTP/1.1 431 ");
    assert_int_equal(f->server.calls, 0);
}

/* ------------------------------------------------------------------ bodies */

static void declared_body_over_the_limit_is_413_at_once(void **state)
{
    struct fixture *f = *state;
    refused(f, "POST /b HTTP/1.1\r\nContent-Length: 1001\r\n" END, 413);
    refused(f, "POST /b HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n" END, 413);
    refused(f, "POST /b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 30000000\r\n" END, 413);
}

static void body_of_just_the_limit_is_taken(void **state)
{
    struct fixture *f = *state;
    char body[1001];
    memset(body, 'b', 1000);
    body[1000] = 0;
    client_send(&f->client, "POST /b HTTP/1.1\r\nContent-Length: 1000\r\n" END);
    client_send(&f->client, body);
    client_expect(&f->client, body);
}

/* The client reads only after it has sent everything: the reply must survive the bytes that nobody reads. */
static void big_body_gets_its_413_after_all_was_sent(void **state)
{
    struct fixture *f = *state;
    size_t size = 4u << 20;
    char *body = calloc(1, size);
    client_send(&f->client, "POST /b HTTP/1.1\r\nContent-Length: 4194304\r\n" END);
    assert_true(client_send_bytes(&f->client, body, size));
    free(body);
    client_expect_eof(&f->client);
    assert_non_null(strstr(f->client.text, "HTTP/1.1 413 "));
}

static void chunked_body_over_the_limit_is_413(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END);
    char chunk[300];
    memset(chunk, 'x', sizeof chunk);
    memcpy(chunk, "100\r\n", 5);
    memcpy(chunk + 5 + 256, "\r\n", 2);
    for (int i = 0; i < 5; i++) client_send_bytes(&f->client, chunk, 5 + 256 + 2);
    client_expect_eof(&f->client);
    assert_non_null(strstr(f->client.text, "HTTP/1.1 413 "));
    assert_int_equal(f->server.calls, 0);
}

static void route_has_its_own_limit(void **state)
{
    struct fixture *f = *state;
    size_t size = 3u << 20;
    char *body = malloc(size);
    memset(body, 'z', size);
    client_send(&f->client, "POST /large HTTP/1.1\r\nContent-Length: 3145728\r\n" END);
    assert_true(client_send_bytes(&f->client, body, size));
    client_expect(&f->client, "/large|");
    uint64_t end = client_now_ms() + CLIENT_WAIT_MS;
    while (f->client.size < size && client_now_ms() < end) client_pump(&f->client, 1);
    assert_memory_equal(strstr(f->client.text, "/large|") + 7, body, 1000);
    free(body);
}

/* --------------------------------------------------------------- deadlines */

/* One byte a second: a timeout per read would never cut it. */
static void header_drip_meets_the_absolute_deadline(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /");
    for (int i = 0; i < 4; i++) {
        eio_loop_advance(f->server.loop, 1000);
        client_send(&f->client, "x");
        client_expect_quiet(&f->client);
    }
    eio_loop_advance(f->server.loop, 1000);
    client_expect_eof(&f->client);
    assert_non_null(strstr(f->client.text, "HTTP/1.1 408 "));
    assert_int_equal(server_stats(&f->server).timeouts, 1);
}

static void silent_connection_is_closed(void **state)
{
    struct fixture *f = *state;
    client_expect_quiet(&f->client);
    eio_loop_advance(f->server.loop, 5000);
    client_expect_eof(&f->client);
    assert_int_equal(f->client.size, 0);
}

static void body_drip_meets_the_absolute_deadline(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "POST /b HTTP/1.1\r\nContent-Length: 100\r\n" END);
    for (int i = 0; i < 6; i++) {
        client_send(&f->client, "x");
        client_pump(&f->client, 3);
        eio_loop_advance(f->server.loop, 10000);
    }
    client_expect_eof(&f->client);
    assert_non_null(strstr(f->client.text, "HTTP/1.1 408 "));
}

static void idle_connection_is_closed_quietly(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /i HTTP/1.1\r\n" END);
    client_expect(&f->client, "/i|");
    size_t before = f->client.size;
    eio_loop_advance(f->server.loop, 59000);
    client_expect_quiet(&f->client);
    eio_loop_advance(f->server.loop, 1000);
    client_expect_eof(&f->client);
    assert_int_equal(f->client.size, before);
}

static void lingering_ends(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "BREW / HTTP/1.1\r\n" END);
    client_expect(&f->client, "HTTP/1.1 501 ");
    assert_int_equal(server_stats(&f->server).connections, 1);
    eio_loop_advance(f->server.loop, 2000);
    assert_int_equal(server_stats(&f->server).connections, 0);
}

/* ------------------------------------------------------------ backpressure */

/* Requests for 8 MB each, and not a byte read: one reply is held, and after the timeout none. */
static void client_that_never_reads_is_bounded_and_cut(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 20; i++) client_send(&f->client, "GET /big HTTP/1.1\r\n" END);
    for (int i = 0; i < 200; i++) eio_loop_turn(f->server.loop, 0);
    assert_int_equal(f->server.calls, 1);
    eio_loop_advance(f->server.loop, 60000);
    eio_loop_advance(f->server.loop, 60000);
    assert_int_equal(server_stats(&f->server).connections, 0);
    assert_int_equal(f->server.calls, 1);
}

static void slow_reader_gets_everything(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /big HTTP/1.1\r\n" END "GET /big HTTP/1.1\r\n" END);
    uint64_t end = client_now_ms() + CLIENT_WAIT_MS;
    while (f->client.size < (16u << 20) + 100 && client_now_ms() < end) client_pump(&f->client, 1);
    assert_int_equal(client_count(&f->client, "HTTP/1.1 200 OK"), 2);
    assert_true(f->client.size > 16u << 20);
}

/* Pipelined bytes behind a parked poll are not read without end. */
static void flood_behind_a_parked_poll_is_not_read(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /park HTTP/1.1\r\n" END);
    client_pump(&f->client, 5);
    char block[65536];
    memset(block, 'x', sizeof block);
    uint64_t end = client_now_ms() + 300;
    size_t sent = 0;
    while (client_now_ms() < end) {
        ssize_t n = send(f->client.fd, block, sizeof block, MSG_NOSIGNAL);
        if (n > 0) sent += (size_t)n;
        eio_loop_turn(f->server.loop, 0);
    }
    assert_true(sent < 32u << 20);
    server_reply(f->server.parked, 200, "ok", 2);
    client_expect(&f->client, "HTTP/1.1 501 ");
}

static void connections_above_the_limit_get_503(void **state)
{
    struct fixture *f = *state;
    struct client clients[5];
    for (int i = 0; i < 5; i++) client_open(&clients[i], f->server.loop, f->server.port);
    client_pump(&f->client, 5);
    for (int i = 2; i < 5; i++) {
        client_send(&clients[i], "GET / HTTP/1.1\r\n" END);
        client_expect_eof(&clients[i]);
        assert_non_null(strstr(clients[i].text, "HTTP/1.1 503 "));
    }
    client_send(&clients[1], "GET /in HTTP/1.1\r\n" END);
    client_expect(&clients[1], "/in|");
    for (int i = 0; i < 5; i++) client_close(&clients[i]);
    client_pump(&f->client, 5);
    client_open(&clients[0], f->server.loop, f->server.port);
    client_send(&clients[0], "GET /free HTTP/1.1\r\n" END);
    client_expect(&clients[0], "/free|");
    client_close(&clients[0]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(smuggling_by_lengths),
        T(chunked_in_capitals_is_chunked),
        T(trailers_are_not_a_request),
        T(bad_chunks),
        T(bad_heads),
        T(tls_hello_is_refused_at_its_first_byte),
        T(long_uri_is_414),
        T(long_header_is_431),
        T(too_many_headers_are_431),
        T(four_megabytes_of_headers_are_431),
        T(declared_body_over_the_limit_is_413_at_once),
        T(body_of_just_the_limit_is_taken),
        T(big_body_gets_its_413_after_all_was_sent),
        T(chunked_body_over_the_limit_is_413),
        T(route_has_its_own_limit),
        T(header_drip_meets_the_absolute_deadline),
        T(silent_connection_is_closed),
        T(body_drip_meets_the_absolute_deadline),
        T(idle_connection_is_closed_quietly),
        T(lingering_ends),
        T(client_that_never_reads_is_bounded_and_cut),
        T(slow_reader_gets_everything),
        T(flood_behind_a_parked_poll_is_not_read),
        T(connections_above_the_limit_get_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
