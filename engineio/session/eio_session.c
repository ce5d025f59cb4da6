/* A session: one peer, from its handshake to on_close. Owns the state machine and the queue with its limits. How
 * bytes travel is in eio_websocket.c and eio_polling.c, whether the peer is alive in eio_heartbeat.c. */
#include "eio_int.h"

#include <string.h>

/* ------------------------------------------------------------------- state */

void eio__session_set_state(struct eio_session *session, enum eio__state state, const char *why)
{
    static const char *const names[] = {"open", "closing", "lingering", "closed"};
    BASE_CHECK(state > session->state);
    if (eio_log_wants(EIO_LOG_DEBUG))
        eio_log(EIO_LOG_DEBUG, "session %s: %s -> %s (%s)", eio_session_id(session), names[session->state],
                names[state], why);
    session->state = (uint8_t)state;
}

static void free_at_end(struct eio__turn_item *item)
{
    struct eio_session *session = container_of(item, struct eio_session, item);
    if (session->server->watch) eio__watch_forget(session->server->watch, session);
    if (session->has_own_id) free(session->own_id);
    if (session->has_long_id) free(session->long_id);
    eio__ws_partial_free(session->partial);
    eio__queue_clear(&session->queue);
    eio__inbox_clear(session);
    eio__ws_end_pause(session);
    eio__ws_end_slow(session);
    eio__polling_free(session);
    free(session->head);
    free(session);
}

static void flush_at_end(struct eio__turn_item *item);
static const struct eio__turn_ops turn_ops = {flush_at_end, free_at_end};

struct eio_session *eio__session_new(struct eio_server *server, int protocol, struct eio_http_head *take_head)
{
    struct eio_session *session = calloc(1, sizeof *session);
    if (!session) {
        free(take_head);
        return NULL;
    }
    session->fd = -1;
    session->protocol = (uint8_t)protocol;
    session->server = server;
    session->head = take_head;
    session->carrier = EIO__C_WEBSOCKET;
    session->item.ops = &turn_ops;
    eio__queue_init(&session->queue);
    int result = eio__server_enter(server, session);
    server->next_id = NULL;
    if (result != 0) {
        free_at_end(&session->item);
        return NULL;
    }
    return session;
}

void eio__session_want_flush(struct eio_session *session)
{
    eio__loop_want_flush(session->server->loop, &session->item);
}

static void drop_queue(struct eio_session *session)
{
    session->server->stats.queued_bytes -= session->queue.bytes;
    session->queued_messages = 0;
    eio__queue_clear(&session->queue);
}

/* What was begun may be ended, so that a close frame can follow. */
static void drop_unsent(struct eio_session *session)
{
    size_t before = session->queue.bytes;
    eio__queue_drop_unsent(&session->queue);
    session->server->stats.queued_bytes -= before - session->queue.bytes;
    session->queued_messages = session->queue.count ? eio__queue_at(&session->queue, 0)->messages : 0;
}

void eio__session_bury(struct eio_session *session, const char *why)
{
    eio__session_set_state(session, EIO__S_CLOSED, why);
    eio_deadline_stop(NULL, &session->deadline);
    eio__ws_detach(session);
    drop_queue(session);
    /* One that waits for its flush is found closed there. */
    if (!session->item.next) eio__loop_want_free(session->server->loop, &session->item);
}

void eio__session_discard(struct eio_session *session)
{
    eio__server_leave(session->server, session);
    eio__session_bury(session, "the session could not be opened");
}

void eio__session_end(struct eio_session *session, enum eio_close_reason reason, const char *detail, bool linger)
{
    if (session->state >= EIO__S_LINGERING) return;
    struct eio_server *server = session->server;
    eio_deadline_stop(NULL, &session->deadline);
    eio__inbox_clear(session);
    eio__ws_wake(session);
    if (session->carrier != EIO__C_WEBSOCKET) {
        eio__ws_drop_probe(session);
        eio__polling_end(session);
        linger = false;
    }
    if (!linger) drop_queue(session);
    eio__session_set_state(session, EIO__S_LINGERING, detail);
    eio__server_leave(server, session);
    server->stats.closed[reason]++;
    if (server->handlers.on_close) server->handlers.on_close(session, reason, detail, server->ctx);
    if (linger && session->fd >= 0) {
        session->close_reason = (uint8_t)reason;
        eio__heartbeat_watch(session);
        eio_deadlines_add(&server->linger, &session->deadline);
    } else {
        eio__session_bury(session, detail);
    }
}

/* --------------------------------------------------------------- receiving */

int eio__session_on_packet(struct eio_session *session, const struct eio__packet *packet)
{
    struct eio_server *server = session->server;
    if (session->state != EIO__S_OPEN) return session->state != EIO__S_CLOSING;
    if (server->watch && server->watch->fn.on_packet) {
        server->watch->fn.on_packet(session, (char)packet->type, packet->kind, packet->p, packet->n,
                                    server->watch->ctx);
        if (session->state != EIO__S_OPEN) return session->state != EIO__S_CLOSING;
    }
    if (session->awaiting_pong && packet->type != EIO__PONG) eio__heartbeat_on_other_packet(session);
    switch (packet->type) {
    case EIO__MESSAGE:
        server->stats.messages_in++;
        if (server->handlers.on_message)
            server->handlers.on_message(session, packet->kind, packet->p, packet->n, server->ctx);
        break;
    case EIO__PONG:
        if (session->protocol == 3)
            eio_session_abort(session, EIO_CLOSE_TRANSPORT_ERROR, "invalid heartbeat direction");
        else
            eio__heartbeat_on_pong(session);
        break;
    case EIO__CLOSE:
        eio__polling_answer(session, "6", 1);
        eio_session_abort(session, EIO_CLOSE_TRANSPORT_CLOSE, "the client closed the session");
        break;
    case EIO__PING:
        eio__heartbeat_on_ping(session);
        break;
    case EIO__OPEN:
    case EIO__UPGRADE:
    case EIO__NOOP:
        break; /* as the reference: without effect on an open session */
    }
    return session->state >= EIO__S_LINGERING;
}

/* ----------------------------------------------------------------- sending */

void eio__session_fail(struct eio_session *session, enum eio_close_reason reason, const char *detail)
{
    if (session->state >= EIO__S_LINGERING || session->failed) return;
    if (reason == EIO_CLOSE_QUEUE_FULL)
        drop_unsent(session);
    else
        drop_queue(session);
    session->failed = true;
    session->close_reason = (uint8_t)reason;
    session->close_detail = detail;
    eio__session_want_flush(session);
}

/* Makes room for one more message of so many bytes. */
static void drop_oldest(struct eio_session *session, size_t bytes, bool many)
{
    struct eio_server *server = session->server;
    size_t before = session->queue.bytes;
    size_t dropped = eio__queue_drop_oldest(&session->queue, bytes, server->options.max_queue_bytes, many ? 1 : 0);
    session->queued_messages -= (uint32_t)dropped;
    server->stats.dropped_oldest += dropped;
    server->stats.queued_bytes -= before - session->queue.bytes;
}

static bool limit_reached(struct eio_session *session, size_t bytes)
{
    struct eio_server *server = session->server;
    struct eio__queue *queue = &session->queue;
    size_t limit = server->options.max_queue_bytes;
    bool many = session->queued_messages >= server->max_queue_messages;
    if (queue->bytes == 0 || (queue->bytes + bytes <= limit && !many)) return false;
    eio__server_hit(server, many ? EIO_LIMIT_QUEUE_MESSAGES : EIO_LIMIT_QUEUE_BYTES, session->head);
    if (server->options.queue_policy == EIO_QUEUE_DROP_OLDEST) {
        drop_oldest(session, bytes, many);
        return false;
    }
    server->stats.queue_full++;
    eio__session_fail(session, EIO_CLOSE_QUEUE_FULL, "the peer reads too slowly: its queue is full");
    return true;
}

int eio__session_push(struct eio_session *session, struct eio_frame *take_frame)
{
    if (!take_frame) return EIO_ENOMEM;
    size_t bytes = take_frame->wire_size;
    uint16_t messages = take_frame->messages;
    if (session->server->watch) eio__watch_created(session, take_frame);
    int result = eio__queue_push(&session->queue, take_frame);
    if (result != 0) return result;
    session->server->stats.queued_bytes += bytes;
    session->queued_messages += messages;
    eio__session_want_flush(session);
    return 0;
}

static inline int check_sendable(struct eio_session *session, size_t bytes)
{
    if (session->state != EIO__S_OPEN || session->failed) return EIO_ECLOSED;
    return limit_reached(session, bytes) ? EIO_EAGAIN : 0;
}

int eio_session_send(struct eio_session *session, struct eio_frame *frame)
{
    int result = check_sendable(session, frame->wire_size);
    if (result != 0) return result;
    session->server->stats.messages_out++;
    return eio__session_push(session, eio_frame_ref(frame));
}

int eio_session_send_batch(struct eio_session *session, struct eio_batch *batch)
{
    struct eio_frame *wire = NULL;
    if (session->carrier == EIO__C_WEBSOCKET && !eio__form_differs(session) && !session->server->watch)
        wire = eio__batch_wire(batch);
    if (!wire) {
        for (size_t i = 0; i < batch->count; i++) {
            int result = eio_session_send(session, batch->frames[i]);
            /* A packet without its attachments is worse than none. */
            if (result == EIO_ENOMEM && i > 0) eio__session_fail(session, EIO_CLOSE_TRANSPORT_ERROR, "out of memory");
            if (result != 0) return result;
        }
        return 0;
    }
    int result = check_sendable(session, wire->wire_size);
    if (result != 0) return result;
    session->server->stats.messages_out += batch->count;
    if (session->server->loop->in_hooks && session->queue.count == 0 && !session->blocked) {
        eio__ws_write_now(session, wire);
        return 0;
    }
    return eio__session_push(session, eio_frame_ref(wire));
}

uint8_t *eio_session_reserve(struct eio_session *session, enum eio_kind kind, size_t size)
{
    if (size > EIO__FRAME_BYTES_MAX || check_sendable(session, size + EIO__MESSAGE_OFFSET) != 0) return NULL;
    uint8_t *message = NULL;
    bool in_place = session->carrier == EIO__C_WEBSOCKET && !(session->protocol == 3 && kind == EIO_BINARY);
    if (in_place && !session->server->watch) {
        enum eio__ws_opcode opcode = kind == EIO_TEXT ? EIO__WS_TEXT : EIO__WS_BINARY;
        message = eio__ws_reserve(session, opcode, kind == EIO_TEXT && session->protocol != 0, size);
    } else {
        struct eio_frame *frame = eio_frame_new(kind, size, &message);
        if (!frame || eio__session_push(session, frame) != 0) return NULL;
    }
    if (message) session->server->stats.messages_out++;
    return message;
}

bool eio_session_is_writable(const struct eio_session *session)
{
    if (session->state != EIO__S_OPEN || session->failed) return false;
    if (session->queue.bytes > session->server->options.high_water_bytes) return false;
    if (session->carrier == EIO__C_WEBSOCKET) return !session->blocked;
    return session->polling && session->polling->get;
}

void eio_session_count_drop(struct eio_session *session)
{
    session->server->stats.dropped_volatile++;
}

/* ------------------------------------------------------------------- flush */

/* Everything is sent: what was waiting for that happens. */
static void on_drained(struct eio_session *session)
{
    if (session->state != EIO__S_CLOSING) return;
    if (session->carrier == EIO__C_WEBSOCKET && session->closing < EIO__WS_CLOSE_QUEUED) {
        eio__ws_close_begin(session, 0);
        if (eio__ws_write(session) > 0) return; /* the close frame follows when the socket takes it */
    }
    eio__session_end(session, (enum eio_close_reason)session->close_reason, session->close_detail, true);
}

/* Whoever watches may have closed it: false if it is gone. */
static bool tell(struct eio_session *session, void (*fn)(struct eio_session *session, void *ctx))
{
    if (!fn || session->state >= EIO__S_LINGERING) return true;
    fn(session, session->server->watch->ctx);
    return session->state != EIO__S_CLOSED;
}

static void flush_websocket(struct eio_session *session)
{
    const struct eio__watch *watch = session->server->watch;
    bool writes = watch && session->queue.count > 0 && !session->blocked;
    if (writes && !tell(session, watch->fn.on_flush)) return;
    int result = session->blocked ? 1 : eio__ws_write(session);
    if (result < 0) {
        eio__ws_close_on_broken(session, EIO_CLOSE_TRANSPORT_ERROR, "the connection broke while writing");
        return;
    }
    if (writes && result == 0 && !tell(session, watch->fn.on_drain)) return;
    if (result == 0 && session->state < EIO__S_LINGERING) on_drained(session);
    if (session->queue.count == 0) eio__ws_close_on_flushed(session);
    if (session->state != EIO__S_CLOSED) eio__ws_update_events(session);
}

/* A peer that was too slow is told so, if it reads on for a moment. */
static void end_failed(struct eio_session *session)
{
    bool says_why =
        session->close_reason == EIO_CLOSE_QUEUE_FULL && session->carrier == EIO__C_WEBSOCKET && session->fd >= 0;
    if (says_why) eio__ws_close_for(session, EIO_CLOSE_QUEUE_FULL);
    eio__session_end(session, (enum eio_close_reason)session->close_reason, session->close_detail, says_why);
}

static void flush_at_end(struct eio__turn_item *item)
{
    struct eio_session *session = container_of(item, struct eio_session, item);
    if (session->state == EIO__S_CLOSED) {
        eio__loop_want_free(session->server->loop, item);
        return;
    }
    if (session->failed && session->state < EIO__S_LINGERING) {
        end_failed(session);
        return;
    }
    if (session->server->watch) {
        eio__watch_tell(session->server->watch);
        if (session->state == EIO__S_CLOSED) return; /* it is on its list */
    }
    if (session->carrier == EIO__C_WEBSOCKET) {
        flush_websocket(session);
        return;
    }
    eio__polling_flush(session);
}

/* ----------------------------------------------------------------- closing */

void eio__session_await_last(struct eio_session *session)
{
    struct eio_server *server = session->server;
    bool polls = session->polling && session->close_reason == EIO_CLOSE_SHUTTING_DOWN;
    eio__heartbeat_watch(session);
    eio_deadlines_add(polls ? &server->last_poll : &server->closing_wait, &session->deadline);
}

void eio_session_close(struct eio_session *session, enum eio_close_reason reason, const char *detail)
{
    if (session->state != EIO__S_OPEN) return;
    session->close_reason = (uint8_t)reason;
    session->close_detail = detail ? detail : eio_close_reason_text(reason);
    eio__session_set_state(session, EIO__S_CLOSING, session->close_detail);
    eio__session_await_last(session);
    eio__session_want_flush(session);
}

void eio_session_abort(struct eio_session *session, enum eio_close_reason reason, const char *detail)
{
    if (session->state >= EIO__S_LINGERING) return;
    if (!detail) detail = eio_close_reason_text(reason);
    bool is_deaf = session->blocked && reason == EIO_CLOSE_PING_TIMEOUT;
    bool linger = session->carrier == EIO__C_WEBSOCKET && session->fd >= 0 && !is_deaf;
    if (linger) eio__ws_close_for(session, reason);
    eio__session_end(session, reason, detail, linger);
}

/* -------------------------------------------------------------- properties */

const char *eio_session_id(const struct eio_session *session)
{
    if (session->has_long_id) return session->long_id;
    return session->has_own_id ? session->own_id->text : session->id;
}

enum eio_transport eio_session_transport(const struct eio_session *session)
{
    return session->carrier == EIO__C_WEBSOCKET ? EIO_WEBSOCKET : EIO_POLLING;
}

int eio_session_protocol(const struct eio_session *session)
{
    return session->protocol;
}

const struct eio_http_head *eio_session_head(const struct eio_session *session)
{
    return session->head;
}

const struct eio_http_head *eio_session_request_head(const struct eio_session *session)
{
    return session->server->request_head ? session->server->request_head : session->head;
}

struct eio_server *eio_session_server(const struct eio_session *session)
{
    return session->server;
}

bool eio_session_is_open(const struct eio_session *session)
{
    return session->state == EIO__S_OPEN && !session->failed;
}

void eio_session_set_data(struct eio_session *session, void *data)
{
    session->data = data;
}

void *eio_session_data(const struct eio_session *session)
{
    return session->data;
}

size_t eio_session_queued_bytes(const struct eio_session *session)
{
    return session->queue.bytes;
}

int eio_session_describe(const struct eio_session *session, char *out, size_t size)
{
    static const char *const states[] = {"open", "closing", "lingering", "closed"};
    static const char *const carriers[] = {"polling", "probing", "probed", "websocket"};
    return snprintf(
        out, size,
        "session id=%s state=%s transport=%s protocol=%d fd=%d queued_messages=%u queued_bytes=%zu blocked=%d "
        "read_paused=%d awaiting_pong=%d address=%s",
        eio_session_id(session), states[session->state], carriers[session->carrier], session->protocol, session->fd,
        session->queued_messages, session->queue.bytes, session->blocked, session->read_paused, session->awaiting_pong,
        session->head ? session->head->address : "-");
}
