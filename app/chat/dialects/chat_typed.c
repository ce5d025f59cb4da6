/* Dialect `typed`: events by the names of `/chat`, each with its content. A client's own three are written as the
 * design that they come from does; every other event of `/chat` may be sent with its payload as content. */
#include "chat_dialect.h"

#include <string.h>

/* Those that a client may send, with what its message has beside `content`. */
static const struct {
    const char *event;
    const char *text; /* content is a text, and this member of the payload. NULL: content is the payload */
} events[] = {
    {"chat.message", "content"}, {"elicitation.submit", NULL}, {"signal.stop", NULL},   {"chat.regenerate", NULL},
    {"chat.edit", "content"},    {"chat.feedback", NULL},      {"chat.history", NULL},  {"chat.list", NULL},
    {"tree.edit", NULL},         {"session.close", NULL},      {"chat.takeover", NULL}, {"chat.delete", NULL},
};

static const char *const beside[] = {"id", "reply_to", "action", "queue", "ref_id", "time_zone", NULL};

static json_t *make_payload(const json_t *message, const char *event, const char *text, struct kit_failure *failure)
{
    const json_t *content = json_object_get(message, "content");
    bool is_submit = !strcmp(event, "elicitation.submit");
    json_t *payload = NULL;
    if (text && !json_is_string(content))
        kit_fail(failure, 400, "/content", "must be a string");
    else if (!text && content && !json_is_object(content))
        kit_fail(failure, 400, "/content", "must be an object");
    else if (!(payload = json_object()) || (text && json_object_set(payload, text, (json_t *)(uintptr_t)content)) ||
             (is_submit && content && json_object_set(payload, "content", (json_t *)(uintptr_t)content)) ||
             (!text && !is_submit && content && json_object_update(payload, (json_t *)(uintptr_t)content)))
        kit_fail(failure, 503, NULL, "out of memory");
    if (!failure->code) {
        chat_take_members(payload, message, beside);
        return payload;
    }
    json_decref(payload);
    return NULL;
}

static int read_typed(const struct chat_voice *voice, const json_t *message, struct chat_wish *wish,
                      struct kit_failure *failure)
{
    const char *type = json_string_value(json_object_get(message, "type"));
    const char *id = json_string_value(json_object_get(message, "id"));
    (void)voice;
    if (id && kit_is_id(id, strlen(id))) snprintf(wish->ref_id, sizeof wish->ref_id, "%s", id);
    if (type && !strcmp(type, "ping")) {
        wish->kind = CHAT_WISH_PING;
        return 0;
    }
    for (size_t i = 0; type && i < sizeof events / sizeof events[0]; i++) {
        if (strcmp(events[i].event, type)) continue;
        wish->kind = CHAT_WISH_ASK;
        wish->event = events[i].event;
        wish->payload = make_payload(message, type, events[i].text, failure);
        return failure->code;
    }
    return chat_refuse_type(message, failure);
}

/* What stands beside the content, and what only a client that counts gets. */
static const char *const outside[] = {"id", "ref_id", "chat_id", "seq", NULL};

/* Texts are the content itself; of all else the payload is. */
static void put_entry(struct chat_voice *voice, const struct chat_entry *entry, struct chat_out *out)
{
    static const char *const texts[] = {"chat.token", "chat.message", "chat.reasoning"};
    bool is_text = false;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) is_text |= !strcmp(texts[i], entry->event);
    chat_out_begin(out, entry->event);
    chat_out_json(out, "id", chat_field(entry->payload, "id"));
    if (is_text) {
        chat_out_json(out, "content", chat_field(entry->payload, "content"));
    } else {
        chat_out_open(out, "content");
        chat_out_members(out, entry->payload, outside);
        chat_out_close(out);
    }
    chat_out_json(out, "ref_id", chat_field(entry->payload, "ref_id"));
    if (voice->with_seq && entry->seq) chat_out_int(out, "seq", entry->seq);
    chat_out_end(out);
}

static void put_failure(struct chat_voice *voice, const struct kit_failure *failure, const char *ref_id,
                        struct chat_out *out)
{
    (void)voice;
    chat_out_begin(out, "error");
    chat_out_open(out, "content");
    chat_out_int(out, "code", failure->code);
    chat_out_text(out, "message", failure->message);
    if (failure->field[0]) chat_out_text(out, "field", failure->field);
    if (failure->retry_after_ms) chat_out_int(out, "retry_after_ms", failure->retry_after_ms);
    chat_out_close(out);
    if (ref_id[0]) chat_out_text(out, "ref_id", ref_id);
    chat_out_end(out);
}

static void put_answer(struct chat_voice *voice, const char *event, struct eio_str json, struct chat_out *out)
{
    static const char *const queries[] = {"chat.history", "chat.list"};
    (void)voice;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        if (strcmp(queries[i], event)) continue;
        chat_out_begin(out, event);
        chat_out_json(out, "content", json);
        chat_out_end(out);
    }
}

static void put_pong(struct chat_voice *voice, struct chat_out *out)
{
    (void)voice;
    chat_out_begin(out, "pong");
    chat_out_end(out);
}

static void put_event(struct chat_voice *voice, const char *event, struct eio_str data, struct chat_out *out)
{
    (void)voice;
    chat_out_begin(out, event);
    chat_out_json(out, "content", data.n ? data : eio_str("null"));
    chat_out_end(out);
}

const struct chat_dialect chat_typed = {
    .name = "typed",
    .read = read_typed,
    .put_entry = put_entry,
    .put_failure = put_failure,
    .put_answer = put_answer,
    .put_pong = put_pong,
    .put_event = put_event,
};
