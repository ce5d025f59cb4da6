/* The stream of /chat/completions: events of server-sent events to chunks, chunks to text, calls and an end. */
#include "llm_reader.h"

#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------------- text */

int llm_text_add(struct llm_text *text, struct eio_str more, size_t max)
{
    if (more.n > max || text->n > max - more.n) return EIO_ETOOBIG;
    if (text->n + more.n >= text->capacity) {
        size_t capacity = (text->n + more.n + 32) * 2;
        char *grown = realloc(text->p, capacity);
        if (!grown) return EIO_ENOMEM;
        text->p = grown;
        text->capacity = capacity;
    }
    if (more.n) memcpy(text->p + text->n, more.p, more.n);
    text->n += more.n;
    text->p[text->n] = 0;
    return 0;
}

static struct eio_str str_of(const json_t *value)
{
    const char *p = json_string_value(value);
    return (struct eio_str){p, p ? json_string_length(value) : 0};
}

static int emit(struct llm_reader *reader, const struct llm_event *event)
{
    return reader->on_event(reader->ctx, event);
}

static int out_of_memory(struct llm_reader *reader)
{
    return llm_fault_set(&reader->fault, LLM_FAULT_MEMORY, "out of memory");
}

/* Text for the user, or reasoning; `kept` is what there is of it so far. */
static int add_text(struct llm_reader *reader, struct llm_text *kept, enum llm_event_kind kind, struct eio_str text)
{
    size_t other = reader->text.n + reader->reasoning.n - kept->n;
    if (!text.n) return 0;
    int code = llm_text_add(kept, text, reader->limits.text_bytes - other);
    if (code == EIO_ETOOBIG)
        return llm_fault_set(&reader->fault, LLM_FAULT_TOO_LARGE, "the text passes %zu bytes",
                             reader->limits.text_bytes);
    if (code) return out_of_memory(reader);
    const struct llm_event event = {.kind = kind, .text = text};
    return emit(reader, &event);
}

static int on_split(void *ctx, bool is_thought, struct eio_str text)
{
    struct llm_reader *reader = ctx;
    if (is_thought) return add_text(reader, &reader->reasoning, LLM_REASONING, text);
    return add_text(reader, &reader->text, LLM_TEXT, text);
}

/* A NUL is nothing that anybody means; it would end the text early for some readers. */
static int take_content(struct llm_reader *reader, struct eio_str text, bool is_reasoning)
{
    int code = 0;
    while (text.n && !code) {
        const char *nul = memchr(text.p, 0, text.n);
        struct eio_str part = {text.p, nul ? (size_t)(nul - text.p) : text.n};
        size_t used = part.n + (nul ? 1 : 0);
        text.p += used;
        text.n -= used;
        if (is_reasoning)
            code = add_text(reader, &reader->reasoning, LLM_REASONING, part);
        else if (reader->splits_thoughts)
            code = llm_think_feed(&reader->think, part, on_split, reader);
        else
            code = add_text(reader, &reader->text, LLM_TEXT, part);
    }
    return code;
}

/* ------------------------------------------------------------------- chunk */

/* Content is a text, or, of some servers, a list of parts with texts. */
static int take_parts(struct llm_reader *reader, const json_t *content)
{
    size_t i;
    json_t *part;
    int code = take_content(reader, str_of(content), false);
    json_array_foreach(content, i, part)
    {
        if (!code) code = take_content(reader, str_of(json_object_get(part, "text")), false);
    }
    return code;
}

static int take_calls(struct llm_reader *reader, const json_t *delta)
{
    json_t *old = json_object_get(delta, "function_call");
    size_t i;
    json_t *entry;
    int code = 0;
    json_array_foreach(json_object_get(delta, "tool_calls"), i, entry)
    {
        if (!code && json_is_object(entry)) code = llm_reader_take_call(reader, entry, i);
    }
    if (code || !json_is_object(old)) return code;
    json_t *wrapped = json_pack("{s:i, s:O}", "index", 0, "function", old);
    code = wrapped ? llm_reader_take_call(reader, wrapped, 0) : out_of_memory(reader);
    json_decref(wrapped);
    return code;
}

static int take_delta(struct llm_reader *reader, const json_t *delta)
{
    struct eio_str reasoning = str_of(json_object_get(delta, "reasoning_content"));
    if (!reasoning.n) reasoning = str_of(json_object_get(delta, "reasoning")); /* both at once: the same text */
    int code = take_content(reader, reasoning, true);
    if (!code) code = take_parts(reader, json_object_get(delta, "content"));
    if (!code) code = take_content(reader, str_of(json_object_get(delta, "refusal")), false);
    return code ? code : take_calls(reader, delta);
}

static int take_finish(struct llm_reader *reader, const char *reason)
{
    static const struct {
        const char *reason;
        enum llm_finish finish;
    } known[] = {{"length", LLM_LENGTH},
                 {"max_tokens", LLM_LENGTH},
                 {"tool_calls", LLM_CALLS},
                 {"function_call", LLM_CALLS},
                 {"content_filter", LLM_FILTER}};
    if (!reason || !reason[0]) return 0;
    if (!strcmp(reason, "error"))
        return llm_fault_set(&reader->fault, LLM_FAULT_UPSTREAM, "the answer ended with the reason \"error\"");
    reader->finish = LLM_STOP;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(reason, known[i].reason)) reader->finish = known[i].finish;
    reader->has_finish = true;
    return 0;
}

static void take_usage(struct llm_reader *reader, const json_t *usage)
{
    const json_t *in = json_object_get(usage, "prompt_tokens"), *out = json_object_get(usage, "completion_tokens");
    if (!json_is_integer(in) && !json_is_integer(out)) return;
    reader->has_usage = true;
    reader->tokens_in = json_integer_value(in);
    reader->tokens_out = json_integer_value(out);
}

/* An object that is a failure, whatever the status. */
static bool is_failure(const json_t *chunk)
{
    const char *object = json_string_value(json_object_get(chunk, "object"));
    const json_t *error = json_object_get(chunk, "error");
    if (error && !json_is_null(error) && !json_is_false(error)) return true;
    if (object && !strcmp(object, "error")) return true;
    if (json_is_array(json_object_get(chunk, "choices"))) return false;
    return json_object_get(chunk, "error_message") || json_object_get(chunk, "error_type") ||
           json_object_get(chunk, "detail");
}

static int take_choice(struct llm_reader *reader, const json_t *choice)
{
    const json_t *delta = json_object_get(choice, "delta");
    if (json_integer_value(json_object_get(choice, "index")) != 0) return 0; /* one answer was asked for */
    if (!json_is_object(delta)) delta = json_object_get(choice, "message");  /* of a server that does not stream */
    int code = take_delta(reader, delta);
    return code ? code : take_finish(reader, json_string_value(json_object_get(choice, "finish_reason")));
}

/* A piece of text, quoted. */
static int take_quoted(struct llm_reader *reader, struct eio_str quoted)
{
    struct eio_str plain = {quoted.p + 1, quoted.n - 2};
    if (!memchr(plain.p, '\\', plain.n)) return take_content(reader, plain, false);
    char *decoded = malloc(quoted.n);
    if (!decoded) return out_of_memory(reader);
    int code = take_content(reader, (struct eio_str){decoded, kit_json_decode(quoted, decoded)}, false);
    free(decoded);
    return code;
}

static int take_tree(struct llm_reader *reader, struct eio_str text)
{
    json_error_t wrong;
    if (kit_json_count(text, reader->limits.values) > reader->limits.values)
        return llm_fault_set(&reader->fault, LLM_FAULT_TOO_LARGE, "an event of the stream has more values than %zu",
                             reader->limits.values);
    json_t *chunk = json_loadb(text.p, text.n, JSON_ALLOW_NUL, &wrong);
    size_t i;
    json_t *choice;
    int code = 0;
    if (!json_is_object(chunk)) {
        json_decref(chunk);
        return llm_fault_set(&reader->fault, LLM_FAULT_BROKEN,
                             "the stream has a chunk that is not a JSON object: %.80s", wrong.text);
    }
    if (is_failure(chunk)) {
        llm_fault_read(&reader->fault, 200, text);
        code = -1;
    }
    if (!code) take_usage(reader, json_object_get(chunk, "usage"));
    json_array_foreach(json_object_get(chunk, "choices"), i, choice)
    {
        if (!code) code = take_choice(reader, choice);
    }
    json_decref(chunk);
    return code;
}

static int take_json(struct llm_reader *reader, struct eio_str text)
{
    struct eio_str content;
    if (!llm_chunk_scan(&reader->head, text, &content)) return take_tree(reader, text);
    return content.n ? take_quoted(reader, content) : 0;
}

/* ------------------------------------------------------------------ stream */

static bool is_word(struct eio_str text, const char *word)
{
    return text.n == strlen(word) && !memcmp(text.p, word, text.n);
}

static struct eio_str trim(struct eio_str text)
{
    while (text.n && strchr(" \t\r\n", text.p[0]) && text.p[0]) text.p++, text.n--;
    while (text.n && strchr(" \t\r\n", text.p[text.n - 1]) && text.p[text.n - 1]) text.n--;
    return text;
}

static int on_sse(void *ctx, const struct kit_sse_event *event)
{
    struct llm_reader *reader = ctx;
    struct eio_str data = trim(event->data);
    bool is_error = event->error.p || is_word(event->name, "error");
    if (is_error) {
        llm_fault_read(&reader->fault, 200, event->error.p ? event->error : data);
        return -1;
    }
    if (!data.n) return 0;
    if (!is_word(data, "[DONE]")) return take_json(reader, data);
    reader->is_done = true;
    return 1;
}

/* A body that begins like an object or a page is not a stream of events: one answer in JSON, an error, or nonsense. */
static void look_at_first(struct llm_reader *reader, struct eio_str bytes)
{
    struct eio_str rest = trim(bytes);
    if (reader->has_first || !rest.n) return;
    reader->has_first = true;
    reader->is_plain = rest.p[0] == '{' || rest.p[0] == '[' || rest.p[0] == '<';
}

static int check_code(struct llm_reader *reader, int code)
{
    if (code == EIO_ETOOBIG && !reader->fault.kind)
        return llm_fault_set(&reader->fault, LLM_FAULT_TOO_LARGE, "an event of the stream passes %zu bytes",
                             reader->limits.event_bytes);
    return code == EIO_ENOMEM && !reader->fault.kind ? out_of_memory(reader) : code;
}

int llm_reader_feed(struct llm_reader *reader, struct eio_str bytes)
{
    if (reader->fault.kind) return -1;
    if (reader->is_done) return 1;
    if (bytes.n > reader->limits.stream_bytes - reader->bytes)
        return llm_fault_set(&reader->fault, LLM_FAULT_TOO_LARGE, "the stream passes %zu bytes",
                             reader->limits.stream_bytes);
    reader->bytes += bytes.n;
    reader->sse.max_bytes = reader->limits.event_bytes;
    look_at_first(reader, bytes);
    if (reader->is_plain) return check_code(reader, llm_text_add(&reader->plain, bytes, reader->limits.event_bytes));
    return check_code(reader, kit_sse_feed(&reader->sse, bytes, on_sse, reader));
}

/* --------------------------------------------------------------------- end */

static int end_plain(struct llm_reader *reader)
{
    struct eio_str body = trim((struct eio_str){reader->plain.p, reader->plain.n});
    if (body.p[0] == '{') return take_json(reader, body);
    return llm_fault_set(&reader->fault, LLM_FAULT_BROKEN, "the response is not an event stream: %.60s", body.p);
}

bool llm_reader_is_complete(const struct llm_reader *reader)
{
    return reader->has_finish;
}

static int check_end(struct llm_reader *reader)
{
    if (!reader->has_finish)
        return llm_fault_set(&reader->fault, LLM_FAULT_BROKEN, "the stream ended without a finish reason%s",
                             reader->bytes ? "" : " or a byte");
    if (reader->finish == LLM_CALLS && !reader->call_count && !reader->text.n)
        return llm_fault_set(&reader->fault, LLM_FAULT_BROKEN, "the answer ended for calls of tools, but has none");
    return 0;
}

/* A thought that nobody closed and no answer behind it: that was the answer. */
static int rescue_answer(struct llm_reader *reader)
{
    struct llm_text kept = reader->reasoning;
    if (reader->think.state != LLM_THINK_INSIDE || reader->text.n || reader->call_count) return 0;
    reader->reasoning = (struct llm_text){NULL, 0, 0};
    int code = add_text(reader, &reader->text, LLM_TEXT, (struct eio_str){kept.p, kept.n});
    free(kept.p);
    return code;
}

int llm_reader_end(struct llm_reader *reader)
{
    int code = reader->fault.kind ? -1 : 0;
    if (!code && !reader->is_plain && !reader->is_done) {
        code = check_code(reader, kit_sse_end(&reader->sse, on_sse, reader));
        if (code == 1) code = 0;
    }
    if (!code && reader->is_plain) code = end_plain(reader);
    if (!code) code = llm_think_end(&reader->think, on_split, reader);
    if (!code) code = check_end(reader);
    if (!code) code = rescue_answer(reader);
    if (!code) code = llm_reader_finish_calls(reader);
    if (code || !reader->has_usage) return code;
    const struct llm_event event = {
        .kind = LLM_USAGE, .tokens_in = reader->tokens_in, .tokens_out = reader->tokens_out};
    return emit(reader, &event);
}

enum llm_finish llm_reader_finish(const struct llm_reader *reader)
{
    return reader->call_count ? LLM_CALLS : reader->finish == LLM_CALLS ? LLM_STOP : reader->finish;
}

/* ----------------------------------------------------------------- message */

static json_t *call_json(const struct llm_call *call)
{
    /* Some servers read the arguments again and refuse what is not an object. */
    const char *args = call->parsed && call->args.n ? call->args.p : "{}";
    json_t *entry = json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", call->id, "type", "function", "function", "name",
                              call->name, "arguments", args);
    if (entry && call->extra) json_object_update_missing(entry, call->extra);
    return entry;
}

json_t *llm_reader_message(const struct llm_reader *reader)
{
    const char *text = reader->text.p ? reader->text.p : "";
    json_t *message = json_pack("{s:s}", "role", "assistant"), *calls = json_array();
    bool is_good = message && calls;
    for (unsigned i = 0; i < reader->call_count && is_good; i++)
        is_good = !json_array_append_new(calls, call_json(&reader->calls[i]));
    if (is_good)
        is_good = !json_object_set_new(message, "content",
                                       reader->text.n || !reader->call_count ? json_string(text) : json_null());
    if (is_good && reader->reasoning.n)
        is_good = !json_object_set_new(message, "reasoning_content", json_string(reader->reasoning.p));
    if (is_good && reader->call_count) is_good = !json_object_set(message, "tool_calls", calls);
    json_decref(calls);
    if (is_good) return message;
    json_decref(message);
    return NULL;
}

void llm_reader_clear(struct llm_reader *reader)
{
    for (unsigned i = 0; i < reader->call_count; i++) {
        struct llm_call *call = &reader->calls[i];
        free(call->id);
        free(call->name);
        free(call->args.p);
        json_decref(call->parsed);
        json_decref(call->extra);
    }
    free(reader->calls);
    free(reader->text.p);
    free(reader->reasoning.p);
    free(reader->plain.p);
    kit_sse_clear(&reader->sse);
    llm_chunk_head_clear(&reader->head);
    reader->calls = NULL;
    reader->call_count = reader->call_capacity = 0;
    reader->text = reader->reasoning = reader->plain = (struct llm_text){NULL, 0, 0};
}
