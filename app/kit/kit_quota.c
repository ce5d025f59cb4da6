#include "kit_quota.h"

#include "kit_metrics.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#define REFUSAL_INTERVAL_NS UINT64_C(10000000000) /* refused_events_max of them within ten seconds */

/* What a user or an address has spent. */
struct kit_account {
    unsigned refs;
    struct kit_bucket events, bytes, connects;
    struct kit_account *prev, *next; /* in the list of those without references */
    UT_hash_handle hh;
    char name[]; /* a letter for what it is; tenant and sub, or nothing and the address; each with its end */
};

_Static_assert(KIT_QUOTA_COUNT == KIT_CONFIG_QUOTAS, "as many values as kinds");

struct kit_quotas {
    struct kit *kit;
    struct kit_rate rates[KIT_QUOTA_COUNT];
    struct kit_account *table, *idle;
    size_t idle_count;
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

/* ---------------------------------------------------------------- accounts */

static void free_account(struct kit_quotas *quotas, struct kit_account *account)
{
    DL_DELETE(quotas->idle, account);
    quotas->idle_count--;
    HASH_DEL(quotas->table, account);
    free(account);
}

static bool is_full(const struct kit_account *account, uint64_t now_ms)
{
    uint64_t now_ns = now_ms * 1000000;
    return account->events.full_ns <= now_ns && account->bytes.full_ns <= now_ns && account->connects.full_ns <= now_ns;
}

/* Those that owe nothing any more are forgotten, and the oldest, where there are too many. */
static void free_idle(struct kit_quotas *quotas)
{
    uint64_t now_ms = eio_loop_now_ms(quotas->kit->loop);
    while (quotas->idle &&
           (is_full(quotas->idle, now_ms) || quotas->idle_count > quotas->kit->config->quota_tracked_max))
        free_account(quotas, quotas->idle);
}

/* NULL: out of memory. */
static struct kit_account *ref_account(struct kit_quotas *quotas, char kind, const char *tenant, const char *name)
{
    struct kit_account *account;
    char key[2 * KIT_USER_SIZE + 1];
    size_t size = (size_t)snprintf(key, sizeof key, "%c%s%c%s", kind, tenant, 0, name);
    HASH_FIND(hh, quotas->table, key, size, account);
    if (account && !account->refs) {
        DL_DELETE(quotas->idle, account);
        quotas->idle_count--;
    }
    if (!account) {
        account = calloc(1, sizeof *account + size + 1);
        if (!account) return NULL;
        memcpy(account->name, key, size + 1);
        HASH_ADD_KEYPTR(hh, quotas->table, account->name, size, account);
    }
    account->refs++;
    return account;
}

static void unref_account(struct kit_quotas *quotas, struct kit_account *account)
{
    if (!account || --account->refs) return;
    DL_APPEND(quotas->idle, account);
    quotas->idle_count++;
    free_idle(quotas);
}

/* Who has one address of IPv6 has 2^64 of them. */
static void read_network(const char *address, char out[INET6_ADDRSTRLEN])
{
    struct in6_addr v6;
    snprintf(out, INET6_ADDRSTRLEN, "%s", address);
    if (inet_pton(AF_INET6, address, &v6) != 1 || IN6_IS_ADDR_V4MAPPED(&v6)) return;
    memset(v6.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &v6, out, INET6_ADDRSTRLEN);
}

/* ---------------------------------------------------------------- spenders */

void kit_spender_init(struct kit_spender *spender, struct kit *kit, const char *address)
{
    char network[INET6_ADDRSTRLEN];
    *spender = (struct kit_spender){.quotas = kit->quotas};
    read_network(address, network);
    if (address[0]) spender->address = ref_account(kit->quotas, 'a', "", network);
}

void kit_spender_set_user(struct kit_spender *spender, const struct kit_claims *claims)
{
    spender->feeds = claims->role == KIT_ROLE_FEED;
    if (!spender->user) spender->user = ref_account(spender->quotas, 'u', claims->tenant, claims->sub);
}

void kit_spender_clear(struct kit_spender *spender)
{
    if (!spender->quotas) return;
    unref_account(spender->quotas, spender->user);
    unref_account(spender->quotas, spender->address);
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
static uint64_t take_event(struct kit_quotas *quotas, enum kit_quota_kind kind, struct kit_bucket *events,
                           struct kit_bucket *bytes, size_t size)
{
    uint64_t wait_ms = take_units(quotas, kind, events, 1);
    return wait_ms ? wait_ms : take_units(quotas, kind + 1, bytes, size);
}

int kit_spend_event(struct kit_spender *spender, size_t size, struct kit_failure *failure)
{
    struct kit_quotas *quotas = spender->quotas;
    struct kit_account *user = spender->user, *address = spender->address;
    uint64_t wait_ms = 0;
    if (!quotas) return 0;
    if (spender->feeds) {
        if (user) wait_ms = take_event(quotas, KIT_QUOTA_FEED_EVENTS, &user->events, &user->bytes, size);
        return wait_ms ? refuse_spender(failure, wait_ms, "feed") : 0;
    }
    wait_ms = take_event(quotas, KIT_QUOTA_SOCKET_EVENTS, &spender->events, &spender->bytes, size);
    if (wait_ms) return refuse_spender(failure, wait_ms, "socket");
    if (user) wait_ms = take_event(quotas, KIT_QUOTA_USER_EVENTS, &user->events, &user->bytes, size);
    if (wait_ms) return refuse_spender(failure, wait_ms, "user");
    if (address) wait_ms = take_event(quotas, KIT_QUOTA_ADDRESS_EVENTS, &address->events, &address->bytes, size);
    return wait_ms ? refuse_spender(failure, wait_ms, "address") : 0;
}

int kit_spend_connect(struct kit_spender *spender, struct kit_failure *failure)
{
    if (!spender->user) return 0;
    uint64_t wait_ms = take_units(spender->quotas, KIT_QUOTA_USER_CONNECTS, &spender->user->connects, 1);
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
    struct kit_quotas *quotas = kit->quotas;
    struct kit_account *account, *next;
    if (!quotas) return;
    HASH_ITER(hh, quotas->table, account, next)
    {
        HASH_DEL(quotas->table, account);
        free(account);
    }
    free(quotas);
    kit->quotas = NULL;
}
