/* POST /api/v1/emit {room | user | session, event, data}: an event to sockets and plain WebSockets of every node, for
 * services with a token of the role `service`, and for those that sign by Standard Webhooks (webhook-id,
 * webhook-timestamp, webhook-signature). A signed request is taken once: its id is stored for as long as its time would
 * be taken. */
#include "hooks_int.h"
#include "kit_http.h"
#include "kit_request.h"
#include "kit_ws.h"

#include <stdlib.h>
#include <string.h>

/* What is emitted to whom. */
struct wish {
    char room[KIT_USER_SIZE + 16], plain_room[KIT_USER_SIZE + 16]; /* of sockets; of plain WebSockets, and sessions */
    char event[129], nsp[129];
    char *data; /* JSON; NULL: without an argument */
    bool is_session;
};

struct emit {
    struct kit_request request;
    char id[HOOKS_ID_SIZE]; /* of a signed request; "": by a token */
    struct wish wish;
};

static int check_token(struct kit_request *request)
{
    struct kit_failure *failure = &request->op.failure;
    struct kit_claims *claims = kit_http_authorize(request->kit, request->http, failure);
    if (claims && !(claims->role & (KIT_ROLE_SERVICE | KIT_ROLE_ADMIN)))
        kit_fail(failure, 403, NULL, "role %s may not do this", kit_role_text(claims->role));
    kit_claims_unref(claims);
    return failure->code;
}

/* ------------------------------------------------------------------ payload */

static bool is_reserved(const char *event)
{
    static const char *const names[] = {"connect",       "connect_error", "disconnect",
                                        "disconnecting", "newListener",   "removeListener"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(names[i], event)) return true;
    return false;
}

struct sio_namespace *hooks_find_namespace(const struct kit *kit, const char *name)
{
    for (size_t i = 0; i < kit->namespace_count; i++)
        if (!strcmp(sio_namespace_name(kit->namespaces[i].nsp), name)) return kit->namespaces[i].nsp;
    return NULL;
}

/* Exactly one of the three. */
static int read_target(struct wish *wish, const json_t *payload, struct kit_failure *failure)
{
    static const struct {
        const char *name, *prefix, *plain_prefix;
    } targets[] = {{"room", "", ""}, {"user", KIT_USER_ROOM, KIT_USER_ROOM}, {"session", "", KIT_SESSION_ROOM}};
    size_t count = 0;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        const char *name = json_string_value(json_object_get(payload, targets[i].name));
        if (!name) continue;
        count++;
        wish->is_session = !strcmp(targets[i].name, "session");
        snprintf(wish->room, sizeof wish->room, "%s%s", targets[i].prefix, name);
        snprintf(wish->plain_room, sizeof wish->plain_room, "%s%s", targets[i].plain_prefix, name);
    }
    return count == 1 ? 0 : kit_fail(failure, 400, "/room", "give one of room, user and session");
}

static int read_wish(const struct kit *kit, struct wish *wish, const json_t *payload, struct kit_failure *failure)
{
    struct kit_schema_error wrong = {"", ""};
    if (!kit_schema_check(kit_schema_find(kit->schemas, "emit"), payload, &wrong))
        return kit_fail(failure, 400, wrong.pointer, "%s", wrong.message);
    kit_copy_text(wish->event, sizeof wish->event, payload, "event");
    kit_copy_text(wish->nsp, sizeof wish->nsp, payload, "namespace");
    if (!wish->nsp[0]) strcpy(wish->nsp, "/");
    if (is_reserved(wish->event)) return kit_fail(failure, 400, "/event", "is reserved");
    if (!hooks_find_namespace(kit, wish->nsp)) return kit_fail(failure, 404, "/namespace", "no such namespace");
    const json_t *data = json_object_get(payload, "data");
    wish->data = data ? json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (data && !wish->data) return kit_fail(failure, 503, NULL, "out of memory");
    return read_target(wish, payload, failure);
}

/* Plain WebSockets are in no namespace: they are of a chat, and get what is sent without one, too. */
static bool is_for_plain(const struct wish *wish)
{
    return !strcmp(wish->nsp, "/") || !strcmp(wish->nsp, "/chat");
}

static void emit_in(struct sio_namespace *nsp, const struct wish *wish, const char *room)
{
    struct sio_builder args;
    sio_builder_init(&args);
    sio_builder_open(&args);
    if (wish->data) sio_builder_put(&args, wish->data);
    sio_emit(sio_to(sio_all(nsp), room), wish->event, wish->data ? sio_builder_args(&args) : sio_args_none());
    sio_builder_clear(&args);
}

/* A session is a socket's id, and in the assistant's namespace that of a chat, which needs not be named for it. */
static void fulfil(struct kit *kit, const struct wish *wish)
{
    struct sio_namespace *chat = wish->is_session && is_for_plain(wish) ? hooks_find_namespace(kit, "/chat") : NULL;
    emit_in(hooks_find_namespace(kit, wish->nsp), wish, wish->room);
    if (chat) emit_in(chat, wish, wish->plain_room);
    if (is_for_plain(wish)) kit_ws_emit(kit, wish->plain_room, wish->event, eio_str(wish->data ? wish->data : ""));
}

int hooks_emit(struct kit *kit, const json_t *payload, struct kit_failure *failure)
{
    struct wish wish = {.data = NULL};
    int code = read_wish(kit, &wish, payload, failure);
    if (!code) fulfil(kit, &wish);
    free(wish.data);
    return code;
}

/* ------------------------------------------------------------------ request */

static void take_emit(struct kit_request *request, struct eio_str body)
{
    struct emit *emit = KIT_REQUEST(emit, request);
    const struct kit_config *config = request->kit->config;
    struct kit_failure *failure = &request->op.failure;
    bool has_token = eio_http_head_field(eio_http_request_head(request->http), "authorization").n > 0;
    int code = body.n > config->event_max_bytes
                   ? kit_fail(failure, 413, NULL, "the body must be at most %u bytes", config->event_max_bytes)
                   : 0;
    if (!code)
        code = has_token
                   ? check_token(request)
                   : hooks_check_signature(hooks_config(config)->emit_secret, eio_http_request_head(request->http),
                                           body, request->now_ms, emit->id, failure);
    if (!code) code = kit_json_check(body, config->io.max_depth - 1, failure);
    json_t *payload = code ? NULL : json_loadb(body.p, body.n, 0, NULL);
    if (!code) code = read_wish(request->kit, &emit->wish, payload, failure);
    json_decref(payload);
    if (code || has_token)
        kit_request_finish(request);
    else
        kit_request_submit(request);
}

/* A signed request is taken once, whichever node gets it. */
static int run_emit(struct kit_db *db, struct kit_request *request)
{
    const struct emit *emit = KIT_REQUEST(emit, request);
    struct kit_failure *failure = &request->op.failure;
    if (kit_db_run(db, "DELETE FROM webhook_ids WHERE at_ms < ?", "i", request->now_ms - 2 * HOOKS_WINDOW_S * 1000))
        return kit_db_fail(db, failure);
    int64_t count = kit_db_change(db, "INSERT INTO webhook_ids(id, at_ms) VALUES (?,?) ON CONFLICT(id) DO NOTHING",
                                  "ti", emit->id, request->now_ms);
    if (count < 0) return kit_db_fail(db, failure);
    return count ? 0 : kit_fail(failure, 409, NULL, "this webhook-id was taken before");
}

static void reply_emit(struct kit_request *request)
{
    fulfil(request->kit, &KIT_REQUEST(emit, request)->wish);
}

static void clear_emit(struct kit_request *request)
{
    free(KIT_REQUEST(emit, request)->wish.data);
}

int hooks_emit_start(struct kit *kit)
{
    static const struct kit_event events[] = {
        {.size = sizeof(struct emit),
         .way = KIT_WRITE,
         .lock = "webhooks",
         .is_open = true,
         .take = take_emit,
         .run = run_emit,
         .reply = reply_emit,
         .clear = clear_emit,
         .method = EIO_HTTP_POST,
         .path = "/api/v1/emit"},
    };
    return kit_open_paths(kit, events, 1, NULL);
}
