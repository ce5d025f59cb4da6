/* Server-sent events: bytes to lines, lines to fields, fields to events. */
#include "kit_sse.h"

#include <stdlib.h>
#include <string.h>

#define MARK "\xef\xbb\xbf"
#define MARK_SIZE 3
#define MARK_DONE 255
#define RETRY_MS_MAX (1000LL * 86400 * 365)

/* -------------------------------------------------------------------- text */

static int append(struct kit_sse_text *text, const char *p, size_t n, size_t max)
{
    if (n > max || text->n > max - n) return EIO_ETOOBIG;
    if (text->n + n > text->capacity) {
        size_t capacity = (text->n + n) * 2;
        char *grown = realloc(text->p, capacity);
        if (!grown) return EIO_ENOMEM;
        text->p = grown;
        text->capacity = capacity;
    }
    if (n) memcpy(text->p + text->n, p, n);
    text->n += n;
    return 0;
}

static struct eio_str str_of(const struct kit_sse_text *text)
{
    return (struct eio_str){text->n ? text->p : "", text->n};
}

/* ------------------------------------------------------------------ events */

static void forget_event(struct kit_sse *sse)
{
    sse->name.n = sse->data.n = sse->error.n = 0;
    sse->has_data = sse->has_error = sse->has_next_id = false;
}

static int report(struct kit_sse *sse, kit_sse_fn fn, void *ctx)
{
    if (sse->has_next_id) {
        struct kit_sse_text old = sse->id;
        sse->id = sse->next_id;
        sse->next_id = old;
    }
    struct kit_sse_event event = {.name = str_of(&sse->name), .data = str_of(&sse->data)};
    if (sse->has_error) event.error = str_of(&sse->error);
    if (sse->has_data) event.data.n--; /* the newline after its last line */
    int code = sse->has_data || sse->has_error ? fn(ctx, &event) : 0;
    forget_event(sse);
    return code;
}

/* ------------------------------------------------------------------ fields */

static bool is_named(struct eio_str field, const char *name)
{
    return field.n == strlen(name) && !memcmp(field.p, name, field.n);
}

static int replace(struct kit_sse_text *text, struct eio_str value, size_t max)
{
    text->n = 0;
    return append(text, value.p, value.n, max);
}

static int add_data(struct kit_sse *sse, struct eio_str value)
{
    int code = append(&sse->data, value.p, value.n, sse->max_bytes);
    if (!code) code = append(&sse->data, "\n", 1, SIZE_MAX);
    sse->has_data = true;
    return code;
}

/* Digits only; anything else is ignored. */
static void set_retry(struct kit_sse *sse, struct eio_str value)
{
    int64_t ms = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9') return;
        ms = ms * 10 + (value.p[i] - '0');
        if (ms > RETRY_MS_MAX) ms = RETRY_MS_MAX;
    }
    if (!value.n) return;
    sse->retry_ms = ms;
    sse->has_retry = true;
}

static int take_field(struct kit_sse *sse, struct eio_str field, struct eio_str value)
{
    if (is_named(field, "data")) return add_data(sse, value);
    if (is_named(field, "event")) return replace(&sse->name, value, sse->max_bytes);
    if (is_named(field, "error")) {
        sse->has_error = true;
        return replace(&sse->error, value, sse->max_bytes);
    }
    if (is_named(field, "retry")) set_retry(sse, value);
    if (!is_named(field, "id") || memchr(value.p, 0, value.n)) return 0;
    sse->has_next_id = true;
    return replace(&sse->next_id, value, sse->max_bytes);
}

static int take_line(struct kit_sse *sse, kit_sse_fn fn, void *ctx)
{
    struct eio_str line = str_of(&sse->line), field = line, value = {"", 0};
    sse->line.n = 0;
    if (sse->is_comment) {
        sse->is_comment = false;
        return 0;
    }
    if (!line.n) return report(sse, fn, ctx);
    const char *colon = memchr(line.p, ':', line.n);
    if (colon) {
        field.n = (size_t)(colon - line.p);
        value = (struct eio_str){colon + 1, line.n - field.n - 1};
        if (value.n && value.p[0] == ' ') value.p++, value.n--;
    }
    return take_field(sse, field, value);
}

/* ------------------------------------------------------------------- bytes */

/* Takes the byte order mark off the start of the stream. What looked like one and was not is part of the line. */
static int skip_mark(struct kit_sse *sse, struct eio_str *bytes)
{
    while (sse->mark < MARK_SIZE && bytes->n && bytes->p[0] == MARK[sse->mark]) sse->mark++, bytes->p++, bytes->n--;
    if (sse->mark < MARK_SIZE && !bytes->n) return 0;
    int code = sse->mark < MARK_SIZE ? append(&sse->line, MARK, sse->mark, sse->max_bytes) : 0;
    sse->mark = MARK_DONE;
    return code;
}

static size_t line_size(struct eio_str bytes)
{
    const char *lf = memchr(bytes.p, '\n', bytes.n);
    size_t n = lf ? (size_t)(lf - bytes.p) : bytes.n;
    const char *cr = memchr(bytes.p, '\r', n);
    return cr ? (size_t)(cr - bytes.p) : n;
}

/* One line, or a part of it, off the bytes. */
static int take_bytes(struct kit_sse *sse, struct eio_str *bytes, kit_sse_fn fn, void *ctx)
{
    size_t n = line_size(*bytes);
    int code = 0;
    if (!sse->line.n && n && bytes->p[0] == ':') sse->is_comment = true;
    if (!sse->is_comment) code = append(&sse->line, bytes->p, n, sse->max_bytes);
    bool is_whole = n < bytes->n;
    sse->skips_lf = is_whole && bytes->p[n] == '\r';
    if (is_whole) n++;
    bytes->p += n;
    bytes->n -= n;
    return code || !is_whole ? code : take_line(sse, fn, ctx);
}

/* Nothing of an event is here yet. */
static bool is_between_events(const struct kit_sse *sse)
{
    return !sse->line.n && !sse->is_comment && !sse->skips_lf && !sse->has_data && !sse->has_error &&
           !sse->has_next_id && !sse->name.n;
}

/* An event that is one line `data: …`, as nearly all of models' streams are, is handed on where it stands. False: it is
 * another one, or not whole. */
static bool report_in_place(struct kit_sse *sse, struct eio_str *bytes, kit_sse_fn fn, void *ctx)
{
    static const char field[] = "data:";
    size_t skipped = sizeof field - 1;
    if (bytes->n < skipped || memcmp(bytes->p, field, skipped) || !is_between_events(sse)) return false;
    const char *lf = memchr(bytes->p, '\n', bytes->n);
    size_t n = lf ? (size_t)(lf - bytes->p) : bytes->n;
    if (n + 2 > bytes->n || lf[1] != '\n' || n > sse->max_bytes || memchr(bytes->p, '\r', n)) return false;
    if (bytes->p[skipped] == ' ') skipped++;
    struct kit_sse_event event = {.name = {"", 0}, .data = {bytes->p + skipped, n - skipped}};
    bytes->p += n + 2;
    bytes->n -= n + 2;
    sse->failed = fn(ctx, &event);
    return true;
}

int kit_sse_feed(struct kit_sse *sse, struct eio_str bytes, kit_sse_fn fn, void *ctx)
{
    if (!sse->failed && sse->mark != MARK_DONE && bytes.n) sse->failed = skip_mark(sse, &bytes);
    while (!sse->failed && bytes.n) {
        if (report_in_place(sse, &bytes, fn, ctx)) continue;
        if (sse->skips_lf && bytes.p[0] == '\n') {
            bytes.p++;
            bytes.n--;
        }
        sse->skips_lf = false;
        if (bytes.n) sse->failed = take_bytes(sse, &bytes, fn, ctx);
    }
    return sse->failed;
}

int kit_sse_end(struct kit_sse *sse, kit_sse_fn fn, void *ctx)
{
    if (!sse->failed && (sse->line.n || sse->is_comment)) sse->failed = take_line(sse, fn, ctx);
    if (!sse->failed && (sse->has_data || sse->has_error || sse->has_next_id)) sse->failed = report(sse, fn, ctx);
    return sse->failed;
}

struct eio_str kit_sse_last_id(const struct kit_sse *sse)
{
    return str_of(&sse->id);
}

void kit_sse_restart(struct kit_sse *sse)
{
    forget_event(sse);
    sse->line.n = 0;
    sse->is_comment = sse->skips_lf = false;
    sse->mark = 0;
    sse->failed = 0;
}

void kit_sse_clear(struct kit_sse *sse)
{
    free(sse->line.p);
    free(sse->name.p);
    free(sse->data.p);
    free(sse->error.p);
    free(sse->id.p);
    free(sse->next_id.p);
    *sse = (struct kit_sse){.max_bytes = sse->max_bytes};
}
