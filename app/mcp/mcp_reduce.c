#include "mcp_reduce.h"

#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX 4096
#define PLACEHOLDERS_MAX 10000

struct writer {
    char *p;
    size_t n, capacity;
    struct mcp_reducing *limits;
};

/* What is written is never longer than what is read, but for a few placeholders. */
static void put_text(struct writer *out, struct eio_str text)
{
    if (!text.n || text.n > out->capacity - out->n) return;
    memcpy(out->p + out->n, text.p, text.n);
    out->n += text.n;
}

/* Begins a member or an element. */
static void put_name(struct writer *out, struct eio_str key)
{
    char last = out->n ? out->p[out->n - 1] : '{';
    if (last != '{' && last != '[') put_text(out, eio_str(","));
    put_text(out, key);
    if (key.n) put_text(out, eio_str(":"));
}

static bool is_text(struct eio_str value)
{
    return value.n && value.p[0] == '"';
}

static void put_member(struct writer *out, struct eio_str key, struct eio_str value)
{
    put_name(out, key);
    put_text(out, value.n <= out->limits->value_max_bytes || is_text(value) ? value : eio_str("null"));
}

/* Pictures and sound are never shown to a model. */
static bool is_media(struct eio_str key)
{
    return kit_json_text_is(key, "data") || kit_json_text_is(key, "blob");
}

static void put_block(struct writer *out, struct eio_str block, bool has_resource)
{
    struct kit_json_walk walk;
    struct eio_str key, value;
    if (block.n <= out->limits->value_max_bytes || block.p[0] != '{' || !kit_json_open(&walk, block)) {
        put_text(out, block.n <= out->limits->value_max_bytes ? block : eio_str("null"));
        return;
    }
    put_text(out, eio_str("{"));
    while (kit_json_each(&walk, &key, &value)) {
        if (is_media(key)) continue;
        if (has_resource && kit_json_text_is(key, "resource") && value.n > out->limits->value_max_bytes) {
            put_name(out, key);
            put_block(out, value, false);
        } else {
            put_member(out, key, value);
        }
    }
    put_text(out, eio_str("}"));
}

static void put_blocks(struct writer *out, struct eio_str blocks)
{
    struct kit_json_walk walk;
    struct eio_str block;
    size_t kept = 0, count = 0;
    put_text(out, eio_str("["));
    if (blocks.p[0] == '[' && kit_json_open(&walk, blocks))
        while (kept <= 4 * out->limits->text_max_bytes && count++ < BLOCKS_MAX && kit_json_each(&walk, NULL, &block)) {
            size_t before = out->n;
            put_name(out, (struct eio_str){NULL, 0});
            put_block(out, block, true);
            kept += out->n - before;
        }
    put_text(out, eio_str("]"));
}

/* Those beyond the limit are counted, and no more. */
static void put_tools(struct writer *out, struct eio_str tools)
{
    struct kit_json_walk walk;
    struct eio_str tool;
    size_t kept = 0, placeholders = 0;
    put_text(out, eio_str("["));
    if (tools.p[0] == '[' && kit_json_open(&walk, tools))
        while (placeholders < PLACEHOLDERS_MAX && kit_json_each(&walk, NULL, &tool)) {
            bool fits = tool.n <= out->limits->tools_max_bytes - kept;
            if (fits) kept += tool.n;
            placeholders += !fits;
            put_name(out, (struct eio_str){NULL, 0});
            put_text(out, fits ? tool : eio_str("0"));
        }
    put_text(out, eio_str("]"));
}

static void put_result(struct writer *out, struct eio_str result)
{
    struct kit_json_walk walk;
    struct eio_str key, value;
    if (result.p[0] != '{' || !kit_json_open(&walk, result)) {
        put_text(out, eio_str("null"));
        return;
    }
    put_text(out, eio_str("{"));
    while (kit_json_each(&walk, &key, &value)) {
        bool is_long = value.n > out->limits->value_max_bytes;
        if (is_long && kit_json_text_is(key, "structuredContent")) {
            out->limits->structured = value;
        } else if (is_long && kit_json_text_is(key, "content")) {
            put_name(out, key);
            put_blocks(out, value);
        } else if (is_long && kit_json_text_is(key, "tools")) {
            put_name(out, key);
            put_tools(out, value);
        } else {
            put_member(out, key, value);
        }
    }
    put_text(out, eio_str("}"));
}

char *mcp_reduce(struct eio_str message, struct mcp_reducing *options, size_t *size)
{
    struct kit_json_walk walk;
    struct eio_str key, value;
    struct writer out = {.capacity = message.n + 64, .limits = options};
    options->structured = (struct eio_str){NULL, 0};
    if (!kit_json_open(&walk, message) || !walk.is_object) return NULL;
    out.p = malloc(out.capacity);
    if (!out.p) return NULL;
    put_text(&out, eio_str("{"));
    while (kit_json_each(&walk, &key, &value)) {
        if (kit_json_text_is(key, "result")) {
            put_name(&out, key);
            put_result(&out, value);
        } else {
            put_member(&out, key, value);
        }
    }
    put_text(&out, eio_str("}"));
    *size = out.n;
    return out.p;
}
