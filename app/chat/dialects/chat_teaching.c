/* Dialect `teaching`: a message, and one response to it when the answer is whole, with what is being taught. */
#include "chat_dialect.h"

#include <string.h>

#define SOURCES_MAX 8 /* of one response */

static int read_teaching(const struct chat_voice *voice, const json_t *message, struct chat_wish *wish,
                         struct kit_failure *failure)
{
    const char *type = json_string_value(json_object_get(message, "type"));
    const json_t *content = json_object_get(message, "content");
    (void)voice;
    if (type && !strcmp(type, "ping")) {
        wish->kind = CHAT_WISH_PING;
        return 0;
    }
    if (!type || strcmp(type, "message")) return chat_refuse_type(message, failure);
    if (!json_string_length(content)) return kit_fail(failure, 400, "/content", "must be a text that is not empty");
    wish->kind = CHAT_WISH_SAY;
    wish->event = "chat.message";
    wish->payload = json_pack("{s:O, s:b, s:O*}", "content", content, "queue", 1, "time_zone",
                              json_object_get(message, "time_zone"));
    return wish->payload ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

/* What the response stands on: each document with the passage, so that a client can open it. */
static void hear_source(struct chat_voice *voice, struct eio_str payload)
{
    static const char *const names[] = {"doc_id", "title", "excerpt"};
    struct sio_builder *json = &voice->sources;
    if (voice->source_count == SOURCES_MAX) return;
    if (!voice->source_count) sio_builder_init(json), sio_builder_open(json);
    sio_builder_put(json, voice->source_count++ ? ",{" : "[{");
    for (size_t i = 0; i < 3; i++) {
        struct eio_str value = chat_field(payload, names[i]);
        sio_builder_put(json, i ? ",\"" : "\"");
        sio_builder_put(json, names[i]);
        sio_builder_put(json, "\":");
        sio_builder_put_slice(json, sio_args_none(), value.n ? value : eio_str("\"\""));
    }
    sio_builder_put(json, "}");
}

static void put_sources(struct chat_voice *voice, struct chat_out *out)
{
    if (!voice->source_count) return;
    sio_builder_put(&voice->sources, "]");
    if (!voice->sources.error)
        chat_out_json(out, "sources", (struct eio_str){voice->sources.json, voice->sources.size});
    sio_builder_clear(&voice->sources);
    voice->source_count = 0;
}

static void put_response(struct chat_voice *voice, struct eio_str text, struct chat_out *out)
{
    chat_out_begin(out, "response");
    chat_out_json(out, "response", text);
    chat_out_text(out, "mode", voice->mode[0] ? voice->mode : "chat");
    if (voice->topic[0])
        chat_out_text(out, "current_topic", voice->topic);
    else
        chat_out_json(out, "current_topic", eio_str("null"));
    put_sources(voice, out);
    chat_out_time(out, "timestamp", voice->now_ms);
    chat_out_end(out);
}

static void put_welcome(struct chat_voice *voice, struct chat_out *out)
{
    put_response(voice,
                 eio_str("\"Welcome! Ask me to teach you about a topic (\\\"teach me about …\\\"), or ask a "
                         "question at any time.\""),
                 out);
}

/* What a lesson says of itself in its result. */
static void hear_lesson(struct chat_voice *voice, struct eio_str result)
{
    if (chat_field(result, "mode").n) chat_copy_field(voice->mode, sizeof voice->mode, result, "mode");
    if (chat_field(result, "topic").n) chat_copy_field(voice->topic, sizeof voice->topic, result, "topic");
}

static void put_fault(struct chat_voice *voice, struct eio_str code, struct eio_str message, struct chat_out *out)
{
    chat_out_begin(out, "error");
    chat_out_json(out, "message", message);
    chat_out_json(out, "code", code);
    chat_out_time(out, "timestamp", voice->now_ms);
    chat_out_end(out);
}

static void put_entry(struct chat_voice *voice, const struct chat_entry *entry, struct chat_out *out)
{
    struct eio_str payload = entry->payload;
    if (!strcmp(entry->event, "tool.end")) hear_lesson(voice, chat_field(payload, "result"));
    if (!strcmp(entry->event, "chat.source")) hear_source(voice, payload);
    if (!strcmp(entry->event, "chat.done")) put_response(voice, chat_field(payload, "final_text"), out);
    if (!strcmp(entry->event, "elicitation.start")) put_response(voice, chat_field(payload, "message"), out);
    if (!strcmp(entry->event, "reminder.due")) put_response(voice, chat_field(payload, "text"), out);
    if (!strcmp(entry->event, "error"))
        put_fault(voice, chat_field(payload, "code"), chat_field(payload, "message"), out);
}

static void put_failure(struct chat_voice *voice, const struct kit_failure *failure, const char *ref_id,
                        struct chat_out *out)
{
    (void)ref_id;
    chat_out_begin(out, "error");
    chat_out_text(out, "message", failure->message);
    chat_out_int(out, "code", failure->code);
    chat_out_time(out, "timestamp", voice->now_ms);
    chat_out_end(out);
}

static void put_pong(struct chat_voice *voice, struct chat_out *out)
{
    chat_out_begin(out, "pong");
    chat_out_time(out, "timestamp", voice->now_ms);
    chat_out_end(out);
}

static void put_event(struct chat_voice *voice, const char *event, struct eio_str data, struct chat_out *out)
{
    chat_out_begin(out, event);
    chat_out_json(out, "content", data.n ? data : eio_str("null"));
    chat_out_time(out, "timestamp", voice->now_ms);
    chat_out_end(out);
}

const struct chat_dialect chat_teaching = {
    .name = "teaching",
    .read = read_teaching,
    .put_welcome = put_welcome,
    .put_entry = put_entry,
    .put_failure = put_failure,
    .put_pong = put_pong,
    .put_event = put_event,
};
