/* A trace over all processes: the one with the request asks the others, again and again; they send their lines. */
#include "trace_int.h"

#include <string.h>

#define BEGIN_EVENT "parley:trace"
#define END_EVENT "parley:trace-end"
#define LINES_EVENT "parley:trace-lines"
#define REMOTE_BYTES 32768 /* that one process sends in TRACE_FLUSH_MS */

static struct trace_watch *find(const struct trace *trace, const char *id)
{
    struct trace_watch *watch = trace->watches;
    while (watch && strcmp(watch->id, id)) watch = watch->next;
    return watch;
}

static bool read_text(const struct sio_event *event, size_t i, char *out, size_t size)
{
    return sio_args_text(event->args, i, out, size) >= 0;
}

static void on_begin(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct trace *trace = ctx;
    struct trace_filter filter = {.user = ""};
    char id[TRACE_WATCH_ID_SIZE];
    (void)socket;
    bool is_whole = read_text(event, 0, id, sizeof id) && read_text(event, 1, filter.user, sizeof filter.user) &&
                    read_text(event, 2, filter.call, sizeof filter.call) &&
                    read_text(event, 3, filter.tenant, sizeof filter.tenant) && (filter.user[0] || filter.call[0]);
    if (!is_whole || trace->kit->draining) return;
    filter.is_confined = eio_str_is(sio_args_at(event->args, 4), "true");
    struct trace_watch *watch = find(trace, id);
    if (!watch && (watch = trace_watch_new(trace, &filter, REMOTE_BYTES))) {
        watch->is_remote = true;
        memcpy(watch->id, id, sizeof id);
        trace_lines_say_looking(watch);
    }
    if (!watch || !watch->is_remote) return;
    watch->until_ms = eio_loop_now_ms(trace->kit->loop) + TRACE_FORGET_MS;
}

static void on_end(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    char id[TRACE_WATCH_ID_SIZE];
    struct trace_watch *watch = read_text(event, 0, id, sizeof id) ? find(ctx, id) : NULL;
    (void)socket;
    if (watch && watch->is_remote) trace_watch_free(watch);
}

static void on_lines(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    char id[TRACE_WATCH_ID_SIZE], text[REMOTE_BYTES + 1];
    struct trace_watch *watch = read_text(event, 0, id, sizeof id) ? find(ctx, id) : NULL;
    (void)socket;
    if (!watch || watch->is_remote) return;
    int size = sio_args_text(event->args, 1, text, sizeof text);
    uint32_t lines = 0;
    for (int i = 0; i < size; i++) lines += text[i] == '\n';
    if (lines && text[size - 1] == '\n') trace_watch_add(watch, text, (size_t)size, lines);
}

/* In the namespace that all processes have. */
static void emit(const struct trace *trace, const char *event, struct sio_builder *args)
{
    if (kit_has_peers(trace->kit) && !args->error)
        sio_server_side_emit(sio_of(trace->kit->io, "/"), event, sio_builder_args(args), NULL, NULL);
    sio_builder_clear(args);
}

static void begin_args(struct sio_builder *args, const struct trace_watch *watch)
{
    sio_builder_init(args);
    sio_builder_text(args, watch->id, strlen(watch->id));
}

void trace_nodes_ask(struct trace *trace, const struct trace_watch *watch)
{
    const struct trace_filter *filter = &watch->filter;
    struct sio_builder args;
    begin_args(&args, watch);
    sio_builder_text(&args, filter->user, strlen(filter->user));
    sio_builder_text(&args, filter->call, strlen(filter->call));
    sio_builder_text(&args, filter->tenant, strlen(filter->tenant));
    sio_builder_bool(&args, filter->is_confined);
    emit(trace, BEGIN_EVENT, &args);
}

void trace_nodes_end(struct trace *trace, const struct trace_watch *watch)
{
    struct sio_builder args;
    begin_args(&args, watch);
    emit(trace, END_EVENT, &args);
}

void trace_nodes_send(struct trace *trace, const struct trace_watch *watch, const char *text, size_t size)
{
    struct sio_builder args;
    begin_args(&args, watch);
    sio_builder_text(&args, text, size);
    emit(trace, LINES_EVENT, &args);
}

int trace_nodes_start(struct trace *trace)
{
    struct sio_namespace *nsp = sio_of(trace->kit->io, "/");
    int failed = sio_on_server_event(nsp, BEGIN_EVENT, on_begin, trace);
    if (!failed) failed = sio_on_server_event(nsp, END_EVENT, on_end, trace);
    return failed ? failed : sio_on_server_event(nsp, LINES_EVENT, on_lines, trace);
}
