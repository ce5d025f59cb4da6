#include "base_timer.h"

#include "base_check.h"
#include "base_clock.h"

#include <event2/event.h>

/* A hundred years: keeps sums far from overflowing. */
#define DELAY_MAX_MS UINT64_C(3155760000000)

static uint64_t clock_now(void *ctx)
{
    (void)ctx;
    return base_clock_ms();
}

uint64_t base_timers_now(const struct base_timers *timers)
{
    return timers->now(timers->now_ctx);
}

/* Too early does no harm: an event that was armed for a timer that has stopped finds the next one. */
static void arm_event(struct base_timers *timers)
{
    if (!timers->event || timers->heap.count == 0 || timers->armed_ms <= timers->heap.entries[0].at) return;
    uint64_t at_ms = timers->heap.entries[0].at, now_ms = base_timers_now(timers);
    uint64_t wait_ms = at_ms > now_ms ? at_ms - now_ms : 0;
    struct timeval delay = {(time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000) * 1000};
    timers->armed_ms = at_ms;
    /* libevent had no memory for it: looks again on the next turn. */
    if (event_add(timers->event, &delay) != 0) event_active(timers->event, EV_TIMEOUT, 0);
}

void base_timers_run(struct base_timers *timers)
{
    struct base_heap *heap = &timers->heap;
    uint64_t now_ms = base_timers_now(timers);
    for (size_t left = base_heap_due(heap, now_ms); left && heap->count && heap->entries[0].at <= now_ms; left--) {
        struct base_timer *timer = container_of(heap->entries[0].slot, struct base_timer, slot);
        base_timer_stop(timer);
        timer->fn(timer->ctx);
    }
    arm_event(timers);
}

static void on_event(evutil_socket_t fd, short what, void *ctx)
{
    struct base_timers *timers = ctx;
    (void)fd, (void)what;
    timers->armed_ms = UINT64_MAX;
    base_timers_run(timers);
}

int base_timers_init(struct base_timers *timers, struct event_base *base, base_now_fn now, void *now_ctx)
{
    *timers = (struct base_timers){.armed_ms = UINT64_MAX, .now = now ? now : clock_now, .now_ctx = now_ctx};
    if (!base) return BASE_OK;
    timers->event = event_new(base, -1, 0, on_event, timers);
    return timers->event ? BASE_OK : BASE_ENOMEM;
}

void base_timers_clear(struct base_timers *timers)
{
    BASE_CHECK(timers->heap.count == 0 && timers->heap.reserved == 0);
    if (timers->event) event_free(timers->event);
    base_heap_clear(&timers->heap);
    *timers = (struct base_timers){0};
}

int base_timer_init(struct base_timer *timer, struct base_timers *timers, void (*fn)(void *ctx), void *ctx)
{
    *timer = (struct base_timer){0};
    if (base_heap_make_room(&timers->heap) != BASE_OK) return BASE_ENOMEM;
    timers->heap.reserved++;
    *timer = (struct base_timer){.timers = timers, .fn = fn, .ctx = ctx};
    return BASE_OK;
}

void base_timer_clear(struct base_timer *timer)
{
    if (!timer->timers) return;
    base_timer_stop(timer);
    timer->timers->heap.reserved--;
    *timer = (struct base_timer){0};
}

void base_timer_start_at(struct base_timer *timer, uint64_t at_ms)
{
    struct base_heap *heap = &timer->timers->heap;
    if (timer->slot) {
        base_heap_move(heap, at_ms, &timer->slot);
    } else {
        heap->reserved--;
        base_heap_insert(heap, at_ms, &timer->slot);
    }
    arm_event(timer->timers);
}

void base_timer_start(struct base_timer *timer, uint64_t delay_ms)
{
    if (delay_ms > DELAY_MAX_MS) delay_ms = DELAY_MAX_MS;
    base_timer_start_at(timer, base_timers_now(timer->timers) + delay_ms);
}

void base_timer_stop(struct base_timer *timer)
{
    if (!timer->slot) return;
    base_heap_remove(&timer->timers->heap, &timer->slot);
    timer->timers->heap.reserved++;
}
