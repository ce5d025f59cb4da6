/* Who is alive: peers that are slow, that stop, that are gone, on a clock of the test's own. A peer of a socketpair
 * takes what it reads. */
#include "eio_fixture.h"

#include "eio_int.h"
#include "eio_polling.h"

static struct fixture f;

/* REST_MS: the least for which a peer that moved may rest. */
enum { PING_MS = 300, PONG_MS = 200, REST_MS = 5000, BIG = 60000 };

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.options.ping_interval_ms = PING_MS;
    f.options.ping_timeout_ms = PONG_MS;
    f.options.allow_eio3 = true;
    fixture_start(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    eio__test_line(NULL);
    fixture_clear(&f);
    return 0;
}

static void send_big(int count)
{
    for (int i = 0; i < count; i++) {
        uint8_t *out = eio_session_reserve(f.session, EIO_TEXT, BIG);
        assert_non_null(out);
        memset(out, 'b', BIG);
    }
    turn(&f);
}

static size_t take(int fd, size_t limit)
{
    static uint8_t bytes[1 << 16];
    ssize_t n = recv(fd, bytes, limit < sizeof bytes ? limit : sizeof bytes, MSG_DONTWAIT);
    turn(&f);
    return n > 0 ? (size_t)n : 0;
}

static size_t take_all(int fd)
{
    size_t total = 0, n;
    for (int quiet = 0; quiet < 3;) {
        n = take(fd, 65536);
        total += n;
        quiet = n ? 0 : quiet + 1;
    }
    return total;
}

static uint64_t hits(enum eio_limit limit)
{
    struct eio_server_stats stats;
    eio_server_get_stats(f.server, &stats);
    return stats.limit_hits[limit];
}

static void assert_timed_out(void)
{
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_PING_TIMEOUT);
}

/* ------------------------------------------------------------------ readers */

static void a_reader_that_is_slow_and_steady_gets_everything(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    send_big(40);
    size_t got = 0, all = 40 * (BIG + 5);
    for (int ms = 0; got < all + 3 && ms < 20000; ms += 50) {
        got += take(fd, 30000);
        eio_loop_advance(f.loop, 50);
        assert_int_equal(f.closed, 0);
    }
    assert_int_equal(got, all + 3); /* with the ping, once */
    peer_text(fd, "3");
    eio_loop_advance(f.loop, PING_MS - 1);
    assert_int_equal(f.closed, 0);
    close(fd);
    turn(&f);
}

static void a_reader_that_takes_nothing_goes_when_its_ping_timeout_is_over(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    send_big(40);
    eio_loop_advance(f.loop, PING_MS + PONG_MS - 1);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 1);
    assert_timed_out();
    struct eio_server_stats stats;
    eio_server_get_stats(f.server, &stats);
    assert_int_equal(stats.queued_bytes, 0);
    close(fd);
}

/* What our kernel takes is no sign of the peer's life. */
static void a_connection_that_is_half_open_goes_in_time_though_it_is_written_to(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    for (int ms = 0; ms < PING_MS + PONG_MS - 10; ms += 10) {
        uint8_t *out = eio_session_reserve(f.session, EIO_TEXT, 1);
        assert_non_null(out);
        *out = 'x';
        eio_loop_advance(f.loop, 10);
    }
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 10);
    assert_timed_out();
    close(fd);
}

/* It took all there was, and left the ping in its buffer's place: it had its time. */
static void a_reader_that_never_answers_goes_in_time_though_it_reads(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    for (int ms = 0; ms < PING_MS + PONG_MS - 10; ms += 10) {
        uint8_t *out = eio_session_reserve(f.session, EIO_TEXT, 1);
        *out = 'x';
        eio_loop_advance(f.loop, 10);
        take(fd, 65536);
    }
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 10);
    assert_timed_out();
    close(fd);
}

static void a_reader_that_stops_midway_goes_when_nothing_moved_for_long(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    send_big(40);
    eio_loop_advance(f.loop, PING_MS + 50);
    assert_true(take(fd, 65536) > 0);
    eio_loop_advance(f.loop, PONG_MS - 50); /* the last look at which something had moved */
    eio_loop_advance(f.loop, REST_MS - 1);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 1);
    assert_timed_out();
    close(fd);
}

/* A client at 100 KB/s, whose system holds 500 KB of what it reads. */
static void the_longer_a_peer_has_been_slow_the_longer_it_may_rest(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    send_big(200);
    for (int ms = 0; ms < 40000; ms += 150) {
        assert_true(take(fd, 30000) > 0);
        eio_loop_advance(f.loop, 150);
        assert_int_equal(f.closed, 0);
    }
    eio_loop_advance(f.loop, 40000 / 5);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 40000 / 4 - 40000 / 5 + PONG_MS);
    assert_timed_out();
    close(fd);
}

static void a_slow_reader_is_waited_for_up_to_a_limit(void **state)
{
    (void)state;
    f.server->options.slow_peer_timeout_ms = 1000;
    int fd = peer_open(&f);
    send_big(100);
    int ms = 0;
    for (; !f.closed && ms < 5000; ms += 50) {
        take(fd, 10000);
        eio_loop_advance(f.loop, 50);
    }
    assert_timed_out();
    assert_int_equal(ms, PING_MS + 1000);
    assert_int_equal(hits(EIO_LIMIT_SLOW_PEER_TIMEOUT), 1);
    close(fd);
}

/* ------------------------------------------------------------------ senders */

/* The head of a masked frame of n bytes; the mask is zero. */
static void send_head(int fd, uint8_t first, uint16_t n)
{
    uint8_t head[8] = {first, 0x80 | 126, (uint8_t)(n >> 8), (uint8_t)n};
    assert_int_equal(send(fd, head, sizeof head, MSG_NOSIGNAL), sizeof head);
}

static void who_sends_a_message_for_longer_than_the_ping_timeout_is_alive(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    send_head(fd, 0x81, 40);
    assert_int_equal(send(fd, "4", 1, MSG_NOSIGNAL), 1);
    for (int i = 1; i < 40; i++) {
        eio_loop_advance(f.loop, 100);
        assert_int_equal(f.closed, 0);
        assert_int_equal(send(fd, "m", 1, MSG_NOSIGNAL), 1);
    }
    turn(&f);
    assert_memory_equal(f.log, "text:mmmm", 9);
    peer_text(fd, "3");
    eio_loop_advance(f.loop, PING_MS - 1);
    assert_int_equal(f.closed, 0);
    close(fd);
    turn(&f);
}

static void who_stops_within_a_message_goes(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    eio_loop_advance(f.loop, PING_MS);
    send_head(fd, 0x81, 40);
    assert_int_equal(send(fd, "4mm", 3, MSG_NOSIGNAL), 3);
    eio_loop_advance(f.loop, PONG_MS);
    eio_loop_advance(f.loop, REST_MS - 1);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 1);
    assert_timed_out();
    close(fd);
}

static void a_client_of_version_3_that_sends_for_long_is_alive(void **state)
{
    (void)state;
    int fd;
    assert_non_null(eio__test_websocket_of(f.server, 3, &fd));
    turn(&f);
    take_all(fd);
    send_head(fd, 0x81, 40);
    assert_int_equal(send(fd, "4", 1, MSG_NOSIGNAL), 1);
    for (int i = 1; i < 20; i++) {
        eio_loop_advance(f.loop, 100);
        assert_int_equal(f.closed, 0);
        assert_int_equal(send(fd, "m", 1, MSG_NOSIGNAL), 1);
    }
    eio_loop_advance(f.loop, PONG_MS + REST_MS);
    assert_timed_out();
    close(fd);
}

/* ------------------------------------------------------------------ polling */

/* A connection under a session that polls. */
struct wire {
    struct eio__line line;
    struct eio__traffic traffic;
};

static void look(const struct eio__line *line, struct eio__traffic *out)
{
    *out = ((const struct wire *)(const void *)line)->traffic;
}

/* A session whose answer of 1000 bytes and more is on its way; its ping waits for the next poll. */
static void poll_big(char *sid, struct wire *wire)
{
    struct eio__test_reply get;
    *wire = (struct wire){.line = {look, NULL}};
    poll_open(&f, sid);
    eio__test_line(&wire->line);
    send_big(1);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_true(get.answered);
    free(get.body);
    wire->traffic.given = 1000;
}

static void a_poll_whose_answer_is_being_read_keeps_its_session(void **state)
{
    (void)state;
    char sid[21];
    struct wire wire;
    struct eio__test_reply get, post;
    poll_big(sid, &wire);
    for (int i = 0; i < 10; i++) {
        eio_loop_advance(f.loop, 100);
        wire.traffic.taken += 100;
        assert_int_equal(f.closed, 0);
    }
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_replied(get, 200, "2");
    poll_request(&f, EIO_HTTP_POST, sid, "3", &post);
    assert_replied(post, 200, "ok");
    eio_loop_advance(f.loop, PING_MS - 1);
    assert_int_equal(f.closed, 0);
}

static void a_poll_whose_answer_is_not_read_does_not(void **state)
{
    (void)state;
    char sid[21];
    struct wire wire;
    poll_big(sid, &wire);
    eio_loop_advance(f.loop, PING_MS + PONG_MS - 1);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 1);
    assert_timed_out();
    assert_null(wire.line.tie);
}

static void a_connection_that_goes_is_no_sign_of_life(void **state)
{
    (void)state;
    char sid[21];
    struct wire wire;
    poll_big(sid, &wire);
    eio__tie(NULL, &wire.line);
    eio_loop_advance(f.loop, PING_MS + PONG_MS);
    assert_timed_out();
}

/* Answers are read one after the other, each on a connection of its own. */
static void polls_that_are_read_one_after_the_other_keep_a_session(void **state)
{
    (void)state;
    char sid[21];
    struct wire first, second = {.line = {look, NULL}, .traffic = {.given = 500}};
    struct eio__test_reply get;
    poll_big(sid, &first);
    eio_loop_advance(f.loop, PING_MS + PONG_MS - 50);
    first.traffic.taken = 900;
    eio_loop_advance(f.loop, 50 + PONG_MS - 10);
    assert_int_equal(f.closed, 0);
    first.traffic.taken = 1000;
    eio__test_line(&second.line);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get); /* that has nothing of its answer yet at the next look */
    free(get.body);
    eio_loop_advance(f.loop, 10);
    eio_loop_advance(f.loop, REST_MS - 1);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 1);
    assert_timed_out();
}

static void a_body_that_comes_slowly_keeps_its_session(void **state)
{
    (void)state;
    char sid[21];
    struct wire wire = {.line = {look, NULL}, .traffic = {.is_receiving = true}};
    poll_open(&f, sid);
    eio__pulse_tie(f.session, &eio__polling_of(f.session->transport)->body, &wire.line);
    for (int i = 0; i < 20; i++) {
        eio_loop_advance(f.loop, 100);
        wire.traffic.received++;
        assert_int_equal(f.closed, 0);
    }
    eio_loop_advance(f.loop, PONG_MS + REST_MS);
    assert_timed_out();
}

/* ------------------------------------------------------------------ the end */

static void what_was_queued_before_an_abort_still_arrives(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    send_big(40);
    eio_session_abort(f.session, EIO_CLOSE_POLICY, NULL);
    assert_int_equal(f.closed, 1);
    size_t got = 0, all = 40 * (BIG + 5) + 4;
    for (int ms = 0; got < all && ms < 20000; ms += 100) {
        got += take(fd, 50000);
        eio_loop_advance(f.loop, 100);
    }
    assert_int_equal(got, all); /* with the close frame */
    eio_loop_advance(f.loop, 4000);
    uint8_t byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(hits(EIO_LIMIT_LINGER_TIMEOUT), 0);
    close(fd);
}

static void assert_nothing_queued(int fd)
{
    struct eio_server_stats stats;
    eio_server_get_stats(f.server, &stats);
    assert_int_equal(stats.queued_bytes, 0);
    assert_int_equal(hits(EIO_LIMIT_LINGER_TIMEOUT), 1);
    close(fd);
}

static void what_is_taken_too_slowly_after_an_abort_is_dropped_at_the_limit(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    send_big(100);
    eio_session_abort(f.session, EIO_CLOSE_POLICY, NULL);
    for (uint32_t ms = 0; ms < f.options.linger_timeout_ms - 1000; ms += 1000) {
        assert_true(take(fd, 65536) > 0);
        eio_loop_advance(f.loop, 1000);
    }
    eio_loop_advance(f.loop, 999);
    assert_int_equal(hits(EIO_LIMIT_LINGER_TIMEOUT), 0);
    eio_loop_advance(f.loop, 1);
    assert_nothing_queued(fd);
}

static void what_is_not_taken_after_an_abort_is_dropped_soon(void **state)
{
    (void)state;
    struct eio_server_stats stats;
    int fd = peer_open(&f);
    send_big(40);
    eio_session_abort(f.session, EIO_CLOSE_POLICY, NULL);
    eio_loop_advance(f.loop, 5999);
    eio_server_get_stats(f.server, &stats);
    assert_true(stats.queued_bytes > 0);
    eio_loop_advance(f.loop, 1);
    assert_nothing_queued(fd);
}

/* --------------------------------------------------------------- shutting down */

static void send_text(const char *text)
{
    uint8_t *out = eio_session_reserve(f.session, EIO_TEXT, strlen(text));
    assert_non_null(out);
    memcpy(out, text, strlen(text));
}

static void a_client_that_polls_no_more_does_not_hold_a_shutdown(void **state)
{
    (void)state;
    char sid[21];
    poll_open(&f, sid);
    send_text("last");
    eio_server_close_all(f.server, EIO_CLOSE_SHUTTING_DOWN);
    eio_loop_advance(f.loop, f.options.last_poll_timeout_ms - 1);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 1);
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_SHUTTING_DOWN);
    assert_int_equal(hits(EIO_LIMIT_LAST_POLL_TIMEOUT), 1);
}

static void a_client_that_polls_on_gets_all_before_a_shutdown(void **state)
{
    (void)state;
    char sid[21];
    struct eio__test_reply get;
    poll_open(&f, sid);
    send_text("last");
    eio_server_close_all(f.server, EIO_CLOSE_SHUTTING_DOWN);
    eio_loop_advance(f.loop, f.options.last_poll_timeout_ms - 1);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_replied(get, 200, "4last");
    eio_loop_advance(f.loop, f.options.last_poll_timeout_ms - 1);
    assert_int_equal(f.closed, 0);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_replied(get, 200, "1");
    assert_int_equal(f.closed, 1);
}

static void a_poll_that_is_being_read_is_waited_for_by_a_shutdown(void **state)
{
    (void)state;
    char sid[21];
    struct wire wire;
    poll_big(sid, &wire);
    eio_server_close_all(f.server, EIO_CLOSE_SHUTTING_DOWN);
    for (int i = 0; i < 5; i++) {
        wire.traffic.taken += 100;
        eio_loop_advance(f.loop, f.options.last_poll_timeout_ms);
        assert_int_equal(f.closed, 0);
    }
    eio_loop_advance(f.loop, f.options.last_poll_timeout_ms);
    assert_int_equal(f.closed, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_reader_that_is_slow_and_steady_gets_everything),
        TEST(a_reader_that_takes_nothing_goes_when_its_ping_timeout_is_over),
        TEST(a_connection_that_is_half_open_goes_in_time_though_it_is_written_to),
        TEST(a_reader_that_never_answers_goes_in_time_though_it_reads),
        TEST(a_reader_that_stops_midway_goes_when_nothing_moved_for_long),
        TEST(the_longer_a_peer_has_been_slow_the_longer_it_may_rest),
        TEST(a_slow_reader_is_waited_for_up_to_a_limit),
        TEST(who_sends_a_message_for_longer_than_the_ping_timeout_is_alive),
        TEST(who_stops_within_a_message_goes),
        TEST(a_client_of_version_3_that_sends_for_long_is_alive),
        TEST(a_poll_whose_answer_is_being_read_keeps_its_session),
        TEST(a_poll_whose_answer_is_not_read_does_not),
        TEST(a_connection_that_goes_is_no_sign_of_life),
        TEST(polls_that_are_read_one_after_the_other_keep_a_session),
        TEST(a_body_that_comes_slowly_keeps_its_session),
        TEST(what_was_queued_before_an_abort_still_arrives),
        TEST(what_is_taken_too_slowly_after_an_abort_is_dropped_at_the_limit),
        TEST(what_is_not_taken_after_an_abort_is_dropped_soon),
        TEST(a_client_that_polls_no_more_does_not_hold_a_shutdown),
        TEST(a_client_that_polls_on_gets_all_before_a_shutdown),
        TEST(a_poll_that_is_being_read_is_waited_for_by_a_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
