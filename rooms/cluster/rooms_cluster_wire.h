/* The messages of rooms_cluster_int.h as socket.io's sharded adapter (redis-adapter 8) and streams adapter
 * (redis-streams-adapter 0.3) write them. Pure: no I/O, nothing is kept.
 *
 *   {"type":3,"data":{"packet":{"type":2,"data":["hello",1]},"opts":{"rooms":[],"except":[],"flags":{}}},
 *    "uid":"e30a0234e49a1f0d","nsp":"/"}
 *
 * The sharded adapter publishes this as JSON, or as msgpack if there is binary data in it; the streams adapter
 * publishes msgpack, and puts data, uid, nsp and type into a stream as fields, data as JSON or base64 of msgpack. */
#ifndef ROOMS_CLUSTER_WIRE_H
#define ROOMS_CLUSTER_WIRE_H

#include "rooms_cluster_int.h"
#include "rooms_wire.h"

/* ------------------------------------------------------------------ writing */

enum rooms__cluster_form { ROOMS__FORM_JSON, ROOMS__FORM_MSGPACK };

/* JSON without attachments, else msgpack. */
enum rooms__cluster_form rooms__cluster_form_of(const struct rooms_cluster_message *message);
void rooms__cluster_put(struct rooms_packer *packer, const struct rooms_cluster_message *message, struct rooms_name nsp,
                        enum rooms__cluster_form form);
/* Only the value of "data", as a field of a stream; writes nothing for types that have none. */
void rooms__cluster_put_field(struct rooms_packer *packer, const struct rooms_cluster_message *message);

/* ------------------------------------------------------------------ reading */

/* A message, and memory for what does not point into its payload. */
struct rooms__cluster_reading {
    struct rooms_cluster_message message;
    struct rooms__names in, except, rooms;
    struct rooms_decoded decoded;
    struct rooms_bytes *sockets;
    char *answer;    /* the array around an answer's value */
    uint8_t *binary; /* what base64 was decoded to; attachments are slices of it */
    char uid[ROOMS_UID_MAX + 1], request[ROOMS_UID_MAX + 1];
};
/* Returns 0; ROOMS_EINVAL: malformed, of another namespace, or of an unknown type; ROOMS_ELIMIT, ROOMS_ENOMEM. After an
 * error there is nothing to clear. The message may point into the payload. */
int rooms__cluster_read(struct rooms__cluster_reading *reading, struct rooms_bytes payload, struct rooms_name nsp);
/* The same of a namespace's own channel: the message need not name the namespace. */
int rooms__cluster_read_of_channel(struct rooms__cluster_reading *reading, struct rooms_bytes payload,
                                   struct rooms_name nsp);
/* From the fields of a stream's entry; the data field may be missing (n 0). */
int rooms__cluster_read_fields(struct rooms__cluster_reading *reading, struct rooms_name uid, struct rooms_name type,
                               struct rooms_bytes data);
void rooms__cluster_reading_clear(struct rooms__cluster_reading *reading);

/* What all messages of a node end with, in both forms: one's own are known without being read. */
struct rooms__cluster_ends {
    struct rooms_packer json, msgpack;
};
/* Returns 0 or ROOMS_ENOMEM, then there is nothing to clear. */
int rooms__cluster_ends_init(struct rooms__cluster_ends *ends, struct rooms_name uid, struct rooms_name nsp);
void rooms__cluster_ends_clear(struct rooms__cluster_ends *ends);
/* False proves nothing: the same message can be written in other ways. */
bool rooms__cluster_ends_match(const struct rooms__cluster_ends *ends, struct rooms_bytes payload);

#endif
