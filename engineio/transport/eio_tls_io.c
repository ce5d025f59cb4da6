/* A TLS connection taken by a WebSocket: its bufferevent behind struct eio__io. What is written waits, bounded, to be
 * encrypted; what was read waits in the bufferevent until the owner has taken all of it.
 *
 * With nothing waiting, a write is encrypted and sent at once, past the bufferevent: that would wait for a turn of the
 * loop and ask epoll twice for each. */
#include "eio_http_conn.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

enum { RECORD_BYTES = 16384 }; /* of plain text in one TLS record, at most */

struct eio__tls_io {
    struct eio__io base;
    struct bufferevent *bev;
    struct eio_loop *loop;
    struct eio_http *http;           /* NULL: it is gone */
    struct eio__tls_io *next, *prev; /* all of the server's */
    struct eio_deadline deadline;    /* while closing */
    struct eio_timer wake;           /* the owner wants again what waits here */
    short wanted;
    bool *gone;      /* set when it is freed: watched around calls of the owner */
    bool ended : 1;  /* the peer sends no more */
    bool told : 1;   /* and the owner knows */
    bool broken : 1; /* no byte goes either way */
    bool closing : 1;
    bool shut_wanted : 1, shut : 1;
};

static struct eio__tls_io *io_of(struct eio__io *base)
{
    return container_of(base, struct eio__tls_io, base);
}

static size_t input_size(struct eio__tls_io *io)
{
    return evbuffer_get_length(bufferevent_get_input(io->bev));
}

static size_t output_size(struct eio__tls_io *io)
{
    return evbuffer_get_length(bufferevent_get_output(io->bev));
}

/* ----------------------------------------------------------------- closing */

static void unlink_io(struct eio__tls_io *io)
{
    struct eio_http *http = io->http;
    if (!http) return;
    if (io->closing) eio_deadline_stop(&http->io_deadlines, &io->deadline);
    if (io->prev)
        io->prev->next = io->next;
    else
        http->ios = io->next;
    if (io->next) io->next->prev = io->prev;
    io->http = NULL;
}

static void io_free(struct eio__tls_io *io)
{
    unlink_io(io);
    eio_timer_stop(&io->wake);
    eio__fd_forget(io->loop, bufferevent_getfd(io->bev));
    bufferevent_setcb(io->bev, NULL, NULL, NULL, NULL);
    if (!io->broken && !io->shut && output_size(io) == 0) eio__tls_shutdown(io->bev);
    bufferevent_free(io->bev); /* closes the descriptor, in the next turn */
    free(io);
}

static void shut_if_drained(struct eio__tls_io *io)
{
    if (!io->shut_wanted || io->shut || io->broken || output_size(io)) return;
    io->shut = true;
    eio__tls_shutdown(io->bev);
}

static void io_shutdown(struct eio__io *base)
{
    io_of(base)->shut_wanted = true;
    shut_if_drained(io_of(base));
}

/* bufferevent_free() would throw away what was written: it stays until that is out, or its time is. */
static void io_close(struct eio__io *base)
{
    struct eio__tls_io *io = io_of(base);
    if (io->gone) *io->gone = true;
    io->gone = NULL;
    io->base.fn = NULL;
    if (io->broken || !io->http || output_size(io) == 0) {
        io_free(io);
        return;
    }
    bufferevent_disable(io->bev, EV_READ);
    io->closing = true;
    eio_deadlines_add(&io->http->io_deadlines, &io->deadline);
}

void eio__tls_io_on_deadline(struct eio_deadline *due, void *ctx)
{
    (void)ctx;
    io_free(container_of(due, struct eio__tls_io, deadline));
}

/* No turn of the loop will write it. */
static void write_rest(struct eio__tls_io *io)
{
    struct evbuffer *output = bufferevent_get_output(io->bev);
    SSL *ssl = bufferevent_openssl_get_ssl(io->bev);
    struct evbuffer_iovec part;
    while (evbuffer_peek(output, -1, NULL, &part, 1) > 0 && part.iov_len) {
        int n = SSL_write(ssl, part.iov_base, (int)part.iov_len);
        if (n <= 0 || evbuffer_drain(output, (size_t)n) != 0) break;
    }
    ERR_clear_error();
}

void eio__tls_ios_forget(struct eio_http *http)
{
    while (http->ios) {
        struct eio__tls_io *io = http->ios;
        bool closing = io->closing;
        unlink_io(io);
        if (!closing) continue;
        write_rest(io);
        io_free(io);
    }
}

/* --------------------------------------------------------- reading, writing */

/* The next bytes of the parts, as many as a record holds; skips what they are. */
static size_t fill_record(uint8_t record[RECORD_BYTES], const struct iovec *parts, size_t count, size_t skip)
{
    size_t n = 0;
    for (size_t i = 0; i < count && n < RECORD_BYTES; i++) {
        size_t left = parts[i].iov_len;
        if (skip >= left) {
            skip -= left;
            continue;
        }
        left -= skip;
        if (left > RECORD_BYTES - n) left = RECORD_BYTES - n;
        memcpy(record + n, (const uint8_t *)parts[i].iov_base + skip, left);
        n += left;
        skip = 0;
    }
    return n;
}

/* Until the socket is full or all is written. Returns how much was taken; what OpenSSL must be given again, the same
 * bytes, is left to the bufferevent, whose first they then are. Negative: broken. */
static ssize_t write_now(struct eio__tls_io *io, const struct iovec *parts, size_t count)
{
    static uint8_t record[RECORD_BYTES]; /* the loops of a process do not write at the same time */
    SSL *ssl = bufferevent_openssl_get_ssl(io->bev);
    size_t taken = 0, n;
    while ((n = fill_record(record, parts, count, taken)) > 0) {
        ERR_clear_error();
        int sent = SSL_write(ssl, record, (int)n), error = SSL_get_error(ssl, sent);
        if (sent == (int)n) {
            taken += n;
            continue;
        }
        bool full = error == SSL_ERROR_WANT_WRITE && bufferevent_write(io->bev, record, n) == 0;
        ERR_clear_error();
        if (full) return (ssize_t)(taken + n);
        io->broken = true;
        errno = EPIPE;
        return -1;
    }
    return (ssize_t)taken;
}

static ssize_t io_write(struct eio__io *base, const struct iovec *parts, size_t count)
{
    struct eio__tls_io *io = io_of(base);
    size_t used = output_size(io), room = used < EIO__TLS_OUTPUT_BYTES ? EIO__TLS_OUTPUT_BYTES - used : 0;
    ssize_t taken = 0;
    if (io->broken || io->shut) {
        errno = EPIPE;
        return -1;
    }
    if (used == 0 && count > 0) return write_now(io, parts, count);
    errno = EAGAIN;
    for (size_t i = 0; i < count && room; i++) {
        size_t n = parts[i].iov_len < room ? parts[i].iov_len : room;
        if (bufferevent_write(io->bev, parts[i].iov_base, n) != 0) {
            errno = ENOMEM;
            break;
        }
        room -= n;
        taken += (ssize_t)n;
    }
    return taken ? taken : -1;
}

static ssize_t io_read(struct eio__io *base, uint8_t *p, size_t size)
{
    struct eio__tls_io *io = io_of(base);
    size_t n = bufferevent_read(io->bev, p, size);
    if (n) return (ssize_t)n;
    if (io->ended && !io->broken) return 0;
    errno = io->broken ? ECONNRESET : EAGAIN;
    return -1;
}

/* What was read, or the end, stands here because the owner did not want it; the bufferevent does not tell again. */
static bool has_news(struct eio__tls_io *io)
{
    return input_size(io) || ((io->ended || io->broken) && !io->told);
}

static void io_watch(struct eio__io *base, short wanted)
{
    struct eio__tls_io *io = io_of(base);
    if (io->wanted == wanted) return;
    short changed = (short)(io->wanted ^ wanted);
    io->wanted = wanted;
    if (!(changed & EV_READ)) return;
    if ((wanted & EV_READ) && has_news(io)) eio_timer_start(&io->wake, 0);
    if (io->ended || io->broken) return;
    if (wanted & EV_READ)
        bufferevent_enable(io->bev, EV_READ);
    else
        bufferevent_disable(io->bev, EV_READ);
}

static size_t io_pending(struct eio__io *base)
{
    return output_size(io_of(base));
}

/* ------------------------------------------------------------------ events */

static bool call_owner(struct eio__tls_io *io, short what)
{
    bool gone = false;
    if (!io->base.fn) return true;
    io->gone = &gone;
    io->base.fn(what, io->base.ctx);
    if (!gone) io->gone = NULL;
    return gone;
}

/* What came, then the end, for as long as the owner wants it. */
static void pass_on(struct eio__tls_io *io)
{
    while ((io->wanted & EV_READ) && has_news(io)) {
        if (!input_size(io)) io->told = true;
        if (call_owner(io, EV_READ)) return;
    }
}

static void on_wake(void *ctx)
{
    struct eio__tls_io *io = ctx;
    if (!io->closing) pass_on(io);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    (void)bev;
    pass_on(ctx);
}

/* The output is below the low-water mark. */
static void on_write(struct bufferevent *bev, void *ctx)
{
    (void)bev;
    struct eio__tls_io *io = ctx;
    if (io->closing) {
        if (output_size(io) == 0) io_free(io);
        return;
    }
    shut_if_drained(io);
    if (io->wanted & EV_WRITE) call_owner(io, EV_WRITE);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    struct eio__tls_io *io = ctx;
    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))) return;
    if (what & BEV_EVENT_ERROR) {
        io->broken = true;
        if (io->http) eio__tls_on_error(io->http, bev);
    }
    io->ended = true;
    if (io->closing) {
        if (io->broken) io_free(io);
        return;
    }
    pass_on(io);
}

/* ------------------------------------------------------------------ making */

struct eio__tls_io *eio__tls_io_new(struct eio_http *http)
{
    static const struct eio__io_ops ops = {io_write, io_read, io_watch, io_shutdown, io_pending, io_close};
    struct eio__tls_io *io = calloc(1, sizeof *io);
    if (!io) return NULL;
    io->base.ops = &ops;
    io->http = http;
    io->loop = http->loop;
    io->wanted = EV_READ;
    eio_timer_init(&io->wake, io->loop, on_wake, io);
    return io;
}

struct eio__io *eio__tls_io_own(struct eio__tls_io *io, struct bufferevent *take_bev)
{
    struct eio_http *http = io->http;
    io->bev = take_bev;
    SSL_set_mode(bufferevent_openssl_get_ssl(take_bev), SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    io->next = http->ios;
    if (http->ios) http->ios->prev = io;
    http->ios = io;
    bufferevent_setcb(io->bev, on_read, on_write, on_event, io);
    bufferevent_setwatermark(io->bev, EV_WRITE, EIO__TLS_OUTPUT_LOW_BYTES, 0);
    bufferevent_enable(io->bev, EV_READ | EV_WRITE);
    return &io->base;
}
