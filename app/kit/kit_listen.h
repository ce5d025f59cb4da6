/* Where the server listens: the texts of `listen` and `operator_listen`, and the names of sockets that a service
 * manager hands over. Binding is node_listen.c's. */
#ifndef KIT_LISTEN_H
#define KIT_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

/* Doors of the HTTP server (struct eio_http_listener). */
enum kit_door { KIT_DOOR_PUBLIC, KIT_DOOR_OPERATOR };

#define KIT_LISTENERS_MAX 16 /* of one process, all doors together */

/* "127.0.0.1:3000", "[::]:3000", "localhost:0", "unix:/run/parley.sock"; behind it words: "plain", "proxy". */
struct kit_listen {
    char host[46];
    uint16_t port;
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* "": TCP */
    bool is_plain;                                        /* no TLS, even if there is a certificate */
    bool is_v6_only;
    bool is_proxied; /* behind a proxy that speaks the PROXY protocol */
};
/* The next item of a list with commas; *rest is advanced. Returns 1, 0 at the end, EIO_EINVAL. */
int kit_listen_next(const char **rest, struct kit_listen *out);
/* NULL, or what is allowed: for rows of options. */
const char *kit_listen_check(const char *list);
bool kit_listen_is_loopback(const char *host);

struct kit_config;
/* The number of sockets that the service manager hands over (LISTEN_FDS, LISTEN_PID), from descriptor 3 on. */
#define KIT_LISTEN_FIRST_FD 3
size_t kit_listen_inherited(void);
/* At which door the i-th of them is: the one whose name (LISTEN_FDNAMES) is "operator" at the operators'. */
enum kit_door kit_listen_inherited_door(size_t i);
/* Whether it is behind a proxy: whose name is "proxy". */
bool kit_listen_inherited_is_proxied(size_t i);
/* Whether operators have a door of their own. */
bool kit_listen_has_operators(const struct kit_config *config);

#endif
