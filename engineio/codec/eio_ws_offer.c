/* What a client asks for in the handshake of a WebSocket: its key and version, subprotocols and extensions, by their
 * grammar (RFC 6455, sections 4.1, 9.1 and 11.3). Pure. Which extension is taken is the business of eio_deflate.c. */
#include "eio_codec.h"
#include "eio_http_int.h"
#include "eio_text.h"

#include <string.h>

enum { PROTOCOLS_MAX = 64 }; /* that are compared with one another */

/* The next field of that name from *i on. */
static bool next_field(const struct eio_http_head *head, const char *name, size_t *i, struct eio_str *value)
{
    struct eio_str found;
    while (eio_http_head_field_at(head, (*i)++, &found, value))
        if (eio__is(found, name)) return true;
    return false;
}

static bool is_token(struct eio_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!eio__token[(uint8_t)s.p[i]]) return false;
    return s.n > 0;
}

/* ------------------------------------------------------------ subprotocols */

static bool is_among(struct eio_str name, const struct eio_str *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].n == name.n && memcmp(names[i].p, name.p, name.n) == 0) return true;
    return false;
}

/* 1#token, each another one; the first goes to *first. */
static bool protocols_valid(const struct eio_http_head *head, struct eio_str *first)
{
    struct eio_str names[PROTOCOLS_MAX], list, name;
    size_t count = 0, i = 0;
    bool is_there = false;
    *first = (struct eio_str){NULL, 0};
    while (next_field(head, "sec-websocket-protocol", &i, &list)) {
        is_there = true;
        while (eio__list_next(&list, &name)) {
            if (!is_token(name) || count == PROTOCOLS_MAX || is_among(name, names, count)) return false;
            names[count++] = name;
        }
    }
    if (count) *first = names[0];
    return count || !is_there;
}

/* -------------------------------------------------------------- extensions */

/* token [ "=" ( token / DQUOTE token DQUOTE ) ]; in quotes a character may be escaped. */
static bool parameter_valid(struct eio_str text)
{
    text = eio__trim(text);
    const char *equals = memchr(text.p, '=', text.n);
    if (!equals) return is_token(text);
    struct eio_str name = {text.p, (size_t)(equals - text.p)};
    struct eio_str value = {equals + 1, text.n - name.n - 1};
    if (!is_token(name)) return false;
    if (value.n == 0 || value.p[0] != '"') return is_token(value);
    size_t digits = 0;
    for (size_t i = 1; i + 1 < value.n; i++, digits++) {
        if (value.p[i] == '\\' && ++i + 1 == value.n) return false;
        if (!eio__token[(uint8_t)value.p[i]]) return false;
    }
    return digits > 0 && value.p[value.n - 1] == '"';
}

/* token *( ";" parameter ). Neither "," nor ";" may stand in quotes: they are no characters of a token. */
static bool extension_valid(struct eio_str text)
{
    const char *semicolon = memchr(text.p, ';', text.n);
    size_t size = semicolon ? (size_t)(semicolon - text.p) : text.n;
    if (!is_token(eio__trim((struct eio_str){text.p, size}))) return false;
    while (semicolon) {
        text = (struct eio_str){semicolon + 1, text.n - size - 1};
        semicolon = memchr(text.p, ';', text.n);
        size = semicolon ? (size_t)(semicolon - text.p) : text.n;
        if (!parameter_valid((struct eio_str){text.p, size})) return false;
    }
    return true;
}

bool eio__ws_extensions_valid(struct eio_str list)
{
    struct eio_str extension;
    while (eio__list_next(&list, &extension))
        if (!extension_valid(extension)) return false;
    return true;
}

/* ------------------------------------------------------------------ public */

/* Of a field that must not be there twice: {NULL,0} then. */
struct only {
    struct eio_str value;
    size_t count;
};

static void note(struct only *only, struct eio_str value)
{
    only->value = only->count++ ? (struct eio_str){NULL, 0} : value;
}

const char *eio__ws_offer_read(const struct eio_http_head *head, struct eio__ws_offer *offer)
{
    struct only key = {0}, version = {0};
    bool has_protocols = false, extensions_valid = true;
    struct eio_str name, value;
    /* The size is compared first: of most headers that is all. */
    for (size_t i = 0; eio_http_head_field_at(head, i, &name, &value); i++) {
        if (name.n < sizeof "sec-websocket-key" - 1 || memcmp(name.p, "sec-websocket-", 14) != 0) continue;
        name = (struct eio_str){name.p + 14, name.n - 14};
        if (eio__is(name, "key")) note(&key, value);
        if (eio__is(name, "version")) note(&version, value);
        has_protocols |= eio__is(name, "protocol");
        if (eio__is(name, "extensions")) extensions_valid = extensions_valid && eio__ws_extensions_valid(value);
    }
    offer->key = key.value;
    offer->protocol = (struct eio_str){NULL, 0};
    offer->has_version = eio__is(version.value, "13");
    if (!offer->key.p || !eio__ws_key_valid(offer->key)) return "Invalid Sec-WebSocket-Key";
    if (has_protocols && !protocols_valid(head, &offer->protocol)) return "Invalid Sec-WebSocket-Protocol";
    return extensions_valid ? NULL : "Invalid Sec-WebSocket-Extensions";
}

void eio__ws_offer_take(const struct eio_http_head *head, struct eio__ws_offer *offer)
{
    struct eio_str list;
    *offer = (struct eio__ws_offer){.key = eio_http_head_field(head, "sec-websocket-key"), .has_version = true};
    for (size_t i = 0; !offer->protocol.p && next_field(head, "sec-websocket-protocol", &i, &list);)
        eio__list_next(&list, &offer->protocol);
}

bool eio__ws_next_extensions(const struct eio_http_head *head, size_t *i, struct eio_str *list)
{
    return next_field(head, "sec-websocket-extensions", i, list);
}
