#include "kit_fixture.h"

static struct kit_schemas *schemas;

static int set_up(void **state)
{
    char error[256] = "";
    (void)state;
    schemas = kit_schemas_new(error, sizeof error);
    if (!schemas) print_error("%s\n", error);
    return schemas ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    kit_schemas_free(schemas);
    return 0;
}

/* Checks JSON text against an event's schema; "" or "pointer: message". */
static const char *check(const char *event, const char *text)
{
    static char result[300];
    struct kit_schema_error error;
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    const json_t *schema = kit_schema_find(schemas, event);
    assert_non_null(schema);
    bool fits = kit_schema_check(schema, value, &error);
    json_decref(value);
    snprintf(result, sizeof result, "%s: %s", error.pointer, error.message);
    return fits ? "" : result;
}

static void every_event_has_a_schema(void **state)
{
    static const char *const events[] = {"agent:connect", "call:subscribe", "call:unsubscribe",     "call:list",
                                         "doc:feedback",  "call:start",     "transcription:update", "call:status",
                                         "call:end",      "chat.message"};
    struct kit_schema_error error;
    json_t *value = json_object();
    (void)state;
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) assert_non_null(kit_schema_find(schemas, events[i]));
    assert_null(kit_schema_find(schemas, "call:dance"));
    assert_false(kit_schema_check(NULL, value, &error));
    json_decref(value);
}

static void payloads_that_fit_pass_with_unknown_fields(void **state)
{
    (void)state;
    assert_string_equal(check("call:start", "{\"call_id\":\"a\",\"metadata\":{\"x\":[1]},\"agents\":[\"b\"],\"q\":1}"),
                        "");
    assert_string_equal(check("transcription:update", "{\"call_id\":\"A.b:c_d-9\",\"speaker\":\"s\",\"text\":\"\","
                                                      "\"timestamp\":\"2026-02-28T23:59:60.5+01:00\"}"),
                        "");
    assert_string_equal(check("call:subscribe", "{\"call_id\":\"a\",\"since_seq\":0}"), "");
    assert_string_equal(check("call:list", "{}"), "");
}

static void faults_are_named_by_json_pointer(void **state)
{
    (void)state;
    assert_string_equal(check("call:start", "[]"), ": must be of type object");
    assert_string_equal(check("call:start", "{}"), "/call_id: is missing");
    assert_string_equal(check("call:start", "{\"call_id\":5}"), "/call_id: must be of type string");
    assert_string_equal(check("call:start", "{\"call_id\":\"a b\"}"),
                        "/call_id: must be 1 to 128 characters from A-Z a-z 0-9 _ . : -");
    assert_string_equal(check("call:start", "{\"call_id\":\"a\",\"agents\":[\"ann@acme.com\",5]}"),
                        "/agents/1: must be of type string");
    assert_string_equal(check("call:subscribe", "{\"call_id\":\"a\",\"since_seq\":-1}"),
                        "/since_seq: must be at least 0");
    assert_string_equal(check("call:subscribe", "{\"call_id\":\"a\",\"since_seq\":1.5}"),
                        "/since_seq: must be of type integer");
    assert_string_equal(check("call:status", "{\"call_id\":\"a\",\"status\":\"x\"}"),
                        "/status: must be one of ringing, active, on_hold, ended");
    assert_string_equal(check("doc:feedback", "{\"call_id\":\"a\",\"doc_id\":\"b\",\"helpful\":1}"),
                        "/helpful: must be of type boolean");
    assert_string_equal(check("agent:connect", "{\"agent_id\":\"a\",\"auth_token\":\"\"}"),
                        "/auth_token: must be at least 1 byte");
    assert_string_equal(check("transcription:update",
                              "{\"call_id\":\"a\",\"speaker\":\"s\",\"text\":\"t\",\"timestamp\":\"yesterday\"}"),
                        "/timestamp: must be a time like 2026-01-31T12:00:00.000Z");
}

static void pointers_escape_as_rfc_6901_says(void **state)
{
    struct kit_schema_error error;
    json_t *schema = json_loads("{\"type\":\"object\",\"required\":[\"a/b~c\"]}", 0, NULL);
    json_t *value = json_object();
    (void)state;
    assert_false(kit_schema_check(schema, value, &error));
    assert_string_equal(error.pointer, "/a~1b~0c");
    json_decref(schema);
    json_decref(value);
}

static void ids_are_1_to_128_of_their_characters(void **state)
{
    char text[130];
    (void)state;
    memset(text, 'x', sizeof text);
    assert_false(kit_is_id("", 0));
    assert_true(kit_is_id(text, 128));
    assert_false(kit_is_id(text, 129));
    for (int c = 0; c < 256; c++) {
        char one = (char)c;
        bool allowed = c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-", c);
        assert_int_equal(kit_is_id(&one, 1), allowed);
    }
}

static void times_are_rfc_3339(void **state)
{
    static const char *const good[] = {"2026-01-31T12:00:00Z", "2024-02-29T00:00:00.123456z",
                                       "2026-12-31t23:59:60-12:30"};
    static const char *const bad[] = {"",
                                      "2026-01-31",
                                      "2026-01-31T12:00:00",
                                      "2026-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:60:00Z",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00+1:00",
                                      "2026-01-01T00:00:00Zx",
                                      "26-01-01T00:00:00Z"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) assert_true(kit_is_date_time(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (kit_is_date_time(bad[i])) fail_msg("accepted: %s", bad[i]);
}

static void a_schema_beyond_the_subset_is_found(void **state)
{
    const char *what = "";
    json_t *schema = json_loads("{\"properties\":{\"a\":{\"items\":{\"oneOf\":[]}}}}", 0, NULL);
    (void)state;
    assert_false(kit_schema_is_supported(schema, &what));
    assert_string_equal(what, "oneOf");
    json_decref(schema);
}

static void numbers_from_outside_are_converted_only_if_they_fit(void **state)
{
    static const struct {
        double real;
        bool fits;
        int64_t value;
    } cases[] = {{0.0, true, 0},
                 {-0.0, true, 0},
                 {1.999, true, 1},
                 {-0.5, true, -1},
                 {-1.5, true, -2},
                 {9.0e15, true, 9000000000000000},
                 {9.3e18, false, 0},
                 {-9.3e18, false, 0},
                 {1e300, false, 0},
                 {-1e300, false, 0},
                 {9223372036854775808.0, false, 0},
                 {-9223372036854775808.0, true, INT64_MIN}};
    int64_t out;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *number = json_real(cases[i].real);
        out = 77;
        assert_int_equal(kit_json_int64(number, INT64_MIN, INT64_MAX, &out), cases[i].fits);
        assert_true(out == (cases[i].fits ? cases[i].value : 77));
        json_decref(number);
    }
    json_t *seven = json_integer(7), *text = json_string("7");
    assert_true(kit_json_int64(seven, 7, 7, &out));
    assert_false(kit_json_int64(seven, 8, 9, &out));
    assert_false(kit_json_int64(seven, 5, 6, &out));
    assert_false(kit_json_int64(text, 0, 9, &out));
    assert_false(kit_json_int64(NULL, 0, 9, &out));
    json_decref(seven);
    json_decref(text);
}

static void numbers_in_text_are_digits_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"7", 7},
                {"-7", -7},
                {"007", 7},
                {"-0", 0},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "1e3",
                                      "0x1",
                                      "--1",
                                      "1-",
                                      "nan",
                                      "inf",
                                      "1\n",
                                      "\t1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999999"};
    int64_t out;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(kit_text_int64(eio_str(good[i].text), INT64_MIN, INT64_MAX, &out));
        assert_true(out == good[i].value);
    }
    out = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (kit_text_int64(eio_str(bad[i]), INT64_MIN, INT64_MAX, &out)) fail_msg("%s", bad[i]);
    assert_false(kit_text_int64((struct eio_str){"1\0", 2}, 0, 9, &out));
    assert_false(kit_text_int64(eio_str("10"), 0, 9, &out));
    assert_false(kit_text_int64(eio_str("-1"), 0, 9, &out));
    assert_int_equal(out, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_has_a_schema),
        cmocka_unit_test(payloads_that_fit_pass_with_unknown_fields),
        cmocka_unit_test(faults_are_named_by_json_pointer),
        cmocka_unit_test(pointers_escape_as_rfc_6901_says),
        cmocka_unit_test(ids_are_1_to_128_of_their_characters),
        cmocka_unit_test(times_are_rfc_3339),
        cmocka_unit_test(a_schema_beyond_the_subset_is_found),
        cmocka_unit_test(numbers_from_outside_are_converted_only_if_they_fit),
        cmocka_unit_test(numbers_in_text_are_digits_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
