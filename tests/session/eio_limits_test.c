/* Limits of the Engine.IO server: each is hit by one peer, while another notices nothing. Those by address need
 * several: http/eio_http_limits_test.c. */
#include "eio_fixture.h"

static struct fixture f;
static int bystander = -1;

/* Options are changed between begin() and go(). */
static void begin(void)
{
    fixture_init(&f);
    eio_log_set(NULL, NULL, EIO_LOG_ERROR);
}

static void go(void)
{
    fixture_start(&f);
    bystander = peer_open(&f);
}

/* The other one is served, and the limit was counted so often. */
static void end(enum eio_limit limit, uint64_t hits)
{
    struct eio_server_stats stats;
    peer_text(bystander, "4still here");
    turn(&f);
    turn(&f);
    const char *heard = peer_read(bystander);
    if (strncmp(heard, "1:2\n", 4) == 0) heard += 4; /* a heartbeat */
    assert_string_equal(heard, "1:4still here\n");
    eio_server_get_stats(f.server, &stats);
    for (int i = 0; i < EIO_LIMIT_COUNT; i++)
        if (stats.limit_hits[i] != (i == (int)limit ? hits : 0))
            fail_msg("%s: %llu hits", eio_limit_name((enum eio_limit)i), (unsigned long long)stats.limit_hits[i]);
    close(bystander);
    fixture_clear(&f);
}

/* --------------------------------------------------------------- handshakes */

static int handshake(void)
{
    struct eio__test_reply reply;
    eio__test_request(f.server, EIO_HTTP_GET, "/engine.io/?EIO=4&transport=polling", NULL, &reply);
    turn(&f);
    assert_true(reply.answered);
    free(reply.body);
    return reply.status;
}

static int handshake_websocket(int *fd)
{
    return eio__test_upgrade(f.server, "/engine.io/?EIO=4&transport=websocket", fd);
}

static void sessions_above_the_limit_get_503(void **state)
{
    (void)state;
    int fd;
    begin();
    f.options.max_sessions = 3;
    go();
    assert_int_equal(handshake(), 200);
    assert_int_equal(handshake(), 200);
    assert_int_equal(handshake(), 503);
    assert_int_equal(handshake_websocket(&fd), 503);
    eio_session_abort(f.session, EIO_CLOSE_FORCED, NULL);
    assert_int_equal(handshake(), 200); /* there is room again */
    end(EIO_LIMIT_SESSIONS, 2);
}

static void sessions_above_the_limit_of_an_address_get_429(void **state)
{
    (void)state;
    int fd = -1;
    begin();
    f.options.max_sessions_per_address = 2;
    go();
    assert_int_equal(handshake(), 200);
    assert_int_equal(handshake(), 429);
    assert_int_equal(handshake_websocket(&fd), 429);
    eio_session_abort(f.session, EIO_CLOSE_FORCED, NULL);
    assert_int_equal(handshake_websocket(&fd), 0);
    close(fd);
    turn(&f);
    assert_int_equal(handshake(), 200);
    end(EIO_LIMIT_SESSIONS_PER_ADDRESS, 2);
}

static void handshakes_above_the_rate_get_503_for_a_moment(void **state)
{
    (void)state;
    begin();
    f.options.max_handshakes_per_second = 5;
    go();
    for (int i = 0; i < 5; i++) assert_int_equal(handshake(), 200);
    for (int i = 0; i < 7; i++) assert_int_equal(handshake(), 503);
    eio_loop_advance(f.loop, 200);
    assert_int_equal(handshake(), 200);
    assert_int_equal(handshake(), 503);
    end(EIO_LIMIT_HANDSHAKES_PER_SECOND, 8);
}

static void handshakes_above_the_rate_of_an_address_get_429(void **state)
{
    (void)state;
    begin();
    f.options.max_handshakes_per_second_per_address = 2;
    f.options.max_handshakes_per_second = 3;
    go();
    assert_int_equal(handshake(), 200);
    assert_int_equal(handshake(), 200);
    for (int i = 0; i < 10; i++) assert_int_equal(handshake(), 429); /* and takes nothing of the whole server's */
    end(EIO_LIMIT_HANDSHAKES_PER_SECOND_PER_ADDRESS, 10);
}

/* A request of a session is no handshake. */
static void polls_are_not_counted_as_handshakes(void **state)
{
    (void)state;
    char sid[21];
    begin();
    f.options.max_handshakes_per_second = 1;
    go();
    poll_open(&f, sid);
    for (int i = 0; i < 20; i++) {
        struct eio__test_reply post, get;
        poll_request(&f, EIO_HTTP_POST, sid, "4x", &post);
        assert_replied(post, 200, "ok");
        poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
        assert_replied(get, 200, "4x");
    }
    end(EIO_LIMIT_HANDSHAKES_PER_SECOND, 0);
}

/* ----------------------------------------------------------------- upgrades */

static void half_open_upgrades_are_bounded_and_their_sessions_stay_on_polling(void **state)
{
    (void)state;
    char sids[3][21], target[128];
    int fds[3];
    begin();
    f.options.max_upgrades = 2;
    go();
    for (int i = 0; i < 3; i++) {
        poll_open(&f, sids[i]);
        snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%s", sids[i]);
        assert_int_equal(eio__test_upgrade(f.server, target, &fds[i]), i < 2 ? 0 : 503);
    }
    struct eio__test_reply get;
    peer_text(fds[0], "2probe");
    assert_peer_reads(&f, fds[0], "1:3probe\n");
    peer_text(fds[0], "5"); /* done: it leaves its place */
    turn(&f);
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%s", sids[2]);
    assert_int_equal(eio__test_upgrade(f.server, target, &fds[2]), 0);
    close(fds[1]); /* gives up: it leaves its place, too */
    turn(&f);
    struct eio_server_stats stats;
    eio_server_get_stats(f.server, &stats);
    assert_int_equal(stats.upgrading, 1);
    poll_request(&f, EIO_HTTP_POST, sids[1], "4x", &get);
    assert_replied(get, 200, "ok");
    close(fds[2]);
    turn(&f);
    eio_server_get_stats(f.server, &stats);
    assert_int_equal(stats.upgrading, 0);
    close(fds[0]);
    turn(&f);
    end(EIO_LIMIT_UPGRADES, 1);
}

static void upgrades_may_be_forbidden(void **state)
{
    (void)state;
    char target[128];
    struct eio__test_reply reply;
    int fd;
    begin();
    f.options.allow_upgrades = false;
    go();
    eio__test_request(f.server, EIO_HTTP_GET, "/engine.io/?EIO=4&transport=polling", NULL, &reply);
    assert_non_null(strstr(reply.body, "\"upgrades\":[]"));
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%.20s", reply.body + 9);
    free(reply.body);
    assert_int_equal(eio__test_upgrade(f.server, target, &fd), 400);
    end(EIO_LIMIT_UPGRADES, 0);
}

static void an_upgrade_that_is_never_completed_ends(void **state)
{
    (void)state;
    char sid[21], target[128];
    int fd;
    begin();
    go();
    poll_open(&f, sid);
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%s", sid);
    assert_int_equal(eio__test_upgrade(f.server, target, &fd), 0);
    eio_loop_advance(f.loop, 10001);
    assert_peer_reads(&f, fd, "8:\nend\n");
    assert_int_equal(f.closed, 0);
    close(fd);
    end(EIO_LIMIT_UPGRADE_TIMEOUT, 1);
}

/* ----------------------------------------------------------------- messages */

static const uint8_t long_frame[] = {0x81, 0xfe, 0x01, 0x00, 0, 0, 0, 0, '4', 'd', 'r', 'i', 'p'};

static void a_message_that_drips_in_is_cut_off(void **state)
{
    (void)state;
    begin();
    f.options.message_timeout_ms = 5000;
    go();
    int fd = peer_open(&f);
    assert_int_equal(send(fd, long_frame, sizeof long_frame, 0), sizeof long_frame);
    turn(&f);
    for (int i = 0; i < 49; i++) {
        eio_loop_advance(f.loop, 100);
        assert_int_equal(send(fd, "x", 1, 0), 1);
        turn(&f);
    }
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 101);
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_POLICY);
    assert_string_equal(f.detail, "a message took too long to arrive");
    assert_peer_reads(&f, fd, "8:1008\n");
    close(fd);
    turn(&f);
    end(EIO_LIMIT_MESSAGE_TIMEOUT, 1);
}

static void whole_messages_start_the_time_anew(void **state)
{
    (void)state;
    begin();
    f.options.message_timeout_ms = 5000;
    go();
    int fd = peer_open(&f);
    /* Each read ends inside a message, and none takes long. */
    static const uint8_t end_and_begin[] = {0x81, 0x82, 0, 0, 0, 0, '4'};
    assert_int_equal(send(fd, end_and_begin, 7, 0), 7);
    for (int i = 0; i < 10; i++) {
        turn(&f);
        eio_loop_advance(f.loop, 2000);
        assert_int_equal(send(fd, "x", 1, 0), 1);
        assert_int_equal(send(fd, end_and_begin, 7, 0), 7);
    }
    assert_int_equal(send(fd, "x", 1, 0), 1);
    turn(&f);
    eio_loop_advance(f.loop, 4999);
    assert_int_equal(f.closed, 0);
    close(fd);
    turn(&f);
    end(EIO_LIMIT_MESSAGE_TIMEOUT, 0);
}

static void too_many_fragments_close_with_1008(void **state)
{
    (void)state;
    begin();
    f.options.max_fragments = 8;
    go();
    int fd = peer_open(&f);
    peer_send(fd, 0x01, "4", 1);
    for (int i = 0; i < 8; i++) peer_send(fd, 0x00, "x", 1);
    assert_peer_reads(&f, fd, "8:1008\nend\n");
    assert_string_equal(f.detail, "too many fragments");
    close(fd);
    turn(&f);
    end(EIO_LIMIT_FRAGMENTS, 1);
}

static void a_message_above_the_limit_closes_with_1009(void **state)
{
    (void)state;
    begin();
    f.options.max_payload_bytes = 1000;
    go();
    int fd = peer_open(&f);
    char text[1002];
    memset(text, '4', sizeof text);
    peer_send(fd, 0x81, text, 1001);
    assert_peer_reads(&f, fd, "8:1009\nend\n");
    close(fd);
    turn(&f);
    end(EIO_LIMIT_PAYLOAD_BYTES, 1);
}

/* ------------------------------------------------------------------- queues */

static void send_messages(struct eio_session *session, int count, int *result)
{
    for (int i = 0; i < count && *result == 0; i++) {
        uint8_t *out;
        struct eio_frame *frame = eio_frame_new(EIO_TEXT, 4, &out);
        char text[16];
        snprintf(text, sizeof text, "%04d", i);
        memcpy(out, text, 4);
        *result = eio_session_send(session, frame);
        eio_frame_unref(frame);
    }
}

static void a_queue_of_too_many_messages_closes_a_polling_session(void **state)
{
    (void)state;
    char sid[21];
    int result = 0;
    begin();
    f.options.max_queue_messages = 100;
    go();
    poll_open(&f, sid);
    send_messages(f.session, 101, &result);
    assert_int_equal(result, EIO_EAGAIN);
    turn(&f);
    assert_int_equal(f.reason, EIO_CLOSE_QUEUE_FULL);
    end(EIO_LIMIT_QUEUE_MESSAGES, 1);
}

static void a_queue_of_many_messages_drops_the_oldest(void **state)
{
    (void)state;
    char sid[21];
    int result = 0;
    begin();
    f.options.max_queue_messages = 3;
    f.options.queue_policy = EIO_QUEUE_DROP_OLDEST;
    go();
    poll_open(&f, sid);
    send_messages(f.session, 10, &result);
    assert_int_equal(result, 0);
    struct eio__test_reply get;
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_replied(get, 200,
                   "40007\x1e"
                   "40008\x1e"
                   "40009");
    struct eio_server_stats stats;
    eio_server_get_stats(f.server, &stats);
    assert_int_equal(stats.dropped_oldest, 7);
    /* What was sent counts no more. */
    send_messages(f.session, 3, &result);
    eio_server_get_stats(f.server, &stats);
    assert_int_equal(stats.dropped_oldest, 7);
    end(EIO_LIMIT_QUEUE_MESSAGES, 7);
}

/* A reader that takes its time but takes all: messages that were sent make room on a WebSocket as well. */
static void messages_that_were_sent_do_not_count(void **state)
{
    (void)state;
    int result = 0;
    begin();
    f.options.max_queue_messages = 50;
    go();
    int fd = peer_open(&f);
    for (int i = 0; i < 100; i++) {
        send_messages(f.session, 40, &result);
        for (int k = 0; k < 9; k++) {
            uint8_t *out = eio_session_reserve(f.session, EIO_TEXT, 1);
            assert_non_null(out);
            *out = 'r';
        }
        assert_int_equal(result, 0);
        turn(&f);
        peer_read(fd);
    }
    close(fd);
    turn(&f);
    end(EIO_LIMIT_QUEUE_MESSAGES, 0);
}

static void a_queue_of_too_many_bytes_closes(void **state)
{
    (void)state;
    char sid[21];
    int result = 0;
    begin();
    f.options.max_queue_bytes = 1000;
    go();
    poll_open(&f, sid);
    send_messages(f.session, 1000, &result);
    assert_int_equal(result, EIO_EAGAIN);
    turn(&f);
    assert_int_equal(f.reason, EIO_CLOSE_QUEUE_FULL);
    end(EIO_LIMIT_QUEUE_BYTES, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_above_the_limit_get_503),
        cmocka_unit_test(sessions_above_the_limit_of_an_address_get_429),
        cmocka_unit_test(handshakes_above_the_rate_get_503_for_a_moment),
        cmocka_unit_test(handshakes_above_the_rate_of_an_address_get_429),
        cmocka_unit_test(polls_are_not_counted_as_handshakes),
        cmocka_unit_test(half_open_upgrades_are_bounded_and_their_sessions_stay_on_polling),
        cmocka_unit_test(upgrades_may_be_forbidden),
        cmocka_unit_test(an_upgrade_that_is_never_completed_ends),
        cmocka_unit_test(a_message_that_drips_in_is_cut_off),
        cmocka_unit_test(whole_messages_start_the_time_anew),
        cmocka_unit_test(too_many_fragments_close_with_1008),
        cmocka_unit_test(a_message_above_the_limit_closes_with_1009),
        cmocka_unit_test(a_queue_of_too_many_messages_closes_a_polling_session),
        cmocka_unit_test(a_queue_of_many_messages_drops_the_oldest),
        cmocka_unit_test(messages_that_were_sent_do_not_count),
        cmocka_unit_test(a_queue_of_too_many_bytes_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
