/* Plain WebSockets, for clients without a library: one text message is one message. A module says which paths it
 * serves and what is done with messages; who it is, what it may take, when that ends, and rooms are the kit's.
 *
 * The client says who it is by ?token=, or an Authorization field with a bearer token. A bad token, or one of a role
 * that may not, ends the connection with 1008 at once.
 *
 * A plain WebSocket may join rooms, and kit_ws_emit() reaches those in a room at every node; each is in the room of its
 * user (KIT_USER_ROOM) from the start. */
#ifndef KIT_WS_H
#define KIT_WS_H

#include "kit_auth.h"

struct kit_ws;

#define KIT_SESSION_ROOM "session:" /* begins the name of the room of those that named their session alike */

struct kit_ws_ops {
    void (*on_open)(struct kit_ws *ws);
    /* A text message within the limits. */
    void (*on_message)(struct kit_ws *ws, struct eio_str text);
    /* What the kit refuses or ends: a binary message (400), a large one (413), too many (429), while the server stops
     * (503), and at the end of its rights (401). To be said to the client in its own words. */
    void (*on_failure)(struct kit_ws *ws, const struct kit_failure *failure);
    /* An event for a room that it is in. data: JSON, n 0 if absent. May be NULL. */
    void (*on_event)(struct kit_ws *ws, const char *event, struct eio_str data);
    /* Once, last, after on_open. */
    void (*on_close)(struct kit_ws *ws);
};

struct kit_ws_endpoint {
    const char *path; /* "/ws/{id}", as kit_event.path; of those that fit, the one with fewer parameters is taken */
    unsigned roles;   /* enum kit_role, or'ed */
    bool admits_guests;
    const struct kit_ws_ops *ops;
    void *state; /* the module's */
};

/* Serves them. The table must outlive the server. Returns 0 or a negative code. */
int kit_ws_open(struct kit *kit, const struct kit_ws_endpoint *endpoints, size_t count);

struct kit *kit_ws_kit(const struct kit_ws *ws);
void *kit_ws_state(const struct kit_ws *ws);
const struct kit_ws_endpoint *kit_ws_endpoint(const struct kit_ws *ws);
/* Never NULL. Borrowed. */
struct kit_claims *kit_ws_claims(const struct kit_ws *ws);
/* A name of its own among all connections. */
const char *kit_ws_id(const struct kit_ws *ws);
/* What stands for the parameter of the path; "" without one. */
const char *kit_ws_parameter(const struct kit_ws *ws);
/* Of the request that opened it. */
const struct eio_http_head *kit_ws_head(const struct kit_ws *ws);
void kit_ws_set_data(struct kit_ws *ws, void *data);
void *kit_ws_data(const struct kit_ws *ws);

/* Sends a text, which must be UTF-8; harmless once it is closing. One whose queue is full is closed (max_queue_bytes).
 */
void kit_ws_send(struct kit_ws *ws, const char *text, size_t size);
/* False while more is queued than high_water_bytes: what can wait should. */
bool kit_ws_can_take(const struct kit_ws *ws);
/* What is queued goes first. on_close follows later, never within. */
void kit_ws_close(struct kit_ws *ws);
/* begins: something that it asked has to wait, and nothing is read meanwhile; once more with false when it does not any
 * longer. */
void kit_ws_wait(struct kit_ws *ws, bool begins);
/* Joins a room until it closes. Returns 0 or a negative enum rooms_error. */
int kit_ws_join(struct kit_ws *ws, const char *room);
void kit_ws_leave(struct kit_ws *ws, const char *room);
/* To all in the room, here and at other nodes: endpoints get on_event. data: JSON, n 0: none. */
void kit_ws_emit(struct kit *kit, const char *room, const char *event, struct eio_str data);

/* As kit_auth_dismiss(), for the user's plain WebSockets. */
size_t kit_ws_dismiss(struct kit *kit, const struct kit_dismissal *who);
size_t kit_ws_count(const struct kit *kit);

/* Neither these nor Socket.IO's sessions open any more. */
void kit_ws_stop_opening(struct kit *kit);
/* For app.c: ends them all, with 1001; and once more, with their memory, before the server goes. */
void kit_ws_drain(struct kit *kit);
void kit_ws_stop(struct kit *kit);

/* Sessions of Socket.IO and plain WebSockets together. */
size_t kit_session_count(const struct kit *kit);
void kit_each_session(const struct kit *kit, void (*fn)(struct eio_session *session, void *ctx), void *ctx);
void kit_engine_stats(const struct kit *kit, struct eio_server_stats *stats);

#endif
