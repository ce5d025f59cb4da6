/* Messages to the service manager, by the protocol of sd_notify(3): ready, reloading, stopping, alive. Without
 * $NOTIFY_SOCKET nothing is sent. Of several workers only their master sends. */
#ifndef NODE_SERVICE_H
#define NODE_SERVICE_H

#include <stdint.h>

/* Sends one or more assignments, separated by line feeds ("READY=1"). What cannot be sent is dropped. */
void node_service_send(const char *assignments);
/* "RELOADING=1" with the time at which it began, as Type=notify-reload wants it; READY=1 has to follow. */
void node_service_send_reloading(void);
/* How often "WATCHDOG=1" is due, in milliseconds: half of what the service manager allows. 0: it does not ask. */
uint64_t node_service_watchdog_ms(void);

#endif
