/* Something is done to all sessions, in slices: a turn is too short for thousands of them, each with its handlers and
 * its last packets. A few are reached in place. */
#include "base_clock.h"
#include "eio_int.h"

enum {
    IN_PLACE = 64,  /* as many of them at once */
    SLICE = 256,    /* as many in a turn, */
    SLICE_MS = 5,   /* or what handlers leave time for; */
    CLOCK_EACH = 16 /* after so many the clock is read */
};

/* The next session, or NULL: there are no more. */
static struct eio_session *next_session(struct eio_server *server)
{
    struct eio__sweep *sweep = &server->sweep;
    while (sweep->fn && sweep->next < server->slot_capacity) {
        struct eio_session *session = server->slots[sweep->next++];
        if (session) return session;
    }
    sweep->fn = NULL;
    return NULL;
}

static void run_slice(struct eio_server *server)
{
    uint64_t until_us = base_clock_us() + SLICE_MS * 1000u;
    struct eio_session *session;
    for (size_t n = 1; n <= SLICE && (session = next_session(server)); n++) {
        server->sweep.fn(session, server->sweep.ctx);
        if (n % CLOCK_EACH == 0 && base_clock_us() >= until_us) return;
    }
}

static void on_timer(void *ctx)
{
    struct eio_server *server = ctx;
    run_slice(server);
    if (server->sweep.fn && eio_timer_start(&server->sweep.timer, 0) != 0) eio_server_sweep_finish(server);
}

void eio__sweep_init(struct eio_server *server)
{
    eio_timer_init(&server->sweep.timer, server->loop, on_timer, server);
}

void eio__sweep_stop(struct eio_server *server)
{
    server->sweep.fn = NULL;
    eio_timer_stop(&server->sweep.timer);
}

void eio_server_sweep(struct eio_server *server, void (*fn)(struct eio_session *session, void *ctx), void *ctx)
{
    struct eio__sweep *sweep = &server->sweep;
    sweep->fn = fn;
    sweep->ctx = ctx;
    sweep->next = 0;
    if (server->slot_count <= IN_PLACE || eio_timer_start(&sweep->timer, 0) != 0) eio_server_sweep_finish(server);
}

void eio_server_sweep_finish(struct eio_server *server)
{
    struct eio_session *session;
    while ((session = next_session(server))) server->sweep.fn(session, server->sweep.ctx);
    eio_timer_stop(&server->sweep.timer);
}
