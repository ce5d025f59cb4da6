/* The module: opens its namespace and routes, shows its numbers. */
#include "chat_int.h"
#include "kit_metrics.h"

#include <stdlib.h>
#include <string.h>

#define KIT_NUMBERS struct chat
static const struct kit_metric metric_rows[] = {
    KIT_COUNTER_ROW("chat_entries_total", counters.entries, "Entries of chats' logs sent."),
};
static const struct kit_metric_set metrics = KIT_METRIC_SET(metric_rows, NULL);

static int open_namespace(struct chat *chat)
{
    struct kit *kit = chat->kit;
    chat->nsp =
        kit_open_namespace(kit, "/chat", KIT_ROLE_USER | KIT_ROLE_AGENT | KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN, NULL);
    if (!chat->nsp || kit_admit_guests(kit)) return EIO_ENOMEM;
    kit_open_to_guests(kit, chat->nsp);
    if (kit->guest)
        kit_log(EIO_LOG_WARN, "the assistant needs no token on this machine; set jwt_key_file in production", NULL);
    return 0;
}

static int start(struct kit *kit, void **state, char *error, size_t error_size)
{
    struct chat *chat = *state = calloc(1, sizeof *chat);
    (void)error, (void)error_size;
    if (!chat) return EIO_ENOMEM;
    chat->kit = kit;
    chat->config = kit_config_values(kit->config, &chat_options);
    return open_namespace(chat);
}

static void stop(void *state)
{
    free(state);
}

const struct kit_module chat_module = {.name = "chat",
                                       .options = &chat_options,
                                       .metrics = &metrics,
                                       .migrations = chat_migrations,
                                       .start = start,
                                       .stop = stop};
