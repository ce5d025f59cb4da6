/* A session: one peer, from its handshake to on_close. Owns the state machine and the queue with its limits. How
 * bytes travel is in eio_ws.c and eio_polling.c, whether the peer is alive in eio_heartbeat.c. */
#include "base_memory.h"
#include "eio_inbox.h"
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
    eio__queue_clear(&session->queue);
    eio__inbox_clear(session);
    if (session->transport) session->transport->ops->free(session->transport);
    free(session->head);
    free(session);
}

static void flush_at_end(struct eio__turn_item *item);
static const struct eio__turn_ops turn_ops = {flush_at_end, free_at_end};

struct eio_session *eio__session_new(struct eio_server *server, const struct eio__opening *opening,
                                     const struct eio_http_head *head)
{
    struct eio_session *session = base_zalloc(sizeof *session + eio__transport_room());
    if (!session) return NULL;
    session->protocol = (uint8_t)opening->protocol;
    session->server = server;
    session->head = eio__http_head_copy(head);
    session->item.ops = &turn_ops;
    eio__queue_init(&session->queue);
    if (!session->head || eio__table_enter(server, session, opening->id) != 0) {
        free_at_end(&session->item);
        return NULL;
    }
    return session;
}

void eio__session_want_flush(struct eio_session *session)
{
    eio__loop_want_flush(session->server->loop, &session->item);
}

void eio__session_set_transport(struct eio_session *session, struct eio__transport *take_transport, const char *why)
{
    const struct eio__transport *before = session->transport;
    BASE_CHECK(take_transport->session == session);
    BASE_CHECK(!before || (before->ops->upgrades_to & take_transport->ops->kind));
    if (eio_log_wants(EIO_LOG_DEBUG))
        eio_log(EIO_LOG_DEBUG, "session %s: transport %s -> %s (%s)", eio_session_id(session),
                before ? before->ops->name : "-", take_transport->ops->name, why);
    session->transport = take_transport;
}

void eio__session_drop_queue(struct eio_session *session)
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
    if (session->transport) session->transport->ops->detach(session->transport);
    eio__session_drop_queue(session);
    /* One that waits for its flush is found closed there. */
    if (!session->item.next) eio__loop_want_free(session->server->loop, &session->item);
}

void eio__session_discard(struct eio_session *session)
{
    eio__table_leave(session->server, session);
    eio__session_bury(session, "the session could not be opened");
}

void eio__session_end(struct eio_session *session, enum eio_close_reason reason, const char *detail, bool linger)
{
    if (session->state >= EIO__S_LINGERING) return;
    struct eio_server *server = session->server;
    eio_deadline_stop(NULL, &session->deadline);
    eio__inbox_clear(session);
    eio__candidate_drop(session);
    struct eio__transport *transport = session->transport;
    if (!linger) {
        transport->ops->detach(transport);
        eio__session_drop_queue(session);
    }
    eio__session_set_state(session, EIO__S_LINGERING, detail);
    eio__table_leave(server, session);
    server->stats.closed[reason]++;
    if (server->handlers.on_close) server->handlers.on_close(session, reason, detail, server->ctx);
    if (linger) {
        session->close_reason = (uint8_t)reason;
        transport->ops->on_held(transport);
        eio__pulse_watch(session);
        eio_deadlines_add(&server->linger, &session->deadline);
    } else {
        eio__session_bury(session, detail);
    }
}

/* ----------------------------------------------------------------- sending */

void eio__session_fail(struct eio_session *session, enum eio_close_reason reason, const char *detail)
{
    if (session->state >= EIO__S_LINGERING || session->failed) return;
    if (reason == EIO_CLOSE_QUEUE_FULL)
        drop_unsent(session);
    else
        eio__session_drop_queue(session);
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

/* Returns false if the message has room after all. */
static bool limit_reached(struct eio_session *session, size_t bytes, bool many)
{
    struct eio_server *server = session->server;
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
    if (session->queue.bytes == 0) return 0; /* whatever its size */
    const struct eio_server *server = session->server;
    bool many = session->queued_messages >= server->max_queue_messages;
    if (!many && session->queue.bytes + bytes <= server->options.max_queue_bytes) return 0;
    return limit_reached(session, bytes, many) ? EIO_EAGAIN : 0;
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
    struct eio__transport *transport = session->transport;
    struct eio_frame *wire = NULL;
    if (transport->sends_common && !session->server->watch) wire = eio__batch_wire(batch);
    if (!wire) {
        for (size_t i = 0; i < batch->count; i++) {
            int result = eio_session_send(session, batch->frames[i]);
            /* A packet without its attachments is worse than no packet. */
            if (result == EIO_ENOMEM && i > 0) eio__session_fail(session, EIO_CLOSE_TRANSPORT_ERROR, "out of memory");
            if (result != 0) return result;
        }
        return 0;
    }
    int result = check_sendable(session, wire->wire_size);
    if (result != 0) return result;
    session->server->stats.messages_out += batch->count;
    struct eio_loop *loop = session->server->loop;
    if (loop->in_hooks && session->queue.count == 0 && !transport->blocked && eio__loop_may_write(loop)) {
        eio__loop_note_written(loop, wire->wire_size);
        transport->ops->write_now(transport, wire);
        return 0;
    }
    return eio__session_push(session, eio_frame_ref(wire));
}

__attribute__((noinline)) uint8_t *eio__session_reserve_frame(struct eio_session *session, enum eio_kind kind,
                                                              size_t size)
{
    uint8_t *message;
    struct eio_frame *frame = eio_frame_new(kind, size, &message);
    return frame && eio__session_push(session, frame) == 0 ? message : NULL;
}

uint8_t *eio_session_reserve(struct eio_session *session, enum eio_kind kind, size_t size)
{
    if (size > EIO__FRAME_BYTES_MAX || check_sendable(session, size + EIO__MESSAGE_OFFSET) != 0) return NULL;
    struct eio__transport *transport = session->transport;
    uint8_t *message = session->server->watch ? eio__session_reserve_frame(session, kind, size)
                                              : transport->ops->reserve(transport, kind, size);
    if (message) session->server->stats.messages_out++;
    return message;
}

bool eio_session_is_writable(const struct eio_session *session)
{
    if (session->state != EIO__S_OPEN || session->failed) return false;
    if (session->queue.bytes > session->server->options.high_water_bytes) return false;
    return session->transport->ops->is_writable(session->transport);
}

void eio_session_count_drop(struct eio_session *session)
{
    session->server->stats.dropped_volatile++;
}

/* ------------------------------------------------------------------- flush */

/* Everything is sent: what was waiting for that happens. */
static void on_drained(struct eio_session *session)
{
    int result = session->transport->ops->close(session->transport);
    if (result < 0) return;
    eio__session_end(session, (enum eio_close_reason)session->close_reason, session->close_detail, result);
}

/* The watcher may have closed it. Returns false if it is gone. */
static bool notify_watcher(struct eio_session *session, void (*fn)(struct eio_session *session, void *ctx))
{
    if (!fn || session->state >= EIO__S_LINGERING) return true;
    fn(session, session->server->watch->ctx);
    return session->state != EIO__S_CLOSED;
}

static void flush_queue(struct eio_session *session)
{
    struct eio__transport *transport = session->transport;
    const struct eio__watch *watch = session->server->watch;
    bool writes = watch && session->queue.count > 0 && transport->ops->is_writable(transport);
    if (writes && !notify_watcher(session, watch->fn.on_flush)) return;
    int result = transport->ops->write(transport);
    if (result != 0) return;
    if (writes && !notify_watcher(session, watch->fn.on_drain)) return;
    if (session->state == EIO__S_CLOSING && session->queue.count == 0) on_drained(session);
}

/* A peer that was too slow gets a close frame with the reason, if it still reads for a moment. */
static void end_failed(struct eio_session *session)
{
    enum eio_close_reason reason = (enum eio_close_reason)session->close_reason;
    bool lingers = reason == EIO_CLOSE_QUEUE_FULL && session->transport->ops->abort(session->transport, reason);
    eio__session_end(session, reason, session->close_detail, lingers);
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
    flush_queue(session);
}

/* ----------------------------------------------------------------- closing */

void eio__session_await_last(struct eio_session *session)
{
    struct eio_server *server = session->server;
    bool polls = session->transport->ops->is_polled && session->close_reason == EIO_CLOSE_SHUTTING_DOWN;
    eio__pulse_watch(session);
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
    bool lingers = session->transport->ops->abort(session->transport, reason);
    eio__session_end(session, reason, detail, lingers);
}

/* -------------------------------------------------------------- properties */

enum eio_transport eio_session_transport(const struct eio_session *session)
{
    return session->transport->ops->kind;
}

int eio_session_protocol(const struct eio_session *session)
{
    return session->protocol;
}

const struct eio_http_head *eio_session_head(const struct eio_session *session)
{
    return session->head;
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
    const struct eio__transport *transport = session->transport;
    return snprintf(out, size,
                    "session id=%s state=%s transport=%s upgrading=%d protocol=%d fd=%d queued_messages=%u "
                    "queued_bytes=%zu blocked=%d "
                    "read_paused=%d awaiting_pong=%d address=%s",
                    eio_session_id(session), states[session->state], transport->ops->name, session->candidate != NULL,
                    session->protocol, transport->fd, session->queued_messages, session->queue.bytes,
                    transport->blocked, transport->read_paused, session->awaiting_pong,
                    session->head ? session->head->address : "-");
}
