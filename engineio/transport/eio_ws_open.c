/* Requests for a WebSocket: whether they are sound, the 101, sessions that open on one or try to upgrade to one. */
#include "eio_int.h"

#include <string.h>
#include <sys/socket.h>

/* RFC 6455, section 4.2.1. Returns false when it has answered. */
bool eio__ws_check_upgrade(struct eio_http_request *request)
{
    struct eio__ws_offer offer;
    const char *why = eio__ws_offer_read(request->head, &offer);
    if (!offer.has_version) {
        static const struct eio_http_reply_field version = {"Sec-WebSocket-Version", "13"};
        struct eio_http_reply reply = {426, "text/plain", "WebSocket version 13 required", 30, &version, 1, true};
        eio_http_reply(request, &reply);
        return false;
    }
    if (why) {
        struct eio_http_reply reply = {400, "text/plain", why, strlen(why), NULL, 0, true};
        eio_http_reply(request, &reply);
        return false;
    }
    return true;
}

/* ----------------------------------------------------------------- opening */

/* The response and the open packet: they leave together, at the end of the turn. */
static int push_opening(struct eio__ws *ws, bool with_response)
{
    struct eio_session *session = ws->base.session;
    if (with_response) {
        int bits;
        struct eio_frame *response = eio__server_switching(session->server, session->head, session, &bits);
        eio__ws_set_deflate(ws, bits);
        if (eio__session_push(session, response) != 0) return EIO_ENOMEM;
    }
    if (session->protocol == 0) return 0;
    char packet[EIO__OPEN_PACKET_BYTES];
    size_t n = eio__opening_packet(session, packet);
    return eio__session_push(session, eio__frame_new_packet(packet, n));
}

struct eio_session *eio__ws_open_on(struct eio_server *server, const struct eio__opening *opening,
                                    struct eio__wire take_wire, struct eio_http_head *take_head, bool with_response)
{
    struct eio_session *session = eio__session_new(server, opening, take_head);
    free(take_head);
    if (!session) {
        eio__wire_close(server->loop, take_wire);
        return NULL;
    }
    eio__opening_read(session, session->head);
    struct eio__ws *ws = eio__ws_new(session, take_wire);
    if (ws) eio__session_set_transport(session, &ws->base, "handshake");
    if (!ws || push_opening(ws, with_response) != 0) {
        eio__session_discard(session);
        return NULL;
    }
    eio__opening_push_initial(session);
    eio__opening_end(session);
    return session;
}

void eio__ws_open(struct eio_server *server, struct eio_http_request *request, const struct eio__opening *opening)
{
    struct eio__taken taken;
    if (request->ops->take(request, &taken) != 0) {
        eio__server_refuse(server, request, EIO__ERROR_BAD_REQUEST, NULL, NULL);
        return;
    }
    struct eio_session *session = eio__ws_open_on(server, opening, taken.wire, taken.head, true);
    if (session) eio__ws_feed(eio__ws_of(session->transport), taken.rest, taken.rest_size);
    free(taken.rest);
}

/* ----------------------------------------------------------------- probing */

/* Takes the connection and answers with the 101; false: refused, or the connection is broken. */
static bool take_probe(struct eio_server *server, struct eio_http_request *request, int *deflate_bits,
                       struct eio__taken *taken)
{
    struct eio_frame *response = eio__server_switching(server, request->head, NULL, deflate_bits);
    bool ok = response && request->ops->take(request, taken) == 0;
    if (!ok) {
        eio__server_refuse(server, request, EIO__ERROR_BAD_REQUEST, NULL, NULL);
    } else {
        free(taken->head); /* the session keeps that of its handshake */
        ok = eio__wire_send(taken->wire, response->bytes, response->wire_size) == (ssize_t)response->wire_size;
        if (!ok) {
            eio__wire_close(server->loop, taken->wire);
            free(taken->rest);
        }
    }
    eio_frame_unref(response);
    return ok;
}

/* As the reference: opened, then closed. Its protocol suite, and a page in a browser, distinguish that from an HTTP
 * error. */
static void turn_probe_away(struct eio_server *server, struct eio_http_request *request)
{
    static const uint8_t close_frame[] = {0x88, 0x00};
    int bits;
    struct eio__taken taken;
    server->stats.handshakes_refused++;
    if (!take_probe(server, request, &bits, &taken)) return;
    (void)!eio__wire_send(taken.wire, close_frame, sizeof close_frame);
    eio__wire_close(server->loop, taken.wire);
    free(taken.rest);
}

/* One more, while the first tries or when it has, is turned away. */
void eio__ws_probe(struct eio_session *session, struct eio_http_request *request)
{
    struct eio_server *server = session->server;
    int bits;
    struct eio__taken taken;
    switch (eio__candidate_check(session, &eio__ws_ops)) {
    case EIO__CANDIDATE_TAKEN:
        turn_probe_away(server, request);
        return;
    case EIO__CANDIDATE_CLOSED:
        eio__server_refuse(server, request, EIO__ERROR_BAD_REQUEST, NULL, NULL);
        return;
    case EIO__CANDIDATE_LIMIT:
        eio__server_refuse_limit(server, request, EIO_LIMIT_UPGRADES);
        return;
    case EIO__CANDIDATE_OK:
        break;
    }
    if (!take_probe(server, request, &bits, &taken)) return;
    struct eio__ws *ws = eio__ws_new(session, taken.wire);
    if (ws) {
        eio__ws_set_deflate(ws, bits);
        if (eio__candidate_begin(session, &ws->base) == 0) eio__ws_feed(ws, taken.rest, taken.rest_size);
    }
    free(taken.rest);
}
