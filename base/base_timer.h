/* Timers of one owner: any number of one-shot timers on a heap, and one event of libevent for the first of them. */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include "base_heap.h"

#include <stdbool.h>

struct event;
struct event_base;

/* Monotonic milliseconds. */
typedef uint64_t (*base_now_fn)(void *ctx);

struct base_timers {
    struct base_heap heap;
    struct event *event; /* NULL: the owner calls base_timers_run() */
    uint64_t armed_ms;   /* when the event fires; UINT64_MAX: it is not armed */
    base_now_fn now;
    void *now_ctx;
};
/* base NULL: no event, for tests. now NULL: base_clock_ms(). Returns 0 or BASE_ENOMEM, then there is nothing to clear.
 * Must not move. */
int base_timers_init(struct base_timers *timers, struct event_base *base, base_now_fn now, void *now_ctx);
/* All its timers must have been cleared. Harmless on a zeroed struct. */
void base_timers_clear(struct base_timers *timers);
uint64_t base_timers_now(const struct base_timers *timers);
/* Calls as many timers as are due at this moment, the first to be due first: one that starts itself anew without delay
 * cannot keep the loop. */
void base_timers_run(struct base_timers *timers);

/* Embedded in the owner's struct. */
struct base_timer {
    size_t slot; /* of the heap */
    struct base_timers *timers;
    void (*fn)(void *ctx);
    void *ctx;
};
/* Takes a place in the heap, so that a start cannot fail. Returns 0 or BASE_ENOMEM, then there is nothing to clear. */
int base_timer_init(struct base_timer *timer, struct base_timers *timers, void (*fn)(void *ctx), void *ctx);
/* Stops it and gives its place back. Harmless on a zeroed struct. fn may clear its own timer. */
void base_timer_clear(struct base_timer *timer);
/* Starts it, or moves it if it runs. */
void base_timer_start_at(struct base_timer *timer, uint64_t at_ms);
void base_timer_start(struct base_timer *timer, uint64_t delay_ms);
void base_timer_stop(struct base_timer *timer); /* harmless if it does not run */
static inline bool base_timer_is_running(const struct base_timer *timer)
{
    return timer->slot != 0;
}

#endif
