/* Pieces of text that are durable and not in their chats' own logs yet (docs/decisions/0023). Many answers are written
 * at once, so what a process has of all of them goes into one row of chat_pieces, and a chat's own rows are touched
 * every two seconds: its pieces since then become one row of chat_log, a run. Until then the row names the process.
 * Everything here runs inside store operations.
 *
 * A line of a row, its fields separated by tabs: the chat's key, seq, attempt, ref_id, and the payload as in chat_log.
 * A run: the payloads, a line each; its seq is that of the last. */
#ifndef CHAT_PIECES_H
#define CHAT_PIECES_H

#include "chat.h"
#include "kit_db.h"

#define CHAT_TOKEN "chat.token"
#define CHAT_RUN "chat.tokens" /* the type of a run in chat_log; no event */

struct chat_piece_line {
    int64_t chat_key, seq, attempt;
    struct eio_str ref_id, fields;
};
void chat_piece_put(struct sio_builder *data, const struct chat_piece_line *line);

/* The payloads of a row of chat_log, in their order: one, or those of a run. */
struct chat_run_walk {
    struct eio_str rest;
    int64_t seq; /* of the last that chat_run_each() gave */
};
void chat_run_open(struct chat_run_walk *walk, const char *type, int64_t seq, struct eio_str payload);
bool chat_run_each(struct chat_run_walk *walk, struct eio_str *fields);

/* Gives the chat's pieces after this seq in their order until fn returns false. owner: the process that the chat's row
 * names; "" if the chat has no pieces. Returns 0 or the code of failure. */
typedef bool (*chat_piece_fn)(void *ctx, const struct chat_piece_line *line);
int chat_pieces_each(struct kit_db *db, const char *owner, int64_t chat_key, int64_t after_seq, chat_piece_fn fn,
                     void *ctx, struct kit_failure *failure);
/* The seq of the last of them, or *seq as it is. */
int chat_pieces_last(struct kit_db *db, const char *owner, int64_t chat_key, int64_t *seq, struct kit_failure *failure);
/* In a write: those after this seq, the log's last, go into the chat's own log. *count: how many they were. tells:
 * their owner will see that they have. */
struct chat_settle {
    const char *owner;
    int64_t chat_key, after_seq;
    bool tells;
    int64_t count; /* out */
};
int chat_pieces_settle(struct kit_db *db, struct chat_settle *settle, struct kit_failure *failure);

/* What an answer has said that is not in its chat's own log. */
struct chat_run {
    bool is_open;      /* the chat's row names this process */
    int64_t seq;       /* of the last piece; meaningful if it is open */
    int64_t count;     /* of the pieces */
    uint64_t since_ms; /* when the first of them was written */
    struct sio_builder lines;
};
/* In a write of their owner: they go into the chat's own log, if nobody else has put them there. last: the last of
 * them. stays_open: more follow. */
int chat_run_store(struct kit_db *db, const char *owner, const struct chat_piece_line *last, const struct chat_run *run,
                   bool stays_open, struct kit_failure *failure);
/* In a write: the chat's row says that pieces follow which the process has. */
int chat_run_begin(struct kit_db *db, const char *owner, int64_t chat_key, struct kit_failure *failure);
/* In a write: the process's rows that no chat needs any more, and others' that nobody will. */
int chat_pieces_drop(struct kit_db *db, const char *owner, struct kit_failure *failure);
int chat_pieces_drop_others(struct kit_db *db, const char *owner, struct kit_failure *failure);
/* In the write that deleted the chat, whose row named this owner: its text leaves the rows of all chats. A process that
 * still answers in it sees that, as of a chat that was settled, and finds its turn gone. */
int chat_pieces_forget(struct kit_db *db, const char *owner, int64_t chat_key, struct kit_failure *failure);
/* Zeroes it, too. */
void chat_run_clear(struct chat_run *run);

#endif
