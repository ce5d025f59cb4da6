/* Addresses out of URLs. Pure. */
#include "base_authority.h"
#include "rooms_redis_conn.h"

#include <stdio.h>
#include <stdlib.h>

struct part {
    const char *p;
    size_t n;
};

/* A copy with %xx decoded. */
static int decode(struct part part, char **out, const char **why)
{
    char *text = malloc(part.n + 1);
    size_t used = 0;
    if (!text) return ROOMS_ENOMEM;
    for (size_t i = 0; i < part.n; i++) {
        char c = part.p[i];
        if (c == '%') {
            int high = part.n - i > 2 ? base_hex_value(part.p[i + 1]) : -1,
                low = high < 0 ? -1 : base_hex_value(part.p[i + 2]);
            if (low < 0 || high * 16 + low == 0) {
                *why = "invalid percent-encoding";
                free(text);
                return ROOMS_EINVAL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        text[used++] = c;
    }
    text[used] = '\0';
    *out = text;
    return ROOMS_OK;
}

static bool read_number(struct part part, uint32_t max, uint32_t *value)
{
    uint64_t sum = 0;
    if (part.n < 1 || part.n > 9) return false;
    for (size_t i = 0; i < part.n; i++) {
        if (part.p[i] < '0' || part.p[i] > '9') return false;
        sum = sum * 10 + (uint64_t)(part.p[i] - '0');
    }
    *value = (uint32_t)sum;
    return sum <= max;
}

/* Cuts the part at its first `c`: it keeps what precedes it, and *rest gets what follows. Returns false if there is
 * none. */
static bool cut(struct part *part, char c, struct part *after)
{
    const char *at = part->n ? memchr(part->p, c, part->n) : NULL;
    if (!at) return false;
    *after = (struct part){at + 1, (size_t)(part->p + part->n - at) - 1};
    part->n = (size_t)(at - part->p);
    return true;
}

static int credentials(struct rooms__redis_address *address, struct part part, const char **why)
{
    struct part password;
    if (!cut(&part, ':', &password)) {
        *why = "a user is given without a password (write :password@ for a password alone)";
        return ROOMS_EINVAL;
    }
    if (part.n) {
        int error = decode(part, &address->user, why);
        if (error) return error;
    }
    return decode(password, &address->password, why);
}

static int host_and_port(struct rooms__redis_address *address, struct part part, const char **why)
{
    struct part port = {NULL, 0}, rest;
    bool brackets = part.n && part.p[0] == '[', has_port;
    if (brackets) {
        part.p++, part.n--;
        if (!cut(&part, ']', &rest) || (rest.n && rest.p[0] != ':')) {
            *why = "the brackets around the host do not match";
            return ROOMS_EINVAL;
        }
        has_port = rest.n > 0;
        if (has_port) port = (struct part){rest.p + 1, rest.n - 1};
    } else {
        has_port = cut(&part, ':', &port);
    }
    uint32_t value = 6379;
    if (has_port && (!read_number(port, 65535, &value) || value == 0)) {
        *why = "the port is not a number from 1 to 65535";
        return ROOMS_EINVAL;
    }
    if (part.n == 0 || part.n > 255) {
        *why = "the host is missing";
        return ROOMS_EINVAL;
    }
    struct base_str host = {part.p, part.n};
    if (!base_host_is_name_or_address(host) || brackets != (memchr(part.p, ':', part.n) != NULL)) {
        *why = "the host is not a name or an address, or an IPv6 address without brackets";
        return ROOMS_EINVAL;
    }
    address->port = (uint16_t)value;
    address->host = strndup(part.p, part.n);
    if (!address->host) return ROOMS_ENOMEM;
    size_t size = part.n + sizeof "[]:65535";
    address->text = malloc(size);
    if (!address->text) return ROOMS_ENOMEM;
    snprintf(address->text, size, brackets ? "[%s]:%u" : "%s:%u", address->host, value);
    return ROOMS_OK;
}

static int address_parse(struct rooms__redis_address *address, struct part url, const char **why)
{
    static const char scheme[] = "redis://", tls[] = "rediss://";
    struct part rest, database = {NULL, 0};
    address->tls = url.n >= sizeof tls - 1 && memcmp(url.p, tls, sizeof tls - 1) == 0;
    size_t size = address->tls ? sizeof tls - 1 : sizeof scheme - 1;
    if (!address->tls && (url.n < size || memcmp(url.p, scheme, size) != 0)) {
        *why = "it starts with neither redis:// nor rediss://";
        return ROOMS_EINVAL;
    }
    url.p += size, url.n -= size;
    cut(&url, '/', &database);
    if (database.n && !read_number(database, UINT32_MAX, &address->database)) {
        *why = "the database is not a number";
        return ROOMS_EINVAL;
    }
    if (cut(&url, '@', &rest)) {
        int error = credentials(address, url, why);
        if (error) return error;
        url = rest;
    }
    return host_and_port(address, url, why);
}

int rooms__redis_addresses_parse(struct rooms__redis_addresses *addresses, const char *url, const char **why)
{
    struct part rest = {url, strlen(url)};
    *addresses = (struct rooms__redis_addresses){calloc(ROOMS__ADDRESSES_MAX, sizeof *addresses->list), 0};
    int error = addresses->list ? ROOMS_OK : ROOMS_ENOMEM;
    for (bool more = true; more && error == ROOMS_OK;) {
        struct part one = rest;
        more = cut(&one, ',', &rest);
        if (addresses->count == ROOMS__ADDRESSES_MAX) {
            *why = "more than 16 addresses";
            error = ROOMS_EINVAL;
        } else {
            error = address_parse(&addresses->list[addresses->count++], one, why);
            if (!error && addresses->list[addresses->count - 1].tls != addresses->list[0].tls) {
                *why = "redis:// and rediss:// are mixed";
                error = ROOMS_EINVAL;
            }
        }
    }
    if (error == ROOMS_ENOMEM) *why = "out of memory";
    if (error) rooms__redis_addresses_clear(addresses);
    return error;
}

void rooms__redis_addresses_clear(struct rooms__redis_addresses *addresses)
{
    for (size_t i = 0; i < addresses->count; i++) {
        free(addresses->list[i].host);
        free(addresses->list[i].user);
        free(addresses->list[i].password);
        free(addresses->list[i].text);
    }
    free(addresses->list);
    *addresses = (struct rooms__redis_addresses){NULL, 0};
}

bool rooms_redis_url_is_valid(const char *url, const char **why)
{
    struct rooms__redis_addresses addresses;
    if (rooms__redis_addresses_parse(&addresses, url, why)) return false;
    rooms__redis_addresses_clear(&addresses);
    return true;
}
