/* Numbers as decimal digits. */
#include "base_str.h"
#include "test.h"

#include <inttypes.h>
#include <stdio.h>

static void assert_digits(uint64_t value)
{
    char expected[32], written[32];
    size_t n = (size_t)snprintf(expected, sizeof expected, "%" PRIu64, value);
    memset(written, '?', sizeof written);
    assert_int_equal(base_decimal_size(value), n);
    assert_ptr_equal(base_put_decimal(written, value), written + n);
    assert_memory_equal(written, expected, n);
    assert_int_equal(written[n], '?');
}

static void numbers_are_written_as_printf_does(void **state)
{
    (void)state;
    for (uint64_t value = 0; value <= 12000; value++) assert_digits(value);
    for (unsigned bit = 0; bit < 64; bit++)
        for (int off = -1; off <= 1; off++) assert_digits((UINT64_C(1) << bit) + (uint64_t)off);
    for (uint64_t power = 1;; power *= 10) {
        for (int off = -1; off <= 1; off++) assert_digits(power + (uint64_t)off);
        if (power > UINT64_MAX / 10) break;
    }
    assert_digits(UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_written_as_printf_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
