/* The HTTP server: routes, options, the list of connections. Over TLS the connections, their bufferevents and replies
 * are evhtp's; it never sees the network's bytes (see eio_http_conn.c). */
#include "eio_http_conn.h"

#include <signal.h>
#include <sodium.h>
#include <string.h>

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
        .max_private_connections = 64,
        .proxy_networks = "127.0.0.0/8,::1",
        .proxy_header_timeout_ms = 3000,
    };
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

/* ------------------------------------------------------------------ routes */

/* Longer paths first; of equal ones the exact. */
static bool before(const struct eio__route *a, const struct eio__route *b)
{
    return a->path_size != b->path_size ? a->path_size > b->path_size : !a->prefix && b->prefix;
}

static struct eio__route *named_route(struct eio_http *http, const char *path)
{
    size_t size = strlen(path);
    bool prefix = size > 0 && path[size - 1] == '*';
    if (prefix) size--;
    for (size_t i = 0; i < http->route_count; i++) {
        struct eio__route *route = &http->routes[i];
        if (route->prefix == prefix && route->path_size == size && !memcmp(route->path, path, size)) return route;
    }
    return NULL;
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
    if (named_route(http, path)) return EIO_EEXIST;
    struct eio__route *grown = realloc(http->routes, (http->route_count + 1) * sizeof *grown);
    if (!grown) return EIO_ENOMEM;
    http->routes = grown;
    struct eio__route route = {strndup(path, size), size, prefix, *spec, NULL, EIO_HTTP_DOOR(0)};
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
    struct eio__route *route = named_route(http, path);
    if (!route) return EIO_EINVAL;
    route->spec.is_early = is_early;
    return 0;
}

int eio_http_route_refused(struct eio_http *http, const char *path, eio_http_refused_fn fn)
{
    struct eio__route *route = named_route(http, path);
    if (!route) return EIO_EINVAL;
    route->spec.refused = fn;
    return 0;
}

int eio_http_route_doors(struct eio_http *http, const char *path, unsigned doors)
{
    struct eio__route *route = named_route(http, path);
    if (!route) return EIO_EINVAL;
    route->doors = doors;
    return 0;
}

const struct eio__route *eio__http_find_route(const struct eio_http *http, struct eio_str path, uint8_t door)
{
    for (size_t i = 0; i < http->route_count; i++) {
        const struct eio__route *route = &http->routes[i];
        bool fits = route->prefix ? path.n >= route->path_size : path.n == route->path_size;
        if (fits && route->doors & EIO_HTTP_DOOR(door) && memcmp(route->path, path.p, route->path_size) == 0)
            return route;
    }
    return NULL;
}

/* ---------------------------------------------------------------- lifetime */

static bool copy_text(const char **text)
{
    if (!*text) return true;
    *text = strdup(*text);
    return *text != NULL;
}

/* They are read again by eio_http_reload_tls(). */
static bool copy_tls_options(struct eio_http_options *options)
{
    bool ok = copy_text(&options->tls_cert_file);
    ok = copy_text(&options->tls_key_file) && ok;
    ok = copy_text(&options->tls_ticket_key_file) && ok;
    const uint8_t *secret = options->tls_ticket_secret;
    if (!secret) return ok;
    uint8_t *copy = malloc(EIO_TLS_TICKET_SECRET_BYTES);
    if (copy) memcpy(copy, secret, EIO_TLS_TICKET_SECRET_BYTES);
    options->tls_ticket_secret = copy;
    return ok && copy;
}

static void free_tls_options(struct eio_http_options *options)
{
    uint8_t *secret = (uint8_t *)(uintptr_t)options->tls_ticket_secret;
    if (secret) sodium_memzero(secret, EIO_TLS_TICKET_SECRET_BYTES);
    free(secret);
    free((char *)(uintptr_t)options->tls_cert_file);
    free((char *)(uintptr_t)options->tls_key_file);
    free((char *)(uintptr_t)options->tls_ticket_key_file);
}

static int http_init(struct eio_http *http)
{
    if (!copy_tls_options(&http->options)) return EIO_ENOMEM;
    const struct eio_http_options *options = &http->options;
    int rc = eio__proxies_init(&http->proxies, options->trusted_proxies);
    if (!rc) rc = eio__proxies_init(&http->greeters, options->proxy_networks);
    if (rc) return rc;
    if (options->tls_cert_file || options->tls_key_file) {
        http->tls = eio__tls_load(options);
        if (!http->tls) return EIO_EINVAL;
    }
    http->limits = (struct eio__gate_limits){options->max_head_bytes, options->max_line_bytes, options->max_fields};
    struct event_base *base = eio_loop_base(http->loop);
    http->poke_event = event_new(base, -1, 0, eio__http_run_pokes, http);
    return http->poke_event ? 0 : EIO_ENOMEM;
}

struct eio_http *eio_http_new(struct eio_loop *loop, const struct eio_http_options *options)
{
    struct eio_http *http = calloc(1, sizeof *http);
    if (!http) return NULL;
    http->loop = loop;
    eio_http_options_init(&http->options);
    if (options) http->options = *options;
    options = &http->options;
    loop->leases.end = eio__http_on_lease_end;
    http->flush_item.ops = &eio__streams_ops;
    eio__visitors_init(&http->visitors, loop, options->max_addresses);
    eio_timer_init(&http->accept_timer, loop, eio__http_on_accept_timer, http);
    eio_deadlines_init(&http->greeting_deadlines, loop, options->proxy_header_timeout_ms,
                       eio__conn_on_greeting_deadline, http);
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
    http->options.trusted_proxies = http->options.proxy_networks = NULL; /* the caller's memory; it is parsed */
    return http;
}

void eio_http_free(struct eio_http *http)
{
    if (!http) return;
    eio_http_stop_listening(http);
    while (http->first) eio__conn_drop(http->first);
    if (http->flush_item.next) eio__loop_end_turn(http->loop); /* it is in a list of the loop's */
    eio__pumps_close(http);
    eio__tls_ios_forget(http);
    eio__leases_forget(&http->loop->leases, http);
    eio__visitors_clear(&http->visitors);
    if (http->poke_event) event_free(http->poke_event);
    eio_deadlines_clear(&http->greeting_deadlines);
    eio_deadlines_clear(&http->head_deadlines);
    eio_deadlines_clear(&http->body_deadlines);
    eio_deadlines_clear(&http->idle_deadlines);
    eio_deadlines_clear(&http->drain_deadlines);
    eio_deadlines_clear(&http->linger_deadlines);
    eio_deadlines_clear(&http->io_deadlines);
    eio_deadlines_clear(&http->pump_drain_deadlines);
    eio_deadlines_clear(&http->pump_linger_deadlines);
    eio_timer_stop(&http->accept_timer);
    eio__http_listeners_clear(http);
    SSL_CTX_free(http->tls);
    free_tls_options(&http->options);
    for (size_t i = 0; i < http->route_count; i++) route_clear(&http->routes[i]);
    free(http->routes);
    eio__proxies_clear(&http->proxies);
    eio__proxies_clear(&http->greeters);
    BIO_meth_free(http->greeting_method);
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
