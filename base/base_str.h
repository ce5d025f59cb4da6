/* A borrowed slice of text, not terminated. p may be NULL when n is 0. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stddef.h>

struct base_str {
    const char *p;
    size_t n;
};

#endif
