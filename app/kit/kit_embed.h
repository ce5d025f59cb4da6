/* Files that the build puts into the binary (scripts/cmake/embed.cmake). */
#ifndef KIT_EMBED_H
#define KIT_EMBED_H

#include <stddef.h>
#include <stdint.h>

/* One file. A NUL follows its bytes, so text can be used as a C string. */
struct kit_embedded_file {
    const char *name; /* relative to the BASE given in CMake, '/' between parts */
    const uint8_t *data;
    const uint8_t *end; /* one past the last byte: here stands the NUL */
};

static inline size_t kit_embedded_size(const struct kit_embedded_file *file)
{
    return (size_t)(file->end - file->data);
}

/* A set of files; the list ends with name NULL. */
extern const struct kit_embedded_file kit_embedded_assets[];    /* the page and what it loads */
extern const struct kit_embedded_file kit_embedded_demo[];      /* app/demo: documents and conversations */
extern const struct kit_embedded_file kit_embedded_knowledge[]; /* app/knowledge/data: the table of word pieces */
extern const struct kit_embedded_file kit_embedded_admin[];     /* the Admin UI's front end, also with .gz and .br */
extern const struct kit_embedded_file kit_embedded_admin_own[]; /* what is ours of it: preset.js */
extern const struct kit_embedded_file kit_embedded_client[]; /* the official client's builds, also with .gz and .br */

/* The file of that name, or NULL. */
const struct kit_embedded_file *kit_embedded_find(const struct kit_embedded_file *set, const char *name);

#endif
