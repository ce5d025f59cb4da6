/* Vectors of texts as an embeddings service makes them, and how well documents fit one. What is known of a text is
 * known by the text: the store keeps a vector for each text and model, whatever documents have it. */
#ifndef KNOWLEDGE_EMBEDDINGS_H
#define KNOWLEDGE_EMBEDDINGS_H

#include "knowledge_index.h"

#include "kit_db.h"

#define KNOWLEDGE_EMBEDDING_DIMENSIONS_MAX 4096
#define KNOWLEDGE_TEXT_HASH_SIZE 33 /* 128 bits in hexadecimal digits */

/* Of length one. */
struct knowledge_vector {
    size_t dimensions;
    float x[];
};
/* From numbers of any length; malloc. NULL: out of memory, no direction, or too many dimensions. */
struct knowledge_vector *knowledge_vector_new(const float *x, size_t dimensions);

void knowledge_text_hash(struct eio_str text, char hash[KNOWLEDGE_TEXT_HASH_SIZE]);

/* The documents' vectors; belongs to the thread of the index. */
struct knowledge_embeddings;
/* NULL: out of memory. model: borrowed. */
struct knowledge_embeddings *knowledge_embeddings_new(const char *model);
/* Accepts NULL. */
void knowledge_embeddings_free(struct knowledge_embeddings *embeddings);
/* In the order of the index, which is finished. Returns 0 or EIO_ENOMEM. */
int knowledge_embeddings_add(struct knowledge_embeddings *embeddings, const struct knowledge_index *index,
                             const struct knowledge_indexed *document);
/* Takes over what the former ones knew of the same texts. */
void knowledge_embeddings_inherit(struct knowledge_embeddings *embeddings, struct knowledge_embeddings *former);
/* Reads from the store what it has of the texts whose vectors are missing and of learned calls, if it got any since.
 * Returns 0 or the code of failure. */
int knowledge_embeddings_load(struct knowledge_embeddings *embeddings, const struct knowledge_index *index,
                              struct kit_db *db, struct kit_failure *failure);
/* Reloads the learned calls of one document. Accepts NULL. */
int knowledge_embeddings_load_calls(struct knowledge_embeddings *embeddings, const struct knowledge_index *index,
                                    struct kit_db *db, const char *doc_id, struct kit_failure *failure);
/* Texts without a vector, at most max, borrowed. */
size_t knowledge_embeddings_missing(const struct knowledge_embeddings *embeddings, const char **texts, size_t max);
/* Every document has the vector of its title and lead. */
bool knowledge_embeddings_are_complete(const struct knowledge_embeddings *embeddings);
/* How well each document fits, -1 to 1, scores[] in the order of the index. False: the vector is another model's. */
bool knowledge_embeddings_score(const struct knowledge_embeddings *embeddings, const struct knowledge_vector *vector,
                                float *scores);

/* For the write strand: keeps a vector, or a text whose vector is wanted. Return 0 or the code of failure. */
int knowledge_embeddings_keep(struct kit_db *db, const char *model, const char *text,
                              const struct knowledge_vector *vector, struct kit_failure *failure);
int knowledge_embeddings_want(struct kit_db *db, const char *text, struct kit_failure *failure);

#endif
