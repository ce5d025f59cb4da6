/* A pump: carries a connection that cannot be handed over itself (its TLS is here) to one end of a pair of sockets,
 * whose other end goes to the node that owns the session. Bounded both ways, since it stops reading where it cannot
 * write; ends are passed on, each way by itself; what the owner sent is delivered before the connection is closed. When
 * it ends is the owner's business (deadlines, heartbeats): here is only a limit to how long its end takes. */
#include "eio_http_conn.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PUMP_READ_BYTES = 16384 };

/* One way. */
struct way {
    struct evbuffer *held; /* read and not written yet */
    bool ended;            /* nothing more is to be read */
    bool passed;           /* and the end was passed on to the other side */
};

struct eio__pump {
    struct eio_http *http;
    struct eio__pump *next, *prev;
    struct eio__io *io;  /* the client */
    int fd;              /* towards the owner */
    short watched;       /* of the event */
    bool deaf : 1;       /* the owner takes no more: what the client sends is thrown away, so that it gets its answer */
    struct event event;  /* of the descriptor */
    struct way up, down; /* to the owner; to the client */
    struct eio_deadline deadline;
    struct eio_deadlines *deadlines;
    uint64_t down_bytes, delivered; /* read from the owner; gone to the client at the last look of the deadline */
};

static bool is_empty(const struct way *way)
{
    return evbuffer_get_length(way->held) == 0;
}

static size_t left_for_client(const struct eio__pump *pump)
{
    return evbuffer_get_length(pump->down.held) + pump->io->ops->pending(pump->io);
}

static void set_deadline(struct eio__pump *pump, struct eio_deadlines *queue)
{
    if (pump->deadlines) eio_deadline_stop(pump->deadlines, &pump->deadline);
    pump->deadlines = queue;
    if (queue) eio_deadlines_add(queue, &pump->deadline);
}

/* Everything but the client's side. */
static void discard(struct eio__pump *pump)
{
    event_del(&pump->event);
    close(pump->fd);
    if (pump->up.held) evbuffer_free(pump->up.held);
    if (pump->down.held) evbuffer_free(pump->down.held);
    free(pump);
}

static void pump_end(struct eio__pump *pump)
{
    struct eio_http *http = pump->http;
    set_deadline(pump, NULL);
    if (pump->prev)
        pump->prev->next = pump->next;
    else
        http->pumps = pump->next;
    if (pump->next) pump->next->prev = pump->prev;
    http->stats.pumps--;
    pump->io->ops->close(pump->io);
    discard(pump);
}

/* --------------------------------------------------------------- both ways */
/* These return false when the client's side is broken, or memory is out. */

static bool from_client(struct eio__pump *pump)
{
    struct way *up = &pump->up;
    uint8_t *buffer = pump->http->loop->read_buffer;
    /* All that is there: the io asks until nothing is left. */
    while (!up->ended) {
        ssize_t n = pump->io->ops->read(pump->io, buffer, EIO__READ_BUFFER_BYTES);
        if (n < 0) return errno == EAGAIN;
        up->ended = n == 0;
        if (!pump->deaf && evbuffer_add(up->held, buffer, (size_t)n) != 0) return false;
    }
    return true;
}

static void to_owner(struct eio__pump *pump)
{
    struct way *up = &pump->up;
    while (!is_empty(up)) {
        if (evbuffer_write(up->held, pump->fd) > 0) continue;
        if (errno == EAGAIN || errno == EINTR) return;
        pump->deaf = true;
        evbuffer_drain(up->held, evbuffer_get_length(up->held));
    }
    if (!up->ended || up->passed) return;
    up->passed = true;
    shutdown(pump->fd, SHUT_WR);
}

static void from_owner(struct eio__pump *pump)
{
    int n = evbuffer_read(pump->down.held, pump->fd, PUMP_READ_BYTES);
    if (n > 0) pump->down_bytes += (uint64_t)n;
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) return;
    pump->down.ended = true; /* by an error too: it comes after the last byte */
}

static bool to_client(struct eio__pump *pump)
{
    struct way *down = &pump->down;
    struct evbuffer_iovec part;
    while (evbuffer_peek(down->held, -1, NULL, &part, 1) > 0 && part.iov_len) {
        struct iovec one = {part.iov_base, part.iov_len};
        ssize_t n = pump->io->ops->write(pump->io, &one, 1);
        if (n < 0) return errno == EAGAIN;
        evbuffer_drain(down->held, (size_t)n);
    }
    if (!down->ended || down->passed) return true;
    down->passed = true;
    pump->io->ops->shutdown(pump->io);
    return true;
}

/* ----------------------------------------------------------------- running */

static void on_event(evutil_socket_t fd, short what, void *ctx);

static bool update_events(struct eio__pump *pump)
{
    bool room_up = is_empty(&pump->up), room_down = is_empty(&pump->down);
    bool draining = pump->down.ended && left_for_client(pump);
    short io_wanted = 0, wanted = 0;
    if (room_up && !pump->up.ended) io_wanted |= EV_READ;
    if (!room_down || draining) io_wanted |= EV_WRITE;
    pump->io->ops->watch(pump->io, io_wanted);
    if (room_down && !pump->down.ended) wanted |= EV_READ;
    if (!room_up) wanted |= EV_WRITE;
    if (wanted == pump->watched) return true;
    pump->watched = wanted;
    event_del(&pump->event);
    if (!wanted) return true;
    event_assign(&pump->event, pump->http->loop->base, pump->fd, wanted | EV_PERSIST, on_event, pump);
    return event_add(&pump->event, NULL) == 0;
}

/* The client may take its time with what is left for it, but once the owner has gone it may not do nothing. */
static void watch_end(struct eio__pump *pump)
{
    struct eio_http *http = pump->http;
    size_t left = left_for_client(pump);
    if (left && !pump->deadlines) {
        pump->delivered = pump->down_bytes - left;
        set_deadline(pump, &http->pump_drain_deadlines);
    } else if (left == 0 && !pump->down.ended) {
        set_deadline(pump, NULL);
    } else if (left == 0 && pump->deadlines != &http->pump_linger_deadlines) {
        set_deadline(pump, &http->pump_linger_deadlines);
    }
}

static void run_pump(struct eio__pump *pump)
{
    bool ok = from_client(pump);
    if (ok) to_owner(pump);
    while (ok && (ok = to_client(pump)) && !pump->down.ended && is_empty(&pump->down)) {
        from_owner(pump);
        if (!pump->down.ended && is_empty(&pump->down)) break;
    }
    ok = ok && to_client(pump);
    bool over = ok && pump->up.passed && pump->down.passed && left_for_client(pump) == 0;
    if (!ok || over || !update_events(pump)) {
        pump_end(pump);
        return;
    }
    watch_end(pump);
}

static void on_event(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    run_pump(ctx);
}

static void on_io(short what, void *ctx)
{
    (void)what;
    run_pump(ctx);
}

/* ---------------------------------------------------------------- lifetime */

struct eio__pump *eio__pump_new(struct eio_http *http, int take_fd)
{
    struct eio__pump *pump = calloc(1, sizeof *pump);
    if (!pump) {
        close(take_fd);
        return NULL;
    }
    pump->http = http;
    pump->fd = take_fd;
    pump->up.held = evbuffer_new();
    pump->down.held = evbuffer_new();
    pump->watched = EV_READ;
    event_assign(&pump->event, http->loop->base, take_fd, EV_READ | EV_PERSIST, on_event, pump);
    if (pump->up.held && pump->down.held && event_add(&pump->event, NULL) == 0) return pump;
    discard(pump);
    return NULL;
}

void eio__pump_begin(struct eio__pump *pump, struct eio__io *take_io, bool ended)
{
    struct eio_http *http = pump->http;
    pump->io = take_io;
    pump->io->fn = on_io;
    pump->io->ctx = pump;
    pump->up.ended = ended;
    pump->next = http->pumps;
    if (http->pumps) http->pumps->prev = pump;
    http->pumps = pump;
    http->stats.pumps++;
    run_pump(pump);
}

void eio__pumps_close(struct eio_http *http)
{
    while (http->pumps) pump_end(http->pumps);
}

static struct eio__pump *pump_of(struct eio_deadline *due)
{
    return container_of(due, struct eio__pump, deadline);
}

/* Behind what was not read yet, its end does not show by reading. */
static bool owner_is_gone(const struct eio__pump *pump)
{
    struct pollfd look = {.fd = pump->fd, .events = POLLRDHUP};
    return pump->down.ended || (poll(&look, 1, 0) == 1 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)));
}

void eio__pump_on_drain_deadline(struct eio_deadline *due, void *ctx)
{
    struct eio_http *http = ctx;
    struct eio__pump *pump = pump_of(due);
    uint64_t delivered = pump->down_bytes - left_for_client(pump);
    if (delivered != pump->delivered || !owner_is_gone(pump)) {
        pump->delivered = delivered;
        set_deadline(pump, &http->pump_drain_deadlines);
        return;
    }
    http->stats.timeouts++;
    eio_limit_hit(&http->hits[EIO_LIMIT_DRAIN_TIMEOUT], http->loop, eio_limit_name(EIO_LIMIT_DRAIN_TIMEOUT), NULL);
    pump_end(pump);
}

void eio__pump_on_linger_deadline(struct eio_deadline *due, void *ctx)
{
    (void)ctx;
    pump_end(pump_of(due));
}
