/* Answers in pieces: chunked, or up to the end of the connection; slow readers, readers that go, and what follows on
 * the same connection. */
#include "http_server.h"

#include "http_peer.h"
#include "test.h"

#include <signal.h>

enum { PIECE_BYTES = 65536 };

struct source {
    struct server server;
    struct eio_http_stream *stream;
    struct eio_http_stream_options options;
    struct eio_http_reply reply;
    unsigned aborts, drains, left; /* left: pieces that on_drain still writes */
    bool within;                   /* a call about the stream: no callback may come */
    bool end_at_once;
};
static struct source s;
static char piece[PIECE_BYTES];

static void on_drain(void *ctx)
{
    struct source *source = ctx;
    assert_false(source->within);
    source->drains++;
    if (!source->left) return;
    while (source->left && eio_http_stream_queued(source->stream) < PIECE_BYTES) {
        source->left--;
        assert_int_equal(eio_http_stream_write(source->stream, piece, sizeof piece), 0);
    }
    if (!source->left) eio_http_stream_end(source->stream);
}

static void on_abort(void *ctx)
{
    struct source *source = ctx;
    assert_false(source->within);
    source->aborts++;
    /* Whatever its owner does now is too late, and harmless. */
    assert_int_equal(eio_http_stream_write(source->stream, "x", 1), EIO_ECLOSED);
    assert_int_equal(eio_http_stream_queued(source->stream), 0);
    eio_http_stream_end(source->stream);
    eio_http_stream_abort(source->stream);
    source->stream = NULL;
}

static void on_stream(struct eio_http_request *request, void *ctx)
{
    struct source *source = ctx;
    source->within = true;
    source->stream = eio_http_stream_begin(request, &source->reply, &source->options);
    assert_non_null(source->stream);
    if (source->end_at_once) eio_http_stream_end(source->stream);
    source->within = false;
}

static void begin_with(struct eio_http_options *options)
{
    s = (struct source){.reply = {.status = 200, .content_type = "text/plain"}};
    s.options = (struct eio_http_stream_options){.on_drain = on_drain, .on_abort = on_abort, .ctx = &s};
    memset(piece, 'p', sizeof piece);
    server_start(&s.server, options);
    assert_int_equal(eio_http_route(s.server.http, "/stream", 0, on_stream, &s), 0);
}

static void begin(void)
{
    begin_with(NULL);
}

static void end(void)
{
    server_stop(&s.server);
}

static void ask(struct client *client, const char *request)
{
    client_open(client, s.server.loop, s.server.port);
    client_send(client, request);
    while (!s.stream) client_pump(client, 1);
}

static int write_text(const char *text)
{
    s.within = true;
    int result = eio_http_stream_write(s.stream, text, strlen(text));
    s.within = false;
    return result;
}

static void end_stream(void)
{
    s.within = true;
    eio_http_stream_end(s.stream);
    s.within = false;
    s.stream = NULL;
}

#define GET "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"
/* Behind the status and the date. */
#define HEAD_OF(framing, connection) "Content-Type: text/plain\r\n" framing "Connection: " connection "\r\n\r\n"

/* ------------------------------------------------------------------- frame */

/* RFC 9112, section 7.1. */
TEST(stream, pieces_are_chunks_and_the_connection_goes_on)
{
    struct client client;
    begin();
    ask(&client, GET);
    client_expect(&client, HEAD_OF("Transfer-Encoding: chunked\r\n", "keep-alive"));
    client_expect_quiet(&client);
    assert_int_equal(server_stats(&s.server).streams, 1);
    assert_int_equal(server_stats(&s.server).parked, 0);
    assert_int_equal(write_text("hello"), 0);
    client_expect(&client, "\r\n\r\n5\r\nhello\r\n");
    assert_int_equal(write_text(""), 0); /* nothing, not the last chunk */
    assert_int_equal(write_text("one"), 0);
    assert_int_equal(write_text("a sentence of some length"), 0);
    client_expect(&client, "3\r\none\r\n19\r\na sentence of some length\r\n");
    client_expect_quiet(&client);
    end_stream();
    client_expect(&client, "length\r\n0\r\n\r\n");
    assert_int_equal(server_stats(&s.server).streams, 0);
    client_send(&client, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    client_expect(&client, "/next|");
    assert_int_equal(s.aborts, 0);
    client_close(&client);
    end();
}

TEST(stream, the_body_of_the_reply_is_the_first_piece)
{
    struct client client;
    const struct eio_http_reply_field fields[] = {{"X-One", "1"}, {"Transfer-Encoding", "gzip"}, {"X-Bad", "a\r\nb"}};
    begin();
    s.reply.status = 201;
    s.reply.body = "first";
    s.reply.body_size = 5;
    s.reply.fields = fields;
    s.reply.field_count = 3;
    s.end_at_once = true;
    client_open(&client, s.server.loop, s.server.port);
    client_send(&client, GET GET "GET /last HTTP/1.1\r\nHost: h\r\n\r\n");
    client_expect(&client, "/last|");
    static const char status[] = "HTTP/1.1 201 Created\r\nDate: ";
    assert_memory_equal(client.text, status, sizeof status - 1);
    client_expect_times(&client,
                        " GMT\r\nContent-Type: text/plain\r\nX-One: 1\r\nTransfer-Encoding: chunked\r\n"
                        "Connection: keep-alive\r\n\r\n5\r\nfirst\r\n0\r\n\r\n",
                        2);
    client_close(&client);
    end();
}

TEST(stream, http_1_0_reads_up_to_the_end_of_the_connection)
{
    struct client client;
    begin();
    ask(&client, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client_expect(&client, HEAD_OF("", "close"));
    assert_int_equal(write_text("one"), 0);
    assert_int_equal(write_text("two"), 0);
    client_expect(&client, "\r\n\r\nonetwo");
    end_stream();
    client_expect_eof(&client); /* orderly, not a reset */
    assert_string_equal(strstr(client.text, "\r\n\r\n") + 4, "onetwo");
    client_close(&client);
    end();
}

TEST(stream, head_and_204_have_no_body)
{
    struct client client;
    begin();
    ask(&client, "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(write_text("nothing of it"), 0);
    end_stream();
    client_expect(&client, HEAD_OF("Transfer-Encoding: chunked\r\n", "keep-alive"));
    s.reply.status = 204;
    client_send(&client, GET);
    while (!s.stream) client_pump(&client, 1);
    assert_int_equal(write_text("nothing of it"), 0);
    end_stream();
    client_send(&client, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    client_expect(&client, "/next|");
    assert_null(strstr(client.text, "nothing"));
    assert_null(strstr(client.text, "\r\n0\r\n"));
    assert_non_null(strstr(client.text, "keep-alive\r\n\r\nHTTP/1.1 204 No Content\r\n"));
    assert_non_null(strstr(client.text, "keep-alive\r\n\r\nHTTP/1.1 200 OK\r\n"));
    client_close(&client);
    end();
}

TEST(stream, a_client_that_asks_for_the_end_gets_it)
{
    struct client client;
    begin();
    ask(&client, "GET /stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    write_text("all");
    end_stream();
    client_expect_eof(&client);
    const char *head = strstr(client.text, "Content-Type: ");
    assert_non_null(head);
    assert_string_equal(head, HEAD_OF("Transfer-Encoding: chunked\r\n", "close") "3\r\nall\r\n0\r\n\r\n");
    client_close(&client);
    end();
}

TEST(stream, what_is_sent_behind_the_request_waits_for_the_end)
{
    struct client client;
    begin();
    ask(&client, GET "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    write_text("one");
    client_expect(&client, "one");
    client_expect_quiet(&client);
    end_stream();
    client_expect(&client, "0\r\n\r\nHTTP/1.1 200 OK\r\n");
    client_expect(&client, "/next|");
    client_close(&client);
    end();
}

TEST(stream, what_is_sent_behind_the_request_is_bounded)
{
    enum { KERNEL_BYTES = 32 << 20, TRIES = 200 };
    struct client client;
    size_t sent = 0;
    begin();
    ask(&client, GET);
    for (int tries = 0; tries < TRIES && sent < KERNEL_BYTES;) {
        ssize_t n = send(client.fd, piece, sizeof piece, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        tries = n > 0 ? 0 : tries + 1;
        eio_loop_turn(s.server.loop, 0);
    }
    assert_true(sent < KERNEL_BYTES);
    assert_int_equal(write_text("all the same"), 0);
    client_expect(&client, "all the same");
    client_close(&client);
    end();
}

/* -------------------------------------------------------------- slow peers */

TEST(stream, a_source_that_waits_for_the_drain_sends_any_amount)
{
    enum { PIECES = 100 };
    struct client client;
    begin();
    s.left = PIECES;
    ask(&client, GET);
    client_expect(&client, "0\r\n\r\n");
    assert_int_equal(client_count(&client, "10000\r\npppp"), PIECES);
    assert_true(s.drains > 2);
    assert_int_equal(s.aborts, 0);
    client_close(&client);
    end();
}

/* Writes until it is refused, and counts what was taken. */
static size_t write_until_refused(void)
{
    size_t taken = 0;
    int result = 0;
    for (int turns = 0; turns < 2000 && result == 0; turns++) {
        s.within = true;
        result = eio_http_stream_write(s.stream, piece, sizeof piece);
        s.within = false;
        if (result == 0) taken += sizeof piece;
        assert_true(eio_http_stream_queued(s.stream) <= 1048576 + 64);
        if (result == 0) eio_loop_turn(s.server.loop, 0);
    }
    assert_int_equal(result, EIO_EAGAIN);
    return taken;
}

TEST(stream, a_reader_that_is_slower_than_the_source_is_closed)
{
    struct client client;
    begin();
    ask(&client, GET);
    assert_true(write_until_refused() > 1048576 - 2 * PIECE_BYTES);
    assert_int_equal(write_text("more"), EIO_ECLOSED);
    assert_int_equal(s.aborts, 0); /* not within the call */
    assert_int_equal(server_stats(&s.server).connections, 1);
    eio_loop_turn(s.server.loop, 0);
    assert_int_equal(s.aborts, 1);
    assert_int_equal(server_stats(&s.server).limit_hits[EIO_LIMIT_STREAM_QUEUE_BYTES], 1);
    assert_int_equal(server_stats(&s.server).connections, 0);
    assert_int_equal(server_stats(&s.server).streams, 0);
    client_close(&client);
    end();
}

TEST(stream, one_that_was_refused_may_be_ended_by_its_owner_too)
{
    struct client client;
    begin();
    ask(&client, GET);
    write_until_refused();
    end_stream();
    eio_loop_turn(s.server.loop, 0);
    assert_int_equal(s.aborts, 0);
    assert_int_equal(server_stats(&s.server).connections, 0);
    client_pump(&client, 1000);
    assert_null(strstr(client.text, "0\r\n\r\n0"));
    assert_true(client.eof || client.reset);
    client_close(&client);
    end();
}

TEST(stream, a_piece_larger_than_the_limit_is_taken_when_nothing_waits)
{
    enum { LARGE = 3000000 };
    struct client client;
    char *large = malloc(LARGE);
    memset(large, 'l', LARGE);
    begin();
    s.options.max_queue_bytes = 1000;
    ask(&client, GET);
    client_expect(&client, "\r\n\r\n");
    assert_int_equal(eio_http_stream_write(s.stream, large, LARGE), 0);
    end_stream();
    client_expect(&client, "0\r\n\r\n");
    assert_int_equal(client_count(&client, "2dc6c0\r\nl"), 1);
    free(large);
    client_close(&client);
    end();
}

TEST(stream, a_reader_that_takes_nothing_is_closed_in_time_and_one_that_takes_some_is_not)
{
    struct client idle, slow;
    begin();
    s.options.max_queue_bytes = 32u << 20;
    ask(&idle, GET);
    client_expect(&idle, "\r\n\r\n");
    while (eio_http_stream_queued(s.stream) < PIECE_BYTES) {
        assert_int_equal(eio_http_stream_write(s.stream, piece, sizeof piece), 0);
        eio_loop_turn(s.server.loop, 0);
    }
    eio_loop_advance(s.server.loop, 59999);
    assert_int_equal(s.aborts, 0);
    /* More to say is no sign of life. */
    assert_int_equal(eio_http_stream_write(s.stream, piece, sizeof piece), 0);
    eio_loop_turn(s.server.loop, 0);
    eio_loop_advance(s.server.loop, 2);
    assert_int_equal(s.aborts, 1);
    assert_int_equal(server_stats(&s.server).limit_hits[EIO_LIMIT_DRAIN_TIMEOUT], 1);

    ask(&slow, GET);
    for (int i = 0; i < 200; i++) eio_http_stream_write(s.stream, piece, sizeof piece);
    eio_loop_turn(s.server.loop, 0);
    for (int i = 0; i < 4; i++) {
        size_t before = eio_http_stream_queued(s.stream);
        assert_true(before > 0);
        char some[262144];
        for (int reads = 0; reads < 400 && eio_http_stream_queued(s.stream) == before; reads++) {
            ssize_t n = recv(slow.fd, some, sizeof some, 0);
            assert_true(n > 0 || errno == EAGAIN);
            eio_loop_turn(s.server.loop, 1);
        }
        eio_loop_advance(s.server.loop, 58000);
        eio_http_stream_write(s.stream, piece, 1);
        eio_loop_turn(s.server.loop, 0);
    }
    assert_int_equal(s.aborts, 1);
    client_close(&idle);
    client_close(&slow);
    end();
}

TEST(stream, a_quiet_stream_is_never_idle)
{
    struct client client;
    begin();
    ask(&client, GET);
    client_expect(&client, "\r\n\r\n");
    eio_loop_advance(s.server.loop, 24u * 3600 * 1000);
    write_text("still there");
    client_expect(&client, "still there");
    client_close(&client);
    end();
}

/* -------------------------------------------------------------------- ends */

TEST(stream, a_reader_that_goes_is_noticed)
{
    struct client client;
    begin();
    for (int way = 0; way < 3; way++) {
        s.stream = NULL;
        s.aborts = 0;
        ask(&client, GET);
        if (way == 2) write_text("on its way");
        if (way == 1) client_reset(&client);
        client_close(&client);
        for (int i = 0; i < 2000 && !s.aborts; i++) eio_loop_turn(s.server.loop, 1);
        assert_int_equal(s.aborts, 1);
        assert_int_equal(server_stats(&s.server).connections, 0);
    }
    end();
}

TEST(stream, one_that_is_aborted_ends_without_its_last_chunk)
{
    struct client client;
    begin();
    ask(&client, GET);
    write_text("half");
    client_expect(&client, "half");
    s.within = true;
    eio_http_stream_abort(s.stream);
    s.within = false;
    s.stream = NULL;
    client_expect_eof(&client);
    assert_null(strstr(client.text, "\r\n0\r\n"));
    client_close(&client);
    ask(&client, "GET /stream HTTP/1.0\r\n\r\n");
    write_text("half");
    client_expect(&client, "half");
    eio_http_stream_abort(s.stream);
    client_pump(&client, 5000);
    assert_true(client.reset); /* an end would be that of the body */
    client_close(&client);
    end();
}

TEST(stream, the_server_may_go_before_it)
{
    struct client client;
    begin();
    ask(&client, GET);
    write_text("not out yet");
    client_close(&client);
    server_stop(&s.server);
    assert_int_equal(s.aborts, 1);
}

static void on_park_abort(void *ctx)
{
    struct eio_http_request **request = ctx;
    struct eio_http_reply reply = {.status = 200};
    assert_null(eio_http_stream_begin(*request, &reply, NULL));
    *request = NULL;
}

TEST(stream, it_cannot_begin_when_the_client_is_gone)
{
    struct client client;
    begin();
    client_open(&client, s.server.loop, s.server.port);
    client_send(&client, "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    while (!s.server.parked) client_pump(&client, 1);
    struct eio_http_request *request = s.server.parked;
    eio_http_request_on_abort(request, on_park_abort, &request);
    client_close(&client);
    while (request) eio_loop_turn(s.server.loop, 1);
    end();
}

/* --------------------------------------------------------------------- TLS */

TEST(stream, over_tls)
{
    enum { PIECES = 30 };
    struct eio_http_options options;
    struct peer peer;
    eio_http_options_init(&options);
    options.tls_cert_file = cert_file;
    options.tls_key_file = key_file;
    begin_with(&options);
    s.left = PIECES;
    peer_open(&peer, s.server.loop, s.server.port);
    peer_say(&peer, GET);
    UNTIL(&peer, peer_has(&peer, "\r\n0\r\n\r\n"));
    assert_int_equal(s.aborts, 0);
    peer_say(&peer, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    UNTIL(&peer, peer_has(&peer, "/next|"));
    s.stream = NULL;
    peer_say(&peer, GET);
    UNTIL(&peer, s.stream != NULL);
    assert_true(write_until_refused() > 1048576 - 2 * PIECE_BYTES);
    eio_loop_turn(s.server.loop, 0);
    assert_int_equal(s.aborts, 1);
    peer_close(&peer);
    end();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    eio_log_set(NULL, NULL, EIO_LOG_ERROR);
    return _cmocka_run_group_tests(__FILE__, test_list, test_count, make_certificates, remove_certificates);
}
