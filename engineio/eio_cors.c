/* CORS response headers, as the `cors` package of the reference writes them. */
#include "eio_int.h"

#include <string.h>

static void add(struct eio__cors_reply *out, const char *name, const char *value)
{
    if (out->count < EIO__CORS_FIELDS_MAX) out->fields[out->count++] = (struct eio_http_reply_field){name, value};
}

static bool is_empty(const char *text)
{
    return !text || !*text;
}

static const char *copy(char *out, size_t size, struct eio_str value)
{
    if (value.n >= size) return NULL;
    memcpy(out, value.p, value.n);
    out[value.n] = '\0';
    return out;
}

static bool is_listed(const char *list, struct eio_str origin)
{
    while (*list) {
        size_t skip = strspn(list, ", ");
        list += skip;
        size_t n = strcspn(list, ", ");
        if (n && n == origin.n && memcmp(list, origin.p, n) == 0) return true;
        list += n;
    }
    return false;
}

static void add_origin(const struct eio_cors *cors, struct eio_str origin, bool vary_headers,
                       struct eio__cors_reply *out)
{
    if (strcmp(cors->origin, "*") == 0) {
        add(out, "Access-Control-Allow-Origin", "*");
        if (vary_headers) add(out, "Vary", "Access-Control-Request-Headers");
        return;
    }
    bool single = strcmp(cors->origin, "reflect") != 0 && !strchr(cors->origin, ',');
    if (single) {
        /* One fixed origin is always named, as the reference does. */
        add(out, "Access-Control-Allow-Origin", cors->origin);
    } else if (origin.n && (strcmp(cors->origin, "reflect") == 0 || is_listed(cors->origin, origin))) {
        const char *value = copy(out->origin, sizeof out->origin, origin);
        if (value) add(out, "Access-Control-Allow-Origin", value);
    }
    add(out, "Vary", vary_headers ? "Origin, Access-Control-Request-Headers" : "Origin");
}

void eio__cors_fields(const struct eio_cors *cors, const struct eio_http_head *head, bool preflight,
                      struct eio__cors_reply *out)
{
    out->count = 0;
    if (!cors->origin) return;
    bool reflects_headers = preflight && is_empty(cors->allowed_headers);
    add_origin(cors, eio_http_head_field(head, "origin"), reflects_headers, out);
    if (cors->credentials) add(out, "Access-Control-Allow-Credentials", "true");
    if (preflight) {
        add(out, "Access-Control-Allow-Methods", cors->methods);
        const char *allowed = is_empty(cors->allowed_headers) ? NULL : cors->allowed_headers;
        if (!allowed) {
            struct eio_str asked = eio_http_head_field(head, "access-control-request-headers");
            if (asked.n) allowed = copy(out->headers, sizeof out->headers, asked);
        }
        if (allowed) add(out, "Access-Control-Allow-Headers", allowed);
        if (cors->max_age_s >= 0) {
            snprintf(out->max_age, sizeof out->max_age, "%d", cors->max_age_s);
            add(out, "Access-Control-Max-Age", out->max_age);
        }
    }
    if (!is_empty(cors->exposed_headers)) add(out, "Access-Control-Expose-Headers", cors->exposed_headers);
}
