/* The HTTP long-polling transport: the hanging GET, POSTed payloads, and the close packet of a session that ends
 * (engine.io-protocol v4, "HTTP long-polling"). */
#include "eio_int.h"

#include <string.h>

static const char text_type[] = "text/plain; charset=UTF-8";

void eio__polling_answer(struct eio_session *session, const char *packet)
{
    if (!session->polling || !session->polling->get) return;
    struct eio_http_request *get = session->polling->get;
    session->polling->get = NULL;
    session->server->stats.bytes_out += strlen(packet);
    eio__server_reply(session->server, get, 200, text_type, packet, strlen(packet));
}

static size_t packet_size(const struct eio_frame *frame)
{
    return frame->is_packet ? frame->size : eio__payload_size((enum eio_kind)frame->kind, frame->size);
}

static uint8_t *packet_put(uint8_t *out, struct eio_frame *frame)
{
    if (!frame->is_packet)
        return eio__payload_put(out, EIO__MESSAGE, (enum eio_kind)frame->kind, eio__frame_message(frame), frame->size);
    memcpy(out, eio__frame_message(frame), frame->size);
    return out + frame->size;
}

/* Everything queued as one payload, "\x1e" between packets, the close packet last if the session is closing. */
static uint8_t *encode_queue(struct eio_session *session, bool closing, size_t *size)
{
    struct eio__queue *queue = &session->queue;
    size_t total = closing ? 2 : 0;
    for (uint32_t i = 0; i < queue->count; i++) total += packet_size(eio__queue_at(queue, i)) + 1;
    uint8_t *payload = malloc(total), *out = payload;
    if (!payload) return NULL;
    for (uint32_t i = 0; i < queue->count; i++) {
        if (i > 0) *out++ = 0x1e;
        out = packet_put(out, eio__queue_at(queue, i));
    }
    if (closing) {
        if (out > payload) *out++ = 0x1e;
        *out++ = EIO__CLOSE;
    }
    *size = (size_t)(out - payload);
    return payload;
}

/* Answers the hanging GET with all that is queued. False without a GET, or without memory. */
static bool answer_queue(struct eio_session *session, bool closing)
{
    if (!session->polling || !session->polling->get) return false;
    struct eio_server *server = session->server;
    size_t size;
    uint8_t *payload = encode_queue(session, closing, &size);
    if (!payload) return false;
    struct eio_http_request *get = session->polling->get;
    session->polling->get = NULL;
    server->stats.queued_bytes -= session->queue.bytes;
    server->stats.bytes_out += size;
    server->stats.writes++;
    eio__queue_clear(&session->queue);
    eio__server_reply(server, get, 200, text_type, payload, size);
    free(payload);
    return true;
}

void eio__polling_end(struct eio_session *session)
{
    if (!session->polling) return;
    if (!answer_queue(session, true)) eio__polling_answer(session, "1");
    eio_deadline_stop(&session->server->upgrade, &session->polling->upgrade);
    eio_deadline_stop(&session->server->noop, &session->polling->noop);
    free(session->polling);
    session->polling = NULL;
}

/* ------------------------------------------------------------------ GET */

static void on_get_aborted(void *ctx)
{
    struct eio_session *session = ctx;
    session->polling->get = NULL;
    eio_session_abort(session, EIO_CLOSE_TRANSPORT_ERROR, "the poll was closed prematurely");
}

void eio__polling_on_get(struct eio_session *session, struct eio_http_request *request)
{
    if (session->polling->get) {
        eio_session_abort(session, EIO_CLOSE_TRANSPORT_ERROR, "overlap from client"); /* the first gets "1" */
        eio__server_reply(session->server, request, 400, NULL, NULL, 0);
        return;
    }
    session->polling->get = request;
    eio_http_request_on_abort(request, on_get_aborted, session);
    if (session->queue.count || session->state == EIO__S_CLOSING) eio__session_want_flush(session);
}

void eio__polling_flush(struct eio_session *session)
{
    bool closing = session->state == EIO__S_CLOSING;
    if (session->queue.count == 0 && !closing) return;
    if (!answer_queue(session, closing)) return; /* the next turn that has something to send tries again */
    if (closing) eio__session_end(session, (enum eio_close_reason)session->close_reason, session->close_detail, false);
}

/* ----------------------------------------------------------------- POST */

static bool is_binary(struct eio_http_request *request)
{
    return eio_str_is(eio_http_head_field(request->head, "content-type"), "application/octet-stream");
}

void eio__polling_on_post(struct eio_session *session, struct eio_http_request *request)
{
    struct eio_server *server = session->server;
    if (is_binary(request)) {
        eio_session_abort(session, EIO_CLOSE_TRANSPORT_ERROR, "invalid content");
        eio__server_reply(server, request, 400, NULL, NULL, 0);
        return;
    }
    uint8_t *p = (uint8_t *)(uintptr_t)request->body.p;
    size_t n = request->body.n;
    server->stats.bytes_in += n;
    struct eio__packet packet;
    struct eio__fault fault = {.why = "invalid payload"};
    int result = n > 0 && eio__utf8_valid(p, n) ? 1 : EIO_EPROTO;
    while (result > 0 && session->state == EIO__S_OPEN) {
        result = eio__payload_next(&p, &n, &packet, &fault);
        if (result > 0 && eio__session_on_packet(session, &packet) != 0) break;
    }
    if (result < 0) eio_session_abort(session, EIO_CLOSE_PARSE_ERROR, fault.why);
    eio__server_reply(server, request, 200, "text/html", "ok", 2);
}
