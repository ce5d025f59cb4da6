/* Token buckets: how much may be done at once, and how fast it may be done again. */
#ifndef KIT_BUCKET_H
#define KIT_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* burst units at once, then one every interval_ns. burst 0: no limit. */
struct kit_rate {
    uint64_t interval_ns, burst;
};
/* So many a second, with a burst of a second's worth; 0: no limit. */
struct kit_rate kit_rate_per_second(uint64_t units);

/* Zero is full. Fields are private. */
struct kit_bucket {
    uint64_t full_ns; /* when it will be full again */
};
/* Takes units at the time now_ms. Returns 0, or for how many milliseconds there are not enough; then nothing is taken.
 * What is more than the burst is taken from a full bucket. */
uint64_t kit_bucket_take(struct kit_bucket *bucket, const struct kit_rate *rate, uint64_t units, uint64_t now_ms);
bool kit_bucket_is_full(const struct kit_bucket *bucket, uint64_t now_ms);
/* Gives them back. */
void kit_bucket_return(struct kit_bucket *bucket, const struct kit_rate *rate, uint64_t units);

/* Buckets by name; those that were used longest ago make room for new ones. */
struct kit_buckets;
/* NULL: out of memory. */
struct kit_buckets *kit_buckets_new(size_t max);
void kit_buckets_free(struct kit_buckets *buckets); /* Accepts NULL. */
/* The name's, full if it is new; until the next call. kind: a letter in front of the name. NULL: out of memory. */
struct kit_bucket *kit_buckets_find(struct kit_buckets *buckets, char kind, const char *name);
/* Returns NULL if the name has no bucket. */
const struct kit_bucket *kit_buckets_get(const struct kit_buckets *buckets, char kind, const char *name);
size_t kit_buckets_count(const struct kit_buckets *buckets);

#endif
