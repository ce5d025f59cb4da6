/* Timers on libevent. */
#include "rooms_redis_int.h"

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct rooms__timer *timer = ctx;
    timer->fn(timer->ctx);
}

void rooms__timer_init(struct rooms__timer *timer, struct event_base *base, void (*fn)(void *ctx), void *ctx)
{
    timer->fn = fn;
    timer->ctx = ctx;
    BASE_CHECK(event_assign(&timer->event, base, -1, 0, on_timer, timer) == 0);
}

void rooms__timer_start(struct rooms__timer *timer, uint32_t ms)
{
    struct timeval delay = {(time_t)(ms / 1000u), (suseconds_t)(ms % 1000u) * 1000};
    if (event_add(&timer->event, &delay) != 0) event_active(&timer->event, EV_TIMEOUT, 0);
}

void rooms__timer_stop(struct rooms__timer *timer)
{
    event_del(&timer->event);
}

bool rooms__timer_runs(const struct rooms__timer *timer)
{
    return event_pending(&timer->event, EV_TIMEOUT, NULL) != 0;
}
