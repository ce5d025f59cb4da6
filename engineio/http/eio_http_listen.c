/* The sockets that are listened on, and accepting: who is let in, refused, or left waiting. Several may be open, each
 * with its own kind (struct eio_http_listener). What speaks TLS is accepted by evhtp, which makes the connection's
 * bufferevent; a plain one is ours from the start. */
#include "eio_http_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

struct eio__listener {
    struct eio__listener *next;
    struct eio_http *http;
    struct evconnlistener *socket; /* evhtp's, or ours if evhtp is NULL */
    evhtp_t *evhtp;                /* NULL: plain */
    struct eio_http_listener kind; /* its descriptor is the socket's by now */
};

/* --------------------------------------------------------------- accepting */

enum eio_limit eio__http_limit(struct eio_http *http, const struct eio__address *peer)
{
    const struct eio_http_options *o = &http->options;
    if (o->max_connections && http->stats.connections - http->private_connections + http->leased >= o->max_connections)
        return EIO_LIMIT_CONNECTIONS;
    if (!o->max_connections_per_address) return EIO_LIMIT_COUNT;
    const struct eio__visitor *visitor = eio__visitors_find(&http->visitors, peer);
    return visitor && visitor->count >= o->max_connections_per_address ? EIO_LIMIT_CONNECTIONS_PER_ADDRESS
                                                                       : EIO_LIMIT_COUNT;
}

bool eio__http_is_flooded(struct eio_http *http, enum eio_limit limit)
{
    if (limit == EIO_LIMIT_COUNT || http->refusals < EIO__HTTP_REFUSALS_MAX) return false;
    http->stats.refused++;
    eio_limit_hit(&http->hits[limit], http->loop, eio_limit_name(limit), NULL);
    return true;
}

/* Many clients come through one proxy: those we trust are not counted. */
static void count_connection(struct eio__conn *conn)
{
    struct eio_http *http = conn->http;
    if (!http->options.max_connections_per_address || eio__proxies_trust(&http->proxies, &conn->peer)) return;
    struct eio__visitor *visitor = eio__visitors_get(&http->visitors, &conn->peer);
    if (!visitor) return;
    eio__visitor_enter(&http->visitors, visitor);
    conn->counted = true;
}

void eio__http_on_lease_end(const struct eio__lease *lease)
{
    lease->http->leased--;
    if (lease->counted) eio__visitor_leave(&lease->http->visitors, &lease->peer);
}

void eio__http_enter(struct eio__conn *conn, enum eio_limit limit)
{
    struct eio_http *http = conn->http;
    if (limit == EIO_LIMIT_COUNT) {
        count_connection(conn);
        return;
    }
    conn->refused = true;
    http->refusals++;
    http->stats.connections--;
    eio__conn_hit(conn, limit);
    if (limit == EIO_LIMIT_CONNECTIONS)
        eio__conn_refuse(conn, 503, "too many connections");
    else
        eio__conn_refuse(conn, 429, "too many connections from this address");
}

/* Without a pause, a listener that cannot accept would spin. Those that wait stay in its backlog. */
static void pause_accepting(struct eio_http *http, const char *why)
{
    unsigned long long unsaid;
    if (eio__counter_hit(&http->hits[EIO_LIMIT_RESERVED_DESCRIPTORS], http->loop, EIO_DESCRIPTORS_LOG_MS, &unsaid))
        eio_log(EIO_LOG_WARN, "http: not accepting new connections: %s (%llu more since the last such line)", why,
                unsaid);
    for (struct eio__listener *one = http->listeners; one; one = one->next) evconnlistener_disable(one->socket);
    eio_timer_start(&http->accept_timer, EIO__HTTP_ACCEPT_PAUSE_MS);
}

/* The kernel gives the lowest number that is free: one within the reserve means that all others are taken. */
static bool is_reserved(const struct eio_http *http, int fd)
{
    struct rlimit limit;
    rlim_t reserved = http->options.reserved_descriptors;
    if (!reserved || getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
    if (reserved > limit.rlim_cur / 2) reserved = limit.rlim_cur / 2;
    return (rlim_t)fd >= limit.rlim_cur - reserved;
}

/* Whether the next connection would get one that is not reserved. */
static bool has_descriptors(const struct eio_http *http)
{
    int fd = fcntl(evconnlistener_get_fd(http->listeners->socket), F_DUPFD_CLOEXEC, 0);
    bool has = fd >= 0 && !is_reserved(http, fd);
    if (fd >= 0) close(fd);
    return has;
}

static void count_accepted(struct eio_http *http, int fd, const struct sockaddr *from, struct eio__address *peer)
{
    /* Asking costs two system calls. Far below the reserve it is not done: if all in between are taken, this connection
     * is the last to get a low one, and the next sees it. */
    if (is_reserved(http, 2 * fd) && !has_descriptors(http))
        pause_accepting(http, "only reserved file descriptors are left");
    eio__address_of(from, peer);
    http->stats.accepted++;
}

/* Who listens apart is not kept out by the crowd at the public door, only by a limit of its own. */
static enum eio_limit limit_of(struct eio_http *http, const struct eio__listener *listener,
                               const struct eio__address *peer)
{
    if (!listener->kind.door) return eio__http_limit(http, peer);
    size_t max = http->options.max_private_connections;
    return max && http->private_connections >= max ? EIO_LIMIT_CONNECTIONS : EIO_LIMIT_COUNT;
}

/* Negative: out of memory, nothing has happened. */
static int enter(const struct eio__listener *listener, struct eio__conn *conn, enum eio_limit limit)
{
    bool is_proxied = listener->kind.proxied;
    SSL *ssl = conn->tls ? bufferevent_openssl_get_ssl(conn->bev) : NULL;
    int failed = !is_proxied ? 0 : ssl ? eio__greeting_expect_tls(conn, ssl) : eio__greeting_expect(conn);
    conn->door = listener->kind.door;
    if (conn->door) conn->http->private_connections++;
    if (failed) return failed;
    if (is_proxied)
        eio__conn_set_state(conn, EIO__H_HEAD);
    else
        eio__http_enter(conn, limit);
    return 0;
}

/* A proxy speaks for others, so only those are believed that may; who can open a UNIX socket's file may. */
static bool may_greet(struct eio_http *http, const struct eio__address *peer)
{
    if (eio__address_is_unix(peer) || eio__proxies_trust(&http->greeters, peer)) return true;
    eio__greeting_refuse(http, peer, "the peer is not in proxy_networks");
    return false;
}

void eio__http_greeted(struct eio__conn *conn)
{
    struct eio_http *http = conn->http;
    http->stats.connections--; /* it is not one more */
    enum eio_limit limit = conn->door ? EIO_LIMIT_COUNT : eio__http_limit(http, &conn->peer);
    http->stats.connections++;
    eio__conn_set_state(conn, EIO__H_HEAD);
    eio__http_enter(conn, limit);
}

/* Plain: what evhtp would make of it is not needed. */
static void on_plain(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *from, int size, void *ctx)
{
    struct eio__listener *listener = ctx;
    struct eio_http *http = listener->http;
    struct eio__address peer;
    (void)socket;
    (void)size;
    count_accepted(http, fd, from, &peer);
    enum eio_limit limit = limit_of(http, listener, &peer);
    bool is_refused = eio__http_is_flooded(http, limit) || (listener->kind.proxied && !may_greet(http, &peer));
    struct eio__conn *conn = is_refused ? NULL : eio__conn_new(http, fd, &peer);
    if (!conn)
        close(fd);
    else if (enter(listener, conn, limit))
        eio__conn_drop(conn);
}

static evhtp_res on_tls(evhtp_connection_t *evhtp, void *ctx)
{
    struct eio__listener *listener = ctx;
    struct eio_http *http = listener->http;
    struct eio__address peer;
    count_accepted(http, evhtp->sock, evhtp->saddr, &peer);
    enum eio_limit limit = limit_of(http, listener, &peer);
    bool is_refused = eio__http_is_flooded(http, limit) || (listener->kind.proxied && !may_greet(http, &peer));
    struct eio__conn *conn = is_refused ? NULL : eio__conn_new_tls(http, evhtp, &peer);
    if (!conn) return EVHTP_RES_ERROR;
    if (enter(listener, conn, limit)) eio__conn_break(conn);
    return EVHTP_RES_OK;
}

static void on_plain_error(struct evconnlistener *socket, void *ctx)
{
    const struct eio__listener *listener = ctx;
    (void)socket;
    pause_accepting(listener->http, strerror(EVUTIL_SOCKET_ERROR()));
}

static void on_tls_error(struct evconnlistener *socket, void *ctx)
{
    const evhtp_t *evhtp = ctx;
    on_plain_error(socket, evhtp->arg);
}

void eio__http_on_accept_timer(void *ctx)
{
    struct eio_http *http = ctx;
    if (!http->listeners) return;
    if (!has_descriptors(http)) {
        pause_accepting(http, "only reserved file descriptors are left");
        return;
    }
    for (struct eio__listener *one = http->listeners; one; one = one->next) evconnlistener_enable(one->socket);
}

/* --------------------------------------------------------------- listening */

static socklen_t parse_host(const char *host, uint16_t port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;
    if (strcmp(host, "localhost") == 0) host = "127.0.0.1";
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return sizeof *v6;
    }
    return 0;
}

static int bind_socket(struct eio_http *http, const struct sockaddr_storage *address, socklen_t size)
{
    int on = 1, fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (http->options.reuse_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)address, size) == 0) return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* evhtp's requests are parked until eio_http_reply(): see feed_evhtp(). */
static void on_evhtp_request(evhtp_request_t *request, void *ctx)
{
    (void)request;
    (void)ctx;
}

static int accept_tls(struct eio__listener *listener, int fd)
{
    struct eio_http *http = listener->http;
    evhtp_t *evhtp = evhtp_new(eio_loop_base(http->loop), listener);
    if (!evhtp) return EIO_ENOMEM;
    listener->evhtp = evhtp;
    evhtp->ssl_ctx = http->tls;
    evhtp_set_gencb(evhtp, on_evhtp_request, NULL);
    evhtp_set_post_accept_cb(evhtp, on_tls, listener);
    if (evhtp_accept_socket(evhtp, fd, http->options.backlog) != 0 || !evhtp->server) return EIO_ESYS;
    listener->socket = evhtp->server;
    evconnlistener_set_error_cb(listener->socket, on_tls_error);
    return 0;
}

static int accept_plain(struct eio__listener *listener, int fd)
{
    const struct eio_http *http = listener->http;
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    listener->socket =
        evconnlistener_new(eio_loop_base(http->loop), on_plain, listener, flags, http->options.backlog, fd);
    if (!listener->socket) return EIO_ESYS;
    evconnlistener_set_error_cb(listener->socket, on_plain_error);
    return 0;
}

/* The socket goes with it; its TLS connections are evhtp's own and stay until they end, so the evhtp does, too. */
static void stop(struct eio__listener *listener)
{
    struct eio_http *http = listener->http;
    if (listener->evhtp) {
        evhtp_unbind_socket(listener->evhtp);
        listener->evhtp->server = NULL;
        listener->next = http->stopped;
        http->stopped = listener;
        return;
    }
    evconnlistener_free(listener->socket);
    free(listener);
}

static void listener_free(struct eio__listener *listener)
{
    if (listener->evhtp) {
        listener->evhtp->ssl_ctx = NULL; /* the server's */
        evhtp_free(listener->evhtp);
    }
    free(listener);
}

int eio__http_accept_on(struct eio_http *http, const struct eio_http_listener *kind)
{
    struct eio__listener *listener = calloc(1, sizeof *listener), **last = &http->listeners;
    if (!listener) return EIO_ENOMEM;
    listener->http = http;
    listener->kind = *kind;
    int failed =
        http->tls && !kind->plain ? accept_tls(listener, kind->take_fd) : accept_plain(listener, kind->take_fd);
    if (failed) {
        listener_free(listener);
        return failed;
    }
    while (*last) last = &(*last)->next;
    *last = listener;
    return 0;
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
    if (address->ss_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return 0;
}

int eio_http_listen_on(struct eio_http *http, const struct eio_http_listener *kind)
{
    int on = 1, fd = kind->take_fd, failed = EIO_ESYS;
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    if (kind->door >= EIO_HTTP_DOORS) {
        failed = EIO_EINVAL;
    } else if (getsockname(fd, (struct sockaddr *)&bound, &size) == 0) {
        evutil_make_socket_nonblocking(fd);
        evutil_make_socket_closeonexec(fd);
        /* Accepted sockets inherit it. */
        if (bound.ss_family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        failed = eio__http_accept_on(http, kind);
    }
    if (!failed) {
        if (!http->port) http->port = port_of(&bound);
        return 0;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return failed;
}

int eio_http_listen_fd(struct eio_http *http, int take_fd)
{
    return eio_http_listen_on(http, &(struct eio_http_listener){.take_fd = take_fd});
}

int eio_http_listen(struct eio_http *http, const char *host, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t size = host ? parse_host(host, port, &address) : 0;
    if (size == 0) return EIO_EINVAL;
    int fd = bind_socket(http, &address, size);
    return fd < 0 ? EIO_ESYS : eio_http_listen_fd(http, fd);
}

uint16_t eio_http_port(const struct eio_http *http)
{
    return http->port;
}

void eio_http_stop_listening(struct eio_http *http)
{
    eio_timer_stop(&http->accept_timer);
    while (http->listeners) {
        struct eio__listener *first = http->listeners;
        http->listeners = first->next;
        stop(first);
    }
    http->port = 0;
}

void eio__http_listeners_clear(struct eio_http *http)
{
    eio_http_stop_listening(http);
    while (http->stopped) {
        struct eio__listener *first = http->stopped;
        http->stopped = first->next;
        listener_free(first);
    }
}

int eio_http_reload_tls(struct eio_http *http)
{
    if (!http->tls) return EIO_EINVAL;
    SSL_CTX *tls = eio__tls_load(&http->options);
    if (!tls) return EIO_EINVAL;
    SSL_CTX_free(http->tls); /* connections hold references of their own */
    http->tls = tls;
    for (struct eio__listener *one = http->listeners; one; one = one->next)
        if (one->evhtp) one->evhtp->ssl_ctx = tls;
    eio_log(EIO_LOG_INFO, "tls: certificate reloaded");
    return 0;
}
