/* Decodes what stands on standard input, one record after the other, each with one line on standard output.
 * A record: a letter that chooses the decoder, four bytes of size (big endian), the input. Bytes are printed in
 * hexadecimal, packets as "<type>:<t or b>:<hex> ", an error as "error". The input ends at the end of its memory, so
 * that ASan sees a read past it. */
#include "eio_codec.h"
#include "eio_deflate.h"
#include "eio_int.h"
#include "eio_polling.h"
#include "sio_codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_hex(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) printf("%02x", ((const uint8_t *)p)[i]);
}

static void print_packet(const struct eio__packet *packet)
{
    printf("%c:%c:", packet->type, packet->kind == EIO_TEXT ? 't' : 'b');
    print_hex(packet->p, packet->n);
    printf(" ");
}

static void base64(uint8_t *p, size_t n)
{
    print_hex(p, eio__base64_decode(p, n));
}

/* What the polling transport checks before it reads a body as text. */
static bool is_text(const uint8_t *p, size_t n)
{
    if (n > 0 && base_utf8_valid(p, n)) return true;
    printf("error");
    return false;
}

static void payload4(uint8_t *p, size_t n)
{
    struct eio__packet packet;
    struct eio__fault fault;
    int result;
    if (!is_text(p, n)) return;
    while ((result = eio__payload_next(&p, &n, &packet, &fault)) == 1) print_packet(&packet);
    if (result < 0) printf("error");
}

static void payload3(uint8_t *p, size_t n, bool binary)
{
    struct eio__packet packet;
    struct eio__fault fault;
    int result;
    if (!binary && !is_text(p, n)) return;
    while ((result = eio__payload3_next(&p, &n, binary, &packet, &fault)) == 1) print_packet(&packet);
    if (result < 0) printf("error");
}

static void packet(uint8_t *p, size_t n, int protocol, enum eio_kind kind)
{
    struct eio__packet packet;
    struct eio__fault fault;
    int result =
        protocol == 3 ? eio__packet3_decode(p, n, kind, &packet, &fault) : eio__packet_decode(p, n, &packet, &fault);
    if (result == 1)
        print_packet(&packet);
    else
        printf("error");
}

static void query(const uint8_t *p, size_t n)
{
    static const char *const names[] = {"transport", "EIO", "sid", "j", "b64", "t"};
    char value[4096];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int size = eio_query_get((struct eio_str){(const char *)p, n}, names[i], value, sizeof value);
        printf("%s=", names[i]);
        if (size >= 0)
            print_hex(value, (size_t)size);
        else
            printf("none");
        printf(" ");
    }
}

static void form(uint8_t *p, size_t n)
{
    if (eio__polling_form_value(p, &n))
        print_hex(p, n);
    else
        printf("none");
}

static void socketio(const uint8_t *p, size_t n)
{
    static const struct sio__packet_limits limits = {{128}, 10, 512};
    struct sio__packet packet;
    struct sio__fault fault;
    if (sio__packet_decode(p, n, &limits, &packet, &fault) != 0) {
        printf("error");
        return;
    }
    printf("%d ", (int)packet.type);
    print_hex(packet.nsp.p, packet.nsp.n);
    if (packet.has_id)
        printf(" %llu ", (unsigned long long)packet.id);
    else
        printf(" none ");
    printf("%u ", packet.attachment_count);
    if (packet.data.p)
        print_hex(packet.data.p, packet.data.n);
    else
        printf("none");
}

static void extension(const uint8_t *p, size_t n)
{
    char response[EIO__DEFLATE_RESPONSE_BYTES] = "";
    if (!eio__ws_extensions_valid((struct eio_str){(const char *)p, n})) {
        printf("error");
        return;
    }
    printf("%d %s", eio__deflate_negotiate((struct eio_str){(const char *)p, n}, response), response);
}

static void decode(char kind, uint8_t *p, size_t n)
{
    switch (kind) {
    case 'b':
        base64(p, n);
        break;
    case '4':
        payload4(p, n);
        break;
    case '3':
        payload3(p, n, false);
        break;
    case 'B':
        payload3(p, n, true);
        break;
    case 'p':
        packet(p, n, 4, EIO_TEXT);
        break;
    case 't':
        packet(p, n, 3, EIO_TEXT);
        break;
    case 'T':
        packet(p, n, 3, EIO_BINARY);
        break;
    case 'q':
        query(p, n);
        break;
    case 'f':
        form(p, n);
        break;
    case 's':
        socketio(p, n);
        break;
    case 'x':
        extension(p, n);
        break;
    case 'k':
        printf("%d", eio__ws_key_valid((struct eio_str){(const char *)p, n}));
        break;
    default:
        printf("no such decoder");
        break;
    }
    printf("\n");
}

int main(void)
{
    uint8_t head[5];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        size_t n = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
        uint8_t *p = malloc(n ? n : 1);
        if (!p || fread(p, 1, n, stdin) != n) return 1;
        decode((char)head[0], p, n);
        free(p);
    }
    return 0;
}
