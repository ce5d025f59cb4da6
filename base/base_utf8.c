/* UTF-8 validation (RFC 3629), resumable and fail-fast: a byte that cannot become valid text is refused when it
 * arrives. Runs of ASCII are skipped a vector at a time. Not its job: decoding to code points. */
#include "base_utf8.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The state between characters is 0. Inside one it says what must follow: how many bytes are missing and the bounds of
 * the next one. Only the second byte has bounds other than 80..BF; they exclude overlong forms, surrogates and what
 * lies above U+10FFFF (RFC 3629, section 4). */
#define EXPECT(missing, low, high) ((uint32_t)(missing) | (uint32_t)(low) << 8 | (uint32_t)(high) << 16)

static uint32_t after_lead(uint8_t byte)
{
    if (byte < 0xC2) return 0;
    if (byte < 0xE0) return EXPECT(1, 0x80, 0xBF);
    if (byte == 0xE0) return EXPECT(2, 0xA0, 0xBF);
    if (byte == 0xED) return EXPECT(2, 0x80, 0x9F);
    if (byte < 0xF0) return EXPECT(2, 0x80, 0xBF);
    if (byte == 0xF0) return EXPECT(3, 0x90, 0xBF);
    if (byte < 0xF4) return EXPECT(3, 0x80, 0xBF);
    if (byte == 0xF4) return EXPECT(3, 0x80, 0x8F);
    return 0;
}

/* One byte inside a character. */
static inline bool follow(uint32_t *state, uint8_t byte)
{
    uint32_t missing = *state & 0xFF;
    if (byte < (*state >> 8 & 0xFF) || byte > (*state >> 16 & 0xFF)) return false;
    *state = missing == 1 ? 0 : EXPECT(missing - 1, 0x80, 0xBF);
    return true;
}

/* The end of the run of ASCII at p, at least of its whole vectors. */
static const uint8_t *skip_ascii(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__
    while (end - p >= 32) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(p + 16));
        if (_mm_movemask_epi8(_mm_or_si128(a, b))) break;
        p += 32;
    }
    if (end - p >= 16 && !_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)p))) p += 16;
#endif
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        if (word & UINT64_C(0x8080808080808080)) break;
        p += 8;
    }
    while (p < end && *p < 0x80) p++;
    return p;
}

static inline bool is_tail(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

/* Whole characters outside ASCII as long as three bytes of look-ahead are there: text in other scripts does not go
 * through the state. Stops before a byte it does not understand; the caller's slow path judges that one. */
static const uint8_t *skip_characters(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 4) {
        uint8_t a = p[0], b = p[1];
        if (a < 0x80) break;
        if (a >= 0xC2 && a < 0xE0) {
            if (!is_tail(b)) break;
            p += 2;
        } else if ((a & 0xF0) == 0xE0) {
            unsigned code = (a & 0xFu) << 12 | (b & 0x3Fu) << 6;
            if (!is_tail(b) || !is_tail(p[2]) || code < 0x800 || (code & 0xF800) == 0xD800) break;
            p += 3;
        } else {
            unsigned code = (a & 0x7u) << 18 | (b & 0x3Fu) << 12;
            if (a < 0xF0 || a > 0xF4 || !is_tail(b) || !is_tail(p[2]) || !is_tail(p[3])) break;
            if (code < 0x10000 || code > 0x10FFFF) break;
            p += 4;
        }
    }
    return p;
}

bool base_utf8_feed(struct base_utf8 *utf8, const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;
    uint32_t state = utf8->state;
    while (p < end) {
        if (state) {
            if (!follow(&state, *p++)) return false;
            continue;
        }
        p = skip_ascii(p, end);
        if (p == end) break;
        p = skip_characters(p, end);
        if (p == end || *p < 0x80) continue;
        state = after_lead(*p++);
        if (!state) return false;
    }
    utf8->state = state;
    return true;
}

bool base_utf8_valid(const uint8_t *p, size_t n)
{
    struct base_utf8 utf8 = {0};
    return base_utf8_feed(&utf8, p, n) && base_utf8_complete(&utf8);
}
