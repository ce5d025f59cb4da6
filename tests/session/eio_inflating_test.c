/* Compressed messages that take long to inflate: a slice in each turn, in order, and nobody waits for them. */
#include "eio_fixture.h"

#include "eio_int.h"
#include "packed.h"

static struct fixture f;
static uint8_t *bomb; /* BOMB_BYTES of text and what of it is on the wire */
static size_t bomb_size;

enum { BOMB_BYTES = 1000000 };

static void pack(const char *text, size_t n, uint8_t **out, size_t *size)
{
    assert_true(deflate_whole((const uint8_t *)text, n, 15, 6, out, size));
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.options.per_message_deflate = true;
    f.options.max_payload_bytes = BOMB_BYTES;
    f.options.message_timeout_ms = 1000;
    f.options.ping_interval_ms = 300;
    f.options.ping_timeout_ms = 200;
    f.echo = false;
    fixture_start(&f);
    f.loop->fake_step_us = 2000; /* a slice is a few looks at the clock, one for each 16 KB */
    char *text = malloc(BOMB_BYTES);
    memset(text, 'x', BOMB_BYTES);
    text[0] = '4';
    pack(text, BOMB_BYTES, &bomb, &bomb_size);
    free(text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    eio__test_fields("");
    fixture_clear(&f);
    free(bomb);
    return 0;
}

static int peer_open_deflate(void)
{
    struct eio__test_reply reply;
    char response[1024];
    int fd;
    eio__test_fields("Sec-WebSocket-Extensions: permessage-deflate\r\n");
    eio__test_upgrade_begin(f.server, "/engine.io/?EIO=4&transport=websocket", &reply, &fd);
    eio__test_fields("");
    turn(&f);
    assert_true(eio__test_take_response(fd, response, sizeof response));
    assert_non_null(strstr(response, "permessage-deflate"));
    assert_memory_equal(peer_read(fd), "1:0{\"sid\":\"", 11);
    return fd;
}

static void send_bomb(int fd)
{
    peer_send(fd, 0xc1, bomb, bomb_size);
}

/* Turns until something is logged. */
static int turns_until_logged(void)
{
    int turns = 0;
    f.log[0] = '\0';
    while (!f.log[0] && turns < 1000) {
        turn(&f);
        turns++;
    }
    assert_true(turns < 1000);
    return turns;
}

static void what_follows_waits_behind_it(void **state)
{
    (void)state;
    int fd = peer_open_deflate();
    send_bomb(fd);
    peer_text(fd, "4after");
    peer_send(fd, 0x89, "p", 1);
    send_bomb(fd);
    peer_send(fd, 0x88, "\x03\xe8", 2);
    assert_true(turns_until_logged() > 5);
    assert_string_equal(f.log, "text:999999\ntext:after\n");
    assert_int_equal(f.closed, 0);
    assert_peer_reads(&f, fd, "10:p\n");
    turns_until_logged();
    assert_string_equal(f.log, "text:999999\n");
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_CLOSE);
    turn(&f);
    assert_string_equal(peer_read(fd), "8:1000\nend\n");
    close(fd);
}

static void others_are_heard_meanwhile(void **state)
{
    (void)state;
    uint8_t *small;
    size_t small_size;
    int fd = peer_open_deflate(), other = peer_open_deflate(), plain = peer_open(&f);
    pack("4aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 32, &small, &small_size);
    send_bomb(fd);
    turn(&f);
    for (int i = 0; i < 5; i++) {
        f.log[0] = '\0';
        peer_send(other, 0xc1, small, small_size);
        peer_text(plain, "4b");
        turn(&f);
        assert_int_equal(strlen(f.log), strlen("text:\n") + 31 + strlen("text:b\n"));
    }
    turns_until_logged();
    assert_string_equal(f.log, "text:999999\n");
    free(small);
    close(fd);
    close(other);
    close(plain);
}

/* The one that came last is not the last by much. */
static void those_that_take_long_share_the_turns(void **state)
{
    (void)state;
    enum { PEERS = 5 };
    int fd[PEERS], first;
    for (int i = 0; i < PEERS; i++) send_bomb(fd[i] = peer_open_deflate());
    first = turns_until_logged();
    assert_true(first > PEERS * 2);
    for (int i = 0; i < first / 2; i++) turn(&f);
    assert_int_equal(strlen(f.log), PEERS * strlen("text:999999\n"));
    for (int i = 0; i < PEERS; i++) close(fd[i]);
}

/* Each is small, but there are many of them in one read. */
static void many_messages_of_one_read_are_sliced_too(void **state)
{
    (void)state;
    enum { COUNT = 100, BYTES = 16000 };
    static char text[BYTES];
    uint8_t *packed;
    size_t size;
    int fd = peer_open_deflate(), turns = 0;
    memset(text, 'y', BYTES);
    text[0] = '4';
    pack(text, BYTES, &packed, &size);
    for (int i = 0; i < COUNT; i++) {
        peer_send(fd, 0xc1, packed, size);
        peer_text(fd, "4z");
    }
    peer_text(fd, "4last");
    for (f.log[0] = '\0'; !strstr(f.log, "last"); turns++) {
        assert_true(turns < 1000);
        turn(&f);
    }
    assert_true(turns > 5);
    const char *at = f.log;
    for (int i = 0; i < COUNT; i++, at += strlen("text:15999\ntext:z\n"))
        assert_memory_equal(at, "text:15999\ntext:z\n", strlen("text:15999\ntext:z\n"));
    assert_string_equal(at, "text:last\n");
    free(packed);
    close(fd);
}

static void the_limit_closes_as_soon_as_it_is_passed(void **state)
{
    (void)state;
    eio_server_free(f.server);
    f.options.max_payload_bytes = BOMB_BYTES / 4;
    fixture_start(&f);
    int fd = peer_open_deflate(), turns = 0;
    send_bomb(fd);
    peer_text(fd, "4after");
    while (!f.closed && turns < 1000) {
        turn(&f);
        turns++;
    }
    assert_true(turns > 2);
    assert_string_equal(f.log, "");
    turn(&f);
    assert_string_equal(peer_read(fd), "8:1009\nend\n");
    close(fd);
}

static void broken_data_far_inside_closes(void **state)
{
    (void)state;
    static char text[BOMB_BYTES];
    uint8_t *packed;
    size_t size;
    int fd = peer_open_deflate(), turns = 0;
    memset(text, 'x', BOMB_BYTES);
    text[0] = '4';
    text[BOMB_BYTES / 2] = '\xff';
    pack(text, BOMB_BYTES, &packed, &size);
    peer_send(fd, 0xc1, packed, size);
    while (!f.closed && turns < 1000) {
        turn(&f);
        turns++;
    }
    assert_true(turns > 2);
    turn(&f);
    assert_string_equal(peer_read(fd), "8:1007\nend\n");
    free(packed);
    close(fd);
}

/* Nothing is read of it: what would end it may be there already. */
static void it_is_not_blamed_for_the_time_it_takes(void **state)
{
    (void)state;
    int fd = peer_open_deflate();
    send_bomb(fd);
    turn(&f);
    assert_int_equal(eio_session_hold(f.session, true), 0); /* that long */
    for (int i = 0; i < 20; i++) eio_loop_advance(f.loop, 300);
    assert_int_equal(f.closed, 0);
    assert_string_equal(f.log, "");
    assert_int_equal(eio_session_hold(f.session, false), 0);
    turns_until_logged();
    assert_string_equal(f.log, "text:999999\n");
    close(fd);
}

static void hold_at_once(struct fixture *fixture, struct eio_session *session)
{
    fixture->on_message = NULL;
    assert_int_equal(eio_session_hold(session, true), 0);
}

static void what_it_leads_to_may_hold_the_session(void **state)
{
    (void)state;
    int fd = peer_open_deflate();
    f.on_message = hold_at_once;
    send_bomb(fd);
    peer_text(fd, "4a");
    send_bomb(fd);
    peer_text(fd, "4b");
    turns_until_logged();
    for (int i = 0; i < 100; i++) turn(&f);
    assert_string_equal(f.log, "text:999999\n");
    assert_int_equal(eio_session_hold(f.session, false), 0);
    for (int i = 0; i < 100; i++) turn(&f);
    assert_string_equal(f.log, "text:999999\ntext:a\ntext:999999\ntext:b\n");
    close(fd);
}

static void abort_at_once(struct fixture *fixture, struct eio_session *session)
{
    (void)fixture;
    eio_session_abort(session, EIO_CLOSE_POLICY, NULL);
}

static void it_may_end_in_the_middle(void **state)
{
    (void)state;
    int fd[4];
    for (int i = 0; i < 4; i++) {
        send_bomb(fd[i] = peer_open_deflate());
        send_bomb(fd[i]);
        turn(&f);
        if (i == 0) eio_session_abort(f.session, EIO_CLOSE_POLICY, NULL);
        if (i == 1) eio_session_close(f.session, EIO_CLOSE_FORCED, NULL);
        if (i == 2) f.on_message = abort_at_once;
        if (i < 3) {
            for (int turns = 0; turns < 300; turns++) turn(&f);
            assert_int_equal(f.closed, i + 1);
            close(fd[i]);
        }
    }
    /* The last one when the server is freed. */
    close(fd[3]);
}

/* A WebSocket that may not even take over. */
static void on_a_probe_it_ends_the_attempt(void **state)
{
    (void)state;
    char sid[21], target[128], response[1024];
    struct eio__test_reply reply;
    int fd, turns = 0;
    poll_open(&f, sid);
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%s", sid);
    eio__test_fields("Sec-WebSocket-Extensions: permessage-deflate\r\n");
    eio__test_upgrade_begin(f.server, target, &reply, &fd);
    eio__test_fields("");
    turn(&f);
    assert_true(eio__test_take_response(fd, response, sizeof response));
    send_bomb(fd);
    turn(&f);
    poll_request(&f, EIO_HTTP_POST, sid, "4meanwhile", &reply);
    assert_replied(reply, 200, "ok");
    assert_string_equal(f.log, "text:meanwhile\n");
    while (!strstr(peer_read(fd), "end") && turns < 1000) {
        turn(&f);
        turns++;
    }
    assert_true(turns > 2 && turns < 1000);
    assert_int_equal(f.closed, 0);
    poll_request(&f, EIO_HTTP_POST, sid, "4b", &reply);
    assert_replied(reply, 200, "ok");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(what_follows_waits_behind_it),
        TEST(others_are_heard_meanwhile),
        TEST(those_that_take_long_share_the_turns),
        TEST(many_messages_of_one_read_are_sliced_too),
        TEST(the_limit_closes_as_soon_as_it_is_passed),
        TEST(broken_data_far_inside_closes),
        TEST(it_is_not_blamed_for_the_time_it_takes),
        TEST(what_it_leads_to_may_hold_the_session),
        TEST(it_may_end_in_the_middle),
        TEST(on_a_probe_it_ends_the_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
