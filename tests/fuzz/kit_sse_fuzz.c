/* Server-sent events: what is read does not depend on how the bytes were cut, and nothing held passes the limit. */
#include "kit_sse.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

#define MAX_BYTES 256

struct run {
    struct kit_sse sse;
    uint64_t hash; /* FNV-1a of all that was reported */
    size_t events;
};

static void mix(struct run *run, struct eio_str text)
{
    for (size_t i = 0; i < text.n; i++) run->hash = (run->hash ^ (uint8_t)text.p[i]) * 1099511628211u;
    run->hash = (run->hash ^ 0x100) * 1099511628211u;
}

static int on_event(void *ctx, const struct kit_sse_event *event)
{
    struct run *run = ctx;
    MUST(event->data.n <= MAX_BYTES && event->name.n <= MAX_BYTES && event->error.n <= MAX_BYTES);
    run->events++;
    mix(run, event->name);
    mix(run, event->data);
    if (event->error.p) mix(run, event->error);
    mix(run, kit_sse_last_id(&run->sse));
    return 0;
}

/* In pieces of step bytes. */
static struct run read_all(const uint8_t *data, size_t size, size_t step, int *code)
{
    struct run run = {.sse.max_bytes = MAX_BYTES};
    *code = 0;
    for (size_t i = 0; i < size && !*code; i += step) {
        size_t n = size - i < step ? size - i : step;
        *code = kit_sse_feed(&run.sse, (struct eio_str){(const char *)data + i, n}, on_event, &run);
    }
    if (!*code) *code = kit_sse_end(&run.sse, on_event, &run);
    kit_sse_clear(&run.sse);
    return run;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 2, 3, 7, 64};
    int code, other_code;
    struct run whole = read_all(data, size, size ? size : 1, &code);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct run run = read_all(data, size, steps[i], &other_code);
        MUST(code == other_code && run.events == whole.events && run.hash == whole.hash);
    }
    return 0;
}
