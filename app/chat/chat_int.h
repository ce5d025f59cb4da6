/* What the parts of the module share. Reading order: chat.h, chat_log.h, chat_tools.h, chat.c, chat_options.c,
 * chat_schema.c, chat_log.c, chat_room.c. */
#ifndef CHAT_INT_H
#define CHAT_INT_H

#include "chat_log.h"
#include "chat_tools.h"
#include "kit_answer.h"
#include "kit_auth.h"
#include "kit_namespace.h"
#include "kit_request.h"

#define CHAT_ROOM "chat:"
#define CHAT_ROOM_SIZE (sizeof CHAT_ROOM + KIT_ID_SIZE)

struct chat_counters {
    uint64_t entries;
};

struct chat {
    struct kit *kit;
    const struct chat_config *config;
    struct sio_namespace *nsp; /* "/chat" */
    struct chat_counters counters;
};

/* The values of its options: chat_options.c. */
struct chat_config {
    uint32_t replay_entries_max;
    size_t replay_bytes_max;
};
extern const struct kit_option_set chat_options;
extern const char *const chat_migrations[]; /* chat_schema.c */

#endif
