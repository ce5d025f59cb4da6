/* Tools' schemas: bounds, references, what is mirrored in headers and how it is written. */
#include "kit_fixture.h"

#include "mcp_schema.h"

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    if (!value) fail_msg("not JSON: %s", text);
    return value;
}

static void check_schema(const char *text, const char *wanted)
{
    json_t *schema = parse(text);
    const char *why = mcp_schema_check(schema);
    if (wanted ? !why || strcmp(why, wanted) : why != NULL) fail_msg("%s: %s", text, why ? why : "is good");
    json_decref(schema);
}

static void references_stay_within_the_schema(void **state)
{
    static const char outside[] = "it refers to another document";
    (void)state;
    check_schema("{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/x\"}},\"$defs\":{\"x\":{}}}", NULL);
    check_schema("{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"https://evil.example/x\"}}}", outside);
    check_schema("{\"type\":\"object\",\"allOf\":[{\"$dynamicRef\":\"other.json#x\"}]}", outside);
    check_schema("{\"type\":\"object\",\"$defs\":{\"x\":{\"items\":{\"$ref\":\"//evil.example/x\"}}}}", outside);
    check_schema(
        "{\"type\":\"object\",\"$defs\":{\"x\":{\"$id\":\"urn:x\"}},\"properties\":{\"a\":{\"$ref\":\"urn:x\"}}}",
        NULL);
    /* A parameter of that name, and a value that only looks like one. */
    check_schema("{\"type\":\"object\",\"properties\":{\"$ref\":{\"type\":\"string\"}}}", NULL);
    check_schema("{\"type\":\"object\",\"default\":{\"$ref\":\"https://evil.example/x\"}}", NULL);
}

static void schemas_are_bounded(void **state)
{
    char text[70000] = "{\"type\":\"object\",\"a\":";
    size_t n = strlen(text);
    (void)state;
    check_schema("[]", "it is not an object");
    check_schema("{\"type\":\"string\"}", "its type is not object");
    check_schema("{}", "its type is not object");
    for (int i = 0; i < 100; i++) n += (size_t)sprintf(text + n, "[");
    for (int i = 0; i < 100; i++) n += (size_t)sprintf(text + n, "]");
    strcpy(text + n, "}");
    check_schema(text, "it is nested too deeply");
    n = (size_t)sprintf(text, "{\"type\":\"object\",\"enum\":[0");
    for (int i = 0; i < 5000; i++) n += (size_t)sprintf(text + n, ",%d", i);
    strcpy(text + n, "]}");
    check_schema(text, "it is too large");
}

/* The headers that arguments give, one a line; or why the schema is not good. */
static void check_mirrors(const char *properties, const char *arguments, const char *wanted)
{
    char text[2048], out[2048] = "";
    struct mcp_mirror *list;
    const char *why;
    snprintf(text, sizeof text, "{\"type\":\"object\",\"properties\":{%s}}", properties);
    json_t *schema = parse(text), *given = parse(arguments);
    if (!mcp_mirrors_read(schema, &list, &why)) snprintf(out, sizeof out, "%s", why);
    for (const struct mcp_mirror *mirror = list; mirror; mirror = mirror->next) {
        char *header;
        assert_true(mcp_mirror_header(mirror, given, &header));
        if (header) snprintf(out + strlen(out), sizeof out - strlen(out), "%s\n", header);
        free(header);
    }
    if (strcmp(out, wanted)) fail_msg("%s: %s, not %s", properties, out, wanted);
    mcp_mirrors_free(list);
    json_decref(schema);
    json_decref(given);
}

static void parameters_are_mirrored_in_headers(void **state)
{
    const char *region = "\"r\":{\"type\":\"string\",\"x-mcp-header\":\"Region\"}";
    (void)state;
    check_mirrors(region, "{\"r\":\"eu\"}", "Mcp-Param-Region: eu\n");
    check_mirrors(region, "{}", "");
    check_mirrors(region, "{\"r\":null}", "");
    check_mirrors(region, "{\"r\":\"\"}", "Mcp-Param-Region;\n");
    check_mirrors(region, "{\"r\":\" eu\"}", "Mcp-Param-Region: =?base64?IGV1?=\n");
    check_mirrors(region, "{\"r\":\"M\xc3\xbcnchen\"}", "Mcp-Param-Region: =?base64?TcO8bmNoZW4=?=\n");
    check_mirrors(region, "{\"r\":\"a\\r\\nX: y\"}", "Mcp-Param-Region: =?base64?YQ0KWDogeQ==?=\n");
    check_mirrors(region, "{\"r\":\"=?base64?eA==?=\"}", "Mcp-Param-Region: =?base64?PT9iYXNlNjQ/ZUE9PT89?=\n");
    check_mirrors(
        "\"a\":{\"type\":\"integer\",\"x-mcp-header\":\"A\"},\"b\":{\"type\":\"boolean\",\"x-mcp-header\":\"B\"}",
        "{\"a\":-7,\"b\":true}", "Mcp-Param-A: -7\nMcp-Param-B: true\n");
    check_mirrors("\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"string\",\"x-mcp-header\":\"B\"}}}",
                  "{\"a\":{\"b\":\"deep\"}}", "Mcp-Param-B: deep\n");
}

static void invalid_annotations_are_found(void **state)
{
    static const char token[] = "x-mcp-header is not the name of a header";
    static const char type[] = "x-mcp-header is on a type other than string, integer, boolean";
    static const char place[] = "x-mcp-header is not reachable through properties alone";
    (void)state;
    check_mirrors("\"a\":{\"type\":\"string\",\"x-mcp-header\":\"\"}", "{}", token);
    check_mirrors("\"a\":{\"type\":\"string\",\"x-mcp-header\":\"A b\"}", "{}", token);
    check_mirrors("\"a\":{\"type\":\"string\",\"x-mcp-header\":\"A:\"}", "{}", token);
    check_mirrors("\"a\":{\"type\":\"string\",\"x-mcp-header\":7}", "{}", token);
    check_mirrors("\"a\":{\"type\":\"number\",\"x-mcp-header\":\"A\"}", "{}", type);
    check_mirrors("\"a\":{\"type\":[\"string\",\"null\"],\"x-mcp-header\":\"A\"}", "{}", type);
    check_mirrors("\"a\":{\"x-mcp-header\":\"A\"}", "{}", type);
    check_mirrors(
        "\"a\":{\"type\":\"string\",\"x-mcp-header\":\"A\"},\"b\":{\"type\":\"string\",\"x-mcp-header\":\"a\"}", "{}",
        "x-mcp-header names one header twice");
    check_mirrors("\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"x-mcp-header\":\"A\"}}", "{}", place);
    check_mirrors("\"a\":{\"anyOf\":[{\"type\":\"string\",\"x-mcp-header\":\"A\"}]}", "{}", place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_stay_within_the_schema),
        cmocka_unit_test(schemas_are_bounded),
        cmocka_unit_test(parameters_are_mirrored_in_headers),
        cmocka_unit_test(invalid_annotations_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
