/* Conversations over a WebSocket: messages, closing from either side, errors, and callbacks that close. */
#include "eio_fixture.h"

#include "eio_int.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    fixture_start(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_clear(&f);
    return 0;
}

static void messages_are_echoed_in_order_and_in_one_go(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    peer_text(fd, "4one");
    peer_text(fd, "4two");
    peer_send(fd, 0x82, "\1\2\3", 3);
    struct eio_server_stats before, after;
    eio_server_get_stats(f.server, &before);
    assert_peer_reads(&f, fd, "1:4one\n1:4two\n2:\1\2\3\n");
    eio_server_get_stats(f.server, &after);
    assert_int_equal(after.writes - before.writes, 1);
    assert_int_equal(after.messages_in - before.messages_in, 3);
    assert_int_equal(after.messages_out - before.messages_out, 3);
    assert_int_equal(after.queued_bytes, 0);
    assert_string_equal(f.log, "text:one\ntext:two\nbinary:3\n");
    close(fd);
}

/* RFC 6455, section 5.5.2. */
static void a_ping_frame_is_answered_by_a_pong_with_its_payload(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    peer_send(fd, 0x89, "hello", 5);
    assert_peer_reads(&f, fd, "10:hello\n");
    close(fd);
}

/* RFC 6455, section 7.1.1: the server ends the connection first. */
static void a_close_frame_is_answered_and_the_connection_ends(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    peer_send(fd, 0x88, "\x03\xe8", 2);
    assert_peer_reads(&f, fd, "8:1000\nend\n");
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_CLOSE);
    close(fd);
    turn(&f);
    assert_int_equal(eio_server_session_count(f.server), 0);
}

static void the_end_of_the_connection_is_a_transport_close(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    close(fd);
    turn(&f);
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_CLOSE);
}

/* RFC 6455, section 5.1. */
static void an_unmasked_frame_closes_with_1002(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    assert_int_equal(send(fd,
                          "\x81\x02"
                          "4a",
                          4, 0),
                     4);
    assert_peer_reads(&f, fd, "8:1002\nend\n");
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_ERROR);
    close(fd);
}

static void a_message_above_max_payload_closes_with_1009(void **state)
{
    (void)state;
    fixture_clear(&f);
    fixture_init(&f);
    f.options.max_payload_bytes = 10;
    fixture_start(&f);
    int fd = peer_open(&f);
    peer_text(fd, "4123456789");
    assert_peer_reads(&f, fd, "1:4123456789\n");
    peer_text(fd, "41234567890");
    assert_peer_reads(&f, fd, "8:1009\nend\n");
    assert_string_equal(f.log, "text:123456789\n");
    close(fd);
}

static void an_unknown_packet_type_is_a_parse_error(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    peer_text(fd, "7");
    assert_peer_reads(&f, fd, "8:\n");
    assert_int_equal(f.reason, EIO_CLOSE_PARSE_ERROR);
    close(fd);
}

/* Edge case 27. */
static void an_empty_text_frame_is_a_parse_error(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    peer_text(fd, "");
    turn(&f);
    assert_int_equal(f.reason, EIO_CLOSE_PARSE_ERROR);
    close(fd);
}

/* Edge case 26: at once, not at the ping timeout. */
static void the_close_packet_closes_at_once(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    peer_text(fd, "1");
    turn(&f);
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_CLOSE);
    close(fd);
}

/* Edge cases 15 and 16. */
static void a_ping_packet_closes_and_other_packets_are_ignored(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    peer_text(fd, "0");
    peer_text(fd, "5");
    peer_text(fd, "6");
    peer_text(fd, "3");
    assert_peer_reads(&f, fd, "");
    assert_int_equal(f.closed, 0);
    peer_text(fd, "2");
    turn(&f);
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_ERROR);
    close(fd);
}

/* Edge case 44. */
static void base64_in_a_text_frame_is_a_binary_message(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    peer_text(fd, "bAQID");
    assert_peer_reads(&f, fd, "2:\1\2\3\n");
    peer_text(fd, "bAQ\x1eID\n"); /* a separator only in payloads */
    assert_peer_reads(&f, fd, "2:\1\2\3\n");
    close(fd);
}

static void close_sends_what_is_queued_then_a_close_frame(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    uint8_t *out = eio_session_reserve(f.session, EIO_TEXT, 4);
    memcpy(out, "last", 4);
    eio_session_close(f.session, EIO_CLOSE_FORCED, NULL);
    assert_null(eio_session_reserve(f.session, EIO_TEXT, 1));
    assert_int_equal(f.closed, 0);
    assert_peer_reads(&f, fd, "1:4last\n8:\n");
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_FORCED);
    /* The peer's close frame ends it. */
    peer_send(fd, 0x88, "", 0);
    assert_peer_reads(&f, fd, "end\n");
    close(fd);
}

static void a_peer_that_never_answers_a_close_frame_is_cut_after_the_linger_time(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    eio_session_close(f.session, EIO_CLOSE_FORCED, NULL);
    assert_peer_reads(&f, fd, "8:\n");
    eio_loop_advance(f.loop, 1999);
    assert_string_equal(peer_read(fd), "");
    eio_loop_advance(f.loop, 2);
    assert_string_equal(peer_read(fd), "end\n");
    close(fd);
}

static void abort_in_message(struct fixture *fixture, struct eio_session *session)
{
    (void)fixture;
    eio_session_abort(session, EIO_CLOSE_PARSE_ERROR, "the test says so");
}

static void a_session_aborted_from_its_message_handler_hears_no_more(void **state)
{
    (void)state;
    f.on_message = abort_in_message;
    int fd = peer_open(&f);
    peer_text(fd, "4a");
    peer_text(fd, "4b");
    turn(&f);
    assert_string_equal(f.log, "text:a\n");
    assert_int_equal(f.closed, 1);
    assert_string_equal(f.detail, "the test says so");
    close(fd);
}

static void close_in_message(struct fixture *fixture, struct eio_session *session)
{
    (void)fixture;
    eio_session_close(session, EIO_CLOSE_FORCED, NULL);
}

static void a_session_closed_from_its_message_handler_hears_no_more(void **state)
{
    (void)state;
    f.on_message = close_in_message;
    int fd = peer_open(&f);
    peer_text(fd, "4a");
    peer_text(fd, "4b");
    turn(&f);
    assert_string_equal(f.log, "text:a\n");
    assert_int_equal(f.closed, 1);
    close(fd);
}

static void close_again(struct fixture *fixture, struct eio_session *session)
{
    (void)fixture;
    eio_session_close(session, EIO_CLOSE_FORCED, NULL);
    eio_session_abort(session, EIO_CLOSE_FORCED, NULL);
    assert_null(eio_session_reserve(session, EIO_TEXT, 1));
}

static void on_close_fires_once_even_if_it_closes(void **state)
{
    (void)state;
    f.on_close = close_again;
    int fd = peer_open(&f);
    peer_send(fd, 0x88, "", 0);
    turn(&f);
    assert_int_equal(f.closed, 1);
    close(fd);
}

/* A frame in the middle of which the read ends is kept, whatever the cut. */
static void a_message_cut_anywhere_arrives_whole(void **state)
{
    (void)state;
    static const uint8_t wire[] = {0x81, 0x86, 1, 2, 3, 4, '4' ^ 1, 'h' ^ 2, 'e' ^ 3, 'l' ^ 4, 'l' ^ 1, 'o' ^ 2};
    for (size_t cut = 1; cut < sizeof wire; cut++) {
        int fd = peer_open(&f);
        assert_int_equal(send(fd, wire, cut, 0), cut);
        assert_peer_reads(&f, fd, "");
        assert_int_equal(send(fd, wire + cut, sizeof wire - cut, 0), sizeof wire - cut);
        assert_peer_reads(&f, fd, "1:4hello\n");
        close(fd);
        turn(&f);
    }
}

static void bare_websockets_carry_messages_as_they_are(void **state)
{
    (void)state;
    uint8_t *message;
    struct eio_frame *frame = eio_frame_new(EIO_TEXT, 2, &message);
    memcpy(message, "hi", 2);
    int fd = peer_open(&f);
    assert_int_equal(eio_session_send(f.session, frame), 0);
    assert_peer_reads(&f, fd, "1:4hi\n");
    eio_frame_unref(frame);
    close(fd);
}

static void keep_error(enum eio_log_level level, const char *line, void *ctx)
{
    if (level == EIO_LOG_ERROR) snprintf(ctx, 256, "%s", line);
}

/* The kernel refuses to wait for a descriptor (of a file, here): nothing would be heard of that peer any more. */
static void a_descriptor_that_cannot_be_waited_for_closes_the_session(void **state)
{
    (void)state;
    char line[256] = "";
    int fd = peer_open(&f);
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_true(dup2(fileno(file), f.session->transport->fd) >= 0);
    fclose(file);
    eio_log_set(keep_error, line, EIO_LOG_ERROR);
    f.session->transport->blocked = true;
    f.session->transport->ops->on_held(f.session->transport);
    turn(&f);
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
    assert_non_null(strstr(line, "cannot register the descriptor with the event loop"));
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_ERROR);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(messages_are_echoed_in_order_and_in_one_go),
        TEST(a_ping_frame_is_answered_by_a_pong_with_its_payload),
        TEST(a_close_frame_is_answered_and_the_connection_ends),
        TEST(the_end_of_the_connection_is_a_transport_close),
        TEST(an_unmasked_frame_closes_with_1002),
        TEST(a_message_above_max_payload_closes_with_1009),
        TEST(an_unknown_packet_type_is_a_parse_error),
        TEST(an_empty_text_frame_is_a_parse_error),
        TEST(the_close_packet_closes_at_once),
        TEST(a_ping_packet_closes_and_other_packets_are_ignored),
        TEST(base64_in_a_text_frame_is_a_binary_message),
        TEST(close_sends_what_is_queued_then_a_close_frame),
        TEST(a_peer_that_never_answers_a_close_frame_is_cut_after_the_linger_time),
        TEST(a_session_aborted_from_its_message_handler_hears_no_more),
        TEST(a_session_closed_from_its_message_handler_hears_no_more),
        TEST(on_close_fires_once_even_if_it_closes),
        TEST(a_message_cut_anywhere_arrives_whole),
        TEST(bare_websockets_carry_messages_as_they_are),
        TEST(a_descriptor_that_cannot_be_waited_for_closes_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
