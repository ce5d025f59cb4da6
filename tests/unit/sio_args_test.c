/* Looking at arguments. */
#include "sio_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define P(n) "{\"_placeholder\":true,\"num\":" #n "}"

static void assert_text(struct eio_str is, const char *should)
{
    if (!should) {
        assert_null(is.p);
        assert_int_equal(is.n, 0);
        return;
    }
    assert_int_equal(is.n, strlen(should));
    assert_memory_equal(is.p ? is.p : "", should, is.n);
}

static void arguments_are_counted_and_found(void **state)
{
    (void)state;
    struct sio_args args = sio_args_json(" 1 , \"a,b\" ,[2,[3]] ,\n{\"k\":\"}\"},null ");
    assert_int_equal(sio_args_count(args), 5);
    assert_text(sio_args_at(args, 0), "1");
    assert_text(sio_args_at(args, 1), "\"a,b\"");
    assert_text(sio_args_at(args, 2), "[2,[3]]");
    assert_text(sio_args_at(args, 3), "{\"k\":\"}\"}");
    assert_text(sio_args_at(args, 4), "null");
    assert_text(sio_args_at(args, 5), NULL);
    assert_text(sio_args_at(args, (size_t)-1), NULL);
    assert_int_equal(sio_args_count(sio_args_none()), 0);
    assert_int_equal(sio_args_count(sio_args_json("  ")), 0);
    assert_text(sio_args_at(sio_args_none(), 0), NULL);
}

static void first_ones_are_skipped(void **state)
{
    (void)state;
    struct sio_args args = sio_args_json("1, 2,3");
    assert_text(sio_args_skip(args, 0).json, "1, 2,3");
    assert_text(sio_args_skip(args, 1).json, "2,3");
    assert_text(sio_args_skip(args, 2).json, "3");
    assert_text(sio_args_skip(args, 3).json, "");
    assert_text(sio_args_skip(args, 99).json, "");
    assert_text(sio_args_skip(sio_args_none(), 1).json, "");
    struct rooms_bytes bytes = {(const uint8_t *)"x", 1};
    args.attachments = &bytes;
    args.attachment_count = 1;
    assert_int_equal(sio_args_skip(args, 1).attachment_count, 1);
}

static void last_one_is_dropped(void **state)
{
    (void)state;
    assert_text(sio_args_drop_last(sio_args_json("1,2,3")).json, "1,2");
    assert_text(sio_args_drop_last(sio_args_json("1 , [2,\"]\"] , 3 ")).json, "1 , [2,\"]\"]");
    assert_text(sio_args_drop_last(sio_args_json("1")).json, "");
    assert_text(sio_args_drop_last(sio_args_none()).json, "");
}

static void text_is_read(void **state)
{
    (void)state;
    char out[8];
    struct sio_args args = sio_args_json("\"abc\",5,\"1234567\",\"12345678\",\"\\u00e4\\n\",\"\",{\"a\":\"b\"},"
                                         "\"\\u0031\\u0032\\u0033\\u0034\"");
    assert_int_equal(sio_args_text(args, 0, out, sizeof out), 3);
    assert_string_equal(out, "abc");
    assert_int_equal(sio_args_text(args, 1, out, sizeof out), EIO_EINVAL);
    assert_int_equal(sio_args_text(args, 2, out, sizeof out), 7);
    assert_string_equal(out, "1234567");
    assert_int_equal(sio_args_text(args, 3, out, sizeof out), EIO_ETOOBIG);
    assert_int_equal(sio_args_text(args, 4, out, sizeof out), 3);
    assert_string_equal(out, "\xc3\xa4\n");
    assert_int_equal(sio_args_text(args, 5, out, 1), 0);
    assert_string_equal(out, "");
    assert_int_equal(sio_args_text(args, 5, out, 0), EIO_ETOOBIG);
    assert_int_equal(sio_args_text(args, 6, out, sizeof out), EIO_EINVAL);
    assert_int_equal(sio_args_text(args, 7, out, sizeof out), 4);
    assert_string_equal(out, "1234");
    assert_int_equal(sio_args_text(args, 8, out, sizeof out), EIO_EINVAL);
}

static void values_are_parsed(void **state)
{
    (void)state;
    struct sio_args args = sio_args_json("{\"a\":[1,\"x\"]}, 7");
    json_t *value = sio_args_parse(args, 0);
    assert_non_null(value);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(value, "a"), 0)), 1);
    json_decref(value);
    value = sio_args_parse(args, 1);
    assert_int_equal(json_integer_value(value), 7);
    json_decref(value);
    assert_null(sio_args_parse(args, 2));
    assert_null(sio_args_parse(sio_args_none(), 0));
}

static void attachments_are_found(void **state)
{
    (void)state;
    struct rooms_bytes bytes[2] = {{(const uint8_t *)"one", 3}, {(const uint8_t *)"", 0}}, found;
    struct sio_args args = sio_args_json(P(1) ",{\"a\":" P(0) "},{ \"num\":0, \"_placeholder\":true }," P(2));
    args.attachments = bytes;
    args.attachment_count = 2;
    assert_true(sio_args_binary(args, 0, &found));
    assert_int_equal(found.n, 0);
    assert_false(sio_args_binary(args, 1, &found));
    assert_true(sio_args_binary(args, 2, &found));
    assert_ptr_equal(found.p, bytes[0].p);
    assert_false(sio_args_binary(args, 3, &found));
    assert_false(sio_args_binary(args, 4, &found));
    /* In a plain event it is data. */
    assert_false(sio_args_binary(sio_args_json(P(0)), 0, &found));
}

static struct eio_str member(const char *object, const char *name)
{
    return sio_json_member(eio_str(object), name);
}

static void members_are_found(void **state)
{
    (void)state;
    const char *object = " { \"a\" : 1 ,\"b\":{\"a\":2,\"c\":[\"}\",\":\"]}, \"\\u0063\\\"\":\"x:,\" ,\"\":null} ";
    assert_text(member(object, "a"), "1");
    assert_text(member(object, "b"), "{\"a\":2,\"c\":[\"}\",\":\"]}");
    assert_text(member(object, "c\""), "\"x:,\"");
    assert_text(member(object, ""), "null");
    assert_text(member(object, "c"), NULL);
    assert_text(member(object, "a\""), NULL);
    assert_text(member("{\"a\":1,\"\\u0061\":2}", "a"), "2");
    for (size_t i = 0; i < 6; i++) {
        static const char *const without[] = {"{}", "{ }", "", "[\"a\",1]", "\"a\"", "1"};
        assert_text(member(without[i], "a"), NULL);
    }
    assert_text(sio_json_member((struct eio_str){NULL, 0}, "a"), NULL);
    char name[300], text[400];
    memset(name, 'n', sizeof name);
    for (size_t n = 255; n <= 256; n++) {
        name[n] = '\0';
        snprintf(text, sizeof text, "{\"\\u006e%s\":1}", name + 1);
        assert_text(member(text, name), "1");
        name[n] = 'n';
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_counted_and_found),
        cmocka_unit_test(first_ones_are_skipped),
        cmocka_unit_test(last_one_is_dropped),
        cmocka_unit_test(text_is_read),
        cmocka_unit_test(values_are_parsed),
        cmocka_unit_test(attachments_are_found),
        cmocka_unit_test(members_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
