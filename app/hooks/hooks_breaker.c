/* The breaker: closed, open for a while, then one request that decides. Pure. */
#include "hooks_int.h"

#include <sodium.h>

#define PROBE_WAIT_MS 200 /* how soon to ask again while another request is the one that decides */

uint64_t hooks_jitter(uint64_t ms)
{
    return ms - ms / 2 + randombytes_uniform((uint32_t)(ms / 2) + 1);
}

bool hooks_breaker_begin(struct hooks_breaker *breaker, uint64_t now_ms, uint64_t *wait_ms)
{
    if (!breaker->is_open) return true;
    *wait_ms = now_ms < breaker->until_ms ? breaker->until_ms - now_ms : PROBE_WAIT_MS;
    if (now_ms < breaker->until_ms || breaker->is_probing) return false;
    breaker->is_probing = true;
    return true;
}

bool hooks_breaker_end(struct hooks_breaker *breaker, bool success, uint64_t retry_after_ms, uint64_t now_ms)
{
    bool was_open = breaker->is_open;
    if (success) {
        breaker->failures = 0;
        breaker->is_open = breaker->is_probing = false;
        return false;
    }
    breaker->is_probing = false;
    breaker->failures++;
    if (!was_open && breaker->failures < breaker->failures_max && !retry_after_ms) return false;
    uint64_t open_ms = hooks_jitter(breaker->open_ms);
    breaker->is_open = true;
    breaker->until_ms = now_ms + (retry_after_ms > open_ms ? retry_after_ms : open_ms);
    return !was_open;
}

void hooks_breaker_cancel(struct hooks_breaker *breaker)
{
    breaker->is_probing = false;
}
