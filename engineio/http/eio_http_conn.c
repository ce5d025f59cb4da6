/* One HTTP connection: drives the gate over its bytes, one request at a time, and keeps its deadlines.
 *
 * What is plain is answered from here (eio_http_io.c moves the bytes). Over TLS the connection is evhtp's, and our
 * callbacks stand in front of its own: it gets a request only when it is whole and checked, and then in one fixed form
 * (see feed_evhtp), so that no input reaches its parser. The next request of a connection waits until the former is
 * answered and its reply is with the kernel. */
#include "base_memory.h"
#include "eio_http_conn.h"

#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------- state */

static struct eio__conn *conn_of(struct eio_deadline *due)
{
    return container_of(due, struct eio__conn, deadline);
}

/* A head may take its time, but heads that never end must not keep others out: the one that waits longest goes first.
 * The youngest is never asked to go, so it is safe within that one's own step. */
static void bound_half_open(struct eio_http *http)
{
    if (!http->options.max_half_open || http->half_open <= http->options.max_half_open) return;
    struct eio__conn *oldest = conn_of(http->head_deadlines.head.next);
    eio__conn_hit(oldest, EIO_LIMIT_HALF_OPEN);
    eio__conn_drop(oldest);
}

/* NULL: none. The same queue again restarts it. */
static void set_deadline(struct eio__conn *conn, struct eio_deadlines *queue)
{
    struct eio_http *http = conn->http;
    if (conn->deadlines) eio_deadline_stop(conn->deadlines, &conn->deadline);
    http->half_open -= conn->deadlines == &http->head_deadlines;
    conn->deadlines = queue;
    if (!queue) return;
    eio_deadlines_add(queue, &conn->deadline);
    if (queue != &http->head_deadlines) return;
    http->half_open++;
    bound_half_open(http);
}

/* For bodies. */
static bool has_own_timeout(const struct eio__conn *conn)
{
    return conn->route && conn->route->body_deadlines;
}

/* Of what was given, modulo 2^32. */
static uint32_t with_kernel(struct eio__conn *conn)
{
    return conn->given - (uint32_t)eio__conn_unwritten(conn);
}

static void leave_state(struct eio__conn *conn)
{
    if (conn->state == EIO__H_WAITING) conn->http->stats.parked--;
    if (conn->state == EIO__H_STREAMING) conn->http->stats.streams--;
    if (conn->state == EIO__H_DRAINING) conn->http->stats.draining--;
}

/* The one function that changes the state; each state has its deadline. */
void eio__conn_set_state(struct eio__conn *conn, enum eio__conn_state state)
{
    struct eio_http *http = conn->http;
    leave_state(conn);
    conn->state = (uint8_t)state;
    switch (state) {
    case EIO__H_HEAD:
        if (conn->greeting)
            set_deadline(conn, &http->greeting_deadlines);
        else
            set_deadline(conn, conn->served && conn->in.size == 0 ? &http->idle_deadlines : &http->head_deadlines);
        break;
    case EIO__H_BODY:
        set_deadline(conn, has_own_timeout(conn) ? conn->route->body_deadlines : &http->body_deadlines);
        break;
    case EIO__H_READING:
        /* From one piece to the next. */
        set_deadline(conn, conn->request->base.is_paused ? NULL : &http->body_deadlines);
        break;
    case EIO__H_WAITING:
        /* However long the handler takes: a parked poll is not idle. */
        http->stats.parked++;
        set_deadline(conn, NULL);
        break;
    case EIO__H_STREAMING:
        http->stats.streams++;
        set_deadline(conn, NULL);
        break;
    case EIO__H_DRAINING:
        http->stats.draining++;
        set_deadline(conn, &http->drain_deadlines);
        break;
    case EIO__H_LINGERING:
        set_deadline(conn, &http->linger_deadlines);
        break;
    }
}

static void forget_message(struct eio__conn *conn)
{
    free(conn->head);
    free(conn->body);
    conn->head = NULL;
    conn->body = NULL;
    conn->body_size = conn->body_capacity = 0;
}

/* ---------------------------------------------------------------- lifetime */

static void look_at_line(const struct eio__line *line, struct eio__traffic *out)
{
    struct eio__conn *conn = container_of(line, struct eio__conn, line);
    *out = (struct eio__traffic){.given = conn->given,
                                 .taken = conn->given - eio__conn_unsent(conn),
                                 .received = (uint32_t)(conn->body_size + conn->in.size),
                                 .is_receiving = conn->state == EIO__H_BODY || conn->state == EIO__H_READING};
}

static int conn_begin(struct eio__conn *conn)
{
    struct eio_http *http = conn->http;
    if (eio__conn_io_begin(conn) != 0) return EIO_ESYS;
    conn->line.look = look_at_line;
    conn->next = http->first;
    if (http->first) http->first->prev = conn;
    http->first = conn;
    http->stats.connections++;
    eio__conn_set_state(conn, EIO__H_HEAD);
    return 0;
}

struct eio__conn *eio__conn_new_tls(struct eio_http *http, evhtp_connection_t *evhtp, const struct eio__address *peer)
{
    struct eio__conn *conn = base_zalloc(sizeof *conn);
    if (!conn) return NULL;
    conn->http = http;
    conn->evhtp = evhtp;
    conn->peer = *peer;
    conn->secure = conn->tls = true;
    conn->bev = evhtp_connection_get_bev(evhtp);
    conn->fd = bufferevent_getfd(conn->bev);
    bufferevent_event_cb evhtp_event;
    void *evhtp_ctx;
    bufferevent_getcb(conn->bev, &http->evhtp_read, &http->evhtp_write, &evhtp_event, &evhtp_ctx);
    conn_begin(conn);
    return conn;
}

struct eio__conn *eio__conn_new(struct eio_http *http, int fd, const struct eio__address *peer)
{
    struct eio__conn *conn = base_zalloc(sizeof *conn);
    if (!conn) return NULL;
    conn->http = http;
    conn->fd = fd;
    conn->peer = *peer;
    if (conn_begin(conn) == 0) return conn;
    free(conn);
    return NULL;
}

/* Takes it off all lists. */
static void unlink_conn(struct eio__conn *conn)
{
    struct eio_http *http = conn->http;
    set_deadline(conn, NULL);
    eio__tie(NULL, &conn->line);
    leave_state(conn);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        http->first = conn->next;
    if (conn->next) conn->next->prev = conn->prev;
    if (conn->refused)
        http->refusals--;
    else
        http->stats.connections--;
    http->private_connections -= conn->door > 0;
    if (conn->counted) eio__visitor_leave(&http->visitors, &conn->peer);
    struct eio__conn **link = &http->poke_first;
    while (conn->poked && *link != conn) link = &(*link)->poke_next;
    if (conn->poked) *link = conn->poke_next;
    if (conn->gone) *conn->gone = true;
}

/* Its connection knows nothing of it any more. */
static void abort_request(struct eio_http *http, struct eio__request *request)
{
    request->conn = NULL;
    http->stats.aborted++;
    if (request->base.on_abort) request->base.on_abort(request->base.abort_ctx);
    eio__request_free(request);
}

void eio__conn_drop(struct eio__conn *conn)
{
    struct eio__request *request = conn->request;
    struct eio_http_stream *stream = conn->stream;
    struct eio_http *http = conn->http;
    unlink_conn(conn);
    forget_message(conn);
    eio__conn_io_end(conn);
    if (conn->tls)
        evhtp_connection_free(conn->evhtp);
    else
        close(conn->fd);
    free(conn->greeting);
    free(conn);
    eio__stream_lost(stream);
    if (request) abort_request(http, request);
}

void eio__conn_lease(struct eio__conn *conn)
{
    struct eio_http *http = conn->http;
    if (!http->options.max_connections && !http->options.max_connections_per_address) return;
    struct eio__lease lease = {http, conn->peer, conn->counted};
    if (eio__lease_begin(&http->loop->leases, conn->fd, &lease) != 0) return;
    http->leased++;
    conn->counted = false;
}

struct eio__wire eio__conn_release(struct eio__conn *conn, struct eio__tls_io *take_io)
{
    struct eio__wire wire = {conn->fd, NULL};
    unlink_conn(conn);
    eio__conn_io_end(conn);
    if (conn->tls) {
        evhtp_connection_take_ownership(conn->evhtp);
        evhtp_connection_free(conn->evhtp); /* of what is left: the bufferevent is ours now */
        wire.io = eio__tls_io_own(take_io, conn->bev);
    }
    forget_message(conn);
    free(conn);
    return wire;
}

/* ----------------------------------------------------------------- writing */

/* What a client sends behind an unanswered request is held, not handled, so it is bounded. Not by a bufferevent's own
 * watermark: above it, libevent calls the read callback in a busy loop. The end of the client is then noticed with the
 * reply only. */
static void bound_input(struct eio__conn *conn)
{
    bool held = conn->state == EIO__H_WAITING || conn->state == EIO__H_STREAMING || conn->state == EIO__H_DRAINING;
    held |= conn->state == EIO__H_READING && conn->request->base.is_paused;
    bool pause = held && conn->in.size >= EIO__HTTP_INPUT_BYTES;
    if (pause != conn->read_paused && !conn->eof) eio__conn_pause_reading(conn, pause);
}

static void start_linger(struct eio__conn *conn)
{
    eio__conn_shut(conn);
    conn->linger_left = eio__conn_unsent(conn);
    eio__conn_set_state(conn, EIO__H_LINGERING);
}

/* The reply is with the kernel. */
static void on_drained(struct eio__conn *conn)
{
    eio__conn_stop_writing(conn);
    /* It releases its request. Without one it would close the connection and log that to standard error. */
    if (conn->tls && conn->evhtp->request) conn->http->evhtp_write(conn->bev, conn->evhtp);
    conn->served = true;
    if (conn->close)
        start_linger(conn);
    else
        eio__conn_set_state(conn, EIO__H_HEAD);
    if (conn->eof || conn->in.size) eio__conn_poke(conn);
}

/* From now on the peer has to take something of what is left, time and again. */
static void watch_drain(struct eio__conn *conn)
{
    conn->drain_mark = with_kernel(conn);
    set_deadline(conn, &conn->http->drain_deadlines);
}

/* The answer is whole. */
static void drain(struct eio__conn *conn)
{
    if (eio__conn_write(conn)) {
        on_drained(conn);
        return;
    }
    eio__conn_set_state(conn, EIO__H_DRAINING);
    watch_drain(conn);
}

void eio__conn_answered(struct eio__conn *conn, bool keep_alive)
{
    conn->close = !keep_alive;
    drain(conn);
}

void eio__conn_stream(struct eio__conn *conn, struct eio_http_stream *stream)
{
    conn->stream = stream;
    eio__conn_set_state(conn, EIO__H_STREAMING);
}

void eio__conn_streamed(struct eio__conn *conn, bool keep_alive)
{
    conn->stream = NULL;
    conn->close = !keep_alive;
    drain(conn);
}

/* All that was written to the stream is with the kernel. Its owner may say more, from the loop: a client that reads as
 * fast as it is written to must not keep others waiting. */
static void on_stream_drained(struct eio__conn *conn)
{
    eio__conn_stop_writing(conn);
    set_deadline(conn, NULL);
    if (!conn->stream || !conn->stream->options.on_drain) return;
    conn->stream->drained = true;
    eio__conn_poke(conn);
}

/* However much is still to come: the time of a reader that takes nothing runs on. */
void eio__conn_flush(struct eio__conn *conn)
{
    if (eio__conn_write(conn))
        on_stream_drained(conn);
    else if (conn->deadlines != &conn->http->drain_deadlines)
        watch_drain(conn);
}

void eio__conn_hit(struct eio__conn *conn, enum eio_limit limit)
{
    char address[46];
    eio__address_print(&conn->peer, address);
    eio_limit_hit(&conn->http->hits[limit], conn->http->loop, eio_limit_name(limit), address);
}

/* A fault of the gate or of a chunked body. */
void eio__conn_refuse_fault(struct eio__conn *conn, const struct eio__fault *fault)
{
    if (fault->code == EIO_ETOOBIG) eio__conn_hit(conn, (enum eio_limit)fault->limit);
    eio__conn_refuse(conn, fault->close_code, fault->why);
}

void eio__conn_refuse(struct eio__conn *conn, int status, const char *why)
{
    struct eio__request *request = conn->request; /* whose body is still coming */
    struct eio_http *http = conn->http;
    http->stats.refused++;
    conn->request = NULL;
    forget_message(conn);
    eio__http_put_error(conn, status, why);
    eio__conn_answered(conn, false);
    if (request) abort_request(http, request);
}

/* ---------------------------------------------------------------- requests */

/* Gives evhtp a request: it needs one to answer. Always the same bytes, whatever the client sent, so that its
 * parser cannot be surprised; what the request is stands in our head, and what the reply needs (version, HEAD,
 * Connection) is decided by eio_http_reply.c. */
static void feed_evhtp(struct eio__conn *conn)
{
    static const char canonical[] = "GET / HTTP/1.1\r\n\r\n";
    if (!conn->tls) return;
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    BASE_CHECK(evbuffer_get_length(input) == 0 && evbuffer_prepend(input, canonical, sizeof canonical - 1) == 0);
    conn->http->evhtp_read(conn->bev, conn->evhtp);
    BASE_CHECK(conn->evhtp->request != NULL);
}

static enum eio__step call_handler(struct eio__conn *conn, eio_http_fn fn, void *ctx)
{
    bool gone = false;
    conn->gone = &gone;
    fn(&conn->request->base, ctx);
    if (gone) return EIO__STEP_GONE;
    conn->gone = NULL;
    return EIO__STEP_MORE;
}

static void not_found(struct eio_http_request *request, void *ctx)
{
    (void)ctx;
    static const char text[] = "not found\n";
    struct eio_http_reply reply = {.status = 404,
                                   .content_type = "text/plain",
                                   .body = text,
                                   .body_size = sizeof text - 1,
                                   .fields = &eio__http_nosniff,
                                   .field_count = 1};
    eio_http_reply(request, &reply);
}

/* Head and body are whole: makes the request of them and hands it over. */
enum eio__step eio__conn_dispatch(struct eio__conn *conn, bool upgrade)
{
    const struct eio__route *route = conn->route;
    conn->request = eio__request_new(conn, conn->head, conn->body, conn->body_size);
    conn->head = NULL;
    conn->body = NULL;
    conn->body_size = conn->body_capacity = 0;
    if (!conn->request) {
        eio__conn_refuse(conn, 503, "out of memory");
        return EIO__STEP_MORE;
    }
    conn->http->stats.requests++;
    eio__conn_set_state(conn, EIO__H_WAITING);
    conn->request->base.is_upgrade = upgrade;
    if (!upgrade) {
        feed_evhtp(conn);
        return call_handler(conn, route ? route->spec.fn : not_found, route ? route->spec.ctx : NULL);
    }
    return call_handler(conn, route->spec.upgrade, route->spec.ctx);
}

/* The head is here, and the handler gets the body as it comes. evhtp is not asked: it could not answer before the end.
 */
static enum eio__step dispatch_early(struct eio__conn *conn)
{
    const struct eio__route *route = conn->route;
    conn->request = eio__request_new(conn, conn->head, NULL, 0);
    conn->head = NULL;
    if (!conn->request) {
        eio__conn_refuse(conn, 503, "out of memory");
        return EIO__STEP_MORE;
    }
    conn->http->stats.requests++;
    conn->request->raw = true;
    conn->request->base.is_early = conn->request->base.is_paused = true;
    eio__conn_set_state(conn, EIO__H_READING);
    return call_handler(conn, route->spec.fn, route->spec.ctx);
}

/* The body is not taken: the route may have something to say, and to do, about that. */
enum eio__step eio__conn_refuse_body(struct eio__conn *conn, int status, enum eio_limit limit, const char *why)
{
    const struct eio__route *route = conn->route;
    eio__conn_hit(conn, limit);
    bool is_read = conn->state == EIO__H_READING;
    if (route && route->spec.refused && !is_read) conn->request = eio__request_new(conn, conn->head, NULL, 0);
    if (!conn->request || is_read) {
        if (route && route->spec.refused && !is_read)
            conn->head = NULL; /* it went with the request that could not be made */
        eio__conn_refuse(conn, status, why);
        return EIO__STEP_MORE;
    }
    conn->head = NULL;
    forget_message(conn);
    conn->http->stats.refused++;
    conn->request->raw = true;
    conn->request->base.head->keep_alive = false; /* the rest of the body is still to come */
    eio__conn_set_state(conn, EIO__H_WAITING);
    bool gone = false;
    conn->gone = &gone;
    route->spec.refused(&conn->request->base, status, why, route->spec.ctx);
    if (gone) return EIO__STEP_GONE;
    conn->gone = NULL;
    return EIO__STEP_MORE;
}

enum eio__step eio__conn_refuse_size(struct eio__conn *conn)
{
    return eio__conn_refuse_body(conn, 413, EIO_LIMIT_BODY_BYTES, "payload too large");
}

/* A whole head is in conn->head and still in the input: another node may want it. True: the connection is gone. */
static bool offer_elsewhere(struct eio__conn *conn)
{
    const struct eio__route *route = conn->route;
    bool settled = conn->settled;
    conn->settled = false;
    if (settled || !route || !route->spec.offer) return false;
    struct eio_offer offer = {conn};
    route->spec.offer(&offer, conn->head, route->spec.ctx);
    return !offer.conn;
}

/* ------------------------------------------------------------------- steps */

/* The head's bytes are still in the input: the connection may be offered to another node, with all of them. */
static enum eio__step begin_message(struct eio__conn *conn, struct eio__gate_head *parsed, size_t head_size)
{
    struct eio_http *http = conn->http;
    struct eio_http_head *head = parsed->take_head;
    head->issued_ms = eio_loop_unix_ms(http->loop);
    eio__address_resolve(&http->proxies, &conn->peer, head);
    if (conn->secure) head->secure = true;
    head->door = conn->door;
    conn->scan = (struct eio__gate_scan){0};
    conn->head = head;
    conn->route = eio__http_find_route(http, eio_http_head_path(head), conn->door);
    if (offer_elsewhere(conn)) return EIO__STEP_GONE;
    http->stats.bytes_in += head_size;
    eio__bytes_take(&conn->in, head_size);
    if (parsed->upgrade_websocket && conn->route && conn->route->spec.upgrade) return eio__conn_dispatch(conn, true);
    conn->body_limit = conn->route ? conn->route->spec.max_body_bytes : http->options.max_body_bytes;
    conn->body_pieces = 0;
    conn->chunked = parsed->content_length < 0;
    conn->chunks = (struct eio__chunked){0};
    bool is_early =
        conn->route && conn->route->spec.is_early && conn->route->spec.is_early(head, conn->route->spec.ctx);
    if (!conn->chunked && !is_early && (uint64_t)parsed->content_length > conn->body_limit)
        return eio__conn_refuse_size(conn);
    conn->body_expected = conn->chunked ? 0 : (size_t)parsed->content_length;
    if (!conn->chunked && conn->body_expected == 0) return eio__conn_dispatch(conn, false);
    if (is_early) {
        if (dispatch_early(conn) == EIO__STEP_GONE) return EIO__STEP_GONE;
        if (conn->state != EIO__H_READING) return EIO__STEP_MORE;
    } else if (!conn->chunked && conn->in.size >= conn->body_expected) {
        return eio__body_step(conn); /* it came with its head */
    } else {
        eio__conn_set_state(conn, EIO__H_BODY);
        if (conn->route && conn->route->spec.body) conn->route->spec.body(&conn->line, head, conn->route->spec.ctx);
    }
    if (parsed->expect_continue && conn->in.size == 0) {
        static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
        eio__conn_put(conn, text, sizeof text - 1);
        eio__conn_write(conn);
    }
    return EIO__STEP_MORE;
}

static enum eio__step step_head(struct eio__conn *conn)
{
    struct eio_http *http = conn->http;
    size_t n = conn->in.size;
    if (n == 0) return EIO__STEP_WAIT;
    /* Absolute: from the first byte of a request, not from the last that arrived. */
    if (conn->deadlines != &http->head_deadlines) set_deadline(conn, &http->head_deadlines);
    if (n > http->limits.max_head_bytes) n = http->limits.max_head_bytes;
    const uint8_t *p = conn->in.p;
    /* Most heads come whole. One that is cut is only scanned until it is whole, or something is wrong with it. */
    bool is_cut = conn->scan.at > 0;
    if (is_cut && !eio__gate_scan(&conn->scan, p, n, &http->limits)) return EIO__STEP_WAIT;
    struct eio__gate_head parsed;
    struct eio__fault fault;
    ssize_t size = eio__gate_parse(p, n, &http->limits, &parsed, &fault);
    if (size == 0 && !is_cut) eio__gate_scan(&conn->scan, p, n, &http->limits);
    if (size == 0) return EIO__STEP_WAIT;
    if (size < 0) {
        eio__conn_refuse_fault(conn, &fault);
        return EIO__STEP_MORE;
    }
    return begin_message(conn, &parsed, (size_t)size);
}

static enum eio__step step_stream(struct eio__conn *conn)
{
    struct eio_http_stream *stream = conn->stream;
    if (!stream || stream->doomed) {
        eio__conn_drop(conn);
        return EIO__STEP_GONE;
    }
    if (!stream->drained) return EIO__STEP_WAIT;
    bool gone = false;
    stream->drained = false;
    conn->gone = &gone;
    stream->options.on_drain(stream->options.ctx);
    if (gone) return EIO__STEP_GONE;
    conn->gone = NULL;
    bool is_over = conn->state != EIO__H_STREAMING || !conn->stream || conn->stream->doomed;
    return is_over ? EIO__STEP_MORE : EIO__STEP_WAIT;
}

static enum eio__step step_linger(struct eio__conn *conn)
{
    eio__bytes_take(&conn->in, conn->in.size);
    return EIO__STEP_WAIT;
}

static enum eio__step step(struct eio__conn *conn)
{
    switch (conn->state) {
    case EIO__H_HEAD:
        return step_head(conn);
    case EIO__H_BODY:
        return eio__body_step(conn);
    case EIO__H_READING:
        return eio__reading_step(conn);
    case EIO__H_STREAMING:
        return step_stream(conn);
    case EIO__H_LINGERING:
        return step_linger(conn);
    default:
        return EIO__STEP_WAIT;
    }
}

void eio__conn_advance(struct eio__conn *conn)
{
    enum eio__step next = conn->broken ? EIO__STEP_WAIT : EIO__STEP_MORE;
    eio__loop_on_event(conn->http->loop);
    conn->advancing = true;
    while (next == EIO__STEP_MORE) {
        next = step(conn);
        if (next == EIO__STEP_MORE && conn->broken) break;
    }
    if (next == EIO__STEP_GONE) return;
    conn->advancing = false;
    if (!eio__bytes_keep(&conn->in)) conn->broken = true;
    bound_input(conn);
    /* The client is gone; only a reply that is on its way may still arrive. */
    if (conn->broken || (conn->eof && conn->state != EIO__H_DRAINING)) eio__conn_drop(conn);
}

/* ------------------------------------------------------------------ events */

void eio__conn_on_written(struct eio__conn *conn)
{
    if (conn->state == EIO__H_DRAINING) {
        on_drained(conn);
    } else if (conn->state == EIO__H_STREAMING) {
        on_stream_drained(conn);
    } else { /* a 100 Continue that did not fit */
        eio__conn_stop_writing(conn);
    }
}

/* --------------------------------------------------------------- deadlines */

void eio__conn_on_head_deadline(struct eio_deadline *due, void *ctx)
{
    struct eio_http *http = ctx;
    struct eio__conn *conn = conn_of(due);
    http->stats.timeouts++;
    eio__conn_hit(conn, EIO_LIMIT_HEAD_TIMEOUT);
    if (conn->in.size)
        eio__conn_refuse(conn, 408, "the request head took too long");
    else
        eio__conn_drop(conn);
}

void eio__conn_on_greeting_deadline(struct eio_deadline *due, void *ctx)
{
    struct eio_http *http = ctx;
    struct eio__conn *conn = conn_of(due);
    http->stats.timeouts++;
    eio__greeting_refuse(http, &conn->peer, "the header took too long");
    eio__conn_drop(conn);
}

void eio__conn_on_body_deadline(struct eio_deadline *due, void *ctx)
{
    struct eio_http *http = ctx;
    struct eio__conn *conn = conn_of(due);
    http->stats.timeouts++;
    enum eio_limit limit = has_own_timeout(conn) ? EIO_LIMIT_REQUEST_BODY_TIMEOUT : EIO_LIMIT_BODY_TIMEOUT;
    eio__conn_refuse_body(conn, 408, limit, "the request body took too long");
}

/* Of kept-alive connections. */
void eio__conn_on_idle_deadline(struct eio_deadline *due, void *ctx)
{
    (void)ctx;
    eio__conn_drop(conn_of(due));
}

/* Who takes what was sent, however slowly, is not cut short. */
void eio__conn_on_linger_deadline(struct eio_deadline *due, void *ctx)
{
    struct eio_http *http = ctx;
    struct eio__conn *conn = conn_of(due);
    uint32_t left = eio__conn_unsent(conn);
    if (left < conn->linger_left) {
        conn->linger_left = left;
        set_deadline(conn, &http->linger_deadlines);
        return;
    }
    eio__conn_drop(conn);
}

/* A slow reader may take its time, one that takes nothing may not. */
void eio__conn_on_drain_deadline(struct eio_deadline *due, void *ctx)
{
    struct eio_http *http = ctx;
    struct eio__conn *conn = conn_of(due);
    uint32_t taken = with_kernel(conn);
    if (taken != conn->drain_mark) {
        watch_drain(conn);
        return;
    }
    http->stats.timeouts++;
    eio__conn_hit(conn, EIO_LIMIT_DRAIN_TIMEOUT);
    eio__conn_drop(conn);
}
