/* Memory for what lives shortly and often. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdlib.h>
#include <string.h>

/* As calloc(1, size). glibc's calloc() passes by what the thread has just freed, and so each free() takes its long way
 * too. */
static inline void *base_zalloc(size_t size)
{
    void *p = malloc(size);
    return p ? memset(p, 0, size) : NULL;
}
#endif
