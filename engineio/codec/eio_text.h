/* Slices of text, as the codecs look at them. */
#ifndef EIO_TEXT_H
#define EIO_TEXT_H

#include "base_str.h"
#include "engineio.h"

#include <string.h>

/* Without the blanks around it. */
static inline struct eio_str eio__trim(struct eio_str text)
{
    base_str_trim(&text.p, &text.n);
    return text;
}

/* As eio_str_is(), which cannot be inlined. */
static inline bool eio__is(struct eio_str s, const char *text)
{
    size_t n = strlen(text);
    return s.n == n && memcmp(s.p, text, n) == 0;
}

/* As HTTP writes a point in time: "Sun, 06 Nov 1994 08:49:37 GMT", terminated. False: its year has not four digits. */
enum { EIO__DATE_CHARS = 30 };
bool eio__date_put(char out[EIO__DATE_CHARS], int64_t unix_s);

#endif
