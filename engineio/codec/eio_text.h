/* Slices of text, as the codecs look at them. */
#ifndef EIO_TEXT_H
#define EIO_TEXT_H

#include "base_str.h"
#include "engineio.h"

/* Without the blanks around it. */
static inline struct eio_str eio__trim(struct eio_str text)
{
    base_str_trim(&text.p, &text.n);
    return text;
}

#endif
