/* The WebSocket decoder on arbitrary bytes. Input: a byte that chooses the limits, a byte that seeds where to cut and
 * whether messages may be compressed, the wire. What is decoded must not depend on the cuts nor on pauses, and text
 * must be valid. */
#include "ws_trace.h"

enum { MAX_CUTS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const uint8_t *p, size_t n, const size_t *cuts, size_t cut_count, struct trace_log *log)
{
    trace_run(&ws_decoder, p, n, cuts, cut_count, log);
}

static size_t choose_cuts(uint8_t seed, size_t n, size_t cuts[MAX_CUTS])
{
    uint32_t state = seed * 2654435761u + 1;
    size_t count = 0, at = 0, stride = 1 + seed % 24;
    while (count < MAX_CUTS) {
        state = state * 1664525u + 1013904223u;
        at += 1 + (state >> 16) % stride;
        if (at >= n) break;
        cuts[count++] = at;
    }
    return count;
}

static void expect_same(const struct trace_log *a, const struct trace_log *b)
{
    if (strcmp(trace_text(a), trace_text(b)) == 0) return;
    fprintf(stderr, "whole:\n%s--- in pieces:\n%s", trace_text(a), trace_text(b));
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    static const size_t message_limits[] = {1 << 20, 200, 16, 0};
    ws_limits = (struct eio__ws_limits){message_limits[data[0] & 3], 1 + (data[0] >> 2 & 7), data[1] & 0x80};
    ws_stop_after = data[0] >> 5;
    uint8_t seed = data[1];
    data += 2;
    size -= 2;

    struct trace_log whole = {0}, pieces = {0}, two = {0}, paused = {0};
    size_t cuts[MAX_CUTS], count = choose_cuts(seed, size, cuts), middle = size / 2;
    run(data, size, NULL, 0, &whole);
    ws_pauses = true;
    run(data, size, NULL, 0, &paused);
    ws_pauses = false;
    expect_same(&whole, &paused);
    run(data, size, cuts, count, &pieces);
    expect_same(&whole, &pieces);
    if (size > 1) {
        run(data, size, &middle, 1, &two);
        expect_same(&whole, &two);
    }
    trace_clear(&whole);
    trace_clear(&pieces);
    trace_clear(&two);
    trace_clear(&paused);
    return 0;
}
