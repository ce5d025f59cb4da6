/* Authorities (RFC 3986, section 3.2): what follows "Host:", and what stands in an absolute target. */
#include "eio_codec.h"
#include "guard.h"
#include "test.h"

static bool valid(const char *text)
{
    struct guard guard = {0};
    size_t n = strlen(text);
    const char *p = (const char *)guard_put(&guard, (const uint8_t *)text, n);
    bool result = eio__authority_valid((struct eio_str){p, n});
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
    assert_false(eio__authority_valid((struct eio_str){"a\0b", 3}));
    assert_false(eio__authority_valid((struct eio_str){"[::1\0]", 6}));
}

TEST_MAIN
