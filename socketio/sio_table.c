/* A chained hash table of links that stand in the items: no memory per item. Comparing items is the owner's. */
#include "sio_int.h"

enum { CAPACITY_MIN = 16 };

/* FNV-1a, finished by a multiplication that spreads it over all bits. */
uint64_t sio__hash(const void *p, size_t n)
{
    const uint8_t *bytes = p;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash ^ (hash >> 32);
}

static struct sio__link **bucket(const struct sio__table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->capacity - 1)];
}

static int grow(struct sio__table *table)
{
    size_t capacity = table->capacity ? 2 * table->capacity : CAPACITY_MIN;
    struct sio__link **buckets = calloc(capacity, sizeof(struct sio__link *));
    if (!buckets) return EIO_ENOMEM;
    struct sio__table old = *table;
    table->buckets = buckets;
    table->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        for (struct sio__link *link = old.buckets[i], *next; link; link = next) {
            next = link->next;
            link->next = *bucket(table, link->hash);
            *bucket(table, link->hash) = link;
        }
    }
    free(old.buckets);
    return 0;
}

int sio__table_add(struct sio__table *table, struct sio__link *link, uint64_t hash)
{
    /* A table that cannot grow becomes slow; one that is not there cannot take anything. */
    if (table->count >= table->capacity && grow(table) != 0 && table->capacity == 0) return EIO_ENOMEM;
    link->hash = hash;
    link->next = *bucket(table, hash);
    *bucket(table, hash) = link;
    table->count++;
    return 0;
}

void sio__table_remove(struct sio__table *table, struct sio__link *link)
{
    struct sio__link **at = bucket(table, link->hash);
    while (*at != link) at = &(*at)->next;
    *at = link->next;
    table->count--;
}

static struct sio__link *same_hash(struct sio__link *link, uint64_t hash)
{
    while (link && link->hash != hash) link = link->next;
    return link;
}

struct sio__link *sio__table_first(const struct sio__table *table, uint64_t hash)
{
    return table->count ? same_hash(*bucket(table, hash), hash) : NULL;
}

struct sio__link *sio__table_next(const struct sio__link *link)
{
    return same_hash(link->next, link->hash);
}

void sio__table_clear(struct sio__table *table)
{
    free(table->buckets);
    *table = (struct sio__table){0};
}
