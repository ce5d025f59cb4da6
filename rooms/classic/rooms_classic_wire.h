/* The wire format of @socket.io/redis-adapter 8 and @socket.io/redis-emitter 5. Pure: no I/O, nothing is kept.
 *
 *   <key>#<nsp>#[<room>#]            broadcasts: msgpack [uid, {type:2, data, nsp}, {rooms, except, flags}]
 *   <key>-request#<nsp>#             JSON if it begins with {, else msgpack: {type, uid?, requestId?, …}
 *   <key>-response#<nsp>#[<uid>#]    likewise: {requestId, …}
 *
 * A broadcast is read in steps, so that one without recipients here costs next to nothing. Requests and answers are
 * read as JSON in both cases: msgpack becomes JSON with attachments first. */
#ifndef ROOMS_CLASSIC_WIRE_H
#define ROOMS_CLASSIC_WIRE_H

#include "rooms_wire.h"

enum rooms__classic_type {
    ROOMS__CLASSIC_SOCKETS,
    ROOMS__CLASSIC_ALL_ROOMS,
    ROOMS__CLASSIC_JOIN,
    ROOMS__CLASSIC_LEAVE,
    ROOMS__CLASSIC_DISCONNECT,
    ROOMS__CLASSIC_FETCH,
    ROOMS__CLASSIC_SERVER_SIDE_EMIT,
    ROOMS__CLASSIC_BROADCAST,
    ROOMS__CLASSIC_CLIENT_COUNT, /* answers only */
    ROOMS__CLASSIC_ACK,          /* likewise */
    ROOMS__CLASSIC_NO_TYPE,      /* a response, which has no type, or a type of a later version */
};

/* The recipients, and flags. */
struct rooms__classic_opts {
    struct rooms__names rooms, except;
    struct rooms_flags flags;
};
void rooms__classic_opts_clear(struct rooms__classic_opts *opts);
struct rooms_selector rooms__classic_selector(const struct rooms__classic_opts *opts);

/* --------------------------------------------------------------- broadcasts */

/* Slices of the payload. */
struct rooms__classic_broadcast {
    struct rooms_name nsp;                   /* p NULL: the sender named none, which means "/" */
    struct rooms_bytes data;                 /* msgpack, an array: not decoded yet */
    struct rooms_bytes rooms, except, flags; /* msgpack, not checked; n 0: not there */
};
/* The first element, which tells whether the message is this node's own; p is NULL if it is not a string. Returns 0, or
 * ROOMS_EINVAL if the payload is not such an array. */
int rooms__classic_read_uid(struct rooms_bytes payload, struct rooms_name *uid);
/* Returns 0 or ROOMS_EINVAL: not whole, not of this form, or no event. */
int rooms__classic_read_broadcast(struct rooms_bytes payload, struct rooms__classic_broadcast *broadcast);
/* Returns 0, ROOMS_EINVAL or ROOMS_ENOMEM; on failure there is nothing to clear. */
int rooms__classic_read_broadcast_opts(const struct rooms__classic_broadcast *broadcast,
                                       struct rooms__classic_opts *opts);

/* ---------------------------------------------------- requests and answers */

enum rooms__classic_field {
    ROOMS__CLASSIC_F_TYPE,
    ROOMS__CLASSIC_F_UID,
    ROOMS__CLASSIC_F_REQUEST_ID,
    ROOMS__CLASSIC_F_OPTS,
    ROOMS__CLASSIC_F_ROOMS,
    ROOMS__CLASSIC_F_SID,  /* requests of old versions: one socket */
    ROOMS__CLASSIC_F_ROOM, /* likewise */
    ROOMS__CLASSIC_F_CLOSE,
    ROOMS__CLASSIC_F_DATA,
    ROOMS__CLASSIC_F_PACKET,
    ROOMS__CLASSIC_F_SOCKETS,
    ROOMS__CLASSIC_F_CLIENT_COUNT,
    ROOMS__CLASSIC_FIELDS,
};
struct rooms__classic_message {
    enum rooms__classic_type type;
    struct rooms_bytes field[ROOMS__CLASSIC_FIELDS]; /* JSON as it came; n 0: not there */
    struct rooms_decoded decoded;                    /* of msgpack: the text of the fields, and the attachments */
};
/* Returns 0, ROOMS_EINVAL, ROOMS_ELIMIT (nested too deeply) or ROOMS_ENOMEM; on failure there is nothing to clear. The
 * fields may point into the payload. */
int rooms__classic_read(struct rooms_bytes payload, struct rooms__classic_message *message);
void rooms__classic_clear(struct rooms__classic_message *message);
/* The request's "opts". Returns 0, ROOMS_EINVAL (it has none) or ROOMS_ENOMEM; on failure there is nothing to clear. */
int rooms__classic_read_opts(const struct rooms__classic_message *message, struct rooms__classic_opts *opts);
/* packet.data of a broadcast that asks for acks; n 0 if it is not an array. */
struct rooms_bytes rooms__classic_packet_data(const struct rooms__classic_message *message);

/* ------------------------------------------------------------------ writing */

/* The sender of a request and the request's id; p NULL: no answer is wanted. */
struct rooms__classic_asker {
    struct rooms_name uid, request_id;
};

/* The event of a broadcast, and whom it is for. */
struct rooms__classic_event {
    struct rooms_name nsp;
    const struct rooms_selector *who;
    const struct rooms_flags *flags;
    const struct rooms_message *message;
};
void rooms__classic_put_broadcast(struct rooms_packer *packer, struct rooms_name uid,
                                  const struct rooms__classic_event *event);
void rooms__classic_put_ask(struct rooms_packer *packer, const struct rooms__classic_asker *asker,
                            const struct rooms__classic_event *event);
/* Joins and leaves. */
void rooms__classic_put_change(struct rooms_packer *packer, struct rooms_name uid, enum rooms__classic_type type,
                               const struct rooms_selector *who, const struct rooms_selector *rooms);
void rooms__classic_put_disconnect(struct rooms_packer *packer, struct rooms_name uid, const struct rooms_selector *who,
                                   bool close);
void rooms__classic_put_fetch(struct rooms_packer *packer, const struct rooms__classic_asker *asker,
                              const struct rooms_selector *who);
/* In JSON; with binary data in msgpack, where the official adapter, which never writes that, reads it all the same. */
void rooms__classic_put_server_side_emit(struct rooms_packer *packer, const struct rooms__classic_asker *asker,
                                         const struct rooms_message *message);

/* Answers. request_id: JSON as it came. A list is begun with its name ("sockets", "rooms"), its elements are put with
 * commas by the caller, and it is ended. */
void rooms__classic_put_answer_list(struct rooms_packer *packer, struct rooms_bytes request_id, const char *name);
void rooms__classic_end_answer_list(struct rooms_packer *packer);
void rooms__classic_put_done(struct rooms_packer *packer, struct rooms_bytes request_id);
void rooms__classic_put_client_count(struct rooms_packer *packer, struct rooms_bytes request_id, size_t count);
/* Only the first argument of an answer is passed on. */
void rooms__classic_put_ack(struct rooms_packer *packer, struct rooms_bytes request_id,
                            const struct rooms_message *args);
void rooms__classic_put_server_side_answer(struct rooms_packer *packer, struct rooms_bytes request_id,
                                           const struct rooms_message *args);

#endif
