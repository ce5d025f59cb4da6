#include "kit_bucket.h"
#include "kit_fixture.h"

static void a_bucket_gives_its_burst_and_then_as_fast_as_it_fills(void **state)
{
    struct kit_rate rate = kit_rate_per_second(10);
    struct kit_bucket bucket = {0};
    (void)state;
    for (int i = 0; i < 10; i++) assert_int_equal(kit_bucket_take(&bucket, &rate, 1, 5000), 0);
    assert_int_equal(kit_bucket_take(&bucket, &rate, 1, 5000), 100);
    assert_int_equal(kit_bucket_take(&bucket, &rate, 1, 5099), 1);
    assert_int_equal(kit_bucket_take(&bucket, &rate, 1, 5100), 0);
    assert_int_equal(kit_bucket_take(&bucket, &rate, 1, 5100), 100);
    assert_int_equal(kit_bucket_take(&bucket, &rate, 10, 6100), 0);
    assert_int_equal(kit_bucket_take(&bucket, &rate, 1, 6100), 100);
}

static void what_is_larger_than_the_burst_waits_for_a_full_bucket(void **state)
{
    struct kit_rate rate = kit_rate_per_second(1000);
    struct kit_bucket bucket = {0};
    (void)state;
    assert_int_equal(kit_bucket_take(&bucket, &rate, 5000, 1), 0);
    assert_int_equal(kit_bucket_take(&bucket, &rate, 5000, 1), 5000);
    assert_int_equal(kit_bucket_take(&bucket, &rate, 1, 1), 4001);
    assert_int_equal(kit_bucket_take(&bucket, &rate, 5000, 5001), 0);
}

static void what_is_returned_can_be_taken_again(void **state)
{
    struct kit_rate rate = {60000 * UINT64_C(1000000), 2}, none = kit_rate_per_second(0);
    struct kit_bucket bucket = {0};
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(kit_bucket_take(&bucket, &rate, 1, 1000), 0);
        kit_bucket_return(&bucket, &rate, 1);
    }
    assert_int_equal(kit_bucket_take(&bucket, &rate, 2, 1000), 0);
    assert_int_equal(kit_bucket_take(&bucket, &rate, 1, 1000), 60000);
    for (int i = 0; i < 100; i++) assert_int_equal(kit_bucket_take(&bucket, &none, 1000000, 1000), 0);
}

static void the_names_that_were_used_longest_ago_are_forgotten(void **state)
{
    struct kit_rate rate = {UINT64_C(1000000000), 1};
    struct kit_buckets *buckets = kit_buckets_new(3);
    (void)state;
    for (const char *name = "abc"; *name; name++)
        assert_int_equal(kit_bucket_take(kit_buckets_find(buckets, 'u', (char[]){*name, 0}), &rate, 1, 1), 0);
    assert_int_equal(kit_bucket_take(kit_buckets_find(buckets, 'u', "a"), &rate, 1, 1), 1000);
    assert_int_equal(kit_bucket_take(kit_buckets_find(buckets, 'a', "a"), &rate, 1, 1), 0); /* another kind; b goes */
    assert_int_equal(kit_buckets_count(buckets), 3);
    assert_int_equal(kit_bucket_take(kit_buckets_find(buckets, 'u', "a"), &rate, 1, 1), 1000);
    assert_int_equal(kit_bucket_take(kit_buckets_find(buckets, 'u', "c"), &rate, 1, 1), 1000);
    assert_int_equal(kit_bucket_take(kit_buckets_find(buckets, 'u', "b"), &rate, 1, 1), 0);
    kit_buckets_free(buckets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_gives_its_burst_and_then_as_fast_as_it_fills),
        cmocka_unit_test(what_is_larger_than_the_burst_waits_for_a_full_bucket),
        cmocka_unit_test(what_is_returned_can_be_taken_again),
        cmocka_unit_test(the_names_that_were_used_longest_ago_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
