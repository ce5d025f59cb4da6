/* Limits: counting and logging hits, token buckets, what is known of each address, descriptors on lease. Each limit is
 * * enforced where the limited objects are kept. */
#include "eio_limits.h"

#include "eio_int.h"

#include <sodium.h>
#include <string.h>
#include <unistd.h>

enum {
    MIN_LEASES = 64,
    IDLE_MS = 2000, /* a token bucket is full after one second */
    SECOND_US = 1000000,
};

/* ----------------------------------------------------------------- counting */

const char *eio_limit_name(enum eio_limit limit)
{
    static const char *const names[] = {
#define X(name, text) text,
        EIO_LIMITS(X)
#undef X
    };
    return limit < EIO_LIMIT_COUNT ? names[limit] : "unknown";
}

bool eio__counter_hit(struct eio_limit_counter *counter, const struct eio_loop *loop, uint32_t quiet_ms,
                      unsigned long long *unsaid)
{
    uint64_t now = eio_loop_now_ms(loop);
    counter->hits++;
    if (now < counter->quiet_until_ms) {
        counter->unsaid++;
        return false;
    }
    *unsaid = counter->unsaid;
    counter->unsaid = 0;
    counter->quiet_until_ms = now + quiet_ms;
    return true;
}

void eio_limit_hit(struct eio_limit_counter *counter, const struct eio_loop *loop, const char *name, const char *who)
{
    unsigned long long unsaid;
    if (eio__counter_hit(counter, loop, EIO_LIMIT_LOG_MS, &unsaid))
        eio_log(EIO_LOG_WARN, "limit %s hit by %s (%llu more since the last such line)", name, who ? who : "-", unsaid);
}

/* The bucket as the time at which it will be full again. */
bool eio_rate_take(struct eio_rate *rate, uint64_t now_ms, uint32_t per_second)
{
    uint64_t now = now_ms * 1000, cost = SECOND_US / per_second;
    uint64_t from = rate->busy_until_us > now ? rate->busy_until_us : now;
    if (from + cost > now + SECOND_US) return false;
    rate->busy_until_us = from + cost;
    return true;
}

/* ----------------------------------------------------------------- visitors */

/* An IPv6 customer has a /64 and may use any address in it. */
static struct eio__address network_of(const struct eio__address *address)
{
    static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct eio__address network = *address;
    if (memcmp(address->bytes, v4_prefix, sizeof v4_prefix) != 0) memset(network.bytes + 8, 0, 8);
    return network;
}

static uint32_t hash_of(const struct eio__visitors *visitors, const struct eio__address *network)
{
    uint8_t digest[crypto_shorthash_BYTES];
    uint32_t hash;
    crypto_shorthash(digest, network->bytes, sizeof network->bytes, visitors->key);
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

static void on_idle(struct eio_deadline *due, void *ctx)
{
    struct eio__visitors *visitors = ctx;
    struct eio__visitor *visitor = container_of(due, struct eio__visitor, idle);
    base_table_remove(&visitors->table, hash_of(visitors, &visitor->address), visitor);
    free(visitor);
}

void eio__visitors_init(struct eio__visitors *visitors, struct eio_loop *loop, size_t max)
{
    visitors->max = max;
    crypto_shorthash_keygen(visitors->key);
    eio_deadlines_init(&visitors->idle, loop, IDLE_MS, on_idle, visitors);
}

void eio__visitors_clear(struct eio__visitors *visitors)
{
    eio_deadlines_clear(&visitors->idle);
    for (size_t i = 0; i < visitors->table.slot_count; i++) free(visitors->table.items[i]);
    base_table_clear(&visitors->table);
}

static struct eio__visitor *find_network(const struct eio__visitors *visitors, const struct eio__address *network,
                                         uint32_t hash)
{
    size_t at;
    struct eio__visitor *visitor = base_table_first(&visitors->table, hash, &at);
    while (visitor && memcmp(&visitor->address, network, sizeof *network) != 0)
        visitor = base_table_next(&visitors->table, hash, &at);
    return visitor;
}

struct eio__visitor *eio__visitors_find(const struct eio__visitors *visitors, const struct eio__address *address)
{
    struct eio__address network = network_of(address);
    return find_network(visitors, &network, hash_of(visitors, &network));
}

struct eio__visitor *eio__visitors_get(struct eio__visitors *visitors, const struct eio__address *address)
{
    struct eio__address network = network_of(address);
    uint32_t hash = hash_of(visitors, &network);
    if (eio__address_is_unix(address)) return NULL; /* all of them have the same */
    struct eio__visitor *visitor = find_network(visitors, &network, hash);
    if (visitor) {
        if (visitor->count == 0) eio_deadlines_add(&visitors->idle, &visitor->idle);
        return visitor;
    }
    if (visitors->table.count >= visitors->max) return NULL;
    visitor = calloc(1, sizeof *visitor);
    if (!visitor) return NULL;
    visitor->address = network;
    if (base_table_add(&visitors->table, hash, visitor) != BASE_OK) {
        free(visitor);
        return NULL;
    }
    eio_deadlines_add(&visitors->idle, &visitor->idle);
    return visitor;
}

void eio__visitor_enter(struct eio__visitors *visitors, struct eio__visitor *visitor)
{
    if (visitor->count++ == 0) eio_deadline_stop(&visitors->idle, &visitor->idle);
}

void eio__visitor_leave(struct eio__visitors *visitors, const struct eio__address *address)
{
    struct eio__visitor *visitor = eio__visitors_find(visitors, address);
    BASE_CHECK(visitor && visitor->count > 0);
    if (--visitor->count == 0) eio_deadlines_add(&visitors->idle, &visitor->idle);
}

/* ------------------------------------------------------------------- leases */

int eio__lease_begin(struct eio__leases *leases, int fd, const struct eio__lease *lease)
{
    size_t at = (size_t)fd;
    if (at >= leases->capacity) {
        size_t capacity = leases->capacity ? leases->capacity : MIN_LEASES;
        while (capacity <= at) capacity *= 2;
        struct eio__lease *grown = realloc(leases->by_fd, capacity * sizeof *grown);
        if (!grown) return EIO_ENOMEM;
        memset(grown + leases->capacity, 0, (capacity - leases->capacity) * sizeof *grown);
        leases->by_fd = grown;
        leases->capacity = capacity;
    }
    if (leases->by_fd[at].http) leases->end(&leases->by_fd[at]); /* closed behind our back */
    leases->by_fd[at] = *lease;
    return 0;
}

void eio__leases_forget(struct eio__leases *leases, const struct eio_http *http)
{
    for (size_t i = 0; i < leases->capacity; i++)
        if (leases->by_fd[i].http == http) leases->by_fd[i].http = NULL;
}

void eio__fd_close(struct eio_loop *loop, int fd)
{
    close(fd);
    eio__fd_forget(loop, fd);
}

void eio__fd_forget(struct eio_loop *loop, int fd)
{
    struct eio__leases *leases = &loop->leases;
    if ((size_t)fd >= leases->capacity || !leases->by_fd[fd].http) return;
    struct eio__lease lease = leases->by_fd[fd];
    leases->by_fd[fd].http = NULL;
    leases->end(&lease);
}
