/* Whole HTTP connections on a fake clock: real sockets into the listener, through gate, routes,
 * Engine.IO and WebSockets. The input decides what clients write and where it is cut, what stands behind a request
 * before that is answered, when handlers answer, when time passes, and who goes away. Checked: every request is
 * answered or aborted once, what clients who send only good requests receive is a sequence of responses, as many as
 * requests at most, and in the end nothing is left. */
#include "eio_http_conn.h"
#include "eio_test.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CLIENTS = 5, PARKED_MAX = 32, STEPS_MAX = 300, PENDING_MAX = 16384, RECEIVED_MAX = 65536, SID_SIZE = 20 };

struct client {
    int fd;   /* -1: none */
    bool raw; /* wrote bytes that are no request of ours, or a HEAD: its responses cannot be told apart */
    bool is_websocket;
    unsigned requests, responses;
    char sid[SID_SIZE + 1]; /* of the last session that was opened on it; empty: none */
    char pending[PENDING_MAX], received[RECEIVED_MAX];
    size_t pending_size, received_size;
};

static const uint8_t *input;
static size_t input_left;
static struct eio_loop *loop;
static struct eio_http *http;
static struct eio_server *server;
static struct client clients[CLIENTS];
static struct eio_http_request *parked[PARKED_MAX];
static size_t asked, answered, aborted;
static struct sockaddr_un address;
static socklen_t address_size;

static uint8_t byte(void)
{
    if (input_left == 0) return 0;
    input_left--;
    return *input++;
}

/* ------------------------------------------------------------ handlers */

static void reply(struct eio_http_request *request)
{
    static const int statuses[] = {200, 200, 204, 404, 500, 304};
    static char body[40000];
    static const struct eio_http_reply_field fields[] = {{"X-One", "1"}, {"Bad", "line\r\nbreak"}, {"Connection", "x"}};
    uint8_t how = byte();
    memset(body, 'b', sizeof body);
    eio_http_reply(request, &(struct eio_http_reply){.status = statuses[how % 6],
                                                     .content_type = how & 8 ? "text/plain" : NULL,
                                                     .body = body,
                                                     .body_size = how & 16 ? sizeof body : how % 7,
                                                     .fields = fields,
                                                     .field_count = how % 4,
                                                     .close = how & 32});
    answered++;
}

static void on_aborted(void *ctx)
{
    struct eio_http_request **place = ctx;
    *place = NULL;
    aborted++;
}

static void on_request(struct eio_http_request *request, void *ctx)
{
    (void)ctx;
    asked++;
    struct eio_http_request **place = NULL;
    for (size_t i = 0; i < PARKED_MAX && !place; i++)
        if (!parked[i]) place = &parked[i];
    if (!place || byte() % 3 == 0) {
        reply(request);
        return;
    }
    *place = request;
    eio_http_request_on_abort(request, on_aborted, place);
}

static void answer_one(void)
{
    size_t from = byte();
    for (size_t i = 0; i < PARKED_MAX; i++) {
        struct eio_http_request **place = &parked[(from + i) % PARKED_MAX], *request = *place;
        if (!request) continue;
        *place = NULL;
        reply(request);
        return;
    }
}

static void on_message(struct eio_session *session, const struct eio_message *message, void *ctx)
{
    (void)ctx;
    const uint8_t *p = message->bytes;
    size_t n = message->size;
    uint8_t *copy;
    struct eio_frame *frame = eio_frame_new(message->kind, n, &copy);
    BASE_CHECK(frame);
    if (n) memcpy(copy, p, n);
    eio_session_send(session, frame);
    eio_frame_unref(frame);
    if (n > 0 && p[0] == 'c') eio_session_close(session, EIO_CLOSE_FORCED, NULL);
    if (n > 0 && p[0] == 'a') eio_session_abort(session, EIO_CLOSE_FORCED, NULL);
}

static void close_one(struct eio_session *session, void *ctx)
{
    (void)ctx;
    if (byte() & 1) eio_session_close(session, EIO_CLOSE_FORCED, NULL);
}

/* ------------------------------------------------------------ clients */

/* A response at the start of the bytes: its size, 0 if it is not whole. */
static size_t response_size(struct client *client, const char *p, size_t n)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end) return 0;
    BASE_CHECK(n >= 13 && memcmp(p, "HTTP/1.1 ", 9) == 0);
    int status = atoi(p + 9);
    size_t head = (size_t)(end - p) + 4;
    if (status == 100) return head;
    client->responses++;
    if (status == 101) {
        client->is_websocket = true;
        return head;
    }
    const char *length = memmem(p, head, "\r\nContent-Length: ", 18);
    BASE_CHECK(length && status >= 200 && status < 600);
    size_t body = status == 304 || status == 204 ? 0 : strtoul(length + 18, NULL, 10);
    if (n >= head + body) return head + body;
    client->responses--;
    return 0;
}

static void look_for_sid(struct client *client, size_t from)
{
    const char *p = memmem(client->received + from, client->received_size - from, "sid", 3);
    const char *end = client->received + client->received_size;
    if (!p) return;
    for (p += 3; p < end && strchr("\\\":", *p);) p++;
    if (end - p >= SID_SIZE) memcpy(client->sid, p, SID_SIZE);
}

static void client_read(struct client *client, size_t n)
{
    if (client->fd < 0) return;
    size_t room = RECEIVED_MAX - client->received_size, before = client->received_size;
    if (n > room) n = room;
    ssize_t got = recv(client->fd, client->received + before, n, MSG_DONTWAIT);
    if (got <= 0) return;
    client->received_size += (size_t)got;
    look_for_sid(client, before > 64 ? before - 64 : 0);
    size_t at = 0, size;
    while (!client->raw && !client->is_websocket && at < client->received_size) {
        size = response_size(client, client->received + at, client->received_size - at);
        if (size == 0) break;
        at += size;
    }
    /* One more where nobody asked: too many connections, a head that took too long. */
    BASE_CHECK(client->raw || client->responses <= client->requests + 1);
    if (client->raw || client->is_websocket) at = client->received_size;
    memmove(client->received, client->received + at, client->received_size - at);
    client->received_size -= at;
}

static void client_clear(struct client *client)
{
    if (client->fd >= 0) close(client->fd);
    char sid[SID_SIZE + 1];
    memcpy(sid, client->sid, sizeof sid);
    *client = (struct client){.fd = -1};
    memcpy(client->sid, sid, sizeof sid);
}

static void client_open(struct client *client)
{
    client_clear(client);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    BASE_CHECK(client->fd >= 0);
    if (connect(client->fd, (struct sockaddr *)&address, address_size) == 0) return;
    close(client->fd); /* the backlog is full */
    client->fd = -1;
}

static void client_write(struct client *client, size_t n)
{
    if (client->fd < 0) return;
    if (n > client->pending_size) n = client->pending_size;
    ssize_t sent = n ? send(client->fd, client->pending, n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (sent <= 0) return;
    client->pending_size -= (size_t)sent;
    memmove(client->pending, client->pending + sent, client->pending_size);
}

static void add(struct client *client, const void *p, size_t n)
{
    if (n > PENDING_MAX - client->pending_size) return;
    memcpy(client->pending + client->pending_size, p, n);
    client->pending_size += n;
}

static void add_raw(struct client *client)
{
    size_t n = byte() % 64;
    if (n > input_left) n = input_left;
    client->raw = true;
    add(client, input, n);
    input += n;
    input_left -= n;
}

#define HOST "Host: x\r\n"
#define UPGRADE                                                                  \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define DEFLATE "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

/* %s is the session's id. Those before RAW_FROM are answered with a response each, or not at all. */
static const char *const requests[] = {
    "GET /app HTTP/1.1\r\n" HOST "\r\n",
    "GET /app/longer?x=y HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
    "POST /app HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
    "POST /app HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nA: b\r\n\r\n",
    "POST /app HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    "GET /nowhere HTTP/1.1\r\n" HOST "\r\n",
    "GET /app HTTP/1.0\r\n\r\n",
    "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\n" HOST "\r\n",
    "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\n" HOST "Accept-Encoding: gzip\r\n\r\n",
    "GET /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST "\r\n",
    "GET /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST "\r\n",
    "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\n4hello",
    "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n4c",
    "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n4a",
    "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n1",
    "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST "Content-Length: 900\r\n\r\n",
    "GET /engine.io/?EIO=3&transport=polling&b64=1 HTTP/1.1\r\n" HOST "\r\n",
    "GET /engine.io/?EIO=3&transport=polling&j=1 HTTP/1.1\r\n" HOST "\r\n",
    "GET /engine.io/?EIO=3&transport=polling&sid=%s HTTP/1.1\r\n" HOST "\r\n",
    "POST /engine.io/?EIO=3&transport=polling&sid=%s HTTP/1.1\r\n" HOST "Content-Length: 8\r\n\r\n6:4hello",
    "POST /engine.io/?EIO=3&transport=polling&j=1&sid=%s HTTP/1.1\r\n" HOST "Content-Length: 12\r\n\r\nd=6%%3a4hello",
    "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\n" HOST UPGRADE "\r\n",
    "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\n" HOST UPGRADE DEFLATE "\r\n",
    "GET /engine.io/?EIO=4&transport=websocket&sid=%s HTTP/1.1\r\n" HOST UPGRADE "\r\n",
    "GET /engine.io/?EIO=3&transport=websocket HTTP/1.1\r\n" HOST UPGRADE "\r\n",
    "GET /ws HTTP/1.1\r\n" HOST UPGRADE "\r\n",
    "GET /app HTTP/1.1\r\n" HOST UPGRADE "\r\n",
    "OPTIONS /engine.io/?EIO=4&transport=polling HTTP/1.1\r\n" HOST "Origin: http://a\r\n\r\n",
    "GET /engine.io/?EIO=9&transport=nonsense&sid=%s HTTP/1.1\r\n" HOST "\r\n",
    "HEAD /app HTTP/1.1\r\n" HOST "\r\n",
    "\x81\x86\0\0\0\0"
    "2probe",
    "\x81\x81\0\0\0\0"
    "5",
    "\x81\x86\0\0\0\0"
    "4hello",
    "\x81\x82\0\0\0\0"
    "4c",
    "\x88\x82\0\0\0\0\x03\xe8",
};
enum { REQUESTS = sizeof requests / sizeof *requests, RAW_FROM = 29, FRAMES_FROM = 30 };

static void add_request(struct client *client)
{
    size_t which = byte() % REQUESTS;
    char text[1024];
    if (which >= FRAMES_FROM) {
        if (!client->is_websocket) client->raw = true;
        add(client, requests[which], 6 + (size_t)(requests[which][1] & 0x7f));
        return;
    }
    if (which >= RAW_FROM) client->raw = true;
    const char *sid = clients[byte() % 4 ? (size_t)(client - clients) : byte() % CLIENTS].sid;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
    int n = snprintf(text, sizeof text - 900, requests[which], sid);
#pragma GCC diagnostic pop
    if (which == 15) {
        memset(text + n, '4', 900);
        n += 900;
    }
    client->requests++;
    add(client, text, (size_t)n);
}

/* ------------------------------------------------------------ the conversation */

static void check_counters(void)
{
    struct eio_http_stats stats;
    size_t waiting = 0;
    eio_http_get_stats(http, &stats);
    for (size_t i = 0; i < PARKED_MAX; i++) waiting += parked[i] != NULL;
    BASE_CHECK(asked == answered + aborted + waiting);
    BASE_CHECK(stats.parked >= waiting && stats.connections <= CLIENTS + 256);
}

static void step_client(struct client *client, uint8_t what)
{
    switch (what) {
    case 0:
        client_open(client);
        break;
    case 1:
    case 2:
    case 3:
        if (client->fd < 0) client_open(client);
        add_request(client);
        client_write(client, SIZE_MAX);
        break;
    case 4:
    case 5:
        add_request(client);
        break;
    case 6:
        client_write(client, byte());
        break;
    case 7:
        client_write(client, SIZE_MAX);
        break;
    case 8:
        add_raw(client);
        break;
    case 9:
        client_read(client, byte());
        break;
    case 10:
    case 11:
        client_read(client, SIZE_MAX);
        break;
    case 12:
        if (client->fd >= 0) shutdown(client->fd, byte() & 1 ? SHUT_WR : SHUT_RDWR);
        break;
    case 13:
        client_clear(client);
        break;
    default:
        break;
    }
}

static bool step(void)
{
    uint8_t what = byte() % 24;
    switch (what) {
    case 14:
    case 15:
        answer_one();
        break;
    case 16:
        eio_loop_advance(loop, (uint64_t)byte() * 20);
        break;
    case 17:
        if (byte() > 220) eio_server_each(server, close_one, NULL);
        break;
    case 18:
        if (byte() > 230) eio_server_close_all(server, EIO_CLOSE_SHUTTING_DOWN);
        break;
    default:
        if (what < 14)
            step_client(&clients[byte() % CLIENTS], what);
        else
            eio_loop_turn(loop, 0);
    }
    return input_left > 0;
}

static void listen_here(void)
{
    static unsigned number;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address = (struct sockaddr_un){.sun_family = AF_UNIX}; /* an abstract name: no file */
    int n = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "parley-fuzz-%d-%u", (int)getpid(), number++);
    address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    BASE_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, address_size) == 0);
    BASE_CHECK(eio__http_accept_on(http, &(struct eio_http_listener){.take_fd = fd}) == 0);
}

/* Lines are made, and go nowhere. */
static void no_log(enum eio_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)ctx;
    BASE_CHECK(line[0]);
}

static void start(void)
{
    struct eio_options options;
    struct eio_http_options http_options;
    struct eio_handlers handlers = {.on_message = on_message};
    uint8_t flags = byte();
    for (int i = 0; i < CLIENTS; i++) clients[i] = (struct client){.fd = -1};
    memset(parked, 0, sizeof parked);
    asked = answered = aborted = 0;
    eio_log_set(no_log, NULL, EIO_LOG_DEBUG);
    eio_options_init(&options);
    eio_http_options_init(&http_options);
    options.allow_eio3 = true;
    options.per_message_deflate = true;
    options.max_payload_bytes = 600;
    options.upgrade_timeout_ms = 700;
    options.ping_interval_ms = flags & 1 ? 500 : 25000;
    options.ping_timeout_ms = 400;
    options.cors.origin = flags & 2 ? "reflect" : NULL;
    options.max_sessions = flags & 4 ? 3 : 0;
    http_options.max_head_bytes = 700;
    http_options.max_line_bytes = 200;
    http_options.max_body_bytes = 800;
    http_options.max_connections = flags & 8 ? 3 : 0;
    http_options.idle_timeout_ms = flags & 16 ? 300 : 60000;
    http_options.trusted_proxies = flags & 32 ? "0.0.0.0/0" : NULL;
    loop = eio_loop_new_with_fake_clock();
    http = eio_http_new(loop, &http_options);
    server = eio_server_new(loop, &options, &handlers, NULL);
    BASE_CHECK(loop && http && server && eio_server_attach(server, http) == 0);
    BASE_CHECK(eio_server_attach_websocket(server, http, "/ws") == 0);
    BASE_CHECK(eio_http_route(http, "/app*", 0, on_request, NULL) == 0);
    listen_here();
}

/* Everybody goes away, handlers answer, time passes: nothing may be left. */
static void wind_down(void)
{
    struct eio_http_stats stats;
    for (int i = 0; i < CLIENTS; i++) client_clear(&clients[i]);
    for (int i = 0; i < 4; i++) eio_loop_turn(loop, 0);
    for (size_t i = 0; i < PARKED_MAX; i++) answer_one();
    for (int i = 0; i < 10; i++) eio_loop_advance(loop, 20000);
    check_counters();
    eio_http_get_stats(http, &stats);
    BASE_CHECK(stats.connections == 0 && stats.parked == 0 && http->leased == 0 && http->refusals == 0);
    BASE_CHECK(eio_server_session_count(server) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    input_left = size;
    start();
    bool graceful = byte() & 1;
    for (int i = 0; i < STEPS_MAX && step(); i++) check_counters();
    input_left = 0;
    if (graceful) wind_down();
    eio_server_free(server);
    eio_http_free(http);
    BASE_CHECK(asked == answered + aborted);
    for (int i = 0; i < CLIENTS; i++) client_clear(&clients[i]);
    eio_loop_free(loop);
    return 0;
}
