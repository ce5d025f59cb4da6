/* Conversations over HTTP long-polling, upgrades, and the heartbeat. */
#include "eio_fixture.h"

#include "eio_int.h"

static struct fixture f;
static char sid[21];

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.options.ping_interval_ms = 300;
    f.options.ping_timeout_ms = 200;
    fixture_start(&f);
    poll_open(&f, sid);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_clear(&f);
    return 0;
}

static void several_packets_travel_in_one_post_and_one_poll(void **state)
{
    (void)state;
    struct eio__test_reply post, get;
    poll_request(&f, EIO_HTTP_POST, sid,
                 "4test1\x1e"
                 "4test2\x1e"
                 "bAQID",
                 &post);
    assert_replied(post, 200, "ok");
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_string_equal(get.type, "text/plain; charset=UTF-8");
    assert_replied(get, 200,
                   "4test1\x1e"
                   "4test2\x1e"
                   "bAQID");
}

static void a_parked_poll_is_answered_by_the_next_message(void **state)
{
    (void)state;
    struct eio__test_reply post, get;
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_false(get.answered);
    assert_true(eio_session_is_writable(f.session));
    poll_request(&f, EIO_HTTP_POST, sid, "4x", &post);
    assert_replied(post, 200, "ok");
    assert_replied(get, 200, "4x");
    assert_false(eio_session_is_writable(f.session));
}

/* Edge case 9. */
static void a_second_poll_closes_the_session(void **state)
{
    (void)state;
    struct eio__test_reply first, second, third;
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &first);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &second);
    assert_replied(first, 200, "1");
    assert_replied(second, 400, "");
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_ERROR);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &third);
    assert_replied(third, 400, "{\"code\":1,\"message\":\"Session ID unknown\"}");
}

static const struct eio__test_reply *watched;
static bool answered_at_close;

static void note_answered(struct fixture *fixture, struct eio_session *session)
{
    (void)fixture;
    (void)session;
    answered_at_close = watched->answered;
}

/* Edge case 13. */
static void a_broken_payload_gets_400_then_the_session_closes(void **state)
{
    (void)state;
    static const char *const bodies[] = {"abc", "",
                                         "40\x1e\x1e"
                                         "40",
                                         "4\xff", "7"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char id[21];
        poll_open(&f, id);
        int closed = f.closed;
        struct eio__test_reply post, get;
        answered_at_close = false;
        watched = &post;
        f.on_close = note_answered;
        poll_request(&f, EIO_HTTP_POST, id, bodies[i], &post);
        f.on_close = NULL;
        assert_int_equal(post.status, 400);
        assert_string_equal(post.body, f.detail);
        free(post.body);
        assert_true(answered_at_close);
        assert_int_equal(f.closed, closed + 1);
        assert_int_equal(f.reason, EIO_CLOSE_PARSE_ERROR);
        poll_request(&f, EIO_HTTP_GET, id, NULL, &get);
        assert_int_equal(get.status, 400);
        free(get.body);
    }
}

/* Edge case 14. */
static void the_close_packet_gives_the_parked_poll_a_noop(void **state)
{
    (void)state;
    struct eio__test_reply post, get;
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    poll_request(&f, EIO_HTTP_POST, sid, "1", &post);
    assert_replied(post, 200, "ok");
    assert_replied(get, 200, "6");
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_CLOSE);
}

static void a_poll_whose_client_went_away_closes_the_session(void **state)
{
    (void)state;
    struct eio__test_reply get;
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    eio__test_abort(&get);
    turn(&f);
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_ERROR);
}

/* socket.io-client drops messages of the payload that closes it: the close packet comes alone. */
static void closing_sends_the_last_messages_and_then_the_close_packet(void **state)
{
    (void)state;
    struct eio__test_reply messages, close_packet;
    uint8_t *out = eio_session_reserve(f.session, EIO_TEXT, 3);
    memcpy(out, "bye", 3);
    eio_session_close(f.session, EIO_CLOSE_FORCED, NULL);
    turn(&f);
    assert_int_equal(f.closed, 0);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &messages);
    assert_replied(messages, 200, "4bye");
    assert_int_equal(f.closed, 0);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &close_packet);
    assert_replied(close_packet, 200, "1");
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_FORCED);
}

static void closing_without_a_poll_ends_at_the_close_timeout(void **state)
{
    (void)state;
    eio_session_close(f.session, EIO_CLOSE_FORCED, NULL);
    eio_loop_advance(f.loop, 29999);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 1);
    assert_int_equal(f.closed, 1);
}

/* --------------------------------------------------------------- heartbeat */

static void a_ping_is_sent_after_the_interval_and_a_pong_keeps_the_session(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct eio__test_reply get, post;
        poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
        eio_loop_advance(f.loop, 299);
        assert_false(get.answered);
        eio_loop_advance(f.loop, 1);
        assert_replied(get, 200, "2");
        eio_loop_advance(f.loop, 199);
        poll_request(&f, EIO_HTTP_POST, sid, "3", &post);
        assert_replied(post, 200, "ok");
    }
    assert_int_equal(f.closed, 0);
}

static void without_a_pong_the_session_closes_500_ms_after_the_handshake(void **state)
{
    (void)state;
    eio_loop_advance(f.loop, 499);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 1);
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_PING_TIMEOUT);
}

/* The loop's timer may run late, by up to a tick of the kernel's coarse clock and more under load. */
static void a_ping_that_leaves_late_does_not_move_the_ping_timeout(void **state)
{
    (void)state;
    eio_loop_advance(f.loop, 299);
    f.loop->now_ms += 10;
    eio_loop_advance(f.loop, 190);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 1);
    assert_int_equal(f.closed, 1);
}

static void a_peer_has_its_time_to_answer_after_a_standstill(void **state)
{
    (void)state;
    eio_loop_advance(f.loop, 299);
    f.loop->now_ms += 1000;
    eio_loop_advance(f.loop, 199);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 1);
    assert_int_equal(f.closed, 1);
}

/* engine.io 6.6.11: another packet while a pong is awaited extends the timeout, once. */
static void another_packet_extends_the_pong_timeout_once(void **state)
{
    (void)state;
    struct eio__test_reply post;
    eio_loop_advance(f.loop, 450);
    poll_request(&f, EIO_HTTP_POST, sid, "4a", &post);
    assert_replied(post, 200, "ok");
    eio_loop_advance(f.loop, 150);
    assert_int_equal(f.closed, 0);
    poll_request(&f, EIO_HTTP_POST, sid, "4b", &post);
    assert_replied(post, 200, "ok");
    eio_loop_advance(f.loop, 49);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 1);
    assert_int_equal(f.closed, 1);
}

/* ----------------------------------------------------------------- upgrade */

static const char *upgrade_target(void)
{
    static char target[128];
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%s", sid);
    return target;
}

/* Edge case 19. */
static void an_upgrade_moves_the_session_and_loses_nothing(void **state)
{
    (void)state;
    struct eio__test_reply get, late;
    int fd;
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_int_equal(eio__test_upgrade(f.server, upgrade_target(), &fd), 0);
    peer_text(fd, "2probe");
    assert_peer_reads(&f, fd, "1:3probe\n");
    assert_replied(get, 200, "6");
    uint8_t *out = eio_session_reserve(f.session, EIO_TEXT, 1);
    *out = 'q';
    assert_peer_reads(&f, fd, "");
    peer_text(fd, "5");
    peer_text(fd, "4after");
    assert_peer_reads(&f, fd, "1:4q\n1:4after\n");
    assert_int_equal(eio_session_transport(f.session), EIO_WEBSOCKET);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &late);
    assert_replied(late, 400, "{\"code\":3,\"message\":\"Bad request\"}");
    int second;
    assert_int_equal(eio__test_upgrade(f.server, upgrade_target(), &second), 0); /* opened, then closed */
    assert_peer_reads(&f, second, "8:\nend\n");
    close(second);
    close(fd);
}

/* Edge case 10 of the protocol: a poll sent while the probe is through is not left hanging. */
static void polls_during_the_probe_get_a_noop_every_100_ms(void **state)
{
    (void)state;
    struct eio__test_reply get;
    int fd;
    assert_int_equal(eio__test_upgrade(f.server, upgrade_target(), &fd), 0);
    peer_text(fd, "2probe");
    turn(&f);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_false(get.answered);
    eio_loop_advance(f.loop, 100);
    assert_replied(get, 200, "6");
    close(fd);
}

/* Edge case 20. */
static void the_upgrade_packet_is_taken_without_a_probe(void **state)
{
    (void)state;
    int fd;
    assert_int_equal(eio__test_upgrade(f.server, upgrade_target(), &fd), 0);
    peer_text(fd, "5");
    peer_text(fd, "4x");
    assert_peer_reads(&f, fd, "1:4x\n");
    close(fd);
}

/* Edge case 21. */
static void anything_else_on_the_new_transport_ends_it_and_spares_the_session(void **state)
{
    (void)state;
    struct eio__test_reply post, get;
    int fd;
    assert_int_equal(eio__test_upgrade(f.server, upgrade_target(), &fd), 0);
    peer_text(fd, "40");
    assert_peer_reads(&f, fd, "8:\nend\n");
    close(fd);
    assert_int_equal(f.closed, 0);
    poll_request(&f, EIO_HTTP_POST, sid, "4still", &post);
    assert_replied(post, 200, "ok");
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_replied(get, 200, "4still");
}

/* Edge case 22. */
static void a_second_websocket_is_closed_and_the_first_goes_on(void **state)
{
    (void)state;
    int first, second;
    assert_int_equal(eio__test_upgrade(f.server, upgrade_target(), &first), 0);
    assert_int_equal(eio__test_upgrade(f.server, upgrade_target(), &second), 0);
    assert_peer_reads(&f, second, "8:\nend\n");
    close(second);
    peer_text(first, "2probe");
    assert_peer_reads(&f, first, "1:3probe\n");
    peer_text(first, "5");
    peer_text(first, "4x");
    assert_peer_reads(&f, first, "1:4x\n");
    close(first);
}

/* Edge case 24. */
static void an_upgrade_that_is_never_completed_is_closed_in_time(void **state)
{
    (void)state;
    fixture_clear(&f);
    fixture_init(&f);
    fixture_start(&f);
    poll_open(&f, sid);
    int fd;
    assert_int_equal(eio__test_upgrade(f.server, upgrade_target(), &fd), 0);
    peer_text(fd, "2probe");
    assert_peer_reads(&f, fd, "1:3probe\n");
    eio_loop_advance(f.loop, 9999);
    assert_string_equal(peer_read(fd), "");
    eio_loop_advance(f.loop, 1);
    assert_string_equal(peer_read(fd), "8:\nend\n");
    assert_int_equal(f.closed, 0);
    close(fd);
}

static void a_session_that_ends_takes_its_probe_along(void **state)
{
    (void)state;
    int fd;
    struct eio__test_reply post;
    assert_int_equal(eio__test_upgrade(f.server, upgrade_target(), &fd), 0);
    peer_text(fd, "2probe");
    assert_peer_reads(&f, fd, "1:3probe\n");
    poll_request(&f, EIO_HTTP_POST, sid, "1", &post);
    assert_replied(post, 200, "ok");
    assert_int_equal(f.closed, 1);
    assert_string_equal(peer_read(fd), "8:\nend\n");
    close(fd);
}

/* ------------------------------------------------------------ verification */

/* Edge cases 1 to 5. */
static void bad_requests_get_the_codes_of_the_reference(void **state)
{
    (void)state;
    static const struct {
        enum eio_http_method method;
        const char *target, *body;
    } cases[] = {
        {EIO_HTTP_GET, "/engine.io/?EIO=4", "{\"code\":0,\"message\":\"Transport unknown\"}"},
        {EIO_HTTP_GET, "/engine.io/?EIO=4&transport=constructor", "{\"code\":0,\"message\":\"Transport unknown\"}"},
        {EIO_HTTP_GET, "/engine.io/?EIO=4&transport=polling%00x", "{\"code\":0,\"message\":\"Transport unknown\"}"},
        {EIO_HTTP_GET, "/engine.io/?EIO=4&transport=polling%00", "{\"code\":0,\"message\":\"Transport unknown\"}"},
        {EIO_HTTP_GET, "/engine.io/?EIO=4%00&transport=polling",
         "{\"code\":5,\"message\":\"Unsupported protocol version\"}"},
        {EIO_HTTP_GET, "/engine.io/?transport=polling", "{\"code\":5,\"message\":\"Unsupported protocol version\"}"},
        {EIO_HTTP_GET, "/engine.io/?EIO=3&transport=polling",
         "{\"code\":5,\"message\":\"Unsupported protocol version\"}"},
        {EIO_HTTP_GET, "/engine.io/?EIO=5&transport=polling",
         "{\"code\":5,\"message\":\"Unsupported protocol version\"}"},
        {EIO_HTTP_GET, "/engine.io/?EIO=4&transport=polling&sid=__proto__",
         "{\"code\":1,\"message\":\"Session ID unknown\"}"},
        {EIO_HTTP_GET, "/engine.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA",
         "{\"code\":1,\"message\":\"Session ID unknown\"}"},
        {EIO_HTTP_POST, "/engine.io/?EIO=4&transport=polling", "{\"code\":2,\"message\":\"Bad handshake method\"}"},
        {EIO_HTTP_GET, "/engine.io/?EIO=4&transport=websocket", "{\"code\":3,\"message\":\"Bad request\"}"},
        {EIO_HTTP_OPTIONS, "/engine.io/?EIO=4&transport=polling", "{\"code\":2,\"message\":\"Bad handshake method\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eio__test_reply reply;
        eio__test_request(f.server, cases[i].method, cases[i].target, NULL, &reply);
        assert_string_equal(reply.type, "application/json");
        assert_replied(reply, 400, cases[i].body);
    }
    int fd;
    /* Edge cases 6, 7, 23: before the upgrade is answered. */
    assert_int_equal(eio__test_upgrade(f.server, "/engine.io/?transport=websocket", &fd), 400);
    assert_int_equal(eio__test_upgrade(f.server, "/engine.io/?EIO=4&transport=websocket&sid=x", &fd), 400);
    char target[128];
    snprintf(target, sizeof target, "/engine.io/?EIO=3&transport=websocket&sid=%s", sid);
    assert_int_equal(eio__test_upgrade(f.server, target, &fd), 400);
    assert_int_equal(f.closed, 0);
}

/* The protocol suite polls exactly when the pong is overdue: the request may be read before the timer runs. */
static void a_poll_in_the_turn_of_the_ping_timeout_comes_too_late(void **state)
{
    (void)state;
    struct eio__test_reply get;
    eio_loop_advance(f.loop, 499);
    f.loop->now_ms++;
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    assert_replied(get, 400, "{\"code\":1,\"message\":\"Session ID unknown\"}");
    assert_int_equal(eio_server_session_count(f.server), 0);
}

/* A ping that is not the probe: on the WebSocket that wants to take over it ends the attempt, as in the reference. */
static void a_plain_ping_on_a_probing_websocket_ends_the_attempt(void **state)
{
    (void)state;
    for (int probed = 0; probed < 2; probed++) {
        char id[21], target[128];
        int fd;
        struct eio__test_reply get;
        poll_open(&f, id);
        snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%s", id);
        assert_int_equal(eio__test_upgrade(f.server, target, &fd), 0);
        if (probed) peer_text(fd, "2probe");
        if (probed) assert_peer_reads(&f, fd, "1:3probe\n");
        peer_text(fd, "2");
        assert_peer_reads(&f, fd, "8:\nend\n");
        close(fd);
        /* Polling goes on, and a later attempt succeeds. */
        uint8_t *out = eio_session_reserve(f.session, EIO_TEXT, 1);
        *out = 'x';
        poll_request(&f, EIO_HTTP_GET, id, NULL, &get);
        assert_replied(get, 200, "4x");
        assert_int_equal(eio__test_upgrade(f.server, target, &fd), 0);
        peer_text(fd, "2probe");
        assert_peer_reads(&f, fd, "1:3probe\n");
        close(fd);
        turn(&f);
    }
}

/* Over polling meanwhile it is what it always is: in version 4 the wrong direction, in version 3 answered at once. */
static void a_ping_over_polling_while_a_websocket_probes_is_what_it_always_is(void **state)
{
    (void)state;
    for (int version = 3; version <= 4; version++) {
        char id[21], target[128];
        int fd;
        struct eio__test_reply get, post;
        fixture_clear(&f);
        fixture_init(&f);
        f.options.allow_eio3 = true;
        fixture_start(&f);
        snprintf(target, sizeof target, "/engine.io/?EIO=%d&transport=polling", version);
        eio__test_request(f.server, EIO_HTTP_GET, target, NULL, &get);
        const char *open = strstr(get.body, "0{\"sid\":\"");
        assert_non_null(open);
        snprintf(id, sizeof id, "%.20s", open + 9);
        free(get.body);
        snprintf(target, sizeof target, "/engine.io/?EIO=%d&transport=websocket&sid=%s", version, id);
        assert_int_equal(eio__test_upgrade(f.server, target, &fd), 0);
        peer_text(fd, "2probe");
        assert_peer_reads(&f, fd, "1:3probe\n");
        snprintf(target, sizeof target, "/engine.io/?EIO=%d&transport=polling&sid=%s", version, id);
        eio__test_request(f.server, EIO_HTTP_GET, target, NULL, &get);
        eio__test_request(f.server, EIO_HTTP_POST, target, version == 3 ? "1:2" : "2", &post);
        turn(&f);
        assert_replied(post, 200, "ok");
        assert_replied(get, 200, version == 3 ? "1:3" : "1");
        assert_int_equal(f.closed, version == 4);
        if (version == 4) assert_string_equal(f.detail, "invalid heartbeat direction");
        assert_peer_reads(&f, fd, version == 4 ? "8:\nend\n" : "");
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(several_packets_travel_in_one_post_and_one_poll),
        TEST(a_parked_poll_is_answered_by_the_next_message),
        TEST(a_second_poll_closes_the_session),
        TEST(a_broken_payload_gets_400_then_the_session_closes),
        TEST(the_close_packet_gives_the_parked_poll_a_noop),
        TEST(a_poll_whose_client_went_away_closes_the_session),
        TEST(closing_sends_the_last_messages_and_then_the_close_packet),
        TEST(closing_without_a_poll_ends_at_the_close_timeout),
        TEST(a_ping_is_sent_after_the_interval_and_a_pong_keeps_the_session),
        TEST(without_a_pong_the_session_closes_500_ms_after_the_handshake),
        TEST(a_poll_in_the_turn_of_the_ping_timeout_comes_too_late),
        TEST(a_ping_that_leaves_late_does_not_move_the_ping_timeout),
        TEST(a_peer_has_its_time_to_answer_after_a_standstill),
        TEST(another_packet_extends_the_pong_timeout_once),
        TEST(an_upgrade_moves_the_session_and_loses_nothing),
        TEST(polls_during_the_probe_get_a_noop_every_100_ms),
        TEST(the_upgrade_packet_is_taken_without_a_probe),
        TEST(anything_else_on_the_new_transport_ends_it_and_spares_the_session),
        TEST(a_second_websocket_is_closed_and_the_first_goes_on),
        TEST(an_upgrade_that_is_never_completed_is_closed_in_time),
        TEST(a_session_that_ends_takes_its_probe_along),
        TEST(bad_requests_get_the_codes_of_the_reference),
        TEST(a_plain_ping_on_a_probing_websocket_ends_the_attempt),
        TEST(a_ping_over_polling_while_a_websocket_probes_is_what_it_always_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
