/* Conversations over real sockets in which one allocation of this library fails, for every allocation there is: no
 * crash, no leak, on_close once for every on_open, counters back at 0. Linked with --wrap=malloc and its kin. */
#include "eio_fixture.h"
#include "failing_malloc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

enum { TURNS = 6 };

/* ------------------------------------------------------------------ server */

static int opened, closed;
static uint16_t port;
static struct eio_loop *loop;
static struct eio_batch *batch;

static void on_open(struct eio_session *session, void *ctx)
{
    (void)ctx;
    opened++;
    eio_session_set_data(session, &opened);
}

/* Answers in all ways there are: a frame, reserved bytes, and a batch from the hook. */
static void on_message(struct eio_session *session, const struct eio_message *message, void *ctx)
{
    enum eio_kind kind = message->kind;
    size_t n = message->size;
    (void)ctx;
    uint8_t *out;
    struct eio_frame *frame = eio_frame_new(kind, n, &out);
    if (frame) {
        if (n) memcpy(out, message->bytes, n);
        eio_session_send(session, frame);
        if (batch) eio_batch_add(batch, frame);
        if (batch) eio_batch_add(batch, frame);
        eio_frame_unref(frame);
    }
    out = eio_session_reserve(session, kind, n + 5000);
    if (out) memset(out, 'r', n + 5000);
    out = eio_session_reserve(session, kind, n + 1);
    if (out) memset(out, 'r', n + 1);
    if (batch && eio_batch_count(batch)) {
        eio_session_send_batch(session, batch);
        eio_batch_clear(batch);
    }
    if (n == 4 && memcmp(message->bytes, "quit", 4) == 0) eio_session_close(session, EIO_CLOSE_FORCED, NULL);
}

static void on_close(struct eio_session *session, enum eio_close_reason reason, const char *detail, void *ctx)
{
    (void)ctx;
    (void)reason;
    assert_non_null(detail);
    assert_ptr_equal(eio_session_data(session), &opened); /* never for a session that was not opened */
    closed++;
}

/* ------------------------------------------------------------------ client */

static char answer[65536];

static int client_connect(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1; /* small writes must not wait for acknowledgements: the turns do not */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS);
    return fd;
}

/* Writes, lets the server work, and reads what came. */
static const char *client_ask(int fd, const void *bytes, size_t n)
{
    if (n) (void)!send(fd, bytes, n, MSG_NOSIGNAL);
    size_t used = 0;
    for (int i = 0; i < TURNS; i++) {
        eio_loop_turn(loop, 0);
        ssize_t got = recv(fd, answer + used, sizeof answer - 1 - used, 0);
        if (got > 0) used += (size_t)got;
    }
    answer[used] = '\0';
    return answer;
}

static const char *client_get(int fd, const char *query, const char *fields)
{
    char text[512];
    int n =
        snprintf(text, sizeof text, "GET /engine.io/?EIO=4&%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", query, fields);
    return client_ask(fd, text, (size_t)n);
}

static void client_frame(int fd, uint8_t first, const char *payload)
{
    uint8_t wire[256] = {first, (uint8_t)(0x80 | strlen(payload))};
    memcpy(wire + 6, payload, strlen(payload)); /* a mask of zeros */
    client_ask(fd, wire, 6 + strlen(payload));
}

static const char upgrade[] = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

static void talk_websocket(const char *extensions)
{
    char fields[512];
    int fd = client_connect();
    snprintf(fields, sizeof fields, "%s%s", upgrade, extensions);
    client_get(fd, "transport=websocket", fields);
    client_frame(fd, 0x81, "4hello");
    client_frame(fd, 0x01, "4fragm");
    client_frame(fd, 0x80, "ented");
    client_frame(fd, 0x82, "binary");
    client_ask(fd, "\x82", 1);
    client_ask(fd, "\x81\0\0\0\0x", 6);
    client_frame(fd, 0x89, "ping");
    eio_loop_advance(loop, 25000);
    client_frame(fd, 0x81, "3");
    client_frame(fd, 0x81, "4quit");
    client_frame(fd, 0x88, "");
    close(fd);
}

static void talk_polling(void)
{
    static const char post[] = "POST /engine.io/?EIO=4&transport=polling&sid=%.20s HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Length: 16\r\n\r\n4hello\x1e"
                               "bQUJDRA==";
    char query[96], text[512];
    int fd = client_connect();
    const char *open = strstr(client_get(fd, "transport=polling", ""), "{\"sid\":\"");
    if (open) {
        char sid[21] = "";
        memcpy(sid, open + 8, 20);
        int n = snprintf(text, sizeof text, post, sid);
        client_ask(fd, text, (size_t)n);
        snprintf(query, sizeof query, "transport=polling&sid=%s", sid);
        client_get(fd, query, "");
        client_get(fd, query, "");
        int websocket = client_connect();
        snprintf(query, sizeof query, "transport=websocket&sid=%s", sid);
        client_get(websocket, query, upgrade);
        client_frame(websocket, 0x81, "2probe");
        client_frame(websocket, 0x81, "5");
        client_frame(websocket, 0x81, "4hello");
        close(websocket);
    }
    close(fd);
}

static void on_packet_create(struct eio_session *session, char type, enum eio_kind kind, const uint8_t *data,
                             size_t size, void *ctx)
{
    (void)kind, (void)data, (void)size, (void)ctx;
    assert_non_null(eio_session_id(session));
    assert_in_range(type, '1', '6');
}

static bool watched; /* in every second conversation */

static void converse(void)
{
    opened = closed = 0;
    loop = eio_loop_new_with_fake_clock();
    struct eio_handlers handlers = {on_open, on_message, on_close};
    struct eio_options options;
    eio_options_init(&options);
    options.per_message_deflate = true;
    options.initial_packet = "first";
    options.cookie.name = "io";
    struct eio_server *server = loop ? eio_server_new(loop, &options, &handlers, NULL) : NULL;
    struct eio_http *http = loop ? eio_http_new(loop, NULL) : NULL;
    batch = eio_batch_new();
    struct eio_watch watch = {.on_packet_create = on_packet_create};
    if (server && watched) eio_server_watch(server, &watch, NULL);
    if (server && http && eio_server_attach(server, http) == 0 && eio_http_listen(http, "127.0.0.1", 0) == 0) {
        port = eio_http_port(http);
        talk_websocket("");
        talk_websocket("Sec-WebSocket-Extensions: permessage-deflate\r\n");
        talk_polling();
        eio_server_close_all(server, EIO_CLOSE_SHUTTING_DOWN);
        eio_loop_advance(loop, 60000);
        struct eio_server_stats stats;
        eio_server_get_stats(server, &stats);
        assert_int_equal(stats.sessions, 0);
        assert_int_equal(stats.queued_bytes, 0);
        assert_int_equal(stats.opened, opened);
        if (fail_at == 0) assert_int_equal(stats.messages_in, 13);
        if (fail_at == 0) assert_int_equal(stats.upgrades, 1);
    }
    eio_server_free(server);
    eio_http_free(http);
    eio_loop_free(loop);
    eio_batch_free(batch);
    assert_int_equal(opened, closed);
}

static void fail_each(size_t count)
{
    fail_at = 0;
    allocations = 0;
    converse();
    assert_int_equal(opened, 3);
    size_t total = allocations;
    assert_true(total > 40);
    fail_count = count;
    failed = 0;
    for (size_t i = 1; i <= total; i++) {
        allocations = 0;
        fail_at = i;
        converse();
    }
    assert_true(failed >= total / 2); /* a conversation that failed early makes fewer allocations */
    fail_at = 0;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    fail_each(1);
}

static void memory_may_be_out_for_a_while(void **state)
{
    (void)state;
    fail_each(7);
}

static void every_allocation_may_fail_while_packets_are_watched(void **state)
{
    (void)state;
    eio_log_set(NULL, NULL, EIO_LOG_ERROR);
    watched = true;
    fail_each(1);
    watched = false;
}

static int due;

static void on_due(struct eio_deadline *deadline, void *ctx)
{
    (void)deadline, (void)ctx;
    due++;
}

/* A deadline's timer has its place in the heap from the init of its queue on, however full that is. */
static void deadlines_are_in_time_without_memory(void **state)
{
    (void)state;
    enum { QUEUES = 100, TIMERS = 200 };
    static struct eio_deadlines queues[QUEUES];
    static struct eio_deadline deadlines[QUEUES];
    static struct eio_timer timers[TIMERS];
    fail_at = 0;
    loop = eio_loop_new_with_fake_clock();
    for (size_t i = 0; i < QUEUES; i++)
        assert_int_equal(eio_deadlines_init(&queues[i], loop, 100 + i % 3, on_due, NULL), 0);
    allocations = 0;
    fail_at = 1;
    fail_count = SIZE_MAX / 2;
    size_t started = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        eio_timer_init(&timers[i], loop, NULL, NULL);
        started += eio_timer_start(&timers[i], 1000000) == 0;
    }
    assert_true(started < TIMERS); /* the heap is full but for the places */
    for (int round = 1; round <= 2; round++) {
        for (size_t i = 0; i < QUEUES; i++) eio_deadlines_add(&queues[i], &deadlines[i]);
        eio_loop_advance(loop, 102);
        assert_int_equal(due, round * QUEUES);
    }
    fail_at = 0;
    fail_count = 1;
    for (size_t i = 0; i < TIMERS; i++) eio_timer_stop(&timers[i]);
    for (size_t i = 0; i < QUEUES; i++) eio_deadlines_clear(&queues[i]);
    eio_loop_free(loop);
}

int main(void)
{
    eio_log_set(NULL, NULL, EIO_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(memory_may_be_out_for_a_while),
        cmocka_unit_test(every_allocation_may_fail_while_packets_are_watched),
        cmocka_unit_test(deadlines_are_in_time_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
