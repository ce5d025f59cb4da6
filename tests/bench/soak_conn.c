/* Connections of the soak tool: opening, reading, the turn. */
#include "soak.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, READ_BUFFER_BYTES = 1 << 20, READ_BYTES = 1 << 16 };

uint32_t soak_random(uint32_t below)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16) % below;
}

double soak_about(double mean)
{
    return mean * (0.5 + soak_random(1000) / 1000.0);
}

static void watch(struct soak_conn *conn, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    if (epoll_ctl(soak.epoll_fd, operation, conn->fd, &event) != 0) die("epoll: %s", strerror(errno));
}

/* Each connection comes from another address of 127/8, so that closed ones that linger never use up the ports. */
void soak_conn_open(struct soak_conn *conn)
{
    const int on = 1;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(0x7f010001u + soak.source++ % 4096 * 8);
    if (bind(conn->fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind: %s", strerror(errno));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)soak.options.port);
    conn->connected = conn->deaf = false;
    if (connect(conn->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    watch(conn, EPOLL_CTL_ADD, EPOLLOUT);
}

void soak_conn_close(struct soak_conn *conn)
{
    if (conn->fd < 0) return;
    close(conn->fd);
    conn->fd = -1;
    free(conn->rest);
    conn->rest = NULL;
    conn->rest_size = 0;
}

void soak_conn_reset(struct soak_conn *conn)
{
    const struct linger linger = {.l_onoff = 1};
    if (conn->fd >= 0) setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    soak_conn_close(conn);
}

size_t soak_conn_try(struct soak_conn *conn, const void *p, size_t n)
{
    ssize_t sent = conn->fd < 0 ? -1 : send(conn->fd, p, n, MSG_NOSIGNAL);
    return sent < 0 ? 0 : (size_t)sent;
}

void soak_conn_send(struct soak_conn *conn, const void *p, size_t n)
{
    ssize_t sent = send(conn->fd, p, n, MSG_NOSIGNAL);
    if (sent != (ssize_t)n) die("send: %s", sent < 0 ? strerror(errno) : "the server does not read");
}

void soak_conn_listen(struct soak_conn *conn, bool listen)
{
    conn->deaf = !listen;
    if (conn->connected) watch(conn, EPOLL_CTL_MOD, listen ? EPOLLIN : 0);
}

static void keep(struct soak_conn *conn, const uint8_t *p, size_t n)
{
    uint8_t *rest = n ? malloc(n) : NULL;
    if (n && !rest) die("out of memory");
    if (n) memcpy(rest, p, n);
    free(conn->rest);
    conn->rest = rest;
    conn->rest_size = n;
}

static void on_end(struct soak_conn *conn)
{
    soak_conn_close(conn);
    conn->owner->ops->on_end(conn);
}

static void on_readable(struct soak_conn *conn)
{
    static uint8_t buffer[READ_BUFFER_BYTES];
    if (conn->rest_size > sizeof buffer - READ_BYTES) die("more than a message is waiting to be whole");
    if (conn->rest_size) memcpy(buffer, conn->rest, conn->rest_size);
    ssize_t got = recv(conn->fd, buffer + conn->rest_size, READ_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        on_end(conn);
        return;
    }
    size_t n = conn->rest_size + (size_t)got;
    int fd = conn->fd;
    size_t used = conn->owner->ops->on_bytes(conn, buffer, n);
    if (conn->fd == fd && (used < n || conn->rest_size)) keep(conn, buffer + used, n - used);
}

static void on_ready(struct soak_conn *conn)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (conn->connected) {
        on_readable(conn);
        return;
    }
    getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) die("connect: %s", strerror(error));
    conn->connected = true;
    watch(conn, EPOLL_CTL_MOD, conn->deaf ? 0 : EPOLLIN);
    conn->owner->ops->on_connected(conn);
}

void soak_turn(int timeout_ms)
{
    static struct epoll_event events[EVENTS];
    int count = epoll_wait(soak.epoll_fd, events, EVENTS, timeout_ms);
    if (count < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    soak.now = now_s();
    for (int i = 0; i < count; i++) {
        struct soak_conn *conn = events[i].data.ptr;
        if (conn->fd < 0) continue; /* closed by one before it */
        if (conn->deaf && conn->connected)
            on_end(conn); /* the server has had enough */
        else
            on_ready(conn);
    }
}
