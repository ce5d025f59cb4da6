/* base_json.c: walks and values. The scanner and the text are tested through sio_json_test.c, against JSON.parse. */
#include "base_json.h"
#include "guard.h"
#include "test.h"

#include <string.h>

static struct base_str str(const char *text)
{
    return (struct base_str){text, strlen(text)};
}

/* All that a walk over the value says: "key=value|…", ending at a guard page. */
static const char *walked(const char *value)
{
    static struct guard guard;
    static char out[512];
    struct base_json_walk walk;
    struct base_str key, one,
        text = {(const char *)guard_put(&guard, (const uint8_t *)value, strlen(value)), strlen(value)};
    out[0] = '\0';
    if (!base_json_open(&walk, text)) return "neither";
    while (base_json_each(&walk, walk.is_object ? &key : NULL, &one)) {
        size_t used = strlen(out);
        if (walk.is_object)
            snprintf(out + used, sizeof out - used, "%.*s=%.*s|", (int)key.n, key.p, (int)one.n, one.p);
        else
            snprintf(out + used, sizeof out - used, "%.*s|", (int)one.n, one.p);
    }
    return out;
}

TEST(base_json, a_walk_gives_exact_slices_without_the_space_around_them)
{
    assert_string_equal(walked("[]"), "");
    assert_string_equal(walked("{}"), "");
    assert_string_equal(walked(" [ ] "), "");
    assert_string_equal(walked("\n{\t}\r"), "");
    assert_string_equal(walked("[1]"), "1|");
    assert_string_equal(walked("[1,\"a,]\",[2,[3]],{\"b\":[]},null]"), "1|\"a,]\"|[2,[3]]|{\"b\":[]}|null|");
    assert_string_equal(walked(" [ 1 , \"\\\"\" , -2.5e3 ] "), "1|\"\\\"\"|-2.5e3|");
    assert_string_equal(walked("{\"a\":1,\"b\":{\"c\":\"}\"},\"a\":[]}"), "\"a\"=1|\"b\"={\"c\":\"}\"}|\"a\"=[]|");
    assert_string_equal(walked(" { \"a\" : 1 , \"\\u003a:\" : true } "), "\"a\"=1|\"\\u003a:\"=true|");
    assert_string_equal(walked("1"), "neither");
    assert_string_equal(walked("\"[\""), "neither");
    assert_string_equal(walked(""), "neither");
}

TEST(base_json, a_text_is_compared_decoded)
{
    assert_true(base_json_text_is(str("\"\""), str("")));
    assert_true(base_json_text_is(str("\"abc\""), str("abc")));
    assert_false(base_json_text_is(str("\"abc\""), str("ab")));
    assert_false(base_json_text_is(str("\"ab\""), str("abc")));
    assert_true(base_json_text_is(str("\"\\u0061b\\n\""), str("ab\n")));
    assert_false(base_json_text_is(str("\"\\u0061b\\n\""), str("ab")));
    assert_false(base_json_text_is(str("\"\\u0061b\""), str("abc")));
    assert_true(base_json_text_is(str("\"\\ud83d\\ude00\""), str("\xf0\x9f\x98\x80")));
    assert_true(base_json_text_is(str("\"\\ud83d!\""), str("\xef\xbf\xbd!")));
    assert_true(base_json_text_is(str("\"\\u0000\""), (struct base_str){"", 1}));
    assert_false(base_json_text_is(str("abc"), str("abc")));
    assert_false(base_json_text_is(str("1"), str("")));
    assert_false(base_json_text_is((struct base_str){NULL, 0}, str("")));
}

TEST(base_json, a_whole_number_is_all_of_64_bits_and_no_more)
{
    static const char *const none[] = {
        "", "-1", "+1", "1.0", "1e3", "18446744073709551616", "99999999999999999999", "\"1\"", " 1"};
    uint64_t number;
    assert_true(base_json_uint(str("0"), &number));
    assert_int_equal(number, 0);
    assert_true(base_json_uint(str("18446744073709551615"), &number));
    assert_true(number == UINT64_MAX);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) assert_false(base_json_uint(str(none[i]), &number));
}

/* Their ends at a guard page. */
TEST(base_json, one_string_or_number_is_checked_alone)
{
    static struct guard guard;
    static const struct {
        const char *text;
        size_t string, number;
    } cases[] = {{"\"\"", 2, 0},
                 {"\"a\\\"b\",", 6, 0},
                 {"\"\\u00e9\"", 8, 0},
                 {"\"caf\xc3\xa9\"", 7, 0},
                 {"\"", 0, 0},
                 {"\"a", 0, 0},
                 {"\"\\\"", 0, 0},
                 {"\"\\x\"", 0, 0},
                 {"\"\n\"", 0, 0},
                 {"\"\xff\"", 0, 0},
                 {"\"\xc3", 0, 0},
                 {"", 0, 0},
                 {"0", 0, 1},
                 {"-0.5e+3,", 0, 7},
                 {"12]", 0, 2},
                 {"-", 0, 0},
                 {"1.", 0, 0},
                 {"1e", 0, 0},
                 {"+1", 0, 0},
                 {".5", 0, 0},
                 {"0123456789012345678", 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = strlen(cases[i].text);
        const uint8_t *p = guard_put(&guard, (const uint8_t *)cases[i].text, n);
        if (base_json_scan_text(p, n) != cases[i].string) fail_msg("as a string: %s", cases[i].text);
        if (base_json_scan_number(p, n) != cases[i].number) fail_msg("as a number: %s", cases[i].text);
    }
}

TEST_MAIN
