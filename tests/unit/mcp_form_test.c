/* Forms: which can be shown, what is taken for an answer, defaults (MCP "Elicitation", SEP-1034, SEP-1330). */
#include "kit_fixture.h"

#include "mcp_form.h"

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    if (!value) fail_msg("not JSON: %s", text);
    return value;
}

#define FIELDS(fields) "{\"type\":\"object\",\"properties\":{" fields "},\"required\":[\"a\"]}"

static void check_shown(const char *text, bool wanted)
{
    json_t *schema = parse(text);
    const char *why = mcp_form_check_schema(schema);
    if (!why != wanted) fail_msg("%s: %s", text, why ? why : "can be shown");
    json_decref(schema);
}

static void flat_forms_can_be_shown_and_others_cannot(void **state)
{
    (void)state;
    check_shown("{\"type\":\"object\",\"properties\":{}}", true); /* it asks for consent */
    check_shown("{\"type\":\"object\"}", true);
    check_shown(FIELDS("\"a\":{\"type\":\"string\",\"format\":\"email\"}"), true);
    check_shown(FIELDS("\"a\":{\"type\":\"string\",\"enum\":[\"x\"],\"enumNames\":[\"X\"]}"), true);
    check_shown(FIELDS("\"a\":{\"type\":\"string\",\"oneOf\":[{\"const\":\"x\",\"title\":\"X\"}]}"), true);
    check_shown(FIELDS("\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":[\"x\"]}}"), true);
    check_shown(FIELDS("\"a\":{\"type\":\"array\",\"items\":{\"anyOf\":[{\"const\":\"x\",\"title\":\"X\"}]}}"), true);
    check_shown(FIELDS("\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"), false);
    check_shown(FIELDS("\"a\":{\"type\":\"object\"}"), false);
    check_shown(FIELDS("\"a\":{\"type\":\"string\",\"enum\":[]}"), false);
    check_shown(FIELDS("\"a\":{\"type\":\"string\",\"enum\":[1]}"), false);
    check_shown(FIELDS("\"a\":7"), false);
    check_shown("{\"type\":\"array\"}", false);
    check_shown("[]", false);
    check_shown("{\"properties\":[]}", false);
}

/* wanted: the content as it goes out, or the beginning of the message. */
static void check_fill(const char *fields, const char *content, const char *wanted)
{
    char text[1024];
    struct kit_failure failure = {0};
    snprintf(text, sizeof text, "{\"type\":\"object\",\"properties\":{%s},\"required\":[\"a\"]}", fields);
    json_t *schema = parse(text), *given = content ? parse(content) : NULL;
    json_t *filled = mcp_form_fill(schema, given, &failure);
    char *out = filled ? json_dumps(filled, JSON_COMPACT) : strdup(failure.message);
    if (strcmp(out, wanted)) fail_msg("%s with %s: %s, not %s", fields, content ? content : "nothing", out, wanted);
    assert_int_equal(failure.code, filled ? 0 : 400);
    free(out);
    json_decref(filled);
    json_decref(given);
    json_decref(schema);
}

static void answers_are_checked_by_kind(void **state)
{
    (void)state;
    const char *text = "\"a\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}";
    check_fill(text, "{\"a\":\"ab\",\"more\":1}", "{\"a\":\"ab\"}");
    check_fill(text, "{\"a\":\"a\"}", "must have at least 2 characters");
    check_fill(text, "{\"a\":\"\xc3\xa4\xc3\xb6\xc3\xbc\"}", "{\"a\":\"\xc3\xa4\xc3\xb6\xc3\xbc\"}");
    check_fill(text, "{\"a\":\"abcd\"}", "must have at most 3 characters");
    check_fill(text, "{\"a\":1}", "must be a text");
    check_fill(text, "{}", "is missing");
    check_fill(text, NULL, "is missing");
    check_fill(text, "{\"a\":null}", "is missing");
    check_fill("\"a\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":5}", "{\"a\":6}", "must be at most 5");
    check_fill("\"a\":{\"type\":\"integer\"}", "{\"a\":1.5}", "must be a whole number");
    check_fill("\"a\":{\"type\":\"number\",\"minimum\":0.5}", "{\"a\":0.25}", "must be at least 0.5");
    check_fill("\"a\":{\"type\":\"boolean\"}", "{\"a\":false}", "{\"a\":false}");
    check_fill("\"a\":{\"type\":\"boolean\"}", "{\"a\":\"yes\"}", "must be true or false");
    check_fill("\"a\":{\"type\":\"string\",\"enum\":[\"x\",\"y\"]}", "{\"a\":\"z\"}", "must be one of the choices");
    check_fill("\"a\":{\"type\":\"string\",\"oneOf\":[{\"const\":\"x\",\"title\":\"Ex\"}]}", "{\"a\":\"Ex\"}",
               "must be one of the choices");
    const char *several =
        "\"a\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":2,\"items\":{\"enum\":[\"x\",\"y\",\"z\"]}}";
    check_fill(several, "{\"a\":[\"x\",\"y\"]}", "{\"a\":[\"x\",\"y\"]}");
    check_fill(several, "{\"a\":[]}", "must have at least 1 of the choices");
    check_fill(several, "{\"a\":[\"x\",\"y\",\"z\"]}", "must have at most 2 of the choices");
    check_fill(several, "{\"a\":[\"w\"]}", "must be some of the choices");
    check_fill(several, "[]", "the answer must be an object");
}

static void formats_are_checked(void **state)
{
    (void)state;
    check_fill("\"a\":{\"type\":\"string\",\"format\":\"email\"}", "{\"a\":\"ann\"}", "must be an e-mail address");
    check_fill("\"a\":{\"type\":\"string\",\"format\":\"email\"}", "{\"a\":\"ann@a.de\"}", "{\"a\":\"ann@a.de\"}");
    check_fill("\"a\":{\"type\":\"string\",\"format\":\"uri\"}", "{\"a\":\"not one\"}", "must be a URI");
    check_fill("\"a\":{\"type\":\"string\",\"format\":\"uri\"}", "{\"a\":\"mailto:a@b\"}", "{\"a\":\"mailto:a@b\"}");
    check_fill("\"a\":{\"type\":\"string\",\"format\":\"date\"}", "{\"a\":\"2026-02-30\"}",
               "must be a date like 2026-01-31");
    check_fill("\"a\":{\"type\":\"string\",\"format\":\"date\"}", "{\"a\":\"2026-02-28\"}", "{\"a\":\"2026-02-28\"}");
    check_fill("\"a\":{\"type\":\"string\",\"format\":\"date-time\"}", "{\"a\":\"2026-02-28\"}",
               "must be a time like 2026-01-31T12:00:00Z");
}

static void defaults_fill_what_is_missing(void **state)
{
    (void)state;
    check_fill("\"a\":{\"type\":\"string\",\"default\":\"x\"},\"b\":{\"type\":\"integer\",\"default\":0},"
               "\"c\":{\"type\":\"boolean\",\"default\":false},\"d\":{\"type\":\"array\",\"items\":{\"enum\":[\"p\"]},"
               "\"default\":[]},\"e\":{\"type\":\"number\"}",
               NULL, "{\"a\":\"x\",\"b\":0,\"c\":false,\"d\":[]}");
    check_fill("\"a\":{\"type\":\"string\",\"default\":\"x\"}", "{\"a\":\"own\"}", "{\"a\":\"own\"}");
    check_fill("\"a\":{\"type\":\"string\",\"default\":7}", "{}", "is missing"); /* a default that is no good itself */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flat_forms_can_be_shown_and_others_cannot),
        cmocka_unit_test(answers_are_checked_by_kind),
        cmocka_unit_test(formats_are_checked),
        cmocka_unit_test(defaults_fill_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
