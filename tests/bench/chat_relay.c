/* parley-bench-chat-relay: the yardstick of scripts/bench-chat. Says just enough of HTTP, WebSocket and Socket.IO for
 * parley-bench-chat-load and does the least that a server can do for it: for each answer one recv an interval, the
 * words found by a search, one send; what many answers said in a step of the interval is one write to a file, and
 * durable before it is sent. What it takes is what the machine takes. It trusts its peers; it is no server.
 *
 * usage: parley-bench-chat-relay MODEL_PORT INTERVAL_MS FILE      prints its port; a FILE "" stores nothing
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER_BYTES = 1 << 18, STEP_MS = 10, PIECE_BYTES = 4096 };

struct chat {
    int client, model; /* model: -1: not asked */
    bool is_upgraded, is_done;
    size_t out_size; /* of this step */
    char out[PIECE_BYTES];
};

static struct chat **chats; /* that were asked, in this order */
static size_t chat_count, chat_capacity;
static int epoll_fd, listen_fd, file = -1;
static unsigned model_port;
static char buffer[BUFFER_BYTES], stored[BUFFER_BYTES];

static void send_all(int fd, const char *p, size_t n)
{
    if (send(fd, p, n, MSG_NOSIGNAL) != (ssize_t)n) die("send: %s", strerror(errno));
}

/* At most PIECE_BYTES. */
static void send_frame(int fd, const char *text, size_t n)
{
    char out[PIECE_BYTES + 4] = {(char)0x81, (char)n};
    size_t head = 2;
    if (n > 125) {
        out[1] = 126;
        out[2] = (char)(n >> 8);
        out[3] = (char)n;
        head = 4;
    }
    memcpy(out + head, text, n);
    send_all(fd, out, head + n);
}

static struct sockaddr_in address_of(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* --------------------------------------------------------------- clients */

static void ask_model(struct chat *chat, const char *question, size_t n)
{
    const int on = 1;
    struct sockaddr_in address = address_of(model_port);
    char request[1024];
    chat->model = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(chat->model, (struct sockaddr *)&address, sizeof address)) die("connect: %s", strerror(errno));
    setsockopt(chat->model, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int size = snprintf(request, sizeof request,
                        "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Length: %zu\r\n\r\n%.*s", n,
                        (int)n, question);
    send_all(chat->model, request, (size_t)size);
    if (chat_count == chat_capacity) {
        chat_capacity = chat_capacity * 2 + 64;
        chats = realloc(chats, chat_capacity * sizeof(struct chat *));
        if (!chats) die("out of memory");
    }
    chats[chat_count++] = chat;
}

static void hear(struct chat *chat, const char *p, size_t n)
{
    static const char init[] = "42/chat,0[", message[] = "42/chat,1[";
    if (n >= 8 && !memcmp(p, "40/chat,", 8)) send_frame(chat->client, "40/chat,{}", 10);
    if (n >= 10 && !memcmp(p, init, 10)) send_frame(chat->client, "43/chat,0[{\"ok\":true}]", 22);
    if (n < 10 || memcmp(p, message, 10)) return;
    send_frame(chat->client, "43/chat,1[{\"ok\":true}]", 22);
    ask_model(chat, p, n);
}

/* The frames of one recv; the load sends one at a time, masked. */
static void hear_frames(struct chat *chat, uint8_t *p, size_t n)
{
    while (n > 6) {
        size_t size = p[1] & 0x7f, head = 2;
        if (size == 126) {
            size = (size_t)p[2] << 8 | p[3];
            head = 4;
        }
        uint8_t *text = p + head + 4;
        if (head + 4 + size > n) die("a frame was cut");
        for (size_t i = 0; i < size; i++) text[i] ^= p[head + i % 4];
        hear(chat, (const char *)text, size);
        p = text + size;
        n -= head + 4 + size;
    }
}

static void read_client(struct chat *chat)
{
    static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: " LOAD_ACCEPT "\r\n\r\n";
    static const char opened[] = "0{\"sid\":\"x\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000}";
    ssize_t n = recv(chat->client, buffer, BUFFER_BYTES, 0);
    if (n <= 0) exit(0);
    if (chat->is_upgraded) {
        hear_frames(chat, (uint8_t *)buffer, (size_t)n);
        return;
    }
    chat->is_upgraded = true;
    send_all(chat->client, upgraded, sizeof upgraded - 1);
    send_frame(chat->client, opened, sizeof opened - 1);
}

static void accept_client(void)
{
    const int on = 1;
    struct chat *chat = calloc(1, sizeof *chat);
    if (!chat) die("out of memory");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = chat};
    chat->model = -1;
    chat->client = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    setsockopt(chat->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, chat->client, &event);
}

/* --------------------------------------------------------------- answers */

/* What has come of the answer in this interval becomes a piece. Returns its size. */
static size_t read_model(struct chat *chat)
{
    static const char head[] = "42/chat,[\"chat.token\",{\"content\":\"", tail[] = "\"}]", mark[] = "\"content\":\"";
    ssize_t n = chat->is_done ? -1 : recv(chat->model, buffer, BUFFER_BYTES, MSG_DONTWAIT);
    chat->out_size = 0;
    if (n <= 0) return 0;
    size_t size = sizeof head - 1;
    const char *end = buffer + n, *at = buffer;
    memcpy(chat->out, head, size);
    while ((at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1))) {
        at += sizeof mark - 1;
        const char *quote = memchr(at, '"', (size_t)(end - at));
        if (!quote || size + (size_t)(quote - at) + sizeof tail > PIECE_BYTES) die("a chunk was cut");
        memcpy(chat->out + size, at, (size_t)(quote - at));
        size += (size_t)(quote - at);
        at = quote;
    }
    chat->is_done = memmem(buffer, (size_t)n, "data: [DONE]", 12) != NULL;
    if (size == sizeof head - 1) return 0;
    memcpy(chat->out + size, tail, sizeof tail - 1);
    return chat->out_size = size + sizeof tail - 1;
}

static void store(size_t size)
{
    if (file < 0 || !size) return;
    if (write(file, stored, size) != (ssize_t)size || fdatasync(file)) die("write: %s", strerror(errno));
}

/* The chats whose interval ends at this step. */
static void run_step(unsigned step, unsigned steps)
{
    static const char done[] = "42/chat,[\"chat.done\",{}]";
    size_t size = 0;
    for (size_t i = step; i < chat_count; i += steps) {
        struct chat *chat = chats[i];
        size_t n = read_model(chat);
        if (size + n > sizeof stored) die("more words than were planned");
        memcpy(stored + size, chat->out, n);
        size += n;
    }
    store(size);
    for (size_t i = step; i < chat_count; i += steps) {
        struct chat *chat = chats[i];
        if (chat->out_size) send_frame(chat->client, chat->out, chat->out_size);
        if (!chat->is_done || chat->model < 0) continue;
        send_frame(chat->client, done, sizeof done - 1);
        close(chat->model);
        chat->model = -1;
    }
}

static void run(unsigned steps)
{
    struct epoll_event events[EVENTS];
    double next_at = now_s();
    for (unsigned step = 0;; step = (step + 1) % steps) {
        for (double now = now_s(); now < next_at; now = now_s()) {
            const struct timespec most = {0, (long)((next_at - now) * 1e9)};
            int count = epoll_pwait2(epoll_fd, events, EVENTS, &most, NULL);
            for (int i = 0; i < count; i++) {
                if (events[i].data.ptr)
                    read_client(events[i].data.ptr);
                else
                    accept_client();
            }
        }
        next_at += STEP_MS / 1e3;
        run_step(step, steps);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = address_of(0);
    socklen_t size = sizeof address;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (argc != 4) die("wants MODEL_PORT INTERVAL_MS FILE");
    model_port = (unsigned)strtoul(argv[1], NULL, 10);
    unsigned steps = (unsigned)strtoul(argv[2], NULL, 10) / STEP_MS;
    if (argv[3][0]) file = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!steps || bind(listen_fd, (struct sockaddr *)&address, size) || listen(listen_fd, 4096) ||
        getsockname(listen_fd, (struct sockaddr *)&address, &size))
        die("cannot listen: %s", strerror(errno));
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event);
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    run(steps);
    return 0;
}
