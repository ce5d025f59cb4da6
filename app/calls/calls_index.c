/* The index of what was said, which follows the lines: many at a time cost much less than a few with each transaction,
 * and no feed waits for it. How far it is stands in the store, in the transaction that took the lines in, so nothing is
 * lost with a process. Who searches waits until all lines that this process has acknowledged are in it. For SQLite
 * alone: an engine that keeps such an index by itself needs none of this. */
#include "calls_text.h"

#include <stdlib.h>
#include <string.h>

#define DELAY_MS 250     /* from a line to the index */
#define RETRY_MS 1000    /* after a failure */
#define STEP 1024        /* ids at a time: other writes come in between */
#define FORGET_MS 2000   /* from a deletion to the merge; more of them meanwhile share it */
#define STEP_ASKED 16384 /* where somebody waits */

/* Who searches. */
struct waiting {
    struct kit_request *request;
    struct waiting *next;
};

struct calls_index {
    struct kit_store_op op;
    struct calls *calls;
    struct eio_timer timer;
    struct waiting *waiting, *served; /* for the next operation; for the one that runs */
    int64_t step;
    bool has_lines; /* that no operation has seen */
    bool is_running, is_behind, is_stopping;
    struct kit_store_op forget_op;
    struct eio_timer forget_timer;
    bool must_forget;       /* calls were deleted since the last merge began */
    bool is_forgetting;     /* a merge runs */
    bool is_first, is_over; /* of the piece that runs */
    int64_t deletions;      /* that were counted before the merge began */
};

static void release(struct waiting **list)
{
    struct waiting *first = *list, *next;
    for (*list = NULL; first; first = next) {
        next = first->next;
        kit_request_submit(first->request);
        free(first);
    }
}

static int run_catch_up(struct kit_db *db, struct kit_store_op *op)
{
    struct calls_index *index = KIT_OWNER(op, struct calls_index, op);
    return calls_text_catch_up(db, index->step, &index->is_behind, &op->failure);
}

static void begin(void *ctx)
{
    struct calls_index *index = ctx;
    if (index->is_running) return;
    eio_timer_stop(&index->timer);
    index->served = index->waiting;
    index->waiting = NULL;
    index->step = index->served ? STEP_ASKED : STEP;
    index->has_lines = false;
    index->is_running = !kit_store_submit(index->calls->kit->store, &index->op, 0);
    if (index->is_running) return;
    index->has_lines = true;
    eio_timer_start(&index->timer, RETRY_MS);
    release(&index->served);
}

static void on_done(struct kit_store_op *op)
{
    struct calls_index *index = KIT_OWNER(op, struct calls_index, op);
    bool has_failed = op->failure.code != 0;
    index->is_running = false;
    index->has_lines |= has_failed;
    release(&index->served);
    if (index->is_stopping) {
        release(&index->waiting);
        return;
    }
    if (index->waiting || (index->is_behind && !has_failed))
        begin(index);
    else if (index->has_lines)
        eio_timer_start(&index->timer, has_failed ? RETRY_MS : DELAY_MS);
}

void calls_index_note(const struct calls *calls)
{
    struct calls_index *index = calls->index;
    if (!index || index->has_lines || index->is_stopping) return;
    index->has_lines = true;
    if (!index->is_running && !index->is_behind) eio_timer_start(&index->timer, DELAY_MS);
}

void calls_index_wait(const struct calls *calls, struct kit_request *request)
{
    struct calls_index *index = calls->index;
    bool is_whole = !index || index->is_stopping || (!index->has_lines && !index->is_running && !index->is_behind);
    struct waiting *waiting = is_whole ? NULL : malloc(sizeof *waiting);
    if (!waiting) {
        kit_request_submit(request);
        return;
    }
    *waiting = (struct waiting){request, index->waiting};
    index->waiting = waiting;
    begin(index);
}

/* ----------------------------------------------------------------- deleted */

static int run_forget(struct kit_db *db, struct kit_store_op *op)
{
    struct calls_index *index = KIT_OWNER(op, struct calls_index, forget_op);
    return calls_text_forget(db, index->is_first, &index->deletions, &index->is_over, &op->failure);
}

static void begin_forgetting(void *ctx)
{
    struct calls_index *index = ctx;
    if (index->is_forgetting) return;
    index->is_first = true;
    index->must_forget = false;
    index->is_forgetting = !kit_store_submit(index->calls->kit->store, &index->forget_op, 0);
    if (index->is_forgetting) return;
    index->must_forget = true;
    eio_timer_start(&index->forget_timer, RETRY_MS);
}

/* In pieces, so that others come in between. */
static void on_forgotten(struct kit_store_op *op)
{
    struct calls_index *index = KIT_OWNER(op, struct calls_index, forget_op);
    bool has_failed = op->failure.code != 0;
    index->is_first = false;
    if (!index->is_stopping && !has_failed && !index->is_over) {
        kit_store_again(op);
        return;
    }
    index->is_forgetting = false;
    index->must_forget |= has_failed;
    if (index->must_forget && !index->is_stopping) eio_timer_start(&index->forget_timer, FORGET_MS);
}

void calls_index_forget(const struct calls *calls)
{
    struct calls_index *index = calls->index;
    if (!index || index->must_forget || index->is_stopping) return;
    index->must_forget = true;
    if (!index->is_forgetting) eio_timer_start(&index->forget_timer, FORGET_MS);
}

int calls_index_start(struct calls *calls)
{
    if (calls->kit->config->store[0]) return 0;
    struct calls_index *index = calls->index = calloc(1, sizeof *index);
    if (!index) return EIO_ENOMEM;
    index->calls = calls;
    index->op = (struct kit_store_op){.run = run_catch_up, .done = on_done, .writes = true};
    index->forget_op = (struct kit_store_op){.run = run_forget, .done = on_forgotten, .writes = true, .is_alone = true};
    eio_timer_init(&index->timer, calls->kit->loop, begin, index);
    eio_timer_init(&index->forget_timer, calls->kit->loop, begin_forgetting, index);
    begin(index); /* what a process left that was killed, or that stopped before it merged */
    calls_index_forget(calls);
    return 0;
}

void calls_index_drain(struct calls *calls)
{
    if (!calls->index) return;
    calls->index->is_stopping = true;
    eio_timer_stop(&calls->index->timer);
    eio_timer_stop(&calls->index->forget_timer);
}

void calls_index_stop(struct calls *calls)
{
    if (!calls->index) return;
    eio_timer_stop(&calls->index->timer);
    eio_timer_stop(&calls->index->forget_timer);
    free(calls->index);
    calls->index = NULL;
}
