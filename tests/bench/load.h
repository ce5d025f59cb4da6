/* The load generator: what its files share. One thread, one epoll; a client speaks Engine.IO 4 and Socket.IO 5 over a
 * raw WebSocket or long-polling. Whatever a server does wrong ends the run: a figure counts only if every delivery
 * that was due has arrived, in order and byte by byte. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { LOAD_NODES_MAX = 8 };

struct load_options {
    const char *scenario;
    /* The nodes of one cluster: clients take turns, the publisher is at the first. */
    int ports[LOAD_NODES_MAX];
    unsigned port_count;
    pid_t pids[LOAD_NODES_MAX]; /* of the servers, whose processor time is measured */
    unsigned pid_count;
    unsigned rooms; /* elsewhere: rooms that have members, but at the last node only */
    unsigned clients;
    unsigned in_flight;             /* echo: acks awaited per client; broadcast: publishes sent at a time */
    unsigned rate;                  /* paced: publishes a second */
    const char *token, *feed_token; /* call: of an agent and of a feed; NULL: the server knows no tokens */
    double seconds, warmup_seconds;
    bool tls, recovery; /* recovery: events end in an offset */
    bool polling;
};

enum client_state {
    CLIENT_IDLE,
    CLIENT_CONNECTING, /* TCP */
    CLIENT_HANDSHAKE,  /* HTTP answer awaited */
    CLIENT_OPEN,       /* Engine.IO open packet awaited */
    CLIENT_NAMESPACE,  /* Socket.IO CONNECT answer awaited */
    CLIENT_JOINING,    /* ack of call:subscribe awaited */
    CLIENT_READY,
    CLIENT_CLOSING, /* close frame sent, end of stream awaited */
};

/* A TCP connection. A client has one over WebSocket, two over polling: [0] for GET, [1] for POST. */
struct conn {
    struct client *client;
    int fd; /* -1: none */
    bool connected;
    struct ssl_st *ssl; /* NULL: plain */
    uint8_t *rest;      /* an incomplete frame or response */
    size_t rest_size;
};

struct client {
    struct load *load;
    struct conn conn[2];
    enum client_state state;
    int port;
    uint32_t sent, received; /* acks or publishes, counted by the scenario */
    char sid[64];            /* polling */
    bool joins;              /* subscribes to the call before it is ready */
    bool feeds;              /* is in the namespace /feed */
    bool post_pending, ack_pending, pong_due;
};

/* Callbacks may be NULL but for on_packet. */
struct scenario {
    const char *name, *unit;
    void (*run)(struct load *load);
    void (*on_ready)(struct client *client);
    /* A Socket.IO packet for a client that is ready. */
    void (*on_packet)(struct client *client, const char *p, size_t n);
    void (*on_read)(struct client *client); /* all packets of one read have been handled */
    void (*on_posted)(struct client *client);
    void (*on_closed)(struct client *client);
};

/* Latencies from 1 µs in steps of 1 %. */
enum { HISTOGRAM_SLOTS = 2000 };
struct histogram {
    uint64_t counts[HISTOGRAM_SLOTS];
    uint64_t total;
};

struct load {
    struct load_options options;
    const struct scenario *scenario;
    int epoll_fd;
    struct client *clients;
    unsigned client_count;
    unsigned ready, opening;
    uint64_t done, due; /* what the scenario counts */
    bool stopping;
    double started_at, cpu_at_start[LOAD_NODES_MAX], own_cpu_at_start;
    struct histogram latency;
    uint32_t source; /* the last source address given out */
};

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* load_client.c */
/* Returns when all clients are ready, subscribed to the call if they `join`. */
void load_open_all(struct load *load, bool join);
void client_open(struct client *client);
void client_send_text(struct client *client, const char *p, size_t n); /* at most 1000 bytes */
void client_drop(struct client *client);                               /* closes its connections without a word */
void client_close(struct client *client); /* WebSocket close handshake; scenario->on_closed follows */
/* Appends a masked text frame to `out` and returns its size; out has room for n + 8 bytes. */
size_t frame_put(uint8_t *out, const char *p, size_t n);
/* The size of the first of the frames that it has put there. */
size_t frame_sent_size(const uint8_t *p, size_t n);
void conn_send(struct conn *conn, const void *p, size_t n);
void client_poll(struct client *client);
void client_post(struct client *client, const char *body, size_t n);
/* Handles what has arrived; waits for at most timeout_ms. */
void load_turn(struct load *load, int timeout_ms);

/* load_wire.c */
/* What a server sent in one WebSocket frame. Returns bytes consumed, or 0 if it is incomplete. */
struct frame {
    int opcode;
    const char *p;
    size_t n;
};
size_t frame_get(struct frame *frame, const uint8_t *p, size_t n);
struct response {
    const char *body;
    size_t n;
    int status;
    bool accepted; /* has the right Sec-WebSocket-Accept */
};
size_t response_get(struct response *response, const uint8_t *p, size_t n);
#define LOAD_KEY "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455, section 1.3: its answer is known */
#define LOAD_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* load_tls.c */
enum tls_wants { TLS_NOTHING, TLS_TO_READ, TLS_TO_WRITE };
void tls_start(struct conn *conn);
void tls_end(struct conn *conn);
/* Goes on with the handshake; nothing is wanted when it is done. */
enum tls_wants tls_shake(struct conn *conn);
/* As send() and recv(). */
ssize_t tls_send(struct conn *conn, const void *p, size_t n);
ssize_t tls_recv(struct conn *conn, uint8_t *p, size_t size);

/* load_measure.c */
double now_s(void);
/* Of all servers. */
double server_cpu_s(const struct load *load);
uint64_t server_private_bytes(const struct load *load);
void measure_start(struct load *load);
/* Prints the line of results; count: what was done since measure_start. */
void measure_print(const struct load *load, uint64_t count, const char *extra);
void histogram_reset(struct histogram *histogram);
void histogram_add(struct histogram *histogram, double seconds);
double histogram_quantile_ms(const struct histogram *histogram, double quantile);

/* load_scenarios.c */
const struct scenario *scenario_find(const char *name);

#endif
