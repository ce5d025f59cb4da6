/* What feeds say one by one: stored first, then acknowledged and sent, in order. Used by the namespace /feed, the HTTP
 * API and the demo alike. */
#include "calls_life.h"

#include <stdlib.h>
#include <string.h>

/* One event on its way through the store. */
struct feed_op {
    struct kit_store_op op;
    struct calls *calls;
    calls_feed_fn fn;
    void *ctx;
    struct calls_record record;
};

static int run(struct kit_db *db, struct kit_store_op *op)
{
    struct feed_op *feed = (struct feed_op *)(void *)op;
    return calls_record_store(db, &feed->record, feed->calls->kit->config, &op->failure);
}

static void free_op(struct feed_op *feed)
{
    calls_entry_clear(&feed->record.entry);
    free(feed);
}

static void tell(const struct feed_op *feed, const struct kit_failure *failure)
{
    const struct calls_record *record = &feed->record;
    struct calls_feed_result result = {.failure = *failure, .seq = record->call.seq, .duplicate = record->duplicate};
    snprintf(result.call_id, sizeof result.call_id, "%s", record->entry.call_id);
    if (feed->fn) feed->fn(feed->ctx, &result);
}

static void done(struct kit_store_op *op)
{
    struct feed_op *feed = (struct feed_op *)(void *)op;
    if (!op->failure.code) calls_record_send(feed->calls, &feed->record);
    tell(feed, &op->failure);
    free_op(feed);
}

static int read_event(struct feed_op *feed, const struct calls_feed_event *event, struct kit_failure *failure)
{
    const struct kit *kit = feed->calls->kit;
    struct calls_reader reader = {.config = kit->config,
                                  .schemas = kit->schemas,
                                  .kind = event->kind,
                                  .call_id = event->call_id ? event->call_id : "",
                                  .claims = event->claims,
                                  .now_ms = (int64_t)eio_loop_unix_ms(kit->loop)};
    if (kit->draining) return kit_fail(failure, 503, NULL, "the server is stopping");
    feed->record.now_ms = reader.now_ms;
    return calls_entry_read(&feed->record.entry, &reader, event->raw, failure);
}

void calls_feed_submit(struct calls *calls, const struct calls_feed_event *event, calls_feed_fn fn, void *ctx)
{
    struct kit_failure failure = {0, "", ""};
    struct feed_op *feed = calloc(1, sizeof *feed);
    if (!feed) {
        struct calls_feed_result refused = {.seq = 0};
        kit_fail(&refused.failure, 503, NULL, "out of memory");
        if (fn) fn(ctx, &refused);
        return;
    }
    feed->op.run = run;
    feed->op.done = done;
    feed->op.writes = true;
    feed->op.source = event->source;
    feed->calls = calls;
    feed->fn = fn;
    feed->ctx = ctx;
    if (!read_event(feed, event, &failure)) {
        size_t bytes = sizeof *feed + feed->record.entry.json.size + feed->record.entry.text_size;
        if (!kit_store_submit(calls->kit->store, &feed->op, bytes)) return;
        kit_fail(&failure, 503, NULL, "too many writes are queued; try again");
    }
    tell(feed, &failure);
    free_op(feed);
}

/* ------------------------------------------------------------------ /feed */

/* Who waits for what becomes of it. */
struct asked {
    struct kit_answer answer;
    enum calls_feed_kind kind;
};

static void on_result(void *ctx, const struct calls_feed_result *result)
{
    struct asked *asked = ctx;
    struct kit_answer *answer = &asked->answer;
    struct sio_socket *socket = kit_answer_socket(answer);
    struct sio_builder json;
    if (socket && !result->failure.code) calls_life_said(socket, asked->kind, result->call_id);
    if (result->failure.code) {
        kit_answer_failure(answer, &result->failure);
    } else if (answer->reply.wanted) {
        sio_builder_init(&json);
        sio_builder_open(&json);
        sio_builder_put(&json, "{\"ok\":true,\"call_id\":");
        kit_put_text(&json, result->call_id);
        sio_builder_put(&json, ",\"seq\":");
        kit_put_int(&json, result->seq);
        sio_builder_put(&json, result->duplicate ? ",\"duplicate\":true}" : "}");
        kit_answer_json(answer, &json);
        sio_builder_clear(&json);
    }
    free(asked);
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, enum calls_feed_kind kind,
                     struct calls *calls)
{
    struct eio_str raw = sio_args_at(event->args, 0);
    struct asked *asked = NULL;
    if (sio_args_count(event->args) != 1 || event->args.attachment_count || raw.p[0] != '{')
        kit_answer_refuse(calls->kit, event, 400, NULL, "the payload must be exactly one JSON object");
    else if (!(asked = malloc(sizeof *asked)))
        kit_answer_refuse(calls->kit, event, 503, NULL, "out of memory");
    if (!asked) return;
    struct calls_feed_event said = {
        .kind = kind, .raw = raw, .claims = kit_auth_claims(socket), .source = kit_auth_source(socket)};
    asked->answer = kit_answer_later(calls->kit, event);
    asked->kind = kind;
    calls_feed_submit(calls, &said, on_result, asked);
}

static void on_start(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    on_event(socket, event, CALLS_FEED_START, ctx);
}

static void on_line(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    on_event(socket, event, CALLS_FEED_LINE, ctx);
}

static void on_status(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    on_event(socket, event, CALLS_FEED_STATUS, ctx);
}

static void on_end(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    on_event(socket, event, CALLS_FEED_END, ctx);
}

int calls_feed_start(struct calls *calls)
{
    static const sio_event_fn handlers[] = {on_start, on_line, on_status, on_end};
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
        int error = sio_on(calls->feed, calls_feed_event_name((enum calls_feed_kind)i), handlers[i], calls);
        if (error) return error;
    }
    return 0;
}
