/* Time zones, by ICU (kit_zone.h). */
#include "kit_zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unicode/ucal.h>
#include <unicode/ustring.h>

/* False: it is too long, or not ASCII. */
static bool widen(const char *name, UChar out[KIT_ZONE_SIZE])
{
    size_t n = strlen(name);
    if (n >= KIT_ZONE_SIZE) return false;
    for (size_t i = 0; i < n; i++)
        if (name[i] < 33 || name[i] > 126) return false;
    u_charsToUChars(name, out, (int32_t)n + 1);
    return true;
}

bool kit_zone_is_known(const char *name)
{
    UChar id[KIT_ZONE_SIZE], canonical[128];
    UErrorCode error = U_ZERO_ERROR;
    if (!*name) return true;
    if (!widen(name, id)) return false;
    ucal_getCanonicalTimeZoneID(id, -1, canonical, 128, NULL, &error);
    return U_SUCCESS(error);
}

static int own_minutes(int64_t unix_ms)
{
    time_t at = (time_t)(unix_ms / 1000);
    struct tm local;
    return localtime_r(&at, &local) ? (int)(local.tm_gmtoff / 60) : 0;
}

int kit_zone_minutes(const char *name, int64_t unix_ms)
{
    UChar id[KIT_ZONE_SIZE];
    UErrorCode error = U_ZERO_ERROR;
    if (!*name) return own_minutes(unix_ms);
    if (!widen(name, id)) return 0;
    UCalendar *calendar = ucal_open(id, -1, "en", UCAL_GREGORIAN, &error);
    if (U_FAILURE(error)) return 0;
    ucal_setMillis(calendar, (UDate)unix_ms, &error);
    int32_t ms = ucal_get(calendar, UCAL_ZONE_OFFSET, &error) + ucal_get(calendar, UCAL_DST_OFFSET, &error);
    ucal_close(calendar);
    return U_FAILURE(error) ? 0 : ms / 60000;
}

int kit_zone_minutes_local(const char *name, int64_t local_ms)
{
    const int64_t day_ms = 26 * 3600000; /* no zone is further ahead, and none changes its clocks twice in this */
    int before = kit_zone_minutes(name, local_ms - day_ms);
    int at = kit_zone_minutes(name, local_ms - (int64_t)before * 60000);
    if (at == before) return before;
    return kit_zone_minutes(name, local_ms - (int64_t)at * 60000) == at ? at : before;
}

void kit_zone_say(const char *name, int other_minutes, int64_t unix_ms, char out[KIT_ZONE_TIME_SIZE])
{
    static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
    static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                         "July",    "August",   "September", "October", "November", "December"};
    int minutes = *name ? kit_zone_minutes(name, unix_ms) : other_minutes, away = abs(minutes);
    time_t local = (time_t)(unix_ms / 1000 + (int64_t)minutes * 60);
    char seconds[8] = "", zone[KIT_ZONE_SIZE];
    struct tm at;
    *out = 0;
    if (!gmtime_r(&local, &at)) return;
    if (at.tm_sec) snprintf(seconds, sizeof seconds, ":%02d", at.tm_sec % 100);
    if (*name || !minutes)
        snprintf(zone, sizeof zone, "%s", *name ? name : "UTC");
    else
        snprintf(zone, sizeof zone, "UTC%c%02d:%02d", minutes < 0 ? '-' : '+', away / 60, away % 60);
    snprintf(out, KIT_ZONE_TIME_SIZE, "%s, %d %s %lld, %02d:%02d%s (%s)", days[at.tm_wday], at.tm_mday,
             months[at.tm_mon], at.tm_year + 1900LL, at.tm_hour, at.tm_min, seconds, zone);
}
