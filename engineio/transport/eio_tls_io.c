/* A TLS connection taken by a WebSocket, behind struct eio__io: a bare descriptor in the loop's poller, as a plain one
 * is. Only the handshake and HTTP are libevent's. Everything that a socket has is read at once and decrypted before the
 * owner gets it; what the owner writes at once leaves with one send(), in records as large as they may be.
 *
 * The records stand in the loop's memory (eio_tls_bio.h) in between. A connection has some of its own only while its
 * socket is full, or while its owner has taken less than all. */
#include "eio_http_conn.h"
#include "eio_tls_bio.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

struct eio__tls_io {
    struct eio__io base;
    SSL *ssl;
    struct eio_loop *loop;
    struct eio_http *http;           /* NULL: it is gone */
    struct eio__tls_io *next, *prev; /* all of the server's */
    struct eio__polled polled;       /* of fd */
    int fd;
    uint8_t wanted, watched;          /* EV_READ, EV_WRITE: by the owner; of the descriptor */
    bool *gone;                       /* set when it is freed: watched around calls of the owner */
    struct eio__bytes unread, unsent; /* records of this connection, between the loop's memory and its socket */
    struct eio_deadline deadline;     /* while closing */
    struct eio_timer wake;            /* the owner wants again what waits here */
    bool more : 1;                    /* OpenSSL or `unread` may have bytes for the owner */
    bool ended : 1;                   /* the peer sends no more */
    bool broken : 1;                  /* no byte goes either way */
    bool reported : 1;                /* the owner knows of the end or the break */
    bool deaf : 1;                    /* the peer takes no more */
    bool shut : 1;                    /* so do we send no more, once unsent is out */
    bool closing : 1;
};

static struct eio__tls_io *io_of(struct eio__io *base)
{
    return container_of(base, struct eio__tls_io, base);
}

static void count_error(struct eio__tls_io *io)
{
    if (io->http) eio__tls_count_error(io->http, ERR_peek_error());
    ERR_clear_error();
}

/* ----------------------------------------------------------------- records */

/* Returns how much the socket took. */
static size_t send_some(struct eio__tls_io *io, const uint8_t *p, size_t n)
{
    ssize_t sent = 0;
    if (n > 0) sent = send(io->fd, p, n, MSG_NOSIGNAL);
    if (sent >= 0) return (size_t)sent;
    if (errno != EAGAIN && errno != EINTR) io->deaf = true;
    return 0;
}

static void send_unsent(struct eio__tls_io *io)
{
    eio__bytes_take(&io->unsent, send_some(io, io->unsent.p, io->unsent.size));
    if (io->unsent.size && !io->deaf) return;
    eio__bytes_clear(&io->unsent);
    if (io->shut) shutdown(io->fd, SHUT_WR);
}

/* What OpenSSL has written for it. */
static void send_records(struct eio__tls_io *io)
{
    struct eio__tls_bio *memory = io->loop->tls_bio;
    size_t n = memory->out_size, sent = 0;
    memory->out_size = 0;
    if (!io->unsent.size) sent = send_some(io, memory->out, n);
    if (io->deaf || eio__bytes_add(&io->unsent, memory->out + sent, n - sent)) return;
    io->broken = true; /* out of memory: the peer would miss a record */
}

/* --------------------------------------------------------------- readiness */

/* What was read, or the end, stands here because the owner did not want it; the socket does not report it again. */
static bool has_news(const struct eio__tls_io *io)
{
    return io->more || ((io->ended || io->broken) && !io->reported);
}

static short events_for(const struct eio__tls_io *io)
{
    size_t unsent = io->unsent.size;
    short events = 0;
    if (io->broken) return 0;
    /* A peer that makes OpenSSL answer (with keys, with alerts) and does not read is not read either. */
    if ((io->wanted & EV_READ) && !io->ended && unsent <= EIO__TLS_OUT_BYTES) events |= EV_READ;
    if (unsent || (io->wanted & EV_WRITE)) events |= EV_WRITE;
    return events;
}

static void update_events(struct eio__tls_io *io)
{
    short events = events_for(io);
    if (events == io->watched) return;
    if (eio__poll(io->loop, io->fd, &io->polled, io->watched, events) == 0) {
        io->watched = (uint8_t)events;
        return;
    }
    eio_log(EIO_LOG_ERROR, "tls: cannot register the descriptor with the event loop");
    io->broken = true;
    eio_timer_start(&io->wake, 0);
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
    eio__poll(io->loop, io->fd, &io->polled, io->watched, 0);
    eio__fd_close(io->loop, io->fd);
    SSL_free(io->ssl);
    eio__bytes_clear(&io->unread);
    eio__bytes_clear(&io->unsent);
    free(io);
}

/* The peer's system learns of it behind the last record. */
static void shut_io(struct eio__tls_io *io)
{
    if (io->shut || io->broken) return;
    io->shut = true;
    SSL_shutdown(io->ssl);
    ERR_clear_error();
    send_records(io);
    if (!io->unsent.size) shutdown(io->fd, SHUT_WR);
}

static void io_shutdown(struct eio__io *base)
{
    struct eio__tls_io *io = io_of(base);
    shut_io(io);
    update_events(io);
}

/* What was written stays until it is out, or its time is. */
static void io_close(struct eio__io *base)
{
    struct eio__tls_io *io = io_of(base);
    if (io->gone) *io->gone = true;
    io->gone = NULL;
    io->base.fn = NULL;
    io->wanted = 0;
    shut_io(io);
    if (io->broken || !io->http || !io->unsent.size) {
        io_free(io);
        return;
    }
    io->closing = true;
    eio_deadlines_add(&io->http->io_deadlines, &io->deadline);
    update_events(io);
}

void eio__tls_io_on_deadline(struct eio_deadline *due, void *ctx)
{
    (void)ctx;
    io_free(container_of(due, struct eio__tls_io, deadline));
}

void eio__tls_ios_forget(struct eio_http *http)
{
    while (http->ios) {
        struct eio__tls_io *io = http->ios;
        bool closing = io->closing;
        unlink_io(io);
        if (!closing) continue;
        send_unsent(io); /* no turn of the loop will */
        io_free(io);
    }
}

/* ----------------------------------------------------------------- writing */

/* What of the parts stands behind the first `skip` bytes, as much as a record holds: where it is, or a copy of it if it
 * is in several of them. */
static const uint8_t *next_record(struct eio__tls_bio *memory, const struct iovec *parts, size_t count, size_t skip,
                                  size_t *size)
{
    size_t n = 0, i = 0;
    while (i < count && skip >= parts[i].iov_len) skip -= parts[i++].iov_len;
    if (i < count) {
        const uint8_t *first = (const uint8_t *)parts[i].iov_base + skip;
        size_t left = parts[i].iov_len - skip;
        *size = left < EIO__TLS_PLAIN_BYTES ? left : EIO__TLS_PLAIN_BYTES;
        if (i + 1 == count || left >= EIO__TLS_PLAIN_BYTES) return first;
    }
    for (; i < count && n < EIO__TLS_PLAIN_BYTES; i++, skip = 0) {
        size_t left = parts[i].iov_len - skip;
        if (left > EIO__TLS_PLAIN_BYTES - n) left = EIO__TLS_PLAIN_BYTES - n;
        memcpy(memory->plain + n, (const uint8_t *)parts[i].iov_base + skip, left);
        n += left;
    }
    *size = n;
    return memory->plain;
}

/* Encrypts from the parts, behind the first `skip` bytes, what is sent together. Returns how much. */
static size_t encrypt(struct eio__tls_io *io, const struct iovec *parts, size_t count, size_t skip)
{
    struct eio__tls_bio *memory = io->loop->tls_bio;
    size_t taken = 0, n;
    while (taken < EIO__TLS_OUTPUT_BYTES) {
        const uint8_t *record = next_record(memory, parts, count, skip + taken, &n);
        if (n == 0) break;
        if (SSL_write(io->ssl, record, (int)n) != (int)n) {
            io->broken = true;
            count_error(io);
            break;
        }
        taken += n;
    }
    return taken;
}

static ssize_t io_write(struct eio__io *base, const struct iovec *parts, size_t count)
{
    struct eio__tls_io *io = io_of(base);
    size_t taken = 0, n = 0;
    if (io->unsent.size) {
        errno = EAGAIN;
        return -1;
    }
    while (!io->deaf && !io->broken && !io->shut && !io->unsent.size) {
        n = encrypt(io, parts, count, taken);
        if (n == 0) break;
        send_records(io);
        taken += n;
    }
    if (io->deaf || io->broken || io->shut) {
        errno = EPIPE;
        return -1;
    }
    if (io->unsent.size) update_events(io);
    return (ssize_t)taken;
}

static size_t io_pending(struct eio__io *base)
{
    return io_of(base)->unsent.size;
}

/* ----------------------------------------------------------------- reading */

/* Puts into the loop's memory what is to be decrypted next, so little that it fits. False: nothing, errno says why. */
static bool fetch_records(struct eio__tls_io *io, size_t size)
{
    struct eio__tls_bio *memory = io->loop->tls_bio;
    memory->in = memory->in_bytes;
    memory->in_size = 0;
    if (io->more) {
        memory->in_size = io->unread.size;
        if (memory->in_size) memcpy(memory->in_bytes, io->unread.p, memory->in_size);
        eio__bytes_clear(&io->unread);
        return true;
    }
    size_t most = size > 2 * EIO__TLS_RECORD_BYTES ? size - EIO__TLS_RECORD_BYTES : EIO__TLS_RECORD_BYTES;
    ssize_t n = recv(io->fd, memory->in_bytes, most < EIO__TLS_IN_BYTES ? most : EIO__TLS_IN_BYTES, 0);
    if (n > 0) memory->in_size = (size_t)n;
    if (n == 0) io->ended = true;
    if (n < 0 && errno != EAGAIN && errno != EINTR) io->broken = true;
    return n > 0;
}

/* Why SSL_read() gave nothing. */
static void on_nothing_read(struct eio__tls_io *io, int result)
{
    int error = SSL_get_error(io->ssl, result);
    if (error == SSL_ERROR_ZERO_RETURN) {
        io->ended = true;
    } else if (error != SSL_ERROR_WANT_READ) {
        io->broken = true;
        count_error(io);
    }
    ERR_clear_error();
}

static size_t decrypt(struct eio__tls_io *io, uint8_t *p, size_t size)
{
    struct eio__tls_bio *memory = io->loop->tls_bio;
    size_t n = 0;
    io->more = true;
    while (n < size && io->more) {
        int got = SSL_read(io->ssl, p + n, (int)(size - n));
        if (got > 0) {
            n += (size_t)got;
            io->more = memory->in_size > 0 || SSL_has_pending(io->ssl);
        } else {
            io->more = false;
            on_nothing_read(io, got);
        }
    }
    if (io->more && !eio__bytes_add(&io->unread, memory->in, memory->in_size)) io->broken = true;
    if (memory->out_size) send_records(io); /* keys that the peer wants renewed, alerts */
    return n;
}

static ssize_t io_read(struct eio__io *base, uint8_t *p, size_t size)
{
    struct eio__tls_io *io = io_of(base);
    size_t n = 0;
    if (!io->ended && !io->broken && !fetch_records(io, size) && !io->ended && !io->broken) return -1;
    if (!io->ended && !io->broken) {
        n = decrypt(io, p, size);
        update_events(io);
    }
    if (n) return (ssize_t)n;
    if (io->ended && !io->broken) {
        io->reported = true;
        return 0;
    }
    io->reported = io->broken;
    errno = io->broken ? ECONNRESET : EAGAIN;
    return -1;
}

static void io_watch(struct eio__io *base, short wanted)
{
    struct eio__tls_io *io = io_of(base);
    if (io->wanted == wanted) return;
    bool reads_again = (wanted & EV_READ) && !(io->wanted & EV_READ);
    io->wanted = (uint8_t)wanted;
    if (reads_again && has_news(io)) eio_timer_start(&io->wake, 0);
    update_events(io);
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

/* What came, then the end, for as long as the owner wants it. Returns true when the io is gone. */
static bool pass_on(struct eio__tls_io *io)
{
    do {
        if (call_owner(io, EV_READ)) return true;
    } while ((io->wanted & EV_READ) && has_news(io));
    return false;
}

static void on_wake(void *ctx)
{
    struct eio__tls_io *io = ctx;
    if (!io->closing && (io->wanted & EV_READ) && has_news(io) && !pass_on(io)) update_events(io);
}

/* Returns true when the io is gone. */
static bool on_writable(struct eio__tls_io *io)
{
    if (io->unsent.size) send_unsent(io);
    if (io->unsent.size) return false;
    if (io->closing) {
        io_free(io);
        return true;
    }
    return (io->wanted & EV_WRITE) && call_owner(io, EV_WRITE);
}

static void on_ready(struct eio__polled *polled, short what)
{
    struct eio__tls_io *io = container_of(polled, struct eio__tls_io, polled);
    what &= io->watched;
    if ((what & EV_WRITE) && on_writable(io)) return;
    if ((what & io->watched & EV_READ) && pass_on(io)) return;
    update_events(io);
}

/* ------------------------------------------------------------------ making */

struct eio__tls_io *eio__tls_io_new(struct eio_http *http)
{
    static const struct eio__io_ops ops = {io_write, io_read, io_watch, io_shutdown, io_pending, io_close};
    if (!http->loop->tls_bio) http->loop->tls_bio = eio__tls_bio_new();
    struct eio__tls_io *io = http->loop->tls_bio ? calloc(1, sizeof *io) : NULL;
    if (!io) return NULL;
    io->base.ops = &ops;
    io->http = http;
    io->loop = http->loop;
    io->fd = -1;
    io->wanted = EV_READ;
    io->polled.fn = on_ready;
    eio_timer_init(&io->wake, io->loop, on_wake, io);
    return io;
}

/* Its session with the peer goes on; libevent's way of reading and writing it ends here. Nothing is being written: a
 * request is read when the reply before it is out. */
static SSL *take_ssl(struct bufferevent *take_bev, BIO *bio)
{
    SSL *ssl = bufferevent_openssl_get_ssl(take_bev);
    bufferevent_setcb(take_bev, NULL, NULL, NULL, NULL);
    bufferevent_disable(take_bev, EV_READ | EV_WRITE);
    SSL_up_ref(ssl);
    BIO_up_ref(bio);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_read_ahead(ssl, 1);
    bufferevent_free(take_bev); /* it closes the descriptor of the SSL, which has none any more */
    return ssl;
}

struct eio__io *eio__tls_io_own(struct eio__tls_io *io, struct bufferevent *take_bev)
{
    struct eio_http *http = io->http;
    io->fd = bufferevent_getfd(take_bev);
    io->ssl = take_ssl(take_bev, io->loop->tls_bio->bio);
    io->next = http->ios;
    if (http->ios) http->ios->prev = io;
    http->ios = io;
    io->more = SSL_has_pending(io->ssl);
    if (io->more) eio_timer_start(&io->wake, 0);
    update_events(io);
    return &io->base;
}
