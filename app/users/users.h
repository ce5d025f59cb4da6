/* Users with passwords: who they are stands in the store; who logs in gets a token. */
#ifndef USERS_H
#define USERS_H

#include "kit.h"

extern const struct kit_module users_module;

/* `parley user add|passwd|list|remove [NAME]`; the password comes from a terminal or the standard input, never from the
 * command line. role, calls and chats: NULL is an agent of all calls and no other's chats, or for passwd, what they
 * were. Returns the exit status.
 */
struct users_command {
    const char *const *words;
    size_t word_count;
    const char *role, *calls, *chats;
};
int users_run_command(const struct kit_config *config, const struct users_command *command);

#endif
