/* What the bridges share: which entries belong to the turn, what is open, and what is to be closed. */
#include "chat_bridge.h"

#include "kit_answer.h"
#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

void chat_wanted_clear(struct chat_wanted *wanted)
{
    json_decref(wanted->message);
    json_decref(wanted->again);
    json_decref(wanted->answers);
    memset(wanted, 0, sizeof *wanted);
}

void chat_teller_init(struct chat_teller *teller, const struct chat_bridge *bridge)
{
    memset(teller, 0, sizeof *teller);
    teller->bridge = bridge;
    teller->open = json_object();
    teller->calls = json_object();
}

void chat_teller_clear(struct chat_teller *teller)
{
    json_decref(teller->open);
    json_decref(teller->calls);
    memset(teller, 0, sizeof *teller);
}

void chat_out_quoted(struct chat_out *out, const char *name, struct eio_str text)
{
    chat_out_name(out, name);
    sio_builder_put_text(&out->json, text.p ? text.p : "", text.n);
}

void chat_teller_message_id(const struct chat_teller *teller, char *out, size_t size)
{
    if (teller->attempt > 1)
        snprintf(out, size, "answer_%s_%lld", teller->ref_id, (long long)teller->attempt);
    else
        snprintf(out, size, "answer_%s", teller->ref_id);
}

char *chat_text_of_parts(const json_t *parts)
{
    size_t size = 1, at = 0, i;
    const json_t *part;
    if (json_is_string(parts)) return json_string_length(parts) ? strdup(json_string_value(parts)) : NULL;
    json_array_foreach(parts, i, part) size += json_string_length(json_object_get(part, "text")) + 1;
    char *text = size > 1 ? malloc(size) : NULL;
    if (!text) return NULL;
    json_array_foreach(parts, i, part)
    {
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *one = json_object_get(part, "text");
        if (!type || strcmp(type, "text") || !json_string_length(one)) continue;
        if (at) text[at++] = '\n';
        memcpy(text + at, json_string_value(one), json_string_length(one));
        at += json_string_length(one);
    }
    text[at] = 0;
    if (at) return text;
    free(text);
    return NULL;
}

/* --------------------------------------------------------------- questions */

static void open_question(struct chat_teller *teller, struct eio_str payload)
{
    char id[KIT_ID_SIZE];
    chat_copy_field(id, sizeof id, payload, "id");
    if (id[0]) json_object_set_new(teller->open, id, json_stringn(payload.p, payload.n));
}

bool chat_teller_waits(const struct chat_teller *teller)
{
    const char *id;
    json_t *runs;
    if (!json_object_size(teller->open) || teller->is_over) return false;
    json_object_foreach(teller->calls, id, runs)
    {
        if (json_is_true(runs)) return false;
    }
    return true;
}

bool chat_teller_note_call(struct chat_teller *teller, const char *call_id)
{
    bool is_new = !json_object_get(teller->calls, call_id);
    if (is_new) json_object_set_new(teller->calls, call_id, json_false());
    return is_new;
}

void chat_teller_hear_ready(struct chat_teller *teller, struct eio_str ready)
{
    struct kit_json_walk walk;
    struct eio_str one;
    char id[KIT_ID_SIZE];
    if (!kit_json_open(&walk, chat_field(ready, "pending"))) return;
    while (kit_json_each(&walk, NULL, &one)) {
        open_question(teller, one);
        chat_copy_field(id, sizeof id, one, "call_id");
        /* Sent with the question; the calls of other questions were not. */
        if (id[0] && kit_json_text_is(chat_field(one, "mode"), "approval")) chat_teller_note_call(teller, id);
        if (!teller->ref_id[0]) chat_copy_field(teller->ref_id, sizeof teller->ref_id, one, "ref_id");
    }
}

/* ----------------------------------------------------------------- entries */

static int64_t read_attempt(struct eio_str payload)
{
    struct eio_str value = chat_field(payload, "attempt");
    return value.n && value.n < 19 ? strtoll(value.p, NULL, 10) : 1;
}

/* Trees are changed by users as well, in no turn. */
static bool is_told(struct chat_teller *teller, const struct chat_entry *entry)
{
    char ref_id[KIT_ID_SIZE];
    chat_copy_field(ref_id, sizeof ref_id, entry->payload, "ref_id");
    if (!ref_id[0]) return !strcmp(entry->event, "tree.update");
    if (strcmp(ref_id, teller->ref_id) != 0) return false;
    int64_t attempt = read_attempt(entry->payload);
    if (!teller->attempt) teller->attempt = attempt;
    return attempt == teller->attempt;
}

static void hear_call(struct chat_teller *teller, struct eio_str payload, bool runs)
{
    char id[KIT_ID_SIZE];
    chat_copy_field(id, sizeof id, payload, "call_id");
    if (id[0]) json_object_set_new(teller->calls, id, json_boolean(runs));
}

static void end_question(struct chat_teller *teller, struct eio_str payload, struct chat_out *out)
{
    char id[KIT_ID_SIZE];
    chat_copy_field(id, sizeof id, payload, "id");
    json_t *asked = json_incref(json_object_get(teller->open, id));
    struct eio_str text = {json_string_value(asked), json_string_length(asked)};
    json_object_del(teller->open, id);
    teller->bridge->question_end(teller, payload, text, out);
    json_decref(asked);
}

static void end_turn(struct chat_teller *teller, const struct chat_entry *entry, struct chat_out *out)
{
    teller->is_over = true;
    if (!strcmp(entry->event, "chat.done"))
        teller->bridge->done(teller, entry->payload, out);
    else
        teller->bridge->error(teller, entry->payload, out);
}

void chat_teller_hear(struct chat_teller *teller, const struct chat_entry *entry, struct chat_out *out)
{
    const struct chat_bridge *bridge = teller->bridge;
    const struct {
        const char *event;
        void (*fn)(struct chat_teller *teller, struct eio_str payload, struct chat_out *out);
    } rows[] = {{"chat.token", bridge->token},
                {"chat.thinking", bridge->thinking},
                {"chat.reasoning", bridge->reasoning},
                {"tool.start", bridge->tool_start},
                {"tool.progress", bridge->tool_progress},
                {"tool.end", bridge->tool_end},
                {"elicitation.start", bridge->question},
                {"chat.source", bridge->source},
                {"tree.update", bridge->tree}};
    if (teller->is_over || !is_told(teller, entry)) return;
    if (entry->seq) teller->seq = entry->seq;
    if (!strcmp(entry->event, "elicitation.start")) open_question(teller, entry->payload);
    if (!strcmp(entry->event, "elicitation.end")) end_question(teller, entry->payload, out);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!strcmp(rows[i].event, entry->event)) rows[i].fn(teller, entry->payload, out);
    /* The call is known to the bridge before it runs. */
    if (!strcmp(entry->event, "tool.start") || !strcmp(entry->event, "tool.end"))
        hear_call(teller, entry->payload, entry->event[5] == 's');
    if (!strcmp(entry->event, "chat.done") || !strcmp(entry->event, "error")) end_turn(teller, entry, out);
}
