/* permessage-deflate: which offers are taken, and messages there and back (RFC 7692). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "packed.h"

#define BASE "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

static void offers_are_taken_or_declined_by_their_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *offers;
        int bits;
        const char *response;
    } cases[] = {
        {"permessage-deflate", 15, BASE},
        {"permessage-deflate; client_max_window_bits", 15, BASE},
        {"permessage-deflate; client_max_window_bits=10", 15, BASE},
        {"permessage-deflate; server_max_window_bits=10", 10, BASE "; server_max_window_bits=10"},
        {"permessage-deflate; server_max_window_bits=\"9\"", 9, BASE "; server_max_window_bits=9"},
        {"permessage-deflate;server_no_context_takeover ; client_no_context_takeover", 15, BASE},
        /* The first acceptable one counts. */
        {"permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=12", 12,
         BASE "; server_max_window_bits=12"},
        {"permessage-deflate; server_max_window_bits=8", 9, BASE "; server_max_window_bits=8"},
        {"permessage-deflate; client_max_window_bits=8", 15, BASE},
        {"x-other, permessage-deflate", 15, BASE},
        {"", 0, NULL},
        {"permessage-bzip2", 0, NULL},
        {"permessage-deflate; unknown", 0, NULL},
        {"permessage-deflate; server_max_window_bits", 0, NULL},
        {"permessage-deflate; server_max_window_bits=7", 0, NULL},
        {"permessage-deflate; server_max_window_bits=16", 0, NULL},
        {"permessage-deflate; server_max_window_bits=010", 0, NULL},
        {"permessage-deflate; client_max_window_bits=", 0, NULL},
        {"permessage-deflate; server_no_context_takeover=1", 0, NULL},
        {"permessage-deflate; client_max_window_bits; client_max_window_bits", 0, NULL},
        {"permessage-deflate;", 0, NULL},
        {",,;,", 0, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char response[EIO__DEFLATE_RESPONSE_BYTES];
        assert_int_equal(eio__deflate_negotiate(eio_str(cases[i].offers), response), cases[i].bits);
        if (cases[i].bits) assert_string_equal(response, cases[i].response);
    }
}

static void messages_survive_the_way_there_and_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {20, 1000, 40000, 1000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *text = malloc(sizes[i]), *packed, *unpacked;
        size_t packed_size, unpacked_size;
        struct eio__fault fault;
        for (size_t j = 0; j < sizes[i]; j++) text[j] = (uint8_t)("abcab"[j % 5] + j / 1000 % 7);
        for (int bits = 9; bits <= 15; bits++) {
            assert_true(deflate_whole(text, sizes[i], bits, 6, &packed, &packed_size));
            assert_true(packed_size < sizes[i]);
            assert_int_equal(inflate_whole(packed, packed_size, sizes[i], &unpacked, &unpacked_size, &fault), 0);
            assert_int_equal(unpacked_size, sizes[i]);
            assert_memory_equal(unpacked, text, sizes[i]);
            free(unpacked);
            /* One byte less is too little room. */
            assert_true(inflate_whole(packed, packed_size, sizes[i] - 1, &unpacked, &unpacked_size, &fault) < 0);
            assert_int_equal(fault.close_code, 1009);
            free(packed);
        }
        free(text);
    }
    eio__deflate_clear();
}

/* Read in pieces of one byte, so that what lies back must come out of the window. */
static void what_is_sent_for_8_bits_fits_a_window_of_256_bytes(void **state)
{
    (void)state;
    enum { SIZE = 100000 };
    uint8_t *text = malloc(SIZE), *packed, *unpacked = malloc(SIZE);
    char response[EIO__DEFLATE_RESPONSE_BYTES];
    int bits = eio__deflate_negotiate(eio_str("permessage-deflate; server_max_window_bits=8"), response);
    for (unsigned period = 1; period < 600; period += period < 240 || period > 270 ? 13 : 1) {
        for (size_t i = 0; i < SIZE; i++) text[i] = (uint8_t)(i % period * 7 + i / 5000 + i % period / 256);
        size_t packed_size;
        if (!deflate_whole(text, SIZE, bits, 9, &packed, &packed_size)) continue;
        z_stream stream = {0};
        assert_int_equal(inflateInit2(&stream, -8), Z_OK);
        stream.next_out = unpacked;
        for (size_t i = 0; i < packed_size || stream.next_out < unpacked + SIZE; i++) {
            static const uint8_t tail[] = {0, 0, 0xff, 0xff};
            assert_true(i < packed_size + sizeof tail);
            stream.next_in = (z_const Bytef *)(uintptr_t)(i < packed_size ? packed + i : tail + i - packed_size);
            stream.avail_in = 1;
            do {
                stream.avail_out = stream.next_out < unpacked + SIZE ? 1 : 0;
                int result = inflate(&stream, Z_SYNC_FLUSH);
                assert_true(result == Z_OK || result == Z_BUF_ERROR);
            } while (stream.avail_out == 0 && stream.next_out < unpacked + SIZE);
        }
        assert_memory_equal(unpacked, text, SIZE);
        inflateEnd(&stream);
        free(packed);
    }
    free(text);
    free(unpacked);
    eio__deflate_clear();
}

static void what_does_not_shrink_is_sent_as_it_is(void **state)
{
    (void)state;
    uint8_t noise[64], *packed;
    size_t packed_size;
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
    assert_false(deflate_whole(noise, sizeof noise, 15, 6, &packed, &packed_size));
    eio__deflate_clear();
}

static void broken_data_is_refused_and_the_next_message_is_read(void **state)
{
    (void)state;
    struct eio__fault fault;
    uint8_t *out = NULL;
    size_t size;
    static const uint8_t broken[] = {0xff, 0xff, 0xff, 0xff};
    assert_true(inflate_whole(broken, sizeof broken, 1000, &out, &size, &fault) < 0);
    assert_int_equal(fault.close_code, 1007);
    /* RFC 7692, section 7.2.3.1: "Hello". */
    static const uint8_t hello[] = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
    assert_int_equal(inflate_whole(hello, sizeof hello, 1000, &out, &size, &fault), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(out, "Hello", 5);
    free(out);
    /* Section 7.2.3.4: with a final block. */
    static const uint8_t final[] = {0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00};
    assert_int_equal(inflate_whole(final, sizeof final, 1000, &out, &size, &fault), 0);
    assert_int_equal(size, 5);
    free(out);
    /* Section 7.2.3.5: two blocks. */
    static const uint8_t two[] = {0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00};
    assert_int_equal(inflate_whole(two, sizeof two, 1000, &out, &size, &fault), 0);
    assert_int_equal(size, 5);
    free(out);
    /* Section 7.2.3.6: empty. */
    static const uint8_t empty[] = {0x00};
    assert_int_equal(inflate_whole(empty, sizeof empty, 1000, &out, &size, &fault), 0);
    assert_int_equal(size, 0);
    free(out);
    eio__deflate_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_are_taken_or_declined_by_their_parameters),
        cmocka_unit_test(messages_survive_the_way_there_and_back),
        cmocka_unit_test(what_is_sent_for_8_bits_fits_a_window_of_256_bytes),
        cmocka_unit_test(what_does_not_shrink_is_sent_as_it_is),
        cmocka_unit_test(broken_data_is_refused_and_the_next_message_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
