/* Base64 both ways. libsodium's judges what is well-formed; what Node makes of the rest is in the vectors here, and in
 * clients.decoders, which asks it. */
#include "base_base64.h"
#include "eio_codec.h"
#include "guard.h"
#include "test.h"

#include <sodium.h>

static void assert_decoded(const char *text, size_t n, const uint8_t *expected, size_t expected_size)
{
    struct guard guard = {0};
    uint8_t *p = guard_put(&guard, (const uint8_t *)text, n);
    size_t size = eio__base64_decode(p, n);
    if (size != expected_size || (size && memcmp(p, expected, size) != 0)) fail_msg("%.*s", (int)n, text);
    guard_free(&guard);
}

TEST(base64, what_is_no_digit_is_skipped_and_padding_ends_it_as_in_node)
{
    static const struct {
        const char *text, *bytes;
        size_t size;
    } cases[] = {
        {"AQIDBA==", "\1\2\3\4", 4},
        {"AQIDBA", "\1\2\3\4", 4},
        {"AQIDBA=", "\1\2\3\4", 4},
        {"AQIDBA==\n", "\1\2\3\4", 4},
        {"AQ\nID\r\nB A\t==\n", "\1\2\3\4", 4},
        {"\nAQIDBA", "\1\2\3\4", 4},
        {"A!Q@I#D$B%A^", "\1\2\3\4", 4},
        {"\xc3\xa9"
         "AQID\xf0\x9f\x98\x80"
         "BA",
         "\1\2\3\4", 4},
        {"-_+/", "\xfb\xff\xbf", 3},
        {"-_-_", "\xfb\xff\xbf", 3},
        {"AQID=AQID", "\1\2\3", 3},
        {"AQIDB=AQID", "\1\2\3", 3},
        {"AQ==AQID", "\1", 1},
        {"AQ=", "\1", 1},
        {"AR==", "\1", 1},
        {"AQ", "\1", 1},
        {"A", "", 0},
        {"A===", "", 0},
        {"====AQID", "", 0},
        {"\n", "", 0},
        {"", "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_decoded(cases[i].text, strlen(cases[i].text), (const uint8_t *)cases[i].bytes, cases[i].size);
    assert_decoded("AQ\0ID", 5, (const uint8_t *)"\1\2\3", 3);
}

TEST(base64, every_byte_but_a_digit_and_the_padding_is_skipped)
{
    for (int c = 0; c < 256; c++) {
        bool digit = c < 128 && c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_", c);
        if (digit || c == '=') continue;
        const char text[] = {'A', 'Q', (char)c, 'I', 'D'};
        assert_decoded(text, sizeof text, (const uint8_t *)"\1\2\3", 3);
    }
}

static uint64_t seed = 7;

static uint32_t roll(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

TEST(base64, what_is_written_is_what_libsodium_writes_and_reads_back)
{
    for (size_t n = 0; n < 600; n++) {
        uint8_t bytes[600];
        for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)roll(256);
        char expected[900];
        sodium_bin2base64(expected, sizeof expected, bytes, n, sodium_base64_VARIANT_ORIGINAL);
        struct guard guard = {0};
        size_t size = eio__base64_size(n);
        assert_int_equal(size, strlen(expected));
        uint8_t *out = guard_put(&guard, (const uint8_t *)expected, size);
        memset(out, 0, size);
        assert_ptr_equal(eio__base64_put(out, bytes, n), out + size);
        assert_memory_equal(out, expected, size);
        assert_decoded(expected, size, bytes, n);
        guard_free(&guard);
    }
}

TEST_MAIN

/* ------------------------------------------------------------ the alphabet for URLs */

enum { BYTES = 66 };

TEST(base64, writes_as_libsodium)
{
    uint8_t bytes[BYTES];
    char expected[BYTES * 2], out[BYTES * 2];
    for (size_t n = 0; n <= sizeof bytes; n++) {
        for (int round = 0; round < 50; round++) {
            randombytes_buf(bytes, sizeof bytes);
            sodium_bin2base64(expected, sizeof expected, bytes, n, sodium_base64_VARIANT_ORIGINAL);
            *base_base64_put(out, bytes, n) = '\0';
            assert_string_equal(out, expected);
            sodium_bin2base64(expected, sizeof expected, bytes, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
            *base_base64url_put(out, bytes, n) = '\0';
            assert_string_equal(out, expected);
        }
    }
}

static bool reads_as_libsodium(const char *text, size_t n)
{
    uint8_t expected[BYTES], out[BYTES];
    size_t size;
    memset(out, 0, sizeof out);
    bool good = sodium_base642bin(expected, sizeof expected, text, n, NULL, &size, NULL,
                                  sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0;
    /* libsodium 1.0.18 takes some bytes above 127. */
    for (size_t i = 0; i < n; i++) good = good && (uint8_t)text[i] < 0x80;
    if (base_base64url_read(out, text, n) != good) return false;
    return !good || (size == n * 3 / 4 && memcmp(out, expected, size) == 0);
}

TEST(base64, reads_and_refuses_as_libsodium)
{
    uint8_t bytes[BYTES];
    char text[BYTES * 2];
    for (size_t n = 0; n <= 24; n++) {
        randombytes_buf(bytes, sizeof bytes);
        size_t size = (size_t)(base_base64url_put(text, bytes, n) - text);
        assert_true(reads_as_libsodium(text, size));
        /* Every byte in every place, and every length. */
        for (size_t at = 0; at < size; at++) {
            char before = text[at];
            assert_true(reads_as_libsodium(text, at));
            for (int c = 0; c < 256; c++) {
                text[at] = (char)c;
                assert_true(reads_as_libsodium(text, size));
            }
            text[at] = before;
        }
    }
}
