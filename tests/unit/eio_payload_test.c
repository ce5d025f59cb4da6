/* Polling payloads (engine.io-protocol, "Packet encoding" and "HTTP long-polling"). */
#include "eio_codec.h"
#include "trace.h"
#include "test.h"

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

/* engine.io-client-java writes android.util.Base64.DEFAULT, java.util's MIME form: lines of 76 characters. */
TEST(payload, base64_may_be_broken_into_lines)
{
    assert_packets("bAQID\nBA==\n\x1e"
                   "4x",
                   "4 binary \"\\x01\\x02\\x03\\x04\"\n4 text \"x\"\n");
    assert_packets("bBA", "4 binary \"\\x04\"\n");
    assert_packets("b!", "4 binary \"\"\n");
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

/* Puts a packet into memory of exactly its size; malloc'd text. */
static char *put(enum eio__packet_type type, enum eio_kind kind, const uint8_t *p, size_t n, size_t *size)
{
    struct guard guard = {0};
    *size = 1 + (kind == EIO_TEXT ? n : eio__base64_size(n));
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

TEST_MAIN
