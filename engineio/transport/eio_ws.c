/* The WebSocket transport: a bare non-blocking descriptor in the loop's poller, or a struct eio__io. Reads go through
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
    FREE_BYTES = 16384, /* of each read: small messages do not wait */
};

static void on_ready(struct eio__polled *polled, short what);
static void end_slow(struct eio__ws *ws);
static void end_pause(struct eio__ws *ws);
static void end_forming(struct eio__ws *ws);

/* ------------------------------------------------------------------ events */

static void update_events(struct eio__ws *ws)
{
    if (ws->base.fd < 0) return;
    struct eio_session *session = ws->base.session;
    struct eio_server *server = session->server;
    size_t high = server->options.high_water_bytes;
    /* A peer that sends but does not read: its requests wait until it has taken half of the answers. */
    if (!ws->base.read_paused && ws->base.blocked && session->queue.bytes > high) {
        ws->base.read_paused = true;
        server->stats.reads_paused++;
    } else if (ws->base.read_paused && session->queue.bytes <= high / 2) {
        ws->base.read_paused = false;
    }
    short wanted = 0;
    if (!ws->base.read_paused && !session->inbox && !ws->inflating) wanted |= EV_READ;
    if (ws->base.blocked) wanted |= EV_WRITE;
    short before = ws->watched;
    if (before == wanted) return;
    ws->watched = (uint8_t)wanted;
    if (ws->has_io) {
        ws->io->ops->watch(ws->io, wanted);
        return;
    }
    if (eio__poll(server->loop, ws->base.fd, &ws->polled, before, wanted) == 0) return;
    /* Nothing of the peer would be noticed any more. One that lingers has its timeout. */
    eio_log(EIO_LOG_ERROR, "session %s: cannot register the descriptor with the event loop", eio_session_id(session));
    eio__session_fail(session, EIO_CLOSE_TRANSPORT_ERROR, "cannot register the descriptor with the event loop");
}

static void ws_detach(struct eio__transport *transport)
{
    struct eio__ws *ws = eio__ws_of(transport);
    if (ws->base.fd < 0) return;
    end_slow(ws);
    end_pause(ws);
    end_forming(ws);
    if (ws->has_io) {
        ws->io->ops->close(ws->io);
    } else {
        struct eio_loop *loop = ws->base.session->server->loop;
        eio__poll(loop, ws->base.fd, &ws->polled, ws->watched, 0);
        eio__fd_close(loop, ws->base.fd);
    }
    ws->watched = 0;
    ws->has_io = false;
    ws->base.fd = -1;
    ws->base.blocked = ws->base.read_paused = false;
    /* The partial stays: this may be called from inside the decoder. */
}

static void ws_free(struct eio__transport *transport)
{
    struct eio__ws *ws = eio__ws_of(transport);
    eio__ws_partial_free(ws->partial);
    end_pause(ws);
    end_slow(ws);
    end_forming(ws);
    eio__transport_release(ws->base.session, ws);
}

void eio__ws_shutdown(struct eio__ws *ws)
{
    if (ws->has_io)
        ws->io->ops->shutdown(ws->io);
    else
        shutdown(ws->base.fd, SHUT_WR);
}

/* ----------------------------------------------------------------- writing */

/* As send(). */
static inline ssize_t send_bytes(struct eio__ws *ws, const void *p, size_t n)
{
    if (!ws->has_io) return send(ws->base.fd, p, n, MSG_NOSIGNAL);
    struct iovec part = {(void *)(uintptr_t)p, n};
    return ws->io->ops->write(ws->io, &part, 1);
}

static void end_forming(struct eio__ws *ws)
{
    if (!ws->forming) return;
    eio__form_forget(ws->forming);
    ws->forming = NULL;
    ws->base.is_forming = false;
}

static int await_form(struct eio__ws *ws, const struct eio_frame *frame)
{
    struct eio__form_waiter *before = ws->forming; /* it may be the only one that wants the frame */
    ws->forming = eio__form_await(ws->base.session, frame);
    eio__form_forget(before);
    ws->base.is_forming = ws->forming != NULL;
    return ws->forming ? 0 : EIO_ENOMEM;
}

/* Puts what is next in the form this peer takes. Not before its turn: it may be dropped, or the transport change. At
 * most *count; less if one is not compressed yet. */
static int form_queue(struct eio__ws *ws, uint32_t *count)
{
    struct eio_session *session = ws->base.session;
    struct eio_server *server = session->server;
    struct eio__queue *queue = &session->queue;
    for (uint32_t i = queue->head_written > 0 ? 1 : 0; i < *count; i++) {
        struct eio_frame *form;
        int result = eio__form_for(session, ws->deflate_bits, eio__queue_at(queue, i), &form);
        if (result == EIO_ENOMEM) return result;
        size_t before = queue->bytes;
        eio__queue_replace(queue, i, form);
        server->stats.queued_bytes = server->stats.queued_bytes - before + queue->bytes;
        if (result == EIO_EAGAIN) {
            *count = i;
            return await_form(ws, form);
        }
    }
    end_forming(ws);
    return 0;
}

/* What is queued, up to a number of frames, with one call. */
static ssize_t gather_queue(struct eio__ws *ws, size_t *offered)
{
    struct eio__queue *queue = &ws->base.session->queue;
    struct iovec iov[IOV_COUNT];
    uint32_t count = queue->count < IOV_COUNT ? queue->count : IOV_COUNT;
    if (!ws->base.sends_common && form_queue(ws, &count) != 0) {
        errno = ENOMEM;
        return -1;
    }
    if (count == 0) return 0;
    for (uint32_t i = 0; i < count; i++) {
        struct eio_frame *frame = eio__queue_at(queue, i);
        size_t skip = i == 0 ? queue->head_written : 0;
        iov[i].iov_base = frame->bytes + frame->wire_start + skip;
        iov[i].iov_len = frame->wire_size - skip;
        *offered += iov[i].iov_len;
    }
    if (ws->has_io) return ws->io->ops->write(ws->io, iov, count);
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    return sendmsg(ws->base.fd, &message, MSG_NOSIGNAL);
}

/* What the kernel, or the TLS beneath, took of what it was offered; n > 0. Returns false if there was more. */
static inline bool note_sent(struct eio__ws *ws, size_t n, size_t offered)
{
    struct eio_session *session = ws->base.session;
    struct eio_server *server = session->server;
    session->queued_messages -= (uint32_t)eio__queue_advance(&session->queue, n);
    server->stats.writes++;
    server->stats.bytes_out += n;
    server->stats.queued_bytes -= n;
    eio__loop_note_written(server->loop, n);
    ws->written += (uint32_t)n;
    return n == offered;
}

static int is_blocked(struct eio__ws *ws)
{
    ws->base.session->server->stats.partial_writes++;
    ws->base.blocked = true;
    return EIO_EAGAIN;
}

/* Nothing was; errno says why. */
static int nothing_sent(struct eio__ws *ws, ssize_t n)
{
    if (n < 0 && errno != EAGAIN) return EIO_ESYS;
    ws->base.session->server->stats.writes++;
    return is_blocked(ws);
}

/* 0: all of it. */
static __attribute__((noinline)) int write_many(struct eio__ws *ws)
{
    struct eio_session *session = ws->base.session;
    if (ws->deaf) {
        eio__session_drop_queue(session);
        end_forming(ws);
    }
    while (session->queue.count) {
        size_t offered = 0;
        ssize_t n = gather_queue(ws, &offered);
        if (n < 0 && errno == EINTR) continue;
        if (n >= 0 && !offered) return EIO_EAGAIN; /* it is flushed again when the next message is compressed */
        if (n <= 0) return nothing_sent(ws, n);
        if (!note_sent(ws, (size_t)n, offered)) return is_blocked(ws);
    }
    return 0;
}

/* The same; usually there is one frame, and it leaves as a whole. */
static int write_all(struct eio__ws *ws)
{
    const struct eio__queue *queue = &ws->base.session->queue;
    ws->base.blocked = false;
    if (queue->count != 1 || !ws->base.sends_common || ws->deaf) return write_many(ws);
    const struct eio_frame *frame = eio__queue_at(queue, 0);
    size_t offered = frame->wire_size - queue->head_written;
    ssize_t n = send_bytes(ws, eio__frame_wire(frame) + queue->head_written, offered);
    if (n < 0 && errno == EINTR) return write_many(ws);
    if (n <= 0) return nothing_sent(ws, n);
    return note_sent(ws, (size_t)n, offered) ? 0 : is_blocked(ws);
}

static int ws_write(struct eio__transport *transport)
{
    struct eio__ws *ws = eio__ws_of(transport);
    int result = ws->base.blocked ? EIO_EAGAIN : write_all(ws);
    bool is_over = result != 0 && result != EIO_EAGAIN;
    if (is_over && ws->base.session->state == EIO__S_OPEN && (errno == EPIPE || errno == ECONNRESET)) {
        /* The peer went away, perhaps behind much that it has sent: its end is found by reading. */
        ws->deaf = true;
        result = write_all(ws);
    } else if (is_over) {
        eio__ws_close_on_broken(ws, EIO_CLOSE_TRANSPORT_ERROR, "the connection broke while writing");
        return result;
    }
    if (ws->base.session->queue.count == 0) eio__ws_close_on_flushed(ws);
    update_events(ws);
    return result;
}

static void ws_write_now(struct eio__transport *transport, struct eio_frame *frame)
{
    struct eio__ws *ws = eio__ws_of(transport);
    struct eio_session *session = ws->base.session;
    struct eio_server *server = session->server;
    ssize_t n = send_bytes(ws, eio__frame_wire(frame), frame->wire_size);
    server->stats.writes++;
    if (n > 0) ws->written += (uint32_t)n;
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

/* The chunk that the last bytes of the queue are in, or NULL if it has no room for so many more. */
static inline struct eio_frame *open_chunk(const struct eio__queue *queue, size_t wire)
{
    struct eio_frame *frame = queue->count ? eio__queue_at(queue, queue->count - 1) : NULL;
    return frame && frame->is_chunk && frame->wire_size + wire <= EIO__CHUNK_BYTES ? frame : NULL;
}

/* One for a message that stands alone, because it is large or to be compressed, or the next chunk. */
static __attribute__((noinline)) struct eio_frame *next_frame(struct eio_session *session, size_t wire, bool alone)
{
    struct eio_frame *frame = alone ? eio__frame_new_wire(wire) : eio__frame_new_chunk();
    if (!frame) return NULL;
    frame->is_plain = alone;
    frame->wire_size = 0;
    return eio__session_push(session, frame) == 0 ? frame : NULL;
}

/* Encodes a message, or a pong, as this connection's next bytes. */
static inline uint8_t *reserve_frame(struct eio__ws *ws, enum eio__ws_opcode opcode, bool with_type, size_t size)
{
    struct eio_session *session = ws->base.session;
    struct eio__queue *queue = &session->queue;
    size_t payload = size + (with_type ? 1 : 0);
    size_t wire = eio__ws_header_size(payload) + payload;
    bool control = opcode >= EIO__WS_CLOSE;
    bool alone = wire > EIO__CHUNK_BYTES / 2 ||
                 (!control && ws->deflate_bits && payload >= session->server->options.deflate_threshold_bytes);
    struct eio_frame *frame = alone ? NULL : open_chunk(queue, wire);
    if (frame)
        eio__loop_want_flush(session->server->loop, &session->item);
    else if (!(frame = next_frame(session, wire, alone)))
        return NULL;
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

static uint8_t *ws_reserve(struct eio__transport *transport, enum eio_kind kind, size_t size)
{
    struct eio_session *session = transport->session;
    bool is_formed_later = kind == EIO_BINARY && session->protocol == 3;
    if (is_formed_later) return eio__session_reserve_frame(session, kind, size);
    enum eio__ws_opcode opcode = kind == EIO_TEXT ? EIO__WS_TEXT : EIO__WS_BINARY;
    return reserve_frame(eio__ws_of(transport), opcode, kind == EIO_TEXT && session->protocol != 0, size);
}

static bool ws_is_writable(const struct eio__transport *transport)
{
    return !transport->blocked && !transport->is_forming;
}

void eio__ws_push_control(struct eio__ws *ws, enum eio__ws_opcode opcode, const uint8_t *p, size_t n)
{
    struct eio_frame *frame = eio__frame_new_control(opcode, p, n);
    if (frame) eio__session_push(ws->base.session, frame);
}

static int ws_answer_probe(struct eio__transport *transport, const char *packet, size_t size)
{
    uint8_t wire[16];
    BASE_CHECK(size <= sizeof wire - 2);
    size_t header = eio__ws_put_header(wire, EIO__WS_TEXT, size);
    memcpy(wire + header, packet, size);
    ssize_t n = send_bytes(eio__ws_of(transport), wire, header + size);
    return n == (ssize_t)(header + size) ? 0 : EIO_ESYS;
}

/* ----------------------------------------------------------------- closing */

static bool is_candidate(const struct eio__ws *ws)
{
    return ws->base.session->transport != &ws->base;
}

static int ws_close(struct eio__transport *transport)
{
    struct eio__ws *ws = eio__ws_of(transport);
    if (ws->closing >= EIO__WS_CLOSE_QUEUED) return true;
    const struct eio_session *session = ws->base.session;
    if (session->protocol)
        eio__ws_close_begin(ws, 0); /* as the reference */
    else
        eio__ws_close_for(ws, (enum eio_close_reason)session->close_reason);
    int result = write_all(ws);
    if (ws->base.session->queue.count == 0) eio__ws_close_on_flushed(ws);
    update_events(ws);
    return result == EIO_EAGAIN ? EIO_EAGAIN : true; /* a connection that broke is found so by reading */
}

static bool ws_abort(struct eio__transport *transport, enum eio_close_reason reason)
{
    static const uint8_t close_frame[] = {0x88, 0x00};
    struct eio__ws *ws = eio__ws_of(transport);
    if (ws->base.fd < 0) return false;
    if (is_candidate(ws)) {
        if (ws->closing < EIO__WS_CLOSE_QUEUED) (void)!send_bytes(ws, close_frame, sizeof close_frame);
        eio__ws_shutdown(ws);
        return false;
    }
    if (ws->base.blocked && reason == EIO_CLOSE_PING_TIMEOUT) return false; /* it takes nothing */
    eio__ws_close_for(ws, reason);
    return true;
}

/* --------------------------------------------------------------- inflating */

/* A peer that sends much that is small on the wire, alone or with many connections, does not keep the loop from the *
 * others: a WebSocket whose slice is over waits in a row for its next, and the row has one slice in a turn. */
static bool may_inflate(void *ctx, size_t done)
{
    struct eio_session *session = ((struct eio__ws *)ctx)->base.session;
    struct eio_loop *loop = session->server->loop;
    struct eio__inflations *all = &session->server->inflations;
    if (session->inbox) return false; /* where what came out would only be kept */
    if (done < FREE_BYTES) return true;
    if (all->first && !all->running) return false;
    uint64_t now_us = eio__loop_slice_clock_us(loop);
    loop->was_long = true;
    if (!all->running && all->turn != loop->stats.turns) {
        all->turn = loop->stats.turns;
        all->until_us = eio__loop_share_end_us(loop, now_us, SLICE_US);
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

/* What was in the way of a paused one (an inbox) is gone. Harmless for others. */
static void wake(struct eio__ws *ws)
{
    struct eio__inflating *inflating = ws->inflating;
    struct eio_session *session = ws->base.session;
    if (!inflating || inflating->queued || session->inbox) return;
    put_last(&session->server->inflations, inflating);
    eio_timer_start(&session->server->inflations.timer, 0);
}

static void await_slice(struct eio__ws *ws)
{
    struct eio_session *session = ws->base.session;
    if (!ws->inflating) {
        ws->inflating = calloc(1, sizeof *ws->inflating);
        if (!ws->inflating) {
            eio__session_fail(session, EIO_CLOSE_TRANSPORT_ERROR, "out of memory");
            return;
        }
        ws->inflating->ws = ws;
        ws->base.is_busy = true;
        session->server->stats.reads_sliced++;
        update_events(ws);
    }
    wake(ws);
}

/* It is not paused any more. Harmless for others. */
static void end_pause(struct eio__ws *ws)
{
    struct eio__inflating *inflating = ws->inflating;
    if (!inflating) return;
    struct eio__inflations *all = &ws->base.session->server->inflations;
    if (inflating->queued) {
        struct eio__inflating **at = &all->first;
        while (*at != inflating) at = &(*at)->next;
        *at = inflating->next;
        if (!*at) all->last = at;
    }
    free(inflating);
    ws->inflating = NULL;
    ws->base.is_busy = false;
}

static void ws_on_held(struct eio__transport *transport)
{
    struct eio__ws *ws = eio__ws_of(transport);
    update_events(ws);
    wake(ws);
    if (!ws->base.session->inbox) eio__ws_close_on_handled(ws);
}

/* ----------------------------------------------------------------- reading */

static __attribute__((noinline)) int on_any_message(struct eio__ws *ws, enum eio_kind kind, uint8_t *p, size_t n)
{
    struct eio_session *session = ws->base.session;
    if (session->state >= EIO__S_LINGERING) return 0;
    if (is_candidate(ws)) return eio__upgrade_on_message(session, kind, p, n);
    struct eio__packet packet;
    struct eio__fault fault;
    int decoded = 1;
    if (session->protocol == 3)
        decoded = eio__packet3_decode(p, n, kind, &packet, &fault);
    else if (session->protocol == 4 && kind == EIO_TEXT)
        decoded = eio__packet_decode(p, n, &packet, &fault);
    else
        packet = (struct eio__packet){EIO__MESSAGE, kind, p, n};
    if (decoded != 1) {
        eio__receive_fault(session, EIO_CLOSE_PARSE_ERROR, fault.why);
        return 0;
    }
    eio__receive(session, &packet, session->head);
    return ws->base.fd < 0;
}

/* Nearly all are messages of Engine.IO 4 as text, which go straight on. */
static int on_message(void *ctx, enum eio_kind kind, uint8_t *p, size_t n)
{
    struct eio__ws *ws = ctx;
    struct eio_session *session = ws->base.session;
    ws->progressed = true;
    bool is_usual = kind == EIO_TEXT && n > 0 && p[0] == EIO__MESSAGE && session->protocol == 4 && !is_candidate(ws);
    if (!is_usual || !eio__receive_is_simple(session, n - 1)) return on_any_message(ws, kind, p, n);
    eio__receive_message(session, EIO_TEXT, p + 1, n - 1, session->head);
    return ws->base.fd < 0;
}

/* In a chunk with its neighbours: a frame for each would make a flood of pings, unread, expensive. */
static void answer_ping(struct eio__ws *ws, const uint8_t *p, size_t n)
{
    uint8_t *out = reserve_frame(ws, EIO__WS_PONG, false, n);
    if (out && n) memcpy(out, p, n);
}

static int on_control(void *ctx, enum eio__ws_opcode opcode, const uint8_t *p, size_t n)
{
    struct eio__ws *ws = ctx;
    struct eio_session *session = ws->base.session;
    bool over = session->state >= EIO__S_LINGERING;
    if (opcode == EIO__WS_PONG) {
        if (session->protocol == 0 && !over) eio__heartbeat_on_pong(session);
        return 0;
    }
    if (is_candidate(ws)) {
        if (opcode == EIO__WS_CLOSE) eio__candidate_drop(session);
        return opcode == EIO__WS_CLOSE;
    }
    if (opcode == EIO__WS_PING) {
        if (!over && ws->closing < EIO__WS_CLOSE_QUEUED) answer_ping(ws, p, n);
        return 0;
    }
    eio__ws_close_on_frame(ws, p, n);
    return 1;
}

/* Forgets the deadline of an incomplete message. */
static void end_slow(struct eio__ws *ws)
{
    if (!ws->slow) return;
    eio_deadline_stop(NULL, &ws->slow->deadline);
    free(ws->slow);
    ws->slow = NULL;
}

/* A message that drips in for minutes holds memory, and no heartbeat notices. */
static void watch_message(struct eio__ws *ws)
{
    struct eio_session *session = ws->base.session;
    struct eio_server *server = session->server;
    bool begun = ws->partial && session->state <= EIO__S_CLOSING && !is_candidate(ws);
    if (!begun || !server->options.message_timeout_ms) {
        end_slow(ws);
        return;
    }
    if (ws->slow && !ws->progressed) return;
    if (!ws->slow) ws->slow = calloc(1, sizeof *ws->slow);
    if (!ws->slow) return; /* the limit in bytes holds */
    ws->slow->ws = ws;
    eio_deadlines_add(&server->message, &ws->slow->deadline);
}

void eio__ws_on_message_due(struct eio_deadline *due, void *ctx)
{
    struct eio_server *server = ctx;
    struct eio__ws *ws = container_of(due, struct eio__slow_message, deadline)->ws;
    struct eio_session *session = ws->base.session;
    if (ws->base.read_paused || eio__session_is_held(session)) { /* its rest is what we chose not to read yet */
        eio_deadlines_add(&server->message, due);
        return;
    }
    eio__server_hit(server, EIO_LIMIT_MESSAGE_TIMEOUT, session->head);
    eio_session_abort(session, EIO_CLOSE_POLICY, "a message took too long to arrive");
}

static const struct eio__ws_events decoder_events = {on_message, on_control, may_inflate};

static const struct eio__ws_limits *limits_of(const struct eio__ws *ws)
{
    return &ws->base.session->server->ws_limits[ws->deflate_bits != 0];
}

static void on_decoded(struct eio__ws *ws, int result, const struct eio__fault *fault)
{
    if (result == EIO__WS_PAUSED)
        await_slice(ws);
    else
        end_pause(ws);
    if (ws->partial || ws->slow) watch_message(ws);
    if (result < 0) eio__ws_close_on_fault(ws, fault);
}

static void decode_bytes(struct eio__ws *ws, uint8_t *p, size_t n)
{
    if (eio__ws_close_ignores_input(ws)) return;
    struct eio__fault fault = {0};
    ws->progressed = false;
    eio__loop_begin_slice(ws->base.session->server->loop);
    int result = eio__ws_decode(&ws->partial, limits_of(ws), &decoder_events, ws, p, n, &fault);
    on_decoded(ws, result, &fault);
}

static void decode_on(struct eio__ws *ws)
{
    struct eio__fault fault = {0};
    int result = EIO__WS_CONSUMED;
    ws->progressed = false;
    eio__loop_begin_slice(ws->base.session->server->loop);
    if (!eio__ws_close_ignores_input(ws))
        result = eio__ws_resume(&ws->partial, limits_of(ws), &decoder_events, ws, &fault);
    on_decoded(ws, result, &fault);
    if (result != EIO__WS_PAUSED) update_events(ws);
}

static void run_slice(void *ctx)
{
    struct eio_server *server = ctx;
    struct eio__inflations *all = &server->inflations;
    uint64_t now_us = eio__loop_slice_clock_us(server->loop);
    uint64_t end_us = eio__loop_share_end_us(server->loop, now_us, SLICE_US);
    all->running = true;
    while (all->first && now_us < end_us) {
        struct eio__ws *ws = take_first(all)->ws;
        all->until_us = now_us + SHARE_US < end_us ? now_us + SHARE_US : end_us;
        if (!ws->base.session->inbox) decode_on(ws); /* else wake() puts it back */
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

static void on_readable(struct eio__ws *ws)
{
    struct eio_server *server = ws->base.session->server;
    struct eio_loop *loop = server->loop;
    ssize_t n = ws->has_io ? ws->io->ops->read(ws->io, loop->read_buffer, EIO__READ_BUFFER_BYTES)
                           : recv(ws->base.fd, loop->read_buffer, EIO__READ_BUFFER_BYTES, 0);
    if (n > 0) {
        server->stats.bytes_in += (size_t)n;
        ws->received += (uint32_t)n;
        decode_bytes(ws, loop->read_buffer, (size_t)n);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n == 0)
        eio__ws_close_on_broken(ws, EIO_CLOSE_TRANSPORT_CLOSE, "the connection ended");
    else
        eio__ws_close_on_broken(ws, EIO_CLOSE_TRANSPORT_ERROR, "the connection broke");
}

static void on_io(short what, void *ctx)
{
    struct eio__ws *ws = ctx;
    struct eio_session *session = ws->base.session;
    eio__loop_on_event(session->server->loop);
    if (what & EV_WRITE) {
        ws->base.blocked = false;
        eio__session_want_flush(session);
    }
    if (what & EV_READ) on_readable(ws);
}

static void on_ready(struct eio__polled *polled, short what)
{
    struct eio__ws *ws = container_of(polled, struct eio__ws, polled);
    what &= ws->watched;
    if (what) on_io(what, ws);
}

static void ws_look(const struct eio__transport *transport, struct eio__traffic *out)
{
    const struct eio__ws *ws = eio__ws_of_const(transport);
    uint32_t unsent = eio__fd_unsent(ws->base.fd); /* of what the kernel has, what the peer's has not acknowledged */
    if (ws->has_io) unsent += (uint32_t)ws->io->ops->pending(ws->io);
    out->given = ws->written + (uint32_t)ws->base.session->queue.bytes;
    out->taken = ws->written - unsent;
    out->received = ws->received;
    out->is_receiving = ws->partial != NULL;
}

/* -------------------------------------------------------------------- new */

const struct eio__transport_ops eio__ws_ops = {
    .name = "websocket",
    .kind = EIO_WEBSOCKET,
    .size = sizeof(struct eio__ws),
    .check_upgrade = eio__ws_check_upgrade,
    .open = eio__ws_open,
    .probe = eio__ws_probe,
    .write = ws_write,
    .write_now = ws_write_now,
    .reserve = ws_reserve,
    .is_writable = ws_is_writable,
    .close = ws_close,
    .abort = ws_abort,
    .detach = ws_detach,
    .free = ws_free,
    .on_held = ws_on_held,
    .look = ws_look,
    .answer_probe = ws_answer_probe,
};

struct eio__ws *eio__ws_new(struct eio_session *session, struct eio__wire take_wire)
{
    struct eio_loop *loop = session->server->loop;
    struct eio__ws *ws = eio__transport_alloc(session, &eio__ws_ops);
    if (!ws) goto fail;
    ws->base = (struct eio__transport){.ops = &eio__ws_ops, .session = session, .fd = take_wire.fd};
    ws->watched = EV_READ;
    ws->has_io = take_wire.io != NULL;
    eio__ws_set_deflate(ws, 0);
    if (ws->has_io) {
        ws->io = take_wire.io;
        ws->io->fn = on_io;
        ws->io->ctx = ws;
        return ws;
    }
    ws->polled.fn = on_ready;
    if (eio__poll(loop, take_wire.fd, &ws->polled, 0, EV_READ) == 0) return ws;
fail:
    eio__wire_close(loop, take_wire);
    if (ws) eio__transport_release(session, ws);
    return NULL;
}

void eio__ws_set_deflate(struct eio__ws *ws, int window_bits)
{
    ws->deflate_bits = (uint8_t)window_bits;
    ws->base.sends_common = ws->base.session->protocol == 4 && !window_bits;
}

void eio__ws_feed(struct eio__ws *ws, uint8_t *p, size_t n)
{
    if (n == 0 || ws->base.fd < 0) return;
    ws->base.session->server->stats.bytes_in += n;
    decode_bytes(ws, p, n);
}
