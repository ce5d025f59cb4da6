/* The documents in memory: which of them fit what was said. */
#ifndef KNOWLEDGE_INDEX_H
#define KNOWLEDGE_INDEX_H

#include "knowledge_glossary.h"

#include <stdint.h>

/* ------------------------------------------------------------------- table */

#define KNOWLEDGE_VECTOR 128

/* Word pieces and their vectors; immutable, shared by threads. */
struct knowledge_table;
/* Reads a table (app/knowledge/data/README.md); the bytes, aligned to 4, are borrowed. NULL: not a table, or no memory.
 */
struct knowledge_table *knowledge_table_new(struct eio_str bytes);
/* Accepts NULL. */
void knowledge_table_free(struct knowledge_table *table);
/* A text as a vector of length one; false: of zeros, since no word of it is known, or most are in another script. */
bool knowledge_table_read(const struct knowledge_table *table, struct eio_str text, float vector[KNOWLEDGE_VECTOR]);

/* -------------------------------------------------------------------- call */

/* What a call is about, from what the customer said. */
struct knowledge_call {
    /* For the score of documents: each once. */
    struct knowledge_term {
        char *name; /* 'c' and a concept, or 'w' and a word */
        char *said; /* the customer's words */
    } * terms;
    size_t term_count;
    /* For what was learned: each once; 'p' and a pair of words besides. */
    char **features;
    size_t feature_count;
    float vector[KNOWLEDGE_VECTOR];       /* of all turns */
    float first_vector[KNOWLEDGE_VECTOR]; /* of the first ones */
};

/* What knowledge_call_read() needs: one set for each thread. */
struct knowledge_reader {
    struct kit_words *words;
    const struct knowledge_glossary *glossary; /* or NULL */
    const struct knowledge_table *table;       /* or NULL */
};
/* Turns in the order in which they were said. Returns 0 or EIO_ENOMEM; knowledge_call_clear() in either case. */
int knowledge_call_read(struct knowledge_call *call, const struct knowledge_reader *reader, const struct eio_str *turns,
                        size_t turn_count);
/* Accepts one that was cleared. */
void knowledge_call_clear(struct knowledge_call *call);

/* ------------------------------------------------------------------- index */

struct knowledge_index;

struct knowledge_weights {
    double title; /* how much more concepts count if they are all of the title's */
    double word, learned, vector;
    double typed; /* of words that somebody typed to look for them, wherever they stand; 0: it was said in a call */
};

/* A document with its score and the parts of it. */
struct knowledge_hit {
    uint32_t document;
    double score, concepts, words, learned, vector;
    double found;  /* the part of the words that the document has, by their idf; 1: all that any document has */
    double typed;  /* the idf of these, less if they are a part */
    double excess; /* of the score over the mean of the other documents: what all have in common does not distinguish
                      them */
};

/* NULL: out of memory. */
struct knowledge_index *knowledge_index_new(void);
/* Accepts NULL. */
void knowledge_index_free(struct knowledge_index *index);
#define KNOWLEDGE_INDEXED_BYTES_MAX 262144 /* of a document's text; what follows is not searched */
struct knowledge_indexed {
    const char *id, *title, *topic, *text;
};
/* Documents have numbers in the order in which they are added. Returns 0 or EIO_ENOMEM. */
int knowledge_index_add(struct knowledge_index *index, const struct knowledge_reader *reader,
                        const struct knowledge_indexed *document);
/* A phrase that customers say, beside those of its text, for a document that was added: it teaches as that part of a
 * call. Returns 0 or EIO_ENOMEM. */
int knowledge_index_add_phrase(struct knowledge_index *index, const struct knowledge_reader *reader, uint32_t document,
                               struct eio_str phrase, double weight);
/* Nothing is added any more. Returns 0 or EIO_ENOMEM. */
int knowledge_index_finish(struct knowledge_index *index);
size_t knowledge_index_count(const struct knowledge_index *index);
const char *knowledge_index_id(const struct knowledge_index *index, uint32_t document);
/* The document's number, or UINT32_MAX. */
uint32_t knowledge_index_find(const struct knowledge_index *index, const char *id);
/* True if a passage is in so many documents that it explains none. */
bool knowledge_index_is_boilerplate(const struct knowledge_index *index, struct eio_str passage);
/* How much a term says; 0 for one that the document does not have. */
double knowledge_index_weight(const struct knowledge_index *index, const char *term, uint32_t document);

/* What is known of a document from calls, in place of what was known before. counts: a feature and how often. */
struct knowledge_count {
    const char *feature;
    double n; /* in calls; what weighs less than one is a part */
};
/* sum: the calls' vectors added up, or NULL. Returns 0 or EIO_ENOMEM. */
int knowledge_index_learn(struct knowledge_index *index, uint32_t document, double calls,
                          const struct knowledge_count *counts, size_t count, const float *sum);

/* The best documents for a call, best first, at most *count of them; *count is set. cosines: for each document, in
 * place of those of the table; NULL: the table's. Returns 0 or EIO_ENOMEM. */
int knowledge_index_search(struct knowledge_index *index, const struct knowledge_call *call,
                           const struct knowledge_weights *weights, const float *cosines, struct knowledge_hit *hits,
                           size_t *count);

/* Bytes of a text before the first line that begins like a step. */
size_t knowledge_lead_size(struct eio_str text);
/* A document's text without the phrases that customers say, and these. */
struct eio_str knowledge_says_split(struct eio_str text, struct eio_str *phrases);
bool knowledge_next_phrase(struct eio_str *rest, struct eio_str *phrase);
/* The next line, or sentence of a long line, without the mark of a list; false at the end. */
bool knowledge_next_passage(struct eio_str *rest, struct eio_str *passage);

#endif
