/* msgpack to JSON with attachments. One pass without recursion over the bytes, by msgpack-c's parser template: its
 * ready made unpacker allocates as much as a peer claims, the template only calls back. What is written never depends
 * on a length that is not there: text only grows by what was read.
 *
 * JSON.stringify(notepack.decode(bytes)) is what the result means, except that binary data stays binary and that text
 * which is not UTF-8 and keys that are neither text nor integers are refused. */
#include "rooms_wire.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MSGPACK_EMBED_STACK_SIZE (ROOMS_MSGPACK_DEPTH_MAX + 1) /* ours ends first, with a reason */
#include <msgpack/unpack.h>
#include <msgpack/unpack_define.h>

#define FIRST_CAPACITY_MAX 4096 /* as much as the input seems to need, but binary data needs nothing */
#define FIRST_ATTACHMENTS 4
#define FAILED (-1)
#define UINT64_END 18446744073709551616.0
#define DATE_MAX_MS 8.64e15 /* ECMAScript: the time range of Date */

enum { EXT_BUILT_IN = 0, EXT_TIMESTAMP = -1, FIXEXT_1 = 0xd4, FIXEXT_8 = 0xd7 };

/* An array or map that is being read. */
struct level {
    uint32_t left; /* elements or pairs that are not complete */
    bool is_map;
    bool at_key;   /* map: the next value is a key */
    bool any;      /* something was written into it */
    bool dropped;  /* map: the value is undefined, the pair is left out */
    bool mark;     /* map: the key is "_placeholder" */
    size_t key_at; /* map: where the pair begins in the text, with its comma */
};

struct decoding {
    struct rooms_decoded *out;
    const struct rooms_msgpack_limits *limits;
    size_t first_capacity; /* of the text */
    const char *why;
    int code;
    bool has_mark; /* a map with "_placeholder":true was read */
    size_t depth;
    struct level levels[ROOMS_MSGPACK_DEPTH_MAX];
};

static int set_fault(struct decoding *d, int code, const char *why)
{
    d->code = code;
    d->why = why;
    return FAILED;
}

/* ------------------------------------------------------------------ output */

static char *reserve_json(struct decoding *d, size_t n)
{
    struct rooms_decoded *out = d->out;
    if (n > out->json_capacity - out->json_size) {
        size_t capacity = out->json_capacity ? out->json_capacity : d->first_capacity;
        while (capacity - out->json_size < n) capacity *= 2;
        char *json = realloc(out->json, capacity);
        if (!json) return NULL;
        out->json = json;
        out->json_capacity = capacity;
    }
    return out->json + out->json_size;
}

static int put_json(struct decoding *d, const char *text, size_t n)
{
    char *to = reserve_json(d, n);
    if (!to) return set_fault(d, ROOMS_ENOMEM, "out of memory");
    memcpy(to, text, n);
    d->out->json_size += n;
    return 0;
}

static int put_text(struct decoding *d, const char *text)
{
    return put_json(d, text, strlen(text));
}

static char *put_escape(char *to, uint8_t c)
{
    static const char hex[] = "0123456789abcdef", plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = c ? strchr(plain, c) : NULL;
    *to++ = '\\';
    if (found) {
        *to++ = letters[found - plain];
        return to;
    }
    memcpy(to, "u00", 3);
    to[3] = hex[c >> 4];
    to[4] = hex[c & 15];
    return to + 5;
}

/* Half of a surrogate pair alone, as three bytes: JavaScript's strings may have it, and some encoders write it so. */
static bool is_half(const uint8_t *p, const uint8_t *end)
{
    return end - p >= 3 && p[0] == 0xed && p[1] >= 0xa0 && p[1] <= 0xbf && p[2] >= 0x80 && p[2] <= 0xbf;
}

static char *put_half(char *to, const uint8_t *p)
{
    static const char hex[] = "0123456789abcdef";
    memcpy(to, "\\ud", 3);
    to[3] = hex[(p[1] & 0x3f) >> 2];
    to[4] = hex[((p[1] & 3) << 2) | ((p[2] & 0x3f) >> 4)];
    to[5] = hex[p[2] & 15];
    return to + 6;
}

static int put_quoted(struct decoding *d, const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;
    char *begin = n > (SIZE_MAX - 2) / 6 ? NULL : reserve_json(d, 6 * n + 2), *to = begin;
    if (!begin) return set_fault(d, ROOMS_ENOMEM, "out of memory");
    *to++ = '"';
    while (p < end) {
        if (*p >= 0x80) {
            bool valid;
            size_t size = base_utf8_sequence(p, end, &valid);
            if (!valid && is_half(p, end)) {
                to = put_half(to, p);
                p += 3;
                continue;
            }
            if (!valid) return set_fault(d, ROOMS_EINVAL, "text is not UTF-8");
            for (; size > 0; size--) *to++ = (char)*p++;
        } else if (*p < 0x20 || *p == '"' || *p == '\\') {
            to = put_escape(to, *p++);
        } else {
            *to++ = (char)*p++;
        }
    }
    *to++ = '"';
    d->out->json_size += (size_t)(to - begin);
    return 0;
}

/* ------------------------------------------------------------------ places */

static struct level *top(struct decoding *d)
{
    return d->depth > 0 ? &d->levels[d->depth - 1] : NULL;
}

static bool at_key(struct decoding *d)
{
    return d->depth > 0 && top(d)->at_key;
}

/* Writes what precedes a value other than a key. */
static int begin_value(struct decoding *d)
{
    struct level *level = top(d);
    if (!level) return 0;
    if (level->at_key) return set_fault(d, ROOMS_EINVAL, "a map key is neither text nor an integer");
    if (level->is_map || !level->any) {
        level->any = true;
        return 0;
    }
    return put_json(d, ",", 1);
}

static int put_value(struct decoding *d, const char *json)
{
    return begin_value(d) ? FAILED : put_text(d, json);
}

static int begin_key(struct decoding *d)
{
    struct level *level = top(d);
    level->key_at = d->out->json_size;
    return level->any ? put_json(d, ",", 1) : 0;
}

static int end_key(struct decoding *d, bool mark)
{
    struct level *level = top(d);
    level->at_key = false;
    level->mark = mark;
    return put_json(d, ":", 1);
}

/* A value, and with it maybe its array or map, is complete. */
static int end_item(struct decoding *d)
{
    struct level *level = top(d);
    if (--level->left > 0) return 0;
    d->depth--;
    return put_json(d, level->is_map ? "}" : "]", 1);
}

static int open_level(struct decoding *d, uint32_t count, bool is_map)
{
    if (begin_value(d)) return FAILED;
    if (d->depth >= d->limits->max_depth || d->depth >= ROOMS_MSGPACK_DEPTH_MAX)
        return set_fault(d, ROOMS_ELIMIT, "nested too deeply");
    if (count == 0) return put_json(d, is_map ? "{}" : "[]", 2);
    d->levels[d->depth++] = (struct level){.left = count, .is_map = is_map, .at_key = is_map};
    return put_json(d, is_map ? "{" : "[", 1);
}

/* ------------------------------------------------------------------ values */

static int put_integer(struct decoding *d, const char *digits)
{
    if (!at_key(d)) return put_value(d, digits);
    if (begin_key(d) || put_json(d, "\"", 1) || put_text(d, digits) || put_json(d, "\"", 1)) return FAILED;
    return end_key(d, false);
}

static int put_unsigned(struct decoding *d, uint64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    return put_integer(d, digits);
}

static int put_signed(struct decoding *d, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    return put_integer(d, digits);
}

/* The shortest text of the usual precisions that reads back as the same number; what 64 bits hold as an integer. */
static int put_double(struct decoding *d, double value)
{
    char text[40];
    if (!isfinite(value)) return put_value(d, "null");
    if (value == 0) return put_value(d, "0"); /* -0 too, as JSON.stringify */
    if (fabs(value) < UINT64_END && (double)(uint64_t)fabs(value) == fabs(value)) {
        snprintf(text, sizeof text, "%.0f", value);
        return put_value(d, text);
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, value);
        if (strtod(text, NULL) == value) break;
    }
    return put_value(d, text);
}

static int put_string(struct decoding *d, const uint8_t *p, size_t n)
{
    static const char mark[] = "_placeholder";
    if (!at_key(d)) return begin_value(d) ? FAILED : put_quoted(d, p, n);
    if (begin_key(d) || put_quoted(d, p, n)) return FAILED;
    return end_key(d, n == sizeof mark - 1 && memcmp(p, mark, n) == 0);
}

static int put_placeholder(struct decoding *d, const uint8_t *p, size_t n)
{
    struct rooms_decoded *out = d->out;
    char text[64];
    if (out->attachment_count >= d->limits->max_attachments) return set_fault(d, ROOMS_ELIMIT, "too many attachments");
    if (out->attachment_count == out->attachment_capacity) {
        size_t capacity = out->attachment_capacity ? 2 * out->attachment_capacity : FIRST_ATTACHMENTS;
        struct rooms_bytes *attachments = realloc(out->attachments, capacity * sizeof *attachments);
        if (!attachments) return set_fault(d, ROOMS_ENOMEM, "out of memory");
        out->attachments = attachments;
        out->attachment_capacity = capacity;
    }
    snprintf(text, sizeof text, "{\"_placeholder\":true,\"num\":%zu}", out->attachment_count);
    out->attachments[out->attachment_count++] = (struct rooms_bytes){p, n};
    return put_text(d, text);
}

static int put_binary(struct decoding *d, const uint8_t *p, size_t n)
{
    return begin_value(d) ? FAILED : put_placeholder(d, p, n);
}

/* In a map the pair is left out; elsewhere JSON has null for it. */
static int put_undefined(struct decoding *d)
{
    struct level *level = top(d);
    if (!level || !level->is_map || level->at_key) return put_value(d, "null");
    d->out->json_size = level->key_at;
    level->dropped = true;
    return 0;
}

/* ------------------------------------------------------------------- dates */

/* Date.prototype.toJSON(). The calendar: days since 0000-03-01, whose years end with the leap day. */
static int put_date(struct decoding *d, double ms)
{
    char text[48];
    if (!(fabs(ms) <= DATE_MAX_MS)) return put_value(d, "null");
    int64_t total = (int64_t)ms;
    int64_t day = total / 86400000, rest = total % 86400000;
    if (rest < 0) rest += 86400000, day--;
    day += 719468;
    int64_t era = (day >= 0 ? day : day - 146096) / 146097, of_era = day - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * of_year + 2) / 153, date = of_year - (153 * month + 2) / 5 + 1;
    int64_t year = year_of_era + era * 400 + (month >= 10);
    month += month < 10 ? 3 : -9;
    bool four = year >= 0 && year <= 9999;
    snprintf(text, sizeof text, "\"%s%0*lld-%02d-%02dT%02d:%02d:%02d.%03dZ\"",
             four       ? ""
             : year < 0 ? "-"
                        : "+",
             four ? 4 : 6, (long long)(year < 0 ? -year : year), (int)month, (int)date, (int)(rest / 3600000),
             (int)(rest / 60000 % 60), (int)(rest / 1000 % 60), (int)(rest % 1000));
    return put_value(d, text);
}

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) value = value << 8 | p[i];
    return value;
}

/* A msgpack timestamp. Returns false if its size is not one of a timestamp. */
static bool timestamp_ms(const uint8_t *p, size_t n, double *ms)
{
    uint64_t first = big_endian(p, n < 8 ? n : 8);
    switch (n) {
    case 4:
        *ms = (double)first * 1e3;
        return true;
    case 8:
        *ms = (double)(first & 0x3ffffffff) * 1e3 + (double)(first >> 34) / 1e6;
        return true;
    case 12:
        *ms = (double)(int64_t)big_endian(p + 4, 8) * 1e3 + (double)big_endian(p, 4) / 1e6;
        return true;
    default:
        return false;
    }
}

/* An unknown extension, as a decoder in JavaScript has it: [type, bytes]. */
static int put_unknown(struct decoding *d, int8_t type, const uint8_t *p, size_t n)
{
    char head[16];
    snprintf(head, sizeof head, "[%d,", type);
    if (put_value(d, head) || put_placeholder(d, p, n)) return FAILED;
    return put_json(d, "]", 1);
}

/* p: at the type, with the head before it. */
static int put_extension(struct decoding *d, const uint8_t *p, size_t n)
{
    if (n < 1) return set_fault(d, ROOMS_EINVAL, "extension of invalid size");
    int8_t type = (int8_t)p[0];
    /* Sizes 1 and 8 have a head of their own, whose byte cannot be the end of another head's size. */
    bool is_fixed = (n == 2 && p[-1] == FIXEXT_1) || (n == 9 && p[-1] == FIXEXT_8);
    double ms;
    if (type == EXT_TIMESTAMP && timestamp_ms(p + 1, n - 1, &ms)) return put_date(d, ms);
    if (type != EXT_BUILT_IN) return put_unknown(d, type, p + 1, n - 1);
    if (is_fixed && n == 2) return put_undefined(d);
    if (is_fixed && n == 9) return put_date(d, (double)(int64_t)big_endian(p + 1, 8));
    return put_binary(d, p + 1, n - 1);
}

/* ----------------------------------------------------- msgpack-c's template */

/* It keeps one object for each value, which is not needed here. */
struct nothing {
    char unused;
};
static const struct nothing nothing;

#define msgpack_unpack_struct(name) struct template##name
#define msgpack_unpack_func(type, name) __attribute__((unused)) static type template##name
#define msgpack_unpack_callback(name) on##name
#define msgpack_unpack_object struct nothing
#define msgpack_unpack_user struct decoding *

#define NUMBER(name, type, put_it)                                               \
    static int on##name(struct decoding **d, type value, struct nothing *object) \
    {                                                                            \
        *object = nothing;                                                       \
        return put_it(*d, value);                                                \
    }
NUMBER(_uint8, uint8_t, put_unsigned)
NUMBER(_uint16, uint16_t, put_unsigned)
NUMBER(_uint32, uint32_t, put_unsigned)
NUMBER(_uint64, uint64_t, put_unsigned)
NUMBER(_int8, int8_t, put_signed)
NUMBER(_int16, int16_t, put_signed)
NUMBER(_int32, int32_t, put_signed)
NUMBER(_int64, int64_t, put_signed)
NUMBER(_double, double, put_double)

static int on_float(struct decoding **d, float value, struct nothing *object)
{
    *object = nothing;
    return put_double(*d, (double)value);
}

#define BYTES(name, put_it)                                                                                       \
    static int on##name(struct decoding **d, const char *base, const char *p, unsigned n, struct nothing *object) \
    {                                                                                                             \
        *object = nothing;                                                                                        \
        return put_it(*d, (const uint8_t *)(n > 0 ? p : base), n);                                                \
    }
BYTES(_str, put_string)
BYTES(_bin, put_binary)
BYTES(_ext, put_extension)

static struct nothing on_root(struct decoding **d)
{
    (void)d;
    return nothing;
}

static int on_nil(struct decoding **d, struct nothing *object)
{
    *object = nothing;
    return put_value(*d, "null");
}

static int on_true(struct decoding **d, struct nothing *object)
{
    struct level *level = top(*d);
    *object = nothing;
    if (level && level->is_map && level->mark) (*d)->has_mark = true;
    return put_value(*d, "true");
}

static int on_false(struct decoding **d, struct nothing *object)
{
    *object = nothing;
    return put_value(*d, "false");
}

static int on_array(struct decoding **d, unsigned count, struct nothing *object)
{
    *object = nothing;
    return open_level(*d, count, false);
}

static int on_map(struct decoding **d, unsigned count, struct nothing *object)
{
    *object = nothing;
    return open_level(*d, count, true);
}

static int on_array_item(struct decoding **d, struct nothing *array, struct nothing object)
{
    (void)array;
    (void)object;
    return end_item(*d);
}

static int on_map_item(struct decoding **d, struct nothing *map, struct nothing key, struct nothing value)
{
    (void)map;
    (void)key;
    (void)value;
    struct level *level = top(*d);
    level->any = level->any || !level->dropped;
    level->dropped = false;
    level->at_key = true;
    return end_item(*d);
}

#include <msgpack/unpack_template.h>

/* ------------------------------------------------------------------ public */

void rooms_decoded_clear(struct rooms_decoded *decoded)
{
    free(decoded->json);
    free(decoded->attachments);
    *decoded = (struct rooms_decoded){0};
}

static long report_fault(struct rooms_decoded *decoded, struct rooms_msgpack_fault *fault, const struct decoding *d,
                         size_t at)
{
    rooms_decoded_clear(decoded);
    *fault = (struct rooms_msgpack_fault){.at = at, .why = d->why};
    return d->code;
}

long rooms_msgpack_decode(const uint8_t *p, size_t n, const struct rooms_msgpack_limits *limits,
                          struct rooms_decoded *decoded, struct rooms_msgpack_fault *fault)
{
    struct decoding d;
    struct template_context context;
    size_t at = 0;
    d.out = decoded;
    d.limits = limits;
    d.first_capacity = n < FIRST_CAPACITY_MAX / 2 ? 2 * n + 64 : FIRST_CAPACITY_MAX;
    d.depth = 0;
    d.has_mark = false;
    d.why = NULL;
    *decoded = (struct rooms_decoded){0};
    context.user = &d;
    template_init(&context);
    int result = n > 0 ? template_execute(&context, (const char *)p, n, &at) : 0;
    if (result == 0) set_fault(&d, ROOMS_EINVAL, "msgpack ends too early");
    if (result < 0 && !d.why) set_fault(&d, ROOMS_EINVAL, "not msgpack");
    /* Otherwise it would turn into an attachment. */
    if (result > 0 && d.has_mark && decoded->attachment_count > 0) {
        set_fault(&d, ROOMS_EINVAL, "object looks like a placeholder beside binary data");
    }
    return d.why ? report_fault(decoded, fault, &d, at) : (long)at;
}
