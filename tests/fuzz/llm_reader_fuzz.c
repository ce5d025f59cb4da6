/* The stream of /chat/completions: what is read does not depend on how the bytes were cut, texts are UTF-8, limits
 * hold, every call that is ready was opened, and a whole answer makes a message. */
#include "llm_reader.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

static const struct llm_limits limits = {
    .text_bytes = 512, .args_bytes = 256, .event_bytes = 2048, .stream_bytes = 1 << 20, .values = 100, .calls = 4};

struct run {
    struct llm_reader reader;
    uint64_t hash; /* FNV-1a of all that was reported */
    unsigned opened, ready;
    size_t text_bytes;
};

static void mix(struct run *run, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) run->hash = (run->hash ^ (uint8_t)p[i]) * 1099511628211u;
    run->hash = (run->hash ^ 0x100) * 1099511628211u;
}

static void check_text(struct run *run, const struct llm_event *event)
{
    json_t *text = json_stringn(event->text.p, event->text.n);
    MUST(text && event->text.n && !memchr(event->text.p, 0, event->text.n));
    json_decref(text);
    run->text_bytes += event->text.n;
}

static int on_event(void *ctx, const struct llm_event *event)
{
    struct run *run = ctx;
    char kind = (char)event->kind;
    mix(run, &kind, 1);
    if (event->text.n) mix(run, event->text.p, event->text.n);
    if (event->kind == LLM_TEXT || event->kind == LLM_REASONING) check_text(run, event);
    if (event->name) {
        MUST(event->call_id && event->call_id[0] && event->name[0]);
        mix(run, event->name, strlen(event->name));
        mix(run, event->call_id, strlen(event->call_id));
    }
    if (event->kind == LLM_CALL_OPEN) MUST(run->opened++ < limits.calls);
    if (event->kind == LLM_CALL_READY) {
        MUST(event->call == run->ready++ && event->text.n <= limits.args_bytes);
        MUST(!event->args || json_is_object(event->args));
    }
    return 0;
}

static void check_message(struct run *run)
{
    json_t *message = llm_reader_message(&run->reader);
    MUST(message && run->opened == run->ready);
    MUST(json_array_size(json_object_get(message, "tool_calls")) == run->opened);
    char *text = json_dumps(message, JSON_COMPACT);
    MUST(text);
    mix(run, text, strlen(text));
    free(text);
    json_decref(message);
}

/* In pieces of step bytes. */
static uint64_t read_all(const uint8_t *data, size_t size, size_t step)
{
    static struct run run;
    int code = 0;
    run = (struct run){.reader = {.limits = limits, .id_prefix = "m", .splits_thoughts = true, .on_event = on_event}};
    run.reader.ctx = &run;
    for (size_t i = 0; i < size && !code; i += step) {
        size_t n = size - i < step ? size - i : step;
        code = llm_reader_feed(&run.reader, (struct eio_str){(const char *)data + i, n});
    }
    if (code >= 0) code = llm_reader_end(&run.reader);
    MUST(code == 0 || (code == -1 && run.reader.fault.kind));
    if (!code) check_message(&run);
    MUST(run.text_bytes <= 2 * limits.text_bytes); /* a thought may become the answer */
    mix(&run, run.reader.fault.detail, strlen(run.reader.fault.detail));
    llm_reader_clear(&run.reader);
    return run.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 3, 7, 64};
    uint64_t whole = read_all(data, size, size ? size : 1);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) MUST(read_all(data, size, steps[i]) == whole);
    return 0;
}
