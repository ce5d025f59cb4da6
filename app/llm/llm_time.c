/* Finds moments: atoms of dates and of times that stand side by side. A date may come without a time and the reverse;
 * what can be read in two ways (03/04/2026) is not read. */
#include "llm_time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS 86400000
#define PREPOSITIONS "at on by in around about from until till before um am gegen ab the of this coming for to"

struct parser {
    const struct llm_lexed *lexed;
    const struct llm_clock *clock;
    struct llm_moment *moment;
    int64_t today;
    int now_minute;
    int part_of_day; /* the hour that "morning", … mean; -1: none */
    bool is_bare;    /* the hour may be one of the afternoon */
};

/* ---------------------------------------------------------------- calendar */

/* Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, "chrono-compatible low-level date algorithms").
 */
static int64_t day_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

static int month_days(int64_t year, int month)
{
    return (int)(day_of(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1) - day_of(year, month, 1));
}

/* 0 Sunday. */
static int weekday_of(int64_t day)
{
    return (int)(((day + 4) % 7 + 7) % 7);
}

static int64_t add_months(int64_t day, long months)
{
    int64_t year;
    int month, of_month;
    date_of(day, &year, &month, &of_month);
    int64_t total = year * 12 + month - 1 + months;
    year = total / 12;
    month = (int)(total % 12) + 1;
    int last = month_days(year, month);
    return day_of(year, month, of_month < last ? of_month : last);
}

/* ------------------------------------------------------------------- words */

static int find_name(const struct llm_lexed *lexed, size_t i, const char *const *names, int count)
{
    for (int k = 0; k < count; k++)
        if (llm_lex_is_any(lexed, i, names[k])) return k;
    return -1;
}

static int month_name(const struct llm_lexed *lexed, size_t i)
{
    static const char *const names[] = {"january jan januar",
                                        "february feb februar",
                                        "march mar marz",
                                        "april apr",
                                        "may mai",
                                        "june jun juni",
                                        "july jul juli",
                                        "august aug",
                                        "september sep sept",
                                        "october oct oktober okt",
                                        "november nov",
                                        "december dec dezember dez"};
    return find_name(lexed, i, names, 12) + 1;
}

static int weekday_name(const struct llm_lexed *lexed, size_t i)
{
    static const char *const names[] = {"sunday sonntag",
                                        "monday montag",
                                        "tuesday dienstag tues tue",
                                        "wednesday mittwoch",
                                        "thursday donnerstag thurs thu",
                                        "friday freitag fri",
                                        "saturday samstag sonnabend"};
    return find_name(lexed, i, names, 7);
}

static int64_t unit_ms(const struct llm_lexed *lexed, size_t i)
{
    static const char *const names[] = {"millisecond milliseconds ms",     "second seconds sec secs s sekunde sekunden",
                                        "minute minutes min mins minuten", "hour hours hr hrs h stunde stunden",
                                        "day days d tag tage tagen",       "week weeks woche wochen"};
    static const int64_t lengths[] = {1, 1000, 60000, 3600000, DAY_MS, 7LL * DAY_MS};
    int k = find_name(lexed, i, names, 6);
    return k < 0 ? 0 : lengths[k];
}

static bool is_hour_ending(const struct parser *p, size_t i)
{
    return llm_lex_is_any(p->lexed, i, "am pm") || llm_lex_is_any(p->lexed, i, "uhr");
}

/* ----------------------------------------------------------------- lengths */

/* A number with its unit, "an hour", "half an hour"; returns the lexeme behind it, or i. */
static size_t length_part(const struct llm_lexed *lexed, size_t i, int64_t *ms)
{
    double number = 1;
    size_t at = i;
    if (llm_lex_is(lexed, at, "half") && llm_lex_is_any(lexed, at + 1, "a an")) {
        number = 0.5;
        at += 2;
    } else if (llm_lex_is_any(lexed, at, "a an") || llm_lex_number(lexed, at, &number)) {
        at++;
        if (llm_lex_is_any(lexed, at, "more full")) at++;
    } else {
        return i;
    }
    int64_t unit = unit_ms(lexed, at);
    if (!unit || number > 1e6) return i;
    *ms += (int64_t)(number * (double)unit);
    return at + 1;
}

size_t llm_time_length(const struct llm_lexed *lexed, size_t i, int64_t *ms)
{
    *ms = 0;
    size_t at = length_part(lexed, i, ms);
    while (at > i) {
        size_t next = at + (llm_lex_is_any(lexed, at, "and und") ? 1 : 0);
        size_t end = length_part(lexed, next, ms);
        if (end == next && next > at && llm_lex_is(lexed, next, "a") && llm_lex_is(lexed, next + 1, "half")) {
            *ms += *ms == 3600000 ? 1800000 : *ms / 2; /* "an hour and a half" */
            return next + 2;
        }
        if (end == next) break;
        at = end;
    }
    return at;
}

/* ------------------------------------------------------------------- dates */

static size_t set_day(struct parser *p, int64_t day, size_t next)
{
    p->moment->has_date = true;
    p->moment->day = day;
    return next;
}

static size_t set_date(struct parser *p, int64_t year, int month, int day, size_t next)
{
    if (month < 1 || month > 12 || day < 1 || year < 1970 || year > 9999 || day > month_days(year, month)) return 0;
    return set_day(p, day_of(year, month, day), next);
}

/* Without a year: the next one that is not over. */
static size_t set_next_date(struct parser *p, int month, int day, size_t next)
{
    int64_t year;
    int now_month, now_day;
    date_of(p->today, &year, &now_month, &now_day);
    if (month < now_month || (month == now_month && day < now_day)) year++;
    for (int i = 0; i < 8; i++) /* 29 February */
        if (month >= 1 && month <= 12 && day >= 1 && day <= month_days(year + i, month))
            return set_date(p, year + i, month, day, next);
    return 0;
}

static bool is_year(long year)
{
    return year >= 1970 && year <= 9999;
}

/* 2026-12-24, 24.12.2026, 24.12., 24/12/2026, 12/24/2026. */
static size_t numeric_date(struct parser *p, size_t i)
{
    const struct llm_lex *lex = &p->lexed->list[i];
    char text[16], first_mark, second_mark;
    int a, b, c = 0, used = 0;
    size_t n = lex->end - lex->start;
    if (lex->kind != LLM_LEX_NUMBER || n >= sizeof text) return 0;
    memcpy(text, p->lexed->text.p + lex->start, n);
    text[n] = 0;
    int count = sscanf(text, "%4d%c%2d%c%4d%n", &a, &first_mark, &b, &second_mark, &c, &used);
    if (count == 5 && first_mark == second_mark && !text[used]) {
        if (first_mark == '-' && is_year(a)) return set_date(p, a, b, c, i + 1);
        if (first_mark == '.' && c < 100) c += 2000;
        if (first_mark == '.') return set_date(p, c, b, a, i + 1);
        if (first_mark == '/' && is_year(a)) return set_date(p, a, b, c, i + 1);
        if (first_mark == '/' && a > 12) return set_date(p, c, b, a, i + 1);
        if (first_mark == '/' && (b > 12 || a == b)) return set_date(p, c, a, b, i + 1);
        return 0;
    }
    bool has_dot = llm_lex_is_mark(p->lexed, i + 1, '.') && p->lexed->list[i + 1].is_glued;
    if (count >= 3 && first_mark == '.' && strspn(text, "0123456789.") == n && has_dot && a <= 31 && b <= 12)
        return set_next_date(p, b, a, i + 2);
    return 0;
}

/* Past "st", "nd", "rd", "th" or a dot behind a number. */
static size_t skip_ordinal(const struct parser *p, size_t i)
{
    if (i < p->lexed->count && p->lexed->list[i].is_glued &&
        (llm_lex_is_any(p->lexed, i, "st nd rd th") || llm_lex_is_mark(p->lexed, i, '.')))
        return i + 1;
    return i;
}

static size_t with_year(struct parser *p, int month, long day, size_t next)
{
    size_t at = llm_lex_is_mark(p->lexed, next, ',') ? next + 1 : next;
    long year = llm_lex_integer(p->lexed, at);
    if (day < 1 || day > 31) return 0;
    if (is_year(year) && p->lexed->list[at].kind == LLM_LEX_NUMBER) return set_date(p, year, month, (int)day, at + 1);
    return set_next_date(p, month, (int)day, next);
}

/* "24 December 2026", "24th of December", "December 24", "the 24th". */
static size_t named_date(struct parser *p, size_t i)
{
    int month = month_name(p->lexed, i);
    long day = llm_lex_integer(p->lexed, month ? i + 1 : i);
    if (month) return with_year(p, month, day, skip_ordinal(p, i + 2));
    if (p->lexed->list[i].kind != LLM_LEX_NUMBER || day < 1 || day > 31) return 0;
    size_t at = skip_ordinal(p, i + 1);
    size_t of = llm_lex_is(p->lexed, at, "of") ? at + 1 : at;
    month = month_name(p->lexed, of);
    if (month) return with_year(p, month, day, of + 1);
    if (at == i + 1 || llm_lex_is_mark(p->lexed, i + 1, '.') || !i || !llm_lex_is(p->lexed, i - 1, "the")) return 0;
    int64_t year;
    int now_day;
    date_of(p->today, &year, &month, &now_day);
    if (day <= now_day) month = month % 12 + 1, year += month == 1;
    return set_date(p, year, month, (int)day, at);
}

static size_t weekday_date(struct parser *p, size_t i)
{
    size_t at = llm_lex_is_any(p->lexed, i, "next this coming nachsten kommenden") ? i + 1 : i;
    int weekday = weekday_name(p->lexed, at);
    if (weekday < 0) return 0;
    int ahead = (weekday - weekday_of(p->today) + 7) % 7;
    if (llm_lex_is(p->lexed, at + 1, "next") && llm_lex_is(p->lexed, at + 2, "week")) {
        int from_monday = (weekday + 6) % 7, today_from_monday = (weekday_of(p->today) + 6) % 7;
        return set_day(p, p->today - today_from_monday + 7 + from_monday, at + 3);
    }
    return set_day(p, p->today + (ahead ? ahead : 7), at + 1);
}

static size_t relative_date(struct parser *p, size_t i)
{
    const struct llm_lexed *l = p->lexed;
    if (llm_lex_is(l, i, "the") && llm_lex_is(l, i + 1, "day")) i++;
    if (llm_lex_is(l, i, "day") && llm_lex_is(l, i + 1, "after") && llm_lex_is(l, i + 2, "tomorrow"))
        return set_day(p, p->today + 2, i + 3);
    if (llm_lex_is_any(l, i, "today heute")) return set_day(p, p->today, i + 1);
    if (llm_lex_is_any(l, i, "tomorrow tmrw morgen")) return set_day(p, p->today + 1, i + 1);
    if (llm_lex_is_any(l, i, "ubermorgen")) return set_day(p, p->today + 2, i + 1);
    if (llm_lex_is_any(l, i, "yesterday gestern")) return set_day(p, p->today - 1, i + 1);
    if (llm_lex_is(l, i, "tonight")) {
        p->part_of_day = 20;
        return set_day(p, p->today, i + 1);
    }
    if (!llm_lex_is(l, i, "next")) return 0;
    if (llm_lex_is(l, i + 1, "week")) return set_day(p, p->today + 7, i + 2);
    if (llm_lex_is(l, i + 1, "month")) return set_day(p, add_months(p->today, 1), i + 2);
    return llm_lex_is(l, i + 1, "year") ? set_day(p, add_months(p->today, 12), i + 2) : 0;
}

static void set_exact(struct parser *p, int64_t ms)
{
    int64_t local = p->clock->now_ms + (int64_t)p->clock->offset_minutes * 60000 + ms;
    p->moment->has_date = p->moment->has_time = p->moment->has_offset = true;
    p->moment->day = local / DAY_MS;
    p->moment->minute = (int)(local % DAY_MS / 60000);
    p->moment->second = (int)(local % 60000 / 1000);
}

/* "in two hours", "ten minutes from now", "in 3 days", "in a month". */
static size_t length_from_now(struct parser *p, size_t i)
{
    bool has_in = llm_lex_is(p->lexed, i, "in");
    size_t at = has_in ? i + 1 : i;
    int64_t ms;
    long months = llm_lex_is_any(p->lexed, at, "a an one") ? 1 : llm_lex_integer(p->lexed, at);
    if (has_in && months > 0 && months < 1200 && llm_lex_is_any(p->lexed, at + 1, "month months"))
        return set_day(p, add_months(p->today, months), at + 2);
    size_t next = llm_time_length(p->lexed, at, &ms);
    if (next == at) return 0;
    if (!has_in && !(llm_lex_is(p->lexed, next, "from") && llm_lex_is_any(p->lexed, next + 1, "now today"))) return 0;
    if (!has_in) next += 2;
    if (ms % DAY_MS == 0 && ms > 0) return set_day(p, p->today + ms / DAY_MS, next);
    set_exact(p, ms);
    return next;
}

/* Each returns the lexeme behind what it has read, or 0. */
static size_t date_atom(struct parser *p, size_t i)
{
    size_t next = relative_date(p, i);
    if (!next) next = weekday_date(p, i);
    if (!next) next = numeric_date(p, i);
    return next ? next : named_date(p, i);
}

/* ------------------------------------------------------------------- times */

static size_t set_time(struct parser *p, long hour, long minute, size_t next)
{
    const struct llm_lexed *l = p->lexed;
    bool has_half =
        next < l->count &&
        (llm_lex_is_any(l, next, "am pm") ||
         (llm_lex_is_any(l, next, "a p") && llm_lex_is_mark(l, next + 1, '.') && llm_lex_is(l, next + 2, "m")));
    if (minute < 0 || minute > 59 || hour < 0 || hour > (has_half ? 12 : 24)) return 0;
    if (hour == 24 && minute) return 0;
    if (has_half) {
        bool is_pm = l->list[next].word[0] == 'p';
        hour = hour % 12 + (is_pm ? 12 : 0);
        next += llm_lex_is_mark(l, next + 1, '.') && llm_lex_is(l, next + 2, "m") ? 3 : 1;
        if (llm_lex_is_mark(l, next, '.') && llm_lex_is(l, next - 1, "m") && next + 1 < l->count) next++;
    }
    p->is_bare = !has_half && hour >= 1 && hour <= 11;
    p->moment->has_time = true;
    p->moment->minute = (int)(hour % 24 * 60 + minute);
    return next;
}

/* Behind an ISO time: "Z", "+01:00". */
static size_t read_offset(struct parser *p, size_t i)
{
    const struct llm_lexed *l = p->lexed;
    int hours, minutes;
    p->is_bare = false;
    if (i < l->count && l->list[i].is_glued && llm_lex_is(l, i, "z")) {
        p->moment->has_offset = true;
        p->moment->offset_minutes = 0;
        return i + 1;
    }
    bool has_sign = llm_lex_is_mark(l, i, '+') || llm_lex_is_mark(l, i, '-');
    if (!has_sign || !l->list[i].is_glued || i + 1 >= l->count || l->list[i + 1].kind != LLM_LEX_NUMBER) return i;
    struct eio_str slice = llm_lex_slice(l, i + 1, i + 2);
    char text[6];
    snprintf(text, sizeof text, "%.*s", (int)slice.n, slice.p);
    if (slice.n != 5 || sscanf(text, "%2d:%2d", &hours, &minutes) != 2 || hours > 14 || minutes > 59) return i;
    p->moment->has_offset = true;
    p->moment->offset_minutes = (hours * 60 + minutes) * (llm_lex_is_mark(l, i, '-') ? -1 : 1);
    return i + 2;
}

/* 14:30, 14:30:15, 7:30 pm, T18:30Z. */
static size_t clock_time(struct parser *p, size_t i)
{
    const struct llm_lexed *l = p->lexed;
    bool is_iso = i && llm_lex_is(l, i, "t") && l->list[i].is_glued && i + 1 < l->count && l->list[i + 1].is_glued;
    char text[16];
    int hour, minute, second = 0, used = 0;
    if (is_iso) i++;
    size_t n = i < l->count ? l->list[i].end - l->list[i].start : 0;
    if (!n || l->list[i].kind != LLM_LEX_NUMBER || n >= sizeof text) return 0;
    memcpy(text, l->text.p + l->list[i].start, n);
    text[n] = 0;
    bool with_minus = is_iso && strchr(text, '-'); /* 18:30-05:00 is one number to the eye */
    if (with_minus) *strchr(text, '-') = 0;
    int count = sscanf(text, "%2d:%2d%n:%2d%n", &hour, &minute, &used, &second, &used);
    if (count < 2 || text[used] || second > 59) return 0;
    size_t next = set_time(p, hour, minute, i + 1);
    if (!next) return 0;
    p->moment->second = second;
    if (is_iso) next = with_minus ? next : read_offset(p, next);
    if (with_minus && sscanf(text + strlen(text) + 1, "%2d:%2d", &hour, &minute) == 2) {
        p->moment->has_offset = true;
        p->moment->offset_minutes = -(hour * 60 + minute);
    }
    p->is_bare = false; /* as written: 6:30 is not 18:30 */
    return llm_lex_is(l, next, "uhr") ? next + 1 : next;
}

/* "7 pm", "7pm", "7 o'clock", "7 Uhr", and a bare hour behind "at". */
static size_t hour_time(struct parser *p, size_t i, bool after_at)
{
    const struct llm_lexed *l = p->lexed;
    long hour = llm_lex_integer(l, i);
    if (hour < 0 || hour > 24) return 0;
    if (llm_lex_is(l, i + 1, "o") && llm_lex_is_mark(l, i + 2, '\'') && llm_lex_is(l, i + 3, "clock"))
        return set_time(p, hour, 0, i + 4);
    bool has_half = is_hour_ending(p, i + 1) ||
                    (llm_lex_is_any(l, i + 1, "a p") && llm_lex_is_mark(l, i + 2, '.') && llm_lex_is(l, i + 3, "m"));
    if (llm_lex_is(l, i + 1, "uhr")) return set_time(p, hour, 0, i + 2);
    if (has_half) return set_time(p, hour, 0, i + 1);
    bool has_part = llm_lex_is(l, i + 1, "in") && llm_lex_is(l, i + 2, "the") &&
                    llm_lex_is_any(l, i + 3, "morning afternoon evening");
    if (!after_at && !has_part) return 0;
    return unit_ms(l, i + 1) || month_name(l, i + 1) ? 0 : set_time(p, hour, 0, i + 1);
}

/* "half past 7", "quarter to nine", "ten past six". */
static size_t spoken_time(struct parser *p, size_t i)
{
    const struct llm_lexed *l = p->lexed;
    size_t at = llm_lex_is(l, i, "a") ? i + 1 : i;
    long minutes = llm_lex_is(l, at, "half") ? 30 : llm_lex_is(l, at, "quarter") ? 15 : llm_lex_integer(l, at);
    bool is_past = llm_lex_is(l, at + 1, "past");
    long hour = llm_lex_integer(l, at + 2);
    if ((!is_past && !llm_lex_is(l, at + 1, "to")) || minutes < 1 || minutes > 30 || hour < 0 || hour > 12) return 0;
    if (!is_past && minutes != 15 && l->list[at].kind == LLM_LEX_NUMBER) return 0; /* "5 to 9" is a range */
    return is_past ? set_time(p, hour, minutes, at + 3) : set_time(p, (hour + 11) % 12, 60 - minutes, at + 3);
}

static size_t part_of_day(struct parser *p, size_t i)
{
    static const struct {
        const char *words;
        int hour;
    } parts[] = {{"morning", 9}, {"afternoon", 15}, {"evening abend", 19}, {"night", 21}};
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++)
        if (llm_lex_is_any(p->lexed, i, parts[k].words) && p->part_of_day < 0) {
            p->part_of_day = parts[k].hour;
            return i + 1;
        }
    return 0;
}

static size_t time_atom(struct parser *p, size_t i, bool after_at)
{
    size_t next = clock_time(p, i);
    if (!next) next = spoken_time(p, i);
    if (!next) next = hour_time(p, i, after_at);
    if (!next && llm_lex_is_any(p->lexed, i, "noon midday mittag"))
        next = set_time(p, 12, 0, i + 1), p->is_bare = false;
    if (!next && llm_lex_is_any(p->lexed, i, "midnight mitternacht")) next = set_time(p, 24, 0, i + 1);
    return next;
}

/* ----------------------------------------------------------------- moments */

/* "7 in the evening" is 19:00; without a word about it the next 7 that comes. */
static void settle(struct parser *p)
{
    struct llm_moment *m = p->moment;
    bool is_later_half = p->part_of_day >= 15;
    if (!m->has_time && p->part_of_day >= 0) {
        m->has_time = true;
        m->minute = p->part_of_day * 60;
    } else if (m->has_time && p->is_bare && is_later_half) {
        m->minute += 12 * 60;
    } else if (m->has_time && p->is_bare && p->part_of_day < 0 && (!m->has_date || m->day == p->today) &&
               m->minute <= p->now_minute && m->minute + 12 * 60 > p->now_minute) {
        m->minute += 12 * 60;
    }
    if (!m->has_time || m->has_date) return;
    m->has_date = true;
    m->day = p->today + (m->minute <= p->now_minute ? 1 : 0);
}

/* Reads one more atom at i. Returns 0 if none begins there. */
static size_t next_atom(struct parser *p, size_t i, bool after_at)
{
    struct llm_moment *m = p->moment;
    size_t next = 0;
    if (!m->has_date && !m->has_time) next = length_from_now(p, i);
    if (!next && !m->has_time) next = time_atom(p, i, after_at);
    if (!next && !m->has_date) next = date_atom(p, i);
    /* Alone it is a greeting, or about something else. */
    bool is_meant = m->has_date || m->has_time || (i && llm_lex_is(p->lexed, i - 1, "this")) ||
                    (i > 1 && llm_lex_is(p->lexed, i - 1, "the") && llm_lex_is(p->lexed, i - 2, "in"));
    return next || !is_meant ? next : part_of_day(p, i);
}

/* Prepositions and a comma between two atoms. */
static size_t skip_between(const struct llm_lexed *lexed, size_t i, bool *after_at)
{
    for (int n = 0; n < 3; n++, i++) {
        bool is_at = llm_lex_is_any(lexed, i, "at um by around about gegen ab") || llm_lex_is_mark(lexed, i, '@');
        if (is_at) *after_at = true;
        if (!is_at && !llm_lex_is_any(lexed, i, "on in the this am") && !llm_lex_is_mark(lexed, i, ',')) break;
    }
    return i;
}

static bool parse_at(struct parser *p, size_t i)
{
    bool after_at = i && llm_lex_is_any(p->lexed, i - 1, "at um by around about gegen ab until till before");
    size_t end = next_atom(p, i, after_at);
    if (!end) return false;
    for (;;) {
        after_at = false;
        size_t at = skip_between(p->lexed, end, &after_at);
        size_t next = at < p->lexed->count ? next_atom(p, at, after_at) : 0;
        if (!next) break;
        end = next;
    }
    p->moment->from = i;
    p->moment->to = end;
    while (p->moment->from && llm_lex_is_any(p->lexed, p->moment->from - 1, PREPOSITIONS)) p->moment->from--;
    settle(p);
    return true;
}

/* Summer time may begin or end until then. */
static void set_offset(const struct llm_clock *clock, struct llm_moment *moment)
{
    int64_t local = moment->day * DAY_MS + (int64_t)moment->minute * 60000 + moment->second * INT64_C(1000);
    if (!clock->offset_at || moment->has_offset || !moment->has_date || !moment->has_time) return;
    moment->offset_minutes = clock->offset_at(clock->zone, local);
}

bool llm_time_find(const struct llm_lexed *lexed, size_t from, const struct llm_clock *clock, struct llm_moment *moment)
{
    int64_t local = clock->now_ms + (int64_t)clock->offset_minutes * 60000;
    struct parser p = {.lexed = lexed, .clock = clock, .moment = moment};
    p.today = local / DAY_MS;
    p.now_minute = (int)(local % DAY_MS / 60000);
    for (size_t i = from; i < lexed->count; i++) {
        *moment = (struct llm_moment){.offset_minutes = clock->offset_minutes};
        p.part_of_day = -1;
        p.is_bare = false;
        if (!parse_at(&p, i)) continue;
        if (moment->from < from) moment->from = from;
        set_offset(clock, moment);
        return true;
    }
    return false;
}

/* ------------------------------------------------------------------ output */

bool llm_time_put_date(const struct llm_moment *moment, char out[LLM_TIME_SIZE])
{
    int64_t year;
    int month, day;
    if (!moment->has_date) return false;
    date_of(moment->day, &year, &month, &day);
    snprintf(out, LLM_TIME_SIZE, "%04d-%02d-%02d", (int)year, month, day);
    return true;
}

bool llm_time_put_time(const struct llm_moment *moment, char out[LLM_TIME_SIZE])
{
    if (moment->has_time) snprintf(out, LLM_TIME_SIZE, "%02d:%02d", moment->minute / 60, moment->minute % 60);
    return moment->has_time;
}

bool llm_time_put_date_time(const struct llm_moment *moment, char out[LLM_TIME_SIZE])
{
    char date[LLM_TIME_SIZE];
    int offset = abs(moment->offset_minutes);
    if (!moment->has_time || !llm_time_put_date(moment, date)) return false;
    snprintf(out, LLM_TIME_SIZE, "%.16sT%02d:%02d:%02d%c%02d:%02d", date, moment->minute / 60, moment->minute % 60,
             moment->second, moment->offset_minutes < 0 ? '-' : '+', offset / 60, offset % 60);
    return true;
}
