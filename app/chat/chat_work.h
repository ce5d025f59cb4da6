/* A tool's work on the store: an operation that may outlive the call, and whose entries are sent once it is durable.
 *
 *     struct add { struct chat_work work; … };
 *     struct add *add = chat_work_new(call, sizeof *add, &add_ops);      the tool's data from then on
 *     if (add) chat_work_submit(&add->work);
 *
 * The tool's cancel is chat_work_cancel. */
#ifndef CHAT_WORK_H
#define CHAT_WORK_H

#include "chat_int.h"

struct chat_work;

struct chat_work_ops {
    bool writes; /* the run is a write of the chat, numbered with its log; otherwise a read beside the writes */
    /* On a thread; what it adds to work->batch is written after it. May be called again: what it took before is freed
     * by clear(). Returns 0 or the code of failure. */
    int (*run)(struct kit_db *db, struct chat_work *work, struct kit_failure *failure);
    /* On the loop: chat_tool_end() or chat_tool_ask(). Not after a failure, which ends the call by itself, nor once the
     * turn has ended. */
    void (*end)(struct chat_work *work);
    /* Frees what run took, and zeroes it. May be NULL. */
    void (*clear)(struct chat_work *work);
};

struct chat_work {
    struct kit_store_op op;
    const struct chat_work_ops *ops;
    struct chat *chat;
    struct chat_tool_call *call; /* NULL: the turn has ended */
    void *ctx;                   /* of the tool */
    char chat_id[KIT_ID_SIZE];
    int64_t chat_key, now_ms;
    char user[KIT_USER_SIZE];
    json_t *args; /* a copy */
    struct chat_batch batch;
};

/* NULL: out of memory, and the call has ended. */
void *chat_work_new(struct chat_tool_call *call, size_t size, const struct chat_work_ops *ops);
/* Frees the work if the store does not take it; the call has then ended. */
void chat_work_submit(struct chat_work *work);
/* Instead of that: the call fails with a text for the model. */
void chat_work_drop(struct chat_work *work, const char *why);
void chat_work_cancel(struct chat_tool_call *call);
/* A text of the arguments; "" if absent. */
const char *chat_work_text(const struct chat_work *work, const char *name);

#endif
