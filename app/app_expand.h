/* `parley expand-documents`. */
#ifndef APP_EXPAND_H
#define APP_EXPAND_H

#include "kit_config.h"

/* Asks a language model for ways in which customers would ask for each document that has changed since, or for all of
 * them. model: the id of one in `models_file`; NULL: the first that answers. Returns the exit status. */
int app_expand_command(const struct kit_config *config, const char *model, bool again);

#endif
