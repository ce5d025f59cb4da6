/* Tools as models get them. */
#include "llm_tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_wire_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

void llm_wire_name(const char *name, char out[LLM_WIRE_NAME_SIZE])
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    size_t n = strlen(name), kept = LLM_WIRE_NAME_SIZE - 1 - 9;
    bool is_good = n > 0 && n < LLM_WIRE_NAME_SIZE;
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ (uint8_t)name[i]) * 1099511628211u;
        if (!is_wire_char(name[i])) is_good = false;
        if (i < LLM_WIRE_NAME_SIZE - 1) out[i] = is_wire_char(name[i]) ? name[i] : '_';
    }
    if (n > LLM_WIRE_NAME_SIZE - 1) n = LLM_WIRE_NAME_SIZE - 1;
    out[n] = 0;
    if (!is_good) snprintf(out + (n < kept ? n : kept), 10, "_%08x", (unsigned)(hash ^ hash >> 32));
}

const struct llm_tools_entry *llm_tools_find_wire(const struct llm_tools *tools, const char *wire_name)
{
    for (size_t i = 0; i < tools->count; i++)
        if (!strcmp(tools->list[i].wire_name, wire_name)) return &tools->list[i];
    return NULL;
}

static int copy_phrases(struct llm_tools_entry *entry, const char *const *phrases)
{
    size_t count = 0;
    if (!phrases) return 0;
    while (phrases[count]) count++;
    entry->phrases = calloc(count + 1, sizeof *entry->phrases);
    if (!entry->phrases) return EIO_ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (!(entry->phrases[i] = strdup(phrases[i]))) return EIO_ENOMEM;
    return 0;
}

/* The schema is checked on its way in, not here; whatever it is, it stays what it was while the answer lives. */
static int copy_tool(struct llm_tools_entry *entry, const struct llm_tool *tool)
{
    entry->name = strdup(tool->name);
    entry->prefix_bytes = tool->prefix_bytes;
    entry->description = tool->description ? strdup(tool->description) : NULL;
    entry->parameters =
        tool->parameters ? json_incref(tool->parameters) : json_pack("{s:s, s:{}}", "type", "object", "properties");
    if (!entry->name || (tool->description && !entry->description) || !entry->parameters) return EIO_ENOMEM;
    return copy_phrases(entry, tool->phrases);
}

int llm_tools_init(struct llm_tools *tools, const struct llm_tool *list, size_t count)
{
    *tools = (struct llm_tools){count ? calloc(count, sizeof *tools->list) : NULL, 0};
    if (count && !tools->list) return EIO_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct llm_tools_entry *entry = &tools->list[tools->count];
        llm_wire_name(list[i].name, entry->wire_name);
        if (llm_tools_find_wire(tools, entry->wire_name)) continue;
        tools->count++;
        if (copy_tool(entry, &list[i])) return EIO_ENOMEM;
    }
    return 0;
}

void llm_tools_clear(struct llm_tools *tools)
{
    for (size_t i = 0; i < tools->count; i++) {
        struct llm_tools_entry *entry = &tools->list[i];
        for (char **phrase = entry->phrases; phrase && *phrase; phrase++) free(*phrase);
        free(entry->phrases);
        free(entry->name);
        free(entry->description);
        json_decref(entry->parameters);
    }
    free(tools->list);
    *tools = (struct llm_tools){NULL, 0};
}

json_t *llm_tools_json(const struct llm_tools *tools)
{
    json_t *list = json_array();
    for (size_t i = 0; i < tools->count && list; i++) {
        const struct llm_tools_entry *entry = &tools->list[i];
        json_t *tool =
            json_pack("{s:s, s:{s:s, s:s, s:O}}", "type", "function", "function", "name", entry->wire_name,
                      "description", entry->description ? entry->description : "", "parameters", entry->parameters);
        if (!json_array_append_new(list, tool)) continue;
        json_decref(list);
        list = NULL;
    }
    return list;
}
