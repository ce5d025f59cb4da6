/* The HTTP long-polling transport: the hanging GET, POSTed payloads, and the close packet of a session that ends
 * (engine.io-protocol v4 and v3, "HTTP long-polling"). */
#include "eio_int.h"

#include <string.h>

enum { PACKET_BYTES = 512 }; /* room for a payload of one packet of our own: the open packet is the longest */

/* ------------------------------------------------------------------ GET */

/* What a payload is being written into. */
struct payload {
    uint8_t *bytes, *end;
    bool empty;
    bool binary;   /* Engine.IO 3's binary form */
    bool compress; /* somebody wants it compressed */
};

static void put_packet(struct payload *payload, int protocol, const struct eio__packet *packet)
{
    if (protocol == 3) {
        payload->end = eio__payload3_put(payload->end, payload->binary, packet);
    } else {
        if (!payload->empty) *payload->end++ = 0x1e;
        payload->end = eio__payload_put(payload->end, packet->type, packet->kind, packet->p, packet->n);
    }
    payload->empty = false;
}

static struct eio__packet packet_of(struct eio_frame *frame)
{
    const uint8_t *message = eio__frame_message(frame);
    if (frame->is_packet)
        return (struct eio__packet){(enum eio__packet_type)message[0], EIO_TEXT, message + 1, frame->size - 1};
    return (struct eio__packet){EIO__MESSAGE, (enum eio_kind)frame->kind, message, frame->size};
}

/* python-engineio's clients end the connection over a poll of more than 16 packets: by default they are python-requests
 * and aiohttp. The rest waits for their next poll. */
static uint32_t packets_taken(const struct eio_session *session)
{
    enum { PYTHON_PACKETS_MAX = 16 };
    uint32_t count = session->queue.count;
    if (count <= PYTHON_PACKETS_MAX) return count;
    struct eio_str agent = eio_http_head_field(session->polling->get->head, "user-agent");
    bool is_python =
        agent.n && (memmem(agent.p, agent.n, "python-requests/", 16) || memmem(agent.p, agent.n, "aiohttp/", 8));
    return is_python ? PYTHON_PACKETS_MAX : count;
}

static size_t queue_bound(const struct eio_session *session, uint32_t count)
{
    size_t bound = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct eio_frame *frame = eio__queue_at(&session->queue, i);
        bound += eio__payload3_bound((enum eio_kind)frame->kind, frame->size);
    }
    return bound;
}

/* The first `count` packets that are queued as one payload, then the close packet if the session is closing. */
static int encode_queue(struct eio_session *session, uint32_t count, bool closing, struct payload *payload)
{
    struct eio__queue *queue = &session->queue;
    *payload = (struct payload){.empty = true};
    payload->bytes = payload->end = malloc(queue_bound(session, count) + eio__payload3_bound(EIO_TEXT, 1));
    if (!payload->bytes) return EIO_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        struct eio_frame *frame = eio__queue_at(queue, i);
        payload->binary |= frame->kind == EIO_BINARY && session->protocol == 3 && !session->base64;
        payload->compress |= frame->is_plain;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct eio__packet packet = packet_of(eio__queue_at(queue, i));
        put_packet(payload, session->protocol, &packet);
    }
    if (closing) put_packet(payload, session->protocol, &(struct eio__packet){.type = EIO__CLOSE});
    return 0;
}

/* Answers the GET. */
static void answer(struct eio_session *session, struct payload *payload)
{
    struct eio_server *server = session->server;
    struct eio_http_request *get = session->polling->get;
    const struct eio_session *opened = session->polling->is_handshake ? session : NULL;
    session->polling->get = NULL;
    struct eio__answer reply = {
        .status = 200,
        .type = payload->binary ? "application/octet-stream" : "text/plain; charset=UTF-8",
        .body = payload->bytes,
        .size = (size_t)(payload->end - payload->bytes),
        .opened = opened,
    };
    server->stats.bytes_out += reply.size;
    eio__heartbeat_tie(session, &session->polling->answer, get->line);
    eio__polling_reply(session, get, &reply, payload->compress);
}

void eio__polling_answer(struct eio_session *session, const char *packet, size_t size)
{
    if (!session->polling || !session->polling->get) return;
    uint8_t bytes[PACKET_BYTES];
    struct payload payload = {.bytes = bytes, .end = bytes, .empty = true};
    BASE_CHECK(eio__payload3_bound(EIO_TEXT, size) <= sizeof bytes);
    put_packet(
        &payload, session->protocol,
        &(struct eio__packet){(enum eio__packet_type)packet[0], EIO_TEXT, (const uint8_t *)packet + 1, size - 1});
    answer(session, &payload);
}

/* Answers the hanging GET with what is queued. False without a GET, or without memory. */
static bool answer_queue(struct eio_session *session, bool closing)
{
    struct payload payload;
    if (!session->polling || !session->polling->get) return false;
    uint32_t count = closing ? session->queue.count : packets_taken(session);
    if (encode_queue(session, count, closing, &payload) != 0) return false;
    session->server->stats.writes++;
    size_t left = session->queue.bytes;
    for (uint32_t i = 0; i < count; i++) {
        session->queued_messages -= eio__queue_at(&session->queue, 0)->messages;
        eio__queue_pop(&session->queue);
    }
    session->server->stats.queued_bytes -= left - session->queue.bytes;
    answer(session, &payload);
    free(payload.bytes);
    return true;
}

void eio__polling_end(struct eio_session *session)
{
    if (!session->polling) return;
    if (!answer_queue(session, true)) eio__polling_answer(session, "1", 1);
    eio_deadline_stop(&session->server->upgrade, &session->polling->upgrade);
    eio_deadline_stop(&session->server->noop, &session->polling->noop);
    eio__polling_free(session);
}

void eio__polling_free(struct eio_session *session)
{
    if (!session->polling) return;
    eio__tie(&session->polling->answer, NULL);
    eio__tie(&session->polling->body, NULL);
    free(session->polling);
    session->polling = NULL;
}

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
        eio__server_reply(session->server, request, &(struct eio__answer){.status = 400});
        return;
    }
    session->polling->get = request;
    eio_http_request_on_abort(request, on_get_aborted, session);
    bool is_last = session->state == EIO__S_CLOSING;
    if (is_last && session->close_reason == EIO_CLOSE_SHUTTING_DOWN)
        eio_deadlines_add(&session->server->last_poll, &session->deadline);
    if (session->queue.count || is_last) eio__session_want_flush(session);
}

void eio__polling_flush(struct eio_session *session)
{
    /* The close packet has a poll of its own: clients handle a message a moment after they decoded it, and one whose
     * payload also closed them is lost to them. */
    bool last = session->state == EIO__S_CLOSING && session->queue.count == 0;
    if (session->queue.count == 0 && !last) return;
    const struct eio__watch *watch = session->server->watch;
    bool tells = watch && session->polling && session->polling->get && !last && !session->polling->is_handshake;
    if (tells && watch->fn.on_flush) {
        watch->fn.on_flush(session, watch->ctx);
        if (session->state >= EIO__S_LINGERING) return;
    }
    if (!answer_queue(session, last)) return; /* the next turn that has something to send tries again */
    if (tells && watch->fn.on_drain) watch->fn.on_drain(session, watch->ctx);
    if (last) eio__session_end(session, (enum eio_close_reason)session->close_reason, session->close_detail, false);
}

/* ----------------------------------------------------------------- POST */

static bool has_type(struct eio_http_request *request, const char *type)
{
    return eio_str_is(eio_http_head_field(request->head, "content-type"), type);
}

/* Reads the packets of a body. Returns 0, or negative with fault. */
static int read_payload(struct eio_session *session, uint8_t *p, size_t n, bool binary, struct eio__fault *fault)
{
    struct eio__packet packet;
    const char *why = n == 0 ? "empty payload" : "the payload is not valid UTF-8";
    *fault = (struct eio__fault){.code = EIO_EPROTO, .why = why};
    if (n == 0 || (!binary && !base_utf8_valid(p, n))) return EIO_EPROTO;
    while (session->state == EIO__S_OPEN) {
        int result = session->protocol == 3 ? eio__payload3_next(&p, &n, binary, &packet, fault)
                                            : eio__payload_next(&p, &n, &packet, fault);
        if (result <= 0) return result;
        if (eio__inbox_receive(session, &packet) != 0) return 0;
    }
    return 0;
}

/* The client reads why before it notices that the session is gone. */
static void refuse_post(struct eio_session *session, struct eio_http_request *request, enum eio_close_reason reason,
                        const char *why)
{
    struct eio__answer answer = {.status = 400};
    if (reason == EIO_CLOSE_PARSE_ERROR) { /* else as the reference: a bare 400 */
        answer.type = "text/plain";
        answer.body = why;
        answer.size = strlen(why);
    }
    struct eio_server *server = session->server;
    unsigned long long unsaid;
    if (eio__counter_hit(&server->refused_posts, server->loop, EIO_LIMIT_LOG_MS, &unsaid))
        eio_log(EIO_LOG_WARN,
                "session %s: refused a POST of %zu bytes from %s: %s (repeated %llu times since the last such line)",
                eio_session_id(session), request->body.n, request->head->address, why, unsaid);
    eio__server_reply(server, request, &answer);
    eio_session_abort(session, reason, why);
}

void eio__polling_on_post(struct eio_session *session, struct eio_http_request *request)
{
    struct eio_server *server = session->server;
    bool binary = has_type(request, "application/octet-stream");
    if (binary && session->protocol != 3) {
        refuse_post(session, request, EIO_CLOSE_TRANSPORT_ERROR, "invalid content");
        return;
    }
    if (eio__inbox_has_post(session)) {
        refuse_post(session, request, EIO_CLOSE_TRANSPORT_ERROR, "data request overlap from client");
        return;
    }
    uint8_t *p = (uint8_t *)(uintptr_t)request->body.p;
    size_t n = request->body.n;
    struct eio__fault fault;
    server->stats.bytes_in += n;
    /* A form without the field says nothing, as in the reference. */
    bool is_said = !eio__polling_is_jsonp(session) || eio__polling_form_value(p, &n);
    server->request_head = request->head;
    eio__loop_begin_slice(server->loop);
    int result = is_said ? read_payload(session, p, n, binary, &fault) : 0;
    server->request_head = NULL;
    if (result < 0) {
        refuse_post(session, request, EIO_CLOSE_PARSE_ERROR, fault.why);
        return;
    }
    if (eio__inbox_take_post(session, request)) return;
    eio__server_reply(server, request,
                      &(struct eio__answer){.status = 200, .type = "text/html", .body = "ok", .size = 2});
}
