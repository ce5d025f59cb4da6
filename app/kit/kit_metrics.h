/* GET /metrics: numbers in the Prometheus text format 0.0.4. A module adds a function that puts its own. */
#ifndef KIT_METRICS_H
#define KIT_METRICS_H

#include "kit.h"

/* put runs whenever the numbers are wanted, and must put the same ones in the same order each time: with several
 * workers, this is how each finds the others' numbers. Returns 0 or EIO_ETOOBIG. */
int kit_metrics_add(struct kit *kit, void (*put)(struct kit_metrics_page *page, void *ctx), void *ctx);

void kit_metrics_counter(struct kit_metrics_page *page, const char *name, const char *help, uint64_t value);
void kit_metrics_gauge(struct kit_metrics_page *page, const char *name, const char *help, uint64_t value);

/* Opens the route and adds the libraries' and the kit's numbers. */
int kit_metrics_start(struct kit *kit);
/* Puts this process's numbers into its page. */
void kit_metrics_publish(struct kit *kit, struct kit_process_page *page);

#endif
