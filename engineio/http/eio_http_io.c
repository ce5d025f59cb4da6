/* How the bytes of an HTTP connection move. A plain one is a descriptor in the loop's poller, as a WebSocket is: what
 * comes is read into the loop's memory and handled there, what is sent leaves at once, and only what is left over
 * either way is kept. One over TLS has the bufferevent that evhtp made for it. What the bytes mean is eio_http_conn.c's
 * business. */
#include "eio_http_conn.h"

#include <errno.h>
#include <sys/socket.h>

size_t eio__conn_unwritten(const struct eio__conn *conn)
{
    return conn->out.size + (conn->tls ? evbuffer_get_length(bufferevent_get_output(conn->bev)) : 0);
}

uint32_t eio__conn_unsent(const struct eio__conn *conn)
{
    return (uint32_t)eio__conn_unwritten(conn) + eio__fd_unsent(conn->fd);
}

void eio__conn_break(struct eio__conn *conn)
{
    conn->broken = true;
    eio__conn_poke(conn);
}

void eio__conn_count(struct eio__conn *conn, size_t n)
{
    conn->given += (uint32_t)n;
    conn->http->stats.bytes_out += n;
}

int eio__conn_put(struct eio__conn *conn, const void *p, size_t n)
{
    if (!eio__bytes_add(&conn->out, p, n)) return EIO_ENOMEM;
    eio__conn_count(conn, n);
    return 0;
}

/* --------------------------------------------------------------- readiness */

static void update_events(struct eio__conn *conn)
{
    short wanted = (short)((conn->eof || conn->read_paused ? 0 : EV_READ) | (conn->writing ? EV_WRITE : 0));
    if (wanted == conn->watched) return;
    if (eio__poll(conn->http->loop, conn->fd, &conn->polled, conn->watched, wanted) == 0) {
        conn->watched = (uint8_t)wanted;
        return;
    }
    eio_log(EIO_LOG_ERROR, "http: cannot register the descriptor with the event loop");
    eio__conn_break(conn);
}

void eio__conn_pause_reading(struct eio__conn *conn, bool pause)
{
    conn->read_paused = pause;
    if (!conn->tls)
        update_events(conn);
    else if (pause)
        bufferevent_disable(conn->bev, EV_READ);
    else
        bufferevent_enable(conn->bev, EV_READ);
}

/* ----------------------------------------------------------------- writing */

/* False: the socket takes no more, ever. */
static bool send_some(struct eio__conn *conn)
{
    if (conn->out.size == 0) return true;
    ssize_t n = send(conn->fd, conn->out.p, conn->out.size, MSG_NOSIGNAL);
    if (n > 0) eio__bytes_take(&conn->out, (size_t)n);
    return n >= 0 || errno == EAGAIN || errno == EINTR;
}

/* In pieces: of a longer one libevent does not say how much was sent before all of it is, so that a client that reads
 * slowly would seem to read nothing. */
static void give_to_tls(struct eio__conn *conn)
{
    enum { PIECE_BYTES = 16384 };
    while (conn->out.size) {
        size_t n = conn->out.size < PIECE_BYTES ? conn->out.size : PIECE_BYTES;
        if (bufferevent_write(conn->bev, conn->out.p, n) != 0) {
            eio__conn_break(conn);
            return;
        }
        eio__bytes_take(&conn->out, n);
    }
}

bool eio__conn_write(struct eio__conn *conn)
{
    if (conn->tls)
        give_to_tls(conn);
    else if (!conn->writing)
        send_some(conn); /* why it cannot, the event says */
    if (eio__conn_unwritten(conn) == 0) return true;
    conn->writing = true;
    if (!conn->tls) update_events(conn);
    return false;
}

void eio__conn_stop_writing(struct eio__conn *conn)
{
    if (!conn->writing) return;
    conn->writing = false;
    if (!conn->tls) update_events(conn);
}

void eio__conn_shut(struct eio__conn *conn)
{
    if (conn->tls)
        eio__tls_shutdown(conn->bev);
    else
        shutdown(conn->fd, SHUT_WR);
}

/* ------------------------------------------------------------ plain events */

static void on_readable(struct eio__conn *conn)
{
    uint8_t *buffer = conn->http->loop->read_buffer;
    ssize_t n = recv(conn->fd, buffer, EIO__HTTP_INPUT_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    bool broken = n < 0;
    if (n == 0) {
        conn->eof = true;
        update_events(conn);
    } else if (n > 0 && conn->in.size) {
        broken = !eio__bytes_add(&conn->in, buffer, (size_t)n);
    } else if (n > 0) {
        eio__bytes_lend(&conn->in, buffer, (size_t)n);
    }
    if (broken)
        eio__conn_drop(conn);
    else
        eio__conn_advance(conn);
}

/* What stands behind the header is still in the socket. */
static void on_greeting(struct eio__conn *conn)
{
    enum eio__step step = eio__greeting_read(conn);
    if (step == EIO__STEP_GONE)
        eio__conn_drop(conn);
    else if (step == EIO__STEP_MORE)
        eio__http_greeted(conn);
}

static void on_ready(struct eio__polled *polled, short what)
{
    struct eio__conn *conn = container_of(polled, struct eio__conn, polled);
    what &= conn->watched;
    if (what & EV_WRITE) {
        if (!send_some(conn)) {
            eio__conn_drop(conn);
            return;
        }
        if (conn->out.size == 0) eio__conn_on_written(conn);
    }
    if (!(what & conn->watched & EV_READ)) return;
    if (conn->greeting)
        on_greeting(conn);
    else
        on_readable(conn);
}

/* -------------------------------------------------------------- TLS events */

static void on_tls_read(struct bufferevent *bev, void *ctx)
{
    struct eio__conn *conn = ctx;
    struct evbuffer *input = bufferevent_get_input(bev);
    size_t n = evbuffer_get_length(input);
    uint8_t *room = eio__bytes_reserve(&conn->in, n);
    if (!room) {
        eio__conn_drop(conn);
        return;
    }
    evbuffer_remove(input, room, n);
    conn->in.size += n;
    eio__conn_advance(conn);
}

static void on_tls_written(struct bufferevent *bev, void *ctx)
{
    (void)bev;
    eio__conn_on_written(ctx);
}

static void on_tls_event(struct bufferevent *bev, short what, void *ctx)
{
    struct eio__conn *conn = ctx;
    if (what & (BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT)) {
        eio__tls_on_error(conn->http, bev);
        eio__conn_drop(conn);
        return;
    }
    if (!(what & BEV_EVENT_EOF)) return;
    conn->eof = true;
    /* libevent stops both directions; the answer may still go out. */
    if (conn->writing) bufferevent_enable(bev, EV_WRITE);
    eio__conn_advance(conn);
}

/* -------------------------------------------------------- beginning and end */

int eio__conn_io_begin(struct eio__conn *conn)
{
    if (conn->tls) {
        bufferevent_setcb(conn->bev, on_tls_read, on_tls_written, on_tls_event, conn);
        bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
        return 0;
    }
    conn->polled.fn = on_ready;
    if (eio__poll(conn->http->loop, conn->fd, &conn->polled, 0, EV_READ) != 0) return EIO_ESYS;
    conn->watched = EV_READ;
    return 0;
}

void eio__conn_io_end(struct eio__conn *conn)
{
    if (!conn->tls) eio__poll(conn->http->loop, conn->fd, &conn->polled, conn->watched, 0);
    eio__bytes_clear(&conn->in);
    eio__bytes_clear(&conn->out);
}
