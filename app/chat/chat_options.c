/* The assistant's options. */
#include "chat_int.h"
#include "kit_options.h"

#define KIT_VALUES struct chat_config

static const struct kit_option options[] = {
    KIT_U32_ROW("replay_entries_max", replay_entries_max, "500", 1, 100000, "Assistant",
                "entries of a chat's log that are read at a time for who comes back; the rest follows"),
    KIT_SIZE_ROW("replay_bytes_max", replay_bytes_max, "262144", 1024, "Assistant", "bytes of these; the same applies"),
};
const struct kit_option_set chat_options = KIT_OPTION_SET(options);
