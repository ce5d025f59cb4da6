/* Placeholders: the objects that stand in a packet's JSON for its attachments. Finding and renumbering them; text only,
 * the attachments themselves are the caller's. */
#include "sio_codec.h"

#include <string.h>

static const char key_text[] = "\"_placeholder\"";
#define KEY_SIZE (sizeof key_text - 1)
#define KEY_ESCAPED_MAX (12 * 6 + 2) /* every character as \u00xx */

struct cursor {
    const char *p, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && base_json_is_space((uint8_t)*c->p)) c->p++;
}

/* Takes `text` if it stands there, with the whitespace around it. */
static bool take_text(struct cursor *c, const char *text, size_t n)
{
    skip_space(c);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, text, n) != 0) return false;
    c->p += n;
    skip_space(c);
    return true;
}

static bool take_mark(struct cursor *c)
{
    return take_text(c, key_text, KEY_SIZE) && take_text(c, ":", 1) && take_text(c, "true", 4);
}

static bool take_number(struct cursor *c, uint16_t *number)
{
    uint32_t value = 0;
    if (!take_text(c, "\"num\"", 5) || !take_text(c, ":", 1)) return false;
    const char *digits = c->p;
    while (c->p < c->end && *c->p >= '0' && *c->p <= '9' && value <= UINT16_MAX) {
        value = value * 10 + (uint32_t)(*c->p++ - '0');
    }
    *number = (uint16_t)value;
    return c->p > digits && value <= UINT16_MAX;
}

/* c: at an opening brace. On success c stands after the closing one. */
static bool take_placeholder(struct cursor *c, uint16_t *number)
{
    struct cursor at = *c;
    at.p++;
    skip_space(&at);
    bool mark_first = at.end - at.p >= 2 && at.p[1] == '_';
    bool first = mark_first ? take_mark(&at) : take_number(&at, number);
    if (!first || !take_text(&at, ",", 1)) return false;
    bool second = mark_first ? take_number(&at, number) : take_mark(&at);
    skip_space(&at);
    if (!second || at.p == at.end || *at.p != '}') return false;
    c->p = at.p + 1;
    return true;
}

static bool is_mark_key(const char *p, size_t n)
{
    char text[KEY_ESCAPED_MAX];
    if (n == KEY_SIZE && memcmp(p, key_text, KEY_SIZE) == 0) return true;
    if (n <= KEY_SIZE || n > KEY_ESCAPED_MAX || !memchr(p, '\\', n)) return false;
    size_t size = sio__json_decode_text((struct eio_str){p, n}, text);
    return size == KEY_SIZE - 2 && memcmp(text, key_text + 1, size) == 0;
}

/* c: at a string, which is skipped. True if it is the key of a mark: JavaScript peers take its object for a
 * placeholder. */
static bool skip_string_or_mark(struct cursor *c)
{
    const char *p = c->p;
    size_t n = base_json_skip((const uint8_t *)p, (size_t)(c->end - p));
    c->p += n;
    if (!is_mark_key(p, n)) return false;
    struct cursor after = *c;
    return take_text(&after, ":", 1) && take_text(&after, "true", 4);
}

enum sio__placeholder_kind sio__placeholder_next(struct eio_str json, size_t from, struct sio__placeholder *found)
{
    if (from >= json.n) return SIO__PLACEHOLDER_NONE;
    struct cursor c = {json.p + from, json.p + json.n};
    while (c.p < c.end) {
        const char *at = c.p;
        bool good = *at == '{' && take_placeholder(&c, &found->number);
        if (good || (*at == '"' && skip_string_or_mark(&c))) {
            found->at = (size_t)(at - json.p);
            found->size = (size_t)(c.p - at);
            return good ? SIO__PLACEHOLDER_GOOD : SIO__PLACEHOLDER_BAD;
        }
        if (*at != '"') c.p++;
    }
    return SIO__PLACEHOLDER_NONE;
}

/* The next good one at or after *from. */
static bool next_good(struct eio_str json, size_t from, struct sio__placeholder *found)
{
    for (;;) {
        enum sio__placeholder_kind kind = sio__placeholder_next(json, from, found);
        if (kind != SIO__PLACEHOLDER_BAD) return kind == SIO__PLACEHOLDER_GOOD;
        from = found->at + found->size;
    }
}

size_t sio__placeholder_count(struct eio_str json)
{
    struct sio__placeholder found = {0};
    size_t count = 0;
    for (; next_good(json, found.at + found.size, &found); count++) continue;
    return count;
}

static size_t put_placeholder(char *out, size_t number)
{
    static const char head[] = "{\"_placeholder\":true,\"num\":";
    char digits[20];
    size_t n = 0, size = sizeof head - 1;
    memcpy(out, head, size);
    do digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    while (n > 0) out[size++] = digits[--n];
    out[size++] = '}';
    return size;
}

static size_t copy_bytes(char *out, const char *p, size_t n)
{
    if (n > 0) memcpy(out, p, n);
    return n;
}

size_t sio__placeholder_renumber(struct eio_str json, size_t first_number, char *out, uint16_t *order,
                                 size_t order_size)
{
    struct sio__placeholder found = {0};
    size_t size = 0, done = 0;
    for (size_t k = 0; k < order_size && next_good(json, done, &found); k++) {
        size += copy_bytes(out + size, json.p + done, found.at - done);
        size += put_placeholder(out + size, first_number + k);
        order[k] = found.number;
        done = found.at + found.size;
    }
    if (done < json.n) size += copy_bytes(out + size, json.p + done, json.n - done);
    return size;
}

bool sio__placeholder_parse(struct eio_str value, uint64_t *number)
{
    struct eio_str text = sio__json_trim(value);
    struct sio__placeholder found;
    if (text.n == 0 || *text.p != '{') return false;
    struct cursor c = {text.p, text.p + text.n};
    if (!take_placeholder(&c, &found.number) || c.p != c.end) return false;
    *number = found.number;
    return true;
}
