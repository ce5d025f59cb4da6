/* Points in time as HTTP writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "eio_text.h"

#include <stdlib.h>

static void check(int64_t unix_s, const char *wanted)
{
    char *got = malloc(EIO__DATE_CHARS); /* just its size, so that the sanitizer sees a write past the end */
    assert_non_null(got);
    assert_true(eio__date_put(got, unix_s));
    assert_string_equal(got, wanted);
    free(got);
}

static void dates_are_those_of_rfc_9110(void **state)
{
    (void)state;
    check(784111777, "Sun, 06 Nov 1994 08:49:37 GMT"); /* section 5.6.7 */
    check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    check(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    check(1798761599, "Thu, 31 Dec 2026 23:59:59 GMT");
    check(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void a_year_of_five_digits_has_no_date(void **state)
{
    (void)state;
    char out[EIO__DATE_CHARS];
    assert_false(eio__date_put(out, 253402300800));
    assert_false(eio__date_put(out, INT64_MAX));
    assert_false(eio__date_put(out, INT64_MIN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_those_of_rfc_9110),
        cmocka_unit_test(a_year_of_five_digits_has_no_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
