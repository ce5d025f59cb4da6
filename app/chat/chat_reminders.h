/* Reminders: stored, and told to their chat when they are due, once, whichever process is there then. */
#ifndef CHAT_REMINDERS_H
#define CHAT_REMINDERS_H

#include "chat_int.h"

struct chat_reminder {
    char id[KIT_ID_SIZE];
    const char *text;
    int64_t at_ms;
};

/* In a write. 429 if the chat has too many that are not due yet. */
int chat_reminder_add(struct kit_db *db, const struct chat *chat, int64_t chat_key,
                      const struct chat_reminder *reminder, struct kit_failure *failure);
/* One that was added here: the timer is set to it if no other comes before. */
void chat_reminders_look_at(struct chat *chat, int64_t at_ms);

int chat_reminders_start(struct chat *chat);
void chat_reminders_pause(struct chat *chat);
void chat_reminders_stop(struct chat *chat);

#endif
