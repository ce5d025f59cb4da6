/* The conformance server: one program on the public API with the behaviours (profiles) that independent protocol
 * suites expect. What each profile must do is written down beside its code; tests/conformance/reference.mjs is the same
 * on Node's socket.io. */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <adminui.h>
#include <cluster.h>
#include <socketio.h>

/* The command line. */
struct conformance_options {
    const char *profile, *host, *name;
    const char *cookie, *cors, *initial_packet; /* NULL: none */
    const char *tls_cert, *tls_key;             /* NULL: plain; SIGHUP reads them anew */
    const char *tls_ticket_keys;
    const char *redis, *adapter; /* NULL: one node. URL; classic, sharded or streams */
    const char *postgresql;      /* URL, instead of Redis */
    const char *redis_sentinels, *redis_ca, *redis_cert, *redis_key; /* as rooms_redis_options has them */
    uint16_t port;
    enum sio_parser parser;
    /* Instead of the profile's own; 0: the profile's. */
    uint32_t ping_interval_ms, ping_timeout_ms, max_payload_bytes, max_buffered_chunks, body_timeout_ms;
    uint32_t connect_timeout_ms, allow_eio3, deflate;
    uint32_t request_timeout_ms;  /* until other nodes have answered, 2 s if it is 0 */
    uint32_t redis_cluster;       /* Redis is a cluster */
    uint32_t cleanup_interval_ms; /* of attachments in PostgreSQL */
    uint32_t across;              /* sessions across nodes, through Redis */
    uint32_t recovery;            /* connection state recovery, with its defaults */
    uint32_t stats;               /* SIGUSR1 and the end print a line of figures */
};

struct app_received;
void app_received_free(struct app_received *received); /* accepts NULL */

/* What a profile starts from and leaves behind: one of `io` and `engine` is set by its open(). */
struct conformance {
    const struct conformance_options *options;
    struct eio_loop *loop;
    struct sio_server *io;
    struct rooms_redis *redis; /* NULL: one node */
    struct rooms_postgresql *postgresql;
    struct sio_tunnels *tunnels; /* --across */
    uint8_t machine[EIO_MACHINE_BYTES];
    struct app_received *received; /* profiles app and cluster */
    struct adminui *adminui;       /* profiles admin and admin-ro */
    struct eio_http *http;
    struct eio_server *engine;
    struct eio_timer drain_tick; /* Engine.IO profiles, after SIGTERM */
    uint64_t drain_until_ms;
};

struct conformance_profile {
    const char *name;
    /* Makes the server, ready to listen. Returns 0 or a negative enum eio_error. */
    int (*open)(struct conformance *conformance);
};

extern const struct conformance_profile conformance_eio_proto, conformance_ws_echo; /* profile_eio.c */
extern const struct conformance_profile conformance_sio_proto;                      /* profile_sio.c */
extern const struct conformance_profile conformance_sio_client;                     /* profile_sio_client.c */
extern const struct conformance_profile conformance_eio_client;                     /* profile_eio_client.c */
extern const struct conformance_profile conformance_app;                            /* profile_app.c */
extern const struct conformance_profile conformance_cluster;                        /* profile_app.c */
extern const struct conformance_profile conformance_admin, conformance_admin_ro;    /* profile_admin.c */
extern const struct conformance_profile conformance_bench;                          /* profile_bench.c */

/* profile_app.c: what profile app opens, for those that add to it. */
int conformance_open_app(struct conformance *conformance);

/* nodes.c: what makes the adapter the command line asks for; NULL: there is none of that name. */
rooms_adapter_factory conformance_adapter(const struct conformance_options *options);
/* With --redis or --postgresql: connects, and puts the adapter into the options. Returns 0 or EIO_EINVAL. */
int conformance_open_nodes(struct conformance *conformance, struct sio_options *options);
/* Nobody is told READY before the node hears the others; but a server that is away is not waited for long. */
void conformance_await_nodes(struct conformance *conformance);
/* With --across, when the server is there: takes and sends connections for sessions of other nodes. */
int conformance_open_tunnels(struct conformance *conformance);

/* Puts the command line's numbers over the profile's. */
void conformance_override_engine(const struct conformance_options *options, struct eio_options *engine);
void conformance_set_tls(const struct conformance_options *options, struct eio_http_options *http);
/* Makes conformance->io from the profile's options, the command line's numbers put over them. */
int conformance_open_socketio(struct conformance *conformance, struct sio_options *options);

#endif
