/* What tools answer as text for models; tools' names for models; JSON-RPC messages. */
#include "kit_fixture.h"

#include "mcp_result.h"

static void check_text(const char *result, const char *wanted)
{
    json_t *value = json_loads(result, 0, NULL);
    assert_non_null(value);
    char *text = mcp_result_text(value, 60);
    assert_string_equal(text, wanted);
    free(text);
    json_decref(value);
}

static void usable_content_wins_and_structured_content_fills_in(void **state)
{
    (void)state;
    check_text("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}", "a\nb");
    check_text("{\"content\":[],\"structuredContent\":{\"t\":1}}", "{\"t\":1}");
    check_text("{\"content\":[{\"type\":\"text\",\"text\":\" \\n\"}],\"structuredContent\":{\"t\":1}}", "{\"t\":1}");
    check_text("{\"content\":[{\"type\":\"text\",\"text\":\"a\"}],\"structuredContent\":{\"t\":1}}", "a");
    check_text("{\"structuredContent\":7}", "7");
    check_text("{}", "The tool has finished without any output.");
    check_text("{\"content\":[],\"isError\":true}", "The tool failed and does not say why.");
}

static void media_are_named_and_never_given_as_text(void **state)
{
    (void)state;
    check_text("{\"content\":[{\"type\":\"image\",\"data\":\"AAAA\",\"mimeType\":\"image/png\"}]}",
               "[an image, which is not shown to the model, image/png]");
    check_text("{\"content\":[{\"type\":\"resource_link\",\"name\":\"n\",\"uri\":\"file:///n\"}]}",
               "[link: n, file:///n]");
    check_text("{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"u\",\"text\":\"embedded\"}}]}",
               "embedded");
    check_text("{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"u\",\"blob\":\"AA\"}}]}",
               "[a file, which is not shown to the model, u]");
    check_text("{\"content\":[{\"type\":\"hologram\"},7]}",
               "[a part of a kind that is not known here]\n[a part of a kind \n[the rest was cut]");
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    check_text("{\"content\":[{\"type\":\"text\",\"text\":"
               "\"0123456789012345678901234567890123456789012345678901234567\xe2\x82\xac\xe2\x82\xac\"}]}",
               "0123456789012345678901234567890123456789012345678901234567\n[the rest was cut]");
}

static void check_id(const char *server, const char *tool, const char *wanted)
{
    char id[MCP_TOOL_ID_SIZE];
    mcp_tool_id(server, tool, id);
    assert_string_equal(id, wanted);
}

static void names_for_models_are_valid_and_distinct(void **state)
{
    static const char eighty[] = "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhh";
    char one[81], other[81], first[MCP_TOOL_ID_SIZE], second[MCP_TOOL_ID_SIZE];
    (void)state;
    check_id("crm", "send_mail", "crm_send_mail");
    mcp_tool_id("crm", "a.b/c", first);
    mcp_tool_id("crm", "a/b.c", second);
    assert_int_equal(strncmp(first, "crm_a_b_c_", 10), 0);
    assert_string_not_equal(first, second);
    snprintf(one, sizeof one, "%s1", eighty);
    snprintf(other, sizeof other, "%s2", eighty);
    mcp_tool_id("crm", one, first);
    mcp_tool_id("crm", other, second);
    assert_int_equal(strlen(first), 64);
    assert_string_not_equal(first, second);
    /* A server's id has no underscore: these cannot meet. */
    check_id("a", "b_c", "a_b_c");
    check_id("a-b", "c", "a-b_c");
}

static void check_message(const char *text, int wanted)
{
    struct mcp_message message;
    const char *why = NULL;
    int failed = mcp_message_read(eio_str(text), &message, &why);
    if (failed ? wanted >= 0 : wanted != (int)message.kind) fail_msg("%s: %s", text, failed ? why : "is one");
    if (!failed) mcp_message_clear(&message);
}

static void messages_are_told_apart(void **state)
{
    (void)state;
    check_message("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}", MCP_REQUEST);
    check_message("{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":{}}", MCP_NOTIFICATION);
    check_message("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}", MCP_RESULT);
    check_message("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-1}}", MCP_ERROR);
    check_message("{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-1}}", MCP_ERROR);
    check_message("{\"jsonrpc\":\"2.0\",\"id\":1.5,\"result\":{}}", -1);
    check_message("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}", -1);
    check_message("{\"jsonrpc\":\"2.0\",\"result\":{}}", -1);
    check_message("{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":{}}", -1);
    check_message("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{}}", -1);
    check_message("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":[]}", -1);
    check_message("[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}]", -1);
    check_message("", -1);
    check_message("{", -1);
}

static void zero_characters_are_replaced(void **state)
{
    struct mcp_message message;
    const char *why;
    (void)state;
    assert_int_equal(
        mcp_message_read(eio_str("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":[\"x\\u0000y\"]}}"), &message, &why),
        0);
    assert_string_equal(json_string_value(json_array_get(json_object_get(message.result, "a"), 0)), "x\xef\xbf\xbdy");
    mcp_message_clear(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usable_content_wins_and_structured_content_fills_in),
        cmocka_unit_test(media_are_named_and_never_given_as_text),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(names_for_models_are_valid_and_distinct),
        cmocka_unit_test(messages_are_told_apart),
        cmocka_unit_test(zero_characters_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
