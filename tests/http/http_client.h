/* A raw client on a socket, driven by the same thread as the server it talks to: every wait turns the server's loop. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engineio_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENT_WAIT_MS = 300000, CLIENT_QUIET_MS = 30 };

struct client {
    struct eio_loop *loop;
    int fd;
    char *text; /* all that was received, terminated */
    size_t size, capacity;
    bool eof, reset;
};

static inline uint64_t client_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline void client_open(struct client *client, struct eio_loop *loop, uint16_t port)
{
    *client = (struct client){.loop = loop, .fd = socket(AF_INET, SOCK_STREAM, 0), .capacity = 65536};
    client->text = calloc(1, client->capacity);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(client->fd, (struct sockaddr *)&to, sizeof to), 0);
    int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
}

static inline void client_close(struct client *client)
{
    if (client->fd >= 0) close(client->fd);
    free(client->text);
    client->fd = -1;
    client->text = NULL;
}

/* Takes what has come. */
static inline void client_take(struct client *client)
{
    while (!client->eof && !client->reset) {
        if (client->size + 32768 > client->capacity) {
            client->capacity *= 2;
            client->text = realloc(client->text, client->capacity);
        }
        ssize_t n = recv(client->fd, client->text + client->size, client->capacity - client->size - 1, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) client->reset = true;
        if (n == 0) client->eof = true;
        if (n > 0) client->size += (size_t)n;
        client->text[client->size] = '\0';
    }
}

/* Turns the loop for so long. */
static inline void client_pump(struct client *client, uint64_t ms)
{
    uint64_t end = client_now_ms() + ms;
    do {
        eio_loop_turn(client->loop, 0);
        client_take(client);
        if (client->eof || client->reset) return;
        struct pollfd wait = {.fd = client->fd, .events = POLLIN};
        poll(&wait, 1, 1);
    } while (client_now_ms() < end);
}

/* Sends all; the server may have to read in between. Returns false if the server has closed. */
static inline bool client_send_bytes(struct client *client, const char *p, size_t n)
{
    uint64_t end = client_now_ms() + CLIENT_WAIT_MS;
    while (n) {
        assert_true(client_now_ms() < end);
        ssize_t sent = send(client->fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return false;
        if (sent > 0) p += sent, n -= (size_t)sent;
        eio_loop_turn(client->loop, 0);
    }
    return true;
}

static inline void client_send(struct client *client, const char *text)
{
    client_send_bytes(client, text, strlen(text));
}

static inline size_t client_count(const struct client *client, const char *what)
{
    size_t count = 0;
    for (const char *at = client->text; (at = strstr(at, what)) != NULL; at += strlen(what)) count++;
    return count;
}

/* Waits until `what` was received so many times. */
static inline void client_expect_times(struct client *client, const char *what, size_t times)
{
    uint64_t end = client_now_ms() + CLIENT_WAIT_MS;
    while (client_count(client, what) < times && !client->eof && !client->reset && client_now_ms() < end)
        client_pump(client, 1);
    if (client_count(client, what) < times)
        fail_msg("wanted %zu times \"%s\", got \"%s\"%s", times, what, client->text, client->eof ? " and the end" : "");
}

static inline void client_expect(struct client *client, const char *what)
{
    client_expect_times(client, what, 1);
}

/* Waits for the server's end of the connection. */
static inline void client_expect_eof(struct client *client)
{
    uint64_t end = client_now_ms() + CLIENT_WAIT_MS;
    while (!client->eof && !client->reset && client_now_ms() < end) client_pump(client, 1);
    if (!client->eof) fail_msg("wanted the end, got \"%s\"%s", client->text, client->reset ? " and a reset" : "");
}

/* Nothing more than what was received comes for a while. */
static inline void client_expect_quiet(struct client *client)
{
    size_t before = client->size;
    client_pump(client, CLIENT_QUIET_MS);
    if (client->size != before || client->eof || client->reset)
        fail_msg("wanted silence, got \"%s\"%s", client->text + before, client->eof ? " and the end" : "");
}

/* Closes with a reset instead of an orderly end. */
static inline void client_reset(struct client *client)
{
    struct linger off = {1, 0};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
    close(client->fd);
    client->fd = -1;
}
#endif
