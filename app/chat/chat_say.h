/* What answers say, on its way into the store: pieces of all turns of this process that are due are written together,
 * one operation at a time, and sent when that is durable (chat_pieces.h, docs/decisions/0023). */
#ifndef CHAT_SAY_H
#define CHAT_SAY_H

#include "chat_turn.h"

/* Returns 0 or a negative code. */
int chat_say_start(struct chat *chat);
/* Nothing is on its way any more. */
void chat_say_stop(struct chat *chat);

/* What the turn has said and nobody has yet is due. */
void chat_say_add(struct chat_turn *turn);
/* It is to be written in another way, or the turn is gone. */
void chat_say_forget(struct chat_turn *turn);

#endif
