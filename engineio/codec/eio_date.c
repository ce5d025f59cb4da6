/* Points in time as HTTP writes them (RFC 9110, section 5.6.7). Not by strftime(): its names of days and months are
 * those of the program's language. */
#include "base_str.h"
#include "eio_text.h"

#include <time.h>

static char *put_two(char *out, int value)
{
    *out++ = (char)('0' + value / 10 % 10);
    *out++ = (char)('0' + value % 10);
    return out;
}

bool eio__date_put(char out[EIO__DATE_CHARS], int64_t unix_s)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const time_t time = (time_t)unix_s;
    struct tm tm;
    if (!gmtime_r(&time, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900) return false;
    out = base_put_text(base_put_bytes(out, days + (ptrdiff_t)3 * tm.tm_wday, 3), ", ");
    *(out = put_two(out, tm.tm_mday)) = ' ';
    out = base_put_bytes(out + 1, months + (ptrdiff_t)3 * tm.tm_mon, 3);
    *out = ' ';
    out = put_two(put_two(out + 1, (tm.tm_year + 1900) / 100), tm.tm_year % 100);
    *out = ' ';
    *(out = put_two(out + 1, tm.tm_hour)) = ':';
    *(out = put_two(out + 1, tm.tm_min)) = ':';
    *base_put_text(put_two(out + 1, tm.tm_sec), " GMT") = '\0';
    return true;
}
