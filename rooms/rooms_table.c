/* The table of names: see rooms_int.h. */
#include "rooms_int.h"

#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(((struct rooms_index *)0)->key) == crypto_shorthash_KEYBYTES, "key size");
_Static_assert((int)ROOMS_ENOMEM == BASE_ENOMEM && (int)ROOMS_EINVAL == BASE_EINVAL, "the same numbers");

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
    base_table_clear(&table->table);
}

void *rooms__table_find(const struct rooms_table *table, struct rooms_name name)
{
    if (table->table.count == 0) return NULL;
    uint32_t hash = hash_name(table, name);
    size_t at;
    for (void *item = base_table_first(&table->table, hash, &at); item;
         item = base_table_next(&table->table, hash, &at)) {
        struct rooms_name found = table->name_of(item);
        if (found.n == name.n && memcmp(found.p, name.p, name.n) == 0) return item;
    }
    return NULL;
}

int rooms__table_insert(struct rooms_table *table, void *item)
{
    return base_table_add(&table->table, hash_name(table, table->name_of(item)), item);
}

void rooms__table_remove(struct rooms_table *table, const void *item)
{
    base_table_remove(&table->table, hash_name(table, table->name_of(item)), item);
}
