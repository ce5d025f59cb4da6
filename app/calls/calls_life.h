/* The end of calls: by themselves, by age, by an administrator. */
#ifndef CALLS_LIFE_H
#define CALLS_LIFE_H

#include "calls_entry.h"

/* A feed's socket said something about a call, which is durable: the call goes on while it is connected. */
void calls_life_said(struct sio_socket *socket, enum calls_feed_kind kind, const char *call_id);

typedef void (*calls_delete_fn)(void *ctx, const struct kit_failure *failure);
/* Deletes a call with its lines and suggestions. fn is called once, later or before this returns. */
void calls_delete(struct calls *calls, const char *call_id, struct kit_source *source, calls_delete_fn fn, void *ctx);

#endif
