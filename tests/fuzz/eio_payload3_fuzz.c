/* Engine.IO 3 payloads of arbitrary bytes, in both forms: packets lie inside the body, and what is written of them
 * reads back the same. The first byte chooses the form; JSONP dresses and undresses the rest. */
#include "eio_codec.h"
#include "guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good) abort();
}

static void write_again(const struct eio__packet *packet, bool binary_form)
{
    static struct guard guard;
    size_t bound = eio__payload3_bound(packet->kind, packet->n);
    uint8_t *none = calloc(1, bound), *copy = malloc(packet->n + 1);
    require(none && copy);
    if (packet->n) memcpy(copy, packet->p, packet->n);
    uint8_t *out = guard_put(&guard, none, bound);
    struct eio__packet again, from = {packet->type, packet->kind, copy, packet->n};
    struct eio__fault fault;
    uint8_t *end = eio__payload3_put(out, binary_form, &from);
    size_t n = (size_t)(end - out);
    require(n <= bound);
    require(eio__payload3_next(&out, &n, binary_form, &again, &fault) == 1);
    require(n == 0 && out == end);
    require(again.type == packet->type && again.kind == packet->kind && again.n == packet->n);
    require(packet->n == 0 || memcmp(again.p, copy, packet->n) == 0);
    free(none);
    free(copy);
}

static void script(const uint8_t *data, size_t size)
{
    static struct guard guard;
    size_t bound = eio__jsonp_bound(size), index_size = size < 31 ? size : 31;
    uint8_t *none = calloc(1, bound);
    require(none != NULL);
    uint8_t *out = guard_put(&guard, none, bound);
    size_t n = eio__jsonp_put((char *)out, (struct eio_str){(const char *)data, index_size}, data, size);
    require(n <= bound && memcmp(out, "___eio[", 7) == 0 && memcmp(out + n - 3, "\");", 3) == 0);
    for (size_t i = 0; i < n; i++) require(out[i] >= 0x20);
    char *text = (char *)guard_put(&guard, data, size);
    require(eio__jsonp_unescape(text, size) <= size);
    free(none);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guard guard;
    if (size == 0) return 0;
    bool binary_form = data[0] & 1;
    script(data + 1, size - 1);
    uint8_t *body = guard_put(&guard, data + 1, size - 1), *p = body, *end = body + size - 1;
    size_t n = size - 1;
    if (!binary_form && !base_utf8_valid(p, n)) return 0; /* checked by the caller */
    struct eio__packet packet;
    struct eio__fault fault = {0};
    int result;
    for (;;) {
        uint8_t *before = p;
        result = eio__payload3_next(&p, &n, binary_form, &packet, &fault);
        require(p + n == end);
        if (result != 1) break;
        require(p > before && packet.p > before && packet.p + packet.n <= p);
        require(packet.type >= EIO__OPEN && packet.type <= EIO__NOOP);
        write_again(&packet, binary_form);
    }
    require(result == 0 || (result == fault.code && fault.why != NULL && fault.close_code == 400));
    return 0;
}
