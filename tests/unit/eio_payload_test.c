/* Polling payloads (engine.io-protocol, "Packet encoding" and "HTTP long-polling"). */
#include "eio_codec.h"
#include "trace.h"
#include "test.h"

#include <sodium.h>

/* A payload is decoded from a whole body; the log is that of its packets. */
static void decode(const char *body, size_t n, struct trace_log *log)
{
    struct guard guard = {0};
    uint8_t *p = guard_put(&guard, (const uint8_t *)body, n);
    const uint8_t *end = p + n;
    struct eio__packet packet;
    struct eio__fault fault = {0};
    int result;
    while ((result = eio__payload_next(&p, &n, &packet, &fault)) == 1) {
        assert_true(p + n == end);
        assert_true(packet.p + packet.n <= p);
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

static void assert_packets_n(const char *body, size_t n, const char *expected)
{
    struct trace_log log = {0};
    decode(body, n, &log);
    assert_string_equal(trace_text(&log), expected);
    trace_clear(&log);
}

static void assert_packets(const char *body, const char *expected)
{
    assert_packets_n(body, strlen(body), expected);
}

TEST(payload, packets_are_separated_by_record_separators)
{
    assert_packets("4hello", "4 text \"hello\"\n");
    assert_packets("4hello\x1e"
                   "2\x1e"
                   "4world",
                   "4 text \"hello\"\n2 text \"\"\n4 text \"world\"\n");
    assert_packets("4\xe2\x82\xac", "4 text \"\\xe2\\x82\\xac\"\n");
    assert_packets_n("4a\0b", 4, "4 text \"a\\x00b\"\n");
}

TEST(payload, binary_messages_are_base64_behind_a_b)
{
    assert_packets("4hello\x1e"
                   "bAQIDBA==",
                   "4 text \"hello\"\n4 binary \"\\x01\\x02\\x03\\x04\"\n");
    assert_packets("b", "4 binary \"\"\n");
    assert_packets("b+/A=", "4 binary \"\\xfb\\xf0\"\n");
    assert_packets("bAQID\x1e"
                   "4x\x1e"
                   "bBA==",
                   "4 binary \"\\x01\\x02\\x03\"\n4 text \"x\"\n4 binary \"\\x04\"\n");
}

TEST(payload, missing_padding_is_taken_as_the_reference_does)
{
    assert_packets("bBA", "4 binary \"\\x04\"\n");
    assert_packets("bAQI", "4 binary \"\\x01\\x02\"\n");
}

TEST(payload, every_packet_type_and_no_other_is_known)
{
    for (int type = 0; type < 256; type++) {
        char body[] = {(char)type, 'x'}, expected[64];
        if (type == 'b' || type == 0x1E) continue;
        snprintf(expected, sizeof expected, "%c text \"x\"\n", type);
        assert_packets_n(body, 2, type >= '0' && type <= '6' ? expected : "error 400: unknown packet type\n");
    }
}

TEST(payload, empty_packets_are_refused_wherever_they_stand)
{
    assert_packets("", "");
    assert_packets("\x1e", "error 400: empty packet\n");
    assert_packets("\x1e"
                   "4a",
                   "error 400: empty packet\n");
    assert_packets("4a\x1e\x1e"
                   "4b",
                   "4 text \"a\"\nerror 400: empty packet\n");
    assert_packets("4a\x1e", "4 text \"a\"\nerror 400: empty packet\n");
    assert_packets("4a\x1e\x1e", "4 text \"a\"\nerror 400: empty packet\n");
}

TEST(payload, bad_base64_is_refused)
{
    static const char *const bad[] = {
        "bA",    "bA===", "bAA=",  "bAAA==",  "b=",     "b==",     "b====", "bAA==AA==",
        "bA=AA", "b-_-_", "bAA A", "bAAAA\n", "bAAAAA", "bAQJ",    "bAR==", "b\xff\xff\xff\xff",
        "bAA*A", "bAAA,", "bAAA{", "bAAA@",   "bAAA[",  "bAAA\x60"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_packets(bad[i], "error 400: bad base64\n");
    }
}

static uint64_t seed = 7;

static uint32_t roll(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* Puts a packet into memory of exactly eio__payload_size() bytes; malloc'd text. */
static char *put(enum eio__packet_type type, enum eio_kind kind, const uint8_t *p, size_t n, size_t *size)
{
    struct guard guard = {0};
    *size = eio__payload_size(kind, n);
    uint8_t *none = calloc(1, *size), *out = guard_put(&guard, none, *size);
    assert_true(eio__payload_put(out, type, kind, p, n) == out + *size);
    char *text = malloc(*size + 1);
    assert_non_null(text);
    memcpy(text, out, *size);
    text[*size] = '\0';
    free(none);
    guard_free(&guard);
    return text;
}

static void assert_put(enum eio__packet_type type, enum eio_kind kind, const char *message, const char *expected)
{
    size_t size;
    char *text = put(type, kind, (const uint8_t *)message, strlen(message), &size);
    assert_string_equal(text, expected);
    free(text);
}

TEST(payload, packets_are_written_into_exactly_their_size)
{
    assert_put(EIO__MESSAGE, EIO_TEXT, "hello", "4hello");
    assert_put(EIO__NOOP, EIO_TEXT, "", "6");
    assert_put(EIO__PONG, EIO_TEXT, "probe", "3probe");
    assert_put(EIO__MESSAGE, EIO_BINARY, "\1\2\3\4", "bAQIDBA==");
    assert_put(EIO__MESSAGE, EIO_BINARY, "", "b");
}

/* Base64 is ours; libsodium's judges it. */
TEST(payload, base64_is_that_of_libsodium_both_ways)
{
    for (size_t n = 0; n < 600; n++) {
        uint8_t bytes[600];
        for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)roll(256);
        char expected[900] = "b";
        sodium_bin2base64(expected + 1, sizeof expected - 1, bytes, n, sodium_base64_VARIANT_ORIGINAL);
        size_t size;
        char *text = put(EIO__MESSAGE, EIO_BINARY, bytes, n, &size);
        assert_string_equal(text, expected);

        struct guard guard = {0};
        uint8_t *p = guard_put(&guard, (uint8_t *)text, size);
        struct eio__packet packet;
        struct eio__fault fault;
        assert_int_equal(eio__payload_next(&p, &size, &packet, &fault), 1);
        assert_int_equal(packet.kind, EIO_BINARY);
        assert_int_equal(packet.n, n);
        assert_memory_equal(packet.p, bytes, n);
        guard_free(&guard);
        free(text);
    }
}

TEST(payload, random_base64_is_accepted_when_libsodium_accepts_it_with_its_padding)
{
    static const char letters[] = "AQgw+/az09-_= Z";
    for (unsigned round = 0; round < 300000; round++) {
        char body[16] = "b";
        size_t n = roll(13), decoded, size = n + 1;
        for (size_t i = 0; i < n; i++) body[1 + i] = letters[roll(round & 1 ? 9 : sizeof letters - 1)];
        uint8_t expected[16];
        bool good = n == 0 || sodium_base642bin(expected, sizeof expected, body + 1, n, NULL, &decoded, NULL,
                                                sodium_base64_VARIANT_ORIGINAL) == 0;
        if (!good && !memchr(body + 1, '=', n))
            good = sodium_base642bin(expected, sizeof expected, body + 1, n, NULL, &decoded, NULL,
                                     sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0;
        if (n == 0) decoded = 0;
        uint8_t *p = (uint8_t *)body;
        struct eio__packet packet;
        struct eio__fault fault;
        char before[16];
        memcpy(before, body, sizeof before);
        int result = eio__payload_next(&p, &size, &packet, &fault);
        if ((result == 1) != good) fail_msg("%s: %d", before, result);
        if (result != 1) continue;
        assert_int_equal(packet.n, decoded);
        assert_memory_equal(packet.p, expected, decoded);
    }
}

TEST_MAIN
