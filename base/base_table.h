/* A hash table of pointers. The owner hashes and compares; if peers choose the keys, the hash must be keyed, or they
 * can choose collisions.
 *
 * Open addressing, linear probing, deletion by moving later items back. Hashes are kept apart from the items, so that a
 * search touches an item only when it has probably found it. Items with equal hashes are found one after the other:
 *
 *     size_t at;
 *     for (struct thing *thing = base_table_first(&table, hash, &at); thing; thing = base_table_next(&table, hash,
 * &at)) if (is_wanted(thing)) return thing;
 *
 * items[0 … slot_count - 1] has all items, with NULL between them. If a walk over them removes an item, another may
 * move into its place; all places change when slot_count does. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include "base_error.h"

#include <stddef.h>
#include <stdint.h>

/* Zeroed: empty. */
struct base_table {
    void **items; /* NULL: empty slot */
    uint32_t *hashes;
    size_t slot_count; /* 0 or a power of two */
    size_t count;
};

static inline void *base_table_at(const struct base_table *table, uint32_t hash, size_t *at)
{
    size_t mask = table->slot_count - 1;
    for (size_t i = *at & mask; table->items[i]; i = (i + 1) & mask) {
        if (table->hashes[i] != hash) continue;
        *at = i;
        return table->items[i];
    }
    return NULL;
}
/* The first item of that hash, or NULL. */
static inline void *base_table_first(const struct base_table *table, uint32_t hash, size_t *at)
{
    *at = hash;
    return table->count ? base_table_at(table, hash, at) : NULL;
}
/* The next one, provided that nothing was added or removed. */
static inline void *base_table_next(const struct base_table *table, uint32_t hash, size_t *at)
{
    ++*at;
    return base_table_at(table, hash, at);
}

/* Returns 0 or BASE_ENOMEM. A table that cannot grow becomes slow before it refuses. */
int base_table_add(struct base_table *table, uint32_t hash, void *item);
/* The item must be in the table, under that hash. Never fails; gives memory back when the table has become sparse. */
void base_table_remove(struct base_table *table, uint32_t hash, const void *item);
/* Frees the table; the items are the owner's. */
void base_table_clear(struct base_table *table);

#endif
