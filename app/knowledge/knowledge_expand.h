/* Phrases beside a document: ways in which customers would ask for it, written by a language model or by a person. Each
 * teaches as a call does, a model's less. */
#ifndef KNOWLEDGE_EXPAND_H
#define KNOWLEDGE_EXPAND_H

#include "kit_schema.h"
#include "kit_store.h"

#define KNOWLEDGE_EXPANSION_PHRASES 20    /* that a model is asked for, and that are taken */
#define KNOWLEDGE_PHRASE_BYTES_MAX 300    /* of one */
#define KNOWLEDGE_PHRASE_BYTES_MIN 3      /* of a model's */
#define KNOWLEDGE_MODEL_PHRASE_WEIGHT .25 /* of a call; one that a person wrote or changed is a whole one */

/* A list of phrases; malloc. */
struct knowledge_phrases {
    char *list[KNOWLEDGE_EXPANSION_PHRASES];
    size_t count;
};
void knowledge_phrases_clear(struct knowledge_phrases *phrases);
/* Out of a model's answer: the strings of the first list in it, each as one line, none twice. Pure. False: there is no
 * such list, or nothing usable in it. */
bool knowledge_phrases_read(struct knowledge_phrases *phrases, const char *answer);

/* A document that is to be expanded. */
struct knowledge_expansion {
    char doc_id[KIT_ID_SIZE];
    char *question; /* the document as the model gets it; malloc */
    char hash[33];  /* of what it says */
};
void knowledge_expansion_clear(struct knowledge_expansion *expansion);
/* The ids of the documents that have changed since a model wrote for them, or of all; malloc, *count of them. Inside a
 * read. Returns 0 or the code of failure. */
int knowledge_expansions_due(struct kit_db *db, bool all, char (**ids)[KIT_ID_SIZE], size_t *count,
                             struct kit_failure *failure);
/* Inside a read: one of these. 404: it is gone. */
int knowledge_expansion_read(struct kit_db *db, const char *doc_id, struct knowledge_expansion *expansion,
                             struct kit_failure *failure);
/* Inside a write with KNOWLEDGE_LOCK: in place of what a model wrote for it before; what people wrote or changed stays.
 */
int knowledge_expansion_store(struct kit_db *db, const struct knowledge_expansion *expansion,
                              const struct knowledge_phrases *phrases, struct kit_failure *failure);

#endif
