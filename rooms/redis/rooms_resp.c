/* RESP2, both ways. Pure. Replies are only measured here, so that limits hold before memory is allocated for them;
 * messages of subscriptions, which are nearly all replies, are parsed at once. */
#include "rooms_redis_conn.h"

/* ------------------------------------------------------------------- scan */

/* The line at p without its end, or 0 for "not there yet", -1. */
static long line_find(const uint8_t *p, size_t n, const char **why)
{
    size_t look = n < ROOMS__RESP_LINE_MAX ? n : ROOMS__RESP_LINE_MAX;
    const uint8_t *end = look ? memchr(p, '\n', look) : NULL;
    if (!end) {
        if (n < ROOMS__RESP_LINE_MAX) return 0;
        *why = "a line is too long";
        return ROOMS_EINVAL;
    }
    if (end - p < 2 || end[-1] != '\r') {
        *why = "a line does not end in CR LF, or is empty";
        return ROOMS_EINVAL;
    }
    return (long)(end - p) - 1;
}

/* A size: digits, or -1 for "nil". False: something else. */
static bool size_parse(const uint8_t *p, size_t n, long *size)
{
    if (n == 2 && p[0] == '-' && p[1] == '1') {
        *size = -1;
        return true;
    }
    if (n < 1 || n > 18) return false;
    *size = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') return false;
        *size = *size * 10 + (p[i] - '0');
    }
    return true;
}

static long bad(const char **why, int error, const char *text)
{
    *why = text;
    return error;
}

/* A value of which only the head is a line. Returns the bytes that follow the head, or an error; array: values that
 * follow. */
static long sized(const uint8_t *line, size_t n, size_t *array, const char **why)
{
    long size;
    if (!size_parse(line + 1, n - 1, &size)) return bad(why, ROOMS_EINVAL, "a size is not a number");
    if (line[0] == '$') return size < 0 ? 0 : size + 2;
    *array = size < 0 ? 0 : (size_t)size;
    return 0;
}

long rooms__resp_scan(struct rooms__resp_scan *scan, const uint8_t *p, size_t n,
                      const struct rooms__resp_limits *limits, const char **why)
{
    if (scan->at == 0) *scan = (struct rooms__resp_scan){.missing = 1};
    while (scan->missing > 0) {
        const uint8_t *line = p + scan->at;
        if (scan->at < n && !memchr("+-:$*", *line, 5)) return bad(why, ROOMS_EINVAL, "not RESP2");
        long length = line_find(line, n - scan->at, why);
        if (length < 0) return length;
        if (length == 0) return scan->at + 3 > limits->max_bytes ? bad(why, ROOMS_ELIMIT, "a reply is too large") : 0;
        size_t array = 0;
        long body = *line == '$' || *line == '*' ? sized(line, (size_t)length, &array, why) : 0;
        if (body < 0) return body;
        scan->need = scan->at + (size_t)length + 2 + (size_t)body;
        if (scan->need > limits->max_bytes) return bad(why, ROOMS_ELIMIT, "a reply is too large");
        if (array > limits->max_values || scan->values + scan->missing + array > limits->max_values)
            return bad(why, ROOMS_ELIMIT, "too many values in a reply");
        if (scan->need > n) return 0;
        if (body && (p[scan->need - 2] != '\r' || p[scan->need - 1] != '\n'))
            return bad(why, ROOMS_EINVAL, "a string does not end in CR LF");
        scan->at = scan->need;
        scan->values++;
        scan->missing += array - 1;
    }
    return (long)scan->at;
}

/* ------------------------------------------------------------------- push */

/* "<digits>\r\n<bytes>\r\n" at *at, after the $. False: not whole, or something else. */
static bool bulk(const uint8_t *p, size_t n, size_t *at, const uint8_t **bytes, size_t *size)
{
    size_t i = *at, value = 0, digits = 0;
    for (; i < n && p[i] >= '0' && p[i] <= '9' && digits < 10; i++, digits++) value = value * 10 + (size_t)(p[i] - '0');
    if (digits == 0 || n - i < 2 || p[i] != '\r' || p[i + 1] != '\n') return false;
    i += 2;
    if (n - i < value || n - i - value < 2) return false;
    if (p[i + value] != '\r' || p[i + value + 1] != '\n') return false;
    *bytes = p + i;
    *size = value;
    *at = i + value + 2;
    return true;
}

static bool bulk_name(const uint8_t *p, size_t n, size_t *at, struct rooms_name *name)
{
    const uint8_t *bytes;
    if (!bulk(p, n, at, &bytes, &name->n)) return false;
    name->p = (const char *)bytes;
    return true;
}

static bool dollar(const uint8_t *p, size_t n, size_t *at)
{
    if (*at >= n || p[*at] != '$') return false;
    (*at)++;
    return true;
}

size_t rooms__resp_push(const uint8_t *p, size_t n, struct rooms__resp_push *push)
{
    static const char message[] = "*3\r\n$7\r\nmessage\r\n$", shard[] = "*3\r\n$8\r\nsmessage\r\n$",
                      pattern[] = "*4\r\n$8\r\npmessage\r\n$";
    size_t at;
    if (n < sizeof shard) return 0; /* the shortest whole message is longer */
    if (memcmp(p, message, at = sizeof message - 1) == 0)
        push->kind = ROOMS__REDIS_CHANNEL;
    else if (memcmp(p, pattern, at = sizeof pattern - 1) == 0)
        push->kind = ROOMS__REDIS_PATTERN;
    else if (memcmp(p, shard, at = sizeof shard - 1) == 0)
        push->kind = ROOMS__REDIS_SHARD;
    else
        return 0;
    if (!bulk_name(p, n, &at, &push->name)) return 0;
    push->channel = push->name;
    if (push->kind == ROOMS__REDIS_PATTERN && (!dollar(p, n, &at) || !bulk_name(p, n, &at, &push->channel))) return 0;
    if (!dollar(p, n, &at) || !bulk(p, n, &at, &push->payload.p, &push->payload.n)) return 0;
    return at;
}

/* ---------------------------------------------------------------- commands */

static size_t digits_of(size_t value)
{
    size_t digits = 1;
    for (; value >= 10; value /= 10) digits++;
    return digits;
}

static uint8_t *head_write(uint8_t *out, uint8_t type, size_t value)
{
    size_t digits = digits_of(value);
    *out++ = type;
    for (size_t i = digits; i-- > 0; value /= 10) out[i] = (uint8_t)('0' + value % 10);
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return out + digits + 2;
}

size_t rooms__resp_command_size(const struct rooms_bytes *args, size_t arg_count)
{
    size_t size = 3 + digits_of(arg_count);
    for (size_t i = 0; i < arg_count; i++) size += 5 + digits_of(args[i].n) + args[i].n;
    return size;
}

void rooms__resp_command_write(uint8_t *out, const struct rooms_bytes *args, size_t arg_count)
{
    out = head_write(out, '*', arg_count);
    for (size_t i = 0; i < arg_count; i++) {
        out = head_write(out, '$', args[i].n);
        if (args[i].n) memcpy(out, args[i].p, args[i].n);
        out += args[i].n;
        *out++ = '\r';
        *out++ = '\n';
    }
}
