/* Authorities (RFC 3986, section 3.2): what follows "Host:", and what stands in an absolute target. */
#include "base_authority.h"
#include "guard.h"
#include "test.h"

static bool valid(const char *text)
{
    struct guard guard = {0};
    size_t n = strlen(text);
    const char *p = (const char *)guard_put(&guard, (const uint8_t *)text, n);
    bool result = base_authority_is_valid((struct base_str){p, n});
    guard_free(&guard);
    return result;
}

TEST(authority, names_addresses_and_ports)
{
    static const char *const good[] = {"",
                                       "a",
                                       "a.example",
                                       "a:80",
                                       "a:",
                                       "a:65535",
                                       "127.0.0.1:8080",
                                       "_x-y.z~",
                                       "a%41b",
                                       "!$&'()*+,;=",
                                       "[::1]",
                                       "[::]:1",
                                       "[::1]:",
                                       "[2001:db8::1]:80",
                                       "[::ffff:1.2.3.4]",
                                       "[v1.a:b]",
                                       "[vF.x]:1",
                                       "xn--bcher-kva.de"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!valid(good[i])) fail_msg("refused: %s", good[i]);
}

TEST(authority, what_is_none_is_refused)
{
    static const char *const bad[] = {"x:abc",
                                      "x:80a",
                                      "x:-1",
                                      "x:65536",
                                      "x:99999999999999999999",
                                      "x:1:2",
                                      ":80",
                                      ":",
                                      "[::1",
                                      "[]",
                                      "[",
                                      "]",
                                      "[]:80",
                                      "[::1]x",
                                      "[::1]80",
                                      "[1.2.3.4]",
                                      "[::1%25eth0]",
                                      "[:::1]",
                                      "[g::1]",
                                      "::1",
                                      "x%zz",
                                      "x%4",
                                      "x%",
                                      "a b",
                                      "a/b",
                                      "user@host",
                                      "a\\b",
                                      "a\"b",
                                      "a<b>",
                                      "[v.x]",
                                      "[v1]",
                                      "[v1.]",
                                      "[v1.a/b]",
                                      "[vg.x]",
                                      "a[::1]",
                                      "\xc3\xa4",
                                      "[1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20:21]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (valid(bad[i])) fail_msg("taken: %s", bad[i]);
    assert_false(base_authority_is_valid((struct base_str){"a\0b", 3}));
    assert_false(base_authority_is_valid((struct base_str){"[::1\0]", 6}));
}

TEST(authority, a_host_that_can_be_connected_to)
{
    static const char *const good[] = {"a",     "a.example:1", "a_b-c.d~:65535",  "127.0.0.1:08080",
                                       "[::1]", "[::1]:80",    "[fe80::1%eth0]:1"};
    static const char *const bad[] = {
        "",   "a:",     "a:0",     "a:00",   "a:65536",  "a,b", "a%41", "*.a",   "[1.2.3.4]", "[v1.a:b]", "[]",
        "[:", "[::1%]", "[::1]:0", "user@a", "\xc3\xa4", ":1",  "::1",  "[::g]", "a b",       "a/b",      "[::1]:"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!base_authority_is_endpoint((struct base_str){good[i], strlen(good[i])})) fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (base_authority_is_endpoint((struct base_str){bad[i], strlen(bad[i])})) fail_msg("taken: %s", bad[i]);
}

TEST_MAIN
