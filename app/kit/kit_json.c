#include "kit_json.h"

#include <base_json.h>
#include <base_utf8.h>
#include <string.h>

int kit_json_check(struct eio_str text, size_t max_depth, struct kit_failure *failure)
{
    struct base_json_fault fault;
    ssize_t n = base_json_scan((const uint8_t *)text.p, text.n, max_depth, false, &fault);
    if (n < 0)
        return kit_fail(failure, n == BASE_JSON_DEPTH ? 413 : 400, NULL, "invalid JSON: %s at byte %zu", fault.why,
                        fault.at);
    if ((size_t)n == text.n) return 0;
    return kit_fail(failure, 400, NULL, "invalid JSON: more text after the value at byte %zd", n);
}

/* Behind a string's end, or at the text's. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\') p++;
    return p < end ? p + 1 : end;
}

size_t kit_json_count(struct eio_str text, size_t most)
{
    const char *p = text.p, *end = text.p + text.n;
    size_t count = 1;
    if (text.n / 2 <= most) return text.n / 2; /* a value takes two bytes at least, its bracket or comma included */
    while (p < end && count <= most) {
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        count += *p == ',' || *p == '{' || *p == '[';
        p++;
    }
    return count;
}

bool kit_json_open(struct kit_json_walk *walk, struct eio_str value)
{
    struct base_json_walk inner;
    bool is_open = base_json_open(&inner, (struct base_str){value.p, value.n});
    *walk = (struct kit_json_walk){{inner.rest.p, inner.rest.n}, inner.is_object};
    return is_open;
}

bool kit_json_each(struct kit_json_walk *walk, struct eio_str *key, struct eio_str *value)
{
    struct base_json_walk inner = {{walk->rest.p, walk->rest.n}, walk->is_object};
    struct base_str name = {NULL, 0}, found;
    if (!base_json_each(&inner, &name, &found)) return false;
    walk->rest = (struct eio_str){inner.rest.p, inner.rest.n};
    if (key) *key = (struct eio_str){name.p, name.n};
    *value = (struct eio_str){found.p, found.n};
    return true;
}

size_t kit_json_decode(struct eio_str quoted, char *out)
{
    return base_json_decode((struct base_str){quoted.p, quoted.n}, out);
}

bool kit_json_is_utf8(struct eio_str text)
{
    return base_utf8_valid((const uint8_t *)text.p, text.n);
}

bool kit_json_text_is(struct eio_str quoted, const char *text)
{
    return base_json_text_is((struct base_str){quoted.p, quoted.n}, (struct base_str){text, strlen(text)});
}
