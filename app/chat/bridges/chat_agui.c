/* AG-UI 1.0: a request is a run, a turn's entries are its events. Everything that was begun is ended before the run
 * is; a question ends the run as an interrupt, and the next one resumes it. */
#include "chat_bridge.h"

#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------- reading */

static int copy_id(char *out, const json_t *body, const char *name, struct kit_failure *failure)
{
    const json_t *id = json_object_get(body, name);
    char pointer[32];
    snprintf(pointer, sizeof pointer, "/%s", name);
    if (!kit_is_id(json_string_value(id), json_string_length(id)))
        return kit_fail(failure, 400, pointer, "must be an id");
    snprintf(out, KIT_ID_SIZE, "%s", json_string_value(id));
    return 0;
}

static int read_resume(const json_t *resume, struct chat_wanted *wanted, struct kit_failure *failure)
{
    const json_t *one;
    size_t i;
    wanted->answers = json_array();
    if (!wanted->answers) return kit_fail(failure, 503, NULL, "out of memory");
    json_array_foreach(resume, i, one)
    {
        const json_t *id = json_object_get(one, "interruptId"), *status = json_object_get(one, "status");
        if (!json_is_string(id) || !json_is_string(status))
            return kit_fail(failure, 400, "/resume", "needs interruptId and status");
        json_array_append_new(wanted->answers, json_pack("{s:O, s:O, s:O*}", "id", id, "status", status, "payload",
                                                         json_object_get(one, "payload")));
    }
    return 0;
}

static int read_agui(const json_t *body, struct chat_wanted *wanted, struct kit_failure *failure)
{
    const json_t *messages = json_object_get(body, "messages"), *resume = json_object_get(body, "resume");
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    const json_t *zone = json_object_get(json_object_get(body, "forwardedProps"), "time_zone");
    const char *role = json_string_value(json_object_get(last, "role"));
    if (copy_id(wanted->chat_id, body, "threadId", failure) || copy_id(wanted->run_id, body, "runId", failure))
        return failure->code;
    if (json_array_size(resume)) return read_resume(resume, wanted, failure);
    if (!role || strcmp(role, "user") != 0)
        return kit_fail(failure, 400, "/messages", "the last message must be the user's");
    char *text = chat_text_of_parts(json_object_get(last, "content"));
    if (!text) return kit_fail(failure, 400, "/messages", "the last message has no text");
    wanted->message =
        json_pack("{s:O*, s:s, s:O*}", "id", json_object_get(last, "id"), "content", text, "time_zone", zone);
    free(text);
    return wanted->message ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

/* A payload is the form's content; for an approval or a link, yes or no. */
static json_t *read_answer(const json_t *answer, struct eio_str question)
{
    const json_t *id = json_object_get(answer, "id"), *payload = json_object_get(answer, "payload");
    const json_t *approved = json_is_object(payload) ? json_object_get(payload, "approved") : payload;
    const char *status = json_string_value(json_object_get(answer, "status"));
    bool is_form = !question.n || kit_json_text_is(chat_field(question, "mode"), "form");
    if (status && !strcmp(status, "cancelled")) return json_pack("{s:O*, s:s}", "reply_to", id, "action", "cancel");
    if (is_form && json_is_object(payload)) return json_pack("{s:O*, s:O}", "reply_to", id, "content", payload);
    return json_pack("{s:O*, s:s}", "reply_to", id, "action", json_is_false(approved) ? "decline" : "accept");
}

/* ----------------------------------------------------------------- writing */

static void put_message_id(const struct chat_teller *teller, struct chat_out *out)
{
    char id[KIT_ID_SIZE + 48], part[KIT_ID_SIZE + 64];
    chat_teller_message_id(teller, id, sizeof id);
    snprintf(part, sizeof part, "%s.%lld", id, (long long)teller->part);
    chat_out_text(out, "messageId", part);
}

/* An event about the message that is open. */
static void put_part(const struct chat_teller *teller, const char *type, struct chat_out *out)
{
    chat_out_begin(out, type);
    put_message_id(teller, out);
    chat_out_end(out);
}

static void close_message(struct chat_teller *teller, struct chat_out *out)
{
    if (teller->has_text) put_part(teller, "TEXT_MESSAGE_END", out);
    if (teller->has_reasoning) {
        put_part(teller, "REASONING_MESSAGE_END", out);
        put_part(teller, "REASONING_END", out);
    }
    teller->has_text = teller->has_reasoning = false;
}

static void close_step(struct chat_teller *teller, struct chat_out *out)
{
    if (!teller->has_step) return;
    chat_out_begin(out, "STEP_FINISHED");
    chat_out_text(out, "stepName", teller->step);
    chat_out_end(out);
    teller->has_step = false;
}

static void put_run(const struct chat_teller *teller, const char *type, struct chat_out *out)
{
    chat_out_begin(out, type);
    chat_out_text(out, "threadId", teller->chat_id);
    chat_out_text(out, "runId", teller->run_id);
}

static void agui_begin(struct chat_teller *teller, struct eio_str ready, struct chat_out *out)
{
    struct eio_str tree = chat_field(ready, "initial_tree");
    put_run(teller, "RUN_STARTED", out);
    chat_out_end(out);
    chat_out_begin(out, "STATE_SNAPSHOT");
    chat_out_open(out, "snapshot");
    chat_out_json(out, "tree", tree.n ? tree : eio_str("{}"));
    chat_out_close(out);
    chat_out_end(out);
}

/* Messages of a turn have ids of their own in all its runs, and the same ones when the turn is replayed. */
static void begin_message(struct chat_teller *teller, struct chat_out *out)
{
    close_message(teller, out);
    teller->part = teller->seq > teller->part ? teller->seq : teller->part + 1;
}

/* Deltas are not empty. */
static void put_delta(struct chat_teller *teller, const char *type, struct eio_str delta, struct chat_out *out)
{
    chat_out_begin(out, type);
    put_message_id(teller, out);
    chat_out_json(out, "delta", delta);
    chat_out_end(out);
}

static void put_text(struct chat_teller *teller, struct eio_str text, struct chat_out *out)
{
    if (text.n <= 2) return;
    if (!teller->has_text) {
        begin_message(teller, out);
        teller->has_text = true;
        chat_out_begin(out, "TEXT_MESSAGE_START");
        put_message_id(teller, out);
        chat_out_text(out, "role", "assistant");
        chat_out_end(out);
    }
    teller->has_told = true;
    put_delta(teller, "TEXT_MESSAGE_CONTENT", text, out);
}

static void agui_token(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    put_text(teller, chat_field(payload, "content"), out);
}

static void agui_reasoning(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    struct eio_str text = chat_field(payload, "content");
    if (text.n <= 2) return;
    if (!teller->has_reasoning) {
        begin_message(teller, out);
        teller->has_reasoning = true;
        put_part(teller, "REASONING_START", out);
        chat_out_begin(out, "REASONING_MESSAGE_START");
        put_message_id(teller, out);
        chat_out_text(out, "role", "reasoning");
        chat_out_end(out);
    }
    put_delta(teller, "REASONING_MESSAGE_CONTENT", text, out);
}

static void agui_thinking(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    close_step(teller, out);
    chat_copy_field(teller->step, sizeof teller->step, payload, "step");
    teller->has_step = true;
    chat_out_begin(out, "STEP_STARTED");
    chat_out_text(out, "stepName", teller->step);
    chat_out_end(out);
}

static void put_call(struct eio_str payload, struct chat_out *out)
{
    struct eio_str id = chat_field(payload, "call_id"), args = chat_field(payload, "args");
    chat_out_begin(out, "TOOL_CALL_START");
    chat_out_json(out, "toolCallId", id);
    chat_out_json(out, "toolCallName", chat_field(payload, "tool"));
    chat_out_end(out);
    chat_out_begin(out, "TOOL_CALL_ARGS");
    chat_out_json(out, "toolCallId", id);
    chat_out_quoted(out, "delta", args.n ? args : eio_str("{}"));
    chat_out_end(out);
    chat_out_begin(out, "TOOL_CALL_END");
    chat_out_json(out, "toolCallId", id);
    chat_out_end(out);
}

/* Not again, if it was sent with the question about it. */
static void tell_call(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    char id[KIT_ID_SIZE];
    chat_copy_field(id, sizeof id, payload, "call_id");
    close_message(teller, out);
    if (chat_field(payload, "tool").n && chat_teller_note_call(teller, id)) put_call(payload, out);
}

static const char *const ids[] = {"chat_id", "seq", "ref_id", "attempt", NULL};

static void put_custom(const char *name, struct eio_str payload, struct chat_out *out)
{
    chat_out_begin(out, "CUSTOM");
    chat_out_text(out, "name", name);
    chat_out_open(out, "value");
    chat_out_members(out, payload, ids);
    chat_out_close(out);
    chat_out_end(out);
}

static void agui_tool_progress(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    (void)teller;
    put_custom("tool.progress", payload, out);
}

static void agui_tool_end(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    char id[KIT_ID_SIZE], message[KIT_ID_SIZE + 16];
    struct eio_str result = chat_field(payload, "result"), text = chat_field(payload, "text");
    chat_copy_field(id, sizeof id, payload, "call_id");
    snprintf(message, sizeof message, "result_%s", id);
    tell_call(teller, payload, out);
    chat_out_begin(out, "TOOL_CALL_RESULT");
    chat_out_text(out, "messageId", message);
    chat_out_text(out, "toolCallId", id);
    if (text.n)
        chat_out_json(out, "content", text);
    else
        chat_out_quoted(out, "content", result.n ? result : eio_str("{}"));
    chat_out_text(out, "role", "tool");
    chat_out_end(out);
}

static void agui_question(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    if (chat_field(payload, "call_id").n && kit_json_text_is(chat_field(payload, "mode"), "approval"))
        tell_call(teller, payload, out);
    close_message(teller, out);
}

static void agui_question_end(struct chat_teller *teller, struct eio_str payload, struct eio_str asked,
                              struct chat_out *out)
{
    (void)teller, (void)asked;
    put_custom("elicitation.end", payload, out);
}

static void agui_source(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    (void)teller;
    put_custom("chat.source", payload, out);
}

/* RFC 6902, if the entry has it (session.init's want). */
static void agui_tree(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    struct eio_str patch = chat_field(payload, "patch");
    (void)teller;
    if (!patch.n) {
        put_custom("tree.update", payload, out);
        return;
    }
    chat_out_begin(out, "STATE_DELTA");
    chat_out_json(out, "delta", patch);
    chat_out_end(out);
}

static void close_all(struct chat_teller *teller, struct chat_out *out)
{
    close_message(teller, out);
    close_step(teller, out);
}

static void agui_done(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    bool stopped = chat_field_is_true(payload, "stopped");
    if (!teller->has_told) put_text(teller, chat_field(payload, "final_text"), out);
    close_all(teller, out);
    put_run(teller, "RUN_FINISHED", out);
    chat_out_open(out, "outcome");
    chat_out_text(out, "type", stopped ? "cancelled" : "success");
    chat_out_close(out);
    chat_out_end(out);
}

static void agui_error(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    close_all(teller, out);
    chat_out_begin(out, "RUN_ERROR");
    chat_out_json(out, "message", chat_field(payload, "message"));
    chat_out_quoted(out, "code", chat_field(payload, "code"));
    chat_out_end(out);
}

static void put_interrupt(struct eio_str payload, struct chat_out *out)
{
    struct eio_str mode = chat_field(payload, "mode");
    const char *reason = kit_json_text_is(mode, "approval") ? "tool_call"
                         : kit_json_text_is(mode, "form")   ? "input_required"
                                                            : "confirmation";
    static const char *const told[] = {"id",      "message", "call_id", "schema",  "expires_at",
                                       "chat_id", "seq",     "ref_id",  "attempt", NULL};
    sio_builder_put(&out->json, "{");
    chat_out_json(out, "id", chat_field(payload, "id"));
    chat_out_text(out, "reason", reason);
    chat_out_json(out, "message", chat_field(payload, "message"));
    chat_out_json(out, "toolCallId", chat_field(payload, "call_id"));
    chat_out_json(out, "responseSchema", chat_field(payload, "schema"));
    chat_out_json(out, "expiresAt", chat_field(payload, "expires_at"));
    chat_out_open(out, "metadata");
    chat_out_members(out, payload, told);
    chat_out_close(out);
    sio_builder_put(&out->json, "}");
}

static void agui_wait(struct chat_teller *teller, struct chat_out *out)
{
    const char *id;
    json_t *asked;
    bool first = true;
    close_all(teller, out);
    put_run(teller, "RUN_FINISHED", out);
    chat_out_open(out, "outcome");
    chat_out_text(out, "type", "interrupt");
    chat_out_name(out, "interrupts");
    sio_builder_put(&out->json, "[");
    json_object_foreach(teller->open, id, asked)
    {
        if (!first) sio_builder_put(&out->json, ",");
        put_interrupt((struct eio_str){json_string_value(asked), json_string_length(asked)}, out);
        first = false;
    }
    sio_builder_put(&out->json, "]");
    chat_out_close(out);
    chat_out_end(out);
}

const struct chat_bridge chat_agui = {
    .read = read_agui,
    .read_answer = read_answer,
    .begin = agui_begin,
    .token = agui_token,
    .thinking = agui_thinking,
    .reasoning = agui_reasoning,
    .tool_start = tell_call,
    .tool_progress = agui_tool_progress,
    .tool_end = agui_tool_end,
    .question = agui_question,
    .question_end = agui_question_end,
    .source = agui_source,
    .tree = agui_tree,
    .done = agui_done,
    .error = agui_error,
    .wait = agui_wait,
};
