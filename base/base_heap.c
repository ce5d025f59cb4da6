#include "base_heap.h"

#include <stdlib.h>

enum { MIN_CAPACITY = 64 };

static inline void set_entry(struct base_heap_entry *entries, size_t i, struct base_heap_entry entry)
{
    entries[i] = entry;
    *entry.slot = i + 1;
}

static void sift_up(struct base_heap *heap, size_t i, struct base_heap_entry entry)
{
    struct base_heap_entry *entries = heap->entries; /* kept in a register: writes to slots could alias it */
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (entries[parent].at <= entry.at) break;
        set_entry(entries, i, entries[parent]);
        i = parent;
    }
    set_entry(entries, i, entry);
}

static void sift_down(struct base_heap *heap, size_t i, struct base_heap_entry entry)
{
    struct base_heap_entry *entries = heap->entries;
    size_t count = heap->count;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= count) break;
        if (child + 1 < count && entries[child + 1].at < entries[child].at) child++;
        if (entry.at <= entries[child].at) break;
        set_entry(entries, i, entries[child]);
        i = child;
    }
    set_entry(entries, i, entry);
}

static void sift(struct base_heap *heap, size_t i, struct base_heap_entry entry)
{
    if (i > 0 && heap->entries[(i - 1) / 2].at > entry.at)
        sift_up(heap, i, entry);
    else
        sift_down(heap, i, entry);
}

int base_heap_make_room(struct base_heap *heap)
{
    if (heap->count + heap->reserved < heap->capacity) return BASE_OK;
    size_t capacity = heap->capacity ? 2 * heap->capacity : MIN_CAPACITY;
    struct base_heap_entry *entries = realloc(heap->entries, capacity * sizeof *entries);
    if (!entries) return BASE_ENOMEM;
    heap->entries = entries;
    heap->capacity = capacity;
    return BASE_OK;
}

void base_heap_insert(struct base_heap *heap, uint64_t at, size_t *slot)
{
    sift_up(heap, heap->count++, (struct base_heap_entry){at, slot});
}

void base_heap_move(struct base_heap *heap, uint64_t at, size_t *slot)
{
    sift(heap, *slot - 1, (struct base_heap_entry){at, slot});
}

void base_heap_remove(struct base_heap *heap, size_t *slot)
{
    size_t i = *slot - 1;
    *slot = 0;
    struct base_heap_entry last = heap->entries[--heap->count];
    if (last.slot != slot) sift(heap, i, last);
}

/* Counts from one place downwards: below an entry that is not due, no entry is. */
static size_t due_below(const struct base_heap *heap, size_t i, uint64_t now)
{
    if (i >= heap->count || heap->entries[i].at > now) return 0;
    return 1 + due_below(heap, 2 * i + 1, now) + due_below(heap, 2 * i + 2, now);
}

size_t base_heap_due(const struct base_heap *heap, uint64_t now)
{
    return due_below(heap, 0, now);
}

void base_heap_clear(struct base_heap *heap)
{
    free(heap->entries);
    *heap = (struct base_heap){0};
}
