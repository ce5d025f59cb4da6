/* Requests to the Engine.IO path: verification with the reference's error codes, handshakes, upgrades. */
#include "eio_deflate.h"
#include "eio_int.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SUBPROTOCOL_MAX_BYTES 64 /* a longer one is not taken */

enum { RESPONSE_BYTES = 512 };

/* Error codes of the reference (engine.io, Server.errors). */
enum {
    ERROR_NONE = -1,
    ERROR_TRANSPORT = 0,
    ERROR_SID = 1,
    ERROR_METHOD = 2,
    ERROR_BAD_REQUEST = 3,
    ERROR_FORBIDDEN = 4,
    ERROR_PROTOCOL = 5,
};
static const char *const error_texts[] = {
    "Transport unknown", "Session ID unknown", "Bad handshake method",
    "Bad request",       "Forbidden",          "Unsupported protocol version",
};

/* ----------------------------------------------------------------- replies */

void eio__server_reply(struct eio_server *server, struct eio_http_request *request, int status, const char *type,
                       const void *body, size_t size)
{
    struct eio__cors_reply cors;
    eio__cors_fields(&server->options.cors, request->head, false, &cors);
    struct eio_http_reply_field fields[EIO__CORS_FIELDS_MAX + 2];
    size_t count = 0;
    if (status == 200) fields[count++] = (struct eio_http_reply_field){"cache-control", "no-store"};
    struct eio_str agent = eio_http_head_field(request->head, "user-agent");
    if (agent.n && (memmem(agent.p, agent.n, ";MSIE", 5) || memmem(agent.p, agent.n, "Trident/", 8)))
        fields[count++] = (struct eio_http_reply_field){"X-XSS-Protection", "0"};
    for (size_t i = 0; i < cors.count; i++) fields[count++] = cors.fields[i];
    struct eio_http_reply reply = {status, type, body, size, fields, count, false};
    eio_http_reply(request, &reply);
}

static void refuse(struct eio_server *server, struct eio_http_request *request, int error)
{
    server->stats.handshakes_refused++;
    if (request->is_upgrade) {
        const char *text = error_texts[error];
        struct eio_http_reply reply = {400, "text/html", text, strlen(text), NULL, 0, true};
        eio_http_reply(request, &reply);
        return;
    }
    char body[96];
    int n = snprintf(body, sizeof body, "{\"code\":%d,\"message\":\"%s\"}", error, error_texts[error]);
    eio__server_reply(server, request, error == ERROR_FORBIDDEN ? 403 : 400, "application/json", body, (size_t)n);
}

/* ------------------------------------------------------------ verification */

/* What a request asks for. */
struct ask {
    enum eio_transport transport;
    struct eio_session *session; /* of its sid, or NULL */
    bool protocol_ok;            /* EIO=4 */
};

static int read_transport(struct eio_server *server, struct eio_str query, struct ask *ask)
{
    char name[16];
    if (eio_query_get(query, "transport", name, sizeof name) < 0) return ERROR_TRANSPORT;
    if (strcmp(name, "polling") == 0)
        ask->transport = EIO_POLLING;
    else if (strcmp(name, "websocket") == 0)
        ask->transport = EIO_WEBSOCKET;
    else
        return ERROR_TRANSPORT;
    return server->options.transports & ask->transport ? ERROR_NONE : ERROR_TRANSPORT;
}

/* In the reference's order (Server.verify, then handshake). */
static int verify(struct eio_server *server, struct eio_http_request *request, struct ask *ask)
{
    struct eio_str query = eio_http_head_query(request->head);
    char value[64];
    int error = read_transport(server, query, ask);
    if (error != ERROR_NONE) return error;
    ask->protocol_ok = eio_query_get(query, "EIO", value, sizeof value) == 1 && value[0] == '4';
    int sid_size = eio_query_get(query, "sid", value, sizeof value);
    if (sid_size == EIO_EINVAL || sid_size == 0) {
        if (request->head->method != EIO_HTTP_GET) return ERROR_METHOD;
        if (ask->transport == EIO_WEBSOCKET && !request->is_upgrade) return ERROR_BAD_REQUEST;
        return ask->protocol_ok ? ERROR_NONE : ERROR_PROTOCOL;
    }
    ask->session = sid_size > 0 ? eio__server_find_alive(server, value, (size_t)sid_size) : NULL;
    if (!ask->session) return ERROR_SID;
    if (request->is_upgrade) return ask->protocol_ok ? ERROR_NONE : ERROR_BAD_REQUEST;
    return ask->transport == EIO_POLLING && ask->session->polling ? ERROR_NONE : ERROR_BAD_REQUEST;
}

/* ----------------------------------------------------------------- opening */

size_t eio__server_open_packet(const struct eio_server *server, const struct eio_session *session, char *out,
                               size_t size)
{
    const struct eio_options *o = &server->options;
    bool upgrades = session->carrier == EIO__C_POLLING && o->allow_upgrades && (o->transports & EIO_WEBSOCKET);
    int n = snprintf(
        out, size, "0{\"sid\":\"%s\",\"upgrades\":[%s],\"pingInterval\":%u,\"pingTimeout\":%u,\"maxPayload\":%zu}",
        session->id, upgrades ? "\"websocket\"" : "", o->ping_interval_ms, o->ping_timeout_ms, o->max_payload_bytes);
    EIO_CHECK(n > 0 && (size_t)n < size);
    return (size_t)n;
}

static void announce(struct eio_session *session)
{
    struct eio_server *server = session->server;
    server->stats.opened++;
    eio__session_start(session);
    if (server->handlers.on_open) server->handlers.on_open(session, server->ctx);
}

static void open_polling(struct eio_server *server, struct eio_http_request *request)
{
    struct eio_http_head *head = eio__http_head_copy(request->head);
    struct eio_session *session = head ? eio__session_new(server, 4, head) : NULL;
    struct eio__polling *polling = session ? calloc(1, sizeof *polling) : NULL;
    if (!polling) {
        if (session) eio__session_discard(session);
        eio__server_reply(server, request, 503, NULL, NULL, 0);
        return;
    }
    polling->session = session;
    session->polling = polling;
    session->carrier = EIO__C_POLLING;
    char packet[256];
    size_t n = eio__server_open_packet(server, session, packet, sizeof packet);
    /* Alone, before anything that on_open sends: clients read the first poll as one packet. */
    eio__server_reply(server, request, 200, "text/plain; charset=UTF-8", packet, n);
    announce(session);
}

/* --------------------------------------------------------------- WebSocket */

/* The first subprotocol offered, as ws does: a browser that offers some refuses a server that takes none. */
static struct eio_str first_subprotocol(struct eio_str offers)
{
    size_t n = 0;
    while (n < offers.n && !strchr(", \t", offers.p[n])) n++;
    return (struct eio_str){offers.p, n <= SUBPROTOCOL_MAX_BYTES ? n : 0};
}

/* The 101 response; *deflate_bits is what was negotiated of permessage-deflate, 0: nothing. */
static size_t switching_response(const struct eio_server *server, const struct eio_http_head *head, char *out,
                                 size_t size, int *deflate_bits)
{
    char accept[29], extension[EIO__DEFLATE_RESPONSE_BYTES];
    eio__ws_accept(eio_http_head_field(head, "sec-websocket-key"), accept);
    *deflate_bits = 0;
    if (server->options.per_message_deflate)
        *deflate_bits = eio__deflate_negotiate(eio_http_head_field(head, "sec-websocket-extensions"), extension);
    struct eio_str protocol = first_subprotocol(eio_http_head_field(head, "sec-websocket-protocol"));
    int n =
        snprintf(out, size,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n%s%.*s%s%s%s%s\r\n",
                 accept, protocol.n ? "Sec-WebSocket-Protocol: " : "", (int)protocol.n, protocol.n ? protocol.p : "",
                 protocol.n ? "\r\n" : "", *deflate_bits ? "Sec-WebSocket-Extensions: " : "",
                 *deflate_bits ? extension : "", *deflate_bits ? "\r\n" : "");
    EIO_CHECK(n > 0 && (size_t)n < size);
    return (size_t)n;
}

/* RFC 6455, section 4.2.1. Returns false when it has answered. */
static bool check_websocket(struct eio_http_request *request)
{
    if (!eio_str_is(eio_http_head_field(request->head, "sec-websocket-version"), "13")) {
        static const struct eio_http_reply_field version = {"Sec-WebSocket-Version", "13"};
        struct eio_http_reply reply = {426, "text/plain", "WebSocket version 13 is needed", 30, &version, 1, true};
        eio_http_reply(request, &reply);
        return false;
    }
    if (!eio__ws_key_valid(eio_http_head_field(request->head, "sec-websocket-key"))) {
        struct eio_http_reply reply = {400, "text/plain", "Invalid Sec-WebSocket-Key", 25, NULL, 0, true};
        eio_http_reply(request, &reply);
        return false;
    }
    return true;
}

/* The response and the open packet: they leave together, at the end of the turn. */
static int push_opening(struct eio_session *session, bool with_response)
{
    if (with_response) {
        char text[RESPONSE_BYTES];
        int bits;
        size_t n = switching_response(session->server, session->head, text, sizeof text, &bits);
        session->deflate_bits = (uint8_t)bits;
        struct eio_frame *response = eio__frame_new_wire(n);
        if (response) memcpy(response->bytes, text, n);
        if (eio__session_push(session, response) != 0) return EIO_ENOMEM;
    }
    if (session->protocol == 0) return 0;
    char packet[256];
    size_t n = eio__server_open_packet(session->server, session, packet, sizeof packet);
    return eio__session_push(session, eio__frame_new_packet(packet, n));
}

struct eio_session *eio__server_open_websocket(struct eio_server *server, int protocol, int take_fd,
                                               struct eio_http_head *take_head, bool with_response)
{
    struct eio_session *session = eio__session_new(server, protocol, take_head);
    if (!session) {
        close(take_fd);
        return NULL;
    }
    if (eio__ws_attach(session, take_fd) != 0 || push_opening(session, with_response) != 0) {
        eio__session_discard(session);
        return NULL;
    }
    announce(session);
    return session;
}

static void open_websocket(struct eio_server *server, struct eio_http_request *request, int protocol)
{
    struct eio_http_head *head;
    uint8_t *rest;
    size_t rest_size;
    int fd = request->ops->take(request, &head, &rest, &rest_size);
    if (fd < 0) {
        refuse(server, request, ERROR_BAD_REQUEST);
        return;
    }
    struct eio_session *session = eio__server_open_websocket(server, protocol, fd, head, true);
    if (session) eio__ws_feed(session, rest, rest_size);
    free(rest);
}

/* A WebSocket that may take over from polling. A second one while the first still tries is refused. */
static void open_probe(struct eio_session *session, struct eio_http_request *request)
{
    struct eio_server *server = session->server;
    if (session->carrier != EIO__C_POLLING || session->state != EIO__S_OPEN || !server->options.allow_upgrades) {
        refuse(server, request, ERROR_BAD_REQUEST);
        return;
    }
    char response[RESPONSE_BYTES];
    int bits;
    size_t n = switching_response(server, request->head, response, sizeof response, &bits);
    struct eio_http_head *head;
    uint8_t *rest;
    size_t rest_size;
    int fd = request->ops->take(request, &head, &rest, &rest_size);
    if (fd < 0) {
        refuse(server, request, ERROR_BAD_REQUEST);
        return;
    }
    free(head); /* the session keeps that of its handshake */
    if (send(fd, response, n, MSG_NOSIGNAL) != (ssize_t)n)
        close(fd);
    else if (eio__ws_attach(session, fd) == 0) {
        session->carrier = EIO__C_PROBING;
        session->deflate_bits = (uint8_t)bits;
        eio_deadlines_add(&server->upgrade, &session->polling->upgrade);
        eio__ws_feed(session, rest, rest_size);
    }
    free(rest);
}

/* ------------------------------------------------------------------ routes */

static void preflight(struct eio_server *server, struct eio_http_request *request)
{
    struct eio__cors_reply cors;
    eio__cors_fields(&server->options.cors, request->head, true, &cors);
    struct eio_http_reply reply = {204, NULL, NULL, 0, cors.fields, cors.count, false};
    eio_http_reply(request, &reply);
}

static bool refuse_when_closing(struct eio_server *server, struct eio_http_request *request)
{
    if (!server->closing) return false;
    struct eio_http_reply reply = {503, "text/plain", "The server is shutting down", 27, NULL, 0, true};
    eio_http_reply(request, &reply);
    return true;
}

void eio__server_on_request(struct eio_http_request *request, void *ctx)
{
    struct eio_server *server = ctx;
    if (request->head->method == EIO_HTTP_OPTIONS && server->options.cors.origin) {
        preflight(server, request);
        return;
    }
    struct ask ask = {0};
    int error = verify(server, request, &ask);
    if (error != ERROR_NONE) {
        refuse(server, request, error);
        return;
    }
    if (!ask.session) {
        if (!refuse_when_closing(server, request)) open_polling(server, request);
    } else if (request->head->method == EIO_HTTP_GET) {
        eio__polling_on_get(ask.session, request);
    } else if (request->head->method == EIO_HTTP_POST) {
        eio__polling_on_post(ask.session, request);
    } else {
        refuse(server, request, ERROR_BAD_REQUEST);
    }
}

void eio__server_on_upgrade(struct eio_http_request *request, void *ctx)
{
    struct eio_server *server = ctx;
    struct ask ask = {0};
    int error = verify(server, request, &ask);
    if (error == ERROR_NONE && ask.transport != EIO_WEBSOCKET) error = ERROR_BAD_REQUEST;
    if (error != ERROR_NONE) {
        refuse(server, request, error);
        return;
    }
    if (refuse_when_closing(server, request) || !check_websocket(request)) return;
    if (ask.session)
        open_probe(ask.session, request);
    else
        open_websocket(server, request, 4);
}

int eio_server_attach(struct eio_server *server, struct eio_http *http)
{
    /* "/engine.io" and "/engine.io/" both mean the prefix "/engine.io/", as in the reference. */
    const char *path = server->options.path;
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] == '/') n--;
    char *prefix = malloc(n + 3);
    if (!prefix) return EIO_ENOMEM;
    snprintf(prefix, n + 3, "%.*s/*", (int)n, path);
    int result = eio__http_route_upgrade(http, prefix, server->options.max_payload_bytes, eio__server_on_request,
                                         eio__server_on_upgrade, server);
    free(prefix);
    return result;
}

static void on_bare_request(struct eio_http_request *request, void *ctx)
{
    (void)ctx;
    static const struct eio_http_reply_field upgrade = {"Upgrade", "websocket"};
    struct eio_http_reply reply = {426, "text/plain", "A WebSocket is wanted here", 26, &upgrade, 1, false};
    eio_http_reply(request, &reply);
}

static void on_bare_upgrade(struct eio_http_request *request, void *ctx)
{
    struct eio_server *server = ctx;
    if (refuse_when_closing(server, request) || !check_websocket(request)) return;
    open_websocket(server, request, 0);
}

int eio_server_attach_websocket(struct eio_server *server, struct eio_http *http, const char *path)
{
    return eio__http_route_upgrade(http, path, 0, on_bare_request, on_bare_upgrade, server);
}
