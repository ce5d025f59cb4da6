/* What a property of a tool's parameters is, as far as a text can give it a value. Pure. */
#ifndef LLM_SCHEMA_H
#define LLM_SCHEMA_H

#include "llm_fill.h"

enum llm_property_kind {
    LLM_PROPERTY_OTHER, /* objects and the like: never filled in */
    LLM_PROPERTY_TEXT,
    LLM_PROPERTY_ENUM,
    LLM_PROPERTY_BOOLEAN,
    LLM_PROPERTY_NUMBER,
    LLM_PROPERTY_DATE_TIME,
    LLM_PROPERTY_DATE,
    LLM_PROPERTY_TIME,
    LLM_PROPERTY_MAIL,
    LLM_PROPERTY_URL,
    LLM_PROPERTY_ENUM_LIST,
    LLM_PROPERTY_TEXT_LIST
};

struct llm_property {
    const char *name;
    json_t *schema; /* that of its type, where several are possible */
    enum llm_property_kind kind;
    bool is_required, is_integer;
    int64_t unit_ms; /* of numbers that are lengths of time; 0: they are not */
};

/* The properties in their order, at most LLM_PROPERTIES_MAX; returns how many. */
size_t llm_schema_read(json_t *schema, struct kit_words *words, struct llm_lexed *scratch,
                       struct llm_property list[LLM_PROPERTIES_MAX]);
/* The words of a name: "dueDate" and "due_date" become "due date". */
void llm_schema_name(const char *name, char *out, size_t size);

#endif
