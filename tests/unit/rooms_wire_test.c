/* rooms_json.c, rooms_msgpack_walk.c, rooms_names.c: what the adapters' messages are read with. Every input ends at a
 * guard page. */
#include "rooms_wire.h"
#include "guard.h"
#include "test.h"

#include <string.h>

static struct guard guard;

static struct rooms_bytes put(const char *text)
{
    size_t n = strlen(text);
    return (struct rooms_bytes){guard_put(&guard, (const uint8_t *)text, n), n};
}

static int check(const char *text)
{
    return rooms__json_check(put(text));
}

TEST(json, what_json_parse_takes_is_taken)
{
    static const char *const good[] = {
        "0",
        "-0",
        "1.50",
        "-12.5e+10",
        "1E400",
        "18446744073709551616",
        "\"\"",
        "\"\\ud800\"",
        "null",
        " [ ] ",
        "{}",
        "[1,[2,{\"a\":[]}],\"\xc3\xbc\"]",
        "\t{\"a\" : 1 , \"a\":2}\n",
        "true",
        "false",
        "\"\\u00e4\\n\\/\"",
        "[[[]]]",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) assert_int_equal(check(good[i]), ROOMS_OK);
}

TEST(json, everything_else_is_refused)
{
    static const char *const bad[] = {
        "",          " ",          "01",          "1.",           ".5",        "+1",
        "1e",        "-",          "nul",         "nulL",         "tru",       "\"",
        "\"\\\"",    "\"\\x\"",    "\"\\u00g0\"", "\"\n\"",       "\"\xff\"",  "\"\xed\xa0\x80\"",
        "\"\xc3\"",  "[",          "[1",          "[1,",          "[1,]",      "[,1]",
        "]",         "[1}",        "{",           "{\"a\"",       "{\"a\":",   "{\"a\":1",
        "{\"a\":1,", "{\"a\":1,}", "{a:1}",       "{1:1}",        "{\"a\" 1}", "1 2",
        "[]]",       "{}{}",       "'a'",         "[\"a\"\"b\"]", "{\"a\":}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_int_equal(check(bad[i]), ROOMS_EINVAL);
}

TEST(json, a_text_that_is_cut_is_no_json)
{
    static const char whole[] = "{\"a\":[1.5e3,\"\xe2\x82\xac\\u20ac\",null,{}],\"b\":true}";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        struct rooms_bytes cut = {guard_put(&guard, (const uint8_t *)whole, n), n};
        assert_int_equal(rooms__json_check(cut), ROOMS_EINVAL);
    }
    assert_int_equal(check(whole), ROOMS_OK);
}

TEST(json, depth_has_a_limit)
{
    static char deep[2 * ROOMS_MSGPACK_DEPTH_MAX + 3];
    memset(deep, '[', ROOMS_MSGPACK_DEPTH_MAX);
    memset(deep + ROOMS_MSGPACK_DEPTH_MAX, ']', ROOMS_MSGPACK_DEPTH_MAX);
    assert_int_equal(check(deep), ROOMS_OK);
    memset(deep, '[', ROOMS_MSGPACK_DEPTH_MAX + 1);
    memset(deep + ROOMS_MSGPACK_DEPTH_MAX + 1, ']', ROOMS_MSGPACK_DEPTH_MAX + 1);
    assert_int_equal(check(deep), ROOMS_ELIMIT);
}

static void assert_slice(struct rooms_bytes slice, const char *expected)
{
    assert_int_equal(slice.n, strlen(expected));
    assert_memory_equal(slice.p, expected, slice.n);
}

TEST(json, members_are_exact_slices_and_the_last_of_a_name_counts)
{
    static const char *const names[] = {"a", "b", "c", "d", "none"};
    struct rooms_bytes found[5];
    struct rooms_bytes object =
        put(" {\"a\" : 1.0 ,\"\\u0062\":[ 1, {\"a\":2}]\n, \"c\":\"x,}\\\"\",\"a\":1e2,\"d\":{}}");
    assert_int_equal(rooms__json_check(object), 0);
    assert_true(rooms__json_find(object, names, 5, found));
    assert_slice(found[0], "1e2");
    assert_slice(found[1], "[ 1, {\"a\":2}]");
    assert_slice(found[2], "\"x,}\\\"\"");
    assert_slice(found[3], "{}");
    assert_int_equal(found[4].n, 0);
    assert_false(rooms__json_find(put("[1]"), names, 5, found));
    assert_false(rooms__json_find(put("1"), names, 5, found));
}

TEST(json, text_is_decoded)
{
    char out[64];
    struct rooms_bytes text = put("\"a\\u00e4\\ud83d\\ude00\\ud800x\\n\\\\\\u20ac\"");
    long n = rooms__json_text(text, out);
    static const char expected[] = "a\xc3\xa4\xf0\x9f\x98\x80\xef\xbf\xbdx\n\\\xe2\x82\xac";
    assert_int_equal(n, sizeof expected - 1);
    assert_memory_equal(out, expected, (size_t)n);
    assert_true(rooms__json_text_is(text, (struct rooms_name){expected, sizeof expected - 1}));
    assert_false(rooms__json_text_is(text, (struct rooms_name){expected, sizeof expected - 2}));
    assert_int_equal(rooms__json_text(put("5"), out), -1);
}

TEST(json, whole_numbers)
{
    uint64_t number;
    assert_true(rooms__json_uint(put("18446744073709551615"), &number) && number == UINT64_MAX);
    assert_true(rooms__json_uint(put("0"), &number) && number == 0);
    assert_false(rooms__json_uint(put("18446744073709551616"), &number));
    assert_false(rooms__json_uint(put("-1"), &number));
    assert_false(rooms__json_uint(put("1.0"), &number));
    assert_false(rooms__json_uint(put(""), &number));
}

TEST(json, text_is_written_with_escapes)
{
    struct rooms_packer packer;
    rooms_packer_init(&packer);
    rooms__put_text(&packer, (struct rooms_name){"a\"\\\x01\n\0\xc3\xbc", 8});
    rooms__put(&packer, ",");
    rooms__put_uint(&packer, UINT64_MAX);
    assert_slice((struct rooms_bytes){packer.bytes, packer.size},
                 "\"a\\\"\\\\\\u0001\\n\\u0000\xc3\xbc\",18446744073709551615");
    rooms_packer_clear(&packer);
}

/* ----------------------------------------------------------------- msgpack */

static const uint8_t sample[] = {
    0x85, 0xa1, 'a', 0x93, 0x01, 0xcd, 0x01, 0x00, 0xd0, 0xff, 0xa1, 'b', 0xc4, 0x02, 1, 2, 0x05,
    0xc0, 0xa1, 'c', 0xd4, 0x00, 0x00, 0xa1, 'd',  0xcb, 0x3f, 0xf8, 0,   0,    0,    0, 0, 0,
};

TEST(msgpack, values_are_slices_and_what_is_cut_is_refused)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct rooms_bytes found[4];
    for (size_t n = 0; n < sizeof sample; n++) {
        const uint8_t *p = guard_put(&guard, sample, n);
        assert_int_equal(rooms__msgpack_skip(p, n), ROOMS_EINVAL);
        assert_int_equal(rooms__msgpack_find(p, n, names, 4, found), ROOMS_EINVAL);
    }
    const uint8_t *p = guard_put(&guard, sample, sizeof sample);
    assert_int_equal(rooms__msgpack_skip(p, sizeof sample), sizeof sample);
    assert_int_equal(rooms__msgpack_find(p, sizeof sample, names, 4, found), sizeof sample);
    assert_int_equal(found[0].p - p, 3);
    assert_int_equal(found[0].n, 7);
    assert_int_equal(found[1].n, 4);
    assert_int_equal(found[2].n, 3);
    assert_int_equal(found[3].n, 9);
}

TEST(msgpack, heads_say_what_stands_there)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum rooms__msgpack_kind kind;
        uint64_t number;
        size_t body;
    } heads[] = {
        {"\x7f", 1, ROOMS__MSGPACK_UINT, 127, 1},
        {"\xcc\xff", 2, ROOMS__MSGPACK_UINT, 255, 2},
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, ROOMS__MSGPACK_UINT, UINT64_MAX, 9},
        {"\xd1\x01\x00", 3, ROOMS__MSGPACK_UINT, 256, 3},
        {"\xd3\xff\xff\xff\xff\xff\xff\xff\xff", 9, ROOMS__MSGPACK_NUMBER, UINT64_MAX, 9},
        {"\xff", 1, ROOMS__MSGPACK_NUMBER, 255, 1},
        {"\xca\x00\x00\x00\x00", 5, ROOMS__MSGPACK_NUMBER, 0, 5},
        {"\xc0", 1, ROOMS__MSGPACK_NIL, 0, 0},
        {"\xc2", 1, ROOMS__MSGPACK_BOOL, 0, 0},
        {"\xc3", 1, ROOMS__MSGPACK_BOOL, 1, 0},
        {"\xd9\x03"
         "abc",
         5, ROOMS__MSGPACK_TEXT, 0, 3},
        {"\xda\x00\x01"
         "a",
         4, ROOMS__MSGPACK_TEXT, 0, 1},
        {"\xdb\x00\x00\x00\x00", 5, ROOMS__MSGPACK_TEXT, 0, 0},
        {"\xc5\x00\x01"
         "a",
         4, ROOMS__MSGPACK_BINARY, 0, 1},
        {"\xc6\x00\x00\x00\x01"
         "a",
         6, ROOMS__MSGPACK_BINARY, 0, 1},
        {"\xc7\x01\x05"
         "a",
         4, ROOMS__MSGPACK_EXTENSION, 0, 1},
        {"\xc8\x00\x01\x05"
         "a",
         5, ROOMS__MSGPACK_EXTENSION, 0, 1},
        {"\xc9\x00\x00\x00\x00\x05", 6, ROOMS__MSGPACK_EXTENSION, 0, 0},
        {"\xd4\x00\x00", 3, ROOMS__MSGPACK_UNDEFINED, 0, 1},
        {"\xd4\x01\x00", 3, ROOMS__MSGPACK_EXTENSION, 0, 1},
        {"\xd8\x01"
         "0123456789abcdef",
         18, ROOMS__MSGPACK_EXTENSION, 0, 16},
        {"\x90", 1, ROOMS__MSGPACK_ARRAY, 0, 0},
        {"\x80", 1, ROOMS__MSGPACK_MAP, 0, 0},
        {"\xde\x00\x00", 3, ROOMS__MSGPACK_MAP, 0, 0},
        {"\xdd\x00\x00\x00\x00", 5, ROOMS__MSGPACK_ARRAY, 0, 0},
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct rooms__msgpack_head head;
        for (size_t n = 0; n < heads[i].size; n++) {
            const uint8_t *cut = guard_put(&guard, (const uint8_t *)heads[i].bytes, n);
            assert_int_equal(rooms__msgpack_head(cut, n, &head), ROOMS_EINVAL);
        }
        const uint8_t *p = guard_put(&guard, (const uint8_t *)heads[i].bytes, heads[i].size);
        assert_int_equal(rooms__msgpack_head(p, heads[i].size, &head), heads[i].size);
        assert_int_equal(head.kind, heads[i].kind);
        assert_true(head.number == heads[i].number);
        assert_int_equal(head.body.n, heads[i].body);
    }
}

TEST(msgpack, what_claims_more_than_there_is_costs_nothing)
{
    static const uint8_t huge[][6] = {
        {0xdd, 0xff, 0xff, 0xff, 0xff, 0}, {0xdf, 0xff, 0xff, 0xff, 0xff, 0}, {0xdb, 0xff, 0xff, 0xff, 0xff, 0},
        {0xdc, 0xff, 0xff, 0, 0, 0},       {0x92, 0xdc, 0x00, 0x02, 0, 0},    {0xc1, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++)
        assert_int_equal(rooms__msgpack_skip(guard_put(&guard, huge[i], i == 4 ? 5 : 6), i == 4 ? 5 : 6), ROOMS_EINVAL);
}

TEST(msgpack, depth_is_no_concern_of_a_skip)
{
    static uint8_t deep[100001];
    memset(deep, 0x91, sizeof deep - 1);
    deep[sizeof deep - 1] = 0xc0;
    assert_int_equal(rooms__msgpack_skip(deep, sizeof deep), sizeof deep);
    assert_int_equal(rooms__msgpack_skip(deep, sizeof deep - 1), ROOMS_EINVAL);
}

/* ------------------------------------------------------------------- names */

static void assert_names(struct rooms__names *names, const char *expected)
{
    char text[256] = "";
    for (size_t i = 0; i < names->count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s|", (int)names->names[i].n, names->names[i].p);
    assert_string_equal(text, expected);
    rooms__names_clear(names);
}

TEST(names, of_json)
{
    struct rooms__names names;
    assert_int_equal(rooms__names_of_json(&names, put("[\"a\", \"\\u00e4b\", 12, -1.50,null ,[\"x\"],\"\\n\",\"\"]")),
                     0);
    assert_names(&names, "a|\xc3\xa4"
                         "b|12|-1.50|||\n||");
    assert_int_equal(rooms__names_of_json(&names, put("[]")), 0);
    assert_names(&names, "");
    assert_int_equal(rooms__names_of_json(&names, put("null")), 0);
    assert_names(&names, "");
    assert_int_equal(rooms__names_of_json(&names, (struct rooms_bytes){NULL, 0}), 0);
    assert_names(&names, "");
    assert_int_equal(rooms__names_of_json(&names, put("{\"a\":1}")), ROOMS_EINVAL);
    assert_int_equal(rooms__names_of_json(&names, put("\"a\"")), ROOMS_EINVAL);
}

TEST(names, of_msgpack)
{
    static const uint8_t list[] = {0x99, 0xa1, 'a',  0x0c, 0xff, 0xca, 0x00, 0x80, 0x00, 0x00, 0xc0, 0xa0, 0x91, 0xa1,
                                   'x',  0xcb, 0x3f, 0xf8, 0,    0,    0,    0,    0,    0,    0xc4, 1,    'z'};
    struct rooms__names names;
    struct rooms_bytes whole = {guard_put(&guard, list, sizeof list), sizeof list};
    assert_int_equal(rooms__names_of_msgpack(&names, whole), 0);
    assert_names(&names, "a|12|-1|1.1754943508222875e-38||||1.5||");
    for (size_t n = 1; n < sizeof list; n++) {
        struct rooms_bytes cut = {guard_put(&guard, list, n), n};
        assert_int_equal(rooms__names_of_msgpack(&names, cut), ROOMS_EINVAL);
    }
    static const uint8_t others[][3] = {{0xc0}, {0xd4, 0, 0}, {0x90}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rooms__names_of_msgpack(&names, (struct rooms_bytes){others[i], i == 1 ? 3 : 1}), 0);
        assert_names(&names, "");
    }
    assert_int_equal(rooms__names_of_msgpack(&names, put("a")), ROOMS_EINVAL);
}

TEST_MAIN
