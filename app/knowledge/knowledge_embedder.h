/* Asks an embeddings service (`/v1/embeddings`) for vectors of texts; on the loop's thread. */
#ifndef KNOWLEDGE_EMBEDDER_H
#define KNOWLEDGE_EMBEDDER_H

#include "knowledge.h"

#include "kit.h"

struct knowledge_embedder;
struct knowledge_config;

struct knowledge_embedder_stats {
    uint64_t texts;     /* of documents and learned calls that got a vector */
    uint64_t questions; /* what customers said */
    uint64_t late;      /* of them: not in time */
    uint64_t failures;
};

/* Begins to bring the documents' vectors. Returns 0 or a negative code, with a line in error for the configuration's;
 * knowledge_embedder_free() in either case. */
int knowledge_embedder_new(struct kit *kit, struct knowledge *knowledge, const struct knowledge_config *config,
                           struct knowledge_embedder **out, char *error, size_t error_size);
/* Begins nothing new, and ends what waits for the service. Accepts NULL, as all below but for ask. */
void knowledge_embedder_pause(struct knowledge_embedder *embedder);
void knowledge_embedder_free(struct knowledge_embedder *embedder);
void knowledge_embedder_get_stats(const struct knowledge_embedder *embedder, struct knowledge_embedder_stats *stats);
/* True if the documents' vectors are there, and the service answers. */
bool knowledge_embedder_is_ready(const struct knowledge_embedder *embedder);
/* done runs later, also at the end; its vector is NULL if it did not come in time. Returns 0 or EIO_ENOMEM. */
int knowledge_embedder_ask(struct knowledge_embedder *embedder, const char *text, knowledge_embedded_fn done,
                           void *ctx);

#endif
