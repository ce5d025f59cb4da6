/* Guests: who may use a server on loopback without a token. A page of another site must not: its origin gives it away,
 * and a name that it made point here does so in Host. */
#include "kit_auth.h"

#include <string.h>
#include <strings.h>

#define GUEST "guest"
#define NEVER_S 253402300799 /* the end of the year 9999 */

/* Of "host:port"; the brackets of an IPv6 address stay. */
static struct eio_str host_of(struct eio_str authority)
{
    size_t n = 0;
    if (authority.n && authority.p[0] == '[') {
        while (n < authority.n && authority.p[n] != ']') n++;
        return (struct eio_str){authority.p, n < authority.n ? n + 1 : n};
    }
    while (n < authority.n && authority.p[n] != ':') n++;
    return (struct eio_str){authority.p, n};
}

static bool is_text(struct eio_str text, const char *wanted)
{
    return text.n == strlen(wanted) && !strncasecmp(text.p, wanted, text.n);
}

static bool is_loopback(struct eio_str authority)
{
    struct eio_str host = host_of(authority);
    size_t digits = 0;
    if (is_text(host, "localhost") || is_text(host, "[::1]")) return true;
    while (digits < host.n && strchr("0123456789.", host.p[digits])) digits++;
    return digits == host.n && host.n > 4 && !memcmp(host.p, "127.", 4);
}

static bool is_own_origin(struct eio_str origin)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t n = strlen(schemes[i]);
        if (origin.n > n && !strncasecmp(origin.p, schemes[i], n))
            return is_loopback((struct eio_str){origin.p + n, origin.n - n});
    }
    return false;
}

int kit_admit_guests(struct kit *kit)
{
    if (!kit->development_key || kit->guest) return 0;
    json_t *token = json_pack("{s:s, s:s, s:I}", "sub", GUEST, "role", "user", "exp", (json_int_t)NEVER_S);
    kit->guest = kit_claims_new(token);
    json_decref(token);
    return kit->guest ? 0 : EIO_ENOMEM;
}

struct kit_claims *kit_guest_claims(const struct kit *kit, const struct eio_http_head *head)
{
    struct eio_str host = eio_http_head_field(head, "host"), origin = eio_http_head_field(head, "origin");
    if (!kit->guest || !is_loopback(host)) return NULL;
    return !origin.p || is_own_origin(origin) ? kit->guest : NULL;
}
