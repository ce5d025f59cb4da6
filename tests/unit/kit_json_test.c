/* How many values a text has, which bounds what its tree may cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guard.h"
#include "kit_json.h"

#include <string.h>

static size_t count(const char *text, size_t most)
{
    return kit_json_count((struct eio_str){text, strlen(text)}, most);
}

static void values_are_counted_but_not_in_strings(void **state)
{
    (void)state;
    assert_true(count("[1,2,3,4,5,6]", 3) > 3);
    assert_true(count("[{},{},{},{}]", 3) > 3);
    assert_true(count("[[[[[[[[]]]]]]]]", 3) > 3);
    assert_true(count("[\"a\\\",,,,,,[[[[{{{{\",\"\\\\\",1]", 5) <= 5);
    assert_true(count("\"a,b,c,d,e,f,g,h,i,j,k", 3) <= 3); /* cut off */
    assert_true(count("\"a,b,c,d,e,f,g,h,i,j,k\\", 3) <= 3);
}

/* A value takes two bytes, so a short text need not be read. */
static void a_short_text_has_few(void **state)
{
    (void)state;
    assert_true(count("[1,2,3]", 3) <= 3);
    assert_true(kit_json_count((struct eio_str){NULL, 0}, 100) <= 100);
}

static void nothing_behind_the_text_is_read(void **state)
{
    static const char *const texts[] = {"[\"a\\\"", "[\"a\\", "[1,{\"b\":\"c", "[[[[[[", "\"\\"};
    struct guard guard = {0};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t n = strlen(texts[i]);
        const char *at = (const char *)guard_put(&guard, (const uint8_t *)texts[i], n);
        kit_json_count((struct eio_str){at, n}, 0);
    }
    guard_free(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_counted_but_not_in_strings),
        cmocka_unit_test(a_short_text_has_few),
        cmocka_unit_test(nothing_behind_the_text_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
