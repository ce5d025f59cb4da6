/* What feeds say one by one: stored first, then acknowledged and sent, in order. Used by the events of feeds
 * (calls_http.c) and the demo alike. */
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
                                  .redaction = feed->calls->redaction,
                                  .kind = event->kind,
                                  .call_id = event->call_id ? event->call_id : "",
                                  .claims = event->claims,
                                  .now_ms = (int64_t)eio_loop_unix_ms(kit->loop)};
    if (kit->draining) return kit_fail(failure, 503, NULL, "the server is stopping");
    feed->record.now_ms = reader.now_ms;
    feed->record.rules = feed->calls->alerts;
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
    feed->op.locks[0] = feed->record.entry.call_id;
    feed->calls = calls;
    feed->fn = fn;
    feed->ctx = ctx;
    if (!read_event(feed, event, &failure)) {
        size_t bytes = sizeof *feed + feed->record.entry.json.size + feed->record.entry.text_size;
        if (!kit_store_submit(calls->kit->store, &feed->op, bytes)) return;
        failure = feed->op.failure;
    }
    tell(feed, &failure);
    free_op(feed);
}
