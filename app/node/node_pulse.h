/* Which other processes of the cluster are alive, whatever carries their messages: each greets all others. One that was
 * killed, or is cut off, is noticed after its timeout, and kit_on_peers_changed() told. */
#ifndef NODE_PULSE_H
#define NODE_PULSE_H

#include "kit.h"

struct node_pulse;

/* Once the server is made. NULL: out of memory. */
struct node_pulse *node_pulse_new(struct kit *kit, uint32_t interval_ms, uint32_t timeout_ms);
/* Says that this process goes. Accepts NULL. */
void node_pulse_stop(struct node_pulse *pulse);
void node_pulse_free(struct node_pulse *pulse);

#endif
