/* Packets of the default parser (socket.io-protocol v5): text to slices and back. Collecting attachments, and what a
 * packet means in the state a client is in, is not done here.
 *
 *     <type>[<attachments>-][<namespace>[?<query>],][<id>][<JSON>] */
#include "sio_codec.h"

#include "base_str.h"

#include <string.h>

struct decoder {
    const uint8_t *begin, *p, *end;
    const struct sio__packet_limits *limits;
    struct sio__packet *packet;
    struct sio__fault *fault;
};

static int set_fault(struct decoder *d, const uint8_t *at, int code, const char *why)
{
    *d->fault = (struct sio__fault){.code = code, .at = (size_t)(at - d->begin), .why = why};
    return code;
}

static int fail_limit(struct decoder *d, const uint8_t *at, enum sio_limit limit, const char *why)
{
    int code = set_fault(d, at, EIO_ETOOBIG, why);
    d->fault->limit = (uint8_t)limit;
    return code;
}

static struct eio_str slice(const uint8_t *from, const uint8_t *to)
{
    return (struct eio_str){(const char *)from, (size_t)(to - from)};
}

static bool is_digit(const uint8_t *p, const uint8_t *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

static void skip_space(struct decoder *d)
{
    d->p = base_json_skip_space(d->p, d->end);
}

/* Digits up to max, which is far below 2^64; -1: there are none, or they mean more. */
static int take_digits(struct decoder *d, uint64_t max, uint64_t *value)
{
    const uint8_t *p = d->p;
    uint64_t sum = 0;
    for (unsigned digit; p < d->end && (digit = *p - (unsigned)'0') <= 9; p++) {
        sum = sum * 10 + digit;
        if (sum > max) return -1;
    }
    if (p == d->p) return -1;
    d->p = p;
    *value = sum;
    return 0;
}

/* ------------------------------------------------------------------------------------------------------ head */

static int take_type(struct decoder *d)
{
    if (d->p == d->end) return set_fault(d, d->p, EIO_EPROTO, "empty packet");
    if (*d->p < '0' || *d->p > '6') return set_fault(d, d->p, EIO_EPROTO, "unknown packet type");
    d->packet->type = (enum sio__packet_type)(*d->p++ - '0');
    return 0;
}

static int take_attachment_count(struct decoder *d)
{
    const uint8_t *at = d->p;
    uint64_t count;
    if (take_digits(d, UINT16_MAX, &count) != 0 || d->p == d->end || *d->p != '-' || count == 0) {
        return set_fault(d, at, EIO_EPROTO, "invalid number of attachments");
    }
    if (count > d->limits->max_attachments) return fail_limit(d, at, SIO_LIMIT_ATTACHMENTS, "too many attachments");
    d->p++;
    d->packet->attachment_count = (uint16_t)count;
    return 0;
}

static int take_namespace(struct decoder *d)
{
    if (d->p == d->end || *d->p != '/') return 0;
    const uint8_t *comma = memchr(d->p, ',', (size_t)(d->end - d->p));
    const uint8_t *stop = comma ? comma : d->end;
    const uint8_t *query = memchr(d->p, '?', (size_t)(stop - d->p));
    d->packet->nsp = slice(d->p, query ? query : stop);
    if (query) d->packet->query = slice(query + 1, stop);
    if (d->packet->nsp.n > d->limits->max_namespace_bytes) {
        return fail_limit(d, d->p, SIO_LIMIT_NAMESPACE_BYTES, "the namespace name is too long");
    }
    d->p = comma ? comma + 1 : d->end;
    return 0;
}

static int take_id(struct decoder *d)
{
    if (!is_digit(d->p, d->end)) return 0;
    const uint8_t *at = d->p;
    if (take_digits(d, SIO__ID_MAX, &d->packet->id) != 0) return set_fault(d, at, EIO_EPROTO, "id above 2^53-1");
    d->packet->has_id = true;
    return 0;
}

/* ------------------------------------------------------------------------------------------------------ data */

/* What the scanner found counts from d->p. */
static int fail_scanned(struct decoder *d)
{
    d->fault->at += (size_t)(d->p - d->begin);
    return d->fault->code;
}

static int take_value(struct decoder *d, struct eio_str *value)
{
    const uint8_t *at = d->p;
    ssize_t n = sio__json_scan(d->p, (size_t)(d->end - d->p), &d->limits->json, true, d->fault);
    if (n < 0) return fail_scanned(d);
    d->p += n;
    *value = sio__json_trim(slice(at, d->p));
    return 0;
}

/* The one JSON value that is the data, and nothing after it. */
static int take_data(struct decoder *d)
{
    int error = take_value(d, &d->packet->data);
    if (error) return error;
    return d->p == d->end ? 0 : set_fault(d, d->p, EIO_EPROTO, "bytes after the data");
}

/* By its first character, which may be an escape. */
static bool may_be_reserved(char first)
{
    return first == 'c' || first == 'd' || first == 'n' || first == 'r' || first == '\\';
}

/* Events that the reference keeps for itself (RESERVED_EVENTS of socket.io-parser). */
static bool is_reserved(struct eio_str quoted)
{
#define NAME(text)            \
    {                         \
        text, sizeof text - 1 \
    }
    static const struct eio_str names[] = {NAME("connect"),       NAME("connect_error"), NAME("disconnect"),
                                           NAME("disconnecting"), NAME("newListener"),   NAME("removeListener")};
#undef NAME
    char text[14 * 6]; /* the longest, every character as \u00xx */
    if (quoted.n > sizeof text + 2) return false;
    size_t n = sio__json_decode_text(quoted, text);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].n == n && memcmp(names[i].p, text, n) == 0) return true;
    }
    return false;
}

/* An array whose first element is the event's name: one scan checks all of it, and the arguments are what is left
 * before its closing bracket. */
static int take_event(struct decoder *d)
{
    struct sio__packet *packet = d->packet;
    struct base_json_named named;
    const uint8_t *array = d->p, *name = array + 1;
    if (*array != '[') return set_fault(d, array, EIO_EPROTO, "data is not an array");
    name = base_json_skip_space(name, d->end);
    bool text = name < d->end && *name == '"';
    if (!text && !is_digit(name, d->end) && !(name < d->end && *name == '-'))
        return set_fault(d, name, EIO_EPROTO, "event name is neither text nor a number");
    ssize_t n = sio__json_scan_named(array, (size_t)(d->end - array), &d->limits->json, &named, d->fault);
    if (n < 0) return fail_scanned(d);
    if (array + n != d->end) return set_fault(d, array + n, EIO_EPROTO, "bytes after the data");
    packet->name = slice(name, array + named.end);
    packet->name_is_plain = text && !named.has_escapes;
    if (text && may_be_reserved(name[1]) && is_reserved(packet->name))
        return set_fault(d, name, EIO_EPROTO, "reserved event name");
    packet->data = slice(array, array + named.closed);
    const uint8_t *args = base_json_skip_space(array + named.end, d->end);
    if (*args == ',') args++;
    packet->args = sio__json_trim(slice(args, array + named.closed - 1));
    return 0;
}

static int take_ack(struct decoder *d)
{
    if (*d->p != '[') return set_fault(d, d->p, EIO_EPROTO, "data is not an array");
    int error = take_data(d);
    if (error) return error;
    struct eio_str data = d->packet->data;
    d->packet->args = sio__json_trim((struct eio_str){data.p + 1, data.n - 2});
    return 0;
}

/* Each placeholder becomes an attachment when the packet is passed on: their number is limited as that is. */
static int check_placeholders(struct decoder *d)
{
    struct sio__packet *packet = d->packet;
    struct sio__placeholder found = {0};
    size_t count = 0;
    bool in_order = true;
    for (;; count++) {
        enum sio__placeholder_kind kind = sio__placeholder_next(packet->args, found.at + found.size, &found);
        if (kind == SIO__PLACEHOLDER_NONE) break;
        const uint8_t *at = (const uint8_t *)packet->args.p + found.at;
        if (kind == SIO__PLACEHOLDER_BAD || found.number >= packet->attachment_count) {
            return set_fault(d, at, EIO_EPROTO, "invalid placeholder");
        }
        if (count >= d->limits->max_attachments)
            return fail_limit(d, at, SIO_LIMIT_ATTACHMENTS, "too many placeholders");
        in_order = in_order && found.number == count;
    }
    packet->placeholders_in_order = in_order && count == packet->attachment_count;
    return 0;
}

static int take_payload(struct decoder *d)
{
    const uint8_t *at = d->p;
    skip_space(d);
    if (d->p == d->end) return at == d->end ? 0 : set_fault(d, at, EIO_EPROTO, "JSON ends too early");
    switch (d->packet->type) {
    case SIO__CONNECT:
        if (*d->p != '{') return set_fault(d, d->p, EIO_EPROTO, "data is not an object");
        return take_data(d);
    case SIO__CONNECT_ERROR:
        if (*d->p != '{' && *d->p != '"') return set_fault(d, d->p, EIO_EPROTO, "data is neither an object nor text");
        return take_data(d);
    case SIO__EVENT:
    case SIO__BINARY_EVENT:
        return take_event(d);
    case SIO__ACK:
    case SIO__BINARY_ACK:
        return take_ack(d);
    case SIO__DISCONNECT:
    default:
        return set_fault(d, d->p, EIO_EPROTO, "data in a disconnect packet");
    }
}

int sio__packet_decode_data(struct eio_str json, const struct sio__packet_limits *limits, struct sio__packet *packet,
                            struct sio__fault *fault)
{
    const uint8_t *p = (const uint8_t *)(json.n > 0 ? json.p : "");
    struct decoder d = {p, p, p + json.n, limits, packet, fault};
    return take_payload(&d);
}

int sio__packet_decode(const uint8_t *p, size_t n, const struct sio__packet_limits *limits, struct sio__packet *packet,
                       struct sio__fault *fault)
{
    if (n == 0) p = (const uint8_t *)"";
    struct decoder d = {p, p, p + n, limits, packet, fault};
    *packet = (struct sio__packet){.nsp = {"/", 1}};
    int error = take_type(&d);
    bool binary = packet->type == SIO__BINARY_EVENT || packet->type == SIO__BINARY_ACK;
    if (!error && binary) error = take_attachment_count(&d);
    if (!error) error = take_namespace(&d);
    if (!error) error = take_id(&d);
    if (!error) error = take_payload(&d);
    if (!error && binary) error = check_placeholders(&d);
    return error;
}

/* -------------------------------------------------------------------------------------------------- encoding */

static bool has_namespace(const struct sio__outgoing *packet)
{
    return packet->nsp.n > 1 || (packet->nsp.n == 1 && packet->nsp.p[0] != '/');
}

/* What a packet consists of, by its type. */
enum { LIST = 1, NAME = 2 };
static const uint8_t parts_of[] = {
    [SIO__EVENT] = LIST | NAME,        [SIO__ACK] = LIST,        [SIO__CONNECT_ERROR] = 0,
    [SIO__BINARY_EVENT] = LIST | NAME, [SIO__BINARY_ACK] = LIST,
};

static bool is_binary(const struct sio__outgoing *packet)
{
    return packet->attachment_count > 0 && parts_of[packet->type] & LIST;
}

size_t sio__packet_size(const struct sio__outgoing *packet)
{
    size_t size = 1 + packet->json.n;
    if (is_binary(packet)) size += base_decimal_size(packet->attachment_count) + 1;
    if (has_namespace(packet)) size += packet->nsp.n + 1;
    if (packet->has_id) size += base_decimal_size(packet->id);
    uint8_t parts = parts_of[packet->type];
    if (parts & LIST) size += 2;
    if (parts & NAME) size += base_json_quoted_size(packet->name.p, packet->name.n) + (packet->json.n > 0);
    return size;
}

static char type_digit(enum sio__packet_type type, bool binary)
{
    if (!(parts_of[type] & LIST)) return (char)('0' + type);
    if (binary) return parts_of[type] & NAME ? '5' : '6';
    return parts_of[type] & NAME ? '2' : '3';
}

void sio__packet_put(const struct sio__outgoing *packet, uint8_t *out)
{
    char *p = (char *)out;
    uint8_t parts = parts_of[packet->type];
    bool binary = is_binary(packet);
    *p++ = type_digit(packet->type, binary);
    if (binary) {
        p = base_put_decimal(p, packet->attachment_count);
        *p++ = '-';
    }
    if (has_namespace(packet)) {
        p = base_put_bytes(p, packet->nsp.p, packet->nsp.n);
        *p++ = ',';
    }
    if (packet->has_id) p = base_put_decimal(p, packet->id);
    if (parts & LIST) *p++ = '[';
    if (parts & NAME) {
        p = base_json_put_quoted(p, packet->name.p, packet->name.n);
        if (packet->json.n > 0) *p++ = ',';
    }
    p = base_put_bytes(p, packet->json.p, packet->json.n);
    if (parts & LIST) *p = ']';
}
