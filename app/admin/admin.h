/* The Admin UI: its namespace /admin and its page /admin/, for the role admin and for a login of its own. Off unless
 * `admin_ui` says otherwise. */
#ifndef ADMIN_H
#define ADMIN_H

#include "kit.h"

extern const struct kit_module admin_module;

#endif
