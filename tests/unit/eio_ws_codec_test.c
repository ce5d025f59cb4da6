/* WebSocket frames as a server reads them. Sections are those of RFC 6455. Most input is masked with zeros, which
 * leaves the payload readable; that masks are applied has tests of its own. */
#include "ws_trace.h"
#include "test.h"

#define M "00 00 00 00 "

/* ------------------------------------------------------------------------------------- 5.2 and 5.3: base framing */

TEST(ws_frame, the_masked_example_of_section_5_7)
{
    TRACE(ws_decoder, "81 85 37 fa 21 3d 7f 9f 4d 51 58", "text \"Hello\"\n");
}

TEST(ws_frame, empty_messages)
{
    TRACE(ws_decoder, "81 80" M, "text \"\"\n");
    TRACE(ws_decoder, "82 80 12 34 56 78", "binary \"\"\n");
}

TEST(ws_frame, many_frames_in_one_read)
{
    TRACE(ws_decoder, "81 81" M "61  82 81" M "62  89 80" M "  81 82" M "63 64  8a 81" M "65  81 81" M "66",
          "text \"a\"\nbinary \"b\"\nping \"\"\ntext \"cd\"\npong \"e\"\ntext \"f\"\n");
}

TEST(ws_frame, unmasked_client_frame_is_refused)
{
    TRACE(ws_decoder, "81 05  48 65 6c 6c 6f", "error EIO_EPROTO 1002 at byte 1: client frame is not masked\n");
    TRACE(ws_decoder, "89 00", "error EIO_EPROTO 1002 at byte 1: client frame is not masked\n");
    TRACE(ws_decoder, "81 81" M "61  81 01 62",
          "text \"a\"\nerror EIO_EPROTO 1002 at byte 8: client frame is not masked\n");
}

TEST(ws_frame, reserved_bits_are_refused_at_the_first_byte)
{
    TRACE(ws_decoder, "c1", "error EIO_EPROTO 1002 at byte 0: reserved bit is set\n");
    TRACE(ws_decoder, "a1", "error EIO_EPROTO 1002 at byte 0: reserved bit is set\n");
    TRACE(ws_decoder, "91", "error EIO_EPROTO 1002 at byte 0: reserved bit is set\n");
    TRACE(ws_decoder, "c9 80" M, "error EIO_EPROTO 1002 at byte 0: reserved bit is set\n");
    TRACE(ws_decoder, "01 81" M "61  c0", "error EIO_EPROTO 1002 at byte 7: reserved bit is set\n");
}

TEST(ws_frame, reserved_opcodes_are_refused_at_the_first_byte)
{
    static const uint8_t reserved[] = {0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF};
    for (size_t i = 0; i < sizeof reserved; i++) {
        uint8_t frame[] = {0x80 | reserved[i], 0x80, 0, 0, 0, 0};
        TRACE_BYTES(ws_decoder, frame, sizeof frame, "error EIO_EPROTO 1002 at byte 0: reserved opcode\n");
        frame[0] = reserved[i];
        TRACE_BYTES(ws_decoder, frame, sizeof frame, "error EIO_EPROTO 1002 at byte 0: reserved opcode\n");
    }
}

TEST(ws_frame, lengths_of_16_and_64_bits)
{
    TRACE(ws_decoder, "82 fe 00 03" M "61 62 63", "binary \"abc\"\n"); /* longer than needed, but clear */
    TRACE(ws_decoder, "82 ff 00 00 00 00 00 00 00 03" M "61 62 63", "binary \"abc\"\n");
    TRACE(ws_decoder, "82 fe 00 00" M, "binary \"\"\n");
    TRACE(ws_decoder, "82 ff 00 00 00 00 00 00 00 00" M, "binary \"\"\n");
}

TEST(ws_frame, length_with_the_top_bit_is_a_protocol_error)
{
    TRACE(ws_decoder, "82 ff 80 00 00 00 00 00 00 00", "error EIO_EPROTO 1002 at byte 2: length has its top bit set\n");
}

/* Writes a client frame; the mask may be NULL for zeros. */
static size_t put_frame(uint8_t *out, uint8_t first, const uint8_t *p, size_t n, const uint8_t *mask)
{
    size_t at = 2;
    out[0] = first;
    if (n < 126) {
        out[1] = (uint8_t)(0x80 | n);
    } else if (n < 65536) {
        out[1] = 0xFE;
        out[at++] = (uint8_t)(n >> 8);
        out[at++] = (uint8_t)n;
    } else {
        out[1] = 0xFF;
        for (int shift = 56; shift >= 0; shift -= 8) out[at++] = (uint8_t)((uint64_t)n >> shift);
    }
    for (size_t i = 0; i < 4; i++) out[at++] = mask ? mask[i] : 0;
    for (size_t i = 0; i < n; i++) out[at++] = (uint8_t)(p[i] ^ (mask ? mask[i % 4] : 0));
    return at;
}

static void log_event(struct trace_log *log, const char *name, const uint8_t *p, size_t n)
{
    trace_printf(log, "%s ", name);
    trace_bytes(log, p, n);
    trace_printf(log, "\n");
}

TEST(ws_frame, every_size_is_unmasked_to_the_last_byte)
{
    static const size_t large[] = {1000, 4096, 65535, 65536, 65537, 100001};
    static const uint8_t mask[] = {0xA1, 0x02, 0xFF, 0x7C};
    uint8_t *payload = malloc(100001), *frame = malloc(100100);
    assert_true(payload && frame);
    for (size_t i = 0; i < 100001; i++) payload[i] = (uint8_t)(i * 167 + i / 251);
    for (size_t i = 0; i < 300 + sizeof large / sizeof *large; i++) {
        size_t n = i < 300 ? i : large[i - 300];
        struct trace_log log = {0};
        log_event(&log, "binary", payload, n);
        size_t size = put_frame(frame, 0x82, payload, n, mask);
        bool cut_everywhere = n < 70 || n == 125 || n == 126 || n == 127;
        if (cut_everywhere) TRACE_BYTES(ws_decoder, frame, size, trace_text(&log));
        assert_true(trace_expect(&ws_decoder, frame, size, NULL, 0, trace_text(&log)));
        for (size_t cut = 1; cut < size; cut += 1 + size / 7)
            assert_true(trace_expect(&ws_decoder, frame, size, &cut, 1, trace_text(&log)));
        trace_clear(&log);
    }
    free(payload);
    free(frame);
}

TEST(ws_frame, incomplete_frames_wait)
{
    TRACE(ws_decoder, "", "");
    TRACE(ws_decoder, "81", "incomplete\n");
    TRACE(ws_decoder, "81 81", "incomplete\n");
    TRACE(ws_decoder, "81 81 00 00 00", "incomplete\n");
    TRACE(ws_decoder, "81 81" M, "incomplete\n");
    TRACE(ws_decoder, "82 ff 00 00 00 00 00 00 00", "incomplete\n");
    TRACE(ws_decoder, "89 82" M "61", "incomplete\n");
    TRACE(ws_decoder, "01 81" M "61", "incomplete\n");
}

/* -------------------------------------------------------------------------------------------- 5.4: fragmentation */

TEST(ws_fragments, are_one_message)
{
    TRACE(ws_decoder, "01 83" M "48 65 6c  80 82" M "6c 6f", "text \"Hello\"\n");
    TRACE(ws_decoder, "02 81" M "01  00 81" M "02  00 80" M "  80 81" M "03", "binary \"\\x01\\x02\\x03\"\n");
    TRACE(ws_decoder, "01 80" M "  00 80" M "  80 80" M, "text \"\"\n");
}

TEST(ws_fragments, let_control_frames_through_in_order)
{
    TRACE(ws_decoder, "01 81" M "61  89 81" M "70  00 81" M "62  8a 80" M "  80 81" M "63  81 81" M "64",
          "ping \"p\"\npong \"\"\ntext \"abc\"\ntext \"d\"\n");
}

TEST(ws_fragments, a_close_inside_a_message_is_delivered)
{
    TRACE(ws_decoder, "01 81" M "61  88 82" M "03 e8", "close \"\\x03\\xe8\"\nincomplete\n");
}

TEST(ws_fragments, a_continuation_needs_a_beginning)
{
    TRACE(ws_decoder, "80 80" M, "error EIO_EPROTO 1002 at byte 0: continuation without a message\n");
    TRACE(ws_decoder, "00", "error EIO_EPROTO 1002 at byte 0: continuation without a message\n");
    TRACE(ws_decoder, "01 80" M "  80 80" M "  80",
          "text \"\"\nerror EIO_EPROTO 1002 at byte 12: continuation without a message\n");
    TRACE(ws_decoder, "89 80" M "  80", "ping \"\"\nerror EIO_EPROTO 1002 at byte 6: continuation without a message\n");
}

TEST(ws_fragments, a_message_may_not_begin_inside_another)
{
    TRACE(ws_decoder, "01 81" M "61  81 81" M "62",
          "error EIO_EPROTO 1002 at byte 7: new message inside a fragmented one\n");
    TRACE(ws_decoder, "02 80" M "  02", "error EIO_EPROTO 1002 at byte 6: new message inside a fragmented one\n");
}

TEST(ws_fragments, are_limited_in_number_of_each_message)
{
    struct eio__ws_limits before = ws_limits;
    ws_limits.max_fragments = 3;
    TRACE(ws_decoder, "01 80" M "  00 80" M "  80 81" M "61  01 80" M "  00 80" M "  80 81" M "62",
          "text \"a\"\ntext \"b\"\n");
    TRACE(ws_decoder, "01 80" M "  00 80" M "  89 80" M "  00 80" M "  80",
          "ping \"\"\nerror EIO_EPROTO 1008 at byte 24: too many fragments\n");
    ws_limits = before;
}

static size_t delivered;

static int count_message(void *ctx, enum eio_kind kind, uint8_t *p, size_t n)
{
    (void)ctx, (void)kind, (void)p;
    delivered = n;
    return 0;
}

static int ignore_control(void *ctx, enum eio__ws_opcode opcode, const uint8_t *p, size_t n)
{
    (void)ctx, (void)opcode, (void)p, (void)n;
    return 0;
}

TEST(ws_fragments, of_no_or_one_byte_do_not_cost_memory)
{
    static const struct eio__ws_events events = {count_message, ignore_control};
    static const struct eio__ws_limits limits = {.max_message_bytes = 1 << 20, .max_fragments = 65536};
    struct eio__ws_partial *partial = NULL;
    struct eio__fault fault;
    for (size_t i = 0; i < 65536; i++) {
        uint8_t frame[] = {i == 65535 ? 0x80 : i ? 0x00 : 0x01, i & 1 ? 0x81 : 0x80, 0, 0, 0, 0, 'x'};
        size_t held = ws_partial_bytes(partial);
        assert_true(held < 1024 + i);
        assert_int_equal(eio__ws_decode(&partial, &limits, &events, NULL, frame, 6 + (i & 1), &fault), 0);
    }
    assert_null(partial);
    assert_int_equal(delivered, 32768);
}

/* ------------------------------------------------------------------------------------------- 5.5: control frames */

TEST(ws_control, frames_carry_up_to_125_bytes)
{
    uint8_t payload[126], frame[140];
    struct trace_log log = {0};
    memset(payload, 'p', sizeof payload);
    log_event(&log, "ping", payload, 125);
    size_t n = put_frame(frame, 0x89, payload, 125, (const uint8_t *)"mask");
    TRACE_BYTES(ws_decoder, frame, n, trace_text(&log));
    trace_clear(&log);
    n = put_frame(frame, 0x89, payload, 126, NULL);
    TRACE_BYTES(ws_decoder, frame, n, "error EIO_EPROTO 1002 at byte 1: control frame is too long\n");
    TRACE(ws_decoder, "88 ff", "error EIO_EPROTO 1002 at byte 1: control frame is too long\n");
}

TEST(ws_control, frames_may_not_be_fragmented)
{
    TRACE(ws_decoder, "09 80" M, "error EIO_EPROTO 1002 at byte 0: control frame is fragmented\n");
    TRACE(ws_decoder, "08", "error EIO_EPROTO 1002 at byte 0: control frame is fragmented\n");
    TRACE(ws_decoder, "01 80" M "  0a", "error EIO_EPROTO 1002 at byte 6: control frame is fragmented\n");
}

TEST(ws_control, payloads_of_pings_are_bytes)
{
    TRACE(ws_decoder, "89 83" M "ff 00 c3", "ping \"\\xff\\x00\\xc3\"\n");
}

/* -------------------------------------------------------------------------------------- 5.5.1 and 7.4: the close */

TEST(ws_close, may_have_no_payload_or_a_code_or_a_reason)
{
    TRACE(ws_decoder, "88 80" M, "close \"\"\n");
    TRACE(ws_decoder, "88 82" M "03 e8", "close \"\\x03\\xe8\"\n");
    TRACE(ws_decoder, "88 85" M "03 e8 62 79 65", "close \"\\x03\\xe8bye\"\n");
}

TEST(ws_close, half_a_code_is_refused)
{
    TRACE(ws_decoder, "88 81" M "03", "error EIO_EPROTO 1002 at byte 1: close frame with a one-byte code\n");
}

TEST(ws_close, codes_that_must_not_be_sent_are_refused)
{
    for (unsigned code = 0; code < 65536; code++) {
        bool registered = code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
        bool allowed = registered || (code >= 3000 && code <= 4999);
        uint8_t frame[] = {0x88, 0x82, 0, 0, 0, 0, (uint8_t)(code >> 8), (uint8_t)code};
        struct trace_log log = {0};
        if (allowed)
            log_event(&log, "close", frame + 6, 2);
        else
            trace_printf(&log, "error EIO_EPROTO 1002 at byte 7: close code is not allowed\n");
        assert_true(trace_expect(&ws_decoder, frame, sizeof frame, NULL, 0, trace_text(&log)));
        size_t cut = 7;
        if (code < 5100) assert_true(trace_expect(&ws_decoder, frame, sizeof frame, &cut, 1, trace_text(&log)));
        trace_clear(&log);
    }
}

/* wslay checks such a reason from its start at each piece, and so refuses a character that was cut. */
TEST(ws_close, reasons_are_utf8)
{
    TRACE(ws_decoder, "88 85" M "03 e8 e2 82 ac", "close \"\\x03\\xe8\\xe2\\x82\\xac\"\n");
    TRACE(ws_decoder, "88 84" M "03 e8 e2 82", "error EIO_EUTF8 1007 at byte 9: close reason is not valid UTF-8\n");
    TRACE(ws_decoder, "88 83" M "03 e8 ff", "error EIO_EUTF8 1007 at byte 8: close reason is not valid UTF-8\n");
}

/* --------------------------------------------------------------------------------------------- 5.6 and 8.1: text */

TEST(ws_text, is_valid_utf8)
{
    TRACE(ws_decoder, "81 86" M "ce ba e1 bd b9 cf", "error EIO_EUTF8 1007 at byte 11: text ends inside a character\n");
    TRACE(ws_decoder, "81 82" M "ce ba", "text \"\\xce\\xba\"\n");
    TRACE(ws_decoder, "82 82" M "ff ce", "binary \"\\xff\\xce\"\n");
    TRACE(ws_decoder, "81 83" M "ed a0 80", "error EIO_EUTF8 1007 at byte 7: text is not valid UTF-8\n");
}

TEST(ws_text, characters_may_be_cut_by_fragments)
{
    TRACE(ws_decoder, "01 81" M "f0  00 81" M "9f  00 80" M "  89 80" M "  80 82" M "98 80",
          "ping \"\"\ntext \"\\xf0\\x9f\\x98\\x80\"\n");
    TRACE(ws_decoder, "01 81" M "e2  80 81" M "41", "error EIO_EUTF8 1007 at byte 13: text is not valid UTF-8\n");
    TRACE(ws_decoder, "01 81" M "e2  80 80" M, "error EIO_EUTF8 1007 at byte 12: text ends inside a character\n");
}

TEST(ws_text, the_next_message_starts_afresh)
{
    TRACE(ws_decoder, "01 82" M "61 c3  80 81" M "a4  01 80" M "  80 82" M "c3 a4",
          "text \"a\\xc3\\xa4\"\ntext \"\\xc3\\xa4\"\n");
}

/* Section 8.1 only wants the connection failed; Autobahn 6.4 wants it failed at once. */
TEST(ws_text, a_bad_byte_fails_before_its_frame_is_complete)
{
    TRACE(ws_decoder, "81 fe 10 00" M "61 62 f4 90", "error EIO_EUTF8 1007 at byte 11: text is not valid UTF-8\n");
    TRACE(ws_decoder, "01 82" M "61 62  00 8f" M "63 c0", "error EIO_EUTF8 1007 at byte 15: text is not valid UTF-8\n");
}

TEST(ws_text, a_bad_byte_is_placed_in_long_masked_text)
{
    uint8_t text[200], frame[220];
    for (size_t at = 0; at < sizeof text; at++) {
        memset(text, 'x', sizeof text);
        text[at] = 0x80;
        size_t n = put_frame(frame, 0x81, text, sizeof text, (const uint8_t *)"\x12\xAB\x80\xFF");
        char expected[80];
        snprintf(expected, sizeof expected, "error EIO_EUTF8 1007 at byte %zu: text is not valid UTF-8\n", 8 + at);
        assert_true(trace_expect(&ws_decoder, frame, n, NULL, 0, expected));
        for (size_t cut = 8 + at % 9; cut < n; cut += 17)
            assert_true(trace_expect(&ws_decoder, frame, n, &cut, 1, expected));
    }
}

/* ------------------------------------------------------------------------------------------- 10.4: size limits */

TEST(ws_limit, messages_up_to_the_limit_pass_and_larger_ones_fail_with_their_header)
{
    struct eio__ws_limits before = ws_limits;
    ws_limits.max_message_bytes = 4;
    TRACE(ws_decoder, "81 84" M "61 62 63 64", "text \"abcd\"\n");
    TRACE(ws_decoder, "81 85", "error EIO_ETOOBIG 1009 at byte 1: message is too big\n");
    TRACE(ws_decoder, "81 85" M "61 62 63 64 65", "error EIO_ETOOBIG 1009 at byte 1: message is too big\n");
    TRACE(ws_decoder, "82 fe 00 05", "error EIO_ETOOBIG 1009 at byte 3: message is too big\n");
    TRACE(ws_decoder, "82 ff 00 00 00 00 00 00 00 05", "error EIO_ETOOBIG 1009 at byte 9: message is too big\n");
    TRACE(ws_decoder, "82 ff 7f ff ff ff ff ff ff ff", "error EIO_ETOOBIG 1009 at byte 9: message is too big\n");
    TRACE(ws_decoder, "02 83" M "61 62 63  00 80" M "  80 81" M "64", "binary \"abcd\"\n");
    TRACE(ws_decoder, "02 83" M "61 62 63  80 82", "error EIO_ETOOBIG 1009 at byte 10: message is too big\n");
    TRACE(ws_decoder, "02 84" M "61 62 63 64  80 ff ff",
          "error EIO_EPROTO 1002 at byte 12: length has its top bit set\n");
    TRACE(ws_decoder, "89 85" M "61 62 63 64 65", "ping \"abcde\"\n");
    ws_limits = before;
}

TEST(ws_limit, a_claimed_length_reserves_nothing)
{
    static const struct eio__ws_events events = {count_message, ignore_control};
    static const struct eio__ws_limits limits = {.max_message_bytes = SIZE_MAX, .max_fragments = 1};
    uint8_t frame[] = {0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4, 5};
    struct eio__ws_partial *partial = NULL;
    struct eio__fault fault;
    assert_int_equal(eio__ws_decode(&partial, &limits, &events, NULL, frame, sizeof frame, &fault), 0);
    assert_non_null(partial);
    assert_true(ws_partial_bytes(partial) < 1024);
    eio__ws_partial_free(partial);
}

TEST(ws_limit, bounds_what_a_fragmented_message_reserves)
{
    static const struct eio__ws_events events = {count_message, ignore_control};
    static const struct eio__ws_limits limits = {.max_message_bytes = 3000, .max_fragments = 2};
    uint8_t frame[8 + 2000] = {0x02, 0xFE, 2000 >> 8, 2000 & 0xFF};
    struct eio__ws_partial *partial = NULL;
    struct eio__fault fault;
    assert_int_equal(eio__ws_decode(&partial, &limits, &events, NULL, frame, sizeof frame, &fault), 0);
    assert_true(ws_partial_bytes(partial) < 3000 + 512);
    eio__ws_partial_free(partial);
}

/* ------------------------------------------------------------------------------- RFC 7692: permessage-deflate */

/* The examples of section 7.2.3: "Hello" in one frame, in two, without compression inside, with a final block. */
TEST(ws_deflate, messages_are_inflated_however_they_are_fragmented_and_cut)
{
    ws_limits.deflate = true;
    TRACE(ws_decoder, "c1 87" M "f2 48 cd c9 c9 07 00", "text \"Hello\"\n");
    TRACE(ws_decoder, "41 83" M "f2 48 cd  89 80" M "  80 84" M "c9 c9 07 00  81 81" M "61",
          "ping \"\"\ntext \"Hello\"\ntext \"a\"\n");
    TRACE(ws_decoder, "c2 8b" M "00 05 00 fa ff 48 65 6c 6c 6f 00", "binary \"Hello\"\n");
    TRACE(ws_decoder, "c1 88" M "f3 48 cd c9 c9 07 00 00", "text \"Hello\"\n");
    TRACE(ws_decoder, "c1 81" M "00", "text \"\"\n");
    ws_limits.deflate = false;
}

TEST(ws_deflate, only_the_first_frame_of_a_message_has_the_bit)
{
    ws_limits.deflate = true;
    TRACE(ws_decoder, "41 83" M "f2 48 cd  c0", "error EIO_EPROTO 1002 at byte 9: reserved bit is set\n");
    TRACE(ws_decoder, "c9", "error EIO_EPROTO 1002 at byte 0: reserved bit is set\n");
    TRACE(ws_decoder, "a1", "error EIO_EPROTO 1002 at byte 0: reserved bit is set\n");
    TRACE(ws_decoder, "d1", "error EIO_EPROTO 1002 at byte 0: reserved bit is set\n");
    ws_limits.deflate = false;
}

static int paused_messages;
static bool paused_now;

static int expect_in_order(void *ctx, enum eio_kind kind, uint8_t *p, size_t n)
{
    /* First the compressed one, then those that were given during the pause. */
    static const char *const expected[] = {"Hello", "a", "b"};
    (void)ctx;
    (void)kind;
    assert_int_equal(n, strlen(expected[paused_messages]));
    assert_memory_equal(p, expected[paused_messages++], n);
    return 0;
}

static bool unless_paused(void *ctx, size_t done)
{
    (void)ctx;
    (void)done;
    return !paused_now;
}

TEST(ws_deflate, what_is_given_during_a_pause_comes_after_it)
{
    static const struct eio__ws_events events = {expect_in_order, NULL, unless_paused};
    struct eio__ws_limits limits = {.max_message_bytes = 1000, .max_fragments = 4, .deflate = true};
    struct eio__ws_partial *partial = NULL;
    struct eio__fault fault = {0};
    uint8_t hello[] = {0xc1, 0x87, 0, 0, 0, 0, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x81};
    uint8_t rest[] = {0x81, 0, 0, 0, 0, 'a', 0x81, 0x81, 0, 0, 0, 0, 'b'};
    paused_messages = 0;
    paused_now = true;
    assert_int_equal(eio__ws_decode(&partial, &limits, &events, NULL, hello, sizeof hello, &fault), EIO__WS_PAUSED);
    assert_int_equal(eio__ws_decode(&partial, &limits, &events, NULL, rest, 7, &fault), EIO__WS_PAUSED);
    assert_int_equal(eio__ws_resume(&partial, &limits, &events, NULL, &fault), EIO__WS_PAUSED);
    assert_int_equal(eio__ws_decode(&partial, &limits, &events, NULL, rest + 7, sizeof rest - 7, &fault),
                     EIO__WS_PAUSED);
    assert_int_equal(paused_messages, 0);
    paused_now = false;
    assert_int_equal(eio__ws_resume(&partial, &limits, &events, NULL, &fault), EIO__WS_CONSUMED);
    assert_int_equal(paused_messages, 3);
    assert_null(partial);
}

TEST(ws_deflate, what_comes_out_is_limited_and_text)
{
    struct eio__ws_limits before = ws_limits;
    ws_limits.deflate = true;
    TRACE(ws_decoder, "c1 82" M "ff ff", "error EIO_EPROTO 1007 at byte 7: corrupt compressed data\n");
    TRACE(ws_decoder, "c1 87" M "00 01 00 fe ff ff 00", "error EIO_EUTF8 1007 at byte 12: text is not valid UTF-8\n");
    TRACE(ws_decoder, "c1 87" M "00 01 00 fe ff c3 00",
          "error EIO_EUTF8 1007 at byte 12: text ends inside a character\n");
    ws_limits.max_message_bytes = 7;
    TRACE(ws_decoder, "c1 87" M "f2 48 cd c9 c9 07 00", "text \"Hello\"\n");
    TRACE(ws_decoder, "c1 86" M "4a 4c 84 00 00 00",
          "error EIO_ETOOBIG 1009 at byte 11: message is larger than the limit\n");
    ws_limits = before;
}

/* -------------------------------------------------------------------------------------------------- the contract */

TEST(ws_decoder, is_at_rest_between_messages)
{
    eio__ws_partial_free(NULL);
    /* "incomplete" is logged whenever something is held at the end. */
    TRACE(ws_decoder, "01 81" M "61  89 83" M "01 02 03  80 81" M "62  89 81" M "01  81 81" M "63",
          "ping \"\\x01\\x02\\x03\"\ntext \"ab\"\nping \"\\x01\"\ntext \"c\"\n");
}

TEST(ws_decoder, touches_nothing_after_a_callback_has_stopped_it)
{
    static const char wire[] = "81 81" M "61  01 81" M "62  89 82" M "70 71  80 81" M "63  88 80" M "  81 81" M "64";
    static const char *const logs[] = {
        "text \"a\"\nstopped\n",
        "text \"a\"\nping \"pq\"\nstopped\n",
        "text \"a\"\nping \"pq\"\ntext \"bc\"\nstopped\n",
        "text \"a\"\nping \"pq\"\ntext \"bc\"\nclose \"\"\nstopped\n",
    };
    for (size_t i = 0; i < 4; i++) {
        ws_stop_after = i + 1;
        TRACE(ws_decoder, wire, logs[i]);
    }
    ws_stop_after = 0;
}

/* -------------------------------------------------------------------------------- any conversation, cut anywhere */

static uint64_t seed = 42;

static uint32_t roll(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

struct script {
    uint8_t *wire;
    size_t n;
    struct trace_log log;
};

/* Frames as any client may write them: with lengths in any of the three forms that fit. */
static void add_frame(struct script *script, uint8_t first, const uint8_t *p, size_t n)
{
    uint8_t mask[4], *out = script->wire + script->n;
    size_t at = 2;
    unsigned form = first & 0x08 ? 0 : roll(3);
    if (form == 0 && n >= 126) form = 1;
    out[0] = first;
    out[1] = (uint8_t)(0x80 | (form == 0 ? n : form == 1 ? 126 : 127));
    for (int shift = form == 0 ? -8 : form == 1 ? 8 : 56; shift >= 0; shift -= 8)
        out[at++] = (uint8_t)((uint64_t)n >> shift);
    for (size_t i = 0; i < 4; i++) out[at++] = mask[i] = (uint8_t)roll(256);
    for (size_t i = 0; i < n; i++) out[at++] = p[i] ^ mask[i & 3];
    script->n += at;
}

static void add_control(struct script *script)
{
    uint8_t payload[125];
    size_t n = roll(4) ? roll(9) : roll(126);
    for (size_t i = 0; i < n; i++) payload[i] = (uint8_t)roll(256);
    bool ping = roll(2);
    add_frame(script, ping ? 0x89 : 0x8A, payload, n);
    log_event(&script->log, ping ? "ping" : "pong", payload, n);
}

static size_t random_payload(uint8_t *payload, bool text)
{
    static const char *const characters[] = {"a", "Z", " ", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    size_t n = 0, length = roll(3) ? roll(60) : roll(700);
    bool ascii = roll(2);
    for (size_t i = 0; i < length; i++) {
        const char *character = characters[roll(ascii ? 3 : 6)];
        if (!text)
            payload[n++] = (uint8_t)roll(256);
        else
            while (*character) payload[n++] = (uint8_t)*character++;
    }
    return n;
}

static void add_message(struct script *script)
{
    uint8_t payload[2800];
    bool text = roll(2);
    size_t n = random_payload(payload, text), at = 0, fragments = roll(2) ? 1 : 1 + roll(6);
    for (size_t i = 0; i < fragments; i++) {
        bool last = i + 1 == fragments;
        size_t piece = last ? n - at : roll((uint32_t)(n - at + 1));
        uint8_t opcode = i ? 0 : text ? 1 : 2;
        add_frame(script, (uint8_t)(opcode | (last ? 0x80 : 0)), payload + at, piece);
        at += piece;
        if (!last && roll(3) == 0) add_control(script);
    }
    log_event(&script->log, text ? "text" : "binary", payload, n);
}

TEST(ws_decoder, gives_back_any_conversation_however_it_is_fragmented_and_cut)
{
    struct script script = {.wire = malloc(1 << 17)};
    assert_non_null(script.wire);
    for (unsigned round = 0; round < 3000; round++) {
        script.n = 0;
        for (size_t i = 1 + roll(12); i > 0; i--) {
            if (roll(4))
                add_message(&script);
            else
                add_control(&script);
        }
        size_t cuts[40], cut_count = 0, at = 0, stride = 1 + roll((uint32_t)script.n);
        while (cut_count < 40 && (at += 1 + roll((uint32_t)stride)) < script.n) cuts[cut_count++] = at;
        assert_true(trace_expect(&ws_decoder, script.wire, script.n, NULL, 0, trace_text(&script.log)));
        assert_true(trace_expect(&ws_decoder, script.wire, script.n, cuts, cut_count, trace_text(&script.log)));
        if (round % 100 == 0 && script.n < 3000)
            TRACE_BYTES(ws_decoder, script.wire, script.n, trace_text(&script.log));
        trace_clear(&script.log);
    }
    free(script.wire);
}

/* ------------------------------------------------------------------------------------------------------- sending */

TEST(ws_header, is_as_short_as_the_length_allows)
{
    static const struct {
        size_t n;
        const char *hex;
    } headers[] = {{0, "81 00"},
                   {125, "81 7d"},
                   {126, "81 7e 00 7e"},
                   {65535, "81 7e ff ff"},
                   {65536, "81 7f 00 00 00 00 00 01 00 00"},
                   {0x12345678, "81 7f 00 00 00 00 12 34 56 78"}};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        uint8_t out[10];
        size_t n;
        uint8_t *expected = trace_unhex(headers[i].hex, &n);
        assert_int_equal(eio__ws_header_size(headers[i].n), n);
        assert_int_equal(eio__ws_put_header(out, EIO__WS_TEXT, headers[i].n), n);
        assert_memory_equal(out, expected, n);
        free(expected);
    }
}

/* ------------------------------------------------------------------------------------------------- 4.2.2: the key */

TEST(ws_key, is_answered_as_in_section_1_3)
{
    char out[29];
    eio__ws_accept(eio_str("dGhlIHNhbXBsZSBub25jZQ=="), out);
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(ws_key, is_base64_of_16_bytes)
{
    assert_true(eio__ws_key_valid(eio_str("dGhlIHNhbXBsZSBub25jZQ==")));
    assert_true(eio__ws_key_valid(eio_str("AAAAAAAAAAAAAAAAAAAAAA==")));
    assert_true(eio__ws_key_valid(eio_str("dGhlIHNhbXBsZSBub25jZR=="))); /* bits to spare: as ws */
    static const char *const bad[] = {"",
                                      "dGhlIHNhbXBsZSBub25jZQ",
                                      "dGhlIHNhbXBsZSBub25jZQ= ",
                                      "dGhlIHNhbXBsZSBub25jZUE=",
                                      "dGhlIHNhbXBsZSBub25jZUFB",
                                      "dGhlIHNhbXBsZSBub25jZQ=A",
                                      "dGhlIHNhbXBsZSBub25j-Q==",
                                      "dGhlIHNhbXBsZSBub25j*Q==",
                                      "dGhlIHNhbXBsZSBub25jZQ==AAAA"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(eio__ws_key_valid(eio_str(bad[i])));
}

TEST_MAIN
