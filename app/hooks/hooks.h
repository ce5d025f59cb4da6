/* What other services of the company say to sockets over HTTP: POST /api/v1/emit. */
#ifndef HOOKS_H
#define HOOKS_H

#include "kit_module.h"

extern const struct kit_module hooks_module;

#endif
