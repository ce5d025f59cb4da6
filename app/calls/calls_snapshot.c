/* Snapshots of calls that a token names: all requests for the same one that arrive before it is read share one read and
 * one encoding. Three hundred agents that come back to a call at once cost one snapshot, not three hundred; and they
 * get it one after another, so that they do not occupy the loop. Sockets whose right depends on the call's own list of
 * agents read a snapshot each, together with that list (calls_watch.c); so do agents of a call with notes to one of
 * them. */
#include "calls_watch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define TURN_BYTES 2097152 /* handed out in one turn of the loop */

struct calls_reading {
    struct kit_store_op op;
    struct calls *calls;
    struct calls_reading *next; /* of those that are not read, or not handed out */
    char call_id[KIT_ID_SIZE];
    int64_t since_seq, now_ms, seq;
    bool all_notes;   /* for supervisors */
    bool lacks_notes; /* there are notes to one agent: agents read for themselves */
    atomic_bool has_begun;
    struct calls_watch *first, **last;
    struct sio_builder json;
    struct sio_shared *shared;
};

static int run(struct kit_db *db, struct kit_store_op *op)
{
    struct calls_reading *reading = (struct calls_reading *)(void *)op;
    struct calls_call call;
    atomic_store(&reading->has_begun, true);
    int code = calls_find(db, reading->call_id, &call, &op->failure);
    if (code) return code;
    reading->seq = call.seq;
    struct calls_view view = {.call_id = reading->call_id,
                              .since_seq = reading->since_seq,
                              .now_ms = reading->now_ms,
                              .all_notes = reading->all_notes};
    code = calls_snapshot(db, reading->calls->kit->config, &view, &reading->json, &op->failure);
    reading->lacks_notes = view.lacks_notes;
    return code;
}

static void free_reading(struct calls_reading *reading)
{
    sio_builder_clear(&reading->json);
    sio_shared_free(reading->shared);
    free(reading);
}

static void unlink_reading(struct calls_reading **list, const struct calls_reading *reading)
{
    while (*list != reading) list = &(*list)->next;
    *list = reading->next;
}

static struct calls_watch *take_first(struct calls_reading *reading)
{
    struct calls_watch *watch = reading->first;
    reading->first = watch->next;
    if (!reading->first) reading->last = &reading->first;
    return watch;
}

/* Gives it to those that wait, as many as a turn allows. True: to all. */
static bool hand_out(struct calls_reading *reading, size_t *bytes)
{
    while (reading->first) {
        size_t size = reading->json.size;
        if (*bytes && *bytes + size > TURN_BYTES) return false;
        *bytes += size;
        struct calls_watch *watch = take_first(reading);
        if (reading->lacks_notes && !reading->op.failure.code)
            kit_request_submit(&watch->request);
        else
            calls_watch_take_snapshot(watch, reading->shared, reading->seq, &reading->op.failure);
    }
    return true;
}

static void hand_out_all(struct calls *calls)
{
    size_t bytes = 0;
    while (calls->handed_out) {
        struct calls_reading *reading = calls->handed_out;
        if (!hand_out(reading, &bytes)) {
            eio_timer_start(&calls->hand_out_timer, 0);
            return;
        }
        calls->handed_out = reading->next;
        free_reading(reading);
    }
}

static void on_hand_out(void *ctx)
{
    hand_out_all(ctx);
}

static void on_read(struct kit_store_op *op)
{
    struct calls_reading *reading = (struct calls_reading *)(void *)op;
    struct calls *calls = reading->calls;
    struct calls_reading **last = &calls->handed_out;
    unlink_reading(&calls->readings, reading);
    sio_builder_put(&reading->json, "}");
    if (!op->failure.code && !reading->json.error)
        reading->shared = sio_shared_new((struct eio_str){reading->json.json, reading->json.size});
    if (!op->failure.code && !reading->shared) kit_fail(&op->failure, 503, NULL, "out of memory");
    while (*last) last = &(*last)->next;
    reading->next = NULL;
    *last = reading;
    if (calls->is_stopping || !calls->handed_out->next) hand_out_all(calls);
}

static bool is_same(const struct calls_reading *reading, const struct calls_watch *watch)
{
    return reading->since_seq == watch->since_seq && !strcmp(reading->call_id, watch->call_id) &&
           reading->all_notes == calls_access_is_supervisor(watch->request.claims);
}

static struct calls_reading *find_reading(struct calls *calls, const struct calls_watch *watch)
{
    struct calls_reading *reading = calls->readings;
    while (reading && !is_same(reading, watch)) reading = reading->next;
    /* What is being read may lack what was broadcast just now. */
    return reading && !atomic_load(&reading->has_begun) ? reading : NULL;
}

static struct calls_reading *begin_reading(struct calls_watch *watch, struct kit_failure *failure)
{
    struct calls *calls = watch->request.state;
    struct calls_reading *reading = calloc(1, sizeof *reading);
    kit_fail(failure, 503, NULL, "out of memory");
    if (!reading) return NULL;
    reading->op.run = run;
    reading->op.done = on_read;
    reading->op.source = watch->request.op.source;
    reading->calls = calls;
    snprintf(reading->call_id, sizeof reading->call_id, "%s", watch->call_id);
    reading->since_seq = watch->since_seq;
    reading->all_notes = calls_access_is_supervisor(watch->request.claims);
    reading->now_ms = watch->request.now_ms;
    reading->last = &reading->first;
    sio_builder_init(&reading->json);
    sio_builder_open(&reading->json);
    sio_builder_put(&reading->json, "{\"ok\":true");
    if (kit_store_submit_read(calls->kit->store, &reading->op, sizeof *reading)) {
        *failure = reading->op.failure;
        free_reading(reading);
        return NULL;
    }
    reading->next = calls->readings;
    calls->readings = reading;
    return reading;
}

void calls_snapshot_ask(struct calls_watch *watch)
{
    struct calls *calls = watch->request.state;
    struct kit_failure failure;
    struct calls_reading *reading = find_reading(calls, watch);
    if (!reading) reading = begin_reading(watch, &failure);
    if (!reading) {
        calls_watch_take_snapshot(watch, NULL, 0, &failure);
        return;
    }
    watch->next = NULL;
    *reading->last = watch;
    reading->last = &watch->next;
}

void calls_snapshot_start(struct calls *calls)
{
    eio_timer_init(&calls->hand_out_timer, calls->kit->loop, on_hand_out, calls);
}

void calls_snapshot_pause(struct calls *calls)
{
    eio_timer_stop(&calls->hand_out_timer);
    hand_out_all(calls);
}
