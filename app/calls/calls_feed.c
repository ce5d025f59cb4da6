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
    struct calls_reader reader;
    char call_id[KIT_ID_SIZE]; /* of the path */
    struct kit_claims *claims;
    struct calls_record record;
    char text[];
};

static int run(struct kit_db *db, struct kit_store_op *op)
{
    struct feed_op *feed = (struct feed_op *)(void *)op;
    int code = calls_entry_fill(&feed->record.entry, &feed->reader, &op->failure);
    return code ? code : calls_record_store(db, &feed->record, feed->calls->kit->config, &op->failure);
}

/* Lines of several feeds. Other things that feeds say are rare. */
static int run_together(struct kit_db *db, struct kit_store_op *const *ops, size_t count, struct kit_failure *why)
{
    struct calls_record **records = calloc(count, sizeof *records);
    const struct kit_config *config = ((struct feed_op *)(void *)ops[0])->calls->kit->config;
    size_t ready = 0;
    if (!records) return kit_fail(why, 503, NULL, "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct feed_op *feed = (struct feed_op *)(void *)ops[i];
        if (!calls_entry_fill(&feed->record.entry, &feed->reader, &ops[i]->failure)) records[ready++] = &feed->record;
    }
    int code = calls_batch_store(db, records, ready, config, why);
    free(records);
    for (size_t i = 0; i < count && !code; i++) {
        const struct kit_failure *own = &((struct feed_op *)(void *)ops[i])->record.failure;
        if (own->code) ops[i]->failure = *own;
    }
    return code;
}

static void free_op(struct feed_op *feed)
{
    calls_entry_clear(&feed->record.entry);
    kit_claims_unref(feed->claims);
    free(feed);
}

static void tell(const struct feed_op *feed, const struct kit_failure *failure)
{
    const struct calls_record *record = &feed->record;
    struct calls_feed_result result = {.failure = *failure, .seq = record->call.seq, .duplicate = record->duplicate};
    calls_copy_id(result.call_id, record->entry.call_id);
    if (feed->fn) feed->fn(feed->ctx, &result);
}

static void done(struct kit_store_op *op)
{
    struct feed_op *feed = (struct feed_op *)(void *)op;
    if (!op->failure.code) calls_record_send(feed->calls, &feed->record);
    tell(feed, &op->failure);
    free_op(feed);
}

static struct feed_op *make_op(struct calls *calls, const struct calls_feed_event *event)
{
    const struct kit *kit = calls->kit;
    struct feed_op *feed = calloc(1, sizeof *feed + event->raw.n + 1);
    if (!feed) return NULL;
    if (event->raw.n) memcpy(feed->text, event->raw.p, event->raw.n);
    if (event->call_id) calls_copy_id(feed->call_id, event->call_id);
    feed->op.run = run;
    feed->op.done = done;
    feed->op.writes = true;
    if (event->kind == CALLS_FEED_LINE) feed->op.run_together = run_together;
    feed->op.source = event->source;
    feed->op.locks[0] = feed->record.entry.call_id;
    feed->calls = calls;
    feed->reader = (struct calls_reader){.config = kit->config,
                                         .schemas = kit->schemas,
                                         .redaction = calls->redaction,
                                         .kind = event->kind,
                                         .call_id = feed->call_id,
                                         .claims = event->claims,
                                         .now_ms = (int64_t)eio_loop_unix_ms(kit->loop)};
    feed->record.now_ms = feed->reader.now_ms;
    feed->record.rules = calls->alerts;
    feed->record.hooks = calls->hooks;
    feed->record.claims = feed->claims = kit_claims_ref((struct kit_claims *)(uintptr_t)event->claims);
    return feed;
}

static int check_event(struct feed_op *feed, size_t size, struct kit_failure *failure)
{
    if (feed->calls->kit->draining) return kit_fail(failure, 503, NULL, "the server is stopping");
    int code = calls_entry_check(&feed->record.entry, &feed->reader, (struct eio_str){feed->text, size}, failure);
    feed->reader.claims = NULL; /* the caller's */
    return code;
}

void calls_feed_submit(struct calls *calls, const struct calls_feed_event *event, calls_feed_fn fn, void *ctx)
{
    struct kit_failure failure = {0, "", ""};
    struct feed_op *feed = make_op(calls, event);
    if (!feed) {
        struct calls_feed_result refused = {.seq = 0};
        kit_fail(&refused.failure, 503, NULL, "out of memory");
        if (fn) fn(ctx, &refused);
        return;
    }
    feed->fn = fn;
    feed->ctx = ctx;
    if (!check_event(feed, event->raw.n, &failure)) {
        /* The text, as a tree, and as it will be sent. */
        if (!kit_store_submit(calls->kit->store, &feed->op, sizeof *feed + 3 * event->raw.n)) return;
        failure = feed->op.failure;
    }
    tell(feed, &failure);
    free_op(feed);
}
