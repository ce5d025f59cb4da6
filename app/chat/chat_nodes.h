/* What the processes say to each other about turns that run elsewhere. */
#ifndef CHAT_NODES_H
#define CHAT_NODES_H

#include "chat_turn_store.h"

/* An answer to a question, to be stored. */
struct chat_answer {
    struct chat *chat;
    struct chat_row row;
    char id[KIT_ID_SIZE], action[16]; /* accept, decline, cancel, expire */
    const json_t *content;            /* as it came; NULL */
    int64_t now_ms;

    /* What was found out. */
    int64_t turn, expires_ms;
    json_t *question;
    json_t *read; /* the content, checked and with its defaults; NULL: none */
    struct chat_batch batch;
    bool begins;                /* the turn waited, and is this process's now */
    struct chat_turn_load load; /* then */
};
/* In a write that locks the chat. 404, 409 or 400 are failures of the answer. */
int chat_answer_store(struct kit_db *db, struct chat_answer *answer, struct kit_failure *failure);
/* Afterwards, on the loop. claims: who answered; NULL. */
void chat_answer_send(struct chat_answer *answer, const struct kit_claims *claims);
void chat_answer_clear(struct chat_answer *answer);

int chat_nodes_start(struct chat *chat);
/* To whichever process runs the turn. */
void chat_nodes_answer(struct chat *chat, const struct chat_answer *answer);
void chat_nodes_stop(struct chat *chat, const char *chat_id, int64_t turn);
/* done(ctx, true) if the chat's own user listens in another process; once, later or at once. */
void chat_nodes_ask_owner(struct chat *chat, const char *chat_id, void (*done)(void *ctx, bool listens), void *ctx);

#endif
