/* The HTTP server: listener, routes, options, the list of connections. The listener is evhtp's, and over TLS so are the
 * connections, their bufferevents and replies; it never sees the network's bytes (see eio_http_conn.c). */
#include "eio_http_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void eio_http_options_init(struct eio_http_options *options)
{
    *options = (struct eio_http_options){
        .max_head_bytes = 16384,
        .max_line_bytes = 8192,
        .max_fields = 100,
        .max_body_bytes = 1000000,
        .head_timeout_ms = 60000,
        .max_half_open = 4096,
        .body_timeout_ms = 60000,
        .idle_timeout_ms = 60000,
        .max_stream_queue_bytes = 1048576,
        .linger_ms = 2000,
        .max_addresses = 65536,
        .backlog = 1024,
        .reserved_descriptors = 32,
    };
}

/* --------------------------------------------------------------- accepting */

/* evhtp's requests are parked until eio_http_reply(): see feed_evhtp(). */
static void on_evhtp_request(evhtp_request_t *request, void *ctx)
{
    (void)request;
    (void)ctx;
}

enum eio_limit eio__http_limit(struct eio_http *http, const struct eio__address *peer)
{
    const struct eio_http_options *o = &http->options;
    if (o->max_connections && http->stats.connections + http->leased >= o->max_connections)
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

static void on_lease_end(const struct eio__lease *lease)
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
    evconnlistener_disable(http->evhtp->server);
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
    int fd = fcntl(evconnlistener_get_fd(http->evhtp->server), F_DUPFD_CLOEXEC, 0);
    bool has = fd >= 0 && !is_reserved(http, fd);
    if (fd >= 0) close(fd);
    return has;
}

/* What is to be done with one that was accepted. */
static enum eio_limit count_accepted(struct eio_http *http, int fd, const struct sockaddr *from,
                                     struct eio__address *peer)
{
    /* Asking costs two system calls. Far below the reserve it is not done: if all in between are taken, this connection
     * is the last to get a low one, and the next sees it. */
    if (is_reserved(http, 2 * fd) && !has_descriptors(http))
        pause_accepting(http, "only reserved file descriptors are left");
    eio__address_of(from, peer);
    http->stats.accepted++;
    return eio__http_limit(http, peer);
}

/* Plain: what evhtp would make of it is not needed. */
static void on_plain(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int size, void *ctx)
{
    const evhtp_t *evhtp = ctx;
    struct eio_http *http = evhtp->arg;
    struct eio__address peer;
    (void)listener;
    (void)size;
    enum eio_limit limit = count_accepted(http, fd, from, &peer);
    struct eio__conn *conn = eio__http_is_flooded(http, limit) ? NULL : eio__conn_new(http, fd, &peer);
    if (conn)
        eio__http_enter(conn, limit);
    else
        close(fd);
}

static evhtp_res on_tls(evhtp_connection_t *evhtp, void *ctx)
{
    struct eio_http *http = ctx;
    struct eio__address peer;
    enum eio_limit limit = count_accepted(http, evhtp->sock, evhtp->saddr, &peer);
    struct eio__conn *conn = eio__http_is_flooded(http, limit) ? NULL : eio__conn_new_tls(http, evhtp, &peer);
    if (!conn) return EVHTP_RES_ERROR;
    eio__http_enter(conn, limit);
    return EVHTP_RES_OK;
}

static void on_accept_error(struct evconnlistener *listener, void *ctx)
{
    evhtp_t *evhtp = ctx;
    (void)listener;
    pause_accepting(evhtp->arg, strerror(EVUTIL_SOCKET_ERROR()));
}

static void on_accept_timer(void *ctx)
{
    struct eio_http *http = ctx;
    if (!http->evhtp->server) return;
    if (has_descriptors(http))
        evconnlistener_enable(http->evhtp->server);
    else
        pause_accepting(http, "only reserved file descriptors are left");
}

/* ------------------------------------------------------------------- pokes */

void eio__conn_poke(struct eio__conn *conn)
{
    struct eio_http *http = conn->http;
    if (conn->poked || conn->advancing) return;
    conn->poked = true;
    conn->poke_next = http->poke_first;
    http->poke_first = conn;
    event_active(http->poke_event, EV_TIMEOUT, 0);
}

void eio__http_run_pokes(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct eio_http *http = ctx;
    while (http->poke_first) {
        struct eio__conn *conn = http->poke_first;
        http->poke_first = conn->poke_next;
        conn->poked = false;
        eio__conn_advance(conn);
    }
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

static int fail_listening(struct eio_http *http, int take_fd)
{
    int saved = errno;
    close(take_fd);
    errno = saved;
    http->port = 0;
    return EIO_ESYS;
}

int eio__http_accept_on(struct eio_http *http, int fd)
{
    if (evhtp_accept_socket(http->evhtp, fd, http->options.backlog) != 0 || !http->evhtp->server) return EIO_ESYS;
    evconnlistener_set_error_cb(http->evhtp->server, on_accept_error);
    if (!http->tls) evconnlistener_set_cb(http->evhtp->server, on_plain, http->evhtp);
    return 0;
}

int eio_http_listen_fd(struct eio_http *http, int take_fd)
{
    int on = 1;
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    if (http->evhtp->server) {
        close(take_fd);
        return EIO_EINVAL;
    }
    if (getsockname(take_fd, (struct sockaddr *)&bound, &size) != 0) return fail_listening(http, take_fd);
    http->port = ntohs(bound.ss_family == AF_INET ? ((struct sockaddr_in *)(void *)&bound)->sin_port
                                                  : ((struct sockaddr_in6 *)(void *)&bound)->sin6_port);
    evutil_make_socket_nonblocking(take_fd);
    evutil_make_socket_closeonexec(take_fd);
    /* Accepted sockets inherit it. */
    setsockopt(take_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return eio__http_accept_on(http, take_fd) == 0 ? 0 : fail_listening(http, take_fd);
}

int eio_http_listen(struct eio_http *http, const char *host, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t size = host ? parse_host(host, port, &address) : 0;
    if (size == 0 || http->evhtp->server) return EIO_EINVAL;
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
    if (http->evhtp->server) evhtp_unbind_socket(http->evhtp);
    http->evhtp->server = NULL;
}

/* ------------------------------------------------------------------ routes */

/* Longer paths first; of equal ones the exact. */
static bool before(const struct eio__route *a, const struct eio__route *b)
{
    return a->path_size != b->path_size ? a->path_size > b->path_size : !a->prefix && b->prefix;
}

static bool has_route(const struct eio_http *http, const char *path, size_t size, bool prefix)
{
    for (size_t i = 0; i < http->route_count; i++) {
        const struct eio__route *route = &http->routes[i];
        if (route->prefix == prefix && route->path_size == size && memcmp(route->path, path, size) == 0) return true;
    }
    return false;
}

static struct eio_deadlines *new_body_deadlines(struct eio_http *http, uint32_t length_ms)
{
    struct eio_deadlines *deadlines = calloc(1, sizeof *deadlines);
    if (!deadlines) return NULL;
    if (eio_deadlines_init(deadlines, http->loop, length_ms, eio__conn_on_body_deadline, http) == 0) return deadlines;
    free(deadlines);
    return NULL;
}

static void route_clear(struct eio__route *route)
{
    if (route->body_deadlines) eio_deadlines_clear(route->body_deadlines);
    free(route->body_deadlines);
    free(route->path);
}

int eio__http_route_add(struct eio_http *http, const char *path, const struct eio__route_spec *spec)
{
    size_t size = strlen(path);
    bool prefix = size > 0 && path[size - 1] == '*';
    if (prefix) size--;
    if (has_route(http, path, size, prefix)) return EIO_EEXIST;
    struct eio__route *grown = realloc(http->routes, (http->route_count + 1) * sizeof *grown);
    if (!grown) return EIO_ENOMEM;
    http->routes = grown;
    struct eio__route route = {strndup(path, size), size, prefix, *spec, NULL};
    if (spec->body_timeout_ms) route.body_deadlines = new_body_deadlines(http, spec->body_timeout_ms);
    if (!route.path || (spec->body_timeout_ms && !route.body_deadlines)) {
        route_clear(&route);
        return EIO_ENOMEM;
    }
    if (!spec->max_body_bytes) route.spec.max_body_bytes = http->options.max_body_bytes;
    size_t at = http->route_count++;
    for (; at > 0 && before(&route, &grown[at - 1]); at--) grown[at] = grown[at - 1];
    grown[at] = route;
    return 0;
}

int eio_http_route(struct eio_http *http, const char *path, size_t max_body_bytes, eio_http_fn fn, void *ctx)
{
    const struct eio__route_spec spec = {.max_body_bytes = max_body_bytes, .fn = fn, .ctx = ctx};
    return eio__http_route_add(http, path, &spec);
}

int eio_http_route_early(struct eio_http *http, const char *path,
                         bool (*is_early)(const struct eio_http_head *head, void *ctx))
{
    size_t size = strlen(path);
    bool prefix = size > 0 && path[size - 1] == '*';
    if (prefix) size--;
    for (size_t i = 0; i < http->route_count; i++) {
        struct eio__route *route = &http->routes[i];
        if (route->prefix != prefix || route->path_size != size || memcmp(route->path, path, size)) continue;
        route->spec.is_early = is_early;
        return 0;
    }
    return EIO_EINVAL;
}

const struct eio__route *eio__http_find_route(const struct eio_http *http, struct eio_str path)
{
    for (size_t i = 0; i < http->route_count; i++) {
        const struct eio__route *route = &http->routes[i];
        bool size_ok = route->prefix ? path.n >= route->path_size : path.n == route->path_size;
        if (size_ok && memcmp(route->path, path.p, route->path_size) == 0) return route;
    }
    return NULL;
}

/* ---------------------------------------------------------------- lifetime */

/* Both are read again by eio_http_reload_tls(). */
static bool copy_tls_files(struct eio_http_options *options)
{
    const char *cert = options->tls_cert_file, *key = options->tls_key_file;
    options->tls_cert_file = cert ? strdup(cert) : NULL;
    options->tls_key_file = key ? strdup(key) : NULL;
    return !cert == !options->tls_cert_file && !key == !options->tls_key_file;
}

static int http_init(struct eio_http *http)
{
    if (!copy_tls_files(&http->options)) return EIO_ENOMEM;
    const struct eio_http_options *options = &http->options;
    int rc = eio__proxies_init(&http->proxies, options->trusted_proxies);
    if (rc) return rc;
    if (options->tls_cert_file || options->tls_key_file) {
        http->tls = eio__tls_load(options->tls_cert_file, options->tls_key_file);
        if (!http->tls) return EIO_EINVAL;
    }
    http->limits = (struct eio__gate_limits){options->max_head_bytes, options->max_line_bytes, options->max_fields};
    struct event_base *base = eio_loop_base(http->loop);
    http->evhtp = evhtp_new(base, http);
    http->poke_event = event_new(base, -1, 0, eio__http_run_pokes, http);
    if (!http->evhtp || !http->poke_event) return EIO_ENOMEM;
    http->evhtp->ssl_ctx = http->tls;
    evhtp_set_gencb(http->evhtp, on_evhtp_request, NULL);
    evhtp_set_post_accept_cb(http->evhtp, on_tls, http);
    return 0;
}

struct eio_http *eio_http_new(struct eio_loop *loop, const struct eio_http_options *options)
{
    struct eio_http *http = calloc(1, sizeof *http);
    if (!http) return NULL;
    http->loop = loop;
    eio_http_options_init(&http->options);
    if (options) http->options = *options;
    options = &http->options;
    loop->leases.end = on_lease_end;
    http->flush_item.ops = &eio__streams_ops;
    eio__visitors_init(&http->visitors, loop, options->max_addresses);
    eio_timer_init(&http->accept_timer, loop, on_accept_timer, http);
    eio_deadlines_init(&http->head_deadlines, loop, options->head_timeout_ms, eio__conn_on_head_deadline, http);
    eio_deadlines_init(&http->body_deadlines, loop, options->body_timeout_ms, eio__conn_on_body_deadline, http);
    eio_deadlines_init(&http->idle_deadlines, loop, options->idle_timeout_ms, eio__conn_on_idle_deadline, http);
    eio_deadlines_init(&http->drain_deadlines, loop, options->idle_timeout_ms, eio__conn_on_drain_deadline, http);
    eio_deadlines_init(&http->linger_deadlines, loop, options->linger_ms, eio__conn_on_linger_deadline, http);
    eio_deadlines_init(&http->io_deadlines, loop, options->linger_ms, eio__tls_io_on_deadline, http);
    eio_deadlines_init(&http->pump_drain_deadlines, loop, options->idle_timeout_ms, eio__pump_on_drain_deadline, http);
    eio_deadlines_init(&http->pump_linger_deadlines, loop, options->linger_ms, eio__pump_on_linger_deadline, http);
    /* libevent writes with writev(), which raises SIGPIPE; a handler that the program has set stays. */
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
    if (http_init(http) != 0) {
        eio_http_free(http);
        return NULL;
    }
    http->options.trusted_proxies = NULL; /* the caller's memory; it is parsed */
    return http;
}

void eio_http_free(struct eio_http *http)
{
    if (!http) return;
    if (http->evhtp) eio_http_stop_listening(http);
    while (http->first) eio__conn_drop(http->first);
    if (http->flush_item.next) eio__loop_end_turn(http->loop); /* it is in a list of the loop's */
    eio__pumps_close(http);
    eio__tls_ios_forget(http);
    eio__leases_forget(&http->loop->leases, http);
    eio__visitors_clear(&http->visitors);
    if (http->poke_event) event_free(http->poke_event);
    eio_deadlines_clear(&http->head_deadlines);
    eio_deadlines_clear(&http->body_deadlines);
    eio_deadlines_clear(&http->idle_deadlines);
    eio_deadlines_clear(&http->drain_deadlines);
    eio_deadlines_clear(&http->linger_deadlines);
    eio_deadlines_clear(&http->io_deadlines);
    eio_deadlines_clear(&http->pump_drain_deadlines);
    eio_deadlines_clear(&http->pump_linger_deadlines);
    eio_timer_stop(&http->accept_timer);
    if (http->evhtp) {
        http->evhtp->ssl_ctx = NULL; /* ours */
        evhtp_free(http->evhtp);
    }
    SSL_CTX_free(http->tls);
    free((char *)(uintptr_t)http->options.tls_cert_file);
    free((char *)(uintptr_t)http->options.tls_key_file);
    for (size_t i = 0; i < http->route_count; i++) route_clear(&http->routes[i]);
    free(http->routes);
    eio__proxies_clear(&http->proxies);
    free(http);
}

struct eio_loop *eio_http_loop(struct eio_http *http)
{
    return http->loop;
}

void eio_http_get_stats(const struct eio_http *http, struct eio_http_stats *stats)
{
    *stats = http->stats;
    for (int i = 0; i < EIO_LIMIT_COUNT; i++) stats->limit_hits[i] = http->hits[i].hits;
}
