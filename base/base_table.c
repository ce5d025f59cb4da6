#include "base_table.h"

#include <stdbool.h>
#include <stdlib.h>

enum { MIN_SLOTS = 8 };

static void set_slot(struct base_table *table, uint32_t hash, void *item)
{
    size_t mask = table->slot_count - 1;
    size_t i = hash & mask;
    while (table->items[i]) i = (i + 1) & mask;
    table->items[i] = item;
    table->hashes[i] = hash;
}

static int resize(struct base_table *table, size_t slot_count)
{
    struct base_table old = *table;
    void **items = calloc(slot_count, sizeof *items);
    uint32_t *hashes = malloc(slot_count * sizeof *hashes);
    if (!items || !hashes) {
        free(items);
        free(hashes);
        return BASE_ENOMEM;
    }
    table->items = items;
    table->hashes = hashes;
    table->slot_count = slot_count;
    for (size_t i = 0; i < old.slot_count; i++)
        if (old.items[i]) set_slot(table, old.hashes[i], old.items[i]);
    free(old.items);
    free(old.hashes);
    return BASE_OK;
}

int base_table_add(struct base_table *table, uint32_t hash, void *item)
{
    bool is_full = (table->count + 1) * 4 > table->slot_count * 3;
    bool is_grown = is_full && resize(table, table->slot_count ? table->slot_count * 2 : MIN_SLOTS) == BASE_OK;
    /* One slot stays empty, so that every search ends. */
    if (is_full && !is_grown && table->count + 1 >= table->slot_count) return BASE_ENOMEM;
    set_slot(table, hash, item);
    table->count++;
    return BASE_OK;
}

/* Closes the gap: a later item of the same run moves back if a search from its own slot would pass the gap. */
static void close_gap(struct base_table *table, size_t gap)
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

void base_table_remove(struct base_table *table, uint32_t hash, const void *item)
{
    size_t mask = table->slot_count - 1;
    size_t i = hash & mask;
    while (table->items[i] != item) i = (i + 1) & mask;
    close_gap(table, i);
    table->count--;
    if (table->slot_count > MIN_SLOTS && table->count * 8 < table->slot_count)
        (void)resize(table, table->slot_count / 2); /* without memory it stays as large as it is */
}

void base_table_clear(struct base_table *table)
{
    free(table->items);
    free(table->hashes);
    *table = (struct base_table){0};
}
