/* The module, and the watches with their buffers: of fixed size, so that a slow one loses lines and holds nobody up. */
#include "kit_dismiss.h"
#include "kit_metrics.h"
#include "kit_options.h"
#include "trace_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------- options, metrics */

#define KIT_VALUES struct trace_config
static const struct kit_option option_rows[] = {
    KIT_U32_ROW("trace_max", trace_max, "8", 1, 1000, "Tracing",
                "traces (`parley trace`) that a process takes part in, its own and those of other nodes; above: 503"),
    KIT_U32_ROW("trace_lines_per_second", trace_lines_per_second, "1000", 1, 1000000, "Tracing",
                "lines of one trace from one process; above: left out and counted"),
    KIT_SIZE_ROW("trace_queue_bytes", trace_queue_bytes, "262144", 65536, "Tracing",
                 "lines that wait for a slow reader of a trace; above: left out and counted"),
};
static const struct kit_option_set options = KIT_OPTION_SET(option_rows);

#define KIT_NUMBERS struct trace_numbers
static const struct kit_metric metric_rows[] = {
    KIT_GAUGE_ROW("traces", count, "Traces that are running here, of this process and of others."),
    KIT_COUNTER_ROW("traces_begun_total", begun, "Traces begun by a request to this process."),
    KIT_COUNTER_ROW("traces_refused_total", refused, "Traces refused, or not joined, because of trace_max."),
    KIT_COUNTER_ROW("trace_lines_total", lines, "Lines of traces."),
    KIT_COUNTER_ROW("trace_lines_left_out_total", left_out,
                    "Lines left out: trace_lines_per_second, or trace_queue_bytes."),
};

static void read_numbers(void *ctx, void *numbers)
{
    *(struct trace_numbers *)numbers = ((const struct trace *)ctx)->numbers;
}

static const struct kit_metric_set metrics = KIT_METRIC_SET(metric_rows, read_numbers);

/* ----------------------------------------------------------------- watches */

struct trace_watch *trace_watch_new(struct trace *trace, const struct trace_filter *filter, size_t capacity)
{
    struct trace_watch *watch = trace->numbers.count < trace->config->trace_max ? calloc(1, sizeof *watch) : NULL;
    if (!watch) {
        trace->numbers.refused++;
        return NULL;
    }
    *watch = (struct trace_watch){.trace = trace, .next = trace->watches, .filter = *filter, .capacity = capacity};
    watch->buffer = malloc(capacity);
    if (!watch->buffer) {
        free(watch);
        return NULL;
    }
    trace->watches = watch;
    if (trace->numbers.count++ == 0) trace_lines_begin(trace);
    if (!eio_timer_running(&trace->renew)) eio_timer_start(&trace->renew, TRACE_RENEW_MS);
    return watch;
}

void trace_watch_free(struct trace_watch *watch)
{
    struct trace *trace = watch->trace;
    struct trace_watch **link = &trace->watches;
    while (*link != watch) link = &(*link)->next;
    *link = watch->next;
    if (--trace->numbers.count == 0) {
        trace_lines_end(trace);
        eio_timer_stop(&trace->flush);
        eio_timer_stop(&trace->renew);
    }
    kit_claims_unref(watch->claims);
    free(watch->buffer);
    free(watch);
}

void trace_watch_end(struct trace_watch *watch, const char *why)
{
    kit_log(EIO_LOG_INFO, "trace ended", "user", watch->filter.user, "call", watch->filter.call, "reason", why, NULL);
    if (!watch->is_remote) trace_nodes_end(watch->trace, watch);
    if (watch->stream) eio_http_stream_end(watch->stream);
    trace_watch_free(watch);
}

/* ----------------------------------------------------------------- buffers */

static bool append(struct trace_watch *watch, const char *text, size_t size)
{
    if (size > watch->capacity - watch->size) return false;
    memcpy(watch->buffer + watch->size, text, size);
    watch->size += size;
    return true;
}

static void say_left_out(struct trace_watch *watch)
{
    char line[256];
    size_t n = watch->left_out ? trace_line_own(watch->trace, "left out", watch->left_out, line, sizeof line) : 0;
    if (n && append(watch, line, n)) watch->left_out = 0;
}

static void flush_watch(struct trace_watch *watch)
{
    struct trace *trace = watch->trace;
    bool is_slow = watch->stream && eio_http_stream_queued(watch->stream) > trace->config->trace_queue_bytes;
    if (is_slow) return;
    say_left_out(watch);
    if (!watch->size) return;
    size_t size = watch->size;
    watch->size = 0;
    if (!watch->is_remote)
        eio_http_stream_write(watch->stream, watch->buffer, size);
    else
        trace_nodes_send(trace, watch, watch->buffer, size);
    say_left_out(watch);
    if (watch->size) eio_timer_start(&trace->flush, TRACE_FLUSH_MS);
}

static void on_flush(void *ctx)
{
    struct trace *trace = ctx;
    bool waits = false;
    trace_lines_settle(trace);
    for (struct trace_watch *watch = trace->watches; watch; watch = watch->next) {
        flush_watch(watch);
        waits |= watch->size > 0 || watch->left_out > 0;
    }
    if (waits) eio_timer_start(&trace->flush, TRACE_FLUSH_MS);
}

/* A process' own lines count by the second; those that come from others have been counted there. */
static bool has_time(struct trace_watch *watch, uint32_t lines)
{
    uint64_t second = eio_loop_now_ms(watch->trace->kit->loop) / 1000;
    if (lines != 1) return true;
    if (second != watch->second) watch->second = second, watch->lines = 0;
    return ++watch->lines <= watch->trace->config->trace_lines_per_second;
}

void trace_watch_add(struct trace_watch *watch, const char *text, size_t size, uint32_t lines)
{
    struct trace *trace = watch->trace;
    bool fits = has_time(watch, lines);
    if (fits && watch->left_out) say_left_out(watch);
    fits = fits && !watch->left_out && append(watch, text, size);
    trace->numbers.lines += fits ? lines : 0;
    trace->numbers.left_out += fits ? 0 : lines;
    watch->left_out += fits ? 0 : lines;
    if (!eio_timer_running(&trace->flush)) eio_timer_start(&trace->flush, TRACE_FLUSH_MS);
}

/* -------------------------------------------------------------------- time */

/* Why a watch is over; NULL: it is not. */
static const char *is_over(const struct trace_watch *watch, uint64_t now_ms)
{
    if (watch->is_remote) return now_ms >= watch->until_ms ? "not renewed" : NULL;
    return watch->claims && kit_claims_left_ms(watch->trace->kit, watch->claims) <= 0 ? "the token has expired" : NULL;
}

static void on_renew(void *ctx)
{
    struct trace *trace = ctx;
    uint64_t now_ms = eio_loop_now_ms(trace->kit->loop);
    struct trace_watch *next;
    for (struct trace_watch *watch = trace->watches; watch; watch = next) {
        const char *why = is_over(watch, now_ms);
        next = watch->next;
        if (why)
            trace_watch_end(watch, why);
        else if (!watch->is_remote)
            trace_nodes_ask(trace, watch);
    }
    if (trace->numbers.count) eio_timer_start(&trace->renew, TRACE_RENEW_MS);
}

static size_t on_dismiss(void *ctx, const struct kit_dismissal *who)
{
    struct trace *trace = ctx;
    struct trace_watch *next;
    size_t count = 0;
    for (struct trace_watch *watch = trace->watches; watch; watch = next) {
        next = watch->next;
        if (!watch->claims || !kit_is_dismissed(who, watch->claims)) continue;
        trace_watch_end(watch, who->message);
        count++;
    }
    return count;
}

/* ------------------------------------------------------------------ module */

static int start(struct kit *kit, void **state, char *error, size_t error_size)
{
    struct trace *trace = *state = calloc(1, sizeof *trace);
    char host[64] = "localhost";
    (void)error, (void)error_size;
    if (!trace) return EIO_ENOMEM;
    trace->kit = kit;
    trace->config = kit_config_values(kit->config, &options);
    gethostname(host, sizeof host - 1);
    snprintf(trace->node, sizeof trace->node, "%s#%d", host, (int)getpid());
    eio_timer_init(&trace->flush, kit->loop, on_flush, trace);
    eio_timer_init(&trace->renew, kit->loop, on_renew, trace);
    int failed = trace_nodes_start(trace);
    if (!failed) failed = kit_on_dismiss(kit, on_dismiss, trace);
    return failed ? failed : trace_http_start(trace);
}

static void end_all(void *state)
{
    struct trace *trace = state;
    while (trace && trace->watches) trace_watch_end(trace->watches, "the server is stopping");
}

const struct kit_module trace_module = {.name = "trace",
                                        .options = &options,
                                        .metrics = &metrics,
                                        .start = start,
                                        .drain = end_all,
                                        .pause = end_all,
                                        .stop = free};
