/* The record of a handover: there and back, and what is none. */
#include "test.h"

#include "eio_int.h"

#include <string.h>

static struct eio_http_handover sample(const char *address, size_t size, bool secure)
{
    struct eio_http_handover handover = {.fd = 3, .secure = secure, .size = size};
    snprintf(handover.address, sizeof handover.address, "%s", address);
    return handover;
}

TEST(handoff_codec, brings_back_what_was_encoded)
{
    static const char *const addresses[] = {"192.0.2.1", "2001:db8::1", "::1", "0.0.0.0",
                                            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
    static const size_t sizes[] = {0, 1, 255, 256, 65536, EIO_HANDOVER_BYTES_MAX};
    for (size_t a = 0; a < sizeof addresses / sizeof addresses[0]; a++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            uint8_t head[EIO__HANDOVER_HEAD_BYTES];
            struct eio_http_handover in = sample(addresses[a], sizes[s], s & 1), out;
            eio__handover_encode(&in, head);
            assert_true(eio__handover_decode(head, sizes[s], &out));
            assert_string_equal(out.address, addresses[a]);
            assert_int_equal(out.size, sizes[s]);
            assert_int_equal(out.secure, s & 1);
            assert_int_equal(out.fd, -1);
            assert_null(out.bytes);
        }
    }
}

TEST(handoff_codec, refuses_a_record_of_another_size_than_it_says)
{
    uint8_t head[EIO__HANDOVER_HEAD_BYTES];
    struct eio_http_handover in = sample("192.0.2.1", 1000, false), out;
    eio__handover_encode(&in, head);
    assert_true(eio__handover_decode(head, 1000, &out));
    assert_false(eio__handover_decode(head, 999, &out));
    assert_false(eio__handover_decode(head, 1001, &out));
    in.size = EIO_HANDOVER_BYTES_MAX + 1;
    eio__handover_encode(&in, head);
    assert_false(eio__handover_decode(head, in.size, &out));
}

/* Every byte of the head has one meaning: changed, it is another record (the flag, the address) or none. */
TEST(handoff_codec, refuses_what_it_does_not_know)
{
    uint8_t good[EIO__HANDOVER_HEAD_BYTES], bad[EIO__HANDOVER_HEAD_BYTES];
    struct eio_http_handover in = sample("192.0.2.1", 7, false), out;
    eio__handover_encode(&in, good);
    for (size_t i = 0; i < sizeof good; i++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(bad, good, sizeof good);
            bad[i] ^= (uint8_t)(1 << bit);
            if (!eio__handover_decode(bad, 7, &out)) continue;
            bool is_flag = (i == 5 && bit == 0) || i == 6 /* hops */ || (i == 7 && bit < 3) /* door */,
                 is_address = i >= 12 && i <= 12 + 9; /* blanks around it do not count */
            assert_true(is_flag || is_address);
            uint8_t again[EIO__HANDOVER_HEAD_BYTES];
            eio__handover_encode(&out, again);
            if (is_flag) assert_memory_equal(again, bad, sizeof bad);
        }
    }
}

TEST(handoff_codec, refuses_an_address_that_is_none)
{
    static const char *const bad[] = {"", "localhost", "192.0.2", "192.0.2.1.5", "2001:db8:::1", "a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t head[EIO__HANDOVER_HEAD_BYTES];
        struct eio_http_handover in = sample(bad[i], 7, false), out;
        eio__handover_encode(&in, head);
        assert_false(eio__handover_decode(head, 7, &out));
    }
    uint8_t head[EIO__HANDOVER_HEAD_BYTES];
    struct eio_http_handover in = sample("192.0.2.1", 7, false), out;
    eio__handover_encode(&in, head);
    memset(head + 12, '1', 46); /* not terminated */
    assert_false(eio__handover_decode(head, 7, &out));
}

TEST_MAIN
