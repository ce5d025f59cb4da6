/* A heap of moments: the first of many is found at once. What is in it is known by a member of its own, its slot, which
 * the heap keeps up to date: container_of(entry->slot, …) is what is due. */
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
    size_t reserved; /* places of those that are not in it now: there is room for them */
};

/* Room for one more beside those that have a place. Returns 0 or BASE_ENOMEM. */
int base_heap_make_room(struct base_heap *heap);
/* Enters what is not in it; there is room. */
void base_heap_insert(struct base_heap *heap, uint64_t at, size_t *slot);
/* Another moment for what is in it. */
void base_heap_move(struct base_heap *heap, uint64_t at, size_t *slot);
/* It is in it. */
void base_heap_remove(struct base_heap *heap, size_t *slot);
/* How many are due at that moment. */
size_t base_heap_due(const struct base_heap *heap, uint64_t now);
void base_heap_clear(struct base_heap *heap);

#endif
