/* How a WebSocket closes: which side has sent a close frame, with which code, and which end of the connection goes
 * first (RFC 6455, section 7). Bytes are eio_ws.c's, the session's end is eio_session.c's. */
#include "eio_int.h"

/* The codes that the peer gets for reasons of the session's end; for any other reason, a close frame without a code. */
static const struct {
    enum eio_close_reason reason;
    uint16_t code;
    bool bare; /* without Engine.IO only, whose clients expect the reference's codes */
} codes[] = {
    {EIO_CLOSE_POLICY, EIO__CODE_POLICY, false},
    {EIO_CLOSE_QUEUE_FULL, EIO__CODE_TRY_LATER, false},
    {EIO_CLOSE_FORCED, EIO__CODE_NORMAL, true},
    {EIO_CLOSE_SHUTTING_DOWN, EIO__CODE_GOING_AWAY, true},
};

/* The limits behind codes of our own. */
static const struct {
    uint16_t code;
    enum eio_limit limit;
} limits[] = {
    {EIO__CODE_TOO_BIG, EIO_LIMIT_PAYLOAD_BYTES},
    {EIO__CODE_POLICY, EIO_LIMIT_FRAGMENTS},
};

/* The one function that changes it. */
static void set_closing(struct eio__ws *ws, enum eio__closing closing, const char *why)
{
    static const char *const names[] = {"open", "close received", "close queued", "close sent", "peer closed", "shut"};
    BASE_CHECK(closing > ws->closing);
    if (eio_log_wants(EIO_LOG_DEBUG))
        eio_log(EIO_LOG_DEBUG, "session %s: WebSocket %s -> %s (%s)", eio_session_id(ws->base.session),
                names[ws->closing], names[closing], why);
    ws->closing = (uint8_t)closing;
}

void eio__ws_close_begin(struct eio__ws *ws, uint16_t code)
{
    if (ws->closing >= EIO__WS_CLOSE_QUEUED || ws->base.fd < 0) return;
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    bool was_heard = ws->closing == EIO__WS_CLOSE_HEARD;
    eio__ws_push_control(ws, EIO__WS_CLOSE, payload, code ? 2 : 0);
    set_closing(ws, EIO__WS_CLOSE_QUEUED, "close frame queued");
    if (was_heard) set_closing(ws, EIO__WS_PEER_CLOSED, "the peer's close frame arrived first");
}

void eio__ws_close_for(struct eio__ws *ws, enum eio_close_reason reason)
{
    uint16_t code = 0;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].reason == reason && (!codes[i].bare || !ws->base.session->protocol)) code = codes[i].code;
    eio__ws_close_begin(ws, code);
}

/* Its packets before the close frame are handled. */
static void answer_close(struct eio__ws *ws)
{
    struct eio_session *session = ws->base.session;
    eio__ws_close_begin(ws, ws->peer_code);
    if (ws->closing < EIO__WS_PEER_CLOSED) set_closing(ws, EIO__WS_PEER_CLOSED, "both sides have closed");
    enum eio_close_reason reason =
        session->state == EIO__S_CLOSING ? (enum eio_close_reason)session->close_reason : EIO_CLOSE_TRANSPORT_CLOSE;
    eio__session_end(session, reason, "the peer closed the WebSocket", true);
}

void eio__ws_close_on_frame(struct eio__ws *ws, const uint8_t *p, size_t n)
{
    struct eio_session *session = ws->base.session;
    ws->peer_code = n >= 2 ? (uint16_t)(p[0] << 8 | p[1]) : 0;
    ws->end_waits = eio__receive_is_waiting(session) ? EIO__WS_END_CLOSE : EIO__WS_NO_END;
    if (ws->closing < EIO__WS_CLOSE_HEARD) set_closing(ws, EIO__WS_CLOSE_HEARD, "close frame received");
    if (session->state >= EIO__S_LINGERING) {
        set_closing(ws, EIO__WS_PEER_CLOSED, "the peer answered our close frame");
        eio__session_want_flush(session);
    } else if (!ws->end_waits) {
        answer_close(ws);
    }
}

static void end_faulty(struct eio__ws *ws, uint16_t code, const char *why)
{
    struct eio_session *session = ws->base.session;
    if (session->state < EIO__S_LINGERING) eio__ws_close_begin(ws, code);
    if (ws->closing < EIO__WS_PEER_CLOSED) set_closing(ws, EIO__WS_PEER_CLOSED, why);
    eio__session_end(session, EIO_CLOSE_TRANSPORT_ERROR, why, true);
}

void eio__ws_close_on_handled(struct eio__ws *ws)
{
    enum eio__ws_end end = (enum eio__ws_end)ws->end_waits;
    ws->end_waits = EIO__WS_NO_END;
    if (ws->base.session->state >= EIO__S_LINGERING) return;
    if (end == EIO__WS_END_CLOSE) answer_close(ws);
    if (end == EIO__WS_END_FAULT) end_faulty(ws, ws->peer_code, "a malformed frame, behind packets that waited");
}

void eio__ws_close_on_fault(struct eio__ws *ws, const struct eio__fault *fault)
{
    struct eio_session *session = ws->base.session;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].code == fault->close_code) eio__server_hit(session->server, limits[i].limit, session->head);
    if (session->transport != &ws->base) {
        eio__candidate_drop(session);
        return;
    }
    if (session->state != EIO__S_OPEN || !eio__receive_is_waiting(session)) {
        end_faulty(ws, fault->close_code, fault->why);
        return;
    }
    ws->peer_code = fault->close_code;
    ws->end_waits = EIO__WS_END_FAULT;
    if (ws->closing < EIO__WS_CLOSE_HEARD) set_closing(ws, EIO__WS_CLOSE_HEARD, fault->why);
}

void eio__ws_close_on_broken(struct eio__ws *ws, enum eio_close_reason reason, const char *detail)
{
    struct eio_session *session = ws->base.session;
    if (session->transport != &ws->base) {
        ws->base.ops->detach(&ws->base); /* the peer cannot read a close frame any more */
        eio__candidate_drop(session);
    } else if (session->state == EIO__S_LINGERING) {
        eio__session_bury(session, detail);
    } else {
        eio__session_end(session, reason, detail, false);
    }
}

/* Both close frames are through, or the peer's bytes make no sense: our end of the connection goes first. */
void eio__ws_close_on_flushed(struct eio__ws *ws)
{
    if (ws->closing == EIO__WS_CLOSE_QUEUED) set_closing(ws, EIO__WS_CLOSE_SENT, "close frame written");
    if (ws->base.session->state != EIO__S_LINGERING || ws->closing != EIO__WS_PEER_CLOSED) return;
    set_closing(ws, EIO__WS_SHUT, "nothing left to send");
    eio__ws_shutdown(ws);
}
