/* Plain WebSockets of the assistant: /ws/… and /api/v1/chat/ws/chat. */
#ifndef CHAT_PLAIN_H
#define CHAT_PLAIN_H

struct chat;

/* Returns 0 or a negative code. */
int chat_plain_start(struct chat *chat);

#endif
