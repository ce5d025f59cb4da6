/* The HTTP long-polling transport: the hanging GET, POSTed payloads, and the close packet of a session that ends
 * (engine.io-protocol v4 and v3, "HTTP long-polling"). */
#include "eio_polling.h"

#include "eio_int.h"

#include <string.h>

enum { PACKET_BYTES = 512 }; /* room for a payload of one packet of our own: the open packet is the longest */

static const struct eio__answer ok = {.status = 200, .type = "text/html", .body = "ok", .size = 2};

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
static uint32_t packets_taken(const struct eio__polling *polling)
{
    enum { PYTHON_PACKETS_MAX = 16 };
    uint32_t count = polling->base.session->queue.count;
    if (count <= PYTHON_PACKETS_MAX) return count;
    struct eio_str agent = eio_http_head_field(polling->get->head, "user-agent");
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
static void answer(struct eio__polling *polling, struct payload *payload)
{
    struct eio_session *session = polling->base.session;
    struct eio_http_request *get = polling->get;
    polling->get = NULL;
    struct eio__answer reply = {
        .status = 200,
        .type = payload->binary ? "application/octet-stream" : "text/plain; charset=UTF-8",
        .body = payload->bytes,
        .size = (size_t)(payload->end - payload->bytes),
        .opened = polling->is_handshake ? session : NULL,
    };
    session->server->stats.bytes_out += reply.size;
    eio__loop_note_written(session->server->loop, reply.size);
    eio__pulse_tie(session, &polling->answer, get->line);
    eio__polling_reply(polling, get, &reply, payload->compress);
}

/* Answers the hanging GET, if any, with one packet. */
static void answer_packet(struct eio__polling *polling, const char *packet, size_t size)
{
    if (!polling->get) return;
    uint8_t bytes[PACKET_BYTES];
    struct payload payload = {.bytes = bytes, .end = bytes, .empty = true};
    BASE_CHECK(eio__payload3_bound(EIO_TEXT, size) <= sizeof bytes);
    put_packet(
        &payload, polling->base.session->protocol,
        &(struct eio__packet){(enum eio__packet_type)packet[0], EIO_TEXT, (const uint8_t *)packet + 1, size - 1});
    answer(polling, &payload);
}

/* Answers the hanging GET with what is queued. False without a GET, or without memory. */
static bool answer_queue(struct eio__polling *polling, bool closing)
{
    struct eio_session *session = polling->base.session;
    struct payload payload;
    if (!polling->get) return false;
    uint32_t count = closing ? session->queue.count : packets_taken(polling);
    if (encode_queue(session, count, closing, &payload) != 0) return false;
    session->server->stats.writes++;
    size_t left = session->queue.bytes;
    for (uint32_t i = 0; i < count; i++) {
        session->queued_messages -= eio__queue_at(&session->queue, 0)->messages;
        eio__queue_pop(&session->queue);
    }
    session->server->stats.queued_bytes -= left - session->queue.bytes;
    answer(polling, &payload);
    free(payload.bytes);
    return true;
}

static void on_get_aborted(void *ctx)
{
    struct eio__polling *polling = ctx;
    polling->get = NULL;
    eio_session_abort(polling->base.session, EIO_CLOSE_TRANSPORT_ERROR, "the poll was closed prematurely");
}

static void on_get(struct eio__polling *polling, struct eio_http_request *request)
{
    struct eio_session *session = polling->base.session;
    if (polling->get) {
        eio_session_abort(session, EIO_CLOSE_TRANSPORT_ERROR, "overlap from client"); /* the first gets "1" */
        eio__server_reply(session->server, request, &(struct eio__answer){.status = 400});
        return;
    }
    polling->get = request;
    eio_http_request_on_abort(request, on_get_aborted, polling);
    bool is_last = session->state == EIO__S_CLOSING;
    if (is_last && session->close_reason == EIO_CLOSE_SHUTTING_DOWN)
        eio_deadlines_add(&session->server->last_poll, &session->deadline);
    if (session->queue.count || is_last) eio__session_want_flush(session);
}

static int polling_write(struct eio__transport *transport)
{
    struct eio__polling *polling = eio__polling_of(transport);
    if (transport->session->queue.count == 0) return 0;
    return answer_queue(polling, false) ? 0 : EIO_EAGAIN; /* without memory: the next turn that has something to send */
}

/* The close packet has a poll of its own: clients handle a message a moment after they decoded it, and one whose
 * payload also closed them is lost to them. */
static int polling_close(struct eio__transport *transport)
{
    return answer_queue(eio__polling_of(transport), true) ? false : EIO_EAGAIN;
}

static bool polling_is_writable(const struct eio__transport *transport)
{
    return eio__polling_of_const(transport)->get != NULL;
}

static uint8_t *polling_reserve(struct eio__transport *transport, enum eio_kind kind, size_t size)
{
    return eio__session_reserve_frame(transport->session, kind, size);
}

static void polling_release(struct eio__transport *transport)
{
    answer_packet(eio__polling_of(transport), "6", 1);
}

/* ----------------------------------------------------------------- POST */

static bool has_type(struct eio_http_request *request, const char *type)
{
    return eio_str_is(eio_http_head_field(request->head, "content-type"), type);
}

struct post_body {
    uint8_t *p;
    size_t n;
    bool is_binary;
};

/* Reads the packets of a body. Returns 0, or negative with fault. */
static int read_payload(struct eio_session *session, const struct eio_http_head *head, struct post_body body,
                        struct eio__fault *fault)
{
    struct eio__packet packet;
    uint8_t *p = body.p;
    size_t n = body.n;
    bool binary = body.is_binary;
    const char *why = n == 0 ? "empty payload" : "the payload is not valid UTF-8";
    *fault = (struct eio__fault){.code = EIO_EPROTO, .why = why};
    if (n == 0 || (!binary && !base_utf8_valid(p, n))) return EIO_EPROTO;
    while (session->state == EIO__S_OPEN) {
        int result = session->protocol == 3 ? eio__payload3_next(&p, &n, binary, &packet, fault)
                                            : eio__payload_next(&p, &n, &packet, fault);
        if (result <= 0) return result;
        if (eio__receive(session, &packet, head) != 0) return 0;
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
                "session %s: refused a POST of %zu bytes from %s: %s (%llu more since the last such line)",
                eio_session_id(session), request->body.n, request->head->address, why, unsaid);
    eio__server_reply(server, request, &answer);
    if (reason == EIO_CLOSE_PARSE_ERROR)
        eio__receive_fault(session, reason, why);
    else
        eio_session_abort(session, reason, why);
}

static void on_post_aborted(void *ctx)
{
    struct eio__polling *polling = ctx;
    polling->post = NULL;
}

/* Answers the POST whose packets waited, if there is one. */
static void answer_post(struct eio__polling *polling, const struct eio__answer *reply)
{
    struct eio_http_request *post = polling->post;
    if (!post) return;
    polling->post = NULL;
    eio_http_request_on_abort(post, NULL, NULL);
    eio__server_reply(polling->base.session->server, post, reply);
}

static void on_post(struct eio__polling *polling, struct eio_http_request *request)
{
    struct eio_session *session = polling->base.session;
    struct eio_server *server = session->server;
    bool binary = has_type(request, "application/octet-stream");
    if (binary && session->protocol != 3) {
        refuse_post(session, request, EIO_CLOSE_TRANSPORT_ERROR, "invalid content");
        return;
    }
    if (polling->post) {
        refuse_post(session, request, EIO_CLOSE_TRANSPORT_ERROR, "data request overlap from client");
        return;
    }
    uint8_t *p = (uint8_t *)(uintptr_t)request->body.p;
    size_t n = request->body.n;
    struct eio__fault fault;
    server->stats.bytes_in += n;
    /* A form without the field has no packets, as in the reference. */
    bool has_packets = !polling->is_jsonp || eio__polling_form_value(p, &n);
    eio__loop_begin_slice(server->loop);
    struct post_body body = {p, n, binary};
    int result = has_packets ? read_payload(session, request->head, body, &fault) : 0;
    if (result < 0) {
        refuse_post(session, request, EIO_CLOSE_PARSE_ERROR, fault.why);
        return;
    }
    if (!eio__receive_is_waiting(session)) {
        eio__server_reply(server, request, &ok);
        return;
    }
    polling->post = request;
    eio_http_request_on_abort(request, on_post_aborted, polling);
}

static void polling_on_held(struct eio__transport *transport)
{
    if (!transport->session->inbox) answer_post(eio__polling_of(transport), &ok);
}

/* ------------------------------------------------------------- a transport */

static void polling_on_request(struct eio__transport *transport, struct eio_http_request *request)
{
    struct eio__polling *polling = eio__polling_of(transport);
    if (request->head->method == EIO_HTTP_GET)
        on_get(polling, request);
    else if (request->head->method == EIO_HTTP_POST)
        on_post(polling, request);
    else
        eio__server_refuse(transport->session->server, request, EIO__ERROR_BAD_REQUEST, NULL, NULL);
}

static void polling_on_body(struct eio__transport *transport, struct eio__line *line)
{
    eio__pulse_tie(transport->session, &eio__polling_of(transport)->body, line);
}

/* polling_detach() sends the close packet with the poll that hangs, if one does. */
static bool polling_abort(struct eio__transport *transport, enum eio_close_reason reason)
{
    (void)transport;
    (void)reason;
    return false;
}

static void polling_detach(struct eio__transport *transport)
{
    struct eio__polling *polling = eio__polling_of(transport);
    answer_post(polling, &(struct eio__answer){.status = 400});
    if (!answer_queue(polling, true)) answer_packet(polling, "1", 1);
}

static void polling_free(struct eio__transport *transport)
{
    struct eio__polling *polling = eio__polling_of(transport);
    answer_post(polling, &ok); /* another transport took over: what came by it is kept */
    eio__tie(&polling->answer, NULL);
    eio__tie(&polling->body, NULL);
    free(polling);
}

static void look_at(const struct eio__tie *tie, struct eio__traffic *out)
{
    if (tie->line) tie->line->look(tie->line, out);
}

static void polling_look(const struct eio__transport *transport, struct eio__traffic *out)
{
    const struct eio__polling *polling = eio__polling_of_const(transport);
    struct eio__traffic up = {0};
    look_at(&polling->answer, out);
    look_at(&polling->body, &up);
    out->received = up.received;
    out->is_receiving = up.is_receiving;
    out->is_before_ping = true;
}

static void polling_open(struct eio_server *server, struct eio_http_request *request,
                         const struct eio__opening *opening)
{
    struct eio_session *session = eio__session_new(server, opening, request->head);
    struct eio__polling *polling = session ? calloc(1, sizeof *polling) : NULL;
    if (!polling) {
        if (session) eio__session_discard(session);
        eio__server_reply(server, request, &(struct eio__answer){.status = 503});
        return;
    }
    polling->base = (struct eio__transport){.ops = &eio__polling_ops, .session = session, .fd = -1};
    polling->is_jsonp = eio__polling_asks_for_jsonp(session);
    eio__session_set_transport(session, &polling->base, "handshake");
    eio__opening_read(session, request->head);
    char packet[EIO__OPEN_PACKET_BYTES];
    size_t n = eio__opening_packet(session, packet);
    /* With the initial packet, as in the reference, and before anything that on_open sends: it may find the client not
     * ready for it. */
    polling->get = request;
    polling->is_handshake = true;
    if (server->options.initial_packet && eio__session_push(session, eio__frame_new_packet(packet, n)) == 0) {
        eio__opening_push_initial(session);
        answer_queue(polling, false);
    }
    if (polling->get) {
        server->stats.queued_bytes -= session->queue.bytes; /* of the initial packet, without memory to send it */
        eio__queue_clear(&session->queue);
        answer_packet(polling, packet, n);
    }
    polling->is_handshake = false;
    eio__opening_end(session);
}

const struct eio__transport_ops eio__polling_ops = {
    .name = "polling",
    .kind = EIO_POLLING,
    .upgrades_to = EIO_WEBSOCKET,
    .is_polled = true,
    .open = polling_open,
    .on_request = polling_on_request,
    .on_body = polling_on_body,
    .write = polling_write,
    .reserve = polling_reserve,
    .is_writable = polling_is_writable,
    .close = polling_close,
    .abort = polling_abort,
    .detach = polling_detach,
    .free = polling_free,
    .on_held = polling_on_held,
    .look = polling_look,
    .release = polling_release,
};
