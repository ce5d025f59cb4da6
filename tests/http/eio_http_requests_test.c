/* What a client may send: requests in every packing, replies, parking, upgrades. */
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
    server_start(&fixture.server, NULL);
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

/* --------------------------------------------------------------- one reply */

static void get_is_answered(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /a?b=c HTTP/1.1\r\n" END);
    client_expect(&f->client, "\r\n\r\n/a?b=c|");
    assert_non_null(strstr(f->client.text, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(f->client.text, "Content-Length: 7\r\n"));
    client_expect_quiet(&f->client);
}

static void body_arrives_with_the_request(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "POST /a HTTP/1.1\r\nContent-Length: 5\r\n" END "hello");
    client_expect(&f->client, "/a|hello");
}

static void unknown_path_is_404(void **state)
{
    struct fixture *f = *state;
    struct server other;
    server_start(&other, NULL);
    eio_http_free(other.http);
    other.http = eio_http_new(other.loop, NULL);
    assert_int_equal(eio_http_listen(other.http, "localhost", 0), 0);
    struct client client;
    client_open(&client, other.loop, eio_http_port(other.http));
    client_send(&client, "GET /a HTTP/1.1\r\n" END);
    client_expect(&client, "HTTP/1.1 404 ");
    client_send(&client, "GET /b HTTP/1.1\r\n" END);
    client_expect_times(&client, "HTTP/1.1 404 ", 2);
    client_close(&client);
    server_stop(&other);
    client_expect_quiet(&f->client);
}

static void head_gets_no_body(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "HEAD /abc HTTP/1.1\r\n" END);
    client_expect(&f->client, "Content-Length: 5\r\n");
    client_expect(&f->client, "\r\n\r\n");
    client_expect_quiet(&f->client);
    assert_null(strstr(f->client.text, "/abc|"));
    client_send(&f->client, "GET /next HTTP/1.1\r\n" END);
    client_expect(&f->client, "/next|");
}

static void absolute_form_is_served(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET http://example.org/abs?x HTTP/1.1\r\n" END);
    client_expect(&f->client, "\r\n\r\n/abs?x|");
}

/* ----------------------------------------------------------------- packing */

/* evhtp joined the pieces of a URI with a stray byte between them. */
static void uri_split_over_segments(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /abcdef");
    client_pump(&f->client, 5);
    client_send(&f->client, "ghijkl HTTP/1.1\r\n" END);
    client_expect(&f->client, "\r\n\r\n/abcdefghijkl|");
}

static void request_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    const char text[] = "POST /drip HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "5\r\nhello\r\n0\r\nT: v\r\n\r\n";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        assert_true(client_send_bytes(&f->client, text + i, 1));
        eio_loop_turn(f->server.loop, 0);
    }
    client_expect(&f->client, "/drip|hello");
}

static void three_requests_in_one_segment(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /1 HTTP/1.1\r\n" END "POST /2 HTTP/1.1\r\nContent-Length: 2\r\n" END "ab"
                            "GET /3 HTTP/1.1\r\n" END);
    client_expect(&f->client, "/3|");
    const char *one = strstr(f->client.text, "/1|"), *two = strstr(f->client.text, "/2|ab");
    assert_true(one && two && one < two && two < strstr(f->client.text, "/3|"));
}

static void many_pipelined_requests(void **state)
{
    struct fixture *f = *state;
    char text[20000];
    size_t n = 0;
    for (int i = 0; i < 400; i++) n += (size_t)sprintf(text + n, "GET /%d HTTP/1.1\r\n" END, i);
    assert_true(client_send_bytes(&f->client, text, n));
    client_expect(&f->client, "/399|");
    assert_int_equal(client_count(&f->client, "HTTP/1.1 200 OK"), 400);
}

static void leading_crlf_then_get(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "\r\nGET /crlf HTTP/1.1\r\n" END "\r\nGET /again HTTP/1.1\r\n" END);
    client_expect(&f->client, "/crlf|");
    client_expect(&f->client, "/again|");
}

/* All requests are there, and then the client's end: all are answered. */
static void half_closed_after_three_requests(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /1 HTTP/1.1\r\n" END "GET /2 HTTP/1.1\r\n" END "GET /3 HTTP/1.1\r\n" END);
    shutdown(f->client.fd, SHUT_WR);
    client_expect_eof(&f->client);
    assert_int_equal(client_count(&f->client, "HTTP/1.1 200 OK"), 3);
    assert_int_equal(server_stats(&f->server).connections, 0);
}

/* ------------------------------------------------------------------ parked */

static void parked_poll_is_answered_later(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /park HTTP/1.1\r\n" END);
    client_expect_quiet(&f->client);
    assert_int_equal(server_stats(&f->server).parked, 1);
    /* No timeout of the HTTP layer is for a parked request. */
    eio_loop_advance(f->server.loop, 600000);
    client_expect_quiet(&f->client);
    server_reply(f->server.parked, 200, "late", 4);
    client_expect(&f->client, "\r\n\r\nlate");
    assert_int_equal(server_stats(&f->server).parked, 0);
    assert_int_equal(f->server.aborted, 0);
    client_send(&f->client, "GET /after HTTP/1.1\r\n" END);
    client_expect(&f->client, "/after|");
}

static void request_behind_a_parked_poll_waits(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /park HTTP/1.1\r\n" END "GET /behind HTTP/1.1\r\n" END "GET /park HTTP/1.1\r\n" END);
    client_expect_quiet(&f->client);
    assert_int_equal(f->server.calls, 1);
    server_reply(f->server.parked, 200, "first", 5);
    client_expect(&f->client, "/behind|");
    assert_true(strstr(f->client.text, "first") < strstr(f->client.text, "/behind|"));
    client_expect_quiet(&f->client);
    assert_int_equal(f->server.parked_count, 2);
    server_reply(f->server.parked, 200, "second", 6);
    client_expect(&f->client, "second");
}

static void expect_abort(struct fixture *f)
{
    uint64_t end = client_now_ms() + CLIENT_WAIT_MS;
    while (!f->server.aborted && client_now_ms() < end) eio_loop_turn(f->server.loop, 1);
    for (int i = 0; i < 5; i++) eio_loop_turn(f->server.loop, 0);
    assert_int_equal(f->server.aborted, 1);
    assert_int_equal(server_stats(&f->server).parked, 0);
    assert_int_equal(server_stats(&f->server).aborted, 1);
    assert_int_equal(server_stats(&f->server).connections, 0);
}

static void parked_poll_closed_by_the_client(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /park HTTP/1.1\r\n" END);
    client_pump(&f->client, 10);
    close(f->client.fd);
    f->client.fd = -1;
    expect_abort(f);
}

static void parked_poll_half_closed_by_the_client(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /park HTTP/1.1\r\n" END);
    client_pump(&f->client, 10);
    shutdown(f->client.fd, SHUT_WR);
    expect_abort(f);
}

static void parked_poll_reset_by_the_client(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /park HTTP/1.1\r\n" END);
    client_pump(&f->client, 10);
    client_reset(&f->client);
    expect_abort(f);
}

static void parked_poll_aborted_by_the_end_of_the_server(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /park HTTP/1.1\r\n" END);
    client_pump(&f->client, 10);
    eio_http_free(f->server.http);
    f->server.http = NULL;
    assert_int_equal(f->server.aborted, 1);
}

static void reply_on_abort(void *ctx)
{
    struct server *server = ctx;
    server->aborted++;
    server_reply(server->parked, 200, "too late", 8);
}

static void reply_from_the_abort_callback_is_ignored(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /park HTTP/1.1\r\n" END);
    client_pump(&f->client, 10);
    eio_http_request_on_abort(f->server.parked, reply_on_abort, &f->server);
    client_reset(&f->client);
    expect_abort(f);
}

/* -------------------------------------------------------------- connection */

static void connection_close_in_any_case_and_list(void **state)
{
    struct fixture *f = *state;
    static const char *const values[] = {"CLOSE", "foo, close", "close", "keep-alive,close , bar"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct client client;
        char text[128];
        client_open(&client, f->server.loop, f->server.port);
        snprintf(text, sizeof text, "GET /c HTTP/1.1\r\nConnection: %s\r\n" END, values[i]);
        client_send(&client, text);
        client_expect_eof(&client);
        assert_non_null(strstr(client.text, "Connection: close\r\n"));
        assert_non_null(strstr(client.text, "/c|"));
        client_close(&client);
    }
}

static void http_1_0_closes_unless_asked(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /old HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    client_expect(&f->client, "/old|");
    assert_non_null(strstr(f->client.text, "Connection: keep-alive\r\n"));
    client_send(&f->client, "GET /last HTTP/1.0\r\n\r\n");
    client_expect_eof(&f->client);
    assert_non_null(strstr(f->client.text, "/last|"));
}

static void nothing_is_served_after_close(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /1 HTTP/1.1\r\nConnection: close\r\n" END "GET /2 HTTP/1.1\r\n" END);
    client_expect_eof(&f->client);
    assert_int_equal(f->server.calls, 1);
}

static void expect_100_is_answered_when_a_body_is_wanted(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "POST /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" END);
    client_expect(&f->client, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(&f->client, "ok");
    client_expect(&f->client, "/e|ok");
    /* Not when the body is there already, and not without one. */
    client_send(&f->client, "POST /f HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" END "no");
    client_expect(&f->client, "/f|no");
    client_send(&f->client, "GET /g HTTP/1.1\r\nExpect: 100-continue\r\n" END);
    client_expect(&f->client, "/g|");
    assert_int_equal(client_count(&f->client, "100 Continue"), 1);
}

/* ----------------------------------------------------------------- upgrade */

#define WS "GET /ws HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" END

static void upgrade_is_taken_with_what_came_along(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, WS "\x81\x80xxxx");
    client_expect_quiet(&f->client);
    assert_int_equal(f->server.upgrades, 1);
    assert_true(f->server.taken_fd >= 0);
    assert_int_equal(f->server.taken_rest_size, 6);
    assert_memory_equal(f->server.taken_rest, "\x81\x80xxxx", 6);
    assert_true(eio_str_is(eio_http_head_field(f->server.taken_head, "upgrade"), "websocket"));
    assert_true(fcntl(f->server.taken_fd, F_GETFL) & O_NONBLOCK);
    int nodelay = 0;
    socklen_t size = sizeof nodelay;
    assert_int_equal(getsockopt(f->server.taken_fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size), 0);
    assert_true(nodelay);
    assert_int_equal(write(f->server.taken_fd, "raw", 3), 3);
    client_expect(&f->client, "raw");
    assert_int_equal(server_stats(&f->server).connections, 0);
}

static void upgrade_split_in_the_middle(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpg");
    client_pump(&f->client, 5);
    client_send(&f->client, "rade: WebSocket\r\n" END);
    client_expect_quiet(&f->client);
    assert_true(f->server.taken_fd >= 0);
    assert_null(f->server.taken_rest);
}

static void upgrade_refused_gets_its_reply(void **state)
{
    struct fixture *f = *state;
    f->server.refuse_upgrade = true;
    client_send(&f->client, WS);
    client_expect_eof(&f->client);
    assert_non_null(strstr(f->client.text, "HTTP/1.1 400 Bad Request\r\n"));
    assert_non_null(strstr(f->client.text, "Connection: close\r\n"));
    assert_non_null(strstr(f->client.text, "\r\n\r\nno"));
}

static void upgrade_after_a_request(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /1 HTTP/1.1\r\n" END WS);
    client_expect(&f->client, "/1|");
    client_expect_quiet(&f->client);
    assert_true(f->server.taken_fd >= 0);
}

static void upgrade_of_another_route_is_a_plain_request(void **state)
{
    struct fixture *f = *state;
    client_send(&f->client, "GET /plain HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" END);
    client_expect(&f->client, "/plain|");
    client_send(&f->client, "GET /ws HTTP/1.1\r\n" END);
    client_expect(&f->client, "/ws|");
    assert_int_equal(f->server.upgrades, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void on_typeless(struct eio_http_request *request, void *ctx)
{
    struct eio_http_reply reply = {.status = *(int *)ctx};
    eio_http_reply(request, &reply);
}

/* A reply has the type that it was given, or none: the reference's preflights and bare 400 have none. */
static void what_has_no_type_is_given_none(void **state)
{
    struct fixture *f = *state;
    static int statuses[] = {200, 204, 304, 400};
    for (size_t i = 0; i < 4; i++) {
        char path[16], request[64];
        snprintf(path, sizeof path, "/bare%zu", i);
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" END, path);
        assert_int_equal(eio_http_route(f->server.http, path, 0, on_typeless, &statuses[i]), 0);
        client_send(&f->client, request);
        client_expect_times(&f->client, "Connection: keep-alive\r\n\r\n", i + 1);
    }
    /* A 204 and a 304 have no length either, not even 0 (RFC 9110, section 8.6). */
    assert_int_equal(client_count(&f->client, "Content-Length: 0\r\n"), 2);
    assert_non_null(strstr(f->client.text, "HTTP/1.1 304 Not Modified\r\n"));
    assert_null(strcasestr(f->client.text, "content-type"));
    /* Alone or one behind the other, the connection goes on, and what has a type has it. */
    client_send(&f->client, "GET /bare1 HTTP/1.1\r\n" END "GET /x HTTP/1.1\r\n" END "GET /bare1 HTTP/1.1\r\n" END
                            "HEAD /bare0 HTTP/1.1\r\n" END "GET /y HTTP/1.1\r\nConnection: close\r\n" END);
    client_expect_eof(&f->client);
    assert_int_equal(client_count(&f->client, "HTTP/1.1 204 No Content\r\n"), 3);
    assert_int_equal(client_count(&f->client, "Content-Type: text/plain\r\n"), 2);
    assert_non_null(strstr(f->client.text, "/x|HTTP/1.1 204"));
    assert_non_null(strstr(f->client.text, "\r\n\r\n/y|"));
    struct eio_http_stats stats = server_stats(&f->server);
    assert_int_equal(stats.requests, 9);
}

/* RFC 9110, section 6.6.1: what an origin server with a clock answers has the time, errors of the gate too. */
static void every_answer_has_a_date(void **state)
{
    struct fixture *f = *state;
    time_t before = time(NULL);
    client_send(&f->client, "GET /a HTTP/1.1\r\n" END "HEAD /b HTTP/1.1\r\n" END "GET nowhere HTTP/1.1\r\n" END);
    client_expect_eof(&f->client);
    assert_int_equal(client_count(&f->client, "HTTP/1.1 "), 3);
    assert_int_equal(client_count(&f->client, "\r\nDate: "), 3);
    struct tm tm = {0};
    const char *date = strstr(f->client.text, "\r\nDate: ") + 8;
    const char *end = strptime(date, "%a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
    assert_non_null(end);
    assert_in_range(timegm(&tm), before, time(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(get_is_answered),
        T(every_answer_has_a_date),
        T(body_arrives_with_the_request),
        T(unknown_path_is_404),
        T(head_gets_no_body),
        T(absolute_form_is_served),
        T(uri_split_over_segments),
        T(request_byte_by_byte),
        T(three_requests_in_one_segment),
        T(many_pipelined_requests),
        T(leading_crlf_then_get),
        T(half_closed_after_three_requests),
        T(parked_poll_is_answered_later),
        T(request_behind_a_parked_poll_waits),
        T(parked_poll_closed_by_the_client),
        T(parked_poll_half_closed_by_the_client),
        T(parked_poll_reset_by_the_client),
        T(parked_poll_aborted_by_the_end_of_the_server),
        T(reply_from_the_abort_callback_is_ignored),
        T(connection_close_in_any_case_and_list),
        T(http_1_0_closes_unless_asked),
        T(nothing_is_served_after_close),
        T(expect_100_is_answered_when_a_body_is_wanted),
        T(upgrade_is_taken_with_what_came_along),
        T(upgrade_split_in_the_middle),
        T(upgrade_refused_gets_its_reply),
        T(upgrade_after_a_request),
        T(upgrade_of_another_route_is_a_plain_request),
        T(what_has_no_type_is_given_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
