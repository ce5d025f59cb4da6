/* What the dialects share: messages in and out, piece by piece, and the questions that wait. */
#include "chat_dialect.h"

#include "kit_answer.h"
#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

const struct chat_dialect *chat_dialect_named(const char *name)
{
    static const struct chat_dialect *const all[] = {&chat_typed, &chat_tree_talk, &chat_teaching, &chat_widget};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!strcmp(all[i]->name, name)) return all[i];
    return NULL;
}

const struct chat_dialect *chat_dialect_guess(const json_t *message)
{
    const char *type = json_string_value(json_object_get(message, "type"));
    return type && !strcmp(type, "message") ? &chat_teaching : &chat_typed;
}

json_t *chat_message_parse(struct eio_str text, size_t max_depth, struct kit_failure *failure)
{
    if (kit_json_check(text, max_depth, failure)) return NULL;
    json_t *message = json_loadb(text.p, text.n, 0, NULL);
    if (json_is_object(message)) return message;
    kit_fail(failure, 400, NULL,
             message ? "the message must be a JSON object"
                     : "the message must not contain U+0000, half surrogates or numbers beyond a double");
    json_decref(message);
    return NULL;
}

void chat_wish_clear(struct chat_wish *wish)
{
    json_decref(wish->payload);
    memset(wish, 0, sizeof *wish);
}

int chat_refuse_type(const json_t *message, struct kit_failure *failure)
{
    const char *type = json_string_value(json_object_get(message, "type"));
    if (!type) return kit_fail(failure, 400, "/type", "must be a string");
    return kit_fail(failure, 400, "/type", "unknown type");
}

void chat_take_members(json_t *into, const json_t *from, const char *const *names)
{
    for (; *names; names++)
        if (json_object_get(from, *names)) json_object_set(into, *names, json_object_get(from, *names));
}

/* ----------------------------------------------------------------- reading */

static bool is_named(struct eio_str key, const char *name)
{
    size_t n = strlen(name);
    return key.n == n + 2 && !memcmp(key.p + 1, name, n);
}

/* Not for an array, whose elements have no names. */
static bool open_object(struct kit_json_walk *walk, struct eio_str text)
{
    size_t at = 0;
    while (at < text.n && strchr(" \t\r\n", text.p[at])) at++;
    return at < text.n && text.p[at] == '{' && kit_json_open(walk, text);
}

struct eio_str chat_field(struct eio_str object, const char *name)
{
    struct kit_json_walk walk;
    struct eio_str key, value, found = {NULL, 0};
    if (!open_object(&walk, object)) return found;
    while (kit_json_each(&walk, &key, &value))
        if (is_named(key, name)) found = value;
    return found;
}

void chat_copy_field(char *out, size_t size, struct eio_str object, const char *name)
{
    struct eio_str value = chat_field(object, name);
    out[0] = 0;
    if (value.n < 2 || value.p[0] != '"') return;
    char *text = value.n > size ? malloc(value.n) : out;
    if (!text) return;
    size_t n = kit_json_decode(value, text);
    if (text != out) {
        if (n > size - 1) n = size - 1;
        while (n && (text[n] & 0xC0) == 0x80) n--; /* not within a character */
        memcpy(out, text, n);
        free(text);
    }
    out[n] = 0;
}

bool chat_field_is_true(struct eio_str object, const char *name)
{
    struct eio_str value = chat_field(object, name);
    return value.n == 4 && !memcmp(value.p, "true", 4);
}

/* ----------------------------------------------------------------- writing */

void chat_out_name(struct chat_out *out, const char *name)
{
    char last = out->json.size ? out->json.json[out->json.size - 1] : '{';
    if (last != '{') sio_builder_put(&out->json, ",");
    kit_put_text(&out->json, name);
    sio_builder_put(&out->json, ":");
}

void chat_out_begin(struct chat_out *out, const char *type)
{
    sio_builder_init(&out->json);
    sio_builder_open(&out->json);
    sio_builder_put(&out->json, "{");
    chat_out_text(out, "type", type);
}

void chat_out_json(struct chat_out *out, const char *name, struct eio_str value)
{
    if (!value.n) return;
    chat_out_name(out, name);
    kit_put_json(&out->json, value);
}

void chat_out_text(struct chat_out *out, const char *name, const char *text)
{
    chat_out_name(out, name);
    kit_put_text(&out->json, text);
}

void chat_out_int(struct chat_out *out, const char *name, int64_t value)
{
    chat_out_name(out, name);
    kit_put_int(&out->json, value);
}

void chat_out_bool(struct chat_out *out, const char *name, bool value)
{
    chat_out_name(out, name);
    sio_builder_put(&out->json, value ? "true" : "false");
}

void chat_out_time(struct chat_out *out, const char *name, int64_t unix_ms)
{
    chat_out_name(out, name);
    kit_put_time(&out->json, unix_ms);
}

void chat_out_open(struct chat_out *out, const char *name)
{
    chat_out_name(out, name);
    sio_builder_put(&out->json, "{");
}

void chat_out_close(struct chat_out *out)
{
    sio_builder_put(&out->json, "}");
}

void chat_out_members(struct chat_out *out, struct eio_str object, const char *const *but)
{
    struct kit_json_walk walk;
    struct eio_str key, value;
    if (!open_object(&walk, object)) return;
    while (kit_json_each(&walk, &key, &value)) {
        const char *const *name = but;
        while (*name && !is_named(key, *name)) name++;
        if (*name) continue;
        if (out->json.json[out->json.size - 1] != '{') sio_builder_put(&out->json, ",");
        kit_put_json(&out->json, key);
        sio_builder_put(&out->json, ":");
        kit_put_json(&out->json, value);
    }
}

/* Without memory the message is left out: the log has it. */
void chat_out_end(struct chat_out *out)
{
    sio_builder_put(&out->json, "}");
    if (!out->json.error) out->fn(out->ctx, (struct eio_str){out->json.json, out->json.size});
    sio_builder_clear(&out->json);
}

/* --------------------------------------------------------------- questions */

static void forget_question(struct chat_question_open *question)
{
    json_decref(question->schema);
    json_decref(question->values);
    memset(question, 0, sizeof *question);
}

static json_t *load_field(struct eio_str object, const char *name)
{
    struct eio_str value = chat_field(object, name);
    return value.n ? json_loadb(value.p, value.n, 0, NULL) : NULL;
}

static void hear_question(struct chat_question_open *question, struct eio_str payload)
{
    forget_question(question);
    chat_copy_field(question->id, sizeof question->id, payload, "id");
    chat_copy_field(question->mode, sizeof question->mode, payload, "mode");
    question->schema = load_field(payload, "schema");
    question->values = load_field(payload, "values");
}

/* The last of the questions that wait. */
static void hear_ready(struct chat_voice *voice, struct eio_str payload)
{
    struct kit_json_walk walk;
    struct eio_str one;
    chat_copy_field(voice->chat_id, sizeof voice->chat_id, payload, "chat_id");
    chat_copy_field(voice->session_id, sizeof voice->session_id, payload, "session_id");
    chat_copy_field(voice->intent_id, sizeof voice->intent_id, payload, "intent_id");
    chat_copy_field(voice->zone, sizeof voice->zone, payload, "time_zone");
    if (!kit_json_open(&walk, chat_field(payload, "pending"))) return;
    while (kit_json_each(&walk, NULL, &one)) hear_question(&voice->question, one);
}

/* The first message of an intent makes it, and perhaps its session. */
static void hear_message(struct chat_voice *voice, struct eio_str payload)
{
    if (!chat_field(payload, "intent_id").n) return;
    chat_copy_field(voice->intent_id, sizeof voice->intent_id, payload, "intent_id");
    if (chat_field(payload, "session_id").n)
        chat_copy_field(voice->session_id, sizeof voice->session_id, payload, "session_id");
}

void chat_voice_hear(struct chat_voice *voice, const struct chat_entry *entry)
{
    char id[KIT_ID_SIZE];
    if (!strcmp(entry->event, "session.ready")) hear_ready(voice, entry->payload);
    if (!strcmp(entry->event, "chat.message")) hear_message(voice, entry->payload);
    if (!strcmp(entry->event, "elicitation.start")) hear_question(&voice->question, entry->payload);
    if (strcmp(entry->event, "elicitation.end")) return;
    chat_copy_field(id, sizeof id, entry->payload, "id");
    if (!strcmp(id, voice->question.id)) forget_question(&voice->question);
}

void chat_voice_clear(struct chat_voice *voice)
{
    forget_question(&voice->question);
    if (voice->source_count) sio_builder_clear(&voice->sources);
    memset(voice, 0, sizeof *voice);
}
