/* Sockets and their clients: from a message that came to a packet of a socket, admission, recovery. Private to this
 * library. */
#ifndef SIO_SOCKET_H
#define SIO_SOCKET_H

#include "base_check.h"
#include "sio_codec.h"

#include <string.h>

struct sio__hook;
struct sio__waiting;

#define SIO__NO_ENDING UINT32_MAX /* it ends with another socket of its client */

enum {
    SIO__ID_BYTES = 15,              /* random bytes of a socket's id */
    SIO__ID_SIZE = 20,               /* their base64url */
    SIO__V2_ID_SIZE_MAX = 255,       /* what an index of rooms takes */
    SIO__RECOVERY_EXPIRY_MS = 10000, /* how often logs and sessions are looked through for what is too old */
    SIO__NAME_INLINE = 128,          /* bytes of a decoded event name, without memory of its own */
    /* Of a msgpack packet, in which they are inline: as many as placeholders can number. */
    SIO__MSGPACK_ATTACHMENTS_MAX = 65535,
};

/* ------------------------------------------------------------------ socket */

enum sio__state {
    SIO__S_FREE,      /* the place in a client is not in use */
    SIO__S_ADMISSION, /* in middleware */
    SIO__S_CONNECTED,
    SIO__S_ENDING,  /* as good as gone: it ends in a slice of a disconnect of many (sio_socket_ending.c) */
    SIO__S_LEAVING, /* on_disconnecting and what follows is running */
    SIO__S_GONE,    /* to be freed at the end of the turn */
};

struct sio__auth {
    size_t size;
    char json[];
};

struct sio_socket {
    /* What a broadcast touches stands first. */
    struct rooms_member member;
    struct eio_session *session;
    uint8_t state;      /* enum sio__state, set by sio__socket_set_state() only */
    bool has_exception; /* the open batch knows something of it */
    bool is_embedded;   /* lives in its client's memory */
    uint32_t slot;      /* in nsp->sockets, while connected */
    struct sio_namespace *nsp;
    struct sio_client *client;
    struct sio_socket *next;      /* of its client; of the graveyard */
    struct sio__waiting *waiting; /* for answers of this socket */
    struct sio_admission *admission;
    struct sio__recovery *recovery; /* NULL: the namespace has none */
    struct sio__auth *auth;         /* NULL: {} */
    json_t *data;                   /* NULL: not used yet */
    void *user;
    char *long_id; /* a Socket.IO 2 client's "/name#id", or NULL: id is it */
    uint32_t waiting_count;
    uint32_t ending; /* in the server's list, in SIO__S_ENDING; SIO__NO_ENDING */
    struct eio_rate event_rate;
    char id[SIO__ID_SIZE + 1];
};
static inline struct rooms_name sio__socket_name(const struct sio_socket *socket)
{
    if (!socket->long_id) return (struct rooms_name){socket->id, SIO__ID_SIZE};
    return (struct rooms_name){socket->long_id, strlen(socket->long_id)};
}
static inline struct sio_socket *sio__socket_of(const struct rooms_member *member)
{
    return container_of(member, struct sio_socket, member);
}
void sio__socket_set_state(struct sio_socket *socket, enum sio__state state, const char *why);
/* A socket in admission; NULL: out of memory. */
struct sio_socket *sio__socket_new(struct sio_client *client, struct sio_namespace *nsp, struct eio_str auth);
/* Enters it, answers, tells the handlers. */
void sio__socket_enter(struct sio_socket *socket);
/* Takes it out of everything and tells the handlers, if it was connected. Nothing is sent. */
void sio__socket_end(struct sio_socket *socket, const char *reason);
/* Tells the client first. */
void sio__socket_disconnect(struct sio_socket *socket);
/* Frees what is in the graveyard. */
void sio__graveyard_sweep(struct sio_server *io);

/* ------------------------------------------------------------------ parser */

struct sio__prepared;

/* How packets stand in Engine.IO messages: one for all of a server, by its options. */
struct sio__parser {
    /* A message came. Packets that are complete go to sio__client_packet(), mistakes to sio__client_parse_error(). */
    void (*receive)(struct sio_client *client, enum eio_kind kind, const uint8_t *p, size_t n);
    /* Writes a packet without attachments into the memory of the client's session. */
    int (*send)(struct sio_client *client, const struct sio__outgoing *packet);
    /* Adds the frames of a packet with prepared->args, and sets prepared->json if it is an event. */
    int (*encode)(const struct sio__parser *self, struct sio__prepared *prepared, const struct sio__outgoing *packet);
    /* No more messages are taken from the client: what waits for more goes. */
    void (*forget)(struct sio_client *client);
    /* The application's, if it has one of its own (sio_parser_own.c). */
    const struct sio_parser_ops *ops;
    void *ctx;
};
extern const struct sio__parser sio__parser_default, sio__parser_msgpack, sio__parser_own;

/* ------------------------------------------------------------------ client */

/* A binary packet that waits for its attachments. */
struct sio__pending;

/* A client has to join a namespace by then. */
struct sio__connecting {
    struct eio_deadline deadline;
    struct sio_client *client;
};

/* One per Engine.IO session. */
struct sio_client {
    struct sio_socket first; /* the place of its first socket */
    struct sio_server *io;
    struct eio_session *session; /* NULL: on_close was called */
    struct sio_socket *sockets;
    struct sio_client *next_dead; /* of the graveyard */
    union {                       /* what waits for more messages: the parser's */
        struct sio__pending *pending;
        void *parser_state;
    };
    struct sio_admission *admissions;   /* that will have to be answered, superseded ones too */
    struct sio__connecting *connecting; /* no socket was connected yet; else NULL */
    uint16_t socket_count;
    uint16_t admission_count; /* and questions */
    bool closing;             /* no more packets are taken from it */
    bool ending;              /* nor from this one: it will be closed, in a slice of a disconnect of many */
};
void sio__client_open(struct sio_server *io, struct eio_session *session);
/* The server shuts down. */
void sio__client_drain(struct sio_client *client);
void sio__client_closed(struct sio_client *client, enum eio_close_reason reason);
/* Ends its sockets and closes the session once what is queued is sent. */
void sio__client_close(struct sio_client *client, const char *socket_reason, enum eio_close_reason reason,
                       const char *detail);
/* No more packets are taken from it, and its sockets end; the session is over, or is closed by who calls. */
void sio__client_stop(struct sio_client *client, const char *socket_reason);
/* Sends a packet without attachments at once; what a batch holds for it goes first. */
int sio__client_send(struct sio_client *client, const struct sio__outgoing *packet);
static inline struct sio_socket *sio__client_socket(const struct sio_client *client, const struct sio_namespace *nsp)
{
    struct sio_socket *socket = client->sockets;
    while (socket && socket->nsp != nsp) socket = socket->next;
    return socket;
}
/* The namespace is found, or NULL if absent. */
void sio__client_join(struct sio_client *client, struct sio_namespace *nsp, struct eio_str name, struct eio_str auth);
void sio__client_on_connect_timeout(struct eio_deadline *due, void *ctx);

/* Clients of Socket.IO 2. */
static inline bool sio__client_is_v2(const struct sio_client *client)
{
    return client->session && eio_session_protocol(client->session) == 3;
}
/* "<namespace>#<session's id>", in the root the session's id. */
int sio__v2_set_id(struct sio_socket *socket);
/* The query as a JSON object. */
void sio__v2_put_auth(struct eio_str query, struct sio_builder *auth);
/* As JavaScript's `data || message`. */
bool sio__v2_error_is_data(const char *data_json);

/* The parser's results: whole packets with their arguments, of which `packet` only knows the text; and malformed ones,
 * for which the client is closed. */
void sio__client_packet(struct sio_client *client, const struct sio__packet *packet, const struct sio_args *args);
void sio__client_parse_error(struct sio_client *client, const char *why);
/* The same, and counts the limit that was hit. */
void sio__client_too_big(struct sio_client *client, enum sio_limit limit, const char *why);

/* Takes a binary packet without its attachments; p is its text, which is copied. */
int sio__pending_begin(struct sio_client *client, const struct sio__packet *packet, const uint8_t *p, size_t n);
/* Takes an attachment. 1: it was the last; 0; negative: too much. */
int sio__pending_add(struct sio_client *client, const uint8_t *p, size_t n);
const struct sio__packet *sio__pending_packet(const struct sio__pending *pending);
/* The arguments of the whole packet, its placeholders in order of appearance. 0 or negative. */
int sio__pending_finish(struct sio__pending *pending, struct sio_args *args);
void sio__pending_free(struct sio__pending *pending);

/* -------------------------------------------------------------- middleware */

struct sio_admission {
    struct sio_server *io;
    struct sio_admission *prev, *next; /* of all that are not answered */
    struct sio_client *client;         /* NULL: it is gone */
    struct sio_admission *client_prev, *client_next;
    struct sio_socket *socket; /* NULL: gone or superseded */
    struct sio__hook *hook;    /* the middleware that is asked */
    bool own;                  /* it is the namespace's own, not its parent's */
    bool running;              /* within that middleware's call */
    bool passed, refused;      /* said within that call */
};
/* Starts with the first middleware. The socket may be connected, refused or gone when it returns. */
void sio__admission_start(struct sio_socket *socket);
/* The socket goes: the answer will be without effect. */
static inline void sio__admission_forget_socket(struct sio_socket *socket)
{
    if (socket->admission) socket->admission->socket = NULL;
    socket->admission = NULL;
}
void sio__admission_forget_client(struct sio_client *client);
void sio__admissions_free(struct sio_server *io);

/* ---------------------------------------------------------------- recovery */

/* What a socket can be recovered by, and a question to the adapter that is not answered yet. */
struct sio__asked {
    struct sio_socket *socket; /* NULL: it is gone */
    struct sio_namespace *nsp;
    void (*admit)(struct sio_socket *socket);
};
struct sio__recovery {
    struct sio_socket *socket;
    struct sio__asked *asked;
    bool recovered;
    uint64_t connected_ms; /* or since when nothing is held back any more: how young what it was sent may be */
    struct sio_hold *first_hold, *last_hold;
    struct sio__recovery *prev_held, *next_held; /* of the namespace; only with holds */
    char pid[SIO__ID_SIZE + 1];
    char offset[ROOMS_OFFSET_SIZE]; /* of the log when it connected; recovered: from where on it is replayed */
};
/* Of struct rooms_local; ctx: the namespace. */
void sio__recovery_evict(void *ctx, struct rooms_name pid);
/* A socket in admission: recovers it if it asks for that and may be, then `admit` asks the middleware, unless that is
 * skipped. */
void sio__recovery_start(struct sio_socket *socket, void (*admit)(struct sio_socket *socket));
/* Admission is over: sends what a recovered one missed, then sio__socket_enter(), perhaps later. */
void sio__recovery_connect(struct sio_socket *socket);
/* Makes a pid (NULL: a new one) the socket's. 0 or EIO_ENOMEM. */
int sio__recovery_set_pid(struct sio__recovery *recovery, const char *pid);
/* Whose pid it is, or NULL. */
struct sio__recovery *sio__recovery_find(const struct sio_namespace *nsp, const char *pid);
/* Where its replay would begin. */
void sio__recovery_set_offset(struct sio__recovery *recovery, struct rooms_name offset);
struct rooms_name sio__recovery_offset(const struct sio__recovery *recovery);
/* Before it leaves its rooms: saves it if it may come back. */
void sio__recovery_save(struct sio_socket *socket, const char *reason);
void sio__recovery_free(struct sio_socket *socket);
/* Before it is freed; and before it is saved. */
void sio__holds_end(struct sio__recovery *recovery);
/* What logged events reach the socket with instead of their own, or NULL: nothing is held back. "": none. */
const char *sio__hold_offset(const struct sio_socket *socket);
/* Whether something may be held back from a member of the room; NULL: from anybody. */
bool sio__holds_any(const struct sio_namespace *nsp, const struct rooms_room *room);
/* An interval for all namespaces. */
void sio__recovery_on_expiry(void *ctx);

#endif
