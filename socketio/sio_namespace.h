/* Namespaces: what is registered on them, and who asks for one that is not there. Private to this library. */
#ifndef SIO_NAMESPACE_H
#define SIO_NAMESPACE_H

#include "base_table.h"
#include "sio_codec.h"

struct sio_client;

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
    uint64_t empty_ms;                /* since when it is empty */
    struct sio_namespace *parent;     /* whose behaviour comes before its own, or NULL */
    struct sio__behaviour behaviour;
    struct rooms_index *index;     /* NULL: this is a parent */
    struct rooms_adapter *adapter; /* NULL: this is a parent */
    struct sio_socket **sockets;   /* the connected ones, dense; sockets[i]->slot == i */
    uint32_t socket_count, socket_capacity;
    uint32_t ending_count; /* of them in SIO__S_ENDING */
    uint64_t next_ack_id;
    bool has_long_ids;                             /* Socket.IO 2 clients were here */
    bool recovers;                                 /* recovery is on and the adapter can */
    struct base_table pids;                        /* struct sio__recovery; only if it recovers */
    struct sio__recovery *held;                    /* of sockets from which something is held back */
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
/* The namespace of that name, made if a parent that matches accepts it; NULL if absent. */
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

/* --------------------------------------------------------------- questions */

/* The namespace is decided, or NULL if no namespace has that name. */
typedef void (*sio__join_fn)(struct sio_client *client, struct sio_namespace *nsp, struct eio_str name,
                             struct eio_str auth);

/* A client asks for a namespace that is not there: parents decide one after the other (sio_question.c). */
struct sio_question {
    struct sio_server *io;            /* whose table finds it by its client, which has no list: few ever ask */
    struct sio_question *prev, *next; /* of all that are not answered */
    struct sio_client *client;        /* NULL: it is gone */
    struct sio_namespace *parent;     /* that is asked */
    bool running;                     /* within its function */
    bool answered, allowed;           /* within that */
    bool superseded;                  /* the client asked again */
    sio__join_fn join;
    size_t name_size, auth_size;
    char text[]; /* name, then auth */
};
/* Asks the parents; the client is in the namespace, or refused, now or later. */
void sio__question_start(struct sio_client *client, struct eio_str name, struct eio_str auth, sio__join_fn join);
void sio__question_supersede(struct sio_client *client, struct eio_str name);
void sio__question_forget_client(struct sio_client *client);
void sio__questions_free(struct sio_server *io);

#endif
