/* POST /api/v1/emit {room | user | session, event, data}: an event to sockets of every node, for services with a token
 * of the role `service`, and for those that sign by Standard Webhooks (webhook-id, webhook-timestamp,
 * webhook-signature). A signed request is taken once: its id is stored for as long as its time would be taken. */
#include "hooks.h"

#include "kit_http.h"
#include "kit_options.h"
#include "kit_request.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_S 300
#define SECRET_PREFIX "whsec_"
#define SIGNED_BYTES_MAX 1048576

struct hooks_config {
    const char *emit_secret;
};

#define KIT_VALUES struct hooks_config
static const char *check_secret(const char *value);
static const struct kit_option option_rows[] = {
    KIT_SECRET_ROW("emit_secret", emit_secret, check_secret, "Hooks",
                   "secret of services that sign POST /api/v1/emit by Standard Webhooks: `whsec_` and base64; empty: a "
                   "token of the role service is required"),
};
static const struct kit_option_set options = KIT_OPTION_SET(option_rows);

static const char *const migrations[] = {
    /* 1 */
    "CREATE TABLE webhook_ids (id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX webhook_ids_by_time ON webhook_ids(at_ms);",
    NULL,
};

struct emit {
    struct kit_request request;
    char id[257]; /* of a signed request; "": by a token */
    char room[KIT_USER_SIZE + 16], event[129], nsp[129];
    char *data; /* JSON */
};

/* --------------------------------------------------------------- signatures */

/* The bytes of a secret; 0: it is malformed. */
static size_t read_secret(const char *secret, unsigned char key[256])
{
    size_t n = 0, prefix = strlen(SECRET_PREFIX);
    if (strncmp(secret, SECRET_PREFIX, prefix)) return 0;
    secret += prefix;
    return sodium_base642bin(key, 256, secret, strlen(secret), NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) ? 0 : n;
}

static const char *check_secret(const char *value)
{
    unsigned char key[256];
    return !*value || read_secret(value, key) >= 16 ? NULL : "`whsec_` and the base64 of at least 16 bytes";
}

static bool copy_field(const struct eio_http_head *head, const char *name, char *out, size_t size)
{
    struct eio_str value = eio_http_head_field(head, name);
    if (!value.n || value.n >= size) return false;
    memcpy(out, value.p, value.n);
    out[value.n] = 0;
    return true;
}

/* True if one of the signatures, which are separated by blanks, fits; compared in constant time. */
static bool fits(const char *signatures, const unsigned char own[crypto_auth_hmacsha256_BYTES])
{
    char text[64] = "v1,";
    bool found = false;
    sodium_bin2base64(text + 3, sizeof text - 3, own, crypto_auth_hmacsha256_BYTES, sodium_base64_VARIANT_ORIGINAL);
    while (*signatures) {
        size_t n = strcspn(signatures, " ");
        found |= n == strlen(text) && !sodium_memcmp(signatures, text, n);
        signatures += n + strspn(signatures + n, " ");
    }
    return found;
}

static int check_signature(struct kit_request *request, struct eio_str body, char id[257])
{
    const struct hooks_config *config = kit_config_values(request->kit->config, &options);
    const struct eio_http_head *head = eio_http_request_head(request->http);
    struct kit_failure *failure = &request->op.failure;
    unsigned char key[256], own[crypto_auth_hmacsha256_BYTES];
    char at[24], signatures[1024], *end;
    crypto_auth_hmacsha256_state state;
    size_t size = read_secret(config->emit_secret, key);
    if (!size) return kit_fail(failure, 401, NULL, "a token of the role service is required");
    if (!copy_field(head, "webhook-id", id, 257) || !copy_field(head, "webhook-timestamp", at, sizeof at) ||
        !copy_field(head, "webhook-signature", signatures, sizeof signatures))
        return kit_fail(failure, 401, NULL, "a token or the fields of Standard Webhooks are required");
    crypto_auth_hmacsha256_init(&state, key, size);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)id, strlen(id));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)at, strlen(at));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)body.p, body.n);
    crypto_auth_hmacsha256_final(&state, own);
    if (!fits(signatures, own)) return kit_fail(failure, 401, NULL, "the signature does not fit");
    long long at_s = strtoll(at, &end, 10);
    if (*end || llabs(request->now_ms / 1000 - at_s) > WINDOW_S)
        return kit_fail(failure, 401, NULL, "webhook-timestamp is more than five minutes away");
    return 0;
}

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

static struct sio_namespace *find_namespace(const struct kit *kit, const char *name)
{
    for (size_t i = 0; i < kit->namespace_count; i++)
        if (!strcmp(sio_namespace_name(kit->namespaces[i].nsp), name)) return kit->namespaces[i].nsp;
    return NULL;
}

/* Exactly one of the three. */
static int read_target(struct emit *emit, const json_t *payload)
{
    static const char *const names[] = {"room", "user", "session"};
    size_t count = 0;
    for (size_t i = 0; i < 3; i++) {
        const char *name = json_string_value(json_object_get(payload, names[i]));
        if (!name) continue;
        count++;
        snprintf(emit->room, sizeof emit->room, "%s%s", i == 1 ? KIT_USER_ROOM : "", name);
    }
    return count == 1 ? 0 : kit_fail(&emit->request.op.failure, 400, "/room", "give one of room, user and session");
}

static int read_emit(struct emit *emit, const json_t *payload)
{
    struct kit_request *request = &emit->request;
    struct kit_failure *failure = &request->op.failure;
    struct kit_schema_error wrong = {"", ""};
    if (!kit_schema_check(kit_schema_find(request->kit->schemas, "emit"), payload, &wrong))
        return kit_fail(failure, 400, wrong.pointer, "%s", wrong.message);
    kit_copy_text(emit->event, sizeof emit->event, payload, "event");
    kit_copy_text(emit->nsp, sizeof emit->nsp, payload, "namespace");
    if (!emit->nsp[0]) strcpy(emit->nsp, "/");
    if (is_reserved(emit->event)) return kit_fail(failure, 400, "/event", "is reserved");
    if (!find_namespace(request->kit, emit->nsp)) return kit_fail(failure, 404, "/namespace", "no such namespace");
    const json_t *data = json_object_get(payload, "data");
    emit->data = data ? json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (data && !emit->data) return kit_fail(failure, 503, NULL, "out of memory");
    return read_target(emit, payload);
}

static void take_emit(struct kit_request *request, struct eio_str body)
{
    struct emit *emit = KIT_REQUEST(emit, request);
    const struct kit_config *config = request->kit->config;
    struct kit_failure *failure = &request->op.failure;
    bool has_token = eio_http_head_field(eio_http_request_head(request->http), "authorization").n > 0;
    int code = body.n > config->event_max_bytes
                   ? kit_fail(failure, 413, NULL, "the body must be at most %u bytes", config->event_max_bytes)
                   : 0;
    if (!code) code = has_token ? check_token(request) : check_signature(request, body, emit->id);
    if (!code) code = kit_json_check(body, config->io.max_depth - 1, failure);
    json_t *payload = code ? NULL : json_loadb(body.p, body.n, 0, NULL);
    if (!code) code = read_emit(emit, payload);
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
    if (kit_db_run(db, "DELETE FROM webhook_ids WHERE at_ms < ?", "i", request->now_ms - 2 * WINDOW_S * 1000))
        return kit_db_fail(db, failure);
    int64_t count = kit_db_change(db, "INSERT INTO webhook_ids(id, at_ms) VALUES (?,?) ON CONFLICT(id) DO NOTHING",
                                  "ti", emit->id, request->now_ms);
    if (count < 0) return kit_db_fail(db, failure);
    return count ? 0 : kit_fail(failure, 409, NULL, "this webhook-id was taken before");
}

static void reply_emit(struct kit_request *request)
{
    const struct emit *emit = KIT_REQUEST(emit, request);
    struct sio_namespace *nsp = find_namespace(request->kit, emit->nsp);
    struct sio_builder args;
    sio_builder_init(&args);
    sio_builder_open(&args);
    if (emit->data) sio_builder_put(&args, emit->data);
    sio_emit(sio_to(sio_all(nsp), emit->room), emit->event, emit->data ? sio_builder_args(&args) : sio_args_none());
    sio_builder_clear(&args);
}

static void clear_emit(struct kit_request *request)
{
    free(KIT_REQUEST(emit, request)->data);
}

/* ------------------------------------------------------------------- module */

static int start(struct kit *kit, void **state, char *error, size_t error_size)
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
    (void)state, (void)error, (void)error_size;
    return kit_open_paths(kit, events, 1, NULL);
}

const struct kit_module hooks_module = {.name = "hooks", .options = &options, .migrations = migrations, .start = start};
