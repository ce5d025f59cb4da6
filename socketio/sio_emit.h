/* What is sent to whom: packets that are prepared once, the open batch of a turn, answers that are awaited. Private to
 * this library. */
#ifndef SIO_EMIT_H
#define SIO_EMIT_H

#include "base_check.h"
#include "sio_codec.h"

#include <stdarg.h>

struct sio_client;
struct sio__parser;

enum {
    SIO__BATCH_EXCEPTIONS_MAX = 16,
    SIO__BATCH_BYTES_MAX = 131072, /* more than that is handed to the sessions before the turn ends */
    SIO__FRAMES_INLINE = 4,        /* of a prepared message, without memory of its own */
    SIO__SURVEY_LINGER_MS = 1000,  /* an adapter's answers may come this late after a survey's timeout */
};

/* ------------------------------------------------------------------- sending */

/* A packet encoded in frames. */
struct sio__prepared {
    struct eio_frame **frames; /* frames_inline or heap */
    size_t count;
    struct rooms_prepared base; /* the size of all */
    struct rooms_bytes json;    /* of an event: the array ["name",…] */
    struct sio_args args;       /* with the attachments in order */
    void *memory;               /* what args points into, if not the caller's */
    void *json_memory;          /* what json points into, if not the first frame */
    uint64_t id;
    struct eio_frame *frames_inline[SIO__FRAMES_INLINE];
};
static inline const struct sio__prepared *sio__prepared_of(struct rooms_prepared *base)
{
    return container_of(base, struct sio__prepared, base);
}
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
/* Calls the outgoing catch-all. */
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
/* Something else is about to be sent to the client, and the batch is open: sio__batch_before_send() asks first. */
void sio__batch_catch_up(struct sio_client *client);
/* The socket is about to become a member of the room ({NULL,0}: of the namespace, with all its rooms). */
void sio__batch_joining(struct sio_socket *socket, struct eio_str room);
/* The socket is about to leave the room ({NULL,0}: the namespace, with all its rooms). */
void sio__batch_leaving(struct sio_socket *socket, struct eio_str room);

/* ----------------------------------------------------------------- endings */

/* Sockets that were disconnected by target, many at once, and are still to be ended, in their order. */
struct sio__endings {
    struct sio__ending *list;
    size_t next, count, capacity;
    struct eio_timer timer;
};
void sio__endings_init(struct sio__endings *endings, struct eio_loop *loop);
void sio__endings_clear(struct sio__endings *endings);
/* Ends those of a client now. */
void sio__endings_finish(struct sio_client *client);
/* The socket, in SIO__S_ENDING, is being ended. */
void sio__ending_forget(struct sio_socket *socket);
/* rooms_local.disconnect */
void sio__local_disconnect(void *ctx, const struct rooms_selector *who, bool close);

/* -------------------------------------------------------------------- acks */

/* An answer that a socket owes, a member of its owner's struct. */
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
/* The socket goes: settles all answers that are awaited from it with EIO_ECLOSED. */
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

#endif
