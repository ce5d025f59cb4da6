/* Messages of speech vendors, a line each: what comes out is NDJSON of objects with a text, whatever they say and in
 * whatever order. */
#include "calls_vendors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

static void check_line(const char *line, size_t size)
{
    json_t *tree = json_loadb(line, size, 0, NULL);
    MUST(json_is_object(tree) && json_is_string(json_object_get(tree, "text")));
    json_t *id = json_object_get(tree, "segment_id");
    MUST(!id || (json_is_string(id) && json_string_length(id) < CALLS_VENDOR_ID_SIZE));
    json_decref(tree);
}

static void check_lines(struct eio_str out)
{
    const char *p = out.p, *end = out.p + out.n;
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((newline ? newline : end) - p);
        if (n) check_line(p, n);
        p += n + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {
        "deepgram",       "assemblyai",          "google",  "amazon", "openai", "livekit", "twilio",
        "amazon-connect", "google-agent-assist", "whisper", "vonage", "sinch"};
    if (!size) return 0;
    const struct calls_vendor *vendor = calls_vendor_find(names[data[0] % (sizeof names / sizeof names[0])]);
    struct calls_vendor_state state = {.count = 0};
    if (data[0] & 128) memcpy(state.customer, "speaker-1", 10);
    const char *p = (const char *)data + 1, *end = (const char *)data + size;
    while (vendor && p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((newline ? newline : end) - p);
        json_t *message = json_loadb(p, n, 0, NULL);
        struct sio_builder out;
        sio_builder_init(&out);
        if (json_is_object(message)) {
            MUST(calls_vendor_map(vendor, message, &state, &out) == 0);
            char id[CALLS_VENDOR_ID_SIZE];
            (void)calls_vendor_kind(vendor, message, &state);
            calls_vendor_call(vendor, message, id);
            MUST(strlen(id) < sizeof id);
            check_lines(sio_builder_args(&out).json);
        }
        MUST(state.count <= CALLS_VENDOR_OPEN_MAX);
        sio_builder_clear(&out);
        json_decref(message);
        p += n + 1;
    }
    calls_vendor_clear(&state);
    return 0;
}
