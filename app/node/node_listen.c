#include "node_listen.h"

#include "kit_log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is being opened. */
struct opening {
    struct node_listeners *listeners;
    const struct kit_config *config;
    char *error;
    size_t error_size;
};

static int fail_listen(const struct opening *opening, const struct kit_listen *listen, const char *why)
{
    if (listen->path[0])
        snprintf(opening->error, opening->error_size, "cannot listen on unix:%s: %s", listen->path, why);
    else
        snprintf(opening->error, opening->error_size, "cannot listen on %s port %u: %s", listen->host, listen->port,
                 why);
    return EIO_ESYS;
}

static void close_keeping_errno(int fd)
{
    int saved = errno;
    close(fd);
    errno = saved;
}

/* -------------------------------------------------------------------- TCP */

static int read_address(struct node_listener *listener)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;
    const char *host = strcmp(listener->listen.host, "localhost") == 0 ? "127.0.0.1" : listener->listen.host;
    char port[8];
    snprintf(port, sizeof port, "%u", listener->listen.port);
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        errno = EINVAL;
        return EIO_EINVAL;
    }
    memcpy(&listener->address, found->ai_addr, found->ai_addrlen);
    listener->address_size = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int bind_port(const struct node_listener *listener, bool shared)
{
    int on = 1, fd = socket(listener->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    /* In a list both families may have the port, each its own. */
    if (listener->listen.is_v6_only) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    /* Accepted sockets inherit it. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&listener->address, listener->address_size) == 0) return fd;
    close_keeping_errno(fd);
    return -1;
}

/* Sharing the port must not hide that somebody else has it: so it is asked for without sharing first. */
static bool is_free(const struct node_listener *listener)
{
    int alone = bind_port(listener, false);
    if (alone < 0) return false;
    bool has_it = listen(alone, 1) == 0;
    close_keeping_errno(alone);
    return has_it;
}

static int open_port(struct node_listener *listener, const struct kit_config *config)
{
    bool has_workers = config->workers > 1, shared = config->io.http.reuse_port || has_workers;
    if (read_address(listener)) return EIO_EINVAL;
    if (has_workers && !config->io.http.reuse_port && !is_free(listener)) return EIO_ESYS;
    listener->fd = bind_port(listener, shared);
    if (listener->fd < 0) return EIO_ESYS;
    socklen_t size = sizeof listener->address;
    if (getsockname(listener->fd, (struct sockaddr *)&listener->address, &size) != 0) return EIO_ESYS;
    bool is_v4 = listener->address.ss_family == AF_INET;
    listener->listen.port = ntohs(is_v4 ? ((struct sockaddr_in *)(void *)&listener->address)->sin_port
                                        : ((struct sockaddr_in6 *)(void *)&listener->address)->sin6_port);
    /* Who finds the port taken learns it now, not when clients do not come. */
    return has_workers || listen(listener->fd, config->io.http.backlog) == 0 ? 0 : EIO_ESYS;
}

/* ------------------------------------------------------------------- UNIX */

/* A file of a server that was killed is in the way, one of a server that runs is not ours to remove. */
static bool remove_stale(const struct sockaddr_un *address)
{
    struct stat info;
    if (lstat(address->sun_path, &info) != 0) return errno == ENOENT;
    if (!S_ISSOCK(info.st_mode)) {
        errno = EEXIST;
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    bool is_dead = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (is_dead) return unlink(address->sun_path) == 0;
    errno = EADDRINUSE;
    return false;
}

/* "USER", "USER:GROUP", ":GROUP", by name or number. */
static int read_owner(const char *text, uid_t *user, gid_t *group)
{
    char name[64], *end;
    size_t n = strcspn(text, ":");
    *user = (uid_t)-1;
    *group = (gid_t)-1;
    if (n >= sizeof name) return EIO_EINVAL;
    memcpy(name, text, n);
    name[n] = 0;
    const struct passwd *entry = n ? getpwnam(name) : NULL;
    if (entry) *user = entry->pw_uid;
    if (n && !entry) {
        *user = (uid_t)strtoul(name, &end, 10);
        if (*end) return EIO_EINVAL;
    }
    if (!text[n] || !text[n + 1]) return 0;
    const struct group *named = getgrnam(text + n + 1);
    if (named) {
        *group = named->gr_gid;
        return 0;
    }
    *group = (gid_t)strtoul(text + n + 1, &end, 10);
    return *end ? EIO_EINVAL : 0;
}

static int dress(const struct sockaddr_un *address, const struct kit_config *config)
{
    uid_t user;
    gid_t group;
    mode_t mode = (mode_t)strtoul(config->unix_socket_mode, NULL, 8);
    if (read_owner(config->unix_socket_owner, &user, &group)) {
        errno = EINVAL;
        return EIO_EINVAL;
    }
    bool has_owner = user != (uid_t)-1 || group != (gid_t)-1;
    if (has_owner && chown(address->sun_path, user, group) != 0) return EIO_ESYS;
    return chmod(address->sun_path, mode) == 0 ? 0 : EIO_ESYS;
}

static int open_path(struct node_listener *listener, const struct kit_config *config)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, listener->listen.path, sizeof address.sun_path);
    listener->is_shared = true;
    if (!remove_stale(&address)) return EIO_ESYS;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* Until it is dressed nobody else may use it: the process' umask sees to that. */
    if (listener->fd < 0 || bind(listener->fd, (const struct sockaddr *)&address, sizeof address) != 0) return EIO_ESYS;
    if (lstat(address.sun_path, &listener->file) != 0 || dress(&address, config) != 0) return EIO_ESYS;
    return listen(listener->fd, config->io.http.backlog) == 0 ? 0 : EIO_ESYS;
}

/* --------------------------------------------------------------- inherited */

static bool is_listening(int fd)
{
    int type = 0, listens = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return false;
    size = sizeof listens;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
}

static int read_inherited(struct node_listener *listener)
{
    struct sockaddr_storage *address = &listener->address;
    socklen_t size = sizeof *address;
    char port[8];
    if (!is_listening(listener->fd) || getsockname(listener->fd, (struct sockaddr *)address, &size) != 0)
        return EIO_EINVAL;
    listener->address_size = size;
    if (address->ss_family == AF_UNIX) {
        const struct sockaddr_un *name = (const struct sockaddr_un *)(const void *)address;
        size_t n = size > offsetof(struct sockaddr_un, sun_path) ? size - offsetof(struct sockaddr_un, sun_path) : 0;
        memcpy(listener->listen.path, name->sun_path, n);
        if (!listener->listen.path[0]) listener->listen.path[0] = '@';
        return 0;
    }
    if (getnameinfo((const struct sockaddr *)address, size, listener->listen.host, sizeof listener->listen.host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return EIO_EINVAL;
    listener->listen.port = (uint16_t)strtoul(port, NULL, 10);
    return 0;
}

/* Returns how many there are at that door, or a negative code. */
static int take_inherited(const struct opening *opening, enum kit_door door)
{
    struct node_listeners *listeners = opening->listeners;
    const struct kit_config *config = opening->config;
    bool has_key = config->jwt_secret[0] || config->jwt_key_file[0];
    int taken = 0;
    for (size_t i = 0; i < kit_listen_inherited(); i++) {
        if (kit_listen_inherited_door(i) != door) continue;
        int fd = KIT_LISTEN_FIRST_FD + (int)i;
        struct node_listener *listener = &listeners->list[listeners->count];
        *listener = (struct node_listener){.door = door, .fd = fd, .is_shared = true};
        if (read_inherited(listener)) {
            snprintf(opening->error, opening->error_size, "descriptor %d of LISTEN_FDS is not a listening socket", fd);
            return EIO_EINVAL;
        }
        listener->listen.is_proxied = kit_listen_inherited_is_proxied(i);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        listeners->count++;
        taken++;
        if (has_key || listener->listen.path[0] || kit_listen_is_loopback(listener->listen.host)) continue;
        snprintf(opening->error, opening->error_size,
                 "option jwt_key_file is required: the inherited socket %s port %u is not on loopback",
                 listener->listen.host, listener->listen.port);
        return EIO_EINVAL;
    }
    return taken;
}

/* ----------------------------------------------------------------- opening */

static int open_one(const struct opening *opening, const struct kit_listen *listen, enum kit_door door)
{
    struct node_listeners *listeners = opening->listeners;
    struct node_listener *listener = &listeners->list[listeners->count];
    if (listeners->count == KIT_LISTENERS_MAX) return fail_listen(opening, listen, "too many listeners");
    *listener = (struct node_listener){.listen = *listen, .door = door, .fd = -1};
    int failed = listen->path[0] ? open_path(listener, opening->config) : open_port(listener, opening->config);
    if (failed) fail_listen(opening, listen, strerror(errno));
    listeners->count++; /* so that it is closed */
    return failed;
}

static int open_list(const struct opening *opening, const char *list, enum kit_door door)
{
    struct kit_listen listen;
    int failed = 0;
    while (!failed && kit_listen_next(&list, &listen) > 0) failed = open_one(opening, &listen, door);
    return failed;
}

int node_listeners_open(struct node_listeners *listeners, const struct kit_config *config, char *error,
                        size_t error_size)
{
    const struct opening opening = {listeners, config, error, error_size};
    struct kit_listen only = {.port = (uint16_t)config->port};
    listeners->count = 0;
    int taken = take_inherited(&opening, KIT_DOOR_PUBLIC);
    if (taken < 0) return taken;
    snprintf(only.host, sizeof only.host, "%s", config->host);
    int failed = taken               ? 0
                 : config->listen[0] ? open_list(&opening, config->listen, KIT_DOOR_PUBLIC)
                                     : open_one(&opening, &only, KIT_DOOR_PUBLIC);
    if (failed) return failed;
    taken = take_inherited(&opening, KIT_DOOR_OPERATOR);
    if (taken < 0) return taken;
    return taken ? 0 : open_list(&opening, config->operator_listen, KIT_DOOR_OPERATOR);
}

int node_listener_for_worker(const struct node_listener *listener)
{
    return listener->is_shared ? fcntl(listener->fd, F_DUPFD_CLOEXEC, 0) : bind_port(listener, true);
}

struct eio_http_listener node_listener_kind(const struct node_listener *listener, int fd)
{
    return (struct eio_http_listener){.take_fd = fd,
                                      .door = (uint8_t)listener->door,
                                      .plain = listener->listen.is_plain,
                                      .proxied = listener->listen.is_proxied};
}

static void announce(const struct node_listener *listener, const struct kit_config *config)
{
    const struct kit_listen *listen = &listener->listen;
    const char *scheme = config->tls_cert[0] && !listen->is_plain ? "https" : "http";
    bool is_ipv6 = strchr(listen->host, ':') != NULL, is_public = listener->door == KIT_DOOR_PUBLIC;
    char url[160];
    if (listen->path[0])
        snprintf(url, sizeof url, "unix:%s", listen->path);
    else
        snprintf(url, sizeof url, "%s://%s%s%s:%u/", scheme, is_ipv6 ? "[" : "", listen->host, is_ipv6 ? "]" : "",
                 listen->port);
    if (config->workers > 1)
        kit_log(EIO_LOG_INFO, "listening", "url", url, "version", PARLEY_VERSION, "data", config->data, "for",
                is_public ? "clients" : "operators", "workers", kit_number(config->workers).text, NULL);
    else
        kit_log(EIO_LOG_INFO, "listening", "url", url, "version", PARLEY_VERSION, "data", config->data, "for",
                is_public ? "clients" : "operators", NULL);
    printf("Parley %s listens %son %s\n", PARLEY_VERSION, is_public ? "" : "for operators ", url);
}

void node_listeners_announce(const struct node_listeners *listeners, const struct kit_config *config)
{
    for (size_t i = 0; i < listeners->count; i++) announce(&listeners->list[i], config);
    fflush(stdout);
}

void node_listeners_close(struct node_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->list[i].fd >= 0) close(listeners->list[i].fd);
        listeners->list[i].fd = -1;
    }
}

void node_listeners_remove_files(const struct node_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        const struct node_listener *listener = &listeners->list[i];
        struct stat info;
        bool is_ours = listener->file.st_ino && lstat(listener->listen.path, &info) == 0 &&
                       info.st_ino == listener->file.st_ino && info.st_dev == listener->file.st_dev;
        if (is_ours) unlink(listener->listen.path);
    }
}
