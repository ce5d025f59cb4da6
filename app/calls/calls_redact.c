/* Rules, and a text with what they find replaced. */
#include "calls_redact.h"

#include "calls_pattern.h"
#include "kit_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#define RULES_MAX 100
#define NAME_SIZE 40
#define FILE_BYTES_MAX 1048576
static const char default_rules[] = "card: card\n"
                                    "iban: iban\n"
                                    "email: email\n"
                                    "phone: phone\n";

struct rule {
    char name[NAME_SIZE];
    calls_find_fn find;     /* NULL: the pattern does */
    calls_find_fn find_too; /* afterwards; NULL: nothing does */
    struct calls_pattern *pattern;
};

struct calls_redaction {
    struct rule rules[RULES_MAX];
    size_t count;
};

/* -------------------------------------------------------------------- rules */

static calls_find_fn find_kind(struct eio_str kind)
{
    static const struct {
        const char *name;
        calls_find_fn find;
    } kinds[] = {
        {"card", calls_find_card}, {"iban", calls_find_iban}, {"email", calls_find_email}, {"phone", calls_find_phone}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (eio_str_is(kind, kinds[i].name)) return kinds[i].find;
    return NULL;
}

static struct eio_str trim(struct eio_str text)
{
    while (text.n && strchr(" \t\r", text.p[0])) text.p++, text.n--;
    while (text.n && strchr(" \t\r", text.p[text.n - 1])) text.n--;
    return text;
}

static int read_rule(struct calls_redaction *redaction, struct eio_str line, char *why, size_t why_size)
{
    const char *colon = memchr(line.p, ':', line.n);
    struct eio_str name = trim((struct eio_str){line.p, colon ? (size_t)(colon - line.p) : 0});
    struct rule *rule = &redaction->rules[redaction->count];
    snprintf(why, why_size, "must be `name: card`, `iban`, `email`, `phone` or `/pattern/`");
    if (!name.n || name.n >= NAME_SIZE) return EIO_EINVAL;
    struct eio_str kind = trim((struct eio_str){colon + 1, (size_t)(line.p + line.n - colon - 1)});
    if (redaction->count == RULES_MAX) {
        snprintf(why, why_size, "there may be %d rules", RULES_MAX);
        return EIO_EINVAL;
    }
    snprintf(rule->name, sizeof rule->name, "%.*s", (int)name.n, name.p);
    rule->find = find_kind(kind);
    if (!rule->find && kind.n > 2 && kind.p[0] == '/' && kind.p[kind.n - 1] == '/')
        rule->pattern = calls_pattern_new((struct eio_str){kind.p + 1, kind.n - 2}, false, why, why_size);
    if (!rule->find && !rule->pattern) return EIO_EINVAL;
    rule->find_too = rule->find == calls_find_card ? calls_find_spoken_card : NULL;
    redaction->count++;
    return 0;
}

struct calls_redaction *calls_redaction_new(struct eio_str text, char *error, size_t error_size)
{
    struct calls_redaction *redaction = calloc(1, sizeof *redaction);
    char why[160];
    snprintf(error, error_size, "out of memory");
    if (!redaction) return NULL;
    bool failed = false;
    for (size_t number = 1; text.n && !failed; number++) {
        const char *end = memchr(text.p, '\n', text.n);
        struct eio_str whole = {text.p, end ? (size_t)(end - text.p) : text.n}, line = trim(whole);
        text.p += whole.n + (end != NULL);
        text.n -= whole.n + (end != NULL);
        if (!line.n || line.p[0] == '#') continue;
        failed = read_rule(redaction, line, why, sizeof why);
        if (failed) snprintf(error, error_size, "line %zu: %s", number, why);
    }
    if (!failed) return redaction;
    calls_redaction_free(redaction);
    return NULL;
}

struct calls_redaction *calls_redaction_open(const char *which, char *error, size_t error_size)
{
    char why[220] = "larger than 1 MiB";
    error[0] = 0;
    if (!strcmp(which, "off")) return NULL;
    if (!strcmp(which, "default")) return calls_redaction_new(eio_str(default_rules), error, error_size);
    size_t size;
    char *text = kit_file_read(which, KIT_FILE_ANY, FILE_BYTES_MAX, &size);
    struct calls_redaction *redaction = NULL;
    if (text)
        redaction = calls_redaction_new((struct eio_str){text, size}, why, sizeof why);
    else if (errno != EFBIG)
        snprintf(why, sizeof why, "%s", kit_file_error());
    if (!redaction) snprintf(error, error_size, "%s: %s", which, why);
    free(text);
    return redaction;
}

void calls_redaction_free(struct calls_redaction *redaction)
{
    if (!redaction) return;
    for (size_t i = 0; i < redaction->count; i++) calls_pattern_free(redaction->rules[i].pattern);
    free(redaction);
}

/* --------------------------------------------------------------------- text */

struct output {
    char *p;
    size_t n, capacity;
    bool failed;
};

static void put_bytes(struct output *out, const char *p, size_t n)
{
    if (out->failed) return;
    if (out->n + n + 1 > out->capacity) {
        size_t capacity = (out->n + n + 1) * 2;
        char *more = realloc(out->p, capacity);
        out->failed = !more;
        if (!more) return;
        out->p = more;
        out->capacity = capacity;
    }
    if (n) memcpy(out->p + out->n, p, n);
    out->n += n;
    out->p[out->n] = 0;
}

/* Where the pattern fits next; the whole text if it takes too long: what cannot be looked through is hidden. */
static struct calls_span match(const struct rule *rule, struct eio_str text, size_t from)
{
    struct calls_span span = {0, 0};
    enum calls_match found = calls_pattern_find(rule->pattern, text, from, &span.begin, &span.end);
    return found == CALLS_MATCH_LIMIT ? (struct calls_span){0, text.n} : span;
}

/* One rule's turn. Nothing is put if it finds nothing. */
static void apply(const struct rule *rule, calls_find_fn find, struct eio_str text, bool is_partial, struct output *out)
{
    size_t from = 0;
    for (;;) {
        struct calls_span span = find ? find(text, from, is_partial) : match(rule, text, from);
        if (span.end <= from || span.end <= span.begin) break;
        size_t begin = span.begin > from ? span.begin : from;
        put_bytes(out, text.p + from, begin - from);
        put_bytes(out, "[", 1);
        put_bytes(out, rule->name, strlen(rule->name));
        put_bytes(out, "]", 1);
        from = span.end;
    }
    if (from) put_bytes(out, text.p + from, text.n - from);
}

/* The character that says the same in ASCII: of other scripts' digits, and of what East Asian text writes in full
 * width. 0 if absent. */
static char fold(UChar32 code)
{
    if (code < 0x80) return 0;
    if (code >= 0xff01 && code <= 0xff5e) return (char)(code - 0xfee0);
    int32_t digit = u_charType(code) == U_DECIMAL_DIGIT_NUMBER ? u_charDigitValue(code) : -1;
    return digit < 0 ? 0 : (char)('0' + digit);
}

/* The text with such characters in ASCII; out->p NULL: it has none. */
static void fold_text(struct eio_str text, struct output *out)
{
    size_t put_up_to = 0;
    for (size_t i = 0, begin = 0; i < text.n && !out->failed; begin = i) {
        UChar32 code;
        U8_NEXT(text.p, i, text.n, code);
        char plain = fold(code);
        if (!plain) continue;
        put_bytes(out, text.p + put_up_to, begin - put_up_to);
        put_bytes(out, &plain, 1);
        put_up_to = i;
    }
    if (out->p) put_bytes(out, text.p + put_up_to, text.n - put_up_to);
}

/* A text while rules go over it. */
struct work {
    struct eio_str text;
    struct output current; /* p NULL: it is `text` still */
    struct calls_glance glance;
    bool is_partial, found;
};

static void run_rule(struct work *work, const struct rule *rule, calls_find_fn find)
{
    struct output next = {NULL, 0, 0, false};
    struct eio_str from = work->current.p ? (struct eio_str){work->current.p, work->current.n} : work->text;
    if (work->current.failed || (find && !calls_may_find(find, &work->glance, work->is_partial))) return;
    apply(rule, find, from, work->is_partial, &next);
    if (!next.p && !next.failed) return;
    work->found = true;
    free(work->current.p);
    work->current = next;
    work->glance = calls_glance_at((struct eio_str){next.p, next.n});
}

int calls_redact(const struct calls_redaction *redaction, struct eio_str text, bool is_partial, char **out,
                 size_t *size)
{
    struct work work = {.text = text, .glance = calls_glance_at(text), .is_partial = is_partial};
    if (redaction && work.glance.has_high) fold_text(text, &work.current);
    if (work.current.p) work.glance = calls_glance_at((struct eio_str){work.current.p, work.current.n});
    for (size_t i = 0; redaction && i < redaction->count; i++) {
        const struct rule *rule = &redaction->rules[i];
        run_rule(&work, rule, rule->find);
        if (rule->find_too) run_rule(&work, rule, rule->find_too);
    }
    struct output *result = &work.current;
    if (result->failed || !work.found) {
        free(result->p);
        result->p = NULL;
    }
    *out = result->p;
    *size = result->p ? result->n : 0;
    return result->failed ? EIO_ENOMEM : 0;
}
