/* Token buckets, the table of addresses, counting and logging. */
#include "test.h"

#include "eio_int.h"

#include <string.h>

/* ------------------------------------------------------------------ buckets */

TEST(rate, gives_one_second_worth_at_once_and_refills_evenly)
{
    struct eio_rate rate = {0};
    for (int i = 0; i < 10; i++) assert_true(eio_rate_take(&rate, 5000, 10));
    assert_false(eio_rate_take(&rate, 5000, 10));
    assert_false(eio_rate_take(&rate, 5099, 10));
    assert_true(eio_rate_take(&rate, 5100, 10));
    assert_false(eio_rate_take(&rate, 5100, 10));
    for (int i = 0; i < 10; i++) assert_true(eio_rate_take(&rate, 60000, 10)); /* never more than one second's worth */
    assert_false(eio_rate_take(&rate, 60000, 10));
}

TEST(rate, holds_over_any_length_of_time)
{
    static const uint32_t rates[] = {1, 3, 7, 999, 1000000};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct eio_rate rate = {0};
        uint64_t taken = 0;
        for (uint64_t now = 0; now < 3000; now += 50)
            while (eio_rate_take(&rate, now, rates[i])) taken++;
        /* One second's worth at once, then what 2.95 seconds bring. */
        assert_in_range(taken, rates[i] * 39ull / 10, rates[i] * 4ull);
    }
}

/* ---------------------------------------------------------------- addresses */

static struct eio__address address_of(const char *text)
{
    struct eio__address address;
    assert_true(eio__address_parse(eio_str(text), &address));
    return address;
}

TEST(visitors, an_ipv6_customer_is_one_visitor)
{
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    struct eio__visitors visitors = {0};
    eio__visitors_init(&visitors, loop, 100);
    struct eio__address a = address_of("2001:db8:1:2::1"), b = address_of("2001:db8:1:2:ffff::9"),
                        c = address_of("2001:db8:1:3::1"), d = address_of("192.0.2.1"), e = address_of("192.0.2.2");
    assert_ptr_equal(eio__visitors_get(&visitors, &a), eio__visitors_get(&visitors, &b));
    assert_ptr_not_equal(eio__visitors_get(&visitors, &a), eio__visitors_get(&visitors, &c));
    assert_ptr_not_equal(eio__visitors_get(&visitors, &d), eio__visitors_get(&visitors, &e));
    assert_int_equal(visitors.table.count, 4);
    eio__visitors_clear(&visitors);
    eio_loop_free(loop);
}

TEST(visitors, those_without_anything_are_forgotten_and_the_others_kept)
{
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    struct eio__visitors visitors = {0};
    eio__visitors_init(&visitors, loop, 5000);
    struct eio__address kept = address_of("192.0.2.1");
    eio__visitor_enter(&visitors, eio__visitors_get(&visitors, &kept));
    for (int i = 0; i < 4000; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.%d.%d.1", i / 250, i % 250);
        struct eio__address address = address_of(text);
        assert_non_null(eio__visitors_get(&visitors, &address));
    }
    assert_int_equal(visitors.table.count, 4001);
    eio_loop_advance(loop, 3000);
    assert_int_equal(visitors.table.count, 1);
    eio__visitor_leave(&visitors, &kept);
    eio_loop_advance(loop, 1000);
    assert_int_equal(visitors.table.count, 1); /* its bucket may not be full yet */
    eio_loop_advance(loop, 2000);
    assert_int_equal(visitors.table.count, 0);
    eio__visitors_clear(&visitors);
    eio_loop_free(loop);
}

TEST(visitors, a_full_table_takes_no_more_and_has_place_again)
{
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    struct eio__visitors visitors = {0};
    eio__visitors_init(&visitors, loop, 2);
    struct eio__address a = address_of("192.0.2.1"), b = address_of("192.0.2.2"), c = address_of("192.0.2.3");
    assert_non_null(eio__visitors_get(&visitors, &a));
    assert_non_null(eio__visitors_get(&visitors, &b));
    assert_null(eio__visitors_get(&visitors, &c));
    assert_non_null(eio__visitors_get(&visitors, &a));
    eio_loop_advance(loop, 3000);
    assert_non_null(eio__visitors_get(&visitors, &c));
    eio__visitors_clear(&visitors);
    eio_loop_free(loop);
}

/* ---------------------------------------------------------------------- log */

static int lines;
static char last_line[256];

static void on_line(enum eio_log_level level, const char *line, void *ctx)
{
    (void)ctx;
    assert_int_equal(level, EIO_LOG_WARN);
    snprintf(last_line, sizeof last_line, "%s", line);
    lines++;
}

TEST(limits, all_hits_are_counted_but_a_flood_is_one_line)
{
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    struct eio_limit_counter counter = {0};
    eio_log_set(on_line, NULL, EIO_LOG_WARN);
    for (int i = 0; i < 100000; i++) eio_limit_hit(&counter, loop, "max_sessions", "192.0.2.1");
    assert_int_equal(lines, 1);
    assert_int_equal(counter.hits, 100000);
    eio_loop_advance(loop, EIO_LIMIT_LOG_MS);
    eio_limit_hit(&counter, loop, "max_sessions", "192.0.2.2");
    assert_int_equal(lines, 2);
    assert_string_equal(last_line, "limit max_sessions hit by 192.0.2.2 (99999 more since the last such line)");
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
    eio_loop_free(loop);
}

TEST(limits, every_limit_has_the_name_of_an_option)
{
    for (int i = 0; i < EIO_LIMIT_COUNT; i++) {
        const char *name = eio_limit_name((enum eio_limit)i);
        bool is_other = strcmp(name, "reserved_descriptors") == 0;
        assert_true(is_other || strncmp(name, "max_", 4) == 0 || strstr(name, "_timeout_ms"));
    }
}

TEST_MAIN
