/* Limits of connections and of what one address may have, with an Engine.IO server on real sockets. Clients are told
 * apart by what a trusted proxy says. */
#include "http_client.h"

#include "engineio_http.h"

struct fixture {
    struct eio_loop *loop;
    struct eio_http *http;
    struct eio_server *engine;
    uint16_t port;
    struct eio_http_options http_options;
    struct eio_options options;
};
static struct fixture f;

static void begin(void)
{
    f = (struct fixture){0};
    f.loop = eio_loop_new_with_fake_clock();
    eio_http_options_init(&f.http_options);
    eio_options_init(&f.options);
    eio_log_set(NULL, NULL, EIO_LOG_ERROR);
}

static void go(void)
{
    f.http = eio_http_new(f.loop, &f.http_options);
    f.engine = eio_server_new(f.loop, &f.options, NULL, NULL);
    assert_int_equal(eio_server_attach(f.engine, f.http), 0);
    assert_int_equal(eio_http_listen(f.http, "127.0.0.1", 0), 0);
    f.port = eio_http_port(f.http);
}

static void end(void)
{
    eio_server_free(f.engine);
    eio_http_free(f.http);
    eio_loop_turn(f.loop, 0);
    eio_loop_free(f.loop);
}

static uint64_t http_hits(enum eio_limit limit)
{
    struct eio_http_stats stats;
    eio_http_get_stats(f.http, &stats);
    return stats.limit_hits[limit];
}

/* Asks for a session in the name of `from` (NULL: its own) and expects a status. */
static void ask(struct client *client, const char *from, bool websocket, int status)
{
    char text[512], line[32];
    client_open(client, f.loop, f.port);
    snprintf(text, sizeof text, "GET /engine.io/?EIO=4&transport=%s HTTP/1.1\r\nHost: a\r\n%s%s\r\n%s\r\n",
             websocket ? "websocket" : "polling", from ? "X-Forwarded-For: " : "X-Nothing: 1", from ? from : "",
             websocket ? "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       : "");
    client_send(client, text);
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    client_expect(client, line);
}

static void gone(struct client *client)
{
    client_close(client);
    for (int i = 0; i < 5; i++) eio_loop_turn(f.loop, 1);
}

static void websockets_count_as_connections(void **state)
{
    (void)state;
    struct client a, b, c;
    begin();
    f.http_options.max_connections = 2;
    go();
    ask(&a, NULL, true, 101);
    ask(&b, NULL, false, 200);
    ask(&c, NULL, false, 503);
    assert_int_equal(http_hits(EIO_LIMIT_CONNECTIONS), 1);
    gone(&c);
    gone(&a);
    ask(&c, NULL, true, 101); /* the place of the WebSocket that went */
    gone(&b);
    gone(&c);
    end();
}

static void one_address_has_a_limit_of_connections(void **state)
{
    (void)state;
    struct client a, b, c;
    begin();
    f.http_options.max_connections_per_address = 2;
    go();
    ask(&a, NULL, true, 101);
    ask(&b, NULL, false, 200);
    ask(&c, NULL, false, 429);
    assert_non_null(strstr(c.text, "too many connections from this address"));
    assert_int_equal(http_hits(EIO_LIMIT_CONNECTIONS_PER_ADDRESS), 1);
    client_expect_times(&b, "HTTP/1.1 200", 1); /* and b goes on */
    client_send(&b, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    client_expect(&b, "HTTP/1.1 404 ");
    gone(&c);
    gone(&a);
    gone(&b);
    ask(&a, NULL, true, 101);
    ask(&b, NULL, true, 101);
    gone(&a);
    gone(&b);
    end();
}

static void a_trusted_proxy_may_bring_as_many_as_it_likes(void **state)
{
    (void)state;
    struct client clients[6];
    begin();
    f.http_options.max_connections_per_address = 1;
    f.http_options.trusted_proxies = "127.0.0.1/32";
    go();
    for (int i = 0; i < 6; i++) ask(&clients[i], "192.0.2.1", i % 2, i % 2 ? 101 : 200);
    assert_int_equal(http_hits(EIO_LIMIT_CONNECTIONS_PER_ADDRESS), 0);
    for (int i = 0; i < 6; i++) gone(&clients[i]);
    end();
}

static void addresses_have_sessions_of_their_own(void **state)
{
    (void)state;
    struct client a, b, c, d;
    begin();
    f.options.max_sessions_per_address = 1;
    f.http_options.trusted_proxies = "127.0.0.1/32";
    go();
    ask(&a, "192.0.2.1", true, 101);
    ask(&b, "192.0.2.1", false, 429);
    assert_non_null(strstr(b.text, "Retry-After: 1\r\n"));
    ask(&c, "192.0.2.2", false, 200);
    gone(&b);
    ask(&b, "2001:db8::1", true, 101);
    ask(&d, "2001:db8::2", true, 429); /* the same customer's */
    gone(&d);
    gone(&a);
    ask(&a, "192.0.2.1", true, 101);
    gone(&a);
    gone(&b);
    gone(&c);
    end();
}

static void an_address_that_floods_does_not_take_the_others_share(void **state)
{
    (void)state;
    struct client client;
    begin();
    f.options.max_handshakes_per_second_per_address = 2;
    f.options.max_handshakes_per_second = 5;
    f.http_options.trusted_proxies = "127.0.0.1/32";
    go();
    for (int i = 0; i < 10; i++) {
        ask(&client, "192.0.2.66", i % 2, i < 2 ? (i % 2 ? 101 : 200) : 429);
        gone(&client);
    }
    for (int i = 0; i < 3; i++) {
        char from[32];
        snprintf(from, sizeof from, "192.0.2.%d", i);
        ask(&client, from, false, 200);
        gone(&client);
    }
    ask(&client, "192.0.2.5", false, 503); /* the whole server's is used up */
    gone(&client);
    eio_loop_advance(f.loop, 200);
    ask(&client, "192.0.2.5", false, 200);
    gone(&client);
    end();
}

static void each_limit_of_a_request_is_counted_by_its_name(void **state)
{
    (void)state;
    static char big[9000];
    struct client client;
    char text[9200];
    begin();
    go();
    memset(big, 'x', sizeof big - 1);
    static const struct {
        const char *before, *after;
        enum eio_limit limit;
    } cases[] = {
        {"GET /", " HTTP/1.1\r\nHost: a\r\n\r\n", EIO_LIMIT_LINE_BYTES},
        {"GET / HTTP/1.1\r\nHost: a\r\nA: ", "\r\n\r\n", EIO_LIMIT_LINE_BYTES},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000001\r\n\r\n", "", EIO_LIMIT_BODY_BYTES},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t before = http_hits(cases[i].limit);
        client_open(&client, f.loop, f.port);
        snprintf(text, sizeof text, "%s%s%s", cases[i].before, big, cases[i].after);
        client_send(&client, text);
        client_expect_eof(&client);
        assert_int_equal(http_hits(cases[i].limit), before + 1);
        client_close(&client);
    }
    client_open(&client, f.loop, f.port);
    client_send(&client, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 120; i++) client_send(&client, "A: b\r\n");
    client_expect_eof(&client);
    assert_int_equal(http_hits(EIO_LIMIT_FIELDS), 1);
    client_close(&client);
    client_open(&client, f.loop, f.port);
    client_send(&client, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof text, "A: %.600s\r\n", big);
        client_send(&client, text);
    }
    client_expect_eof(&client);
    assert_int_equal(http_hits(EIO_LIMIT_HEAD_BYTES), 1);
    client_close(&client);
    client_open(&client, f.loop, f.port);
    client_send(&client, "GET / HTT");
    eio_loop_turn(f.loop, 0);
    eio_loop_advance(f.loop, 60001);
    client_expect(&client, "HTTP/1.1 408 ");
    assert_int_equal(http_hits(EIO_LIMIT_HEAD_TIMEOUT), 1);
    client_close(&client);
    end();
}

/* A client under load, or a handshake over a lossy line. */
static void a_head_may_come_late(void **state)
{
    (void)state;
    struct client silent, half;
    begin();
    go();
    client_open(&silent, f.loop, f.port);
    client_open(&half, f.loop, f.port);
    client_send(&half, "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHo");
    client_pump(&half, CLIENT_QUIET_MS);
    eio_loop_advance(f.loop, 59000);
    client_send(&half, "st: a\r\n\r\n");
    client_expect(&half, "HTTP/1.1 200 ");
    client_send(&silent, "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n");
    client_expect(&silent, "HTTP/1.1 200 ");
    client_close(&silent);
    client_close(&half);
    end();
}

static void slow_heads_keep_nobody_out(void **state)
{
    (void)state;
    enum { MAX = 20, ATTACKERS = 50 };
    struct client attackers[ATTACKERS], good, late;
    struct eio_http_stats stats;
    begin();
    f.http_options.max_half_open = MAX;
    go();
    ask(&good, NULL, false, 200); /* what is served is not half open */
    for (size_t i = 0; i < ATTACKERS; i++) {
        client_open(&attackers[i], f.loop, f.port);
        client_send(&attackers[i], i % 2 ? "GET / HTTP/1.1\r\nHo" : "");
        eio_loop_turn(f.loop, 0);
    }
    ask(&late, NULL, false, 200);
    for (size_t i = 0; i <= ATTACKERS - MAX; i++) { /* the newcomer took one more's place */
        while (!attackers[i].eof && !attackers[i].reset) client_pump(&attackers[i], 1);
    }
    client_pump(&attackers[ATTACKERS - 1], CLIENT_QUIET_MS);
    assert_false(attackers[ATTACKERS - 1].eof || attackers[ATTACKERS - 1].reset);
    eio_http_get_stats(f.http, &stats);
    assert_int_equal(stats.connections, 2 + MAX - 1);
    assert_int_equal(http_hits(EIO_LIMIT_HALF_OPEN), ATTACKERS - MAX + 1);
    for (size_t i = 0; i < ATTACKERS; i++) client_close(&attackers[i]);
    client_send(&good, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    client_expect(&good, "HTTP/1.1 404 ");
    client_close(&good);
    client_close(&late);
    end();
}

static size_t http_parked(void)
{
    struct eio_http_stats stats;
    eio_http_get_stats(f.http, &stats);
    return stats.parked;
}

/* A session whose POST is about to be refused: its GET is parked on `get`. */
static void begin_post(struct client *get, struct client *post, const char *fields)
{
    char text[512], sid[21] = "";
    ask(get, NULL, false, 200);
    client_expect(get, "\"upgrades\"");
    assert_int_equal(sscanf(strstr(get->text, "\"sid\":\"") + 7, "%20[^\"]", sid), 1);
    client_close(get);
    client_open(get, f.loop, f.port);
    snprintf(text, sizeof text, "GET /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: a\r\n\r\n", sid);
    client_send(get, text);
    while (http_parked() == 0) client_pump(get, 1);
    client_open(post, f.loop, f.port);
    snprintf(text, sizeof text, "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: a\r\n%s\r\n", sid,
             fields);
    client_send(post, text);
}

static void end_post(struct client *get, struct client *post, const char *status)
{
    client_expect(post, status);
    client_expect_eof(post);
    client_expect(get, "\r\n\r\n1"); /* the close packet */
    assert_int_equal(eio_server_session_count(f.engine), 0);
    client_close(get);
    client_close(post);
}

/* engine.io 6.6.13: maxHttpBufferSize, maxBufferedChunks, httpRequestBodyTimeout. */
static void a_post_that_is_not_taken_closes_its_session(void **state)
{
    (void)state;
    struct client get, post;
    begin();
    f.options.max_payload_bytes = 100;
    f.options.max_buffered_chunks = 5;
    f.options.ping_interval_ms = 100000;
    go();
    begin_post(&get, &post, "Content-Length: 101\r\n");
    end_post(&get, &post, "HTTP/1.1 413 ");
    assert_int_equal(http_hits(EIO_LIMIT_BODY_BYTES), 1);
    begin_post(&get, &post, "Transfer-Encoding: chunked\r\n");
    client_send(&post, "1\r\n4\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n");
    end_post(&get, &post, "HTTP/1.1 413 ");
    assert_int_equal(http_hits(EIO_LIMIT_BUFFERED_CHUNKS), 1);
    begin_post(&get, &post, "Content-Length: 50\r\n");
    client_send(&post, "4a");
    for (int i = 0; i < 3; i++) eio_loop_turn(f.loop, 0);
    eio_loop_advance(f.loop, f.options.http_request_body_timeout_ms - 1000);
    assert_int_equal(http_hits(EIO_LIMIT_REQUEST_BODY_TIMEOUT), 0);
    eio_loop_advance(f.loop, 1001);
    end_post(&get, &post, "HTTP/1.1 408 ");
    assert_int_equal(http_hits(EIO_LIMIT_REQUEST_BODY_TIMEOUT), 1);
    assert_int_equal(http_hits(EIO_LIMIT_BODY_TIMEOUT), 0);
    end();
}

/* Nothing is closed by who only knows the path. */
static void a_body_that_is_not_taken_closes_no_session_but_that_of_a_post(void **state)
{
    (void)state;
    struct client get, post;
    begin();
    f.options.max_payload_bytes = 100;
    go();
    ask(&get, NULL, false, 200);
    client_open(&post, f.loop, f.port);
    client_send(&post, "POST /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n");
    client_expect(&post, "HTTP/1.1 400 ");
    client_expect_eof(&post);
    assert_int_equal(eio_server_session_count(f.engine), 1);
    client_close(&get);
    client_close(&post);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(websockets_count_as_connections),
        cmocka_unit_test(one_address_has_a_limit_of_connections),
        cmocka_unit_test(a_trusted_proxy_may_bring_as_many_as_it_likes),
        cmocka_unit_test(addresses_have_sessions_of_their_own),
        cmocka_unit_test(an_address_that_floods_does_not_take_the_others_share),
        cmocka_unit_test(each_limit_of_a_request_is_counted_by_its_name),
        cmocka_unit_test(a_head_may_come_late),
        cmocka_unit_test(slow_heads_keep_nobody_out),
        cmocka_unit_test(a_post_that_is_not_taken_closes_its_session),
        cmocka_unit_test(a_body_that_is_not_taken_closes_no_session_but_that_of_a_post),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
