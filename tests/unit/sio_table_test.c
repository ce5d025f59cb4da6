/* The hash table: growth, equal hashes, removal from anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sio_int.h"

enum { ITEMS = 1000 };
static struct sio__link items[ITEMS];

static size_t count_of(const struct sio__table *table, uint64_t hash)
{
    size_t count = 0;
    for (struct sio__link *link = sio__table_first(table, hash); link; link = sio__table_next(link)) {
        assert_int_equal(link->hash, hash);
        count++;
    }
    return count;
}

static void items_are_found_by_their_hash_and_by_no_other(void **state)
{
    (void)state;
    struct sio__table table = {0};
    assert_null(sio__table_first(&table, 0));
    for (uint64_t i = 0; i < ITEMS; i++) assert_int_equal(sio__table_add(&table, &items[i], i / 2 * 16), 0);
    assert_int_equal(table.count, ITEMS);
    for (uint64_t hash = 0; hash < ITEMS / 2 * 16; hash++)
        assert_int_equal(count_of(&table, hash), hash % 16 == 0 ? 2 : 0);
    for (uint64_t i = 0; i < ITEMS; i += 2) sio__table_remove(&table, &items[i]);
    for (uint64_t i = 0; i < ITEMS; i += 2) {
        assert_int_equal(count_of(&table, i / 2 * 16), 1);
        assert_ptr_equal(sio__table_first(&table, i / 2 * 16), &items[i + 1]);
    }
    for (uint64_t i = 1; i < ITEMS; i += 2) sio__table_remove(&table, &items[i]);
    assert_int_equal(table.count, 0);
    sio__table_clear(&table);
}

static void handlers_keep_the_order_of_registration_and_names_may_hold_anything(void **state)
{
    (void)state;
    struct sio__behaviour behaviour = {0};
    static const struct eio_str name = {"a\0b", 3}, shorter = {"a", 1};
    int marks[3];
    for (int i = 0; i < 3; i++) assert_non_null(sio__events_add(&behaviour.events, name, &marks[i]));
    assert_null(sio__events_find(&behaviour.events, shorter));
    assert_null(sio__events_find(&behaviour.server_events, name));
    const struct sio__hook *hook = sio__events_find(&behaviour.events, name);
    for (int i = 0; i < 3; i++, hook = hook->next) assert_ptr_equal(hook->ctx, &marks[i]);
    assert_null(hook);
    assert_non_null(sio__events_add(&behaviour.events, (struct eio_str){"", 0}, NULL));
    assert_non_null(sio__events_find(&behaviour.events, (struct eio_str){"", 0}));
    sio__behaviour_clear(&behaviour);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_found_by_their_hash_and_by_no_other),
        cmocka_unit_test(handlers_keep_the_order_of_registration_and_names_may_hold_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
