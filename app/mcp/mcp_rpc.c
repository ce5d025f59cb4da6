#include "mcp_rpc.h"

#include "mcp_result.h"

#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------- strings */

/* A copy of a text in which each U+0000 is U+FFFD. NULL: out of memory. */
static json_t *replace_nul(const char *text, size_t size)
{
    static const char instead[] = "\xef\xbf\xbd";
    size_t n = 0;
    char *out = malloc(size * 3 + 1);
    if (!out) return NULL;
    for (size_t i = 0; i < size; i++) {
        if (text[i]) {
            out[n++] = text[i];
        } else {
            memcpy(out + n, instead, 3);
            n += 3;
        }
    }
    json_t *copy = json_stringn(out, n);
    free(out);
    return copy;
}

static bool has_nul(const json_t *value)
{
    return json_is_string(value) && memchr(json_string_value(value), 0, json_string_length(value));
}

/* Keys have none: jansson takes them for the end of the key, and refuses that. The depth is that of the text, which was
 * checked. */
static int clean_strings(json_t *value)
{
    const char *key;
    size_t i;
    json_t *one;
    int failed = 0;
    json_object_foreach(value, key, one)
    {
        if (has_nul(one)) {
            failed |= json_object_set_new(value, key, replace_nul(json_string_value(one), json_string_length(one)));
        } else {
            failed |= clean_strings(one);
        }
    }
    if (!json_is_array(value)) return failed;
    for (i = 0; i < json_array_size(value); i++) {
        one = json_array_get(value, i);
        if (has_nul(one))
            failed |= json_array_set_new(value, i, replace_nul(json_string_value(one), json_string_length(one)));
        else
            failed |= clean_strings(one);
    }
    return failed;
}

static json_t *load(struct eio_str text, const char **why)
{
    static const char escape[] = "\\u0000";
    struct kit_failure failure = {0};
    json_error_t error;
    *why = "is not JSON, or nested too deeply";
    if (kit_json_check(text, MCP_DEPTH_MAX, &failure)) return NULL;
    *why = "has half surrogates or numbers that are too large";
    json_t *root = json_loadb(text.p, text.n, JSON_ALLOW_NUL, &error);
    if (!root || !memmem(text.p, text.n, escape, sizeof escape - 1) || !clean_strings(root)) return root;
    *why = "out of memory";
    json_decref(root);
    return NULL;
}

/* ----------------------------------------------------------------- reading */

static bool read_request(struct mcp_message *message)
{
    const json_t *params = json_object_get(message->root, "params");
    message->method = json_string_value(json_object_get(message->root, "method"));
    message->params = json_is_object(params) ? params : NULL;
    message->kind = message->id ? MCP_REQUEST : MCP_NOTIFICATION;
    return message->method && (!params || message->params || json_is_null(params));
}

static bool read_error(struct mcp_message *message, const json_t *error)
{
    const json_t *code = json_object_get(error, "code");
    message->kind = MCP_ERROR;
    message->code = json_integer_value(code);
    message->text = json_string_value(json_object_get(error, "message"));
    message->data = json_object_get(error, "data");
    if (!message->text) message->text = "";
    return json_is_integer(code);
}

static bool read_parts(struct mcp_message *message)
{
    const char *version = json_string_value(json_object_get(message->root, "jsonrpc"));
    const json_t *id = json_object_get(message->root, "id"), *error = json_object_get(message->root, "error");
    if (!version || strcmp(version, "2.0")) return false;
    if (id && !json_is_string(id) && !json_is_integer(id) && !json_is_null(id)) return false;
    if (id && !json_is_null(id)) message->id = id;
    if (json_object_get(message->root, "method")) return read_request(message);
    if (error) return read_error(message, error);
    message->kind = MCP_RESULT;
    message->result = json_object_get(message->root, "result");
    return message->id && json_is_object(message->result);
}

int mcp_message_read(struct eio_str text, struct mcp_message *message, const char **why)
{
    memset(message, 0, sizeof *message);
    message->root = load(text, why);
    if (!message->root) return strcmp(*why, "out of memory") ? EIO_EPROTO : EIO_ENOMEM;
    *why = "is not a JSON-RPC message";
    if (json_is_object(message->root) && read_parts(message)) return 0;
    mcp_message_clear(message);
    return EIO_EPROTO;
}

void mcp_message_clear(struct mcp_message *message)
{
    json_decref(message->root);
    free(message->words);
    memset(message, 0, sizeof *message);
}

int mcp_message_shorten(struct mcp_message *message, struct eio_str structured, size_t text_max_bytes)
{
    const json_t *result = message->result, *type = json_object_get(result, "resultType");
    json_t *root = json_pack("{s:O, s:{s:O*, s:O*}}", "id", message->id, "result", "resultType", type, "isError",
                             json_object_get(result, "isError"));
    char *words = mcp_result_text_of(result, structured, text_max_bytes);
    mcp_message_clear(message);
    *message = (struct mcp_message){.kind = MCP_RESULT, .root = root, .words = words};
    message->id = json_object_get(root, "id");
    message->result = json_object_get(root, "result");
    if (root && words) return 0;
    mcp_message_clear(message);
    return EIO_ENOMEM;
}

bool mcp_message_answers(const struct mcp_message *message, int64_t id)
{
    if (message->kind != MCP_RESULT && message->kind != MCP_ERROR) return false;
    if (!message->id) return message->kind == MCP_ERROR;
    return json_is_integer(message->id) && json_integer_value(message->id) == id;
}

/* ----------------------------------------------------------------- writing */

static char *dump(json_t *take_message)
{
    char *text = take_message ? json_dumps(take_message, JSON_COMPACT) : NULL;
    json_decref(take_message);
    return text;
}

char *mcp_rpc_request(int64_t id, const char *method, const json_t *params)
{
    json_t *message = json_pack("{s:s, s:s}", "jsonrpc", "2.0", "method", method);
    if (message && id && json_object_set_new(message, "id", json_integer(id))) json_decref(message), message = NULL;
    /* Borrowed: jansson counts references also of what is const. */
    if (message && params && json_object_set(message, "params", (json_t *)(uintptr_t)params))
        json_decref(message), message = NULL;
    return dump(message);
}

char *mcp_rpc_result(const json_t *id, const json_t *result)
{
    return dump(json_pack("{s:s, s:O, s:O}", "jsonrpc", "2.0", "id", id, "result", result));
}

char *mcp_rpc_error(const json_t *id, int code, const char *text)
{
    return dump(
        json_pack("{s:s, s:O, s:{s:i, s:s}}", "jsonrpc", "2.0", "id", id, "error", "code", code, "message", text));
}
