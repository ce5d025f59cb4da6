/* The table of names: see rooms_int.h. */
#include "rooms_int.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_SLOTS = 8 };

_Static_assert(sizeof(((struct rooms_index *)0)->key) == crypto_shorthash_KEYBYTES, "key size");

static uint32_t hash_name(const struct rooms_table *table, struct rooms_name name)
{
    uint8_t digest[crypto_shorthash_BYTES];
    uint32_t hash;
    crypto_shorthash(digest, (const uint8_t *)name.p, name.n, table->key);
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

void rooms__table_init(struct rooms_table *table, struct rooms_name (*name_of)(const void *item), const uint8_t *key)
{
    *table = (struct rooms_table){.name_of = name_of, .key = key};
}

void rooms__table_clear(struct rooms_table *table)
{
    free(table->items);
    free(table->hashes);
    rooms__table_init(table, table->name_of, table->key);
}

void *rooms__table_find(const struct rooms_table *table, struct rooms_name name)
{
    if (table->count == 0) return NULL;
    size_t mask = table->slot_count - 1;
    uint32_t hash = hash_name(table, name);
    for (size_t i = hash & mask; table->items[i]; i = (i + 1) & mask) {
        if (table->hashes[i] != hash) continue;
        struct rooms_name found = table->name_of(table->items[i]);
        if (found.n == name.n && memcmp(found.p, name.p, name.n) == 0) return table->items[i];
    }
    return NULL;
}

static void put(struct rooms_table *table, void *item, uint32_t hash)
{
    size_t mask = table->slot_count - 1;
    size_t i = hash & mask;
    while (table->items[i]) i = (i + 1) & mask;
    table->items[i] = item;
    table->hashes[i] = hash;
}

static int resize(struct rooms_table *table, size_t slot_count)
{
    struct rooms_table old = *table;
    void **items = calloc(slot_count, sizeof *items);
    uint32_t *hashes = malloc(slot_count * sizeof *hashes);
    if (!items || !hashes) {
        free(items);
        free(hashes);
        return ROOMS_ENOMEM;
    }
    table->items = items;
    table->hashes = hashes;
    table->slot_count = slot_count;
    for (size_t i = 0; i < old.slot_count; i++)
        if (old.items[i]) put(table, old.items[i], old.hashes[i]);
    free(old.items);
    free(old.hashes);
    return ROOMS_OK;
}

int rooms__table_insert(struct rooms_table *table, void *item)
{
    if ((table->count + 1) * 4 > table->slot_count * 3) {
        int error = resize(table, table->slot_count ? table->slot_count * 2 : MIN_SLOTS);
        if (error) return error;
    }
    put(table, item, hash_name(table, table->name_of(item)));
    table->count++;
    return ROOMS_OK;
}

/* Closes the gap: a later item of the same run moves back if a search from its own slot would pass the gap. */
static void close_gap(struct rooms_table *table, size_t gap)
{
    size_t mask = table->slot_count - 1;
    for (size_t i = (gap + 1) & mask; table->items[i]; i = (i + 1) & mask) {
        size_t from_home = (i - table->hashes[i]) & mask;
        size_t from_gap = (i - gap) & mask;
        if (from_home < from_gap) continue;
        table->items[gap] = table->items[i];
        table->hashes[gap] = table->hashes[i];
        gap = i;
    }
    table->items[gap] = NULL;
}

void rooms__table_remove(struct rooms_table *table, const void *item)
{
    size_t mask = table->slot_count - 1;
    size_t i = hash_name(table, table->name_of(item)) & mask;
    while (table->items[i] != item) i = (i + 1) & mask;
    close_gap(table, i);
    table->count--;
    if (table->slot_count > MIN_SLOTS && table->count * 8 < table->slot_count)
        (void)resize(table, table->slot_count / 2); /* without memory it stays as large as it is */
}
