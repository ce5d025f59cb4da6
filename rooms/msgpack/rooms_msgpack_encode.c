/* JSON with attachments to msgpack, by msgpack-c's packer, as notepack.io writes what JSON.parse returns. Two walks
 * over the text without recursion: msgpack needs the number of elements before the first one, so the first walk counts.
 */
#include "rooms_wire.h"

#include <msgpack/pack.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256
#define COUNTS_INLINE 64
#define NUMBER_INLINE 64 /* characters of a number, without memory of its own */
#define UINT64_END 18446744073709551616.0
#define INT64_BEGIN (-9223372036854775808.0)

/* ------------------------------------------------------------------ packing */

void rooms_packer_init(struct rooms_packer *packer)
{
    *packer = (struct rooms_packer){0};
}

void rooms_packer_clear(struct rooms_packer *packer)
{
    free(packer->bytes);
    rooms_packer_init(packer);
}

uint8_t *rooms__packer_reserve(struct rooms_packer *packer, size_t n)
{
    if (packer->error) return NULL;
    if (n > packer->capacity - packer->size) {
        size_t capacity = packer->capacity ? packer->capacity : FIRST_CAPACITY;
        while (capacity - packer->size < n && capacity <= SIZE_MAX / 4) capacity *= 2;
        uint8_t *bytes = capacity - packer->size < n ? NULL : realloc(packer->bytes, capacity);
        if (!bytes) {
            packer->error = ROOMS_ENOMEM;
            return NULL;
        }
        packer->bytes = bytes;
        packer->capacity = capacity;
    }
    return packer->bytes + packer->size;
}

static int append_bytes(void *data, const char *p, size_t n)
{
    struct rooms_packer *packer = data;
    uint8_t *to = rooms__packer_reserve(packer, n);
    if (!to) return -1;
    if (n > 0) memcpy(to, p, n);
    packer->size += n;
    return 0;
}

void rooms__put_bytes(struct rooms_packer *packer, const void *p, size_t n)
{
    append_bytes(packer, p, n);
}

/* The packer of msgpack-c is two pointers: made anew for each value. */
static msgpack_packer on_top_of(struct rooms_packer *packer)
{
    return (msgpack_packer){.data = packer, .callback = append_bytes};
}

static bool has_room(struct rooms_packer *packer, size_t n)
{
    if (n <= UINT32_MAX) return true;
    if (!packer->error) packer->error = ROOMS_ELIMIT;
    return false;
}

void rooms_pack_array(struct rooms_packer *packer, size_t count)
{
    msgpack_packer pk = on_top_of(packer);
    if (has_room(packer, count)) msgpack_pack_array(&pk, count);
}

void rooms_pack_map(struct rooms_packer *packer, size_t count)
{
    msgpack_packer pk = on_top_of(packer);
    if (has_room(packer, count)) msgpack_pack_map(&pk, count);
}

void rooms_pack_text(struct rooms_packer *packer, const char *text, size_t size)
{
    msgpack_packer pk = on_top_of(packer);
    if (has_room(packer, size) && msgpack_pack_str(&pk, size) == 0) msgpack_pack_str_body(&pk, text, size);
}

void rooms_pack_binary(struct rooms_packer *packer, struct rooms_bytes bytes)
{
    msgpack_packer pk = on_top_of(packer);
    if (has_room(packer, bytes.n) && msgpack_pack_bin(&pk, bytes.n) == 0) msgpack_pack_bin_body(&pk, bytes.p, bytes.n);
}

void rooms_pack_uint(struct rooms_packer *packer, uint64_t value)
{
    msgpack_packer pk = on_top_of(packer);
    msgpack_pack_uint64(&pk, value);
}

static void pack_int(struct rooms_packer *packer, int64_t value)
{
    msgpack_packer pk = on_top_of(packer);
    msgpack_pack_int64(&pk, value);
}

/* As in notepack, a whole number is an integer, however it was written; notepack corrupts those beyond 64 bits. */
static void pack_double(struct rooms_packer *packer, double value)
{
    msgpack_packer pk = on_top_of(packer);
    if (value >= 0 && value < UINT64_END && (double)(uint64_t)value == value)
        msgpack_pack_uint64(&pk, (uint64_t)value);
    else if (value < 0 && value >= INT64_BEGIN && (double)(int64_t)value == value)
        msgpack_pack_int64(&pk, (int64_t)value);
    else
        msgpack_pack_double(&pk, value);
}

/* -------------------------------------------------------------------- walk */

struct level {
    bool is_map;
    uint32_t count; /* elements or pairs that are complete */
    size_t number;  /* of the array or map, in order of appearance */
};

struct walk {
    const uint8_t *p, *end;
    const struct rooms_bytes *attachments;
    size_t attachment_count;
    struct rooms_packer *packer;
    bool counting; /* the first walk: nothing is written */
    size_t opened; /* arrays and maps so far */
    uint32_t *counts;
    size_t counts_capacity;
    uint32_t counts_inline[COUNTS_INLINE];
    size_t depth;
    struct level levels[ROOMS_MSGPACK_DEPTH_MAX];
};

static int set_error(struct walk *w, int code)
{
    if (!w->packer->error) w->packer->error = code;
    return -1;
}

static int malformed(struct walk *w)
{
    return set_error(w, ROOMS_EINVAL);
}

static void skip_space(struct walk *w)
{
    w->p = base_json_skip_space(w->p, w->end);
}

static bool take_text(struct walk *w, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(w->end - w->p) < n || memcmp(w->p, text, n) != 0) return false;
    w->p += n;
    return true;
}

/* ------------------------------------------------------------------ scalars */

/* w->p: at the opening quote. What the first walk has checked the second one skips. */
static int pack_string(struct walk *w)
{
    size_t left = (size_t)(w->end - w->p);
    size_t n = w->counting ? base_json_scan_text(w->p, left) : base_json_skip(w->p, left);
    struct base_str quoted = {(const char *)w->p, n};
    if (n == 0) return malformed(w);
    w->p += n;
    if (w->counting) return 0;
    if (!memchr(quoted.p, '\\', quoted.n)) {
        rooms_pack_text(w->packer, quoted.p + 1, quoted.n - 2);
        return 0;
    }
    size_t size = base_json_decode(quoted, NULL);
    msgpack_packer pk = on_top_of(w->packer);
    if (has_room(w->packer, size)) msgpack_pack_str(&pk, size);
    uint8_t *to = rooms__packer_reserve(w->packer, size);
    if (!to) return -1;
    base_json_decode(quoted, (char *)to);
    w->packer->size += size;
    return 0;
}

/* Whole numbers that 64 bits hold keep all their digits. */
static bool pack_whole(struct rooms_packer *packer, const uint8_t *p, size_t n)
{
    bool negative = *p == '-';
    uint64_t value = 0;
    for (size_t i = negative; i < n; i++) {
        uint64_t digit = (uint64_t)(p[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    if (!negative)
        rooms_pack_uint(packer, value);
    else if (value <= INT64_MAX)
        pack_int(packer, -(int64_t)value);
    else
        return false;
    return true;
}

static bool is_whole(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] == '.' || (p[i] | 0x20) == 'e') return false;
    return true;
}

static int pack_number(struct walk *w)
{
    const uint8_t *begin = w->p;
    size_t left = (size_t)(w->end - begin);
    size_t n = w->counting ? base_json_scan_number(begin, left) : base_json_skip(begin, left);
    if (n == 0) return malformed(w);
    w->p += n;
    if (w->counting || (is_whole(begin, n) && pack_whole(w->packer, begin, n))) return 0;
    char copy[NUMBER_INLINE];
    char *text = n < sizeof copy ? copy : malloc(n + 1);
    if (!text) return set_error(w, ROOMS_ENOMEM);
    memcpy(text, begin, n);
    text[n] = '\0';
    pack_double(w->packer, strtod(text, NULL));
    if (text != copy) free(text);
    return 0;
}

/* ------------------------------------------------------------ placeholders */

static bool take_spaced(struct walk *w, const char *text)
{
    skip_space(w);
    return take_text(w, text);
}

static bool take_mark(struct walk *w)
{
    return take_spaced(w, "\"_placeholder\"") && take_spaced(w, ":") && take_spaced(w, "true");
}

static bool take_num(struct walk *w, size_t *number)
{
    if (!take_spaced(w, "\"num\"") || !take_spaced(w, ":")) return false;
    skip_space(w);
    const uint8_t *digits = w->p;
    while (w->p < w->end && *w->p >= '0' && *w->p <= '9') w->p++;
    if (w->p == digits || w->p - digits > 9) return false;
    for (*number = 0; digits < w->p; digits++) *number = *number * 10 + (size_t)(*digits - '0');
    return true;
}

/* {"_placeholder":true,"num":N}, in either order; nothing is taken if it is not exactly that. */
static bool take_placeholder(struct walk *w, size_t *number)
{
    const uint8_t *begin = w->p;
    if (w->attachment_count == 0 || !take_text(w, "{")) return false;
    const uint8_t *inner = w->p;
    if (take_mark(w) && take_spaced(w, ",") && take_num(w, number) && take_spaced(w, "}")) return true;
    w->p = inner;
    if (take_num(w, number) && take_spaced(w, ",") && take_mark(w) && take_spaced(w, "}")) return true;
    w->p = begin;
    return false;
}

static int pack_attachment(struct walk *w, size_t number)
{
    if (number >= w->attachment_count) return malformed(w);
    if (!w->counting) rooms_pack_binary(w->packer, w->attachments[number]);
    return 0;
}

/* ------------------------------------------------------------------ values */

static int grow_counts(struct walk *w)
{
    if (!w->counting || w->opened < w->counts_capacity) return 0;
    size_t capacity = 2 * w->counts_capacity;
    uint32_t *counts = malloc(capacity * sizeof *counts);
    if (!counts) return set_error(w, ROOMS_ENOMEM);
    memcpy(counts, w->counts, w->opened * sizeof *counts);
    if (w->counts != w->counts_inline) free(w->counts);
    w->counts = counts;
    w->counts_capacity = capacity;
    return 0;
}

static int pack_key(struct walk *w)
{
    skip_space(w);
    if (w->p == w->end || *w->p != '"' || pack_string(w) != 0) return malformed(w);
    return take_spaced(w, ":") ? 0 : malformed(w);
}

static void close_level(struct walk *w)
{
    const struct level *level = &w->levels[--w->depth];
    if (w->counting) w->counts[level->number] = level->count;
}

/* After the bracket comes the first element or key, or the other bracket. *closed: that was all. */
static int open_level(struct walk *w, bool *closed)
{
    bool is_map = *w->p++ == '{';
    if (w->depth >= ROOMS_MSGPACK_DEPTH_MAX) return set_error(w, ROOMS_ELIMIT);
    if (grow_counts(w) != 0) return -1;
    size_t number = w->opened++;
    w->levels[w->depth++] = (struct level){.is_map = is_map, .number = number};
    if (!w->counting) {
        if (is_map)
            rooms_pack_map(w->packer, w->counts[number]);
        else
            rooms_pack_array(w->packer, w->counts[number]);
    }
    *closed = take_spaced(w, is_map ? "}" : "]");
    if (*closed) {
        close_level(w);
        return 0;
    }
    return is_map ? pack_key(w) : 0;
}

static int pack_constant(struct walk *w)
{
    msgpack_packer pk = on_top_of(w->packer);
    int (*pack)(msgpack_packer *) = take_text(w, "true")    ? msgpack_pack_true
                                    : take_text(w, "false") ? msgpack_pack_false
                                    : take_text(w, "null")  ? msgpack_pack_nil
                                                            : NULL;
    if (!pack) return malformed(w);
    if (!w->counting) pack(&pk);
    return 0;
}

/* *complete: the value ended; else it is an array or map, and its first value comes next. */
static int pack_value(struct walk *w, bool *complete)
{
    size_t number;
    *complete = true;
    skip_space(w);
    if (w->p == w->end) return malformed(w);
    switch (*w->p) {
    case '"':
        return pack_string(w);
    case '{':
        if (take_placeholder(w, &number)) return pack_attachment(w, number);
        return open_level(w, complete);
    case '[':
        return open_level(w, complete);
    case 't':
    case 'f':
    case 'n':
        return pack_constant(w);
    default:
        return pack_number(w);
    }
}

/* After a value: closes the arrays and maps that end there. Returns 1 if another value follows, 0 at the end of the
 * text, or -1. */
static int after_value(struct walk *w)
{
    for (;;) {
        skip_space(w);
        if (w->depth == 0) {
            if (w->p == w->end) return 0;
            return take_text(w, ",") ? 1 : malformed(w);
        }
        struct level *level = &w->levels[w->depth - 1];
        level->count++;
        if (take_text(w, ",")) return level->is_map && pack_key(w) != 0 ? -1 : 1;
        if (!take_text(w, level->is_map ? "}" : "]")) return malformed(w);
        close_level(w);
    }
}

static int walk_value(struct walk *w, struct rooms_bytes json)
{
    int more = 1;
    w->p = json.p;
    w->end = json.p + json.n;
    w->depth = w->opened = 0;
    skip_space(w);
    if (w->p == w->end) return 0;
    while (more > 0) {
        bool complete;
        if (pack_value(w, &complete) != 0) return -1;
        if (complete) more = after_value(w);
    }
    return more;
}

void rooms_pack_json(struct rooms_packer *packer, struct rooms_bytes json, const struct rooms_bytes *attachments,
                     size_t attachment_count)
{
    struct walk w;
    if (packer->error || json.n == 0) return;
    w.attachments = attachments;
    w.attachment_count = attachment_count;
    w.packer = packer;
    w.counts = w.counts_inline;
    w.counts_capacity = COUNTS_INLINE;
    w.counting = true;
    if (walk_value(&w, json) == 0) {
        w.counting = false;
        walk_value(&w, json);
    }
    if (w.counts != w.counts_inline) free(w.counts);
}
