/* Messages that take long to compress: a share of each turn, each peer's in order, and nobody else waits for them. */
#include "eio_fixture.h"

#include "eio_int.h"
#include "packed.h"

#include <sys/socket.h>

static struct fixture f;

enum { LONG_BYTES = 1000000, STEPS = LONG_BYTES / EIO__DEFLATION_STEP_BYTES };

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.options.per_message_deflate = true;
    f.options.max_queue_bytes = 100 * LONG_BYTES;
    f.options.ping_interval_ms = 300;
    f.options.ping_timeout_ms = 200;
    f.echo = false;
    fixture_start(&f);
    f.loop->fake_step_us = 2000; /* a share of a turn is a few looks at the clock, one for each step */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    eio__test_fields("");
    fixture_clear(&f);
    return 0;
}

struct peer {
    int fd;
    struct eio_session *session;
    uint8_t *bytes; /* not yet whole frames */
    size_t size;
    char log[512]; /* of the messages it was sent: '*' compressed, the first byte, the size */
};

static void peer_start(struct peer *peer, const char *offer)
{
    struct eio__test_reply reply;
    char fields[256], response[1024];
    snprintf(fields, sizeof fields, "Sec-WebSocket-Extensions: %s\r\n", offer);
    eio__test_fields(fields);
    eio__test_upgrade_begin(f.server, "/engine.io/?EIO=4&transport=websocket", &reply, &peer->fd);
    eio__test_fields("");
    turn(&f);
    assert_true(eio__test_take_response(peer->fd, response, sizeof response));
    assert_non_null(strstr(response, "permessage-deflate"));
    assert_memory_equal(peer_read(peer->fd), "1:0{\"sid\":\"", 11);
    peer->session = f.session;
    peer->bytes = malloc(10 * LONG_BYTES);
    peer->size = 0;
    peer->log[0] = '\0';
}

static void peer_end(struct peer *peer)
{
    close(peer->fd);
    free(peer->bytes);
}

static void log_message(struct peer *peer, uint8_t first, const uint8_t *p, size_t n)
{
    struct eio__fault fault;
    uint8_t *plain = NULL;
    size_t at = strlen(peer->log);
    if (first == 0x88) {
        strcpy(peer->log + at, "close ");
        return;
    }
    if (first & 0x40) {
        assert_int_equal(inflate_whole(p, n, 2 * LONG_BYTES, &plain, &n, &fault), 0);
        p = plain;
    }
    if (n > 1) snprintf(peer->log + at, sizeof peer->log - at, "%s%c%zu ", plain ? "*" : "", p[1], n - 1);
    free(plain);
}

/* Logs the messages that have come. */
static void peer_look(struct peer *peer)
{
    ssize_t got;
    while ((got = recv(peer->fd, peer->bytes + peer->size, 65536, 0)) > 0) peer->size += (size_t)got;
    for (;;) {
        const uint8_t *p = peer->bytes;
        size_t header = peer->size < 2 ? 2 : p[1] < 126 ? 2 : p[1] == 126 ? 4 : 10;
        if (peer->size < header) return;
        size_t n = p[1];
        if (n == 126) n = (size_t)p[2] << 8 | p[3];
        if (n == 127) n = (size_t)p[6] << 24 | (size_t)p[7] << 16 | (size_t)p[8] << 8 | p[9];
        if (peer->size < header + n) return;
        log_message(peer, p[0], p + header, n);
        peer->size -= header + n;
        memmove(peer->bytes, p + header + n, peer->size);
    }
}

/* Turns until the peer has had so many messages. */
static int turns_until(struct peer *peer, int wanted)
{
    int turns = 0;
    for (;;) {
        int messages = 0;
        for (const char *c = peer->log; *c; c++) messages += *c == ' ';
        if (messages >= wanted) return turns;
        assert_true(turns++ < 2000);
        turn(&f);
        peer_look(peer);
    }
}

/* Text of words that shrinks to about a third. */
static struct eio_frame *text_frame(char first, size_t n)
{
    uint8_t *message;
    uint32_t seed = (uint32_t)first;
    struct eio_frame *frame = eio_frame_new(EIO_TEXT, n, &message);
    assert_non_null(frame);
    for (size_t i = 0; i < n; i++)
        message[i] = (uint8_t)("etaoin shrdlu"[(seed = seed * 1103515245u + 12345u) >> 16 & 7]);
    message[0] = (uint8_t)first;
    return frame;
}

static void send_text(struct peer *peer, char first, size_t n)
{
    struct eio_frame *frame = text_frame(first, n);
    assert_int_equal(eio_session_send(peer->session, frame), 0);
    eio_frame_unref(frame);
}

static void a_long_message_takes_several_turns_and_keeps_its_place(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, "permessage-deflate");
    send_text(&peer, 'a', 100);
    send_text(&peer, 'b', LONG_BYTES);
    send_text(&peer, 'c', 2000);
    send_text(&peer, 'd', LONG_BYTES);
    send_text(&peer, 'e', 100);
    assert_int_equal(turns_until(&peer, 1), 1);
    assert_false(eio_session_is_writable(peer.session));
    assert_true(turns_until(&peer, 3) > STEPS / 5);
    assert_true(turns_until(&peer, 5) > STEPS / 5);
    assert_string_equal(peer.log, "a100 *b1000000 *c2000 *d1000000 e100 ");
    assert_true(eio_session_is_writable(peer.session));
    peer_end(&peer);
}

static void one_copy_serves_all_who_wait(void **state)
{
    (void)state;
    enum { PEERS = 5 };
    struct peer peers[PEERS];
    struct eio_frame *frame = text_frame('a', LONG_BYTES);
    for (int i = 0; i < PEERS; i++) peer_start(&peers[i], "permessage-deflate");
    for (int i = 0; i < PEERS; i++) assert_int_equal(eio_session_send(peers[i].session, frame), 0);
    int turns = turns_until(&peers[0], 1);
    assert_true(turns > STEPS / 5 && turns < STEPS * 2);
    for (int i = 0; i < PEERS; i++) {
        assert_true(turns_until(&peers[i], 1) < 20); /* it is there, and goes as fast as it is read */
        assert_string_equal(peers[i].log, "*a1000000 ");
        peer_end(&peers[i]);
    }
    eio_frame_unref(frame);
}

static void windows_take_turns_and_each_reads_its_own(void **state)
{
    (void)state;
    struct peer wide, narrow;
    struct eio_frame *frame = text_frame('a', LONG_BYTES);
    peer_start(&wide, "permessage-deflate");
    peer_start(&narrow, "permessage-deflate; server_max_window_bits=9");
    for (int i = 0; i < 2; i++) { /* for the second round the copies exist */
        assert_int_equal(eio_session_send(wide.session, frame), 0);
        assert_int_equal(eio_session_send(narrow.session, frame), 0);
        turns_until(&narrow, i + 1);
        turns_until(&wide, i + 1);
    }
    assert_int_equal(frame->deflated_bits, 9);
    assert_string_equal(wide.log, "*a1000000 *a1000000 ");
    assert_string_equal(narrow.log, "*a1000000 *a1000000 ");
    peer_end(&wide);
    peer_end(&narrow);
    eio_frame_unref(frame);
}

static void short_messages_do_not_wait_for_the_long_ones_of_others(void **state)
{
    (void)state;
    enum { PEERS = 5 };
    struct peer peers[PEERS], other;
    peer_start(&other, "permessage-deflate");
    for (int i = 0; i < PEERS; i++) peer_start(&peers[i], "permessage-deflate");
    for (int i = 0; i < PEERS; i++) send_text(&peers[i], (char)('a' + i), LONG_BYTES);
    turn(&f);
    for (int i = 0; i < 5; i++) {
        send_text(&other, 'x', 5000);
        assert_true(turns_until(&other, i + 1) <= 3);
    }
    assert_string_equal(other.log, "*x5000 *x5000 *x5000 *x5000 *x5000 ");
    for (int i = 0; i < PEERS; i++) {
        turns_until(&peers[i], 1);
        peer_end(&peers[i]);
    }
    peer_end(&other);
}

/* Each is compressed in one step, but there are many of them. */
static void many_short_ones_are_sliced_too(void **state)
{
    (void)state;
    enum { PEERS = 40 };
    struct peer peers[PEERS];
    for (int i = 0; i < PEERS; i++) peer_start(&peers[i], "permessage-deflate");
    for (int i = 0; i < PEERS; i++) send_text(&peers[i], 'a', 16000);
    turn(&f);
    int served = 0;
    for (int i = 0; i < PEERS; i++) {
        peer_look(&peers[i]);
        served += peers[i].log[0] != '\0';
    }
    assert_true(served > 0 && served < PEERS / 4);
    for (int i = 0; i < PEERS; i++) {
        turns_until(&peers[i], 1);
        assert_string_equal(peers[i].log, "*a16000 ");
        peer_end(&peers[i]);
    }
}

static void what_does_not_shrink_goes_plain(void **state)
{
    (void)state;
    struct peer peer;
    uint8_t *message;
    uint32_t seed = 1;
    peer_start(&peer, "permessage-deflate");
    struct eio_frame *frame = eio_frame_new(EIO_BINARY, LONG_BYTES, &message);
    for (size_t i = 0; i < LONG_BYTES; i++) message[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
    message[1] = 'n';
    assert_int_equal(eio_session_send(peer.session, frame), 0);
    send_text(&peer, 'z', 10);
    turns_until(&peer, 2);
    assert_string_equal(peer.log, "n999999 z10 ");
    eio_frame_unref(frame);
    peer_end(&peer);
}

static void what_nobody_waits_for_any_more_is_not_compressed(void **state)
{
    (void)state;
    struct peer first, second;
    struct eio_frame *frame = text_frame('a', LONG_BYTES);
    peer_start(&first, "permessage-deflate");
    peer_start(&second, "permessage-deflate");
    assert_int_equal(eio_session_send(first.session, frame), 0);
    assert_int_equal(eio_session_send(second.session, frame), 0);
    turn(&f);
    assert_true(frame->is_deflating);
    shutdown(first.fd, SHUT_RDWR);
    for (int i = 0; i < 3; i++) turn(&f);
    assert_int_equal(f.closed, 1);
    assert_true(frame->is_deflating);
    shutdown(second.fd, SHUT_RDWR);
    for (int i = 0; i < 3; i++) turn(&f);
    assert_false(frame->is_deflating);
    assert_int_equal(frame->refs, 1);
    assert_int_equal(f.closed, 2);
    eio_frame_unref(frame);
    peer_end(&first);
    peer_end(&second);
}

static void a_session_that_closes_sends_it_first(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, "permessage-deflate");
    send_text(&peer, 'a', LONG_BYTES);
    turn(&f);
    eio_session_close(peer.session, EIO_CLOSE_FORCED, NULL);
    turns_until(&peer, 2);
    assert_string_equal(peer.log, "*a1000000 close ");
    assert_int_equal(f.closed, 1);
    peer_end(&peer);
}

/* It may be there already when a ping is due, and the peer has not been sent it. */
static void the_peer_is_not_blamed_for_the_time_it_takes(void **state)
{
    (void)state;
    struct peer peer;
    f.loop->fake_step_us = 5000; /* a step in each turn */
    peer_start(&peer, "permessage-deflate");
    send_text(&peer, 'a', LONG_BYTES);
    for (int i = 0; i < 20; i++) {
        f.loop->now_ms += 200;
        turn(&f);
        peer_look(&peer);
    }
    assert_string_equal(peer.log, "");
    assert_int_equal(f.closed, 0);
    turns_until(&peer, 1);
    assert_string_equal(peer.log, "*a1000000 ");
    peer_end(&peer);
}

static void the_server_may_be_freed_in_the_middle(void **state)
{
    (void)state;
    struct peer peers[3];
    for (int i = 0; i < 3; i++) {
        peer_start(&peers[i], "permessage-deflate");
        send_text(&peers[i], 'a', LONG_BYTES);
    }
    turn(&f);
    for (int i = 0; i < 3; i++) peer_end(&peers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_long_message_takes_several_turns_and_keeps_its_place),
        TEST(one_copy_serves_all_who_wait),
        TEST(windows_take_turns_and_each_reads_its_own),
        TEST(short_messages_do_not_wait_for_the_long_ones_of_others),
        TEST(many_short_ones_are_sliced_too),
        TEST(what_does_not_shrink_goes_plain),
        TEST(what_nobody_waits_for_any_more_is_not_compressed),
        TEST(a_session_that_closes_sends_it_first),
        TEST(the_peer_is_not_blamed_for_the_time_it_takes),
        TEST(the_server_may_be_freed_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
