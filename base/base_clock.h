/* The clocks of the machine. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Monotonic. */
uint64_t base_clock_us(void);
/* The same as of the kernel's last tick, some milliseconds ago; much cheaper to read. */
uint64_t base_clock_coarse_us(void);
static inline uint64_t base_clock_ms(void)
{
    return base_clock_us() / 1000u;
}
/* Since 1970-01-01 UTC. */
uint64_t base_clock_unix_ms(void);

#endif
