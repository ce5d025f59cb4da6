/* JSON text: a strict check without recursion, and walks that give exact slices, so that what is only passed on is not
 * changed. Trees are not built. */
#include "rooms_wire.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------- check */

struct scan {
    const uint8_t *p, *end;
    size_t depth;
    bool in_object;                                   /* the innermost open level */
    uint64_t outer[ROOMS_MSGPACK_DEPTH_MAX / 64 + 1]; /* a bit for each level: the level around it is an object */
};

enum { VALUE = 0, CLOSED = 1 }; /* else ROOMS_EINVAL or ROOMS_ELIMIT */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(uint8_t c)
{
    if (is_digit(c)) return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && is_space(*p)) p++;
    return p;
}

static bool take(struct scan *s, char c)
{
    s->p = skip_space(s->p, s->end);
    if (s->p == s->end || *s->p != (uint8_t)c) return false;
    s->p++;
    return true;
}

static bool take_escape(struct scan *s)
{
    s->p++;
    if (s->p == s->end || !memchr("\"\\/bfnrtu", *s->p, 9)) return false;
    if (*s->p++ != 'u') return true;
    for (int i = 0; i < 4; i++, s->p++)
        if (s->p == s->end || hex_value(*s->p) < 0) return false;
    return true;
}

/* From behind the opening quote to behind the closing one. */
static bool take_text(struct scan *s)
{
    while (s->p < s->end && *s->p != '"') {
        if (*s->p == '\\') {
            if (!take_escape(s)) return false;
        } else if (*s->p >= 0x80) {
            bool valid;
            s->p += base_utf8_sequence(s->p, s->end, &valid);
            if (!valid) return false;
        } else if (*s->p++ < 0x20) {
            return false;
        }
    }
    if (s->p == s->end) return false;
    s->p++;
    return true;
}

static bool take_digits(struct scan *s)
{
    const uint8_t *begin = s->p;
    while (s->p < s->end && is_digit(*s->p)) s->p++;
    return s->p > begin;
}

static bool take_number(struct scan *s)
{
    if (*s->p == '-') s->p++;
    bool zero = s->p < s->end && *s->p == '0';
    const uint8_t *digits = s->p;
    if (!take_digits(s) || (zero && s->p - digits > 1)) return false;
    if (s->p < s->end && *s->p == '.' && (s->p++, !take_digits(s))) return false;
    if (s->p < s->end && (*s->p | 0x20) == 'e') {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-')) s->p++;
        return take_digits(s);
    }
    return true;
}

static bool take_literal(struct scan *s, const char *literal)
{
    size_t n = strlen(literal);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, literal, n) != 0) return false;
    s->p += n;
    return true;
}

static bool take_scalar(struct scan *s)
{
    if (take_literal(s, "\"")) return take_text(s);
    if (take_literal(s, "true") || take_literal(s, "false") || take_literal(s, "null")) return true;
    return (*s->p == '-' || is_digit(*s->p)) && take_number(s);
}

static bool take_key(struct scan *s)
{
    return take(s, '"') && take_text(s) && take(s, ':');
}

static int open_level(struct scan *s)
{
    bool is_object = *s->p++ == '{';
    if (s->depth == ROOMS_MSGPACK_DEPTH_MAX) return ROOMS_ELIMIT;
    uint64_t *word = &s->outer[s->depth / 64], bit = (uint64_t)1 << s->depth % 64;
    *word = s->in_object ? *word | bit : *word & ~bit;
    s->depth++;
    s->in_object = is_object;
    if (take(s, is_object ? '}' : ']')) return CLOSED;
    return is_object && !take_key(s) ? ROOMS_EINVAL : VALUE;
}

static void close_level(struct scan *s)
{
    s->depth--;
    s->in_object = s->outer[s->depth / 64] >> s->depth % 64 & 1;
}

/* A scalar, or the begin of an array or object. CLOSED: a value is complete; VALUE: its first one comes next. */
static int take_value(struct scan *s)
{
    s->p = skip_space(s->p, s->end);
    if (s->p == s->end) return ROOMS_EINVAL;
    if (*s->p != '[' && *s->p != '{') return take_scalar(s) ? CLOSED : ROOMS_EINVAL;
    int state = open_level(s);
    if (state == CLOSED) close_level(s);
    return state;
}

/* Behind a complete value: closes what ends there. CLOSED: that was all; VALUE: another one comes next. */
static int take_next(struct scan *s)
{
    while (s->depth > 0) {
        if (take(s, ',')) return s->in_object && !take_key(s) ? ROOMS_EINVAL : VALUE;
        if (!take(s, s->in_object ? '}' : ']')) return ROOMS_EINVAL;
        close_level(s);
    }
    return skip_space(s->p, s->end) == s->end ? CLOSED : ROOMS_EINVAL;
}

int rooms__json_check(struct rooms_bytes text)
{
    struct scan s;
    if (text.n == 0) return ROOMS_EINVAL;
    s.p = text.p;
    s.end = text.p + text.n;
    s.depth = 0;
    s.in_object = false;
    for (;;) {
        int state = take_value(&s);
        if (state == CLOSED) {
            state = take_next(&s);
            if (state == CLOSED) return ROOMS_OK;
        }
        if (state != VALUE) return state;
    }
}

/* ------------------------------------------------------------------- walks */

static const uint8_t *text_end(const uint8_t *p)
{
    for (p++; *p != '"'; p++)
        if (*p == '\\') p++;
    return p + 1;
}

/* The text was checked: brackets match, so they only need to be counted. */
static const uint8_t *value_end(const uint8_t *p, const uint8_t *end)
{
    size_t depth = 0;
    while (p < end) {
        if (*p == '"') {
            p = text_end(p);
        } else if (*p == '[' || *p == '{') {
            depth++, p++;
        } else if (*p == ']' || *p == '}') {
            if (depth == 0) return p; /* of the array or object around a number or literal */
            depth--, p++;
        } else if (depth == 0 && (*p == ',' || is_space(*p))) {
            return p;
        } else {
            p++;
            continue;
        }
        if (depth == 0) return p;
    }
    return end;
}

bool rooms__json_open(struct rooms__json_walk *walk, struct rooms_bytes value)
{
    if (value.n == 0) return false;
    walk->end = value.p + value.n;
    walk->p = skip_space(value.p, walk->end);
    if (walk->p == walk->end || (*walk->p != '[' && *walk->p != '{')) return false;
    walk->is_object = *walk->p++ == '{';
    return true;
}

bool rooms__json_next(struct rooms__json_walk *walk, struct rooms_bytes *key, struct rooms_bytes *value)
{
    const uint8_t *p = skip_space(walk->p, walk->end);
    if (p < walk->end && *p == ',') p = skip_space(p + 1, walk->end);
    if (p == walk->end || *p == ']' || *p == '}') return false;
    if (walk->is_object) {
        const uint8_t *begin = p;
        p = text_end(p);
        if (key) *key = (struct rooms_bytes){begin, (size_t)(p - begin)};
        p = skip_space(p, walk->end);
        p = skip_space(p + 1, walk->end); /* the colon */
    }
    walk->p = value_end(p, walk->end);
    *value = (struct rooms_bytes){p, (size_t)(walk->p - p)};
    return true;
}

bool rooms__json_find(struct rooms_bytes object, const char *const *names, size_t count, struct rooms_bytes *found)
{
    struct rooms__json_walk walk;
    struct rooms_bytes key, value;
    for (size_t i = 0; i < count; i++) found[i] = (struct rooms_bytes){NULL, 0};
    if (!rooms__json_open(&walk, object) || !walk.is_object) return false;
    while (rooms__json_next(&walk, &key, &value)) {
        for (size_t i = 0; i < count; i++)
            if (rooms__json_text_is(key, (struct rooms_name){names[i], strlen(names[i])})) found[i] = value;
    }
    return true;
}

/* ----------------------------------------------------------------- scalars */

bool rooms__json_is_text(struct rooms_bytes value)
{
    return value.n > 0 && value.p[0] == '"';
}

bool rooms__json_is_array(struct rooms_bytes value)
{
    return value.n > 0 && value.p[0] == '[';
}

bool rooms__json_is(struct rooms_bytes value, const char *literal)
{
    return value.n == strlen(literal) && memcmp(value.p, literal, value.n) == 0;
}

static uint32_t hex4(const uint8_t *p)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) code = code << 4 | (uint32_t)hex_value(p[i]);
    return code;
}

/* p: at the backslash. Returns what is behind the escape. */
static const uint8_t *decode_escape(const uint8_t *p, const uint8_t *end, char **to)
{
    static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    if (p[1] != 'u') {
        *(*to)++ = plain[strchr(from, p[1]) - from];
        return p + 2;
    }
    uint32_t code = hex4(p + 2);
    p += 6;
    if (code >= 0xd800 && code < 0xe000) {
        uint32_t low = code < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? hex4(p + 2) : 0;
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            p += 6;
        } else {
            code = 0xfffd;
        }
    }
    *to += base_utf8_put(code, *to);
    return p;
}

long rooms__json_text(struct rooms_bytes value, char *out)
{
    char *to = out;
    if (!rooms__json_is_text(value)) return -1;
    const uint8_t *p = value.p + 1, *end = value.p + value.n - 1;
    while (p < end) {
        if (*p == '\\')
            p = decode_escape(p, end, &to);
        else
            *to++ = (char)*p++;
    }
    return to - out;
}

bool rooms__json_text_is(struct rooms_bytes value, struct rooms_name text)
{
    char decoded[8]; /* of one escape */
    size_t at = 0;
    if (!rooms__json_is_text(value)) return false;
    const uint8_t *p = value.p + 1, *end = value.p + value.n - 1;
    while (p < end) {
        char *to = decoded;
        const uint8_t *behind = *p == '\\' ? decode_escape(p, end, &to) : p + 1;
        if (*p != '\\') *to++ = (char)*p;
        size_t n = (size_t)(to - decoded);
        if (text.n - at < n || memcmp(text.p + at, decoded, n) != 0) return false;
        at += n;
        p = behind;
    }
    return at == text.n;
}

bool rooms__json_uint(struct rooms_bytes value, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (!is_digit(value.p[i])) return false;
        uint64_t digit = (uint64_t)(value.p[i] - '0');
        if (*number > (UINT64_MAX - digit) / 10) return false;
        *number = *number * 10 + digit;
    }
    return value.n > 0;
}

/* ----------------------------------------------------------------- writing */

void rooms__put(struct rooms_packer *packer, const char *literal)
{
    rooms__put_bytes(packer, literal, strlen(literal));
}

void rooms__put_text(struct rooms_packer *packer, struct rooms_name text)
{
    static const char hex[] = "0123456789abcdef", plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *p = text.p, *end = text.p + text.n;
    rooms__put(packer, "\"");
    while (p < end) {
        const char *from = p;
        while (p < end && (uint8_t)*p >= 0x20 && *p != '"' && *p != '\\') p++;
        rooms__put_bytes(packer, from, (size_t)(p - from));
        if (p == end) break;
        const char *found = *p ? strchr(plain, *p) : NULL;
        char escape[] = {'\\', 'u', '0', '0', hex[(uint8_t)*p >> 4], hex[*p & 15]};
        if (found) escape[1] = letters[found - plain];
        rooms__put_bytes(packer, escape, found ? 2 : sizeof escape);
        p++;
    }
    rooms__put(packer, "\"");
}

void rooms__put_uint(struct rooms_packer *packer, uint64_t number)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    rooms__put_bytes(packer, digits, (size_t)n);
}
