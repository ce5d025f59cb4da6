/* Requests to the Engine.IO path: verification in the reference's order, admission, handshakes and upgrades. */
#include "eio_int.h"

#include <string.h>

/* ------------------------------------------------------------ verification */

/* What a request asks for, and what is wrong with it. */
struct ask {
    const struct eio__transport_ops *transport;
    struct eio_session *session; /* of its sid, or NULL */
    uint8_t protocol;            /* 4, or 3 for any other value of EIO, a missing one too */
    const char *context;         /* of the error, as the reference names it */
};

enum { ERROR_NONE = -1 };

static int read_transport(struct eio_server *server, const struct eio__pick *transport, struct ask *ask)
{
    char text[16];
    int size = eio__pick_decode(transport, text, sizeof text);
    if (size < 0) return EIO__ERROR_TRANSPORT;
    ask->transport = eio__transport_named((struct eio_str){text, (size_t)size}); /* what was decoded may hold a NUL */
    bool is_served = ask->transport && (server->options.transports & ask->transport->kind);
    return is_served ? ERROR_NONE : EIO__ERROR_TRANSPORT;
}

static int bad_request(struct ask *ask, const char *context)
{
    ask->context = context;
    return EIO__ERROR_BAD_REQUEST;
}

static int verify_session(struct eio_http_request *request, struct ask *ask)
{
    if (!ask->session) return EIO__ERROR_SID;
    bool mismatch =
        !request->is_upgrade && (ask->transport != ask->session->transport->ops || !ask->transport->on_request);
    if (mismatch) return bad_request(ask, "TRANSPORT_MISMATCH");
    if (ask->session->protocol != ask->protocol) return bad_request(ask, "PROTOCOL_MISMATCH");
    return ERROR_NONE;
}

/* Server.verify and the beginning of handshake() of the reference. */
static int verify(struct eio_server *server, struct eio_http_request *request, struct ask *ask)
{
    enum { TRANSPORT, PROTOCOL, SID, PARAMETERS };
    struct eio__pick parameters[PARAMETERS] = {{.name = {"transport", 9}}, {.name = {"EIO", 3}}, {.name = {"sid", 3}}};
    char value[EIO_ID_BYTES_MAX + 1];
    eio__query_pick(eio_http_head_query(request->head), parameters, PARAMETERS);
    int error = read_transport(server, &parameters[TRANSPORT], ask);
    if (error != ERROR_NONE) return error;
    ask->protocol = eio__pick_decode(&parameters[PROTOCOL], value, sizeof value) == 1 && value[0] == '4' ? 4 : 3;
    int sid_size = eio__pick_decode(&parameters[SID], value, sizeof value);
    if (sid_size != EIO_EINVAL && sid_size != 0) {
        ask->session = sid_size > 0 ? eio__heartbeat_find(server, value, (size_t)sid_size) : NULL;
        return verify_session(request, ask);
    }
    if (request->head->method != EIO_HTTP_GET) return EIO__ERROR_METHOD;
    if (ask->transport->check_upgrade && !request->is_upgrade) return bad_request(ask, "TRANSPORT_HANDSHAKE_ERROR");
    return ERROR_NONE;
}

static int verify_protocol(const struct eio_server *server, const struct ask *ask)
{
    return ask->protocol != 3 || server->options.allow_eio3 ? ERROR_NONE : EIO__ERROR_PROTOCOL;
}

/* --------------------------------------------------------------- admission */

enum decision { UNDECIDED, ADMITTED, NAMED, DENIED };

struct eio_admission {
    struct eio_server *server;        /* NULL: it is gone */
    struct eio_http_request *request; /* NULL: the client is gone */
    struct eio_admission *prev, *next;
    struct ask ask;
    bool naming; /* it is admitted; generate_id was asked */
    bool asking; /* within the hook's call: the first answer counts, and what follows from it waits for the return */
    enum decision decision;
    char *text; /* of the decision: an id, a message, or NULL */
};

/* What handshakes may cost, before anything is spent on one. EIO_LIMIT_COUNT: none is hit. */
static enum eio_limit handshake_limit(struct eio_server *server, const struct eio_http_head *head)
{
    const struct eio_options *o = &server->options;
    uint64_t now = eio_loop_now_ms(server->loop);
    struct eio__address address;
    /* An address that asks too often takes nothing from the others' share. */
    if (o->max_handshakes_per_second_per_address && eio__address_parse(eio_str(head->address), &address)) {
        struct eio__visitor *visitor = eio__visitors_get(&server->visitors, &address);
        if (visitor && !eio_rate_take(&visitor->rate, now, o->max_handshakes_per_second_per_address))
            return EIO_LIMIT_HANDSHAKES_PER_SECOND_PER_ADDRESS;
    }
    if (o->max_handshakes_per_second && !eio_rate_take(&server->handshake_rate, now, o->max_handshakes_per_second))
        return EIO_LIMIT_HANDSHAKES_PER_SECOND;
    return EIO_LIMIT_COUNT;
}

static enum eio_limit session_limit(const struct eio_server *server, const struct eio_http_head *head)
{
    const struct eio_options *o = &server->options;
    struct eio__address address;
    if (o->max_sessions && server->slot_count >= o->max_sessions) return EIO_LIMIT_SESSIONS;
    if (!o->max_sessions_per_address || !eio__address_parse(eio_str(head->address), &address)) return EIO_LIMIT_COUNT;
    const struct eio__visitor *visitor = eio__visitors_find(&server->visitors, &address);
    return visitor && visitor->count >= o->max_sessions_per_address ? EIO_LIMIT_SESSIONS_PER_ADDRESS : EIO_LIMIT_COUNT;
}

/* Whether one more may open; if not, that was answered. */
static bool may_open(struct eio_server *server, struct eio_http_request *request, const struct ask *ask)
{
    if (server->leaving) {
        struct eio_http_reply reply = {503, "text/plain", "The server is shutting down", 27, NULL, 0, true};
        eio_http_reply(request, &reply);
        return false;
    }
    int error = verify_protocol(server, ask);
    enum eio_limit limit = session_limit(server, request->head);
    if (error != ERROR_NONE)
        eio__server_refuse(server, request, error, NULL, NULL);
    else if (limit != EIO_LIMIT_COUNT)
        eio__server_refuse_limit(server, request, limit);
    return error == ERROR_NONE && limit == EIO_LIMIT_COUNT;
}

/* id NULL: one of ours. */
static void open_session(struct eio_server *server, struct eio_http_request *request, const struct ask *ask,
                         const char *id)
{
    if (!may_open(server, request, ask)) return;
    ask->transport->open(server, request, &(struct eio__opening){ask->protocol, id});
}

static void refuse_id(struct eio_server *server, struct eio_http_request *request)
{
    eio__server_refuse(server, request, EIO__ERROR_BAD_REQUEST, "ID_GENERATION_ERROR", NULL);
}

static void admission_free(struct eio_admission *admission)
{
    if (admission->server) {
        if (admission->prev)
            admission->prev->next = admission->next;
        else
            admission->server->admissions = admission->next;
        if (admission->next) admission->next->prev = admission->prev;
    }
    free(admission->text);
    free(admission);
}

static void apply_decision(struct eio_admission *admission);

static void on_admission_aborted(void *ctx)
{
    struct eio_admission *admission = ctx;
    admission->request = NULL;
}

void eio__server_forget_admissions(struct eio_server *server)
{
    while (server->admissions) {
        struct eio_admission *admission = server->admissions;
        struct eio_http_request *request = admission->request;
        server->admissions = admission->next;
        if (admission->next) admission->next->prev = NULL;
        admission->server = NULL;
        admission->request = NULL;
        admission->next = NULL;
        if (!request) continue;
        eio_http_request_on_abort(request, NULL, NULL);
        struct eio_http_reply reply = {.status = 503, .close = true};
        eio_http_reply(request, &reply);
    }
}

/* Its request, if both sides are still there. Frees the admission. */
static struct eio_http_request *take_request(struct eio_admission *admission)
{
    struct eio_http_request *request = admission->server ? admission->request : NULL;
    admission_free(admission);
    if (request) eio_http_request_on_abort(request, NULL, NULL);
    return request;
}

typedef void (*admission_fn)(struct eio_admission *admission, const struct eio_http_head *head, void *ctx);

/* Asks one hook. */
static void ask_hook(struct eio_admission *admission, admission_fn hook)
{
    struct eio_server *server = admission->server;
    eio_http_request_on_abort(admission->request, on_admission_aborted, admission);
    admission->decision = UNDECIDED;
    admission->asking = true;
    hook(admission, admission->request->head, server->hooks_ctx);
    admission->asking = false;
    if (admission->decision != UNDECIDED) apply_decision(admission);
}

static void act_admitted(struct eio_admission *admission)
{
    struct eio_server *server = admission->server;
    struct ask asked = admission->ask;
    if (server && admission->request) eio_http_request_on_abort(admission->request, NULL, NULL);
    bool wants_id = server && admission->request && !admission->naming && server->hooks.generate_id;
    if (!wants_id) {
        struct eio_http_request *request = take_request(admission);
        if (request) open_session(server, request, &asked, NULL);
    } else if (may_open(server, admission->request, &asked)) {
        admission->naming = true;
        ask_hook(admission, server->hooks.generate_id);
    } else {
        admission_free(admission);
    }
}

static void act_named(struct eio_admission *admission)
{
    struct eio_server *server = admission->server;
    struct ask asked = admission->ask;
    char *id = admission->text;
    admission->text = NULL;
    struct eio_http_request *request = take_request(admission);
    if (request && id && eio__own_id_valid(id) && !eio_server_find(server, id, strlen(id)))
        open_session(server, request, &asked, id);
    else if (request)
        refuse_id(server, request);
    free(id);
}

static void act_denied(struct eio_admission *admission)
{
    struct eio_server *server = admission->server;
    bool naming = admission->naming;
    char *message = admission->text;
    admission->text = NULL;
    struct eio_http_request *request = take_request(admission);
    if (request && naming)
        refuse_id(server, request);
    else if (request)
        eio__server_refuse(server, request, EIO__ERROR_FORBIDDEN, NULL, message);
    free(message);
}

static void apply_decision(struct eio_admission *admission)
{
    switch (admission->decision) {
    case ADMITTED:
        act_admitted(admission);
        break;
    case NAMED:
        act_named(admission);
        break;
    default:
        act_denied(admission);
        break;
    }
}

static void decide(struct eio_admission *admission, enum decision decision, const char *text)
{
    if (admission->decision != UNDECIDED) return;
    admission->decision = decision;
    admission->text = text ? strdup(text) : NULL;
    if (!admission->asking) apply_decision(admission);
}

void eio_admit(struct eio_admission *admission)
{
    decide(admission, ADMITTED, NULL);
}

void eio_admit_as(struct eio_admission *admission, const char *id)
{
    decide(admission, NAMED, id);
}

void eio_deny(struct eio_admission *admission, const char *message)
{
    decide(admission, DENIED, message);
}

static void handshake(struct eio_server *server, struct eio_http_request *request, const struct ask *asked)
{
    if (!eio__origin_is_allowed(&server->allowed_origins, request->head)) {
        eio__server_refuse_origin(server, request);
        return;
    }
    enum eio_limit limit = server->leaving ? EIO_LIMIT_COUNT : handshake_limit(server, request->head);
    if (limit != EIO_LIMIT_COUNT) {
        eio__server_refuse_limit(server, request, limit);
        return;
    }
    if (server->leaving || (!server->hooks.allow_request && !server->hooks.generate_id)) {
        open_session(server, request, asked, NULL);
        return;
    }
    struct eio_admission *admission = calloc(1, sizeof *admission);
    if (!admission) {
        eio__server_reply(server, request, &(struct eio__answer){.status = 503});
        return;
    }
    *admission =
        (struct eio_admission){.server = server, .request = request, .next = server->admissions, .ask = *asked};
    if (server->admissions) server->admissions->prev = admission;
    server->admissions = admission;
    if (server->hooks.allow_request)
        ask_hook(admission, server->hooks.allow_request);
    else
        act_admitted(admission);
}

/* ------------------------------------------------------------------ routes */

/* Before anything is done with it, its body not even read. Its owner reports what is wrong with it. */
static void offer_to_owner(struct eio_offer *offered, const struct eio_http_head *head, void *ctx)
{
    struct eio_server *server = ctx;
    char sid[64];
    struct eio__place place;
    if ((!server->foreign && !server->remote) || head->method == EIO_HTTP_OPTIONS) return;
    int size = eio_query_get(eio_http_head_query(head), "sid", sid, sizeof sid);
    if (size <= 0 || !eio__id_read(&server->ids, sid, (size_t)size, &place)) return;
    if (!place.elsewhere && place.owner == server->ids.owner) return;
    /* An id of the application's may look like one of ours. */
    if (eio_server_find(server, sid, (size_t)size)) return;
    if (place.elsewhere && server->remote)
        server->remote(offered, place.machine, place.owner, server->remote_ctx);
    else if (!place.elsewhere && server->foreign)
        server->foreign(offered, place.owner, server->foreign_ctx);
}

/* The rest of it may take long: while it comes, its session is alive. */
static void on_body(struct eio__line *line, const struct eio_http_head *head, void *ctx)
{
    char sid[EIO_ID_BYTES_MAX + 1];
    int size = eio_query_get(eio_http_head_query(head), "sid", sid, sizeof sid);
    struct eio_session *session = size > 0 ? eio_server_find(ctx, sid, (size_t)size) : NULL;
    struct eio__transport *transport = session ? session->transport : NULL;
    if (transport && transport->ops->on_body) transport->ops->on_body(transport, line);
}

void eio__server_on_request(struct eio_http_request *request, void *ctx)
{
    struct eio_server *server = ctx;
    if (eio__cors_answers(&server->options.cors, request->head)) {
        eio__server_preflight(server, request);
        return;
    }
    struct ask ask = {0};
    int error = verify(server, request, &ask);
    if (error != ERROR_NONE)
        eio__server_refuse(server, request, error, ask.context, NULL);
    else if (!ask.session)
        handshake(server, request, &ask);
    else
        ask.transport->on_request(ask.session->transport, request);
}

void eio__server_on_upgrade(struct eio_http_request *request, void *ctx)
{
    struct eio_server *server = ctx;
    struct ask ask = {0};
    int error = verify(server, request, &ask);
    if (error == ERROR_NONE && (!ask.transport->check_upgrade || (ask.session && !ask.transport->probe)))
        error = EIO__ERROR_BAD_REQUEST;
    if (error == ERROR_NONE && !ask.session) error = verify_protocol(server, &ask);
    if (error != ERROR_NONE) {
        eio__server_refuse(server, request, error, ask.context, NULL);
        return;
    }
    if (!ask.transport->check_upgrade(request)) return;
    if (ask.session)
        ask.transport->probe(ask.session, request);
    else
        handshake(server, request, &ask);
}

/* A body that is too large, too slow or too finely chopped: a client that lost a POST would wait for what never comes.
 * The answer first, then the end of the session, as in the reference (engine.io 6.6.13). */
static void on_refused(struct eio_http_request *request, int status, const char *why, void *ctx)
{
    struct eio_server *server = ctx;
    struct ask ask = {0};
    bool is_post = request->head->method == EIO_HTTP_POST;
    int error = verify(server, request, &ask);
    if (eio__cors_answers(&server->options.cors, request->head)) {
        eio__server_preflight(server, request);
    } else if (error != ERROR_NONE) {
        eio__server_refuse(server, request, error, ask.context, NULL);
    } else {
        eio__server_reply(server, request, &(struct eio__answer){.status = status});
        if (ask.session && is_post) eio_session_abort(ask.session, EIO_CLOSE_TRANSPORT_ERROR, why);
    }
}

int eio_server_attach(struct eio_server *server, struct eio_http *http)
{
    /* "/engine.io" and "/engine.io/" both mean the prefix "/engine.io/", as in the reference. */
    const char *path = server->options.path;
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] == '/') n--;
    char *prefix = malloc(n + 3);
    if (!prefix) return EIO_ENOMEM;
    snprintf(prefix, n + 3, "%.*s%s*", (int)n, path, server->options.add_trailing_slash ? "/" : "");
    const struct eio__route_spec spec = {
        .max_body_bytes = server->options.max_payload_bytes,
        .max_body_pieces = server->options.max_buffered_chunks,
        .body_timeout_ms = server->options.http_request_body_timeout_ms,
        .fn = eio__server_on_request,
        .upgrade = eio__server_on_upgrade,
        .refused = on_refused,
        .offer = offer_to_owner,
        .body = on_body,
        .ctx = server,
    };
    int result = eio__http_route_add(http, prefix, &spec);
    free(prefix);
    return result;
}

static void on_bare_request(struct eio_http_request *request, void *ctx)
{
    (void)ctx;
    static const struct eio_http_reply_field upgrade = {"Upgrade", "websocket"};
    struct eio_http_reply reply = {426, "text/plain", "WebSocket connection required", 26, &upgrade, 1, false};
    eio_http_reply(request, &reply);
}

static void on_bare_upgrade(struct eio_http_request *request, void *ctx)
{
    struct eio_server *server = ctx;
    struct ask ask = {.transport = &eio__ws_ops};
    if (eio__ws_check_upgrade(request)) handshake(server, request, &ask);
}

int eio_server_attach_websocket(struct eio_server *server, struct eio_http *http, const char *path)
{
    const struct eio__route_spec spec = {.fn = on_bare_request, .upgrade = on_bare_upgrade, .ctx = server};
    return eio__http_route_add(http, path, &spec);
}
