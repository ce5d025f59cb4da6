/* Looking up embedded files. What is embedded is decided in CMake; this file knows no names. */
#include "kit_embed.h"

#include <string.h>

const struct kit_embedded_file *kit_embedded_find(const struct kit_embedded_file *set, const char *name)
{
    for (; set->name; set++)
        if (strcmp(set->name, name) == 0) return set;
    return NULL;
}
