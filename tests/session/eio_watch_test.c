/* Watching what sessions do: the events of the reference's conn (E27), and closing from inside each. */
#include "eio_fixture.h"

#include "eio_int.h"

static struct fixture f;
static char seen[4096];
static const char *close_at; /* the event that closes the session */

static void see(struct eio_session *session, const char *what, char type, const uint8_t *data, size_t size)
{
    size_t used = strlen(seen);
    if (type)
        snprintf(seen + used, sizeof seen - used, "%s %c%.*s\n", what, type, size < 20 ? (int)size : 20,
                 (const char *)data);
    else
        snprintf(seen + used, sizeof seen - used, "%s\n", what);
    if (close_at && strcmp(what, close_at) == 0) eio_session_abort(session, EIO_CLOSE_FORCED, "seen enough");
}

static void on_packet(struct eio_session *session, char type, enum eio_kind kind, const uint8_t *data, size_t size,
                      void *ctx)
{
    (void)kind;
    assert_ptr_equal(ctx, &f);
    see(session, "packet", type, data, size);
}

static void on_packet_create(struct eio_session *session, char type, enum eio_kind kind, const uint8_t *data,
                             size_t size, void *ctx)
{
    (void)ctx;
    see(session, kind == EIO_TEXT ? "create" : "create binary", type, data, size);
}

static void on_flush(struct eio_session *session, void *ctx)
{
    (void)ctx;
    see(session, "flush", 0, NULL, 0);
}

static void on_drain(struct eio_session *session, void *ctx)
{
    (void)ctx;
    see(session, "drain", 0, NULL, 0);
}

static void on_heartbeat(struct eio_session *session, void *ctx)
{
    (void)ctx;
    see(session, "heartbeat", 0, NULL, 0);
}

static void on_upgrading(struct eio_session *session, void *ctx)
{
    (void)ctx;
    see(session, "upgrading", 0, NULL, 0);
}

static void on_upgrade(struct eio_session *session, void *ctx)
{
    (void)ctx;
    see(session, "upgrade", 0, NULL, 0);
}

static const struct eio_watch everything = {on_packet,    on_packet_create, on_flush,  on_drain,
                                            on_heartbeat, on_upgrading,     on_upgrade};

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.options.allow_eio3 = true;
    fixture_start(&f);
    assert_int_equal(eio_server_watch(f.server, &everything, &f), 0);
    seen[0] = '\0';
    close_at = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_clear(&f);
    return 0;
}

#define assert_seen(expected)                \
    do {                                     \
        assert_string_equal(seen, expected); \
        seen[0] = '\0';                      \
    } while (0)

static void a_websocket_s_packets_are_seen_in_order(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    assert_seen("flush\ndrain\n");
    peer_text(fd, "4one");
    peer_send(fd, 0x82, "two", 3);
    assert_peer_reads(&f, fd, "1:4one\n2:two\n");
    assert_seen("packet 4one\npacket 4two\ncreate 4one\ncreate binary 4two\nflush\ndrain\n");
    eio_loop_advance(f.loop, 25000);
    assert_seen("create 2\nflush\ndrain\n");
    peer_text(fd, "3");
    turn(&f);
    assert_seen("packet 3\nheartbeat\n");
    close(fd);
}

static void what_is_sent_in_any_way_is_seen(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    uint8_t *out;
    struct eio_frame *frame = eio_frame_new(EIO_TEXT, 1, &out);
    struct eio_batch *batch = eio_batch_new();
    *out = 'f';
    eio_batch_add(batch, frame);
    eio_batch_add(batch, frame);
    seen[0] = '\0';
    eio_session_send(f.session, frame);
    uint8_t *late = eio_session_reserve(f.session, EIO_TEXT, 1);
    *late = 'r';
    eio_session_send_batch(f.session, batch);
    assert_seen("");
    peer_read(fd);
    assert_peer_reads(&f, fd, "1:4f\n1:4r\n1:4f\n1:4f\n");
    assert_seen("create 4f\ncreate 4r\ncreate 4f\ncreate 4f\nflush\ndrain\n");
    eio_frame_unref(frame);
    eio_batch_free(batch);
    close(fd);
}

static void polling_and_the_upgrade_are_seen(void **state)
{
    (void)state;
    struct eio__test_reply get, post;
    char sid[21], target[128];
    int fd;
    poll_open(&f, sid);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    poll_request(&f, EIO_HTTP_POST, sid, "4hi", &post);
    assert_replied(post, 200, "ok");
    assert_replied(get, 200, "4hi");
    assert_seen("packet 4hi\ncreate 4hi\nflush\ndrain\n");
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%s", sid);
    assert_int_equal(eio__test_upgrade(f.server, target, &fd), 0);
    assert_seen("");
    peer_text(fd, "2probe");
    assert_peer_reads(&f, fd, "1:3probe\n");
    assert_seen("upgrading\n");
    peer_text(fd, "5");
    turn(&f);
    assert_seen("upgrade\n");
    close(fd);
}

static void a_ping_of_engine_io_3_is_a_heartbeat(void **state)
{
    (void)state;
    int fd;
    assert_non_null(eio__test_websocket_of(f.server, 3, &fd));
    turn(&f);
    peer_read(fd);
    seen[0] = '\0';
    peer_text(fd, "2");
    assert_peer_reads(&f, fd, "1:3\n");
    assert_seen("packet 2\nheartbeat\ncreate 3\nflush\ndrain\n");
    close(fd);
}

/* Not drained: the socket took less than there was. */
static void a_full_socket_is_not_drained(void **state)
{
    (void)state;
    int fd = peer_open(&f), small = 4096;
    setsockopt(f.session->transport->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    seen[0] = '\0';
    uint8_t *out = eio_session_reserve(f.session, EIO_BINARY, 300000);
    memset(out, 'x', 300000);
    turn(&f);
    assert_null(strstr(seen, "drain"));
    static char bytes[65536];
    for (int quiet = 0; quiet < 5; turn(&f)) quiet = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0 ? 0 : quiet + 1;
    assert_non_null(strstr(seen, "drain\n"));
    close(fd);
}

static void talk(void)
{
    struct eio__test_reply get, post;
    char sid[21], target[128];
    int fd = peer_open(&f), other;
    if (f.session) peer_text(fd, "4x");
    turn(&f);
    eio_loop_advance(f.loop, 25000);
    if (f.session) peer_text(fd, "3");
    turn(&f);
    poll_open(&f, sid);
    poll_request(&f, EIO_HTTP_GET, sid, NULL, &get);
    if (!get.answered) poll_request(&f, EIO_HTTP_POST, sid, "4hi", &post);
    if (!get.answered) eio__test_abort(&get);
    free(get.body);
    if (post.answered) free(post.body);
    poll_open(&f, sid);
    snprintf(target, sizeof target, "/engine.io/?EIO=4&transport=websocket&sid=%s", sid);
    if (eio__test_upgrade(f.server, target, &other) == 0) {
        peer_text(other, "2probe");
        turn(&f);
        send(other,
             "\x81\x81\0\0\0\0"
             "5",
             7, MSG_NOSIGNAL);
        turn(&f);
        send(other,
             "\x81\x82\0\0\0\0"
             "4y",
             8, MSG_NOSIGNAL);
        turn(&f);
        close(other);
    }
    close(fd);
    turn(&f);
    assert_int_equal(f.opened, 3);
}

static void each_of_them_may_close_the_session(void **state)
{
    (void)state;
    static const char *const events[] = {"packet", "create", "flush", "drain", "heartbeat", "upgrading", "upgrade"};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        teardown(NULL);
        setup(NULL);
        close_at = events[i];
        if (strcmp(events[i], "flush") == 0 || strcmp(events[i], "drain") == 0) {
            int fd; /* what carries the open packet is one already */
            assert_non_null(eio__test_websocket(f.server, &fd));
            turn(&f);
            close(fd);
        } else {
            talk();
        }
        assert_non_null(strstr(seen, events[i]));
        assert_true(f.closed > 0);
    }
}

static void nobody_is_told_after_he_stopped_watching(void **state)
{
    (void)state;
    int fd = peer_open(&f);
    seen[0] = '\0';
    peer_text(fd, "4x");
    f.echo = true;
    assert_int_equal(eio_server_watch(f.server, NULL, NULL), 0);
    assert_peer_reads(&f, fd, "1:4x\n");
    assert_seen("");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_websocket_s_packets_are_seen_in_order),
        TEST(what_is_sent_in_any_way_is_seen),
        TEST(polling_and_the_upgrade_are_seen),
        TEST(a_ping_of_engine_io_3_is_a_heartbeat),
        TEST(a_full_socket_is_not_drained),
        TEST(each_of_them_may_close_the_session),
        TEST(nobody_is_told_after_he_stopped_watching),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
