/* Looking up embedded files. What is embedded is decided in CMake; this file knows no names. */
#include "app_embed.h"

#include <string.h>

const struct app_embedded_file *app_embedded_find(const struct app_embedded_file *set, const char *name)
{
    for (; set->name; set++)
        if (strcmp(set->name, name) == 0) return set;
    return NULL;
}
