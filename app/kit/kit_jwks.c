#include "kit_jwks.h"

#include "kit_metrics.h"

#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 64
#define SET_BYTES_MAX 262144

struct kit_jwks {
    struct kit *kit;
    struct kit_fetch *fetch; /* NULL: not under way */
    struct eio_timer timer;
    bool was_fetched; /* or tried */
    uint64_t tried_ms, fetches, failures;
    struct kit_jwt_key *keys;
    size_t key_count;
};

#define KIT_NUMBERS struct kit_jwks
static const struct kit_metric rows[] = {
    KIT_COUNTER_ROW("jwks_fetches_total", fetches, "Times the key set was fetched."),
    KIT_COUNTER_ROW("jwks_failures_total", failures, "Times the key set could not be fetched or read."),
    KIT_GAUGE_ROW("jwks_keys", key_count, "Keys of the key set that are used."),
};

static void read_numbers(void *ctx, void *numbers)
{
    const struct kit_jwks *jwks = ctx;
    if (jwks) *(struct kit_jwks *)numbers = *jwks;
}

static const struct kit_metric_set metrics = KIT_METRIC_SET(rows, read_numbers);

/* -------------------------------------------------------------------- keys */

static const struct kit_jwt_key *find_key(void *ctx, const char *kid)
{
    const struct kit_jwks *jwks = ctx;
    for (size_t i = 0; i < jwks->key_count; i++)
        if (!strcmp(jwks->keys[i].kid, kid)) return &jwks->keys[i];
    return NULL;
}

/* Replaces the keys by those of the set. Returns NULL or why not: then the former ones stay. */
static const char *read_set(struct kit_jwks *jwks, struct eio_str body)
{
    json_t *set = json_loadb(body.p, body.n, 0, NULL);
    const json_t *list = json_object_get(set, "keys");
    size_t size = json_array_size(list), count = 0;
    struct kit_jwt_key *keys = json_is_array(list) && size <= KEYS_MAX ? calloc(size + 1, sizeof *keys) : NULL;
    const char *why = !json_is_array(list) ? "it has no list of keys" : !keys ? "it has too many keys" : NULL;
    for (size_t i = 0; keys && i < size; i++)
        if (!kit_jwt_read_jwk(&keys[count], json_array_get(list, i))) count++;
    json_decref(set);
    if (!why && size && !count) why = "none of its keys is an Ed25519 key for signatures with a kid";
    if (why) {
        free(keys);
        return why;
    }
    free(jwks->keys);
    jwks->keys = keys;
    jwks->key_count = count;
    jwks->kit->jwt.keys_changed++;
    return NULL;
}

/* ------------------------------------------------------------------- fetch */

static void on_done(void *ctx, const struct kit_fetch_result *result)
{
    struct kit_jwks *jwks = ctx;
    const struct kit_config *config = jwks->kit->config;
    char status[32];
    const char *why = result->error;
    jwks->fetch = NULL;
    snprintf(status, sizeof status, "status %d", result->status);
    if (!why && result->status != 200) why = status;
    if (!why) why = read_set(jwks, result->body);
    eio_timer_start(&jwks->timer, (uint64_t)(why ? config->jwks_interval_s : config->jwks_max_age_s) * 1000);
    if (!why) return;
    jwks->failures++;
    kit_log(EIO_LOG_WARN, "cannot fetch the key set; the former keys stay", "url", config->jwks_url, "why", why, NULL);
}

static void fetch_set(struct kit_jwks *jwks)
{
    struct kit *kit = jwks->kit;
    struct kit_fetch_options options = {.url = kit->config->jwks_url,
                                        .max_bytes = SET_BYTES_MAX,
                                        .timeout_ms = kit->config->jwks_timeout_ms,
                                        .on_done = on_done,
                                        .ctx = jwks};
    if (jwks->fetch) return;
    jwks->was_fetched = true;
    jwks->tried_ms = eio_loop_now_ms(kit->loop);
    jwks->fetches++;
    jwks->fetch = kit_fetch_start(kit->fetcher, &options);
    if (!jwks->fetch) eio_timer_start(&jwks->timer, (uint64_t)kit->config->jwks_interval_s * 1000);
}

static void on_timer(void *ctx)
{
    fetch_set(ctx);
}

bool kit_jwks_is_awaited(struct kit *kit, struct eio_str token)
{
    struct kit_jwks *jwks = kit->jwks;
    char kid[KIT_JWT_KID_SIZE];
    if (!jwks) return false;
    kit_jwt_read_kid(token, kid);
    if (!kid[0] || kit_jwt_find_key(&kit->jwt, kid)) return false;
    uint64_t age_ms = eio_loop_now_ms(kit->loop) - jwks->tried_ms;
    if (!jwks->was_fetched || age_ms >= (uint64_t)kit->config->jwks_interval_s * 1000) fetch_set(jwks);
    return jwks->fetch != NULL;
}

int kit_jwks_start(struct kit *kit)
{
    struct kit_jwks *jwks = NULL;
    if (kit->config->jwks_url[0]) {
        jwks = kit->jwks = calloc(1, sizeof *jwks);
        if (!jwks) return EIO_ENOMEM;
        jwks->kit = kit;
        eio_timer_init(&jwks->timer, kit->loop, on_timer, jwks);
        eio_timer_start(&jwks->timer, 1);
        kit->jwt.find_key = find_key;
        kit->jwt.find_ctx = jwks;
    }
    return kit_metrics_add(kit, &metrics, jwks);
}

void kit_jwks_stop(struct kit *kit)
{
    struct kit_jwks *jwks = kit->jwks;
    if (!jwks) return;
    eio_timer_stop(&jwks->timer);
    if (jwks->fetch) kit_fetch_cancel(jwks->fetch);
    kit->jwt.find_key = NULL;
    free(jwks->keys);
    free(jwks);
    kit->jwks = NULL;
}
