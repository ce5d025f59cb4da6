/* Clients: connecting, the handshakes of the three layers, reading and sending. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, READ_BUFFER_BYTES = 1 << 20, MAX_OPENING = 64 };

static const char subscribe[] = "420[\"call:subscribe\",{\"call_id\":\"bench\"}]";
static const char subscribed[] = "30[{\"ok\":true";

static void conn_watch(struct conn *conn, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    if (epoll_ctl(conn->client->load->epoll_fd, operation, conn->fd, &event) != 0) die("epoll: %s", strerror(errno));
}

/* Each connection comes from another address of 127/8, so that closed ones that linger never use up the ports. */
static void conn_open(struct conn *conn)
{
    struct load *load = conn->client->load;
    const int on = 1;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(0x7f010001u + load->source++ % 4096 * 8);
    if (bind(conn->fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind: %s", strerror(errno));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)conn->client->port);
    conn->connected = false;
    if (connect(conn->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    conn_watch(conn, EPOLL_CTL_ADD, EPOLLOUT);
}

static void conn_close(struct conn *conn)
{
    tls_end(conn);
    close(conn->fd);
    conn->fd = -1;
    free(conn->rest);
    conn->rest = NULL;
    conn->rest_size = 0;
}

void client_drop(struct client *client)
{
    for (size_t i = 0; i < sizeof client->conn / sizeof client->conn[0]; i++)
        if (client->conn[i].fd >= 0) conn_close(&client->conn[i]);
}

/* What is sent at a time is small beside the socket's buffer, so a full one is a fault of the server. */
void conn_send(struct conn *conn, const void *p, size_t n)
{
    ssize_t sent = conn->ssl ? tls_send(conn, p, n) : send(conn->fd, p, n, MSG_NOSIGNAL);
    if (sent != (ssize_t)n) die("send: %s", sent < 0 ? strerror(errno) : "the server does not read");
}

void client_send_text(struct client *client, const char *p, size_t n)
{
    uint8_t out[1024];
    conn_send(&client->conn[0], out, frame_put(out, p, n));
}

void client_open(struct client *client)
{
    client->state = CLIENT_CONNECTING;
    client->sent = client->received = 0;
    client->load->opening++;
    conn_open(&client->conn[0]);
}

void client_close(struct client *client)
{
    static const uint8_t frame[] = {0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xe8 ^ 2}; /* 1000 */
    client->state = CLIENT_CLOSING;
    conn_send(&client->conn[0], frame, sizeof frame);
}

/* ----------------------------------------------------------------- polling */

void client_poll(struct client *client)
{
    char request[256];
    int n = snprintf(request, sizeof request,
                     "GET /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
                     client->sid[0] ? "&sid=" : "", client->sid, client->port);
    conn_send(&client->conn[0], request, (size_t)n);
}

void client_post(struct client *client, const char *body, size_t n)
{
    char request[1024];
    const char *pong = client->pong_due ? "\x1e"
                                          "3"
                                        : "";
    int size = snprintf(request, sizeof request,
                        "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                        "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n%.*s%s",
                        client->sid, client->port, n + strlen(pong), (int)n, body, pong);
    client->pong_due = false;
    client->post_pending = true;
    conn_send(&client->conn[1], request, (size_t)size);
}

/* ----------------------------------------------------------------- packets */

static void client_ready(struct client *client)
{
    client->state = CLIENT_READY;
    client->load->ready++;
    client->load->opening--;
    if (client->load->scenario->on_ready) client->load->scenario->on_ready(client);
}

static void client_connect(struct client *client)
{
    char text[1000];
    const struct load_options *options = &client->load->options;
    const char *token = client->feeds ? options->feed_token : options->token;
    int n = token ? snprintf(text, sizeof text, "40%s{\"token\":\"%s\"}", client->feeds ? "/feed," : "", token)
                  : snprintf(text, sizeof text, "40");
    if ((size_t)n >= sizeof text) die("a token is too long");
    client_send_text(client, text, (size_t)n);
}

static void on_open_packet(struct client *client, const char *p, size_t n)
{
    const char *sid = memmem(p, n, "\"sid\":\"", 7);
    const char *end = sid ? memchr(sid + 7, '"', n - (size_t)(sid + 7 - p)) : NULL;
    if (!end || (size_t)(end - sid - 7) >= sizeof client->sid) die("no id in the open packet");
    client->state = CLIENT_NAMESPACE;
    if (!client->load->options.polling) {
        client_connect(client);
        return;
    }
    memcpy(client->sid, sid + 7, (size_t)(end - sid - 7));
    conn_open(&client->conn[1]); /* the POST goes out when it is connected */
}

static bool starts_with(const char *p, size_t n, const char *text)
{
    return n >= strlen(text) && memcmp(p, text, strlen(text)) == 0;
}

static bool is_connect_answer(const struct client *client, const char *p, size_t n)
{
    return starts_with(p, n, client->feeds ? "0/feed,{\"sid\":" : "0{\"sid\":");
}

static void on_message(struct client *client, const char *p, size_t n)
{
    if (client->state == CLIENT_READY) {
        client->load->scenario->on_packet(client, p, n);
    } else if (client->state == CLIENT_NAMESPACE && is_connect_answer(client, p, n)) {
        if (!client->joins) {
            client_ready(client);
            return;
        }
        client->state = CLIENT_JOINING;
        client_send_text(client, subscribe, sizeof subscribe - 1);
    } else if (client->state == CLIENT_JOINING && starts_with(p, n, subscribed)) {
        client_ready(client);
    } else if (client->state != CLIENT_CLOSING && !client->load->options.token) {
        die("unexpected message in state %d: %.*s", client->state, (int)n, p);
    }
}

static void on_packet(struct client *client, const char *p, size_t n)
{
    if (n > 0 && p[0] == '4') {
        on_message(client, p + 1, n - 1);
    } else if (n > 0 && p[0] == '0' && client->state == CLIENT_OPEN) {
        on_open_packet(client, p, n);
    } else if (n == 1 && p[0] == '2' && client->load->options.polling) {
        client->pong_due = true;
    } else if (n == 1 && p[0] == '2') {
        client_send_text(client, "3", 1);
    } else if (n != 1 || p[0] != '6') {
        die("unexpected packet in state %d: %.*s", client->state, (int)n, p);
    }
}

/* ----------------------------------------------------------------- reading */

static size_t on_websocket_bytes(struct client *client, const uint8_t *p, size_t n)
{
    struct frame frame;
    struct response response;
    size_t at = 0, used;
    if (client->state == CLIENT_HANDSHAKE) {
        at = response_get(&response, p, n);
        if (at == 0) return 0;
        if (response.status != 101 || !response.accepted) die("upgrade refused: %d", response.status);
        client->state = CLIENT_OPEN;
    }
    while ((used = frame_get(&frame, p + at, n - at)) > 0) {
        at += used;
        if (frame.opcode == 1)
            on_packet(client, frame.p, frame.n);
        else if (frame.opcode != 8 || client->state != CLIENT_CLOSING)
            die("unexpected frame, opcode %d", frame.opcode);
    }
    if (client->state == CLIENT_READY && client->load->scenario->on_read) client->load->scenario->on_read(client);
    return at;
}

static void on_polled(struct client *client, const char *p, size_t n)
{
    bool poll_again = client->state == CLIENT_READY;
    while (n > 0) {
        const char *end = memchr(p, '\x1e', n);
        size_t size = end ? (size_t)(end - p) : n;
        if (client->state == CLIENT_HANDSHAKE) client->state = CLIENT_OPEN;
        on_packet(client, p, size);
        if (!end) break;
        p += size + 1;
        n -= size + 1;
    }
    if (poll_again || client->state == CLIENT_READY) client_poll(client);
}

static void on_posted(struct client *client)
{
    client->post_pending = false;
    if (client->state == CLIENT_NAMESPACE)
        client_poll(client);
    else if (client->load->scenario->on_posted)
        client->load->scenario->on_posted(client);
}

static size_t on_polling_bytes(struct conn *conn, const uint8_t *p, size_t n)
{
    struct response response;
    size_t used = response_get(&response, p, n);
    if (used == 0) return 0;
    if (response.status != 200) die("status %d: %.*s", response.status, (int)response.n, response.body);
    if (conn == &conn->client->conn[0])
        on_polled(conn->client, response.body, response.n);
    else if (response.n == 2 && memcmp(response.body, "ok", 2) == 0)
        on_posted(conn->client);
    else
        die("a POST was answered with %.*s", (int)response.n, response.body);
    return used;
}

static void conn_keep(struct conn *conn, const uint8_t *p, size_t n)
{
    free(conn->rest);
    conn->rest = NULL;
    conn->rest_size = n;
    if (n == 0) return;
    conn->rest = malloc(n);
    if (!conn->rest) die("out of memory");
    memcpy(conn->rest, p, n);
}

static void on_end(struct conn *conn)
{
    struct client *client = conn->client;
    if (client->state != CLIENT_CLOSING) die("the server closed a connection in state %d", client->state);
    conn_close(conn);
    client->state = CLIENT_IDLE;
    client->load->scenario->on_closed(client);
}

static void on_readable(struct conn *conn)
{
    static uint8_t buffer[READ_BUFFER_BYTES];
    if (conn->rest_size > 0) memcpy(buffer, conn->rest, conn->rest_size);
    ssize_t got = conn->ssl ? tls_recv(conn, buffer + conn->rest_size, sizeof buffer - conn->rest_size)
                            : recv(conn->fd, buffer + conn->rest_size, sizeof buffer - conn->rest_size, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < 0 && errno != ECONNRESET) die("recv: %s", strerror(errno));
    if (got <= 0) {
        on_end(conn);
        return;
    }
    size_t n = conn->rest_size + (size_t)got;
    size_t used = conn->client->load->options.polling ? on_polling_bytes(conn, buffer, n)
                                                      : on_websocket_bytes(conn->client, buffer, n);
    if (n - used > 0 || conn->rest_size > 0) conn_keep(conn, buffer + used, n - used);
}

static void on_connected(struct conn *conn)
{
    struct client *client = conn->client;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) die("connect: %s", strerror(error));
    if (client->load->options.tls) {
        if (!conn->ssl) tls_start(conn);
        enum tls_wants wants = tls_shake(conn);
        if (wants != TLS_NOTHING) {
            conn_watch(conn, EPOLL_CTL_MOD, wants == TLS_TO_READ ? EPOLLIN : EPOLLOUT);
            return;
        }
    }
    conn->connected = true;
    conn_watch(conn, EPOLL_CTL_MOD, EPOLLIN);
    if (conn == &client->conn[1]) {
        client_post(client, "40", 2);
        return;
    }
    client->state = CLIENT_HANDSHAKE;
    if (client->load->options.polling) {
        client_poll(client);
        return;
    }
    char request[256];
    int n = snprintf(request, sizeof request,
                     "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                     "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: " LOAD_KEY "\r\n\r\n",
                     client->port);
    conn_send(conn, request, (size_t)n);
}

void load_turn(struct load *load, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(load->epoll_fd, events, EVENTS, timeout_ms);
    if (count < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct conn *conn = events[i].data.ptr;
        if (conn->connected)
            on_readable(conn);
        else
            on_connected(conn);
    }
}

void load_open_all(struct load *load, bool join)
{
    double give_up_at = now_s() + 60;
    unsigned next = 0, wanted = load->ready + load->client_count;
    for (unsigned i = 0; i < load->client_count; i++) load->clients[i].joins = join;
    while (load->ready < wanted) {
        while (next < load->client_count && load->opening < MAX_OPENING) client_open(&load->clients[next++]);
        load_turn(load, 1000);
        if (now_s() > give_up_at) die("only %u of %u clients are connected", load->ready, wanted);
    }
}
