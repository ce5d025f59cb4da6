/* Bodies that are handed on as they come (eio_http_route_early()): in any framing, paused, answered before their end,
 * broken, abandoned. */
#include "http_server.h"

#include "test.h"

struct reader {
    struct server server;
    struct eio_http_request *request;
    char text[100000];
    size_t size, pieces;
    bool has_ended, is_aborted, keeps, answers_first;
};
static struct reader r;

static void answer(const char *text)
{
    struct eio_http_reply reply = {
        .status = 200, .content_type = "text/plain", .body = text, .body_size = strlen(text)};
    struct eio_http_request *request = r.request;
    r.request = NULL;
    eio_http_reply(request, &reply);
}

static void on_piece(void *ctx, struct eio_str piece)
{
    struct reader *reader = ctx;
    assert_true(reader->size + piece.n < sizeof reader->text);
    memcpy(reader->text + reader->size, piece.p, piece.n);
    reader->size += piece.n;
    reader->text[reader->size] = 0;
    reader->pieces++;
    if (reader->answers_first) answer("enough");
}

static void on_end(void *ctx)
{
    struct reader *reader = ctx;
    reader->has_ended = true;
    if (!reader->keeps) answer("read");
}

static void on_abort(void *ctx)
{
    struct reader *reader = ctx;
    reader->is_aborted = true;
    reader->request = NULL;
}

static void on_early(struct eio_http_request *request, void *ctx)
{
    r.request = request;
    eio_http_request_on_abort(request, on_abort, ctx);
    if (!eio_http_request_read(request, on_piece, on_end, ctx)) answer("whole");
}

static bool is_early(const struct eio_http_head *head, void *ctx)
{
    assert_ptr_equal(ctx, &r);
    return !eio_http_head_field(head, "x-whole").n;
}

static void begin(struct client *client)
{
    memset(&r, 0, sizeof r);
    server_start(&r.server, NULL);
    assert_int_equal(eio_http_route_early(r.server.http, "/early", is_early), EIO_EINVAL);
    assert_int_equal(eio_http_route(r.server.http, "/early", 10, on_early, &r), 0);
    assert_int_equal(eio_http_route_early(r.server.http, "/early", is_early), 0);
    client_open(client, r.server.loop, r.server.port);
}

static void end(struct client *client)
{
    client_close(client);
    server_stop(&r.server);
}

static void wait_for(struct client *client, const char *text)
{
    uint64_t until = client_now_ms() + CLIENT_WAIT_MS;
    while (strcmp(r.text, text) && client_now_ms() < until) client_pump(client, 1);
    assert_string_equal(r.text, text);
}

#define CHUNKED "POST /early HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

TEST(reading, chunks_arrive_before_the_body_ends_and_the_connection_goes_on)
{
    struct client client;
    begin(&client);
    client_send(&client, CHUNKED "5\r\nhello\r\n");
    wait_for(&client, "hello");
    assert_false(r.has_ended);
    client_send(&client, "7\r\n, world\r\n");
    wait_for(&client, "hello, world");
    client_expect_quiet(&client);
    client_send(&client, "0\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    client_expect(&client, "keep-alive\r\n\r\nread");
    client_expect(&client, "/next|");
    client_send(&client, CHUNKED "1\r\n!\r\n0\r\n\r\n");
    client_expect_times(&client, "read", 2);
    end(&client);
}

TEST(reading, a_length_may_be_longer_than_bodies_that_are_collected)
{
    struct client client;
    begin(&client);
    client_send(&client, "POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n0123456789");
    wait_for(&client, "0123456789");
    client_send(&client, "abcdefghijGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    client_expect(&client, "read");
    client_expect(&client, "/next|");
    assert_string_equal(r.text, "0123456789abcdefghij");
    client_send(&client, "POST /early HTTP/1.1\r\nHost: h\r\nX-Whole: 1\r\nContent-Length: 20\r\n\r\n");
    client_expect(&client, "HTTP/1.1 413");
    end(&client);
}

TEST(reading, without_a_body_nothing_is_read)
{
    struct client client;
    begin(&client);
    client_send(&client, "POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    client_expect(&client, "whole");
    client_send(&client, "POST /early HTTP/1.1\r\nHost: h\r\nX-Whole: 1\r\nContent-Length: 3\r\n\r\nabc");
    client_expect_times(&client, "whole", 2);
    assert_int_equal(r.pieces, 0);
    end(&client);
}

TEST(reading, whoever_waits_for_100_gets_it_once_the_request_is_taken)
{
    struct client client;
    begin(&client);
    client_send(&client, "POST /early HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client_expect(&client, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(&client, "abc");
    client_expect(&client, "read");
    end(&client);
}

TEST(reading, paused_it_waits_with_the_client)
{
    enum { BYTES = 8 << 20 };
    struct client client;
    char *many = malloc(BYTES);
    size_t sent = 0;
    memset(many, 'm', BYTES);
    begin(&client);
    client_send(&client, "POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 8388609\r\n\r\nx");
    wait_for(&client, "x");
    eio_http_request_pause(r.request, true);
    /* The kernel's buffers fill, and nothing comes. */
    for (uint64_t until = client_now_ms() + CLIENT_QUIET_MS; client_now_ms() < until; eio_loop_turn(client.loop, 0)) {
        ssize_t n = send(client.fd, many, 65536, MSG_NOSIGNAL);
        if (n > 0) sent += (size_t)n;
        if (n > 0) until = client_now_ms() + CLIENT_QUIET_MS;
        assert_true(sent < BYTES);
    }
    assert_string_equal(r.text, "x");
    eio_loop_advance(client.loop, 600000); /* and no time runs for the client */
    client_pump(&client, 5);
    assert_false(r.is_aborted);
    r.answers_first = true;
    eio_http_request_pause(r.request, false);
    client_expect(&client, "Connection: close\r\n\r\nenough");
    free(many);
    end(&client);
}

TEST(reading, answered_before_the_end_the_connection_closes)
{
    struct client client;
    begin(&client);
    r.answers_first = true;
    client_send(&client, CHUNKED "1\r\na\r\n1\r\nb\r\n");
    client_expect(&client, "Connection: close\r\n\r\nenough");
    client_send(&client, "0\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    client_expect_eof(&client);
    assert_null(strstr(client.text, "/next|"));
    assert_int_equal(r.pieces, 1);
    end(&client);
}

TEST(reading, a_broken_chunk_aborts_the_request_and_is_answered_400)
{
    struct client client;
    begin(&client);
    client_send(&client, CHUNKED "1\r\na\r\n");
    wait_for(&client, "a");
    client_send(&client, "zz\r\n");
    client_expect(&client, "HTTP/1.1 400");
    client_expect_eof(&client);
    assert_true(r.is_aborted);
    assert_false(r.has_ended);
    end(&client);
}

TEST(reading, who_goes_aborts_it)
{
    struct client client;
    uint64_t until = client_now_ms() + CLIENT_WAIT_MS;
    begin(&client);
    client_send(&client, CHUNKED "1\r\na\r\n");
    wait_for(&client, "a");
    close(client.fd);
    client.fd = -1;
    while (!r.is_aborted && client_now_ms() < until) eio_loop_turn(r.server.loop, 1);
    assert_true(r.is_aborted);
    end(&client);
}

/* body_timeout_ms from one piece to the next, however long the whole takes. */
TEST(reading, a_body_that_stands_still_is_refused_with_408)
{
    struct client client;
    char text[8] = "";
    begin(&client);
    client_send(&client, CHUNKED);
    for (int i = 0; i < 5; i++) {
        client_send(&client, "1\r\na\r\n");
        strcat(text, "a");
        wait_for(&client, text);
        eio_loop_advance(client.loop, 50000);
        client_pump(&client, 2);
        assert_false(r.is_aborted);
    }
    eio_loop_advance(client.loop, 10001);
    client_expect(&client, "HTTP/1.1 408");
    assert_true(r.is_aborted);
    end(&client);
}

TEST_MAIN
