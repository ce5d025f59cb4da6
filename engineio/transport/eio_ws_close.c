/* How a WebSocket closes: who has said so, with which code, and which end of the connection goes first (RFC 6455,
 * section 7). Bytes are eio_websocket.c's, the session's end is eio_session.c's. */
#include "eio_int.h"

/* What the peer is told of the end of its session; not here: a close frame without a code. */
static const struct {
    enum eio_close_reason reason;
    uint16_t code;
} codes[] = {
    {EIO_CLOSE_POLICY, EIO__CODE_POLICY},
    {EIO_CLOSE_QUEUE_FULL, EIO__CODE_TRY_LATER},
};

/* What a code of our own says of a limit. */
static const struct {
    uint16_t code;
    enum eio_limit limit;
} limits[] = {
    {EIO__CODE_TOO_BIG, EIO_LIMIT_PAYLOAD_BYTES},
    {EIO__CODE_POLICY, EIO_LIMIT_FRAGMENTS},
};

/* The one function that changes it. */
static void set_closing(struct eio_session *session, enum eio__closing closing, const char *why)
{
    static const char *const names[] = {"open", "close received", "close queued", "close sent", "peer closed", "shut"};
    BASE_CHECK(closing > session->closing);
    if (eio_log_wants(EIO_LOG_DEBUG))
        eio_log(EIO_LOG_DEBUG, "session %s: WebSocket %s -> %s (%s)", eio_session_id(session), names[session->closing],
                names[closing], why);
    session->closing = (uint8_t)closing;
}

void eio__ws_close_begin(struct eio_session *session, uint16_t code)
{
    if (session->closing >= EIO__WS_CLOSE_QUEUED || session->fd < 0) return;
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    bool was_heard = session->closing == EIO__WS_CLOSE_HEARD;
    eio__ws_push_control(session, EIO__WS_CLOSE, payload, code ? 2 : 0);
    set_closing(session, EIO__WS_CLOSE_QUEUED, "close frame queued");
    if (was_heard) set_closing(session, EIO__WS_PEER_CLOSED, "the peer's close frame arrived first");
}

void eio__ws_close_for(struct eio_session *session, enum eio_close_reason reason)
{
    uint16_t code = 0;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].reason == reason) code = codes[i].code;
    eio__ws_close_begin(session, code);
}

void eio__ws_close_on_frame(struct eio_session *session, const uint8_t *p, size_t n)
{
    if (session->closing < EIO__WS_CLOSE_HEARD) set_closing(session, EIO__WS_CLOSE_HEARD, "close frame received");
    if (session->state >= EIO__S_LINGERING) {
        set_closing(session, EIO__WS_PEER_CLOSED, "the peer answered our close frame");
        eio__session_want_flush(session);
    } else if (!eio__inbox_take_close(session, p, n)) {
        eio__ws_close_answer(session, p, n);
    }
}

void eio__ws_close_answer(struct eio_session *session, const uint8_t *p, size_t n)
{
    eio__ws_close_begin(session, n >= 2 ? (uint16_t)(p[0] << 8 | p[1]) : 0);
    if (session->closing < EIO__WS_PEER_CLOSED) set_closing(session, EIO__WS_PEER_CLOSED, "both sides have closed");
    enum eio_close_reason reason =
        session->state == EIO__S_CLOSING ? (enum eio_close_reason)session->close_reason : EIO_CLOSE_TRANSPORT_CLOSE;
    eio__session_end(session, reason, "the peer closed the WebSocket", true);
}

void eio__ws_close_on_fault(struct eio_session *session, const struct eio__fault *fault)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].code == fault->close_code) eio__server_hit(session->server, limits[i].limit, session->head);
    if (session->carrier != EIO__C_WEBSOCKET) {
        eio__ws_drop_probe(session);
        return;
    }
    if (session->state < EIO__S_LINGERING) eio__ws_close_begin(session, fault->close_code);
    if (session->closing < EIO__WS_PEER_CLOSED) set_closing(session, EIO__WS_PEER_CLOSED, fault->why);
    eio__session_end(session, EIO_CLOSE_TRANSPORT_ERROR, fault->why, true);
}

void eio__ws_close_on_broken(struct eio_session *session, enum eio_close_reason reason, const char *detail)
{
    if (session->carrier != EIO__C_WEBSOCKET) {
        session->closing = EIO__WS_SHUT; /* nobody is there to read a close frame */
        eio__ws_drop_probe(session);
        return;
    }
    if (session->state == EIO__S_LINGERING)
        eio__session_bury(session, detail);
    else
        eio__session_end(session, reason, detail, false);
}

/* Both close frames are through, or the peer's bytes make no sense: our end of the connection goes first. */
void eio__ws_close_on_flushed(struct eio_session *session)
{
    if (session->closing == EIO__WS_CLOSE_QUEUED) set_closing(session, EIO__WS_CLOSE_SENT, "close frame written");
    if (session->state != EIO__S_LINGERING || session->closing != EIO__WS_PEER_CLOSED) return;
    set_closing(session, EIO__WS_SHUT, "nothing left to send");
    eio__ws_shutdown(session);
}
