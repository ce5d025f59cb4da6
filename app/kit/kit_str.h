/* Texts and bytes that are borrowed, as all modules pass them around: struct eio_str; and the end of a plural. */
#ifndef KIT_STR_H
#define KIT_STR_H

#include <engineio.h>

/* The end of a regular noun that has a count: "1 document", "2 documents". */
static inline const char *kit_s(unsigned long long count)
{
    return count == 1 ? "" : "s";
}

#endif
