/* Packets of the default parser (socket.io-protocol v5): text to slices and back. Collecting attachments, and what a
 * packet means in the state a client is in, is not done here.
 *
 *     <type>[<attachments>-][<namespace>[?<query>],][<id>][<JSON>] */
#include "sio_codec.h"

#include "base_str.h"

#include <string.h>

struct decoder {
    const uint8_t *begin, *end;
    const struct sio__packet_limits *limits;
    struct sio__packet *packet;
    struct sio__fault *fault;
};

/* The steps below begin at p and return what follows what they took, or NULL with the fault. */

static const uint8_t *set_fault(const struct decoder *d, const uint8_t *at, int code, const char *why)
{
    *d->fault = (struct sio__fault){.code = code, .at = (size_t)(at - d->begin), .why = why};
    return NULL;
}

static const uint8_t *fail_limit(const struct decoder *d, const uint8_t *at, enum sio_limit limit, const char *why)
{
    set_fault(d, at, EIO_ETOOBIG, why);
    d->fault->limit = (uint8_t)limit;
    return NULL;
}

static inline struct eio_str slice(const uint8_t *from, const uint8_t *to)
{
    return (struct eio_str){(const char *)from, (size_t)(to - from)};
}

static inline bool is_digit(const uint8_t *p, const uint8_t *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

/* Reads digits; max is far below 2^64. NULL if p is at no digit, or if the number is above max. */
static inline const uint8_t *take_digits(const uint8_t *p, const uint8_t *end, uint64_t max, uint64_t *value)
{
    const uint8_t *first = p;
    uint64_t sum = 0;
    for (unsigned digit; p < end && (digit = *p - (unsigned)'0') <= 9; p++) {
        sum = sum * 10 + digit;
        if (sum > max) return NULL;
    }
    *value = sum;
    return p > first ? p : NULL;
}

/* ------------------------------------------------------------------------------------------------------ head */

static const uint8_t *take_attachment_count(const struct decoder *d, const uint8_t *p)
{
    uint64_t count;
    const uint8_t *stop = take_digits(p, d->end, UINT16_MAX, &count);
    if (!stop || stop == d->end || *stop != '-' || count == 0)
        return set_fault(d, p, EIO_EPROTO, "invalid number of attachments");
    if (count > d->limits->max_attachments) return fail_limit(d, p, SIO_LIMIT_ATTACHMENTS, "too many attachments");
    d->packet->attachment_count = (uint16_t)count;
    return stop + 1;
}

/* At its slash. */
static const uint8_t *take_namespace(const struct decoder *d, const uint8_t *p)
{
    const uint8_t *comma = memchr(p, ',', (size_t)(d->end - p));
    const uint8_t *stop = comma ? comma : d->end;
    const uint8_t *query = memchr(p, '?', (size_t)(stop - p));
    d->packet->nsp = slice(p, query ? query : stop);
    if (query) d->packet->query = slice(query + 1, stop);
    if (d->packet->nsp.n > d->limits->max_namespace_bytes)
        return fail_limit(d, p, SIO_LIMIT_NAMESPACE_BYTES, "the namespace name is too long");
    return comma ? comma + 1 : d->end;
}

/* At its first digit. */
static inline const uint8_t *take_id(const struct decoder *d, const uint8_t *p)
{
    const uint8_t *stop = take_digits(p, d->end, SIO__ID_MAX, &d->packet->id);
    if (!stop) return set_fault(d, p, EIO_EPROTO, "id above 2^53-1");
    d->packet->has_id = true;
    return stop;
}

/* ------------------------------------------------------------------------------------------------------ data */

/* What the scanner found counts from p. */
static const uint8_t *fail_scanned(const struct decoder *d, const uint8_t *p)
{
    d->fault->at += (size_t)(p - d->begin);
    return NULL;
}

/* The one JSON value that is the data, and nothing after it. */
static const uint8_t *take_data(const struct decoder *d, const uint8_t *p)
{
    ssize_t n = sio__json_scan(p, (size_t)(d->end - p), &d->limits->json, true, d->fault);
    if (n < 0) return fail_scanned(d, p);
    d->packet->data = sio__json_trim(slice(p, p + n));
    return p + n == d->end ? d->end : set_fault(d, p + n, EIO_EPROTO, "bytes after the data");
}

/* By its first character, which may be an escape. */
static inline bool may_be_reserved(char first)
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

static const uint8_t *take_scanned_event(const struct decoder *d, const uint8_t *array, bool is_text,
                                         const struct base_json_named *named)
{
    struct sio__packet *packet = d->packet;
    const uint8_t *name = array + named->at, *name_end = array + named->end, *closed = array + named->closed;
    packet->name = slice(name, name_end);
    packet->name_is_plain = is_text && !named->has_escapes;
    if (is_text && may_be_reserved((char)name[1]) && is_reserved(packet->name))
        return set_fault(d, name, EIO_EPROTO, "reserved event name");
    packet->data = slice(array, closed);
    const uint8_t *args = base_json_skip_space(name_end, d->end);
    if (*args == ',') args++;
    packet->args = sio__json_trim(slice(args, closed - 1));
    return d->end;
}

/* An array whose first element is the event's name: one scan checks all of it, and the arguments are what is left
 * before its closing bracket. */
static inline const uint8_t *take_event(const struct decoder *d, const uint8_t *p)
{
    struct base_json_named named;
    if (*p != '[') return set_fault(d, p, EIO_EPROTO, "data is not an array");
    const uint8_t *name = base_json_skip_space(p + 1, d->end);
    bool is_text = name < d->end && *name == '"';
    if (!is_text && !is_digit(name, d->end) && !(name < d->end && *name == '-'))
        return set_fault(d, name, EIO_EPROTO, "event name is neither text nor a number");
    ssize_t n = sio__json_scan_named(p, (size_t)(d->end - p), &d->limits->json, &named, d->fault);
    if (n < 0) return fail_scanned(d, p);
    if (p + n != d->end) return set_fault(d, p + n, EIO_EPROTO, "bytes after the data");
    return take_scanned_event(d, p, is_text, &named);
}

static const uint8_t *take_ack(const struct decoder *d, const uint8_t *p)
{
    if (*p != '[') return set_fault(d, p, EIO_EPROTO, "data is not an array");
    if (!take_data(d, p)) return NULL;
    struct eio_str data = d->packet->data;
    d->packet->args = sio__json_trim((struct eio_str){data.p + 1, data.n - 2});
    return d->end;
}

/* Each placeholder becomes an attachment when the packet is passed on: their number is limited as that is. */
static const uint8_t *check_placeholders(const struct decoder *d)
{
    struct sio__packet *packet = d->packet;
    struct sio__placeholder found = {0};
    size_t count = 0;
    bool in_order = true;
    for (;; count++) {
        enum sio__placeholder_kind kind = sio__placeholder_next(packet->args, found.at + found.size, &found);
        if (kind == SIO__PLACEHOLDER_NONE) break;
        const uint8_t *at = (const uint8_t *)packet->args.p + found.at;
        if (kind == SIO__PLACEHOLDER_BAD || found.number >= packet->attachment_count)
            return set_fault(d, at, EIO_EPROTO, "invalid placeholder");
        if (count >= d->limits->max_attachments)
            return fail_limit(d, at, SIO_LIMIT_ATTACHMENTS, "too many placeholders");
        in_order = in_order && found.number == count;
    }
    packet->placeholders_in_order = in_order && count == packet->attachment_count;
    return d->end;
}

static const uint8_t *take_other_payload(const struct decoder *d, const uint8_t *p)
{
    switch (d->packet->type) {
    case SIO__CONNECT:
        if (*p != '{') return set_fault(d, p, EIO_EPROTO, "data is not an object");
        return take_data(d, p);
    case SIO__CONNECT_ERROR:
        if (*p != '{' && *p != '"') return set_fault(d, p, EIO_EPROTO, "data is neither an object nor text");
        return take_data(d, p);
    case SIO__ACK:
    case SIO__BINARY_ACK:
        return take_ack(d, p);
    default:
        return set_fault(d, p, EIO_EPROTO, "data in a disconnect packet");
    }
}

static inline const uint8_t *take_payload(const struct decoder *d, const uint8_t *p)
{
    const uint8_t *at = p;
    p = base_json_skip_space(p, d->end);
    if (p == d->end) return at == p ? p : set_fault(d, at, EIO_EPROTO, "JSON ends too early");
    bool is_event = d->packet->type == SIO__EVENT || d->packet->type == SIO__BINARY_EVENT;
    return is_event ? take_event(d, p) : take_other_payload(d, p);
}

int sio__packet_decode_data(struct eio_str json, const struct sio__packet_limits *limits, struct sio__packet *packet,
                            struct sio__fault *fault)
{
    const uint8_t *p = (const uint8_t *)(json.n > 0 ? json.p : "");
    const struct decoder d = {p, p + json.n, limits, packet, fault};
    return take_payload(&d, p) ? 0 : fault->code;
}

/* Field by field: for so many bytes compilers call what is made for more. */
static inline void init_packet(struct sio__packet *packet, enum sio__packet_type type)
{
    packet->type = type;
    packet->has_id = packet->name_is_plain = packet->placeholders_in_order = false;
    packet->attachment_count = 0;
    packet->id = 0;
    packet->nsp = (struct eio_str){"/", 1};
    packet->query = (struct eio_str){NULL, 0};
    packet->data = (struct eio_str){NULL, 0};
    packet->name = (struct eio_str){NULL, 0};
    packet->args = (struct eio_str){NULL, 0};
}

int sio__packet_decode(const uint8_t *p, size_t n, const struct sio__packet_limits *limits, struct sio__packet *packet,
                       struct sio__fault *fault)
{
    if (n == 0) p = (const uint8_t *)"";
    const struct decoder d = {p, p + n, limits, packet, fault};
    unsigned type = n > 0 ? *p - (unsigned)'0' : 0;
    init_packet(packet, (enum sio__packet_type)type);
    if (n == 0 || type > SIO__BINARY_ACK) {
        set_fault(&d, p, EIO_EPROTO, n ? "unknown packet type" : "empty packet");
        return EIO_EPROTO;
    }
    bool is_binary = type >= SIO__BINARY_EVENT;
    p++;
    if (is_binary) p = take_attachment_count(&d, p);
    if (p && p < d.end && *p == '/') p = take_namespace(&d, p);
    if (p && is_digit(p, d.end)) p = take_id(&d, p);
    if (p) p = take_payload(&d, p);
    if (p && is_binary) p = check_placeholders(&d);
    return p ? 0 : fault->code;
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

static bool has_attachments(const struct sio__outgoing *packet)
{
    return packet->attachment_count > 0 && parts_of[packet->type] & LIST;
}

size_t sio__packet_size(const struct sio__outgoing *packet)
{
    size_t size = 1 + packet->json.n;
    if (has_attachments(packet)) size += base_decimal_size(packet->attachment_count) + 1;
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
    bool binary = has_attachments(packet);
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
