/* base_table.c: growth, equal hashes, removal from anywhere, walks, a model, and memory that is short. */
#include "base_table.h"
#include "failing_malloc.h"
#include "test.h"

#include <stdlib.h>

enum { ITEMS = 1000 };
static int items[ITEMS];

static size_t count_of(const struct base_table *table, uint32_t hash)
{
    size_t count = 0, at;
    for (int *item = base_table_first(table, hash, &at); item; item = base_table_next(table, hash, &at)) count++;
    return count;
}

TEST(base_table, items_are_found_by_their_hash_and_by_no_other)
{
    struct base_table table = {0};
    size_t at;
    assert_null(base_table_first(&table, 0, &at));
    for (uint32_t i = 0; i < ITEMS; i++) assert_int_equal(base_table_add(&table, i / 2 * 16, &items[i]), 0);
    assert_int_equal(table.count, ITEMS);
    for (uint32_t hash = 0; hash < ITEMS / 2 * 16; hash++)
        assert_int_equal(count_of(&table, hash), hash % 16 == 0 ? 2 : 0);
    for (uint32_t i = 0; i < ITEMS; i += 2) base_table_remove(&table, i / 2 * 16, &items[i]);
    for (uint32_t i = 0; i < ITEMS; i += 2) {
        assert_int_equal(count_of(&table, i / 2 * 16), 1);
        assert_ptr_equal(base_table_first(&table, i / 2 * 16, &at), &items[i + 1]);
    }
    for (uint32_t i = 1; i < ITEMS; i += 2) base_table_remove(&table, i / 2 * 16, &items[i]);
    assert_int_equal(table.count, 0);
    assert_true(table.slot_count <= 16); /* memory was given back */
    base_table_clear(&table);
}

/* Few different hashes, so that runs are long, wrap around the end and meet. */
TEST(base_table, agrees_with_a_list)
{
    struct base_table table = {0};
    bool is_in[ITEMS] = {false};
    size_t at;
    srand(5);
    for (int step = 0; step < 40000; step++) {
        size_t i = (size_t)rand() % 200;
        uint32_t hash = (uint32_t)(i % 23) * 0x1003u + (i % 2 ? UINT32_MAX - 3 : 0);
        if (is_in[i])
            base_table_remove(&table, hash, &items[i]);
        else
            assert_int_equal(base_table_add(&table, hash, &items[i]), 0);
        is_in[i] = !is_in[i];
        bool found = false;
        for (int *item = base_table_first(&table, hash, &at); item; item = base_table_next(&table, hash, &at))
            found = found || item == &items[i];
        assert_int_equal(found, is_in[i]);
        size_t count = 0;
        for (size_t k = 0; step % 100 == 0 && k < 200; k++) count += is_in[k];
        if (step % 100 == 0) assert_int_equal(table.count, count);
    }
    base_table_clear(&table);
}

TEST(base_table, one_that_cannot_grow_becomes_slow_before_it_refuses)
{
    struct base_table table = {0};
    fail_at = 1;
    fail_count = 1000000;
    allocations = 0;
    assert_int_equal(base_table_add(&table, 1, &items[0]), BASE_ENOMEM);
    fail_at = 0;
    assert_int_equal(base_table_add(&table, 1, &items[0]), 0);
    size_t slots = table.slot_count, added = 1;
    fail_at = 1;
    allocations = 0;
    while (base_table_add(&table, 7, &items[added]) == 0) added++;
    fail_at = 0;
    assert_int_equal(table.slot_count, slots);
    assert_int_equal(added, slots - 1);
    assert_int_equal(count_of(&table, 7), added - 1);
    assert_int_equal(count_of(&table, 2), 0); /* and every search ends */
    base_table_clear(&table);
}

TEST_MAIN
