/* De-chunking any bytes: the result is the same however they are cut, and never more than came in. */
#include "eio_codec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    uint8_t *body;
    size_t body_size, used;
    bool done;
    int status;
};

static void run(const uint8_t *data, size_t size, size_t step, struct result *result)
{
    struct eio__chunked chunked = {0};
    *result = (struct result){.body = malloc(size ? size : 1)};
    for (size_t at = 0; at < size && !result->done && !result->status; at += step) {
        size_t n = size - at < step ? size - at : step, out_size;
        uint8_t *in = malloc(n), *out = malloc(n);
        memcpy(in, data + at, n);
        struct eio__fault fault;
        ssize_t used = eio__chunked_feed(&chunked, in, n, out, &out_size, &result->done, &fault);
        if (used < 0) {
            result->status = fault.close_code;
        } else {
            if ((size_t)used > n || out_size > (size_t)used || (!result->done && (size_t)used != n)) abort();
            memcpy(result->body + result->body_size, out, out_size);
            result->body_size += out_size;
            result->used += (size_t)used;
        }
        free(in);
        free(out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result whole, pieces;
    run(data, size, size ? size : 1, &whole);
    run(data, size, size ? 1 + data[size - 1] % 5 : 1, &pieces);
    if (whole.status != pieces.status || whole.done != pieces.done) abort();
    if (whole.done && (whole.used != pieces.used || whole.body_size != pieces.body_size ||
                       memcmp(whole.body, pieces.body, whole.body_size) != 0))
        abort();
    free(whole.body);
    free(pieces.body);
    return 0;
}
