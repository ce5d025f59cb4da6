/* Which addresses are public. */
#include "kit_address.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool is_public(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) return kit_address_is_public((struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return kit_address_is_public((struct sockaddr *)&in6);
}

static void private_addresses_are_not_public(void **state)
{
    static const char *const list[] = {
        "0.0.0.0",         "10.1.2.3",        "100.64.0.1",     "100.127.255.255", "127.0.0.1",   "127.9.9.9",
        "169.254.169.254", "172.16.0.1",      "172.31.255.255", "192.168.1.1",     "192.0.0.8",   "198.18.0.1",
        "198.19.255.255",  "224.0.0.1",       "240.0.0.1",      "255.255.255.255", "::",          "::1",
        "fe80::1",         "fec0::1",         "fc00::1",        "fd12::1",         "ff02::1",     "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "2001:db8::1",     "::127.0.0.1", "2001::1",
        "100::1"};
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (is_public(list[i])) fail_msg("%s counts as public", list[i]);
}

static void others_are(void **state)
{
    static const char *const list[] = {"1.1.1.1",         "9.255.255.255",   "11.0.0.0",         "100.63.255.255",
                                       "100.128.0.0",     "126.255.255.255", "172.15.255.255",   "172.32.0.0",
                                       "192.167.255.255", "198.20.0.0",      "223.255.255.255",  "2606:4700::1111",
                                       "2001:4860::8888", "::ffff:1.1.1.1",  "64:ff9b::101:101", "2002:101:101::1"};
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (!is_public(list[i])) fail_msg("%s does not count as public", list[i]);
}

static void other_families_are_not_public(void **state)
{
    struct sockaddr address = {.sa_family = AF_UNIX};
    (void)state;
    assert_false(kit_address_is_public(&address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_addresses_are_not_public),
        cmocka_unit_test(others_are),
        cmocka_unit_test(other_families_are_not_public),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
