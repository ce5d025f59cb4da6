#include "kit_delays.h"

#include <stdio.h>

static const unsigned bounds_ms[KIT_DELAY_SLOTS - 1] = {1,   2,    5,    10,   20,    50,    100,  200,
                                                        500, 1000, 2000, 5000, 10000, 30000, 60000};

void kit_delays_count(struct kit_delays *delays, uint64_t us)
{
    size_t i = 0;
    while (i < KIT_DELAY_SLOTS - 1 && us > bounds_ms[i] * 1000u) i++;
    for (; i < KIT_DELAY_SLOTS; i++) delays->counts[i]++;
    delays->counts[KIT_DELAY_SLOTS] += us;
}

void kit_delays_put_bound(unsigned i, char *out, size_t size)
{
    if (i < KIT_DELAY_SLOTS - 1)
        snprintf(out, size, "%g", bounds_ms[i] / 1e3);
    else
        snprintf(out, size, "+Inf");
}
