/* Who a request or a connection is for. Pure. */
#include "base_authority.h"

#include <arpa/inet.h>
#include <string.h>

enum { PORT_MAX = 65535, IPV6_CHARS_MAX = 45 };

static bool is_unreserved(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

/* unreserved / sub-delims */
static bool is_name_char(char c)
{
    return is_unreserved(c) || (c && strchr("!$&'()*+,;=", c));
}

static bool name_valid(struct base_str name)
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

static bool port_valid(struct base_str port)
{
    unsigned long number = 0;
    for (size_t i = 0; i < port.n; i++) {
        if (port.p[i] < '0' || port.p[i] > '9') return false;
        number = number * 10 + (unsigned long)(port.p[i] - '0');
        if (number > PORT_MAX) return false;
    }
    return true;
}

/* Also of an empty one. */
static bool is_zero(struct base_str port)
{
    size_t i = 0;
    while (i < port.n && port.p[i] == '0') i++;
    return i == port.n;
}

/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */
static bool future_valid(struct base_str text)
{
    size_t i = 1;
    while (i < text.n && base_hex_value(text.p[i]) >= 0) i++;
    if (i == 1 || i + 1 >= text.n || text.p[i] != '.') return false;
    while (++i < text.n)
        if (!is_name_char(text.p[i]) && text.p[i] != ':') return false;
    return true;
}

static bool ipv6_valid(struct base_str text)
{
    char address[IPV6_CHARS_MAX + 1];
    struct in6_addr parsed;
    if (text.n > IPV6_CHARS_MAX || memchr(text.p, '\0', text.n)) return false;
    memcpy(address, text.p, text.n);
    address[text.n] = '\0';
    return inet_pton(AF_INET6, address, &parsed) == 1;
}

/* What is between the brackets. */
static bool literal_valid(struct base_str text)
{
    return text.n && (text.p[0] | 0x20) == 'v' ? future_valid(text) : ipv6_valid(text);
}

/* Cuts it in two: what is before the port, and what is behind the colon. Returns false if it cannot be one. */
static bool cut_port(struct base_str authority, struct base_str *host, struct base_str *port, bool *has_port)
{
    const char *end = authority.p + authority.n, *colon;
    if (authority.n && authority.p[0] == '[') {
        const char *bracket = memchr(authority.p, ']', authority.n);
        if (!bracket || (bracket + 1 < end && bracket[1] != ':')) return false;
        colon = bracket + 1;
    } else {
        colon = authority.n ? memchr(authority.p, ':', authority.n) : NULL;
        if (!colon) colon = end;
    }
    *host = (struct base_str){authority.p, (size_t)(colon - authority.p)};
    *has_port = colon != end;
    *port = *has_port ? (struct base_str){colon + 1, (size_t)(end - colon) - 1} : (struct base_str){NULL, 0};
    return true;
}

static bool is_literal(struct base_str host)
{
    return host.n && host.p[0] == '[';
}

static struct base_str unbracketed(struct base_str host)
{
    return (struct base_str){host.p + 1, host.n - 2};
}

bool base_authority_is_valid(struct base_str authority)
{
    struct base_str host, port;
    bool has_port;
    if (!cut_port(authority, &host, &port, &has_port)) return false;
    if (has_port && (host.n == 0 || !port_valid(port))) return false; /* a port needs a host */
    return is_literal(host) ? literal_valid(unbracketed(host)) : name_valid(host);
}

bool base_host_is_name_or_address(struct base_str host)
{
    if (host.n && memchr(host.p, ':', host.n)) {
        const char *zone = memchr(host.p, '%', host.n);
        if (zone && zone + 1 == host.p + host.n) return false;
        return ipv6_valid((struct base_str){host.p, zone ? (size_t)(zone - host.p) : host.n});
    }
    for (size_t i = 0; i < host.n; i++)
        if (!is_unreserved(host.p[i])) return false;
    return host.n > 0;
}

bool base_authority_is_endpoint(struct base_str authority)
{
    struct base_str host, port;
    bool has_port;
    if (!cut_port(authority, &host, &port, &has_port)) return false;
    if (has_port && (!port_valid(port) || is_zero(port))) return false;
    if (!is_literal(host)) return base_host_is_name_or_address(host);
    host = unbracketed(host);
    return host.n && memchr(host.p, ':', host.n) && base_host_is_name_or_address(host);
}
