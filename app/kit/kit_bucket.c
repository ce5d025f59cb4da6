#include "kit_bucket.h"

#include "kit_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

struct kit_rate kit_rate_per_second(uint64_t units)
{
    return (struct kit_rate){units && units < NS_PER_S ? NS_PER_S / units : 1, units};
}

uint64_t kit_bucket_take(struct kit_bucket *bucket, const struct kit_rate *rate, uint64_t units, uint64_t now_ms)
{
    uint64_t now_ns = now_ms * NS_PER_MS;
    if (!rate->burst) return 0;
    if (bucket->full_ns < now_ns) bucket->full_ns = now_ns;
    uint64_t spent_ns = bucket->full_ns - now_ns, cost_ns = units * rate->interval_ns;
    uint64_t room_ns = rate->burst * rate->interval_ns;
    if (spent_ns && spent_ns + cost_ns > room_ns) {
        uint64_t wait_ns = cost_ns < room_ns ? spent_ns + cost_ns - room_ns : spent_ns;
        return (wait_ns + NS_PER_MS - 1) / NS_PER_MS;
    }
    bucket->full_ns += cost_ns;
    return 0;
}

bool kit_bucket_is_full(const struct kit_bucket *bucket, uint64_t now_ms)
{
    return bucket->full_ns <= now_ms * NS_PER_MS;
}

void kit_bucket_return(struct kit_bucket *bucket, const struct kit_rate *rate, uint64_t units)
{
    uint64_t cost_ns = units * rate->interval_ns;
    bucket->full_ns -= bucket->full_ns < cost_ns ? bucket->full_ns : cost_ns;
}

/* ------------------------------------------------------------------- table */

struct named {
    struct kit_bucket bucket;
    char name[KIT_USER_SIZE + 1];
    UT_hash_handle hh;
};

struct kit_buckets {
    struct named *table; /* the one that was used last stands last */
    size_t max;
};

struct kit_buckets *kit_buckets_new(size_t max)
{
    struct kit_buckets *buckets = calloc(1, sizeof *buckets);
    if (buckets) buckets->max = max;
    return buckets;
}

static void remove_named(struct kit_buckets *buckets, struct named *named)
{
    HASH_DEL(buckets->table, named);
    free(named);
}

void kit_buckets_free(struct kit_buckets *buckets)
{
    if (!buckets) return;
    while (buckets->table) remove_named(buckets, buckets->table);
    free(buckets);
}

struct kit_bucket *kit_buckets_find(struct kit_buckets *buckets, char kind, const char *name)
{
    struct named *named;
    char key[KIT_USER_SIZE + 1];
    snprintf(key, sizeof key, "%c%s", kind, name);
    HASH_FIND_STR(buckets->table, key, named);
    if (named) {
        HASH_DEL(buckets->table, named);
    } else {
        named = calloc(1, sizeof *named);
        if (!named) return NULL;
        strcpy(named->name, key);
        if (HASH_COUNT(buckets->table) >= buckets->max) remove_named(buckets, buckets->table);
    }
    HASH_ADD_STR(buckets->table, name, named);
    return &named->bucket;
}

const struct kit_bucket *kit_buckets_get(const struct kit_buckets *buckets, char kind, const char *name)
{
    struct named *named;
    char key[KIT_USER_SIZE + 1];
    snprintf(key, sizeof key, "%c%s", kind, name);
    HASH_FIND_STR(buckets->table, key, named);
    return named ? &named->bucket : NULL;
}

size_t kit_buckets_count(const struct kit_buckets *buckets)
{
    return HASH_COUNT(buckets->table);
}
