/* Plain WebSockets (kit_ws.h): an engine of its own beside that of Socket.IO, on the same HTTP server. */
#include "kit_ws.h"

#include "kit_answer.h"
#include "kit_audience.h"
#include "kit_http.h"
#include "kit_json.h"
#include "kit_quota.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#define ENDPOINTS_MAX 16
#define ADAPTER_NAME "/#plain"

struct kit_ws {
    struct kit_plain *plain;
    const struct kit_ws_endpoint *endpoint;
    struct eio_session *session;
    struct kit_claims *claims;
    struct kit_user_socket member; /* of its user */
    struct rooms_member rooms;
    struct kit_spender spender;
    struct eio_timer expiry;
    char parameter[KIT_USER_SIZE];
    void *data;
    struct kit_ws *prev, *next;
};

struct kit_plain {
    struct kit *kit;
    struct eio_server *engine;
    const struct kit_ws_endpoint *endpoints[ENDPOINTS_MAX];
    size_t endpoint_count;
    struct kit_ws *list;
    struct kit_audience audience;
};

/* ------------------------------------------------------------------ access */

struct kit *kit_ws_kit(const struct kit_ws *ws)
{
    return ws->plain->kit;
}

const struct kit_ws_endpoint *kit_ws_endpoint(const struct kit_ws *ws)
{
    return ws->endpoint;
}

void *kit_ws_state(const struct kit_ws *ws)
{
    return ws->endpoint->state;
}

struct kit_claims *kit_ws_claims(const struct kit_ws *ws)
{
    return ws->claims;
}

const char *kit_ws_id(const struct kit_ws *ws)
{
    return eio_session_id(ws->session);
}

const char *kit_ws_parameter(const struct kit_ws *ws)
{
    return ws->parameter;
}

const struct eio_http_head *kit_ws_head(const struct kit_ws *ws)
{
    return eio_session_head(ws->session);
}

void kit_ws_set_data(struct kit_ws *ws, void *data)
{
    ws->data = data;
}

void *kit_ws_data(const struct kit_ws *ws)
{
    return ws->data;
}

/* ----------------------------------------------------------------- sending */

void kit_ws_send(struct kit_ws *ws, const char *text, size_t size)
{
    uint8_t *place = eio_session_reserve(ws->session, EIO_TEXT, size);
    if (place) memcpy(place, text, size);
}

bool kit_ws_can_take(const struct kit_ws *ws)
{
    return eio_session_queued_bytes(ws->session) < ws->plain->kit->config->io.engine.high_water_bytes;
}

void kit_ws_close(struct kit_ws *ws)
{
    eio_session_close(ws->session, EIO_CLOSE_FORCED, NULL);
}

void kit_ws_wait(struct kit_ws *ws, bool begins)
{
    kit_user_wait(&ws->member, begins);
}

/* Says why, and ends it as a breach of the rules (1008). */
static void dismiss(struct kit_ws *ws, const struct kit_failure *failure, const char *detail)
{
    kit_count_failure(ws->plain->kit, failure->code);
    ws->endpoint->ops->on_failure(ws, failure);
    eio_session_close(ws->session, EIO_CLOSE_POLICY, detail);
}

/* ------------------------------------------------------------------- rooms */

int kit_ws_join(struct kit_ws *ws, const char *room)
{
    return rooms_join(ws->plain->audience.index, &ws->rooms, (struct rooms_name){room, strlen(room)});
}

void kit_ws_leave(struct kit_ws *ws, const char *room)
{
    rooms_leave(ws->plain->audience.index, &ws->rooms, (struct rooms_name){room, strlen(room)});
}

void kit_ws_emit(struct kit *kit, const char *room, const char *event, struct eio_str data)
{
    struct kit_plain *plain = kit->plain;
    struct sio_builder json;
    if (!plain) return;
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put(&json, "[");
    kit_put_text(&json, event);
    if (data.n) sio_builder_put(&json, ",");
    if (data.n) kit_put_json(&json, data);
    sio_builder_put(&json, "]");
    if (json.error)
        kit_log(EIO_LOG_ERROR, "out of memory: an event does not reach plain WebSockets", "room", room, NULL);
    else
        kit_audience_send(&plain->audience, room, &json);
    sio_builder_clear(&json);
}

struct delivery {
    char event[6 * 128 + 3]; /* 128 bytes, of which each may be written as an escape, in quotes */
    struct eio_str data;
};

static void deliver_to(void *ctx, struct rooms_member *member)
{
    const struct delivery *delivery = ctx;
    struct kit_ws *ws = (struct kit_ws *)(void *)((char *)member - offsetof(struct kit_ws, rooms));
    if (ws->endpoint->ops->on_event && eio_session_is_open(ws->session))
        ws->endpoint->ops->on_event(ws, delivery->event, delivery->data);
}

static void on_deliver(void *ctx, const struct rooms_selector *who, const struct rooms_message *message)
{
    struct kit_plain *plain = ctx;
    struct delivery delivery = {"", {NULL, 0}};
    struct kit_json_walk walk;
    struct eio_str name;
    if (!kit_json_open(&walk, (struct eio_str){(const char *)message->json.p, message->json.n})) return;
    if (!kit_json_each(&walk, NULL, &name) || name.n < 2 || name.p[0] != '"' || name.n > sizeof delivery.event) return;
    delivery.event[kit_json_decode(name, delivery.event)] = 0;
    kit_json_each(&walk, NULL, &delivery.data);
    rooms_each(plain->audience.index, who, deliver_to, &delivery);
}

/* ----------------------------------------------------------------- opening */

static size_t parameter_count(const char *pattern)
{
    size_t count = 0;
    for (; *pattern; pattern++) count += *pattern == '{' || *pattern == '<';
    return count;
}

/* Returns NULL if no endpoint has that path. */
static const struct kit_ws_endpoint *find_endpoint(const struct kit_plain *plain, const struct eio_http_head *head,
                                                   char value[KIT_USER_SIZE])
{
    const struct kit_ws_endpoint *best = NULL;
    for (size_t i = 0; i < plain->endpoint_count; i++) {
        const struct kit_ws_endpoint *one = plain->endpoints[i];
        struct kit_parameters parameters;
        if (!kit_path_match(one->path, eio_http_head_path(head), &parameters)) continue;
        if (best && parameter_count(best->path) <= parameter_count(one->path)) continue;
        best = one;
        snprintf(value, KIT_USER_SIZE, "%s", parameters.count ? parameters.list[0].value : "");
    }
    return best;
}

static void allow_request(struct eio_admission *admission, const struct eio_http_head *head, void *ctx)
{
    char value[KIT_USER_SIZE];
    if (find_endpoint(ctx, head, value))
        eio_admit(admission);
    else
        eio_deny(admission, "no such path");
}

static int read_token(const struct eio_http_head *head, char *token, size_t size)
{
    static const char scheme[] = "Bearer ";
    struct eio_str field = eio_http_head_field(head, "authorization");
    int n = kit_http_query(head, "token", token, size);
    if (n != EIO_EINVAL || field.n <= sizeof scheme - 1 || strncasecmp(field.p, scheme, sizeof scheme - 1)) return n;
    return snprintf(token, size, "%.*s", (int)(field.n - (sizeof scheme - 1)), field.p + sizeof scheme - 1);
}

/* A reference; NULL with failure. */
static struct kit_claims *find_claims(struct kit *kit, const struct kit_ws_endpoint *endpoint,
                                      const struct eio_http_head *head, struct kit_failure *failure)
{
    char token[KIT_JWT_TOKEN_MAX + 1];
    int n = read_token(head, token, sizeof token);
    struct kit_claims *claims = NULL;
    if (n == EIO_EINVAL && endpoint->admits_guests) claims = kit_claims_ref(kit_guest_claims(kit, head));
    if (n >= 0 && (size_t)n < sizeof token) claims = kit_auth_check(kit, (struct eio_str){token, (size_t)n}, failure);
    if (!claims && !failure->code)
        kit_fail(failure, 401, NULL, "%s",
                 n == EIO_EINVAL   ? "token required"
                 : n == EIO_EPROTO ? "malformed token"
                                   : "the token is too long");
    if (!claims || claims->role & endpoint->roles) return claims;
    kit_fail(failure, 403, NULL, "role %s may not use this path", kit_role_text(claims->role));
    kit_claims_unref(claims);
    return NULL;
}

static void start_expiry(struct kit_ws *ws)
{
    int64_t left = kit_claims_left_ms(ws->plain->kit, ws->claims);
    eio_timer_start(&ws->expiry, left <= 0 ? 0 : left < KIT_EXPIRY_CHECK_MS ? (uint64_t)left : KIT_EXPIRY_CHECK_MS);
}

static void on_expiry(void *ctx)
{
    struct kit_ws *ws = ctx;
    struct kit *kit = ws->plain->kit;
    struct kit_failure failure;
    if (kit_claims_left_ms(kit, ws->claims) > 0) {
        start_expiry(ws);
        return;
    }
    kit->counters.auth_expired++;
    kit_fail(&failure, 401, NULL, "the token has expired");
    dismiss(ws, &failure, "token expired");
}

static void free_ws(struct kit_ws *ws)
{
    eio_timer_stop(&ws->expiry);
    kit_user_leave(&ws->member);
    rooms_remove(ws->plain->audience.index, &ws->rooms);
    kit_spender_clear(&ws->spender);
    kit_claims_unref(ws->claims);
    free(ws);
}

/* Takes the claims. NULL with failure. */
static struct kit_ws *make_ws(struct kit_plain *plain, struct eio_session *session, struct kit_claims *claims,
                              struct kit_failure *failure)
{
    struct kit_ws *ws = calloc(1, sizeof *ws);
    char room[KIT_USER_SIZE + sizeof KIT_USER_ROOM];
    if (!ws) {
        kit_claims_unref(claims);
        kit_fail(failure, 503, NULL, "out of memory");
        return NULL;
    }
    *ws = (struct kit_ws){.plain = plain, .session = session, .claims = claims, .member.plain = session};
    eio_timer_init(&ws->expiry, plain->kit->loop, on_expiry, ws);
    kit_spender_init(&ws->spender, plain->kit, eio_session_head(session)->address);
    kit_spender_set_user(&ws->spender, claims);
    snprintf(room, sizeof room, KIT_USER_ROOM "%s", claims->sub);
    if (kit_spend_connect(&ws->spender, failure) == 0 &&
        (kit_user_join(plain->kit, &ws->member, claims) ||
         rooms_add(plain->audience.index, &ws->rooms, eio_session_id(session), strlen(eio_session_id(session))) ||
         kit_ws_join(ws, room)))
        kit_fail(failure, 503, NULL, "out of memory");
    if (!failure->code) return ws;
    free_ws(ws);
    return NULL;
}

/* With 1008, or 1013 where it may try again. */
static void refuse_session(struct kit *kit, struct eio_session *session, const struct kit_failure *failure)
{
    bool is_later = failure->code == 429 || failure->code == 503;
    kit_count_failure(kit, failure->code);
    eio_session_close(session, is_later ? EIO_CLOSE_QUEUE_FULL : EIO_CLOSE_POLICY, "not admitted");
}

static void on_open(struct eio_session *session, void *ctx)
{
    struct kit_plain *plain = ctx;
    struct kit *kit = plain->kit;
    struct kit_failure failure = {0, "", ""};
    char value[KIT_USER_SIZE];
    const struct eio_http_head *head = eio_session_head(session);
    const struct kit_ws_endpoint *endpoint = find_endpoint(plain, head, value);
    struct kit_claims *claims = endpoint ? find_claims(kit, endpoint, head, &failure) : NULL;
    struct kit_ws *ws = claims ? make_ws(plain, session, claims, &failure) : NULL;
    if (!ws) {
        if (endpoint) refuse_session(kit, session, &failure);
        return;
    }
    ws->endpoint = endpoint;
    memcpy(ws->parameter, value, sizeof ws->parameter);
    DL_APPEND(plain->list, ws);
    eio_session_set_data(session, ws);
    start_expiry(ws);
    endpoint->ops->on_open(ws);
}

/* ---------------------------------------------------------------- messages */

static int check_message(struct kit_ws *ws, enum eio_kind kind, size_t size, struct kit_failure *failure)
{
    const struct kit *kit = ws->plain->kit;
    if (kit->draining) return kit_fail(failure, 503, NULL, "the server is stopping");
    if (kit_spend_event(&ws->spender, size, failure)) return failure->code;
    if (kind != EIO_TEXT) return kit_fail(failure, 400, NULL, "messages must be text");
    if (size <= kit->config->event_max_bytes) return 0;
    return kit_fail(failure, 413, NULL, "the message must be at most %u bytes", kit->config->event_max_bytes);
}

static void on_message(struct eio_session *session, const struct eio_message *message, void *ctx)
{
    struct kit_ws *ws = eio_session_data(session);
    struct kit_failure failure = {0, "", ""};
    (void)ctx;
    if (!ws || !eio_session_is_open(session)) return;
    kit_user_note_speaker(&ws->member);
    if (!check_message(ws, message->kind, message->size, &failure)) {
        ws->endpoint->ops->on_message(ws, (struct eio_str){(const char *)message->bytes, message->size});
    } else if (failure.code == 429 && kit_spender_is_abusive(&ws->spender)) {
        kit_fail(&failure, 429, NULL, "too many requests were refused");
        dismiss(ws, &failure, "too many requests were refused");
    } else {
        kit_count_failure(ws->plain->kit, failure.code);
        ws->endpoint->ops->on_failure(ws, &failure);
    }
}

static void on_close(struct eio_session *session, enum eio_close_reason reason, const char *detail, void *ctx)
{
    struct kit_ws *ws = eio_session_data(session);
    (void)reason, (void)detail, (void)ctx;
    if (!ws) return;
    DL_DELETE(ws->plain->list, ws);
    ws->endpoint->ops->on_close(ws);
    free_ws(ws);
}

size_t kit_ws_dismiss(struct kit *kit, const struct kit_dismissal *who)
{
    size_t count = 0;
    struct kit_failure failure;
    kit_fail(&failure, 401, NULL, "%s", who->message);
    for (struct kit_ws *ws = kit->plain ? kit->plain->list : NULL; ws; ws = ws->next) {
        if (!kit_is_dismissed(who, ws->claims) || !eio_session_is_open(ws->session)) continue;
        dismiss(ws, &failure, "disconnected");
        count++;
    }
    return count;
}

/* -------------------------------------------------------------------- life */

static int start_plain(struct kit *kit)
{
    static const struct eio_handlers handlers = {.on_open = on_open, .on_message = on_message, .on_close = on_close};
    const struct eio_hooks hooks = {.allow_request = allow_request};
    struct kit_plain *plain = kit->plain = calloc(1, sizeof *plain);
    struct eio_options options = kit->config->io.engine;
    if (!plain) return EIO_ENOMEM;
    plain->kit = kit;
    options.cookie.name = NULL;
    options.initial_packet = NULL;
    options.owner_key = options.machine = options.machine_key = NULL;
    plain->engine = eio_server_new(kit->loop, &options, &handlers, plain);
    if (!plain->engine) return EIO_ENOMEM;
    eio_server_set_hooks(plain->engine, &hooks, plain);
    return kit_audience_start(&plain->audience, kit, ADAPTER_NAME, on_deliver, plain);
}

/* "/ws/{id}" is served below "/ws/". */
static int attach_path(struct kit *kit, const char *path)
{
    char prefix[128];
    size_t n = strcspn(path, "{<");
    snprintf(prefix, sizeof prefix, "%.*s%s", (int)n, path, path[n] ? "*" : "");
    int error = eio_server_attach_websocket(kit->plain->engine, sio_server_http(kit->io), prefix);
    return error == EIO_EEXIST ? 0 : error;
}

int kit_ws_open(struct kit *kit, const struct kit_ws_endpoint *endpoints, size_t count)
{
    int error = kit->plain ? 0 : start_plain(kit);
    for (size_t i = 0; i < count && !error; i++) {
        if (kit->plain->endpoint_count == ENDPOINTS_MAX) return EIO_ETOOBIG;
        kit->plain->endpoints[kit->plain->endpoint_count++] = &endpoints[i];
        error = attach_path(kit, endpoints[i].path);
    }
    return error;
}

void kit_ws_stop_opening(struct kit *kit)
{
    eio_server_stop_opening(sio_server_engine(kit->io));
    if (kit->plain) eio_server_stop_opening(kit->plain->engine);
}

void kit_ws_drain(struct kit *kit)
{
    if (kit->plain) eio_server_close_all(kit->plain->engine, EIO_CLOSE_SHUTTING_DOWN);
}

void kit_ws_stop(struct kit *kit)
{
    struct kit_plain *plain = kit->plain;
    if (!plain) return;
    eio_server_free(plain->engine);
    kit_audience_stop(&plain->audience);
    kit_audience_clear(&plain->audience);
    free(plain);
    kit->plain = NULL;
}

/* ----------------------------------------------------------------- figures */

size_t kit_ws_count(const struct kit *kit)
{
    return kit->plain ? eio_server_session_count(kit->plain->engine) : 0;
}

size_t kit_session_count(const struct kit *kit)
{
    return eio_server_session_count(sio_server_engine(kit->io)) + kit_ws_count(kit);
}

void kit_each_session(const struct kit *kit, void (*fn)(struct eio_session *session, void *ctx), void *ctx)
{
    eio_server_each(sio_server_engine(kit->io), fn, ctx);
    if (kit->plain) eio_server_each(kit->plain->engine, fn, ctx);
}

void kit_engine_stats(const struct kit *kit, struct eio_server_stats *stats)
{
    union {
        struct eio_server_stats stats;
        uint64_t numbers[sizeof(struct eio_server_stats) / sizeof(uint64_t)];
    } sum, more;
    _Static_assert(sizeof(size_t) == sizeof(uint64_t), "all its fields are of one size");
    eio_server_get_stats(sio_server_engine(kit->io), &sum.stats);
    if (kit->plain) {
        eio_server_get_stats(kit->plain->engine, &more.stats);
        for (size_t i = 0; i < sizeof sum.numbers / sizeof sum.numbers[0]; i++) sum.numbers[i] += more.numbers[i];
    }
    *stats = sum.stats;
}
