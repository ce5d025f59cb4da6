/* CORS response headers, as the `cors` package of the reference writes them. */
#include "base_authority.h"
#include "base_str.h"
#include "eio_int.h"

#include <string.h>

enum { ORIGIN_BYTES = 512 }; /* of a request; a longer one is in no list and not echoed */

/* ----------------------------------------------------------------- origins */

/* The next entry of a list; an expression in slashes may have commas. Returns where the rest begins, NULL at the end.
 */
static const char *next_entry(const char *text, struct eio_str *entry)
{
    text += strspn(text, ", ");
    if (!*text) return NULL;
    size_t n = strcspn(text, ", ");
    if (*text == '/') {
        const char *end = text + 1;
        while (*end && !(*end == '/' && (end[1 + (end[1] == 'i')] == '\0' || strchr(", ", end[1 + (end[1] == 'i')]))))
            end += *end == '\\' && end[1] ? 2 : 1;
        n = (size_t)(end - text) + (*end ? 1u + (end[1] == 'i') : 0u);
    }
    *entry = (struct eio_str){text, n};
    return text + n;
}

/* What stands between the slashes, without the escapes that only a slash needs. */
static int compile(struct eio_str entry, regex_t *regex)
{
    int flags = REG_EXTENDED | REG_NOSUB;
    char *pattern = malloc(entry.n + 1);
    size_t n = 0, end = entry.n;
    if (!pattern) return EIO_ENOMEM;
    if (entry.p[end - 1] == 'i') {
        flags |= REG_ICASE;
        end--;
    }
    bool closed = end >= 3 && entry.p[end - 1] == '/';
    for (size_t i = 1; closed && i < end - 1; i++) {
        if (entry.p[i] == '\\' && entry.p[i + 1] == '/') continue;
        pattern[n++] = entry.p[i];
    }
    pattern[n] = '\0';
    int result = closed ? regcomp(regex, pattern, flags) : REG_BADPAT;
    free(pattern);
    if (result == 0) return 0;
    char why[128];
    regerror(result, NULL, why, sizeof why);
    eio_log(EIO_LOG_ERROR, "CORS origin %.*s: %s", (int)entry.n, entry.p, why);
    return result == REG_ESPACE ? EIO_ENOMEM : EIO_EINVAL;
}

static bool is_list(const char *origin)
{
    return strcmp(origin, "reflect") != 0 && (strchr(origin, ',') || origin[0] == '/');
}

int eio__cors_origins_init(struct eio__cors_origins *origins, const char *text)
{
    return eio__allowed_origins_init(origins, text && is_list(text) ? text : NULL);
}

int eio__allowed_origins_init(struct eio__cors_origins *origins, const char *text)
{
    struct eio_str entry;
    *origins = (struct eio__cors_origins){0};
    if (!text) return 0;
    while ((text = next_entry(text, &entry)) != NULL) {
        struct eio__cors_origin *grown = realloc(origins->list, (origins->count + 1) * sizeof *grown);
        if (!grown) return EIO_ENOMEM;
        origins->list = grown;
        struct eio__cors_origin *origin = &grown[origins->count];
        origin->text = entry;
        origin->is_regex = entry.p[0] == '/';
        int result = origin->is_regex ? compile(entry, &origin->regex) : 0;
        if (result != 0) return result;
        origins->count++;
    }
    return 0;
}

/* As browsers write them: null, or a scheme and a host without anything behind it. */
static bool is_origin(struct eio_str text)
{
    static const char marks[] = "://";
    char copy[ORIGIN_BYTES + 1];
    if (text.n > ORIGIN_BYTES) return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;
    if (!strcmp(copy, "null")) return true;
    size_t scheme = strspn(copy, "abcdefghijklmnopqrstuvwxyz0123456789+-.");
    if (scheme == 0 || strncmp(copy + scheme, marks, 3) != 0) return false;
    size_t host = text.n - scheme - 3;
    if (host == 0) return strcmp(copy, "file://") == 0;
    return base_authority_is_endpoint((struct base_str){copy + scheme + 3, host});
}

static bool are_origins(const struct eio__cors_origins *origins)
{
    for (size_t i = 0; i < origins->count; i++)
        if (!origins->list[i].is_regex && !is_origin(origins->list[i].text)) return false;
    return origins->count > 0;
}

bool eio_cors_origin_is_valid(const char *origin)
{
    struct eio__cors_origins origins;
    if (!origin || !strcmp(origin, "*") || !strcmp(origin, "reflect")) return true;
    if (!is_list(origin)) return is_origin(eio_str(origin));
    bool valid = eio__cors_origins_init(&origins, origin) == 0 && are_origins(&origins);
    eio__cors_origins_clear(&origins); /* what came before a mistake is there */
    return valid;
}

bool eio_allowed_origins_are_valid(const char *text)
{
    struct eio__cors_origins origins;
    if (!text) return true;
    bool valid = eio__allowed_origins_init(&origins, text) == 0 && are_origins(&origins);
    eio__cors_origins_clear(&origins);
    return valid;
}

void eio__cors_origins_clear(struct eio__cors_origins *origins)
{
    for (size_t i = 0; i < origins->count; i++)
        if (origins->list[i].is_regex) regfree(&origins->list[i].regex);
    free(origins->list);
    *origins = (struct eio__cors_origins){0};
}

/* origin: terminated too. */
static bool is_listed(const struct eio__cors_origins *origins, struct eio_str origin)
{
    for (size_t i = 0; i < origins->count; i++) {
        const struct eio__cors_origin *each = &origins->list[i];
        if (each->is_regex ? regexec(&each->regex, origin.p, 0, NULL, 0) == 0 : eio_str_is(each->text, origin.p))
            return true;
    }
    return false;
}

bool eio__origin_is_allowed(const struct eio__cors_origins *origins, const struct eio_http_head *head)
{
    char copy[ORIGIN_BYTES + 1];
    struct eio_str origin = eio_http_head_field(head, "origin");
    if (!origins->count || !origin.p) return true;
    if (origin.n > ORIGIN_BYTES) return false;
    memcpy(copy, origin.p, origin.n);
    copy[origin.n] = 0;
    return is_listed(origins, (struct eio_str){copy, origin.n});
}

/* ----------------------------------------------------------------- headers */

static void add_field(struct eio__cors_reply *out, const char *name, const char *value)
{
    if (out->count < EIO__CORS_FIELDS_MAX) out->fields[out->count++] = (struct eio_http_reply_field){name, value};
}

static bool is_empty(const char *text)
{
    return !text || !*text;
}

static const char *copy_value(char *out, size_t size, struct eio_str value)
{
    if (value.n >= size) return NULL;
    memcpy(out, value.p, value.n);
    out[value.n] = '\0';
    return out;
}

static void add_origin(const struct eio_cors *cors, const struct eio__cors_origins *origins, struct eio_str origin,
                       struct eio__cors_reply *out)
{
    _Static_assert(sizeof out->origin == ORIGIN_BYTES, "room for an origin");
    bool any = cors->allow_origin || strcmp(cors->origin, "reflect") == 0;
    if (!any && !is_list(cors->origin)) {
        /* One fixed origin is always named, as the reference does. */
        add_field(out, "Access-Control-Allow-Origin", cors->origin);
        return;
    }
    const char *value = origin.n ? copy_value(out->origin, sizeof out->origin, origin) : NULL;
    if (value && (any || is_listed(origins, (struct eio_str){value, origin.n})))
        add_field(out, "Access-Control-Allow-Origin", value);
}

static const char *vary(const struct eio_cors *cors, bool reflects_headers)
{
    if (!cors->allow_origin && strcmp(cors->origin, "*") == 0)
        return reflects_headers ? "Access-Control-Request-Headers" : NULL;
    return reflects_headers ? "Origin, Access-Control-Request-Headers" : "Origin";
}

/* The headers that are asked for, of all lines. NULL: none, or more than fit. */
static const char *join_asked(const struct eio_http_head *head, char *out, size_t size)
{
    struct eio_str name, value;
    size_t n = 0;
    for (size_t i = 0; eio_http_head_field_at(head, i, &name, &value); i++) {
        if (value.n == 0 || !eio_str_is(name, "access-control-request-headers")) continue;
        if (n + value.n + 3 > size) return NULL;
        char *to = base_put_bytes(base_put_text(out + n, n ? ", " : ""), value.p, value.n);
        *to = '\0';
        n = (size_t)(to - out);
    }
    return n ? out : NULL;
}

static void add_preflight(const struct eio_cors *cors, const struct eio_http_head *head, struct eio__cors_reply *out)
{
    add_field(out, "Access-Control-Allow-Methods", cors->methods);
    const char *allowed = is_empty(cors->allowed_headers) ? NULL : cors->allowed_headers;
    if (!allowed) {
        allowed = join_asked(head, out->headers, sizeof out->headers);
    }
    if (allowed) add_field(out, "Access-Control-Allow-Headers", allowed);
    if (cors->max_age_s < 0) return;
    snprintf(out->max_age, sizeof out->max_age, "%d", cors->max_age_s);
    add_field(out, "Access-Control-Max-Age", out->max_age);
}

static bool is_on(const struct eio_cors *cors, const struct eio_http_head *head)
{
    if (cors->allow_origin) return cors->allow_origin(eio_http_head_field(head, "origin"), cors->allow_origin_ctx);
    return cors->origin != NULL;
}

bool eio__cors_answers(const struct eio_cors *cors, const struct eio_http_head *head)
{
    return head->method == EIO_HTTP_OPTIONS && !cors->preflight_continue && is_on(cors, head);
}

void eio__cors_fields(const struct eio_cors *cors, const struct eio__cors_origins *origins,
                      const struct eio_http_head *head, struct eio__cors_reply *out)
{
    out->count = 0;
    if (!is_on(cors, head)) return;
    bool preflight = head->method == EIO_HTTP_OPTIONS;
    add_origin(cors, origins, eio_http_head_field(head, "origin"), out);
    const char *varies = vary(cors, preflight && is_empty(cors->allowed_headers));
    if (varies) add_field(out, "Vary", varies);
    if (cors->credentials) add_field(out, "Access-Control-Allow-Credentials", "true");
    if (preflight) add_preflight(cors, head, out);
    if (!is_empty(cors->exposed_headers)) add_field(out, "Access-Control-Expose-Headers", cors->exposed_headers);
}
