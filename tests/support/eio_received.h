/* What a peer of the conversations is sent must be well-formed, in each protocol and form: frames, payloads, scripts;
 * and an attachment follows its packet, whatever a full queue dropped. The messages are the fuzzer's: "P…" alone,
 * "G<n>" before n binary "A…". */
#ifndef EIO_RECEIVED_H
#define EIO_RECEIVED_H

#include "eio_codec.h"
#include "eio_int.h"
#include "eio_test.h"
#include "packed.h"

#include <sodium.h>
#include <string.h>

struct received {
    int protocol; /* 4, 3, or 0 for a bare WebSocket */
    bool base64;  /* Engine.IO 3 without binary */
    bool jsonp, deflate, close_seen;
    int attachments_due;
    uint8_t *bytes; /* of a WebSocket, not yet whole frames */
    size_t size;
};

static void received_message(struct received *received, bool binary, const uint8_t *p, size_t n)
{
    BASE_CHECK(n > 0);
    if (binary && p[0] == 'A') {
        BASE_CHECK(received->attachments_due > 0);
        received->attachments_due--;
        return;
    }
    BASE_CHECK(received->attachments_due == 0);
    BASE_CHECK(p[0] == 'P' || (p[0] == 'G' && !binary && n == 2));
    if (p[0] == 'G') received->attachments_due = p[1] - '0';
}

/* Engine.IO 3 in a frame: the type is in binary, too; without binary it is base64 in text. */
static void received_packet3(struct received *received, enum eio_kind kind, const uint8_t *p, size_t n)
{
    struct eio__packet packet;
    struct eio__fault fault;
    uint8_t *copy = malloc(n + 1);
    BASE_CHECK(copy && n > 0 && !(kind == EIO_BINARY && received->base64));
    memcpy(copy, p, n);
    BASE_CHECK(eio__packet3_decode(copy, n, kind, &packet, &fault) == 1);
    if (packet.type == EIO__MESSAGE)
        received_message(received, packet.kind == EIO_BINARY, packet.p, packet.n);
    else
        BASE_CHECK(packet.type == EIO__OPEN || packet.type == EIO__PONG);
    free(copy);
}

static void received_text(struct received *received, const uint8_t *p, size_t n)
{
    if (received->protocol == 0)
        received_message(received, false, p, n);
    else if (received->protocol == 3)
        received_packet3(received, EIO_TEXT, p, n);
    else if (n > 0 && p[0] == '4')
        received_message(received, false, p + 1, n - 1);
    else
        BASE_CHECK(n > 0 && (p[0] == '0' || p[0] == '2' || (n == 6 && memcmp(p, "3probe", 6) == 0)));
}

static void received_frame(struct received *received, uint8_t first, const uint8_t *p, size_t n)
{
    enum { RSV1 = 0x40 };
    BASE_CHECK(!received->close_seen);
    if (first & RSV1) {
        struct eio__fault fault;
        uint8_t *plain;
        size_t size;
        BASE_CHECK(received->deflate && !(first & 0x08) && inflate_whole(p, n, 65536, &plain, &size, &fault) == 0);
        received_frame(received, first & ~RSV1, plain, size);
        free(plain);
        return;
    }
    switch (first) {
    case 0x88:
        received->close_seen = true;
        break;
    case 0x89:
        BASE_CHECK(received->protocol == 0);
        break;
    case 0x8a:
        BASE_CHECK(n <= 125);
        break;
    case 0x82:
        if (received->protocol == 3)
            received_packet3(received, EIO_BINARY, p, n);
        else
            received_message(received, true, p, n);
        break;
    case 0x81:
        received_text(received, p, n);
        break;
    default:
        BASE_CHECK(!"a frame that a server may send");
    }
}

/* Looks at the whole frames among the bytes and keeps the rest. */
static void received_frames(struct received *received)
{
    size_t at = 0;
    while (at + 2 <= received->size) {
        const uint8_t *p = received->bytes + at;
        size_t left = received->size - at, n = p[1] & 0x7f, header = 2;
        BASE_CHECK(!(p[1] & 0x80) && n < 127);
        if (n == 126) {
            if (left < 4) break;
            n = (size_t)p[2] << 8 | p[3];
            header = 4;
        }
        if (left < header + n) break;
        received_frame(received, p[0], p + header, n);
        at += header + n;
    }
    memmove(received->bytes, received->bytes + at, received->size - at);
    received->size -= at;
}

/* Takes the text out of ___eio[0]("…"); in place. */
static size_t received_script(char *p, size_t n)
{
    static const char head[] = "___eio[0](\"", tail[] = "\");";
    size_t size = 0, end = n - (sizeof tail - 1);
    BASE_CHECK(n >= sizeof head + sizeof tail - 2 && memcmp(p, head, sizeof head - 1) == 0);
    BASE_CHECK(memcmp(p + end, tail, sizeof tail - 1) == 0);
    for (size_t i = sizeof head - 1; i < end; i++) {
        unsigned code;
        if (p[i] != '\\') {
            BASE_CHECK(p[i] != '"');
            p[size++] = p[i];
        } else if (p[++i] == 'u') {
            BASE_CHECK(sscanf(p + i + 1, "%4x", &code) == 1 && code < 0x20);
            p[size++] = (char)code;
            i += 4;
        } else {
            BASE_CHECK(strchr("\"\\bfnrt", p[i]));
            p[size++] = p[i];
        }
    }
    return size;
}

/* The answer to a poll. */
static void received_payload(struct received *received, struct eio__test_reply *reply)
{
    uint8_t *p = (uint8_t *)reply->body;
    size_t n = reply->body_size;
    bool binary_form = strcmp(reply->type, "application/octet-stream") == 0;
    struct eio__packet packet;
    struct eio__fault fault;
    int result, count = 0;
    BASE_CHECK(!binary_form || (received->protocol == 3 && !received->base64 && !received->jsonp));
    if (received->jsonp) n = received_script(reply->body, n);
    for (;; count++) {
        result = received->protocol == 3 ? eio__payload3_next(&p, &n, binary_form, &packet, &fault)
                                         : eio__payload_next(&p, &n, &packet, &fault);
        if (result != 1) break;
        if (packet.type == EIO__MESSAGE)
            received_message(received, packet.kind == EIO_BINARY, packet.p, packet.n);
        else
            BASE_CHECK(packet.type == EIO__OPEN || (packet.n == 0 && packet.type != EIO__UPGRADE));
    }
    BASE_CHECK(result == 0 && count > 0);
}
#endif
