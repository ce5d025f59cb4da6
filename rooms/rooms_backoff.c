/* How long carriers wait before they connect again. Pure. */
#include "rooms_int.h"

uint32_t rooms__backoff_ms(unsigned round, uint32_t min_ms, uint32_t max_ms, uint32_t chance)
{
    uint64_t ms = min_ms;
    for (; round > 0 && ms < max_ms; round--) ms *= 2;
    if (ms > max_ms) ms = max_ms;
    return (uint32_t)(ms - chance % (ms / 2 + 1));
}
