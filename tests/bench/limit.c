/* parley-bench-limit: the yardstick. Says just enough of HTTP, WebSocket, Engine.IO and Socket.IO for the load
 * generator's WebSocket scenarios and does the least that a server can do without batching: one recv per event, one
 * send per answer or delivery. It trusts its peer; it is no server. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER_BYTES = 1 << 16, MAX_HEADER_BYTES = 4, NO_ROOM = UINT32_MAX };

struct conn {
    int fd;
    uint32_t position; /* in the room, or NO_ROOM */
    bool upgraded, watching_out;
    uint8_t *rest, *unsent; /* a cut frame; what the socket did not take */
    size_t rest_size, unsent_size;
};

/* There is one room: the benchmark uses no more. */
static struct conn **members;
static uint32_t member_count, member_capacity;
static int epoll_fd;
static unsigned next_id;

static void watch(struct conn *conn, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    epoll_ctl(epoll_fd, operation, conn->fd, &event);
}

static void conn_free(struct conn *conn)
{
    if (conn->position != NO_ROOM) {
        members[conn->position] = members[--member_count];
        members[conn->position]->position = conn->position;
    }
    close(conn->fd);
    free(conn->rest);
    free(conn->unsent);
    free(conn);
}

/* Appends to a buffer that is empty but for the rare moments when a peer is slow or a frame is cut. */
static void keep(uint8_t **kept, size_t *kept_size, const uint8_t *p, size_t n)
{
    uint8_t *grown = realloc(*kept, *kept_size + n);
    if (!grown) abort();
    memcpy(grown + *kept_size, p, n);
    *kept = grown;
    *kept_size += n;
}

static void conn_send(struct conn *conn, const uint8_t *p, size_t n)
{
    ssize_t sent = conn->unsent_size ? 0 : send(conn->fd, p, n, MSG_NOSIGNAL);
    if (sent == (ssize_t)n) return;
    if (sent < 0 && errno != EAGAIN) return; /* the end of the stream will tell */
    if (sent < 0) sent = 0;
    keep(&conn->unsent, &conn->unsent_size, p + sent, n - (size_t)sent);
    if (!conn->watching_out) watch(conn, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    conn->watching_out = true;
}

static void on_writable(struct conn *conn)
{
    ssize_t sent = send(conn->fd, conn->unsent, conn->unsent_size, MSG_NOSIGNAL);
    if (sent <= 0) return;
    conn->unsent_size -= (size_t)sent;
    memmove(conn->unsent, conn->unsent + sent, conn->unsent_size);
    if (conn->unsent_size > 0) return;
    free(conn->unsent);
    conn->unsent = NULL;
    conn->watching_out = false;
    watch(conn, EPOLL_CTL_MOD, EPOLLIN);
}

/* Writes the header before `p`, where there is room for it, and returns the frame's first byte. */
static uint8_t *frame_header(uint8_t *p, size_t n)
{
    if (n < 126) {
        *--p = (uint8_t)n;
    } else {
        *--p = (uint8_t)n;
        *--p = (uint8_t)(n >> 8);
        *--p = 126;
    }
    *--p = 0x81;
    return p;
}

static void send_text(struct conn *conn, uint8_t *p, size_t n)
{
    uint8_t *frame = frame_header(p, n);
    conn_send(conn, frame, (size_t)(p + n - frame));
}

/* ------------------------------------------------------------------ events */

static void join(struct conn *conn)
{
    if (conn->position != NO_ROOM) return;
    if (member_count == member_capacity) {
        member_capacity = member_capacity ? member_capacity * 2 : 64;
        members = realloc(members, member_capacity * sizeof *members);
        if (!members) abort();
    }
    conn->position = member_count;
    members[member_count++] = conn;
}

static bool starts_with(const uint8_t *p, size_t n, const char *text, size_t size)
{
    return n >= size && memcmp(p, text, size) == 0;
}
#define STARTS_WITH(p, n, text) starts_with(p, n, text, sizeof(text) - 1)

/* Answers with "43", the id and `args`. */
static void send_ack(struct conn *conn, const uint8_t *id, size_t id_size, const uint8_t *args, size_t args_size)
{
    uint8_t out[BUFFER_BYTES + 64], *p = out + MAX_HEADER_BYTES;
    if (args_size > BUFFER_BYTES) return;
    memcpy(p, "43", 2);
    memcpy(p + 2, id, id_size);
    memcpy(p + 2 + id_size, args, args_size);
    send_text(conn, p, 2 + id_size + args_size);
}

static void on_event(struct conn *conn, uint8_t *p, size_t n)
{
    static const char echo[] = "[\"echo\",";
    static const uint8_t ok[] = "[{\"ok\":true}]";
    size_t id_size = 0;
    while (2 + id_size < n && p[2 + id_size] >= '0' && p[2 + id_size] <= '9') id_size++;
    uint8_t *id = p + 2, *args = p + 2 + id_size;
    size_t args_size = n - 2 - id_size;
    if (STARTS_WITH(args, args_size, echo)) {
        args += sizeof echo - 2; /* the comma becomes the bracket */
        *args = '[';
        send_ack(conn, id, id_size, args, (size_t)(p + n - args));
    } else if (STARTS_WITH(args, args_size, "[\"transcription:update\",")) {
        uint8_t *frame = frame_header(p, n); /* over the request's own header, which is longer */
        size_t size = (size_t)(p + n - frame);
        for (uint32_t i = 0; i < member_count; i++) conn_send(members[i], frame, size);
    } else if (STARTS_WITH(args, args_size, "[\"call:subscribe\",")) {
        join(conn);
        send_ack(conn, id, id_size, ok, sizeof ok - 1);
    }
}

static void on_text(struct conn *conn, uint8_t *p, size_t n)
{
    if (STARTS_WITH(p, n, "42")) {
        on_event(conn, p, n);
    } else if (STARTS_WITH(p, n, "40")) {
        uint8_t out[64];
        int size = snprintf((char *)out + MAX_HEADER_BYTES, sizeof out - MAX_HEADER_BYTES,
                            "40{\"sid\":\"AAAAAAAAAAAA%08x\"}", next_id++);
        send_text(conn, out + MAX_HEADER_BYTES, (size_t)size);
    }
}

/* -------------------------------------------------------------------- wire */

static void unmask(uint8_t *p, size_t n, const uint8_t *key)
{
    uint64_t mask;
    size_t i = 0;
    memcpy(&mask, key, 4);
    memcpy((uint8_t *)&mask + 4, key, 4);
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        word ^= mask;
        memcpy(p + i, &word, 8);
    }
    for (; i < n; i++) p[i] ^= key[i & 3];
}

/* Returns the bytes handled, or -1 when the connection is closed and gone. */
static ssize_t on_frames(struct conn *conn, uint8_t *p, size_t n)
{
    static const uint8_t closing[] = {0x88, 2, 0x03, 0xe8};
    size_t at = 0;
    while (n - at >= 6) {
        uint8_t *frame = p + at;
        size_t header = 6, size = frame[1] & 127;
        if (size == 126) {
            header = 8;
            size = (size_t)frame[2] << 8 | frame[3];
        }
        if (n - at < header + size) break;
        unmask(frame + header, size, frame + header - 4);
        if ((frame[0] & 15) == 8) {
            conn_send(conn, closing, sizeof closing);
            conn_free(conn);
            return -1;
        }
        on_text(conn, frame + header, size);
        at += header + size;
    }
    return (ssize_t)at;
}

static size_t on_request(struct conn *conn, uint8_t *p, size_t n)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", field[] = "Sec-WebSocket-Key: ";
    const uint8_t *end = memmem(p, n, "\r\n\r\n", 4);
    const char *key = end ? memmem(p, n, field, sizeof field - 1) : NULL;
    if (!key) return 0;
    unsigned char input[24 + sizeof guid - 1], digest[SHA_DIGEST_LENGTH], accept[32];
    uint8_t out[512];
    memcpy(input, key + sizeof field - 1, 24);
    memcpy(input + 24, guid, sizeof guid - 1);
    SHA1(input, sizeof input, digest);
    EVP_EncodeBlock(accept, digest, sizeof digest);
    int head = snprintf((char *)out, sizeof out,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\n\r\n",
                        accept);
    char open[160];
    int size = snprintf(open, sizeof open,
                        "0{\"sid\":\"BBBBBBBBBBBB%08x\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,"
                        "\"maxPayload\":1000000}",
                        next_id++);
    memcpy(out + head + MAX_HEADER_BYTES, open, (size_t)size);
    uint8_t *frame = frame_header(out + head + MAX_HEADER_BYTES, (size_t)size);
    size_t frame_size = (size_t)(out + head + MAX_HEADER_BYTES + size - frame);
    memmove(out + head, frame, frame_size);
    conn_send(conn, out, (size_t)head + frame_size);
    conn->upgraded = true;
    return (size_t)(end - p) + 4;
}

static void on_readable(struct conn *conn)
{
    static uint8_t buffer[2 * BUFFER_BYTES];
    size_t n = conn->rest_size;
    if (n > 0) memcpy(buffer, conn->rest, n);
    ssize_t got = recv(conn->fd, buffer + n, sizeof buffer - n, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        conn_free(conn);
        return;
    }
    n += (size_t)got;
    ssize_t used = conn->upgraded ? on_frames(conn, buffer, n) : (ssize_t)on_request(conn, buffer, n);
    if (used < 0) return;
    conn->rest_size = 0;
    if ((size_t)used < n) {
        keep(&conn->rest, &conn->rest_size, buffer + used, n - (size_t)used);
    } else if (conn->rest) {
        free(conn->rest);
        conn->rest = NULL;
    }
}

static void on_acceptable(int listener)
{
    const int on = 1;
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *conn = calloc(1, sizeof *conn);
        if (!conn) abort();
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        conn->fd = fd;
        conn->position = NO_ROOM;
        watch(conn, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static int listen_on(int port)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0) {
        perror("parley-bench-limit");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    if (argc != 3 || strcmp(argv[1], "--port") != 0) {
        fputs("usage: parley-bench-limit --port N\n", stderr);
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    signal(SIGPIPE, SIG_IGN);
    struct conn listener = {.fd = listen_on(atoi(argv[2])), .position = NO_ROOM};
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
    printf("READY %s\n", argv[2]);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct conn *conn = events[i].data.ptr;
            if (conn == &listener)
                on_acceptable(listener.fd);
            else if (events[i].events & EPOLLOUT)
                on_writable(conn);
            else
                on_readable(conn);
        }
    }
}
