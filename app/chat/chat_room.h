/* Chats that are watched in this process, and who watches them. The entries of a chat come from wherever they were
 * stored, over an adapter of the log's own (rooms.h), whose members are the chats that are watched here; so they reach
 * peers of every kind alike. A listener gets what is next for it; whatever is missing, before it or because the network
 * lost it, is read from the store. */
#ifndef CHAT_ROOM_H
#define CHAT_ROOM_H

#include "chat_int.h"

#include <uthash.h>

struct chat_room;

/* A peer in a chat. Fields are private to chat_room.c and chat_peer.c. */
struct chat_listener {
    struct chat_peer *peer;
    struct chat_room *room;
    int64_t sent;                              /* the seq of the last entry that it got */
    unsigned want;                             /* enum chat_want, or'ed */
    bool is_owner;                             /* its user is the chat's */
    char session_id[KIT_ID_SIZE];              /* of the room that its socket joined; "" */
    struct chat_reading *reading;              /* NULL: it is up to date, as far as this process knows */
    struct chat_listener *prev, *next;         /* of the room */
    struct chat_listener *prev_own, *next_own; /* of the peer */
};

/* Returns 0 or a negative code. */
int chat_rooms_start(struct chat *chat);
/* No more is read. */
void chat_rooms_pause(struct chat *chat);
/* The peers are gone. */
void chat_rooms_stop(struct chat *chat);

/* Holds the chat's entries for who is about to listen: what is sent from now on is not missed. NULL: out of memory.
 * chat_room_release() for each. */
struct chat_room *chat_room_hold(struct chat *chat, const char *chat_id);
void chat_room_release(struct chat_room *room);

struct chat_listen_options {
    int64_t since_seq; /* it has this entry and those before */
    int64_t last_seq;  /* of the log when it was looked at */
    unsigned want;
    bool is_owner;
};
/* From now on the peer gets what comes after since_seq; a listener that is there begins anew. Returns 0 or
 * EIO_ENOMEM. */
int chat_listen(struct chat_peer *peer, struct chat_room *room, const struct chat_listen_options *options);
const char *chat_listener_chat(const struct chat_listener *listener);
/* NULL: it does not listen. */
struct chat_listener *chat_listener_find(const struct chat_peer *peer, const char *chat_id);
/* why NULL: without a word. */
void chat_listener_end(struct chat_listener *listener, const struct kit_failure *why);
/* How many listeners of the chat's own user there are in this process. */
size_t chat_room_owner_count(const struct chat *chat, const char *chat_id);

/* Not of the log: at once to those who want it, here and at other nodes. Consumes the payload. */
void chat_send_aside(struct chat *chat, const char *chat_id, enum chat_want want, json_t *take_payload);
/* The chat is deleted: ends all its listeners, here and at other nodes. */
void chat_send_end(struct chat *chat, const char *chat_id);

#endif
