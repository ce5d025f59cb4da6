/* Redaction: finders stay within the text and get on; JSON stays JSON, and is not touched where there is nothing to
 * hide. */
#include "calls_redact.h"
#include "calls_redact_json.h"
#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

static void check_finders(struct eio_str text, bool is_partial)
{
    static const calls_find_fn finders[] = {calls_find_card, calls_find_spoken_card, calls_find_iban, calls_find_email,
                                            calls_find_phone};
    for (size_t i = 0; i < sizeof finders / sizeof finders[0]; i++) {
        for (size_t from = 0; from < text.n;) {
            struct calls_span span = finders[i](text, from, is_partial);
            if (span.end == span.begin) break;
            MUST(span.begin >= from && span.begin < span.end && span.end <= text.n);
            from = span.end;
        }
    }
}

static json_t *load(struct eio_str text)
{
    return json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
}

static bool is_trimmed(struct eio_str text)
{
    return text.n && !strchr(" \t\r\n", text.p[0]) && !strchr(" \t\r\n", text.p[text.n - 1]);
}

static void check_json(const struct calls_redaction *redaction, struct eio_str text)
{
    struct kit_failure failure = {0};
    struct sio_builder out;
    if (!is_trimmed(text) || kit_json_check(text, 16, &failure)) return;
    sio_builder_init(&out);
    MUST(calls_json_redact(redaction, text, &out) == 0);
    struct eio_str redacted = sio_builder_args(&out).json;
    MUST(kit_json_check(redacted, 16, &failure) == 0);
    json_t *before = load(text), *after = load(redacted);
    if (before && !calls_json_has_secret(redaction, text)) MUST(after && json_equal(before, after));
    json_decref(before);
    json_decref(after);
    sio_builder_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct calls_redaction *redaction;
    char error[256], *out;
    size_t out_size;
    if (!redaction) redaction = calls_redaction_open("default", error, sizeof error);
    MUST(redaction);
    if (!size) return 0;
    struct eio_str text = {(const char *)data + 1, size - 1};
    check_finders(text, data[0] & 1);
    MUST(calls_redact(redaction, text, data[0] & 1, &out, &out_size) == 0);
    free(out);
    check_json(redaction, text);
    return 0;
}
