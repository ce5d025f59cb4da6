/* Who a socket is: the handshake's token, agent:connect's token, rights, expiry. */
#include "kit_auth.h"
#include "kit_listen.h"

#include "kit_answer.h"
#include "kit_jwks.h"
#include "kit_tokens.h"
#include "kit_quota.h"

#include <stdlib.h>
#include <string.h>

/* What belongs to a socket of ours, from its admission to its disconnect. */
struct user {
    struct kit *kit;
    const struct kit_namespace *nsp;
    struct sio_socket *socket;
    struct kit_claims *claims; /* NULL until it has said who it is */
    struct kit_user_socket member;
    struct kit_spender spender;
    struct eio_timer timer; /* auth_timeout_ms without claims, their expiry with them */
};

/* ----------------------------------------------------------------- claims */

static const struct {
    const char *name;
    enum kit_role role;
} role_names[] = {{"agent", KIT_ROLE_AGENT}, {"supervisor", KIT_ROLE_SUPERVISOR},
                  {"feed", KIT_ROLE_FEED},   {"admin", KIT_ROLE_ADMIN},
                  {"user", KIT_ROLE_USER},   {"service", KIT_ROLE_SERVICE}};

const char *kit_role_text(enum kit_role role)
{
    for (size_t i = 0; i < sizeof role_names / sizeof role_names[0]; i++)
        if (role_names[i].role == role) return role_names[i].name;
    return "none";
}

enum kit_role kit_role_of(const char *name)
{
    for (size_t i = 0; name && i < sizeof role_names / sizeof role_names[0]; i++)
        if (!strcmp(role_names[i].name, name)) return role_names[i].role;
    return 0;
}

struct kit_claims *kit_claims_ref(struct kit_claims *claims)
{
    if (claims) claims->refs++;
    return claims;
}

void kit_claims_unref(struct kit_claims *claims)
{
    if (!claims || --claims->refs) return;
    json_decref(claims->calls);
    json_decref(claims->chats);
    free(claims);
}

/* Not json_array_foreach: other threads read here, and this touches no reference count. */
static bool names_id(const json_t *list, const char *id)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        size_t n = one ? strlen(one) : 0;
        if (!n) continue;
        if (one[n - 1] == '*' ? !strncmp(one, id, n - 1) : !strcmp(one, id)) return true;
    }
    return false;
}

bool kit_claims_allow(const struct kit_claims *claims, const char *call_id)
{
    return claims->all_calls || names_id(claims->calls, call_id);
}

bool kit_claims_allow_chat(const struct kit_claims *claims, const char *chat_id)
{
    if (!(claims->role & (KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN))) return false;
    return claims->all_chats || names_id(claims->chats, chat_id);
}

/* A list of ids of a token; *all: it is "*". */
static json_t *copy_ids(const json_t *ids, bool *all)
{
    *all = json_is_string(ids) && !strcmp(json_string_value(ids), "*");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *one = json_string_value(json_array_get(ids, i));
        if (one && !strcmp(one, "*")) *all = true;
    }
    return json_is_array(ids) ? json_deep_copy(ids) : NULL;
}

struct kit_claims *kit_claims_new(const json_t *token)
{
    const json_t *user = json_object_get(token, "sub"), *tenant = json_object_get(token, "tenant");
    const char *sub = json_string_value(user), *of = json_string_value(tenant);
    enum kit_role role = kit_role_of(json_string_value(json_object_get(token, "role")));
    int64_t exp_s;
    if (!sub || !role || !kit_is_user(sub, json_string_length(user))) return NULL;
    if (tenant && (!of || !kit_is_user(of, json_string_length(tenant)))) return NULL;
    if (!kit_json_int64(json_object_get(token, "exp"), -KIT_JWT_TIME_MAX, KIT_JWT_TIME_MAX, &exp_s)) return NULL;
    struct kit_claims *claims = calloc(1, sizeof *claims);
    if (!claims) return NULL;
    claims->refs = 1;
    claims->role = role;
    claims->exp_s = exp_s;
    kit_json_int64(json_object_get(token, "iat"), -KIT_JWT_TIME_MAX, KIT_JWT_TIME_MAX, &claims->iat_s);
    snprintf(claims->sub, sizeof claims->sub, "%s", sub);
    snprintf(claims->tenant, sizeof claims->tenant, "%s", of ? of : "");
    claims->calls = copy_ids(json_object_get(token, "calls"), &claims->all_calls);
    claims->chats = copy_ids(json_object_get(token, "chats"), &claims->all_chats);
    return claims;
}

static int64_t unix_s(const struct kit *kit)
{
    return (int64_t)(eio_loop_unix_ms(kit->loop) / 1000);
}

/* The claims of a token that was checked before, while its time lasts; else NULL with its digest. */
static struct kit_claims *find_known(struct kit *kit, struct eio_str token, uint8_t digest[KIT_TOKEN_DIGEST])
{
    int64_t now_s = unix_s(kit);
    if (token.n > KIT_JWT_TOKEN_MAX) return NULL;
    struct kit_claims *claims = kit_tokens_find(kit->tokens, token, kit->jwt.keys_changed, now_s, digest);
    if (!claims || now_s < claims->exp_s + kit->jwt.leeway_s) return claims;
    kit_claims_unref(claims);
    return NULL;
}

static struct kit_claims *verify(struct kit *kit, struct eio_str token, struct kit_failure *failure)
{
    const char *why;
    json_t *json = kit_jwt_verify(&kit->jwt, token, unix_s(kit), &why);
    if (!json) {
        if (kit_jwks_is_awaited(kit, token))
            kit_fail(failure, 503, NULL, "the token's key is being fetched; try again");
        else
            kit_fail(failure, 401, NULL, "%s", why);
        return NULL;
    }
    struct kit_claims *claims = kit_claims_new(json);
    json_decref(json);
    if (!claims) kit_fail(failure, 403, NULL, "the token's sub, role or tenant is missing or invalid");
    return claims;
}

struct kit_claims *kit_auth_check(struct kit *kit, struct eio_str token, struct kit_failure *failure)
{
    uint8_t digest[KIT_TOKEN_DIGEST];
    struct kit_claims *claims = find_known(kit, token, digest);
    if (!claims && (claims = verify(kit, token, failure)))
        kit_tokens_keep(kit->tokens, digest, kit->jwt.keys_changed, unix_s(kit), claims);
    if (!claims || !kit->token_fn || !kit->token_fn(kit->token_ctx, claims, failure)) return claims;
    kit_claims_unref(claims);
    return NULL;
}

/* "*", or an array of what commas separate. */
static json_t *read_ids(const char *ids)
{
    json_t *list = !strcmp(ids, "*") ? json_string("*") : json_array();
    while (json_is_array(list) && *ids) {
        size_t n = strcspn(ids, ",");
        if (n) json_array_append_new(list, json_stringn(ids, n));
        ids += n + (ids[n] == ',');
    }
    return list;
}

char *kit_auth_make_token(const struct kit_jwt *jwt, const char *sub, const char *role, const char *calls,
                          const char *chats, int64_t now_s, int64_t ttl_s)
{
    char *token = NULL;
    if (!kit_role_of(role) || !kit_is_user(sub, strlen(sub))) return NULL;
    json_t *claims = json_pack("{s:s, s:s, s:o, s:I, s:I}", "sub", sub, "role", role, "calls", read_ids(calls), "iat",
                               (json_int_t)now_s, "exp", (json_int_t)(now_s + ttl_s));
    if (claims && *chats) json_object_set_new(claims, "chats", read_ids(chats));
    if (claims && jwt->issuer) json_object_set_new(claims, "iss", json_string(jwt->issuer));
    if (claims && jwt->audience) json_object_set_new(claims, "aud", json_string(jwt->audience));
    if (claims) token = kit_jwt_sign(jwt, claims);
    json_decref(claims);
    return token;
}

void kit_on_token(struct kit *kit, kit_token_fn fn, void *ctx)
{
    kit->token_fn = fn;
    kit->token_ctx = ctx;
}

/* ---------------------------------------------------------------- sockets */

static int check_role(const struct kit_namespace *nsp, const struct kit_claims *claims, struct kit_failure *failure)
{
    if (nsp->roles & claims->role) return 0;
    return kit_fail(failure, 403, NULL, "role %s may not use this namespace", kit_role_text(claims->role));
}

struct kit_claims *kit_auth_claims(const struct sio_socket *socket)
{
    struct user *user = sio_socket_user(socket);
    return user ? user->claims : NULL;
}

struct kit_user *kit_auth_user(const struct sio_socket *socket)
{
    struct user *user = sio_socket_user(socket);
    return user ? user->member.user : NULL;
}

void kit_auth_wait(const struct sio_socket *socket, bool begins)
{
    struct user *user = sio_socket_user(socket);
    if (user) kit_user_wait(&user->member, begins);
}

/* Tells why and disconnects, from this namespace or altogether. */
static void send_off(struct user *user, int code, const char *message, bool altogether)
{
    struct sio_socket *socket = user->socket;
    sio_emit_pack(sio_local(sio_only(socket)), "error", "{s:i, s:s, s:n}", "code", code, "message", message, "event");
    sio_socket_disconnect(socket, altogether);
}

struct disconnection {
    const struct kit_dismissal *who;
    size_t count;
};

static void disconnect_one(struct sio_socket *socket, void *ctx)
{
    struct disconnection *disconnection = ctx;
    struct user *user = sio_socket_user(socket);
    if (!user || !user->claims || !kit_is_dismissed(disconnection->who, user->claims)) return;
    disconnection->count++;
    send_off(user, 401, disconnection->who->message, false);
}

size_t kit_auth_dismiss(struct kit *kit, const struct kit_dismissal *who)
{
    struct disconnection disconnection = {who, 0};
    for (size_t i = 0; i < kit->namespace_count; i++)
        sio_target_each_local(sio_local(sio_all(kit->namespaces[i].nsp)), disconnect_one, &disconnection);
    return disconnection.count;
}

int64_t kit_claims_left_ms(const struct kit *kit, const struct kit_claims *claims)
{
    return (claims->exp_s + kit->jwt.leeway_s) * 1000 - (int64_t)eio_loop_unix_ms(kit->loop);
}

static void start_expiry(struct user *user)
{
    int64_t left = kit_claims_left_ms(user->kit, user->claims);
    eio_timer_start(&user->timer, left <= 0 ? 0 : left < KIT_EXPIRY_CHECK_MS ? (uint64_t)left : KIT_EXPIRY_CHECK_MS);
}

static void on_timer(void *ctx)
{
    struct user *user = ctx;
    if (!user->claims) {
        user->kit->counters.auth_timeouts++;
        send_off(user, 401, "agent:connect did not succeed in time", true);
    } else if (kit_claims_left_ms(user->kit, user->claims) <= 0) {
        user->kit->counters.auth_expired++;
        send_off(user, 401, "the token has expired", false);
    } else {
        start_expiry(user);
    }
}

/* Who it is, for other processes that ask who is in a room, and for a later connection that claims to be the same. */
static void show_user(const struct user *user)
{
    if ((kit_has_peers(user->kit) || user->kit->config->io.recovery.enabled) && user->claims)
        json_object_set_new(sio_socket_data(user->socket), "user", json_string(user->claims->sub));
}

static bool is_same_user(const struct kit_claims *a, const struct kit_claims *b)
{
    return !strcmp(a->sub, b->sub) && !strcmp(a->tenant, b->tenant);
}

/* The room of a user's sockets. Without it the user is not reached by name, and all else works. */
static void join_user_room(struct sio_socket *socket, const struct kit_claims *claims)
{
    char room[KIT_USER_SIZE + sizeof KIT_USER_ROOM];
    snprintf(room, sizeof room, KIT_USER_ROOM "%s", claims->sub);
    sio_join(socket, eio_str(room));
}

int kit_auth_set(struct sio_socket *socket, struct kit_claims *take_claims, struct kit_failure *failure)
{
    struct user *user = sio_socket_user(socket);
    int code = check_role(user->nsp, take_claims, failure);
    if (!code && user->claims && !is_same_user(user->claims, take_claims))
        code = kit_fail(failure, 403, NULL, "a socket cannot change its user");
    if (!code && kit_user_join(user->kit, &user->member, take_claims))
        code = kit_fail(failure, 503, NULL, "out of memory");
    if (code) {
        kit_claims_unref(take_claims);
        return code;
    }
    kit_claims_unref(user->claims);
    user->claims = take_claims;
    kit_spender_set_user(&user->spender, take_claims);
    start_expiry(user);
    show_user(user);
    join_user_room(socket, user->claims);
    if (user->nsp->on_claims) user->nsp->on_claims(socket, user->nsp->on_claims_ctx);
    return 0;
}

static void refuse_admission(struct kit *kit, struct sio_admission *admission, const struct kit_claims *claims,
                             const struct kit_failure *failure)
{
    kit_note_answered(kit, &(struct kit_answered){.name = "connect", .claims = claims, .code = failure->code});
    uint32_t retry_after_ms = kit_retry_after_ms(failure);
    char data[64];
    kit_count_failure(kit, failure->code);
    if (retry_after_ms)
        snprintf(data, sizeof data, "{\"code\":%d,\"retry_after_ms\":%u}", failure->code, retry_after_ms);
    else
        snprintf(data, sizeof data, "{\"code\":%d}", failure->code);
    sio_refuse(admission, failure->message, data);
}

/* The handshake's token as text to be freed with json_decref(*auth); {NULL,0} if absent. */
static struct eio_str handshake_token(const struct sio_socket *socket, json_t **auth)
{
    struct eio_str raw = sio_socket_auth(socket);
    *auth = json_loadb(raw.p, raw.n, 0, NULL);
    const json_t *token = json_object_get(*auth, "token");
    struct eio_str text = {json_string_value(token), json_string_length(token)};
    /* A value of another type is a wrong token, not a missing one. */
    if (token && !json_is_null(token) && !text.p) text.p = "";
    return text;
}

static bool is_own_session(struct sio_socket *socket, const struct kit_claims *claims)
{
    if (!sio_socket_recovered(socket)) return true;
    const char *user = json_string_value(json_object_get(sio_socket_data(socket), "user"));
    return user && claims && !strcmp(user, claims->sub);
}

/* Takes the claims, which may be NULL. NULL: out of memory, and they are not taken. */
static struct user *make_user(const struct kit_namespace *nsp, struct sio_socket *socket, struct kit_claims *claims)
{
    struct user *user = calloc(1, sizeof *user);
    if (!user) return NULL;
    *user = (struct user){.kit = nsp->kit, .nsp = nsp, .socket = socket, .claims = claims};
    user->member.socket = socket;
    eio_timer_init(&user->timer, nsp->kit->loop, on_timer, user);
    if (kit_user_join(nsp->kit, &user->member, claims)) {
        free(user);
        return NULL;
    }
    kit_spender_init(&user->spender, nsp->kit, eio_session_head(sio_socket_session(socket))->address);
    if (claims) kit_spender_set_user(&user->spender, claims);
    return user;
}

static void free_user(struct user *user)
{
    eio_timer_stop(&user->timer);
    kit_claims_unref(user->claims);
    kit_spender_clear(&user->spender);
    kit_user_leave(&user->member);
    free(user);
}

static void on_admission(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    const struct kit_namespace *nsp = ctx;
    struct kit *kit = nsp->kit;
    struct kit_failure failure = {0, "", ""};
    struct kit_claims *claims = NULL;
    json_t *auth = NULL;
    const struct eio_http_head *head = eio_session_head(sio_socket_session(socket));
    bool is_large = sio_socket_auth(socket).n > kit->config->auth_max_bytes;
    bool is_inside = head->door == KIT_DOOR_OPERATOR;
    struct eio_str token = is_large ? (struct eio_str){NULL, 0} : handshake_token(socket, &auth);
    if (is_inside)
        kit_fail(&failure, 403, NULL, "this namespace is not at the operators' address");
    else if (is_large)
        kit_fail(&failure, 413, NULL, "the handshake's auth must be at most %u bytes", kit->config->auth_max_bytes);
    else if (token.p)
        claims = kit_auth_check(kit, token, &failure);
    else if (nsp->admits_guests)
        claims = kit_claims_ref(kit_guest_claims(kit, head));
    if (!failure.code && !claims && !token.p && !nsp->sign_in) kit_fail(&failure, 401, NULL, "token required");
    json_decref(auth);
    if (claims) check_role(nsp, claims, &failure);
    if (!failure.code && !is_own_session(socket, claims))
        kit_fail(&failure, 403, NULL,
                 "this session belongs to another user"); /* and is lost: the next attempt is a new one */
    struct user *user = failure.code ? NULL : make_user(nsp, socket, claims);
    if (user && kit_spend_connect(&user->spender, &failure)) {
        kit_claims_ref(claims);
        free_user(user);
        user = NULL;
    }
    if (!user) {
        if (!failure.code) kit_fail(&failure, 503, NULL, "out of memory");
        refuse_admission(kit, admission, claims, &failure);
        kit_claims_unref(claims);
        return;
    }
    sio_socket_set_user(socket, user);
    show_user(user);
    sio_next(admission);
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    struct user *user = sio_socket_user(socket);
    (void)ctx;
    if (!user) return;
    if (user->claims) {
        start_expiry(user);
        join_user_room(socket, user->claims);
    }
    if (!user->claims) eio_timer_start(&user->timer, user->kit->config->auth_timeout_ms);
}

static void on_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    struct user *user = sio_socket_user(socket);
    (void)reason;
    (void)ctx;
    if (!user) return;
    sio_socket_set_user(socket, NULL);
    free_user(user);
}

/* False: the event is refused; who goes on all the same is disconnected. */
static bool spend_event(struct user *user, const struct sio_event *event)
{
    struct kit_failure failure;
    if (!kit_spend_event(&user->spender, event->args.json.n, &failure)) return true;
    if (kit_spender_is_abusive(&user->spender)) {
        send_off(user, 429, "too many requests were refused", true);
        return false;
    }
    struct kit_answer answer = kit_answer_later(user->kit, event);
    kit_note_refused(user->kit, event, failure.code);
    kit_answer_failure(&answer, &failure);
    return false;
}

/* Before it has said who it is, a socket may only say that. */
static bool on_packet(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    const struct kit_namespace *nsp = ctx;
    const struct kit_config *config = nsp->kit->config;
    struct user *user = sio_socket_user(socket);
    bool is_known = user && user->claims;
    char why[64];
    if (!user || !spend_event(user, event)) return false;
    kit_user_note_speaker(&user->member);
    if (!is_known && (!nsp->sign_in || !eio_str_is(event->name, nsp->sign_in))) {
        kit_answer_refuse(nsp->kit, event, 401, NULL, "send agent:connect first");
        return false;
    }
    /* No tree is built of what is larger. */
    uint32_t limit = is_known ? config->event_max_bytes : config->auth_max_bytes;
    bool fits = event->args.json.n <= limit;
    if (is_known && !sio_handles(nsp->nsp, event->name)) {
        bool is_taken = fits && nsp->on_unknown && nsp->on_unknown(socket, event, nsp->on_unknown_ctx);
        if (!is_taken) kit_answer_refuse(nsp->kit, event, 404, NULL, "unknown event");
        return false;
    }
    if (fits) return true;
    snprintf(why, sizeof why, "the event must be at most %u bytes", limit);
    kit_answer_refuse(nsp->kit, event, 413, NULL, why);
    return false;
}

int kit_auth_guard(struct kit_namespace *own)
{
    int error = sio_use(own->nsp, on_admission, own);
    if (!error) error = sio_on_dismissed(own->nsp, on_disconnect, own);
    if (!error) error = sio_use_packet(own->nsp, on_packet, own);
    if (!error) error = sio_on_connection(own->nsp, on_connection, own);
    return error ? error : sio_on_disconnect(own->nsp, on_disconnect, own);
}
