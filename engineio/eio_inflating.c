/* Compressed messages are inflated a slice at a time: whoever sends much that is small on the wire, alone or with many
 * connections, does not keep the loop from everybody else. A WebSocket whose slice is over waits in a row for its next;
 * the row has one slice in a turn. Not its job: the inflation itself (eio_deflate.c), and what the paused decoder keeps
 * (eio_ws_codec.c). */
#include "eio_int.h"

enum {
    SLICE_US = 5000,    /* of a turn: for those in the row, and once more for those that are not */
    SHARE_US = 1000,    /* of that slice, for one of the row */
    FREE_BYTES = 16384, /* of each read: small messages wait for nobody */
};

bool eio__inflating_may_go_on(void *ctx, size_t done)
{
    struct eio_session *session = ctx;
    struct eio_loop *loop = session->server->loop;
    struct eio__inflations *all = &session->server->inflations;
    if (session->inbox) return false; /* where what came out would only be kept */
    if (done < FREE_BYTES) return true;
    if (all->first && !all->running) return false;
    uint64_t now_us = eio__loop_slice_clock_us(loop);
    if (!all->running && all->turn != loop->stats.turns) {
        all->turn = loop->stats.turns;
        all->until_us = now_us + SLICE_US;
    }
    return now_us < all->until_us;
}

static void put_last(struct eio__inflations *all, struct eio__inflating *inflating)
{
    inflating->queued = true;
    inflating->next = NULL;
    *all->last = inflating;
    all->last = &inflating->next;
}

static struct eio__inflating *take_first(struct eio__inflations *all)
{
    struct eio__inflating *first = all->first;
    all->first = first->next;
    if (!all->first) all->last = &all->first;
    first->queued = false;
    return first;
}

void eio__inflating_wake(struct eio_session *session)
{
    struct eio__inflating *inflating = session->inflating;
    if (!inflating || inflating->queued || session->inbox) return;
    put_last(&session->server->inflations, inflating);
    eio_timer_start(&session->server->inflations.timer, 0);
}

void eio__inflating_wait(struct eio_session *session)
{
    if (!session->inflating) {
        session->inflating = calloc(1, sizeof *session->inflating);
        if (!session->inflating) {
            eio__session_fail(session, EIO_CLOSE_TRANSPORT_ERROR, "out of memory");
            return;
        }
        session->inflating->session = session;
        session->server->stats.reads_sliced++;
        eio__ws_update_events(session);
    }
    eio__inflating_wake(session);
}

void eio__inflating_drop(struct eio_session *session)
{
    struct eio__inflating *inflating = session->inflating;
    struct eio__inflations *all = &session->server->inflations;
    if (!inflating) return;
    if (inflating->queued) {
        struct eio__inflating **at = &all->first;
        while (*at != inflating) at = &(*at)->next;
        *at = inflating->next;
        if (!*at) all->last = at;
    }
    free(inflating);
    session->inflating = NULL;
}

static void run(void *ctx)
{
    struct eio_server *server = ctx;
    struct eio__inflations *all = &server->inflations;
    uint64_t now_us = eio__loop_slice_clock_us(server->loop), end_us = now_us + SLICE_US;
    all->running = true;
    while (all->first && now_us < end_us) {
        struct eio_session *session = take_first(all)->session;
        all->until_us = now_us + SHARE_US < end_us ? now_us + SHARE_US : end_us;
        if (!session->inbox) eio__ws_go_on(session); /* else eio__inflating_wake() puts it back */
        now_us = eio__loop_slice_clock_us(server->loop);
    }
    all->running = false;
    if (all->first) eio_timer_start(&all->timer, 0);
}

void eio__inflations_clear(struct eio_server *server)
{
    BASE_CHECK(!server->inflations.first);
    eio_timer_stop(&server->inflations.timer);
}

void eio__inflations_init(struct eio_server *server)
{
    server->inflations.last = &server->inflations.first;
    eio_timer_init(&server->inflations.timer, server->loop, run, server);
}
