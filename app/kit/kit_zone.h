/* Time zones by their names in the tz database ("Europe/Berlin"), as browsers give them. Any thread. */
#ifndef KIT_ZONE_H
#define KIT_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#define KIT_ZONE_SIZE 65 /* of a name with its terminator */
#define KIT_ZONE_TIME_SIZE (KIT_ZONE_SIZE + 96)

/* "": the server's own zone, which is known. */
bool kit_zone_is_known(const char *name);
/* Local time is UTC plus this at a moment. An unknown zone counts as UTC. */
int kit_zone_minutes(const char *name, int64_t unix_ms);
/* The same by what the clocks there show, in milliseconds as if it was Unix time. Of an hour that comes twice the first
 * is meant; one that is left out is read by the clock before it was changed. */
int kit_zone_minutes_local(const char *name, int64_t local_ms);
/* A moment in words, by the clocks there: "Thursday, 1 January 2099, 09:30 (Asia/Tokyo)"; seconds if there are any.
 * name "": by UTC plus other_minutes, "(UTC+05:30)". */
void kit_zone_say(const char *name, int other_minutes, int64_t unix_ms, char out[KIT_ZONE_TIME_SIZE]);

#endif
