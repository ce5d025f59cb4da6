#include "kit_listen.h"

#include "kit_config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_word(const char *text, size_t n, const char *word)
{
    return n == strlen(word) && !memcmp(text, word, n);
}

static int read_unix(const char *text, size_t n, struct kit_listen *out)
{
    if (n < 2 || n >= sizeof out->path || text[0] != '/') return EIO_EINVAL;
    memcpy(out->path, text, n);
    return 0;
}

static int read_port(const char *text, size_t n, uint16_t *port)
{
    uint32_t value = 0;
    if (n == 0 || n > 5) return EIO_EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') return EIO_EINVAL;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    if (value > UINT16_MAX) return EIO_EINVAL;
    *port = (uint16_t)value;
    return 0;
}

/* IPv6 stands in brackets, so that its colons are not the port's. */
static int read_tcp(const char *text, size_t n, struct kit_listen *out)
{
    unsigned char address[sizeof(struct in6_addr)];
    const char *colon = memrchr(text, ':', n), *end = text + n;
    if (!colon) return EIO_EINVAL;
    size_t size = (size_t)(colon - text);
    bool is_v6 = size > 2 && text[0] == '[' && colon[-1] == ']';
    out->is_v6_only = is_v6;
    if (is_v6) text++, size -= 2;
    if (size == 0 || size >= sizeof out->host) return EIO_EINVAL;
    memcpy(out->host, text, size);
    bool is_known = is_v6 ? inet_pton(AF_INET6, out->host, address) == 1
                          : !strcmp(out->host, "localhost") || inet_pton(AF_INET, out->host, address) == 1;
    return is_known ? read_port(colon + 1, (size_t)(end - colon) - 1, &out->port) : EIO_EINVAL;
}

static int read_words(const char *text, const char *end, struct kit_listen *out)
{
    while (text < end) {
        size_t n = 0;
        while (text + n < end && text[n] != ' ') n++;
        if (is_word(text, n, "plain"))
            out->is_plain = true;
        else if (is_word(text, n, "proxy"))
            out->is_proxied = true;
        else if (n)
            return EIO_EINVAL;
        text += n + 1;
    }
    return 0;
}

int kit_listen_next(const char **rest, struct kit_listen *out)
{
    static const char unix_scheme[] = "unix:";
    const char *text = *rest + strspn(*rest, " ");
    memset(out, 0, sizeof *out);
    if (!*text) return 0;
    size_t size = strcspn(text, ","), n = strcspn(text, " ,");
    const char *end = text + size;
    *rest = *end ? end + 1 : end;
    if (*end && !end[1 + strspn(end + 1, " ")]) return EIO_EINVAL; /* a comma behind the last */
    size_t scheme = sizeof unix_scheme - 1;
    bool is_unix = n > scheme && !memcmp(text, unix_scheme, scheme);
    int failed = is_unix ? read_unix(text + scheme, n - scheme, out) : read_tcp(text, n, out);
    if (!failed) failed = read_words(text + n, end, out);
    return failed ? failed : 1;
}

const char *kit_listen_check(const char *list)
{
    struct kit_listen one;
    size_t count = 0;
    int got;
    while ((got = kit_listen_next(&list, &one)) > 0) count++;
    return got == 0 && count > 0 && count <= KIT_LISTENERS_MAX / 2
               ? NULL
               : "up to 8 of ADDRESS:PORT, [IPV6]:PORT and unix:/PATH with commas between, each perhaps with the "
                 "words plain and proxy behind";
}

bool kit_listen_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &v6) != 1) return !strcmp(host, "localhost");
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

/* -------------------------------------------------------------- inherited */

size_t kit_listen_inherited(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    char *end;
    if (!pid || !count || strtol(pid, &end, 10) != (long)getpid() || *end) return 0;
    unsigned long n = strtoul(count, &end, 10);
    return *end || end == count || n > KIT_LISTENERS_MAX ? 0 : n;
}

static bool is_named(size_t i, const char *wanted)
{
    const char *name = getenv("LISTEN_FDNAMES");
    while (name && i--) name = (name = strchr(name, ':')) ? name + 1 : NULL;
    return name && is_word(name, strcspn(name, ":"), wanted);
}

enum kit_door kit_listen_inherited_door(size_t i)
{
    return is_named(i, "operator") ? KIT_DOOR_OPERATOR : KIT_DOOR_PUBLIC;
}

bool kit_listen_inherited_is_proxied(size_t i)
{
    return is_named(i, "proxy");
}

bool kit_listen_has_operators(const struct kit_config *config)
{
    for (size_t i = 0; i < kit_listen_inherited(); i++)
        if (kit_listen_inherited_door(i) == KIT_DOOR_OPERATOR) return true;
    return config->operator_listen[0] != 0;
}
