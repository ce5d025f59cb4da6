/* The request gate: parses and checks one HTTP/1.x request head (RFC 9112), strictly: what two parsers could read
 * differently is refused, so that nothing behind the gate, and no proxy before it, can be fooled.
 * Not here: bodies (eio_chunked.c), connections (eio_http_conn.c). */
#include "base_authority.h"
#include "eio_codec.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    FIELDS_MAX = 256,       /* of any configuration: they stand on the stack while parsing */
    HEAD_BYTES_MAX = 65535, /* offsets are 16 bits */
    METHOD_BYTES_MAX = 24,
    LENGTH_DIGITS_MAX = 18,
};

static bool authority_valid(struct eio_str text)
{
    return base_authority_is_valid((struct base_str){text.p, text.n});
}

const uint8_t eio__token[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|',   ['~'] = '~', ['0'] = '0',
    ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6',   ['7'] = '7', ['8'] = '8',
    ['9'] = '9', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e',   ['f'] = 'f', ['g'] = 'g',
    ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm',   ['n'] = 'n', ['o'] = 'o',
    ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u',   ['v'] = 'v', ['w'] = 'w',
    ['x'] = 'x', ['y'] = 'y', ['z'] = 'z', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c',   ['D'] = 'd', ['E'] = 'e',
    ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k',   ['L'] = 'l', ['M'] = 'm',
    ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's',   ['T'] = 't', ['U'] = 'u',
    ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z',
};

static const char *const methods[] = {
    [EIO_HTTP_GET] = "GET",     [EIO_HTTP_HEAD] = "HEAD",     [EIO_HTTP_POST] = "POST",       [EIO_HTTP_PUT] = "PUT",
    [EIO_HTTP_PATCH] = "PATCH", [EIO_HTTP_DELETE] = "DELETE", [EIO_HTTP_OPTIONS] = "OPTIONS",
};

/* What is known of a head while it is parsed: slices of the input. */
struct parse {
    const uint8_t *p; /* the input */
    struct eio__gate_head *out;
    struct eio__fault *fault;
    struct eio_str target, authority; /* authority.p is NULL unless the target is in absolute-form */
    uint8_t method;
    size_t field_count, hosts, lengths, encodings;
    bool has_length, chunked;
    bool close, keep_alive, upgrade, websocket;
    struct eio_http_field fields[FIELDS_MAX]; /* offsets in the input */
};

static int set_fault(struct eio__fault *fault, uint16_t status, const uint8_t *start, const uint8_t *at,
                     const char *why)
{
    *fault = (struct eio__fault){.code = status == 413 || status == 414 || status == 431 ? EIO_ETOOBIG : EIO_EPROTO,
                                 .close_code = status,
                                 .at = (size_t)(at - start),
                                 .limit = status == 414   ? EIO_LIMIT_LINE_BYTES
                                          : status == 413 ? EIO_LIMIT_BODY_BYTES
                                                          : EIO_LIMIT_HEAD_BYTES,
                                 .why = why};
    return fault->code;
}
#define FAIL(parse, status, at, why) set_fault((parse)->fault, status, (parse)->p, at, why)

static bool is_same_text(struct eio_str s, const char *lower)
{
    return s.n == strlen(lower) && strncasecmp(s.p, lower, s.n) == 0;
}

bool eio__list_next(struct eio_str *list, struct eio_str *element)
{
    while (list->n) {
        const char *comma = memchr(list->p, ',', list->n);
        struct eio_str part = {list->p, comma ? (size_t)(comma - list->p) : list->n};
        size_t used = part.n + (comma ? 1 : 0);
        list->p += used;
        list->n -= used;
        while (part.n && (part.p[0] == ' ' || part.p[0] == '\t')) part.p++, part.n--;
        while (part.n && (part.p[part.n - 1] == ' ' || part.p[part.n - 1] == '\t')) part.n--;
        if (!part.n) continue;
        *element = part;
        return true;
    }
    return false;
}

/* ------------------------------------------------------------ request line */

/* Refuses at the first byte that no method has, a TLS hello for instance. Returns the method's size when its space is
 * there, 0 if more is needed. */
static ssize_t parse_method(struct parse *parse, const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && i <= METHOD_BYTES_MAX && eio__token[p[i]]) i++;
    if (i > METHOD_BYTES_MAX) return FAIL(parse, 501, p, "unknown method");
    if (i == n) return 0;
    if (p[i] != ' ' || i == 0) return FAIL(parse, 400, p + i, "not an HTTP request");
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
        if (strlen(methods[m]) != i || memcmp(methods[m], p, i) != 0) continue;
        parse->method = (uint8_t)m;
        return (ssize_t)i;
    }
    return FAIL(parse, 501, p, "unknown method");
}

static int parse_target(struct parse *parse, struct eio_str target)
{
    const uint8_t *at = (const uint8_t *)target.p;
    for (size_t i = 0; i < target.n; i++)
        if (at[i] <= ' ' || at[i] >= 0x7f || at[i] == '#')
            return FAIL(parse, 400, at + i, "bad byte in request target");
    size_t scheme = 0;
    if (target.n && target.p[0] == '/') { /* as nearly all */
        parse->target = target;
        return 0;
    }
    if (target.n > 7 && strncasecmp(target.p, "http://", 7) == 0) scheme = 7;
    if (target.n > 8 && strncasecmp(target.p, "https://", 8) == 0) scheme = 8;
    if (scheme) {
        size_t end = scheme;
        while (end < target.n && target.p[end] != '/' && target.p[end] != '?') end++;
        parse->authority = (struct eio_str){target.p + scheme, end - scheme};
        if (end == scheme || !authority_valid(parse->authority)) return FAIL(parse, 400, at, "bad authority");
        target.p += end;
        target.n -= end;
    } else if (parse->method == EIO_HTTP_OPTIONS && target.n == 1 && target.p[0] == '*') {
        parse->target = target; /* asterisk-form (section 3.2.4): of the server as a whole, which no route is */
        return 0;
    } else if (target.n == 0 || target.p[0] != '/') {
        return FAIL(parse, 400, at, "bad request target");
    }
    parse->target = target;
    return 0;
}

static int parse_version(struct parse *parse, const uint8_t *p, size_t n)
{
    static const char form[] = "HTTP/1.";
    bool is_version =
        n == 8 && memcmp(p, form, 5) == 0 && p[5] >= '0' && p[5] <= '9' && p[6] == '.' && p[7] >= '0' && p[7] <= '9';
    if (!is_version) return FAIL(parse, 400, p, "bad HTTP version");
    if (p[5] != '1' || p[7] > '1') return FAIL(parse, 505, p, "HTTP version not supported");
    parse->out->minor_version = p[7] - '0';
    return 0;
}

/* line: without its CRLF */
static int parse_request_line(struct parse *parse, const uint8_t *line, size_t n)
{
    ssize_t method = parse_method(parse, line, n);
    if (method < 0) return (int)method;
    if (method == 0) return FAIL(parse, 400, line, "bad request line");
    const uint8_t *target = line + method + 1;
    size_t left = n - (size_t)method - 1;
    const uint8_t *space = memchr(target, ' ', left);
    if (!space) return FAIL(parse, 400, target, "no HTTP version");
    int rc = parse_version(parse, space + 1, left - (size_t)(space + 1 - target));
    if (rc) return rc;
    return parse_target(parse, (struct eio_str){(const char *)target, (size_t)(space - target)});
}

/* ----------------------------------------------------------------- headers */

static int on_length(struct parse *parse, struct eio_str value)
{
    const uint8_t *at = (const uint8_t *)value.p;
    if (parse->lengths++) return FAIL(parse, 400, at, "repeated content-length");
    if (value.n == 0) return FAIL(parse, 400, at, "empty content-length");
    int64_t length = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9') return FAIL(parse, 400, at + i, "bad content-length");
        if (i < LENGTH_DIGITS_MAX) length = length * 10 + (value.p[i] - '0');
    }
    if (value.n > LENGTH_DIGITS_MAX) return FAIL(parse, 413, at, "body too large");
    parse->out->content_length = length;
    return 0;
}

/* What does not end with one chunked has no length that two readers agree on: 400 (RFC 9112, section 6.3). Codings in
 * front of it are not supported: 501. Nor are elements that are empty, which not everyone skips. */
static int on_encoding(struct parse *parse, struct eio_str value)
{
    const uint8_t *at = (const uint8_t *)value.p;
    struct eio_str rest = value, coding;
    bool last = false;
    size_t chunked = 0;
    if (parse->encodings++) return FAIL(parse, 400, at, "repeated transfer-encoding");
    while (eio__list_next(&rest, &coding)) {
        last = is_same_text(coding, "chunked");
        chunked += last;
    }
    if (!last || chunked > 1) return FAIL(parse, 400, at, "transfer-encoding does not end with one chunked");
    if (coding.n < value.n && value.p[0] != ',' && value.p[value.n - 1] != ',')
        return FAIL(parse, 501, at, "transfer-encoding not supported");
    if (coding.n < value.n) return FAIL(parse, 400, at, "bad transfer-encoding");
    parse->chunked = true;
    return 0;
}

static void on_connection(struct parse *parse, struct eio_str value)
{
    struct eio_str element;
    while (eio__list_next(&value, &element)) {
        parse->close |= is_same_text(element, "close");
        parse->keep_alive |= is_same_text(element, "keep-alive");
        parse->upgrade |= is_same_text(element, "upgrade");
    }
}

static int on_expect(struct parse *parse, struct eio_str value)
{
    if (!is_same_text(value, "100-continue")) return FAIL(parse, 417, (const uint8_t *)value.p, "unknown expectation");
    parse->out->expect_continue = true;
    return 0;
}

/* The headers that decide how the message is read. The size is compared first: most headers end there. */
static int on_field(struct parse *parse, struct eio_str name, struct eio_str value)
{
    struct eio_str element;
    switch (name.n) {
    case 4:
        if (!is_same_text(name, "host")) return 0;
        if (parse->hosts++) return FAIL(parse, 400, (const uint8_t *)name.p, "repeated host");
        if (!authority_valid(value)) return FAIL(parse, 400, (const uint8_t *)value.p, "bad host");
        return 0;
    case 6:
        return is_same_text(name, "expect") ? on_expect(parse, value) : 0;
    case 7:
        if (!is_same_text(name, "upgrade")) return 0;
        while (eio__list_next(&value, &element)) parse->websocket |= is_same_text(element, "websocket");
        return 0;
    case 10:
        if (is_same_text(name, "connection")) on_connection(parse, value);
        return 0;
    case 14:
        return is_same_text(name, "content-length") ? on_length(parse, value) : 0;
    case 17:
        return is_same_text(name, "transfer-encoding") ? on_encoding(parse, value) : 0;
    default:
        return 0;
    }
}

static inline bool is_control(uint8_t c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

/* Eight bytes at once: a byte below 0x20, or 0x7f, leaves its highest bit set; a tab does too, and is looked at. */
static bool has_control(const uint8_t *p, const uint8_t *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
    for (; end - p >= 8; p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        uint64_t low = (word - ones * 0x20) & ~word, del = ((word ^ ones * 0x7f) - ones) & ~(word ^ ones * 0x7f);
        if (!((low | del) & high)) continue;
        for (size_t i = 0; i < 8; i++)
            if (is_control(p[i])) return true;
    }
    for (; p < end; p++)
        if (is_control(*p)) return true;
    return false;
}

/* line: without its CRLF, not empty */
static int parse_field(struct parse *parse, const uint8_t *line, size_t n)
{
    size_t name = 0;
    while (name < n && eio__token[line[name]]) name++;
    if (name == n || line[name] != ':' || name == 0) {
        bool folded = line[0] == ' ' || line[0] == '\t';
        return FAIL(parse, 400, line + name, folded ? "folded header" : "bad header name");
    }
    const uint8_t *value = line + name + 1, *end = line + n;
    if (has_control(value, end)) return FAIL(parse, 400, value, "control byte in header");
    while (value < end && (*value == ' ' || *value == '\t')) value++;
    while (value < end && (end[-1] == ' ' || end[-1] == '\t')) end--;
    struct eio_http_field *field = &parse->fields[parse->field_count++];
    *field = (struct eio_http_field){(uint16_t)(line - parse->p), (uint16_t)name, (uint16_t)(value - parse->p),
                                     (uint16_t)(end - value)};
    return on_field(parse, (struct eio_str){(const char *)line, name},
                    (struct eio_str){(const char *)value, (size_t)(end - value)});
}

/* Everything that only the whole head tells. */
static int check_head(struct parse *parse, const uint8_t *end)
{
    struct eio__gate_head *out = parse->out;
    if (out->minor_version == 1 && !parse->hosts) return FAIL(parse, 400, end, "no host");
    if (parse->encodings && parse->lengths) return FAIL(parse, 400, end, "content-length with transfer-encoding");
    if (parse->chunked && out->minor_version == 0) return FAIL(parse, 400, end, "transfer-encoding in HTTP/1.0");
    if (parse->chunked) out->content_length = -1;
    if (out->minor_version == 0) out->expect_continue = false;
    out->upgrade_websocket = parse->method == EIO_HTTP_GET && out->minor_version == 1 && parse->upgrade &&
                             parse->websocket && out->content_length == 0;
    return 0;
}

/* ------------------------------------------------------------------ output */

static uint16_t put_text(char *text, size_t *at, const void *p, size_t n)
{
    size_t start = *at;
    if (n) memcpy(text + start, p, n);
    *at += n;
    return (uint16_t)start;
}

/* A header's name, whose bytes are ASCII: eight at once, the last eight of a longer one overlapping what was done. */
static void put_lower(char *out, const uint8_t *p, size_t n)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
    for (size_t i = 0; n >= 8 && i < n; i += 8) {
        uint64_t word;
        if (i > n - 8) i = n - 8;
        memcpy(&word, p + i, 8);
        uint64_t from_a = word + ones * (0x80 - 'A'), after_z = word + ones * (0x7f - 'Z');
        word |= (from_a & ~after_z & high) >> 2; /* 0x20 */
        memcpy(out + i, &word, 8);
    }
    for (size_t i = 0; n < 8 && i < n; i++) out[i] = (char)eio__token[p[i]];
}

/* One block, with room for an address; what a session keeps is a copy, exactly as large as its parts. */
static struct eio_http_head *make_head(const struct parse *parse)
{
    /* "http://host" and "http://host?q" */
    bool slash = parse->authority.p && (parse->target.n == 0 || parse->target.p[0] != '/');
    bool add_host = parse->authority.p && !parse->hosts;
    size_t text_size = parse->target.n + (slash ? 1 : 0) + (add_host ? 4 + parse->authority.n : 0);
    size_t count = parse->field_count + (add_host ? 1 : 0);
    for (size_t i = 0; i < parse->field_count; i++)
        text_size += parse->fields[i].name_size + (size_t)parse->fields[i].value_size;
    if (parse->authority.p) text_size += parse->authority.n; /* at most: it replaces the host's value */
    if (text_size > UINT16_MAX) return NULL;
    size_t fields_size = count * sizeof(struct eio_http_field);
    struct eio_http_head *head = malloc(sizeof *head + fields_size + text_size + EIO__ADDRESS_CHARS);
    if (!head) return NULL;
    memset(head, 0, sizeof *head);
    struct eio_http_field *fields = eio__http_head_fields(head);
    char *text = (char *)(fields + count), *address = text + text_size;
    size_t at = 0;
    if (slash) put_text(text, &at, "/", 1);
    put_text(text, &at, parse->target.p, parse->target.n);
    head->target_size = (uint16_t)at;
    const char *query = memchr(text, '?', at);
    head->path_size = (uint16_t)(query ? (size_t)(query - text) : at);
    for (size_t i = 0; i < parse->field_count; i++) {
        const struct eio_http_field *from = &parse->fields[i];
        const uint8_t *value = parse->p + from->value;
        size_t value_size = from->value_size;
        fields[i].name = (uint16_t)at;
        fields[i].name_size = from->name_size;
        put_lower(text + at, parse->p + from->name, from->name_size);
        at += from->name_size;
        if (parse->authority.p && from->name_size == 4 && memcmp(text + fields[i].name, "host", 4) == 0) {
            value = (const uint8_t *)parse->authority.p;
            value_size = parse->authority.n;
        }
        fields[i].value = put_text(text, &at, value, value_size);
        fields[i].value_size = (uint16_t)value_size;
    }
    if (add_host) {
        struct eio_http_field *host = &fields[parse->field_count];
        host->name = put_text(text, &at, "host", 4);
        host->name_size = 4;
        host->value = put_text(text, &at, parse->authority.p, parse->authority.n);
        host->value_size = (uint16_t)parse->authority.n;
    }
    head->text = text;
    head->address = address;
    *address = '\0';
    head->field_count = (uint16_t)count;
    head->method = parse->method;
    head->minor_version = parse->out->minor_version;
    head->keep_alive = !parse->close && (parse->out->minor_version == 1 || parse->keep_alive);
    return head;
}

/* ------------------------------------------------------------------ public */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int line_too_long(struct parse *parse, const uint8_t *line, bool first)
{
    int code = FAIL(parse, first ? 414 : 431, line, first ? "request line too long" : "header too long");
    parse->fault->limit = EIO_LIMIT_LINE_BYTES;
    return code;
}

static int too_many_fields(struct parse *parse, const uint8_t *line)
{
    int code = FAIL(parse, 431, line, "too many headers");
    parse->fault->limit = EIO_LIMIT_FIELDS;
    return code;
}

ssize_t eio__gate_parse(const uint8_t *p, size_t n, const struct eio__gate_limits *limits, struct eio__gate_head *out,
                        struct eio__fault *fault)
{
    struct parse parse;
    memset(&parse, 0, offsetof(struct parse, fields));
    parse.p = p;
    parse.out = out;
    parse.fault = fault;
    memset(out, 0, sizeof *out);
    size_t max_head = smaller(limits->max_head_bytes, HEAD_BYTES_MAX);
    size_t max_fields = smaller(limits->max_fields, FIELDS_MAX);
    size_t usable = smaller(n, max_head);
    const uint8_t *line = p, *end = p + usable;
    /* RFC 9112 section 2.2: one empty line before the request is skipped. */
    if (n && p[0] == '\r') {
        if (n < 2) return 0;
        if (p[1] != '\n') return FAIL(&parse, 400, p, "not an HTTP request");
        line += smaller(2, usable);
    }
    for (bool first = true;; first = false) {
        const uint8_t *newline = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
        size_t size = (size_t)((newline ? newline : end) - line);
        if (first) {
            ssize_t method = parse_method(&parse, line, size);
            if (method < 0) return method;
        }
        if (size > limits->max_line_bytes) return line_too_long(&parse, line, first);
        if (!newline && n >= max_head) return FAIL(&parse, first ? 414 : 431, end, "request head too large");
        if (!newline) return 0;
        /* A bare LF makes parsers disagree on where lines end; a bare CR is caught as a control byte. */
        if (newline == line || newline[-1] != '\r') return FAIL(&parse, 400, newline, "bare LF");
        size = (size_t)(newline - 1 - line);
        if (!first && size == 0) {
            int rc = check_head(&parse, newline);
            if (rc) return rc;
            out->take_head = make_head(&parse);
            if (!out->take_head) return FAIL(&parse, 503, newline, "out of memory");
            return newline + 1 - p;
        }
        if (!first && parse.field_count >= max_fields) return too_many_fields(&parse, line);
        int rc = first ? parse_request_line(&parse, line, size) : parse_field(&parse, line, size);
        if (rc) return rc;
        line = newline + 1;
    }
}

bool eio__gate_scan(struct eio__gate_scan *scan, const uint8_t *p, size_t n, const struct eio__gate_limits *limits)
{
    /* The first bytes are looked at as they come: what is no HTTP is refused at once. */
    bool wanted = scan->at < METHOD_BYTES_MAX + 4 || n >= smaller(limits->max_head_bytes, HEAD_BYTES_MAX);
    while (scan->at < n) {
        const uint8_t *newline = memchr(p + scan->at, '\n', n - scan->at);
        if (!newline) {
            scan->at = (uint32_t)n;
            break;
        }
        size_t i = (size_t)(newline - p);
        size_t size = i - scan->line;
        /* The request line, an empty line, or one that may be too long or too many: the parser decides. */
        if (scan->lines++ == 0 || size <= 1 || size > limits->max_line_bytes || scan->lines > limits->max_fields + 1)
            wanted = true;
        scan->line = scan->at = (uint32_t)(i + 1);
    }
    return wanted || n - scan->line > limits->max_line_bytes;
}
