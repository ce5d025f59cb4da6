/* Assistants: who answers in a chat, with which words and tools. Of the file in the option assistants_file; one that is
 * embedded otherwise. */
#ifndef CHAT_ASSISTANTS_H
#define CHAT_ASSISTANTS_H

#include "chat_tools.h"

struct chat_assistant {
    char id[KIT_ID_SIZE];
    const char *title, *prompt, *welcome; /* "" if absent; borrowed from the tree */
    const char *provider;                 /* of the models_file; NULL: in their order */
    const char *search_tool;              /* which the local model asks when no phrase fits; NULL */
    json_t *tree;                         /* the file's object */
};

/* 0, or a negative code with a line in error. */
int chat_assistants_load(struct chat *chat, char *error, size_t error_size);
void chat_assistants_free(struct chat *chat);
/* id "": the first. NULL: none has it. Any thread. */
const struct chat_assistant *chat_assistant_find(const struct chat *chat, const char *id);
/* What the file says of a tool; CHAT_POLICY_DEFAULT: nothing. server NULL: built in. */
enum chat_policy chat_assistant_policy(const struct chat_assistant *assistant, const char *server, const char *tool);

#endif
