/* Turns over HTTP in other protocols: /api/v1/chats/{chat_id}/ui and /api/v1/agui. */
#ifndef CHAT_STREAMS_H
#define CHAT_STREAMS_H

struct chat;

/* Returns 0 or a negative code. */
int chat_streams_start(struct chat *chat);

#endif
