/* JSON text: a strict one-pass scanner that neither allocates nor recurses, walks over scanned text, and conversion
 * between JSON strings and UTF-8. Accepts exactly what JavaScript's JSON.parse accepts. Builds no trees. */
#include "base_json.h"

#include "base_utf8.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { VECTOR_BYTES = 16 };

struct scan {
    const uint8_t *begin, *end;
    const uint8_t *vectors_end; /* before it begins whatever can be read as a whole vector */
    struct base_json_fault *fault;
    bool has_escapes; /* a string had, since this was cleared */
};

/* The open arrays and objects, a bit each: 1 for an object. Apart from the text, so that the compiler can keep it in
 * registers. */
enum { LEVELS_IN_WORD = 64 };
struct levels {
    uint64_t kinds; /* of the innermost up to 64, the last one lowest */
    size_t depth, max_depth;
    uint64_t *outer; /* the kinds of each full word, the outermost first; NULL: max_depth is at most one word */
};

static const uint8_t *set_fault(struct scan *s, const uint8_t *p, int code, const char *why)
{
    *s->fault = (struct base_json_fault){.code = code, .at = (size_t)(p - s->begin), .why = why};
    return NULL;
}

static inline bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* ---------------------------------------------------------------------------------------------------- strings */

static inline bool is_plain(uint8_t c, bool stop_at_high)
{
    return c >= 0x20 && c != '"' && c != '\\' && !(stop_at_high && c >= 0x80);
}

#ifdef __SSE2__
/* One bit for each of 16 bytes that is a quote, a backslash, a control character or, if wanted, not ASCII. With its
 * second bit turned over, the quote comes next to the control characters, which stay among themselves. */
static inline unsigned special_mask(const uint8_t *p, bool stop_at_high)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i turned = _mm_xor_si128(x, _mm_set1_epi8('"' ^ 0x20));
    __m128i quote_or_control = _mm_cmpeq_epi8(_mm_min_epu8(turned, _mm_set1_epi8(0x20)), turned);
    __m128i any = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\\')), quote_or_control);
    return (unsigned)_mm_movemask_epi8(stop_at_high ? _mm_or_si128(any, x) : any);
}
#endif

/* Returns the first byte at or after p that a string cannot contain as it is (or, if wanted, that is not ASCII), or
 * end. Up to `begin`, bytes before p may be read. */
static inline const uint8_t *plain_run(const uint8_t *begin, const uint8_t *p, const uint8_t *end, bool stop_at_high)
{
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        unsigned mask = special_mask(p, stop_at_high);
        if (mask) return p + __builtin_ctz(mask);
    }
    if (end - begin >= 16 && p < end) {
        /* The last 16 bytes overlap what was seen: shift that out. */
        unsigned mask = special_mask(end - 16, stop_at_high) >> (16 - (end - p));
        return mask ? p + __builtin_ctz(mask) : end;
    }
#else
    (void)begin;
#endif
    while (p < end && is_plain(*p, stop_at_high)) p++;
    return p;
}

static const uint8_t *scan_escape(struct scan *s, const uint8_t *p)
{
    s->has_escapes = true;
    if (s->end - p < 2) return set_fault(s, p, BASE_JSON_SYNTAX, "text ends inside an escape");
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 2;
    case 'u':
        break;
    default:
        return set_fault(s, p, BASE_JSON_SYNTAX, "unknown escape");
    }
    if (s->end - p < 6) return set_fault(s, p, BASE_JSON_SYNTAX, "text ends inside an escape");
    for (int i = 2; i < 6; i++) {
        if (base_hex_value((char)p[i]) < 0)
            return set_fault(s, p, BASE_JSON_SYNTAX, "\\u without four hexadecimal digits");
    }
    return p + 6;
}

/* The rest of a string, from a byte that is not plain, or the end. */
static const uint8_t *scan_special(struct scan *s, const uint8_t *p)
{
    for (;; p = plain_run(s->begin, p, s->end, false)) {
        if (p == s->end) return set_fault(s, p, BASE_JSON_SYNTAX, "text ends inside a string");
        if (*p == '"') return p + 1;
        if (*p < 0x20) return set_fault(s, p, BASE_JSON_SYNTAX, "control character inside a string");
        p = scan_escape(s, p);
        if (!p) return NULL;
    }
}

static __attribute__((noinline)) const uint8_t *scan_last_bytes(struct scan *s, const uint8_t *p)
{
    p = plain_run(s->begin, p, s->end, false);
    return p < s->end && *p == '"' ? p + 1 : scan_special(s, p);
}

/* p: after the opening quote. Returns what follows the closing one. */
static inline const uint8_t *scan_string(struct scan *s, const uint8_t *p)
{
#ifdef __SSE2__
    for (; p < s->vectors_end; p += VECTOR_BYTES) {
        unsigned mask = special_mask(p, false);
        if (!mask) continue;
        p += (unsigned)__builtin_ctz(mask);
        return *p == '"' ? p + 1 : scan_special(s, p);
    }
#endif
    return scan_last_bytes(s, p);
}

/* ----------------------------------------------------------------------------------------------- other values */

/* RFC 8259, section 6. */
static const uint8_t *scan_number(struct scan *s, const uint8_t *p)
{
    const uint8_t *end = s->end;
    if (*p == '-') p++;
    if (p == end || !is_digit(*p)) return set_fault(s, p, BASE_JSON_SYNTAX, "number without digits");
    if (*p == '0') {
        p++;
    } else {
        while (p < end && is_digit(*p)) p++;
    }
    if (p < end && *p == '.') {
        p++;
        if (p == end || !is_digit(*p))
            return set_fault(s, p, BASE_JSON_SYNTAX, "number without digits after the point");
        while (p < end && is_digit(*p)) p++;
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        if (p == end || !is_digit(*p))
            return set_fault(s, p, BASE_JSON_SYNTAX, "number without digits in the exponent");
        while (p < end && is_digit(*p)) p++;
    }
    return p;
}

static const uint8_t *scan_literal(struct scan *s, const uint8_t *p, const char *word, size_t size)
{
    if ((size_t)(s->end - p) < size || memcmp(p, word, size) != 0)
        return set_fault(s, p, BASE_JSON_SYNTAX, "not a JSON value");
    return p + size;
}

static inline bool in_object(const struct levels *levels)
{
    return levels->kinds & 1;
}

static inline uint8_t closer_of(bool is_object)
{
    return (uint8_t)(']' | is_object << 5); /* '}' is ']' with that bit */
}

static inline bool open_level(struct levels *levels, bool is_object)
{
    if (levels->depth >= levels->max_depth) return false;
    if (levels->outer && levels->depth > 0 && levels->depth % LEVELS_IN_WORD == 0)
        levels->outer[levels->depth / LEVELS_IN_WORD - 1] = levels->kinds;
    levels->kinds = levels->kinds << 1 | is_object;
    levels->depth++;
    return true;
}

static inline void close_level(struct levels *levels)
{
    levels->kinds >>= 1;
    levels->depth--;
    if (levels->outer && levels->depth > 0 && levels->depth % LEVELS_IN_WORD == 0)
        levels->kinds = levels->outer[levels->depth / LEVELS_IN_WORD - 1];
}

static const uint8_t *too_deep(struct scan *s, const uint8_t *p)
{
    return set_fault(s, p, BASE_JSON_DEPTH, "nested too deeply");
}

static const uint8_t *next_behind_space(struct scan *s, const uint8_t *p)
{
    p = base_json_skip_space(p, s->end);
    return p < s->end ? p : set_fault(s, p, BASE_JSON_SYNTAX, "JSON ends too early");
}

/* What comes next, behind whitespace, and what it probably is. NULL: nothing. */
static inline const uint8_t *next_token(struct scan *s, const uint8_t *p, uint8_t expected)
{
    return p < s->end && *p == expected ? p : next_behind_space(s, p);
}

static const uint8_t *bad_key(struct scan *s, const uint8_t *p)
{
    return set_fault(s, p, BASE_JSON_SYNTAX, "object key is not a string");
}

static const uint8_t *colon_behind_space(struct scan *s, const uint8_t *p)
{
    p = base_json_skip_space(p, s->end);
    if (p < s->end && *p == ':') return p;
    return set_fault(s, p, BASE_JSON_SYNTAX, "colon missing after an object key");
}

/* A key and its colon, at p or behind it. Returns where the value begins. */
static inline const uint8_t *scan_key(struct scan *s, const uint8_t *p)
{
    if (*p != '"') return bad_key(s, p);
    p = scan_string(s, p + 1);
    if (!p) return NULL;
    if (p == s->end || *p != ':') {
        p = colon_behind_space(s, p);
        if (!p) return NULL;
    }
    return next_token(s, p + 1, '"');
}

/* A number or a literal. */
static const uint8_t *scan_plain(struct scan *s, const uint8_t *p)
{
    switch (*p) {
    case 't':
        return scan_literal(s, p, "true", 4);
    case 'f':
        return scan_literal(s, p, "false", 5);
    case 'n':
        return scan_literal(s, p, "null", 4);
    default:
        if (*p == '-' || is_digit(*p)) return scan_number(s, p);
        return set_fault(s, p, BASE_JSON_SYNTAX, "not a JSON value");
    }
}

static const uint8_t *not_separated(struct scan *s, const uint8_t *p, bool is_in_object)
{
    return set_fault(s, p, BASE_JSON_SYNTAX,
                     is_in_object ? "expected a comma or } in an object" : "expected a comma or ] in an array");
}

/* Behind a value: closes what ends there. Returns where the next value begins or, if nothing is open any more, what
 * follows the outermost. */
static inline const uint8_t *scan_next(struct scan *s, struct levels *levels, const uint8_t *p)
{
    while (levels->depth > 0) {
        if (p == s->end || *p != ',') {
            p = next_token(s, p, closer_of(in_object(levels)));
            if (!p) return NULL;
        }
        if (*p == ',') {
            p = next_token(s, p + 1, '"');
            return p && in_object(levels) ? scan_key(s, p) : p;
        }
        if (*p != closer_of(in_object(levels))) return not_separated(s, p, in_object(levels));
        close_level(levels);
        p++;
    }
    return p;
}

/* At an opening bracket. Returns where the first value begins or, *is_empty, what follows the closing bracket. */
static inline const uint8_t *scan_first(struct scan *s, struct levels *levels, const uint8_t *p, bool *is_empty)
{
    bool is_object = *p == '{';
    if (!open_level(levels, is_object)) return too_deep(s, p);
    p = next_token(s, p + 1, '"');
    if (!p) return NULL;
    *is_empty = *p == closer_of(is_object);
    if (!*is_empty) return is_object ? scan_key(s, p) : p;
    close_level(levels);
    return p + 1;
}

/* A value at p, and, if more is open, all up to the end of that. Returns what follows it. */
static inline __attribute__((always_inline)) const uint8_t *scan(struct scan *s, struct levels *levels,
                                                                 const uint8_t *p)
{
    while (p) {
        if (*p == '"') {
            p = scan_string(s, p + 1);
        } else if (*p == '{' || *p == '[') {
            bool is_empty;
            p = scan_first(s, levels, p, &is_empty);
            if (p && !is_empty) continue;
        } else {
            p = scan_plain(s, p);
        }
        if (p) p = scan_next(s, levels, p);
        if (levels->depth == 0) break;
    }
    return p;
}

/* Where the first character of the text is not valid, or end. */
static const uint8_t *find_bad_utf8(const uint8_t *p, const uint8_t *end)
{
    if (base_utf8_valid(p, (size_t)(end - p))) return end;
    while (p < end) {
        bool valid = true;
        size_t size = *p < 0x80 ? 1 : base_utf8_sequence(p, end, &valid);
        if (!valid) break;
        p += size;
    }
    return p;
}

/* end: of what was scanned, or NULL. What is not valid UTF-8 before a fault is the first fault. */
static ssize_t scan_result(struct scan *s, const uint8_t *end, bool utf8_checked)
{
    if (end) end = base_json_skip_space(end, s->end);
    if (!utf8_checked) {
        const uint8_t *seen = end ? end : s->begin + s->fault->at, *bad = find_bad_utf8(s->begin, seen);
        if (bad < seen) end = set_fault(s, bad, BASE_JSON_UTF8, "invalid UTF-8");
    }
    return end ? end - s->begin : s->fault->code;
}

static inline void scan_init(struct scan *s, const uint8_t *p, size_t n, struct base_json_fault *fault)
{
    s->begin = n ? p : (const uint8_t *)"";
    s->end = s->begin + n;
    s->vectors_end = n >= VECTOR_BYTES ? s->end - VECTOR_BYTES + 1 : s->begin;
    s->fault = fault;
}

/* Nearly all texts have so few levels that they are one word; for others it is begun anew with room for all. */
static inline bool is_too_deep_for_word(const struct base_json_fault *fault, size_t max_depth)
{
    return fault->code == BASE_JSON_DEPTH && max_depth > LEVELS_IN_WORD;
}

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline __attribute__((always_inline)) ssize_t scan_value(struct scan *s, struct levels levels, bool utf8_checked)
{
    return scan_result(s, scan(s, &levels, next_token(s, s->begin, '{')), utf8_checked);
}

static __attribute__((noinline)) ssize_t scan_deep_value(struct scan *s, size_t max_depth, bool utf8_checked)
{
    uint64_t outer[BASE_JSON_DEPTH_MAX / LEVELS_IN_WORD];
    struct levels levels = {.outer = outer, .max_depth = least(max_depth, BASE_JSON_DEPTH_MAX)};
    return scan_value(s, levels, utf8_checked);
}

ssize_t base_json_scan(const uint8_t *p, size_t n, size_t max_depth, bool utf8_checked, struct base_json_fault *fault)
{
    struct scan s;
    scan_init(&s, p, n, fault);
    ssize_t size = scan_value(&s, (struct levels){.max_depth = least(max_depth, LEVELS_IN_WORD)}, utf8_checked);
    if (size >= 0 || !is_too_deep_for_word(fault, max_depth)) return size;
    return scan_deep_value(&s, max_depth, utf8_checked);
}

static inline __attribute__((always_inline)) ssize_t scan_named(struct scan *s, struct levels levels,
                                                                struct base_json_named *named)
{
    const uint8_t *p = open_level(&levels, false) ? next_token(s, s->begin + 1, '"') : too_deep(s, s->begin);
    if (!p) return s->fault->code;
    s->has_escapes = false;
    named->at = (size_t)(p - s->begin);
    p = *p == '"' ? scan_string(s, p + 1) : scan_plain(s, p);
    if (!p) return s->fault->code;
    named->end = (size_t)(p - s->begin);
    named->has_escapes = s->has_escapes;
    p = scan_next(s, &levels, p);
    if (p && levels.depth > 0) p = scan(s, &levels, p);
    if (!p) return s->fault->code;
    named->closed = (size_t)(p - s->begin);
    return base_json_skip_space(p, s->end) - s->begin;
}

static __attribute__((noinline)) ssize_t scan_deep_named(struct scan *s, size_t max_depth,
                                                         struct base_json_named *named)
{
    uint64_t outer[BASE_JSON_DEPTH_MAX / LEVELS_IN_WORD];
    return scan_named(s, (struct levels){.outer = outer, .max_depth = least(max_depth, BASE_JSON_DEPTH_MAX)}, named);
}

ssize_t base_json_scan_named(const uint8_t *p, size_t n, size_t max_depth, struct base_json_named *named,
                             struct base_json_fault *fault)
{
    struct scan s;
    scan_init(&s, p, n, fault);
    ssize_t size = scan_named(&s, (struct levels){.max_depth = least(max_depth, LEVELS_IN_WORD)}, named);
    return size >= 0 || !is_too_deep_for_word(fault, max_depth) ? size : scan_deep_named(&s, max_depth, named);
}

size_t base_json_scan_text(const uint8_t *p, size_t n)
{
    struct base_json_fault fault;
    struct scan s;
    scan_init(&s, p, n, &fault);
    const uint8_t *end = n > 0 && *p == '"' ? scan_string(&s, p + 1) : NULL;
    return end && base_utf8_valid(p, (size_t)(end - p)) ? (size_t)(end - p) : 0;
}

size_t base_json_scan_number(const uint8_t *p, size_t n)
{
    struct base_json_fault fault;
    struct scan s;
    scan_init(&s, p, n, &fault);
    const uint8_t *end = n > 0 ? scan_number(&s, p) : NULL;
    return end ? (size_t)(end - p) : 0;
}

/* ----------------------------------------------------------------------------------------------- scanned text */

/* p: after the opening quote of a scanned string. */
static const uint8_t *skip_string(const uint8_t *begin, const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        p = plain_run(begin, p, end, false);
        if (p == end) break;
        if (*p == '"') return p + 1;
        p += *p == '\\' && end - p >= 2 ? 2 : 1;
    }
    return end;
}

static const uint8_t *skip_container(const uint8_t *begin, const uint8_t *end)
{
    size_t depth = 0;
    for (const uint8_t *p = begin; p < end;) {
        uint8_t c = *p++;
        if (c == '"') {
            p = skip_string(begin, p, end);
        } else if (c == '[' || c == '{') {
            depth++;
        } else if ((c == ']' || c == '}') && --depth == 0) {
            return p;
        }
    }
    return end;
}

size_t base_json_skip(const uint8_t *p, size_t n)
{
    if (n == 0) return 0;
    const uint8_t *end = p + n, *q = p;
    if (*p == '"') return (size_t)(skip_string(p, p + 1, end) - p);
    if (*p == '[' || *p == '{') return (size_t)(skip_container(p, end) - p);
    while (q < end && !base_json_is_space(*q) && *q != ',' && *q != ']' && *q != '}') q++;
    return (size_t)(q - p);
}

static void drop_front(struct base_str *text, size_t n)
{
    text->p += n;
    text->n -= n;
}

struct base_str base_json_take(const char **p, size_t *n)
{
    struct base_str rest = {*p, *n}, value = {NULL, 0};
    while (rest.n > 0 && base_json_is_space((uint8_t)*rest.p)) drop_front(&rest, 1);
    value.n = base_json_skip((const uint8_t *)rest.p, rest.n);
    if (value.n == 0) {
        *p = NULL;
        *n = 0;
        return value;
    }
    value.p = rest.p;
    drop_front(&rest, value.n);
    while (rest.n > 0 && base_json_is_space((uint8_t)*rest.p)) drop_front(&rest, 1);
    if (rest.n > 0 && *rest.p == ',') drop_front(&rest, 1);
    while (rest.n > 0 && base_json_is_space((uint8_t)*rest.p)) drop_front(&rest, 1);
    *p = rest.p;
    *n = rest.n;
    return value;
}

bool base_json_open(struct base_json_walk *walk, struct base_str value)
{
    struct base_str rest = base_json_trim(value);
    walk->is_object = rest.n > 0 && rest.p[0] == '{';
    if (!walk->is_object && (rest.n == 0 || rest.p[0] != '[')) return false;
    drop_front(&rest, 1);
    walk->rest = rest;
    return true;
}

static void skip_spaces(struct base_str *text)
{
    while (text->n > 0 && base_json_is_space((uint8_t)text->p[0])) drop_front(text, 1);
}

bool base_json_each(struct base_json_walk *walk, struct base_str *key, struct base_str *value)
{
    struct base_str *rest = &walk->rest;
    skip_spaces(rest);
    if (walk->is_object) {
        size_t size = rest->n > 0 && rest->p[0] == '"' ? base_json_skip((const uint8_t *)rest->p, rest->n) : 0;
        if (size == 0) return false;
        if (key) *key = (struct base_str){rest->p, size};
        drop_front(rest, size);
        skip_spaces(rest);
        if (rest->n > 0) drop_front(rest, 1); /* the colon */
    }
    *value = base_json_take(&rest->p, &rest->n);
    return value->n > 0;
}

/* ------------------------------------------------------------------------------------- between JSON and UTF-8 */

static uint32_t hex4(const uint8_t *p)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) code = code << 4 | (uint32_t)base_hex_value((char)p[i]);
    return code;
}

/* Decodes the escape at p (scanned text) and returns what follows it. */
static const uint8_t *decode_escape(const uint8_t *p, const uint8_t *end, char out[4], size_t *size)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    if (p[1] != 'u') {
        const char *found = memchr(from, p[1], sizeof from - 1);
        out[0] = found ? to[found - from] : (char)p[1];
        *size = 1;
        return p + 2;
    }
    uint32_t code = hex4(p + 2);
    p += 6;
    bool pair = code >= 0xd800 && code < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u';
    uint32_t low = pair ? hex4(p + 2) : 0;
    if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    } else if (code >= 0xd800 && code < 0xe000) {
        code = 0xfffd;
    }
    *size = base_utf8_put(code, out);
    return p;
}

size_t base_json_decode(struct base_str quoted, char *out)
{
    if (quoted.n < 2) return 0;
    const uint8_t *p = (const uint8_t *)quoted.p + 1, *end = (const uint8_t *)quoted.p + quoted.n - 1;
    size_t size = 0;
    while (p < end) {
        const uint8_t *escape = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((escape ? escape : end) - p), decoded;
        if (out) memcpy(out + size, p, plain);
        size += plain;
        if (!escape || end - escape < 2) break;
        char text[4];
        p = decode_escape(escape, end, text, &decoded);
        if (out) memcpy(out + size, text, decoded);
        size += decoded;
    }
    return size;
}

bool base_json_text_is(struct base_str quoted, struct base_str text)
{
    if (quoted.n < 2 || quoted.p[0] != '"') return false;
    const uint8_t *p = (const uint8_t *)quoted.p + 1, *end = (const uint8_t *)quoted.p + quoted.n - 1;
    if (!memchr(p, '\\', (size_t)(end - p)))
        return (size_t)(end - p) == text.n && (text.n == 0 || memcmp(p, text.p, text.n) == 0);
    while (p < end) {
        char decoded[4];
        size_t n = 1;
        if (*p == '\\')
            p = decode_escape(p, end, decoded, &n);
        else
            decoded[0] = (char)*p++;
        if (text.n < n || memcmp(text.p, decoded, n) != 0) return false;
        drop_front(&text, n);
    }
    return text.n == 0;
}

bool base_json_uint(struct base_str value, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (!is_digit((uint8_t)value.p[i])) return false;
        uint64_t digit = (uint64_t)(value.p[i] - '0');
        if (*number > (UINT64_MAX - digit) / 10) return false;
        *number = *number * 10 + digit;
    }
    return value.n > 0;
}

/* The letter of a two-byte escape, or 0. */
static char short_escape(uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

/* One character that cannot be copied in a run. Returns the bytes taken; *size is what is written (6 at most). */
static size_t quote_character(const uint8_t *p, const uint8_t *end, char out[6], size_t *size)
{
    static const char hex[] = "0123456789abcdef";
    if (*p >= 0x80) {
        bool valid;
        size_t taken = base_utf8_sequence(p, end, &valid);
        *size = valid ? taken : sizeof BASE_UTF8_REPLACEMENT - 1;
        memcpy(out, valid ? (const char *)p : BASE_UTF8_REPLACEMENT, *size);
        return taken;
    }
    char letter = short_escape(*p);
    memcpy(out, "\\u00", 4);
    out[4] = hex[*p >> 4];
    out[5] = hex[*p & 15];
    if (letter) out[1] = letter;
    *size = letter ? 2 : 6;
    return 1;
}

size_t base_json_quoted_size(const char *text, size_t n)
{
    const uint8_t *begin = (const uint8_t *)(n ? text : ""), *p = begin, *end = begin + n;
    size_t size = 2;
    while (p < end) {
        const uint8_t *stop = plain_run(begin, p, end, true);
        size += (size_t)(stop - p);
        p = stop;
        while (p < end && !is_plain(*p, true)) {
            char out[6];
            size_t written;
            p += quote_character(p, end, out, &written);
            size += written;
        }
    }
    return size;
}

char *base_json_put_quoted(char *out, const char *text, size_t n)
{
    const uint8_t *begin = (const uint8_t *)(n ? text : ""), *p = begin, *end = begin + n;
    *out++ = '"';
    while (p < end) {
        const uint8_t *stop = plain_run(begin, p, end, true);
        memcpy(out, p, (size_t)(stop - p));
        out += stop - p;
        p = stop;
        while (p < end && !is_plain(*p, true)) {
            char piece[6];
            size_t written;
            p += quote_character(p, end, piece, &written);
            memcpy(out, piece, written);
            out += written;
        }
    }
    *out++ = '"';
    return out;
}
