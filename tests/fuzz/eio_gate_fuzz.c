/* The gate over any bytes: no memory error, the verdict does not depend on how the bytes were cut, and an accepted head
 * keeps its promises. */
#include "eio_codec.h"
#include "eio_http_int.h"

#include <stdlib.h>
#include <string.h>

static const struct eio__gate_limits limits = {.max_head_bytes = 2048, .max_line_bytes = 512, .max_fields = 16};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) abort();
}

static void check_head(const struct eio__gate_head *parsed)
{
    const struct eio_http_head *head = parsed->take_head;
    struct eio_str target = eio_http_head_target(head), name, value;
    require(target.n >= 1 && target.p[0] == '/' && head->path_size <= head->target_size);
    require(parsed->content_length >= -1 && parsed->minor_version <= 1);
    for (size_t i = 0; i < target.n; i++) require(target.p[i] > ' ' && (uint8_t)target.p[i] < 0x7f);
    size_t framing = 0;
    for (size_t i = 0; eio_http_head_field_at(head, i, &name, &value); i++) {
        require(name.n > 0);
        for (size_t c = 0; c < name.n; c++) require(name.p[c] > ' ' && !(name.p[c] >= 'A' && name.p[c] <= 'Z'));
        require(!value.n || !memchr(value.p, '\n', value.n));
        require(!value.n || !memchr(value.p, '\0', value.n));
        framing += eio_str_is(name, "content-length") || eio_str_is(name, "transfer-encoding");
    }
    require(framing <= 1);
    struct eio_http_head *copy = eio__http_head_copy(head);
    require(copy && eio_http_head_field(copy, "host").n == eio_http_head_field(head, "host").n);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct eio__gate_head parsed, part;
    struct eio__fault fault = {0}, part_fault = {0};
    ssize_t whole = eio__gate_parse(data, size, &limits, &parsed, &fault);
    require(whole <= (ssize_t)size);
    if (whole > 0) check_head(&parsed);
    if (whole > 0) free(parsed.take_head);
    /* As a connection that gets it in pieces of 1 + data[0] % 7 bytes. */
    struct eio__gate_scan scan = {0};
    size_t step = size ? 1u + data[0] % 7u : 1u;
    ssize_t rc = 0;
    for (size_t n = step; rc == 0; n += step) {
        if (n > size) n = size;
        uint8_t *exact = malloc(n ? n : 1);
        if (n) memcpy(exact, data, n);
        if (eio__gate_scan(&scan, exact, n, &limits)) rc = eio__gate_parse(exact, n, &limits, &part, &part_fault);
        free(exact);
        if (rc > 0) free(part.take_head);
        if (n == size) break;
    }
    /* A fault in the middle is looked for only when the head ends, or a limit is passed. */
    require(rc == 0 ? whole <= 0 : rc == whole);
    if (rc < 0) require(part_fault.close_code == fault.close_code);
    return 0;
}
