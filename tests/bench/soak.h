/* The soak tool: what its files share. Thousands of clients on one epoll do what clients do, for minutes, and some do
 * what they must not. Good clients are strict: a wrong, missing or late answer, a delivery out of order or a connection
 * that the server closed ends the run with an error. Bad ones are not listened to. */
#ifndef SOAK_H
#define SOAK_H

#include "load.h"

#include <sys/types.h>

struct soak_options {
    int port;
    pid_t pid;
    unsigned clients; /* good and bad */
    double bad_share; /* 0.01 */
    double seconds;
    double pause_s;    /* mean time between two things that a client does */
    double lifetime_s; /* mean time until a client goes and comes back */
    double patience_s; /* for an answer */
    double tolerance;  /* by how much memory may grow from the second minute to the last */
    bool hold;         /* at the end: wait until the server ends what is connected */
};

/* A connection of anybody. */
struct soak_conn {
    struct soak_conn_owner *owner;
    int fd; /* -1: none */
    bool connected;
    bool deaf;     /* is not read */
    uint8_t index; /* among its owner's */
    uint8_t *rest; /* what is not yet whole */
    size_t rest_size;
};

/* Good and bad clients begin with it. */
struct soak_conn_owner {
    const struct soak_conn_ops *ops;
};
struct soak_conn_ops {
    void (*on_connected)(struct soak_conn *conn);
    /* Returns how much was used; the rest comes again with more. May close the connection. */
    size_t (*on_bytes)(struct soak_conn *conn, const uint8_t *p, size_t n);
    void (*on_end)(struct soak_conn *conn); /* closed by the peer; conn is closed already */
};

/* ------------------------------------------------------------ good clients */

enum soak_kind { SOAK_WEBSOCKET, SOAK_POLLING, SOAK_UPGRADE, SOAK_KINDS };
enum soak_state { SOAK_AWAY, SOAK_OPENING, SOAK_NAMESPACE, SOAK_READY, SOAK_LEAVING };
enum soak_upgrade { SOAK_NO_UPGRADE, SOAK_PROBING, SOAK_PROBED }; /* probed: waits for the poll to return */
enum soak_op {
    SOAK_NOTHING,
    SOAK_ECHO,
    SOAK_BINARY,
    SOAK_JOIN,
    SOAK_LEAVE,
    SOAK_PUSH,
    SOAK_ASK,
    SOAK_PUBLISH,
    SOAK_OPS
};
enum { SOAK_NO_ROOM = -1, SOAK_PUSHES = 3, SOAK_CONNS = 3 };

struct soak_client {
    struct soak_conn_owner owner;
    struct soak_conn conn[SOAK_CONNS]; /* WebSocket; or GET, POST; [2] is the WebSocket of an upgrade */
    unsigned index;
    uint8_t kind, state, upgrade, op;
    bool polling;  /* now */
    bool got_poll; /* the open packet has come by the first poll */
    bool poll_pending, post_pending, pong_due, binary_due;
    bool upgrade_soon;        /* an upgrade is to be tried when nothing is under way */
    struct soak_conn *socket; /* of the WebSocket, when not polling */
    char sid[32], soon[64];
    size_t soon_size;
    double next_at, leave_at, op_at; /* op_at: when the last thing began that is waited for */
    uint32_t op_id, op_size;
    int pushed;
    /* The room: which messages are due. */
    int room;
    bool joined;                   /* the server has said so */
    uint32_t first_min, first_max; /* bounds of the first delivery */
    uint32_t last;                 /* received; 0: none yet */
    uint32_t due;                  /* at the time of leaving */
};

struct soak_room {
    uint32_t sent, acked;
};

struct soak {
    struct soak_options options;
    int epoll_fd;
    uint32_t source;
    struct soak_client *clients;
    unsigned client_count, room_count;
    struct soak_room *rooms;
    struct bad_client *bad;
    unsigned bad_count;
    unsigned ready, opening;
    bool stopping; /* nothing new is begun */
    double now;    /* read once a turn */
    struct histogram latency;
    double latency_max_s;
    uint64_t ops[SOAK_OPS], deliveries, sessions[SOAK_KINDS], upgrades, bad_sessions;
};

extern struct soak soak;

/* soak_conn.c */
void soak_conn_open(struct soak_conn *conn);
void soak_conn_close(struct soak_conn *conn);
/* Ends it with a RST. */
void soak_conn_reset(struct soak_conn *conn);
/* Sends all, or the run is over. */
void soak_conn_send(struct soak_conn *conn, const void *p, size_t n);
/* Sends what the socket takes; returns how much. */
size_t soak_conn_try(struct soak_conn *conn, const void *p, size_t n);
/* false: what comes stays with the kernel. */
void soak_conn_listen(struct soak_conn *conn, bool listen);
void soak_turn(int timeout_ms);
uint32_t soak_random(uint32_t below);
/* Around mean, from a half to one and a half. */
double soak_about(double mean);

/* soak_client.c: transports */
void soak_client_init(struct soak_client *client, unsigned index);
void soak_client_open(struct soak_client *client);
/* Says goodbye, in one way or another. */
void soak_client_leave(struct soak_client *client);
void soak_client_send(struct soak_client *client, const char *packet, size_t n);
/* The same, when the POST that is on its way is answered: small. */
void soak_client_send_soon(struct soak_client *client, const char *packet, size_t n);
void soak_client_send_binary(struct soak_client *client, const uint8_t *p, size_t n);
/* What is due by the clock. */
void soak_client_tick(struct soak_client *client);
_Noreturn void soak_fail(const struct soak_client *client, const char *why, const char *p, size_t n);

/* soak_room.c: what clients do, and what must come of it */
void soak_do_something(struct soak_client *client);
void soak_begin(struct soak_client *client, enum soak_op op);
void soak_on_packet(struct soak_client *client, const char *p, size_t n); /* without the leading '4' */
void soak_on_binary(struct soak_client *client, const char *p, size_t n);
/* True when a client has all that it should have got. */
bool soak_is_settled(const struct soak_client *client);

/* soak_bad.c */
void soak_bad_init(void);
void soak_bad_tick(void);
void soak_bad_end(void); /* all go */
void soak_bad_print(void);
#endif
