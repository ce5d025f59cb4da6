/* Peers: sockets of the namespace, and what others bring (chat.h). */
#include "chat_room.h"
#include "kit_ws.h"

#include <stdlib.h>
#include <string.h>

#define SESSIONS_PATH "/api/v1/chat/sessions"

/* Something that a peer asked and that is not answered yet. */
struct chat_ask {
    struct chat_peer *peer; /* NULL: it is gone */
    chat_reply_fn fn;
    void *ctx;
    struct chat_ask *prev, *next;
};

void *chat_peer_ctx(const struct chat_peer *peer)
{
    return peer->ctx;
}

const char *chat_peer_chat(const struct chat_peer *peer)
{
    return peer->chat_id;
}

static void drop_peer(struct chat_peer *peer)
{
    while (peer->listeners) chat_listener_end(peer->listeners, NULL);
    while (peer->asks) {
        struct chat_ask *ask = peer->asks;
        DL_DELETE(peer->asks, ask);
        ask->peer = NULL;
    }
    kit_claims_unref(peer->claims);
    kit_user_unref(peer->user);
    free(peer);
}

struct chat_peer *chat_peer_new(struct chat *chat, const struct chat_peer_options *options)
{
    struct chat_peer *peer = calloc(1, sizeof *peer);
    if (!peer) return NULL;
    peer->chat = chat;
    peer->ops = options->ops;
    peer->ctx = options->ctx;
    peer->makes_chats = options->makes_chats;
    snprintf(peer->connection_id, sizeof peer->connection_id, "%s", options->connection_id);
    peer->user = kit_user_ref(chat->kit, options->claims, options->address);
    if (!peer->user) {
        free(peer);
        return NULL;
    }
    peer->claims = kit_claims_ref(options->claims);
    return peer;
}

void chat_peer_free(struct chat_peer *peer)
{
    if (peer) drop_peer(peer);
}

/* ------------------------------------------------------------------ asking */

static void end_ask(struct kit_request *request, const struct kit_failure *failure, struct eio_str json)
{
    struct chat_ask *ask = request->origin;
    if (ask->peer) DL_DELETE(ask->peer->asks, ask);
    if (ask->peer && ask->fn) ask->fn(ask->ctx, failure, json);
    free(ask);
}

static void succeed_ask(struct kit_request *request)
{
    end_ask(request, &request->op.failure, (struct eio_str){request->json.json, request->json.size});
}

static void fail_ask(struct kit_request *request)
{
    kit_count_failure(request->kit, request->op.failure.code);
    end_ask(request, &request->op.failure, (struct eio_str){NULL, 0});
}

static const struct kit_reply_ops ask_ops = {succeed_ask, fail_ask};

static const struct kit_event *find_event(const struct chat *chat, const char *name)
{
    for (size_t i = 0; i < chat->row_count; i++)
        for (size_t k = 0; k < chat->rows[i].count; k++)
            if (chat->rows[i].list[k].name && !strcmp(chat->rows[i].list[k].name, name)) return &chat->rows[i].list[k];
    return NULL;
}

static int check_ask(struct chat_peer *peer, const struct kit_event *event, const json_t *payload,
                     struct kit_failure *failure)
{
    struct kit *kit = peer->chat->kit;
    struct kit_schema_error error = {"", "this event has no schema"};
    if (!event) return kit_fail(failure, 404, NULL, "unknown event");
    if (kit->draining) return kit_fail(failure, 503, NULL, "the server is stopping");
    size_t size = json_dumpb(payload, NULL, 0, JSON_COMPACT);
    if (size > kit->config->event_max_bytes)
        return kit_fail(failure, 413, NULL, "the event must be at most %u bytes", kit->config->event_max_bytes);
    if (kit_request_check_role(event, peer->claims, failure)) return failure->code;
    const json_t *schema = kit_schema_find(kit->schemas, event->name);
    if (schema && kit_schema_check(schema, payload, &error)) return 0;
    return kit_fail(failure, 400, error.pointer, "%s", error.message);
}

static struct chat_ask *make_ask(struct chat_peer *peer, chat_reply_fn fn, void *ctx)
{
    struct chat_ask *ask = calloc(1, sizeof *ask);
    if (!ask) return NULL;
    *ask = (struct chat_ask){.peer = peer, .fn = fn, .ctx = ctx};
    DL_APPEND(peer->asks, ask);
    return ask;
}

void chat_peer_ask(struct chat_peer *peer, const char *name, const json_t *payload, chat_reply_fn fn, void *ctx)
{
    struct chat *chat = peer->chat;
    struct kit_failure failure = {0, "", ""};
    struct kit_route route = {chat->kit, find_event(chat, name), chat};
    struct chat_ask *ask = check_ask(peer, route.event, payload, &failure) ? NULL : make_ask(peer, fn, ctx);
    struct kit_caller caller = {&ask_ops, peer->claims, peer->user, ask};
    struct kit_request *request = ask ? kit_request_new(&route, &caller) : NULL;
    if (request) {
        kit_request_begin(request, payload);
        return;
    }
    if (ask) DL_DELETE(peer->asks, ask);
    free(ask);
    if (!failure.code) kit_fail(&failure, 503, NULL, "out of memory");
    kit_count_failure(chat->kit, failure.code);
    if (fn) fn(ctx, &failure, (struct eio_str){NULL, 0});
}

struct chat_peer *chat_peer_of(const struct kit_request *request)
{
    const struct chat *chat = request->state;
    const struct chat_ask *ask = request->origin;
    struct chat_peer *peer;
    if (ask) return ask->peer;
    HASH_FIND_STR(chat->sockets, request->answer.sid, peer);
    return peer;
}

int chat_read_about(struct kit_request *request, const json_t *payload)
{
    const struct chat_peer *peer = chat_peer_of(request);
    kit_copy_text(request->about, sizeof request->about, payload, "chat_id");
    if (!request->about[0] && peer) snprintf(request->about, sizeof request->about, "%s", peer->chat_id);
    if (request->about[0]) return 0;
    return kit_fail(&request->op.failure, 400, "/chat_id", "required before session.init");
}

/* What other designs call a chat, the widget's calls a session. */
static int open_alias(struct chat *chat, const struct kit_event *event)
{
    const char *path = event->path;
    size_t n = sizeof CHATS_PATH - 1;
    if (!path || strncmp(path, CHATS_PATH, n)) return 0;
    if (chat->alias_count == CHAT_ALIASES_MAX) return EIO_ETOOBIG;
    struct kit_event *alias = &chat->aliases[chat->alias_count].event;
    *alias = *event;
    snprintf(chat->aliases[chat->alias_count].path, sizeof chat->aliases[0].path, SESSIONS_PATH "%s", path + n);
    alias->path = chat->aliases[chat->alias_count++].path;
    return kit_open_paths(chat->kit, alias, 1, chat);
}

int chat_open_paths(struct chat *chat, const struct kit_event *events, size_t count)
{
    int error = kit_open_paths(chat->kit, events, count, chat);
    for (size_t i = 0; i < count && !error; i++) error = open_alias(chat, &events[i]);
    return error;
}

int chat_open_events(struct chat *chat, const struct kit_event *events, size_t count)
{
    if (chat->row_count == CHAT_ROWS_MAX) return EIO_ETOOBIG;
    chat->rows[chat->row_count].list = events;
    chat->rows[chat->row_count++].count = count;
    int error = kit_open_events(chat->kit, chat->nsp, events, count, chat);
    return error ? error : chat_open_paths(chat, events, count);
}

/* ----------------------------------------------------------------- sockets */

static struct sio_socket *socket_of(const struct chat_peer *peer)
{
    return sio_socket_find(peer->chat->nsp, peer->sid, strlen(peer->sid));
}

static void send_entry(struct chat_peer *peer, const struct chat_entry *entry)
{
    struct sio_socket *socket = socket_of(peer);
    if (socket) sio_emit(sio_local(sio_only(socket)), entry->event, (struct sio_args){entry->payload, NULL, 0});
}

static void send_end(struct chat_peer *peer, const char *chat_id, const struct kit_failure *why)
{
    struct sio_socket *socket = socket_of(peer);
    if (socket)
        sio_emit_pack(sio_local(sio_only(socket)), "error", "{s:i, s:s, s:s, s:s}", "code", why->code, "message",
                      why->message, "event", "session.init", "chat_id", chat_id);
}

static bool can_take(struct chat_peer *peer)
{
    const struct sio_socket *socket = socket_of(peer);
    const struct eio_session *session = socket ? sio_socket_session(socket) : NULL;
    return !session || eio_session_queued_bytes(session) < peer->chat->kit->config->io.engine.high_water_bytes;
}

static const struct chat_peer_ops socket_ops = {send_entry, send_end, can_take};

static int join(struct sio_socket *socket, const char *prefix, const char *name)
{
    char room[CHAT_ROOM_SIZE];
    snprintf(room, sizeof room, "%s%s", prefix, name);
    return sio_join(socket, eio_str(room));
}

static void leave(struct sio_socket *socket, const char *prefix, const char *name)
{
    char room[CHAT_ROOM_SIZE];
    snprintf(room, sizeof room, "%s%s", prefix, name);
    if (*name) sio_leave(socket, eio_str(room));
}

int chat_peer_join(struct chat_peer *peer, const struct chat_row *row)
{
    struct sio_socket *socket = peer->sid[0] ? socket_of(peer) : NULL;
    struct chat_listener *listener = chat_listener_find(peer, row->chat_id);
    if (!socket || !listener) return 0;
    if (strcmp(listener->session_id, row->session_id)) leave(socket, KIT_SESSION_ROOM, listener->session_id);
    memcpy(listener->session_id, row->session_id, sizeof listener->session_id);
    int error = join(socket, CHAT_ROOM, row->chat_id);
    if (!error && listener->session_id[0]) error = join(socket, KIT_SESSION_ROOM, listener->session_id);
    if (error) chat_listener_end(listener, NULL);
    return error;
}

void chat_peer_left(struct chat_peer *peer, const struct chat_listener *listener)
{
    const char *chat_id = chat_listener_chat(listener);
    struct sio_socket *socket = peer->sid[0] ? socket_of(peer) : NULL;
    if (socket) leave(socket, CHAT_ROOM, chat_id);
    if (socket) leave(socket, KIT_SESSION_ROOM, listener->session_id);
    if (!strcmp(peer->chat_id, chat_id)) peer->chat_id[0] = 0;
    if (listener->is_owner && !chat_room_owner_count(peer->chat, chat_id)) chat_sweep_left(peer->chat, chat_id);
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    struct chat *chat = ctx;
    struct chat_peer *peer = calloc(1, sizeof *peer);
    if (!peer || !kit_auth_claims(socket)) {
        free(peer);
        sio_socket_disconnect(socket, false);
        return;
    }
    peer->chat = chat;
    peer->ops = &socket_ops;
    peer->claims = kit_claims_ref(kit_auth_claims(socket));
    peer->user = kit_user_share(kit_auth_user(socket));
    snprintf(peer->sid, sizeof peer->sid, "%s", sio_socket_id(socket));
    snprintf(peer->connection_id, sizeof peer->connection_id, "%s", sio_socket_id(socket));
    HASH_ADD_STR(chat->sockets, sid, peer);
}

static struct chat_peer *find_peer(const struct chat *chat, const struct sio_socket *socket)
{
    const char *sid = sio_socket_id(socket);
    struct chat_peer *peer;
    HASH_FIND_STR(chat->sockets, sid, peer);
    return peer;
}

static void on_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    struct chat *chat = ctx;
    struct chat_peer *peer = find_peer(chat, socket);
    (void)reason;
    if (!peer) return;
    HASH_DEL(chat->sockets, peer);
    drop_peer(peer);
}

/* What a chat sent meanwhile is in its log, and session.init gives it; so a client that comes back is a new one. */
static bool refuse_recovery(struct sio_socket *socket, void *ctx)
{
    (void)socket, (void)ctx;
    return false;
}

/* A right to watch may have ended; a socket's own chats stay its own. */
static void on_claims(struct sio_socket *socket, void *ctx)
{
    static const struct kit_failure no_longer = {.code = 404, .message = "chat not found"};
    struct chat_peer *peer = find_peer(ctx, socket);
    struct chat_listener *listener = peer ? peer->listeners : NULL, *next;
    if (!peer) return;
    kit_claims_unref(peer->claims);
    peer->claims = kit_claims_ref(kit_auth_claims(socket));
    for (; listener; listener = next) {
        next = listener->next_own;
        if (!listener->is_owner && !kit_claims_allow_chat(peer->claims, chat_listener_chat(listener)))
            chat_listener_end(listener, &no_longer);
    }
}

int chat_peers_start(struct chat *chat)
{
    int error = sio_on_connection(chat->nsp, on_connection, chat);
    if (!error) error = sio_on_disconnect(chat->nsp, on_disconnect, chat);
    if (!error) error = sio_on_recover(chat->nsp, refuse_recovery, chat);
    return error ? error : kit_on_claims(chat->kit, chat->nsp, on_claims, chat);
}
