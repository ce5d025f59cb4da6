/* Headers of the PROXY protocol: what is not whole is never taken for whole or wrong once more bytes show otherwise. */
#include "eio_proxy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t decode(const uint8_t *data, size_t size, struct eio__proxy_header *out)
{
    struct eio__fault fault = {.why = NULL};
    uint8_t *exact = malloc(size ? size : 1);
    if (size) memcpy(exact, data, size);
    ssize_t used = eio__proxy_decode(exact, size, out, &fault);
    free(exact);
    if (used < 0 && !fault.why) abort();
    if (used > (ssize_t)size || used > EIO__PROXY_HEADER_MAX) abort();
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct eio__proxy_header whole, part;
    char text[46];
    if (size > EIO__PROXY_HEADER_MAX + 16) return 0;
    ssize_t used = decode(data, size, &whole);
    if (used > 0) eio__address_print(&whole.address, text);
    if (size > 600) return 0;
    for (size_t n = 0; n < size; n++) {
        ssize_t early = decode(data, n, &part);
        bool is_known = used > 0 && n >= (size_t)used;
        if (is_known && (early != used || memcmp(&part.address, &whole.address, sizeof part.address))) abort();
        if (!is_known && early > 0) abort();
        if (early < 0 && used >= 0) abort();
        if (used == 0 && early != 0) abort();
    }
    return 0;
}
