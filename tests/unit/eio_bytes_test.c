/* Bytes that wait in order. */
#include "eio_bytes.h"
#include "guard.h"
#include "test.h"

#include <stdlib.h>

enum { STEPS = 20000, MODEL_BYTES = 1 << 16 };

static void assert_same(const struct eio__bytes *bytes, const uint8_t *p, size_t n)
{
    assert_int_equal(bytes->size, n);
    if (n) assert_memory_equal(bytes->p, p, n);
    if (!n) assert_null(bytes->memory);
}

TEST(bytes, are_those_of_a_model_whatever_is_added_and_taken)
{
    static uint8_t model[MODEL_BYTES];
    struct eio__bytes bytes = {0};
    size_t from = 0, to = 0;
    srand(7);
    for (int step = 0; step < STEPS; step++) {
        size_t n = (size_t)rand() % (rand() % 50 ? 40 : 5000);
        if (rand() % 2) {
            if (n > to - from) n = to - from;
            eio__bytes_take(&bytes, n);
            from += n;
        } else if (to + n <= MODEL_BYTES) {
            for (size_t i = 0; i < n; i++) model[to + i] = (uint8_t)rand();
            assert_true(eio__bytes_add(&bytes, model + to, n));
            to += n;
        }
        assert_same(&bytes, model + from, to - from);
        if (MODEL_BYTES - to > 5000) continue;
        eio__bytes_take(&bytes, to - from);
        from = to = 0;
    }
    eio__bytes_clear(&bytes);
    assert_same(&bytes, NULL, 0);
}

/* The lender's memory is not touched, and may go once they are kept. */
TEST(bytes, that_were_lent_are_kept_or_taken)
{
    struct guard guard = {0};
    uint8_t *lent = guard_put(&guard, (const uint8_t *)"abcdef", 6);
    struct eio__bytes bytes;
    eio__bytes_lend(&bytes, lent, 6);
    eio__bytes_take(&bytes, 2);
    assert_null(bytes.memory);
    assert_true(eio__bytes_keep(&bytes));
    guard_free(&guard);
    assert_same(&bytes, (const uint8_t *)"cdef", 4);
    assert_true(eio__bytes_add(&bytes, "gh", 2));
    assert_same(&bytes, (const uint8_t *)"cdefgh", 6);
    eio__bytes_take(&bytes, 6);
    assert_same(&bytes, NULL, 0);
    eio__bytes_lend(&bytes, NULL, 0);
    assert_true(eio__bytes_keep(&bytes));
    assert_same(&bytes, NULL, 0);
}

TEST(bytes, reserved_room_counts_when_it_is_filled)
{
    struct eio__bytes bytes = {0};
    assert_true(eio__bytes_add(&bytes, "ab", 2));
    uint8_t *room = eio__bytes_reserve(&bytes, 100000);
    assert_int_equal(bytes.size, 2);
    memset(room, 'c', 100000);
    bytes.size += 100000;
    assert_memory_equal(bytes.p, "abcc", 4);
    assert_int_equal(bytes.p[100001], 'c');
    eio__bytes_clear(&bytes);
}

TEST_MAIN
