/* The JSON scanner. The first byte says how: bit 0, text is taken as checked UTF-8. What it accepts can be skipped,
 * taken apart and made a tree, and what jansson accepts, it accepts. */
#include "sio_codec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

/* Text in both directions: what is quoted is scanned and comes back. */
static void check_text(const uint8_t *p, size_t n)
{
    static const struct sio__json_limits limits = {1};
    struct sio__fault fault;
    size_t size = base_json_quoted_size((const char *)p, n);
    char *quoted = malloc(size), *text = malloc(size);
    MUST(quoted && text);
    MUST(base_json_put_quoted(quoted, (const char *)p, n) == quoted + size);
    MUST(sio__json_scan((uint8_t *)quoted, size, &limits, false, &fault) == (ssize_t)size);
    size_t decoded = sio__json_decode_text((struct eio_str){quoted, size}, text);
    MUST(decoded <= size - 2 && decoded == sio__json_decode_text((struct eio_str){quoted, size}, NULL));
    /* Once broken bytes are replaced, nothing changes any more. */
    size_t again = base_json_quoted_size(text, decoded);
    MUST(again == size);
    char *requoted = malloc(again);
    MUST(requoted && base_json_put_quoted(requoted, text, decoded) == requoted + again);
    MUST(memcmp(requoted, quoted, size) == 0);
    free(requoted);
    free(quoted);
    free(text);
}

static void check_value(const uint8_t *p, size_t n, bool utf8_checked)
{
    struct eio_str value = sio__json_trim((struct eio_str){(const char *)p, n}), rest = value;
    MUST(base_json_skip((const uint8_t *)value.p, value.n) == value.n);
    MUST(sio__json_next(&rest).n == value.n && rest.n == 0);
    if (!utf8_checked) {
        json_t *tree = sio__json_tree(value);
        MUST(tree);
        json_decref(tree);
    }
    struct sio_args args = {value, NULL, 0};
    MUST(sio_args_count(args) == 1);
    if (value.n > 2 && *value.p == '[') {
        args.json = (struct eio_str){value.p + 1, value.n - 2};
        size_t count = sio_args_count(args);
        MUST(count == 0 || sio_args_count(sio_args_drop_last(args)) == count - 1);
        MUST(count == 0 || sio_args_count(sio_args_skip(args, 1)) == count - 1);
        MUST(count == 0 || sio_args_at(args, count - 1).n > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sio__json_limits limits = {64};
    if (size == 0) return 0;
    bool utf8_checked = data[0] & 1;
    const uint8_t *p = data + 1;
    size_t n = size - 1;
    struct sio__fault fault = {0};
    ssize_t scanned = sio__json_scan(p, n, &limits, utf8_checked, &fault);
    MUST(scanned >= 0 ? (size_t)scanned <= n : fault.code == scanned && fault.at <= n && fault.why);
    if (scanned > 0) check_value(p, (size_t)scanned, utf8_checked);
    if (!utf8_checked && fault.code != EIO_ETOOBIG && !memchr(p, '\0', n)) {
        json_t *theirs = json_loadb((const char *)p, n, JSON_DECODE_ANY, NULL);
        MUST(!theirs || (size_t)scanned == n);
        json_decref(theirs);
    }
    check_text(p, n);
    return 0;
}
