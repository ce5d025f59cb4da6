/* Rooms whose members are not sockets: plain WebSockets, chats that are watched. Broadcasts reach them on every node;
 * what else one node asks of another (joins, disconnects, acks, …) does not concern them. */
#ifndef KIT_AUDIENCE_H
#define KIT_AUDIENCE_H

#include "kit.h"

#include <rooms.h>

typedef void (*kit_audience_fn)(void *ctx, const struct rooms_selector *who, const struct rooms_message *message);

struct kit_audience {
    struct rooms_index *index; /* its members' rooms */
    struct kit *kit;
    struct rooms_adapter *adapter; /* NULL: nothing is sent any more */
    kit_audience_fn deliver;
    void *ctx;
};

/* name: among nodes, like no namespace's. deliver: for what a broadcast from any node is to reach here. Returns 0 or
 * EIO_ENOMEM, then it is to be stopped and cleared as well. */
int kit_audience_start(struct kit_audience *audience, struct kit *kit, const char *name, kit_audience_fn deliver,
                       void *ctx);
/* Sends the JSON array ["event",…] to the members of a room, on every node. */
void kit_audience_send(struct kit_audience *audience, const char *room, const struct sio_builder *json);
/* Nothing is sent or delivered any more; harmless a second time. */
void kit_audience_stop(struct kit_audience *audience);
/* Without members. */
void kit_audience_clear(struct kit_audience *audience);

#endif
