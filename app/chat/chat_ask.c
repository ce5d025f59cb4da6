/* Questions of calls: made here, stored with the turn's next write. */
#include "chat_turn.h"

#include <string.h>

#define TOO_MANY "The user has too many questions to answer already; this one was not asked."

static json_t *describe_question(const struct chat_tool_call *call, const struct chat_question *question,
                                 const char *id)
{
    char at[25];
    json_t *payload = json_pack("{s:s, s:s, s:s, s:{s:s, s:s}, s:s, s:s}", "id", id, "mode", question->mode, "message",
                                question->message, "source", "kind", call->mcp ? "mcp" : "tool", "name", call->name,
                                "call_id", call->call_id, "tool", call->name);
    if (question->schema) json_object_set(payload, "schema", (json_t *)(uintptr_t)question->schema);
    if (question->values && !strcmp(question->mode, "approval"))
        json_object_set_new(payload, "args", json_deep_copy(question->values));
    else if (question->values)
        json_object_set_new(payload, "values", json_deep_copy(question->values));
    if (question->url) json_object_set_new(payload, "url", json_string(question->url));
    if (question->expires_ms) {
        kit_time_text((uint64_t)question->expires_ms, at);
        json_object_set_new(payload, "expires_at", json_string(at));
    }
    return payload;
}

/* As a client gets it that comes later: with what the log adds. */
static json_t *describe_stored(const struct chat_turn *turn, const json_t *payload)
{
    json_t *stored = json_copy((json_t *)(uintptr_t)payload);
    json_object_set_new(stored, "ref_id", json_string(turn->row.ref_id));
    if (turn->row.attempt > 1) json_object_set_new(stored, "attempt", json_integer(turn->row.attempt));
    return stored;
}

bool chat_may_ask(struct chat_tool_call *call, size_t count)
{
    struct chat *chat = call->turn->chat;
    if (call->turn->open_questions + (int64_t)count <= chat->config->questions_per_user_max) return true;
    chat->counters.refused_questions++;
    chat_tool_fail(call, TOO_MANY);
    return false;
}

void chat_ask(struct chat_tool_call *call, const struct chat_question *question, const char *key)
{
    struct chat_turn *turn = call->turn;
    char id[KIT_ID_SIZE];
    turn->open_questions++;
    chat_make_id(id, "ask_");
    json_t *payload = describe_question(call, question, id);
    json_t *stored = describe_stored(turn, payload);
    if (!turn->questions) turn->questions = json_array();
    json_array_append_new(turn->questions,
                          json_pack("{s:s, s:s, s:O, s:I}", "id", id, "call_id", call->call_id, "question", stored,
                                    "expires_ms", (json_int_t)question->expires_ms));
    /* The answers to former questions are of no use any more. */
    if (call->questions && json_object_get(json_array_get(call->questions, 0), "action")) {
        json_decref(call->questions);
        call->questions = NULL;
    }
    if (!call->questions) call->questions = json_array();
    json_array_append_new(call->questions, json_pack("{s:s, s:s}", "id", id, "key", key));
    chat_turn_remember(turn, "component", question->message, stored);
    turn->chat->counters.questions++;
    chat_turn_add(turn, "elicitation.start", payload);
    turn->checkpoint = true;
}
