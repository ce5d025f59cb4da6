/* base_heap.c against a list that is searched for its least. */
#include "base_heap.h"
#include "base_check.h"
#include "test.h"

#include <stdbool.h>
#include <stdlib.h>

enum { THINGS = 300 };

struct thing {
    int before;
    size_t slot;
    uint64_t at;
};
static struct thing things[THINGS];

static const struct thing *least(void)
{
    const struct thing *found = NULL;
    for (size_t i = 0; i < THINGS; i++)
        if (things[i].slot && (!found || things[i].at < found->at)) found = &things[i];
    return found;
}

static void assert_right(const struct base_heap *heap, size_t count)
{
    const struct thing *first = least();
    assert_int_equal(heap->count, count);
    assert_int_equal(heap->count > 0, first != NULL);
    if (first) assert_int_equal(heap->entries[0].at, first->at);
    size_t due = 0;
    for (size_t i = 0; i < THINGS; i++) due += things[i].slot && things[i].at <= 40;
    assert_int_equal(base_heap_due(heap, 40), due);
    for (size_t i = 0; i < heap->count; i++) {
        const struct thing *thing = container_of(heap->entries[i].slot, struct thing, slot);
        assert_int_equal(thing->slot, i + 1);
        assert_int_equal(thing->at, heap->entries[i].at);
    }
}

TEST(base_heap, the_first_is_the_first_whatever_came_went_and_moved)
{
    struct base_heap heap = {0};
    size_t count = 0;
    srand(11);
    for (int step = 0; step < 20000; step++) {
        struct thing *thing = &things[rand() % THINGS];
        uint64_t at = (uint64_t)(rand() % 100);
        bool stays = rand() % 3 > 0;
        if (thing->slot && stays) {
            base_heap_move(&heap, thing->at = at, &thing->slot);
        } else if (thing->slot) {
            base_heap_remove(&heap, &thing->slot);
            assert_int_equal(thing->slot, 0);
            count--;
        } else {
            assert_int_equal(base_heap_make_room(&heap), 0);
            base_heap_insert(&heap, thing->at = at, &thing->slot);
            count++;
        }
        if (step % 50 == 0) assert_right(&heap, count);
    }
    for (uint64_t last = 0; heap.count > 0; last = heap.entries[0].at, base_heap_remove(&heap, heap.entries[0].slot))
        assert_true(heap.entries[0].at >= last);
    assert_null(least());
    base_heap_clear(&heap);
}

/* Who has a place needs no memory to enter. */
TEST(base_heap, places_are_kept_for_who_reserved_them)
{
    struct base_heap heap = {0};
    size_t slots[200] = {0}, reserved[8] = {0};
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(base_heap_make_room(&heap), 0);
        heap.reserved++;
    }
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(base_heap_make_room(&heap), 0);
        base_heap_insert(&heap, i, &slots[i]);
        assert_true(heap.count + heap.reserved <= heap.capacity);
    }
    size_t capacity = heap.capacity;
    for (size_t i = 0; i < 8; i++) {
        heap.reserved--;
        base_heap_insert(&heap, 0, &reserved[i]);
    }
    assert_int_equal(heap.capacity, capacity);
    assert_int_equal(heap.count, 208);
    base_heap_clear(&heap);
}

TEST_MAIN
