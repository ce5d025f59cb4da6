#include "kit_fixture.h"

static const char *format(enum kit_log_format format, const char *const *words, size_t size)
{
    static char text[512];
    size_t n = kit_log_format(format, 1767225600123, EIO_LOG_WARN, words, text, size);
    assert_int_equal(strlen(text), n);
    return text;
}

static void a_text_line_quotes_what_needs_it(void **state)
{
    const char *words[] = {"it is \"so\"", "plain", "a-b/c:1", "empty", "", "odd", "x y=\n\x01", NULL};
    (void)state;
    assert_string_equal(format(KIT_LOG_TEXT, words, 512),
                        "ts=2026-01-01T00:00:00.123Z level=warn msg=\"it is \\\"so\\\"\" plain=a-b/c:1 empty=\"\" "
                        "odd=\"x y=\\u000a\\u0001\"");
}

static void a_json_line_is_json(void **state)
{
    const char *words[] = {"it is \"so\"", "odd", "\\\n\t", NULL};
    (void)state;
    json_t *line = json_loads(format(KIT_LOG_JSON, words, 512), 0, NULL);
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "msg")), "it is \"so\"");
    assert_string_equal(json_string_value(json_object_get(line, "odd")), "\\\n\t");
    assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
    json_decref(line);
}

static void a_line_that_is_too_long_is_cut(void **state)
{
    char value[400];
    const char *words[] = {"m", "v", value, NULL};
    (void)state;
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = 0;
    assert_int_equal(strlen(format(KIT_LOG_TEXT, words, 100)), 99);
    json_t *line = json_loads(format(KIT_LOG_JSON, words, 200), 0, NULL);
    assert_non_null(line);
    json_decref(line);
}

static void times_are_rfc_3339_in_utc(void **state)
{
    char text[25];
    (void)state;
    kit_time_text(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    kit_time_text(1709251199999, text);
    assert_string_equal(text, "2024-02-29T23:59:59.999Z");
    assert_true(kit_is_date_time(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_quotes_what_needs_it),
        cmocka_unit_test(a_json_line_is_json),
        cmocka_unit_test(a_line_that_is_too_long_is_cut),
        cmocka_unit_test(times_are_rfc_3339_in_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
