/* Texts and bytes that are borrowed, as all modules pass them around: struct eio_str. */
#ifndef KIT_STR_H
#define KIT_STR_H

#include <engineio.h>

#endif
