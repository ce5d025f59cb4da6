#include "chat_pending.h"

#include <stddef.h>

#define NO_RESULT "No result is available."

void chat_pending_complete(json_t *messages, const json_t *pending)
{
    json_t *message = json_object_get(pending, "message"), *calls = json_object_get(pending, "calls"), *call;
    size_t i;
    if (!json_is_object(message)) return;
    json_array_append(messages, message);
    json_array_foreach(calls, i, call)
    {
        const char *result = json_string_value(json_object_get(call, "result"));
        json_array_append_new(messages,
                              json_pack("{s:s, s:O, s:s}", "role", "tool", "tool_call_id",
                                        json_object_get(call, "model_id"), "content", result ? result : NO_RESULT));
    }
}
