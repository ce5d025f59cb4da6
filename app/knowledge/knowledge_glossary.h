/* Words as what documents and calls have in common. */
#ifndef KNOWLEDGE_GLOSSARY_H
#define KNOWLEDGE_GLOSSARY_H

#include "kit_words.h"

/* Phrases that mean the same, "concept: phrase, phrase…" a line; immutable, shared by threads. */
struct knowledge_glossary;

/* Adds a glossary's text to *glossary, which is made if it is NULL. Returns 0, EIO_EINVAL or EIO_ENOMEM with a line in
 * error. */
int knowledge_glossary_read(struct knowledge_glossary **glossary, struct kit_words *words, const char *name,
                            struct eio_str text, char *error, size_t error_size);
/* Accepts NULL. */
void knowledge_glossary_free(struct knowledge_glossary *glossary);

/* What a text is about: the concepts of the phrases in it, longest first, and its other words. */
struct knowledge_token {
    const char *term;             /* of a concept its name */
    const struct kit_word *words; /* of the text */
    size_t word_count;
    bool is_concept;
    bool is_plain; /* a stop word or a number */
};
/* Takes glossary NULL. Returns the number of tokens; *list is malloc, NULL if absent or no memory, and names
 * what words and glossary hold: valid until the next text. */
size_t knowledge_glossary_scan(const struct knowledge_glossary *glossary, struct kit_words *words, struct eio_str text,
                               struct knowledge_token **list);

#endif
