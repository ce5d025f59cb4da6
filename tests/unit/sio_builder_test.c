/* Building arguments. */
#include "sio_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define P(n) "{\"_placeholder\":true,\"num\":" #n "}"

static void assert_built(const struct sio_builder *builder, const char *should)
{
    struct sio_args args = sio_builder_args(builder);
    assert_int_equal(builder->error, 0);
    assert_int_equal(args.json.n, strlen(should));
    assert_memory_equal(args.json.p ? args.json.p : "", should, args.json.n);
}

static void nothing_is_no_arguments(void **state)
{
    (void)state;
    struct sio_builder builder;
    sio_builder_init(&builder);
    assert_built(&builder, "");
    sio_builder_raw(&builder, (struct eio_str){NULL, 0});
    sio_builder_slice(&builder, sio_args_none(), (struct eio_str){" ", 1});
    assert_built(&builder, "");
    sio_builder_clear(&builder);
    sio_builder_clear(&builder);
}

static void scalars_are_appended(void **state)
{
    (void)state;
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_text(&builder, "a\"\xff", 3);
    sio_builder_int(&builder, 0);
    sio_builder_int(&builder, INT64_MIN);
    sio_builder_int(&builder, INT64_MAX);
    sio_builder_bool(&builder, true);
    sio_builder_bool(&builder, false);
    sio_builder_null(&builder);
    sio_builder_text(&builder, NULL, 0);
    sio_builder_raw(&builder, eio_str(" [1, 2] "));
    assert_built(&builder,
                 "\"a\\\"\xef\xbf\xbd\",0,-9223372036854775808,9223372036854775807,true,false,null,\"\",[1, 2]");
    sio_builder_clear(&builder);
    sio_builder_int(&builder, 1);
    assert_built(&builder, "1");
    sio_builder_clear(&builder);
}

static void trees_are_appended(void **state)
{
    (void)state;
    struct sio_builder builder;
    sio_builder_init(&builder);
    json_t *value = json_pack("{s:[i,b,n,s]}", "a", 1, 1, "x\n");
    sio_builder_json(&builder, value);
    json_decref(value);
    value = json_string("y");
    sio_builder_json(&builder, value);
    json_decref(value);
    assert_built(&builder, "{\"a\":[1,true,null,\"x\\n\"]},\"y\"");
    sio_builder_json(&builder, NULL);
    assert_int_equal(builder.error, EIO_EINVAL);
    sio_builder_clear(&builder);
}

static void pieces_are_put_together(void **state)
{
    (void)state;
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_open(&builder);
    sio_builder_put(&builder, "{\"name\":");
    sio_builder_put_text(&builder, "b\\", 2);
    sio_builder_put(&builder, ",\"list\":");
    sio_builder_put_slice(&builder, sio_args_none(), eio_str("[1]"));
    sio_builder_put(&builder, "}");
    sio_builder_open(&builder);
    sio_builder_put(&builder, "2");
    assert_built(&builder, "{\"name\":\"b\\\\\",\"list\":[1]},2");
    sio_builder_clear(&builder);
}

static void attachments_are_numbered(void **state)
{
    (void)state;
    struct sio_builder builder;
    sio_builder_init(&builder);
    uint8_t bytes[12];
    char should[12 * 32] = "";
    for (int i = 0; i < 12; i++) {
        sio_builder_binary(&builder, bytes + i, 1);
        char text[40];
        snprintf(text, sizeof text, "%s{\"_placeholder\":true,\"num\":%d}", i ? "," : "", i);
        strcat(should, text);
    }
    assert_built(&builder, should);
    struct sio_args args = sio_builder_args(&builder);
    assert_int_equal(args.attachment_count, 12);
    for (int i = 0; i < 12; i++) assert_ptr_equal(args.attachments[i].p, bytes + i);
    sio_builder_clear(&builder);
}

static void slices_bring_their_attachments(void **state)
{
    (void)state;
    const uint8_t bytes[4] = "abc";
    struct rooms_bytes attachments[3] = {{bytes, 1}, {bytes + 1, 1}, {bytes + 2, 1}};
    struct sio_args from = {eio_str("[" P(2) ",{\"a\":" P(0) "}]," P(2) ",7"), attachments, 3};
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_binary(&builder, bytes + 3, 0);
    sio_builder_slice(&builder, from, sio_args_at(from, 0));
    sio_builder_slice(&builder, from, sio_args_at(from, 2));
    sio_builder_slice(&builder, from, sio_args_at(from, 1));
    assert_built(&builder, P(0) ",[" P(1) ",{\"a\":" P(2) "}],7," P(3));
    struct sio_args args = sio_builder_args(&builder);
    assert_int_equal(args.attachment_count, 4);
    assert_ptr_equal(args.attachments[1].p, bytes + 2);
    assert_ptr_equal(args.attachments[2].p, bytes);
    assert_ptr_equal(args.attachments[3].p, bytes + 2);
    sio_builder_clear(&builder);
}

/* Case 42 of the reference's list: in a plain event such an object is data. */
static void placeholders_of_a_plain_event_stay(void **state)
{
    (void)state;
    struct sio_builder builder;
    sio_builder_init(&builder);
    struct sio_args from = sio_args_json(P(5));
    sio_builder_slice(&builder, from, from.json);
    assert_built(&builder, P(5));
    assert_int_equal(sio_builder_args(&builder).attachment_count, 0);
    sio_builder_clear(&builder);
}

static void errors_stick(void **state)
{
    (void)state;
    struct rooms_bytes attachment = {(const uint8_t *)"x", 1};
    struct sio_args from = {eio_str(P(1)), &attachment, 1};
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_int(&builder, 1);
    sio_builder_slice(&builder, from, from.json);
    assert_int_equal(builder.error, EIO_EINVAL);
    sio_builder_int(&builder, 2);
    sio_builder_binary(&builder, attachment.p, 1);
    sio_builder_text(&builder, "x", SIZE_MAX);
    assert_int_equal(builder.error, EIO_EINVAL);
    struct sio_args args = sio_builder_args(&builder);
    assert_null(args.json.p);
    assert_int_equal(args.json.n + args.attachment_count, 0);
    sio_builder_clear(&builder);
    sio_builder_text(&builder, "x", SIZE_MAX);
    assert_int_equal(builder.error, EIO_ETOOBIG);
    sio_builder_clear(&builder);
    for (int i = 0; i < 65535; i++) sio_builder_binary(&builder, attachment.p, 1);
    assert_int_equal(builder.error, 0);
    sio_builder_binary(&builder, attachment.p, 1);
    assert_int_equal(builder.error, EIO_ETOOBIG);
    sio_builder_clear(&builder);
}

static void large_text_grows_the_buffer(void **state)
{
    (void)state;
    struct sio_builder builder;
    sio_builder_init(&builder);
    size_t size = 1 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, '\n', size);
    sio_builder_text(&builder, text, size);
    for (int i = 0; i < 1000; i++) sio_builder_int(&builder, i % 10);
    assert_int_equal(builder.error, 0);
    assert_int_equal(sio_builder_args(&builder).json.n, 2 + 2 * size + 2000);
    assert_int_equal(sio_args_count(sio_builder_args(&builder)), 1001);
    free(text);
    sio_builder_clear(&builder);
}

/* Six bytes for each: written as measured, whether there is room for so much already or not. */
static void text_that_grows_most_fits_any_room(void **state)
{
    (void)state;
    char text[64], expected[2 + 6 * sizeof text + 6] = "\"";
    memset(text, 1, sizeof text);
    for (size_t n = 0; n <= sizeof text; n++) {
        size_t size = 2 + 6 * n;
        memcpy(expected + size - 1, "\"", 2);
        for (size_t room = 1; room <= size + 2; room++) {
            struct sio_builder builder;
            sio_builder_init(&builder);
            builder.json = malloc(room);
            builder.capacity = room;
            sio_builder_put_text(&builder, text, n);
            assert_built(&builder, expected);
            sio_builder_clear(&builder);
        }
        memcpy(expected + size - 1, "\\u0001", 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_no_arguments),
        cmocka_unit_test(scalars_are_appended),
        cmocka_unit_test(trees_are_appended),
        cmocka_unit_test(pieces_are_put_together),
        cmocka_unit_test(attachments_are_numbered),
        cmocka_unit_test(slices_bring_their_attachments),
        cmocka_unit_test(placeholders_of_a_plain_event_stay),
        cmocka_unit_test(errors_stick),
        cmocka_unit_test(large_text_grows_the_buffer),
        cmocka_unit_test(text_that_grows_most_fits_any_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
