#include "eio_proxy.h"

#include <arpa/inet.h>
#include <string.h>

static ssize_t fail_decoding(struct eio__fault *fault, size_t at, const char *why)
{
    *fault = (struct eio__fault){.code = EIO_EPROTO, .close_code = 400, .at = at, .why = why};
    return EIO_EPROTO;
}

/* --------------------------------------------------------------- version 1 */

enum { V1_MAX = 107 }; /* with CRLF: section 2.1 */

/* The next word of a line whose words have one space between them. */
static struct eio_str next_word(struct eio_str *line)
{
    const char *space = memchr(line->p, ' ', line->n);
    size_t n = space ? (size_t)(space - line->p) : line->n;
    struct eio_str word = {line->p, n};
    *line = space ? (struct eio_str){space + 1, line->n - n - 1} : (struct eio_str){line->p + n, 0};
    return word;
}

static bool is_port(struct eio_str word)
{
    unsigned value = 0;
    if (word.n == 0 || word.n > 5 || (word.p[0] == '0' && word.n > 1)) return false;
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] < '0' || word.p[i] > '9') return false;
        value = value * 10 + (unsigned)(word.p[i] - '0');
    }
    return value <= 65535;
}

static bool read_text(struct eio_str word, bool is_v4, struct eio__address *out)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    if (word.n == 0 || word.n >= sizeof text) return false;
    memcpy(text, word.p, word.n);
    text[word.n] = 0;
    if (strlen(text) != word.n || inet_pton(is_v4 ? AF_INET : AF_INET6, text, bytes) != 1) return false;
    return eio__address_parse(word, out);
}

static ssize_t decode_line(const uint8_t *p, size_t size, struct eio__proxy_header *out, struct eio__fault *fault)
{
    struct eio_str line = {(const char *)p + 6, size - 8}; /* between "PROXY " and CRLF */
    struct eio_str family = next_word(&line);
    struct eio__address ignored;
    bool is_v4 = eio_str_is(family, "TCP4");
    if (eio_str_is(family, "UNKNOWN")) return (ssize_t)size; /* whatever follows it */
    if (!is_v4 && !eio_str_is(family, "TCP6")) return fail_decoding(fault, 6, "unknown family");
    if (!read_text(next_word(&line), is_v4, &out->address)) return fail_decoding(fault, 11, "malformed source address");
    if (!read_text(next_word(&line), is_v4, &ignored)) return fail_decoding(fault, 11, "malformed destination address");
    struct eio_str from = next_word(&line);
    bool has_end = line.n > 0;
    if (!is_port(from) || !has_end || !is_port(line)) return fail_decoding(fault, 11, "malformed port");
    out->has_client = true;
    return (ssize_t)size;
}

static ssize_t decode_v1(const uint8_t *p, size_t n, struct eio__proxy_header *out, struct eio__fault *fault)
{
    const uint8_t *end = memchr(p, '\n', n < V1_MAX ? n : V1_MAX);
    if (!end) return n < V1_MAX ? 0 : fail_decoding(fault, V1_MAX, "header line too long");
    size_t size = (size_t)(end - p) + 1;
    if (size < 8 || end[-1] != '\r') return fail_decoding(fault, size - 1, "line feed without carriage return");
    return decode_line(p, size, out, fault);
}

/* --------------------------------------------------------------- version 2 */

enum {
    V2_HEAD = 16,
    VERSION = 0x20,
    LOCAL = 0,
    PROXY = 1,
    UNSPEC = 0,
    INET = 1,
    INET6 = 2,
    UNIX = 3,
    STREAM = 1,
    DGRAM = 2,
    TLV_CRC32C = 3,
    TLV_SSL = 0x20,
    CLIENT_SSL = 1,
};

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* Castagnoli's, reflected (RFC 9260, appendix A); the four bytes at `blank` count as zero. */
static uint32_t crc32c(const uint8_t *p, size_t n, size_t blank)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= i - blank < 4 ? 0 : p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static size_t read_16(const uint8_t *p)
{
    return (size_t)p[0] << 8 | p[1];
}

static ssize_t read_tlvs(const uint8_t *p, size_t from, size_t size, struct eio__proxy_header *out,
                         struct eio__fault *fault)
{
    for (size_t at = from; at < size;) {
        if (size - at < 3 || size - at - 3 < read_16(p + at + 1)) return fail_decoding(fault, at, "truncated TLV");
        size_t n = read_16(p + at + 1);
        const uint8_t *value = p + at + 3;
        if (p[at] == TLV_SSL) {
            if (n < 5) return fail_decoding(fault, at, "malformed TLV of TLS");
            out->secure = value[0] & CLIENT_SSL;
        }
        if (p[at] == TLV_CRC32C) {
            if (n != 4) return fail_decoding(fault, at, "malformed checksum");
            uint32_t said = (uint32_t)(read_16(value) << 16 | read_16(value + 2));
            if (crc32c(p, size, at + 3) != said) return fail_decoding(fault, at, "wrong checksum");
        }
        at += 3 + n;
    }
    return (ssize_t)size;
}

static void set_address(int family, const uint8_t *addresses, struct eio__address *out)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (family == INET6) {
        memcpy(out->bytes, addresses, 16);
    } else if (family == INET) {
        memcpy(out->bytes, mapped, 12);
        memcpy(out->bytes + 12, addresses, 4);
    }
}

static ssize_t decode_v2(const uint8_t *p, size_t n, struct eio__proxy_header *out, struct eio__fault *fault)
{
    static const size_t sizes[] = {[UNSPEC] = 0, [INET] = 12, [INET6] = 36, [UNIX] = 216};
    if (n > 12 && (p[12] & 0xf0) != VERSION) return fail_decoding(fault, 12, "unknown version");
    if (n > 12 && (p[12] & 0x0f) > PROXY) return fail_decoding(fault, 12, "unknown command");
    if (n > 13 && ((p[13] >> 4) > UNIX || (p[13] & 0x0f) > DGRAM))
        return fail_decoding(fault, 13, "unknown family or protocol");
    if (n < V2_HEAD) return 0;
    size_t size = V2_HEAD + read_16(p + 14);
    int family = p[13] >> 4;
    if (size > EIO__PROXY_HEADER_MAX) return fail_decoding(fault, 14, "header too long");
    bool is_local = (p[12] & 0x0f) == LOCAL;
    if (!is_local && size - V2_HEAD < sizes[family])
        return fail_decoding(fault, 14, "header too short for its addresses");
    if (n < size) return 0;
    if (is_local) return (ssize_t)size; /* what it says is to be skipped */
    out->has_client = family != UNSPEC && (p[13] & 0x0f) == STREAM;
    if (out->has_client) set_address(family, p + V2_HEAD, &out->address);
    return read_tlvs(p, V2_HEAD + sizes[family], size, out, fault);
}

ssize_t eio__proxy_decode(const uint8_t *p, size_t n, struct eio__proxy_header *out, struct eio__fault *fault)
{
    static const char line[] = "PROXY ";
    *out = (struct eio__proxy_header){false, {{0}}, false};
    if (n == 0) return 0;
    size_t v1 = n < 6 ? n : 6, v2 = n < sizeof signature ? n : sizeof signature;
    if (memcmp(p, line, v1) == 0) return n < 6 ? 0 : decode_v1(p, n, out, fault);
    if (memcmp(p, signature, v2) == 0) return n < sizeof signature ? 0 : decode_v2(p, n, out, fault);
    return fail_decoding(fault, 0, "no PROXY header");
}
