/* A heap of moments, of which the earliest is found at once. Each entry points to a slot in its owner, which the heap
 * keeps up to date: container_of(entry->slot, …) is the owner. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base_error.h"

#include <stddef.h>
#include <stdint.h>

struct base_heap_entry {
    uint64_t at;
    size_t *slot; /* 1 + its position; 0: not in the heap */
};
/* Zeroed: empty. */
struct base_heap {
    struct base_heap_entry *entries; /* entries[0] is the first to be due */
    size_t count, capacity;
    size_t reserved; /* places kept for slots that are not in the heap now */
};

/* Makes room for one more entry beside those reserved. Returns 0 or BASE_ENOMEM. */
int base_heap_make_room(struct base_heap *heap);
/* Inserts a slot that is not in the heap, after base_heap_make_room(). */
void base_heap_insert(struct base_heap *heap, uint64_t at, size_t *slot);
/* Changes the moment of a slot that is in the heap. */
void base_heap_move(struct base_heap *heap, uint64_t at, size_t *slot);
/* Removes a slot that is in the heap. */
void base_heap_remove(struct base_heap *heap, size_t *slot);
/* How many are due at that moment. */
size_t base_heap_due(const struct base_heap *heap, uint64_t now);
void base_heap_clear(struct base_heap *heap);

#endif
