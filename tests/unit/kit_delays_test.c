/* Histograms of durations. */
#include "kit_delays.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void a_duration_is_in_its_bound_and_in_all_above(void **state)
{
    struct kit_delays delays = {{0}};
    (void)state;
    kit_delays_count(&delays, 1000);
    kit_delays_count(&delays, 1001);
    kit_delays_count(&delays, 60000000);
    kit_delays_count(&delays, 60000001);
    assert_int_equal(delays.counts[0], 1);
    assert_int_equal(delays.counts[1], 2);
    assert_int_equal(delays.counts[KIT_DELAY_SLOTS - 3], 2);
    assert_int_equal(delays.counts[KIT_DELAY_SLOTS - 2], 3);
    assert_int_equal(delays.counts[KIT_DELAY_SLOTS - 1], 4);
    assert_int_equal(delays.counts[KIT_DELAY_SLOTS], 1000 + 1001 + 60000000 + 60000001);
}

/* Prometheus' text format: bounds in seconds, ascending, the last +Inf. */
static void bounds_are_seconds_and_ascend(void **state)
{
    char text[32];
    double last = 0;
    (void)state;
    for (unsigned i = 0; i < KIT_DELAY_SLOTS - 1; i++) {
        kit_delays_put_bound(i, text, sizeof text);
        assert_true(strtod(text, NULL) > last);
        last = strtod(text, NULL);
    }
    kit_delays_put_bound(0, text, sizeof text);
    assert_string_equal(text, "0.001");
    kit_delays_put_bound(KIT_DELAY_SLOTS - 1, text, sizeof text);
    assert_string_equal(text, "+Inf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_duration_is_in_its_bound_and_in_all_above),
        cmocka_unit_test(bounds_are_seconds_and_ascend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
