/* The client's address behind trusted proxies. Only what a trusted proxy has added may be believed: the list is read
 * from its right end, where our own proxy writes, and a client can put what it likes only further left. */
#include "eio_address.h"

#include "eio_codec.h"
#include "eio_text.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* Who comes by a UNIX socket has no address; as one stands the unspecified, from which nothing comes. */
static const char unix_name[] = "unix";

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void set_v4(struct eio__address *out, const void *v4)
{
    memcpy(out->bytes, mapped_prefix, sizeof mapped_prefix);
    memcpy(out->bytes + 12, v4, 4);
}

static bool is_v4(const struct eio__address *address)
{
    return memcmp(address->bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

/* A number of at most three digits, or -1. */
static int number(struct eio_str s)
{
    int value = 0;
    if (s.n == 0 || s.n > 3) return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return -1;
        value = value * 10 + (s.p[i] - '0');
    }
    return value;
}

/* Takes the port away: it does not identify the client. */
static bool strip_port(struct eio_str *text)
{
    if (text->n && text->p[0] == '[') {
        const char *end = memchr(text->p, ']', text->n);
        if (!end) return false;
        *text = (struct eio_str){text->p + 1, (size_t)(end - text->p) - 1};
        return true;
    }
    const char *colon = memchr(text->p, ':', text->n);
    bool only_one = colon && !memchr(colon + 1, ':', text->n - (size_t)(colon + 1 - text->p));
    if (only_one) text->n = (size_t)(colon - text->p);
    return true;
}

bool eio__address_parse(struct eio_str text, struct eio__address *out)
{
    text = eio__trim(text);
    char copy[INET6_ADDRSTRLEN];
    uint8_t v4[4];
    if (eio_str_is(text, unix_name)) {
        memset(out, 0, sizeof *out);
        return true;
    }
    if (text.n == 0 || !strip_port(&text) || text.n >= sizeof copy) return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (strlen(copy) != text.n) return false;
    if (inet_pton(AF_INET, copy, v4) == 1) {
        set_v4(out, v4);
        return true;
    }
    return inet_pton(AF_INET6, copy, out->bytes) == 1;
}

void eio__address_of(const struct sockaddr *from, struct eio__address *out)
{
    memset(out, 0, sizeof *out);
    if (from && from->sa_family == AF_INET)
        set_v4(out, &((const struct sockaddr_in *)(const void *)from)->sin_addr);
    else if (from && from->sa_family == AF_INET6)
        memcpy(out->bytes, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, sizeof out->bytes);
}

bool eio__address_is_unix(const struct eio__address *address)
{
    static const struct eio__address zero;
    return memcmp(address, &zero, sizeof zero) == 0;
}

void eio__address_print(const struct eio__address *address, char out[46])
{
    if (eio__address_is_unix(address)) {
        memcpy(out, unix_name, sizeof unix_name);
        return;
    }
    if (!is_v4(address)) {
        inet_ntop(AF_INET6, address->bytes, out, 46);
        return;
    }
    for (size_t i = 12; i < 16; i++) { /* with each request: inet_ntop() prints with sprintf() */
        out = base_put_decimal(out, address->bytes[i]);
        *out++ = i < 15 ? '.' : '\0';
    }
}

/* ----------------------------------------------------------------- proxies */

static bool parse_network(struct eio_str text, struct eio__network *out)
{
    const char *slash = memchr(text.p, '/', text.n);
    struct eio_str address = {text.p, slash ? (size_t)(slash - text.p) : text.n};
    if (!eio__address_parse(address, &out->address)) return false;
    int max = memchr(address.p, ':', address.n) ? 128 : 32;
    int bits = max;
    if (slash) bits = number(eio__trim((struct eio_str){slash + 1, text.n - address.n - 1}));
    if (bits < 0 || bits > max) return false;
    out->bits = (uint8_t)(bits + 128 - max);
    return true;
}

int eio__proxies_init(struct eio__proxies *proxies, const char *list)
{
    *proxies = (struct eio__proxies){NULL, 0};
    while (list && *list) {
        size_t n = strcspn(list, ",");
        struct eio_str part = eio__trim((struct eio_str){list, n});
        list += n + (list[n] ? 1 : 0);
        if (part.n == 0) continue;
        struct eio__network *grown = realloc(proxies->networks, (proxies->count + 1) * sizeof *grown);
        if (!grown) {
            eio__proxies_clear(proxies);
            return EIO_ENOMEM;
        }
        proxies->networks = grown;
        if (!parse_network(part, &grown[proxies->count])) {
            eio__proxies_clear(proxies);
            return EIO_EINVAL;
        }
        proxies->count++;
    }
    return 0;
}

bool eio_trusted_proxies_are_valid(const char *list)
{
    struct eio__proxies proxies;
    if (eio__proxies_init(&proxies, list) != 0) return false;
    eio__proxies_clear(&proxies);
    return true;
}

void eio__proxies_clear(struct eio__proxies *proxies)
{
    free(proxies->networks);
    *proxies = (struct eio__proxies){NULL, 0};
}

static bool contains(const struct eio__network *network, const struct eio__address *address)
{
    size_t whole = network->bits / 8, left = network->bits % 8;
    if (memcmp(network->address.bytes, address->bytes, whole) != 0) return false;
    if (left == 0) return true;
    uint8_t mask = (uint8_t)(0xff00u >> left);
    return ((network->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

bool eio__proxies_trust(const struct eio__proxies *proxies, const struct eio__address *address)
{
    for (size_t i = 0; i < proxies->count; i++)
        if (contains(&proxies->networks[i], address)) return true;
    return false;
}

/* --------------------------------------------------------------- forwarded */

/* Takes the rightmost element of a comma-separated list. */
static bool last_element(struct eio_str *list, struct eio_str *element)
{
    if (list->n == 0) return false;
    const char *comma = memrchr(list->p, ',', list->n);
    size_t start = comma ? (size_t)(comma + 1 - list->p) : 0;
    *element = eio__trim((struct eio_str){list->p + start, list->n - start});
    list->n = comma ? start - 1 : 0;
    return true;
}

/* Returns false when the walk is over: an untrusted address, or one that cannot be read. */
static bool walk_left(const struct eio__proxies *proxies, struct eio_str list, struct eio__address *client)
{
    struct eio_str element;
    while (last_element(&list, &element)) {
        if (!eio__address_parse(element, client)) return false;
        if (!eio__proxies_trust(proxies, client)) return false;
    }
    return true;
}

static bool proto_is_secure(struct eio_str list)
{
    struct eio_str last;
    if (!last_element(&list, &last)) return false;
    return (last.n == 5 && strncasecmp(last.p, "https", 5) == 0) || (last.n == 3 && strncasecmp(last.p, "wss", 3) == 0);
}

void eio__address_resolve(const struct eio__proxies *proxies, const struct eio__address *peer,
                          struct eio_http_head *head)
{
    struct eio__address client = *peer;
    struct eio_str name, value;
    bool proto_seen = false, more = true;
    if (proxies->count && eio__proxies_trust(proxies, peer)) {
        for (size_t i = head->field_count; i-- > 0;) {
            eio_http_head_field_at(head, i, &name, &value);
            if (more && eio_str_is(name, "x-forwarded-for")) more = walk_left(proxies, value, &client);
            if (!proto_seen && eio_str_is(name, "x-forwarded-proto")) {
                head->secure = proto_is_secure(value);
                proto_seen = true;
            }
        }
    }
    eio__address_print(&client, eio__http_head_address(head));
}
