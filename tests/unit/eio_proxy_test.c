/* Headers of the PROXY protocol: each whole, cut at every byte, and one byte at a time, at the end of a page that
 * nobody may touch. Sections are those of HAProxy's doc/proxy-protocol.txt. */
#include "eio_proxy.h"

#include "guard.h"
#include "test.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define REST "GET / HTTP/1.1\r\n"

static struct guard guard;

/* "192.0.2.1", with "+tls", or "the peer"; "?" more is needed; else the reason. */
static void describe(const uint8_t *p, size_t n, char out[128], ssize_t *used)
{
    struct eio__proxy_header header;
    struct eio__fault fault;
    char address[46];
    *used = eio__proxy_decode(guard_put(&guard, p, n), n, &header, &fault);
    if (*used == 0) {
        snprintf(out, 128, "?");
    } else if (*used < 0) {
        snprintf(out, 128, "%s", fault.why);
        assert_int_equal(*used, EIO_EPROTO);
    } else {
        eio__address_print(&header.address, address);
        snprintf(out, 128, "%s%s", header.has_client ? address : "the peer", header.secure ? "+tls" : "");
    }
}

static void check_sized(const char *header, size_t size, const char *wanted)
{
    char got[128];
    uint8_t bytes[EIO__PROXY_HEADER_MAX + 64];
    ssize_t used;
    bool is_fault = strchr(wanted, ' ') && strncmp(wanted, "the peer", 8);
    assert_true(size + sizeof REST <= sizeof bytes);
    memcpy(bytes, header, size);
    memcpy(bytes + size, REST, sizeof REST - 1);
    describe(bytes, size, got, &used);
    if (strcmp(got, wanted)) fail_msg("%.40s: wanted \"%s\", got \"%s\"", header, wanted, got);
    if (is_fault || !strcmp(wanted, "?")) return;
    assert_int_equal(used, size);
    /* What follows it is not touched. */
    describe(bytes, size + sizeof REST - 1, got, &used);
    assert_string_equal(got, wanted);
    assert_int_equal(used, size);
    /* Until it is whole nothing is known: byte by byte is every cut. */
    for (size_t n = 0; n < size; n++) {
        describe(bytes, n, got, &used);
        if (used != 0) fail_msg("%.40s, %zu bytes of it: \"%s\"", header, n, got);
    }
}

#define CHECK(header, wanted) check_sized(header, sizeof header - 1, wanted)

/* Section 2.1. */
TEST(proxy, version_1_is_a_line_of_words)
{
    CHECK("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "192.0.2.1");
    CHECK("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255");
    CHECK("PROXY TCP6 2001:db8::1 2001:db8::2 0 443\r\n", "2001:db8::1");
    CHECK("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    CHECK("PROXY UNKNOWN\r\n", "the peer");
    CHECK("PROXY UNKNOWN ffff:: ffff:: 65535 65535 anything\r\n", "the peer");
}

TEST(proxy, what_is_not_such_a_line_is_refused)
{
    CHECK("GET / HTTP/1.1\r\n", "no PROXY header");
    CHECK("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "unknown family");
    CHECK("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", "unknown family");
    CHECK("PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", "malformed source address");
    CHECK("PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n", "malformed source address");
    CHECK("PROXY TCP6 192.0.2.1 2001:db8::1 1 2\r\n", "malformed source address");
    CHECK("PROXY TCP4 unix 192.0.2.2 1 2\r\n", "malformed source address");
    CHECK("PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", "malformed destination address");
    CHECK("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "malformed port");
    CHECK("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "malformed port");
    CHECK("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "malformed port");
    CHECK("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "malformed port");
    CHECK("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "line feed without carriage return");
    CHECK("PROXY \n", "line feed without carriage return");
    char longest[200] = "PROXY UNKNOWN ";
    memset(longest + 14, 'x', 150);
    check_sized(longest, 106, "?") /* it may still end */;
    check_sized(longest, 107, "header line too long");
}

/* Section 2.2. */
TEST(proxy, version_2_is_binary)
{
    CHECK(SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb", "192.0.2.1");
    CHECK(SIGNATURE
          "\x21\x21\x00\x24"
          "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x01\x02\x03\x04",
          "2001:db8::1");
    CHECK(SIGNATURE "\x20\x00\x00\x00", "the peer"); /* LOCAL: a health check of the proxy's */
    CHECK(SIGNATURE "\x20\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\0\0\0\0", "the peer");
    CHECK(SIGNATURE "\x20\x00\x00\x02\xff\xff", "the peer"); /* whose rest is skipped, whatever it is */
    CHECK(SIGNATURE "\x21\x00\x00\x00", "the peer");         /* UNSPEC */
    CHECK(SIGNATURE "\x21\x12\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\0\0\0\0", "the peer"); /* datagrams: not ours */
    char of_unix[16 + 216] = SIGNATURE "\x21\x31\x00\xd8/run/client.sock";
    check_sized(of_unix, sizeof of_unix, "unix");
}

TEST(proxy, what_version_2_does_not_know_is_refused)
{
    CHECK(SIGNATURE "\x11\x11\x00\x0c", "unknown version");
    CHECK(SIGNATURE "\x22\x11\x00\x0c", "unknown command");
    CHECK(SIGNATURE "\x21\x41\x00\x0c", "unknown family or protocol");
    CHECK(SIGNATURE "\x21\x13\x00\x0c", "unknown family or protocol");
    CHECK(SIGNATURE "\x21\x11\x00\x0b", "header too short for its addresses");
    CHECK(SIGNATURE "\x21\x21\x00\x23", "header too short for its addresses");
    CHECK(SIGNATURE "\x21\x31\x00\xd7", "header too short for its addresses");
    CHECK(SIGNATURE "\x21\x11\x0f\xf1", "header too long");
    CHECK("\r\n\r\n\0\r\nQUIT\r", "no PROXY header");
    CHECK("\r\nx", "no PROXY header");
}

/* Section 2.2.3 and on. */
TEST(proxy, tlvs_say_whether_the_client_spoke_tls)
{
#define TO_TLV "\xc0\x00\x02\x01\xc6\x33\x64\x02\0\0\0\0"
    CHECK(SIGNATURE "\x21\x11\x00\x14" TO_TLV "\x20\x00\x05\x01\0\0\0\0", "192.0.2.1+tls");
    CHECK(SIGNATURE "\x21\x11\x00\x14" TO_TLV "\x20\x00\x05\x00\0\0\0\0", "192.0.2.1");
    CHECK(SIGNATURE "\x21\x11\x00\x13" TO_TLV "\x20\x00\x04\x01\0\0\0", "malformed TLV of TLS");
    CHECK(SIGNATURE "\x21\x11\x00\x14" TO_TLV "\x01\x00\x02h2\xea\x00\x00",
          "192.0.2.1"); /* ALPN, and one of somebody's own */
    CHECK(SIGNATURE "\x21\x11\x00\x0e" TO_TLV "\x01\x00", "truncated TLV");
    CHECK(SIGNATURE "\x21\x11\x00\x10" TO_TLV "\x01\x00\x02h", "truncated TLV");
}

TEST(proxy, a_checksum_is_checked)
{
    char header[] = SIGNATURE "\x21\x11\x00\x13" TO_TLV "\x03\x00\x04\0\0\0\0";
    size_t size = sizeof header - 1;
    check_sized(header, size, "wrong checksum");
    /* CRC32c of these bytes with the field at zero, bit by bit from the polynomial of RFC 3309. */
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit++) {
            uint32_t in = ((uint8_t)header[i] >> bit & 1) ^ (crc & 1);
            crc = crc >> 1 ^ (in ? 0x82f63b78 : 0);
        }
    crc = ~crc;
    for (int i = 0; i < 4; i++) header[size - 4 + (size_t)i] = (char)(crc >> (24 - 8 * i));
    check_sized(header, size, "192.0.2.1");
    header[16]++;
    check_sized(header, size, "wrong checksum");
    header[16]--;
    CHECK(SIGNATURE "\x21\x11\x00\x12" TO_TLV "\x03\x00\x03\0\0\0", "malformed checksum");
}

TEST_MAIN
