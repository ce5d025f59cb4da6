#include "kit_quota.h"

#include "kit_metrics.h"

#include <stdlib.h>

#define REFUSAL_INTERVAL_NS UINT64_C(10000000000) /* refused_events_max of them within ten seconds */

_Static_assert(KIT_QUOTA_COUNT == KIT_CONFIG_QUOTAS, "as many values as kinds");

struct kit_quotas {
    struct kit *kit;
    struct kit_rate rates[KIT_QUOTA_COUNT];
    uint64_t hits[KIT_QUOTA_COUNT];
};

/* ----------------------------------------------------------------- metrics */

#define KIT_NUMBERS struct kit_quotas

static void put_name(unsigned i, char *out, size_t size)
{
    static const char *const names[KIT_QUOTA_COUNT] = {
        "socket_events_per_second", "socket_bytes_per_second", "feed_events_per_second",    "feed_bytes_per_second",
        "user_events_per_second",   "user_bytes_per_second",   "address_events_per_second", "address_bytes_per_second",
        "user_connects_per_second", "refused_events_max"};
    snprintf(out, size, "%s", names[i]);
}

static const struct kit_metric rows[] = {
    KIT_LABELLED_ROW("limit_hits_total", KIT_COUNTER, hits, "Times a limit was hit, by option.", KIT_QUOTA_COUNT,
                     "limit", put_name),
};
static const struct kit_metric_set metrics = KIT_METRIC_SET(rows, NULL);

/* ---------------------------------------------------------------- spenders */

void kit_spender_init(struct kit_spender *spender, struct kit *kit, const char *address)
{
    *spender = (struct kit_spender){.quotas = kit->quotas};
    if (address[0]) spender->address = kit_user_ref_idle(kit, NULL, address);
}

void kit_spender_set_user(struct kit_spender *spender, const struct kit_claims *claims)
{
    spender->feeds = claims->role == KIT_ROLE_FEED;
    if (!spender->user) spender->user = kit_user_ref_idle(spender->quotas->kit, claims, "");
}

void kit_spender_clear(struct kit_spender *spender)
{
    if (!spender->quotas) return;
    kit_user_unref(spender->user);
    kit_user_unref(spender->address);
    *spender = (struct kit_spender){.quotas = NULL};
}

/* Returns 0 or for how long there is not enough. */
static uint64_t take_units(struct kit_quotas *quotas, enum kit_quota_kind kind, struct kit_bucket *bucket,
                           uint64_t units)
{
    uint64_t wait_ms = kit_bucket_take(bucket, &quotas->rates[kind], units, eio_loop_now_ms(quotas->kit->loop));
    if (wait_ms) quotas->hits[kind]++;
    return wait_ms;
}

static int refuse_spender(struct kit_failure *failure, uint64_t wait_ms, const char *who)
{
    kit_fail(failure, 429, NULL, "too many requests from this %s", who);
    failure->retry_after_ms = wait_ms < UINT32_MAX ? (uint32_t)wait_ms : UINT32_MAX;
    return 429;
}

/* An event and its bytes; events and bytes are kinds that stand one behind the other. */
static uint64_t take_event(struct kit_quotas *quotas, enum kit_quota_kind kind, struct kit_spent *spent, size_t size)
{
    uint64_t wait_ms = take_units(quotas, kind, &spent->events, 1);
    return wait_ms ? wait_ms : take_units(quotas, kind + 1, &spent->bytes, size);
}

int kit_spend_event(struct kit_spender *spender, size_t size, struct kit_failure *failure)
{
    struct kit_quotas *quotas = spender->quotas;
    struct kit_spent *user = kit_user_spent(spender->user), *address = kit_user_spent(spender->address);
    uint64_t wait_ms = 0;
    if (!quotas) return 0;
    if (spender->feeds) {
        if (user) wait_ms = take_event(quotas, KIT_QUOTA_FEED_EVENTS, user, size);
        return wait_ms ? refuse_spender(failure, wait_ms, "feed") : 0;
    }
    wait_ms = take_event(quotas, KIT_QUOTA_SOCKET_EVENTS, &spender->spent, size);
    if (wait_ms) return refuse_spender(failure, wait_ms, "socket");
    if (user) wait_ms = take_event(quotas, KIT_QUOTA_USER_EVENTS, user, size);
    if (wait_ms) return refuse_spender(failure, wait_ms, "user");
    if (address) wait_ms = take_event(quotas, KIT_QUOTA_ADDRESS_EVENTS, address, size);
    return wait_ms ? refuse_spender(failure, wait_ms, "address") : 0;
}

int kit_spend_connect(struct kit_spender *spender, struct kit_failure *failure)
{
    struct kit_spent *user = kit_user_spent(spender->user);
    if (!user) return 0;
    uint64_t wait_ms = take_units(spender->quotas, KIT_QUOTA_USER_CONNECTS, &user->connects, 1);
    return wait_ms ? refuse_spender(failure, wait_ms, "user") : 0;
}

bool kit_spender_is_abusive(struct kit_spender *spender)
{
    return take_units(spender->quotas, KIT_QUOTA_REFUSALS, &spender->refusals, 1) != 0;
}

/* ------------------------------------------------------------------- start */

int kit_quotas_start(struct kit *kit)
{
    const struct kit_config *config = kit->config;
    struct kit_quotas *quotas = kit->quotas = calloc(1, sizeof *quotas);
    if (!quotas) return EIO_ENOMEM;
    quotas->kit = kit;
    for (int i = 0; i < KIT_QUOTA_REFUSALS; i++) quotas->rates[i] = kit_rate_per_second(config->quotas[i]);
    uint32_t refusals = config->quotas[KIT_QUOTA_REFUSALS];
    if (refusals) quotas->rates[KIT_QUOTA_REFUSALS] = (struct kit_rate){REFUSAL_INTERVAL_NS / refusals, refusals};
    return kit_metrics_add(kit, &metrics, quotas);
}

void kit_quotas_stop(struct kit *kit)
{
    free(kit->quotas);
    kit->quotas = NULL;
    kit_users_forget(kit);
}
