/* The time of a loop: read once a turn, or standing still for tests; and how late what was timed ran. */
#include "eio_int.h"

uint64_t eio_loop_now_ms(const struct eio_loop *loop)
{
    if (!loop->now_valid) {
        /* The cache is not part of the loop's observable state. */
        struct eio_loop *cache = (struct eio_loop *)(uintptr_t)loop;
        cache->now_ms = base_clock_ms();
        cache->now_valid = true;
    }
    return loop->now_ms;
}

uint64_t eio_loop_unix_ms(const struct eio_loop *loop)
{
    (void)loop;
    return base_clock_unix_ms();
}

/* ---------------------------------------------------------------- lateness */

static const uint32_t late_bounds_ms[EIO_LATE_SLOTS] = {1, 2, 5, 10, 20, 50, 100, 200, 500, UINT32_MAX};

uint32_t eio_late_bound_ms(int slot)
{
    return late_bounds_ms[slot];
}

/* By the clock, not by the turn's time: what ran before in this turn is what makes timers late. */
void eio__loop_note_due(struct eio_loop *loop, uint64_t at_ms)
{
    uint64_t now_us = loop->fake_clock ? loop->now_ms * 1000u : base_clock_us(), at_us = at_ms * 1000u;
    uint64_t late_us = now_us > at_us ? now_us - at_us : 0;
    struct eio_loop_stats *stats = &loop->stats;
    int slot = 0;
    while (slot < EIO_LATE_SLOTS - 1 && late_us > late_bounds_ms[slot] * UINT64_C(1000)) slot++;
    stats->late[slot]++;
    stats->late_sum_us += late_us;
    if (late_us > stats->late_max_us) stats->late_max_us = late_us;
}

void eio_loop_get_stats(const struct eio_loop *loop, struct eio_loop_stats *stats)
{
    *stats = loop->stats;
}
