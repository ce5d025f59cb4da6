/* The WebSocket transport: a bare non-blocking descriptor with one struct event, or a struct eio__io. Reads go through
 * the loop's buffer and are decoded in place; writes gather the queue into one sendmsg. Framing itself is in
 * eio_ws_codec.c. */
#include "eio_int.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { IOV_COUNT = 64 };

enum {
    SLICE_US = 5000,    /* of a turn: for those in the row, and once more for those that are not */
    SHARE_US = 1000,    /* of that slice, for one of the row */
    FREE_BYTES = 16384, /* of each read: small messages wait for nobody */
};

static void on_event(evutil_socket_t fd, short what, void *ctx);

/* ------------------------------------------------------------------ events */

void eio__ws_update_events(struct eio_session *session)
{
    if (session->fd < 0) return;
    struct eio_server *server = session->server;
    size_t high = server->options.high_water_bytes;
    /* A peer that sends but does not read: its requests wait until it has taken half of the answers. */
    if (!session->read_paused && session->blocked && session->queue.bytes > high) {
        session->read_paused = true;
        server->stats.reads_paused++;
    } else if (session->read_paused && session->queue.bytes <= high / 2) {
        session->read_paused = false;
    }
    short wanted = EV_PERSIST;
    if (!session->read_paused && !eio__session_is_held(session)) wanted |= EV_READ;
    if (session->blocked) wanted |= EV_WRITE;
    if (session->has_io) {
        session->io->ops->watch(session->io, wanted & (EV_READ | EV_WRITE));
        return;
    }
    if (event_get_events(&session->event) == wanted) return;
    event_del(&session->event);
    if (event_assign(&session->event, server->loop->base, session->fd, wanted, on_event, session) == 0 &&
        event_add(&session->event, NULL) == 0)
        return;
    /* Nothing would be heard of it any more. One that lingers has its timeout. */
    eio_log(EIO_LOG_ERROR, "session %s: cannot register the descriptor with the event loop", eio_session_id(session));
    eio__session_fail(session, EIO_CLOSE_TRANSPORT_ERROR, "cannot register the descriptor with the event loop");
}

void eio__ws_detach(struct eio_session *session)
{
    if (session->fd < 0) return;
    eio__ws_end_slow(session);
    eio__ws_end_pause(session);
    if (session->has_io) {
        session->io->ops->close(session->io);
    } else {
        event_del(&session->event);
        eio__fd_close(session->server->loop, session->fd);
    }
    session->has_io = false;
    session->fd = -1;
    session->blocked = session->read_paused = false;
    /* The partial stays: this may be called from inside the decoder. */
}

void eio__ws_shutdown(struct eio_session *session)
{
    if (session->has_io)
        session->io->ops->shutdown(session->io);
    else
        shutdown(session->fd, SHUT_WR);
}

/* ----------------------------------------------------------------- writing */

/* As send(). */
static inline ssize_t send_bytes(struct eio_session *session, const void *p, size_t n)
{
    if (!session->has_io) return send(session->fd, p, n, MSG_NOSIGNAL);
    struct iovec part = {(void *)(uintptr_t)p, n};
    return session->io->ops->write(session->io, &part, 1);
}

/* Puts what is next in the form this peer takes. Not before its turn: it may be dropped, or the transport change. */
static int form_queue(struct eio_session *session, uint32_t count)
{
    struct eio_server *server = session->server;
    struct eio__queue *queue = &session->queue;
    for (uint32_t i = queue->head_written > 0 ? 1 : 0; i < count; i++) {
        struct eio_frame *form = eio__form_for(session, eio__queue_at(queue, i));
        if (!form) return EIO_ENOMEM;
        size_t before = queue->bytes;
        eio__queue_replace(queue, i, form);
        server->stats.queued_bytes = server->stats.queued_bytes - before + queue->bytes;
    }
    return 0;
}

static ssize_t write_queue(struct eio_session *session, size_t *offered)
{
    struct eio__queue *queue = &session->queue;
    struct iovec iov[IOV_COUNT];
    uint32_t count = queue->count < IOV_COUNT ? queue->count : IOV_COUNT;
    if (eio__form_differs(session) && form_queue(session, count) != 0) {
        errno = ENOMEM;
        return -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct eio_frame *frame = eio__queue_at(queue, i);
        size_t skip = i == 0 ? queue->head_written : 0;
        iov[i].iov_base = frame->bytes + frame->wire_start + skip;
        iov[i].iov_len = frame->wire_size - skip;
        *offered += iov[i].iov_len;
    }
    if (session->has_io) return session->io->ops->write(session->io, iov, count);
    if (count == 1) return send(session->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    return sendmsg(session->fd, &message, MSG_NOSIGNAL);
}

int eio__ws_write(struct eio_session *session)
{
    struct eio_server *server = session->server;
    session->blocked = false;
    while (session->queue.count) {
        size_t offered = 0;
        ssize_t n = write_queue(session, &offered);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN) return EIO_ESYS;
        server->stats.writes++;
        if (n > 0) {
            session->queued_messages -= (uint32_t)eio__queue_advance(&session->queue, (size_t)n);
            server->stats.bytes_out += (size_t)n;
            server->stats.queued_bytes -= (size_t)n;
            session->written += (uint32_t)n;
        }
        if (n < 0 || (size_t)n < offered) {
            server->stats.partial_writes++;
            session->blocked = true;
            return 1;
        }
    }
    return 0;
}

void eio__ws_write_now(struct eio_session *session, struct eio_frame *frame)
{
    struct eio_server *server = session->server;
    ssize_t n = send_bytes(session, eio__frame_wire(frame), frame->wire_size);
    server->stats.writes++;
    if (n > 0) session->written += (uint32_t)n;
    if (n == (ssize_t)frame->wire_size) {
        server->stats.bytes_out += (size_t)n;
        session->queue.in_group = frame->more;
        return;
    }
    /* The rest, or the error, is the flush's: it closes and calls back, which a walk over receivers must not. */
    if (eio__session_push(session, eio_frame_ref(frame)) != 0) {
        eio__session_fail(session, EIO_CLOSE_TRANSPORT_ERROR, "out of memory");
        return;
    }
    if (n <= 0) return;
    session->queued_messages -= (uint32_t)eio__queue_advance(&session->queue, (size_t)n);
    server->stats.bytes_out += (size_t)n;
    server->stats.queued_bytes -= (size_t)n;
}

uint8_t *eio__ws_reserve(struct eio_session *session, enum eio__ws_opcode opcode, bool with_type, size_t size)
{
    struct eio__queue *queue = &session->queue;
    size_t payload = size + (with_type ? 1 : 0);
    size_t wire = eio__ws_header_size(payload) + payload;
    struct eio_frame *frame = queue->count ? eio__queue_at(queue, queue->count - 1) : NULL;
    bool control = opcode >= EIO__WS_CLOSE;
    bool alone = wire > EIO__CHUNK_BYTES / 2 ||
                 (!control && session->deflate_bits && payload >= session->server->options.deflate_threshold_bytes);
    if (alone || !frame || !frame->is_chunk || frame->wire_size + wire > EIO__CHUNK_BYTES) {
        frame = alone ? eio__frame_new_wire(wire) : eio__frame_new_chunk();
        if (!frame) return NULL;
        frame->is_plain = alone;
        frame->wire_size = 0;
        if (eio__session_push(session, frame) != 0) return NULL;
    } else {
        eio__session_want_flush(session);
    }
    uint8_t *out = frame->bytes + frame->wire_size;
    frame->wire_size += (uint32_t)wire;
    if (!control) {
        frame->messages++;
        session->queued_messages++;
    }
    queue->bytes += wire;
    session->server->stats.queued_bytes += wire;
    out += eio__ws_put_header(out, opcode, payload);
    if (with_type) *out++ = EIO__MESSAGE;
    return out;
}

void eio__ws_push_control(struct eio_session *session, enum eio__ws_opcode opcode, const uint8_t *p, size_t n)
{
    struct eio_frame *frame = eio__frame_new_wire(2 + n);
    if (!frame) return;
    eio__ws_put_header(frame->bytes, opcode, n);
    if (n) memcpy(frame->bytes + 2, p, n);
    eio__session_push(session, frame);
}

int eio__ws_ping(struct eio_session *session)
{
    eio__ws_push_control(session, EIO__WS_PING, NULL, 0);
    return 0;
}

/* ----------------------------------------------------------------- probing */

int eio__ws_probe_reply(struct eio_session *session, const char *packet, size_t size)
{
    uint8_t wire[16];
    BASE_CHECK(size <= sizeof wire - 2);
    size_t header = eio__ws_put_header(wire, EIO__WS_TEXT, size);
    memcpy(wire + header, packet, size);
    ssize_t n = send_bytes(session, wire, header + size);
    return n == (ssize_t)(header + size) ? 0 : EIO_ESYS;
}

void eio__ws_drop_probe(struct eio_session *session)
{
    if (session->carrier == EIO__C_POLLING || session->carrier == EIO__C_WEBSOCKET) return;
    struct eio_server *server = session->server;
    eio_deadline_stop(&server->upgrade, &session->polling->upgrade);
    eio_deadline_stop(&server->noop, &session->polling->noop);
    server->stats.upgrading--;
    session->carrier = EIO__C_POLLING;
    if (session->fd < 0) return;
    static const uint8_t close_frame[] = {0x88, 0x00};
    if (session->closing < EIO__WS_CLOSE_QUEUED) (void)!send_bytes(session, close_frame, sizeof close_frame);
    eio__ws_shutdown(session);
    eio__ws_detach(session);
    eio__ws_close_reset(session);
}

/* engine.io-protocol, "Upgrade": the probe, then the packet that makes it so. Anything else ends the attempt. */
static int on_probe_message(struct eio_session *session, enum eio_kind kind, const uint8_t *p, size_t n)
{
    struct eio_server *server = session->server;
    if (kind == EIO_TEXT && n == 6 && memcmp(p, "2probe", 6) == 0) {
        if (eio__ws_probe_reply(session, "3probe", 6) != 0) {
            eio__ws_drop_probe(session);
            return 1;
        }
        session->carrier = EIO__C_PROBED;
        /* The client sends "5" only after its last poll has returned: waiting here would deadlock the upgrade. */
        eio__polling_answer(session, "6", 1);
        eio_deadlines_add(&server->noop, &session->polling->noop);
        if (server->watch && server->watch->fn.on_upgrading) {
            server->watch->fn.on_upgrading(session, server->watch->ctx);
            return session->carrier != EIO__C_PROBED;
        }
        return 0;
    }
    if (kind == EIO_TEXT && n == 1 && p[0] == EIO__UPGRADE && session->state <= EIO__S_CLOSING) {
        eio__polling_answer(session, "6", 1);
        eio__polling_end(session);
        session->carrier = EIO__C_WEBSOCKET;
        eio__heartbeat_on_upgrade(session);
        if (session->state == EIO__S_CLOSING) eio__session_await_last(session);
        server->stats.upgrades++;
        server->stats.upgrading--;
        eio__session_want_flush(session);
        if (server->handlers.on_upgrade) server->handlers.on_upgrade(session, server->ctx);
        if (session->state != EIO__S_CLOSED && server->watch && server->watch->fn.on_upgrade)
            server->watch->fn.on_upgrade(session, server->watch->ctx);
        return session->fd < 0;
    }
    eio__ws_drop_probe(session);
    return 1;
}

/* --------------------------------------------------------------- inflating */

/* Whoever sends much that is small on the wire, alone or with many connections, does not keep the loop from everybody
 * else: a WebSocket whose slice is over waits in a row for its next, and the row has one slice in a turn. */
static bool may_inflate(void *ctx, size_t done)
{
    struct eio_session *session = ctx;
    struct eio_loop *loop = session->server->loop;
    struct eio__inflations *all = &session->server->inflations;
    if (session->inbox) return false; /* where what came out would only be kept */
    if (done < FREE_BYTES) return true;
    if (all->first && !all->running) return false;
    uint64_t now_us = eio__loop_slice_clock_us(loop);
    if (!all->running && all->turn != loop->stats.turns) {
        all->turn = loop->stats.turns;
        all->until_us = now_us + SLICE_US;
    }
    return now_us < all->until_us;
}

static void put_last(struct eio__inflations *all, struct eio__inflating *inflating)
{
    inflating->queued = true;
    inflating->next = NULL;
    *all->last = inflating;
    all->last = &inflating->next;
}

static struct eio__inflating *take_first(struct eio__inflations *all)
{
    struct eio__inflating *first = all->first;
    all->first = first->next;
    if (!all->first) all->last = &all->first;
    first->queued = false;
    return first;
}

void eio__ws_wake(struct eio_session *session)
{
    struct eio__inflating *inflating = session->inflating;
    if (!inflating || inflating->queued || session->inbox) return;
    put_last(&session->server->inflations, inflating);
    eio_timer_start(&session->server->inflations.timer, 0);
}

static void await_slice(struct eio_session *session)
{
    if (!session->inflating) {
        session->inflating = calloc(1, sizeof *session->inflating);
        if (!session->inflating) {
            eio__session_fail(session, EIO_CLOSE_TRANSPORT_ERROR, "out of memory");
            return;
        }
        session->inflating->session = session;
        session->server->stats.reads_sliced++;
        eio__ws_update_events(session);
    }
    eio__ws_wake(session);
}

void eio__ws_end_pause(struct eio_session *session)
{
    struct eio__inflating *inflating = session->inflating;
    struct eio__inflations *all = &session->server->inflations;
    if (!inflating) return;
    if (inflating->queued) {
        struct eio__inflating **at = &all->first;
        while (*at != inflating) at = &(*at)->next;
        *at = inflating->next;
        if (!*at) all->last = at;
    }
    free(inflating);
    session->inflating = NULL;
}

/* ----------------------------------------------------------------- reading */

static int on_message(void *ctx, enum eio_kind kind, uint8_t *p, size_t n)
{
    struct eio_session *session = ctx;
    session->progressed = true;
    if (session->state >= EIO__S_LINGERING) return 0;
    if (session->carrier != EIO__C_WEBSOCKET) return on_probe_message(session, kind, p, n);
    struct eio__packet packet = {EIO__MESSAGE, kind, p, n};
    if (session->protocol == 3) {
        struct eio__fault fault;
        if (eio__packet3_decode(p, n, kind, &packet, &fault) != 1) {
            eio_session_abort(session, EIO_CLOSE_PARSE_ERROR, fault.why);
            return 0;
        }
    } else if (session->protocol == 4 && kind == EIO_TEXT) {
        struct eio__fault fault;
        if (eio__packet_decode(p, n, &packet, &fault) != 1) {
            eio_session_abort(session, EIO_CLOSE_PARSE_ERROR, fault.why);
            return 0;
        }
    }
    eio__inbox_receive(session, &packet);
    return session->fd < 0;
}

/* In a chunk with its neighbours: a frame for each would make a flood of pings, unread, expensive. */
static void answer_ping(struct eio_session *session, const uint8_t *p, size_t n)
{
    uint8_t *out = eio__ws_reserve(session, EIO__WS_PONG, false, n);
    if (out && n) memcpy(out, p, n);
}

static int on_control(void *ctx, enum eio__ws_opcode opcode, const uint8_t *p, size_t n)
{
    struct eio_session *session = ctx;
    bool over = session->state >= EIO__S_LINGERING;
    if (opcode == EIO__WS_PONG) {
        if (session->protocol == 0 && !over) eio__heartbeat_on_pong(session);
        return 0;
    }
    if (session->carrier != EIO__C_WEBSOCKET) {
        if (opcode == EIO__WS_CLOSE) eio__ws_drop_probe(session);
        return opcode == EIO__WS_CLOSE;
    }
    if (opcode == EIO__WS_PING) {
        if (!over && session->closing < EIO__WS_CLOSE_QUEUED) answer_ping(session, p, n);
        return 0;
    }
    eio__ws_close_on_frame(session, p, n);
    return 1;
}

void eio__ws_end_slow(struct eio_session *session)
{
    if (!session->slow) return;
    eio_deadline_stop(NULL, &session->slow->deadline);
    free(session->slow);
    session->slow = NULL;
}

/* A message that drips in for minutes holds memory, and no heartbeat notices. */
static void watch_message(struct eio_session *session)
{
    struct eio_server *server = session->server;
    bool begun = session->partial && session->state <= EIO__S_CLOSING && session->carrier == EIO__C_WEBSOCKET;
    if (!begun || !server->options.message_timeout_ms) {
        eio__ws_end_slow(session);
        return;
    }
    if (session->slow && !session->progressed) return;
    if (!session->slow) session->slow = calloc(1, sizeof *session->slow);
    if (!session->slow) return; /* the limit in bytes holds */
    session->slow->session = session;
    eio_deadlines_add(&server->message, &session->slow->deadline);
}

static const struct eio__ws_events decoder_events = {on_message, on_control, may_inflate};

static struct eio__ws_limits limits_of(const struct eio_session *session)
{
    struct eio__ws_limits limits = session->server->ws_limits;
    limits.deflate = session->deflate_bits != 0;
    return limits;
}

static void on_decoded(struct eio_session *session, int result, const struct eio__fault *fault)
{
    if (result == EIO__WS_PAUSED)
        await_slice(session);
    else
        eio__ws_end_pause(session);
    if (session->partial || session->slow) watch_message(session);
    if (result < 0) eio__ws_close_on_fault(session, fault);
}

static void decode(struct eio_session *session, uint8_t *p, size_t n)
{
    if (eio__ws_close_ignores_input(session)) return;
    struct eio__fault fault = {0};
    struct eio__ws_limits limits = limits_of(session);
    session->progressed = false;
    eio__loop_begin_slice(session->server->loop);
    int result = eio__ws_decode(&session->partial, &limits, &decoder_events, session, p, n, &fault);
    on_decoded(session, result, &fault);
}

static void decode_on(struct eio_session *session)
{
    struct eio__fault fault = {0};
    struct eio__ws_limits limits = limits_of(session);
    int result = EIO__WS_CONSUMED;
    session->progressed = false;
    eio__loop_begin_slice(session->server->loop);
    if (!eio__ws_close_ignores_input(session))
        result = eio__ws_resume(&session->partial, &limits, &decoder_events, session, &fault);
    on_decoded(session, result, &fault);
    if (result != EIO__WS_PAUSED) eio__ws_update_events(session);
}

static void run_slice(void *ctx)
{
    struct eio_server *server = ctx;
    struct eio__inflations *all = &server->inflations;
    uint64_t now_us = eio__loop_slice_clock_us(server->loop), end_us = now_us + SLICE_US;
    all->running = true;
    while (all->first && now_us < end_us) {
        struct eio_session *session = take_first(all)->session;
        all->until_us = now_us + SHARE_US < end_us ? now_us + SHARE_US : end_us;
        if (!session->inbox) decode_on(session); /* else eio__ws_wake() puts it back */
        now_us = eio__loop_slice_clock_us(server->loop);
    }
    all->running = false;
    if (all->first) eio_timer_start(&all->timer, 0);
}

void eio__ws_pauses_clear(struct eio_server *server)
{
    BASE_CHECK(!server->inflations.first);
    eio_timer_stop(&server->inflations.timer);
}

void eio__ws_pauses_init(struct eio_server *server)
{
    server->inflations.last = &server->inflations.first;
    eio_timer_init(&server->inflations.timer, server->loop, run_slice, server);
}

static void on_readable(struct eio_session *session)
{
    struct eio_loop *loop = session->server->loop;
    ssize_t n = session->has_io ? session->io->ops->read(session->io, loop->read_buffer, EIO__READ_BUFFER_BYTES)
                                : recv(session->fd, loop->read_buffer, EIO__READ_BUFFER_BYTES, 0);
    if (n > 0) {
        session->server->stats.bytes_in += (size_t)n;
        session->received += (uint32_t)n;
        decode(session, loop->read_buffer, (size_t)n);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n == 0)
        eio__ws_close_on_broken(session, EIO_CLOSE_TRANSPORT_CLOSE, "the connection ended");
    else
        eio__ws_close_on_broken(session, EIO_CLOSE_TRANSPORT_ERROR, "the connection broke");
}

static void on_io(short what, void *ctx)
{
    struct eio_session *session = ctx;
    eio__loop_on_event(session->server->loop);
    if (what & EV_WRITE) {
        session->blocked = false;
        eio__session_want_flush(session);
    }
    if (what & EV_READ) on_readable(session);
}

static void on_event(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    on_io(what, ctx);
}

/* --------------------------------------------------------------- attaching */

int eio__ws_attach(struct eio_session *session, struct eio__wire take_wire)
{
    struct eio_loop *loop = session->server->loop;
    eio__ws_partial_free(session->partial); /* of an attempt before */
    session->partial = NULL;
    session->fd = take_wire.fd;
    eio__ws_close_reset(session);
    session->has_io = take_wire.io != NULL;
    if (session->has_io) {
        session->io = take_wire.io;
        session->io->fn = on_io;
        session->io->ctx = session;
        return 0;
    }
    if (event_assign(&session->event, loop->base, take_wire.fd, EV_READ | EV_PERSIST, on_event, session) != 0 ||
        event_add(&session->event, NULL) != 0) {
        eio__fd_close(loop, take_wire.fd);
        session->fd = -1;
        return EIO_ESYS;
    }
    return 0;
}

void eio__ws_feed(struct eio_session *session, uint8_t *p, size_t n)
{
    if (n == 0 || session->fd < 0) return;
    session->server->stats.bytes_in += n;
    decode(session, p, n);
}
