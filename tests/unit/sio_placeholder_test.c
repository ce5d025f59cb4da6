/* Placeholders: what is one, and renumbering. */
#include "sio_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define P(n) "{\"_placeholder\":true,\"num\":" #n "}"

static void what_is_a_placeholder(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int number; /* -1: none */
    } cases[] = {
        {P(0), 0},
        {P(65535), 65535},
        {P(65536), -1},
        {P(99999999999999999999), -1},
        {" " P(7) " ", 7},
        {"{\"num\":3,\"_placeholder\":true}", 3},
        {"{ \"_placeholder\" :\ttrue ,\n\"num\" : 12 }", 12},
        {"{\n\"num\" :12\r, \"_placeholder\" : true}", 12},
        {"{\"_placeholder\":true}", -1},
        {"{\"num\":1}", -1},
        {"{}", -1},
        {"{\"_placeholder\":false,\"num\":1}", -1},
        {"{\"_placeholder\":true,\"num\":-1}", -1},
        {"{\"_placeholder\":true,\"num\":1.0}", -1},
        {"{\"_placeholder\":true,\"num\":1e0}", -1},
        {"{\"_placeholder\":true,\"num\":\"1\"}", -1},
        {"{\"_placeholder\":true,\"num\":1,\"a\":1}", -1},
        {"{\"num\":1,\"num\":1}", -1},
        {"{\"_placeholder\":true,\"_placeholder\":true}", -1},
        {"{\"\\u005fplaceholder\":true,\"num\":1}", -1},
        {"[" P(0) "]", -1},
        {P(0) "," P(0), -1},
        {"\"_placeholder\"", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t number = 0;
        bool is = sio__placeholder_parse(eio_str(cases[i].text), &number);
        if (is != (cases[i].number >= 0) || (is && number != (uint64_t)cases[i].number)) {
            fail_msg("wrong about: %s", cases[i].text);
        }
    }
}

/* What JavaScript peers would take for a placeholder though it is none of ours is found as such. */
static void bad_placeholders_are_found(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"_placeholder\":true}",
        "{\"_placeholder\":true,\"num\":0.5}",
        "{\"a\":0,\"_placeholder\" : true}",
        "{\"_placeholder\":{\"_placeholder\":true}}",
        "[1,{\"a\":[{\"_placeholder\":true,\"num\":0,\"x\":0}]}]",
        "{\"\\u005f\\u0070\\u006c\\u0061\\u0063\\u0065\\u0068\\u006f\\u006c\\u0064\\u0065\\u0072\":true,\"num\":0}",
    };
    static const char *const none[] = {
        "{\"_placeholder\":1}",
        "\"_placeholder\",true",
        "{\"a\":\"_placeholder\"}",
        "{\"_placeholder \":true}",
        "{\"\\\"_placeholder\":true}",
        "\"{\\\"_placeholder\\\":true,\\\"num\\\":0}\"",
        "{\"_placeholde\":true,\"num\":0}",
        "{\"\\u005fplaceholderr\":true}",
    };
    struct sio__placeholder found;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(sio__placeholder_next(eio_str(bad[i]), 0, &found), SIO__PLACEHOLDER_BAD);
        assert_true(found.at + found.size <= strlen(bad[i]) && found.size > 0);
        assert_int_equal(sio__placeholder_count(eio_str(bad[i])), 0);
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        if (sio__placeholder_next(eio_str(none[i]), 0, &found) != SIO__PLACEHOLDER_NONE) fail_msg("found: %s", none[i]);
    }
}

static void assert_renumbers(const char *text, size_t first, const char *should, const char *order)
{
    struct eio_str json = eio_str(text);
    size_t count = sio__placeholder_count(json), room = json.n + 20 * count;
    assert_int_equal(count, strlen(order));
    char *out = malloc(room ? room : 1);
    uint16_t *numbers = malloc((count ? count : 1) * sizeof *numbers);
    assert_non_null(out);
    assert_non_null(numbers);
    size_t n = sio__placeholder_renumber(json, first, out, numbers, count);
    assert_true(n <= room);
    assert_int_equal(n, strlen(should));
    assert_memory_equal(out, should, n);
    for (size_t i = 0; i < count; i++) assert_int_equal(numbers[i], order[i] - '0');
    free(out);
    free(numbers);
}

static void placeholders_are_renumbered(void **state)
{
    (void)state;
    assert_renumbers("", 0, "", "");
    assert_renumbers("1,\"x\"", 0, "1,\"x\"", "");
    assert_renumbers(P(1) "," P(0), 0, P(0) "," P(1), "10");
    assert_renumbers(P(0) "," P(0), 0, P(0) "," P(1), "00");
    assert_renumbers("[{\"a\":" P(2) "}],{ \"num\" : 1 , \"_placeholder\" : true } ,null", 5,
                     "[{\"a\":" P(5) "}]," P(6) " ,null", "21");
    assert_renumbers(P(3), 18446744073709551615u, P(18446744073709551615), "3");
    assert_renumbers("\""
                     "{\\\"_placeholder\\\":true,\\\"num\\\":0}\"," P(4),
                     0,
                     "\""
                     "{\\\"_placeholder\\\":true,\\\"num\\\":0}\"," P(0),
                     "4");
    assert_renumbers("{\"_placeholder\":true,\"num\":-1}," P(1), 0, "{\"_placeholder\":true,\"num\":-1}," P(0), "1");
}

static void renumbering_stops_at_the_size_of_order(void **state)
{
    (void)state;
    char out[256];
    uint16_t order[1] = {9};
    struct eio_str json = eio_str(P(3) "," P(2));
    size_t n = sio__placeholder_renumber(json, 0, out, order, 1);
    assert_int_equal(n, json.n);
    assert_memory_equal(out, P(0) "," P(2), n);
    assert_int_equal(order[0], 3);
    assert_int_equal(sio__placeholder_renumber(json, 0, out, NULL, 0), json.n);
    assert_memory_equal(out, json.p, json.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_placeholder),
        cmocka_unit_test(bad_placeholders_are_found),
        cmocka_unit_test(placeholders_are_renumbered),
        cmocka_unit_test(renumbering_stops_at_the_size_of_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
