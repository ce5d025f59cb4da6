/* Rare moments: a process that stood still, sessions ended in the middle of a turn, peers that flood. */
#include "eio_fixture.h"

#include "eio_int.h"

static struct fixture f;

static void start(void)
{
    fixture_init(&f);
    fixture_start(&f);
}

/* Time passes without the loop noticing: the process was stopped, or a callback took its time. */
static void stand_still(uint64_t ms)
{
    f.loop->now_ms += ms;
    turn(&f);
}

static void peers_have_their_time_to_answer_after_a_standstill(void **state)
{
    (void)state;
    start();
    int fd = peer_open(&f);
    stand_still(100000); /* the ping was due, and so would be the pong */
    assert_int_equal(f.closed, 0);
    assert_string_equal(peer_read(fd), "1:2\n");
    peer_text(fd, "3");
    turn(&f);
    eio_loop_advance(f.loop, 24000);
    assert_int_equal(f.closed, 0);
    close(fd);
    fixture_clear(&f);
}

static void a_pong_that_waits_in_the_socket_counts(void **state)
{
    (void)state;
    start();
    int fd = peer_open(&f);
    eio_loop_advance(f.loop, 25000);
    peer_text(fd, "3");
    stand_still(30000);
    assert_int_equal(f.closed, 0);
    close(fd);
    fixture_clear(&f);
}

static void a_poll_that_hangs_takes_what_was_sent_before_an_abort(void **state)
{
    (void)state;
    start();
    char sid[21];
    poll_open(&f, sid);
    struct eio__test_reply get;
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_false(get.answered);
    uint8_t *out = eio_session_reserve(f.session, EIO_TEXT, 4);
    memcpy(out, "last", 4);
    eio_session_abort(f.session, EIO_CLOSE_FORCED, NULL);
    assert_replied(get, 200,
                   "4last\x1e"
                   "1");
    assert_int_equal(f.closed, 1);
    fixture_clear(&f);
}

/* A peer that pings without reading: pongs share chunks, and reading pauses. */
static void a_flood_of_pings_costs_little_more_than_its_pongs(void **state)
{
    (void)state;
    fixture_init(&f);
    f.options.high_water_bytes = 8192;
    fixture_start(&f);
    int fd = peer_open(&f), size = 4608;
    setsockopt(f.session->transport->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    static const uint8_t ping[6] = {0x89, 0x80};
    for (int i = 0; i < 200000 && !f.session->transport->read_paused; i++) {
        if (send(fd, ping, sizeof ping, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 || i % 1000 == 0) turn(&f);
    }
    assert_true(f.session->transport->read_paused);
    assert_true(f.session->queue.bytes > 8192);
    assert_true(f.session->queue.count <= 2 + f.session->queue.bytes / (EIO__CHUNK_BYTES / 2));
    close(fd);
    fixture_clear(&f);
}

/* RFC 7692, section 6.1: only data messages are compressed. */
static void pongs_are_never_compressed(void **state)
{
    (void)state;
    fixture_init(&f);
    f.options.per_message_deflate = true;
    f.options.deflate_threshold_bytes = 10;
    fixture_start(&f);
    int fd = peer_open(&f);
    eio__ws_set_deflate(eio__ws_of(f.session->transport), 15);
    char payload[101] = "", expected[128];
    memset(payload, 'z', 100);
    peer_send(fd, 0x89, payload, 100);
    snprintf(expected, sizeof expected, "10:%s\n", payload);
    assert_peer_reads(&f, fd, expected);
    close(fd);
    fixture_clear(&f);
}

static void on_close_all(struct fixture *fixture, struct eio_session *session)
{
    (void)session;
    eio_server_close_all(fixture->server, EIO_CLOSE_FORCED);
}

static void closing_everything_from_on_close_ends_each_session_once(void **state)
{
    (void)state;
    start();
    f.on_close = on_close_all;
    int fds[5];
    for (int i = 0; i < 5; i++) fds[i] = peer_open(&f);
    peer_text(fds[2], "1");
    for (int i = 0; i < 3; i++) turn(&f);
    assert_int_equal(f.opened, 5);
    assert_int_equal(f.closed, 5);
    for (int i = 0; i < 5; i++) close(fds[i]);
    fixture_clear(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_have_their_time_to_answer_after_a_standstill),
        cmocka_unit_test(a_pong_that_waits_in_the_socket_counts),
        cmocka_unit_test(a_poll_that_hangs_takes_what_was_sent_before_an_abort),
        cmocka_unit_test(a_flood_of_pings_costs_little_more_than_its_pongs),
        cmocka_unit_test(pongs_are_never_compressed),
        cmocka_unit_test(closing_everything_from_on_close_ends_each_session_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
