/* The log of a chat: entries are written together with what they tell of, in one transaction that numbers them, and are
 * sent once that is durable. This is the only way into it.
 *
 *     struct chat_batch batch;                          in an operation's struct
 *     chat_batch_init(&batch, chat_id);                 on the loop
 *     chat_batch_add(&batch, "tree.update", json_pack("{s:O, s:I}", "delta", delta, "version", version));
 *     run:  chat_batch_write(db, chat_key, &batch, failure)
 *     done: if (!op->failure.code) chat_batch_send(chat, &batch); chat_batch_clear(&batch);
 *
 * An operation whose run may be called again (kit_store.h) adds what it only knows there after chat_batch_rewind(). */
#ifndef CHAT_LOG_H
#define CHAT_LOG_H

#include "chat.h"
#include "kit_schema.h"

struct chat_item {
    char event[CHAT_EVENT_SIZE];
    char *fields; /* the payload's JSON without its closing brace, chat_id and seq */
    size_t size;
    char ref_id[KIT_ID_SIZE]; /* the message it answers; "" */
    int64_t attempt;
};

struct chat_batch {
    char chat_id[KIT_ID_SIZE];
    char ref_id[KIT_ID_SIZE]; /* of what is added from now on; "": of no turn */
    int64_t attempt;
    struct chat_item *items;
    size_t count, capacity, marked;
    int64_t last_seq; /* once written: of the last item */
    int error;        /* EIO_ENOMEM: sticks, and chat_batch_write() fails */
};

void chat_batch_init(struct chat_batch *batch, const char *chat_id);
/* Zeroes it, too. */
void chat_batch_clear(struct chat_batch *batch);
/* What is added from now on belongs to this answer: its payload gets ref_id, and attempt if that is above 1. */
void chat_batch_set_ref(struct chat_batch *batch, const char *ref_id, int64_t attempt);
/* Consumes the payload, an object with at least one member; NULL counts as out of memory. Any thread. */
void chat_batch_add(struct chat_batch *batch, const char *event, json_t *take_payload);
/* {"<name>":"<text>"} without a tree, for what is said often. */
void chat_batch_add_text(struct chat_batch *batch, const char *event, const char *name, struct eio_str text);
/* An entry's payload as it is stored, without its closing brace. NULL: it is not JSON, or memory is short. */
json_t *chat_parse_fields(struct eio_str fields);
/* The payload's JSON without its closing brace and what chat_batch_set_ref() adds. */
void chat_batch_add_fields(struct chat_batch *batch, const char *event, struct eio_str fields);
/* The fields of a piece of the answer: built, to be stored in another way, and added after all. */
void chat_batch_put_said(const struct chat_batch *batch, struct sio_builder *json, struct eio_str text);
void chat_batch_add_said(struct chat_batch *batch, struct eio_str fields);
/* Moves the items of another to its end. */
void chat_batch_append(struct chat_batch *batch, struct chat_batch *from);
/* What was added is kept by chat_batch_rewind(). */
void chat_batch_mark(struct chat_batch *batch);
void chat_batch_rewind(struct chat_batch *batch);

/* In a write's run: gives the items their seq and stores them. chat_key: of the table chats. Without items: nothing.
 * Returns 0 or the code of failure. */
int chat_batch_write(struct kit_db *db, int64_t chat_key, struct chat_batch *batch, struct kit_failure *failure);
/* On the loop, once it is durable: to all that watch the chat, here and at other nodes. */
void chat_batch_send(struct chat *chat, const struct chat_batch *batch);
/* The same of one entry that is durable. fields: as an item's. */
void chat_entry_send(struct chat *chat, const char *chat_id, const char *event, struct eio_str fields, int64_t seq);

#endif
