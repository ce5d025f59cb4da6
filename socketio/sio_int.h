/* The structs and functions that the files of socketio share. Private to this library.
 *
 * Reading order: sio_server.c (the pieces put together), sio_client.c and sio_pending.c (a connection and its packets),
 * sio_parser_default.c, sio_parser_msgpack.c and sio_parser_own.c (how these are written), sio_namespace.c and
 * sio_handlers.c (who handles what), sio_socket.c and sio_middleware.c (a client in a namespace), sio_v2.c (what is
 * different for those of Socket.IO 2), sio_target.c, sio_emit.c and sio_outgoing.c (what is sent to whom),
 * sio_deliver.c and sio_batch.c (how it gets there), sio_recovery.c (clients that come back), sio_ack.c, sio_gather.c
 * and sio_survey.c (answers), sio_target_ops.c (the rest that is done by target), sio_assets.c (the client's files). */
#ifndef SIO_INT_H
#define SIO_INT_H

#include "base_check.h"
#include "base_table.h"
#include "sio_codec.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIO__ID_BYTES = 15,           /* random bytes of a socket's id */
    SIO__ID_SIZE = 20,            /* their base64url */
    SIO__V2_ID_SIZE_MAX = 255,    /* what an index of rooms takes */
    SIO__RANDOM_POOL_BYTES = 960, /* random bytes fetched at once */
    SIO__BATCH_EXCEPTIONS_MAX = 16,
    SIO__BATCH_BYTES_MAX = 131072,   /* more than that is handed to the sessions before the turn ends */
    SIO__FRAMES_INLINE = 4,          /* of a prepared message, without memory of its own */
    SIO__SURVEY_LINGER_MS = 1000,    /* an adapter's answers may come this late after a survey's timeout */
    SIO__RECOVERY_EXPIRY_MS = 10000, /* how often logs and sessions are looked through for what is too old */
    SIO__NAME_INLINE = 128,          /* bytes of a decoded event name, without memory of its own */
    /* Of a msgpack packet, in which they are inline: as many as placeholders can number. */
    SIO__MSGPACK_ATTACHMENTS_MAX = 65535,
};

/* FNV-1a, for tables whose keys no client chooses. */
uint32_t sio__hash(const void *p, size_t n);

/* ---------------------------------------------------------------- handlers */

/* One registered function. A list may grow, and lose some, while it is walked: what was taken off is freed at the end
 * of the turn, and its function is NULL. */
struct sio__hook {
    struct sio__hook *next, *next_dead;
    union {
        sio_event_fn event;
        sio_socket_fn socket;
        sio_disconnect_fn disconnect;
        sio_middleware_fn middleware;
        sio_packet_middleware_fn packet;
        sio_recover_fn recover;
        sio_outgoing_fn outgoing;
        sio_room_fn room;
        void (*nsp)(struct sio_namespace *nsp, void *ctx);
    } fn;
    void *ctx;
};
struct sio__hooks {
    struct sio__hook *first, *last;
};
/* Handlers by event name. */
struct sio__events {
    struct base_table by_name; /* of lists */
};
/* Everything that is registered on a namespace. */
struct sio__behaviour {
    struct sio__events events, server_events;
    struct sio__hooks any, connection, disconnecting, disconnect, dismissed, middleware, packet, recover, outgoing,
        room;
};
void sio__hooks_clear(struct sio__hooks *hooks);
/* As sio__hooks_add, before the others. */
struct sio__hook *sio__hooks_prepend(struct sio__hooks *hooks, void *ctx);
/* Takes hooks off: the first of that function and ctx, or all (fn NULL); gives them to the dead. How many. */
size_t sio__hooks_off(struct sio__hooks *hooks, sio_event_fn fn, void *ctx, struct sio__hook **dead);
/* Frees the dead. */
void sio__hooks_sweep(struct sio__hook **dead);
/* The list of that event, or NULL. */
struct sio__hooks *sio__events_hooks(const struct sio__events *events, struct eio_str name);
/* Appends and returns a hook whose function is to be set, or NULL. */
struct sio__hook *sio__hooks_add(struct sio__hooks *hooks, void *ctx);
struct sio__hook *sio__events_add(struct sio__events *events, struct eio_str name, void *ctx);
/* The first hook for that name, or NULL. */
struct sio__hook *sio__events_find(const struct sio__events *events, struct eio_str name);
void sio__behaviour_clear(struct sio__behaviour *behaviour);

/* --------------------------------------------------------------- namespace */

struct sio_namespace {
    struct sio_server *io;
    /* Of the server's namespaces, or of its parents, in order of creation. */
    struct sio_namespace *prev, *next;
    struct sio_namespace *next_empty; /* that may have to go at the end of the turn */
    bool is_listed;                   /* there */
    uint64_t empty_ms;                /* since when nobody is in it */
    struct sio_namespace *parent;     /* whose behaviour comes before its own, or NULL */
    struct sio__behaviour behaviour;
    struct rooms_index *index;     /* NULL: this is a parent */
    struct rooms_adapter *adapter; /* NULL: this is a parent */
    struct sio_socket **sockets;   /* the connected ones, dense; sockets[i]->slot == i */
    uint32_t socket_count, socket_capacity;
    uint64_t next_ack_id;
    bool has_long_ids;                             /* Socket.IO 2 clients were here */
    bool recovers;                                 /* recovery is on and the adapter can */
    struct base_table pids;                        /* struct sio__recovery; only if it recovers */
    bool (*match)(struct eio_str name, void *ctx); /* parents only; or decide */
    sio_question_fn decide;
    void *match_ctx;
    size_t name_size;
    char name[]; /* terminated */
};
/* The namespace of that name, or NULL. */
struct sio_namespace *sio__namespace_find(const struct sio_server *io, struct eio_str name);
/* A child of that name. NULL: there are too many, or out of memory. */
struct sio_namespace *sio__namespace_make(struct sio_namespace *parent, struct eio_str name);
/* The namespace of that name, made if a parent that matches accepts it; NULL: there is none. */
struct sio_namespace *sio__namespace_for_client(struct sio_server *io, struct eio_str name);
void sio__namespaces_free(struct sio_server *io);
/* Somebody was refused or has left: it may have to go. */
void sio__namespace_left(struct sio_namespace *nsp);
/* The end of a turn; and now and then, for those kept for recovery. */
void sio__namespaces_cleanup(struct sio_server *io);
/* Enters and takes out a connected socket. */
int sio__namespace_enter(struct sio_namespace *nsp, struct sio_socket *socket);
void sio__namespace_leave(struct sio_namespace *nsp, struct sio_socket *socket);
/* Gives the event to the handlers: those of the parent first. */
void sio__namespace_dispatch(const struct sio_namespace *nsp, const struct sio_event *event);
/* What the adapter calls (rooms_local). */
void sio__namespace_fill_local(struct sio_namespace *nsp, struct rooms_local *local);
/* True if the name is one that no event may have. */
bool sio__name_is_reserved(struct eio_str name);

/* ------------------------------------------------------------------ socket */

enum sio__state {
    SIO__S_FREE,      /* the place in a client is not in use */
    SIO__S_ADMISSION, /* in middleware */
    SIO__S_CONNECTED,
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
/* Admission is over: sends what a recovered one missed, and enters it. */
void sio__socket_connect(struct sio_socket *socket);
/* Enters it, answers, tells the handlers. */
void sio__socket_enter(struct sio_socket *socket);
/* Takes it out of everything and tells the handlers, if it was connected. Nothing is sent. */
void sio__socket_end(struct sio_socket *socket, const char *reason);
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
    struct sio_admission *admissions; /* that will have to be answered, superseded ones too */
    struct eio_deadline connect;
    uint16_t socket_count;
    uint16_t admission_count; /* and questions */
    bool closing;             /* no more packets are taken from it */
};
void sio__client_open(struct sio_server *io, struct eio_session *session);
void sio__client_message(struct sio_client *client, enum eio_kind kind, const uint8_t *p, size_t n);
void sio__client_closed(struct sio_client *client, enum eio_close_reason reason);
/* Ends its sockets and closes the session once what is queued is sent. */
void sio__client_close(struct sio_client *client, const char *socket_reason, enum eio_close_reason reason,
                       const char *detail);
/* Sends a packet without attachments at once; what a batch holds for it goes first. */
int sio__client_send(struct sio_client *client, const struct sio__outgoing *packet);
struct sio_socket *sio__client_socket(const struct sio_client *client, const struct sio_namespace *nsp);
/* The namespace is found, or NULL: there is none. */
void sio__client_join(struct sio_client *client, struct sio_namespace *nsp, struct eio_str name, struct eio_str auth);
void sio__client_on_connect_timeout(struct eio_deadline *due, void *ctx);

/* Clients of Socket.IO 2. */
bool sio__client_is_v2(const struct sio_client *client);
/* "<namespace>#<session's id>", in the root the session's id. */
int sio__v2_set_id(struct sio_socket *socket);
/* The query as a JSON object. */
void sio__v2_put_auth(struct eio_str query, struct sio_builder *auth);
/* As JavaScript's `data || message`. */
bool sio__v2_error_is_data(const char *data_json);

/* A whole packet: of what `packet` says only type, id and nsp hold for it. */
struct sio__payload {
    struct eio_str name; /* as it stands */
    struct sio_args args;
};
/* What the parser found: checked packets, and what was none, for which the client is closed. */
void sio__client_packet(struct sio_client *client, const struct sio__packet *packet,
                        const struct sio__payload *payload);
void sio__client_parse_error(struct sio_client *client, const char *why);
/* The same, and counts the limit that was hit. */
void sio__client_too_big(struct sio_client *client, enum sio_limit limit, const char *why);

/* Takes a binary packet without its attachments; p is its text, which is copied. */
int sio__pending_begin(struct sio_client *client, const struct sio__packet *packet, const uint8_t *p, size_t n);
/* Takes an attachment. 1: it was the last; 0; negative: too much. */
int sio__pending_add(struct sio_client *client, const uint8_t *p, size_t n);
const struct sio__packet *sio__pending_packet(const struct sio__pending *pending);
/* The whole packet, its placeholders in order of appearance. 0 or negative. */
int sio__pending_finish(struct sio__pending *pending, struct sio__payload *payload);
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
void sio__admission_forget_socket(struct sio_socket *socket);
void sio__admission_forget_client(struct sio_client *client);
void sio__admissions_free(struct sio_server *io);

/* --------------------------------------------------------------- questions */

/* A client asks for a namespace that is not there: parents decide one after the other (sio_question.c). */
struct sio_question {
    struct sio_server *io;            /* whose table finds it by its client, which has no list: few ever ask */
    struct sio_question *prev, *next; /* of all that are not answered */
    struct sio_client *client;        /* NULL: it is gone */
    struct sio_namespace *parent;     /* that is asked */
    bool running;                     /* within its function */
    bool answered, allowed;           /* within that */
    bool superseded;                  /* the client asked again */
    size_t name_size, auth_size;
    char text[]; /* name, then auth */
};
/* Asks the parents; the client is in the namespace, or refused, now or later. */
void sio__question_start(struct sio_client *client, struct eio_str name, struct eio_str auth);
void sio__question_supersede(struct sio_client *client, struct eio_str name);
void sio__question_forget_client(struct sio_client *client);
void sio__questions_free(struct sio_server *io);

/* ---------------------------------------------------------------- recovery */

/* What a socket can be recovered by, and a question to the adapter that is not answered yet. */
struct sio__asked;
struct sio__recovery {
    struct sio_socket *socket;
    struct sio__asked *asked;
    bool recovered;
    uint64_t connected_ms;
    char pid[SIO__ID_SIZE + 1];
    char offset[ROOMS_OFFSET_SIZE]; /* of the log when it connected; recovered: from where on it is replayed */
};
/* Of struct rooms_local; ctx: the namespace. */
void sio__recovery_evict(void *ctx, struct rooms_name pid);
/* A socket in admission: recovers it if it asks for that and may be, then starts the middleware. */
void sio__recovery_start(struct sio_socket *socket);
/* Sends what it missed, then sio__socket_enter(), perhaps later. */
void sio__recovery_replay(struct sio_socket *socket);
/* Before it leaves its rooms: saves it if it may come back. */
void sio__recovery_save(struct sio_socket *socket, const char *reason);
void sio__recovery_free(struct sio_socket *socket);
/* True if an event without an offset would be misunderstood: clients take text at its end for one. */
bool sio__recovery_ends_with_text(struct sio_args args);
/* An interval for all namespaces. */
void sio__recovery_on_expiry(void *ctx);

/* ------------------------------------------------------------------- sending */

/* A packet encoded in frames. */
struct sio__prepared {
    struct eio_frame **frames; /* frames_inline or heap */
    size_t count;
    size_t bytes;
    struct rooms_bytes json; /* of an event: the array ["name",…] */
    struct sio_args args;    /* with the attachments in order */
    void *memory;            /* what args points into, if not the caller's */
    void *json_memory;       /* what json points into, if not the first frame */
    uint64_t id;
    struct eio_frame *frames_inline[SIO__FRAMES_INLINE];
};
/* Encodes; of `packet` all but json and attachment_count is used. On failure there is nothing to clear. */
int sio__prepare(struct sio__prepared *prepared, const struct sio__parser *parser, const struct sio__outgoing *packet,
                 struct sio_args args);
/* For parsers: appends a frame; at most one, and one for each attachment. */
int sio__prepared_add(struct sio__prepared *prepared, enum eio_kind kind, size_t size, uint8_t **out);
/* An event that another node sent; id NULL: without. */
int sio__prepare_foreign(struct sio__prepared *prepared, const struct sio_namespace *nsp,
                         const struct rooms_message *message, const uint64_t *id);
void sio__prepared_clear(struct sio__prepared *prepared);
/* The socket that waits for a reply, or NULL: it is gone, or a server waits. */
struct sio_socket *sio__reply_socket(const struct sio_reply *reply);
/* Before it is sent. */
void sio__prepared_set_compress(struct sio__prepared *prepared, bool compress);
/* Sends to one session: a volatile one all of it or nothing. */
int sio__prepared_send(const struct sio__prepared *prepared, struct eio_session *session, bool is_volatile);
/* As the adapter carries it; borrowed. */
struct rooms_message sio__prepared_message(struct sio__prepared *prepared);
/* The arguments in an adapter's array, and the array around arguments (malloc'd; NULL: out of memory). */
struct sio_args sio__args_of_message(const struct rooms_message *message);
char *sio__json_array(struct eio_str inner);
/* ["name",args]: malloc'd, its size in *size; NULL: out of memory. */
char *sio__event_array(struct eio_str name, struct eio_str args, size_t *size);

/* An event on its way through sio__target_each_namespace(). */
struct sio__event_out {
    struct eio_str name;
    struct sio_args args;
};
/* Sends an event or an ack to one socket; nsp, json and attachment_count of the packet are filled in. */
int sio__socket_send(struct sio_socket *socket, struct sio__outgoing *packet, struct sio_args args,
                     const struct rooms_flags *flags);
/* Tells the outgoing catch-all. */
void sio__outgoing_one(struct sio_socket *socket, struct eio_str name, struct sio_args args);
void sio__outgoing_many(struct sio_namespace *nsp, const struct rooms_selector *who,
                        const struct rooms_message *message);
/* json_pack with a list of values. The text is to be freed; NULL: a bad format or no memory. */
char *sio__pack(const char *format, va_list values, struct sio_args *args);

/* A selector made of a target. */
struct sio__who {
    struct rooms_selector selector;
    struct rooms_name only;
    struct rooms_name except_inline[SIO_TARGET_NAMES + 1];
    struct rooms_name *except_heap;
};
int sio__who_init(struct sio__who *who, const struct sio_target *target);
void sio__who_clear(struct sio__who *who);
/* Calls fn for the target's namespace, or for each child of a parent; stops at the first error. */
int sio__target_each_namespace(const struct sio_target *target,
                               int (*fn)(struct sio_namespace *nsp, const struct sio_target *target, void *ctx),
                               void *ctx);
/* A rooms_error as an eio_error. */
int sio__rooms_result(int error);

/* Delivers to sockets here. */
void sio__deliver(struct sio_namespace *nsp, const struct rooms_selector *who, bool is_volatile,
                  const struct sio__prepared *prepared);

/* ------------------------------------------------------------------- batch */

/* A receiver that must not get the whole open batch: it has the frames before `taken`, or must not get them. */
struct sio__exception {
    struct sio_socket *socket;
    size_t taken;
    size_t messages_taken; /* the same, in whole messages */
};
/* The broadcasts of this turn to one room that were not handed to the sessions yet. */
struct sio__batch {
    struct sio_namespace *nsp; /* NULL: nothing is open */
    struct rooms_room *room;   /* NULL: the whole namespace */
    struct eio_batch *frames;
    size_t bytes;
    size_t messages;
    struct sio__exception exceptions[SIO__BATCH_EXCEPTIONS_MAX];
    size_t exception_count;
};
int sio__batch_init(struct sio__batch *batch);
void sio__batch_clear(struct sio__batch *batch);
/* Adds a broadcast to everybody in the room (NULL: in the namespace) but one socket (may be NULL). */
int sio__batch_add(struct sio_namespace *nsp, struct rooms_room *room, struct sio_socket *but,
                   const struct sio__prepared *prepared);
/* Hands what is open to the sessions. From the flush hook they write it at once. */
void sio__batch_settle(struct sio_server *io);
/* Something else is about to be sent to the client. */
void sio__batch_before_send(struct sio_client *client);
/* The socket is about to become a member of the room ({NULL,0}: of the namespace, with all its rooms). */
void sio__batch_joining(struct sio_socket *socket, struct eio_str room);
/* The socket is about to leave the room ({NULL,0}: the namespace, with all its rooms). */
void sio__batch_leaving(struct sio_socket *socket, struct eio_str room);

/* -------------------------------------------------------------------- acks */

/* An answer that a socket owes. Stands first in its owner's struct. */
struct sio__waiting {
    struct sio_socket *socket;
    struct sio__waiting *prev, *next; /* of its socket */
    uint32_t hash;                    /* in the server's table */
    uint64_t id;
    /* Called once, off all lists; frees it. */
    void (*settle)(struct sio__waiting *waiting, int error, struct sio_args answer);
};
int sio__waiting_add(struct sio__waiting *waiting, struct sio_socket *socket, uint64_t id);
void sio__waiting_remove(struct sio__waiting *waiting);
/* An ACK packet came. */
void sio__ack_arrived(struct sio_socket *socket, uint64_t id, struct sio_args answer);
/* The socket goes: everybody who waits for it is told. */
void sio__ack_abandon(struct sio_socket *socket);
/* Emits with an ack asked for to sockets here (rooms_local.deliver_with_ack). */
void sio__deliver_with_ack(void *ctx, const struct rooms_selector *who, const struct rooms_flags *flags,
                           const struct rooms_message *message, const struct rooms_ack_sink *sink);

/* Surveys and gatherings that are going on; freed with the server. */
struct sio__survey;
struct sio__gather;
void sio__surveys_free(struct sio_server *io);
void sio__gathers_free(struct sio_server *io);

/* What became of an event's ack: its private_state. All but answered is set for server-side events only. */
struct sio__answer_to {
    bool answered; /* or promised */
    bool is_owed;  /* promised to another server */
    struct sio_namespace *nsp;
    void (*answer)(void *ctx, const struct rooms_message *args);
    void *ctx;
};
/* The namespace goes, and its adapter: answers that servers wait for will not be given. */
void sio__owed_forget(struct sio_namespace *nsp);

/* ------------------------------------------------------------------ server */

struct sio_server {
    struct eio_loop *loop;
    bool own_loop;
    bool draining;
    struct eio_http *http;
    struct eio_server *engine;
    struct sio_options options;
    const struct sio__parser *parser;
    struct sio__parser own_parser;
    struct sio__packet_limits limits;
    size_t max_packet_bytes;

    struct sio__assets *assets;
    struct base_table namespaces; /* by name; parents are not in it */
    uint8_t names_key[16];        /* of its hash: clients choose names */
    struct sio_namespace *first_namespace, *last_namespace, *parents, *last_parent, *empty_namespaces;
    bool cleanup_due;
    struct sio__hooks new_namespace;
    struct sio__hook *dead_hooks;
    bool has_deciding; /* a parent that decides */
    struct sio_question *questions;
    struct base_table asking; /* them, by client */
    struct base_table owed;   /* struct owed, by id: answers to servers (sio_ack.c) */
    uint64_t next_owed;
    size_t matched_count;         /* namespaces made by parents */
    struct eio_deadlines connect; /* clients that are in no namespace yet */
    struct sio__batch batch;
    struct base_table waiting; /* struct sio__waiting by socket and id */
    struct sio__survey *surveys;
    struct sio__gather *gathers;
    struct sio_admission *admissions;

    struct sio_socket *dead_sockets;
    struct sio_client *dead_clients;
    size_t client_count;

    struct rooms_recovery recovery;
    struct eio_timer recovery_expiry;
    struct eio_timer drain_limit;
    eio_loop_fn drain_done;
    void *drain_ctx;

    bool watched;
    struct sio_watch watch;
    void *watch_ctx;

    struct sio_stats stats;
    struct eio_limit_counter limit_counters[SIO_LIMIT_COUNT];
    size_t random_left;
    uint8_t random[SIO__RANDOM_POOL_BYTES];
};
/* Counts a hit of a limit and logs it; session: of whoever hit it, or NULL. */
void sio__server_hit(struct sio_server *io, enum sio_limit limit, const struct eio_session *session);
void sio__server_client_gone(struct sio_server *io);
void sio__assets_free(struct sio_server *io);
/* Writes a new id and its terminator. */
void sio__server_new_id(struct sio_server *io, char *id);

#endif
