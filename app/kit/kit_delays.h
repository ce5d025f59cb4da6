/* How long something took, as a histogram of /metrics. One set of bounds for all: from a millisecond to a minute. */
#ifndef KIT_DELAYS_H
#define KIT_DELAYS_H

#include <stddef.h>
#include <stdint.h>

#define KIT_DELAY_SLOTS 16

struct kit_delays {
    uint64_t counts[KIT_DELAY_SLOTS + 1]; /* how many were at most so long, by bound; then their sum in microseconds */
};

void kit_delays_count(struct kit_delays *delays, uint64_t us);
/* For KIT_DELAYS_ROW: the bound in seconds, as text. */
void kit_delays_put_bound(unsigned i, char *out, size_t size);

/* field: a struct kit_delays among the numbers. */
#define KIT_DELAYS_ROW(name, field, help) \
    KIT_HISTOGRAM_ROW(name, field.counts, help, KIT_DELAY_SLOTS, kit_delays_put_bound)

#endif
