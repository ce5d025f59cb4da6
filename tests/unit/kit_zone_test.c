/* Time zones by name, summer time included. */
#include "kit_fixture.h"
#include "kit_zone.h"

#include <time.h>

static int64_t ms_of(int year, int month, int day, int hour, int minute)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute};
    return (int64_t)timegm(&tm) * 1000;
}

static void names_are_those_of_the_tz_database(void **state)
{
    static const char *const good[] = {"", "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kolkata"};
    static const char *const bad[] = {"Mars/Olympus", "Europe/Berlin ", "Europe/Z\xc3\xbcrich", "../../etc/passwd",
                                      "a-name-that-is-longer-than-any-in-the-database-of-time-zones-by-far"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) assert_true(kit_zone_is_known(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(kit_zone_is_known(bad[i]));
    assert_int_equal(kit_zone_minutes("Mars/Olympus", 0), 0);
}

static void a_zone_has_its_offset_at_each_moment(void **state)
{
    (void)state;
    assert_int_equal(kit_zone_minutes("Europe/Berlin", ms_of(2026, 1, 15, 12, 0)), 60);
    assert_int_equal(kit_zone_minutes("Europe/Berlin", ms_of(2026, 7, 15, 12, 0)), 120);
    assert_int_equal(kit_zone_minutes("Europe/Berlin", ms_of(2060, 7, 15, 12, 0)), 120);
    assert_int_equal(kit_zone_minutes("Asia/Kolkata", ms_of(2026, 7, 15, 12, 0)), 330);
    assert_int_equal(kit_zone_minutes("America/New_York", ms_of(2026, 1, 15, 12, 0)), -300);
    assert_int_equal(kit_zone_minutes("Pacific/Kiritimati", ms_of(2026, 1, 15, 12, 0)), 840);
}

/* In Berlin the clocks go on at 2:00 on 29 March 2026 and back at 3:00 on 25 October. */
static void what_the_clocks_show_is_a_moment(void **state)
{
    static const struct {
        int month, day, hour, minute, minutes;
    } rows[] = {
        {3, 28, 23, 59, 60}, {3, 29, 1, 59, 60},  {3, 29, 2, 30, 60},   {3, 29, 3, 0, 120}, {3, 29, 9, 0, 120},
        {3, 30, 9, 0, 120},  {10, 25, 1, 0, 120}, {10, 25, 2, 30, 120}, {10, 25, 3, 0, 60}, {10, 25, 9, 0, 60},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t local = ms_of(2026, rows[i].month, rows[i].day, rows[i].hour, rows[i].minute);
        assert_int_equal(kit_zone_minutes_local("Europe/Berlin", local), rows[i].minutes);
    }
    assert_int_equal(kit_zone_minutes_local("Pacific/Kiritimati", ms_of(2026, 3, 29, 9, 0)), 840);
    assert_int_equal(kit_zone_minutes_local("Pacific/Pago_Pago", ms_of(2026, 3, 29, 9, 0)), -660);
}

static void a_moment_is_said_by_the_clocks_there(void **state)
{
    static const struct {
        const char *zone;
        int other_minutes;
        const char *text;
    } rows[] = {
        {"Asia/Tokyo", 0, "Thursday, 1 January 2099, 09:30 (Asia/Tokyo)"},
        {"America/New_York", 330, "Wednesday, 31 December 2098, 19:30 (America/New_York)"},
        {"", 0, "Thursday, 1 January 2099, 00:30 (UTC)"},
        {"", 330, "Thursday, 1 January 2099, 06:00 (UTC+05:30)"},
        {"", -210, "Wednesday, 31 December 2098, 21:00 (UTC-03:30)"},
    };
    char text[KIT_ZONE_TIME_SIZE];
    int64_t at_ms = ms_of(2099, 1, 1, 0, 30);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kit_zone_say(rows[i].zone, rows[i].other_minutes, at_ms, text);
        assert_string_equal(text, rows[i].text);
    }
    kit_zone_say("Europe/Berlin", 0, ms_of(2026, 7, 15, 12, 0) + 5999, text);
    assert_string_equal(text, "Wednesday, 15 July 2026, 14:00:05 (Europe/Berlin)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_the_tz_database),
        cmocka_unit_test(a_zone_has_its_offset_at_each_moment),
        cmocka_unit_test(what_the_clocks_show_is_a_moment),
        cmocka_unit_test(a_moment_is_said_by_the_clocks_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
