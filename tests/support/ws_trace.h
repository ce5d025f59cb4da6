/* The WebSocket decoder as a trace.h parser. The log: `text "…"`, `binary "…"`, `ping "…"`, `pong "…"`, `close "…"`,
 * `error <eio_error> <close code> at byte <n>: <why>`, and at the end `incomplete` if it waits for more. */
#ifndef WS_TRACE_H
#define WS_TRACE_H

#include "eio_ws_partial.h"
#include "trace.h"

/* For the whole run; tests that need others change them and put them back. */
static struct eio__ws_limits ws_limits = {.max_message_bytes = 1 << 20, .max_fragments = 64};
/* After that many events the callbacks say stop; 0: never. */
static size_t ws_stop_after;
/* Inflating pauses at each step. */
static bool ws_pauses;

struct ws_trace {
    struct trace_log *log;
    struct eio__ws_partial *partial;
    size_t fed, events, steps;
};

/* The bytes it holds. */
static inline size_t ws_partial_bytes(const struct eio__ws_partial *partial)
{
    return partial ? sizeof *partial + partial->capacity + partial->inflation.capacity + partial->rest_size : 0;
}

/* Inflating may hold more than what arrived, up to the limit. */
static inline void ws_check_memory(const struct ws_trace *trace)
{
    size_t held = ws_partial_bytes(trace->partial);
    if (!ws_limits.deflate && held > 2 * trace->fed + 1024) abort();
    if (held > ws_limits.max_message_bytes + 1024) abort();
}

static inline int ws_event(struct ws_trace *trace, const char *name, const uint8_t *p, size_t n)
{
    trace_printf(trace->log, "%s ", name);
    trace_bytes(trace->log, p, n);
    trace_printf(trace->log, "\n");
    if (++trace->events != ws_stop_after) return 0;
    /* Stopping means that the connection is gone, and its decoder with it. */
    eio__ws_partial_free(trace->partial);
    trace->partial = NULL;
    return 1;
}

static inline int ws_on_message(void *ctx, enum eio_kind kind, uint8_t *p, size_t n)
{
    int result = ws_event(ctx, kind == EIO_TEXT ? "text" : "binary", p, n);
    memset(p, 0xEE, n); /* is allowed */
    return result;
}

static inline int ws_on_control(void *ctx, enum eio__ws_opcode opcode, const uint8_t *p, size_t n)
{
    uint8_t copy[125];
    if (n > sizeof copy) abort();
    memcpy(copy, p, n);
    int result = ws_event(ctx, opcode == EIO__WS_PING ? "ping" : opcode == EIO__WS_PONG ? "pong" : "close", p, n);
    if (memcmp(copy, p, n) != 0) abort(); /* valid during the call, even when the decoder is freed in it */
    return result;
}

static inline bool ws_may_inflate(void *ctx, size_t done)
{
    struct ws_trace *trace = ctx;
    (void)done;
    return !ws_pauses || ++trace->steps % 2 == 0;
}

static inline void *ws_open(struct trace_log *log)
{
    struct ws_trace *trace = calloc(1, sizeof *trace);
    if (!trace) abort();
    trace->log = log;
    return trace;
}

static inline ssize_t ws_feed(void *self, uint8_t *p, size_t n, size_t at)
{
    static const struct eio__ws_events events = {ws_on_message, ws_on_control, ws_may_inflate};
    struct ws_trace *trace = self;
    struct eio__fault fault = {0};
    trace->fed += n;
    int result = eio__ws_decode(&trace->partial, &ws_limits, &events, trace, p, n, &fault);
    while (result == EIO__WS_PAUSED) result = eio__ws_resume(&trace->partial, &ws_limits, &events, trace, &fault);
    ws_check_memory(trace); /* follows what arrived, never what a length field says */
    if (result == 0) return (ssize_t)n;
    if (result > 0) {
        trace_printf(trace->log, "stopped\n");
        return -1;
    }
    if (fault.code != result || fault.at >= n) abort();
    trace_printf(trace->log, "error %s %d at byte %zu: %s\n",
                 fault.code == EIO_EPROTO  ? "EIO_EPROTO"
                 : fault.code == EIO_EUTF8 ? "EIO_EUTF8"
                                           : "EIO_ETOOBIG",
                 fault.close_code, at + fault.at, fault.why);
    return -1;
}

static inline void ws_close(void *self, size_t left, bool failed)
{
    struct ws_trace *trace = self;
    if (left && !failed) abort();
    if (trace->partial && !failed) trace_printf(trace->log, "incomplete\n");
    eio__ws_partial_free(trace->partial);
    free(trace);
}

static const struct trace_parser ws_decoder = {ws_open, ws_feed, ws_close};
#endif
