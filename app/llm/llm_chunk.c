/* Chunks that say a piece of text and nothing else (llm_chunk.h). One pass checks the JSON and finds the piece; what it
 * does not know it leaves to a real parser. */
#include "llm_chunk.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES_MAX 1024
#define DEPTH_MAX 8   /* of values that are passed over */
#define DIGITS_MAX 18 /* of a number */

struct scan {
    const char *p, *end;
};

/* What was found; p NULL: not yet. Strings without their quotes. */
struct found {
    struct eio_str content;
    bool has_content, has_delta, has_choices;
};

/* Takes a member's value. Returns false if the chunk is not for here. */
typedef bool (*member_fn)(struct scan *scan, struct eio_str key, struct found *found);

/* ------------------------------------------------------------------ values */

static void skip_space(struct scan *scan)
{
    while (scan->p < scan->end && (*scan->p == ' ' || *scan->p == '\n' || *scan->p == '\r' || *scan->p == '\t'))
        scan->p++;
}

/* True if the next is that character, which is taken. */
static bool take_char(struct scan *scan, char c)
{
    skip_space(scan);
    if (scan->p == scan->end || *scan->p != c) return false;
    scan->p++;
    return true;
}

static bool take_word(struct scan *scan, const char *word)
{
    size_t n = strlen(word);
    skip_space(scan);
    if ((size_t)(scan->end - scan->p) < n || memcmp(scan->p, word, n)) return false;
    scan->p += n;
    return true;
}

#define EACH_BYTE(c) (0x0101010101010101u * (c))

/* How many of these bytes, from the first on, neither end a string nor begin an escape, and are ASCII but no control
 * characters. */
static size_t plain_bytes(uint64_t bytes)
{
    uint64_t quote = bytes ^ EACH_BYTE('"'), escape = bytes ^ EACH_BYTE('\\');
    uint64_t found = (bytes - EACH_BYTE(0x20)) | (quote - EACH_BYTE(1)) | (escape - EACH_BYTE(1)) | bytes;
    found &= EACH_BYTE(0x80); /* borrows may find too many, but only behind the first */
    if (!found) return sizeof bytes;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (size_t)__builtin_ctzll(found) / 8;
#else
    return 0;
#endif
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* The size of an escape; 0: it is wrong, half of a pair, which is wrong if the other is missing, or NUL, which is
 * dropped. */
static size_t escape_size(const char *p, const char *end)
{
    if (end - p < 2 || !p[1]) return 0;
    if (p[1] != 'u') return strchr("\"\\/bfnrt", p[1]) ? 2 : 0;
    if (end - p < 6) return 0;
    for (size_t i = 2; i < 6; i++)
        if (!is_hex(p[i])) return 0;
    return p[2] == 'd' || p[2] == 'D' || !memcmp(p + 2, "0000", 4) ? 0 : 6;
}

/* A string whose quote was taken; without quotes. */
static bool take_rest_of_string(struct scan *scan, struct eio_str *string)
{
    const char *begin = scan->p;
    bool is_ascii = true;
    for (;;) {
        uint64_t bytes;
        while (scan->end - scan->p >= (ptrdiff_t)sizeof bytes) {
            memcpy(&bytes, scan->p, sizeof bytes);
            size_t plain = plain_bytes(bytes);
            scan->p += plain;
            if (plain < sizeof bytes) break;
        }
        if (scan->p == scan->end) return false;
        unsigned char c = (unsigned char)*scan->p;
        size_t n = c == '\\' ? escape_size(scan->p, scan->end) : 1;
        if (c < 0x20 || !n) return false;
        if (c == '"') break;
        is_ascii &= c < 0x80;
        scan->p += n;
    }
    *string = (struct eio_str){begin, (size_t)(scan->p - begin)};
    scan->p++;
    return is_ascii || kit_json_is_utf8(*string);
}

static bool take_string(struct scan *scan, struct eio_str *string)
{
    return take_char(scan, '"') && take_rest_of_string(scan, string);
}

/* Fractions and large numbers are left to others. */
static bool take_number(struct scan *scan)
{
    const char *begin;
    if (scan->p < scan->end && *scan->p == '-') scan->p++;
    begin = scan->p;
    while (scan->p < scan->end && *scan->p >= '0' && *scan->p <= '9') scan->p++;
    size_t n = (size_t)(scan->p - begin);
    bool is_longer = scan->p < scan->end && strchr(".eE", *scan->p) && *scan->p;
    return n && n <= DIGITS_MAX && !is_longer && (n == 1 || *begin != '0');
}

static bool take_zero(struct scan *scan)
{
    skip_space(scan);
    const char *begin = scan->p;
    return take_number(scan) && scan->p == begin + 1 && *begin == '0';
}

static bool skip_value(struct scan *scan, unsigned depth);

static bool skip_members(struct scan *scan, unsigned depth)
{
    struct eio_str key;
    if (take_char(scan, '}')) return true;
    do {
        if (!take_string(scan, &key) || !take_char(scan, ':') || !skip_value(scan, depth)) return false;
    } while (take_char(scan, ','));
    return take_char(scan, '}');
}

static bool skip_elements(struct scan *scan, unsigned depth)
{
    if (take_char(scan, ']')) return true;
    do {
        if (!skip_value(scan, depth)) return false;
    } while (take_char(scan, ','));
    return take_char(scan, ']');
}

static bool skip_value(struct scan *scan, unsigned depth)
{
    struct eio_str string;
    if (take_char(scan, '"')) return take_rest_of_string(scan, &string);
    if (take_word(scan, "null") || take_word(scan, "true") || take_word(scan, "false")) return true;
    if (depth == DEPTH_MAX) return false;
    if (take_char(scan, '{')) return skip_members(scan, depth + 1);
    if (take_char(scan, '[')) return skip_elements(scan, depth + 1);
    return take_number(scan);
}

/* null or "". */
static bool take_nothing(struct scan *scan)
{
    struct eio_str string;
    return take_word(scan, "null") || (take_string(scan, &string) && !string.n);
}

/* ----------------------------------------------------------------- members */

static bool is(struct eio_str key, const char *name, size_t n)
{
    return key.n == n && !memcmp(key.p, name, n);
}
#define IS(key, name) is(key, name, sizeof name - 1)

static bool take_member(struct scan *scan, member_fn fn, struct found *found)
{
    struct eio_str key;
    if (!take_string(scan, &key) || memchr(key.p, '\\', key.n)) return false;
    return take_char(scan, ':') && fn(scan, key, found);
}

static bool rest_of_members(struct scan *scan, member_fn fn, struct found *found)
{
    while (take_char(scan, ','))
        if (!take_member(scan, fn, found)) return false;
    return take_char(scan, '}');
}

static bool each_member(struct scan *scan, member_fn fn, struct found *found)
{
    if (!take_char(scan, '{')) return false;
    return take_char(scan, '}') || (take_member(scan, fn, found) && rest_of_members(scan, fn, found));
}

static bool take_of_delta(struct scan *scan, struct eio_str key, struct found *found)
{
    if (IS(key, "content")) {
        if (found->has_content) return false;
        found->has_content = true;
        return take_word(scan, "null") || take_string(scan, &found->content);
    }
    if (IS(key, "reasoning_content") || IS(key, "reasoning") || IS(key, "refusal") || IS(key, "tool_calls") ||
        IS(key, "function_call"))
        return take_nothing(scan);
    return skip_value(scan, 0);
}

static bool take_of_choice(struct scan *scan, struct eio_str key, struct found *found)
{
    if (IS(key, "delta")) {
        if (found->has_delta) return false;
        found->has_delta = true;
        return each_member(scan, take_of_delta, found);
    }
    if (IS(key, "index")) return take_zero(scan);
    if (IS(key, "finish_reason")) return take_nothing(scan);
    return skip_value(scan, 0);
}

static bool take_of_chunk(struct scan *scan, struct eio_str key, struct found *found)
{
    struct eio_str object;
    if (IS(key, "choices")) {
        if (found->has_choices) return false;
        found->has_choices = true;
        return take_char(scan, '[') && each_member(scan, take_of_choice, found) && take_char(scan, ']');
    }
    if (IS(key, "usage") || IS(key, "error")) return take_word(scan, "null");
    if (IS(key, "object")) return take_string(scan, &object) && IS(object, "chat.completion.chunk");
    return skip_value(scan, 0);
}

static bool is_over(struct scan *scan)
{
    skip_space(scan);
    return scan->p == scan->end;
}

/* From the text on: the head was read when it came first. */
static bool scan_tail(struct scan *scan, struct found *found)
{
    *found = (struct found){.has_content = true, .has_delta = true, .has_choices = true};
    return take_string(scan, &found->content) && rest_of_members(scan, take_of_delta, found) &&
           rest_of_members(scan, take_of_choice, found) && take_char(scan, ']') &&
           rest_of_members(scan, take_of_chunk, found) && is_over(scan);
}

static bool scan_all(struct scan *scan, struct found *found)
{
    *found = (struct found){.has_content = false};
    return each_member(scan, take_of_chunk, found) && is_over(scan) && found->has_choices && found->has_delta;
}

static void keep_head(struct llm_chunk_head *head, const char *p, size_t n)
{
    char *kept = n <= HEAD_BYTES_MAX ? realloc(head->p, n) : NULL;
    if (!kept) return;
    memcpy(kept, p, n);
    *head = (struct llm_chunk_head){kept, n};
}

bool llm_chunk_scan(struct llm_chunk_head *head, struct eio_str text, struct eio_str *content)
{
    struct found found;
    struct scan tail = {text.p + head->n, text.p + text.n}, all = {text.p, text.p + text.n};
    bool has_head = head->n && text.n > head->n && !memcmp(text.p, head->p, head->n);
    *content = (struct eio_str){NULL, 0};
    if ((!has_head || !scan_tail(&tail, &found)) && !scan_all(&all, &found)) return false;
    if (!found.content.n) return true;
    *content = (struct eio_str){found.content.p - 1, found.content.n + 2};
    if (!has_head) keep_head(head, text.p, (size_t)(content->p - text.p));
    return true;
}

void llm_chunk_head_clear(struct llm_chunk_head *head)
{
    free(head->p);
    *head = (struct llm_chunk_head){NULL, 0};
}
