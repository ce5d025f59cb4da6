/* Messages of MCP servers, and all that is read out of their results: whatever the bytes, nothing breaks, what is read
 * can be written, forms that can be shown can be filled in. */
#include "mcp_form.h"
#include "mcp_reduce.h"
#include "mcp_result.h"
#include "mcp_schema.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

static void read_schema(const json_t *schema)
{
    struct mcp_mirror *list;
    const char *why;
    if (mcp_schema_check(schema) || !mcp_mirrors_read(schema, &list, &why)) return;
    for (const struct mcp_mirror *mirror = list; mirror; mirror = mirror->next) {
        char *header;
        MUST(mcp_mirror_header(mirror, schema, &header));
        MUST(!header || !strpbrk(header, "\r\n"));
        free(header);
    }
    mcp_mirrors_free(list);
}

static void read_form(const json_t *schema, const json_t *content)
{
    struct kit_failure failure = {0};
    if (mcp_form_check_schema(schema)) return;
    json_t *filled = mcp_form_fill(schema, content, &failure);
    MUST(filled || failure.code);
    /* What was taken once is taken again, as it is. */
    json_t *again = filled ? mcp_form_fill(schema, filled, &failure) : NULL;
    MUST(!filled || json_equal(filled, again));
    json_decref(again);
    json_decref(filled);
}

/* What is left of it is JSON, and its text is bounded. */
static void reduce(struct eio_str text)
{
    struct mcp_reducing limits = {.value_max_bytes = 8, .text_max_bytes = 16, .tools_max_bytes = 16};
    struct kit_failure failure;
    struct mcp_message message;
    const char *why;
    size_t size;
    char *reduced = kit_json_check(text, MCP_DEPTH_MAX, &failure) ? NULL : mcp_reduce(text, &limits, &size);
    if (!reduced) return;
    MUST(!kit_json_check((struct eio_str){reduced, size}, MCP_DEPTH_MAX, &failure));
    if (!mcp_message_read((struct eio_str){reduced, size}, &message, &why)) {
        bool is_result = message.kind == MCP_RESULT;
        if (is_result) MUST(!mcp_message_shorten(&message, limits.structured, limits.text_max_bytes));
        if (is_result) MUST(message.words && strlen(message.words) < 100);
        mcp_message_clear(&message);
    }
    free(reduced);
}

static void read_result(const json_t *result)
{
    struct mcp_page page;
    char id[MCP_TOOL_ID_SIZE];
    size_t i;
    json_t *tool;
    char *text = mcp_result_text(result, 100);
    MUST(text && *text && strlen(text) < 200);
    free(text);
    if (!mcp_page_read(result, &page)) return;
    json_array_foreach(page.tools, i, tool)
    {
        const char *name = json_string_value(json_object_get(tool, "name"));
        if (name) mcp_tool_id("server", name, id);
        MUST(!name || (strlen(id) < MCP_TOOL_ID_SIZE && strncmp(id, "server_", 7) == 0));
        read_schema(json_object_get(tool, "inputSchema"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mcp_message message;
    const char *why = NULL;
    reduce((struct eio_str){(const char *)data, size});
    if (mcp_message_read((struct eio_str){(const char *)data, size}, &message, &why)) {
        MUST(why);
        return 0;
    }
    char *text = json_dumps(message.root, JSON_COMPACT);
    MUST(text);
    free(text);
    if (message.kind == MCP_RESULT) read_result(message.result);
    read_form(json_object_get(message.params, "requestedSchema"), json_object_get(message.params, "content"));
    mcp_message_clear(&message);
    return 0;
}
