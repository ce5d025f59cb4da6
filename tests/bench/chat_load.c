/* The load of scripts/bench-chat, in one process of one thread: a model's server that says a number of words a second
 * in each answer, and a Socket.IO client of /chat for each answer, which measures how long each word took from the one
 * to the other. Every word must arrive, in its place, once, and every answer must end; otherwise there is no figure.
 * The model says its first word when all chats have asked, so that a server that is too slow can be measured, too; the
 * answers end one after the other within a second, whose words count for the processor time alone.
 *
 * usage: parley-bench-chat-load UPSTREAM_PORT SERVER_PORT SERVER_PID CHATS RATE WARMUP_S SECONDS < tokens, one a line
 */
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
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512, READ_BYTES = 1 << 18, MAX_OPENING = 32, WORD_BYTES = 8 };

/* As OpenAI's servers write it, padding included. */
static const char chunk_begin[] =
    "data: "
    "{\"id\":\"chatcmpl-CgVv4bQ8mWzXh2cN5yTtRk7dLp1sF\",\"object\":\"chat.completion.chunk\",\"created\":1764499800,"
    "\"model\":\"gpt-bench-2026-11-01\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_560af6e559\","
    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
static const char chunk_end[] = "\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"";
static const char last_chunk[] =
    "data: "
    "{\"id\":\"chatcmpl-CgVv4bQ8mWzXh2cN5yTtRk7dLp1sF\",\"object\":\"chat.completion.chunk\",\"created\":1764499800,"
    "\"model\":\"gpt-bench-2026-11-01\",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":"
    "\"stop\"}]}"
    "\n\ndata: [DONE]\n\n";
static const char answer_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                                  "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
#define MARK "answer of chat " /* the question, and so the request to the model, has it with the chat's number */

enum chat_state { OPENING, UPGRADING, CONNECTING, INITIALISING, ASKING, TALKING, ENDED };

struct bench;
/* Of a client or of a request to the model. */
struct peer {
    struct bench *bench;
    struct chat *chat; /* NULL: a connection to the model whose request is not here yet */
    int fd;
    char *rest; /* what is not whole yet */
    size_t rest_size;
};

struct chat {
    struct peer client;
    struct peer *upstream; /* NULL: not asked yet */
    enum chat_state state;
    unsigned number, said, heard;
    double phase;   /* 0 to 1: where in an interval its words are due, and when its answer ends */
    double next_at; /* when the next word is due; 0: not asked yet, or the answer has ended */
    double *said_at;
};

struct bench {
    unsigned chat_count, opening, opened, asked, talking, ended;
    struct chat *chats;
    char (*tokens)[512];
    unsigned words_max, server_port;
    double interval_s, warmup_s, seconds;
    pid_t pid;
    int epoll_fd, listen_fd;
    double words_from, words_until;    /* when words are measured; 0: not known yet */
    double cpu_before_s, own_before_s; /* at words_from */
    uint64_t pieces, words;            /* that arrived, of those said since words_from */
    struct histogram took;
    char *buffer;
};

static double clock_of(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time)) die("cannot read a clock: is the server alive?");
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double server_cpu_of(pid_t pid)
{
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock)) die("no such server: %d", (int)pid);
    return clock_of(clock);
}

static void watch(struct peer *peer, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    if (epoll_ctl(peer->bench->epoll_fd, operation, peer->fd, &event)) die("epoll: %s", strerror(errno));
}

/* What is sent at a time is small beside the socket's buffer. */
static void send_all(const struct peer *peer, const char *p, size_t n)
{
    ssize_t sent = send(peer->fd, p, n, MSG_NOSIGNAL);
    if (sent != (ssize_t)n) die("send: %s", sent < 0 ? strerror(errno) : "the server does not read");
}

static void keep_rest(struct peer *peer, const char *p, size_t n)
{
    char *rest = malloc(n + 1);
    if (!rest) die("out of memory");
    memcpy(rest, p, n);
    free(peer->rest);
    peer->rest = rest;
    peer->rest_size = n;
}

/* -------------------------------------------------------------- the model */

static void say_part(const struct chat *chat, const char *text, size_t n)
{
    char out[1200];
    int size = snprintf(out, sizeof out, "%zx\r\n%.*s\r\n", n, (int)n, text);
    send_all(chat->upstream, out, (size_t)size);
}

static void say_word(struct chat *chat, double now)
{
    char text[1000];
    int size = snprintf(text, sizeof text, "%sw%06u %s%08x\"}\n\n", chunk_begin, chat->said, chunk_end,
                        chat->said * 2654435761u);
    chat->said_at[chat->said++] = now;
    say_part(chat, text, (size_t)size);
}

static void end_answer(struct chat *chat)
{
    say_part(chat, last_chunk, sizeof last_chunk - 1);
    send_all(chat->upstream, "0\r\n\r\n", 5);
    chat->next_at = 0;
}

static void begin_answer(struct chat *chat, struct peer *upstream)
{
    if (chat->upstream) die("chat %u: the model was asked twice", chat->number);
    chat->upstream = upstream;
    upstream->chat = chat;
    send_all(upstream, answer_head, sizeof answer_head - 1);
    chat->client.bench->asked++;
}

/* Words of different chats are due at different times, spread evenly and not in the chats' order. */
static void begin_words(struct bench *bench, double now)
{
    for (unsigned i = 0; i < bench->chat_count; i++)
        bench->chats[i].next_at = now + bench->interval_s * (1 + bench->chats[i].phase);
}

static void read_request(struct peer *upstream, const char *p, size_t n)
{
    struct bench *bench = upstream->bench;
    const char *mark = memmem(p, n, MARK, sizeof MARK - 1), *head = memmem(p, n, "\r\n\r\n", 4);
    const char *length = memmem(p, n, "Content-Length: ", 16);
    if (!length) length = memmem(p, n, "content-length: ", 16);
    if (!head || !length || (size_t)(p + n - head - 4) < strtoul(length + 16, NULL, 10)) {
        keep_rest(upstream, p, n);
        return;
    }
    unsigned long number = mark ? strtoul(mark + sizeof MARK - 1, NULL, 10) : bench->chat_count;
    if (number >= bench->chat_count) die("a request to the model has no chat's number");
    begin_answer(&bench->chats[number], upstream);
}

static void accept_upstream(struct bench *bench)
{
    const int on = 1;
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer) die("out of memory");
    peer->bench = bench;
    peer->fd = accept4(bench->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (peer->fd < 0) die("accept: %s", strerror(errno));
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(peer, EPOLL_CTL_ADD, EPOLLIN);
}

static int listen_at(unsigned port)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096))
        die("cannot listen at %u: %s", port, strerror(errno));
    return fd;
}

/* ------------------------------------------------------------ the clients */

static void open_client(struct chat *chat)
{
    const int on = 1;
    struct peer *client = &chat->client;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)client->bench->server_port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    client->bench->opening++;
    client->bench->opened++;
    watch(client, EPOLL_CTL_ADD, EPOLLOUT);
}

static void send_text(const struct peer *client, const char *text)
{
    uint8_t out[1024];
    send_all(client, (const char *)out, frame_put(out, text, strlen(text)));
}

static bool begins(struct frame frame, const char *text)
{
    return frame.n >= strlen(text) && !memcmp(frame.p, text, strlen(text));
}

static const char *find(const char *p, size_t n, const char *what)
{
    return memmem(p, n, what, strlen(what));
}

/* ["chat.token",{"content":"w000012 w000013 ",…}] */
static void hear_words(struct chat *chat, struct frame frame)
{
    struct bench *bench = chat->client.bench;
    double now = now_s();
    const char *end = frame.p + frame.n, *at = find(frame.p, frame.n, "\"content\":\"");
    bool is_measured = false;
    if (!at) die("a piece has no content");
    for (at += 11; end - at > WORD_BYTES && *at == 'w'; at += WORD_BYTES) {
        char word[WORD_BYTES + 1];
        snprintf(word, sizeof word, "w%06u ", chat->heard);
        if (memcmp(at, word, WORD_BYTES)) die("chat %u: %.8s where %s belongs", chat->number, at, word);
        if (chat->heard >= chat->said) die("chat %u: a word nobody said", chat->number);
        double said_at = chat->said_at[chat->heard++];
        if (!bench->words_from || said_at < bench->words_from) continue;
        if (said_at < bench->words_until) histogram_add(&bench->took, now - said_at);
        bench->words++;
        is_measured = true;
    }
    if (*at != '"') die("a piece that was not expected: %.*s", (int)frame.n, frame.p);
    bench->pieces += is_measured;
}

static void hear_end(struct chat *chat)
{
    if (chat->next_at || chat->heard != chat->said)
        die("chat %u ended after %u of %u words", chat->number, chat->heard, chat->said);
    chat->state = ENDED;
    chat->client.bench->ended++;
}

static void hear_event(struct chat *chat, struct frame frame)
{
    if (begins(frame, "42/chat,[\"chat.token\","))
        hear_words(chat, frame);
    else if (begins(frame, "42/chat,[\"chat.done\","))
        hear_end(chat);
    else if (begins(frame, "42/chat,[\"error\","))
        die("chat %u failed: %.*s", chat->number, (int)frame.n, frame.p);
}

static void ask(struct chat *chat)
{
    char text[200];
    snprintf(text, sizeof text, "42/chat,1[\"chat.message\",{\"id\":\"m%u\",\"content\":\"" MARK "%u\"}]", chat->number,
             chat->number);
    chat->state = ASKING;
    send_text(&chat->client, text);
}

static void hear_packet(struct chat *chat, struct frame frame)
{
    struct bench *bench = chat->client.bench;
    char text[600];
    if (frame.opcode != 1) die("the server closes: %.*s", (int)frame.n, frame.p);
    if (begins(frame, "2")) {
        send_text(&chat->client, "3");
    } else if (begins(frame, "0{")) {
        snprintf(text, sizeof text, "40/chat,{\"token\":\"%s\"}", bench->tokens[chat->number]);
        send_text(&chat->client, text);
    } else if (begins(frame, "40/chat,")) {
        chat->state = INITIALISING;
        send_text(&chat->client, "42/chat,0[\"session.init\",{}]");
    } else if (begins(frame, "43/chat,0[") && find(frame.p, frame.n, "\"ok\":true")) {
        ask(chat);
    } else if (begins(frame, "43/chat,1[") && find(frame.p, frame.n, "\"ok\":true")) {
        chat->state = TALKING;
        bench->opening--;
        bench->talking++;
    } else if (begins(frame, "43/") || begins(frame, "44/")) {
        die("chat %u is refused: %.*s", chat->number, (int)frame.n, frame.p);
    } else {
        hear_event(chat, frame);
    }
}

static void begin_websocket(struct chat *chat)
{
    static const char request[] = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: bench\r\n"
                                  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: " LOAD_KEY "\r\n\r\n";
    send_all(&chat->client, request, sizeof request - 1);
    chat->state = UPGRADING;
    watch(&chat->client, EPOLL_CTL_MOD, EPOLLIN);
}

static void read_client(struct chat *chat, const char *p, size_t n)
{
    if (chat->state == UPGRADING) {
        const char *end = find(p, n, "\r\n\r\n");
        if (!end) {
            keep_rest(&chat->client, p, n);
            return;
        }
        if (!find(p, n, " 101 ")) die("no WebSocket: %.*s", (int)n, p);
        chat->state = CONNECTING;
        n -= (size_t)(end + 4 - p);
        p = end + 4;
    }
    struct frame frame;
    size_t used;
    while ((used = frame_get(&frame, (const uint8_t *)p, n))) {
        hear_packet(chat, frame);
        p += used;
        n -= used;
    }
    if (n) keep_rest(&chat->client, p, n);
}

/* ---------------------------------------------------------------- the loop */

static void read_peer(struct peer *peer)
{
    struct bench *bench = peer->bench;
    size_t kept = peer->rest_size;
    if (kept) memcpy(bench->buffer, peer->rest, kept);
    ssize_t got = recv(peer->fd, bench->buffer + kept, READ_BYTES - kept, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 && peer->chat && peer == &peer->chat->client) die("the server closed a client's connection");
    if (got <= 0) {
        if (peer->chat && peer->chat->next_at) die("the server left the model before the answer was over");
        epoll_ctl(bench->epoll_fd, EPOLL_CTL_DEL, peer->fd, NULL);
        return;
    }
    peer->rest_size = 0;
    if (peer->chat && peer == &peer->chat->client)
        read_client(peer->chat, bench->buffer, kept + (size_t)got);
    else
        read_request(peer, bench->buffer, kept + (size_t)got);
}

static void handle_event(struct bench *bench, const struct epoll_event *event)
{
    struct peer *peer = event->data.ptr;
    if (!peer)
        accept_upstream(bench);
    else if (event->events & EPOLLOUT)
        begin_websocket(peer->chat);
    else
        read_peer(peer);
}

static void say_what_is_due(struct bench *bench)
{
    double now = now_s();
    for (unsigned i = 0; i < bench->opened; i++) {
        struct chat *chat = &bench->chats[i];
        if (!chat->next_at || chat->next_at > now) continue;
        if (bench->words_until && now >= bench->words_until + chat->phase) {
            end_answer(chat);
            continue;
        }
        if (chat->said == bench->words_max) die("more words than were planned: the clients came too slowly");
        say_word(chat, now_s());
        chat->next_at += bench->interval_s;
    }
}

static void turn(struct bench *bench)
{
    struct epoll_event events[EVENTS];
    const struct timespec most = {0, 500000};
    while (bench->opened < bench->chat_count && bench->opening < MAX_OPENING) open_client(&bench->chats[bench->opened]);
    say_what_is_due(bench);
    int count = epoll_pwait2(bench->epoll_fd, events, EVENTS, &most, NULL);
    for (int i = 0; i < count; i++) handle_event(bench, &events[i]);
}

static void run(struct bench *bench)
{
    double all_talk_at = 0, give_up_at = now_s() + 120;
    while (bench->ended < bench->chat_count) {
        double now = now_s();
        turn(bench);
        if (now > give_up_at) die("%u of %u answers have ended", bench->ended, bench->chat_count);
        if (!all_talk_at && bench->talking == bench->chat_count && bench->asked == bench->chat_count) {
            all_talk_at = now;
            begin_words(bench, now);
        }
        if (!all_talk_at || bench->words_from || now < all_talk_at + bench->warmup_s) continue;
        bench->words_from = now;
        bench->words_until = now + bench->seconds;
        give_up_at = bench->words_until + 60;
        bench->cpu_before_s = server_cpu_of(bench->pid);
        bench->own_before_s = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    }
}

static void print_result(const struct bench *bench)
{
    double cpu_s = server_cpu_of(bench->pid) - bench->cpu_before_s, wall_s = now_s() - bench->words_from;
    double own_s = clock_of(CLOCK_PROCESS_CPUTIME_ID) - bench->own_before_s;
    printf("{\"chats\":%u,\"words\":%lu,\"pieces\":%lu,\"seconds\":%.3f,\"cpu_s\":%.4f,\"us_per_word\":%.2f,"
           "\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"p999_ms\":%.2f,\"server_busy\":%.3f,\"load_busy\":%.3f}\n",
           bench->chat_count, bench->words, bench->pieces, wall_s, cpu_s, cpu_s / (double)bench->words * 1e6,
           histogram_quantile_ms(&bench->took, 0.5), histogram_quantile_ms(&bench->took, 0.99),
           histogram_quantile_ms(&bench->took, 0.999), cpu_s / wall_s, own_s / wall_s);
}

/* ------------------------------------------------------------------- start */

static double number_of(const char *text)
{
    char *end;
    double number = strtod(text, &end);
    if (*end || end == text || number < 0) die("not a number: %s", text);
    return number;
}

static void read_tokens(struct bench *bench)
{
    for (unsigned i = 0; i < bench->chat_count; i++) {
        if (!fgets(bench->tokens[i], sizeof bench->tokens[i], stdin)) die("%u tokens are needed", bench->chat_count);
        bench->tokens[i][strcspn(bench->tokens[i], "\n")] = 0;
    }
}

static void make_chats(struct bench *bench)
{
    for (unsigned i = 0; i < bench->chat_count; i++) {
        struct chat *chat = &bench->chats[i];
        *chat = (struct chat){.number = i,
                              .phase = (double)(i * 2654435761u % 65536) / 65536,
                              .client = {.bench = bench, .chat = chat, .fd = -1}};
        chat->said_at = calloc(bench->words_max, sizeof *chat->said_at);
        if (!chat->said_at) die("out of memory");
    }
}

int main(int argc, char **argv)
{
    if (argc != 8) die("wants UPSTREAM_PORT SERVER_PORT SERVER_PID CHATS RATE WARMUP_S SECONDS");
    struct bench bench = {.server_port = (unsigned)number_of(argv[2]),
                          .pid = (pid_t)number_of(argv[3]),
                          .chat_count = (unsigned)number_of(argv[4]),
                          .interval_s = 1 / number_of(argv[5]),
                          .warmup_s = number_of(argv[6]),
                          .seconds = number_of(argv[7])};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    bench.words_max = (unsigned)((bench.warmup_s + bench.seconds + 10) / bench.interval_s);
    bench.chats = calloc(bench.chat_count, sizeof *bench.chats);
    bench.tokens = calloc(bench.chat_count, sizeof *bench.tokens);
    bench.buffer = malloc(READ_BYTES);
    bench.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    bench.listen_fd = listen_at((unsigned)number_of(argv[1]));
    if (!bench.chats || !bench.tokens || !bench.buffer || bench.epoll_fd < 0) die("out of memory");
    if (epoll_ctl(bench.epoll_fd, EPOLL_CTL_ADD, bench.listen_fd, &event)) die("epoll: %s", strerror(errno));
    read_tokens(&bench);
    make_chats(&bench);
    run(&bench);
    print_result(&bench);
    return 0;
}
