/* Who a request is for: uri-host [ ":" port ] (RFC 3986, section 3.2; RFC 9110, section 7.2). Pure. */
#include "base_str.h"
#include "eio_codec.h"

#include <arpa/inet.h>
#include <string.h>

enum { PORT_MAX = 65535, IPV6_CHARS_MAX = 45 };

/* unreserved / sub-delims */
static bool is_name_char(char c)
{
    bool letter = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    return letter || (c && strchr("_~!$&'()*+,;=", c));
}

static bool name_valid(struct eio_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (is_name_char(name.p[i])) continue;
        if (name.p[i] != '%' || name.n - i < 3 || base_hex_value(name.p[i + 1]) < 0 ||
            base_hex_value(name.p[i + 2]) < 0)
            return false;
        i += 2;
    }
    return true;
}

static bool port_valid(struct eio_str port)
{
    unsigned long number = 0;
    for (size_t i = 0; i < port.n; i++) {
        if (port.p[i] < '0' || port.p[i] > '9') return false;
        number = number * 10 + (unsigned long)(port.p[i] - '0');
        if (number > PORT_MAX) return false;
    }
    return true;
}

/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */
static bool future_valid(struct eio_str text)
{
    size_t i = 1;
    while (i < text.n && base_hex_value(text.p[i]) >= 0) i++;
    if (i == 1 || i + 1 >= text.n || text.p[i] != '.') return false;
    while (++i < text.n)
        if (!is_name_char(text.p[i]) && text.p[i] != ':') return false;
    return true;
}

/* What is between the brackets. */
static bool literal_valid(struct eio_str text)
{
    char address[IPV6_CHARS_MAX + 1];
    struct in6_addr parsed;
    if (text.n && (text.p[0] | 0x20) == 'v') return future_valid(text);
    if (text.n > IPV6_CHARS_MAX || memchr(text.p, '\0', text.n)) return false;
    memcpy(address, text.p, text.n);
    address[text.n] = '\0';
    return inet_pton(AF_INET6, address, &parsed) == 1;
}

bool eio__authority_valid(struct eio_str authority)
{
    const char *end = authority.p + authority.n, *port;
    if (authority.n && authority.p[0] == '[') {
        const char *bracket = memchr(authority.p, ']', authority.n);
        if (!bracket || !literal_valid((struct eio_str){authority.p + 1, (size_t)(bracket - authority.p) - 1}))
            return false;
        port = bracket + 1;
        if (port < end && *port != ':') return false;
    } else {
        const char *colon = authority.n ? memchr(authority.p, ':', authority.n) : NULL;
        port = colon ? colon : end;
        if (colon == authority.p && colon) return false; /* a port without a host */
        if (!name_valid((struct eio_str){authority.p, (size_t)(port - authority.p)})) return false;
    }
    return port == end || port_valid((struct eio_str){port + 1, (size_t)(end - port) - 1});
}
