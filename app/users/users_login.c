/* POST /api/v1/login: a name and a password for a token; POST /api/v1/token/refresh: a token for a newer one. */
#include "kit_http.h"
#include "users_int.h"

#include <stdlib.h>
#include <string.h>

struct login {
    struct kit_request request;
    char name[KIT_USER_SIZE], address[46];
    struct users_row row;
    int64_t not_before_s;
    unsigned attempts; /* that were taken, as enum attempt counts them */
    struct users_hashing hashing;
    char *token;
};

static struct users *users_of(const struct login *login)
{
    return login->request.state;
}

/* ---------------------------------------------------------------- attempts */

#define KNOWN_MS (30 * UINT64_C(86400000)) /* for so long an address is remembered from which a user has logged in */

/* What is counted: of the user from this address, of the address, of the user from all addresses. */
enum attempt { OF_PAIR, OF_ADDRESS, OF_USER, ATTEMPTS };

static struct kit_rate rate_of(const struct users *users, enum attempt attempt)
{
    const struct users_config *config = users->config;
    const struct kit_rate rates[ATTEMPTS] = {
        {config->login_interval_ms * UINT64_C(1000000), config->login_burst},
        {config->login_address_interval_ms * UINT64_C(1000000), config->login_address_burst},
        {config->login_user_interval_ms * UINT64_C(1000000), config->login_user_burst},
    };
    return rates[attempt];
}

/* The name is hashed, since it may be as long as a key. */
static void name_pair(const struct login *login, char out[KIT_USER_SIZE])
{
    uint8_t digest[16];
    crypto_generichash(digest, sizeof digest, (const uint8_t *)login->name, strlen(login->name), NULL, 0);
    sodium_bin2hex(out, 2 * sizeof digest + 1, digest, sizeof digest);
    snprintf(out + 2 * sizeof digest, KIT_USER_SIZE - 2 * sizeof digest, " %s", login->address);
}

static struct kit_bucket *bucket_of(const struct login *login, enum attempt attempt)
{
    char pair[KIT_USER_SIZE];
    name_pair(login, pair);
    return kit_buckets_find(users_of(login)->attempts, "pau"[attempt],
                            attempt == OF_PAIR      ? pair
                            : attempt == OF_ADDRESS ? login->address
                                                    : login->name);
}

/* The user has logged in from there: somebody who guesses elsewhere does not keep the user out. */
static bool is_known(const struct login *login)
{
    char pair[KIT_USER_SIZE];
    name_pair(login, pair);
    const struct kit_bucket *bucket = kit_buckets_get(users_of(login)->attempts, 'k', pair);
    return bucket && !kit_bucket_is_full(bucket, eio_loop_now_ms(users_of(login)->kit->loop));
}

static void remember(const struct login *login)
{
    const struct kit_rate once = {KNOWN_MS * 1000000, 1};
    char pair[KIT_USER_SIZE];
    name_pair(login, pair);
    struct kit_bucket *bucket = kit_buckets_find(users_of(login)->attempts, 'k', pair);
    if (bucket) *bucket = (struct kit_bucket){0};
    if (bucket) kit_bucket_take(bucket, &once, 1, eio_loop_now_ms(users_of(login)->kit->loop));
}

static void return_attempts(const struct login *login, enum attempt end)
{
    for (enum attempt attempt = 0; attempt < end; attempt++) {
        struct kit_rate rate = rate_of(users_of(login), attempt);
        struct kit_bucket *bucket = bucket_of(login, attempt);
        if (bucket) kit_bucket_return(bucket, &rate, 1);
    }
}

/* Takes one of each. Returns 0 or how long to wait. */
static uint64_t take_attempt(struct login *login)
{
    uint64_t now_ms = eio_loop_now_ms(users_of(login)->kit->loop);
    login->attempts = is_known(login) ? OF_USER : ATTEMPTS;
    for (enum attempt attempt = 0; attempt < login->attempts; attempt++) {
        struct kit_rate rate = rate_of(users_of(login), attempt);
        struct kit_bucket *bucket = bucket_of(login, attempt);
        uint64_t wait_ms = bucket ? kit_bucket_take(bucket, &rate, 1, now_ms) : 0;
        if (!wait_ms) continue;
        return_attempts(login, attempt);
        return wait_ms;
    }
    return 0;
}

/* ------------------------------------------------------------------- login */

static int make_token(struct login *login)
{
    const struct users *users = users_of(login);
    int64_t now_s = login->request.now_ms / 1000, iat_s = now_s > login->not_before_s ? now_s : login->not_before_s;
    login->token = kit_auth_make_token(&users->kit->jwt, login->row.name, login->row.role, login->row.calls,
                                       login->row.chats, iat_s, users->config->token_ttl_s);
    return login->token ? 0 : kit_fail(&login->request.op.failure, 503, NULL, "cannot make a token");
}

static int read_login(struct kit_request *request, const json_t *payload)
{
    struct login *login = KIT_REQUEST(login, request);
    const json_t *password = json_object_get(payload, "password");
    kit_copy_text(login->name, sizeof login->name, payload, "username");
    kit_copy_text(login->hashing.password, sizeof login->hashing.password, payload, "password");
    if (request->http)
        snprintf(login->address, sizeof login->address, "%s", eio_http_request_head(request->http)->address);
    if (strlen(login->hashing.password) == json_string_length(password)) return 0;
    return kit_fail(&request->op.failure, 400, "/password", "must not contain U+0000");
}

static void start_login(struct kit_request *request)
{
    struct login *login = KIT_REQUEST(login, request);
    struct kit_failure *failure = &request->op.failure;
    uint64_t wait_ms = take_attempt(login);
    if (!wait_ms && kit_jwt_can_sign(&request->kit->jwt)) {
        kit_request_submit(request);
        return;
    }
    if (wait_ms) {
        users_of(login)->login_limited++;
        kit_fail(failure, 429, NULL, "too many attempts to log in");
        failure->retry_after_ms = (uint32_t)wait_ms;
    } else {
        kit_fail(failure, 501, NULL, "this server has no key to sign tokens with");
    }
    kit_request_finish(request);
}

static int run_login(struct kit_db *db, struct kit_request *request)
{
    struct login *login = KIT_REQUEST(login, request);
    users_row_clear(&login->row);
    int code = users_find(db, login->name, &login->row, &request->op.failure);
    if (!code) return users_read_cutoff(db, "", login->name, &login->not_before_s, &request->op.failure);
    if (code != 404) return code;
    request->op.failure.code = 0; /* answered like a wrong password, and as late */
    return 0;
}

static void on_checked(struct users_hashing *hashing)
{
    struct login *login = KIT_OWNER(hashing, struct login, hashing);
    struct users *users = users_of(login);
    if (hashing->is_right) {
        return_attempts(login, login->attempts); /* one that succeeded does not count */
        remember(login);
        users->logins++;
        make_token(login);
    } else {
        users->login_failures++;
        kit_fail(&login->request.op.failure, 401, NULL, "wrong username or password");
    }
    kit_request_finish(&login->request);
}

static void step_login(struct kit_request *request)
{
    struct login *login = KIT_REQUEST(login, request);
    if (!request->op.failure.code) {
        memcpy(login->hashing.hash, login->row.hash, sizeof login->hashing.hash);
        login->hashing.done = on_checked;
        if (!users_check_password(users_of(login), &login->hashing, kit_user_source(request->user, true))) return;
        kit_fail(&request->op.failure, 503, NULL, "too many logins are queued; try again");
    }
    kit_request_finish(request);
}

static void reply_token(struct kit_request *request)
{
    const struct login *login = KIT_REQUEST(login, request);
    sio_builder_put(&request->json, ",\"access_token\":");
    kit_put_text(&request->json, login->token);
    sio_builder_put(&request->json, ",\"token_type\":\"bearer\",\"expires_in\":");
    kit_put_int(&request->json, users_of(login)->config->token_ttl_s);
    sio_builder_put(&request->json, ",\"username\":");
    kit_put_text(&request->json, login->row.name);
    sio_builder_put(&request->json, ",\"role\":");
    kit_put_text(&request->json, login->row.role);
}

static void clear_login(struct kit_request *request)
{
    struct login *login = KIT_REQUEST(login, request);
    users_row_clear(&login->row);
    sodium_memzero(login->hashing.password, sizeof login->hashing.password);
    free(login->token);
}

/* ----------------------------------------------------------------- refresh */

/* With the rights that the user has now. */
static int run_refresh(struct kit_db *db, struct kit_request *request)
{
    struct login *login = KIT_REQUEST(login, request);
    users_row_clear(&login->row);
    int code =
        request->claims->tenant[0] ? 404 : users_find(db, request->claims->sub, &login->row, &request->op.failure);
    if (code == 404) return kit_fail(&request->op.failure, 403, NULL, "not a user of this server");
    return code ? code : users_read_cutoff(db, "", request->claims->sub, &login->not_before_s, &request->op.failure);
}

static void step_refresh(struct kit_request *request)
{
    struct login *login = KIT_REQUEST(login, request);
    if (!request->op.failure.code && !kit_jwt_can_sign(&request->kit->jwt))
        kit_fail(&request->op.failure, 501, NULL, "this server has no key to sign tokens with");
    if (!request->op.failure.code) make_token(login);
    kit_request_finish(request);
}

int users_login_start(struct users *users)
{
#define LOGIN(at)                                                                                                  \
    {                                                                                                              \
        .name = "login", .size = sizeof(struct login), .way = KIT_READ, .read = read_login, .start = start_login,  \
        .run = run_login, .step = step_login, .reply = reply_token, .clear = clear_login, .method = EIO_HTTP_POST, \
        .path = at, .is_open = true                                                                                \
    }
    static const struct kit_event events[] = {
        LOGIN("/api/v1/login"),
        LOGIN("/login"),
        {.size = sizeof(struct login),
         .way = KIT_READ,
         .roles = KIT_ROLES_ALL,
         .run = run_refresh,
         .step = step_refresh,
         .reply = reply_token,
         .clear = clear_login,
         .method = EIO_HTTP_POST,
         .path = "/api/v1/token/refresh"},
    };
    return kit_open_paths(users->kit, events, sizeof events / sizeof events[0], users);
}
