/* rooms_redis_url.c: which URLs name Redis servers, and how long a node waits before it tries again. */
#include "test.h"
#include "rooms_redis_conn.h"

static struct rooms__redis_addresses parsed(const char *url)
{
    struct rooms__redis_addresses addresses;
    const char *why = NULL;
    if (rooms__redis_addresses_parse(&addresses, url, &why) != ROOMS_OK) fail_msg("%s: %s", url, why);
    return addresses;
}

static void is(const char *url, const char *expected)
{
    struct rooms__redis_addresses addresses = parsed(url);
    char text[512] = "";
    for (size_t i = 0; i < addresses.count; i++) {
        const struct rooms__redis_address *address = &addresses.list[i];
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s %u %s %s %u (%s)", i ? "; " : "", address->host,
                 address->port, address->user ? address->user : "-", address->password ? address->password : "-",
                 address->database, address->text);
    }
    assert_string_equal(text, expected);
    rooms__redis_addresses_clear(&addresses);
}

static void is_refused(const char *url, const char *expected)
{
    struct rooms__redis_addresses addresses;
    const char *why = "nothing";
    assert_int_equal(rooms__redis_addresses_parse(&addresses, url, &why), ROOMS_EINVAL);
    assert_string_equal(why, expected);
    assert_int_equal(addresses.count, 0);
    assert_null(addresses.list);
}

TEST(redis_url, host_port_database_user_and_password)
{
    is("redis://10.0.0.1", "10.0.0.1 6379 - - 0 (10.0.0.1:6379)");
    is("redis://cache.example/", "cache.example 6379 - - 0 (cache.example:6379)");
    is("redis://cache:7000/12", "cache 7000 - - 12 (cache:7000)");
    is("redis://:secret@cache", "cache 6379 - secret 0 (cache:6379)");
    is("redis://ann:secret@cache:1/2", "cache 1 ann secret 2 (cache:1)");
    is("redis://ann:@cache", "cache 6379 ann  0 (cache:6379)");
    is("redis://[::1]", "::1 6379 - - 0 ([::1]:6379)");
    is("redis://:p@[fe80::2]:7/3", "fe80::2 7 - p 3 ([fe80::2]:7)");
}

TEST(redis_url, users_and_passwords_are_percent_decoded)
{
    is("redis://a%40b:%2Fc%3a%2C@h", "h 6379 a@b /c:, 0 (h:6379)");
    is("redis://:%25@h", "h 6379 - % 0 (h:6379)");
    is_refused("redis://:%@h", "invalid percent-encoding");
    is_refused("redis://:%4@h", "invalid percent-encoding");
    is_refused("redis://:a%4", "the port is not a number from 1 to 65535");
    is_refused("redis://:%4g@h", "invalid percent-encoding");
    is_refused("redis://:%00@h", "invalid percent-encoding");
}

TEST(redis_url, several_with_commas)
{
    is("redis://a,redis://:x@b:2/1", "a 6379 - - 0 (a:6379); b 2 - x 1 (b:2)");
    is_refused("redis://a,b", "it starts with neither redis:// nor rediss://");
    is_refused("redis://a,", "it starts with neither redis:// nor rediss://");
    is_refused(",redis://a", "it starts with neither redis:// nor rediss://");
    is_refused("redis://a,redis://a,redis://a,redis://a,redis://a,redis://a,redis://a,redis://a,redis://a,redis://a,"
               "redis://a,redis://a,redis://a,redis://a,redis://a,redis://a,redis://a",
               "more than 16 addresses");
}

TEST(redis_url, rediss_is_tls)
{
    struct rooms__redis_addresses addresses = parsed("rediss://ann:secret@a:1/2,rediss://b");
    assert_int_equal(addresses.count, 2);
    assert_true(addresses.list[0].tls && addresses.list[1].tls);
    assert_string_equal(addresses.list[0].text, "a:1");
    rooms__redis_addresses_clear(&addresses);
    addresses = parsed("redis://a");
    assert_false(addresses.list[0].tls);
    rooms__redis_addresses_clear(&addresses);
}

TEST(redis_url, what_is_not_one)
{
    is_refused("", "it starts with neither redis:// nor rediss://");
    is_refused("http://a", "it starts with neither redis:// nor rediss://");
    is_refused("redis:/", "it starts with neither redis:// nor rediss://");
    is_refused("redis://a,rediss://b", "redis:// and rediss:// are mixed");
    is_refused("rediss:a", "it starts with neither redis:// nor rediss://");
    is_refused("redis://", "the host is missing");
    is_refused("redis://:6379", "the host is missing");
    is_refused("redis://a:0", "the port is not a number from 1 to 65535");
    is_refused("redis://a:65536", "the port is not a number from 1 to 65535");
    is_refused("redis://a:1x", "the port is not a number from 1 to 65535");
    is_refused("redis://a:", "the port is not a number from 1 to 65535");
    is_refused("redis://a/x", "the database is not a number");
    is_refused("redis://a/0?timeout=1", "the database is not a number");
    is_refused("redis://ann@a", "a user is given without a password (write :password@ for a password alone)");
    is_refused("redis://[::1", "the brackets around the host do not match");
    is_refused("redis://[::1]6379", "the brackets around the host do not match");
}

TEST(redis_url, waiting_doubles_up_to_the_most_less_up_to_a_half)
{
    assert_int_equal(rooms__backoff_ms(0, 100, 10000, 0), 100);
    assert_int_equal(rooms__backoff_ms(1, 100, 10000, 0), 200);
    assert_int_equal(rooms__backoff_ms(6, 100, 10000, 0), 6400);
    assert_int_equal(rooms__backoff_ms(7, 100, 10000, 0), 10000);
    assert_int_equal(rooms__backoff_ms(4000000000u, 100, 10000, 0), 10000);
    assert_int_equal(rooms__backoff_ms(0, 1, 1, UINT32_MAX), 1);
    uint32_t least = UINT32_MAX, most = 0;
    for (uint32_t chance = 0; chance < 1000; chance++) {
        uint32_t ms = rooms__backoff_ms(3, 100, 10000, chance * 2654435761u);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    assert_in_range(least, 400, 410);
    assert_in_range(most, 790, 800);
    assert_int_equal(rooms__backoff_ms(40, UINT32_MAX, UINT32_MAX, 0), UINT32_MAX);
}

TEST_MAIN
