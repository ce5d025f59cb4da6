/* A server of models in the loop of the test: it answers each connection with what is scripted for it, byte for byte.
 */
#ifndef LLM_UPSTREAM_H
#define LLM_UPSTREAM_H

#include "kit_fixture.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include <arpa/inet.h>

#define UPSTREAM_CONNECTIONS_MAX 16

enum upstream_end {
    UPSTREAM_CLOSES, /* after the last byte */
    UPSTREAM_STAYS,  /* says nothing more */
    UPSTREAM_RESETS, /* closes without the end of the body */
    UPSTREAM_DRIPS,  /* a comment every few milliseconds, for ever */
    UPSTREAM_FLOODS, /* the bytes again and again, for ever */
};

struct upstream_script {
    const char *head; /* status and further fields, "503 Busy\r\nRetry-After: 0\r\n"; NULL: a stream at status 200 */
    const char *body;
    enum upstream_end end;
};

struct upstream;
struct upstream_peer {
    struct upstream *upstream;
    struct bufferevent *bev;
    struct event *timer;
    const struct upstream_script *script;
    char request[65536];
    size_t n;
    bool answered, closed;
};

struct upstream {
    struct event_base *base;
    struct evconnlistener *listener;
    unsigned port;
    const struct upstream_script *scripts; /* one for each connection, in order */
    struct upstream_peer peers[UPSTREAM_CONNECTIONS_MAX];
    size_t count; /* of connections so far */
};

static inline void upstream_on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct upstream_peer *peer = ctx;
    (void)fd, (void)what;
    if (peer->closed || evbuffer_get_length(bufferevent_get_output(peer->bev)) > 1 << 20) return;
    if (peer->script->end == UPSTREAM_DRIPS) {
        bufferevent_write(peer->bev, ": still here\n\n", 14);
        return;
    }
    for (int i = 0; i < 100; i++) bufferevent_write(peer->bev, peer->script->body, strlen(peer->script->body));
}

static inline void upstream_close(struct upstream_peer *peer)
{
    if (peer->bev) bufferevent_free(peer->bev);
    if (peer->timer) event_free(peer->timer);
    peer->bev = NULL;
    peer->timer = NULL;
    peer->closed = true;
}

static inline void upstream_answer(struct upstream_peer *peer)
{
    static const char head[] = "200 OK\r\nContent-Type: text/event-stream\r\n";
    const struct upstream_script *script = peer->script;
    struct evbuffer *out = bufferevent_get_output(peer->bev);
    struct timeval soon = {0, 5000};
    peer->answered = true;
    evbuffer_add_printf(out, "HTTP/1.1 %s", script->head ? script->head : head);
    if (script->end == UPSTREAM_STAYS || script->end == UPSTREAM_CLOSES)
        evbuffer_add_printf(out, "Connection: close\r\n\r\n%s", script->body);
    else if (script->end == UPSTREAM_RESETS)
        evbuffer_add_printf(out, "Content-Length: 100000\r\n\r\n%s", script->body);
    else
        evbuffer_add_printf(out, "Connection: close\r\n\r\n");
    if (script->end < UPSTREAM_DRIPS) return;
    peer->timer = event_new(peer->upstream->base, -1, EV_PERSIST, upstream_on_tick, peer);
    event_add(peer->timer, &soon);
}

static inline void upstream_on_written(struct bufferevent *bev, void *ctx)
{
    struct upstream_peer *peer = ctx;
    (void)bev;
    if (peer->answered && (peer->script->end == UPSTREAM_CLOSES || peer->script->end == UPSTREAM_RESETS))
        upstream_close(peer);
}

static inline void upstream_on_read(struct bufferevent *bev, void *ctx)
{
    struct upstream_peer *peer = ctx;
    peer->n += bufferevent_read(bev, peer->request + peer->n, sizeof peer->request - 1 - peer->n);
    peer->request[peer->n] = 0;
    const char *end = strstr(peer->request, "\r\n\r\n"), *length = strstr(peer->request, "Content-Length: ");
    if (!end || !length || peer->answered) return;
    if (peer->n - (size_t)(end + 4 - peer->request) >= strtoul(length + 16, NULL, 10)) upstream_answer(peer);
}

static inline void upstream_on_event(struct bufferevent *bev, short what, void *ctx)
{
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) upstream_close(ctx);
}

static inline void upstream_on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                                      int size, void *ctx)
{
    struct upstream *upstream = ctx;
    (void)listener, (void)address, (void)size;
    assert_true(upstream->count < UPSTREAM_CONNECTIONS_MAX);
    struct upstream_peer *peer = &upstream->peers[upstream->count];
    peer->upstream = upstream;
    peer->script = &upstream->scripts[upstream->count++];
    peer->bev = bufferevent_socket_new(upstream->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(peer->bev, upstream_on_read, upstream_on_written, upstream_on_event, peer);
    bufferevent_enable(peer->bev, EV_READ | EV_WRITE);
}

/* scripts: as many as there will be connections; the last one ends with body NULL. */
static inline void upstream_open(struct upstream *upstream, struct event_base *base)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *upstream = (struct upstream){.base = base};
    upstream->listener = evconnlistener_new_bind(base, upstream_on_accept, upstream, LEV_OPT_CLOSE_ON_FREE, -1,
                                                 (struct sockaddr *)&address, sizeof address);
    assert_non_null(upstream->listener);
    getsockname(evconnlistener_get_fd(upstream->listener), (struct sockaddr *)&address, &size);
    upstream->port = ntohs(address.sin_port);
}

static inline void upstream_free(struct upstream *upstream)
{
    if (upstream->listener) evconnlistener_free(upstream->listener);
    for (size_t i = 0; i < upstream->count; i++) upstream_close(&upstream->peers[i]);
}

/* The body of what the connection asked. */
static inline const char *upstream_body(const struct upstream *upstream, size_t i)
{
    return strstr(upstream->peers[i].request, "\r\n\r\n") + 4;
}

#endif
