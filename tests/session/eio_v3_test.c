/* Engine.IO 3 (Socket.IO 2 clients), behind allow_eio3: handshakes, both payload codecs, heartbeat, upgrade. */
#include "eio_fixture.h"

#include "eio_int.h"

static struct fixture f;
static char sid[21];

static const char *target(const char *more)
{
    static char text[256];
    snprintf(text, sizeof text, "/engine.io/?EIO=3&transport=polling&sid=%s%s", sid, more);
    return text;
}

static void request(enum eio_http_method method, const char *body, struct eio__test_reply *reply)
{
    eio__test_request(f.server, method, target(""), body, reply);
    turn(&f);
}

/* The handshake's payload is "<length>:0{…}" and nothing else. */
static void open3(const char *more)
{
    char text[128];
    struct eio__test_reply reply;
    snprintf(text, sizeof text, "/engine.io/?EIO=3&transport=polling%s", more);
    eio__test_request(f.server, EIO_HTTP_GET, text, NULL, &reply);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.type, "text/plain; charset=UTF-8");
    char *packet = strchr(reply.body, ':');
    assert_non_null(packet);
    assert_int_equal(atoi(reply.body), strlen(packet + 1));
    assert_memory_equal(packet + 1, "0{\"sid\":\"", 9);
    memcpy(sid, packet + 10, 20);
    sid[20] = '\0';
    free(reply.body);
    assert_int_equal(eio_session_protocol(f.session), 3);
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.options.allow_eio3 = true;
    f.options.ping_interval_ms = 300;
    f.options.ping_timeout_ms = 200;
    fixture_start(&f);
    open3("");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    eio__test_fields("");
    fixture_clear(&f);
    return 0;
}

static void any_other_value_of_EIO_is_version_3(void **state)
{
    (void)state;
    static const char *const targets[] = {"/engine.io/?transport=polling", "/engine.io/?EIO=5&transport=polling",
                                          "/engine.io/?EIO=&transport=polling", "/engine.io/?EIO=44&transport=polling"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        struct eio__test_reply reply;
        eio__test_request(f.server, EIO_HTTP_GET, targets[i], NULL, &reply);
        assert_int_equal(reply.status, 200);
        assert_int_equal(eio_session_protocol(f.session), 3);
        free(reply.body);
    }
    char id[21];
    poll_open(&f, id); /* and clients of version 4 are served beside */
    assert_int_equal(eio_session_protocol(f.session), 4);
}

static void the_other_version_may_not_speak_for_a_session(void **state)
{
    (void)state;
    struct eio__test_reply reply;
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &reply);
    assert_replied(reply, 400, "{\"code\":3,\"message\":\"Bad request\"}");
    assert_int_equal(f.closed, 0);
}

static void text_travels_with_lengths_in_utf16_units(void **state)
{
    (void)state;
    struct eio__test_reply post, get;
    request(EIO_HTTP_POST, "6:4hello3:4\xf0\x9f\x98\x80", &post);
    assert_replied(post, 200, "ok");
    request(EIO_HTTP_GET, NULL, &get);
    assert_string_equal(get.type, "text/plain; charset=UTF-8");
    assert_replied(get, 200, "6:4hello3:4\xf0\x9f\x98\x80");
}

static void binary_makes_the_payload_binary(void **state)
{
    (void)state;
    static const char body[] = "\x00\x02\xff"
                               "4x\x01\x03\xff\x04\x00\xff";
    struct eio__test_reply post, get;
    eio__test_fields("Content-Type: application/octet-stream\r\n");
    eio__test_post(f.server, target(""), body, sizeof body - 1, &post);
    eio__test_fields("");
    assert_replied(post, 200, "ok");
    assert_string_equal(f.log, "text:x\nbinary:2\n");
    request(EIO_HTTP_GET, NULL, &get);
    assert_string_equal(get.type, "application/octet-stream");
    assert_int_equal(get.body_size, sizeof body - 1);
    assert_memory_equal(get.body, body, sizeof body - 1);
    free(get.body);
}

static void a_client_that_said_b64_gets_base64(void **state)
{
    (void)state;
    struct eio__test_reply post, get;
    open3("&b64=1");
    request(EIO_HTTP_POST, "2:4x6:b4AP8=", &post);
    assert_replied(post, 200, "ok");
    assert_string_equal(f.log, "text:x\nbinary:2\n");
    request(EIO_HTTP_GET, NULL, &get);
    assert_string_equal(get.type, "text/plain; charset=UTF-8");
    assert_replied(get, 200, "2:4x6:b4AP8=");
}

static void a_broken_payload_gets_400_and_the_session_closes(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "4hello", "7:4hello", "2:9x", ":", "2:4a\x1e", "1:\xff"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct eio__test_reply post;
        int closed = f.closed;
        open3("");
        request(EIO_HTTP_POST, bodies[i], &post);
        assert_int_equal(post.status, 400);
        assert_string_equal(post.body, f.detail);
        free(post.body);
        assert_int_equal(f.closed, closed + 1);
        assert_int_equal(f.reason, EIO_CLOSE_PARSE_ERROR);
    }
}

/* --------------------------------------------------------------- heartbeat */

static void the_client_pings_and_the_server_answers(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct eio__test_reply get, post;
        request(EIO_HTTP_GET, NULL, &get);
        eio_loop_advance(f.loop, 300);
        assert_false(get.answered); /* the server does not ping */
        request(EIO_HTTP_POST, "1:2", &post);
        assert_replied(post, 200, "ok");
        assert_replied(get, 200, "1:3");
    }
    assert_int_equal(f.closed, 0);
}

static void without_a_ping_the_session_ends_after_interval_and_timeout(void **state)
{
    (void)state;
    struct eio__test_reply post;
    eio_loop_advance(f.loop, 400);
    request(EIO_HTTP_POST, "2:4x", &post); /* a message is no ping */
    assert_replied(post, 200, "ok");
    eio_loop_advance(f.loop, 99);
    assert_int_equal(f.closed, 0);
    eio_loop_advance(f.loop, 1);
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_PING_TIMEOUT);
}

static void a_pong_from_the_client_is_the_wrong_direction(void **state)
{
    (void)state;
    struct eio__test_reply post;
    request(EIO_HTTP_POST, "1:3", &post);
    assert_replied(post, 200, "ok");
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.reason, EIO_CLOSE_TRANSPORT_ERROR);
}

static void closing_is_said_in_a_payload_of_version_3(void **state)
{
    (void)state;
    struct eio__test_reply get;
    request(EIO_HTTP_GET, NULL, &get);
    eio_session_close(f.session, EIO_CLOSE_FORCED, NULL);
    turn(&f);
    assert_replied(get, 200, "1:1");
    assert_int_equal(f.closed, 1);
}

/* --------------------------------------------------------------- WebSocket */

static int open_websocket(const char *more)
{
    char text[128];
    int fd;
    snprintf(text, sizeof text, "/engine.io/?EIO=3&transport=websocket%s", more);
    assert_int_equal(eio__test_upgrade(f.server, text, &fd), 0);
    assert_memory_equal(peer_read(fd), "1:0{\"sid\":\"", 11);
    return fd;
}

static void websocket_messages_carry_their_type(void **state)
{
    (void)state;
    int fd = open_websocket("");
    uint8_t wire[16];
    peer_text(fd, "4hi");
    assert_peer_reads(&f, fd, "1:4hi\n");
    peer_send(fd, 0x82, "\x04\x01\x02", 3);
    turn(&f);
    assert_string_equal(f.log, "text:hi\nbinary:2\n");
    assert_int_equal(recv(fd, wire, sizeof wire, 0), 5);
    assert_memory_equal(wire, "\x82\x03\x04\x01\x02", 5);
    peer_text(fd, "2");
    assert_peer_reads(&f, fd, "1:3\n");
    peer_text(fd, "b4AP8=");
    turn(&f);
    assert_int_equal(recv(fd, wire, sizeof wire, 0), 5);
    assert_memory_equal(wire, "\x82\x03\x04\x00\xff", 5);
    close(fd);
}

static void base64_over_websocket_for_who_asked_for_it(void **state)
{
    (void)state;
    int fd = open_websocket("&b64=1");
    peer_send(fd, 0x82, "\x04\x00\xff", 3);
    assert_peer_reads(&f, fd, "1:b4AP8=\n");
    close(fd);
}

static void broadcasts_reach_both_versions(void **state)
{
    (void)state;
    int old = open_websocket("");
    struct eio_session *old_session = f.session;
    int new = peer_open(&f);
    uint8_t *message, wire[16];
    struct eio_frame *binary = eio_frame_new(EIO_BINARY, 2, &message);
    memcpy(message, "\1\2", 2);
    struct eio_batch *batch = eio_batch_new();
    assert_int_equal(eio_batch_add(batch, binary), 0);
    assert_int_equal(eio_session_send_batch(old_session, batch), 0);
    assert_int_equal(eio_session_send_batch(f.session, batch), 0);
    turn(&f);
    assert_int_equal(recv(old, wire, sizeof wire, 0), 5);
    assert_memory_equal(wire, "\x82\x03\x04\x01\x02", 5);
    assert_int_equal(recv(new, wire, sizeof wire, 0), 4);
    assert_memory_equal(wire, "\x82\x02\x01\x02", 4);
    eio_batch_free(batch);
    eio_frame_unref(binary);
    close(old);
    close(new);
}

static void unknown_packets_over_websocket_close_it(void **state)
{
    (void)state;
    static const struct {
        uint8_t first;
        const char *payload;
        size_t n;
    } cases[] = {{0x81, "7", 1}, {0x81, "", 0}, {0x82, "", 0}, {0x82, "4x", 2}, {0x81, "b!4", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = open_websocket(""), closed = f.closed;
        peer_send(fd, cases[i].first, cases[i].payload, cases[i].n);
        turn(&f);
        assert_int_equal(f.closed, closed + 1);
        assert_int_equal(f.reason, EIO_CLOSE_PARSE_ERROR);
        close(fd);
    }
}

/* Edge case 69. */
static void an_upgrade_moves_the_session(void **state)
{
    (void)state;
    char text[128];
    int fd;
    struct eio__test_reply get;
    request(EIO_HTTP_GET, NULL, &get);
    snprintf(text, sizeof text, "/engine.io/?EIO=3&transport=websocket&sid=%s", sid);
    assert_int_equal(eio__test_upgrade(f.server, text, &fd), 0);
    peer_text(fd, "2probe");
    assert_peer_reads(&f, fd, "1:3probe\n");
    assert_replied(get, 200, "1:6");
    peer_text(fd, "5");
    peer_text(fd, "4after");
    assert_peer_reads(&f, fd, "1:4after\n");
    peer_text(fd, "2probe"); /* on an open session it is a ping as any other */
    assert_peer_reads(&f, fd, "1:3\n");
    assert_int_equal(f.closed, 0);
    close(fd);
}

static void without_the_option_version_3_is_refused(void **state)
{
    (void)state;
    fixture_clear(&f);
    fixture_init(&f);
    fixture_start(&f);
    struct eio__test_reply reply;
    int fd;
    eio__test_request(f.server, EIO_HTTP_GET, "/engine.io/?EIO=3&transport=polling", NULL, &reply);
    assert_replied(reply, 400, "{\"code\":5,\"message\":\"Unsupported protocol version\"}");
    assert_int_equal(eio__test_upgrade(f.server, "/engine.io/?EIO=3&transport=websocket", &fd), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(any_other_value_of_EIO_is_version_3),
        TEST(the_other_version_may_not_speak_for_a_session),
        TEST(text_travels_with_lengths_in_utf16_units),
        TEST(binary_makes_the_payload_binary),
        TEST(a_client_that_said_b64_gets_base64),
        TEST(a_broken_payload_gets_400_and_the_session_closes),
        TEST(the_client_pings_and_the_server_answers),
        TEST(without_a_ping_the_session_ends_after_interval_and_timeout),
        TEST(a_pong_from_the_client_is_the_wrong_direction),
        TEST(closing_is_said_in_a_payload_of_version_3),
        TEST(websocket_messages_carry_their_type),
        TEST(base64_over_websocket_for_who_asked_for_it),
        TEST(broadcasts_reach_both_versions),
        TEST(unknown_packets_over_websocket_close_it),
        TEST(an_upgrade_moves_the_session),
        TEST(without_the_option_version_3_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
