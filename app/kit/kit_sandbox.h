/* What the server gives up before it serves: files that the configuration does not need, programs, and calls to the
 * kernel that nothing here makes (docs/decisions/0032). For the process and all that it forks. */
#ifndef KIT_SANDBOX_H
#define KIT_SANDBOX_H

#include "kit_config.h"

enum kit_sandbox { KIT_SANDBOX_OFF, KIT_SANDBOX_TRY, KIT_SANDBOX_ON };

/* While there is one thread. Returns 0, or EIO_ESYS with a line in error: the kernel lacks it, or a path is missing.
 * With `try`, what is missing is logged. */
int kit_sandbox_enter(const struct kit_config *config, char *error, size_t error_size);

#endif
