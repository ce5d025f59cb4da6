/* eio_session_hold(): what has arrived waits in order, nothing more is read, nothing is lost. */
#include "eio_fixture.h"

#include "eio_int.h"

static struct fixture f;
static int hold_after; /* messages, then the handler holds its session; 0: never */
static int messages;
static uint64_t message_us; /* how long the handler takes, on the clock of slices */

static void count_and_hold(struct fixture *fixture, struct eio_session *session)
{
    messages++;
    fixture->loop->fake_us += message_us;
    if (hold_after && --hold_after == 0) assert_int_equal(eio_session_hold(session, true), 0);
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.options.max_payload_bytes = 5000000;
    f.options.ping_interval_ms = 300;
    f.options.ping_timeout_ms = 200;
    f.on_message = count_and_hold;
    fixture_start(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_clear(&f);
    return 0;
}

static void release(void)
{
    assert_int_equal(eio_session_hold(f.session, false), 0);
    turn(&f);
}

static void a_held_websocket_gets_nothing_more_until_it_is_released(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    hold_after = 2;
    for (int i = 1; i <= 4; i++) peer_text(fd, (char[]){'4', (char)('0' + i), 0});
    turn(&f);
    turn(&f);
    assert_string_equal(f.log, "text:1\ntext:2\n");
    peer_text(fd, "45"); /* stays in the kernel */
    turn(&f);
    assert_string_equal(f.log, "text:1\ntext:2\n");
    release();
    turn(&f);
    assert_string_equal(f.log, "text:1\ntext:2\ntext:3\ntext:4\ntext:5\n");
    close(fd);
}

static void it_may_be_held_again_by_what_waited(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    hold_after = 1;
    for (int i = 1; i <= 3; i++) peer_text(fd, (char[]){'4', (char)('0' + i), 0});
    turn(&f);
    hold_after = 1;
    release();
    assert_string_equal(f.log, "text:1\ntext:2\n");
    release();
    turn(&f);
    assert_string_equal(f.log, "text:1\ntext:2\ntext:3\n");
    close(fd);
}

/* RFC 6455, section 5.5.1: what was sent before the close frame comes before it. */
static void a_close_frame_waits_behind_the_messages(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    hold_after = 1;
    peer_text(fd, "4a");
    peer_text(fd, "4b");
    peer_send(fd, 0x88, "\x03\xe8", 2);
    turn(&f);
    assert_int_equal(f.closed, 0);
    release();
    assert_string_equal(f.log, "text:a\ntext:b\n");
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_CLOSE);
    turn(&f);
    assert_non_null(strstr(peer_read(fd), "8:1000\n"));
    close(fd);
}

/* RFC 6455, section 7.1.7: what is no frame fails the connection; not what came before it. */
static void a_malformed_frame_waits_behind_the_messages(void **state)
{
    static const uint8_t reserved_opcode[] = {0x83, 0x80, 0, 0, 0, 0};
    (void)state;
    int fd = peer_open(&f);
    hold_after = 1;
    peer_text(fd, "4a");
    peer_text(fd, "4b");
    assert_int_equal(write(fd, reserved_opcode, sizeof reserved_opcode), (ssize_t)sizeof reserved_opcode);
    peer_text(fd, "4c");
    turn(&f);
    assert_int_equal(f.closed, 0);
    release();
    assert_string_equal(f.log, "text:a\ntext:b\n");
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_ERROR);
    turn(&f);
    assert_non_null(strstr(peer_read(fd), "8:1002\n"));
    close(fd);
}

static void a_malformed_packet_waits_behind_the_messages(void **state)
{
    char sid[21];
    struct eio__test_reply post;
    (void)state;
    int fd = peer_open(&f);
    hold_after = 1;
    for (int i = 0; i < 4; i++) peer_text(fd, (const char *[]){"4a", "4b", "x", "4c"}[i]);
    turn(&f);
    assert_int_equal(f.closed, 0);
    release();
    assert_string_equal(f.log, "text:a\ntext:b\n");
    assert_int_equal(f.reason, EIO_CLOSE_PARSE_ERROR);
    close(fd);
    f.log[0] = '\0';
    poll_open(&f, sid);
    hold_after = 1;
    poll_request(&f, EIO_HTTP_POST, sid,
                 "4a\x1e"
                 "4b\x1e"
                 "x",
                 &post);
    assert_int_equal(post.status, 400);
    free(post.body);
    assert_int_equal(f.closed, 1);
    release();
    assert_string_equal(f.log, "text:a\ntext:b\n");
    assert_int_equal(f.closed, 2);
}

/* It ended at once: our answers cannot be written any more, though most of what it said is still to be read. */
static void what_a_peer_said_before_it_went_away_is_read(void **state)
{
    enum { MESSAGES = 90 };
    char text[1000];
    (void)state;
    int fd = peer_open(&f);
    memset(text, 'x', sizeof text);
    text[0] = '4';
    text[sizeof text - 1] = '\0';
    messages = 0;
    for (int i = 0; i < MESSAGES; i++) peer_text(fd, text);
    close(fd);
    for (int i = 0; i < 10 && !f.closed; i++) turn(&f);
    assert_int_equal(messages, MESSAGES);
    assert_int_equal(f.closed, 1);
}

static void a_held_session_is_alive_though_its_pong_is_not_read(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    hold_after = 1;
    peer_text(fd, "4a");
    turn(&f);
    for (int i = 0; i < 10; i++) eio_loop_advance(f.loop, 300);
    assert_int_equal(f.closed, 0);
    release();
    eio_loop_advance(f.loop, 2000); /* and now it says nothing */
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_PING_TIMEOUT);
    close(fd);
}

/* Else a peer that floods could keep what it does not read for ever. */
static void a_held_session_whose_peer_takes_nothing_is_not(void **state)
{
    (void)state;
    f.echo = false;
    int fd = peer_open(&f);
    hold_after = 1;
    peer_text(fd, "4a");
    turn(&f);
    uint8_t *bytes;
    struct eio_frame *large = eio_frame_new(EIO_TEXT, 8 << 20, &bytes);
    memset(bytes, 'x', 8 << 20);
    assert_int_equal(eio_session_send(f.session, large), 0);
    eio_frame_unref(large);
    for (int i = 0; i < 100 && !f.closed; i++) eio_loop_advance(f.loop, 300);
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_PING_TIMEOUT);
    close(fd);
}

static void a_session_that_ends_while_held_leaves_nothing(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    hold_after = 1;
    peer_text(fd, "4a");
    peer_text(fd, "4b");
    turn(&f);
    eio_session_abort(f.session, EIO_CLOSE_POLICY, NULL);
    turn(&f);
    assert_string_equal(f.log, "text:a\n");
    assert_int_equal(f.closed, 1);
    close(fd);
}

static void a_post_is_answered_when_its_packets_are_handled(void **state)
{
    char sid[21];
    (void)state;
    struct eio__test_reply post, second;
    poll_open(&f, sid);
    hold_after = 1;
    poll_request(&f, EIO_HTTP_POST, sid,
                 "4a\x1e"
                 "4b\x1e"
                 "4c",
                 &post);
    assert_string_equal(f.log, "text:a\n");
    assert_false(post.answered);
    release();
    assert_replied(post, 200, "ok");
    assert_string_equal(f.log, "text:a\ntext:b\ntext:c\n");
    poll_request(&f, EIO_HTTP_POST, sid, "4d", &second);
    assert_replied(second, 200, "ok");
}

/* As the reference with every POST that overlaps: engine.io/lib/transports/polling.ts, onDataRequest. */
static void a_post_while_another_waits_closes_the_session(void **state)
{
    char sid[21];
    (void)state;
    struct eio__test_reply post, second;
    poll_open(&f, sid);
    hold_after = 1;
    poll_request(&f, EIO_HTTP_POST, sid,
                 "4a\x1e"
                 "4b",
                 &post);
    poll_request(&f, EIO_HTTP_POST, sid, "4c", &second);
    assert_replied(second, 400, "");
    assert_true(post.answered);
    assert_int_equal(post.status, 400);
    free(post.body);
    assert_int_equal(f.closed, 1);
}

/* A slice of 5 ms is 50 looks at this clock, one for 16 packets. */
static void many_peers_with_much_to_say_do_not_make_a_turn_longer(void **state)
{
    enum { PEERS = 20, PACKETS = 4000 };
    uint8_t packets[PACKETS][8];
    int fds[PEERS];
    uint64_t longest_us = 0;
    (void)state;
    f.echo = false;
    f.loop->fake_step_us = 100;
    for (int i = 0; i < PACKETS; i++) memcpy(packets[i], "\x81\x82\0\0\0\0004x", sizeof packets[i]);
    for (int i = 0; i < PEERS; i++) fds[i] = peer_open(&f);
    for (int i = 0; i < PEERS; i++) assert_int_equal(write(fds[i], packets, sizeof packets), (ssize_t)sizeof packets);
    messages = 0;
    turn(&f); /* what is read first has its slices */
    for (int turns = 0; turns < 2 * PACKETS && messages < PEERS * PACKETS; turns++) {
        uint64_t begin_us = f.loop->fake_us;
        f.log[0] = '\0';
        turn(&f);
        if (f.loop->fake_us - begin_us > longest_us) longest_us = f.loop->fake_us - begin_us;
    }
    assert_int_equal(messages, PEERS * PACKETS);
    assert_in_range(longest_us, 1, 10000);
    for (int i = 0; i < PEERS; i++) close(fds[i]);
}

/* Each packet is more than its peer's part of a slice. */
static void many_peers_whose_packets_take_long_do_not_make_a_turn_longer(void **state)
{
    enum { PEERS = 200, PACKETS = 100 };
    uint8_t packets[PACKETS][8];
    int fds[PEERS];
    uint64_t longest_us = 0;
    (void)state;
    f.echo = false;
    for (int i = 0; i < PACKETS; i++) memcpy(packets[i], "\x81\x82\0\0\0\0004x", sizeof packets[i]);
    for (int i = 0; i < PEERS; i++) fds[i] = peer_open(&f);
    for (int i = 0; i < PEERS; i++) assert_int_equal(write(fds[i], packets, sizeof packets), (ssize_t)sizeof packets);
    f.loop->fake_step_us = 1;
    messages = 0;
    message_us = 500;
    for (int turns = 0; messages < PEERS * PACKETS; turns++) {
        uint64_t begin_us = f.loop->fake_us;
        assert_in_range(turns, 0, PEERS * PACKETS);
        f.log[0] = '\0';
        turn(&f);
        if (f.loop->fake_us - begin_us > longest_us) longest_us = f.loop->fake_us - begin_us;
    }
    assert_in_range(longest_us, 1, PEERS * message_us + 70000); /* one packet of each; more of the first */
    message_us = 0;
    for (int i = 0; i < PEERS; i++) close(fds[i]);
}

/* The last bytes of large messages arrive together: each is one piece of work. */
static void large_messages_of_several_peers_have_turns_of_their_own(void **state)
{
    enum { PEERS = 3, BYTES = 5000000, LAST = 100 };
    static uint8_t bytes[14 + BYTES];
    int fds[PEERS];
    (void)state;
    f.echo = false;
    memcpy(bytes, "\x81\xff\0\0\0\0\0\x4c\x4b\x40\0\0\0\0004", 15);
    memset(bytes + 15, 'x', BYTES - 1);
    for (int i = 0; i < PEERS; i++) {
        fds[i] = peer_open(&f);
        for (size_t at = 0; at < sizeof bytes - LAST;) {
            ssize_t n = send(fds[i], bytes + at, sizeof bytes - LAST - at, MSG_DONTWAIT);
            if (n > 0) at += (size_t)n;
            turn(&f);
        }
        turn(&f);
    }
    messages = 0;
    f.loop->fake_step_us = 1;
    message_us = 4900; /* the first leaves room for another by the clock alone */
    for (int i = 0; i < PEERS; i++) assert_int_equal(write(fds[i], bytes + sizeof bytes - LAST, LAST), LAST);
    for (int done = 1; done <= PEERS; done++) {
        f.log[0] = '\0';
        turn(&f);
        assert_int_equal(messages, done);
    }
    message_us = 0;
    for (int i = 0; i < PEERS; i++) close(fds[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_held_websocket_gets_nothing_more_until_it_is_released),
        TEST(it_may_be_held_again_by_what_waited),
        TEST(a_close_frame_waits_behind_the_messages),
        TEST(a_malformed_frame_waits_behind_the_messages),
        TEST(a_malformed_packet_waits_behind_the_messages),
        TEST(what_a_peer_said_before_it_went_away_is_read),
        TEST(a_held_session_is_alive_though_its_pong_is_not_read),
        TEST(a_held_session_whose_peer_takes_nothing_is_not),
        TEST(a_session_that_ends_while_held_leaves_nothing),
        TEST(a_post_is_answered_when_its_packets_are_handled),
        TEST(a_post_while_another_waits_closes_the_session),
        TEST(many_peers_with_much_to_say_do_not_make_a_turn_longer),
        TEST(many_peers_whose_packets_take_long_do_not_make_a_turn_longer),
        TEST(large_messages_of_several_peers_have_turns_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
