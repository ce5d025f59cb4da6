/* msgpack and JSON: what is decoded becomes text that encodes and decodes to itself, within the promised size; JSON
 * that is accepted encodes to msgpack that decodes to text which does the same. */
#include "rooms_msgpack.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

static const struct rooms_msgpack_limits limits = {.max_depth = 100, .max_attachments = 20};

static void check_same(const struct rooms_decoded *a, const struct rooms_decoded *b)
{
    MUST(a->json_size == b->json_size && memcmp(a->json, b->json, a->json_size) == 0);
    MUST(a->attachment_count == b->attachment_count);
    for (size_t i = 0; i < a->attachment_count; i++) {
        MUST(a->attachments[i].n == b->attachments[i].n);
        MUST(a->attachments[i].n == 0 || memcmp(a->attachments[i].p, b->attachments[i].p, a->attachments[i].n) == 0);
    }
}

/* Half of a surrogate pair is an escape in JSON and U+FFFD in msgpack: then the text is another, once. */
static bool has_half(const struct rooms_decoded *decoded)
{
    for (size_t i = 0; i + 2 < decoded->json_size; i++) {
        if (decoded->json[i] != '\\') continue;
        if (decoded->json[++i] == 'u' && decoded->json[i + 1] == 'd') return true;
    }
    return false;
}

static void check_back(const struct rooms_decoded *decoded)
{
    struct rooms_packer packer;
    struct rooms_decoded again;
    struct rooms_msgpack_fault fault;
    struct rooms_bytes json = {(const uint8_t *)decoded->json, decoded->json_size};
    rooms_packer_init(&packer);
    rooms_pack_json(&packer, json, decoded->attachments, decoded->attachment_count);
    MUST(packer.error == 0);
    MUST(rooms_msgpack_decode(packer.bytes, packer.size, &limits, &again, &fault) == (long)packer.size);
    if (has_half(decoded))
        check_back(&again);
    else
        check_same(decoded, &again);
    rooms_decoded_clear(&again);
    rooms_packer_clear(&packer);
}

static void try_msgpack(const uint8_t *data, size_t size)
{
    struct rooms_decoded decoded;
    struct rooms_msgpack_fault fault = {0};
    long n = rooms_msgpack_decode(data, size, &limits, &decoded, &fault);
    if (n < 0) {
        MUST(fault.why && fault.at <= size && !decoded.json && !decoded.attachments);
        return;
    }
    MUST(n > 0 && (size_t)n <= size);
    MUST(decoded.json_size <= 6 * (size_t)n + 64 * decoded.attachment_count);
    MUST(decoded.attachment_count <= limits.max_attachments);
    for (size_t i = 0; i < decoded.attachment_count; i++) {
        const struct rooms_bytes *bytes = &decoded.attachments[i];
        MUST(bytes->p >= data && bytes->p + bytes->n <= data + n);
    }
    check_back(&decoded);
    rooms_decoded_clear(&decoded);
}

static void try_json(const uint8_t *data, size_t size, size_t attachment_count)
{
    static const struct rooms_bytes attachments[] = {{(const uint8_t *)"ab", 2}, {NULL, 0}, {(const uint8_t *)"c", 1}};
    struct rooms_packer packer;
    struct rooms_decoded decoded;
    struct rooms_msgpack_fault fault;
    rooms_packer_init(&packer);
    rooms_pack_json(&packer, (struct rooms_bytes){data, size}, attachments, attachment_count);
    if (packer.error == 0) {
        size_t at = 0; /* there may be several values, and limits of decoding that encoding has not */
        while (at < packer.size) {
            long n = rooms_msgpack_decode(packer.bytes + at, packer.size - at, &limits, &decoded, &fault);
            if (n < 0) break;
            check_back(&decoded);
            rooms_decoded_clear(&decoded);
            at += (size_t)n;
        }
    }
    rooms_packer_clear(&packer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_msgpack(data, size);
    try_json(data, size, 0);
    try_json(data, size, 3);
    return 0;
}
