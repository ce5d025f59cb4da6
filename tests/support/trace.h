/* Tests of parsers in the way of llhttp: wire bytes in hexadecimal, then the event log that they must give. The input
 * is fed whole, cut in two at every position, and byte by byte, each piece ending at a guard page, and the log must be
 * the same every time. trace_run() alone serves fuzz targets, which compare logs themselves (no cmocka needed).
 *
 *    static const struct trace_parser ws_decoder = {ws_open, ws_feed, ws_close};
 *    TEST(ws_frame, unmasked_client_frame_is_refused)
 *    {
 *        TRACE(ws_decoder, "81 05  48 65 6c 6c 6f", "error -5 1002 at byte 1: client frame is not masked\n");
 *    } */
#ifndef TRACE_H
#define TRACE_H

#include "guard.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/types.h>

struct trace_log {
    char *text; /* terminated, NULL while empty */
    size_t size, capacity;
};

static inline void trace_write(struct trace_log *log, const char *text, size_t n)
{
    if (log->size + n + 1 > log->capacity) {
        log->capacity = (log->size + n + 1) * 2;
        log->text = realloc(log->text, log->capacity);
        if (!log->text) abort();
    }
    memcpy(log->text + log->size, text, n);
    log->size += n;
    log->text[log->size] = '\0';
}

__attribute__((format(printf, 2, 3))) static inline void trace_printf(struct trace_log *log, const char *format, ...)
{
    char line[1024];
    va_list values;
    va_start(values, format);
    int n = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (n < 0 || n >= (int)sizeof line) abort();
    trace_write(log, line, (size_t)n);
}

/* Bytes as quoted text; what is not printable ASCII as \xNN. More than 64: the first ones, size and a checksum. */
static inline void trace_bytes(struct trace_log *log, const uint8_t *p, size_t n)
{
    size_t shown = n > 64 ? 16 : n;
    trace_write(log, "\"", 1);
    for (size_t i = 0; i < shown; i++) {
        if (p[i] >= 0x20 && p[i] < 0x7F && p[i] != '"' && p[i] != '\\')
            trace_write(log, (const char *)p + i, 1);
        else
            trace_printf(log, "\\x%02x", p[i]);
    }
    trace_write(log, "\"", 1);
    if (shown == n) return;
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < n; i++) sum = (sum ^ p[i]) * 16777619u;
    trace_printf(log, "... %zu bytes, fnv1a %08x", n, sum);
}

static inline const char *trace_text(const struct trace_log *log)
{
    return log->text ? log->text : "";
}

static inline void trace_clear(struct trace_log *log)
{
    free(log->text);
    *log = (struct trace_log){0};
}

/* What a test says about its parser. */
struct trace_parser {
    /* A fresh parser, which writes its events to the log. */
    void *(*open)(struct trace_log *log);
    /* Feeds n bytes that may be overwritten; at: where p[0] lies in the whole input, for positions that do not depend
     * on the cuts. Returns the bytes consumed: the rest is given again, with more behind it. Negative: the parser gave
     * up (and the reason is logged); it is not fed again. */
    ssize_t (*feed)(void *parser, uint8_t *p, size_t n, size_t at);
    /* The end: logs what is worth knowing (memory still held, input missing) and frees. left: bytes not consumed;
     * failed: feed gave up. */
    void (*close)(void *parser, size_t left, bool failed);
};

/* Feeds n bytes in pieces that end at the given cuts (ascending, below n). The log is the caller's to clear. */
static inline void trace_run(const struct trace_parser *parser, const uint8_t *p, size_t n, const size_t *cuts,
                             size_t cut_count, struct trace_log *log)
{
    static struct guard guard; /* kept for the next run: mapping it is what takes the time */
    guard_reserve(&guard, n);
    void *self = parser->open(log);
    size_t at = 0, cut = 0;
    bool failed = false;
    do {
        size_t end = cut < cut_count ? cuts[cut] : n;
        ssize_t consumed = parser->feed(self, guard_put(&guard, p + at, end - at), end - at, at);
        failed = consumed < 0;
        if (!failed) {
            if ((size_t)consumed > end - at) abort();
            at += (size_t)consumed;
        }
    } while (!failed && cut++ < cut_count);
    parser->close(self, n - at, failed);
}

/* n bytes of hexadecimal text, blanks ignored; malloc'd. */
static inline uint8_t *trace_unhex(const char *hex, size_t *n)
{
    uint8_t *bytes = calloc(1, strlen(hex) / 2 + 1);
    if (!bytes) abort();
    int high = -1;
    *n = 0;
    for (; *hex; hex++) {
        if (isspace((unsigned char)*hex)) continue;
        if (!isxdigit((unsigned char)*hex)) abort();
        int digit = isdigit((unsigned char)*hex) ? *hex - '0' : tolower((unsigned char)*hex) - 'a' + 10;
        if (high < 0) {
            high = digit;
            continue;
        }
        bytes[(*n)++] = (uint8_t)(high << 4 | digit);
        high = -1;
    }
    if (high >= 0) abort();
    return bytes;
}

/* One run compared. Returns true if the log is as expected; tells standard error if not. */
static inline bool trace_expect(const struct trace_parser *parser, const uint8_t *p, size_t n, const size_t *cuts,
                                size_t cut_count, const char *expected)
{
    struct trace_log log = {0};
    trace_run(parser, p, n, cuts, cut_count, &log);
    bool same = strcmp(trace_text(&log), expected) == 0;
    if (!same) {
        const char *how = cut_count == 0 ? "whole" : cut_count == 1 ? "cut in two" : "in pieces";
        fprintf(stderr, "fed %s", how);
        if (cut_count == 1) fprintf(stderr, " at byte %zu", cuts[0]);
        fprintf(stderr, ", expected:\n%s--- but got:\n%s---\n", expected, trace_text(&log));
    }
    trace_clear(&log);
    return same;
}

/* All the ways to feed. Cutting at every position is for inputs up to a few thousand bytes; above, 64 positions. */
static inline bool trace_check(const struct trace_parser *parser, const uint8_t *p, size_t n, const char *expected)
{
    if (!trace_expect(parser, p, n, NULL, 0, expected)) return false;
    size_t step = n > 4096 ? n / 64 : 1;
    for (size_t cut = 1; cut < n; cut += step)
        if (!trace_expect(parser, p, n, &cut, 1, expected)) return false;
    size_t *cuts = calloc(n + 1, sizeof *cuts);
    if (!cuts) abort();
    for (size_t i = 0; i < n; i++) cuts[i] = i + 1;
    bool same = trace_expect(parser, p, n, cuts, n ? n - 1 : 0, expected);
    free(cuts);
    return same;
}

static inline bool trace_check_hex(const struct trace_parser *parser, const char *hex, const char *expected)
{
    size_t n;
    uint8_t *bytes = trace_unhex(hex, &n);
    bool same = trace_check(parser, bytes, n, expected);
    free(bytes);
    return same;
}

/* Fails the running cmocka test unless the bytes give the log, however they are cut. */
#define TRACE(parser, hex, expected) assert_true(trace_check_hex(&(parser), (hex), (expected)))
#define TRACE_BYTES(parser, p, n, expected) assert_true(trace_check(&(parser), (p), (n), (expected)))
#endif
