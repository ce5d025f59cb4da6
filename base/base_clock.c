#include "base_clock.h"

#include <time.h>

static uint64_t read_us(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

uint64_t base_clock_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t base_clock_coarse_us(void)
{
    return read_us(CLOCK_MONOTONIC_COARSE);
}

uint64_t base_clock_unix_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}
