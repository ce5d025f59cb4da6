/* Turns in the store. Everything here runs inside store operations. */
#ifndef CHAT_TURN_STORE_H
#define CHAT_TURN_STORE_H

#include "chat_int.h"

/* A row of the table chat_turns, but for its texts. */
struct chat_turn_row {
    int64_t id, chat_key, attempt, first_seq, started_ms, history;
    char ref_id[KIT_ID_SIZE], state[12], owner[64];
    char session_id[KIT_ID_SIZE], intent_id[KIT_ID_SIZE], connection_id[KIT_ID_SIZE];
};

/* How long a lease holds that is written now, Unix time. To be asked where it is written: what waited in the store's
 * queue would have lost a part of it, or all. */
int64_t chat_lease_until(const struct chat_config *config);

/* The turn of a chat that runs or waits. */
int chat_turn_find_open(struct kit_db *db, int64_t chat_key, struct chat_turn_row *turn, bool *found,
                        struct kit_failure *failure);
int chat_turn_read_row(struct kit_db *db, int64_t id, struct chat_turn_row *turn, struct kit_failure *failure);
/* What it has said so far, out of the log; malloc. */
int chat_turn_read_text(struct kit_db *db, int64_t chat_key, const struct chat_turn_row *turn, char **text,
                        struct kit_failure *failure);

/* All that it takes to begin a turn, or to go on with it. */
struct chat_turn_load {
    struct chat_row chat;
    struct chat_turn_row row;
    char *content;     /* what the user said */
    char *text;        /* what was streamed, up to the last step */
    json_t *context;   /* of earlier turns: messages as chat completions have them */
    json_t *messages;  /* the turn's own, up to the last step */
    json_t *pending;   /* chat_pending.h; NULL: nothing is */
    int64_t questions; /* of the chat's user that are open, in all chats */
    json_t *answers;   /* {elicitation: {action, content}} of those that are answered */
};
int chat_turn_load(struct kit_db *db, const struct chat_config *config, int64_t id, struct chat_turn_load *load,
                   struct kit_failure *failure);
/* Zeroes it, too. */
void chat_turn_load_clear(struct chat_turn_load *load);

/* A message as chat_history has it. */
struct chat_history_row {
    const char *type; /* user, ai, thinking, tool, component, error */
    const char *content;
    const json_t *data; /* NULL: none */
};
/* The turn begins: it belongs to the intent that is open, or opens one, and so does its message. */
int chat_intent_enter(struct kit_db *db, struct chat_row *chat, struct chat_turn_row *turn,
                      struct kit_failure *failure);
int chat_history_add(struct kit_db *db, const struct chat_row *chat, const struct chat_turn_row *turn,
                     const struct chat_history_row *message, int64_t now_ms, struct kit_failure *failure);

/* How a turn ends. */
struct chat_turn_end {
    struct chat *chat;
    const struct chat_row *row;
    const struct chat_turn_row *turn;
    struct chat_batch *batch; /* gets the last entries; not written yet */
    int64_t now_ms;
    int code; /* 0: chat.done */
    const char *message;
    bool is_stopped, is_complete;
    const char *by;         /* a supervisor who answered; NULL */
    const char *text;       /* all that was said; NULL: it is in the log */
    const json_t *messages; /* the turn's own, whole; NULL: those in the store, made whole */
    const json_t *usage;    /* NULL: not known */
    int64_t next;           /* out: the turn that runs now, since it was waiting for this one; 0: none */
};
/* Ends it, closes its questions, and makes the next one of the chat run, in this process. The turn must not have
 * ended. */
int chat_turn_close(struct kit_db *db, struct chat_turn_end *end, struct kit_failure *failure);

/* Closes the questions that only the process which asked them could have taken answers to: their calls ran there.
 * pending: chat_pending.h. */
int chat_questions_withdraw(struct kit_db *db, const json_t *pending, struct chat_batch *batch,
                            struct kit_failure *failure);

/* Makes the message that has waited for longest run, in this process: *next, 0 if none waits. */
int chat_turn_next(struct kit_db *db, struct chat *chat, int64_t chat_key, int64_t *next, struct kit_failure *failure);

#endif
