/* What plain WebSockets and bridges say and get: any message is either an event or a failure, and whatever an entry's
 * payload is, what comes out is JSON. The first byte chooses. */
#include "chat_bridge.h"

#include "base_check.h"
#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_out(void *ctx, struct eio_str text)
{
    struct kit_failure failure = {0, "", ""};
    (void)ctx;
    BASE_CHECK(kit_json_check(text, 64, &failure) == 0);
    BASE_CHECK(text.n > 1 && text.p[0] == '{');
}

static void read_message(const struct chat_dialect *dialect, struct chat_voice *voice, struct eio_str text,
                         struct chat_out *out)
{
    struct kit_failure failure = {0, "", ""};
    struct chat_wish wish = {0};
    json_t *message = chat_message_parse(text, 32, &failure);
    int code = message ? dialect->read(voice, message, &wish, &failure) : failure.code;
    BASE_CHECK(code == failure.code);
    if (code) dialect->put_failure(voice, &failure, wish.ref_id, out);
    BASE_CHECK(code || wish.kind == CHAT_WISH_PING || wish.kind == CHAT_WISH_CLOSE || json_is_object(wish.payload));
    if (!code && wish.kind == CHAT_WISH_SAY) {
        json_t *answer =
            chat_answer_of_text(&voice->question, json_string_value(json_object_get(wish.payload, "content")));
        json_decref(answer);
    }
    chat_wish_clear(&wish);
    json_decref(message);
}

static void read_body(const struct chat_bridge *bridge, struct eio_str text)
{
    struct kit_failure failure = {0, "", ""};
    struct chat_wanted wanted = {0};
    json_t *body = chat_message_parse(text, 32, &failure), *one;
    size_t i;
    int code = body ? bridge->read(body, &wanted, &failure) : failure.code;
    BASE_CHECK(code == failure.code);
    BASE_CHECK(code || wanted.message || wanted.again || json_is_array(wanted.answers));
    json_array_foreach(wanted.answers, i, one)
    {
        json_t *answer = bridge->read_answer(one, text);
        BASE_CHECK(json_is_object(answer));
        json_decref(answer);
    }
    chat_wanted_clear(&wanted);
    json_decref(body);
}

static void tell_turn(const struct chat_bridge *bridge, const char *const *events, size_t count, struct eio_str text,
                      struct chat_out *out)
{
    struct chat_teller teller;
    chat_teller_init(&teller, bridge);
    bridge->begin(&teller, text, out);
    chat_teller_hear_ready(&teller, text);
    chat_copy_field(teller.ref_id, sizeof teller.ref_id, text, "ref_id");
    for (size_t i = 0; i < count; i++) {
        struct chat_entry entry = {.chat_id = "c", .event = events[i], .seq = 1, .payload = text};
        chat_teller_hear(&teller, &entry, out);
        if (chat_teller_waits(&teller)) bridge->wait(&teller, out);
    }
    chat_teller_clear(&teller);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct chat_dialect *const dialects[] = {&chat_typed, &chat_tree_talk, &chat_teaching, &chat_widget};
    static const char *const events[] = {"session.ready",     "chat.message",    "chat.thinking",  "tool.start",
                                         "tool.end",          "chat.token",      "chat.done",      "error",
                                         "elicitation.start", "elicitation.end", "tree.update",    "reminder.due",
                                         "chat.source",       "debug",           "chat.reasoning", "tool.progress"};
    struct kit_failure failure = {0, "", ""};
    if (size < 1) return 0;
    const struct chat_dialect *dialect = dialects[data[0] % 4];
    char *copy = malloc(size); /* its end is guarded */
    BASE_CHECK(copy);
    memcpy(copy, data + 1, size - 1);
    struct eio_str text = {copy, size - 1};
    struct chat_voice voice = {.now_ms = 1763721000000, .tree_only = data[0] & 4, .with_seq = data[0] & 8};
    struct chat_out out = {.fn = on_out};
    bool is_object = !kit_json_check(text, 32, &failure) && text.n && memchr(text.p, '{', text.n);
    for (size_t i = 0; is_object && i < sizeof events / sizeof events[0]; i++) {
        struct chat_entry entry = {.chat_id = "c", .event = events[i], .seq = 1, .payload = text};
        chat_voice_hear(&voice, &entry);
        dialect->put_entry(&voice, &entry, &out);
        read_message(dialect, &voice, text, &out);
    }
    if (is_object) dialect->put_event(&voice, "any", text, &out);
    if (is_object && dialect->put_answer) dialect->put_answer(&voice, "chat.history", text, &out);
    read_message(dialect, &voice, text, &out);
    chat_voice_clear(&voice);
    const struct chat_bridge *bridge = data[0] & 16 ? &chat_ui : &chat_agui;
    read_body(bridge, text);
    if (is_object) tell_turn(bridge, events, sizeof events / sizeof events[0], text, &out);
    free(copy);
    return 0;
}
