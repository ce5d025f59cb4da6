/* Polling payloads of arbitrary bytes: packets lie inside the body. Writing text again gives the
 * body back; binary is written as what reads back the same, however loosely it came. */
#include "eio_codec.h"
#include "guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good) abort();
}

static void write_again(const struct eio__packet *packet, const uint8_t *text, size_t n)
{
    static struct guard guard;
    size_t size = 1 + (packet->kind == EIO_TEXT ? packet->n : eio__base64_size(packet->n));
    uint8_t *scratch = calloc(1, size);
    require(scratch != NULL);
    uint8_t *out = guard_put(&guard, scratch, size);
    require(eio__payload_put(out, packet->type, packet->kind, packet->p, packet->n) == out + size);
    if (packet->kind == EIO_TEXT) {
        require(size == n && memcmp(out, text, n) == 0);
    } else {
        struct eio__packet again;
        struct eio__fault fault;
        require(eio__packet_decode(out, size, &again, &fault) == 1);
        require(again.kind == EIO_BINARY && again.n == packet->n && memcmp(again.p, packet->p, again.n) == 0);
    }
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guard guard;
    uint8_t *body = guard_put(&guard, data, size), *p = body, *end = body + size;
    size_t n = size, separators = 0, packets = 0;
    struct eio__packet packet;
    struct eio__fault fault = {0};
    int result;
    for (size_t i = 0; i < size; i++) separators += data[i] == 0x1E;
    for (;;) {
        size_t before = (size_t)(p - body);
        result = eio__payload_next(&p, &n, &packet, &fault);
        require(p + n == end);
        if (result != 1) break;
        packets++;
        require(packet.p >= body + before + 1 && packet.p + packet.n <= p);
        const uint8_t *separator = memchr(data + before, 0x1E, size - before);
        write_again(&packet, data + before, separator ? (size_t)(separator - data) - before : size - before);
    }
    if (result == 0)
        require(packets == (size ? separators + 1 : 0));
    else
        require(result == fault.code && fault.why != NULL && fault.close_code == 400);
    guard_free(&guard);
    return 0;
}
