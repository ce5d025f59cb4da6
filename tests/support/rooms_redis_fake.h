/* A Redis in the test's own process and loop, which answers as it is told to, or does not. */
#ifndef ROOMS_REDIS_FAKE_H
#define ROOMS_REDIS_FAKE_H

#include "rooms_redis_fixture.h"

#include <netinet/tcp.h>

enum { FAKE_CLIENTS = 16, FAKE_NAMES = 8, FAKE_ARGS = 8 };

struct fake_client {
    struct fake *fake;
    int fd; /* -1: free */
    struct event event;
    char in[65536];
    size_t in_size, sent; /* bytes, since it connected */
    char names[FAKE_NAMES][64];
};

struct fake {
    struct node *node;
    int listener, port;
    struct event event;
    struct fake_client clients[FAKE_CLIENTS];
    size_t budget;    /* a connection is closed after that many bytes were sent on it */
    size_t piece;     /* bytes in one write; 0: all */
    const char *word; /* that command is answered with `answer`, NULL: not at all */
    const char *answer;
    size_t answer_size;
    size_t skip;  /* the first ones of it are answered well */
    size_t times; /* that it was answered so */
    size_t connections, reads;
    char published[65536]; /* "payload " each */
};

static inline void fake_close(struct fake_client *client)
{
    event_del(&client->event);
    close(client->fd);
    client->fd = -1;
}

static inline void fake_send(struct fake_client *client, const char *p, size_t n)
{
    struct fake *fake = client->fake;
    if (client->fd < 0) return;
    bool ends = n >= fake->budget - client->sent;
    if (ends) n = fake->budget - client->sent;
    size_t piece = fake->piece ? fake->piece : n;
    for (size_t at = 0; at < n; at += piece) {
        if (send(client->fd, p + at, n - at < piece ? n - at : piece, MSG_NOSIGNAL) < 0) break;
        if (fake->piece) sleep_ms(0);
    }
    client->sent += n;
    if (ends) fake_close(client);
}

static inline void fake_text(struct fake_client *client, const char *text)
{
    fake_send(client, text, strlen(text));
}

static inline void fake_confirm(struct fake_client *client, const char *word, const char *text)
{
    char answer[4096];
    snprintf(answer, sizeof answer, "*3\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n:1\r\n", strlen(word), word, strlen(text), text);
    fake_text(client, answer);
}

static inline size_t fake_find(const struct fake_client *client, const char *text)
{
    size_t i = 0;
    while (i < FAKE_NAMES && strcmp(client->names[i], text) != 0) i++;
    return i;
}

static inline void fake_publish(struct fake *fake, const char *channel, const char *payload)
{
    char push[8192];
    size_t used = strlen(fake->published);
    snprintf(fake->published + used, sizeof fake->published - used, "%s ", payload);
    snprintf(push, sizeof push, "*3\r\n$7\r\nmessage\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(channel), channel,
             strlen(payload), payload);
    for (size_t i = 0; i < FAKE_CLIENTS; i++)
        if (fake->clients[i].fd >= 0 && fake_find(&fake->clients[i], channel) < FAKE_NAMES)
            fake_text(&fake->clients[i], push);
}

static inline bool fake_listens(const struct fake_client *client)
{
    for (size_t i = 0; i < FAKE_NAMES; i++)
        if (client->names[i][0]) return true;
    return false;
}

static inline void fake_subscribe(struct fake_client *client, const char *text, bool subscribe)
{
    size_t at = fake_find(client, subscribe ? "" : text);
    if (at < FAKE_NAMES) snprintf(client->names[at], sizeof client->names[at], "%s", subscribe ? text : "");
}

static inline void fake_command(struct fake_client *client, char args[][512], size_t count)
{
    struct fake *fake = client->fake;
    bool well = !fake->word || strcmp(fake->word, args[0]) != 0;
    if (!well && fake->skip > 0) {
        fake->skip--;
        well = true;
    }
    if (!well) {
        fake->times++;
        if (fake->answer) fake_send(client, fake->answer, fake->answer_size);
    } else if (strcmp(args[0], "PING") == 0) {
        fake_text(client, fake_listens(client) ? "*2\r\n$4\r\npong\r\n$0\r\n\r\n" : "+PONG\r\n");
    } else if (strcmp(args[0], "SUBSCRIBE") == 0) {
        fake_subscribe(client, args[1], true);
        fake_confirm(client, "subscribe", args[1]);
    } else if (strcmp(args[0], "SSUBSCRIBE") == 0) {
        fake_confirm(client, "ssubscribe", args[1]);
    } else if (strcmp(args[0], "UNSUBSCRIBE") == 0) {
        fake_subscribe(client, args[1], false);
        fake_confirm(client, "unsubscribe", args[1]);
    } else if (strcmp(args[0], "PUBLISH") == 0 && count == 3) {
        fake_publish(fake, args[1], args[2]);
        fake_text(client, ":1\r\n");
    } else {
        fake_text(client, "+OK\r\n");
    }
}

/* One command of arrays and strings, as we send them. Returns its size, 0: not whole. */
static inline size_t fake_parse(const char *p, size_t n, char args[][512], size_t *count)
{
    char *end;
    const char *line = n ? memchr(p, '\n', n) : NULL;
    if (!line) return 0;
    assert_int_equal(*p, '*');
    *count = strtoul(p + 1, NULL, 10);
    assert_in_range(*count, 1, FAKE_ARGS);
    const char *at = line + 1;
    for (size_t i = 0; i < *count; i++) {
        if (!memchr(at, '\n', (size_t)(p + n - at))) return 0;
        assert_int_equal(*at, '$');
        size_t size = strtoul(at + 1, &end, 10);
        assert_true(end[0] == '\r' && end[1] == '\n' && size < 512);
        if ((size_t)(p + n - end) < size + 4) return 0;
        memcpy(args[i], end + 2, size);
        args[i][size] = '\0';
        at = end + 2 + size + 2;
    }
    return (size_t)(at - p);
}

static inline void fake_on_read(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct fake_client *client = ctx;
    char args[FAKE_ARGS][512];
    size_t at = 0, size, count;
    ssize_t n = recv(fd, client->in + client->in_size, sizeof client->in - client->in_size - 1, 0);
    if (n <= 0) {
        fake_close(client);
        return;
    }
    client->fake->reads++;
    client->in_size += (size_t)n;
    client->in[client->in_size] = '\0';
    while (client->fd >= 0 && (size = fake_parse(client->in + at, client->in_size - at, args, &count)) > 0) {
        fake_command(client, args, count);
        at += size;
    }
    client->in_size -= at;
    memmove(client->in, client->in + at, client->in_size);
}

static inline void fake_on_accept(evutil_socket_t listener, short what, void *ctx)
{
    (void)what;
    struct fake *fake = ctx;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fake->connections++;
    for (size_t i = 0; i < FAKE_CLIENTS; i++) {
        struct fake_client *client = &fake->clients[i];
        if (client->fd >= 0) continue;
        memset(client, 0, sizeof *client);
        client->fake = fake;
        client->fd = fd;
        event_assign(&client->event, fake->node->base, fd, EV_READ | EV_PERSIST, fake_on_read, client);
        event_add(&client->event, NULL);
        if (fake->budget == 0) fake_close(client);
        return;
    }
    fail_msg("too many connections");
}

/* A node that will connect to it: options are set, and it is to be started. */
static inline void fake_start(struct fake *fake, struct node *node)
{
    struct redis_server server = {.port = free_port()};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    node_init(node, &server);
    node->options.reconnect_min_ms = 1;
    node->options.reconnect_max_ms = 4;
    node->options.connect_timeout_ms = 100;
    node->options.liveness_ms = 100;
    memset(fake, 0, sizeof *fake);
    fake->node = node;
    fake->port = server.port;
    fake->budget = SIZE_MAX;
    for (size_t i = 0; i < FAKE_CLIENTS; i++) fake->clients[i].fd = -1;
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address.sin_port = htons((uint16_t)fake->port);
    assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fake->listener, 16), 0);
    event_assign(&fake->event, node->base, fake->listener, EV_READ | EV_PERSIST, fake_on_accept, fake);
    event_add(&fake->event, NULL);
}

static inline void fake_stop(struct fake *fake)
{
    for (size_t i = 0; i < FAKE_CLIENTS; i++)
        if (fake->clients[i].fd >= 0) fake_close(&fake->clients[i]);
    event_del(&fake->event);
    close(fake->listener);
}

/* To all who listen; bytes as they are. */
static inline void fake_say(struct fake *fake, const char *p, size_t n)
{
    for (size_t i = 0; i < FAKE_CLIENTS; i++)
        if (fake->clients[i].fd >= 0 && fake_listens(&fake->clients[i])) fake_send(&fake->clients[i], p, n);
}

#endif
