/* Reads one event of a feed out of its JSON text. Over Socket.IO and HTTP alike, the text is passed on byte by byte:
 * values that this program does not know, or could not write again (numbers beyond a double, half surrogates), remain
 * unchanged. Only fields that the server itself sets are left out and written again; of a line with parts that must not
 * be stored, only the fields named by the schema are passed on, with the redacted text. */
#include "calls_entry.h"
#include "calls_redact_json.h"
#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"call:start", "transcription:update", "call:status", "call:end"};

const char *calls_feed_event_name(enum calls_feed_kind kind)
{
    return names[kind];
}

/* ------------------------------------------------------------------- values */

static char *copy_slice(struct eio_str text, const char *otherwise)
{
    return text.p ? strndup(text.p, text.n) : strdup(otherwise);
}

static void copy_text(char *out, size_t size, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    size_t n = value ? strnlen(json_string_value(value), size - 1) : 0;
    if (n) memcpy(out, json_string_value(value), n);
    out[n] = 0;
}

/* Status words as literals. */
static const char *status_of(enum calls_feed_kind kind, const json_t *object)
{
    static const char *const all[] = {"ringing", "active", "on_hold", "ended"};
    const char *status = json_string_value(json_object_get(object, "status"));
    if (kind == CALLS_FEED_END) return "ended";
    for (size_t i = 0; status && i < sizeof all / sizeof all[0]; i++)
        if (!strcmp(all[i], status)) return all[i];
    return "active";
}

/* Not every database takes a NUL in a text. */
static void hide_nul(char *text, size_t size)
{
    for (char *nul = text; (nul = memchr(nul, 0, size - (size_t)(nul - text)));) *nul = ' ';
}

static int copy_values(struct calls_entry *entry, const json_t *object, struct eio_str raw)
{
    const json_t *is_final = json_object_get(object, "is_final");
    const json_t *text = json_object_get(object, "text");
    entry->status = status_of(entry->kind, object);
    entry->is_final = !is_final || json_is_true(is_final);
    copy_text(entry->segment_id, sizeof entry->segment_id, object, "segment_id");
    copy_text(entry->speaker, sizeof entry->speaker, object, "speaker");
    if (entry->kind == CALLS_FEED_START) {
        entry->agents = copy_slice(sio_json_member(raw, "agents"), "[]");
        entry->metadata = copy_slice(sio_json_member(raw, "metadata"), "{}");
        return entry->agents && entry->metadata ? 0 : EIO_ENOMEM;
    }
    if (entry->kind != CALLS_FEED_LINE) return 0;
    entry->text_size = json_string_length(text);
    entry->text = malloc(entry->text_size + 1);
    if (!entry->text) return EIO_ENOMEM;
    memcpy(entry->text, json_string_value(text), entry->text_size + 1);
    hide_nul(entry->text, entry->text_size); /* what is sent keeps it */
    return 0;
}

/* --------------------------------------------------------------- as it is sent */

/* What of the feed's object the server says itself; NULL at the end. */
static const char *const own_of_line[] = {"seq", "replaces", NULL};
static const char *const own_of_status[] = {"seq", "duration", NULL};
static const char *const own_of_end[] = {"seq", "duration", "status", NULL};

static const char *const *own_of(enum calls_feed_kind kind)
{
    if (kind == CALLS_FEED_LINE) return own_of_line;
    return kind == CALLS_FEED_END ? own_of_end : own_of_status;
}

static bool has_own(const json_t *object, enum calls_feed_kind kind)
{
    for (const char *const *own = own_of(kind); *own; own++)
        if (json_object_get(object, *own)) return true;
    return false;
}

static bool is_own(struct eio_str key, enum calls_feed_kind kind)
{
    for (const char *const *own = own_of(kind); *own; own++)
        if (kit_json_text_is(key, *own)) return true;
    return false;
}

static struct eio_str inside(struct eio_str object)
{
    return (struct eio_str){object.p + 1, object.n - 2};
}

/* What an event says besides a line's text, and which of it are numbers. */
#define PLAIN(name, is_number, is_of_line)                           \
    {                                                                \
        name, "\"" name "\"", sizeof name + 1, is_number, is_of_line \
    }
static const struct plain {
    const char *name, *quoted;
    size_t quoted_size;
    bool is_number, is_of_line;
} plain_fields[] = {PLAIN("call_id", false, false),   PLAIN("speaker", false, true),   PLAIN("timestamp", false, true),
                    PLAIN("segment_id", false, true), PLAIN("is_final", false, true),  PLAIN("start_ms", true, true),
                    PLAIN("end_ms", true, true),      PLAIN("confidence", true, true), PLAIN("status", false, false)};
#define PLAIN_COUNT (sizeof plain_fields / sizeof plain_fields[0])

static bool is_plain_of(const struct plain *plain, enum calls_feed_kind kind)
{
    if (!strcmp(plain->name, "status")) return kind == CALLS_FEED_STATUS;
    return !plain->is_of_line || kind == CALLS_FEED_LINE;
}

/* Puts what of an event may be kept if something in it may not. */
static size_t put_plain(struct sio_builder *json, struct eio_str raw, const struct calls_entry *entry)
{
    size_t count = 0;
    if (entry->kind == CALLS_FEED_LINE) {
        sio_builder_put(json, "\"text\":");
        sio_builder_put_text(json, entry->text, entry->text_size);
        count++;
    }
    for (size_t i = 0; i < PLAIN_COUNT; i++) {
        struct eio_str value = sio_json_member(raw, plain_fields[i].name);
        if (!value.n || !is_plain_of(&plain_fields[i], entry->kind)) continue;
        if (plain_fields[i].is_number && !calls_json_is_number(value)) continue;
        sio_builder_put(json, count++ ? ",\"" : "\"");
        sio_builder_put(json, plain_fields[i].name);
        sio_builder_put(json, "\":");
        sio_builder_put_slice(json, sio_args_none(), value);
    }
    return count;
}

/* Puts the members but the server's own. Returns how many. */
static size_t put_others(struct sio_builder *json, struct eio_str raw, enum calls_feed_kind kind)
{
    struct kit_json_walk walk;
    struct eio_str key, value;
    size_t count = 0;
    kit_json_open(&walk, raw);
    while (kit_json_each(&walk, &key, &value)) {
        if (is_own(key, kind)) continue;
        if (count++) sio_builder_put(json, ",");
        sio_builder_put_slice(json, sio_args_none(), key);
        sio_builder_put(json, ":");
        sio_builder_put_slice(json, sio_args_none(), value);
    }
    return count;
}

/* Who lists calls is shown a new one. */
static int begin_start(struct calls_entry *entry)
{
    struct sio_builder *json = &entry->json;
    sio_builder_open(json);
    sio_builder_put(json, "{\"call_id\":");
    kit_put_text(json, entry->call_id);
    sio_builder_put(json, ",\"metadata\":");
    sio_builder_put(json, entry->metadata);
    sio_builder_put(json, ",\"agents\":");
    sio_builder_put(json, entry->agents);
    return json->error;
}

static int begin_json(struct calls_entry *entry, const struct calls_reader *reader, const json_t *object,
                      struct eio_str raw)
{
    struct sio_builder *json = &entry->json;
    size_t count = json_object_size(object);
    if (entry->kind == CALLS_FEED_START) return begin_start(entry);
    sio_builder_open(json);
    sio_builder_put(json, "{");
    if (entry->is_redacted)
        count = put_plain(json, raw, entry);
    else if (has_own(object, entry->kind))
        count = put_others(json, raw, entry->kind);
    else
        sio_builder_put_slice(json, sio_args_none(), inside(raw));
    if (!json_object_get(object, "call_id")) {
        sio_builder_put(json, count ? ",\"call_id\":" : "\"call_id\":");
        kit_put_text(json, entry->call_id);
    }
    if (entry->kind == CALLS_FEED_LINE && !json_object_get(object, "timestamp")) {
        sio_builder_put(json, ",\"timestamp\":");
        kit_put_time(json, reader->now_ms);
    }
    if (entry->kind == CALLS_FEED_END) sio_builder_put(json, ",\"status\":\"ended\"");
    return json->error;
}

/* ------------------------------------------------------------------ redaction */

/* Which of the fields of an event this is; PLAIN_COUNT: a line's text; PLAIN_COUNT + 1: none. */
static size_t plain_index(struct eio_str key, enum calls_feed_kind kind)
{
    bool has_escape = memchr(key.p, '\\', key.n) != NULL;
    for (size_t i = 0; i < PLAIN_COUNT; i++) {
        const struct plain *plain = &plain_fields[i];
        bool is_it = has_escape ? kit_json_text_is(key, plain->name)
                                : key.n == plain->quoted_size && !memcmp(key.p, plain->quoted, key.n);
        if (is_it && is_plain_of(plain, kind)) return i;
    }
    return PLAIN_COUNT + !(kind == CALLS_FEED_LINE && kit_json_text_is(key, "text"));
}

/* Whether something besides the text, which was redacted already, and the fields that identify speaker, time and call
 * must not go on. What of these is said twice was only looked at the last time. */
static bool others_have_secret(const struct calls_redaction *redaction, struct eio_str raw, enum calls_feed_kind kind)
{
    struct kit_json_walk walk;
    struct eio_str key, value;
    unsigned seen = 0;
    kit_json_open(&walk, raw);
    while (kit_json_each(&walk, &key, &value)) {
        size_t i = plain_index(key, kind);
        if (i <= PLAIN_COUNT && seen & 1u << i) return true;
        if (i <= PLAIN_COUNT) seen |= 1u << i;
        bool is_plain =
            i == PLAIN_COUNT || (i < PLAIN_COUNT && (!plain_fields[i].is_number || calls_json_is_number(value)));
        if (!is_plain && (calls_json_has_secret(redaction, key) || calls_json_has_secret(redaction, value)))
            return true;
    }
    return false;
}

/* Takes out of an event what must not be stored, before anything else sees it. What describes a call at its start is
 * the feed's to choose: a caller's number belongs there. */
static int redact(struct calls_entry *entry, const struct calls_reader *reader, struct eio_str raw)
{
    char *out = NULL;
    size_t size;
    struct eio_str text = {entry->text, entry->text_size};
    if (!reader->redaction || entry->kind == CALLS_FEED_START) return 0;
    if (entry->kind == CALLS_FEED_LINE && calls_redact(reader->redaction, text, !entry->is_final, &out, &size))
        return EIO_ENOMEM;
    if (out) {
        free(entry->text);
        entry->text = out;
        entry->text_size = size;
    }
    entry->is_redacted = out || others_have_secret(reader->redaction, raw, entry->kind);
    return 0;
}

int calls_written_read(struct calls_written *written, const json_t *payload, const char *name)
{
    const json_t *field = json_object_get(payload, name);
    *written = (struct calls_written){.size = json_string_length(field)};
    if (!field) return 0;
    written->text = malloc(written->size + 1);
    if (!written->text) return EIO_ENOMEM;
    memcpy(written->text, json_string_value(field), written->size + 1);
    return 0;
}

int calls_written_redact(struct calls_written *written, const struct kit_request *request, struct kit_failure *failure)
{
    const struct calls *calls = request->state;
    char *out;
    size_t size;
    if (!written->text || written->is_redacted) return 0;
    if (calls_redact(calls->redaction, (struct eio_str){written->text, written->size}, false, &out, &size))
        return kit_fail(failure, 503, NULL, "out of memory");
    if (out) {
        free(written->text);
        written->text = out;
        written->size = size;
    }
    hide_nul(written->text, written->size);
    written->is_redacted = true;
    return 0;
}

/* -------------------------------------------------------------------- checks */

/* Whether it is a payload of this event, but for a call_id that the path has. */
static int check_schema(const struct calls_reader *reader, const json_t *object, struct kit_failure *failure)
{
    struct kit_schema_error error;
    const json_t *schema = kit_schema_find(reader->schemas, names[reader->kind]);
    bool fits = kit_schema_check_but(schema, object, reader->call_id[0] ? "call_id" : NULL, &error);
    return fits ? 0 : kit_fail(failure, 400, error.pointer, "%s", error.message);
}

static int check_call(const struct calls_reader *reader, const struct calls_entry *entry, struct kit_failure *failure)
{
    if (reader->call_id[0] && strcmp(entry->call_id, reader->call_id))
        return kit_fail(failure, 400, "/call_id", "does not match the id in the path");
    if (reader->claims && !kit_claims_allow(reader->claims, entry->call_id))
        return kit_fail(failure, 403, "/call_id", "this call is not yours");
    return 0;
}

static int check_object(struct calls_entry *entry, const struct calls_reader *reader, struct kit_failure *failure)
{
    const struct kit_config *config = reader->config;
    json_t *object = entry->object;
    int code = check_schema(reader, object, failure);
    if (code) return code;
    copy_text(entry->call_id, sizeof entry->call_id, object, "call_id");
    if (!entry->call_id[0]) calls_copy_id(entry->call_id, reader->call_id);
    code = check_call(reader, entry, failure);
    if (code) return code;
    if (entry->kind == CALLS_FEED_LINE &&
        json_string_length(json_object_get(object, "text")) > calls_config(config)->text_max_bytes)
        return kit_fail(failure, 413, "/text", "must be at most %u bytes", calls_config(config)->text_max_bytes);
    return 0;
}

int calls_entry_check(struct calls_entry *entry, const struct calls_reader *reader, struct eio_str text,
                      struct kit_failure *failure)
{
    /* Without the white space around it. */
    struct eio_str raw = sio_args_at((struct sio_args){text, NULL, 0}, 0);
    memset(entry, 0, sizeof *entry);
    sio_builder_init(&entry->json);
    entry->kind = reader->kind;
    entry->raw = raw;
    if (raw.n > reader->config->event_max_bytes)
        return kit_fail(failure, 413, NULL, "the event must be at most %u bytes", reader->config->event_max_bytes);
    entry->object = sio_args_parse((struct sio_args){raw, NULL, 0}, 0);
    if (!entry->object) return kit_fail(failure, 503, NULL, "out of memory");
    return check_object(entry, reader, failure);
}

static void clear_values(struct calls_entry *entry)
{
    sio_builder_clear(&entry->json);
    free(entry->text);
    free(entry->agents);
    free(entry->metadata);
    entry->text = entry->agents = entry->metadata = NULL;
}

int calls_entry_fill(struct calls_entry *entry, const struct calls_reader *reader, struct kit_failure *failure)
{
    json_t *object = entry->object;
    if (!object) return 0; /* it is filled */
    if (!copy_values(entry, object, entry->raw) && !redact(entry, reader, entry->raw) &&
        !begin_json(entry, reader, object, entry->raw)) {
        json_decref(object);
        entry->object = NULL;
        return 0;
    }
    clear_values(entry);
    sio_builder_init(&entry->json);
    return kit_fail(failure, 503, NULL, "out of memory");
}

int calls_entry_read(struct calls_entry *entry, const struct calls_reader *reader, struct eio_str text,
                     struct kit_failure *failure)
{
    int code = calls_entry_check(entry, reader, text, failure);
    return code ? code : calls_entry_fill(entry, reader, failure);
}

void calls_entry_clear(struct calls_entry *entry)
{
    clear_values(entry);
    json_decref(entry->object);
    entry->object = NULL;
    calls_alerts_free(entry->alerts);
    entry->alerts = NULL;
}
