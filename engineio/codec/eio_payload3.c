/* Engine.IO 3 payloads (engine.io-protocol v3, "Encoding"): "<length>:<packet>…" with lengths in UTF-16 units, or the
 * binary form 0|1, digits, 0xff, packet. Pure. */
#include "eio_codec.h"

#include <stdio.h>
#include <string.h>

enum { DIGITS_MAX = 10, FORM_TEXT = 0, FORM_BINARY = 1, LENGTH_END = 0xff };

static int set_fault(struct eio__fault *fault, const char *why)
{
    *fault = (struct eio__fault){.code = EIO_EPROTO, .close_code = 400, .why = why};
    return EIO_EPROTO;
}

size_t eio__utf16_size(const uint8_t *p, size_t n)
{
    size_t units = 0;
    for (size_t i = 0; i < n; i++) units += (p[i] & 0xc0) != 0x80 ? 1 + (p[i] >= 0xf0) : 0;
    return units;
}

/* The bytes of so many UTF-16 units at the start of valid UTF-8; n + 1 if there are fewer, or one is cut. */
static size_t bytes_of_units(const uint8_t *p, size_t n, size_t units)
{
    size_t i = 0;
    while (units > 0) {
        if (i >= n) return n + 1;
        size_t size = p[i] < 0x80 ? 1 : p[i] < 0xe0 ? 2 : p[i] < 0xf0 ? 3 : 4;
        if (size == 4 && units < 2) return n + 1;
        units -= size == 4 ? 2 : 1;
        i += size;
    }
    return i;
}

int eio__packet3_decode(uint8_t *p, size_t n, enum eio_kind kind, struct eio__packet *packet, struct eio__fault *fault)
{
    if (n == 0) return set_fault(fault, "empty packet");
    bool base64 = kind == EIO_TEXT && p[0] == 'b' && n >= 2;
    uint8_t type = kind == EIO_BINARY ? (uint8_t)(p[0] + '0') : p[base64];
    if (type < EIO__OPEN || type > EIO__NOOP) return set_fault(fault, "unknown packet type");
    *packet = (struct eio__packet){(enum eio__packet_type)type, kind, p + 1, n - 1};
    if (base64) *packet = (struct eio__packet){packet->type, EIO_BINARY, p + 2, eio__base64_decode(p + 2, n - 2)};
    return 1;
}

static int next_text(uint8_t **p, size_t *n, struct eio__packet *packet, struct eio__fault *fault)
{
    size_t units = 0, i = 0;
    while (i < *n && i < DIGITS_MAX && (*p)[i] >= '0' && (*p)[i] <= '9') units = units * 10 + ((*p)[i++] - '0');
    if (i == 0 || i >= *n || (*p)[i] != ':') return set_fault(fault, "invalid length");
    uint8_t *start = *p + i + 1;
    size_t left = *n - i - 1, size = bytes_of_units(start, left, units);
    if (size > left) return set_fault(fault, "length exceeds the payload");
    *p = start + size;
    *n = left - size;
    if (size == 0) return 2; /* "0:" is nothing */
    return eio__packet3_decode(start, size, EIO_TEXT, packet, fault);
}

static int next_binary(uint8_t **p, size_t *n, struct eio__packet *packet, struct eio__fault *fault)
{
    uint8_t form = (*p)[0];
    size_t size = 0, i = 1;
    while (i < *n && i <= DIGITS_MAX && (*p)[i] <= 9) size = size * 10 + (*p)[i++];
    if (form > FORM_BINARY || i == 1 || i >= *n || (*p)[i] != LENGTH_END) return set_fault(fault, "invalid length");
    uint8_t *start = *p + i + 1;
    size_t left = *n - i - 1;
    if (size > left) return set_fault(fault, "length exceeds the payload");
    *p = start + size;
    *n = left - size;
    if (size == 0) return 2;
    if (form == FORM_TEXT && !base_utf8_valid(start, size)) return set_fault(fault, "text is not valid UTF-8");
    return eio__packet3_decode(start, size, form == FORM_BINARY ? EIO_BINARY : EIO_TEXT, packet, fault);
}

int eio__payload3_next(uint8_t **p, size_t *n, bool binary_form, struct eio__packet *packet, struct eio__fault *fault)
{
    while (*n > 0) {
        int result = binary_form ? next_binary(p, n, packet, fault) : next_text(p, n, packet, fault);
        if (result != 2) return result;
    }
    return 0;
}

/* ---------------------------------------------------------------- encoding */

size_t eio__payload3_bound(enum eio_kind kind, size_t n)
{
    return 2 + 20 + 2 + (kind == EIO_BINARY ? eio__base64_size(n) + 1 : n);
}

/* Without the length: a packet as text. */
static uint8_t *put_text_packet(uint8_t *out, enum eio__packet_type type, enum eio_kind kind, const uint8_t *p,
                                size_t n)
{
    if (kind == EIO_BINARY) {
        *out++ = 'b';
        *out++ = (uint8_t)type;
        return eio__base64_put(out, p, n);
    }
    *out++ = (uint8_t)type;
    if (n) memcpy(out, p, n);
    return out + n;
}

uint8_t *eio__payload3_put(uint8_t *out, bool binary_form, const struct eio__packet *packet)
{
    char length[24];
    if (binary_form) {
        bool binary = packet->kind == EIO_BINARY;
        int digits = snprintf(length, sizeof length, "%zu", packet->n + 1);
        *out++ = binary ? FORM_BINARY : FORM_TEXT;
        for (int i = 0; i < digits; i++) *out++ = (uint8_t)(length[i] - '0');
        *out++ = LENGTH_END;
        *out++ = (uint8_t)(binary ? packet->type - '0' : packet->type);
        if (packet->n) memcpy(out, packet->p, packet->n);
        return out + packet->n;
    }
    size_t units =
        packet->kind == EIO_BINARY ? 2 + eio__base64_size(packet->n) : 1 + eio__utf16_size(packet->p, packet->n);
    out += snprintf((char *)out, sizeof length, "%zu:", units);
    return put_text_packet(out, packet->type, packet->kind, packet->p, packet->n);
}

/* ------------------------------------------------------------------- JSONP */

size_t eio__jsonp_bound(size_t n)
{
    return 64 + 6 * n;
}

/* Escapes a text as a JavaScript string: JSON, and the two line separators that JSON allows and JavaScript did not. */
size_t eio__jsonp_put(char *out, struct eio_str index, const uint8_t *p, size_t n)
{
    char *start = out;
    out += sprintf(out, "___eio[");
    for (size_t i = 0; i < index.n && out - start < 40; i++)
        if (index.p[i] >= '0' && index.p[i] <= '9') *out++ = index.p[i];
    out += sprintf(out, "](\"");
    for (size_t i = 0; i < n; i++) {
        static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
        const char *escape = p[i] ? strchr(from, p[i]) : NULL;
        if (escape) {
            *out++ = '\\';
            *out++ = to[escape - from];
        } else if (p[i] < 0x20) {
            out += sprintf(out, "\\u%04x", p[i]);
        } else if (p[i] == 0xe2 && n - i >= 3 && p[i + 1] == 0x80 && (p[i + 2] & 0xfe) == 0xa8) {
            out += sprintf(out, "\\u202%d", p[i + 2] & 1 ? 9 : 8);
            i += 2;
        } else {
            *out++ = (char)p[i];
        }
    }
    out += sprintf(out, "\");");
    return (size_t)(out - start);
}

/* The client escapes newlines as "\n" and what was "\n" as "\\n". */
size_t eio__jsonp_unescape(char *text, size_t n)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        if (n - i >= 3 && memcmp(text + i, "\\\\n", 3) == 0) {
            text[size++] = '\\';
            text[size++] = 'n';
            i += 2;
        } else if (n - i >= 2 && memcmp(text + i, "\\n", 2) == 0) {
            text[size++] = '\n';
            i += 1;
        } else {
            text[size++] = text[i];
        }
    }
    return size;
}
