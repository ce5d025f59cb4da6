/* UTF-8 validation of arbitrary bytes: the same answer byte by byte, in pieces and at once, and that of a decoder
 * which computes each code point and judges the number. */
#include "base_utf8.h"
#include "guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Size of the character at p, 0 if there is none (RFC 3629, section 3). */
static size_t character(const uint8_t *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    if (size == 0 || size > n) return 0;
    if (size == 1) return 1;
    uint32_t code = p[0] & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if (p[i] >> 6 != 2) return 0;
        code = code << 6 | (p[i] & 0x3F);
    }
    return code < least[size] || code > 0x10FFFF || code >> 11 == 0x1B ? 0 : size;
}

static bool oracle(const uint8_t *p, size_t n)
{
    for (size_t i = 0, size; i < n; i += size) {
        size = character(p + i, n - i);
        if (size == 0) return false;
    }
    return true;
}

static bool in_pieces(const uint8_t *p, size_t n, size_t piece)
{
    static struct guard guard;
    struct base_utf8 utf8 = {0};
    bool good = true;
    for (size_t at = 0; good && at < n; at += piece) {
        size_t size = piece < n - at ? piece : n - at;
        good = base_utf8_feed(&utf8, guard_put(&guard, p + at, size), size);
    }
    return good && base_utf8_complete(&utf8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    size_t piece = 1 + data[0] % 40;
    data++;
    size--;
    bool good = oracle(data, size);
    if (base_utf8_valid(data, size) != good || in_pieces(data, size, piece) != good || in_pieces(data, size, 1) != good)
        abort();
    return 0;
}
