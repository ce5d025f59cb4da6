/* Who the client is, behind which proxies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "eio_address.h"
#include "eio_codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The printed form, or "bad". */
static void check_address(const char *text, const char *wanted)
{
    size_t n = strlen(text);
    char *exact = calloc(1, n ? n : 1), got[46] = "bad";
    if (n) memcpy(exact, text, n);
    struct eio__address address;
    if (eio__address_parse((struct eio_str){n ? exact : exact + 1, n}, &address)) eio__address_print(&address, got);
    assert_string_equal(got, wanted);
    free(exact);
}

static void addresses_are_parsed(void **state)
{
    (void)state;
    check_address("192.0.2.1", "192.0.2.1");
    check_address(" 192.0.2.1:8080\t", "192.0.2.1");
    check_address("2001:db8::1", "2001:db8::1");
    check_address("[2001:DB8::1]:443", "2001:db8::1");
    check_address("::ffff:192.0.2.1", "192.0.2.1");
    static const char *const bad[] = {"",
                                      " ",
                                      "unknown",
                                      "192.0.2",
                                      "192.0.2.256",
                                      "[::1",
                                      "[]",
                                      "1.2.3.4.5",
                                      ":",
                                      "::g",
                                      "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check_address(bad[i], "bad");
}

static void networks_are_parsed(void **state)
{
    (void)state;
    struct eio__proxies proxies;
    static const char *const bad[] = {"10.0.0.0/33", "::/129", "10.0.0.0/",   "10.0.0.0/-1",
                                      "10.0.0.0/a",  "x",      "1.2.3.4/1/2", "127.0.0.1,x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(eio__proxies_init(&proxies, bad[i]), EIO_EINVAL);
        assert_null(proxies.networks);
    }
    assert_int_equal(eio__proxies_init(&proxies, NULL), 0);
    assert_int_equal(proxies.count, 0);
    assert_int_equal(eio__proxies_init(&proxies, " 127.0.0.1 ,10.0.0.0/8,, fd00::/9"), 0);
    assert_int_equal(proxies.count, 3);
    eio__proxies_clear(&proxies);
}

static bool trusted(const char *list, const char *text)
{
    struct eio__proxies proxies;
    struct eio__address address;
    assert_int_equal(eio__proxies_init(&proxies, list), 0);
    assert_true(eio__address_parse(eio_str(text), &address));
    bool result = eio__proxies_trust(&proxies, &address);
    eio__proxies_clear(&proxies);
    return result;
}

static void networks_contain_their_addresses(void **state)
{
    (void)state;
    assert_true(trusted("10.0.0.0/8", "10.255.0.1"));
    assert_false(trusted("10.0.0.0/8", "11.0.0.1"));
    assert_true(trusted("192.0.2.128/25", "192.0.2.200"));
    assert_false(trusted("192.0.2.128/25", "192.0.2.100"));
    assert_true(trusted("0.0.0.0/0", "1.2.3.4"));
    assert_false(trusted("0.0.0.0/0", "2001:db8::1"));
    assert_true(trusted("fd00::/9", "fd7f::1"));
    assert_false(trusted("fd00::/9", "fd80::1"));
    assert_true(trusted("::1", "::1"));
    assert_true(trusted("127.0.0.1/32", "::ffff:127.0.0.1"));
}

/* "address" or "address secure" */
static void check_client(const char *proxies_list, const char *peer_text, const char *fields, const char *wanted)
{
    static const struct eio__gate_limits limits = {4096, 2048, 16};
    struct eio__gate_head parsed;
    struct eio__fault fault;
    struct eio__proxies proxies;
    struct eio__address peer;
    char text[1024], got[64];
    int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    assert_int_equal(eio__gate_parse((const uint8_t *)text, (size_t)n, &limits, &parsed, &fault), n);
    assert_int_equal(eio__proxies_init(&proxies, proxies_list), 0);
    assert_true(eio__address_parse(eio_str(peer_text), &peer));
    eio__address_resolve(&proxies, &peer, parsed.take_head);
    snprintf(got, sizeof got, "%s%s", parsed.take_head->address, parsed.take_head->secure ? " secure" : "");
    if (strcmp(got, wanted) != 0) fail_msg("%s from %s: wanted %s, got %s", fields, peer_text, wanted, got);
    eio__proxies_clear(&proxies);
    free(parsed.take_head);
}

static void rightmost_untrusted_address_is_the_client(void **state)
{
    (void)state;
#define XFF "X-Forwarded-For: "
    check_client(NULL, "192.0.2.1", XFF "1.1.1.1\r\nX-Forwarded-Proto: https\r\n", "192.0.2.1");
    check_client("10.0.0.0/8", "192.0.2.1", XFF "1.1.1.1\r\n", "192.0.2.1");
    check_client("10.0.0.0/8", "10.0.0.1", "", "10.0.0.1");
    check_client("10.0.0.0/8", "10.0.0.1", XFF "1.1.1.1\r\n", "1.1.1.1");
    /* What the client wrote itself stands left of what our proxy has seen. */
    check_client("10.0.0.0/8", "10.0.0.1", XFF "6.6.6.6, 1.1.1.1\r\n", "1.1.1.1");
    check_client("10.0.0.0/8", "10.0.0.1", XFF "6.6.6.6, 1.1.1.1 , 10.2.3.4\r\n", "1.1.1.1");
    check_client("10.0.0.0/8", "10.0.0.1", XFF "6.6.6.6, 1.1.1.1\r\n" XFF "10.2.3.4\r\n", "1.1.1.1");
    check_client("10.0.0.0/8", "10.0.0.1", XFF "10.9.9.9, 10.2.3.4\r\n", "10.9.9.9");
    check_client("10.0.0.0/8", "10.0.0.1", XFF "1.1.1.1, unknown\r\n", "10.0.0.1");
    check_client("10.0.0.0/8", "10.0.0.1", XFF "1.1.1.1, unknown, 10.2.3.4\r\n", "10.2.3.4");
    check_client("10.0.0.0/8", "10.0.0.1", XFF "\r\n", "10.0.0.1");
    check_client("::1", "::1", XFF "[2001:db8::5]:9\r\n", "2001:db8::5");
}

static void forwarded_proto_counts_from_trusted_proxies(void **state)
{
    (void)state;
    check_client("10.0.0.1", "10.0.0.1", "X-Forwarded-Proto: https\r\n", "10.0.0.1 secure");
    check_client("10.0.0.1", "10.0.0.1", "X-Forwarded-Proto: http, WSS\r\n", "10.0.0.1 secure");
    check_client("10.0.0.1", "10.0.0.1", "X-Forwarded-Proto: https, http\r\n", "10.0.0.1");
    check_client("10.0.0.1", "10.0.0.1", "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", "10.0.0.1");
    check_client("10.0.0.1", "10.0.0.2", "X-Forwarded-Proto: https\r\n", "10.0.0.2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_parsed),
        cmocka_unit_test(networks_are_parsed),
        cmocka_unit_test(networks_contain_their_addresses),
        cmocka_unit_test(rightmost_untrusted_address_is_the_client),
        cmocka_unit_test(forwarded_proto_counts_from_trusted_proxies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
