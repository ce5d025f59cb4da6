/* The UI message stream of the AI SDK, version 1: a turn as parts of one message. A question is data, and for a tool
 * that waits for approval the request of that. */
#include "chat_bridge.h"

#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------- reading */

static int fail_memory(struct kit_failure *failure)
{
    return kit_fail(failure, 503, NULL, "out of memory");
}

static const json_t *last_of(const json_t *messages, const char *role)
{
    for (size_t i = json_array_size(messages); i-- > 0;) {
        const json_t *message = json_array_get(messages, i);
        const char *own = json_string_value(json_object_get(message, "role"));
        if (!role || (own && !strcmp(own, role))) return message;
    }
    return NULL;
}

static int read_message(const json_t *body, const json_t *message, struct chat_wanted *wanted,
                        struct kit_failure *failure)
{
    const json_t *id = json_object_get(message, "id"), *zone = json_object_get(body, "time_zone");
    char *text = chat_text_of_parts(json_object_get(message, "parts"));
    if (!text) return kit_fail(failure, 400, "/messages", "the last message has no text");
    wanted->message = json_pack("{s:O*, s:s, s:O*}", "id", id, "content", text, "time_zone", zone);
    free(text);
    return wanted->message ? 0 : fail_memory(failure);
}

/* A part of the last message whose tool was approved, or not. */
static void add_approval(const json_t *part, json_t *answers)
{
    const char *state = json_string_value(json_object_get(part, "state"));
    const json_t *approval = json_object_get(part, "approval"), *approved = json_object_get(approval, "approved");
    if (!state || strcmp(state, "approval-responded") || !json_is_boolean(approved)) return;
    json_array_append_new(answers, json_pack("{s:O*, s:s, s:s}", "id", json_object_get(approval, "id"), "status",
                                             "resolved", "action", json_is_true(approved) ? "accept" : "decline"));
}

static int read_answers(const json_t *body, const json_t *message, struct chat_wanted *wanted,
                        struct kit_failure *failure)
{
    const json_t *part, *own = json_object_get(body, "elicitation");
    size_t i;
    wanted->answers = json_array();
    if (!wanted->answers) return fail_memory(failure);
    json_array_foreach(json_object_get(message, "parts"), i, part) add_approval(part, wanted->answers);
    if (json_is_object(own))
        json_array_append_new(wanted->answers,
                              json_pack("{s:O*, s:O*, s:O*}", "id", json_object_get(own, "reply_to"), "payload",
                                        json_object_get(own, "content"), "action", json_object_get(own, "action")));
    return 0;
}

static int read_ui(const json_t *body, struct chat_wanted *wanted, struct kit_failure *failure)
{
    const json_t *messages = json_object_get(body, "messages"), *last = last_of(messages, NULL);
    const char *trigger = json_string_value(json_object_get(body, "trigger"));
    const char *role = json_string_value(json_object_get(last, "role"));
    if (!json_is_array(messages)) return kit_fail(failure, 400, "/messages", "must be an array");
    if (trigger && !strcmp(trigger, "regenerate-message")) {
        const json_t *said = last_of(messages, "user");
        wanted->again = json_pack("{s:O*}", "ref_id", json_object_get(said, "id"));
        return wanted->again ? 0 : fail_memory(failure);
    }
    bool answers = json_object_get(body, "elicitation") || (role && !strcmp(role, "assistant"));
    if (answers) return read_answers(body, last, wanted, failure);
    return read_message(body, last, wanted, failure);
}

static json_t *read_answer(const json_t *answer, struct eio_str question)
{
    (void)question;
    return json_pack("{s:O*, s:O*, s:O*}", "reply_to", json_object_get(answer, "id"), "content",
                     json_object_get(answer, "payload"), "action", json_object_get(answer, "action"));
}

/* ----------------------------------------------------------------- writing */

static void put_id(struct chat_teller *teller, const char *prefix, struct chat_out *out)
{
    char id[32];
    snprintf(id, sizeof id, "%s%lld", prefix, (long long)teller->part);
    chat_out_text(out, "id", id);
}

static void put_mark(const char *type, struct chat_out *out)
{
    chat_out_begin(out, type);
    chat_out_end(out);
}

static void close_parts(struct chat_teller *teller, struct chat_out *out)
{
    if (teller->has_text || teller->has_reasoning) {
        chat_out_begin(out, teller->has_text ? "text-end" : "reasoning-end");
        put_id(teller, teller->has_text ? "text" : "reasoning", out);
        chat_out_end(out);
    }
    teller->has_text = teller->has_reasoning = false;
}

static void put_delta(struct chat_teller *teller, bool is_text, struct eio_str delta, struct chat_out *out)
{
    bool is_open = is_text ? teller->has_text : teller->has_reasoning;
    const char *prefix = is_text ? "text" : "reasoning";
    if (!is_open) {
        close_parts(teller, out);
        teller->part++;
        chat_out_begin(out, is_text ? "text-start" : "reasoning-start");
        put_id(teller, prefix, out);
        chat_out_end(out);
        teller->has_text = is_text;
        teller->has_reasoning = !is_text;
    }
    chat_out_begin(out, is_text ? "text-delta" : "reasoning-delta");
    put_id(teller, prefix, out);
    chat_out_json(out, "delta", delta);
    chat_out_end(out);
}

static void ui_begin(struct chat_teller *teller, struct eio_str ready, struct chat_out *out)
{
    char id[KIT_ID_SIZE + 40];
    (void)ready;
    chat_teller_message_id(teller, id, sizeof id);
    chat_out_begin(out, "start");
    chat_out_text(out, "messageId", id);
    chat_out_end(out);
    /* A call that was approved goes on in the step that it was made in. */
    if (!json_object_size(teller->calls)) put_mark("start-step", out);
}

static void ui_token(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    teller->has_told = true;
    put_delta(teller, true, chat_field(payload, "content"), out);
}

static void ui_reasoning(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    put_delta(teller, false, chat_field(payload, "content"), out);
}

static const char *const ids[] = {"chat_id", "seq", "ref_id", "attempt", NULL};

/* data-<name>: what the stream has no part for. id "": each is another; otherwise a later one takes its place. */
static void put_data(const char *type, const char *id, struct eio_str payload, struct chat_out *out)
{
    chat_out_begin(out, type);
    if (id[0]) chat_out_text(out, "id", id);
    chat_out_open(out, "data");
    chat_out_members(out, payload, ids);
    chat_out_close(out);
    chat_out_end(out);
}

static void ui_thinking(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    close_parts(teller, out);
    put_data("data-thinking", "", payload, out);
}

static void put_call(struct eio_str payload, struct chat_out *out)
{
    struct eio_str args = chat_field(payload, "args");
    chat_out_begin(out, "tool-input-available");
    chat_out_json(out, "toolCallId", chat_field(payload, "call_id"));
    chat_out_json(out, "toolName", chat_field(payload, "tool"));
    chat_out_json(out, "input", args.n ? args : eio_str("{}"));
    chat_out_json(out, "title", chat_field(payload, "title"));
    chat_out_bool(out, "dynamic", true);
    chat_out_end(out);
}

static void ui_tool_start(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    char id[KIT_ID_SIZE];
    chat_copy_field(id, sizeof id, payload, "call_id");
    close_parts(teller, out);
    if (chat_teller_note_call(teller, id)) put_call(payload, out);
}

static void ui_tool_progress(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    char id[KIT_ID_SIZE];
    (void)teller;
    chat_copy_field(id, sizeof id, payload, "call_id");
    put_data("data-tool-progress", id, payload, out);
}

static void ui_tool_end(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    bool ok = chat_field_is_true(payload, "ok");
    struct eio_str result = chat_field(payload, "result"), text = chat_field(payload, "text");
    char id[KIT_ID_SIZE];
    chat_copy_field(id, sizeof id, payload, "call_id");
    close_parts(teller, out);
    if (chat_teller_note_call(teller, id)) put_call(payload, out); /* it failed before it began */
    chat_out_begin(out, ok ? "tool-output-available" : "tool-output-error");
    chat_out_json(out, "toolCallId", chat_field(payload, "call_id"));
    if (ok)
        chat_out_json(out, "output", result.n ? result : eio_str("null"));
    else
        chat_out_json(out, "errorText", text.n ? text : eio_str("\"failed\""));
    chat_out_bool(out, "dynamic", true);
    chat_out_end(out);
}

static void ui_question(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    char id[KIT_ID_SIZE], call_id[KIT_ID_SIZE];
    chat_copy_field(id, sizeof id, payload, "id");
    chat_copy_field(call_id, sizeof call_id, payload, "call_id");
    close_parts(teller, out);
    put_data("data-elicitation", id, payload, out);
    if (!kit_json_text_is(chat_field(payload, "mode"), "approval") || !call_id[0]) return;
    chat_teller_note_call(teller, call_id);
    put_call(payload, out);
    chat_out_begin(out, "tool-approval-request");
    chat_out_text(out, "approvalId", id);
    chat_out_text(out, "toolCallId", call_id);
    chat_out_end(out);
}

static void ui_question_end(struct chat_teller *teller, struct eio_str payload, struct eio_str asked,
                            struct chat_out *out)
{
    bool accepted = kit_json_text_is(chat_field(payload, "action"), "accept");
    struct eio_str call_id = chat_field(asked, "call_id");
    char id[KIT_ID_SIZE];
    chat_copy_field(id, sizeof id, payload, "id");
    close_parts(teller, out);
    /* In place of the question: it is not open any more. */
    chat_out_begin(out, "data-elicitation");
    chat_out_text(out, "id", id);
    chat_out_open(out, "data");
    chat_out_members(out, asked, ids);
    if (!asked.n) chat_out_text(out, "id", id);
    chat_out_json(out, "action", chat_field(payload, "action"));
    chat_out_close(out);
    chat_out_end(out);
    if (accepted || !call_id.n || !kit_json_text_is(chat_field(asked, "mode"), "approval")) return;
    chat_out_begin(out, "tool-output-denied");
    chat_out_json(out, "toolCallId", call_id);
    chat_out_end(out);
}

static void ui_source(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    close_parts(teller, out);
    chat_out_begin(out, "source-document");
    chat_out_json(out, "sourceId", chat_field(payload, "doc_id"));
    chat_out_text(out, "mediaType", "text/plain");
    chat_out_json(out, "title", chat_field(payload, "title"));
    if (chat_field(payload, "excerpt").n) {
        chat_out_open(out, "providerMetadata");
        chat_out_open(out, "parley");
        chat_out_json(out, "excerpt", chat_field(payload, "excerpt"));
        chat_out_close(out);
        chat_out_close(out);
    }
    chat_out_end(out);
}

static void ui_tree(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    close_parts(teller, out);
    put_data("data-tree", "", payload, out);
}

static void put_finish(struct eio_str payload, const char *reason, struct chat_out *out)
{
    struct eio_str usage = chat_field(payload, "usage");
    put_mark("finish-step", out);
    chat_out_begin(out, "finish");
    chat_out_text(out, "finishReason", reason);
    if (usage.n) {
        chat_out_open(out, "messageMetadata");
        chat_out_json(out, "usage", usage);
        chat_out_close(out);
    }
    chat_out_end(out);
}

static void ui_done(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    struct eio_str text = chat_field(payload, "final_text");
    if (!teller->has_told && text.n > 2)
        put_delta(teller, true, text, out); /* a person's, or one that was not streamed */
    close_parts(teller, out);
    if (chat_field_is_true(payload, "stopped")) {
        chat_out_begin(out, "abort");
        chat_out_text(out, "reason", "stopped");
        chat_out_end(out);
    } else {
        put_finish(payload, "stop", out);
    }
}

static void ui_error(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    close_parts(teller, out);
    chat_out_begin(out, "error");
    chat_out_json(out, "errorText", chat_field(payload, "message"));
    chat_out_end(out);
}

static void ui_wait(struct chat_teller *teller, struct chat_out *out)
{
    close_parts(teller, out);
    put_finish((struct eio_str){NULL, 0}, "tool-calls", out);
}

const struct chat_bridge chat_ui = {
    .read = read_ui,
    .read_answer = read_answer,
    .begin = ui_begin,
    .token = ui_token,
    .thinking = ui_thinking,
    .reasoning = ui_reasoning,
    .tool_start = ui_tool_start,
    .tool_progress = ui_tool_progress,
    .tool_end = ui_tool_end,
    .question = ui_question,
    .question_end = ui_question_end,
    .source = ui_source,
    .tree = ui_tree,
    .done = ui_done,
    .error = ui_error,
    .wait = ui_wait,
};
