#include "mcp_result.h"

#include "kit_options.h"

#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------------- text */

struct text {
    char *p;
    size_t n, max_bytes;
    bool is_cut;
};

/* Cuts between characters. */
static void append_bytes(struct text *text, const char *p, size_t n)
{
    if (text->n + n > text->max_bytes) {
        n = text->max_bytes - text->n;
        while (n && ((unsigned char)p[n] & 0xc0) == 0x80) n--;
        text->is_cut = true;
    }
    memcpy(text->p + text->n, p, n);
    text->n += n;
}

static void append(struct text *text, const char *p)
{
    append_bytes(text, p, strlen(p));
}

/* Each part on lines of its own. */
static void begin_part(struct text *text)
{
    if (text->n && text->p[text->n - 1] != '\n') append(text, "\n");
}

static const char *field(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static void append_note(struct text *text, const char *kind, const json_t *block)
{
    begin_part(text);
    append(text, "[");
    append(text, kind);
    if (*field(block, "title") || *field(block, "name")) append(text, ": ");
    append(text, *field(block, "title") ? field(block, "title") : field(block, "name"));
    if (*field(block, "mimeType")) append(text, ", ");
    append(text, field(block, "mimeType"));
    if (*field(block, "uri")) append(text, ", ");
    append(text, field(block, "uri"));
    append(text, "]");
}

static void append_block(struct text *text, const json_t *block)
{
    const char *type = field(block, "type");
    const json_t *resource = json_object_get(block, "resource");
    const json_t *words = json_object_get(*type == 't' ? block : resource, "text");
    if ((!strcmp(type, "text") || !strcmp(type, "resource")) && json_is_string(words)) {
        begin_part(text);
        append_bytes(text, json_string_value(words), json_string_length(words));
    } else if (!strcmp(type, "image")) {
        append_note(text, "an image, which is not shown to the model", block);
    } else if (!strcmp(type, "audio")) {
        append_note(text, "sound, which is not played to the model", block);
    } else if (!strcmp(type, "resource_link")) {
        append_note(text, "link", block);
    } else if (!strcmp(type, "resource")) {
        append_note(text, "a file, which is not shown to the model", resource);
    } else {
        append_note(text, "a part of a kind that is not known here", NULL);
    }
}

static bool is_blank(const struct text *text)
{
    size_t i = 0;
    while (i < text->n && strchr(" \t\r\n", text->p[i])) i++;
    return i == text->n;
}

static void append_structured(struct text *text, const json_t *result, struct eio_str raw)
{
    const json_t *structured = json_object_get(result, "structuredContent");
    char *json = structured ? json_dumps(structured, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    text->n = 0;
    if (raw.n) append_bytes(text, raw.p, raw.n);
    if (json) append(text, json);
    free(json);
}

char *mcp_result_text(const json_t *result, size_t max_bytes)
{
    return mcp_result_text_of(result, (struct eio_str){NULL, 0}, max_bytes);
}

char *mcp_result_text_of(const json_t *result, struct eio_str structured, size_t max_bytes)
{
    static const char cut[] = "\n[the rest was cut]";
    struct text text = {malloc(max_bytes + sizeof cut), 0, max_bytes, false};
    size_t i;
    json_t *block;
    if (!text.p) return NULL;
    json_array_foreach(json_object_get(result, "content"), i, block)
    {
        if (!text.is_cut) append_block(&text, block);
    }
    if (is_blank(&text)) append_structured(&text, result, structured);
    if (is_blank(&text))
        append(&text, json_is_true(json_object_get(result, "isError")) ? "The tool failed and does not say why."
                                                                       : "The tool has finished without any output.");
    if (text.is_cut) memcpy(text.p + text.n, cut, sizeof cut - 1), text.n += sizeof cut - 1;
    text.p[text.n] = 0;
    return text.p;
}

/* ------------------------------------------------------------------- pages */

bool mcp_page_read(const json_t *result, struct mcp_page *page)
{
    const json_t *cursor = json_object_get(result, "nextCursor");
    page->tools = json_object_get(result, "tools");
    page->cursor = json_string_value(cursor);
    page->ttl_ms = -1;
    kit_json_int64(json_object_get(result, "ttlMs"), 0, (int64_t)365 * KIT_DAY_MS, &page->ttl_ms);
    return json_is_array(page->tools) && (!cursor || page->cursor || json_is_null(cursor));
}

/* ------------------------------------------------------------------- names */

static bool is_of_id(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* FNV-1a, 64 bits: the same on every machine. Servers are configured; a server's own tools are its own matter. */
static uint64_t hash_of(const char *server, const char *tool)
{
    uint64_t hash = 14695981039346656037u;
    for (const char *c = server; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    hash *= 1099511628211u;
    for (const char *c = tool; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    return hash;
}

void mcp_tool_id(const char *server, const char *tool, char out[MCP_TOOL_ID_SIZE])
{
    int size = snprintf(out, MCP_TOOL_ID_SIZE, "%s_%s", server, tool);
    bool is_changed = size >= MCP_TOOL_ID_SIZE || !*tool;
    size_t n = strlen(out);
    for (size_t i = 0; i < n; i++) {
        if (is_of_id(out[i])) continue;
        out[i] = '_';
        is_changed = true;
    }
    if (!is_changed) return;
    if (n > MCP_TOOL_ID_SIZE - 14) n = MCP_TOOL_ID_SIZE - 14;
    snprintf(out + n, 14, "_%012llx", (unsigned long long)(hash_of(server, tool) >> 16));
}
