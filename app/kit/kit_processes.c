#include "kit_processes.h"

#include <time.h>

uint64_t kit_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool kit_process_is_up(const struct kit_process_page *page, uint64_t now_ms)
{
    uint64_t alive_ms = atomic_load(&page->alive_ms);
    return atomic_load(&page->pid) && alive_ms && alive_ms + KIT_PROCESS_SILENT_MS > now_ms;
}
