/* Dialect `widget`: a chat window that shows thinking steps, answers, and forms as components. Everything carries the
 * ids of chat, session, intent and connection. */
#include "chat_dialect.h"

#include "kit_json.h"

#include <string.h>

#define FOLLOW_UP "Generating follow-up question..."

/* ----------------------------------------------------------------- reading */

static int read_message(const json_t *message, struct chat_wish *wish, struct kit_failure *failure)
{
    static const char *const names[] = {"id", "queue", "time_zone", NULL};
    const json_t *text = json_object_get(message, "message"), *chat = json_object_get(message, "user_chat_id");
    if (!json_string_length(text)) return kit_fail(failure, 400, "/message", "must be a text that is not empty");
    if (chat && !json_is_null(chat) && !kit_is_id(json_string_value(chat), json_string_length(chat)))
        return kit_fail(failure, 400, "/user_chat_id", "must be an id");
    wish->kind = CHAT_WISH_SAY;
    wish->event = "chat.message";
    wish->payload = json_pack("{s:O}", "content", text);
    if (!wish->payload) return kit_fail(failure, 503, NULL, "out of memory");
    chat_take_members(wish->payload, message, names);
    if (json_is_string(chat)) json_object_set(wish->payload, "chat_id", (json_t *)(uintptr_t)chat);
    return 0;
}

static int read_component(const json_t *message, struct chat_wish *wish, struct kit_failure *failure)
{
    static const char *const names[] = {"content", "action", NULL};
    wish->kind = CHAT_WISH_ASK;
    wish->event = "elicitation.submit";
    wish->payload = json_pack("{s:O*}", "reply_to", json_object_get(message, "id"));
    if (!wish->payload) return kit_fail(failure, 503, NULL, "out of memory");
    chat_take_members(wish->payload, message, names);
    return 0;
}

static int read_widget(const struct chat_voice *voice, const json_t *message, struct chat_wish *wish,
                       struct kit_failure *failure)
{
    const char *type = json_string_value(json_object_get(message, "type"));
    (void)voice;
    if (!type) return chat_refuse_type(message, failure);
    if (!strcmp(type, "message")) return read_message(message, wish, failure);
    if (!strcmp(type, "component")) return read_component(message, wish, failure);
    if (!strcmp(type, "ping")) {
        wish->kind = CHAT_WISH_PING;
        return 0;
    }
    if (strcmp(type, "stop")) return chat_refuse_type(message, failure);
    wish->kind = CHAT_WISH_ASK;
    wish->event = "signal.stop";
    wish->payload = json_object();
    return wish->payload ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

/* ----------------------------------------------------------------- writing */

static void end_message(struct chat_voice *voice, struct chat_out *out)
{
    if (voice->session_id[0]) chat_out_text(out, "session_id", voice->session_id);
    if (voice->chat_id[0]) chat_out_text(out, "user_chat_id", voice->chat_id);
    if (voice->intent_id[0]) chat_out_text(out, "user_intent_id", voice->intent_id);
    chat_out_text(out, "socket_connection_id", voice->connection_id);
    chat_out_time(out, "timestamp", voice->now_ms);
    chat_out_end(out);
}

static void put_welcome(struct chat_voice *voice, struct chat_out *out)
{
    chat_out_begin(out, "connection");
    chat_out_text(out, "status", "connected");
    chat_out_text(out, "message", "Connected to the assistant");
    end_message(voice, out);
}

static void put_step(struct chat_voice *voice, const char *step, struct chat_out *out)
{
    chat_out_begin(out, "thinking");
    chat_out_text(out, "step", step);
    end_message(voice, out);
}

static void put_response(struct chat_voice *voice, struct eio_str text, bool is_complete, struct chat_out *out)
{
    chat_out_begin(out, "response");
    chat_out_json(out, "message", text);
    chat_out_bool(out, "is_complete", is_complete);
    end_message(voice, out);
}

static void put_said(struct chat_voice *voice, struct eio_str payload, struct chat_out *out)
{
    char id[KIT_ID_SIZE];
    struct eio_str attempt = chat_field(payload, "attempt");
    chat_copy_field(id, sizeof id, payload, "id");
    if (strcmp(id, voice->own_id)) { /* of another tab or device */
        chat_out_begin(out, "message");
        chat_out_json(out, "message", chat_field(payload, "content"));
        end_message(voice, out);
    }
    char step[80] = "Processing your message...";
    if (attempt.n)
        snprintf(step, sizeof step, "Retrying intent recognition (attempt %.*s)...", (int)attempt.n, attempt.p);
    put_step(voice, step, out);
}

/* The question as text and as a form: a window that shows no forms has the former. */
static void put_question(struct chat_voice *voice, struct eio_str payload, struct chat_out *out)
{
    static const char *const but[] = {"chat_id", "seq", "ref_id", "attempt", NULL};
    char mode[16];
    chat_copy_field(mode, sizeof mode, payload, "mode");
    if (!voice->has_followed_up) put_step(voice, FOLLOW_UP, out); /* an MCP server's own question */
    voice->has_followed_up = false;
    put_response(voice, chat_field(payload, "message"), false, out);
    chat_out_begin(out, "component");
    chat_out_text(out, "component", mode);
    chat_out_open(out, "props");
    chat_out_members(out, payload, but);
    chat_out_close(out);
    end_message(voice, out);
}

static void put_question_end(struct chat_voice *voice, struct eio_str payload, struct chat_out *out)
{
    if (kit_json_text_is(chat_field(payload, "action"), "accept"))
        put_step(voice, "Extracting additional parameters...", out);
    chat_out_begin(out, "component_end");
    chat_out_json(out, "id", chat_field(payload, "id"));
    chat_out_json(out, "action", chat_field(payload, "action"));
    end_message(voice, out);
}

static void put_fault(struct chat_voice *voice, struct eio_str code, struct eio_str message, struct chat_out *out)
{
    chat_out_begin(out, "error");
    chat_out_json(out, "message", message);
    chat_out_json(out, "code", code);
    end_message(voice, out);
}

static void put_entry(struct chat_voice *voice, const struct chat_entry *entry, struct chat_out *out)
{
    const char *event = entry->event;
    struct eio_str payload = entry->payload;
    char step[256];
    if (!strcmp(event, "session.ready")) {
        put_step(voice, "Initializing session...", out);
    } else if (!strcmp(event, "chat.message")) {
        put_said(voice, payload, out);
    } else if (!strcmp(event, "chat.thinking")) {
        chat_copy_field(step, sizeof step, payload, "step");
        voice->has_followed_up = !strcmp(step, FOLLOW_UP);
        put_step(voice, step, out);
    } else if (!strcmp(event, "elicitation.start")) {
        put_question(voice, payload, out);
    } else if (!strcmp(event, "elicitation.end")) {
        put_question_end(voice, payload, out);
    } else if (!strcmp(event, "chat.done")) {
        put_response(voice, chat_field(payload, "final_text"), chat_field_is_true(payload, "is_complete"), out);
    } else if (!strcmp(event, "reminder.due")) {
        put_response(voice, chat_field(payload, "text"), true, out);
    } else if (!strcmp(event, "error")) {
        put_fault(voice, chat_field(payload, "code"), chat_field(payload, "message"), out);
    }
}

static void put_failure(struct chat_voice *voice, const struct kit_failure *failure, const char *ref_id,
                        struct chat_out *out)
{
    (void)ref_id;
    chat_out_begin(out, "error");
    chat_out_text(out, "message", failure->message);
    chat_out_int(out, "code", failure->code);
    if (failure->field[0]) chat_out_text(out, "field", failure->field);
    end_message(voice, out);
}

static void put_pong(struct chat_voice *voice, struct chat_out *out)
{
    chat_out_begin(out, "pong");
    end_message(voice, out);
}

static void put_event(struct chat_voice *voice, const char *event, struct eio_str data, struct chat_out *out)
{
    chat_out_begin(out, event);
    chat_out_json(out, "data", data.n ? data : eio_str("{}"));
    end_message(voice, out);
}

const struct chat_dialect chat_widget = {
    .name = "widget",
    .read = read_widget,
    .put_welcome = put_welcome,
    .put_entry = put_entry,
    .put_failure = put_failure,
    .put_pong = put_pong,
    .put_event = put_event,
};
