/* Engine.IO 3 payloads and JSONP. What is expected was written by the reference (engine.io 6, parser-v3 and
 * polling-jsonp). */
#include "eio_codec.h"
#include "trace.h"
#include "test.h"

/* The packets of a body, as a log. */
static void decode(const char *body, size_t n, bool binary_form, struct trace_log *log)
{
    struct guard guard = {0};
    uint8_t *p = guard_put(&guard, (const uint8_t *)body, n);
    const uint8_t *start = p, *end = p + n;
    struct eio__packet packet;
    struct eio__fault fault = {0};
    int result;
    while ((result = eio__payload3_next(&p, &n, binary_form, &packet, &fault)) == 1) {
        assert_true(p + n == end);
        assert_true(packet.p >= start && packet.p + packet.n <= p);
        trace_printf(log, "%c %s ", packet.type, packet.kind == EIO_TEXT ? "text" : "binary");
        trace_bytes(log, packet.p, packet.n);
        trace_printf(log, "\n");
    }
    if (result < 0) {
        assert_int_equal(result, fault.code);
        trace_printf(log, "error %d: %s\n", fault.close_code, fault.why);
    }
    guard_free(&guard);
}

static void assert_packets_n(const char *body, size_t n, bool binary_form, const char *expected)
{
    struct trace_log log = {0};
    decode(body, n, binary_form, &log);
    assert_string_equal(trace_text(&log), expected);
    trace_clear(&log);
}

static void assert_packets(const char *body, const char *expected)
{
    assert_packets_n(body, strlen(body), false, expected);
}

#define assert_binary(body, expected) assert_packets_n(body, sizeof(body) - 1, true, expected)

/* ---------------------------------------------------------------- decoding */

TEST(payload3, packets_stand_behind_their_length)
{
    assert_packets("6:4hello", "4 text \"hello\"\n");
    assert_packets("6:4hello1:26:4world", "4 text \"hello\"\n2 text \"\"\n4 text \"world\"\n");
    assert_packets("0:", "");
    assert_packets("0:2:4a0:", "4 text \"a\"\n");
    assert_packets("6:3probe", "3 text \"probe\"\n");
}

/* Edge case 68. */
TEST(payload3, lengths_count_utf16_units)
{
    assert_packets("2:4\xe2\x82\xac", "4 text \"\\xe2\\x82\\xac\"\n");
    assert_packets("3:4\xf0\x9f\x98\x80", "4 text \"\\xf0\\x9f\\x98\\x80\"\n");
    assert_packets("6:4a\xf0\x9f\x98\x80"
                   "b\xe2\x82\xac"
                   "1:4",
                   "4 text \"a\\xf0\\x9f\\x98\\x80b\\xe2\\x82\\xac\"\n4 text \"\"\n");
    assert_packets("2:4\xf0\x9f\x98\x80", "error 400: length exceeds the payload\n"); /* half an emoji */
    assert_packets("4:4\xf0\x9f\x98\x80", "error 400: length exceeds the payload\n");
    assert_packets("5:4\xf0\x9f\x98\x80", "error 400: length exceeds the payload\n");
}

TEST(payload3, binary_is_base64_behind_b4)
{
    assert_packets("10:b4AQIDBA==", "4 binary \"\\x01\\x02\\x03\\x04\"\n");
    assert_packets("2:4x6:b4AP8=1:6", "4 text \"x\"\n4 binary \"\\x00\\xff\"\n6 text \"\"\n");
    assert_packets("2:b4", "4 binary \"\"\n");
    assert_packets("5:b4AP8", "4 binary \"\\x00\\xff\"\n");
    assert_packets("9:b4A\nP8=\r\n", "4 binary \"\\x00\\xff\"\n");
    assert_packets("6:b9AP8=", "error 400: unknown packet type\n");
    assert_packets("1:b", "error 400: unknown packet type\n");
}

TEST(payload3, bad_lengths_are_refused)
{
    static const char *const bad[] = {":4a",  "x:4a", "-1:4a", " 2:4a", "2",        "2;4a",          "2:4a3",
                                      "2x:4", "0x2:", "1e1:4", "+2:4a", "2:4a\x1e", "12345678901:4a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct trace_log log = {0};
        decode(bad[i], strlen(bad[i]), false, &log);
        assert_non_null(strstr(trace_text(&log), "error 400: invalid length\n"));
        trace_clear(&log);
    }
    assert_packets("3:4a", "error 400: length exceeds the payload\n");
    assert_packets("9999999999:4a", "error 400: length exceeds the payload\n");
    assert_packets("1:1:4", "1 text \"\"\nerror 400: invalid length\n");
}

TEST(payload3, every_packet_type_and_no_other_is_known)
{
    for (int type = 0; type < 128; type++) {
        char body[] = {'2', ':', (char)type, 'x'}, binary[] = {1, 2, (char)0xff, (char)type, 'x'}, expected[64];
        if (type == 'b') continue;
        snprintf(expected, sizeof expected, "%c text \"x\"\n", type);
        assert_packets_n(body, 4, false, type >= '0' && type <= '6' ? expected : "error 400: unknown packet type\n");
        snprintf(expected, sizeof expected, "%c binary \"x\"\n", type + '0');
        assert_packets_n(binary, 5, true, type <= 6 ? expected : "error 400: unknown packet type\n");
    }
}

TEST(payload3, the_binary_form_has_digits_as_bytes)
{
    assert_binary("\x01\x05\xff\x04\x01\x02\x03\x04", "4 binary \"\\x01\\x02\\x03\\x04\"\n");
    assert_binary("\x00\x02\xff"
                  "4x\x01\x03\xff\x04\x00\xff\x00\x01\xff"
                  "6",
                  "4 text \"x\"\n4 binary \"\\x00\\xff\"\n6 text \"\"\n");
    assert_binary("\x01\x01\xff\x04", "4 binary \"\"\n");
    assert_binary("\x00\x01\x01\xff"
                  "4\xe2\x82\xac\xf0\x9f\x98\x80"
                  "abc",
                  "4 text \"\\xe2\\x82\\xac\\xf0\\x9f\\x98\\x80abc\"\n");
    assert_binary("\x00\x06\xff"
                  "b4AP8=",
                  "4 binary \"\\x00\\xff\"\n");
}

/* Edge case 70: none of them loops. */
TEST(payload3, broken_binary_forms_are_refused)
{
    assert_binary("\x02\x01\xff\x04", "error 400: invalid length\n");
    assert_binary("\x01\xff\x04", "error 400: invalid length\n");
    assert_binary("\x01\x0a\xff\x04", "error 400: invalid length\n");
    assert_binary("\x01\x01", "error 400: invalid length\n");
    assert_binary("\x01", "error 400: invalid length\n");
    assert_binary("\x01\x02\xff\x04", "error 400: length exceeds the payload\n");
    assert_binary("\x01\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\xff\x04", "error 400: length exceeds the payload\n");
    assert_binary("\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff\x04", "error 400: invalid length\n");
    assert_binary("\x00\x03\xff"
                  "4\xc3\x28",
                  "error 400: text is not valid UTF-8\n");
    assert_binary("\x01\x00\xff", "");
}

/* A cut body gives the packets before the cut and an error, or ends exactly between two. */
TEST(payload3, a_cut_body_never_gives_a_packet_that_is_not_there)
{
    static const char text[] = "6:4hello3:4\xf0\x9f\x98\x80"
                               "6:b4AP8=";
    static const char binary[] = "\x00\x02\xff"
                                 "4x\x01\x03\xff\x04\x00\xff";
    for (size_t n = 1; n < sizeof text - 1; n++) {
        struct trace_log log = {0};
        decode(text, n, false, &log);
        bool whole = n == 8 || n == 15;
        assert_int_equal(strstr(trace_text(&log), "error") == NULL, whole);
        trace_clear(&log);
    }
    for (size_t n = 1; n < sizeof binary - 1; n++) {
        struct trace_log log = {0};
        decode(binary, n, true, &log);
        assert_int_equal(strstr(trace_text(&log), "error") == NULL, n == 5);
        trace_clear(&log);
    }
}

TEST(payload3, websocket_messages_are_packets)
{
    struct eio__packet packet;
    struct eio__fault fault;
    uint8_t text[] = "4\xe2\x82\xac", binary[] = {4, 1, 2}, base64[] = "b4AQI=", bad[] = {'4', 1}, empty[1];
    assert_int_equal(eio__packet3_decode(text, 4, EIO_TEXT, &packet, &fault), 1);
    assert_int_equal(packet.kind, EIO_TEXT);
    assert_int_equal(packet.n, 3);
    assert_int_equal(eio__packet3_decode(binary, 3, EIO_BINARY, &packet, &fault), 1);
    assert_int_equal(packet.type, EIO__MESSAGE);
    assert_int_equal(packet.kind, EIO_BINARY);
    assert_memory_equal(packet.p, "\1\2", 2);
    assert_int_equal(eio__packet3_decode(base64, 6, EIO_TEXT, &packet, &fault), 1);
    assert_int_equal(packet.kind, EIO_BINARY);
    assert_int_equal(packet.n, 2);
    assert_memory_equal(packet.p, "\1\2", 2);
    assert_int_equal(eio__packet3_decode(bad, 2, EIO_BINARY, &packet, &fault), EIO_EPROTO);
    assert_int_equal(eio__packet3_decode(empty, 0, EIO_TEXT, &packet, &fault), EIO_EPROTO);
}

/* ---------------------------------------------------------------- encoding */

static void assert_put_n(bool binary_form, enum eio__packet_type type, enum eio_kind kind, struct eio_str message,
                         struct eio_str expected)
{
    struct guard guard = {0};
    size_t bound = eio__payload3_bound(kind, message.n);
    uint8_t *none = calloc(1, bound), *out = guard_put(&guard, none, bound);
    struct eio__packet packet = {type, kind, (const uint8_t *)message.p, message.n};
    uint8_t *end = eio__payload3_put(out, binary_form, &packet);
    assert_int_equal(end - out, expected.n);
    assert_memory_equal(out, expected.p, expected.n);
    free(none);
    guard_free(&guard);
}

#define S(literal) ((struct eio_str){literal, sizeof(literal) - 1})

TEST(payload3, packets_are_written_as_the_reference_does)
{
    assert_put_n(false, EIO__MESSAGE, EIO_TEXT, S("hello"), S("6:4hello"));
    assert_put_n(false, EIO__PONG, EIO_TEXT, S("probe"), S("6:3probe"));
    assert_put_n(false, EIO__NOOP, EIO_TEXT, S(""), S("1:6"));
    assert_put_n(false, EIO__MESSAGE, EIO_TEXT, S("\xe2\x82\xac"), S("2:4\xe2\x82\xac"));
    assert_put_n(false, EIO__MESSAGE, EIO_TEXT,
                 S("a\xf0\x9f\x98\x80"
                   "b\xe2\x82\xac"),
                 S("6:4a\xf0\x9f\x98\x80"
                   "b\xe2\x82\xac"));
    assert_put_n(false, EIO__MESSAGE, EIO_BINARY, S("\1\2\3\4"), S("10:b4AQIDBA=="));
    assert_put_n(false, EIO__MESSAGE, EIO_BINARY, S(""), S("2:b4"));
    assert_put_n(true, EIO__MESSAGE, EIO_BINARY, S("\1\2\3\4"), S("\x01\x05\xff\x04\1\2\3\4"));
    assert_put_n(true, EIO__MESSAGE, EIO_TEXT, S("x"),
                 S("\x00\x02\xff"
                   "4x"));
    assert_put_n(true, EIO__MESSAGE, EIO_TEXT, S("\xf0\x9f\x98\x80"),
                 S("\x00\x05\xff"
                   "4\xf0\x9f\x98\x80"));
    assert_put_n(true, EIO__MESSAGE, EIO_TEXT, S("0123456789"),
                 S("\x00\x01\x01\xff"
                   "40123456789"));
    assert_put_n(true, EIO__NOOP, EIO_TEXT, S(""),
                 S("\x00\x01\xff"
                   "6"));
}

TEST(payload3, what_is_written_is_read_back)
{
    for (size_t n = 0; n < 400; n++) {
        uint8_t bytes[400], out[1000];
        for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(i * 37 + n);
        for (int form = 0; form < 2; form++) {
            struct eio__packet packet = {EIO__MESSAGE, EIO_BINARY, bytes, n};
            uint8_t *end = eio__payload3_put(out, form, &packet), *p = out;
            size_t left = (size_t)(end - out);
            struct eio__fault fault;
            assert_int_equal(eio__payload3_next(&p, &left, form, &packet, &fault), 1);
            assert_int_equal(packet.kind, EIO_BINARY);
            assert_int_equal(packet.n, n);
            assert_memory_equal(packet.p, bytes, n);
            assert_int_equal(left, 0);
        }
    }
}

/* ------------------------------------------------------------------- JSONP */

static void assert_jsonp(const char *index, struct eio_str payload, const char *expected)
{
    struct guard guard = {0};
    size_t bound = eio__jsonp_bound(payload.n);
    uint8_t *none = calloc(1, bound), *out = guard_put(&guard, none, bound);
    size_t n = eio__jsonp_put((char *)out, eio_str(index), (const uint8_t *)payload.p, payload.n);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(out, expected, n);
    free(none);
    guard_free(&guard);
}

TEST(jsonp, a_payload_becomes_a_call_with_a_javascript_string)
{
    assert_jsonp("0", S("4a"), "___eio[0](\"4a\");");
    assert_jsonp("", S(""), "___eio[](\"\");");
    assert_jsonp("1", S("4a\"b\\c\b\f\n\r\t\x01\x7f\xe2\x80\xa8\xe2\x80\xa9\xe2\x82\xac\xf0\x9f\x98\x80/<"),
                 "___eio[1](\"4a\\\"b\\\\c\\b\\f\\n\\r\\t\\u0001\x7f\\u2028\\u2029\xe2\x82\xac\xf0\x9f\x98\x80/<\");");
    assert_jsonp("1", S("a\0b"), "___eio[1](\"a\\u0000b\");");
    assert_jsonp("1", S("\xe2\x80\xa7\xe2\x80\xaa"), "___eio[1](\"\xe2\x80\xa7\xe2\x80\xaa\");");
}

/* Edge case 17, and an index that would not end. */
TEST(jsonp, only_digits_of_the_index_are_taken)
{
    assert_jsonp("12abc3", S("6"), "___eio[123](\"6\");");
    assert_jsonp("](alert(1))//", S("6"), "___eio[1](\"6\");");
    char index[200], expected[128];
    memset(index, '7', sizeof index - 1);
    index[sizeof index - 1] = '\0';
    size_t bound = eio__jsonp_bound(1);
    char *out = malloc(bound);
    assert_non_null(out);
    size_t n = eio__jsonp_put(out, eio_str(index), (const uint8_t *)"6", 1);
    snprintf(expected, sizeof expected, "%.*s", (int)n, out);
    assert_true(n <= bound && strstr(expected, "](\"6\");"));
    free(out);
}

TEST(jsonp, the_worst_payload_fits_the_bound)
{
    char payload[300];
    memset(payload, 1, sizeof payload);
    struct guard guard = {0};
    size_t bound = eio__jsonp_bound(sizeof payload);
    uint8_t *none = calloc(1, bound), *out = guard_put(&guard, none, bound);
    eio__jsonp_put((char *)out, eio_str("00000000000000000000000000000000"), (uint8_t *)payload, sizeof payload);
    free(none);
    guard_free(&guard);
}

TEST(jsonp, newlines_are_unescaped_as_the_reference_does)
{
    static const char *const pairs[][2] = {
        {"a\\nb", "a\nb"},         {"a\\\\nb", "a\\nb"},
        {"a\\\\\\nb", "a\\\\nb"},  {"a\\\\\\\\nb", "a\\\\\\nb"},
        {"\\n\\\\n", "\n\\n"},     {"\\", "\\"},
        {"\\\\", "\\\\"},          {"n\\", "n\\"},
        {"4\\\\n\\n4", "4\\n\n4"}, {"", ""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct guard guard = {0};
        char *text = (char *)guard_put(&guard, (const uint8_t *)pairs[i][0], strlen(pairs[i][0]));
        size_t n = eio__jsonp_unescape(text, strlen(pairs[i][0]));
        assert_int_equal(n, strlen(pairs[i][1]));
        assert_memory_equal(text, pairs[i][1], n);
        guard_free(&guard);
    }
}

TEST_MAIN
