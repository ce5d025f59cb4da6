/* The assistant: chats, each on one durable log, for whatever brings users to it: Socket.IO (`/chat`), plain
 * WebSockets, streams over HTTP. Those are peers: each asks events as a Socket.IO client would send them and gets the
 * entries of the log, in order, once, from where it asks. */
#ifndef CHAT_H
#define CHAT_H

#include "kit.h"

struct chat;
struct chat_peer;
struct kit_claims;

extern const struct kit_module chat_module;

#define CHAT_EVENT_SIZE 32 /* an event's name with its terminator */

/* What a peer gets. */
struct chat_entry {
    const char *chat_id;
    const char *event;      /* "chat.token" */
    int64_t seq;            /* of the log; 0: it is not of the log (session.ready, chat.reasoning, debug) */
    struct eio_str payload; /* a JSON object; that of the log has chat_id and seq in it */
};

/* What is sent on request only (session.init's `want`). */
enum chat_want { CHAT_WANT_PATCH = 1, CHAT_WANT_DEBUG = 2, CHAT_WANT_REASONING = 4 };

struct chat_peer_ops {
    /* In the order of seq, without a gap, each once. Must not free the peer. */
    void (*on_entry)(struct chat_peer *peer, const struct chat_entry *entry);
    /* It gets nothing more of that chat: the chat was deleted, or the right to it ended. */
    void (*on_end)(struct chat_peer *peer, const char *chat_id, const struct kit_failure *why);
    /* False while what was sent has to go out first: a replay waits, and asks again soon. NULL: it always can. */
    bool (*can_take)(struct chat_peer *peer);
};

struct chat_peer_options {
    const struct chat_peer_ops *ops;
    struct kit_claims *claims; /* borrowed, a reference is taken; kit_guest_claims() where no token is needed */
    const char *address;       /* of the client, whose share counts while it has no claims */
    const char *connection_id; /* as stored with its messages; at most 128 bytes of an id */
    /* An unknown chat_id in session.init opens a chat of that id, instead of 404: for clients that make ids. */
    bool makes_chats;
    void *ctx;
};

/* NULL: out of memory. */
struct chat_peer *chat_peer_new(struct chat *chat, const struct chat_peer_options *options);
/* Nothing is called any more; what was asked still happens. The turn that runs goes on. Accepts NULL. */
void chat_peer_free(struct chat_peer *peer);
void *chat_peer_ctx(const struct chat_peer *peer);
/* The chat of its last session.init; "" before. */
const char *chat_peer_chat(const struct chat_peer *peer);

/* failure->code 0: json is the answer, an object that begins with "ok". */
typedef void (*chat_reply_fn)(void *ctx, const struct kit_failure *failure, struct eio_str json);
/* Asks for an event by its name: "chat.message". fn (may be NULL) is called once, now or later, unless the peer is
 * freed before. The payload is checked against the event's schema; quotas are the
 * caller's, which knows what one message of its client was. */
void chat_peer_ask(struct chat_peer *peer, const char *event, const json_t *payload, chat_reply_fn fn, void *ctx);

#endif
