/* The JSON scanner: what it accepts (JSON.parse decides), where it stops, and text in both directions. */
#include "sio_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct sio__json_limits limits = {128};

/* Scans a copy in a block of exactly that size: a read past the end is seen by ASan. */
static ssize_t scan(const char *text, size_t n, bool utf8_checked, struct sio__fault *fault)
{
    uint8_t *block = malloc(n ? n : 1);
    assert_non_null(block);
    memcpy(block, text, n);
    *fault = (struct sio__fault){0};
    ssize_t result = sio__json_scan(block, n, &limits, utf8_checked, fault);
    free(block);
    return result;
}

static bool accepts_bytes(const char *text, size_t n)
{
    struct sio__fault fault;
    ssize_t checked = scan(text, n, true, &fault);
    ssize_t unchecked = scan(text, n, false, &fault);
    assert_int_equal(checked, unchecked);
    if (checked < 0) assert_int_equal(fault.code, checked);
    return checked >= 0 && (size_t)checked == n;
}

static bool accepts(const char *text)
{
    return accepts_bytes(text, strlen(text));
}

#define assert_each(accepted, ...)                                                          \
    do {                                                                                    \
        static const char *const texts_[] = {__VA_ARGS__};                                  \
        for (size_t i_ = 0; i_ < sizeof texts_ / sizeof texts_[0]; i_++) {                  \
            if (accepts(texts_[i_]) != (accepted)) fail_msg("wrong about: %s", texts_[i_]); \
        }                                                                                   \
    } while (0)

/* ------------------------------------------------------------------------------------------------- accepting */

static void valid_texts_are_accepted(void **state)
{
    (void)state;
    assert_each(true, "0", "-0", "-0.0e-0", "1E+400", "123456789012345678901234567890", "true", "false", "null", "\"\"",
                " \t\r\n1\t\n\r ", "[]", "{}", "[ ]", "{ }", "[[],[[]],{}]", "{\"\":0}", "{\"a\":{\"a\":[{}]}}",
                "{\"a\":1,\"a\":2}", "[1,2 , 3]", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uABCD\\uabcd\"", "\"\\ud800\"",
                "\"\\udc00\\ud800\"", "\"\x7f\"", "\"\xc2\x80\"", "\"\xe2\x80\xa8\"", "\"\xf4\x8f\xbf\xbf\"",
                "\"\xef\xbb\xbf\"");
}

static void invalid_texts_are_refused(void **state)
{
    (void)state;
    assert_each(
        false, "", " ", "[", "]", "{", "}", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1 2]", "[1}", "{1}", "{\"a\"}",
        "{\"a\":}", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{\"a\" 1}", "{\"a\"::1}", "{a:1}", "{1:1}",
        "{\"a\":1]", "{[]:1}", "[:]", "[1:2]", ":", ",", "1,2", "1 2", "{}{}", "[][]", "[]]", "{}}", "tru", "trux",
        "truee", "True", "nul", "nulll", "fals", "undefined", "NaN", "Infinity", "-Infinity", "-", "+1", "--1", "01",
        "-01", "00", "1.", ".1", "-.1", "1.e1", "1e", "1e+", "1e-", "1e1.5", "1E", "0x10", "1_000", "1a", "\"", "\"a",
        "\"\\\"", "\"\\", "\"\\u", "\"\\u1", "\"\\u123", "\"\\u123\"", "\"\\u12g4\"", "\"\\x41\"", "\"\\'\"",
        "\"\\U0041\"", "\"\\\n\"", "'a'", "\"\n\"", "\"\t\"", "\"\x1f\"", "//a\n1", "/**/1", "1/**/", "\f1", "\v1",
        "\xc2\xa0"
        "1",
        "\xef\xbb\xbf"
        "1",
        "`a`", "\"a\"\"b\"", "{\"a\":1 \"b\":2}", "[\"a\" \"b\"]", "[[[", "[}]", "{\"a\":[}", "\\u0031", "[1,\n,2]");
    assert_false(accepts_bytes("\0", 1));
    assert_false(accepts_bytes("1\0", 2));
    assert_false(accepts_bytes("\"\0\"", 3));
    assert_false(accepts_bytes("[\0]", 3));
}

static void escapes_are_those_of_the_grammar(void **state)
{
    (void)state;
    for (int c = 1; c < 128; c++) {
        const char text[] = {'"', '\\', (char)c, '"', '\0'};
        if (c != 'u' && c != '"') assert_int_equal(accepts(text), strchr("\\/bfnrt", c) != NULL);
    }
    assert_true(accepts("\"\\\"\""));
}

static const struct {
    int accepted;
    size_t size;
    const char *text;
} vectors[] = {
#include "sio_json_vectors.inc"
};

static void agrees_with_javascript(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        if (accepts_bytes(vectors[i].text, vectors[i].size) != vectors[i].accepted) {
            fail_msg("JSON.parse says %d: %s", vectors[i].accepted, vectors[i].text);
        }
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* A vector with some bytes changed, dropped or added. */
static size_t mutate(char *out, uint32_t *seed)
{
    static const char noise[] = "{}[]\",:\\ \n0123456789-+.eEutfnal\x01\x80\xc3\xe2\xed\xf0\xa0\xbf";
    size_t i = next_random(seed) % (sizeof vectors / sizeof vectors[0]), n = vectors[i].size;
    memcpy(out, vectors[i].text, n);
    for (uint32_t count = next_random(seed) % 3; count > 0; count--) {
        size_t at = next_random(seed) % (n + 1);
        char byte = noise[next_random(seed) % (sizeof noise - 1)];
        if (at < n && next_random(seed) % 3 == 0) {
            memmove(out + at, out + at + 1, n - at - 1);
            n--;
        } else if (at == n || next_random(seed) % 2) {
            memmove(out + at + 1, out + at, n - at);
            out[at] = byte;
            n++;
        } else {
            out[at] = byte;
        }
    }
    return n;
}

/* jansson is strict too, and knows UTF-8; it refuses only some things that JavaScript accepts. Trees must be equal. */
static void agrees_with_jansson(void **state)
{
    (void)state;
    uint32_t seed = 7;
    size_t both = 0;
    char text[128];
    for (int i = 0; i < 60000; i++) {
        size_t n = mutate(text, &seed);
        if (memchr(text, '\0', n)) continue; /* jansson takes it for the end */
        struct sio__fault fault;
        ssize_t scanned = scan(text, n, false, &fault);
        bool accepted = scanned >= 0 && (size_t)scanned == n;
        json_error_t error;
        json_t *theirs = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        if (theirs && !accepted) fail_msg("refused, which jansson accepts: %.*s", (int)n, text);
        json_t *ours = accepted ? sio__json_tree((struct eio_str){text, n}) : NULL;
        if (accepted && !ours) fail_msg("no tree: %.*s", (int)n, text);
        if (theirs && !json_equal(theirs, ours)) fail_msg("another tree: %.*s", (int)n, text);
        int code = json_error_code(&error);
        if (accepted && !theirs && code != json_error_numeric_overflow && code != json_error_null_byte_in_key &&
            !strstr(error.text, "Unicode")) {
            fail_msg("accepted, but jansson: %s: %.*s", error.text, (int)n, text);
        }
        both += theirs != NULL;
        json_decref(theirs);
        json_decref(ours);
    }
    assert_true(both > 1000);
}

/* ------------------------------------------------------------------------------------------ where it stops */

static void first_value_ends_the_scan(void **state)
{
    (void)state;
    struct sio__fault fault;
    assert_int_equal(scan(" 1 ,2", 5, true, &fault), 3);
    assert_int_equal(scan("[1]]", 4, true, &fault), 3);
    assert_int_equal(scan("\"a\" x", 5, true, &fault), 4);
}

static void faults_name_the_byte(void **state)
{
    (void)state;
    struct sio__fault fault;
    assert_int_equal(scan("[1,?]", 5, true, &fault), EIO_EPROTO);
    assert_int_equal(fault.at, 3);
    assert_int_equal(scan("{\"a\":\"\\q\"}", 10, true, &fault), EIO_EPROTO);
    assert_int_equal(fault.at, 6);
    assert_int_equal(scan("[1", 2, true, &fault), EIO_EPROTO);
    assert_int_equal(fault.at, 2);
}

/* Strings are read 16 bytes at a time: a byte that ends or breaks one is found at every place of every size. */
static void special_bytes_are_found_everywhere(void **state)
{
    (void)state;
    char text[80];
    for (size_t n = 2; n < 76; n++) {
        for (size_t at = 1; at + 1 < n; at++) {
            struct sio__fault fault;
            memset(text, 'x', n);
            text[0] = text[n - 1] = '"';
            assert_int_equal(scan(text, n, true, &fault), n);
            text[at] = '"';
            assert_int_equal(scan(text, n, true, &fault), at + 1);
            text[at] = '\x1f';
            assert_int_equal(scan(text, n, true, &fault), EIO_EPROTO);
            assert_int_equal(fault.at, at);
            text[at] = '\x80';
            assert_int_equal(scan(text, n, false, &fault), EIO_EUTF8);
            assert_int_equal(fault.at, at);
            text[at] = '\\';
            assert_int_equal(scan(text, n, true, &fault), EIO_EPROTO);
        }
    }
}

static void invalid_utf8_is_refused(void **state)
{
    (void)state;
    struct sio__fault fault;
    static const char *const texts[] = {
        "\"\x80\"",         "\"\xc0\x80\"",         "\"\xc1\xbf\"",         "\"\xc3\"",
        "\"\xe0\x9f\xbf\"", "\"\xe2\x82\"",         "\"\xed\xa0\x80\"",     "\"\xf0\x8f\xbf\xbf\"",
        "\"\xf0\x9f\x98\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"", "\"\xff\"",
        "\"\xe2\x82",       "{\"\xc3(\":1}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(scan(texts[i], strlen(texts[i]), false, &fault), EIO_EUTF8);
    }
    assert_int_equal(scan("\"\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\"", 14, false, &fault), 14);
}

static void depth_is_limited(void **state)
{
    (void)state;
    struct sio__fault fault;
    static char text[2 * SIO__JSON_DEPTH_MAX + 2];
    for (size_t depth = 1; depth <= SIO__JSON_DEPTH_MAX + 1; depth += depth < 130 ? 1 : 61) {
        struct sio__json_limits exact = {depth}, less = {depth - 1};
        bool fits = depth <= SIO__JSON_DEPTH_MAX;
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        ssize_t n = sio__json_scan((uint8_t *)text, 2 * depth, &exact, true, &fault);
        assert_int_equal(n, fits ? (ssize_t)(2 * depth) : EIO_ETOOBIG);
        assert_int_equal(sio__json_scan((uint8_t *)text, 2 * depth, &less, true, &fault), EIO_ETOOBIG);
        assert_int_equal(fault.at, depth - 1);
    }
    struct sio__json_limits none = {0};
    assert_int_equal(sio__json_scan((const uint8_t *)"1", 1, &none, true, &fault), 1);
    assert_int_equal(sio__json_scan((const uint8_t *)"[]", 2, &none, true, &fault), EIO_ETOOBIG);
}

/* The kinds of all levels are remembered: closing with the wrong bracket is seen at each. */
static void brackets_match_at_every_level(void **state)
{
    (void)state;
    static const struct sio__json_limits deep = {SIO__JSON_DEPTH_MAX};
    char text[2000];
    uint32_t seed = 3;
    for (int round = 0; round < 300; round++) {
        size_t depth = 1 + next_random(&seed) % 200, n = 0, wrong = next_random(&seed) % depth;
        char kinds[200];
        for (size_t i = 0; i < depth; i++) {
            kinds[i] = next_random(&seed) % 2 ? '}' : ']';
            n += (size_t)sprintf(text + n, kinds[i] == '}' ? "{\"a\":" : "[");
        }
        text[n++] = '1';
        size_t closing = n;
        for (size_t i = depth; i > 0; i--) text[n++] = kinds[i - 1];
        struct sio__fault fault;
        assert_int_equal(sio__json_scan((uint8_t *)text, n, &deep, true, &fault), n);
        assert_int_equal(base_json_skip((uint8_t *)text, n), n);
        text[closing + wrong] = text[closing + wrong] == '}' ? ']' : '}';
        assert_int_equal(sio__json_scan((uint8_t *)text, n, &deep, true, &fault), EIO_EPROTO);
        assert_int_equal(fault.at, closing + wrong);
    }
}

static void arrays_with_a_name(void **state)
{
    (void)state;
    struct sio__fault fault;
    struct sio__json_limits one = {1};
    struct base_json_named named;
#define NAMED(text, limit) sio__json_scan_named((const uint8_t *)(text), strlen(text), limit, &named, &fault)
    assert_int_equal(NAMED("[\"a\"]", &one), 5);
    assert_int_equal(NAMED("[ 12 , 1 , \"x\" ] x", &one), 17);
    assert_int_equal(named.at, 2);
    assert_int_equal(named.end, 4);
    assert_int_equal(named.closed, 16);
    assert_false(named.has_escapes);
    assert_int_equal(NAMED("[\"\\u0061\",\"b\"]", &one), 14);
    assert_true(named.has_escapes);
    assert_int_equal(NAMED("[\"a\",\"\\n\"]", &one), 10);
    assert_false(named.has_escapes);
    assert_int_equal(NAMED("[1,[]]", &one), EIO_ETOOBIG);
    assert_int_equal(NAMED("[1]", &(struct sio__json_limits){0}), EIO_ETOOBIG);
    assert_int_equal(NAMED("[\"a\",[{}]]", &limits), 10);
    static const struct sio__json_limits deep = {151};
    char text[400] = "[\"a\",";
    memset(text + 5, '[', 150);
    memset(text + 155, ']', 151);
    assert_int_equal(NAMED(text, &deep), 306);
    assert_int_equal(named.end, 4);
    text[300] = '}';
    assert_int_equal(NAMED(text, &deep), EIO_EPROTO);
    assert_int_equal(fault.at, 300);
    static const char *const wrong[] = {"[",     "[ ",  "[\"a",     "[1",   "[1,", "[1,]",
                                        "[1 2]", "[1}", "[\"a\"1]", "[01]", "[-]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_int_equal(NAMED(wrong[i], &limits), EIO_EPROTO);
#undef NAMED
    assert_int_equal(sio__json_scan(NULL, 0, &limits, true, &fault), EIO_EPROTO);
}

/* -------------------------------------------------------------------------------------------- scanned text */

static void values_are_skipped(void **state)
{
    (void)state;
    static const char *const values[] = {"1",
                                         "-1.5e3",
                                         "true",
                                         "null",
                                         "\"a,]\\\"}\\\\\"",
                                         "[1,[2,\"]\"],{\"a\":\"}\"}]",
                                         "{}",
                                         "[]",
                                         "{\"k\":[{\"long enough for sixteen bytes\":\"\\\\\"}]}"};
    static const char *const after[] = {"", ",1", " , 1", "]", "}", "\n]"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        for (size_t j = 0; j < sizeof after / sizeof after[0]; j++) {
            char text[128];
            int n = snprintf(text, sizeof text, "%s%s", values[i], after[j]);
            assert_int_equal(base_json_skip((uint8_t *)text, (size_t)n), strlen(values[i]));
        }
    }
    assert_int_equal(base_json_skip(NULL, 0), 0);
}

static void assert_decodes(const char *quoted, const char *text, size_t n)
{
    char out[128];
    assert_int_equal(sio__json_decode_text(eio_str(quoted), NULL), n);
    assert_int_equal(sio__json_decode_text(eio_str(quoted), out), n);
    assert_memory_equal(out, text, n);
    assert_true(n + 2 <= strlen(quoted));
}

static void text_is_decoded(void **state)
{
    (void)state;
    assert_decodes("\"\"", "", 0);
    assert_decodes("\"plain \xc3\xa4\"", "plain \xc3\xa4", 8);
    assert_decodes("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8);
    assert_decodes("\"a\\u0000b\"", "a\0b", 3);
    assert_decodes("\"\\u00e4\\u20AC\\u007f\"", "\xc3\xa4\xe2\x82\xac\x7f", 6);
    assert_decodes("\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", 4);
    assert_decodes("\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf", 4);
    /* Lone surrogates: U+FFFD each. */
    assert_decodes("\"\\ud800\"", "\xef\xbf\xbd", 3);
    assert_decodes("\"\\ud800x\"", "\xef\xbf\xbdx", 4);
    assert_decodes("\"\\ud800\\n\"", "\xef\xbf\xbd\n", 4);
    assert_decodes("\"\\ud800\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80", 7);
    assert_decodes("\"\\udc00\\ud800\"", "\xef\xbf\xbd\xef\xbf\xbd", 6);
    assert_decodes("\"\\ud800\\ue000\"", "\xef\xbf\xbd\xee\x80\x80", 6);
    assert_decodes("\"\\ud800\\u0041\"", "\xef\xbf\xbd\x41", 4);
}

static void assert_quotes(const char *text, size_t n, const char *quoted)
{
    char out[128];
    char *block = malloc(n ? n : 1);
    assert_non_null(block);
    memcpy(block, text, n);
    size_t size = base_json_quoted_size(block, n);
    assert_int_equal(size, strlen(quoted));
    assert_ptr_equal(base_json_put_quoted(out, block, n), out + size);
    assert_memory_equal(out, quoted, size);
    assert_true(accepts_bytes(out, size));
    free(block);
}

static void text_is_quoted(void **state)
{
    (void)state;
    assert_quotes("", 0, "\"\"");
    assert_quotes("plain text of more than sixteen bytes", 37, "\"plain text of more than sixteen bytes\"");
    assert_quotes("\"\\/\b\f\n\r\t\x7f", 9, "\"\\\"\\\\/\\b\\f\\n\\r\\t\x7f\"");
    assert_quotes("a\0\x1f", 3, "\"a\\u0000\\u001f\"");
    assert_quotes("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
    /* Each broken sequence is one U+FFFD. */
    assert_quotes("a\xff"
                  "b",
                  3,
                  "\"a\xef\xbf\xbd"
                  "b\"");
    assert_quotes("\xf0\x9f\x98", 3, "\"\xef\xbf\xbd\"");
    assert_quotes("\xe2\x82\"", 3, "\"\xef\xbf\xbd\\\"\"");
    assert_quotes("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_quotes("0123456789abcde\xc3", 16, "\"0123456789abcde\xef\xbf\xbd\"");
}

static void quoting_and_decoding_are_inverse(void **state)
{
    (void)state;
    uint32_t seed = 11;
    for (int i = 0; i < 20000; i++) {
        static const char *const pieces[] = {
            "a", "\"", "\\", "\n", "\x01", "\xc3\xa4", "\xf0\x9f\x98\x80", "long piece of text"};
        char text[256], quoted[2048], back[2048];
        size_t n = 0;
        for (uint32_t count = next_random(&seed) % 12; count > 0; count--) {
            const char *piece = pieces[next_random(&seed) % 8];
            memcpy(text + n, piece, strlen(piece));
            n += strlen(piece);
        }
        size_t size = base_json_quoted_size(text, n);
        assert_ptr_equal(base_json_put_quoted(quoted, text, n), quoted + size);
        assert_int_equal(sio__json_decode_text((struct eio_str){quoted, size}, back), n);
        assert_memory_equal(back, text, n);
    }
}

/* -------------------------------------------------------------------------------------------------- trees */

static void assert_tree(const char *text, const char *should)
{
    json_t *tree = sio__json_tree(eio_str(text));
    assert_non_null(tree);
    char *dumped = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_non_null(dumped);
    assert_string_equal(dumped, should);
    free(dumped);
    json_decref(tree);
}

static void trees(void **state)
{
    (void)state;
    assert_tree(" {\"a\" : [1, -2.5, true, false, null, \"x\"], \"b\":{\"c\":{}}, \"\":[[],{}]} ",
                "{\"a\":[1,-2.5,true,false,null,\"x\"],\"b\":{\"c\":{}},\"\":[[],{}]}");
    assert_tree("{\"a\":1,\"a\":[2]}", "{\"a\":[2]}");
    assert_tree("{\"a\":[1],\"a\":2,\"b\":3}", "{\"a\":2,\"b\":3}");
    assert_tree("{\"\\u0061\":\"\\ud800\"}", "{\"a\":\"\xef\xbf\xbd\"}");
    assert_tree("[1e999,-1e999]", "[null,null]");
    assert_tree("[9007199254740993,-9223372036854775808,9223372036854775807,0,-0]",
                "[9007199254740993,-9223372036854775808,9223372036854775807,0,0]");
    assert_tree("[999999999999999999,-999999999999999999,9223372036854775808]",
                "[999999999999999999,-999999999999999999,9.2233720368547758e18]");
    assert_tree("18446744073709551616", "1.8446744073709552e19");
    assert_tree("\"x\"", "\"x\"");
    assert_null(sio__json_tree(eio_str("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_texts_are_accepted),
        cmocka_unit_test(invalid_texts_are_refused),
        cmocka_unit_test(escapes_are_those_of_the_grammar),
        cmocka_unit_test(agrees_with_javascript),
        cmocka_unit_test(agrees_with_jansson),
        cmocka_unit_test(first_value_ends_the_scan),
        cmocka_unit_test(faults_name_the_byte),
        cmocka_unit_test(special_bytes_are_found_everywhere),
        cmocka_unit_test(invalid_utf8_is_refused),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(brackets_match_at_every_level),
        cmocka_unit_test(arrays_with_a_name),
        cmocka_unit_test(values_are_skipped),
        cmocka_unit_test(text_is_decoded),
        cmocka_unit_test(text_is_quoted),
        cmocka_unit_test(quoting_and_decoding_are_inverse),
        cmocka_unit_test(trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
