/* WebSocket frames and HTTP responses as a client sees them. No I/O. */
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

size_t frame_put(uint8_t *out, const char *p, size_t n)
{
    static uint64_t random = 88172645463325252u;
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    uint32_t key = (uint32_t)random;
    size_t at = 0;
    if (n > UINT16_MAX) die("message too long");
    out[at++] = 0x81;
    if (n < 126) {
        out[at++] = (uint8_t)(0x80 | n);
    } else {
        out[at++] = 0x80 | 126;
        out[at++] = (uint8_t)(n >> 8);
        out[at++] = (uint8_t)n;
    }
    memcpy(out + at, &key, sizeof key);
    const uint8_t *mask = out + at;
    at += sizeof key;
    uint64_t wide = (uint64_t)key << 32 | key;
    size_t i = 0;
    for (; i + sizeof wide <= n; i += sizeof wide) {
        uint64_t word;
        memcpy(&word, p + i, sizeof word);
        word ^= wide;
        memcpy(out + at + i, &word, sizeof word);
    }
    for (; i < n; i++) out[at + i] = (uint8_t)p[i] ^ mask[i & 3];
    return at + n;
}

size_t frame_sent_size(const uint8_t *p, size_t n)
{
    size_t size = p[1] & 0x7f, header = 6;
    if (size == 126) {
        size = (size_t)p[2] << 8 | p[3];
        header = 8;
    }
    if (header + size > n) die("no frame of ours");
    return header + size;
}

size_t frame_get(struct frame *frame, const uint8_t *p, size_t n)
{
    if (n < 2) return 0;
    if ((p[0] & 0xf0) != 0x80) die("unexpected first byte of a frame: %02x", p[0]);
    if (p[1] & 0x80) die("the server masked a frame");
    size_t header = 2, size = p[1];
    if (size == 126) {
        header = 4;
        if (n < header) return 0;
        size = (size_t)p[2] << 8 | p[3];
    } else if (size == 127) {
        die("frame longer than any that is expected");
    }
    if (n < header + size) return 0;
    frame->opcode = p[0] & 15;
    frame->p = (const char *)p + header;
    frame->n = size;
    return header + size;
}

/* The value of a header field, or NULL. `name` is in lower case with the colon. */
static const char *field_find(const char *head, const char *end, const char *name, size_t *n)
{
    size_t name_size = strlen(name);
    for (const char *line = head; line < end;) {
        const char *eol = memmem(line, (size_t)(end - line) + 2, "\r\n", 2);
        if (!eol) return NULL;
        if ((size_t)(eol - line) > name_size && strncasecmp(line, name, name_size) == 0) {
            const char *value = line + name_size;
            while (*value == ' ') value++;
            *n = (size_t)(eol - value);
            return value;
        }
        line = eol + 2;
    }
    return NULL;
}

size_t response_get(struct response *response, const uint8_t *p, size_t n)
{
    const char *head = (const char *)p;
    const char *end = memmem(head, n, "\r\n\r\n", 4);
    if (!end) return 0;
    if (strncmp(head, "HTTP/1.1 ", 9) != 0) die("not an HTTP/1.1 response: %.*s", (int)(n < 64 ? n : 64), head);
    size_t header_size = (size_t)(end - head) + 4, value_size = 0;
    *response = (struct response){.status = atoi(head + 9), .body = head + header_size};
    const char *value = field_find(head, end, "content-length:", &value_size);
    if (value) response->n = strtoul(value, NULL, 10);
    if (!value && response->status != 101) die("response without Content-Length: %.*s", (int)header_size, head);
    value = field_find(head, end, "sec-websocket-accept:", &value_size);
    response->accepted = value && value_size == strlen(LOAD_ACCEPT) && memcmp(value, LOAD_ACCEPT, value_size) == 0;
    return n < header_size + response->n ? 0 : header_size + response->n;
}
