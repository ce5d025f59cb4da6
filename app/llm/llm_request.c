/* From a conversation to the body of a request. */
#include "llm_request.h"

#include <string.h>

/* ---------------------------------------------------------------- messages */

static bool is_role(const json_t *message, const char *role)
{
    const char *own = json_string_value(json_object_get(message, "role"));
    return own && !strcmp(own, role);
}

static bool is_of_provider(const json_t *message, const struct llm_provider *provider)
{
    const char *id = json_string_value(json_object_get(message, "provider"));
    return id && !strcmp(id, provider->id);
}

static json_t *call_for_wire(json_t *call, bool is_own)
{
    const json_t *function = json_object_get(call, "function");
    const char *name = json_string_value(json_object_get(function, "name"));
    const char *args = json_string_value(json_object_get(function, "arguments"));
    const char *id = json_string_value(json_object_get(call, "id"));
    char wire_name[LLM_WIRE_NAME_SIZE];
    llm_wire_name(name ? name : "", wire_name);
    json_t *out = json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id ? id : "", "type", "function", "function", "name",
                            wire_name, "arguments", args && args[0] ? args : "{}");
    if (out && is_own) json_object_update_missing(out, call);
    return out;
}

static json_t *calls_for_wire(const json_t *calls, bool is_own)
{
    json_t *out = json_array();
    size_t i;
    json_t *call;
    json_array_foreach(calls, i, call)
    {
        if (!json_array_append_new(out, call_for_wire(call, is_own))) continue;
        json_decref(out);
        return NULL;
    }
    return out;
}

/* in_loop: no message of the user follows. What a model thought then goes back to it, if it wants that. */
static json_t *message_for_wire(const json_t *message, const struct llm_provider *provider, bool in_loop)
{
    static const char *const fields[] = {"role", "content", "name", "tool_call_id"};
    const json_t *calls = json_object_get(message, "tool_calls");
    json_t *reasoning = json_object_get(message, "reasoning_content"), *out = json_object();
    bool is_own = is_of_provider(message, provider), failed = !out;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0] && !failed; i++) {
        json_t *value = json_object_get(message, fields[i]);
        if (value) failed = json_object_set(out, fields[i], value);
    }
    if (!failed && json_array_size(calls))
        failed = json_object_set_new(out, "tool_calls", calls_for_wire(calls, is_own));
    if (!failed && reasoning && is_own && in_loop && provider->sends_reasoning)
        failed = json_object_set(out, "reasoning_content", reasoning);
    if (!failed) return out;
    json_decref(out);
    return NULL;
}

json_t *llm_request_messages(const struct llm_answer *answer, const struct llm_provider *provider)
{
    json_t *out = json_array();
    size_t i, last_user = 0;
    json_t *message;
    json_array_foreach(answer->messages, i, message)
    {
        if (is_role(message, "user")) last_user = i;
    }
    json_array_foreach(answer->messages, i, message)
    {
        if (!json_array_append_new(out, message_for_wire(message, provider, i > last_user))) continue;
        json_decref(out);
        return NULL;
    }
    return out;
}

/* -------------------------------------------------------------------- body */

static bool put_tools(json_t *body, const struct llm_answer *answer)
{
    if (!answer->tools.count) return true;
    if (json_object_set_new(body, "tools", llm_tools_json(&answer->tools))) return false;
    return !answer->no_calls || !json_object_set_new(body, "tool_choice", json_string("none"));
}

char *llm_request_body(const struct llm_answer *answer, const struct llm_provider *provider)
{
    uint32_t max_tokens = answer->max_tokens ? answer->max_tokens : provider->max_tokens;
    json_t *messages = llm_request_messages(answer, provider);
    json_t *body =
        messages ? json_pack("{s:s, s:o, s:b}", "model", provider->model, "messages", messages, "stream", 1) : NULL;
    bool is_good = body && put_tools(body, answer);
    if (is_good && provider->wants_usage)
        is_good = !json_object_set_new(body, "stream_options", json_pack("{s:b}", "include_usage", 1));
    if (is_good && max_tokens)
        is_good = !json_object_set_new(body, provider->max_tokens_name, json_integer((json_int_t)max_tokens));
    if (is_good && provider->extra) is_good = !json_object_update(body, provider->extra);
    char *text = is_good ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return text;
}
