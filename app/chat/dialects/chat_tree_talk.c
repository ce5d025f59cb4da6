/* Dialect `tree`: a chat beside an object tree. Its session_id is the chat's id: a client comes back with it. What the
 * design has no word for is sent with the event's own name, its dots as underscores. */
#include "chat_dialect.h"

#include "kit_answer.h"
#include "kit_json.h"

#include <string.h>

/* ----------------------------------------------------------------- reading */

static int read_init(const json_t *message, const json_t *data, struct chat_wish *wish, struct kit_failure *failure)
{
    static const char *const names[] = {"assistant", "time_zone", "want", NULL};
    const json_t *id = json_object_get(message, "session_id");
    wish->kind = CHAT_WISH_INIT;
    if (!id) id = json_object_get(data, "session_id");
    if (id && !json_is_null(id) && !kit_is_id(json_string_value(id), json_string_length(id)))
        return kit_fail(failure, 400, "/session_id", "must be an id");
    wish->payload = json_object();
    if (id && !json_is_null(id)) json_object_set(wish->payload, "chat_id", (json_t *)(uintptr_t)id);
    chat_take_members(wish->payload, data, names);
    if (json_is_true(json_object_get(data, "debug")))
        json_object_set_new(wish->payload, "want", json_pack("[s]", "debug"));
    return wish->payload ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

static int read_prompt(const json_t *data, struct chat_wish *wish, struct kit_failure *failure)
{
    static const char *const names[] = {"id", "queue", "time_zone", NULL};
    const json_t *prompt = json_object_get(data, "prompt");
    if (!json_string_length(prompt)) return kit_fail(failure, 400, "/data/prompt", "Invalid prompt format");
    wish->kind = CHAT_WISH_SAY;
    wish->event = "chat.message";
    wish->payload = json_object();
    json_object_set(wish->payload, "content", (json_t *)(uintptr_t)prompt);
    if (wish->payload) chat_take_members(wish->payload, data, names);
    return wish->payload ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

static int read_payload(const json_t *data, const char *event, struct chat_wish *wish, struct kit_failure *failure)
{
    wish->kind = CHAT_WISH_ASK;
    wish->event = event;
    wish->payload = json_deep_copy(data);
    return wish->payload ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

static int read_answer(const json_t *data, struct chat_wish *wish, struct kit_failure *failure)
{
    static const char *const names[] = {"content", "action", NULL};
    const json_t *id = json_object_get(data, "id");
    wish->kind = CHAT_WISH_ASK;
    wish->event = "elicitation.submit";
    wish->payload = json_pack("{s:O*}", "reply_to", id);
    if (wish->payload) chat_take_members(wish->payload, data, names);
    return wish->payload ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

static bool is_about_tree(const char *type)
{
    return !strcmp(type, "init_session") || !strcmp(type, "tree_edit") || !strcmp(type, "ping") ||
           !strcmp(type, "close_session");
}

static int read_tree_talk(const struct chat_voice *voice, const json_t *message, struct chat_wish *wish,
                          struct kit_failure *failure)
{
    const char *type = json_string_value(json_object_get(message, "type"));
    json_t *data = json_object_get(message, "data");
    if (data && !json_is_object(data)) return kit_fail(failure, 400, "/data", "must be an object");
    if (!type || (voice->tree_only && !is_about_tree(type))) return chat_refuse_type(message, failure);
    if (!strcmp(type, "init_session")) return read_init(message, data, wish, failure);
    if (!strcmp(type, "ping") || !strcmp(type, "close_session")) {
        wish->kind = !strcmp(type, "ping") ? CHAT_WISH_PING : CHAT_WISH_CLOSE;
        return 0;
    }
    if (!data) return kit_fail(failure, 400, "/data", "must be an object");
    if (!strcmp(type, "user_prompt")) return read_prompt(data, wish, failure);
    if (!strcmp(type, "tree_edit")) return read_payload(data, "tree.edit", wish, failure);
    if (!strcmp(type, "elicitation_response")) return read_answer(data, wish, failure);
    if (!strcmp(type, "stop")) return read_payload(data, "signal.stop", wish, failure);
    return chat_refuse_type(message, failure);
}

/* ----------------------------------------------------------------- writing */

static void end_message(struct chat_voice *voice, struct chat_out *out)
{
    if (voice->chat_id[0]) chat_out_text(out, "session_id", voice->chat_id);
    chat_out_time(out, "timestamp", voice->now_ms);
    chat_out_end(out);
}

static void put_text(struct chat_voice *voice, struct eio_str text, bool is_chunk, struct chat_out *out)
{
    chat_out_begin(out, "assistant_response");
    chat_out_open(out, "data");
    chat_out_json(out, "text", text);
    chat_out_bool(out, "chunk", is_chunk);
    chat_out_close(out);
    end_message(voice, out);
}

static void put_ready(struct chat_voice *voice, struct eio_str payload, struct chat_out *out)
{
    struct eio_str tree = chat_field(payload, "initial_tree");
    chat_out_begin(out, "session_ready");
    chat_out_open(out, "data");
    chat_out_text(out, "session_id", voice->chat_id);
    chat_out_json(out, "initial_tree", tree.n ? tree : eio_str("{}"));
    chat_out_json(out, "tree_version", chat_field(payload, "tree_version"));
    chat_out_close(out);
    end_message(voice, out);
}

static void put_step(struct chat_voice *voice, struct eio_str payload, struct chat_out *out)
{
    struct eio_str step = chat_field(payload, "step");
    chat_out_begin(out, "reasoning");
    chat_out_open(out, "data");
    chat_out_name(out, "steps");
    sio_builder_put(&out->json, "[");
    kit_put_json(&out->json, step);
    sio_builder_put(&out->json, "]");
    chat_out_close(out);
    end_message(voice, out);
}

static const char *const ids[] = {"chat_id", "seq", NULL};

/* The payload as it is, under a type of the dialect's or a name made of the event's. */
static void put_payload(struct chat_voice *voice, const struct chat_entry *entry, struct chat_out *out)
{
    char type[CHAT_EVENT_SIZE];
    snprintf(type, sizeof type, "%s", entry->event);
    for (char *c = type; *c; c++)
        if (*c == '.') *c = '_';
    chat_out_begin(out, type);
    chat_out_open(out, "data");
    chat_out_members(out, entry->payload, ids);
    chat_out_close(out);
    end_message(voice, out);
}

static void put_fault(struct chat_voice *voice, struct eio_str code, struct eio_str message, struct chat_out *out)
{
    chat_out_begin(out, "error");
    chat_out_open(out, "data");
    chat_out_close(out);
    chat_out_open(out, "error");
    chat_out_json(out, "code", code);
    chat_out_json(out, "message", message);
    chat_out_close(out);
    end_message(voice, out);
}

/* Of another tab or device. */
static void put_prompt(struct chat_voice *voice, struct eio_str payload, struct chat_out *out)
{
    char id[KIT_ID_SIZE];
    chat_copy_field(id, sizeof id, payload, "id");
    if (!strcmp(id, voice->own_id)) return;
    chat_out_begin(out, "user_prompt");
    chat_out_open(out, "data");
    chat_out_json(out, "prompt", chat_field(payload, "content"));
    chat_out_json(out, "from", chat_field(payload, "from"));
    chat_out_close(out);
    end_message(voice, out);
}

static void put_entry(struct chat_voice *voice, const struct chat_entry *entry, struct chat_out *out)
{
    const char *event = entry->event;
    struct eio_str payload = entry->payload;
    if (!strcmp(event, "session.ready")) {
        put_ready(voice, payload, out);
    } else if (!strcmp(event, "tree.update")) {
        put_payload(voice, entry, out);
    } else if (voice->tree_only) {
        return;
    } else if (!strcmp(event, "chat.token")) {
        put_text(voice, chat_field(payload, "content"), true, out);
    } else if (!strcmp(event, "chat.done")) {
        put_text(voice, chat_field(payload, "final_text"), false, out);
    } else if (!strcmp(event, "chat.thinking")) {
        put_step(voice, payload, out);
    } else if (!strcmp(event, "chat.message")) {
        put_prompt(voice, payload, out);
    } else if (!strcmp(event, "error")) {
        put_fault(voice, chat_field(payload, "code"), chat_field(payload, "message"), out);
    } else {
        /* A client that has no forms shows the question, and the next prompt is the answer. */
        if (!strcmp(event, "elicitation.start")) put_text(voice, chat_field(payload, "message"), false, out);
        put_payload(voice, entry, out);
    }
}

static void put_failure(struct chat_voice *voice, const struct kit_failure *failure, const char *ref_id,
                        struct chat_out *out)
{
    (void)ref_id;
    chat_out_begin(out, "error");
    chat_out_open(out, "data");
    if (failure->field[0]) chat_out_text(out, "field", failure->field);
    chat_out_close(out);
    chat_out_open(out, "error");
    chat_out_int(out, "code", failure->code);
    chat_out_text(out, "message", failure->message);
    chat_out_close(out);
    end_message(voice, out);
}

/* A row of the history as a message of a conversation; rows of other kinds are left out. */
static void put_row(struct chat_out *out, struct eio_str row, bool *first)
{
    struct eio_str kind = chat_field(row, "type");
    bool is_user = kit_json_text_is(kind, "user");
    if (!is_user && !kit_json_text_is(kind, "ai")) return;
    sio_builder_put(&out->json, *first ? "{" : ",{");
    chat_out_text(out, "role", is_user ? "user" : "assistant");
    chat_out_json(out, "content", chat_field(row, "content"));
    sio_builder_put(&out->json, "}");
    *first = false;
}

static void put_answer(struct chat_voice *voice, const char *event, struct eio_str json, struct chat_out *out)
{
    struct kit_json_walk walk;
    struct eio_str row;
    bool first = true;
    if (strcmp(event, "chat.history")) return;
    chat_out_begin(out, "chat_history");
    chat_out_open(out, "data");
    chat_out_name(out, "messages");
    sio_builder_put(&out->json, "[");
    if (kit_json_open(&walk, chat_field(json, "messages")))
        while (kit_json_each(&walk, NULL, &row)) put_row(out, row, &first);
    sio_builder_put(&out->json, "]");
    chat_out_close(out);
    end_message(voice, out);
}

static void put_pong(struct chat_voice *voice, struct chat_out *out)
{
    chat_out_begin(out, "pong");
    end_message(voice, out);
}

static void put_event(struct chat_voice *voice, const char *event, struct eio_str data, struct chat_out *out)
{
    if (voice->tree_only) return;
    chat_out_begin(out, event);
    chat_out_json(out, "data", data.n ? data : eio_str("{}"));
    end_message(voice, out);
}

const struct chat_dialect chat_tree_talk = {
    .name = "tree",
    .read = read_tree_talk,
    .put_entry = put_entry,
    .put_failure = put_failure,
    .put_answer = put_answer,
    .put_pong = put_pong,
    .put_event = put_event,
};
